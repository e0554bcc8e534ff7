/*
 * task.h
 *	  One reader among those a worker serves in turn: when to commit, when to
 *	  try again.
 */
#ifndef SX_TASK_H
#define SX_TASK_H

#include "compat.h"

#include "worker/consumer.h"
#include "worker/shared.h"

typedef struct SxTask
{
	int32 reader;
	SxPart part;		  /* that this worker reads */
	SxConsumer *consumer; /* NULL: not open yet */
	SxWorkerState state;
	bool is_careful;   /* the batch failed: look for the row */
	bool must_reopen;  /* positions moved, other brokers: start anew */
	bool is_stale;	   /* the catalog has news */
	int64 join_at_us;  /* when to try to join an older reader; PG_INT64_MAX: it cannot */
	int64 still_at_us; /* when to ask the other workers again to stand still for that */
	int still_tries;
	int swap_failures; /* of a shadow: how often its view could not be locked */
	bool is_behind;	   /* it has not been at the end since it was opened (catch_up.c) */
	bool is_shown;	   /* as catching up */
	int64 row_ns;	   /* that a row of its last batch took; 0: not known */
	int64 throttled_until_us;
	bool was_connected; /* to a broker, when last looked at */
	int failures;		/* in a row */
	bool was_stale;		/* the catalog had changed when something failed, and was read again */
	int setbacks;		/* batches in a row that failed for what may pass by itself */
	int row_limit;		/* less than batch_rows after running out of memory; 0: none */
	int64 groups;		/* that the last batch wrote, inputs of aggregates included */
	int64 retry_at_us;
	int64 discover_at_us;
	int64 first_message_us; /* when the batch began to grow */
	int64 committed_us;
	int64 retention_at_us; /* when to delete what retention let go */
	bool has_retention;
	int64 reported_us;
	uint32 reported_digest;
} SxTask;

/* The worker's own slot, for tasks to write into. */
extern SxWorkerSlot *sx_worker_slot;

/* Whether catalog or stream changed since the worker last looked. */
extern bool sx_worker_is_stale(void);

/*
 * Do what is to be done now; returns when to come back at the latest (as sx_now_us).
 * gives_way: it catches up while others wait for every message, so its batches are short.
 */
extern int64 sx_task_turn(SxTask *task, int64 queue_bytes, size_t batch_bytes, bool gives_way);

extern void sx_task_close(SxTask *task);

/* The next batch runs each view by itself, and whatever error one has is its own. */
extern void sx_task_lose_patience(SxTask *task);

/* Do something in a transaction of its own; the error if there was one, in the current memory context. */
typedef void (*SxTaskAction)(SxTask *task, void *argument);
extern ErrorData *sx_task_transaction(SxTask *task, SxTaskAction action, void *argument);

/*
 * Wait after an error: for a moment, if a lock was not to be had or the catalog has changed; else
 * longer each time, and tell of it.
 */
extern void sx_task_give_way_or_fail(SxTask *task, ErrorData *error);

#endif
