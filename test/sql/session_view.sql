-- Sessions extend, bridge and merge in any order of rows, refuse what is too late, and equal a gaps-and-islands query
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA sessions;
SET search_path = sessions, public;
CREATE FOREIGN TABLE clicks (ts timestamptz, visitor text, amount numeric, page text)
	SERVER streamx OPTIONS (event_time 'ts', watermark_delay '6 hours', retain 'on');
-- the rows that count, in an ordinary table: the oracle
CREATE TABLE clicks_table (ts timestamptz, visitor text, amount numeric, page text);
CREATE VIEW visits WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS
	SELECT session(ts, '10 minutes') AS w, visitor, count(*) AS clicks, sum(amount) AS total,
	       avg(amount) AS average, min(amount) AS least, max(page) AS last_page
	FROM clicks GROUP BY 1, 2;
CREATE FUNCTION put(at text, visitor text, amount numeric DEFAULT 1, is_counted bool DEFAULT true) RETURNS void
LANGUAGE sql AS $$
	INSERT INTO clicks VALUES (('2024-05-01 ' || at)::timestamptz, visitor, amount, at);
	INSERT INTO clicks_table SELECT ('2024-05-01 ' || at)::timestamptz, visitor, amount, at WHERE is_counted;
$$;
-- a row begins a session when it is more than a gap after the row before it
CREATE VIEW expected AS
	WITH islands AS (
		SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY visitor ORDER BY ts) AS island
		FROM (SELECT *, ts > lag(ts, 1, '-infinity') OVER (PARTITION BY visitor ORDER BY ts) + interval '10 minutes' AS is_first
		      FROM clicks_table) AS numbered)
	SELECT tstzrange(min(ts), max(ts) + interval '10 minutes') AS w, visitor, count(*) AS clicks, sum(amount) AS total,
	       avg(amount) AS average, min(amount) AS least, max(page) AS last_page
	FROM islands GROUP BY visitor, island;
CREATE VIEW differences AS
	(SELECT 'missing', e.* FROM (TABLE expected EXCEPT ALL TABLE visits) e)
	UNION ALL (SELECT 'extra', v.* FROM (TABLE visits EXCEPT ALL TABLE expected) v);
CREATE FUNCTION shown(visitor text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s-%s %s', lower(w)::time, upper(w)::time, clicks), ', ' ORDER BY w)
	FROM visits v WHERE v.visitor IS NOT DISTINCT FROM $1
$$;

SELECT plan(80);

-- Rows of any order extend a session; each statement is a micro-batch
SELECT put('10:05', 'ann', 2);
SELECT put('10:00', 'ann', 3);
SELECT put('10:12', 'ann', 5);
SELECT is(shown('ann'), '10:00:00-10:22:00 3', 'a session grows at both ends');
SELECT put('10:07', 'ann', 7);
SELECT is(shown('ann'), '10:00:00-10:22:00 4', 'a row inside leaves its bounds');
SELECT results_eq($$SELECT w, total, average, least, last_page FROM visits$$,
	$$VALUES (tstzrange('2024-05-01 10:00Z', '2024-05-01 10:22Z'), 17.0, 4.25, 2.0, '10:12')$$,
	'aggregates are of all its rows');

-- Exactly a gap apart is one session, a microsecond more is another
SELECT put('10:22', 'ann');
SELECT is(shown('ann'), '10:00:00-10:32:00 5', 'a row exactly a gap later belongs to it');
SELECT put('10:32:00.000001', 'ann');
SELECT is(shown('ann'), '10:00:00-10:32:00 5, 10:32:00.000001-10:42:00.000001 1', 'one a microsecond later does not');
SELECT put('09:50', 'ann');
SELECT is(shown('ann'), '09:50:00-10:32:00 6, 10:32:00.000001-10:42:00.000001 1', 'a row exactly a gap earlier belongs to it');
SELECT put('09:39:59.999999', 'ann');
SELECT is(shown('ann'), '09:39:59.999999-09:49:59.999999 1, 09:50:00-10:32:00 6, 10:32:00.000001-10:42:00.000001 1',
	'one a microsecond earlier does not');
SELECT put('10:02', 'ann'), put('10:12:00.000001', 'ben'), put('10:22:00.000001', 'ben'), put('10:32:00.000002', 'ben');
SELECT is(shown('ben'), '10:12:00.000001-10:32:00.000001 2, 10:32:00.000002-10:42:00.000002 1', 'in one batch as well');
SELECT is_empty('TABLE differences', 'equal to the batch');

-- A row between two sessions makes them one
SELECT put('10:00', 'cid', 1), put('10:20', 'cid', 2), put('10:40', 'cid', 4);
SELECT is(shown('cid'), '10:00:00-10:10:00 1, 10:20:00-10:30:00 1, 10:40:00-10:50:00 1', 'three sessions');
SELECT put('10:10', 'cid', 8);
SELECT is(shown('cid'), '10:00:00-10:30:00 3, 10:40:00-10:50:00 1', 'a gap from both: it bridges them');
SELECT put('10:30', 'cid', 16);
SELECT is(shown('cid'), '10:00:00-10:50:00 5', 'and again');
SELECT is((SELECT total FROM visits WHERE visitor = 'cid'), 31.0, 'with the aggregates of all');
SELECT is_empty('TABLE differences', 'equal to the batch');

-- Several bridges in one batch, over keys that have stored sessions and keys that have not
SELECT put(format('%s:%s', h, m), visitor)
FROM unnest(ARRAY['10', '11']) h, unnest(ARRAY['00', '15', '30', '45']) m, unnest(ARRAY['dan', 'eve']) visitor;
SELECT is(shown('dan'), '10:00:00-10:10:00 1, 10:15:00-10:25:00 1, 10:30:00-10:40:00 1, 10:45:00-10:55:00 1, '
	'11:00:00-11:10:00 1, 11:15:00-11:25:00 1, 11:30:00-11:40:00 1, 11:45:00-11:55:00 1', 'eight sessions');
SELECT put('10:08', 'dan'), put('10:22', 'dan'), put('11:07', 'dan'), put('11:40', 'dan'), put('11:58', 'dan'),
       put('10:50', 'eve'), put('11:06', 'eve'), put('10:05', 'fay'), put('10:40', 'fay');
SELECT is(shown('dan'), '10:00:00-10:40:00 5, 10:45:00-10:55:00 1, 11:00:00-11:25:00 3, 11:30:00-11:55:00 3, 11:58:00-12:08:00 1',
	'each bridge has merged its neighbours');
SELECT is(shown('eve'), '10:00:00-10:10:00 1, 10:15:00-10:25:00 1, 10:30:00-10:40:00 1, 10:45:00-11:25:00 5, '
	'11:30:00-11:40:00 1, 11:45:00-11:55:00 1', 'two bridges may make one session');
SELECT is_empty('TABLE differences', 'equal to the batch');

-- Rows that make one session in memory swallow all stored ones that it spans
SELECT put(to_char(time '10:03' + i * interval '9 minutes', 'HH24:MI'), 'eve') FROM generate_series(0, 11) i;
SELECT is(shown('eve'), '10:00:00-11:55:00 22', 'one session over six stored ones');
-- a stored session reaches on to rows of the batch that are far from each other, and those to the next stored one
SELECT put(at, 'gus') FROM unnest(ARRAY['10:00', '10:08', '10:16', '10:24', '10:50', '11:20']) at;
SELECT is(shown('gus'), '10:00:00-10:34:00 4, 10:50:00-11:00:00 1, 11:20:00-11:30:00 1', 'three sessions');
SELECT put('09:52', 'gus'), put('10:33', 'gus'), put('10:42', 'gus'), put('11:10', 'gus'), put('11:40', 'gus');
SELECT is(shown('gus'), '09:52:00-11:00:00 8, 11:10:00-11:30:00 2, 11:40:00-11:50:00 1', 'absorbed, folded, absorbed again');
-- what was absorbed ends the probe of the session that follows
SELECT put('11:00:00.000001', 'gus'), put('09:45', 'gus');
SELECT is(shown('gus'), '09:45:00-11:00:00 9, 11:00:00.000001-11:30:00 3, 11:40:00-11:50:00 1', 'next to each other');
SELECT is_empty('TABLE differences', 'equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('visits')$$, 'verify agrees');
SELECT is((SELECT count(*) FROM streamx.late_rows WHERE view = 'visits'::regclass), 0::bigint, 'nothing was late');

-- NULL keys are a group; sum(amount) skips NULLs
SELECT put('10:00', NULL), put('10:20', NULL);
SELECT put('10:10', NULL, NULL);
SELECT is(shown(NULL), '10:00:00-10:30:00 3', 'NULL is a key like others');
SELECT put('11:00', 'hal', NULL);
SELECT put('11:05', 'hal', 4);
SELECT results_eq($$SELECT clicks, total, least FROM visits WHERE visitor = 'hal'$$,
	$$VALUES (2::bigint, 4.0, 4.0)$$, 'a state that never had a value takes the first');
SELECT is_empty('TABLE differences', 'equal to the batch');

-- A state too large for its row moves with it to the session that remains
CREATE FUNCTION put_large(at text, first_letter text) RETURNS void LANGUAGE sql AS $$
	INSERT INTO clicks SELECT ('2024-05-01 ' || at)::timestamptz, 'ora', 1, first_letter || string_agg(md5(i || at), '') FROM generate_series(1, 500) i;
	INSERT INTO clicks_table SELECT ('2024-05-01 ' || at)::timestamptz, 'ora', 1, first_letter || string_agg(md5(i || at), '') FROM generate_series(1, 500) i;
$$;
SELECT put_large('10:00', 'p'), put_large('10:15', 'x'), put_large('10:30', 'q'), put_large('11:00', 'y');
SELECT put_large('10:08', 'r');
SELECT put('10:22', 'ora');
SELECT results_eq($$SELECT clicks, left(last_page, 1), length(last_page) FROM visits WHERE visitor = 'ora' ORDER BY w$$,
	$$VALUES (5::bigint, 'x', 16001), (1, 'y', 16001)$$, 'the largest is of a session that is gone');
SELECT is_empty('TABLE differences', 'equal to the batch');

-- What is rolled back never was
BEGIN;
INSERT INTO clicks VALUES ('2024-05-01 10:25Z', 'ann', 100), ('2024-05-01 09:45Z', 'ann', 100);
SELECT is(shown('ann'), '09:39:59.999999-10:42:00.000001 11', 'a transaction sees its own rows');
SAVEPOINT longer;
INSERT INTO clicks VALUES ('2024-05-01 10:42Z', 'ann', 100);
SELECT is(shown('ann'), '09:39:59.999999-10:52:00 12', 'those of a savepoint, too');
ROLLBACK TO longer;
SELECT is(shown('ann'), '09:39:59.999999-10:42:00.000001 11', 'until that is undone');
ROLLBACK;
SELECT is(shown('ann'), '09:39:59.999999-09:49:59.999999 1, 09:50:00-10:32:00 7, 10:32:00.000001-10:42:00.000001 1', 'all as before');
BEGIN;
SELECT put('10:50', 'ian');
SELECT is(shown('ian'), '10:50:00-11:00:00 1', 'merged once');
SELECT put('11:05', 'ian');
SELECT is(shown('ian'), '10:50:00-11:00:00 1, 11:05:00-11:15:00 1', 'twice');
SELECT put('10:57', 'ian'), put('10:45', 'ian');
SELECT is(shown('ian'), '10:45:00-11:15:00 4', 'and three times in one transaction');
COMMIT;
SELECT is_empty('TABLE differences', 'equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('visits')$$, 'verify agrees');

-- Rows too late.  The watermark is 12:00: a row is too old by itself when ts + 10 + 5 minutes are not after it,
-- and a session that ends at 11:45 or before is sealed
SELECT put('11:35', 'sealed'), put('11:35', 'between'), put('11:35:00.000001', 'closed'), put('11:35:00.000001', 'bridged'),
       put('11:30', 'open'), put('11:38', 'open'), put('11:46', 'open'), put('11:46', 'chain'), put('11:50', 'between'),
       put('11:50', 'bridged');
SELECT put('18:00', 'clock');
SELECT is(streamx.watermark('clicks'), '2024-05-01 12:00Z', 'the watermark is at 12:00');
CREATE VIEW refused AS
	SELECT "row"->>'visitor' AS visitor, event_time::time AS at, refused_through::time, watermark::time, counted
	FROM streamx.late_rows WHERE view = 'sessions.visits'::regclass;

-- alone
SELECT put('11:45', 'late', 1, false), put('11:45:00.000001', 'jan');
SELECT is(shown('late'), NULL, 'a row that would be a session by itself is late at ts + gap + allowed lateness');
SELECT is(shown('jan'), '11:45:00.000001-11:55:00.000001 1', 'a microsecond later it is on time');
SELECT results_eq('TABLE refused', $$VALUES ('late', time '11:45', time '11:55', time '12:00', false)$$, 'the late row is kept');
-- into sessions that still are open, or closed but not sealed
SELECT put('11:31', 'open'), put('11:20', 'open');
SELECT is(shown('open'), '11:20:00-11:56:00 5', 'rows too old by themselves merge into an open session');
SELECT put('11:10', 'open');
SELECT is(shown('open'), '11:10:00-11:56:00 6', 'and make it reach back');
SELECT put('11:20', 'chain', 1, false), put('11:29', 'chain', 1, false), put('11:37', 'chain');
SELECT is(shown('chain'), '11:37:00-11:56:00 2', 'in the order of event time: the first two touched nothing');
SELECT put('11:29', 'chain'), put('11:27:00', 'chain'), put('11:18:59.999999', 'chain', 1, false);
SELECT is(shown('chain'), '11:27:00-11:56:00 4', 'now two do; the third, the oldest, is judged before they are there');
-- sealed and not sealed
SELECT put('11:44', 'sealed', 1, false), put('11:45', 'sealed', 1, false);
SELECT is(shown('sealed'), '11:35:00-11:45:00 1', 'a sealed session takes no row');
SELECT put('11:44', 'between', 1, false);
SELECT is(shown('between'), '11:35:00-11:45:00 1, 11:50:00-12:00:00 1', 'nor a row that would bridge it to an open one');
SELECT put('11:44', 'closed', 1, false);
SELECT is(shown('closed'), '11:35:00.000001-11:45:00.000001 1', 'a closed one is not made longer by a late row that would not keep it open');
SELECT put('11:44', 'bridged');
SELECT is(shown('bridged'), '11:35:00.000001-12:00:00 3', 'but by one that bridges it to an open one');
SELECT put('11:45:00.000001', 'closed');
SELECT is(shown('closed'), '11:35:00.000001-11:55:00.000001 2', 'and by a row on time that just reaches it');
-- rows on time merge first
SELECT put('11:40', 'kim'), put('11:49', 'kim');
SELECT is(shown('kim'), '11:40:00-11:59:00 2', 'a late row may need one on time of its batch');
SELECT put('11:40', 'leo', 1, false);
SELECT put('11:49', 'leo');
SELECT is(shown('leo'), '11:49:00-11:59:00 1', 'but not one of a later batch');
SELECT is((SELECT string_agg(visitor || ' ' || at, ', ' ORDER BY visitor, at) FROM refused),
	'between 11:44:00, chain 11:18:59.999999, chain 11:20:00, chain 11:29:00, closed 11:44:00, late 11:45:00, leo 11:40:00, sealed 11:44:00, sealed 11:45:00',
	'each refused row is kept once');
SELECT is_empty('TABLE differences', 'equal to the batch without them');
SELECT is_empty($$SELECT * FROM streamx.verify('visits')$$, 'verify agrees');
SELECT results_eq($$SELECT late_rows, partly_late_rows FROM streamx.stat_views WHERE view = 'visits'::regclass$$,
	$$VALUES (9::bigint, 0::bigint)$$, 'and counted');

-- Many rows, in batches, in no order, over few keys: every third batch is far too old
CREATE FUNCTION put_many(batch int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	CREATE TEMP TABLE many ON COMMIT DROP AS
		SELECT '2024-05-01 19:00Z'::timestamptz + batch * interval '10 minutes' + hashint4(i + 1000 * batch) % 5400 * interval '1 second'
		       - CASE WHEN batch % 3 = 0 THEN interval '5 hours' ELSE '0' END AS ts,
		       'many ' || (hashint4(i) & 31) AS visitor, hashint4(i + 7) % 100 AS amount, batch || ' ' || i AS page
		FROM generate_series(1, 300) i;
	INSERT INTO clicks TABLE many;
	INSERT INTO clicks_table TABLE many;
END $$;
SELECT put_many(1);
SELECT put_many(2);
SELECT put_many(3);
SELECT put_many(4);
SELECT put_many(5);
SELECT put_many(6);
SELECT put_many(7);
DELETE FROM clicks_table WHERE page IN (SELECT "row"->>'page' FROM streamx.late_rows WHERE view = 'visits'::regclass AND "row"->>'page' LIKE '% %');
SELECT is_empty('TABLE differences', 'equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('visits')$$, 'verify agrees');
SELECT ok((SELECT count(*) > 100 FROM refused WHERE visitor LIKE 'many%'), 'many were late');
SELECT ok((SELECT count(*) > 100 FROM visits WHERE visitor LIKE 'many%'), 'and there are many sessions');

-- Keys of other types: equal ones of other bytes are one, shown as first seen; no key at all
CREATE FOREIGN TABLE readings (ts timestamptz, price numeric, volume int) SERVER streamx OPTIONS (event_time 'ts', watermark_delay '1 hour', retain 'on');
CREATE TABLE readings_table (ts timestamptz, price numeric, volume int);
CREATE VIEW by_price WITH (streamx.continuous) AS
	SELECT price, session(ts, '1 minute') AS w, sum(volume) AS total FROM readings GROUP BY price, session(ts, '1 minute');
CREATE VIEW by_nothing WITH (streamx.continuous) AS
	SELECT session(ts, '1 minute') AS w, sum(volume) * 2 AS doubled FROM readings GROUP BY 1 HAVING sum(volume) > 1;
CREATE VIEW expected_by_price AS
	SELECT price, tstzrange(min(ts), max(ts) + interval '1 minute') AS w, sum(volume) AS total
	FROM (SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY price ORDER BY ts) AS island
	      FROM (SELECT *, ts > lag(ts, 1, '-infinity') OVER (PARTITION BY price ORDER BY ts) + interval '1 minute' AS is_first
	            FROM readings_table) AS numbered) AS islands
	GROUP BY price, island;
CREATE VIEW expected_by_nothing AS
	SELECT tstzrange(min(ts), max(ts) + interval '1 minute') AS w, sum(volume) * 2 AS doubled
	FROM (SELECT *, count(*) FILTER (WHERE is_first) OVER (ORDER BY ts) AS island
	      FROM (SELECT *, ts > lag(ts, 1, '-infinity') OVER (ORDER BY ts) + interval '1 minute' AS is_first
	            FROM readings_table) AS numbered) AS islands
	GROUP BY island HAVING sum(volume) > 1;
CREATE FUNCTION read(VARIADIC rows text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO readings SELECT ('2024-05-01 ' || split_part(r, ' ', 1) || 'Z')::timestamptz, split_part(r, ' ', 2)::numeric, split_part(r, ' ', 3)::int FROM unnest(rows) r;
	INSERT INTO readings_table SELECT ('2024-05-01 ' || split_part(r, ' ', 1) || 'Z')::timestamptz, split_part(r, ' ', 2)::numeric, split_part(r, ' ', 3)::int FROM unnest(rows) r;
END $$;
SELECT read('10:00 1.0 1', '10:02 1 2');
SELECT read('10:01 1.00 4', '10:03 1.000 8', '10:02 2.00 16');
SELECT is((SELECT string_agg(format('%s %s-%s %s', price, lower(w)::time, upper(w)::time, total), ', ' ORDER BY w) FROM by_price),
	'1.0 10:00:00-10:04:00 15, 2.00 10:02:00-10:03:00 16',
	'equal keys are shown as first seen');
SELECT read('09:58:59.999999 1 1', '10:05 1 1', '10:06 2.0 2', '10:07 3 4', '10:02 2 5');
SELECT is((SELECT string_agg(format('%s-%s %s', lower(w)::time, upper(w)::time, doubled), ', ' ORDER BY w) FROM by_nothing),
	'10:00:00-10:04:00 72, 10:05:00-10:08:00 14', 'sessions of all rows');
SELECT is_empty('(TABLE expected_by_price EXCEPT ALL TABLE by_price) UNION ALL (TABLE by_price EXCEPT ALL TABLE expected_by_price)', 'equal to the batch');
SELECT is_empty('(TABLE expected_by_nothing EXCEPT ALL TABLE by_nothing) UNION ALL (TABLE by_nothing EXCEPT ALL TABLE expected_by_nothing)', 'equal to the batch');
SELECT is_empty($$SELECT * FROM streamx.verify('by_price') UNION ALL SELECT * FROM streamx.verify('by_nothing')$$, 'verify agrees');

-- A stream row that a join puts into several groups is refused by all when one refuses it
CREATE TABLE team_of (visitor text, team text);
INSERT INTO team_of VALUES ('mia', 'red'), ('mia', 'blue'), ('ned', 'red'), ('tim', NULL);
CREATE FOREIGN TABLE plays (ts timestamptz, visitor text) SERVER streamx OPTIONS (event_time 'ts', retain 'on');
CREATE VIEW team_visits WITH (streamx.continuous) AS
	SELECT team, session(ts, '10 minutes') AS w, count(*) AS plays FROM plays JOIN team_of USING (visitor) GROUP BY 1, 2;
INSERT INTO plays VALUES ('2024-05-01 11:55Z', 'ned'), ('2024-05-01 12:00Z', 'tim');
INSERT INTO plays VALUES ('2024-05-01 11:48Z', 'mia'), ('2024-05-01 11:49Z', 'ned'), ('2024-05-01 11:47Z', 'nobody');
SELECT results_eq($$SELECT team, lower(w)::time, plays FROM team_visits ORDER BY 1$$,
	$$VALUES ('red', time '11:49', 2::bigint), (NULL, '12:00', 1)$$, 'mia''s row is in neither team');
INSERT INTO plays VALUES ('2024-05-01 12:01Z', 'mia');
INSERT INTO plays VALUES ('2024-05-01 11:50:30Z', 'mia'), ('2024-05-01 11:51Z', 'mia');
SELECT results_eq($$SELECT team, lower(w)::time, plays FROM team_visits ORDER BY 1$$,
	$$VALUES ('blue', time '11:51', 2::bigint), ('red', '11:49', 4), (NULL, '12:00', 1)$$, 'then one is in both: the other does not reach blue');
SELECT is((SELECT string_agg("row"->>'visitor' || ' ' || event_time::time, ', ' ORDER BY event_time) FROM streamx.late_rows WHERE view = 'team_visits'::regclass),
	'mia 11:48:00, mia 11:50:30', 'rows that the join leaves out are not late');
SELECT is_empty($$SELECT * FROM streamx.verify('team_visits')$$, 'verify agrees');

-- A row at which the view's aggregate fails is a dead letter; the others of its batch merge as if it were not there
CREATE FOREIGN TABLE ratios (ts timestamptz, part text, n int) SERVER streamx OPTIONS (event_time 'ts', on_error 'dead_letter', retain 'on');
CREATE VIEW parts WITH (streamx.continuous) AS
	SELECT part, session(ts, '10 minutes') AS w, sum(60 / n) AS total, count(*) AS n FROM ratios GROUP BY 1, 2;
INSERT INTO ratios VALUES ('2024-05-01 09:40Z', 'a', 1), ('2024-05-01 10:20Z', 'a', 2), ('2024-05-01 10:10Z', 'b', 0);
INSERT INTO ratios VALUES ('2024-05-01 10:18Z', 'a', 3), ('2024-05-01 10:10Z', 'a', 0), ('2024-05-01 10:29Z', 'a', 4), ('2024-05-01 10:12Z', 'a', 0),
	('2024-05-01 10:09Z', 'a', 5), ('2024-05-01 09:50Z', 'b', 5), ('2024-05-01 10:40Z', 'b', 6);
SELECT results_eq($$SELECT part, lower(w)::time, total, n FROM parts ORDER BY 1, 2$$,
	$$VALUES ('a', time '09:40', 60::bigint, 1::bigint), ('a', '10:09', 77, 4), ('b', '10:40', 10, 1)$$, 'bad rows apart, all is merged');
SELECT results_eq($$SELECT event, at FROM (SELECT 'dead' AS event, ("row"->>'ts')::timestamptz::time AS at FROM streamx.dead_letters WHERE view = 'parts'::regclass
	UNION ALL SELECT 'late', event_time::time FROM streamx.late_rows WHERE view = 'parts'::regclass) r ORDER BY 1, 2$$,
	$$VALUES ('dead', time '10:10'), ('dead', '10:10'), ('dead', '10:12'), ('late', '09:50')$$, 'they are dead letters or late');
SELECT is_empty($$SELECT * FROM streamx.verify('parts')$$, 'verify agrees');
-- likewise a key too large for the index
INSERT INTO ratios SELECT '2024-05-01 10:41Z', string_agg(md5(i::text), ''), 1 FROM generate_series(1, 300) i;
INSERT INTO ratios VALUES ('2024-05-01 10:42Z', 'b', 1);
SELECT results_eq($$SELECT sqlstate, message FROM streamx.dead_letters WHERE view = 'parts'::regclass AND sqlstate <> '22012'$$,
	$$VALUES ('54000', 'group key is too large for continuous view "parts"')$$, 'a key too large is a dead letter');
SELECT is((SELECT n FROM parts WHERE part = 'b'), 2::bigint, 'the rest goes on');

-- Times without a zone
CREATE FOREIGN TABLE local_clicks (ts timestamp, n int) SERVER streamx OPTIONS (event_time 'ts', retain 'on');
CREATE VIEW local_visits WITH (streamx.continuous) AS
	SELECT session(ts, '1 day') AS w, sum(n) AS n FROM local_clicks GROUP BY 1;
INSERT INTO local_clicks VALUES ('2024-05-01 10:00', 1), ('2024-05-02 10:00', 2), ('2024-05-03 10:00:00.000001', 4);
SELECT results_eq('SELECT w, n FROM local_visits ORDER BY w',
	$$VALUES (tsrange('2024-05-01 10:00', '2024-05-03 10:00'), 3::bigint), (tsrange('2024-05-03 10:00:00.000001', '2024-05-04 10:00:00.000001'), 4)$$,
	'windows are ranges of the clock');
SELECT is_empty($$SELECT * FROM streamx.verify('local_visits')$$, 'verify agrees');

-- Subqueries inside aggregates
CREATE TABLE weights (visitor text PRIMARY KEY, weight int);
INSERT INTO weights VALUES ('ann', 10), ('ben', 100);
CREATE FOREIGN TABLE weighed (ts timestamptz, visitor text, n int) SERVER streamx OPTIONS (event_time 'ts', retain 'on');
CREATE VIEW weighed_visits WITH (streamx.continuous) AS
	SELECT session(ts, '10 minutes') AS w, sum((SELECT weight FROM weights x WHERE x.visitor = weighed.visitor) * n) AS weight,
	       count(*) FILTER (WHERE n IN (SELECT 2)) AS twos
	FROM weighed GROUP BY 1;
INSERT INTO weighed VALUES ('2024-05-01 10:00Z', 'ann', 1), ('2024-05-01 10:05Z', 'ben', 2), ('2024-05-01 10:30Z', 'ben', 3);
SELECT results_eq('SELECT weight, twos FROM weighed_visits ORDER BY w', 'VALUES (210::bigint, 1::bigint), (300, 0)', 'subqueries in aggregates');
SELECT is_empty($$SELECT * FROM streamx.verify('weighed_visits')$$, 'verify agrees');
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA sessions CASCADE;
