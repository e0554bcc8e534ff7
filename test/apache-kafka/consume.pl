# Messages of Apache Kafka, however they are compressed and however large they are, count once

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my @codecs = qw(none gzip snappy lz4 zstd);
my $broker = StreamX::Broker->new(orders => 2, -settings => [ 'message.max.bytes=130000000', 'socket.request.max.bytes=150000000' ]);
my $node = streamx_node('consume', broker => $broker);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, amount numeric, at timestamptz)
	SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at');
CREATE VIEW revenue WITH (streamx.continuous) AS
	SELECT tumble(at, '1 minute') AS w, item, count(*) AS n, sum(amount) AS total FROM orders GROUP BY 1, 2;
END

# Given a thousand messages of each codec, half of them in each partition
sub order
{
	my ($item, $number) = @_;

	return sprintf '{"item": "%s", "amount": "%d.50", "at": "2024-05-01T10:00:%02dZ"}', $item, $number, $number % 60;
}

for my $codec (@codecs)
{
	my @orders = map { order($codec, $_) } 1 .. 500;

	$broker->produce_lines('orders', [ '--compression', $codec ], map { ("0\t\t\\N\t$_", "1\t\t\\N\t$_") } @orders);
}
caught_up($node, 'orders');

# Then each message has counted once: 2 * (1.50 + ... + 500.50)
shows($node, "SELECT n, total FROM revenue WHERE item = '$_'", '1000|251000.00', "codec $_: each message counts once")
	for @codecs;
eventually($node, q{SELECT sum(lag) FROM streamx.stat_partitions WHERE stream = 'orders'::regclass},
	'0', 'there is no lag at the end');
verified($node, 'revenue');

# A message is seen by the batch query too
shows($node, 'SELECT count(*) FROM orders', '5000', 'SELECT reads the topic to its end');

# A view may start at a time, said in the time zone of who makes it: with what was written since, in each partition
select(undef, undef, undef, 0.05);
my $time = $node->safe_psql('postgres', q{SET timezone = 'Asia/Tokyo'; SELECT clock_timestamp()::timestamp});
select(undef, undef, undef, 0.05);
$broker->produce('orders', $_, map { order('new', $_) } 1 .. 3 + $_) for 0, 1;
$node->safe_psql('postgres', "SET timezone = 'Asia/Tokyo'; CREATE VIEW since WITH (streamx.continuous, streamx.start = '$time') AS SELECT count(*) FROM orders");
caught_up($node, 'orders');
shows($node, 'SELECT count FROM since', '7', 'a view that starts at a time has what was written since');
verified($node, 'since');

# A hundred megabytes: more than an answer may have, unless the server says otherwise
my $most = 100 * 1024 * 1024;

# Memory of the worker's own, in MB
sub memory
{
	my ($pid) = worker_pid('huge');

	return slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m ? $1 / 1024 : die "no process $pid";
}

sub worker_pid { return $node->safe_psql('postgres', "SELECT pid FROM streamx.stat_workers WHERE stream_name = '$_[0]'"); }
sub produce_large { $broker->produce_lines('huge', [ '--property', 'message.max.bytes=130000000' ], map { "0\t\t\\N\t$_" } @_); }

$broker->create_topic('huge', 1);
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE huge (n int, text text) SERVER kafka OPTIONS (topic 'huge', format 'json');
CREATE VIEW lengths WITH (streamx.continuous) AS SELECT n, count(*), sum(length(text)) FROM huge GROUP BY n;
END
$broker->produce('huge', 0, '{"n": 1, "text": "small"}');
caught_up($node, 'huge');
my $before = memory();
my $pid = worker_pid('huge');
produce_large('{"n": 2, "text": "' . 'x' x $most . '"}');
eventually($node, q{SELECT last_error LIKE 'could not read Kafka topic "huge"%increase receive.message.max.bytes%' FROM streamx.stat_workers WHERE stream_name = 'huge'},
	't', 'fault 25: what an answer cannot hold is an error that says what to increase');
$node->safe_psql('postgres', q{ALTER SERVER kafka OPTIONS (ADD receive_message_max_bytes '200000000')});
eventually($node, 'SELECT * FROM lengths ORDER BY n', "1|1|5\n2|1|$most", 'fault 25: then a message of 100 MB counts');

# One that is no JSON is kept as it is
produce_large('x' x $most);
$broker->produce('huge', 0, '{"n": 3, "text": "small"}');
caught_up($node, 'huge');
shows($node, 'SELECT * FROM lengths ORDER BY n', "1|1|5\n2|1|$most\n3|1|5", 'fault 25: so does what comes after a bad one of 100 MB');
shows($node, q{SELECT "offset", length(payload) FROM streamx.dead_letters WHERE stream = 'huge'::regclass}, "2|$most", 'fault 25: which is a dead letter, whole');
my $after = memory();
cmp_ok($after, '<', $before + 50, "fault 25: the worker gives the memory back: $before MB before, $after MB after");
is(worker_pid('huge'), $pid, 'fault 25: it is the same worker');
verified($node, 'lengths');

$node->stop;
$broker->stop;
done_testing();
