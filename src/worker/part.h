/*
 * part.h
 *	  A reader that several workers serve: each of them reads a part of its
 *	  partitions, and knows of the others' what they post (board.h).
 *
 * All of this does nothing for a consumer that reads all partitions.
 */
#ifndef SX_PART_H
#define SX_PART_H

#include "compat.h"

#include "worker/consumer.h"

/* Tell what the consumer knows of its partitions. */
extern void sx_part_post(const SxConsumer *consumer);

/*
 * Its partitions are not heard for a while: they may get messages that nobody sees.  What this worker
 * told of any reader is withdrawn.
 */
extern void sx_part_withdraw(void);

/*
 * Take over what the others have committed, as far as they told, between batches.  Under the stream's
 * lock sx_consumer_reload says more.  Returns whether it is news.
 */
extern bool sx_part_follow(SxConsumer *consumer);

/* In the reader: which of the others' partitions are at their end, and silent. */
extern void sx_part_judge(SxConsumer *consumer);

/*
 * Messages that are there and not yet taken, by anybody; 0 when nothing is known.  -1: one of the others
 * does not hear its partitions.
 */
extern int64 sx_part_lag(const SxConsumer *consumer);

/* Whether the end of each partition was seen, by whoever reads it. */
extern bool sx_part_is_at_end(const SxConsumer *consumer);

#endif
