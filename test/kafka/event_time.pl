# Event times of messages: which are refused, and how they are read

use strict;
use warnings;

use POSIX qw(strftime);
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(map { $_ => 1 } qw(bad edge prompt clock local zoned seconds millis));
my $node = streamx_node('event_time', broker => $broker);

# 2024-05-01 10:00 UTC, in milliseconds
my $ten = 1714557600000;

# Messages with a timestamp of their own
sub produce_at
{
	my ($topic, $timestamp_ms, @payloads) = @_;

	$broker->produce_lines($topic, [], map { "0\t$timestamp_ms\t\\N\t$_" } @payloads);
}

sub create
{
	my ($name, $columns, $options) = @_;

	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE $name ($columns) SERVER kafka OPTIONS (topic '$name', event_time 'at' $options);
CREATE VIEW ${name}_hours WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, sum(n) AS n FROM $name GROUP BY 1;
END
}

sub dead_letters
{
	my ($stream) = @_;

	return qq{SELECT "offset", sqlstate, message FROM streamx.dead_letters WHERE stream = '$stream'::regclass ORDER BY "offset"};
}

# No event time, none that is finite
create('bad', 'n int, at timestamptz', '');
$broker->produce('bad', 0, '{"n": 1, "at": "2024-05-01T10:00:00Z"}', '{"n": 2, "at": null}', '{"n": 4}', '{"n": 8, "at": "infinity"}',
	'{"n": 16, "at": "-infinity"}', '{"n": 32, "at": "2024-05-01T10:30:00Z"}');
caught_up($node, 'bad');
shows($node, 'SELECT lower(w), n FROM bad_hours', '2024-05-01 10:00:00+00|33', 'rule 7: rows without a finite event time are in no window');
shows($node, dead_letters('bad'), <<'END' =~ s/\n\z//r, 'rule 7: they are bad messages, with the reason');
1|22004|column "at": event time is null
2|22004|column "at": event time is null
3|22008|column "at": event time is infinite or out of range
4|22008|column "at": event time is infinite or out of range
END
shows($node, "SELECT streamx.watermark('bad')", '2024-05-01 10:30:00+00', 'rule 7: and do not move the watermark');
verified($node, 'bad_hours');

# Ahead of the message's timestamp: by max_future it may be
create('edge', 'n int, at timestamptz', '');
produce_at('edge', $ten, '{"n": 1, "at": "2024-05-01T10:59:59.999999Z"}', '{"n": 2, "at": "2024-05-01T11:00:00Z"}', '{"n": 4, "at": "2024-05-01T11:00:00.000001Z"}',
	'{"n": 8, "at": "9999-12-31T00:00:00Z"}');
caught_up($node, 'edge');
shows($node, 'SELECT lower(w), n FROM edge_hours ORDER BY w', "2024-05-01 10:00:00+00|1\n2024-05-01 11:00:00+00|2",
	'rule 7: an event time may be an hour ahead of its message\'s timestamp');
shows($node, dead_letters('edge') . ' LIMIT 1', '2|22008|column "at": event time 2024-05-01 11:00:00.000001+00 is more than 01:00:00 ahead of the message\'s timestamp',
	'rule 7: but not a microsecond more');
shows($node, "SELECT streamx.watermark('edge')", '2024-05-01 11:00:00+00', 'rule 7: and then the watermark stands');
verified($node, 'edge_hours');

create('prompt', 'n int, at timestamptz', ", max_future '0'");
produce_at('prompt', $ten, '{"n": 1, "at": "2024-05-01T10:00:00Z"}', '{"n": 2, "at": "2024-05-01T10:00:00.000001Z"}');
caught_up($node, 'prompt');
shows($node, 'SELECT sum(n) FROM prompt_hours', '1', 'rule 7: max_future 0 is not a microsecond');
shows($node, dead_letters('prompt'), '1|22008|column "at": event time 2024-05-01 10:00:00.000001+00 is more than 00:00:00 ahead of the message\'s timestamp',
	'rule 7: and says so');

# Ahead of the clock: whatever the message's timestamp is
sub hours_from_now { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time + 3600 * $_[0])); }

create('clock', 'n int, at timestamptz', '');
produce_at('clock', (time + 3000) * 1000, map { sprintf('{"n": %d, "at": "%s"}', @$_) } [ 1, hours_from_now(0.9) ], [ 2, hours_from_now(1.5) ], [ 4, hours_from_now(-1) ]);
caught_up($node, 'clock');
shows($node, 'SELECT (SELECT sum(n) FROM clock_hours), "offset", sqlstate, message LIKE \'%is more than 01:00:00 ahead of the clock\' FROM streamx.dead_letters WHERE stream = \'clock\'::regclass',
	'5|1|22008|t', 'rule 7: a message\'s timestamp in the future does not allow event times in the future');
shows($node, q{SELECT streamx.watermark('clock') < now() + interval '1 hour', (SELECT count(*) FROM streamx.late_rows WHERE stream = 'clock'::regclass)},
	't|0', 'rule 7: which would make good rows late');
verified($node, 'clock_hours');

# Without a zone: local times of the stream's zone, also for the question whether they are ahead
create('local', 'n int, at timestamp', ", timezone 'America/New_York'");
produce_at('local', $ten, '{"n": 1, "at": "2024-05-01T07:00:00"}', '{"n": 2, "at": "2024-05-01T07:00:00.000001"}');
caught_up($node, 'local');
shows($node, q{SELECT w, n FROM local_hours}, '["2024-05-01 07:00:00","2024-05-01 08:00:00")|1', 'rule 8: a local time is an hour ahead of 10:00 UTC at 07:00 in New York');
verified($node, 'local_hours');

create('zoned', 'n int, at timestamptz, day date', ", timezone 'America/New_York'");
$broker->produce('zoned', 0, '{"n": 1, "at": "2024-05-01T10:00:00"}', '{"n": 2, "at": "2024-05-01 10:00:00"}', '{"n": 4, "at": "2024-05-01T10:00:00Z"}',
	'{"n": 8, "at": "2024-05-01T10:00:00+02:00"}');
caught_up($node, 'zoned');
my $instants = "2024-05-01 08:00:00+00|8\n2024-05-01 10:00:00+00|4\n2024-05-01 14:00:00+00|3";
shows($node, 'SELECT lower(w), n FROM zoned_hours ORDER BY w', "$instants", 'rule 8: a timestamp without a zone is of the stream\'s zone');
shows($node, "SET timezone = 'Asia/Tokyo'; SELECT (lower(tumble(at, '1 hour')) AT TIME ZONE 'UTC') || '+00', sum(n) FROM zoned GROUP BY 1 ORDER BY 1", "$instants",
	'rule 8: for SELECT as well, whatever the session\'s zone');
verified($node, 'zoned_hours');

# Numbers
create($_->[0], 'n int, at timestamptz', $_->[1]) for [ 'seconds', ", timestamp_format 'epoch_s'" ], [ 'millis', ", timestamp_format 'epoch_ms'" ];
$broker->produce($_, 0, '{"n": 1, "at": 1714557600}', '{"n": 2, "at": 1714557600123}', '{"n": 4, "at": "2024-05-01T10:00:00Z"}') for qw(seconds millis);
$broker->produce('bad', 0, '{"n": 64, "at": 1714557600}', '{"n": 128, "at": 1714557600000}');
caught_up($node, $_) for qw(bad seconds millis);
shows($node, q{SELECT lower(w), n FROM seconds_hours}, '2024-05-01 10:00:00+00|5', 'rule 8: epoch_s counts seconds');
shows($node, q{SELECT lower(w), n FROM millis_hours ORDER BY w}, "1970-01-20 20:00:00+00|1\n2024-05-01 10:00:00+00|6", 'rule 8: epoch_ms milliseconds');
shows($node, q{SELECT "offset", sqlstate FROM streamx.dead_letters WHERE stream = 'bad'::regclass AND "offset" > 5 ORDER BY 1}, "6|22007\n7|22007",
	'rule 8: without timestamp_format a number is no timestamp');
verified($node, $_) for qw(bad_hours seconds_hours millis_hours);

# A view keeps the settings of its creation
$node->safe_psql('postgres', <<'END');
SET timezone = 'Asia/Tokyo';
SET datestyle = 'German';
CREATE VIEW tokyo WITH (streamx.continuous) AS SELECT at::text AS at, extract(hour FROM at) AS hour, sum(n) AS n FROM seconds GROUP BY 1, 2;
END
caught_up($node, 'seconds');
$broker->produce('seconds', 0, '{"n": 8, "at": 1714557600}');
caught_up($node, 'seconds');
shows($node, 'SELECT at, hour, n FROM tokyo', '01.05.2024 19:00:00 JST|19|13', 'rule 8: a worker runs a view with the settings of its creation');
verified($node, 'tokyo');

$node->stop;
$broker->stop;
done_testing();
