# Folding goes on while the stream is idle, and after a crash; it takes nothing when nothing is due

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1);
my $node = streamx_node('fold', broker => $broker, settings => ['autovacuum = off']); # which takes transaction ids

sub order
{
	my ($time, $item) = @_;

	return sprintf('{"at": "2024-05-01T%sZ", "item": %d}', $time, $item);
}

# One window with 5000 inputs, and 5000 sessions
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (at timestamptz, item int) SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at');
SELECT streamx.pause('orders');
CREATE VIEW items WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, count(DISTINCT item) AS n, sum(DISTINCT item) FROM orders GROUP BY 1;
CREATE VIEW sittings WITH (streamx.continuous) AS
	SELECT session(at, '10 minutes') AS w, item, count(DISTINCT at) AS n FROM orders GROUP BY 1, 2;
SELECT streamx.resume('orders');
END
my $inputs = join(' UNION ALL ', map { "SELECT count(*) FROM $_" } split(/\n/, $node->safe_psql('postgres', 'SELECT unnest(inputs) FROM streamx.views ORDER BY view::text')));
my $results = 'SELECT w, n, sum FROM items UNION ALL SELECT NULL, count(*), sum(n) FROM sittings ORDER BY 1';

$broker->produce('orders', 0, map { order('10:00:00', $_) } 1 .. 5000);
caught_up($node, 'orders');
shows($node, $inputs, "5000\n5000", 'inputs are stored');
my $before = $node->safe_psql('postgres', $results);
$broker->produce('orders', 0, order('12:00:00', 0));
caught_up($node, 'orders');
kill_workers($node);
eventually($node, $inputs, "1\n1", 'the idle worker deletes those of sealed windows');
like($node->safe_psql('postgres', $results), qr/\|5000\|12502500\n.*\|1\|0\n\|5001\|5001/, 'the results are there');
verified($node, $_) for 'items', 'sittings';

# Nothing is due: no transaction id is taken
sub next_transaction
{
	return $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
}
$node->poll_query_until('postgres', 'SELECT NOT bool_or(is_folding) FROM streamx_internal.folding');
my $quiet = next_transaction();
my $watched = $node->safe_psql('postgres', 'SELECT clock_timestamp()');
$node->poll_query_until('postgres', "SELECT clock_timestamp() > '$watched'::timestamptz + interval '3 s'");
is(next_transaction(), $quiet, 'a worker that has nothing to fold takes no transaction id');

# Values that cannot be computed (100 of all groups but the one of item 5000) do not stop the stream
$node->safe_psql('postgres', <<'END');
CREATE FUNCTION refuse_even(state int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF state > 9 AND state % 2 = 0 THEN RAISE 'even'; END IF;
	RETURN state;
END $$;
CREATE AGGREGATE odd_sum(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0', FINALFUNC = refuse_even);
CREATE VIEW odd WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, item % 100 AS k, odd_sum(item / 1000) FROM orders GROUP BY 1, 2;
END
caught_up($node, 'orders');
my $state = $node->safe_psql('postgres', "SELECT state FROM streamx.views WHERE view = 'odd'::regclass");
eventually($node, "SELECT folded, count(*) FROM $state GROUP BY 1 ORDER BY 1", "f|99\nt|1\n|1", 'rows whose values cannot be computed are marked');
$broker->produce('orders', 0, order('12:20:00', 7));
caught_up($node, 'orders');
eventually($node, "SELECT folded, count(*) FROM $state GROUP BY 1 ORDER BY 1", "f|99\nt|2\n|1", 'and the others fold');
shows($node, "SELECT failures FROM streamx.activity('reader') WHERE failures > 0", '', 'without a failure of the stream');

$node->stop;
$broker->stop;
done_testing();
