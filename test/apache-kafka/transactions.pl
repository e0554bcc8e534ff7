# Aborted and open transactions of producers are never seen, and markers are no lag, nor do they keep a rebuild from its end

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2, silent => 1);
my $node = streamx_node('transactions', broker => $broker);
my $lag = q{SELECT coalesce(sum(lag), -1) FROM streamx.stat_partitions WHERE stream = '%s'::regclass};

sub order { my ($item, $amount) = @_; return qq({"item": "$item", "amount": $amount}); }

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, amount int)
	SERVER kafka OPTIONS (topic 'orders', format 'json');
CREATE VIEW revenue WITH (streamx.continuous) AS
	SELECT item, count(*) AS n, sum(amount) AS total FROM orders GROUP BY item;
CREATE FOREIGN TABLE silent (item text)
	SERVER kafka OPTIONS (topic 'silent', format 'json');
CREATE VIEW nothing WITH (streamx.continuous) AS
	SELECT item, count(*) AS n FROM silent GROUP BY item;
END

# Of a committed and an aborted transaction, the committed one counts
$broker->transactions('orders',
	'send 0 ' . order('tea', 1), 'send 1 ' . order('tea', 2), 'commit',
	'send 0 ' . order('poison', 100), 'send 1 ' . order('poison', 100), 'abort',
	'send 0 ' . order('tea', 4), 'commit');
caught_up($node, 'orders');
shows($node, 'SELECT item, n, total FROM revenue', 'tea|3|7', 'aborted messages are never seen');

# The topic ends in a marker, which no consumer is ever handed
eventually($node, sprintf($lag, 'orders'), '0', 'lag is 0 at the end of a topic that ends in a commit marker');
$broker->transactions('orders', 'send 0 ' . order('poison', 100), 'abort');
caught_up($node, 'orders');
eventually($node, sprintf($lag, 'orders'), '0', 'lag is 0 at the end of a topic that ends in an abort marker');

# A topic without a single visible message
$broker->transactions('silent', 'send 0 {"item": "poison"}', 'abort');
caught_up($node, 'silent');
eventually($node, sprintf($lag, 'silent'), '0', 'lag is 0 where nothing was ever committed');
shows($node, 'SELECT count(*) FROM nothing', '0', 'nothing is counted there');

# A producer that died leaves its transaction open; later messages wait for the broker to abort it
$broker->transactions('orders', 'send 0 ' . order('poison', 100));
$broker->produce('orders', 0, order('tea', 8));
eventually($node, q{SELECT n, total FROM revenue WHERE item = 'tea'}, '4|15', 'messages after an abandoned transaction count');
shows($node, q{SELECT count(*) FROM revenue WHERE item = 'poison'}, '0', 'the abandoned one does not');

# The batch sees the same
shows($node, 'SELECT item, count(*), sum(amount) FROM orders GROUP BY item', 'tea|4|15', 'SELECT reads committed messages only');
verified($node, 'revenue');

# And a crash between markers changes nothing
kill_workers($node);
$broker->transactions('orders', 'send 1 ' . order('poison', 1), 'abort', 'send 1 ' . order('tea', 16), 'commit');
caught_up($node, 'orders');
shows($node, 'SELECT item, n, total FROM revenue', 'tea|5|31', 'after a crash each committed message counts once');

# A paused view is rebuilt as far as it stands, though the log ends behind that and holds no message there, or one that is further on
my $stands = q{SELECT p."partition", p.next_offset FROM streamx.progress p JOIN streamx.view_streams USING (reader) WHERE view = 'revenue'::regclass ORDER BY 1};
$node->safe_psql('postgres', q{SELECT streamx.pause('revenue')});
my $stood = $node->safe_psql('postgres', $stands);
for my $behind ('marks', 'marks and messages')
{
	$broker->transactions('orders', map { ("send $_ " . order('poison', 100), 'abort') } 0, 1);
	$node->safe_psql('postgres', q{SELECT streamx.rebuild('revenue')});
	eventually($node, 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL', '0', "a paused view is rebuilt, with $behind behind it");
	shows($node, $stands, $stood, 'it stands where it stood');
	shows($node, 'SELECT item, n, total FROM revenue', 'tea|5|31', 'and shows what it showed');
	$broker->transactions('orders', (map { "send $_ " . order('tea', 32) } 0, 1), 'commit');
}
$node->safe_psql('postgres', q{SELECT streamx.resume('revenue')});
caught_up($node, 'orders');
shows($node, 'SELECT item, n, total FROM revenue', 'tea|9|159', 'then it goes on');
verified($node, 'revenue');

$node->stop;
$broker->stop;
done_testing();
