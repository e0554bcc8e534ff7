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

#define OVERDUE_MS 20

void
sx_source_wait(SxSource *const *sources, int count, int timeout_ms)
{
	WaitEventSet *set;
	WaitEvent *events;
	uint64 ignored;
	int nevents;
	int64 now = sx_kafka_now_ms();

	if (InterruptPending)
		return;
	set = sx_create_wait_event_set(count + 2);
	events = palloc(sizeof(WaitEvent) * (count + 2));
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	for (int i = 0; i < count; i++)
	{
		int64 duty = sx_kafka_next_duty_ms(sources[i], now + timeout_ms);

		/* the next poll's business, unless the caller has not polled since it was due */
		timeout_ms = (int) Min(timeout_ms, duty > now ? duty - now : OVERDUE_MS);
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
