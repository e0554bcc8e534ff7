-- Definitions with windows of every kind change: what is renamed or moved goes on, what is dropped or rolled back leaves nothing behind
-- make check-sanitizers runs this with debug_discard_caches = 1, except where it says 0: to forget there, too, would only take long
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA window_ddl;
SET search_path = window_ddl, public;
CREATE VIEW present AS
	SELECT 'views' AS what, count(*) FROM streamx.views UNION ALL SELECT 'streams', count(*) FROM streamx.streams
	UNION ALL SELECT 'readers', count(*) FROM streamx.readers UNION ALL SELECT 'progress', count(*) FROM streamx.progress
	UNION ALL SELECT 'links', count(*) FROM streamx.view_streams
	UNION ALL SELECT 'late rows', count(*) FROM streamx_internal.late_row UNION ALL SELECT 'dead letters', count(*) FROM streamx_internal.dead_letter
	UNION ALL SELECT 'removals', count(*) FROM streamx_internal.removal
	UNION ALL SELECT 'relations', count(*) FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relkind IN ('r', 'v', 'f') AND (relname ~ '^v\d+_' OR relname ~ '_log$');
CREATE TABLE before AS TABLE present;
CREATE VIEW leftovers AS SELECT what, p.count - b.count AS count FROM present p JOIN before b USING (what);
SELECT plan(23);
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'a clean start');

CREATE SCHEMA mill;
CREATE FUNCTION build_mill() RETURNS void LANGUAGE sql SET debug_discard_caches = 0 AS $$
	CREATE FOREIGN TABLE mill.turn (at timestamptz, device int, grams numeric) SERVER streamx OPTIONS (event_time 'at', retain 'on');
	CREATE VIEW mill.hops WITH (streamx.continuous) AS
		SELECT hop(at, '20 minutes', '10 minutes') AS w, device, sum(grams), count(*) AS n FROM mill.turn GROUP BY 1, 2;
	CREATE VIEW mill.steps WITH (streamx.continuous, streamx.retention = '1 hour') AS
		SELECT cumulate(at, '20 minutes', '10 minutes') AS w, device, sum(grams), count(*) AS n FROM mill.turn GROUP BY 1, 2;
	CREATE VIEW mill.runs WITH (streamx.continuous, streamx.retention = '1 hour') AS
		SELECT session(at, '10 minutes') AS w, device, sum(grams), count(*) AS n FROM mill.turn GROUP BY 1, 2;
	CREATE VIEW mill.days WITH (streamx.continuous) AS
		SELECT hop(at, '2 days', '1 day', timezone => 'Europe/Berlin') AS w, avg(grams), count(*) AS n FROM mill.turn GROUP BY 1;
$$;
CREATE VIEW mill.verified AS SELECT d.* FROM streamx.views v, streamx.verify(v.view) d WHERE v.view::text ~ '^(mill|works)\.';
SELECT build_mill();
SET debug_discard_caches = 0;
INSERT INTO mill.turn VALUES ('2024-05-01 10:01', 1, 1.5), ('2024-05-01 10:15', 1, 2.5), ('2024-05-01 10:25', 2, 4);
INSERT INTO mill.turn VALUES ('2024-05-01 10:18', 1, 8), ('2024-05-01 10:03', 2, 16);
RESET debug_discard_caches;
ALTER FOREIGN TABLE mill.turn RENAME TO spin;
ALTER FOREIGN TABLE mill.spin RENAME COLUMN at TO spun_at;
ALTER FOREIGN TABLE mill.spin RENAME COLUMN grams TO mass;
ALTER FOREIGN TABLE mill.spin ADD COLUMN note text;
ALTER FOREIGN TABLE mill.spin DROP COLUMN note;
ALTER VIEW mill.hops RENAME TO "hop s";
ALTER VIEW mill."hop s" RENAME COLUMN w TO "w's";
ALTER VIEW mill.runs RENAME COLUMN device TO wheel;
ALTER SCHEMA mill RENAME TO works;
CREATE SCHEMA attic;
ALTER FOREIGN TABLE works.spin SET SCHEMA attic;
ALTER VIEW works.steps SET SCHEMA attic;
-- others take the old names
CREATE SCHEMA mill;
CREATE TABLE mill.turn (at timestamptz, device int, grams numeric);
CREATE VIEW mill.hops AS SELECT 1 AS w;
INSERT INTO attic.spin VALUES ('2024-05-01 10:27', 1, 32), ('2024-05-01 10:11', 2, 64);
SELECT results_eq($$SELECT lower("w's")::time, device, sum, n FROM works."hop s" ORDER BY 2, 1$$,
	$$VALUES (time '09:50', 1, 1.5, 1::bigint), ('10:00', 1, 4.0, 2), ('10:10', 1, 42.5, 3), ('10:20', 1, 32, 1),
	         ('10:10', 2, 68, 2), ('10:20', 2, 4, 1)$$, 'hop goes on under new names');
SELECT results_eq($$SELECT lower(w)::time, upper(w)::time, device, sum, n FROM attic.steps ORDER BY device, w$$,
	$$VALUES (time '10:00', time '10:10', 1, 1.5, 1::bigint), ('10:00', '10:20', 1, 4.0, 2), ('10:20', '10:30', 1, 32, 1), ('10:20', '10:40', 1, 32, 1),
	         ('10:20', '10:30', 2, 4, 1), ('10:20', '10:40', 2, 4, 1)$$, 'so does cumulate');
SELECT results_eq($$SELECT lower(w)::time, upper(w)::time, wheel, sum, n FROM works.runs ORDER BY wheel, w$$,
	$$VALUES (time '10:01', time '10:11', 1, 1.5, 1::bigint), ('10:15', '10:37', 1, 42.5, 3), ('10:25', '10:35', 2, 4, 1)$$, 'and session');
SELECT results_eq('SELECT w::text, n FROM works.days ORDER BY w',
	$$SELECT tstzrange(d - interval '2 hours', d + interval '46 hours')::text, 7::bigint FROM unnest(ARRAY[timestamptz '2024-04-30', '2024-05-01']) d$$, 'and days of Berlin');
SET debug_discard_caches = 0;
SELECT is_empty('TABLE works.verified', 'verify agrees');
RESET debug_discard_caches;
SELECT is_empty($$SELECT * FROM streamx.verify('attic.steps')$$, 'wherever the view is');
SELECT ok(bool_and(relnamespace = 'streamx_internal'::regnamespace), 'their parts stay where they were')
	FROM streamx.views, unnest(ARRAY[state, windows]) part JOIN pg_class ON oid = part WHERE view::text ~ '^(works|attic)';
ALTER FOREIGN TABLE attic.spin DROP COLUMN mass;
ALTER FOREIGN TABLE attic.spin DROP COLUMN spun_at;
ALTER FOREIGN TABLE attic.spin OPTIONS (DROP event_time);
DROP FOREIGN TABLE attic.spin;
DROP FUNCTION hop(timestamptz, interval, interval, timestamptz, text);
CREATE OR REPLACE VIEW works."hop s" AS SELECT 1 AS one;
ALTER VIEW works.runs SET (security_invoker);
\set VERBOSITY sqlstate
-- parts are not dropped by themselves
SELECT format('DROP FOREIGN TABLE %s', windows) AS windows, format('DROP TABLE %s CASCADE', state) AS state FROM streamx.views WHERE view = 'works."hop s"'::regclass \gset
:windows;
:state;
\set VERBOSITY default

-- Drops leave nothing, one by one
SELECT isnt_empty($$SELECT * FROM leftovers WHERE what = 'removals' AND count > 0$$, 'there are removals');
DROP VIEW attic.steps;
SELECT set_eq('SELECT what, count FROM leftovers WHERE count > 0 AND what IN (''views'', ''removals'', ''relations'')',
	$$VALUES ('views', 3::bigint), ('removals', 1), ('relations', 15)$$, 'DROP VIEW takes a cumulate view''s parts along');
DROP VIEW works.runs;
SELECT set_eq('SELECT what, count FROM leftovers WHERE count > 0 AND what IN (''views'', ''removals'', ''relations'')',
	$$VALUES ('views', 2::bigint), ('relations', 11)$$, 'and a session view''s');
DROP FOREIGN TABLE attic.spin CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'the stream takes the others');
DROP SCHEMA attic, mill, works CASCADE;
CREATE SCHEMA mill;

-- CREATE VIEW that is rolled back leaves nothing; in a savepoint, too
SET debug_discard_caches = 0;
BEGIN;
SELECT build_mill();
INSERT INTO mill.turn VALUES ('2024-05-01 10:01', 1, 1.5);
SELECT results_eq('SELECT (SELECT count(*) FROM mill.hops), (SELECT count(*) FROM mill.steps), (SELECT count(*) FROM mill.runs), (SELECT count(*) FROM mill.days)',
	'VALUES (2::bigint, 2::bigint, 1::bigint, 2::bigint)', 'made, filled and read in one transaction');
ROLLBACK;
RESET debug_discard_caches;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'rolled back: nothing');
BEGIN;
SELECT build_mill();
INSERT INTO mill.turn VALUES ('2024-05-01 10:01', 1, 1.5);
SAVEPOINT one;
CREATE VIEW mill.late WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT hop(at, '1 hour', '30 minutes') AS w, count(*) FROM mill.turn GROUP BY 1;
INSERT INTO mill.turn VALUES ('2024-05-01 12:01', 1, 1.5);
SELECT results_eq('SELECT lower(w)::time, count FROM mill.late ORDER BY 1', $$VALUES (time '11:30', 1::bigint), ('12:00', 1)$$, 'a view of a savepoint');
DROP VIEW mill.runs;
ROLLBACK TO one;
CREATE VIEW mill.late WITH (streamx.continuous) AS SELECT session(at, '1 hour') AS w, count(*) FROM mill.turn GROUP BY 1;
INSERT INTO mill.turn VALUES ('2024-05-01 10:31', 1, 1.5);
RELEASE one;
COMMIT;
SELECT results_eq('SELECT lower(w)::time, count FROM mill.late', $$VALUES (time '10:01', 2::bigint)$$, 'gives way to another one of its name');
SELECT results_eq('SELECT lower(w)::time, n FROM mill.runs ORDER BY 1', $$VALUES (time '10:01', 1::bigint), ('10:31', 1)$$, 'and a drop in it is none');
SET debug_discard_caches = 0;
SELECT is_empty('SELECT d.* FROM streamx.views v, streamx.verify(v.view) d WHERE v.view::text LIKE ''mill.%''', 'verify agrees');
RESET debug_discard_caches;
BEGIN;
DROP VIEW mill.hops, mill.steps;
DROP FOREIGN TABLE mill.turn CASCADE;
ROLLBACK;
SET debug_discard_caches = 0;
INSERT INTO mill.turn VALUES ('2024-05-01 10:32', 1, 1.5);
SELECT is_empty('SELECT d.* FROM streamx.views v, streamx.verify(v.view) d WHERE v.view::text LIKE ''mill.%''', 'nor is one that was rolled back');
RESET debug_discard_caches;
SET client_min_messages = error;
BEGIN;
DROP EXTENSION streamx CASCADE;
SELECT is(count(*), 0::bigint, 'DROP EXTENSION CASCADE takes all views') FROM pg_class WHERE relnamespace = 'mill'::regnamespace AND relkind IN ('v', 'f');
ROLLBACK;
SET client_min_messages = warning;
SET debug_discard_caches = 0;
INSERT INTO mill.turn VALUES ('2024-05-01 10:33', 1, 1.5);
SELECT results_eq('SELECT n FROM mill.hops WHERE lower(w) = ''2024-05-01 10:20''', 'VALUES (3::bigint)', 'rolled back, they are as before');
SELECT is_empty('SELECT d.* FROM streamx.views v, streamx.verify(v.view) d WHERE v.view::text LIKE ''mill.%''', 'verify agrees');
DROP SCHEMA mill CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'DROP SCHEMA CASCADE leaves nothing of them');
SET client_min_messages = error;
SELECT * FROM finish();
DROP SCHEMA window_ddl CASCADE;
