# What PostgreSQL keeps for a process's life and messages make grow: each time zone that was ever parsed, some 25 kB, and
# each label that an enum does not have.  A worker that has grown is begun anew.  Of the faults of docs/reliability.md
# this is 46: memory does not grow with what was read.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1, sizes => 1, stopped => 1);
my $node = streamx_node('worker_memory', broker => $broker, settings => [ q{streamx.max_restart_backoff = '200ms'} ]);
my $sent = 0;

# POSIX's way to spell a zone: hours and minutes west of Greenwich, under any name.
sub send_zones
{
	my ($n, $topic) = @_;

	$broker->produce($topic // 'orders', 0, map { sprintf('{"at": "2024-05-01 12:00 Z%s%d:%02d"}', join('', map { chr(97 + $_) } $_ % 26, $_ / 26 % 26, $_ / 676 % 26), $_ % 3, $_ % 60) } $sent + 1 .. $sent + $n);
	$sent += $n unless defined $topic;
}

# Whether the worker, this or the next, keeps less than 64 MB of time zones: one test.
sub keeps_little
{
	my ($title) = @_;
	my $bytes = 'unknown';

	for (1 .. 60)
	{
		my $place = -s $node->logfile;

		$node->safe_psql('postgres', q{SELECT pg_log_backend_memory_contexts(pid) FROM pg_stat_activity WHERE backend_type = 'streamx worker'});
		for (1 .. 20)
		{
			select(undef, undef, undef, 0.05);
			next unless substr(slurp_file($node->logfile), $place) =~ /Timezones: (\d+) total/;
			$bytes = $1;
			return pass($title) if $bytes < 64 * 1024 * 1024;
			last;
		}
	}
	fail("$title: $bytes");
}

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (at timestamptz) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW hours WITH (streamx.continuous) AS SELECT extract(hour FROM at AT TIME ZONE 'UTC') AS hour, count(*) FROM orders GROUP BY 1;
END

# Little by little: after 64 MB, between two batches
for (1 .. 4)
{
	send_zones(1000);
	caught_up($node, 'orders');
}
keeps_little('a worker that messages made grow was begun anew');
ok(slurp_file($node->logfile) =~ /LOG:  streamx worker for stream "orders" is begun anew: messages made it grow/, 'and says so');
ok(slurp_file($node->logfile) !~ /too many time zones/, 'no batch failed');
shows($node, 'SELECT sum(count) FROM hours', $sent, 'each message counts once');

# All at once: a batch that would make it grow by more than 128 MB fails
$node->safe_psql('postgres', q{SELECT streamx.pause('orders')});
send_zones(8000);
$node->safe_psql('postgres', q{SELECT streamx.resume('orders')});
caught_up($node, 'orders');
keeps_little('nor does one batch make it grow without end');
# how the messages were cut into batches is chance: one of them all would have kept 190 MB
my ($most) = sort { $b <=> $a } slurp_file($node->logfile) =~ /DETAIL:  PostgreSQL kept (\d+) MB of time zones/g;
cmp_ok($most, '<', 160, 'for it is halved instead');
shows($node, 'SELECT sum(count) FROM hours', $sent, 'each message counts once');
verified($node, 'hours');

# A batch that fails is tried again after pauses, and by the same worker: it grows no more by the same zones
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE stopped (at timestamptz) SERVER kafka OPTIONS (topic 'stopped', event_time 'at', on_error 'stop');
SELECT streamx.pause('stopped');
CREATE VIEW none WITH (streamx.continuous) AS SELECT count(*) FROM stopped;
END
$broker->produce('stopped', 0, 'no JSON');
send_zones(4000, 'stopped');
$node->safe_psql('postgres', q{SELECT streamx.resume('stopped')});
eventually($node, q{SELECT failures > 5 FROM streamx.stat_views WHERE view = 'none'::regclass}, 't', 'a batch that makes it grow fails again and again');
shows($node, q{SELECT restarts FROM streamx.stat_workers WHERE stream_name = 'stopped'}, '0', 'which does not begin it anew each time');

# Labels: of an enum that has only one of them
$node->safe_psql('postgres', <<'END');
CREATE TYPE size AS ENUM ('small');
CREATE FOREIGN TABLE sizes (size size) SERVER kafka OPTIONS (topic 'sizes', on_error 'skip');
CREATE VIEW counted WITH (streamx.continuous) AS SELECT size, count(*) FROM sizes GROUP BY 1;
END
for my $round (0 .. 4)
{
	# the mock keeps 5 MiB
	$broker->produce('sizes', 0, '{"size": "small"}', map { qq({"size": "$_"}) } $round * 80_000 + 1 .. ($round + 1) * 80_000);
	caught_up($node, 'sizes');
}
eventually($node, q{SELECT restarts > 0 FROM streamx.stat_workers WHERE stream_name = 'sizes'}, 't', 'nor do labels that are looked for in vain make it grow without end');
shows($node, 'SELECT count FROM counted', '5', 'each good message counts once');

$node->stop;
$broker->stop;
done_testing();
