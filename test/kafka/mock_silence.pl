# While nothing comes the last message is looked at again: it shows another log before something comes of it, and what
# ends the silence need not wait for it

use strict;
use warnings;

use Proxy;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $proxy = Proxy->new($broker->address);
my $address = $proxy->address;
my $node = streamx_node('mock_silence', settings => [ q{streamx.max_restart_backoff = '200ms'} ]);
my $sent = 0;

$node->safe_psql('postgres', <<"END");
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address');
CREATE FOREIGN TABLE orders (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*) AS n, count(DISTINCT n) AS numbers FROM orders;
END

# One message, which begins a silence
sub send_order
{
	$sent++;
	$broker->produce('orders', 0, qq({"n": $sent}));
	caught_up($node, 'orders');
	shows($node, 'SELECT n, numbers FROM total', "$sent|$sent", "order $sent counts once");
}

# The next answers with the last order are harmed; nothing else brings one
sub harm_last
{
	my ($harm, $times, $what) = @_;
	my $done = $proxy->count('harm');

	$proxy->tell(qq($harm 1000000 "n": $sent));
	ok($proxy->wait_until('harm', $done + $times), $what);
}

send_order();
harm_last('forge', 1, 'a record is read again in the silence after it');
eventually($node, "SELECT last_error LIKE 'partition 0 of Kafka topic \"orders\" has another record before offset 1 %' FROM streamx.stat_workers", 't', 'it is another one: so is the log');
shows($node, 'SELECT n FROM total', '1', 'of which nothing is counted');
$proxy->tell('forge 0 "n"');
kill_workers($node); # so that it is read once more

# what was read once need not be read any more, unless something comes
send_order();
my $harmed = $proxy->count('harm');
harm_last('flip', 1, 'the next one, too');
$proxy->wait_until('Fetch', $proxy->count('Fetch') + 60) or die 'the worker does not fetch';
is($proxy->count('harm'), $harmed + 1, 'that it cannot be read now is asked once');
shows($node, 'SELECT state FROM streamx.stat_workers', 'caught up', 'and no error');
$proxy->tell('flip 0 "n"');
send_order();
harm_last('flip', 1, 'and the one after it');
$proxy->tell('flip 0 "n"');
send_order();
verified($node, 'total');

$node->stop;
$proxy->stop;
$broker->stop;
done_testing();
