# Partitions that are added later are found, and read from their beginning

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1);
my $node = streamx_node('partitions', broker => $broker);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, at timestamptz, p int OPTIONS (metadata 'partition'))
	SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at');
CREATE VIEW sold WITH (streamx.continuous) AS
	SELECT p, count(*) AS n FROM orders GROUP BY p;
CREATE FOREIGN TABLE shared (item text, at timestamptz, p int OPTIONS (metadata 'partition'))
	SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at', workers '2');
CREATE VIEW shared_sold WITH (streamx.continuous) AS
	SELECT p, count(*) AS n FROM shared GROUP BY p;
END

$broker->produce('orders', 0, ('{"item": "tea", "at": "2024-05-01T10:00:00Z"}') x 10);
caught_up($node, $_) for qw(orders shared);
shows($node, 'SELECT p, n FROM sold', '0|10', 'one partition is read');

# Messages are in the new partition before anyone can have noticed it
$broker->add_partitions('orders', 3);
$broker->produce('orders', 2, ('{"item": "tea", "at": "2024-05-01T10:00:01Z"}') x 7);
$broker->produce('orders', 1, ('{"item": "tea", "at": "2024-05-01T10:00:01Z"}') x 5);
for my $view (qw(sold shared_sold))
{
	eventually($node, "SELECT string_agg(p || ' ' || n, ', ' ORDER BY p) FROM $view", '0 10, 1 5, 2 7', "new partitions are read from their beginning: $view");
	verified($node, $view);
}
eventually($node, q{SELECT stream, count(*) FROM streamx.stat_partitions GROUP BY 1 ORDER BY stream::text}, "orders|3\nshared|3", 'all partitions are shown');

# They have their part in the watermark: as soon as there is a row in them, as an empty one is ignored
sub watermark_is
{
	my ($expected, $title) = @_;

	for my $stream (qw(orders shared))
	{
		caught_up($node, $stream);
		eventually($node, "SELECT to_char(streamx.watermark('$stream') AT TIME ZONE 'UTC', 'HH24:MI:SS')", $expected, "$title: $stream");
	}
}

sub send_at
{
	my ($time, @partitions) = @_;

	$broker->produce('orders', $_, qq({"item": "tea", "at": "2024-05-01T${time}Z"})) for @partitions;
}

send_at('10:10:00', 0);
watermark_is('10:00:01', 'new partitions hold the watermark');
send_at('10:10:00', 1, 2);
watermark_is('10:10:00', 'until they have come as far');
$broker->add_partitions('orders', 4);
eventually($node, q{SELECT count(*) FROM streamx.stat_partitions WHERE "partition" = 3}, '2', 'another one comes');
send_at('10:20:00', 0, 1, 2);
watermark_is('10:20:00', 'an empty one does not hold it');
send_at('10:15:00', 3);
watermark_is('10:20:00', 'nor does it move back');
send_at('10:30:00', 0, 1, 2);
watermark_is('10:20:00', 'from then on it does');
send_at('10:30:00', 3);
watermark_is('10:30:00', 'like the others');
verified($node, $_) for qw(sold shared_sold);

$node->stop;
$broker->stop;
done_testing();
