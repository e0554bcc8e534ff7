# What the envelope of a message says: keys and headers, also none, empty ones, and such that are no text; fault 24: no payload

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1, heavy => 1);
my $node = streamx_node('metadata', broker => $broker);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (n int, name text OPTIONS (metadata 'key'), bytes bytea OPTIONS (metadata 'key'), headers jsonb OPTIONS (metadata 'headers'),
	topic text OPTIONS (metadata 'topic'), at timestamptz OPTIONS (metadata 'timestamp')) SERVER kafka OPTIONS (topic 'orders');
CREATE FOREIGN TABLE heavy (n int, headers jsonb OPTIONS (metadata 'headers')) SERVER kafka OPTIONS (topic 'heavy');
BEGIN;
CREATE VIEW names WITH (streamx.continuous) AS SELECT name, sum(n) FROM orders GROUP BY 1;
CREATE VIEW keys WITH (streamx.continuous) AS SELECT bytes, sum(n) FROM orders GROUP BY 1;
CREATE VIEW noted WITH (streamx.continuous) AS SELECT headers, topic, at, sum(n) FROM orders GROUP BY 1, 2, 3;
COMMIT;
END
# partition, timestamp, key, payload, headers: \N is none, \xHH a byte
$broker->produce_lines('orders', ['--headers'], map { join("\t", 0, 1714557600000, @$_) }
	[ 'tea', '{"n": 1}', 'from=shop', 'to=\N', 'to=\xc3\xa4' ],
	[ '\N', '{"n": 2}' ],
	[ '', '{"n": 4}', 'empty=' ],
	[ '\xff\x00', '{"n": 8}', 'binary=\xff\x01' ],
	[ 'tea', '\N' ]);
caught_up($node, 'orders');
shows($node, 'SELECT quote_nullable(name), sum FROM names ORDER BY sum', "'tea'|1\nNULL|2\n''|4", 'keys as text: none is NULL, of no bytes is empty');
shows($node, q{SELECT bytes IS NULL, encode(bytes, 'hex'), sum FROM keys ORDER BY sum}, "f|746561|1\nt||2\nf||4\nf|ff00|8", 'as bytes: any');
shows($node, q{SELECT headers ->> 'from', octet_length(headers ->> 'to'), headers ->> 'empty', headers ->> 'binary', sum FROM noted ORDER BY sum}, "shop|2|||1\n||||2\n||||4\n|||\\xff01|8",
	'headers: the last of equal names counts, what is no text is shown as bytea is');
shows($node, q{SELECT DISTINCT topic, at = '2024-05-01 10:00Z' FROM noted}, 'orders|t', 'topic and timestamp');
shows($node, 'SELECT "offset", view, sqlstate FROM streamx.dead_letters ORDER BY 1', "3|names|22021\n4||22004", 'fault 24: a key that is no text is an error of who reads it, a message without payload one of the stream');
shows($node, 'SELECT key, payload FROM streamx.dead_letters ORDER BY "offset"', "\\xff00|\\x7b226e223a20387d\n\\x746561|", 'fault 24: the dead letters have key and payload as they were');
verified($node, $_) for qw(names keys noted);

# librdkafka reads 100,000 headers at most
$broker->produce_lines('orders', ['--headers'], join("\t", 0, 1714557600000, 'tea', '{"n": 16}', ('=') x 100_001));
caught_up($node, 'orders');
shows($node, 'SELECT view, sqlstate, message FROM streamx.dead_letters WHERE "offset" = 5', 'noted|22P03|column "headers": message headers cannot be read: They are malformed, or more than 100000',
	'headers that cannot be read are an error of who reads them, not none');
shows($node, q{SELECT sum FROM names WHERE name = 'tea'}, 17, 'and of nobody else');
verified($node, $_) for qw(names noted);

# two bytes each, which librdkafka and jsonb make a hundred of
$broker->produce_lines('heavy', ['--headers'], map { join("\t", 0, 1714557600000, 'tea', qq({"n": $_}), ('=') x 100_000) } 1 .. 20);
shows($node, q{SELECT sum(n), headers FROM heavy GROUP BY 2;
	SELECT (regexp_match(pg_read_file('/proc/self/status'), 'VmHWM:\s+(\d+) kB'))[1]::int / 1024 BETWEEN 10 AND 150}, qq(210|{"": ""}\nt), 'many headers take memory one message at a time');

$node->stop;
$broker->stop;
done_testing();
