# Compaction leaves holes in a log: what is there counts once, and what is not there any more is no gap

use strict;
use warnings;

use StreamX;
use Test::More;

# The last segment is never cleaned: with such settings each append begins another one
my @compacted = ('cleanup.policy' => 'compact', 'segment.ms' => 1, 'min.cleanable.dirty.ratio' => '0.01', 'delete.retention.ms' => 0);
my $broker = StreamX::Broker->new(-settings => [ 'log.cleaner.backoff.ms=100', 'log.cleaner.dedupe.buffer.size=4194304' ]);
my $node = streamx_node('compaction', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms' ]);

$broker->create_topic($_, 1, @compacted) for qw(orders busy);
for my $topic (qw(orders busy))
{
	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE $topic (n int, place bigint OPTIONS (metadata 'offset')) SERVER kafka OPTIONS (topic '$topic', format 'json');
CREATE VIEW of_$topic WITH (streamx.continuous) AS SELECT place, count(*) AS times FROM $topic GROUP BY place;
END
}

# Messages of these keys; a key with a minus is a tombstone
sub send_keys
{
	my ($topic, @keys) = @_;

	$broker->produce_lines($topic, [], map { s/^-// ? "0\t\t$_\t\\N" : qq(0\t\t$_\t{"n": 1}) } my @copy = @keys);
}

# Wait until the cleaner has taken these offsets out of the log
sub cleaned
{
	my ($topic, @gone) = @_;

	for (1 .. 600)
	{
		my %left = map { $_ => 1 } $broker->offsets($topic, 0);

		return unless grep { $left{$_} } @gone;
		select(undef, undef, undef, 0.1);
	}
	die "the log of $topic is not cleaned";
}

my $trouble = q{SELECT count(*) FROM streamx.skips UNION ALL SELECT count(last_error) FROM streamx.stat_workers};
my $letters = q{SELECT string_agg("offset"::text, ' ' ORDER BY "offset"), max(message) FROM streamx.dead_letters WHERE stream = 'orders'::regclass};
my $seen = q{SELECT string_agg(place::text, ' ' ORDER BY place), max(times) FROM of_orders};

# A view reads all; the last message is a tombstone, which is a bad message
send_keys('orders', qw(a b c d e));
send_keys('orders', qw(a b c d e));
send_keys('orders', '-a');
caught_up($node, 'orders');
shows($node, $seen, '0 1 2 3 4 5 6 7 8 9|1', 'fault 21: each message counts once');
shows($node, $letters, '10|message has no payload', 'fault 21: a tombstone is a bad message');

# A tombstone that is still there is known again
kill_workers($node);
send_keys('orders', 'f');
caught_up($node, 'orders');
shows($node, $seen, '0 1 2 3 4 5 6 7 8 9 11|1', 'fault 21: behind a tombstone it goes on');

# While it does not read, what it read last is cleaned away, and much of what follows
$node->safe_psql('postgres', q{SELECT streamx.pause('orders')});
send_keys('orders', 'f', 'g', '-h') for 1 .. 5;
send_keys('orders', 'last');
cleaned('orders', 0 .. 5, 11 .. 23); # only the last of each key is left
$node->safe_psql('postgres', q{SELECT streamx.resume('orders')});
caught_up($node, 'orders');
my $left = join(',', grep { $_ > 11 } $broker->offsets('orders', 0));
shows($node, q{SELECT string_agg(o::text, ',' ORDER BY o), max(times) FROM (SELECT place, times FROM of_orders UNION ALL SELECT "offset", 1 FROM streamx.dead_letters) s (o, times) WHERE o > 11},
	"$left|1", "fault 21: what is left, $left, counts once");
shows($node, $trouble, "0\n0", 'fault 21: a last message that is not there any more is no gap, and no other log');
eventually($node, q{SELECT sum(lag) FROM streamx.stat_partitions WHERE stream = 'orders'::regclass}, '0', 'fault 21: nor is a hole a lag');

# A view that begins now gets what is there
$node->safe_psql('postgres', 'CREATE VIEW later WITH (streamx.continuous) AS SELECT place, count(*) AS times FROM orders GROUP BY place');
caught_up($node, 'orders');
verified($node, 'later');
shows($node, q{SELECT count(*) > 0 FROM streamx.verify('of_orders')}, 't', 'fault 21: verify of one that counted more sees what is there now');

# It reads while the cleaner is at work, and is killed meanwhile: nothing is seen twice, and nothing that stays is missed
for my $round (1 .. 10)
{
	send_keys('busy', map { $_ % 20 } 1 .. 200) for 1 .. 3;
	kill_workers($node) if $round % 3 == 0;
}
send_keys('busy', 'last');
cleaned('busy', 0 .. 5000);
send_keys('busy', map { $_ % 20 } 1 .. 200);
caught_up($node, 'busy');
shows($node, 'SELECT max(times) FROM of_busy', '1', 'fault 21: while the log is cleaned nothing counts twice');
$left = join(',', $broker->offsets('busy', 0));
shows($node, "SELECT count(*) FROM unnest('{$left}'::bigint[]) o WHERE o NOT IN (SELECT place FROM of_busy)", '0', 'fault 21: and nothing is missed');
shows($node, $trouble, "0\n0", 'fault 21: nor is there any complaint');

$node->stop;
$broker->stop;
done_testing();
