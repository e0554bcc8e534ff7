-- Threats S5, S6 and S11, by their numbers in docs/administration.md: code of others, names, and rights that are gone
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE ROLE threat_alice;
CREATE ROLE threat_mallory;
CREATE SCHEMA den AUTHORIZATION threat_mallory;
CREATE SCHEMA shelf AUTHORIZATION threat_alice;
GRANT USAGE ON FOREIGN SERVER streamx TO threat_alice, threat_mallory;
GRANT USAGE ON SCHEMA den TO threat_alice;
GRANT USAGE, CREATE ON SCHEMA shelf TO threat_mallory;

SELECT plan(65);

-- S5: who runs what, noted by whatever mallory can have run
SET ROLE threat_mallory;
CREATE TABLE den.calls (what text, caller name, PRIMARY KEY (what, caller));
CREATE FUNCTION den.note(what text) RETURNS boolean LANGUAGE plpgsql AS
	$$ BEGIN INSERT INTO den.calls VALUES (what, current_user) ON CONFLICT DO NOTHING; RETURN true; END $$;
CREATE FUNCTION den.noted(n int, what text) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note(what); RETURN n; END $$;
CREATE FUNCTION den.checked(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN den.note('check'); END $$;
CREATE FUNCTION den.in_domain(n int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN den.note('domain'); END $$;
CREATE FUNCTION den.in_policy(n int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN den.note('policy'); END $$;
CREATE DOMAIN den.small AS int CHECK (den.in_domain(value));
CREATE TYPE den.box AS (a int);
CREATE FUNCTION den.box_int(den.box) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note('cast'); RETURN ($1).a; END $$;
CREATE CAST (den.box AS int) WITH FUNCTION den.box_int(den.box);
CREATE FUNCTION den.gap(int, int) RETURNS float8 IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note('subtype_diff'); RETURN $1 - $2; END $$;
CREATE TYPE den.span AS RANGE (subtype = int, subtype_diff = den.gap);
CREATE FUNCTION den.span_json(den.span) RETURNS json LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note('cast to json'); RETURN '1'; END $$;
CREATE CAST (den.span AS json) WITH FUNCTION den.span_json(den.span);
CREATE FUNCTION den.add(a int, b int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note('transition'); RETURN a + b; END $$;
CREATE FUNCTION den.add_up(a int, b int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note('combine'); RETURN a + b; END $$;
CREATE FUNCTION den.finish(a int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note('final'); RETURN a; END $$;
CREATE AGGREGATE den.total(int) (sfunc = den.add, stype = int, combinefunc = den.add_up, finalfunc = den.finish, initcond = '0', parallel = safe);
CREATE AGGREGATE den.listed(int) (sfunc = den.add, stype = int, finalfunc = den.finish, initcond = '0');
CREATE TABLE den.looked_up (n int PRIMARY KEY, title text);
INSERT INTO den.looked_up SELECT i, 'n' || i FROM generate_series(0, 9) i;
ALTER TABLE den.looked_up ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY noting ON den.looked_up USING (den.in_policy(n));
CREATE FOREIGN TABLE den.stream (at timestamptz, n int CHECK (den.checked(n)), small den.small, box den.box, span den.span)
	SERVER streamx OPTIONS (event_time 'at', retain 'on', on_error 'dead_letter');
CREATE VIEW den.tumbling WITH (streamx.continuous) AS
	SELECT tumble(at, '1 hour') AS w, den.noted(n, 'key') AS k, span, title, max(box::int), sum(small), den.total(n), den.listed(n), sum(10 / (n - 5)) AS risk
	FROM den.stream JOIN den.looked_up USING (n) WHERE den.noted(n, 'where') >= 0 GROUP BY 1, 2, 3, 4, n;
CREATE VIEW den.hopping WITH (streamx.continuous, streamx.retention = '1 hour') AS
	SELECT hop(at, '1 hour', '10 minutes') AS w, den.noted(n, 'key') AS k, den.total(n) FILTER (WHERE den.noted(n, 'filter') >= 0), max(title) FROM den.stream LEFT JOIN den.looked_up USING (n) GROUP BY 1, 2;
CREATE VIEW den.sittings WITH (streamx.continuous) AS
	SELECT session(at, '10 minutes') AS w, span, den.total(n), den.listed(n ORDER BY den.noted(n, 'order')) FROM den.stream GROUP BY 1, 2;
CREATE VIEW den.grouped WITH (streamx.continuous) AS SELECT den.noted(n, 'key') AS k, n, den.total(n) FROM den.stream GROUP BY GROUPING SETS ((1), (2), ());
RESET ROLE;
-- a statement's own casts to a domain are its user's, with any table: the rows are made before
CREATE TEMP TABLE some_rows AS SELECT timestamptz '2024-05-01 10:00' + i % 3 * interval '1 hour' AS at, i % 10 AS n, (i % 4)::den.small AS small, ROW(i)::den.box AS box, den.span(i, i + 2) AS span
	FROM generate_series(1, 100) i;
TRUNCATE den.calls;
INSERT INTO den.stream SELECT * FROM some_rows;
INSERT INTO den.stream SELECT * FROM some_rows;
INSERT INTO den.stream SELECT at + interval '1 day', n, small, box, span FROM some_rows;
DO $$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace AND relkind = 'r' LOOP EXECUTE 'ANALYZE ' || r; END LOOP; END $$;
SELECT results_eq('SELECT what, caller FROM den.calls WHERE caller <> ''threat_mallory''', $$VALUES ('check', current_user)$$,
	'S5: of a superuser''s INSERT, with dead letters, late rows, folding and ANALYZE, all is run as the owner but what PostgreSQL itself runs of any table');
SELECT set_eq('SELECT what FROM den.calls', 'SELECT unnest(ARRAY[''key'', ''check'', ''policy'', ''cast to json'', ''cast'', ''transition'', ''combine'', ''final'', ''where'', ''filter'', ''order''])',
	'S5: and all of it did run, but for what ANALYZE would call');
TRUNCATE den.calls;
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', v), 'S5: verify: ' || v) FROM unnest(ARRAY['den.tumbling', 'den.hopping', 'den.sittings', 'den.grouped']) v;
SELECT set_eq('SELECT DISTINCT caller FROM den.calls', $$VALUES (name 'threat_mallory')$$, 'S5: so does verify');
TRUNCATE den.calls;
-- reading is as with any view: its functions are the reader's, its tables the owner's
SELECT isnt_empty('SELECT * FROM den.hopping', 'S5: a superuser reads');
SELECT set_eq('SELECT what FROM den.calls WHERE caller <> ''threat_mallory''', $$VALUES ('final')$$, 'S5: and runs the last step of aggregates, no other');

-- S5: what a restricted function cannot do, whatever it tries
CREATE TABLE public.victim (a int);
SET ROLE threat_mallory;
CREATE TABLE den.deferred (a int);
CREATE FUNCTION den.on_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM den.note('deferred trigger'); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON den.deferred DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION den.on_commit();
CREATE TABLE den.attack (command text);
CREATE FUNCTION den.really_attack() RETURNS void LANGUAGE plpgsql AS $$ DECLARE c text; BEGIN
	FOR c IN SELECT command FROM den.attack LOOP EXECUTE c; END LOOP; END $$;
CREATE FUNCTION den.attack(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM den.really_attack(); RETURN n; END $$;
CREATE FOREIGN TABLE den.attacked (n int) SERVER streamx OPTIONS (retain 'on');
CREATE VIEW den.attacking WITH (streamx.continuous) AS SELECT sum(den.attack(n)) FROM den.attacked;
RESET ROLE;
CREATE FUNCTION pg_temp.attack(command text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN
	DELETE FROM den.attack; INSERT INTO den.attack VALUES (command); INSERT INTO den.attacked VALUES (1); PERFORM FROM den.attacking; RETURN 'done';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT is(pg_temp.attack(command), sqlstate, 'S5: ' || command) FROM (VALUES
	('ALTER ROLE threat_mallory SUPERUSER', '42501'), ('SET ROLE NONE', '42501'), ('SET SESSION AUTHORIZATION DEFAULT', '42501'),
	('RESET ROLE', '42501'), ('SELECT set_config(''role'', ''threat_alice'', true)', '42501'), ('SET session_replication_role = replica', '42501'), ('INSERT INTO den.deferred VALUES (1)', '42501'),
	('CREATE TEMP TABLE pg_class (oid oid)', '42501'), ('DECLARE c CURSOR WITH HOLD FOR SELECT 1', '42501'), ('PREPARE p AS SELECT 1', '42501'),
	('DROP TABLE public.victim', '42501'), ('DELETE FROM streamx.views', '42501'), ('COPY den.calls TO ''/tmp/x''', '42501'),
	('COMMIT', '0A000'), ('DISCARD ALL', '42501'), ('LOAD ''auto_explain''', '42501'), ('SELECT pg_read_file(''PG_VERSION'')', '42501')) a (command, sqlstate);
SELECT is(pg_temp.attack($$SELECT set_config('search_path', 'den', false), set_config('statement_timeout', '1', false), set_config('TimeZone', 'Asia/Tokyo', false)$$), 'done', 'S5: settings may be set');
SELECT is(current_setting('search_path') || ' ' || current_setting('statement_timeout') || ' ' || current_setting('TimeZone'), '"$user", public 0 UTC', 'S5: and are gone afterwards');
SELECT is_empty('SELECT * FROM den.calls WHERE what = ''deferred trigger''', 'S5: no trigger waited for the superuser''s commit');
SELECT results_eq($$SELECT rolsuper FROM pg_roles WHERE rolname = 'threat_mallory'$$, 'VALUES (false)', 'S5: no superuser was made');

-- S5: views of two owners with the same delta are no family, and each runs as its own
SET ROLE threat_mallory;
GRANT SELECT ON den.stream TO threat_alice;
GRANT INSERT, SELECT ON den.calls TO threat_alice;
CREATE VIEW den.twin WITH (streamx.continuous, streamx.start = 'latest') AS SELECT den.noted(n, 'twin') AS k, count(*) FROM den.stream GROUP BY 1;
SET ROLE threat_alice;
CREATE VIEW shelf.twin WITH (streamx.continuous, streamx.start = 'latest') AS SELECT den.noted(n, 'twin') AS k, sum(n) FROM den.stream GROUP BY 1;
RESET ROLE;
TRUNCATE den.calls;
INSERT INTO den.stream SELECT at + interval '1 day', n, small, box, span FROM some_rows;
SELECT results_eq('SELECT caller FROM den.calls WHERE what = ''twin'' ORDER BY 1', $$VALUES (name 'threat_alice'), ('threat_mallory')$$, 'S5: views of two owners, alike, run as each of them');

-- What a view says of a row it refuses is its readers' only: it may come from a table that it joins
SET ROLE threat_alice;
CREATE TABLE shelf.salaries (n int, salary text);
INSERT INTO shelf.salaries VALUES (7, 'confidential');
CREATE VIEW shelf.paid WITH (streamx.continuous, streamx.start = 'latest') AS SELECT sum(salary::int) FROM den.stream JOIN shelf.salaries USING (n);
RESET ROLE;
INSERT INTO den.stream SELECT at + interval '1 day', n, small, box, span FROM some_rows WHERE n = 7 LIMIT 1;
SET ROLE threat_mallory;
SELECT results_eq($$SELECT sqlstate, message, "row"->>'n' FROM streamx.dead_letters WHERE view = 'shelf.paid'::regclass$$, $$VALUES ('22P02', NULL::text, '7')$$, 'the stream''s owner sees that a row was refused, not what was in another''s table');
SET ROLE threat_alice;
SELECT results_eq($$SELECT message FROM streamx.dead_letters WHERE view = 'shelf.paid'::regclass$$, $$VALUES ('invalid input syntax for type integer: "confidential"')$$, 'the view''s owner sees why');
DROP VIEW shelf.paid, shelf.twin;
RESET ROLE;

-- S11: USAGE on the server is asked of the stream's owner whenever rows come; of a new owner, too
REVOKE USAGE ON FOREIGN SERVER streamx FROM threat_mallory;
INSERT INTO den.attacked VALUES (1);
SELECT isnt_empty('SELECT * FROM den.hopping', 'S11: its views can be read');
GRANT USAGE ON FOREIGN SERVER streamx TO threat_mallory;
DELETE FROM den.attack;
INSERT INTO den.attacked VALUES (1);
ALTER FOREIGN TABLE den.attacked OWNER TO threat_alice;
REVOKE USAGE ON FOREIGN SERVER streamx FROM threat_alice;
INSERT INTO den.attacked VALUES (1);

-- S6: names that are more than names, wherever one can stand
SET client_min_messages = error;
CREATE TABLE names AS SELECT * FROM unnest(ARRAY['"; DROP TABLE public.victim; --', 'a"b', '''; SELECT 1/0; --', '%s%n%1$I', repeat('n', 63), repeat('ü', 31),
	'$$ $1 \n', 'select', ' . ', '💣', '{"a": 1}']) WITH ORDINALITY AS n (name, number);
-- role, schema, stream, its columns, views, theirs, aliases and comments: $1 is the name, and others are parts of it after a letter
CREATE FUNCTION pg_temp.run(name text, commands text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE command text; part text := left(name, 20); BEGIN
	FOREACH command IN ARRAY commands LOOP
		EXECUTE format(command, name, 'k' || part, 'n' || part, 'v' || part, 'c' || part, 'r' || part);
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.live(name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; part text := left(name, 20); BEGIN
	PERFORM pg_temp.run(name, ARRAY['CREATE ROLE %I', 'CREATE SCHEMA %I AUTHORIZATION %1$I', 'GRANT USAGE ON FOREIGN SERVER streamx TO %I', 'SET ROLE %I',
		'CREATE FOREIGN TABLE %1$I.%1$I (%1$I timestamptz, %2$I text, %3$I int) SERVER streamx OPTIONS (event_time %1$L, retain ''on'', on_error ''dead_letter'')',
		'CREATE VIEW %1$I.%4$I WITH (streamx.continuous, streamx.retention = ''1 day'') AS SELECT hop(%1$I, ''1 hour'', ''30 minutes'') AS %1$I, %2$I, count(*) AS %5$I, count(DISTINCT %2$I), sum(10 / %3$I), last(%2$I, %3$I) FROM %1$I.%1$I AS %1$I GROUP BY 1, 2',
		'CREATE VIEW %1$I.%2$I WITH (streamx.continuous) AS SELECT session(%1$I, ''10 minutes'') AS %1$I, array_agg(%2$I) AS %2$I FROM %1$I.%1$I GROUP BY 1',
		'CREATE VIEW %1$I.%3$I WITH (streamx.continuous) AS SELECT %2$I AS %1$I, grouping(%2$I) AS %2$I, max(%1$I) AS %3$I FROM %1$I.%1$I GROUP BY ROLLUP (%2$I)',
		'INSERT INTO %1$I.%1$I VALUES (''2024-05-01 10:00'', %1$L, 1), (''2024-05-01 12:00'', %1$L, 0), (''2024-05-01 12:00'', %1$L, 2)',
		'INSERT INTO %1$I.%1$I VALUES (''2024-05-01 10:00'', %1$L, 1)',
		'ALTER FOREIGN TABLE %1$I.%1$I RENAME COLUMN %2$I TO %6$I', 'ALTER FOREIGN TABLE %1$I.%1$I RENAME COLUMN %1$I TO %5$I', 'ALTER VIEW %1$I.%4$I RENAME TO %5$I',
		'COMMENT ON VIEW %1$I.%5$I IS %1$L', 'INSERT INTO %1$I.%1$I VALUES (''2024-05-01 12:30'', %1$L, 1)', 'RESET ROLE',
		'ALTER VIEW %1$I.%3$I OWNER TO threat_mallory', 'GRANT SELECT ON %1$I.%1$I TO threat_mallory', 'INSERT INTO %1$I.%1$I VALUES (''2024-05-01 12:31'', %1$L, 1)', 'ALTER VIEW %1$I.%3$I OWNER TO %1$I']);
	EXECUTE format('SELECT concat_ws('' '', (SELECT sum(%1$I) FROM %2$I.%1$I), (SELECT max(cardinality(%3$I)) FROM %2$I.%3$I), (SELECT count(*) FROM %2$I.%4$I),
		(SELECT count(*) FROM streamx.dead_letters WHERE stream = %5$L::regclass), (SELECT count(*) FROM unnest(ARRAY[%1$L, %3$L, %4$L]) v, streamx.verify(format(''%%I.%%I'', %2$L, v)::regclass)))',
		'c' || part, name, 'k' || part, 'n' || part, format('%I.%I', name, name)) INTO result;
	PERFORM pg_temp.run(name, ARRAY['DROP SCHEMA %I CASCADE', 'DROP OWNED BY %I', 'DROP ROLE %I']);
	RETURN result;
END $$;
SELECT count(*) AS internals FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace \gset
SELECT is(pg_temp.live(name), '10 2 2 1 0', 'S6: as a name, number ' || number) FROM names ORDER BY number;
SELECT is(count(*), :internals::bigint, 'S6: nothing is left of them') FROM pg_class WHERE relnamespace = 'streamx_internal'::regnamespace;
SELECT isnt(to_regclass('public.victim'), NULL, 'S6: and nothing else is gone');
-- a Kafka stream's fields, and its topic, which has an alphabet of its own
CREATE SERVER threat_kafka FOREIGN DATA WRAPPER streamx OPTIONS (bootstrap_servers 'localhost:1');
CREATE FUNCTION pg_temp.field(name text) RETURNS jsonb LANGUAGE plpgsql AS $$ DECLARE result jsonb; BEGIN
	EXECUTE format('CREATE FOREIGN TABLE fields (a int OPTIONS (field %L), %I text) SERVER threat_kafka OPTIONS (topic ''t'')', regexp_replace(name, '([.\\])', '\\\1', 'g'), name);
	EXECUTE format('ALTER FOREIGN TABLE fields RENAME %I TO renamed', name);
	result := streamx.decode('fields', convert_to(jsonb_build_object(name, 1)::text, 'UTF8'));
	DROP FOREIGN TABLE fields;
	RETURN result;
END $$;
SELECT is(pg_temp.field(name), jsonb_build_object('a', 1, 'renamed', '1'), 'S6: as a field, number ' || number) FROM names WHERE name !~ '[.]' ORDER BY number;
SELECT throws_ok(format('CREATE FOREIGN TABLE fields (a int) SERVER threat_kafka OPTIONS (topic %L)', name), '22023', NULL, 'S6: as a topic it is refused, number ' || number)
	FROM names WHERE name !~ '^[a-z]+$' ORDER BY number;
SELECT * FROM finish();

DROP SERVER threat_kafka;
DROP TABLE names, public.victim;
DROP SCHEMA den, shelf CASCADE;
DROP OWNED BY threat_alice, threat_mallory;
DROP ROLE threat_alice, threat_mallory;
SELECT count(*) FROM streamx.views;
