-- Option filter: which messages of a topic are rows of its stream
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA filter;
SET search_path = filter, public;
SELECT no_plan();
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:9092');
-- what becomes of a message: a row, 'filtered', or SQLSTATE and error
CREATE FUNCTION outcome(stream regclass, message text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RETURN coalesce(streamx.decode(stream, convert_to(message, 'UTF8'))::text, 'filtered');
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Nexmark's bids: other messages of the topic are no rows, whatever is in them
CREATE FOREIGN TABLE bids (auction bigint, price int NOT NULL, at timestamptz OPTIONS (field 'dateTime'), CHECK (price > 0))
	SERVER kafka OPTIONS (topic 'nexmark', root 'bid', filter 'event_type = 2', event_time 'at');
SELECT is(outcome('bids', message), expected, title) FROM (VALUES
	('a bid', '{"event_type":2,"person":null,"auction":null,"bid":{"auction":1,"price":100,"dateTime":"2024-05-01T12:00:00Z"}}',
	 '{"at": "2024-05-01T12:00:00+00:00", "price": 100, "auction": 1}'),
	('another kind of message', '{"event_type":0,"person":{"id":1},"auction":null,"bid":null}', 'filtered'),
	('columns of what is filtered do not matter', '{"event_type":1,"bid":{"auction":"x","price":-1,"dateTime":"never"}}', 'filtered'),
	('those of a bid do', '{"event_type":2,"bid":{"auction":1,"price":-1,"dateTime":"2024-05-01T12:00:00Z"}}',
	 '23514 new row for stream "bids" violates check constraint "bids_price_check"'),
	('a bid without its object', '{"event_type":2,"bid":null}', '22P02 message has no JSON object "bid"'),
	('the field may come last', '{"bid":{"auction":"x"},"event_type":3}', 'filtered'),
	('the last of equal names counts', '{"event_type":2,"bid":{"auction":"x"},"event_type":1}', 'filtered'),
	('a field below root is none at the top', '{"bid":{"event_type":2}}', 'filtered'),
	('what is not JSON is bad, before the field', '{"a":tru,"event_type":1}', '22P02 message is not valid JSON: a value is expected at byte 6'),
	('and after it', '{"event_type":1,"bid":null,"x":tru}', '22P02 message is not valid JSON: a value is expected at byte 32'),
	('also if it has no end', '{"event_type":1,"bid":{"x":[1,2}', '22P02 message is not valid JSON: it ends too early at byte 33'),
	('or another one', '{"event_type":1,"bid":[1,2}', '22P02 message is not valid JSON: a comma or a closing brace is expected at byte 28'),
	('but nobody looks into objects that follow', '{"event_type":1,"bid":{"x":tru,}}', 'filtered'),
	('unless the message is a bid', '{"event_type":2,"bid":{"x":tru,}}', '22P02 message is not valid JSON: a value is expected at byte 28'),
	('even if it became one later', '{"event_type":1,"bid":{"auction":1,"price":100,"dateTime":"2024-05-01T12:00:00Z"},"event_type":2}',
	 '{"at": "2024-05-01T12:00:00+00:00", "price": 100, "auction": 1}'),
	('and then is bad', '{"event_type":1,"bid":{"x":tru,},"event_type":2}', '22P02 message is not valid JSON: a value is expected at byte 28'),
	('so is what is no object', '[{"event_type":1}]', '22P02 message is not a JSON object'),
	('and what is empty', '', '22P02 message is empty')
) AS cases (title, message, expected);

-- The fields may be those of columns, and root itself
CREATE FOREIGN TABLE after (id int, op text) SERVER kafka OPTIONS (topic 'x', root 'payload.after', filter 'payload.after IS NOT NULL AND payload.after.id < 10');
SELECT is(outcome('after', message), expected, message) FROM (VALUES
	('{"payload":{"after":{"id":1}}}', '{"id": 1, "op": null}'),
	('{"payload":{"after":{"id":11}}}', 'filtered'),
	('{"payload":{"after":null}}', 'filtered'),
	('{"payload":{}}', 'filtered'),
	('{"payload":7}', 'filtered'),
	('{}', 'filtered')
) AS cases (message, expected);

-- Random expressions over random messages: what jsonb says of them
CREATE FUNCTION pick(VARIADIC choices text[]) RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT choices[1 + floor(random() * cardinality(choices))::int] $$;
CREATE FUNCTION number() RETURNS text LANGUAGE sql VOLATILE AS $$
	SELECT pick('0', '1', '2', '2.0', '0.2e1', '20E-1', '-0', '-0.0', '-1', '-2', '1.5', '0.15', '15e-1', '1e2', '100', '99.999', '0.001', '1e-3',
		'123456789012345678', '1234567890123456789', '12345678901234567890.1', '12345678901234567890.10', '-12345678901234567890',
		'1e30', '1000000000000000000000000000000', '0e99', (random() * 10)::int::text, round((random() * 4 - 2)::numeric, 1)::text) $$;
CREATE FUNCTION string() RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT pick('', 'a', 'A', 'b', 'ab', 'a"b', 'ä', '€', '😀', '2', 'true', E'a\nb', '\x') $$;
CREATE FUNCTION value() RETURNS text LANGUAGE sql VOLATILE AS
	$$ SELECT pick(number(), number(), number(), to_json(string())::text, to_json(string())::text, 'true', 'false', 'null', '"\u0061"', '{}', '[2]') $$;
CREATE FUNCTION object(names text[], depth int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	members text[] = '{}';
BEGIN
	FOR i IN 1 .. floor(random() * 6)::int LOOP
		members = members || (to_json(pick(VARIADIC names))::text || pick(':', ' : ')
			|| CASE WHEN depth > 0 AND random() < 0.5 THEN object(names, depth - 1) ELSE value() END);
	END LOOP;
	RETURN '{' || array_to_string(members, pick(',', ' , ')) || '}';
END $$;
-- a filter, and what it is in SQL over a jsonb m
CREATE TYPE pair AS (filter text, condition text);
CREATE FUNCTION comparison() RETURNS pair LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	path text[] = ARRAY[pick('a', 'b', 'C d', 'é"')] || CASE WHEN random() < 0.3 THEN ARRAY[pick('a', 'b')] ELSE '{}' END;
	field text = (SELECT string_agg(quote_ident(name), '.') FROM unnest(path) AS name);
	place text = format('m #> %L', path);
	kind text = pick('number', 'number', 'string', 'boolean');
	value text;
	op text = pick('=', '=', '<>', '!=', '<', '<=', '>', '>=');
	constants text[];
BEGIN
	constants = ARRAY(SELECT CASE kind WHEN 'number' THEN number() WHEN 'string' THEN quote_literal(string()) ELSE pick('true', 'false') END
		FROM generate_series(1, 1 + floor(random() * 3)::int));
	value = format('(CASE jsonb_typeof(%1$s) WHEN %2$L THEN (m #>> %3$L) %4$s END)', place, kind, path,
		CASE kind WHEN 'number' THEN '::numeric' WHEN 'string' THEN 'COLLATE "C"' ELSE '::boolean' END);
	RETURN CASE floor(random() * 6)::int
		WHEN 0 THEN (format('%s IS NULL', field), format('coalesce(jsonb_typeof(%s), %L) = %2$L', place, 'null'))::pair
		WHEN 1 THEN (format('%s IS NOT NULL', field), format('coalesce(jsonb_typeof(%s), %L) <> %2$L', place, 'null'))::pair
		WHEN 2 THEN (format('%s IN (%s)', field, array_to_string(constants, ', ')), format('%s IN (%s)', value, array_to_string(constants, ', ')))::pair
		WHEN 3 THEN (format('%s NOT IN (%s)', field, array_to_string(constants, ', ')), format('%s NOT IN (%s)', value, array_to_string(constants, ', ')))::pair
		WHEN 4 THEN (format('%s BETWEEN %s AND %s', field, constants[1], constants[cardinality(constants)]),
			format('%s BETWEEN %s AND %s', value, constants[1], constants[cardinality(constants)]))::pair
		ELSE CASE WHEN random() < 0.2 THEN (format('%s %s %s', constants[1], op, field), format('%s %s %s', constants[1], op, value))::pair
			ELSE (format('%s %s %s', field, op, constants[1]), format('%s %s %s', value, op, constants[1]))::pair END END;
END $$;
CREATE FUNCTION expression(depth int) RETURNS pair LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	l pair;
	r pair;
	op text = pick('AND', 'OR', 'NOT');
BEGIN
	IF depth = 0 OR random() < 0.2 THEN
		RETURN comparison();
	END IF;
	l = expression(depth - 1);
	r = expression(depth - 1);
	RETURN CASE op WHEN 'NOT' THEN (format('NOT (%s)', l.filter), format('NOT (%s)', l.condition))::pair
		ELSE (format('(%s) %s (%s)', l.filter, op, r.filter), format('(%s) %s (%s)', l.condition, op, r.condition))::pair END;
END $$;
CREATE FOREIGN TABLE tried () SERVER kafka OPTIONS (topic 'x', filter 'a = 1');
CREATE TABLE verdicts (filter text, message text, passes boolean, expected boolean);
CREATE FUNCTION try_filters(n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	p pair;
BEGIN
	FOR i IN 1 .. n LOOP
		p = expression(2);
		EXECUTE format('ALTER FOREIGN TABLE tried OPTIONS (SET filter %L)', p.filter);
		EXECUTE format($q$ WITH given AS MATERIALIZED (SELECT object('{a,b,C d,"é\"",x}', 2) AS message FROM generate_series(1, 40))
			INSERT INTO verdicts SELECT $1, message, streamx.decode('tried', convert_to(message, 'UTF8')) IS NOT NULL, coalesce(%s, false)
			FROM (SELECT message, message::jsonb AS m FROM given OFFSET 0) AS g $q$, p.condition) USING p.filter;
	END LOOP;
END $$;
SELECT setseed(0.5);
SELECT try_filters(100);
SELECT results_eq($$SELECT filter, message, passes, expected FROM verdicts WHERE passes <> expected ORDER BY length(filter), length(message) LIMIT 3$$,
	$$SELECT ''::text, ''::text, true, true WHERE false$$, 'a filter says what the same condition says of jsonb');
SELECT ok(min(n) > 500, 'both verdicts were tried often enough') FROM (SELECT count(*) AS n FROM verdicts GROUP BY passes) AS counts;

-- Numbers of any size are compared as they are written
CREATE FUNCTION passes(filter text, message text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('ALTER FOREIGN TABLE tried OPTIONS (SET filter %L)', filter);
	RETURN streamx.decode('tried', convert_to(message, 'UTF8')) IS NOT NULL;
END $$;
SELECT ok(passes(filter, message), left(filter, 20) || ' passes ' || left(message, 30)) FROM (VALUES
	('a > 1e100', '{"a":1e99999999999999999999}'),
	('a > 0', '{"a":1e-99999999999999999999}'),
	('a < 0.000001', '{"a":1e-99999999999999999999}'),
	('a < -1e100', '{"a":-1E+99999999999999999999}'),
	('a = 0', '{"a":-0e99999999999999999999}'),
	('a = 5.', '{"a":0.5E+1}'),
	('a = .5', '{"a":50e-2}'),
	('a < 2147483648', '{"a":2147483647.9}'),
	('a = 1' || repeat('0', 400), '{"a":1e400}'),
	('a > 1' || repeat('0', 400), '{"a":1' || repeat('0', 400) || '.' || repeat('0', 400) || '1}')
) AS cases (filter, message);
SELECT ok(NOT passes(filter, message), filter || ' does not pass ' || message) FROM (VALUES
	('a <> 2', '{"a":"2"}'),
	('a = ''2''', '{"a":2}'),
	('a = true', '{"a":"true"}'),
	('NOT a = 2', '{}'),
	('a = ''x''', '{"a":"\u0000"}'),
	('a IS NULL', '{"a":"\u0000"}')
) AS cases (filter, message);

-- The session that reads makes no difference
SET standard_conforming_strings = off;
SELECT ok(passes($$a = 'C:\\n'$$, $${"a":"C:\\\\n"}$$), 'backslashes are backslashes');
SET standard_conforming_strings = on;

-- What is not supported says so, and where
\set VERBOSITY default
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter '');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'event_type == 2');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = 1; b = 2');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'ä = 1 AND +');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = 1, b = 2');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = 1 FROM t');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = 1 AS b');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'eventType = 2');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = 1 AND b."c".eventType = 2');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a2345678901234567890123456789012345678901234567890123456789012345 = 2');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'active');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'true');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = b');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = NULL');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = date ''2024-01-01''');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = ''1''::int');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = 1 OR b = 1 + 1');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a LIKE ''x%''');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a % 2 = 0');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'lower(a) = ''x''');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a IN (SELECT 1)');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a.* IS NULL');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a[1] = 2');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', filter 'a = 1e200000');
CREATE FOREIGN TABLE wrong (a int) SERVER streamx OPTIONS (filter 'a = 1');
\set VERBOSITY terse
DO $$ BEGIN EXECUTE format('CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic ''x'', filter %L)', repeat('NOT (', 70) || 'a = 1' || repeat(')', 70)); END $$;
DO $$ BEGIN EXECUTE format('CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic ''x'', filter %L)', 'a' || repeat('.a', 64) || ' = 1'); END $$;
\set VERBOSITY default

-- Views hold what they read by the filter that was
CREATE VIEW bid_count WITH (streamx.continuous) AS SELECT count(*) FROM bids;
ALTER FOREIGN TABLE bids OPTIONS (SET filter 'event_type = 1');
ALTER FOREIGN TABLE bids OPTIONS (DROP filter);
ALTER FOREIGN TABLE bids OPTIONS (SET root 'auction');
ALTER FOREIGN TABLE bids OPTIONS (SET filter 'event_type = 2', ADD on_error 'skip');
DROP VIEW bid_count;
ALTER FOREIGN TABLE bids OPTIONS (SET filter 'event_type = 1', SET root 'auction');
SELECT is(outcome('bids', '{"event_type":1,"auction":{"price":1,"dateTime":"2024-05-01T12:00:00Z"}}'),
	'{"at": "2024-05-01T12:00:00+00:00", "price": 1, "auction": null}', 'without views both can be changed');
EXPLAIN (COSTS OFF) SELECT price FROM bids;
SELECT * FROM finish();
DROP SERVER kafka CASCADE;
DROP SCHEMA filter CASCADE;
