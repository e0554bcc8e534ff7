-- Who may do what: owners, readers, inserters; and what tricks do not work
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE ROLE regress_owner;
CREATE ROLE regress_reader;
CREATE ROLE regress_inserter;
CREATE ROLE regress_heir;
CREATE SCHEMA desk AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA desk TO regress_reader, regress_inserter, regress_heir;
GRANT CREATE ON SCHEMA desk TO regress_heir;
GRANT USAGE ON FOREIGN SERVER streamx TO regress_owner;

SELECT plan(32);

-- A plain role makes a stream and a view
SET ROLE regress_owner;
CREATE FOREIGN TABLE desk.clicks (at timestamptz, page text, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE desk.pages (page text PRIMARY KEY, title text);
INSERT INTO desk.pages VALUES ('a', 'Alpha'), ('b', 'Beta');
CREATE VIEW desk.hits WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, title, count(*), avg(n), sum(n::numeric), stddev(n) FROM desk.clicks JOIN desk.pages USING (page) GROUP BY 1, 2;
INSERT INTO desk.clicks VALUES ('2024-05-01 10:00', 'a', 1), ('2024-05-01 10:00', 'a', 3);
SELECT results_eq('SELECT title, count, avg, sum FROM desk.hits', $$VALUES ('Alpha', 2::bigint, 2::numeric, 4::numeric)$$, 'the owner reads it');
GRANT SELECT ON desk.hits TO regress_reader;
GRANT INSERT ON desk.clicks TO regress_inserter;

-- Who has INSERT inserts; the view reads as its owner
SET ROLE regress_inserter;
SELECT lives_ok($$INSERT INTO desk.clicks VALUES ('2024-05-01 12:00', 'b', 5)$$, 'an inserter needs nothing but INSERT');
INSERT INTO desk.clicks VALUES ('2024-05-01 10:00', 'b', 7);
SELECT throws_ok('SELECT * FROM desk.hits', '42501', NULL, 'and may not read the view');
SELECT throws_ok('SELECT * FROM desk.clicks', '42501', NULL, 'or the stream');
SELECT is_empty('SELECT * FROM streamx.late_rows', 'or the late row it caused');

-- Who has SELECT reads, and nothing more
RESET ROLE;
CREATE TEMP TABLE internals AS SELECT state, delta_view, rows_view, definition_view, log FROM streamx.views JOIN streamx.view_streams USING (view) JOIN streamx.streams USING (stream) WHERE view = 'desk.hits'::regclass;
GRANT SELECT ON internals TO regress_reader;
SET ROLE regress_reader;
SELECT results_eq('SELECT title, count FROM desk.hits ORDER BY 1', $$VALUES ('Alpha', 2::bigint), ('Beta', 1)$$, 'a reader reads the view');
SELECT is_empty('SELECT * FROM streamx.late_rows', 'but not the late rows of a stream it may not read');
SELECT throws_ok('INSERT INTO desk.clicks VALUES (now())', '42501', NULL, 'does not insert');
SELECT throws_ok('SELECT * FROM streamx_internal.' || relname, '42501', NULL, 'does not see ' || regexp_replace(relname, '\d+', 'N'))
	FROM (SELECT unnest(ARRAY[state, delta_view, rows_view, definition_view, log]) AS oid FROM internals) i JOIN pg_class USING (oid) ORDER BY regexp_replace(relname, '\d+', 'N');
SELECT throws_ok('SELECT * FROM streamx_internal.late_row', '42501', NULL, 'nor the table of late rows');
SELECT throws_ok('SELECT * FROM streamx.views', '42501', NULL, 'nor the catalog') WHERE NOT has_table_privilege('streamx.views', 'SELECT');
SELECT throws_ok($$SELECT * FROM streamx.verify('desk.hits')$$, '42501', NULL, 'does not verify');
SELECT throws_ok($$SELECT streamx.pause('desk.clicks')$$, '42501', NULL, 'does not pause');
SELECT throws_ok($$DROP VIEW desk.hits$$, '42501', NULL, 'does not drop');
SELECT throws_ok($$CREATE VIEW desk.spy WITH (streamx.continuous) AS SELECT count(*) FROM desk.clicks$$, '42501', NULL, 'does not define');
SELECT throws_ok($$SELECT streamx.partial(1, 2)$$, '42501', NULL, 'cannot call what only streamx calls');
SELECT throws_ok($$SELECT 'x'::streamx.state$$, NULL, NULL, 'cannot forge a state');
RESET ROLE;

-- With SELECT on the stream, too, a role defines its own view
GRANT SELECT ON desk.clicks, desk.pages TO regress_heir;
SET ROLE regress_heir;
CREATE VIEW desk.mine WITH (streamx.continuous) AS SELECT sum(n) FROM desk.clicks;
SELECT results_eq('TABLE desk.mine', 'VALUES (16::bigint)', 'and catches up');
RESET ROLE;
-- ... which fails the inserter when the right is gone: as an error that says so
REVOKE SELECT ON desk.clicks FROM regress_heir;
SET ROLE regress_inserter;
INSERT INTO desk.clicks VALUES ('2024-05-01 12:00', 'b', 5);
RESET ROLE;
DROP VIEW desk.mine;

-- A new owner: reads as itself from then on
GRANT SELECT ON desk.clicks, desk.pages TO regress_heir;
ALTER VIEW desk.hits OWNER TO regress_heir;
INSERT INTO desk.clicks VALUES ('2024-05-01 12:00', 'b', 5);
SET ROLE regress_heir;
SELECT results_eq('SELECT title, count FROM desk.hits ORDER BY 1', $$VALUES ('Alpha', 2::bigint), ('Beta', 2)$$, 'the new owner reads it');
SELECT is_empty($$SELECT * FROM streamx.verify('desk.hits')$$, 'and verifies it');
SET ROLE regress_reader;
SELECT results_eq('SELECT count(*) FROM desk.hits', 'VALUES (2::bigint)', 'so do its readers');
RESET ROLE;
SELECT is_empty($$SELECT c.relname FROM pg_class c, aclexplode(c.relacl) a WHERE relnamespace = 'streamx_internal'::regnamespace
	AND c.relname ~ '^v\d' AND a.grantee = 'regress_owner'::regrole$$, 'the old owner has kept nothing');
REASSIGN OWNED BY regress_heir TO regress_owner;
SET ROLE regress_owner;
SELECT results_eq('SELECT count(*) FROM desk.hits', 'VALUES (2::bigint)', 'REASSIGN OWNED gives it back');
RESET ROLE;
SELECT lives_ok('DROP OWNED BY regress_heir; DROP ROLE regress_heir', 'and lets the role go');

\set VERBOSITY sqlstate
-- Tricks: a superuser inserts, but a view's functions run as its owner, and restricted
SET ROLE regress_owner;
CREATE FUNCTION desk.really_evil() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER ROLE regress_owner SUPERUSER; END $$;
CREATE FUNCTION desk.evil(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM desk.really_evil(); RETURN n; END $$;
CREATE VIEW desk.trap WITH (streamx.continuous) AS SELECT desk.evil(n), count(*) FROM desk.clicks GROUP BY 1;
CREATE VIEW desk.trap WITH (streamx.continuous, streamx.start = 'latest') AS SELECT desk.evil(n), count(*) FROM desk.clicks GROUP BY 1;
RESET ROLE;
INSERT INTO desk.clicks VALUES ('2024-05-01 12:00', 'b', 5);
SELECT * FROM streamx.verify('desk.trap');
SET ROLE regress_owner;
DROP VIEW desk.trap;
CREATE OR REPLACE FUNCTION desk.really_evil() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET ROLE NONE; END $$;
CREATE VIEW desk.trap WITH (streamx.continuous, streamx.start = 'latest') AS SELECT desk.evil(n), count(*) FROM desk.clicks GROUP BY 1;
RESET ROLE;
INSERT INTO desk.clicks VALUES ('2024-05-01 12:00', 'b', 5);
DROP VIEW desk.trap;
\set VERBOSITY default
SELECT is(rolsuper, false, 'no superuser was made') FROM pg_roles WHERE rolname = 'regress_owner';

-- operators and functions of the same names, found first on the path: what we run does not see them
SET ROLE regress_owner;
CREATE FUNCTION desk.sabotage(a int, b int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'sabotage'; END $$;
CREATE FUNCTION desk.sabotage(a bigint, b bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'sabotage'; END $$;
CREATE FUNCTION desk.sabotage(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'sabotage'; END $$;
CREATE FUNCTION desk.sabotage(a oid, b oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'sabotage'; END $$;
CREATE OPERATOR desk.= (FUNCTION = desk.sabotage, LEFTARG = int, RIGHTARG = int);
CREATE OPERATOR desk.= (FUNCTION = desk.sabotage, LEFTARG = bigint, RIGHTARG = bigint);
CREATE OPERATOR desk.= (FUNCTION = desk.sabotage, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR desk.= (FUNCTION = desk.sabotage, LEFTARG = oid, RIGHTARG = oid);
CREATE FUNCTION desk.tumble_slice(timestamptz, interval, timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT NULL::timestamptz';
CREATE TABLE desk.streams (stream regclass);
CREATE TABLE desk.views (view regclass);
RESET ROLE;
SET search_path = desk, pg_catalog, public;
CREATE TEMP TABLE readers (reader int);
CREATE VIEW desk.straight WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, count(*) FROM desk.clicks GROUP BY 1;
INSERT INTO desk.clicks VALUES ('2024-05-01 12:00', 'b', 5);
RESET search_path;
SELECT results_eq('SELECT count FROM desk.straight ORDER BY w', 'VALUES (3::bigint), (3)', 'nothing of ours was diverted');
SET search_path = desk, pg_catalog, public;
SELECT * FROM streamx.verify('desk.straight');
SELECT streamx.watermark('desk.clicks');
DROP VIEW desk.straight;
RESET search_path;
SELECT is(count(*), 1::bigint, 'and dropping worked') FROM streamx.views WHERE view::text LIKE 'desk.%';

-- row security of a joined table counts as for the owner
SET ROLE regress_owner;
ALTER TABLE desk.pages ENABLE ROW LEVEL SECURITY;
ALTER TABLE desk.pages FORCE ROW LEVEL SECURITY;
CREATE POLICY only_a ON desk.pages USING (page = 'a');
RESET ROLE;
INSERT INTO desk.clicks VALUES ('2024-05-01 12:00', 'a', 1), ('2024-05-01 12:00', 'b', 1);
SELECT results_eq($$SELECT title, count FROM desk.hits WHERE lower(w) = '2024-05-01 12:00' ORDER BY 1$$, $$VALUES ('Alpha', 1::bigint), ('Beta', 3)$$,
	'a superuser''s INSERT joins what the owner may see');
SELECT * FROM finish();

DROP TABLE readers, internals;
DROP OWNED BY regress_owner, regress_reader, regress_inserter;
DROP ROLE regress_owner, regress_reader, regress_inserter;
SELECT count(*) FROM streamx.views WHERE view::text LIKE 'desk%';
