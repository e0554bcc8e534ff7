# The watermark: what moves it, what holds it, and which rows it makes late

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(preloaded => 3, quiet => 2, moved => 1, judged => 1, rejected => 1);
my $node = streamx_node('watermark', broker => $broker);

# Partitions filled one after another, each with the same two days
for my $partition (0 .. 2)
{
	$broker->produce('preloaded', $partition,
		map { sprintf('{"n": %d, "event_time": "2024-05-%02dT%02d:%02d:00Z"}', $_, 1 + $_ / 1440, $_ / 60 % 24, $_ % 60) }
			0 .. 2879);
}
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE preloaded (n int, event_time timestamptz)
	SERVER kafka OPTIONS (topic 'preloaded', format 'json', event_time 'event_time');
CREATE VIEW hourly WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, count(*) AS n FROM preloaded GROUP BY 1;
END
caught_up($node, 'preloaded');
shows($node, 'SELECT count(*) FROM streamx.late_rows', '0', 'rule 10: catching up makes no row late');
shows($node, 'SELECT count(*), min(n), max(n) FROM hourly', '48|180|180', 'rule 10: every window has the rows of all partitions');
shows($node, "SELECT streamx.watermark('hourly') = '2024-05-02 23:59:00Z', streamx.watermark('preloaded') = '2024-05-02 23:59:00Z'",
	't|t', 'rule 9: the watermark is at the end of the slowest partition');
verified($node, 'hourly');

# It judges rows that come later
$broker->produce('preloaded', 1, '{"n": 1, "event_time": "2024-05-02T22:30:00Z"}', '{"n": 1, "event_time": "2024-05-02T23:30:00Z"}');
caught_up($node, 'preloaded');
shows($node, 'SELECT event_time, refused_through, counted FROM streamx.late_rows',
	'2024-05-02 22:30:00+00|2024-05-02 23:00:00+00|f', 'rule 11: a row of a closed window is late');
shows($node, "SELECT n FROM hourly WHERE lower(w) = '2024-05-02 23:00:00Z'", '181', 'rule 11: a row of the open window counts');

# It is stored: a restart does not move it back
my $watermark = $node->safe_psql('postgres', "SELECT streamx.watermark('hourly')");
$node->restart;
shows($node, "SELECT streamx.watermark('hourly')", $watermark, 'rule 9: the watermark survives a restart');
$broker->produce('preloaded', 2, '{"n": 1, "event_time": "2024-05-01T00:00:00Z"}');
caught_up($node, 'preloaded');
shows($node, 'SELECT count(*) FROM streamx.late_rows', '2', 'rule 9: and judges after it');
verified($node, 'hourly');

# A view that starts later at the beginning judges by its own watermark
$node->safe_psql('postgres', <<'END');
CREATE VIEW hourly_again WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, count(*) AS n FROM preloaded GROUP BY 1;
END
caught_up($node, 'preloaded');
shows($node, 'SELECT count(*), min(n) FROM hourly_again', '48|180', 'rule 9: the first rows of an old topic are on time for a new view');
shows($node, "SELECT streamx.watermark('hourly_again')", $watermark, 'rule 9: its watermark comes to where the other is');
verified($node, 'hourly_again');

# A partition that never had a row does not hold it once its end was seen
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE quiet (n int, event_time timestamptz)
	SERVER kafka OPTIONS (topic 'quiet', format 'json', event_time 'event_time', watermark_delay '1 minute');
CREATE VIEW quiet_hourly WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, count(*) AS n FROM quiet GROUP BY 1;
END
$broker->produce('quiet', 0, '{"n": 1, "event_time": "2024-05-01T12:00:00Z"}');
eventually($node, "SELECT streamx.watermark('quiet')", '2024-05-01 11:59:00+00', 'rule 10: a partition that never had a row is idle at its end');
$broker->produce('quiet', 1, '{"n": 1, "event_time": "2024-05-01T10:00:00Z"}');
caught_up($node, 'quiet');
shows($node, "SELECT streamx.watermark('quiet')", '2024-05-01 11:59:00+00', 'rule 9: its first row does not move the watermark back');
shows($node, "SELECT count(*) FROM streamx.late_rows WHERE stream = 'quiet'::regclass", '1', 'rule 10: but is late');

# What moves it: rows that the stream accepted, less the delay
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE moved (n int CHECK (n < 100), event_time timestamptz)
	SERVER kafka OPTIONS (topic 'moved', event_time 'event_time', watermark_delay '1 minute');
SELECT streamx.pause('moved');
CREATE VIEW moved_hourly WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, sum(60 / n) AS n FROM moved WHERE n <> 7 GROUP BY 1;
END
$broker->produce('moved', 0, map { sprintf('{"n": %d, "event_time": "2024-05-01T%sZ"}', @$_) }
	[ 1, '10:00:00' ], [ 100, '11:00:00' ], [ 0, '12:00:00' ], [ 7, '13:00:00' ], [ 1, '12:00:00' ], [ 1, '11:30:00' ], [ 7, '09:00:00' ], [ 1, '12:59:00' ]);

# Step over so many messages; the watermark of each step
sub steps
{
	my ($stream, $count) = @_;

	return $node->safe_psql('postgres', join(';', ("SELECT streamx.step('$stream', 1)", "SELECT streamx.watermark('$stream')::time") x $count)) =~ s/^1\n//mgr;
}

is(steps('moved', 1), '09:59:00', 'rule 9: the watermark is the event time less watermark_delay, to the microsecond');
is(steps('moved', 1), '09:59:00', 'rule 9: a row that the stream refuses does not move it');
is(steps('moved', 1), '11:59:00', 'rule 9: one that only a view refuses does');
is(steps('moved', 1), '12:59:00', 'rule 11: so does one that WHERE rejects');
is(steps('moved', 1), '12:59:00', 'rule 9: an older row does not move it back');
shows($node, "BEGIN; SELECT streamx.step('moved', 1); ROLLBACK; SELECT \"offset\", watermark::time, event_time::time FROM streamx.stat_partitions WHERE stream = 'moved'::regclass",
	"1\n5|12:59:00|13:00:00", 'rule 9: it is stored with the offset, and rolled back with it');
is(steps('moved', 3), "12:59:00\n12:59:00\n12:59:00", 'the rest');
shows($node, q{SELECT lower(w)::time, n FROM moved_hourly ORDER BY 1}, "10:00:00|60\n12:00:00|120", 'rule 11: rows of the open window count');
shows($node, q{SELECT event_time::time, watermark::time FROM streamx.late_rows WHERE stream = 'moved'::regclass}, '11:30:00|12:59:00', 'rule 11: a row that WHERE rejects is never late');
shows($node, q{SELECT late_rows, partly_late_rows, rows_in_no_window, dead_letters FROM streamx.stat_views WHERE view = 'moved_hourly'::regclass},
	'1|0|0|1', 'the view counts what it refused');
verified($node, 'moved_hourly');

# Lateness is judged by the watermark before the micro-batch
sub judge
{
	my ($view, @steps) = @_;

	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE IF NOT EXISTS judged (n int, event_time timestamptz) SERVER kafka OPTIONS (topic 'judged', event_time 'event_time');
SELECT streamx.pause('judged');
CREATE VIEW $view WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, sum(n) AS n FROM judged GROUP BY 1;
END
	$node->safe_psql('postgres', $_) for @steps;
	verified($node, $view);
	return $node->safe_psql('postgres', "SELECT (SELECT sum(n) FROM $view), (SELECT sum((\"row\"->>'n')::int) FROM streamx.late_rows WHERE view = '$view'::regclass);
		DROP VIEW $view");
}

$broker->produce('judged', 0, map { sprintf('{"n": %d, "event_time": "2024-05-01T%02d:00:00Z"}', @$_) } [ 1, 12 ], [ 2, 8 ], [ 4, 11 ], [ 8, 12 ]);
my $one = "SELECT streamx.step('judged', 1)";
is(judge('together', "SELECT streamx.step('judged', 4)"), '15|', 'rule 11: within a micro-batch no row makes another late');
is(judge('apart', ($one) x 4), '9|6', 'rule 11: the next micro-batch is judged by what came before');
is(judge('one_transaction', "BEGIN; $one; $one; $one; $one; COMMIT"), '9|6', 'rule 11: also in one transaction');
is(judge('rolled_back', "BEGIN; $one; $one; ROLLBACK", "SELECT streamx.step('judged', 2)", $one, $one), '11|4', 'rule 11: a micro-batch that was rolled back is judged anew');

# Rows that a join rejects
$node->safe_psql('postgres', <<'END');
CREATE TABLE names (n int, name text);
INSERT INTO names VALUES (1, 'one');
CREATE FOREIGN TABLE rejected (n int, event_time timestamptz) SERVER kafka OPTIONS (topic 'rejected', event_time 'event_time');
SELECT streamx.pause('rejected');
CREATE VIEW rejected_hourly WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, name, count(*) AS n FROM rejected JOIN names USING (n) GROUP BY 1, 2;
END
$broker->produce('rejected', 0, map { sprintf('{"n": %d, "event_time": "2024-05-01T%s:00Z"}', @$_) } [ 1, '10:00' ], [ 2, '15:00' ], [ 2, '11:00' ], [ 1, '12:00' ]);
is(steps('rejected', 4), "10:00:00\n15:00:00\n15:00:00\n15:00:00", 'rule 11: rows that an inner join rejects move the watermark');
shows($node, q{SELECT event_time::time FROM streamx.late_rows WHERE stream = 'rejected'::regclass}, '12:00:00', 'rule 11: and are never late');
verified($node, 'rejected_hourly');

$node->stop;
$broker->stop;
done_testing();
