# A broker that goes away, politely or not, loses nothing and repeats nothing

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('restart', broker => $broker);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, amount int)
	SERVER kafka OPTIONS (topic 'orders', format 'json');
CREATE VIEW revenue WITH (streamx.continuous) AS
	SELECT item, count(*) AS n, sum(amount) AS total FROM orders GROUP BY item;
END

sub produce_thousand
{
	$broker->produce('orders', $_, map { qq({"item": "tea", "amount": $_}) } 1 .. 500) for 0, 1;
}

produce_thousand();
caught_up($node, 'orders');
shows($node, 'SELECT n, total FROM revenue', '1000|250500', 'the first thousand count');

# A broker that is away is not an error of the view
$broker->kill9;
shows($node, 'SELECT n, total FROM revenue', '1000|250500', 'the view is readable while the broker is away');
$broker->restart;
produce_thousand();
caught_up($node, 'orders');
shows($node, 'SELECT n, total FROM revenue', '2000|501000', 'after a crash of the broker each message counts once');

# A restart in the middle of the backlog
produce_thousand() for 1 .. 20;
$broker->restart;
produce_thousand();
caught_up($node, 'orders');
shows($node, 'SELECT n, total FROM revenue', '23000|5761500', 'after a restart of the broker each message counts once');

# Both sides at once
produce_thousand();
kill_workers($node);
$broker->restart;
caught_up($node, 'orders');
shows($node, 'SELECT n, total FROM revenue', '24000|6012000', 'after a crash of the worker too');
verified($node, 'revenue');

$node->stop;
$broker->stop;
done_testing();
