import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.function.LongSupplier;

/**
 * Tells the harness how far we are: "consumed N" and "committed N" as these grow, and at the end
 * the CPU of this process in each tenth of the topic, to show how long the JVM warmed up.
 */
final class Progress extends Thread
{
	private static final long TICK_MS = 10;
	private static final int TENTHS = 10;

	private final long events;
	private final LongSupplier consumed;
	private final LongSupplier committed;
	private final long[] cpuAt = new long[TENTHS + 1];
	private final long[] clockAt = new long[TENTHS + 1];
	private final long[] countAt = new long[TENTHS + 1];
	private int reached = -1;
	private long lastConsumed;
	private long lastCommitted;

	/** The suppliers are asked often and from another thread: they are to be cheap. */
	Progress(long events, LongSupplier consumed, LongSupplier committed)
	{
		super("progress");
		this.events = events;
		this.consumed = consumed;
		this.committed = committed;
		setDaemon(true);
	}

	@Override
	public void run()
	{
		try
		{
			while (true)
			{
				tick();
				Thread.sleep(TICK_MS);
			}
		}
		catch (InterruptedException e)
		{
			// the end
		}
	}

	private synchronized void tick()
	{
		long nowConsumed = consumed.getAsLong();
		long nowCommitted = committed.getAsLong();

		while (nowConsumed > 0 && reached < TENTHS && nowConsumed >= events * (reached + 1) / TENTHS)
		{
			reached++;
			cpuAt[reached] = cpu();
			clockAt[reached] = System.nanoTime();
			countAt[reached] = nowConsumed;
		}
		if (nowConsumed > lastConsumed)
			System.out.println("consumed " + (lastConsumed = nowConsumed));
		if (nowCommitted > lastCommitted)
			System.out.println("committed " + (lastCommitted = nowCommitted));
	}

	/** All is committed and visible. */
	void finish() throws InterruptedException
	{
		interrupt();
		join();
		tick();
		if (lastConsumed < events)
			throw new IllegalStateException("consumed " + lastConsumed + " events of " + events);
		note("figures", figures());
		if (lastCommitted < events)
			System.out.println("committed " + events);
	}

	/** A fact for the report. */
	static void note(String key, String value)
	{
		System.out.println("note " + key + " " + value);
	}

	private String figures()
	{
		StringBuilder tenths = new StringBuilder();

		for (int i = 1; i <= TENTHS; i++)
			tenths.append(i == 1 ? "" : ", ").append(format(perEvent(cpuAt, i - 1, i)));
		return "{\"events\": " + events +
			", \"wall_s\": " + format((System.nanoTime() - clockAt[0]) / 1e9) +
			", \"start_cpu_s\": " + format(cpuAt[0] / 1e9) +
			", \"cpu_s\": " + format((cpu() - cpuAt[0]) / 1e9) +
			", \"warm_cpu_s_per_million\": " + format(perEvent(cpuAt, 1, TENTHS - 1)) +
			", \"warm_events_per_s\": " + format(1e6 / perEvent(clockAt, 1, TENTHS - 1)) +
			", \"cpu_s_per_million_by_tenth\": [" + tenths + "]}";
	}

	/** Microseconds per event, which is seconds per million, between two tenths of the topic. */
	private double perEvent(long[] nanoseconds, int from, int to)
	{
		return (nanoseconds[to] - nanoseconds[from]) / 1e3 / Math.max(1, countAt[to] - countAt[from]);
	}

	private static String format(double number)
	{
		return String.format(Locale.ROOT, "%.3f", number);
	}

	private static long cpu()
	{
		return ((com.sun.management.OperatingSystemMXBean)
				ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
	}
}
