import java.time.Duration;

import org.apache.flink.configuration.Configuration;
import org.apache.flink.runtime.util.EnvironmentInformation;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Apache Flink SQL as a contestant, in one JVM: an embedded cluster runs the query.
 *
 * flink-tvf: a window table-valued function; a window is written when the watermark has passed
 * its end.  flink-group: a group aggregate, which updates its results all the time.  More parts of
 * the name: rocksdb is the state's backend; discard throws the results away.  Options: --query NAME, one of
 * Nexmark's instead of the orders', --checkpoint MS,
 * --mini-batch MS, --parallelism N, --managed MB, --explain, and --passes N, of which the last
 * is measured.
 */
final class Flink
{
	private final Settings settings;
	private final TableEnvironment tables;

	private Flink(Settings settings)
	{
		this.settings = settings;
		tables = TableEnvironment.create(
			EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration()).build());
	}

	public static void main(String[] arguments) throws Exception
	{
		Settings settings = new Settings(arguments);

		if (settings.isNamed("group") && settings.windowKind().equals("session"))
			Settings.unable("a group aggregate has no sessions");
		if (settings.has("follow"))
			Settings.endBySignal();
		for (long pass = settings.passes(); pass > 0; pass--)
		{
			Results.prepare(settings, settings.has("query") ? nexmark(settings).tableColumns() : Results.COLUMNS);
			OffsetReporter.reset();
			new Flink(settings).run(pass == 1);
		}
		System.exit(0);
	}

	private void run(boolean isMeasured) throws Exception
	{
		Progress progress = new Progress(settings.events(), OffsetReporter::consumed, OffsetReporter::committed);

		String insert = "INSERT INTO results " + (settings.has("query") ? nexmark(settings).select() : query());

		for (String source : settings.has("query") ? nexmark(settings).sources(connector("SQL")) : new String[] {source()})
			tables.executeSql(source);
		tables.executeSql(sink());
		if (settings.has("explain"))
			System.err.println(tables.explainSql(insert));
		if (isMeasured)
		{
			note();
			progress.start();
		}
		tables.executeSql(insert).await();
		if (isMeasured)
		{
			if (settings.jdbcUrl() == null)
				Results.writeKept(settings.text("csv"));
			progress.finish();
		}
	}

	private static Nexmark nexmark(Settings settings)
	{
		return Nexmark.named(settings.text("query"), settings.isNamed("group"));
	}

	private void note()
	{
		Progress.note("settings", "Flink " + EnvironmentInformation.getVersion() + ", Java " + Runtime.version().feature() + ", " + (settings.isNamed("rocksdb") ? "RocksDB" : "heap") +
			", checkpoint " + checkpointMs() + " ms, mini-batch " + miniBatchMs() + " ms, object reuse, two-phase, passes " + settings.passes());
	}

	private long checkpointMs()
	{
		return settings.number("checkpoint", 1000);
	}

	private long miniBatchMs()
	{
		return settings.number("mini-batch", settings.has("follow") ? 100 : 1000);
	}

	private Configuration configuration()
	{
		String state = System.getProperty("user.dir") + "/" + settings.name + ".state";
		String[][] values = {
			{"parallelism.default", settings.text("parallelism", "1")},
			{"taskmanager.numberOfTaskSlots", settings.text("parallelism", "1")},
			{"taskmanager.memory.managed.size", settings.text("managed", "512") + "m"},
			{"pipeline.object-reuse", "true"},
			{"table.local-time-zone", "UTC"},
			{"table.exec.mini-batch.enabled", Boolean.toString(miniBatchMs() > 0)},
			{"table.exec.mini-batch.allow-latency", miniBatchMs() + " ms"},
			{"table.exec.mini-batch.size", "100000"},
			{"table.optimizer.agg-phase-strategy", "TWO_PHASE"},
			{"table.optimizer.distinct-agg.split.enabled", "true"},
			// the sink's key and the query's are the same but for the arithmetic of the window's start
			{"table.exec.sink.upsert-materialize", "NONE"},
			{"state.backend.type", settings.isNamed("rocksdb") ? "rocksdb" : "hashmap"},
			{"execution.checkpointing.incremental", Boolean.toString(settings.isNamed("rocksdb"))},
			{"execution.checkpointing.mode", "EXACTLY_ONCE"},
			{"execution.checkpointing.interval", checkpointMs() + " ms"},
			{"execution.checkpointing.dir", "file://" + state},
			{"io.tmp.dirs", System.getProperty("user.dir")},
			{"metrics.reporters", "offsets"},
			{"metrics.reporter.offsets.factory.class", OffsetReporter.Factory.class.getName()},
		};
		Configuration configuration = new Configuration();

		for (String[] value : values)
			configuration.setString(value[0], value[1]);
		return configuration;
	}

	// ---- SQL ----

	/*
	 * Kafka's connector has no projection push-down yet: that only the fields of the query are
	 * declared, and so decoded, is what it would do.
	 */
	private String source()
	{
		String watermark = ", WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND";

		return "CREATE TABLE orders (" +
			"order_id STRING, category STRING, amount DECIMAL(10, 2), event_time TIMESTAMP_LTZ(3)" +
			(isArithmetic() ? "" : watermark) + ") WITH (" + connector("ISO-8601") + ")";
	}

	/** Kafka's, of JSON with times in a format. */
	private String connector(String timeFormat)
	{
		return "'connector' = 'kafka', 'topic' = '" + settings.text("topic") + "', " +
			"'properties.bootstrap.servers' = '" + settings.text("broker") + "', " +
			"'properties.group.id' = '" + settings.text("result", settings.name) + "', " +
			"'properties.max.partition.fetch.bytes' = '8388608', 'properties.fetch.max.bytes' = '33554432', " +
			"'properties.max.poll.records' = '5000', " +
			"'scan.startup.mode' = 'earliest-offset', " +
			(settings.has("follow") ? "" : "'scan.bounded.mode' = 'latest-offset', ") +
			"'format' = 'json', 'json.timestamp-format.standard' = '" + timeFormat + "'";
	}

	private String sink()
	{
		String columns = "CREATE TABLE results (" + (settings.has("query") ? nexmark(settings).sinkColumns() :
			"window_start TIMESTAMP(3), category STRING, orders BIGINT, " +
				"total DECIMAL(38, 2), mean DECIMAL(38, 6), PRIMARY KEY (window_start, category) NOT ENFORCED") + ") WITH (";

		if (settings.jdbcUrl() == null)
			return columns + "'connector' = '" + KeepingSink.Factory.IDENTIFIER + "')";
		return columns + "'connector' = 'jdbc', 'driver' = 'org.postgresql.Driver', 'url' = '" + settings.jdbcUrl() +
			"', 'table-name' = '" + settings.text("result") + "', 'username' = 'postgres', 'password' = '', " +
			"'sink.buffer-flush.max-rows' = '20000', 'sink.buffer-flush.interval' = '" +
			Duration.ofMillis(Math.max(miniBatchMs(), 100)).toMillis() + " ms')";
	}

	private String query()
	{
		String aggregates = "category, count(order_id), sum(amount), avg(amount)";

		if (isArithmetic())
			return "SELECT CAST(TO_TIMESTAMP_LTZ(w * " + settings.windowMs(0) + ", 3) AS TIMESTAMP(3)), " +
				"category, n, total, mean FROM (SELECT EXTRACT(EPOCH FROM event_time) / " +
				settings.windowMs(0) / 1000 + " AS w, category, count(order_id) AS n, sum(amount) AS total, " +
				"avg(amount) AS mean FROM orders GROUP BY category, EXTRACT(EPOCH FROM event_time) / " +
				settings.windowMs(0) / 1000 + ")";
		return "SELECT window_start, " + aggregates + " FROM TABLE(" + windows() + ") GROUP BY window_start, " +
			(settings.isNamed("group") ? "" : "window_end, ") + "category";
	}

	/** A group aggregate over tumbling windows of whole seconds computes a window's number itself. */
	private boolean isArithmetic()
	{
		return settings.isNamed("group") && settings.windowKind().equals("tumble") && settings.windowMs(0) % 1000 == 0;
	}

	private String windows()
	{
		String orders = "TABLE orders";
		String time = ", DESCRIPTOR(event_time), ";

		switch (settings.windowKind())
		{
			case "tumble":
				return "TUMBLE(" + orders + time + interval(0) + ")";
			case "hop":
				return "HOP(" + orders + time + interval(1) + ", " + interval(0) + ")";
			case "session":
				return "SESSION(" + orders + " PARTITION BY category" + time + interval(0) + ")";
			default:
				Settings.unable("no such window: " + settings.windowKind());
				return null;
		}
	}

	private String interval(int n)
	{
		return String.format("INTERVAL '%d.%03d' SECOND(9, 3)", settings.windowMs(n) / 1000, settings.windowMs(n) % 1000);
	}
}
