-- Views without a window: running totals, from the first row on
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA global_view;
SET search_path = global_view, public;
CREATE VIEW own_views AS SELECT v.* FROM streamx.views v JOIN pg_class c ON c.oid = view WHERE relnamespace = 'global_view'::regnamespace;
CREATE VIEW own_late_rows AS SELECT l.* FROM streamx.late_rows l JOIN pg_class c ON c.oid = view WHERE relnamespace = 'global_view'::regnamespace;
CREATE FOREIGN TABLE sales (at timestamptz, shop text, item text, amount numeric, n int)
	SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE sales_table (at timestamptz, shop text, item text, amount numeric, n int);

SELECT plan(31);

-- No GROUP BY: one row, also before any input
CREATE VIEW total WITH (streamx.continuous) AS
	SELECT count(*), sum(amount), avg(amount), max(item), count(n) FILTER (WHERE n > 1) AS big FROM sales;
SELECT results_eq('TABLE total',
	$$VALUES (0::bigint, NULL::numeric, NULL::numeric, NULL::text, 0::bigint)$$, 'an empty stream has a total');
CREATE VIEW enough WITH (streamx.continuous) AS SELECT count(*) FROM sales HAVING count(*) >= 3;
SELECT is_empty('TABLE enough', 'HAVING hides it until there is enough');

-- Keys without a window; column names given by CREATE VIEW
CREATE VIEW by_shop (boutique, sold, turnover, mean) WITH (streamx.continuous) AS
	SELECT shop, count(*), sum(amount), avg(amount) FROM sales GROUP BY shop;
-- Expressions as keys, also below expressions; over aggregates, beside keys
CREATE VIEW by_initial WITH (streamx.continuous) AS
	SELECT upper(left(item, 1)) || '.' AS initial, length(upper(left(item, 1))) AS len,
	       sum(amount) * 100 / greatest(count(*), 1) AS cents, count(*) > 1 AS is_many,
	       n % 2 = 0 AS even, CASE WHEN n % 2 = 0 THEN -sum(n) ELSE sum(n) END AS signed
	FROM sales GROUP BY upper(left(item, 1)), n % 2;
-- numeric keys: 1.0 and 1.00 are equal
CREATE VIEW by_amount WITH (streamx.continuous) AS
	SELECT amount, count(*) FROM sales GROUP BY amount HAVING count(*) > 1 AND min(n) < 100 ORDER BY amount DESC NULLS LAST;
-- only keys; only a constant key; a key that is not shown; ORDER BY an aggregate that is not shown
CREATE VIEW shops WITH (streamx.continuous) AS SELECT shop FROM sales GROUP BY shop;
CREATE VIEW all_of_it WITH (streamx.continuous) AS SELECT 'all' AS k, count(*) FROM sales GROUP BY 1;
CREATE VIEW hidden WITH (streamx.continuous) AS SELECT sum(n) FROM sales GROUP BY shop, item ORDER BY count(*) DESC, sum(n);
-- the same aggregate twice, and one that only HAVING has
CREATE VIEW twice WITH (streamx.continuous) AS
	SELECT shop, sum(n) AS a, sum(n) + 1 AS b, sum(n) FILTER (WHERE item = 'tea') AS c FROM sales GROUP BY shop HAVING max(n) > 1;

CREATE FUNCTION put_sales(rows text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'INSERT INTO sales ' || rows;
	EXECUTE 'INSERT INTO sales_table ' || rows;
END $$;
SELECT put_sales($$VALUES
	('2024-05-01 10:00', 'north', 'tea',    1.0,  1),
	('2024-05-01 10:01', 'north', 'Tea',    1.00, 2),
	('2024-05-01 10:02', NULL,    'coffee', 2.50, 3)$$);
SELECT results_eq('TABLE total', $$VALUES (3::bigint, 4.50, 1.5::numeric, 'tea', 2::bigint)$$, 'three rows: 4.50');
SELECT results_eq('TABLE enough', 'VALUES (3::bigint)', 'now there is enough');
SELECT results_eq('SELECT * FROM by_shop ORDER BY 1',
	$$VALUES ('north', 2::bigint, 2.00, 1.0::numeric), (NULL, 1, 2.50, 2.5)$$, 'NULL is a shop, too');
SELECT results_eq('SELECT amount::text, count FROM by_amount', $$VALUES ('1.0', 2::bigint)$$, '1.0 and 1.00 are one group, shown as first seen');

-- Later rows, older than all others: without a window nothing is late
SELECT put_sales($$VALUES
	('2024-04-01 10:00', NULL,    'cake', 1.000, 4),
	('2024-05-01 10:03', 'south', 'tea',  NULL,  NULL)$$);
SELECT put_sales($$SELECT timestamptz '2024-05-02' + i * interval '1 s', (ARRAY['north', 'south', NULL])[i % 3 + 1],
	(ARRAY['tea', 'Tee', 'coffee', NULL])[i % 4 + 1], i % 7 / 2.0, nullif(i % 5, 0) FROM generate_series(1, 200) i$$);
SELECT is_empty('SELECT * FROM own_late_rows', 'nothing is late');
SELECT results_eq('SELECT amount::text, count FROM by_amount WHERE amount = 1', $$VALUES ('1.0', 32::bigint)$$, 'still shown as first seen');
SELECT results_eq('SELECT amount FROM by_amount',
	'VALUES (3.0), (2.5), (2), (1.5), (1), (0.5), (0)', 'ORDER BY of the definition orders the view');

-- The oracle: the same queries over an ordinary table
CREATE FUNCTION differs(continuous text, batch text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format('SELECT ''missing '' || x::text FROM (%2$s EXCEPT ALL SELECT * FROM %1$s) x
		UNION ALL SELECT ''extra '' || x::text FROM (SELECT * FROM %1$s EXCEPT ALL %2$s) x', continuous, batch);
END $$;
SELECT is_empty(format('SELECT differs(%L, %L)', v, q), v || ' equals the batch') FROM (VALUES
	('total', 'SELECT count(*), sum(amount), avg(amount), max(item), count(n) FILTER (WHERE n > 1) AS big FROM sales_table'),
	('enough', 'SELECT count(*) FROM sales_table HAVING count(*) >= 3'),
	('by_shop', 'SELECT shop, count(*), sum(amount), avg(amount) FROM sales_table GROUP BY shop'),
	('by_initial', $$SELECT upper(left(item, 1)) || '.' AS initial, length(upper(left(item, 1))) AS len,
		sum(amount) * 100 / greatest(count(*), 1) AS cents, count(*) > 1 AS is_many,
		n % 2 = 0 AS even, CASE WHEN n % 2 = 0 THEN -sum(n) ELSE sum(n) END AS signed
		FROM sales_table GROUP BY upper(left(item, 1)), n % 2$$),
	('by_amount', '(SELECT amount, count(*) FROM sales_table GROUP BY amount HAVING count(*) > 1 AND min(n) < 100)'),
	('shops', 'SELECT shop FROM sales_table GROUP BY shop'),
	('all_of_it', $$SELECT 'all' AS k, count(*) FROM sales_table GROUP BY 1$$),
	('hidden', 'SELECT sum(n) FROM sales_table GROUP BY shop, item'),
	('twice', $$SELECT shop, sum(n) AS a, sum(n) + 1 AS b, sum(n) FILTER (WHERE item = 'tea') AS c FROM sales_table GROUP BY shop HAVING max(n) > 1$$)
) AS o (v, q);
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees')
	FROM own_views WHERE view::text IN ('total', 'enough', 'by_shop', 'by_initial', 'by_amount', 'shops', 'all_of_it', 'hidden', 'twice')
	ORDER BY view::text;

-- Conditions that no row can meet: the planner then reads nothing
CREATE VIEW never WITH (streamx.continuous) AS SELECT count(*) FROM sales WHERE false;
CREATE VIEW never_by_shop WITH (streamx.continuous) AS SELECT shop, count(*) FROM sales WHERE 1 = 2 GROUP BY shop;
SELECT lives_ok($$INSERT INTO sales VALUES ('2024-05-03', 'north', 'tea', 1, 1)$$, 'rows that no view wants are inserted');
SELECT results_eq('TABLE never', 'VALUES (0::bigint)', 'and not counted');
SELECT is_empty('TABLE never_by_shop', 'nor grouped');

-- The view's columns are those of its query
SELECT results_eq($$SELECT format('%s %s', attname, format_type(atttypid, atttypmod)) COLLATE "default" FROM pg_attribute WHERE attrelid = 'by_shop'::regclass AND attnum > 0 ORDER BY attnum$$,
	$$VALUES ('boutique text'), ('sold bigint'), ('turnover numeric'), ('mean numeric')$$, 'names and types are the query''s');
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA global_view CASCADE;
