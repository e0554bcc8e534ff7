# A view computed anew from its topic, while the old results stay readable and messages keep coming

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 3);
my $node = streamx_node('rebuild', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms', 'streamx.batch_memory = 16MB' ]);
my $sent = 0;

# Send n messages, to all partitions in turn, some seconds of event time apart; every 50th is bad, every 7th is old
sub send_orders
{
	my ($n) = @_;
	my @messages;

	for my $i ($sent + 1 .. $sent + $n)
	{
		my $second = $i * 10 - ($i % 7 == 0 ? 2000 : 0) + 10000;
		my $at = sprintf('2026-03-%02dT%02d:%02d:%02dZ', 1 + $second / 86400, $second / 3600 % 24, $second / 60 % 60, $second % 60);

		push @{ $messages[$i % 3] }, $i % 50 == 0 ? "{bad $i" : qq({"at": "$at", "item": @{[$i % 5]}, "n": $i});
	}
	$sent += $n;
	$broker->produce('orders', $_, @{ $messages[$_] // [] }) for 0 .. 2;
}

# Keep sending until a condition holds: what is to happen must happen under load
sub under_load { eventually_while($node, sub { send_orders(30) }, @_); }

my $shadows = 'FROM streamx.progress p JOIN streamx.view_streams USING (reader) JOIN streamx.views v USING (view) WHERE v.shadow_of IS NOT NULL';
my $rebuilding = 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL';

# Batches of few rows, so that there are late rows
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (at timestamptz, item int, n int) SERVER kafka OPTIONS (topic 'orders', event_time 'at');
CREATE VIEW items WITH (streamx.continuous) AS SELECT item, tumble(at, '10 minutes') AS w, count(*), sum(n), count(DISTINCT n) AS numbers FROM orders GROUP BY 1, 2;
CREATE VIEW hops WITH (streamx.continuous, streamx.allowed_lateness = '1 minute') AS SELECT hop(at, '1 hour', '10 minutes') AS w, sum(n), sum(100 / (n % 11)) AS fractions FROM orders GROUP BY 1;
CREATE VIEW visits WITH (streamx.continuous) AS SELECT session(at, '5 minutes') AS w, item, count(*), array_agg(n) AS list FROM orders GROUP BY 1, 2;
END
for (1 .. 8)
{
	send_orders(60);
	caught_up($node, 'orders');
}
my @views = qw(items hops visits);
shows($node, 'SELECT count(DISTINCT view), bool_or(counted), bool_or(NOT counted) FROM streamx.late_rows', '3|t|t', 'rows are late, and partly late');
shows($node, 'SELECT view::text, count(*) > 10 FROM streamx.dead_letters WHERE view IS NOT NULL GROUP BY 1', 'hops|t', 'a view cannot take some');
verified($node, $_) for @views;

# Nobody writes: the same comes out
my $refused = 'SELECT md5(string_agg(l::text, chr(10) ORDER BY l::text)) FROM (SELECT view, "partition", "offset", refused_through, counted FROM streamx.late_rows) l';
my $refused_before = $node->safe_psql('postgres', $refused);
my $shown = join(' || ', map { "(SELECT md5(string_agg(v::text, chr(10) ORDER BY v::text)) FROM $_ v)" } @views);
my $shown_before = $node->safe_psql('postgres', "SELECT $shown");
my $state_before = $node->safe_psql('postgres', q{SELECT state FROM streamx.views WHERE view = 'items'::regclass});
$node->safe_psql('postgres', "SELECT streamx.rebuild('$_')") for @views;
eventually($node, $rebuilding, '0', 'all of them are rebuilt');
isnt($node->safe_psql('postgres', q{SELECT state FROM streamx.views WHERE view = 'items'::regclass}), $state_before, 'in a new state');
shows($node, "SELECT $shown", $shown_before, 'they show what they showed');
shows($node, $refused, $refused_before, 'the same rows are refused');
verified($node, $_) for @views;
eventually($node, 'SELECT count(*) FROM streamx.readers', '1', 'they come back to one reader');

# Under load, with a state that somebody damaged
my $state = $node->safe_psql('postgres', q{SELECT state FROM streamx.views WHERE view = 'items'::regclass});
$node->safe_psql('postgres', "DELETE FROM $state WHERE k1 = 2");
isnt($node->safe_psql('postgres', q{SELECT * FROM streamx.verify('items')}), '', 'the damage shows');
$node->safe_psql('postgres', "SELECT streamx.rebuild('$_')") for @views;
under_load($rebuilding, '0', 'rebuilt while messages come');
caught_up($node, 'orders');
verified($node, $_) for @views;

# Workers that are killed in the middle of it, and a server that is: somebody who reads the views keeps the swap off till then
for my $round (1 .. 2)
{
	my $reader = $node->background_psql('postgres', on_error_stop => 0);

	$reader->query_safe('BEGIN; ' . join('; ', map { "SELECT count(*) FROM $_" } @views));
	$node->safe_psql('postgres', "SELECT streamx.rebuild('$_')") for @views;
	send_orders(30);
	eventually($node, "SELECT bool_and(p.next_offset > p.start_offset) $shadows", 't', "round $round: they are at work");
	$round == 1 ? kill_workers($node) : crash($node);
	eval { $reader->quit };
	send_orders(30);
	eventually($node, $rebuilding, '0', "round $round: rebuilt after all");
}
caught_up($node, 'orders');
verified($node, $_) for @views;

# The view is dropped, the rebuild cancelled, asked for twice, or rolled back
sub relations { return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace}); }
my $relations = relations();
$node->safe_psql('postgres', "SELECT streamx.pause('orders')");
$node->safe_psql('postgres', q{BEGIN; SELECT streamx.rebuild('items'); ROLLBACK});
$node->safe_psql('postgres', q{SELECT streamx.rebuild('items')});
my ($status, undef, $error) = $node->psql('postgres', q{SELECT streamx.rebuild('items')});
like($error, qr/"items" is being rebuilt already.*streamx.cancel_rebuild/s, 'it is rebuilt once at a time');
shows($node, q{SELECT count(*) FROM streamx.stat_views WHERE view::text ~ 'shadow'}, '0', 'stat_views shows the views of users alone');
$node->safe_psql('postgres', q{SELECT streamx.cancel_rebuild('items')});
is(relations(), $relations, 'cancelled, it leaves nothing');
shows($node, 'SELECT count(*) FROM streamx.readers', $node->safe_psql('postgres', 'SELECT count(DISTINCT reader) FROM streamx.view_streams'), 'no reader is left over');
$node->safe_psql('postgres', "CREATE VIEW passing WITH (streamx.continuous) AS SELECT count(*), count(DISTINCT n) AS numbers FROM orders");
$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
caught_up($node, 'orders');
$node->safe_psql('postgres', q{SELECT streamx.rebuild('passing'); DROP VIEW passing});
is(relations(), $relations, 'dropped with its view');

# A view that is paused is rebuilt as far as it stands, and stays paused
$node->safe_psql('postgres', "SELECT streamx.pause('hops')");
send_orders(100);
eventually($node, q{SELECT bool_and(lag = 0) FROM streamx.stat_views WHERE view <> 'hops'::regclass}, 't', 'the others go on');
my $hops = $node->safe_psql('postgres', 'SELECT md5(string_agg(v::text, chr(10) ORDER BY v::text)) FROM hops v');
$node->safe_psql('postgres', "SELECT streamx.rebuild('hops')");
eventually($node, $rebuilding, '0', 'a paused view is rebuilt');
shows($node, 'SELECT md5(string_agg(v::text, chr(10) ORDER BY v::text)) FROM hops v', $hops, 'as far as it stands');
shows($node, q{SELECT state FROM streamx.stat_views WHERE view = 'hops'::regclass}, 'paused', 'and is paused');
$node->safe_psql('postgres', "SELECT streamx.resume('hops')");
caught_up($node, 'orders');
verified($node, 'hops');

# No further, however much lies behind that, whenever it comes, and though the topic has grown
$node->safe_psql('postgres', "SELECT streamx.pause('hops')");
send_orders(100);
if ($broker->is_real)
{
	$broker->add_partitions('orders', 4);
	$broker->produce('orders', 3, '{"at": "2026-03-01T03:00:00Z", "item": 1, "n": 1}');
}
$broker->produce('orders', 0, map { qq({"at": "2026-03-01T03:00:00Z", "item": 1, "n": $_, "filler": "@{['x' x 100000]}"}) } 1 .. 30);
$hops = $node->safe_psql('postgres', 'SELECT md5(string_agg(v::text, chr(10) ORDER BY v::text)) FROM hops v');
for my $round (1 .. 5)
{
	$node->safe_psql('postgres', "SELECT streamx.rebuild('hops')");
	eventually($node, $rebuilding, '0', "round $round: a paused view is rebuilt, though much waits behind it");
}
shows($node, 'SELECT md5(string_agg(v::text, chr(10) ORDER BY v::text)) FROM hops v', $hops, 'as far as it stands');
$node->safe_psql('postgres', "SELECT streamx.resume('hops')");
caught_up($node, 'orders');
verified($node, 'hops');

# Whoever reads the view keeps it as it is, and is not kept from reading
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM items');
$node->safe_psql('postgres', q{SELECT streamx.rebuild('items')});
eventually($node, q{SELECT bool_and(p.next_offset = q.next_offset) FROM streamx.progress p JOIN streamx.view_streams s USING (reader) JOIN streamx.views v USING (view)
	JOIN streamx.view_streams o ON o.view = v.shadow_of JOIN streamx.progress q ON q.reader = o.reader AND q.partition = p.partition WHERE v.shadow_of IS NOT NULL}, 't', 'it has caught up');
shows($node, "SET lock_timeout = '5 s'; SELECT count(*) > 0 FROM items", 't', 'others read it');
shows($node, $rebuilding, '1', 'the swap waits');
$reader->query_safe('COMMIT');
$reader->quit;
eventually($node, $rebuilding, '0', 'until nobody reads it');
caught_up($node, 'orders');
verified($node, 'items');

# Beside several workers, under load; judged anew; then what the topic no longer has
$node->safe_psql('postgres', "ALTER FOREIGN TABLE orders OPTIONS (ADD workers '3')");
configure($node, 'streamx.batch_rows = 500000');
$node->safe_psql('postgres', "SELECT streamx.rebuild('$_')") for @views;
under_load($rebuilding, '0', 'three workers: rebuilt while messages come');
caught_up($node, 'orders');
verified($node, $_) for @views;
$node->safe_psql('postgres', "SELECT streamx.rebuild('items', rejudge => true)");
eventually($node, $rebuilding, '0', 'judged anew');
caught_up($node, 'orders');
verified($node, 'items');
# The mock keeps 5 MiB of a partition; Apache Kafka keeps all
unless ($broker->is_real)
{
	for (1 .. 4)
	{
		$broker->produce('orders', 0, map { '{"at": "2026-04-01T00:00:00Z", "item": 1, "n": 1, "filler": "' . 'x' x 900000 . '"}' } 1 .. 2);
		caught_up($node, 'orders');
	}
	$node->safe_psql('postgres', "CREATE TABLE before AS TABLE items");
	($status, undef, $error) = $node->psql('postgres', q{SELECT streamx.rebuild('items')});
	like($error, qr/cannot rebuild continuous view "items".*does not reach back.*Offsets 0 to \d+ of partition 0 are gone\..*from_retained => true/s, 'a topic that does not reach back is refused, with the offsets');
	shows($node, $rebuilding, '0', 'and nothing is left');
	$node->safe_psql('postgres', q{SELECT streamx.rebuild('items', from_retained => true)});
	eventually($node, $rebuilding, '0', 'unless it may go on with what is there');
	caught_up($node, 'orders');
	verified($node, 'items');
	shows($node, q{SELECT sum(count) < (SELECT sum(count) FROM before) FROM items}, 't', 'which is less');
	# its reader may have joined the others', which began at 0
	shows($node, q{SELECT k.view, k."partition", k.from_offset, k.to_offset = coalesce(b.start_offset, p.start_offset) FROM streamx.skips k JOIN streamx.view_streams USING (view) JOIN streamx.progress p USING (reader, topic, "partition")
		LEFT JOIN streamx_internal.view_start b ON b.view = k.view AND b."partition" = k."partition"}, 'items|0|0|t', 'what is missing is recorded, of that view');
}

$node->stop;
$broker->stop;
done_testing();
