/*
 * meeting.c
 *	  Readers of a stream that meet become one.
 *
 *		older     o---------------------->|
 *		younger       o---------->  ...   |   reads no further than the older one stands,
 *		                                  |   then both are at the same offsets
 *
 * Where several workers serve the older one, those that do not serve the younger one
 * are asked to stand still for a moment when it is near.
 *
 * They are one if they stand at the same positions, refused the same messages, and have to
 * skip the same from there.  What each view skipped before is the view's own.
 * Of both, the greater event time of each partition counts.  A watermark never moves back, and the
 * views of the older one are not to lose rows to a younger one that is ahead, so that
 * waits until it is not.  Where the younger one began is kept with its views, for verify.
 */
#include "compat.h"

#include "common/int.h"
#include "storage/lmgr.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/debug_point.h"
#include "catalog/spi.h"
#include "query/attach.h"
#include "query/shadow.h"
#include "worker/meeting.h"
#include "worker/part.h"
#include "worker/worker.h"

#define RETRY_US USECS_PER_SEC
#define SWAP_RETRY_US 20000 /* while somebody reads the view */
#define SWAP_PATIENCE 100	/* so often */
#define NEAR_ROWS 20000
#define STILL_US 300000
#define MOST_STILL_TRIES 6 /* after which the pauses between two do not get longer */

/* Of a join: the reader that goes, and the one that stays. */
typedef struct Pair
{
	const SxConsumer *younger;
	const SxConsumer *older;
	bool are_joined;
} Pair;

static bool
is_well(const SxTask *task)
{
	return task->consumer && !task->is_careful && !task->must_reopen && task->failures == 0 &&
		   task->row_limit == 0;
}

/*
 * Whether a reader has little left to read.  One that still catches up is not waited
 * for: a view that starts with the latest messages is not to stand still meanwhile.
 */
static bool
is_near_end(const SxTask *task)
{
	int64 lag = sx_part_lag(task->consumer);

	/* 0 may mean that it is not known */
	return lag > 0 ? lag <= NEAR_ROWS : sx_part_is_at_end(task->consumer);
}

/* The oldest reader of the same topic that is at work, near the end; NULL: there is none. */
static SxTask *
find_older(List *tasks, const SxTask *task)
{
	SxTask *oldest = NULL;
	ListCell *lc;

	if (!is_well(task) || task->consumer->reader->npartitions == 0 ||
		OidIsValid(task->consumer->shadow))
		return NULL;
	foreach (lc, tasks)
	{
		SxTask *other = lfirst(lc);

		if (other->reader < task->reader && is_well(other) && is_near_end(other) &&
			!OidIsValid(other->consumer->shadow) &&
			(oldest == NULL || other->reader < oldest->reader) &&
			strcmp(other->consumer->reader->topic, task->consumer->reader->topic) == 0)
			oldest = other;
	}
	return oldest;
}

/* Whether the younger reader can stand where the older one does in a moment. */
static bool
is_near(const SxReader *younger, SxReader *older)
{
	int64 distance = 0;

	for (int i = 0; i < younger->npartitions; i++)
	{
		const SxPartition *theirs = sx_reader_partition(older, younger->partitions[i].partition);

		if (theirs)
			distance += theirs->next_offset - younger->partitions[i].next_offset;
	}
	return distance <= NEAR_ROWS;
}

/* Ask the workers that serve the older reader, too, not to move it until the younger one is there. */
static void
stand_still(SxTask *task, const SxTask *older)
{
	int64 now = sx_now_us();

	if (older->part.count == 1 || now < task->still_at_us ||
		!is_near(task->consumer->reader, older->consumer->reader))
		return;
	sx_shared_still_siblings(sx_worker_slot, now + STILL_US);
	task->still_at_us = now + (RETRY_US << task->still_tries);
	task->still_tries = Min(task->still_tries + 1, MOST_STILL_TRIES);
}

/* The task that serves the reader of a shadow's view; NULL: it is paused. */
static SxTask *
find_followed_task(List *tasks, const SxConsumer *shadow)
{
	ListCell *lc;

	foreach (lc, tasks)
	{
		SxTask *other = lfirst(lc);

		if (shadow->followed && other->reader == shadow->followed->id && other->consumer)
			return other;
	}
	return NULL;
}

/* Where its view stands: what the task has is newer than what the catalog had.  NULL: there is news, not read yet. */
static const SxReader *
find_followed(List *tasks, const SxConsumer *shadow)
{
	SxTask *task = find_followed_task(tasks, shadow);

	return task ? task->consumer->reader : shadow->followed;
}

void
sx_meeting_aim(List *tasks, SxTask *task)
{
	SxConsumer *consumer = task->consumer;
	SxTask *older = find_older(tasks, task);

	if (consumer && OidIsValid(consumer->shadow))
	{
		older = find_followed_task(tasks, consumer);
		if (older)
			stand_still(task, older);
		sx_consumer_limit(consumer, find_followed(tasks, consumer));
		return;
	}
	if (task->join_at_us == PG_INT64_MAX)
		older = NULL;
	if (older)
		stand_still(task, older);
	if (consumer)
		sx_consumer_limit(consumer, older ? older->consumer->reader : NULL);
}

/*
 * Whether the younger one's views can go on where the older one stands, and what it knows of a partition
 * does not move the older one's watermark: of two partitions each may be ahead in one.
 */
static bool
have_met(const SxReader *younger, const SxReader *older, int64 watermark_delay_us)
{
	if (!sx_reader_is_beside(younger, older) || younger->watermark > older->watermark)
		return false;
	for (int i = 0; i < younger->npartitions; i++)
	{
		int64 time = younger->partitions[i].event_time;
		int64 behind;

		if (time > older->partitions[i].event_time &&
			!pg_sub_s64_overflow(time, watermark_delay_us, &behind) && behind > older->watermark)
			return false;
	}
	return true;
}

/* ---- the transaction ---- */

static uint64
execute(const Pair *pair, const char *statement)
{
	static const Oid types[] = {INT4OID, INT4OID};
	Datum values[] = {Int32GetDatum(pair->younger->reader->id),
					  Int32GetDatum(pair->older->reader->id)};

	return sx_spi_execute(statement, lengthof(types), types, values, NULL, false);
}

/*
 * Whether the two refused the same messages, as far as both have read them: max_future,
 * for one, goes by the clock.
 */
static bool
have_refused_alike(const Pair *pair)
{
	return execute(
			   pair,
			   "SELECT FROM streamx_internal.dead_letter d"
			   " JOIN streamx.progress p ON p.\"partition\" = d.\"partition\""
			   "  AND p.reader = CASE WHEN d.reader = $1 THEN $2 ELSE $1 END"
			   " WHERE d.reader IN ($1, $2) AND d.view IS NULL AND d.\"offset\" >= p.start_offset"
			   " AND NOT EXISTS (SELECT FROM streamx_internal.dead_letter e"
			   "  WHERE e.reader = p.reader AND e.view IS NULL"
			   "  AND e.\"partition\" = d.\"partition\" AND e.\"offset\" = d.\"offset\")"
			   " LIMIT 1") == 0;
}

/* Whether what is to be skipped of what both have yet to read is the same. */
static bool
are_to_skip_alike(const Pair *pair)
{
	return execute(pair,
				   "SELECT FROM (SELECT l.reader, k.\"partition\", range_agg(int8range("
				   "   GREATEST(k.from_offset, p.next_offset), k.to_offset)) AS skipped"
				   "  FROM streamx.view_streams l JOIN streamx_internal.skip k USING (view)"
				   "  JOIN streamx.progress p USING (reader, topic, \"partition\")"
				   "  WHERE l.reader IN ($1, $2) AND k.is_asked AND k.to_offset > p.next_offset"
				   "  GROUP BY 1, 2) s"
				   " GROUP BY s.\"partition\", s.skipped HAVING count(*) = 1"
				   " LIMIT 1") == 0;
}

static void
move_views(const Pair *pair)
{
	execute(pair, "INSERT INTO streamx_internal.view_start (view, \"partition\", start_offset)"
				  " SELECT s.view, p.\"partition\", p.start_offset FROM streamx.view_streams s"
				  " JOIN streamx.progress p ON p.reader = s.reader"
				  " JOIN streamx.progress o ON o.reader = $2 AND o.\"partition\" = p.\"partition\""
				  " WHERE s.reader = $1 AND o.start_offset <> p.start_offset"
				  " ON CONFLICT DO NOTHING");
	execute(pair, "UPDATE streamx.progress o SET event_time = p.event_time FROM streamx.progress p"
				  " WHERE o.reader = $2 AND p.reader = $1 AND p.topic = o.topic"
				  " AND p.\"partition\" = o.\"partition\""
				  " AND (o.event_time IS NULL OR p.event_time > o.event_time)");
	execute(pair, "DELETE FROM streamx_internal.dead_letter d USING streamx_internal.dead_letter e"
				  " WHERE d.reader = $1 AND d.view IS NULL AND e.reader = $2 AND e.view IS NULL"
				  " AND e.\"partition\" = d.\"partition\" AND e.\"offset\" = d.\"offset\"");
	execute(pair, "UPDATE streamx_internal.dead_letter SET reader = $2 WHERE reader = $1");
	execute(pair, "UPDATE streamx.view_streams SET reader = $2 WHERE reader = $1");
	/* whoever has an older snapshot of the reader does not know all of its views */
	execute(pair, "UPDATE streamx.readers SET paused = paused WHERE reader = $2 AND $1 > 0");
	/* of two readers that joined each other before */
	execute(pair, "DELETE FROM streamx_internal.view_start b USING streamx.view_streams s,"
				  " streamx.progress o WHERE b.view = s.view AND s.reader = $2 AND o.reader = $2"
				  " AND o.\"partition\" = b.\"partition\" AND o.start_offset = b.start_offset"
				  " AND $1 > 0");
	execute(pair, "DELETE FROM streamx.readers WHERE reader = $1 AND $2 > 0");
}

static void
join_readers(SxTask *task, void *argument)
{
	Pair *pair = argument;
	Oid stream = pair->younger->stream->relid;
	SxReader *younger;
	SxReader *older;
	SxSpi spi;

	sx_lock_stream(stream); /* lock first, then snapshot */
	sx_attach_lock_views(stream);
	PushActiveSnapshot(GetTransactionSnapshot());
	younger = sx_reader_load(pair->younger->reader->id);
	older = sx_reader_load(pair->older->reader->id);
	if (younger && older && !younger->paused && !older->paused &&
		have_met(younger, older, pair->younger->stream->watermark_delay_us))
	{
		sx_spi_begin(&spi);
		if (!have_refused_alike(pair))
			task->join_at_us = PG_INT64_MAX; /* what they refused will not change */
		else if (!are_to_skip_alike(pair))
			task->join_at_us = sx_now_us() + RETRY_US;
		else
		{
			move_views(pair);
			pair->are_joined = true;
		}
		SX_DEBUG_POINT("in-meeting");
		sx_spi_end(&spi);
	}
	if (pair->are_joined)
		CacheInvalidateRelcacheByRelid(stream);
	PopActiveSnapshot();
}

/* ---- shadows ---- */

/* Of a swap. */
typedef struct Swap
{
	char name[NAMEDATALEN]; /* of the view */
	bool is_done;
} Swap;

/*
 * Whoever reads the view has it locked, perhaps for long, and who waits for the lock keeps
 * others from reading: so mostly it is not waited for.
 */
static bool
lock_view(SxTask *task, Oid view)
{
	if (ConditionalLockRelationOid(view, AccessExclusiveLock))
		return true;
	if (++task->swap_failures < SWAP_PATIENCE)
		return false;
	task->swap_failures = 0;
	LockRelationOid(view, AccessExclusiveLock);
	return true;
}

static void
swap_shadow(SxTask *task, void *argument)
{
	const SxConsumer *consumer = task->consumer;
	Swap *swap = argument;

	sx_lock_stream(consumer->stream->relid); /* lock first, then snapshot */
	if (sx_worker_is_stale() || !lock_view(task, consumer->shadow_of) ||
		!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(consumer->shadow)))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	strlcpy(swap->name, get_rel_name(consumer->shadow_of), NAMEDATALEN);
	swap->is_done = sx_shadow_swap(consumer->shadow);
	PopActiveSnapshot();
}

/* Let a shadow take the place of its view when both stand at the same offsets. */
static bool
swap_if_there(List *tasks, SxTask *task)
{
	const SxConsumer *consumer = task->consumer;
	const SxReader *followed = find_followed(tasks, consumer);
	Swap swap = {.is_done = false};
	ErrorData *error;

	if (sx_now_us() < task->join_at_us || task->failures > 0 || consumer->nmessages > 0 ||
		sx_worker_is_stale() || !followed || !sx_reader_is_beside(consumer->reader, followed))
		return false;
	error = sx_task_transaction(task, swap_shadow, &swap);
	if (error == NULL && swap.is_done)
	{
		ereport(LOG, (errmsg("continuous view \"%s\" has been rebuilt", swap.name)));
		return true;
	}
	task->join_at_us = sx_now_us() + (error ? RETRY_US : SWAP_RETRY_US);
	if (error)
		sx_task_give_way_or_fail(task, error);
	return false;
}

bool
sx_meeting_join(List *tasks, SxTask *task)
{
	SxTask *older = find_older(tasks, task);
	Pair pair = {0};
	ErrorData *error;

	if (task->consumer && OidIsValid(task->consumer->shadow))
		return swap_if_there(tasks, task);
	if (older == NULL || sx_now_us() < task->join_at_us || task->consumer->nmessages > 0 ||
		sx_worker_is_stale() ||
		!have_met(task->consumer->reader, older->consumer->reader,
				  task->consumer->stream->watermark_delay_us))
		return false;
	pair.younger = task->consumer;
	pair.older = older->consumer;
	error = sx_task_transaction(task, join_readers, &pair);
	if (error)
	{
		/* both go on by themselves, and try again later */
		ereport(DEBUG1, (errmsg_internal("readers %d and %d did not join: %s", task->reader,
										 older->reader, error->message)));
		pair.are_joined = false;
		task->join_at_us = sx_now_us() + RETRY_US;
	}
	SX_DEBUG_POINT("after-meeting");
	if (pair.are_joined && older->part.count > 1)
	{
		sx_shared_still_siblings(sx_worker_slot, 0);
		sx_shared_wake_siblings(sx_worker_slot, true);
	}
	if (pair.are_joined)
		ereport(LOG, (errmsg("views of stream \"%s\" that were catching up have joined the others",
							 older->consumer->stream->name)));
	return pair.are_joined;
}
