# Does a figure grow?  Of samples over time, by least squares.
package Growth;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(max sum0);

our @EXPORT = qw(growth is_growing most_in_tenths);

# Values first, last and most; the slope an hour of the second half, what it makes of that half, and the mean there.
sub growth
{
	my ($seconds, $values) = @_;
	my $middle = int(@$values / 2);
	my @x = @$seconds[ $middle .. $#$seconds ];
	my @y = @$values[ $middle .. $#$values ];
	my $slope = slope(\@x, \@y);

	return (
		first => $values->[0], last => $values->[-1], most => max(@$values), slope => $slope * 3600,
		grown => $slope * ($x[-1] - $x[0]), mean => sum0(@y) / @y);
}

# By more than a tenth, and more than is noise whatever the size.
sub is_growing
{
	my ($growth, $least) = @_;

	return $growth->{grown} > max($least, $growth->{mean} / 10);
}

# The greatest of each tenth of ten values or more: what rises and falls shows there whether it rises as a whole.
sub most_in_tenths
{
	my (@values) = @_;

	return map { max(@values[ $_ * @values / 10 .. ($_ + 1) * @values / 10 - 1 ]) } 0 .. 9;
}

# Of y by x.
sub slope
{
	my ($x, $y) = @_;
	my ($x_mean, $y_mean) = (sum0(@$x) / @$x, sum0(@$y) / @$y);
	my $square = sum0(map { ($_ - $x_mean)**2 } @$x);

	return $square == 0 ? 0 : sum0(map { ($x->[$_] - $x_mean) * ($y->[$_] - $y_mean) } 0 .. $#$x) / $square;
}

1;
