# A crash of the server keeps what was committed or prepared, and nothing else

use strict;
use warnings;

use StreamX;
use Test::More;

my $node = streamx_node('crash');

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE visits (page text, at timestamptz) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW visited WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, page, count(*) AS n FROM visits GROUP BY 1, 2;
CREATE FOREIGN TABLE clicks (page text) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW clicked WITH (streamx.continuous) AS SELECT page, count(*) AS n FROM clicks GROUP BY page;
INSERT INTO visits SELECT '/committed', '2024-05-01 10:00+00' FROM generate_series(1, 10);
INSERT INTO clicks SELECT '/committed' FROM generate_series(1, 10);
BEGIN;
INSERT INTO visits SELECT '/prepared', '2024-05-01 10:00+00' FROM generate_series(1, 20);
PREPARE TRANSACTION 'visits';
END

# Given a session that has inserted, read the view, which merges its rows, and not committed
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; INSERT INTO clicks SELECT '/open' FROM generate_series(1, 30)});
is($session->query_safe(q{SELECT n FROM clicked WHERE page = '/open'}), '30', 'a transaction sees its own rows');

# When the server is killed
crash($node);
$session->{run}->kill_kill;

# Then
shows($node, 'SELECT page, n FROM clicked', '/committed|10', 'rows of an open transaction are gone after a crash');
shows($node, 'SELECT page, n FROM visited', '/committed|10', 'rows of a prepared one do not count yet');
$node->safe_psql('postgres', q{COMMIT PREPARED 'visits'});
shows($node, 'SELECT page, n FROM visited ORDER BY page', "/committed|10\n/prepared|20", '... until it is committed');
verified($node, $_) for 'visited', 'clicked';

$node->stop;
done_testing();
