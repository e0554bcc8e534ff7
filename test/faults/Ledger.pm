# What was delivered to a stream: numbered records, and what must become of them.
#
# Every record has a number of its own (seq), and its partition in itself.  Most
# are good; some are late, some cannot be read, some make a view fail.
package Ledger;

use strict;
use warnings;

my $epoch = 1_714_521_600;    # 2024-05-01 00:00 UTC; records count seconds from there

my @broken = (
	sub { "{broken $_[0]{seq}" },
	sub { '' . "[$_[0]{seq}]" },
	sub { json($_[0], amount => '"none"', seq => '"none"') },
	sub { json($_[0], seq => 'null') },
	sub { json($_[0], at => 'null') },
	sub { json($_[0], at => '"infinity"') },
	sub { json($_[0], at => '"9999-01-01T00:00:00Z"') },
	sub { json($_[0], seq => $_[0]{seq} . '0' x 30) },
	sub { '\xff\xfe' . json($_[0]) },
);

sub new
{
	my ($class, $partitions, %option) = @_;

	# pace: seconds of event time that pass with each record
	return bless { pace => 0.2, %option, partitions => $partitions, parts => [ map { [] } 1 .. $partitions ], seq => 0, clock => 3600, skips => [], is_rebuilt => {} }, $class;
}

# Its records have offsets, but nobody knows which one has which.
sub is_unordered { return $_[0]->{is_unordered}; }


sub partitions { return $_[0]->{partitions}; }

# The records of a partition, in the order of their offsets.
sub records { my ($self, $partition) = @_; return $self->{parts}[$partition]; }

sub delivered { my ($self) = @_; my $sum = 0; $sum += @$_ for @{ $self->{parts} }; return $sum; }

# ---- what was asked to be skipped ----

# Calls of streamx.skip that were granted (Skips::granted), and the names of views that are being rebuilt now.
sub note_skips
{
	my ($self, $skips, @rebuilt) = @_;

	$self->{skips} = $skips;
	$self->{is_rebuilt} = { map { $_ => 1 } @rebuilt };
	return;
}

sub skips_of { my ($self, $partition) = @_; return grep { $_->{partition} == $partition } @{ $self->{skips} }; }

# Whether a call lets a view skip an offset: none before where the view, or the shadow that the call was for, stood.  A view that
# stands behind what was asked has read it; one that was not there was told nothing.
sub may_skip
{
	my ($self, $view, $partition, $offset) = @_;

	for my $skip (grep { $offset <= $_->{through} } $self->skips_of($partition))
	{
		my $who = $skip->{view} eq '' ? 'view' : 'shadow';
		my $before = $skip->{"$who before"}{$view} // [0];
		my $after = $skip->{"$who after"}{$view} // next;

		return 1 if ($skip->{view} eq '' || $skip->{view} eq $view) && $before->[0] <= $offset && $after->[0] <= $skip->{through} + 1;
	}
	return 0;
}

# The offsets that calls named, and that a view cannot have read.
sub must_skip
{
	my ($self, $view, $partition) = @_;

	return map { $_->{through} } grep { $_->{view} eq $view ? !$self->{is_rebuilt}{$view} : $_->{view} eq '' && was_told($_, $view) } $self->skips_of($partition);
}

# Whether a call was for a view for certain: it stands before the offset even then, or just behind it, and nobody else does that the call
# can have been for.  A shadow that is ahead of its view, or has read the offset, takes the place of it with what it has read itself.
sub was_told
{
	my ($skip, $view) = @_;
	my $after = $skip->{'view after'};
	my %told = map { $_->[1] => 1 } grep { $_->[0] <= $skip->{through} + 1 } values %$after;
	my ($offset, $reader) = @{ $after->{$view} // return 0 };
	my $shadow = ($skip->{'shadow after'}{$view} // [0])->[0];

	return 0 if $shadow > $offset || ($shadow == $offset && $shadow > $skip->{through});
	return $offset <= $skip->{through} || ($told{$reader} && keys %told == 1);
}

# ---- records ----

# A new record, not yet of a partition.
sub make
{
	my ($self) = @_;
	my $die = rand;
	my %record = (seq => ++$self->{seq}, fate => 'good', amount => 1 + int(rand(1000)), note => int(rand(100)));

	$self->{clock} += $self->{pace};
	$record{at} = int($self->{clock});
	$record{at} -= 30 + int(rand(300)) if $die < 0.08;
	# items come and go, so that sessions end
	$record{item} = (int($record{at} / 25) + int(rand(2)) * 3) % 7;
	$record{amount} = 0 if $die > 0.98;
	$record{fate} = $die > 0.965 ? 'note' : 'stream' if $die > 0.95 && $die <= 0.98;
	return \%record;
}

# Make n records: lines for StreamX::Broker's produce_lines, to all partitions in turn.  fate: of all of them.
sub lines
{
	my ($self, $n, $fate) = @_;
	my @lines;

	for (1 .. $n)
	{
		my $record = $self->make;
		my $partition = $record->{seq} % $self->{partitions};
		my $payload;

		$record->{part} = $partition;
		$record->{fate} = $fate if $fate;
		$payload = $record->{fate} eq 'stream' ? $broken[ rand @broken ]->($record)
			: json($record, $record->{fate} eq 'note' ? (note => '"none"') : ());
		push @{ $self->{parts}[$partition] }, $record;
		push @lines, "$partition\t\t\\N\t$payload";
	}
	return @lines;
}

# A record as a row of INSERT; one that the stream refuses has an event time without end.
sub values
{
	my ($self, $record) = @_;
	my $at = $record->{fate} eq 'stream' ? "'infinity'" : "'" . clock($record->{at}) . "'";

	return "($record->{part}, $record->{seq}, 'i$record->{item}', $at, $record->{amount}, $record->{note})";
}

sub json
{
	my ($record, %other) = @_;
	my %text = (part => $record->{part}, seq => $record->{seq}, item => qq("i$record->{item}"),
		at => '"' . clock($record->{at}) . '"', amount => $record->{amount}, note => $record->{note}, %other);

	return '{' . join(', ', map { qq("$_": $text{$_}) } sort keys %text) . '}';
}

sub clock
{
	my ($at) = @_;
	my ($s, $m, $h, $d, $month, $year) = gmtime($epoch + $at);

	return sprintf('%04d-%02d-%02dT%02d:%02d:%02dZ', $year + 1900, $month + 1, $d, $h, $m, $s);
}

# Seconds of event time, of an SQL expression.
sub seconds_of { my ($expression) = @_; return "extract(epoch FROM $expression) - $epoch"; }

1;
