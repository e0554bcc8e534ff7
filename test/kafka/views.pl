# Views of one stream: they share a reader, and one that fails does not stop the others

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 2, clicks => 2);
my $node = streamx_node('views', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms' ]);

$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (item text, amount int, price text) SERVER kafka OPTIONS (topic 'orders', format 'json');
BEGIN;
CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) AS n FROM orders;
CREATE VIEW divided WITH (streamx.continuous) AS SELECT sum(100 / amount) AS total, count(*) AS n FROM orders;
CREATE VIEW priced WITH (streamx.continuous) AS SELECT item, sum(price::numeric) AS total FROM orders GROUP BY item;
COMMIT;
END
shows($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'views made in one transaction share a reader');

# Data errors of one view are bisected to their rows
$broker->produce('orders', 0, map { sprintf('{"item": "tea", "amount": %d, "price": "%s"}', $_ % 10, $_ % 25 ? 1.5 : 'free') } 1 .. 100);
caught_up($node, 'orders');
shows($node, 'SELECT c.n, d.n, d.total FROM counted c, divided d', '100|90|2810', 'rows that fail in one view count in the others');
shows($node, 'SELECT total FROM priced', '144.0', 'each view has its own bad rows');
shows($node, 'SELECT view, sqlstate, message, count(*) FROM streamx.dead_letters GROUP BY 1, 2, 3 ORDER BY view::text',
	"divided|22012|division by zero|10\npriced|22P02|invalid input syntax for type numeric: \"free\"|4", 'each is a dead letter of its view');
shows($node, 'SELECT "partition", "offset", "row"->>\'amount\' FROM streamx.dead_letters WHERE view = \'divided\'::regclass ORDER BY "offset" LIMIT 2',
	"0|9|0\n0|19|0", 'which says where the message is');
shows($node, 'SELECT count(DISTINCT reader) FROM streamx.view_streams', '1', 'the views stay together');
verified($node, $_) for qw(counted divided priced);

# A view that fails otherwise leaves, and comes back when it can
$node->safe_psql('postgres', <<'END');
CREATE ROLE owner LOGIN;
GRANT CREATE ON SCHEMA public TO owner;
GRANT SELECT ON orders TO owner;
CREATE TABLE items (item text, kind text);
INSERT INTO items VALUES ('tea', 'drink');
GRANT SELECT ON items TO owner;
SELECT streamx.pause('orders');
SET ROLE owner;
CREATE VIEW kinds WITH (streamx.continuous) AS SELECT kind, count(*) AS n FROM orders JOIN items USING (item) GROUP BY 1;
CREATE VIEW also WITH (streamx.continuous) AS SELECT item, count(*) AS n FROM orders GROUP BY 1;
RESET ROLE;
SELECT streamx.resume('orders');
END
caught_up($node, 'orders');
shows($node, 'SELECT (SELECT n FROM kinds), (SELECT n FROM also)', '100|100', 'views that were added later catch up');
$node->safe_psql('postgres', 'REVOKE SELECT ON items FROM owner');
$broker->produce('orders', 1, '{"item": "tea", "amount": 1, "price": "1"}');
eventually($node, 'SELECT n FROM also', '101', 'the failing view does not hold up the view it shared a reader with');
eventually($node, 'SELECT n FROM counted', '101', 'nor the others, which have another reader');
eventually($node, "SELECT state, last_error_sqlstate FROM streamx.stat_views WHERE view = 'kinds'::regclass", 'failing|42501', 'the failing view says why');
shows($node, 'SELECT n FROM kinds', '100', 'and can be read');
$node->safe_psql('postgres', 'GRANT SELECT ON items TO owner');
caught_up($node, 'orders');
shows($node, 'SELECT n FROM kinds', '101', 'it goes on once it can');
eventually($node, "SELECT state FROM streamx.stat_views WHERE view = 'kinds'::regclass", 'caught up', 'by itself');
verified($node, $_) for qw(counted divided priced kinds also);

# A view that comes and goes while others run
$node->safe_psql('postgres', 'CREATE VIEW late WITH (streamx.continuous) AS SELECT count(*) AS n FROM orders');
caught_up($node, 'orders');
shows($node, 'SELECT n FROM late', '101', 'a view added while the stream runs reads it from the beginning');
$node->safe_psql('postgres', "CREATE VIEW fresh WITH (streamx.continuous, streamx.start = 'latest') AS SELECT count(*) AS n FROM orders");
caught_up($node, 'orders');
$broker->produce('orders', 0, '{"item": "tea", "amount": 1, "price": "1"}');
caught_up($node, 'orders');
shows($node, 'SELECT fresh.n, late.n FROM fresh, late', '1|102', "one with start 'latest' only what comes");
$node->safe_psql('postgres', 'DROP VIEW divided, late, priced');
$broker->produce('orders', 0, '{"item": "tea", "amount": 0, "price": "1"}');
caught_up($node, 'orders');
shows($node, 'SELECT fresh.n, counted.n FROM fresh, counted', '2|103', 'what is dropped is missed by nobody');
verified($node, $_) for qw(counted fresh kinds also);

# Windows of every kind share a reader, and judge alike
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE clicks (at timestamptz, page text, n int) SERVER kafka OPTIONS (topic 'clicks', event_time 'at', watermark_delay '5 minutes');
GRANT SELECT ON clicks TO owner;
BEGIN;
CREATE VIEW hops WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, page, count(*) AS n, sum(n) AS total FROM clicks GROUP BY 1, 2;
CREATE VIEW steps WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT cumulate(at, '20 minutes', '10 minutes') AS w, count(*) AS n FROM clicks GROUP BY 1;
CREATE VIEW sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, page, count(*) AS n, sum(n) AS total FROM clicks GROUP BY 1, 2;
CREATE VIEW tumbles WITH (streamx.continuous) AS SELECT tumble(at, '10 minutes') AS w, count(*) AS n FROM clicks GROUP BY 1;
SET LOCAL ROLE owner;
CREATE VIEW item_hops WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, kind, count(*) AS n FROM clicks JOIN items ON item = page GROUP BY 1, 2;
CREATE VIEW item_sessions WITH (streamx.continuous, streamx.retention = '1 hour') AS SELECT session(at, '10 minutes') AS w, kind, count(*) AS n FROM clicks LEFT JOIN items ON item = page GROUP BY 1, 2;
COMMIT;
END
my @windows = qw(hops steps sessions tumbles item_hops item_sessions);
my $readers = q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'clicks'::regclass};
sub click { return map { sprintf('{"at": "2024-05-01T%s:00Z", "page": "%s", "n": %d}', split) } @_; }
$broker->produce('clicks', 0, click('10:00 tea 1', '10:09 tea 2', '10:30 cake 4'));
$broker->produce('clicks', 1, click('10:04 tea 8', '10:40 tea 16'));
caught_up($node, 'clicks');
$broker->produce('clicks', 0, click('10:10 tea 32', '10:12 cake 64', '10:01 cake 128'));
caught_up($node, 'clicks');
shows($node, $readers, '1', 'all kinds of windows share a reader');
verified($node, $_) for @windows;

# Those that fail leave with the watermark of the reader they leave, and go on where they were
$node->safe_psql('postgres', 'REVOKE SELECT ON items FROM owner');
$broker->produce('clicks', 0, click('10:31 tea 1', '10:11 tea 1', '10:50 cake 1'));
$broker->produce('clicks', 1, click('10:45 tea 1', '10:22 cake 1'));
eventually($node, q{SELECT count(*) FROM streamx.stat_views WHERE view IN ('item_hops'::regclass, 'item_sessions'::regclass) AND state = 'failing'}, '2', 'views with windows fail');
eventually($node, 'SELECT sum(n) + (SELECT count(*) FROM streamx.late_rows WHERE view = \'tumbles\'::regclass) FROM tumbles', '13', 'the others go on');
verified($node, $_) for qw(hops steps sessions tumbles);
$node->safe_psql('postgres', 'GRANT SELECT ON items TO owner');
caught_up($node, 'clicks');
shows($node, 'SELECT sum(n) + (SELECT count(*) FROM streamx.late_rows WHERE view = \'item_sessions\'::regclass) FROM item_sessions', '13', 'they have missed nothing');
eventually($node, q{SELECT string_agg(DISTINCT state, ' ') FROM streamx.stat_views WHERE stream = 'clicks'::regclass}, 'caught up', 'and are caught up');
verified($node, $_) for @windows;

# Views that are added later read from the beginning, judge by their own watermark, and join
$node->safe_psql('postgres', <<'END');
CREATE VIEW more_hops WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, page, count(*) AS n FROM clicks GROUP BY 1, 2;
CREATE VIEW more_sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, page, count(*) AS n FROM clicks GROUP BY 1, 2;
END
caught_up($node, 'clicks');
$broker->produce('clicks', 0, click('10:51 tea 1', '10:12 tea 1', '10:55 cake 1'));
caught_up($node, 'clicks');
shows($node, 'SELECT sum(n) + (SELECT count(*) FROM streamx.late_rows WHERE view = \'more_sessions\'::regclass) FROM more_sessions', '16', 'views added later have all rows');
verified($node, $_) for @windows, qw(more_hops more_sessions);
$node->safe_psql('postgres', 'DROP FOREIGN TABLE clicks CASCADE');

# on_error 'stop': the stream stands before the bad message, and says where it is
$node->safe_psql('postgres', "ALTER FOREIGN TABLE orders OPTIONS (ADD on_error 'stop')");
$broker->produce('orders', 0, '{"item": "tea", "amount": 1', '{"item": "tea", "amount": 1}');
eventually($node, "SELECT state FROM streamx.stat_workers", 'failing', "on_error 'stop' stops the stream");
like($node->safe_psql('postgres', 'SELECT last_error FROM streamx.stat_workers'), qr/stream "orders", partition 0, offset 102/, 'the error says where');
shows($node, 'SELECT n FROM counted', '103', 'nothing behind the bad message counts');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE orders OPTIONS (SET on_error 'dead_letter')");
caught_up($node, 'orders');
shows($node, 'SELECT n FROM counted', '104', "on_error 'dead_letter' lets it go on");
shows($node, 'SELECT convert_from(payload, \'UTF8\') FROM streamx.dead_letters WHERE view IS NULL', '{"item": "tea", "amount": 1', 'with the message kept');
verified($node, $_) for qw(counted also);

# DDL on the stream while it runs
$node->safe_psql('postgres', "ALTER FOREIGN TABLE orders ADD COLUMN note text; ALTER FOREIGN TABLE orders RENAME TO sales");
$node->safe_psql('postgres', "CREATE VIEW notes WITH (streamx.continuous) AS SELECT note, count(*) AS n FROM sales GROUP BY 1");
$broker->produce('orders', 0, '{"item": "tea", "amount": 0, "price": "1", "note": "hot"}');
caught_up($node, 'sales');
shows($node, 'SELECT note, n FROM notes ORDER BY n', "hot|1\n|104", 'a column added later is read');
shows($node, 'SELECT n FROM counted', '105', 'under the new name all views go on');
$node->safe_psql('postgres', "ALTER FOREIGN TABLE sales OPTIONS (SET on_error 'skip')");
$broker->produce('orders', 0, 'neither', '{"item": "tea", "amount": 0, "price": "1", "note": "hot"}');
caught_up($node, 'sales');
shows($node, "SELECT n FROM notes WHERE note = 'hot'", '2', "on_error 'skip' leaves bad messages out");
shows($node, 'SELECT count(*) FROM streamx.dead_letters WHERE view IS NULL', '1', 'without a dead letter');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE sales CASCADE');
eventually($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'streamx worker'", '0', 'a dropped stream needs no worker');
eventually($node, 'SELECT count(*) FROM streamx.stat_workers', '0', 'and has no slot');

$node->stop;
$broker->stop;
done_testing();
