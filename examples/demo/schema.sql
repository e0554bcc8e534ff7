-- Two Kafka topics become streams: foreign tables whose columns say where in the JSON they are.
CREATE EXTENSION streamx;
CREATE SERVER kafka FOREIGN DATA WRAPPER streamx
    OPTIONS (bootstrap_servers :'broker');

CREATE FOREIGN TABLE clicks (
    country text    OPTIONS (field 'visitor.country'),
    page    text    NOT NULL,
    load_ms integer,
    ts      timestamptz
) SERVER kafka OPTIONS (topic 'clicks', event_time 'ts', watermark_delay '3 seconds');

CREATE FOREIGN TABLE orders (
    order_id text          OPTIONS (field 'order.id'),
    ordered  timestamptz   OPTIONS (field 'order.at'),
    customer integer,
    product  text,
    amount   numeric(10,2) CHECK (amount > 0)
) SERVER kafka OPTIONS (topic 'orders', event_time 'ordered', watermark_delay '3 seconds');

-- An ordinary table, to be joined with.
CREATE TABLE products (product text PRIMARY KEY, category text NOT NULL);
INSERT INTO products VALUES
    ('Assam', 'tea'), ('Sencha', 'tea'), ('Espresso', 'coffee'), ('Decaf', 'coffee'), ('Mug', 'china');

-- Continuous views. Created in one transaction they share a reader: a message is fetched
-- and decoded once for all views of its stream, and they move together.
BEGIN;
CREATE VIEW traffic WITH (streamx.continuous) AS
    SELECT tumble(ts, '10 seconds') AS w, page, count(*) AS clicks,
           count(*) FILTER (WHERE load_ms > 500) AS slow, round(avg(load_ms), 1) AS avg_ms
    FROM clicks
    GROUP BY 1, 2;

CREATE VIEW busy_countries WITH (streamx.continuous, streamx.allowed_lateness = '10 seconds') AS
    SELECT tumble(ts, '10 seconds') AS w, country, count(*) AS clicks
    FROM clicks
    GROUP BY 1, 2
    HAVING count(*) >= 200;

CREATE VIEW click_totals WITH (streamx.continuous) AS
    SELECT count(*) AS clicks, count(*) FILTER (WHERE page = '/cart') AS carts,
           sum(load_ms) AS load_ms, max(ts) AS last
    FROM clicks;

CREATE VIEW revenue WITH (streamx.continuous, streamx.allowed_lateness = '10 seconds') AS
    SELECT tumble(ordered, '10 seconds') AS w, category, count(*) AS orders,
           sum(amount) AS total, max(amount) AS biggest
    FROM orders JOIN products USING (product)
    GROUP BY 1, 2;

CREATE VIEW order_totals WITH (streamx.continuous) AS
    SELECT count(*) AS orders, sum(amount) AS total, min(ordered) AS first, max(ordered) AS last
    FROM orders;
COMMIT;
