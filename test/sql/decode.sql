-- Decoding: what a message becomes as a row of a stream, and why it does not
SET client_min_messages = warning;
SET timezone = 'UTC';
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SELECT no_plan();
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:9092');
-- a row as jsonb without any nulls, or SQLSTATE, error and where
CREATE FUNCTION outcome(stream regclass, message bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	context text;
BEGIN
	RETURN jsonb_strip_nulls(streamx.decode(stream, message));
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
	RETURN format('%s %s (%s)', SQLSTATE, SQLERRM, split_part(context, E'\n', 1));
END $$;
CREATE FUNCTION outcome(stream regclass, message text) RETURNS text LANGUAGE sql AS $$
	SELECT outcome(stream, convert_to(message, 'UTF8'));
$$;

-- An order has its fields in any sequence and spelling that JSON allows
CREATE FOREIGN TABLE orders (
	id text, category text, amount numeric(10,2), at timestamptz, quantity int, gift bool,
	customer text OPTIONS (field 'customer.name'), city text OPTIONS (field 'customer.address.city'),
	address jsonb OPTIONS (field 'customer.address')
) SERVER kafka OPTIONS (topic 'orders');
SELECT is(outcome('orders', message), expected, title) FROM (VALUES
	('fields by name', '{"id":"o1","category":"tea","amount":12.5,"at":"2024-05-01T10:00:01.5Z","quantity":3,"gift":true}',
	 '{"at": "2024-05-01T10:00:01.5+00:00", "id": "o1", "gift": true, "amount": 12.50, "category": "tea", "quantity": 3}'),
	('another sequence, unknown fields and white space', E' { "gift" : false ,\n"x" : [ 1 , {"id":"no"} ] ,\t"quantity" : -3 , "id" : "o2" } \r\n',
	 '{"id": "o2", "gift": false, "quantity": -3}'),
	('a missing field is NULL', '{}', '{}'),
	('so is a JSON null', '{"id":null,"customer":null}', '{}'),
	('the last of equal names counts', '{"id":"a","quantity":1,"id":"b","quantity":null}', '{"id": "b"}'),
	('also when it is less', '{"customer":{"name":"Ann","address":{"city":"Rome"}},"customer":{"address":{"zip":1}}}',
	 '{"address": {"zip": 1}}'),
	('names are matched exactly', '{"ID":"a","Id":"b","id ":"c","i":"d"}', '{}'),
	('after escapes', '{"\u0069\u0064":"a\n\"\\\/\u00e9\ud83d\ude00"}', '{"id": "a\n\"\\/é😀"}'),
	('a path leads into objects', '{"customer":{"name":"Ann","address":{"city":"Rome","zip":"1"}}}',
	 '{"city": "Rome", "address": {"zip": "1", "city": "Rome"}, "customer": "Ann"}'),
	('and ends where there is none', '{"customer":"Ann"}', '{}'),
	('a name with dots is not a path', '{"customer.name":"Ann"}', '{}'),
	('numbers as strings', '{"amount":"12.5","quantity":"7"}', '{"amount": 12.50, "quantity": 7}'),
	('text takes any value as JSON spells it', '{"id":1.50,"category":{"a": [1, 2]}}', '{"id": "1.50", "category": "{\"a\": [1, 2]}"}'),
	('booleans too', '{"id":true,"category":false,"gift":"yes"}', '{"id": "true", "gift": true, "category": "false"}'),
	('numerics are rounded to their scale', '{"amount":1.005}', '{"amount": 1.01}')
) AS cases (title, message, expected);

-- What is wrong with one column names the column
SELECT is(outcome('orders', message), expected, title) FROM (VALUES
	('no number', '{"amount":"12,50"}', '22P02 invalid input syntax for type numeric: "12,50" (column "amount" of stream "orders")'),
	('too large for its type', '{"quantity":2147483648}', '22003 value "2147483648" is out of range for type integer (column "quantity" of stream "orders")'),
	('too large for its precision', '{"amount":123456789}', '22003 numeric field overflow: A field with precision 10, scale 2 must round to an absolute value less than 10^8 (column "amount" of stream "orders")'),
	('an exponent is no integer', '{"quantity":1e3}', '22P02 invalid input syntax for type integer: "1e3" (column "quantity" of stream "orders")'),
	('an object is no number', '{"amount":{}}', '22P02 invalid input syntax for type numeric: "{}" (column "amount" of stream "orders")'),
	('no day', '{"at":"2023-02-29T00:00:00Z"}', '22008 date/time field value out of range: "2023-02-29T00:00:00Z" (column "at" of stream "orders")'),
	('a number is no timestamp', '{"at":1714557600}', '22007 number 1714557600 is not a timestamp with time zone: A number is one only with the stream''s option timestamp_format ''epoch_s'' or ''epoch_ms'' (column "at" of stream "orders")'),
	('the clock is no timestamp', '{"at":"now"}', '22007 invalid input for type timestamp with time zone: "now": It depends on the time at which it is read (column "at" of stream "orders")'),
	('nor is the calendar', '{"at":"10:00 Yesterday"}', '22007 invalid input for type timestamp with time zone: "10:00 Yesterday": It depends on the time at which it is read (column "at" of stream "orders")'),
	('a NUL is no text', '{"id":"a\u0000b"}', '22P05 \u0000 cannot be converted to text (column "id" of stream "orders")'),
	('half a surrogate is no text', '{"id":"\ud83d"}', '22P05 Unicode surrogate without its other half in a string (column "id" of stream "orders")'),
	('where nobody looks they are harmless', '{"x":"a\u0000b","y\u0000":"\udead","id":"a"}', '{"id": "a"}')
) AS cases (title, message, expected);

-- What is not JSON is refused whole, wherever it is wrong
SELECT is(outcome('orders', message), expected || ' (message of stream "orders")', title) FROM (VALUES
	('not JSON', 'hello', '22P02 message is not valid JSON: a value is expected'),
	('empty', '', '22P02 message is empty'),
	('blank', '  ', '22P02 message is not valid JSON: it is empty'),
	('cut off', '{"id":"a","x":', '22P02 message is not valid JSON: it ends too early at byte 15'),
	('cut off in a string', '{"id":"a', '22P02 message is not valid JSON: a string has no end'),
	('not closed', '{"id":"a"', '22P02 message is not valid JSON: a comma or a closing brace is expected at byte 10'),
	('something behind it', '{"id":"a"} {"id":"b"}', '22P02 message is not valid JSON: something follows its end at byte 12'),
	('an array', '[{"id":"a"}]', '22P02 message is not a JSON object'),
	('a number', '12', '22P02 message is not a JSON object'),
	('no colon', '{"id" "a"}', '22P02 message is not valid JSON: a colon is expected at byte 7'),
	('a comma too many', '{"id":"a",}', '22P02 message is not valid JSON: the name of a field is expected at byte 11'),
	('a comma too many in an unknown field', '{"id":"a","x":[1,]}', '22P02 message is not valid JSON: a value is expected at byte 18'),
	('the wrong bracket', '{"id":"a","x":[1}}', '22P02 message is not valid JSON: a comma or a closing bracket is expected at byte 17'),
	('a bad number in an unknown field', '{"id":"a","x":01}', '22P02 message is not valid JSON: invalid number at byte 15'),
	('a bad word in an unknown field', '{"id":"a","x":[{"y":nul}]}', '22P02 message is not valid JSON: a value is expected at byte 21'),
	('a bad escape in an unknown field', '{"id":"a","x":"\q"}', '22P02 message is not valid JSON: a string has an invalid escape at byte 15'),
	('a bad escape in a name', '{"id":"a","\u00g0":1}', '22P02 message is not valid JSON: a string has an invalid escape at byte 11'),
	('a line break in a string', E'{"id":"a","x":"\n"}', '22P02 message is not valid JSON: a string contains a control character that is not escaped'),
	('single quotes', '{''id'':1}', '22P02 message is not valid JSON: the name of a field is expected at byte 2'),
	('not a number', '{"amount":NaN}', '22P02 message is not valid JSON: a value is expected at byte 11')
) AS cases (title, message, expected);
SELECT is(outcome('orders', message), expected || ' (message of stream "orders")', title) FROM (VALUES
	('no payload', NULL::bytea, '22004 message has no payload'),
	('a NUL byte', '\x7b7d00', '22P02 message is not valid JSON: something follows its end at byte 3'),
	('a NUL byte in a string', '\x7b226964223a220061227d', '22P02 message is not valid JSON: a string contains a control character that is not escaped'),
	('not UTF-8', '\x7b226964223a22ff227d', '22021 message is not valid JSON: it is not valid UTF-8'),
	('not UTF-8 in an unknown field', '\x7b2278223a22c080227d', '22021 message is not valid JSON: it is not valid UTF-8'),
	('a surrogate in UTF-8', '\x7b2278223a22eda080227d', '22021 message is not valid JSON: it is not valid UTF-8'),
	('deep nesting', convert_to('{"x":' || repeat('[', 5000) || repeat(']', 5000) || '}', 'UTF8'), '54000 message exceeds a limit: it is nested too deeply at byte 1029'),
	('deep nesting never closed', convert_to(repeat('{"x":', 100000), 'UTF8'), '54000 message exceeds a limit: it is nested too deeply at byte 5121')
) AS cases (title, message, expected);
SELECT is(outcome('orders', '{"x":' || repeat('[', 1023) || repeat(']', 1023) || ',"id":"a"}'), '{"id": "a"}', 'nesting that is deep enough');
SELECT is(length(streamx.decode('orders', convert_to('{"x":"' || repeat('é', 3000000) || '","id":"' || repeat('\u00e9', 1000000) || '"}', 'UTF8')) ->> 'id'),
	1000000, 'a large message');
SELECT is(outcome('orders', '{"quantity":' || repeat('9', 3000) || '}'),
	'22003 value "' || repeat('9', 993) || ' (column "quantity" of stream "orders")', 'a long error is cut');

-- Every name is found again, however many there are and in whatever sequence
CREATE FOREIGN TABLE mixed (a int, b int, c int, "x""y" int, "é" int, "with.dot" int, deep int OPTIONS (field 'o.a\.b.c')) SERVER kafka OPTIONS (topic 'mixed');
SELECT is(outcome('mixed', '{"b":2,"with.dot":6,"c":3,"with":{"dot":7},"x\"y":4,"\u00e9":5,"a":1,"o":{"a":{"b":{"c":8}},"a.b":{"c":7}}}'),
	'{"a": 1, "b": 2, "c": 3, "é": 5, "x\"y": 4, "deep": 7, "with.dot": 6}', 'odd names');
SELECT is(outcome('mixed', '{' || (SELECT string_agg(format('"n%s":%s', n, n), ',') FROM generate_series(1, 300) n) || ',"a":1,' ||
	(SELECT string_agg(format('"n%s":"%s"', n, repeat('x', n)), ',') FROM generate_series(1, 300) n) || ',"b":2}'),
	'{"a": 1, "b": 2}', 'hundreds of names');

-- The fields may be in an object of the message
CREATE FOREIGN TABLE bids (price bigint, bidder int OPTIONS (field 'who.id')) SERVER kafka OPTIONS (topic 'nexmark', root 'event.bid');
SELECT is(outcome('bids', message), expected, title) FROM (VALUES
	('root', '{"event":{"kind":2,"bid":{"price":100,"who":{"id":7}}},"price":1}', '{"price": 100, "bidder": 7}'),
	('root is null', '{"event":{"bid":null}}', '22P02 message has no JSON object "event.bid" (message of stream "bids")'),
	('root is missing', '{"price":1}', '22P02 message has no JSON object "event.bid" (message of stream "bids")'),
	('the last root counts', '{"event":{"bid":{"price":1,"who":{"id":7}}},"event":{"bid":{"price":2}}}', '{"price": 2}')
) AS cases (title, message, expected);

-- Types
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN known AS text NOT NULL;
CREATE DOMAIN tags AS text[] CHECK (cardinality(value) < 3);
CREATE FOREIGN TABLE kinds (
	i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, n numeric, b bool, t text, v varchar(3), c char(3),
	ts timestamp, tz timestamptz, tz0 timestamptz(0), d date, tm time, iv interval, u uuid, j json, jb jsonb, by bytea,
	m mood, pos positive, p pair, ip inet, r tstzrange,
	ia int[], ta text[], ja jsonb[], tza timestamptz[], ma mood[], pa positive[], va varchar(3)[], tg tags
) SERVER kafka OPTIONS (topic 'kinds');
SELECT is(outcome('kinds', message), expected, title) FROM (VALUES
	('integers at their limits', '{"i2":-32768,"i4":-2147483648,"i8":9223372036854775807}', '{"i2": -32768, "i4": -2147483648, "i8": 9223372036854775807}'),
	('and behind them', '{"i8":9223372036854775808}', '22003 value "9223372036854775808" is out of range for type bigint (column "i8" of stream "kinds")'),
	('floats', '{"f4":1.5,"f8":-1.25e-3}', '{"f4": 1.5, "f8": -0.00125}'),
	('floats need not be finite', '{"f4":"Infinity","f8":"NaN"}', '{"f4": "Infinity", "f8": "NaN"}'),
	('but not too large', '{"f8":1e400}', '22003 "1e400" is out of range for type double precision (column "f8" of stream "kinds")'),
	('numerics keep their digits', '{"n":1234567890123456789012345678901234567890.000}', '{"n": 1234567890123456789012345678901234567890.000}'),
	('short texts', '{"v":"äöü","c":"a"}', '{"c": "a  ", "v": "äöü"}'),
	('a text too long', '{"v":"abcd"}', '22001 value too long for type character varying(3) (column "v" of stream "kinds")'),
	('blanks behind it are cut as ever', '{"v":"abc  "}', '{"v": "abc"}'),
	('dates and times', '{"ts":"2024-05-01T10:00:00+05:00","tz":"2024-05-01 10:00:00.123456+05:30","tz0":"2024-05-01T10:00:00.5Z","d":"2024-05-01","tm":"10:11","iv":"1 day 02:03"}',
	 '{"d": "2024-05-01", "iv": "1 day 02:03:00", "tm": "10:11:00", "ts": "2024-05-01T10:00:00", "tz": "2024-05-01T04:30:00.123456+00:00", "tz0": "2024-05-01T10:00:01+00:00"}'),
	('dates in other forms', '{"tz":"1 May 2024 10:00 CEST","d":"20240501"}', '{"d": "2024-05-01", "tz": "2024-05-01T08:00:00+00:00"}'),
	('a number is no date', '{"d":20240501}', '22007 number 20240501 is not a date: A number is one only with the stream''s option timestamp_format ''epoch_s'' or ''epoch_ms'' (column "d" of stream "kinds")'),
	('uuid in two forms', '{"u":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}', '{"u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}'),
	('and in another', '{"u":"{a0eebc999c0b4ef8bb6d6bb9bd380a11}"}', '{"u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}'),
	('json of every kind', '{"j":"text","jb":[1,"a",{"b":null}]}', '{"j": "text", "jb": [1, "a", {}]}'),
	('jsonb has no NULs', '{"jb":["\u0000"]}', '22P05 unsupported Unicode escape sequence: \u0000 cannot be converted to text (column "jb" of stream "kinds")'),
	('bytea', '{"by":"\\x0001ff"}', '{"by": "\\x0001ff"}'),
	('enum', '{"m":"sad","ip":"10.0.0.1/8"}', '{"m": "sad", "ip": "10.0.0.1/8"}'),
	('not in the enum', '{"m":"angry"}', '22P02 invalid input value for enum public.mood: "angry" (column "m" of stream "kinds")'),
	('domain', '{"pos":5}', '{"pos": 5}'),
	('not in the domain', '{"pos":0}', '23514 value for domain public.positive violates check constraint "positive_check" (column "pos" of stream "kinds")'),
	('not in its base type', '{"pos":"x"}', '22P02 invalid input syntax for type integer: "x" (column "pos" of stream "kinds")'),
	('composite as text', '{"p":"(1,2)"}', '{"p": {"x": 1, "y": 2}}'),
	('ranges as text', '{"r":"[2024-05-01,2024-05-02)"}', '{"r": "[\"2024-05-01 00:00:00+00\",\"2024-05-02 00:00:00+00\")"}'),
	('but not up to now', '{"r":"[2024-05-01,now)"}', '22007 invalid input for type tstzrange: "[2024-05-01,now)": It depends on the time at which it is read (column "r" of stream "kinds")'),
	('arrays', '{"ia":[1,null,3],"ta":["a","b,\"","NULL",4,true,{"x":1}],"ma":["sad"]}', '{"ia": [1, null, 3], "ma": ["sad"], "ta": ["a", "b,\"", "NULL", "4", "true", "{\"x\":1}"]}'),
	('empty arrays', '{"ia":[],"ta":[[],[]]}', '{"ia": [], "ta": []}'),
	('arrays of arrays', '{"ia":[[1,2],[3,4]],"ta":[[["a"]],[["b"]]]}', '{"ia": [[1, 2], [3, 4]], "ta": [[["a"]], [["b"]]]}'),
	('that are not rectangular', '{"ia":[[1,2],[3]]}', '2202E malformed JSON array: Multidimensional arrays must have sub-arrays with matching dimensions (column "ia" of stream "kinds")'),
	('or have too many dimensions', '{"ia":[[[[[[[1]]]]]]]}', '54000 JSON array is too large for type integer[] (column "ia" of stream "kinds")'),
	('arrays of jsonb keep theirs', '{"ja":[[1,2],{"a":[3]},"x",null]}', '{"ja": [[1, 2], {"a": [3]}, "x", null]}'),
	('elements have the column''s rules', '{"tza":["2024-05-01T10:00:00Z","2024-05-01"],"pa":[1,2],"va":["abc"]}',
	 '{"pa": [1, 2], "va": ["abc"], "tza": ["2024-05-01T10:00:00+00:00", "2024-05-01T00:00:00+00:00"]}'),
	('and its refusals', '{"tza":[1714557600]}', '22007 number 1714557600 is not a timestamp with time zone: A number is one only with the stream''s option timestamp_format ''epoch_s'' or ''epoch_ms'' (column "tza" of stream "kinds")'),
	('its domain', '{"pa":[1,-2]}', '23514 value for domain public.positive violates check constraint "positive_check" (column "pa" of stream "kinds")'),
	('its length', '{"va":["abcd"]}', '22001 value too long for type character varying(3) (column "va" of stream "kinds")'),
	('a domain over an array', '{"tg":["a","b"]}', '{"tg": ["a", "b"]}'),
	('and its constraint', '{"tg":["a","b","c"]}', '23514 value for domain public.tags violates check constraint "tags_check" (column "tg" of stream "kinds")'),
	('arrays as text', '{"ia":"{1,2}"}', '{"ia": [1, 2]}'),
	('a value is no array', '{"ia":1}', '22P02 malformed array literal: "1": Array value must start with "{" or dimension information (column "ia" of stream "kinds")')
) AS cases (title, message, expected);

-- Texts without a zone are read in the stream's time zone, numbers as timestamp_format says
CREATE FOREIGN TABLE berlin (tz timestamptz, ts timestamp, d date) SERVER kafka OPTIONS (topic 'berlin', timezone 'Europe/Berlin');
CREATE FOREIGN TABLE seconds (tz timestamptz, tz0 timestamptz(0), ts timestamp, d date, tza timestamptz[], tm time)
	SERVER kafka OPTIONS (topic 'seconds', timezone 'Europe/Berlin', timestamp_format 'epoch_s');
CREATE FOREIGN TABLE milliseconds (tz timestamptz, ts timestamp) SERVER kafka OPTIONS (topic 'milliseconds', timestamp_format 'epoch_ms');
CREATE VIEW zones AS SELECT is(outcome(stream, message), expected, title) AS test FROM (VALUES
	('summer', 'berlin', '{"tz":"2024-07-01T12:00:00","ts":"2024-07-01T12:00:00"}', '{"ts": "2024-07-01T12:00:00", "tz": "2024-07-01T10:00:00+00:00"}'),
	('winter', 'berlin', '{"tz":"2024-01-01 12:00"}', '{"tz": "2024-01-01T11:00:00+00:00"}'),
	('the hour that is not', 'berlin', '{"tz":"2024-03-31T02:30:00"}', '{"tz": "2024-03-31T01:30:00+00:00"}'),
	('the hour that is twice', 'berlin', '{"tz":"2024-10-27T02:30:00"}', '{"tz": "2024-10-27T01:30:00+00:00"}'),
	('day and month', 'berlin', '{"tz":"05/06/2024 12:00","d":"05/06/2024"}', '{"d": "2024-05-06", "tz": "2024-05-06T10:00:00+00:00"}'),
	('seconds', 'seconds', '{"tz":1714557600,"ts":1714557600,"d":1714514400,"tz0":1714557600.6}',
	 '{"d": "2024-05-01", "ts": "2024-05-01T12:00:00", "tz": "2024-05-01T10:00:00+00:00", "tz0": "2024-05-01T10:00:01+00:00"}'),
	('parts of seconds', 'seconds', '{"tz":1714557600.123456,"tza":[1,1.5]}', '{"tz": "2024-05-01T10:00:00.123456+00:00", "tza": ["1970-01-01T00:00:01+00:00", "1970-01-01T00:00:01.5+00:00"]}'),
	('rounded', 'seconds', '{"tz":1714557600.1234567}', '{"tz": "2024-05-01T10:00:00.123457+00:00"}'),
	('with an exponent', 'seconds', '{"tz":1.7145576e9}', '{"tz": "2024-05-01T10:00:00+00:00"}'),
	('before 1970', 'seconds', '{"tz":-0.5}', '{"tz": "1969-12-31T23:59:59.5+00:00"}'),
	('as strings', 'seconds', '{"tz":"1714557600"}', '{"tz": "2024-05-01T10:00:00+00:00"}'),
	('texts are still texts', 'seconds', '{"tz":"2024-05-01T12:00:00"}', '{"tz": "2024-05-01T10:00:00+00:00"}'),
	('too many', 'seconds', '{"tz":1e15}', '22008 timestamp out of range: "1e15" (column "tz" of stream "seconds")'),
	('far too many', 'seconds', '{"tz":1e100000}', '22008 timestamp out of range: "1e100000" (column "tz" of stream "seconds")'),
	('as long ago', 'seconds', '{"tz":-9223371331199}', '22008 timestamp out of range: "-9223371331199" (column "tz" of stream "seconds")'),
	('before any calendar', 'seconds', '{"tz":-210866803201}', '22008 timestamp out of range: "-210866803201" (column "tz" of stream "seconds")'),
	('when it begins', 'seconds', '{"tz":-210866803200}', '{"tz": "4714-11-24T00:00:00+00:00 BC"}'),
	('a number is still no time', 'seconds', '{"tm":120000}', '22007 number 120000 is not a time without time zone: A number is one only with the stream''s option timestamp_format ''epoch_s'' or ''epoch_ms'' (column "tm" of stream "seconds")'),
	('milliseconds', 'milliseconds', '{"tz":1714557600123,"ts":1714557600123.5}', '{"ts": "2024-05-01T10:00:00.1235", "tz": "2024-05-01T10:00:00.123+00:00"}')
) AS cases (title, stream, message, expected);
SELECT * FROM zones;
-- whatever the session says
SET DateStyle = 'German, DMY';
SET IntervalStyle = 'sql_standard';
SELECT * FROM zones;
SET timezone = 'Asia/Tokyo';
SELECT is((streamx.decode('berlin', '{"tz":"01.02.2024 12:00"}') ->> 'tz')::timestamptz, '2024-01-02 20:00+09', 'day and month by the stream''s rules');
SELECT is((streamx.decode('berlin', '{"tz":"2024-07-01 12:00"}') ->> 'tz')::timestamptz, '2024-07-01 19:00+09', 'and the stream''s time zone');
SET timezone_abbreviations = 'Australia';
SELECT is((streamx.decode('berlin', '{"tz":"2024-07-01 12:00 EST"}') ->> 'tz')::timestamptz, '2024-07-02 02:00+09', 'abbreviations are not the session''s');
RESET timezone_abbreviations;
CREATE FOREIGN TABLE lists (l text[]) SERVER kafka OPTIONS (topic 'lists');
SET array_nulls = off;
SELECT is(streamx.decode('lists', '{"l":"{a,NULL}"}'), '{"l": ["a", null]}', 'nor is what NULL means in an array');
RESET array_nulls;
DROP FOREIGN TABLE lists;
SELECT is(current_setting('DateStyle') || ', ' || current_setting('IntervalStyle') || ', ' || current_setting('TimeZone'),
	'German, DMY, sql_standard, Asia/Tokyo', 'settings are as before');
SET DateStyle = 'ISO, MDY';
SET IntervalStyle = 'postgres';
SET timezone = 'UTC';

-- The quick ways give what the input functions give
SET max_parallel_workers_per_gather = 0; -- array_agg in the order of the table
SELECT setseed(0.5);
CREATE FOREIGN TABLE quick (n numeric[], n2 numeric(14,2)[], f float8[], i bigint[], tz timestamptz[], tz3 timestamptz(3)[], ts timestamp[], d date[], u uuid[])
	SERVER kafka OPTIONS (topic 'quick', timezone 'America/New_York');
CREATE TABLE spelled AS SELECT
	sign || whole || coalesce('.' || nullif(rpad(part::text, digits, zero), ''), '') AS number,
	sign || whole AS integer,
	day AS day,
	CASE WHEN separator = '' THEN day ELSE day || separator || clock || zone END AS stamp,
	CASE WHEN digits % 2 = 0 THEN upper(md5(part::text)::uuid::text) ELSE md5(part::text)::uuid::text END AS id
FROM (SELECT
	(ARRAY['', '-'])[1 + (random() < 0.3)::int] AS sign,
	CASE (random() * 4)::int WHEN 0 THEN 0 WHEN 1 THEN (random() * 10)::int WHEN 2 THEN (random() * 1e6)::int ELSE (random() * 1e12)::bigint END AS whole,
	CASE (random() * 4)::int WHEN 0 THEN NULL WHEN 1 THEN (random() * 9)::bigint WHEN 2 THEN (random() * 99)::bigint ELSE (random() * 1e8)::bigint END AS part,
	(random() * 18)::int AS digits,
	(ARRAY['0', '7'])[1 + (random() < 0.5)::int] AS zero,
	to_char('0001-01-01'::timestamp + random() * interval '9998 years', 'YYYY-MM-DD') AS day,
	(ARRAY['T', ' ', ''])[1 + (random() * 2)::int] AS separator,
	(ARRAY['10:00', '23:59:59', '00:00:00', '12:34:56.7', '12:34:56.789', '01:02:03.000001', '05:06:07.1234567', '24:00:00', '10:00:60'])[1 + (random() * 8)::int] AS clock,
	(ARRAY['', 'Z', '+02', '-0530', '+05:45', '-15:59', '+00:00', 'z', ' Z', '+02:30:15'])[1 + (random() * 9)::int] AS zone
	FROM generate_series(1, 100000)) AS parts;
CREATE TABLE decoded AS SELECT streamx.decode('quick', convert_to(json_build_object(
	'n', json_agg(number), 'n2', json_agg(number::json), 'f', json_agg(number), 'i', json_agg(integer),
	'tz', json_agg(stamp), 'tz3', json_agg(stamp), 'ts', json_agg(stamp), 'd', json_agg(day), 'u', json_agg(id))::text, 'UTF8')) AS row
FROM spelled;
SET timezone = 'America/New_York';
CREATE TABLE cast_by_server AS SELECT
	to_jsonb(array_agg(number::numeric)) AS n, to_jsonb(array_agg(number::numeric(14,2))) AS n2, to_jsonb(array_agg(number::float8)) AS f,
	to_jsonb(array_agg(integer::bigint)) AS i, array_agg(stamp::timestamptz) AS tz, array_agg(stamp::timestamptz(3)) AS tz3,
	to_jsonb(array_agg(stamp::timestamp)) AS ts, to_jsonb(array_agg(day::date)) AS d, to_jsonb(array_agg(id::uuid)) AS u
FROM spelled;
SET timezone = 'UTC';
SELECT is(row ->> 'n' = n::text, true, '100,000 numerics, with their scales'),
	is(row ->> 'n2' = n2::text, true, 'numerics of a fixed scale'),
	is(row -> 'f' = f, true, 'floats'),
	is(row -> 'i' = i, true, 'integers'),
	is(row -> 'tz' = to_jsonb(tz), true, 'timestamps with time zone'),
	is(row -> 'tz3' = to_jsonb(tz3), true, 'timestamps to the millisecond'),
	is(row -> 'ts' = ts, true, 'timestamps without time zone'),
	is(row -> 'd' = d, true, 'dates'),
	is(row -> 'u' = u, true, 'uuids')
FROM decoded, cast_by_server;

-- What the stream demands: NOT NULL, CHECK, domains, a good event time
CREATE FUNCTION is_round(n int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 100 / n = 100.0 / n; END $$;
CREATE FOREIGN TABLE strict (id int NOT NULL, quantity int CHECK (quantity > 0), lot int CHECK (is_round(lot)), name known, note text)
	SERVER kafka OPTIONS (topic 'strict');
SELECT is(outcome('strict', message), expected, title) FROM (VALUES
	('all is well', '{"id":1,"quantity":2,"lot":50,"name":"x"}', '{"id": 1, "lot": 50, "name": "x", "quantity": 2}'),
	('an unknown CHECK passes', '{"id":1,"name":"x"}', '{"id": 1, "name": "x"}'),
	('NOT NULL', '{"quantity":2,"name":"x"}', '23502 null value in column "id" of stream "strict" violates not-null constraint (column "id" of stream "strict")'),
	('NOT NULL by domain', '{"id":1}', '23502 domain public.known does not allow null values (column "name" of stream "strict")'),
	('CHECK', '{"id":1,"quantity":-2,"name":"x"}', '23514 new row for stream "strict" violates check constraint "strict_quantity_check" (message of stream "strict")'),
	('CHECK with a function', '{"id":1,"lot":30,"name":"x"}', '23514 new row for stream "strict" violates check constraint "strict_lot_check" (message of stream "strict")'),
	('that fails', '{"id":1,"lot":0,"name":"x"}', '22012 division by zero (message of stream "strict")')
) AS cases (title, message, expected);
CREATE FOREIGN TABLE timed (at timestamptz, n int) SERVER kafka OPTIONS (topic 'timed', event_time 'at', max_future '2 hours');
CREATE FOREIGN TABLE timed_local (at timestamp) SERVER kafka OPTIONS (topic 'timed', event_time 'at', timezone 'Asia/Tokyo');
CREATE FOREIGN TABLE timed_by_day (at date) SERVER kafka OPTIONS (topic 'timed', event_time 'at');
CREATE FOREIGN TABLE timed_by_kafka (n int, at timestamptz OPTIONS (metadata 'timestamp'), place int OPTIONS (metadata 'partition'))
	SERVER kafka OPTIONS (topic 'timed', event_time 'at');
SELECT is(outcome(stream, message), expected, title) FROM (VALUES
	('an event time', 'timed', '{"at":"2024-05-01T10:00:00Z","n":1}', '{"n": 1, "at": "2024-05-01T10:00:00+00:00"}'),
	('none', 'timed', '{"n":1}', '22004 event time is null (column "at" of stream "timed")'),
	('an infinite one', 'timed', '{"at":"infinity"}', '22008 event time is infinite or out of range (column "at" of stream "timed")'),
	('one of the future', 'timed', '{"at":"9999-05-01T10:00:00Z"}', '22008 event time 9999-05-01 10:00:00+00 is more than 02:00:00 ahead of the clock (column "at" of stream "timed")'),
	('a bad one', 'timed', '{"at":"soon"}', '22007 invalid input syntax for type timestamp with time zone: "soon" (column "at" of stream "timed")'),
	('a date too far for a timestamp', 'timed_by_day', '{"at":"300000-01-01"}', '22008 event time is infinite or out of range (column "at" of stream "timed_by_day")'),
	('metadata are not shown', 'timed_by_kafka', '{"n":1,"at":"x"}', '{"n": 1}')
) AS cases (title, stream, message, expected);
SELECT is(outcome('timed', format('{"at":"%s"}', now() + interval '119 minutes')) LIKE '{"at"%', true, 'a little ahead is fine');
SELECT is(outcome('timed', format('{"at":"%s"}', now() + interval '122 minutes')) LIKE '22008%', true, 'more is not');
SELECT is(outcome('timed_local', format('{"at":"%s"}', (now() + interval '58 minutes') AT TIME ZONE 'Asia/Tokyo')) LIKE '{"at"%', true, 'a local time is compared as such');
SELECT is(outcome('timed_local', format('{"at":"%s"}', (now() + interval '62 minutes') AT TIME ZONE 'Asia/Tokyo')) LIKE '22008%', true, 'both ways');

-- What compresses to a few kilobytes and is more than a value can be is bad data, whatever PostgreSQL calls it
CREATE FOREIGN TABLE documents (j jsonb) SERVER kafka OPTIONS (topic 'documents');
SELECT throws_ok($$SELECT streamx.decode('documents', convert_to('{"j":[' || repeat('0,', 17000000) || '0]}', 'UTF8'))$$, '54000', NULL, 'a jsonb of too many elements');

-- Only who may read the stream may ask
CREATE ROLE regress_streamx_plain;
SET ROLE regress_streamx_plain;
SELECT streamx.decode('orders', '{}');
RESET ROLE;
CREATE TABLE plain (id text);
SELECT streamx.decode('plain', '{}');
SELECT streamx.decode(0, '{}');
SELECT streamx.decode(NULL, '{}') IS NULL AS is_null;
GRANT SELECT ON orders TO regress_streamx_plain;
SET ROLE regress_streamx_plain;
SELECT streamx.decode('orders', '{"id":"a"}') ->> 'id' AS id;
RESET ROLE;
SELECT * FROM finish();
DROP OWNED BY regress_streamx_plain;
DROP ROLE regress_streamx_plain;
DROP SERVER kafka CASCADE;
DROP TABLE spelled, decoded, cast_by_server, plain;
DROP FUNCTION outcome(regclass, bytea), outcome(regclass, text), is_round(int) CASCADE;
DROP TYPE mood, pair, positive, known, tags CASCADE;
