# Beside others that hang in the same hooks, before them and after them; what is not of streamx is as without it

use strict;
use warnings;

use Kinds;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my @others = qw(pg_stat_statements auto_explain pg_cron pgaudit pg_hint_plan);
my $probe = PostgreSQL::Test::Cluster->new('probe');
my $libraries = $probe->config_data('--pkglibdir');
my @present = grep { -e "$libraries/$_.so" } @others;

# Of Debian's, only pg_hint_plan is not there for every version
is_deeply([ grep { my $name = $_; !grep { $_ eq $name } @present } @others ], [ grep { $_ eq 'pg_hint_plan' && !-e "$libraries/$_.so" } @others ], 'the others are installed: ' . join(' ', @present));

my $settings = <<'END';
pg_stat_statements.track = all
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_verbose = on
auto_explain.log_buffers = on
auto_explain.log_triggers = on
auto_explain.log_settings = on
auto_explain.log_nested_statements = on
pgaudit.log = 'all'
pgaudit.log_relation = on
cron.database_name = 'postgres'
cron.use_background_workers = on
cron.host = ''
log_statement = 'none'
END

# A server with all of them, in the given order
sub beside_others
{
	my ($name, @order) = @_;
	my $node = streamx_node($name, broker => $broker, settings => [ "shared_preload_libraries = '" . join(',', @order) . "'", $settings ]);

	$node->safe_psql('postgres', "CREATE EXTENSION $_") for grep { $_ ne 'auto_explain' && ($_ ne 'pg_hint_plan' || -e "$libraries/$_.so") } grep { $_ ne 'streamx' } @order;
	$node->safe_psql('postgres', 'ALTER SYSTEM SET pg_hint_plan.enable_hint_table = on') if grep { $_ eq 'pg_hint_plan' } @order;
	$node->reload;
	return $node;
}

# What plain relations do is what they do anywhere
my $plain = <<'END';
CREATE TABLE stock (item text PRIMARY KEY, n int NOT NULL CHECK (n >= 0));
CREATE VIEW little AS SELECT item, n FROM stock WHERE n < 10 WITH CHECK OPTION;
CREATE MATERIALIZED VIEW summary AS SELECT count(*), sum(n) FROM stock;
CREATE FOREIGN TABLE remote (item text, n int) SERVER loop OPTIONS (table_name 'stock');
CREATE FOREIGN TABLE lines (item text, n int) SERVER files OPTIONS (program 'printf "tea,3\ncake,4\n"', format 'csv');
INSERT INTO stock SELECT * FROM lines;
INSERT INTO little VALUES ('pie', 5);
UPDATE remote SET n = n + 1 WHERE item = 'pie';
INSERT INTO remote VALUES ('bun', 20) RETURNING *;
DELETE FROM remote WHERE item = 'cake';
REFRESH MATERIALIZED VIEW summary;
CREATE OR REPLACE VIEW little AS SELECT item, n, n * 2 AS twice FROM stock WHERE n < 10;
COPY (TABLE little ORDER BY 1) TO STDOUT;
SELECT * FROM remote ORDER BY 1;
TABLE summary;
EXPLAIN (VERBOSE, COSTS OFF) SELECT l.*, r.n FROM little l JOIN remote r USING (item) WHERE r.n > 1;
DROP FOREIGN TABLE lines, remote;
DROP VIEW little;
DROP MATERIALIZED VIEW summary;
DROP TABLE stock;
END
my $servers = <<'END';
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
DO $$BEGIN EXECUTE format('CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)', split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database()); END$$;
CREATE USER MAPPING FOR CURRENT_USER SERVER loop;
END

$probe->init;
$probe->append_conf('postgresql.conf', 'fsync = off');
$probe->start;
$probe->safe_psql('postgres', $servers);
my $alone = $probe->safe_psql('postgres', $plain);
$probe->stop;
isnt($alone, '', 'without streamx, plain relations do something');

my $sent = 0;
for my $order ([ 'streamx', @present ], [ reverse(@present), 'streamx' ])
{
	my $title = $order->[0] eq 'streamx' ? 'loaded first' : 'loaded last';
	my $node = beside_others($title =~ s/ /_/r, @$order);

	# Views of every kind, by a worker and by INSERT
	make_views($node);
	send_orders($broker, $sent + 1 .. $sent + 150);
	$sent += 150;
	caught_up($node, 'orders');
	shows($node, 'SELECT (SELECT count FROM totals) + (SELECT count(*) FROM streamx.dead_letters)', $sent, "$title: a worker counts every message once");
	$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE clicks (at timestamptz, page text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW pages WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, page, count(*), array_agg(page) FROM clicks GROUP BY 1, 2;
CREATE VIEW sliding WITH (streamx.continuous) AS SELECT hop(at, '1 hour', '20 minutes') AS w, count(*), count(DISTINCT page) AS pages FROM clicks GROUP BY 1;
BEGIN;
INSERT INTO clicks VALUES ('2024-05-01 10:00', '/'), ('2024-05-01 10:30', '/a');
SELECT * FROM pages;
COMMIT;
END
	shows($node, 'SELECT sum(count) FROM pages', '2', "$title: INSERT counts");
	is(differences($node, 'postgres'), '', "$title: verify agrees");
	verified($node, 'pages');
	verified($node, 'sliding');
	like($node->safe_psql('postgres', 'EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF) SELECT * FROM sliding'), qr/Foreign Scan on streamx_internal\.v\d+_windows/, "$title: plans are shown");
	if (grep { $_ eq 'pg_hint_plan' } @$order)
	{
		$node->safe_psql('postgres', '/*+ SeqScan(c) */ SELECT count(*) FROM clicks c');
	}

	# They do their own work
	cmp_ok($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_statements WHERE query ~ 'INSERT INTO clicks'}), '>', 0, "$title: pg_stat_statements counts");
	$node->safe_psql('postgres', q{SELECT cron.schedule('nightly', '0 3 * * *', 'SELECT count(*) FROM pages')});
	eventually($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_cron launcher'}, '1', "$title: pg_cron runs");
	if ($node->safe_psql('postgres', q{SELECT (regexp_match(extversion, '^\d+[.]\d+'))[1]::numeric >= 1.5 FROM pg_extension WHERE extname = 'pg_cron'}) eq 't')
	{
		$node->safe_psql('postgres', q{SELECT cron.schedule('often', '1 second', $$INSERT INTO clicks SELECT '2024-05-01 12:00', '/cron' WHERE NOT EXISTS (SELECT FROM pages WHERE page = '/cron')$$)});
		eventually($node, q{SELECT count FROM pages WHERE page = '/cron'}, '1', "$title: its jobs insert");
		$node->safe_psql('postgres', q{SELECT cron.unschedule('often')});
	}
	my $log = slurp_file($node->logfile);

	like($log, qr/Query Text: .*_delta/, "$title: auto_explain shows what a worker runs");
	like($log, qr/AUDIT: SESSION,.*CREATE VIEW.*streamx\.continuous/, "$title: pgaudit writes of a continuous view");
	unlike($log, qr/PANIC|terminated by signal|streamx worker[^\n]*(ERROR|WARNING)/, "$title: no process came to grief");

	# What is not of streamx is as without it
	$node->safe_psql('postgres', $servers);
	is($node->safe_psql('postgres', $plain) =~ s/\nQuery Identifier: .*//r, $alone, "$title: plain relations do what they do without streamx");
	$node->safe_psql('postgres', q{CREATE FOREIGN TABLE far_pages (w tstzrange, page text, count bigint) SERVER loop OPTIONS (table_name 'pages')});
	shows($node, q{SELECT page, count FROM far_pages WHERE page IN ('/', '/a') ORDER BY 1}, "/|1\n/a|1", "$title: a continuous view is a table to others");
	$node->safe_psql('postgres', 'SET client_min_messages = error; DROP SERVER kafka CASCADE; DROP FOREIGN TABLE clicks CASCADE; DROP EXTENSION streamx CASCADE');
	$node->stop;
	unlike(slurp_file($node->logfile), qr/streamx (probe|worker|launcher) ERROR/, "$title: drops leave no error");
}
$broker->stop;
done_testing();
