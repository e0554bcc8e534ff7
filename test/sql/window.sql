-- Tumbling windows in SQL: boundaries, alignment, types, refusals
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

-- Sizes that are refused
SELECT throws_ok($$SELECT tumble(now(), '0')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '-5 minutes')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '1 day -24 hours')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '-1 month')$$, '22023', 'a window size must be positive');
SELECT throws_ok($$SELECT tumble(now(), '1 month 1 hour')$$, '22023',
                 'a window size cannot mix months with days or time');
SELECT throws_ok($$SELECT tumble(now(), '2147483647 days')$$, '22023', 'window size out of range');
SELECT throws_ok($$SELECT tumble(now(), '1 month')$$, '0A000',
                 'calendar window sizes are not supported yet');
SELECT throws_ok($$SELECT tumble(now(), '1 day', timezone => 'Europe/Berlin')$$, '0A000',
                 'calendar window sizes are not supported yet');
SELECT lives_ok($$SELECT tumble(now(), '1 day', timezone => 'Etc/UTC')$$,
                'UTC by another name is UTC');
SELECT throws_ok($$SELECT tumble(now(), '1 hour', timezone => 'Atlantis')$$, '22023',
                 'time zone "Atlantis" not recognized');
SELECT throws_ok($$SELECT tumble(now(), '1 hour', timezone => repeat('x', 1000))$$, '22023');
SELECT throws_ok($$SELECT tumble(now(), '1 hour', 'infinity')$$, '22023',
                 'the origin of windows must be finite');

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

-- What views store is the same window
SELECT is_empty($$
    SELECT ts, size
    FROM (SELECT timestamptz '1900-01-01' + random() * interval '300 years',
                 make_interval(secs => ceil(random() * 1e6)),
                 timestamptz '1900-01-01' + random() * interval '300 years'
          FROM generate_series(1, 10000)) AS t (ts, size, origin)
    WHERE streamx.tumble_range(streamx.tumble_slice(ts, size, origin), size)
          <> tumble(ts, size, origin)$$,
    'tumble_range of tumble_slice is tumble');
SELECT is(streamx.tumble_slice(date '2024-05-01', '7 days', '1970-01-01'), timestamp '2024-04-25',
          'the slice of a date is a timestamp');

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

SELECT * FROM finish();
