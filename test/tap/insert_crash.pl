# A crash of the server keeps what was committed or prepared, and nothing else

use strict;
use warnings;

use StreamX;
use Test::More;

my $node = streamx_node('crash');

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE visits (page text, at timestamptz) SERVER streamx OPTIONS (event_time 'at', retain 'on');
CREATE VIEW views_of_page WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, page, count(*) AS n FROM visits GROUP BY 1, 2;
INSERT INTO visits SELECT '/committed', '2024-05-01 10:00+00' FROM generate_series(1, 10);
BEGIN;
INSERT INTO visits SELECT '/prepared', '2024-05-01 10:00+00' FROM generate_series(1, 20);
PREPARE TRANSACTION 'visits';
END

# Given a session that has inserted, read the view, and not committed
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN; INSERT INTO visits SELECT '/open', '2024-05-01 10:00+00' FROM generate_series(1, 30)});
is($session->query_safe(q{SELECT n FROM views_of_page WHERE page = '/open'}), '30', 'a transaction sees its own rows');

# When the server is killed
$node->kill9;
$session->{run}->kill_kill;
$node->start;

# Then
shows($node, 'SELECT page, n FROM views_of_page ORDER BY page', '/committed|10', 'only committed rows count after a crash');
$node->safe_psql('postgres', q{COMMIT PREPARED 'visits'});
shows($node, 'SELECT page, n FROM views_of_page ORDER BY page', "/committed|10\n/prepared|20",
	'and prepared ones, once they are committed');
verified($node, 'views_of_page');

$node->stop;
done_testing();
