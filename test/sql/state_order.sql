-- Groups are found by the bytes of text, by a walk along the index where there are many, and new ones are written together
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA ordering;
SET search_path = ordering, public;
SET jit = off;
SELECT plan(23);

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

-- Many groups: 3000, then others between them, some of them again
CREATE FOREIGN TABLE many (t timestamptz, a text, b int, x numeric) SERVER streamx OPTIONS (event_time 't', watermark_delay '10 days', retain 'on');
CREATE VIEW groups WITH (streamx.continuous) AS
	SELECT tumble(t, '1 hour') AS w, a, b, count(*) AS n, sum(x) AS x, min(x) AS least FROM many GROUP BY 1, 2, 3;
CREATE VIEW same_groups AS SELECT tumble(t, '1 hour') AS w, a, b, count(*) AS n, sum(x) AS x, min(x) AS least FROM many GROUP BY 1, 2, 3;
CREATE PROCEDURE put(numbers text, hour int DEFAULT 0) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format($_$INSERT INTO many SELECT timestamptz '2024-05-01' + %s * interval '1 hour',
		CASE WHEN i %% 10 > 0 THEN chr(97 + i %% 26) || i / 50 END, CASE WHEN i %% 7 > 0 THEN i END, i %% 13 FROM %s AS i$_$, hour, numbers);
END
$$;
CALL put('generate_series(1, 6000, 2)');
SELECT bag_eq('TABLE groups', 'TABLE same_groups', 'new groups');
CALL put('generate_series(1, 6000)');
SELECT bag_eq('TABLE groups', 'TABLE same_groups', 'old groups, and new ones between them');
CALL put('generate_series(1, 6000)', 1);
SELECT bag_eq('TABLE groups', 'TABLE same_groups', 'of a later window');

-- What was rolled back is passed over
BEGIN;
CALL put('generate_series(6001, 8000)');
SELECT count(*) FROM groups WHERE b > 6000; -- so they are merged
ROLLBACK;
CALL put('generate_series(6501, 8500)');
SELECT bag_eq('TABLE groups', 'TABLE same_groups', 'groups that were there before a ROLLBACK');

-- A long way from the first key to the others: descents again
CREATE VIEW far WITH (streamx.continuous) AS SELECT a, b, count(*) AS n FROM many GROUP BY 1, 2;
CREATE VIEW same_far AS SELECT a, b, count(*) AS n FROM many GROUP BY 1, 2;
INSERT INTO many SELECT '2024-05-02', 'm', i, 1 FROM generate_series(1, 12500) AS i;
INSERT INTO many SELECT '2024-05-02', CASE WHEN i > 5 THEN 'z' ELSE 'a' END, i, 1 FROM generate_series(1, 3000) AS i;
INSERT INTO many SELECT '2024-05-02', CASE WHEN i > 5 THEN 'z' ELSE 'a' END, i, 1 FROM generate_series(1, 6000, 2) AS i;
SELECT bag_eq('TABLE far', 'TABLE same_far', 'groups at both ends');
SELECT bag_eq('TABLE groups', 'TABLE same_groups', 'of two views');

-- New rows that take much memory, and some that are stored out of line
CREATE FUNCTION noise(n int) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT coalesce(string_agg(md5(i::text), ''), '') FROM generate_series(1, n) AS i $$;
CREATE VIEW large WITH (streamx.continuous) AS
	SELECT repeat(a, 100) AS a, b, max(noise(b / 2)) AS long, count(*) AS n FROM many WHERE b % 5 = 0 AND b < 600 GROUP BY 1, 2;
CREATE VIEW same_large AS
	SELECT repeat(a, 100) AS a, b, max(noise(b / 2)) AS long, count(*) AS n FROM many WHERE b % 5 = 0 AND b < 600 GROUP BY 1, 2;
CALL put('generate_series(1, 600)', 30);
SELECT bag_eq('TABLE large', 'TABLE same_large', 'long rows');
SELECT * FROM finish();
DROP SCHEMA ordering CASCADE;
