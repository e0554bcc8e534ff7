-- first, last, top_n_by and their like equal the plain queries they stand for, in any plan and in continuous views
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA ordered;
SET search_path = ordered, public;
SELECT no_plan();

-- Prices of a day
CREATE TABLE prices (at time, price int);
INSERT INTO prices VALUES ('09:00', 5), ('12:00', 9), ('10:00', 7), ('11:00', NULL), (NULL, 99);
SELECT results_eq(
	'SELECT first(price, at), last(price, at), min_by(price, at), max_by(price, at) FROM prices',
	'VALUES (5, 9, 5, 9)', 'the value of the row with the least and the greatest order');
SELECT results_eq(
	'SELECT first_n(price, at, 3), last_n(price, at, 3), top_n_by(price, at, 3) FROM prices',
	$$VALUES ('{5,7,NULL}'::int[], '{7,NULL,9}'::int[], '{9,NULL,7}'::int[])$$,
	'the values of three rows: last_n in order, top_n_by from the greatest; a NULL value counts');
SELECT results_eq(
	'SELECT min_n(price, 2), max_n(price, 2), max_n(price, 10) FROM prices',
	$$VALUES ('{5,7}'::int[], '{99,9}'::int[], '{99,9,7,5}'::int[])$$,
	'least and greatest values; fewer when there are fewer');
SELECT results_eq(
	'SELECT first(at, price) FILTER (WHERE price > 5), max_n(price, 2) FILTER (WHERE price < 50) FROM prices',
	$$VALUES ('10:00'::time, '{9,7}'::int[])$$, 'FILTER');
SELECT results_eq(
	'SELECT first(price, at), top_n_by(price, at, 2), min_n(price, 2) FROM prices WHERE at IS NULL AND price IS NULL',
	'VALUES (NULL::int, NULL::int[], NULL::int[])', 'no rows: NULL');
SELECT results_eq(
	'SELECT first(price, at), top_n_by(price, at, 2) FROM prices WHERE at IS NULL',
	'VALUES (NULL::int, NULL::int[])', 'rows whose order is NULL are ignored');

-- Of rows with the same order the least value wins, at both ends; NULL loses
CREATE TABLE players (name text, score int);
INSERT INTO players VALUES ('ann', 7), ('cid', 3), ('bob', 7), (NULL, 7), ('dot', 3), ('eve', 1), (NULL, 1);
SELECT results_eq(
	'SELECT first(name, score), last(name, score), last_n(name, score, 2) FROM players',
	$$VALUES ('eve', 'ann', '{bob,ann}'::text[])$$, 'ties break by value');
SELECT results_eq(
	$$SELECT top_n_by(name, score, 1), top_n_by(name, score, 1, true), top_n_by(name, score, 3, true),
	         top_n_by(name, score, 4, true), top_n_by(name, score, 4, false) FROM players$$,
	$$VALUES ('{ann}'::text[], '{ann,bob,NULL}'::text[], '{ann,bob,NULL}'::text[],
	          '{ann,bob,NULL,cid,dot}'::text[], '{ann,bob,NULL,cid}'::text[])$$,
	'with_ties keeps all that are level with the last');

-- Values that compare equal and look different: the result does not depend on who comes first
SELECT results_eq(
	$$SELECT first(x, 1), last(x, 1), min_n(x, 2)::text FROM unnest('{1.00,1.0,1.000}'::numeric[]) x$$,
	$$SELECT first(x, 1), last(x, 1), min_n(x, 2)::text FROM unnest('{1.000,1.0,1.00}'::numeric[]) x$$,
	'numeric');
SELECT results_eq(
	$$SELECT first(x, 1)::text, max_n(x, 1)::text FROM unnest('{24 hours,1 day}'::interval[]) x$$,
	$$SELECT first(x, 1)::text, max_n(x, 1)::text FROM unnest('{1 day,24 hours}'::interval[]) x$$,
	'interval');
SELECT results_eq(
	$$SELECT first(x, 1)::text, max_n(x, 1)::text FROM unnest('{0,-0}'::float8[]) x$$,
	$$SELECT first(x, 1)::text, max_n(x, 1)::text FROM unnest('{-0,0}'::float8[]) x$$, 'float8');
SELECT results_eq(
	$$SELECT first(x, 1)::text, last(x, 1)::text FROM (VALUES (1, '{"a":1}'::json), (2, '{"a": 1}')) v (i, x)$$,
	$$SELECT first(x, 1)::text, last(x, 1)::text FROM (VALUES (1, '{"a": 1}'::json), (2, '{"a":1}')) v (i, x)$$,
	'json, which has no order at all');
CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT results_eq(
	$$SELECT first(x COLLATE any_case, 1)::bytea, max_n(x COLLATE any_case, 1)::bytea[] FROM unnest('{a,A}'::text[]) x$$,
	$$SELECT first(x COLLATE any_case, 1)::bytea, max_n(x COLLATE any_case, 1)::bytea[] FROM unnest('{A,a}'::text[]) x$$,
	'text under a nondeterministic collation');

-- Arrays of arrays, as array_agg makes them
SELECT results_eq(
	$$SELECT first(x, i), last_n(x, i, 2), max_n(x, 2)
	  FROM (VALUES (1, '{1,9}'::int[]), (2, '{5,6}'), (3, '{4,4}')) v (i, x)$$,
	$$VALUES ('{1,9}'::int[], '{{5,6},{4,4}}'::int[], '{{5,6},{4,4}}'::int[])$$, 'arrays');
SELECT throws_ok(
	$$SELECT max_n(x, 2) FROM (VALUES ('{1,9}'::int[]), ('{5}')) v (x)$$,
	'2202E', 'cannot accumulate arrays of different dimensionality', 'of one shape only');

-- Random rows of many types: g is a group, o an order with NULLs and ties, i a value with NULLs and duplicates
SELECT setseed(0.25);
CREATE TABLE samples AS
	SELECT n, (random() * 5)::int AS g, nullif((random() * 40)::int, 7) AS o, nullif((random() * 60)::int, 3) AS i
	FROM generate_series(1, 4000) n;
ALTER TABLE samples SET (parallel_workers = 2);
CREATE TYPE flavour AS ENUM ('sour', 'sweet', 'salty');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE opaque AS (a int, b json);
CREATE DOMAIN small AS int CHECK (VALUE < 1000);
CREATE TABLE expressions (value text);
INSERT INTO expressions VALUES
	('i'), ('i::int2'), ('i::int8'), ('i::numeric / 4'), ('i::float8 / 4'), ('i::oid'), ('i::money'), ('i % 2 = 0'),
	('''v'' || i'), ('repeat(''long '', 400) || i'), ('(''v'' || i) COLLATE "C"'), ('(''v'' || i)::bpchar(9)'),
	('(''v'' || i)::name'), ('(''v'' || i)::bytea'), ('i::bit(8)'), ('md5(i::text)::uuid'),
	('date ''2024-01-01'' + i'), ('timestamptz ''2024-01-01'' + i * interval ''1 hour'''),
	('i * interval ''1 hour'''), ('time ''00:00'' + i * interval ''1 minute'''), ('(''10.0.0.'' || i)::inet'),
	('int4range(i, 100)'), ('to_jsonb(i)'), ('ARRAY[i % 3, i]'), ('(''{sour,sweet,salty}''::flavour[])[1 + i % 3]'),
	('CASE WHEN i > 0 THEN (i % 4, ''p'' || i)::pair END'), ('CASE WHEN i > 0 THEN ROW(i % 4, ''p'' || i) END'),
	('i::small');

-- One row for each group: what an aggregate and what the plain query say
CREATE FUNCTION by_aggregate(value text) RETURNS text LANGUAGE sql AS $$
	SELECT format($q$
		SELECT g, first(v, o)::text, last(v, o)::text, min_by(v, o)::text AS least, max_by(v, o)::text AS greatest,
		       first_n(v::text, o, 5) AS first_n, last_n(v::text, o, 5) AS last_n, top_n_by(v::text, o, 4) AS top,
		       top_n_by(v::text, o, 150, true) AS ties, first(o, v) AS first_by_v, last(o, v) AS last_by_v
		FROM (SELECT *, %s AS v FROM samples) s GROUP BY g$q$, value)
$$;
CREATE FUNCTION by_plain_query(value text) RETURNS text LANGUAGE sql AS $$
	SELECT format($q$
		SELECT g, f[1] AS first, l[1] AS last, f[1] AS least, l[1] AS greatest, ft[1:5] AS first_n,
		       ARRAY(SELECT x FROM unnest(lt[1:5]) WITH ORDINALITY u (x, k) ORDER BY k DESC) AS last_n, lt[1:4] AS top,
		       ties, first_by_v, last_by_v
		FROM (SELECT g, array_agg(v::text ORDER BY o, v) FILTER (WHERE o IS NOT NULL) AS f,
		             array_agg(v::text ORDER BY o DESC, v) FILTER (WHERE o IS NOT NULL) AS l,
		             array_agg(v::text ORDER BY o, v::text) FILTER (WHERE o IS NOT NULL) AS ft,
		             array_agg(v::text ORDER BY o DESC, v::text) FILTER (WHERE o IS NOT NULL) AS lt,
		             array_agg(v::text ORDER BY o DESC, v::text) FILTER (WHERE rank <= 150) AS ties,
		             (array_agg(o ORDER BY v, o) FILTER (WHERE v IS NOT NULL))[1] AS first_by_v,
		             (array_agg(o ORDER BY v DESC, o) FILTER (WHERE v IS NOT NULL))[1] AS last_by_v
		      FROM (SELECT *, %1$s AS v,
		                   CASE WHEN o IS NOT NULL THEN rank() OVER (PARTITION BY g ORDER BY o DESC NULLS LAST) END AS rank
		            FROM samples) s GROUP BY g) r$q$, value)
$$;
CREATE FUNCTION differences() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	tested text;
BEGIN
	FOR tested IN SELECT value FROM expressions LOOP
		EXECUTE 'CREATE TABLE aggregated AS ' || by_aggregate(tested);
		RETURN QUERY EXECUTE format('SELECT %L || e FROM (TABLE aggregated EXCEPT ALL (%s)) e', tested || ': ',
		                            by_plain_query(tested));
		RETURN QUERY EXECUTE format('SELECT %L || e FROM ((%s) EXCEPT ALL TABLE aggregated) e', tested || ': not ',
		                            by_plain_query(tested));
		DROP TABLE aggregated;
	END LOOP;
END
$$;
CREATE FUNCTION is_parallel(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
	has_partial boolean := false;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
		has_partial := has_partial OR line ~ 'Partial (Hash|Group)?Aggregate';
	END LOOP;
	RETURN has_partial;
END
$$;
SET max_parallel_workers_per_gather = 0;
SELECT ok(count(*) > 25, 'many types') FROM expressions;
SELECT is_empty('SELECT * FROM differences()', 'the plain query''s rows');
SELECT results_eq('SELECT DISTINCT ON (g) g, i FROM samples WHERE o IS NOT NULL ORDER BY g, o, i',
                  'SELECT g, first(i, o) FROM samples GROUP BY g ORDER BY g', 'as DISTINCT ON');

-- The same in parallel plans
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT results_eq('SELECT value FROM expressions WHERE NOT is_parallel(by_aggregate(value))',
                  ARRAY['i::small'], 'the plans are parallel (PostgreSQL leaves casts to domains to the leader)');
SELECT is_empty('SELECT * FROM differences()', 'parallel plans give the plain query''s rows');
-- ... with partial states of each partition, sorted or hashed
SET enable_partitionwise_aggregate = on;
SET max_parallel_workers_per_gather = 0;
ALTER TABLE samples RENAME TO samples_0;
CREATE TABLE samples (n int, g int, o int, i int) PARTITION BY HASH (n);
DO $$
BEGIN
	FOR part IN 0..6 LOOP
		EXECUTE format('CREATE TABLE samples_part_%s PARTITION OF samples FOR VALUES WITH (MODULUS 7, REMAINDER %s)', part, part);
	END LOOP;
END
$$;
INSERT INTO samples SELECT * FROM samples_0 ORDER BY md5(n::text);
ANALYZE samples;
SELECT ok(is_parallel(by_aggregate('i')), 'the plan combines partitions');
SELECT is_empty('SELECT * FROM differences()', 'partial states of partitions give the plain query''s rows');
RESET enable_partitionwise_aggregate;
SET max_parallel_workers_per_gather = 2;

-- Columns without an order as values; orders that are rows break ties as one likes
CREATE FUNCTION unordered() RETURNS text LANGUAGE sql AS $q$
	SELECT $$SELECT g, first(to_json(i), (o, n))::text AS j, last(point(i, o), o * 10000 + n)::text AS p,
		       top_n_by((i, to_json(o))::opaque, (o, n), 3)::text AS c, min_by(ROW(n, to_json(o)), n)::text AS r,
		       to_json(first(s, n))::text AS s, to_json(first(x, n))::text AS x, max_n(ROW(o, n), 2)::text AS m,
		       top_n_by(n, ROW(('{a,B}'::text[])[1 + n % 2] COLLATE "en-x-icu", n), 2000) AS k,
		       first(ARRAY[to_json(i)], n)::text AS a, last(makeaclitem(10, 10, 'SELECT', i > 30), n)::text AS l
		FROM samples_0 s, LATERAL (SELECT n AS "N", i AS "É") x
		GROUP BY g$$
$q$;
SELECT ok(is_parallel(unordered()), 'the plan is parallel');
DO $$
BEGIN
	EXECUTE 'CREATE TABLE unordered_parallel AS ' || unordered();
	SET LOCAL max_parallel_workers_per_gather = 0;
	EXECUTE 'CREATE TABLE unordered_serial AS ' || unordered();
END
$$;
SELECT results_eq('TABLE unordered_parallel ORDER BY g', 'TABLE unordered_serial ORDER BY g', 'json, points, rows and ACLs');
SELECT is(s, (SELECT to_json(one)::text FROM samples_0 one WHERE one.g = 2 ORDER BY n LIMIT 1), 'rows keep the names of their columns')
FROM unordered_parallel WHERE g = 2;

-- In windows
SELECT is_empty($$
	SELECT * FROM (
		SELECT n, first(i, o) OVER w AS first, last_n(i, o, 2) OVER w AS last_n, max_n(i, 2) OVER w AS max_n,
		       array_agg(i) OVER w AS frame_i, array_agg(o) OVER w AS frame_o
		FROM samples_0 WHERE n <= 200
		WINDOW w AS (ORDER BY n ROWS BETWEEN 5 PRECEDING AND CURRENT ROW)) f
	WHERE first IS DISTINCT FROM (SELECT i FROM unnest(frame_i, frame_o) u (i, o) WHERE o IS NOT NULL ORDER BY o, i LIMIT 1)
	   OR max_n IS DISTINCT FROM (SELECT (array_agg(i ORDER BY i DESC))[1:2] FROM unnest(frame_i) i WHERE i IS NOT NULL)
	   OR last_n[cardinality(last_n)] IS DISTINCT FROM
	      (SELECT i FROM unnest(frame_i, frame_o) u (i, o) WHERE o IS NOT NULL ORDER BY o DESC, i LIMIT 1)$$,
	'over frames');
SELECT is_empty($$
	SELECT * FROM (
		SELECT min_n('v' || i, 3) OVER w AS min_n, array_agg('v' || i) OVER w AS seen
		FROM samples_0 WHERE n <= 200 WINDOW w AS (PARTITION BY g ORDER BY n)) f
	WHERE min_n IS DISTINCT FROM (SELECT (array_agg(v ORDER BY v))[1:3] FROM unnest(seen) v WHERE v IS NOT NULL)$$,
	'the state goes on after it was shown');

-- What is refused
SELECT throws_ok('SELECT first_n(i, o, 0) FROM samples', '22023', 'n must be between 1 and 10000, not 0', 'n of 0');
SELECT throws_ok('SELECT max_n(i, 10001) FROM samples', '22023', 'n must be between 1 and 10000, not 10001', 'n too large');
SELECT throws_ok('SELECT top_n_by(i, o, NULL) FROM samples', '22004', 'n cannot be null', 'n of NULL');
SELECT throws_ok('SELECT top_n_by(i, o, 3, NULL) FROM samples', '22004', 'with_ties cannot be null', 'with_ties of NULL');
SELECT throws_ok('SELECT first_n(i, o, 1 + n % 2) FROM samples', '22023',
	'n and with_ties must be the same for all rows of a group', 'n that varies');
SELECT throws_ok('SELECT top_n_by(i, o, 2, n % 2 = 0) FROM samples', '22023',
	'n and with_ties must be the same for all rows of a group', 'with_ties that varies');
SELECT lives_ok('SELECT g, min_n(i, 1 + g) FROM samples GROUP BY g', 'n of a group');
SELECT throws_ok('SELECT first(i, to_json(o)) FROM samples', '42883', 'values of type json have no order', 'order without an order');
SELECT throws_ok('SELECT max_n(point(i, o), 2) FROM samples', '42883', 'values of type point have no order', 'values, too');
SELECT throws_ok($$SELECT first(i::text COLLATE "C", o::text COLLATE "POSIX") FROM samples$$, '42P21', NULL, 'two collations');
SELECT throws_ok($$SELECT first(a || b, i) FROM (SELECT i, i::text COLLATE "C" AS a, i::text COLLATE "POSIX" AS b FROM samples) s$$,
	'42P22', 'could not determine which collation to use for comparisons', 'no collation');

-- Continuous views
CREATE FOREIGN TABLE events (ts timestamptz, k int, o int, v text, x numeric, p pair)
	SERVER streamx OPTIONS (event_time 'ts', watermark_delay '1 hour', retain 'on');
CREATE FUNCTION columns() RETURNS text LANGUAGE sql AS $$
	SELECT $q$count(*) AS rows, first(v, o) AS first, last(v, ts) AS last, min_by(x, v) AS least, max_by(p, o) AS greatest,
	          first_n(x, ts, 3) AS first_n, last_n(v COLLATE "C", o, 4) FILTER (WHERE o > 5) AS last_n,
	          top_n_by(p, (x, v), 2) AS top, top_n_by(v, o, 3, true) AS ties, min_n(x, 5) AS min_n, max_n(v, 2) AS max_n,
	          max_n(ARRAY[o, k], 2) AS arrays, last(ROW(o, v), x)::text AS "row", first(to_json(o), ts)::text AS json,
	          cardinality(top_n_by(v, o, 3, true)) + 1 AS expression$q$
$$;
DO $$
BEGIN
	EXECUTE format('CREATE VIEW by_tumble WITH (streamx.continuous) AS SELECT tumble(ts, ''10 minutes'') AS w, k, %s FROM events GROUP BY 1, 2', columns());
	EXECUTE format('CREATE VIEW by_hop WITH (streamx.continuous) AS SELECT hop(ts, ''25 minutes'', ''10 minutes'') AS w, k, %s FROM events GROUP BY 1, 2', columns());
	EXECUTE format('CREATE VIEW by_session WITH (streamx.continuous) AS SELECT session(ts, ''2 minutes'') AS w, k, %s FROM events GROUP BY 1, 2', columns());
	EXECUTE format('CREATE VIEW overall WITH (streamx.continuous) AS SELECT %s FROM events', columns());
END
$$;
CREATE TABLE history (LIKE events);
INSERT INTO history
	SELECT timestamptz '2024-05-01' + random() * interval '3 hours', (random() * 3)::int, nullif((random() * 20)::int, 4),
	       nullif('v' || (random() * 30)::int, 'v9'), round((random() * 8)::numeric, (random() * 2)::int),
	       CASE WHEN random() < 0.9 THEN ((random() * 5)::int, 'é' || (random() * 3)::int)::pair END
	FROM generate_series(1, 400);
DO $$
DECLARE
	batch int;
BEGIN
	FOR batch IN 0..7 LOOP -- of different sizes
		INSERT INTO events SELECT * FROM history WHERE (extract(epoch FROM ts) * 1000000)::bigint % 36 BETWEEN batch * (batch + 1) / 2 AND batch * (batch + 3) / 2;
	END LOOP;
END
$$;
SELECT is(rows, 400::bigint, 'all rows are there') FROM overall;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ' equals its query')
FROM unnest('{by_tumble,by_hop,by_session,overall}'::text[]) view;
SELECT ok(count(*) > 10 AND count(*) < 350, 'sessions have merged') FROM by_session;
DO $$ BEGIN EXECUTE format('CREATE VIEW expected AS SELECT %s FROM history', columns()); END $$;
SELECT results_eq('SELECT o::text FROM overall o', 'SELECT e::text FROM expected e', 'as over a table');

-- States are the same, byte for byte, in whatever order and batches rows come
CREATE FOREIGN TABLE forth (o int, v text, x numeric) SERVER streamx;
CREATE FOREIGN TABLE back (o int, v text, x numeric) SERVER streamx;
DO $$
DECLARE
	stream text;
BEGIN
	FOREACH stream IN ARRAY '{forth,back}'::text[] LOOP
		EXECUTE format('CREATE VIEW %I WITH (streamx.continuous) AS SELECT first(v, o), last_n(v, o, 10), top_n_by(x, v, 7, true), max_n(v, 7), min_n(o, 20) FROM %I', stream || '_view', stream);
	END LOOP;
END
$$;
INSERT INTO forth SELECT o, v, trim_scale(x) FROM history ORDER BY ts;
INSERT INTO back SELECT o, v, trim_scale(x) FROM history WHERE k = 1 ORDER BY ts DESC;
INSERT INTO back SELECT o, v, trim_scale(x) FROM history WHERE k <> 1 ORDER BY ts DESC LIMIT 7;
INSERT INTO back SELECT o, v, trim_scale(x) FROM history WHERE k <> 1 ORDER BY ts DESC OFFSET 7;
CREATE FUNCTION states(view regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT concat_ws('' '', a1, a2, a3, a4, a5) FROM %s',
	                            (SELECT state FROM streamx.views v WHERE v.view = $1));
END
$$;
SELECT results_eq($$SELECT * FROM states('forth_view')$$, $$SELECT * FROM states('back_view')$$, 'equal states');
SELECT results_eq('SELECT f::text FROM forth_view f', 'SELECT b::text FROM back_view b', 'equal results');

-- Neither the client's encoding nor its settings matter to a state
SET client_encoding = 'LATIN1';
SET datestyle = 'German, DMY';
SET extra_float_digits = 0;
INSERT INTO forth SELECT 100, chr(8364) || 'uro', 1;
RESET client_encoding;
INSERT INTO forth SELECT 101, chr(8364) || 'uro', 2;
SET client_encoding = 'LATIN1';
SELECT is(md5(last_n[10] || last_n[9]), md5(chr(8364) || 'uro' || chr(8364) || 'uro'), 'characters that a client does not have') FROM forth_view;
RESET client_encoding;
RESET datestyle;
RESET extra_float_digits;

-- n that varies is a data error: the row's writer hears of it
CREATE FOREIGN TABLE wishes (k int, n int, v int) SERVER streamx;
CREATE VIEW granted WITH (streamx.continuous) AS SELECT k, max_n(v, n) AS granted FROM wishes GROUP BY k;
INSERT INTO wishes VALUES (1, 2, 10), (1, 2, 20), (1, 2, 30), (2, 1, 10);
SELECT throws_ok($$DO 'BEGIN INSERT INTO wishes VALUES (1, 3, 40); PERFORM FROM granted; END'$$, '22023', 'n and with_ties must be the same for all rows of a group', 'another n');
SELECT results_eq('SELECT * FROM granted ORDER BY k', $$VALUES (1, '{30,20}'::int[]), (2, '{10}')$$, 'the others count');

-- States that were made up, or are another aggregate's, are refused or read as something; nothing worse
CREATE TABLE states (call text, result text, argument text, state streamx.state);
DO $$
DECLARE
	overall_state regclass := (SELECT v.state FROM streamx.views v WHERE view = 'overall'::regclass);
BEGIN
	EXECUTE format($q$INSERT INTO states
		SELECT 'first(anyelement,anycompatible)', 'NULL::text', 'NULL::text, NULL::int', a2 FROM %1$s
		UNION ALL SELECT 'max_by(anyelement,anycompatible)', 'NULL::pair', 'NULL::pair, NULL::int', a5 FROM %1$s
		UNION ALL SELECT 'last(anyelement,anycompatible)', 'NULL::record', 'NULL::record, NULL::numeric', a13 FROM %1$s
		UNION ALL SELECT 'max_n(anyarray,integer)', 'NULL::int[]', 'NULL::int[], NULL::int', a12 FROM %1$s
		UNION ALL SELECT 'top_n_by(anynonarray,anycompatible,integer,boolean)', 'NULL::text[]',
		                 'NULL::text, NULL::int, NULL::int, NULL::bool', a9 FROM %1$s$q$, overall_state);
END
$$;
CREATE FUNCTION read_state(state text, call text, result text, argument text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	read text;
BEGIN
	EXECUTE format('SELECT streamx.finalize(%L::streamx.state, %L::regprocedure, %s, %s)::text', state, call, result, argument) INTO read;
	RETURN 'read: ' || coalesce(read, 'NULL');
EXCEPTION WHEN others THEN
	RETURN SQLSTATE || ': ' || SQLERRM;
END
$$;
SELECT is(read_state(state::text, call, result, argument) ~ '^read: ', true, 'a true state of ' || call) FROM states;
CREATE TABLE forged AS
	SELECT call, read_state(overlay(state::text PLACING byte FROM 3 + 2 * position FOR 2), call, result, argument) AS outcome
	FROM states, generate_series(10, least(length(state::text) / 2 - 2, 200)) AS position,
	     unnest('{00,01,7f,80,ff}'::text[]) AS byte
	UNION ALL
	SELECT call, read_state(left(state::text, 2 + 2 * length), call, result, argument)
	FROM states, generate_series(10, least(length(state::text) / 2 - 2, 200)) AS length
	UNION ALL
	SELECT call, read_state(state::text || 'ff', call, result, argument) FROM states;
SELECT ok(count(*) FILTER (WHERE outcome LIKE 'read: %') > 10 AND count(*) FILTER (WHERE outcome NOT LIKE 'read: %') > 1000,
          'forged states are read or refused') FROM forged;
SELECT is_empty($$SELECT * FROM forged WHERE outcome !~ '^(read|XX001|55000|2202E):'$$, 'by the errors for that');
SELECT is(read_state(state::text, 'last(anyelement,anycompatible)', 'NULL::text', 'NULL::text, NULL::int'),
          '55000: state is one of another aggregate, type or collation', 'another end')
FROM states WHERE call LIKE 'first(%';
SELECT is(read_state(state::text, 'first(anyelement,anycompatible)', 'NULL::text', 'NULL::text COLLATE "POSIX", NULL::int'),
          '55000: state is one of another aggregate, type or collation', 'another collation')
FROM states WHERE call LIKE 'first(%';

-- Nobody can call the support functions (which error it is differs between minor versions)
SELECT throws_ok('SELECT streamx.first_transition(NULL, 1, 2)', NULL, NULL, 'transition');
SELECT throws_ok($$SELECT streamx.ordered_serialise(streamx.ordered_deserialise('\x01', NULL))$$, NULL, NULL, 'serialise');
SELECT throws_ok($$SELECT streamx.ordered_value(streamx.min_n_combine(NULL::internal, NULL::internal), 1, 2)$$,
	NULL, NULL, 'final');

DROP SCHEMA ordered CASCADE;
