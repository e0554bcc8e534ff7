/*
 * worker.h
 *	  The worker: reads one Kafka stream into the views that hang on it.
 */
#ifndef SX_WORKER_H
#define SX_WORKER_H

#include "compat.h"

#include "query/apply.h"
#include "worker/consumer.h"

/*
 * Run the messages a consumer has taken as one micro-batch, in the caller's
 * transaction: what a worker does, and streamx.step.  After the commit call
 * sx_consumer_commit, after an abort sx_consumer_rollback.
 *
 * is_stale (may be NULL) is asked under the stream's lock whether the consumer
 * has missed changes of the catalog: then nothing is done, and false returned.
 */
extern bool sx_worker_run_batch(SxConsumer *consumer, SxCare care, bool (*is_stale)(void),
								SxApplyCounts *counts);

/*
 * Do what can be done of it without the stream's lock, in a transaction of its own before; after
 * an error call sx_consumer_rollback.
 */
extern void sx_worker_prepare_batch(SxConsumer *consumer, SxApplyCounts *counts);

/* Whether there are other workers of the stream, in whose way this one's transactions are. */
extern bool sx_worker_has_siblings(void);

extern SX_EXPORT void sx_worker_main(Datum arg);

#endif
