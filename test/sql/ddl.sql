-- Definitions change: what is renamed goes on working, what is dropped leaves nothing behind
-- make check-sanitizers runs this with debug_discard_caches = 1, except where it says 0: to forget there, too, would only take long
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
SELECT plan(36);
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

CREATE FUNCTION build() RETURNS void LANGUAGE sql SET debug_discard_caches = 0 AS $$
	CREATE FOREIGN TABLE depot.probe (at timestamptz, device int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
	CREATE VIEW depot.one WITH (streamx.continuous) AS SELECT tumble(at, '1 hour'), count(*) FROM depot.probe GROUP BY 1;
	CREATE VIEW depot.two WITH (streamx.continuous) AS SELECT count(*), max(id) FROM depot.probe JOIN depot.thing ON id = device;
$$;
SET check_function_bodies = off;
SELECT build();
SET debug_discard_caches = 0;
INSERT INTO depot.probe VALUES ('2024-05-01 10:00', 1);
INSERT INTO depot.probe VALUES ('2024-05-01 11:00', 1);
INSERT INTO depot.probe VALUES ('2024-05-01 10:00', 1);
RESET debug_discard_caches;
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
DROP SCHEMA depot, fabric CASCADE;
SELECT is_empty('SELECT * FROM leftovers WHERE count > 0', 'and nothing is left of it');
SET client_min_messages = error;
SELECT * FROM finish();
DROP SCHEMA ddl CASCADE;
