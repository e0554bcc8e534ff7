# Messages that nobody can take are skipped when somebody says so: recorded, and skipped again by a rebuild

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('skip', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms' ]);

sub refused
{
	my ($sql, $pattern, $name) = @_;
	my ($status, undef, $error) = $node->psql('postgres', $sql);

	like($error, $pattern, $name);
}

# Given a stream that stops at a bad message
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (n int) SERVER kafka OPTIONS (topic 'orders', on_error 'stop');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM orders;
CREATE VIEW items WITH (streamx.continuous) AS SELECT n % 2 AS item, count(DISTINCT n) FROM orders GROUP BY 1;
CREATE FOREIGN TABLE own (n int) SERVER streamx;
CREATE ROLE stranger;
GRANT SELECT ON orders TO stranger;
END
$broker->produce('orders', $_, map { qq({"n": $_}) } 1 .. 10) for 0, 1;
caught_up($node, 'orders');
$broker->produce('orders', 0, '{bad', '{"n": 100}', '{worse', '{"n": 1000}');
eventually($node, q{SELECT state FROM streamx.stat_streams WHERE stream = 'orders'::regclass}, 'failing', 'the stream stops');

# When some of it is skipped
refused("SELECT streamx.skip('orders', 0, 14)", qr/has no offset 14 yet.*It ends before offset 14/s, 'what has not come yet cannot be skipped');
refused("SELECT streamx.skip('orders', 0, 9)", qr/no view of stream "orders" has yet to read offset 9 of partition 0.*streamx\.rebuild/s, 'nor what was read');
refused("SET ROLE stranger; SELECT streamx.skip('orders', 0, 10)", qr/must be owner of foreign table orders/, 'nor by a stranger');
refused("SELECT streamx.skip('total', 0, 10)", qr/"total" is not being computed anew.*SELECT streamx\.skip\('orders', 0, 10\)\./s, 'of the stream');
refused("SELECT streamx.skip('own', 0, 10)", qr/"own" is not of Kafka/, 'of Kafka');
$node->safe_psql('postgres', "SELECT streamx.skip('orders', 0, 12)");

# Then the rest counts, and what does not is known
caught_up($node, 'orders');
shows($node, 'TABLE total', '21|1110', 'it goes on behind it');
shows($node, 'SELECT view, "partition", from_offset, to_offset, reason FROM streamx.skips ORDER BY 1', "total|0|10|13|asked\nitems|0|10|13|asked", 'what was skipped is recorded');
shows($node, 'SET ROLE stranger; SELECT count(*) FROM streamx.skips', '2', 'for all who may read the stream');
verified($node, $_) for qw(total items);

# It stays skipped: by a view that leaves and comes back, and by a rebuild
$node->safe_psql('postgres', "SELECT streamx.pause('total'); SELECT streamx.resume('total')");
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'a view that was away comes back');
$node->safe_psql('postgres', "SELECT streamx.rebuild('items')");
eventually($node, 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL', '0', 'a view is rebuilt');
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'and comes back, too');
$broker->produce('orders', 1, '{"n": 2}');
caught_up($node, 'orders');
shows($node, 'TABLE total', '22|1112', 'all go on');
shows($node, 'SELECT * FROM items ORDER BY 1', "0|6\n1|5", 'without what was skipped');
verified($node, $_) for qw(total items);
shows($node, 'SELECT count(*) FROM streamx_internal.skip', '2', 'of which one row is kept for each view');

# Whoever begins behind it has skipped nothing
$node->safe_psql('postgres', q{CREATE VIEW fresh WITH (streamx.continuous, streamx.start = 'latest') AS SELECT count(*) FROM orders});
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'a view that begins now joins the others');
shows($node, q{SELECT count(*) FROM streamx.skips WHERE view = 'fresh'::regclass}, '0', 'and skipped nothing');
$node->safe_psql('postgres', 'DROP VIEW fresh');

# Whoever comes later was told nothing: it stops there, and joins nobody when it is told something else
$node->safe_psql('postgres', 'CREATE VIEW later WITH (streamx.continuous) AS SELECT count(*) FROM orders');
eventually($node, q{SELECT state FROM streamx.stat_views WHERE view = 'later'::regclass}, 'failing', 'a later view stops at the same message');
$node->safe_psql('postgres', "SELECT streamx.skip('orders', 0, 12)");
caught_up($node, 'orders');
shows($node, 'TABLE later', '22', 'until it is told, too');
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'and joins those who skipped the same');
verified($node, $_) for qw(total items later);

# What comes before a bad message is taken, wherever in a batch it is: only it is skipped
$broker->tell('topic mixed 1') unless $broker->is_real;
$broker->create_topic('mixed', 1) if $broker->is_real;
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE mixed (n int) SERVER kafka OPTIONS (topic 'mixed', on_error 'stop');
SELECT streamx.pause('mixed');
CREATE VIEW mixed_total WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM mixed;
END
$broker->produce('mixed', 0, (map { qq({"n": $_}) } 1 .. 5), '{bad', map { qq({"n": $_}) } 6 .. 10);
$node->safe_psql('postgres', "SELECT streamx.resume('mixed')");
eventually($node, q{SELECT count FROM mixed_total}, '5', 'what is before the bad message counts');
eventually($node, q{SELECT state FROM streamx.stat_streams WHERE stream = 'mixed'::regclass}, 'failing', 'where the stream stops');
$node->safe_psql('postgres', "SELECT streamx.skip('mixed', 0, 5)");
caught_up($node, 'mixed');
shows($node, 'TABLE mixed_total', '10|55', 'and all behind it');
shows($node, q{SELECT from_offset, to_offset FROM streamx.skips WHERE view = 'mixed_total'::regclass}, '5|6', 'only the bad one was skipped');
verified($node, 'mixed_total');

# What is to be skipped by others who have not begun is not skipped by whoever is made then
$node->safe_psql('postgres', <<'END');
SELECT streamx.pause('mixed');
CREATE VIEW told WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM mixed;
INSERT INTO streamx.progress (reader, topic, "partition", start_offset, next_offset) SELECT reader, 'mixed', 0, 0, 0 FROM streamx.view_streams WHERE view = 'told'::regclass; -- as a worker does
END
$broker->produce('mixed', 0, '{"n": 1000}', '{"n": 10000}');
$node->safe_psql('postgres', <<'END');
ALTER FOREIGN TABLE mixed OPTIONS (SET on_error 'dead_letter');
SELECT streamx.skip('mixed', 0, 11);
CREATE VIEW untold WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM mixed;
DROP VIEW mixed_total;
SELECT streamx.resume('mixed');
END
caught_up($node, 'mixed');
shows($node, 'SELECT * FROM told, untold', '11|10055|12|11055', 'each view skips what it was told to skip');
eventually($node, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'mixed'::regclass}, '1', 'and they join behind it');
verified($node, $_) for qw(told untold);

# Of a view that is being dropped nothing is recorded: neither by whoever asks, nor by the worker that meets a gap
my $unowned = 'SELECT count(*) FROM streamx_internal.skip k WHERE NOT EXISTS (SELECT FROM streamx.views v WHERE v.view = k.view)';

sub drop_while
{
	my ($view, $waiter, $do, $name) = @_;
	my $session = $node->background_psql('postgres');

	$session->query_safe("BEGIN; DROP VIEW $view");
	$do->();
	eventually($node, "SELECT count(*) FROM pg_stat_activity WHERE $waiter AND wait_event_type = 'Lock'", '1', "$name waits for the drop");
	$session->query_safe('COMMIT');
	$session->quit;
}

$node->safe_psql('postgres', "SELECT streamx.pause('mixed')");
$broker->produce('mixed', 0, '{"n": 1}', '{"n": 2}', '{"n": 3}');
my $asker = $node->background_psql('postgres');
drop_while('untold', q{query LIKE '%streamx.skip%' AND pid <> pg_backend_pid()}, sub { $asker->query_until(qr/asked/, "\\echo asked\nSELECT streamx.skip('mixed', 0, 13);\n") }, 'who skips');
$asker->quit;
shows($node, q{SELECT from_offset, to_offset FROM streamx.skips WHERE view = 'told'::regclass AND from_offset > 12}, '13|14', 'what is skipped is recorded of the view that stays');
shows($node, $unowned, '0', 'and of no other');
$node->safe_psql('postgres', <<'END');
CREATE VIEW leaving WITH (streamx.continuous, streamx.start = 'latest') AS SELECT count(*) FROM mixed;
SELECT streamx.resume('mixed');
END
caught_up($node, 'mixed');
eventually($node, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'mixed'::regclass}, '1', 'two views have one reader');
$node->safe_psql('postgres', <<'END');
SELECT streamx.pause('mixed');
ALTER FOREIGN TABLE mixed OPTIONS (ADD on_gap 'skip');
UPDATE streamx.progress SET next_offset = 1000, last_offset = NULL, fingerprint = NULL WHERE topic = 'mixed'; -- as if the topic had been made anew
END
kill_workers($node);
drop_while('leaving', q{backend_type = 'streamx worker'}, sub { $node->safe_psql('postgres', "SELECT streamx.resume('mixed')") }, 'the worker');
eventually($node, q{SELECT reason FROM streamx.skips WHERE view = 'told'::regclass AND from_offset = 1000}, 'gone', 'the gap is recorded of the view that stays');
shows($node, $unowned, '0', 'and of no other');

# Batches by hand wait for whoever skips, and skip the same
$broker->tell('topic stepped 1') unless $broker->is_real;
$broker->create_topic('stepped', 1) if $broker->is_real;
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE stepped (n int) SERVER kafka OPTIONS (topic 'stepped');
CREATE VIEW ahead WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM stepped;
CREATE VIEW behind WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM stepped;
END
$broker->produce('stepped', 0, map { qq({"n": $_}) } 1 .. 5);
caught_up($node, 'stepped');
$node->safe_psql('postgres', "SELECT streamx.pause('behind')");
$broker->produce('stepped', 0, map { qq({"n": $_}) } 6 .. 10);
eventually($node, 'SELECT count FROM ahead', '10', 'one view is ahead of the other');
$node->safe_psql('postgres', "SELECT streamx.pause('stepped'); SELECT streamx.resume('behind')");
$broker->produce('stepped', 0, map { qq({"n": $_}) } 11 .. 15);
my $skipper = $node->background_psql('postgres');
my $stepper = $node->background_psql('postgres');
$skipper->query_safe("BEGIN; SELECT streamx.skip('stepped', 0, 11)");
$stepper->query_until(qr/asked/, "\\echo asked\nSELECT streamx.step('stepped', 100);\n");
eventually($node, q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%streamx.step(%' AND pid <> pg_backend_pid() AND wait_event_type = 'Lock'}, '1', 'who steps waits for who skips');
$skipper->query_safe('COMMIT');
$_->quit for $stepper, $skipper;
shows($node, 'SELECT * FROM ahead, behind', '13|97|13|97', 'and skips the same');
$node->safe_psql('postgres', "SELECT streamx.resume('stepped')");
caught_up($node, 'stepped');
verified($node, $_) for qw(ahead behind);

# A rebuild meets an older bad message again: it is skipped for the view that is named
$broker->tell('topic strict 2') unless $broker->is_real;
$broker->create_topic('strict', 2) if $broker->is_real;
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE strict (n int) SERVER kafka OPTIONS (topic 'strict');
SELECT streamx.pause('strict');
CREATE SCHEMA "my Views";
CREATE VIEW "my Views"."a view" WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM strict;
CREATE VIEW other WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM strict;
SELECT streamx.resume('strict');
END
$broker->produce('strict', 0, '{"n": 1}', '{"n": 2}', '{bad', '{"n": 3}', '{"n": 4}');
$broker->produce('strict', 1, '{"n": 10}');
caught_up($node, 'strict');
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE strict OPTIONS (ADD on_error 'stop'); SELECT streamx.rebuild('"my Views"."a view"')});
eventually($node, 'SELECT phase FROM streamx.stat_progress', 'failing', 'a rebuild stops at an older bad message');
shows($node, 'SELECT * FROM "my Views"."a view"', '5|20', 'while the old results stay');
refused("SELECT streamx.skip('strict', 0, 2)", qr/no view of stream "strict" has yet to read offset 2 of partition 0.*"a view", which is being computed anew, has: SELECT streamx\.skip\('"my Views"\."a view"', 0, 2\)\./s,
	'others have read it, and nobody skips what they have taken by accident');
refused(q{SELECT streamx.skip('"my Views"."a view"', 0, 1)}, qr/"a view" has been computed anew beyond offset 1 of partition 0/, 'skipping goes forward only');
refused(q{SELECT streamx.skip('"my Views"."a view"', 0, 5)}, qr/"a view" itself has yet to read offset 5.*SELECT streamx\.skip\('strict', 0, 5\)\./s, 'and not beyond the view');
refused(q{SELECT streamx.skip('"my Views"."a view"', 2, 0)}, qr/"a view" reads no partition 2/, 'of a partition that there is');
refused(q{SET ROLE stranger; SELECT streamx.skip('other', 0, 2)}, qr/must be owner of view other/, 'by the owner');
$node->safe_psql('postgres', q{SELECT streamx.skip('"my Views"."a view"', 0, 2)});
eventually($node, 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL', '0', 'then the rebuild ends');
shows($node, 'SELECT * FROM "my Views"."a view", other', '5|20|5|20', 'without that message only');
shows($node, q{SELECT view, "partition", from_offset, to_offset, reason FROM streamx.skips WHERE stream = 'strict'::regclass}, '"my Views"."a view"|0|2|3|asked', 'which is said of that view only');
# delivered = counted + refused + skipped, in one partition
shows($node, <<'END', qq("my Views"."a view"|5|4|0|1\nother|5|4|1|0), 'of the other it is a dead letter');
SELECT v.view, p.next_offset, n.count - 1, (SELECT count(*) FROM streamx_internal.dead_letter d WHERE d.reader = p.reader), (SELECT count(*) FROM streamx.skips k WHERE k.view = v.view)
FROM (SELECT '"my Views"."a view"'::regclass AS view, count FROM "my Views"."a view" UNION ALL SELECT 'other', count FROM other) n
JOIN streamx.view_streams v USING (view) JOIN streamx.progress p USING (reader) WHERE p."partition" = 0 ORDER BY v.view::text
END
verified($node, $_) for '"my Views"."a view"', 'other';
$broker->produce('strict', 0, '{"n": 100}');
caught_up($node, 'strict');
shows($node, 'SELECT * FROM "my Views"."a view", other', '6|120|6|120', 'both go on');

# What one view gave up at its beginning is not missing in the others, which it joins
unless ($broker->is_real)
{
	$broker->tell('topic short 1');
	$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE short (n int) SERVER kafka OPTIONS (topic 'short');
SELECT streamx.pause('short');
CREATE VIEW whole WITH (streamx.continuous) AS SELECT count(*) FROM short;
CREATE VIEW part WITH (streamx.continuous) AS SELECT count(*) FROM short;
SELECT streamx.resume('short');
END
	# the mock keeps 5 MiB of a partition
	my $sent = 0;
	my $overfill = sub {
		for (1 .. 4)
		{
			$broker->produce('short', 0, map { '{"n": 1, "filler": "' . 'x' x 900000 . '"}' } 1 .. 2);
			$sent += 2;
			eventually($node, 'SELECT count FROM whole', $sent, "$sent are read");
		}
	};

	$overfill->();
	my $readers = q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'short'::regclass};
	# delivered = counted + skipped
	my $sums = q{SELECT v.view::text, p.next_offset, n.n + coalesce((SELECT sum(to_offset - from_offset) FROM streamx.skips k WHERE k.view = v.view), 0)
		FROM streamx.view_streams v JOIN streamx.progress p USING (reader) JOIN (SELECT 'whole'::regclass AS view, count AS n FROM whole UNION ALL SELECT 'part', count FROM part) n USING (view) ORDER BY 1};

	for (1 .. 2)
	{
		$node->safe_psql('postgres', q{SELECT streamx.rebuild('part', from_retained => true)});
		eventually($node, 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL', '0', 'a view is rebuilt from what is left');
		eventually($node, $readers, '1', 'and joins the other');
		shows($node, 'SELECT (SELECT count FROM whole), (SELECT count FROM part) < 8', '8|t', 'with less');
		shows($node, q{SELECT DISTINCT view, reason FROM streamx.skips WHERE stream = 'short'::regclass}, 'part|gone', 'which is said of that view only');
		shows($node, $sums, "part|8|8\nwhole|8|8", 'each message is counted or missing, of each view');
		verified($node, 'part');
	}

	# A view whose own place is gone goes on behind the gap first
	$node->safe_psql('postgres', q{SELECT streamx.pause('part')});
	$overfill->();
	$node->safe_psql('postgres', q{SELECT streamx.rebuild('part', from_retained => true)});
	eventually($node, q{SELECT phase FROM streamx.stat_progress WHERE command = 'rebuild'}, 'swapping', 'a rebuild that is ahead of its view waits for it');
	$node->safe_psql('postgres', q{ALTER FOREIGN TABLE short OPTIONS (ADD on_gap 'skip'); SELECT streamx.resume('part')});
	eventually($node, 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL', '0', 'which goes on behind the gap');
	eventually($node, $readers, '1', 'and joins the other');
	shows($node, $sums, "part|16|16\nwhole|16|16", 'each message is counted or missing once');
	verified($node, 'part');
}

$node->stop;
$broker->stop;
done_testing();
