# SELECT on a Kafka stream, when the broker is away or has forgotten

use strict;
use warnings;

use IPC::Run;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1);
my $node = streamx_node('mock_select', broker => $broker);
my $address = $broker->address;

$broker->produce('orders', 0, map { qq({"id": $_}) } 1 .. 10);
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (id int, pos bigint OPTIONS (metadata 'offset'), note text)
	SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW total WITH (streamx.continuous) AS SELECT sum(id) AS total FROM orders;
END
caught_up($node, 'orders');
shows($node, 'SELECT total FROM total', '55', 'the view has seen the topic');

# A broker that is away is an error, soon
my ($out, $err);
my $began = time();
$broker->tell('down all');
$node->psql('postgres', 'SELECT count(*) FROM orders', stdout => \$out, stderr => \$err);
like($err, qr/ERROR:  could not read Kafka topic "orders": .*\nDETAIL:  The bootstrap servers are "\Q$address\E"/,
	'the error names the servers');
cmp_ok(time() - $began, '<=', 10, 'and comes within ten seconds');
shows($node, 'SELECT total FROM total', '55', 'the view is readable meanwhile');
$broker->tell('up all');
shows($node, 'SELECT count(*) FROM orders', '10', 'the topic is readable again');

# The broker forgets the oldest messages: SELECT goes on from what there is, but nothing can be proved
my $note = 'x' x 9000;
$broker->produce_lines('orders', ['--property', 'linger.ms=0', '--property', 'batch.num.messages=1'],
	map { qq(0\t\t\\N\t{"id": $_, "note": "$note"}) } 11 .. 810);
shows($node, 'SELECT min(pos) > 10, max(pos), count(*) = max(pos) - min(pos) + 1 FROM orders', 't|809|t',
	'SELECT reads what is retained');
$node->psql('postgres', q{SELECT * FROM streamx.verify('total')}, stdout => \$out, stderr => \$err);
like($err, qr/topic "orders" does not hold all messages.*\nDETAIL:  Partition 0 is needed from offset 0 to \d+, but the topic has it from \d+ to 809/,
	'verify refuses, naming the offsets');

# Messages that vanish under a running SELECT are an error, or with on_gap 'skip' a warning
$node->safe_psql('postgres',
	q{CREATE FOREIGN TABLE patient (id int) SERVER kafka OPTIONS (topic 'orders', on_gap 'skip')});

sub select_while_forgetting
{
	my ($stream) = @_;
	my $output;

	$broker->tell('error Fetch NOT_LEADER_FOR_PARTITION 10000');
	my $select = IPC::Run::start(
		[ 'psql', '-XAt', '-d', $node->connstr('postgres'), '-c', "SELECT count(*) FROM $stream" ],
		'>', \$output, '2>&1');
	$node->poll_query_until('postgres', qq{SELECT EXISTS (SELECT FROM pg_stat_activity
		WHERE query LIKE '%FROM $stream' AND pid <> pg_backend_pid() AND wait_event = 'Extension')});
	$broker->produce('orders', 0, map { qq({"id": $_, "note": "$note"}) } 1 .. 1000);
	$broker->tell('clear Fetch');
	$select->finish;
	return $output;
}

like(select_while_forgetting('orders'),
	qr/ERROR:  offsets \d+ to \d+ of partition 0 are not in topic "orders" any more\nDETAIL:  The partition now begins at offset \d+/,
	'the error names the offsets');
like(select_while_forgetting('patient'),
	qr/WARNING:  offsets \d+ to \d+ of partition 0 are not in topic "orders" any more\n.*\n\d+\n/,
	'the warning does too, and the rest is read');

$node->stop;
$broker->stop;
done_testing();
