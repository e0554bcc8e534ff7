# The queries: count, sum and avg by category and window of event time, which
# differ in window and number of categories; and those of Nexmark.  Each is the same for every contestant.
package Shape;
use strict;
use warnings;

use Exporter qw(import);

use Nexmark;

our @EXPORT = qw(shapes shape_named window_call window_option batch_query);

my $minutes = 60_000;
my $day = 24 * 60 * $minutes;

# Times are in milliseconds; orders come a millisecond apart.
my @shapes = (
	{ name => 'tumble-10', groups => 10, kind => 'tumble', size => 5 * $minutes },
	{ name => 'tumble-10k', groups => 10_000, kind => 'tumble', size => 5 * $minutes },
	{ name => 'tumble-1m', groups => 1_000_000, kind => 'tumble', size => $day },
	(map { { name => "hop-$_", groups => 10, kind => 'hop', size => $_ * 10_000, step => 10_000 } } 1, 5, 60, 600),
	{ name => 'session-10k', groups => 10_000, kind => 'session', size => $minutes },
	{ name => 'short-session-10k', groups => 10_000, kind => 'session', size => 10_000 },
	# so many views of tumble-10 on one stream, each with an aggregate of its own, or with a key of its own
	(map { { name => "views-$_", groups => 10, kind => 'tumble', size => 5 * $minutes, views => $_, differ => 'aggregates' } } 5, 20),
	{ name => 'views-20-keys', groups => 10, kind => 'tumble', size => 5 * $minutes, views => 20, differ => 'keys' },
	# one aggregate by window alone; of approximate ones what they are about, and how far they may be off
	{ name => 'count', groups => 10, kind => 'tumble', size => 5 * $minutes, only => 'count(*)' },
	{ name => 'distinct-100k', groups => 10, kind => 'tumble', size => 5 * $minutes, only => 'count(DISTINCT right(customer_id, 5))' },
	{ name => 'distinct-approx', groups => 10, kind => 'tumble', size => 5 * $minutes, only => 'approx_count_distinct(customer_id)',
		exactly => 'count(DISTINCT customer_id)', tolerance => 0.06 },
	nexmark_shapes());

sub shapes { return @shapes; }

sub shape_named
{
	my ($name) = @_;

	return (grep { $_->{name} eq $name } @shapes)[0] // die "no such query: $name\n";
}

# As streamx has it.
sub window_call
{
	my ($shape) = @_;
	my @lengths = map { "'$_ ms'" } grep { defined } @$shape{qw(size step)};

	return "$shape->{kind}(" . join(', ', 'event_time', @lengths) . ')';
}

# As the command line of a contestant has it.
sub window_option
{
	my ($shape) = @_;

	return $shape->{window} // join(',', grep { defined } @$shape{qw(kind size step)});
}

# As plain PostgreSQL has it, over a table: window_start, category, orders, total, mean.
sub batch_query
{
	my ($shape, $table) = @_;

	return { tumble => \&batch_tumble, hop => \&batch_hop, session => \&batch_session }->{ $shape->{kind} }->($shape, $table);
}

sub batch_tumble
{
	my ($shape, $table) = @_;

	return "SELECT date_bin('$shape->{size} ms', event_time, 'epoch') AS window_start, category,
			count(order_id) AS orders, sum(amount) AS total, avg(amount) AS mean
		FROM $table GROUP BY 1, 2";
}

# An order is in size / step windows: a sum by steps first, or 600 of them take hours.
sub batch_hop
{
	my ($shape, $table) = @_;
	my ($size, $step) = @$shape{qw(size step)};

	return "SELECT w AS window_start, category, sum(n)::bigint AS orders, sum(s) AS total, sum(s) / sum(n) AS mean
		FROM (SELECT date_bin('$step ms', event_time, 'epoch') AS at, category, count(order_id) AS n, sum(amount) AS s
			FROM $table GROUP BY 1, 2) AS steps,
			generate_series(at - interval '@{[ $size - $step ]} ms', at, '$step ms') AS w
		GROUP BY 1, 2";
}

# Gaps and islands; a row at the very end of a session still touches it.
sub batch_session
{
	my ($shape, $table) = @_;

	return "SELECT min(event_time) AS window_start, category, count(order_id) AS orders, sum(amount) AS total, avg(amount) AS mean
		FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY category ORDER BY event_time) AS session
			FROM (SELECT *, event_time - lag(event_time) OVER (PARTITION BY category ORDER BY event_time) > '$shape->{size} ms' AS begins
				FROM $table) AS gaps) AS islands
		GROUP BY category, session";
}

1;
