# The examples of a document: its blocks of commands, in order, each with what it prints.
#
#	for my $example (examples('docs/runbooks.md', 'sql'))	# section, line, language, code, output, varies
#
# ```sql or ```sh begins commands, ```text right after them what they print, ```text varies such
# of which the numbers are others each time.  Commands with more on their first line, like
# ```sql kafka, are left out.
package Examples;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(examples trimmed);

# The examples of a document, of the languages asked for; output is undefined where nothing is said about it.
sub examples
{
	my ($path, @languages) = @_;
	my $wanted = join('|', @languages);
	my ($section, @examples, $block, $is_next) = ('');

	open(my $document, '<:encoding(UTF-8)', $path) or die "$path: $!";
	while (my $line = <$document>)
	{
		if (defined $block)
		{
			$block = undef if $line =~ /^```$/;
			$$block .= $line if defined $block;
		}
		elsif ($line =~ /^```($wanted)$/)
		{
			push @examples, { section => $section, line => $., language => $1, code => '' };
			$block = \$examples[-1]{code};
			$is_next = 1;
		}
		elsif ($line =~ /^```text( varies)?$/)
		{
			die "$path:$.: the output of no example" unless $is_next;
			$examples[-1]{varies} = defined $1;
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
			$section = $1 if $line =~ /^#+ (.*)/;
			$is_next = 0;
		}
	}
	return @examples;
}

# Without white space at the ends of lines, and empty lines at the end.
sub trimmed
{
	my ($text) = @_;

	$text =~ s/[ \t]+$//mg;
	$text =~ s/\n+\z//;
	return $text;
}

1;
