# What processes have used, from /proc.
package Process;
use strict;
use warnings;

use Exporter qw(import);
use List::Util qw(sum0);
use Time::HiRes qw(clock_gettime);

our @EXPORT = qw(read_file cpu_of cpu_with_children main_thread_cpu memory_of descendants machine_facts);

my $ticks = qx(getconf CLK_TCK) + 0;

sub read_file
{
	my ($name) = @_;

	open(my $file, '<', $name) or return undef;
	local $/;
	return scalar <$file>;
}

# Seconds of CPU, user and system, of a process with all its threads, those that
# have ended too: its CPU clock, which is as fine as the kernel's accounting.
sub cpu_of
{
	my ($pid) = @_;
	my $seconds = -d "/proc/$pid" ? clock_gettime(-8 * ($pid + 1) + 2) : 0;

	return defined $seconds && $seconds > 0 ? $seconds : 0;
}

# ... and that of its children which it has waited for.
sub cpu_with_children
{
	my ($pid) = @_;
	my $stat = read_file("/proc/$pid/stat") // return 0;
	my @field = split ' ', $stat =~ s/^.*\) //sr;

	return cpu_of($pid) + sum0(@field[ 13, 14 ]) / $ticks;
}

# Seconds of CPU of the process's first thread, which is PostgreSQL's own.
sub main_thread_cpu
{
	my ($pid) = @_;

	return (split ' ', read_file("/proc/$pid/task/$pid/schedstat") // 0)[0] / 1e9;
}

# Bytes of memory that are the process's own: resident less shared.
sub memory_of
{
	my ($pid) = @_;
	my @pages = split ' ', read_file("/proc/$pid/statm") // '0 0 0';

	return ($pages[1] - $pages[2]) * 4096;
}

# A process and those below it.
sub descendants
{
	my ($pid) = @_;
	my @children = map { split ' ', read_file($_) // '' } glob("/proc/$pid/task/*/children");

	return ($pid, map { descendants($_) } @children);
}

sub machine_facts
{
	my $cpu = read_file('/proc/cpuinfo');
	my ($model) = $cpu =~ /^model name\s*:\s*(.*)$/m;
	my $cores = () = $cpu =~ /^processor/mg;
	my ($memory) = read_file('/proc/meminfo') =~ /^MemTotal:\s*(\d+)/;

	return (cpu => $model, cores => $cores, memory_gb => int($memory / 2**20 + 0.5), kernel => (split ' ', qx(uname -r))[0]);
}

1;
