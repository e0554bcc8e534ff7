-- Event times of every type, windows at their edges, and event times that are refused
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'America/New_York';
CREATE SCHEMA event_time;
SET search_path = event_time, public;
CREATE VIEW own_views AS SELECT v.* FROM streamx.views v JOIN pg_class c ON c.oid = view WHERE relnamespace = 'event_time'::regnamespace;
CREATE VIEW own_late_rows AS SELECT l.* FROM streamx.late_rows l JOIN pg_class c ON c.oid = view WHERE relnamespace = 'event_time'::regnamespace;
SELECT plan(40);

-- timestamp without time zone: windows are tsrange, read as written whatever the session's zone
CREATE FOREIGN TABLE local_events (at timestamp, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW local_hours WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, count(*), sum(n) FROM local_events GROUP BY 1;
CREATE VIEW local_shifted WITH (streamx.continuous) AS
	SELECT tumble(at, '1 day', origin => '2024-01-01 06:00') AS w, sum(n) FROM local_events GROUP BY 1;
INSERT INTO local_events VALUES ('2024-05-01 10:00', 1), ('2024-05-01 10:59:59.999999', 2), ('2024-05-01 11:00', 3), ('2024-05-01 05:59', 4);
SELECT results_eq('SELECT * FROM local_hours ORDER BY w',
	$$VALUES (tsrange('2024-05-01 05:00', '2024-05-01 06:00'), 1::bigint, 4::bigint),
	         (tsrange('2024-05-01 10:00', '2024-05-01 11:00'), 2, 3), (tsrange('2024-05-01 11:00', '2024-05-01 12:00'), 1, 3)$$,
	'a window holds its start, not its end');
SELECT results_eq('SELECT w, sum FROM local_shifted ORDER BY w',
	$$VALUES (tsrange('2024-04-30 06:00', '2024-05-01 06:00'), 4::bigint), (tsrange('2024-05-01 06:00', '2024-05-02 06:00'), 6)$$, 'origin moves windows');
SELECT is(streamx.watermark('local_events'), '2024-05-01 11:00Z', 'a timestamp counts as UTC');
INSERT INTO local_events VALUES ('2024-05-01 10:30', 100);
SELECT results_eq($$SELECT view::text, event_time, refused_through FROM own_late_rows$$,
	$$VALUES ('local_hours', timestamptz '2024-05-01 10:30Z', timestamptz '2024-05-01 11:00Z')$$, 'the day is still open');

-- date
CREATE FOREIGN TABLE daily (day date, n int) SERVER streamx OPTIONS (event_time 'day', retain 'on');
CREATE VIEW weeks WITH (streamx.continuous) AS SELECT tumble(day, '7 days') AS w, sum(n) FROM daily GROUP BY 1;
CREATE VIEW days WITH (streamx.continuous) AS SELECT day, sum(n) FROM daily GROUP BY 1;
INSERT INTO daily VALUES ('2024-05-01', 1), ('2024-05-02', 2), ('2024-05-08', 4), ('1969-12-31', 8);
SELECT results_eq('SELECT lower(w)::date, sum FROM weeks ORDER BY w',
	$$VALUES ('1969-12-25'::date, 8::bigint), ('2024-04-25', 1), ('2024-05-02', 6)$$, 'weeks start on Thursdays, as 1970 did');
SELECT is(streamx.watermark('daily'), '2024-05-08 00:00Z', 'a day begins at midnight UTC');

-- before 1970, before 2000, before Christ: floor, not truncation
CREATE FOREIGN TABLE history (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW eras WITH (streamx.continuous) AS SELECT tumble(at, '5 minutes') AS w, sum(n) FROM history GROUP BY 1;
INSERT INTO history VALUES ('1969-12-31 23:59:59.999999Z', 1), ('1970-01-01 00:00Z', 2), ('1999-12-31 23:57Z', 4),
	('0044-03-15 12:00Z BC', 8), ('4714-11-24 00:07Z BC', 16);
SELECT results_eq($$SELECT lower(w) AT TIME ZONE 'UTC', sum FROM eras ORDER BY w$$,
	$$VALUES ('4714-11-24 00:05 BC'::timestamp, 16::bigint), ('0044-03-15 12:00 BC', 8), ('1969-12-31 23:55', 1), ('1970-01-01 00:00', 2), ('1999-12-31 23:55', 4)$$,
	'every instant has its window');
SELECT is_empty($$SELECT * FROM streamx.verify('eras')$$, 'verify agrees');

-- Event times that cannot be are errors of the inserter
SELECT throws_like($$INSERT INTO history VALUES (NULL, 1)$$, '%event%time%', 'NULL is no event time');
SELECT throws_like($$INSERT INTO history VALUES ('infinity', 1)$$, '%infinit%', 'infinity is none');
SELECT throws_like($$INSERT INTO history VALUES ('-infinity', 1)$$, '%infinit%', '-infinity is none');
SELECT throws_like($$INSERT INTO daily VALUES ('infinity', 1)$$, '%infinit%', 'nor is an infinite date');
SELECT throws_like($$INSERT INTO local_events VALUES ('-infinity', 1)$$, '%infinit%', 'nor an infinite timestamp');
SELECT throws_like($$INSERT INTO history VALUES (now() + interval '61 minutes', 1)$$, '%ahead of the clock', 'what is more than an hour ahead is a mistake');
SELECT throws_like($$INSERT INTO history VALUES ('9999-12-31', 1)$$, '%ahead of the clock', 'and so is the year 9999');
SELECT throws_like($$INSERT INTO daily VALUES ('5000000-01-01', 1)$$, '%', 'and a date beyond timestamps');
SELECT throws_like($$INSERT INTO history SELECT timestamptz '2024-05-01' + i * interval '1 s', i FROM generate_series(1, 10) i UNION ALL SELECT 'infinity', 0$$,
	'%infinit%', 'one bad row fails the statement');
SELECT is(streamx.watermark('history'), '1999-12-31 23:57Z', 'none of them moved the watermark');
SELECT results_eq('SELECT count(*), sum(sum) FROM eras', 'VALUES (5::bigint, 31::numeric)', 'or the view');
CREATE FOREIGN TABLE patient (at timestamptz) SERVER streamx OPTIONS (event_time 'at', max_future '3650 days', watermark_delay '2 hours');
CREATE VIEW patience WITH (streamx.continuous) AS SELECT count(*) FROM patient;
SELECT lives_ok($$INSERT INTO patient VALUES (now() + interval '9 years')$$, 'max_future allows more');
SELECT throws_like($$INSERT INTO patient VALUES (now() + interval '3651 days')$$, '%is more than 87600:00:00 ahead of the clock', 'but no more than that');
SELECT cmp_ok(streamx.watermark('patient'), '<', (now() + interval '9 years' - interval '119 minutes')::timestamptz, 'watermark_delay holds back the watermark');

-- At the edge: the clock is read after the row is made
CREATE FOREIGN TABLE prompt (at timestamptz) SERVER streamx OPTIONS (event_time 'at', max_future '0');
CREATE VIEW promptness WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, count(*) FROM prompt GROUP BY 1;
SELECT lives_ok($$INSERT INTO prompt VALUES (clock_timestamp())$$, 'rule 7: what is not ahead of the clock is no mistake');
SELECT lives_ok($$INSERT INTO history VALUES (clock_timestamp() + interval '1 hour')$$, 'rule 7: nor is what is an hour ahead');
SELECT throws_like($$INSERT INTO prompt VALUES (clock_timestamp() + interval '1 minute')$$, '%is more than 00:00:00 ahead of the clock', 'rule 7: with max_future 0 nothing may be ahead');

-- A stream without event_time: any timestamp makes windows, nothing is late, there is no watermark
CREATE FOREIGN TABLE untimed_events (at timestamptz, at2 timestamp, n int) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW untimed_hours WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, sum(n) FROM untimed_events WHERE at IS NOT NULL GROUP BY 1;
CREATE VIEW untimed_days WITH (streamx.continuous) AS SELECT sum(n), tumble(at2, '1 day') AS w FROM untimed_events WHERE at2 IS NOT NULL GROUP BY 2;
INSERT INTO untimed_events VALUES ('2024-05-01 10:00Z', '2024-05-01', 1), ('2424-05-01 10:00Z', NULL, 2);
INSERT INTO untimed_events VALUES ('2024-05-01 10:00Z', NULL, 4), (NULL, '1924-05-01', 8);
SELECT results_eq($$SELECT sum FROM untimed_hours ORDER BY w$$, 'VALUES (5::bigint), (2)', 'an hour may be fed for ever');
SELECT results_eq($$SELECT sum FROM untimed_days ORDER BY w$$, 'VALUES (8::bigint), (1)', 'by either column');
SELECT is(streamx.watermark('untimed_events'), NULL, 'there is no watermark');
SELECT results_eq($$SELECT count(*) FROM own_late_rows WHERE stream = 'untimed_events'::regclass$$, 'VALUES (0::bigint)', 'nothing is late');
-- infinity is in no window here, either; it is found when the row is merged
INSERT INTO untimed_events VALUES ('infinity', NULL, 1);
-- a NULL time belongs to no window: it makes a group of its own, as in a batch
CREATE VIEW untimed_null WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, count(*) FROM untimed_events GROUP BY 1;
SELECT results_eq('SELECT w IS NULL, count FROM untimed_null ORDER BY w', 'VALUES (false, 2::bigint), (false, 1), (true, 1)', 'NULL times are a group');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees')
	FROM own_views WHERE view::text ~ '^(local|untimed|weeks|days)' ORDER BY view::text;

-- The counters tell by view what became of late rows
CREATE FOREIGN TABLE counted (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW counted_hops WITH (streamx.continuous) AS SELECT hop(at, '10 minutes', '5 minutes') AS w, sum(n) FROM counted GROUP BY 1;
CREATE VIEW counted_samples WITH (streamx.continuous) AS SELECT hop(at, '5 minutes', '10 minutes') AS w, sum(n) FROM counted GROUP BY 1;
INSERT INTO counted VALUES ('2024-05-01 10:20Z', 1);
INSERT INTO counted VALUES ('2024-05-01 10:17Z', 2), ('2024-05-01 10:08Z', 4), ('2024-05-01 10:02Z', 8);
SELECT results_eq($$SELECT view::text, rows, late_rows, partly_late_rows, rows_in_no_window FROM streamx.stat_views
	WHERE stream = 'counted'::regclass ORDER BY 1$$,
	$$VALUES ('counted_hops', 2::bigint, 2::bigint, 1::bigint, 0::bigint), ('counted_samples', 1, 1, 0, 2)$$,
	'rule 12: a row may be late for all windows or for some, rule 4: or in none');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees') FROM own_views WHERE view::text ~ '^counted' ORDER BY view::text;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA event_time CASCADE;
