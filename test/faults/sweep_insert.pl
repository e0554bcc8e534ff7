# At every step of an INSERT: the backend killed, the server killed, an error; what was committed counts once, all else never was

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use Ledger;
use StreamX;
use Sweep;
use Test::More;
use Views;

my $sweep = Sweep->new;
my $node = $sweep->node;
my $rows = Ledger->new(1, pace => 1, is_unordered => 1);
my @views = map { Views->new($_, "r_$_", 'rows') } grep { $_ ne 'notes' } Views->names;

$node->safe_psql('postgres', 'CREATE FOREIGN TABLE rows (' . Sweep::COLUMNS . q{) SERVER streamx OPTIONS (event_time 'at', watermark_delay '5 s', retain 'on', on_error 'dead_letter')});
$node->safe_psql('postgres', join(";\n", 'SET client_min_messages = warning', 'CREATE TABLE committed (seq bigint)', map { $_->sql } @views));

# One transaction, which notes in an ordinary table what it inserts.
sub insert_rows
{
	my ($n) = @_;
	my @made = map { my $record = $rows->make; $record->{part} = 0; $record->{fate} = 'good'; $record } 1 .. $n;

	$rows->{pending}{ $_->{seq} } = $_ for @made;
	$node->psql('postgres', join(";\n", 'BEGIN',
		'INSERT INTO rows VALUES ' . join(', ', map { $rows->values($_) } @made),
		'INSERT INTO committed SELECT unnest(ARRAY[' . join(', ', map { $_->{seq} } @made) . '])',
		'COMMIT'));
}

# What was committed is what there is; the rest never was.
sub settle_rows
{
	my $pending = delete $rows->{pending} // {};
	my %is_committed = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', 'SELECT seq FROM committed');

	push @{ $rows->{parts}[0] }, map { $pending->{$_} } grep { $is_committed{$_} } sort { $a <=> $b } keys %$pending;
}

my @insert_points = (
	(map { [ $_, 1 ] } qw(insert-before-merge insert-after-log insert-before-progress insert-after-progress insert-after-merge insert-at-end after-merge)),
	[ 'in-merge', 1 ], [ 'in-merge', 60 ], [ 'in-sessions', 10 ], [ 'in-inputs', 100 ], [ 'in-retention', 2 ], [ 'in-fold', 2 ], [ 'in-bisection', 3 ]);

sub rows_are_right
{
	my ($title) = @_;

	settle_rows();
	$sweep->is_right($title, $rows, @views);
}

insert_rows(300);
rows_are_right('rows, to begin with');
for my $case (@insert_points)
{
	my ($point, $times) = @$case;

	for my $action (Sweep->actions)
	{
		my $title = "INSERT, $point, visit $times: $action";

		# an error after the commit record would be a PANIC of anybody's making
		next if $point eq 'insert-at-end' && $action =~ /error/;
		$sweep->sweep($point, "$times client $action", $title, sub { insert_rows(120) }, sub {
			insert_rows(5);
			rows_are_right($title);
		});
	}
}

# A view is rebuilt from the log
for my $name (qw(total_inputs tumbles hops_sketch sessions))
{
	for my $action (Sweep->actions)
	{
		my $title = "in-swap: $action of $name";

		$sweep->sweep('in-swap', "1 client $action", $title,
			sub { $node->psql('postgres', "SELECT streamx.rebuild('r_$name')") },
			sub {
				$node->safe_psql('postgres', "SELECT streamx.rebuild('r_$name')");
				insert_rows(5);
				rows_are_right($title);
			});
	}
}

# CREATE VIEW over rows that are there
for my $name (qw(total_inputs tumbles hops_sketch steps_inputs sessions_inputs))
{
	my $view = Views->new($name, "fill_$name", 'rows');

	for my $action (Sweep->actions)
	{
		my $title = "in-first-fill: $action of $name";

		$sweep->sweep('in-first-fill', "2 client $action", $title,
			sub { $node->psql('postgres', 'SET client_min_messages = warning; ' . $view->sql) },
			sub { is($node->safe_psql('postgres', "SELECT to_regclass('fill_$name') IS NULL, count(*) FROM pg_class WHERE relname ~ 'fill_$name'"), 't|0', "$title: nothing of it is left") });
	}
	$node->safe_psql('postgres', 'SET client_min_messages = warning; ' . $view->sql);
	insert_rows(20);
	push @views, $view;
	rows_are_right("and then $name is made");
}

$sweep->is_complete('insert');
$node->stop;
done_testing();
