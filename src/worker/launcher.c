/*
 * launcher.c
 *	  The launcher: sees to it that each Kafka stream with views has its workers.
 *
 * It is connected to no database, so that it never stands in the way of DROP
 * DATABASE.  Which streams there are, a short-lived probe tells for one
 * database after another, at start and when a backend's commit asks for it.
 *
 *	  backend --commit--> probes[] --> probe of the database --> slots[]
 *	                                                               |
 *	                                launcher: start, stop, back off
 */
#include "compat.h"

#include "worker/launcher.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/procsignal.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/activity.h"
#include "catalog/debug_point.h"
#include "catalog/setting.h"
#include "query/define.h"
#include "worker/board.h"
#include "worker/shared.h"
#include "worker/utility.h"

#define RESTART_US USECS_PER_SEC		/* before a worker that ended is started again */
#define WARNING_US (60 * USECS_PER_SEC) /* between two warnings about missing places */
#define CHECK_US USECS_PER_SEC			/* while something is under way */

static BackgroundWorkerHandle *handles[SX_MAX_SLOTS]; /* of slots' workers */
static BackgroundWorkerHandle *probe_handle = NULL;
static List *to_probe = NIL;	 /* OIDs of databases, in TopMemoryContext */
static int64 probe_after_us = 0; /* all times: as sx_now_us */
static int64 warned_us = 0;
static int64 wake_us = 0; /* the loop's next appointment; 0: none */

/* Come back at the given time, or earlier. */
static void
appoint(int64 at_us)
{
	if (wake_us == 0 || at_us < wake_us)
		wake_us = at_us;
}

/* OIDs of the databases a worker may connect to, in context. */
static List *
list_databases(MemoryContext context)
{
	List *databases = NIL;
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext old;

		/* a connection limit of -2 marks what an interrupted DROP DATABASE left */
		if (!database->datallowconn || database->datistemplate || database->datconnlimit == -2)
			continue;
		old = MemoryContextSwitchTo(context);
		databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(old);
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return databases;
}

/* Take over what backends asked to be probed. */
static void
collect_requests(void)
{
	bool all;

	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	all = sx_shared->must_probe_all;
	sx_shared->must_probe_all = false;
	for (int i = 0; i < sx_shared->nprobes; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		to_probe = list_append_unique_oid(to_probe, sx_shared->probes[i]);
		MemoryContextSwitchTo(old);
	}
	sx_shared->nprobes = 0;
	LWLockRelease(sx_shared->lock);
	if (all)
	{
		list_free(to_probe);
		to_probe = list_databases(TopMemoryContext);
	}
}

/* Give back slots and counters of databases that are gone. */
static void
forget_databases(void)
{
	List *databases;
	bool must;

	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	must = sx_shared->databases_changed;
	sx_shared->databases_changed = false;
	LWLockRelease(sx_shared->lock);
	if (!must)
		return;
	databases = list_databases(TopMemoryContext);
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *slot = &sx_shared->slots[i];

		if (!slot->in_use || list_member_oid(databases, slot->database))
			continue;
		slot->is_wanted = false;
		sx_activity_forget_database(slot->database);
	}
	LWLockRelease(sx_shared->lock);
	list_free(databases);
}

static void
fill_worker(BackgroundWorker *worker, const char *function, const char *name, Datum arg)
{
	memset(worker, 0, sizeof(*worker));
	worker->bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker->bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker->bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker->bgw_library_name, "streamx", BGW_MAXLEN);
	strlcpy(worker->bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker->bgw_name, name, BGW_MAXLEN);
	worker->bgw_main_arg = arg;
	worker->bgw_notify_pid = MyProcPid;
}

static bool
start_process(BackgroundWorker *worker, BackgroundWorkerHandle **handle)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	bool is_started = RegisterDynamicBackgroundWorker(worker, handle);

	MemoryContextSwitchTo(old);
	return is_started;
}

/* Say, not too often, that a process cannot be started for want of a place. */
static void
warn_no_place(int64 now, bool is_own_limit)
{
	if (warned_us != 0 && now - warned_us < WARNING_US)
		return;
	warned_us = now;
	ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("streamx is waiting for a worker slot"),
					  is_own_limit ? errhint("You might need to increase streamx.max_workers.")
								   : errhint("You might need to increase max_worker_processes.")));
}

/*
 * If the probe that ran has ended: did it do its work?  Until then its database is not given to
 * anybody who holds it: DROP DATABASE ... (FORCE) would end the probe by an error.
 */
static void
finish_probe(int64 now)
{
	pid_t pid;
	Oid failed;

	if (probe_handle == NULL || GetBackgroundWorkerPid(probe_handle, &pid) != BGWH_STOPPED)
		return;
	pfree(probe_handle);
	probe_handle = NULL;
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	failed = sx_shared->is_probed ? InvalidOid : sx_shared->probing;
	sx_shared->probing = InvalidOid;
	LWLockRelease(sx_shared->lock);
	if (OidIsValid(failed))
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		to_probe = list_append_unique_oid(to_probe, failed);
		MemoryContextSwitchTo(old);
		probe_after_us = now + RESTART_US;
	}
}

/* Start a probe of the next database that asks for it; one at a time. */
static void
probe_next(int64 now)
{
	List *databases;
	Oid database = InvalidOid;
	ListCell *lc;

	if (probe_handle != NULL || to_probe == NIL)
		return;
	if (now < probe_after_us)
	{
		appoint(probe_after_us);
		return;
	}
	databases = list_databases(TopMemoryContext);
	foreach (lc, to_probe)
	{
		Oid candidate = lfirst_oid(lc);
		bool is_held;

		if (!list_member_oid(databases, candidate))
		{
			to_probe = foreach_delete_current (to_probe, lc);
			continue;
		}
		LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
		is_held = sx_shared_is_held(candidate);
		if (!is_held)
		{
			sx_shared->probing = database = candidate;
			sx_shared->is_probed = false;
		}
		LWLockRelease(sx_shared->lock);
		if (!is_held)
			break;
	}
	list_free(databases);
	if (OidIsValid(database))
	{
		BackgroundWorker worker;

		to_probe = list_delete_oid(to_probe, database);
		fill_worker(&worker, "sx_probe_main", "streamx probe", ObjectIdGetDatum(database));
		strlcpy(worker.bgw_type, "streamx probe", BGW_MAXLEN);
		if (!start_process(&worker, &probe_handle))
		{
			probe_handle = NULL;
			LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
			sx_shared->probing = InvalidOid;
			LWLockRelease(sx_shared->lock);
			to_probe = list_concat_unique_oid(list_make1_oid(database), to_probe);
			probe_after_us = now + RESTART_US;
			appoint(probe_after_us);
			warn_no_place(now, false);
		}
	}
}

/* Whether the slot has a process, or will have one without our doing. */
static bool
has_process(int i)
{
	return handles[i] != NULL || sx_shared->slots[i].pid != 0 ||
		   sx_shared->slots[i].state == SX_WORKER_STARTING;
}

/* Whether the slot's process has ended. */
static bool
has_ended(int i, int64 now)
{
	SxWorkerSlot *slot = &sx_shared->slots[i];
	pid_t pid;

	if (handles[i] != NULL)
		return GetBackgroundWorkerPid(handles[i], &pid) == BGWH_STOPPED;
	/* started by a launcher before this one */
	if (slot->pid != 0)
		return BackendPidGetProc(slot->pid) == NULL;
	return now - slot->started_us >= 10 * CHECK_US;
}

/* A slot's worker is gone: free the slot, or set the time of the next try. */
static void
note_end(int i, int64 now)
{
	SxWorkerSlot *slot = &sx_shared->slots[i];
	int64 pause_us = RESTART_US;

	if (handles[i] != NULL)
		pfree(handles[i]);
	handles[i] = NULL;
	slot->pid = 0;
	slot->latch = NULL;
	slot->must_yield = false;
	if (slot->failures > 1)
		pause_us = Min(RESTART_US << Min(slot->failures - 1, 20),
					   sx_max_restart_backoff_ms * INT64CONST(1000));
	slot->state = slot->failures > 0 ? SX_WORKER_BACKING_OFF : SX_WORKER_WAITING;
	slot->start_after_us = now + (slot->is_renewed ? 0 : pause_us);
	slot->is_renewed = false;
	slot->restarts++;
}

/*
 * A stream's first worker, which reads all partitions if it must, waits for a place: a worker
 * that only helps another stream's goes.
 */
static void
end_further_worker(int64 now)
{
	int last = -1;

	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *slot = &sx_shared->slots[i];

		if (slot->in_use && slot->number > 0 && has_process(i) &&
			(last < 0 || slot->number > sx_shared->slots[last].number))
			last = i;
	}
	if (last < 0)
		return;
	sx_shared->slots[last].must_yield = true;
	sx_shared_end_worker(&sx_shared->slots[last]);
	appoint(now + CHECK_US);
}

/* Start the slot's worker if it wants one and may; count it if it runs. */
static void
start_worker(int i, int64 now, int *running)
{
	SxWorkerSlot *slot = &sx_shared->slots[i];
	BackgroundWorker worker;

	if (slot->start_after_us > now)
	{
		appoint(slot->start_after_us);
		return;
	}
	if (*running >= sx_max_workers)
	{
		slot->state = SX_WORKER_WAITING;
		if (slot->number == 0)
			end_further_worker(now);
		warn_no_place(now, true);
		return;
	}
	fill_worker(&worker, "sx_worker_main", "", Int32GetDatum(i));
	snprintf(worker.bgw_name, BGW_MAXLEN, "streamx worker %d for stream %s", slot->number + 1,
			 slot->name);
	strlcpy(worker.bgw_type, "streamx worker", BGW_MAXLEN);
	slot->state = SX_WORKER_STARTING;
	slot->started_us = now;
	if (start_process(&worker, &handles[i]))
	{
		(*running)++;
		return;
	}
	handles[i] = NULL;
	slot->state = SX_WORKER_WAITING;
	slot->start_after_us = now + RESTART_US;
	appoint(slot->start_after_us);
	warn_no_place(now, false);
}

/* Bring processes in line with the slots. */
static void
tend_workers(int64 now)
{
	int running = 0;

	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *slot = &sx_shared->slots[i];

		if (!slot->in_use)
			continue;
		if (has_process(i) && has_ended(i, now))
			note_end(i, now);
		if (!has_process(i))
		{
			if (!slot->is_wanted)
				slot->in_use = false;
			continue;
		}
		if (!sx_shared_may_run(slot))
		{
			/* one that only starts sees by itself that it is not wanted */
			sx_shared_end_worker(slot);
			appoint(now + CHECK_US);
		}
		else
			slot->asked_us = 0;
		running++;
	}
	/* the streams' first workers, then the second ones, ... */
	for (int number = 0; number < SX_MAX_STREAM_WORKERS && sx_enabled; number++)
	{
		for (int i = 0; i < SX_MAX_SLOTS; i++)
		{
			SxWorkerSlot *slot = &sx_shared->slots[i];

			if (slot->in_use && OidIsValid(slot->stream) && slot->number == number &&
				!has_process(i) && !sx_shared_is_held(slot->database))
				start_worker(i, now, &running);
		}
	}
	LWLockRelease(sx_shared->lock);
}

/* A session that ended without releasing its database does so here. */
static void
drop_dead_holds(int64 now)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SX_MAX_HOLDS; i++)
	{
		SxHold *hold = &sx_shared->holds[i];

		if (hold->holder == 0)
			continue;
		if (BackendPidGetProc(hold->holder) == NULL)
			hold->holder = 0;
		else
			appoint(now + CHECK_US);
	}
	LWLockRelease(sx_shared->lock);
}

static void
leave_shared(int code, Datum arg)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_shared->launcher_pid = 0;
	sx_shared->launcher_latch = NULL;
	LWLockRelease(sx_shared->lock);
}

static void
enter_shared(void)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_shared->launcher_pid = MyProcPid;
	sx_shared->launcher_latch = MyLatch;
	sx_shared->must_probe_all = true;
	sx_shared->probing = InvalidOid;
	LWLockRelease(sx_shared->lock);
	before_shmem_exit(leave_shared, 0);
}

static void
wait_for_news(void)
{
	long timeout_ms = -1;
	int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;

	if (wake_us != 0)
	{
		timeout_ms = (long) sx_ms_until(wake_us);
		events |= WL_TIMEOUT;
	}
	(void) WaitLatch(MyLatch, events, timeout_ms, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	/* exit code 1: the postmaster starts it again, unless it is shutting down */
	if (ShutdownRequestPending)
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
sx_launcher_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	enter_shared();
	for (;;)
	{
		int64 now = sx_now_us();

		wake_us = 0;
		drop_dead_holds(now);
		forget_databases();
		collect_requests();
		finish_probe(now);
		if (sx_enabled)
			probe_next(now);
		tend_workers(now);
		SX_DEBUG_POINT("in-launcher");
		wait_for_news();
	}
}

void
sx_launcher_init(void)
{
	BackgroundWorker worker;

	sx_shared_init();
	sx_board_init();
	sx_utility_init();
	sx_views_changed = sx_launcher_wakeup;
	fill_worker(&worker, "sx_launcher_main", "streamx launcher", (Datum) 0);
	strlcpy(worker.bgw_type, "streamx launcher", BGW_MAXLEN);
	worker.bgw_restart_time = 1;
	worker.bgw_notify_pid = 0;
	RegisterBackgroundWorker(&worker);
}
