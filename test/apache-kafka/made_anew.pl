# A topic that was deleted and made anew, with as many messages as before, is not taken for the old one; nor is a log that
# has lost its end, as after the election of a leader that had not all of it

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(running => 1, stopped => 1, shorter => 1, skipping => 1, rewritten => 1);
my $node = streamx_node('made_anew', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms', 'streamx.discovery_interval = 300ms' ]);
my %views = (running => 'running_sum', stopped => 'stopped_sum');

for my $topic (sort keys %views)
{
	$node->safe_psql('postgres', <<"END_SQL");
CREATE FOREIGN TABLE $topic (amount int) SERVER kafka OPTIONS (topic '$topic', format 'json');
CREATE VIEW $views{$topic} WITH (streamx.continuous) AS SELECT count(*) AS n, sum(amount) AS total FROM $topic;
END_SQL
	$broker->produce($topic, 0, ('{"amount": 1}') x 20);
	caught_up($node, $topic);
}
$node->safe_psql('postgres', q{SELECT streamx.pause('stopped')});

# One is being read while it happens, the other is not
for my $topic (sort keys %views)
{
	$broker->delete_topic($topic);
	eventually($node, "SELECT last_error LIKE '%Unknown topic%' FROM streamx.stat_workers WHERE stream_name = 'running'", 't', 'a topic that is gone is an error')
		if $topic eq 'running';
	$broker->create_topic($topic, 1);
	$broker->produce($topic, 0, ('{"amount": 1000}') x 50);
}
$node->safe_psql('postgres', q{SELECT streamx.resume('stopped')});
for my $topic (sort keys %views)
{
	eventually($node, "SELECT last_error LIKE '%made anew%' FROM streamx.stat_workers WHERE stream_name = '$topic' AND state = 'failing'",
		't', "$topic: the new topic is known for what it is");
	shows($node, "SELECT n, total FROM $views{$topic}", '20|20', "$topic: nothing of it is counted");
}

# Unless told so: then all of it
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE stopped OPTIONS (ADD on_gap 'skip')});
eventually($node, 'SELECT n, total FROM stopped_sum', '70|50020', q{with on_gap 'skip' it is read from its beginning});

# Logs that lose what was read last: two stay shorter, the third is written on before anybody looks at it again
my $gaps = q{SELECT "partition", from_offset, to_offset FROM streamx_internal.skip WHERE topic = '%s'};
my %cut = (shorter => 'stop', skipping => 'skip', rewritten => 'stop');

for my $topic (sort keys %cut)
{
	$node->safe_psql('postgres', <<"END_SQL");
CREATE FOREIGN TABLE $topic (amount int) SERVER kafka OPTIONS (topic '$topic', format 'json', on_gap '$cut{$topic}');
CREATE VIEW ${topic}_sum WITH (streamx.continuous) AS SELECT count(*) AS n, sum(amount) AS total FROM $topic;
END_SQL
	$broker->produce($topic, 0, ('{"amount": 1}') x $_) for 10, 20;
	caught_up($node, $topic);
}
$node->safe_psql('postgres', q{SELECT streamx.pause('rewritten')});
$broker->kill9;
$broker->cut_log($_, 0, 10) for sort keys %cut;
$broker->start;
$broker->produce('rewritten', 0, ('{"amount": 1000}') x 50);
$node->safe_psql('postgres', q{SELECT streamx.resume('rewritten')});

sub stops
{
	my ($topic, $error, $title) = @_;

	eventually($node, "SELECT last_error LIKE '$error' FROM streamx.stat_workers WHERE stream_name = '$topic' AND state = 'failing'", 't', $title);
	shows($node, "SELECT n, total FROM ${topic}_sum", '30|30', "$title: nothing of it is counted");
}

stops('shorter', 'offset 30 of partition 0 of Kafka topic "shorter" lies beyond the log, which begins at 0:%', 'fault 20: a log that is shorter than what was read');
stops('rewritten', 'partition 0 of Kafka topic "rewritten" has another record before offset 30 than was read there:%', 'fault 20: a log that was cut and written on');

# It was noticed while the log was shorter; that it is longer by now changes nothing
$broker->produce('shorter', 0, ('{"amount": 1000}') x 50);
stops('shorter', '%lies beyond the log%', 'fault 20: a log that was written on after that');
kill_workers($node);
stops('shorter', '%has another record before offset 30%', 'fault 20: and so says a new worker');

# Unless told so: from its beginning, since nobody knows how much of it is as it was
eventually($node, 'SELECT n, total FROM skipping_sum', '40|40', q{fault 20: with on_gap 'skip' what is left of it is read once more});
shows($node, sprintf($gaps, 'skipping'), '0|30|0', 'fault 20: which is recorded');
$broker->produce('skipping', 0, ('{"amount": 1}') x 5);
eventually($node, 'SELECT n, total FROM skipping_sum', '45|45', 'fault 20: and then it goes on');

$node->stop;
$broker->stop;
done_testing();
