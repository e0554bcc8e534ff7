# CREATE OR REPLACE VIEW over a continuous view while messages come: what is stored stays, or a shadow catches up and takes the view's place

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 4);
my $node = streamx_node('replace', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms' ]);
my $sent = 0;

# Send n messages to all partitions in turn, a second of event time apart; every 50th is bad, every 10th half an hour late
sub send_orders
{
	my ($n) = @_;
	my @lines;

	for my $i ($sent + 1 .. $sent + $n)
	{
		my $at = 36000 + $i - ($i % 10 == 3 && $i > 1800 ? 1800 : 0);
		my $time = sprintf('2026-03-01T%02d:%02d:%02dZ', $at / 3600, $at / 60 % 60, $at % 60);

		push @lines, $i % 4 . "\t\t\\N\t" . ($i % 50 == 0 ? "{bad $i" : qq({"at": "$time", "item": "i@{[$i % 7]}", "n": $i}));
	}
	$sent += $n;
	$broker->produce_lines('orders', [], @lines);
}

sub replace_view
{
	my ($view, $options, $query) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "SET ROLE shop; CREATE OR REPLACE VIEW $view WITH (streamx.continuous $options) AS $query");

	is($rc, 0, "$view: $query") or diag $err;
	return $err;
}

sub refused
{
	my ($sql, $expected, $title) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql);

	like($err, $expected, $title);
}

# Send until the view has taken its new definition.
sub until_swapped
{
	my ($view) = @_;

	eventually_while($node, sub { send_orders(40) }, "SELECT count(*) FROM streamx.views WHERE shadow_of = '$view'::regclass", '0', "$view is swapped while messages come");
}

my $tumble = q{tumble(at, '1 minute') AS w, item, count(*) AS count};

$node->safe_psql('postgres', <<"END");
CREATE ROLE shop LOGIN;
CREATE ROLE reader;
GRANT CREATE ON SCHEMA public TO shop;
GRANT USAGE ON FOREIGN SERVER kafka TO shop;
SET ROLE shop;
CREATE FOREIGN TABLE orders (at timestamptz, item text, n int) SERVER kafka OPTIONS (topic 'orders', event_time 'at', watermark_delay '1 minute');
CREATE VIEW per_item WITH (streamx.continuous) AS SELECT $tumble, sum(n) AS sum FROM orders GROUP BY 1, 2;
CREATE VIEW other WITH (streamx.continuous) AS SELECT hop(at, '2 minutes', '1 minute') AS w, count(*) AS count, sum(n) AS sum FROM orders GROUP BY 1;
CREATE VIEW on_per_item AS SELECT item, sum(sum) AS sum FROM per_item GROUP BY 1;
GRANT SELECT ON per_item TO reader;
END
send_orders(3000);
caught_up($node, 'orders');

# What is stored is enough: no row is read again
my $state = $node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = 'per_item'::regclass");
my $oid = $node->safe_psql('postgres', "SELECT 'per_item'::regclass::oid");
is(replace_view('per_item', ", streamx.allowed_lateness = '10 minutes'", "SELECT $tumble, sum(n) * 2 AS sum, sum(n) / count(*) AS mean FROM orders GROUP BY 1, 2 HAVING count(*) > 1"), '', 'without a word');
is($node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = 'per_item'::regclass"), $state, 'the state stays');
send_orders(200);
caught_up($node, 'orders');
verified($node, 'per_item');
replace_view('per_item', ", streamx.retention = '1 hour'", "SELECT $tumble, sum(n) AS sum, sum(n) / count(*) AS mean FROM orders GROUP BY 1, 2");
send_orders(200);
caught_up($node, 'orders');
verified($node, 'per_item');

# It is not: what the view shows stays right, and grows, until all of it is there
like(replace_view('per_item', '', "SELECT $tumble, sum(n) AS sum, sum(n) / count(*) AS mean, max(n), array_agg(n) AS list FROM orders GROUP BY 1, 2"),
	qr/NOTICE:  continuous view "per_item" is being computed anew/, 'it is told');
until_swapped('per_item');
caught_up($node, 'orders');
shows($node, 'SELECT count(*) = count(max) AND count(*) = count(list) FROM per_item', 't', 'its new columns are there');
shows($node, q{SELECT bool_and(max = (SELECT max(i) FROM unnest(list) i) AND count = cardinality(list)) FROM per_item}, 't', 'and right');
verified($node, 'per_item');
is($node->safe_psql('postgres', "SELECT 'per_item'::regclass::oid"), $oid, 'it is the same view');
shows($node, "SELECT has_table_privilege('reader', 'per_item', 'SELECT')", 't', 'with the same grants');
shows($node, 'SELECT (SELECT sum(sum) FROM on_per_item) = (SELECT sum(sum) FROM per_item)', 't', 'and the same views over it');
shows($node, "SELECT count(*) FROM pg_class WHERE oid::regclass::text = '$state'", '0', 'the old state is gone');

# While it is under way: nobody moves
my $evens = "SELECT $tumble, sum(n) AS sum, sum(n) / count(*) AS mean, max(n), array_agg(n) AS list, min(n) FROM orders WHERE n % 2 = 0 GROUP BY 1, 2";
my $relations = q{SELECT count(*) FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace};
my $before = $node->safe_psql('postgres', $relations);

$node->safe_psql('postgres', "SELECT streamx.pause('orders')");
my $shown = 'SELECT md5(string_agg((w, item, count, sum, mean, max, list)::text, chr(10) ORDER BY w, item)) FROM per_item';
my $shows = $node->safe_psql('postgres', $shown);
replace_view('per_item', ", streamx.allowed_lateness = '1 hour'", $evens);
shows($node, $shown, $shows, 'it shows what it showed');
shows($node, 'SELECT count(min) FROM per_item', '0', 'and NULL in new columns');
shows($node, 'SELECT view::text, command, phase FROM streamx.stat_progress', 'per_item|replace|paused', 'stat_progress tells of it');
shows($node, 'SELECT allowed_lateness FROM streamx.views WHERE view = \'per_item\'::regclass', '00:00:00', 'its options are the old ones');
verified($node, 'per_item');
refused("SET ROLE shop; CREATE OR REPLACE VIEW per_item WITH (streamx.continuous) AS $evens", qr/"per_item" is being computed anew already/, 'it is replaced once at a time');
refused("SELECT streamx.rebuild('per_item')", qr/is being rebuilt already/, 'or rebuilt');
$node->safe_psql('postgres', "SELECT streamx.cancel_rebuild('per_item')");
shows($node, $relations, $before, 'given up, it leaves nothing');
verified($node, 'per_item');
$node->safe_psql('postgres', "SET ROLE shop; BEGIN; CREATE OR REPLACE VIEW per_item WITH (streamx.continuous) AS $evens; ROLLBACK");
shows($node, $relations, $before, 'nor when it is rolled back');

# A dump takes along what is under way, and what was replaced is as if made so
replace_view('per_item', ", streamx.allowed_lateness = '1 hour'", $evens);
replace_view('other', '', 'SELECT hop(at, \'2 minutes\', \'1 minute\') AS w, count(*) AS count, sum(n) + count(*) AS sum FROM orders GROUP BY 1');
$node->safe_psql('postgres', 'CREATE DATABASE copy');
my $dump = PostgreSQL::Test::Utils::tempdir() . '/dump';
$node->command_ok([ 'pg_dump', '--file', $dump, 'postgres' ], 'dumped');
$node->command_ok([ 'psql', '-qX', '-v', 'ON_ERROR_STOP=1', '-f', $dump, 'copy' ], 'restored');
is($node->safe_psql('copy', "SELECT * FROM streamx.verify('$_')"), '', "the restored $_ equals its batch") for qw(per_item other);
$node->safe_psql($_, "SELECT streamx.resume('orders')") for qw(postgres copy);
send_orders(100);
$node->poll_query_until($_, 'SELECT count(*) FROM streamx.views WHERE shadow_of IS NOT NULL', '0') or die "no swap in $_" for qw(postgres copy);
$node->safe_psql($_, "CALL streamx.wait_for('orders')") for qw(postgres copy);
for my $database (qw(postgres copy))
{
	is($node->safe_psql($database, "SELECT * FROM streamx.verify('$_')"), '', "$_ equals its batch in $database") for qw(per_item other);
	is($node->safe_psql($database, 'SELECT bool_or(n % 2 = 1), count(*) = count(min) FROM per_item LEFT JOIN LATERAL unnest(list) n ON true'), 'f|t', "$database has other rows, and all columns");
}
$node->safe_psql('copy', 'DROP VIEW per_item CASCADE; DROP VIEW other');
is($node->safe_psql('copy', q{SELECT count(*) FROM pg_class WHERE relname ~ '^v\d+_'}), '0', 'dropped, a restored one leaves nothing');

# Crashes on the way lose nothing; a view that is dropped takes its shadow along
my $odds = $evens =~ s/n % 2 = 0/n % 2 = 1/r;
for my $round (1 .. 2)
{
	replace_view('per_item', '', $round == 1 ? $odds : $evens);
	send_orders(40);
	$round == 1 ? kill_workers($node) : crash($node);
	until_swapped('per_item');
}
caught_up($node, 'orders');
shows($node, 'SELECT bool_or(n % 2 = 1) FROM per_item, unnest(list) n', 'f', 'the last definition is the view\'s');
verified($node, $_) for qw(per_item other);
$node->safe_psql('postgres', "SELECT streamx.pause('orders')");
replace_view('per_item', '', $odds);
$node->safe_psql('postgres', 'DROP VIEW per_item CASCADE; DROP VIEW other');
shows($node, q{SELECT count(*) FROM pg_class WHERE relname ~ '^v\d+_'}, '0', 'dropped, it leaves nothing');
shows($node, 'SELECT (SELECT count(*) FROM streamx.readers), (SELECT count(*) FROM streamx.views), (SELECT count(*) FROM streamx_internal.late_row), (SELECT count(*) FROM streamx_internal.dead_letter WHERE view IS NOT NULL)', '0|0|0|0', 'in the catalog either');

# Options and expressions change again and again, of all kinds of windows, beside two workers
{
	my %windows = (tumbles => "tumble(at, '1 minute')", hopping => "hop(at, '2 minutes', '1 minute')", sessions => "session(at, '20 seconds')", growing => "cumulate(at, '3 minutes', '1 minute')");
	my @options = ('', ", streamx.allowed_lateness = '10 minutes'", ", streamx.allowed_lateness = '3 minutes', streamx.retention = '20 minutes'", ", streamx.retention = '10 minutes'", ", streamx.allowed_lateness = '1 minute'");
	my @kinds = sort keys %windows;
	my $define = sub {
		my ($kind, $options, $factor) = @_;

		return "CREATE OR REPLACE VIEW $kind WITH (streamx.continuous $options) AS SELECT $windows{$kind} AS w, item, count(*) * $factor AS count, array_agg(n) AS list FROM again GROUP BY 1, 2";
	};

	$node->safe_psql('postgres', join('; ', q{CREATE FOREIGN TABLE again (at timestamptz, item text, n int) SERVER kafka OPTIONS (topic 'orders', event_time 'at', workers '2')},
			map { $define->($_, '', 1) } @kinds));
	caught_up($node, 'again');    # so that there is a watermark
	for my $round (1 .. 5)
	{
		for my $kind (0 .. $#kinds)
		{
			send_orders(50);
			$node->safe_psql('postgres', $define->($kinds[$kind], $options[($round + $kind) % 5], $round));
		}
	}
	caught_up($node, 'again');
	verified($node, $_) for @kinds;
	shows($node, 'SELECT count(DISTINCT view) FROM streamx.late_rows', '4', 'rows were late for all of them');
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE again CASCADE');
}

# A topic that does not reach back any more; 5 MiB is what the mock keeps
if (!StreamX::Broker::is_real())
{
	$node->safe_psql('postgres', "SELECT streamx.resume('orders'); SET ROLE shop; CREATE VIEW brief WITH (streamx.continuous) AS SELECT count(*) AS count FROM orders");
	caught_up($node, 'orders');
	for (1 .. 4)
	{
		$broker->produce('orders', 0, map { '{"at": "2026-04-01T00:00:00Z", "item": "big", "n": 1, "filler": "' . 'x' x 900000 . '"}' } 1 .. 2);
		caught_up($node, 'orders');
	}
	refused('SET ROLE shop; CREATE OR REPLACE VIEW brief WITH (streamx.continuous) AS SELECT count(*) AS count, sum(n) FROM orders',
		qr/cannot replace continuous view "brief" by this definition\n.*does not reach back to where the view began: Offsets \d+ to \d+ of partition 0 are gone/, 'what would be lost is named');
	my $count = $node->safe_psql('postgres', 'SELECT count FROM brief');
	replace_view('brief', '', 'SELECT count(*) AS count, count(*) * 2 AS twice FROM orders');
	shows($node, 'SELECT count, twice FROM brief', "$count|@{[2 * $count]}", 'what needs nothing of it goes');
}

# Nobody had a reason to complain
my @complaints = grep { / streamx (?:worker|launcher|probe) .*(?:WARNING|ERROR|PANIC):/ } split /\n/, PostgreSQL::Test::Utils::slurp_file($node->logfile);
is("@complaints", '', 'no worker complained');
$node->stop;
$broker->stop;
done_testing();
