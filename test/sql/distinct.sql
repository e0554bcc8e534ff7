-- SELECT DISTINCT of columns is a view of its keys, with any window
\pset tuples_only on
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA distinguishing;
SET search_path = distinguishing, public;
CREATE FOREIGN TABLE clicks (t timestamptz, page text, n int) SERVER streamx OPTIONS (event_time 't', watermark_delay '1 day', retain 'on');
CREATE TABLE clicks_table (t timestamptz, page text, n int);
CREATE VIEW pages WITH (streamx.continuous) AS SELECT DISTINCT page FROM clicks WHERE n > 0;
CREATE VIEW sorted WITH (streamx.continuous) AS SELECT DISTINCT lower(page) AS page, n % 3 AS part FROM clicks ORDER BY 2 DESC, 1;
CREATE VIEW by_window WITH (streamx.continuous) AS SELECT DISTINCT tumble(t, '10 min') AS w, page FROM clicks;
CREATE VIEW by_hop WITH (streamx.continuous) AS SELECT DISTINCT hop(t, '10 min', '5 min') AS w, page FROM clicks;
CREATE VIEW visits WITH (streamx.continuous) AS SELECT DISTINCT page, session(t, '3 min') AS w FROM clicks;
CREATE FUNCTION put(minute int, page text, n int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO clicks VALUES ('2024-05-01 10:00Z'::timestamptz + minute * interval '1 min', page, n);
	INSERT INTO clicks_table VALUES ('2024-05-01 10:00Z'::timestamptz + minute * interval '1 min', page, n);
$$;
SELECT plan(9);
SELECT put(i * 7 % 31, (ARRAY['a', 'B', 'b', NULL])[1 + i % 4], i % 5) FROM generate_series(1, 20) i;
SELECT put(40, 'c', 0);
SELECT put(41, 'a', 1);
SELECT results_eq('SELECT page FROM pages ORDER BY 1', 'SELECT DISTINCT page FROM clicks_table WHERE n > 0 ORDER BY 1', 'the keys that there are');
SELECT results_eq('SELECT * FROM sorted', 'SELECT DISTINCT lower(page), n % 3 FROM clicks_table ORDER BY 2 DESC, 1', 'in the order asked for');
SELECT results_eq('SELECT * FROM by_window ORDER BY 1, 2', 'SELECT DISTINCT tumble(t, $$10 min$$), page FROM clicks_table ORDER BY 1, 2', 'by tumbling window');
SELECT results_eq('SELECT * FROM by_hop ORDER BY 1, 2', 'SELECT DISTINCT hop(t, $$10 min$$, $$5 min$$), page FROM clicks_table ORDER BY 1, 2', 'by hop');
SELECT is_empty(format('SELECT * FROM streamx.verify(%L)', v), v || ': verify agrees') FROM unnest(ARRAY['pages', 'sorted', 'by_window', 'by_hop', 'visits']) v;
\set ON_ERROR_STOP 0
CREATE VIEW x WITH (streamx.continuous) AS SELECT DISTINCT ON (page) page, n FROM clicks;
CREATE VIEW x WITH (streamx.continuous) AS SELECT DISTINCT count(*) FROM clicks GROUP BY page;
SELECT * FROM finish();
SET client_min_messages = error;
DROP SCHEMA distinguishing CASCADE;
