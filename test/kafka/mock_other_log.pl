# A topic that is not the one that was read stops its stream, and says so: nothing is counted of it

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2, single => 1);
my $other = StreamX::Broker->new(orders => 2, single => 1);
my $smaller = StreamX::Broker->new(orders => 1);
my $node = streamx_node('other_log', broker => $broker,
	settings => [ 'streamx.max_restart_backoff = 300ms', 'streamx.discovery_interval = 1s' ]);
my $message = '{"item": "tea", "amount": 1}';

sub use_broker
{
	my ($which) = @_;

	$node->safe_psql('postgres', q{ALTER SERVER kafka OPTIONS (SET bootstrap_servers '} . $which->address . q{')});
}

sub stops
{
	my ($stream, $error, $what) = @_;

	eventually($node, "SELECT last_error LIKE '$error' FROM streamx.stat_workers WHERE stream_name = '$stream' AND state = 'failing'", 't', $what);
}

$node->safe_psql('postgres', <<'END_SQL');
CREATE FOREIGN TABLE orders (item text, amount int) SERVER kafka OPTIONS (topic 'orders', format 'json');
CREATE VIEW revenue WITH (streamx.continuous) AS SELECT count(*) AS n FROM orders;
CREATE FOREIGN TABLE single (item text, amount int) SERVER kafka OPTIONS (topic 'single', format 'json');
CREATE VIEW single_sum WITH (streamx.continuous) AS SELECT count(*) AS n FROM single;
END_SQL
$broker->produce('orders', $_, ($message) x 10) for 0, 1;
$broker->produce('single', 0, ($message) x 3);
caught_up($node, $_) for qw(orders single);
shows($node, q{SELECT count(*), count(fingerprint), count(DISTINCT cluster) FROM streamx.progress JOIN streamx.readers USING (reader)},
	'3|3|1', 'the last message of each partition is known, and the cluster');

# The last message is looked at again when a worker starts, and when the brokers were away
kill_workers($node);
$broker->produce('orders', 0, $message);
caught_up($node, 'orders');
$broker->tell('down all');
eventually($node, "SELECT state FROM streamx.stat_workers WHERE stream_name = 'orders'", 'disconnected', 'the brokers are away');
$broker->tell('up all');
$broker->produce('orders', 1, $message);
caught_up($node, 'orders');
shows($node, 'SELECT n FROM revenue', '22', 'the same log goes on');

# Another cluster
use_broker($other);
$other->produce('orders', $_, ('{"item": "coffee", "amount": 1}') x 50) for 0, 1;
stops('orders', '%was read from cluster%', 'another cluster stops the stream');
shows($node, 'SELECT n FROM revenue', '22', 'and nothing of it is counted');
use_broker($broker);
$broker->produce('orders', 0, $message);
caught_up($node, 'orders');
shows($node, 'SELECT n FROM revenue', '23', 'back at the right one it goes on');

# What it was told to skip is of this log
$node->safe_psql('postgres', q{SELECT streamx.pause('orders')});
$broker->produce('orders', 0, $message);
$node->safe_psql('postgres', q{SELECT streamx.skip('orders', 0, 12); SELECT streamx.resume('orders')});
$broker->produce('orders', 0, $message); # by which the log is known again
caught_up($node, 'orders');
shows($node, 'SELECT n FROM revenue', '24', 'a message is skipped');

# It is told to go on there: then the log is another one all the same
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE orders OPTIONS (ADD on_gap 'skip')});
use_broker($other);
eventually($node, 'SELECT n FROM revenue', '124', q{with on_gap 'skip' it goes on where the other log begins});
shows($node, q{SELECT "partition", from_offset, to_offset, reason FROM streamx.skips ORDER BY 1, 2}, "0|12|13|gone\n0|14|0|gone\n1|11|0|gone", 'which is recorded');

# Fewer partitions
use_broker($smaller);
stops('orders', '%partition 1 of Kafka topic "orders"%is gone%', 'fewer partitions stop the stream');

# The same offset, another message, by the same brokers: made here by changing what is remembered
use_broker($broker);
eventually($node, "SELECT count(*) FROM streamx.stat_workers WHERE stream_name = 'single' AND state = 'caught up'", '1', 'single goes on');
$node->safe_psql('postgres', <<'END_SQL');
UPDATE streamx.progress SET fingerprint = fingerprint + 1 WHERE topic = 'single';
END_SQL
kill_workers($node); # so that it is read
$broker->produce('single', 0, $message);
stops('single', 'partition 0 of Kafka topic "single" has another record before offset 3%', 'another record in place of the last one stops the stream');
shows($node, 'SELECT n FROM single_sum', '3', 'and nothing behind it is counted');
my ($status, $output, $error) = do {
	$node->safe_psql('postgres', q{SELECT streamx.pause('single')});
	$node->psql('postgres', q{SELECT streamx.step('single', 10)});
};
like($error, qr/another record before offset 3/, 'nor by step');

$node->stop;
$_->stop for $broker, $other, $smaller;
done_testing();
