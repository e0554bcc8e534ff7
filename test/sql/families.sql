-- Views of one stream that differ in their aggregates alone are computed together
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA families;
SET search_path = families, public;
CREATE FOREIGN TABLE s (t timestamptz, k text, n int, x numeric) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE TABLE names (k text, a text, b text);
INSERT INTO names VALUES ('a', 'A', 'one'), ('b', 'B', 'two');
-- tells how often it is asked
CREATE FUNCTION seen(n int) RETURNS bool STABLE LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'row %', n; RETURN true; END$$;
CREATE FUNCTION wrong() RETURNS TABLE (view text, difference text, "row" jsonb) LANGUAGE plpgsql AS $$
DECLARE v regclass;
BEGIN
	FOR v IN SELECT x.view FROM streamx.views x JOIN pg_class c ON c.oid = x.view WHERE relnamespace = 'families'::regnamespace LOOP
		RETURN QUERY SELECT v::text, d.* FROM streamx.verify(v) d;
	END LOOP;
END
$$;
SELECT * FROM no_plan();

CREATE VIEW counted WITH (streamx.continuous) AS SELECT k, tumble(t, '5 min') AS w, count(*) FROM s WHERE seen(n) GROUP BY 1, 2;
CREATE VIEW summed WITH (streamx.continuous) AS SELECT tumble(t, '5 min') AS w, k, sum(n), count(*), stddev(x) FROM s WHERE seen(n) GROUP BY k, 1 HAVING count(*) > 1;
CREATE VIEW distinct_ones WITH (streamx.continuous) AS SELECT k AS key, tumble(t, '5 min') AS w, max(x), count(x) + 1 AS more FROM s WHERE seen(n) GROUP BY 1, 2;
\echo one row of a batch is looked at once, though three views count it
INSERT INTO s VALUES ('2026-03-01 10:01', 'a', 1, 1), ('2026-03-01 10:02', 'a', 2, 2.5);
SET client_min_messages = error;
SELECT results_eq('SELECT key, c.count, sum, s.count, max, more FROM counted c JOIN summed s USING (k, w) JOIN distinct_ones d ON (key, d.w) = (k, c.w)',
	$$VALUES ('a', 2::bigint, 3::bigint, 2::bigint, 2.5, 3::bigint)$$, 'each has its own');
-- other keys, windows, conditions, lateness, settings: other families, and all of them at once
CREATE VIEW by_name WITH (streamx.continuous) AS SELECT a, hop(t, '10 min', '5 min') AS w, count(*) FROM s JOIN names USING (k) GROUP BY 1, 2;
CREATE VIEW by_name_2 WITH (streamx.continuous) AS SELECT a, hop(t, '10 min', '5 min') AS w, max(b), sum(n) FROM s JOIN names USING (k) GROUP BY 1, 2;
CREATE VIEW later WITH (streamx.continuous, streamx.allowed_lateness = '20 min') AS SELECT a, hop(t, '10 min', '5 min') AS w, max(b), sum(n) FROM s JOIN names USING (k) GROUP BY 1, 2;
CREATE VIEW visits WITH (streamx.continuous) AS SELECT k, session(t, '3 min') AS w, count(*) FROM s GROUP BY 1, 2;
CREATE VIEW visits_2 WITH (streamx.continuous) AS SELECT k, session(t, '3 min') AS w, sum(n), count(DISTINCT n), array_agg(x ORDER BY n) FROM s GROUP BY 1, 2;
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*) FROM s;
CREATE VIEW total_2 WITH (streamx.continuous) AS SELECT sum(x), avg(x), count(DISTINCT n) FROM s;
SELECT setseed(0.3);
INSERT INTO s SELECT '2026-03-01 10:00'::timestamptz + random() * interval '30 min', CASE i % 4 WHEN 0 THEN 'a' WHEN 1 THEN 'b' WHEN 2 THEN 'c' END, i % 7, i % 5 FROM generate_series(1, 200) i;
INSERT INTO s SELECT '2026-03-01 10:15'::timestamptz + random() * interval '30 min', CASE i % 4 WHEN 0 THEN 'a' WHEN 1 THEN 'b' WHEN 2 THEN 'c' END, i % 7, i % 5 FROM generate_series(1, 200) i;
SELECT ok(count(*) FILTER (WHERE counted) > 0 AND count(*) FILTER (WHERE NOT counted) > 0, 'some rows were late, some partly')
FROM streamx.late_rows WHERE stream = 's'::regclass;
SELECT results_eq($$SELECT count(*) FROM streamx.late_rows WHERE view = 'visits'::regclass$$,
	$$SELECT count(*) FROM streamx.late_rows WHERE view = 'visits_2'::regclass$$, 'the same for all of a family');
SELECT is_empty('SELECT * FROM wrong()', 'each view is its own query');

-- A view that is renamed, dropped, or made while others run
ALTER VIEW counted RENAME TO counted_2;
DROP VIEW by_name_2;
CREATE VIEW by_name_3 WITH (streamx.continuous) AS SELECT a, hop(t, '10 min', '5 min') AS w, min(n) FROM s JOIN names USING (k) GROUP BY 1, 2;
INSERT INTO s SELECT '2026-03-01 11:00'::timestamptz + random() * interval '30 min', CASE i % 4 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END, i % 7, i % 5 FROM generate_series(1, 100) i;
SELECT is_empty('SELECT * FROM wrong()', 'still');

-- A row that one of them cannot take is refused to that one only
CREATE FOREIGN TABLE bad (k text, n int, x int) SERVER streamx OPTIONS (retain 'on', on_error 'dead_letter');
CREATE VIEW fine WITH (streamx.continuous) AS SELECT k, count(*) FROM bad GROUP BY k;
CREATE VIEW not_fine WITH (streamx.continuous) AS SELECT k, sum(100 / n) FROM bad GROUP BY k;
CREATE VIEW fine_2 WITH (streamx.continuous) AS SELECT k, max(n) FROM bad GROUP BY k;
INSERT INTO bad VALUES ('a', 1), ('a', 0), ('b', 2);
SELECT results_eq('SELECT k, count, sum, max FROM fine JOIN not_fine USING (k) JOIN fine_2 USING (k) ORDER BY k',
	$$VALUES ('a', 2::bigint, 100::bigint, 1), ('b', 1, 50, 2)$$, 'the others have it');
SELECT results_eq($$SELECT view::text, sqlstate FROM streamx.dead_letters WHERE stream = 'bad'::regclass$$, $$VALUES ('not_fine', '22012')$$, 'it is a dead letter of one');

-- A writer is told all of them: it is not known which one's error it is
CREATE FOREIGN TABLE strict (k text, n int) SERVER streamx;
CREATE VIEW easy WITH (streamx.continuous) AS SELECT k, count(*) FROM strict GROUP BY k;
CREATE VIEW hard WITH (streamx.continuous) AS SELECT k, sum(100 / n) FROM strict GROUP BY k;
DO $$
DECLARE context text;
BEGIN
	INSERT INTO strict VALUES ('a', 0);
	PERFORM FROM easy;
EXCEPTION WHEN division_by_zero THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	CREATE TABLE told AS SELECT context;
END
$$;
SELECT matches(context, 'one of continuous views "easy", "hard"', 'the error names both') FROM told;

-- The first may have no aggregate, and no subquery
CREATE FOREIGN TABLE mixed (k text, n int) SERVER streamx OPTIONS (retain 'on');
CREATE TABLE factors (k text, factor int);
INSERT INTO factors VALUES ('a', 10), ('b', 100);
CREATE VIEW mixed_keys WITH (streamx.continuous) AS SELECT k FROM mixed GROUP BY k;
CREATE VIEW mixed_sums WITH (streamx.continuous) AS SELECT k, sum(n) FROM mixed GROUP BY k;
CREATE VIEW mixed_subqueries WITH (streamx.continuous) AS
	SELECT k, sum(n * (SELECT factor FROM factors f WHERE f.k = mixed.k)), array_agg((SELECT max(factor) FROM factors)) FROM mixed GROUP BY k;
INSERT INTO mixed VALUES ('a', 1), ('b', 2), ('a', 3);
SELECT results_eq('SELECT k, s.sum, q.sum, array_agg FROM mixed_keys JOIN mixed_sums s USING (k) JOIN mixed_subqueries q USING (k) ORDER BY k',
	$$VALUES ('a', 4::bigint, 40::bigint, '{100,100}'::int[]), ('b', 2, 200, '{100}')$$, 'keys, sums and subqueries');

-- Views that have more columns together than a query may have are not computed together
CREATE FOREIGN TABLE broad (k text, n int) SERVER streamx OPTIONS (retain 'on');
DO $$ BEGIN
	FOR v IN 1..3 LOOP
		EXECUTE format('CREATE VIEW broad_%s WITH (streamx.continuous) AS SELECT k, %s FROM broad GROUP BY k', v, (SELECT string_agg(format('max(n + %s) AS m%1$s', i), ', ') FROM generate_series(1, 700) i));
	END LOOP;
END $$;
INSERT INTO broad VALUES ('a', 1), ('a', 2);
SELECT results_eq('SELECT a.m1, b.m2, c.m700 FROM broad_1 a, broad_2 b, broad_3 c', 'VALUES (3, 4, 702)', 'too many for one query');
DROP FOREIGN TABLE broad CASCADE;

-- Columns that only one of them reads are checked
CREATE ROLE family_owner;
GRANT USAGE, CREATE ON SCHEMA families TO family_owner;
GRANT USAGE ON FOREIGN SERVER streamx TO family_owner;
GRANT SELECT (k, a, b) ON names TO family_owner;
SET ROLE family_owner;
CREATE FOREIGN TABLE own (k text) SERVER streamx;
CREATE VIEW own_1 WITH (streamx.continuous) AS SELECT own.k, min(a) FROM own JOIN names ON names.k = own.k GROUP BY 1;
CREATE VIEW own_2 WITH (streamx.continuous) AS SELECT own.k, min(b) FROM own JOIN names ON names.k = own.k GROUP BY 1;
INSERT INTO own VALUES ('a');
SELECT results_eq('SELECT o.min, t.min FROM own_1 o JOIN own_2 t USING (k)', $$VALUES ('A', 'one')$$, 'a column each');
RESET ROLE;
REVOKE SELECT (b) ON names FROM family_owner;
SET ROLE family_owner;
SELECT throws_ok($$INSERT INTO own VALUES ('a'); SELECT * FROM own_1$$, '42501', NULL, 'no longer');
RESET ROLE;
DROP SCHEMA families CASCADE;
REVOKE USAGE ON FOREIGN SERVER streamx FROM family_owner;
DROP ROLE family_owner;
SELECT * FROM finish();
