# A topic of numbers from 1 up, the odd ones in partition 1, and views that tell whether each was counted once.
#
#	my $broker = StreamX::Broker->new(orders => 2);
#	my $numbers = Numbers->new($node, $broker);		# makes the stream and its views
#	$numbers->send_more(100);
#	$numbers->count_once('after a crash');			# waits for them: several tests
package Numbers;

use strict;
use warnings;

use StreamX;
use Test::More;

# In a server that has server kafka.
sub new
{
	my ($class, $node, $broker) = @_;

	$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*) AS n, count(DISTINCT n) AS numbers, sum(n) FROM orders;
CREATE VIEW parities WITH (streamx.continuous) AS SELECT n % 2 AS parity, count(*), sum(n) FROM orders GROUP BY 1;
END
	return bless { node => $node, broker => $broker, sent => 0 }, $class;
}

sub sent { return $_[0]{sent}; }

sub send_more
{
	my ($self, $n) = @_;

	for my $partition (0, 1)
	{
		$self->{broker}->produce('orders', $partition, map { qq({"n": $_}) } grep { $_ % 2 == $partition } $self->{sent} + 1 .. $self->{sent} + $n);
	}
	$self->{sent} += $n;
}

# One, to a partition whatever its parity.
sub send_next
{
	my ($self, $partition) = @_;

	$self->{sent}++;
	$self->{broker}->produce('orders', $partition, qq({"n": $self->{sent}}));
}

sub count_once
{
	my ($self, $title) = @_;
	my ($node, $sent) = @$self{qw(node sent)};

	caught_up($node, 'orders');
	shows($node, 'SELECT n, numbers, sum FROM total', join('|', $sent, $sent, $sent * ($sent + 1) / 2), "$title: each message counts once");
	verified($node, $_) for qw(total parities);
}

1;
