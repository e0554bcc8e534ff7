# Random faults under load; in the end, and after each of them, all is as if they had not been
#
#	chaos.pl [--seconds N] [--seed SEED] [--round N]		(or options in STREAMX_CHAOS)
#
# Rounds of faults, each with a topic and views of its own, until the time is up.  A round is
# a function of seed and number, as far as chance is ours: --round repeats one.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Faults;
use Getopt::Long qw(GetOptionsFromArray);
use Recovery;
use StreamX;
use Test::More;
use Time::HiRes qw(time usleep);
use World;

use constant FAULTS_PER_ROUND => 8;

my %option = (seconds => 60, seed => int(rand(1_000_000)));

GetOptionsFromArray([ @ARGV, split ' ', $ENV{STREAMX_CHAOS} // '' ], \%option, 'seconds=i', 'seed=i', 'round=i') or die "usage: see above\n";
note("seed $option{seed}");

my $world = World->new;
my $until = time + $option{seconds};

for (my $round = $option{round} // 1;; $round++)
{
	srand($option{seed} * 1000 + $round);
	eval { play($round); 1 } or $world->differ("round $round broke off: $@");
	last if $option{round} || time > $until || @{ $world->{differences} };
}

recover() unless $option{round} || @{ $world->{differences} };
$world->stop('fast');
is(scalar @{ $world->{differences} }, 0, 'no differences');
$world->broker->stop;
note(sprintf('%d faults, %d checks, %d differences (seed %d)', $world->{faults}, $world->{checks}, scalar @{ $world->{differences} }, $option{seed}));
done_testing();

# One round: faults, one after the other or several at once.
sub play
{
	my ($round) = @_;
	my $before = @{ $world->{differences} };
	my $done = 0;
	my $struck = '';

	note("round $round: " . $world->begin_round);
	$world->deliver(300);
	while ($done < FAULTS_PER_ROUND && time < $until && @{ $world->{differences} } == $before)
	{
		my @faults;

		push @faults, Faults::choose($world, @faults) for 1 .. 1 + int(rand(3));
		$done += @faults;
		$struck = join('; ', map { "$_->{name} (#$_->{number})" } @faults);
		note('fault ' . ($world->{faults} + 1) . ": $struck");
		strike(@faults);
		$world->check if $world->progress;
	}
	# what is different stays, to be looked at
	$world->end_round if @{ $world->{differences} } == $before;
	is(@{ $world->{differences} } - $before, 0, "round $round: $done faults, $world->{checks} checks so far; in the end views had skipped $world->{skips} offsets" . what_differs($before, $struck));
}

# For the name of a test, which may be all that is seen of it: the first line of the first difference after so many.
sub what_differs
{
	my ($before, $struck) = @_;
	my ($line) = split /\n/, $world->{differences}[$before] // return '';

	return "; after $struck: $line" =~ s/#/fault /gr;
}

# A last round, without other faults, by the clock.
sub recover
{
	srand($option{seed});
	note('recovery: ' . $world->begin_round);
	Recovery::measure($world);
	$world->end_round;
}

sub strike
{
	my (@faults) = @_;

	$world->deliver(200 + int(rand(500)));
	$world->deliver_slowly(400, 800);
	$world->let_insert(2, 10);
	pause(80);
	for my $fault (@faults)
	{
		if (($fault->{group} // '') eq 'broker')
		{
			$world->let_producer_end;
			$world->deliver(100 + int(rand(1500)));
		}
		$fault->{do}->($world, $fault);
		$world->{faults}++;
		pause(150);
	}
	pause(600);
	for my $fault (reverse @faults)
	{
		$fault->{heal}->($world, $fault) if $fault->{heal};
	}
	$world->let_producer_end;
	$world->deliver(50);
}

# Up to so many milliseconds: what happens meanwhile is chance.
sub pause { usleep(rand($_[0]) * 1000); }
