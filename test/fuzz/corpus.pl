#!/usr/bin/env perl
# A corpus is a text file, an input a line: bytes that are not printable ASCII, and backslashes, as \xHH.
#	corpus.pl unpack FILE DIR	a file in DIR for each line
#	corpus.pl pack DIR FILE		the inputs in DIR, each once, sorted
#	corpus.pl choose CONTROL DIR	copies of the first files that add a feature, by the control file of libFuzzer's merge
use strict;
use warnings;
use Digest::SHA qw(sha1_hex);
use File::Copy qw(copy);

my ($command, $from, $to) = @ARGV;
if ($command eq 'unpack')
{
	open my $lines, '<:raw', $from or die "$from: $!";
	while (my $line = <$lines>)
	{
		chomp $line;
		$line =~ s/\\x([0-9a-f]{2})/chr hex $1/ge;
		write_file("$to/" . sha1_hex($line), $line);
	}
}
elsif ($command eq 'pack')
{
	my %lines;
	for my $file (glob "$from/*")
	{
		open my $input, '<:raw', $file or die "$file: $!";
		my $bytes = do { local $/; <$input> } // '';
		$bytes =~ s/([^ -\x5b\x5d-~])/sprintf '\\x%02x', ord $1/ge;
		$lines{"$bytes\n"} = 1;
	}
	write_file($to, join '', sort keys %lines);
}
elsif ($command eq 'choose')
{
	my (@files, %features);
	open my $control, '<', $from or die "$from: $!";
	chomp(my $count = <$control>);
	<$control>;
	chomp(@files = map { scalar <$control> } 1 .. $count);
	while (<$control>)
	{
		my ($file, @found) = /^FT (\d+) (.*)/ ? ($1, split ' ', $2) : next;
		next unless grep { !$features{$_}++ } @found;
		copy($files[$file], $to) or die "$files[$file]: $!";
	}
}
else
{
	die "corpus.pl: no command \"$command\"\n";
}

sub write_file
{
	my ($file, $bytes) = @_;
	open my $output, '>:raw', $file or die "$file: $!";
	print $output $bytes;
	close $output or die "$file: $!";
}
