# Nexmark's queries that can be expressed: what streamx is told, where the result is, and the same as plain
# SQL over a table of the events.  The text of the queries is that of nexmark-flink, q12 but for its
# clock: time is that of the messages.
package Nexmark;
use strict;
use warnings;

use Exporter qw(import);

use Server;

our @EXPORT = qw(nexmark_shapes is_nexmark create_nexmark load_nexmark result_of_others wrong_nexmark);

my %streams = (
	person => 'id bigint, name text',
	auction => 'seller bigint',
	bid => 'auction bigint, bidder bigint, price bigint');
my %number = (person => 0, auction => 1, bid => 2);

# streams: that it reads; views: name => query; result: of streamx, over the views; oracle: over a table
# "bids", "persons" or "auctions" of accepted events; a row of these is refused by windows that end by
# "refused".  last_end: of the windows of a row at "at".  others: the query over the table of another
# contestant, if its types are not those of the oracle.  window: what others get as --window.
my %queries = (
	q5 => {
		streams => ['bid'],
		views => { hot => q{SELECT hop("dateTime", '10 s', '2 s') AS w, auction, count(*) AS num FROM bid GROUP BY 1, 2} },
		result => q{SELECT lower(w) AS window_start, auction, num FROM (SELECT *, rank() OVER (PARTITION BY w ORDER BY num DESC) AS place FROM hot) AS ranked WHERE place = 1},
		oracle => q{SELECT window_start, auction, num FROM (SELECT *, max(num) OVER (PARTITION BY window_start) AS most FROM (
				SELECT w AS window_start, auction, sum(n)::bigint AS num
				FROM (SELECT date_bin('2 s', at, 'epoch') AS slide, auction, refused, count(*) AS n FROM bids GROUP BY 1, 2, 3) AS slides,
					generate_series(slide - interval '8 s', slide, '2 s') AS w
				WHERE w + interval '10 s' > refused GROUP BY 1, 2) AS counts) AS ranked WHERE num = most},
		last_end => q{date_bin('2 s', at, 'epoch') + interval '10 s'}, window => 'hop,10000,2000' },
	q8 => {
		streams => [qw(person auction)],
		views => {
			persons => q{SELECT tumble("dateTime", '10 s') AS w, id, name FROM person GROUP BY 1, 2, 3},
			sellers => q{SELECT tumble("dateTime", '10 s') AS w, seller FROM auction GROUP BY 1, 2} },
		result => q{SELECT lower(w) AS window_start, id, name FROM persons JOIN sellers USING (w) WHERE id = seller},
		oracle => q{SELECT DISTINCT window_start, id, name FROM (SELECT date_bin('10 s', at, 'epoch') AS window_start, id, name FROM persons WHERE refused < 'infinity') AS p
				JOIN (SELECT date_bin('10 s', at, 'epoch') AS window_start, seller FROM auctions WHERE refused < 'infinity') AS a USING (window_start) WHERE id = seller},
		last_end => q{date_bin('10 s', at, 'epoch') + interval '10 s'}, window => 'tumble,10000' },
	q11 => {
		streams => ['bid'],
		views => { sessions => q{SELECT session("dateTime", '10 s') AS w, bidder, count(*) AS bid_count FROM bid GROUP BY 1, 2} },
		result => q{SELECT lower(w) AS window_start, bidder, bid_count FROM sessions},
		oracle => q{SELECT min(at) AS window_start, bidder, count(*) AS bid_count
			FROM (SELECT *, count(*) FILTER (WHERE begins) OVER (PARTITION BY bidder ORDER BY at) AS session
				FROM (SELECT *, at - lag(at) OVER (PARTITION BY bidder ORDER BY at) > '10 s' AS begins FROM bids WHERE refused < 'infinity') AS gaps) AS islands
			GROUP BY bidder, session},
		last_end => q{at + interval '10 s'}, window => 'session,10000' },
	q12 => {
		streams => ['bid'], event_time => 'arrival',
		views => { counts => q{SELECT tumble(arrival, '10 s') AS w, bidder, count(*) AS bid_count FROM bid GROUP BY 1, 2} },
		result => q{SELECT lower(w) AT TIME ZONE 'UTC' AS window_start, bidder, bid_count FROM counts},
		oracle => q{SELECT date_bin('10 s', arrival, 'epoch') AS window_start, bidder, count(*) AS bid_count FROM bids GROUP BY 1, 2},
		window => 'tumble,10000' },
	q17 => {
		streams => ['bid'],
		views => { days => q{SELECT auction, "dateTime"::date AS day, count(*) AS total_bids, count(*) FILTER (WHERE price < 10000) AS rank1_bids,
				count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids, count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
				min(price) AS min_price, max(price) AS max_price, avg(price) AS avg_price, sum(price) AS sum_price FROM bid GROUP BY 1, 2} },
		result => q{SELECT auction, day, total_bids, rank1_bids, rank2_bids, rank3_bids, min_price, max_price, trunc(avg_price) AS avg_price, sum_price FROM days},
		# Flink's average of integers is an integer
		oracle => q{SELECT auction, at::date AS day, count(*) AS total_bids, count(*) FILTER (WHERE price < 10000) AS rank1_bids,
				count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids, count(*) FILTER (WHERE price >= 1000000) AS rank3_bids,
				min(price) AS min_price, max(price) AS max_price, trunc(avg(price)) AS avg_price, sum(price) AS sum_price FROM bids GROUP BY 1, 2},
		# Flink's day is a text
		others => q{SELECT auction, day::date, total_bids, rank1_bids, rank2_bids, rank3_bids, min_price, max_price, avg_price::numeric, sum_price::numeric FROM %s},
		window => 'tumble,86400000' });

# Each over events in order, and those that have late ones over a disordered topic, too.
sub nexmark_shapes
{
	return (
		(map { { %{ $queries{$_} }, name => $_, query => $_, topic => 'nexmark', groups => 0 } } sort keys %queries),
		(map { { %{ $queries{$_} }, name => "$_-disordered", query => $_, topic => 'nexmark_disordered', groups => 0 } } qw(q5 q8 q11 q17)));
}

sub is_nexmark { return defined $_[0]{query}; }

# ---- streamx ----

# Within a transaction: all views of a stream share one reader.
sub create_nexmark
{
	my ($shape, $topic) = @_;

	for my $stream (@{ $shape->{streams} })
	{
		my $event_time = $shape->{event_time} // 'dateTime';
		my $arrival = $event_time eq 'arrival' ? ", arrival timestamptz OPTIONS (metadata 'timestamp')" : '';

		ask(qq{CREATE FOREIGN TABLE $stream ($streams{$stream}, "dateTime" timestamp$arrival)
			SERVER kafka OPTIONS (topic '$topic', root '$stream', filter 'event_type = $number{$stream}', event_time '$event_time', watermark_delay '4 s')});
	}
	ask("CREATE VIEW $_ WITH (streamx.continuous) AS $shape->{views}{$_}") for sort keys %{ $shape->{views} };
}

# The query over the table that another contestant leaves.
sub result_of_others
{
	my ($shape, $table) = @_;

	return sprintf($shape->{others} // 'TABLE %s', $table);
}

# ---- the oracle ----

# Of messages (partition, offset, timestamp_ms, message) that were dumped from the topic.
sub load_nexmark
{
	my ($table) = @_;

	ask("CREATE UNLOGGED TABLE $table AS
		SELECT \"partition\", \"offset\", timestamp 'epoch' + timestamp_ms * interval '1 ms' AS arrival, event_type AS kind,
			coalesce(b.\"dateTime\", a.\"dateTime\", p.\"dateTime\") AS at, b.auction, b.bidder, b.price, p.id, p.name, a.seller
		FROM oracle.messages,
			jsonb_to_record(message::jsonb) AS e (event_type int, person jsonb, auction jsonb, bid jsonb)
			LEFT JOIN LATERAL jsonb_to_record(e.bid) AS b (auction bigint, bidder bigint, price bigint, \"dateTime\" timestamp) ON e.event_type = 2
			LEFT JOIN LATERAL jsonb_to_record(e.auction) AS a (seller bigint, \"dateTime\" timestamp) ON e.event_type = 1
			LEFT JOIN LATERAL jsonb_to_record(e.person) AS p (id bigint, name text, \"dateTime\" timestamp) ON e.event_type = 0");
}

# How many rows of a result are not those of the oracle, and the late rows that streamx had no reason to refuse.
# $result is a query; of others than streamx no row is late.
sub wrong_nexmark
{
	my ($shape, $table, $result, $is_streamx) = @_;
	my $wanted = "${table}_$shape->{query}";

	# what is late differs from run to run; without late rows all are to have the same
	ask("DROP TABLE IF EXISTS $wanted") if may_be_late($shape);
	ask("CREATE UNLOGGED TABLE IF NOT EXISTS $wanted AS " . oracle($shape, $table, $is_streamx && may_be_late($shape)));
	die "the oracle of $shape->{name} has no rows\n" unless ask("SELECT count(*) FROM $wanted");
	my $wrong = ask("WITH found AS MATERIALIZED ($result) SELECT count(*) FROM ((TABLE $wanted EXCEPT ALL TABLE found) UNION ALL (TABLE found EXCEPT ALL TABLE $wanted)) AS d");
	return $wrong + ($is_streamx ? wrong_late_rows($shape, $table) : 0);
}

sub may_be_late { return $_[0]{topic} ne 'nexmark'; }

# The accepted events by kind, then the query.
sub oracle
{
	my ($shape, $table, $with_late_rows) = @_;
	my $refused = $with_late_rows
		? "(SELECT \"partition\", \"offset\", CASE WHEN counted THEN refused_through AT TIME ZONE 'UTC' ELSE 'infinity' END AS refused FROM streamx.late_rows WHERE stream = '%s'::regclass)"
		: '(SELECT NULL::int AS "partition", NULL::bigint AS "offset", NULL::timestamp AS refused WHERE %s IS NULL)';
	my @kinds = map {
		sprintf("${_}s AS MATERIALIZED (SELECT e.*, coalesce(refused, '-infinity') AS refused FROM (SELECT * FROM $table WHERE kind = $number{$_}) AS e
			LEFT JOIN $refused AS l USING (\"partition\", \"offset\"))", $with_late_rows ? $_ : 1)
	} @{ $shape->{streams} };

	return 'WITH ' . join(', ', @kinds) . " $shape->{oracle}";
}

# A row may be late only if all windows that refused it had ended by a watermark that rows before it in its own
# partition had brought.
sub wrong_late_rows
{
	my ($shape, $table) = @_;
	my ($late, $wrong) = (0, 0);

	for my $stream (@{ $shape->{streams} })
	{
		$late += ask("SELECT count(*) FROM streamx.late_rows WHERE stream = '$stream'::regclass");
		next unless $shape->{last_end};
		$wrong += ask(
			"SELECT count(*) FROM streamx.late_rows AS l
				LEFT JOIN (SELECT \"partition\", \"offset\", at, max(at) OVER (PARTITION BY \"partition\" ORDER BY \"offset\" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS seen
					FROM $table WHERE kind = $number{$stream}) AS e USING (\"partition\", \"offset\")
			WHERE stream = '$stream'::regclass AND (watermark AT TIME ZONE 'UTC' <= seen - interval '4 s'
				AND CASE WHEN counted THEN refused_through AT TIME ZONE 'UTC' ELSE $shape->{last_end} END <= watermark AT TIME ZONE 'UTC') IS NOT TRUE");
	}
	print "$shape->{name}: $late late rows\n" if $late;
	return $wrong + (may_be_late($shape) ? 0 : $late);
}

1;
