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

note("seed $seed");
srand($seed);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, amount int NOT NULL, event_time timestamptz)
	SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'event_time');
CREATE VIEW revenue WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, item, count(*) AS n, sum(amount) AS total
	FROM orders GROUP BY 1, 2;
CREATE VIEW running WITH (streamx.continuous) AS
	SELECT count(*) AS n, sum(amount) AS total, avg(amount) AS mean FROM orders;
END

# Each message has an amount of its own; every fiftieth is bad.
my $next = 1;
my ($good, $sum, $bad) = (0, 0, 0);

sub produce_some
{
	my ($count) = @_;
	my @payloads;

	for (1 .. $count)
	{
		my $amount = $next++;

		if ($amount % 50 == 0)
		{
			push @payloads, qq({"item": "tea", "amount": "none of $amount"});
			$bad++;
			next;
		}
		push @payloads, sprintf('{"item": "item %d", "amount": %d, "event_time": "2024-05-01T%02d:%02d:00Z"}',
			$amount % 7, $amount, $amount / 600 % 24, $amount / 10 % 60);
		$good++;
		$sum += $amount;
	}
	$broker->produce('orders', int(rand(3)), @payloads);
}

sub everything_counts
{
	my ($title) = @_;

	caught_up($node, 'orders');
	shows($node, 'SELECT n, total FROM running', "$good|$sum", "$title: each message counts once");
	shows($node, 'SELECT count(*) FROM streamx.dead_letters', $bad, "$title: each bad message is a dead letter once");
	verified($node, $_) for qw(revenue running);
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
	eventually($node, "SELECT count(*) FROM streamx.stat_workers WHERE pid <> $pid", '1', 'there is another worker');
}

# Batches of several rows and several batches: or nothing was in the middle
shows($node, 'SELECT batches > 20 FROM streamx.stat_workers', 't', 'there were many batches');

$node->stop;
$broker->stop;
done_testing();
