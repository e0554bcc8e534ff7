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
extern bool sx_worker_run_batch(SxConsumer *consumer, bool is_careful, bool (*is_stale)(void),
								SxApplyCounts *counts);

extern SX_EXPORT void sx_worker_main(Datum arg);

#endif
