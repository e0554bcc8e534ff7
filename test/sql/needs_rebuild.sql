-- A view with states that another version of PostgreSQL began, in a form that this one cannot read, says so and touches nothing; upgrades themselves: test/upgrade
-- make check-sanitizers runs this with debug_discard_caches = 1, except where it says 0: to forget there, too, would only take long
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
CREATE SCHEMA needs_rebuild;
SET search_path = needs_rebuild, public;
\set VERBOSITY terse
SELECT no_plan();

-- Given aggregates of the server, of streamx, and of somebody else, whose states are all internal
CREATE FUNCTION their_bytes(internal) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'numeric_avg_serialize';
CREATE FUNCTION their_state(bytea, internal) RETURNS internal LANGUAGE internal IMMUTABLE STRICT AS 'numeric_avg_deserialize';
CREATE AGGREGATE theirs(numeric) (sfunc = numeric_avg_accum, stype = internal, combinefunc = numeric_avg_combine,
	serialfunc = their_bytes, deserialfunc = their_state, finalfunc = numeric_avg);
CREATE FOREIGN TABLE numbers (at timestamptz, n numeric) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW plain WITH (streamx.continuous) AS SELECT sum(n), count(*), max(n) FROM numbers;
CREATE VIEW ours WITH (streamx.continuous) AS SELECT first(n, at), count(DISTINCT n) FROM numbers;
CREATE FOREIGN TABLE others (at timestamptz, n numeric) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW tumbled WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, theirs(n) FROM others GROUP BY 1;
CREATE VIEW hopped WITH (streamx.continuous) AS SELECT hop(at, '1 hour', '30 minutes') AS w, theirs(n) FROM others GROUP BY 1;
CREATE VIEW sittings WITH (streamx.continuous) AS SELECT session(at, '1 hour') AS w, theirs(n) FROM others GROUP BY 1;
SET debug_discard_caches = 0;
INSERT INTO numbers VALUES ('2024-05-01 10:00', 1), ('2024-05-01 10:10', 2);
INSERT INTO others VALUES ('2024-05-01 10:00', 1), ('2024-05-01 10:10', 2);
RESET debug_discard_caches;
CREATE FUNCTION states(wanted text) RETURNS SETOF text LANGUAGE sql AS $$SELECT view::text FROM streamx.stat_views WHERE stream IN ('numbers'::regclass, 'others') AND state = wanted$$;
-- as if another version had begun its states; GRANT makes sessions look at the catalog again
CREATE FUNCTION begun_by(view regclass, major int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	UPDATE streamx.views v SET server_major = major WHERE v.view = begun_by.view;
	EXECUTE format('GRANT SELECT ON %s TO CURRENT_USER', view);
END $$;
SELECT is_empty($$SELECT * FROM states('needs rebuild')$$, 'all is well where the states were made');

-- When they come from a version whose formats are the same, only what is not PostgreSQL's or ours is in doubt
SELECT begun_by(view, (SELECT min(v) FROM unnest(ARRAY[15, 17, 18]) v WHERE v <> current_setting('server_version_num')::int / 10000))
FROM streamx.view_streams WHERE stream IN ('numbers'::regclass, 'others');
SELECT bag_eq($$SELECT * FROM states('needs rebuild')$$, ARRAY['tumbled', 'hopped', 'sittings'], 'states of others may be in another form');
INSERT INTO numbers VALUES ('2024-05-01 10:20', 3);
SELECT results_eq('TABLE plain', $$VALUES (6::numeric, 3::bigint, 3::numeric)$$, 'the others go on with their states');
SELECT is_empty($$SELECT * FROM streamx.verify('plain') UNION ALL SELECT * FROM streamx.verify('ours')$$, 'which are right');

-- Then merges are refused, whatever the window; so is a scan that would combine states
SELECT throws_ok('TABLE hopped', '55000', 'continuous view "hopped" needs to be rebuilt', 'windows are not composed');
INSERT INTO others VALUES ('2024-05-01 10:20', 3);
DROP VIEW tumbled;
INSERT INTO others VALUES ('2024-05-01 10:20', 3);
DROP VIEW hopped;
INSERT INTO others VALUES ('2024-05-01 10:20', 3);
DROP VIEW sittings;
INSERT INTO others VALUES ('2024-05-01 10:20', 3);
SELECT is((SELECT count(*) FROM others), 3::bigint, 'a dropped view is in nobody''s way');

-- A version that nobody has compared with this one: PostgreSQL's own states are in doubt, too, but not those that are stored as they are
CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*), max(n), first(n, at) FROM others;
SELECT begun_by(view, 14) FROM streamx.view_streams WHERE stream IN ('numbers'::regclass, 'others');
SELECT bag_eq($$SELECT * FROM states('needs rebuild')$$, ARRAY['plain'], 'sum(numeric) is in doubt');
SELECT streamx.rebuild('plain');
SELECT is_empty($$SELECT * FROM states('needs rebuild')$$, 'a rebuilt view is in no doubt any more');
SELECT results_eq('TABLE plain', $$VALUES (6::numeric, 3::bigint, 3::numeric)$$, 'and shows what it showed');
INSERT INTO numbers VALUES ('2024-05-01 10:30', 4);
SELECT is_empty($$SELECT * FROM streamx.verify('plain')$$, 'and takes rows');

SELECT * FROM finish();
DROP SCHEMA needs_rebuild CASCADE;
