# The watermark waits for partitions that have unread messages, and for no others

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(preloaded => 3, quiet => 2, silent => 2);
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
shows($node, 'SELECT count(*) FROM streamx.late_rows', '0', 'catching up makes no row late');
shows($node, 'SELECT count(*), min(n), max(n) FROM hourly', '48|180|180', 'every window has the rows of all partitions');
shows($node, "SELECT streamx.watermark('hourly') = '2024-05-02 23:59:00Z', streamx.watermark('preloaded') = '2024-05-02 23:59:00Z'",
	't|t', 'the watermark is at the end of the slowest partition');
verified($node, 'hourly');

# It judges rows that come later
$broker->produce('preloaded', 1, '{"n": 1, "event_time": "2024-05-02T22:30:00Z"}', '{"n": 1, "event_time": "2024-05-02T23:30:00Z"}');
caught_up($node, 'preloaded');
shows($node, 'SELECT event_time, refused_through, counted FROM streamx.late_rows',
	'2024-05-02 22:30:00+00|2024-05-02 23:00:00+00|f', 'a row of a closed window is late');
shows($node, "SELECT n FROM hourly WHERE lower(w) = '2024-05-02 23:00:00Z'", '181', 'a row of the open window counts');

# It is stored: a restart does not move it back
my $watermark = $node->safe_psql('postgres', "SELECT streamx.watermark('hourly')");
$node->restart;
shows($node, "SELECT streamx.watermark('hourly')", $watermark, 'the watermark survives a restart');
$broker->produce('preloaded', 2, '{"n": 1, "event_time": "2024-05-01T00:00:00Z"}');
caught_up($node, 'preloaded');
shows($node, 'SELECT count(*) FROM streamx.late_rows', '2', 'and judges after it');
verified($node, 'hourly');

# A partition that never had a row does not hold it once its end was seen
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE quiet (n int, event_time timestamptz)
	SERVER kafka OPTIONS (topic 'quiet', format 'json', event_time 'event_time', watermark_delay '1 minute');
CREATE VIEW quiet_hourly WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, count(*) AS n FROM quiet GROUP BY 1;
END
$broker->produce('quiet', 0, '{"n": 1, "event_time": "2024-05-01T12:00:00Z"}');
eventually($node, "SELECT streamx.watermark('quiet')", '2024-05-01 11:59:00+00', 'an empty partition is idle, and watermark_delay counts');
$broker->produce('quiet', 1, '{"n": 1, "event_time": "2024-05-01T10:00:00Z"}');
caught_up($node, 'quiet');
shows($node, "SELECT streamx.watermark('quiet')", '2024-05-01 11:59:00+00', 'its first row does not move the watermark back');
shows($node, "SELECT count(*) FROM streamx.late_rows WHERE stream = 'quiet'::regclass", '1', 'but is late');

# A partition that had rows holds it until it has been silent for idle_timeout
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE silent (n int, event_time timestamptz)
	SERVER kafka OPTIONS (topic 'silent', format 'json', event_time 'event_time');
CREATE VIEW silent_hourly WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, count(*) AS n FROM silent GROUP BY 1;
END
$broker->produce('silent', 0, '{"n": 1, "event_time": "2024-05-01T10:00:00Z"}');
$broker->produce('silent', 1, '{"n": 1, "event_time": "2024-05-01T10:00:00Z"}');
caught_up($node, 'silent');
$broker->produce('silent', 0, '{"n": 1, "event_time": "2024-05-01T15:00:00Z"}');
caught_up($node, 'silent');
shows($node, "SELECT streamx.watermark('silent')", '2024-05-01 10:00:00+00', 'without idle_timeout a partition that had rows holds the watermark');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE silent OPTIONS (ADD idle_timeout '300 ms')");
eventually($node, "SELECT streamx.watermark('silent')", '2024-05-01 15:00:00+00', 'with it, silence lets the watermark pass');
eventually($node, "SELECT bool_and(at_end) FROM streamx.stat_partitions WHERE stream = 'silent'::regclass", 't', 'both partitions are at their ends');

$node->stop;
$broker->stop;
done_testing();
