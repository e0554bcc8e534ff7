# What batches cost while a snapshot is held: nothing that was deleted since can be vacuumed

use strict;
use warnings;

use StreamX;
use Test::More;

my $keys = 50;
my $seconds = 0;
my $node = streamx_node('held');

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE visits (at timestamptz, k int) SERVER streamx OPTIONS (event_time 'at');
CREATE VIEW kept WITH (streamx.continuous, streamx.retention = '1 minute') AS SELECT session(at, '5 seconds') AS w, k, count(*) FROM visits GROUP BY 1, 2;
CREATE VIEW folded WITH (streamx.continuous) AS SELECT session(at, '5 seconds') AS w, k, array_agg(at ORDER BY at) FROM visits GROUP BY 1, 2;
END
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$reader->query_safe('SELECT count(*) FROM kept');
read_by_passes() for 1 .. 5;
my %before = read_by_passes();
read_by_passes() for 1 .. 30;
my %after = read_by_passes();
for my $view ('kept', 'folded')
{
	cmp_ok($before{$view}, '>', 0, "passes over $view go by its index");
	is($after{$view}, $before{$view}, "dead rows of $view are not gone through again");
}
$reader->query_safe('COMMIT');
$reader->quit;

$node->stop;
done_testing();

# A batch that begins a session of each key and ends the last ones: entries read of the index on slice_start, by view.
sub read_by_passes
{
	my $read = q{SELECT v.view, sum(idx_tup_read) FROM streamx.views AS v JOIN pg_stat_user_indexes AS i ON i.relid = v.state
		WHERE pg_get_indexdef(indexrelid) ~ '\(slice_start\)' GROUP BY 1};

	$seconds += 60;
	my %read = ask("SELECT pg_stat_force_next_flush(); $read");
	$node->safe_psql('postgres', "INSERT INTO visits SELECT timestamptz '2024-05-01Z' + $seconds * interval '1 s', k FROM generate_series(1, $keys) k;
		SELECT pg_stat_force_next_flush()");
	my %then = ask($read);
	return map { $_ => $then{$_} - $read{$_} } keys %read;
}

sub ask { return map { split /\|/ } grep { /\|/ } split /\n/, $node->safe_psql('postgres', $_[0]); }
