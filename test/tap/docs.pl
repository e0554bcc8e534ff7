# What the documentation shows is what a user gets: each ```sql block runs, in
# order and in a session of its own, and prints the ```text block after it.
# Blocks with more on their first line, like ```sql kafka, do not run.

use strict;
use warnings;

use Cwd 'abs_path';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $top = dirname(dirname(dirname(abs_path(__FILE__))));
my $node = streamx_node('docs', settings => [ "timezone = 'UTC'", "datestyle = 'ISO, YMD'" ]);

# Each document in a database of its own
for my $file ('README.md', 'docs/semantics.md', 'docs/aggregates.md', 'docs/runbooks.md', 'docs/administration.md')
{
	my $database = lc(basename($file, '.md'));
	my @examples = examples("$top/$file");

	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION streamx');
	ok(scalar(@examples), "$file has examples");
	check($file, $database, $_) for @examples;
}

# The examples of a document: line, sql and, unless nothing is said about it, output.
sub examples
{
	my ($path) = @_;
	my (@examples, $block, $is_next);

	open(my $document, '<:encoding(UTF-8)', $path) or die "$path: $!";
	while (my $line = <$document>)
	{
		if (defined $block)
		{
			$block = undef if $line =~ /^```$/;
			$$block .= $line if defined $block;
		}
		elsif ($line =~ /^```sql$/)
		{
			push @examples, { line => $., sql => '' };
			$block = \$examples[-1]{sql};
			$is_next = 1;
		}
		elsif ($line =~ /^```text$/)
		{
			die "$path:$.: the output of no example" unless $is_next;
			$examples[-1]{output} = '';
			$block = \$examples[-1]{output};
			$is_next = 0;
		}
		elsif ($line =~ /^```/)
		{
			$block = \my $other;
			$is_next = 0;
		}
		elsif ($line =~ /\S/)
		{
			$is_next = 0;
		}
	}
	return @examples;
}

# Run one: a test that it succeeds, or prints what is shown, an error included.
sub check
{
	my ($file, $database, $example) = @_;
	my $title = "$file:$example->{line}";
	my ($output, $succeeded) = run_psql($database, $example->{sql});

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

# Without white space at the ends of lines, and empty lines at the end.
sub trimmed
{
	my ($text) = @_;

	$text =~ s/[ \t]+$//mg;
	$text =~ s/\n+\z//;
	return $text;
}

$node->stop;
done_testing();
