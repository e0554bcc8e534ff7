# Two-phase commit, and small batches: what pg_regress's server may not be set for

use strict;
use warnings;

use StreamX;
use Test::More;

my $node = streamx_node('prepared', settings => [ 'streamx.batch_rows = 1000' ]);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE s (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW total WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM s;
CREATE VIEW hours WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, sum(n) FROM s GROUP BY 1;
INSERT INTO s VALUES ('2024-05-01 10:00+00', 1);
BEGIN;
INSERT INTO s VALUES ('2024-05-01 10:10+00', 10);
PREPARE TRANSACTION 'kept';
END
shows($node, 'SELECT * FROM total', '1|1', 'a prepared row is not there yet');

# A prepared transaction holds the stream, as an open one that has merged does
my ($status, $out, $error) = $node->psql('postgres', q{SET lock_timeout = '100ms'; INSERT INTO s VALUES ('2024-05-01 10:20+00', 100)});
like($error, qr/lock timeout/, 'another writer waits for it');
$node->restart;
shows($node, 'SELECT * FROM total', '1|1', 'it survives a restart');
$node->safe_psql('postgres', q{COMMIT PREPARED 'kept'});
shows($node, 'SELECT * FROM total', '2|11', 'committed: it is there');
shows($node, 'SELECT count(*) FROM s', '2', 'in the log, too');

$node->safe_psql('postgres', <<'END');
BEGIN;
INSERT INTO s VALUES ('2024-05-01 10:30+00', 1000);
SAVEPOINT one;
INSERT INTO s VALUES ('2024-05-01 12:00+00', 1000);
SELECT * FROM total;
RELEASE one;
PREPARE TRANSACTION 'gone';
ROLLBACK PREPARED 'gone';
INSERT INTO s VALUES ('2024-05-01 10:40+00', 100);
END
shows($node, 'SELECT * FROM total', '3|111', 'rolled back: never seen, nor its watermark');
shows($node, 'SELECT count(*) FROM streamx.late_rows', '0', 'nothing is late');
verified($node, $_) for 'total', 'hours';

# A bad row is found at PREPARE
($status, $out, $error) = $node->psql('postgres', q{CREATE VIEW inverse WITH (streamx.continuous) AS SELECT sum(1 / n) FROM s; BEGIN; INSERT INTO s VALUES ('2024-05-01 10:40+00', 0); PREPARE TRANSACTION 'bad'});
like($error, qr/division by zero/, 'PREPARE fails');
shows($node, 'SELECT count(*) FROM pg_prepared_xacts', '0', 'and nothing is prepared');

# A view that catches up judges by its own watermark, batch by batch
$node->safe_psql('postgres', <<'END');
INSERT INTO s SELECT timestamptz '2024-05-02 00:00+00' + i * interval '1 minute', 1 FROM generate_series(1, 2990) i;
INSERT INTO s VALUES ('2024-05-01 10:00+00', 1000000);
CREATE VIEW caught_up WITH (streamx.continuous) AS SELECT tumble(at, '1 hour') AS w, count(*), sum(n) FROM s GROUP BY 1;
END
shows($node, 'SELECT sum(count), sum(sum) FROM caught_up', '2993|3101', 'of 2994 kept rows the last is late, in the third batch');
shows($node, 'SELECT view, event_time FROM streamx.late_rows ORDER BY 1', join("\n", map { "$_|2024-05-01 10:00:00+00" } 'hours', 'caught_up'), 'for both views');
verified($node, $_) for 'total', 'hours', 'caught_up';

# Windows of every kind wait with a prepared transaction, come with it or go with it
my @windows = qw(hops steps kept_hops sessions kept_sessions days);
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE w (at timestamptz, k text, n int) SERVER streamx OPTIONS (event_time 'at', watermark_delay '10 minutes', retain 'on');
CREATE VIEW hops WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, k, count(*), sum(n) FROM w GROUP BY 1, 2;
CREATE VIEW steps WITH (streamx.continuous) AS SELECT cumulate(at, '20 minutes', '10 minutes') AS w, k, count(*), avg(n) FROM w GROUP BY 1, 2;
CREATE VIEW kept_hops WITH (streamx.continuous, streamx.retention = '30 minutes') AS SELECT hop(at, '20 minutes', '10 minutes') AS w, k, count(*) FROM w GROUP BY 1, 2;
CREATE VIEW sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, k, count(*), sum(n) FROM w GROUP BY 1, 2;
CREATE VIEW kept_sessions WITH (streamx.continuous, streamx.retention = '30 minutes') AS SELECT session(at, '10 minutes') AS w, k, avg(n) FROM w GROUP BY 1, 2;
CREATE VIEW days WITH (streamx.continuous) AS SELECT hop(at, '2 days', '1 day', timezone => 'Europe/Berlin') AS w, count(*) FROM w GROUP BY 1;
CREATE FUNCTION shown() RETURNS text LANGUAGE sql AS $$
	SELECT concat_ws(' | ', (SELECT string_agg(lower(w)::time(0) || ' ' || sum, ', ' ORDER BY w) FROM hops),
	                 (SELECT string_agg(lower(w)::time(0) || '-' || upper(w)::time(0) || ' ' || sum, ', ' ORDER BY w) FROM sessions),
	                 (SELECT count(*) FROM kept_hops), (SELECT count(*) FROM kept_sessions)) $$;
INSERT INTO w VALUES ('2024-05-01 10:00+00', 'a', 1), ('2024-05-01 10:20+00', 'a', 2);
END
my $before = '09:50:00 1, 10:00:00 1, 10:10:00 2, 10:20:00 2 | 10:00:00-10:10:00 1, 10:20:00-10:30:00 2 | 4 | 2';
shows($node, 'SELECT shown()', $before, 'windows and sessions');
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; DECLARE before CURSOR FOR SELECT sum FROM hops');
is($reader->query_safe('SELECT shown()'), $before, 'in an older transaction, too');
$node->safe_psql('postgres', <<'END');
BEGIN;
INSERT INTO w VALUES ('2024-05-01 10:10+00', 'a', 4);
SAVEPOINT one;
INSERT INTO w VALUES ('2024-05-01 10:30+00', 'a', 8);
SELECT shown();
ROLLBACK TO one;
SAVEPOINT two;
INSERT INTO w VALUES ('2024-05-01 11:10+00', 'a', 16);
SELECT shown();
RELEASE two;
INSERT INTO w VALUES ('2024-05-01 10:52+00', 'a', 32);
PREPARE TRANSACTION 'windows';
END
shows($node, 'SELECT shown()', $before, 'nothing of a prepared transaction is there yet: no window, no bridge, no removal');
$node->safe_psql('postgres', q{COMMIT PREPARED 'windows'});
shows($node, 'SELECT shown()', '09:50:00 1, 10:00:00 5, 10:10:00 6, 10:20:00 2, 10:50:00 32, 11:00:00 16, 11:10:00 16 | 10:00:00-10:30:00 7, 10:52:00-11:02:00 32, 11:10:00-11:20:00 16 | 4 | 2',
	'committed, all is; what follows a merge in its transaction may be late');
shows($node, q{SELECT view, event_time, counted FROM streamx.late_rows WHERE stream = 'w'::regclass ORDER BY view::oid}, "hops|2024-05-01 10:52:00+00|t\nsteps|2024-05-01 10:52:00+00|f\nkept_hops|2024-05-01 10:52:00+00|t", 'and recorded');
is($reader->query_safe('SELECT shown()'), $before, 'the older transaction still sees what it saw');
is($reader->query_safe('FETCH ALL FROM before'), "1\n1\n2\n2", 'and its cursor');
$reader->query_safe('COMMIT');
like($reader->query_safe('SELECT shown()'), qr/10:00:00-10:30:00 7/, 'the next one sees all');
$reader->quit;
verified($node, $_) for @windows;

my $shown = $node->safe_psql('postgres', 'SELECT shown()');
$node->safe_psql('postgres', <<'END');
BEGIN;
INSERT INTO w VALUES ('2024-05-01 11:05+00', 'a', 64), ('2024-05-01 15:00+00', 'a', 128);
SELECT shown();
INSERT INTO w VALUES ('2024-05-01 11:06+00', 'a', 256);
PREPARE TRANSACTION 'gone';
END
$node->restart;
shows($node, 'SELECT shown()', $shown, 'after a restart windows wait');
$node->safe_psql('postgres', q{ROLLBACK PREPARED 'gone'});
shows($node, 'SELECT shown()', $shown, 'rolled back: all is as it was');
verified($node, $_) for @windows;

# A transaction that has read cannot merge over another one's rows
my $writer = $node->background_psql('postgres', on_error_stop => 0);
$writer->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT shown()');
$node->safe_psql('postgres', q{INSERT INTO w VALUES ('2024-05-01 11:12+00', 'b', 1)});
$writer->query(q{INSERT INTO w VALUES ('2024-05-01 11:13+00', 'b', 2); SELECT shown()});
like($writer->{stderr}, qr/could not serialize access/, 'at REPEATABLE READ it is a serialization failure');
$writer->query('ROLLBACK');
$writer->quit;

# Views that catch up in batches of a thousand rows are judged by their own watermarks
$node->safe_psql('postgres', <<'END');
INSERT INTO w SELECT timestamptz '2024-05-01 12:00+00' + i * interval '1 minute', 'c' || i % 3, i FROM generate_series(1, 2500) i;
INSERT INTO w VALUES ('2024-05-01 14:00+00', 'c1', 100000);
CREATE VIEW late_hops WITH (streamx.continuous) AS SELECT hop(at, '25 minutes', '10 minutes') AS w, k, count(*), sum(n) FROM w GROUP BY 1, 2;
CREATE VIEW late_steps WITH (streamx.continuous, streamx.retention = '1 day') AS SELECT cumulate(at, '1 hour', '20 minutes') AS w, k, count(*), sum(n) FROM w GROUP BY 1, 2;
CREATE VIEW late_sessions WITH (streamx.continuous) AS SELECT session(at, '2 minutes') AS w, k, count(*), sum(n) FROM w GROUP BY 1, 2;
CREATE VIEW late_kept_sessions WITH (streamx.continuous, streamx.retention = '1 day') AS SELECT session(at, '3 minutes') AS w, k, count(*), sum(n) FROM w GROUP BY 1, 2;
END
verified($node, $_) for qw(late_hops late_steps late_sessions late_kept_sessions);
shows($node, q{SELECT view, count(*) FROM streamx.late_rows WHERE view::text LIKE 'late%' AND event_time = '2024-05-01 14:00+00' GROUP BY 1 ORDER BY view::text}, "late_hops|1\nlate_kept_sessions|1\nlate_sessions|1\nlate_steps|1", 'a row that is late to them all');

$node->stop;
done_testing();
