# Caught up: when what is appended is visible to SELECT, and what a batch costs.
package Latency;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max);
use Time::HiRes qw(sleep time);

use Contestant;
use Process;
use Server;
use Shape;
use Streamx;
use Topic;

our @EXPORT = qw(follow_quietly follow_seldom follow_loaded cost_of_batches watch quantile);

my $warm_up = 20_000;  # orders that are there before
my $shape = shape_named('tumble-10');

# An order each 40 ms, one by one: milliseconds until it is visible.
sub follow_quietly
{
	my ($setup, $contestant) = @_;

	return follow($setup, $contestant, 25, 1, 25 * 20);
}

# An order a second, by turns to four partitions: streamx reads the last message of one again after a second of silence.
sub follow_seldom
{
	my ($setup, $contestant) = @_;

	return follow($setup, $contestant, 1, 1, 15);
}

# So many orders a second, a probe each 50 ms.
sub follow_loaded
{
	my ($setup, $contestant, $rate, $seconds) = @_;

	return follow($setup, $contestant, $rate, int($rate / 20), $rate * $seconds);
}

sub follow
{
	my ($setup, $contestant, $rate, $probe, $count) = @_;
	my $race = { setup => $setup, topic => 'orders_follow', count => $warm_up };

	create($setup, 'orders_follow');
	generate($setup, 0, $warm_up);
	my $subject = begin($contestant, $race);
	wait_for("SELECT sum(orders) >= $warm_up FROM $subject->{result}", 'end of the topic');
	sleep 0.5;
	open(my $probes, '-|', generator($setup, $warm_up, $count), '--rate', $rate, '--probe', $probe) or die;
	my @latency = watch($probes, "SELECT coalesce(sum(orders), 0) FROM $subject->{result} WHERE category = 'probe'");
	close($probes);
	wait_for("SELECT sum(orders) >= @{[ $warm_up + $count ]} FROM $subject->{result}", 'end of the load');
	end($subject);
	drop_topic($setup, 'orders_follow');
	return { probes => scalar @latency, map { ("p$_" => quantile($_, @latency)) } 50, 99, 100 };
}

sub generator
{
	my ($setup, $first, $count) = @_;

	return ("$setup->{source}/bench/generate", $setup->{address}, 'orders_follow', '--groups', $shape->{groups}, '--partitions',
		$setup->{partitions}, '--first', $first, '--count', $count);
}

sub generate
{
	my ($setup, $first, $count) = @_;

	system(generator($setup, $first, $count)) == 0 or die "could not fill orders_follow\n";
}

# Milliseconds from each line of the generator to the SELECT that counts one more.
sub watch
{
	my ($probes, $query) = @_;
	my ($seen, @sent, @latency) = (0);

	while (defined(my $sent = <$probes>))
	{
		push @sent, $sent / 1e6;
		while (@latency < @sent)
		{
			my $visible = ask($query);

			push @latency, (time - $sent[ scalar @latency ]) * 1000 while @latency < $visible && @latency < @sent;
			sleep 0.0005 if @latency < @sent;
		}
	}
	return @latency;
}

sub begin
{
	my ($contestant, $race) = @_;

	if ($contestant->{program})
	{
		drop_result();
		my $process = start_command($contestant, $shape, $race, '--follow');
		wait_for("SELECT to_regclass('bench_result') IS NOT NULL", 'result of ' . $contestant->{name});
		return { result => 'bench_result', process => $process };
	}
	create_view($race->{topic}, $shape);
	return { result => 'revenue' };
}

sub end
{
	my ($subject) = @_;

	if (!$subject->{process})
	{
		my @wrong = ask("SELECT * FROM streamx.verify('revenue')");

		die "streamx.verify: @wrong[0 .. ($#wrong < 3 ? $#wrong : 3)]\n" if @wrong;
		drop_views();
		return;
	}
	my $status = end_command($subject->{process}, 'TERM');
	die "$subject->{process}{name} ended with status $status\n" if $status;
	drop_result();
}

# ---- batches of streamx ----

# Microseconds of CPU of a batch of one row: one each 40 ms, and one after the other.
sub cost_of_batches
{
	my ($setup) = @_;
	my $messages = 20_000;
	my $n = 500;

	create($setup, 'orders_follow');
	generate($setup, 0, $warm_up);
	my ($worker) = create_view('orders_follow', $shape);
	wait_for("SELECT sum(next_offset) >= $warm_up FROM streamx.progress", 'end');
	sleep 1;
	my ($cpu, $batches) = (cpu_of($worker), batches());
	system(generator($setup, $warm_up, $n), '--rate', 25) == 0 or die;
	wait_for("SELECT sum(next_offset) >= @{[ $warm_up + $n ]} FROM streamx.progress", 'end');
	my %figures = (now_and_then => (cpu_of($worker) - $cpu) * 1e6 / (batches() - $batches));

	set('streamx.batch_rows', 1);
	ask("SELECT streamx.pause('orders')");
	generate($setup, $warm_up + $n, $messages);
	ask("SELECT streamx.resume('orders')");
	wait_for("SELECT sum(next_offset) >= @{[ $warm_up + $n + 500 ]} FROM streamx.progress", 'batch');
	$worker = worker();
	($cpu, $batches) = (cpu_of($worker), batches());
	wait_for("SELECT sum(next_offset) >= @{[ $warm_up + $n + $messages ]} FROM streamx.progress", 'end');
	$figures{in_a_row} = (cpu_of($worker) - $cpu) * 1e6 / (batches() - $batches);
	reset_settings();
	drop_views();
	drop_topic($setup, 'orders_follow');
	return \%figures;
}

sub quantile
{
	my ($percent, @values) = @_;

	@values = sort { $a <=> $b } @values;
	return $values[ $#values < int(@values * $percent / 100) ? $#values : int(@values * $percent / 100) ];
}

1;
