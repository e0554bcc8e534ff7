-- The rules of docs/semantics.md on windows, watermark, lateness and aggregates, one by one, over streams fed by INSERT
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA rules;
SET search_path = rules, public;
-- a stream and what it got, in order, for oracles; a statement is a batch
CREATE FOREIGN TABLE s (t timestamptz, k text, n int) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE TABLE late AS SELECT NULL::text AS view, NULL::time AS t, NULL::timestamptz AS refused_through, NULL::bool AS counted LIMIT 0;
CREATE FUNCTION at(text) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$ SELECT ('2024-05-01 ' || $1 || '+00')::timestamptz $$;
CREATE FUNCTION put(t text, k text DEFAULT 'a', n int DEFAULT 1) RETURNS void LANGUAGE sql AS $$ INSERT INTO s VALUES (at(t), k, n) $$;
CREATE FUNCTION span(text, text) RETURNS tstzrange LANGUAGE sql IMMUTABLE AS $$ SELECT tstzrange(at($1), at($2)) $$;
CREATE FUNCTION wrong() RETURNS TABLE (view text, difference text, "row" jsonb) LANGUAGE plpgsql AS $$
DECLARE v regclass;
BEGIN
	FOR v IN SELECT x.view FROM streamx.views x JOIN pg_class c ON c.oid = x.view WHERE relnamespace = 'rules'::regnamespace LOOP
		RETURN QUERY SELECT v::text, d.* FROM streamx.verify(v) d;
	END LOOP;
END $$;
CREATE VIEW refused AS
	SELECT view::text, event_time::time, refused_through::time, counted FROM streamx.late_rows
	WHERE stream = 's'::regclass ORDER BY view::text COLLATE "C", event_time;
SELECT * FROM no_plan();

-- Rule 1
SELECT is(tumble(at('10:04:59.999999'), '5 min'), span('10:00', '10:05'), 'rule 1: a microsecond before the end is inside');
SELECT is(tumble(at('10:05'), '5 min'), span('10:05', '10:10'), 'rule 1: the end itself belongs to the next window');
SELECT is(tumble(timestamp '2024-05-01 10:05', '5 min'), tsrange('2024-05-01 10:05', '2024-05-01 10:10'), 'rule 1: timestamp gives tsrange');
SELECT is(tumble(date '2024-05-01', '1 day'), tsrange('2024-05-01', '2024-05-02'), 'rule 1: date gives tsrange');
SELECT results_eq($$SELECT hop(ts => at('10:07'), size => '10 min', slide => '5 min')$$,
	$$VALUES (span('10:00', '10:10')), (span('10:05', '10:15'))$$, 'rule 1: hop returns a set; named notation works');
SELECT results_eq($$SELECT cumulate(at('10:07'), '15 min', '5 min')$$,
	$$VALUES (span('10:00', '10:10')), (span('10:00', '10:15'))$$, 'rule 1: so does cumulate');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE proname IN ('tumble', 'hop', 'cumulate', 'session') AND provolatile <> 'i'$$, 'rule 1: all are immutable');
SELECT throws_like($$CREATE VIEW v WITH (streamx.continuous) AS SELECT tumble(t, n * interval '1 s'), count(*) FROM s GROUP BY 1$$,
	'%must be constants%', 'rule 1: sizes are constants');

-- Rule 2
SELECT is(lower(tumble(at('10:00'), '7 days')), '2024-04-25Z', 'rule 2: a week starts on a Thursday, as 1970 did');
SELECT is(lower(tumble(at('10:00'), '7 days', origin => '2024-01-01Z')), '2024-04-29Z', 'rule 2: origin moves it to Mondays');
SELECT is(tumble('1969-12-31 23:59:59.999999Z', '1 h'), tstzrange('1969-12-31 23:00Z', '1970-01-01Z'), 'rule 2: windows before 1970; the start is a floor');

-- Rule 3
SELECT is(upper(w) - lower(w), size::interval, 'rule 3: a Berlin day on ' || day)
	FROM (VALUES ('2024-03-31', '23:00'), ('2024-10-27', '25:00'), ('2024-06-01', '24:00')) d (day, size),
	LATERAL (SELECT tumble((day || ' 12:00Z')::timestamptz, '1 day', timezone => 'Europe/Berlin') AS w) x;
SELECT is(tumble('2024-02-10Z', '1 month'), tstzrange('2024-02-01Z', '2024-03-01Z'), 'rule 3: a month has its own length');
SELECT is(tumble('2024-03-31 12:00Z', '24 h', timezone => 'Europe/Berlin'), tstzrange('2024-03-31Z', '2024-04-01Z'), 'rule 3: 24 hours are no day');
SELECT throws_ok($$SELECT tumble(at('10:00'), '1 month 1 hour')$$, '22023', NULL, 'rule 3: months do not mix with time');
SELECT throws_ok($$SELECT tumble(at('10:00'), '0')$$, '22023', NULL, 'rule 3: a size is positive');
SELECT throws_ok($$SELECT hop(at('10:00'), '1 h', '-1 min')$$, '22023', NULL, 'rule 3: so is a slide');

-- Rule 4
SELECT results_eq($$SELECT hop(at('10:07'), '7 min', '5 min')$$, $$VALUES (span('10:05', '10:12'))$$, 'rule 4: a size that is no multiple of the slide: after the cut');
SELECT results_eq($$SELECT hop(at('10:06:59.999999'), '7 min', '5 min')$$,
	$$VALUES (span('10:00', '10:07')), (span('10:05', '10:12'))$$, 'rule 4: before the cut');
SELECT is_empty($$SELECT hop(at('10:02'), '2 min', '5 min')$$, 'rule 4: with gaps between windows a row may be in none');
SET client_min_messages = warning;
CREATE VIEW sampled WITH (streamx.continuous) AS SELECT hop(t, '2 min', '5 min') AS w, count(*) AS c FROM s GROUP BY 1;
SELECT put('10:01'), put('10:01:59.999999');
SELECT put('10:02'), put('10:04');
SELECT put('10:05');
SELECT results_eq('SELECT * FROM sampled ORDER BY w', $$VALUES (span('10:00', '10:02'), 2::bigint), (span('10:05', '10:07'), 1)$$,
	'rule 4: rows in no window are not counted');
SELECT is_empty('SELECT * FROM refused', 'rule 4: nor are they late');
SELECT results_eq($$SELECT rows, rows_in_no_window, late_rows FROM streamx.stat_views WHERE view = 'sampled'::regclass$$,
	'VALUES (3::bigint, 2::bigint, 0::bigint)', 'rule 4: they have a counter of their own');
SELECT is_empty('SELECT * FROM wrong()', 'rule 4: equal to the batch');
DROP VIEW sampled;

-- Rule 5
CREATE VIEW visits WITH (streamx.continuous) AS SELECT k, session(t, '10 min') AS w, count(*) AS c, sum(n) AS n FROM s GROUP BY k, 2;
SELECT put('11:00'), put('11:10'), put('11:20:00.000001', n => 2);
SELECT put('11:05', 'b'), put('11:29:59.999999');
SELECT results_eq($$SELECT * FROM visits WHERE k = 'a' AND lower(w) >= at('11:00') ORDER BY w$$,
	$$VALUES ('a', span('11:00', '11:20'), 2::bigint, 2::bigint), ('a', span('11:20:00.000001', '11:39:59.999999'), 2, 3)$$,
	'rule 5: exactly a gap apart is one session, a microsecond more is two');
SELECT put('11:15');
SELECT results_eq($$SELECT * FROM visits WHERE k = 'a' AND lower(w) >= at('11:00')$$,
	$$VALUES ('a', span('11:00', '11:39:59.999999'), 5::bigint, 6::bigint)$$, 'rule 5: a bridging row makes two sessions one');
SELECT is_empty('SELECT FROM visits x JOIN visits y ON x.k = y.k AND x.w && y.w AND x.w <> y.w', 'rule 5: sessions of a key do not overlap');
SELECT is_empty('SELECT * FROM wrong()', 'rule 5: equal to the batch');
DROP VIEW visits;

-- Rule 6
CREATE FOREIGN TABLE prices (t timestamptz, price numeric) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW by_price WITH (streamx.continuous) AS SELECT price, count(*) AS c FROM prices GROUP BY 1;
CREATE VIEW all_prices WITH (streamx.continuous) AS SELECT count(*) AS c, sum(price) AS total FROM prices;
SELECT results_eq('SELECT * FROM all_prices', 'VALUES (0::bigint, NULL::numeric)', 'rule 6: without GROUP BY there is one row, before any input');
SELECT is_empty('SELECT * FROM by_price', 'rule 6: with GROUP BY there is none');
INSERT INTO prices VALUES (at('10:00'), 1.0), (at('10:00'), NULL);
INSERT INTO prices VALUES (at('10:00'), 1.00), (at('10:00'), NULL);
SELECT results_eq('SELECT price::text, c FROM by_price ORDER BY 1', $$VALUES ('1.0', 2::bigint), (NULL, 2)$$,
	'rule 6: NULL keys are a group, equal keys are one, shown as first seen');
CREATE VIEW price_hops WITH (streamx.continuous) AS SELECT hop(t, '20 min', '10 min') AS w, price, count(*) AS c FROM prices GROUP BY 1, 2;
INSERT INTO prices VALUES (at('10:11'), 1.000);
SELECT results_eq($$SELECT lower(w)::time, price::text, c FROM price_hops WHERE price = 1 ORDER BY 1$$,
	$$VALUES (time '09:50', '1.0', 2::bigint), ('10:00', '1.0', 3), ('10:10', '1.000', 1)$$, 'rule 6: a hop shows the key as in its own first slice');
SELECT results_eq($$SELECT price::text FROM price_hops WHERE w @> at('10:25') AND price = 1$$, $$VALUES ('1.000')$$, 'rule 6: whatever else is read');
SELECT is_empty('SELECT * FROM wrong()', 'rule 6: equal to the batch');
DROP FOREIGN TABLE prices CASCADE;

-- Rule 7
SELECT throws_ok('INSERT INTO s VALUES (NULL)', '22004', NULL, 'rule 7: a NULL event time is refused');
SELECT throws_ok($$INSERT INTO s VALUES ('infinity')$$, '22008', NULL, 'rule 7: so is an infinite one');
SELECT throws_ok($$INSERT INTO s VALUES (now() + interval '1 hour 1 minute')$$, '22008', NULL, 'rule 7: so is one more than max_future ahead of the clock');
SELECT lives_ok($$INSERT INTO s VALUES (now() + interval '59 minutes')$$, 'rule 7: up to that it is taken');

-- Rules 9, 11, 12, 13 and 15 over windows of 10 minutes
DROP FOREIGN TABLE s CASCADE;
CREATE FOREIGN TABLE s (t timestamptz, k text, n int) SERVER streamx OPTIONS (event_time 't', watermark_delay '1 min', retain 'on');
CREATE VIEW refused AS
	SELECT view::text, event_time::time, refused_through::time, counted FROM streamx.late_rows
	WHERE stream = 's'::regclass ORDER BY view::text COLLATE "C", event_time;
CREATE VIEW tumbling WITH (streamx.continuous, streamx.allowed_lateness = '2 min') AS
	SELECT tumble(t, '10 min') AS w, count(*) AS c FROM s WHERE n > 0 GROUP BY 1;
CREATE VIEW hopping WITH (streamx.continuous, streamx.allowed_lateness = '2 min') AS
	SELECT hop(t, '10 min', '5 min') AS w, count(*) AS c FROM s WHERE n > 0 GROUP BY 1;
CREATE VIEW growing WITH (streamx.continuous, streamx.allowed_lateness = '2 min') AS
	SELECT cumulate(t, '10 min', '5 min') AS w, count(*) AS c FROM s WHERE n > 0 GROUP BY 1;
SELECT is(streamx.watermark('s'), NULL, 'rule 9: no watermark before the first row');
SELECT put('12:03');
SELECT is(streamx.watermark('s'), at('12:02'), 'rule 9: the greatest event time less watermark_delay');
SELECT put('12:01', n => 0);
SELECT is(streamx.watermark('s'), at('12:02'), 'rule 9: it never moves back');
SELECT put('12:07:59.999999', n => 0);
SELECT is(streamx.watermark('tumbling'), at('12:06:59.999999'), 'rule 9: rows that WHERE rejects move it');
SELECT put('12:04:59.999999');
SELECT is_empty('SELECT * FROM refused', 'rule 12: a microsecond before end + allowed_lateness nothing is late');
SELECT put('12:08', n => 0);
SELECT put('12:04:59.999999'), put('12:04', n => 0);
SELECT results_eq('SELECT * FROM refused', $$VALUES ('growing', time '12:04:59.999999', time '12:05', true), ('hopping', '12:04:59.999999', '12:05', true)$$,
	'rule 12: at that instant a row is late for the window that ended, and counts in others; one that WHERE rejects is not late');
SELECT results_eq('SELECT * FROM tumbling', $$VALUES (span('12:00', '12:10'), 3::bigint)$$, 'rule 12: the longer window takes it');
SELECT results_eq('SELECT * FROM hopping ORDER BY w', $$VALUES (span('11:55', '12:05'), 2::bigint), (span('12:00', '12:10'), 3)$$,
	'rule 13: of windows that share a slice only the one still open takes it');
SELECT results_eq('SELECT * FROM growing ORDER BY w', $$VALUES (span('12:00', '12:05'), 2::bigint), (span('12:00', '12:10'), 3)$$, 'rule 13: so with cumulate');
SELECT is_empty('SELECT * FROM wrong()', 'rule 13: equal to the batch over the pairs that were accepted');
SELECT put('12:13', n => 0);
SELECT put('12:09'), put('12:01');
SELECT results_eq('SELECT * FROM refused WHERE view = $$tumbling$$', $$VALUES ('tumbling', time '12:01', time '12:10', false), ('tumbling', '12:09', '12:10', false)$$,
	'rule 12: a row that all windows refuse is not counted');
SELECT results_eq('SELECT * FROM refused WHERE view = $$hopping$$ AND event_time <> $$12:04:59.999999$$',
	$$VALUES ('hopping', time '12:01', time '12:10', false), ('hopping', '12:09', '12:10', true)$$,
	'rule 12: refused_through is the last window that refused it');
SELECT results_eq('SELECT * FROM hopping ORDER BY w', $$VALUES (span('11:55', '12:05'), 2::bigint), (span('12:00', '12:10'), 3), (span('12:05', '12:15'), 1)$$,
	'rule 13: sealed results never change');
SELECT results_eq('SELECT rows, late_rows, partly_late_rows FROM streamx.stat_views WHERE view = $$hopping$$::regclass',
	'VALUES (9::bigint, 1::bigint, 2::bigint)', 'rule 12: counted by view and reason');
SELECT is_empty('SELECT * FROM wrong()', 'rule 12: equal to the batch');

-- Rule 11: the same rows, row by row and as one batch
CREATE FOREIGN TABLE one_by_one (t timestamptz) SERVER streamx OPTIONS (event_time 't');
CREATE FOREIGN TABLE at_once (t timestamptz) SERVER streamx OPTIONS (event_time 't');
CREATE VIEW small WITH (streamx.continuous) AS SELECT hop(t, '10 min', '5 min') AS w, count(*) AS c FROM one_by_one GROUP BY 1;
CREATE VIEW large WITH (streamx.continuous) AS SELECT hop(t, '10 min', '5 min') AS w, count(*) AS c FROM at_once GROUP BY 1;
CREATE TABLE rows AS SELECT i, at('12:00') + (i * 37 % 50) * interval '1 min' AS t FROM generate_series(1, 50) i;
DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM rows ORDER BY i LOOP INSERT INTO one_by_one VALUES (r.t); PERFORM * FROM small; END LOOP; END $$;
INSERT INTO at_once SELECT t FROM rows ORDER BY i;
SELECT is_empty('SELECT FROM small x LEFT JOIN large y USING (w) WHERE y.c IS NULL OR y.c < x.c', 'rule 11: a larger batch accepts all that row by row is accepted');
SELECT cmp_ok((SELECT sum(c) FROM small), '<', (SELECT sum(c) FROM large), 'rule 11: and more');
SELECT is_empty('(SELECT hop(t, $$10 min$$, $$5 min$$), count(*) FROM rows GROUP BY 1) EXCEPT ALL SELECT * FROM large', 'rule 11: in one batch nothing is late');
BEGIN;
INSERT INTO at_once VALUES (at('14:00'));
SELECT count(*) FROM large WHERE w @> at('13:00');
INSERT INTO at_once VALUES (at('13:00'));
COMMIT;
SELECT is_empty($$SELECT FROM large WHERE w @> at('13:00')$$, 'rule 11: earlier batches of the same transaction judge later ones');
SELECT results_eq($$SELECT count(*) FROM streamx.late_rows WHERE stream = 'at_once'::regclass$$, 'VALUES (1::bigint)', 'rule 11: the decision is recorded');
DROP FOREIGN TABLE one_by_one, at_once CASCADE;

-- Rule 14: sessions of a gap of 10 minutes, 5 minutes of lateness
DROP FOREIGN TABLE s CASCADE;
CREATE FOREIGN TABLE s (t timestamptz, k text, n int) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW refused AS
	SELECT event_time::time, refused_through::time, counted FROM streamx.late_rows WHERE stream = 's'::regclass ORDER BY event_time;
CREATE VIEW visits WITH (streamx.continuous, streamx.allowed_lateness = '5 min') AS
	SELECT k, session(t, '10 min') AS w, count(*) AS c FROM s GROUP BY k, 2;
SELECT put('10:00'), put('10:08'), put('11:00', 'b');
SELECT put('11:00:00.000001', 'b'), put('10:40', 'c'), put('10:30', 'd');
-- the watermark is 11:00:00.000001: too old by themselves are rows up to 10:45:00.000001
SELECT put('10:45:00.000002', 'e');
SELECT put('10:45:00.000001', 'e'), put('10:40', 'e');
SELECT results_eq('SELECT * FROM visits WHERE k = $$e$$', $$VALUES ('e', span('10:40', '10:55:00.000002'), 3::bigint)$$,
	'rule 14: a row too old by itself merges into a session that still takes rows');
SELECT put('10:39', 'f'), put('10:20', 'a');
SELECT results_eq('SELECT * FROM refused', $$VALUES (time '10:20', time '10:30', false), ('10:30', '10:40', false), ('10:39', '10:49', false), ('10:40', '10:50', false)$$,
	'rule 14: by itself it is late');
SELECT put('11:20', 'b');
SELECT put('11:06', 'g');
SELECT put('10:57', 'g'), put('10:56', 'g');
SELECT results_eq('SELECT w, c FROM visits WHERE k = $$g$$', $$VALUES (span('10:56', '11:16'), 3::bigint)$$,
	'rule 14: the merged session decides, end + allowed_lateness > watermark');
SELECT put('11:35', 'h'), put('11:36', 'b');
SELECT put('11:16', 'g');
SELECT results_eq('SELECT w, c FROM visits WHERE k = $$g$$', $$VALUES (span('10:56', '11:16'), 3::bigint)$$,
	'rule 14: end + allowed_lateness <= watermark refuses it, and the closed session stays');
SELECT is_empty('SELECT * FROM wrong()', 'rule 14: equal to the batch');

-- Rule 15
SELECT put('12:00', 'z');
SELECT results_eq($$SELECT c, upper(w) <= streamx.watermark('visits') FROM visits WHERE k = 'z'$$, 'VALUES (1::bigint, false)',
	'rule 15: open windows are shown; the watermark tells which are final');

-- Rules 16 and 17
CREATE VIEW many WITH (streamx.continuous) AS
	SELECT k, count(*) FILTER (WHERE n > 1) AS big, sum(n) * 2 + max(n) AS mixed, avg(n) AS mean, bool_or(n > 1) AS any_big
	FROM s GROUP BY k HAVING count(*) > 1;
SELECT results_eq($$SELECT * FROM many ORDER BY k$$,
	$$SELECT k, count(*) FILTER (WHERE n > 1), sum(n) * 2 + max(n), avg(n), bool_or(n > 1) FROM s GROUP BY k HAVING count(*) > 1 ORDER BY k$$,
	'rule 16: FILTER, expressions and HAVING give what PostgreSQL gives');
CREATE VIEW middle WITH (streamx.continuous) AS
	SELECT k, percentile_disc(0.5) WITHIN GROUP (ORDER BY n) AS middle, count(DISTINCT n) FROM s GROUP BY k;
SELECT results_eq('SELECT * FROM middle ORDER BY k',
	'SELECT k, percentile_disc(0.5) WITHIN GROUP (ORDER BY n), count(DISTINCT n) FROM s GROUP BY k ORDER BY k',
	'rule 16: what has no combinable state is computed from its inputs');
CREATE VIEW in_order WITH (streamx.continuous) AS SELECT k, array_agg(n) AS came FROM s GROUP BY k;
SELECT results_eq('SELECT k, came FROM in_order ORDER BY k',
	$$SELECT k, array_agg(n ORDER BY t, place) FROM (SELECT *, row_number() OVER () AS place FROM s) s GROUP BY k ORDER BY k$$,
	'rule 17: without ORDER BY, in the order of event time and offset');
SELECT is_empty('SELECT * FROM wrong()', 'rule 16: equal to the batch');

-- What a slice holds may be too large together with another: an error where the window is read, which it names
CREATE FOREIGN TABLE floats (t timestamptz, k text, f float8) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE VIEW large WITH (streamx.continuous) AS SELECT hop(t, '10 min', '5 min') AS w, k, sum(f) FROM floats GROUP BY 1, 2;
INSERT INTO floats VALUES (at('10:01'), 'a', 1), (at('10:11'), 'b', 1e308);
INSERT INTO floats VALUES (at('10:16'), 'b', 1e308);
SELECT throws_ok('SELECT * FROM large', '22003', NULL, 'rule 16: a sum that no float can hold is an error');
\set ON_ERROR_STOP 0
SELECT * FROM large;
SELECT * FROM large WHERE k = 'a';
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA rules CASCADE;
