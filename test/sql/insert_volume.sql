-- Many rows in one transaction: time grows with the rows, not with their square
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA volume;
SET search_path = volume, public;
CREATE FOREIGN TABLE v (at timestamptz, k int, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE FOREIGN TABLE v2 (n int) SERVER streamx;
CREATE VIEW v_sum WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, k, count(*), sum(n) FROM v GROUP BY 1, 2;
CREATE VIEW v2_sum WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM v2;
CREATE TABLE took (what text, rows int, ms float8);
SELECT plan(12);

-- of this backend, in ms: what others do on the machine does not count.  The kernel keeps it to the last tick; whoever reads
-- stat has it brought up to date
CREATE FUNCTION cpu_time() RETURNS float8 LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_read_file('/proc/self/stat');
	RETURN split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::float8 / 1e6;
END $$;
CREATE PROCEDURE timed(what text, rows int, statement text) LANGUAGE plpgsql AS $$
DECLARE
	start float8 := cpu_time();
BEGIN
	FOR i IN 1..rows LOOP
		EXECUTE statement USING i;
	END LOOP;
	COMMIT;
	INSERT INTO took VALUES (what, rows, cpu_time() - start);
END $$;
-- the second of two equal subtransactions in one block; each level is left before the next
CREATE FUNCTION in_savepoint(n int, fails bool) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO v2 VALUES (n);
	INSERT INTO v VALUES ('2024-05-01', n % 10, n);
	IF fails THEN RAISE division_by_zero; END IF;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;

CALL timed('warm up', 100, 'INSERT INTO v VALUES (''2024-05-01'', $1 % 10, $1)');
CALL timed('single rows', 10000, 'INSERT INTO v VALUES (''2024-05-01'', $1 % 10, $1)');
CALL timed('single rows', 40000, 'INSERT INTO v VALUES (''2024-05-01'', $1 % 10, $1)');
SELECT is(sum(count), 50100::numeric, '50,100 single rows') FROM v_sum;
CALL timed('savepoints', 1250, 'SELECT in_savepoint($1, $1 % 5 = 0)');
CALL timed('savepoints', 5000, 'SELECT in_savepoint($1, $1 % 5 = 0)');
SELECT is(count, 5000::bigint, '5,000 of 6,250 savepoints were kept') FROM v2_sum;
SELECT is(sum(count), 55100::numeric, 'in both streams') FROM v_sum;
-- reading in between costs a merge each time, of the new rows only
CALL timed('read', 250, 'WITH i AS (INSERT INTO v2 VALUES ($1)) SELECT count FROM v2_sum');
CALL timed('read', 1000, 'WITH i AS (INSERT INTO v2 VALUES ($1)) SELECT count FROM v2_sum');
SELECT is(count, 6250::bigint, 'all of them') FROM v2_sum;
SELECT cmp_ok(max(ms) FILTER (WHERE rows = largest) / max(ms) FILTER (WHERE rows < largest), '<', 10::float8, what || ': four times the rows take four times the time, not sixteen')
	FROM took, LATERAL (SELECT max(rows) AS largest FROM took t WHERE t.what = took.what) l WHERE what <> 'warm up' GROUP BY what ORDER BY what;
SELECT is_empty($$SELECT * FROM streamx.verify('v_sum')$$, 'verify agrees');

-- An outer row, merged anew in each of many savepoints that are rolled back
BEGIN;
INSERT INTO v2 VALUES (1000000);
DO $$
BEGIN
	FOR i IN 1..200 LOOP
		BEGIN
			INSERT INTO v2 VALUES (1);
			IF (SELECT count FROM v2_sum) <> 6252 THEN RAISE 'got %', (SELECT count FROM v2_sum); END IF;
			RAISE division_by_zero;
		EXCEPTION WHEN division_by_zero THEN NULL;
		END;
	END LOOP;
END $$;
SELECT is(count, 6251::bigint, 'counted once in the end') FROM v2_sum;
COMMIT;
SELECT is(count, 6251::bigint, 'and after commit') FROM v2_sum;

-- More than batch_memory: merged before the commit, and still all or nothing
INSERT INTO v2 SELECT i FROM generate_series(1, 100000) i;
SELECT is(count, 106251::bigint, 'a hundred thousand rows by one statement') FROM v2_sum;
-- nesting
DO $$
DECLARE depth int := 100;
BEGIN
	EXECUTE format('DO %L', 'BEGIN INSERT INTO v2 VALUES (1); END');
END $$;
CREATE FUNCTION nest(depth int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO v2 VALUES (1);
	IF depth > 0 THEN PERFORM nest(depth - 1); END IF;
	IF depth % 7 = 3 THEN RAISE division_by_zero; END IF;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
BEGIN;
SELECT nest(100);
COMMIT;
SELECT is(count, 106252::bigint + (100 - 94), 'of 101 nested savepoints those above the outermost failure are left') FROM v2_sum;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA volume CASCADE;
