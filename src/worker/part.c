/*
 * part.c
 *	  A reader that several workers serve.
 *
 *		worker 1   partitions 0 2 4    o--->    post |   board    | read
 *		worker 2   partitions 1 3      o--->    -----+------------+-----> the others
 *
 * Positions and event times are judged by as they are stored, under the stream's
 * lock; what was posted of them only says when it is worth to look.  That a
 * partition is at its end is known to its worker alone: it is believed
 * if it was posted at the very offset that is stored.  So is its silence, which counts only
 * while somebody could hear something.
 */
#include "compat.h"

#include "worker/part.h"

#include "utils/timestamp.h"

#include "worker/board.h"
#include "worker/shared.h"
#include "worker/silence.h"
#include "worker/task.h"

static int
own_slot(void)
{
	return sx_worker_slot - sx_shared->slots;
}

/* Postings for all of the reader's partitions, palloc'd; those of its own partitions are of no interest. */
static SxPosting *
read_postings(const SxConsumer *consumer)
{
	const SxReader *reader = consumer->reader;
	SxPosting *postings = palloc(sizeof(SxPosting) * Max(reader->npartitions, 1));

	sx_board_read(reader->id, reader->partitions, reader->npartitions, postings);
	return postings;
}

void
sx_part_post(const SxConsumer *consumer)
{
	SxReader *reader = consumer->reader;
	int count;
	const SxSourcePartition *sources = sx_source_partitions(consumer->source, &count);
	bool has_news = false;

	if (consumer->part.count == 1)
		return;
	for (int i = 0; i < count; i++)
	{
		const SxPartition *partition = sx_reader_partition(reader, sources[i].partition);
		SxPosting posting;

		if (partition == NULL)
			continue;
		posting =
			(SxPosting){.next_offset = partition->next_offset,
						.event_time = partition->event_time,
						.watermark = reader->watermark,
						.read_offset = sources[i].next_offset,
						.end_offset = sources[i].end_offset,
						.at_end = sources[i].at_end,
						/* with a filter it is not known yet whether what was taken are rows */
						.is_silent = sources[i].next_offset == partition->next_offset &&
									 sx_silence_is_silent(consumer, partition - reader->partitions,
														  consumer->heard_us)};
		if (sx_board_post(own_slot(), reader->id, partition->partition, &posting))
			has_news |= posting.at_end;
	}
	/* a partition that became idle may let go of the watermark */
	if (has_news && consumer->part.number > 0)
		sx_shared_wake_first(sx_worker_slot);
}

void
sx_part_withdraw(void)
{
	/* whoever has taken over some of the partitions posts them again */
	if (sx_board_withdraw(own_slot()))
		sx_shared_wake_siblings(sx_worker_slot, false);
}

bool
sx_part_follow(SxConsumer *consumer)
{
	SxReader *reader = consumer->reader;
	bool has_news = false;
	SxPosting *postings;

	if (consumer->part.count == 1)
		return false;
	postings = read_postings(consumer);
	for (int i = 0; i < reader->npartitions; i++)
	{
		SxPartition *partition = &reader->partitions[i];

		if (sx_consumer_reads(consumer, partition->partition) || postings[i].next_offset < 0)
			continue;
		has_news |= postings[i].next_offset > partition->next_offset;
		partition->next_offset = Max(partition->next_offset, postings[i].next_offset);
		partition->stored_offset = partition->next_offset;
		partition->event_time = Max(partition->event_time, postings[i].event_time);
		reader->watermark = Max(reader->watermark, postings[i].watermark);
	}
	reader->stored_watermark = reader->watermark;
	pfree(postings);
	sx_consumer_remember(consumer);
	return has_news;
}

/* Whether whoever posted it has been busy for so long that its silence says nothing any more. */
static bool
is_deaf(const SxConsumer *consumer, const SxPosting *posting)
{
	const SxWorkerSlot *slot = &sx_shared->slots[posting->owner];

	return slot->is_in_batch &&
		   sx_now_us() - slot->batch_began_us >= consumer->stream->idle_timeout_us;
}

void
sx_part_judge(SxConsumer *consumer)
{
	SxReader *reader = consumer->reader;
	SxPosting *postings;

	if (consumer->part.count == 1)
		return;
	postings = read_postings(consumer);
	for (int i = 0; i < reader->npartitions; i++)
	{
		SxPartition *partition = &reader->partitions[i];

		if (sx_consumer_reads(consumer, partition->partition))
			continue;
		partition->at_end = postings[i].next_offset >= 0 && postings[i].at_end &&
							postings[i].read_offset == partition->next_offset;
		partition->is_silent =
			partition->at_end && postings[i].is_silent && !is_deaf(consumer, &postings[i]);
	}
	pfree(postings);
}

int64
sx_part_lag(const SxConsumer *consumer)
{
	const SxReader *reader = consumer->reader;
	int64 lag = sx_consumer_lag(consumer);
	SxPosting *postings;

	if (consumer->part.count == 1)
		return lag;
	postings = read_postings(consumer);
	for (int i = 0; i < reader->npartitions && lag >= 0; i++)
	{
		if (sx_consumer_reads(consumer, reader->partitions[i].partition))
			continue;
		if (postings[i].next_offset < 0)
			lag = -1;
		else
			lag += Max(postings[i].end_offset - postings[i].next_offset, 0);
	}
	pfree(postings);
	return lag;
}

bool
sx_part_is_at_end(const SxConsumer *consumer)
{
	const SxReader *reader = consumer->reader;
	bool is_at_end = sx_consumer_is_at_end(consumer);
	SxPosting *postings;

	if (consumer->part.count == 1 || !is_at_end)
		return is_at_end;
	postings = read_postings(consumer);
	for (int i = 0; i < reader->npartitions; i++)
		is_at_end = is_at_end && (sx_consumer_reads(consumer, reader->partitions[i].partition) ||
								  (postings[i].next_offset >= 0 && postings[i].at_end));
	pfree(postings);
	return is_at_end;
}
