# What PostgreSQL keeps for a process's life and messages make grow: each time zone that was ever parsed, some 25 kB, and
# each label that an enum does not have.  A worker that has grown is begun anew.  Of the faults of docs/reliability.md
# this is 46: memory does not grow with what was read.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1, sizes => 1, stopped => 1, pair => 1, alone => 1, planned => 1);
my $node = streamx_node('worker_memory', broker => $broker, settings => [ q{streamx.max_restart_backoff = '200ms'} ]);
my %sent;

# POSIX's way to spell a zone: hours and minutes west of Greenwich, under any name.
sub send_zones
{
	my ($n, $topic) = @_;
	my $sent = $sent{$topic} // 0;

	$broker->produce($topic, 0, map { sprintf('{"at": "2024-05-01 12:00 Z%s%d:%02d"}', join('', map { chr(97 + $_) } $_ % 26, $_ / 26 % 26, $_ / 676 % 26), $_ % 3, $_ % 60) } $sent + 1 .. $sent + $n);
	$sent{$topic} += $n;
}

sub longest_pause { configure($node, "streamx.max_restart_backoff = '$_[0]'"); }

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
	send_zones(1000, 'orders');
	caught_up($node, 'orders');
}
keeps_little('a worker that messages made grow was begun anew');
ok(slurp_file($node->logfile) =~ /LOG:  streamx worker for stream "orders" is begun anew: messages made it grow/, 'and says so');
ok(slurp_file($node->logfile) !~ /too many time zones/, 'no batch failed');
shows($node, 'SELECT sum(count) FROM hours', $sent{orders}, 'each message counts once');

# All at once: a batch that would make it grow by more than 128 MB fails
$node->safe_psql('postgres', q{SELECT streamx.pause('orders')});
send_zones(8000, 'orders');
$node->safe_psql('postgres', q{SELECT streamx.resume('orders')});
caught_up($node, 'orders');
keeps_little('nor does one batch make it grow without end');
# how the messages were cut into batches is chance: one of them all would have kept 190 MB
my ($most) = sort { $b <=> $a } slurp_file($node->logfile) =~ /DETAIL:  PostgreSQL kept (\d+) MB of time zones/g;
cmp_ok($most, '<', 160, 'for it is halved instead');
shows($node, 'SELECT sum(count) FROM hours', $sent{orders}, 'each message counts once');
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

# Two readers of one worker, of which one fails and waits for an hour: it does not keep the other one's batches in a process
# that is too large for any of them.  The first stands at a bad message, behind which the second has begun
longest_pause('10ms');
$node->safe_psql('postgres', <<'END');
DROP FOREIGN TABLE stopped CASCADE;
CREATE FOREIGN TABLE pair (at timestamptz) SERVER kafka OPTIONS (topic 'pair', on_error 'stop');
CREATE VIEW stuck WITH (streamx.continuous) AS SELECT count(*) FROM pair;
END
$broker->produce('pair', 0, 'no JSON');
eventually($node, q{SELECT failures > 15 FROM streamx.stat_views WHERE view = 'stuck'::regclass}, 't', 'one reader fails, again and again');
$node->safe_psql('postgres', q{CREATE VIEW going WITH (streamx.continuous, streamx.start = 'latest') AS SELECT count(at) FROM pair});
eventually($node, q{SELECT count(*) FROM streamx.progress JOIN streamx.view_streams USING (reader) WHERE view = 'going'::regclass}, '1', 'the other has its positions');
longest_pause('1h');
for (1 .. 2)
{
	send_zones(2000, 'pair');
	eventually($node, 'SELECT count FROM going', $sent{pair}, 'and goes on');
}
shows($node, q{SELECT restarts FROM streamx.stat_workers WHERE stream_name = 'pair'}, '0', 'the one that fails keeps the worker, as long as that can be');
send_zones(2000, 'pair');
eventually($node, 'SELECT count FROM going', $sent{pair}, 'and no longer: the other goes on in a new one');
shows($node, q{SELECT restarts FROM streamx.stat_workers WHERE stream_name = 'pair'}, '1', 'begun anew once');
longest_pause('200ms');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE pair CASCADE');

# A message that by itself makes the process grow, and then fails: its careful repeat comes first, or it would fail for ever
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION spell(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM format('2024-05-01 12:00 Z%s0:%s', translate(i::text, '0123456789', 'abcdefghij'), i % 60)::timestamptz;
	END LOOP;
	RETURN 1 / (6000 - n);
END $$;
CREATE FOREIGN TABLE alone (n int) SERVER kafka OPTIONS (topic 'alone');
CREATE VIEW spelt WITH (streamx.continuous) AS SELECT count(spell(n)) FROM alone;
END
$broker->produce('alone', 0, '{"n": 1}');
caught_up($node, 'alone');
$broker->produce('alone', 0, '{"n": 6000}');
eventually($node, q{SELECT count(*) FROM streamx.dead_letters WHERE view = 'spelt'::regclass}, '1', 'a message that grows a worker and fails is a dead letter');
eventually($node, q{SELECT restarts FROM streamx.stat_workers WHERE stream_name = 'alone'}, '1', 'then the worker is begun anew');
$broker->produce('alone', 0, '{"n": 2}');
caught_up($node, 'alone');
shows($node, 'SELECT count FROM spelt', '2', 'each good message counts once');

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

# What planning reads is no message's: the statistics of one table are as large here as those of thousands of partitions, and
# are read after the worker's first batch
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE planned (n int) SERVER kafka OPTIONS (topic 'planned');
CREATE VIEW plain WITH (streamx.continuous) AS SELECT count(*) FROM planned;
SET default_statistics_target = 10000;
CREATE TABLE wide AS SELECT i AS n, a, reverse(a) AS b, a || 'c' AS c, a || 'd' AS d, a || 'e' AS e, a || 'f' AS f, a || 'g' AS g, a || 'h' AS h
	FROM generate_series(1, 10000) i, LATERAL (SELECT string_agg(md5(format('%s %s', i, j)), '') AS a FROM generate_series(1, 31) j) s;
ANALYZE wide;
END
$broker->produce('planned', 0, '{"n": 1}');
caught_up($node, 'planned');
$node->safe_psql('postgres', q{CREATE VIEW joined WITH (streamx.continuous) AS SELECT count(*), max(length(a || b || c || d || e || f || g || h)) FROM planned JOIN wide USING (n)});
for my $n (2 .. 3)
{
	$broker->produce('planned', 0, qq({"n": $n}));
	caught_up($node, 'planned');
}
shows($node, 'SELECT plain.count, joined.count, max FROM plain, joined', '3|3|7942', 'views with a large table count each message');
my $place = -s $node->logfile;
$node->safe_psql('postgres', q{SELECT pg_log_backend_memory_contexts(pid) FROM streamx.stat_workers WHERE stream_name = 'planned'});
$node->wait_for_log(qr/CacheMemoryContext: \d+ total/, $place);
my ($bytes) = substr(slurp_file($node->logfile), $place) =~ /CacheMemoryContext: (\d+) total/;
cmp_ok($bytes, '>', 64 * 1024 * 1024, 'and what their plans read stays');
shows($node, q{SELECT restarts FROM streamx.stat_workers WHERE stream_name = 'planned'}, '0', 'which does not begin the worker anew');

$node->stop;
$broker->stop;
done_testing();
