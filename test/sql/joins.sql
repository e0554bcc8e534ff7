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

SELECT plan(45);

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

-- Hops and sessions of joined rows: a row of the stream may become many, or none; the rows that count, in an ordinary table, are the oracle
CREATE FOREIGN TABLE visits (at timestamptz, visitor int, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE visits_table (LIKE visits);
CREATE TABLE team_of (visitor int, team text, share numeric);
INSERT INTO team_of VALUES (1, 'red', 0.5), (1, 'blue', 0.5), (1, 'blue', 0.25), (2, 'red', 1), (3, NULL, 1), (5, 'gone', 1);
CREATE FUNCTION visit(is_counted bool, VARIADIC rows text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE visited ON COMMIT DROP AS
		SELECT ('2024-05-01 ' || split_part(r, ' ', 1))::timestamptz AS at, split_part(r, ' ', 2)::int AS visitor, split_part(r, ' ', 3)::int AS n FROM unnest(rows) r;
	INSERT INTO visits TABLE visited;
	INSERT INTO visits_table SELECT * FROM visited WHERE is_counted;
END $$;
CREATE VIEW hops WITH (streamx.continuous) AS
	SELECT hop(at, '20 minutes', '10 minutes') AS w, team, count(*), sum(n * share) AS total, count(share) AS shares
	FROM visits JOIN team_of USING (visitor) GROUP BY 1, 2;
CREATE VIEW left_hops WITH (streamx.continuous) AS
	SELECT hop(at, '20 minutes', '10 minutes') AS w, coalesce(team, 'none') AS team, count(*), sum(n * share) AS total, count(share) AS shares
	FROM visits LEFT JOIN team_of t ON t.visitor = visits.visitor AND share > 0.25 GROUP BY 1, 2;
CREATE VIEW steps WITH (streamx.continuous) AS
	SELECT cumulate(at, '20 minutes', '10 minutes') AS w, count(*), sum(n) AS total, count(team) AS teams
	FROM team_of t RIGHT JOIN visits ON t.visitor = visits.visitor GROUP BY 1;
CREATE VIEW hops_of_functions WITH (streamx.continuous) AS
	SELECT hop(at, '15 minutes', '10 minutes') AS w, i, count(*) FROM visits, generate_series(1, n) i WHERE i % 2 = 1 GROUP BY 1, 2;
CREATE VIEW hops_of_known WITH (streamx.continuous) AS
	SELECT hop(at, '15 minutes', '10 minutes') AS w, count(*) FROM visits
	WHERE visitor IN (SELECT visitor FROM team_of) AND EXISTS (SELECT FROM tariff) GROUP BY 1;
CREATE VIEW sessions WITH (streamx.continuous) AS
	SELECT session(at, '10 minutes') AS w, team, count(*), sum(n * share) AS total, count(share) AS shares
	FROM visits JOIN team_of USING (visitor) GROUP BY 1, 2;
CREATE VIEW left_sessions WITH (streamx.continuous) AS
	SELECT session(at, '10 minutes') AS w, count(*), sum(n * share) AS total, count(share) AS shares FROM visits LEFT JOIN team_of USING (visitor) GROUP BY 1;
CREATE VIEW batch_hops AS
	SELECT hop(at, '20 minutes', '10 minutes') AS w, team, count(*), sum(n * share) AS total, count(share) AS shares
	FROM visits_table JOIN team_of USING (visitor) GROUP BY 1, 2;
CREATE VIEW batch_left_hops AS
	SELECT hop(at, '20 minutes', '10 minutes') AS w, coalesce(team, 'none') AS team, count(*), sum(n * share) AS total, count(share) AS shares
	FROM visits_table v LEFT JOIN team_of t ON t.visitor = v.visitor AND share > 0.25 GROUP BY 1, 2;
CREATE VIEW batch_steps AS
	SELECT cumulate(at, '20 minutes', '10 minutes') AS w, count(*), sum(n) AS total, count(team) AS teams
	FROM team_of t RIGHT JOIN visits_table v ON t.visitor = v.visitor GROUP BY 1;
CREATE VIEW batch_hops_of_functions AS
	SELECT hop(at, '15 minutes', '10 minutes') AS w, i, count(*) FROM visits_table, generate_series(1, n) i WHERE i % 2 = 1 GROUP BY 1, 2;
CREATE VIEW batch_hops_of_known AS
	SELECT hop(at, '15 minutes', '10 minutes') AS w, count(*) FROM visits_table WHERE visitor IN (SELECT visitor FROM team_of) GROUP BY 1;
CREATE VIEW batch_sessions AS
	SELECT tstzrange(min(at), max(at) + interval '10 minutes') AS w, team, count(*), sum(n * share) AS total, count(share) AS shares
	FROM (SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY team ORDER BY at) AS island
	      FROM (SELECT *, at > lag(at, 1, '-infinity') OVER (PARTITION BY team ORDER BY at) + interval '10 minutes' AS is_first
	            FROM visits_table JOIN team_of USING (visitor)) AS j) AS i
	GROUP BY team, island;
CREATE VIEW batch_left_sessions AS
	SELECT tstzrange(min(at), max(at) + interval '10 minutes') AS w, count(*), sum(n * share) AS total, count(share) AS shares
	FROM (SELECT *, count(*) FILTER (WHERE is_first) OVER (ORDER BY at) AS island
	      FROM (SELECT *, at > lag(at, 1, '-infinity') OVER (ORDER BY at) + interval '10 minutes' AS is_first
	            FROM visits_table LEFT JOIN team_of USING (visitor)) AS j) AS i
	GROUP BY island;
CREATE TABLE windowed AS SELECT unnest(ARRAY['hops', 'left_hops', 'steps', 'hops_of_functions', 'hops_of_known', 'sessions', 'left_sessions']) AS name;
SELECT visit(true, '10:01 1 1', '10:01 1 2', '10:04 4 3', '10:08 3 4');
SELECT visit(true, '10:10 2 5', '10:12 1 6', '10:12 4 0', '10:16 3 8');
SELECT visit(true, '10:19 1 3', '10:27 2 2', '10:27 3 1', '10:28 4 7');
SELECT results_eq($$SELECT team, lower(w)::time, upper(w)::time, count, total FROM sessions ORDER BY 1, 2$$,
	$$VALUES ('blue', time '10:01', time '10:11', 4::bigint, 2.25), ('blue', '10:12', '10:29', 4, 6.75),
	         ('red', '10:01', '10:37', 6, 13.0), (NULL, '10:08', '10:26', 2, 12), (NULL, '10:27', '10:37', 1, 1)$$, 'one row is in sessions of several keys, and twice in one');
SELECT bag_eq('TABLE ' || name, 'TABLE batch_' || name, name || ' equals its batch') FROM windowed ORDER BY name COLLATE "C";
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', name), name || ': verify agrees') FROM windowed ORDER BY name COLLATE "C";
-- rows for which the join has nothing are never late, partly late, or in a session
SELECT visit(true, '10:36 4 1');
SELECT visit(false, '10:01 4 1', '10:21 4 1');
SELECT visit(false, '10:02 2 1', '10:02 5 1');
SELECT results_eq($$SELECT view::text COLLATE "default", event_time::time, "row"->>'visitor', counted FROM own_late_rows WHERE stream = 'visits'::regclass ORDER BY 1, 2, 3$$,
	$$VALUES ('hops', time '10:02', '2', false), ('hops', '10:02', '5', false),
	         ('hops_of_functions', '10:01', '4', false), ('hops_of_functions', '10:02', '2', false), ('hops_of_functions', '10:02', '5', false), ('hops_of_functions', '10:21', '4', false),
	         ('hops_of_known', '10:02', '2', false), ('hops_of_known', '10:02', '5', false),
	         ('left_hops', '10:01', '4', false), ('left_hops', '10:02', '2', false), ('left_hops', '10:02', '5', false), ('left_hops', '10:21', '4', true), ('sessions', '10:02', '5', false),
	         ('steps', '10:01', '4', false), ('steps', '10:02', '2', false), ('steps', '10:02', '5', false), ('steps', '10:21', '4', true)$$, 'only rows that a join takes are late');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', name), name || ': verify agrees') FROM windowed ORDER BY name COLLATE "C";
-- later changes of the table do not rewrite windows, open ones included
UPDATE team_of SET team = 'green' WHERE team = 'red';
SELECT visit(false, '10:37 2 1');
SELECT results_eq($$SELECT team, count FROM hops WHERE lower(w) = '2024-05-01 10:20' ORDER BY 1$$, $$VALUES ('green', 1::bigint), ('red', 1), (NULL, 1)$$, 'a window has rows of before and after');
SELECT results_eq($$SELECT team, upper(w)::time, count FROM sessions WHERE team IN ('green', 'red') ORDER BY 1$$, $$VALUES ('green', time '10:47', 1::bigint), ('red', '10:37', 7)$$, 'a session has not');
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA joins CASCADE;
