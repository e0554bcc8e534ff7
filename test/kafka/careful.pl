# The careful run of a batch: nothing twice, nothing lost, nothing run as the worker's superuser

use strict;
use warnings;

use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1, lone => 1, keys => 1, pairs => 1, many => 1, trojan => 1, joined => 1);
my $node = streamx_node('careful', broker => $broker, settings => [ 'streamx.max_restart_backoff = 300ms' ]);

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

done_testing();
