# Several workers share the partitions of a stream: results, order and lateness are those of one

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 5, few => 2, quiet => 2, turns => 2, meeting => 4);
my $node = streamx_node('workers', broker => $broker,
	settings => [ 'streamx.batch_rows = 100', 'streamx.batch_linger = 1ms', 'streamx.max_restart_backoff = 300ms', 'streamx.discovery_interval = 1s' ]);
my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'};
my ($sent, $bad) = (0, 0);

# n messages, each to one of the partitions: event times with some disorder, and far behind now and then; some are bad
sub send_orders
{
	my ($topic, $partitions, $n) = @_;
	my @messages;

	for my $i ($sent + 1 .. $sent + $n)
	{
		my $at = 36000 + 2 * $i - ($i % 7) - ($i % 90 == 0 ? 3000 : 0);
		my $message = sprintf('{"n": %d, "item": "i%d", "at": "2024-05-%02dT%02d:%02d:%02dZ"}',
			$i, $i % 11, 1 + $at / 86400, $at / 3600 % 24, $at / 60 % 60, $at % 60);

		$bad++ if $i % 60 == 0;
		push @{ $messages[ $i * 7 % 31 % $partitions ] }, $i % 60 == 0 ? "{bad $i" : $message;
	}
	$sent += $n;
	$broker->produce($topic, $_, @{ $messages[$_] // [] }) for 0 .. $partitions - 1;
}

my @views = qw(total windows hops steps sessions listed joined);

sub everything_counts
{
	my ($title) = @_;

	caught_up($node, 'orders');
	shows($node, 'SELECT n, numbers FROM total', ($sent - $bad) . '|' . ($sent - $bad), "$title: each message counts once");
	shows($node, 'SELECT count(*), count(DISTINCT ("partition", "offset")) FROM streamx.dead_letters WHERE view IS NULL', "$bad|$bad", "$title: each bad one is a dead letter once");
	shows($node, "SELECT (SELECT sum(n) FROM $_) + (SELECT count(*) FROM streamx.late_rows WHERE view = '$_'::regclass)", $sent - $bad, "$title: each other one is in $_, or late")
		for qw(sessions listed);
	verified($node, $_) for @views;
}

$node->safe_psql('postgres', <<'END');
CREATE TABLE items (item text, weight int);
INSERT INTO items SELECT 'i' || i, i FROM generate_series(0, 10) i;
CREATE FOREIGN TABLE orders (n int, item text, at timestamptz) SERVER kafka
	OPTIONS (topic 'orders', workers '3', event_time 'at', watermark_delay '1 minute');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*) AS n, count(DISTINCT n) AS numbers FROM orders;
CREATE VIEW windows WITH (streamx.continuous, streamx.retention = '2 hours') AS
	SELECT item, tumble(at, '1 minute') AS w, count(*) AS n, sum(orders.n) AS total, max(orders.n) AS most FROM orders GROUP BY 1, 2;
CREATE VIEW hops WITH (streamx.continuous, streamx.allowed_lateness = '20 minutes') AS
	SELECT item, hop(at, '50 minutes', '10 minutes') AS w, count(*) AS n, avg(orders.n) AS mean FROM orders GROUP BY 1, 2;
CREATE VIEW steps WITH (streamx.continuous) AS
	SELECT cumulate(at, '1 hour', '15 minutes') AS w, count(*) AS n, sum(1000 / (orders.n % 500)) AS parts FROM orders GROUP BY 1;
CREATE VIEW sessions WITH (streamx.continuous) AS
	SELECT item, session(at, '20 seconds') AS w, count(*) AS n, sum(orders.n) AS total FROM orders GROUP BY 1, 2;
CREATE VIEW listed WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, count(*) AS n, array_agg(orders.n) AS numbers FROM orders WHERE item <> '' GROUP BY 1;
CREATE VIEW joined WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, count(*) AS n, sum(weight) AS weight FROM orders JOIN items USING (item) GROUP BY 1;
END
send_orders('orders', 5, 3000);
everything_counts('three workers');
eventually($node, 'SELECT number, pid IS NOT NULL, state, rows > 0, batches > 1 FROM streamx.stat_workers ORDER BY number',
	join("\n", map { "$_|t|caught up|t|t" } 1 .. 3), 'each of them has work');
shows($node, q{SELECT sum(rows) FROM streamx.stat_workers}, $sent, 'each message is read by one of them');
eventually($node, 'SELECT state FROM streamx.stat_streams', 'caught up', 'the stream is one');
# by the watermark of what is there: five of these are 50 minutes behind it
send_orders('orders', 5, 1000);
everything_counts('some more');
shows($node, q{SELECT count(*) >= 5 FROM streamx.late_rows WHERE view = 'windows'::regclass}, 't', 'some rows are late');

# One ends, and comes again: the others read its partitions meanwhile
send_orders('orders', 5, 1000);
$node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM streamx.stat_workers WHERE number = 2');
send_orders('orders', 5, 1000);
everything_counts('pg_terminate_backend of one');
eventually($node, $workers, '3', 'it comes back');

# More and fewer while they run
for my $wanted (1, 4, 2)
{
	send_orders('orders', 5, 500);
	$node->safe_psql('postgres', "ALTER FOREIGN TABLE orders OPTIONS (SET workers '$wanted')");
	send_orders('orders', 5, 500);
	everything_counts("ALTER to $wanted");
	eventually($node, $workers, $wanted, "there are $wanted");
}
eventually($node, 'SELECT count(*) FROM streamx.stat_workers', '2', 'the others gave back their places');

# Killed one by one, and all of them
for my $round (1 .. 2)
{
	my ($pid) = worker_pids($node);

	send_orders('orders', 5, 1000);
	kill_workers($node, $round == 1 ? $pid : ());
	everything_counts("kill -9, $round");
}

# A worker more than there may be waits, and its partitions do not
$node->safe_psql('postgres', "ALTER SYSTEM SET streamx.max_workers = 1; SELECT pg_reload_conf(); SELECT pg_terminate_backend(pid) FROM streamx.stat_workers");
eventually($node, 'SELECT number, state FROM streamx.stat_workers ORDER BY number', "1|caught up\n2|waiting for a worker slot", 'a worker too many waits');
send_orders('orders', 5, 500);
everything_counts('one of two');
$node->safe_psql('postgres', q{CREATE FOREIGN TABLE few (n int) SERVER kafka OPTIONS (topic 'few', workers '3'); CREATE VIEW few_total WITH (streamx.continuous) AS SELECT count(*) AS n FROM few});
eventually($node, q{SELECT count(*) FROM streamx.stat_workers WHERE state = 'waiting for a worker slot'}, '4', 'so do others');
$node->safe_psql('postgres', 'ALTER SYSTEM SET streamx.max_workers = 2; SELECT pg_reload_conf()');
eventually($node, q{SELECT stream_name, number FROM streamx.stat_workers WHERE pid IS NOT NULL ORDER BY 1}, "few|1\norders|1", 'the first worker of each stream comes before the second of any');
$broker->produce('few', $_, map { qq({"n": $_}) } 1 .. 100) for 0, 1;
caught_up($node, 'few');
shows($node, 'SELECT n FROM few_total', '200', 'it reads all partitions');
$node->safe_psql('postgres', 'ALTER SYSTEM SET streamx.max_workers = 3; SELECT pg_reload_conf()');
eventually($node, $workers, '3', 'there is place for one more');
$node->safe_psql('postgres', 'DROP VIEW few_total; ALTER SYSTEM RESET streamx.max_workers; SELECT pg_reload_conf()');
eventually($node, q{SELECT string_agg(state, ', ') FROM streamx.stat_workers}, 'caught up, caught up', 'they go with the view');

# A worker with nothing to read
$node->safe_psql('postgres', q{CREATE VIEW few_again WITH (streamx.continuous) AS SELECT count(*) AS n FROM few});
caught_up($node, 'few');
eventually($node, q{SELECT string_agg(state, ', ') FROM streamx.stat_workers WHERE stream_name = 'few'}, 'caught up, caught up, caught up', 'more workers than partitions');
shows($node, 'SELECT n FROM few_again', '200', 'all is read');
verified($node, 'few_again');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE few CASCADE');

# The end of a partition, and its silence, are known to one worker; the watermark is of all
sub at { return map { qq({"n": 1, "at": "2024-05-01T${_}Z"}) } @_; }
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE quiet (n int, at timestamptz) SERVER kafka OPTIONS (topic 'quiet', workers '2', event_time 'at');
CREATE VIEW quiet_windows WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, count(*) AS n FROM quiet GROUP BY 1;
END
eventually($node, q{SELECT count(*) FROM streamx.stat_workers WHERE stream_name = 'quiet' AND state = 'caught up'}, '2', 'two workers, each with a partition');
my $watermark = q{SELECT streamx.watermark('quiet')::time};
for my $partition (0, 1)
{
	$broker->produce('quiet', $partition, at('10:00:00', '11:00:00'));
	caught_up($node, 'quiet');
	eventually($node, $watermark, '11:00:00', "rule 10: a partition that never had a row is idle at its end ($partition)") if $partition == 0;
}
$broker->produce('quiet', 1, at('15:00:00'));
caught_up($node, 'quiet');
shows($node, $watermark, '11:00:00', 'rule 9: the slowest partition counts');
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE quiet OPTIONS (ADD idle_timeout '300 ms')});
eventually($node, $watermark, '15:00:00', 'rule 10: unless it is silent');
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE quiet OPTIONS (SET idle_timeout '1 hour')});
$broker->produce('quiet', 0, at('15:10:00'));
$broker->produce('quiet', 1, at('18:00:00'));
caught_up($node, 'quiet');
shows($node, $watermark, '15:10:00', 'rule 10: with new rows it counts again');
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE quiet OPTIONS (SET idle_timeout '300 ms', ADD idle_advance 'on')});
eventually($node, q{SELECT streamx.watermark('quiet') > now() - interval '10 s'}, 't', 'rule 10: the clock is followed when both are silent');
$broker->produce('quiet', 0, at('15:20:00'));
caught_up($node, 'quiet');
shows($node, q{SELECT count(*) FROM streamx.late_rows WHERE stream = 'quiet'::regclass}, '2', 'rows from before are late');
verified($node, 'quiet_windows');

# They aggregate at the same time, before they take turns to merge; what became late meanwhile is judged anew
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION aggregated(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE LOG 'aggregated %', n; RETURN n; END $$;
CREATE FOREIGN TABLE turns (n int, at timestamptz) SERVER kafka OPTIONS (topic 'turns', workers '2', event_time 'at');
CREATE VIEW turned WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, count(*) AS n, sum(public.aggregated(n)) AS total FROM turns GROUP BY 1;
CREATE VIEW turned_hops WITH (streamx.continuous) AS SELECT hop(at, '2 hours', '1 hour') AS w, sum(n) AS total FROM turns GROUP BY 1;
CREATE VIEW turned_sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, sum(n) AS total FROM turns GROUP BY 1;
END
sub turn { return sprintf('{"n": %d, "at": "2024-05-01T%sZ"}', @_); }
eventually($node, q{SELECT count(*) FROM streamx.stat_workers WHERE stream_name = 'turns' AND state = 'caught up'}, '2', 'two workers, each with a partition');
$broker->produce('turns', 0, turn(1, '10:00:00'));
caught_up($node, 'turns');
$broker->produce('turns', 1, turn(2, '14:00:00'));
caught_up($node, 'turns');

my $holder = $node->background_psql('postgres');
$holder->query_safe(q{BEGIN; SELECT streamx.resume('turns')}); # it has the stream's lock now
sub waits { return "SELECT count(*) FROM pg_locks JOIN streamx.stat_workers w USING (pid) WHERE NOT granted AND stream_name = 'turns' AND number = $_[0]"; }
$broker->produce('turns', 0, turn(16, '14:30:00'));
eventually($node, waits(1), '1', 'the first worker waits for its turn');
$broker->produce('turns', 1, turn(32, '10:30:00'), turn(64, '13:30:00'), turn(128, '14:15:00'));
eventually($node, waits(2), '1', 'so does the second');
shows($node, q{SELECT count(*), count(backend_xmin), count(backend_xid) FROM pg_stat_activity JOIN streamx.stat_workers USING (pid) WHERE stream_name = 'turns'}, '2|0|0', 'without a snapshot');
shows($node, q{SELECT count(*) FROM pg_locks JOIN streamx.stat_workers USING (pid) WHERE granted AND locktype <> 'virtualxid' AND stream_name = 'turns'}, '0', 'or a lock');
is(join(' ', slurp_file($node->logfile) =~ /aggregated (\d+)/g), '1 2 16 32 64 128', 'all rows are aggregated');
$holder->query_safe('ROLLBACK');
$holder->quit;
caught_up($node, 'turns');
shows($node, $watermark =~ s/quiet/turns/r, '14:15:00', 'the watermark has moved between the two');
shows($node, q{SELECT view, event_time::time, counted FROM streamx.late_rows WHERE stream = 'turns'::regclass ORDER BY view::text, event_time},
	"turned|10:30:00|f\nturned|13:30:00|f\nturned_hops|10:30:00|f\nturned_hops|13:30:00|t\nturned_sessions|10:30:00|f\nturned_sessions|13:30:00|f", 'so rows that were on time are late');
shows($node, q{SELECT lower(w)::time, n, total FROM turned ORDER BY 1}, "10:00:00|1|1\n14:00:00|3|146", 'and do not count');
is(join(' ', slurp_file($node->logfile) =~ /aggregated (\d+)/g), '1 2 16 32 64 128 128', 'rows of which some became late were aggregated again');
verified($node, $_) for qw(turned turned_hops turned_sessions);

# A later view catches up by a reader of its own, under load, and joins the reader that two workers serve
$node->safe_psql('postgres', q{CREATE FOREIGN TABLE meeting (n int, item text, at timestamptz) SERVER kafka OPTIONS (topic 'meeting', workers '2', event_time 'at', watermark_delay '1 day');
	CREATE VIEW early WITH (streamx.continuous) AS SELECT item, tumble(at, '1 hour') AS w, count(*) AS n FROM meeting GROUP BY 1, 2});
send_orders('meeting', 4, 1000);
caught_up($node, 'meeting');
$node->safe_psql('postgres', q{CREATE VIEW late WITH (streamx.continuous) AS SELECT item, tumble(at, '1 hour') AS w, count(*) AS n FROM meeting GROUP BY 1, 2});
eventually_while($node, sub { send_orders('meeting', 4, 40) }, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'meeting'::regclass}, '1', 'a later view joins the others');
caught_up($node, 'meeting');
shows($node, 'SELECT count(*) FROM (TABLE early EXCEPT TABLE late) d', '0', 'and shows the same');
verified($node, $_) for qw(early late);

$node->stop;
$broker->stop;
done_testing();
