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

SELECT plan(48);

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

SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), view || ': verify agrees') FROM own_views ORDER BY view::text;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA transactions CASCADE;
