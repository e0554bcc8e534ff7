# Numbers of input groups are given once, whatever is killed, at the least level of WAL

use strict;
use warnings;

use StreamX;
use Test::More;

my $node = streamx_node('groups', settings => [ 'wal_level = minimal', 'max_wal_senders = 0' ]);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE visits (at timestamptz, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on');
INSERT INTO visits SELECT timestamptz '2024-05-01 10:00Z' + i * interval '1 minute', i FROM generate_series(1, 5) i;
SET client_min_messages = warning;
CREATE VIEW filled WITH (streamx.continuous) AS SELECT hop(at, '2 minutes', '1 minute') AS w, array_agg(n) AS ns FROM visits GROUP BY 1;
BEGIN;
CREATE VIEW latest WITH (streamx.continuous, streamx.start = 'latest') AS SELECT hop(at, '2 minutes', '1 minute') AS w, array_agg(n) AS ns FROM visits GROUP BY 1;
INSERT INTO visits SELECT timestamptz '2024-05-01 11:00Z' + i * interval '1 minute', i FROM generate_series(1, 5) i;
COMMIT;
INSERT INTO visits SELECT timestamptz '2024-05-01 12:00Z' + i * interval '1 minute', i FROM generate_series(1, 5) i;
END
crash($node);
$node->safe_psql('postgres', q{INSERT INTO visits SELECT timestamptz '2024-05-01 13:00Z' + i * interval '1 minute', i FROM generate_series(1, 5) i});
verified($node, $_) for 'filled', 'latest';

$node->stop;
done_testing();
