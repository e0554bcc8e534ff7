import java.util.HashMap;
import java.util.Map;

/**
 * What a contestant was asked to do: "NAME --option value ...", as bench/measure says it.  Options
 * that it does not always give have defaults here, and so have those that only a contestant knows.
 */
final class Settings
{
	/** A contestant that cannot do what it is asked ends with this status. */
	static final int UNABLE = 3;

	private static final long LONG_TOPIC = 10_000_000;

	final String name;
	private final Map<String, String> options = new HashMap<>();

	Settings(String[] arguments)
	{
		name = arguments[0];
		for (int i = 1; i < arguments.length; i++)
		{
			if (!arguments[i].startsWith("--"))
				throw new IllegalArgumentException("not an option: " + arguments[i]);
			boolean isFlag = i + 1 == arguments.length || arguments[i + 1].startsWith("--");

			options.put(arguments[i].substring(2), isFlag ? "true" : arguments[++i]);
		}
	}

	String text(String option)
	{
		String value = options.get(option);

		if (value == null)
			throw new IllegalArgumentException("--" + option + " is missing");
		return value;
	}

	String text(String option, String otherwise)
	{
		return options.getOrDefault(option, otherwise);
	}

	long number(String option, long otherwise)
	{
		return Long.parseLong(text(option, Long.toString(otherwise)));
	}

	boolean has(String option)
	{
		return options.containsKey(option);
	}

	/** A part of the name, as "rocksdb" is of flink-tvf-rocksdb. */
	boolean isNamed(String part)
	{
		return ("-" + name + "-").contains("-" + part + "-");
	}

	long events()
	{
		return Long.parseLong(text("events"));
	}

	/** "tumble", "hop" or "session" */
	String windowKind()
	{
		return text("window").split(",")[0];
	}

	/** Milliseconds of the window: the size or gap is the first, the slide of a hop the second. */
	long windowMs(int n)
	{
		return Long.parseLong(text("window").split(",")[n + 1]);
	}

	/** Where the results are written to: null where they are thrown away. */
	String jdbcUrl()
	{
		if (isNamed("discard"))
			return null;
		return "jdbc:postgresql://" + text("postgres") +
			"/postgres?user=postgres&reWriteBatchedInserts=true&sslmode=disable";
	}

	/**
	 * How often the topic is read: a first time, which is not measured, warms the JVM up where the
	 * topic is too short for that.
	 */
	long passes()
	{
		return has("follow") ? 1 : number("passes", events() < LONG_TOPIC ? 2 : 1);
	}

	/** Goes on until SIGTERM, which is then how it is meant to end. */
	static void endBySignal()
	{
		Runtime.getRuntime().addShutdownHook(new Thread(() -> Runtime.getRuntime().halt(0)));
	}

	static void unable(String why)
	{
		System.err.println(why);
		System.exit(UNABLE);
	}
}
