# Fault 31: no space on disk.  What does not fit fails as a whole, and is there once there is space; without space for WAL the server recovers

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;
use Time::HiRes qw(usleep);

my $library = "$FindBin::RealBin/full_disk.so";
my $order = PostgreSQL::Test::Utils::tempdir() . '/full';
my $broker = StreamX::Broker->new(orders => 2);
my $sent = 0;

my $node = preloading($library, { STREAMX_FULL_DISK => $order },
	sub { streamx_node('disk_full', broker => $broker, settings => [ 'streamx.max_restart_backoff = 200ms', 'checkpoint_timeout = 1h' ]) });

# From now on no file grows whose path contains the word: see full_disk.c.
sub fill
{
	my ($what) = @_;

	write_whole($order, $what);
}

# Each message has a group of its own, a hundred of which are more than a page.
sub send_orders
{
	my ($n) = @_;

	for my $partition (0, 1)
	{
		$broker->produce('orders', $partition, map { sprintf('{"n": %d, "item": "item %d %s"}', $_, $_, 'x' x 100) } grep { $_ % 2 == $partition } $sent + 1 .. $sent + $n);
	}
	$sent += $n;
}

sub each_counts_once
{
	my ($title) = @_;

	caught_up($node, 'orders');
	shows($node, 'SELECT count, numbers FROM total', "$sent|$sent", "$title: each message counts once");
	shows($node, 'SELECT count(*), sum(count) FROM items', "$sent|$sent", "$title: in a group of its own");
	verified($node, $_) for qw(total items);
}

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (n int, item text) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*), count(DISTINCT n) AS numbers FROM orders;
CREATE VIEW items WITH (streamx.continuous) AS SELECT item, count(*), sum(n), array_agg(n) AS list FROM orders GROUP BY item;
CREATE FOREIGN TABLE visits (page text) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW pages WITH (streamx.continuous) AS SELECT page, count(*) FROM visits GROUP BY page;
END
send_orders(200);
each_counts_once('to begin with');

# When tables cannot grow
my $insert = q{INSERT INTO visits SELECT 'page ' || i || repeat('x', 100) FROM generate_series(1, 3000) i};
fill('/base/');
send_orders(3000);
eventually($node, q{SELECT last_error LIKE '%No space left on device%' FROM streamx.stat_workers WHERE stream_name = 'orders'}, 't', 'a batch without space is an error that says so');
shows($node, 'SELECT sum(count) < 3200 FROM items', 't', 'its view can be read');
verified($node, 'items');
my (undef, undef, $error) = $node->psql('postgres', $insert);
like($error, qr/No space left on device/, 'an INSERT without space is one, too');
shows($node, 'SELECT (SELECT count(*) FROM pages), (SELECT count(*) FROM visits)', '0|0', 'and nothing of it is there');

# Then all is there once they can
unlink $order or die "$order: $!";
each_counts_once('space again');
eventually($node, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'orders'::regclass}, '1', 'the views are together');
$node->safe_psql('postgres', $insert);
shows($node, 'SELECT count(*), sum(count) FROM pages', '3000|3000', 'INSERT works');
verified($node, 'pages');

# When there is no space for the next segment of WAL, for one try
fill('/pg_wal/ once');
for (1 .. 20)
{
	send_orders(100);
	usleep(50_000);
	# the server may go away meanwhile
	eval { my @answer = $node->psql('postgres', 'SELECT pg_switch_wal()'); };
	last unless -e $order;
}
ok(!-e $order, 'WAL had no space');
$node->wait_for_log(qr/PANIC: [^\n]*No space left on device.*database system is ready to accept connections/s);
pass('the server has recovered');

# Then nothing is lost
ask_until($node, 'SELECT true') or die 'the server does not come back';
each_counts_once('after recovery');
shows($node, 'SELECT count(*), sum(count) FROM pages', '3000|3000', 'what was inserted is there');
verified($node, 'pages');

$node->stop;
$broker->stop;
done_testing();
