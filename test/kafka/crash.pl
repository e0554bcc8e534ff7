# Whatever is killed in the middle of batches: nothing is lost, nothing counts twice

use strict;
use warnings;

use StreamX;
use Test::More;
use Time::HiRes qw(usleep);

my $broker = StreamX::Broker->new(orders => 3);
my $node = streamx_node('crash', broker => $broker,
	settings => [ 'streamx.batch_rows = 50', 'streamx.batch_linger = 1ms' ]);
my $seed = $ENV{STREAMX_SEED} // int(rand(1_000_000));

srand($seed);
my $workers = 1 + int(rand(3));
note("seed $seed: $workers workers");

$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE orders (item text, amount int NOT NULL, event_time timestamptz)
	SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'event_time', workers '$workers');
END
$node->safe_psql('postgres', <<'END');
CREATE VIEW revenue WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, item, count(*) AS n, sum(amount) AS total
	FROM orders GROUP BY 1, 2;
CREATE VIEW running WITH (streamx.continuous) AS
	SELECT count(*) AS n, sum(amount) AS total, avg(amount) AS mean FROM orders;
CREATE VIEW hops WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS
	SELECT hop(event_time, '25 minutes', '10 minutes') AS w, item, count(*) AS n, sum(700 / (amount % 70)) AS parts FROM orders GROUP BY 1, 2;
CREATE VIEW steps WITH (streamx.continuous, streamx.retention = '2 hours') AS
	SELECT cumulate(event_time, '1 hour', '20 minutes') AS w, item, count(*) AS n, avg(amount) AS mean FROM orders GROUP BY 1, 2;
CREATE VIEW sessions WITH (streamx.continuous) AS
	SELECT session(event_time, '1 minute') AS w, item, count(*) AS n, sum(700 / (amount % 70)) AS parts FROM orders GROUP BY 1, 2;
CREATE VIEW kept_sessions WITH (streamx.continuous, streamx.allowed_lateness = '10 minutes', streamx.retention = '2 hours') AS
	SELECT session(event_time, '2 minutes') AS w, item, count(*) AS n, sum(amount) AS total FROM orders WHERE amount % 5 > 1 GROUP BY 1, 2;
CREATE VIEW inputs WITH (streamx.continuous) AS SELECT count(DISTINCT amount) AS n, count(DISTINCT item) AS items FROM orders;
CREATE VIEW session_inputs WITH (streamx.continuous) AS
	SELECT session(event_time, '1 minute') AS w, item, array_agg(amount) AS amounts, count(DISTINCT amount % 7) AS remainders FROM orders GROUP BY 1, 2;
END

# Each message has an amount of its own; every fiftieth is bad, every seventieth fails in two views, every eleventh is late.
my $next = 1;
my ($good, $sum, $bad, $failing) = (0, 0, 0, 0);

sub produce_some
{
	my ($count) = @_;
	my @lines;

	for (1 .. $count)
	{
		my $amount = $next++;

		if ($amount % 50 == 0)
		{
			push @lines, line($amount, qq({"item": "tea", "amount": "none of $amount"}));
			$bad++;
			next;
		}
		my $minutes = 180 + $amount / 15 - ($amount % 11 == 0 ? 10 + $amount % 97 : 0);

		push @lines, line($amount, sprintf('{"item": "item %d", "amount": %d, "event_time": "2024-05-01T%02d:%02d:%02dZ"}',
			$amount % 7, $amount, $minutes / 60, $minutes % 60, $amount % 60));
		$failing++ if $amount % 70 == 0;
		$good++;
		$sum += $amount;
	}
	$broker->produce_lines('orders', [], @lines);
}

# All partitions get some each time: the last one to be read finds the watermark where its own rows have moved it, so that late ones
# come too late, whatever is killed when.
sub line { my ($amount, $payload) = @_; return join("\t", $amount % 3, '', '\N', $payload); }

sub everything_counts
{
	my ($title) = @_;

	caught_up($node, 'orders');
	shows($node, 'SELECT n, total FROM running', "$good|$sum", "$title: each message counts once");
	shows($node, 'SELECT count(*) FROM streamx.dead_letters WHERE view IS NULL', $bad, "$title: each bad message is a dead letter once");
	shows($node, "SELECT count(*), count(DISTINCT (\"partition\", \"offset\")) FROM streamx.dead_letters WHERE view = 'sessions'::regclass", "$failing|$failing", "$title: and each failing one of the view");
	shows($node, "SELECT (SELECT sum(n) FROM sessions) + (SELECT count(*) FROM streamx.late_rows WHERE view = 'sessions'::regclass)", $good - $failing, "$title: each other one is in a session, or late");
	shows($node, 'SELECT n, items FROM inputs', "$good|7", "$title: each distinct input counts once");
	shows($node, "SELECT (SELECT sum(cardinality(amounts)) FROM session_inputs) + (SELECT count(*) FROM streamx.late_rows WHERE view = 'session_inputs'::regclass)",
		$good, "$title: each input is in a session, or late");
	verified($node, $_) for qw(revenue running hops steps sessions kept_sessions inputs session_inputs);
}

# After kill -9 the old processes hold the data directory for a moment.
sub start_again
{
	for (1 .. 600)
	{
		return if $node->start(fail_ok => 1);
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	$node->start;
}

produce_some(500);
everything_counts('to begin with');

for my $round (1 .. 4)
{
	produce_some(1500);
	usleep(int(rand(30_000)));
	kill_workers($node);
	everything_counts("kill -9 of the worker, $round");
}

for my $round (1 .. 4)
{
	produce_some(1500);
	usleep(int(rand(30_000)));
	$node->kill9;
	start_again();
	everything_counts("kill -9 of the postmaster, $round");
}

for my $mode (qw(immediate fast))
{
	produce_some(1500);
	usleep(int(rand(30_000)));
	$node->stop($mode);
	$node->start;
	everything_counts("pg_ctl stop -m $mode");
}

# pg_terminate_backend is not for good
{
	my ($pid) = worker_pids($node);

	produce_some(1500);
	$node->safe_psql('postgres', "SELECT pg_catalog.pg_terminate_backend($pid)");
	everything_counts('pg_terminate_backend');
	eventually($node, "SELECT count(*) FROM streamx.stat_workers WHERE pid <> $pid", $workers, 'there is another worker');
}

shows($node, q{SELECT string_agg(view::text, ' ' ORDER BY view::text) FROM streamx.views v WHERE 20 < (SELECT count(*) FROM streamx.late_rows l WHERE l.view = v.view)},
	'hops kept_sessions revenue session_inputs sessions steps', 'many rows were late');
shows($node, 'SELECT count(*) FROM streamx_internal.removal WHERE removed_through > \'2024-05-01 04:00Z\'', '2', 'and windows were removed');
# Batches of several rows and several batches: or nothing was in the middle
shows($node, 'SELECT sum(batches) > 20 FROM streamx.stat_workers', 't', 'there were many batches');

$node->stop;
$broker->stop;
done_testing();
