/*
 * held.c
 *	  Messages that a consumer has taken too early: beyond the limits that
 *	  another reader's positions are.  They wait until the limits have moved.
 *
 * The limits of a shadow whose view is paused stay where they are.  Were it to pass them, the
 * two would never meet: so what lies beyond is given back, and its partition stopped.
 */
#include "compat.h"

#include "catalog/reader.h"
#include "worker/held.h"

#define MOST_HELD 100000
#define HELD_AT_FIRST 1024

/* Whether too much waits behind the limits: then they are given up for once. */
static bool
is_full(const SxConsumer *consumer)
{
	return consumer->nheld >= MOST_HELD || consumer->held_bytes >= (size_t) consumer->queue_bytes;
}

bool
sx_consumer_is_bounded(const SxConsumer *consumer)
{
	return consumer->followed && consumer->followed->paused;
}

void
sx_consumer_limit(SxConsumer *consumer, const SxReader *other)
{
	const SxReader *reader = consumer->reader;

	if (consumer->limits)
		pfree(consumer->limits);
	consumer->limits = NULL;
	consumer->nlimits = 0;
	if (other == NULL || (is_full(consumer) && !sx_consumer_is_bounded(consumer)))
		return;
	consumer->limits =
		MemoryContextAlloc(consumer->context, sizeof(int64) * Max(reader->npartitions, 1));
	consumer->nlimits = reader->npartitions;
	for (int i = 0; i < reader->npartitions; i++)
	{
		const SxPartition *theirs =
			sx_reader_partition(unconstify(SxReader *, other), reader->partitions[i].partition);

		consumer->limits[i] = theirs ? theirs->next_offset : PG_INT64_MAX;
	}
}

/* A partition's place in the reader, or -1. */
static int
place_of(const SxConsumer *consumer, int32 number)
{
	const SxPartition *partition = sx_reader_partition(consumer->reader, number);

	return partition ? partition - consumer->reader->partitions : -1;
}

static int64
limit_of(const SxConsumer *consumer, int place)
{
	return place >= 0 && place < consumer->nlimits ? consumer->limits[place] : PG_INT64_MAX;
}

static void
hold(SxConsumer *consumer, const SxMessage *message)
{
	if (consumer->nheld == consumer->held_size)
	{
		Size size;

		consumer->held_size = Max(HELD_AT_FIRST, consumer->held_size * 2);
		size = sizeof(SxMessage) * consumer->held_size;
		consumer->held = consumer->held ? repalloc_huge(consumer->held, size)
										: MemoryContextAlloc(consumer->context, size);
	}
	consumer->held[consumer->nheld++] = *message;
	consumer->held_bytes += message->payload_length + message->key_length;
}

/*
 * Take what is within the limits, in order; the others wait, and so do those that come
 * after them in their partition.  candidates may be the array of those that waited.
 */
static void
sort_out(SxConsumer *consumer, const SxMessage *candidates, int count, int max_rows)
{
	bool *waits = palloc0(sizeof(bool) * (consumer->reader->npartitions + 1));

	for (int i = 0; i < consumer->nheld; i++)
		waits[place_of(consumer, consumer->held[i].partition) + 1] = true;
	for (int i = 0; i < count; i++)
	{
		const SxMessage message = candidates[i];
		int place = place_of(consumer, message.partition);

		waits[place + 1] |=
			message.offset >= limit_of(consumer, place) || consumer->nmessages >= max_rows;
		if (waits[place + 1])
			hold(consumer, &message);
		else
			consumer->messages[consumer->nmessages++] = message;
	}
	pfree(waits);
}

void
sx_held_take(SxConsumer *consumer, int max_rows)
{
	int count = consumer->nheld;

	consumer->nheld = 0;
	consumer->held_bytes = 0;
	sort_out(consumer, consumer->held, count, max_rows);
}

/*
 * By partition as in reader, palloc'd: one after its last message in the batch; 0: it has none.  That
 * may be beyond the limit, which was not the same, or was none, when the message was taken.
 */
static int64 *
ends_of_batch(const SxConsumer *consumer)
{
	int64 *ends = palloc0(sizeof(int64) * Max(consumer->reader->npartitions, 1));

	for (int i = 0; i < consumer->nmessages; i++)
	{
		int place = place_of(consumer, consumer->messages[i].partition);

		if (place >= 0)
			ends[place] = consumer->messages[i].offset + 1;
	}
	return ends;
}

/* The farthest that the reader may stand in a partition: at its limit, unless it has passed that already. */
static int64
farthest(const SxConsumer *consumer, int place, const int64 *ends)
{
	int64 least = place < consumer->ncommitted ? consumer->committed[place].next_offset : 0;

	return Max(limit_of(consumer, place), Max(least, ends[place]));
}

/* Where the reader stands in a partition in which this is the first message that waits. */
static int64
stand_before(const SxConsumer *consumer, const SxMessage *message, const int64 *ends)
{
	/* there is none between the last message taken and this one: the limit may be */
	return Min(message->offset, farthest(consumer, place_of(consumer, message->partition), ends));
}

/*
 * Of what waits, give back what lies beyond the limits, and stop its partitions: the first message
 * that waits in one tells for all behind it.
 */
static void
give_back(SxConsumer *consumer)
{
	int64 *ends = ends_of_batch(consumer);
	bool *is_known = palloc0(sizeof(bool) * (consumer->reader->npartitions + 1));
	bool *is_stopped = palloc0(sizeof(bool) * (consumer->reader->npartitions + 1));
	int kept = 0;

	consumer->held_bytes = 0;
	for (int i = 0; i < consumer->nheld; i++)
	{
		SxMessage *message = &consumer->held[i];
		int place = place_of(consumer, message->partition);

		if (!is_known[place + 1] && message->offset >= limit_of(consumer, place))
		{
			is_stopped[place + 1] = true;
			sx_source_stop(consumer->source, message->partition,
						   stand_before(consumer, message, ends));
		}
		is_known[place + 1] = true;
		if (is_stopped[place + 1])
		{
			sx_source_release(consumer->source, message, 1);
			continue;
		}
		consumer->held_bytes += message->payload_length + message->key_length;
		consumer->held[kept++] = *message;
	}
	consumer->nheld = kept;
	pfree(is_stopped);
	pfree(is_known);
	pfree(ends);
}

void
sx_held_back(SxConsumer *consumer, int from, int max_rows)
{
	int count = consumer->nmessages - from;

	consumer->nmessages = from;
	sort_out(consumer, &consumer->messages[from], count, max_rows);
	if (consumer->nheld > 0 && sx_consumer_is_bounded(consumer))
		give_back(consumer);
}

void
sx_held_cut(SxConsumer *consumer, int count)
{
	int ncut = consumer->nmessages - count;
	int nheld = ncut + consumer->nheld;
	SxMessage *held =
		MemoryContextAllocHuge(consumer->context, sizeof(SxMessage) * Max(nheld, HELD_AT_FIRST));

	memcpy(held, &consumer->messages[count], sizeof(SxMessage) * ncut);
	if (consumer->nheld > 0)
		memcpy(held + ncut, consumer->held, sizeof(SxMessage) * consumer->nheld);
	for (int i = 0; i < ncut; i++)
		consumer->held_bytes += held[i].payload_length + held[i].key_length;
	if (consumer->held)
		pfree(consumer->held);
	consumer->held = held;
	consumer->nheld = nheld;
	consumer->held_size = Max(nheld, HELD_AT_FIRST);
	consumer->nmessages = count;
}

/* Whether every partition is read up to its limit. */
static bool
is_at_limits(const SxConsumer *consumer)
{
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(consumer->source, &count);

	if (consumer->limits == NULL)
		return false;
	for (int i = 0; i < count; i++)
		if (partitions[i].next_offset <
			limit_of(consumer, place_of(consumer, partitions[i].partition)))
			return false;
	return true;
}

/* An end of the log may lie beyond a limit without a message between: marks of transactions, say. */
static void
stop_at_limits(const SxConsumer *consumer, const int64 *ends)
{
	SxReader *reader = consumer->reader;

	for (int i = 0; i < reader->npartitions; i++)
	{
		int64 most = farthest(consumer, i, ends);

		if (reader->partitions[i].next_offset <= most)
			continue;
		reader->partitions[i].next_offset = most;
		reader->partitions[i].at_end = false;
	}
}

void
sx_held_stop(SxConsumer *consumer)
{
	int64 *ends;

	if (consumer->nheld == 0 && !sx_consumer_is_bounded(consumer))
		return;
	ends = ends_of_batch(consumer);
	for (int i = consumer->nheld - 1; i >= 0; i--)
	{
		const SxMessage *message = &consumer->held[i];
		int place = place_of(consumer, message->partition);

		if (place < 0)
			continue;
		consumer->reader->partitions[place].next_offset = stand_before(consumer, message, ends);
		consumer->reader->partitions[place].at_end = false;
	}
	if (sx_consumer_is_bounded(consumer))
		stop_at_limits(consumer, ends);
	pfree(ends);
}

bool
sx_held_is_enough(const SxConsumer *consumer)
{
	return is_full(consumer) || is_at_limits(consumer);
}
