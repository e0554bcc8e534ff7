-- Every aggregate with a combine function, in a view of its own, equals itself over a table
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA aggregates;
SET search_path = aggregates, public;
CREATE FOREIGN TABLE samples (g int, i int) SERVER streamx;
CREATE TABLE samples_table (g int, i int);
CREATE TYPE flavour AS ENUM ('sour', 'sweet');
CREATE TABLE watched (name name, call text, aggregate text);
CREATE TABLE refused (call text, sqlstate text, message text, detail text);

-- One view for an aggregate call over the stream, or the reason why there is none
CREATE FUNCTION watch(call text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	name name := 'watched_' || (SELECT count(*) FROM watched);
	detail text;
BEGIN
	EXECUTE format('CREATE VIEW %I WITH (streamx.continuous) AS SELECT g, %s AS result FROM samples GROUP BY g',
	               name, call);
	INSERT INTO watched VALUES (name, call);
EXCEPTION WHEN feature_not_supported THEN
	GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
	INSERT INTO refused VALUES (call, SQLSTATE, SQLERRM, detail);
END
$$;

-- Groups in which a view and its query over the table differ (floats beyond the sixth decimal do not)
CREATE FUNCTION differences() RETURNS TABLE (call text, difference text, g int, result text) LANGUAGE plpgsql AS $$
DECLARE
	watch watched;
	shown text;
BEGIN
	FOR watch IN TABLE watched LOOP
		SELECT CASE WHEN atttypid IN ('float4'::regtype, 'float8'::regtype)
		            THEN 'round(result::numeric, 6)::text' ELSE 'result::text' END
		INTO shown
		FROM pg_attribute WHERE attrelid = watch.name::regclass AND attname = 'result';
		RETURN QUERY EXECUTE format(
			$q$WITH streamed AS (SELECT g, %1$s FROM %2$I),
			        batch AS (SELECT g, %1$s FROM (SELECT g, %3$s AS result FROM samples_table GROUP BY g) r)
			   SELECT %3$L, 'missing', * FROM (TABLE batch EXCEPT ALL TABLE streamed) m
			   UNION ALL
			   SELECT %3$L, 'extra', * FROM (TABLE streamed EXCEPT ALL TABLE batch) e$q$,
			shown, watch.name, watch.call);
	END LOOP;
END
$$;

-- An expression over the stream of each type that built-in aggregates take
CREATE FUNCTION sample(type regtype) RETURNS text LANGUAGE sql AS $$
	SELECT CASE format_type(type, NULL)
		WHEN 'bit' THEN 'i::bit(8)'
		WHEN 'boolean' THEN '(i % 3 = 0)'
		WHEN 'bytea' THEN '(''b'' || i)::bytea'
		WHEN 'character' THEN '(''c'' || i)::bpchar'
		WHEN 'date' THEN 'date ''2024-01-01'' + i'
		WHEN 'inet' THEN '(''10.0.0.'' || i)::inet'
		WHEN 'interval' THEN 'interval ''1 minute'' * i'
		WHEN 'money' THEN 'i::money'
		WHEN 'numeric' THEN 'i * 1.25'
		WHEN 'pg_lsn' THEN '(''0/'' || i)::pg_lsn'
		WHEN 'record' THEN 'ROW(i, g)'
		WHEN 'text' THEN '''t'' || i'
		WHEN 'tid' THEN '(''(0,'' || i || '')'')::tid'
		WHEN 'time with time zone' THEN '(time ''00:00'' + interval ''1 minute'' * i)::timetz'
		WHEN 'time without time zone' THEN 'time ''00:00'' + interval ''1 minute'' * i'
		WHEN 'timestamp with time zone' THEN 'timestamptz ''2024-01-01'' + interval ''1 minute'' * i'
		WHEN 'timestamp without time zone' THEN 'timestamp ''2024-01-01'' + interval ''1 minute'' * i'
		WHEN 'xid8' THEN 'i::text::xid8'
		WHEN 'xml' THEN '(''<x>'' || i || ''</x>'')::xml'
		WHEN '"any"' THEN 'i'
		WHEN 'anyarray' THEN 'ARRAY[i, g]'
		WHEN 'anyelement' THEN 'i'
		WHEN 'anyenum' THEN '(CASE WHEN i % 2 = 0 THEN ''sour'' ELSE ''sweet'' END)::flavour'
		WHEN 'anymultirange' THEN 'int4multirange(int4range(i, 200))'
		WHEN 'anynonarray' THEN 'i'
		WHEN 'anyrange' THEN 'int4range(i, 200)'
		ELSE 'i::' || format_type(type, NULL)
	END
$$;

SELECT no_plan();

-- All built-in aggregates but ordered-set ones, on every argument type
SELECT count(*) > 100 AS are_many
FROM (SELECT watch(format('%s(%s)', proname,
                          coalesce((SELECT string_agg(sample(type), ', ' ORDER BY n)
                                    FROM unnest(proargtypes) WITH ORDINALITY a (type, n)), '*')))
      FROM pg_aggregate JOIN pg_proc p ON p.oid = aggfnoid
      WHERE aggkind = 'n' AND pronamespace = 'pg_catalog'::regnamespace
        AND proname !~ 'object_agg' -- they take no NULL for a key: see inputs.sql
        AND NOT (oidvectortypes(proargtypes) IN ('bytea', 'record') AND proname IN ('min', 'max')) -- from 18 on; no column can be a record
      ORDER BY p.oid) w;

-- FILTER, expressions over aggregates, several in one view
SELECT watch('sum(i) FILTER (WHERE i > 5)');
SELECT watch('sum(i) / nullif(count(i), 0)::numeric + avg(i + g)');
SELECT watch('count(ROW(i, g))');
SELECT watch('max((''t'' || i) COLLATE "C")');

-- Aggregates of users: SQL and PL/pgSQL, strict and not, with and without an initial value
CREATE FUNCTION plus(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 + $2';
CREATE FUNCTION plus_or_zero(a bigint, b bigint) RETURNS bigint LANGUAGE plpgsql
	AS 'BEGIN RETURN coalesce(a, 0) + coalesce(b, 0); END';
CREATE FUNCTION plus_strict(a bigint, b bigint) RETURNS bigint STRICT LANGUAGE plpgsql
	AS 'BEGIN RETURN a + b; END';
CREATE FUNCTION show(bigint) RETURNS text LANGUAGE sql AS $$SELECT 'sum ' || coalesce($1::text, 'none')$$;
CREATE AGGREGATE sum_sql(bigint) (sfunc = plus, stype = bigint, combinefunc = plus, initcond = '0');
CREATE AGGREGATE sum_plpgsql(bigint)
	(sfunc = plus_or_zero, stype = bigint, combinefunc = plus_or_zero, finalfunc = show);
CREATE AGGREGATE sum_strict(bigint)
	(sfunc = plus_strict, stype = bigint, combinefunc = plus_strict, finalfunc = show);
CREATE AGGREGATE sum_strict_from_0(bigint)
	(sfunc = plus_strict, stype = bigint, combinefunc = plus_strict, finalfunc = show, initcond = '0');
SELECT watch('sum_sql(i)'), watch('sum_plpgsql(i)'), watch('sum_strict(i)'), watch('sum_strict_from_0(i)');

-- polymorphic, with the arguments' types passed to the final function
CREATE FUNCTION longer(a anyelement, b anyelement) RETURNS anyelement STRICT LANGUAGE sql
	AS $$SELECT CASE WHEN (length(a::text), a::text) >= (length(b::text), b::text) THEN a ELSE b END$$;
CREATE AGGREGATE longest(anyelement) (sfunc = longer, stype = anyelement, combinefunc = longer);
CREATE FUNCTION sorted(anycompatiblearray, anycompatible) RETURNS text LANGUAGE sql
	AS $$SELECT pg_typeof($2) || ' ' || array_agg(x ORDER BY x)::text FROM unnest($1) x$$;
CREATE AGGREGATE bag(anycompatible)
	(sfunc = array_append, stype = anycompatiblearray, combinefunc = array_cat, initcond = '{}',
	 finalfunc = sorted, finalfunc_extra);
SELECT watch('longest(i)'), watch('longest(''x'' || i)'), watch('bag(i)'), watch('bag(''x'' || i)');

-- without arguments, with any number of them, with a row or large value for state, with NULL for result
CREATE FUNCTION plus_one(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT $1 + 1';
CREATE AGGREGATE rows(*) (sfunc = plus_one, stype = bigint, combinefunc = plus, finalfunc = show, initcond = '0');
CREATE FUNCTION plus_all(bigint, VARIADIC bigint[]) RETURNS bigint LANGUAGE sql
	AS 'SELECT coalesce($1, 0) + coalesce((SELECT sum(x)::bigint FROM unnest($2) x), 0)';
CREATE AGGREGATE sum_all(VARIADIC bigint[])
	(sfunc = plus_all, stype = bigint, combinefunc = plus_or_zero, finalfunc = show);
-- (bodies name what is not in pg_catalog with its schema: views run with a search_path of their own)
CREATE TYPE tally AS (n bigint, greatest text);
CREATE FUNCTION tally_add(a tally, b text) RETURNS tally LANGUAGE plpgsql
	AS 'BEGIN RETURN (coalesce(a.n, 0) + 1, greatest(a.greatest, b))::aggregates.tally; END';
CREATE FUNCTION tally_combine(a tally, b tally) RETURNS tally LANGUAGE plpgsql
	AS 'BEGIN RETURN (coalesce(a.n, 0) + coalesce(b.n, 0), greatest(a.greatest, b.greatest))::aggregates.tally; END';
CREATE AGGREGATE tally(text) (sfunc = tally_add, stype = tally, combinefunc = tally_combine);
CREATE FUNCTION greatest_page(text, text) RETURNS text LANGUAGE sql AS 'SELECT greatest($1, repeat(md5($2), 200))';
CREATE FUNCTION greatest_text(text, text) RETURNS text STRICT LANGUAGE sql AS 'SELECT greatest($1, $2)';
CREATE AGGREGATE greatest_page(text) (sfunc = greatest_page, stype = text, combinefunc = greatest_text);
CREATE FUNCTION nothing(bigint, bigint) RETURNS bigint LANGUAGE sql AS 'SELECT NULL::bigint';
CREATE AGGREGATE nothing(bigint) (sfunc = nothing, stype = bigint, combinefunc = nothing, initcond = '5');
SELECT watch('rows(*)'), watch('sum_all(i, g, 3)'), watch('tally(''x'' || i)'),
       watch('greatest_page(''x'' || i)'), watch('nothing(i)');

-- of extensions, where there are some: internal states with serialise functions of their own
DO $$
BEGIN
	IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'hll') THEN
		CREATE EXTENSION hll;
		PERFORM watch('hll_cardinality(hll_add_agg(hll_hash_integer(i)))'),
		        watch('hll_cardinality(hll_union_agg(hll_add(hll_empty(), hll_hash_integer(i))))');
	END IF;
	IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'tdigest') THEN
		CREATE EXTENSION tdigest;
		PERFORM watch('tdigest_percentile(i::float8, 1000, 0.5)'),
		        watch('tdigest_count(tdigest(i::float8, 1000))');
	END IF;
END
$$;

-- Four batches, with NULL for value and for group, and a group that comes in one batch only
CREATE PROCEDURE put(query text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE 'INSERT INTO samples ' || query;
	EXECUTE 'INSERT INTO samples_table ' || query;
END
$$;
CALL put('SELECT nullif(i % 5, 4), i FROM generate_series(1, 15) i');
SELECT is_empty('SELECT * FROM differences()', 'equal after the first batch');
CALL put('SELECT nullif(i % 5, 4), i FROM generate_series(16, 45) i UNION ALL VALUES (0, NULL::int), (77, NULL)');
CALL put('VALUES (77, NULL::int), (78, 7)');
CALL put('SELECT nullif(i % 5, 4), i FROM generate_series(46, 60) i UNION ALL VALUES (78, NULL::int), (77, 5)');
SELECT is_empty('SELECT * FROM differences()', 'equal after the last');
INSERT INTO samples_table VALUES (3, 200);
SELECT ok(count(DISTINCT call) > 100, 'a row more in the table would be noticed') FROM differences();

SELECT is(count(*), 7::bigint, 'seven groups: 0 to 3, NULL, 77 and 78') FROM watched_0;

SELECT is_empty('TABLE refused', 'every aggregate has its view');

DROP SCHEMA aggregates CASCADE;
