-- What a query may do with its window: the same rows in an ordinary table are the oracle
-- make check-sanitizers runs this with debug_discard_caches = 1, except where it says 0: to forget there, too, would only take long
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA window_query;
SET search_path = window_query, public;
SELECT plan(37);
CREATE FOREIGN TABLE turn (at timestamptz, device int, grams numeric) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE turn_table (LIKE turn);
-- rows of turn_table, by the sessions of their devices: what session(at, '10 minutes') is there
CREATE VIEW numbered AS
	SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY device ORDER BY at) AS run
	FROM (SELECT *, at > lag(at, 1, '-infinity') OVER (PARTITION BY device ORDER BY at) + interval '10 minutes' AS is_first FROM turn_table) AS t;
CREATE VIEW in_runs AS
	SELECT at, device, grams, tstzrange(min(at) OVER run, max(at) OVER run + interval '10 minutes') AS w FROM numbered WINDOW run AS (PARTITION BY device, run);
CREATE TABLE pairs (view text PRIMARY KEY, query text);
CREATE FUNCTION define(name text, query text, batch text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE VIEW %I WITH (streamx.continuous) AS %s', name, query);
	INSERT INTO pairs VALUES (name, coalesce(batch, replace(query, 'FROM turn', 'FROM turn_table')));
END $$;
SELECT define('sorted', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, device, sum(grams) AS total FROM turn GROUP BY w, device ORDER BY w DESC, total, device$$);
SELECT define('sorted by more', $$SELECT device FROM turn GROUP BY cumulate(at, '20 minutes', '10 minutes'), device ORDER BY max(grams) DESC NULLS LAST, device, upper(cumulate(at, '20 minutes', '10 minutes'))$$);
SELECT define('by alias', $$SELECT cumulate(at, '20 minutes', '10 minutes') AS "the window", device AS "a device", count(*) AS "how many" FROM turn GROUP BY "the window", "a device"$$);
SELECT define('by position', $$SELECT device % 2, hop(at, '15 minutes', '10 minutes'), count(*) FROM turn GROUP BY 2, 1$$);
SELECT define('by expression', $$SELECT sum(grams) FROM turn GROUP BY device, hop(at, '15 minutes', '10 minutes')$$);
SELECT define('window alone', $$SELECT hop(at, '20 minutes', '10 minutes') FROM turn GROUP BY 1$$);
SELECT define('neither', $$SELECT 1 AS one FROM turn GROUP BY hop(at, '20 minutes', '10 minutes')$$);
SELECT define('twice', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, hop(at, '20 minutes', '10 minutes') AS again, device, device AS twice, count(*), count(*) AS more FROM turn GROUP BY 1, 3$$);
SELECT define('expressions', $$SELECT lower(hop(at, '20 minutes', '10 minutes')) AS start, upper(hop(at, '20 minutes', '10 minutes')) - lower(hop(at, '20 minutes', '10 minutes')) AS length,
	coalesce(device, -1) || ' ' || sum(grams) AS label, sum(grams) / count(*) AS mean FROM turn GROUP BY hop(at, '20 minutes', '10 minutes'), device$$);
SELECT define('having', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, device FROM turn GROUP BY 1, 2 HAVING count(*) > 1 AND min(grams) > 1 AND device IS NOT NULL$$);
SELECT define('filter', $$SELECT cumulate(at, '20 minutes', '10 minutes') AS w, sum(grams) FILTER (WHERE device = 1), count(*) FILTER (WHERE device IS NULL) AS unknown FROM turn GROUP BY 1$$);
SELECT define('where', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*), avg(grams) FROM turn WHERE device = 1 AND at < '2024-05-01 11:00' GROUP BY 1$$);
SELECT define('runs', $$SELECT session(at, '10 minutes') AS w, device, sum(grams) AS total FROM turn GROUP BY w, device ORDER BY w DESC, total$$,
	$$SELECT w, device, sum(grams) AS total FROM in_runs GROUP BY w, device ORDER BY w DESC, total$$);
SELECT define('runs by expression', $$SELECT upper(session(at, '10 minutes')) - lower(session(at, '10 minutes')) AS length, lower(session(at, '10 minutes'))::date + device AS day, sum(grams) + count(*) AS mixed
	FROM turn GROUP BY session(at, '10 minutes'), device$$,
	$$SELECT upper(w) - lower(w) AS length, lower(w)::date + device AS day, sum(grams) + count(*) AS mixed FROM in_runs GROUP BY w, device$$);
SELECT define('runs having', $$SELECT device, session(at, '10 minutes') AS w, count(*) FROM turn GROUP BY 1, 2 HAVING lower(session(at, '10 minutes')) >= '2024-05-01 10:05' AND count(*) > 1$$,
	$$SELECT device, w, count(*) FROM in_runs GROUP BY 1, 2 HAVING lower(w) >= '2024-05-01 10:05' AND count(*) > 1$$);
SELECT define('runs alone', $$SELECT device FROM turn GROUP BY session(at, '10 minutes'), device ORDER BY lower(session(at, '10 minutes')), device$$,
	$$SELECT device FROM in_runs GROUP BY w, device ORDER BY lower(w), device$$);
SELECT define('tumble having', $$SELECT tumble(at, '10 minutes') AS w, count(*) FROM turn GROUP BY 1 HAVING lower(tumble(at, '10 minutes')) > '2024-05-01 10:05'$$);
-- PostgreSQL itself has no HAVING on a set-returning function
SELECT define('hop having', $$SELECT hop(at, '20 minutes', '10 minutes') AS w, count(*) FROM turn GROUP BY 1 HAVING lower(hop(at, '20 minutes', '10 minutes')) > '2024-05-01 10:05'$$);
SELECT define('hop in from', $$SELECT w, count(*) FROM turn, hop(at, '20 minutes', '10 minutes') AS w GROUP BY 1 HAVING lower(w) > '2024-05-01 10:05'$$);
CREATE VIEW named (win, "the key", total) WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, device, sum(grams) FROM turn GROUP BY w, device ORDER BY w, device;
INSERT INTO pairs VALUES ('named', 'SELECT hop(at, ''20 minutes'', ''10 minutes'') AS win, device AS "the key", sum(grams) AS total FROM turn_table GROUP BY 1, 2 ORDER BY 1, 2');
CREATE FUNCTION turn(VARIADIC rows text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO turn_table SELECT ('2024-05-01 ' || split_part(r, ' ', 1))::timestamptz, nullif(split_part(r, ' ', 2), '-')::int, nullif(split_part(r, ' ', 3), '-')::numeric FROM unnest(rows) r;
	INSERT INTO turn SELECT ('2024-05-01 ' || split_part(r, ' ', 1))::timestamptz, nullif(split_part(r, ' ', 2), '-')::int, nullif(split_part(r, ' ', 3), '-')::numeric FROM unnest(rows) r;
END $$;
SET debug_discard_caches = 0;
SELECT turn('10:01 1 1.5', '10:04 2 2', '10:09:59.999999 1 3', '10:10 1 4', '10:15 - 5', '10:17 2 -');
SELECT turn('10:19 2 6.25', '10:29 1 7', '10:29 - 8', '10:41 1 9', '10:31 2 10');
SELECT turn('10:42 2 11', '10:45 - 12', '10:48 1 13', '11:02 1 14');
RESET debug_discard_caches;
SELECT results_eq(format('SELECT * FROM %I', view), query, view || ' is equal, in its order') FROM pairs WHERE query ~ 'ORDER BY' ORDER BY view COLLATE "C";
SELECT bag_eq(format('SELECT * FROM %I', view), query, view || ' is equal') FROM pairs WHERE query !~ 'ORDER BY' ORDER BY view COLLATE "C";
SELECT results_eq($$SELECT attname::text COLLATE "default" FROM pg_attribute WHERE attrelid = 'named'::regclass ORDER BY attnum$$, $$VALUES ('win'), ('the key'), ('total')$$, 'columns have the names of the view');
SET debug_discard_caches = 0;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', quote_ident(view)), view || ': verify agrees') FROM pairs ORDER BY view COLLATE "C";
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA window_query CASCADE;
