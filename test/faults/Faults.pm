# What chaos.pl does to its world: a table of faults, named and numbered as in docs/reliability.md.
package Faults;

use strict;
use warnings;

use Skips;
use Time::HiRes qw(usleep);

# do: begins it; heal: ends it, after more was delivered; group: one of those at a time, and
# those of the broker while nothing is on its way to it; can: whether it is possible here.
my @faults = (
	# processes
	{ name => 'kill -9 of a worker', number => 1, do => sub { signal_process($_[0], 'KILL', 'streamx worker') } },
	{ name => 'kill -9 of a backend', number => 1, do => sub { signal_process($_[0], 'KILL', 'client backend') } },
	{ name => 'kill -9 of the launcher', number => 1, do => sub { signal_process($_[0], 'KILL', 'streamx launcher') } },
	{ name => 'kill -9 of the postmaster', group => 'server', number => 2, do => sub { $_[0]->node->kill9; $_[0]->start_again } },
	{ name => 'immediate shutdown', group => 'server', number => 2, do => sub { $_[0]->stop('immediate'); $_[0]->start_again } },
	{ name => 'fast shutdown', group => 'server', number => 3, do => sub { $_[0]->stop('fast'); $_[0]->start_again } },
	{ name => 'SIGTERM to a worker', number => 3, do => sub { signal_process($_[0], 'TERM', 'streamx worker') } },
	{ name => 'SIGTERM to the launcher', number => 3, do => sub { signal_process($_[0], 'TERM', 'streamx launcher') } },
	{ name => 'queries are cancelled', number => 3, do => \&cancel_queries },
	{ name => 'backends are terminated', number => 3, do => sub { ask_of_backends($_[0], 'pg_terminate_backend', 'client backend') } },
	{ name => 'a worker freezes', group => 'server', number => 6, do => \&freeze },
	{ name => 'no workers are allowed', number => 33, do => sub { set($_[0], 'streamx.max_workers', 0); ask_of_backends($_[0], 'pg_terminate_backend', 'streamx worker') },
		heal => sub { reset_settings($_[0], 'streamx.max_workers') } },
	{ name => 'streams are disabled', number => 33, do => sub { set($_[0], 'streamx.enabled', 'off') }, heal => sub { reset_settings($_[0], 'streamx.enabled') } },

	# the broker
	{ name => 'brokers go away', number => 7, group => 'broker', do => sub { $_[0]->broker->tell('down all') }, heal => sub { $_[0]->broker->tell('up all') } },
	{ name => 'a broker goes away', number => 7, group => 'broker', do => sub { $_[0]->broker->tell('down 2') }, heal => sub { $_[0]->broker->tell('up 2') } },
	{ name => 'brokers are slow', number => 8, group => 'broker', do => sub { rtt($_[0], 100 + int(rand(400))) }, heal => sub { rtt($_[0], 0) } },
	{ name => 'leaders move', number => 11, group => 'broker', do => \&move_leaders, heal => \&move_leaders },
	# the mock of 2.8 ends when it is asked for such a partition
	{ name => 'partitions have no leader', number => 11, group => 'broker', can => sub { $_[0]->broker->library =~ /^2\.0\./ }, do => sub { move_leaders($_[0], {}, -1) }, heal => \&move_leaders },
	{ name => 'requests fail', number => 12, group => 'broker', do => \&fail_requests, heal => \&clear_requests },
	{ name => 'the topic may not be read', number => 13, group => 'broker', do => sub { $_[0]->broker->tell('error Fetch TOPIC_AUTHORIZATION_FAILED 3') }, heal => \&clear_requests },
	{ name => 'the topic is unknown', number => 14, group => 'broker', do => sub { $_[0]->broker->tell("topic-error $_[0]{topic} UNKNOWN_TOPIC_OR_PART") }, heal => sub { $_[0]->broker->tell("topic-error $_[0]{topic} NO_ERROR") } },
	{ name => 'nothing but bad messages', number => 22, group => 'broker', do => sub { $_[0]->deliver(50 + int(rand(200)), 'stream') } },
	{ name => 'messages are skipped', number => 22, do => sub { skip($_[0], Skips::of_stream($_[0])) } },
	{ name => 'messages are skipped while the stream or a view is paused', number => 22, do => \&skip_while_paused,
		heal => sub { $_[0]->insist("SELECT streamx.resume(oid) FROM pg_catalog.pg_class WHERE oid = $_[1]{paused}") if $_[1]{paused} } },
	{ name => 'the rebuild of a view skips messages', number => 22, do => sub { skip($_[0], Skips::of_rebuild($_[0], some_view($_[0]))) } },

	# limits
	{ name => 'a worker may not write files larger than some', number => 31, do => sub { limit($_[0], 'fsize', int(rand(200)) * 65536) }, heal => sub { limit($_[0], 'fsize', 'unlimited') } },
	{ name => 'a worker has little memory', number => 32, do => sub { limit($_[0], 'as', 'now') }, heal => sub { limit($_[0], 'as', 'unlimited') } },
	{ name => 'small batches', number => 32, do => sub { set($_[0], 'streamx.batch_rows', 1 + int(rand(40))) }, heal => sub { reset_settings($_[0], 'streamx.batch_rows') } },

	# DDL
	{ name => 'views are made', group => 'names', number => 34, do => \&make_views },
	{ name => 'a view is dropped', group => 'names', number => 34, do => \&drop_view },
	{ name => 'views are made and rolled back', group => 'names', number => 34, do => \&make_views_in_vain },
	{ name => 'views are rebuilt', number => 34, do => \&rebuild_views },
	{ name => 'a stream gets a column', group => 'names', number => 35, do => sub { $_[0]->spawn('ALTER FOREIGN TABLE orders ADD COLUMN extra' . int(rand(1e6)) . ' int;') } },
	{ name => 'a stream is renamed', group => 'names', number => 35, do => sub { $_[0]->insist('ALTER FOREIGN TABLE IF EXISTS orders RENAME TO renamed') }, heal => sub { $_[0]->insist('ALTER FOREIGN TABLE IF EXISTS renamed RENAME TO orders') } },
	{ name => 'views move to another schema', group => 'names', number => 35, do => sub { move_views($_[0], 'public', 'elsewhere') }, heal => sub { move_views($_[0], 'elsewhere', 'public') } },
	{ name => 'the number of workers changes', group => 'names', number => 6, do => sub { $_[0]->insist("ALTER FOREIGN TABLE orders OPTIONS (SET workers '" . (1 + int(rand(4))) . "')") } },
	{ name => 'the options of a server change', group => 'names', number => 35, do => sub { $_[0]->ask("ALTER SERVER kafka OPTIONS (ADD client_rack 'r" . int(rand(100)) . "')") },
		heal => sub { $_[0]->ask('ALTER SERVER kafka OPTIONS (DROP client_rack)') } },
	{ name => 'a joined table is locked and altered', number => 35, do => sub { $_[0]->spawn('BEGIN; ALTER TABLE items ADD COLUMN c' . int(rand(1e6)) . ' int;' . asleep(0.3) . 'COMMIT;') } },
	{ name => 'state tables are locked', number => 36, do => sub { on_states($_[0], 'BEGIN; LOCK TABLE %s IN ACCESS EXCLUSIVE MODE;' . asleep(0.4) . 'COMMIT;') } },
	{ name => 'state tables are rewritten', number => 36, do => sub { on_states($_[0], 'VACUUM FULL %s;') } },
	{ name => 'state tables are reindexed', number => 36, do => sub { on_states($_[0], 'REINDEX TABLE CONCURRENTLY %s;') } },
	{ name => 'the catalog is locked', number => 36, do => sub { $_[0]->spawn('BEGIN; LOCK TABLE streamx.progress IN ACCESS EXCLUSIVE MODE;' . asleep(0.4) . 'COMMIT;') } },
	{ name => 'a snapshot is held', number => 38, do => sub { $_[0]->spawn('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM streamx.views;' . asleep(1.5) . 'COMMIT;') } },
	{ name => 'an owner loses a privilege', number => 39, do => sub { $_[0]->insist('REVOKE SELECT ON items FROM keeper') }, heal => sub { $_[0]->insist('GRANT SELECT ON items TO keeper') } },
	{ name => 'the stream is paused', group => 'names', number => 34, do => sub { $_[0]->insist(q{SELECT streamx.pause('orders')}) }, heal => sub { $_[0]->insist(q{SELECT streamx.resume('orders')}) } },
	{ name => 'a view is paused', group => 'names', number => 34, do => \&pause_view, heal => sub { $_[0]->insist("SELECT streamx.resume('$_[1]{paused}')") if $_[1]{paused} } },
	{ name => 'batches by hand', group => 'names', number => 6, do => \&step },

	# the rest of the server
	{ name => 'a checkpoint', number => 4, do => sub { $_[0]->spawn('CHECKPOINT;') } },
	{ name => 'many sessions insert', number => 45, do => sub { $_[0]->let_insert(4, 15) } },
	{ name => 'views are read and verified', number => 38, do => \&read_views },
	{ name => 'the clock jumps', number => 27, can => sub { $_[0]{clock} }, do => sub { $_[0]{clock}->set(('+7200', '-259200', '+5')[ rand 3 ]) }, heal => \&set_clock_right },
);

# One more, that can be together with the chosen ones.
sub choose
{
	my ($world, @chosen) = @_;
	my %taken = map { ($_->{name} => 1, ($_->{group} // '') => 1) } @chosen;
	my @possible = grep { !$taken{ $_->{name} } && !($_->{group} && $taken{ $_->{group} }) && (!$_->{can} || $_->{can}->($world)) } @faults;

	return { %{ $possible[ rand @possible ] } };
}

# ---- processes ----

sub pids
{
	my ($world, $type) = @_;
	my $answer = $world->ask("SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_catalog.pg_backend_pid() ORDER BY pid") // '';

	return split /\n/, $answer;
}

# One of the processes, if there is any.
sub signal_process
{
	my ($world, $signal, $type) = @_;
	my $choice = rand;
	my @pids = pids($world, $type);

	return unless @pids;
	kill $signal, $pids[ $choice * @pids ];
	return $pids[ $choice * @pids ];
}

# It thaws by itself: it may hold the stream's lock, and another fault may wait for that before anything is healed.
sub freeze
{
	my ($world) = @_;
	my $pid = signal_process($world, 'STOP', 'streamx worker');

	system("(sleep 1; kill -CONT $pid) >/dev/null 2>&1 &") if $pid;
}

sub ask_of_backends
{
	my ($world, $function, $type) = @_;

	$world->ask("SELECT $function(pid) FROM pg_catalog.pg_stat_activity WHERE backend_type = '$type' AND pid <> pg_catalog.pg_backend_pid()");
}

sub cancel_queries
{
	my ($world) = @_;

	for (1 .. 5)
	{
		ask_of_backends($world, 'pg_cancel_backend', $_) for 'streamx worker', 'client backend';
		usleep(30_000);
	}
}

# ---- the broker ----

sub rtt { my ($world, $ms) = @_; $world->broker->tell("rtt $_ $ms") for 1 .. 3; }

sub move_leaders
{
	my ($world, undef, $broker) = @_;

	$world->broker->tell("leader $world->{topic} $_ " . ($broker // 1 + int(rand(3)))) for 0 .. $world->orders->partitions - 1;
}

my %errors = (
	Fetch => [qw(NOT_LEADER_FOR_PARTITION _TRANSPORT UNKNOWN_TOPIC_OR_PART REQUEST_TIMED_OUT FENCED_LEADER_EPOCH)],
	Metadata => [qw(LEADER_NOT_AVAILABLE _TRANSPORT)],
	ListOffsets => [qw(NOT_LEADER_FOR_PARTITION LEADER_NOT_AVAILABLE _TRANSPORT)],
);

sub fail_requests
{
	my ($world) = @_;
	my @apis = sort keys %errors;

	for (1 .. 3)
	{
		my $api = $apis[ rand @apis ];
		my $code = $errors{$api}[ rand @{ $errors{$api} } ];

		$world->broker->tell("error $api $code " . (1 + int(rand(6))));
	}
}

sub clear_requests { my ($world) = @_; $world->broker->tell("clear $_") for keys %errors; }

# ---- settings and limits ----

sub set
{
	my ($world, $name, $value) = @_;

	$world->insist("ALTER SYSTEM SET $name = $value");
	$world->insist('SELECT pg_reload_conf()');
}

sub reset_settings
{
	my ($world, $name) = @_;

	$world->insist("ALTER SYSTEM RESET $name");
	$world->insist('SELECT pg_reload_conf()');
}

# What every worker may use; "now": no more address space than 8 MB beyond what it has.
sub limit
{
	my ($world, $resource, $limit) = @_;

	for my $pid (pids($world, 'streamx worker'))
	{
		my $bytes = $limit eq 'now' ? address_space($pid) + 8 * 2**20 : $limit;

		$world->{is_limited}{$pid} = 1 if $limit eq 'now';
		system("prlimit --pid $pid --$resource=$bytes: 2>/dev/null");
	}
}

sub address_space
{
	my ($pid) = @_;

	open(my $file, '<', "/proc/$pid/statm") or return 2**40;
	return (split / /, <$file>)[0] * 4096;
}

# ---- DDL ----

# Between two statements: psql sleeps.  pg_sleep waits for a time of day, of a clock that may jump back by hours.
sub asleep { return "\n\\! sleep $_[0]\n"; }

# A view more, of those that there are not yet.
sub make_views
{
	my ($world) = @_;
	my $name = shift @{ $world->{spare} } // return;
	my $view = Views->new($name, "o_$name", 'orders');

	$world->insist('SET ROLE ' . ($view->{join} ? 'keeper' : 'NONE') . '; DROP VIEW IF EXISTS ' . $view->label . '; ' . $view->sql);
	push @{ $world->{order_views} }, $view;
}

sub drop_view
{
	my ($world) = @_;
	my $view = shift @{ $world->{order_views} };

	if ($world->order_views < 4)
	{
		push @{ $world->{order_views} }, $view;
		return;
	}
	push @{ $world->{spare} }, $view->{name};
	$world->insist('DROP VIEW IF EXISTS ' . $view->label);
}

sub make_views_in_vain
{
	my ($world) = @_;
	my @names = Views->names;
	my @views = map { Views->new($names[ rand @names ], "vain_$_", ('orders', 'rows')[ $_ % 2 ]) } 1 .. 2;

	$world->spawn(join("\n", 'BEGIN;', (map { $_->sql . ';' } @views), asleep(0.2), 'ROLLBACK;'));
}

sub rebuild_views
{
	my ($world) = @_;

	for my $view (($world->order_views)[0], ($world->row_views)[0])
	{
		my $rejudge = rand() < 0.5 ? 'true' : 'false';

		$world->spawn('SELECT streamx.rebuild(\'' . $view->label . "', rejudge => $rejudge);");
	}
}

sub move_views
{
	my ($world, $from, $to) = @_;

	$world->insist(join('; ', map { "ALTER VIEW IF EXISTS $from." . $_->label . " SET SCHEMA $to" } $world->order_views));
}

sub pause_view
{
	my ($world, $fault) = @_;
	my @views = $world->order_views;

	$fault->{paused} = $views[ rand @views ]->label;
	$world->insist("SELECT streamx.pause('$fault->{paused}')");
}

sub on_states
{
	my ($world, $sql) = @_;
	my @views = ($world->order_views, $world->row_views);
	my $label = $views[ rand @views ]->label;
	my $state = $world->ask("SELECT state FROM streamx.views WHERE view = '$label'::regclass") // return;

	$world->spawn(sprintf($sql, $state));
}

# Somebody else moves the stream on, or looks what it would be like.
sub step
{
	my ($world) = @_;

	$world->insist(q{SELECT streamx.pause('orders')});
	$world->ask(q{BEGIN; SELECT streamx.step('orders', 100); ROLLBACK});
	$world->ask(q{SELECT streamx.step('orders', 50)});
	$world->insist(q{SELECT streamx.resume('orders')});
	$world->spawn(q{SELECT streamx.step('orders', 50);});
}

# Who verifies holds the stream's lock while he reads its topic, which a slow broker makes long: others wait for that.
sub read_views
{
	my ($world) = @_;

	for my $view ($world->order_views, $world->row_views)
	{
		my $label = $view->label;

		$world->spawn("SET statement_timeout = '5s'; SELECT * FROM $label; SELECT * FROM streamx.verify('$label'); SELECT streamx.watermark('$label');") if rand() < 0.4;
	}
}

# ---- the clock ----

# The postmaster starts the launcher again when a second has passed by the clock, so that is awaited, if it is to be.
sub set_clock_right
{
	my ($world) = @_;

	for (1 .. 40)
	{
		last if pids($world, 'streamx launcher');
		usleep(50_000);
	}
	$world->{clock}->set('+0');
}

# ---- skipping ----

# A session of its own; what it is told must be a refusal that is documented, or another fault's.
sub skip
{
	my ($world, $sql) = @_;

	$world->spawn($sql, sub { $world->differ("streamx.skip: $_") for Skips::complaints($_[0]) });
}

# Its OID, which it has wherever it is moved to.
sub some_view
{
	my ($world) = @_;
	my @views = $world->order_views;
	my $label = $views[ rand @views ]->label;

	return $world->insist("SELECT v.view::oid FROM streamx.views v JOIN pg_catalog.pg_class c ON c.oid = v.view WHERE c.relname = '$label' AND v.shadow_of IS NULL");
}

# Readers that stand still, or one of several, leave more to skip.
sub skip_while_paused
{
	my ($world, $fault) = @_;

	$fault->{paused} = rand() < 0.5 ? $world->{stream} : some_view($world);
	$world->insist("SELECT streamx.pause($fault->{paused})");
	usleep(rand(200_000));
	skip($world, Skips::of_stream($world));
}

1;
