SELECT stream, state, lag, watermark::time(0), rows, late_rows, dead_letters
FROM streamx.stat_streams ORDER BY stream::text;

SELECT lower(w)::time AS "from", upper(w) <= streamx.watermark('revenue') AS closed,
       category, orders, total, biggest
FROM revenue ORDER BY w DESC, total DESC LIMIT 6;

