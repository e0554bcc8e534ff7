# Messages of Apache Kafka, however they are compressed, count once

use strict;
use warnings;

use StreamX;
use Test::More;

my @codecs = qw(none gzip snappy lz4 zstd);
my $broker = StreamX::Broker->new(orders => 2);
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

$node->stop;
$broker->stop;
done_testing();
