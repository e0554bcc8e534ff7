/*
 * wakeup.c
 *	  What backends tell launcher and workers: the catalog changed, a database
 *	  must be left alone.
 *
 * News is told at commit, after the changes can be seen and before locks are
 * released, so that a worker that gets a stream's lock next finds its
 * generation moved.  It is told again once the invalidation messages are sent:
 * before, a worker may have looked at what its caches still held.  Holds of
 * databases end with their transaction.
 */
#include "compat.h"

#include "worker/launcher.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/procarray.h"
#include "utils/resowner.h"

#include "worker/shared.h"

#define HOLD_TIMEOUT_US (2 * SX_END_TIMEOUT_US)
#define HOLD_CHECK_MS 10

/* Of the current transaction: */
static bool is_pending = false;		/* has news about this database */
static bool is_pending_all = false; /* has news about databases */
static bool has_hold = false;

static bool must_repeat = false; /* the transaction is committed, its invalidations are not sent */

/* Put a database on the list to be probed; under the lock. */
static void
request_probe(Oid database)
{
	for (int i = 0; i < sx_shared->nprobes; i++)
		if (sx_shared->probes[i] == database)
			return;
	if (sx_shared->nprobes < SX_MAX_PROBES && OidIsValid(database))
		sx_shared->probes[sx_shared->nprobes++] = database;
	else
		sx_shared->must_probe_all = true;
}

/* Move the generation of a database's workers and wake them; under the lock. */
static void
wake_workers(Oid database)
{
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *slot = &sx_shared->slots[i];

		if (!slot->in_use || slot->database != database)
			continue;
		slot->generation++;
		if (slot->latch != NULL)
			SetLatch(slot->latch);
	}
}

static void
release_holds(void)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SX_MAX_HOLDS; i++)
	{
		SxHold *hold = &sx_shared->holds[i];

		if (hold->holder != MyProcPid)
			continue;
		hold->holder = 0;
		request_probe(hold->database);
	}
	sx_shared->databases_changed = true;
	LWLockRelease(sx_shared->lock);
	sx_shared_wake_launcher();
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	if (has_hold)
		release_holds();
	must_repeat = is_pending && event == XACT_EVENT_COMMIT;
	if (must_repeat)
		sx_launcher_wakeup_database(MyDatabaseId);
	if (is_pending_all && event == XACT_EVENT_COMMIT)
		sx_launcher_wakeup_database(InvalidOid);
	has_hold = is_pending = is_pending_all = false;
}

static void
at_release(ResourceReleasePhase phase, bool is_commit, bool is_top, void *arg)
{
	if (!must_repeat || phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top)
		return;
	must_repeat = false;
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	wake_workers(MyDatabaseId);
	LWLockRelease(sx_shared->lock);
}

static void
register_callback(void)
{
	static bool is_registered = false;

	if (is_registered)
		return;
	RegisterXactCallback(at_transaction_end, NULL);
	RegisterResourceReleaseCallback(at_release, NULL);
	is_registered = true;
}

void
sx_launcher_wakeup(void)
{
	if (sx_shared == NULL)
		return;
	register_callback();
	is_pending = true;
}

void
sx_launcher_wakeup_all(void)
{
	if (sx_shared == NULL)
		return;
	register_callback();
	is_pending_all = true;
}

void
sx_launcher_wakeup_database(Oid database)
{
	if (sx_shared == NULL)
		return;
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	request_probe(database);
	wake_workers(database);
	LWLockRelease(sx_shared->lock);
	sx_shared_wake_launcher();
}

static void
add_hold(Oid database)
{
	for (int i = 0; i < SX_MAX_HOLDS; i++)
	{
		SxHold *hold = &sx_shared->holds[i];

		if (hold->holder != 0)
			continue;
		hold->database = database;
		hold->holder = MyProcPid;
		return;
	}
	LWLockRelease(sx_shared->lock);
	ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					errmsg("too many databases are being changed at once")));
}

/* Have a database's processes end; true if there are any left.  Under the lock. */
static bool
end_processes(Oid database)
{
	bool any = sx_shared->probing == database; /* a probe ends by itself */

	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *slot = &sx_shared->slots[i];

		if (!slot->in_use || slot->database != database)
			continue;
		sx_shared_end_worker(slot);
		/* one that starts ends by itself */
		any = any || slot->pid != 0 || slot->state == SX_WORKER_STARTING;
	}
	return any;
}

void
sx_launcher_hold_database(Oid database)
{
	int64 until_us = sx_now_us() + HOLD_TIMEOUT_US;
	bool any;

	if (sx_shared == NULL)
		return;
	register_callback();
	has_hold = true;
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	add_hold(database);
	any = end_processes(database);
	LWLockRelease(sx_shared->lock);
	while (any && sx_now_us() < until_us)
	{
		sx_shared_wake_launcher();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, HOLD_CHECK_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
		any = end_processes(database);
		LWLockRelease(sx_shared->lock);
	}
}
