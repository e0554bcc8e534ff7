# The sweep of a worker's batch, of a stream that one worker reads or several.
package WorkerSweep;

use strict;
use warnings;

use Ledger;
use StreamX;
use Sweep;
use Test::More;
use Time::HiRes qw(usleep);
use Views;

my ($broker, $sweep, $node, $orders, @views);

sub start
{
	my ($workers) = @_;

	$broker = StreamX::Broker->new(orders => 3, short => 1);
	$sweep = Sweep->new(broker => $broker);
	$node = $sweep->node;
	$orders = Ledger->new(3, pace => 1);
	@views = map { Views->new($_, "o_$_", 'orders') } Views->names;
	$node->safe_psql('postgres', 'CREATE FOREIGN TABLE orders (' . Sweep::COLUMNS . ") SERVER kafka OPTIONS (topic 'orders', event_time 'at', watermark_delay '5 s', workers '$workers')");
	$node->safe_psql('postgres', join(";\n", 'SET client_min_messages = warning', map { $_->sql } @views));
	send_orders(400);
	orders_are_right('to begin with');
}

# Every point of the source was visited, of those that are this sweep's.
sub stop
{
	my ($name) = @_;

	$sweep->is_complete($name);
	$node->stop;
	$broker->stop;
}

sub send_orders { my ($n) = @_; $broker->produce_lines('orders', [], $orders->lines($n)); }

sub end_workers { $node->safe_psql('postgres', 'SELECT pg_terminate_backend(pid) FROM streamx.stat_workers WHERE pid IS NOT NULL'); }

sub orders_are_right
{
	my ($title) = @_;

	caught_up($node, 'orders');
	$sweep->is_right($title, $orders, @views);
}

# Points of a batch: [name, visit].  A later visit finds more done, but nothing else: two actions will do.
sub batches
{
	for my $case (@_)
	{
		my ($point, $times) = @$case;

		for my $action ($times == 1 ? Sweep->actions : ('kill', 'error XX000'))
		{
			my $title = "$point, visit $times: $action";

			$sweep->sweep($point, "$times worker $action", $title,
				sub { send_orders(100); end_workers() if $point eq 'worker-start'; },
				sub { orders_are_right($title) });
		}
	}
}

# The launcher is a process like the others.
sub launcher
{
	for my $action ('kill', 'crash')
	{
		$sweep->sweep('in-launcher', "1 worker $action", "in-launcher: $action",
			sub { send_orders(30); end_workers() },
			sub { orders_are_right("in-launcher: $action") });
	}
}

# A view that was made later catches up, and joins the others: of each kind in turn.
sub meetings
{
	my (@points) = @_;
	my @kinds = qw(total_inputs tumbles_inputs hops steps_sketch sessions_inputs joined);
	my $number = 0;

	for my $point (@points)
	{
		for my $action (Sweep->actions)
		{
			my $name = $kinds[ $number % @kinds ];
			my $view = Views->new($name, 'later_' . ++$number, 'orders');
			my $title = "$point: $action of $name";
			my $is_made = 0;

			push @views, $view;
			$sweep->sweep($point, "1 worker $action", $title,
				sub { $is_made++ or $node->psql('postgres', 'SET client_min_messages = warning; ' . $view->sql); send_orders(12) },
				sub {
					meet($title);
					orders_are_right($title);
				});
			$node->safe_psql('postgres', 'DROP VIEW ' . (pop @views)->label);
		}
	}
}

# A view that is rebuilt: of each kind in turn.
sub rebuilding
{
	my @names = qw(o_total o_tumbles_inputs o_hops o_steps_sketch o_sessions o_retained o_joined o_notes);

	for my $action (Sweep->actions, Sweep->actions)
	{
		my $name = shift @names;
		my $title = "in-swap: $action of $name";
		my $is_asked = 0;

		$sweep->sweep('in-swap', "1 worker $action", $title,
			sub { $is_asked++ or $node->psql('postgres', "SELECT streamx.rebuild('$name')"); send_orders(12) },
			sub {
				under_load($title, 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL', 0);
				meet($title);
				orders_are_right($title);
			});
	}
}

# Send until all views of the stream have one reader.
sub meet
{
	my ($title) = @_;

	under_load("$title: they meet", q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'orders'::regclass}, 1);
}

# Send until a query returns what is expected: one test.
sub under_load
{
	my ($title, $query, $expected) = @_;
	my $result = '';

	for (1 .. 300)
	{
		send_orders(6);
		$result = $node->safe_psql('postgres', $query);
		last if $result eq $expected;
		usleep(20_000);
	}
	is($result, $expected, $title);
}

# A view that fails leaves the others, and comes back.
sub leaving
{
	my $view = Views->new('joined', 'fragile', 'orders');

	push @views, $view;
	$node->safe_psql('postgres', join(";\n", 'CREATE ROLE keeper', 'GRANT CREATE ON SCHEMA public TO keeper',
		'GRANT SELECT ON orders, items TO keeper', 'SET ROLE keeper', $view->sql));
	meet('a view of another owner');
	for my $action (Sweep->actions)
	{
		my $title = "in-leaving: $action";

		$node->safe_psql('postgres', 'REVOKE SELECT ON items FROM keeper');
		$sweep->sweep('in-leaving', "1 worker $action", $title, sub { send_orders(20) }, sub {
			$node->safe_psql('postgres', 'GRANT SELECT ON items TO keeper');
			meet($title);
			orders_are_right($title);
		});
	}
}

# A gap that is skipped: the mock broker keeps 5 MiB.
sub gaps
{
	$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE short (n int) SERVER kafka OPTIONS (topic 'short', on_gap 'skip');
CREATE VIEW short_sum WITH (streamx.continuous) AS SELECT count(*) AS n FROM short;
END
	$broker->produce('short', 0, '{"n": 1}');
	caught_up($node, 'short');
	for my $action (Sweep->actions)
	{
		$node->safe_psql('postgres', q{SELECT streamx.pause('short')});
		$broker->produce('short', 0, (sprintf '{"n": 1, "x": "%s"}', 'x' x 1000) x 7000);
		$sweep->sweep('in-gap', "1 worker $action", "in-gap: $action", sub { $node->psql('postgres', q{SELECT streamx.resume('short')}) },
			sub { caught_up($node, 'short') });
	}
	shows($node, 'SELECT count(*), sum(to_offset - from_offset) + (SELECT n FROM short_sum) FROM streamx_internal.skip', '4|28001', 'each gap is skipped once');
}

1;
