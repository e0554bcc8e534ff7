# Fault 27: the clock is set back.  Nobody waits until it shows again what it did before

use strict;
use warnings;

use Clock;
use StreamX;
use Test::More;

my $clock = Clock->new or plan skip_all => 'libfaketime is not here';

# whose waits libfaketime does not know: they end when the kernel's clock, which is right, shows what the false one does
plan skip_all => 'librdkafka waits for the time of day' unless StreamX::Broker::library() =~ /^2\.0\./;

my $broker = StreamX::Broker->new(orders => 1);

$clock->set('+7200');

my $node = $clock->with(sub { streamx_node('clock', broker => $broker) });

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW total WITH (streamx.continuous) AS SELECT sum(n) FROM orders;
END
$broker->produce('orders', 0, '{"n": 1}');
caught_up($node, 'orders');

# The launcher is begun anew: 15's postmaster starts its first processes within a system call, in which libfaketime shows the true time
my $launcher = "FROM pg_stat_activity WHERE backend_type = 'streamx launcher'";
my $first = $node->safe_psql('postgres', "SELECT pid, pg_terminate_backend(pid) $launcher") =~ s/\|.*//r;

eventually($node, "SELECT count(*) $launcher AND pid <> $first", '1', 'there is another launcher');

# A worker ends, and is to be started a second later; that it has ended is seen before, at one of these tries
my $has_ended = '';

for (1 .. 20)
{
	my $restarts = $node->safe_psql('postgres', 'SELECT restarts FROM streamx.stat_workers');

	$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'streamx worker'});
	for (1 .. 20)
	{
		$has_ended = $node->safe_psql('postgres', "SELECT pid IS NULL AND restarts > $restarts FROM streamx.stat_workers");
		last if $has_ended eq 't';
	}
	last if $has_ended eq 't';
}
is($has_ended, 't', 'a worker has ended');
$clock->set('+0');
$broker->produce('orders', 0, '{"n": 2}');
eventually($node, 'SELECT sum FROM total', '3', 'another one is started');

$node->stop;
$broker->stop;
done_testing();
