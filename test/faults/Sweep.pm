# What the sweeps share: a server built with debug points, ways to arm one and to
# get over what it does.  See src/catalog/debug_point.c.
package Sweep;

use strict;
use warnings;

use FindBin;
use Oracle;
use StreamX;
use Test::More;
use Time::HiRes qw(usleep);

use constant COLUMNS => 'part int, seq bigint NOT NULL, item text, at timestamptz, amount int, note int';

# Every point of the source, and the sweep that visits it.
my %points = (
	worker => [qw(worker-start after-poll after-decode in-merge in-sessions in-inputs in-bisection after-merge in-retention in-fold
		before-progress after-progress before-commit after-commit in-launcher in-discovery in-meeting after-meeting in-swap in-leaving in-gap)],
	workers => [qw(after-prepare)],
	probe => [qw(after-probe)],
	insert => [qw(insert-before-merge insert-after-log insert-before-progress insert-after-progress insert-after-merge insert-at-end in-first-fill in-swap)],
);

sub new
{
	my ($class, %option) = @_;
	my $seed = $ENV{STREAMX_SEED} // int(rand(1_000_000));
	my $self = bless { swept => {} }, $class;

	note("seed $seed");
	srand($seed);
	$self->{node} = streamx_node('sweep', broker => $option{broker}, settings => [ 'streamx.batch_rows = 150',
		'streamx.batch_linger = 1ms', 'streamx.max_restart_backoff = 100ms', 'streamx.discovery_interval = 200ms' ]);
	$self->{directory} = $self->{node}->data_dir . '/streamx_debug';
	mkdir $self->{directory} or die "$self->{directory}: $!";
	$self->{node}->safe_psql('postgres', q{CREATE TABLE items AS SELECT 'i' || i AS item, i AS price FROM generate_series(0, 4) i});
	return $self;
}

sub node { return $_[0]->{node}; }

# What a point does to the process that comes by.
sub actions { return ('kill', 'crash', 'error XX000', 'error 40P01'); }

# Arm a point, provoke it, get over it, and see that all is as if nothing had been.
sub sweep
{
	my ($self, $point, $order, $title, $do, $then) = @_;
	my (undef, undef, $action) = split / /, $order;

	$self->arm($point, $order);
	$self->provoke($point, $title, $do);
	$self->recover($point, $action);
	$then->();
}

sub arm
{
	my ($self, $point, $order) = @_;

	write_whole("$self->{directory}/$point", $order);
	$self->{swept}{$point} = 1;
}

# Do something until the point is hit.
sub provoke
{
	my ($self, $point, $title, $do) = @_;

	for (1 .. 20)
	{
		$do->();
		for (1 .. 100)
		{
			return if -e "$self->{directory}/$point.hit";
			usleep(20_000);
		}
	}
	BAIL_OUT("$title: never hit");
}

# After what the point did: a server that works.
sub recover
{
	my ($self, $point, $action) = @_;
	my $hit = "$self->{directory}/$point.hit";

	# the server is killed already: so that the node knows
	crash($self->node) if $action eq 'crash';
	await_death($hit) if $action eq 'kill';
	unlink $hit;
	ask_until($self->node, 'SELECT true') or die 'the server does not come back';
}

# Until the postmaster knows that the process is dead: sessions that are let in before die with it.
sub await_death
{
	my ($hit) = @_;

	open(my $file, '<', $hit) or die "$hit: $!";
	my $pid = <$file>;
	for (1 .. 30_000)
	{
		return unless kill 0, $pid;
		usleep(2_000);
	}
}

# What views show follows from what was delivered: one test.
sub is_right
{
	my ($self, $title, $ledger, @views) = @_;
	my ($checks, @differences) = Oracle::check($self->node, $ledger, @views);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_deeply([ defined $checks, @differences ], [ 1 == 1 ], "$title: " . ($checks // 0) . ' checks');
}

# No point was forgotten: one test.
sub is_complete
{
	my ($self, $sweep) = @_;
	my %in_source;

	for my $path (glob("$FindBin::RealBin/../../src/*/*.c"))
	{
		open(my $source, '<', $path) or die "$path: $!";
		while (<$source>) { $in_source{$1} = 1 while /SX_DEBUG_POINT\("([^"]+)"\)/g; }
	}
	is(join(' ', sort keys %{ { map { $_ => 1 } map { @$_ } values %points } }), join(' ', sort keys %in_source), 'the sweeps know all points of the source');
	is_deeply([ grep { !$self->{swept}{$_} } @{ $points{$sweep} } ], [], 'this one has visited all of its own');
}

1;
