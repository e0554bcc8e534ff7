# Who runs which query, how often, over how many orders.
package Plan;
use strict;
use warnings;

use Exporter qw(import);

use Contestant;
use Shape;

our @EXPORT = qw(make_plan topics);

# races: [query, contestants], each with a count of events of its own if it has one.  streamx goes
# before n2, which gets its size of batches.
my @all = qw(r0 r1 r2 streamx n2);
my @alone = (map { [ $_, ['streamx'] ] } qw(hop-1 hop-5 hop-600 session-10k short-session-10k views-5 views-20 views-20-keys count distinct-100k distinct-approx));
my @jvm = qw(flink-tvf flink-group kafka-streams);
my @nexmark = (
	(map { [ $_, [qw(streamx flink-tvf flink-tvf-rocksdb)] ] } qw(q5 q8 q11 q12)), [ 'q17', [qw(streamx flink-group flink-group-rocksdb)] ],
	map { [ $_, ['streamx'] ] } qw(q5-disordered q8-disordered q11-disordered q17-disordered));
my @more_jvm = qw(flink-tvf-rocksdb flink-tvf-discard flink-group-discard kafka-streams-local kafka-streams-discard);
my %plans = (
	quick => { count => 1_000_000, runs => 2, races => [ map { [ $_, [qw(r2 streamx n2)] ] } qw(tumble-10 tumble-10k hop-60) ] },
	standard => {
		count => 2_000_000, runs => 3, follows => [qw(streamx n2)], seconds => 10, reads => 1,
		races => [
			[ 'tumble-10', \@all ], [ 'tumble-10k', [ qw(r2 streamx n2 n2-windows streamx-2), @jvm ] ], [ 'hop-60', [qw(r2 streamx n2)] ],
			[ 'tumble-1m', [qw(r2 streamx n2 n2-windows)] ], @alone, (map { [ $_, ['streamx'], 1_000_000 ] } qw(q5 q17)),
			[ 'tumble-10', [qw(n1 trigger-row trigger-statement)], 100_000 ] ] },
	full => {
		count => 20_000_000, runs => 5, follows => [qw(streamx n2)], seconds => 30, reads => 1,
		races => [
			(map { [ $_, [ @all, 'n2-windows', 'streamx-2', 'streamx-1g', @jvm, @more_jvm ] ] } qw(tumble-10 tumble-10k tumble-1m)), [ 'hop-60', [qw(r2 streamx n2)] ],
			# an update for each of 60 windows takes them 30 to 50 times as long
			[ 'hop-60', \@jvm, 2_000_000 ],
			@alone, @nexmark, (map { [ $_, [qw(n1 trigger-row trigger-statement)], 1_000_000 ] } qw(tumble-10 tumble-10k)) ] });

# The plan of that name with the command line's changes.
sub make_plan
{
	my (%option) = @_;
	my $plan = $plans{ $option{plan} } // die "no such plan: $option{plan}\n";
	my %queries = map { shape_named($_)->{name} => 1 } split /,/, $option{queries} // join(',', map { $_->{name} } shapes());
	my %names = map { contestant_named($_)->{name} => 1 } split /,/, $option{contestants} // join(',', map { $_->{name} } contestants());

	$plan->{count} = $option{count} if $option{count};
	$plan->{runs} = $option{runs} if $option{runs};
	$plan->{races} = [ grep { $queries{ $_->[0] } } @{ $plan->{races} } ];
	$_->[1] = [ grep { $names{$_} } @{ $_->[1] } ] for @{ $plan->{races} };
	$plan->{races} = [ grep { @{ $_->[1] } } @{ $plan->{races} } ];
	return $plan;
}

# The topics that the races need, each with its races.
sub topics
{
	my ($plan) = @_;
	my (@topics, %topic_of);

	for my $race (@{ $plan->{races} })
	{
		my ($name, $contestants, $count) = @$race;
		my $shape = shape_named($name);

		$count = $plan->{count} if !$count || $count > $plan->{count};
		my $kind = $shape->{topic} // 'orders';
		my $topic = $topic_of{"$kind $shape->{groups} $count"} //= { kind => $kind, groups => $shape->{groups}, count => $count, races => [] };
		push @topics, $topic unless @{ $topic->{races} };
		push @{ $topic->{races} }, { shape => $shape, contestants => [ map { contestant_named($_) } @$contestants ] };
	}
	return @topics;
}

1;
