# A restored or copied database waits; resumed, it goes on in the topic where the original stood

use strict;
use warnings;

use Kinds;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('restore', broker => $broker);
my $dump = "$PostgreSQL::Test::Utils::tmp_check/orders.dump";
my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'";
my $state = 'SELECT DISTINCT state FROM streamx.stat_views UNION SELECT state FROM streamx.stat_streams';
my $counted = q{SELECT (SELECT count FROM totals) + (SELECT count(*) FROM streamx.dead_letters)};

# Given views of every kind, one of them made later, with late rows and bad messages
make_views($node);
send_orders($broker, 1 .. 300);
caught_up($node, 'orders');
$node->safe_psql('postgres', q{CREATE VIEW later WITH (streamx.continuous, streamx.start = 'latest') AS SELECT count(*) FROM orders});
caught_up($node, 'orders');
send_orders($broker, 301 .. 330);
caught_up($node, 'orders');
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'the later view has joined');
shows($node, 'SELECT count(*) > 0 FROM streamx_internal.view_start', 't', 'where it began is kept');
shows($node, 'SELECT count(*) > 0, (SELECT count(*) > 0 FROM streamx.dead_letters) FROM streamx.late_rows', 't|t', 'rows were refused');
is(differences($node, 'postgres'), '', 'verify agrees');
my $before = rows_of($node, 'postgres');

# When it is dumped and restored, and copied by CREATE DATABASE
$node->command_ok([ 'pg_dump', '-d', $node->connstr('postgres'), '-Fc', '-f', $dump ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE restored');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('restored'), '-e', '-j', '2', $dump ], 'pg_restore');
$node->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE postgres');
$node->safe_psql('copied', <<'END');
SET statement_timeout = '60s';
DO $$ BEGIN
	LOOP EXIT WHEN (SELECT is_copy FROM streamx.streams); END LOOP;
	ASSERT NOT EXISTS (SELECT FROM streamx.stat_workers WHERE stream IS NOT NULL), 'a copy has got a worker';
END $$;
END

# Then both wait, while the original goes on
is($node->safe_psql($_, $state), 'paused as a copy', "$_ waits") for 'restored', 'copied';
eventually($node, $workers, '1', 'the original has its worker');
send_orders($broker, 331 .. 600);
caught_up($node, 'orders');
shows($node, $counted, '600', 'the original goes on');
is(rows_of($node, $_), $before, "$_ shows what the original showed") for 'restored', 'copied';
shows($node, $workers, '1', 'no worker reads for a copy');

# and go on without loss once they are resumed
for my $database ('restored', 'copied')
{
	$node->safe_psql($database, q{SELECT streamx.resume('orders')});
	$node->safe_psql($database, q{CALL streamx.wait_for('orders', '60 s')});
	is($node->safe_psql($database, $counted), '600', "$database has read every message once");
	is($node->safe_psql($database, 'SELECT count FROM later'), $node->safe_psql('postgres', 'SELECT count FROM later'), 'in the later view, too');
	is(differences($node, $database), '', 'verify agrees');
	ok($node->poll_query_until($database, 'SELECT DISTINCT state FROM streamx.stat_streams', 'caught up'), 'it is no copy any more');
}

# and a drop leaves nothing
for my $database ('restored', 'copied')
{
	$node->safe_psql($database, 'SET client_min_messages = error; DROP SERVER kafka CASCADE');
	is($node->safe_psql($database, q{SELECT relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d|_log$'}), '', 'no internal relation is left');
	is($node->safe_psql($database, q{SELECT (SELECT count(*) FROM streamx.readers), (SELECT count(*) FROM streamx.progress), (SELECT count(*) FROM streamx.view_streams),
		(SELECT count(*) FROM streamx_internal.view_start), (SELECT count(*) FROM streamx_internal.dead_letter), (SELECT count(*) FROM streamx_internal.late_row),
		(SELECT count(*) FROM streamx_internal.folding), (SELECT count(*) FROM streamx_internal.removal)}), '0|0|0|0|0|0|0|0', 'nor any row of the catalog');
}
eventually($node, $workers, '1', 'their workers are gone');
# (a drop cancels a vacuum of what it drops)
unlike(slurp_file($node->logfile), qr/^(?!.* autovacuum worker ).*(ERROR|PANIC):/m, 'no error was logged');

$node->stop;
$broker->stop;
done_testing();
