# Who may not log in, or not read, is told why, waits, and goes on by itself once it may: each message counts once

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $directory = PostgreSQL::Test::Utils::tempdir();
my %right = (scram => 'scram-canary', plain => 'plain-canary');

# The broker's certificate: valid from DAYS days ago (-1: for as long after), by an authority of our own
sub openssl { system('openssl', @_, '-out', "$directory/out") == 0 or die "openssl @_"; return slurp_file("$directory/out"); }

sub certify
{
	my ($days) = @_;
	my $certificate = openssl('x509', '-req', '-in', "$directory/request", '-CA', "$directory/ca.pem", '-CAkey', "$directory/ca.key", '-CAcreateserial', '-extfile', "$directory/names", '-days', $days);

	unlink "$directory/broker.pem";
	append_to_file("$directory/broker.pem", slurp_file("$directory/broker.key") . $certificate);
}

my $ca = openssl(qw(req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout), "$directory/ca.key");
append_to_file("$directory/ca.pem", $ca);
append_to_file("$directory/names", "subjectAltName=IP:127.0.0.1\n");
append_to_file("$directory/request", openssl(qw(req -newkey rsa:2048 -nodes -subj /CN=broker -keyout), "$directory/broker.key"));
certify(-1);

my $broker = StreamX::Broker->new(open => 1, orders => 1, grants => 1, secured => 1,
	-listeners => [ 'SASL_PLAINTEXT', 'SASL_SSL' ],
	-users => [ "reader=$right{scram}" ],
	-settings => [
		'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
		'super.users=User:ANONYMOUS',
		'listener.name.sasl_plaintext.sasl.enabled.mechanisms=SCRAM-SHA-256',
		'listener.name.sasl_ssl.sasl.enabled.mechanisms=PLAIN',
		'listener.name.sasl_plaintext.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;',
		qq(listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_reader="$right{plain}";),
		'listener.name.sasl_ssl.ssl.keystore.type=PEM',
		"listener.name.sasl_ssl.ssl.keystore.location=$directory/broker.pem",
	]);
my $node = streamx_node('access', broker => $broker,
	settings => [ 'log_statement = none', 'streamx.max_restart_backoff = 300ms', 'streamx.discovery_interval = 300ms' ]);
my %address = map { $_ => $broker->address($_) } qw(SASL_PLAINTEXT SASL_SSL);
my %sent;

# Ten more messages, of which the last one says how many there are
sub produce
{
	my ($topic) = @_;

	$broker->produce($topic, 0, map { qq({"n": $_}) } map { ++$sent{$topic} } 1 .. 10);
}

sub counts_all
{
	my ($stream, $topic, $title) = @_;

	eventually($node, "SELECT count, max FROM of_$stream", "$sent{$topic}|$sent{$topic}", $title);
}

# It says that it is not connected, and why: as long as that is so, whatever others do
sub waits
{
	my ($stream, $error, $title) = @_;
	my $query = "SELECT state, last_error ~ '$error', (SELECT ok FROM streamx.health() WHERE \"check\" = 'connection' AND object = stream) FROM streamx.stat_workers WHERE stream = '$stream'::regclass";

	eventually($node, $query, 'disconnected|t|f', $title);
	for (1 .. 3)
	{
		produce('open');
		counts_all('bystander', 'open', "$title: others go on");
	}
	shows($node, $query, 'disconnected|t|f', "$title: that is said as long as it is so");
}

sub caught_up_again
{
	my ($stream, $title) = @_;

	eventually($node, "SELECT state FROM streamx.stat_workers WHERE stream = '$stream'::regclass", 'caught up', $title);
}

$broker->grant('reader', 'read', 'orders');
$broker->grant('reader', 'read', 'secured');
$node->safe_psql('postgres', <<"END");
CREATE SERVER scram FOREIGN DATA WRAPPER streamx
	OPTIONS (bootstrap_servers '$address{SASL_PLAINTEXT}', security_protocol 'sasl_plaintext', sasl_mechanism 'SCRAM-SHA-256');
CREATE USER MAPPING FOR postgres SERVER scram OPTIONS (sasl_username 'reader', sasl_password 'wrong-canary');
CREATE SERVER tls FOREIGN DATA WRAPPER streamx
	OPTIONS (bootstrap_servers '$address{SASL_SSL}', security_protocol 'sasl_ssl', sasl_mechanism 'PLAIN', ssl_ca_pem '$ca');
CREATE USER MAPPING FOR postgres SERVER tls OPTIONS (sasl_username 'reader', sasl_password '$right{plain}');
END
for ([ 'bystander', 'kafka', 'open' ], [ 'orders', 'scram', 'orders' ], [ 'grants', 'scram', 'grants' ], [ 'secured', 'tls', 'secured' ])
{
	my ($stream, $server, $topic) = @$_;

	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE $stream (n int) SERVER $server OPTIONS (topic '$topic');
CREATE VIEW of_$stream WITH (streamx.continuous) AS SELECT count(*), max(n) FROM $stream;
END
	produce($topic);
}

# Passwords
waits('orders', 'invalid credentials.*Check the server.s sasl_mechanism, and sasl_username and sasl_password', 'fault 13: a wrong password');
like(($node->psql('postgres', 'SELECT count(*) FROM orders'))[2], qr/could not read Kafka topic "orders".*invalid credentials.*HINT:  Check the server's sasl_mechanism/s, 'fault 13: SELECT says so, too');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR postgres SERVER scram OPTIONS (SET sasl_password '$right{scram}')");
counts_all('orders', 'orders', 'fault 13: with the right password it goes on by itself');

# Access rules: nothing may be done with the topic, then it may be described, then read
my $rights = 'Topic authorization failed.*Grant Kafka.s rights DESCRIBE and READ';
waits('grants', $rights, 'fault 13: a topic that may not be described');
$broker->grant('reader', 'describe', 'grants');
waits('grants', "Fetch.*$rights", 'fault 13: a topic that may not be read');
$broker->grant('reader', 'read', 'grants');
counts_all('grants', 'grants', 'fault 13: with the right to read it is read');

# The right goes and comes while it is read: without a message meanwhile, and with some
$broker->revoke('reader', 'read', 'grants');
waits('grants', $rights, 'fault 13: a right that is revoked');
shows($node, q{SELECT at_end FROM streamx.stat_partitions WHERE stream = 'grants'::regclass}, 'f', 'fault 13: and where the topic ends is not known then');
$broker->grant('reader', 'read', 'grants');
caught_up_again('grants', 'fault 13: a right that comes back is noticed without a message');
$broker->revoke('reader', 'read', $_) for qw(grants orders);
waits('grants', $rights, 'fault 13: a right that is revoked again');
waits('orders', $rights, 'fault 13: a topic that may not even be described any more');
produce($_) for qw(grants orders);
$broker->grant('reader', 'read', $_) for qw(grants orders);
for my $stream (qw(grants orders))
{
	counts_all($stream, $stream, "fault 13: $stream: after it was revoked each message counts once");
	caught_up_again($stream, "fault 13: $stream: and it is caught up again");
	verified($node, "of_$stream");
}

# Certificates expire, and are renewed
waits('secured', 'the broker.s certificate has expired', 'fault 13: a certificate that has expired');
certify(2);
$broker->restart;
counts_all('secured', 'secured', 'fault 13: with one that is valid it goes on by itself, and logs in by PLAIN');
caught_up($node, $_) for qw(grants orders);
counts_all($_, $_, "fault 13: $_: nor does a restart of the broker change anything") for qw(grants orders);

eventually($node, q{SELECT bool_and(ok), count(*) FROM streamx.health() WHERE "check" = 'connection'}, 't|4', 'fault 13: all are healthy again');
unlike(slurp_file($node->logfile), qr/canary/, 'fault 13: no password is in the log');
unlike($node->safe_psql('postgres', 'SELECT last_error FROM streamx.stat_workers'), qr/canary/, 'fault 13: nor in what was said');

$node->stop;
$broker->stop;
done_testing();
