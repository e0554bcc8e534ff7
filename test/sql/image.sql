-- The image of a value tells it from all others, and is the same however the value is kept
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA image;
SET search_path = image, public;
SELECT no_plan();

-- Bytes that can be read
SELECT is(streamx.image(258::int2), '\x0102', 'int2: most significant byte first');
SELECT is(streamx.image(258), '\x00000102', 'int4');
SELECT is(streamx.image(-2::int8), '\xfffffffffffffffe', 'int8');
SELECT is(streamx.image(true), '\x01', 'boolean');
SELECT is(streamx.image('a'::"char"), '\x61', '"char"');
SELECT is(streamx.image(1::float8), '\x3ff0000000000000', 'float8');
SELECT is(streamx.image(1::float4), '\x3f800000', 'float4');
SELECT is(streamx.image('1970-01-01'::date - '2000-01-01'::date), streamx.image(-10957), 'an expression');
SELECT is(streamx.image('tea'::text), 'tea'::bytea, 'text: no header');
SELECT is(streamx.image(''::text), ''::bytea, 'no bytes');
SELECT is(streamx.image('\x00ff'::bytea), '\x00ff', 'bytea');
SELECT is(length(streamx.image('tea'::name)), 64, 'name: its fixed length');
SELECT is(streamx.image('tea'::cstring), 'tea'::bytea, 'cstring');
SELECT is(streamx.image('00112233-4455-6677-8899-aabbccddeeff'::uuid), '\x00112233445566778899aabbccddeeff', 'uuid');
SELECT is(length(streamx.image('1 day'::interval)), 16, 'interval: all of it');
SELECT is(length(streamx.image('(1,2)'::tid)), 6, 'tid: without padding');
SELECT is(streamx.image(NULL::int), NULL, 'NULL has no image');

-- Values that compare equal and can be told apart
CREATE FUNCTION differ(a anyelement, b anyelement) RETURNS boolean
    LANGUAGE sql AS 'SELECT streamx.image(a) <> streamx.image(b)';
SELECT ok(differ(0::float8, '-0'::float8), 'float8 0 and -0');
SELECT ok(differ(1.0, 1.00), 'numeric 1.0 and 1.00');
SELECT ok(differ('a'::char(2), 'a'::bpchar), 'bpchar with and without padding');
SELECT ok(differ('24 hours'::interval, '1 day'), 'interval');
SELECT ok(differ('12:00+00'::timetz, '13:00+01'), 'timetz');
SELECT ok(differ('[1.0,2)'::numrange, '[1.00,2)'), 'range of numeric');
SELECT ok(differ('{[1.0,2)}'::nummultirange, '{[1.00,2)}'), 'multirange of numeric');
SELECT ok(differ('{"a":1.0}'::jsonb, '{"a":1.00}'), 'jsonb');
SELECT ok(differ(ARRAY[1.0], ARRAY[1.00]), 'array');
SELECT ok(differ(ROW(1.0, 2), ROW(1.00, 2)), 'row');
-- and those that have no equality
SELECT ok(differ('{"a":1}'::json, '{"a": 1}'), 'json');
SELECT ok(differ('<a/>'::xml, '<a></a>'), 'xml');
SELECT ok(differ('(1,2)'::point, '(1,3)'), 'point');
-- and others that are near to each other
SELECT ok(differ('1'::bit, '10'::varbit::bit(2)), 'bit: length');
SELECT ok(differ(ARRAY[1, NULL], ARRAY[1]), 'array: NULL');
SELECT ok(differ(ARRAY[1, 2], '[0:1]={1,2}'::int[]), 'array: lower bound');
SELECT ok(differ(ARRAY[[1, 2]], ARRAY[[1], [2]]), 'array: dimensions');
SELECT ok(differ(ROW('a', NULL), ROW('a', '')), 'row: NULL and nothing');
SELECT ok(differ(ROW('ab', 'c'), ROW('a', 'bc')), 'row: where columns end');
SELECT ok(differ(ROW(1, 2), ROW(1, 2::oid)), 'record: types of its columns');
SELECT ok((SELECT differ(a, b) FROM (SELECT 1 AS x) a, (SELECT 1 AS y) b), 'record: names of its columns');

-- The same value is the same, however it is kept
CREATE FUNCTION same(a anyelement, b anyelement) RETURNS boolean
    LANGUAGE sql AS 'SELECT streamx.image(a) = streamx.image(b)';
CREATE TABLE kept (n int, short text, plain text, compressed text, outside text, many int[], document jsonb);
ALTER TABLE kept ALTER plain SET STORAGE PLAIN, ALTER outside SET STORAGE EXTERNAL;
INSERT INTO kept
SELECT 1, 'tea', repeat('tea', 1000), repeat('tea', 1000), repeat('tea', 1000), array_agg(i), jsonb_object_agg(i, 'tea')
  FROM generate_series(1, 2000) i;
SELECT ok(pg_column_compression(compressed) IS NOT NULL AND pg_column_size(outside) = 3000, 'one is compressed, one is not')
  FROM kept;
SELECT ok(same(short, 'tea') AND same(plain, repeat('tea', 1000)) AND same(compressed, plain) AND same(outside, plain),
          'text') FROM kept;
SELECT ok(same(many, (SELECT array_agg(i) FROM generate_series(1, 2000) i)), 'array') FROM kept;
SELECT ok(same(document, (SELECT jsonb_object_agg(i, 'tea') FROM generate_series(1, 2000) i)), 'jsonb') FROM kept;
CREATE FUNCTION expanded() RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	a int[] := '{1,2}';
	b int[];
	r kept;
BEGIN
	a[3] := 3;
	b := a;
	b[2] := NULL;
	b[2] := 2;
	SELECT * INTO r FROM kept;
	r.n := 2;
	r.n := 1;
	RETURN same(a, '{1,2,3}') AND same(b, a) AND (SELECT same(r, k) FROM kept k);
END $$;
SELECT ok(expanded(), 'expanded arrays and rows are flattened');
SELECT ok(same((ARRAY[1, 2, NULL])[1:2], ARRAY[1, 2]), 'array: a bitmap of NULLs that marks none');
SELECT ok(same((ARRAY['a', NULL, 'b'])[1:2], ARRAY['a', NULL]), 'array: one that marks some');
SELECT ok(same('{}'::int[], array_remove(ARRAY[1], 1)), 'array: empty');

-- Rows
CREATE TYPE drink AS (name text, price numeric);
CREATE TYPE meal AS (drink drink, others drink[]);
CREATE TABLE drinks (name text, dropped int, price numeric);
INSERT INTO drinks VALUES ('tea', 1, 2.5), (NULL, NULL, NULL), ('milk', 2, 1.0);
ALTER TABLE drinks DROP dropped;
CREATE TABLE copies AS SELECT d AS drink FROM drinks d;
CREATE TABLE others AS SELECT * FROM drinks WHERE name = 'tea';
UPDATE drinks SET price = price;
SELECT ok(bool_and(same(d, drink)) AND count(*) = 2, 'rows that were stored elsewhere, by another transaction')
  FROM drinks d JOIN copies ON d.name = (drink).name;
SELECT ok(differ(d, e), 'and others') FROM drinks d, drinks e WHERE d.name = 'tea' AND e.name = 'milk';
ALTER TABLE others ADD origin text, ADD stock int DEFAULT 5;
INSERT INTO others VALUES ('tea', 2.5);
SELECT ok(count(*) = 2 AND count(DISTINCT streamx.image(o)) = 1, 'columns that were added later') FROM others o;
SELECT ok(same(ROW('tea', 2.5)::drink, ('tea', 2.5)::drink), 'composite type');
SELECT ok(differ(ROW('tea', 2.5)::drink, ('tea', 2.50)::drink), 'and its columns'' images');
CREATE TABLE meals AS
SELECT ROW(ROW('tea', 2.5), ARRAY[ROW('milk', NULL), NULL, ROW(repeat('a', 5000), 1)]::drink[])::meal AS meal;
SELECT ok(same(meal, ROW(ROW('tea', 2.5), ARRAY[ROW('milk', NULL), NULL, ROW(repeat('a', 5000), 1)]::drink[])::meal),
          'rows in rows and in arrays in rows') FROM meals;
SELECT ok(differ(meal, ROW(ROW('tea', 2.5), ARRAY[ROW('milk', NULL), NULL, ROW(repeat('a', 5000), 1.0)]::drink[])::meal),
          'and what differs in them') FROM meals;
SELECT ok(same((SELECT array_agg(drink ORDER BY (drink).name) FROM copies),
               (SELECT array_agg(d ORDER BY name) FROM drinks d)), 'arrays of rows');

-- Domains, enums, ranges of rows
CREATE DOMAIN price AS numeric CHECK (VALUE >= 0);
CREATE DOMAIN prices AS price[];
CREATE DOMAIN beverage AS drink CHECK ((VALUE).price > 0);
CREATE TYPE size AS ENUM ('small', 'large');
CREATE TYPE drinkrange AS RANGE (subtype = drink);
SELECT is(streamx.image(1.5::price), streamx.image(1.5), 'domain');
SELECT is(streamx.image('{1.5}'::prices::price[]), streamx.image('{1.5}'::prices), 'domain over an array');
SELECT is(streamx.image(('tea', 2.5)::drink::beverage), streamx.image(('tea', 2.5)::drink), 'domain over a row');
SELECT ok(differ('small'::size, 'large'), 'enum');
SELECT ok(same('[2,5]'::int4range, '[2,6)'), 'range');
SELECT ok(same(drinkrange((m.name, m.price)::drink, NULL), drinkrange(('tea', 2.5)::drink, NULL)), 'range of rows')
  FROM drinks m WHERE name = 'tea';
SELECT ok(differ(drinkrange(('tea', 2.5)::drink, NULL), drinkrange(('tea', 2.50), NULL)), 'range of rows: bounds');
SELECT ok(differ(drinkrange(('tea', 2.5)::drink, NULL), drinkrange(NULL, ('tea', 2.5))), 'range of rows: which bound');
SELECT ok(differ(drinkrange(('tea', 2.5)::drink, NULL, '()'), drinkrange(('tea', 2.5)::drink, NULL)), 'range of rows: inclusive');
SELECT ok(differ('empty'::drinkrange, drinkrange(NULL, NULL)), 'range of rows: empty');
SELECT ok(same(drinkmultirange(drinkrange(('a', 1), ('b', 1)), drinkrange(('c', 1), NULL)),
               drinkmultirange(drinkrange(('c', 1), NULL), drinkrange(('a', 1), ('b', 1)))), 'multirange of rows');
SELECT ok(differ(drinkmultirange(drinkrange(('a', 1), ('b', 1))), drinkmultirange(drinkrange(('a', 1), ('b', 2)))),
          'multirange of rows: bounds');

-- Types that are not known beforehand
SELECT throws_ok('SELECT streamx.image(''a'')', '42804', NULL, 'unknown has no image');
SELECT is(count(DISTINCT streamx.image(r)), 3::bigint, 'records of several types')
  FROM (VALUES (ROW(1, ARRAY[1])), (ROW('a'::text, ARRAY['a'])), (ROW(1.5, drinkrange(('a', 1), NULL))), (ROW(1, ARRAY[1]))) AS v (r);
SELECT ok(bool_and(length(streamx.image(c)) > 0), 'catalogs') FROM pg_class c;
SELECT ok(count(streamx.image(p)) > 1000, 'catalogs') FROM pg_proc p;

SELECT * FROM finish();
DROP SCHEMA image CASCADE;
