# Threats of the kind that want a server of their own, by their numbers in the
# table of docs/administration.md

use strict;
use warnings;

use Cwd 'abs_path';
use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Utils;
use StreamX;
use Test::More;

my $programs = dirname(dirname(abs_path(__FILE__))) . '/kafka';
my $canary = 'tweety-4711';
my $broker = StreamX::Broker->new(orders => 1);
my $address = $broker->address;
# statements that succeed are logged by log_statement, which is not ours to hide
my $node = streamx_node('threats', settings => [ 'log_statement = none', 'log_min_messages = debug1', 'jit = off', 'streamx.max_restart_backoff = 300ms', "timezone = 'UTC'" ]);

sub fails
{
	my ($query, $expected, $title, @options) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $query, @options);

	like($err, $expected, $title);
}

# S1: of the properties of the linked librdkafka nobody can set one that is not on our list
my @properties = split /\n/, `$programs/properties`;
my @allowed = qw(bootstrap_servers security_protocol sasl_mechanism sasl_username sasl_password ssl_ca_pem ssl_certificate_pem
	ssl_key_pem ssl_key_password ssl_keystore_password ssl_ca_location ssl_crl_location ssl_certificate_location ssl_key_location
	ssl_keystore_location ssl_endpoint_identification_algorithm ssl_cipher_suites ssl_curves_list ssl_sigalgs_list broker_address_family
	broker_address_ttl client_rack connections_max_idle_ms reconnect_backoff_ms reconnect_backoff_max_ms socket_timeout_ms
	socket_connection_setup_timeout_ms socket_keepalive_enable socket_nagle_disable socket_receive_buffer_bytes socket_send_buffer_bytes
	fetch_wait_max_ms fetch_min_bytes fetch_max_bytes max_partition_fetch_bytes fetch_error_backoff_ms receive_message_max_bytes);
my %is_allowed = map { $_ => 1 } @allowed;
my %is_property = map { $_ => 1 } @properties;
ok($is_property{$_}, "S1: this librdkafka has $_") for qw(plugin.library.paths sasl.kerberos.kinit.cmd ssl.ca.location debug interceptors);
is(join(' ', grep { !$is_property{s/_/./gr} } @allowed), '', 'S1: what we allow are properties of this librdkafka');
my %names = map { $_ => 1 } map { ($_, s/\./_/gr) } @properties, qw(test.mock.num.brokers test.mock.broker.rtt ssl.engine.id ssl.engine.location ssl.engine.path ssl.providers opaque on_new enabled_events);
my @names = sort keys %names;
my $names = join(', ', map { "'$_'" } @names);
my $taken = $node->safe_psql('postgres', <<"END");
CREATE SERVER s FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k');
CREATE FOREIGN TABLE t (n int) SERVER s OPTIONS (topic 't');
CREATE USER MAPPING FOR CURRENT_USER SERVER s;
CREATE TABLE tried (name text, what text, sqlstate text);
DO \$\$
DECLARE name text; what text;
BEGIN
	FOREACH name IN ARRAY ARRAY[$names] LOOP
		FOREACH what IN ARRAY ARRAY['SERVER s', 'USER MAPPING FOR CURRENT_USER SERVER s', 'FOREIGN TABLE t', 'FOREIGN TABLE t ALTER n', 'FOREIGN DATA WRAPPER streamx'] LOOP
			BEGIN
				EXECUTE format('ALTER %s OPTIONS (ADD %I %L)', what, name, '1');
				INSERT INTO tried VALUES (name, what, '00000');
			EXCEPTION WHEN OTHERS THEN
				INSERT INTO tried VALUES (name, what, SQLSTATE);
			END;
		END LOOP;
	END LOOP;
END \$\$;
SELECT DISTINCT name FROM tried WHERE sqlstate <> 'HV00D' ORDER BY 1;
END
is(join(' ', grep { !$is_allowed{$_} && $_ ne 'topic' } split /\n/, $taken), '', 'S1: no other property is known, as a superuser, on any object, dotted or not');
is(join(' ', grep { my $name = $_; !grep { $_ eq $name } split /\n/, $taken } @allowed), '', 'S1: those that are allowed are');
shows($node, "SELECT count(DISTINCT name) = " . @names . " FROM tried", 't', 'S1: all were tried: ' . @properties);
$node->safe_psql('postgres', 'DROP SERVER s CASCADE; DROP TABLE tried');

# S3: who names hosts was given the wrapper, and a password cannot be among them
$node->safe_psql('postgres', 'CREATE ROLE plain LOGIN; CREATE ROLE nosy LOGIN; CREATE ROLE dumper LOGIN; GRANT CREATE ON SCHEMA public TO plain, nosy');
fails("CREATE SERVER s FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '169.254.169.254:80')", qr/permission denied for foreign-data wrapper streamx/, 'S3: a plain role names no hosts',
	extra_params => [ '-U', 'plain' ]);
shows($node, "SELECT has_foreign_data_wrapper_privilege('plain', 'streamx', 'USAGE'), has_server_privilege('plain', 'streamx', 'USAGE'), has_foreign_data_wrapper_privilege('plain', 'streamx_windows', 'USAGE')",
	'f|f|f', 'S3: nothing of it is granted to PUBLIC');
fails("CREATE SERVER s FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'user:password\@k:9092')", qr/invalid value for option "bootstrap_servers"/, 'S3: an address has no user and password');

# S4: the canary is a password, seen by nobody
$node->safe_psql('postgres', <<"END");
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '$address', security_protocol 'sasl_plaintext', sasl_mechanism 'PLAIN');
GRANT USAGE ON FOREIGN SERVER kafka TO plain;
CREATE USER MAPPING FOR plain SERVER kafka OPTIONS (sasl_username 'user-$canary', sasl_password '$canary');
SET ROLE plain;
CREATE FOREIGN TABLE orders (n int) SERVER kafka OPTIONS (topic 'orders');
CREATE VIEW counted WITH (streamx.continuous) AS SELECT count(*) FROM orders;
END
my $seen = '';
for my $query (
	"CREATE USER MAPPING FOR nosy SERVER kafka OPTIONS (sasl_password '$canary', wrong 'x')",
	"CREATE SERVER s FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', sasl_password '$canary')",
	"CREATE FOREIGN TABLE s (n int) SERVER kafka OPTIONS (topic 't', sasl_password '$canary')",
	"ALTER SERVER kafka OPTIONS (ADD ssl_key_pem '$canary')",
	"ALTER FOREIGN DATA WRAPPER streamx OPTIONS (ADD sasl_password '$canary')",
	"ALTER USER MAPPING FOR plain SERVER kafka OPTIONS (ADD ssl_key_password '$canary', ADD sasl_pass '$canary')",
	"SET statement_timeout = '5s'; SELECT * FROM orders",
	'EXPLAIN (VERBOSE, ANALYZE) SELECT * FROM orders LIMIT 0',
	'SELECT * FROM streamx.stat_workers, streamx.stat_streams, streamx.stat_views',
	'SELECT * FROM pg_stat_activity')
{
	my ($rc, $out, $err) = $node->psql('postgres', $query);

	$seen .= "$out\n$err\n";
}
eventually($node, "SELECT state FROM streamx.stat_workers WHERE stream_name = 'orders'", 'disconnected', 'S4: the worker cannot log in here');
$seen .= $node->safe_psql('postgres', 'SELECT * FROM streamx.stat_workers, streamx.stat_streams, streamx.stat_views');
$seen .= $node->safe_psql('postgres', 'SELECT * FROM pg_user_mappings, pg_foreign_server, information_schema.user_mapping_options', extra_params => [ '-U', 'nosy' ]);
like($seen, qr/invalid option "wrong"/, 'S4: errors are seen');
unlike($seen, qr/\Q$canary/, 'S4: but no password in errors, plans, activity and monitoring');
$node->safe_psql('postgres', 'GRANT pg_read_all_data TO dumper');
my ($dump, $errors) = ('', '');
IPC::Run::run([ 'pg_dump', '-d', $node->connstr('postgres'), '-U', 'dumper' ], '>', \$dump, '2>', \$errors);
like($dump, qr/CREATE USER MAPPING/, 'S4: a role that may read all dumps the mapping');
unlike($dump, qr/\Q$canary/, 'S4: without the password');
unlike(slurp_file($node->logfile), qr/\Q$canary/, 'S4: and the server\'s log has none');
$node->safe_psql('postgres', 'DROP SERVER kafka CASCADE');

# S8: what is found where the extension is to go
$node->safe_psql('postgres', 'CREATE DATABASE trap; CREATE DATABASE occupied; CREATE DATABASE shadowed');
$node->safe_psql('occupied', 'GRANT CREATE ON DATABASE occupied TO nosy; SET ROLE nosy; CREATE SCHEMA streamx');
my (undef, undef, $occupied) = $node->psql('occupied', 'CREATE EXTENSION streamx');
like($occupied, qr/schema "streamx" already exists/, 'S8: a schema of ours that somebody made is no home');
$node->safe_psql('shadowed', 'GRANT CREATE ON SCHEMA public TO nosy; SET ROLE nosy; CREATE FUNCTION tumble(ts timestamptz, size interval, origin timestamptz, timezone text) RETURNS tstzrange LANGUAGE sql AS \'SELECT NULL::tstzrange\'');
my (undef, undef, $shadowed) = $node->psql('shadowed', 'CREATE EXTENSION streamx');
like($shadowed, qr/function "tumble" already exists/, 'S8: nor is a function replaced, or made ours');
$node->safe_psql('trap', <<'END');
GRANT CREATE ON SCHEMA public TO nosy;
SET ROLE nosy;
DO $$
DECLARE t text; o text; f text;
BEGIN
	FOREACH t IN ARRAY ARRAY['regclass', 'oid', 'int', 'bigint', 'text', 'name', 'boolean', 'timestamptz', 'interval', 'bytea', 'regclass[]'] LOOP
		EXECUTE format('CREATE FUNCTION public.sabotage(%1$s, %1$s) RETURNS boolean LANGUAGE plpgsql AS %2$L', t, 'BEGIN RAISE ''sabotage''; END');
		FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '||', '-', '+'] LOOP
			EXECUTE format('CREATE OPERATOR public.%1$s (FUNCTION = public.sabotage, LEFTARG = %2$s, RIGHTARG = %2$s)', o, t);
		END LOOP;
		FOREACH f IN ARRAY ARRAY['max', 'min', 'sum', 'count', 'bool_and', 'unnest', 'pg_total_relation_size', 'has_table_privilege', 'pg_extension_config_dump', 'nextval', 'now'] LOOP
			EXECUTE format('CREATE FUNCTION public.%I(%s) RETURNS boolean LANGUAGE plpgsql AS %L', f, t, 'BEGIN RAISE ''sabotage''; END');
		END LOOP;
	END LOOP;
	-- better matches than PostgreSQL's own for a number and a constant
	CREATE FUNCTION public.sabotage(numeric, int) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''sabotage''; END';
	FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>=', '/', '*'] LOOP
		EXECUTE format('CREATE OPERATOR public.%s (FUNCTION = public.sabotage, LEFTARG = numeric, RIGHTARG = int)', o);
	END LOOP;
	-- types and relations that an unqualified name could mean
	FOREACH t IN ARRAY ARRAY['pg_class', 'pg_database', 'streams', 'views', 'readers', 'progress', 'dead_letter'] LOOP
		EXECUTE format('CREATE TABLE public.%I (oid oid, datname name, stream regclass, view regclass)', t);
	END LOOP;
	FOREACH t IN ARRAY ARRAY['state', 'regprocedure', 'tstzrange'] LOOP
		EXECUTE format('CREATE DOMAIN public.%I AS int', t);
	END LOOP;
END $$;
RESET ROLE;
CREATE EXTENSION streamx;
CREATE FOREIGN TABLE stream (at timestamptz, k text, n int) SERVER streamx OPTIONS (event_time 'at', retain 'on', on_error 'dead_letter');
CREATE VIEW hops WITH (streamx.continuous) AS SELECT hop(at, '1 hour', '10 minutes') AS w, k, pg_catalog.count(*) AS c, pg_catalog.count(DISTINCT n) AS d, pg_catalog.sum(10 / n) AS s FROM stream GROUP BY 1, 2;
INSERT INTO stream VALUES ('2024-05-01 10:00', 'a', 1), ('2024-05-01 12:00', 'a', 0), ('2024-05-01 12:00', 'b', 2);
INSERT INTO stream VALUES ('2024-05-01 10:00', 'a', 1);
END
sub trap_shows { my ($query, $expected, $title) = @_; is($node->safe_psql('trap', $query), $expected, $title); }
trap_shows(<<'END', '', 'S8: nothing of ours has come to depend on what was there before');
SELECT pg_describe_object(d.classid, d.objid, d.objsubid), pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
FROM pg_depend d JOIN pg_shdepend o ON o.dbid = (SELECT oid FROM pg_database WHERE datname = 'trap') AND o.classid = d.refclassid AND o.objid = d.refobjid
	AND o.deptype = 'o' AND o.refobjid = 'nosy'::regrole
WHERE NOT EXISTS (SELECT FROM pg_shdepend m WHERE m.dbid = o.dbid AND m.classid = d.classid AND m.objid = d.objid AND m.refobjid = o.refobjid)
	AND d.classid <> 'pg_class'::regclass AND d.classid <> 'pg_type'::regclass AND d.classid <> 'pg_attrdef'::regclass
END
trap_shows('SELECT pg_catalog.count(*) FROM hops', '12', 'S8: and a view works among it');
trap_shows('SELECT * FROM streamx.verify(\'hops\')', '', 'S8: is right');
trap_shows('SELECT pg_catalog.count(*) FROM streamx.dead_letters, streamx.late_rows, streamx.stat_views, streamx.stat_streams', '1', 'S8: and can be watched');
trap_shows('DROP OWNED BY nosy; SELECT pg_catalog.count(*) FROM hops', '12', 'S8: what was there can go, and nothing of ours with it');

# S7: nothing runs as its owner but by what C does, and no script replaces what it finds
shows($node, <<'END', '', 'S7: no function of the extension is SECURITY DEFINER');
SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'streamx' WHERE p.prosecdef
END
my $script = slurp_file(dirname($programs) . '/../sql/streamx.sql') =~ s{/\*.*?\*/}{}sgr =~ s/--.*//gr =~ s/'[^']*'//gr;
unlike($script, qr/OR\s+REPLACE|IF\s+NOT\s+EXISTS|SECURITY\s+DEFINER/i, 'S7, S8: nor does its script replace, or take what is there');
my @views = $script =~ /CREATE VIEW (.*?);/gs;
cmp_ok(scalar(@views), '>=', 5, 'S7: the script has views');
is(join("\n", map { my $view = $_ =~ s/OPERATOR\(pg_catalog\.[^)]*\)//gr =~ s/::[a-z_.]+//gr =~ s/(count|\()\*\)//gr; $view =~ /([^\n]*[=<>|+~\/-][^\n]*)/ ? "$1" : () } @views), '',
	'S7: every operator in them names its schema');
unlike($script, qr/DISTINCT\s+FROM|\sUSING\s*\(|NULLIF|\sIN\s*\(|BETWEEN|\sLIKE\s|CASE\s+\w+\s+WHEN/i, 'S7: and none comes with other syntax, which cannot');

# S12: TLS is what it says: another's certificate is none
SKIP:
{
	skip 'there is no openssl', 6 if system('openssl version >/dev/null 2>&1') != 0;

	my $directory = PostgreSQL::Test::Utils::tempdir();
	my $port = PostgreSQL::Test::Cluster::get_free_port();
	my $tls;

	sub certificate
	{
		my ($name, $san) = @_;

		system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$name -addext 'subjectAltName = $san' -keyout $directory/$name.key -out $directory/$name.pem >/dev/null 2>&1") == 0
			or die 'openssl failed';
		return slurp_file("$directory/$name.pem");
	}
	sub serve
	{
		my ($name) = @_;

		$tls->kill_kill if $tls;
		$tls = IPC::Run::start([ 'openssl', 's_server', '-accept', "127.0.0.1:$port", '-cert', "$directory/$name.pem", '-key', "$directory/$name.key", '-naccept', 1000 ],
			'<', \undef, '>', "$directory/$name.out", '2>&1');
	}
	my %pem = (right => certificate('right', 'IP:127.0.0.1'), wrong => certificate('wrong', 'DNS:elsewhere.example'));

	serve('right');
	$node->safe_psql('postgres', <<"END");
CREATE SERVER tls FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '127.0.0.1:$port', security_protocol 'ssl', ssl_ca_pem '$pem{wrong}');
CREATE FOREIGN TABLE secured (n int) SERVER tls OPTIONS (topic 'secured');
CREATE VIEW of_secured WITH (streamx.continuous) AS SELECT count(*) FROM secured;
END
	my $refused = "SELECT last_error ~* 'certificate verify failed|certificate could not be verified' FROM streamx.stat_workers WHERE stream_name = 'secured'";
	eventually($node, $refused, 't', 'S12: a certificate that no authority of the server\'s has signed is refused');
	unlike(slurp_file("$directory/right.out"), qr/^CIPHER is/m, 'S12: before anything is said');
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE secured CASCADE');

	serve('wrong');
	$node->safe_psql('postgres', <<"END");
CREATE FOREIGN TABLE misnamed (n int) SERVER tls OPTIONS (topic 'misnamed');
CREATE VIEW of_misnamed WITH (streamx.continuous) AS SELECT count(*) FROM misnamed;
END
	eventually($node, $refused =~ s/secured/misnamed/r, 't', 'S12: one that was made out to another host is, too');
	unlike(slurp_file("$directory/wrong.out"), qr/^CIPHER is/m, 'S12: before anything is said');
	$node->safe_psql('postgres', 'DROP FOREIGN TABLE misnamed CASCADE');

	serve('right');
	$node->safe_psql('postgres', <<"END");
ALTER SERVER tls OPTIONS (SET ssl_ca_pem '$pem{right}');
CREATE FOREIGN TABLE safe (n int) SERVER tls OPTIONS (topic 'safe');
CREATE VIEW of_safe WITH (streamx.continuous) AS SELECT count(*) FROM safe;
END
	my $spoke = 0;
	for (1 .. 1800)
	{
		last if $spoke = slurp_file("$directory/right.out") =~ /^CIPHER is/m;
		select(undef, undef, undef, 0.1);
	}
	ok($spoke, 'S12: with the right one they speak');
	$tls->kill_kill;
	fails("ALTER SERVER tls OPTIONS (ADD ssl_endpoint_identification_algorithm 'none')", qr/must be owner|permission denied/, 'S12: a plain role cannot do with less', extra_params => [ '-U', 'plain' ]);
}
done_testing();
