import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.ByteBuffer;

import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The state of a window: count(order_id), and the number and the sum of the amounts. */
record Sums(long orders, long amounts, long cents)
{
	static final Sums NONE = new Sums(0, 0, 0);
	private static final int SCALE = 2;
	private static final int MEAN_SCALE = 6;

	Sums plus(Order order)
	{
		return new Sums(orders + (order.hasId() ? 1 : 0), amounts + 1, cents + order.cents());
	}

	BigDecimal total()
	{
		return BigDecimal.valueOf(cents, SCALE);
	}

	BigDecimal mean()
	{
		return total().divide(BigDecimal.valueOf(amounts), MEAN_SCALE, RoundingMode.HALF_UP);
	}

	static Serde<Sums> serde()
	{
		return Serdes.serdeFrom(
			(topic, sums) -> sums == null ? null :
				ByteBuffer.allocate(24).putLong(sums.orders).putLong(sums.amounts).putLong(sums.cents).array(),
			(topic, data) -> {
				if (data == null)
					return null;
				ByteBuffer buffer = ByteBuffer.wrap(data);

				return new Sums(buffer.getLong(), buffer.getLong(), buffer.getLong());
			});
	}
}
