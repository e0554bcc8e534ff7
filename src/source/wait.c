/*
 * wait.c
 *	  Sleep until one of several sources has something, or the process has.
 */
#include "compat.h"

#include <unistd.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/wait_event.h"

#include "source/kafka.h"

/* How long a source can be left alone: it may have a lost position to come back to. */
static int
patience_ms(const SxSource *source, int timeout_ms)
{
	int64 left;

	if (source->repair_ms == 0)
		return timeout_ms;
	left = Max(source->repair_ms - sx_kafka_now_ms(), 1);
	return (int) Min(left, timeout_ms);
}

void
sx_source_wait(SxSource *const *sources, int count, int timeout_ms)
{
	WaitEventSet *set;
	WaitEvent *events;
	uint64 ignored;
	int nevents;

	if (InterruptPending)
		return;
	set = sx_create_wait_event_set(count + 2);
	events = palloc(sizeof(WaitEvent) * (count + 2));
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
	{
		timeout_ms = patience_ms(sources[i], timeout_ms);
		AddWaitEventToSet(set, WL_SOCKET_READABLE, sources[i]->handle.wake_fd, NULL, NULL);
	}
	nevents = WaitEventSetWait(set, timeout_ms, events, count + 2, PG_WAIT_EXTENSION);
	for (int i = 0; i < nevents; i++)
	{
		if (events[i].events & WL_LATCH_SET)
			ResetLatch(MyLatch);
		/* reset before the caller drains: what comes later wakes again */
		if (events[i].events & WL_SOCKET_READABLE)
			(void) !read(events[i].fd, &ignored, sizeof(ignored));
	}
	FreeWaitEventSet(set);
	pfree(events);
}
