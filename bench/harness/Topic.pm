# The archived topics, and the batch oracle: a table with the same orders, loaded
# and decoded by PostgreSQL alone.
package Topic;
use strict;
use warnings;

use Exporter qw(import);

use Server;
use Shape;

our @EXPORT = qw(fill create load_oracle drop_topic expect wrong_rows wrong_values);

# Name of the topic with so many orders of so many categories.
sub fill
{
	my ($setup, $groups, $count) = @_;
	my $topic = "orders_${groups}_$count";

	create($setup, $topic);
	system("$setup->{source}/bench/generate", $setup->{address}, $topic, '--groups', $groups, '--partitions', $setup->{partitions},
		'--count', $count) == 0
		or die "could not fill $topic\n";
	return $topic;
}

sub create
{
	my ($setup, $topic) = @_;

	system("$setup->{source}/test/apache-kafka/topic", $setup->{address}, 'create', $topic, $setup->{partitions}) == 0 or die "no topic\n";
}

sub drop_topic
{
	my ($setup, $topic) = @_;

	system("$setup->{source}/test/apache-kafka/topic", $setup->{address}, 'delete', $topic) == 0 or die "topic $topic stays\n";
	ask("DROP TABLE IF EXISTS oracle.$topic");
}

sub load_oracle
{
	my ($setup, $topic, $count) = @_;
	my $dump = "$setup->{source}/bench/consumer/consumer dump --broker $setup->{address} --topic $topic --partitions $setup->{partitions}"
		. " --events $count --csv /dev/stdout";

	ask('CREATE EXTENSION IF NOT EXISTS file_fdw');
	ask('CREATE SCHEMA IF NOT EXISTS oracle');
	ask('CREATE SERVER IF NOT EXISTS files FOREIGN DATA WRAPPER file_fdw');
	ask("CREATE FOREIGN TABLE oracle.messages (message text) SERVER files OPTIONS (program '$dump', delimiter E'\\x01')");
	ask("CREATE UNLOGGED TABLE oracle.$topic AS
		SELECT o.* FROM oracle.messages,
			jsonb_to_record(message::jsonb) AS o (order_id text, customer_id text, category text, amount numeric(10,2), event_time timestamptz)");
	ask('DROP FOREIGN TABLE oracle.messages');
	my $rows = ask("SELECT count(*) FROM oracle.$topic");
	die "the oracle has $rows of $count orders\n" unless $rows == $count;
}

# What the query must give, once for all contestants.
sub expect
{
	my ($shape, $topic) = @_;

	return if $shape->{only};
	ask("CREATE UNLOGGED TABLE IF NOT EXISTS oracle.expected AS SELECT '' AS shape, * FROM (" . batch_query($shape, "oracle.$topic") . ') AS q LIMIT 0');
	return if ask("SELECT count(*) FROM oracle.expected WHERE shape = '$shape->{name} $topic'");
	ask("INSERT INTO oracle.expected SELECT '$shape->{name} $topic', q.* FROM (" . batch_query($shape, "oracle.$topic") . ') AS q');
	ask('ANALYZE oracle.expected');
}

# How many rows of a result are not what was expected.  A mean may be rounded.
sub wrong_rows
{
	my ($shape, $topic, $result) = @_;

	return ask(
		"SELECT count(*) FROM (SELECT window_start::timestamptz, category, orders::bigint AS orders, total::numeric AS total, mean::numeric AS mean
				FROM $result) AS g
			FULL JOIN (SELECT * FROM oracle.expected WHERE shape = '$shape->{name} $topic') AS e USING (window_start, category)
		WHERE (g.orders = e.orders AND g.total = e.total AND abs(g.mean - e.mean) < 0.00001) IS NOT TRUE");
}

# Of a shape with one aggregate: how many windows have another value, or one too far off.
sub wrong_values
{
	my ($shape, $topic, $result) = @_;
	my $exactly = $shape->{exactly} // $shape->{only};

	return ask(
		"SELECT count(*) FROM $result
			FULL JOIN (SELECT date_bin('$shape->{size} ms', event_time, 'epoch') AS window_start, $exactly AS expected FROM oracle.$topic GROUP BY 1) AS e
				USING (window_start)
		WHERE (abs(own - expected) <= @{[ $shape->{tolerance} // 0 ]} * expected) IS NOT TRUE");
}

1;
