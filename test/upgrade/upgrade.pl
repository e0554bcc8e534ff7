# From one major version of PostgreSQL to the next, by pg_upgrade and by a dump: views go on where
# they stood, or say that they need to be rebuilt; see test/run/check-upgrade
#
# STREAMX_SERVERS names the installations, oldest first: /directory/of/15 /directory/of/17 ...

use strict;
use warnings;

use Kinds;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my @servers = split ' ', $ENV{STREAMX_SERVERS} // '';
plan skip_all => 'STREAMX_SERVERS names no installations' unless @servers > 1;

my $broker = StreamX::Broker->new(orders => 2);
my $address = $broker->address;
my $sent = 0;
my $counted = q{SELECT (SELECT count FROM totals) + (SELECT count(*) FROM streamx.dead_letters)};

# Aggregates whose states an upgrade may not carry, each in a view of a stream of its own: what PostgreSQL
# changed (interval: with 17), what other extensions make, and what is kept by its inputs instead
my %delicate = (
	spans => 'sum(n * interval \'1 hour\')', mean_spans => 'avg(n * interval \'1 hour\')', distinct_hll => 'round(hll_cardinality(hll_add_agg(hll_hash_integer(n))))',
	listed => 'array_agg(n)', joined => q{string_agg(n::text, ',')}, greatest => 'max(n)', several => 'count(DISTINCT n)', bits => 'bit_xor(n)');

sub major { my ($path) = @_; return $path =~ m{/(\d+)$} ? $1 : die "no major version in $path"; }

# A new cluster of an installation
sub cluster
{
	my ($name, $path) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name, install_path => $path);

	$node->init(extra => [ '--locale=C', '--encoding=UTF8', major($path) >= 18 ? '--no-data-checksums' : () ]);
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'streamx'\nmax_worker_processes = 24\nfsync = off\nlog_line_prefix = '%m [%p] %b %q%a '\n");
	return $node;
}

sub send_more { my ($n) = @_; send_orders($broker, $sent + 1 .. $sent + $n); $sent += $n; }

# What a copy of the views does, however it came about
sub goes_on
{
	my ($node, $database, $before, $title) = @_;
	my $view_state = q{SELECT DISTINCT state FROM streamx.stat_views WHERE stream = 'orders'::regclass};

	is($node->safe_psql($database, $view_state), 'paused as a copy', "$title: waits");
	is(rows_of($node, $database), $before, "$title: shows the same");
	$node->safe_psql($database, q{SELECT streamx.resume('orders')});
	$node->safe_psql($database, q{CALL streamx.wait_for('orders', '60 s')});
	is($node->safe_psql($database, $counted), $sent, "$title: reads on, every message once");
	is(differences($node, $database), '', "$title: verify agrees");
}

# Views that need to be rebuilt say so, wherever one meets them, and break no others
sub is_honest
{
	my ($node, $database, $expected, $title) = @_;
	my %needs = map { $_ => 1 } split / /, $expected;

	is($node->safe_psql($database, q{SELECT string_agg(view::text, ' ' ORDER BY view::text COLLATE "C") FROM streamx.stat_views WHERE state = 'needs rebuild'}), $expected, "$title: what needs to be rebuilt");
	for my $view (sort keys %delicate)
	{
		my ($status, undef, $error) = $node->psql($database, "INSERT INTO of_$view VALUES (77)");

		if ($needs{$view})
		{
			# where the type of a state has changed, there are no relations to be rebuilt
			my $hint = $view =~ /spans/ ? qr/create it anew/ : qr/streamx\.rebuild/;

			like($error, qr/continuous view "$view" needs to be rebuilt.*\n.*DETAIL:.*\n.*HINT:.*$hint/, "$title: $view takes no rows");
			$node->psql($database, "TABLE $view", stderr => \$error);
			# sum(interval) had no final function: what was kept is the result
			$view eq 'spans' ? is($error, '', "$title: $view can be read") : like($error, qr/streamx\.rebuild/, "$title: $view cannot be read");
			next;
		}
		is($status, 0, "$title: $view takes rows") or diag $error;
		is($node->safe_psql($database, "SELECT * FROM streamx.verify('$view')"), '', "$title: $view is right");
	}
}

sub drops_leave_nothing
{
	my ($node, $database, $title) = @_;

	$node->safe_psql($database, 'SET client_min_messages = error; DROP SERVER kafka CASCADE; ' . join('; ', map { "DROP FOREIGN TABLE of_$_ CASCADE" } keys %delicate));
	is($node->safe_psql($database, q{SELECT relname FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relname ~ '^v\d|_log$'}), '', "$title: drops leave nothing");
}

# What cannot be gone on with between two versions
sub lost
{
	my ($from, $to) = @_;

	return join(' ', 'distinct_hll', $from < 17 && $to >= 17 ? ('mean_spans', 'spans') : ());
}

# By pg_upgrade, into a new cluster
sub upgrade
{
	my ($old, $new) = @_;

	$old->stop;
	chdir $PostgreSQL::Test::Utils::tmp_check or die;
	command_ok([ $new->config_data('--bindir') . '/pg_upgrade', '-b', $old->config_data('--bindir'), '-B', $new->config_data('--bindir'), '-d', $old->data_dir, '-D', $new->data_dir, '-U', scalar(getpwuid($>)),
		'-p', $old->port, '-P', $new->port, '-s', $new->host ], 'pg_upgrade ' . $old->name . ' to ' . $new->name);
	die 'pg_upgrade failed' unless Test::More->builder->is_passing;
}

# By a dump that the new version makes, into a database of the new cluster
sub dump_restore
{
	my ($old, $new, $database) = @_;
	my $bin = $new->config_data('--bindir');
	my $dump = "$PostgreSQL::Test::Utils::tmp_check/$database.dump";

	command_ok([ "$bin/pg_dump", '-Fc', '-f', $dump, $old->connstr('postgres') ], "pg_dump for $database");
	$new->safe_psql('postgres', "CREATE DATABASE $database");
	command_ok([ "$bin/pg_restore", '-e', '-j', '2', '-d', $new->connstr($database), $dump ], "pg_restore of $database");
}

# Given the oldest version, with views of every kind
my @majors = map { major($_) } @servers;
my $first = cluster("of_$majors[0]", $servers[0]);

$first->start;
$first->safe_psql('postgres', "CREATE EXTENSION streamx; CREATE EXTENSION hll; CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address')");
make_views($first);
$first->safe_psql('postgres', "SET client_min_messages = error; CREATE FOREIGN TABLE of_$_ (n int) SERVER streamx OPTIONS (retain 'on');
	CREATE VIEW $_ WITH (streamx.continuous) AS SELECT n % 2 AS odd, $delicate{$_} AS value FROM of_$_ GROUP BY 1;
	INSERT INTO of_$_ SELECT * FROM generate_series(1, 40)") for sort keys %delicate;
send_more(300);
caught_up($first, 'orders');

my $old = $first;

# Straight to the newest, too
if (@servers > 2)
{
	my $before = rows_of($first, 'postgres');
	my $last = cluster('leap', $servers[-1]);

	$last->start;
	dump_restore($first, $last, 'leap');
	send_more(50);
	goes_on($last, 'leap', $before, "dump of $majors[0] to $majors[-1]");
	is_honest($last, 'leap', lost($majors[0], $majors[-1]), "dump of $majors[0] to $majors[-1]");
	$last->stop;
}
$old->stop;
for my $i (1 .. $#servers)
{
	my $path = $servers[$i];
	my $step = "$majors[$i - 1] to $majors[$i]";

	# When it is dumped, restored and upgraded
	$old->start;
	caught_up($old, 'orders');
	my $before = rows_of($old, 'postgres');
	my $new = cluster("of_$majors[$i]", $path);
	my $restored = cluster("restored_$majors[$i]", $path);

	$restored->start;
	dump_restore($old, $restored, 'restored');
	upgrade($old, $new);
	$new->start;
	eventually($new, q{SELECT is_copy FROM streamx.streams WHERE stream = 'orders'::regclass}, 't', "$step: streams are paused");

	# Then both go on
	send_more(300);
	goes_on($restored, 'restored', $before, "dump of $step");
	is_honest($restored, 'restored', lost($majors[$i - 1], $majors[$i]), "dump of $step");
	drops_leave_nothing($restored, 'restored', "dump of $step");
	$restored->stop;
	goes_on($new, 'postgres', $before, "pg_upgrade of $step");
	is_honest($new, 'postgres', lost($majors[$i - 1], $majors[$i]), "pg_upgrade of $step");
	unlike(slurp_file($new->logfile), qr/(FATAL|PANIC|TRAP|terminated by signal)/, "$step: no process ends");

	# What the errors say to do makes all well again
	for my $view (split / /, lost($majors[$i - 1], $majors[$i]))
	{
		if ($view =~ /spans/)
		{
			like(($new->psql('postgres', "SELECT streamx.rebuild('$view')"))[2], qr/HINT:.*create it anew/, "$step: $view cannot be rebuilt in place");
			$new->safe_psql('postgres', "DROP VIEW $view; CREATE VIEW $view WITH (streamx.continuous) AS SELECT n % 2 AS odd, $delicate{$view} AS value FROM of_$view GROUP BY 1");
		}
		else
		{
			$new->safe_psql('postgres', "SELECT streamx.rebuild('$view')");
		}
		$new->safe_psql('postgres', "INSERT INTO of_$view VALUES (78)");
		is($new->safe_psql('postgres', "SELECT * FROM streamx.verify('$view')"), '', "$step: $view is right again");
	}
	$new->stop;
	$old = $new;
}
$old->start;
drops_leave_nothing($old, 'postgres', 'after all upgrades');
$old->stop;
$broker->stop;
done_testing();
