-- Aggregates' states: what anybody can call with anything must compute or refuse, and never crash
SET client_min_messages = warning;
SELECT no_plan();
DROP ROLE IF EXISTS regress_state_reader;
CREATE ROLE regress_state_reader;
GRANT USAGE ON SCHEMA public TO regress_state_reader;

-- A state that is of an ordinary type is finalised as in the aggregate itself
SELECT is(streamx.finalize('{4,10}'::int8[], 'avg(int4)', NULL::numeric, NULL::int4), 2.5,
          'avg: four values, their sum is 10');
SELECT is(streamx.finalize(NULL::int8[], 'avg(int4)', NULL::numeric, NULL::int4), NULL,
          'no state, no average');
SELECT is(streamx.finalize('{3,6,2}'::float8[], 'stddev_pop(float8)', NULL::float8, NULL::float8),
          (SELECT stddev_pop(x) FROM unnest('{1,2,3}'::float8[]) x),
          'stddev_pop: count, sum and sum of squared deviations');
SELECT is(streamx.finalize(7::int8, 'count("any")', NULL::int8, NULL::text), 7::int8,
          'without a final function the state is the result');
SELECT is(streamx.finalize(7::int8, 'count()', NULL::int8), 7::int8,
          'an aggregate may have no arguments');
SELECT is(streamx.finalize(int4range(3, 5), 'range_intersect_agg(anyrange)', NULL::int4range, NULL::int4range),
          int4range(3, 5), 'a polymorphic aggregate of a range');

-- Final functions are called as in a plan: types resolved, NULL states not kept from them
CREATE FUNCTION show_state(anycompatiblearray, anycompatible) RETURNS text LANGUAGE sql
    AS $$SELECT coalesce($1::text, 'none') || ' of ' || pg_typeof($1) || ' and ' || pg_typeof($2)$$;
CREATE AGGREGATE collect(anycompatible)
    (sfunc = array_append, stype = anycompatiblearray, combinefunc = array_cat,
     finalfunc = show_state, finalfunc_extra);
SELECT is(streamx.finalize('{1,2}'::int8[], 'collect(anycompatible)', NULL::text, NULL::int8),
          '{1,2} of bigint[] and bigint', 'the final function sees the actual types');
SELECT is(streamx.finalize(NULL::text[], 'collect(anycompatible)', NULL::text, NULL::text),
          'none of text[] and text', 'a NULL state has a value, too');
SELECT throws_ok(
    $$SELECT streamx.finalize('{1,2}'::int8[], 'collect(anycompatible)', NULL::text, NULL::text)$$,
    '42804', 'state of aggregate collect(anycompatible) must be of type text[], not bigint[]',
    'and they must belong together');
CREATE AGGREGATE add_up(VARIADIC int4[])
    (sfunc = array_cat, stype = int4[], combinefunc = array_cat, finalfunc = array_dims);
SELECT is(streamx.finalize('{1,2,3}'::int4[], 'add_up(int4[])', NULL::text, NULL::int4[]), '[1:3]',
          'a variadic aggregate takes its arguments as an array');
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION seen(bigint, record) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 1; END';
CREATE AGGREGATE seen(record) (sfunc = seen, stype = bigint, combinefunc = int8pl, initcond = '0');
SELECT is(streamx.finalize(2::bigint, 'seen(record)', NULL::bigint, NULL::pair), 2::bigint, 'rows of any type are records');
SELECT throws_ok($$SELECT streamx.finalize(2::bigint, 'seen(record)', NULL::bigint, NULL::pair[])$$,
    '42804', 'aggregate seen(record) does not take arguments of these types', 'but arrays are none');
CREATE FOREIGN TABLE pairs (p pair) SERVER streamx;
CREATE VIEW pairs_seen WITH (streamx.continuous) AS SELECT seen(p) FROM pairs;
INSERT INTO pairs VALUES ((1, 'a')), ((2, 'b'));
SELECT is(seen, 2::bigint, 'in a view, too') FROM pairs_seen;
DROP FOREIGN TABLE pairs CASCADE;

-- One call may finalise by more than one aggregate
SELECT results_eq(
    $$SELECT streamx.finalize('{4,10}'::int8[], aggregate, NULL::numeric, NULL::int4)
      FROM (VALUES ('avg(int4)'::regprocedure), ('avg(int4)')) v (aggregate)$$,
    'VALUES (2.5), (2.5)', 'the same aggregate again');
SELECT throws_ok(
    $$SELECT streamx.finalize('{4,10}'::int8[], aggregate, NULL::numeric, NULL::int4)
      FROM (VALUES ('avg(int4)'::regprocedure), ('avg(int2)')) v (aggregate)$$,
    '42804', 'aggregate avg(smallint) does not take arguments of these types',
    'another aggregate is checked anew');

-- A plain role with forged arguments
SET ROLE regress_state_reader;
SELECT throws_ok($$SELECT streamx.finalize('{1}'::int8[], 'avg(int4)', NULL::numeric, NULL::int4)$$,
    'XX000', 'expected 2-element int8 array', 'an array that avg would not have made');
SELECT throws_ok($$SELECT streamx.finalize('\x0001'::bytea, 'sum(numeric)', NULL::numeric, NULL::numeric)$$,
    '42804', 'state of aggregate sum(numeric) must be of type streamx.state, not bytea',
    'bytes are no serialised state');
SELECT throws_ok($$SELECT streamx.finalize(NULL, 'sum(numeric)', NULL::numeric, NULL::numeric)$$,
    '42804', 'state of aggregate sum(numeric) must be of type streamx.state, not unknown',
    'nor is a NULL of unknown type');
SELECT throws_ok($$SELECT streamx.finalize(ROW(1, 2), 'avg(int4)', NULL::numeric, NULL::int4)$$,
    '42804', NULL, 'nor is a row');
SELECT throws_ok($$SELECT streamx.finalize('{4,10}'::int8[], 'avg(int4)', NULL::int8, NULL::int4)$$,
    '42804', 'result of aggregate avg(integer) must be of type numeric, not bigint', 'a wrong result type');
SELECT throws_ok($$SELECT streamx.finalize('{4,10}'::int8[], 'avg(int4)', NULL::numeric)$$,
    '42804', 'aggregate avg(integer) does not take arguments of these types', 'too few arguments');
SELECT throws_ok($$SELECT streamx.finalize('{4,10}'::int8[], 'avg(int4)', NULL::numeric, NULL::int4, NULL::int4)$$,
    '42804', 'aggregate avg(integer) does not take arguments of these types', 'too many arguments');
SELECT throws_ok($$SELECT streamx.finalize('{4,10}'::int8[], 'avg(int4)', NULL::numeric, VARIADIC '{1}'::int4[])$$,
    '0A000', 'streamx.finalize cannot be called this way', 'arguments as an array');
SELECT throws_ok($$SELECT streamx.finalize('{4,10}'::int8[], NULL, NULL::numeric, NULL::int4)$$,
    '22004', 'aggregate cannot be null', 'no aggregate');
SELECT throws_ok($$SELECT streamx.finalize('{4,10}'::int8[], 4294967295::regprocedure, NULL::numeric, NULL::int4)$$,
    '42809', 'function 4294967295 is not an aggregate', 'an aggregate that does not exist');
SELECT throws_ok($$SELECT streamx.finalize(now(), 'now()', NULL::timestamptz)$$,
    '42809', 'function now() is not an aggregate', 'a plain function');
SELECT throws_ok($$SELECT streamx.finalize(1::int8, 'row_number()', NULL::int8)$$,
    '42809', 'function row_number() is not an aggregate', 'a window function');
SELECT throws_ok($$SELECT streamx.finalize(NULL::float8[], 'percentile_cont(float8,float8)', NULL::float8, NULL::float8, NULL::float8)$$,
    '0A000', 'states of aggregate percentile_cont(double precision,double precision) cannot be kept',
    'an ordered-set aggregate');
SELECT throws_ok($$SELECT streamx.finalize(NULL::text, 'string_agg(text,text)', NULL::text, NULL::text, NULL::text)$$,
    '0A000', 'states of aggregate string_agg(text,text) cannot be kept',
    'an aggregate that cannot be combined');
SELECT throws_ok('SELECT streamx.partial(1, 2)', '42501', 'permission denied for function partial',
    'the marker of delta views');
RESET ROLE;
SELECT throws_ok('SELECT streamx.partial(1, 2)', '0A000', 'streamx.partial can only be used by streamx',
    'and it does nothing for superusers either');

-- streamx.state: superusers restore dumps, nobody else makes values of it
CREATE TABLE states (state streamx.state);
INSERT INTO states VALUES ('\x010f0001020304050607ff'), (NULL);
GRANT SELECT ON states TO regress_state_reader;
SELECT results_eq('SELECT state::text FROM states WHERE state IS NOT NULL',
    $$VALUES ('\x010f0001020304050607ff')$$, 'it reads back as written');
SELECT throws_ok($$SELECT '\x0102'::streamx.state$$, '22P02',
    'invalid value for type streamx.state: too short', 'a value has a header');
SELECT is_empty($$SELECT 1 FROM pg_cast WHERE 'streamx.state'::regtype IN (castsource, casttarget)$$,
    'it has no casts');
SELECT ok(NOT has_type_privilege('public', 'streamx.state', 'USAGE'), 'it is not for PUBLIC');
SET ROLE regress_state_reader;
SELECT throws_ok($$SELECT '\x010f0001020304050607ff'::streamx.state$$, '42501',
    'permission denied to make a value of type streamx.state', 'not from a literal');
SELECT throws_ok('SELECT state::text::streamx.state FROM states', '42501',
    'permission denied to make a value of type streamx.state', 'not from text');
SELECT throws_ok($$SELECT jsonb_populate_record(NULL::states, '{"state": "\\x010f0001020304050607ff"}')$$, '42501',
    'permission denied to make a value of type streamx.state', 'not from JSON');
SELECT throws_ok('CREATE TEMPORARY TABLE mine AS SELECT state FROM states', '42501',
    'permission denied for type streamx.state', 'and states are not to be put aside');
RESET ROLE;

-- A state is used for the very aggregate, in the form of the major version, that made it: that of sums of numeric is 15's since
SELECT throws_ok(
    $$SELECT streamx.finalize('\x010f0001020304050607ff'::streamx.state, 'sum(numeric)', NULL::numeric, NULL::numeric)$$,
    '55000', 'stored state is not one of aggregate sum(numeric)', 'another aggregate''s state');
SELECT throws_ok(
    $$SELECT streamx.finalize('\x010e0001020304050607ff'::streamx.state, 'sum(numeric)', NULL::numeric, NULL::numeric)$$,
    '55000', 'stored state of aggregate sum(numeric) was made by PostgreSQL 14', 'another version''s state');
SELECT throws_ok(
    $$SELECT streamx.finalize('\xff0e0001020304050607ff'::streamx.state, 'sum(numeric)', NULL::numeric, NULL::numeric)$$,
    '55000', 'stored state of aggregate sum(numeric) has unknown format 255', 'a state from the future');

-- A final function is no back door: who makes up its argument must be allowed to call it
CREATE FUNCTION tell(bigint) RETURNS text LANGUAGE sql AS $$SELECT 'told ' || $1$$;
REVOKE EXECUTE ON FUNCTION tell(bigint) FROM PUBLIC;
CREATE AGGREGATE tell_sum(bigint)
    (sfunc = int8pl, stype = bigint, combinefunc = int8pl, finalfunc = tell);
CREATE AGGREGATE secret_sum(bigint) (sfunc = int8pl, stype = bigint, combinefunc = int8pl);
REVOKE EXECUTE ON FUNCTION secret_sum(bigint) FROM PUBLIC;
SET ROLE regress_state_reader;
SELECT is(tell_sum(x), 'told 3', 'as an aggregate it works') FROM (VALUES (1), (2)) v (x);
SELECT throws_ok($$SELECT streamx.finalize(7::int8, 'tell_sum(int8)', NULL::text, NULL::int8)$$,
    '42501', 'permission denied for function tell', 'with a state of one''s own it does not');
SELECT throws_ok($$SELECT streamx.finalize(7::int8, 'secret_sum(int8)', NULL::int8, NULL::int8)$$,
    '42501', 'permission denied for aggregate secret_sum', 'nor does an aggregate one may not call');
RESET ROLE;

-- REVOKE, CREATE OR REPLACE and DROP are noticed by sessions that have used the aggregate
SELECT is(streamx.finalize(7::int8, 'tell_sum(int8)', NULL::text, NULL::int8), 'told 7', 'one final function');
CREATE OR REPLACE AGGREGATE tell_sum(bigint)
    (sfunc = int8pl, stype = bigint, combinefunc = int8pl, finalfunc = to_hex);
SELECT is(streamx.finalize(255::int8, 'tell_sum(int8)', NULL::text, NULL::int8), 'ff', 'another');
DROP AGGREGATE tell_sum(bigint);
CREATE AGGREGATE tell_sum(bigint) (sfunc = int8pl, stype = bigint);
SELECT throws_ok($$SELECT streamx.finalize(7::int8, 'tell_sum(int8)', NULL::int8, NULL::int8)$$,
    '0A000', 'states of aggregate tell_sum(bigint) cannot be kept', 'no combine function');

-- States of our own aggregates outlive the server's major version: the second byte says which one reads them
CREATE FOREIGN TABLE of_versions (n numeric) SERVER streamx;
SET client_min_messages = warning;
CREATE VIEW versions WITH (streamx.continuous) AS SELECT avg(n), first(n, n), approx_count_distinct(n) FROM of_versions;
INSERT INTO of_versions VALUES (1);
SELECT state FROM streamx.views WHERE view = 'versions'::regclass \gset
SELECT is(substr(a1::text, 5, 2) <> '00', true, 'the server''s'), is(substr(a2::text, 5, 2), '00', 'ours'), is(substr(a3::text, 5, 2), '00', 'ours') FROM :state;
DROP FOREIGN TABLE of_versions CASCADE;
RESET client_min_messages;

DROP AGGREGATE tell_sum(bigint);
DROP AGGREGATE secret_sum(bigint);
DROP AGGREGATE collect(anycompatible);
DROP AGGREGATE add_up(VARIADIC int4[]);
DROP AGGREGATE seen(record);
DROP FUNCTION seen(bigint, record);
DROP TYPE pair;
DROP FUNCTION show_state(anycompatiblearray, anycompatible);
DROP FUNCTION tell(bigint);
DROP TABLE states;
REVOKE USAGE ON SCHEMA public FROM regress_state_reader;
DROP ROLE regress_state_reader;
