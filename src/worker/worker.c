/*
 * worker.c
 *	  The worker: reads one Kafka stream, or some of its partitions, into the views
 *	  that hang on it.
 *
 * It serves the stream's readers in turn (task.c) and sleeps, without
 * transaction or snapshot, when none of them has anything to do.  It ends only
 * when it is told to.
 *
 *     broker --> collect --> decode --> for each view: delta, merge --> progress
 *               no transaction   |<------------- one transaction ------------->|
 *
 * Of a stream's several workers, each decodes and aggregates before it waits for the
 * stream's lock (query/prepare.c), and merges under it.
 */
#include "compat.h"

#include "worker/worker.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/sinval.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/debug_point.h"
#include "catalog/setting.h"
#include "catalog/spi.h"
#include "query/attach.h"
#include "query/time_limit.h"
#include "query/view.h"
#include "worker/launcher.h"
#include "worker/meeting.h"
#include "worker/part.h"
#include "worker/renew.h"
#include "worker/shared.h"
#include "worker/silence.h"
#include "worker/task.h"

#define LOOK_AGAIN_US USECS_PER_SEC /* after the catalog could not be read */
#define MAX_SLEEP_MS 60000
#define UNPREPARED_BATCHES 10 /* after one whose groups were too many to be kept */
#define PATIENCE "1min"		  /* with other workers of the stream */
#define MEETING_LOOK_US                                                                            \
	100000 /* how far others have moved the reader that younger ones are to meet */

SxWorkerSlot *sx_worker_slot = NULL;

static uint32 seen_generation;
static bool relation_changed = false; /* the stream's relcache entry */
static SxPart own_part = {0, 1};	  /* of the stream's workers that run */
static List *tasks = NIL;			  /* of SxTask, in TopMemoryContext */
static int64 look_at_us = 0;		  /* when to read the catalog again */
static int32 last_behind = 0;		  /* the reader that was the last to catch up a bit */

/* ---- the micro-batch ---- */

bool
sx_worker_has_siblings(void)
{
	return own_part.count > 1;
}

static void
decode(SxConsumer *consumer)
{
	sx_batch_decode(consumer->batch, consumer->messages, consumer->nmessages,
					sx_apply_columns(consumer->reader), GetCurrentTimestamp());
	if (consumer->stream->filter)
		sx_silence_break_by_batch(consumer);
}

void
sx_worker_prepare_batch(SxConsumer *consumer, SxApplyCounts *counts)
{
	SxReader *reader = consumer->reader;
	SxBatch *batch = consumer->batch;
	MemoryContext old = MemoryContextSwitchTo(batch->rows);

	LockRelationOid(reader->stream, AccessShareLock);
	sx_apply_lock(reader);
	if (sx_worker_is_stale())
	{
		MemoryContextSwitchTo(old);
		return;
	}
	sx_stream_check_usage(consumer->stream);
	PushActiveSnapshot(GetTransactionSnapshot());
	counts->is_under_way = true;
	decode(consumer);
	consumer->prepared = sx_prepared_create(consumer->context);
	if (consumer->unprepared > 0)
		consumer->unprepared--;
	else if (!sx_prepare(consumer->prepared, reader, batch, (size_t) work_mem * 1024))
		consumer->unprepared = UNPREPARED_BATCHES;
	SX_DEBUG_POINT("after-prepare");
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	counts->is_under_way = false;
}

/* Another worker of the stream may take its time: we hold nothing that anybody could wait for. */
static void
lock_stream(Oid stream)
{
	int nestlevel = NewGUCNestLevel();

	if (sx_worker_has_siblings())
	{
		(void) set_config_option("lock_timeout", PATIENCE, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
		/* nor is there a circle to look for, or a wait to log (log_lock_waits) */
		(void) set_config_option("deadlock_timeout", PATIENCE, PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	sx_time_limit_suspend();
	sx_lock_stream(stream);
	sx_time_limit_restart(InvalidOid);
	AtEOXact_GUC(false, nestlevel);
}

bool
sx_worker_run_batch(SxConsumer *consumer, SxCare care, bool (*is_stale)(void),
					SxApplyCounts *counts)
{
	SxReader *reader = consumer->reader;
	SxBatch *batch = consumer->batch;
	int nviews;
	MemoryContext old = MemoryContextSwitchTo(batch->rows);

	/* lock first, then snapshot; all at once, so that whoever waits for us never waits long */
	lock_stream(reader->stream);
	LockRelationOid(reader->stream, AccessShareLock);
	sx_apply_lock(reader);
	/* what was dropped or altered meanwhile is known by now */
	if (is_stale && is_stale())
	{
		MemoryContextSwitchTo(old);
		return false;
	}
	sx_stream_check_usage(consumer->stream);
	nviews = list_length(reader->views);
	PushActiveSnapshot(GetTransactionSnapshot());
	counts->is_under_way = true;
	sx_consumer_reload(consumer);

	if (consumer->prepared == NULL)
		decode(consumer);
	SX_DEBUG_POINT("after-decode");
	for (int i = 0; i < consumer->nmessages; i++)
		counts->seen.bytes +=
			consumer->messages[i].key_length + consumer->messages[i].payload_length;
	sx_consumer_advance(consumer);
	if (batch->nfiltered == batch->nrows)
		sx_silence_follow_clock(consumer);
	sx_apply(reader, batch, care, consumer->prepared, counts);
	SX_DEBUG_POINT("before-progress");
	sx_progress_save(reader);
	SX_DEBUG_POINT("after-progress");
	if (list_length(reader->views) < nviews)
		sx_launcher_wakeup(); /* a view left: it has a reader of its own now */

	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
	return true;
}

bool
sx_worker_is_stale(void)
{
	return relation_changed || sx_worker_slot->generation != seen_generation;
}

/* ---- which readers ---- */

static void
note_relation_change(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == sx_worker_slot->stream)
		relation_changed = true;
}

/* IDs of the readers to be served; in the current memory context. */
static List *
list_readers(Oid stream)
{
	static const char *const statement =
		"SELECT r.reader FROM streamx.readers r JOIN streamx.streams s USING (stream)"
		" WHERE r.stream = $1 AND NOT r.paused AND NOT s.paused"
		"   AND EXISTS (SELECT FROM streamx.view_streams v WHERE v.reader = r.reader)"
		" ORDER BY r.reader";
	Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(stream)};

	return sx_spi_list_ints(statement, lengthof(types), types, values);
}

/* Which of the stream's workers that run this one is. */
static SxPart
find_part(void)
{
	SxPart part;

	LWLockAcquire(sx_shared->lock, LW_SHARED);
	part.number = sx_shared_rank(sx_worker_slot, &part.count);
	LWLockRelease(sx_shared->lock);
	return part;
}

/*
 * Make tasks follow the list of readers.  Several workers share the partitions of the oldest one, which
 * most views hang on; the others, until they join it, are the first worker's.
 */
static void
align_tasks(List *readers, SxPart part)
{
	int32 oldest = readers ? linitial_int(readers) : 0;
	ListCell *lc;

	if (part.number > 0)
		readers = list_truncate(readers, 1);
	foreach (lc, tasks)
	{
		SxTask *task = lfirst(lc);
		SxPart wanted = task->reader == oldest ? part : SX_PART_ALL;

		task->must_reopen |= wanted.number != task->part.number || wanted.count != task->part.count;
		task->part = wanted;
		task->is_stale = true;
		task->discover_at_us = 0;
		task->retention_at_us = 0;
		task->retry_at_us = 0; /* the change may be what it waits for */
		if (list_member_int(readers, task->reader))
		{
			readers = list_delete_int(readers, task->reader);
			continue;
		}
		sx_task_close(task);
		pfree(task);
		tasks = foreach_delete_current (tasks, lc);
	}
	foreach (lc, readers)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
		SxTask *task = palloc0(sizeof(SxTask));

		task->reader = lfirst_int(lc);
		task->part = task->reader == oldest ? part : SX_PART_ALL;
		task->state = SX_WORKER_STARTING;
		task->row_limit = sx_worker_slot->row_limit;
		if (sx_worker_slot->is_stuck)
			sx_task_lose_patience(task);
		tasks = lappend(tasks, task);
		MemoryContextSwitchTo(old);
	}
}

/*
 * There is nothing to read any more: give up the place, which others may wait
 * for.  Not if the catalog has changed meanwhile: a probe may want us again.
 */
static void
leave_if_unneeded(uint32 generation)
{
	bool is_unneeded;

	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	is_unneeded = sx_worker_slot->generation == generation;
	if (is_unneeded)
		sx_worker_slot->is_wanted = false;
	LWLockRelease(sx_shared->lock);
	if (is_unneeded)
		proc_exit(0);
}

/* In a signal handler, before this process ends. */
static void
note_stuck(Oid view)
{
	sx_worker_slot->is_stuck = true;
	sx_worker_slot->stuck_view = view;
}

/* A view did not let itself be cancelled, and took the worker before this one with it. */
static void
pause_stuck_view(Oid view)
{
	ErrorData error = {.sqlerrcode = ERRCODE_QUERY_CANCELED,
					   .message = "it did not end after streamx.max_batch_time"};

	if (!sx_extension_exists() || !sx_view_is(view))
		return;
	(void) sx_attach_leave(view, true);
	CommandCounterIncrement();
	sx_activity_failed(SX_ACTIVITY_VIEW, view, view, &error);
	ereport(WARNING, (errcode(error.sqlerrcode),
					  errmsg("continuous view \"%s\" is paused: %s", sx_view_load(view)->name,
							 error.message),
					  errdetail("A function in it caught its cancellation."),
					  errhint("Mend the function, then run streamx.resume.")));
}

/*
 * Read the catalog again.  An error is only put off, and told when it comes again:
 * somebody may be changing it, or dropping it.
 */
static void
look_at_catalog(void)
{
	static bool has_failed = false;
	MemoryContext context = CurrentMemoryContext;
	uint32 generation = sx_worker_slot->generation;
	SxPart part = find_part();
	Oid stuck_view = sx_worker_slot->stuck_view;

	relation_changed = false;
	PG_TRY();
	{
		List *readers = NIL;

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		if (OidIsValid(stuck_view))
		{
			sx_lock_stream(sx_worker_slot->stream);
			LockRelationOid(stuck_view, AccessShareLock);
		}
		PushActiveSnapshot(GetTransactionSnapshot());
		MemoryContextSwitchTo(context);
		if (OidIsValid(stuck_view))
			pause_stuck_view(stuck_view);
		if (sx_extension_is_current())
			readers = list_readers(sx_worker_slot->stream);
		PopActiveSnapshot();
		CommitTransactionCommand();
		MemoryContextSwitchTo(context);
		if (readers == NIL)
			leave_if_unneeded(generation);
		own_part = part;
		align_tasks(readers, part);
		sx_worker_slot->is_stuck = false;
		sx_worker_slot->stuck_view = InvalidOid;
		sx_worker_slot->row_limit = 0;
		seen_generation = generation;
		look_at_us = PG_INT64_MAX;
		has_failed = false;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (has_failed && !sx_apply_is_passing(geterrcode()))
			EmitErrorReport();
		has_failed = true;
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		look_at_us = sx_now_us() + LOOK_AGAIN_US;
	}
	PG_END_TRY();
}

/* ---- the loop ---- */

/* The worst of the tasks' states is the worker's. */
static SxWorkerState
overall_state(void)
{
	SxWorkerState state = SX_WORKER_PAUSED;
	ListCell *lc;

	foreach (lc, tasks)
	{
		SxTask *task = lfirst(lc);

		if (state == SX_WORKER_PAUSED || task->state == SX_WORKER_FAILING ||
			(task->state == SX_WORKER_DISCONNECTED && state != SX_WORKER_FAILING) ||
			state == SX_WORKER_CAUGHT_UP)
			state = task->state;
	}
	return state;
}

/* Wait for messages, for news, or until the time is there. */
static void
wait_for_work(int64 until_us)
{
	int64 left_ms = sx_ms_until(until_us);
	SxSource **sources;
	int count = 0;
	ListCell *lc;

	if (left_ms == 0)
		return;
	sources = palloc(sizeof(SxSource *) * (list_length(tasks) + 1));
	foreach (lc, tasks)
	{
		SxTask *task = lfirst(lc);

		/* one that backs off, or has read its share, is not to be woken by its messages */
		if (task->consumer && Max(task->retry_at_us, task->throttled_until_us) <= sx_now_us())
			sources[count++] = task->consumer->source;
	}
	sx_source_wait(sources, count, (int) Min(left_ms, MAX_SLEEP_MS));
	pfree(sources);
}

/*
 * Of a worker and a user who wait for each other the worker gives way.  Whoever
 * waited last closed the circle: if it was the worker, it looks for circles at once;
 * if it was the user, the worker's patience ends before the user looks.
 */
static void
give_way_to_users(void)
{
	static int users_timeout_ms = 0; /* as the server was configured when this worker began */
	char text[32];

	if (users_timeout_ms == 0)
		users_timeout_ms = DeadlockTimeout;
	snprintf(text, sizeof(text), "%d", Max(users_timeout_ms / 2, 1));
	SetConfigOption("lock_timeout", text, PGC_SUSET, PGC_S_OVERRIDE);
	snprintf(text, sizeof(text), "%d", Max(users_timeout_ms / 100, 1));
	SetConfigOption("deadlock_timeout", text, PGC_SUSET, PGC_S_OVERRIDE);
}

static void
apply_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"synchronous_commit", "off"}, /* offsets and state are lost or kept together */
		{"jit", "off"},
		{"plan_cache_mode", "force_generic_plan"},
		{"max_parallel_workers_per_gather", "0"},
		{"enable_sort", "off"}, /* row estimates of a batch are made up: pin the plan's shape */
		{"enable_mergejoin", "off"},
	};
	char text[32];

	give_way_to_users();
	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	snprintf(text, sizeof(text), "%d", sx_batch_memory_kb / 8);
	SetConfigOption("work_mem", text, PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("application_name", sx_worker_slot->name, PGC_USERSET, PGC_S_OVERRIDE);
}

/* Whether this worker is to run no longer: it ends between two batches, in silence. */
static bool
is_unwanted(void)
{
	bool may_run;

	LWLockAcquire(sx_shared->lock, LW_SHARED);
	may_run = sx_shared_may_run(sx_worker_slot);
	LWLockRelease(sx_shared->lock);
	return !may_run;
}

/* What a signal asked for.  Outside of a transaction. */
static void
handle_interrupts(void)
{
	/* the handler is die(): in a batch it ends us by an error, here in silence */
	if (ProcDiePending)
		proc_exit(0);
	QueryCancelPending = false; /* there is nothing to cancel */
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		apply_settings();
	}
	if (catchupInterruptPending)
		ProcessCatchupInterrupt();
	if (is_unwanted())
		proc_exit(0);
	sx_renew_if_grown(tasks);
}

/* Give a task its turn; returns when the next one is due. */
static int64
serve(SxTask *task, bool gives_way)
{
	int64 batch_memory = (int64) sx_batch_memory_kb * 1024;
	/* the rest is for aggregation: see work_mem, of which a hash table takes twice as much */
	int64 queue_bytes = batch_memory / 4 / Max(list_length(tasks), 1);
	int64 until;

	sx_meeting_aim(tasks, task);
	until = sx_task_turn(task, queue_bytes, batch_memory / 8 * 5, gives_way);
	if (sx_meeting_join(tasks, task))
		until = sx_now_us(); /* the list is about to change */
	else if (task->join_at_us > sx_now_us())
		until = Min(until, task->join_at_us);
	handle_interrupts();
	return until;
}

/*
 * Give each task its turn; returns when the next one is due.  Of those that catch up one
 * alone runs a batch, then the others come first again.
 */
static int64
serve_tasks(void)
{
	int64 until = look_at_us;
	bool has_live = false;
	List *behind = NIL;
	ListCell *lc;

	foreach (lc, tasks)
	{
		SxTask *task = lfirst(lc);

		if (task->is_behind || task->consumer == NULL)
		{
			behind = lappend(behind, task);
			continue;
		}
		has_live = true;
		until = Min(until, serve(task, false));
		if (sx_worker_is_stale())
			return sx_now_us();
	}
	if (list_length(tasks) > 1 && ((SxTask *) linitial(tasks))->part.count > 1)
		until = Min(until, sx_now_us() + MEETING_LOOK_US);
	for (int turn = 0; turn < 2; turn++) /* those after the last one, then from the first */
		foreach (lc, behind)
		{
			SxTask *task = lfirst(lc);
			int64 committed_us = task->committed_us;

			if ((task->reader > last_behind) != (turn == 0))
				continue;
			until = Min(until, serve(task, has_live));
			if (task->committed_us != committed_us)
				last_behind = task->reader;
			if (task->committed_us != committed_us || sx_worker_is_stale())
				return sx_now_us();
		}
	return until;
}

static void
loop(void)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "streamx worker turn", ALLOCSET_DEFAULT_SIZES);
	long report_ms = 0;

	for (;;)
	{
		int64 until;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		handle_interrupts();
		if (sx_worker_is_stale() || sx_now_us() >= look_at_us)
			look_at_catalog();
		until = serve_tasks();
		sx_shared_set_state(sx_worker_slot, overall_state());
		report_ms = pgstat_report_stat(false);
		if (report_ms > 0)
			until = Min(until, sx_now_us() + report_ms * 1000);
		wait_for_work(until);
	}
}

/* ---- beginning and end ---- */

static void
leave_slot(int code, Datum arg)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_worker_slot->pid = 0;
	sx_worker_slot->latch = NULL;
	sx_worker_slot->is_in_batch = false;
	sx_worker_slot->state = SX_WORKER_BACKING_OFF;
	if (code != 0)
		sx_worker_slot->failures++;
	LWLockRelease(sx_shared->lock);
	sx_part_withdraw();
	sx_shared_wake_siblings(sx_worker_slot, true); /* they read its partitions now */
	sx_shared_wake_launcher();
}

/* Take the slot; false when the stream is not to be read any more. */
static bool
enter_slot(int index)
{
	bool may_run;

	sx_worker_slot = &sx_shared->slots[index];
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	may_run = sx_worker_slot->in_use && sx_shared_may_run(sx_worker_slot);
	sx_worker_slot->pid = MyProcPid;
	sx_worker_slot->latch = MyLatch;
	sx_worker_slot->asked_us = 0;
	sx_worker_slot->still_until_us = 0;
	LWLockRelease(sx_shared->lock);
	before_shmem_exit(leave_slot, (Datum) 0);
	sx_shared_wake_siblings(sx_worker_slot, true);
	return may_run;
}

/* What ends the worker is to be seen in its slot. */
static void
run(void)
{
	PG_TRY();
	{
		loop();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(TopMemoryContext);
		error = CopyErrorData();
		LWLockReleaseAll();
		LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
		sx_activity_error_set(&sx_worker_slot->error, error);
		LWLockRelease(sx_shared->lock);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

void
sx_worker_main(Datum arg)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	sx_time_limit_ignored = note_stuck;
	BackgroundWorkerUnblockSignals();
	if (!enter_slot(DatumGetInt32(arg)))
		proc_exit(0);
	BackgroundWorkerInitializeConnectionByOid(sx_worker_slot->database, InvalidOid, 0);
	CacheRegisterRelcacheCallback(note_relation_change, (Datum) 0);
	apply_settings();
	pgstat_report_appname(sx_worker_slot->name);
	pgstat_report_activity(STATE_IDLE, NULL);
	seen_generation = sx_worker_slot->generation - 1; /* never looked */
	SX_DEBUG_POINT("worker-start");
	run();
}
