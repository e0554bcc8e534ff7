# A topic of orders, and views of every kind over it: what a dump, an upgrade, a
# standby or a backup must carry.
#
#	my $broker = StreamX::Broker->new(orders => 2);
#	my $node = streamx_node('main', broker => $broker);
#	make_views($node);
#	send_orders($broker, 1 .. 300);
#	caught_up($node, 'orders');
#	differences($node, 'postgres');		# '': verify agrees in every view
package Kinds;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(@kinds make_views order send_orders differences rows_of);

our @kinds = qw(totals tumbled twins hopped cumulated sittings inputs rolled kept ours);

# In a database that has server kafka.
sub make_views
{
	my ($node, $database) = @_;

	$node->safe_psql($database // 'postgres', <<'END');
SET client_min_messages = warning;
CREATE FOREIGN TABLE orders (at timestamptz, item text, n int) SERVER kafka OPTIONS (topic 'orders', format 'json', event_time 'at');
SELECT streamx.pause('orders');
CREATE VIEW totals WITH (streamx.continuous) AS SELECT count(*), sum(n), avg(n), stddev(n) FROM orders;
CREATE VIEW tumbled WITH (streamx.continuous, streamx.allowed_lateness = '10 minutes') AS
	SELECT tumble(at, '10 minutes') AS w, item, count(*), sum(n::numeric), avg(n::numeric) FROM orders GROUP BY 1, 2;
CREATE VIEW twins WITH (streamx.continuous, streamx.allowed_lateness = '10 minutes') AS
	SELECT tumble(at, '10 minutes') AS w, item, max(n), var_pop(n::numeric) FROM orders GROUP BY 1, 2;
CREATE VIEW hopped WITH (streamx.continuous) AS
	SELECT hop(at, '30 minutes', '10 minutes') AS w, count(*), sum(n::bigint), min(item) FROM orders GROUP BY 1;
CREATE VIEW cumulated WITH (streamx.continuous) AS
	SELECT cumulate(at, '1 hour', '20 minutes') AS w, item, variance(n::bigint) FROM orders GROUP BY 1, 2;
CREATE VIEW sittings WITH (streamx.continuous, streamx.allowed_lateness = '5 minutes') AS
	SELECT session(at, '2 minutes') AS w, item, count(*), avg(n) FROM orders GROUP BY 1, 2;
CREATE VIEW inputs WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, count(DISTINCT n % 5) AS different, array_agg(n ORDER BY n), string_agg(item, ',') FROM orders GROUP BY 1;
CREATE VIEW rolled WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, item, grouping(item), count(*), stddev_pop(n::numeric) FROM orders GROUP BY w, ROLLUP (item);
CREATE VIEW kept WITH (streamx.continuous, streamx.retention = '20 minutes') AS
	SELECT tumble(at, '10 minutes') AS w, item, sum(n::bigint), count(DISTINCT n) AS different FROM orders GROUP BY 1, 2;
CREATE VIEW ours WITH (streamx.continuous) AS
	SELECT tumble(at, '10 minutes') AS w, first(item, n), top_n_by(item, n, 2), approx_count_distinct(n), approx_percentile(n, 0.5), approx_top_k(item, 2)
	FROM orders GROUP BY 1;
SELECT streamx.resume('orders');
END
}

# Order i is of second 10 i; every 13th half an hour late, every 37th no JSON.
sub order
{
	my ($i) = @_;
	my $second = 10 * $i - ($i % 13 == 0 ? 1800 : 0);

	$second = 0 if $second < 0;
	return "{bad $i" if $i % 37 == 0;
	return sprintf('{"at": "2024-05-%02dT%02d:%02d:%02dZ", "item": "%s", "n": %d}',
		1 + $second / 86400, $second / 3600 % 24, $second / 60 % 60, $second % 60, qw(tea cake pie)[$i % 3], $i);
}

# To the topic's two partitions in turn.
sub send_orders
{
	my ($broker, @numbers) = @_;

	for my $partition (0, 1)
	{
		my @messages = map { order($_) } grep { $_ % 2 == $partition } @numbers;

		$broker->produce('orders', $partition, @messages) if @messages;
	}
}

# What verify finds in all views.
sub differences
{
	my ($node, $database) = @_;

	return $node->safe_psql($database, join("\n", 'SET client_min_messages = warning;', map { "SELECT '$_', d.* FROM streamx.verify('$_') d;" } @kinds));
}

# All that the views show.
sub rows_of
{
	my ($node, $database) = @_;

	return $node->safe_psql($database, join("\n", map { "SELECT '$_', v.* FROM $_ v ORDER BY v.*::text;" } @kinds));
}

1;
