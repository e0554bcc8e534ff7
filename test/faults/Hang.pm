# What a server that hangs looks like: who waits, for whom, and where.
package Hang;

use strict;
use warnings;

# A session that has come to its end may hang, too.
use constant PATIENCE => 10;

# A holder whose pid is empty is a prepared transaction.
my @queries = (
	[ 'sessions', q{SELECT pid, backend_type, state, wait_event_type, wait_event, pg_catalog.pg_blocking_pids(pid), pg_catalog.left(query, 100)
		FROM pg_catalog.pg_stat_activity WHERE pid <> pg_catalog.pg_backend_pid() ORDER BY pid} ],
	[ 'locks that are waited for', q{SELECT l.pid, l.virtualtransaction, l.locktype, l.relation::regclass, l.virtualxid, l.transactionid, l.classid::regclass, l.objid, l.mode,
		CASE WHEN l.granted THEN 'held' ELSE 'waits' END, l.waitstart
		FROM pg_catalog.pg_locks l
		WHERE EXISTS (SELECT FROM pg_catalog.pg_locks w WHERE NOT w.granted
			AND (w.locktype, w.database, w.relation, w.page, w.tuple, w.virtualxid, w.transactionid, w.classid, w.objid, w.objsubid) IS NOT DISTINCT FROM
				(l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid))
		ORDER BY l.granted, l.pid} ],
	[ 'prepared transactions', 'SELECT transaction, gid, prepared, owner, database FROM pg_catalog.pg_prepared_xacts' ],
);

# Text of many lines about a PostgreSQL::Test::Cluster; it may be shutting down.
sub describe
{
	my ($node) = @_;

	return join("\n", (map { ask($node, @$_) } @queries), map { process($_) } children($node));
}

sub ask
{
	my ($node, $title, $sql) = @_;
	my $timed_out;
	my ($status, $output, $errors) = eval { $node->psql('postgres', $sql, on_error_die => 0, timeout => PATIENCE, timed_out => \$timed_out) };

	return "$title:\n" . ($timed_out ? 'no answer' : defined $status && $status == 0 ? $output : $errors // $@);
}

# The postmaster's, from /proc: they are there when nobody can connect any more.
sub children
{
	my ($node) = @_;
	my $postmaster = (read_lines($node->data_dir . '/postmaster.pid'))[0] // return;

	chomp $postmaster;
	return grep { (join('', read_lines("/proc/$_/stat")) =~ /\) \S (\d+) /) && $1 == $postmaster } map { /(\d+)/ } glob('/proc/[0-9]*');
}

# Its signals (pending, blocked), and where it is, if there is a debugger to say so.
sub process
{
	my ($pid) = @_;
	my ($name) = read_lines("/proc/$pid/cmdline");
	my @signals = map { /^((?:State|Threads|SigPnd|ShdPnd|SigBlk):.*)/ } read_lines("/proc/$pid/status");
	my @stack = `timeout 30 gdb -p $pid --batch -ex 'thread apply all backtrace' 2>/dev/null </dev/null`;

	return join("\n", "process $pid: " . ($name // 'has ended') =~ tr/\0//dr, map { tr/\t/ /r } @signals, map { s/\n//r } grep { /^(#|Thread)/ } @stack);
}

# None, of a file that is gone.
sub read_lines
{
	my ($name) = @_;

	open(my $file, '<', $name) or return;
	return <$file>;
}

1;
