# Lag is unknown, not 0, while the end of a partition has not been seen

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(-brokers => 2, orders => 2);
my $node = streamx_node('mock_lag', broker => $broker);
my $of_partitions = 'SELECT end_offset, lag FROM streamx.stat_partitions ORDER BY "partition"';
my $of_all = 'SELECT s.lag, v.lag FROM streamx.stat_streams s, streamx.stat_views v';

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (amount int) SERVER kafka OPTIONS (topic 'orders');
SELECT streamx.pause('orders');
CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) AS n FROM orders;
END
$broker->tell("leader orders $_ @{[$_ + 1]}") for 0, 1;
$broker->produce('orders', 1, map { "{\"amount\": $_}" } 1 .. 10);
shows($node, $of_all, '|', 'before the first look at the topic nothing is known');

# A step moves the offsets, but no worker has seen the ends
$node->safe_psql('postgres', "SELECT streamx.step('orders', 5)");
shows($node, 'SELECT "offset" FROM streamx.stat_partitions ORDER BY "partition"', "0\n5", 'a step takes some messages');
$broker->produce('orders', 0, map { "{\"amount\": $_}" } 1 .. 10);
shows($node, $of_partitions, "|\n|", 'the ends are unknown, and so is the lag');
shows($node, $of_all, '|', 'of the stream and of the view, too');

# One partition's end is known, the other's is not: nobody leads it.  Of the mock of librdkafka 2.8 its leader is away, as
# that mock ends when it is asked for a partition without one, which the client of the step may do after its end
my ($gone, $back) = $broker->library =~ /^2\.0\./ ? ('leader orders 1 -1', 'leader orders 1 2') : ('down 2', 'up 2');
$broker->tell($gone);
$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
eventually($node, $of_partitions, "10|0\n|", 'the worker sees the end of the partition that it can read');
shows($node, $of_all, '|', 'a sum with an unknown part is unknown');
$broker->tell($back);
eventually($node, $of_partitions, "10|0\n10|0", 'then of both');
eventually($node, $of_all, '0|0', 'and there is no lag');
verified($node, 'counted');

# The end that was last seen is remembered while nobody reads, but not over a restart
$node->safe_psql('postgres', "SELECT streamx.pause('orders')");
$node->restart;
shows($node, $of_partitions, "|\n|", 'after a restart the ends are unknown again');
shows($node, $of_all, '|', 'of the sums, too');

# A stream that is fed by INSERT has no topic to lag behind
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE clicks (page text) SERVER streamx;
CREATE VIEW pages WITH (streamx.continuous) AS SELECT count(*) AS n FROM clicks;
INSERT INTO clicks VALUES ('a');
END
shows($node, q{SELECT s.lag, v.lag FROM streamx.stat_streams s JOIN streamx.stat_views v USING (stream) WHERE stream = 'clicks'::regclass},
	'|', 'a stream fed by INSERT has none');

$node->stop;
$broker->stop;
done_testing();
