# pg_dump and restore: a copy goes on where the original stood

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $node = streamx_node('restore');
my $dump = "$PostgreSQL::Test::Utils::tmp_check/dump.sql";
my $custom = "$PostgreSQL::Test::Utils::tmp_check/dump.custom";

# Given streams and views of a plain role, with late rows and dead letters; states of all kinds
$node->safe_psql('postgres', <<'END');
CREATE ROLE clerk;
CREATE ROLE guest;
CREATE SCHEMA shop AUTHORIZATION clerk;
GRANT USAGE ON SCHEMA shop TO guest;
GRANT USAGE ON FOREIGN SERVER streamx TO clerk;
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:1');
CREATE FOREIGN TABLE topic (n int) SERVER kafka OPTIONS (topic 't');
CREATE VIEW of_topic WITH (streamx.continuous) AS SELECT count(*) FROM topic;
CREATE FOREIGN TABLE other_topic (at timestamptz, n int) SERVER kafka OPTIONS (topic 'o', event_time 'at');
SELECT streamx.pause('other_topic');
CREATE VIEW being_rebuilt WITH (streamx.continuous) AS SELECT hop(at, '2 hours', '1 hour') AS w, count(DISTINCT n) FROM other_topic GROUP BY 1;
SELECT streamx.rebuild('being_rebuilt');
SET ROLE clerk;
CREATE FOREIGN TABLE shop."Sale s" (at timestamptz, item text, amount numeric) SERVER streamx
	OPTIONS (event_time 'at', retain 'on', on_error 'dead_letter');
CREATE FOREIGN TABLE shop.passing (n int) SERVER streamx;
CREATE TABLE shop.items (item text, title text);
INSERT INTO shop.items VALUES ('tea', 'Tea');
CREATE VIEW shop.revenue WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS
	SELECT tumble(at, '1 hour', origin => '2000-01-01 00:30+00') AS w, title, count(*), sum(amount), avg(amount), stddev(amount),
	       max(item) FILTER (WHERE amount > 1) AS top, sum(100 / amount) AS inverse
	FROM shop."Sale s" LEFT JOIN shop.items USING (item) GROUP BY 1, 2 HAVING count(*) > 0;
CREATE VIEW shop.total WITH (streamx.continuous) AS SELECT count(*), avg(n) FROM shop.passing;
GRANT SELECT ON shop.revenue TO guest;
INSERT INTO shop."Sale s" VALUES ('2024-05-01 10:00+00', 'tea', 1), ('2024-05-01 12:00+00', 'cake', 2), ('2024-05-01 12:00+00', 'tea', 0);
INSERT INTO shop."Sale s" VALUES ('2024-05-01 10:00+00', 'tea', 100);
INSERT INTO shop.passing VALUES (1), (2);
RESET ROLE;
-- as if a worker had been at it
INSERT INTO streamx_internal.skip (view, topic, "partition", from_offset, to_offset) VALUES ('of_topic', 't', 0, 5, 9);
INSERT INTO streamx_internal.view_start VALUES ('of_topic', 0, 3);
END

# Given windows of every kind, of a role and in a schema with names that need care, with partly late rows and removed windows
my @windows = map { qq("Wi n;dows"."$_") } 'hop s', qw(gaps kept cumulated kept_steps sessions kept_sessions days months kept_days local inputs hopping_inputs joined moods
	twin rolled cubed_sessions ours);
$node->safe_psql('postgres', <<'END');
CREATE ROLE "o'dd; clerk";
CREATE SCHEMA "Wi n;dows" AUTHORIZATION "o'dd; clerk";
GRANT USAGE ON SCHEMA "Wi n;dows" TO guest;
GRANT USAGE ON FOREIGN SERVER streamx TO "o'dd; clerk";
SET ROLE "o'dd; clerk";
SET search_path = "Wi n;dows", public;
SET client_min_messages = error;
CREATE FOREIGN TABLE "vis its" ("a t" timestamptz, page text, n int) SERVER streamx OPTIONS (event_time 'a t', retain 'on');
CREATE VIEW "hop s" WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS
	SELECT page AS "pa ge", hop("a t", '30 minutes', '20 minutes') AS "w's", count(*), avg(n), sum(n::numeric), stddev(n) FROM "vis its" GROUP BY 1, 2;
CREATE VIEW gaps WITH (streamx.continuous) AS SELECT hop("a t", '20 minutes', '1 hour', origin => '2000-01-01 00:10+00') AS w, sum(n) FROM "vis its" GROUP BY 1;
CREATE VIEW kept WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT page, hop("a t", '30 minutes', '10 minutes') AS w, count(*), avg(n) FROM "vis its" GROUP BY 1, 2;
CREATE VIEW cumulated WITH (streamx.continuous) AS SELECT cumulate("a t", '1 hour', '15 minutes') AS w, page, sum(n) FROM "vis its" GROUP BY 1, 2;
CREATE VIEW kept_steps WITH (streamx.continuous, streamx.retention = '90 minutes') AS SELECT cumulate("a t", '1 hour', '15 minutes') AS w, stddev(n) FROM "vis its" GROUP BY 1;
CREATE VIEW sessions WITH (streamx.continuous, streamx.allowed_lateness = '10 minutes') AS
	SELECT session("a t", '15 minutes') AS w, page, count(*), avg(n), min(n) FROM "vis its" GROUP BY 1, 2 HAVING count(*) > 0;
CREATE VIEW kept_sessions WITH (streamx.continuous, streamx.retention = '1 hour', streamx.refused_retention = '36500 days') AS
	SELECT session("a t", '15 minutes') AS w, stddev(n) FROM "vis its" GROUP BY 1;
CREATE VIEW days WITH (streamx.continuous) AS
	SELECT hop("a t", '2 days', '1 day', timezone => 'Europe/Berlin') AS w, page, sum(n) FROM "vis its" GROUP BY 1, 2;
CREATE VIEW months WITH (streamx.continuous) AS
	SELECT tumble("a t", '1 month', origin => '2000-01-01 12:00+00', timezone => 'America/New_York') AS w, page, avg(n) FROM "vis its" GROUP BY 1, 2;
CREATE VIEW kept_days WITH (streamx.continuous, streamx.retention = '1 day') AS
	SELECT tumble("a t", '1 day', timezone => 'Europe/Berlin') AS w, sum(n) FROM "vis its" GROUP BY 1;
CREATE FOREIGN TABLE "lo cal" (at timestamp, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW local WITH (streamx.continuous, streamx.retention = '1 day') AS SELECT hop(at, '2 hours', '1 hour') AS w, sum(n) FROM "lo cal" GROUP BY 1;
CREATE VIEW inputs WITH (streamx.continuous) AS
	SELECT session("a t", '15 minutes') AS w, count(DISTINCT n), string_agg(page, ',' ORDER BY n DESC) FILTER (WHERE n > 1), array_agg(n), mode() WITHIN GROUP (ORDER BY page),
	       json_object_agg(n, page ORDER BY n) FROM "vis its" GROUP BY 1;
CREATE VIEW hopping_inputs WITH (streamx.continuous) AS
	SELECT hop("a t", '30 minutes', '20 minutes') AS w, count(DISTINCT page) AS pages, percentile_disc(0.5) WITHIN GROUP (ORDER BY n) FROM "vis its" GROUP BY 1;
CREATE TABLE "ti tles" (page text, title text);
INSERT INTO "ti tles" VALUES ('a', 'A'), ('b', 'B');
CREATE VIEW joined WITH (streamx.continuous) AS
	SELECT hop(j."a t", '30 minutes', '10 minutes') AS w, j.title, count(*), array_agg(j.n) FROM ("vis its" JOIN "ti tles" USING (page)) AS j GROUP BY 1, 2;
CREATE VIEW twin WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS -- of the family of "hop s"
	SELECT page, hop("a t", '30 minutes', '20 minutes') AS w, max(n), var_pop(n::numeric) FROM "vis its" GROUP BY 1, 2;
CREATE VIEW rolled WITH (streamx.continuous) AS
	SELECT page, tumble("a t", '1 hour') AS w, grouping(page), count(*), sum(n::numeric), count(DISTINCT n) AS different FROM "vis its" GROUP BY w, ROLLUP (page);
CREATE VIEW cubed_sessions WITH (streamx.continuous) AS
	SELECT session("a t", '15 minutes') AS w, page, n % 2 AS odd, count(*), array_agg(n) FROM "vis its" GROUP BY w, CUBE (page, n % 2);
CREATE VIEW ours WITH (streamx.continuous, streamx.retain_inputs = on) AS
	SELECT tumble("a t", '1 hour') AS w, first(page, n), top_n_by(page, n, 2), approx_count_distinct(n), approx_percentile(n, 0.5), approx_top_k(page, 2), count(DISTINCT page) AS pages
	FROM "vis its" GROUP BY 1;
COMMENT ON VIEW "hop s" IS 'it''s a view; of hops';
COMMENT ON COLUMN "hop s"."w's" IS 'its window';
COMMENT ON FOREIGN TABLE "vis its" IS 'a stream';
GRANT SELECT (page) ON twin TO guest;
CREATE TYPE "mo od" AS ENUM ('fine', 'so so'); -- its values have other numbers in a copy
CREATE TYPE feeling AS (mood "mo od");
CREATE FOREIGN TABLE "fe els" (at timestamptz, mood "mo od", moods "mo od"[], feeling feeling) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW moods WITH (streamx.continuous) AS
	SELECT count(DISTINCT mood) AS mood, count(DISTINCT moods) AS moods, count(DISTINCT feeling) AS feeling, array_agg(mood) FROM "fe els";
INSERT INTO "fe els" VALUES ('2024-03-29', 'fine', '{fine,fine}', '(fine)'), ('2024-03-29', 'so so', '{fine}', '("so so")');
GRANT SELECT ON "hop s", sessions TO guest;
INSERT INTO "vis its" VALUES ('2024-03-29 22:30+00', 'a', 1), ('2024-03-30 09:00+00', 'a', 2), ('2024-03-30 09:14+00', NULL, 3), ('2024-03-30 09:20+00', 'b', 4);
INSERT INTO "vis its" VALUES ('2024-03-31 09:35+00', 'a', 5), ('2024-03-31 09:05+00', 'a', 6), ('2024-03-31 10:29+00', 'a', 7), ('2024-03-31 10:31+00', 'b', 8);
INSERT INTO "vis its" VALUES ('2024-03-31 10:22+00', 'a', 9), ('2024-03-31 10:05+00', 'b', 10), ('2024-03-31 09:00+00', 'b', 11), ('2024-03-31 10:10+00', NULL, 12);
INSERT INTO "lo cal" VALUES ('2024-03-31 02:30', 1), ('2024-03-31 03:30', 2), ('2024-04-01 06:00', 4);
INSERT INTO "lo cal" VALUES ('2024-04-01 05:59', 8), ('2024-04-01 04:59', 16);
END

# What there is to see
sub contents
{
	my ($database) = @_;

	return $node->safe_psql($database, <<'END');
SELECT * FROM shop.revenue ORDER BY w, title;
SELECT * FROM shop.total;
SELECT view, event_time, watermark FROM streamx.late_rows;
SELECT view, sqlstate, message FROM streamx.dead_letters;
SELECT stream, topic, next_offset, event_time, watermark FROM streamx.progress RIGHT JOIN streamx.readers USING (reader, topic) ORDER BY stream::text;
SELECT view, definition, state, delta_view, window_size, window_origin, allowed_lateness FROM streamx.views ORDER BY view::text;
SELECT c.relname, a.relname FROM pg_depend JOIN pg_class c ON c.oid = objid JOIN pg_class a ON a.oid = refobjid
	WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass AND deptype = 'i'
	AND c.relnamespace = 'streamx_internal'::regnamespace AND a.relname NOT IN ('dead_letter', 'late_row') ORDER BY 1;
SELECT view, windows, window_kind, window_size, window_step, window_origin, window_timezone, retention, refused_retention, settings FROM streamx.views ORDER BY view::text;
SELECT view, state, removed_through, deleting_through, deleting_from, deleting_next, is_deleting, deleting_groups, refusals_through FROM streamx_internal.removal ORDER BY view::text;
SELECT * FROM streamx_internal.folding ORDER BY view::text;
SELECT view, stream, start_offset FROM streamx.view_streams ORDER BY view::text;
SELECT relname, coalesce(relacl, acldefault('r', relowner)) FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d+_[a-z0-9_]+$' AND relkind <> 'S' AND relkind <> 'i' ORDER BY 1;
SELECT format('SELECT %L, s.* FROM %s s ORDER BY s.*::text', state, state) FROM streamx.views ORDER BY state::text \gexec
SELECT stream, paused, is_copy, log FROM streamx.streams WHERE log IS NOT NULL ORDER BY stream::text;
SELECT view, inputs, input_views, trial_view, finals_view, shadow_of, rejudge FROM streamx.views ORDER BY view::text;
SELECT format('SELECT %L, s.* FROM %s s ORDER BY s.*::text', i, i) FROM streamx.views, unnest(inputs) i ORDER BY i::text \gexec
SELECT schemaname, sequencename, last_value FROM pg_sequences WHERE schemaname ~ '^streamx' AND sequencename !~ '_id$' ORDER BY 2;
SELECT c.oid::regclass, objsubid, description FROM pg_description d JOIN pg_class c ON c.oid = objoid AND classoid = 'pg_class'::regclass WHERE objoid >= 16384 ORDER BY 1, 2;
SELECT c.oid::regclass, c.relowner::regrole, coalesce(c.relacl, acldefault('r', c.relowner)), attname, attacl, reloptions, (SELECT array_agg(o ORDER BY o) FROM unnest(ftoptions) o), pg_get_viewdef(c.oid) FROM pg_class c JOIN pg_attribute ON attrelid = c.oid LEFT JOIN pg_foreign_table ON ftrelid = c.oid
	WHERE relkind IN ('v', 'f', 'r') AND c.oid >= 16384 AND NOT attisdropped AND attnum > 0 AND (relkind <> 'r' OR relnamespace <> 'streamx'::regnamespace) ORDER BY c.oid::regclass::text, attnum;
SELECT format('SELECT %L, r.* FROM streamx_internal.%I r ORDER BY r.*::text', relname, relname) FROM pg_class WHERE relname IN ('dead_letter', 'late_row', 'skip', 'view_start') ORDER BY relname \gexec
END
}

# The lines that differ
sub same
{
	my ($got, $expected, $title) = @_;
	my %count;

	$count{$_}++ for split /\n/, $got;
	$count{$_}-- for split /\n/, $expected;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(join("\n", map { ($count{$_} > 0 ? '+' : '-') . $_ } grep { $count{$_} } sort keys %count), '', $title);
}

# What the windowed views show
sub windows_of
{
	my ($database) = @_;

	return $node->safe_psql($database, join("\n", map { "SELECT '$_', v.*, (SELECT count(*) FROM streamx.late_rows WHERE view = '$_'::regclass) FROM $_ v ORDER BY v.*::text;" } @windows));
}
my $before = contents('postgres');
my $windows_before = windows_of('postgres');
is($node->safe_psql('postgres', q{SELECT count(*) FROM streamx.late_rows, streamx.dead_letters WHERE late_rows.stream = dead_letters.stream}), '1', 'a late row and a dead letter');
is($node->safe_psql('postgres', q{SELECT count(*) FILTER (WHERE counted) > 0, count(*) FILTER (WHERE NOT counted) > 0 FROM streamx.late_rows WHERE stream = '"Wi n;dows"."vis its"'::regclass}),
	't|t', 'partly late rows and late ones');
is($node->safe_psql('postgres', q{SELECT count(*) FROM streamx_internal.removal WHERE removed_through = '-infinity'}), '0', 'windows are removed');
is($node->safe_psql('postgres', q{SELECT view FROM streamx_internal.folding WHERE folding_through > '-infinity' ORDER BY view::text}),
	qq("Wi n;dows".cubed_sessions\n"Wi n;dows".inputs\n"Wi n;dows".rolled), 'inputs are folded');

# When it is dumped and restored
my $host = $node->host;
my $port = $node->port;
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-f', $dump, 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-Fc', '-f', $custom, 'postgres' ], 'pg_dump -Fc');
$node->safe_psql('postgres', "CREATE DATABASE $_") for 'copy', 'pieces', 'parts', 'copy_of_copy';
$node->command_ok([ 'psql', '-XqAt', '-h', $host, '-p', $port, '-d', 'copy', '-1', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump ], 'psql -1');
$node->command_ok([ 'pg_restore', '-h', $host, '-p', $port, '-e', '-d', 'pieces', $custom ], 'pg_restore');

$node->command_ok([ 'pg_restore', '-h', $host, '-p', $port, '-e', '-d', 'parts', '-j', '2', $custom ], 'pg_restore --jobs');

# Then the copies are equal
same(contents($_), $before, "$_ is equal") for 'copy', 'pieces', 'parts';
is(windows_of($_), $windows_before, "$_ shows the same windows") for 'copy', 'pieces', 'parts';

# and live: rows are judged by the old watermark, added to the old states, read by old readers
for my $database ('copy', 'pieces')
{
	$node->safe_psql($database, <<'END');
SET ROLE clerk;
INSERT INTO shop."Sale s" VALUES ('2024-05-01 12:10+00', 'tea', 4), ('2024-05-01 10:00+00', 'tea', 100);
INSERT INTO shop.passing VALUES (3);
END
	is($node->safe_psql($database, q{SET ROLE guest; SELECT title, count, sum FROM shop.revenue ORDER BY w, title}), "Tea|1|1\nTea|1|4\n|1|2", "$database counts on");
	is($node->safe_psql($database, 'SELECT count FROM shop.total'), '3', 'in both views');
	is($node->safe_psql($database, q{SELECT count(*) FROM streamx.late_rows WHERE view = 'shop.revenue'::regclass}), '2', 'a row is late as in the original');
	is($node->safe_psql($database, q{SELECT * FROM streamx.verify('shop.revenue')}), '', 'verify agrees');
	is($node->safe_psql($database, q{SELECT state FROM streamx.stat_streams WHERE stream = 'topic'::regclass}), 'paused as a copy', 'a Kafka stream comes up paused');
}

# and so are windows: on time, partly late and late rows, sessions bridged and windows removed, all as in the original
for my $database ('postgres', 'copy', 'pieces')
{
	$node->safe_psql($database, <<'END');
SET ROLE "o'dd; clerk";
SET search_path = "Wi n;dows", public;
INSERT INTO "vis its" VALUES ('2024-03-31 10:33+00', 'a', 13), ('2024-03-31 10:16+00', 'b', 14), ('2024-03-31 09:50+00', 'a', 15), ('2024-03-31 10:35+00', NULL, 16);
INSERT INTO "vis its" VALUES ('2024-03-31 11:50+00', 'b', 17), ('2024-03-31 10:30+00', NULL, 18);
INSERT INTO "vis its" VALUES ('2024-03-31 11:45+00', 'b', 19), ('2024-03-31 11:29+00', 'a', 20), ('2024-03-31 10:58+00', 'b', 21);
INSERT INTO "fe els" VALUES ('2024-03-29', 'so so', '{fine}', '(fine)'), ('2024-03-29', 'fine', '{fine,"so so"}', '("so so")');
INSERT INTO "lo cal" VALUES ('2024-04-01 08:00', 32), ('2024-04-01 06:59', 64);
INSERT INTO "lo cal" VALUES ('2024-04-01 07:59', 128), ('2024-04-01 06:59', 256);
END
	is($node->safe_psql($database, join("\n", map { "SELECT '$_', d.* FROM streamx.verify('$_') d;" } @windows)), '', "verify agrees with all of $database");
}
my $windows_after = windows_of('postgres');
isnt($windows_after, $windows_before, 'windows go on');
is(windows_of($_), $windows_after, "in $_ as in the original") for 'copy', 'pieces';
is($node->safe_psql('copy', q{SET ROLE guest; SELECT count(*) > 0 FROM "Wi n;dows"."hop s"}), 't', 'readers of a view read its windows');
is($node->safe_psql('copy', q{SET ROLE guest; SELECT count(*) > 0 FROM "Wi n;dows".sessions}), 't', 'and its sessions');
$node->psql('copy', 'SET ROLE guest; SELECT FROM "Wi n;dows".kept', on_error_stop => 0, stderr => \my $denied);
like($denied, qr/permission denied for view kept/, 'but of no others');

$node->safe_psql('copy', 'CREATE VIEW shop.fresh WITH (streamx.continuous) AS SELECT count(*) FROM shop."Sale s"');
is($node->safe_psql('copy', 'TABLE shop.fresh'), '6', 'a new view takes a new number, and reads the old log');
$node->safe_psql('copy', 'DROP VIEW shop.fresh');

# A rebuild that was under way is so in the copy
my $shadows = q{SELECT count(*) FROM pg_class WHERE relname ~ '^v\d+_shadow$'};
is($node->safe_psql('copy', $shadows), '1', 'what a rebuild has made is copied');
$node->safe_psql('copy', "BEGIN; SELECT streamx.cancel_rebuild('being_rebuilt'); SELECT streamx.rebuild('being_rebuilt'); SELECT streamx.cancel_rebuild('being_rebuilt'); COMMIT");
is($node->safe_psql('copy', $shadows), '0', 'it can be cancelled there');
$node->safe_psql('copy', "SELECT streamx.rebuild('being_rebuilt')");

# A copy of the copy
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-f', $dump, 'copy' ], 'pg_dump of the copy');
$node->command_ok([ 'psql', '-XqAt', '-h', $host, '-p', $port, '-d', 'copy_of_copy', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump ], 'restored');
same(contents('copy_of_copy'), contents('copy'), 'is equal, too');
is(windows_of('copy_of_copy'), $windows_after, 'in its windows, too');

# Drops take everything along, as in the original
for my $view (@windows)
{
	my $owned = $node->safe_psql('copy', "SELECT substring(state::text FROM 'v\\d+_') FROM streamx.views WHERE view = '$view'::regclass");

	$node->safe_psql('copy', "DROP VIEW $view");
	is($node->safe_psql('copy', "SELECT relname FROM pg_class WHERE relname ~ '^$owned'"), '', "$view leaves no relation");
}
is($node->safe_psql('copy', q{SELECT (SELECT count(*) FROM streamx_internal.removal), (SELECT count(*) FROM streamx.view_streams WHERE stream::text ~ 'Wi n'), (SELECT count(*) FROM streamx_internal.late_row WHERE stream::text ~ 'Wi n')}),
	'0|0|0', 'nor anything in the catalog');
$node->safe_psql('copy', 'DROP SCHEMA "Wi n;dows" CASCADE');
$node->safe_psql('copy', 'DROP VIEW shop.revenue; DROP FOREIGN TABLE shop."Sale s"; DROP SCHEMA shop CASCADE; DROP FOREIGN TABLE topic, other_topic CASCADE');
is($node->safe_psql('copy', q{SELECT relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d|_log$'}), '', 'nothing internal is left');

# A copy can be replaced by a restore: pg_dump --clean drops each relation by itself
$node->command_ok([ 'pg_restore', '-h', $host, '-p', $port, '-e', '-1', '--clean', '-d', 'parts', $custom ], 'pg_restore --clean');
same(contents('parts'), $before, 'is equal, too');
is(windows_of('parts'), $windows_before, 'in its windows, too');
$node->safe_psql('parts', 'DROP SCHEMA "Wi n;dows" CASCADE; DROP SCHEMA shop CASCADE; DROP FOREIGN TABLE topic, other_topic CASCADE');
is($node->safe_psql('parts', q{SELECT relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d|_log$'}), '', 'and drops leave nothing');

# Definitions, then rows; without triggers, what is restored finds its owners before the first drop
for my $options ([], ['--disable-triggers'])
{
	$node->safe_psql('postgres', 'DROP DATABASE parts');
	$node->safe_psql('postgres', 'CREATE DATABASE parts');
	$node->command_ok([ 'pg_restore', '-h', $host, '-p', $port, '-e', '-s', '-d', 'parts', $custom ], 'pg_restore --schema-only');
	$node->command_ok([ 'pg_restore', '-h', $host, '-p', $port, '-e', '-a', @$options, '-d', 'parts', $custom ], "pg_restore --data-only @$options");
	is(windows_of('parts'), $windows_before, 'shows the same windows');
	$node->safe_psql('parts', 'DROP SCHEMA "Wi n;dows" CASCADE; DROP SCHEMA shop CASCADE; DROP FOREIGN TABLE topic, other_topic CASCADE');
	is($node->safe_psql('parts', q{SELECT relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d|_log$'}), '', 'and drops leave nothing');
}

# Streams without their rows in the catalog: pg_dump --schema-only
$node->safe_psql('postgres', 'CREATE DATABASE hollow');
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-s', '-f', $dump, 'postgres' ], 'pg_dump -s');
$node->command_ok([ 'psql', '-XqAt', '-h', $host, '-p', $port, '-d', 'hollow', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump ], 'restored');
$node->safe_psql('hollow', 'INSERT INTO shop.passing VALUES (3); CREATE VIEW shop.fresh WITH (streamx.continuous) AS SELECT count(*) FROM shop.passing; INSERT INTO shop.passing VALUES (4)');
is($node->safe_psql('hollow', 'TABLE shop.fresh'), '1', 'new views work');
$node->safe_psql('hollow', 'CREATE VIEW shop.hops WITH (streamx.continuous) AS SELECT hop("a t", \'20 minutes\', \'10 minutes\'), count(*) FROM "Wi n;dows"."vis its" GROUP BY 1');
$node->safe_psql('hollow', q{INSERT INTO "Wi n;dows"."vis its" VALUES ('2024-03-31 10:33+00', 'a', 1)});
is($node->safe_psql('hollow', 'SELECT sum(count) FROM shop.hops'), '2', 'those of windows, too');
$node->psql('hollow', 'TABLE "Wi n;dows"."hop s"', on_error_stop => 0, stderr => \$denied);
like($denied, qr/foreign table "v\d+_windows" belongs to no continuous view/, 'an old one says what it lacks');

# The extension goes, and comes back in the same session
is($node->safe_psql('pieces', <<'END'), '2|2', 'DROP EXTENSION and CREATE EXTENSION');
SET client_min_messages = error;
SELECT FROM shop.revenue;
INSERT INTO shop.passing VALUES (3);
DROP EXTENSION streamx CASCADE;
CREATE EXTENSION streamx;
CREATE FOREIGN TABLE shop.passing (n int) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW shop.total WITH (streamx.continuous) AS SELECT count(*), max(n) FROM shop.passing;
INSERT INTO shop.passing VALUES (1), (2);
SELECT * FROM shop.total;
SELECT * FROM streamx.verify('shop.total');
END
is($node->safe_psql('pieces', q{SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname LIKE 'streamx%' AND relkind IN ('r', 'v', 'f') AND relname ~ '^v([2-9]|1[0-9])'}), '0', 'nothing of before is left');

$node->stop;
done_testing();
