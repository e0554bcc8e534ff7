/*
 * catch_up.c
 *	  Readers that catch up, beside those that have.
 *
 *		live       |-|      |-|      |-|           every message is waited for
 *		behind       |-----|  |-----|  |-----|     one batch at a time, by turns, no longer than this
 *
 * So a message waits for no more than one such batch, however many readers
 * catch up; and with streamx.catch_up_rate these leave the machine to others.
 */
#include "compat.h"

#include "utils/timestamp.h"

#include "catalog/activity.h"
#include "catalog/setting.h"
#include "worker/catch_up.h"
#include "worker/part.h"

#define LONGEST_BATCH_US 50000
#define FIRST_BATCH_ROWS 500 /* it is not known how long a row takes */
#define FEWEST_ROWS 100

void
sx_catch_up_begin(SxTask *task)
{
	task->is_behind = true;
	task->is_shown = false;
}

void
sx_catch_up_show(SxTask *task)
{
	const SxReader *reader = task->consumer->reader;
	int64 offsets = 0;

	if (!task->is_behind || task->is_shown || reader->npartitions == 0 || task->part.number > 0)
		return;
	for (int i = 0; i < reader->npartitions; i++)
		offsets += reader->partitions[i].next_offset;
	sx_activity_catching_up(reader->id, reader->stream, GetCurrentTimestamp(), offsets);
	task->is_shown = true;
}

void
sx_catch_up_end(SxTask *task)
{
	if (!task->is_behind)
		return;
	task->is_behind = false;
	task->throttled_until_us = 0;
	if (task->is_shown)
		sx_activity_catching_up(task->reader, task->consumer->reader->stream, 0, 0);
}

int
sx_catch_up_limit(const SxTask *task, int limit, bool gives_way)
{
	int64 rows = limit;

	if (!task->is_behind)
		return limit;
	if (gives_way)
		rows = task->row_ns > 0
				   ? Max(LONGEST_BATCH_US * INT64CONST(1000) / task->row_ns, FEWEST_ROWS)
				   : FIRST_BATCH_ROWS;
	if (sx_catch_up_rate > 0)
		rows = Min(rows, sx_catch_up_rate);
	return (int) Min(rows, limit);
}

void
sx_catch_up_committed(SxTask *task, int64 rows, int64 took_us)
{
	int64 lag = sx_part_lag(task->consumer);

	if (!task->is_behind || rows == 0)
		return;
	task->row_ns = Max(took_us * 1000 / rows, 1);
	if (sx_part_is_at_end(task->consumer) || (lag > 0 && lag <= rows))
		sx_catch_up_end(task);
	else if (sx_catch_up_rate > 0)
		task->throttled_until_us = sx_now_us() + rows * USECS_PER_SEC / sx_catch_up_rate;
}
