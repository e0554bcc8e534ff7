-- Windows in SQL: boundaries, alignment, types, refusals; sizes of a zone's days and of months are in calendar.sql
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SELECT no_plan();

-- A window is half-open: its start belongs to it, its end to the next one
SELECT is(tumble(timestamptz '2024-05-01 10:04:59.999999', '5 minutes'),
          tstzrange('2024-05-01 10:00', '2024-05-01 10:05'),
          'one microsecond before the end is inside');
SELECT is(tumble(timestamptz '2024-05-01 10:05', '5 minutes'),
          tstzrange('2024-05-01 10:05', '2024-05-01 10:10'),
          'the end is in the next window');
SELECT is(tumble(timestamptz '2024-05-01 10:00:00.000001', '1 microsecond'),
          tstzrange('2024-05-01 10:00:00.000001', '2024-05-01 10:00:00.000002'),
          'a window may last a microsecond');

-- Windows are aligned to 1970-01-01 00:00 UTC, also before it
SELECT is(tumble(timestamptz '1969-12-31 23:59:59.999999', '1 hour'),
          tstzrange('1969-12-31 23:00', '1970-01-01 00:00'),
          'windows before 1970 exist, and start below');
SELECT is(tumble(timestamptz '2024-05-01 10:00', '7 days'),
          tstzrange('2024-04-25', '2024-05-02'),
          'a window of 7 days starts on a Thursday');
SELECT is(tumble(timestamptz '1970-01-02 01:00', '7 hours'),
          tstzrange('1970-01-01 21:00', '1970-01-02 04:00'),
          'a size that does not divide the day runs on over midnights');
SELECT is(tumble(timestamptz '0044-03-15 12:00 BC', '1 day'),
          tstzrange('0044-03-15 BC', '0044-03-16 BC'),
          'antiquity has windows too');

-- An origin moves them
SELECT is(tumble(timestamptz '2024-05-01 10:00', '7 days', '2024-01-01'),
          tstzrange('2024-04-29', '2024-05-06'),
          'with a Monday as origin weeks start on Mondays');
SELECT is(tumble(timestamptz '2024-05-01 10:00', '1 hour', timestamptz '2024-05-01 10:00:00.000001'),
          tstzrange('2024-05-01 09:00:00.000001', '2024-05-01 10:00:00.000001'),
          'an origin in the future works as well');
SELECT is(tumble(timestamptz '2024-05-01 10:00', '1 hour', '4713-01-01 BC'),
          tumble(timestamptz '2024-05-01 10:00', '1 hour', '294276-12-31'),
          'origins that are whole windows apart are the same');

-- Arguments have names
SELECT is(tumble(ts => timestamptz '2024-05-01 10:00', size => '1 day', timezone => 'UTC',
                 origin => '2024-05-01 06:00'),
          tstzrange('2024-05-01 06:00', '2024-05-02 06:00'),
          'named notation');

-- Timestamps without a zone, and dates, give ranges without a zone
SELECT is(tumble(timestamp '2024-05-01 10:04', '5 minutes'),
          tsrange('2024-05-01 10:00', '2024-05-01 10:05'), 'timestamp');
SELECT is(tumble(timestamp '2024-05-01 10:04', '5 minutes', origin => '2024-05-01 00:01'),
          tsrange('2024-05-01 10:01', '2024-05-01 10:06'), 'timestamp with origin');
SELECT is(tumble(date '2024-05-01', '7 days'),
          tsrange('2024-04-25', '2024-05-02'), 'date');
SELECT is(tumble(date '2024-05-01', '7 days', date '2024-01-01'),
          tsrange('2024-04-29', '2024-05-06'), 'date with origin');

-- The session's time zone changes nothing
SET timezone = 'Europe/Berlin';
SELECT is(tumble(timestamptz '2024-03-31 01:30+00', '1 hour'),
          tstzrange('2024-03-31 01:00+00', '2024-03-31 02:00+00'),
          'an hour is an hour when the clock is put forward');
SELECT is(tumble(timestamptz '2024-03-31 12:00+00', '1 day'),
          tstzrange('2024-03-31 00:00+00', '2024-04-01 00:00+00'),
          'a day in UTC has 24 hours, whatever the session''s zone');
SELECT is(tumble(timestamp '2024-03-31 02:30', '1 hour'),
          tsrange('2024-03-31 02:00', '2024-03-31 03:00'),
          'a time that Berlin''s clocks skipped is a timestamp like others');
SELECT is(tumble(timestamptz '2024-03-31 01:30+00', '1 hour', timezone => 'Europe/Berlin'),
          tstzrange('2024-03-31 01:00+00', '2024-03-31 02:00+00'),
          'sizes in pure time do not depend on a time zone');
SET timezone = 'UTC';

-- NULL in, NULL out
SELECT is(tumble(NULL::timestamptz, '5 minutes'), NULL, 'no time, no window');
SELECT is(tumble(now(), NULL), NULL, 'no size, no window');
SELECT is(tumble(now(), '5 minutes', timezone => NULL), NULL, 'no time zone, no window');
SELECT is(tumble(timestamptz '2024-05-01 10:04', '5 minutes', NULL),
          tstzrange('2024-05-01 10:00', '2024-05-01 10:05'), 'no origin is 1970-01-01 00:00');

-- Sizes that are refused
SELECT throws_ok($$SELECT tumble(now(), '0')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '-5 minutes')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '1 day -24 hours')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '-1 month')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '1 month 1 hour')$$, '22023',
                 'a window size cannot mix months with days or time');
SELECT throws_ok($$SELECT tumble(now(), '2147483647 days')$$, '22023', 'a window size is out of range');
SELECT is(tumble(timestamptz '2024-03-31 12:00', '1 day', timezone => 'Etc/UTC'),
          tstzrange('2024-03-31', '2024-04-01'), 'UTC by another name is UTC');
SELECT throws_ok($$SELECT tumble(now(), '1 hour', timezone => 'Atlantis')$$, '22023',
                 'time zone "Atlantis" not recognized');
SELECT throws_ok($$SELECT tumble(now(), '1 hour', timezone => repeat('x', 1000))$$, '22023');
SELECT throws_ok($$SELECT tumble(now(), '1 hour', 'infinity')$$, '22023',
                 'the origin of windows must be finite');
SELECT throws_ok($$SELECT tumble(timestamp '2024-05-01', '1 hour', timezone => 'Europe/Berlin')$$, '22023',
                 'windows in time zone "Europe/Berlin" need a timestamp with time zone');
SELECT throws_ok($$SELECT tumble(date '2024-05-01', '1 day', timezone => 'Europe/Berlin')$$, '22023',
                 'windows in time zone "Europe/Berlin" need a timestamp with time zone');

-- Times at the edge of what a timestamp can hold
SELECT throws_ok($$SELECT tumble(timestamptz 'infinity', '5 minutes')$$, '22008',
                 'an infinite timestamp is in no window');
SELECT throws_ok($$SELECT tumble(date '-infinity', '5 minutes')$$, '22008',
                 'an infinite timestamp is in no window');
SELECT is(lower(tumble(timestamptz '294276-12-31 23:54:59.999999', '5 minutes')),
          timestamptz '294276-12-31 23:50', 'the last window but one');
SELECT throws_ok($$SELECT tumble(timestamptz '294276-12-31 23:55', '5 minutes')$$, '22008',
                 'window out of range');
SELECT is(lower(tumble(timestamptz '4714-11-24 00:00 BC', '5 minutes')),
          timestamptz '4714-11-24 00:00 BC', 'the first window');
SELECT throws_ok($$SELECT tumble(timestamptz '4714-11-24 00:00 BC', '7 days')$$, '22008',
                 'window out of range');
SELECT is(tumble(timestamptz '2024-05-01', '100000000 days', '2024-01-01'),
          tstzrange('2024-01-01', timestamptz '2024-01-01' + '100000000 days'),
          'a window may last for 273,790 years');
SELECT throws_ok($$SELECT tumble(timestamptz '294276-12-31', '106751991 days', '4714-11-24 BC')$$,
                 '22008', 'window out of range');
SELECT throws_ok($$SELECT tumble(date '294277-01-01', '1 day')$$, '22008',
                 'date out of range for timestamp');
SELECT throws_ok($$SELECT streamx.tumble_range(timestamptz '-infinity', '1 day')$$, '22008',
                 'an infinite timestamp is in no window');

-- hop(): every slide a window of this size starts; they come in the order of their ends
SELECT is(array(SELECT hop(timestamptz '2024-05-01 10:04', '10 minutes', '5 minutes')),
          array[tstzrange('2024-05-01 09:55', '2024-05-01 10:05'),
                tstzrange('2024-05-01 10:00', '2024-05-01 10:10')],
          'a time is in size / slide windows');
SELECT is(array(SELECT hop(timestamptz '2024-05-01 10:05', '10 minutes', '5 minutes')),
          array[tstzrange('2024-05-01 10:00', '2024-05-01 10:10'),
                tstzrange('2024-05-01 10:05', '2024-05-01 10:15')],
          'where one window ends another one starts');
SELECT is(array(SELECT hop(timestamptz '2024-05-01 10:04:59.999999', '10 minutes', '5 minutes')),
          array(SELECT hop(timestamptz '2024-05-01 10:00', '10 minutes', '5 minutes')),
          'up to the last microsecond');
SELECT is(array(SELECT hop(timestamptz '2024-05-01 10:00', '5 minutes', '3 minutes')),
          array[tstzrange('2024-05-01 09:57', '2024-05-01 10:02'),
                tstzrange('2024-05-01 10:00', '2024-05-01 10:05')],
          'a size that is no multiple of the slide: here a time is in two windows,');
SELECT is(array(SELECT hop(timestamptz '2024-05-01 10:02', '5 minutes', '3 minutes')),
          array[tstzrange('2024-05-01 10:00', '2024-05-01 10:05')], 'and here in one');
SELECT is(array(SELECT hop(timestamptz '2024-05-01 10:09:59.999999', '10 minutes', '1 hour')),
          array[tstzrange('2024-05-01 10:00', '2024-05-01 10:10')],
          'a slide longer than the size takes samples: a time is in a window');
SELECT is_empty($$SELECT hop(timestamptz '2024-05-01 10:10', '10 minutes', '1 hour')$$, 'or in none');
SELECT is(array(SELECT hop(timestamptz '2024-05-01 10:04', '10 minutes', '10 minutes')),
          array[tumble(timestamptz '2024-05-01 10:04', '10 minutes')], 'slide = size is tumble()');
SELECT is(array(SELECT hop(timestamptz '1969-12-31 23:59:59.999999', '2 hours', '1 hour')),
          array[tstzrange('1969-12-31 22:00', '1970-01-01 00:00'),
                tstzrange('1969-12-31 23:00', '1970-01-01 01:00')],
          'windows before 1970');
SELECT is(array(SELECT hop(ts => timestamptz '2024-05-01 10:04', size => '10 minutes', slide => '5 minutes',
                           origin => '2024-01-01 00:01')),
          array[tstzrange('2024-05-01 09:56', '2024-05-01 10:06'),
                tstzrange('2024-05-01 10:01', '2024-05-01 10:11')],
          'named notation, with origin');
SELECT is(array(SELECT hop(timestamp '2024-05-01 10:04', '10 minutes', '5 minutes')),
          array[tsrange('2024-05-01 09:55', '2024-05-01 10:05'), tsrange('2024-05-01 10:00', '2024-05-01 10:10')],
          'timestamp');
SELECT is(array(SELECT hop(date '2024-05-01', '2 days', '1 day', '2024-04-01')),
          array[tsrange('2024-04-30', '2024-05-02'), tsrange('2024-05-01', '2024-05-03')], 'date');

-- cumulate(): windows that start together, each a step longer than the one before
SELECT is(array(SELECT cumulate(timestamptz '2024-05-01 10:20', '1 hour', '20 minutes')),
          array[tstzrange('2024-05-01 10:00', '2024-05-01 10:40'),
                tstzrange('2024-05-01 10:00', '2024-05-01 11:00')],
          'a time is in the windows that end after it');
SELECT is(array(SELECT cumulate(timestamptz '2024-05-01 10:19:59.999999', '1 hour', '20 minutes')),
          array[tstzrange('2024-05-01 10:00', '2024-05-01 10:20'),
                tstzrange('2024-05-01 10:00', '2024-05-01 10:40'),
                tstzrange('2024-05-01 10:00', '2024-05-01 11:00')],
          'up to the last microsecond');
SELECT is(array(SELECT cumulate(timestamptz '1969-12-31 23:59', '1 day', '12 hours')),
          array[tstzrange('1969-12-31', '1970-01-01')], 'the longest one only, before 1970');
SELECT is(array(SELECT cumulate(timestamptz '2024-05-01 10:04', '1 hour', '1 hour')),
          array[tumble(timestamptz '2024-05-01 10:04', '1 hour')], 'step = size is tumble()');
SELECT is(array(SELECT cumulate(ts => timestamp '2024-05-01 10:31', max_size => '1 hour', step => '30 minutes',
                                origin => '2024-05-01 00:01')),
          array[tsrange('2024-05-01 10:01', '2024-05-01 10:31') + tsrange('2024-05-01 10:31', '2024-05-01 11:01')],
          'timestamp, by names, with origin');
SELECT is(array(SELECT cumulate(date '2024-05-01', '7 days', '1 day')),
          array[tsrange('2024-04-25', '2024-05-02')], 'date');

-- Both are set-returning functions like others
SELECT results_eq(
    $$SELECT hop(ts, '2 hours', '1 hour') AS w, count(*)
      FROM (VALUES (timestamptz '2024-05-01 10:10'), ('2024-05-01 10:50'), ('2024-05-01 11:30'), (NULL)) AS t (ts)
      GROUP BY 1 ORDER BY 1$$,
    $$VALUES (tstzrange('2024-05-01 09:00', '2024-05-01 11:00'), 2::bigint),
             (tstzrange('2024-05-01 10:00', '2024-05-01 12:00'), 3),
             (tstzrange('2024-05-01 11:00', '2024-05-01 13:00'), 1)$$,
    'in the select list, and in GROUP BY');
SELECT results_eq(
    $$SELECT n, lower(w) FROM (VALUES (1, timestamptz '2024-05-01 10:10'), (2, '2024-05-01 11:30')) AS t (n, ts),
             LATERAL cumulate(ts, '1 hour', '30 minutes') AS w ORDER BY n, w$$,
    $$VALUES (1, timestamptz '2024-05-01 10:00'), (1, '2024-05-01 10:00'), (2, '2024-05-01 11:00')$$,
    'in FROM, LATERAL');
SELECT results_eq(
    $$SELECT n, (SELECT lower(hop(ts, '10 hours', '1 hour')) LIMIT 1)
      FROM (VALUES (1, timestamptz '2024-05-01 10:10'), (2, '2024-05-01 11:30')) AS t (n, ts) ORDER BY n$$,
    $$VALUES (1, timestamptz '2024-05-01 01:00'), (2, '2024-05-01 02:00')$$,
    'a query that wants no more windows of one row gets the next row''s from the first on');
SELECT results_eq(
    $$SELECT n, count(w) FROM (VALUES (1, interval '1 hour', interval '30 minutes'), (2, '1 hour', '10 minutes'),
                                      (3, '2 hours', '10 minutes'), (4, NULL, '1 hour'), (5, '1 hour', NULL)) AS t (n, size, slide)
             LEFT JOIN LATERAL hop(timestamptz '2024-05-01', size, slide) AS w ON true GROUP BY n ORDER BY n$$,
    $$VALUES (1, 2::bigint), (2, 6), (3, 12), (4, 0), (5, 0)$$,
    'sizes may differ from row to row; NULL makes no windows');
SELECT results_eq(
    $$SELECT tumble(timestamptz '2024-05-01 10:04', size, origin, timezone)
      FROM (VALUES (interval '1 hour', timestamptz '2024-01-01 00:01', 'UTC'), ('1 hour', '2024-01-01 00:02', 'UTC'),
                   ('1 hour', NULL, 'UTC'), ('1 day', NULL, 'UTC'), ('1 day', NULL, 'Asia/Tokyo')) AS t (size, origin, timezone)$$,
    $$VALUES (tstzrange('2024-05-01 10:01', '2024-05-01 11:01')), (tstzrange('2024-05-01 10:02', '2024-05-01 11:02')),
             (tstzrange('2024-05-01 10:00', '2024-05-01 11:00')), (tstzrange('2024-05-01 00:00', '2024-05-02 00:00')),
             (tstzrange('2024-04-30 15:00', '2024-05-01 15:00'))$$,
    'so may origins and time zones');
DO $$
DECLARE
    size interval;
    found text = '';
BEGIN
    FOR minutes IN 1..4 LOOP
        size = make_interval(mins => minutes);
        found = found || to_char(lower(tumble(timestamptz '2024-05-01 10:59', size)), ' MI');
    END LOOP;
    PERFORM set_config('test.found', found, false);
END $$;
SELECT is(current_setting('test.found'), ' 59 58 57 56', 'and PL/pgSQL''s variables');

-- What hop() and cumulate() refuse
SELECT throws_ok($$SELECT hop(now(), '0', '1 hour')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT hop(now(), '1 hour', '0')$$, '22023', 'the slide of windows must be positive');
SELECT throws_ok($$SELECT hop(now(), '1 hour', '-1 minute')$$, '22023', 'the slide of windows must be positive');
SELECT throws_ok($$SELECT hop(now(), '1 hour', '1 month 1 day')$$, '22023',
                 'the slide of windows cannot mix months with days or time');
SELECT throws_ok($$SELECT hop(now(), '1 hour', '2147483647 days')$$, '22023', 'the slide of windows is out of range');
SELECT throws_ok($$SELECT hop(now(), '1 hour', '1 minute', '-infinity')$$, '22023', 'the origin of windows must be finite');
SELECT throws_ok($$SELECT hop(now(), '1 hour', '1 minute', timezone => 'Atlantis')$$, '22023',
                 'time zone "Atlantis" not recognized');
SELECT throws_ok($$SELECT cumulate(now(), '1 hour', '0')$$, '22023', 'the step of windows must be positive');
SELECT throws_ok($$SELECT cumulate(now(), '1 hour', '7 minutes')$$, '22023',
                 'the size of cumulating windows must be a multiple of their step');
SELECT throws_ok($$SELECT cumulate(now(), '1 hour', '2 hours')$$, '22023',
                 'the step of windows cannot be longer than their size');
SELECT throws_ok($$SELECT cumulate(timestamp '2024-05-01', '1 hour', '1 minute', timezone => 'Asia/Tokyo')$$, '22023',
                 'windows in time zone "Asia/Tokyo" need a timestamp with time zone');
SELECT throws_ok($$SELECT * FROM now() AS ts WHERE hop(ts, '1 hour', '1 minute') @> ts$$, '0A000',
                 'set-returning functions are not allowed in WHERE');

-- At the ends of the timestamp range all windows of a time exist, or it is an error
SELECT throws_ok($$SELECT hop(timestamptz 'infinity', '2 hours', '1 hour')$$, '22008', 'an infinite timestamp is in no window');
SELECT throws_ok($$SELECT hop(timestamptz '4714-11-24 00:59 BC', '2 hours', '1 hour')$$, '22008', 'window out of range');
SELECT is(lower(w), timestamptz '4714-11-24 00:00 BC', 'the first windows')
FROM hop(timestamptz '4714-11-24 01:00 BC', '2 hours', '1 hour') AS w LIMIT 1;
SELECT throws_ok($$SELECT hop(timestamptz '294276-12-31 22:00', '2 hours', '1 hour')$$, '22008', 'window out of range');
SELECT is(max(upper(w)), timestamptz '294276-12-31 23:00', 'the last windows')
FROM hop(timestamptz '294276-12-31 21:59:59.999999', '2 hours', '1 hour') AS w;
SELECT is_empty($$SELECT hop(timestamptz '294276-12-31 23:59', '1 second', '1 hour')$$, 'in no window is no error');
SELECT is(count(*), 1::bigint, 'sizes and slides may be as long as timestamps reach')
FROM hop(timestamptz '2024-05-01', '100000000 days', '106751991 days', '2024-01-01');
SELECT throws_ok($$SELECT cumulate(timestamptz '294276-12-31 23:10', '2 hours', '1 hour')$$, '22008', 'window out of range');
SELECT throws_ok($$SELECT cumulate(timestamptz '-infinity', '2 hours', '1 hour')$$, '22008', 'an infinite timestamp is in no window');
SELECT throws_ok($$SELECT cumulate(timestamptz '2024-05-01', '106751991 days', '106751991 days', '2024-01-01')$$,
                 '22008', 'window out of range');

-- session() is for continuous views
SELECT throws_ok($$SELECT session(ts, '30 minutes') FROM now() AS ts$$, '0A000',
                 'session windows exist only in GROUP BY of a continuous view');
SELECT throws_ok($$SELECT session(ts::timestamp, gap => '30 minutes') FROM now() AS ts$$, '0A000',
                 'session windows exist only in GROUP BY of a continuous view');
SELECT throws_ok($$SELECT session(ts::date, '30 minutes') FROM now() AS ts$$, '0A000',
                 'session windows exist only in GROUP BY of a continuous view');

-- What views keep: a slice lies in the same windows from its start on, and in others just before it
SELECT setseed(0.7);
CREATE TEMPORARY TABLE fixed_window AS
SELECT ts, make_interval(secs => size) AS size, make_interval(secs => slide) AS slide, origin
FROM (SELECT timestamptz '1900-01-01' + random() * interval '300 years' AS ts, ceil(random() * 1e6) / 1e3 AS size,
             ceil(random() * 1e6) / 1e3 AS slide, timestamptz '1800-01-01' + random() * interval '100 years' AS origin
      FROM generate_series(1, 5000)) AS t;
SELECT is_empty($$
    SELECT * FROM fixed_window
    WHERE streamx.tumble_range(streamx.window_slice(ts, 'tumble', size, NULL, origin, NULL), size)
          <> tumble(ts, size, origin)$$,
    'tumble_range of window_slice is tumble');
SELECT is_empty($$
    SELECT * FROM fixed_window,
                  LATERAL streamx.window_slice(ts, 'hop', size, slide, origin, 'UTC') AS slice,
                  LATERAL (SELECT array(SELECT hop(ts, size, slide, origin)) AS at_ts,
                                  array(SELECT hop(slice, size, slide, origin)) AS at_start,
                                  array(SELECT hop(slice - interval '1 microsecond', size, slide, origin)) AS before) AS windows
    WHERE (slice IS NULL) <> (at_ts = '{}')
       OR slice IS NOT NULL AND (slice > ts OR at_start <> at_ts OR before = at_ts)$$,
    'slices of hop');
SELECT is_empty($$
    SELECT * FROM fixed_window,
                  LATERAL streamx.window_slice(ts, 'cumulate', 7 * slide, slide, origin, NULL) AS slice,
                  LATERAL (SELECT array(SELECT cumulate(ts, 7 * slide, slide, origin)) AS at_ts,
                                  array(SELECT cumulate(slice, 7 * slide, slide, origin)) AS at_start,
                                  array(SELECT cumulate(slice - interval '1 microsecond', 7 * slide, slide, origin)) AS before) AS windows
    WHERE slice > ts OR at_start <> at_ts OR before = at_ts$$,
    'slices of cumulate');
SELECT throws_ok($$SELECT streamx.window_slice(now(), 'global', '1 minute', NULL, NULL, NULL)$$, '22023',
	'a view without windows has no slices', 'a global view has no slices');
SELECT is(streamx.window_slice(timestamptz '2024-05-01 10:04', 'hop', '5 minutes', '3 minutes', NULL, NULL),
          timestamptz '2024-05-01 10:03', 'slices of hop are cut where windows start');
SELECT is(streamx.window_slice(timestamptz '2024-05-01 10:05', 'hop', '5 minutes', '3 minutes', NULL, NULL),
          timestamptz '2024-05-01 10:05', 'and where they end');
SELECT is(streamx.window_slice(timestamptz '2024-05-01 10:19', 'session', '15 minutes', NULL, NULL, NULL),
          timestamptz '2024-05-01 10:15', 'slices of sessions are as long as the gap');
SELECT is(streamx.window_slice(timestamptz '4714-11-24 00:00 BC', 'session', '7 days', NULL, NULL, NULL),
          timestamptz '4714-11-24 00:00 BC', 'also at the beginning of time');
SELECT is(streamx.window_slice(timestamp '2024-05-01 10:04', 'tumble', '5 minutes', NULL, '2024-05-01 00:01', NULL),
          timestamp '2024-05-01 10:01', 'the slice of a timestamp');
SELECT is(streamx.window_slice(NULL::timestamptz, 'tumble', '5 minutes', NULL, NULL, NULL), NULL, 'NULL is in no slice');
SELECT throws_ok($$SELECT streamx.window_slice(timestamptz '294276-12-31 23:50', 'session', '15 minutes', NULL, NULL, NULL)$$,
                 '22008', 'window out of range');
SELECT throws_ok($$SELECT streamx.window_slice(timestamptz 'infinity', 'session', '15 minutes', NULL, NULL, NULL)$$,
                 '22008', 'an infinite timestamp is in no window');
SELECT throws_ok($$SELECT streamx.window_slice(now(), 'session', '1 month', NULL, NULL, NULL)$$,
                 '22023', 'the gap of sessions cannot be in months');
SELECT throws_ok($$SELECT streamx.window_slice(now(), 'session', '0', NULL, NULL, NULL)$$,
                 '22023', 'the gap of sessions must be positive');
SELECT throws_ok($$SELECT streamx.window_slice(now(), 'hop', '1 hour', NULL, NULL, NULL)$$,
                 '22023', 'the slide of windows is missing');
SELECT throws_ok($$SELECT streamx.window_slice(now(), 'slide', '1 hour', NULL, NULL, NULL)$$,
                 '22023', 'unknown kind of window "slide"');

-- What views show
SELECT is(streamx.window_range(timestamptz '2024-05-01 10:00', '2024-05-01 10:07', '5 minutes', NULL),
          tstzrange('2024-05-01 10:00', '2024-05-01 10:07'), 'window_range');
SELECT is(streamx.window_range(timestamp '2024-05-01 10:00', '2024-05-01 10:07', '5 minutes', '10 minutes'),
          tsrange('2024-05-01 10:00', '2024-05-01 10:07'), 'window_range of timestamps');
SELECT is(streamx.window_range(NULL::timestamptz, '2024-05-01 10:07', '5 minutes', NULL), NULL, 'no start, no range');
SELECT is(streamx.window_range(timestamptz '2024-05-01 10:00', NULL, '5 minutes', NULL), NULL, 'no end, no range');
SELECT is(streamx.tumble_range(timestamp '2024-05-01 10:00', '5 minutes'), tsrange('2024-05-01 10:00', '2024-05-01 10:05'),
          'tumble_range of timestamps');
SELECT is(streamx.slice_before(timestamptz '2024-05-01 10:00', '5 minutes'), timestamptz '2024-05-01 09:55', 'slice_before');
SELECT is(streamx.slice_before(timestamptz '4714-11-24 00:01 BC', '5 minutes'), '-infinity', 'out of range it is -infinity');

-- date_bin() is an oracle that shares no code with us
SELECT is_empty($$
    SELECT ts, size, origin
    FROM (SELECT timestamptz '4000-01-01 BC' + random() * interval '10000 years',
                 make_interval(days => (random() * 3)::int, secs => random() * 100000 + 0.000001),
                 timestamptz '1000-01-01' + random() * interval '3000 years'
          FROM generate_series(1, 100000)) AS t (ts, size, origin)
    WHERE ts >= origin       -- before its origin, date_bin() rounds up on some versions
      AND tumble(ts, size, origin) <> tstzrange(date_bin(size, ts, origin),
                                                date_bin(size, ts, origin) + size)$$,
    'tumble() agrees with date_bin() on 100,000 random timestamps');
SELECT is_empty($$
    SELECT ts, size, origin
    FROM (SELECT timestamptz '4000-01-01 BC' + random() * interval '10000 years',
                 make_interval(days => (random() * 3)::int, secs => random() * 100000 + 0.000001),
                 timestamptz '1000-01-01' + random() * interval '3000 years'
          FROM generate_series(1, 100000)) AS t (ts, size, origin),
         LATERAL tumble(ts, size, origin) AS w
    WHERE NOT w @> ts OR upper(w) - lower(w) <> justify_hours(size)
       OR mod(extract(epoch FROM lower(w)) - extract(epoch FROM origin), extract(epoch FROM size)) <> 0$$,
    'each window holds its timestamp, has its size, and starts whole sizes from the origin');
SELECT is_empty($$
    SELECT ts, size, slide, origin
    FROM fixed_window
    WHERE array(SELECT hop(ts, size, slide, origin))
       <> array(SELECT tstzrange(start, start + size)
                FROM generate_series(date_bin(slide, ts, origin) - ceil(extract(epoch FROM size) / extract(epoch FROM slide)) * slide,
                                     ts, slide) AS start
                WHERE start <= ts AND ts < start + size
                ORDER BY start)$$,
    'hop() agrees with date_bin() and generate_series()');
SELECT is_empty($$
    SELECT ts, slide, origin
    FROM fixed_window
    WHERE array(SELECT cumulate(ts, 7 * slide, slide, origin))
       <> array(SELECT tstzrange(start, start + step * slide)
                FROM date_bin(7 * slide, ts, origin) AS start, generate_series(1, 7) AS step
                WHERE ts < start + step * slide
                ORDER BY step)$$,
    'cumulate() agrees with date_bin() and generate_series()');

SELECT * FROM finish();
