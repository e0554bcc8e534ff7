-- A stream fed by INSERT behaves like a table that only grows
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE FOREIGN TABLE clicks (page text, user_id int NOT NULL CHECK (user_id > 0))
	SERVER streamx OPTIONS (retain 'on');
CREATE FOREIGN TABLE forgetful (page text) SERVER streamx;

SELECT plan(41);

-- INSERT and COPY, and what they give back
SELECT results_eq(
	$$INSERT INTO clicks VALUES ('home', 1), ('cart', 2) RETURNING page, user_id * 10$$,
	$$VALUES ('home', 10), ('cart', 20)$$, 'RETURNING gives back the rows');
COPY clicks FROM stdin;
home	3
\.
SELECT results_eq('SELECT * FROM clicks', $$VALUES ('home', 1), ('cart', 2), ('home', 3)$$,
	'rows are kept in their order');
SELECT results_eq($$SELECT count(*), sum(user_id) FROM clicks WHERE page = 'home'$$,
	$$VALUES (2::bigint, 4::bigint)$$, 'conditions are filters');
SELECT results_eq('SELECT DISTINCT tableoid::regclass::text FROM clicks', $$VALUES ('clicks')$$,
	'tableoid is the stream');
SELECT results_eq('SELECT c::text FROM clicks AS c LIMIT 1', $$VALUES ('(home,1)')$$, 'whole rows can be read');

-- What a stream refuses
SELECT throws_ok($$INSERT INTO clicks VALUES ('home', NULL)$$, '23502',
	'null value in column "user_id" of relation "clicks" violates not-null constraint', 'NOT NULL holds');
SELECT throws_ok($$INSERT INTO clicks VALUES ('home', -1)$$, '23514',
	'new row for relation "clicks" violates check constraint "clicks_user_id_check"', 'CHECK holds');
SELECT throws_ok($$UPDATE clicks SET page = 'x'$$, '0A000', 'cannot update stream "clicks"', 'no UPDATE');
SELECT throws_ok('DELETE FROM clicks', '0A000', 'cannot delete from stream "clicks"', 'no DELETE');
SELECT throws_ok($$INSERT INTO clicks VALUES ('home', 1) ON CONFLICT DO NOTHING$$, '0A000',
	'INSERT with ON CONFLICT is not supported for stream "clicks"', 'no ON CONFLICT');
SELECT throws_ok('TRUNCATE clicks', '0A000', 'cannot truncate foreign table "clicks"', 'no TRUNCATE');
SELECT throws_ok('SELECT * FROM forgetful', '55000', 'stream "forgetful" does not keep its rows',
	'without retain there is nothing to read');
SELECT lives_ok('EXPLAIN SELECT * FROM forgetful', 'but it can be explained');

-- A transaction sees its own rows, and takes them back
BEGIN;
INSERT INTO clicks VALUES ('own', 4);
SELECT results_eq($$SELECT user_id FROM clicks WHERE page = 'own'$$, 'VALUES (4)', 'own rows are visible');
SAVEPOINT s;
INSERT INTO clicks VALUES ('own', 5);
SELECT results_eq($$SELECT user_id FROM clicks WHERE page = 'own'$$, 'VALUES (4), (5)', 'also after a savepoint');
ROLLBACK TO s;
SELECT results_eq($$SELECT user_id FROM clicks WHERE page = 'own'$$, 'VALUES (4)', 'a savepoint rolled back was never there');
ROLLBACK;
SELECT is_empty($$SELECT user_id FROM clicks WHERE page = 'own'$$, 'nor was the transaction');

-- Scans start again, with other parameters
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SET enable_memoize = off;
SELECT results_eq(
	'SELECT n, (SELECT count(*) FROM clicks WHERE user_id > n) FROM generate_series(0, 3) AS n',
	'VALUES (0, 3::bigint), (1, 2), (2, 1), (3, 0)', 'a subplan scans again and again');
SELECT results_eq(
	$$SELECT a.user_id, b.user_id FROM clicks AS a JOIN clicks AS b USING (page) ORDER BY 1, 2$$,
	'VALUES (1, 1), (1, 3), (2, 2), (3, 1), (3, 3)', 'so does a nested loop');
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
RESET enable_memoize;

-- The columns of a stream may change
ALTER FOREIGN TABLE clicks ADD COLUMN seconds numeric;
INSERT INTO clicks VALUES ('help', 6, 1.5);
SELECT results_eq('SELECT * FROM clicks',
	$$VALUES ('home', 1, NULL::numeric), ('cart', 2, NULL), ('home', 3, NULL), ('help', 6, 1.5)$$,
	'older rows have no value in a new column');
ALTER FOREIGN TABLE clicks DROP COLUMN page;
INSERT INTO clicks VALUES (7, 2.5);
SELECT results_eq('SELECT * FROM clicks', 'VALUES (1, NULL::numeric), (2, NULL), (3, NULL), (6, 1.5), (7, 2.5)',
	'a dropped column is gone');
SELECT throws_ok('ALTER FOREIGN TABLE clicks ALTER COLUMN seconds TYPE int', '0A000', NULL,
	'the type of a kept column cannot change');

-- Large values
INSERT INTO clicks SELECT 8, repeat('9', 100000)::numeric;
SELECT results_eq('SELECT length(seconds::text) FROM clicks WHERE user_id = 8', 'VALUES (100000)', 'large values are kept');

-- A stream as a partition takes the rows routed to it
CREATE TABLE visits (day int, page text) PARTITION BY RANGE (day);
CREATE FOREIGN TABLE visits_stream PARTITION OF visits FOR VALUES FROM (0) TO (10) SERVER streamx OPTIONS (retain 'on');
CREATE TABLE visits_table PARTITION OF visits FOR VALUES FROM (10) TO (20);
INSERT INTO visits VALUES (1, 'one'), (11, 'eleven');
COPY visits FROM stdin;
2	two
12	twelve
\.
SELECT results_eq('SELECT tableoid::regclass::text, day FROM visits ORDER BY day',
	$$VALUES ('visits_stream', 1), ('visits_stream', 2), ('visits_table', 11), ('visits_table', 12)$$,
	'INSERT and COPY are routed');
DROP TABLE visits;

-- Reading needs SELECT on the stream, and nothing on its log
CREATE ROLE regress_fdw_reader;
SET ROLE regress_fdw_reader;
SELECT throws_ok('SELECT * FROM clicks', '42501', 'permission denied for foreign table clicks', 'not without SELECT');
RESET ROLE;
GRANT SELECT ON clicks TO regress_fdw_reader;
SET ROLE regress_fdw_reader;
SELECT results_eq('SELECT count(*) FROM clicks', 'VALUES (6::bigint)', 'SELECT on the stream is enough');
SELECT throws_ok($$INSERT INTO clicks VALUES (9)$$, '42501', 'permission denied for foreign table clicks', 'but not to insert');
SELECT throws_ok('SELECT * FROM streamx_internal.clicks_log', '42501', NULL, 'the log is internal');
RESET ROLE;

-- A Kafka stream is written by Kafka producers.  (Nobody listens here: planning needs no broker.)
CREATE SERVER nobody FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:1');
CREATE FOREIGN TABLE orders (item text, amount numeric,
	part int OPTIONS (metadata 'partition'), "offset" bigint OPTIONS (metadata 'offset'),
	at timestamptz OPTIONS (metadata 'timestamp')) SERVER nobody OPTIONS (topic 'orders.created');
SELECT throws_ok($$INSERT INTO orders VALUES ('tea', 1)$$, '0A000', 'cannot insert into Kafka stream "orders"',
	'no INSERT into a topic');
COPY orders (item) FROM stdin;
\.

-- EXPLAIN shows what will be read of a topic
EXPLAIN (COSTS OFF) SELECT item FROM orders;
EXPLAIN (COSTS OFF) SELECT count(*) FROM orders;
EXPLAIN (COSTS OFF) SELECT item, amount FROM orders
	WHERE part IN (2, 0) AND "offset" >= 100 AND 200 > "offset" AND at >= '2024-05-01 10:00' AND amount > 3;
EXPLAIN (COSTS OFF) SELECT item FROM orders WHERE part = ANY ('{1,2,3}') AND part > 1 AND "offset" = ANY ('{7,5}');
EXPLAIN (COSTS OFF) SELECT item FROM orders WHERE "offset" < 0;
EXPLAIN (COSTS OFF) SELECT item FROM orders WHERE part BETWEEN 3 AND 5 AND "offset" > 9223372036854775806;
EXPLAIN (COSTS OFF) SELECT item FROM orders WHERE at < '2024-05-01' OR part = 1;
SET plan_cache_mode = force_generic_plan;
PREPARE one(int, bigint) AS SELECT item FROM orders WHERE part = $1 AND "offset" = $2;
EXPLAIN (COSTS OFF) EXECUTE one(1, 50);
RESET plan_cache_mode;
EXPLAIN (COSTS OFF) SELECT n, (SELECT count(*) FROM orders WHERE part = n AND "offset" < 10) FROM generate_series(0, 2) AS n;
EXPLAIN (COSTS OFF) SELECT * FROM clicks WHERE user_id = 1;

-- verify finds what was tampered with
CREATE VIEW per_user WITH (streamx.continuous) AS
	SELECT user_id, count(*) AS n, sum(seconds) AS total, json_build_object('n', count(*)) AS j
	FROM clicks WHERE user_id < 8 GROUP BY user_id;
SELECT is_empty($$SELECT * FROM streamx.verify('per_user')$$, 'the view equals its batch');
SELECT state FROM streamx.views WHERE view = 'per_user'::regclass \gset
UPDATE :state SET a1 = a1 + 1 WHERE k1 = 7;
DELETE FROM :state WHERE k1 = 6;
INSERT INTO :state (k1, a1) VALUES (5, 9);
SELECT results_eq($$SELECT * FROM streamx.verify('per_user') ORDER BY "row" ->> 'user_id', difference$$,
	$$VALUES ('extra', '{"j": "{\"n\" : 9}", "n": 9, "total": null, "user_id": 5}'::jsonb),
	         ('missing', '{"j": "{\"n\" : 1}", "n": 1, "total": 1.5, "user_id": 6}'),
	         ('extra', '{"j": "{\"n\" : 2}", "n": 2, "total": 2.5, "user_id": 7}'),
	         ('missing', '{"j": "{\"n\" : 1}", "n": 1, "total": 2.5, "user_id": 7}')$$,
	'missing and extra rows are told apart');
SET ROLE regress_fdw_reader;
SELECT throws_ok($$SELECT * FROM streamx.verify('per_user')$$, '42501', 'permission denied to verify view "per_user"',
	'not everybody may verify');
RESET ROLE;
DELETE FROM streamx_internal.clicks_log WHERE "offset" = 1;
SELECT throws_ok($$SELECT * FROM streamx.verify('per_user')$$, '55000', 'stream "clicks" did not keep all of its rows',
	'nothing is proved without all rows');

-- A tolerance is for floating point
CREATE FOREIGN TABLE readings (sensor int, value float8, exact numeric) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW per_sensor WITH (streamx.continuous) AS
	SELECT sum(value) AS value, sum(exact) AS exact FROM readings GROUP BY sensor;
INSERT INTO readings SELECT n, n * 100, n FROM generate_series(1, 100) AS n;
INSERT INTO readings VALUES (101, 'NaN', 'NaN'), (102, 'Infinity', 'Infinity'), (103, NULL, NULL);
SELECT state FROM streamx.views WHERE view = 'per_sensor'::regclass \gset
UPDATE :state SET a1 = a1 * (1 + 1e-9);
SELECT results_eq($$SELECT difference, count(*) FROM streamx.verify('per_sensor') GROUP BY 1 ORDER BY 1$$,
	$$VALUES ('extra', 100::bigint), ('missing', 100)$$, 'without tolerance every bit counts');
SELECT is_empty($$SELECT * FROM streamx.verify('per_sensor', 1e-8)$$, 'with it, rounding does not');
SELECT throws_ok($$SELECT * FROM streamx.verify('per_sensor', -1)$$, '22023',
	'tolerance must be a finite number, not less than zero', 'a tolerance is not negative');
SELECT throws_ok($$SELECT * FROM streamx.verify('readings')$$, NULL, '"readings" is not a continuous view',
	'only views are verified');

-- verify refuses what it cannot prove, and says what it reads as it is now
CREATE VIEW pages WITH (streamx.continuous) AS SELECT page, count(*) FROM forgetful GROUP BY page;
SELECT throws_ok($$SELECT * FROM streamx.verify('pages')$$, '55000', 'cannot verify continuous view "pages"',
	'not without the rows');
CREATE FOREIGN TABLE timed (at timestamptz, sensor int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW careless WITH (streamx.continuous, streamx.late_rows = 'discard') AS
	SELECT tumble(at, '1 minute') AS w, count(*) FROM timed GROUP BY 1;
SELECT throws_ok($$SELECT * FROM streamx.verify('careless')$$, '55000', 'cannot verify continuous view "careless"',
	'not when late rows are thrown away');
CREATE TABLE rooms (sensor int, room text);
INSERT INTO rooms VALUES (1, 'kitchen');
CREATE TYPE place AS (room text); -- no table, though PostgreSQL has it as a relation
CREATE VIEW per_room WITH (streamx.continuous) AS
	SELECT (ROW(room)::place).room, count(*) AS n FROM timed JOIN rooms USING (sensor) GROUP BY 1;
INSERT INTO timed VALUES ('2024-05-01 10:00', 1), ('2024-05-01 10:01', 2);
SELECT is_empty($$SELECT * FROM streamx.verify('per_room')$$, 'a view with a join is verified');
UPDATE rooms SET room = 'bathroom';
SET client_min_messages = notice;
SELECT results_eq($$SELECT difference, "row" ->> 'room' FROM streamx.verify('per_room') ORDER BY 1$$,
	$$VALUES ('extra', 'kitchen'), ('missing', 'bathroom')$$, 'with the tables as they are now');
SET client_min_messages = warning;
SELECT * FROM finish();

DROP VIEW per_user, per_sensor, pages, careless, per_room;
DROP FOREIGN TABLE clicks, forgetful, readings, orders, timed;
DROP TABLE rooms;
DROP TYPE place;
DROP SERVER nobody;
DROP ROLE regress_fdw_reader;
SELECT relname FROM pg_class WHERE relname IN ('clicks_log', 'readings_log', 'visits_stream_log');
