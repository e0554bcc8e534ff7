-- INSERT and COPY are transactional: views follow commit, rollback and savepoints, and show a transaction its own rows
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA transactions;
SET search_path = transactions, public;
CREATE VIEW own_views AS SELECT v.* FROM streamx.views v JOIN pg_class c ON c.oid = view WHERE relnamespace = 'transactions'::regnamespace;
CREATE FOREIGN TABLE tx (at timestamptz, k text, n int NOT NULL CHECK (n < 1000))
	SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE FOREIGN TABLE tx2 (k text, n int) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW tx_sum WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM tx;
CREATE VIEW tx_hours WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, k, sum(n) FROM tx GROUP BY 1, 2;
CREATE VIEW tx2_sum WITH (streamx.continuous) AS SELECT k, count(*), sum(n) FROM tx2 GROUP BY k;
CREATE FUNCTION put_tx(n int) RETURNS void LANGUAGE sql AS $$ INSERT INTO tx VALUES ('2024-05-01', 'f', n) $$;

SELECT plan(98);

-- Rolled back means never seen
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'a', 1);
SELECT is(sum, 1::bigint, 'own rows are visible') FROM tx_sum;
INSERT INTO tx VALUES ('2024-05-01', 'a', 2);
SELECT is(sum, 3::bigint, 'and later ones') FROM tx_sum;
SELECT is(count(*), 2::bigint, 'in the stream, too') FROM tx;
ROLLBACK;
SELECT is(count, 0::bigint, 'rolled back: nothing') FROM tx_sum;
SELECT is(count(*), 0::bigint, 'not in the stream, either') FROM tx;
SELECT is(streamx.watermark('tx'), NULL, 'the watermark has not moved');

-- Savepoints, with and without reading between
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'a', 1);
SAVEPOINT one;
INSERT INTO tx VALUES ('2024-05-01', 'a', 10);
SAVEPOINT two;
INSERT INTO tx VALUES ('2024-05-01', 'a', 100);
ROLLBACK TO two;
INSERT INTO tx VALUES ('2024-05-01', 'b', 20);
RELEASE one;
INSERT INTO tx VALUES ('2024-05-01', 'b', 2);
COMMIT;
SELECT is(sum, 33::bigint, '1 + 10 + 20 + 2') FROM tx_sum;

-- A read inside a savepoint merges outer rows; rolling back to it must not lose them
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'c', 1);
SAVEPOINT one;
INSERT INTO tx VALUES ('2024-05-01', 'c', 10);
SELECT is(sum, 11::bigint, 'merged inside the savepoint') FROM tx_hours WHERE k = 'c';
ROLLBACK TO one;
SELECT is(sum, 1::bigint, 'the outer row is still there') FROM tx_hours WHERE k = 'c';
SAVEPOINT two;
INSERT INTO tx VALUES ('2024-05-01', 'c', 100);
SAVEPOINT three;
INSERT INTO tx VALUES ('2024-05-01', 'c', 200);
SELECT is(sum, 301::bigint, 'all levels') FROM tx_hours WHERE k = 'c';
RELEASE three;
SELECT is(sum, 301::bigint, 'released') FROM tx_hours WHERE k = 'c';
ROLLBACK TO two;
INSERT INTO tx VALUES ('2024-05-01', 'c', 5);
SELECT is(sum, 6::bigint, 'rolled back with what was released into it') FROM tx_hours WHERE k = 'c';
COMMIT;
SELECT is(sum, 6::bigint, 'and so committed') FROM tx_hours WHERE k = 'c';

-- rows of the outer level, merged in a savepoint, released: merged once
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'd', 1);
SAVEPOINT one;
SELECT is(sum, 1::bigint, 'merged by a read in a savepoint') FROM tx_hours WHERE k = 'd';
RELEASE one;
INSERT INTO tx VALUES ('2024-05-01', 'd', 2);
COMMIT;
SELECT is(sum, 3::bigint, 'and not again at commit') FROM tx_hours WHERE k = 'd';

-- two streams, one transaction, interleaved
BEGIN;
INSERT INTO tx2 VALUES ('x', 1);
INSERT INTO tx VALUES ('2024-05-01', 'e', 1);
SAVEPOINT one;
INSERT INTO tx2 VALUES ('x', 2);
SELECT is(sum, 3::bigint, 'the one') FROM tx2_sum WHERE k = 'x';
INSERT INTO tx VALUES ('2024-05-01', 'e', 2);
ROLLBACK TO one;
INSERT INTO tx2 VALUES ('x', 4);
COMMIT;
SELECT results_eq($$SELECT (SELECT sum FROM tx2_sum WHERE k = 'x'), (SELECT sum FROM tx_hours WHERE k = 'e')$$, 'VALUES (5::bigint, 1::bigint)', 'and the other');

-- Functions, DO blocks, exception blocks, cursors, CTEs, RETURNING, INSERT ... SELECT
BEGIN;
SELECT put_tx(1), put_tx(2);
SELECT is(sum, 3::bigint, 'rows of a function') FROM tx_hours WHERE k = 'f';
DO $$
BEGIN
	INSERT INTO tx VALUES ('2024-05-01', 'f', 4);
	BEGIN
		INSERT INTO tx VALUES ('2024-05-01', 'f', 8);
		PERFORM * FROM tx_sum;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		INSERT INTO tx VALUES ('2024-05-01', 'f', 16);
	END;
	IF (SELECT sum FROM tx_hours WHERE k = 'f') <> 23 THEN
		RAISE 'got %', (SELECT sum FROM tx_hours WHERE k = 'f');
	END IF;
END $$;
SELECT is(sum, 23::bigint, 'rows of a DO block, but not those of its failed part') FROM tx_hours WHERE k = 'f';
COMMIT;
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'g', 1);
DECLARE before CURSOR FOR SELECT sum FROM tx_hours WHERE k = 'g';
INSERT INTO tx VALUES ('2024-05-01', 'g', 2);
SELECT is(sum, 3::bigint, 'a read sees the latest') FROM tx_hours WHERE k = 'g';
FETCH before;
COMMIT;
BEGIN ISOLATION LEVEL REPEATABLE READ;
INSERT INTO tx VALUES ('2024-05-01', 'g', 4);
DECLARE before CURSOR FOR SELECT sum FROM tx_hours WHERE k = 'g';
INSERT INTO tx VALUES ('2024-05-01', 'g', 8);
SELECT is(sum, 15::bigint, 'at REPEATABLE READ, too') FROM tx_hours WHERE k = 'g';
FETCH before;
COMMIT;
WITH i AS (INSERT INTO tx VALUES ('2024-05-01', 'h', 1), ('2024-05-01', 'h', 2) RETURNING n)
	SELECT is(sum(n), 3::bigint, 'RETURNING returns the rows') FROM i;
SELECT is(sum, 3::bigint, 'and they arrive') FROM tx_hours WHERE k = 'h';
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'h', 3);
INSERT INTO tx SELECT at, 'i', n FROM tx WHERE k = 'h';
SELECT is(sum, 6::bigint, 'a stream can be copied into itself, own rows included') FROM tx_hours WHERE k = 'i';
INSERT INTO tx2 SELECT k, sum FROM tx_hours WHERE k = 'i';
CREATE TEMP TABLE seen AS SELECT * FROM tx2_sum WHERE k = 'i';
SELECT is(sum, 6::bigint, 'from view to stream to view to table') FROM seen;
COMMIT;
-- a function of the query reads the view
CREATE FUNCTION current_sum(key text) RETURNS bigint STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT sum FROM tx_hours WHERE k = key); END $$;
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'j', 1);
SELECT is(current_sum('j'), 1::bigint, 'a STABLE function sees what was inserted before its statement');
COMMIT;
SELECT results_eq('SELECT next_offset FROM streamx.progress JOIN streamx.readers USING (reader) WHERE stream = ''tx''::regclass',
	'SELECT count(*) FROM tx', 'every committed row has its offset');
-- the catalog shows own rows as well
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'j', 1);
SELECT results_eq('SELECT next_offset FROM streamx.progress JOIN streamx.readers USING (reader) WHERE stream = ''tx''::regclass',
	'SELECT count(*) FROM tx', 'in the transaction, too');
ROLLBACK;
-- a procedure that commits
CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..6 LOOP
		INSERT INTO tx VALUES ('2024-05-01', 'k', i);
		IF i % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF;
	END LOOP;
END $$;
CALL commits();
SELECT is(sum, 12::bigint, '2 + 4 + 6 were committed') FROM tx_hours WHERE k = 'k';
-- a deferred trigger inserts at commit
CREATE TABLE tx_orders (n int);
CREATE FUNCTION forward() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO tx VALUES ('2024-05-01', 'l', NEW.n); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER forward AFTER INSERT ON tx_orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION forward();
INSERT INTO tx_orders VALUES (1), (2);
SELECT is(sum, 3::bigint, 'a deferred trigger''s rows arrive') FROM tx_hours WHERE k = 'l';
-- triggers of the stream itself
CREATE FUNCTION change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.n = 13 THEN RETURN NULL; END IF; NEW.n := NEW.n * 2; RETURN NEW; END $$;
CREATE TRIGGER change BEFORE INSERT ON tx FOR EACH ROW EXECUTE FUNCTION change();
INSERT INTO tx VALUES ('2024-05-01', 'm', 1), ('2024-05-01', 'm', 13);
SELECT is(sum, 2::bigint, 'BEFORE triggers change and drop rows') FROM tx_hours WHERE k = 'm';
DROP TRIGGER change ON tx;

-- Constraints are checked at once
INSERT INTO tx VALUES ('2024-05-01', 'n', 1000);
INSERT INTO tx VALUES ('2024-05-01', 'n', NULL);
BEGIN;
INSERT INTO tx VALUES ('2024-05-01', 'n', 1);
SAVEPOINT one;
INSERT INTO tx VALUES ('2024-05-01', 'n', 2), ('2024-05-01', 'n', NULL);
ROLLBACK TO one;
COMMIT;
SELECT is(sum, 1::bigint, 'a failed statement leaves nothing') FROM tx_hours WHERE k = 'n';

-- COPY
COPY tx (k, n, at) FROM stdin WITH (FORMAT csv);
o,1,2024-05-01
o,2,2024-05-01
\.
SELECT is(sum, 3::bigint, 'COPY') FROM tx_hours WHERE k = 'o';
COPY tx (k, n, at) FROM stdin WITH (FORMAT csv);
o,4,2024-05-01
o,8,not a time
\.
COPY tx (k, n, at) FROM stdin WITH (FORMAT csv);
o,4,2024-05-01
o,8000,2024-05-01
\.
SELECT is(sum, 3::bigint, 'COPY with an error leaves nothing') FROM tx_hours WHERE k = 'o';
COPY tx (k, n, at) FROM stdin WITH (FORMAT csv) WHERE n > 1;
o,1,2024-05-01
o,8,2024-05-01
\.
SELECT is(sum, 11::bigint, 'COPY ... WHERE') FROM tx_hours WHERE k = 'o';

-- through a partitioned table
CREATE TABLE parted (at timestamptz, n int NOT NULL, extra text, k text) PARTITION BY LIST (k);
CREATE FOREIGN TABLE part_stream (k text, n int NOT NULL, at timestamptz, extra text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW part_sum WITH (streamx.continuous) AS SELECT k, sum(n) FROM part_stream GROUP BY k;
ALTER TABLE parted ATTACH PARTITION part_stream FOR VALUES IN ('p', 'q');
INSERT INTO parted VALUES ('2024-05-01', 1, NULL, 'p'), ('2024-05-01', 2, NULL, 'q');
COPY parted (at, n, k) FROM stdin WITH (FORMAT csv);
2024-05-01,4,p
\.
SELECT results_eq('SELECT * FROM part_sum ORDER BY k', $$VALUES ('p', 5::bigint), ('q', 2)$$, 'rows routed to a partition that is a stream');

-- Windows of every kind follow the transaction as well
CREATE FOREIGN TABLE tw (at timestamptz, k text, n int NOT NULL CHECK (n < 1000)) SERVER streamx
	OPTIONS (event_time 'at', watermark_delay '1 hour', retain 'on');
CREATE TABLE tw_table (LIKE tw);
CREATE VIEW tw_hops WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, k, count(*), sum(n), avg(n) FROM tw GROUP BY 1, 2;
CREATE VIEW tw_steps WITH (streamx.continuous) AS SELECT cumulate(at, '20 minutes', '10 minutes') AS w, k, count(*), sum(n), avg(n) FROM tw GROUP BY 1, 2;
CREATE VIEW tw_sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, k, count(*), sum(n), avg(n) FROM tw GROUP BY 1, 2;
CREATE VIEW tw_kept_hops WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT hop(at, '20 minutes', '10 minutes') AS w, k, sum(n) FROM tw GROUP BY 1, 2;
CREATE VIEW tw_kept_sessions WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT session(at, '10 minutes') AS w, k, sum(n) FROM tw GROUP BY 1, 2;
CREATE FUNCTION put(at text, k text, n int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO tw VALUES (('2024-05-01 ' || at)::timestamptz, k, n);
	INSERT INTO tw_table VALUES (('2024-05-01 ' || at)::timestamptz, k, n) $$;
CREATE VIEW tw_runs AS
	SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY k ORDER BY at) AS run
	FROM (SELECT *, at > lag(at, 1, '-infinity') OVER (PARTITION BY k ORDER BY at) + interval '10 minutes' AS is_first FROM tw_table) t;
CREATE VIEW tw_batch AS
	SELECT 'hop', hop(at, '20 minutes', '10 minutes') AS w, k, count(*), sum(n), avg(n) FROM tw_table GROUP BY 2, 3
	UNION ALL SELECT 'cumulate', cumulate(at, '20 minutes', '10 minutes'), k, count(*), sum(n), avg(n) FROM tw_table GROUP BY 2, 3
	UNION ALL SELECT 'session', tstzrange(min(at), max(at) + interval '10 minutes'), k, count(*), sum(n), avg(n) FROM tw_runs GROUP BY k, run;
CREATE VIEW tw_shown AS SELECT 'hop', * FROM tw_hops UNION ALL SELECT 'cumulate', * FROM tw_steps UNION ALL SELECT 'session', * FROM tw_sessions;
CREATE VIEW tw_differences AS (TABLE tw_batch EXCEPT ALL TABLE tw_shown) UNION ALL (TABLE tw_shown EXCEPT ALL TABLE tw_batch);
CREATE FUNCTION sessions(key text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s-%s %s', lower(w)::time(0), upper(w)::time(0), sum), ', ' ORDER BY w) FROM tw_sessions WHERE k = key $$;
CREATE FUNCTION hops(key text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(format('%s %s', lower(w)::time(0), sum), ', ' ORDER BY w) FROM tw_hops WHERE k = key $$;
BEGIN;
SELECT put('10:00', 'a', 1);
SELECT is(hops('a'), '09:50:00 1, 10:00:00 1', 'own rows are visible in hops');
SELECT is(sessions('a'), '10:00:00-10:10:00 1', 'and sessions');
SELECT put('10:09', 'a', 2);
SELECT is_empty('TABLE tw_differences', 'and later ones');
ROLLBACK;
SELECT is((SELECT count(*) FROM tw_shown), 0::bigint, 'rolled back: nothing');

-- A session that grew, was bridged or swallowed in a savepoint is as before when that is rolled back
SELECT put('10:00', 'a', 1), put('10:20', 'a', 2), put('10:40', 'a', 4), put('10:00', 'b', 1);
BEGIN;
SELECT put('10:05', 'a', 8);
SAVEPOINT one;
SELECT put('10:10', 'a', 16);
SELECT is(sessions('a'), '10:00:00-10:30:00 27, 10:40:00-10:50:00 4', 'bridged in a savepoint, with the outer row');
SAVEPOINT two;
SELECT put('10:30', 'a', 32);
SELECT is(sessions('a'), '10:00:00-10:50:00 63', 'bridged again in another');
SELECT is(hops('a'), '09:50:00 9, 10:00:00 25, 10:10:00 18, 10:20:00 34, 10:30:00 36, 10:40:00 4', 'hops as well');
ROLLBACK TO two;
SELECT is(sessions('a'), '10:00:00-10:30:00 27, 10:40:00-10:50:00 4', 'rolled back to the second');
SELECT is_empty('TABLE tw_differences', 'all of them');
ROLLBACK TO one;
SELECT is(sessions('a'), '10:00:00-10:15:00 9, 10:20:00-10:30:00 2, 10:40:00-10:50:00 4', 'and to the first: the outer row is still there');
SELECT is_empty('TABLE tw_differences', 'all of them');
SAVEPOINT three;
SELECT put('10:31', 'a', 64);
SELECT is(sessions('a'), '10:00:00-10:15:00 9, 10:20:00-10:30:00 2, 10:31:00-10:50:00 68', 'another one');
RELEASE three;
SELECT put('10:41', 'b', 128);
COMMIT;
SELECT is(sessions('a') || '; ' || sessions('b'), '10:00:00-10:15:00 9, 10:20:00-10:30:00 2, 10:31:00-10:50:00 68; 10:00:00-10:10:00 1, 10:41:00-10:51:00 128', 'and so committed');
SELECT is_empty('TABLE tw_differences', 'equal to the batch');
DO $$
BEGIN
	PERFORM put('10:42', 'c', 1);
	BEGIN
		PERFORM put('10:50', 'c', 2);
		PERFORM * FROM tw_shown;
		RAISE division_by_zero;
	EXCEPTION WHEN division_by_zero THEN
		PERFORM put('10:59', 'c', 4);
	END;
END $$;
SELECT is(sessions('c'), '10:42:00-10:52:00 1, 10:59:00-11:09:00 4', 'a failed block of a function leaves no trace in a session');
SELECT is_empty('TABLE tw_differences', 'nor elsewhere');

-- What was read is merged: rows that follow in the transaction are judged by its watermark
BEGIN;
INSERT INTO tw VALUES ('2024-05-01 12:25', 'd', 1);
SAVEPOINT one;
SELECT is(count, 1::bigint, 'read, hence merged') FROM tw_sessions WHERE k = 'd';
INSERT INTO tw VALUES ('2024-05-01 11:16', 'd', 2), ('2024-05-01 11:01', 'd', 4);
SELECT is(hops('d'), '11:10:00 2, 12:10:00 1, 12:20:00 1', 'what follows is partly late, or late');
SELECT is(sessions('d'), '11:16:00-11:26:00 2, 12:25:00-12:35:00 1', 'or on time in a session');
SELECT results_eq($$SELECT view::text COLLATE "default", event_time::time, counted FROM streamx.late_rows WHERE stream = 'tw'::regclass AND view IN ('tw_hops'::regclass, 'tw_sessions'::regclass) ORDER BY 1, 2$$,
	$$VALUES ('tw_hops', time '11:01', false), ('tw_hops', '11:16', true), ('tw_sessions', '11:01', false)$$, 'and recorded');
ROLLBACK TO one;
INSERT INTO tw VALUES ('2024-05-01 11:16', 'd', 2), ('2024-05-01 11:01', 'd', 4);
COMMIT;
SELECT is(hops('d'), '10:50:00 4, 11:00:00 6, 11:10:00 2, 12:10:00 1, 12:20:00 1', 'rolled back, they wait with the outer row, and none is late');
SELECT is_empty($$SELECT * FROM streamx.late_rows WHERE stream = 'tw'::regclass$$, 'nor recorded');
INSERT INTO tw_table VALUES ('2024-05-01 12:25', 'd', 1), ('2024-05-01 11:16', 'd', 2), ('2024-05-01 11:01', 'd', 4);
SELECT is_empty('TABLE tw_differences', 'equal to the batch');

-- Cursors show what there was when they were opened
BEGIN;
SELECT put('11:26', 'e', 1);
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT lower(w)::time, sum FROM tw_hops WHERE k = 'e' ORDER BY 1;
DECLARE streaming NO SCROLL CURSOR FOR SELECT lower(w)::time, sum FROM tw_hops WHERE k = 'e';
DECLARE of_sessions SCROLL CURSOR FOR SELECT upper(w)::time, sum FROM tw_sessions WHERE k = 'e';
DECLARE of_kept NO SCROLL CURSOR FOR SELECT count(*) FROM tw_kept_hops;
FETCH 1 FROM streaming;
SAVEPOINT one;
SELECT put('11:27', 'e', 2), put('13:00', 'e', 4);
SELECT is(hops('e'), '11:10:00 3, 11:20:00 3, 12:50:00 4, 13:00:00 4', 'a query shows the latest');
SELECT is(count(*), (SELECT count(*) FROM tw_kept_hops), 'and what retention has left') FROM tw_hops WHERE upper(w) > '2024-05-01 11:00';
SELECT is(count(*), (SELECT count(*) FROM tw_kept_sessions), 'of sessions, too') FROM tw_sessions WHERE upper(w) > '2024-05-01 11:00';
FETCH ALL FROM of_sessions;
FETCH BACKWARD 1 FROM of_sessions;
ROLLBACK TO one;
FETCH 2 FROM streaming;
FETCH of_kept;
SELECT put('13:00', 'e', 8);
COMMIT;
FETCH ALL FROM held;
FETCH FIRST FROM held;
CLOSE held;
SELECT is_empty('TABLE tw_differences', 'equal to the batch');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT put('13:05', 'e', 16);
DECLARE before CURSOR FOR SELECT lower(w)::time, sum FROM tw_hops WHERE k = 'e' AND lower(w) >= '2024-05-01 12:50';
SELECT put('13:06', 'e', 32);
SELECT is(sessions('e'), '11:26:00-11:36:00 1, 13:00:00-13:16:00 56', 'at REPEATABLE READ, too');
FETCH ALL FROM before;
COMMIT;

-- ... the removals of retention as well, whenever rows that bring more are merged
SELECT (SELECT count(*) FROM tw_kept_hops), (SELECT count(*) FROM tw_kept_sessions);
BEGIN;
DECLARE of_kept CURSOR FOR SELECT count(*) FROM tw_kept_hops;
DECLARE of_kept_sessions CURSOR FOR SELECT count(*) FROM tw_kept_sessions;
SELECT put('19:00', 'e', 1);
FETCH of_kept;
FETCH of_kept_sessions;
SELECT (SELECT count(*) FROM tw_kept_hops), (SELECT count(*) FROM tw_kept_sessions);
FETCH of_kept;
ROLLBACK;

-- Whatever way a query comes, it sees the rows before it
PREPARE prepared AS SELECT lower(w)::time, sum FROM tw_hops WHERE k = $1 ORDER BY 1;
CREATE FUNCTION stable_sum(key text) RETURNS numeric STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT sum(sum) FROM tw_hops WHERE k = key); END $$;
BEGIN;
SELECT put('13:01', 'h', 1);
EXECUTE prepared ('h');
SELECT put('13:02', 'h', 2);
EXECUTE prepared ('h');
SELECT put('13:03', 'h', 4);
SELECT is(stable_sum('h'), 14::numeric, 'a STABLE function');
SELECT put('13:04', 'h', 8);
DECLARE first CURSOR FOR SELECT lower(w)::time, sum FROM tw_hops WHERE k = 'h';
FETCH ALL FROM first;
SELECT put('13:05', 'h', 16);
COPY (SELECT lower(w)::time, sum FROM tw_hops WHERE k = 'h') TO stdout;
SELECT put('13:06', 'h', 32);
DO $$
DECLARE r record;
BEGIN
	FOR r IN SELECT sum FROM tw_hops WHERE k = 'h' LOOP
		IF r.sum <> 63 THEN RAISE 'got %', r.sum; END IF;
	END LOOP;
END $$;
SELECT put('13:07', 'h', 64);
SELECT is(streamx.watermark('tw'), '2024-05-01 12:07Z', 'the watermark');
COMMIT;
DEALLOCATE prepared;

-- In parallel queries
SELECT count(set_config(name, 'on', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SELECT is_empty('TABLE tw_differences', 'a parallel query shows the same');
BEGIN;
SELECT put('13:07', 'f', 1);
SELECT is(hops('f'), '12:50:00 1, 13:00:00 1', 'and own rows');
SELECT results_eq($$SELECT s.k, h.sum, s.sum FROM tw_hops h JOIN tw_sessions s ON s.k = h.k AND s.w && h.w WHERE lower(h.w) = '2024-05-01 13:00' AND h.k IN ('e', 'f') ORDER BY 1$$,
	$$VALUES ('e', 56::bigint, 56::bigint), ('f', 1, 1)$$, 'joined, too');
SELECT is_empty('TABLE tw_differences', 'in all views');
COMMIT;
SELECT is(count(*), (SELECT count(*) FROM tw_kept_hops), 'and what is left by retention') FROM tw_hops WHERE upper(w) > '2024-05-01 11:07';
SELECT is(count(*), (SELECT count(*) FROM tw_kept_sessions), 'of sessions, too') FROM tw_sessions WHERE upper(w) > '2024-05-01 11:07';
CREATE TABLE notes (n int);
CREATE FUNCTION note() RETURNS int LANGUAGE sql AS 'INSERT INTO transactions.notes VALUES (1) RETURNING n';
CREATE FUNCTION noted(bigint) RETURNS bigint IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM transactions.note(); RETURN $1; END';
CREATE AGGREGATE noted_sum(bigint) (sfunc = int8pl, stype = bigint, combinefunc = int8pl, finalfunc = noted, initcond = '0');
CREATE VIEW tw_noted WITH (streamx.continuous) AS SELECT k, noted_sum(n) AS sum FROM tw GROUP BY k;
CREATE VIEW tw_noted_sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, k, noted_sum(n) AS sum FROM tw GROUP BY 1, 2;
SELECT isnt_empty('SELECT sum FROM tw_noted', 'an aggregate that is not parallel safe does not go to a worker');
SELECT isnt_empty('SELECT sum FROM tw_noted_sessions', 'of sessions, either');
DROP VIEW tw_noted, tw_noted_sessions;
RESET min_parallel_table_scan_size;
RESET min_parallel_index_scan_size;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
SELECT count(set_config(name, 'off', false)) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
-- nor can these be changed
INSERT INTO tw_hops (k) VALUES ('x');
UPDATE tw_hops SET sum = 1000;
DELETE FROM tw_sessions;
TRUNCATE tw_hops;
-- from a hop view to another stream
BEGIN;
SELECT put('13:08', 'g', 3);
INSERT INTO tx2 SELECT 'hops', sum FROM tw_hops WHERE k = 'g';
SELECT is(sum, 6::bigint, 'from view to stream to view') FROM tx2_sum WHERE k = 'hops';
COMMIT;
SELECT is_empty('TABLE tw_differences', 'equal to the batch');

-- What is no INSERT
UPDATE tx SET n = 1;
DELETE FROM tx;
TRUNCATE tx;
INSERT INTO tx VALUES ('2024-05-01', 'n', 1) ON CONFLICT DO NOTHING;
-- nor can views be changed, not even by a superuser
INSERT INTO tx2_sum VALUES ('x', 1, 1);
UPDATE tx2_sum SET sum = 1000;
DELETE FROM tx_sum;
TRUNCATE tx2_sum;

-- A view made after rows of the same transaction starts after them, or with them if they are kept
CREATE FOREIGN TABLE tx3 (k text, n int) SERVER streamx;
BEGIN;
INSERT INTO tx3 VALUES ('a', 1);
INSERT INTO tx2 VALUES ('y', 1);
CREATE VIEW tx3_sum WITH (streamx.continuous) AS SELECT sum(n) FROM tx3;
CREATE VIEW tx2_late WITH (streamx.continuous) AS SELECT sum(n) FROM tx2 WHERE k = 'y';
CREATE VIEW tx2_latest WITH (streamx.continuous, streamx.start = 'latest') AS SELECT sum(n) FROM tx2 WHERE k = 'y';
INSERT INTO tx3 VALUES ('a', 2);
INSERT INTO tx2 VALUES ('y', 2);
COMMIT;
SELECT results_eq('TABLE tx3_sum', 'VALUES (2::bigint)', 'not kept: it starts now');
SELECT results_eq('TABLE tx2_late', 'VALUES (3::bigint)', 'kept: it starts with the first');
SELECT results_eq('TABLE tx2_latest', 'VALUES (2::bigint)', 'unless it is to start now');

-- The stream changes while rows wait
BEGIN;
INSERT INTO tx3 VALUES ('b', 4);
ALTER FOREIGN TABLE tx3 ADD COLUMN extra text, ADD COLUMN more int;
INSERT INTO tx3 VALUES ('b', 8, 'x', 1);
ALTER FOREIGN TABLE tx3 DROP COLUMN extra;
INSERT INTO tx3 VALUES ('b', 16, 2);
COMMIT;
SELECT results_eq('TABLE tx3_sum', 'VALUES (30::bigint)', 'columns come and go');
BEGIN;
INSERT INTO tx3 VALUES ('b', 32);
DROP VIEW tx3_sum;
COMMIT;
BEGIN;
INSERT INTO tx3 VALUES ('b', 64);
DROP FOREIGN TABLE tx3;
COMMIT;
BEGIN;
CREATE FOREIGN TABLE tx3 (n int) SERVER streamx OPTIONS (retain 'on');
INSERT INTO tx3 VALUES (1);
CREATE VIEW tx3_sum WITH (streamx.continuous) AS SELECT sum(n) FROM tx3;
INSERT INTO tx3 VALUES (2);
SELECT results_eq('TABLE tx3_sum', 'VALUES (3::bigint)', 'all in one transaction');
ROLLBACK;
SELECT hasnt_relation('tx3_sum', 'and all undone');

-- Rows of the log that were rolled back are passed over, again and again, whatever size the others have
CREATE FOREIGN TABLE tx4 (n int, payload text) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW tx4_sum WITH (streamx.continuous) AS SELECT count(*) FROM tx4;
INSERT INTO tx4 SELECT i, repeat('x', 50) FROM generate_series(1, 500) i;
BEGIN;
INSERT INTO tx4 SELECT i, 'gone' FROM generate_series(501, 800) i;
SELECT results_eq('TABLE tx4_sum', 'VALUES (800::bigint)', 'they are in the log');
ROLLBACK;
SELECT results_eq('SELECT (SELECT length(string_agg(payload, NULL)) + cardinality(array_agg(payload)) FROM tx4 WHERE n > i) FROM generate_series(0, 2) i',
	'VALUES (25500), (25449), (25398)', 'those that stayed are read');

-- Rows wait while their transaction is made read only
CREATE FOREIGN TABLE tx5 (k text) SERVER streamx;
CREATE VIEW tx5_list WITH (streamx.continuous) AS SELECT array_agg(k) AS ks FROM tx5;
BEGIN;
INSERT INTO tx5 VALUES ('a');
SET TRANSACTION READ ONLY;
SELECT ks FROM tx5_list;
INSERT INTO tx5 VALUES ('b');
ROLLBACK;
BEGIN;
INSERT INTO tx5 VALUES ('c');
SET TRANSACTION READ ONLY;
COMMIT;
SELECT results_eq('TABLE tx5_list', $$VALUES ('{c}'::text[])$$, 'its commit merges them');
-- A function of a view that inserts is an error, or its rows would be lost
CREATE FUNCTION insert_echo(text) RETURNS bool LANGUAGE sql AS 'INSERT INTO transactions.tx5 VALUES ($1) RETURNING true';
CREATE FUNCTION echo(text) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN transactions.insert_echo($1); END';
CREATE VIEW tx5_echo WITH (streamx.continuous) AS SELECT count(echo(k)) FROM tx5;
INSERT INTO tx5 VALUES ('d');
SELECT results_eq('TABLE tx5_list', $$VALUES ('{c}'::text[])$$, 'nothing of it is left');
DROP FOREIGN TABLE tx5 CASCADE;

SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees') FROM own_views ORDER BY view::text;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA transactions CASCADE;
