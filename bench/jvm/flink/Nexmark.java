import java.util.Map;

/**
 * Nexmark's queries in Flink SQL, as nexmark-flink has them, with the window's start among the
 * results so that these can be looked up; q12 by the time of the messages.
 *
 * The table has the fields that a query needs and no others: Kafka's connector has no projection
 * push-down yet, and this is what it would do.
 */
final class Nexmark
{
	/** How far the watermark trails. */
	private static final String DELAY = "INTERVAL '4' SECOND";

	private static final String HOPS = "TABLE(HOP(TABLE bid, DESCRIPTOR(`dateTime`), INTERVAL '2' SECOND, INTERVAL '10' SECOND))";

	private static final String BIDDERS = "SELECT window_start, bidder, count(*) FROM TABLE(%s) GROUP BY window_start, window_end, bidder";

	private static final Map<String, Nexmark> QUERIES = Map.of(
		"q5", new Nexmark("", "", "auction BIGINT, ", true, "window_start TIMESTAMP(3), auction BIGINT, num BIGINT", "window_start, auction",
			"SELECT AuctionBids.starttime, AuctionBids.auction, AuctionBids.num FROM (" +
				"SELECT auction, count(*) AS num, window_start AS starttime, window_end AS endtime FROM " + HOPS +
				" GROUP BY auction, window_start, window_end) AS AuctionBids JOIN (" +
				"SELECT max(CountBids.num) AS maxn, CountBids.starttime, CountBids.endtime FROM (" +
				"SELECT count(*) AS num, window_start AS starttime, window_end AS endtime FROM " + HOPS +
				" GROUP BY auction, window_start, window_end) AS CountBids GROUP BY CountBids.starttime, CountBids.endtime) AS MaxBids " +
				"ON AuctionBids.starttime = MaxBids.starttime AND AuctionBids.endtime = MaxBids.endtime AND AuctionBids.num >= MaxBids.maxn"),
		"q8", new Nexmark("id BIGINT, name STRING, ", "seller BIGINT, ", "", true, "window_start TIMESTAMP(3), id BIGINT, name STRING", "window_start, id",
			"SELECT P.starttime, P.id, P.name FROM (" +
				"SELECT P.id, P.name, window_start AS starttime, window_end AS endtime FROM TABLE(TUMBLE(TABLE person, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) AS P " +
				"GROUP BY P.id, P.name, window_start, window_end) P JOIN (" +
				"SELECT A.seller, window_start AS starttime, window_end AS endtime FROM TABLE(TUMBLE(TABLE auction, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)) AS A " +
				"GROUP BY A.seller, window_start, window_end) A ON P.id = A.seller AND P.starttime = A.starttime AND P.endtime = A.endtime"),
		"q11", new Nexmark("", "", "bidder BIGINT, ", true, "window_start TIMESTAMP(3), bidder BIGINT, bid_count BIGINT", "window_start, bidder",
			String.format(BIDDERS, "SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(`dateTime`), INTERVAL '10' SECOND)")),
		"q12", new Nexmark("", "", "bidder BIGINT, ", true, "window_start TIMESTAMP(3), bidder BIGINT, bid_count BIGINT", "window_start, bidder",
			String.format(BIDDERS, "TUMBLE(TABLE bid, DESCRIPTOR(arrival), INTERVAL '10' SECOND)")),
		"q17", new Nexmark("", "", "auction BIGINT, price BIGINT, ", false, "auction BIGINT, `day` STRING, total_bids BIGINT, rank1_bids BIGINT, rank2_bids BIGINT, " +
			"rank3_bids BIGINT, min_price BIGINT, max_price BIGINT, avg_price BIGINT, sum_price BIGINT", "auction, `day`",
			"SELECT auction, DATE_FORMAT(`dateTime`, 'yyyy-MM-dd') AS `day`, count(*) AS total_bids, " +
				"count(*) FILTER (WHERE price < 10000) AS rank1_bids, " +
				"count(*) FILTER (WHERE price >= 10000 AND price < 1000000) AS rank2_bids, " +
				"count(*) FILTER (WHERE price >= 1000000) AS rank3_bids, min(price) AS min_price, max(price) AS max_price, " +
				"avg(price) AS avg_price, sum(price) AS sum_price FROM bid GROUP BY auction, DATE_FORMAT(`dateTime`, 'yyyy-MM-dd')"));

	private final String personFields;
	private final String auctionFields;
	private final String bidFields;
	private final boolean hasWindows;
	private final String columns;
	private final String key;
	private final String select;

	private Nexmark(String personFields, String auctionFields, String bidFields, boolean hasWindows, String columns, String key, String select)
	{
		this.personFields = personFields;
		this.auctionFields = auctionFields;
		this.bidFields = bidFields;
		this.hasWindows = hasWindows;
		this.columns = columns;
		this.key = key;
		this.select = select;
	}

	/** The query of that name; a group aggregate has no windows. */
	static Nexmark named(String name, boolean isGroup)
	{
		Nexmark query = QUERIES.get(name);

		if (query == null || query.hasWindows == isGroup)
			Settings.unable("no such query: " + name);
		return query;
	}

	/** The topic as a table, and a view for each kind of event. */
	String[] sources(String connector)
	{
		return new String[] {
			events(connector),
			view("person", 0, personFields),
			view("auction", 1, auctionFields),
			view("bid", 2, bidFields),
		};
	}

	/** All events move the watermark, so the time of each is needed where there is one. */
	private String events(String connector)
	{
		String table = "CREATE TABLE events (event_type INT, bid " + row(bidFields);

		if (isByArrival())
			table += ", arrival TIMESTAMP(3) METADATA FROM 'timestamp', WATERMARK FOR arrival AS arrival - " + DELAY;
		else if (hasWindows)
			table += ", person " + row(personFields) + ", auction " + row(auctionFields) +
				", `dateTime` AS CASE WHEN event_type = 0 THEN person.`dateTime` WHEN event_type = 1 THEN auction.`dateTime` ELSE bid.`dateTime` END" +
				", WATERMARK FOR `dateTime` AS `dateTime` - " + DELAY;
		return table + ") WITH (" + connector + ")";
	}

	private String row(String fields)
	{
		return isByArrival() ? "ROW<" + fields.replaceFirst(", $", "") + ">" : "ROW<" + fields + "`dateTime` TIMESTAMP(3)>";
	}

	private String view(String name, int type, String fields)
	{
		String time = isByArrival() ? "arrival" : hasWindows ? "`dateTime`" : "bid.`dateTime`";
		String columns = fields.replaceAll("(\\w+) [A-Z]+, ", name + ".$1, ");

		return "CREATE VIEW " + name + " AS SELECT " + columns + time + " FROM events WHERE event_type = " + type;
	}

	private boolean isByArrival()
	{
		return select.contains("arrival");
	}

	/** Columns of the results, as Flink has them. */
	String sinkColumns()
	{
		return columns + ", PRIMARY KEY (" + key + ") NOT ENFORCED";
	}

	/** The same, as PostgreSQL has them. */
	String tableColumns()
	{
		return (columns + ", PRIMARY KEY (" + key + ")").replace('`', '"').replace("STRING", "text");
	}

	String select()
	{
		return select;
	}
}
