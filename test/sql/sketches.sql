-- Sketches keep their bounds, whatever comes; merged in any order they are what one pass makes; none of their bytes is trusted
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA sketches;
SET search_path = sketches, public;
SELECT setseed(0.4);
-- a million values of each kind: in order, few and often, few and far between, the same, one often and the others once
CREATE UNLOGGED TABLE numbers AS
	SELECT i, (random() * 1e6)::int AS uniform, floor(1 / (1 - random()))::int AS zipf, i % 1000 AS round,
	       7 AS same, CASE WHEN i % 2 = 0 THEN -i ELSE 5 END AS mixed, (random() * 200 - 100)::float8 ^ 9 AS wide
	FROM generate_series(1, 1000000) i;
CREATE UNLOGGED TABLE fewer AS SELECT * FROM numbers WHERE i <= 100000;
ANALYZE numbers, fewer;

SELECT no_plan();

-- approx_count_distinct: standard error 1.2 %, here at most four of them
CREATE FUNCTION is_counted(relation regclass, VARIADIC columns text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	exact bigint;
	approximate bigint;
	name text;
BEGIN
	FOREACH name IN ARRAY columns LOOP
		EXECUTE format('SELECT count(*) FROM (SELECT %s FROM %s GROUP BY 1) g', name, relation) INTO exact;
		EXECUTE format('SELECT approx_count_distinct(%s) FROM %s', name, relation) INTO approximate;
		RETURN NEXT ok(CASE WHEN exact <= 768 THEN exact = approximate
		                    ELSE abs(approximate - exact) < 0.048 * exact END,
		               'distinct values are counted: ' || name);
	END LOOP;
END
$$;
SELECT is_counted('numbers', 'zipf');
SELECT ok(abs(approx_count_distinct(i) - 1000000) < 48000, 'a million of them') FROM numbers;
SELECT is_counted('fewer', 'i', 'uniform', 'round', 'same', 'mixed', 'i % 768', 'i % 769', '''user '' || uniform', 'i / 1000');
SELECT results_eq(
	$$SELECT g, approx_count_distinct(i) FROM (SELECT i % 3 AS g, i FROM numbers WHERE i <= 1500) n GROUP BY g ORDER BY g$$,
	'VALUES (0, 500::bigint), (1, 500), (2, 500)', 'up to 768 values are counted exactly');
SELECT ok(sqrt(avg(error ^ 2)) BETWEEN 0.006 AND 0.014, 'the standard error is what is stated')
FROM (SELECT approx_count_distinct(i) / count(*)::float8 - 1 AS error FROM numbers WHERE i < 1000000 GROUP BY i / 10000) e;
SELECT is(approx_count_distinct(x), 0::bigint, 'no rows, no values') FROM numbers, LATERAL (SELECT i) l (x) WHERE false;
SELECT is(approx_count_distinct(NULL::text), 0::bigint, 'NULL is no value') FROM generate_series(1, 3);

-- equal values of any type are one
CREATE TYPE flavour AS ENUM ('sour', 'sweet');
CREATE DOMAIN small AS integer CHECK (VALUE < 10);
CREATE COLLATION regardless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT is(approx_count_distinct(x), 2::bigint, 'numeric') FROM (VALUES (1.0), (1.00), (1), (2)) v (x);
SELECT is(approx_count_distinct(x), 2::bigint, 'zeros and NaNs') FROM (VALUES (float8 '0'), ('-0'), ('NaN'), ('-NaN')) v (x);
SELECT is(approx_count_distinct(x COLLATE regardless), 2::bigint, 'a collation that ignores case')
FROM (VALUES ('tea'), ('TEA'), ('milk')) v (x);
SELECT is(approx_count_distinct(x), 3::bigint, 'text') FROM (VALUES ('tea'), ('TEA'), ('milk')) v (x);
SELECT is(approx_count_distinct(x), 2::bigint, 'enum') FROM unnest('{sour,sweet,sour}'::flavour[]) x;
SELECT is(approx_count_distinct(x), 2::bigint, 'domain') FROM unnest('{1,2,1}'::small[]) x;
SELECT is(approx_count_distinct(x), 2::bigint, 'array') FROM (VALUES (ARRAY[1.0, 2]), (ARRAY[1, 2.0]), (NULL), ('{}')) v (x);
SELECT is(approx_count_distinct((x, y)), 2::bigint, 'row') FROM (VALUES (1, 'a'), (1, 'b'), (1, 'a')) v (x, y);
SELECT is(approx_count_distinct(x), 1::bigint, 'interval') FROM (VALUES (interval '1 day'), ('24 hours')) v (x);
SELECT throws_ok('SELECT approx_count_distinct(json ''{}'')', '42883',
	'could not identify an extended hash function for type json', 'a type that cannot be hashed');
-- by its label, because OIDs change when a dump is restored
CREATE TYPE taste AS ENUM ('sour', 'sweet');
SELECT is(distinct_sketch_agg(x), distinct_sketch_agg(x::text::taste), 'a restored enum')
FROM unnest('{sour,sweet}'::flavour[]) x;

-- approx_percentile: within 1 % of percentile_disc
CREATE FUNCTION is_close(relation regclass, VARIADIC columns text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	fractions float8[] := '{0,0.000001,0.01,0.25,0.5,0.75,0.9,0.99,0.999999,1}';
	exact float8[];
	approximate float8[];
	name text;
BEGIN
	FOREACH name IN ARRAY columns LOOP
		EXECUTE format('SELECT percentile_disc($1) WITHIN GROUP (ORDER BY %1$s), approx_percentile(%1$s, $1) FROM %2$s', name, relation)
			USING fractions INTO exact, approximate;
		RETURN NEXT ok(bool_and(abs(a - e) <= 0.01000001 * abs(e)) AND exact[1] = approximate[1] AND exact[10] = approximate[10],
		               'percentiles are close: ' || name)
			FROM unnest(exact, approximate) v (e, a);
	END LOOP;
END
$$;
SELECT is_close('numbers', 'i');
SELECT is_close('fewer', 'zipf', 'uniform', 'round', 'same', 'mixed', 'wide', 'wide * 1e280', '1e-300 / (wide + 1e-10)');
SELECT is(approx_percentile(same, 0.37), 7::float8, 'of equal values it is exact') FROM fewer;
SELECT is(approx_percentile(x, ARRAY[0, 0.2, 0.4, 0.6, 0.8, 1])::text, '{-Infinity,-Infinity,0,0,Infinity,NaN}',
	'infinities, zeros and NaN, in their order')
FROM (VALUES (float8 'NaN'), ('Infinity'), ('-0'), ('0'), ('-Infinity')) v (x);
SELECT is(approx_percentile(x, ARRAY[0.5, NULL, 1])::text, '{2,NULL,3}', 'NULL has no percentile')
FROM (VALUES (2), (NULL), (3)) v (x);
SELECT is(approx_percentile(x, '{}'::float8[])::text, '{}', 'no fractions, no percentiles') FROM generate_series(1, 3) x;
SELECT is(approx_percentile(x::numeric, 0.5), NULL, 'no values') FROM generate_series(1, 0) x;
SELECT is(approx_percentile(NULL, 0.5), NULL, 'only NULL') FROM generate_series(1, 3) x;
SELECT is(approx_percentile(x, NULL::float8), NULL, 'of no fraction') FROM generate_series(1, 3) x;
SELECT throws_ok('SELECT approx_percentile(x, 1.5) FROM generate_series(1, 3) x', '22003',
	'percentile value 1.5 is not between 0 and 1', 'a fraction is one');
SELECT throws_ok('SELECT approx_percentile(x, ''NaN''::float8) FROM generate_series(1, 3) x', '22003',
	'percentile value NaN is not between 0 and 1', 'NaN is none');
SELECT throws_ok('SELECT approx_percentile(x, x / 3.0) FROM generate_series(1, 3) x', '22023',
	'approx_percentile needs the same fraction in all rows of a group', 'one fraction for all');
SELECT throws_ok('SELECT approx_percentile(x, ARRAY[x / 3.0, 1]) FROM generate_series(1, 3) x', '22023',
	'approx_percentile needs the same fraction in all rows of a group', 'one array for all');

-- approx_top_k: a count is at most max_error too high, and no frequent value is missing
CREATE FUNCTION is_bounded(sketch top_k_sketch, relation regclass, name text, k int, what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	wrong bigint;
	missing bigint;
	most bigint;
	nrows bigint;
BEGIN
	EXECUTE format($q$
		WITH exact AS (SELECT %s AS value, count(*) AS n FROM %s GROUP BY 1),
		     top AS MATERIALIZED (SELECT * FROM top_k($1, NULL::int))
		SELECT (SELECT count(*) FROM top LEFT JOIN exact USING (value) WHERE n IS NULL OR n > count OR n < count - max_error),
		       (SELECT count(*) FROM exact WHERE n > (SELECT min(count) FROM top) AND value NOT IN (SELECT value FROM top)),
		       (SELECT max(max_error) FROM top), (SELECT sum(n) FROM exact)$q$, name, relation)
		USING sketch INTO wrong, missing, most, nrows;
	RETURN NEXT ok(wrong = 0 AND missing = 0 AND most <= nrows / (20 * k + 1), what || ': ' || name);
END
$$;
SELECT is_bounded(top_k_sketch_agg(i, 10), 'fewer', 'i', 10, 'frequent values') FROM fewer;
SELECT is_bounded(top_k_sketch_agg(uniform, 3), 'fewer', 'uniform', 3, 'frequent values') FROM fewer;
SELECT is_bounded(top_k_sketch_agg(zipf, 10), 'numbers', 'zipf', 10, 'frequent values') FROM numbers;
SELECT is_bounded(top_k_sketch_agg(round, 10), 'fewer', 'round', 10, 'frequent values') FROM fewer;
SELECT is_bounded(top_k_sketch_agg(same, 1), 'fewer', 'same', 1, 'frequent values') FROM fewer;
SELECT is_bounded(top_k_sketch_agg(mixed, 1), 'fewer', 'mixed', 1, 'frequent values') FROM fewer;
SELECT is_bounded(merge(s), 'numbers', 'zipf', 10, 'frequent values, merged')
FROM (SELECT top_k_sketch_agg(zipf, 10) AS s FROM numbers GROUP BY i / 5000) n;
SELECT is_bounded(merge(s), 'fewer', 'mixed', 12, 'frequent values, merged with less')
FROM (SELECT top_k_sketch_agg(mixed, 12 + i / 5000) AS s FROM fewer GROUP BY i / 5000) n;
SELECT is(approx_top_k(x, 2), '[{"count": 3, "value": "tea", "max_error": 0}, {"count": 2, "value": "cider", "max_error": 0}]',
	'counts of few values are exact, ties are in the order of bytes')
FROM unnest('{tea,milk,tea,cider,milk,NULL,cider,tea}'::text[]) x;
SELECT is(approx_top_k(x, 3), '[{"count": 2, "value": [1], "max_error": 0}, {"count": 1, "value": null, "max_error": 0}, {"count": 1, "value": {"a": null}, "max_error": 0}]',
	'values become jsonb') FROM unnest('{[1],"{\"a\": null}",[1],"null"}'::jsonb[]) x;
SELECT results_eq($$SELECT value, count, max_error FROM top_k((SELECT top_k_sketch_agg(x, 1) FROM (VALUES (1.50), (1.5), (2)) v (x)), NULL::numeric)$$,
	'VALUES (1.5, 2::bigint, 0::bigint)', 'equal values of other bytes are one');
SELECT is(count(DISTINCT top::text), 1::bigint, 'and shown the same way in whatever order they come')
FROM (SELECT approx_top_k(x, 2) AS top FROM (VALUES (1, 1.50), (1, 1.5), (1, 2), (1, 2.0), (2, 1.5), (2, 2.0), (2, 1.50), (2, 2), (3, 2), (3, 1.5), (3, 2.0), (3, 1.50)) v (o, x) GROUP BY o
      UNION ALL SELECT top_k(merge(s)) FROM (SELECT top_k_sketch_agg(x, 2) AS s FROM (VALUES (1, 2.0), (2, 1.50), (3, 1.5), (4, 2)) v (o, x) GROUP BY o) m) orders;
SELECT is(approx_top_k(x, 1) -> 0 ->> 'value', 'sweet', 'enum') FROM unnest('{sour,sweet,sweet}'::flavour[]) x;
SELECT is(approx_top_k(x, 1) -> 0 -> 'value', '[2, 3]', 'array') FROM (VALUES (ARRAY[1]), (ARRAY[2, 3]), (ARRAY[2, 3])) v (x);
SELECT is(approx_top_k(x, 1) -> 0 ->> 'value', '2', 'domain') FROM unnest('{1,2,2}'::small[]) x;
SELECT is(approx_top_k(NULL::text, 1), NULL, 'NULL is no value') FROM generate_series(1, 3);
SELECT throws_ok('SELECT approx_top_k(i, 0) FROM numbers', '22023', 'k must be between 1 and 1000', 'k has a least');
SELECT throws_ok('SELECT approx_top_k(i, 1001) FROM numbers', '22023', 'k must be between 1 and 1000', 'and a greatest');
SELECT throws_ok('SELECT approx_top_k(i, i) FROM generate_series(1, 3) i', '22023', 'approx_top_k needs the same k in all rows of a group', 'one k for all');
SELECT throws_ok('SELECT approx_top_k((i, same), 1) FROM numbers', '0A000', 'approx_top_k does not take values of type record', 'no rows');
SELECT throws_ok('SELECT approx_top_k(''{sour}''::flavour[], 1)', '0A000', 'approx_top_k does not take values of type flavour[]',
	'nor arrays, which name a type of this database');
SELECT throws_ok('SELECT approx_top_k(n, 1) FROM numbers n', '0A000', 'approx_top_k does not take values of type numbers', 'of no type');
SELECT throws_ok($$SELECT approx_top_k('x'::text COLLATE regardless, 1)$$, '0A000',
	'approx_top_k does not support nondeterministic collations', 'nor text by such a collation');
SELECT throws_ok('SELECT approx_top_k(point(1, 2), 1)', '42883', NULL, 'values must be comparable');

-- histogram: exactly what width_bucket says
SELECT is(histogram(x, -200, 200, 40), expected, 'counts by width_bucket')
FROM (SELECT wide::float8 / 1e15 AS x FROM fewer) n,
     (SELECT array_agg(n ORDER BY b) AS expected
      FROM (SELECT b, count(w) AS n
            FROM generate_series(0, 41) b LEFT JOIN (SELECT width_bucket(wide / 1e15, -200, 200, 40) AS w FROM fewer) m ON w = b
            GROUP BY b) c) e
GROUP BY expected;
SELECT is(histogram(x, 0, 3, 3), '{1,1,2,0,3}', 'least is in, greatest is out, NaN is above')
FROM unnest('{-0.1,0,1,1.5,3,NaN,Infinity,NULL}'::float8[]) x;
SELECT is(histogram(x, 0, 3, 3), NULL, 'no values') FROM generate_series(1, 0) x;
SELECT throws_ok('SELECT histogram(i, 3, 3, 3) FROM fewer', '22023', NULL, 'bounds make a range');
SELECT throws_ok('SELECT histogram(i, 0, ''Infinity'', 3) FROM fewer', '22023', NULL, 'a finite one');
SELECT throws_ok('SELECT histogram(i, 0, 3, 0) FROM fewer', '22023', 'a histogram must have between 1 and 100000 buckets', 'some buckets');
SELECT throws_ok('SELECT histogram(i, 0, 3, i) FROM fewer', '22023',
	'histogram needs the same number of buckets in all rows of a group', 'as many in all rows');
SELECT is(streamx.histogram_combine('{1,2,3}', '{4,0,1}'), '{5,2,4}', 'histograms are added');
SELECT throws_ok($$SELECT streamx.histogram_combine('{1,2,3}', '{4,0}')$$, '22023',
	'cannot merge histograms of 1 and 0 buckets', 'if they belong together');
SELECT throws_ok($$SELECT streamx.histogram_combine('{1,NULL,3}', '{4,0,3}')$$, '2202E', NULL, 'and are histograms');
SELECT throws_ok($$SELECT streamx.histogram_combine(ARRAY[9223372036854775807], '{1}')$$, '22003', 'bigint out of range', 'of which there are not too many');

-- However the rows are cut and the pieces merged, it is the sketch of one pass
CREATE FUNCTION merged(aggregate text, pieces int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	npieces int;
	result text;
BEGIN
	EXECUTE format('CREATE TEMPORARY TABLE pieces AS SELECT random() AS at, %s AS s
	                FROM (SELECT *, floor(random() * %s) AS piece FROM numbers WHERE i <= 30000 ORDER BY random()) n GROUP BY piece',
	               aggregate, pieces);
	LOOP
		SELECT count(*) INTO npieces FROM pieces;
		EXIT WHEN npieces = 1;
		-- each goes with one that is next to it in a random order, or stays alone
		CREATE TEMPORARY TABLE merged AS
			SELECT random() AS at, merge(s) AS s
			FROM (SELECT s, (row_number() OVER (ORDER BY at) + floor(random() * 2)) / 2 AS pair FROM pieces) p
			GROUP BY floor(pair);
		DROP TABLE pieces;
		ALTER TABLE merged RENAME TO pieces;
	END LOOP;
	SELECT s::text INTO result FROM pieces;
	DROP TABLE pieces;
	RETURN result;
END
$$;
SELECT is(merged('distinct_sketch_agg(uniform)', 50), distinct_sketch_agg(uniform)::text, 'distinct_sketch: one tree') FROM numbers WHERE i <= 30000;
SELECT is(merged('distinct_sketch_agg(zipf)', 9), distinct_sketch_agg(zipf)::text, 'distinct_sketch: another') FROM numbers WHERE i <= 30000;
SELECT is(merged('distinct_sketch_agg(i % 768)', 40), distinct_sketch_agg(i % 768)::text, 'distinct_sketch: of exact ones') FROM numbers WHERE i <= 30000;
SELECT is(merged('quantile_sketch_agg(wide)', 50), quantile_sketch_agg(wide)::text, 'quantile_sketch: one tree') FROM numbers WHERE i <= 30000;
SELECT is(merged('quantile_sketch_agg(zipf)', 9), quantile_sketch_agg(zipf)::text, 'quantile_sketch: another') FROM numbers WHERE i <= 30000;
SELECT is(merged('top_k_sketch_agg(i % 200, 10)', 50), top_k_sketch_agg(i % 200, 10)::text, 'top_k_sketch: of exact ones') FROM numbers WHERE i <= 30000;
SELECT is(a || b, distinct_sketch_agg(i), '|| merges distinct_sketches')
FROM numbers, (SELECT distinct_sketch_agg(i) FILTER (WHERE i <= 2000) AS a, distinct_sketch_agg(i) FILTER (WHERE i > 500) AS b FROM numbers WHERE i <= 2500) s
WHERE i <= 2500 GROUP BY a, b;
SELECT is(a || b, quantile_sketch_agg(i), '|| merges quantile_sketches')
FROM numbers, (SELECT quantile_sketch_agg(i) FILTER (WHERE i <= 2000) AS a, quantile_sketch_agg(i) FILTER (WHERE i > 2000) AS b FROM numbers WHERE i <= 2500) s
WHERE i <= 2500 GROUP BY a, b;
SELECT is(top_k(top_k_sketch_agg(i % 7, 2) || top_k_sketch_agg(i % 7, 5)), '[{"count": 30, "value": 1, "max_error": 0}, {"count": 30, "value": 2, "max_error": 0}]',
	'|| merges top_k_sketches, to the least k') FROM numbers WHERE i <= 100;
SELECT throws_ok('SELECT top_k_sketch_agg(i, 2) || top_k_sketch_agg(i::text, 2) FROM numbers WHERE i < 9', '42804',
	'cannot merge sketches of values of type integer and text', 'but of one type only');
SELECT throws_ok('SELECT * FROM top_k((SELECT top_k_sketch_agg(i, 2) FROM numbers WHERE i < 9), NULL::text)', '42804',
	'sketch is of values of type integer, not text', 'which is the type they are read as');
SELECT is(merge(s), NULL, 'nothing to merge') FROM (VALUES (NULL::quantile_sketch), (NULL)) v (s);
SELECT is(count(DISTINCT s::text) || ' ' || count(*), '1 1', 'equal sketches are one group')
FROM (SELECT s FROM (SELECT distinct_sketch_agg(i % 10) AS s FROM numbers WHERE i <= 50 GROUP BY i / 30) n GROUP BY s) g;

-- Plans that split the work give the same
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
CREATE FUNCTION is_parallel(call text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	serial text;
	parallel text;
	line text;
	plan text := '';
BEGIN
	SET LOCAL max_parallel_workers_per_gather = 0;
	EXECUTE format('SELECT (%s)::text FROM fewer', call) INTO serial;
	SET LOCAL max_parallel_workers_per_gather = 3;
	EXECUTE format('SELECT (%s)::text FROM fewer', call) INTO parallel;
	FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT %s FROM fewer', call) LOOP
		plan := plan || line;
	END LOOP;
	RETURN NEXT ok(parallel = serial AND plan LIKE '%Partial Aggregate%', 'in parallel, too: ' || call);
END
$$;
SELECT is_parallel(call)
FROM unnest(ARRAY['distinct_sketch_agg(uniform)', 'approx_count_distinct(i % 700)', 'quantile_sketch_agg(wide)', 'approx_percentile(uniform, 0.9)',
	'approx_percentile(uniform, ''{0.1,0.9}''::float8[])', 'approx_top_k(i % 50, 5)', 'approx_top_k(''x'' || i % 50, 5)', 'histogram(wide, 0, 1e18, 5)']) call;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- Values are read back as written, whoever the client is
CREATE TABLE stored (d distinct_sketch, q quantile_sketch, t top_k_sketch, l top_k_sketch);
INSERT INTO stored SELECT distinct_sketch_agg(i % n), quantile_sketch_agg(wide), top_k_sketch_agg('gr' || chr(252) || 'n ' || zipf, 5), top_k_sketch_agg(wide, 5)
	FROM numbers, unnest('{1,768,769,30000}'::int[]) n WHERE i <= 30000 GROUP BY n;
SELECT ok(bool_and(d = d::text::distinct_sketch AND q = q::text::quantile_sketch AND t::text = t::text::top_k_sketch::text), 'as text') FROM stored;
SELECT ok(bool_and(d = d::bytea::distinct_sketch AND q = q::bytea::quantile_sketch AND t::bytea = t::bytea::top_k_sketch::bytea), 'as bytes') FROM stored;
SET client_encoding = latin1;
SELECT ok(bool_and(top_k_sketch_agg = t::text), 'made in whatever encoding') FROM stored, (SELECT top_k_sketch_agg('gr' || chr(252) || 'n ' || zipf, 5)::text FROM numbers WHERE i <= 30000) n;
SELECT is(count(DISTINCT (t || t)::text), 1::bigint, 'merged in whatever encoding') FROM stored;
RESET client_encoding;
SELECT ok(max(length(d::bytea)) = 4099 AND max(length(q::bytea)) < 8000, 'sketches are small') FROM stored;

-- Nothing that is malformed is taken
SELECT throws_ok(format('SELECT %L::%s', bytes, type), '22P02', 'invalid value for type ' || type, what)
FROM (VALUES ('distinct_sketch', '\x', 'nothing'), ('distinct_sketch', '\x51010001000000', 'another kind'), ('distinct_sketch', '\x4402', 'another version'),
	('distinct_sketch', '\x440100', 'no values'), ('distinct_sketch', '\x44010001', 'half a value'), ('distinct_sketch', '\x44010000000000', 'a wrong token'),
	('distinct_sketch', '\x4401000200000001000000', 'tokens in another order'), ('distinct_sketch', '\x440101ff', 'too few registers'),
	('distinct_sketch', '\x440101' || repeat('05', 4096), 'a wrong register'), ('distinct_sketch', '\x440101' || repeat('00', 4097), 'too many registers'),
	('quantile_sketch', '\x5101', 'nothing'), ('quantile_sketch', '\x510140080000000000004000000000000000', 'the least beyond the greatest'),
	('quantile_sketch', '\x510140080000000000004008000000000000', 'no buckets'), ('quantile_sketch', '\x51014008000000000000400800000000000000', 'no count'),
	('quantile_sketch', '\x5101400800000000000040080000000000000001', 'values in another bucket'),
	('quantile_sketch', '\x510140080000000000004008000000000000ffffffffffffffffff7f01', 'a number that is too long'),
	('top_k_sketch', '\x5401', 'nothing'), ('top_k_sketch', '\x54010170017800000000', 'no such type'),
	('top_k_sketch', '\x54010a70675f636174616c6f6704696e743400', 'no k'),
	('top_k_sketch', '\x54010a70675f636174616c6f6704696e7434010201040000000100', 'more than there were'),
	('top_k_sketch', '\x54010a70675f636174616c6f6704696e743401020004000000020100' || '04000000010100', 'values in another order')) v (type, bytes, what);
-- values whose bytes are others when they are read and written again, such as an array with a bitmap of no NULLs
SELECT is(top_k(t::text::top_k_sketch)::text, top_k(t)::text, 'but what was written is')
FROM (SELECT top_k_sketch_agg((ARRAY[i % 3, NULL])[1:1], 2) FROM generate_series(1, 9) i) s (t);
SELECT throws_ok($$SELECT 'tea'::distinct_sketch$$, '22P02', 'invalid value for type distinct_sketch', 'nor text');
SELECT throws_ok($$SELECT '\x44'::bytea::distinct_sketch$$, '22P03', 'invalid value for type distinct_sketch', 'nor other bytes');
-- a type's functions run as whoever reads: there must be none that a user wrote
CREATE FUNCTION spy(int) RETURNS bool LANGUAGE plpgsql AS $$BEGIN RAISE 'called'; END$$;
CREATE DOMAIN trojan AS int CHECK (spy(VALUE));
CREATE TYPE horse AS (rider trojan);
SELECT throws_ok(format('SELECT %L::top_k_sketch', '\x5401' || '08' || encode('sketches', 'hex') || to_char(length(name), 'FM00') || encode(name::bytea, 'hex') || '010100040000000101'),
	'0A000', NULL, 'no values of type ' || name) FROM unnest('{trojan,horse,_trojan,_horse}'::text[]) name;

-- random mutations: refused, or used without harm
CREATE FUNCTION mutated(bytes bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
	at int := floor(random() * least(length(bytes), CASE WHEN random() < 0.5 THEN 60 ELSE 5000 END));
BEGIN
	RETURN CASE floor(random() * 4)
	       WHEN 0 THEN set_byte(bytes, at, floor(random() * 256)::int)
	       WHEN 1 THEN set_bit(bytes, at * 8 + floor(random() * 8)::int, floor(random() * 2)::int)
	       WHEN 2 THEN substr(bytes, 1, at) || substr(bytes, at + 2)
	       ELSE substr(bytes, 1, at) || '\xff' || substr(bytes, at + 1) END;
END
$$;
CREATE FUNCTION survives(type text, seed bytea, use text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	bytes bytea;
	ntaken int := 0;
	nrefused int := 0;
BEGIN
	FOR i IN 1 .. 1000 LOOP
		bytes := mutated(seed);
		BEGIN
			EXECUTE format('SELECT %s FROM (SELECT $1::%s AS s) m', use, type) USING bytes::text;
			ntaken := ntaken + 1;
		EXCEPTION WHEN data_exception OR program_limit_exceeded OR feature_not_supported OR undefined_function OR datatype_mismatch OR protocol_violation OR internal_error THEN
			nrefused := nrefused + 1;
		END;
	END LOOP;
	RETURN ok(ntaken > 10 AND nrefused > 10, type || ' survives mutations');
END
$$;
SELECT survives('distinct_sketch', d::bytea, '(s || s, cardinality(s))') FROM stored;
SELECT survives('quantile_sketch', q::bytea, '(s || s, quantile(s, ''{0,0.5,0.9,1}''::float8[]))') FROM stored LIMIT 1;
SELECT survives('top_k_sketch', t::bytea, '(s || s, top_k(s))') FROM stored LIMIT 1;
SELECT survives('top_k_sketch', l::bytea, '(s || s, top_k(s))') FROM stored LIMIT 1;

-- In continuous views: every window kind, late rows, batches of any size; days from stored windows
CREATE FOREIGN TABLE visits (ts timestamptz, page text, visitor int, duration float8)
	SERVER streamx OPTIONS (event_time 'ts', watermark_delay '30 minutes', retain 'on');
CREATE TABLE visits_table (LIKE visits);
CREATE VIEW hourly WITH (streamx.continuous, streamx.allowed_lateness = '1 hour') AS
	SELECT tumble(ts, '1 hour') AS w, page, count(*) AS n, approx_count_distinct(visitor) AS visitors, distinct_sketch_agg(visitor) AS visitor_sketch,
	       approx_percentile(duration, 0.5) AS median, quantile_sketch_agg(duration) AS durations,
	       quantile(quantile_sketch_agg(duration), '{0.9,0.99}'::float8[]) AS slow, approx_top_k(abs(visitor) % 50, 3) AS regulars,
	       top_k_sketch_agg(abs(visitor) % 50, 3) AS regular_sketch, histogram(duration, 0, 100, 4) AS spread
	FROM visits GROUP BY 1, 2;
CREATE VIEW hopping WITH (streamx.continuous, streamx.allowed_lateness = '1 hour') AS
	SELECT hop(ts, '1 hour', '20 minutes') AS w, page, approx_count_distinct(visitor) AS visitors,
	       approx_percentile(duration, ARRAY[0.5, 0.9]) AS slow, approx_top_k(abs(visitor) % 50, 3) AS regulars, histogram(duration, 0, 100, 4) AS spread
	FROM visits GROUP BY 1, 2;
CREATE VIEW sessions WITH (streamx.continuous, streamx.allowed_lateness = '1 hour') AS
	SELECT session(ts, '3 minutes') AS w, abs(visitor) % 50 AS visitor, approx_count_distinct(page) AS pages, distinct_sketch_agg(page) AS page_sketch,
	       approx_percentile(duration, 0.9) AS slow, approx_top_k(page, 2) AS favourites, histogram(duration, 0, 100, 4) AS spread
	FROM visits GROUP BY 1, 2;
CREATE VIEW ever WITH (streamx.continuous) AS
	SELECT approx_count_distinct(visitor) AS visitors, merge(distinct_sketch_agg) AS sketch
	FROM visits, LATERAL (SELECT NULL::distinct_sketch) n (distinct_sketch_agg);
CREATE FUNCTION visit(rows int4range) RETURNS void LANGUAGE sql AS $$
	INSERT INTO visits
	SELECT '2024-05-01'::timestamptz + interval '4 seconds' * i - interval '1 minute' * (i % 37), (ARRAY['home', 'shop', NULL])[1 + i % 3],
	       nullif(hashint4(i) % 2000, 0), nullif(exp(abs(hashint8(i)) % 1000 / 200.0), 1)
	FROM generate_series(lower(rows), upper(rows) - 1) i
$$;
SELECT visit('[1,9000)');
SELECT visit('[9000,9001)'), visit('[9001,9010)'), visit('[9010,20000)');
SELECT visit('[20000,43200)');
SELECT is_empty($$SELECT * FROM streamx.verify('hourly')$$, 'tumble: equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('hopping')$$, 'hop: equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('sessions')$$, 'session: equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('ever')$$, 'no window: equal to the batch');
SELECT is(merge(visitor_sketch), (SELECT distinct_sketch_agg(visitor) FROM visits WHERE ts < '2024-05-02'),
	'the hours'' sketches make the day''s') FROM hourly WHERE upper(w) <= '2024-05-02';
SELECT is(quantile(merge(durations), 0.9), (SELECT approx_percentile(duration, 0.9) FROM visits WHERE ts < '2024-05-02'),
	'the hours'' percentiles make the day''s') FROM hourly WHERE upper(w) <= '2024-05-02';
SELECT is(top_k(merge(regular_sketch)), (SELECT approx_top_k(abs(visitor) % 50, 3) FROM visits WHERE ts < '2024-05-02'),
	'the hours'' regulars make the day''s') FROM hourly WHERE upper(w) <= '2024-05-02';
SELECT ok(bool_and(visitors = cardinality(visitor_sketch) AND median = quantile(durations, 0.5) AND regulars = top_k(regular_sketch)),
	'a sketch tells what the aggregate tells') FROM hourly;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA sketches CASCADE;
