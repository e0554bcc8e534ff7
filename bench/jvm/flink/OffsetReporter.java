import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;

import org.apache.flink.metrics.Gauge;
import org.apache.flink.metrics.Metric;
import org.apache.flink.metrics.MetricConfig;
import org.apache.flink.metrics.MetricGroup;
import org.apache.flink.metrics.reporter.MetricReporter;
import org.apache.flink.metrics.reporter.MetricReporterFactory;

/** How far Kafka's source has read and committed, from its own metrics: topics begin at offset 0. */
public final class OffsetReporter implements MetricReporter
{
	private static final Map<String, Gauge<?>> current = new ConcurrentHashMap<>();
	private static final Map<String, Gauge<?>> committed = new ConcurrentHashMap<>();

	/** Its factory, which Flink finds as a service. */
	public static final class Factory implements MetricReporterFactory
	{
		@Override
		public MetricReporter createMetricReporter(Properties properties)
		{
			return new OffsetReporter();
		}
	}

	static void reset()
	{
		current.clear();
		committed.clear();
	}

	/** currentOffset is that of the last message, or -1. */
	static long consumed()
	{
		return current.values().stream().mapToLong(gauge -> value(gauge) + 1).sum();
	}

	/** committedOffset is that of the next message, or -1. */
	static long committed()
	{
		return committed.values().stream().mapToLong(gauge -> Math.max(value(gauge), 0)).sum();
	}

	private static long value(Gauge<?> gauge)
	{
		return ((Number) gauge.getValue()).longValue();
	}

	@Override
	public void open(MetricConfig config) {}

	@Override
	public void close() {}

	@Override
	public void notifyOfAddedMetric(Metric metric, String name, MetricGroup group)
	{
		String partition = group.getAllVariables().get("<partition>");

		if (partition == null)
			return;
		if (name.equals("currentOffset"))
			current.put(partition, (Gauge<?>) metric);
		if (name.equals("committedOffset"))
			committed.put(partition, (Gauge<?>) metric);
	}

	/* A source that has ended was there: its offsets stay. */
	@Override
	public void notifyOfRemovedMetric(Metric metric, String name, MetricGroup group) {}
}
