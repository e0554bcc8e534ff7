-- States of sum and avg are added by their bytes: the same bytes as PostgreSQL's functions give
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
CREATE SCHEMA sums;
SET search_path = sums, public;
-- the same functions under another name, which are called; + keeps the states apart
CREATE AGGREGATE called_sum(numeric) (sfunc = numeric_avg_accum, stype = internal, finalfunc = numeric_sum,
	combinefunc = numeric_avg_combine, serialfunc = numeric_avg_serialize, deserialfunc = numeric_avg_deserialize);
CREATE AGGREGATE called_sum(bigint) (sfunc = int8_avg_accum, stype = internal, finalfunc = numeric_poly_sum,
	combinefunc = int8_avg_combine, serialfunc = int8_avg_serialize, deserialfunc = int8_avg_deserialize);
CREATE FOREIGN TABLE given (one int, other int, n numeric, i bigint) SERVER streamx;
CREATE TABLE given_table (one int, other int, n numeric, i bigint);
CREATE VIEW totals WITH (streamx.continuous) AS
	SELECT one, other, sum(n) AS n_sum, avg(n) AS n_avg, called_sum(+n) AS n_called, sum(i) AS i_sum, avg(i) AS i_avg, called_sum(+i) AS i_called
	FROM given GROUP BY 1, 2;
-- the bytes of the states, without the header that names the aggregate
CREATE TABLE states (name text, one int, other int, bytes text);
DO $do$ BEGIN
	EXECUTE format($$CREATE FUNCTION note_states() RETURNS void LANGUAGE sql AS
		'TRUNCATE states; INSERT INTO states SELECT name, k1, k2, substr(format(''%%s'', state), 23)
			FROM %s, LATERAL (VALUES (''n'', a1), (''n called'', a2), (''i'', a3), (''i called'', a4)) AS columns (name, state)'$$, state)
		FROM streamx.views WHERE view = 'totals'::regclass;
END $do$;
CREATE VIEW differences AS
	SELECT one, other, added.name, added.bytes, called.bytes AS expected FROM states AS added JOIN states AS called USING (one, other)
	WHERE called.name = added.name || ' called' AND added.bytes IS DISTINCT FROM called.bytes;
CREATE TABLE numbers (place serial, n numeric, i bigint);
INSERT INTO numbers (n, i) VALUES (0, 0), (0.000, 1), (1, -1), (-1, 9999), (0.01, -9999), (-0.01, 10000), (9999.9999, -10000), (0.0001, 99990000), (-0.0001, -99990000),
	(10000, 9223372036854775807), (-10000, -9223372036854775808), (10000.00, 100000000), (99999999.99, -100000000), (-99999999.99, 123456789012), (1e8, NULL), (-1e8, 5000),
	(9999999999999999.99999999, -5000), (-5000.50, 7), (12345678.9012345678, 8), (1e20, 9), (-1e20, 10), (1e-20, 11), (-1e-20, 12), (1e60, 13), (-1e60, 14), (1e-60, 15),
	(1e123, 16), (1e124, 17), (1e131, 18), (1e132, 19), (1e1000, 20), (-1e1000, 21), ('NaN', 22), ('Infinity', 23), ('-Infinity', 24), (NULL, 25);
CREATE PROCEDURE put(rows text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'INSERT INTO given_table ' || rows;
	EXECUTE 'INSERT INTO given ' || rows;
END $$;

SELECT plan(5);

-- Each number, then each to each: a batch for each of the two, and another for what came of them
CALL put('SELECT a.place, b.place, a.n, a.i FROM numbers AS a, numbers AS b');
CALL put('SELECT a.place, b.place, b.n, b.i FROM numbers AS a, numbers AS b');
SELECT note_states();
SELECT is_empty('TABLE differences', 'two states added are what PostgreSQL combines them to');
SELECT is(count(*), 4::bigint * 36 * 36, 'of all pairs') FROM states;
CALL put('SELECT a.place, b.place, -c.n, c.i FROM numbers AS a, numbers AS b, numbers AS c WHERE c.place = (a.place + b.place) % 36 + 1');
CALL put('SELECT a.place, b.place, c.n, c.i FROM numbers AS a JOIN numbers AS b ON a.place < b.place, numbers AS c WHERE c.place < CASE WHEN a.place < 4 THEN 40 WHEN a.place < 10 THEN 18 ELSE 24 END');
SELECT note_states();
SELECT is_empty('TABLE differences', 'so are states that were added before, of many rows');
SELECT is_empty('SELECT * FROM totals WHERE n_sum::text IS DISTINCT FROM n_called::text OR i_sum::text IS DISTINCT FROM i_called::text',
	'sums are shown with the same digits');
SELECT is_empty(
	$$SELECT one, other, n_sum::text, n_avg::text, i_sum, i_avg::text FROM totals
		EXCEPT SELECT one, other, sum(n)::text, avg(n)::text, sum(i), avg(i)::text FROM given_table GROUP BY 1, 2$$,
	'and are those of the batch');
SELECT finish();
DROP SCHEMA sums CASCADE;
