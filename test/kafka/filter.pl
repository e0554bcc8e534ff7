# Options filter and root: three streams over one topic, each of its own kind of messages

use strict;
use warnings;

use FindBin;
use IO::Handle;
use POSIX qw(strftime);
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(nexmark => 2, wide => 6, quiet => 2, clock => 1);
my $node = streamx_node('filter', broker => $broker);

sub message
{
	my ($kind, $second, $more) = @_;
	my $at = strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(1714557600 + $second));
	my @objects = map { '"' . (qw(person auction bid))[$_] . '":' . ($_ == $kind ? qq({"at":"$at",$more}) : 'null') } 0 .. 2;

	return '{' . join(',', qq("event_type":$kind), @objects) . '}';
}

sub stream
{
	my ($name, $kind, $columns) = @_;

	return "CREATE FOREIGN TABLE $name (at timestamptz, $columns) SERVER kafka
		OPTIONS (topic 'nexmark', root '$name', filter 'event_type = $kind', event_time 'at', watermark_delay '4 s');";
}

# What became of a stream's messages
sub filtered
{
	my ($stream) = @_;

	return qq{SELECT "partition", "offset", filtered FROM streamx.stat_partitions WHERE stream = '$stream'::regclass ORDER BY reader, "partition"};
}

$node->safe_psql('postgres', stream('person', 0, 'id int') . stream('auction', 1, 'id int') . stream('bid', 2, 'price int NOT NULL, bidder int'));
$node->safe_psql('postgres', "CREATE VIEW ${_}s WITH (streamx.continuous) AS SELECT tumble(at, '10 s') AS w, count(*) AS n FROM $_ GROUP BY 1") for qw(person auction bid);
$node->safe_psql('postgres', "CREATE VIEW prices WITH (streamx.continuous) AS SELECT sum(price) AS total, sum(bidder) AS bidders FROM bid");

# A process that sends twenty messages a second, for two minutes or until it is ended, and what it reads from
sub start_producer
{
	my ($topic, $partition) = @_;
	my $pid = open(my $lines, '|-', "$FindBin::Bin/produce", '--bootstrap', $broker->address, '--topic', $topic, '--rate', 20) or die "produce: $!";

	$lines->autoflush(1);
	print $lines qq($partition\t\t\\N\t{"n":0}\n) x 2400;
	return ($pid => $lines);
}

# Nothing but bids moves the watermark of bids, is late, or is bad
$broker->produce('nexmark', 0, message(0, 0, '"id":1'), message(2, 1, '"price":1'), message(1, 100, '"id":"none"'), message(2, 2, '"price":2'));
$broker->produce('nexmark', 1, message(2, 3, '"price":4'), message(2, 4, '"price":null'), '{"event_type":1,"auction":', message(0, 5, '"id":2'));
caught_up($node, $_) for qw(person auction bid);
shows($node, 'SELECT * FROM prices', '7|', 'bids are counted');
shows($node, filtered('bid'), "0|4|2\n1|4|1", 'and other messages by partition');
shows($node, filtered('person'), "0|4|3\n1|4|2", 'of each stream by its own filter');
shows($node, filtered('auction'), "0|4|3\n1|4|3", 'whatever is in them');
shows($node, q{SELECT stream, view, "partition", "offset", sqlstate FROM streamx.dead_letters ORDER BY 1, 2, 3, 4}, <<'END' =~ s/\n\z//r,
person||1|2|22P02
auction||1|2|22P02
bid||1|1|23502
bid||1|2|22P02
END
	'dead letters are bad messages of the stream, and what is not JSON');
shows($node, "SELECT streamx.watermark('bid')", '2024-05-01 09:59:58+00', 'other messages do not move the watermark');
$broker->produce('nexmark', $_, message(2, 60, '"price":8')) for 0, 1;
caught_up($node, 'bid');
$broker->produce('nexmark', 0, message(1, 101, '"id":3'), message(2, 0, '"price":16'), message(0, 0, '"id":3'));
caught_up($node, $_) for qw(person auction bid);
shows($node, q{SELECT view, "partition", "offset" FROM streamx.late_rows}, 'bids|0|6', 'and are never late');
shows($node, 'SELECT sum(n) FROM bids', '5', 'a late bid is not counted');
shows($node, q{SELECT sum(p."offset" - p.start_offset), sum(p.filtered), (SELECT sum(n) FROM bids),
	(SELECT count(*) FROM streamx.late_rows), (SELECT count(*) FROM streamx.dead_letters d WHERE d.stream = p.stream)
	FROM streamx.stat_partitions p WHERE p.stream = 'bid'::regclass GROUP BY p.stream}, '13|5|5|1|2', 'each message is accounted for');
verified($node, $_) for qw(persons auctions bids prices);

# SELECT has the same rows
my ($status, $rows, $warnings) = $node->psql('postgres', 'SELECT count(*), sum(price) FROM bid');
is($rows, '6|39', 'SELECT has the rows that pass');
like($warnings, qr/2 messages of stream "bid" were left out/, 'and tells of bad ones only');
like($node->safe_psql('postgres', 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT id FROM person'),
	qr/Message Filter: event_type = 0\n.*Messages Read: 13\n *Messages Filtered: 9\n *Messages Left Out: 1/s, 'EXPLAIN tells of both');

# A view made later counts for itself, then joins the others; a restart forgets nothing
$node->safe_psql('postgres', 'CREATE VIEW more WITH (streamx.continuous) AS SELECT sum(price) AS total FROM bid');
caught_up($node, 'bid');
eventually($node, "SELECT readers FROM streamx.stat_streams WHERE stream = 'bid'::regclass", '1', 'a later view has joined');
shows($node, 'SELECT * FROM more', '39', 'with the same rows');
$node->restart;
$broker->produce('nexmark', 1, message(1, 61, '"id":4'), message(2, 61, '"price":32'));
caught_up($node, 'bid');
shows($node, filtered('bid'), "0|8|4\n1|7|2", 'counts go on after a restart');
shows($node, 'SELECT * FROM more', '71', 'so do results');

# One that leaves takes the counts along
$node->safe_psql('postgres', "SELECT streamx.pause('more')");
shows($node, filtered('bid'), "0|8|4\n1|7|2\n0|8|4\n1|7|2", 'a view that leaves takes the counts along');

# Many partitions are saved by one statement
$node->safe_psql('postgres', q{CREATE FOREIGN TABLE wide (n int) SERVER kafka OPTIONS (topic 'wide', filter 'n > 2', workers '2');
	CREATE VIEW wide_count WITH (streamx.continuous) AS SELECT count(*) FROM wide});
$broker->produce('wide', $_, map { qq({"n":$_}) } 1 .. $_) for 1 .. 5;
caught_up($node, 'wide');
shows($node, filtered('wide'), "0|0|0\n1|1|1\n2|2|2\n3|3|2\n4|4|2\n5|5|2", 'counts of many partitions');
$node->safe_psql('postgres', "SELECT streamx.pause('wide')");
$broker->produce('wide', $_, '{"n":0}', '{"n":9}') for 0 .. 5;
$node->safe_psql('postgres', "SELECT streamx.step('wide', 1000)");
shows($node, filtered('wide'), "0|2|1\n1|3|2\n2|4|3\n3|5|3\n4|6|3\n5|7|3", 'move in one batch');
verified($node, 'wide_count');

# A partition without rows is silent, whatever else comes
my $timed = 'n int, at timestamptz) SERVER kafka OPTIONS (filter \'n > 0\', event_time \'at\', idle_timeout \'2 s\'';
$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE quiet ($timed, topic 'quiet');
CREATE FOREIGN TABLE clock ($timed, topic 'clock', idle_advance 'on');
CREATE VIEW quiet_hours WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, sum(n) AS n FROM quiet GROUP BY 1;
CREATE VIEW clock_hours WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, sum(n) AS n FROM clock GROUP BY 1;
END
$broker->produce('quiet', $_, '{"n":1,"at":"2024-05-01T10:00:00Z"}') for 0, 1;
$broker->produce('clock', 0, '{"n":1,"at":"2024-05-01T10:00:00Z"}');
caught_up($node, $_) for qw(quiet clock);
my %producers = map { start_producer(@$_) } [ 'quiet', 1 ], [ 'clock', 0 ];
eventually($node, "SELECT count(*) FROM streamx.stat_partitions WHERE stream IN ('quiet'::regclass, 'clock'::regclass) AND filtered > 10", '2', 'messages that are filtered come');
$broker->produce('quiet', 0, '{"n":1,"at":"2024-05-01T12:00:00Z"}');
eventually($node, "SELECT streamx.watermark('quiet')", '2024-05-01 12:00:00+00', 'a partition of which all is filtered falls silent');
eventually($node, "SELECT streamx.watermark('clock') > now() - interval '30 s'", 't', 'and lets the clock go on');
is(scalar(grep { kill 0, $_ } keys %producers), 2, 'though messages came all the time');
kill 'TERM', keys %producers;
close($_) for values %producers;
verified($node, $_) for qw(quiet_hours clock_hours);

$node->stop;
$broker->stop;
done_testing();
