-- A tumbling view counts every row once, refuses late ones, and equals its own query run as a batch
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA tumbling;
SET search_path = tumbling, public;
CREATE VIEW own_late_rows AS SELECT l.* FROM streamx.late_rows l JOIN pg_class c ON c.oid = view WHERE relnamespace = 'tumbling'::regnamespace;
CREATE FOREIGN TABLE orders (event_time timestamptz, category text, amount numeric(10,2))
	SERVER streamx OPTIONS (event_time 'event_time', watermark_delay '5 seconds', retain 'on');
-- the same rows in an ordinary table: the oracle
CREATE TABLE orders_table (event_time timestamptz, category text, amount numeric(10,2));
CREATE VIEW revenue WITH (streamx.continuous, streamx.allowed_lateness = '10 minutes') AS
	SELECT tumble(event_time, '5 minutes') AS w, category,
	       count(*) AS order_count, sum(amount) AS total_revenue, avg(amount) AS avg_order_value
	FROM orders GROUP BY 1, 2;
CREATE FUNCTION put(at text, category text, amount numeric, is_counted bool DEFAULT true) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO orders VALUES (('2024-05-01 ' || at)::timestamptz, category, amount);
	INSERT INTO orders_table SELECT ('2024-05-01 ' || at)::timestamptz, category, amount WHERE is_counted;
$$;
CREATE VIEW expected AS
	SELECT tumble(event_time, '5 minutes') AS w, category,
	       count(*) AS order_count, sum(amount) AS total_revenue, avg(amount) AS avg_order_value
	FROM orders_table GROUP BY 1, 2;
CREATE VIEW differences AS
	(SELECT 'missing', e.* FROM (TABLE expected EXCEPT ALL TABLE revenue) e)
	UNION ALL (SELECT 'extra', r.* FROM (TABLE revenue EXCEPT ALL TABLE expected) r);

SELECT plan(15);

-- Two rows of one window, one of the next
SELECT put('10:01', 'tea', 3.50), put('10:02', 'tea', 4.50), put('10:07', 'coffee', 1);
SELECT results_eq(
	$$SELECT lower(w)::time, category, order_count, total_revenue FROM revenue ORDER BY 1, 2$$,
	$$VALUES ('10:00'::time, 'tea', 2::bigint, 8.00), ('10:05', 'coffee', 1, 1.00)$$,
	'each window has its rows');
SELECT is(streamx.watermark('orders'), '2024-05-01 10:06:55Z', 'the watermark trails by its delay');
SELECT is_empty('TABLE differences', 'equal to the batch');

-- A row later than the watermark, but within allowed lateness, updates its window
SELECT put('10:12', 'tea', 2);
SELECT put('10:03', 'tea', 5);
SELECT results_eq(
	$$SELECT total_revenue FROM revenue WHERE lower(w) = '2024-05-01 10:00' AND category = 'tea'$$,
	$$VALUES (13.00)$$, 'late row is added to its window');

-- Exactly at the boundary: end + allowed lateness <= watermark is late, a microsecond before is not
SELECT put('10:15:04.999999', 'milk', 1);
SELECT put('10:04', 'tea', 1);
SELECT results_eq(
	$$SELECT total_revenue FROM revenue WHERE lower(w) = '2024-05-01 10:00' AND category = 'tea'$$,
	$$VALUES (14.00)$$, 'one microsecond before sealing the row still counts');
SELECT put('10:15:05', 'milk', 1);
SELECT put('10:04:59.999999', 'tea', 100, false);
SELECT put('10:05', 'coffee', 1);
SELECT results_eq(
	$$SELECT total_revenue FROM revenue WHERE lower(w) = '2024-05-01 10:00' AND category = 'tea'$$,
	$$VALUES (14.00)$$, 'a row for a sealed window does not count');
SELECT results_eq(
	$$SELECT view::text, stream::text, event_time, watermark, refused_through, counted, "row"
	  FROM own_late_rows$$,
	$$VALUES ('revenue', 'orders', timestamptz '2024-05-01 10:04:59.999999',
	          timestamptz '2024-05-01 10:15', timestamptz '2024-05-01 10:05', false,
	          jsonb '{"event_time": "2024-05-01T10:04:59.999999+00:00", "category": "tea", "amount": 100.00}')$$,
	'it is kept among the late rows');
SELECT is_empty('TABLE differences', 'equal to the batch without it');
SELECT is_empty($$SELECT * FROM streamx.verify('revenue')$$, 'verify agrees');

-- The watermark never moves back
SELECT put('10:11', 'tea', 1);
SELECT is(streamx.watermark('orders'), '2024-05-01 10:15Z', 'an older row leaves the watermark alone');

-- One transaction is one micro-batch: within it nothing is late for its own rows
BEGIN;
SELECT put('11:00', 'tea', 1), put('10:16', 'tea', 2), put('11:30', 'tea', 3);
COMMIT;
SELECT results_eq(
	$$SELECT lower(w)::time, total_revenue FROM revenue WHERE lower(w) >= '2024-05-01 10:15' AND category = 'tea' ORDER BY 1$$,
	$$VALUES ('10:15'::time, 2.00), ('11:00', 1.00), ('11:30', 3.00)$$,
	'a batch is judged by the watermark before it');
SELECT is_empty('TABLE differences', 'equal to the batch');

-- NULL keys are a group, equal keys of other bytes are one
INSERT INTO orders VALUES ('2024-05-01 11:31', NULL, 1), ('2024-05-01 11:32', NULL, 2);
INSERT INTO orders_table VALUES ('2024-05-01 11:31', NULL, 1), ('2024-05-01 11:32', NULL, 2);
SELECT results_eq(
	$$SELECT order_count, total_revenue FROM revenue WHERE category IS NULL$$,
	$$VALUES (2::bigint, 3.00)$$, 'NULL keys form one group');
SELECT is_empty('TABLE differences', 'equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('revenue')$$, 'verify agrees');
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA tumbling CASCADE;
