# A rebuild of a view that has not begun to read: what is to take its place begins where the view does

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('rebuild_unread', broker => $broker);
my $rebuilding = 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL';

sub send_orders
{
	my ($n) = @_;

	$broker->produce('orders', $_, ('{"amount": 1}') x $n) for 0, 1;
}

# Given a stream at work, and a view that is paused before it could look at the topic
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (amount int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*) FROM orders;
END
send_orders(10);
caught_up($node, 'orders');
$node->safe_psql('postgres', <<'END');
BEGIN;
CREATE VIEW lately WITH (streamx.continuous, streamx.start = 'latest') AS SELECT count(*) FROM orders;
SELECT streamx.pause('lately');
SELECT streamx.rebuild('lately');
COMMIT;
END

# When more comes before it goes on
send_orders(10);
eventually($node, 'SELECT count FROM total', '40', 'the stream goes on');
$node->safe_psql('postgres', "SELECT streamx.resume('lately')");
eventually($node, $rebuilding, '0', 'it is rebuilt');
eventually($node, q{SELECT count(*) FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE view = 'lately'::regclass}, '2', 'and begins');
send_orders(10);
caught_up($node, 'orders');
shows($node, 'SELECT count FROM lately', '20', 'so it counts what came since');
verified($node, 'lately');

# Once it has begun, that is where a rebuild begins
$node->safe_psql('postgres', q{SELECT streamx.rebuild('lately')});
eventually($node, $rebuilding, '0', 'it is rebuilt once it reads, too');
caught_up($node, 'orders');
shows($node, 'SELECT count FROM lately', '20', 'with the same result');
verified($node, 'lately');

# A step takes what there is, also while a rebuild waits for the partitions of its view, which has its turn later
$node->safe_psql('postgres', <<'END');
SELECT streamx.pause('orders');
BEGIN;
CREATE VIEW first WITH (streamx.continuous) AS SELECT count(*) FROM orders;
CREATE VIEW second WITH (streamx.continuous) AS SELECT count(*) FROM orders;
SELECT streamx.rebuild('second');
COMMIT;
SELECT streamx.pause('second');
SELECT streamx.resume('second');
END
$node->safe_psql('postgres', "SELECT streamx.step('orders', 5)");
$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
eventually($node, $rebuilding, '0', 'a view is rebuilt that was stepped first');
caught_up($node, 'orders');
verified($node, $_) for qw(first second);

$node->stop;
$broker->stop;
done_testing();
