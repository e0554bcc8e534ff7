/*
 * ends.c
 *	  Where the partitions end: how far behind we are, and keeping librdkafka
 *	  at work while we are.
 *
 * Mostly it is enough to look at what the last answer to a fetch said.  With a
 * backlog the brokers are asked now and then, which also wakes librdkafka's
 * threads: in 2.0.2 they sleep for up to a second once the queue was full, even
 * when it has run dry since.
 */
#include "compat.h"

#include "source/kafka.h"

#define ENDS_MS 50 /* at most so often are end offsets asked for */
#define ENDS_TIMEOUT_MS 250
#define ENDS_COST 20 /* ... and for a twentieth of the time */
#define ENDS_FAILED_MS 5000
#define BACKLOG 1000 /* messages behind the end that make it worth it */
#define DRY_MS 5	 /* with a backlog, no message for so long is a stall */

/*
 * See from the last answer to a fetch how far behind we are; true when that is
 * far.  It tells the high watermark, which is the end too if nothing beyond it
 * waits for a transaction.
 */
static bool
compare_with_end(SxSource *source, int at)
{
	SxSourcePartition *partition = &source->partitions[at];
	int64 low;
	int64 high;

	if (rd_kafka_get_watermark_offsets(source->handle.kafka, source->topic, partition->partition,
									   &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		high < 0 || partition->next_offset < 0)
		return false;
	if (partition->next_offset >= high)
	{
		partition->end_offset = partition->next_offset;
		partition->at_end = true;
		return false;
	}
	if (partition->end_offset <= partition->next_offset || high - partition->next_offset < BACKLOG)
		partition->end_offset = high;
	return high - partition->next_offset >= BACKLOG;
}

static void
ask_ends(SxSource *source, rd_kafka_topic_partition_list_t *list)
{
	int64 began = sx_kafka_now_ms();
	rd_kafka_resp_err_t err =
		rd_kafka_offsets_for_times(source->handle.kafka, list, ENDS_TIMEOUT_MS);
	int64 ended = sx_kafka_now_ms();

	source->ends_ms = ended + Max(ENDS_MS, (ended - began) * ENDS_COST);
	source->dry_ms = ended + ENDS_MS;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		source->ends_ms = source->dry_ms = source->blocked_ms = ended + ENDS_FAILED_MS;
		return;
	}
	for (int i = 0; i < list->cnt; i++)
	{
		SxSourcePartition *partition =
			&source->partitions[sx_kafka_place(source, list->elems[i].partition)];

		if (list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset >= 0)
			partition->end_offset = Max(list->elems[i].offset, partition->next_offset);
	}
}

/*
 * Bring at_end and end_offset up to date; ask the brokers if must_ask.  They are
 * asked only for partitions with a backlog: a connection at the end of its log
 * holds answers back until the current fetch ends.
 */
static void
refresh_ends(SxSource *source, bool must_ask)
{
	rd_kafka_topic_partition_list_t *list = NULL;

	source->is_behind = false;
	for (int i = 0; i < source->npartitions; i++)
	{
		SxSourcePartition *partition = &source->partitions[i];

		if (partition->at_end || sx_kafka_rests(partition) || source->positions[i].is_refused ||
			!compare_with_end(source, i))
			continue;
		source->is_behind = true;
		if (!must_ask)
			continue;
		if (list == NULL)
			list = rd_kafka_topic_partition_list_new(source->npartitions);
		rd_kafka_topic_partition_list_add(list, source->topic, partition->partition)->offset =
			RD_KAFKA_OFFSET_END;
	}
	if (list == NULL)
		return;
	ask_ends(source, list);
	rd_kafka_topic_partition_list_destroy(list);
}

void
sx_kafka_watch_ends(SxSource *source, int handed)
{
	int64 now = sx_kafka_now_ms();

	if (handed > 0)
	{
		refresh_ends(source, source->ends_ms <= now);
		source->dry_ms = Max(now + DRY_MS, source->blocked_ms);
	}
	else if (source->is_behind && source->dry_ms <= now)
		refresh_ends(source, true);
}

int64
sx_kafka_next_duty_ms(const SxSource *source, int64 until)
{
	if (source->repair_ms > 0)
		until = Min(until, source->repair_ms);
	if (source->is_behind)
		until = Min(until, source->dry_ms);
	return Min(until, sx_kafka_next_look_ms(source));
}
