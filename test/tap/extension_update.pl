# ALTER EXTENSION streamx UPDATE: what comes out is what CREATE EXTENSION makes; and until it ran,
# a library of another version touches nothing and says what to do

use strict;
use warnings;

use Cwd 'abs_path';
use File::Basename;
use File::Copy;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $top = dirname(dirname(dirname(abs_path(__FILE__))));
my $node = streamx_node('update', settings => [ 'streamx.max_restart_backoff = 300ms' ]);
my $version = $node->safe_psql('postgres', q{SELECT default_version FROM pg_available_extensions WHERE name = 'streamx'});
my $directory = $node->config_data('--sharedir') . '/extension';
my @written;

# Scripts for this test, beside those of the extension
sub script
{
	my ($name, $text) = @_;
	my $path = "$directory/streamx--$name.sql";

	die "$path is there" if -e $path;
	open(my $file, '>', $path) or die "$path: $!";
	push @written, $path;
	print $file $text;
	close($file) or die "$path: $!";
}

END { unlink @written; }

unless (-w $directory)
{
	$node->stop;
	plan skip_all => 'the server\'s extension directory is not ours to write into';
}

# All that belongs to the extension, by name
my $members = <<'END';
SELECT pg_describe_object(classid, objid, objsubid),
	CASE classid
	WHEN 'pg_proc'::regclass THEN (SELECT concat_ws('|', p.prosrc, p.provolatile, p.proparallel, p.proisstrict, p.proretset, p.procost, p.prorows, p.prosecdef, p.proleakproof, p.proconfig, p.prosupport::regproc,
			pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), coalesce(p.proacl, acldefault('f', p.proowner)),
			(SELECT concat_ws('|', aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggfinalextra, aggtranstype::regtype, agginitval, aggtransspace, aggsortop::regoperator) FROM pg_aggregate WHERE aggfnoid = p.oid))
		FROM pg_proc p WHERE oid = objid)
	WHEN 'pg_class'::regclass THEN (SELECT concat_ws('|', c.relkind, c.reloptions, c.relpersistence, coalesce(c.relacl, acldefault('r', c.relowner)), CASE WHEN relkind = 'v' THEN pg_get_viewdef(c.oid) END,
			(SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attstorage, attstattarget, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)), E',' ORDER BY attnum)
				FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped),
			(SELECT string_agg(pg_get_indexdef(indexrelid), ',' ORDER BY pg_get_indexdef(indexrelid)) FROM pg_index WHERE indrelid = c.oid),
			(SELECT string_agg(pg_get_constraintdef(oid), ',' ORDER BY pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = c.oid),
			(SELECT string_agg(pg_get_triggerdef(oid), ',' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal))
		FROM pg_class c WHERE oid = objid)
	WHEN 'pg_type'::regclass THEN (SELECT concat_ws('|', typinput, typoutput, typreceive, typsend, typlen, typalign, typstorage, typcategory, coalesce(typacl, acldefault('T', typowner))) FROM pg_type WHERE oid = objid)
	WHEN 'pg_namespace'::regclass THEN (SELECT coalesce(nspacl, acldefault('n', nspowner))::text FROM pg_namespace WHERE oid = objid)
	WHEN 'pg_cast'::regclass THEN (SELECT concat_ws('|', castfunc::regprocedure, castcontext, castmethod) FROM pg_cast WHERE oid = objid)
	WHEN 'pg_operator'::regclass THEN (SELECT concat_ws('|', oprcode, oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin) FROM pg_operator WHERE oid = objid)
	WHEN 'pg_foreign_data_wrapper'::regclass THEN (SELECT concat_ws('|', fdwhandler::regproc, fdwvalidator::regproc, fdwacl) FROM pg_foreign_data_wrapper WHERE oid = objid)
	END,
	obj_description(objid, classid::regclass::name)
FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'streamx') AND deptype = 'e'
ORDER BY 1;
SELECT extversion, (SELECT array_agg(c::regclass::text || ' ' || w ORDER BY c::regclass::text) FROM unnest(extconfig, extcondition) e(c, w)) FROM pg_extension WHERE extname = 'streamx';
END

$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION streamx');
my $fresh = $node->safe_psql('fresh', $members);

# Update from a version whose script is given, and compare
sub updated
{
	my ($old, $title) = @_;

	$node->safe_psql('postgres', 'CREATE DATABASE updated');
	$node->safe_psql('updated', "CREATE EXTENSION streamx VERSION '$old'");
	isnt($node->safe_psql('updated', $members), $fresh, "$title: it was another");
	$node->safe_psql('updated', 'ALTER EXTENSION streamx UPDATE');
	is($node->safe_psql('updated', $members), $fresh, "$title: it is the same as a fresh one");
	$node->safe_psql('updated', <<'SQL');
CREATE FOREIGN TABLE numbers (n int) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW total WITH (streamx.continuous) AS SELECT sum(n), stddev(n) FROM numbers;
INSERT INTO numbers VALUES (1), (2);
SQL
	is($node->safe_psql('updated', q{SELECT sum FROM total WHERE NOT EXISTS (SELECT FROM streamx.verify('total'))}), '3', "$title: it works");
	$node->safe_psql('postgres', 'DROP DATABASE updated');
}

# From each version that was released
for my $released (sort glob("$top/test/upgrade/released/streamx--*.sql"))
{
	my ($old) = $released =~ /streamx--(.*)\.sql$/;

	script($old, slurp_file($released));
	updated($old, "from $old");
}

# As long as there are none, and for the comparison's sake: a version that lacks the last sections of the script
my @sections = split /^(?=-- [A-Z].* -{3,}\n)/m, slurp_file("$directory/streamx--$version.sql");
my $number = 0;

cmp_ok(scalar @sections, '>', 10, 'the script has sections');
for my $kept (2, int(@sections / 2), $#sections)
{
	my $old = '0.0.' . ++$number;

	script($old, join('', @sections[0 .. $kept - 1]));
	script("$old--$version", join('', @sections[$kept .. $#sections]));
	updated($old, "from $kept of " . @sections . ' sections');
}

# A database whose extension has another version than the library: workers end, and nothing is touched
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'};
my $state = 'SELECT stream IS NULL, state, last_error, pid IS NULL FROM streamx.stat_workers';
my $complaint = qr/extension "streamx" has version 0\.0\.9, but the server runs its library of version \Q$version\E/;

script("$version--0.0.9", 'SELECT;');
script("0.0.9--$version", 'SELECT;');
script("$version--99.0.0", 'SELECT;');
script("99.0.0--$version", 'SELECT;');
$node->safe_psql('postgres', <<'SQL');
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE orders (item text, at timestamptz) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) FROM orders;
CREATE FOREIGN TABLE clicks (at timestamptz, page text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW pages WITH (streamx.continuous) AS SELECT page, count(*) FROM clicks GROUP BY 1;
CREATE VIEW hops WITH (streamx.continuous) AS SELECT hop(at, '1 hour', '30 minutes') AS w, count(*) FROM clicks GROUP BY 1;
CREATE VIEW gone WITH (streamx.continuous) AS SELECT count(*) FROM clicks;
INSERT INTO clicks VALUES ('2024-05-01 10:00', '/');
SQL
eventually($node, $workers, '1', 'a worker runs');
$node->safe_psql('postgres', "ALTER EXTENSION streamx UPDATE TO '0.0.9'");
eventually($node, $workers, '0', 'it ends when the extension has another version');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 AND bool_and(state = 'extension has another version') FROM streamx.stat_workers}) or die 'the launcher keeps its place';
like($node->safe_psql('postgres', $state), qr/^t\|extension has another version\|$complaint: Run ALTER EXTENSION streamx UPDATE\.\|t$/, 'stat_workers says what to do');
for my $statement ("INSERT INTO clicks VALUES ('2024-05-01 11:00', '/')", 'TABLE hops', 'CREATE VIEW more WITH (streamx.continuous) AS SELECT count(*) FROM clicks', q{SELECT streamx.resume('orders')},
	q{SELECT * FROM streamx.verify('pages')}, 'CREATE FOREIGN TABLE another (n int) SERVER streamx')
{
	my ($status, undef, $error) = $node->psql('postgres', $statement);

	isnt($status, 0, "refused: $statement");
	like($error, qr/$complaint\n(.*\n)*HINT:  Run ALTER EXTENSION streamx UPDATE\./, 'with the way out');
}
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE plain (a int);
CREATE VIEW of_plain AS SELECT a FROM plain;
CREATE OR REPLACE VIEW of_plain AS SELECT a, a + 1 AS b FROM plain;
INSERT INTO of_plain (a) VALUES (1);
ALTER VIEW of_plain SET (security_barrier);
CREATE ROLE somebody;
ALTER TABLE plain OWNER TO somebody;
DROP TABLE plain CASCADE;
SELECT * FROM streamx.stat_views, streamx.stat_streams;
SQL
shows($node, 'TABLE pages', '/|1', 'what needs no catalog can be read');
$node->safe_psql('postgres', 'DROP VIEW gone');
shows($node, q{SELECT count(*) FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v4_'}, '0', 'a view can be dropped');

# as when the library was replaced, and the server restarted
$node->restart;
eventually($node, 'SELECT state FROM streamx.stat_workers', 'extension has another version', 'so it is after a restart');
shows($node, $workers, '0', 'no worker starts');
$node->safe_psql('postgres', 'ALTER EXTENSION streamx UPDATE');
eventually($node, $workers, '1', 'the update starts the worker');
eventually($node, q{SELECT stream FROM streamx.stat_workers}, 'orders', 'and takes the complaint away');
$node->safe_psql('postgres', "INSERT INTO clicks VALUES ('2024-05-01 11:00', '/')");
shows($node, 'TABLE pages', '/|2', 'rows are taken again');
shows($node, q{SELECT * FROM streamx.verify('pages') UNION ALL SELECT * FROM streamx.verify('hops')}, '', 'all is as it was');

# the other way round: the extension was updated, and the server runs the old library still
$node->safe_psql('postgres', "ALTER EXTENSION streamx UPDATE TO '99.0.0'");
eventually($node, $workers, '0', 'no worker goes on with a newer extension');
like(($node->psql('postgres', q{SELECT streamx.resume('orders')}))[2], qr/HINT:  Restart the server/, 'a newer extension needs another library');
$node->safe_psql('postgres', 'SET client_min_messages = error; DROP EXTENSION streamx CASCADE');
shows($node, q{SELECT count(*) FROM pg_class WHERE relname ~ '^v\d+_|^streamx|^clicks|^pages'}, '0', 'which can be dropped');
my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|terminated by signal|streamx worker[^\n]*ERROR/, 'no process came to grief');
cmp_ok(scalar(() = $log =~ /WARNING:  extension "streamx" has version/g), '<', 12, 'nor did one say the same for ever');

$node->stop;
done_testing();
