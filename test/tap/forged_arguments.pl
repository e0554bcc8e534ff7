# Threat S9: every function, aggregate and procedure of the extension, called by
# a plain role with NULLs, extremes, forged values, other types and other users'
# objects, in any combination.  None may crash the server, show what is
# another's, ignore a cancel, or fail as if it were streamx's own fault.
#
# The calls come from STREAMX_SEED; with STREAMX_SECONDS there are more of them
# (make check-functions).

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;
use Time::HiRes qw(time);

my $seconds = $ENV{STREAMX_SECONDS} // 0;
my $seed = $ENV{STREAMX_SEED} // 1;
my $calls_each = 12; # of a short run, of each function
my $node = streamx_node('forged', settings => [ 'log_min_duration_statement = 20s', 'work_mem = 16MB', 'jit = off' ]);

srand($seed);
diag("seed $seed, " . ($seconds ? "$seconds s" : "$calls_each calls of each function"));

# Somebody has secrets; mallory has a stream and views of her own, and nothing else.
$node->safe_psql('postgres', <<'END');
CREATE ROLE alice;
CREATE ROLE mallory LOGIN;
ALTER ROLE mallory SET statement_timeout = '300ms';
GRANT USAGE ON FOREIGN SERVER streamx TO alice, mallory;
CREATE SCHEMA alice AUTHORIZATION alice;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA alice TO mallory;
SET ROLE alice;
CREATE FOREIGN TABLE alice.stream (at timestamptz, secret text, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on', on_error 'dead_letter');
CREATE VIEW alice.tumbling WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, secret, count(*), sum(10 / n) FROM alice.stream GROUP BY 1, 2;
CREATE VIEW alice.hopping WITH (streamx.continuous) AS SELECT hop(at, '1 hour', '10 minutes') AS w, max(secret), first_n(secret, n, 3) FROM alice.stream GROUP BY 1;
CREATE VIEW alice.counting WITH (streamx.continuous) AS SELECT count(DISTINCT secret), array_agg(secret) FROM alice.stream;
INSERT INTO alice.stream VALUES ('2024-05-01 10:00', 'CANARY one', 1), ('2024-05-01 12:00', 'CANARY two', 0);
INSERT INTO alice.stream VALUES ('2024-05-01 10:00', 'CANARY late', 1);
SET ROLE mallory;
CREATE TYPE mallory.mood AS ENUM ('sad', 'ok');
CREATE TYPE mallory.pair AS (a int, b text);
CREATE DOMAIN mallory.positive AS int CHECK (value > 0);
CREATE FOREIGN TABLE mallory.stream (at timestamptz, k text, n int, x numeric) SERVER streamx OPTIONS (event_time 'at', retain 'on', on_error 'dead_letter');
CREATE VIEW mallory.tumbling WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, k, count(*) AS c, sum(x) AS s, avg(x) AS a, stddev(n) AS d,
	first(k, n) AS f, approx_count_distinct(k) AS q, approx_top_k(k, 3) AS t FROM mallory.stream GROUP BY 1, 2;
CREATE VIEW mallory.hopping WITH (streamx.continuous) AS SELECT hop(at, '1 hour', '10 minutes') AS w, sum(x) FROM mallory.stream GROUP BY 1;
CREATE TABLE mallory.plain AS SELECT i AS k, i::text AS v FROM generate_series(1, 5) i;
INSERT INTO mallory.stream SELECT timestamptz '2024-05-01 10:00' + i * interval '10 minutes', 'k' || i % 3, i, i * 1.5 FROM generate_series(1, 20) i;
END

# A state's bytes, and what belongs to whom
my $internal = $node->safe_psql('postgres', <<'END');
SELECT 'streamx_internal.' || relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relkind <> 'S' ORDER BY 1
END
my @alices = split /\n/, $node->safe_psql('postgres', "SELECT attname || ' FROM ' || attrelid::regclass::text FROM pg_attribute JOIN streamx.views ON attrelid = state WHERE view::text LIKE 'alice.%' AND attnum > 0 ORDER BY attrelid, attnum");
my $state_table = $node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = 'mallory.tumbling'::regclass");
my @state_columns = split /\n/, $node->safe_psql('postgres', "SELECT attname FROM pg_attribute WHERE attrelid = '$state_table'::regclass AND atttypid = 'streamx.state'::regtype ORDER BY attnum");
my $views = join(', ', map { "alice.$_" } qw(tumbling hopping counting));

sub pick { return $_[ int(rand(@_)) ]; }
sub random_bytes { my ($n) = @_; return join('', map { sprintf('%02x', pick(0, 0, 1, 255, int(rand(256)))) } 1 .. $n); }

my @relations = (qw(mallory.stream mallory.tumbling mallory.hopping mallory.plain mallory.pair alice.stream alice.tumbling alice.hopping alice.counting
	pg_class pg_authid pg_toast.pg_toast_1255 pg_stat_activity streamx.views streamx.stat_views streamx.readers_reader_seq), split(/\n/, $internal));
my @aggregates = split /\n/, $node->safe_psql('postgres', 'SELECT oid::regprocedure FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid ORDER BY p.oid');
my @instants = qw(-infinity infinity 2024-05-01 1970-01-01 4714-11-24BC 294276-12-31T23:59:59.999999 0001-01-01 1999-12-31T23:59:59.999999);
my @texts = ("''", "'UTC'", "'Europe/Berlin'", "'view'", "'reader'", "'partition'", "'tumble'", "'hop'", "'cumulate'", "'session'", "'global'", "'%s%n%n'", "repeat('x', 100000)",
	"E'\\u00e4\\U0001F600'", "'\"; DROP TABLE x; --'", "'a\"b'", "'../../etc/passwd'");

# Values of each type that our functions take, as SQL
my %pool = (
	internal => sub { 'NULL' },
	cstring => sub { pick(map { "$_\::cstring" } @texts, "'\\x" . random_bytes(int(rand(60))) . "'") },
	text => sub { pick(@texts) },
	bytea => sub { pick("''::bytea", "'\\x" . random_bytes(int(rand(80))) . "'::bytea", "'{\"at\": \"2024-05-01\", \"n\": 1e400}'::bytea", "convert_to(repeat('[', 20000), 'UTF8')", forged_sketch(pick(qw(distinct quantile top_k))) . '::bytea') },
	boolean => sub { pick('true', 'false') },
	integer => sub { pick(-2147483648, -1, 0, 1, 2, 7, 1000, 1000000, 2147483647) },
	bigint => sub { pick('(-9223372036854775808)', -1, 0, 1, 4294967296, '9223372036854775807') . '::bigint' },
	oid => sub { pick('0::oid', '1::oid', '4294967295::oid', "'alice.stream'::regclass::oid", "'pg_type'::regclass::oid", 1247, 1417, 1418, 3118, 1249) . '::oid' },
	'double precision' => sub { pick("'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'1e308'", "'5e-324'", "'0.5'", "'1'", "'-1'", "'100'") . '::float8' },
	numeric => sub { pick("'NaN'", "'Infinity'", '0.000', '1e1000', '-1.50', '7') . '::numeric' },
	interval => sub { "'" . pick('0', '1 us', '1 hour', '1 day', '1 mon', '-1 hour', '178000000 years', '-178000000 years', '1 mon 1 us', '24:00:00.000001', '1 day -1 us', '2147483647 days', '10 minutes') . "'::interval" },
	'timestamp with time zone' => sub { "'" . pick(@instants) =~ s/BC/ BC/r . "'::timestamptz" },
	'timestamp without time zone' => sub { "'" . pick(@instants) =~ s/BC/ BC/r . "'::timestamp" },
	date => sub { pick("'infinity'", "'-infinity'", "'5874897-12-31'", "'4714-11-24 BC'", "'2024-05-01'") . '::date' },
	tstzrange => sub { pick("'empty'", "'[2024-05-01,2024-05-02)'", "'(,)'", "'[-infinity,infinity]'", "'(2024-05-01,)'") . '::tstzrange' },
	tsrange => sub { pick("'empty'", "'[2024-05-01,2024-05-02)'", "'(,)'", "'[-infinity,infinity]'", "'(,2024-05-01]'") . '::tsrange' },
	tid => sub { "'(" . pick(0, 1, 4294967295) . ',' . pick(0, 1, 1025, 32768, 65535) . ")'::tid" },
	regclass => sub { pick((map { "'$_'::regclass" } @relations), '0::regclass', '4294967295::regclass') },
	regprocedure => sub { pick((map { "'" . s/'/''/gr . "'::regprocedure" } @aggregates), '0::regprocedure', '4294967295::regprocedure', "'now()'::regprocedure", "'pg_terminate_backend(int, bigint)'::regprocedure") },
	'bigint[]' => sub { pick("'{}'", "'{1,2,3}'", "'{NULL}'", "'{{1,2},{3,4}}'", "'[5:6]={9223372036854775807,1}'", "array_fill(1::bigint, ARRAY[1000])") . '::bigint[]' },
	'streamx.state' => sub { state() },
	distinct_sketch => sub { forged_sketch('distinct') },
	quantile_sketch => sub { forged_sketch('quantile') },
	top_k_sketch => sub { forged_sketch('top_k') },
);
my @any = (sub { pick("ROW(1, 'a')", "ROW('x', NULL)::mallory.pair", 'NULL::mallory.pair', "ROW(1, 2, NULL)", "'ok'::mallory.mood", '5::mallory.positive', "'{\"a\": [1, null]}'::jsonb", "'<a/>'::xml",
		"point '(1,NaN)'", "'{1}'::int[]", 'NULL::int', "'x'::\"char\"", "'name'::name", "'10.0.0.1'::inet", "B'101'", "'1 2'::int2vector", "'a'::tsvector", "repeat('x', 3000000)", "'{}'::numeric[]",
		"ARRAY[ROW(1, 'a')]", "'(1,2)'::text::refcursor", 'NULL', "'a'", "'3 days'::interval", "'empty'::int4multirange", "'{ok,sad}'::mallory.mood[]") },
	map { $pool{$_} } sort keys %pool);
my @arrays = ("'{}'::int[]", "'{1,2,NULL}'::int[]", "'{{1,2},{3,4}}'::int[]", "'[3:4]={a,b}'::text[]", "ARRAY[ROW(1, 'a'), NULL]", 'NULL::text[]', "'{ok}'::mallory.mood[]", "ARRAY[now()]", "array_fill('x'::text, ARRAY[2,2,2])");

# States that mallory can get, her own, and those that she should not
sub state { return '(SELECT ' . pick((map { "$_ FROM $state_table" } @state_columns), pick(@alices)) . ' LIMIT 1)'; }

# A sketch, whole or with bytes changed, added or cut off
sub forged_sketch
{
	my ($kind) = @_;
	my $made = $kind eq 'distinct' ? 'distinct_sketch_agg(i)' : $kind eq 'quantile' ? "quantile_sketch_agg(i * 1.5 - 100)" : 'top_k_sketch_agg((i % 7)::text, 5)';
	my $count = pick(1, 10, 1000, 5000);
	my $bytes = "(SELECT $made FROM generate_series(1, $count) i)::bytea";

	$bytes = pick($bytes, $bytes, "overlay($bytes placing '\\x" . random_bytes(int(rand(8)) + 1) . "' from " . (int(rand(30)) + 1) . ')',
		"substr($bytes, 1, " . int(rand(60)) . ')', "$bytes || '\\x" . random_bytes(9) . "'", "'\\x" . random_bytes(int(rand(100))) . "'::bytea");
	return "($bytes)::${kind}_sketch";
}

sub argument
{
	my ($type) = @_;

	return 'NULL' if rand() < 0.1;
	return pick(@any)->() if rand() < 0.03;
	return pick(@arrays) if $type =~ /^any(compatible)?array$/;
	return $pool{$type}->() if $pool{$type};
	return pick(@any)->();
}

# [name, kind, argument types]
my @functions = map { my ($name, $kind, @types) = split /\|/; [ $name, $kind, \@types ] } split /\n/, $node->safe_psql('postgres', <<'END');
SELECT concat_ws('|', p.oid::regproc, p.prokind, (SELECT string_agg(replace(format_type(t, NULL), '"', ''), '|' ORDER BY n) FROM unnest(proargtypes::oid[]) WITH ORDINALITY AS u (t, n)))
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'streamx') AND p.prorettype <> 'trigger'::regtype
ORDER BY p.oid
END
cmp_ok(scalar(@functions), '>', 100, 'the functions of the extension are found');

sub call
{
	my ($name, $kind, $types) = @{ $_[0] };
	my @arguments = map { argument($_) } @$types;
	my $list = join(', ', @arguments);

	# VARIADIC "any"
	$list .= ', ' . pick(@any)->() while @$types && $types->[-1] eq 'any' && rand() < 0.3;
	pop @arguments, $list = join(', ', @arguments) if @arguments && rand() < 0.03;
	return "CALL $name($list)" if $kind eq 'p';
	$list = '*' if $kind eq 'a' && !@$types;
	return "SELECT $name($list)" . pick('', '', " FILTER (WHERE i % 2 = 0)", ' OVER ()', ' OVER (ORDER BY i ROWS 2 PRECEDING)') . ' FROM generate_series(1, 5) i LIMIT 20' if $kind eq 'a';
	return pick("SELECT $name($list) LIMIT 20", "SELECT * FROM $name($list) AS f LIMIT 20");
}

# Those that the engine calls are called with what the engine would not give them.
my $until = time + $seconds;
my $ncalls = 0;
my %states;
my @wrong;

while (1)
{
	my $script = '';
	my @calls = map { my $function = $_; map { call($function) } 1 .. ($seconds ? 5 : $calls_each) } @functions;

	# without a function it should not work, either
	push @calls, map { "SELECT * FROM $_" } @relations, qw(streamx.dead_letters streamx.late_rows streamx.stat_views streamx.stat_streams streamx.stat_partitions streamx.stat_workers);
	$script .= "$_;\n" for @calls;
	$script = "\\set VERBOSITY verbose\n\\set ECHO queries\nSET search_path = public, pg_catalog;\n$script";
	my ($rc, $output, $errors) = (0, '', '');
	my $file = PostgreSQL::Test::Utils::tempdir() . '/calls.sql';
	PostgreSQL::Test::Utils::append_to_file($file, $script);
	IPC::Run::run([ 'psql', '-XqAt', '-d', $node->connstr('postgres'), '-U', 'mallory', '-f', $file ], '>', \$output, '2>', \$errors);
	$ncalls += @calls;
	for my $error ($errors =~ /(?:ERROR|FATAL|PANIC): +([^\n]*)/g)
	{
		$states{ substr($error, 0, 5) }++;
		# PostgreSQL's own support functions say it so
		push @wrong, $error if $error =~ /^(XX|57P)/ && $error !~ /called outside of an aggregate/;
	}
	push @wrong, "lost the server: $1" if $errors =~ /(server closed the connection[^\n]*|could not connect[^\n]*)/;
	# what is echoed are the calls
	my %echoed = map { ("$_;" => 1) } @calls;
	push @wrong, map { "shows a secret: $_" } grep { /CANARY/ && !$echoed{$_} } split /\n/, "$output\n$errors";
	last if @wrong > 20 || time >= $until;
}

is(join("\n", @wrong), '', 'no call crashes, shows a secret, or fails by our own fault');
diag("$ncalls calls; errors by SQLSTATE: " . join(', ', map { "$_ $states{$_}" } sort keys %states));
cmp_ok($ncalls, '>=', $calls_each * @functions, 'each function was called');
cmp_ok($ncalls - eval { my $sum = 0; $sum += $_ for values %states; $sum }, '>', $ncalls / 20, 'and not all calls failed');
unlike(slurp_file($node->logfile), qr/terminated by signal|PANIC|TRAP:/, 'the server did not crash');
unlike(slurp_file($node->logfile), qr/ duration: /, 'and every call could be cancelled');
shows($node, "SELECT count(*) FROM alice.stream", '3', 'what is another\'s is untouched');
shows($node, "SELECT string_agg(view::text, ' ' ORDER BY view::text) FROM (SELECT view FROM streamx.views WHERE view::text LIKE 'alice%') v", 'alice.counting alice.hopping alice.tumbling', 'the views are there');
for my $view (split /, /, $views)
{
	verified($node, $view);
}
done_testing();
