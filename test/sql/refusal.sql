-- What cannot be maintained is refused at CREATE, with the reason, the place and a way out
\set ON_ERROR_STOP 0
SET client_min_messages = warning;
CREATE SCHEMA refusing;
SET search_path = refusing, public;
CREATE FOREIGN TABLE visits (ts timestamptz, page text, amount numeric(10,2), n int, j json, birth timestamptz)
	SERVER streamx OPTIONS (event_time 'ts');
CREATE FOREIGN TABLE other (ts timestamptz, page text) SERVER streamx OPTIONS (event_time 'ts');
CREATE FOREIGN TABLE untimed (ts timestamptz, page text) SERVER streamx;
CREATE TABLE title (page text PRIMARY KEY, title text);

-- streams: one, once, where every row counts
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits a, visits b;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits JOIN other USING (page);
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM title LEFT JOIN visits USING (page);
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits RIGHT JOIN title USING (page);
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits FULL JOIN title USING (page);
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM title WHERE page IN (SELECT page FROM visits);
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM (SELECT * FROM visits) v;
CREATE VIEW x WITH (streamx.continuous) AS WITH v AS (SELECT * FROM visits) SELECT count(*) FROM v;
CREATE VIEW plain AS SELECT * FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM plain;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM title;
CREATE TABLE parent (ts timestamptz, page text);
CREATE FOREIGN TABLE child () INHERITS (parent) SERVER streamx;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM child;
CREATE TEMP TABLE temporary_title (page text);
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits JOIN temporary_title USING (page);

CREATE VIEW x WITH (streamx.continuous) AS
	WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT count(*) FROM visits JOIN r USING (n);
CREATE VIEW x WITH (streamx.continuous) AS
	WITH d AS (DELETE FROM title RETURNING page) SELECT count(*) FROM visits JOIN d USING (page);

-- aggregates
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(DISTINCT pair) FROM visits, LATERAL (SELECT ROW(page, n) AS pair) AS p;
CREATE VIEW x WITH (streamx.continuous) AS SELECT array_agg(random() ORDER BY ts) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT string_agg(page, ',' ORDER BY now()) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT percentile_cont(random()) WITHIN GROUP (ORDER BY n) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT page FROM visits;

CREATE VIEW x WITH (streamx.continuous) AS SELECT FROM visits GROUP BY page;

-- clauses
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits UNION ALL SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits LIMIT 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT page, count(*) FROM visits GROUP BY page OFFSET 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT page, rank() OVER (ORDER BY count(*)) FROM visits GROUP BY page;
CREATE VIEW x WITH (streamx.continuous) AS SELECT unnest(ARRAY[1, 2]), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT DISTINCT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT DISTINCT ON (page) page, count(*) FROM visits GROUP BY page;
CREATE VIEW x WITH (streamx.continuous) AS SELECT page FROM visits FOR UPDATE;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*), (SELECT max(title) FROM title) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits HAVING count(*) > (SELECT count(*) FROM title);

-- columns and expressions
CREATE VIEW x WITH (streamx.continuous) AS SELECT ctid, count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits WHERE tableoid > 0;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(visits) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT t.page, t.title, count(*) FROM visits JOIN title t USING (page) GROUP BY t.page;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits WHERE ts > now();
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits WHERE random() > 0.5;
CREATE SEQUENCE ticket;
CREATE VIEW x WITH (streamx.continuous) AS SELECT max(nextval('ticket')) FROM visits;
CREATE FUNCTION moody(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE VIEW x WITH (streamx.continuous) AS SELECT moody(n), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT current_user, count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits WHERE ts > CURRENT_TIMESTAMP;
CREATE VIEW x WITH (streamx.continuous) AS SELECT inet_client_addr(), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits WHERE n = pg_backend_pid();
CREATE VIEW x WITH (streamx.continuous) AS SELECT max(pg_current_xact_id()::text) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*), j FROM visits GROUP BY j;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*), n::text::xid FROM visits GROUP BY 2;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*), xmin FROM visits GROUP BY 2;
CREATE VIEW x WITH (streamx.continuous) AS SELECT point(n, n)::text, ROW(n, page), count(*) FROM visits GROUP BY 1, 2;

-- windows
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, make_interval(mins => n)), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, '0 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, '-5 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, '1 month 1 day'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, NULL), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts + '1 s', '5 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble('2024-01-01'::timestamptz, '5 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(birth, '5 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, '5 minutes', origin => '-infinity'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, '1 month', origin => '2024-01-31Z'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, '1 hour', timezone => 'Mars/Olympus'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT upper(w), count(*) FROM (VALUES (1)) v, visits, tumble(ts, '5 minutes') w GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT lower(tumble(ts, '5 minutes')), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT tumble(ts, '5 minutes'), tumble(ts, '1 hour'), count(*) FROM visits GROUP BY 1, 2;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits WHERE tumble(ts, '5 minutes') @> timestamptz '2024-01-01';
CREATE VIEW x WITH (streamx.continuous) AS SELECT hop(ts, '5 minutes', '0'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT hop(ts, '5 minutes', n * interval '1 s'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT w, count(*) FROM visits, hop(ts, '5 minutes', '1 minute') w GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT hop('2024-01-01'::timestamptz, '5 minutes', '1 minute'), count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT hop(ts, '5 minutes', '1 minute'), session(ts, '1 minute'), count(*) FROM visits GROUP BY 1, 2;
CREATE VIEW x WITH (streamx.continuous) AS SELECT cumulate(ts, '5 minutes', '2 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT cumulate(ts, '5 minutes', '10 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT session(ts, '1 month'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT session(ts, '0'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous) AS SELECT session(ts, '1 minute') FROM visits;

-- options
CREATE VIEW x WITH (streamx.continuous, streamx.allowd_lateness = '1 minute') AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, streamx.allowed_lateness = '1 minute') AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, streamx.allowed_lateness = '1 minute')
	AS SELECT tumble(ts, '5 minutes'), count(*) FROM untimed GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous, streamx.allowed_lateness = '-1 minute')
	AS SELECT tumble(ts, '5 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous, streamx.allowed_lateness = '5 parsecs')
	AS SELECT tumble(ts, '5 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous, streamx.late_rows = 'keep')
	AS SELECT tumble(ts, '5 minutes'), count(*) FROM visits GROUP BY 1;
CREATE VIEW x WITH (streamx.continuous, streamx.retention = '1 day') AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, streamx.continuous) AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous = 'maybe') AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, continuous) AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, streamx.start = 'earliest') AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, streamx.start = 'yesteryear') AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.allowed_lateness = '1 minute') AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous = false) AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, security_barrier) AS SELECT count(*) FROM visits;
DROP VIEW x;

-- the statement itself
CREATE TEMP VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous, security_invoker) AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits WITH CHECK OPTION;
CREATE OR REPLACE VIEW plain WITH (streamx.continuous) AS SELECT count(*) FROM visits;
CREATE MATERIALIZED VIEW x WITH (streamx.continuous) AS SELECT count(*) FROM visits;
CREATE VIEW x (a, b) WITH (streamx.continuous) AS SELECT count(*) FROM visits;
CREATE VIEW x WITH (streamx.continuous) AS SELECT count(*), count(*) FROM visits;

-- nothing of all that was left behind
SELECT view FROM streamx.views JOIN pg_class c ON c.oid = view WHERE relnamespace = 'refusing'::regnamespace;
DROP SCHEMA refusing CASCADE;
