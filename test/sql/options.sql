-- Options: what may be said about servers, users, streams and columns, and what is refused, in which words
SET timezone = 'UTC';
SELECT no_plan();
CREATE ROLE regress_streamx_plain;
CREATE ROLE regress_streamx_reader IN ROLE pg_read_server_files;
GRANT USAGE ON FOREIGN DATA WRAPPER streamx TO regress_streamx_plain, regress_streamx_reader;
GRANT USAGE ON FOREIGN SERVER streamx TO regress_streamx_plain;
GRANT CREATE ON SCHEMA public TO regress_streamx_plain;

-- A server is a Kafka cluster when it says where; else it is for streams fed by INSERT
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:9092');
CREATE SERVER tables FOREIGN DATA WRAPPER streamx;
CREATE SERVER many FOREIGN DATA WRAPPER streamx
	OPTIONS (bootstrap_servers 'SASL_SSL://kafka1:9092,[::1]:9093,kafka3', security_protocol 'sasl_ssl',
	         sasl_mechanism 'SCRAM-SHA-512', socket_timeout_ms '10000', socket_keepalive_enable 'on',
	         fetch_wait_max_ms '100', broker_address_family 'v4');
DROP SERVER many;
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (socket_timeout_ms '10000');
ALTER SERVER kafka OPTIONS (DROP bootstrap_servers, ADD client_rack 'a');

-- Names from elsewhere are answered with ours
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (brokers 'localhost:9092');
-- only the beginnings of the hints from here on: the valid options are above
CREATE FUNCTION hint(catalog regclass, VARIADIC options text[]) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	PERFORM streamx.fdw_validator(options, catalog);
	RETURN 'accepted';
EXCEPTION WHEN fdw_invalid_option_name THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN coalesce(nullif(split_part(hint, 'Valid options', 1), ''), 'no idea');
END $$;
CREATE FUNCTION is_known(catalog regclass, name text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM streamx.fdw_validator(ARRAY[name || '=1'], catalog);
	RETURN true;
EXCEPTION
	WHEN fdw_invalid_option_name THEN RETURN false;
	WHEN OTHERS THEN RETURN true;
END $$;
CREATE FUNCTION may_set(catalog regclass, option text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM streamx.fdw_validator(ARRAY[option, 'bootstrap_servers=k'], catalog);
	RETURN true;
EXCEPTION WHEN insufficient_privilege THEN RETURN false;
END $$;
SELECT name, hint('pg_foreign_server', name || '=localhost:9092')
FROM unnest(ARRAY['brokers', 'Bootstrap.Servers', 'properties.bootstrap.servers', 'properties.bootstrap.server',
	'kafka_broker_list', 'metadata.broker.list', 'bootstrap_server', 'botstrap_servers', 'group.id',
	'properties.group.id', 'kafka_group_name', 'client.id', 'isolation_level', 'enable_auto_commit', 'auto_offset_reset',
	'ssl.truststore.location', 'sasl.jaas.config', 'sasl_kerberos_principal', 'sasl_mechanisms', 'topic',
	'watermark_delay', 'streamx.allowed_lateness', 'username', 'xyz']) AS name;
SELECT name, hint('pg_foreign_table', name || '=orders')
FROM unnest(ARRAY['scan.startup.mode', 'kafka_topic_list', 'topic-pattern', 'Topic', 'value.format', 'brokers',
	'bootstrap_servers', 'batch_size', 'kafka_num_consumers', 'eventtime', 'event_tiem', 'json.ignore-parse-errors',
	'strict', 'allowed_lateness', 'metadata', 'start', 'time_zone', 'xyz']) AS name;
SELECT name, hint('pg_attribute', name || '=a')
FROM unnest(ARRAY['path', 'json', 'feild', 'partition', 'offset', 'key', 'format', 'metadta']) AS name;
SELECT name, hint('pg_user_mapping', name || '=a')
FROM unnest(ARRAY['user', 'password', 'sasl_user', 'bootstrap_servers']) AS name;
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', watermark '5 s');
CREATE FOREIGN TABLE wrong (a int OPTIONS (path 'a.b')) SERVER kafka OPTIONS (topic 'x');
ALTER FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:9092');

-- Bad values say what is good
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers '');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'kafka:9092,');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'kafka:99999');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'kafka:9092 kafka2:9092');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', socket_timeout_ms '10 s');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', socket_keepalive_enable 'maybe');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', receive_message_max_bytes '1000000');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', fetch_max_bytes '1000');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', sasl_mechanism 'PLAIN');
-- bounds and spellings are librdkafka's; its words differ between versions
\set VERBOSITY terse
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', socket_timeout_ms '1');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', security_protocol 'tls');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', broker_address_family 'v5');
\set VERBOSITY default
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic '');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic '^orders.*');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', format 'jsn');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', root 'a..b');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', event_time '');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', timezone 'Mars/Phobos');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', timestamp_format 'epoch');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', watermark_delay '5 parsecs');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', watermark_delay '-5 s');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', watermark_delay '1 month');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', watermark_delay 'infinity');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', watermark_delay 'off');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', idle_timeout '2000000000 days');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', max_future '');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', on_error 'ignore');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', on_gap 'ignore');
CREATE FOREIGN TABLE wrong (a int) SERVER streamx OPTIONS (retain 'perhaps');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', workers 'many');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', workers '0');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', workers '33');
CREATE FOREIGN TABLE wrong (at date) SERVER kafka OPTIONS (topic 'x', event_time 'at', idle_timeout '1 s', idle_advance '5 s');
CREATE FOREIGN TABLE wrong (a int OPTIONS (field '.a')) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a int OPTIONS (metadata 'size')) SERVER kafka OPTIONS (topic 'x');

-- What is planned but not there is refused, not ignored
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', format 'avro');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx
	OPTIONS (bootstrap_servers 'k', security_protocol 'sasl_ssl', sasl_mechanism 'GSSAPI');
-- librdkafka would take GSSAPI, and run kinit, if nothing were said
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', security_protocol 'sasl_plaintext');

-- Only the listed librdkafka properties exist; every other name of CONFIGURATION.md is unknown, dotted or not,
-- wherever it is said (the list is that of 2.0.2, with names that came later)
CREATE TEMPORARY TABLE property AS
SELECT name FROM regexp_split_to_table(btrim($$
	acks allow.auto.create.topics api.version.fallback.ms api.version.request
	api.version.request.timeout.ms auto.commit.enable auto.commit.interval.ms auto.offset.reset
	background_event_cb batch.num.messages batch.size bootstrap.servers broker.address.family
	broker.address.ttl broker.version.fallback builtin.features check.crcs client.dns.lookup
	client.id client.rack client.software.name client.software.version closesocket_cb
	compression.codec compression.level compression.type connect_cb connections.max.idle.ms
	consume.callback.max.messages consume_cb coordinator.query.interval.ms debug default_topic_conf
	delivery.report.only.error delivery.timeout.ms dr_cb dr_msg_cb enable.auto.commit
	enable.auto.offset.store enable.gapless.guarantee enable.idempotence enable.metrics.push
	enable.partition.eof enable.random.seed enable.sasl.oauthbearer.unsecure.jwt
	enable.ssl.certificate.verification enabled.events enabled_events error_cb
	fetch.error.backoff.ms fetch.max.bytes fetch.message.max.bytes fetch.min.bytes
	fetch.wait.max.ms group.id group.instance.id group.protocol group.protocol.type
	group.remote.assignor heartbeat.interval.ms https.ca.location https.ca.pem interceptors
	internal.termination.signal isolation.level linger.ms log.connection.close log.queue
	log.thread.name log_cb log_level max.in.flight max.in.flight.requests.per.connection
	max.partition.fetch.bytes max.poll.interval.ms message.copy.max.bytes message.max.bytes
	message.send.max.retries message.timeout.ms metadata.broker.list metadata.max.age.ms
	metadata.recovery.strategy msg_order_cmp oauthbearer_token_refresh_cb offset.store.method
	offset.store.path offset.store.sync.interval.ms offset_commit_cb opaque open_cb
	partition.assignment.strategy partitioner partitioner_cb plugin.library.paths
	produce.offset.report queue.buffering.backpressure.threshold queue.buffering.max.kbytes
	queue.buffering.max.messages queue.buffering.max.ms queued.max.messages.kbytes
	queued.min.messages queuing.strategy rebalance_cb receive.message.max.bytes
	reconnect.backoff.jitter.ms reconnect.backoff.max.ms reconnect.backoff.ms request.required.acks
	request.timeout.ms resolve_cb retries retry.backoff.max.ms retry.backoff.ms
	sasl.kerberos.keytab sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin
	sasl.kerberos.principal sasl.kerberos.service.name sasl.mechanism sasl.mechanisms
	sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.file
	sasl.oauthbearer.assertion.private.key.file sasl.oauthbearer.client.id
	sasl.oauthbearer.client.secret sasl.oauthbearer.config sasl.oauthbearer.extensions
	sasl.oauthbearer.grant.type sasl.oauthbearer.method sasl.oauthbearer.scope
	sasl.oauthbearer.token.endpoint.url sasl.password sasl.username security.protocol
	session.timeout.ms socket.blocking.max.ms socket.connection.setup.timeout.ms
	socket.keepalive.enable socket.max.fails socket.nagle.disable socket.receive.buffer.bytes
	socket.send.buffer.bytes socket.timeout.ms socket_cb ssl.ca.certificate.stores ssl.ca.location
	ssl.ca.pem ssl.certificate.location ssl.certificate.pem ssl.certificate.verify_cb
	ssl.cipher.suites ssl.crl.location ssl.curves.list ssl.endpoint.identification.algorithm
	ssl.engine.id ssl.engine.location ssl.engine.path ssl.key.location ssl.key.password ssl.key.pem
	ssl.keystore.location ssl.keystore.password ssl.providers ssl.sigalgs.list ssl_ca
	ssl_certificate ssl_engine_callback_data ssl_key statistics.interval.ms stats_cb
	sticky.partitioning.linger.ms test.mock.broker.rtt test.mock.num.brokers throttle_cb
	topic.blacklist topic.metadata.propagation.max.ms topic.metadata.refresh.fast.cnt
	topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.interval.ms
	topic.metadata.refresh.sparse transaction.timeout.ms transactional.id
$$, E' \t\n'), '\s+') AS name;
CREATE TEMPORARY TABLE known AS
SELECT catalog, spelling
FROM property,
     LATERAL (SELECT DISTINCT * FROM (VALUES (name), (replace(name, '.', '_')), (upper(name)), ('properties.' || name),
	                                         (name || ' ')) AS s (spelling)) AS s,
     unnest(ARRAY['pg_foreign_server', 'pg_user_mapping', 'pg_foreign_table', 'pg_attribute', 'pg_foreign_data_wrapper']) AS catalog
WHERE is_known(catalog::regclass, spelling);
SELECT count(*) > 150 AS many_names FROM property;
SELECT catalog, string_agg(spelling, E'\n' ORDER BY spelling COLLATE "C") AS names FROM known GROUP BY catalog ORDER BY catalog COLLATE "C";
SELECT is_empty(
	$$SELECT * FROM known
	  WHERE spelling ~ '[.]' OR spelling ~ 'plugin|kinit|kerberos|engine|interceptor|_cb$|opaque|debug|mock|^log|offset_store|verif|provider|oauth|stores'$$,
	'nothing that runs commands, loads code or turns off verification can be set');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', plugin_library_paths '/tmp/evil.so');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', sasl_kerberos_kinit_cmd 'touch /tmp/evil');

-- Files of the server are named by superusers and pg_read_server_files, whether they are there or not
SET ROLE regress_streamx_plain;
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', ssl_ca_location '/etc/passwd');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', ssl_ca_location '/no/such/file');
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx
	OPTIONS (bootstrap_servers 'k', ssl_endpoint_identification_algorithm 'none');
CREATE SERVER plain FOREIGN DATA WRAPPER streamx
	OPTIONS (bootstrap_servers 'k', security_protocol 'ssl', ssl_ca_pem '-----BEGIN CERTIFICATE-----');
CREATE USER MAPPING FOR regress_streamx_plain SERVER plain OPTIONS (ssl_key_location '/etc/passwd');
SELECT results_eq(
	$$SELECT name FROM unnest(ARRAY['ssl_ca_location', 'ssl_crl_location', 'ssl_certificate_location', 'ssl_key_location',
	                                'ssl_keystore_location']) AS name
	  WHERE NOT may_set('pg_foreign_server', name || '=/etc/hostname')$$,
	$$VALUES ('ssl_ca_location'), ('ssl_crl_location'), ('ssl_certificate_location'), ('ssl_key_location'),
	         ('ssl_keystore_location')$$,
	'a plain role may set no option that names a file');
SET ROLE regress_streamx_reader;
CREATE SERVER reader FOREIGN DATA WRAPPER streamx
	OPTIONS (bootstrap_servers 'k', security_protocol 'ssl', ssl_ca_location '/no/such/file');
RESET ROLE;

-- Secrets belong to user mappings: everybody reads the options of servers and tables
CREATE SERVER wrong FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'k', sasl_password 'canary');
ALTER SERVER kafka OPTIONS (ADD ssl_key_pem 'canary');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', sasl_username 'canary');
SELECT results_eq(
	$$SELECT name, catalog
	  FROM unnest(ARRAY['sasl_username', 'sasl_password', 'ssl_key_pem', 'ssl_key_password', 'ssl_keystore_password']) AS name,
	       unnest(ARRAY['pg_foreign_server', 'pg_foreign_table', 'pg_attribute', 'pg_user_mapping']) AS catalog
	  WHERE is_known(catalog::regclass, name)$$,
	$$VALUES ('sasl_username', 'pg_user_mapping'), ('sasl_password', 'pg_user_mapping'), ('ssl_key_pem', 'pg_user_mapping'),
	         ('ssl_key_password', 'pg_user_mapping'), ('ssl_keystore_password', 'pg_user_mapping')$$,
	'secrets are options of user mappings and nothing else');
CREATE USER MAPPING FOR regress_streamx_plain SERVER kafka OPTIONS (sasl_username 'me', sasl_password 'canary');
-- an error never shows what a secret was
ALTER USER MAPPING FOR regress_streamx_plain SERVER kafka OPTIONS (SET sasl_password '');
ALTER USER MAPPING FOR regress_streamx_plain SERVER kafka OPTIONS (ADD sasl_pasword 'canary');
SET ROLE regress_streamx_plain;
SELECT is_empty(
	$$SELECT * FROM pg_user_mappings WHERE srvname = 'kafka' AND umoptions::text ~ 'canary'$$,
	'a user who may not use the server does not see even the own secret');
RESET ROLE;

-- The options of a stream must fit its server
CREATE FOREIGN TABLE wrong (a int) SERVER kafka;
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', retain 'on');
CREATE FOREIGN TABLE wrong (a int) SERVER streamx OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a int) SERVER tables OPTIONS (format 'json');
CREATE FOREIGN TABLE wrong (a int) SERVER streamx OPTIONS (on_gap 'skip');
CREATE FOREIGN TABLE wrong (a int OPTIONS (field 'x')) SERVER streamx;

-- and its columns
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', event_time 'ts');
CREATE FOREIGN TABLE wrong (a text) SERVER kafka OPTIONS (topic 'x', event_time 'a');
CREATE FOREIGN TABLE wrong (a time) SERVER kafka OPTIONS (topic 'x', event_time 'a');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', watermark_delay '5 s');
CREATE FOREIGN TABLE wrong (a int) SERVER streamx OPTIONS (idle_timeout '5 s');
CREATE FOREIGN TABLE wrong (a int) SERVER kafka OPTIONS (topic 'x', idle_advance 'on');
CREATE FOREIGN TABLE wrong (a int OPTIONS (field 'b', metadata 'offset')) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a int, b int GENERATED ALWAYS AS (a + 1) STORED) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a int OPTIONS (metadata 'offset')) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a bigint OPTIONS (metadata 'partition')) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a bigint OPTIONS (metadata 'timestamp')) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a json OPTIONS (metadata 'key')) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a text OPTIONS (metadata 'headers')) SERVER kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE wrong (a bytea OPTIONS (metadata 'topic')) SERVER kafka OPTIONS (topic 'x');

-- idle_advance needs somebody who looks at the clock, and partitions that can be idle
CREATE FOREIGN TABLE wrong (at timestamptz) SERVER streamx OPTIONS (event_time 'at', idle_timeout '5 s', idle_advance 'on');
CREATE FOREIGN TABLE wrong (at timestamptz) SERVER kafka OPTIONS (topic 'x', event_time 'at', idle_advance 'on');
CREATE FOREIGN TABLE wrong (at timestamptz) SERVER kafka OPTIONS (topic 'x', event_time 'at', idle_timeout 'off', idle_advance 'on');
CREATE FOREIGN TABLE idle (at timestamptz) SERVER kafka OPTIONS (topic 'x', event_time 'at', idle_timeout '5 s', idle_advance 'on');
ALTER FOREIGN TABLE idle OPTIONS (DROP idle_timeout);
ALTER FOREIGN TABLE idle OPTIONS (SET idle_advance 'off', DROP idle_timeout);
DROP FOREIGN TABLE idle;

-- What is right is taken, with everything said
CREATE FOREIGN TABLE everything (
	order_id text OPTIONS (field 'order.id'),
	day date, at timestamp,
	topic text OPTIONS (metadata 'topic'), partition int OPTIONS (metadata 'partition'),
	"offset" bigint OPTIONS (metadata 'offset'), sent timestamptz OPTIONS (metadata 'timestamp'),
	key bytea OPTIONS (metadata 'key'), headers jsonb OPTIONS (metadata 'headers')
) SERVER kafka OPTIONS (topic 'orders.created', format 'json', root 'payload.after', event_time 'sent',
	timezone 'Europe/Berlin', timestamp_format 'epoch_ms', watermark_delay '1 day 2:03:04', idle_timeout 'off',
	idle_advance 'off', max_future 'PT2H', on_error 'skip', on_gap 'skip', workers '32');
CREATE FOREIGN TABLE inserted (at timestamp) SERVER tables
	OPTIONS (event_time 'at', watermark_delay '0', idle_timeout '1 min', on_error 'dead_letter', retain 'off');
CREATE FOREIGN TABLE retained (a int) SERVER streamx OPTIONS (retain 'on');

-- and stays right when altered
ALTER FOREIGN TABLE everything OPTIONS (SET event_time 'order_id');
ALTER FOREIGN TABLE everything OPTIONS (SET event_time 'at', DROP timezone);
ALTER FOREIGN TABLE everything OPTIONS (DROP topic);
ALTER FOREIGN TABLE everything ALTER COLUMN sent OPTIONS (SET metadata 'offset');
ALTER FOREIGN TABLE inserted ALTER COLUMN at TYPE text;
ALTER FOREIGN TABLE inserted ALTER COLUMN at TYPE date;

DROP FOREIGN TABLE everything, inserted, retained;
DROP SERVER kafka CASCADE;
DROP SERVER plain, reader, tables CASCADE;
DROP FUNCTION hint, is_known, may_set;
REVOKE ALL ON FOREIGN DATA WRAPPER streamx FROM regress_streamx_plain, regress_streamx_reader;
REVOKE ALL ON FOREIGN SERVER streamx FROM regress_streamx_plain;
REVOKE ALL ON SCHEMA public FROM regress_streamx_plain;
DROP ROLE regress_streamx_plain, regress_streamx_reader;
