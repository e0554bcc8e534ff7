# Administration from psql: pause, resume, step, watermark, wait_for, and who may

use strict;
use warnings;

use IPC::Run;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('admin', broker => $broker, settings => ['autovacuum = off']); # which takes transaction ids

sub fails
{
	my ($query, $expected, $title) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $query);

	like($err, $expected, $title);
}

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, amount int) SERVER kafka OPTIONS (topic 'orders', format 'json');
SELECT streamx.pause('orders');
CREATE VIEW revenue WITH (streamx.continuous) AS SELECT item, count(*) AS n, sum(amount) AS total FROM orders GROUP BY item;
CREATE VIEW running WITH (streamx.continuous) AS SELECT count(*) AS n FROM orders;
END

# On a paused stream nothing moves by itself, and step moves it
$broker->produce('orders', $_, map { qq({"item": "tea", "amount": $_}) } 1 .. 10) for 0, 1;
fails("CALL streamx.wait_for('orders')", qr/stream "orders" is paused.*HINT:  Run streamx.resume first/s, 'wait_for says that the stream is paused');
shows($node, 'SELECT count(*) FROM revenue', '0', 'a paused stream stands');
shows($node, 'SELECT state FROM streamx.stat_streams', 'paused', 'and says so');
shows($node, 'SELECT count(*) FROM streamx.readers', '1', 'two views created on it share a reader');

$node->safe_psql('postgres', <<'END');
BEGIN;
SELECT streamx.step('orders', max_rows => 5);
ROLLBACK;
END
shows($node, 'SELECT (SELECT count(*) FROM revenue), n FROM running', '0|0', 'a step that is rolled back leaves nothing');
shows($node, "SELECT streamx.step('orders', max_rows => 5)", '5', 'step says how many rows it took');
shows($node, 'SELECT r.n, running.n FROM revenue r, running', '5|5', 'both views move together');
shows($node, "BEGIN; SELECT streamx.step('orders', 3); SELECT n FROM running; SELECT streamx.step('orders', 3); SELECT n FROM running; COMMIT",
	"3\n8\n3\n11", 'several steps in one transaction see each other');
shows($node, "SELECT streamx.step('orders')", '9', 'a step ends at the end of the topic');
shows($node, "SELECT streamx.step('orders')", '0', 'where there is nothing more');
shows($node, 'SELECT n, total FROM revenue', '20|110', 'each message counts once');
verified($node, $_) for qw(revenue running);

# resume
$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
fails("SELECT streamx.step('orders')", qr/stream "orders" is not paused.*HINT:  Run SELECT streamx.pause\('orders'\) first/s, 'a running stream is not stepped');
$broker->produce('orders', 0, '{"item": "tea", "amount": 1}');
caught_up($node, 'orders');
shows($node, 'SELECT n, total FROM revenue', '21|111', 'a resumed stream goes on where the steps ended');

# One view pauses, the other goes on
$node->safe_psql('postgres', "SELECT streamx.pause('running')");
$broker->produce('orders', 0, '{"item": "tea", "amount": 1}');
eventually($node, 'SELECT n FROM revenue', '22', 'the other view goes on');
shows($node, 'SELECT n FROM running', '21', 'a paused view stands');
eventually($node, "SELECT view, state FROM streamx.stat_views ORDER BY view::text", "revenue|caught up\nrunning|paused", 'and says so');
fails("CALL streamx.wait_for('orders')", qr/a continuous view of stream "orders" is paused/, 'wait_for says so');
verified($node, 'running');
$node->safe_psql('postgres', "SELECT streamx.resume('running')");
caught_up($node, 'orders');
shows($node, 'SELECT n FROM running', '22', 'a resumed view catches up');
verified($node, $_) for qw(revenue running);

# What cannot be
fails("BEGIN; CALL streamx.wait_for('orders'); COMMIT", qr/streamx.wait_for cannot run inside a transaction block/, 'wait_for needs to be alone');
fails("CALL streamx.wait_for('revenue')", qr/"revenue" is a continuous view, not a stream/, 'wait_for takes a stream');
fails("SELECT streamx.pause('pg_class')", qr/"pg_class" is neither a stream nor a continuous view/, 'pause takes a stream or a view');
fails("SELECT streamx.step('revenue')", qr/"revenue" is a continuous view, not a stream/, 'step takes a stream');
fails("SELECT streamx.step('orders', 0)", qr/max_rows must be at least 1/, 'step takes at least a row');
fails("SELECT streamx.pause(0::oid::regclass)", qr/does not exist/, 'pause takes what exists');
$node->safe_psql('postgres', "CREATE FOREIGN TABLE clicks (page text) SERVER streamx; CREATE VIEW pages WITH (streamx.continuous) AS SELECT page, count(*) AS n FROM clicks GROUP BY 1");
fails("SELECT streamx.step('clicks')", qr/stream "clicks" cannot be stepped/, 'a stream fed by INSERT is not stepped');
fails("SELECT streamx.pause('pages')", qr/continuous view "pages" cannot be paused by itself/, 'nor is its view paused');
$node->safe_psql('postgres', "CALL streamx.wait_for('clicks')");
$node->safe_psql('postgres', "SELECT streamx.pause('clicks')");
fails("INSERT INTO clicks VALUES ('a')", qr/stream "clicks" is paused/, 'INSERT into a paused stream is an error');
$node->safe_psql('postgres', "SELECT streamx.resume('clicks'); INSERT INTO clicks VALUES ('a')");
shows($node, 'SELECT n FROM pages', '1', 'until it is resumed');

# Who may
$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN; CREATE ROLE watcher LOGIN IN ROLE pg_monitor');
fails("SET ROLE reader; SELECT streamx.pause('orders')", qr/must be owner of foreign table orders/, 'only the owner pauses a stream');
fails("SET ROLE reader; SELECT streamx.pause('running')", qr/must be owner of view running/, 'or a view');
fails("SET ROLE reader; SELECT streamx.step('orders')", qr/must be owner/, 'only the owner steps');
fails("SET ROLE reader; SELECT streamx.watermark('revenue')", qr/permission denied for view revenue/, 'the watermark needs SELECT');
fails("SET ROLE reader; CALL streamx.wait_for('orders')", qr/permission denied for foreign table orders/, 'so does wait_for');
$node->safe_psql('postgres', 'GRANT SELECT ON revenue, orders TO reader');
is($node->safe_psql('postgres', "SET ROLE reader; SELECT streamx.watermark('revenue') IS NULL"), 't', 'a stream without event_time has no watermark');
$node->safe_psql('postgres', "SET ROLE reader; CALL streamx.wait_for('orders')");
is($node->safe_psql('postgres', 'SET ROLE reader; ' . join('; ', map { "SELECT count(*) FROM streamx.stat_$_" } qw(streams partitions views workers))),
	"0\n0\n0\n0", 'a role sees no statistics of what it does not own');
eventually($node, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'orders'::regclass}, '1', 'views that were paused are with the others again');
is($node->safe_psql('postgres', 'SET ROLE watcher; ' . join('; ', map { "SELECT count(*) FROM streamx.stat_$_" } qw(streams partitions views workers))),
	"2\n2\n3\n1", 'a member of pg_monitor sees all');

# wait_for holds no snapshot, and says when the time is over
$node->safe_psql('postgres', "SELECT streamx.pause('orders')");
$broker->produce('orders', 0, '{"item": "tea", "amount": 1}');
$node->safe_psql('postgres', "SELECT streamx.resume('orders'); ALTER SERVER kafka OPTIONS (SET bootstrap_servers '127.0.0.1:1')");
fails("CALL streamx.wait_for('orders', '1 s')", qr/could not ask for the end of stream "orders"/, 'wait_for says that the broker is away');
my $address = $broker->address;
$node->safe_psql('postgres', "ALTER SERVER kafka OPTIONS (SET bootstrap_servers '$address')");
caught_up($node, 'orders');
shows($node, 'SELECT n FROM running', '23', 'a server option takes effect at once');

# wait_for holds no snapshot while it waits: here for a worker that is held up
{
	my $holder = $node->background_psql('postgres');
	my ($out, $err) = ('', '');
	my $waits = "pg_stat_activity WHERE query LIKE 'CALL streamx.wait_for%' AND pid <> pg_backend_pid()";
	my $call;

	$holder->query_safe(q{BEGIN; SELECT streamx.resume('orders')}); # it has the stream's lock now
	$broker->produce('orders', 1, '{"item": "tea", "amount": 1}');
	$call = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL streamx.wait_for('orders', '60 s')" ],
		'>', \$out, '2>', \$err);
	eventually($node, "SELECT count(*) FROM $waits AND wait_event_type IN ('IPC', 'Extension') AND backend_xmin IS NULL AND backend_xid IS NULL", '1',
		'wait_for holds no snapshot');
	shows($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND pid IN (SELECT pid FROM $waits)", '0', 'and no lock');
	$holder->query_safe('ROLLBACK');
	$holder->quit;
	$call->finish;
	is($err, '', 'it returns when the worker has passed the end');
	shows($node, 'SELECT n FROM running', '24', 'and the view shows it');
}

# What goes by positions does not go by those of a snapshot from before: no message would count once
{
	my $session = $node->background_psql('postgres');
	my $sent = 24;
	my $state_of = sub { return $session->query_safe("SELECT state_of(\$\$SELECT $_[0]\$\$)"); };

	$node->safe_psql('postgres', q{CREATE FUNCTION state_of(statement text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE statement; RETURN 'done'; EXCEPTION WHEN others THEN RETURN SQLSTATE; END $$});
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM running');
	$broker->produce('orders', 0, '{"item": "tea", "amount": 1}');
	$sent++;
	caught_up($node, 'orders');
	is($state_of->($_), '40001', "at REPEATABLE READ, behind the stream: $_") for q{streamx.pause('running')}, q{streamx.rebuild('running')}, q{streamx.skip('orders', 0, 0)};
	$session->query_safe("COMMIT; SELECT streamx.pause('orders')");
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM running');
	$node->safe_psql('postgres', "SELECT streamx.pause('running'); SELECT streamx.resume('running')");
	$broker->produce('orders', 0, '{"item": "tea", "amount": 1}');
	$sent++;
	is($state_of->(q{streamx.step('orders')}), '40001', 'a step that has not seen a view leave');
	$session->query_safe('COMMIT');
	$session->quit;
	$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
	caught_up($node, 'orders');
	shows($node, 'SELECT n FROM running', $sent, 'each message counts once');
	verified($node, $_) for qw(revenue running);

	# a view that is made then joins nobody who has begun since
	$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE again (amount int) SERVER kafka OPTIONS (topic 'orders');
SELECT streamx.pause('again');
CREATE VIEW before WITH (streamx.continuous) AS SELECT count(*) AS n FROM again;
CREATE VIEW beside WITH (streamx.continuous) AS SELECT max(amount), count(*) AS n FROM again;
END
	$session = $node->background_psql('postgres');
	$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM running');
	$node->safe_psql('postgres', "SELECT streamx.resume('again')");
	caught_up($node, 'again');
	is($state_of->(q{streamx.pause('beside')}), '40001', 'a pause that has not seen the partitions found');
	$session->query_safe('CREATE VIEW since WITH (streamx.continuous) AS SELECT sum(amount), count(*) AS n FROM again; COMMIT');
	$session->quit;
	caught_up($node, 'again');
	shows($node, 'SELECT before.n, beside.n, since.n FROM before, beside, since', "$sent|$sent|$sent", 'a view that is made at REPEATABLE READ misses nothing');
	eventually($node, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'again'::regclass}, '1', 'and joins the other');
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE again CASCADE');
}

# No transaction, no snapshot and no transaction ID while there is nothing to do
eventually($node, "SELECT state FROM streamx.stat_workers", 'caught up', 'the worker has nothing to do');
shows($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker' AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)",
	'0', 'an idle worker holds no snapshot');
shows($node, "SELECT application_name, state FROM pg_stat_activity WHERE backend_type = 'streamx worker'", 'orders|idle', 'and can be told by its stream');
my $xid = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
$node->safe_psql('postgres', 'SELECT pg_sleep(1)');
shows($node, 'SELECT pg_snapshot_xmax(pg_current_snapshot())', $xid, 'an idle worker burns no transaction IDs');

$node->stop;
$broker->stop;
done_testing();
