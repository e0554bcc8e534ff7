# A TCP proxy between streamx and a broker, which knows as much of Kafka's protocol as it takes to stay in
# between, and to do harm at a chosen place.
#
#	my $proxy = Proxy->new($broker->address);
#	... OPTIONS (bootstrap_servers '${\ $proxy->address}') ...
#	$proxy->tell('hole');			# nothing comes through any more, and no connection is closed; 'flow' ends it
#	$proxy->tell('slow 300');		# of each answer one half comes after 150 ms, the other after 300
#	$proxy->tell('cut 3 "n": 7');	# of the next 3 answers to Fetch that contain this one half comes, then an end
#	$proxy->tell('flip 3 "n": 7');	# in them the last byte of this is one bit another
#	$proxy->tell('noise 3 "n": 7');	# of them the length is right, and the rest is noise
#	$proxy->tell('forge 3 "n": 7');	# as flip, but the checksum is that of the other record
#	$proxy->count('Fetch');			# requests so far; also 'client NAME' (its requests), 'connected', 'harm',
#									# 'given up' (connections, by the client), 'given up NAME' (by that one)
#
# Brokers tell clients where they are, so in answers to Metadata the broker's port is replaced by our own.  One
# broker on 127.0.0.1.  It is a process of its own, and ends with the object or with whoever made it.
package Proxy;

use strict;
use warnings;

use Errno;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket;
use Time::HiRes qw(time);

my %apis = (0 => 'Produce', 1 => 'Fetch', 2 => 'ListOffsets', 3 => 'Metadata', 18 => 'ApiVersions');

sub new
{
	my ($class, $address) = @_;
	my $listening = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1') or die "proxy: $!";
	my ($port) = $address =~ /^127\.0\.0\.1:(\d+)$/ or die "proxy: no single broker on 127.0.0.1: $address";

	socketpair(my $control, my $far, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "proxy: $!";
	defined(my $pid = fork) or die "proxy: $!";
	if ($pid == 0)
	{
		close($control);
		$SIG{$_} = 'DEFAULT' for qw(TERM INT ALRM);
		$SIG{PIPE} = 'IGNORE';
		eval { Proxy::Server->new($listening, $port, $far)->run; 1 } or print STDERR "proxy: $@";
		POSIX::_exit(0);	# nothing of the test's is ours to clean up
	}
	close($far);
	$control->autoflush(1);
	return bless { pid => $pid, owner => $$, control => $control, address => '127.0.0.1:' . $listening->sockport }, $class;
}

sub address { return $_[0]->{address}; }

# When this returns, what comes from now on is treated so.
sub tell
{
	my ($self, $command) = @_;
	my $answer;

	print { $self->{control} } "$command\n";
	$answer = readline($self->{control}) // die 'the proxy is gone';
	chomp($answer);
	die "proxy: $command: $answer" if $answer =~ /^error/;
	return $answer;
}

sub count { my ($self, $what) = @_; return $self->tell("count $what"); }

# Wait until something was counted so often.
sub wait_until
{
	my ($self, $what, $least) = @_;

	for (1 .. 1800)
	{
		return 1 if $self->count($what) >= $least;
		select(undef, undef, undef, 0.05);
	}
	return 0;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid};

	return unless defined $pid && $self->{owner} == $$;
	close($self->{control});
	waitpid($pid, 0);
}

sub DESTROY { my ($self) = @_; local ($?, $@, $!); eval { $self->stop }; }

# ---- the process ----

package Proxy::Server;

use strict;
use warnings;

use Time::HiRes qw(time);

sub new
{
	my ($class, $listening, $port, $control) = @_;

	$control->autoflush(1);
	return bless {
		listening => $listening, port => $port, control => $control, asked => '', links => [],
		is_hole => 0, delay => 0, harm => undef, harms_left => 0, pattern => undef, counts => {},
	}, $class;
}

sub run
{
	my ($self) = @_;

	while ($self->step) { }
}

# Wait for something, and see to it; false at the end.
sub step
{
	my ($self) = @_;
	my $readable = IO::Select->new($self->{listening}, $self->{control});
	my $writable = IO::Select->new;
	my $wait = 10;
	my ($can_read, $can_write);

	for my $link (@{ $self->{links} })
	{
		for my $side (qw(client broker))
		{
			my $queue = $link->{queue}{$side};

			$readable->add($link->{$side});
			next if $self->{is_hole} || !@$queue;
			my $left = $queue->[0][0] - time;
			$left <= 0 ? $writable->add($link->{$side}) : ($wait = $left < $wait ? $left : $wait);
		}
	}
	($can_read, $can_write) = IO::Select->select($readable, $writable, undef, $wait);
	$self->send_to($_) for @{ $can_write // [] };
	for my $socket (@{ $can_read // [] })
	{
		return 0 if $socket == $self->{control} && !$self->obey;
		$self->join_ends if $socket == $self->{listening};
		$self->receive_from($socket) if $socket != $self->{control} && $socket != $self->{listening};
	}
	return 1;
}

# A client came: connect it to the broker.
sub join_ends
{
	my ($self) = @_;
	my $client = $self->{listening}->accept or return;
	my $broker = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port});

	return close($client) unless $broker;
	$_->blocking(0) for $client, $broker;
	$self->{counts}{connected}++;
	push @{ $self->{links} },
		{ client => $client, broker => $broker, got => { client => '', broker => '' }, queue => { client => [], broker => [] }, apis => {}, name => '' };
}

sub find
{
	my ($self, $socket) = @_;

	for my $link (@{ $self->{links} })
	{
		return ($link, 'client', 'broker') if $link->{client} == $socket;
		return ($link, 'broker', 'client') if $link->{broker} == $socket;
	}
	return;
}

sub part
{
	my ($self, $link) = @_;

	close($link->{$_}) for qw(client broker);
	$self->{links} = [ grep { $_ != $link } @{ $self->{links} } ];
}

sub receive_from
{
	my ($self, $socket) = @_;
	my ($link, $from, $to) = $self->find($socket) or return;
	my $got = sysread($socket, $link->{got}{$from}, 1 << 18, length $link->{got}{$from});

	return if !defined $got && ($!{EAGAIN} || $!{EINTR});
	if (!$got)
	{
		$self->{counts}{$_}++ for $from eq 'client' ? ('given up', "given up $link->{name}") : ();
		return $self->part($link);
	}
	$self->pass_on($link, $from, $to) unless $self->{is_hole};
}

# Send on what came whole: length (4 bytes), then a request or an answer.
sub pass_on
{
	my ($self, $link, $from, $to) = @_;
	my $got = \$link->{got}{$from};

	while (length $$got >= 4 && length $$got >= 4 + unpack('N', $$got))
	{
		my $frame = substr($$got, 0, 4 + unpack('N', $$got), '');

		$from eq 'client' ? $self->take_request($link, $frame) : $self->take_answer($link, $frame);
	}
}

# API key (2 bytes), its version (2), a number (4), the client's name (2, and so many).
sub take_request
{
	my ($self, $link, $frame) = @_;
	my ($key, $number, $name) = unpack('x4 n x2 N n/a', $frame);
	my $api = $apis{$key} // $key;

	$link->{apis}{$number} = $api;
	$self->{counts}{$api}++;
	$self->{counts}{"client $name"}++;
	$link->{name} = $name;
	push @{ $link->{queue}{broker} }, [ 0, $frame ];
}

# The request's number (4 bytes), then what it asked for.
sub take_answer
{
	my ($self, $link, $frame) = @_;
	my $api = delete $link->{apis}{ unpack('x4 N', $frame) } // '';
	my $queue = $link->{queue}{client};
	my $half = int(length($frame) / 2);
	my $own = pack('N', $self->{listening}->sockport);
	my $theirs = pack('N', $self->{port});

	$frame =~ s/(127\.0\.0\.1)\Q$theirs\E/$1$own/gs if $api eq 'Metadata';
	if ($api eq 'Fetch' && $self->{harms_left} > 0 && $frame =~ $self->{pattern})
	{
		my $end = $+[0];

		$self->{harms_left}--;
		$self->{counts}{harm}++;
		$frame = $self->harmed($frame, $end);
		return push @$queue, [ 0, substr($frame, 0, $half) ], [ 0, undef ] if $self->{harm} eq 'cut';
	}
	return push @$queue, [ 0, $frame ] unless $self->{delay};
	push @$queue, [ time + $self->{delay} / 2, substr($frame, 0, $half) ], [ time + $self->{delay}, substr($frame, $half) ];
}

sub harmed
{
	my ($self, $frame, $end) = @_;

	substr($frame, $end - 1, 1) ^= "\x01" if $self->{harm} eq 'flip';
	forge(\$frame, $end - 1) if $self->{harm} eq 'forge';
	substr($frame, 8) = join('', map { chr(($_ * 7919 + $self->{harms_left} * 104729) % 251) } 9 .. length $frame) if $self->{harm} eq 'noise';
	return $frame;
}

# Flip a bit of a record, and mend the checksum of its batch: offset (8 bytes), length of what follows (4), epoch (4), 2 (1),
# checksum of what follows (4).
sub forge
{
	my ($frame, $place) = @_;

	for my $start (reverse 0 .. $place - 21)
	{
		my ($length, $magic, $sum) = unpack("x$start x8 N x4 C N", $$frame);

		next unless $magic == 2 && $start + 12 + $length <= length $$frame && crc32c(substr($$frame, $start + 21, $length - 9)) == $sum;
		substr($$frame, $place, 1) ^= "\x01";
		substr($$frame, $start + 17, 4) = pack('N', crc32c(substr($$frame, $start + 21, $length - 9)));
		return;
	}
	die 'no batch of records around it';
}

sub crc32c
{
	my $sum = 0xffffffff;

	for my $byte (unpack('C*', $_[0]))
	{
		$sum ^= $byte;
		$sum = $sum & 1 ? $sum >> 1 ^ 0x82f63b78 : $sum >> 1 for 1 .. 8;
	}
	return $sum ^ 0xffffffff;
}

sub send_to
{
	my ($self, $socket) = @_;
	my ($link, $side) = $self->find($socket) or return;
	my $queue = $link->{queue}{$side};

	while (@$queue && $queue->[0][0] <= time)
	{
		return $self->part($link) unless defined $queue->[0][1];
		my $sent = syswrite($socket, $queue->[0][1]);

		return $self->part($link) unless defined $sent || $!{EAGAIN} || $!{EINTR};
		substr($queue->[0][1], 0, $sent // 0) = '';
		return if length $queue->[0][1];
		shift @$queue;
	}
}

# Do what we are told; false when there is nobody any more who could.
sub obey
{
	my ($self) = @_;
	my $answer = 'ok';

	return 0 unless sysread($self->{control}, $self->{asked}, 4096, length $self->{asked});
	while ($self->{asked} =~ s/^(.*)\n//)
	{
		my $command = $1;

		if ($command eq 'hole') { $self->{is_hole} = 1; }
		elsif ($command eq 'flow') { $self->{is_hole} = 0; $self->pass_on($_, 'client', 'broker'), $self->pass_on($_, 'broker', 'client') for @{ $self->{links} }; }
		elsif ($command =~ /^slow (\d+)$/) { $self->{delay} = $1 / 1000; }
		elsif ($command =~ /^(cut|flip|noise|forge) (\d+) (.*)$/) { @$self{qw(harm harms_left pattern)} = ($1, $2, qr/$3/); }
		elsif ($command =~ /^count (.*)$/) { $answer = $self->{counts}{$1} // 0; }
		else { $answer = 'error: unknown command'; }
		print { $self->{control} } "$answer\n";
	}
	return 1;
}

1;
