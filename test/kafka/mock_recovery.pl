# A base backup, recovered to a point in time: offsets rewind with the state, and the topic is read again from there, if it reaches back so far

use strict;
use warnings;

use Kinds;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('original', broker => $broker, init => { has_archiving => 1, allows_streaming => 1 });
my $counted = q{SELECT (SELECT count FROM totals) + (SELECT count(*) FROM streamx.dead_letters)};
my $offsets = 'SELECT "partition", next_offset FROM streamx.progress ORDER BY 1, 2';

# The backup, recovered to a named point, or to the end of the archive
sub recovered
{
	my ($name, $target, $settings) = @_;
	my $recovered = PostgreSQL::Test::Cluster->new($name);

	$recovered->init_from_backup($node, 'base', has_restoring => 1, standby => 0);
	$recovered->append_conf('postgresql.conf', "archive_mode = off\nrecovery_target_action = 'promote'");
	$recovered->append_conf('postgresql.conf', "recovery_target_name = '$target'") if $target;
	$recovered->append_conf('postgresql.conf', $settings // '');
	$recovered->start;
	$recovered->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery does not end';
	return $recovered;
}

# Given a backup, and a point in time after it
make_views($node);
send_orders($broker, 1 .. 150);
caught_up($node, 'orders');
$node->backup('base');
send_orders($broker, 151 .. 300);
caught_up($node, 'orders');
$node->safe_psql('postgres', q{SELECT pg_create_restore_point('before')});
my $offsets_before = $node->safe_psql('postgres', $offsets);
my $rows_before = rows_of($node, 'postgres');

# When more was read after that point
send_orders($broker, 301 .. 450);
caught_up($node, 'orders');
my $rows_after = rows_of($node, 'postgres');
$node->safe_psql('postgres', 'SELECT pg_switch_wal()');
$node->stop;

# Then recovery brings offsets and state of the point back
my $at_point = recovered('at_point', 'before', 'streamx.enabled = off');

shows($at_point, $offsets, $offsets_before, 'offsets are those of the point');
is(rows_of($at_point, 'postgres'), $rows_before, 'and so is what the views show');
is(differences($at_point, 'postgres'), '', 'verify agrees');

# and what came later is read again
$at_point->safe_psql('postgres', 'ALTER SYSTEM SET streamx.enabled = on');
$at_point->reload;
caught_up($at_point, 'orders');
shows($at_point, $counted, '450', 'every message counts once');
is(differences($at_point, 'postgres'), '', 'verify agrees again');
$at_point->stop;

# Recovered to its end, the archive has it all
my $at_end = recovered('at_end', undef);

is(rows_of($at_end, 'postgres'), $rows_after, 'the end of the archive has the last state');
$at_end->stop;

# When the topic no longer reaches back to the point: the mock keeps 5 MiB of a partition
$broker->produce('orders', $_, ('{"item": "' . 'x' x 1000 . '"}') x 7000) for 0, 1;
my $too_late = recovered('too_late', 'before');

# Then the stream stops and names the offsets, and the views show what they had
my ($next) = $offsets_before =~ /^0\|(\d+)/;
$too_late->poll_query_until('postgres', q{SELECT last_error IS NOT NULL FROM streamx.stat_streams WHERE stream = 'orders'::regclass});
like($too_late->safe_psql('postgres', q{SELECT state || ': ' || last_error FROM streamx.stat_streams WHERE stream = 'orders'::regclass}),
	qr/^failing: offsets $next to \d+ of partition [01] of Kafka topic "orders" are gone/, 'a topic that is too short is an error that names the offsets');
shows($too_late, $offsets, $offsets_before, 'nothing was skipped');
is(rows_of($too_late, 'postgres'), $rows_before, 'views show what they had');
$too_late->stop;
$broker->stop;
done_testing();
