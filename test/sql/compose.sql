-- Windows of hop and cumulate, composed from slices when they are read
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET jit = off;
SELECT no_plan();

-- Given a view of windows of 3 minutes, one every minute, and a few rows
CREATE FOREIGN TABLE visits (page text, number int, amount numeric, ts timestamptz)
    SERVER streamx OPTIONS (event_time 'ts', retain 'on');
CREATE VIEW recent WITH (streamx.continuous) AS
    SELECT hop(ts, '3 minutes', '1 minute') AS w, page, count(*) AS n, sum(amount) AS total
    FROM visits
    GROUP BY 1, 2;
INSERT INTO visits VALUES
    ('tea',  1,  1, '2024-05-01 10:00:10'),
    ('tea',  2,  2, '2024-05-01 10:01:10'),
    ('milk', 3, 10, '2024-05-01 10:01:20'),
    ('tea',  4,  4, '2024-05-01 10:20:00');

-- Then each window has the rows in it, and windows without rows are left out
SELECT to_char(lower(w), 'HH24:MI') AS from, to_char(upper(w), 'HH24:MI') AS to, page, n, total
FROM recent
ORDER BY page, w;

-- Conditions on keys and window decide which slices are read, by the state's index
CREATE FUNCTION plan_of(statement text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || statement
    LOOP
        RETURN NEXT replace(regexp_replace(regexp_replace(line, 'v\d+_', 'v_', 'g'), '::timestamp with time zone', '', 'g'),
                            ':00+00', '');
    END LOOP;
END
$$;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT plan_of($$SELECT * FROM recent WHERE page = 'tea' AND w @> timestamptz '2024-05-01 10:01'$$);
SELECT plan_of($$SELECT n FROM recent WHERE lower(w) >= '2024-05-01 10:00' AND total > 1$$);
SELECT plan_of($$SELECT n FROM recent WHERE page IN ('tea', 'milk') OR page IS NULL$$);
SELECT plan_of($$SELECT n FROM recent WHERE page IN ('tea', 'milk') AND page IS NOT NULL AND page || '' = 'tea'$$);
RESET enable_seqscan;
RESET enable_bitmapscan;

-- Windows of all shapes, of rows in time, partly late, and late
CREATE TABLE shapes (name text, window_call text, lateness interval);
INSERT INTO shapes VALUES
    ('hop_short',      $$hop(ts, '10 minutes', '1 minute')$$, '5 minutes'),
    ('hop_uneven',     $$hop(ts, '7 minutes', '3 minutes')$$, '1 minute'),
    ('hop_gaps',       $$hop(ts, '2 minutes', '5 minutes')$$, '0'),
    ('hop_long',       $$hop(ts, '2 hours', '2 minutes')$$, '0'),
    ('hop_origin',     $$hop(ts, '1 hour', '20 minutes', '2024-01-01 00:07')$$, '0'),
    ('hop_days',       $$hop(ts, '2 days', '1 day', timezone => 'Europe/Berlin')$$, '1 day'),
    ('cumulate_hour',  $$cumulate(ts, '1 hour', '5 minutes')$$, '10 minutes'),
    ('cumulate_month', $$cumulate(ts, '1 month', '1 day', timezone => 'Europe/Berlin')$$, '1 day');
CREATE FOREIGN TABLE clicks (page text, shop int, price numeric, amount int, ts timestamptz)
    SERVER streamx OPTIONS (event_time 'ts', retain 'on');
CREATE TABLE click_rows (page text, shop int, price numeric, amount int, ts timestamptz, watermark timestamptz);

SET client_min_messages = error;     -- without the warning that one of them leaves gaps
DO $$
DECLARE
    shape shapes;
BEGIN
    FOR shape IN SELECT * FROM shapes
    LOOP
        EXECUTE format('CREATE VIEW %s WITH (streamx.continuous, streamx.allowed_lateness = %L) AS
                        SELECT %s AS w, page, shop, count(*) AS n, sum(amount) AS amounts, max(amount) AS most,
                               sum(price) AS prices, avg(price) AS price
                        FROM clicks GROUP BY 1, 2, 3', shape.name, shape.lateness, shape.window_call);
        -- plans are compared below: not by statistics that may come meanwhile
        EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = off)',
                       (SELECT state FROM streamx.views WHERE view = shape.name::regclass));
    END LOOP;
END
$$;
RESET client_min_messages;

-- Batches that go on by 13 minutes, over the night in which Berlin's clocks change; some rows are older
SELECT setseed(0.8);
DO $$
DECLARE
    watermark timestamptz;
BEGIN
    FOR batch IN 1 .. 60
    LOOP
        watermark := streamx.watermark('hop_short');
        WITH made AS (
            INSERT INTO click_rows
                SELECT CASE WHEN random() > 0.1 THEN 'page ' || (random() * 3)::int END, (random() * 2)::int,
                       (random() * 1000)::int / 10.0, (random() * 100)::int,
                       timestamptz '2024-03-30 20:00' + batch * CASE WHEN batch > 40 THEN 5 ELSE 1 END * interval '13 minutes'
                           - power(random(), 4) * interval '100 minutes'
                           - CASE WHEN random() < 0.02 THEN 2 ELSE 0 END * interval '1 day', watermark
                FROM generate_series(1, 30)
            RETURNING *)
        INSERT INTO clicks SELECT page, shop, price, amount, ts FROM made;
        COMMIT;
    END LOOP;
END
$$;
-- What windows there should be: the same query over the rows that each window accepted
DO $$
DECLARE
    shape shapes;
BEGIN
    FOR shape IN SELECT * FROM shapes
    LOOP
        EXECUTE format('CREATE TABLE batch_%s AS
                        SELECT w, page, shop, count(*) AS n, sum(amount) AS amounts, max(amount) AS most,
                               sum(price) AS prices, avg(price) AS price
                        FROM click_rows, LATERAL %s AS w
                        WHERE watermark IS NULL OR upper(w) + %L::interval > watermark
                        GROUP BY 1, 2, 3', shape.name, shape.window_call, shape.lateness);
    END LOOP;
END
$$;
SELECT cmp_ok(count(*) FILTER (WHERE counted), '>', 100::bigint, 'rows were partly late') FROM streamx.late_rows;

CREATE FUNCTION is_composed(shape text, condition text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    differences bigint;
BEGIN
    EXECUTE format('WITH composed AS MATERIALIZED (SELECT * FROM %1$s WHERE %2$s),
                         batch AS MATERIALIZED (SELECT * FROM batch_%1$s WHERE %2$s)
                    SELECT count(*)
                    FROM ((TABLE composed EXCEPT ALL TABLE batch) UNION ALL (TABLE batch EXCEPT ALL TABLE composed)) AS d',
                   shape, condition) INTO differences;
    RETURN CASE WHEN differences > 0 THEN format('%s WHERE %s: %s rows differ', shape, condition, differences) END;
END
$$;
SELECT is(is_composed(name, 'true'), NULL, 'windows of ' || window_call) FROM shapes;

-- Random conditions find the same windows
CREATE FUNCTION some_time(shape text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    result text;
BEGIN
    EXECUTE format($_$SELECT (CASE WHEN random() < 0.5 THEN lower(w) ELSE upper(w) END
                              + (ARRAY[interval '0', '1 us', '-1 us', '17 s', '3 min', '-3 h'])[1 + floor(random() * 6)])::text
                      FROM batch_%s ORDER BY random() LIMIT 1$_$, shape) INTO result;
    RETURN CASE WHEN random() < 0.05 THEN (ARRAY['infinity', '-infinity'])[1 + floor(random() * 2)] ELSE result END;
END
$$;

CREATE FUNCTION some_range(shape text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := CASE WHEN random() > 0.1 THEN some_time(shape) END;
    last timestamptz := CASE WHEN random() > 0.1 THEN some_time(shape) END;
    result text;
BEGIN
    IF random() < 0.1 THEN
        RETURN (ARRAY[$_$'empty'::tstzrange$_$, 'NULL::tstzrange'])[1 + floor(random() * 2)];
    ELSIF random() < 0.4 THEN
        EXECUTE format('SELECT quote_literal(w) || ''::tstzrange'' FROM batch_%s ORDER BY random() LIMIT 1', shape)
            INTO result;
        RETURN result;
    END IF;
    RETURN format('tstzrange(%L, %L, %L)', least(first, last), greatest(first, last),
                  (ARRAY['[)', '[]', '()', '(]'])[1 + floor(random() * 4)]);
END
$$;

CREATE FUNCTION some_condition(shape text, depth int DEFAULT 0) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    kind int := floor(random() * CASE WHEN depth > 2 THEN 8 ELSE 11 END);
    comparison text := (ARRAY['<', '<=', '=', '>=', '>', '<>'])[1 + floor(random() * 6)];
    relation text := (ARRAY['<', '<=', '=', '>=', '>', '&&', '<@', '@>', '<<', '>>', '&<', '&>', '-|-'])
                         [1 + floor(random() * 13)];
BEGIN
    RETURN CASE kind
        WHEN 0 THEN format('w %s %s', relation, some_range(shape))
        WHEN 1 THEN format('%s %s w', some_range(shape), relation)
        WHEN 2 THEN format('w @> timestamptz %L', some_time(shape))
        WHEN 3 THEN format('lower(w) %s %L', comparison, some_time(shape))
        WHEN 4 THEN format('%L %s upper(w)', some_time(shape), comparison)
        WHEN 5 THEN format('lower(w) = ANY (%L::timestamptz[])',
                           ARRAY[some_time(shape), some_time(shape), CASE WHEN random() < 0.8 THEN some_time(shape) END])
        WHEN 6 THEN (ARRAY[$_$page = 'page 1'$_$, $_$page > 'page 1'$_$, $_$page IN ('page 0', 'page 2', 'none')$_$,
                           'page IS NULL', 'page IS NOT NULL', $_$'page 2' >= page$_$, 'shop = 1', 'shop = 1::bigint',
                           'shop < 2', 'shop IN (0, NULL)', $_$page || '' = 'page 1'$_$, $_$page <> 'page 1'$_$,
                           'page = NULL', $_$lower(w) >= date '2024-03-31'$_$, $_$(page, shop) > ('page 1', 1)$_$,
                           $_$lower(w) < timestamp '2024-03-31 02:30'$_$, $_$page LIKE 'page 1%'$_$, 'n > 2'])
                        [1 + floor(random() * 18)]
        WHEN 7 THEN format('page = %L AND shop = %s', 'page ' || (random() * 3)::int, (random() * 2)::int)
        WHEN 8 THEN format('(%s OR %s)', some_condition(shape, depth + 1), some_condition(shape, depth + 1))
        WHEN 9 THEN format('NOT (%s)', some_condition(shape, depth + 1))
        ELSE format('(%s AND %s)', some_condition(shape, depth + 1), some_condition(shape, depth + 1))
    END;
END
$$;
SELECT is(string_agg(is_composed(name, some_condition(name)), E'\n'), NULL, 'conditions on ' || window_call)
FROM shapes, generate_series(1, 50)
GROUP BY name, window_call
ORDER BY name;

-- The same with values in parameters of plans that do not know them
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['hop_short', 'batch_hop_short', 'cumulate_hour', 'batch_cumulate_hour']
    LOOP
        EXECUTE format($_$
            CREATE FUNCTION found_in_%1$s(r tstzrange, p text, s int) RETURNS TABLE (kind text, at tstzrange, count bigint)
            LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $body$
            BEGIN
                RETURN QUERY SELECT '=', w, n FROM %1$s WHERE w = r AND page = p;
                RETURN QUERY SELECT '&&', w, n FROM %1$s WHERE w && r AND shop = s;
                RETURN QUERY SELECT '@>', w, n FROM %1$s WHERE w @> lower(r);
                RETURN QUERY SELECT 'upper', w, n FROM %1$s WHERE upper(w) <= upper(r) AND page = p AND shop = s;
                RETURN QUERY SELECT 'any', w, n FROM %1$s WHERE lower(w) = ANY (ARRAY[lower(r), upper(r)]);
                RETURN QUERY SELECT 'key', w, n FROM %1$s WHERE page = ANY (ARRAY[p, 'page 0']) AND shop <= s;
            END
            $body$ $_$, relation);
    END LOOP;
END
$$;
CREATE TABLE some_values (r tstzrange, p text, s int);
DO $$
BEGIN
    FOR i IN 1 .. 40
    LOOP
        EXECUTE format('INSERT INTO some_values VALUES (%s, %L, %s)', some_range('hop_short'),
                       CASE WHEN random() > 0.1 THEN 'page ' || (random() * 3)::int END, (random() * 2)::int);
    END LOOP;
END
$$;
CREATE FUNCTION found_in(relation text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format('SELECT (v, f)::text FROM some_values AS v, found_in_%s(r, p, s) AS f', relation);
END
$$;
SELECT is_empty($$(SELECT found_in('hop_short') EXCEPT ALL SELECT found_in('batch_hop_short')) UNION ALL
                  (SELECT found_in('batch_hop_short') EXCEPT ALL SELECT found_in('hop_short'))$$, 'generic plans of hop');
SELECT is_empty($$(SELECT found_in('cumulate_hour') EXCEPT ALL SELECT found_in('batch_cumulate_hour')) UNION ALL
                  (SELECT found_in('batch_cumulate_hour') EXCEPT ALL SELECT found_in('cumulate_hour'))$$,
                'generic plans of cumulate');

-- Joins give keys to a nested loop; the scan starts anew for each
CREATE TABLE pages (page text, shop int, owner text);
INSERT INTO pages VALUES ('page 1', 1, 'Ann'), ('page 2', 0, 'Bob'), (NULL, 1, 'Cid'), ('page 1', 2, 'Dan'), ('none', 1, 'Eve');
ANALYZE pages;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_memoize = off;
SET enable_material = off;
SET enable_bitmapscan = off;
-- A range made of a key is not the window
CREATE FOREIGN TABLE events (ts timestamptz, g timestamptz) SERVER streamx OPTIONS (event_time 'ts', retain 'on');
CREATE VIEW with_range WITH (streamx.continuous) AS
    SELECT hop(ts, '10 minutes', '5 minutes') AS w, g, streamx.tumble_range(g, '1 hour') AS hour, count(*) AS n FROM events GROUP BY 1, g;
INSERT INTO events SELECT timestamptz '2025-01-01 10:00Z' + i * interval '1 minute', timestamptz '2020-01-01Z' + i % 4 * interval '1 hour' FROM generate_series(0, 59) AS i;
SELECT results_eq($$SELECT count(*) FROM with_range WHERE hour @> timestamptz '2020-01-01 01:00Z'$$,
                  $$SELECT count(*) FILTER (WHERE hour @> timestamptz '2020-01-01 01:00Z') FROM with_range$$, 'a condition on it reads all windows');
SELECT results_eq($$SELECT count(*) FROM with_range WHERE lower(hour) = '2020-01-01 01:00Z' AND w @> timestamptz '2025-01-01 10:30Z'$$,
                  $$SELECT count(*) FILTER (WHERE lower(hour) = '2020-01-01 01:00Z' AND w @> timestamptz '2025-01-01 10:30Z') FROM with_range$$, 'or those of its own');
DROP FOREIGN TABLE events CASCADE;
-- (which side of = comes first differs between versions)
SELECT line FROM plan_of($$SELECT owner, n FROM pages JOIN hop_short USING (page, shop)$$) AS line WHERE line !~ 'Filter';
RESET enable_bitmapscan;
SELECT results_eq(
    $$SELECT owner, count(n), sum(n) FROM pages LEFT JOIN hop_short USING (page, shop) GROUP BY 1 ORDER BY 1$$,
    $$SELECT owner, count(n), sum(n) FROM pages LEFT JOIN batch_hop_short USING (page, shop) GROUP BY 1 ORDER BY 1$$,
    'a join on keys');
SELECT results_eq(
    $$SELECT owner, (SELECT sum(n) FROM hop_short AS v WHERE v.page = p.page AND lower(w) = '2024-03-31 02:00')
      FROM pages AS p ORDER BY 1$$,
    $$SELECT owner, (SELECT sum(n) FROM batch_hop_short AS v WHERE v.page = p.page AND lower(w) = '2024-03-31 02:00')
      FROM pages AS p ORDER BY 1$$,
    'a subquery for each row');
SELECT results_eq(
    $$SELECT t, v.n FROM generate_series(timestamptz '2024-03-30 20:00', '2024-03-31 10:00', '1 hour') AS t,
             LATERAL (SELECT count(*) AS n FROM cumulate_hour WHERE w @> t OFFSET 0) AS v$$,
    $$SELECT t, v.n FROM generate_series(timestamptz '2024-03-30 20:00', '2024-03-31 10:00', '1 hour') AS t,
             LATERAL (SELECT count(*) AS n FROM batch_cumulate_hour WHERE w @> t OFFSET 0) AS v$$,
    'windows for each row');
SELECT results_eq(
    $$SELECT count(*), sum(a.n * b.n) FROM hop_days AS a JOIN hop_days AS b USING (w, page)$$,
    $$SELECT count(*), sum(a.n * b.n) FROM batch_hop_days AS a JOIN batch_hop_days AS b USING (w, page)$$,
    'a view with itself');
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_memoize;
RESET enable_material;

-- A LIMIT reads few slices, and a slice is combined a few times, however many windows it is in
CREATE FUNCTION counted(statement text, what text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    plan jsonb;
BEGIN
    EXECUTE 'EXPLAIN (ANALYZE, TIMING off, FORMAT json) ' || statement INTO plan;
    RETURN jsonb_path_query_first(plan, format('strict $.**?(@."Node Type" == "Foreign Scan")."%s"', what)::jsonpath)::numeric; -- 18: 2.00
END
$$;
CREATE VIEW steady WITH (streamx.continuous) AS
    SELECT hop(ts, '10 hours', '1 minute') AS w, count(*) AS n, sum(number) AS numbers
    FROM visits
    GROUP BY 1;
INSERT INTO visits (number, ts)
    SELECT n, timestamptz '2024-06-01' + n * interval '1 minute' FROM generate_series(0, 1999) AS n;
SELECT is(counted($$SELECT * FROM steady WHERE lower(w) >= '2024-05-31'$$, 'Slices Read'), 2000::bigint, 'slices');
SELECT is(counted($$SELECT * FROM steady WHERE lower(w) >= '2024-05-31'$$, 'Actual Rows'), 2599::bigint, 'windows');
SELECT cmp_ok(counted($$SELECT * FROM steady WHERE lower(w) >= '2024-05-31'$$, 'States Combined'), '<',
              2 * (3 * 2000 + 2599)::bigint, 'combinations of two states');
SELECT is(counted($$SELECT n FROM steady WHERE lower(w) = '2024-06-01 10:00'$$, 'Slices Read'), 600::bigint,
          'slices of one window');
SELECT is(counted($$SELECT n FROM steady WHERE lower(w) = '2024-06-01 10:00'$$, 'States Combined'), 599::bigint,
          'combinations for it');
SET enable_sort = off;
SELECT cmp_ok(counted($$SELECT * FROM steady WHERE lower(w) >= '2024-06-01' LIMIT 1$$, 'Slices Read'), '<', 700::bigint,
              'slices read for a LIMIT');
RESET enable_sort;

-- Keys of equal value are one group, whatever their bytes; timestamps without zone and dates; no key; HAVING; no aggregate
CREATE FOREIGN TABLE measures (sensor numeric, tag text COLLATE "C", value int, at timestamp)
    SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW by_sensor WITH (streamx.continuous) AS
    SELECT hop(at, '2 hours', '1 hour') AS w, sensor, tag, sum(value) AS total
    FROM measures
    GROUP BY 1, 2, 3
    HAVING sum(value) > 1;
CREATE VIEW by_day WITH (streamx.continuous) AS
    SELECT cumulate(at, '3 days', '1 day') AS w, count(*) AS n
    FROM measures
    GROUP BY 1;
CREATE VIEW no_aggregate WITH (streamx.continuous) AS
    SELECT hop(at, '2 hours', '1 hour') AS w, tag
    FROM measures
    GROUP BY 1, 2;
INSERT INTO measures VALUES
    (1.0,  'a',  1, '2024-05-01 10:10'),
    (1.00, 'a',  2, '2024-05-01 11:10'),
    (2,    NULL, 2, '2024-05-01 11:20'),
    (1,    'B',  7, '2024-05-03 10:00');
SELECT w, sensor::float, tag, total FROM by_sensor ORDER BY tag, w;
SELECT w, tag, total FROM by_sensor WHERE sensor = 1.000 AND w @> timestamp '2024-05-01 11:30' ORDER BY w;
SELECT w, tag FROM by_sensor WHERE tag < 'a' AND lower(w) >= date '2024-05-03' ORDER BY w;
SELECT w, n FROM by_day ORDER BY w;
SELECT w, tag FROM no_aggregate WHERE w && tsrange('2024-05-01', '2024-05-02') ORDER BY w, tag;

-- A transaction sees its own rows
BEGIN;
INSERT INTO measures VALUES (1, 'a', 100, '2024-05-03 10:30');
SELECT w, total FROM by_sensor WHERE tag = 'a' AND lower(w) >= '2024-05-03' ORDER BY w;
ROLLBACK;

-- Cursors go on after a subtransaction that fetched from them was rolled back
BEGIN;
DECLARE windows CURSOR FOR SELECT page, n FROM recent WHERE w < tstzrange('2024-05-02', NULL) ORDER BY page, w;
DECLARE unsorted CURSOR FOR SELECT upper(w), n FROM steady WHERE lower(w) >= '2024-06-01';
SAVEPOINT before;
FETCH 1 FROM windows;
FETCH 1 FROM unsorted;
ROLLBACK TO before;
FETCH 1 FROM windows;
MOVE 998 FROM unsorted;
FETCH 1 FROM unsorted;
COMMIT;

-- Whoever may read the view reads it, nobody else, and nobody writes
CREATE ROLE compose_reader;
GRANT SELECT ON recent TO compose_reader;
SELECT 'streamx_internal.' || relname AS windows
FROM streamx.views JOIN pg_class AS c ON c.oid = windows
WHERE view = 'recent'::regclass \gset
SET ROLE compose_reader;
SELECT count(*) FROM recent WHERE page = 'tea' AND w @> timestamptz '2024-05-01 10:01';
RESET ROLE;
SELECT has_table_privilege('compose_reader', :'windows', 'SELECT') AS "may read the foreign table",
       has_server_privilege('compose_reader', 'streamx_windows', 'USAGE') AS "may use its server";
SELECT count(*) FROM (SELECT n FROM recent WHERE page = 'tea' FOR UPDATE) AS locked;
SELECT throws_ok('DELETE FROM ' || :'windows', '0A000', NULL, 'windows cannot be deleted');
SELECT throws_ok('INSERT INTO ' || :'windows' || ' (k1) VALUES (1)', '0A000', NULL, 'nor inserted');
SELECT throws_ok('UPDATE recent SET n = 1', '42809', 'the rows of continuous view "recent" cannot be changed', 'nor updated');

-- A foreign table without its view says so
CREATE FOREIGN TABLE orphan (k1 int, window_start timestamptz, window_end timestamptz) SERVER streamx_windows;
SELECT throws_ok('SELECT * FROM orphan', '42704', 'foreign table "orphan" belongs to no continuous view', 'an orphan');

-- Windows that retention removed are not there, though slices of theirs are
CREATE FOREIGN TABLE doors (ts timestamptz) SERVER streamx OPTIONS (event_time 'ts', retain 'on');
CREATE VIEW opened WITH (streamx.continuous, streamx.retention = '1 hour') AS
    SELECT hop(ts, '30 minutes', '10 minutes') AS w, count(*) AS n
    FROM doors
    GROUP BY 1;
INSERT INTO doors VALUES ('2024-06-05 11:35'), ('2024-06-05 11:55'), ('2024-06-05 12:00');
SELECT w, n FROM opened ORDER BY w;
INSERT INTO doors VALUES ('2024-06-05 13:10');
SELECT w, n FROM opened ORDER BY w;
SELECT w, n FROM opened WHERE w @> timestamptz '2024-06-05 12:00' AND upper(w) < '2024-06-05 12:30' ORDER BY w;

SELECT * FROM finish();

DROP FOREIGN TABLE orphan;
DROP VIEW recent, steady, opened, by_sensor, by_day, no_aggregate, hop_short, hop_uneven, hop_gaps, hop_long, hop_origin,
          hop_days, cumulate_hour, cumulate_month;
DROP FOREIGN TABLE visits, clicks, measures, doors;
DROP TABLE shapes, click_rows, pages, some_values, batch_hop_short, batch_hop_uneven, batch_hop_gaps, batch_hop_long,
           batch_hop_origin, batch_hop_days, batch_cumulate_hour, batch_cumulate_month;
DROP FUNCTION plan_of, is_composed, some_time, some_range, some_condition, found_in, found_in_hop_short,
              found_in_batch_hop_short, found_in_cumulate_hour, found_in_batch_cumulate_hour, counted;
DROP ROLE compose_reader;
