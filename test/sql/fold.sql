-- Inputs of sealed windows are folded into the results of their aggregates, and deleted
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
SET jit = off; -- many subqueries over little
CREATE SCHEMA fold;
SET search_path = fold, public;
-- rows of all tables of inputs of a view
CREATE FUNCTION inputs_of(view regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	name regclass;
	one bigint;
	count bigint := 0;
BEGIN
	FOR name IN SELECT unnest(v.inputs) FROM streamx.views v WHERE v.view = $1 LOOP
		EXECUTE 'SELECT count(*) FROM ' || name INTO one;
		count := count + one;
	END LOOP;
	RETURN count;
END $$;
-- rows of its state, by whether they are folded
CREATE FUNCTION folded_of(view regclass) RETURNS TABLE (folded boolean, count bigint) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT folded, count(*) FROM %s GROUP BY 1', (SELECT v.state FROM streamx.views v WHERE v.view = $1));
END $$;
CREATE VIEW own_views AS SELECT v.* FROM streamx.views v JOIN pg_class c ON c.oid = v.view WHERE relnamespace = 'fold'::regnamespace;
CREATE FUNCTION wrong() RETURNS TABLE (view text, difference text, "row" jsonb) LANGUAGE sql AS $$
	SELECT v.view::text, d.* FROM fold.own_views v, streamx.verify(v.view) d;
$$;
SELECT * FROM no_plan();

-- Tumbling windows: several groups and sets of inputs, counters, HAVING, direct arguments
CREATE FOREIGN TABLE orders (at timestamptz, k int, n int, name text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW tumbling WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS
	SELECT tumble(at, '10 minutes') AS w, k, count(*) AS rows, count(DISTINCT n) AS numbers, sum(DISTINCT n) AS sum, array_agg(name ORDER BY n, name) AS names,
	       string_agg(name, ',' ORDER BY n) FILTER (WHERE n > 1) AS line, percentile_disc(k / 10.0) WITHIN GROUP (ORDER BY n) AS low, mode() WITHIN GROUP (ORDER BY name)
	FROM orders GROUP BY 1, 2 HAVING max(DISTINCT n) > 1;
CREATE VIEW retaining WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes', streamx.retain_inputs) AS
	SELECT tumble(at, '10 minutes') AS w, k, count(*) AS rows, count(DISTINCT n) AS numbers, sum(DISTINCT n) AS sum, array_agg(name ORDER BY n, name) AS names,
	       string_agg(name, ',' ORDER BY n) FILTER (WHERE n > 1) AS line, percentile_disc(k / 10.0) WITHIN GROUP (ORDER BY n) AS low, mode() WITHIN GROUP (ORDER BY name)
	FROM orders GROUP BY 1, 2 HAVING max(DISTINCT n) > 1;
CREATE VIEW counting WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, count(DISTINCT n) AS numbers, count(DISTINCT name) FROM orders GROUP BY 1;
-- sessions of which some have several input groups
CREATE VIEW sessions WITH (streamx.continuous) AS
	SELECT session(at, '10 minutes') AS w, k, count(DISTINCT n) AS numbers, array_agg(name ORDER BY n, name) AS names FROM orders GROUP BY 1, 2;
-- what does not fold
CREATE VIEW hopping WITH (streamx.continuous) AS SELECT hop(at, '10 minutes', '5 minutes') AS w, count(DISTINCT n) FROM orders GROUP BY 1;
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(DISTINCT n), array_agg(n ORDER BY n) FROM orders;
CREATE VIEW records WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, array_agg((n, name) ORDER BY n, name)::text AS pairs FROM orders GROUP BY 1;
CREATE FOREIGN TABLE timeless (at timestamptz, n int) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW timeless_windows WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, array_agg(n ORDER BY n) FROM timeless GROUP BY 1;
CREATE VIEW plain WITH (streamx.continuous, streamx.retain_inputs = off) AS SELECT tumble(at, '10 minutes') AS w, sum(n) FROM orders GROUP BY 1;
SELECT set_eq('SELECT view::text FROM own_views WHERE finals_view IS NOT NULL', $$VALUES ('tumbling'), ('counting'), ('sessions')$$, 'views that fold');
SELECT set_eq('SELECT f.view::text FROM streamx_internal.folding f JOIN own_views USING (view)', $$VALUES ('tumbling'), ('counting'), ('sessions')$$, 'have a row that tells how far');

INSERT INTO orders VALUES ('2024-05-01 10:00', 1, 1, 'a'), ('2024-05-01 10:01', 1, 2, 'b'), ('2024-05-01 10:02', 1, 2, 'c'), ('2024-05-01 10:03', 2, 1, 'd'), ('2024-05-01 10:09', 3, 5, NULL);
INSERT INTO orders VALUES ('2024-05-01 10:12', 1, 7, 'e');
INSERT INTO orders VALUES ('2024-05-01 10:14:59', 1, 3, 'f');
INSERT INTO orders VALUES ('2024-05-01 10:05', 1, 3, 'g');
CREATE TABLE before AS SELECT * FROM tumbling WHERE upper(w) = '2024-05-01 10:10';
CREATE TABLE sessions_before AS SELECT * FROM sessions WHERE lower(w) < '2024-05-01 10:15' AND k < 3;
SELECT results_eq('SELECT k, rows, numbers, sum, names, line, low, mode FROM before ORDER BY k',
	$$VALUES (1, 4::bigint, 3::bigint, 6::bigint, ARRAY['a', 'b', 'c', 'g'], 'b,c,g', 1, 'a'), (3, 1, 1, 5, ARRAY[NULL::text], NULL, 5, NULL)$$,
	'a window that takes rows');
SELECT set_eq($$SELECT * FROM folded_of('tumbling')$$, 'SELECT NULL::boolean, 4::bigint', 'is not folded');
SELECT set_eq($$SELECT * FROM folded_of('counting')$$, 'VALUES (true, 1::bigint), (NULL, 1)', 'without allowed lateness it is sealed earlier');
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees before');

INSERT INTO orders VALUES ('2024-05-01 10:15', 1, 4, 'h');
SELECT set_eq($$SELECT * FROM folded_of('tumbling')$$, 'VALUES (true, 3::bigint), (NULL, 1)', 'when it is sealed it is folded');
SELECT set_eq($$SELECT * FROM tumbling WHERE upper(w) = '2024-05-01 10:10'$$, 'TABLE before', 'and shows what it showed');
SELECT set_eq('TABLE tumbling', 'TABLE retaining', 'as it does with its inputs');
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees');
INSERT INTO orders VALUES ('2024-05-01 10:06', 1, 9, 'late');
SELECT isnt_empty($$SELECT * FROM streamx.late_rows WHERE view = 'tumbling'::regclass$$, 'a row for it is late');
SELECT set_eq($$SELECT * FROM tumbling WHERE upper(w) = '2024-05-01 10:10'$$, 'TABLE before', 'and changes nothing');

INSERT INTO orders VALUES ('2024-05-01 12:00', 1, 1, 'z');
SELECT results_eq($$SELECT view::text, inputs_of(view) FROM own_views WHERE finals_view IS NOT NULL ORDER BY 1$$,
	$$VALUES ('counting', 2::bigint), ('sessions', 2), ('tumbling', 3)$$, 'inputs of the open windows are left');
SELECT cmp_ok(inputs_of('retaining'), '>', 20::bigint, 'with streamx.retain_inputs, all');
SELECT cmp_ok(inputs_of('hopping') + inputs_of('total') + inputs_of('records'), '>', 20::bigint, 'and where nothing folds');
SELECT set_eq('TABLE tumbling', 'TABLE retaining', 'all windows show what they did');
SELECT results_eq('SELECT numbers, count FROM counting ORDER BY w', 'VALUES (3::bigint, 4::bigint), (3, 3), (1, 1)', 'so do those that only count');
SELECT results_eq('SELECT k, lower(w)::time, numbers, names FROM sessions ORDER BY 1, 2',
	$$VALUES (1, '10:00'::time, 6::bigint, ARRAY['a', 'b', 'c', 'f', 'g', 'h', 'e', 'late']), (1, '12:00', 1, ARRAY['z']), (2, '10:03', 1, ARRAY['d']), (3, '10:09', 1, ARRAY[NULL::text])$$, 'and sessions');
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees after');

-- It would notice
BEGIN;
DO $$ BEGIN EXECUTE format('UPDATE %s SET f1 = f1 + 1 WHERE folded', (SELECT state FROM own_views WHERE view = 'tumbling'::regclass)); END $$;
SELECT isnt_empty('SELECT * FROM wrong()', 'another value would be noticed');
ROLLBACK;

-- What is rolled back was never folded
BEGIN;
INSERT INTO orders VALUES ('2024-05-01 12:30', 1, 1, 'y');
SELECT set_eq('TABLE tumbling', 'TABLE retaining', 'a transaction sees what its rows seal');
SELECT set_eq($$SELECT folded FROM folded_of('counting')$$, 'VALUES (true), (NULL)', 'folded');
SAVEPOINT later;
INSERT INTO orders VALUES ('2024-05-01 13:30', 1, 1, 'x');
SELECT set_eq('TABLE tumbling', 'TABLE retaining', 'so does a subtransaction');
ROLLBACK TO later;
SELECT set_eq('TABLE tumbling', 'TABLE retaining', 'and when it is rolled back');
ROLLBACK;
SELECT is(inputs_of('tumbling'), 3::bigint, 'the inputs are there again');
BEGIN ISOLATION LEVEL SERIALIZABLE;
INSERT INTO orders VALUES ('2024-05-01 12:30', 1, 1, 'y');
COMMIT;
SELECT set_eq($$SELECT folded, count FROM folded_of('tumbling')$$, 'VALUES (true, 5::bigint), (NULL, 1)', 'at SERIALIZABLE windows fold as well');

-- A new view over old rows folds as it goes
CREATE VIEW later WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, count(DISTINCT n), array_agg(name ORDER BY n, name) AS names FROM orders GROUP BY 1;
SELECT set_eq($$SELECT folded, count FROM folded_of('later')$$, 'VALUES (true, 3::bigint), (NULL, 1)', 'catching up folds');
SELECT is_empty('SELECT * FROM wrong()', 'and it is right');

-- Many inputs of one group are deleted in steps, and many groups folded in steps
CREATE FOREIGN TABLE many (at timestamptz, k int, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW big WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, count(DISTINCT n), sum(DISTINCT n) FROM many GROUP BY 1;
CREATE VIEW wide WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, n, array_agg(k ORDER BY k) FROM many GROUP BY 1, 2;
CREATE VIEW wide_sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, n, array_agg(k ORDER BY k) FROM many GROUP BY 1, 2;
INSERT INTO many SELECT '2024-05-01 10:00', i % 3, i FROM generate_series(1, 4000) i;
INSERT INTO many VALUES ('2024-05-01 12:00', 0, 0);
SELECT set_eq($$SELECT folded, count FROM folded_of('big')$$, 'VALUES (true, 1::bigint), (NULL, 1)', 'a group is folded at once');
SELECT results_eq($$SELECT is_folding, cardinality(folding_groups) FROM streamx_internal.folding WHERE view = 'big'::regclass$$, 'VALUES (true, 1)', 'and its inputs are noted');
SELECT ok(inputs_of('big') BETWEEN 1000 AND 3900, 'some are gone, others not yet');
SELECT results_eq('SELECT count, sum FROM big ORDER BY w', 'VALUES (4000::bigint, 8002000::bigint), (1, 0)', 'which makes no difference');
SELECT ok(count BETWEEN 1000 AND 3900, 'of many groups some are folded') FROM folded_of('wide') WHERE folded IS NULL;
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees during that');
SELECT format('INSERT INTO many VALUES (%L, 0, 0)', '2024-05-01 12:00:01'::timestamptz) FROM generate_series(1, 12) \gexec
SELECT set_eq($$SELECT view::text, inputs_of(view) FROM own_views WHERE view IN ('big'::regclass, 'wide'::regclass, 'wide_sessions'::regclass)$$,
	$$VALUES ('big', 1::bigint), ('wide', 1), ('wide_sessions', 1)$$, 'more batches fold the others');
SELECT is_empty($$SELECT view FROM streamx_internal.folding WHERE is_folding OR folding_groups <> '{}'$$, 'and nothing is left to do');
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees');

-- Retention removes windows, folded or not
CREATE VIEW kept WITH (streamx.continuous, streamx.retention = '30 minutes') AS SELECT tumble(at, '10 minutes') AS w, n, array_agg(k ORDER BY k) FROM many GROUP BY 1, 2;
CREATE VIEW kept_sessions WITH (streamx.continuous, streamx.retention = '30 minutes') AS SELECT session(at, '10 minutes') AS w, n, array_agg(k ORDER BY k) FROM many GROUP BY 1, 2;
INSERT INTO many SELECT '2024-05-01 12:09', i % 3, i FROM generate_series(1, 1500) i;
INSERT INTO many VALUES ('2024-05-01 12:30', 0, 0);
SELECT ok(count BETWEEN 1 AND 1499, 'some are folded') FROM folded_of('kept') WHERE folded;
SELECT ok(count BETWEEN 1 AND 1499, 'some sessions are') FROM folded_of('kept_sessions') WHERE folded;
INSERT INTO many VALUES ('2024-05-01 12:50', 0, 0);
INSERT INTO many SELECT '2024-05-01 12:50:01', 0, i FROM generate_series(1, 2000) i;
INSERT INTO many VALUES ('2024-05-01 13:30', 0, 0);
SELECT results_eq('SELECT lower(w)::time FROM kept', $$VALUES ('13:30'::time)$$, 'then all are removed');
SELECT format('INSERT INTO many VALUES (%L, 0, 0)', '2024-05-01 14:00'::timestamptz) FROM generate_series(1, 12) \gexec
SELECT is(inputs_of('kept') + inputs_of('kept_sessions'), 2::bigint, 'with their inputs');
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees');

-- An aggregate that fails for a group: that keeps its inputs, the others fold, the stream goes on
CREATE FUNCTION refuse_13(state int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF state = 13 THEN RAISE 'thirteen'; END IF;
	RETURN state;
END $$;
CREATE AGGREGATE superstitious(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0', FINALFUNC = refuse_13);
CREATE FOREIGN TABLE hostile (at timestamptz, k int, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW lucky WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, k, superstitious(n) FROM hostile GROUP BY 1, 2;
CREATE VIEW lucky_sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, k, superstitious(n) FROM hostile GROUP BY 1, 2;
INSERT INTO hostile SELECT '2024-05-01 10:00', k, 1 FROM generate_series(1, 40) k;
INSERT INTO hostile SELECT '2024-05-01 10:01', k, 12 FROM generate_series(2, 40, 2) k WHERE k < 38;
INSERT INTO hostile VALUES ('2024-05-01 12:00', 0, 0);
SELECT set_eq($$SELECT folded, count FROM folded_of('lucky')$$, 'VALUES (false, 16::bigint), (NULL, 25)', 'many fail');
INSERT INTO hostile VALUES ('2024-05-01 12:00', 0, 0);
SELECT set_eq($$SELECT folded, count FROM folded_of('lucky')$$, 'VALUES (false, 18::bigint), (true, 22), (NULL, 1)', 'the others are folded');
SELECT set_eq($$SELECT folded, count FROM folded_of('lucky_sessions')$$, 'VALUES (false, 18::bigint), (true, 22), (NULL, 1)', 'of sessions, too');
SELECT results_eq('SELECT k, superstitious FROM lucky WHERE k % 2 = 1 OR k >= 38 ORDER BY 1', 'SELECT k, 1 FROM generate_series(1, 40) k WHERE k % 2 = 1 OR k >= 38', 'and can be read');
SELECT throws_ok('SELECT * FROM lucky WHERE k = 2', 'P0001', 'thirteen', 'the failing ones as before');
SELECT is_empty($$SELECT view FROM streamx_internal.folding WHERE is_folding$$, 'and nobody tries again');
CREATE OR REPLACE FUNCTION refuse_13(state int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT state';
INSERT INTO hostile VALUES ('2024-05-01 14:00', 0, 0);
SELECT is(superstitious, 13, 'a failing window has its inputs') FROM lucky WHERE k = 2;
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees');

-- The values are computed as the view's owner, with the settings of its creation
CREATE ROLE fold_owner;
GRANT USAGE, CREATE ON SCHEMA fold TO fold_owner;
GRANT SELECT, INSERT ON hostile TO fold_owner;
CREATE FUNCTION user_and_zone(state text, n int) RETURNS text LANGUAGE sql STABLE AS $$SELECT current_user || ' ' || current_setting('TimeZone') || ' ' || current_setting('search_path')$$;
CREATE AGGREGATE circumstances(int) (SFUNC = user_and_zone, STYPE = text);
SET ROLE fold_owner;
SET timezone = 'Asia/Tokyo';
CREATE VIEW owned WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, circumstances(n) FROM hostile GROUP BY 1;
RESET ROLE;
SET timezone = 'UTC';
INSERT INTO hostile VALUES ('2024-05-01 14:10', 0, 0);
SELECT is(circumstances, 'fold_owner Asia/Tokyo pg_catalog, pg_temp', 'owner, settings, path') FROM owned WHERE lower(w) = '2024-05-01 14:00';
CREATE ROLE fold_heir;
GRANT USAGE, CREATE ON SCHEMA fold TO fold_heir;
GRANT SELECT ON hostile TO fold_heir;
ALTER VIEW owned OWNER TO fold_heir;
INSERT INTO hostile VALUES ('2024-05-01 14:20', 0, 0);
SELECT is(circumstances, 'fold_heir Asia/Tokyo pg_catalog, pg_temp', 'the new owner') FROM owned WHERE lower(w) = '2024-05-01 14:10';
CREATE ROLE fold_reader;
GRANT USAGE ON SCHEMA fold TO fold_reader;
GRANT SELECT ON tumbling TO fold_reader;
SELECT finals_view FROM own_views WHERE view = 'tumbling'::regclass \gset
SET ROLE fold_reader;
SELECT isnt_empty('SELECT names FROM tumbling', 'who may read the view sees values');
SELECT throws_ok('SELECT * FROM ' || :'finals_view', '42501', NULL, 'but not those of groups that HAVING hides');
RESET ROLE;
DROP VIEW owned;

-- Large values, of all sorts
CREATE FOREIGN TABLE large (at timestamptz, x text, p point) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW large_values WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, string_agg(x, '' ORDER BY x) AS all_of_it, max(DISTINCT x), mode() WITHIN GROUP (ORDER BY x), array_agg(p ORDER BY x) AS points,
	       json_agg(left(x, 5) ORDER BY x) AS beginnings FROM large GROUP BY 1;
INSERT INTO large SELECT '2024-05-01 10:00', (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 1000) j), point(i, 1) FROM generate_series(1, 9) i;
CREATE TABLE large_before AS SELECT w, md5(all_of_it) AS all_of_it, max, mode, points::text, beginnings::text FROM large_values;
INSERT INTO large VALUES ('2024-05-01 12:00', 'x', point(0, 0));
SELECT is(inputs_of('large_values'), 3::bigint, 'they fold');
SELECT set_eq($$SELECT w, md5(all_of_it), max, mode, points::text, beginnings::text FROM large_values WHERE lower(w) = '2024-05-01 10:00'$$, 'TABLE large_before', 'to what they were');
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees');

-- Nothing is left of a view that is dropped
-- A pass begins at the first session that the last one left, or where a row too old by itself made one begin
CREATE FOREIGN TABLE visits (at timestamptz, k int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW visit WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, k, array_agg(at::time ORDER BY at) AS times FROM visits GROUP BY 1, 2;
INSERT INTO visits VALUES ('2024-05-01 08:00', 2), ('2024-05-01 09:50', 1), ('2024-05-01 09:58', 1), ('2024-05-01 10:06', 1);
INSERT INTO visits VALUES ('2024-05-01 10:14', 1);
SELECT set_eq($$SELECT folded, count FROM folded_of('visit')$$, 'VALUES (true, 1::bigint), (NULL, 1)', 'one session is folded, one is open');
SELECT is((SELECT folding_next::time FROM streamx_internal.folding WHERE view = 'visit'::regclass), '09:50', 'at which the next pass is to begin');
INSERT INTO visits VALUES ('2024-05-01 09:41', 1);
SELECT is_empty($$SELECT * FROM streamx.late_rows WHERE view = 'visit'::regclass$$, 'a session takes an old row');
INSERT INTO visits VALUES ('2024-05-01 12:00', 3);
INSERT INTO visits VALUES ('2024-05-01 12:01', 3);
SELECT set_eq($$SELECT folded, count FROM folded_of('visit')$$, 'VALUES (true, 2::bigint), (NULL, 1)', 'that made it begin earlier, and it is folded');
SELECT is_empty($$SELECT * FROM streamx.verify('visit')$$, 'with the right result');
DROP FOREIGN TABLE visits CASCADE;

DROP VIEW big, wide, wide_sessions, kept, kept_sessions;
SELECT is((SELECT count(*) FROM streamx_internal.folding), 7::bigint, 'DROP VIEW takes its row along');
SELECT ok('streamx_internal.folding'::regclass = ANY (extconfig), 'a dump carries the others') FROM pg_extension WHERE extname = 'streamx';
SELECT * FROM finish();
DROP SCHEMA fold CASCADE;
DROP ROLE fold_owner, fold_heir, fold_reader;
SELECT count(*) FROM streamx_internal.folding;
