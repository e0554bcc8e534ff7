# Whether views show what was delivered: O1 (streamx.verify) and O2, by the ledger's own arithmetic.
#
# O2, of each view and partition, for the records below the committed offset:
#
#	delivered = counted + late with "counted" false + dead + skipped + filtered + in no window
#
# Which rows came too late depends on how batches were cut, and which were skipped on where
# views stood when somebody asked, so that is read from the engine; that it may be so, and all
# else, follows from the records and from what was asked: a view skips each offset once, none
# that nobody let it skip, and all that it must.  Skips are a view's, dead letters of the
# stream are its reader's; a reader that joins another has refused the same, so of what
# a view skipped its reader has none.
package Oracle;

use strict;
use warnings;

use Ledger;

use constant ALL => 9e15;

# Compare everything in one snapshot, while the stream goes on or not.  Returns
# the number of checks and a list of differences; undef when the server went away.
sub check
{
	my ($node, $ledger, @views) = @_;
	my $engine = read_engine($node, @views) // return;
	my $checks = 0;
	my @differences;

	for my $view (@views)
	{
		my ($n, @wrong) = compare($ledger, $engine, $view);

		$checks += 1 + $n;
		push @differences, map { $view->label . ": $_" } @wrong, @{ $engine->{verify}{ $view->label } // [] };
	}
	return ($checks, @differences);
}

# ---- what the engine says ----

sub read_engine
{
	my ($node, @views) = @_;
	my $names = join(', ', map { "'" . $_->label . "'::regclass" } @views);
	my $labels = join(', ', map { $_->label } @views);
	my $refused = Ledger::seconds_of('refused_through');
	my @queries = (
		# of the rows that it began with: what came later belongs to the next check
		"SELECT 'progress', view::text, partition, greatest(p.start_offset, coalesce(vs.start_offset, 0)), p.next_offset
			FROM streamx.view_streams v JOIN streamx.progress p USING (reader)
			LEFT JOIN streamx_internal.view_start vs USING (view, partition) WHERE view IN ($names)",
		"SELECT 'late', view::text, coalesce(partition, 0), row->>'seq', $refused, counted FROM streamx.late_rows WHERE view IN ($names)",
		"SELECT 'dead', view::text, coalesce(partition, 0), row->>'seq' FROM streamx.dead_letters WHERE view IN ($names)",
		"SELECT 'skip', view::text, partition, from_offset, to_offset, reason FROM streamx.skips WHERE view IN ($names)",
		"SELECT 'refused', v.view::text, coalesce(d.partition, 0), d.\"offset\" FROM streamx_internal.dead_letter d JOIN streamx.view_streams v USING (reader)
			WHERE d.view IS NULL AND v.view IN ($names)",
		'SELECT \'removed\', view::text, ' . Ledger::seconds_of('removed_through') . " FROM streamx_internal.removal WHERE view IN ($names)",
		map { my $label = $_->label; my $sums = $_->sums; ("SELECT 'shown', '$label', * FROM ($sums) t", "SELECT 'verify', '$label', * FROM streamx.verify('$label') LIMIT 3") } @views);
	my ($status, $output, $errors) = eval { $node->psql('postgres',
		join(";\n", 'SET client_min_messages = error', 'BEGIN ISOLATION LEVEL REPEATABLE READ',
			# lock first, then snapshot: a shadow that takes a view's place in between would have other late rows
			"LOCK TABLE $labels IN ACCESS SHARE MODE", @queries, 'COMMIT'), on_error_die => 0) };
	my %engine = map { $_ => {} } qw(progress late dead skip refused removed shown verify);

	if (($status // 2) != 0)
	{
		die "could not look: $errors" unless ($status // 2) == 2 || $errors =~ /starting up|shutting down|terminating connection|crash of another/;
		return;
	}
	for (split /\n/, $output)
	{
		my ($what, $view, @columns) = split /\|/, $_, -1;

		if ($what eq 'verify') { push @{ $engine{verify}{$view} }, join('|', 'verify', @columns); }
		elsif ($what eq 'removed') { $engine{removed}{$view} = $columns[0] eq '-Infinity' ? -(ALL) : $columns[0]; }
		elsif ($what eq 'progress' || $what eq 'shown') { $engine{$what}{$view}{ $columns[0] } = [ @columns[ 1, 2 ] ]; }
		elsif ($what eq 'skip') { push @{ $engine{skip}{$view}{ $columns[0] } }, [ @columns[ 1 .. 3 ] ]; }
		elsif ($what eq 'late') { $engine{late}{$view}{ $columns[1] } = [ $columns[2], $columns[3] eq 't' ]; }
		else { $engine{$what}{$view}{ $columns[0] }{ $columns[1] }++; }
	}
	return \%engine;
}

# ---- what must be ----

# The number of comparisons, and what differs.
sub compare
{
	my ($ledger, $engine, $view) = @_;
	my $label = $view->label;
	my %sum = (n => 0, s => 0);
	my @wrong;
	my $checks = 0;

	for my $partition (0 .. $ledger->partitions - 1)
	{
		my ($n, $s, @strange) = partition($ledger, $engine, $view, $partition);
		my $shown = $engine->{shown}{$label}{$partition} // [ 0, 0 ];

		push @wrong, map { "partition $partition: $_" } @strange;
		$checks += 2;
		$sum{n} += $n;
		$sum{s} += $s;
		next if $view->{no_parts};
		push @wrong, "partition $partition: shows n=$shown->[0] s=$shown->[1] instead of n=$n s=$s" if $shown->[0] != $n || $shown->[1] != $s;
	}
	if ($view->{no_parts})
	{
		my $shown = $engine->{shown}{$label}{-1} // [ 0, 0 ];

		push @wrong, "shows n=$shown->[0] s=$shown->[1] instead of n=$sum{n} s=$sum{s}" if $shown->[0] != $sum{n} || $shown->[1] != $sum{s};
	}
	return ($checks, @wrong);
}

# One partition's sums, and what the engine says of its records that cannot be.
sub partition
{
	my ($ledger, $engine, $view, $partition) = @_;
	my $label = $view->label;
	my ($first, $next) = @{ $engine->{progress}{$label}{$partition} // [ 0, 0 ] };
	my $records = $ledger->records($partition);
	my $late = $engine->{late}{$label} // {};
	my $dead = $engine->{dead}{$label}{$partition} // {};
	my $refused = $engine->{refused}{$label}{$partition} // {};
	my $removed = $engine->{removed}{$label} // -(ALL);
	my ($n, $s) = (0, 0);
	my ($nrefused, $ndead) = (0, 0);
	my ($is_skipped, @wrong) = skipped($ledger, $label, $partition, $first, $next, @{ $engine->{skip}{$label}{$partition} // [] });

	return (0, 0, "has read to offset $next of " . @$records) if $next > @$records;
	for my $offset ($first .. $next - 1)
	{
		my $record = $records->[$offset];
		my $seq = $record->{seq};
		my $times;

		if ($is_skipped->{$offset})
		{
			push @wrong, "record $seq is skipped, but late" if $late->{$seq};
			next;
		}
		if ($record->{fate} eq 'stream')
		{
			push @wrong, "offset $offset has " . ($refused->{$offset} // 0) . ' dead letters'
				if !$ledger->is_unordered && ($refused->{$offset} // 0) != 1;
			$nrefused++;
			next;
		}
		if ($dead->{$seq})
		{
			$ndead++;
			push @wrong, "record $seq is a dead letter of the view $dead->{$seq} times" if $dead->{$seq} > 1;
			push @wrong, "record $seq is a dead letter without a reason" unless $view->is_unreadable($record) || $view->fails($record);
			next;
		}
		if ($view->is_unreadable($record))
		{
			push @wrong, "record $seq cannot be read, but is no dead letter";
			next;
		}
		next unless $view->passes($record);
		$times = times_counted($view, $record, $late->{$seq}, $removed, \@wrong);
		push @wrong, "record $seq makes the view fail, but is no dead letter" if $times > 0 && $view->fails($record);
		$n += $times;
		$s += $times * $seq;
	}
	push @wrong, 'other messages are dead letters of the stream' if $nrefused != grep { $_ >= $first && $_ < $next } keys %$refused;
	push @wrong, 'other records are dead letters of the view' if $ndead != keys %$dead;
	return ($n, $s, @wrong);
}

# Which offsets a view skipped, by ranges of first, end and reason, and what of them cannot be.  Nothing is under way.
sub skipped
{
	my ($ledger, $label, $partition, $first, $next, @ranges) = @_;
	my %is_skipped;
	my @wrong;

	for (@ranges)
	{
		my ($from, $to, $reason) = @$_;

		push @wrong, "skips offsets $from to before $to, $reason, of $first to before $next" if $reason ne 'asked' || $from >= $to || $from < $first || $to > $next;
		for my $offset ($from .. $to - 1)
		{
			push @wrong, "skips offset $offset twice" if $is_skipped{$offset}++;
			push @wrong, "skips offset $offset, and nobody asked for that" unless $ledger->may_skip($label, $partition, $offset);
		}
	}
	push @wrong, map { "does not skip offset $_" } grep { !$is_skipped{$_} } $ledger->must_skip($label, $partition);
	return (\%is_skipped, @wrong);
}

# In how many windows, that are still there, a record counts.
sub times_counted
{
	my ($view, $record, $late, $removed, $wrong) = @_;
	my @ends = $view->ends($record->{at});
	my ($refused_through, $is_counted) = $late ? @$late : (-(ALL), 1);
	my @taken = $view->knows_windows ? grep { $_ > $refused_through } @ends : $is_counted ? @ends : ();

	push @$wrong, "record $record->{seq} is late through $refused_through, counted is " . ($is_counted ? 'true' : 'false')
		if $late && (@ends == 0 || (@taken == 0) == $is_counted || @taken == @ends);
	return $view->{sets} * grep { !defined $_ || $_ > $removed } @taken;
}

1;
