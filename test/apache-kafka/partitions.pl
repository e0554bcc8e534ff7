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
CREATE FOREIGN TABLE shared (item text, at timestamptz, p int OPTIONS (metadata 'partition'))
	SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at', workers '2');
CREATE VIEW shared_sold WITH (streamx.continuous) AS
	SELECT p, count(*) AS n FROM shared GROUP BY p;
END

$broker->produce('orders', 0, ('{"item": "tea", "at": "2024-05-01T10:00:00Z"}') x 10);
caught_up($node, $_) for qw(orders shared);
shows($node, 'SELECT p, n FROM sold', '0|10', 'one partition is read');

# Messages are in the new partition before anyone can have noticed it
$broker->add_partitions('orders', 3);
$broker->produce('orders', 2, ('{"item": "tea", "at": "2024-05-01T10:00:01Z"}') x 7);
$broker->produce('orders', 1, ('{"item": "tea", "at": "2024-05-01T10:00:01Z"}') x 5);
for my $view (qw(sold shared_sold))
{
	eventually($node, "SELECT string_agg(p || ' ' || n, ', ' ORDER BY p) FROM $view", '0 10, 1 5, 2 7', "new partitions are read from their beginning: $view");
	verified($node, $view);
}
eventually($node, q{SELECT stream::text, count(*) FROM streamx.stat_partitions GROUP BY 1 ORDER BY 1}, "orders|3\nshared|3", 'all partitions are shown');

$node->stop;
$broker->stop;
done_testing();
