-- Conditions on a view's window column use the index on slice_start
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET jit = off;      -- scans that are switched off cost enough to be compiled
SELECT no_plan();

-- A state table as streamx makes them, and a view as users see it: 1000 windows of 5 minutes for 100 keys
CREATE TABLE streamx_internal.pushdown_state (k1 text, slice_start timestamptz, a1 bigint);
CREATE UNIQUE INDEX ON streamx_internal.pushdown_state (k1, slice_start) NULLS NOT DISTINCT;
CREATE INDEX pushdown_slice ON streamx_internal.pushdown_state (slice_start);
INSERT INTO streamx_internal.pushdown_state
    SELECT 'k' || key, timestamptz '2024-05-01' + number * interval '5 minutes', number
    FROM generate_series(0, 999) AS number, generate_series(0, 99) AS key;
ANALYZE streamx_internal.pushdown_state;
CREATE VIEW revenue AS
    SELECT streamx.tumble_range(slice_start, '5 minutes') AS w, k1 AS category, a1 AS total
    FROM streamx_internal.pushdown_state;

-- The index conditions of a query on the view, and how many rows the planner expects
CREATE FUNCTION conditions_of(statement text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || statement
    LOOP
        IF line LIKE '%Index Cond:%' THEN
            result := result || regexp_replace(line, '^ *Index Cond: ', '');
        END IF;
    END LOOP;
    RETURN replace(replace(result, '::timestamp with time zone', ''), ':00+00', '');
END
$$;

CREATE FUNCTION index_conditions(condition text) RETURNS text
LANGUAGE sql RETURN conditions_of('SELECT * FROM revenue WHERE ' || condition);

CREATE FUNCTION expected_rows(condition text) RETURNS int
LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT json) SELECT * FROM revenue WHERE ' || condition INTO plan;
    RETURN plan -> 0 -> 'Plan' -> 'Plan Rows';
END
$$;

-- Each kind of condition reaches the index
SELECT index_conditions($$w = tumble(timestamptz '2024-05-01 10:02', '5 minutes')$$);
SELECT index_conditions($$tumble(timestamptz '2024-05-01 10:02', '5 minutes') = w$$);
SELECT index_conditions($$w @> timestamptz '2024-05-01 10:02'$$);
SELECT index_conditions($$timestamptz '2024-05-01 10:02' <@ w$$);
SELECT index_conditions($$lower(w) = '2024-05-01 10:00'$$);
SELECT index_conditions($$lower(w) >= '2024-05-01 10:00' AND lower(w) < '2024-05-01 10:15'$$);
SELECT index_conditions($$'2024-05-01 10:00' > lower(w) AND category = 'k1'$$);
SELECT index_conditions($$lower(w) = ANY ('{2024-05-01 10:00, 2024-05-01 10:05}')$$);
SELECT index_conditions($$lower(w) >= date '2024-05-04'$$);
SELECT index_conditions($$upper(w) <= '2024-05-01 10:00' AND upper(w) > '2024-05-01 09:50'$$);
SELECT index_conditions($$w && tstzrange('2024-05-01 10:02', '2024-05-01 10:20')$$);
SELECT index_conditions($$w <@ tstzrange('2024-05-01 10:02', '2024-05-01 10:20')$$);
SELECT index_conditions($$w @> tstzrange('2024-05-01 10:02', '2024-05-01 10:04')$$);
SELECT index_conditions($$w << tstzrange('2024-05-01 00:30', NULL)$$);
SELECT index_conditions($$w >> tstzrange(NULL, '2024-05-04 10:00')$$);
SELECT index_conditions($$w &< tstzrange('2024-05-01 00:10', '2024-05-01 00:30')$$);
SELECT index_conditions($$w &> tstzrange('2024-05-04 10:00', NULL)$$);
SELECT index_conditions($$w >= tumble(timestamptz '2024-05-04 10:00', '5 minutes')$$);
SELECT index_conditions($$w < tumble(timestamptz '2024-05-01 00:10', '5 minutes')$$);
SELECT index_conditions($$w @> timestamptz '2024-05-01 10:02' OR lower(w) = '2024-05-01'$$);

-- What is not known before the scan, or would be no gain, does not
SELECT is(index_conditions($$w @> timestamptz '2024-05-01' + total * interval '1 minute'$$), '',
          'a condition on another column');
SELECT is(index_conditions($$lower(w) > clock_timestamp()$$), '', 'a volatile function');
SELECT is(index_conditions($$w @> timestamptz '2024-05-01 10:02' OR total = 7$$), '',
          'an OR with something else');
SELECT is(index_conditions($$w <> tumble(timestamptz '2024-05-01 10:02', '5 minutes')$$), '', 'not equal');
SELECT is(index_conditions($$NOT w @> timestamptz '2024-05-01 10:02'$$), '', 'does not contain');

-- now() does, and so does a subquery that is computed first
SELECT ok(index_conditions($$lower(w) > now() - interval '1 hour'$$) LIKE '(slice_start > (now()%',
          'a stable function is computed once');
SELECT ok(index_conditions($$w @> (SELECT max(lower(w)) FROM revenue)$$) LIKE '%(slice_start <= %',
          'a subquery is computed once');

-- The planner expects what comes
SELECT ok(expected_rows($$w = tumble(timestamptz '2024-05-01 10:02', '5 minutes')$$)
          BETWEEN 50 AND 200, 'rows of one window');
SELECT ok(expected_rows($$lower(w) >= '2024-05-01 10:00' AND upper(w) <= '2024-05-01 11:00'$$)
          BETWEEN 800 AND 1600, 'rows of an hour');

-- Prepared statements, with plans that know the value and with plans that do not
PREPARE total_at(timestamptz) AS SELECT sum(total) FROM revenue WHERE w @> $1;
SET plan_cache_mode = force_generic_plan;
SET enable_bitmapscan = off;
SELECT conditions_of($$EXECUTE total_at('2024-05-01 00:10')$$);
RESET enable_bitmapscan;
EXECUTE total_at('2024-05-01 00:10');
EXECUTE total_at('2024-05-01 00:14:59.999999');
EXECUTE total_at('infinity');
EXECUTE total_at(NULL);
PREPARE total_in(tstzrange) AS SELECT sum(total) FROM revenue WHERE w && $1 AND category = 'k1';
EXECUTE total_in('[2024-05-01 00:10, 2024-05-01 00:15]');
EXECUTE total_in('empty');
EXECUTE total_in('(,)');
EXECUTE total_in(NULL);
RESET plan_cache_mode;

-- A role that may only SELECT the view gets the same plan
CREATE ROLE pushdown_reader;
GRANT SELECT ON revenue TO pushdown_reader;
SET ROLE pushdown_reader;
SELECT count(*) FROM revenue WHERE w = tstzrange('2024-05-01 10:00', '2024-05-01 10:05');
RESET ROLE;

-- Locking and the nullable side of an outer join
SELECT count(*) FROM (SELECT * FROM revenue WHERE lower(w) = '2024-05-01 10:00' FOR UPDATE) AS locked;
SELECT t.at, count(total)
FROM (VALUES (timestamptz '2024-05-01 10:00'), ('2023-01-01')) AS t (at)
     LEFT JOIN revenue ON lower(w) = t.at AND w && tstzrange('2024-05-01 10:00', '2024-05-01 10:20')
GROUP BY 1 ORDER BY 1;

SELECT count(*)
FROM (SELECT * FROM revenue UNION ALL SELECT * FROM revenue) AS twice
WHERE upper(w) = '2024-05-01 10:00';

-- Thousands of random conditions find the same rows with and without the
-- index.  The slices are few and extreme, the bounds fall on them and beside
-- them.
SELECT setseed(0.9);
CREATE TABLE streamx_internal.pushdown_random (id int, slice_start timestamptz);
CREATE INDEX ON streamx_internal.pushdown_random (slice_start);
INSERT INTO streamx_internal.pushdown_random (id, slice_start)
    SELECT row_number() OVER (), at
    FROM (SELECT timestamptz '2024-05-01' + n * interval '1 hour' FROM generate_series(-20, 20) AS n
          UNION ALL VALUES (timestamptz '4714-11-24 BC'), ('4714-11-24 01:00 BC'),
                           ('294276-12-31 21:00'), ('294276-12-31 22:00')) AS slice (at);
CREATE VIEW random_view AS
    SELECT id, streamx.tumble_range(slice_start, '1 hour') AS w
    FROM streamx_internal.pushdown_random;

CREATE FUNCTION random_time() RETURNS text
LANGUAGE sql AS $$
    SELECT CASE (random() * 20)::int
               WHEN 0 THEN 'infinity'
               WHEN 1 THEN '-infinity'
               WHEN 2 THEN '4714-11-24 00:' || lpad((random() * 59)::int::text, 2, '0') || ' BC'
               WHEN 3 THEN '294276-12-31 22:' || lpad((random() * 59)::int::text, 2, '0')
               WHEN 4 THEN '294276-12-31 23:59:59.999999'
               ELSE (timestamptz '2024-05-01' + (random() * 80 - 40)::int * interval '30 minutes'
                     + (random() * 2 - 1)::int * interval '1 microsecond')::text
           END
$$;

CREATE FUNCTION random_range() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    first timestamptz := CASE WHEN random() > 0.1 THEN random_time() END;
    last timestamptz := CASE WHEN random() > 0.1 THEN random_time() END;
    swapped timestamptz := first;
BEGIN
    IF random() < 0.05 THEN
        RETURN $_$'empty'::tstzrange$_$;
    ELSIF random() < 0.03 THEN
        RETURN 'NULL::tstzrange';
    ELSIF first > last THEN
        first := last;
        last := swapped;
    END IF;
    RETURN format('tstzrange(%L, %L, %L)', first, last,
                  (ARRAY['[)', '[]', '()', '(]'])[1 + floor(random() * 4)]);
END
$$;

CREATE FUNCTION random_condition() RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    kind int := floor(random() * 10);
    comparison text := (ARRAY['<', '<=', '=', '>=', '>'])[1 + floor(random() * 5)];
BEGIN
    IF kind <= 4 THEN
        RETURN format(CASE WHEN random() < 0.5 THEN 'w %1$s %2$s' ELSE '%2$s %1$s w' END,
                      (ARRAY['<', '<=', '=', '>=', '>', '&&', '<@', '@>', '<<', '>>', '&<', '&>'])
                          [1 + floor(random() * 12)],
                      random_range());
    ELSIF kind = 5 THEN
        RETURN format('w @> timestamptz %L', random_time());
    ELSIF kind = 6 THEN
        RETURN format('lower(w) %s %L', comparison, random_time());
    ELSIF kind = 7 THEN
        RETURN format('%L %s upper(w)', random_time(), comparison);
    ELSIF kind = 8 THEN
        RETURN format('(%s OR %s)', random_condition(), random_condition());
    END IF;
    RETURN format('%s AND %s', random_condition(), random_condition());
END
$$;

CREATE FUNCTION rows_of(condition text, by_index boolean, relation text DEFAULT 'random_view') RETURNS int[]
LANGUAGE plpgsql AS $$
DECLARE
    ids int[];
BEGIN
    PERFORM set_config('enable_seqscan', (NOT by_index)::text, true),
            set_config('enable_indexscan', by_index::text, true),
            set_config('enable_bitmapscan', by_index::text, true);
    EXECUTE format('SELECT array_agg(id ORDER BY id) FROM %s WHERE %s', relation, condition) INTO ids;
    RETURN ids;
END
$$;

SELECT is_empty($$
    SELECT condition, rows_of(condition, true) AS by_index, rows_of(condition, false) AS by_scan
    FROM (SELECT random_condition() FROM generate_series(1, 3000)) AS t (condition)
    WHERE rows_of(condition, true) IS DISTINCT FROM rows_of(condition, false)$$,
    'the index loses no row and adds none');

-- Windows of more than one length: days of a calendar, and sessions
CREATE TABLE streamx_internal.pushdown_lengths (id int, slice_start timestamptz, slice_end timestamptz);
CREATE INDEX ON streamx_internal.pushdown_lengths (slice_start);
INSERT INTO streamx_internal.pushdown_lengths
    SELECT row_number() OVER (), lower(w), lower(w) + (random() * 600)::int * interval '1 minute' + interval '30 minutes'
    FROM generate_series(timestamptz '2024-03-29', '2024-04-02', '12 hours') AS t,
         tumble(t, '1 day', timezone => 'Europe/Berlin') AS w;
CREATE VIEW calendar_view AS
    SELECT id, streamx.tumble_range(slice_start, '1 day', NULL, 'Europe/Berlin') AS w
    FROM streamx_internal.pushdown_lengths;
CREATE VIEW session_view AS
    SELECT id, streamx.window_range(slice_start, slice_end, '30 minutes', NULL) AS w
    FROM streamx_internal.pushdown_lengths;
CREATE VIEW bounded_view AS
    SELECT id, streamx.window_range(slice_start, slice_end, '30 minutes', '630 minutes') AS w
    FROM streamx_internal.pushdown_lengths;

SET enable_seqscan = off;
SET enable_bitmapscan = off;
-- (how far a calendar's days may be from 24 hours depends on what is known of the zone)
SELECT regexp_replace(conditions_of('SELECT * FROM ' || relation || ' WHERE ' || condition),
                      CASE relation WHEN 'calendar_view' THEN '2024-03-30 [^'']*' ELSE '(?!)' END, '…', 'g') AS conditions_of,
       relation, condition
FROM unnest(ARRAY['calendar_view', 'session_view', 'bounded_view']) AS relation,
     unnest(ARRAY[$$w @> timestamptz '2024-03-31 12:00'$$, $$upper(w) <= '2024-03-31 12:00'$$,
                  $$upper(w) >= '2024-03-31 12:00'$$, $$upper(w) = '2024-03-31 12:00'$$,
                  $$lower(w) = '2024-03-31 12:00'$$, $$w && tstzrange('2024-03-31 12:00', '2024-03-31 13:00')$$]) AS condition
ORDER BY relation, condition;
RESET enable_seqscan;
RESET enable_bitmapscan;

CREATE FUNCTION shifted(condition text) RETURNS text
LANGUAGE sql RETURN replace(replace(replace(condition, '2024-04-29', '2024-03-30'), '2024-04-30', '2024-03-31'),
                            '2024-05-01', '2024-04-01');
SELECT is_empty(format($$
    SELECT condition, rows_of(condition, true, %1$L) AS by_index, rows_of(condition, false, %1$L) AS by_scan
    FROM (SELECT shifted(random_condition()) FROM generate_series(1, 1000)) AS t (condition)
    WHERE rows_of(condition, true, %1$L) IS DISTINCT FROM rows_of(condition, false, %1$L)$$, relation),
    'the index loses no row of ' || relation || ' and adds none')
FROM unnest(ARRAY['calendar_view', 'session_view', 'bounded_view']) AS relation;

-- The same with the values in parameters of plans that do not know them
CREATE FUNCTION rows_of_range(r tstzrange, by_index boolean) RETURNS SETOF text
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    PERFORM set_config('enable_seqscan', (NOT by_index)::text, true),
            set_config('enable_indexscan', by_index::text, true),
            set_config('enable_bitmapscan', by_index::text, true);
    RETURN QUERY SELECT '= ' || id FROM random_view WHERE w = r;
    RETURN QUERY SELECT '&& ' || id FROM random_view WHERE w && r;
    RETURN QUERY SELECT '<@ ' || id FROM random_view WHERE w <@ r;
    RETURN QUERY SELECT '@> ' || id FROM random_view WHERE w @> r;
    RETURN QUERY SELECT '< ' || id FROM random_view WHERE w < r;
    RETURN QUERY SELECT '>= ' || id FROM random_view WHERE w >= r;
    RETURN QUERY SELECT '<< ' || id FROM random_view WHERE w << r;
    RETURN QUERY SELECT '>> ' || id FROM random_view WHERE w >> r;
    RETURN QUERY SELECT '&< ' || id FROM random_view WHERE w &< r;
    RETURN QUERY SELECT '&> ' || id FROM random_view WHERE w &> r;
    RETURN QUERY SELECT '@> lower ' || id FROM random_view WHERE w @> lower(r);
    RETURN QUERY SELECT '<= upper ' || id FROM random_view WHERE upper(w) <= upper(r);
END
$$;

CREATE FUNCTION to_range(expression text) RETURNS tstzrange
LANGUAGE plpgsql AS $$
DECLARE
    r tstzrange;
BEGIN
    EXECUTE 'SELECT ' || expression INTO r;
    RETURN r;
END
$$;

CREATE TABLE random_ranges AS
    SELECT n, to_range(random_range()) AS r FROM generate_series(1, 300) AS n;
CREATE TABLE found_by_index AS SELECT n, rows_of_range(r, true) AS row FROM random_ranges;
DISCARD PLANS;
CREATE TABLE found_by_scan AS SELECT n, rows_of_range(r, false) AS row FROM random_ranges;
SELECT is_empty('TABLE found_by_index EXCEPT ALL TABLE found_by_scan', 'generic plans add no row');
SELECT is_empty('TABLE found_by_scan EXCEPT ALL TABLE found_by_index', 'generic plans lose no row');
SELECT ok(count(*) > 10000, 'and they found some') FROM found_by_index;

SELECT * FROM finish();

DROP VIEW revenue, random_view, calendar_view, session_view, bounded_view;
DROP TABLE streamx_internal.pushdown_state, streamx_internal.pushdown_random, streamx_internal.pushdown_lengths, random_ranges,
           found_by_index, found_by_scan;
DROP FUNCTION index_conditions, conditions_of, expected_rows, random_time, random_range, random_condition, rows_of,
              rows_of_range, shifted, to_range;
DROP ROLE pushdown_reader;
