# Fault 39 and threats S10, S11: rights that are taken away, and functions that
# want the worker for themselves, stop what they belong to, say so, and nothing else

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $broker = StreamX::Broker->new(orders => 1, shared => 1, other => 1, slow => 1, folded => 1);
my $node = streamx_node('privileges', broker => $broker,
	settings => [ 'streamx.max_restart_backoff = 300ms', 'streamx.max_batch_time = 500ms', "timezone = 'UTC'" ]);
my $address = $broker->address;

sub state_of { my ($view) = @_; return "SELECT state, last_error FROM streamx.stat_views WHERE view = '$view'::regclass"; }
sub fails_with { my ($view, $error, $title) = @_; eventually($node, state_of($view), "failing|$error", $title); }
sub messages { my ($from, $to) = @_; return map { "{\"n\": $_}" } $from .. $to; }

$node->safe_psql('postgres', <<"END");
CREATE ROLE clerk;
CREATE ROLE guest;
CREATE ROLE chief SUPERUSER;
CREATE SCHEMA desk AUTHORIZATION clerk;
GRANT USAGE, CREATE ON SCHEMA desk TO guest;
CREATE SERVER second FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address');
GRANT USAGE ON FOREIGN SERVER kafka, second TO clerk;
SET ROLE clerk;
CREATE FOREIGN TABLE desk.orders (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW desk.own WITH (streamx.continuous) AS SELECT count(*) AS n FROM desk.orders;
CREATE FOREIGN TABLE desk.other (n int) SERVER second OPTIONS (topic 'other');
CREATE VIEW desk.bystander WITH (streamx.continuous) AS SELECT count(*) AS n FROM desk.other;
CREATE FOREIGN TABLE desk.shared (n int) SERVER second OPTIONS (topic 'shared');
GRANT SELECT ON desk.shared TO guest;
RESET ROLE;
BEGIN;
SET LOCAL ROLE clerk;
CREATE VIEW desk.clerks WITH (streamx.continuous) AS SELECT count(*) AS n FROM desk.shared;
SET LOCAL ROLE guest;
CREATE VIEW desk.guests WITH (streamx.continuous) AS SELECT count(*) AS n, sum(n) AS total FROM desk.shared;
SET LOCAL ROLE chief;
CREATE VIEW desk.chiefs WITH (streamx.continuous) AS SELECT count(*) AS n, max(n) AS most FROM desk.shared;
COMMIT;
END
$broker->produce('orders', 0, messages(1, 3));
$broker->produce('shared', 0, messages(1, 3));
$broker->produce('other', 0, messages(1, 3));
caught_up($node, "desk.$_") for qw(orders shared other);
my $workers = join(' ', sort(worker_pids($node)));

# USAGE on the server gates the stream
$node->safe_psql('postgres', 'REVOKE USAGE ON FOREIGN SERVER kafka FROM clerk');
$broker->produce($_, 0, messages(4, 6)) for qw(orders other);
fails_with('desk.own', 'permission denied for foreign server kafka', 'without USAGE on the server the stream stops, and its view says so');
caught_up($node, 'desk.other');
shows($node, 'SELECT n FROM desk.bystander', '6', 'a stream of another server goes on');
shows($node, 'SELECT n FROM desk.own', '3', 'what was counted can be read');
my (undef, undef, $refused) = $node->psql('postgres', 'SELECT * FROM desk.orders');
like($refused, qr/permission denied for foreign server kafka/, 'the topic cannot be read, either');
(undef, undef, $refused) = $node->psql('postgres', "CALL streamx.wait_for('desk.orders')");
like($refused, qr/permission denied for foreign server kafka/, 'or asked for its end');
$node->safe_psql('postgres', 'GRANT USAGE ON FOREIGN SERVER kafka TO clerk');
caught_up($node, 'desk.orders');
shows($node, 'SELECT n FROM desk.own', '6', 'with USAGE it goes on, not a row lost or doubled');

# A stream's new owner needs it, too
$node->safe_psql('postgres', 'ALTER FOREIGN TABLE desk.orders OWNER TO guest');
$broker->produce('orders', 0, messages(7, 8));
fails_with('desk.own', 'permission denied for foreign server kafka', 'a new owner without USAGE stops the stream');
$node->safe_psql('postgres', 'ALTER FOREIGN TABLE desk.orders OWNER TO clerk');
caught_up($node, 'desk.orders');
shows($node, 'SELECT n FROM desk.own', '8', 'the old one lets it go on');

# SELECT on the stream gates the view: others on the same reader go on
$node->safe_psql('postgres', 'REVOKE SELECT ON desk.shared FROM guest');
$broker->produce('shared', 0, messages(4, 6));
eventually($node, state_of('desk.guests'), 'failing|permission denied for foreign table shared (continuous view "guests")', 'without SELECT on the stream a view stops, and says so');
eventually($node, 'SELECT c.n, h.n FROM desk.clerks c, desk.chiefs h', '6|6', 'the others of its reader go on');
shows($node, "SELECT string_agg(DISTINCT state, ' ') FROM streamx.stat_views WHERE view IN ('desk.clerks'::regclass, 'desk.chiefs'::regclass)", 'caught up', 'and are well');
$node->safe_psql('postgres', 'GRANT SELECT ON desk.shared TO guest');
caught_up($node, 'desk.shared');
shows($node, 'SELECT n, total FROM desk.guests', '6|21', 'with SELECT it goes on, not a row lost or doubled');
verified($node, 'desk.guests');

# An owner who is no superuser any more
$node->safe_psql('postgres', 'ALTER ROLE chief NOSUPERUSER');
$broker->produce('shared', 0, messages(7, 9));
eventually($node, state_of('desk.chiefs') =~ s/, last_error/, last_error ~ '^permission denied'/r, 'failing|t', 'the view of a superuser who is none any more stops');
eventually($node, 'SELECT c.n, g.n FROM desk.clerks c, desk.guests g', '9|9', 'the others go on');
$node->safe_psql('postgres', 'ALTER ROLE chief SUPERUSER');
caught_up($node, 'desk.shared');
shows($node, 'SELECT n, most FROM desk.chiefs', '9|9', 'and it does when its owner may');

# Roles that own something cannot be dropped
(undef, undef, $refused) = $node->psql('postgres', 'DROP ROLE guest');
like($refused, qr/role "guest" cannot be dropped because some objects depend on it/, 'an owner cannot be dropped');
is(join(' ', sort(worker_pids($node))), $workers, 'all of that with the same workers: none crashed');

# Functions that want the worker for themselves
$node->safe_psql('postgres', <<'END');
SET ROLE guest;
CREATE TABLE desk.mood (mood text);
INSERT INTO desk.mood VALUES ('good');
CREATE FUNCTION desk.hold(n int) RETURNS int LANGUAGE plpgsql STABLE AS $$
DECLARE mood text := (SELECT mood FROM desk.mood);
BEGIN
	IF mood = 'endless' THEN PERFORM pg_sleep(3600);
	ELSIF mood = 'stubborn' THEN LOOP BEGIN PERFORM pg_sleep(3600); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
	ELSIF mood <> 'good' THEN RAISE EXCEPTION 'mood %', mood USING ERRCODE = mood;
	END IF;
	RETURN n;
END $$;
RESET ROLE;
CREATE FOREIGN TABLE slow (n int) SERVER second OPTIONS (topic 'slow');
GRANT SELECT ON slow TO guest;
BEGIN;
CREATE VIEW quick WITH (streamx.continuous) AS SELECT count(*) AS n FROM slow;
SET LOCAL ROLE guest;
CREATE VIEW desk.held WITH (streamx.continuous) AS SELECT count(*) AS n, sum(desk.hold(n)) AS total FROM slow;
COMMIT;
END
my $sent = 0;
my %error = (
	endless => 'canceled after streamx.max_batch_time, 500 ms%',
	40001 => 'mood 40001 (%)',		# as if another had been faster
	'55P03' => 'mood 55P03 (%)',	# as if somebody held a lock
	57014 => 'mood 57014 (%)',		# as if it had been cancelled
	53200 => 'mood 53200 (%)',		# as if there were no memory
	'57P01' => 'mood 57P01 (%)',	# as if the server were stopped
);
for my $mood (qw(endless 40001 55P03 57014 53200 57P01))
{
	$node->safe_psql('postgres', "UPDATE desk.mood SET mood = '$mood'");
	$broker->produce('slow', 0, messages($sent + 1, $sent + 3));
	$sent += 3;
	eventually($node, 'SELECT n FROM quick', $sent, "$mood: other views go on");
	eventually($node, "SELECT state, last_error LIKE '$error{$mood}' FROM streamx.stat_views WHERE view = 'desk.held'::regclass", 'failing|t', "$mood: the view says what it fails for");
	$node->safe_psql('postgres', "UPDATE desk.mood SET mood = 'good'");
	caught_up($node, 'slow');
	shows($node, 'SELECT n FROM desk.held', $sent, "$mood: when it is good again, it has not lost a row");
	# back with the others, so that they wait for it again
	eventually($node, "SELECT count(DISTINCT reader) FROM streamx.view_streams WHERE stream = 'slow'::regclass", '1', "$mood: and is back with the others");
}

# One that catches its cancellation costs the worker, but not the next one
$node->safe_psql('postgres', "UPDATE desk.mood SET mood = 'stubborn'");
$broker->produce('slow', 0, messages($sent + 1, $sent + 3));
$sent += 3;
eventually($node, 'SELECT n FROM quick', $sent, 'stubborn: other views go on');
eventually($node, state_of('desk.held'), 'paused|it did not end after streamx.max_batch_time', 'stubborn: the view is paused, and says why');
$node->safe_psql('postgres', "UPDATE desk.mood SET mood = 'good'; SELECT streamx.resume('desk.held')");
caught_up($node, 'slow');
shows($node, 'SELECT n FROM desk.held', $sent, 'stubborn: resumed, it has not lost a row');
verified($node, $_) for qw(desk.held quick);

# An aggregate that never ends when its window's inputs are folded
$node->safe_psql('postgres', <<'END');
CREATE FOREIGN TABLE folded (at timestamptz, n int) SERVER second OPTIONS (topic 'folded', event_time 'at');
GRANT SELECT ON folded TO guest;
SET ROLE guest;
CREATE FUNCTION desk.note(a int[], n int) RETURNS int[] IMMUTABLE LANGUAGE sql AS 'SELECT a || n';
CREATE FUNCTION desk.never(a int[]) RETURNS int STABLE LANGUAGE plpgsql AS
	$$ BEGIN IF cardinality(a) > 1 THEN PERFORM pg_sleep(3600); END IF; RETURN 1; END $$;
CREATE AGGREGATE desk.slow_agg(int) (sfunc = desk.note, stype = int[], finalfunc = desk.never, initcond = '{}');
CREATE VIEW desk.folding WITH (streamx.continuous) AS SELECT tumble(at, '1 minute') AS w, count(*) AS n, desk.slow_agg(n) FROM folded GROUP BY 1;
RESET ROLE;
CREATE VIEW beside WITH (streamx.continuous) AS SELECT count(*) AS n FROM folded;
END
$broker->produce('folded', 0, map { sprintf('{"at": "2024-05-01 10:%02d:00", "n": 1}', $_) } 0, 0, 1, 1, 2, 2);
eventually($node, 'SELECT n FROM beside', '6', 'folding: other views go on');
eventually($node, "SELECT count(*) FROM streamx_internal.folding WHERE view = 'desk.folding'::regclass", '0', 'and it ends for the one that takes too long');
$broker->produce('folded', 0, '{"at": "2024-05-01 10:30:00", "n": 1}');
eventually($node, 'SELECT b.n, (SELECT sum(n) FROM desk.folding) FROM beside b', '7|7', 'which goes on as well');

my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|terminated by signal/, 'no crash');
like($log, qr/inputs of continuous view "folding" are no longer folded/, 'the log tells of the folding');
my $ends = () = $log =~ /terminating background worker/g;
is($ends, 2, 'and that one view cost a worker twice: with the others, and by itself');
done_testing();
