# The figures: a table to read, and results/latest.json, a list of
# { contestant, query, figure, unit, value, low, high, ratio_to_streamx }.
package Report;
use strict;
use warnings;

use Exporter qw(import);
use JSON::PP;
use List::Util qw(max min);

use Contestant;

our @EXPORT = qw(begin_report report_race report_latency report_reading report_sketches end_report figure_of);

my @rows;
my %machine;

# figure of a run: [name, unit]; in the order of the table's columns
my @figures = (
	[ cpu => 's per million events' ], [ worker => 's per million events' ], [ others => 's per million events' ],
	[ main => 's per million events' ], [ events_per_s => 'events/s' ], [ wal_bytes => 'bytes per event' ], [ memory_mb => 'MB' ],
	[ batches => 'commits' ], [ state_rows => 'rows' ]);

sub begin_report
{
	%machine = @_;
	push @rows, { contestant => 'machine', query => undef, figure => $_, unit => undef, value => $machine{$_}, ratio_to_streamx => undef }
		for sort keys %machine;
}

sub add
{
	my ($contestant, $query, $figure, $unit, $value, %more) = @_;

	push @rows, { contestant => $contestant, query => $query, figure => $figure, unit => $unit, value => $value, ratio_to_streamx => undef, %more };
}

# Value of a figure that was reported, or nothing.
sub figure_of
{
	my ($contestant, $query, $figure) = @_;
	my ($row) = grep { $_->{contestant} eq $contestant && ($_->{query} // '') eq $query && $_->{figure} eq $figure } @rows;

	return $row ? $row->{value} : undef;
}

# ---- races ----

# The run with the middle CPU, and the range.
sub report_race
{
	my ($shape, $count, $contestants, $runs) = @_;
	my $format = "%-30s %8s %17s %8s %8s %10s %8s %8s %9s\n";

	printf "\n%s, %d events, the middle of %d runs\n", $shape->{name}, $count, max(0, map { scalar @$_ } values %$runs);
	printf $format, '', 's CPU/M', '(range)', 'others', 'ratio', 'events/s', 'WAL B/ev', 'MB', 'commits';
	for my $contestant (grep { $runs->{ $_->{name} } } @$contestants)
	{
		my @sorted = sort { $a->{cpu} <=> $b->{cpu} } @{ $runs->{ $contestant->{name} } };
		my $middle = $sorted[ $#sorted / 2 ];
		my $ratio = add_race($contestant->{name}, $shape->{name}, $count, \@sorted);

		printf $format, $contestant->{title}, sprintf('%.3f', $middle->{cpu}), sprintf('%.3f - %.3f', $sorted[0]{cpu}, $sorted[-1]{cpu}),
			sprintf('%.3f', $middle->{others}), defined $ratio ? sprintf('%.2f', $ratio) : '', sprintf('%.0f', $middle->{events_per_s}),
			sprintf('%.1f', $middle->{wal_bytes}), sprintf('%.0f', $middle->{memory_mb}),
			$middle->{batches} . ($middle->{is_between_reads} ? ', by reads' : '');
	}
}

sub add_race
{
	my ($name, $query, $count, $sorted) = @_;
	my $middle = $sorted->[ $#$sorted / 2 ];

	for my $figure (grep { defined $middle->{ $_->[0] } } @figures)
	{
		my ($key, $unit) = @$figure;
		my @values = map { $_->{$key} } @$sorted;
		my $value = $key eq 'memory_mb' ? max(@values) : $middle->{$key};

		add($name, $query, $key, $unit, $value + 0, low => min(@values) + 0, high => max(@values) + 0, events => $count, runs => scalar @$sorted,
			notes => $middle->{notes});
	}
	return ratio($middle->{cpu}, figure_of('streamx', $query, 'cpu'));
}

sub ratio { return defined $_[0] && $_[1] ? $_[0] / $_[1] : undef; }

# ---- beside them ----

sub report_latency
{
	my ($name, $load, $figures) = @_;

	printf "\n%s, %s: visible to SELECT after %.1f ms median, %.1f ms p99, %.1f ms at most (%d probes)\n", $name, $load,
		@$figures{qw(p50 p99 p100 probes)};
	add($name, "tumble-10, $load", "visible_$_", 'ms', $figures->{$_}) for qw(p50 p99 p100);
}

sub report_reading
{
	my ($batch, $window, $sealing) = @_;

	printf "\nbatch of one row: %.0f us of CPU one after the other, %.0f us one each 40 ms\n", @$batch{qw(in_a_row now_and_then)};
	printf "one key's hop window of 600 slices: read in %.2f ms median, %.2f ms p99\n", @$window{qw(p50 p99)};
	printf "a batch that seals 200,000 windows: %.1f ms, the backend grew by %.1f MB\n", @$sealing{qw(ms grew_mb)};
	add('streamx', 'batch of one row', $_, 'us of CPU', $batch->{$_}) for sort keys %$batch;
	add('streamx', 'one window of 600 slices', $_, 'ms', $window->{$_}) for sort keys %$window;
	add('streamx', 'seal 200,000 windows', 'took', 'ms', $sealing->{ms});
	add('streamx', 'seal 200,000 windows', 'grew', 'MB', $sealing->{grew_mb});
}

sub report_sketches
{
	my ($sketches) = @_;

	for my $name (sort keys %$sketches)
	{
		my $sketch = $sketches->{$name};
		my $error = length($sketch->{error} // '') ? sprintf(', %.2f %% off', 100 * $sketch->{error}) : '';

		printf "sketch of a million values, %s: %d bytes%s, two merge in %.1f us\n", $name, $sketch->{bytes}, $error, $sketch->{merge};
		add('streamx', "$name sketch of a million values", 'size', 'bytes', $sketch->{bytes});
		add('streamx', "$name sketch of a million values", 'merge', 'us', $sketch->{merge});
		add('streamx', "$name sketch of a million values", 'error', '1', $sketch->{error}) if $error;
	}
}

sub end_report
{
	my ($file) = @_;

	for my $row (grep { $_->{contestant} ne 'machine' && $_->{query} } @rows)
	{
		$row->{ratio_to_streamx} = ratio($row->{value}, figure_of('streamx', $row->{query}, $row->{figure}));
		delete $row->{notes} unless $row->{notes};
	}
	return unless $file;
	open(my $out, '>', $file) or die "$file: $!";
	print $out JSON::PP->new->pretty->canonical->encode(\@rows);
	close($out) or die "$file: $!";
}

1;
