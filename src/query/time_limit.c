/*
 * time_limit.c
 *	  How long a worker runs one view's share of a micro-batch.
 *
 *		start         limit     + 1 s     + 2 s           + 10 s     (or limits, when shorter)
 *		  |-------------|---------|---------|---- ... ------|
 *		             cancel    cancel    cancel        end the process
 *
 * A function may catch its cancellation, so one is not enough; what catches all
 * of them is ended with the worker, whose successor knows whose it was.
 */
#include "compat.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "catalog/setting.h"
#include "query/time_limit.h"

#define LONGEST_INTERVAL_MS 1000
#define MAX_CANCELS 10

void (*sx_time_limit_ignored)(Oid view) = NULL;

static TimeoutId timeout = MAX_TIMEOUTS; /* not registered */
static bool is_started = false;
static Oid current_view = InvalidOid;
static volatile sig_atomic_t cancels = 0; /* since the time was over */

static void
cancel_work(void)
{
	cancels++;
	if (cancels > MAX_CANCELS)
	{
		if (sx_time_limit_ignored && cancels == MAX_CANCELS + 1)
			sx_time_limit_ignored(current_view);
		ProcDiePending = true;
	}
	else
		QueryCancelPending = true;
	InterruptPending = true;
	SetLatch(MyLatch);
}

void
sx_time_limit_start(void)
{
	cancels = 0;
	if (sx_max_batch_time_ms == 0)
		return;
	if (timeout == MAX_TIMEOUTS)
		timeout = RegisterTimeout(USER_TIMEOUT, cancel_work);
	is_started = true;
	sx_time_limit_restart(InvalidOid);
}

void
sx_time_limit_restart(Oid view)
{
	if (!is_started)
		return;
	disable_timeout(timeout, false);
	if (cancels > 0)
		QueryCancelPending = false;
	cancels = 0;
	current_view = view;
	enable_timeout_every(timeout,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), sx_max_batch_time_ms),
						 Min(sx_max_batch_time_ms, LONGEST_INTERVAL_MS));
}

void
sx_time_limit_suspend(void)
{
	if (is_started)
		disable_timeout(timeout, false);
}

void
sx_time_limit_stop(void)
{
	if (!is_started)
		return;
	is_started = false;
	disable_timeout(timeout, false);
	if (cancels > 0)
		QueryCancelPending = false;
}

bool
sx_time_limit_is_over(void)
{
	return cancels > 0;
}

void
sx_time_limit_name(ErrorData *error)
{
	if (cancels == 0 || error->sqlerrcode != ERRCODE_QUERY_CANCELED)
		return;
	error->message = psprintf("canceled after streamx.max_batch_time, %d ms", sx_max_batch_time_ms);
	error->hint = pstrdup("A function in a view, or a join, takes too long for a micro-batch.");
}
