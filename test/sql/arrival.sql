-- Partition and offset of a stream's row: in batches, in verify, wherever the plan asks
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA arrival;
SET search_path = arrival, public;
SELECT no_plan();

-- Let a view's definition, or what a batch adds to it, ask for something else
CREATE FUNCTION ask(continuous regclass, query text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE (SELECT format('CREATE OR REPLACE VIEW %s AS %s', definition_view, query)
	           FROM streamx.views WHERE view = continuous);
END $$;
-- (17 leaves out the name of the only relation)
CREATE FUNCTION add(continuous regclass, instead_of text, expression text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE (SELECT format('CREATE OR REPLACE VIEW %s AS %s', delta_view,
	                       replace(regexp_replace(pg_get_viewdef(delta_view), '\m(visits|passing)\.', '', 'g'), instead_of, expression))
	           FROM streamx.views WHERE view = continuous);
END $$;
-- what the definition finds, if the view has something else
CREATE FUNCTION found(view regclass) RETURNS TABLE (key text, found text) LANGUAGE sql AS $$
SELECT "row" ->> 'page', "row" ->> 'found' FROM streamx.verify(view) WHERE difference = 'missing' ORDER BY 1, 2 $$;

CREATE FOREIGN TABLE visits (at timestamptz, page text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
INSERT INTO visits VALUES ('2024-05-01 10:00', 'before');
CREATE VIEW pages WITH (streamx.continuous) AS SELECT page, max(page) AS found FROM visits GROUP BY page;
INSERT INTO visits VALUES ('2024-05-01 10:01', 'a'), ('2024-05-01 10:03', 'b'), ('2024-05-01 10:02', 'a');
INSERT INTO visits VALUES ('2024-05-01 10:01', 'b'), ('2024-05-01 10:05', 'a');
CREATE VIEW later WITH (streamx.continuous, streamx.start = 'latest') AS SELECT page, max(page) AS found FROM visits GROUP BY page;
INSERT INTO visits VALUES ('2024-05-01 10:06', 'b'), ('2024-05-01 10:07', 'a');

-- verify reads the log
SELECT ask('pages', $$
	SELECT v.page, string_agg(streamx.arrival_partition(v.ctid) || ':' || streamx.arrival_offset(v.ctid), ' '
	                          ORDER BY streamx.arrival_offset(v.ctid)) AS found
	  FROM visits v GROUP BY v.page $$);
SELECT results_eq($$SELECT * FROM found('pages')$$, $$VALUES ('a', '0:1 0:3 0:5 0:7'), ('b', '0:2 0:4 0:6'), ('before', '0:0')$$,
	'every row''s place, in verify');
SELECT ask('later', $$
	SELECT v.page, string_agg(streamx.arrival_offset(v.ctid)::text, ' ' ORDER BY at) AS found FROM visits v GROUP BY v.page $$);
SELECT results_eq($$SELECT * FROM found('later')$$, $$VALUES ('a', '7'), ('b', '6')$$, 'of ranges that do not begin at 0');

-- above joins, sorts and subqueries; the rows of a message that are several
CREATE TABLE owners AS SELECT page, owner FROM (VALUES ('a', 'ann'), ('b', 'bob'), ('a', 'amy'), ('before', 'bea')) AS o (page, owner);
SELECT ask('pages', $$
	SELECT r.page, string_agg(r.owner || streamx.arrival_offset(r.c), ' ' ORDER BY streamx.arrival_offset(r.c), r.owner) AS found
	  FROM (SELECT v.page, v.ctid AS c, o.owner, row_number() OVER (PARTITION BY v.page ORDER BY v.at DESC) AS n
	          FROM visits v JOIN owners o USING (page)) AS r
	 GROUP BY r.page $$);
CREATE VIEW expected AS VALUES ('a', 'amy1 ann1 amy3 ann3 amy5 ann5 amy7 ann7'), ('b', 'bob2 bob4 bob6'), ('before', 'bea0');
SELECT results_eq($$SELECT * FROM found('pages')$$, 'TABLE expected', 'above a join');
SET enable_hashjoin = off;
ALTER TABLE owners ADD note text;
SELECT results_eq($$SELECT * FROM found('pages')$$, 'TABLE expected', 'above a merge join');
SET enable_mergejoin = off;
SET enable_material = off;
ALTER TABLE owners DROP note;
SELECT results_eq($$SELECT * FROM found('pages')$$, 'TABLE expected', 'above a nested loop');
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;
SELECT ask('pages', $$
	SELECT o.page, max((SELECT string_agg(streamx.arrival_offset(v.ctid)::text, ' ' ORDER BY v.at, streamx.arrival_offset(v.ctid))
	                      FROM visits v WHERE v.page = o.page)) AS found
	  FROM owners o GROUP BY o.page $$);
SELECT results_eq($$SELECT * FROM found('pages')$$, $$VALUES ('a', '1 3 5 7'), ('b', '4 2 6'), ('before', '0')$$, 'in rescans');

-- a row that some of its windows refused
CREATE FOREIGN TABLE hits (at timestamptz, page text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW hops WITH (streamx.continuous) AS
SELECT hop(at, '10 min', '5 min') AS w, page, max(page) AS found FROM hits GROUP BY 1, page;
INSERT INTO hits VALUES ('2024-05-01 10:01', 'a'), ('2024-05-01 10:12', 'b');
INSERT INTO hits VALUES ('2024-05-01 10:00', 'late'), ('2024-05-01 10:08', 'partly'), ('2024-05-01 10:11', 'c');
SELECT ask('hops', $$
	SELECT streamx_window.w, h.page, string_agg(streamx.arrival_partition(h.ctid) || ':' || streamx.arrival_offset(h.ctid), ' ') AS found
	  FROM hits h, LATERAL hop(h.at, '10 min', '5 min') AS streamx_window (w)
	 WHERE streamx.counts(h.ctid, upper(streamx_window.w)) GROUP BY 1, 2 $$);
SELECT results_eq($$SELECT * FROM found('hops')$$,
	$$VALUES ('a', '0:0'), ('a', '0:0'), ('b', '0:1'), ('b', '0:1'), ('c', '0:4'), ('c', '0:4'), ('partly', '0:3')$$,
	'rows that some windows refused have a place, too');

-- Batches hand out rows with the offsets that they will have in the log
CREATE VIEW sums WITH (streamx.continuous, streamx.start = 'latest') AS
SELECT page, sum(length(page)) AS offsets, count(page) AS n FROM visits GROUP BY page;
SELECT add('sums', 'sum(length(page))', 'sum(streamx.arrival_offset(visits.ctid)::int + streamx.arrival_partition(visits.ctid))');
BEGIN;
INSERT INTO visits VALUES ('2024-05-01 10:10', 'x'), ('2024-05-01 10:11', 'y');
SELECT results_eq('SELECT page, offsets FROM sums ORDER BY 1', $$VALUES ('x', 8::bigint), ('y', 9)$$, 'in a batch');
SAVEPOINT undone;
INSERT INTO visits VALUES ('2024-05-01 10:10', 'x'), ('2024-05-01 10:11', 'y');
SELECT results_eq('SELECT page, offsets FROM sums ORDER BY 1', $$VALUES ('x', 18::bigint), ('y', 20)$$, 'in a second one');
ROLLBACK TO undone;
INSERT INTO visits VALUES ('2024-05-01 10:11', 'y');
COMMIT;
SELECT results_eq('SELECT page, offsets FROM sums ORDER BY 1', $$VALUES ('x', 8::bigint), ('y', 19)$$, 'and after a rollback');
-- only rows that pass, in another order than the batch's; a stream that keeps nothing
CREATE FOREIGN TABLE passing (at timestamptz, page text) SERVER streamx OPTIONS (event_time 'at');
CREATE VIEW passed WITH (streamx.continuous) AS
SELECT tumble(at, '10 min') AS w, sum(length(page)) AS offsets FROM passing WHERE page <> 'no' GROUP BY 1;
SELECT add('passed', 'sum(length(page))', 'sum(streamx.arrival_offset(passing.ctid)::int)');
INSERT INTO passing VALUES ('2024-05-01 10:11', 'yes'), ('2024-05-01 10:09', 'no'), ('2024-05-01 10:08', 'yes');
INSERT INTO passing VALUES ('2024-05-01 10:01', 'late'), ('2024-05-01 10:12', 'yes'), ('2024-05-01 10:31', 'yes');
SELECT results_eq('SELECT offsets FROM passed ORDER BY w', 'VALUES (2::bigint), (4), (5)', 'of the rows that a batch takes');

-- Runs in runs: what a view's function starts has places of its own
SELECT ask('pages', $$
	SELECT v.page, string_agg(streamx.arrival_offset(v.ctid)::text, ' ' ORDER BY streamx.arrival_offset(v.ctid)) AS found
	  FROM visits v WHERE v.page IN ('a', 'b') GROUP BY v.page $$);
CREATE VIEW answer AS VALUES ('a', '1 3 5 7'), ('b', '2 4 6');
SELECT results_eq($$SELECT * FROM found('pages') WHERE found ~ '^\d'$$, 'TABLE answer', 'alone');
CREATE FUNCTION other_run(page text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (SELECT string_agg(f.found, ' ') FROM arrival.found('arrival.hops') f WHERE f.key = 'partly');
END $$;
CREATE FUNCTION failing_run(page text) RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
	PERFORM arrival.found('arrival.later');
	RETURN 'did not fail';
EXCEPTION WHEN division_by_zero THEN
	RETURN 'failed';
END $$;
CREATE FUNCTION plain_query(page text) RETURNS text LANGUAGE sql STABLE AS $$
SELECT coalesce(string_agg(streamx.arrival_offset(v.ctid)::text, ' '), 'unknown')
  FROM arrival.visits v $$;
SELECT ask('later', $$SELECT v.page, (1 / (streamx.arrival_offset(v.ctid) - 7))::text AS found FROM visits v $$);
SELECT throws_ok($$SELECT * FROM found('later')$$, '22012', NULL, 'a definition that fails');
SELECT ask('pages', $$
	SELECT v.page, min(other_run(v.page)) || ', ' || min(failing_run(v.page)) || ', ' || min(plain_query(v.page)) || ', '
	       || string_agg(streamx.arrival_offset(v.ctid)::text, ' ' ORDER BY other_run(v.page), failing_run(v.page), streamx.arrival_offset(v.ctid)) AS found
	  FROM visits v WHERE v.page IN ('a', 'b') GROUP BY v.page $$);
SELECT results_eq($$SELECT * FROM found('pages') WHERE found ~ '\d'$$,
	$$VALUES ('a', '0:3, failed, unknown, 1 3 5 7'), ('b', '0:3, failed, unknown, 2 4 6')$$, 'runs in a run, one that fails, and a query that is none');

-- Nowhere else is it known, and no ctid does harm
SELECT ok(bool_and(streamx.arrival_partition(ctid) IS NULL AND streamx.arrival_offset(ctid) IS NULL), 'an ordinary scan') FROM visits;
SELECT ok(bool_and(streamx.arrival_offset(ctid) IS NULL), 'a table') FROM owners;
SELECT is(streamx.arrival_offset(NULL), NULL, 'NULL');
CREATE TABLE places AS
SELECT format('(%s,%s)', block, line)::tid AS place
  FROM unnest('{0,1,65535,131071,2147483647,4294967295}'::bigint[]) block, unnest('{0,1,1024,1025,32767,32768,32769,65535}'::int[]) line;
SELECT is(count(streamx.arrival_offset(place)), 0::bigint, 'any ctid') FROM places;
SELECT ask('pages', $$
	SELECT v.page, count(streamx.arrival_offset(p.place)) || ' ' || count(streamx.arrival_partition(p.place)) || ' '
	       || max(streamx.arrival_offset(p.place)) AS found
	  FROM visits v CROSS JOIN places p WHERE v.page = 'before' GROUP BY v.page $$);
SELECT results_eq($$SELECT * FROM found('pages') WHERE found ~ '\d'$$, $$VALUES ('before', '2 2 1')$$, 'any ctid, in verify');
SELECT add('sums', 'streamx.arrival_offset(ctid)',
           '(SELECT count(streamx.arrival_offset(p.place)) FROM arrival.places p)');
INSERT INTO visits VALUES ('2024-05-01 10:10', 'z');
SELECT results_eq($$SELECT offsets FROM sums WHERE page = 'z'$$, 'VALUES (1::bigint)', 'any ctid, in a batch');
SELECT is(provolatile::text || proparallel::text || proisstrict::text, 'srtrue', proname || ': as it must be planned')
  FROM pg_proc WHERE proname LIKE 'arrival%' ORDER BY proname;

SELECT * FROM finish();
DROP SCHEMA arrival CASCADE;
