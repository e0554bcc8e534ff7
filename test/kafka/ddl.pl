# Definitions change while workers run: they wait for a batch at most, nothing is lost, nothing is left, and no worker complains

use strict;
use warnings;

use StreamX;
use Test::More;
use Time::HiRes qw(time);

my $broker = StreamX::Broker->new(orders => 4);
# a worker waits for a lock half of deadlock_timeout, and after ten times in vain a view goes on alone: no slow test is to come to that
my $node = streamx_node('ddl', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms', 'deadlock_timeout = 3s' ]);
my $address = $broker->address;
my $sent = 0;
my @views = qw(per_item hops runs total);

# Send n messages to all partitions in turn, a second of event time apart
sub send_orders
{
	my ($n) = @_;
	my @lines;

	for my $i ($sent + 1 .. $sent + $n)
	{
		my $at = sprintf('2026-03-01T%02d:%02d:%02dZ', $i / 3600, $i / 60 % 60, $i % 60);

		push @lines, $i % 4 . qq(\t\t\\N\t{"at": "$at", "item": "i@{[$i % 7]}", "n": $i});
	}
	$sent += $n;
	$broker->produce_lines('orders', [], @lines);
}

# A statement while messages come; the time it takes, in seconds
sub change
{
	my ($sql) = @_;
	my $start;

	send_orders(20);
	$start = time;
	$node->safe_psql('postgres', $sql);
	return time - $start;
}

sub refused
{
	my ($sql, $expected, $title) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);

	like($err, $expected, $title);
}

# Everything that came counts once, under the names that things have now: one test.
sub whole
{
	my ($stream, $names, $title) = @_;
	my $differences = '';

	send_orders(20);
	caught_up($node, $stream);
	$differences .= $node->safe_psql('postgres', "SELECT '$_', d.* FROM streamx.verify('$_') d") for split ' ', $names;
	is($differences, '', $title);
}

$node->safe_psql('postgres', <<'END');
CREATE ROLE shop LOGIN;
CREATE ROLE reader;
GRANT CREATE ON SCHEMA public TO shop;
GRANT USAGE ON FOREIGN SERVER kafka TO shop;
SET ROLE shop;
CREATE FOREIGN TABLE orders (at timestamptz, item text, n int) SERVER kafka OPTIONS (topic 'orders', event_time 'at', watermark_delay '10 minutes');
CREATE VIEW per_item WITH (streamx.continuous) AS SELECT tumble(at, '1 minute') AS w, item, count(*) AS count, sum(n) AS sum, count(DISTINCT n) AS numbers FROM orders GROUP BY 1, 2;
CREATE VIEW hops WITH (streamx.continuous) AS SELECT hop(at, '2 minutes', '1 minute') AS w, count(*) AS count FROM orders GROUP BY 1;
CREATE VIEW runs WITH (streamx.continuous) AS SELECT session(at, '1 minute') AS w, item, count(*) AS count FROM orders GROUP BY 1, 2;
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*) AS count, sum(n) AS sum FROM orders;
GRANT SELECT ON per_item TO reader;
END

# Columns
change('ALTER FOREIGN TABLE orders ADD COLUMN note text');
change('ALTER FOREIGN TABLE orders RENAME COLUMN n TO number');
change('ALTER FOREIGN TABLE orders RENAME COLUMN at TO ordered_at');
change(q{ALTER FOREIGN TABLE orders ALTER COLUMN note OPTIONS (ADD field 'remark')});
change(q{ALTER FOREIGN TABLE orders ALTER COLUMN note TYPE jsonb});
change(q{ALTER FOREIGN TABLE orders ADD COLUMN place bigint OPTIONS (metadata 'offset')});
change('ALTER FOREIGN TABLE orders ALTER COLUMN item SET NOT NULL');
whole('orders', "@views", 'columns that are added, renamed and altered');
change('ALTER FOREIGN TABLE orders DROP COLUMN note, DROP COLUMN place');
whole('orders', "@views", 'and dropped');
refused('ALTER FOREIGN TABLE orders DROP COLUMN number', qr/cannot drop column number of foreign table orders because other objects depend on it/, 'one in use is not');
refused('ALTER FOREIGN TABLE orders ALTER COLUMN number TYPE bigint', qr/cannot alter type of a column used by a view or rule/, 'nor gets another type');
is($node->safe_psql('postgres', "SELECT array_to_string(ftoptions, ' ') FROM pg_foreign_table WHERE ftrelid = 'orders'::regclass"),
	'topic=orders event_time=ordered_at watermark_delay=10 minutes', 'event_time has followed');

# Options of stream, server and user mapping
change(q{ALTER FOREIGN TABLE orders OPTIONS (SET watermark_delay '5 minutes', ADD idle_timeout '1 minute')});
change(q{ALTER FOREIGN TABLE orders OPTIONS (DROP idle_timeout, ADD on_error 'stop')});
change(q{ALTER FOREIGN TABLE orders OPTIONS (DROP on_error)});
change(q{ALTER SERVER kafka OPTIONS (ADD fetch_wait_max_ms '50')});
change(q{ALTER SERVER kafka OPTIONS (DROP fetch_wait_max_ms)});
change(qq{ALTER SERVER kafka OPTIONS (SET bootstrap_servers '127.0.0.1:1,$address')});
change(q{CREATE USER MAPPING FOR shop SERVER kafka});
change(q{DROP USER MAPPING FOR shop SERVER kafka});
change(qq{ALTER SERVER kafka OPTIONS (SET bootstrap_servers '$address')});
whole('orders', "@views", 'options change');
refused(q{ALTER FOREIGN TABLE orders OPTIONS (SET topic 'others')}, qr/cannot change topic of stream "orders"/, 'the topic does not');
refused('ALTER SERVER kafka OPTIONS (DROP bootstrap_servers)', qr/option "topic" is only for streams of a Kafka topic/, 'a server of topics keeps its brokers');
$node->safe_psql('postgres', "ALTER SERVER kafka OPTIONS (SET bootstrap_servers '127.0.0.1:1')");
eventually($node, 'SELECT state FROM streamx.stat_workers', 'disconnected', 'other brokers are asked at once');
change("ALTER SERVER kafka OPTIONS (SET bootstrap_servers '$address')");
whole('orders', "@views", 'and the first ones again');

# Names and owners, of a stream that two workers read
change("ALTER FOREIGN TABLE orders OPTIONS (ADD workers '2')");
eventually($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'", '2', 'two workers share the stream');
change('ALTER FOREIGN TABLE orders RENAME TO sales');
change('ALTER VIEW per_item RENAME TO by_item');
change('ALTER VIEW by_item RENAME COLUMN numbers TO distinct_numbers');
change('ALTER SERVER kafka RENAME TO cluster');
change('ALTER ROLE shop RENAME TO store');
change('CREATE SCHEMA one; GRANT USAGE ON SCHEMA one TO PUBLIC; ALTER FOREIGN TABLE sales SET SCHEMA one; ALTER VIEW hops SET SCHEMA one; ALTER SCHEMA one RENAME TO two');
@views = qw(by_item two.hops runs total);
whole('two.sales', "@views", 'renamed from head to foot');
change('CREATE ROLE other; GRANT CREATE ON SCHEMA public, two TO other; GRANT SELECT ON two.sales TO other; ALTER VIEW by_item OWNER TO other; ALTER VIEW two.hops OWNER TO other');
whole('two.sales', "@views", 'views with other owners');
# at once: meanwhile the views of its old owner may not read it
change('BEGIN; GRANT USAGE ON FOREIGN SERVER cluster TO other; ALTER FOREIGN TABLE two.sales OWNER TO other; GRANT SELECT ON two.sales TO store; ALTER SERVER cluster OWNER TO postgres; COMMIT');
whole('two.sales', "@views", 'a stream with another owner');
shows($node, "SELECT has_table_privilege('reader', 'by_item', 'SELECT')", 't', 'grants stay');
refused('CREATE OR REPLACE VIEW total AS SELECT 0::bigint AS count, 0::bigint AS sum', qr/continuous view "total" cannot become an ordinary view/, 'a view does not become a plain one');

# Whoever is at the internal relations makes the workers wait, and cannot change them
my ($state) = $node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = 'by_item'::regclass");
for my $statement ("INSERT INTO $state DEFAULT VALUES", "UPDATE $state SET slice_start = slice_start", "DELETE FROM $state", "TRUNCATE $state", "BEGIN; LOCK $state IN SHARE MODE", "ALTER TABLE $state ADD x int", "DROP TABLE $state",
	"DELETE FROM streamx.progress", "INSERT INTO streamx.views DEFAULT VALUES", "UPDATE streamx.readers SET paused = true", "DELETE FROM streamx_internal.late_row")
{
	refused("SET ROLE other; $statement", qr/permission denied|must be owner/, "not by its owner: $statement");
}
change($_) for "VACUUM FULL $state", "REINDEX TABLE $state", "REINDEX TABLE CONCURRENTLY $state", "ANALYZE $state",
	"CLUSTER $state USING " . $node->safe_psql('postgres', "SELECT c.relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '$state'::regclass AND indisunique");
whole('two.sales', "@views", 'state tables are rewritten');

# Changes while a batch is under way: a lock on a state makes it last, and wait
sub worker_waits
{
	$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'streamx worker' AND wait_event_type = 'Lock'") or die 'the worker does not wait';
}

sub during_a_batch
{
	my ($view, $sql, $title) = @_;
	my $holder = $node->background_psql('postgres');
	my $changer = $node->background_psql('postgres');
	my $start;

	$holder->query_safe('BEGIN; LOCK TABLE ' . $node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = '$view'::regclass") . ' IN SHARE MODE');
	send_orders(20);
	worker_waits();
	$changer->query_safe('SET application_name = changer');
	$changer->query_until(qr/changing/, "\\echo changing\n$sql;\nSELECT 'changed';\n");
	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' OR query LIKE '%changed%' FROM pg_stat_activity WHERE application_name = 'changer'") or die 'the change does not begin';
	$holder->query_safe('COMMIT');
	$holder->quit;
	$start = time;
	$changer->query_until(qr/changed/, '');
	cmp_ok(time - $start, '<', 3, $title);
	$changer->quit;
}

during_a_batch('by_item', 'ALTER FOREIGN TABLE two.sales ADD COLUMN note text', 'a column is added during a batch');
during_a_batch('by_item', 'ALTER FOREIGN TABLE two.sales RENAME COLUMN item TO thing', 'and renamed');
during_a_batch('by_item', 'ALTER FOREIGN TABLE two.sales DROP COLUMN note', 'and dropped');
during_a_batch('runs', 'ALTER VIEW runs OWNER TO other', 'a view gets an owner');
during_a_batch('runs', 'CREATE VIEW more WITH (streamx.continuous) AS SELECT count(*) FROM two.sales', 'a view comes');
whole('two.sales', "@views more", 'nothing is lost by it');
during_a_batch('runs', 'DROP VIEW more', 'and goes');
during_a_batch('total', 'DROP VIEW runs', 'another one goes');
@views = qw(by_item two.hops total);
whole('two.sales', "@views", 'nothing is lost by it');

# Of a user and a worker who wait for each other the worker gives way, whoever waited first
{
	my ($first, $second, $third) = split /\n/, $node->safe_psql('postgres', 'SELECT state FROM streamx.views ORDER BY view');
	my $user = $node->background_psql('postgres');
	my $other = $node->background_psql('postgres');

	$user->query_safe("BEGIN; LOCK TABLE $second IN SHARE MODE");
	send_orders(20);
	worker_waits();
	$user->query_safe("LOCK TABLE $first; COMMIT");
	pass('the worker waits for the user, then the user for the worker');
	# the other makes the worker hold the first and wait, until the user waits for the first and holds the third
	$other->query_safe("BEGIN; LOCK TABLE $second IN SHARE MODE");
	$user->query_safe("BEGIN; LOCK TABLE $third IN SHARE MODE; SET application_name = changer");
	send_orders(20);
	worker_waits();
	$user->query_until(qr/changing/, "\\echo changing\nLOCK TABLE $first; SELECT 'changed'; COMMIT;\n");
	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' OR query LIKE '%changed%' FROM pg_stat_activity WHERE application_name = 'changer'") or die 'the user does not begin';
	$other->query_safe('COMMIT');
	$user->query_until(qr/changed/, '');
	pass('the user waits for the worker, then the worker for the user');
	$_->quit for $user, $other;
	whole('two.sales', "@views", 'the worker goes on');
}

# Drops leave nothing, from a database that has a twin with a worker of its own
sub left
{
	my ($database) = @_;

	return $node->safe_psql($database, q{SELECT (SELECT count(*) FROM streamx.views), (SELECT count(*) FROM streamx.view_streams), (SELECT count(*) FROM streamx.streams), (SELECT count(*) FROM streamx.readers), (SELECT count(*) FROM streamx.progress),
		(SELECT count(*) FROM streamx_internal.late_row), (SELECT count(*) FROM streamx_internal.dead_letter), (SELECT count(*) FROM streamx_internal.removal), (SELECT count(*) FROM streamx_internal.folding), (SELECT count(*) FROM streamx_internal.skip),
		(SELECT count(*) FROM streamx_internal.view_start), (SELECT count(*) FROM pg_class WHERE relname ~ '^v\d+_'),
		(SELECT count(*) FROM pg_depend d WHERE classid = 'pg_class'::regclass AND NOT EXISTS (SELECT FROM pg_class WHERE oid = objid) OR refclassid = 'pg_class'::regclass AND refobjid <> 0 AND NOT EXISTS (SELECT FROM pg_class WHERE oid = refobjid))});
}
my $nothing = join '|', (0) x 13;

sub build
{
	my ($database, $schema) = @_;

	$node->safe_psql($database, <<"END");
CREATE SCHEMA IF NOT EXISTS $schema; SET search_path = $schema, public;
CREATE FOREIGN TABLE orders (at timestamptz, item text, n int) SERVER kafka OPTIONS (topic 'orders', event_time 'at');
CREATE VIEW per_item WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT tumble(at, '1 minute') AS w, item, count(*), array_agg(n) FROM orders GROUP BY 1, 2;
CREATE VIEW hops WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT hop(at, '2 minutes', '1 minute') AS w, sum(1000 / (n % 100)) FROM orders GROUP BY 1;
END
	send_orders(200);
	$node->safe_psql($database, "CALL streamx.wait_for('$schema.orders')");
	$broker->produce('orders', 0, '{"at": "2020-01-01T00:00:00Z", "item": "late", "n": 1}', 'bad');
	$node->safe_psql($database, "CALL streamx.wait_for('$schema.orders')");
	is($node->safe_psql($database, 'SELECT count(*) > 1 FROM streamx_internal.dead_letter JOIN streamx_internal.late_row USING (stream)'), 't', "$schema in $database has refused rows");
}

change('DROP FOREIGN TABLE two.sales CASCADE');
shows($node, 'SELECT count(*) FROM streamx.views', '0', 'DROP FOREIGN TABLE CASCADE');
is(left('postgres'), $nothing, 'leaves nothing');
$node->safe_psql('postgres', 'ALTER SERVER cluster RENAME TO kafka');
for my $drop ('DROP VIEW shop.per_item, shop.hops; DROP FOREIGN TABLE shop.orders', 'DROP SCHEMA shop CASCADE', 'ALTER SCHEMA shop OWNER TO store; ALTER FOREIGN TABLE shop.orders OWNER TO store; DROP OWNED BY store CASCADE; GRANT CREATE ON SCHEMA public TO store', 'DROP SERVER kafka CASCADE')
{
	build('postgres', 'shop');
	cmp_ok(change($drop), '<', 4, $drop);
	is(left('postgres'), $nothing, 'leaves nothing');
}
$node->safe_psql('postgres', "CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address')");
build('postgres', 'shop');
cmp_ok(change('SET client_min_messages = warning; BEGIN; DROP EXTENSION streamx CASCADE; SELECT pg_sleep(1); COMMIT'), '<', 5, 'DROP EXTENSION streamx CASCADE, however long it takes');
shows($node, q{SELECT count(*) FROM pg_class WHERE relname ~ '^v\d+_' OR relname IN ('per_item', 'hops', 'orders')}, '0', 'takes all along');
is(join('', worker_pids($node)), '', 'workers included') if $node->poll_query_until('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'", '0');

# Databases: the worker of one, which has much to do, is in nobody's way, and the other's goes on
$node->safe_psql('postgres', "SET allow_in_place_tablespaces = on; CREATE TABLESPACE elsewhere LOCATION ''");
$node->safe_psql('postgres', "CREATE EXTENSION streamx; CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address')");
build('postgres', 'shop');
$node->safe_psql('postgres', 'CREATE DATABASE one');
$node->safe_psql('one', "CREATE EXTENSION streamx; CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address')");
build('one', 'shop');
configure($node, 'streamx.batch_rows = 1');
for my $statement ('ALTER DATABASE one RENAME TO two', 'ALTER DATABASE two SET TABLESPACE elsewhere', 'CREATE DATABASE three TEMPLATE two', 'DROP DATABASE two', 'DROP DATABASE three WITH (FORCE)')
{
	my ($database) = $statement =~ /DATABASE (\w+) (?:RENAME|SET)/;

	$database //= $statement =~ /TEMPLATE|DROP DATABASE two/ ? 'two' : 'three';
	$node->safe_psql($database, q{SELECT streamx.resume('shop.orders')}) if $database eq 'three'; # a copy waits
	$node->safe_psql($database, "DROP VIEW IF EXISTS shop.again; CREATE VIEW shop.again WITH (streamx.continuous) AS SELECT n, count(*) FROM shop.orders GROUP BY 1");
	$node->poll_query_until($database, 'SELECT count(*) > 0 FROM shop.again') or die "nothing is read in $database";
	cmp_ok(change($statement), '<', 4, $statement);
}
configure($node, 'streamx.batch_rows = 1000000');
eventually($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'", '1', 'their workers are gone');
whole('shop.orders', 'shop.per_item shop.hops', 'the other database has missed nothing');

# No worker, launcher or probe had a reason to complain
my @complaints = grep { / streamx (?:worker|launcher|probe) .*(?:WARNING|ERROR|FATAL|PANIC):/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($node->logfile);
is("@complaints", '', 'no worker complained');
$node->stop;
done_testing();
