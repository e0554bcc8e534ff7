# A partition without rows: when it stops holding the watermark, and what the clock does then

use strict;
use warnings;

use POSIX qw(strftime);
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(silent => 2, backlog => 2, sleeping => 2, ahead => 1, total => 1, empty => 2, local => 1);
my $node = streamx_node('idle', broker => $broker, settings => ['autovacuum = off']); # which takes transaction ids

# A message with an event time of today, so many seconds from now
sub at_seconds
{
	my ($seconds) = @_;

	return sprintf('{"n": 1, "event_time": "%s"}', strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + $seconds)));
}

sub on_may_first
{
	my ($time) = @_;

	return sprintf('{"n": 1, "event_time": "2024-05-01T%sZ"}', $time);
}

# A stream with a view of windows
sub create
{
	my ($name, $options, $size) = @_;

	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE $name (n int, event_time timestamptz)
	SERVER kafka OPTIONS (topic '$name', event_time 'event_time', $options);
CREATE VIEW ${name}_windows WITH (streamx.continuous) AS
	SELECT tumble(event_time, '$size') AS w, count(*) AS n FROM $name GROUP BY 1;
END
}

# Nothing can be waited for where nothing is to happen: so many batch intervals
sub pause_seconds
{
	my ($seconds) = @_;

	$node->safe_psql('postgres', "SELECT pg_sleep($seconds)");
}

# idle_timeout
create('silent', "idle_timeout '1 hour'", '1 hour');
$broker->produce('silent', 0, on_may_first('10:00:00'));
$broker->produce('silent', 1, on_may_first('10:00:00'));
caught_up($node, 'silent');
$broker->produce('silent', 0, on_may_first('15:00:00'));
caught_up($node, 'silent');
shows($node, "SELECT streamx.watermark('silent')", '2024-05-01 10:00:00+00', 'rule 10: before idle_timeout a partition that had rows holds the watermark');
eventually($node, q{SELECT DISTINCT at_end, idle FROM streamx.stat_partitions WHERE stream = 'silent'::regclass}, 't|f', 'rule 10: and is not idle, though at its end');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE silent OPTIONS (SET idle_timeout '300 ms')");
eventually($node, "SELECT streamx.watermark('silent')", '2024-05-01 15:00:00+00', 'rule 10: when it was silent for so long, it does not');
eventually($node, q{SELECT DISTINCT at_end, idle FROM streamx.stat_partitions WHERE stream = 'silent'::regclass}, 't|t', 'rule 10: it is idle');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE silent OPTIONS (SET idle_timeout '1 hour')");
$broker->produce('silent', 1, on_may_first('12:00:00'));
caught_up($node, 'silent');
shows($node, "SELECT streamx.watermark('silent')", '2024-05-01 15:00:00+00', 'rule 10: its next row does not move the watermark back');
shows($node, 'SELECT event_time, counted FROM streamx.late_rows', '2024-05-01 12:00:00+00|f', 'rule 10: and is late');
$broker->produce('silent', 1, on_may_first('16:00:00'));
$broker->produce('silent', 0, on_may_first('20:00:00'));
caught_up($node, 'silent');
shows($node, "SELECT streamx.watermark('silent')", '2024-05-01 16:00:00+00', 'rule 10: with new rows the partition holds the watermark again');
verified($node, 'silent_windows');

# A partition that is always silent, but not at its end
create('backlog', "idle_timeout '0'", '1 minute');
$node->safe_psql('postgres', "SELECT streamx.pause('backlog')");
for my $partition (0, 1)
{
	$broker->produce('backlog', $partition, map { on_may_first(sprintf('%02d:%02d:00', $_ / 60, $_ % 60)) } 0 .. 1199);
}
$node->safe_psql('postgres', "DO \$\$ BEGIN WHILE streamx.step('backlog', 100) > 0 LOOP END LOOP; END \$\$");
shows($node, q{SELECT count(*), min(n), max(n) FROM backlog_windows}, '1200|2|2', 'rule 10: silence counts only at the end: every row is on time');
shows($node, "SELECT streamx.watermark('backlog')", '2024-05-01 19:59:00+00', 'rule 10: the watermark is at the end of both');
verified($node, 'backlog_windows');

# idle_advance: the clock less the delay, once all are silent
my $follows = "streamx.watermark('%s') BETWEEN now() - interval '1 minute 30 s' AND now() - interval '1 minute'";
create('sleeping', "idle_timeout '1 hour', idle_advance 'on', watermark_delay '1 minute'", '1 minute');
$node->safe_psql('postgres', <<'END');
CREATE VIEW sleeping_hops WITH (streamx.continuous) AS
	SELECT hop(event_time, '20 minutes', '1 minute') AS w, count(*) AS n FROM sleeping GROUP BY 1;
CREATE VIEW sleeping_lenient WITH (streamx.continuous, streamx.allowed_lateness = '1 hour') AS
	SELECT tumble(event_time, '1 minute') AS w, count(*) AS n FROM sleeping GROUP BY 1;
END
my $earlier = at_seconds(-600); # both in one window
$broker->produce('sleeping', $_, $earlier) for 0, 1;
caught_up($node, 'sleeping');
my $watermark = $node->safe_psql('postgres', "SELECT streamx.watermark('sleeping')");
pause_seconds(2);
shows($node, "SELECT streamx.watermark('sleeping')", $watermark, 'rule 10: with idle_advance an active partition holds the watermark');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE sleeping OPTIONS (SET idle_timeout '500 ms')");
eventually($node, 'SELECT ' . sprintf($follows, 'sleeping'), 't', 'rule 10: when all are idle it follows the clock less the delay');
shows($node, q{SELECT bool_and(upper(w) <= streamx.watermark('sleeping_windows')) FROM sleeping_windows}, 't', 'rule 10: the last window closes');
$watermark = $node->safe_psql('postgres', "SELECT streamx.watermark('sleeping')");
eventually($node, "SELECT streamx.watermark('sleeping') > '$watermark' AND " . sprintf($follows, 'sleeping'), 't', 'rule 10: and goes on following it');

# ... no more often than once per batch_interval
my ($batches, $seconds) = split /\|/, $node->safe_psql('postgres', <<'END');
SELECT batches, extract(epoch FROM clock_timestamp()) FROM streamx.stat_streams WHERE stream = 'sleeping'::regclass
END
pause_seconds(3);
shows($node, <<"END", 't|t', 'rule 10: it takes one small transaction per batch_interval');
SELECT batches > $batches, batches - $batches <= extract(epoch FROM clock_timestamp()) - $seconds + 1
FROM streamx.stat_streams WHERE stream = 'sleeping'::regclass
END

# ... and it judges what comes later
$broker->produce('sleeping', 0, at_seconds(-600));
caught_up($node, 'sleeping');
shows($node, q{SELECT view, counted, refused_through <= watermark FROM streamx.late_rows WHERE stream = 'sleeping'::regclass ORDER BY view::text},
	"sleeping_hops|t|t\nsleeping_windows|f|t", 'rule 10: a row from before the advanced watermark is late, for the windows that it closed');
$broker->produce('sleeping', 1, at_seconds(0));
caught_up($node, 'sleeping');
shows($node, q{SELECT count(*), sum(n) FROM sleeping_windows}, '2|3', 'rule 10: one from after it counts');
shows($node, q{SELECT view, rows, late_rows, partly_late_rows, rows_in_no_window FROM streamx.stat_views WHERE stream = 'sleeping'::regclass ORDER BY view::text},
	"sleeping_hops|4|0|1|0\nsleeping_lenient|4|0|0|0\nsleeping_windows|3|1|0|0", 'the counters tell them apart');
verified($node, $_) for qw(sleeping_windows sleeping_hops sleeping_lenient);

# ... is stored, and goes on after a restart
$watermark = $node->safe_psql('postgres', "SELECT streamx.watermark('sleeping')");
$node->restart;
shows($node, "SELECT streamx.watermark('sleeping') >= '$watermark'", 't', 'rule 10: an advanced watermark survives a restart');
eventually($node, "SELECT streamx.watermark('sleeping') > '$watermark' AND " . sprintf($follows, 'sleeping'), 't', 'rule 10: and follows the clock after it');
verified($node, $_) for qw(sleeping_windows sleeping_hops sleeping_lenient);
$node->safe_psql('postgres', 'DROP FOREIGN TABLE sleeping CASCADE');

# A row ahead of the clock is accepted, and the clock does not move the watermark back
create('ahead', "idle_timeout '300 ms', idle_advance 'on'", '1 minute');
eventually($node, "SELECT streamx.watermark('ahead') > now() - interval '30 s'", 't', 'rule 10: a topic that never had a row follows the clock as well');
$broker->produce('ahead', 0, at_seconds(1800));
caught_up($node, 'ahead');
shows($node, "SELECT streamx.watermark('ahead') > now() + interval '28 minutes'", 't', 'rule 7: with idle_advance max_future accepts what it did');
shows($node, 'SELECT sum(n) FROM ahead_windows', '1', 'rule 7: and it counts');
($watermark, $batches) = split /\|/, $node->safe_psql('postgres', <<'END');
SELECT streamx.watermark('ahead'), batches FROM streamx.stat_streams WHERE stream = 'ahead'::regclass
END
pause_seconds(2);
shows($node, q{SELECT streamx.watermark('ahead'), batches FROM streamx.stat_streams WHERE stream = 'ahead'::regclass},
	"$watermark|$batches", 'rule 10: a clock that is behind the watermark moves nothing and commits nothing');
verified($node, 'ahead_windows');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE ahead CASCADE');

# Without views that have windows there is nothing to close
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE total (n int, event_time timestamptz)
	SERVER kafka OPTIONS (topic 'total', event_time 'event_time', idle_timeout '0', idle_advance 'on');
CREATE VIEW total_sum WITH (streamx.continuous) AS SELECT sum(n) AS n FROM total;
END
$broker->produce('total', 0, on_may_first('10:00:00'));
caught_up($node, 'total');
pause_seconds(2);
shows($node, "SELECT streamx.watermark('total')", '2024-05-01 10:00:00+00', 'rule 10: for views without windows the clock is not followed');
$node->safe_psql('postgres', <<'END');
CREATE VIEW total_minutes WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 minute') AS w, sum(n) AS n FROM total GROUP BY 1;
END
eventually($node, "SELECT streamx.watermark('total_minutes') > now() - interval '30 s'", 't', 'rule 10: a view with windows lets it be followed');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE total CASCADE');

# Event times that are local: so is the clock
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE local (n int, at timestamp)
	SERVER kafka OPTIONS (topic 'local', event_time 'at', timezone 'America/New_York', idle_timeout '300 ms', idle_advance 'on');
CREATE VIEW local_minutes WITH (streamx.continuous) AS
	SELECT tumble(at, '1 minute') AS w, sum(n) AS n FROM local GROUP BY 1;
END
eventually($node, <<'END', 't', 'rule 10: of timestamps without a zone, the clock is that of the stream\'s zone');
SELECT streamx.watermark('local') AT TIME ZONE 'UTC'
       BETWEEN (now() AT TIME ZONE 'America/New_York') - interval '30 s' AND (now() AT TIME ZONE 'America/New_York')
END
$node->safe_psql('postgres', 'DROP FOREIGN TABLE local CASCADE');

# Without the option a worker is as quiet as ever
create('empty', "idle_timeout '300 ms'", '1 minute');
$broker->produce('empty', 0, on_may_first('10:00:00'));
eventually($node, "SELECT streamx.watermark('empty')", '2024-05-01 10:00:00+00', 'a row comes');
eventually($node, q{SELECT count(*) FROM streamx.stat_partitions WHERE idle AND stream = 'empty'::regclass}, '2', 'and no other');
my $xid = $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
pause_seconds(2);
shows($node, 'SELECT pg_snapshot_xmax(pg_current_snapshot())', $xid, 'rule 19: without idle_advance an idle worker burns no transaction IDs');
shows($node, "SELECT streamx.watermark('empty')", '2024-05-01 10:00:00+00', 'rule 10: and the watermark stands');

$node->stop;
$broker->stop;
done_testing();
