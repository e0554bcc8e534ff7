/*
 * silence.c
 *	  Which partitions have fallen silent, and what the watermark does then.
 *
 *		rows      x--x-x---x|                  (nothing)                      |x
 *		                    |<- idle_timeout ->|
 *		partition  active                      | idle: holds nothing back     | active
 *		watermark  follows its rows            | the others', or, with        | stands until its
 *		                                       | idle_advance, the clock      | rows pass it
 *
 * Silence is what we hear while we could hear something: it begins anew with
 * the process and when a broker comes back.
 */
#include "compat.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "catalog/pg_type.h"
#include "window/watermark.h"
#include "worker/silence.h"

#define NEVER PG_INT64_MAX

void
sx_silence_align(SxConsumer *consumer)
{
	int npartitions = consumer->reader->npartitions;

	if (consumer->row_at_size >= npartitions)
		return;
	if (consumer->row_at_us)
		pfree(consumer->row_at_us);
	consumer->row_at_us = MemoryContextAlloc(consumer->context, sizeof(int64) * npartitions);
	consumer->row_at_size = npartitions;
	sx_silence_restart(consumer);
}

void
sx_silence_break(SxConsumer *consumer, int place)
{
	consumer->row_at_us[place] = sx_now_us();
}

void
sx_silence_break_by_batch(SxConsumer *consumer)
{
	const SxBatch *batch = consumer->batch;
	const SxPartition *partition = NULL;

	for (int row = 0; row < batch->nrows; row++)
	{
		if (batch->is_filtered[row] ||
			(partition && partition->partition == batch->origin[row].partition))
			continue;
		partition = sx_reader_partition(consumer->reader, batch->origin[row].partition);
		if (partition)
			sx_silence_break(consumer, partition - consumer->reader->partitions);
	}
}

void
sx_silence_restart(SxConsumer *consumer)
{
	int64 now = sx_now_us();

	for (int i = 0; i < consumer->row_at_size; i++)
		consumer->row_at_us[i] = now;
}

bool
sx_silence_is_silent(const SxConsumer *consumer, int place, int64 now)
{
	return consumer->stream->idle_timeout_us >= 0 &&
		   now - consumer->row_at_us[place] >= consumer->stream->idle_timeout_us;
}

bool
sx_silence_is_idle(const SxConsumer *consumer, const SxSourcePartition *partition)
{
	SxReader *reader = consumer->reader;
	const SxPartition *known = sx_reader_partition(reader, partition->partition);

	return partition->at_end && known != NULL &&
		   (known->event_time == DT_NOBEGIN ||
			sx_silence_is_silent(consumer, known - reader->partitions, sx_now_us()));
}

int64
sx_silence_next(const SxConsumer *consumer)
{
	int64 now = consumer->heard_us;
	int64 earliest = NEVER;

	if (consumer->stream->idle_timeout_us < 0)
		return NEVER;
	for (int i = 0; i < consumer->reader->npartitions; i++)
		if (sx_consumer_reads(consumer, consumer->reader->partitions[i].partition) &&
			!sx_silence_is_silent(consumer, i, now))
			earliest = Min(earliest, consumer->row_at_us[i] + consumer->stream->idle_timeout_us);
	return earliest;
}

/* ---- the watermark ---- */

/* The reader's partitions as the watermark sees them, palloc'd. */
static SxPartitionTime *
partition_times(const SxReader *reader)
{
	SxPartitionTime *times = palloc(sizeof(SxPartitionTime) * Max(reader->npartitions, 1));

	for (int i = 0; i < reader->npartitions; i++)
		times[i] = (SxPartitionTime){.max_event_time = reader->partitions[i].event_time,
									 .at_end = reader->partitions[i].at_end,
									 .is_silent = reader->partitions[i].is_silent};
	return times;
}

bool
sx_silence_moves_watermark(const SxConsumer *consumer)
{
	const SxReader *reader = consumer->reader;
	SxPartitionTime *times;
	int64 watermark;

	if (consumer->stream->event_time == 0)
		return false;
	times = partition_times(reader);
	watermark = sx_watermark_advance(reader->watermark, times, reader->npartitions,
									 consumer->stream->watermark_delay_us);
	pfree(times);
	return watermark > reader->watermark;
}

/* What the clock shows, as an event time of the stream would say it. */
static int64
event_clock(const SxStream *stream)
{
	TimestampTz now = GetCurrentTimestamp();
	struct pg_tm tm;
	fsec_t fsec;
	int offset;
	Timestamp local;

	if (stream->columns[stream->event_time - 1].type == TIMESTAMPTZOID ||
		timestamp2tm(now, &offset, &tm, &fsec, NULL, stream->timezone) != 0 ||
		tm2timestamp(&tm, fsec, NULL, &local) != 0)
		return now;
	return local;
}

/* A watermark from the clock, or current when that is not to be followed, or behind. */
static int64
follow_clock(const SxConsumer *consumer, int64 current)
{
	const SxStream *stream = consumer->stream;
	SxPartitionTime *times;
	int64 watermark;

	if (!stream->idle_advance || !consumer->has_windows)
		return current;
	times = partition_times(consumer->reader);
	watermark = sx_watermark_follow_clock(current, times, consumer->reader->npartitions,
										  stream->watermark_delay_us, event_clock(stream));
	pfree(times);
	return watermark;
}

int64
sx_silence_clock_due(const SxConsumer *consumer)
{
	int64 followed = follow_clock(consumer, DT_NOBEGIN);
	int64 watermark = consumer->reader->watermark;

	if (followed == DT_NOBEGIN)
		return NEVER;
	/* a row from ahead of the clock may have moved it further */
	return sx_now_us() + (watermark >= followed ? watermark - followed + 1 : 0);
}

void
sx_silence_follow_clock(SxConsumer *consumer)
{
	consumer->reader->watermark = follow_clock(consumer, consumer->reader->watermark);
}
