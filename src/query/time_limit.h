/*
 * time_limit.h
 *	  How long a worker runs one view's share of a micro-batch: no longer than
 *	  streamx.max_batch_time.
 *
 * Functions in a view are its owner's, and a worker serves views of many: one that
 * never returns must not keep the others waiting.  Sessions have statement_timeout.
 */
#ifndef SX_TIME_LIMIT_H
#define SX_TIME_LIMIT_H

#include "compat.h"

/*
 * Called, in a signal handler, when the limit was ignored: work caught its cancellation, again
 * and again.  The process ends then.  view: whose work it was, or InvalidOid.
 */
extern void (*sx_time_limit_ignored)(Oid view);

/* From now on work is cancelled when it takes too long.  Nothing if the setting is 0. */
extern void sx_time_limit_start(void);

/* The time counts anew, for the work of one view (or InvalidOid).  Nothing unless started. */
extern void sx_time_limit_restart(Oid view);

/* Until the next restart no time passes: who waits does not work. */
extern void sx_time_limit_suspend(void);

extern void sx_time_limit_stop(void);

/* Whether the time was over at least once since the last start or restart. */
extern bool sx_time_limit_is_over(void);

/* A cancellation by the limit gets a message that says so. */
extern void sx_time_limit_name(ErrorData *error);

#endif
