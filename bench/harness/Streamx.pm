# streamx as a contestant: it catches up with a full topic.
package Streamx;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum0);
use Time::HiRes qw(sleep time);

use Process;
use Server;
use Shape;
use Topic;

our @EXPORT = qw(run_streamx create_view drop_views worker batches);

sub run_streamx
{
	my ($contestant, $shape, $race) = @_;
	my $settings = $contestant->{settings} // {};
	my (@samples, $profiler);
	my $peak = 0;

	set($_, $settings->{$_}) for keys %$settings;
	my $worker = create_view($race->{topic}, $shape);
	$profiler = profile($worker, "$race->{setup}{profile}/$shape->{name}.data") if $race->{setup}{profile};
	until (@samples && $samples[-1]{done} >= $race->{count})
	{
		die "the worker is gone\n" unless -d "/proc/$worker";
		push @samples, sample($worker);
		$peak = max($peak, memory_of($worker));
		sleep 0.01;
	}
	waitpid($profiler, 0) if $profiler && kill('INT', $profiler);
	check_views($shape, $race->{topic});
	my $rows = ask('SELECT count(*) FROM ' . ask("SELECT state FROM streamx.views WHERE view = 'revenue'::regclass"));
	drop_views();
	reset_settings() if %$settings;
	return { samples => \@samples, peak => max($peak, 0), more => { state_rows => $rows } };
}

# The view, or as many as the shape says; pid of the worker.
sub create_view
{
	my ($topic, $shape) = @_;
	my $window = window_call($shape);

	ask('BEGIN');
	ask("CREATE FOREIGN TABLE orders (order_id text, customer_id text, category text, amount numeric(10,2),
		currency text, quantity int, event_time timestamptz, note text)
		SERVER kafka OPTIONS (topic '$topic', event_time 'event_time', watermark_delay '5 seconds')");
	ask("CREATE VIEW revenue WITH (streamx.continuous) AS SELECT $window AS w, $shape->{only} AS own FROM orders GROUP BY w") if $shape->{only};
	for my $i (1 .. ($shape->{only} ? 0 : $shape->{views} // 1))
	{
		my $name = $i == 1 ? 'revenue' : "revenue_$i";
		my $own = { '' => '', aggregates => ", max(quantity * $i) AS own", keys => ", length(category) * $i AS own" }->{ $shape->{differ} // '' };

		ask("CREATE VIEW $name WITH (streamx.continuous) AS
			SELECT $window AS w, category, count(order_id) AS orders, sum(amount) AS total, avg(amount) AS mean$own
			FROM orders GROUP BY w, category" . (($shape->{differ} // '') eq 'keys' ? ', own' : ''));
	}
	ask('COMMIT');
	wait_for('SELECT count(*) > 0 FROM streamx.progress', 'partitions');
	return worker();
}

sub worker { return wait_for("SELECT max(pid) FROM pg_stat_activity WHERE backend_type = 'streamx worker'", 'worker'); }

sub batches { return ask('SELECT sum(batches) FROM streamx.stat_workers'); }

# What the slowest reader has committed.
sub sample
{
	my ($worker) = @_;
	my ($done, $lsn) = split /\t/, ask("SELECT coalesce(min(done), 0), pg_current_wal_insert_lsn() - '0/0'
		FROM (SELECT sum(next_offset) AS done FROM streamx.progress GROUP BY reader) AS readers");
	my ($postmaster, @others) = server_pids();

	return {
		done => $done, what => 'committed', wal => $lsn, time => time, worker => cpu_of($worker), main => main_thread_cpu($worker),
		others => cpu_with_children($postmaster) + sum0(map { cpu_of($_) } grep { $_ != $worker } @others) };
}

# Nothing is counted but what is right.
sub check_views
{
	my ($shape, $topic) = @_;

	if ($shape->{only})
	{
		my $wrong = wrong_values($shape, $topic, '(SELECT lower(w) AS window_start, own FROM revenue) AS r');

		die "streamx: $wrong windows of $shape->{name} are not the oracle's\n" if $wrong;
		return;
	}
	for my $i (1 .. $shape->{views} // 1)
	{
		my $name = $i == 1 ? 'revenue' : "revenue_$i";
		my $wrong = wrong_rows($shape, $topic, "(SELECT lower(w) AS window_start, category, orders, total, mean FROM $name) AS r");

		die "streamx: $wrong rows of $shape->{name} are not the oracle's\n" if $wrong;
	}
}

sub drop_views
{
	ask('DROP FOREIGN TABLE orders CASCADE');
	wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'streamx worker'", 'end of the worker');
	ask('CHECKPOINT');
}

sub profile
{
	my ($worker, $file) = @_;
	my $pid = fork;

	return $pid if $pid;
	open(STDERR, '>', '/dev/null');
	exec('perf', 'record', '-q', '-F', 1999, '-g', '-p', $worker, '-o', $file) or exit 1;
}

1;
