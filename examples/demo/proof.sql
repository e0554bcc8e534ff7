-- Where each partition was read to, and committed in the same transactions as the results.
SELECT stream, "partition", "offset", end_offset, lag, event_time::time(0), watermark::time(0)
FROM streamx.stat_partitions ORDER BY stream::text, "partition";

-- The busiest pages of the last closed window.
SELECT lower(w)::time AS "from", page, clicks, slow, avg_ms
FROM traffic
WHERE upper(w) <= streamx.watermark('traffic')
ORDER BY w DESC, clicks DESC LIMIT 3;

-- HAVING: only where there was much to do.
SELECT country, count(*) AS busy_windows, max(clicks) FROM busy_countries GROUP BY 1 ORDER BY 2 DESC, 1;

-- Rows that came after their window was closed for good are kept, not counted; a view's
-- allowed_lateness says when that is.
SELECT l.view, v.allowed_lateness, count(*) AS late, max(l.watermark - l.event_time) AS latest
FROM streamx.late_rows l JOIN streamx.views v USING (view)
GROUP BY 1, 2 ORDER BY l.view::text;

-- So are messages that could not be read, each with the reason, its offset and its bytes.
SELECT stream, sqlstate, count(*), min(message) AS message
FROM streamx.dead_letters GROUP BY stream, sqlstate, left(message, 20) ORDER BY stream::text, 2;

-- A stream can be queried as it is: this reads the topic.
SELECT * FROM orders LIMIT 3;

-- The proof: each view computed again as a batch over the rows that it accepted. Rows that differ:
