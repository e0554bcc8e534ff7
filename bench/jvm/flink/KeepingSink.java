import java.util.Set;

import org.apache.flink.api.connector.sink2.Sink;
import org.apache.flink.api.connector.sink2.SinkWriter;
import org.apache.flink.api.connector.sink2.WriterInitContext;
import org.apache.flink.configuration.ConfigOption;
import org.apache.flink.table.connector.ChangelogMode;
import org.apache.flink.table.connector.sink.DynamicTableSink;
import org.apache.flink.table.connector.sink.SinkV2Provider;
import org.apache.flink.table.data.RowData;
import org.apache.flink.table.factories.DynamicTableSinkFactory;
import org.apache.flink.types.RowKind;

/** Throws results away, as the connector blackhole does, but for the newest of each window. */
public final class KeepingSink implements DynamicTableSink
{
	private static final int TOTAL_SCALE = 2;
	private static final int MEAN_SCALE = 6;
	private static final int PRECISION = 38;
	private static final int TIME_PRECISION = 3;

	/** Its factory, which Flink finds as a service. */
	public static final class Factory implements DynamicTableSinkFactory
	{
		static final String IDENTIFIER = "keep";

		@Override
		public String factoryIdentifier()
		{
			return IDENTIFIER;
		}

		@Override
		public Set<ConfigOption<?>> requiredOptions()
		{
			return Set.of();
		}

		@Override
		public Set<ConfigOption<?>> optionalOptions()
		{
			return Set.of();
		}

		@Override
		public DynamicTableSink createDynamicTableSink(Context context)
		{
			return new KeepingSink();
		}
	}

	@Override
	public ChangelogMode getChangelogMode(ChangelogMode requested)
	{
		return ChangelogMode.newBuilder().addContainedKind(RowKind.INSERT).addContainedKind(RowKind.UPDATE_AFTER).build();
	}

	@Override
	public SinkRuntimeProvider getSinkRuntimeProvider(Context context)
	{
		return SinkV2Provider.of((Sink<RowData>) ignored -> new Writer());
	}

	@Override
	public DynamicTableSink copy()
	{
		return new KeepingSink();
	}

	@Override
	public String asSummaryString()
	{
		return "keep";
	}

	private static final class Writer implements SinkWriter<RowData>
	{
		@Override
		public void write(RowData row, Context context)
		{
			Results.kept.put(
				new Results.Key(row.getTimestamp(0, TIME_PRECISION).getMillisecond(), row.getString(1).toString()),
				new Results.Row(row.getLong(2), row.getDecimal(3, PRECISION, TOTAL_SCALE).toBigDecimal(),
					row.getDecimal(4, PRECISION, MEAN_SCALE).toBigDecimal()));
		}

		@Override
		public void flush(boolean endOfInput) {}

		@Override
		public void close() {}
	}
}
