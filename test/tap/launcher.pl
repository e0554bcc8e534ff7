# The launcher: each Kafka stream with views has a worker, in every database,
# and workers are in nobody's way

use strict;
use warnings;

use StreamX;
use Test::More;
use Time::HiRes qw(time);

# A broker that is away will do: its workers run and say that they are disconnected.
my $node = streamx_node('launcher', init => { allows_streaming => 1 },
	settings => [ 'max_prepared_transactions = 5', 'streamx.max_restart_backoff = 300ms' ]);

my $make_server = "CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '127.0.0.1:1')";
my $make_stream = "CREATE FOREIGN TABLE orders (item text, amount int) SERVER kafka OPTIONS (topic 'orders', format 'json')";
my $make_view = 'CREATE VIEW revenue WITH (streamx.continuous) AS SELECT count(*) AS n FROM orders';
my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'";

sub fails
{
	my ($query, $expected, $title) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $query);

	like($err, $expected, $title);
}

# PostgreSQL waits five seconds until nobody is connected, then it fails
sub succeeds
{
	my ($query, $title) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $query);

	is($err, '', $title);
}

# Who needs a worker
$node->safe_psql('postgres', "$make_server; $make_stream");
shows($node, $workers, '0', 'a stream without views needs no worker');
$node->safe_psql('postgres', "BEGIN; $make_view; ROLLBACK");
$node->safe_psql('postgres', $make_view);
eventually($node, $workers, '1', 'a view makes a worker');
eventually($node, 'SELECT state FROM streamx.stat_workers', 'disconnected', 'which has no broker here');
$node->safe_psql('postgres', 'DROP VIEW revenue');
eventually($node, $workers, '0', 'the worker goes with the view');
eventually($node, 'SELECT count(*) FROM streamx.stat_workers', '0', 'and so does its slot');
$node->safe_psql('postgres', "BEGIN; $make_view; PREPARE TRANSACTION 'later'");
$node->safe_psql('postgres', "COMMIT PREPARED 'later'");
eventually($node, $workers, '1', 'a view made by COMMIT PREPARED makes a worker');
$node->safe_psql('postgres', "SELECT streamx.pause('orders')");
eventually($node, $workers, '0', 'a paused stream needs none');
$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
eventually($node, $workers, '1', 'a resumed one does');

# Databases
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', "CREATE EXTENSION streamx; $make_server; $make_stream; $make_view");
eventually($node, $workers, '2', 'each database has its workers');
eventually($node, 'SELECT database, stream_name FROM streamx.stat_workers ORDER BY 1', "one|orders\npostgres|orders", 'which are shown in all of them');
succeeds('ALTER DATABASE one RENAME TO two', 'a database with workers is renamed');
eventually($node, $workers, '2', 'and its workers come back');
succeeds('CREATE DATABASE three TEMPLATE two', 'a database with workers is copied');
$node->poll_query_until('three', 'SELECT is_copy FROM streamx.streams');
is($node->safe_psql('three', 'SELECT state FROM streamx.stat_streams'), 'paused as a copy', 'and the copy has none');
like(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/the Kafka streams of database "three" are paused\n.*\n.*HINT:.*streamx.resume/, 'the log says what to do');
eventually($node, $workers, '2', 'the original has its workers');
$node->safe_psql('three', "SELECT streamx.resume('orders')");
eventually($node, $workers, '3', 'a resumed copy has workers');
is($node->safe_psql('three', 'SELECT state FROM streamx.stat_streams WHERE state LIKE \'%copy\''), '', 'and is none any more');
succeeds('DROP DATABASE two', 'a database with workers is dropped');
succeeds('DROP DATABASE three WITH (FORCE)', 'also by force');
eventually($node, $workers, '1', 'the others have their workers');
eventually($node, 'SELECT database FROM streamx.stat_workers', 'postgres', 'and their slots');
fails('ALTER DATABASE postgres RENAME TO no', qr/current database cannot be renamed/, 'what cannot be cannot be');
eventually($node, $workers, '1', 'and leaves the workers running');
fails('DROP DATABASE nowhere', qr/database "nowhere" does not exist/, 'a database that is not there');
$node->safe_psql('postgres', 'CREATE DATABASE closed');
$node->safe_psql('closed', "CREATE EXTENSION streamx; $make_server; $make_stream; $make_view");
eventually($node, $workers, '2', 'a database that allows connections has workers');
$node->safe_psql('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS false');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'closed'");
eventually($node, $workers, '1', 'one that does not has none');
$node->safe_psql('postgres', 'ALTER DATABASE closed ALLOW_CONNECTIONS true');
eventually($node, $workers, '2', 'until it does again');
$node->safe_psql('postgres', 'DROP DATABASE closed');
$node->safe_psql('postgres', 'CREATE DATABASE gone');
$node->safe_psql('gone', "CREATE EXTENSION streamx; $make_server; $make_stream; $make_view");
eventually($node, $workers, '2', 'an extension has workers');
$node->safe_psql('gone', 'DROP EXTENSION streamx CASCADE');
eventually($node, $workers, '1', 'a dropped one has none');
$node->safe_psql('postgres', 'DROP DATABASE gone');

# Settings
$node->safe_psql('postgres', 'ALTER SYSTEM SET streamx.enabled = off');
$node->reload;
eventually($node, $workers, '0', 'streamx.enabled = off ends the workers');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET streamx.enabled');
$node->reload;
eventually($node, $workers, '1', 'and on starts them');
$node->safe_psql('postgres', 'ALTER SYSTEM SET streamx.max_workers = 1');
$node->reload;
$node->safe_psql('postgres', "CREATE FOREIGN TABLE more (item text) SERVER kafka OPTIONS (topic 'more', format 'json');
	CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) AS n FROM more");
eventually($node, "SELECT state FROM streamx.stat_workers WHERE stream_name = 'more'", 'waiting for a worker slot', 'a worker too many waits');
eventually($node, "SELECT state FROM streamx.stat_streams WHERE stream = 'more'::regclass", 'waiting for a worker slot', 'and its stream says so');
# a slot waits from its first moment on, and the launcher says so when it comes by
ok($node->wait_for_log(qr/streamx is waiting for a worker slot\n.*HINT:  You might need to increase streamx.max_workers/), 'the log says what to do');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET streamx.max_workers');
$node->reload;
eventually($node, $workers, '2', 'when there is room it starts');

# Ends and restarts
my $before = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = 'streamx launcher'");
my $pids = join(',', sort(worker_pids($node)));

$node->safe_psql('postgres', "SELECT pg_terminate_backend($before)");
eventually($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx launcher' AND pid <> $before", '1', 'a terminated launcher comes back');
is(join(',', sort(worker_pids($node))), $pids, 'workers do not need it to run');
$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamx worker'");
eventually($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker' AND pid NOT IN ($pids)", '2', 'terminated workers come back');
$node->safe_psql('postgres', 'DROP VIEW counted');
eventually($node, $workers, '1', 'the new launcher ends workers that the old one started');
succeeds("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamx worker'", 'a worker can be cancelled');
shows($node, $workers, '1', 'which does not end it');

# A standby has no workers, until it is promoted
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');

$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'streamx%'"), '0', 'a standby has no workers');
is($standby->safe_psql('postgres', 'SELECT n FROM revenue'), '0', 'but its views can be read');
$standby->promote;
eventually($standby, $workers, '1', 'a promoted standby has');
$standby->stop;

# Too few processes: one is left beside the two launchers
$node->append_conf('postgresql.conf', 'max_worker_processes = 3');
$node->safe_psql('postgres', 'CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) AS n FROM more');
$node->restart;
eventually($node, 'SELECT count(*) FROM streamx.stat_workers WHERE pid IS NOT NULL', '1', 'one worker runs');
eventually($node, "SELECT count(*) FROM streamx.stat_workers WHERE state = 'waiting for a worker slot'", '1', 'one waits');
ok($node->wait_for_log(qr/HINT:  You might need to increase max_worker_processes/), 'the log says what to do');
$node->safe_psql('postgres', $node->safe_psql('postgres', "SELECT format('SELECT streamx.pause(%L)', stream) FROM streamx.stat_workers WHERE pid IS NOT NULL"));
eventually($node, 'SELECT count(*) FROM streamx.stat_workers WHERE pid IS NOT NULL', '1', 'when a place is free it starts');
eventually($node, 'SELECT count(*) FROM streamx.stat_workers', '1', 'and the other wants none');
cmp_ok(seconds_to_stop(), '<', 2.5, 'a fast shutdown is fast');
done_testing();

# Of three at most: the machine may have been busy with something else.
sub seconds_to_stop
{
	my $took;

	for (1 .. 3)
	{
		my $start;

		if (defined $took)
		{
			$node->start;
			$node->poll_query_until('postgres', $workers, '1');
		}
		$start = time;
		$node->stop('fast');
		$took = time - $start;
		last if $took < 2.5;
	}
	return $took;
}
