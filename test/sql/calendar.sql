-- Windows of days and months, as the clocks of a time zone show them
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SELECT no_plan();

-- A day of Berlin has 23 hours when its clocks are put forward, 25 when they are set back
SELECT is(tumble(timestamptz '2024-03-31 12:00 Europe/Berlin', '1 day', timezone => 'Europe/Berlin'),
          tstzrange('2024-03-30 23:00', '2024-03-31 22:00'), '23 hours in spring');
SELECT is(tumble(timestamptz '2024-10-27 12:00 Europe/Berlin', '1 day', timezone => 'Europe/Berlin'),
          tstzrange('2024-10-26 22:00', '2024-10-27 23:00'), '25 hours in autumn');
SELECT is(tumble(timestamptz '2024-10-26 21:59:59.999999', '1 day', timezone => 'Europe/Berlin'),
          tstzrange('2024-10-25 22:00', '2024-10-26 22:00'), 'up to the microsecond before midnight');
SELECT is(tumble(timestamptz '2024-07-01 12:00', '24 hours', timezone => 'Europe/Berlin'),
          tstzrange('2024-07-01', '2024-07-02'), '24 hours are no day: they know no time zone');
SELECT is(tumble(timestamptz '2024-03-31 12:00', '1 week', timezone => 'Europe/Berlin'),
          tumble(timestamptz '2024-03-31 12:00', '7 days', timezone => 'Europe/Berlin'), 'a week is seven days,');
SELECT is(tumble(timestamptz '2024-03-31 12:00', '1 week', timezone => 'Europe/Berlin'),
          tstzrange('2024-03-28 00:00 Europe/Berlin', '2024-04-04 00:00 Europe/Berlin'),
          'and starts on a Thursday''s midnight in Berlin');
SELECT is(tumble(timestamptz '2024-03-31 12:00', '1 week', '2024-01-01 00:00 Europe/Berlin', 'Europe/Berlin'),
          tstzrange('2024-03-25 00:00 Europe/Berlin', '2024-04-01 00:00 Europe/Berlin'),
          'with a Monday as origin on a Monday');
SELECT is(tumble(timestamptz '2024-07-01 05:59:59 Europe/Berlin', '1 day', '2024-01-01 06:00 Europe/Berlin', 'Europe/Berlin'),
          tstzrange('2024-06-30 06:00 Europe/Berlin', '2024-07-01 06:00 Europe/Berlin'),
          'an origin in winter says what the clocks show when windows start, in summer as well');
SELECT is(tumble(timestamptz '2024-07-01 12:00', '1 day', timezone => 'Asia/Kathmandu'),
          tstzrange('2024-06-30 18:15', '2024-07-01 18:15'), 'Nepal is 5:45 ahead of UTC');
SELECT is(tumble(timestamptz '2024-07-01 12:00', '1 day', timezone => 'Etc/GMT+5'),
          tstzrange('2024-07-01 05:00', '2024-07-02 05:00'), 'a zone whose clocks are never changed');
SELECT is(tumble(timestamptz '1969-12-31 22:59:59', '1 day', timezone => 'Europe/Berlin'),
          tstzrange('1969-12-30 23:00', '1969-12-31 23:00'), 'the last day before 1970');
SELECT is(tumble(timestamptz '1892-01-01 12:00', '1 day', timezone => 'Europe/Berlin'),
          tstzrange('1891-12-31 23:06:32', '1892-01-01 23:06:32'), 'Berlin before time zones: 53:28 ahead of Greenwich');

-- Where midnight comes twice, the day starts with the first one; where it does not come, at the jump
SELECT is(tumble(timestamptz '2024-11-03 12:00', '1 day', timezone => 'America/Havana'),
          tstzrange('2024-11-03 04:00', '2024-11-04 05:00'), 'Havana sets its clocks back from 1:00 to midnight');
SELECT is(tumble(timestamptz '2024-03-10 12:00', '1 day', timezone => 'America/Havana'),
          tstzrange('2024-03-10 05:00', '2024-03-11 04:00'), 'and puts them forward from midnight to 1:00');
SELECT is(tumble(timestamptz '2018-02-17 12:00', '1 day', timezone => 'America/Sao_Paulo'),
          tstzrange('2018-02-17 02:00', '2018-02-18 03:00'), 'Sao Paulo set them back at midnight to 23:00');
SELECT is(tumble(timestamptz '2018-11-04 02:59:59', '1 day', timezone => 'America/Sao_Paulo'),
          tstzrange('2018-11-03 03:00', '2018-11-04 03:00'), 'and put them forward at midnight to 1:00:');
SELECT is(tumble(timestamptz '2018-11-04 03:00', '1 day', timezone => 'America/Sao_Paulo'),
          tstzrange('2018-11-04 03:00', '2018-11-05 02:00'), 'the day then begins at 1:00');
SELECT is(tumble(timestamptz '2022-03-27 12:00', '1 day', timezone => 'Asia/Beirut'),
          tstzrange('2022-03-26 22:00', '2022-03-27 21:00'), 'as it does in Beirut');

-- Samoa had no 2011-12-30
SELECT is(tumble(timestamptz '2011-12-30 09:59:59.999999', '1 day', timezone => 'Pacific/Apia'),
          tstzrange('2011-12-29 10:00', '2011-12-30 10:00'), '29 December');
SELECT is(tumble(timestamptz '2011-12-30 10:00', '1 day', timezone => 'Pacific/Apia'),
          tstzrange('2011-12-30 10:00', '2011-12-31 10:00'), '31 December');
SELECT is(array(SELECT hop(timestamptz '2011-12-30 12:00', '2 days', '1 day', timezone => 'Pacific/Apia')),
          array[tstzrange('2011-12-30 10:00', '2011-12-31 10:00'), tstzrange('2011-12-30 10:00', '2012-01-01 10:00')],
          'the two days that begin on the 30th end when those do that begin on the 31st begin their second');
SELECT is(array(SELECT hop(timestamptz '2011-12-30 11:00', '2 hours', '1 day', timezone => 'Pacific/Apia')),
          array[tstzrange('2011-12-30 10:00', '2011-12-30 12:00')], 'windows that fall together come once');
SELECT is(array(SELECT hop(timestamptz '2011-12-30 12:00', '2 months', '1 day', timezone => 'Pacific/Apia')
                OFFSET 58),
          array[tstzrange('2011-12-29 10:00', '2012-02-28 10:00'), tstzrange('2011-12-30 10:00', '2012-02-28 10:00')],
          'also those that February''s end makes the same');
SELECT is(array(SELECT cumulate(timestamptz '2011-12-29 12:00', '1 month', '1 day', timezone => 'Pacific/Apia')),
          array[tstzrange('2011-12-01 10:00', '2011-12-30 10:00'), tstzrange('2011-12-01 10:00', '2011-12-31 10:00')],
          'and a step that is empty is none');

-- Months
SELECT is(tumble(timestamptz '2024-02-29 23:59:59.999999', '1 month'), tstzrange('2024-02-01', '2024-03-01'), 'a leap year''s February');
SELECT is(tumble(timestamptz '2023-02-28 12:00', '1 month'), tstzrange('2023-02-01', '2023-03-01'), 'another one');
SELECT is(tumble(timestamptz '1900-02-28 12:00', '1 month'), tstzrange('1900-02-01', '1900-03-01'), 'that of 1900');
SELECT is(tumble(timestamptz '2024-05-01', '3 months'), tstzrange('2024-04-01', '2024-07-01'), 'quarters are those of the year');
SELECT is(tumble(timestamptz '2024-05-01', '1 year'), tstzrange('2024-01-01', '2025-01-01'), 'a year');
SELECT is(tumble(timestamptz '1969-12-31', '10 years'), tstzrange('1960-01-01', '1970-01-01'), 'ten, before 1970');
SELECT is(tumble(timestamptz '0044-03-15 BC', '100 years'), tstzrange('0131-01-01 BC', '0031-01-01 BC'), 'a hundred, before Christ');
SELECT is(tumble(timestamptz '2024-10-31 22:59:59', '1 month', timezone => 'Europe/Berlin'),
          tstzrange('2024-09-30 22:00', '2024-10-31 23:00'), 'an October in Berlin is an hour longer');
SELECT is(tumble(timestamptz '2024-03-27 12:00', '1 month', '2000-01-28'), tstzrange('2024-02-28', '2024-03-28'),
          'months from the 28th to the 28th');
SELECT is(tumble(timestamptz '2024-03-28 11:59', '1 month', '2000-01-28 12:00'), tstzrange('2024-02-28 12:00', '2024-03-28 12:00'),
          'from noon to noon');
SELECT is(tumble(timestamp '2024-02-29 12:00', '1 month'), tsrange('2024-02-01', '2024-03-01'), 'months of a timestamp');
SELECT is(tumble(date '2024-02-29', '1 month', '2023-12-15'), tsrange('2024-02-15', '2024-03-15'), 'months of a date');
SELECT is(array(SELECT hop(timestamptz '2024-02-10', '1 month', '7 days', '2024-01-01')),
          array[tstzrange('2024-01-15', '2024-02-15'), tstzrange('2024-01-22', '2024-02-22'),
                tstzrange('2024-01-29', '2024-02-29'), tstzrange('2024-02-05', '2024-03-05')],
          'a month from each Monday on');
SELECT is(array(SELECT hop(timestamptz '2024-02-28 12:00', '1 month', '1 day')),
          array[tstzrange('2024-01-29', '2024-02-29'), tstzrange('2024-01-30', '2024-02-29'), tstzrange('2024-01-31', '2024-02-29'),
                tstzrange('2024-02-01', '2024-03-01')]
          || array(SELECT tstzrange(d, d + interval '1 month') FROM generate_series(timestamptz '2024-02-02', '2024-02-28', '1 day') AS d),
          'a month from each day on: three of them end with February');
SELECT is(array(SELECT hop(timestamptz '2024-02-08', '7 days', '1 month')), '{}', 'a week of each month: not this one');
SELECT is(array(SELECT hop(timestamptz '2024-02-07', '7 days', '1 month')),
          array[tstzrange('2024-02-01', '2024-02-08')], 'but this one');
SELECT is(array(SELECT cumulate(timestamptz '2024-02-28 12:00', '1 month', '1 day', timezone => 'Europe/Berlin')),
          array[tstzrange('2024-01-31 23:00', '2024-02-28 23:00'), tstzrange('2024-01-31 23:00', '2024-02-29 23:00')],
          'month to date, day by day');
SELECT is(array(SELECT cumulate(timestamptz '2024-02-28 12:00', '1 month', '7 days')),
          array[tstzrange('2024-02-01', '2024-02-29'), tstzrange('2024-02-01', '2024-03-01')],
          'a last step is cut short by the end of the month');
SELECT is(array(SELECT cumulate(timestamptz '2024-10-02', '1 year', '1 month')),
          array(SELECT tstzrange('2024-01-01', timestamptz '2024-01-01' + months * interval '1 month')
                FROM generate_series(10, 12) AS months),
          'year to date, month by month');

-- Days and hours together
SELECT is(array(SELECT hop(timestamptz '2024-10-27 12:00', '1 day', '6 hours', timezone => 'Europe/Berlin')),
          array[tstzrange('2024-10-26 17:00', '2024-10-27 18:00'), tstzrange('2024-10-26 23:00', '2024-10-28 00:00'),
                tstzrange('2024-10-27 05:00', '2024-10-28 05:00'), tstzrange('2024-10-27 11:00', '2024-10-28 11:00')],
          'a day from each sixth hour on');
SELECT is((SELECT count(*) FROM cumulate(timestamptz '2024-10-27 00:30 Europe/Berlin', '1 day', '1 hour', timezone => 'Europe/Berlin')),
          25::bigint, 'a day to date, hour by hour, has 25 windows in autumn');
SELECT is((SELECT count(*) FROM cumulate(timestamptz '2024-03-31 00:30 Europe/Berlin', '1 day', '1 hour', timezone => 'Europe/Berlin')),
          23::bigint, '23 in spring');
SELECT is(array(SELECT hop(timestamptz '2024-03-31 12:30', '1 hour', '1 day', '2024-01-01 14:00 Europe/Berlin', 'Europe/Berlin')),
          array[tstzrange('2024-03-31 12:00', '2024-03-31 13:00')], 'an hour of each day, from 14:00 on');
SELECT is(array(SELECT w FROM hop(timestamptz '2024-10-27 20:00', '1 day', '15 minutes', timezone => 'Europe/Berlin') AS w
                WHERE lower(w) BETWEEN '2024-10-27 00:30' AND '2024-10-27 01:45'),
          array[tstzrange('2024-10-27 00:30', '2024-10-28 01:30'), tstzrange('2024-10-27 00:45', '2024-10-28 01:45'),
                tstzrange('2024-10-27 01:00', '2024-10-28 01:45'), tstzrange('2024-10-27 01:15', '2024-10-28 01:45'),
                tstzrange('2024-10-27 01:30', '2024-10-28 01:45'), tstzrange('2024-10-27 01:45', '2024-10-28 01:45')],
          'windows never end before one that started earlier, even where the clocks are set back');

-- Refused
SELECT throws_ok($$SELECT tumble(now(), '1 month', '2024-01-31')$$, '22023',
                 'the origin of windows of months must be on one of the days 1 to 28 of a month');
SELECT throws_ok($$SELECT tumble(now(), '1 month', '2024-01-28 23:30', 'Europe/Berlin')$$, '22023',
                 'the origin of windows of months must be on one of the days 1 to 28 of a month');
SELECT throws_ok($$SELECT cumulate(now(), '1 year', '1 month', '2024-01-31')$$, '22023',
                 'the origin of windows of months must be on one of the days 1 to 28 of a month');
SELECT lives_ok($$SELECT hop(now(), '1 month', '1 day', '2024-01-31')$$, 'where windows are days apart it may be on any');
SELECT throws_ok($$SELECT tumble(now(), '1 day 12 hours', timezone => 'Europe/Berlin')$$, '22023',
                 'a window size cannot mix days with time in a time zone');
SELECT is(tumble(timestamptz '1970-01-02 13:00', '1 day 12 hours'), tstzrange('1970-01-02 12:00', '1970-01-04 00:00'),
          'in UTC it can');
SELECT throws_ok($$SELECT hop(now(), '2 months', '1 month 1 day')$$, '22023',
                 'the slide of windows cannot mix months with days or time');
SELECT throws_ok($$SELECT cumulate(now(), '1 year', '5 months')$$, '22023',
                 'the size of cumulating windows must be a multiple of their step');
SELECT throws_ok($$SELECT cumulate(now(), '1 day', '5 hours', timezone => 'Europe/Berlin')$$, '22023',
                 'the size of cumulating windows must be a multiple of their step');
SELECT throws_ok($$SELECT cumulate(now(), '1 month', '31 days')$$, '22023',
                 'the step of windows cannot be longer than their size');
SELECT throws_ok($$SELECT tumble(now(), '2147483647 months')$$, '22023', 'a window size is out of range');
SELECT throws_ok($$SELECT tumble(date '2024-05-01', '1 month', timezone => 'Europe/Berlin')$$, '22023',
                 'windows in time zone "Europe/Berlin" need a timestamp with time zone');

-- At the ends of the timestamp range
SELECT is(tumble(timestamptz '294276-11-30 12:00', '1 month'), tstzrange('294276-11-01', '294276-12-01'), 'the last month but one');
SELECT throws_ok($$SELECT tumble(timestamptz '294276-12-31', '1 month')$$, '22008', 'window out of range');
SELECT throws_ok($$SELECT tumble(timestamptz '4714-11-24 BC', '1 month')$$, '22008', 'window out of range');
SELECT is(tumble(timestamptz '4714-12-01 BC', '1 month'), tstzrange('4714-12-01 BC', '4713-01-01 BC'), 'the first month');
SELECT throws_ok($$SELECT tumble(timestamptz 'infinity', '1 month')$$, '22008', 'an infinite timestamp is in no window');
SELECT throws_ok($$SELECT hop(timestamptz '294276-12-31 23:00', '2 days', '1 day', timezone => 'America/Havana')$$, '22008', 'window out of range');
SELECT throws_ok($$SELECT cumulate(timestamptz '-infinity', '2 days', '1 day', timezone => 'America/Havana')$$, '22008',
                 'an infinite timestamp is in no window');
SELECT is(tumble(timestamptz '294276-06-30 12:00', '1 day', timezone => 'Europe/Berlin'),
          tstzrange('294276-06-29 22:00', '294276-06-30 22:00'), 'Berlin will have its summers');

-- What views show
SELECT is(streamx.tumble_range(timestamptz '2024-02-01 00:00 Europe/Berlin', '1 month', NULL, 'Europe/Berlin'),
          tumble(timestamptz '2024-02-10', '1 month', timezone => 'Europe/Berlin'), 'tumble_range');
SELECT is(streamx.tumble_range(timestamptz '2011-12-30 10:00', '1 day', NULL, 'Pacific/Apia'),
          tstzrange('2011-12-30 10:00', '2011-12-31 10:00'), 'tumble_range where two days start together');
SELECT is(streamx.tumble_range(timestamp '2024-02-15', '1 month', '2000-01-15', 'UTC'),
          tsrange('2024-02-15', '2024-03-15'), 'tumble_range of a timestamp, with origin');

/*
 * The oracle reads clocks only: a boundary is the first quarter of an hour at which a
 * zone's clock shows a local time or has passed it.
 */
CREATE FUNCTION pg_temp.first_shown(local timestamp, zone text)
    RETURNS timestamptz
    LANGUAGE sql STABLE AS $$
    SELECT min(t)
    FROM generate_series((local AT TIME ZONE 'UTC') - interval '15 hours', (local AT TIME ZONE 'UTC') + interval '36 hours',
                         '15 minutes') AS t
    WHERE t AT TIME ZONE zone >= local
$$;
CREATE TEMPORARY TABLE zone AS
SELECT * FROM (VALUES ('Europe/Berlin', timestamp '2023-12-01'), ('America/Havana', '2024-01-01'), ('America/Sao_Paulo', '2017-09-01'),
                      ('Asia/Beirut', '2022-01-01'), ('Pacific/Apia', '2011-09-01'), ('Australia/Lord_Howe', '2024-01-01'),
                      ('Asia/Kathmandu', '2024-01-01')) AS z (zone, first_day);
CREATE TEMPORARY TABLE midnight AS
SELECT zone, first_day + n * interval '1 day' AS local, pg_temp.first_shown(first_day + n * interval '1 day', zone) AS instant
FROM zone, generate_series(0, 440) AS n;
CREATE INDEX ON midnight (zone, local);
ANALYZE midnight;
CREATE FUNCTION pg_temp.midnight(zone text, local timestamp)
    RETURNS timestamptz
    LANGUAGE sql STABLE AS $$
    SELECT instant FROM midnight AS m WHERE m.zone = $1 AND m.local = $2
$$;

-- Random times, and those just before, at and after boundaries
SELECT setseed(0.6);
CREATE TEMPORARY TABLE moment AS
SELECT zone, ts
FROM zone, LATERAL (
    SELECT (first_day AT TIME ZONE 'UTC') + interval '100 days' + random() * interval '200 days' AS ts
    FROM generate_series(1, 80)
    UNION ALL
    SELECT instant + microseconds * interval '1 microsecond'
    FROM midnight, generate_series(-1, 1) AS microseconds
    WHERE midnight.zone = zone.zone AND local BETWEEN first_day + interval '100 days' AND first_day + interval '300 days'
          AND (random() < 0.1 OR local = '2011-12-31')
) AS t;

/*
 * As sets: windows of hop that the oracle finds from nominal starts and ends.  Sizes and
 * slides in days and months, then mixed with hours.
 */
CREATE FUNCTION pg_temp.oracle(zone text, ts timestamptz, size interval, slide interval, origin timestamp)
    RETURNS tstzrange[]
    LANGUAGE sql STABLE AS $$
    SELECT coalesce(array_agg(DISTINCT tstzrange(starts, ends) ORDER BY tstzrange(starts, ends)), '{}')
    FROM (SELECT origin + n * slide AS nominal
          FROM generate_series(0, 800) AS n
          WHERE origin + n * slide BETWEEN (ts AT TIME ZONE 'UTC') - size - interval '4 days' AND (ts AT TIME ZONE 'UTC') + interval '2 days') AS nominal,
         LATERAL (SELECT pg_temp.midnight(zone, nominal) AS starts, pg_temp.midnight(zone, nominal + size) AS ends) AS bounds
    WHERE starts <= ts AND ts < ends
$$;
SELECT is_empty($$
    SELECT zone, ts FROM moment
    WHERE array[tumble(ts, '1 day', timezone => zone)]
          <> pg_temp.oracle(zone, ts, '1 day', '1 day', (SELECT first_day FROM zone AS z WHERE z.zone = moment.zone))$$,
    'tumble() by days agrees with the clocks of seven zones');
SELECT is_empty($$
    SELECT zone, ts FROM moment
    WHERE array[tumble(ts, '1 month', timezone => zone)]
          <> pg_temp.oracle(zone, ts, '1 month', '1 month', (SELECT first_day FROM zone AS z WHERE z.zone = moment.zone))$$,
    'tumble() by months');
SELECT is_empty($$
    SELECT zone, ts FROM moment
    WHERE array(SELECT hop(ts, '5 days', '2 days', (SELECT instant FROM midnight AS m WHERE m.zone = moment.zone ORDER BY local LIMIT 1), zone)
                AS w ORDER BY w)
          <> pg_temp.oracle(zone, ts, '5 days', '2 days', (SELECT first_day FROM zone AS z WHERE z.zone = moment.zone))$$,
    'hop() by days');
SELECT is_empty($$
    SELECT zone, ts FROM moment
    WHERE array(SELECT hop(ts, '2 days', '5 days', (SELECT instant FROM midnight AS m WHERE m.zone = moment.zone ORDER BY local LIMIT 1), zone)
                AS w ORDER BY w)
          <> pg_temp.oracle(zone, ts, '2 days', '5 days', (SELECT first_day FROM zone AS z WHERE z.zone = moment.zone))$$,
    'hop() by days, with gaps');
SELECT is_empty($$
    SELECT zone, ts FROM moment
    WHERE array(SELECT hop(ts, '2 months', '3 days', (SELECT instant FROM midnight AS m WHERE m.zone = moment.zone ORDER BY local LIMIT 1), zone)
                AS w ORDER BY w)
          <> pg_temp.oracle(zone, ts, '2 months', '3 days', (SELECT first_day FROM zone AS z WHERE z.zone = moment.zone))$$,
    'hop() by months and days');
SELECT is_empty($$
    SELECT zone, ts FROM moment
    WHERE array(SELECT hop(ts, '10 days', '1 month', timezone => zone) AS w ORDER BY w)
          <> pg_temp.oracle(zone, ts, '10 days', '1 month', (SELECT first_day FROM zone AS z WHERE z.zone = moment.zone))$$,
    'hop() by days and months');

-- A day from each third hour on: it ends when the clocks show the same on the next day
SELECT is_empty($$
    SELECT zone, ts
    FROM moment, LATERAL (SELECT instant AS origin FROM midnight AS m WHERE m.zone = moment.zone ORDER BY local LIMIT 1) AS o
    WHERE random() < 0.3 AND zone <> 'Asia/Kathmandu'
      AND array(SELECT hop(ts, '1 day', '3 hours', origin, zone) AS w ORDER BY w)
          <> array(SELECT tstzrange(s, e)
                   FROM generate_series(date_bin('3 hours', ts, origin) - interval '30 hours', ts, '3 hours') AS s,
                        LATERAL pg_temp.first_shown(s AT TIME ZONE zone + interval '1 day', zone) AS e
                   WHERE ts < e ORDER BY s)$$,
    'hop() by days and hours');
SELECT is_empty($$
    SELECT zone, ts
    FROM moment
    WHERE array(SELECT cumulate(ts, '1 day', '1 hour', timezone => zone))
          <> array(SELECT DISTINCT tstzrange(lower(w), least(lower(w) + step * interval '1 hour', upper(w))) AS c
                   FROM tumble(ts, '1 day', timezone => zone) AS w, generate_series(1, 50) AS step
                   WHERE ts < lower(w) + step * interval '1 hour' ORDER BY c)$$,
    'cumulate() by days and hours');
SELECT is_empty($$
    SELECT zone, ts
    FROM moment, LATERAL tumble(ts, '1 month', timezone => zone) AS w
    WHERE array(SELECT cumulate(ts, '1 month', '1 day', timezone => zone))
          <> array(SELECT tstzrange(lower(w), instant)
                   FROM (SELECT DISTINCT instant FROM midnight AS m
                         WHERE m.zone = moment.zone AND instant > ts AND instant <= upper(w)) AS d
                   ORDER BY instant)$$,
    'cumulate() by months and days');

-- Windows of a tumble partition time: each ends where the next one starts
SELECT is_empty($$
    SELECT name, size, at
    FROM (SELECT name, (array['1 day', '7 days', '1 month'])[1 + n % 3]::interval AS size,
                 timestamptz '1850-01-01' + random() * interval '300 years' AS at
          FROM pg_timezone_names, generate_series(0, 5) AS n
          WHERE name !~ '^(posix|right|Factory|localtime)') AS t,
         LATERAL tumble(at, size, timezone => name) AS w,
         LATERAL tumble(upper(w), size, timezone => name) AS next
    WHERE NOT w @> at OR lower(next) <> upper(w) OR tumble(lower(w), size, timezone => name) <> w
       OR tumble(upper(w) - interval '1 microsecond', size, timezone => name) <> w$$,
    'in all time zones');

-- Slices lie in the same windows from their start on, and in others just before it
SELECT is_empty($$
    SELECT zone, ts, size, slide
    FROM moment,
         (VALUES (interval '5 days', interval '2 days'), ('2 days', '5 days'), ('1 month', '4 days'), ('1 day', '5 hours'),
                 ('7 hours', '1 day')) AS s (size, slide),
         LATERAL streamx.window_slice(ts, 'hop', size, slide, NULL, zone) AS slice,
         LATERAL (SELECT array(SELECT hop(ts, size, slide, timezone => zone)) AS at_ts,
                         array(SELECT hop(slice, size, slide, timezone => zone)) AS at_start,
                         array(SELECT hop(slice - interval '1 microsecond', size, slide, timezone => zone)) AS before) AS windows
    WHERE random() < 0.3 AND ((slice IS NULL) <> (at_ts = '{}')
          OR slice IS NOT NULL AND (slice > ts OR at_start <> at_ts OR before = at_ts))$$,
    'slices of hop');
SELECT is_empty($$
    SELECT zone, ts, size, step
    FROM moment, (VALUES (interval '6 days', interval '2 days'), ('1 month', '1 day'), ('1 month', '12 hours'), ('1 day', '1 hour')) AS s (size, step),
         LATERAL streamx.window_slice(ts, 'cumulate', size, step, NULL, zone) AS slice,
         LATERAL (SELECT array(SELECT cumulate(ts, size, step, timezone => zone)) AS at_ts,
                         array(SELECT cumulate(slice, size, step, timezone => zone)) AS at_start,
                         array(SELECT cumulate(slice - interval '1 microsecond', size, step, timezone => zone)) AS before) AS windows
    WHERE random() < 0.3 AND (slice > ts OR at_start <> at_ts OR before = at_ts)$$,
    'slices of cumulate');

SELECT * FROM finish();
