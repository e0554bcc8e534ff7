# What the documentation shows is what a user gets: each ```sql block runs, in
# order and in a session of its own, and prints the ```text block after it.
# Blocks with more on their first line, like ```sql kafka, do not run.
# docs/administration.md has a test of its own: test/kafka/administration.pl

use strict;
use warnings;

use Cwd 'abs_path';
use Examples;
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $top = dirname(dirname(dirname(abs_path(__FILE__))));
my $node = streamx_node('docs', settings => [ "timezone = 'UTC'", "datestyle = 'ISO, YMD'" ]);

# Each document in a database of its own
for my $file ('README.md', 'docs/semantics.md', 'docs/aggregates.md', 'docs/runbooks.md')
{
	my $database = lc(basename($file, '.md'));
	my @examples = examples("$top/$file", 'sql');

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION streamx');
	ok(scalar(@examples), "$file has examples");
	check($file, $database, $_) for @examples;
}

# Run one: a test that it succeeds, or prints what is shown, an error included.
sub check
{
	my ($file, $database, $example) = @_;
	my $title = "$file:$example->{line}";
	my ($output, $succeeded) = run_psql($database, $example->{code});

	if (defined $example->{output})
	{
		is($output, trimmed($example->{output}), "$title: shows what it says");
	}
	else
	{
		ok($succeeded, "$title: runs") or diag($output);
	}
}

# psql as a user sees it, less the footers: what it prints, and whether all went well.
sub run_psql
{
	my ($database, $sql) = @_;
	my $output = '';
	my $succeeded = IPC::Run::run(
		[ 'psql', '-X', '-q', '-P', 'footer=off', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database) ],
		'<', \$sql, '>&', \$output);

	return (trimmed($output), $succeeded);
}

$node->stop;
done_testing();
