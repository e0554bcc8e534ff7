# A topic that was deleted and made anew, with as many messages as before, is not taken for the old one

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(running => 1, stopped => 1);
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

$node->stop;
$broker->stop;
done_testing();
