import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.time.Instant;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** What the query needs of an order; the amount is exact, in hundredths. */
record Order(String category, boolean hasId, long cents, long eventTime)
{
	private static final int SCALE = 2;
	private static final int FIELDS = 4;
	private static final JsonFactory factory = new JsonFactory();

	/** Reads JSON as a stream, and no further than to the last field that is needed. */
	static Order parse(byte[] message)
	{
		String category = null;
		boolean hasId = false;
		long cents = 0;
		long eventTime = 0;
		int missing = FIELDS;

		try (JsonParser parser = factory.createParser(message))
		{
			parser.nextToken();
			while (missing > 0 && parser.nextToken() == JsonToken.FIELD_NAME)
			{
				String field = parser.currentName();

				parser.nextToken();
				switch (field)
				{
					case "order_id" -> { hasId = !parser.hasToken(JsonToken.VALUE_NULL); missing--; }
					case "category" -> { category = parser.getText(); missing--; }
					case "amount" -> { cents = cents(parser); missing--; }
					case "event_time" -> { eventTime = time(parser); missing--; }
					default -> parser.skipChildren();
				}
			}
		}
		catch (IOException e)
		{
			throw new UncheckedIOException(e);
		}
		if (missing > 0)
			throw new IllegalArgumentException("an order without one of the fields of the query");
		return new Order(category, hasId, cents, eventTime);
	}

	/** A number of digits, point, two digits as hundredths; any other goes the long way. */
	private static long cents(JsonParser parser) throws IOException
	{
		char[] text = parser.getTextCharacters();
		int start = parser.getTextOffset();
		int end = start + parser.getTextLength();
		long cents = 0;

		if (end - start <= SCALE + 1 || text[end - SCALE - 1] != '.')
			return new BigDecimal(text, start, end - start).setScale(SCALE).unscaledValue().longValueExact();
		for (int i = start; i < end; i++)
		{
			if (i == end - SCALE - 1)
				continue;
			if (text[i] < '0' || text[i] > '9')
				return new BigDecimal(text, start, end - start).setScale(SCALE).unscaledValue().longValueExact();
			cents = cents * 10 + (text[i] - '0');
		}
		return cents;
	}

	/** Milliseconds of YYYY-MM-DDTHH:MM:SS.mmmZ; any other time goes the long way. */
	private static long time(JsonParser parser) throws IOException
	{
		char[] text = parser.getTextCharacters();
		int at = parser.getTextOffset();

		if (parser.getTextLength() != 24 || text[at + 19] != '.' || text[at + 23] != 'Z')
			return Instant.parse(parser.getText()).toEpochMilli();
		long days = days(digits(text, at, 4), digits(text, at + 5, 2), digits(text, at + 8, 2));
		long seconds = digits(text, at + 11, 2) * 3600L + digits(text, at + 14, 2) * 60L + digits(text, at + 17, 2);

		return (days * 86400 + seconds) * 1000 + digits(text, at + 20, 3);
	}

	private static int digits(char[] text, int at, int count)
	{
		int number = 0;

		for (int i = at; i < at + count; i++)
			number = number * 10 + (text[i] - '0');
		return number;
	}

	/** Days since 1970-01-01 of a date: years begin in March, eras have 400 of them. */
	private static long days(int year, int month, int day)
	{
		int y = month <= 2 ? year - 1 : year;
		int era = y / 400;
		int yearOfEra = y - era * 400;
		int dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

		return era * 146097L + yearOfEra * 365L + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719468;
	}

	/** As the topic has it. */
	static Serde<Order> fromJson()
	{
		return Serdes.serdeFrom(
			(topic, order) -> { throw new UnsupportedOperationException(); },
			(Deserializer<Order>) (topic, data) -> parse(data));
	}

	/** As the topic that brings a category's orders together has it: category and time are its key and timestamp. */
	static Serde<Order> compact()
	{
		return Serdes.serdeFrom(
			(topic, order) -> ByteBuffer.allocate(9).put((byte) (order.hasId ? 1 : 0)).putLong(order.cents).array(),
			(topic, data) -> {
				ByteBuffer buffer = ByteBuffer.wrap(data);

				return new Order(null, buffer.get() == 1, buffer.getLong(), 0);
			});
	}
}
