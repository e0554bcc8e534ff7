# SELECT on a Kafka stream reads its topic, and no more of it than it must

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2, quiet => 1);
my $node = streamx_node('select', broker => $broker);

# The timestamp of the n-th message: 2024-05-01 10:00 and n seconds
sub at { return 1714557600000 + 1000 * $_[0]; }

$broker->produce_lines('orders', [],
	map { join("\t", $_ % 2, at($_), '\N', qq({"id": $_, "amount": $_.25})) } 0 .. 999);
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (id int, amount numeric(10,2),
	part int OPTIONS (metadata 'partition'), pos bigint OPTIONS (metadata 'offset'),
	at timestamptz OPTIONS (metadata 'timestamp'))
	SERVER kafka OPTIONS (topic 'orders', event_time 'at');
CREATE FOREIGN TABLE quiet (id int) SERVER kafka OPTIONS (topic 'quiet');
END

shows($node, 'SELECT count(*), sum(id), sum(amount) FROM orders', '1000|499500|499750.00', 'the whole topic');
shows($node, 'SELECT count(*) FROM quiet', '0', 'an empty topic');

# How many messages a query read, says EXPLAIN ANALYZE
sub messages_read
{
	my ($query) = @_;
	my $plan = $node->safe_psql('postgres', "EXPLAIN (ANALYZE) $query");

	return $plan =~ /Messages Read: (\d+)/ ? $1 : undef;
}

sub narrows
{
	my ($condition, $expected, $read, $title) = @_;
	my $query = "SELECT count(*) FROM orders WHERE $condition";

	shows($node, $query, $expected, $title);
	is(messages_read($query), $read, "... and reads $read messages for it");
}

narrows('part = 1', 500, 500, 'one partition');
narrows('part IN (1, 7)', 500, 500, 'a list of partitions');
narrows('part = 9', 0, 0, 'no such partition');
narrows('pos >= 490', 20, 20, 'from an offset on');
narrows('pos < 10', 20, 20, 'up to an offset');
narrows('part = 0 AND pos BETWEEN 100 AND 109', 10, 10, 'a range of offsets');
narrows('part = 0 AND pos = 7', 1, 1, 'one message');
narrows('pos = (SELECT NULL::bigint)', 0, 0, 'a condition that is never true');
narrows('part = (SELECT 1) AND pos < (SELECT 5)', 5, 5, 'values computed by the query');
shows($node, q{SELECT count(*) FROM orders WHERE at >= '2024-05-01 10:00:00+00'::timestamptz + interval '990 s'},
	'10', 'by time');
shows($node, q{SELECT count(*) FROM orders WHERE at > '2030-01-01'}, '0', 'a time after all messages');
shows($node, q{SELECT string_agg(n::text, ',' ORDER BY g) FROM generate_series(0, 2) AS g,
	LATERAL (SELECT count(*) AS n FROM orders WHERE part = g AND pos < 10 + g) AS o}, '10,11,0',
	'a scan starts again with other conditions');
cmp_ok(messages_read('SELECT * FROM orders LIMIT 5'), '<', 100, 'LIMIT stops the fetch');

# What the worker would refuse is left out, with one warning
$broker->produce('orders', 0, 'not json', '{"id": "x"}', '{"id": 5000}');
my ($out, $err);
$node->psql('postgres', 'SELECT max(id) FROM orders', stdout => \$out, stderr => \$err);
is($out, '5000', 'bad messages are left out');
like($err, qr/WARNING:  2 messages of stream "orders" were left out\n.*partition 0, offset 500/,
	'with a warning that says which');
shows($node, 'SELECT max(pos) FROM orders', '502', 'columns that are not read cannot be wrong');

# Errors and cancellation leave no consumer behind
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION threads() RETURNS int LANGUAGE sql VOLATILE AS
	$$SELECT (regexp_match(pg_read_file('/proc/self/status'), 'Threads:\s+(\d+)'))[1]::int$$;
CREATE FUNCTION threads_when_down_to(wanted int) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	-- librdkafka may take a second to end a client's threads
	FOR attempt IN 1 .. 400 LOOP
		EXIT WHEN threads() <= wanted;
		PERFORM pg_sleep(0.05);
	END LOOP;
	RETURN threads();
END $$;
END
($out, $err) = ('', '');
$node->psql('postgres', <<"END", stdout => \$out, stderr => \$err, on_error_stop => 0);
SELECT threads() AS before \\gset
SELECT :before;
SELECT 1 / (id - 50) FROM orders;
SET statement_timeout = '200ms';
SELECT count(*) FROM orders WHERE id > 0 AND pg_sleep(0.01) IS NOT NULL;
RESET statement_timeout;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM orders;
MOVE 2 FROM c;
SAVEPOINT s;
ROLLBACK;
SELECT threads_when_down_to(:before);
END
like($err, qr/division by zero.*canceling statement due to statement timeout/s, 'a scan fails, another is cancelled');
my @threads = split /\n/, $out;
is($threads[-1], $threads[0], 'no thread of a consumer stays');

# A view equals its own query over exactly the messages it accepted
$node->safe_psql('postgres', <<'END');
CREATE VIEW revenue WITH (streamx.continuous) AS
	SELECT tumble(at, '1 minute') AS w, count(*) AS n, sum(amount) AS total FROM orders GROUP BY 1;
CREATE VIEW inverse WITH (streamx.continuous) AS SELECT sum(1000 / (id - 50)) AS total FROM orders;
END
caught_up($node, 'orders');
shows($node, q{SELECT count(*) FROM streamx.dead_letters WHERE sqlstate = '22012' AND view = 'inverse'::regclass}, '1',
	'one view could not take a message');
verified($node, $_) for qw(revenue inverse);
$broker->produce_lines('orders', [], join("\t", 0, at(0), '\N', '{"id": 1, "amount": 1000}'));
caught_up($node, 'orders');
shows($node, q{SELECT count(*) FROM streamx.late_rows WHERE view = 'revenue'::regclass}, '1', 'a late row comes');
verified($node, $_) for qw(revenue inverse);
$node->safe_psql('postgres', <<'END');
DO $$ BEGIN
	EXECUTE format('UPDATE %s SET a1 = a1 + 1 WHERE slice_start = %L',
		(SELECT state FROM streamx.views WHERE view = 'revenue'::regclass), '2024-05-01 10:01+00');
END $$;
END
shows($node, q{SELECT difference, "row" ->> 'n' FROM streamx.verify('revenue') ORDER BY 1}, "extra|61\nmissing|60",
	'verify shows what is wrong');
$node->safe_psql('postgres', <<'END');
DO $$ BEGIN
	EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT sum(coalesce(abs(streamx.arrival_partition(ctid) - part)
		+ abs(streamx.arrival_offset(ctid) - pos), 1000))::bigint AS total FROM orders',
		(SELECT definition_view FROM streamx.views WHERE view = 'inverse'::regclass));
END $$;
END
shows($node, q{SELECT "row" ->> 'total' FROM streamx.verify('inverse') WHERE difference = 'missing'}, '0',
	'it knows where each row came from');

$node->stop;
$broker->stop;
done_testing();
