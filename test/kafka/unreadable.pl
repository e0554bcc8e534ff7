# A record that nobody can read (a proxy harms it, again and again) is an error for whoever comes to it, and what was
# skipped is none for anybody

use strict;
use warnings;

use Proxy;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $proxy = Proxy->new($broker->address);
my $address = $proxy->address;
my $node = streamx_node('unreadable', settings => [ q{streamx.max_restart_backoff = '200ms'} ]);

$node->safe_psql('postgres', <<"END");
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address', reconnect_backoff_max_ms '200');
CREATE FOREIGN TABLE orders (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM orders;
END
$broker->produce('orders', $_, map { qq({"n": $_}) } 1 .. 10) for 0, 1;
caught_up($node, 'orders');

# Given one record that never comes as it was sent, and others after it
$proxy->tell('flip 1000000000 "n": 777');
$broker->produce('orders', 0, '{"n": 777}');
$broker->produce('orders', 0, '{"n": 1000}');
$broker->produce('orders', 1, '{"n": 1000}');
my $error = qr/could not read partition 0 of Kafka topic "orders" from offset 10 on/;
eventually($node, q{SELECT state FROM streamx.stat_views}, 'failing', 'its view fails');
like($node->safe_psql('postgres', 'SELECT last_error FROM streamx.stat_workers'), $error, 'and says where');
fails('SELECT count(*) FROM orders', 'so does who reads the stream');
fails(q{SELECT * FROM streamx.verify('total')}, 'but not who verifies what was read before', '');

# When it is skipped
$node->safe_psql('postgres', q{SELECT streamx.skip('orders', 0, 10)});
caught_up($node, 'orders');
shows($node, 'TABLE total', '22|2110', 'the view goes on behind it');
fails(q{SELECT * FROM streamx.verify('total')}, 'it can be verified', '');
fails('SELECT count(*) FROM orders', 'who reads the stream still fails');
$node->safe_psql('postgres', q{SELECT streamx.rebuild('total')});
eventually($node, q{SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL}, '0', 'a rebuild skips it again');
shows($node, 'TABLE total', '22|2110', 'with the same result');
fails(q{SELECT * FROM streamx.verify('total')}, 'that can be verified', '');

# Who comes later has not skipped it yet
$node->safe_psql('postgres', q{CREATE VIEW later WITH (streamx.continuous) AS SELECT count(*), max(n) FROM orders});
eventually($node, q{SELECT state FROM streamx.stat_views WHERE view = 'later'::regclass}, 'failing', 'a later view fails');
$node->safe_psql('postgres', q{SELECT streamx.skip('orders', 0, 10)});
eventually($node, 'TABLE later', '22|1000', 'until it is told, too');
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'and it joins the other');
fails(qq{SELECT * FROM streamx.verify('$_')}, "$_ can be verified", '') for 'total', 'later';

$node->stop;
$proxy->stop;
$broker->stop;
done_testing();

# An error, that one if no other is given; none if it is empty.  Not one after minutes.
sub fails
{
	my ($sql, $title, $pattern) = @_;
	my ($status, undef, $stderr) = $node->psql('postgres', "SET statement_timeout = '30s'; $sql");

	like($stderr, $pattern // $error, $title) if !defined $pattern;
	is($stderr, '', $title) if defined $pattern;
}
