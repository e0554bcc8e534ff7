# What the TAP tests share: a server with streamx, a broker, and ways to wait.
#
#	my $broker = StreamX::Broker->new(orders => 2);		# topic orders, 2 partitions
#	my $node = streamx_node('main', broker => $broker);	# CREATE EXTENSION and SERVER kafka done
#	$broker->produce('orders', 0, '{"amount": 1}', '{"amount": 2}');
#	caught_up($node, 'orders');
#	shows($node, 'SELECT total FROM revenue', '3', 'both messages count');
#
# The broker is librdkafka's mock cluster (test/kafka/broker), or Apache Kafka
# where STREAMX_KAFKA_JARS says that it is there (make check-kafka).
package StreamX;

use strict;
use warnings;

use Errno;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(streamx_node preloading write_whole configure caught_up eventually eventually_while shows verified ask_until worker_pids kill_workers crash);

# A started server; settings are lines of postgresql.conf.
sub streamx_node
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(%{ $option{init} // {} });
	$node->append_conf('postgresql.conf', <<"END");
shared_preload_libraries = 'streamx'
max_worker_processes = 24
max_prepared_transactions = 10
restart_after_crash = on
fsync = off
timezone = 'UTC'
log_line_prefix = '%m [%p] %b %q%a '
END
	$node->append_conf('postgresql.conf', $_) for @{ $option{settings} // [] };
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION streamx');
	if (my $broker = $option{broker})
	{
		my $address = $broker->address;

		$node->safe_psql('postgres',
			"CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address')");
	}
	return $node;
}

# Do what starts a server, with a library that is preloaded into it, and told what to do by these environment variables.
sub preloading
{
	my ($library, $variables, $do) = @_;

	die "there is no $library: run make -C test/kafka" unless -e $library;
	local %ENV = (%ENV, %$variables, LD_PRELOAD => join(' ', $library, $ENV{LD_PRELOAD} // ()));
	return $do->();
}

# A file that others read at any time: they find the old text in it, or the new one.
sub write_whole
{
	my ($path, $text) = @_;

	open(my $file, '>', "$path.new") or die "$path: $!";
	print $file $text;
	close($file) && rename("$path.new", $path) or die "$path: $!";
}

# Another line of postgresql.conf.  Whatever begins after this begins with it: its session is younger than the signal to the workers.
sub configure
{
	my ($node, $line) = @_;
	my $loaded = $node->safe_psql('postgres', 'SELECT pg_catalog.pg_conf_load_time()');

	$node->append_conf('postgresql.conf', $line);
	$node->reload;
	$node->poll_query_until('postgres', "SELECT pg_catalog.pg_conf_load_time() > '$loaded'") or die "no reload: $line";
}

# Wait until every view of the stream has passed the topic's end as of now.
sub caught_up
{
	my ($node, $stream) = @_;

	$node->safe_psql('postgres', "CALL streamx.wait_for('$stream', '60 s')");
}

# Wait until a query returns what is expected: one test.
sub eventually
{
	my ($node, $query, $expected, $title) = @_;

	local $Test::Builder::Level = $Test::Builder::Level + 1;

	# what it returned once it need not return again
	return pass($title) if $node->poll_query_until('postgres', $query, $expected);
	shows($node, $query, $expected, $title);
}

# Do something over and over until a query returns what is expected, however fast that goes: one test.
sub eventually_while
{
	my ($node, $do, $query, $expected, $title) = @_;
	my $until = time + $PostgreSQL::Test::Utils::timeout_default;
	my $result;

	local $Test::Builder::Level = $Test::Builder::Level + 1;

	do
	{
		$do->();
		$result = $node->safe_psql('postgres', $query);
	} until $result eq $expected || time > $until;
	is($result, $expected, $title);
}

# What a query returns now: one test.
sub shows
{
	my ($node, $query, $expected, $title) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($node->safe_psql('postgres', $query), $expected, $title);
}

# The view equals its definition as a batch: one test.
sub verified
{
	my ($node, $view) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	is($node->safe_psql('postgres', "SELECT * FROM streamx.verify('$view')"), '', "$view equals its batch");
}

# Ask until the answer is true, of a server that may be away: a psql that cannot
# connect does not read its query, which is an error of ours.
sub ask_until
{
	my ($node, $query) = @_;

	for (1 .. 1800)
	{
		my ($status, $answer) = eval { $node->psql('postgres', $query, on_error_die => 0) };

		return 1 if defined $status && $status == 0 && $answer eq 't';
		select(undef, undef, undef, 0.05);
	}
	return 0;
}

# The processes that consume.
sub worker_pids
{
	my ($node) = @_;

	return split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_catalog.pg_stat_activity WHERE backend_type = 'streamx worker'");
}

# Crash all workers, or these, and with them, as PostgreSQL does it, every other process; wait
# until that has happened, which takes it a moment, and there are workers again.
sub kill_workers
{
	my ($node, @pids) = @_;
	my $launchers = "FROM pg_catalog.pg_stat_activity WHERE backend_type = 'streamx launcher'";
	my $launcher = $node->safe_psql('postgres', "SELECT pid $launchers");

	@pids = worker_pids($node) unless @pids;
	die 'there is no worker to kill' unless @pids;
	kill 'KILL', @pids;
	ask_until($node, "SELECT (SELECT pid <> $launcher $launchers) AND count(*) > 0
		FROM pg_catalog.pg_stat_activity WHERE backend_type = 'streamx worker'")
		or die 'the workers did not come back';
}

# Kill the postmaster and start it again, as soon as the last of its children is gone.
sub crash
{
	my ($node) = @_;

	$node->kill9;
	for (1 .. 300)
	{
		return if $node->start(fail_ok => 1);
		$node->stop('fast', fail_ok => 1);
		select(undef, undef, undef, 0.1);
	}
	die 'the server does not start after a crash';
}

package StreamX::Broker;

use strict;
use warnings;

use File::Basename;
use File::Spec;
use IO::Handle;
use IPC::Open2;
use PostgreSQL::Test::Utils;

my $tests = dirname(dirname(File::Spec->rel2abs(__FILE__)));
my $jars = $ENV{STREAMX_KAFKA_JARS};

# Is it Apache Kafka, which can do more than the mock?
sub is_real { return defined $jars; }

# A running broker with topics: name => number of partitions.  -brokers => N: the mock is of so many.  Of Apache Kafka alone,
# see test/apache-kafka/broker: -settings, -listeners and -users, lists of lines.
sub new
{
	my ($class, %topics) = @_;
	my $self = bless { brokers => delete $topics{-brokers} // 1 }, $class;

	$self->{$_} = delete $topics{"-$_"} for qw(settings listeners users);

	is_real() ? $self->_start_kafka(%topics) : $self->_start_mock(%topics);
	return $self;
}

sub address { my ($self, $listener) = @_; return $listener ? $self->{addresses}{$listener} : $self->{address}; }

# The version of librdkafka, and so of its mock.
sub library { chomp(my $version = `$tests/kafka/broker --library`); return $version; }

# Append payloads, none of which contains a newline, to a partition.
sub produce
{
	my ($self, $topic, $partition, @payloads) = @_;

	$self->produce_lines($topic, [], map { "$partition\t\t\\N\t$_" } @payloads);
}

# Append "partition TAB timestamp_ms TAB key TAB payload" lines, with options: see test/kafka/produce.c.
sub produce_lines
{
	my ($self, $topic, $options, @lines) = @_;
	my @command = $self->producer_command($topic, @$options);

	my $pid = open(my $producer, '|-', @command) or die "produce: $!";

	print $producer "$_\n" for @lines;
	return if close($producer);
	# a signal may come while it waits
	die "could not produce to $topic: $! $?" unless $!{EINTR};
	die "could not produce to $topic: $?" if waitpid($pid, 0) == $pid && $? != 0;
}

# What takes such lines from its standard input.
sub producer_command
{
	my ($self, $topic, @options) = @_;

	return ("$tests/kafka/produce", '--bootstrap', $self->{address}, '--topic', $topic, @options);
}

# With settings of the topic: Apache Kafka only.
sub create_topic
{
	my ($self, $topic, $partitions, %settings) = @_;

	is_real() ? $self->_topic('create', $topic, $partitions, %settings) : $self->tell("topic $topic $partitions");
}

# Only the mock can do this: a command such as 'down all' or 'error Fetch _TRANSPORT 3', see test/kafka/broker.c.
sub tell
{
	my ($self, $command) = @_;

	print { $self->{to} } "$command\n";
	my $answer = readline($self->{from}) // 'the broker is gone';
	die "broker: $command: $answer" unless $answer eq "ok\n";
}

# Only Apache Kafka can do these.
sub add_partitions { my ($self, $topic, $total) = @_; $self->_topic('grow', $topic, $total); }
sub delete_topic { my ($self, $topic) = @_; $self->_topic('delete', $topic); }
sub kill9 { my ($self) = @_; $self->_broker('kill'); }
sub restart { my ($self) = @_; $self->_broker('restart'); }
sub start { my ($self) = @_; $self->_broker('start'); }
sub grant { my ($self, @right) = @_; $self->_acl('grant', @right); }
sub revoke { my ($self, @right) = @_; $self->_acl('revoke', @right); }

# While it is down: end a partition's log before the batch of messages with this offset.
sub cut_log
{
	my ($self, $topic, $partition, $offset) = @_;
	my $directory = "$self->{directory}/data/$topic-$partition";
	my $file = "$directory/00000000000000000000.log";
	my $log = slurp_file($file);
	my $end = 0;

	while ($end < length $log)
	{
		my ($first, $length) = unpack("x$end Q> N", $log);

		last if $first >= $offset;
		$end += 12 + $length;
	}
	die "there is nothing from offset $offset on in $file" if $end == length $log;
	truncate($file, $end) or die "$file: $!";
	unlink glob("$directory/*.index $directory/*.timeindex $directory/*.snapshot");
}

# The offsets of what a partition's log has now.
sub offsets
{
	my ($self, $topic, $partition) = @_;

	chomp(my @offsets = `kcat -C -b $self->{address} -t $topic -p $partition -o beginning -e -q -f '%o\n'`);
	die "could not read $topic" if $? != 0;
	return @offsets;
}

# Commands for a transactional producer: "send PARTITION PAYLOAD", "commit", "abort".
sub transactions
{
	my ($self, $topic, @commands) = @_;

	open(my $producer, '|-', "$tests/apache-kafka/transaction", $self->{address}, $topic) or die "transaction: $!";
	print $producer "$_\n" for @commands;
	close($producer) or die "the transactional producer failed";
}

sub stop
{
	my ($self) = @_;

	if ($self->{mock})
	{
		kill 'TERM', $self->{mock};
		waitpid($self->{mock}, 0);
		delete $self->{mock};
	}
	$self->_broker('kill') if delete $self->{directory_in_use};
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@, $!);

	eval { $self->stop };
}

sub _start_mock
{
	my ($self, %topics) = @_;
	my @topics = map { ('--topic', "$_:$topics{$_}") } sort keys %topics;

	$self->{mock} = open2($self->{from}, $self->{to}, "$tests/kafka/broker", '--brokers', $self->{brokers}, @topics);
	$self->{to}->autoflush(1);
	chomp($self->{address} = readline($self->{from}) // die 'the mock broker did not start');
}

sub _start_kafka
{
	my ($self, %topics) = @_;

	$self->{directory} = PostgreSQL::Test::Utils::tempdir_short();
	$self->{directory_in_use} = 1;
	append_to_file("$self->{directory}/$_", join('', map { "$_\n" } @{ $self->{$_} // [] })) for qw(settings listeners users);
	($self->{address}, my @others) = $self->_broker('start');
	$self->{addresses} = { map { split } @others };
	$self->create_topic($_, $topics{$_}) for sort keys %topics;
}

sub _broker
{
	my ($self, $command) = @_;
	my @command = ("$tests/apache-kafka/broker", $command, $self->{directory}, $jars);

	open(my $output, '-|', @command) or die "broker: $!";
	chomp(my @addresses = <$output>);
	close($output) or die "could not $command Kafka";
	return @addresses;
}

sub _topic
{
	my ($self, @command) = @_;
	my $command = shift @command;

	system("$tests/apache-kafka/topic", $self->{address}, $command, @command) == 0
		or die "could not $command the topic";
}

# A right: user, 'read' or 'describe', topic.
sub _acl
{
	my ($self, $command, @right) = @_;

	system("$tests/apache-kafka/acl", $self->{address}, $command, @right) == 0 or die "could not $command a right";
}

1;
