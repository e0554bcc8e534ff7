# The archived topics, and the batch oracle: a table with the same events, loaded
# and decoded by PostgreSQL alone.
package Topic;
use strict;
use warnings;

use Exporter qw(import);

use Nexmark;
use Server;
use Shape;

our @EXPORT = qw(fill create load_oracle drop_topic expect wrong_rows wrong_values);

# Its name; $what has kind, groups (of orders) and count.
sub fill
{
	my ($setup, $what) = @_;
	my $topic = join('_', $what->{kind}, $what->{groups} || (), $what->{count});
	my %generator = (
		orders => [ 'generate', '--groups', $what->{groups} ],
		nexmark => ['nexmark'],
		nexmark_disordered => [ 'nexmark', '--disorder' ]);
	my ($program, @options) = @{ $generator{ $what->{kind} } };

	create($setup, $topic);
	system("$setup->{source}/bench/$program", $setup->{address}, $topic, @options, '--partitions', $setup->{partitions}, '--count', $what->{count}) == 0
		or die "could not fill $topic\n";
	return $topic;
}

# With settings of its own: name, value...
sub create
{
	my ($setup, $topic, @settings) = @_;

	system("$setup->{source}/test/apache-kafka/topic", $setup->{address}, 'create', $topic, $setup->{partitions}, @settings) == 0 or die "no topic\n";
}

sub drop_topic
{
	my ($setup, $topic) = @_;

	system("$setup->{source}/test/apache-kafka/topic", $setup->{address}, 'delete', $topic) == 0 or die "topic $topic stays\n";
	ask("DROP TABLE IF EXISTS oracle.$_") for ask("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('oracle') AND relkind = 'r' AND (relname = '$topic' OR relname LIKE '${topic}\\_q%')");
}

sub load_oracle
{
	my ($setup, $topic, $what) = @_;
	my $dump = "$setup->{source}/bench/consumer/consumer dump --broker $setup->{address} --topic $topic --partitions $setup->{partitions}"
		. " --events $what->{count} --csv /dev/stdout";

	ask('CREATE EXTENSION IF NOT EXISTS file_fdw');
	ask('CREATE SCHEMA IF NOT EXISTS oracle');
	ask('CREATE SERVER IF NOT EXISTS files FOREIGN DATA WRAPPER file_fdw');
	ask("CREATE FOREIGN TABLE oracle.messages (\"partition\" int, \"offset\" bigint, timestamp_ms bigint, message text) SERVER files OPTIONS (program '$dump')");
	$what->{kind} eq 'orders' ? load_orders("oracle.$topic") : load_nexmark("oracle.$topic");
	ask('DROP FOREIGN TABLE oracle.messages');
	my $rows = ask("SELECT count(*) FROM oracle.$topic");
	die "the oracle has $rows of $what->{count} events\n" unless $rows == $what->{count};
}

sub load_orders
{
	my ($table) = @_;

	ask("CREATE UNLOGGED TABLE $table AS
		SELECT o.* FROM oracle.messages,
			jsonb_to_record(message::jsonb) AS o (order_id text, customer_id text, category text, amount numeric(10,2), event_time timestamptz)");
}

# What the query must give, once for all contestants.
sub expect
{
	my ($shape, $topic) = @_;

	return if $shape->{only} || is_nexmark($shape);
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
