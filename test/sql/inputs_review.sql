-- Aggregates kept by their inputs: what a review found
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA inputs_review;
SET search_path = inputs_review, public;
SELECT * FROM no_plan();

-- Comparing large values that are stored compressed takes memory for one comparison (first: the session's peak is what is measured)
CREATE TABLE documents AS SELECT to_jsonb(repeat('x', 1000000)) AS document;
CREATE FOREIGN TABLE large (t timestamptz, document jsonb) SERVER streamx OPTIONS (event_time 't');
CREATE VIEW largest WITH (streamx.continuous) AS SELECT count(DISTINCT document), count(*) AS n FROM large;
INSERT INTO large SELECT '2026-03-01', document FROM documents, generate_series(1, 300);
SELECT results_eq('TABLE largest', 'VALUES (1::bigint, 300::bigint)', 'a large value comes again and again');
SELECT cmp_ok(substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s*(\d+)')::int, '<', 300000, 'in little memory');

-- The batch sorts for no aggregate that is kept as a state
CREATE FOREIGN TABLE sums (t timestamptz, v numeric) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW plain WITH (streamx.continuous) AS SELECT sum(v), array_agg(v) FROM sums;
SELECT definition_view FROM streamx.views WHERE view = 'plain'::regclass \gset
SELECT matches(pg_get_viewdef(:'definition_view'::regclass), 'sum\((sums\.)?v\)', 'a sum is a sum');
SELECT matches(pg_get_viewdef(:'definition_view'::regclass), 'array_agg\((sums\.)?v ORDER BY', 'an array has an order');

-- Sessions: their window is an aggregate itself
CREATE FUNCTION refusal(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text;
BEGIN
	EXECUTE query;
	RETURN 'accepted';
EXCEPTION WHEN feature_not_supported THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN sqlerrm || ' / ' || hint;
END
$$;
SELECT is(refusal('CREATE VIEW x WITH (streamx.continuous) AS SELECT session(t, ''1 hour'') AS w,
	percentile_disc(extract(hour FROM upper(session(t, ''1 hour''))) / 24) WITHIN GROUP (ORDER BY v) FROM sums GROUP BY 1'),
	'a direct argument of an aggregate cannot depend on a session''s window / Aggregate over the window when reading the view.',
	'a session''s window is no direct argument');
CREATE VIEW tumbled WITH (streamx.continuous) AS SELECT tumble(t, '1 hour') AS w,
	percentile_disc(extract(hour FROM upper(tumble(t, '1 hour'))) / 24) WITHIN GROUP (ORDER BY v) FROM sums GROUP BY 1;
INSERT INTO sums SELECT '2026-03-01 11:30', v FROM generate_series(1, 10) v;
SELECT results_eq('SELECT percentile_disc FROM tumbled', 'SELECT 5::numeric', 'that of other windows is');
SELECT is_empty('SELECT * FROM streamx.verify(''tumbled'')', 'and the batch agrees');

-- Counters are kept only where a value is found again for ever
CREATE TYPE mood AS ENUM ('fine', 'so so');
CREATE TYPE feeling AS (mood mood, n int);
CREATE COLLATION any_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE FOREIGN TABLE kinds (t timestamptz, n numeric, x text, mood mood, moods mood[], feeling feeling, place regclass, name text COLLATE any_case, r int4range) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW kind_counts WITH (streamx.continuous) AS
	SELECT count(DISTINCT n) AS n, count(DISTINCT x) AS x, count(DISTINCT r) AS r,
	       count(DISTINCT mood) AS mood, count(DISTINCT moods) AS moods, count(DISTINCT feeling) AS feeling, count(DISTINCT place) AS place, count(DISTINCT name) AS name FROM kinds;
SELECT state FROM streamx.views WHERE view = 'kind_counts'::regclass \gset
SELECT is((SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = :'state'::regclass AND attname ~ '^c\d'), 'c1_1 c2_1 c3_1',
	'not of enums, rows, regclass, and texts that a library compares');
INSERT INTO kinds VALUES ('2026-03-01', 1.0, 'x', 'fine', '{fine}', '(fine,1)', 'kinds', 'a', '[1,2)'), ('2026-03-01', 1.00, 'x', 'fine', '{fine}', '(fine,1)', 'kinds', 'A', '[1,2)');
INSERT INTO kinds VALUES ('2026-03-01', 1, 'x', 'fine', '{fine}', '(fine,1)', 'kinds', 'A', '[1,1]'), ('2026-03-01', 2, 'y', 'so so', '{fine,"so so"}', '(fine,2)', 'sums', 'b', '[1,3)');
SELECT results_eq('TABLE kind_counts', 'SELECT 2::bigint, 2::bigint, 2::bigint, 2::bigint, 2::bigint, 2::bigint, 2::bigint, 2::bigint', 'all are counted');

ALTER TYPE feeling ADD ATTRIBUTE since int;
INSERT INTO kinds (t, feeling) VALUES ('2026-03-01', '(fine,1,)'), ('2026-03-01', '(fine,1,5)');
SELECT results_eq('SELECT feeling FROM kind_counts', 'SELECT 3::bigint', 'rows that got a column are the same as before');

-- A column of inputs has a collation, or a dump cannot be restored
CREATE TABLE names (v numeric, a text COLLATE "C", b text COLLATE "POSIX");
SELECT throws_ok('CREATE VIEW x WITH (streamx.continuous) AS SELECT json_agg(a || b) FROM sums JOIN names USING (v)',
	'42P22', 'could not determine which collation to use for the inputs of aggregate json_agg(anyelement)', 'texts of two collations');
CREATE VIEW collated WITH (streamx.continuous) AS SELECT json_agg((a || b) COLLATE "C") FROM sums JOIN names USING (v);
SELECT pass('of one that is named');

-- A dump can have the text of aggregates that are constructors of JSON (since 16; before, what they mean)
SELECT r[1] AS array, r[2] AS object, r[3] AS text FROM unnest(ARRAY[current_setting('server_version_num')::int >= 160000]) is_new,
	LATERAL (SELECT CASE WHEN is_new THEN ARRAY['JSON_ARRAYAGG(v ORDER BY t)', 'JSON_OBJECTAGG(v::text : v)', 'JSON_ARRAYAGG(v RETURNING text)']
	                ELSE ARRAY['json_agg(v ORDER BY t)', 'json_object_agg(v::text, v)', 'json_agg(v)::text'] END) x(r) \gset
CREATE VIEW json_days WITH (streamx.continuous) AS SELECT tumble(t, '1 day') AS w, :array AS a, :object AS o, :text AS t FROM sums GROUP BY 1 HAVING :array IS NOT NULL;
CREATE VIEW json_sessions WITH (streamx.continuous) AS SELECT session(t, '1 day') AS w, :array AS a, :object AS o, :text AS t FROM sums GROUP BY 1 HAVING :array IS NOT NULL;
INSERT INTO sums VALUES ('2026-03-02', 1), ('2026-03-02 1:00', 2.0);
SELECT results_eq('SELECT a::text, o::text, t FROM json_days WHERE lower(w) = ''2026-03-02''',
	$$VALUES ('[1, 2.0]', '{ "1" : 1, "2.0" : 2.0 }', '[1, 2.0]')$$, 'constructors of JSON');
SELECT is_empty('SELECT d.* FROM streamx.views, streamx.verify(view) d WHERE view::text LIKE ''json%''', 'as in the batch');
SELECT lives_ok(format('CREATE VIEW json_%s AS %s', number, pg_get_viewdef(r)), 'their text is a query')
	FROM streamx.views, unnest(ARRAY[view, definition_view]) WITH ORDINALITY v(r, n), LATERAL (SELECT view || '_' || n) x(number)
	WHERE view::text LIKE 'json%' ORDER BY view::text, n;

-- A row of the state that has lost its inputs is an error, not a crash
CREATE FOREIGN TABLE lost (t timestamptz, v int) SERVER streamx OPTIONS (event_time 't');
CREATE VIEW lost_inputs WITH (streamx.continuous) AS SELECT count(*), array_agg(v) FROM lost;
INSERT INTO lost VALUES ('2026-03-01', 1);
SELECT state FROM streamx.views WHERE view = 'lost_inputs'::regclass \gset
UPDATE :state SET input_groups = NULL;
CREATE FUNCTION error_of_loss() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO lost VALUES ('2026-03-01', 1);
	PERFORM * FROM lost_inputs;
	RETURN 'none';
EXCEPTION WHEN internal_error THEN
	RETURN sqlerrm;
END
$$;
SELECT is(error_of_loss(), 'a row of the state of continuous view "lost_inputs" has no input group', 'without inputs');

SET client_min_messages = error;
DROP SCHEMA inputs_review CASCADE;
SELECT * FROM finish();
