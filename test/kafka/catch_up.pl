# Views that catch up: seen in stat_progress, in batches short enough for the others, no faster than they may

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2);
my $node = streamx_node('catch_up', broker => $broker, settings => [ 'streamx.discovery_interval = 1s' ]);

$broker->produce('orders', $_, map { qq({"n": $_}) } 1 .. 10000) for 0, 1;
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE FUNCTION slow(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM pg_sleep(0.001); RETURN n; END $$;
CREATE ROLE watcher;
CREATE ROLE owner;
GRANT CREATE ON SCHEMA public TO owner;
GRANT SELECT ON orders TO owner;
CREATE VIEW live WITH (streamx.continuous) AS SELECT count(*) FROM orders;
END
caught_up($node, 'orders');
shows($node, 'SELECT count(*) FROM streamx.stat_progress', '0', 'nobody catches up');

# A hundred rows a second at most: of 20000, most are still to be read when the other view has shown something
configure($node, 'streamx.catch_up_rate = 100');
$node->safe_psql('postgres', "SET ROLE owner; CREATE VIEW slowly WITH (streamx.continuous) AS SELECT count(*), sum(n) FROM orders");
eventually($node, "SELECT count > 0 FROM slowly", 't', 'a new view begins');
$broker->produce('orders', 0, '{"n": 0}');
eventually($node, 'SELECT count FROM live', '20001', 'the other one shows what comes');
shows($node, 'SELECT count < 10000 FROM slowly', 't', 'meanwhile it has read a few');
shows($node, q{SELECT max(rows) <= 100 * max(batches) FROM streamx.activity('reader') JOIN streamx.view_streams ON reader = id WHERE view = 'slowly'::regclass}, 't', 'no more than a second\'s at a time');
eventually($node, q{SELECT command, phase, messages_done > 0 AND messages_left > 0 AND messages_done + messages_left >= 20000, percent BETWEEN 0 AND 50, estimated_bytes_done / messages_done,
	estimated_bytes_left > estimated_bytes_done, started_at < now(), estimated_end > now() FROM streamx.stat_progress WHERE view = 'slowly'::regclass}, 'catch up|reading|t|t|10|t|t|t', 'its progress is seen');
shows($node, "SET ROLE $_->[0]; SELECT view, messages_left > 0 FROM streamx.stat_progress", $_->[1], "by $_->[0]")
  for [ 'owner', 'slowly|t' ], [ 'pg_monitor', 'slowly|t' ], [ 'watcher', '' ];
$node->safe_psql('postgres', "SELECT streamx.pause('slowly')");
shows($node, 'SELECT phase, messages_left > 0, estimated_end FROM streamx.stat_progress', 'paused|t|', 'when it is paused, too');
$node->safe_psql('postgres', "SELECT streamx.resume('slowly')");
configure($node, 'streamx.catch_up_rate = 0');
eventually($node, 'SELECT count FROM slowly', '20001', 'without a limit it comes to the end');
eventually($node, 'SELECT count(*) FROM streamx.stat_progress', '0', 'which ends its progress');
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'it joins the other');

# A rebuild has its progress, too
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM slowly');
$node->safe_psql('postgres', "SELECT streamx.rebuild('slowly')");
eventually($node, 'SELECT view, command, phase, messages_done, messages_left, percent FROM streamx.stat_progress', 'slowly|rebuild|swapping|20001|0|100.0', 'a rebuild is seen');
shows($node, q{SELECT views FROM streamx.stat_streams}, '2', 'of two views');
$reader->query_safe('COMMIT');
$reader->quit;
eventually($node, 'SELECT count(*) FROM streamx.stat_progress', '0', 'until it is done');
eventually($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'it joins again');

# Where every row takes long, batches are of few rows as long as another view waits for every message
$node->safe_psql('postgres', 'CREATE VIEW heavy WITH (streamx.continuous) AS SELECT sum(slow(n)) FROM orders');
eventually($node, 'SELECT sum > 0 FROM heavy', 't', 'a slow view begins');
eventually($node, q{SELECT batches >= 5 AND rows < 500 * batches FROM streamx.activity('reader') JOIN streamx.view_streams ON reader = id WHERE view = 'heavy'::regclass}, 't', 'in ever shorter batches');
$broker->produce('orders', 0, '{"n": 0}');
eventually($node, 'SELECT count FROM live', '20002', 'the other one goes on');

$node->stop;
$broker->stop;
done_testing();
