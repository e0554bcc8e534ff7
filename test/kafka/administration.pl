# Each procedure of docs/administration.md works as the page says: its commands run in the order of
# the page, those in SQL in sessions of psql in database shop, those for the shell in bash, and show what
# it shows.  Not run here: ALTER EXTENSION UPDATE and pg_upgrade from one version to another, which are those of
# extension_update.pl and upgrade.pl.
#
# What a page cannot do is done between the commands: see @scenes.

use strict;
use warnings;

use Cwd 'abs_path';
use Examples;
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $page = dirname(dirname(dirname(abs_path(__FILE__)))) . '/docs/administration.md';
my $backup = PostgreSQL::Test::Utils::tempdir();
mkdir "$backup/wal" or die $!;
my $broker = StreamX::Broker->new(orders => 2);
my $address = $broker->address;
my $node = streamx_node('administration', init => { allows_streaming => 1 },
	settings => [ "timezone = 'UTC'", "datestyle = 'ISO, YMD'", 'archive_mode = on', "archive_command = 'cp %p $backup/wal/%f'", 'streamx.max_restart_backoff = 300ms' ]);
my $server = $node; # where commands go
my $sent = 0;
my $taken = 0; # of those that are no bad messages
my ($reader, $standby);

# Orders of two hours, to both partitions in turn
sub send_orders
{
	my ($n) = @_;
	my @messages;

	for my $i ($sent + 1 .. $sent + $n)
	{
		my $second = $i * 7200 / 20000;

		push @{ $messages[$i % 2] }, sprintf('{"at": "2024-05-01T%02d:%02d:%02dZ", "item": "%s", "amount": %d}',
			10 + $second / 3600, $second / 60 % 60, $second % 60, qw(tea cake)[$i / 2 % 2], $i % 10);
	}
	$sent += $n;
	$taken += $n;
	$broker->produce('orders', $_, @{ $messages[$_] // [] }) for 0, 1;
}

sub ask
{
	my ($query) = @_;

	return $server->safe_psql('shop', $query);
}

sub ask_until_it_is
{
	my ($query, $expected, $title) = @_;

	ok($server->poll_query_until('shop', $query, $expected), $title);
}

# What happens before or after a command of a section, which is known by its first line: in the order of the page.
# Where it returns a reason, the command is left out.
my @scenes = (
	before => 'Administration', 'CREATE EXTENSION streamx;', sub {
		$node->safe_psql('postgres', 'CREATE DATABASE shop');
		send_orders(19999);
		$broker->produce('orders', 0, '{"at": "noon"}');
		return;
	},
	after => 'Monitoring', q{psql -XAt -U watcher -d shop -c 'SELECT "check", object, value, unit, action FROM streamx.health() WHERE NOT ok'}, sub {
		is($_[0], '', 'all is well');
	},
	after => 'A new view on a running stream', 'CREATE VIEW fresh WITH (streamx.continuous, streamx.start = \'latest\') AS SELECT count(*) FROM orders;', sub {
		send_orders(1);
		caught_up_in_shop();
		is(ask('SELECT count FROM fresh'), '1', 'fresh begins with what came later');
		# the mock knows no times
		is(ask('SELECT count FROM recent'), $taken, 'recent with the first message of that time') if $broker->is_real;
	},
	before => 'Bad messages', 'SELECT state, last_error FROM streamx.stat_streams WHERE stream = \'orders\'::regclass;', sub {
		$broker->produce('orders', 0, '{bad');
		send_orders(10);
		return;
	},
	after => 'Another definition', 'CREATE OR REPLACE VIEW items AS SELECT item, count(*), sum(amount) FROM orders GROUP BY 1;', sub {
		is(ask(q{SELECT string_agg(d::text, '') FROM streamx.stat_views, streamx.verify(view) d WHERE stream = 'orders'::regclass}), '', 'all views equal their batches');
	},
	before => 'Rebuild', q{SELECT streamx.rebuild('revenue');}, sub {
		$reader = $node->background_psql('shop');
		$reader->query_safe('BEGIN; SELECT count(*) FROM revenue');
		return;
	},
	after => 'Rebuild', q{SELECT streamx.cancel_rebuild('revenue');}, sub {
		is(ask('SELECT count(*) FROM streamx.stat_progress'), '0', 'the rebuild is given up');
		$reader->quit;
	},
	before => 'Rebuild', q{SELECT streamx.rebuild('revenue');}, sub {
		return 'Apache Kafka retains all' if $broker->is_real;
		# the mock keeps 5 MiB of a partition
		for (1 .. 3)
		{
			$broker->produce('orders', 0, map { '{"at": "2024-05-01T12:00:00Z", "item": "tea", "amount": 0, "filler": "' . 'x' x 900000 . '"}' } 1 .. 2);
			$taken += 2;
			caught_up_in_shop();
		}
		return;
	},
	after => 'Rebuild', q{SELECT streamx.rebuild('revenue', from_retained => true);}, sub {
		ask_until_it_is('SELECT count(*) FROM streamx.stat_progress', '0', 'it is rebuilt with what there is');
	},
	after => 'Streams and servers', 'CREATE ROLE clerk;', sub {
		send_orders(10);
		caught_up_in_shop();
		all_is_there('views that were changed go on');
	},
	after => 'Drops', 'DROP VIEW fresh, recent, tonight;', sub {
		is(ask('SELECT string_agg(view::text, \' \' ORDER BY view::text) FROM streamx.views'), 'reports.per_item revenue', 'two views are left');
	},
	after => 'Dumps', '\c shop_copy', sub {
		is($node->safe_psql('shop_copy', 'SELECT sum(count) FROM reports.per_item'), $taken, 'the restored database has read on');
	},
	before => 'Base backups and point-in-time recovery', 'SELECT pg_create_restore_point(\'before the mistake\');', sub {
		send_orders(10);
		caught_up_in_shop();
		return;
	},
	before => 'Base backups and point-in-time recovery', 'pg_ctl stop', sub {
		send_orders(10);
		caught_up_in_shop();
		return;
	},
	after => 'Base backups and point-in-time recovery', 'SELECT view, state, lag FROM streamx.stat_views ORDER BY view::text;', sub {
		caught_up_in_shop();
		all_is_there('after recovery');
	},
	before => 'Standby servers', 'SELECT view, state FROM streamx.stat_views ORDER BY view::text;', sub {
		$node->backup('base');
		$standby = PostgreSQL::Test::Cluster->new('standby');
		$standby->init_from_backup($node, 'base', has_streaming => 1);
		$standby->start;
		$server = $standby;
		return;
	},
	before => 'Standby servers', 'SELECT pg_promote();', sub {
		$node->stop;
		return;
	},
	after => 'Standby servers', 'SELECT pg_promote();', sub {
		send_orders(10);
		caught_up_in_shop();
		all_is_there('promoted');
	});

sub caught_up_in_shop { ask(q{CALL streamx.wait_for('orders', '60 s')}); }

# Each message counts once; one view can be computed again from what the topic still has.
sub all_is_there
{
	my ($title) = @_;

	is(ask('SELECT sum(count) FROM reports.per_item'), $taken, "$title: no message is lost or doubled");
	is(ask(q{SELECT * FROM streamx.verify('revenue')}), '', "$title: revenue equals its batch");
}

# Run the scene that is due, if it is about this command.
sub scene
{
	my ($when, $example, $output) = @_;
	my ($first_line) = split /\n/, $example->{code};

	return if !@scenes || $scenes[0] ne $when || $scenes[1] ne $example->{section} || $scenes[2] ne $first_line;
	return (splice @scenes, 0, 4)[3]->($output);
}

# What a terminal would show, and whether all went well.
sub run
{
	my ($example) = @_;
	my $code = $example->{code} =~ s/localhost:9092/$address/gr;
	my @command = $example->{language} eq 'sh' ? qw(bash -eu) : qw(psql -X -q -v ON_ERROR_STOP=1 -d shop);
	my $output = '';

	local $ENV{PGHOST} = $server->host;
	local $ENV{PGPORT} = $server->port;
	local $ENV{PGDATA} = $server->data_dir;
	local $ENV{BACKUP} = $backup;
	my $succeeded = IPC::Run::run(\@command, '<', \$code, '>&', \$output, init => sub { chdir $backup or die $! });

	return (trimmed($output =~ s/^\(\d+ rows?\)\n//mgr), $succeeded);
}

# Only asks, and may be asked again until the answer is the one shown.
sub is_question
{
	my ($example) = @_;

	return $example->{language} eq 'sql' && $example->{code} !~ /^(?!\\c |SELECT .* FROM )\S/m;
}

# Output as it is compared; where it varies, without numbers and the width of columns.
sub comparable
{
	my ($example, $output) = @_;

	$output =~ s/\d+/0/g, $output =~ s/--+/-/g, $output =~ s/  +/ /g if $example->{varies};
	return trimmed($output);
}

sub check
{
	my ($example) = @_;
	my $title = "$example->{section}, line $example->{line}";
	my $expected = defined $example->{output} ? comparable($example, $example->{output}) : undef;
	my ($output, $succeeded);

	for (1 .. 300)
	{
		($output, $succeeded) = run($example);
		last if !defined $expected || comparable($example, $output) eq $expected || !is_question($example);
		select(undef, undef, undef, 0.1);
	}
	if (defined $expected)
	{
		is(comparable($example, $output), $expected, "$title: shows what it says");
	}
	else
	{
		ok($succeeded, "$title: runs") or diag($output);
	}
	return $output;
}

for my $example (examples($page, 'sql', 'sh'))
{
	my $reason = scene('before', $example);
	my $output;

	SKIP:
	{
		skip $reason, 1 if $reason;
		$output = check($example);
	}
	scene('after', $example, $output);
}
is("@scenes[0 .. ($#scenes > 2 ? 2 : $#scenes)]", '', 'the page has all that is said of it here');
all_is_there('at the end');
unlike(slurp_file($_), qr/streamx (worker|launcher|probe) (ERROR|PANIC):/, 'no process came to grief') for $node->logfile, "$backup/server.log", $standby->logfile;

$standby->stop;
$broker->stop;
done_testing();
