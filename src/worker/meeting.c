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
 * They are one if nothing tells them apart any more: positions, greatest event
 * times, watermark, and the messages that they refused.  Where the younger one
 * began is kept with its views, for verify.
 */
#include "compat.h"

#include "utils/inval.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/spi.h"
#include "worker/meeting.h"
#include "worker/part.h"
#include "worker/worker.h"

#define RETRY_US USECS_PER_SEC
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

	if (!is_well(task) || task->consumer->reader->npartitions == 0)
		return NULL;
	foreach (lc, tasks)
	{
		SxTask *other = lfirst(lc);

		if (other->reader < task->reader && is_well(other) && is_near_end(other) &&
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

void
sx_meeting_aim(List *tasks, SxTask *task)
{
	SxTask *older = find_older(tasks, task);

	if (older && task->join_at_us != PG_INT64_MAX)
		stand_still(task, older);
	if (task->consumer)
		sx_consumer_limit(task->consumer,
						  older && task->join_at_us != PG_INT64_MAX ? older->consumer : NULL);
}

/* Whether nothing of what the two will do next can differ. */
static bool
have_met(const SxReader *left, const SxReader *right)
{
	if (left->npartitions != right->npartitions || left->watermark != right->watermark)
		return false;
	for (int i = 0; i < left->npartitions; i++)
	{
		const SxPartition *mine = &left->partitions[i];
		const SxPartition *theirs = &right->partitions[i];

		if (mine->partition != theirs->partition || mine->next_offset != theirs->next_offset ||
			mine->event_time != theirs->event_time)
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

static void
move_views(const Pair *pair)
{
	execute(pair, "INSERT INTO streamx_internal.view_start (view, \"partition\", start_offset)"
				  " SELECT s.view, p.\"partition\", p.start_offset FROM streamx.view_streams s"
				  " JOIN streamx.progress p ON p.reader = s.reader"
				  " JOIN streamx.progress o ON o.reader = $2 AND o.\"partition\" = p.\"partition\""
				  " WHERE s.reader = $1 AND o.start_offset <> p.start_offset"
				  " ON CONFLICT DO NOTHING");
	execute(pair, "DELETE FROM streamx_internal.dead_letter d USING streamx_internal.dead_letter e"
				  " WHERE d.reader = $1 AND d.view IS NULL AND e.reader = $2 AND e.view IS NULL"
				  " AND e.\"partition\" = d.\"partition\" AND e.\"offset\" = d.\"offset\"");
	execute(pair, "UPDATE streamx_internal.dead_letter SET reader = $2 WHERE reader = $1");
	execute(pair, "UPDATE streamx_internal.skip SET reader = $2 WHERE reader = $1");
	execute(pair, "UPDATE streamx.view_streams SET reader = $2 WHERE reader = $1");
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
	PushActiveSnapshot(GetTransactionSnapshot());
	younger = sx_reader_load(pair->younger->reader->id);
	older = sx_reader_load(pair->older->reader->id);
	if (younger && older && !younger->paused && !older->paused && have_met(younger, older))
	{
		sx_spi_begin(&spi);
		pair->are_joined = have_refused_alike(pair);
		if (!pair->are_joined)
			task->join_at_us = PG_INT64_MAX; /* what they refused will not change */
		if (pair->are_joined)
			move_views(pair);
		sx_spi_end(&spi);
	}
	if (pair->are_joined)
		CacheInvalidateRelcacheByRelid(stream);
	PopActiveSnapshot();
}

bool
sx_meeting_join(List *tasks, SxTask *task)
{
	SxTask *older = find_older(tasks, task);
	Pair pair = {0};
	ErrorData *error;

	if (older == NULL || sx_now_us() < task->join_at_us || task->consumer->nmessages > 0 ||
		sx_worker_is_stale() || !have_met(task->consumer->reader, older->consumer->reader))
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
