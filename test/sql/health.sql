-- streamx.health(): what is looked at, and what is too much
\pset format unaligned
SELECT plan(15);

CREATE FOREIGN TABLE visits (page text, at timestamptz) SERVER streamx OPTIONS (event_time 'at', on_error 'dead_letter', retain 'on');
CREATE VIEW per_page WITH (streamx.continuous) AS SELECT page, count(*) AS n, count(DISTINCT at) AS times FROM visits GROUP BY 1;
INSERT INTO visits SELECT 'page ' || i % 10, now() - interval '1 hour' FROM generate_series(1, 6000) i;

SELECT results_eq($$SELECT "check", object FROM streamx.health() ORDER BY 1, 2$$,
	$$VALUES ('error share', 'visits'::regclass), ('failures', 'per_page'), ('oldest xmin', NULL), ('rate', 'visits'), ('replication xmin', NULL), ('state size', 'per_page'), ('watermark lag', 'visits'), ('worker slots', NULL)$$,
	'each check of what there is');
SELECT ok(value > 0 AND value <= 100, 'rate: of the last minute') FROM streamx.health() WHERE "check" = 'rate';
SELECT is(value, 0::numeric, 'no row was refused') FROM streamx.health() WHERE "check" = 'error share';
SELECT ok(value BETWEEN 3600 AND 7200 AND NOT ok, 'the watermark is an hour behind: more than 300 s') FROM streamx.health() WHERE "check" = 'watermark lag';
SELECT ok(value > 8192 AND ok, 'state size: inputs included') FROM streamx.health() WHERE "check" = 'state size';
SELECT is(value, state_size + inputs_size::numeric, 'as in stat_views') FROM streamx.health(), streamx.stat_views WHERE "check" = 'state size';
SELECT is(value, 0::numeric, 'nobody waits for a worker') FROM streamx.health() WHERE "check" = 'worker slots';
SELECT ok(bool_and(action LIKE '%docs/runbooks.md, "' || "check" || '"%'), 'each action points to its runbook') FROM streamx.health_checks;

-- Thresholds of all, and of one
INSERT INTO streamx.thresholds ("check", threshold) VALUES ('watermark lag', 100000), ('rate', 1000000);
SELECT is(ok, true, 'a threshold that was set for all') FROM streamx.health() WHERE "check" = 'watermark lag';
SELECT is(ok, false, 'that of a rate is the least') FROM streamx.health() WHERE "check" = 'rate';
INSERT INTO streamx.thresholds ("check", threshold, object) VALUES ('watermark lag', 10, 'visits'), ('rate', NULL, 'visits');
SELECT results_eq($$SELECT "check", threshold, ok FROM streamx.health() WHERE object = 'visits'::regclass AND "check" <> 'error share' ORDER BY 1$$,
	$$VALUES ('rate', NULL::numeric, true), ('watermark lag', 10, false)$$, 'that of one object goes first, and NULL is none');
SELECT throws_ok($$INSERT INTO streamx.thresholds ("check", threshold) VALUES ('weather', 1)$$, '23503', NULL, 'a check that there is not is an error');

-- A role sees what it owns
CREATE ROLE regress_visitor;
SET ROLE regress_visitor;
SELECT results_eq($$SELECT "check" FROM streamx.health() ORDER BY 1$$, $$VALUES ('oldest xmin'), ('replication xmin'), ('worker slots')$$, 'others'' streams are not shown');
SELECT throws_ok($$UPDATE streamx.thresholds SET threshold = 0$$, '42501', NULL, 'nor may anybody set thresholds');
RESET ROLE;
DROP ROLE regress_visitor;

DROP FOREIGN TABLE visits CASCADE;
SELECT results_eq($$SELECT "check", threshold FROM streamx.thresholds WHERE object IS NOT NULL$$, $$SELECT ''::text, 0::numeric WHERE false$$, 'thresholds of what is dropped go with it');
DELETE FROM streamx.thresholds;
