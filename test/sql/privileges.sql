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

SELECT plan(87);

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
RESET ROLE;
REVOKE USAGE ON SCHEMA desk FROM regress_heir;
SELECT is_empty($$SELECT * FROM streamx.verify('desk.hits')$$, 'a superuser does, also when the owner may not look into the schema');
GRANT USAGE ON SCHEMA desk TO regress_heir;
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
CREATE FUNCTION desk.window_slice(timestamptz, text, interval, interval, timestamptz, text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS 'SELECT NULL::timestamptz';
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
-- Views of other windows are read through relations of their own, and the same holds for them
CREATE SCHEMA office AUTHORIZATION regress_owner;
GRANT USAGE ON SCHEMA office TO regress_reader, regress_inserter;
CREATE ROLE regress_heir;
GRANT USAGE, CREATE ON SCHEMA office TO regress_heir;
SET ROLE regress_owner;
CREATE FOREIGN TABLE office.visits (at timestamptz, page text, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW office.hops WITH (streamx.continuous) AS
	SELECT hop(at, '20 minutes', '10 minutes') AS w, page, count(*), avg(n) FROM office.visits GROUP BY 1, 2;
CREATE VIEW office.steps WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT cumulate(at, '20 minutes', '10 minutes') AS w, page, count(*), stddev(n) FROM office.visits GROUP BY 1, 2;
CREATE VIEW office.sittings WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT session(at, '10 minutes') AS w, page, count(*), avg(n) FROM office.visits GROUP BY 1, 2;
GRANT SELECT ON office.hops, office.steps, office.sittings TO regress_reader;
GRANT INSERT ON office.visits TO regress_inserter;
SET ROLE regress_inserter;
INSERT INTO office.visits VALUES ('2024-05-01 10:01', 'a', 1), ('2024-05-01 10:12', 'b', 2);
INSERT INTO office.visits VALUES ('2024-05-01 10:08', 'a', 3);
CREATE FUNCTION pg_temp.shown() RETURNS TABLE (kind text, windows bigint, counts numeric) LANGUAGE sql AS $$
	SELECT 'hop', count(*), sum(count) FROM office.hops UNION ALL SELECT 'cumulate', count(*), sum(count) FROM office.steps
	UNION ALL SELECT 'session', count(*), sum(count) FROM office.sittings $$;
SELECT throws_ok('SELECT * FROM office.' || name, '42501', NULL, 'an inserter may not read ' || name) FROM unnest(ARRAY['hops', 'steps', 'sittings']) name;
RESET ROLE;
CREATE TEMP TABLE internals_of_windows AS SELECT 'streamx_internal.' || relname AS relation, regexp_replace(relname, '\d+', 'N') || ' of ' || window_kind AS title, relkind
	FROM streamx.views, unnest(ARRAY[state, delta_view, rows_view, definition_view, windows]) AS part JOIN pg_class ON oid = part WHERE view::text LIKE 'office.%';
GRANT SELECT ON internals_of_windows TO regress_reader, regress_heir;
SET ROLE regress_reader;
SELECT results_eq('SELECT * FROM pg_temp.shown()', $$VALUES ('hop', 4::bigint, 5::numeric), ('cumulate', 3, 4), ('session', 2, 3)$$, 'a reader reads them');
SELECT results_eq($$SELECT lower(w)::time, count FROM office.hops WHERE w @> timestamptz '2024-05-01 10:11' AND page = 'b' ORDER BY 1$$,
	$$VALUES (time '10:00', 1::bigint), ('10:10', 1)$$, 'with conditions, too');
SELECT throws_ok('SELECT * FROM ' || relation, '42501', NULL, 'but does not see ' || title) FROM internals_of_windows ORDER BY title COLLATE "C";
SELECT throws_ok($$CREATE FOREIGN TABLE pg_temp.mine (window_start timestamptz) SERVER streamx_windows$$, '42501', NULL, 'makes no windows of its own');
SELECT throws_ok($$UPDATE office.hops SET count = 1$$, '42501', NULL, 'changes nothing');
SELECT throws_ok($$SELECT * FROM streamx.verify('office.hops')$$, '42501', NULL, 'and does not verify');
RESET ROLE;
-- not even with the server: a foreign table is not windows
GRANT USAGE ON FOREIGN SERVER streamx_windows TO regress_heir;
SET ROLE regress_heir;
CREATE FOREIGN TABLE office.stolen (page text, window_start timestamptz, window_end timestamptz, a1 bigint) SERVER streamx_windows;
SELECT throws_ok('SELECT * FROM office.stolen', '42704', 'foreign table "stolen" belongs to no continuous view', 'a foreign table of the server has nothing to show');
DROP FOREIGN TABLE office.stolen;
RESET ROLE;
REVOKE USAGE ON FOREIGN SERVER streamx_windows FROM regress_heir;
-- an ordinary view over it hides the rest, whatever its readers try
SET ROLE regress_reader;
SELECT throws_ok('CREATE VIEW office.over AS SELECT * FROM office.hops', '42501', NULL, 'a reader makes views where it may');
SET ROLE regress_owner;
CREATE VIEW office.over WITH (security_barrier) AS SELECT * FROM office.hops WHERE page = 'a';
GRANT SELECT ON office.over TO regress_heir;
SET ROLE regress_heir;
CREATE TABLE office.leaks (page text);
CREATE FUNCTION office.leak(page text) RETURNS boolean COST 0.0001 LANGUAGE sql AS $$ INSERT INTO office.leaks VALUES (page) RETURNING true $$;
SELECT results_eq('SELECT count(*) FROM office.over WHERE office.leak(page)', 'VALUES (2::bigint)', 'a view over it shows its part');
SELECT results_eq('SELECT DISTINCT page FROM office.leaks', $$VALUES ('a')$$, 'and no other');
SELECT throws_ok('SELECT * FROM office.hops', '42501', NULL, 'which its readers may not read themselves');
DROP TABLE office.leaks;
RESET ROLE;

-- New owners; an owner that may not read the stream stops the inserter, but not the readers
ALTER VIEW office.hops OWNER TO regress_heir;
ALTER VIEW office.sittings OWNER TO regress_heir;
SET ROLE regress_reader;
SELECT results_eq('SELECT * FROM pg_temp.shown()', $$VALUES ('hop', 4::bigint, 5::numeric), ('cumulate', 3, 4), ('session', 2, 3)$$, 'readers go on reading');
SET ROLE regress_inserter;
INSERT INTO office.visits VALUES ('2024-05-01 10:13', 'b', 4);
RESET ROLE;
SELECT is_empty($$SELECT relation, a.grantee::regrole FROM internals_of_windows JOIN pg_class c ON c.oid = relation::regclass, aclexplode(c.relacl) a
	WHERE title !~ 'cumulate' AND a.grantee = 'regress_owner'::regrole$$, 'the old owner has kept nothing');
GRANT SELECT ON office.visits TO regress_heir;
SET ROLE regress_inserter;
INSERT INTO office.visits VALUES ('2024-05-01 10:13', 'b', 4);
SET ROLE regress_heir;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), 'the new owner verifies ' || view) FROM unnest(ARRAY['office.hops', 'office.sittings']) view;
SET ROLE regress_reader;
SELECT results_eq('SELECT * FROM pg_temp.shown()', $$VALUES ('hop', 4::bigint, 7::numeric), ('cumulate', 3, 5), ('session', 2, 4)$$, 'with the new row');
RESET ROLE;
REVOKE SELECT ON office.visits FROM regress_heir;
SET ROLE regress_inserter;
INSERT INTO office.visits VALUES ('2024-05-01 10:14', 'b', 5);
SET ROLE regress_heir;
SELECT results_eq('SELECT count(*) FROM office.hops', 'VALUES (4::bigint)', 'without SELECT on the stream its owner reads a view');
SELECT throws_ok($$SELECT * FROM streamx.verify('office.hops')$$, '42501', NULL, 'but verify would read the stream');
RESET ROLE;
DROP VIEW office.over;
REASSIGN OWNED BY regress_heir TO regress_owner;
SET ROLE regress_inserter;
INSERT INTO office.visits VALUES ('2024-05-01 10:14', 'b', 5);
SET ROLE regress_reader;
SELECT results_eq('SELECT * FROM pg_temp.shown()', $$VALUES ('hop', 4::bigint, 9::numeric), ('cumulate', 3, 6), ('session', 2, 5)$$, 'REASSIGN OWNED gives them back');
SET ROLE regress_owner;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees') FROM unnest(ARRAY['office.hops', 'office.steps', 'office.sittings']) view;
RESET ROLE;
SELECT is(count(*), 0::bigint, 'the heir has kept nothing') FROM internals_of_windows JOIN pg_class c ON c.oid = relation::regclass, aclexplode(c.relacl) a WHERE a.grantee = 'regress_heir'::regrole;
SELECT lives_ok('DROP OWNED BY regress_heir; DROP ROLE regress_heir', 'and lets the role go, too');

-- Functions of a view run as its owner, wherever windows are made; only the last step of an aggregate is the reader's, as in any view
SET ROLE regress_owner;
CREATE TABLE office.callers (what text, caller name, PRIMARY KEY (what, caller));
CREATE FUNCTION office.note_caller(what text) RETURNS void LANGUAGE sql AS $$ INSERT INTO office.callers VALUES (what, current_user) ON CONFLICT DO NOTHING $$;
CREATE FUNCTION office.parity(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM office.note_caller('key'); RETURN n % 2; END $$;
CREATE FUNCTION office.is_small(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM office.note_caller('domain'); RETURN n < 1000; END $$;
CREATE DOMAIN office.small AS int CHECK (office.is_small(value));
CREATE FUNCTION office.plus(a int, b int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM office.note_caller('transition'); RETURN a + b; END $$;
CREATE FUNCTION office.combine(a int, b int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM office.note_caller('combine'); RETURN a + b; END $$;
CREATE FUNCTION office.final(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM office.note_caller('final'); RETURN a; END $$;
CREATE AGGREGATE office.total(int) (sfunc = office.plus, stype = int, combinefunc = office.combine, finalfunc = office.final, initcond = '0', parallel = safe);
CREATE TYPE office.pair AS (a int);
CREATE FUNCTION office.compare(x office.pair, y office.pair) RETURNS int IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN PERFORM office.note_caller('compare'); RETURN btint4cmp(x.a, y.a); END $$;
CREATE FUNCTION office.lt(x office.pair, y office.pair) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN RETURN office.compare(x, y) < 0; END $$;
CREATE FUNCTION office.le(x office.pair, y office.pair) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN RETURN office.compare(x, y) <= 0; END $$;
CREATE FUNCTION office.eq(x office.pair, y office.pair) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN RETURN office.compare(x, y) = 0; END $$;
CREATE FUNCTION office.ge(x office.pair, y office.pair) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN RETURN office.compare(x, y) >= 0; END $$;
CREATE FUNCTION office.gt(x office.pair, y office.pair) RETURNS boolean IMMUTABLE STRICT LANGUAGE plpgsql AS $$ BEGIN RETURN office.compare(x, y) > 0; END $$;
CREATE OPERATOR office.< (FUNCTION = office.lt, LEFTARG = office.pair, RIGHTARG = office.pair, COMMUTATOR = OPERATOR(office.>));
CREATE OPERATOR office.<= (FUNCTION = office.le, LEFTARG = office.pair, RIGHTARG = office.pair, COMMUTATOR = OPERATOR(office.>=));
CREATE OPERATOR office.= (FUNCTION = office.eq, LEFTARG = office.pair, RIGHTARG = office.pair, COMMUTATOR = OPERATOR(office.=), MERGES);
CREATE OPERATOR office.>= (FUNCTION = office.ge, LEFTARG = office.pair, RIGHTARG = office.pair, COMMUTATOR = OPERATOR(office.<=));
CREATE OPERATOR office.> (FUNCTION = office.gt, LEFTARG = office.pair, RIGHTARG = office.pair, COMMUTATOR = OPERATOR(office.<));
RESET ROLE;
-- only a superuser makes an operator class, but its functions may be others'
CREATE OPERATOR CLASS office.pair_ops DEFAULT FOR TYPE office.pair USING btree AS
	OPERATOR 1 office.<, OPERATOR 2 office.<=, OPERATOR 3 office.=, OPERATOR 4 office.>=, OPERATOR 5 office.>, FUNCTION 1 office.compare(office.pair, office.pair);
SET ROLE regress_owner;
CREATE VIEW office.hop_calls WITH (streamx.continuous) AS
	SELECT hop(at, '20 minutes', '10 minutes') AS w, office.parity(n) AS k, n::office.small AS small, ROW(n % 3)::office.pair AS pair, office.total(n) FROM office.visits GROUP BY 1, 2, 3, 4;
CREATE VIEW office.step_calls WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT cumulate(at, '20 minutes', '10 minutes') AS w, office.parity(n) AS k, n::office.small AS small, ROW(n % 3)::office.pair AS pair, office.total(n) FROM office.visits GROUP BY 1, 2, 3, 4;
CREATE VIEW office.session_calls WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT session(at, '10 minutes') AS w, office.parity(n) AS k, n::office.small AS small, ROW(n % 3)::office.pair AS pair, office.total(n) FROM office.visits GROUP BY 1, 2, 3, 4;
GRANT SELECT ON office.hop_calls, office.step_calls, office.session_calls TO regress_reader;
GRANT SELECT, INSERT, DELETE ON office.callers TO regress_reader;
RESET ROLE;
CREATE FUNCTION pg_temp.called() RETURNS TABLE (what text, caller name) LANGUAGE sql AS $$ DELETE FROM office.callers RETURNING what COLLATE "C", caller $$;
SELECT set_eq('SELECT * FROM pg_temp.called()', $$SELECT what, name 'regress_owner' FROM unnest(ARRAY['key', 'domain', 'transition', 'compare']) what$$, 'a view that catches up');
INSERT INTO office.visits VALUES ('2024-05-01 10:15', 'a', 1), ('2024-05-01 10:16', 'a', 3), ('2024-05-01 10:35', 'a', 3);
INSERT INTO office.visits VALUES ('2024-05-01 10:25', 'a', 1), ('2024-05-01 10:19', 'a', 3), ('2024-05-01 10:03', 'a', 3);
INSERT INTO office.visits VALUES ('2024-05-01 11:45', 'a', 1);
DO $$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relkind = 'r' LOOP EXECUTE 'ANALYZE ' || r; END LOOP; END $$;
SELECT set_eq('SELECT * FROM pg_temp.called()', $$SELECT what, name 'regress_owner' FROM unnest(ARRAY['key', 'domain', 'transition', 'compare', 'combine']) what$$,
	'a superuser''s INSERT, with late rows and removed windows, and ANALYZE');
SELECT results_eq('SELECT (SELECT count(*) FROM office.hop_calls), (SELECT count(*) FROM office.step_calls), (SELECT count(*) FROM office.session_calls)',
	'VALUES (17::bigint, 2::bigint, 1::bigint)', 'a superuser reads');
SELECT set_eq('SELECT * FROM pg_temp.called()', $$VALUES ('compare', name 'regress_owner')$$, 'windows are composed as the owner');
SELECT isnt_empty('SELECT total FROM office.' || name, name || ' have totals') FROM unnest(ARRAY['hop_calls', 'step_calls', 'session_calls']) name;
SELECT set_eq('SELECT * FROM pg_temp.called()', $$VALUES ('combine', name 'regress_owner'), ('compare', 'regress_owner'), ('final', current_user)$$, 'and finished by the reader');
SET ROLE regress_reader;
-- what a reader compares with is the reader's own
CREATE FUNCTION pg_temp.one() RETURNS int STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM office.note_caller('condition'); RETURN 1; END $$;
SELECT isnt_empty('SELECT w FROM office.hop_calls WHERE k = pg_temp.one()', 'a condition of a reader');
SELECT set_eq('SELECT * FROM pg_temp.called()', $$VALUES ('condition', name 'regress_reader'), ('compare', 'regress_owner')$$, 'is evaluated as the reader');
RESET ROLE;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees') FROM unnest(ARRAY['office.hop_calls', 'office.step_calls', 'office.session_calls']) view;
SELECT set_eq('SELECT * FROM pg_temp.called()', $$SELECT what, name 'regress_owner' FROM unnest(ARRAY['key', 'domain', 'transition', 'compare', 'combine', 'final']) what$$, 'which runs all of it as the owner');
SELECT * FROM finish();

DROP FUNCTION pg_temp.one(), pg_temp.called(), pg_temp.shown();
SET client_min_messages = error;
DROP SCHEMA office CASCADE;
DROP TABLE readers, internals, internals_of_windows;
DROP OWNED BY regress_owner, regress_reader, regress_inserter;
DROP ROLE regress_owner, regress_reader, regress_inserter;
SELECT count(*) FROM streamx.views WHERE view::text LIKE 'desk%';
