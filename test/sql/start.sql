-- Where a view starts: with the first kept row, with the next one, or at a time; and what is kept at all
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA starting;
SET search_path = starting, public;
CREATE VIEW own_views AS SELECT v.* FROM streamx.views v JOIN pg_class c ON c.oid = view WHERE relnamespace = 'starting'::regnamespace;
CREATE VIEW own_late_rows AS SELECT l.* FROM streamx.late_rows l JOIN pg_class c ON c.oid = view WHERE relnamespace = 'starting'::regnamespace;
CREATE VIEW own_dead_letters AS SELECT d.* FROM streamx.dead_letters d JOIN pg_class c ON c.oid = stream WHERE relnamespace = 'starting'::regnamespace;
CREATE FOREIGN TABLE kept (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE FOREIGN TABLE passing (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at');

SELECT plan(40);

-- A view of a kept stream catches up in CREATE VIEW, judging with a watermark of its own
INSERT INTO kept VALUES ('2024-05-01 10:00', 1), ('2024-05-01 12:00', 2);
INSERT INTO kept VALUES ('2024-05-01 10:01', 4);
CREATE VIEW from_first WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, sum(n) FROM kept GROUP BY 1;
SELECT results_eq('SELECT sum FROM from_first ORDER BY w', 'VALUES (5::bigint), (2)', 'read in one batch, the third row is not late');
CREATE VIEW from_now WITH (streamx.continuous, streamx.start = 'latest') AS SELECT tumble(at, '1 hour') AS w, sum(n) FROM kept GROUP BY 1;
SELECT is_empty('TABLE from_now', 'latest: nothing yet');
SELECT pg_sleep(0.01);
CREATE TABLE middle AS SELECT clock_timestamp() AS at;
SELECT pg_sleep(0.01);
INSERT INTO kept VALUES ('2024-05-01 13:00', 8);
DO $$ BEGIN
	EXECUTE format('CREATE VIEW from_middle WITH (streamx.continuous, streamx.start = %L) AS
		SELECT tumble(at, ''1 hour'') AS w, sum(n) FROM kept GROUP BY 1', (SELECT at FROM middle));
END $$;
SELECT results_eq('SELECT sum FROM from_now', 'VALUES (8::bigint)', 'latest: what came since');
SELECT results_eq('SELECT sum FROM from_middle', 'VALUES (8::bigint)', 'a time: what was inserted since');
CREATE VIEW from_future WITH (streamx.continuous, streamx.start = '2999-01-01') AS SELECT sum(n) FROM kept;
SELECT results_eq('TABLE from_future', 'VALUES (NULL::bigint)', 'a time to come: nothing yet');
-- ... which is that of the session that makes the view, whoever reads it later
SET timezone = 'Asia/Tokyo';
SET datestyle = 'ISO, DMY';
CREATE VIEW in_tokyo WITH (streamx.continuous, streamx.start = '2/1/2999 09:00') AS SELECT sum(n) FROM kept;
CREATE VIEW begun WITH (streamx.continuous, streamx.start = 'now') AS SELECT sum(n) FROM kept;
SET timezone = 'UTC';
RESET datestyle;
SELECT is(start, '2999-01-02 00:00:00+00', 'kept in UTC') FROM streamx.views WHERE view = 'in_tokyo'::regclass;
SELECT ok(start <> 'now' AND start::timestamptz BETWEEN now() - interval '1 hour' AND now(), 'now is when it was made') FROM streamx.views WHERE view = 'begun'::regclass;
SELECT lives_ok($$CREATE OR REPLACE VIEW in_tokyo WITH (streamx.continuous, streamx.start = '2999-01-02') AS SELECT sum(n) FROM kept$$, 'the same time in other words is no change');
SET timezone = 'America/New_York';
SELECT lives_ok($$CREATE OR REPLACE VIEW in_tokyo WITH (streamx.continuous, streamx.start = '2/1/2999 09:00') AS SELECT sum(n) FROM kept$$, 'nor are the same words, wherever they are said');
SET timezone = 'UTC';
SELECT throws_like($$CREATE OR REPLACE VIEW in_tokyo WITH (streamx.continuous, streamx.start = '2999-01-03') AS SELECT sum(n) FROM kept$$, '%cannot change', 'another time is one');
CREATE FUNCTION replace_begun(start text, columns text) RETURNS void LANGUAGE plpgsql AS $$BEGIN
	EXECUTE format('CREATE OR REPLACE VIEW begun WITH (streamx.continuous, streamx.start = %L) AS SELECT %s FROM kept', start, columns); END$$;
CREATE TEMPORARY TABLE begun_at AS SELECT start FROM streamx.views WHERE view = 'begun'::regclass;
SELECT lives_ok($$SELECT replace_begun('now', 'sum(n)')$$, 'a script that says now may run again');
SELECT lives_ok($$SELECT replace_begun('now', 'sum(n), count(*)')$$, 'with another definition');
SELECT lives_ok($$SELECT replace_begun('now', 'sum(n), count(*)')$$, 'and again');
SELECT throws_like($$SELECT replace_begun('today', 'sum(n), count(*)')$$, '%cannot change', 'other words for another time do change it');
SELECT results_eq($$SELECT start FROM streamx.views WHERE view = 'begun'::regclass$$, 'TABLE begun_at', 'now is when it was made, still');
DROP VIEW in_tokyo, begun;
INSERT INTO kept VALUES ('2024-05-01 11:59:59', 16), ('2024-05-01 13:30', 32);
SELECT results_eq('SELECT sum FROM from_first ORDER BY w', 'VALUES (5::bigint), (2), (40)', 'the first view refused a late row');
SELECT results_eq('SELECT sum FROM from_now ORDER BY w', 'VALUES (40::bigint)', 'and so did one without its window: all share the stream''s watermark');
SELECT results_eq('SELECT sum FROM from_future', 'VALUES (48::bigint)', 'without a window it counts');
SELECT results_eq('SELECT view::text, event_time FROM own_late_rows ORDER BY 1',
	$$VALUES ('from_first', timestamptz '2024-05-01 11:59:59'), ('from_middle', '2024-05-01 11:59:59'), ('from_now', '2024-05-01 11:59:59')$$, 'recorded for each');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees') FROM own_views ORDER BY view::text;

-- What is not kept cannot be read again
INSERT INTO passing VALUES ('2024-05-01 10:00', 1);
CREATE VIEW passing_sum WITH (streamx.continuous) AS SELECT sum(n) FROM passing;
INSERT INTO passing VALUES ('2024-05-01 10:00', 2);
SELECT results_eq('TABLE passing_sum', 'VALUES (2::bigint)', 'a view of a passing stream starts now');
SELECT * FROM passing;
SELECT * FROM streamx.verify('passing_sum');
CREATE VIEW passing_first WITH (streamx.continuous, streamx.start = 'earliest') AS SELECT sum(n) FROM passing;
CREATE VIEW passing_latest WITH (streamx.continuous, streamx.start = 'latest') AS SELECT sum(n) FROM passing;
CREATE VIEW discarding WITH (streamx.continuous, streamx.late_rows = 'discard') AS SELECT tumble(at, '1 hour'), sum(n) FROM kept GROUP BY 1;
INSERT INTO kept VALUES ('2024-05-01 10:00', 1);
SELECT is(count(*), 0::bigint, 'discarded late rows are not kept') FROM own_late_rows WHERE view = 'discarding'::regclass;
SELECT * FROM streamx.verify('discarding');

-- A paused stream takes no rows
SELECT streamx.pause('passing');
INSERT INTO passing VALUES ('2024-05-01 10:00', 4);
SELECT results_eq('TABLE passing_sum', 'VALUES (2::bigint)', 'nothing arrived');
SELECT streamx.resume('passing');
INSERT INTO passing VALUES ('2024-05-01 10:00', 8);
SELECT results_eq('TABLE passing_sum', 'VALUES (10::bigint)', 'after resume it goes on');
SELECT streamx.pause('passing_sum');

-- A row that a view cannot take is an error of the inserter, who can try again
CREATE VIEW quotient WITH (streamx.continuous) AS SELECT 100 / n AS q, count(*) FROM kept GROUP BY 1;
INSERT INTO kept VALUES ('2024-05-05', 1), ('2024-05-05', 0);
SELECT is(sum(count), 7::numeric, 'the error undid the transaction') FROM quotient;
-- (incompressible, or the index would take it)
CREATE FUNCTION noise(n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT string_agg(md5(i::text), '') FROM generate_series(1, n) i $$;
CREATE VIEW wide WITH (streamx.continuous) AS SELECT noise(n) AS k, count(*) FROM kept WHERE n < 500 GROUP BY 1;
INSERT INTO kept VALUES ('2024-05-05', 400);
DROP VIEW wide, quotient;
INSERT INTO kept VALUES ('2024-05-05', 0), ('2024-05-05', 400);
SELECT results_eq('SELECT n FROM kept ORDER BY at DESC, n LIMIT 2', 'VALUES (0), (400)', 'without those views the rows are good');
-- ... unless the stream says otherwise: then the row is a dead letter of that view
CREATE FOREIGN TABLE lenient (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', on_error 'dead_letter', retain 'on');
CREATE VIEW lenient_sum WITH (streamx.continuous) AS SELECT sum(n) FROM lenient;
CREATE VIEW lenient_quotient WITH (streamx.continuous) AS SELECT sum(100 / n) FROM lenient;
BEGIN;
INSERT INTO lenient SELECT '2024-05-05', i % 50 FROM generate_series(1, 100) i;
SELECT results_eq('TABLE lenient_sum', 'VALUES (2450::bigint)', 'one view takes all rows');
COMMIT;
SELECT results_eq('SELECT sum FROM lenient_quotient', 'SELECT 2 * sum(100 / i) FROM generate_series(1, 49) i', 'the other all but two');
SELECT results_eq($$SELECT view::text, sqlstate, message, "row"->>'n', "offset" FROM own_dead_letters ORDER BY "offset"$$,
	$$VALUES ('lenient_quotient', '22012', 'division by zero', '0', 49::bigint), ('lenient_quotient', '22012', 'division by zero', '0', 99)$$, 'which are dead letters');
SELECT is_empty($$SELECT * FROM streamx.verify('lenient_quotient')$$, 'verify agrees');
BEGIN;
INSERT INTO lenient VALUES ('2024-05-05', 0);
SAVEPOINT one;
SELECT is(count(*), 3::bigint, 'a third one') FROM own_dead_letters;
ROLLBACK;
SELECT is(count(*), 2::bigint, 'rolled back as all else') FROM own_dead_letters;
CREATE VIEW lenient_late WITH (streamx.continuous) AS SELECT sum(100 / n) FROM lenient;
SELECT results_eq('TABLE lenient_late', 'TABLE lenient_quotient', 'for a view that is made later, too');
SELECT lives_ok($$SELECT streamx.rebuild('lenient_quotient')$$, 'and for one that is rebuilt');
SELECT results_eq($$SELECT view::text, count(*) FROM own_dead_letters GROUP BY 1 ORDER BY 1$$, $$VALUES ('lenient_late', 2::bigint), ('lenient_quotient', 2)$$, 'each has its own');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), 'verify agrees') FROM unnest('{lenient_late,lenient_quotient}'::text[]) view;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA starting CASCADE;
