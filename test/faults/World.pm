# What chaos.pl plays with: a server, a broker, and for each round a topic, two
# streams, their views, and what was delivered to them.
package World;

use strict;
use warnings;

use Clock;
use File::Temp;
use Hang;
use Ledger;
use Oracle;
use POSIX qw(:sys_wait_h);
use PostgreSQL::Test::Utils;
use Skips;
use StreamX;
use Test::More;
use Time::HiRes qw(time usleep);
use Views;

# Nothing here takes long; what takes so long hangs.
use constant PATIENCE => 120;

my $columns = 'part int, seq bigint NOT NULL, item text, at timestamptz, amount int, note int';

sub new
{
	my ($class, %option) = @_;
	my $self = bless { %option, children => {}, asks => 0, skips => 0, faults => 0, checks => 0, differences => [], round => 0 }, $class;

	$self->{broker} = StreamX::Broker->new(-brokers => 3);
	$self->{clock} = Clock->new;
	$self->{node} = $self->with_clock(sub { streamx_node('chaos', broker => $self->{broker}, settings => [
		'streamx.max_restart_backoff = 200ms', 'streamx.discovery_interval = 300ms', 'max_connections = 60', "backtrace_functions = 'AllocSetFree,AllocSetRealloc'" ]) });
	$self->{node}->safe_psql('postgres', <<'END');
CREATE TABLE items AS SELECT 'i' || i AS item, i AS price FROM generate_series(0, 4) i;
CREATE ROLE keeper;
CREATE SCHEMA elsewhere;
GRANT CREATE ON SCHEMA public, elsewhere TO keeper;
GRANT SELECT ON items TO keeper;
END
	return $self;
}

sub node { return $_[0]->{node}; }
sub broker { return $_[0]->{broker}; }
sub orders { return $_[0]->{orders}; }
sub order_views { return @{ $_[0]->{order_views} }; }
sub row_views { return @{ $_[0]->{row_views} }; }

# ---- the server ----

# After kill -9 the old processes hold the data directory for a moment.
sub start_again
{
	my ($self) = @_;

	$self->with_clock(sub {
		for (1 .. 600)
		{
			return if $self->node->start(fail_ok => 1);
			usleep(100_000);
			$self->node->stop('fast', fail_ok => 1);
		}
		$self->node->start;
	});
}

# One that does not end is looked at, and killed.
sub stop
{
	my ($self, $mode) = @_;
	my @processes;

	local $ENV{PGCTLTIMEOUT} = PATIENCE;
	return if $self->node->stop($mode, fail_ok => 1);
	$self->differ("the server does not stop:\n" . Hang::describe($self->node));
	@processes = Hang::children($self->node);
	$self->node->kill9;
	kill 'KILL', @processes;
}

sub with_clock
{
	my ($self, $do) = @_;

	return $self->{clock} ? $self->{clock}->with($do) : $do->();
}

# ---- talking to the server ----

# What a query returns; undef if the server was not there, or did not like it.  It waits for no
# lock for long: whoever holds that may be a prepared transaction whose session is gone.
sub ask
{
	my ($self, $sql) = @_;
	# a psql that cannot connect does not read what it is sent, which is an error of ours
	my $timed_out;
	my ($status, $output) = eval { $self->node->psql('postgres', "SET client_min_messages = error; SET lock_timeout = '5s'; $sql", on_error_die => 0, timeout => PATIENCE, timed_out => \$timed_out) };

	$self->differ("no answer to: $sql\n" . Hang::describe($self->node)) if $timed_out;
	return defined $status && $status == 0 ? $output : undef;
}

# The same, again and again until it is answered.
sub insist
{
	my ($self, $sql) = @_;
	my $until = time + PATIENCE;

	while (time < $until)
	{
		my $answer = $self->ask($sql);

		return $answer if defined $answer;
		$self->end_prepared(0.5);
		usleep(50_000);
	}
	$self->differ("no answer but errors to: $sql\n" . Hang::describe($self->node));
	die "the server does not answer\n";
}

# Run SQL in a session of its own, and do not wait.  judge: is given what the session says, at its end.
sub spawn
{
	my ($self, $sql, $judge) = @_;
	my $file = File::Temp->new;

	print $file "SET client_min_messages = error;\n$sql\n";
	$file->flush;
	return $self->spawn_command($file, $judge, 'psql', '-XAtq', '-d', $self->node->connstr('postgres'), '-f', $file->filename);
}

# A process whose end is waited for by reap; file, its input, lives as long.
sub spawn_command
{
	my ($self, $file, $judge, @command) = @_;
	my $output = $judge ? File::Temp->new : "$PostgreSQL::Test::Utils::log_path/chaos_sessions.log";
	my $pid = fork // die "fork: $!";

	if ($pid == 0)
	{
		open(STDOUT, '>>', "$output");
		open(STDERR, '>&', \*STDOUT);
		open(STDIN, '<', $file->filename);
		{ exec @command }
		POSIX::_exit(127);
	}
	$self->{children}{$pid} = { input => $file, output => $output, judge => $judge };
	return $pid;
}

# The begin of a transaction.  If that is cancelled the session ends: what follows would not be one.
sub begin { my ($level) = @_; return "\\set ON_ERROR_STOP on\nBEGIN$level;\n\\set ON_ERROR_STOP off\n"; }

# Wait for all that was spawned.  A prepared transaction whose session is gone holds
# others up: it is ended in one way or the other.
sub reap
{
	my ($self) = @_;
	my $until = time + PATIENCE;

	while (%{ $self->{children} })
	{
		for my $pid (keys %{ $self->{children} })
		{
			$self->note_end($pid, $?) if waitpid($pid, WNOHANG) == $pid;
		}
		if (time > $until)
		{
			$self->differ("sessions hang:\n" . Hang::describe($self->node));
			kill 'KILL', keys %{ $self->{children} };
			$until += PATIENCE;
		}
		$self->end_prepared(0.5);
		usleep(20_000);
	}
	# a server that comes back just now has those of before
	while ($self->insist('SELECT count(*) FROM pg_catalog.pg_prepared_xacts') ne '0')
	{
		$self->end_prepared(0);
		usleep(20_000);
		next if time <= $until;
		$self->differ("prepared transactions do not end:\n" . Hang::describe($self->node));
		return;
	}
}

sub note_end
{
	my ($self, $pid, $status) = @_;
	my $child = delete $self->{children}{$pid};

	$child->{judge}->(PostgreSQL::Test::Utils::slurp_file("$child->{output}")) if $child->{judge};
	return unless $pid == ($self->{producer} // 0);
	delete $self->{producer};
	$self->differ('the producer failed') if $status != 0;
}

# Those that have been there for so many seconds, by our clock.
sub end_prepared
{
	my ($self, $age) = @_;
	my %since;

	for my $gid (split /\n/, $self->ask('SELECT gid FROM pg_catalog.pg_prepared_xacts') // '')
	{
		$since{$gid} = $self->{prepared_since}{$gid} // time;
		$self->ask(($gid =~ /[02468]$/ ? 'COMMIT' : 'ROLLBACK') . " PREPARED '$gid'") if time - $since{$gid} >= $age;
	}
	$self->{prepared_since} = \%since;
}

# Processes that ended by a signal that nobody sent, as the server's log says since the last time; but for those that our limits end.
sub crashes
{
	my ($self) = @_;
	my $log = PostgreSQL::Test::Utils::slurp_file($self->node->logfile, $self->{log_read} // 0);
	my $is_large;

	$log =~ s/[^\n]*\z//;
	$self->{log_read} += length($log);
	$is_large = $log =~ /PANIC:.*File too large/;
	return grep { /\(PID (\d+)\) was terminated by signal (\d+)/ && $2 != 9 && !$self->{is_limited}{$1} && !($2 == 6 && $is_large) } split /\n/, $log;
}

# ---- a round ----

sub begin_round
{
	my ($self) = @_;
	my $round = ++$self->{round};
	my $partitions = 1 + int(rand(5));
	my $delay = int(rand(15));
	my $workers = 1 + int(rand(3));
	my @names = shuffle(Views->names);

	$self->broker->create_topic("orders_$round", $partitions);
	$self->{orders} = Ledger->new($partitions, pace => 0.1 + rand(0.4));
	$self->{rows} = Ledger->new(1, is_unordered => 1, pace => 0.1 + rand(0.4));
	$self->{pending} = {};
	$self->{topic} = "orders_$round";
	$self->insist(<<"END");
DROP TABLE IF EXISTS committed;
CREATE TABLE committed (seq bigint PRIMARY KEY);
@{[ Skips::tables() ]}
CREATE FOREIGN TABLE orders ($columns) SERVER kafka OPTIONS (topic 'orders_$round', event_time 'at', watermark_delay '$delay s', workers '$workers');
CREATE FOREIGN TABLE rows ($columns) SERVER streamx OPTIONS (event_time 'at', watermark_delay '$delay s', retain 'on', on_error 'dead_letter');
GRANT SELECT ON orders, rows TO keeper;
END
	$self->{stream} = $self->insist(q{SELECT 'orders'::regclass::oid});
	$self->{spare} = [ @names[ 8 .. $#names ] ];
	$self->{order_views} = [ map { Views->new($_, "o_$_", 'orders') } @names[ 0 .. 7 ] ];
	$self->{row_views} = [ map { Views->new($_, "r_$_", 'rows') } grep { $_ ne 'notes' } (shuffle(Views->names))[ 0 .. 5 ] ];
	$self->insist(join(";\n", map { 'SET ROLE ' . ($_->{join} ? 'keeper' : 'NONE'), $_->sql } $self->order_views, $self->row_views));
	return sprintf('%d partitions, %d workers, watermark %d s behind; %s; rows: %s', $partitions, $workers, $delay,
		join(' ', map { $_->{name} } $self->order_views), join(' ', map { $_->{name} } $self->row_views));
}

sub end_round
{
	my ($self) = @_;

	$self->insist('DROP FOREIGN TABLE orders, rows CASCADE');
	my $left = $self->insist(q{SELECT (SELECT count(*) FROM streamx.views) + (SELECT count(*) FROM streamx.readers) + (SELECT count(*) FROM pg_catalog.pg_class WHERE relname ~ '^v\d+_')
		+ (SELECT count(*) FROM streamx_internal.late_row) + (SELECT count(*) FROM streamx_internal.dead_letter) + (SELECT count(*) FROM streamx_internal.skip)
		+ (SELECT count(*) FROM streamx_internal.view_start) + (SELECT count(*) FROM streamx.progress)});
	$self->differ("$left things are left after DROP") if $left != 0;
	$self->{checks}++;
}

sub shuffle
{
	my @list = @_;

	for my $i (reverse 1 .. $#list)
	{
		my $j = int(rand($i + 1));

		@list[ $i, $j ] = @list[ $j, $i ];
	}
	return @list;
}

# ---- delivering ----

# Records to the topic, delivered when it returns; all bad ones if it is to be so.
sub deliver
{
	my ($self, $n, $fate) = @_;

	$self->broker->produce_lines($self->{topic}, ['--compression', 'lz4'], $self->orders->lines($n, $fate));
}

# The same, but at a rate and in the background.
sub deliver_slowly
{
	my ($self, $n, $rate) = @_;
	my $file = File::Temp->new;

	print $file map { "$_\n" } $self->orders->lines($n);
	$file->flush;
	$self->{producer} = $self->spawn_command($file, undef, $self->broker->producer_command($self->{topic}, '--rate', $rate));
}

# What is under way arrives before the broker is made to misbehave: a producer that has to send
# again may send twice, as one to any Kafka may.
sub let_producer_end
{
	my ($self) = @_;
	my $pid = $self->{producer} // return;

	waitpid($pid, 0);
	$self->note_end($pid, $?);
}

# Sessions that insert, each with transactions that end in all ways, and note what they insert.
sub let_insert
{
	my ($self, $sessions, $transactions) = @_;

	$self->spawn(join("\n", map { $self->transaction } 1 .. $transactions)) for 1 .. $sessions;
}

# One transaction: with savepoints that are released or rolled back, prepared or not, committed or not.
sub transaction
{
	my ($self) = @_;
	my $rows = $self->{rows};
	my $level = rand() < 0.2 ? (' ISOLATION LEVEL REPEATABLE READ', ' ISOLATION LEVEL SERIALIZABLE')[ rand 2 ] : '';
	my @lines = begin($level);
	my $die = rand;
	my $number = $rows->{seq} + 1;

	for my $part (1 .. 1 + int(rand(4)))
	{
		my $is_nested = rand() < 0.4;

		push @lines, "SAVEPOINT s$part;" if $is_nested;
		push @lines, $self->insertion(1 + int(rand(25)));
		push @lines, "SELECT count(*) FROM $_;" for map { rand() < 0.15 ? $_->label : () } $self->row_views;
		push @lines, (rand() < 0.5 ? 'ROLLBACK TO' : 'RELEASE') . " s$part;" if $is_nested;
	}
	return @lines, "PREPARE TRANSACTION 't$number';", ($die < 0.05 ? () : ($die < 0.1 ? 'ROLLBACK' : 'COMMIT') . " PREPARED 't$number';") if $die < 0.15;
	return @lines, $die < 0.3 ? 'ROLLBACK;' : 'COMMIT;';
}

sub insertion
{
	my ($self, $n) = @_;
	my @made;

	for (1 .. $n)
	{
		my $record = $self->{rows}->make;

		$record->{part} = 0;
		# one that the stream refuses fails the statement
		$record->{fate} = 'good' if $record->{fate} eq 'note' || rand() < 0.9;
		$self->{pending}{ $record->{seq} } = $record;
		push @made, $record;
	}
	return 'INSERT INTO rows VALUES ' . join(', ', map { $self->{rows}->values($_) } @made) . ';',
		'INSERT INTO committed SELECT unnest(ARRAY[' . join(', ', map { $_->{seq} } @made) . ']);';
}

# What was committed is what there is; all else never was.
sub settle_rows
{
	my ($self) = @_;
	my $pending = $self->{pending};
	my %is_committed = map { $_ => 1 } split /\n/, $self->insist('SELECT seq FROM committed');

	push @{ $self->{rows}->records(0) }, map { $pending->{$_} } grep { $is_committed{$_} } sort { $a <=> $b } keys %$pending;
	$self->{pending} = {};
}

# What was granted to be skipped, and what became of it.
sub settle_skips
{
	my ($self) = @_;
	my @rebuilt = split /\n/, $self->insist('SELECT shadow_of FROM streamx.views WHERE shadow_of IS NOT NULL');

	$self->{orders}->note_skips([ Skips::granted($self) ], @rebuilt);
	$self->{skips} = $self->insist('SELECT coalesce(sum(to_offset - from_offset), 0) FROM streamx.skips');
}

# ---- checking ----

sub differ
{
	my ($self, @what) = @_;

	push @{ $self->{differences} }, @what;
	note("DIFFERENCE: $_") for @what;
}

# Wait until all is read; false if it does not come to that.
sub progress
{
	my ($self) = @_;
	my $goal = $self->orders->delivered;
	my $until;

	$self->reap;
	$until = time + PATIENCE;
	while (time < $until)
	{
		my $behind = $self->ask(<<"END") // '';
SELECT count(*) FROM streamx.view_streams v
WHERE stream = 'orders'::regclass AND $goal > (SELECT coalesce(sum(next_offset), 0) FROM streamx.progress p WHERE p.reader = v.reader)
END

		return 1 if $behind eq '0';
		usleep(20_000);
	}
	$self->differ('no progress: ' . ($self->ask(q{SELECT string_agg(t::text, chr(10)) FROM (SELECT w::text FROM streamx.stat_workers w UNION ALL SELECT v::text FROM streamx.stat_views v
		UNION ALL SELECT p::text FROM streamx.progress p) t}) // 'no server') . "\n" . Hang::describe($self->node));
	return 0;
}

sub check
{
	my ($self) = @_;

	$self->settle_rows;
	$self->settle_skips;
	$self->differ("a process crashed: $_") for $self->crashes;
	for my $pair ([ $self->{orders}, $self->order_views ], [ $self->{rows}, $self->row_views ])
	{
		my ($checks, @differences) = $self->compare(@$pair);

		$self->{checks} += $checks;
		$self->differ(@differences);
	}
}

sub compare
{
	my ($self, $ledger, @views) = @_;
	my @result;
	my $until = time + PATIENCE;

	do { @result = Oracle::check($self->node, $ledger, @views); } until @result || time > $until;
	return @result ? @result : (0, 'the server does not let itself be checked');
}

1;
