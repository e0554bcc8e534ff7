-- What a user may define and the server has not: types, and aggregates of other kinds than its own.
CREATE SCHEMA own;
CREATE TYPE own.mood AS ENUM ('sad', 'fine', 'happy');
CREATE TYPE own.pair AS (a int, b numeric, c text);
CREATE DOMAIN own.small AS int CHECK (VALUE < 1000);
CREATE DOMAIN own.word AS text CHECK (VALUE <> 'never');
CREATE TYPE own.span AS RANGE (subtype = float8, multirange_type_name = own.spans);
CREATE COLLATION own.any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

CREATE FUNCTION own.former(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE STRICT AS 'SELECT $1';
CREATE FUNCTION own.linked(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT $1 || coalesce($2, '?') || '>'$$;
CREATE FUNCTION own.better(one own.pair, other own.pair) RETURNS own.pair LANGUAGE plpgsql IMMUTABLE STRICT AS
	'BEGIN IF other.a > one.a THEN RETURN other; END IF; RETURN one; END';
CREATE FUNCTION own.met(moods own.mood[], own.mood) RETURNS own.mood[] LANGUAGE sql IMMUTABLE AS
	'SELECT CASE WHEN $2 = ANY (moods) THEN moods ELSE moods || $2 END';
CREATE FUNCTION own.sorted(moods own.mood[]) RETURNS own.mood[] LANGUAGE sql IMMUTABLE AS
	'SELECT ARRAY(SELECT mood FROM unnest(moods) mood ORDER BY mood)';
CREATE FUNCTION own.widened(ends anyarray, anynonarray) RETURNS anyarray LANGUAGE sql IMMUTABLE AS
	'SELECT ARRAY[least(ends[1], $2), greatest(ends[2], $2)]';
CREATE FUNCTION own.weigh(own.pair, numeric, int) RETURNS own.pair LANGUAGE sql IMMUTABLE AS
	'SELECT (coalesce($1.a, 0) + coalesce($3, 0), coalesce($1.b, 0) + coalesce($2 * $3, 0), NULL)::own.pair';
CREATE FUNCTION own.weight_of(own.pair) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1.b / nullif($1.a, 0)';
CREATE FUNCTION own.greater(anyelement, anyelement) RETURNS anyelement LANGUAGE sql IMMUTABLE AS 'SELECT greatest($1, $2)';
CREATE FUNCTION own.add_small(own.small, own.small) RETURNS own.small LANGUAGE plpgsql IMMUTABLE STRICT AS
	'BEGIN RETURN $1 + $2; END';
CREATE FUNCTION own.longer(one text, other text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS
	'BEGIN RETURN CASE WHEN (length(other), other) > (length(one), one) THEN other ELSE one END; END';
CREATE FUNCTION own.spread_of(int8[]) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT $1[2] || ' over ' || $1[1]$$;
CREATE FUNCTION own.add_all(numeric, VARIADIC bigint[]) RETURNS numeric LANGUAGE sql IMMUTABLE AS
	'SELECT $1 + coalesce(sum(x), 0) FROM unnest($2) x';
CREATE FUNCTION own.most_of(anyelement, VARIADIC anyarray) RETURNS anyelement LANGUAGE sql IMMUTABLE AS
	'SELECT x FROM (SELECT $1 AS x UNION ALL SELECT unnest($2)) u ORDER BY x DESC NULLS LAST LIMIT 1';
CREATE FUNCTION own.appended(anyarray, anynonarray) RETURNS anyarray LANGUAGE sql IMMUTABLE AS 'SELECT $1 || $2';
CREATE FUNCTION own.middle_of(anyarray) RETURNS anyelement LANGUAGE sql IMMUTABLE AS
	'SELECT (array_agg(x ORDER BY x))[(1 + cardinality($1)) / 2] FROM unnest($1) x';
CREATE FUNCTION own.rows_seen(bigint, record) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
	'BEGIN RETURN $1 + ($2 IS NOT NULL)::int; END';

-- Without a combine function: strict or not, in plpgsql, sensitive to order, with a sort operator, without arguments
CREATE AGGREGATE own.product(numeric) (SFUNC = numeric_mul, STYPE = numeric, INITCOND = '1');
CREATE AGGREGATE own.earliest(anyelement) (SFUNC = own.former, STYPE = anyelement);
CREATE AGGREGATE own.chain(text) (SFUNC = own.linked, STYPE = text, INITCOND = '>');
CREATE AGGREGATE own.best(own.pair) (SFUNC = own.better, STYPE = own.pair);
CREATE AGGREGATE own.moods(own.mood) (SFUNC = own.met, STYPE = own.mood[], INITCOND = '{}', FINALFUNC = own.sorted);
CREATE AGGREGATE own.smallest(int) (SFUNC = int4smaller, STYPE = int, SORTOP = <);
CREATE AGGREGATE own.present(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0');
CREATE AGGREGATE own.ends(anynonarray) (SFUNC = own.widened, STYPE = anyarray, INITCOND = '{}');
CREATE AGGREGATE own.weighted(x numeric, weight int) (SFUNC = own.weigh, STYPE = own.pair, FINALFUNC = own.weight_of);

-- With one: over any rows, polymorphic, over domains, strict in plpgsql, with a final function that may write into the state
CREATE AGGREGATE own.of_record(record) (SFUNC = own.rows_seen, STYPE = bigint, COMBINEFUNC = int8pl, INITCOND = '0');
CREATE AGGREGATE own.greater_of(anyelement) (SFUNC = own.greater, STYPE = anyelement, COMBINEFUNC = own.greater);
CREATE AGGREGATE own.summed(own.small) (SFUNC = own.add_small, STYPE = own.small, COMBINEFUNC = own.add_small);
CREATE AGGREGATE own.longest(own.word) (SFUNC = own.longer, STYPE = text, COMBINEFUNC = own.longer);
CREATE AGGREGATE own.spread(int) (SFUNC = int4_avg_accum, STYPE = int8[], COMBINEFUNC = int4_avg_combine, INITCOND = '{0,0}',
	FINALFUNC = own.spread_of, FINALFUNC_MODIFY = READ_WRITE, MSFUNC = int4_avg_accum, MINVFUNC = int4_avg_accum_inv,
	MSTYPE = int8[], MINITCOND = '{0,0}', MFINALFUNC = own.spread_of);

-- Internal states that cannot be stored: no combine function, and one but nothing that serialises
CREATE AGGREGATE own.collect(anynonarray) (SFUNC = array_agg_transfn, STYPE = internal, FINALFUNC = array_agg_finalfn,
	FINALFUNC_EXTRA);
CREATE AGGREGATE own.mean(numeric) (SFUNC = numeric_avg_accum, STYPE = internal, COMBINEFUNC = numeric_avg_combine,
	FINALFUNC = numeric_avg);

-- VARIADIC, ordered-set and hypothetical-set
CREATE AGGREGATE own.total(VARIADIC bigint[]) (SFUNC = own.add_all, STYPE = numeric, INITCOND = '0');
CREATE AGGREGATE own.most(VARIADIC anyarray) (SFUNC = own.most_of, STYPE = anyelement, COMBINEFUNC = own.greater);
CREATE AGGREGATE own.at_fraction(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal,
	FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA, FINALFUNC_MODIFY = READ_WRITE);
CREATE AGGREGATE own.middle(ORDER BY anynonarray) (SFUNC = own.appended, STYPE = anyarray, INITCOND = '{}',
	FINALFUNC = own.middle_of);
CREATE AGGREGATE own.standing(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi,
	STYPE = internal, FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL);
