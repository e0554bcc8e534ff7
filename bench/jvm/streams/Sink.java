import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;

import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.StateStoreContext;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.internals.CacheFlushListener;
import org.apache.kafka.streams.state.internals.CachedStateStore;

/**
 * Collects a task's changed results and writes them to PostgreSQL in one transaction before each
 * commit of Kafka Streams.  Rows have the values as they are, not what is to be added: what is
 * repeated after a crash between the two commits is written again and is right.
 *
 * A store that says it has a cache, for its flush is what Streams calls just before it commits,
 * after those of the stores that registered earlier: those whose changes come here.
 */
final class Sink implements StateStore, CachedStateStore<Object, Object>
{
	static final String NAME = "sink";
	private static final Comparator<Results.Key> order =
		Comparator.comparingLong(Results.Key::windowStart).thenComparing(Results.Key::category);
	private static final AtomicLong committedOfAll = new AtomicLong();
	private static final ThreadLocal<Tally> tallies = ThreadLocal.withInitial(Tally::new);

	/** Events of a thread, which commits all its tasks at once. */
	private static final class Tally
	{
		private long counted;
		private long flushed;
	}

	private final String url;
	private final String upsert;
	private final boolean hasPart;
	private final Map<Results.Key, Sums> changed = new HashMap<>();
	private Connection connection;
	private PreparedStatement statement;
	private int partition;
	private boolean isOpen;

	private Sink(String url, String table, boolean hasPart)
	{
		this.url = url;
		this.hasPart = hasPart;
		upsert = "INSERT INTO " + table + (hasPart ? "_parts" : "") +
			" SELECT to_timestamp(w / 1000.0), category, orders, " +
			(hasPart ? "amounts, cents, ?" : "cents * 0.01, cents * 0.01 / amounts") +
			" FROM unnest(?, ?, ?, ?, ?) AS u (w, category, orders, amounts, cents)" +
			" ON CONFLICT (window_start, category" + (hasPart ? ", part" : "") + ") DO UPDATE SET " +
			(hasPart ? "orders = excluded.orders, amounts = excluded.amounts, cents = excluded.cents"
				: "orders = excluded.orders, total = excluded.total, mean = excluded.mean");
	}

	static StoreBuilder<Sink> builder(String url, String table, boolean hasPart)
	{
		return new StoreBuilder<>()
		{
			@Override public StoreBuilder<Sink> withCachingEnabled() { return this; }
			@Override public StoreBuilder<Sink> withCachingDisabled() { return this; }
			@Override public StoreBuilder<Sink> withLoggingEnabled(Map<String, String> config) { return this; }
			@Override public StoreBuilder<Sink> withLoggingDisabled() { return this; }
			@Override public Sink build() { return new Sink(url, table, hasPart); }
			@Override public Map<String, String> logConfig() { return Map.of(); }
			@Override public boolean loggingEnabled() { return false; }
			@Override public String name() { return NAME; }
		};
	}

	/** Events whose results are in PostgreSQL, and whose transactions in Kafka are over, of all tasks. */
	static long committed()
	{
		return committedOfAll.get();
	}

	static void reset()
	{
		committedOfAll.set(0);
	}

	void put(long windowStart, String category, Sums sums)
	{
		changed.put(new Results.Key(windowStart, category), sums);
	}

	/** One more event is read by this thread: the commit after its last flush is over, for here we are. */
	static void count()
	{
		Tally tally = tallies.get();

		if (tally.flushed > 0)
		{
			committedOfAll.addAndGet(tally.flushed);
			tally.flushed = 0;
		}
		tally.counted++;
	}

	@Override
	public void flushCache()
	{
		if (!changed.isEmpty())
		{
			if (url == null)
				changed.forEach((key, sums) -> Results.kept.merge(key,
					new Results.Row(sums.orders(), sums.total(), sums.mean()), (old, now) -> now));
			else
				write();
			changed.clear();
		}
		Tally tally = tallies.get();

		tally.flushed += tally.counted;
		tally.counted = 0;
	}

	private void write()
	{
		List<Map.Entry<Results.Key, Sums>> rows = changed.entrySet().stream().sorted(Map.Entry.comparingByKey(order)).toList();
		Long[] windows = rows.stream().map(row -> row.getKey().windowStart()).toArray(Long[]::new);
		String[] categories = rows.stream().map(row -> row.getKey().category()).toArray(String[]::new);
		Long[] orders = rows.stream().map(row -> row.getValue().orders()).toArray(Long[]::new);
		Long[] amounts = rows.stream().map(row -> row.getValue().amounts()).toArray(Long[]::new);
		Long[] cents = rows.stream().map(row -> row.getValue().cents()).toArray(Long[]::new);
		int n = 1;

		try
		{
			if (statement == null)
			{
				connection = DriverManager.getConnection(url);
				statement = connection.prepareStatement(upsert);
			}
			if (hasPart)
				statement.setInt(n++, partition);
			statement.setArray(n++, connection.createArrayOf("int8", windows));
			statement.setArray(n++, connection.createArrayOf("text", categories));
			statement.setArray(n++, connection.createArrayOf("int8", orders));
			statement.setArray(n++, connection.createArrayOf("int8", amounts));
			statement.setArray(n, connection.createArrayOf("int8", cents));
			statement.executeUpdate();
		}
		catch (SQLException e)
		{
			throw new IllegalStateException(e);
		}
	}

	@Override
	public void init(StateStoreContext context, StateStore root)
	{
		partition = context.taskId().partition();
		context.register(root, (key, value) -> {});
		isOpen = true;
	}

	@Override
	public void close()
	{
		isOpen = false;
		try
		{
			if (connection != null)
				connection.close();
		}
		catch (SQLException e)
		{
			throw new IllegalStateException(e);
		}
	}

	@Override
	public boolean setFlushListener(CacheFlushListener<Object, Object> listener, boolean sendOldValues)
	{
		return false;
	}

	@Override
	public void clearCache()
	{
		changed.clear();
	}

	@Override
	public String name()
	{
		return NAME;
	}

	@Override
	public boolean persistent()
	{
		return false;
	}

	@Override
	public boolean isOpen()
	{
		return isOpen;
	}
}
