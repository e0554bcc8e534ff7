# What streamx's windows cost to read and to seal, and its sketches to merge.
package Reading;
use strict;
use warnings;

use Exporter qw(import);
use Time::HiRes qw(time);

use Latency;
use Process;
use Server;

our @EXPORT = qw(read_one_window seal_many merge_sketches);

# Milliseconds of one key's hop window made of 600 slices, among 100 keys with 3,000 slices each.
sub read_one_window
{
	my @took;

	ask("CREATE FOREIGN TABLE clicks (event_time timestamptz, k int, n numeric) SERVER streamx OPTIONS (event_time 'event_time')");
	ask("CREATE VIEW moving WITH (streamx.continuous) AS SELECT hop(event_time, '600 min', '1 min') AS w, k, count(*) AS n, avg(n) AS mean
		FROM clicks GROUP BY 1, 2");
	ask("INSERT INTO clicks SELECT '2025-01-01Z'::timestamptz + s * interval '1 min', k, s FROM generate_series(0, 2999) s, generate_series(1, 100) k");
	ask("ANALYZE " . ask('SELECT state FROM streamx.views'));
	for my $k (1 .. 50)
	{
		my $start = time;
		my $row = ask("SELECT n FROM moving WHERE k = $k AND w = tstzrange('2025-01-02Z', '2025-01-02 10:00Z')");

		push @took, (time - $start) * 1000;
		die "one window has $row rows\n" unless $row == 600;
	}
	ask('DROP FOREIGN TABLE clicks CASCADE');
	return { p50 => quantile(50, @took), p99 => quantile(99, @took) };
}

# A batch whose watermark closes and seals 100,000 windows and as many sessions: milliseconds, and
# megabytes that the backend grew by.
sub seal_many
{
	my $pid = session_pid();
	my $windows = 100_000;

	ask("CREATE FOREIGN TABLE clicks (event_time timestamptz, k int) SERVER streamx OPTIONS (event_time 'event_time')");
	ask("CREATE VIEW per_minute WITH (streamx.continuous) AS SELECT tumble(event_time, '1 min') AS w, k, count(*) AS n FROM clicks GROUP BY 1, 2");
	ask("CREATE VIEW sessions WITH (streamx.continuous) AS SELECT session(event_time, '1 min') AS w, k, count(*) AS n FROM clicks GROUP BY 1, 2");
	ask("INSERT INTO clicks SELECT '2025-01-01Z', k FROM generate_series(1, $windows) k");
	ask("INSERT INTO clicks VALUES ('2025-01-01Z', 0)");
	my ($memory, $start) = (memory_of($pid), time);
	ask("INSERT INTO clicks VALUES ('2025-01-02Z', 0)");
	my %figures = (ms => (time - $start) * 1000, grew_mb => (memory_of($pid) - $memory) / 2**20);
	ask('DROP FOREIGN TABLE clicks CASCADE');
	return \%figures;
}

# Sketches of a million values each: bytes, how far off, and microseconds to merge two.
sub merge_sketches
{
	my %figures;
	my %sketches = (
		distinct => [ 'distinct_sketch_agg(i)', 'abs(cardinality(s) - 1e6) / 1e6' ],
		quantile => [ 'quantile_sketch_agg(v)', 'abs(quantile(s, 0.5) - exact) / exact' ],
		top_k => [ 'top_k_sketch_agg(i % 1000000 / (1 + i % 100), 10)', 'NULL::float8' ]);

	for my $name (sort keys %sketches)
	{
		my ($aggregate, $error) = @{ $sketches{$name} };
		my $start;

		ask("CREATE TEMP TABLE sketches AS SELECT part, $aggregate AS s, percentile_disc(0.5) WITHIN GROUP (ORDER BY v) AS exact
			FROM (SELECT i, i % 2 AS part, exp((i % 999983) / 1e5) AS v FROM generate_series(1, 2000000) i) AS n GROUP BY part");
		@{ $figures{$name} }{qw(bytes error)} = split /\t/, ask("SELECT max(octet_length(s::text) / 2 - 1), max($error) FROM sketches"), -1;
		ask('SELECT count(a.s || b.s) FROM sketches a, sketches b, generate_series(1, 100) WHERE a.part = 0 AND b.part = 1');
		$start = time;
		ask('SELECT count(a.s || b.s) FROM sketches a, sketches b, generate_series(1, 2000) WHERE a.part = 0 AND b.part = 1');
		$figures{$name}{merge} = (time - $start) * 1e6 / 2000;
		ask('DROP TABLE sketches');
	}
	return \%figures;
}

1;
