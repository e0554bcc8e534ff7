# Who is measured, and how one run goes.
#
# A contestant but streamx is a command:
#
#	COMMAND NAME --broker A --topic T --partitions P --events N --window KIND,MS[,MS] --groups G
#			--postgres HOST:PORT --result TABLE --csv FILE [--follow] [OPTION]...
#	or, over Nexmark's events, with --query NAME
#
# It reads all partitions from the earliest offset and groups orders as Shape.pm says (windows
# aligned to 1970, 5 s of watermark delay).  Its stdout has a line
#
#	committed M		when M orders are committed: what they changed is visible to SELECT
#	consumed M		when M are read; taken where commits are too far apart
#	note KEY VALUE		of its version and settings
#
# After "committed N" it ends with status 0 and leaves the result: a table or view TABLE with
# (window_start timestamptz, category text, orders bigint, total numeric, mean numeric), with --query the
# columns of the query in Nexmark.pm, helpers being named TABLE_*; or, without a database, a CSV FILE of these.  Exit status 3: there are no such windows.
# With --follow it goes on with what is appended, until SIGTERM.
package Contestant;
use strict;
use warnings;

use Exporter qw(import);
use IO::Select;
use List::Util qw(max sum0);
use Time::HiRes qw(sleep time);

use Nexmark;
use Process;
use Server;
use Shape;
use Streamx;
use Topic;

our @EXPORT = qw(contestant_named contestants run_contestant start_command end_command drop_result);

my $result = 'bench_result';
my $longest = 900;  # seconds that a run of up to 2M orders may take

# result: table, csv or nothing to check.  Those of bench/jvm come from Maven Central.
my @contestants = (
	{ name => 'r0', title => 'R0: librdkafka alone', program => 'consumer/consumer', result => 'none' },
	{ name => 'r1', title => 'R1: and decoding', program => 'consumer/consumer', result => 'none' },
	{ name => 'r2', title => 'R2: and a hash table in C', program => 'consumer/consumer', result => 'csv' },
	{ name => 'n1', title => 'N1: upsert by order', program => 'consumer/consumer', result => 'table' },
	{ name => 'n2', title => 'N2: upsert by batch', program => 'consumer/consumer', result => 'table', is_batched => 1 },
	{ name => 'n2-windows', title => 'N2, and an index of windows', program => 'consumer/consumer', result => 'table', is_batched => 1 },
	{ name => 'trigger-row', title => 'COPY, trigger by row', program => 'trigger', result => 'table' },
	{ name => 'trigger-statement', title => 'COPY, trigger by statement', program => 'trigger', result => 'table' },
	{ name => 'flink-tvf', title => 'Flink, window TVF', program => 'jvm/run', result => 'table' },
	{ name => 'flink-tvf-rocksdb', title => 'Flink, window TVF, RocksDB', program => 'jvm/run', result => 'table' },
	{ name => 'flink-tvf-discard', title => 'Flink, window TVF, no sink', program => 'jvm/run', result => 'csv' },
	{ name => 'flink-group', title => 'Flink, group aggregate', program => 'jvm/run', result => 'table' },
	{ name => 'flink-group-rocksdb', title => 'Flink, group aggregate, RocksDB', program => 'jvm/run', result => 'table' },
	{ name => 'flink-group-discard', title => 'Flink, group aggregate, no sink', program => 'jvm/run', result => 'csv' },
	{ name => 'kafka-streams', title => 'Kafka Streams', program => 'jvm/run', result => 'table' },
	{ name => 'kafka-streams-local', title => 'Kafka Streams, no repartition', program => 'jvm/run', result => 'table' },
	{ name => 'kafka-streams-discard', title => 'Kafka Streams, no sink', program => 'jvm/run', result => 'csv' },
	{ name => 'streamx', title => 'streamx', result => 'table' },
	{ name => 'streamx-2', title => 'streamx, workers = 2', result => 'table', workers => 2 },
	{ name => 'streamx-1g', title => 'streamx, batch_memory = 1GB', result => 'table', settings => { 'streamx.batch_memory' => '1GB' } });

sub contestants { return @contestants; }

sub contestant_named
{
	my ($name) = @_;

	return (grep { $_->{name} eq $name } @contestants)[0] // die "no such contestant: $name\n";
}

# One run: the figures, or nothing if the contestant has no such windows.  $race has setup, topic and count.
sub run_contestant
{
	my ($contestant, $shape, $race) = @_;
	my $run = $contestant->{program} ? run_command($contestant, $shape, $race) : run_streamx($contestant, $shape, $race);

	return undef unless $run;
	my %figures = (%{ evaluate($run->{samples}, $race->{count}) }, memory_mb => $run->{peak} / 2**20, %{ $run->{more} });
	return \%figures;
}

# ---- a command ----

sub command_of
{
	my ($contestant, $shape, $race, @more) = @_;
	my $setup = $race->{setup};

	return (
		"$setup->{source}/bench/$contestant->{program}", $contestant->{name}, '--broker', $setup->{address}, '--topic', $race->{topic},
		'--partitions', $setup->{partitions}, '--events', $race->{count}, '--window', window_option($shape), '--groups', $shape->{groups},
		'--postgres', "127.0.0.1:$ENV{PGPORT}", '--result', $result, '--csv', "$setup->{scratch}/result.csv",
		(is_nexmark($shape) ? ('--query', $shape->{query}) : ()), ($contestant->{is_batched} && $race->{batch_rows} ? ('--batch-rows', $race->{batch_rows}) : ()), @more);
}

# A process with its output (of one that follows, nobody reads it): { pid, output, rest, log }.
sub start_command
{
	my ($contestant, $shape, $race, @more) = @_;
	my $log = "$race->{setup}{scratch}/$contestant->{name}.log";
	my @command = command_of($contestant, $shape, $race, @more);
	my $pid = open(my $output, '-|') // die "fork: $!";

	if (!$pid)
	{
		chdir($race->{setup}{scratch});
		open(STDERR, '>', $log);
		open(STDIN, '<', '/dev/null');
		open(STDOUT, '>', '/dev/null') if grep { $_ eq '--follow' } @more;
		exec(@command) or exit 127;
	}
	return { pid => $pid, output => $output, rest => '', log => $log, name => $contestant->{name}, until => time + $longest * max(1, $race->{count} / 2e6) };
}

# The lines that have come within a moment; nothing after the last.
sub read_lines
{
	my ($process) = @_;

	return () unless IO::Select->new($process->{output})->can_read(0.02);
	my $n = sysread($process->{output}, $process->{rest}, 65536, length $process->{rest});
	$process->{is_ended} = 1 if !$n;
	my @lines = $process->{rest} =~ /^(.*)\n/mg;
	$process->{rest} =~ s/^.*\n//mg;
	return @lines;
}

# Status of a process that is over, or ended by SIGTERM.
sub end_command
{
	my ($process, $signal) = @_;

	kill($signal, $process->{pid}) if $signal;
	close($process->{output});
	return $? >> 8 if !($? & 127) || $signal;
	return 255;
}

sub run_command
{
	my ($contestant, $shape, $race) = @_;

	drop_result();
	my $process = start_command($contestant, $shape, $race);
	my %run = (samples => [ sample(0, 'committed', $process->{pid}) ], peak => 0, more => {});
	until ($process->{is_ended})
	{
		watch(\%run, $process, read_lines($process));
		$run{peak} = max($run{peak}, memory_in_use($contestant, $process));
		kill('KILL', descendants($process->{pid})) if time > $process->{until};
	}
	my $status = end_command($process);
	return undef if $status == 3;
	fail($process, "it ended with status $status") if $status;
	fail($process, 'it did not commit all') unless $run{samples}[-1]{done} >= $race->{count};
	check_result($contestant, $shape, $race, $process);
	return \%run;
}

# What a contestant has said; of positions that come together the last one is meant.
sub watch
{
	my ($run, $process, @lines) = @_;
	my ($last) = ((grep { /^committed/ } reverse @lines), (grep { /^consumed/ } reverse @lines));

	push @{ $run->{samples} }, sample($2, $1, $process->{pid}) if $last && $last =~ /^(committed|consumed) (\d+)$/;
	/^note (\S+) (.*)$/ and $run->{more}{notes}{$1} = $2 for @lines;
}

# Of the process, and of the server if it works for it.
sub memory_in_use
{
	my ($contestant, $process) = @_;
	my @pids = (descendants($process->{pid}), $contestant->{result} eq 'table' ? server_pids() : ());

	return sum0(map { memory_of($_) } @pids);
}

sub sample
{
	my ($done, $what, $pid) = @_;
	my $worker = sum0(map { cpu_with_children($_) } descendants($pid));
	my ($postmaster, @others) = server_pids();

	return {
		done => $done, what => $what, time => time, worker => $worker,
		others => cpu_with_children($postmaster) + sum0(map { cpu_of($_) } @others), wal => wal_position() };
}

sub fail
{
	my ($process, $why) = @_;
	my @log = split /\n/, read_file($process->{log}) // '';

	die "$process->{name}: $why\n" . join("\n", @log[ max(0, @log - 20) .. $#log ]) . "\n";
}

# Nothing is counted but what is right.
sub check_result
{
	my ($contestant, $shape, $race, $process) = @_;

	return if $contestant->{result} eq 'none';
	if ($contestant->{result} eq 'csv')
	{
		ask("CREATE UNLOGGED TABLE $result (window_start timestamptz, category text, orders bigint, total numeric, mean numeric)");
		ask("COPY $result FROM '$race->{setup}{scratch}/result.csv' (FORMAT csv)");
	}
	my $wrong = is_nexmark($shape) ? wrong_nexmark($shape, "oracle.$race->{topic}", result_of_others($shape, $result), 0) : wrong_rows($shape, $race->{topic}, $result);
	fail($process, "$wrong rows of $shape->{name} are not the oracle's") if $wrong;
	drop_result();
}

sub drop_result
{
	my @drops = ask("SELECT format('DROP %s IF EXISTS %I CASCADE', CASE relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, relname)
		FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'p') AND (relname = '$result' OR relname LIKE '$result\\_%')");

	ask($_) for @drops;
	ask('CHECKPOINT');
}

# ---- figures ----

# Between the first commit past a tenth and the first past nine tenths.
sub evaluate
{
	my ($samples, $count) = @_;
	my @commits = grep { $_->{what} eq 'committed' } @$samples;
	my $between = grep { $_->{done} >= 0.1 * $count && $_->{done} <= 0.9 * $count } @commits;
	my @used = $between >= 3 ? @commits : @$samples;
	my ($first) = grep { $_->{done} >= 0.1 * $count } @used;
	my ($last) = grep { $_->{done} >= 0.9 * $count } @used;
	my %done = map { $_->{done} => 1 } @commits;
	my $events = $last->{done} - $first->{done};

	die "the topic is too short: one batch took it all\n" unless $events > 0;
	my $per_million = sub { return ($last->{ $_[0] } - $first->{ $_[0] }) * 1e6 / $events };
	my %figures = (
		events_per_s => 1e6 / $per_million->('time'), worker => $per_million->('worker'), others => $per_million->('others'),
		wal_bytes => $per_million->('wal') / 1e6, batches => keys(%done) - 1, is_between_reads => (grep { $_->{what} eq 'consumed' } @used) ? 1 : 0);
	$figures{cpu} = $figures{worker} + $figures{others};
	$figures{main} = $per_million->('main') if defined $first->{main};
	return \%figures;
}

1;
