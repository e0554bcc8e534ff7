-- What a review found: each case was wrong once
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SELECT plan(14);

-- A function in a view may use subtransactions, which are none of the INSERTs'
CREATE FOREIGN TABLE reviewed (k int) SERVER streamx OPTIONS (retain 'on', on_error 'dead_letter');
CREATE FOREIGN TABLE reviewed_too (k int) SERVER streamx OPTIONS (retain 'on', on_error 'dead_letter');
CREATE FUNCTION divided(i int) RETURNS int LANGUAGE plpgsql STABLE AS
	$$ BEGIN BEGIN RETURN 1 / (i - 5); EXCEPTION WHEN division_by_zero THEN RETURN 0; END; END $$;
CREATE VIEW reviewed_view WITH (streamx.continuous) AS
	SELECT count(*) AS n, sum(divided(k)) AS divided, sum(10 / (k - 3)) AS failing FROM reviewed;
CREATE VIEW reviewed_too_view WITH (streamx.continuous) AS SELECT count(*) AS n, sum(divided(k)) AS divided FROM reviewed_too;
BEGIN;
INSERT INTO reviewed VALUES (1);
INSERT INTO reviewed_too VALUES (1);
SAVEPOINT a;
INSERT INTO reviewed VALUES (2);
INSERT INTO reviewed_too VALUES (2);
RELEASE a;
SAVEPOINT b;
INSERT INTO reviewed VALUES (3);
INSERT INTO reviewed_too VALUES (5);
INSERT INTO reviewed VALUES (5);
SELECT results_eq('SELECT r.n, t.n FROM reviewed_view r, reviewed_too_view t', 'VALUES (3::bigint, 3::bigint)', 'two streams in turn, with savepoints');
ROLLBACK TO b;
INSERT INTO reviewed VALUES (3);
COMMIT;
SELECT results_eq('SELECT r.n, t.n FROM reviewed_view r, reviewed_too_view t', 'VALUES (2::bigint, 2::bigint)', 'what is rolled back was never seen');
SELECT is_empty($$SELECT * FROM streamx.verify('reviewed_view')$$, 'the first view is right');
SELECT is_empty($$SELECT * FROM streamx.verify('reviewed_too_view')$$, 'so is the second');

-- A stream behind a view's CTE, or in its subquery
CREATE VIEW behind_cte AS WITH c AS (SELECT * FROM reviewed) SELECT count(*) AS c, 1 AS k FROM c;
CREATE VIEW in_subquery AS SELECT 1 AS k WHERE EXISTS (SELECT FROM reviewed);
SELECT throws_ok('CREATE VIEW refused WITH (streamx.continuous) AS SELECT count(*) FROM reviewed_too JOIN behind_cte USING (k)',
	'0A000', NULL, 'a stream behind a CTE of a joined view is found');
SELECT throws_ok('CREATE VIEW refused WITH (streamx.continuous) AS SELECT count(*) FROM reviewed_too JOIN in_subquery USING (k)',
	'0A000', NULL, 'one in a subquery, too');

-- ANALYZE calls a function that belongs to a range type, as the table's owner
CREATE ROLE ranger;
GRANT CREATE ON SCHEMA public TO ranger;
GRANT USAGE ON FOREIGN SERVER streamx TO ranger;
SET ROLE ranger;
CREATE TABLE callers (caller name);
CREATE FUNCTION note_caller() RETURNS float8 LANGUAGE sql AS 'INSERT INTO public.callers VALUES (current_user) RETURNING 1.0';
CREATE FUNCTION distance(int, int) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.note_caller(); END';
CREATE TYPE trojan_range AS RANGE (subtype = int, subtype_diff = distance);
CREATE DOMAIN trojan_domain AS trojan_range;
CREATE FOREIGN TABLE ranged (r trojan_range, d trojan_domain) SERVER streamx;
CREATE VIEW ranges WITH (streamx.continuous) AS SELECT r, d, count(*) AS n FROM ranged GROUP BY r, d;
INSERT INTO ranged SELECT trojan_range(i, i + 1), trojan_range(i, i + 2) FROM generate_series(1, 100) i;
RESET ROLE;
DO $$ BEGIN EXECUTE (SELECT format('ANALYZE %s', state) FROM streamx.views WHERE view = 'ranges'::regclass); END $$;
SELECT is_empty('SELECT * FROM callers', 'ANALYZE of a state table calls nothing of a user''s');
SELECT results_eq('SELECT count(*), sum(n) FROM ranges', 'VALUES (100::bigint, 100::numeric)', 'which does not hurt the view');

-- A change of some owner touches no other view's relations
CREATE TABLE bystander ();
SELECT xmin AS before FROM pg_class WHERE oid = (SELECT state FROM streamx.views WHERE view = 'reviewed_view'::regclass) \gset
ALTER TABLE bystander OWNER TO ranger;
SELECT is(xmin, :'before'::xid, 'ALTER TABLE ... OWNER leaves continuous views alone')
	FROM pg_class WHERE oid = (SELECT state FROM streamx.views WHERE view = 'reviewed_view'::regclass);
ALTER VIEW reviewed_view OWNER TO ranger;
SELECT results_eq($$SELECT has_table_privilege('ranger', state, 'SELECT') FROM streamx.views WHERE view = 'reviewed_view'::regclass$$,
	'VALUES (true)', 'a view''s own new owner gets what it needs');
ALTER VIEW reviewed_view OWNER TO CURRENT_USER;

-- What is read in the middle of a parallel query is merged before it
CREATE TABLE numbers AS SELECT i FROM generate_series(1, 10000) i;
CREATE FUNCTION read_view() RETURNS bigint LANGUAGE plpgsql STABLE PARALLEL SAFE AS 'BEGIN RETURN (SELECT n FROM reviewed_too_view); END';
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
BEGIN;
INSERT INTO reviewed_too VALUES (1);
SELECT min(read_view()) AS least, max(read_view()) AS greatest FROM numbers WHERE i % 1000 = 0 \gset
COMMIT;
SELECT is(ARRAY[:least, :greatest], ARRAY[3, 3], 'a parallel query sees the rows of its transaction');

-- A result may depend on the rows only
SELECT throws_ok($$CREATE VIEW refused WITH (streamx.continuous) AS SELECT count(*) FROM reviewed WHERE age(timestamp '2020-01-01') > '1 day'$$,
	'0A000', NULL, 'age() counts from today');

-- What a stream owner's functions set goes with them
CREATE ROLE intruder;
CREATE SERVER nowhere FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:1');
GRANT USAGE ON FOREIGN SERVER nowhere TO intruder;
CREATE SCHEMA intrusion AUTHORIZATION intruder;
SET ROLE intruder;
CREATE FUNCTION intrusion.check_it(int) RETURNS boolean LANGUAGE plpgsql AS
	$$ BEGIN PERFORM set_config('search_path', 'intrusion', false); RETURN true; END $$;
CREATE FOREIGN TABLE intrusion.s (k int, CHECK (intrusion.check_it(k))) SERVER nowhere OPTIONS (topic 'none');
RESET ROLE;
SELECT is(streamx.decode('intrusion.s', '{"k": 1}'), '{"k": 1}', 'a message is decoded');
SELECT is(current_setting('search_path'), '"$user", public', 'its CHECK cannot change the search_path of the worker, or of who decodes');
DROP SCHEMA intrusion CASCADE;
DROP OWNED BY intruder;
DROP SERVER nowhere;
DROP ROLE intruder;
SELECT * FROM finish();

-- A session's first look at a view, with rows that wait: this one crashed
\c -
SET client_min_messages = warning;
BEGIN;
INSERT INTO reviewed_too VALUES (1);
SELECT * FROM streamx.verify('reviewed_too_view');
COMMIT;

DROP VIEW ranges, behind_cte, in_subquery, reviewed_view, reviewed_too_view;
DROP FOREIGN TABLE ranged, reviewed, reviewed_too;
DROP FUNCTION divided, read_view;
DROP TABLE numbers, bystander;
DROP OWNED BY ranger;
DROP ROLE ranger;
