# Faults 3, 5 and 6 of docs/reliability.md, each by itself: signals, errors again and again, two who move one stream

use strict;
use warnings;

use Numbers;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;
use Time::HiRes qw(usleep);

my $broker = StreamX::Broker->new(orders => 2, broken => 1);
# %n: so that the log tells how long the pauses are
my $node = streamx_node('faults', broker => $broker, settings => [ q{log_line_prefix = '%n [%p] %b '} ]);

sub worker_of
{
	my ($stream) = @_;

	return $node->safe_psql('postgres', "SELECT pid FROM streamx.stat_workers WHERE stream_name = '$stream' AND pid IS NOT NULL");
}

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE broken (n int) SERVER kafka OPTIONS (topic 'broken', on_error 'stop');
CREATE VIEW broken_total WITH (streamx.continuous) AS SELECT count(*) AS n FROM broken;
END
my $numbers = Numbers->new($node, $broker);
$numbers->send_more(100);
$broker->produce('broken', 0, '{"n": 1}');
caught_up($node, 'broken');
$numbers->count_once('to begin with');

# Fault 5: an error again and again, after pauses of 1 s, 2 s, 4 s, ...
my $failures = "SELECT failures >= %d FROM streamx.stat_views WHERE view = 'broken_total'::regclass";
my @times;
$broker->produce('broken', 0, 'bad');
for (1 .. 1200)
{
	@times = slurp_file($node->logfile) =~ /^(\d+\.\d+) \[\d+\] streamx worker WARNING:  /mg;
	last if @times >= 3;
	usleep(50_000);
}
cmp_ok(scalar @times, '>=', 3, 'fault 5: a batch that fails is tried again, and again');
cmp_ok($times[1] - $times[0], '>', 0.5, 'fault 5: not at once');
cmp_ok($times[2] - $times[1], '>', 1.5, 'fault 5: and then later still');
eventually($node, q{SELECT state, last_error LIKE '%stream "broken", partition 0, offset 1%' FROM streamx.stat_workers WHERE stream_name = 'broken'}, 'failing|t', 'fault 5: stat_workers says what is wrong');
$numbers->send_more(100);
$numbers->count_once('fault 5: meanwhile, in another stream');
$node->safe_psql('postgres', q{ALTER SYSTEM SET streamx.max_restart_backoff = '200ms'});
$node->reload;
# if they went on doubling that would take minutes
eventually($node, sprintf($failures, 9), 't', 'fault 5: pauses are no longer than streamx.max_restart_backoff');
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE broken OPTIONS (SET on_error 'dead_letter')});
caught_up($node, 'broken');
shows($node, 'SELECT n FROM broken_total', '1', 'fault 5: what is mended goes on');
shows($node, q{SELECT failures FROM streamx.stat_views WHERE view = 'broken_total'::regclass}, '0', 'fault 5: and has no failures');

# Fault 3: signals to a worker that waits for messages
my $pid = worker_of('orders');
shows($node, "SELECT pg_cancel_backend($pid)", 't', 'fault 3: a worker that waits for messages is cancelled');
$numbers->send_more(100);
$numbers->count_once('fault 3: pg_cancel_backend');
is(worker_of('orders'), $pid, 'fault 3: which does not end it');
shows($node, "SELECT pg_terminate_backend($pid, 2000)", 't', 'fault 3: pg_terminate_backend does, within two seconds');
eventually($node, "SELECT count(*) FROM streamx.stat_workers WHERE stream_name = 'orders' AND pid <> $pid", '1', 'fault 3: but not for good');
$numbers->send_more(100);
$numbers->count_once('fault 3: pg_terminate_backend');

# and to one in the middle of a batch, which waits for a lock
for my $signal ('pg_cancel_backend(pid)', 'pg_terminate_backend(pid, 2000)')
{
	my $state = $node->safe_psql('postgres', q{SELECT state FROM streamx.views WHERE view = 'parities'::regclass});
	my $holder = $node->background_psql('postgres');

	$holder->query_safe("BEGIN; LOCK TABLE $state IN SHARE MODE");
	$numbers->send_more(100);
	eventually($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'streamx worker' AND wait_event_type = 'Lock'}, 't', 'fault 3: a batch is under way');
	shows($node, "SELECT $signal FROM streamx.stat_workers WHERE stream_name = 'orders'", 't', "fault 3: $signal");
	$holder->query_safe('COMMIT');
	$holder->quit;
	$numbers->count_once("fault 3: $signal in a batch");
}

eventually($node, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'orders'::regclass}, '1', 'the views are together');

# Fault 6: a worker has the messages and waits for its turn, and somebody else merges them, or only seems to
for my $end ('ROLLBACK', 'COMMIT')
{
	my $other = $node->background_psql('postgres');

	$other->query_safe(q{BEGIN; SELECT streamx.pause('orders')}); # it has the stream's lock now
	$numbers->send_more(100);
	eventually($node, q{SELECT count(*) FROM pg_locks JOIN streamx.stat_workers USING (pid) WHERE NOT granted AND stream_name = 'orders'}, '1', 'fault 6: the worker waits for its turn');
	is($other->query_safe(q{SELECT streamx.step('orders', 1000)}), '100', 'fault 6: another one takes the same messages');
	$other->query_safe(qq{SELECT streamx.resume('orders'); $end});
	$other->quit;
	$numbers->count_once("fault 6: after its $end");
}

# and one whose positions are not those that are stored any more
my $old = $node->background_psql('postgres', on_error_stop => 0);
$node->safe_psql('postgres', q{SELECT streamx.pause('orders')});
$numbers->send_more(100);
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT n FROM total');
shows($node, q{SELECT streamx.step('orders', 1000)}, '100', 'fault 6: one moves the stream');
$old->query(q{SELECT streamx.step('orders', 1000)});
like($old->{stderr}, qr/could not serialize access|was moved by somebody else/, 'fault 6: who began at the same place fails');
$old->query('ROLLBACK');
$old->quit;
$node->safe_psql('postgres', q{SELECT streamx.resume('orders')});
$numbers->count_once('fault 6: with the whole batch');

$node->stop;
$broker->stop;
done_testing();
