# A view made later catches up by a reader of its own, then joins the others, while messages keep coming

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 4, long => 1, quiet => 2, crossed => 2);
my $node = streamx_node('meeting', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms' ]);
my $sent = 0;

# Send n messages, to all partitions in turn, a second of event time apart; every 50th is bad, none late
sub send_orders
{
	my ($n) = @_;
	my @messages;

	for my $i ($sent + 1 .. $sent + $n)
	{
		my $at = sprintf('2026-03-01T%02d:%02d:%02dZ', $i / 3600 % 24, $i / 60 % 60, $i % 60);

		push @{ $messages[$i % 4] }, $i % 50 == 0 ? "{bad $i" : qq({"at": "$at", "item": "i@{[$i % 7]}", "n": $i});
	}
	$sent += $n;
	$broker->produce('orders', $_, @{ $messages[$_] // [] }) for 0 .. 3;
}

# Keep sending until a condition holds: what is to happen must happen under load
sub under_load { eventually_while($node, sub { send_orders(40) }, @_); }

my $stream = q{CREATE FOREIGN TABLE orders (at timestamptz, item text, n int) SERVER kafka OPTIONS (topic 'orders', event_time 'at', watermark_delay '1 day')};
my $query = q{SELECT item, tumble(at, '1 minute') AS w, count(*), sum(n), count(DISTINCT n) AS numbers FROM orders GROUP BY 1, 2};
$node->safe_psql('postgres', "$stream; CREATE VIEW first WITH (streamx.continuous) AS $query");
send_orders(2000);
caught_up($node, 'orders');

# When a second one is made, it catches up and joins
shows($node, "BEGIN; CREATE VIEW second WITH (streamx.continuous) AS $query; SELECT count(DISTINCT reader) FROM streamx.view_streams; COMMIT", '2', 'it begins by itself');
under_load('SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'it joins while messages come');
send_orders(100);
caught_up($node, 'orders');
is($node->safe_psql('postgres', 'SELECT count(*) FROM (TABLE first EXCEPT TABLE second) d'), '0', 'both show the same');
is($node->safe_psql('postgres', 'SELECT sum(count) FROM second'), $sent - int($sent / 50), 'every good message once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamx.dead_letters'), int($sent / 50), 'every bad one once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamx_internal.dead_letter'), int($sent / 50), 'is stored once, too');
verified($node, $_) for qw(first second);

# So do several, and one that starts now
$node->safe_psql('postgres', "CREATE VIEW third WITH (streamx.continuous, streamx.start = 'latest') AS $query");
$node->safe_psql('postgres', "CREATE VIEW fourth WITH (streamx.continuous) AS SELECT count(*) FROM orders");
$node->safe_psql('postgres', "CREATE VIEW fifth WITH (streamx.continuous) AS SELECT session(at, '5 minutes') AS w, array_agg(n) FROM orders GROUP BY 1");
under_load('SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'so do several at once');
send_orders(100);
caught_up($node, 'orders');
is($node->safe_psql('postgres', 'SELECT count FROM fourth'), $sent - int($sent / 50), 'every good message once');
is($node->safe_psql('postgres', 'SELECT count(*) > 0 AND sum(count) < (SELECT count FROM fourth) FROM third'), 't', 'one has only what came since');
is($node->safe_psql('postgres', 'SELECT DISTINCT view::text FROM streamx_internal.view_start'), 'third', 'it is known since when');
verified($node, $_) for qw(first second third fourth fifth);

# A view that left, and whose trouble is over, comes back
$node->safe_psql('postgres', <<'END');
CREATE ROLE owner;
GRANT CREATE ON SCHEMA public TO owner;
CREATE TABLE items (item text);
INSERT INTO items SELECT 'i' || i FROM generate_series(0, 6) i;
GRANT SELECT ON orders, items TO owner;
SET ROLE owner;
CREATE VIEW joined WITH (streamx.continuous) AS SELECT count(*) FROM orders JOIN items USING (item);
END
under_load('SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'a view with a table joins');
$node->safe_psql('postgres', 'REVOKE SELECT ON items FROM owner');
$broker->produce('orders', 1, '{bad too', '{"at": "2026-03-01T01:00:00Z", "item": "i1", "n": 1}');
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '2', 'a view that fails leaves');
shows($node, 'SELECT count(*) FROM streamx_internal.dead_letter d JOIN streamx.progress p USING (reader, "partition") WHERE d."offset" >= p.next_offset', '0',
	'with the dead letters of what it has read, and no others');
send_orders(100);
$node->safe_psql('postgres', 'GRANT SELECT ON items TO owner');
under_load('SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'and comes back');
caught_up($node, 'orders');
verified($node, $_) for qw(first joined);

# One that starts now does not wait for one that has much to read
$broker->produce('long', 0, map { qq({"n": $_}) } 1 .. 300000);
configure($node, 'streamx.batch_rows = 1');
$node->safe_psql('postgres', q{CREATE FOREIGN TABLE long (n int) SERVER kafka OPTIONS (topic 'long');
	CREATE VIEW long_all WITH (streamx.continuous) AS SELECT count(*) FROM long});
eventually($node, 'SELECT count > 0 FROM long_all', 't', 'one view reads');
$node->safe_psql('postgres', q{CREATE VIEW long_new WITH (streamx.continuous, streamx.start = 'latest') AS SELECT count(*) FROM long});
eventually($node, q{SELECT count(*) > 0 FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE view = 'long_new'::regclass}, 't', 'the other has its positions');
$broker->produce('long', 0, '{"n": 0}');
eventually($node, 'SELECT new.count = 1 AND whole.count < 250000 FROM long_new new, long_all whole', 't', 'the other is up to date long before');
configure($node, 'streamx.batch_rows = 1000000');
under_load(q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'long'::regclass}, '1', 'they join in the end');
verified($node, $_) for qw(long_all long_new);

# One that starts where the others stand joins them without a message, and what they know of a partition counts for it
sub send_quiet { my ($partition, @at) = @_; $broker->produce('quiet', $partition, map { qq({"at": "2026-03-01T00:$_:00Z"}) } @at); caught_up($node, 'quiet'); }
my $quiet_readers = q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'quiet'::regclass};
my $by_minute = q{AS SELECT tumble(at, '1 minute') AS w, count(*) FROM quiet GROUP BY 1};
my $watermark = q{to_char(%s AT TIME ZONE 'UTC', 'MI')};
$node->safe_psql('postgres', "CREATE FOREIGN TABLE quiet (at timestamptz) SERVER kafka OPTIONS (topic 'quiet', event_time 'at');
	CREATE VIEW quiet_old WITH (streamx.continuous) $by_minute");
send_quiet(1, '05');
send_quiet(0, '10');
$node->safe_psql('postgres', "CREATE VIEW quiet_new WITH (streamx.continuous, streamx.start = 'latest') $by_minute");
eventually($node, $quiet_readers, '1', 'it joins though nothing comes');
send_quiet(0, '20');
shows($node, sprintf("SELECT $watermark", q{streamx.watermark('quiet_new')}), '05', 'the partition from which it has no row holds its watermark');
shows($node, 'SELECT count(*) FROM quiet_new', '1', 'it has what came since');

# One that is ahead waits until it is not: the others lose no rows by it
$node->safe_psql('postgres', "SELECT streamx.pause('quiet_old'); DROP VIEW quiet_new;
	CREATE VIEW quiet_ahead WITH (streamx.continuous, streamx.start = 'latest') $by_minute");
eventually($node, q{SELECT count(*) FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE view = 'quiet_ahead'::regclass}, '2', 'a view has its positions');
$broker->produce('quiet', 0, '{"at": "2026-03-01T00:40:00Z"}');
eventually($node, sprintf("SELECT $watermark", q{streamx.watermark('quiet_ahead')}), '40', 'and a watermark of its own');
$node->safe_psql('postgres', q{SELECT streamx.resume('quiet_old')});
caught_up($node, 'quiet');
send_quiet(1, '30');
shows($node, q{SELECT view::text FROM streamx.late_rows WHERE stream = 'quiet'::regclass}, 'quiet_ahead', 'what is late for it is not for the other');
send_quiet(1, '50');
eventually($node, $quiet_readers, '1', 'it joins when the other is as far');
verified($node, $_) for qw(quiet_old quiet_ahead);

# The older one may be who knows less
$node->safe_psql('postgres', "DROP VIEW quiet_old, quiet_ahead; CREATE VIEW quiet_late WITH (streamx.continuous, streamx.start = 'latest') $by_minute");
eventually($node, q{SELECT count(*) FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE view = 'quiet_late'::regclass}, '2', 'a view has its positions');
send_quiet(0, '55');
$node->safe_psql('postgres', "CREATE VIEW quiet_all WITH (streamx.continuous) $by_minute");
eventually($node, $quiet_readers, '1', 'one that knows more joins it');
shows($node, sprintf("SELECT string_agg($watermark, ' ' ORDER BY \"partition\") FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE view = 'quiet_late'::regclass", 'event_time'),
	'55 50', 'the greater event time of each partition counts');
verified($node, $_) for qw(quiet_late quiet_all);
$node->safe_psql('postgres', 'DROP FOREIGN TABLE quiet CASCADE');

# Each may be ahead in one partition: together their watermark would be greater than either's, and the older one's view lose rows.
# The younger one begins between times of messages, or, as the mock keeps 5 MiB and looks for no times, where those begin
my $now = 1_000 * time;
sub send_crossed { my ($partition, $at, $written, $filler) = @_; $broker->produce_lines('crossed', [], sprintf(qq(%d\t%d\t\\N\t{"at": "2026-03-01T00:%d:00Z", "filler": "%s"}), $partition, $written // $now, $at, $filler // '')); }
my $crossed_readers = q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'crossed'::regclass};
my $between = $broker->is_real ? $node->safe_psql('postgres', "SELECT to_timestamp($now / 1000 - 5)") : 'earliest';
my $crossed = 'AS SELECT tumble(at, \'1 minute\') AS w, count(*) FROM crossed GROUP BY 1';
send_crossed(0, 40);
$node->safe_psql('postgres', "CREATE FOREIGN TABLE crossed (at timestamptz) SERVER kafka OPTIONS (topic 'crossed', event_time 'at');
	CREATE VIEW crossed_old WITH (streamx.continuous, streamx.start = 'latest') $crossed");
eventually($node, q{SELECT string_agg(next_offset::text, ' ' ORDER BY "partition") FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE view = 'crossed_old'::regclass}, '1 0', 'a view has its positions');
send_crossed(0, 20);
caught_up($node, 'crossed');
send_crossed(1, 50, $now - 10_000);
send_crossed(1, 20, $now, 'x' x 900_000) for 1 .. 7;
caught_up($node, 'crossed');
$node->safe_psql('postgres', "CREATE VIEW crossed_new WITH (streamx.continuous, streamx.start = '$between') $crossed");
caught_up($node, 'crossed');
shows($node, sprintf("SELECT view, string_agg($watermark, ' ' ORDER BY \"partition\") FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE stream = 'crossed'::regclass GROUP BY 1 ORDER BY 1", 'event_time'),
	"crossed_old|20 50\ncrossed_new|40 20", 'each of two readers is ahead in one partition');
for my $at (30, 31)
{
	send_crossed(0, $at);
	caught_up($node, 'crossed');
}
shows($node, q{SELECT count(*) FROM streamx.late_rows WHERE stream = 'crossed'::regclass}, '0', 'nothing is late for either');
shows($node, $crossed_readers, '2', 'they have not joined');
send_crossed(0, 45);
eventually($node, $crossed_readers, '1', 'they join when the older one is as far');
shows($node, sprintf("SELECT $watermark", q{streamx.watermark('crossed_new')}), '45', 'with its watermark');
shows($node, q{SELECT string_agg(to_char(lower(w) AT TIME ZONE 'UTC', 'MI') || ' ' || count, ', ' ORDER BY w) FROM crossed_old}, '20 8, 30 1, 31 1, 45 1, 50 1', 'and no row is lost');
verified($node, $_) for 'crossed_new', $broker->is_real ? 'crossed_old' : ();
$node->safe_psql('postgres', 'DROP FOREIGN TABLE crossed CASCADE');

# Crashes between here and there lose nothing
for my $round (1 .. 3)
{
	$node->safe_psql('postgres', "CREATE VIEW again_$round WITH (streamx.continuous) AS $query");
	send_orders(200);
	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM streamx.stat_workers WHERE pid IS NOT NULL});
	$node->stop('immediate') if $round == 3;
	$node->start if $round == 3;
}
under_load(q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'orders'::regclass}, '1', 'all of them join in the end');
caught_up($node, 'orders');
verified($node, $_) for qw(first third again_1 again_2 again_3);
is($node->safe_psql('postgres', 'SELECT count(*) FROM streamx.readers'), '2', 'no reader is left over');

$node->stop;
$broker->stop;
done_testing();
