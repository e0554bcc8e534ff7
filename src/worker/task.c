/*
 * task.c
 *	  One reader among those a worker serves in turn: when to commit, when to
 *	  try again.
 *
 *	  open -> discover partitions -> collect messages -> batch -> collect ...
 *	    ^                                                  |
 *	    +--- positions moved, other brokers --- failed: careful, then back off
 *
 * Each turn is short: it never waits for messages, so that one reader that
 * catches up does not hold up the others.  Nothing that fails here ends the
 * worker.
 */
#include "compat.h"

#include "worker/task.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/activity.h"
#include "catalog/debug_point.h"
#include "catalog/process_memory.h"
#include "catalog/setting.h"
#include "query/attach.h"
#include "query/retention.h"
#include "query/time_limit.h"
#include "worker/catch_up.h"
#include "worker/held.h"
#include "worker/launcher.h"
#include "worker/part.h"
#include "worker/renew.h"
#include "worker/silence.h"
#include "worker/worker.h"

#define NEVER PG_INT64_MAX
#define FULL_BATCH_ROWS 50000
#define FULL_BATCH_ROWS_PER_GROUP 64
#define DISCOVER_TIMEOUT_MS 2000
#define GIVE_WAY_US 20000	   /* after a lock could not be had */
#define PATIENCE 10			   /* setbacks in a row, such as a lock waited for in vain */
#define GRAVE_SETBACK 3		   /* how many of them one of another kind makes */
#define FIRST_BACKOFF_MS 1000  /* after a failure; doubles */
#define NEWS_INTERVAL_US 50000 /* between batches without rows */
#define REPORT_INTERVAL_US 50000
#define RETENTION_INTERVAL_US USECS_PER_SEC /* after a batch, which deletes some rows itself */
#define RETENTION_RETRY_US (INT64CONST(60) * USECS_PER_SEC) /* after a failure */

/* ---- transactions ---- */

/* After an error: end the transaction and return a copy, in the current memory context. */
static ErrorData *
recover(MemoryContext context)
{
	ErrorData *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	QueryCancelPending = false;
	RESUME_INTERRUPTS();
	return error;
}

ErrorData *
sx_task_transaction(SxTask *task, SxTaskAction action, void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp(); /* what now() is */
		StartTransactionCommand();
		action(task, argument);
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		error = recover(context);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return error;
}

/* ---- failures ---- */

static int64
backoff_us(int failures)
{
	int64 ms = (int64) FIRST_BACKOFF_MS << Min(Max(failures - 1, 0), 20);

	return Min(ms, sx_max_restart_backoff_ms) * 1000;
}

/* Tell of an error and wait before the next try. */
static void
fail(SxTask *task, ErrorData *error)
{
	task->failures++;
	task->state = SX_WORKER_FAILING;
	task->retry_at_us = sx_now_us() + backoff_us(task->failures);
	if (task->part.count > 1)
		sx_part_withdraw();
	sx_activity_failed(SX_ACTIVITY_READER, task->reader, sx_worker_slot->stream, error);
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_activity_error_set(&sx_worker_slot->error, error);
	LWLockRelease(sx_shared->lock);
	ereport(WARNING, (errcode(error->sqlerrcode), errmsg_internal("%s", error->message),
					  error->detail ? errdetail_internal("%s", error->detail) : 0,
					  error->hint ? errhint("%s", error->hint) : 0,
					  error->context ? errcontext("%s", error->context) : 0));
}

/* A failure that is no error of the server. */
static void
fail_with(SxTask *task, int sqlstate, const char *message)
{
	ErrorData error = {.sqlerrcode = sqlstate, .message = unconstify(char *, message)};

	fail(task, &error);
}

/* Give way to whoever holds the lock, and try the same again soon. */
static void
give_way(SxTask *task, const ErrorData *error)
{
	ereport(DEBUG1, (errmsg_internal("streamx worker gives way: %s", error->message)));
	task->retry_at_us = sx_now_us() + GIVE_WAY_US;
	if (error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE)
		task->must_reopen = true;
}

/*
 * Whether an error may be over when the lock is free, or the catalog was read again.  Once
 * in a row: what fails may itself change the catalog, as a view does that leaves.
 */
static bool
may_pass(SxTask *task, const ErrorData *error)
{
	bool was_stale = task->was_stale;

	if (sx_apply_is_passing(error->sqlerrcode))
		return true;
	task->was_stale = sx_worker_is_stale();
	return task->was_stale && !was_stale;
}

void
sx_task_give_way_or_fail(SxTask *task, ErrorData *error)
{
	if (may_pass(task, error))
		give_way(task, error);
	else
		fail(task, error);
}

/* The only view of a reader cannot take a row, and on_error says stop: it pauses there. */
static void
pause_view(SxTask *task, void *argument)
{
	Oid view = *(Oid *) argument;

	sx_lock_stream(sx_worker_slot->stream);
	LockRelationOid(view, AccessShareLock);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(view)))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) sx_attach_leave(view, true);
	PopActiveSnapshot();
	sx_launcher_wakeup();
}

/* How the task runs its next batch. */
static SxCare
care_of(const SxTask *task)
{
	if (task->setbacks >= PATIENCE)
		return SX_CARE_VIEWS;
	return task->is_careful ? SX_CARE_ROWS : SX_CARE_NONE;
}

void
sx_task_lose_patience(SxTask *task)
{
	task->setbacks = PATIENCE;
}

/* A smaller batch may do. */
static void
take_fewer(SxTask *task)
{
	task->row_limit = Max(task->consumer->nmessages / 2, 1);
	task->is_careful = false;
	sx_consumer_drop(task->consumer);
}

/*
 * What may pass by itself is waited for, but not for ever: a view's functions can raise
 * any error, again and again, and others wait for the batch.  So after a while the
 * batch is repeated with each such error taken for its view's own (SX_CARE_VIEWS).
 */
static void
handle_batch_error(SxTask *task, ErrorData *error, const SxApplyCounts *counts)
{
	Oid paused_view = counts->paused_view;
	SxCare care = care_of(task);
	bool is_passing = sx_apply_is_passing(error->sqlerrcode);
	bool is_slow = sx_time_limit_is_over() && error->sqlerrcode == ERRCODE_QUERY_CANCELED;
	bool is_nobodys = sx_apply_is_nobodys(error->sqlerrcode);
	bool has_many = task->consumer->nmessages > 1;

	sx_time_limit_name(error);
	if (counts->is_under_way && is_nobodys)
		task->setbacks += is_slow ? PATIENCE : is_passing ? 1 : GRAVE_SETBACK;
	if (!(is_passing && care == SX_CARE_VIEWS) && may_pass(task, error))
	{
		give_way(task, error);
		return;
	}
	/* what comes before the bad message is committed, so that the reader stands at it (streamx.skip) */
	if (counts->before_stop > 0)
	{
		sx_held_cut(task->consumer, counts->before_stop);
		task->is_careful = true; /* at once, just these */
		return;
	}
	if (has_many && ((error->sqlerrcode == ERRCODE_OUT_OF_MEMORY && care != SX_CARE_VIEWS) ||
					 (is_slow && care == SX_CARE_VIEWS)))
		take_fewer(task);
	else if (care == SX_CARE_NONE && (!is_nobodys || task->setbacks >= PATIENCE))
	{
		/* at once, the same messages */
		ereport(DEBUG1,
				(errmsg_internal("streamx batch is repeated carefully: %s", error->message)));
		task->is_careful = true;
		return;
	}
	if (error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE)
		task->must_reopen = true; /* else it would meet the same positions for ever */
	fail(task, error);
	if (OidIsValid(paused_view))
	{
		sx_activity_failed(SX_ACTIVITY_VIEW, paused_view, paused_view, error);
		(void) sx_task_transaction(task, pause_view, &paused_view); /* else at the next try */
	}
}

/* ---- opening ---- */

static void
open_consumer(SxTask *task, void *argument)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	task->consumer =
		sx_consumer_open(task->reader, task->part, *(int64 *) argument, TopMemoryContext);
	PopActiveSnapshot();
}

static void
refresh_consumer(SxTask *task, void *argument)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	task->must_reopen = !sx_consumer_refresh(task->consumer);
	PopActiveSnapshot();
}

void
sx_task_close(SxTask *task)
{
	if (task->consumer && task->consumer->part.count > 1)
		sx_part_withdraw();
	if (task->consumer)
		sx_consumer_close(task->consumer);
	task->consumer = NULL;
	task->is_careful = false;
	task->must_reopen = false;
}

/* Have a consumer that knows the catalog; false when there is none for now. */
static bool
prepare(SxTask *task, int64 queue_bytes)
{
	ErrorData *error = NULL;

	if (task->consumer && task->is_stale && !task->must_reopen)
		error = sx_task_transaction(task, refresh_consumer, NULL);
	if (error == NULL && task->must_reopen)
		sx_task_close(task);
	if (error == NULL && task->consumer == NULL)
	{
		task->discover_at_us = 0;
		error = sx_task_transaction(task, open_consumer, &queue_bytes);
		if (error == NULL)
		{
			task->failures = 0;
			task->state = SX_WORKER_CATCHING_UP;
			sx_catch_up_begin(task);
		}
	}
	if (error == NULL)
	{
		task->is_stale = false;
		return task->consumer != NULL;
	}
	sx_task_give_way_or_fail(task, error);
	return false;
}

/* Get rid of a client that will never read all; false when there was none but such a one. */
static bool
has_whole_client(SxTask *task)
{
	ErrorData error = {.sqlerrcode = ERRCODE_INSUFFICIENT_RESOURCES};

	if (!sx_source_is_broken(task->consumer->source))
		return true;
	error.message = psprintf("could not start a thread to read Kafka topic \"%s\"",
							 task->consumer->reader->topic);
	error.hint = unconstify(char *, sx_source_hint(task->consumer->source));
	fail(task, &error);
	task->must_reopen = true;
	return false;
}

/* ---- partitions ---- */

static void
add_found(SxTask *task, void *argument)
{
	sx_lock_stream(task->consumer->stream->relid);
	PushActiveSnapshot(GetTransactionSnapshot());
	sx_consumer_add(task->consumer, argument);
	SX_DEBUG_POINT("in-discovery");
	PopActiveSnapshot();
}

/* The broker cannot be reached, or does not have the topic. */
static void
note_disconnected(SxTask *task, const char *reason)
{
	ErrorData error = {.sqlerrcode = ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION};
	const char *hint = sx_source_hint(task->consumer->source);

	error.message =
		psprintf("could not read Kafka topic \"%s\": %s", task->consumer->reader->topic, reason);
	if (task->state != SX_WORKER_DISCONNECTED)
		ereport(LOG, (errcode(error.sqlerrcode), errmsg_internal("%s", error.message),
					  hint ? errhint("%s", hint) : 0));
	/* who only sees the views is to know it, too */
	if (hint)
		error.message = psprintf("%s. %s", error.message, hint);
	task->state = SX_WORKER_DISCONNECTED;
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_activity_error_set(&sx_worker_slot->error, &error);
	LWLockRelease(sx_shared->lock);
}

/* Store what was found, and read it; false when the task must wait. */
static bool
take_found(SxTask *task, SxDiscovery *found)
{
	ErrorData *failure = sx_task_transaction(task, add_found, found);

	if (failure == NULL)
	{
		sx_consumer_read(task->consumer, found);
		sx_shared_wake_siblings(sx_worker_slot, true);
		return true;
	}
	sx_consumer_rollback(task->consumer);
	task->discover_at_us = 0;
	sx_task_give_way_or_fail(task, failure);
	return false;
}

/* Look at the topic's partitions when it is time to; false when the task must wait. */
static bool
discover(SxTask *task)
{
	SxConsumer *consumer = task->consumer;
	bool has_any = consumer->reader->npartitions > 0;
	SxDiscovery found;
	bool is_news;

	if (sx_now_us() < task->discover_at_us || consumer->nmessages > 0)
		return true;
	is_news = sx_consumer_discover(consumer, DISCOVER_TIMEOUT_MS, &found);
	task->discover_at_us = sx_now_us() + (int64) sx_discovery_interval_ms * 1000;
	if (found.error)
	{
		task->failures++;
		note_disconnected(task, found.error);
		if (!has_any)
		{
			task->retry_at_us = sx_now_us() + Min(backoff_us(task->failures), 5 * USECS_PER_SEC);
			task->discover_at_us = 0;
		}
		return has_any;
	}
	if (found.refusal)
	{
		fail_with(task, ERRCODE_DATA_EXCEPTION, found.refusal);
		task->discover_at_us = 0;
		return false;
	}
	if (task->state == SX_WORKER_DISCONNECTED && !sx_source_is_refused(consumer->source))
	{
		task->failures = 0;
		task->state = SX_WORKER_CATCHING_UP;
	}
	/* of several workers the first one adds partitions, and wakes the others */
	return !is_news || task->part.number > 0 || take_found(task, &found);
}

/* ---- gaps ---- */

static void
skip_gap(SxTask *task, void *argument)
{
	sx_lock_stream(task->consumer->stream->relid);
	sx_attach_lock_views(task->consumer->stream->relid);
	PushActiveSnapshot(GetTransactionSnapshot());
	sx_consumer_skip(task->consumer, argument);
	SX_DEBUG_POINT("in-gap");
	PopActiveSnapshot();
}

/* Move the reader over a gap by such a transaction; false when that failed. */
static bool
leap(SxTask *task, SxGap *gap)
{
	SxConsumer *consumer = task->consumer;
	ErrorData *error = sx_task_transaction(task, skip_gap, gap);

	if (error == NULL)
	{
		sx_consumer_leap(consumer, gap);
		return true;
	}
	sx_consumer_rollback(consumer);
	sx_task_give_way_or_fail(task, error);
	return false;
}

/* A record that cannot be read, whoever asks for it: false when the task must wait, and try again. */
static bool
pass_unreadable(SxTask *task)
{
	SxConsumer *consumer = task->consumer;
	ErrorData error = {.sqlerrcode = ERRCODE_DATA_CORRUPTED};
	int32 partition;
	int64 offset;
	char *reason;
	SxGap skip;

	/* what was taken before it goes first */
	if (consumer->nmessages > 0)
		return true;
	reason = sx_source_unreadable(consumer->source, &partition, &offset);
	if (reason == NULL)
		return true;
	if (sx_consumer_skips(consumer, partition, offset, &skip))
		return leap(task, &skip);
	error.message =
		psprintf("could not read partition %d of Kafka topic \"%s\" from offset"
				 " " INT64_FORMAT " on: %s (stream \"%s\")",
				 partition, consumer->reader->topic, offset, reason, consumer->stream->name);
	error.hint = "If it stays so, streamx.skip goes on behind it.";
	fail(task, &error);
	return false;
}

/* False when a gap keeps the task from going on. */
static bool
pass_gap(SxTask *task)
{
	SxConsumer *consumer = task->consumer;
	SxGap gap;

	if (!sx_consumer_gap(consumer, &gap))
		return true;
	/* what was taken before the gap goes first, also what waits for another reader */
	if (consumer->nmessages + consumer->nheld > 0)
		return true;
	if (consumer->stream->skips_gaps)
		return leap(task, &gap);
	fail_with(task, ERRCODE_DATA_EXCEPTION, sx_consumer_gap_message(consumer, &gap));
	return false;
}

/* ---- batches ---- */

typedef struct BatchRun
{
	SxApplyCounts counts;
	bool is_done;
} BatchRun;

static void
run_batch(SxTask *task, void *argument)
{
	BatchRun *run = argument;

	run->is_done =
		sx_worker_run_batch(task->consumer, care_of(task), sx_worker_is_stale, &run->counts);
	if (run->is_done)
		sx_activity_count(SX_ACTIVITY_READER, task->reader, sx_worker_slot->stream,
						  &run->counts.seen);
	SX_DEBUG_POINT("before-commit");
}

static void
prepare_batch(SxTask *task, void *argument)
{
	sx_worker_prepare_batch(task->consumer, &((BatchRun *) argument)->counts);
}

/* A number that moves when anything does that the monitoring views show of partitions. */
static uint32
digest_partitions(const SxTask *task, const SxSourcePartition *partitions, int count)
{
	uint32 digest = (uint32) (task->committed_us ^ (task->committed_us >> 32));

	for (int i = 0; i < count; i++)
	{
		digest = hash_combine(digest, (uint32) partitions[i].end_offset);
		digest = hash_combine(digest, (partitions[i].at_end ? 2 : 0) +
										  sx_silence_is_idle(task->consumer, &partitions[i]));
	}
	return digest;
}

/* Show what is known of the partitions, not too often; returns when to come back. */
static int64
report_partitions(SxTask *task, int64 now)
{
	const SxReader *reader = task->consumer->reader;
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(task->consumer->source, &count);
	uint32 digest = digest_partitions(task, partitions, count);

	if (digest == task->reported_digest)
		return NEVER;
	if (now < task->reported_us + REPORT_INTERVAL_US)
		return task->reported_us + REPORT_INTERVAL_US;
	for (int i = 0; i < count; i++)
		sx_activity_partition(reader->id, partitions[i].partition, reader->stream,
							  partitions[i].end_offset, partitions[i].at_end,
							  sx_silence_is_idle(task->consumer, &partitions[i]));
	task->reported_us = now;
	task->reported_digest = digest;
	return NEVER;
}

/* After an error nobody knows where: whoever waits for the batch waits no longer. */
static void
leave_batch(void)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_worker_slot->commit_lsn = Max(sx_worker_slot->commit_lsn, XactLastCommitEnd);
	sx_worker_slot->is_in_batch = false;
	LWLockRelease(sx_shared->lock);
}

/* Note what was committed, where others look for it. */
static void
publish(SxTask *task, const SxApplyCounts *counts)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	sx_worker_slot->rows += counts->seen.rows;
	sx_worker_slot->batches++;
	sx_worker_slot->last_batch_at = GetCurrentTimestamp();
	sx_worker_slot->commit_lsn = Max(sx_worker_slot->commit_lsn, XactLastCommitEnd);
	sx_worker_slot->failures = 0;
	sx_worker_slot->is_in_batch = false;
	LWLockRelease(sx_shared->lock);
	ConditionVariableBroadcast(&sx_shared->batch_done);
}

static void
commit_batch(SxTask *task)
{
	BatchRun run = {.is_done = false};
	int64 began_us = sx_now_us();
	ErrorData *error = NULL;

	pgstat_report_activity(STATE_RUNNING, task->consumer->stream->name);
	sx_worker_slot->batch_began_us = began_us;
	sx_worker_slot->is_in_batch = true;
	sx_time_limit_start();
	/* a message alone is taken whatever it says */
	sx_process_memory_limit_zones(task->consumer->nmessages > 1 ? SX_MOST_ZONES : 0);
	if (sx_worker_has_siblings() && care_of(task) == SX_CARE_NONE && task->consumer->nmessages > 0)
		error = sx_task_transaction(task, prepare_batch, &run);
	if (error == NULL)
		error = sx_task_transaction(task, run_batch, &run);
	sx_process_memory_limit_zones(0);
	sx_time_limit_stop();
	if (error != NULL || !run.is_done)
	{
		sx_worker_slot->is_in_batch = false;
		sx_consumer_rollback(task->consumer);
	}
	pgstat_report_activity(STATE_IDLE, NULL);
	if (error != NULL)
	{
		handle_batch_error(task, error, &run.counts);
		return;
	}
	if (!run.is_done)
		return;
	SX_DEBUG_POINT("after-commit");
	if (task->consumer->nmessages > 0)
		task->setbacks = 0;
	sx_consumer_commit(task->consumer);
	task->row_limit *= 2;
	if (task->row_limit > sx_batch_rows || sx_consumer_is_at_end(task->consumer))
		task->row_limit = 0;
	task->is_careful = false;
	task->was_stale = false;
	task->failures = 0;
	task->groups = run.counts.groups + run.counts.inputs;
	task->committed_us = sx_now_us();
	sx_catch_up_committed(task, run.counts.seen.rows, task->committed_us - began_us);
	if (task->has_retention)
		task->retention_at_us =
			Min(task->retention_at_us, task->committed_us + RETENTION_INTERVAL_US);
	task->state =
		sx_consumer_is_at_end(task->consumer) ? SX_WORKER_CAUGHT_UP : SX_WORKER_CATCHING_UP;
	publish(task, &run.counts);
}

/* When to let the watermark follow the clock: not too often. */
static int64
clock_due(const SxTask *task)
{
	return Max(sx_consumer_clock_due(task->consumer),
			   task->committed_us + (int64) sx_batch_interval_ms * 1000);
}

/*
 * Whether to commit what there is now; else *later says when it will be time.
 *
 * Behind, growing pays: but only as long as at least as much again is known to
 * wait in the log.
 */
static bool
is_ready(SxTask *task, int limit, size_t batch_bytes, int64 now, int64 *later)
{
	SxConsumer *consumer = task->consumer;
	int64 due = task->committed_us + (int64) sx_batch_linger_ms * 1000;

	*later = NEVER;
	if (task->is_careful)
		return true;
	if (task->part.count > 1 && now < sx_worker_slot->still_until_us)
	{
		*later = sx_worker_slot->still_until_us;
		return false;
	}
	if (consumer->nmessages == 0)
	{
		*later = sx_silence_next(consumer);
		due = sx_consumer_has_news(consumer) ? task->committed_us + NEWS_INTERVAL_US
											 : clock_due(task);
	}
	else
	{
		if (now >= task->throttled_until_us &&
			(consumer->nmessages >= limit || consumer->bytes >= batch_bytes))
			return true;
		if (now < task->throttled_until_us)
			due = task->throttled_until_us;
		else if (sx_consumer_lag(consumer) > consumer->nmessages)
			due = task->first_message_us + (int64) sx_batch_interval_ms * 1000;
	}
	if (now >= due)
		return true;
	*later = Min(*later, due);
	return false;
}

/* How the connection is. */
static void
watch_connection(SxTask *task)
{
	bool is_fatal = false;
	char *reason = sx_source_error(task->consumer->source, &is_fatal);
	bool is_connected = sx_source_is_connected(task->consumer->source);
	bool is_refused = sx_source_is_refused(task->consumer->source);
	int npartitions;

	(void) sx_source_partitions(task->consumer->source, &npartitions);
	if (npartitions == 0 && task->part.count > 1)
		is_connected = true; /* it asks for nothing, and hears nothing */
	if (!is_connected || !task->was_connected || is_refused)
		sx_silence_restart(task->consumer);
	if (is_connected && !task->was_connected)
		task->discover_at_us = 0; /* what has come back may be another cluster */
	task->was_connected = is_connected;
	if (reason != NULL && (is_fatal || !is_connected))
		note_disconnected(task, reason);
	else if (task->state == SX_WORKER_DISCONNECTED && is_connected && !is_refused)
	{
		task->failures = 0;
		task->state = SX_WORKER_CATCHING_UP;
	}
	if (task->state == SX_WORKER_CATCHING_UP && task->consumer->nmessages == 0 &&
		sx_consumer_is_at_end(task->consumer))
		task->state = SX_WORKER_CAUGHT_UP;
	if (task->consumer->nmessages == 0 && sx_part_is_at_end(task->consumer))
		sx_catch_up_end(task);
	/* as after a commit: a worker begun anew limits all its tasks, and some may never have a batch */
	if (task->consumer->nmessages == 0 && sx_consumer_is_at_end(task->consumer))
		task->row_limit = 0;
}

/*
 * How many rows are worth to be waited for.  A small batch stays in the CPU's
 * caches from decoding to aggregation; merging its groups wants many rows for each.
 */
static int
full_batch(const SxTask *task, bool gives_way)
{
	int64 wanted = Max(FULL_BATCH_ROWS, task->groups * FULL_BATCH_ROWS_PER_GROUP);
	int limit = (int) Min(wanted, sx_batch_rows);

	limit = sx_catch_up_limit(task, limit, gives_way);
	return task->row_limit > 0 ? Min(task->row_limit, limit) : limit;
}

/* ---- retention ---- */

static void
run_retention(SxTask *task, void *argument)
{
	*(int64 *) argument = sx_retention_work(task->reader);
}

/* A step of deleting what the views let go.  If it fails, the stream goes on all the same. */
static void
delete_some(SxTask *task)
{
	int64 wait_us = RETENTION_INTERVAL_US;
	ErrorData *error;

	sx_time_limit_start();
	error = sx_task_transaction(task, run_retention, &wait_us);
	sx_time_limit_stop();
	if (error != NULL && !may_pass(task, error))
	{
		wait_us = RETENTION_RETRY_US;
		ereport(WARNING, (errcode(error->sqlerrcode),
						  errmsg("could not delete what views of stream \"%s\" do not retain: %s",
								 task->consumer->stream->name, error->message)));
	}
	task->has_retention = wait_us != SX_RETENTION_NONE;
	task->retention_at_us = wait_us < SX_RETENTION_NONE ? sx_now_us() + wait_us : NEVER;
}

/* What the stream's other workers have done meanwhile. */
static void
follow_others(SxTask *task)
{
	int64 look_at_us = sx_now_us() + RETENTION_INTERVAL_US;

	if (sx_part_follow(task->consumer) && task->has_retention)
		task->retention_at_us = Min(task->retention_at_us, look_at_us);
	/* one of them deletes what the batches of all let go */
	if (task->part.number > 0)
		task->retention_at_us = NEVER;
}

static int64
take_turn(SxTask *task, int64 queue_bytes, size_t batch_bytes, bool gives_way)
{
	int64 later;
	int limit;
	int64 report_at;
	int64 now;
	SxGap gap;

	if (sx_now_us() < task->retry_at_us)
		return task->retry_at_us;
	/* a record that cannot be read is told here, too: other partitions may always have something */
	if (!prepare(task, queue_bytes) || !has_whole_client(task) || !discover(task) ||
		!pass_gap(task) || !pass_unreadable(task))
		return task->consumer ? task->retry_at_us : Max(task->retry_at_us, sx_now_us() + 1000);
	follow_others(task);
	sx_catch_up_show(task);
	limit = full_batch(task, gives_way);
	if (!task->is_careful)
	{
		bool was_empty = task->consumer->nmessages == 0;

		if (sx_consumer_collect(task->consumer, limit, batch_bytes, 0) > 0 && was_empty)
			task->first_message_us = sx_now_us();
		if (task->consumer->nmessages > 0)
			SX_DEBUG_POINT("after-poll");
	}
	watch_connection(task);
	sx_part_post(task->consumer);
	now = sx_now_us();
	if (task->consumer->nmessages + task->consumer->nheld == 0 &&
		sx_consumer_gap(task->consumer, &gap))
		return now; /* found just now: pass_gap is next */
	if (!pass_unreadable(task))
		return task->retry_at_us;
	if (is_ready(task, limit, batch_bytes, now, &later))
	{
		commit_batch(task);
		if (task->failures == 0) /* else it will not listen for a while */
			sx_part_post(task->consumer);
		now = sx_now_us();
		later = task->retry_at_us > now ? task->retry_at_us : now;
	}
	else if (now >= task->retention_at_us)
	{
		delete_some(task);
		now = sx_now_us();
	}
	later = Min(later, task->retention_at_us);
	if (task->has_retention && task->part.count > 1 && task->part.number == 0)
		later = Min(later, now + RETENTION_INTERVAL_US);
	report_at = report_partitions(task, now);
	later = Min(later, report_at);
	return Min(later, task->discover_at_us);
}

int64
sx_task_turn(SxTask *task, int64 queue_bytes, size_t batch_bytes, bool gives_way)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int64 until = 0;

	PG_TRY();
	{
		until = take_turn(task, queue_bytes, batch_bytes, gives_way);
	}
	PG_CATCH();
	{
		/* outside of its transactions: a cancel while it asked the broker, or no memory */
		ErrorData *error = recover(context);

		leave_batch();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			give_way(task, error);
		else
		{
			fail(task, error);
			task->must_reopen = true; /* whether the batch was committed, the catalog knows */
		}
		until = task->retry_at_us;
	}
	PG_END_TRY();
	return until;
}
