-- A view computed anew from what its stream has kept: the same rows refused again, or all judged anew
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA rebuilding;
SET search_path = rebuilding, public;
CREATE FOREIGN TABLE kept (at timestamptz, k int, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE FOREIGN TABLE passing (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at');

-- Late rows, partly late rows, sessions merged by rows too old by themselves: hence several micro-batches
CREATE VIEW whole WITH (streamx.continuous) AS SELECT k, count(*), sum(n), avg(n::numeric) FROM kept GROUP BY 1;
CREATE VIEW one WITH (streamx.continuous) AS SELECT count(*), array_agg(n) FROM kept;
CREATE VIEW tumbling WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, k, count(*), sum(n), count(DISTINCT n) AS numbers FROM kept GROUP BY 1, 2;
CREATE VIEW hopping WITH (streamx.continuous) AS SELECT hop(at, '15 minutes', '5 minutes') AS w, sum(n), string_agg(n::text, ',' ORDER BY n) AS list FROM kept WHERE n > 0 GROUP BY 1;
CREATE VIEW cumulating WITH (streamx.continuous, streamx.allowed_lateness = '3 minutes') AS SELECT cumulate(at, '20 minutes', '5 minutes') AS w, k, sum(n) FROM kept GROUP BY 1, 2;
CREATE VIEW visits WITH (streamx.continuous, streamx.allowed_lateness = '1 minute') AS SELECT session(at, '5 minutes') AS w, k, count(*), array_agg(n) AS list FROM kept GROUP BY 1, 2;
CREATE VIEW folded WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, array_agg(n) AS list, percentile_disc(0.5) WITHIN GROUP (ORDER BY n) AS median FROM kept GROUP BY 1;
CREATE VIEW short WITH (streamx.continuous, streamx.retention = '20 minutes') AS SELECT tumble(at, '10 minutes') AS w, count(*), count(DISTINCT k) AS keys FROM kept GROUP BY 1;
CREATE VIEW short_visits WITH (streamx.continuous, streamx.retention = '20 minutes') AS SELECT session(at, '5 minutes') AS w, k, sum(n) FROM kept GROUP BY 1, 2;
CREATE VIEW short_hops WITH (streamx.continuous, streamx.retention = '20 minutes') AS SELECT hop(at, '15 minutes', '5 minutes') AS w, sum(n) FROM kept GROUP BY 1;
CREATE VIEW totals WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, k, sum(n) FROM kept GROUP BY 1, ROLLUP (k);
DO $$
BEGIN
	FOR i IN 1..30 LOOP
		INSERT INTO kept SELECT timestamptz '2024-05-01 10:00' + (i * 2 + j % 3) * interval '1 minute', j % 3, i * 10 + j FROM generate_series(0, 9) j;
		COMMIT;
		INSERT INTO kept SELECT timestamptz '2024-05-01 10:00' + (i * 2 - 3 * j) * interval '1 minute', j % 3, -j FROM generate_series(0, 9) j;
		COMMIT;
	END LOOP;
END $$;

CREATE VIEW own_views AS SELECT v.* FROM streamx.views v JOIN pg_class c ON c.oid = view WHERE relnamespace = 'rebuilding'::regnamespace;
CREATE VIEW own_late AS SELECT view::text, "offset", event_time, watermark, refused_through, counted, "row", recorded_at FROM streamx_internal.late_row l JOIN own_views USING (view);
CREATE FUNCTION shown(name regclass) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE format('SELECT t::text FROM %s t ORDER BY 1', name); END $$;
CREATE TABLE before AS SELECT view, s.line FROM own_views, shown(view) s (line);
CREATE TABLE late_before AS TABLE own_late;
CREATE TABLE parts_before AS SELECT view, state, definition_view, delta_view, rows_view, windows, inputs, input_views, trial_view, finals_view FROM own_views;
SELECT count(DISTINCT view), bool_or(counted), count(*) > 100 FROM late_before;

SELECT plan(77);
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees before') FROM own_views ORDER BY view::text;
SELECT is(streamx.rebuild(view)::text, '', view || ': rebuilt') FROM own_views ORDER BY view::text;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees') FROM own_views ORDER BY view::text;
SELECT bag_eq('SELECT view, s.line FROM own_views, shown(view) s (line)', 'TABLE before', 'each shows what it showed');
SELECT bag_eq('TABLE own_late', 'TABLE late_before', 'late rows are those of before');
SELECT is_empty('SELECT r FROM (SELECT unnest(ARRAY[p.state, p.definition_view, p.delta_view, p.rows_view, p.windows, p.trial_view, p.finals_view] || p.inputs || p.input_views)::oid FROM parts_before p) o (r) JOIN pg_class ON oid = r', 'what was in their place is gone');
SELECT is(count(*), 0::bigint, 'no shadow is left') FROM streamx.views WHERE shadow_of IS NOT NULL;
-- Giving room at the end of a file back locks out the batches
SELECT is_empty($$SELECT relname FROM pg_class WHERE 'vacuum_truncate=off' <> ALL (coalesce(reloptions, '{}'))
	AND oid IN (SELECT unnest(state || inputs) FROM own_views
		UNION ALL VALUES ('streamx.progress'::regclass), ('streamx_internal.removal'::regclass), ('streamx_internal.folding'::regclass))$$, 'vacuum truncates no table that batches write');

-- They go on where they were
INSERT INTO kept SELECT timestamptz '2024-05-01 11:05' - j * interval '3 minutes', j % 3, 1000 + j FROM generate_series(0, 9) j;
INSERT INTO kept SELECT timestamptz '2024-05-01 11:00' - j * interval '2 minutes', j % 3, 2000 + j FROM generate_series(0, 9) j;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': goes on') FROM own_views ORDER BY view::text;

-- What was damaged is mended; names that changed stay changed
DO $$ BEGIN EXECUTE format('UPDATE %s SET a2 = 17 WHERE k1 = 1', (SELECT state FROM own_views WHERE view = 'tumbling'::regclass)); END $$;
SELECT isnt_empty($$SELECT * FROM streamx.verify('tumbling')$$, 'a damaged state shows');
DELETE FROM before; INSERT INTO before SELECT 'whole', s.line FROM shown('whole') s (line);
ALTER VIEW tumbling RENAME COLUMN sum TO total;
ALTER FOREIGN TABLE kept RENAME COLUMN n TO number;
ALTER VIEW tumbling RENAME TO "Tumbled View";
CREATE VIEW over AS SELECT total FROM "Tumbled View" WHERE k = 1;
GRANT SELECT ON "Tumbled View" TO pg_monitor;
COMMENT ON VIEW "Tumbled View" IS 'mine';
PREPARE reading AS SELECT sum(total) FROM "Tumbled View";
EXECUTE reading;
SELECT streamx.rebuild('"Tumbled View"');
SELECT is_empty($$SELECT * FROM streamx.verify('"Tumbled View"')$$, 'and is mended');
EXECUTE reading;
SELECT is((SELECT sum(total) FROM over), (SELECT sum(total) FROM "Tumbled View" WHERE k = 1), 'a view over it stays');
SELECT ok(has_table_privilege('pg_monitor', '"Tumbled View"', 'SELECT') AND obj_description('"Tumbled View"'::regclass) = 'mine', 'and so do privileges and comment');

-- Rolled back, nothing has happened
BEGIN;
SELECT streamx.rebuild('whole', true);
INSERT INTO kept VALUES ('2024-05-01 12:00', 1, 5);
SELECT is_empty($$SELECT * FROM streamx.verify('whole')$$, 'within a transaction, too');
ROLLBACK;
SELECT bag_eq($$SELECT s.line FROM shown('whole') s (line)$$, 'SELECT line FROM before', 'what it showed before');
SELECT is_empty($$SELECT * FROM streamx.verify('whole')$$, 'is what it has');

-- Judged anew in greater batches, no row is late; windows that were removed stay removed
SELECT streamx.rebuild(view, rejudge => true) FROM own_views;
SELECT is_empty('TABLE own_late', 'all of them in one batch: no row is late');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': judged anew') FROM own_views ORDER BY view::text;
SELECT is((SELECT sum(count) FROM visits)::bigint, (SELECT count(*) FROM kept), 'all rows count');
SELECT is((SELECT min(lower(w)) FROM short), timestamptz '2024-05-01 10:40', 'but in windows that are removed');

-- What cannot be rebuilt
CREATE VIEW passing_sum WITH (streamx.continuous) AS SELECT sum(n) FROM passing;
CREATE VIEW discarding WITH (streamx.continuous, streamx.late_rows = 'discard') AS SELECT tumble(at, '10 minutes') AS w, sum(number) FROM kept GROUP BY 1;
SELECT streamx.rebuild('passing_sum');
SELECT streamx.rebuild('discarding');
SELECT streamx.rebuild('kept');
SELECT streamx.rebuild('over');
SELECT streamx.cancel_rebuild('whole');
SELECT is(streamx.rebuild('discarding', rejudge => true)::text, '', 'judged anew it can');
CREATE ROLE rebuilding_stranger;
GRANT USAGE ON SCHEMA rebuilding TO rebuilding_stranger;
SET ROLE rebuilding_stranger;
SELECT streamx.rebuild('whole');
SELECT streamx.cancel_rebuild('whole');
RESET ROLE;

-- As the view's owner, who may do nothing with what is inside
CREATE ROLE rebuilding_owner;
GRANT USAGE, CREATE ON SCHEMA rebuilding TO rebuilding_owner;
GRANT SELECT ON kept TO rebuilding_owner;
ALTER VIEW visits OWNER TO rebuilding_owner;
SET ROLE rebuilding_owner;
SELECT is(streamx.rebuild('visits')::text, '', 'its new owner rebuilds it');
SELECT is_empty($$SELECT * FROM streamx.verify('visits')$$, 'and reads it');
RESET ROLE;
CREATE TABLE parts AS SELECT unnest(ARRAY[state, definition_view, delta_view, rows_view, windows, trial_view, finals_view] || inputs || input_views)::oid AS part FROM own_views;
DROP FOREIGN TABLE kept, passing CASCADE;
SELECT is_empty('SELECT part FROM parts JOIN pg_class ON oid = part', 'dropped with all that it had');

-- A log that was not kept from the beginning would make another view
CREATE FOREIGN TABLE late_log (n int) SERVER streamx;
CREATE VIEW of_late_log WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM late_log;
INSERT INTO late_log SELECT generate_series(1, 10);
ALTER FOREIGN TABLE late_log OPTIONS (ADD retain 'on');
INSERT INTO late_log VALUES (100);
SELECT throws_like($$SELECT streamx.rebuild('of_late_log')$$, '%cannot be computed anew%', 'what was not kept cannot be rebuilt');
SELECT throws_like($$CREATE OR REPLACE VIEW of_late_log WITH (streamx.continuous) AS SELECT count(*), sum(n), max(n) FROM late_log$$, '%cannot be computed anew%', 'nor replaced');
SELECT results_eq('TABLE of_late_log', 'VALUES (11::bigint, 155::bigint)', 'the view stays as it was');
DROP FOREIGN TABLE late_log CASCADE;
DROP OWNED BY rebuilding_owner, rebuilding_stranger;
DROP ROLE rebuilding_owner, rebuilding_stranger;
SELECT finish();
