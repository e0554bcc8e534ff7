-- CREATE OR REPLACE VIEW over a continuous view: states that mean the same are kept, others are computed anew
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA swap;
SET search_path = swap, public;
SELECT plan(111);
CREATE ROLE regress_swap_owner;
CREATE ROLE regress_swap_reader;
GRANT ALL ON SCHEMA swap TO regress_swap_owner;
GRANT USAGE ON SCHEMA swap TO regress_swap_reader;
CREATE FOREIGN TABLE turn (at timestamptz, device int, grams numeric, note text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
GRANT SELECT, INSERT ON turn TO regress_swap_owner;

-- A view, the same made afresh, and what is left of them
CREATE FUNCTION state_of(name regclass) RETURNS regclass LANGUAGE sql AS 'SELECT state FROM streamx.views WHERE view = name';
CREATE FUNCTION verified(name regclass) RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM streamx.verify(name)';
-- differences between a view and a fresh one of its definition; -1: their relations differ
CREATE FUNCTION unlike_fresh(name text, options text, query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE result bigint;
	parts CONSTANT text := 'SELECT string_agg(regexp_replace(p::text, ''v\d+'', ''v'') || '' '' || (SELECT string_agg(attname || '' '' || format_type(atttypid, atttypmod), '', '' ORDER BY attnum) FROM pg_attribute WHERE attrelid = p AND attnum > 0), '';'' ORDER BY regexp_replace(p::text, ''v\d+'', ''v'')) FROM streamx.views v, unnest(ARRAY[state, definition_view, delta_view, rows_view, windows, trial_view, finals_view] || inputs || input_views) p WHERE v.view = %L::regclass';
	mine text; fresh text;
BEGIN
	EXECUTE format('CREATE VIEW swap.fresh WITH (streamx.continuous %s) AS %s', options, query);
	EXECUTE format('SELECT count(*) FROM ((TABLE swap.%I EXCEPT ALL TABLE swap.fresh) UNION ALL (TABLE swap.fresh EXCEPT ALL TABLE swap.%I)) d', name, name) INTO result;
	EXECUTE format(parts, 'swap.' || quote_ident(name)) INTO mine;
	EXECUTE format(parts, 'swap.fresh') INTO fresh;
	DROP VIEW swap.fresh;
	RETURN CASE WHEN mine <> fresh THEN -1 ELSE result END;
END $$;

-- The same query, another output: nothing is computed anew
CREATE VIEW totals WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams) AS total, count(DISTINCT note) AS notes, string_agg(note, ',' ORDER BY grams) AS list FROM turn GROUP BY 1, 2;
ALTER VIEW totals OWNER TO regress_swap_owner;
GRANT SELECT ON totals TO regress_swap_reader;
COMMENT ON VIEW totals IS 'of the mill';
COMMENT ON COLUMN totals.n IS 'turns';
CREATE VIEW over_totals AS SELECT device, sum(n) AS n FROM totals GROUP BY 1;
INSERT INTO turn VALUES ('2024-05-01 10:01', 1, 1.5, 'a'), ('2024-05-01 10:04', 2, 2, 'b'), ('2024-05-01 10:05', 1, 3, 'c'), ('2024-05-01 10:12', 1, 4, NULL), ('2024-05-01 10:15', NULL, 5, 'a');
SELECT 'totals'::regclass::oid AS oid, state_of('totals') AS state \gset
SET ROLE regress_swap_owner;
CREATE OR REPLACE VIEW totals WITH (streamx.continuous, security_barrier) AS
	SELECT tumble(at, '10 minutes') AS w, device, count(*) + 100 AS n, sum(grams) * 2 AS total, count(DISTINCT note) AS notes, string_agg(note, ',' ORDER BY grams) || '!' AS list,
		avg(grams) AS mean, lower(tumble(at, '10 minutes'))::time AS start
	FROM turn GROUP BY 1, 2 HAVING count(*) < 2;
RESET ROLE;
SELECT results_eq('SELECT lower(w)::time, device, n, total, notes, list, mean, start FROM totals ORDER BY 1, 2',
	$$VALUES ('10:00'::time, 2, 101::bigint, 4::numeric, 1::bigint, 'b!', 2::numeric, '10:00'::time), ('10:10', 1, 101, 8, 0, NULL, 4, '10:10'), ('10:10', NULL, 101, 10, 1, 'a!', 5, '10:10')$$,
	'other expressions, HAVING, and more columns over the same states');
SELECT is(state_of('totals')::text, :'state', 'which stay where they are');
SELECT is('totals'::regclass::oid, :'oid'::oid, 'so does the view');
SELECT is(obj_description('totals'::regclass), 'of the mill', 'its comment');
SELECT is(col_description('totals'::regclass, 3), 'turns', 'that of a column');
SELECT ok(has_table_privilege('regress_swap_reader', 'totals', 'SELECT'), 'its grants');
SELECT is(relowner::regrole::text, 'regress_swap_owner', 'its owner') FROM pg_class WHERE oid = 'totals'::regclass;
SELECT is(reloptions::text, '{security_barrier=true}', 'its options are those of the statement') FROM pg_class WHERE oid = 'totals'::regclass;
SELECT matches(definition, '^CREATE OR REPLACE VIEW totals .* HAVING count\(\*\) < 2$', 'the catalog knows the statement') FROM streamx.views WHERE view = 'totals'::regclass;
SELECT results_eq('SELECT * FROM over_totals ORDER BY 1', $$VALUES (1, 101::numeric), (2, 101), (NULL, 101)$$, 'views over it see it');
SELECT is(verified('totals'), 0::bigint, 'verify agrees');
INSERT INTO turn VALUES ('2024-05-01 10:13', 2, 20, 'a'), ('2024-05-01 10:18', 1, 7, 'd'), ('2024-05-01 10:22', 1, 8, 'd');
SELECT results_eq('SELECT lower(w)::time, device, n, total FROM totals ORDER BY 1, 2', $$VALUES ('10:00'::time, 2, 101::bigint, 4::numeric), ('10:10', 2, 101, 40), ('10:10', NULL, 101, 10), ('10:20', 1, 101, 16)$$, 'it goes on');
SELECT is(verified('totals'), 0::bigint, 'verify agrees');
SELECT set_has('SELECT objid FROM pg_depend WHERE refobjid = ''totals''::regclass AND deptype = ''i''', 'SELECT unnest(ARRAY[state, definition_view, delta_view, rows_view, finals_view] || inputs || input_views)::oid FROM streamx.views WHERE view = ''totals''::regclass', 'all parts are its own');

-- Something less: the states stay, an aggregate that shares one takes it over
CREATE OR REPLACE VIEW totals WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, device, 0::bigint AS n, avg(grams) AS total, count(DISTINCT note) AS notes, 'none'::text AS list, 1::numeric AS mean, lower(tumble(at, '10 minutes'))::time AS start FROM turn GROUP BY 1, 2;
SELECT results_eq('SELECT lower(w)::time, device, n, total::int, notes, list FROM totals ORDER BY 1, 2',
	$$VALUES ('10:00'::time, 1, 0::bigint, 2, 2::bigint, 'none'), ('10:00', 2, 0, 2, 1, 'none'), ('10:10', 1, 0, 6, 1, 'none'), ('10:10', 2, 0, 20, 1, 'none'), ('10:10', NULL, 0, 5, 1, 'none'), ('10:20', 1, 0, 8, 1, 'none')$$, 'fewer aggregates');
SELECT is(state_of('totals')::text, :'state', 'the states stay');
SELECT is(verified('totals'), 0::bigint, 'verify agrees');
-- and back
CREATE OR REPLACE VIEW totals WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams) AS total, count(DISTINCT note) AS notes, string_agg(note, ',' ORDER BY grams) AS list, avg(grams) AS mean, lower(tumble(at, '10 minutes'))::time AS start FROM turn GROUP BY 1, 2;
SELECT is(state_of('totals')::text, :'state', 'and can be used again');
SELECT is(verified('totals'), 0::bigint, 'verify agrees');

-- Under new names
ALTER FOREIGN TABLE turn RENAME COLUMN grams TO weight;
ALTER VIEW totals RENAME COLUMN list TO "all notes";
ALTER VIEW totals RENAME COLUMN n TO turns;
ALTER VIEW totals RENAME COLUMN total TO n;
CREATE OR REPLACE VIEW totals (w, device, turns, n, notes, "all notes", mean, start) WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes'), device, count(*), sum(weight) + 1, count(DISTINCT note), string_agg(note, ',' ORDER BY weight), avg(weight), lower(tumble(at, '10 minutes'))::time FROM turn GROUP BY 1, 2;
SELECT is(state_of('totals')::text, :'state', 'renamed columns are the same');
SELECT is(verified('totals'), 0::bigint, 'verify agrees');
ALTER FOREIGN TABLE turn RENAME COLUMN weight TO grams;

-- What PostgreSQL refuses of any view
CREATE OR REPLACE VIEW totals WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, device FROM turn GROUP BY 1, 2;
CREATE OR REPLACE VIEW totals WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, device AS d, count(*) AS turns, sum(grams) AS n, count(DISTINCT note) AS notes, string_agg(note, ',') AS "all notes", avg(grams) AS mean, lower(tumble(at, '10 minutes'))::time AS start FROM turn GROUP BY 1, 2;
CREATE OR REPLACE VIEW totals WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, device, count(*)::int AS turns, sum(grams) AS n, count(DISTINCT note) AS notes, string_agg(note, ',') AS "all notes", avg(grams) AS mean, lower(tumble(at, '10 minutes'))::time AS start FROM turn GROUP BY 1, 2;
-- and what we do
CREATE OR REPLACE VIEW totals AS SELECT NULL::tstzrange AS w;
CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO totals DO INSTEAD SELECT NULL::tstzrange AS w;
CREATE OR REPLACE VIEW over_totals WITH (streamx.continuous) AS SELECT device, sum(grams) AS n FROM turn GROUP BY 1;
CREATE FOREIGN TABLE other (at timestamptz, device int) SERVER streamx OPTIONS (event_time 'at');
CREATE VIEW unkept WITH (streamx.continuous) AS SELECT device, count(*) AS n FROM other GROUP BY 1;
INSERT INTO other VALUES ('2024-05-01 10:00', 1);
CREATE OR REPLACE VIEW unkept WITH (streamx.continuous) AS SELECT device, count(*) AS n, max(at) FROM other GROUP BY 1;
CREATE OR REPLACE VIEW unkept WITH (streamx.continuous) AS SELECT device, count(*) AS n FROM turn GROUP BY 1;
CREATE OR REPLACE VIEW unkept WITH (streamx.continuous, streamx.start = 'earliest') AS SELECT device, count(*) AS n FROM other GROUP BY 1;
CREATE OR REPLACE VIEW unkept WITH (streamx.continuous, streamx.start = 'latest') AS SELECT device, count(*) AS n FROM other GROUP BY 1;
CREATE OR REPLACE VIEW unkept WITH (streamx.continuous, streamx.nonsense) AS SELECT device, count(*) AS n FROM other GROUP BY 1;
CREATE OR REPLACE VIEW unkept WITH (streamx.continuous) AS SELECT device, count(*) * 2 AS n FROM other GROUP BY 1;
SELECT results_eq('TABLE unkept', 'VALUES (1, 2::bigint)', 'a stream that keeps nothing allows what needs nothing');
GRANT SELECT ON other TO regress_swap_reader;
SET ROLE regress_swap_reader;
CREATE OR REPLACE VIEW unkept WITH (streamx.continuous) AS SELECT device, count(*) * 3 AS n FROM other GROUP BY 1;
RESET ROLE;
SELECT results_eq('TABLE unkept', 'VALUES (1, 2::bigint)', 'nobody but its owner');

-- A name is that of the schema where the view would be made
CREATE SCHEMA swap_front;
SET search_path = swap_front, swap, public;
CREATE OR REPLACE VIEW unkept AS SELECT 1 AS one;
CREATE OR REPLACE VIEW unkept AS SELECT 2 AS one;
CREATE OR REPLACE VIEW totals WITH (streamx.continuous) AS SELECT count(*) FROM turn;
CREATE TEMP TABLE passing (count bigint);
CREATE VIEW passing WITH (streamx.continuous) AS SELECT count(*) FROM turn;
SELECT set_eq('SELECT view::oid FROM streamx.views', 'SELECT unnest(ARRAY[''swap_front.totals'', ''swap_front.passing'', ''swap.totals'', ''swap.unkept'']::regclass[])::oid', 'views are made where they would be made');
DROP SCHEMA swap_front CASCADE;
DROP TABLE passing;
SET search_path = swap, public;

-- What the states do not tell is computed anew, at once
CREATE VIEW anew WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n FROM turn GROUP BY 1, 2;
GRANT SELECT ON anew TO regress_swap_reader;
CREATE VIEW over_anew AS SELECT * FROM anew;
SELECT 'anew'::regclass::oid AS oid, state_of('anew') AS state \gset
CREATE TABLE steps (step int PRIMARY KEY, title text, query text);
INSERT INTO steps VALUES
	(1, 'an aggregate is added', $$SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams) FROM turn GROUP BY 1, 2$$),
	(2, 'one that is kept by its inputs', $$SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams), array_agg(note ORDER BY grams) AS notes FROM turn GROUP BY 1, 2$$),
	(3, 'one with another filter', $$SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams) FILTER (WHERE note = 'a') AS sum, array_agg(note ORDER BY grams) AS notes FROM turn GROUP BY 1, 2$$),
	(4, 'other rows', $$SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams) FILTER (WHERE note = 'a') AS sum, array_agg(note ORDER BY grams) AS notes FROM turn WHERE device IS NOT NULL GROUP BY 1, 2$$),
	(5, 'other keys', $$SELECT tumble(at, '10 minutes') AS w, device % 2 AS device, count(*) AS n, sum(grams), NULL::text[] AS notes FROM turn GROUP BY 1, 2$$),
	(6, 'another window', $$SELECT tumble(at, '20 minutes') AS w, device, count(*) AS n, sum(grams), NULL::text[] AS notes FROM turn GROUP BY 1, 2$$),
	(7, 'another kind of window', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, device, count(*) AS n, sum(grams), array_agg(note ORDER BY grams) AS notes FROM turn GROUP BY 1, 2$$),
	(8, 'sessions', $$SELECT session(at, '4 minutes') AS w, device, count(*) AS n, sum(grams), array_agg(note ORDER BY grams) AS notes FROM turn GROUP BY 1, 2$$),
	(9, 'steps', $$SELECT cumulate(at, '20 minutes', '10 minutes') AS w, device, count(*) AS n, max(grams) AS sum, NULL::text[] AS notes FROM turn GROUP BY 1, 2$$),
	(10, 'no window', $$SELECT NULL::tstzrange AS w, device, count(*) AS n, sum(grams), array_agg(note ORDER BY grams) AS notes FROM turn GROUP BY device$$),
	(11, 'no keys', $$SELECT NULL::tstzrange AS w, 1 AS device, count(*) AS n, sum(grams), array_agg(note ORDER BY grams) AS notes FROM turn$$),
	(12, 'grouping sets', $$SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams), array_agg(note ORDER BY grams) AS notes FROM turn GROUP BY GROUPING SETS ((1, 2), (1))$$),
	(13, 'a joined table', $$SELECT tumble(at, '10 minutes') AS w, device, count(*) AS n, sum(grams * factor) AS sum, array_agg(note ORDER BY grams) AS notes FROM turn JOIN (VALUES (1, 2), (2, 3)) f (d, factor) ON d = device GROUP BY 1, 2$$);
CREATE FUNCTION take(step int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE s swap.steps; old_state text := swap.state_of('anew');
BEGIN
	SELECT * INTO s FROM swap.steps WHERE steps.step = take.step;
	EXECUTE 'CREATE OR REPLACE VIEW swap.anew WITH (streamx.continuous) AS ' || s.query;
	RETURN NEXT is(swap.unlike_fresh('anew', '', s.query), 0::bigint, s.title || ': as if made afresh');
	RETURN NEXT is(to_regclass(old_state)::text, NULL, s.title || ': the old state is gone');
	RETURN NEXT is(swap.verified('anew'), 0::bigint, s.title || ': verify agrees');
END $$;
SELECT take(step) FROM generate_series(1, 13) step;
SELECT is('anew'::regclass::oid, :'oid'::oid, 'all the time it is the same view');
SELECT ok(has_table_privilege('regress_swap_reader', 'anew', 'SELECT'), 'with the same grants');
SELECT results_eq('SELECT w, device, n FROM over_anew ORDER BY 1, 2', 'SELECT w, device, n FROM anew ORDER BY 1, 2', 'and the same views over it');
INSERT INTO turn VALUES ('2024-05-01 10:25', 1, 1.5, 'a'), ('2024-05-01 10:36', 2, 2, 'b');
SELECT is(verified('anew'), 0::bigint, 'it goes on');
SELECT is(count(*), 1::bigint, 'there is one reader') FROM streamx.readers WHERE stream = 'turn'::regclass;
SELECT is_empty('SELECT view::text FROM streamx.views WHERE shadow_of IS NOT NULL', 'and nothing under way');
DROP VIEW anew CASCADE;

-- Within a transaction, with rows of its own, and not at all
CREATE VIEW undone WITH (streamx.continuous) AS SELECT device, count(*) AS n FROM turn GROUP BY 1;
BEGIN;
INSERT INTO turn VALUES ('2024-05-01 10:36', 9, 2, 'b');
CREATE OR REPLACE VIEW undone WITH (streamx.continuous) AS SELECT device, count(*) AS n, sum(grams) FROM turn GROUP BY 1;
INSERT INTO turn VALUES ('2024-05-01 10:36', 9, 3, 'b');
SELECT results_eq('SELECT n, sum FROM undone WHERE device = 9', 'VALUES (2::bigint, 5::numeric)', 'rows before and after, in one transaction');
SAVEPOINT one;
CREATE OR REPLACE VIEW undone WITH (streamx.continuous) AS SELECT device, count(*) * 2 AS n, max(grams) AS sum, min(grams) FROM turn GROUP BY 1;
INSERT INTO turn VALUES ('2024-05-01 10:36', 9, 4, 'b');
SELECT results_eq('SELECT n, sum, min FROM undone WHERE device = 9', 'VALUES (6::bigint, 4::numeric, 2::numeric)', 'in a savepoint');
ROLLBACK TO one;
INSERT INTO turn VALUES ('2024-05-01 10:36', 9, 5, 'b');
SELECT results_eq('SELECT n, sum FROM undone WHERE device = 9', 'VALUES (3::bigint, 10::numeric)', 'which is undone');
ROLLBACK;
INSERT INTO turn VALUES ('2024-05-01 10:36', 8, 5, 'b');
SELECT results_eq('SELECT * FROM undone WHERE device > 7', 'VALUES (8, 1::bigint)', 'and then all of it');
SELECT is(verified('undone'), 0::bigint, 'verify agrees');

-- Lateness: what is sealed stays sealed
CREATE FOREIGN TABLE lates (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE FUNCTION define(kind text, options text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE OR REPLACE VIEW swap.late_%s WITH (streamx.continuous %s) AS SELECT %s AS w, count(*) AS count, sum(n) AS sum, array_agg(n ORDER BY n) AS list FROM lates GROUP BY 1', kind, options,
		CASE kind WHEN 'tumble' THEN 'tumble(at, ''10 minutes'')' WHEN 'hop' THEN 'hop(at, ''20 minutes'', ''10 minutes'')' WHEN 'session' THEN 'session(at, ''5 minutes'')' ELSE 'cumulate(at, ''20 minutes'', ''10 minutes'')' END);
END $$;
CREATE FUNCTION define_all(options text) RETURNS void LANGUAGE sql AS $$ SELECT define(kind, options) FROM unnest(ARRAY['tumble', 'hop', 'session', 'cumulate']) kind $$;
CREATE FUNCTION verified_all() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(kind, ' ') FROM unnest(ARRAY['tumble', 'hop', 'session', 'cumulate']) kind WHERE verified(('swap.late_' || kind)::regclass) > 0 $$;
SELECT define_all('');
CREATE FUNCTION windows() RETURNS TABLE (kind text, w tstzrange, count bigint, sum bigint, list int[]) LANGUAGE sql AS $$
	SELECT 'tumble', * FROM late_tumble UNION ALL SELECT 'hop', * FROM late_hop UNION ALL SELECT 'session', * FROM late_session UNION ALL SELECT 'cumulate', * FROM late_cumulate $$;
INSERT INTO lates VALUES ('2024-05-01 10:01', 1), ('2024-05-01 10:03', 2), ('2024-05-01 10:18', 4);
INSERT INTO lates VALUES ('2024-05-01 10:27', 8);
CREATE TABLE sealed AS SELECT * FROM swap.windows() WHERE upper(w) <= CASE kind WHEN 'session' THEN timestamptz '2024-05-01 10:22' ELSE '2024-05-01 10:27' END;
CREATE TABLE states AS SELECT view, state::text FROM streamx.views;
SELECT is(count(*), 7::bigint, 'there are sealed windows') FROM sealed;
SELECT define_all(', streamx.allowed_lateness = ''1 hour''');
INSERT INTO lates VALUES ('2024-05-01 10:02', 16), ('2024-05-01 10:06', 16), ('2024-05-01 10:12', 16), ('2024-05-01 10:21', 32);
SELECT set_has('SELECT * FROM swap.windows()', 'TABLE sealed', 'more lateness does not open what was sealed');
SELECT results_eq('SELECT lower(w)::time, sum FROM late_tumble ORDER BY 1', $$VALUES ('10:00'::time, 3::bigint), ('10:10', 4), ('10:20', 40)$$, 'rows of other windows come in');
INSERT INTO lates VALUES ('2024-05-01 11:25', 64);
INSERT INTO lates VALUES ('2024-05-01 10:22', 128), ('2024-05-01 10:09', 128);
SELECT set_has('SELECT * FROM swap.windows()', 'TABLE sealed', 'nor later');
SELECT results_eq('SELECT lower(w)::time, sum FROM late_tumble ORDER BY 1', $$VALUES ('10:00'::time, 3::bigint), ('10:10', 4), ('10:20', 168), ('11:20', 64)$$, 'now for an hour');
SELECT is(verified_all(), NULL, 'verify agrees');
SELECT define_all('');
INSERT INTO lates VALUES ('2024-05-01 10:59', 256), ('2024-05-01 11:22', 512);
SELECT results_eq('SELECT lower(w)::time, sum FROM late_tumble ORDER BY 1', $$VALUES ('10:00'::time, 3::bigint), ('10:10', 4), ('10:20', 168), ('11:20', 576)$$, 'less lateness seals at once');
SELECT is(verified_all(), NULL, 'verify agrees');
-- with a new aggregate, too: what was refused stays so
CREATE OR REPLACE VIEW late_tumble WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, count(*) AS count, sum(n) AS sum, array_agg(n ORDER BY n) AS list, max(n) FROM lates GROUP BY 1;
SELECT results_eq('SELECT lower(w)::time, sum, max FROM late_tumble ORDER BY 1', $$VALUES ('10:00'::time, 3::bigint, 2), ('10:10', 4, 4), ('10:20', 168, 128), ('11:20', 576, 512)$$, 'an aggregate is added');
SELECT is(verified('late_tumble'), 0::bigint, 'verify agrees');
DROP VIEW late_tumble;
SELECT define('tumble', '');

-- Retention: it comes, grows and goes; what is removed stays so
SELECT define_all(', streamx.retention = ''30 minutes''');
INSERT INTO lates VALUES ('2024-05-01 12:00', 1);
SELECT is(min(upper(w)), '2024-05-01 11:40Z', 'windows are removed') FROM swap.windows() WHERE upper(w) > '2024-05-01 11:30';
SELECT is_empty('SELECT * FROM swap.windows() WHERE upper(w) <= ''2024-05-01 11:30''', 'and not shown');
SELECT is(verified_all(), NULL, 'verify agrees');
CREATE TABLE kept AS SELECT * FROM swap.windows();
SELECT define_all(', streamx.retention = ''2 hours''');
SELECT set_eq('SELECT * FROM swap.windows()', 'TABLE kept', 'they do not come back');
SELECT define_all('');
SELECT set_eq('SELECT * FROM swap.windows()', 'TABLE kept', 'nor without retention');
SELECT is(verified_all(), NULL, 'verify agrees');
SELECT is_empty('SELECT view FROM streamx_internal.removal WHERE is_deleting', 'nothing is left to be deleted');
INSERT INTO lates VALUES ('2024-05-01 14:00', 2);
SELECT set_has('SELECT * FROM swap.windows()', 'SELECT * FROM kept WHERE upper(w) <= ''2024-05-01 12:00''', 'and no more go');
SELECT is(verified_all(), NULL, 'verify agrees');
SELECT is_empty('SELECT view, v.state FROM streamx.views v JOIN states s USING (view) WHERE v.state::text <> s.state AND view::text <> ''late_tumble''', 'all the time the states are the same');
CREATE OR REPLACE VIEW late_tumble WITH (streamx.continuous, streamx.allowed_lateness = '1 hour', streamx.retention = '1 minute') AS SELECT tumble(at, '10 minutes') AS w, count(*) AS count, sum(n) AS sum, array_agg(n ORDER BY n) AS list FROM lates GROUP BY 1;

CREATE VIEW removing WITH (streamx.continuous, streamx.retention = '2 hours') AS SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*) FROM lates GROUP BY 1;
CREATE TABLE shown AS SELECT * FROM removing;
SELECT isnt_empty('TABLE shown', 'a view that removes windows, between whose slices the bound is');
INSERT INTO lates VALUES ('2024-05-01 14:15', 2);
SELECT is(verified('removing'), 0::bigint, 'verify agrees');
SELECT array_agg(w) AS before FROM removing \gset
CREATE OR REPLACE VIEW removing WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*), sum(n) FROM lates GROUP BY 1;
SELECT is(array_agg(w), :'before'::tstzrange[], 'windows do not come back by an aggregate that is added without retention') FROM removing;
SELECT is(verified('removing'), 0::bigint, 'verify agrees');
CREATE OR REPLACE VIEW removing WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*), sum(n) FROM lates WHERE n > 0 GROUP BY 1;
SELECT cmp_ok(count(*), '>', array_length(:'before'::tstzrange[], 1)::bigint, 'but when the rows are judged anew') FROM removing;
SELECT is(verified('removing'), 0::bigint, 'verify agrees');

-- Late rows that were discarded are not known
SELECT define_all(', streamx.late_rows = ''discard''');
INSERT INTO lates VALUES ('2024-05-01 13:00', 3);
SELECT define_all('');
\set VERBOSITY terse
SELECT * FROM streamx.verify('late_tumble');
\set VERBOSITY default
-- Inputs are kept from now on, and no more
CREATE FUNCTION inputs_of(name regclass) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN EXECUTE (SELECT format('SELECT count(*) FROM %s', inputs[1]) FROM streamx.views WHERE view = name) INTO n; RETURN n; END $$;
SELECT define('tumble', ', streamx.retain_inputs');
INSERT INTO lates VALUES ('2024-05-01 15:00', 4);
INSERT INTO lates VALUES ('2024-05-01 16:00', 5);
SELECT results_eq('SELECT lower(w)::time, list FROM late_tumble WHERE lower(w) >= ''2024-05-01 14:00'' ORDER BY 1', $$VALUES ('14:00'::time, '{2}'::int[]), ('14:10', '{2}'), ('15:00', '{4}'), ('16:00', '{5}')$$, 'folded or not');
SELECT is(inputs_of('late_tumble'), 3::bigint, 'inputs of sealed windows stay');
SELECT define('tumble', '');
INSERT INTO lates VALUES ('2024-05-01 17:00', 6);
SELECT results_eq('SELECT lower(w)::time, list FROM late_tumble WHERE lower(w) >= ''2024-05-01 14:00'' ORDER BY 1', $$VALUES ('14:00'::time, '{2}'::int[]), ('14:10', '{2}'), ('15:00', '{4}'), ('16:00', '{5}'), ('17:00', '{6}')$$, 'until they are not');
SELECT is(inputs_of('late_tumble'), 1::bigint, 'then they are folded');

-- What was removed stays so in a rebuild, too, when retention was taken away since; and what is there stays
CREATE FOREIGN TABLE brief (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW brief_tumble WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT tumble(at, '10 minutes') AS w, count(*) FROM brief GROUP BY 1;
CREATE VIEW brief_hop WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*) FROM brief GROUP BY 1;
INSERT INTO brief VALUES ('2024-05-01 10:00Z', 1);
INSERT INTO brief VALUES ('2024-05-01 12:30Z', 2);
CREATE OR REPLACE VIEW brief_tumble WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, count(*) FROM brief GROUP BY 1;
CREATE OR REPLACE VIEW brief_hop WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*) FROM brief GROUP BY 1;
SELECT streamx.rebuild('brief_tumble'), streamx.rebuild('brief_hop', rejudge => true);
SELECT results_eq('SELECT lower(w) FROM brief_tumble', ARRAY['2024-05-01 12:30Z'::timestamptz], 'a rebuild shows what was there');
SELECT results_eq('SELECT lower(w) FROM brief_hop ORDER BY 1', ARRAY['2024-05-01 12:20Z'::timestamptz, '2024-05-01 12:30Z'], 'and nothing that was removed');
SELECT is_empty($$SELECT * FROM streamx.verify('brief_tumble')$$, 'as verify says');
SELECT is_empty($$SELECT * FROM streamx.verify('brief_hop')$$, 'of both');

-- Nothing is left
SET client_min_messages = error;
DROP SCHEMA swap CASCADE;
SELECT is_empty('SELECT * FROM streamx.views', 'no views');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d+_'$$, 'no relations');
SELECT is_empty('SELECT view FROM streamx_internal.removal UNION ALL SELECT view FROM streamx_internal.folding UNION ALL SELECT view FROM streamx_internal.late_row', 'no rows about them');
SELECT * FROM finish();
DROP ROLE regress_swap_owner, regress_swap_reader;
