-- Definitions change: what is renamed goes on working, what is dropped leaves nothing behind
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA ddl;
SET search_path = ddl, public;
CREATE VIEW present AS
	SELECT 'views' AS what, count(*) FROM streamx.views UNION ALL SELECT 'streams', count(*) FROM streamx.streams
	UNION ALL SELECT 'readers', count(*) FROM streamx.readers UNION ALL SELECT 'progress', count(*) FROM streamx.progress
	UNION ALL SELECT 'links', count(*) FROM streamx.view_streams
	UNION ALL SELECT 'late rows', count(*) FROM streamx_internal.late_row UNION ALL SELECT 'dead letters', count(*) FROM streamx_internal.dead_letter
	UNION ALL SELECT 'removals', count(*) FROM streamx_internal.removal
	UNION ALL SELECT 'relations', count(*) FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relkind IN ('r', 'v', 'f') AND (relname ~ '^v\d+_' OR relname ~ '_log$');
CREATE TABLE before AS TABLE present;
CREATE VIEW leftovers AS SELECT what, p.count - b.count AS count FROM present p JOIN before b USING (what);
SELECT plan(94);
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'a clean start');

CREATE SCHEMA plant;
CREATE FOREIGN TABLE plant.sensor (at timestamptz, device int, value numeric) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE plant.device (id int, place text);
INSERT INTO plant.device VALUES (1, 'hall');
CREATE VIEW plant.readings WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, place, max(value), count(*) AS n FROM plant.sensor JOIN plant.device ON id = device GROUP BY 1, 2;
INSERT INTO plant.sensor VALUES ('2024-05-01 10:00', 1, 20.5);

-- Names
ALTER FOREIGN TABLE plant.sensor RENAME TO probe;
ALTER FOREIGN TABLE plant.probe RENAME COLUMN value TO celsius;
ALTER FOREIGN TABLE plant.probe RENAME COLUMN at TO taken_at;
ALTER TABLE plant.device RENAME TO thing;
ALTER TABLE plant.thing RENAME COLUMN place TO spot;
ALTER VIEW plant.readings RENAME TO results;
ALTER VIEW plant.results RENAME COLUMN n TO times;
CREATE SCHEMA storage;
ALTER FOREIGN TABLE plant.probe SET SCHEMA storage;
ALTER TABLE plant.thing SET SCHEMA storage;
ALTER SCHEMA plant RENAME TO fabric;
ALTER SCHEMA storage RENAME TO depot;
-- others take the old names
CREATE SCHEMA plant;
CREATE TABLE plant.device (id int, place text);
CREATE TABLE plant.sensor (at timestamptz, device int, value numeric);
INSERT INTO depot.probe (taken_at, device, celsius) VALUES ('2024-05-01 10:30', 1, 21.5);
SELECT results_eq('SELECT place, max, times FROM fabric.results', $$VALUES ('hall', 21.5, 2::bigint)$$, 'renamed from head to foot, it goes on');
SELECT is_empty($$SELECT * FROM streamx.verify('fabric.results')$$, 'verify agrees');
SELECT is(streamx.watermark('depot.probe'), '2024-05-01 10:30Z', 'the event time has its new name');
SELECT is(view::text, 'fabric.results', 'and the catalog its new names') FROM streamx.views WHERE view::text ~ 'fabric|DROP';
CREATE VIEW fabric.more WITH (streamx.continuous) AS SELECT tumble(taken_at, '1 hour'), count(*) FROM depot.probe GROUP BY 1;
SELECT is(count, 2::bigint, 'new views use the new names') FROM fabric.more;
DROP VIEW fabric.more;
DROP SCHEMA plant CASCADE;

-- Columns
ALTER FOREIGN TABLE depot.probe ADD COLUMN note text;
ALTER FOREIGN TABLE depot.probe DROP COLUMN note;
ALTER FOREIGN TABLE depot.probe ADD COLUMN humidity int;
INSERT INTO depot.probe VALUES ('2024-05-01 10:40', 1, 19, 55);
SELECT results_eq('SELECT max, times FROM fabric.results', 'VALUES (21.5, 3::bigint)', 'columns that it does not use come and go');
SELECT results_eq('SELECT celsius, humidity FROM depot.probe ORDER BY 1', 'VALUES (19::numeric, 55), (20.5, NULL), (21.5, NULL)', 'old rows have the new column, too');
ALTER FOREIGN TABLE depot.probe DROP COLUMN celsius;
ALTER FOREIGN TABLE depot.probe DROP COLUMN taken_at;
ALTER FOREIGN TABLE depot.probe ALTER COLUMN celsius TYPE float8;
ALTER TABLE depot.thing DROP COLUMN spot;
ALTER FOREIGN TABLE depot.probe OPTIONS (DROP event_time);

-- Of a view only its name, owner, schema and privileges change
CREATE OR REPLACE VIEW fabric.results AS SELECT NULL::tstzrange AS w, NULL::text AS place, 0::numeric AS max, 0::bigint AS times;
CREATE OR REPLACE VIEW fabric.results WITH (streamx.continuous) AS SELECT count(*) FROM depot.probe;
ALTER VIEW fabric.results SET (security_invoker);
ALTER VIEW fabric.results SET (check_option = local);
ALTER VIEW fabric.results SET (security_barrier);
SELECT results_eq('SELECT max, times FROM fabric.results', 'VALUES (21.5, 3::bigint)', 'still there');

-- Drops: refused with the view's name, or with all that hangs on it
DROP FOREIGN TABLE depot.probe;
DROP TABLE depot.thing;
DROP SERVER streamx;
INSERT INTO depot.probe VALUES ('2024-05-01 09:00', 1, 19, 55);
SELECT isnt_empty('SELECT * FROM leftovers WHERE what = ''late rows'' AND count > 0', 'it has a late row');
SELECT results_ne('SELECT sum(count) FROM leftovers', 'VALUES (0::numeric)', 'and more');
DROP VIEW fabric.results;
SELECT set_eq('SELECT what FROM leftovers WHERE count > 0', $$VALUES ('streams'), ('readers'), ('progress'), ('relations')$$, 'DROP VIEW leaves the stream and its log');
DROP FOREIGN TABLE depot.probe;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'DROP FOREIGN TABLE leaves nothing');

CREATE FUNCTION build() RETURNS void LANGUAGE sql AS $$
	CREATE FOREIGN TABLE depot.probe (at timestamptz, device int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
	CREATE VIEW depot.one WITH (streamx.continuous) AS SELECT tumble(at, '1 hour'), count(*) FROM depot.probe GROUP BY 1;
	CREATE VIEW depot.two WITH (streamx.continuous) AS SELECT count(*), max(id) FROM depot.probe JOIN depot.thing ON id = device;
$$;
SET check_function_bodies = off;
SELECT build();
INSERT INTO depot.probe VALUES ('2024-05-01 10:00', 1);
INSERT INTO depot.probe VALUES ('2024-05-01 11:00', 1);
INSERT INTO depot.probe VALUES ('2024-05-01 10:00', 1);
SELECT isnt_empty('SELECT * FROM leftovers WHERE what = ''late rows'' AND count > 0', 'made by a function');
DROP FOREIGN TABLE depot.probe CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'DROP FOREIGN TABLE CASCADE leaves nothing');
SELECT build();
DROP TABLE depot.thing CASCADE;
SELECT set_eq('SELECT view::text FROM streamx.views WHERE view::text LIKE ''depot%''', $$VALUES ('depot.one')$$, 'DROP TABLE CASCADE takes the view that joins it');
DROP SCHEMA depot CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'DROP SCHEMA CASCADE leaves nothing');
CREATE SCHEMA depot;
CREATE TABLE depot.thing (id int);
SELECT build();
BEGIN;
DROP VIEW depot.one, depot.two;
DROP FOREIGN TABLE depot.probe;
ROLLBACK;
INSERT INTO depot.probe VALUES ('2024-05-01 10:00', 1);
SELECT results_eq('SELECT count FROM depot.one', 'VALUES (1::bigint)', 'a drop that was rolled back is none');
CREATE ROLE regress_gone;
GRANT ALL ON SCHEMA depot TO regress_gone;
ALTER FOREIGN TABLE depot.probe OWNER TO regress_gone;
ALTER VIEW depot.one OWNER TO regress_gone;
DROP OWNED BY regress_gone CASCADE;
DROP ROLE regress_gone;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'DROP OWNED leaves nothing');
CREATE SERVER aside FOREIGN DATA WRAPPER streamx;
CREATE FOREIGN TABLE depot.probe (at timestamptz, n int) SERVER aside OPTIONS (event_time 'at', retain 'on');
CREATE VIEW depot.one WITH (streamx.continuous) AS SELECT count(*) FROM depot.probe;
INSERT INTO depot.probe VALUES ('2024-05-01 10:00', 1);
SELECT results_eq('SELECT count FROM depot.one', 'VALUES (1::bigint)', 'another server without brokers serves as well');
DROP SERVER aside;
DROP SERVER aside CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'DROP SERVER CASCADE leaves nothing');

-- Types and collations of group keys and inputs take the views along
CREATE SCHEMA kit;
CREATE TYPE kit.size AS ENUM ('small', 'large');
CREATE COLLATION kit.plain FROM "C";
CREATE FOREIGN TABLE parcel (at timestamptz, size kit.size, label text COLLATE kit.plain) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW by_size WITH (streamx.continuous) AS SELECT hop(at, '2 hours', '1 hour'), size, count(*) FROM parcel GROUP BY 1, 2;
CREATE VIEW sizes WITH (streamx.continuous) AS SELECT tumble(at, '1 hour'), array_agg(size) FROM parcel GROUP BY 1;
CREATE VIEW by_label WITH (streamx.continuous) AS SELECT session(at, '1 hour'), label, count(*) FROM parcel GROUP BY 1, 2;
INSERT INTO parcel VALUES ('2024-05-01 10:00', 'small', 'x');
SELECT streamx.rebuild('by_size'), streamx.rebuild('sizes'), streamx.rebuild('by_label');
SELECT throws_ok('DROP TYPE kit.size', '2BP01', NULL, 'not by themselves');
SELECT lives_ok('DROP TYPE kit.size CASCADE', 'DROP TYPE CASCADE');
SELECT set_eq('SELECT view::text FROM streamx.views', $$VALUES ('by_label')$$, 'takes the views that need it');
SELECT lives_ok('DROP SCHEMA kit CASCADE', 'DROP SCHEMA CASCADE of what they need');
SELECT is_empty('SELECT * FROM streamx.views', 'takes the others');
DROP FOREIGN TABLE parcel;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'and nothing is left');

-- Event triggers see it all and disturb nothing
CREATE TABLE seen (tag text, identity text);
CREATE FUNCTION see() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO seen SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands(); END $$;
CREATE FUNCTION see_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO seen SELECT 'dropped ' || object_type, object_identity FROM pg_event_trigger_dropped_objects() WHERE original; END $$;
CREATE EVENT TRIGGER see ON ddl_command_end EXECUTE FUNCTION see();
CREATE EVENT TRIGGER see_drop ON sql_drop EXECUTE FUNCTION see_drop();
SELECT build();
INSERT INTO depot.probe VALUES ('2024-05-01 10:00', 1);
SELECT results_eq('SELECT count FROM depot.one', 'VALUES (1::bigint)', 'a view under event triggers');
DROP FOREIGN TABLE depot.probe CASCADE;
DROP EVENT TRIGGER see;
DROP EVENT TRIGGER see_drop;
SELECT results_eq($$SELECT * FROM seen WHERE identity LIKE 'depot%'$$,
	$$VALUES ('CREATE FOREIGN TABLE', 'depot.probe'), ('CREATE VIEW', 'depot.one'), ('CREATE VIEW', 'depot.two'), ('dropped foreign table', 'depot.probe')$$, 'they saw what the user did');
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'nothing is left');

-- Names that need care
CREATE SCHEMA "a ""b; DROP";
CREATE FOREIGN TABLE "a ""b; DROP"."Käse 'n'' Brot" ("Ä t" timestamptz, "k;--" text, "%s" int)
	SERVER streamx OPTIONS (event_time 'Ä t', retain 'on');
CREATE TABLE "a ""b; DROP"."sixty three bytes is as long as a name of PostgreSQL may ever get" ("k;--" text);
INSERT INTO "a ""b; DROP"."sixty three bytes is as long as a name of PostgreSQL may ever get" VALUES ('x');
CREATE VIEW "a ""b; DROP"."'; DELETE FROM streamx.views WHERE view::text ~ 'fabric|DROP'; -- and so on up to its very end ©" WITH (streamx.continuous) AS
	SELECT tumble("Ä t", '1 hour') AS "the ""window""", "k;--", sum("%s") AS "sum %d", 'it''s' || "k;--" AS lit
	FROM "a ""b; DROP"."Käse 'n'' Brot" JOIN "a ""b; DROP"."sixty three bytes is as long as a name of PostgreSQL may ever get" USING ("k;--")
	GROUP BY 1, 2;
INSERT INTO "a ""b; DROP"."Käse 'n'' Brot" VALUES ('2024-05-01', 'x', 1), ('2024-05-01 02:00', 'y', 2);
INSERT INTO "a ""b; DROP"."Käse 'n'' Brot" VALUES ('2024-05-01', 'x', 1);
SELECT results_eq($$SELECT "k;--", "sum %d", lit FROM "a ""b; DROP"."'; DELETE FROM streamx.views WHERE view::text ~ 'fabric|DROP'; -- and so on up to its very end ©"$$, $$VALUES ('x', 1::bigint, 'it''sx')$$, 'odd names are names');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), 'verify agrees') FROM streamx.views WHERE view::text ~ 'fabric|DROP';
SELECT results_eq('SELECT "row" FROM streamx.late_rows WHERE view::text LIKE ''%DROP%''', $$VALUES ('{"%s": 1, "k;--": "x", "Ä t": "2024-05-01T00:00:00+00:00"}'::jsonb)$$, 'late rows name them, too');
SET client_min_messages = error;
DROP SCHEMA "a ""b; DROP" CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'and are dropped like others');

-- CREATE SCHEMA with its elements, prepared statements, several statements in one string
CREATE SCHEMA nested
	CREATE TABLE ordinary (n int)
	CREATE VIEW plain AS SELECT * FROM ordinary;
SELECT build() \; SELECT 1 \; CREATE VIEW depot.three WITH (streamx.continuous) AS SELECT min(device) FROM depot.probe \; SELECT 2;
SELECT results_eq($$SELECT definition FROM streamx.views WHERE view = 'depot.three'::regclass$$,
	$$VALUES ('CREATE VIEW depot.three WITH (streamx.continuous) AS SELECT min(device) FROM depot.probe')$$, 'the definition is the user''s text');
DROP SCHEMA nested CASCADE;

-- Windows of every kind: renamed, moved, dropped, rolled back
DROP SCHEMA depot, fabric CASCADE;
CREATE SCHEMA mill;
CREATE FUNCTION build_mill() RETURNS void LANGUAGE sql AS $$
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
INSERT INTO mill.turn VALUES ('2024-05-01 10:01', 1, 1.5), ('2024-05-01 10:15', 1, 2.5), ('2024-05-01 10:25', 2, 4);
INSERT INTO mill.turn VALUES ('2024-05-01 10:18', 1, 8), ('2024-05-01 10:03', 2, 16);
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
SELECT is_empty('TABLE works.verified', 'verify agrees');
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
BEGIN;
SELECT build_mill();
INSERT INTO mill.turn VALUES ('2024-05-01 10:01', 1, 1.5);
SELECT results_eq('SELECT (SELECT count(*) FROM mill.hops), (SELECT count(*) FROM mill.steps), (SELECT count(*) FROM mill.runs), (SELECT count(*) FROM mill.days)',
	'VALUES (2::bigint, 2::bigint, 1::bigint, 2::bigint)', 'made, filled and read in one transaction');
ROLLBACK;
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
SELECT is_empty('SELECT d.* FROM streamx.views v, streamx.verify(v.view) d WHERE v.view::text LIKE ''mill.%''', 'verify agrees');
BEGIN;
DROP VIEW mill.hops, mill.steps;
DROP FOREIGN TABLE mill.turn CASCADE;
ROLLBACK;
INSERT INTO mill.turn VALUES ('2024-05-01 10:32', 1, 1.5);
SELECT is_empty('SELECT d.* FROM streamx.views v, streamx.verify(v.view) d WHERE v.view::text LIKE ''mill.%''', 'nor is one that was rolled back');
SET client_min_messages = error;
BEGIN;
DROP EXTENSION streamx CASCADE;
SELECT is(count(*), 0::bigint, 'DROP EXTENSION CASCADE takes all views') FROM pg_class WHERE relnamespace = 'mill'::regnamespace AND relkind IN ('v', 'f');
ROLLBACK;
SET client_min_messages = warning;
INSERT INTO mill.turn VALUES ('2024-05-01 10:33', 1, 1.5);
SELECT results_eq('SELECT n FROM mill.hops WHERE lower(w) = ''2024-05-01 10:20''', 'VALUES (3::bigint)', 'rolled back, they are as before');
SELECT is_empty('SELECT d.* FROM streamx.views v, streamx.verify(v.view) d WHERE v.view::text LIKE ''mill.%''', 'verify agrees');
DROP SCHEMA mill CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'DROP SCHEMA CASCADE leaves nothing of them');

-- What a query may do with its window: the same rows in an ordinary table are the oracle
CREATE SCHEMA mill;
SET search_path = ddl, mill, public;
CREATE FOREIGN TABLE turn (at timestamptz, device int, grams numeric) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE turn_table (LIKE turn);
-- rows of turn_table, by the sessions of their devices: what session(at, '10 minutes') is there
CREATE VIEW numbered AS
	SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY device ORDER BY at) AS run
	FROM (SELECT *, at > lag(at, 1, '-infinity') OVER (PARTITION BY device ORDER BY at) + interval '10 minutes' AS is_first FROM turn_table) AS t;
CREATE VIEW in_runs AS
	SELECT at, device, grams, tstzrange(min(at) OVER run, max(at) OVER run + interval '10 minutes') AS w FROM numbered WINDOW run AS (PARTITION BY device, run);
CREATE TABLE pairs (view text PRIMARY KEY, query text);
CREATE FUNCTION define(name text, query text, batch text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE VIEW mill.%I WITH (streamx.continuous) AS %s', name, query);
	INSERT INTO pairs VALUES (name, coalesce(batch, replace(query, 'FROM turn', 'FROM turn_table')));
END $$;
SELECT define('sorted', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, device, sum(grams) AS total FROM turn GROUP BY w, device ORDER BY w DESC, total, device$$);
SELECT define('sorted by more', $$SELECT device FROM turn GROUP BY cumulate(at, '20 minutes', '10 minutes'), device ORDER BY max(grams) DESC NULLS LAST, device, upper(cumulate(at, '20 minutes', '10 minutes'))$$);
SELECT define('by alias', $$SELECT cumulate(at, '20 minutes', '10 minutes') AS "the window", device AS "a device", count(*) AS "how many" FROM turn GROUP BY "the window", "a device"$$);
SELECT define('by position', $$SELECT device % 2, hop(at, '15 minutes', '10 minutes'), count(*) FROM turn GROUP BY 2, 1$$);
SELECT define('by expression', $$SELECT sum(grams) FROM turn GROUP BY device, hop(at, '15 minutes', '10 minutes')$$);
SELECT define('window alone', $$SELECT hop(at, '20 minutes', '10 minutes') FROM turn GROUP BY 1$$);
SELECT define('neither', $$SELECT 1 AS one FROM turn GROUP BY hop(at, '20 minutes', '10 minutes')$$);
SELECT define('twice', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, hop(at, '20 minutes', '10 minutes') AS again, device, device AS twice, count(*), count(*) AS more FROM turn GROUP BY 1, 3$$);
SELECT define('expressions', $$SELECT lower(hop(at, '20 minutes', '10 minutes')) AS start, upper(hop(at, '20 minutes', '10 minutes')) - lower(hop(at, '20 minutes', '10 minutes')) AS length,
	coalesce(device, -1) || ' ' || sum(grams) AS label, sum(grams) / count(*) AS mean FROM turn GROUP BY hop(at, '20 minutes', '10 minutes'), device$$);
SELECT define('having', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, device FROM turn GROUP BY 1, 2 HAVING count(*) > 1 AND min(grams) > 1 AND device IS NOT NULL$$);
SELECT define('filter', $$SELECT cumulate(at, '20 minutes', '10 minutes') AS w, sum(grams) FILTER (WHERE device = 1), count(*) FILTER (WHERE device IS NULL) AS unknown FROM turn GROUP BY 1$$);
SELECT define('where', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*), avg(grams) FROM turn WHERE device = 1 AND at < '2024-05-01 11:00' GROUP BY 1$$);
SELECT define('runs', $$SELECT session(at, '10 minutes') AS w, device, sum(grams) AS total FROM turn GROUP BY w, device ORDER BY w DESC, total$$,
	$$SELECT w, device, sum(grams) AS total FROM in_runs GROUP BY w, device ORDER BY w DESC, total$$);
SELECT define('runs by expression', $$SELECT upper(session(at, '10 minutes')) - lower(session(at, '10 minutes')) AS length, lower(session(at, '10 minutes'))::date + device AS day, sum(grams) + count(*) AS mixed
	FROM turn GROUP BY session(at, '10 minutes'), device$$,
	$$SELECT upper(w) - lower(w) AS length, lower(w)::date + device AS day, sum(grams) + count(*) AS mixed FROM in_runs GROUP BY w, device$$);
SELECT define('runs having', $$SELECT device, session(at, '10 minutes') AS w, count(*) FROM turn GROUP BY 1, 2 HAVING lower(session(at, '10 minutes')) >= '2024-05-01 10:05' AND count(*) > 1$$,
	$$SELECT device, w, count(*) FROM in_runs GROUP BY 1, 2 HAVING lower(w) >= '2024-05-01 10:05' AND count(*) > 1$$);
SELECT define('runs alone', $$SELECT device FROM turn GROUP BY session(at, '10 minutes'), device ORDER BY lower(session(at, '10 minutes')), device$$,
	$$SELECT device FROM in_runs GROUP BY w, device ORDER BY lower(w), device$$);
SELECT define('tumble having', $$SELECT tumble(at, '10 minutes') AS w, count(*) FROM turn GROUP BY 1 HAVING lower(tumble(at, '10 minutes')) > '2024-05-01 10:05'$$);
-- PostgreSQL itself has no HAVING on a set-returning function
SELECT define('hop having', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*) FROM turn GROUP BY 1 HAVING lower(hop(at, '20 minutes', '10 minutes')) > '2024-05-01 10:05'$$);
SELECT define('hop in from', $$SELECT w, count(*) FROM turn, hop(at, '20 minutes', '10 minutes') AS w GROUP BY 1 HAVING lower(w) > '2024-05-01 10:05'$$);
CREATE VIEW mill.named (win, "the key", total) WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, device, sum(grams) FROM turn GROUP BY w, device ORDER BY w, device;
INSERT INTO pairs VALUES ('named', 'SELECT hop(at, ''20 minutes'', ''10 minutes'') AS win, device AS "the key", sum(grams) AS total FROM turn_table GROUP BY 1, 2 ORDER BY 1, 2');
CREATE FUNCTION turn(VARIADIC rows text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO turn_table SELECT ('2024-05-01 ' || split_part(r, ' ', 1))::timestamptz, nullif(split_part(r, ' ', 2), '-')::int, nullif(split_part(r, ' ', 3), '-')::numeric FROM unnest(rows) r;
	INSERT INTO turn SELECT ('2024-05-01 ' || split_part(r, ' ', 1))::timestamptz, nullif(split_part(r, ' ', 2), '-')::int, nullif(split_part(r, ' ', 3), '-')::numeric FROM unnest(rows) r;
END $$;
SELECT turn('10:01 1 1.5', '10:04 2 2', '10:09:59.999999 1 3', '10:10 1 4', '10:15 - 5', '10:17 2 -');
SELECT turn('10:19 2 6.25', '10:29 1 7', '10:29 - 8', '10:41 1 9', '10:31 2 10');
SELECT turn('10:42 2 11', '10:45 - 12', '10:48 1 13', '11:02 1 14');
SELECT results_eq(format('SELECT * FROM mill.%I', view), query, view || ' is equal, in its order') FROM pairs WHERE query ~ 'ORDER BY' ORDER BY view COLLATE "C";
SELECT bag_eq(format('SELECT * FROM mill.%I', view), query, view || ' is equal') FROM pairs WHERE query !~ 'ORDER BY' ORDER BY view COLLATE "C";
SELECT results_eq($$SELECT attname::text COLLATE "default" FROM pg_attribute WHERE attrelid = 'mill.named'::regclass ORDER BY attnum$$, $$VALUES ('win'), ('the key'), ('total')$$, 'columns have the names of the view');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', 'mill.' || quote_ident(view)), view || ': verify agrees') FROM pairs ORDER BY view COLLATE "C";
SET client_min_messages = error;
DROP SCHEMA mill CASCADE;
SET search_path = ddl, public;
SELECT * FROM finish();
DROP SCHEMA ddl CASCADE;
