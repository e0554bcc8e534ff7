# streamx as a contestant: it catches up with a full topic.
package Streamx;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum0);
use Time::HiRes qw(sleep time);

use Nexmark;
use Process;
use Server;
use Shape;
use Topic;

our @EXPORT = qw(run_streamx create_view view_statements drop_views worker batches);

sub run_streamx
{
	my ($contestant, $shape, $race) = @_;
	my $settings = $contestant->{settings} // {};
	my @samples;
	my $peak = 0;

	set($_, $settings->{$_}) for keys %$settings;
	my @workers = create_view($race->{topic}, $shape, $contestant->{workers} // 1);
	until (@samples && $samples[-1]{done} >= $race->{count})
	{
		die "a worker is gone\n" if grep { !-d "/proc/$_" } @workers;
		push @samples, sample(@workers);
		$peak = max($peak, sum0(map { memory_of($_) } @workers));
		sleep 0.01;
	}
	check_views($shape, $race->{topic});
	my $rows = sum0(map { ask("SELECT count(*) FROM $_") } ask('SELECT state FROM streamx.views' . (is_nexmark($shape) ? '' : " WHERE view = 'revenue'::regclass")));
	drop_views(@{ $shape->{streams} // [] });
	reset_settings() if %$settings;
	return { samples => \@samples, peak => max($peak, 0), more => { state_rows => $rows } };
}

# The view, or as many as the shape says; pids of the workers, one for each stream, or more.
sub create_view
{
	my ($topic, $shape, $workers) = @_;
	my $streams = scalar @{ $shape->{streams} // ['orders'] };

	ask('BEGIN');
	is_nexmark($shape) ? create_nexmark($shape, $topic) : create_orders($topic, $shape, $workers);
	ask('COMMIT');
	wait_for("SELECT count(DISTINCT reader) = $streams FROM streamx.progress", 'partitions');
	return wait_for_workers($streams * ($workers // 1));
}

sub create_orders { ask($_) for view_statements(@_); }

sub view_statements
{
	my ($topic, $shape, $workers) = @_;
	my $window = window_call($shape);
	my @statements = (
		"CREATE FOREIGN TABLE orders (order_id text, customer_id text, category text, amount numeric(10,2),
			currency text, quantity int, event_time timestamptz, note text)
			SERVER kafka OPTIONS (topic '$topic', event_time 'event_time', watermark_delay '5 seconds', workers '@{[$workers // 1]}')");

	return (@statements, "CREATE VIEW revenue WITH (streamx.continuous) AS SELECT $window AS w, $shape->{only} AS own FROM orders GROUP BY w") if $shape->{only};
	for my $i (1 .. $shape->{views} // 1)
	{
		my $name = $i == 1 ? 'revenue' : "revenue_$i";
		my $own = { '' => '', aggregates => ", max(quantity * $i) AS own", keys => ", length(category) * $i AS own" }->{ $shape->{differ} // '' };

		push @statements, "CREATE VIEW $name WITH (streamx.continuous) AS
			SELECT $window AS w, category, count(order_id) AS orders, sum(amount) AS total, avg(amount) AS mean$own
			FROM orders GROUP BY w, category" . (($shape->{differ} // '') eq 'keys' ? ', own' : '');
	}
	return @statements;
}

sub wait_for_workers
{
	my ($count) = @_;
	my $workers = "FROM pg_stat_activity WHERE backend_type = 'streamx worker'";

	wait_for("SELECT count(*) = $count $workers", 'worker');
	return ask("SELECT pid $workers ORDER BY 1");
}

sub worker { return (wait_for_workers(1))[0]; }

sub batches { return ask('SELECT sum(batches) FROM streamx.stat_workers'); }

# What the slowest reader has committed.
sub sample
{
	my (@workers) = @_;
	my %is_worker = map { $_ => 1 } @workers;
	my ($done, $lsn) = split /\t/, ask("SELECT coalesce(min(done), 0), pg_current_wal_insert_lsn() - '0/0'
		FROM (SELECT sum(next_offset) AS done FROM streamx.progress GROUP BY reader) AS readers");
	my ($postmaster, @others) = server_pids();

	return {
		done => $done, what => 'committed', wal => $lsn, time => time, worker => sum0(map { cpu_of($_) } @workers), main => sum0(map { main_thread_cpu($_) } @workers),
		others => cpu_with_children($postmaster) + sum0(map { cpu_of($_) } grep { !$is_worker{$_} } @others) };
}

# Nothing is counted but what is right.
sub check_views
{
	my ($shape, $topic) = @_;

	if (is_nexmark($shape))
	{
		my $wrong = wrong_nexmark($shape, "oracle.$topic", $shape->{result}, 1);

		die "streamx: $wrong rows of $shape->{name} are not the oracle's\n" if $wrong;
		return;
	}
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

# With their streams.
sub drop_views
{
	my (@streams) = @_;

	ask('DROP FOREIGN TABLE ' . (join(', ', @streams) || 'orders') . ' CASCADE');
	wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'streamx worker'", 'end of the worker');
	ask('CHECKPOINT');
}

1;
