# Retention goes on while the stream is idle, in steps that take nothing when nothing is due

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2, clicks => 1);
my $node = streamx_node('retention', broker => $broker, settings => ['autovacuum = off']); # which takes transaction ids

sub order
{
	my ($time, $item) = @_;

	return sprintf('{"at": "2024-05-01T%sZ", "item": %d}', $time, $item);
}

# The transaction id that would come next
sub next_transaction
{
	return $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
}

# 5000 groups of one window, then one row of each partition an hour later
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (at timestamptz, item int) SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at');
SELECT streamx.pause('orders');
CREATE VIEW items WITH (streamx.continuous, streamx.retention = '1 hour', streamx.refused_retention = '1 day') AS
	SELECT tumble(at, '10 minutes') AS w, item, count(*) AS n FROM orders GROUP BY 1, 2;
CREATE VIEW all_items WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, count(*) AS n FROM orders GROUP BY 1;
SELECT streamx.resume('orders');
END
my $state = $node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = 'items'::regclass");

$broker->produce('orders', 0, map { order('10:00:00', $_) } 1 .. 5000);
caught_up($node, 'orders');
$broker->produce('orders', 1, order('11:09:59', 0));
caught_up($node, 'orders');
shows($node, 'SELECT count(*), sum(n) FROM items', '5001|5001', 'all rows are there while a partition holds the watermark');
$broker->produce('orders', $_, order('11:10:00', 0)) for 0, 1;
caught_up($node, 'orders');
shows($node, 'SELECT min(lower(w)), count(*) FROM items', '2024-05-01 11:00:00+00|2', 'the window is removed with the batch');
eventually($node, "SELECT count(*) FROM $state", '2', 'the idle worker deletes its rows');
shows($node, 'SELECT sum(n) FROM all_items', '5003', 'and those of no other view');
verified($node, 'items');

# Nothing is due: no transaction id is taken
$node->poll_query_until('postgres', "SELECT NOT is_deleting FROM streamx_internal.removal");
my $quiet = next_transaction();
my $watched = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
$node->poll_query_until('postgres', "SELECT clock_timestamp() > '$watched'::timestamptz + interval '3 s'");
is(next_transaction(), $quiet, 'a worker that has nothing to delete takes no transaction id');

# Refused rows go by the clock, without any batch
$broker->produce('orders', 0, order('10:00:00', 7), 'not json');
caught_up($node, 'orders');
shows($node, 'SELECT (SELECT count(*) FROM streamx.late_rows), (SELECT count(*) FROM streamx.dead_letters)', '2|1', 'refused rows are kept');
verified($node, 'items');
$node->safe_psql('postgres', <<'END');
UPDATE streamx_internal.late_row SET recorded_at = recorded_at - interval '1 day' + interval '2 s';
UPDATE streamx_internal.dead_letter SET recorded_at = recorded_at - interval '1 day' + interval '2 s';
SELECT streamx.pause('orders');
SELECT streamx.resume('orders');
END
eventually($node, 'SELECT view::text FROM streamx.late_rows', 'all_items', 'a late row goes when its time has come; the other view keeps its own');
shows($node, 'SELECT count(*) FROM streamx.dead_letters', '1', 'a message that the stream refused is still needed');
shows($node, "SELECT count(*) FROM streamx.verify('items')", '0', 'the window that refused the row is removed: verify can do without');
$node->safe_psql('postgres', 'DROP VIEW all_items');
eventually($node, 'SELECT count(*) FROM streamx.dead_letters', '0', 'until no view needs it');
my ($status, undef, $error) = $node->psql('postgres', "SELECT streamx.verify('items')");
isnt($status, 0, 'then verify refuses');
like($error, qr/refused_retention/, 'and says why');

# A restart goes on where it was; a stream that gets its first such view is looked at
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE clicks (at timestamptz, item int) SERVER kafka OPTIONS (topic 'clicks', format 'json', event_time 'at');
CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) AS n FROM clicks;
END
$broker->produce('clicks', 0, map { order('10:00:00', $_) } 1 .. 3000);
$broker->produce('clicks', 0, order('11:10:00', 0));
caught_up($node, 'clicks');
$node->safe_psql('postgres', <<'END');
CREATE VIEW click_items WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT tumble(at, '10 minutes') AS w, item, count(*) AS n FROM clicks GROUP BY 1, 2;
END
caught_up($node, 'clicks');
kill_workers($node);
$state = $node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = 'click_items'::regclass");
eventually($node, "SELECT count(*) FROM $state", '1', 'a worker goes on after a crash');
shows($node, 'SELECT item, n FROM click_items', '0|1', 'what is left is right');
verified($node, 'click_items');

# A dump carries what is removed
$node->safe_psql('postgres', 'CREATE DATABASE restored');
my $dump = $node->basedir . '/retention.sql';
$node->command_ok(['pg_dump', '-d', 'postgres', '-f', $dump], 'pg_dump');
$node->command_ok(['psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'restored', '-f', $dump], 'restore');
my $removals = 'SELECT view::text, state::text, removed_through, is_deleting FROM streamx_internal.removal ORDER BY 1';
is($node->safe_psql('restored', $removals), $node->safe_psql('postgres', $removals), 'a restored database knows what was removed');
is($node->safe_psql('restored', 'SELECT lower(w), item, n FROM items ORDER BY 1, 2'),
	$node->safe_psql('postgres', 'SELECT lower(w), item, n FROM items ORDER BY 1, 2'), 'and shows the same');

$node->stop;
$broker->stop;
done_testing();
