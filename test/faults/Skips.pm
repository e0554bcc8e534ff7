# Sessions that call streamx.skip, and note in the same transaction what they asked, and where views stood.
#
# So what is noted was granted: what is refused is rolled back.  From the notes follows
# what a view may skip, and what it must (Ledger).
package Skips;

use strict;
use warnings;

# More than so many offsets are not asked for at once: views are to have something left.
use constant MOST => 60;

my $tables = <<'END';
DROP TABLE IF EXISTS asked, stood;
CREATE TABLE asked (ask int, view oid, part int, through bigint);
CREATE TABLE stood (ask int, is_after boolean, view oid, is_shadow boolean, next_offset bigint, reader int);
END

sub tables { return $tables; }

# ---- what is asked ----

# A few times, in the stream: forward from where some view stands, to the end, or at any place.
sub of_stream
{
	my ($world) = @_;
	my @calls;

	for (1 .. 1 + int(rand(4)))
	{
		my $partition = int(rand($world->orders->partitions));
		my $end = @{ $world->orders->records($partition) };
		my $steps = int(rand(40));
		my $ahead = stand_of('NOT is_shadow', rand) . " + $steps";
		my $through = ($ahead, $ahead, $ahead, $end - 1, int(rand($end)))[ rand 5 ];

		push @calls, transaction($world, $partition, 'NULL', <<"END");
SELECT CASE WHEN through - foremost > @{[ MOST ]} THEN foremost + $steps ELSE through END
FROM (SELECT through, (SELECT max(next_offset) FROM here WHERE NOT is_shadow AND next_offset <= through) AS foremost FROM (SELECT $through AS through) t) t
END
	}
	return join('', @calls);
}

# In the rebuild of a view, given by its OID, which is begun: where it begins, and on its way.
sub of_rebuild
{
	my ($world, $view) = @_;
	my $begin = "SELECT streamx.rebuild($view, rejudge => " . (rand() < 0.5 ? 'true' : 'false') . ");\n";
	my @calls = map { transaction($world, int(rand($world->orders->partitions)), $view, 'SELECT ' . stand_of("is_shadow AND view = $view", 0) . ' + ' . int(rand(30))) } 1 .. 1 + int(rand(4));

	# in one transaction with it, nothing is read yet
	return rand() < 0.5 ? join('', World::begin(''), $begin, @calls) : join('', $begin, @calls);
}

# Where one of those stands: the last one at 0, the foremost at 1.
sub stand_of
{
	my ($which, $share) = @_;

	return "coalesce((SELECT percentile_disc($share) WITHIN GROUP (ORDER BY next_offset) FROM here WHERE $which), 0)";
}

# One call.  through: a query for the offset, from "here", where views stand before it.
sub transaction
{
	my ($world, $partition, $view, $through) = @_;
	my $ask = ++$world->{asks};
	my $object = $view eq 'NULL' ? $world->{stream} : $view;
	my $stands = <<"END";
SELECT coalesce(v.shadow_of, v.view), v.shadow_of IS NOT NULL, p.next_offset, reader
FROM streamx.view_streams s JOIN streamx.views v USING (view) JOIN streamx.readers r USING (reader) JOIN streamx.progress p USING (reader, topic)
WHERE r.stream = $world->{stream} AND p."partition" = $partition
END

	return World::begin('') . <<"END";
INSERT INTO stood SELECT $ask, false, t.* FROM ($stands) t;
WITH here AS (SELECT * FROM stood WHERE ask = $ask) INSERT INTO asked SELECT $ask, $view, $partition, ($through);
SELECT streamx.skip($object, part, through) FROM asked WHERE ask = $ask;
INSERT INTO stood SELECT $ask, true, t.* FROM ($stands) t;
COMMIT;
END
}

# ---- what came of it ----

my $refusals = join('|',
	# documented
	'has no offset \d+ yet', 'no view of stream .* has yet to read offset', 'is not being computed anew', 'reads no partition', 'itself has yet to read offset', 'has been computed anew beyond offset',
	'is being rebuilt already', 'current transaction is aborted',
	# by other faults
	'could not ask (?:for the end|where)', 'could not create a Kafka consumer', 'relation with OID \d+ does not exist', 'canceling statement due to user request', 'terminating connection', 'server closed the connection', 'connection to server', 'the database system is');

# What a session says that it must not say.
sub complaints
{
	my ($output) = @_;

	return grep { /(?:ERROR|FATAL|PANIC):/ && !/$refusals/ } split /\n/, $output;
}

# Calls that were granted, for Ledger: partition, offset, name of the view whose rebuild it was for, and where views
# and shadows stood before and after, by the view's name: [offset, reader].
sub granted
{
	my ($world) = @_;
	my %calls;

	for (split /\n/, $world->insist(<<'END'))
SELECT ask, part, through, view::regclass FROM asked;
SELECT ask, CASE WHEN is_shadow THEN 'shadow' ELSE 'view' END || CASE WHEN is_after THEN ' after' ELSE ' before' END, view::regclass, next_offset, reader FROM stood;
END
	{
		my ($ask, @columns) = split /\|/, $_, -1;

		if (@columns == 4) { $calls{$ask}{ $columns[0] }{ $columns[1] } = [ @columns[ 2, 3 ] ]; }
		else { @{ $calls{$ask} }{qw(partition through view)} = @columns; }
	}
	return map { $calls{$_} } sort { $a <=> $b } keys %calls;
}

1;
