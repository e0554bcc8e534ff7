-- Joins with tables: each row sees the table as it was when the row arrived
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA joins;
SET search_path = joins, public;
CREATE VIEW own_views AS SELECT v.* FROM streamx.views v JOIN pg_class c ON c.oid = view WHERE relnamespace = 'joins'::regnamespace;
CREATE VIEW own_late_rows AS SELECT l.* FROM streamx.late_rows l JOIN pg_class c ON c.oid = view WHERE relnamespace = 'joins'::regnamespace;
CREATE FOREIGN TABLE calls (at timestamptz, caller int, seconds int, tags text[])
	SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE customer (id int PRIMARY KEY, name text, plan text);
CREATE TABLE tariff (plan text, cents numeric);
INSERT INTO customer VALUES (1, 'Ann', 'flat'), (2, 'Bob', 'pay');
INSERT INTO tariff VALUES ('flat', 0), ('pay', 10);

SELECT plan(20);

CREATE VIEW by_name WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, name, count(*), sum(seconds) AS seconds
	FROM calls JOIN customer ON id = caller WHERE seconds > 0 GROUP BY 1, name;
CREATE VIEW by_plan WITH (streamx.continuous) AS
	SELECT coalesce(c.plan, 'unknown') AS plan, count(*), sum(seconds * cents) AS cents
	FROM calls LEFT JOIN (customer c JOIN tariff t USING (plan)) ON c.id = caller GROUP BY 1;
-- the table may be on the left, if every row of the stream still counts
CREATE VIEW right_join WITH (streamx.continuous) AS
	SELECT name, count(*) FROM customer RIGHT JOIN calls ON id = caller GROUP BY name;
CREATE VIEW by_tag WITH (streamx.continuous) AS
	SELECT tag, count(*), sum(seconds) FROM calls, unnest(tags) AS tag GROUP BY tag;
CREATE VIEW by_minute WITH (streamx.continuous) AS
	SELECT minute, count(*) FROM calls CROSS JOIN LATERAL generate_series(0, seconds / 60) AS minute GROUP BY minute;
-- subqueries over tables
CREATE VIEW known WITH (streamx.continuous) AS
	SELECT count(*) FROM calls WHERE caller IN (SELECT id FROM customer) AND NOT EXISTS (SELECT FROM tariff WHERE cents = seconds);
CREATE VIEW ranked WITH (streamx.continuous) AS
	WITH r AS (SELECT id, rank() OVER (ORDER BY id DESC) AS place FROM customer)
	SELECT place, count(*) FROM calls JOIN r ON id = caller GROUP BY place;

INSERT INTO calls VALUES ('2024-05-01 10:10', 1, 60, '{work,long}'), ('2024-05-01 10:20', 2, 30, '{work}'),
                         ('2024-05-01 10:30', 3, 5, '{}'), ('2024-05-01 10:40', 1, 0, NULL);
SELECT results_eq('SELECT name, count, seconds FROM by_name ORDER BY 1',
	$$VALUES ('Ann', 1::bigint, 60::bigint), ('Bob', 1, 30)$$, 'an inner join keeps what matches');
SELECT results_eq('SELECT * FROM by_plan ORDER BY 1',
	$$VALUES ('flat', 2::bigint, 0::numeric), ('pay', 1, 300), ('unknown', 1, NULL)$$, 'a left join keeps all');
SELECT results_eq('SELECT * FROM right_join ORDER BY 1',
	$$VALUES ('Ann', 2::bigint), ('Bob', 1), (NULL, 1)$$, 'and so does its mirror image');
SELECT results_eq('SELECT * FROM by_tag ORDER BY 1',
	$$VALUES ('long', 1::bigint, 60::bigint), ('work', 2, 90)$$, 'a function in FROM makes rows of a row');
SELECT results_eq('SELECT * FROM by_minute ORDER BY 1', $$VALUES (0, 4::bigint), (1, 1)$$, 'as often as it likes');
SELECT results_eq('TABLE known', 'VALUES (2::bigint)', 'subqueries over tables restrict');
SELECT results_eq('SELECT * FROM ranked ORDER BY 1', 'VALUES (1::bigint, 1::bigint), (2, 2)', 'and WITH prepares');
SELECT set_eq(format('SELECT * FROM streamx.verify(%L)', view), 'SELECT NULL::text, NULL::jsonb WHERE false', view || ': verify agrees')
	FROM own_views ORDER BY view::text;

-- Later changes of the table do not rewrite what is there
UPDATE customer SET name = 'Anna', plan = 'pay' WHERE id = 1;
INSERT INTO customer VALUES (3, 'Cem', 'flat');
SELECT results_eq('SELECT name, count FROM by_name ORDER BY 1', $$VALUES ('Ann', 1::bigint), ('Bob', 1)$$, 'past results stay');
INSERT INTO calls VALUES ('2024-05-01 10:50', 1, 6, NULL), ('2024-05-01 10:51', 3, 6, NULL);
SELECT results_eq('SELECT name, count FROM by_name ORDER BY 1',
	$$VALUES ('Ann', 1::bigint), ('Anna', 1), ('Bob', 1), ('Cem', 1)$$, 'new rows meet the table as it is now');
SELECT results_eq('SELECT * FROM by_plan ORDER BY 1',
	$$VALUES ('flat', 3::bigint, 0::numeric), ('pay', 2, 360), ('unknown', 1, NULL)$$, 'in each view');
-- ... also those of the same transaction, before and after
BEGIN;
UPDATE customer SET name = 'Bobby' WHERE id = 2;
INSERT INTO calls VALUES ('2024-05-01 10:52', 2, 1, NULL);
COMMIT;
SELECT results_eq($$SELECT name FROM by_name WHERE name LIKE 'Bob%' ORDER BY 1$$, $$VALUES ('Bob'), ('Bobby')$$, 'the inserter''s own changes count');

-- Rows that WHERE or the join rejects move the watermark, but are never late themselves
INSERT INTO calls VALUES ('2024-05-01 12:00', 77, 1, NULL);
SELECT is(streamx.watermark('calls'), '2024-05-01 12:00Z', 'an unknown caller moves the watermark');
INSERT INTO calls VALUES ('2024-05-01 10:59', 77, 1, NULL), ('2024-05-01 10:59', 1, 0, NULL), ('2024-05-01 10:59', 1, 9, NULL);
SELECT results_eq($$SELECT view::text, "row"->>'caller', "row"->>'seconds' FROM own_late_rows$$, $$VALUES ('by_name', '1', '9')$$,
	'of three late rows only one would have counted');
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA joins CASCADE;
