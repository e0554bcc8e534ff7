-- No setting of the inserting session changes what a view stores, or breaks a batch
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA settings;
SET search_path = settings, public;
CREATE TABLE dim (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE dim1 PARTITION OF dim FOR VALUES FROM (0) TO (10);
CREATE TABLE dim2 PARTITION OF dim FOR VALUES FROM (10) TO (20);
INSERT INTO dim SELECT i, i FROM generate_series(0, 19) i;
CREATE FOREIGN TABLE g (at timestamptz DEFAULT '2024-05-01 23:30Z', a int DEFAULT 5, t text DEFAULT 'x', f float8)
	SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW days WITH (streamx.continuous) AS SELECT at::date AS day, at::text AS shown, count(*) FROM g GROUP BY 1, 2;
CREATE VIEW floats WITH (streamx.continuous) AS SELECT f::text AS f, ('2024-0' || a % 2 + 1 || '-02')::date AS d, count(*) FROM g GROUP BY 1, 2;
CREATE VIEW below WITH (streamx.continuous) AS SELECT c, count(*) FROM g, LATERAL (SELECT count(*) AS c, max(v) FROM dim WHERE id <= a) x GROUP BY c;
CREATE VIEW joined WITH (streamx.continuous) AS
	SELECT v / 10 AS decade, sum(v), count(*) FROM g JOIN dim ON id = a WHERE a < (SELECT max(v) FROM dim) AND EXISTS (SELECT FROM dim d2 WHERE d2.id = g.a + 1) GROUP BY 1;
CREATE VIEW windows WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, upper(tumble(at, '1 hour')) - min(at) AS rest, t || ':' || count(*) AS c, extract(hour FROM lower(tumble(at, '1 hour')) AT TIME ZONE 'UTC') AS h
	FROM g GROUP BY 1, t ORDER BY 1 DESC, count(*);
-- names of functions, types and collations are part of their states
CREATE VIEW states WITH (streamx.continuous) AS SELECT t, avg(a::numeric), stddev(a) IS NULL AS one, first(t, a), last(a, at) IS NULL AS none, max_n(a, 2) FROM g GROUP BY 1;
CREATE VIEW texts WITH (streamx.continuous) AS
	SELECT quote_ident(t) AS name, ('{' || coalesce(t, 'NULL') || '}')::text[] AS list, ('2024-05-01 10:00 EST' || left(a::text, 0))::timestamptz AS moment, count(*) FROM g GROUP BY 1, 2, 3;
-- of somebody who may not see all of a table
CREATE ROLE regress_settings;
GRANT USAGE, CREATE ON SCHEMA settings TO regress_settings;
GRANT SELECT ON g TO regress_settings;
CREATE TABLE guarded (id int);
INSERT INTO guarded SELECT generate_series(0, 19);
GRANT SELECT ON guarded TO regress_settings;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY below_ten ON guarded TO regress_settings USING (id < 10);
SET ROLE regress_settings;
CREATE VIEW seen WITH (streamx.continuous) AS SELECT count(*) FROM g JOIN guarded ON id = a;
RESET ROLE;
SELECT plan(17);

INSERT INTO g DEFAULT VALUES;
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
SET extra_float_digits = -10;
INSERT INTO g (a, f) VALUES (7, 1.0 / 3), (12, NULL);
SET enable_hashagg = off;
SET enable_nestloop = off;
SET enable_hashjoin = off;
INSERT INTO g (a, f) VALUES (19, 1.0 / 3);
SET enable_mergejoin = off;
SET enable_sort = off;
SET enable_partitionwise_aggregate = on;
SET enable_partitionwise_join = on;
SET jit_above_cost = 0;
SET plan_cache_mode = force_custom_plan;
SET array_nulls = off;
SET timezone_abbreviations = 'Australia';
INSERT INTO g (a, t) SELECT i, CASE WHEN i % 3 > 0 THEN 'y' END FROM generate_series(1, 18) i;
SET default_transaction_isolation = 'serializable';
SET search_path = settings;
SET quote_all_identifiers = on;
SET row_security = off;
INSERT INTO g DEFAULT VALUES;
RESET ALL;
SET client_min_messages = warning;
SET search_path = settings, public;
SET timezone = 'UTC';
SET datestyle = 'ISO';

SELECT results_eq('SELECT day, count FROM days', $$VALUES (date '2024-05-01', 23::bigint)$$, 'one day, whatever the inserter''s time zone');
SELECT results_eq('SELECT f, sum(count) FROM floats GROUP BY f ORDER BY f', $$VALUES ('0.3333333333333333', 2::numeric), (NULL, 21)$$, 'all digits');
SELECT results_eq('SELECT sum(count) FROM below', 'VALUES (23::numeric)', 'with a table joined laterally');
SELECT results_eq('SELECT * FROM joined ORDER BY 1', $$VALUES (0, 62::bigint, 12::bigint), (1, 138, 10)$$, 'and a partitioned one');
SELECT results_eq('SELECT rest, c, h FROM windows', $$VALUES (interval '30 minutes', 'x:5', 23::numeric), ('30 minutes', NULL, 23), ('30 minutes', 'y:12', 23)$$, 'in its order');
SELECT results_eq('SELECT t, round(avg, 2), one, first, none, max_n FROM states ORDER BY t',
	$$VALUES ('x', 9.60, false, 'x', false, '{19,12}'::int[]), ('y', 9.00, false, 'y', false, '{17,16}'), (NULL, 10.50, false, NULL, false, '{18,15}')$$, 'states of every session');
SELECT results_eq('TABLE texts ORDER BY name',
	$$VALUES ('x', '{x}'::text[], timestamptz '2024-05-01 15:00Z', 5::bigint), ('y', '{y}', '2024-05-01 15:00Z', 12), (NULL, '{NULL}', '2024-05-01 15:00Z', 6)$$, 'names, arrays and time zones');
SELECT results_eq('TABLE seen', 'VALUES (12::bigint)', 'and rows that a policy shows to the owner');
SET row_security = off;
SELECT is_empty($$SELECT * FROM streamx.verify('seen')$$, 'which verify finds, too');
RESET row_security;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees')
	FROM streamx.views JOIN pg_class c ON c.oid = view WHERE relnamespace = 'settings'::regnamespace ORDER BY view::text;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA settings CASCADE;
DROP ROLE regress_settings;
