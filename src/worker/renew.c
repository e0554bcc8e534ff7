/*
 * renew.c
 *	  A worker that has grown ends, to be begun anew.
 *
 *	  0           64 MB                  128 MB
 *	  |-------------|-----------------------|----> time zones that this process keeps
 *	    go on         end after the batch     the batch fails, and its successor's are halved
 *
 * So a producer that spells ever new time zones can slow its stream down, and nothing else.  What
 * fails is repeated by the process that it failed in: the same messages do not make it grow again,
 * and the pauses between two tries are not cut short.
 */
#include "compat.h"

#include "worker/renew.h"

#include "storage/ipc.h"

#include "catalog/process_memory.h"
#include "worker/task.h"

#define MOST_GROWTH ((Size) 64 * 1024 * 1024)

/* Batches that were too large for this worker's memory are too large for the next one's. */
static int
smallest_row_limit(const List *tasks)
{
	int limit = 0;
	const ListCell *lc;

	foreach (lc, tasks)
	{
		const SxTask *task = lfirst(lc);

		if (task->row_limit > 0 && (limit == 0 || task->row_limit < limit))
			limit = task->row_limit;
	}
	return limit;
}

/* Whether the caches of the catalog have grown, beside what plans and the first batch have left in them. */
static bool
have_caches_grown(Size caches)
{
	static int64 batches_before = -1;
	static Size first_caches = 0;

	if (batches_before < 0)
		batches_before = sx_worker_slot->batches;
	if (first_caches == 0 && sx_worker_slot->batches > batches_before)
		first_caches = caches;
	return first_caches > 0 && caches > first_caches + MOST_GROWTH;
}

/*
 * Whether a task repeats what failed: while it waits to, and as long as that alone made the process
 * grow.  With too many zones every batch fails here: then it is enough that one has waited, or two
 * that fail by turns would keep each other here.  What is repeated at once, carefully, has its try.
 */
static bool
has_failing(const List *tasks, Size zones)
{
	bool waits = false;
	bool has_waited = false;
	const ListCell *lc;

	foreach (lc, tasks)
	{
		const SxTask *task = lfirst(lc);

		if (task->is_careful && task->failures == 0)
			return true;
		if (task->retry_at_us > sx_now_us())
			waits = true;
		else if (task->failures > 0)
			has_waited = true;
	}
	return zones <= SX_MOST_ZONES ? waits || has_waited : waits && !has_waited;
}

void
sx_renew_if_grown(const List *tasks)
{
	Size zones = sx_process_memory_zones();
	Size caches = sx_process_memory_caches();

	if (!have_caches_grown(caches) && zones <= MOST_GROWTH)
		return;
	if (has_failing(tasks, zones))
		return;
	ereport(LOG, (errmsg("streamx worker for stream \"%s\" is begun anew: messages made it grow",
						 sx_worker_slot->name),
				  errdetail("PostgreSQL kept %d MB of time zones and %d MB of its catalog.",
							(int) (zones >> 20), (int) (caches >> 20))));
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_worker_slot->row_limit = smallest_row_limit(tasks);
	sx_worker_slot->is_renewed = true;
	LWLockRelease(sx_shared->lock);
	proc_exit(0);
}
