import java.io.IOException;
import java.io.PrintWriter;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Where the results go: a table, or, where they are thrown away, a map with the newest of each
 * window, which is nothing but the oracle's food.
 */
final class Results
{
	/** Of the table, of orders. */
	static final String COLUMNS = "window_start timestamptz, category text, orders bigint, total numeric, mean numeric, PRIMARY KEY (window_start, category)";

	record Key(long windowStart, String category) {}

	record Row(long orders, BigDecimal total, BigDecimal mean) {}

	/** The newest row of each window of a contestant that throws its results away. */
	static final Map<Key, Row> kept = new ConcurrentHashMap<>();

	private Results() {}

	/** Begins anew. */
	static void prepare(Settings settings) throws SQLException
	{
		prepare(settings, COLUMNS);
	}

	/** Begins anew, with a table of such columns. */
	static void prepare(Settings settings, String columns) throws SQLException
	{
		kept.clear();
		if (settings.jdbcUrl() != null)
			createTable(settings.jdbcUrl(), settings.text("result"), columns);
	}

	private static void createTable(String url, String table, String columns) throws SQLException
	{
		try (Connection connection = DriverManager.getConnection(url);
			 Statement statement = connection.createStatement())
		{
			statement.execute("DROP TABLE IF EXISTS " + table);
			statement.execute("CREATE TABLE " + table + " (" + columns + ") WITH (fillfactor = 70)");
		}
	}

	static void writeKept(String file) throws IOException
	{
		try (PrintWriter writer = new PrintWriter(file))
		{
			kept.forEach((key, row) -> writer.println(
				Instant.ofEpochMilli(key.windowStart) + "," + key.category + "," + row.orders + "," +
				row.total.toPlainString() + "," + row.mean.toPlainString()));
		}
	}
}
