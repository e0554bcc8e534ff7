-- Windows are removed once their end + retention is passed, refused rows once refused_retention is
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA retention;
SET search_path = retention, public;
CREATE VIEW own_removals AS SELECT r.* FROM streamx_internal.removal r JOIN pg_class c ON c.oid = view WHERE relnamespace = 'retention'::regnamespace;
-- rows of a view's state table: what is stored, whatever is shown
CREATE FUNCTION stored(view regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	state regclass := (SELECT v.state FROM streamx.views v WHERE v.view = $1);
	count bigint;
BEGIN
	EXECUTE 'SELECT count(*) FROM ' || state INTO count;
	RETURN count;
END $$;
-- and rows of its tables of inputs
CREATE FUNCTION inputs_of(view regclass) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	name regclass;
	one bigint;
	count bigint := 0;
BEGIN
	FOR name IN SELECT unnest(v.inputs) FROM streamx.views v WHERE v.view = $1 LOOP
		EXECUTE 'SELECT count(*) FROM ' || name INTO one;
		count := count + one;
	END LOOP;
	RETURN count;
END $$;
SELECT plan(93);

-- What makes no sense is refused
CREATE FOREIGN TABLE timeless (at timestamptz, n int) SERVER streamx;
CREATE FOREIGN TABLE orders (at timestamptz, item int, amount int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention = '1 day') AS SELECT count(*) FROM orders;
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention = '1 day') AS SELECT tumble(at, '1 hour'), count(*) FROM timeless GROUP BY 1;
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention = '1 hour', streamx.allowed_lateness = '61 minutes') AS
	SELECT tumble(at, '1 hour'), count(*) FROM orders GROUP BY 1;
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention = '59 minutes 59 seconds', streamx.allowed_lateness = '30 minutes') AS
	SELECT session(at, '30 minutes'), count(*) FROM orders GROUP BY 1;
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention = '10 minutes') AS
	SELECT session(at, '30 minutes'), count(*) FROM orders GROUP BY 1;
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention = '-1 day') AS SELECT tumble(at, '1 hour'), count(*) FROM orders GROUP BY 1;
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention = '1 month') AS SELECT tumble(at, '1 hour'), count(*) FROM orders GROUP BY 1;
CREATE VIEW wrong WITH (streamx.continuous, streamx.retention) AS SELECT tumble(at, '1 hour'), count(*) FROM orders GROUP BY 1;
CREATE VIEW wrong WITH (streamx.continuous, streamx.refused_retention = '0') AS SELECT count(*) FROM orders;
CREATE VIEW wrong WITH (streamx.continuous, streamx.refused_retention = '-1 s') AS SELECT count(*) FROM orders;
DROP FOREIGN TABLE timeless;

-- Tumbling windows
CREATE VIEW kept WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, count(*) AS n, sum(amount) AS total FROM orders GROUP BY 1;
CREATE VIEW tumbling WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT tumble(at, '10 minutes') AS w, count(*) AS n, sum(amount) AS total FROM orders GROUP BY 1;
-- as late as a window may be removed, as early as its rows may be late
CREATE VIEW sealing WITH (streamx.continuous, streamx.allowed_lateness = '30 minutes', streamx.retention = '30 minutes') AS
	SELECT tumble(at, '10 minutes') AS w, sum(amount) AS total FROM orders GROUP BY 1;
SELECT results_eq($$SELECT view::text, retention, refused_retention FROM streamx.views WHERE view = 'tumbling'::regclass$$,
	$$VALUES ('tumbling', interval '1 hour', NULL::interval)$$, 'the catalog has the option');
INSERT INTO orders VALUES ('2024-05-01 10:01', 1, 1), ('2024-05-01 10:05', 2, 2), ('2024-05-01 10:10', 1, 4);
SELECT results_eq($$SELECT lower(w)::time, n, total FROM tumbling ORDER BY 1$$,
	$$VALUES ('10:00'::time, 2::bigint, 3::bigint), ('10:10', 1, 4)$$, 'nothing is old yet');
SELECT is_empty($$SELECT * FROM streamx.verify('tumbling')$$, 'verify agrees before a window is removed');

INSERT INTO orders VALUES ('2024-05-01 10:39:59.999999', 1, 8);
INSERT INTO orders VALUES ('2024-05-01 10:02', 1, 16);
SELECT results_eq($$SELECT lower(w)::time, total FROM sealing ORDER BY 1$$,
	$$VALUES ('10:00'::time, 19::bigint), ('10:10', 4), ('10:30', 8)$$, 'a window that takes rows is shown');
INSERT INTO orders VALUES ('2024-05-01 10:40', 1, 32);
INSERT INTO orders VALUES ('2024-05-01 10:03', 1, 64);
SELECT results_eq($$SELECT lower(w)::time, total FROM sealing ORDER BY 1$$,
	$$VALUES ('10:10'::time, 4::bigint), ('10:30', 8), ('10:40', 32)$$, 'it goes when it is sealed');
SELECT results_eq($$SELECT l.event_time, l.refused_through FROM streamx.late_rows l WHERE view = 'sealing'::regclass$$,
	$$VALUES (timestamptz '2024-05-01 10:03', timestamptz '2024-05-01 10:10')$$, 'and takes no row from then on');

INSERT INTO orders VALUES ('2024-05-01 11:09:59.999999', 1, 128);
SELECT is((SELECT min(lower(w)) FROM tumbling), '2024-05-01 10:00', 'a microsecond before its time a window is shown');
INSERT INTO orders VALUES ('2024-05-01 11:10', 1, 256);
SELECT is((SELECT min(lower(w)) FROM tumbling), '2024-05-01 10:10', 'then it is gone, and it alone');
SELECT results_eq('SELECT * FROM tumbling EXCEPT ALL SELECT * FROM kept', 'SELECT * FROM kept LIMIT 0', 'what is left is unchanged');
SELECT results_eq('SELECT lower(w)::time, n, total FROM kept EXCEPT ALL SELECT lower(w)::time, n, total FROM tumbling',
	$$VALUES ('10:00'::time, 2::bigint, 3::bigint)$$, 'a view without the option keeps all');
SELECT is(stored('tumbling'), (SELECT count(*) FROM tumbling), 'few rows are deleted at once');
SELECT results_eq($$SELECT removed_through FROM own_removals WHERE view = 'tumbling'::regclass$$,
	$$VALUES (timestamptz '2024-05-01 10:10')$$, 'the removal is recorded');

-- Verify leaves out what is removed, and says so
SET client_min_messages = notice;
SELECT is_empty($$SELECT * FROM streamx.verify('tumbling')$$, 'verify agrees after a window was removed');
SET client_min_messages = warning;
SELECT is_empty($$SELECT * FROM streamx.verify('sealing')$$, 'as it does with allowed lateness');
SELECT is_empty($$SELECT * FROM streamx.verify('kept')$$, 'and without retention');

-- What is rolled back was never removed
BEGIN;
INSERT INTO orders VALUES ('2024-05-01 11:20', 1, 1);
SELECT is((SELECT min(lower(w)) FROM tumbling), '2024-05-01 10:30', 'a transaction sees the removal that its rows bring');
ROLLBACK;
SELECT is((SELECT min(lower(w)) FROM tumbling), '2024-05-01 10:10', 'rolled back, the window is there again');
BEGIN;
SAVEPOINT before_removal;
INSERT INTO orders VALUES ('2024-05-01 11:20', 1, 1);
SELECT is((SELECT min(lower(w)) FROM tumbling), '2024-05-01 10:30', 'so does a subtransaction');
ROLLBACK TO before_removal;
INSERT INTO orders VALUES ('2024-05-01 11:19:59.999999', 1, 1);
SELECT is((SELECT min(lower(w)) FROM tumbling), '2024-05-01 10:10', 'and when it is rolled back, too');
COMMIT;
SELECT is_empty($$SELECT * FROM streamx.verify('tumbling')$$, 'verify agrees');
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO orders VALUES ('2024-05-01 11:20', 1, 1);
COMMIT;
SELECT is((SELECT min(lower(w)) FROM tumbling), '2024-05-01 10:30', 'at REPEATABLE READ windows are removed as well');

-- A new view over old rows shows what it would show had it been there
CREATE VIEW later WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT tumble(at, '10 minutes') AS w, count(*) AS n, sum(amount) AS total FROM orders GROUP BY 1;
SELECT is((SELECT min(lower(w)) FROM later), '2024-05-01 10:30', 'catching up removes windows, too');
SELECT is_empty($$SELECT * FROM streamx.verify('later')$$, 'and it is right');

-- Other types of time are compared as they read
CREATE FOREIGN TABLE local_times (at timestamp, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW local_windows WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT tumble(at, '10 minutes') AS w, sum(n) FROM local_times GROUP BY 1;
CREATE FOREIGN TABLE days (day date, n int) SERVER streamx OPTIONS (event_time 'day', retain 'on');
CREATE VIEW day_windows WITH (streamx.continuous, streamx.retention = '2 days') AS
	SELECT tumble(day, '1 day') AS w, sum(n) FROM days GROUP BY 1;
SET timezone = 'America/New_York';
INSERT INTO local_times VALUES ('2024-05-01 10:01', 1), ('2024-05-01 11:09:59.999999', 2);
SELECT results_eq('SELECT lower(w), sum FROM local_windows ORDER BY 1',
	$$VALUES (timestamp '2024-05-01 10:00', 1::bigint), ('2024-05-01 11:00', 2)$$, 'timestamp: not yet');
INSERT INTO local_times VALUES ('2024-05-01 11:10', 4);
SELECT results_eq('SELECT lower(w), sum FROM local_windows ORDER BY 1',
	$$VALUES (timestamp '2024-05-01 11:00', 2::bigint), ('2024-05-01 11:10', 4)$$, 'timestamp: now');
INSERT INTO days VALUES ('2024-05-01', 1), ('2024-05-03', 2);
SELECT results_eq('SELECT lower(w)::date, sum FROM day_windows ORDER BY 1', $$VALUES (date '2024-05-01', 1::bigint), ('2024-05-03', 2)$$, 'date: not yet');
INSERT INTO days VALUES ('2024-05-04', 4);
SELECT results_eq('SELECT lower(w)::date, sum FROM day_windows ORDER BY 1', $$VALUES (date '2024-05-03', 2::bigint), ('2024-05-04', 4)$$, 'date: now');
SELECT is_empty($$SELECT * FROM streamx.verify('local_windows') UNION ALL SELECT * FROM streamx.verify('day_windows')$$, 'verify agrees');
SET timezone = 'UTC';

-- Hopping windows share slices: a slice is deleted with the last of its windows
CREATE FOREIGN TABLE clicks (at timestamptz, page text, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW hopping WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT hop(at, '10 minutes', '5 minutes') AS w, sum(n) AS total FROM clicks GROUP BY 1;
CREATE VIEW cumulating WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT cumulate(at, '1 hour', '20 minutes') AS w, sum(n) AS total FROM clicks GROUP BY 1;
INSERT INTO clicks VALUES ('2024-05-01 10:01', 'a', 1), ('2024-05-01 10:07', 'a', 2);
SELECT results_eq('SELECT lower(w)::time, upper(w)::time, total FROM hopping ORDER BY 1',
	$$VALUES ('09:55'::time, '10:05'::time, 1::bigint), ('10:00', '10:10', 3), ('10:05', '10:15', 2)$$, 'hop: nothing is old yet');
INSERT INTO clicks VALUES ('2024-05-01 11:05', 'a', 4);
SELECT results_eq('SELECT lower(w)::time, upper(w)::time, total FROM hopping ORDER BY 1',
	$$VALUES ('10:00'::time, '10:10'::time, 3::bigint), ('10:05', '10:15', 2), ('11:00', '11:10', 4), ('11:05', '11:15', 4)$$,
	'hop: the next window keeps the rows they shared');
SELECT is(stored('hopping'), 3::bigint, 'hop: a slice that is in use is stored');
SELECT is_empty($$SELECT * FROM streamx.verify('hopping')$$, 'hop: verify agrees');
INSERT INTO clicks VALUES ('2024-05-01 11:09:59.999999', 'a', 8);
SELECT is((SELECT min(upper(w)) FROM hopping), '2024-05-01 10:10', 'hop: a microsecond before');
INSERT INTO clicks VALUES ('2024-05-01 11:10', 'a', 16);
SELECT is((SELECT min(upper(w)) FROM hopping), '2024-05-01 10:15', 'hop: the microsecond');
SELECT is(stored('hopping'), 3::bigint, 'hop: its first slice is in no window any more');
SELECT is_empty($$SELECT * FROM streamx.verify('hopping')$$, 'hop: verify agrees');
SELECT results_eq('SELECT lower(w)::time, upper(w)::time, total FROM cumulating ORDER BY 1, 2',
	$$VALUES ('10:00'::time, '10:20'::time, 3::bigint), ('10:00', '10:40', 3), ('10:00', '11:00', 3),
	         ('11:00', '11:20', 28), ('11:00', '11:40', 28), ('11:00', '12:00', 28)$$, 'cumulate: nothing is old yet');
INSERT INTO clicks VALUES ('2024-05-01 11:40', 'a', 32);
SELECT results_eq('SELECT lower(w)::time, upper(w)::time, total FROM cumulating ORDER BY 1, 2',
	$$VALUES ('10:00'::time, '11:00'::time, 3::bigint),
	         ('11:00', '11:20', 28), ('11:00', '11:40', 28), ('11:00', '12:00', 60)$$, 'cumulate: the shorter windows go first');
SELECT is(stored('cumulating'), 3::bigint, 'cumulate: what the longest one needs is stored');
SELECT is_empty($$SELECT * FROM streamx.verify('cumulating')$$, 'cumulate: verify agrees');
INSERT INTO clicks VALUES ('2024-05-01 12:00', 'a', 64);
SELECT is((SELECT min(upper(w)) FROM cumulating), '2024-05-01 11:20', 'cumulate: then the longest');
SELECT is(stored('cumulating'), 3::bigint, 'cumulate: and with it its slices');
SELECT is_empty($$SELECT * FROM streamx.verify('cumulating') UNION ALL SELECT * FROM streamx.verify('hopping')$$, 'verify agrees');

-- Sessions: one that began before others may end after them
CREATE FOREIGN TABLE visits (at timestamptz, visitor text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW visiting WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes', streamx.retention = '1 hour') AS
	SELECT session(at, '10 minutes') AS w, visitor, count(*) AS n FROM visits GROUP BY 1, 2;
INSERT INTO visits
	SELECT '2024-05-01 10:00'::timestamptz + i * interval '8 minutes', 'long' FROM generate_series(0, 6) i
	UNION ALL VALUES (timestamptz '2024-05-01 10:01', 'short'), ('2024-05-01 10:05', 'short');
INSERT INTO visits VALUES ('2024-05-01 11:14:59.999999', 'other');
SELECT results_eq('SELECT visitor, lower(w)::time, upper(w)::time, n FROM visiting ORDER BY 1',
	$$VALUES ('long', '10:00'::time, '10:58'::time, 7::bigint), ('other', '11:14:59.999999', '11:24:59.999999', 1), ('short', '10:01', '10:15', 2)$$,
	'session: not yet');
INSERT INTO visits VALUES ('2024-05-01 11:15', 'other');
SELECT results_eq('SELECT visitor, n FROM visiting ORDER BY 1', $$VALUES ('long', 7::bigint), ('other', 2)$$,
	'session: the short one goes, the long one stays');
SELECT is_empty($$SELECT * FROM streamx.verify('visiting')$$, 'session: verify agrees');
INSERT INTO visits VALUES ('2024-05-01 11:58', 'last');
SELECT results_eq('SELECT visitor, n FROM visiting ORDER BY 1', $$VALUES ('last', 1::bigint), ('other', 2)$$, 'session: the long one goes');
SELECT is(stored('visiting'), 2::bigint, 'session: both are deleted');
SELECT is_empty($$SELECT * FROM streamx.verify('visiting')$$, 'session: verify agrees');

-- Days of a zone: the last Sunday of March has 23 hours in Berlin
CREATE FOREIGN TABLE berlin_times (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW berlin_days WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT tumble(at, '1 day', timezone => 'Europe/Berlin') AS w, sum(n) FROM berlin_times GROUP BY 1;
INSERT INTO berlin_times VALUES ('2024-03-30 23:00Z', 1), ('2024-03-31 21:59:59Z', 2), ('2024-03-31 22:59:59.999999Z', 4);
SELECT results_eq('SELECT upper(w), sum FROM berlin_days ORDER BY 1',
	$$VALUES (timestamptz '2024-03-31 22:00Z', 3::bigint), ('2024-04-01 22:00Z', 4)$$, 'calendar: not yet');
INSERT INTO berlin_times VALUES ('2024-03-31 23:00Z', 8);
SELECT results_eq('SELECT upper(w), sum FROM berlin_days ORDER BY 1', $$VALUES (timestamptz '2024-04-01 22:00Z', 12::bigint)$$, 'calendar: now');
SELECT is(stored('berlin_days'), 1::bigint, 'calendar: deleted');

-- Step by step the same as the rule says: the query over a table, without what ended 20 minutes before its last row
CREATE FOREIGN TABLE walk (at timestamptz, k int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE walk_table (at timestamptz, k int);
CREATE VIEW walk_tumble WITH (streamx.continuous, streamx.retention = '20 minutes') AS
	SELECT tumble(at, '7 minutes') AS w, k, count(*) AS n FROM walk GROUP BY 1, 2;
CREATE VIEW walk_hop WITH (streamx.continuous, streamx.retention = '20 minutes') AS
	SELECT hop(at, '7 minutes', '5 minutes') AS w, k, count(*) AS n FROM walk GROUP BY 1, 2;
SET client_min_messages = error; -- slide > size: a warning
CREATE VIEW walk_sample WITH (streamx.continuous, streamx.retention = '20 minutes') AS
	SELECT hop(at, '5 minutes', '8 minutes') AS w, k, count(*) AS n FROM walk GROUP BY 1, 2;
SET client_min_messages = warning;
CREATE VIEW walk_cumulate WITH (streamx.continuous, streamx.retention = '20 minutes') AS
	SELECT cumulate(at, '30 minutes', '10 minutes') AS w, k, count(*) AS n FROM walk GROUP BY 1, 2;
CREATE VIEW walk_session WITH (streamx.continuous, streamx.retention = '20 minutes') AS
	SELECT session(at, '6 minutes') AS w, k, count(*) AS n FROM walk GROUP BY 1, 2;
CREATE VIEW walk_shown AS
	SELECT 'tumble' AS kind, * FROM walk_tumble UNION ALL SELECT 'hop', * FROM walk_hop
	UNION ALL SELECT 'sample', * FROM walk_sample UNION ALL SELECT 'cumulate', * FROM walk_cumulate
	UNION ALL SELECT 'session', * FROM walk_session;
CREATE VIEW walk_expected AS
	WITH sessions AS (
		SELECT tstzrange(min(at), max(at) + interval '6 minutes') AS w, k, count(*) AS n
		FROM (SELECT *, sum(is_first) OVER (PARTITION BY k ORDER BY at) AS number
		      FROM (SELECT *, ((at - lag(at) OVER (PARTITION BY k ORDER BY at) <= interval '6 minutes') IS NOT TRUE)::int AS is_first
		            FROM walk_table) f) s
		GROUP BY k, number),
	windows AS (
		SELECT 'tumble' AS kind, tumble(at, '7 minutes') AS w, k, count(*) AS n FROM walk_table GROUP BY 1, 2, 3
		UNION ALL SELECT 'hop', w, k, count(*) FROM walk_table, hop(at, '7 minutes', '5 minutes') w GROUP BY 1, 2, 3
		UNION ALL SELECT 'sample', w, k, count(*) FROM walk_table, hop(at, '5 minutes', '8 minutes') w GROUP BY 1, 2, 3
		UNION ALL SELECT 'cumulate', w, k, count(*) FROM walk_table, cumulate(at, '30 minutes', '10 minutes') w GROUP BY 1, 2, 3
		UNION ALL SELECT 'session', w, k, n FROM sessions)
	SELECT * FROM windows WHERE upper(w) + interval '20 minutes' > (SELECT max(at) FROM walk_table);
CREATE FUNCTION take_walk(steps int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz := '2024-05-01 10:00';
BEGIN
	FOR step IN 1 .. steps LOOP
		at := at + (step * step * 37 % 241) * interval '1 second';
		INSERT INTO walk VALUES (at, step * 5 % 7 % 3);
		INSERT INTO walk_table VALUES (at, step * 5 % 7 % 3);
		RETURN QUERY SELECT format('step %s: missing %s', step, e) FROM (SELECT * FROM walk_expected EXCEPT ALL SELECT * FROM walk_shown) e;
		RETURN QUERY SELECT format('step %s: extra %s', step, e) FROM (SELECT * FROM walk_shown EXCEPT ALL SELECT * FROM walk_expected) e;
	END LOOP;
END $$;
SELECT is_empty('SELECT * FROM take_walk(150)', 'each step of a walk shows what it should');
SELECT cmp_ok((SELECT count(*) FROM walk_table), '=', 150::bigint, 'it was taken');
SELECT is(stored('walk_tumble'), (SELECT count(*) FROM walk_tumble), 'tumble: nothing else is stored');
SELECT cmp_ok(stored('walk_hop') + stored('walk_sample') + stored('walk_cumulate') + stored('walk_session'), '<', 100::bigint,
	'nor much of the others');
SELECT is_empty($$SELECT * FROM streamx.verify('walk_tumble') UNION ALL SELECT * FROM streamx.verify('walk_hop')
	UNION ALL SELECT * FROM streamx.verify('walk_sample') UNION ALL SELECT * FROM streamx.verify('walk_cumulate')
	UNION ALL SELECT * FROM streamx.verify('walk_session')$$, 'verify agrees');

-- Many rows are hidden at once and deleted in steps
CREATE FOREIGN TABLE many (at timestamptz, item int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW items WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT tumble(at, '10 minutes') AS w, item, count(*) AS n FROM many GROUP BY 1, 2;
CREATE VIEW item_sessions WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT session(at, '10 minutes') AS w, item, count(*) AS n FROM many GROUP BY 1, 2;
INSERT INTO many SELECT '2024-05-01 10:00', i FROM generate_series(1, 4000) i;
INSERT INTO many VALUES ('2024-05-01 12:00', 0);
SELECT results_eq('SELECT item FROM items', 'VALUES (0)', 'all groups of a window are gone together');
SELECT results_eq('SELECT item FROM item_sessions', 'VALUES (0)', 'and all sessions');
SELECT cmp_ok(stored('items'), '>', 1000::bigint, 'most are still stored');
SELECT cmp_ok(stored('items'), '<', 4001::bigint, 'but some are deleted');
SELECT format('INSERT INTO many VALUES (%L, 0)', '2024-05-01 12:00:01'::timestamptz) FROM generate_series(1, 5) \gexec
SELECT is(stored('items') + stored('item_sessions'), 2::bigint, 'more batches delete the others');
SELECT is_empty($$SELECT * FROM streamx.verify('items') UNION ALL SELECT * FROM streamx.verify('item_sessions')$$, 'verify agrees');

-- Inputs of aggregates go with their rows
CREATE FOREIGN TABLE calls (at timestamptz, n int, name text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW tumbling_inputs WITH (streamx.continuous, streamx.retention = '1 hour', streamx.retain_inputs) AS
	SELECT tumble(at, '10 minutes') AS w, n % 3 AS k, count(DISTINCT n), array_agg(name ORDER BY n), mode() WITHIN GROUP (ORDER BY n) FROM calls GROUP BY 1, 2;
CREATE VIEW hopping_inputs WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT hop(at, '10 minutes', '5 minutes') AS w, count(DISTINCT n), string_agg(name, ',' ORDER BY n) FROM calls GROUP BY 1;
CREATE VIEW cumulating_inputs WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT cumulate(at, '1 hour', '20 minutes') AS w, count(DISTINCT n) FROM calls GROUP BY 1;
CREATE VIEW session_inputs WITH (streamx.continuous, streamx.retention = '1 hour', streamx.retain_inputs) AS
	SELECT session(at, '10 minutes') AS w, n % 3 AS k, count(DISTINCT n), array_agg(name ORDER BY n) FROM calls GROUP BY 1, 2;
CREATE VIEW all_inputs AS
	SELECT v::text AS view, inputs_of(v) AS count FROM unnest('{tumbling_inputs,hopping_inputs,cumulating_inputs,session_inputs}'::regclass[]) v;
-- sessions 10:02 and 10:14 of k = 1 merge: one row with two input groups
INSERT INTO calls VALUES ('2024-05-01 10:14', 4, 'd'), ('2024-05-01 10:02', 1, 'a'), ('2024-05-01 10:03', 2, 'b'), ('2024-05-01 10:07', 3, 'c');
INSERT INTO calls VALUES ('2024-05-01 10:08', 1, 'a');
SELECT set_eq('TABLE all_inputs', $$VALUES ('tumbling_inputs', 8::bigint), ('hopping_inputs', 10), ('cumulating_inputs', 4), ('session_inputs', 10)$$, 'inputs are stored');
INSERT INTO calls VALUES ('2024-05-01 11:15', 7, 'e');
SELECT set_eq('TABLE all_inputs', $$VALUES ('tumbling_inputs', 4::bigint), ('hopping_inputs', 4), ('cumulating_inputs', 5), ('session_inputs', 10)$$,
	'those of slices that no window uses go');
SELECT is_empty($$SELECT view, v.* FROM all_inputs, streamx.verify(view::regclass) v$$, 'verify agrees');
INSERT INTO calls VALUES ('2024-05-01 12:30', 7, 'f');
SELECT set_eq('TABLE all_inputs', $$VALUES ('tumbling_inputs', 2::bigint), ('hopping_inputs', 2), ('cumulating_inputs', 2), ('session_inputs', 2)$$,
	'of sessions with several groups, too');
SELECT is_empty($$SELECT view, v.* FROM all_inputs, streamx.verify(view::regclass) v$$, 'verify agrees');

-- Many inputs of one group go in steps, after the group itself
INSERT INTO calls SELECT '2024-05-01 12:31', i * 3, 'many' FROM generate_series(1, 5000) i;
INSERT INTO calls VALUES ('2024-05-01 14:00', 0, 'g');
SELECT is_empty($$SELECT view FROM all_inputs WHERE count < 1000$$, 'most are still stored');
SELECT is(stored('tumbling_inputs') + stored('hopping_inputs') + stored('session_inputs'), 3::bigint, 'but of no group that is there');
SELECT set_eq($$SELECT view::text, is_deleting, cardinality(deleting_groups) FROM own_removals WHERE view::text IN (SELECT view FROM all_inputs)$$,
	$$VALUES ('tumbling_inputs', true, 1), ('hopping_inputs', true, 1), ('cumulating_inputs', true, 1), ('session_inputs', true, 1)$$,
	'it is known which are to go');
SELECT is_empty($$SELECT view, v.* FROM all_inputs, streamx.verify(view::regclass) v$$, 'verify agrees');
CREATE TABLE before AS TABLE all_inputs;
BEGIN;
INSERT INTO calls VALUES ('2024-05-01 14:00:01', 0, 'g');
SELECT is((SELECT count FROM cumulating_inputs WHERE upper(w) = '2024-05-01 14:20'), 1::bigint, 'in a transaction');
SELECT is_empty('SELECT view FROM all_inputs a JOIN before b USING (view) WHERE a.count >= b.count', 'as everywhere, more go');
ROLLBACK;
SELECT set_eq('TABLE all_inputs', 'TABLE before', 'rolled back, they are there');
SELECT format('INSERT INTO calls VALUES (%L, 0, %L)', '2024-05-01 14:00:01'::timestamptz, 'g') FROM generate_series(1, 12) \gexec
SELECT set_eq('TABLE all_inputs', $$VALUES ('tumbling_inputs', 2::bigint), ('hopping_inputs', 2), ('cumulating_inputs', 1), ('session_inputs', 2)$$, 'more batches delete the others');
SELECT is_empty($$SELECT view FROM own_removals WHERE is_deleting OR deleting_groups <> '{}'$$, 'and nothing is left to do');
SELECT is_empty($$SELECT view, v.* FROM all_inputs, streamx.verify(view::regclass) v$$, 'verify agrees');

-- A role that has nothing but the view sees what there is
CREATE ROLE regress_retention;
GRANT USAGE ON SCHEMA retention TO regress_retention;
GRANT SELECT ON tumbling, hopping TO regress_retention;
SET ROLE regress_retention;
SELECT min(lower(w)) FROM tumbling;
SELECT min(upper(w)) FROM hopping;
RESET ROLE;
DROP OWNED BY regress_retention;
DROP ROLE regress_retention;

-- Refused rows are kept for refused_retention
CREATE FOREIGN TABLE refused (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on', on_error 'dead_letter');
CREATE VIEW forgetting WITH (streamx.continuous, streamx.refused_retention = '30 days') AS
	SELECT tumble(at, '10 minutes') AS w, sum(10 / n) AS total FROM refused GROUP BY 1;
CREATE VIEW remembering WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, sum(10 / n) AS total FROM refused GROUP BY 1;
-- refused rows of windows that are gone: nobody asks for them
CREATE VIEW consistent WITH (streamx.continuous, streamx.retention = '1 hour', streamx.refused_retention = '30 days') AS
	SELECT tumble(at, '10 minutes') AS w, sum(n) AS total FROM refused GROUP BY 1;
CREATE VIEW own_refusals AS
	SELECT view, 'late' AS kind FROM streamx.late_rows WHERE stream = 'refused'::regclass
	UNION ALL SELECT view, 'dead' FROM streamx.dead_letters WHERE stream = 'refused'::regclass;
CREATE FUNCTION age_refusals(age interval) RETURNS void LANGUAGE sql AS $$
	UPDATE streamx_internal.late_row SET recorded_at = now() - age WHERE stream = 'retention.refused'::regclass;
	UPDATE streamx_internal.dead_letter SET recorded_at = now() - age WHERE stream = 'retention.refused'::regclass;
$$;
INSERT INTO refused VALUES ('2024-05-01 10:01', 1), ('2024-05-01 10:11', 1);
INSERT INTO refused VALUES ('2024-05-01 10:02', 1);
SELECT age_refusals('29 days 23 hours');
INSERT INTO refused VALUES ('2024-05-01 10:12', 1);
SELECT results_eq('SELECT view::text, kind FROM own_refusals ORDER BY 1', $$VALUES ('consistent', 'late'), ('forgetting', 'late'), ('remembering', 'late')$$,
	'they are kept that long');
SELECT is_empty($$SELECT * FROM streamx.verify('forgetting') UNION ALL SELECT * FROM streamx.verify('consistent')$$, 'so that verify knows');
SELECT age_refusals('30 days 1 second');
INSERT INTO refused VALUES ('2024-05-01 10:13', 1);
SELECT results_eq('SELECT view::text, kind FROM own_refusals ORDER BY 1', $$VALUES ('remembering', 'late')$$, 'then they go; without the option they stay');
SELECT streamx.verify('forgetting');
SELECT is_empty($$SELECT * FROM streamx.verify('remembering')$$, 'other views can be verified');
SELECT throws_ok($$SELECT streamx.verify('consistent')$$, '55000', NULL, 'not this one yet');
INSERT INTO refused VALUES ('2024-05-01 11:10', 1);
SELECT is_empty($$SELECT * FROM streamx.verify('consistent')$$, 'but when the window that refused the row is removed');

-- Dead letters of a view
INSERT INTO refused VALUES ('2024-05-01 11:11', 0);
SELECT results_eq('SELECT view::text, kind FROM own_refusals WHERE view = $$forgetting$$::regclass', $$VALUES ('forgetting', 'dead')$$, 'a dead letter');
SELECT age_refusals('30 days 1 second');
INSERT INTO refused VALUES ('2024-05-01 11:12', 1);
SELECT is_empty('SELECT * FROM own_refusals WHERE view = $$forgetting$$::regclass', 'goes as well');
SELECT is((SELECT count(*) FROM own_refusals WHERE view = 'remembering'::regclass AND kind = 'dead'), 1::bigint, 'but for the view that remembers');

-- Messages that the stream refused belong to all views of the reader
INSERT INTO streamx_internal.dead_letter (stream, reader, sqlstate, message, recorded_at)
	SELECT stream, reader, '22023', 'test', now() - interval '31 days' FROM streamx.readers WHERE stream = 'refused'::regclass;
INSERT INTO refused VALUES ('2024-05-01 11:12', 1);
SELECT isnt_empty($$SELECT * FROM streamx.dead_letters WHERE stream = 'refused'::regclass AND view IS NULL$$, 'one view needs it');
DROP VIEW remembering;
INSERT INTO refused VALUES ('2024-05-01 11:12', 1);
SELECT is_empty($$SELECT * FROM streamx.dead_letters WHERE stream = 'refused'::regclass AND view IS NULL$$, 'none does');
SELECT throws_ok($$SELECT streamx.verify('consistent')$$, '55000', NULL, 'of what it was nobody knows');

-- Nothing is left of a view that is dropped
SELECT is((SELECT count(*) FROM own_removals), 22::bigint, 'each view with one of the options has its row');
DROP VIEW tumbling, hopping;
SELECT is((SELECT count(*) FROM own_removals), 20::bigint, 'DROP VIEW takes it along');
SELECT ok('streamx_internal.removal'::regclass = ANY (extconfig), 'a dump carries it') FROM pg_extension WHERE extname = 'streamx';
SELECT * FROM finish();
DROP SCHEMA retention CASCADE;
SELECT count(*) FROM streamx_internal.removal r WHERE NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = r.view);
