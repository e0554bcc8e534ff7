# Fault 48 of docs/reliability.md: a batch takes one transaction ID, whatever is in it, and nothing to do takes none; and
# storms of invalidations

use strict;
use warnings;

use IPC::Run;
use Proxy;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $proxy = Proxy->new($broker->address);
my $address = $proxy->address;
# nobody else is to take any; each look for new partitions is a turn of the worker, and the proxy counts them
my $node = streamx_node('transaction_ids', settings => [ 'autovacuum = off', q{streamx.discovery_interval = '20ms'} ]);
my $count = 'SELECT pg_snapshot_xmax(pg_current_snapshot()), batches FROM streamx.stat_workers';

# Transaction IDs and batches so far, when the worker has nothing to do for so many turns.
sub at_rest
{
	my ($turns) = @_;
	my $before = '';
	my $now = $node->safe_psql('postgres', $count);

	for (1 .. 10)
	{
		last if $before eq $now;
		$before = $now;
		$proxy->wait_until('Metadata', $proxy->count('Metadata') + $turns) or die 'the worker does not look for partitions';
		$now = $node->safe_psql('postgres', $count);
	}
	is($now, $before, "$turns turns without work take no transaction ID");
	return split /\|/, $now;
}

$node->safe_psql('postgres', <<"END");
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address');
CREATE FOREIGN TABLE orders (at timestamptz, item text, n int) SERVER kafka OPTIONS (topic 'orders', event_time 'at', on_error 'dead_letter');
SELECT streamx.pause('orders');
CREATE VIEW totals WITH (streamx.continuous) AS SELECT count(*), sum(n), count(DISTINCT item) AS items FROM orders;
CREATE VIEW tumbled WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS
	SELECT tumble(at, '10 minutes') AS w, item, count(*), sum(n) FROM orders GROUP BY 1, 2;
CREATE VIEW hopped WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, max(n) FROM orders GROUP BY 1;
CREATE VIEW sittings WITH (streamx.continuous) AS SELECT session(at, '2 minutes') AS w, item, count(*) FROM orders GROUP BY 1, 2;
CREATE VIEW listed WITH (streamx.continuous) AS SELECT item, array_agg(n) FROM orders GROUP BY 1;
SELECT streamx.resume('orders');
END

# Rows that are late and messages that are bad among the others; at => minutes.
sub send_orders
{
	my ($at) = @_;
	my $line = '{"at": "2024-05-01 10:%02d:00Z", "item": "%s", "n": %d}';

	$broker->produce('orders', $_, map { sprintf($line, $_ == 4 ? 0 : $at, chr(97 + $_), $_) } 0 .. 4) for 0, 1;
	$broker->produce('orders', 0, '{"at": "yesterday", "n": 1}', 'no JSON');
	caught_up($node, 'orders');
}

# The first batches make what is made once
send_orders(0);
my ($ids, $batches) = at_rest(10);
send_orders($_ * 4) for 1 .. 12;
my ($ids_now, $batches_now) = at_rest(50);
cmp_ok($batches_now, '>=', $batches + 12, 'there were batches');
is($ids_now - $ids, $batches_now - $batches, 'each took one transaction ID');
shows($node, 'SELECT count(*) > 0 FROM streamx.late_rows', 't', 'rows were late');
shows($node, 'SELECT count(*) FROM streamx.dead_letters', '26', 'and bad');
verified($node, $_) for qw(totals tumbled hopped sittings listed);

# Far more news of the catalog than the queue for it holds (4096), and of the stream itself, while messages come
my ($worker) = $node->safe_psql('postgres', 'SELECT pid FROM streamx.stat_workers');
my $count_before = $node->safe_psql('postgres', 'SELECT count FROM totals');
my ($out, $err) = ('', '');
my $storm;
$node->safe_psql('postgres', <<'END');
CREATE PROCEDURE storm() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 300 LOOP
		CREATE TEMP TABLE blown (a int, b text, c numeric, d timestamptz);
		ALTER FOREIGN TABLE orders ALTER item SET STATISTICS 100;
		DROP TABLE blown;
		COMMIT;
	END LOOP;
END $$;
END
$storm = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'CALL storm()' ], '>', \$out, '2>', \$err);
send_orders($_) for 49 .. 53;
$storm->finish;
is($err, '', 'the storm is over');
send_orders(54);
shows($node, 'SELECT count FROM totals', $count_before + 60, 'each message counts once, in a storm of invalidations');
shows($node, 'SELECT pid, failures FROM streamx.stat_workers, (SELECT max(failures) AS failures FROM streamx.stat_views) v', "$worker|0", 'nor did the worker end or fail');
verified($node, $_) for qw(totals tumbled);

$node->stop;
$proxy->stop;
$broker->stop;
done_testing();
