-- Aggregates kept by their inputs: DISTINCT, ORDER BY, ordered sets, and those that cannot be combined
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA inputs;
SET search_path = inputs, public;
CREATE FOREIGN TABLE visits (t timestamptz, k text, u int, v numeric, n text, f float8, p point)
	SERVER streamx OPTIONS (event_time 't', watermark_delay '1 hour', retain 'on');
-- the same rows in an ordinary table: the oracle; place: the order in which they came
CREATE TABLE visits_table (place bigint GENERATED ALWAYS AS IDENTITY, t timestamptz, k text, u int, v numeric, n text, f float8, p point);
CREATE PROCEDURE put(from_minute int, minutes int, nrows int, seed float8) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	CREATE TEMP TABLE fresh AS
		SELECT '2026-03-01'::timestamptz + from_minute * interval '1 min' + floor(random() * minutes * 60) * interval '1 s' AS t,
		       'k' || floor(random() * 3) AS k,
		       CASE WHEN random() < 0.9 THEN floor(random() * 20)::int END AS u,
		       CASE WHEN random() < 0.9 THEN round(floor(random() * 5)::numeric, floor(random() * 3)::int) END AS v,
		       CASE WHEN random() < 0.9 THEN 'n' || floor(random() * 7) END AS n,
		       CASE WHEN random() < 0.5 THEN 0 ELSE -0.0::float8 END AS f,
		       point(floor(random() * 3), 1) AS p
		FROM generate_series(1, nrows);
	INSERT INTO visits TABLE fresh;
	INSERT INTO visits_table (t, k, u, v, n, f, p) TABLE fresh;
	DROP TABLE fresh;
END
$$;
CREATE PROCEDURE put_all() LANGUAGE plpgsql AS $$
BEGIN
	CALL put(0, 20, 300, 0.1);
	CALL put(5, 30, 1, 0.2);
	CALL put(5, 30, 400, 0.3);
	CALL put(10, 40, 7, 0.4);
	CALL put(30, 20, 300, 0.5);
END
$$;
-- what view $1 and query $2 over the table do not have in common, as text
CREATE FUNCTION differences(streamed text, batch text) RETURNS TABLE (difference text, "row" text) LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY EXECUTE format(
		'WITH s AS MATERIALIZED (SELECT r::text FROM %s r), b AS MATERIALIZED (SELECT r::text FROM (%s) r)
		 SELECT ''missing'', * FROM (TABLE b EXCEPT ALL TABLE s) m UNION ALL SELECT ''extra'', * FROM (TABLE s EXCEPT ALL TABLE b) e', streamed, batch);
END
$$;
CREATE FUNCTION wrong() RETURNS TABLE (view text, difference text, "row" jsonb) LANGUAGE plpgsql AS $$
DECLARE v regclass;
BEGIN
	FOR v IN SELECT x.view FROM streamx.views x JOIN pg_class c ON c.oid = x.view WHERE relnamespace = 'inputs'::regnamespace LOOP
		RETURN QUERY SELECT v::text, d.* FROM streamx.verify(v) d;
	END LOOP;
END
$$;
SELECT * FROM no_plan();

-- The user is told
SET client_min_messages = notice;
CREATE VIEW tumbling WITH (streamx.continuous) AS
	SELECT k, tumble(t, '5 min') AS w, count(*), count(DISTINCT u) AS users, count(DISTINCT u) FILTER (WHERE v > 1) AS spenders,
	       count(DISTINCT v) AS amounts, sum(DISTINCT trunc(v)), array_agg(DISTINCT n ORDER BY n DESC) AS names, string_agg(n, ',' ORDER BY u, n) AS line,
	       percentile_cont(0.5) WITHIN GROUP (ORDER BY u) AS middle, mode() WITHIN GROUP (ORDER BY n),
	       percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY u DESC), rank(3, 'n2') WITHIN GROUP (ORDER BY u, n),
	       count(DISTINCT f) AS zeros, count(DISTINCT (u, n)) AS pairs, json_agg(u ORDER BY u, v), max(DISTINCT u), count(DISTINCT 1) AS one
	FROM visits GROUP BY 1, 2;
SET client_min_messages = warning;
SELECT results_eq('SELECT inputs::text[], input_views IS NOT NULL FROM streamx.views WHERE view = ''tumbling''::regclass',
	$$SELECT array_agg(format('streamx_internal.%s_inputs%s', substring(state::text, '(v\d+)_state'), i)), true FROM streamx.views, generate_series(1, 9) i WHERE view = 'tumbling'::regclass GROUP BY state$$,
	'aggregates with the same inputs share a table');

CREATE VIEW hopping WITH (streamx.continuous) AS
	SELECT k, hop(t, '5 min', '2 min') AS w, count(DISTINCT u) AS users, array_agg(DISTINCT u) FILTER (WHERE v > 1) AS spenders,
	       string_agg(n, ',' ORDER BY u, n) AS line, percentile_disc(0.3) WITHIN GROUP (ORDER BY v) AS low
	FROM visits GROUP BY 1, 2 HAVING count(DISTINCT n) > 1;
CREATE VIEW cumulating WITH (streamx.continuous) AS
	SELECT cumulate(t, '10 min', '2 min') AS w, count(DISTINCT u) AS users, mode() WITHIN GROUP (ORDER BY u) FROM visits GROUP BY 1;
CREATE VIEW sessions WITH (streamx.continuous) AS
	SELECT k, n, session(t, '2 min') AS w, count(*), count(DISTINCT u) AS users, array_agg(u ORDER BY u, v) AS line FROM visits GROUP BY 1, 2, 3;
CREATE VIEW total WITH (streamx.continuous) AS
	SELECT count(DISTINCT u) AS users, count(DISTINCT v) AS amounts, count(DISTINCT v) FILTER (WHERE u > 9) AS some, string_agg(n, '' ORDER BY n) FROM visits;
-- direct arguments of the group, without an order or an equality, and by arrival
CREATE VIEW odd WITH (streamx.continuous) AS
	SELECT u % 3 AS m, percentile_disc((u % 3) / 10.0) WITHIN GROUP (ORDER BY v) AS low, array_agg(p ORDER BY u, v, n) AS points, array_agg(n) AS names,
	       jsonb_object_agg(n, v ORDER BY v, t) FILTER (WHERE n IS NOT NULL) AS last_amounts
	FROM visits WHERE u IS NOT NULL GROUP BY u % 3;
SELECT results_eq('TABLE total', $$SELECT 0::bigint, 0::bigint, 0::bigint, NULL::text$$, 'before any input');
CALL put_all();

SELECT is_empty($$SELECT * FROM differences('tumbling',
	'SELECT k, tumble(t, ''5 min'') AS w, count(*), count(DISTINCT u), count(DISTINCT u) FILTER (WHERE v > 1),
	       count(DISTINCT v), sum(DISTINCT trunc(v)), array_agg(DISTINCT n ORDER BY n DESC), string_agg(n, '','' ORDER BY u, n),
	       percentile_cont(0.5) WITHIN GROUP (ORDER BY u), mode() WITHIN GROUP (ORDER BY n),
	       percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY u DESC), rank(3, ''n2'') WITHIN GROUP (ORDER BY u, n),
	       count(DISTINCT f), count(DISTINCT (u, n)), json_agg(u ORDER BY u, v), max(DISTINCT u), count(DISTINCT 1)
	FROM visits_table GROUP BY 1, 2')$$, 'tumbling windows are those of PostgreSQL');
SELECT is_empty($$SELECT * FROM differences('(SELECT w, k, users, spenders, line, trunc(low) FROM hopping)',
	'SELECT w, k, count(DISTINCT u), array_agg(DISTINCT u) FILTER (WHERE v > 1), string_agg(n, '','' ORDER BY u, n), trunc(percentile_disc(0.3) WITHIN GROUP (ORDER BY v))
	 FROM visits_table, LATERAL hop(t, ''5 min'', ''2 min'') AS w GROUP BY 1, 2 HAVING count(DISTINCT n) > 1')$$, 'so are hopping ones');
SELECT is_empty($$SELECT * FROM differences('cumulating',
	'SELECT w, count(DISTINCT u), mode() WITHIN GROUP (ORDER BY u)
	 FROM visits_table, LATERAL cumulate(t, ''10 min'', ''2 min'') AS w GROUP BY 1')$$, 'so are cumulating ones');
SELECT is_empty($$SELECT * FROM differences('sessions',
	'SELECT k, n, tstzrange(min(t), max(t) + interval ''2 min''), count(*), count(DISTINCT u), array_agg(u ORDER BY u, v)
	 FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY k, n ORDER BY t) AS number
	       FROM (SELECT *, t > lag(t, 1, ''-infinity'') OVER (PARTITION BY k, n ORDER BY t) + interval ''2 min'' AS begins FROM visits_table) v) v
	 GROUP BY k, n, number')$$, 'and sessions');
SELECT is_empty($$SELECT * FROM differences('total',
	'SELECT count(DISTINCT u), count(DISTINCT v), count(DISTINCT v) FILTER (WHERE u > 9), string_agg(n, '''' ORDER BY n) FROM visits_table')$$, 'and all rows together');
SELECT is_empty($$SELECT * FROM differences('(SELECT m, trunc(low), points, names FROM odd)',
	'SELECT u % 3, trunc(percentile_disc((u % 3) / 10.0) WITHIN GROUP (ORDER BY v)), array_agg(p ORDER BY u, v, n, streamx.image(p)), array_agg(n ORDER BY t, place)
	 FROM visits_table WHERE u IS NOT NULL GROUP BY u % 3')$$, 'and odd types, and arrival');
SELECT is_empty('SELECT * FROM wrong()', 'verify agrees');

-- It would notice a row
BEGIN;
DELETE FROM visits_table WHERE place = (SELECT min(place) FROM visits_table WHERE u IS NOT NULL);
SELECT isnt_empty($$SELECT * FROM differences('(SELECT k, w, line FROM tumbling)',
	'SELECT k, tumble(t, ''5 min''), string_agg(n, '','' ORDER BY u, n) FROM visits_table GROUP BY 1, 2')$$, 'a row less would be noticed');
ROLLBACK;

-- Sessions that merge have the inputs of both
CREATE FOREIGN TABLE steps (t timestamptz, x int) SERVER streamx OPTIONS (event_time 't', watermark_delay '1 hour', retain 'on');
CREATE VIEW bridged WITH (streamx.continuous) AS SELECT session(t, '1 min') AS w, count(DISTINCT x), array_agg(x ORDER BY x) FROM steps GROUP BY 1;
INSERT INTO steps VALUES ('2026-03-01 10:00', 1), ('2026-03-01 10:02', 1), ('2026-03-01 10:02', 2);
INSERT INTO steps VALUES ('2026-03-01 10:01', 3);
SELECT results_eq('SELECT count, array_agg FROM bridged', 'SELECT 3::bigint, ARRAY[1, 1, 2, 3]', 'sessions that merge');

-- Partly late and late rows
CREATE FOREIGN TABLE soon (t timestamptz, x int) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW late_hops WITH (streamx.continuous) AS SELECT hop(t, '10 min', '5 min') AS w, array_agg(x ORDER BY x), count(DISTINCT x) FROM soon GROUP BY 1;
CREATE VIEW late_sessions WITH (streamx.continuous) AS SELECT session(t, '5 min') AS w, array_agg(x ORDER BY x), count(DISTINCT x) FROM soon GROUP BY 1;
INSERT INTO soon VALUES ('2026-03-01 10:01', 1), ('2026-03-01 10:11', 2);
INSERT INTO soon VALUES ('2026-03-01 10:03', 3), ('2026-03-01 10:07', 4), ('2026-03-01 9:00', 5), ('2026-03-01 10:04', 6);
SELECT results_eq('SELECT upper(w)::time, array_agg FROM late_hops ORDER BY 1',
	$$VALUES ('10:05'::time, ARRAY[1]), ('10:10', ARRAY[1]), ('10:15', ARRAY[2, 4]), ('10:20', ARRAY[2])$$, 'windows that were sealed have what they had');
SELECT is_empty('SELECT * FROM wrong()', 'and the batch has the same');

-- A row that an aggregate cannot take is a dead letter, not an error for all who read
CREATE FOREIGN TABLE pairs (t timestamptz, k text, a int[]) SERVER streamx OPTIONS (event_time 't', retain 'on', on_error 'dead_letter');
CREATE VIEW objects WITH (streamx.continuous) AS SELECT json_object_agg(k, cardinality(a)), array_agg(a ORDER BY k) FROM pairs;
INSERT INTO pairs VALUES ('2026-03-01', 'a', '{1,2}'), ('2026-03-01', NULL, '{1,2}'), ('2026-03-01', 'b', '{}'), ('2026-03-01', 'c', '{3,4}');
SELECT results_eq('SELECT json_object_agg::text, array_agg FROM objects', $$SELECT '{ "a" : 2, "c" : 2 }', ARRAY[[1,2],[3,4]]$$, 'good rows are there');
SELECT results_eq($$SELECT CASE WHEN message ~ 'field name must not be null|null value not allowed for object key' THEN 'null' ELSE message END, left(sqlstate, 2)
	FROM streamx.dead_letters WHERE view = 'objects'::regclass ORDER BY "offset"$$,
	$$VALUES ('null', '22'), ('cannot accumulate empty arrays', '22')$$, 'bad ones are dead letters');

-- Large inputs, beyond what an index takes, and many of one hash
CREATE FOREIGN TABLE texts (t timestamptz, x text, j jsonb) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW large WITH (streamx.continuous) AS SELECT count(DISTINCT x) AS texts, count(DISTINCT j) AS documents, string_agg(DISTINCT left(x, 1), '') FROM texts;
INSERT INTO texts SELECT '2026-03-01', (i % 7) || repeat(md5((i % 7)::text), 1000), to_jsonb(repeat((i % 5)::text, 9000)) FROM generate_series(1, 20) i;
INSERT INTO texts SELECT '2026-03-01', (i % 9) || repeat(md5((i % 9)::text), 1000), to_jsonb(repeat((i % 6)::text, 9000)) FROM generate_series(1, 20) i;
SELECT results_eq('TABLE large', $$SELECT 9::bigint, 6::bigint, '012345678'$$, 'large inputs');
CREATE COLLATION no_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE FOREIGN TABLE cases (t timestamptz, x text COLLATE no_case, y numeric) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW alike WITH (streamx.continuous) AS SELECT count(DISTINCT x) AS names, count(DISTINCT y) AS numbers, count(DISTINCT y) FILTER (WHERE x = 'a') AS some FROM cases;
INSERT INTO cases VALUES ('2026-03-01', 'a', 1.0), ('2026-03-01', 'b', 1.00), ('2026-03-01', 'c', 2);
INSERT INTO cases VALUES ('2026-03-01', 'A', 1.000), ('2026-03-01', 'B', 2.0), ('2026-03-01', NULL, NULL), ('2026-03-01', 'A', 3);
SELECT results_eq('TABLE alike', 'SELECT 3::bigint, 3::bigint, 2::bigint', 'values that are equal, but not the same, count once');

-- A row of one column is not its column: it is never null
CREATE VIEW rows_of_one WITH (streamx.continuous) AS SELECT count(DISTINCT y) AS numbers, count(DISTINCT ROW(y)) AS rows FROM cases;
SELECT results_eq('TABLE rows_of_one', 'SELECT count(DISTINCT y), count(DISTINCT ROW(y)) FROM cases', 'values and rows of them are counted by themselves');

-- One row is written only when something changes
SELECT inputs[1] AS names FROM streamx.views WHERE view = 'alike'::regclass \gset
CREATE TABLE before AS SELECT ctid AS place, i1 AS x FROM :names;
INSERT INTO cases VALUES ('2026-03-01', 'a', 1.0), ('2026-03-01', 'b', 1.0);
SELECT set_eq('SELECT ctid AS place, i1 FROM ' || :'names', 'TABLE before', 'a distinct input that was there is not written');

-- Estimates: that each input is there once, or so
CREATE FUNCTION cost(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Total Cost';
END
$$;
SELECT cmp_ok(cost('SELECT line FROM tumbling'), '<', current_setting('jit_above_cost')::numeric, 'small views are not compiled each time that they are read');

-- Sizes, privileges, and the end
SELECT results_eq($$SELECT inputs_size > 8192, state_size > 8192 FROM streamx.stat_views WHERE view = 'tumbling'::regclass$$, 'SELECT true, true', 'sizes are shown');
CREATE ROLE inputs_reader;
GRANT USAGE ON SCHEMA inputs TO inputs_reader;
GRANT SELECT ON tumbling, hopping TO inputs_reader;
CREATE ROLE inputs_owner;
GRANT USAGE, CREATE ON SCHEMA inputs TO inputs_owner;
ALTER VIEW tumbling OWNER TO inputs_owner;
SELECT inputs[1] AS input_table FROM streamx.views WHERE view = 'tumbling'::regclass \gset
SET ROLE inputs_reader;
SELECT isnt_empty('SELECT users, middle FROM tumbling', 'who may read the view sees what is computed from inputs');
SELECT isnt_empty('SELECT users, spenders FROM hopping', 'of hops, too');
SELECT throws_ok('SELECT * FROM ' || :'input_table', '42501', NULL, 'but not the inputs themselves');
RESET ROLE;
CREATE TEMP TABLE were AS SELECT i::oid FROM streamx.views, unnest(inputs || input_views || trial_view) i WHERE i IS NOT NULL;
SET client_min_messages = error;
DROP SCHEMA inputs CASCADE;
SET client_min_messages = warning;
SELECT is_empty('SELECT i::regclass FROM were JOIN pg_class c ON c.oid = i', 'no view, no inputs');
SELECT is_empty($$SELECT relname FROM pg_class WHERE relname ~ '_input_group$' AND NOT EXISTS (SELECT FROM streamx.views)$$, 'and no sequence');
DROP ROLE inputs_reader, inputs_owner;
SELECT * FROM finish();
