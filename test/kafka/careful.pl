# The careful run of a batch: nothing twice, nothing lost, nothing run as the worker's superuser

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1, lone => 1, keys => 1, pairs => 1, many => 1, faulty => 1, trojan => 1, joined => 1, mixed => 1, halted => 1, windowed => 2);
my $node = streamx_node('careful', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms', 'streamx.max_workers = 12' ]);

# A view that leaves takes nothing of the batch with it
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE orders (amount int) SERVER kafka OPTIONS (topic 'orders', on_error 'stop');
BEGIN;
CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) AS n FROM orders;
CREATE VIEW divided WITH (streamx.continuous) AS SELECT count(*) AS n, sum(100 / amount) AS total FROM orders;
COMMIT;
SELECT streamx.pause('orders');
END
$broker->produce('orders', 0, map { "{\"amount\": $_}" } 1 .. 7, 0, 9);
$node->safe_psql('postgres', "SELECT streamx.resume('orders')");
eventually($node, 'SELECT n FROM counted', '9', 'the other view goes on');
eventually($node, "SELECT state FROM streamx.stat_views WHERE view = 'divided'::regclass", 'paused', 'the failing one pauses');
shows($node, 'SELECT n FROM divided', '0', 'and has kept none of the rows that it will read again');
verified($node, 'divided');
$node->safe_psql('postgres', <<'END');
ALTER FOREIGN TABLE orders OPTIONS (SET on_error 'dead_letter');
SELECT streamx.resume('divided');
END
caught_up($node, 'orders');
shows($node, 'SELECT n FROM divided', '8', 'resumed, it counts each row once');
verified($node, 'divided');

# A view that is alone pauses too
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE lone (amount int) SERVER kafka OPTIONS (topic 'lone', on_error 'stop');
CREATE VIEW alone WITH (streamx.continuous) AS SELECT count(*) AS n, sum(100 / amount) AS total FROM lone;
END
$broker->produce('lone', 0, map { "{\"amount\": $_}" } 1 .. 4, 0, 6);
eventually($node, "SELECT state, last_error FROM streamx.stat_views WHERE view = 'alone'::regclass", 'paused|division by zero (continuous view "alone", stream "lone", partition 0, offset 4)', 'alone, it pauses and says why');
$node->safe_psql('postgres', <<'END');
ALTER FOREIGN TABLE lone OPTIONS (SET on_error 'dead_letter');
SELECT streamx.resume('alone');
END
caught_up($node, 'lone');
shows($node, 'SELECT n FROM alone', '5', 'resumed, it counts each row once');
verified($node, 'alone');

# All views of a reader fail
$node->safe_psql('postgres', <<'END');
CREATE ROLE owner;
GRANT CREATE ON SCHEMA public TO owner;
GRANT USAGE ON FOREIGN SERVER kafka TO owner;
CREATE TABLE items (item text);
INSERT INTO items VALUES ('tea');
CREATE FOREIGN TABLE pairs (item text) SERVER kafka OPTIONS (topic 'pairs');
GRANT SELECT ON pairs, items TO owner;
BEGIN;
SET LOCAL ROLE owner;
CREATE VIEW first WITH (streamx.continuous) AS SELECT count(*) AS n FROM pairs JOIN items USING (item);
CREATE VIEW second WITH (streamx.continuous) AS SELECT count(*) AS n, min(item) AS item FROM pairs JOIN items USING (item);
COMMIT;
REVOKE SELECT ON items FROM owner;
END
$broker->produce('pairs', 0, ('{"item": "tea"}') x 5);
eventually($node, "SELECT count(*) FROM streamx.stat_views WHERE stream = 'pairs'::regclass AND state = 'failing'", '2', 'both views fail');
$node->safe_psql('postgres', 'GRANT SELECT ON items TO owner');
caught_up($node, 'pairs');
shows($node, 'SELECT f.n, s.n FROM first f, second s', '5|5', 'neither loses a row');

# Many bad rows in one batch
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE many (amount int) SERVER kafka OPTIONS (topic 'many');
CREATE VIEW of_many WITH (streamx.continuous) AS SELECT count(*) AS n, sum(100 / amount) AS total FROM many;
SELECT streamx.pause('many');
END
$broker->produce('many', 0, map { sprintf('{"amount": %d}', $_ % 10) } 1 .. 10000);
$node->safe_psql('postgres', "SELECT streamx.resume('many')");
caught_up($node, 'many');
shows($node, "SELECT n, (SELECT count(*) FROM streamx.dead_letters WHERE view = 'of_many'::regclass) FROM of_many", '9000|1000', 'a thousand bad rows do not stop a view');
verified($node, 'of_many');

# More than ten thousand bad rows in one batch: the view pauses, and can be led through them
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE faulty (amount int) SERVER kafka OPTIONS (topic 'faulty');
SELECT streamx.pause('faulty');
BEGIN;
CREATE VIEW untouched WITH (streamx.continuous) AS SELECT count(*) AS n FROM faulty;
CREATE VIEW of_faulty WITH (streamx.continuous) AS SELECT count(*) AS n, sum(100 / amount) AS total FROM faulty;
COMMIT;
END
$broker->produce('faulty', 0, ('{"amount": 0}') x 10001, '{"amount": 100}');
$node->safe_psql('postgres', q{SELECT streamx.step('faulty', 20000)});
shows($node, q{SELECT u.n, f.n, (SELECT count(*) FROM streamx.dead_letters WHERE view = 'of_faulty'::regclass) FROM untouched u, of_faulty f}, '10002|0|0', 'the other view has gone on, the failing one has nothing of the batch');
shows($node, q{SELECT r.paused, v.last_error LIKE 'more than 10000 rows of a micro-batch failed, the last with: division by zero%' FROM streamx.stat_views v JOIN streamx.view_streams s USING (view) JOIN streamx.readers r ON r.reader = s.reader WHERE v.view = 'of_faulty'::regclass},
	't|t', 'and is paused, with the reason');
$node->safe_psql('postgres', q{SELECT streamx.resume('of_faulty'); SELECT streamx.step('faulty', 10000)});
$node->safe_psql('postgres', q{SELECT streamx.step('faulty', 10000)});
shows($node, q{SELECT n, (SELECT count(*) FROM streamx.dead_letters WHERE view = 'of_faulty'::regclass) FROM of_faulty}, '1|10001', 'smaller batches bring it through');
verified($node, 'of_faulty');

# A group key over the limit of the state's index
my $long_key = join('', map { chr(97 + int(rand(26))) } 1 .. 9000);
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE keys (k text) SERVER kafka OPTIONS (topic 'keys');
CREATE VIEW of_keys WITH (streamx.continuous) AS SELECT k, count(*) AS n FROM keys GROUP BY k;
END
$broker->produce('keys', 0, '{"k": "tea"}', "{\"k\": \"$long_key\"}", '{"k": "tea"}');
caught_up($node, 'keys');
shows($node, 'SELECT k, n FROM of_keys', 'tea|2', 'the rows around it count');
shows($node, "SELECT \"offset\", sqlstate, view, length(convert_from(payload, 'UTF8')) FROM streamx.dead_letters WHERE stream = 'keys'::regclass",
	'1|54000|of_keys|9009', 'and it is a dead letter of the view');
verified($node, 'of_keys');

# CHECK constraints and domains are their owner's code
$node->safe_psql('postgres', <<'END');
SET ROLE owner;
CREATE TABLE callers (caller name);
CREATE FUNCTION note_caller() RETURNS boolean LANGUAGE sql AS 'INSERT INTO public.callers VALUES (current_user) RETURNING true';
CREATE FUNCTION trojan(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN public.note_caller(); END';
CREATE DOMAIN trojan_domain AS int CHECK (trojan(value));
CREATE FOREIGN TABLE trojan (a int CHECK (trojan(a)), b trojan_domain) SERVER kafka OPTIONS (topic 'trojan');
CREATE VIEW of_trojan WITH (streamx.continuous) AS SELECT count(*) AS n, max(b) AS b FROM trojan;
END
$broker->produce('trojan', 0, '{"a": 1, "b": 2}');
caught_up($node, 'trojan');
shows($node, 'SELECT n, b FROM of_trojan', '1|2', 'a stream with functions of its owner is read');
$node->safe_psql('postgres', 'SELECT * FROM trojan');
shows($node, 'SELECT string_agg(DISTINCT caller::text, \',\') FROM callers', 'owner', 'and only the owner has run them, not the worker, nor who selects');

# A join names all columns, but needs only some
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE joined (item text, amount int, unused int) SERVER kafka OPTIONS (topic 'joined');
CREATE VIEW of_join WITH (streamx.continuous) AS SELECT item, sum(amount) AS total FROM joined JOIN items USING (item) GROUP BY 1;
END
$broker->produce('joined', 0, '{"item": "tea", "amount": 3, "unused": "bad"}');
caught_up($node, 'joined');
shows($node, 'SELECT total FROM of_join', '3', 'a bad value in a column that a join does not need is no error');

# Bad rows among those on time, partly late and late: each view has its own, and the rest merges as if they were not there
my @kinds = qw(hops steps kept_hops sessions kept_sessions counted_hops);
sub windows
{
	my ($prefix, $options) = @_;

	return <<"END";
CREATE FOREIGN TABLE $prefix (at timestamptz, k text, amount int) SERVER kafka OPTIONS (topic '$prefix', event_time 'at'$options);
BEGIN;
CREATE VIEW ${prefix}_hops WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, k, count(*) AS n, sum(100 / amount) AS total FROM $prefix GROUP BY 1, 2;
CREATE VIEW ${prefix}_steps WITH (streamx.continuous) AS SELECT cumulate(at, '20 minutes', '10 minutes') AS w, k, count(*) AS n, sum(100 / amount) AS total FROM $prefix GROUP BY 1, 2;
CREATE VIEW ${prefix}_kept_hops WITH (streamx.continuous, streamx.retention = '30 minutes') AS SELECT hop(at, '20 minutes', '10 minutes') AS w, k, count(*) AS n, sum(100 / amount) AS total FROM $prefix GROUP BY 1, 2;
CREATE VIEW ${prefix}_sessions WITH (streamx.continuous) AS SELECT session(at, '10 minutes') AS w, k, count(*) AS n, sum(100 / amount) AS total FROM $prefix GROUP BY 1, 2;
CREATE VIEW ${prefix}_kept_sessions WITH (streamx.continuous, streamx.retention = '30 minutes') AS SELECT session(at, '10 minutes') AS w, k, count(*) AS n, sum(100 / amount) AS total FROM $prefix GROUP BY 1, 2;
CREATE VIEW ${prefix}_counted_hops WITH (streamx.continuous) AS SELECT hop(at, '20 minutes', '10 minutes') AS w, k, count(*) AS n FROM $prefix GROUP BY 1, 2;
COMMIT;
END
}
sub messages { return map { sprintf('{"at": "2024-05-01T%s:00Z", "k": "%s", "amount": %d}', split) } @_; }
my @first = messages('10:05 a 1', '10:25 a 2', '10:58 b 4', '11:00 a 5');
my @then = messages(
	'11:02 b 0', '11:01 b 10',    # on time
	'10:52 a 20', '10:53 a 0',    # partly late in hops, on time in sessions
	'10:15 a 25', '10:16 a 0',    # late; between sealed sessions
	'10:49 b 0', '10:48 b 50',    # late in hops, but they touch a session that is open
	'11:05 c 0',                  # the only one of its key
	'11:10 a 0', '11:20 a 100');  # a bridge that is not there
sub shown
{
	my ($view, $order) = @_;

	return "SELECT k, string_agg(format('%s %s', lower(w)::time(0), total), ', ' ORDER BY w) FROM $view GROUP BY k ORDER BY k";
}
my $hops = "a|09:50:00 100, 10:00:00 100, 10:10:00 50, 10:20:00 50, 10:50:00 25, 11:00:00 20, 11:10:00 1, 11:20:00 1\nb|10:40:00 25, 10:50:00 35, 11:00:00 10";
my $sessions = "a|10:05:00 100, 10:25:00 50, 10:52:00 25, 11:20:00 1\nb|10:48:00 37";
sub dead_letters { return "SELECT string_agg(to_char((\"row\"->>'at')::timestamptz, 'HH24:MI'), ' ' ORDER BY \"row\"->>'at') FROM streamx.dead_letters WHERE view = '$_[0]'::regclass"; }
sub late_rows { return "SELECT string_agg(to_char(event_time, 'HH24:MI') || CASE WHEN counted THEN ' partly' ELSE '' END, ', ' ORDER BY event_time) FROM streamx.late_rows WHERE view = '$_[0]'::regclass"; }

$node->safe_psql('postgres', windows('mixed', '') . ' ALTER DATABASE postgres SET timezone = \'UTC\'');
$broker->produce('mixed', 0, @first);
caught_up($node, 'mixed');
$node->safe_psql('postgres', "SELECT streamx.pause('mixed')");
$broker->produce('mixed', 0, @then);
$node->safe_psql('postgres', "SELECT streamx.resume('mixed')");
caught_up($node, 'mixed');
shows($node, shown('mixed_hops'), $hops, 'hops take the good rows, on time and partly late');
shows($node, dead_letters('mixed_hops'), '10:53 11:02 11:05 11:10', 'the bad ones are their dead letters');
shows($node, late_rows('mixed_hops'), '10:15, 10:16, 10:48, 10:49, 10:52 partly', 'but for those that are late');
shows($node, dead_letters('mixed_steps'), '11:02 11:05 11:10', 'cumulate has its own dead letters');
shows($node, late_rows('mixed_steps'), '10:15, 10:16, 10:48, 10:49, 10:52, 10:53', 'and late rows');
shows($node, shown('mixed_sessions'), $sessions, 'sessions take the good rows, those that are too old by themselves as well');
shows($node, dead_letters('mixed_sessions'), '10:16 10:49 10:53 11:02 11:05 11:10', 'a bad row bridges and extends nothing');
shows($node, late_rows('mixed_sessions'), '10:15', 'a sealed session is sealed');
shows($node, 'SELECT sum(n) FROM mixed_counted_hops', '20', 'a view without the aggregate takes them all');
shows($node, dead_letters('mixed_counted_hops'), '', 'and has no dead letter');
shows($node, shown('mixed_kept_hops'), "a|10:50:00 25, 11:00:00 20, 11:10:00 1, 11:20:00 1\nb|10:40:00 25, 10:50:00 35, 11:00:00 10", 'retention goes on');
verified($node, "mixed_$_") for @kinds;
shows($node, q{SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'mixed'::regclass}, '1', 'the views stay together');

# on_error 'stop': nothing of the batch is kept, and it is judged by the same watermark when the view goes on
$node->safe_psql('postgres', windows('halted', ", on_error 'stop'"));
$broker->produce('halted', 0, @first);
caught_up($node, 'halted');
$node->safe_psql('postgres', "SELECT streamx.pause('halted')");
$broker->produce('halted', 0, @then);
$node->safe_psql('postgres', "SELECT streamx.resume('halted')");
eventually($node, q{SELECT string_agg(view::text, ' ' ORDER BY view::text) FROM streamx.stat_views WHERE stream = 'halted'::regclass AND state = 'paused'},
	'halted_hops halted_kept_hops halted_kept_sessions halted_sessions halted_steps', 'the views that fail pause');
eventually($node, 'SELECT sum(n) FROM halted_counted_hops', '20', 'the one that does not goes on');
shows($node, shown('halted_hops'), "a|09:50:00 100, 10:00:00 100, 10:10:00 50, 10:20:00 50, 10:50:00 20, 11:00:00 20\nb|10:40:00 25, 10:50:00 25", 'a paused hop view has kept nothing of the batch');
shows($node, shown('halted_sessions'), "a|10:05:00 100, 10:25:00 50, 11:00:00 20\nb|10:58:00 25", 'nor has a session view');
shows($node, late_rows("halted_$_"), '', "nor late rows: $_") for qw(hops steps sessions);
verified($node, "halted_$_") for @kinds;
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE halted OPTIONS (SET on_error 'dead_letter'); SELECT streamx.resume(view) FROM streamx.stat_views WHERE stream = 'halted'::regclass AND state = 'paused'});
caught_up($node, 'halted');
shows($node, shown('halted_hops'), $hops, 'resumed, each row counts once in hops');
shows($node, shown('halted_sessions'), $sessions, 'and sessions');
shows($node, late_rows('halted_hops'), '10:15, 10:16, 10:48, 10:49, 10:52 partly', 'and is as late as it was');
shows($node, dead_letters('halted_sessions'), '10:16 10:49 10:53 11:02 11:05 11:10', 'with the same dead letters');
verified($node, "halted_$_") for @kinds;

# Many of them, in many batches
my $seed = $ENV{STREAMX_SEED} // int(rand(1_000_000));
note("seed $seed");
srand($seed);
$node->safe_psql('postgres', windows('windowed', ''));
$node->safe_psql('postgres', q{ALTER FOREIGN TABLE windowed OPTIONS (ADD watermark_delay '20 minutes')});
for my $batch (1 .. 6)
{
	my @rows = map { sprintf('%02d:%02d %s %d', (map { ($_ / 60, $_ % 60) } 600 + 60 * $batch + int(rand(120)) - (rand() < 0.2 ? 120 : 0)), chr(97 + int(rand(8))), int(rand(20))) } 1 .. 300;

	$node->safe_psql('postgres', "SELECT streamx.pause('windowed')");
	$broker->produce('windowed', $_, messages(@rows[150 * $_ .. 150 * $_ + 149])) for 0, 1;
	$node->safe_psql('postgres', "SELECT streamx.resume('windowed')");
	caught_up($node, 'windowed');
}
verified($node, "windowed_$_") for @kinds;
shows($node, q{SELECT (SELECT sum(n) FROM windowed_sessions) + count(*) FROM (SELECT FROM streamx.late_rows WHERE view = 'windowed_sessions'::regclass UNION ALL SELECT FROM streamx.dead_letters WHERE view = 'windowed_sessions'::regclass) AS refused},
	'1800', 'each row is in a session, a late row or a dead letter');
shows($node, q{SELECT count(*) FILTER (WHERE d > 10), count(*) FILTER (WHERE l > 10) FROM (SELECT (SELECT count(*) FROM streamx.dead_letters d WHERE d.view = v.view) AS d, (SELECT count(*) FROM streamx.late_rows l WHERE l.view = v.view) AS l FROM streamx.view_streams v WHERE stream = 'windowed'::regclass) AS counts},
	'5|6', 'and there are many of these');

done_testing();
