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
END
}
my $before = contents('postgres');
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamx.late_rows, streamx.dead_letters'), '1', 'a late row and a dead letter');

# When it is dumped and restored
my $host = $node->host;
my $port = $node->port;
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-f', $dump, 'postgres' ], 'pg_dump');
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-Fc', '-f', $custom, 'postgres' ], 'pg_dump -Fc');
$node->safe_psql('postgres', "CREATE DATABASE $_") for 'copy', 'pieces', 'copy_of_copy';
$node->command_ok([ 'psql', '-XqAt', '-h', $host, '-p', $port, '-d', 'copy', '-1', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump ], 'psql -1');
$node->command_ok([ 'pg_restore', '-h', $host, '-p', $port, '-e', '-d', 'pieces', $custom ], 'pg_restore');

# Then the copies are equal
is(contents($_), $before, "$_ is equal") for 'copy', 'pieces';

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
	is($node->safe_psql($database, 'SELECT count(*) FROM streamx.late_rows'), '2', 'a row is late as in the original');
	is($node->safe_psql($database, q{SELECT * FROM streamx.verify('shop.revenue')}), '', 'verify agrees');
	is($node->safe_psql($database, q{SELECT paused FROM streamx.streams WHERE stream = 'topic'::regclass}), 't', 'a Kafka stream comes up paused');
}
$node->safe_psql('copy', 'CREATE VIEW shop.fresh WITH (streamx.continuous) AS SELECT count(*) FROM shop."Sale s"');
is($node->safe_psql('copy', 'TABLE shop.fresh'), '6', 'a new view takes a new number, and reads the old log');
$node->safe_psql('copy', 'DROP VIEW shop.fresh');

# A copy of the copy
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-f', $dump, 'copy' ], 'pg_dump of the copy');
$node->command_ok([ 'psql', '-XqAt', '-h', $host, '-p', $port, '-d', 'copy_of_copy', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump ], 'restored');
is(contents('copy_of_copy'), contents('copy'), 'is equal, too');

# Drops take everything along, as in the original
$node->safe_psql('copy', 'DROP VIEW shop.revenue; DROP FOREIGN TABLE shop."Sale s"; DROP SCHEMA shop CASCADE; DROP FOREIGN TABLE topic CASCADE');
is($node->safe_psql('copy', q{SELECT relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d|_log$'}), '', 'nothing internal is left');

# Streams without their rows in the catalog: pg_dump --schema-only
$node->safe_psql('postgres', 'CREATE DATABASE hollow');
$node->command_ok([ 'pg_dump', '-h', $host, '-p', $port, '-s', '-f', $dump, 'postgres' ], 'pg_dump -s');
$node->command_ok([ 'psql', '-XqAt', '-h', $host, '-p', $port, '-d', 'hollow', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', $dump ], 'restored');
$node->safe_psql('hollow', 'INSERT INTO shop.passing VALUES (3); CREATE VIEW shop.fresh WITH (streamx.continuous) AS SELECT count(*) FROM shop.passing; INSERT INTO shop.passing VALUES (4)');
is($node->safe_psql('hollow', 'TABLE shop.fresh'), '1', 'new views work');

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
is($node->safe_psql('pieces', q{SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname LIKE 'streamx%' AND relkind IN ('r', 'v') AND relname ~ '^v[2-9]'}), '0', 'nothing of before is left');

$node->stop;
done_testing();
