# Faults 8, 9 and 10 of docs/reliability.md, by a proxy before the broker: answers that are slow, connections over
# which nothing comes back, and harm to what comes

use strict;
use warnings;

use Numbers;
use Proxy;
use StreamX;
use Test::More;
use Time::HiRes qw(time);

my $broker = StreamX::Broker->new(orders => 2, busy => 2);
my $proxy = Proxy->new($broker->address);
my $address = $proxy->address;
my $node = streamx_node('connections', settings => [ q{streamx.discovery_interval = '100ms'}, q{streamx.max_restart_backoff = '200ms'},
	'deadlock_timeout = 10s' ]); # a worker that waits for a lock has ten times half of that

$node->safe_psql('postgres', <<"END");
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address', socket_timeout_ms '2000', reconnect_backoff_max_ms '200');
END
my $numbers = Numbers->new($node, $broker);
$numbers->send_more(100);
$numbers->count_once('through a proxy');

# Fault 44: of whom brokers see requests
sub client_of { my ($stream) = @_; return $node->safe_psql('postgres', "SELECT format('streamx-%s-%s-%s', d.oid, stream::oid, reader) FROM streamx.readers, pg_database d WHERE datname = current_database() AND stream = '$stream'::regclass"); }
my $name = client_of('orders');
cmp_ok($proxy->count("client $name"), '>', 0, 'fault 44: to brokers a reader has a name of its own');

# Fault 8: answers that are slow, and the last one never comes: a batch that has its messages needs none
{
	my %before = map { $_ => $proxy->count($_) } qw(Fetch Metadata);
	my $batches = $node->safe_psql('postgres', 'SELECT batches FROM streamx.stat_workers');
	my $holder = $node->background_psql('postgres');

	$proxy->tell('slow 300');
	for (1 .. 8)
	{
		$numbers->send_more(10);
		eventually($node, 'SELECT n FROM total', $numbers->sent, 'fault 8: messages come through, slowly');
	}
	cmp_ok($node->safe_psql('postgres', 'SELECT batches FROM streamx.stat_workers'), '>=', $batches + 8, 'fault 8: in batches');
	cmp_ok($proxy->count($_), '>=', $before{$_} + 4, "fault 8: meanwhile the broker was asked: $_") for sort keys %before;
	$holder->query_safe('BEGIN; LOCK TABLE ' . $node->safe_psql('postgres', q{SELECT state FROM streamx.views WHERE view = 'total'::regclass}) . ' IN SHARE MODE');
	$numbers->send_next(0);
	eventually($node, q{SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'streamx worker' AND wait_event_type = 'Lock'}, 't', 'fault 8: a batch has begun');
	$proxy->tell('hole');
	$holder->query_safe('COMMIT');
	$holder->quit;
	eventually($node, 'SELECT n FROM total', $numbers->sent, 'fault 8: and ends without an answer from the broker');
	$proxy->tell('slow 0');
	$proxy->tell('flow');
	$numbers->count_once('fault 8');
}

# Fault 9: nothing comes back, not even an error.  Of two workers one has the time that librdkafka allows, a minute
{
	my ($pid) = worker_pids($node);
	my ($rc, $out, $err, $patient, $connected, @before);
	my ($samples, $busy) = (0, 0);

	$node->safe_psql('postgres', <<"END");
CREATE SERVER patient FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address');
CREATE FOREIGN TABLE patient (n int) SERVER patient OPTIONS (topic 'orders');
CREATE VIEW patiently WITH (streamx.continuous) AS SELECT count(*) FROM patient;
END
	caught_up($node, 'patient');
	$patient = client_of('patient');
	$numbers->send_more(2);
	$numbers->count_once('fault 9: beside another stream');
	@before = map { $proxy->count("given up $_") } $name, $patient;
	$proxy->tell('hole');
	$numbers->send_more(100);
	ok($proxy->wait_until("given up $name", $before[0] + 1), 'fault 9: a connection over which nothing comes back is given up');
	is($proxy->count("given up $patient"), $before[1], 'fault 9: after socket_timeout_ms, not after a minute');
	eventually($node, q{SELECT state FROM streamx.stat_workers WHERE stream_name = 'orders'}, 'disconnected', 'fault 9: the worker says so');
	shows($node, 'SELECT n FROM total', $numbers->sent - 100, 'fault 9: its views can be read');

	# fault 8, too: whoever waits for an answer in a transaction is in it for as long as the answer takes, which is for ever here
	$connected = $proxy->count('connected');
	while ($proxy->count('connected') < $connected + 3 && $samples < 2000)
	{
		$samples++;
		$busy += $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker' AND (xact_start IS NOT NULL OR backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)});
	}
	cmp_ok($proxy->count('connected'), '>=', $connected + 3, "fault 9: it tries again, in $samples looks at it");
	is($busy, 0, 'fault 9: and holds no transaction and no snapshot while it waits for an answer');
	$node->safe_psql('postgres', 'DROP SERVER patient CASCADE');
	($rc, $out, $err) = $node->psql('postgres', q{SET statement_timeout = '1 s'; SELECT count(*) FROM orders});
	like($err, qr/canceling statement due to statement timeout/, 'fault 9: a query of the topic can be cancelled');
	shows($node, "SELECT pg_terminate_backend($pid, 10000)", 't', 'fault 9: a worker can be ended');
	eventually($node, "SELECT state FROM streamx.stat_workers WHERE pid <> $pid", 'disconnected', 'fault 9: the next one does not get far');
	my $began = time;
	$node->stop('fast');
	cmp_ok(time - $began, '<', 10, 'fault 9: a fast shutdown does not wait for it');
	note(sprintf('in %.1f s', time - $began));
	$node->start;
	eventually($node, 'SELECT state FROM streamx.stat_workers', 'disconnected', 'fault 9: a server starts all the same');
	$proxy->tell('flow');
	$numbers->count_once('fault 9: when answers come again');
}

# Fault 10: each harm is done four times, to messages that no view has yet
for my $harm ('cut', 'flip', 'noise')
{
	my $done = $proxy->count('harm');

	$proxy->tell(qq($harm 4 "n": \\d));
	$numbers->send_more(100);
	ok($proxy->wait_until('harm', $done + 4), "fault 10: $harm");
	$numbers->count_once("fault 10: $harm");
}

# and over and over: of a record that nobody can read the log and the views say so.  Just this one: what is looked at again
# beside it, in an answer with it, would be harmed in its place.
$proxy->tell('flip 1000000 "n": ' . ($numbers->sent + 1));
$numbers->send_next(0);
eventually($node, q{SELECT state, failures > 1 FROM streamx.stat_views WHERE view = 'total'::regclass}, 'failing|t', 'fault 10: a record that is never good is an error');
shows($node, q{SELECT last_error ~ '^could not read partition 0 of Kafka topic "orders" from offset \d+ on: ' FROM streamx.stat_workers}, 't', 'fault 10: with its place');
$proxy->tell('flip 0 "n": \d');
$numbers->count_once('fault 10: when it is good again');
eventually($node, 'SELECT state FROM streamx.stat_workers', 'caught up', 'fault 10: it is none any more');

# and under load: the other partition always has more, as its rows take their time, and few of them fit the queue
configure($node, "streamx.batch_memory = '16MB'");
$broker->produce('busy', 0, map { qq({"part": 0, "n": $_}) } @$_) for [ 1 .. 100 ], [ 101 .. 200 ];
$broker->produce('busy', 0, '{"part": 0, "n": 201, "spoilt": 1}');
$broker->produce('busy', 0, map { qq({"part": 0, "n": $_}) } @$_) for [ 202 .. 300 ], [ 301 .. 400 ];
{
	my $filler = 'x' x 20_000;
	my @options = ('--property', 'batch.num.messages=10', $broker->is_real ? () : ('--compression', 'lz4'));	# the mock keeps 5 MiB

	$broker->produce_lines('busy', \@options, map { qq(1\t\t\\N\t{"part": 1, "n": $_, "filler": "$filler"}) } 1 .. 4000);
}
$proxy->tell('flip 1000000 "spoilt": \d');
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION slowly(part int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN IF part = 1 THEN PERFORM pg_sleep(0.002); END IF; RETURN part; END $$;
CREATE FOREIGN TABLE busy (part int, n int) SERVER kafka OPTIONS (topic 'busy');
CREATE VIEW parts WITH (streamx.continuous) AS SELECT part, count(slowly(part)), count(DISTINCT n) AS numbers, sum(n) FROM busy GROUP BY 1;
END
eventually($node, q{SELECT w.last_error ~ '^could not read partition 0 of Kafka topic "busy" from offset 200 on: ' AND p.count < 4000 FROM streamx.stat_workers w, parts p WHERE w.stream_name = 'busy' AND p.part = 1}, 't', 'fault 10: it is told under load, too');
shows($node, 'SELECT count, numbers, sum FROM parts WHERE part = 0', '200|200|20100', 'fault 10: what is before it counts once');
$node->safe_psql('postgres', q{SELECT streamx.skip('busy', 0, 200)});
caught_up($node, 'busy');
shows($node, 'SELECT * FROM parts ORDER BY 1', "0|399|399|79999\n1|4000|4000|8002000", 'fault 10: so does what is behind it, when it is skipped');
$proxy->tell('flip 0 "spoilt": \d');
verified($node, 'parts');

$node->stop;
$proxy->stop;
$broker->stop;
done_testing();
