# Partitions that are added later are found, and read from their beginning

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1);
my $node = streamx_node('partitions', broker => $broker);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, at timestamptz, p int OPTIONS (metadata 'partition'))
	SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at');
CREATE VIEW sold WITH (streamx.continuous) AS
	SELECT p, count(*) AS n FROM orders GROUP BY p;
END

$broker->produce('orders', 0, ('{"item": "tea", "at": "2024-05-01T10:00:00Z"}') x 10);
caught_up($node, 'orders');
shows($node, 'SELECT p, n FROM sold', '0|10', 'one partition is read');

# Messages are in the new partition before anyone can have noticed it
$broker->add_partitions('orders', 3);
$broker->produce('orders', 2, ('{"item": "tea", "at": "2024-05-01T10:00:01Z"}') x 7);
eventually($node, q{SELECT coalesce(max(n), 0) FROM sold WHERE p = 2}, '7', 'the new partition is read from its beginning');
eventually($node, q{SELECT count(*) FROM streamx.stat_partitions WHERE stream = 'orders'::regclass},
	'3', 'all partitions are shown');
verified($node, 'sold');

$node->stop;
$broker->stop;
done_testing();
