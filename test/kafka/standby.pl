# A standby shows what the primary shows, and goes on in the topic from the replicated offsets once it is promoted

use strict;
use warnings;

use Kinds;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $primary = streamx_node('primary', broker => $broker, init => { allows_streaming => 'logical' });
my $standby = PostgreSQL::Test::Cluster->new('standby');
my $workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'streamx%'";
my $counted = q{SELECT (SELECT count FROM totals) + (SELECT count(*) FROM streamx.dead_letters)};

# Given a primary with views of every kind, and a standby
make_views($primary);
$primary->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE clicks (at timestamptz, page text) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW pages WITH (streamx.continuous) AS SELECT page, count(*), array_agg(page) FROM clicks GROUP BY 1;
INSERT INTO clicks VALUES ('2024-05-01', '/');
END
send_orders($broker, 1 .. 150);
caught_up($primary, 'orders');
$primary->backup('base');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
send_orders($broker, 151 .. 300);
caught_up($standby, 'orders'); # waits until what the primary has read is replayed

# Then the standby shows the same, by every way of reading
my %queries = (
	'windows that hold a time' => q{SELECT * FROM hopped WHERE w @> '2024-05-01 00:20+00'::timestamptz ORDER BY w},
	'windows of a time, cumulated' => q{SELECT * FROM cumulated WHERE lower(w) = '2024-05-01 00:00+00' ORDER BY w, item},
	'sessions of a key' => q{SELECT * FROM sittings WHERE item = 'tea' ORDER BY w},
	'a view of an INSERT stream' => 'SELECT * FROM pages',
	'watermarks' => q{SELECT streamx.watermark('orders'), streamx.watermark('hopped'), streamx.watermark('clicks')},
	'offsets' => 'SELECT reader, partition, next_offset, watermark FROM streamx.progress ORDER BY 1, 2',
	'refused rows' => 'SELECT view, "offset" FROM streamx.late_rows ORDER BY view::text, partition, "offset"',
	'dead letters' => 'SELECT "offset", message FROM streamx.dead_letters ORDER BY partition, "offset"',
	'the log' => 'SELECT * FROM clicks',
	'the topic' => 'SELECT count(*), sum(n) FROM orders');

is(rows_of($standby, 'postgres'), rows_of($primary, 'postgres'), 'the standby shows the rows of all views');
for my $title (sort keys %queries)
{
	my $rows = $primary->safe_psql('postgres', $queries{$title});

	isnt($rows, '', "the primary has $title");
	is($standby->safe_psql('postgres', $queries{$title}), $rows, "the standby has $title");
}
is(differences($standby, 'postgres'), '', 'verify agrees on the standby');
is($standby->safe_psql('postgres', q{SELECT DISTINCT state FROM streamx.stat_views UNION SELECT state FROM streamx.stat_streams ORDER BY 1}), "fed by INSERT\nstandby", 'the views say where they are');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM streamx.stat_workers'), '0', 'there is no worker');
is($standby->safe_psql('postgres', $workers), '0', 'nor any other process');

# Nothing can be changed there, and everything says so in PostgreSQL's words
for my $statement (q{INSERT INTO clicks VALUES ('2024-05-02', '/')}, q{COPY clicks FROM PROGRAM 'echo ''2024-05-02	/'''}, q{SELECT streamx.pause('orders')}, q{SELECT streamx.resume('orders')}, q{SELECT streamx.step('orders', 1)},
	'CREATE VIEW more WITH (streamx.continuous) AS SELECT count(*) FROM clicks', 'DROP VIEW pages', 'DROP EXTENSION streamx CASCADE')
{
	my ($status, undef, $error) = $standby->psql('postgres', $statement);

	isnt($status, 0, "refused: $statement");
	like($error, qr/ERROR:  cannot .* (during recovery|in a read-only transaction|while recovery is in progress)/, 'by the usual error');
}
is($standby->safe_psql('postgres', 'SELECT * FROM pages'), '/|1|{/}', 'reading goes on');

# What keeps old rows on the primary is seen in its health: queries of the standby, slots, prepared transactions
my $held = q{FROM streamx.health() WHERE "check" = 'replication xmin'};
my $burn = 'DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$';
my $reader = $standby->background_psql('postgres');

shows($primary, "SELECT value $held", '0', 'nobody holds anything');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pages');
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nwal_receiver_status_interval = 1s");
$standby->reload;
$primary->safe_psql('postgres', $burn);
eventually($primary, "SELECT value >= 100 $held", 't', 'a query on a standby with hot_standby_feedback does');
$reader->query_safe('COMMIT');
$reader->quit;
eventually($primary, "SELECT value < 100 $held", 't', 'until it ends');
$primary->safe_psql('postgres', "SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput'); $burn");
shows($primary, "SELECT value >= 100 $held", 't', 'so does a slot');
$primary->safe_psql('postgres', q{INSERT INTO streamx.thresholds VALUES ('replication xmin', 99)});
shows($primary, "SELECT ok $held", 'f', 'which is too much when a threshold says so');
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot('forgotten'); DELETE FROM streamx.thresholds});
$primary->safe_psql('postgres', q{BEGIN; SELECT pg_current_xact_id(); PREPARE TRANSACTION 'forgotten'});
eventually($primary, q{SELECT value >= 1 FROM streamx.health() WHERE "check" = 'oldest xmin'}, 't', 'a prepared transaction is an old snapshot');
$primary->safe_psql('postgres', q{ROLLBACK PREPARED 'forgotten'});

# When the primary is lost with messages that the standby has not heard of, and the standby is promoted
$standby->stop;
send_orders($broker, 301 .. 450);
caught_up($primary, 'orders');
$primary->stop('immediate');
$standby->start;
my $behind = $standby->safe_psql('postgres', $counted);
$standby->promote;

# Then it reads them again, from its own offsets
cmp_ok($behind, '<', 450, 'the standby was behind');
caught_up($standby, 'orders');
shows($standby, $counted, '450', 'after promotion every message counts once');
is(differences($standby, 'postgres'), '', 'verify agrees');
$standby->safe_psql('postgres', q{INSERT INTO clicks VALUES ('2024-05-02', '/')});
shows($standby, 'SELECT * FROM pages', '/|2|{/,/}', 'INSERT works');

# and the old primary, when it comes back, has a state of its own
$primary->start;
send_orders($broker, 451 .. 600);
for my $node ($standby, $primary)
{
	caught_up($node, 'orders');
	shows($node, $counted, '600', $node->name . ' has read every message once');
	is(differences($node, 'postgres'), '', 'verify agrees');
}
unlike(slurp_file($_->logfile), qr/PANIC|TRAP|streamx worker[^\n]*(ERROR|WARNING)/, 'no process came to grief') for $primary, $standby;

$standby->stop;
$primary->stop;
$broker->stop;
done_testing();
