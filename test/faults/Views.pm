# Continuous views of all kinds, each with the arithmetic of what it must show.
#
# A view shows part, n = count(*) and s = sum(seq) of each of its groups, whatever
# else it has; so the sums over its rows follow from the records alone: each
# record counts once for each of its windows that took it.
package Views;

use strict;
use warnings;

use POSIX qw(floor);

my %state = (
	plain => 'min(amount) AS least, avg(amount) AS mean',
	inputs => 'count(DISTINCT item) AS items, array_agg(seq) AS seqs, percentile_disc(0.5) WITHIN GROUP (ORDER BY amount) AS median',
	sketch => 'approx_count_distinct(seq) AS distinct_seqs, approx_percentile(amount, 0.9) AS high, approx_top_k(item, 3) AS top',
);

# window: [function, size in seconds, slide or step]; state: of its other aggregates; fails: an
# aggregate fails at amount 0; where: passes amount % 3 > 0; note: uses that column;
# join: with the items 0 to 4; sets: each record is in so many grouping sets; no_parts: no GROUP BY.
my %catalogue = (
	total => { state => 'plain' },
	total_inputs => { state => 'inputs' },
	total_sketch => { state => 'sketch' },
	single => { state => 'inputs', no_parts => 1 },
	tumbles => { window => [ 'tumble', 60 ], state => 'plain', where => 1 },
	tumbles_inputs => { window => [ 'tumble', 60 ], state => 'inputs', options => q{streamx.allowed_lateness = '20 s'} },
	tumbles_sketch => { window => [ 'tumble', 90 ], state => 'sketch' },
	hops => { window => [ 'hop', 90, 30 ], state => 'plain', fails => 1, options => q{streamx.allowed_lateness = '15 s'} },
	hops_inputs => { window => [ 'hop', 60, 20 ], state => 'inputs', where => 1 },
	hops_sketch => { window => [ 'hop', 100, 50 ], state => 'sketch' },
	samples => { window => [ 'hop', 20, 60 ], state => 'plain' },
	steps => { window => [ 'cumulate', 180, 60 ], state => 'plain' },
	steps_inputs => { window => [ 'cumulate', 120, 30 ], state => 'inputs' },
	steps_sketch => { window => [ 'cumulate', 60, 20 ], state => 'sketch', options => q{streamx.allowed_lateness = '10 s'} },
	sessions => { window => [ 'session', 15 ], state => 'plain', by => 'item', fails => 1 },
	sessions_inputs => { window => [ 'session', 10 ], state => 'inputs', by => 'item' },
	sessions_sketch => { window => [ 'session', 20 ], state => 'sketch', by => 'item', options => q{streamx.allowed_lateness = '20 s'} },
	retained => { window => [ 'tumble', 30 ], state => 'inputs', options => q{streamx.retention = '90 s'} },
	retained_hops => { window => [ 'hop', 60, 30 ], state => 'plain', options => q{streamx.retention = '60 s'} },
	notes => { window => [ 'tumble', 120 ], state => 'plain', note => 1 },
	joined => { state => 'plain', by => 'item', join => 1 },
	sets => { window => [ 'tumble', 60 ], state => 'plain', sets => 2 },
);

sub names { return sort keys %catalogue; }

# The view NAME, called LABEL in the database, of a stream.
sub new
{
	my ($class, $name, $label, $stream) = @_;
	my $spec = $catalogue{$name} // die "no view $name";
	my $self = { %$spec, name => $name, label => $label, stream => $stream };

	$self->{$_} //= 0 for qw(where fails note join no_parts);
	$self->{sets} //= 1;
	return bless $self, $class;
}

sub label { return $_[0]->{label}; }
sub stream { return $_[0]->{stream}; }

# CREATE VIEW; more options than its own are text to append.
sub sql
{
	my ($self, $options) = @_;
	my ($function, @sizes) = @{ $self->{window} // [] };
	my @keys = $self->{no_parts} ? () : ('part');
	my @sets;
	my @columns;

	if ($function)
	{
		push @columns, "$function(at, " . join(', ', map { "'$_ s'" } @sizes) . ') AS w';
		push @keys, 'w';
	}
	push @columns, 'part' unless $self->{no_parts};
	push @columns, $self->{by} if $self->{by};
	push @keys, $self->{by} if $self->{by};
	push @columns, 'count(*) AS n', 'sum(seq) AS s', $state{ $self->{state} };
	push @columns, 'sum(1000 / amount) AS parts' if $self->{fails};
	push @columns, 'sum(note) AS notes' if $self->{note};
	push @columns, 'max(price) AS dearest' if $self->{join};
	@keys = ('GROUPING SETS ((part, w), (part, w, item))') if $self->{sets} > 1;
	$_ = $_ eq 'w' ? '1' : $_ for @keys;
	s/\bw\b/1/g for @keys;
	return sprintf('CREATE VIEW %s WITH (%s) AS SELECT %s FROM %s%s%s%s', $self->{label},
		join(', ', 'streamx.continuous', grep { $_ } $self->{options}, $options),
		join(', ', @columns), $self->{stream},
		$self->{join} ? ' JOIN items USING (item)' : '',
		$self->{where} ? ' WHERE amount % 3 > 0' : '',
		@keys ? ' GROUP BY ' . join(', ', @keys) : '');
}

# A query of (part, n, s), one row a partition; part is -1 where the view does not know it.
sub sums
{
	my ($self) = @_;
	my $part = $self->{no_parts} ? '-1' : 'part';

	return "SELECT $part, sum(n), coalesce(sum(s), 0) FROM $self->{label} GROUP BY 1";
}

# ---- arithmetic ----

sub passes
{
	my ($self, $record) = @_;

	return 0 if $self->{where} && $record->{amount} % 3 == 0;
	return 0 if $self->{join} && $record->{item} > 4;
	return 1;
}

# A column that this view needs cannot be read.
sub is_unreadable { my ($self, $record) = @_; return $self->{note} && $record->{fate} eq 'note'; }

sub fails { my ($self, $record) = @_; return $self->{fails} && $record->{amount} == 0; }

# Whether the engine must tell which windows a row came too late for.
sub knows_windows { my ($self) = @_; return defined $self->{window} && $self->{window}[0] ne 'session'; }

# The ends of a time's windows; undef for one whose end only the view knows.
sub ends
{
	my ($self, $at) = @_;
	my ($function, $size, $slide) = @{ $self->{window} // ['none'] };

	return (undef) if $function eq 'none' || $function eq 'session';
	my $start = floor($at / $size) * $size;
	return ($start + $size) if $function eq 'tumble';
	return grep { $_ > $at } map { $start + $_ * $slide } 1 .. $size / $slide if $function eq 'cumulate';
	# hop
	return map { $_ * $slide + $size } floor(($at - $size) / $slide) + 1 .. floor($at / $slide);
}

1;
