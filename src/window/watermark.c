/*
 * watermark.c
 *	  How far event time is complete: the slowest partition that is not idle.
 *
 *		partition 0   ----x--x---x-----x            active: counts
 *		partition 1   --x--x                        active: counts, is slowest
 *		partition 2   -x|                           at its end and silent: idle
 *		partition 3   |                             at its end, never a row: idle
 *		partition 4   ???                           unread messages, no row yet: holds
 *
 * A partition is idle only at its end: one that has messages to be read may
 * bring rows of any age, however long it has been silent.
 *
 * With idle_advance the clock goes on where the rows end, but only when all
 * partitions are silent: a topic just found to be empty may be about to be
 * filled.
 */
#include "compat.h"

#include "common/int.h"

#include "window/watermark.h"

static bool
is_idle(const SxPartitionTime *partition)
{
	return partition->at_end && (partition->is_silent || partition->max_event_time == DT_NOBEGIN);
}

/* The delay before a time, but never less than current. */
static int64
behind(int64 time, int64 delay_us, int64 current)
{
	int64 watermark;

	if (pg_sub_s64_overflow(time, delay_us, &watermark) || watermark < MIN_TIMESTAMP)
		return current;
	return Max(current, watermark);
}

int64
sx_watermark_advance(int64 current, const SxPartitionTime *partitions, int count, int64 delay_us)
{
	int64 slowest_active = DT_NOEND;
	int64 latest = DT_NOBEGIN;
	int64 watermark;
	int i;

	for (i = 0; i < count; i++)
	{
		latest = Max(latest, partitions[i].max_event_time);
		if (!is_idle(&partitions[i]))
			slowest_active = Min(slowest_active, partitions[i].max_event_time);
	}

	watermark = slowest_active == DT_NOEND ? latest : slowest_active;
	return watermark == DT_NOBEGIN ? current : behind(watermark, delay_us, current);
}

int64
sx_watermark_follow_clock(int64 current, const SxPartitionTime *partitions, int count,
						  int64 delay_us, int64 clock)
{
	for (int i = 0; i < count; i++)
		if (!partitions[i].at_end || !partitions[i].is_silent)
			return current;
	return count == 0 ? current : behind(clock, delay_us, current);
}
