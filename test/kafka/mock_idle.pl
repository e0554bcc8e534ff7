# What cannot be heard is no silence: a broker that is away, a partition that nobody leads

use strict;
use warnings;

use POSIX qw(strftime);
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(-brokers => 2, lost => 2, leaderless => 2);
my $node = streamx_node('mock_idle', broker => $broker);

sub message
{
	return sprintf('{"n": 1, "event_time": "%s"}', strftime('%Y-%m-%dT%H:%M:%SZ', gmtime($_[0])));
}

# A stream, paused, with a view of windows
sub create
{
	my ($name, $topic, $options) = @_;

	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE $name (n int, event_time timestamptz)
	SERVER kafka OPTIONS (topic '$topic', event_time 'event_time', $options);
SELECT streamx.pause('$name');
CREATE VIEW ${name}_windows WITH (streamx.continuous) AS
	SELECT tumble(event_time, '1 hour') AS w, count(*) AS n FROM $name GROUP BY 1;
END
}

# The broker goes away before a partition has been silent for long enough, which is much less then, for one worker and for two
my $noon = 1714557600 + 7200;
my @lost = qw(lost lost_shared);
create('lost', 'lost', "idle_timeout '1 hour'");
create('lost_shared', 'lost', "idle_timeout '1 hour', workers '2'");
sub idle_after { my ($silence) = @_; $node->safe_psql('postgres', "ALTER FOREIGN TABLE $_ OPTIONS (SET idle_timeout '$silence')") for @lost; }
$node->safe_psql('postgres', "SELECT streamx.resume('$_')") for @lost;
eventually($node, q{SELECT count(*) FROM streamx.stat_workers WHERE pid IS NOT NULL}, '3', 'three workers');
$broker->produce('lost', $_, message($noon)) for 0, 1;
caught_up($node, $_) for @lost;
$broker->produce('lost', 0, message($noon + 18000));
caught_up($node, $_) for @lost;
$broker->tell('down all');
eventually($node, q{SELECT DISTINCT state FROM streamx.stat_workers}, 'disconnected', 'the broker is away');
idle_after('300 ms');
$node->safe_psql('postgres', 'SELECT pg_sleep(4)');
shows($node, "SELECT streamx.watermark('$_')", '2024-05-01 12:00:00+00', "rule 10: while the broker is away no partition falls silent: $_") for @lost;
shows($node, q{SELECT DISTINCT idle FROM streamx.stat_partitions}, 'f', 'rule 10: or idle');
idle_after('1 hour');
$broker->tell('up all');
eventually($node, q{SELECT DISTINCT state FROM streamx.stat_workers}, 'caught up', 'it is back');
$broker->produce('lost', 1, message($noon + 3600));
caught_up($node, $_) for @lost;
shows($node, 'SELECT count(*) FROM streamx.late_rows', '0', 'rule 10: what comes when it is back is on time');
idle_after('300 ms');
eventually($node, "SELECT streamx.watermark('$_')", '2024-05-01 17:00:00+00', "rule 10: then silence counts again: $_") for @lost;
verified($node, "${_}_windows") for @lost;

# A partition has an unread message, and the clock must wait for it (see mock_lag.pl)
my ($gone, $back) = $broker->library =~ /^2\.0\./ ? ('leader leaderless 1 -1', 'leader leaderless 1 2') : ('down 2', 'up 2');
$broker->tell("leader leaderless $_ @{[$_ + 1]}") for 0, 1;
create('leaderless', 'leaderless', "idle_timeout '300 ms', idle_advance 'on'");
$broker->produce('leaderless', $_, message($noon)) for 0, 1;
$node->safe_psql('postgres', "SELECT streamx.step('leaderless')");
shows($node, "SELECT streamx.watermark('leaderless')", '2024-05-01 12:00:00+00', 'both partitions are known');
$broker->produce('leaderless', 1, message($noon + 60));
$broker->tell($gone);
$node->safe_psql('postgres', "SELECT streamx.resume('leaderless')");
eventually($node, q{SELECT idle FROM streamx.stat_partitions WHERE stream = 'leaderless'::regclass ORDER BY "partition"}, "t\nf",
	'rule 10: a partition that was read to its end and is silent is idle, one with unread messages is not');
$node->safe_psql('postgres', 'SELECT pg_sleep(2)');
shows($node, "SELECT streamx.watermark('leaderless')", '2024-05-01 12:00:00+00', 'rule 10: with idle_advance a partition with unread messages holds the watermark');
$broker->tell($back);
caught_up($node, 'leaderless');
shows($node, q{SELECT (SELECT sum(n) FROM leaderless_windows), count(*) FROM streamx.late_rows}, '3|0', 'rule 10: its message is on time');
eventually($node, q{SELECT streamx.watermark('leaderless') > now() - interval '30 s'}, 't', 'rule 10: then the clock is followed');
verified($node, 'leaderless_windows');

$node->stop;
$broker->stop;
done_testing();
