# A probe that has done its work and not ended yet: who drops its database waits for it, even if by force

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;

use PostgreSQL::Test::Utils;
use StreamX;
use Sweep;
use Test::More;

my $sweep = Sweep->new;
my $node = $sweep->node;
my $hit = "$sweep->{directory}/after-probe.hit";

$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', q{CREATE EXTENSION streamx; CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '127.0.0.1:1')});

# One in that database; there may be others still under way
for (1 .. 20)
{
	$sweep->arm('after-probe', '1 worker wait');
	$sweep->provoke('after-probe', 'a probe', sub { $node->safe_psql('other', q{ALTER SERVER kafka OPTIONS (SET bootstrap_servers '127.0.0.1:1')}) });
	chomp(my $pid = slurp_file($hit));
	last if $node->safe_psql('postgres', "SELECT datname FROM pg_stat_activity WHERE pid = $pid") eq 'other';
	unlink $hit;
}
ok(-e $hit, 'a probe waits');

my $dropper = $node->background_psql('postgres');

$dropper->query_until(qr/dropping/, "\\echo dropping\nDROP DATABASE other WITH (FORCE);\n\\echo dropped\n");
ok($node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = 'other') OR EXISTS (SELECT FROM pg_stat_activity WHERE query LIKE 'DROP DATABASE%' AND wait_event_type = 'Extension')}), 'so does who drops its database');
unlink $hit;
$dropper->query_until(qr/dropped/, '');
$dropper->quit;
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_database WHERE datname = 'other'}), '0', 'it is dropped');
is(join("\n", grep { / streamx probe .*(?:ERROR|FATAL):/ } split /\n/, slurp_file($node->logfile)), '', 'the probe ended in peace');
$sweep->is_complete('probe');
$node->stop;
done_testing();
