/*
 * silence.h
 *	  Which partitions of a consumer have fallen silent, and what the watermark
 *	  does then.
 */
#ifndef SX_SILENCE_H
#define SX_SILENCE_H

#include "compat.h"

#include "worker/consumer.h"

/* Know all partitions of the consumer's reader; the silence of those that are new begins now. */
extern void sx_silence_align(SxConsumer *consumer);

/* A row came from a partition (by its place in the reader). */
extern void sx_silence_break(SxConsumer *consumer, int place);

/* Rows have come from the partitions of the batch's messages, but for those that are filtered. */
extern void sx_silence_break_by_batch(SxConsumer *consumer);

/* The broker is away: what we do not hear is no silence. */
extern void sx_silence_restart(SxConsumer *consumer);

/* Whether no row has come from a partition for idle_timeout, as of now (as sx_now_us). */
extern bool sx_silence_is_silent(const SxConsumer *consumer, int place, int64 now);

/* Whether a partition does not hold the watermark: at its end, and silent or never heard of. */
extern bool sx_silence_is_idle(const SxConsumer *consumer, const SxSourcePartition *partition);

/* When the next partition that the consumer reads will count as silent (as sx_now_us); PG_INT64_MAX: none will. */
extern int64 sx_silence_next(const SxConsumer *consumer);

/*
 * Whether the watermark would move without rows, because a partition fell
 * silent.  After sx_consumer_advance.
 */
extern bool sx_silence_moves_watermark(const SxConsumer *consumer);

/*
 * When following the clock will move the watermark (as sx_now_us); PG_INT64_MAX:
 * as things are, never.  After sx_consumer_advance.
 */
extern int64 sx_silence_clock_due(const SxConsumer *consumer);

/*
 * Let the reader's watermark follow the clock, if idle_advance is on and all
 * partitions are silent: in a batch without rows, before it is applied.
 */
extern void sx_silence_follow_clock(SxConsumer *consumer);

#endif
