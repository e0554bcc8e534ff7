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
CREATE VIEW hops WITH (streamx.continuous) AS
	SELECT hop(at, '1 hour', '40 minutes') AS w, page, count(*) AS n FROM visits GROUP BY 1, 2;
CREATE VIEW pages WITH (streamx.continuous) AS SELECT count(DISTINCT page) AS n, array_agg(DISTINCT page) AS pages FROM visits;
CREATE VIEW sessions WITH (streamx.continuous, streamx.retention = '1 day') AS
	SELECT session(at, '10 minutes') AS w, page, count(*) AS n FROM visits GROUP BY 1, 2;
CREATE FOREIGN TABLE turns (at timestamptz, page text) SERVER streamx OPTIONS (event_time 'at', watermark_delay '1 hour', retain 'on');
CREATE VIEW steps WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT cumulate(at, '1 hour', '20 minutes') AS w, page, count(*) AS n FROM turns GROUP BY 1, 2;
CREATE VIEW runs WITH (streamx.continuous) AS
	SELECT session(at, '10 minutes') AS w, count(*) AS n, count(DISTINCT page) AS pages, string_agg(page, ' ') AS way FROM turns GROUP BY 1;
INSERT INTO turns VALUES ('2024-05-01 10:00+00', '/committed'), ('2024-05-01 10:20+00', '/committed');
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
$session->query_safe(q{INSERT INTO turns VALUES ('2024-05-01 10:10+00', '/open'), ('2024-05-01 14:00+00', '/open')});
is($session->query_safe(q{SELECT (SELECT string_agg(lower(w)::time || ' ' || n, ', ' ORDER BY w) FROM runs), (SELECT string_agg(lower(w)::time || ' ' || page, ', ' ORDER BY w) FROM steps)}),
	'10:00:00 3, 14:00:00 1|14:00:00 /open, 14:00:00 /open, 14:00:00 /open', 'in windows: sessions bridged, windows removed');
$session->query_safe(q{INSERT INTO turns VALUES ('2024-05-01 11:10+00', '/open')});

# When the server is killed
crash($node);
$session->{run}->kill_kill;

# Then
shows($node, 'SELECT page, n FROM clicked', '/committed|10', 'rows of an open transaction are gone after a crash');
shows($node, 'SELECT page, n FROM visited', '/committed|10', 'rows of a prepared one do not count yet');
shows($node, 'SELECT (SELECT count(*) FROM hops), (SELECT page || n FROM sessions)', '2|/committed10', 'nor in other windows');
shows($node, 'SELECT n, pages FROM pages', '1|{/committed}', 'nor among inputs');
shows($node, q{SELECT (SELECT string_agg(lower(w)::time || ' ' || n, ', ' ORDER BY w) FROM runs), (SELECT string_agg(lower(w)::time || ' ' || n, ', ' ORDER BY w) FROM steps)},
	'10:00:00 1, 10:20:00 1|10:00:00 1, 10:00:00 2, 10:00:00 2', 'no session is bridged, no window removed');
$node->safe_psql('postgres', q{COMMIT PREPARED 'visits'});
shows($node, 'SELECT page, n FROM visited ORDER BY page', "/committed|10\n/prepared|20", '... until it is committed');
shows($node, 'SELECT page, n FROM hops ORDER BY page, w', "/committed|10\n/committed|10\n/prepared|20\n/prepared|20", 'in other windows, too');
shows($node, 'SELECT n, pages FROM pages', '2|{/committed,/prepared}', 'and among inputs');
$node->safe_psql('postgres', q{INSERT INTO turns VALUES ('2024-05-01 10:10+00', '/after'), ('2024-05-01 10:15+00', '/after')});
shows($node, q{SELECT lower(w)::time, n, pages, way FROM runs}, '10:00:00|4|2|/committed /after /after /committed', 'and the stream goes on from where it was');
verified($node, $_) for 'visited', 'clicked', 'hops', 'sessions', 'steps', 'runs', 'pages';

$node->stop;
done_testing();
