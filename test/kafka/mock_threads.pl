# Fault 32: no memory for a thread of librdkafka's.  It never tries again to make one, so a client without is not kept

use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $library = "$FindBin::RealBin/few_threads.so";
my $order = PostgreSQL::Test::Utils::tempdir() . '/threads';
my $broker = StreamX::Broker->new(-brokers => 3, orders => 3);

my $node = preloading($library, { STREAMX_FEW_THREADS => $order }, sub { streamx_node('threads', broker => $broker, settings => ['streamx.max_restart_backoff = 200ms']) });

$broker->produce('orders', $_, '{"n": 1}', '{"n": 2}') for 0 .. 2;

# One is the client's own, for the second one of three brokers: the others cannot be talked to
for my $threads (1, 2)
{
	my $stream = "of_$threads";
	my $place = -s $node->logfile;

	write_whole($order, $threads);
	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE $stream (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW sum_$stream WITH (streamx.continuous) AS SELECT sum(n) FROM $stream;
END
	ok($node->wait_for_log(qr/WARNING:  could not start a thread to read Kafka topic "orders"\n.*HINT:  A limit on the memory or the threads/, $place), "with $threads threads a worker says what it wants");
	eventually($node, "SELECT state FROM streamx.stat_streams WHERE stream = '$stream'::regclass", 'failing', 'and so does the stream');

	my ($status, undef, $errors) = $node->psql('postgres', "SELECT count(*) FROM $stream");

	like($errors, qr/ERROR:  could not read Kafka topic "orders": .*\n.*\n?HINT:  A limit on the memory or the threads/, 'and so has who reads it');
	unlink $order or die "$order: $!";
	caught_up($node, $stream);
	shows($node, "SELECT sum FROM sum_$stream", '9', 'once there can be more, all is read');
	eventually($node, "SELECT state FROM streamx.stat_streams WHERE stream = '$stream'::regclass", 'caught up', 'and all is well');
}

$node->stop;
$broker->stop;
done_testing();
