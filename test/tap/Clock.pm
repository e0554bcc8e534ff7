# A clock of the server's that can be set, where libfaketime is there.
#
#	my $clock = Clock->new or plan skip_all => 'libfaketime is not here';
#	my $node = $clock->with(sub { streamx_node('clock') });
#	$clock->set('+7200');
package Clock;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;

# undef without the library.
sub new
{
	my ($class) = @_;
	my ($library) = glob('/usr/lib/*/faketime/libfaketimeMT.so.1') or return undef;
	my $self = bless { library => $library, file => PostgreSQL::Test::Utils::tempdir() . '/clock' }, $class;

	$self->set('+0');
	return $self;
}

# Seconds ahead of the true time.  A process that reads the file must find it whole: of an
# empty one libfaketime 0.9.12 makes exit(), and that hangs, with all locks that it holds.
sub set
{
	my ($self, $ahead) = @_;

	write_whole($self->{file}, "$ahead\n");
}

# Do what starts a server, which has this clock for as long as it runs.  The times of files are true: to fake them
# libfaketime takes a semaphore that all processes share, and whoever is killed then has it for ever.
sub with
{
	my ($self, $do) = @_;

	return preloading($self->{library}, { FAKETIME_TIMESTAMP_FILE => $self->{file}, FAKETIME_DONT_FAKE_MONOTONIC => 1, FAKETIME_NO_CACHE => 1, NO_FAKE_STAT => 1 }, $do);
}

1;
