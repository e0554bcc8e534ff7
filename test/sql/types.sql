-- Keys and values of every sort of type
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA types;
SET search_path = types, public;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN percent AS numeric(5, 2) CHECK (VALUE BETWEEN 0 AND 100);
CREATE COLLATION blind (PROVIDER = icu, LOCALE = 'und-u-ks-level2', DETERMINISTIC = false);
CREATE FOREIGN TABLE item (id uuid, m mood, p pair, pct percent, c text COLLATE blind, b bytea, j jsonb, a int[], t text[][],
	d date, tm time, tz timetz, iv interval, ip inet, mac macaddr, bits varbit(8), ch char(4), vc varchar(3), f float8, r int4range, mr int4multirange,
	ts tsvector, big numeric, bo bool, n "char", o oid, mo money)
	SERVER streamx OPTIONS (retain 'on');
CREATE TABLE item_table (LIKE item);
SELECT plan(149);

-- A view for each column, keyed by it, with all that can be summed up
SELECT format($$CREATE VIEW by_%1$s WITH (streamx.continuous) AS SELECT %1$s, count(*), min(big), max(f) FROM item GROUP BY %1$s$$, attname)
	FROM pg_attribute WHERE attrelid = 'item'::regclass AND attnum > 0 ORDER BY attnum \gexec
CREATE VIEW by_all (k1, k2, k3, k4, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, a17, a18) WITH (streamx.continuous) AS
	SELECT id, m, p, pct, count(*), max(m), max(d), max(tm), max(iv), max(ip), min(ch), min(vc), max(a), sum(iv), sum(mo), bool_and(bo), bit_or(bits::bit(8)),
	       range_intersect_agg(r), max(pct), sum(pct), avg(iv), every(f > 0)
	FROM item GROUP BY 1, 2, 3, 4;

CREATE FUNCTION row_of(i int) RETURNS SETOF item_table LANGUAGE sql AS $$
	SELECT md5((i % 3)::text)::uuid, (enum_range(NULL::mood))[i % 3 + 1], ROW(i % 2, 'x')::pair, (i % 4)::percent, (ARRAY['Tea', 'TEA', 'tea', 'Thé'])[i % 4 + 1],
		decode(lpad(to_hex(i % 5), 2, '0'), 'hex'), jsonb_build_object('k', i % 3, 'l', ARRAY[i % 2]), ARRAY[i % 3, NULL], ARRAY[['a', 'b' || i % 2]],
		date '2024-01-01' + i % 3, time '10:00' + i % 3 * interval '1 h', timetz '10:00+02', i % 3 * interval '1 month', ('10.0.0.' || i % 4)::inet, '08:00:2b:01:02:03'::macaddr,
		(i % 3)::bit(4)::varbit(8), 'c' || i % 2, 'v' || i % 2, CASE i % 5 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN '0' WHEN 3 THEN 'Infinity' ELSE 1.5 END::float8,
		int4range(i % 3, i % 3 + 5), int4multirange(int4range(0, i % 3 + 1), int4range(10, 12)), to_tsvector('simple', 'word' || i % 2), (i % 4) * 1.10, i % 2 = 0, chr(65 + i % 2)::"char", (i % 3)::oid, (i % 3)::money $$;
INSERT INTO item_table SELECT r.* FROM generate_series(1, 30) i, row_of(i) r;
INSERT INTO item_table (big) VALUES (NULL), (7);
INSERT INTO item SELECT * FROM item_table LIMIT 10;
BEGIN;
INSERT INTO item SELECT * FROM item_table OFFSET 10 LIMIT 15;
SAVEPOINT s;
INSERT INTO item SELECT * FROM item_table OFFSET 25;
COMMIT;
SELECT results_eq(format('SELECT (count(*), sum(count))::text FROM by_%I', attname), format('SELECT (count(*), sum(count))::text FROM (SELECT count(*) FROM item_table GROUP BY %I) x', attname), attname || ' as key')
	FROM pg_attribute a JOIN pg_class c ON c.relname = 'by_' || attname AND relnamespace = 'types'::regnamespace WHERE attrelid = 'item'::regclass AND attnum > 0 ORDER BY attnum;
SELECT results_eq($$SELECT c::text COLLATE "C", count FROM by_c WHERE c = 'tEa'$$, $$VALUES ('TEA'::text COLLATE "C", 23::bigint)$$, 'tea is Tea is TEA, shown as first seen');
SELECT is_empty($$SELECT b::text FROM by_all b EXCEPT ALL SELECT (id, m, p, pct, count(*), max(m), max(d), max(tm), max(iv), max(ip), min(ch), min(vc), max(a), sum(iv), sum(mo), bool_and(bo), bit_or(bits::bit(8)),
	       range_intersect_agg(r), max(pct), sum(pct), avg(iv), every(f > 0))::text FROM item_table GROUP BY id, m, p, pct$$, 'all aggregates agree');
SELECT is(count(*), (SELECT count(*) FROM by_all), 'for all groups') FROM (SELECT FROM item_table GROUP BY id, m, p, pct) g;
SELECT is(format_type(atttypid, atttypmod), t, attname || ' keeps its type') FROM pg_attribute JOIN (VALUES ('vc', 'character varying(3)'), ('ch', 'character(4)'), ('bits', 'bit varying(8)'), ('pct', 'percent')) v (c, t) ON attname = c
	WHERE attrelid = ('by_' || c)::regclass ORDER BY c;
-- a domain is checked on its way in, an enum may grow
INSERT INTO item (pct) VALUES (101);
ALTER TYPE mood ADD VALUE 'furious' BEFORE 'sad';
INSERT INTO item (m) VALUES ('furious');
SELECT results_eq('SELECT m FROM by_m ORDER BY m LIMIT 1', $$VALUES ('furious'::mood)$$, 'a new value sorts first');
-- negative zero and NaN are what float8 says they are
SELECT results_eq('SELECT f, count FROM by_f WHERE f IS NOT NULL ORDER BY f', 'SELECT f, count(*) FROM item_table WHERE f IS NOT NULL GROUP BY f ORDER BY f', 'zeros are one, so are NaNs');
-- large states and large inputs go to TOAST and come back
CREATE FOREIGN TABLE large (k int, t text, words text[]) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW longest WITH (streamx.continuous) AS SELECT k, max(t), min(words), count(*) FROM large GROUP BY k;
INSERT INTO large SELECT k, string_agg(md5((i * k)::text), ''), array_agg(md5((i * k)::text)) FROM generate_series(1, 5000) i, generate_series(1, 3) k GROUP BY k;
INSERT INTO large SELECT k, string_agg(md5((i + k)::text), ''), array_agg(md5((i + k)::text)) FROM generate_series(1, 5000) i, generate_series(1, 3) k GROUP BY k;
SELECT results_eq('SELECT k, length(max), cardinality(min), count FROM longest ORDER BY k', 'SELECT k, 160000, 5000, 2::bigint FROM generate_series(1, 3) k', 'large states');
SELECT is_empty($$SELECT * FROM streamx.verify('longest')$$, 'verify agrees');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', view), 'verify agrees') FROM streamx.views WHERE view = 'by_all'::regclass;
-- Each of these types as key of hop and session views: slices of equal keys make one window, whatever their bytes
CREATE FOREIGN TABLE timed (at timestamptz, m mood, p pair, pct percent, c text COLLATE blind, b bytea, j jsonb, a int[], t text[][],
	d date, tz timetz, iv interval, ip inet, bits varbit(8), ch char(4), vc varchar(3), f float8, r int4range, mr int4multirange,
	ts tsvector, big numeric, bo bool, n "char", o oid)
	SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE TABLE timed_table (LIKE timed);
CREATE TABLE keys AS SELECT attname::text AS name FROM pg_attribute WHERE attrelid = 'timed'::regclass AND attnum > 1;
SELECT format($$CREATE VIEW hop_%1$s WITH (streamx.continuous) AS SELECT hop(at, '25 minutes', '10 minutes') AS w, %1$s, count(*), sum(big) FROM timed GROUP BY 1, 2$$, name),
	format($$CREATE VIEW session_%1$s WITH (streamx.continuous) AS SELECT %1$s, session(at, '4 minutes') AS w, count(*), sum(big) FROM timed GROUP BY 1, 2$$, name),
	format($$CREATE VIEW batch_hop_%1$s AS SELECT hop(at, '25 minutes', '10 minutes') AS w, %1$s, count(*), sum(big) FROM timed_table GROUP BY 1, 2$$, name),
	format($$CREATE VIEW batch_session_%1$s AS SELECT %1$s, tstzrange(min(at), max(at) + interval '4 minutes') AS w, count(*), sum(big)
		FROM (SELECT *, count(*) FILTER (WHERE is_first) OVER (PARTITION BY %1$s ORDER BY at) AS island
		      FROM (SELECT *, at > lag(at, 1, '-infinity') OVER (PARTITION BY %1$s ORDER BY at) + interval '4 minutes' AS is_first FROM timed_table) AS t) AS i GROUP BY %1$s, island$$, name)
	FROM keys ORDER BY name COLLATE "C" \gexec
-- minutes apart, equal keys of changing bytes, every seventh value NULL
INSERT INTO timed_table
	SELECT timestamptz '2024-05-01 10:00' + i * interval '1 minute' + (i % 3) * interval '20 seconds', m, p, pct, c, b, j, a, t,
	       d, tz, CASE i % 3 WHEN 0 THEN interval '1 day' WHEN 1 THEN interval '24 hours' ELSE iv END, ip, bits, ch, vc, f, r, mr, ts,
	       (CASE i % 3 WHEN 0 THEN '1.0' WHEN 1 THEN '1.00' ELSE '2' END)::numeric, bo, n, o
	FROM generate_series(1, 60) i, row_of(i) row (id, m, p, pct, c, b, j, a, t, d, tm, tz, iv, ip, mac, bits, ch, vc, f, r, mr, ts, big, bo, n, o, mo) WHERE i % 7 <> 0
	UNION ALL SELECT timestamptz '2024-05-01 10:00' + i * interval '7 minutes', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
	       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM generate_series(1, 8) i;
INSERT INTO timed SELECT * FROM timed_table WHERE at < '2024-05-01 10:21' ORDER BY at;
INSERT INTO timed SELECT * FROM timed_table WHERE at BETWEEN '2024-05-01 10:21' AND '2024-05-01 10:40' ORDER BY at DESC;
INSERT INTO timed SELECT * FROM timed_table WHERE at > '2024-05-01 10:40';
SELECT is_empty(format('(TABLE batch_%1$s EXCEPT ALL TABLE %1$s) UNION ALL (TABLE %1$s EXCEPT ALL TABLE batch_%1$s)', kind || name), kind || name || ' equals its batch')
	FROM keys, unnest(ARRAY['hop_', 'session_']) kind ORDER BY kind, name COLLATE "C";
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', kind || name), kind || name || ': verify agrees')
	FROM keys, unnest(ARRAY['hop_', 'session_']) kind ORDER BY kind, name COLLATE "C";
SELECT results_eq($$SELECT lower(w)::time, count FROM hop_c WHERE c = 'tEA' ORDER BY 1 LIMIT 3$$, $$SELECT lower(w)::time, count(*) FROM (SELECT hop(at, '25 minutes', '10 minutes') AS w FROM timed_table WHERE lower(c COLLATE "C") = 'tea') t GROUP BY 1 ORDER BY 1 LIMIT 3$$,
	'tea is Tea is TEA in windows, and when asked for');
SELECT results_eq('SELECT lower(w)::time, count FROM hop_big WHERE big = 1 ORDER BY 1 LIMIT 3', 'SELECT lower(w)::time, count(*) FROM (SELECT hop(at, ''25 minutes'', ''10 minutes'') AS w FROM timed_table WHERE big = 1) t GROUP BY 1 ORDER BY 1 LIMIT 3',
	'1.0 is 1.00');
SELECT bag_eq('SELECT w, count FROM hop_' || name || ' WHERE ' || name || ' IS NULL', 'SELECT w, count FROM batch_hop_d WHERE d IS NULL', name || ': NULLs are a key') FROM keys WHERE name IN ('c', 'j', 'p') ORDER BY name COLLATE "C";
-- a key is shown as in the first row of its window: whatever is asked for, whatever was removed
CREATE VIEW kept_c WITH (streamx.continuous, streamx.retention = '15 minutes') AS SELECT hop(at, '25 minutes', '10 minutes') AS w, c, count(*) FROM timed GROUP BY 1, 2;
CREATE VIEW kept_iv WITH (streamx.continuous, streamx.retention = '15 minutes') AS SELECT cumulate(at, '20 minutes', '10 minutes') AS w, iv, big, count(*) FROM timed GROUP BY 1, 2, 3;
CREATE VIEW all_iv WITH (streamx.continuous) AS SELECT cumulate(at, '20 minutes', '10 minutes') AS w, iv, big, count(*) FROM timed GROUP BY 1, 2, 3;
SELECT is_empty(format($$SELECT lower(w), c::text COLLATE "C", count FROM hop_c WHERE w @> timestamptz %1$L EXCEPT ALL SELECT lower(w), c::text COLLATE "C", count FROM hop_c$$, at), 'text, at ' || at::time)
	FROM generate_series(timestamptz '2024-05-01 10:05', '2024-05-01 10:45', '10 minutes') at;
SELECT is_empty(format($$SELECT lower(w), iv::text, big::text, count FROM all_iv WHERE lower(w) = %1$L AND big = 1 EXCEPT ALL SELECT lower(w), iv::text, big::text, count FROM all_iv$$, at), 'interval and numeric, at ' || at::time)
	FROM generate_series(timestamptz '2024-05-01 10:00', '2024-05-01 10:40', '20 minutes') at;
SELECT is_empty($$SELECT lower(w), c::text COLLATE "C", count FROM kept_c EXCEPT ALL SELECT lower(w), c::text COLLATE "C", count FROM hop_c$$, 'after a removal');
SELECT is_empty('SELECT lower(w), upper(w), iv::text, big::text, count FROM kept_iv EXCEPT ALL SELECT lower(w), upper(w), iv::text, big::text, count FROM all_iv', 'of cumulate as well');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', name), name || ': verify agrees') FROM unnest(ARRAY['all_iv', 'kept_c', 'kept_iv']) name;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA types CASCADE;
