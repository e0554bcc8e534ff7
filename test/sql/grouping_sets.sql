-- GROUPING SETS, ROLLUP and CUBE with any window equal the same query over a table
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
SET jit = off;
CREATE SCHEMA grouping_sets;
SET search_path = grouping_sets, public;
CREATE FOREIGN TABLE events (t timestamptz, a text, b int, c numeric(10, 2), n int)
	SERVER streamx OPTIONS (event_time 't', watermark_delay '1 day', retain 'on');
-- the rows that count, in an ordinary table: the oracle
CREATE TABLE events_table (t timestamptz, a text, b int, c numeric(10, 2), n int);
CREATE TABLE kind (b int PRIMARY KEY, name text, class text);
INSERT INTO kind VALUES (0, 'zero', 'even'), (1, 'one', 'odd'), (2, NULL, 'even');

-- A view over the stream, and the query that it must equal over the table
CREATE FUNCTION view_pair(name text, query text, expected text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE VIEW %I WITH (streamx.continuous) AS ', name) || replace(query, 'EVENTS', 'events');
	EXECUTE format('CREATE VIEW %I AS ', name || '_expected') || replace(coalesce(expected, query), 'EVENTS', 'events_table');
END $$;
CREATE FUNCTION differences(name text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format($q$
		SELECT 'missing ' || d::text FROM (TABLE %2$I EXCEPT ALL TABLE %1$I) d
		UNION ALL SELECT 'extra ' || d::text FROM (TABLE %1$I EXCEPT ALL TABLE %2$I) d
		UNION ALL SELECT difference || ' of verify ' || "row" FROM streamx.verify(%1$L)$q$, name, name || '_expected');
END $$;
-- Rows of any order in batches, NULLs in every key
CREATE FUNCTION put(batch int, nrows int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE rows ON COMMIT DROP AS
		SELECT '2024-05-01 10:00Z'::timestamptz + (hashint4(i + 7 * batch) & 16383) * interval '1 second' AS t,
		       (ARRAY['x', 'y', 'Y', NULL])[1 + (hashint4(i + 1000 * batch) & 3)] AS a,
		       nullif(hashint4(i + 2000 * batch) & 3, 3) AS b,
		       nullif(hashint4(i + 3000 * batch) & 3, 2) / 4.0 AS c, i + 200 * batch AS n
		FROM generate_series(1, nrows) i;
	INSERT INTO events TABLE rows;
	INSERT INTO events_table TABLE rows;
	DROP TABLE rows;
END $$;

SELECT plan(86);

-- Without a window: the total is there before any row, as often as its set is written
SELECT view_pair('rolled', $$SELECT a, b, count(*), sum(n), avg(c), min(n), max(a) FROM EVENTS GROUP BY ROLLUP (a, b)$$);
SELECT view_pair('cubed', $$SELECT a, b, c, GROUPING(a, b, c) AS level, GROUPING(c) AS is_all, count(*), sum(c) FROM EVENTS GROUP BY CUBE (a, b, c)$$);
SELECT view_pair('twice', $$SELECT a, b, count(*) FROM EVENTS GROUP BY GROUPING SETS ((a, b), (b, a), (), (a), (), (b), (b))$$);
SELECT view_pair('once', $$SELECT a, b, count(*) FROM EVENTS GROUP BY DISTINCT ROLLUP (a, b), ROLLUP (a)$$);
SELECT view_pair('totals', $$SELECT count(*), sum(n), GROUPING(a) FROM EVENTS WHERE n > 0 GROUP BY GROUPING SETS ((), ()), ROLLUP (a) HAVING GROUPING(a) = 1$$);
SELECT view_pair('total', $$SELECT count(*), max(n) FROM EVENTS GROUP BY ()$$);
SELECT results_eq('TABLE rolled', $$VALUES (NULL::text, NULL::int, 0::bigint, NULL::bigint, NULL::numeric, NULL::int, NULL::text)$$, 'a total of no rows');
SELECT results_eq('TABLE twice', $$VALUES (NULL::text, NULL::int, 0::bigint), (NULL, NULL, 0)$$, 'or two');
SELECT is_empty(format('SELECT * FROM differences(%L)', v), v || ' of no rows')
FROM unnest(ARRAY['rolled', 'cubed', 'twice', 'once', 'totals', 'total']) v;

-- What the select list and the other clauses may say of keys
SELECT view_pair('expressions', $$
	SELECT a || '!' AS loud, coalesce(a, 'all') AS label, lower(a), b + 1 AS next, (b + 1) * 2 AS twice, count(*),
	       CASE WHEN GROUPING(lower(a)) = 0 THEN 'by ' || lower(a) ELSE 'all' END AS what
	FROM EVENTS GROUP BY GROUPING SETS ((a, b + 1), (lower(a)), (a), (lower(a), b + 1))$$);
SELECT view_pair('arguments', $$
	SELECT a, b, sum(b) AS sum_b, max(a), count(a), count(*) FILTER (WHERE a IS NULL) AS without_a,
	       count(*) FILTER (WHERE b = 1) AS ones, sum(b) * count(b) + coalesce(b, 100) AS mixed, sum(length(a || b))
	FROM EVENTS GROUP BY ROLLUP (a, b)$$);
SELECT view_pair('having', $$
	SELECT a, b, GROUPING(b, a), count(*) FROM EVENTS GROUP BY CUBE (a, b)
	HAVING GROUPING(a, b) IN (1, 2) AND (a IS NULL OR a <> 'x') AND count(*) > 3$$);
SELECT view_pair('numbered', $$SELECT b % 2 AS parity, upper(a) AS letter, n / 10 AS ten, count(*) FROM EVENTS GROUP BY 3, ROLLUP (1, letter)$$);
SELECT view_pair('equal_keys', $$SELECT a AS one, a AS other, a || '!' AS loud, GROUPING(a), count(*) FROM EVENTS GROUP BY ROLLUP (1, 2)$$);
SELECT view_pair('constant_key', $$SELECT 'k'::text AS one, 'k'::text AS other, b, count(*) FROM EVENTS GROUP BY ROLLUP (1, b)$$);
SELECT view_pair('keys_only', $$SELECT a, b FROM EVENTS WHERE c IS NOT NULL GROUP BY CUBE (a, b)$$);
SELECT view_pair('one_set', $$SELECT a, b, GROUPING(a, b), count(*) FROM EVENTS GROUP BY GROUPING SETS ((b, a))$$);
SELECT view_pair('no_sets', $$SELECT a, GROUPING(a), count(*) FROM EVENTS GROUP BY a HAVING GROUPING(a) = 0$$);
SELECT view_pair('joined', $$
	SELECT b, name, coalesce(class, 'none') AS class, GROUPING(b, name), count(*), sum(n)
	FROM EVENTS LEFT JOIN kind USING (b) GROUP BY GROUPING SETS ((b), (b, name), (name, coalesce(class, 'none')), ())$$);
SELECT view_pair('crossed', $$
	SELECT k.class, grouping_set, count(*)
	FROM EVENTS JOIN kind k USING (b), (VALUES (1), (2)) AS streamx_sets (grouping_set) GROUP BY ROLLUP (k.class, grouping_set)$$);
SELECT view_pair('many', $$
	SELECT a, b, c, n % 2 AS n2, n % 3 AS n3, n % 5 AS n5, GROUPING(a, b, c, n % 2, n % 3, n % 5), count(*), sum(c)
	FROM EVENTS GROUP BY CUBE (a, b, c, n2, n3, n5)$$);
CREATE VIEW sorted WITH (streamx.continuous) AS
	SELECT a, b, count(*) FROM events GROUP BY ROLLUP (a, b) ORDER BY GROUPING(a, b) DESC, a DESC NULLS FIRST, b;
CREATE VIEW sorted_expected AS
	SELECT a, b, count(*) FROM events_table GROUP BY ROLLUP (a, b) ORDER BY GROUPING(a, b) DESC, a DESC NULLS FIRST, b;

CREATE DOMAIN amount AS numeric(10, 1);
SELECT view_pair('types', $$
	SELECT c::varchar(3) AS short, a COLLATE "C" AS letter, c::amount AS amount, ARRAY[b] AS list, b = 1 AS is_one, count(*)
	FROM EVENTS GROUP BY GROUPING SETS ((1, 2), (3, 4), (2, 5))$$);

-- Windows: those of the table are made by hand
SELECT view_pair('tumbling',
	$$SELECT tumble(t, '10 minutes') AS w, a, b, GROUPING(a, b), count(*), sum(c), avg(c)
	  FROM EVENTS GROUP BY w, ROLLUP (a, b)$$,
	$$SELECT tstzrange(w, w + interval '10 minutes') AS w, a, b, GROUPING(a, b), count(*), sum(c), avg(c)
	  FROM EVENTS, date_bin('10 minutes', t, '2000-01-01Z') w GROUP BY w, ROLLUP (a, b)$$);
SELECT view_pair('in_each',
	$$SELECT a, lower(tumble(t, '1 hour')) AS start, tumble(t, '1 hour') AS w, count(*), GROUPING(tumble(t, '1 hour'), a)
	  FROM EVENTS GROUP BY GROUPING SETS ((a, w), (w), (w))$$,
	$$SELECT a, w AS start, tstzrange(w, w + interval '1 hour') AS w, count(*), GROUPING(w, a)
	  FROM EVENTS, date_bin('1 hour', t, '2000-01-01Z') w GROUP BY GROUPING SETS ((a, w), (w), (w))$$);
SELECT view_pair('hopping',
	$$SELECT hop(t, '25 minutes', '10 minutes') AS w, a, b, GROUPING(a, b), count(*), sum(c), max(n)
	  FROM EVENTS GROUP BY w, CUBE (a, b) HAVING GROUPING(a) = 1 OR a <> 'x'$$,
	$$SELECT tstzrange(w, w + interval '25 minutes') AS w, a, b, GROUPING(a, b), count(*), sum(c), max(n)
	  FROM EVENTS, generate_series(date_bin('10 minutes', t, '2000-01-01Z') - interval '20 minutes', t, '10 minutes') w
	  WHERE w > t - interval '25 minutes' GROUP BY w, CUBE (a, b) HAVING GROUPING(a) = 1 OR a <> 'x'$$);
SELECT view_pair('cumulating',
	$$SELECT b, cumulate(t, '1 hour', '15 minutes') AS w, a || '!' AS loud, count(*), sum(c)
	  FROM EVENTS GROUP BY w, GROUPING SETS ((a || '!'), (b), ())$$,
	$$SELECT b, tstzrange(w, w + size) AS w, a || '!' AS loud, count(*), sum(c)
	  FROM EVENTS, date_bin('1 hour', t, '2000-01-01Z') w, unnest(ARRAY['15 min', '30 min', '45 min', '1 hour']::interval[]) size
	  WHERE t < w + size GROUP BY w, size, GROUPING SETS ((a || '!'), (b), ())$$);
-- sessions are of each set by itself: those of the total span those of the keys
SELECT view_pair('sessions',
	$$SELECT session(t, '2 minutes') AS w, a, b, GROUPING(a, b), count(*), sum(c)
	  FROM EVENTS GROUP BY w, ROLLUP (a, b) HAVING count(*) > 1$$,
	$$WITH sets (in_a, in_b, level) AS (VALUES (true, true, 0), (true, false, 1), (false, false, 3)),
	       rows AS (SELECT t, CASE WHEN in_a THEN a END AS a, CASE WHEN in_b THEN b END AS b, level, c FROM EVENTS, sets),
	       firsts AS (SELECT *, t > lag(t, 1, '-infinity') OVER (PARTITION BY level, a, b ORDER BY t) + interval '2 minutes' AS is_first FROM rows),
	       islands AS (SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY level, a, b ORDER BY t) AS island FROM firsts)
	  SELECT tstzrange(min(t), max(t) + interval '2 minutes') AS w, a, b, level, count(*), sum(c)
	  FROM islands GROUP BY level, a, b, island HAVING count(*) > 1$$);
-- aggregates that are kept by their inputs
SELECT view_pair('inputs', $$
	SELECT a, b, GROUPING(a, b), count(DISTINCT a) AS letters, count(DISTINCT n % 7) FILTER (WHERE b > 0) AS sevenths, sum(DISTINCT b),
	       array_agg(n ORDER BY n DESC) AS ns, string_agg(a, ',' ORDER BY n), mode() WITHIN GROUP (ORDER BY n % 3),
	       percentile_disc(coalesce(b, 1) / 4.0) WITHIN GROUP (ORDER BY n) AS of_key, rank(coalesce(b, 5)) WITHIN GROUP (ORDER BY n % 10), count(*)
	FROM EVENTS GROUP BY CUBE (a, b)$$);
SELECT view_pair('only_inputs', $$SELECT a, array_agg(n ORDER BY n) AS ns FROM EVENTS GROUP BY ROLLUP (a)$$);
SELECT view_pair('tumbling_inputs',
	$$SELECT tumble(t, '10 minutes') AS w, a, b, count(DISTINCT a), array_agg(b ORDER BY n), percentile_disc(0.5) WITHIN GROUP (ORDER BY c)
	  FROM EVENTS GROUP BY w, ROLLUP (a, b)$$,
	$$SELECT tstzrange(w, w + interval '10 minutes') AS w, a, b, count(DISTINCT a), array_agg(b ORDER BY n), percentile_disc(0.5) WITHIN GROUP (ORDER BY c)
	  FROM EVENTS, date_bin('10 minutes', t, '2000-01-01Z') w GROUP BY w, ROLLUP (a, b)$$);
SELECT view_pair('hopping_inputs',
	$$SELECT hop(t, '25 minutes', '10 minutes') AS w, a, count(DISTINCT b), array_agg(a ORDER BY n)
	  FROM EVENTS GROUP BY w, GROUPING SETS ((a), (), ())$$,
	$$SELECT tstzrange(w, w + interval '25 minutes') AS w, a, count(DISTINCT b), array_agg(a ORDER BY n)
	  FROM EVENTS, generate_series(date_bin('10 minutes', t, '2000-01-01Z') - interval '20 minutes', t, '10 minutes') w
	  WHERE w > t - interval '25 minutes' GROUP BY w, GROUPING SETS ((a), (), ())$$);
SELECT view_pair('session_inputs',
	$$SELECT session(t, '2 minutes') AS w, a, GROUPING(a), count(DISTINCT b), array_agg(a ORDER BY n) AS letters FROM EVENTS GROUP BY w, ROLLUP (a)$$,
	$$WITH sets (in_a, level) AS (VALUES (true, 0), (false, 1)),
	       rows AS (SELECT t, CASE WHEN in_a THEN a END AS a, a AS letter, level, b, n FROM EVENTS, sets),
	       firsts AS (SELECT *, t > lag(t, 1, '-infinity') OVER (PARTITION BY level, a ORDER BY t) + interval '2 minutes' AS is_first FROM rows),
	       islands AS (SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY level, a ORDER BY t) AS island FROM firsts)
	  SELECT tstzrange(min(t), max(t) + interval '2 minutes') AS w, a, level, count(DISTINCT b), array_agg(letter ORDER BY n) AS letters
	  FROM islands GROUP BY level, a, island$$);
SELECT is_empty(format('SELECT * FROM differences(%L)', v), v || ' of no rows') FROM unnest(ARRAY['inputs', 'only_inputs']) v;
CREATE VIEW pairs AS
	SELECT c.relname::text AS name FROM streamx.views v JOIN pg_class c ON c.oid = v.view
	WHERE c.relnamespace = 'grouping_sets'::regnamespace AND EXISTS (SELECT FROM pg_class e WHERE e.relname = c.relname || '_expected') ORDER BY c.oid;
SELECT put(1, 1);
SELECT is_empty(format('SELECT * FROM differences(%L)', name), name || ' of one row') FROM pairs;
SELECT put(2, 40);
SELECT put(3, 3);
SELECT put(4, 150);
SELECT put(5, 17);
BEGIN;
SELECT put(6, 30);
SAVEPOINT undone;
INSERT INTO events VALUES ('2024-05-01 10:00Z', 'undone', 1, 1, 1);
SELECT count(*) FROM rolled WHERE a = 'undone';
ROLLBACK TO undone;
SELECT put(7, 30);
COMMIT;
SELECT is_empty(format('SELECT * FROM differences(%L)', name), name || ' equals the batch') FROM pairs;
SELECT results_eq('TABLE sorted', 'TABLE sorted_expected', 'in the order of the levels');
-- they do not show what they must if these are empty
SELECT cmp_ok(count(*), '>', 20::bigint, 'sessions of several rows') FROM sessions;
SELECT cmp_ok(count(*), '>', 500::bigint, 'groups of many sets') FROM many;

-- A view that comes later reads the rows that there are
SELECT view_pair('later', $$SELECT a, b, GROUPING(a, b), count(*), sum(c) FROM EVENTS GROUP BY CUBE (a, b)$$);
SELECT is_empty($$SELECT * FROM differences('later')$$, 'a view that comes later');

-- A NULL of the rows is a group beside the total
SELECT results_eq($$SELECT level, count FROM cubed WHERE a IS NULL AND b IS NULL AND c IS NULL ORDER BY level$$,
	$$SELECT level, count(*) FROM events_table, generate_series(0, 7) level
	  WHERE (level & 4 > 0 OR a IS NULL) AND (level & 2 > 0 OR b IS NULL) AND (level & 1 > 0 OR c IS NULL) GROUP BY level ORDER BY level$$,
	'told apart by GROUPING');

-- Conditions on keys reach the state's index
CREATE FUNCTION index_conditions(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
		IF line ~ 'Index Cond' THEN RETURN NEXT trim(line); END IF;
	END LOOP;
END $$;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT index_conditions($$SELECT * FROM rolled WHERE a = 'x' AND b = 1$$);
SELECT index_conditions($$SELECT * FROM tumbling WHERE a = 'x' AND w @> timestamptz '2024-05-01 10:05Z'$$);
RESET enable_seqscan;
RESET enable_bitmapscan;

-- Late rows: a row is late once, whatever sets there are.  late_rows says which windows refused it
CREATE FOREIGN TABLE ticks (t timestamptz, a text, n int) SERVER streamx OPTIONS (event_time 't', watermark_delay '5 minutes', retain 'on');
CREATE TABLE ticks_table (t timestamptz, a text, n int);
CREATE VIEW hops WITH (streamx.continuous) AS
	SELECT hop(t, '15 minutes', '5 minutes') AS w, a, GROUPING(a) AS level, count(*), sum(n), array_agg(n ORDER BY n) AS ns FROM ticks WHERE n % 10 > 0 GROUP BY w, ROLLUP (a);
CREATE VIEW tumbles WITH (streamx.continuous, streamx.allowed_lateness = '2 minutes') AS
	SELECT tumble(t, '5 minutes') AS w, a, GROUPING(a) AS level, count(*), sum(n) FROM ticks WHERE n % 10 > 0 GROUP BY w, ROLLUP (a);
CREATE VIEW visits WITH (streamx.continuous) AS
	SELECT session(t, '5 minutes') AS w, a, GROUPING(a) AS level, count(*), sum(n), array_agg(n ORDER BY n) AS ns FROM ticks WHERE n % 10 > 0 GROUP BY w, ROLLUP (a);
CREATE VIEW kept WITH (streamx.continuous, streamx.retention = '20 minutes') AS
	SELECT tumble(t, '5 minutes') AS w, a, GROUPING(a) AS level, count(*), sum(n) FROM ticks GROUP BY w, ROLLUP (a);
CREATE VIEW refused AS
	SELECT view::regclass::text AS view, ("row"->>'n')::int AS n, refused_through, counted FROM streamx.late_rows WHERE stream = 'ticks'::regclass;
CREATE FUNCTION tick(at text, a text, n int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO ticks VALUES (('2024-05-01 ' || at || 'Z')::timestamptz, a, n);
	INSERT INTO ticks_table VALUES (('2024-05-01 ' || at || 'Z')::timestamptz, a, n);
$$;
CREATE VIEW hops_expected AS
	SELECT tstzrange(w, w + interval '15 minutes') AS w, a, GROUPING(a) AS level, count(*), sum(n), array_agg(n ORDER BY n) AS ns
	FROM ticks_table t, generate_series(date_bin('5 minutes', t, '2000-01-01Z') - interval '10 minutes', t, '5 minutes') w
	WHERE n % 10 > 0 AND NOT EXISTS (SELECT FROM refused r WHERE view = 'hops' AND r.n = t.n AND w + interval '15 minutes' <= refused_through)
	GROUP BY w, ROLLUP (a);
CREATE VIEW tumbles_expected AS
	SELECT tstzrange(w, w + interval '5 minutes') AS w, a, GROUPING(a) AS level, count(*), sum(n)
	FROM ticks_table t, date_bin('5 minutes', t, '2000-01-01Z') w
	WHERE n % 10 > 0 AND NOT EXISTS (SELECT FROM refused r WHERE view = 'tumbles' AND r.n = t.n) GROUP BY w, ROLLUP (a);
SELECT tick('10:01', 'x', 1), tick('10:02', 'y', 2), tick('10:11', 'x', 3);
SELECT tick('10:22', 'x', 4);
SELECT tick('10:03', 'y', 5), tick('10:13', 'y', 6), tick('10:04', 'x', 10), tick('10:16', 'y', 7);
SELECT results_eq($$SELECT n, refused_through, counted FROM refused WHERE view = 'hops' ORDER BY n$$,
	$$VALUES (5, timestamptz '2024-05-01 10:15Z', false), (6, '2024-05-01 10:15Z', true)$$, 'late for some windows, recorded once');
SELECT results_eq($$SELECT n, counted FROM refused WHERE view = 'tumbles' ORDER BY n$$, $$VALUES (5, false), (6, false)$$, 'late, recorded once');
SELECT is_empty($$SELECT * FROM differences('hops')$$, 'hops without them');
SELECT is_empty($$SELECT * FROM differences('tumbles')$$, 'tumbling windows without them');
-- in sessions a row counts in all sets or in none: 11 would join the total's session, but none of its own
SELECT tick('10:30', 'x', 8);
SELECT tick('10:19', 'z', 11);
SELECT results_eq($$SELECT n FROM refused WHERE view = 'visits' ORDER BY n$$, $$VALUES (5), (11)$$, 'refused as a whole');
SELECT is_empty($$SELECT * FROM streamx.verify('visits')$$, 'sessions without it');
SELECT results_eq($$SELECT lower(w)::time, upper(w)::time, a, count FROM visits ORDER BY level, w, a$$,
	$$VALUES (time '10:01', time '10:06', 'x', 1::bigint), ('10:02', '10:07', 'y', 1), ('10:11', '10:16', 'x', 1), ('10:13', '10:21', 'y', 2),
	         ('10:22', '10:27', 'x', 1), ('10:30', '10:35', 'x', 1),
	         ('10:01', '10:07', NULL, 2), ('10:11', '10:21', NULL, 3), ('10:22', '10:27', NULL, 1), ('10:30', '10:35', NULL, 1)$$,
	'sessions of each set');
-- retention removes the windows of all sets
SELECT tick('10:45', 'x', 9);
SELECT is((SELECT min(lower(w)) FROM kept), '2024-05-01 10:20Z', 'removed');
SELECT is_empty($$SELECT * FROM streamx.verify('kept')$$, 'verify agrees');
SELECT results_eq($$SELECT view::regclass::text, late_rows, partly_late_rows FROM streamx.stat_views WHERE stream = 'ticks'::regclass ORDER BY 1$$,
	$$VALUES ('hops', 1::bigint, 2::bigint), ('kept', 4, 0), ('tumbles', 3, 0), ('visits', 2, 0)$$, 'counted once');

-- What is refused
\set ON_ERROR_STOP 0
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(t, '1 hour') AS w, a, count(*) FROM events GROUP BY ROLLUP (w, a);
CREATE VIEW x WITH (streamx.continuous) AS SELECT a, hop(t, '1 hour', '10 minutes') AS w, count(*) FROM events GROUP BY GROUPING SETS ((a, w), (a));
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM events GROUP BY GROUPING SETS ((tumble(t, '1 hour')), (tumble(t, '1 day')));
CREATE VIEW x WITH (streamx.continuous) AS SELECT lower(tumble(t, '1 hour')), count(*) FROM events GROUP BY a, ROLLUP (1);
CREATE VIEW x WITH (streamx.continuous) AS SELECT lower(tumble(t, '1 hour')), count(*) FROM events GROUP BY 1, ROLLUP (a);
CREATE VIEW x WITH (streamx.continuous) AS SELECT DISTINCT a FROM events GROUP BY ROLLUP (a, b);
CREATE VIEW x WITH (streamx.continuous) AS SELECT a, b, count(*) FROM events GROUP BY ROLLUP (a);
CREATE VIEW x WITH (streamx.continuous) AS SELECT to_json(a), count(*) FROM events GROUP BY ROLLUP (to_json(a));
CREATE VIEW x WITH (streamx.continuous) AS SELECT b::text::xid, count(*) FROM events GROUP BY CUBE (1, a);
CREATE DOMAIN letter AS text NOT NULL;
CREATE VIEW x WITH (streamx.continuous) AS SELECT a::letter, b, count(*) FROM events WHERE a IS NOT NULL GROUP BY ROLLUP (b, 1);
CREATE VIEW x WITH (streamx.continuous) AS SELECT k.b, k.name, count(*) FROM events JOIN kind k USING (b) GROUP BY ROLLUP (k.b);
CREATE VIEW x WITH (streamx.continuous) AS SELECT (SELECT max(name) FROM kind WHERE GROUPING(a) = 1), count(*) FROM events GROUP BY ROLLUP (a);
CREATE VIEW x WITH (streamx.continuous) AS SELECT GROUPING(b), count(*) FROM events GROUP BY ROLLUP (a);
SELECT format('CREATE VIEW x WITH (streamx.continuous) AS SELECT GROUPING(%s), count(*) FROM events GROUP BY ROLLUP (n)', string_agg('n', ', '))
FROM generate_series(1, 32) i \gexec
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM events GROUP BY CUBE (a, b, c, n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7, n + 8, n + 9);
SELECT format('CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM events GROUP BY ROLLUP (%s)', string_agg('n + ' || i, ', '))
FROM generate_series(1, 30) i \gexec
SELECT format('CREATE VIEW keys WITH (streamx.continuous) AS SELECT GROUPING(%1$s), count(*) FROM events GROUP BY ROLLUP (%1$s)', string_agg('n + ' || i, ', '))
FROM generate_series(1, 29) i \gexec
SELECT is_empty($$SELECT * FROM streamx.verify('keys')$$, '30 sets');
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA grouping_sets CASCADE;
