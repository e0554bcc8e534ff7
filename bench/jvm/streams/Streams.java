import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.AppInfoParser;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowBytesStoreSupplier;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams as a contestant: exactly_once_v2, with caches.
 *
 * kafka-streams is the DSL as everyone writes it: as the topic's messages have no key, a
 * topic of Streams' own brings a category's orders together.  kafka-streams-local does without:
 * each partition has its own states, and a view in PostgreSQL adds them up.  More parts of the
 * name: memory keeps states in the heap, not in RocksDB; discard throws the results away.  Options:
 * --commit MS, --threads N, --cache MB, and --passes N, of which the last is measured.
 */
final class Streams
{
	private static final Duration GRACE = Duration.ofDays(1);
	private static final String STORE = "windows";

	private final Settings settings;
	private final String application;
	private final TimeWindows windows;
	private final AtomicLong consumed = new AtomicLong();

	private Streams(Settings settings, long pass)
	{
		Duration size = Duration.ofMillis(settings.windowMs(0));

		this.settings = settings;
		// A name of its own for each run: its offsets and topics begin anew.
		application = settings.text("result", settings.name) + "-" + ProcessHandle.current().pid() + "-" + pass;
		// The partitions of a backlog are not read evenly: without grace events would be dropped.
		windows = settings.windowKind().equals("hop")
			? TimeWindows.ofSizeAndGrace(size, GRACE).advanceBy(Duration.ofMillis(settings.windowMs(1)))
			: TimeWindows.ofSizeAndGrace(size, GRACE);
	}

	public static void main(String[] arguments) throws Exception
	{
		Settings settings = new Settings(arguments);
		boolean isLocal = settings.isNamed("local");

		if (settings.windowKind().equals("session"))
			Settings.unable("sessions, whose rows move, are not written here");
		if (isLocal && settings.jdbcUrl() == null)
			Settings.unable("what is added up in PostgreSQL is not thrown away");
		for (long pass = settings.passes(); pass > 0; pass--)
		{
			if (isLocal)
				createParts(settings.jdbcUrl(), settings.text("result"));
			else
				Results.prepare(settings);
			Sink.reset();
			new Streams(settings, pass).run(pass == 1);
		}
		System.exit(0);
	}

	private static void createParts(String url, String table) throws SQLException
	{
		try (Connection connection = DriverManager.getConnection(url);
			 Statement statement = connection.createStatement())
		{
			statement.execute("DROP TABLE IF EXISTS " + table + "_parts CASCADE");
			statement.execute("CREATE TABLE " + table + "_parts" +
				" (window_start timestamptz, category text, orders bigint, amounts bigint, cents bigint, part int," +
				" PRIMARY KEY (window_start, category, part)) WITH (fillfactor = 70)");
			statement.execute("CREATE VIEW " + table + " AS SELECT window_start, category, sum(orders)::bigint AS orders," +
				" sum(cents) * 0.01 AS total, sum(cents) * 0.01 / sum(amounts) AS mean FROM " + table + "_parts GROUP BY 1, 2");
		}
	}

	private void run(boolean isMeasured) throws Exception
	{
		int stages = settings.isNamed("local") ? 1 : 2;
		Progress progress = new Progress(settings.events(), () -> consumed.get() / stages, () -> Sink.committed() / stages);
		KafkaStreams streams = new KafkaStreams(topology(), properties());

		streams.setUncaughtExceptionHandler(failure -> {
			failure.printStackTrace();
			Runtime.getRuntime().halt(1);
			return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
		});
		if (isMeasured)
		{
			note();
			progress.start();
		}
		streams.start();
		if (settings.has("follow"))
		{
			Settings.endBySignal();
			Thread.currentThread().join();
		}
		waitForEnd(stages);
		streams.close();
		streams.cleanUp();
		if (isMeasured)
		{
			if (settings.jdbcUrl() == null)
				Results.writeKept(settings.text("csv"));
			progress.finish();
		}
		deleteTopics();
	}

	private void note()
	{
		Progress.note("settings", "Kafka Streams " + AppInfoParser.getVersion() + ", Java " + Runtime.version().feature() + ", exactly_once_v2, " +
			(settings.isNamed("memory") ? "heap" : "RocksDB") + ", commit " + commitMs() + " ms, " +
			settings.text("threads", "1") + " threads, cache " + cacheMb() + " MB, passes " + settings.passes());
	}

	private long commitMs()
	{
		return settings.number("commit", settings.has("follow") ? 100 : 1000);
	}

	private long cacheMb()
	{
		return settings.number("cache", 64);
	}

	private Properties properties()
	{
		Properties properties = new Properties();

		properties.putAll(Map.ofEntries(
			Map.entry(StreamsConfig.APPLICATION_ID_CONFIG, application),
			Map.entry(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, settings.text("broker")),
			Map.entry(StreamsConfig.STATE_DIR_CONFIG, System.getProperty("user.dir") + "/" + settings.name + ".state"),
			Map.entry(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2),
			Map.entry(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, commitMs()),
			Map.entry(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, cacheMb() << 20),
			Map.entry(StreamsConfig.NUM_STREAM_THREADS_CONFIG, (int) settings.number("threads", 1)),
			Map.entry(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1),
			Map.entry(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE),
			Map.entry(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10_000),
			Map.entry(StreamsConfig.METRICS_RECORDING_LEVEL_CONFIG, "INFO"),
			Map.entry(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest"),
			Map.entry(StreamsConfig.consumerPrefix("max.poll.records"), 5000),
			Map.entry(StreamsConfig.consumerPrefix("max.partition.fetch.bytes"), 8 << 20),
			Map.entry(StreamsConfig.producerPrefix("linger.ms"), settings.has("follow") ? 5 : 100),
			Map.entry(StreamsConfig.producerPrefix("batch.size"), 256 << 10)));
		return properties;
	}

	// ---- the topology ----

	private Topology topology()
	{
		StreamsBuilder builder = new StreamsBuilder();
		boolean isLocal = settings.isNamed("local");
		KStream<Bytes, Order> orders = builder.stream(settings.text("topic"),
			Consumed.with(Serdes.Bytes(), Order.fromJson())
				.withTimestampExtractor((record, previous) -> ((Order) record.value()).eventTime()));

		builder.addStateStore(Sink.builder(settings.jdbcUrl(), settings.text("result"), isLocal));
		if (isLocal)
		{
			builder.addStateStore(Stores.windowStoreBuilder(store(), Serdes.String(), Sums.serde()).withCachingEnabled());
			orders.process(LocalAggregate::new, STORE, Sink.NAME);
		}
		else
			aggregate(orders);
		return builder.build(properties());
	}

	private void aggregate(KStream<Bytes, Order> orders)
	{
		orders
			.peek((key, order) -> count())
			.selectKey((key, order) -> order.category())
			.repartition(Repartitioned.with(Serdes.String(), Order.compact()).withName("category")
				.withNumberOfPartitions((int) settings.number("partitions", 4)))
			.peek((category, order) -> count())
			.groupByKey()
			.windowedBy(windows)
			.aggregate(() -> Sums.NONE, (category, order, sums) -> sums.plus(order),
				Materialized.<String, Sums>as(store()).withKeySerde(Serdes.String()).withValueSerde(Sums.serde())
					.withCachingEnabled())
			.toStream()
			.process(ToSink::new, Sink.NAME);
	}

	private WindowBytesStoreSupplier store()
	{
		Duration size = Duration.ofMillis(windows.sizeMs);
		Duration retention = size.plus(GRACE);

		return settings.isNamed("memory")
			? Stores.inMemoryWindowStore(STORE, retention, size, false)
			: Stores.persistentTimestampedWindowStore(STORE, retention, size, false);
	}

	/** Takes what comes out of the store's cache. */
	private final class ToSink implements Processor<Windowed<String>, Sums, Void, Void>
	{
		private Sink sink;

		@Override
		public void init(ProcessorContext<Void, Void> context)
		{
			sink = context.getStateStore(Sink.NAME);
		}

		@Override
		public void process(Record<Windowed<String>, Sums> record)
		{
			sink.put(record.key().window().start(), record.key().key(), record.value());
		}
	}

	/** Aggregates a partition's orders. */
	private final class LocalAggregate implements Processor<Bytes, Order, Void, Void>
	{
		private WindowStore<String, Sums> states;
		private Sink sink;

		@Override
		public void init(ProcessorContext<Void, Void> context)
		{
			states = context.getStateStore(STORE);
			sink = context.getStateStore(Sink.NAME);
		}

		@Override
		public void process(Record<Bytes, Order> record)
		{
			Order order = record.value();

			count();
			long last = order.eventTime() - Math.floorMod(order.eventTime(), windows.advanceMs);

			for (long start = last; start > order.eventTime() - windows.sizeMs; start -= windows.advanceMs)
			{
				Sums sums = states.fetch(order.category(), start);
				Sums now = (sums == null ? Sums.NONE : sums).plus(order);

				states.put(order.category(), now, start);
				sink.put(start, order.category(), now);
			}
		}
	}

	/*
	 * Where there are two stages, an event counts half in each: the first may be far ahead of the
	 * second, and its work is to be in the figures.
	 */
	private void count()
	{
		Sink.count();
		consumed.getAndIncrement();
	}

	// ---- the end ----

	/* Until all is read, and the offsets of all topics that are read, Streams' own among them, are committed. */
	private void waitForEnd(int stages) throws Exception
	{
		try (Admin admin = Admin.create(Map.<String, Object>of("bootstrap.servers", settings.text("broker"))))
		{
			while (consumed.get() / stages < settings.events() || !isCommitted(admin))
				Thread.sleep(20);
		}
	}

	private void deleteTopics() throws Exception
	{
		try (Admin admin = Admin.create(Map.<String, Object>of("bootstrap.servers", settings.text("broker"))))
		{
			admin.deleteTopics(admin.listTopics().names().get().stream()
				.filter(topic -> topic.startsWith(application + "-")).toList()).all().get();
		}
	}

	private boolean isCommitted(Admin admin) throws Exception
	{
		Map<TopicPartition, OffsetAndMetadata> committed =
			admin.listConsumerGroupOffsets(application).partitionsToOffsetAndMetadata().get();
		Map<TopicPartition, OffsetSpec> latest = new HashMap<>();

		committed.keySet().forEach(partition -> latest.put(partition, OffsetSpec.latest()));
		Map<TopicPartition, ListOffsetsResultInfo> ends = admin.listOffsets(latest).all().get();

		return !ends.isEmpty() &&
			ends.entrySet().stream().allMatch(end -> committed.get(end.getKey()).offset() >= end.getValue().offset());
	}
}
