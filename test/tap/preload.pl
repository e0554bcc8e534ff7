# Without shared_preload_libraries the extension says what to do

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('preload');
my ($status, $output, $error);

$node->init;
$node->start;

($status, $output, $error) = $node->psql('postgres', 'CREATE EXTENSION streamx');
isnt($status, 0, 'CREATE EXTENSION fails');
like($error, qr/shared_preload_libraries/, 'the message names the setting');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'streamx%'}), '0', 'nothing stays behind');

$node->append_conf('postgresql.conf', q{shared_preload_libraries = 'streamx'});
$node->restart;
is($node->psql('postgres', 'CREATE EXTENSION streamx'), 0, 'with the setting it works');

# Whoever takes the setting away again is told so, and loses nothing
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE visits (page text) SERVER streamx;
CREATE VIEW views_of_page WITH (streamx.continuous) AS SELECT page, count(*) AS n FROM visits GROUP BY page;
INSERT INTO visits VALUES ('/'), ('/');
END
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{''});
$node->restart;
($status, $output, $error) = $node->psql('postgres', q{INSERT INTO visits VALUES ('/')});
isnt($status, 0, 'INSERT fails without the setting');
like($error, qr/shared_preload_libraries/, 'and says why');
$node->adjust_conf('postgresql.conf', 'shared_preload_libraries', q{'streamx'});
$node->restart;
$node->safe_psql('postgres', q{INSERT INTO visits VALUES ('/')});
is($node->safe_psql('postgres', 'SELECT page, n FROM views_of_page'), '/|3', 'each row counted once');

$node->stop;
done_testing();
