# The PostgreSQL that is measured: PGHOST, PGPORT, PGUSER and PATH lead to it.
package Server;
use strict;
use warnings;

use Exporter qw(import);
use IPC::Open2;
use List::Util qw(sum0);
use Time::HiRes qw(sleep time);

use Process;

our @EXPORT = qw(open_session close_session ask wait_for set reset_settings wal_position session_pid server_pids kafka_server);

my ($from, $to, $session, $postmaster);

# One psql that stays: a query costs no start of a process.
sub open_session
{
	open2($from, $to, 'psql', '-XAtq', '-F', "\t", '-v', 'ON_ERROR_STOP=1', '-d', 'postgres');
	$to->autoflush(1);
	ask('SET client_min_messages = warning');
	ask("SET TimeZone = 'UTC'");
	$session = ask('SELECT pg_backend_pid()');
	$postmaster = (split /\n/, read_file(ask('SHOW data_directory') . '/postmaster.pid'))[0];
}

sub close_session
{
	close($to);
	close($from);
}

# The rows of a statement, as text.
sub ask
{
	my ($statement) = @_;
	my @rows;

	print $to "$statement;\n\\echo ==\n";
	while (defined(my $line = <$from>))
	{
		chomp $line;
		return wantarray ? @rows : $rows[0] if $line eq '==';
		push @rows, $line;
	}
	die "psql ended at: $statement\n";
}

# Wait for a query's first value to become true.
sub wait_for
{
	my ($query, $what) = @_;
	my $until = time + 120;

	while (time < $until)
	{
		my $value = ask($query);
		return $value if $value && $value ne "f";
		sleep 0.005;
	}
	die "no $what\n";
}

sub set
{
	my ($name, $value) = @_;

	ask("ALTER SYSTEM SET $name = '$value'");
	ask('SELECT pg_reload_conf()');
}

sub reset_settings
{
	ask('ALTER SYSTEM RESET ALL');
	ask('SELECT pg_reload_conf()');
}

sub wal_position { return ask("SELECT pg_current_wal_insert_lsn() - '0/0'"); }

sub session_pid { return $session; }

# The postmaster first; not this session's backend, which does nothing but look.
sub server_pids
{
	my @children = split ' ', read_file("/proc/$postmaster/task/$postmaster/children") // '';

	return ($postmaster, grep { $_ != $session } @children);
}

# Where streams of ours find Kafka.
sub kafka_server
{
	my ($address) = @_;

	ask('DROP EXTENSION IF EXISTS streamx CASCADE');
	ask('CREATE EXTENSION streamx');
	ask("CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address')");
}

1;
