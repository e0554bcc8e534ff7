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

$node->stop;
done_testing();
