# How long it takes after a kill until the stream is read up to its end again, while more comes: printed, not judged.
package Recovery;

use strict;
use warnings;

use Faults;
use Test::More;
use Time::HiRes qw(sleep time usleep);

use constant RATE => 2000;    # messages a second

sub measure
{
	my ($world) = @_;

	after($world, 'kill -9 of the worker', sub { Faults::signal_process($world, 'KILL', 'streamx worker') });
	after($world, 'kill -9 of the postmaster', sub { $world->node->kill9; $world->start_again });
	$world->check if $world->progress;
}

sub after
{
	my ($world, $name, $do) = @_;
	my ($start, $took);

	$world->deliver_slowly(RATE * 5, RATE);
	sleep 1;
	$start = time;
	$do->();
	$took = since_worker_start($world);
	note(sprintf('recovery: %s at %d messages/s, %d views: caught up %s s after the start of the new worker, %.1f s after the kill',
		$name, RATE, scalar $world->order_views, $took, time - $start));
	$world->let_producer_end;
}

# Wait until a new worker has caught up: no more is unread than what comes in 0.2 s.
sub since_worker_start
{
	my ($world) = @_;
	my $until = time + World->PATIENCE;
	my $near = RATE / 5;

	while (time < $until)
	{
		my $took = $world->ask(<<"END") // '';
SELECT round(max(extract(epoch FROM pg_catalog.clock_timestamp() - a.backend_start)), 1)
FROM pg_catalog.pg_stat_activity a JOIN streamx.stat_workers w USING (pid)
WHERE w.stream_name = 'orders'
HAVING sum(w.batches) > 0 AND (SELECT bool_and(lag IS NOT NULL) AND sum(lag) < $near FROM streamx.stat_partitions WHERE stream = 'orders'::regclass)
END

		return $took if $took ne '';
		usleep(5_000);
	}
	$world->differ('it does not recover');
	return 'not';
}

1;
