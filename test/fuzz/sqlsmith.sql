SET client_min_messages = warning;
-- Streams and views of every kind, and a plain role that may read and write them
CREATE EXTENSION streamx;
CREATE TABLE products (id int PRIMARY KEY, name text, price numeric);
INSERT INTO products SELECT i, 'product ' || i, i * 1.5 FROM generate_series(1, 10) i;
CREATE FOREIGN TABLE orders (at timestamptz, product int, amount numeric, quantity int, tags text[], note jsonb)
	SERVER streamx OPTIONS (event_time 'at', watermark_delay '1 minute', retain 'on');
INSERT INTO orders SELECT '2024-05-01'::timestamptz + i * interval '7 seconds', i % 10 + 1, i * 0.25, i % 4, ARRAY['a' || i % 3], to_jsonb(i)
FROM generate_series(1, 5000) i;
CREATE VIEW plain WITH (streamx.continuous) AS SELECT count(*), sum(amount) FROM orders;
CREATE VIEW tumbling WITH (streamx.continuous) AS
	SELECT tumble(at, '5 minutes') AS w, product, sum(amount), count(DISTINCT quantity), array_agg(note ORDER BY amount) FROM orders GROUP BY 1, 2;
CREATE VIEW hopping WITH (streamx.continuous, streamx.allowed_lateness = '1 hour') AS
	SELECT hop(at, '10 minutes', '3 minutes') AS w, product, max(amount), avg(quantity) FROM orders GROUP BY 1, 2;
CREATE VIEW cumulating WITH (streamx.continuous) AS SELECT cumulate(at, '1 hour', '10 minutes') AS w, count(*) FROM orders GROUP BY 1;
CREATE VIEW sessions WITH (streamx.continuous) AS SELECT session(at, '30 seconds') AS w, product, count(*) FROM orders GROUP BY 1, 2;
CREATE VIEW joined WITH (streamx.continuous) AS SELECT p.name, sum(o.quantity * p.price) FROM orders o JOIN products p ON p.id = o.product GROUP BY 1;
CREATE VIEW sketched WITH (streamx.continuous) AS
	SELECT product, approx_count_distinct(amount), approx_percentile(amount, 0.9), distinct_sketch_agg(quantity) AS d, last(amount, at), max_n(quantity, 3) FROM orders GROUP BY 1;
CREATE VIEW sets WITH (streamx.continuous) AS SELECT product, quantity, count(*) FROM orders GROUP BY ROLLUP (product, quantity);
CREATE ROLE smith LOGIN;
GRANT ALL ON ALL TABLES IN SCHEMA public TO smith;
-- a changed row of a joined table makes a difference, and that is right
REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON products FROM smith;
ALTER ROLE smith SET statement_timeout = '2s';
ALTER ROLE smith SET log_error_verbosity = verbose;
