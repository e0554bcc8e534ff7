# Brokers that are away, slow, or lose what was not read: no error of the view

use strict;
use warnings;

use StreamX;
use Test::More;
use Time::HiRes qw(time);

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('mock_broker', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms' ]);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, amount int) SERVER kafka OPTIONS (topic 'orders', format 'json');
CREATE VIEW revenue WITH (streamx.continuous) AS SELECT count(*) AS n, sum(amount) AS total FROM orders;
END
$broker->produce('orders', $_, map { qq({"item": "tea", "amount": $_}) } 1 .. 100) for 0, 1;
caught_up($node, 'orders');
shows($node, 'SELECT n, total FROM revenue', '200|10100', 'the first messages count');

# Away and back
$broker->tell('down all');
eventually($node, 'SELECT state FROM streamx.stat_workers', 'disconnected', 'a worker without a broker says so');
shows($node, 'SELECT n FROM revenue', '200', 'its view can be read');
shows($node, "SELECT state <> 'failing' FROM streamx.stat_views", 't', 'it is no error of the view');
{
	my $start = time;

	$node->stop('fast');
	cmp_ok(time - $start, '<', 3, 'a server shuts down while the broker is away');
	$node->start;
	eventually($node, 'SELECT state FROM streamx.stat_workers', 'disconnected', 'and starts');
}
my $connection = q{SELECT value, ok FROM streamx.health() WHERE "check" = 'connection'};
eventually($node, $connection, '1|f', 'streamx.health() tells');
$broker->tell('up all');
$broker->produce('orders', 0, '{"item": "tea", "amount": 1}');
caught_up($node, 'orders');
shows($node, 'SELECT n, total FROM revenue', '201|10101', 'when the broker is back the worker goes on by itself');
eventually($node, 'SELECT state FROM streamx.stat_workers', 'caught up', 'and says so');
eventually($node, $connection, '0|t', 'streamx.health() no longer complains');

# Errors that pass
for my $error ('Fetch NOT_LEADER_FOR_PARTITION 5', 'Fetch _TRANSPORT 5', 'Metadata LEADER_NOT_AVAILABLE 3', 'ListOffsets NOT_LEADER_FOR_PARTITION 3')
{
	$broker->tell("error $error");
	$broker->produce('orders', 1, '{"item": "tea", "amount": 1}');
	caught_up($node, 'orders');
}
shows($node, 'SELECT n, total FROM revenue', '205|10105', 'transient errors are not seen');
verified($node, 'revenue');

# A right that is gone for a while
$broker->tell('error Fetch TOPIC_AUTHORIZATION_FAILED 10000');
eventually($node, q{SELECT state, last_error LIKE '%Grant Kafka''s rights%', (SELECT bool_or(at_end) FROM streamx.stat_partitions) FROM streamx.stat_workers},
	'disconnected|t|f', 'fault 13: a topic that may not be read any more has no known end');
$broker->tell('clear Fetch');
eventually($node, q{SELECT state, (SELECT bool_and(at_end) FROM streamx.stat_partitions) FROM streamx.stat_workers},
	'caught up|t', 'fault 13: it goes on by itself, without a message');

# A topic that comes later than its stream
$broker->tell('topic later 1');
$broker->tell('topic-error later UNKNOWN_TOPIC_OR_PART');
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE later (amount int) SERVER kafka OPTIONS (topic 'later', format 'json');
CREATE VIEW later_sum WITH (streamx.continuous) AS SELECT count(*) AS n FROM later;
END
eventually($node, "SELECT state FROM streamx.stat_workers WHERE stream_name = 'later'", 'disconnected', 'a missing topic is waited for');
eventually($node, "SELECT last_error LIKE '%later%' FROM streamx.stat_workers WHERE stream_name = 'later'", 't', 'and named');
$broker->tell('topic-error later NO_ERROR');
$broker->produce('later', 0, '{"amount": 1}');
eventually($node, 'SELECT n FROM later_sum', '1', 'it is read once it is there');

# Retention overtakes a paused stream: 5 MiB is what the mock keeps
sub overfill
{
	my $payload = sprintf('{"item": "%s", "amount": 1}', 'x' x 1000);

	$broker->produce('orders', 0, ($payload) x 7000);
}

$node->safe_psql('postgres', "SELECT streamx.pause('orders')");
overfill();
$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
eventually($node, "SELECT state FROM streamx.stat_workers WHERE stream_name = 'orders'", 'failing', 'a gap stops the stream');
like($node->safe_psql('postgres', "SELECT last_error FROM streamx.stat_workers WHERE stream_name = 'orders'"),
	qr/offsets 101 to \d+ of partition 0 of Kafka topic "orders" are gone/, 'with the offsets that are gone');
shows($node, 'SELECT n FROM revenue', '205', 'nothing is counted behind a gap');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE orders OPTIONS (ADD on_gap 'skip')");
caught_up($node, 'orders');
shows($node, <<'END', 't|t', "with on_gap 'skip' the gap is recorded and the stream goes on");
SELECT s.from_offset = 101,
	(SELECT n FROM revenue) = 205 + 7000 - (s.to_offset - s.from_offset)
FROM streamx_internal.skip s
END

$node->stop;
$broker->stop;
done_testing();
