/*
 * catch_up.h
 *	  Readers that catch up: shown to who asks how far they are, and kept from
 *	  holding up those that have.
 *
 * A reader catches up from when it is opened to when it sees the topic's end, or has no
 * more before it than a batch of its own.
 */
#ifndef SX_CATCH_UP_H
#define SX_CATCH_UP_H

#include "compat.h"

#include "worker/task.h"

/* The task's consumer was opened. */
extern void sx_catch_up_begin(SxTask *task);

/* Show it in the monitoring views, once it is known where it begins. */
extern void sx_catch_up_show(SxTask *task);

/* It is at the end. */
extern void sx_catch_up_end(SxTask *task);

/* How many rows a batch may have, of limit.  gives_way: others wait for every message. */
extern int sx_catch_up_limit(const SxTask *task, int limit, bool gives_way);

/* A batch took so long: it may be the last, or the next one must wait (streamx.catch_up_rate). */
extern void sx_catch_up_committed(SxTask *task, int64 rows, int64 took_us);

#endif
