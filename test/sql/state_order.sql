-- Groups are found by the bytes of text
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA ordering;
SET search_path = ordering, public;
SET jit = off;
SELECT plan(16);

-- Which operator class a column of the index has
CREATE COLLATION no_case (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE DOMAIN word AS text;
CREATE FOREIGN TABLE words (t timestamptz, plain text, short varchar(5), padded char(4), word word, bytes text COLLATE "C",
	folded text COLLATE no_case, n int, x numeric) SERVER streamx OPTIONS (event_time 't', retain 'on');
CREATE FUNCTION class_of(key text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	EXECUTE format($_$CREATE VIEW by_%1$s WITH (streamx.continuous) AS
		SELECT tumble(t, '1 hour') AS w, %1$I AS k, count(*), sum(x) FROM words GROUP BY 1, 2$_$, key);
	EXECUTE format($_$CREATE VIEW again_%1$s AS SELECT tumble(t, '1 hour') AS w, %1$I AS k, count(*), sum(x) FROM words GROUP BY 1, 2$_$, key);
	SELECT opcname INTO STRICT result
		FROM pg_index AS i JOIN pg_opclass AS o ON o.oid = indclass[0] JOIN streamx.views AS v ON v.state = indrelid
		WHERE v.view = ('by_' || key)::regclass AND indisunique;
	RETURN result;
END
$$;
SELECT is(class_of('plain'), 'text_pattern_ops', 'text by its bytes');
SELECT is(class_of('short'), 'text_pattern_ops', 'and varchar');
SELECT is(class_of('padded'), 'bpchar_pattern_ops', 'and char');
SELECT is(class_of('word'), 'text_pattern_ops', 'and domains');
SELECT is(class_of('bytes'), 'text_ops', 'a collation of bytes needs no other class');
SELECT is(class_of('folded'), 'text_ops', 'equal text of other bytes allows no other class');
SELECT is(class_of('n'), 'int4_ops', 'nor have other types one');

-- Equality stays that of each type; so few groups are merged as they come
CREATE VIEW samples AS
	SELECT v AS plain, left(v, 5) AS short, left(v, 4) AS padded, v AS word, v AS bytes, v AS folded, length(v) AS n
	FROM unnest(ARRAY['a', 'A', 'a ', 'ä', 'ab', '', 'Zoë', 'zoë', '日本', NULL]) AS v;
INSERT INTO words SELECT '2024-05-01', s.*, 1.5 FROM samples AS s;
INSERT INTO words SELECT '2024-05-01', s.*, 2 FROM samples AS s, generate_series(1, 3);
SELECT bag_eq('TABLE by_' || key, 'TABLE again_' || key, key || ': equal to the batch')
	FROM unnest(ARRAY['plain', 'short', 'padded', 'word', 'bytes', 'folded', 'n']) AS key;

-- Reading goes by that index
CREATE FUNCTION plan_of(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	line text;
	result text := '';
BEGIN
	SET LOCAL enable_seqscan = off;
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || statement
	LOOP
		result := result || line;
	END LOOP;
	RETURN result;
END
$$;
SELECT matches(plan_of($$SELECT * FROM by_plain WHERE k = 'a'$$), 'Index Cond: .*k1 = ''a''', 'a key is looked up');
CREATE VIEW hops WITH (streamx.continuous) AS SELECT hop(t, '1 hour', '20 min') AS w, plain AS k, count(*) FROM words GROUP BY 1, 2;
SELECT unalike(plan_of('SELECT * FROM hops'), '%Sort%', 'slices come in the order of the index');

SELECT * FROM finish();
DROP SCHEMA ordering CASCADE;
