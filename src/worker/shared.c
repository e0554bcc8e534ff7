/*
 * shared.c
 *	  The table of workers in shared memory.
 */
#include "compat.h"

#include "worker/shared.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "catalog/setting.h"

#define TRANCHE "streamx"

SxShared *sx_shared = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(SxShared)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
start_memory(void)
{
	bool found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	sx_shared = ShmemInitStruct("streamx workers", sizeof(SxShared), &found);
	if (!found)
	{
		memset(sx_shared, 0, sizeof(SxShared));
		sx_shared->lock = &GetNamedLWLockTranche(TRANCHE)->lock;
		ConditionVariableInit(&sx_shared->batch_done);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
sx_shared_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

void
sx_shared_wake_launcher(void)
{
	Latch *latch;

	LWLockAcquire(sx_shared->lock, LW_SHARED);
	latch = sx_shared->launcher_latch;
	/* under the lock: the launcher takes its latch away before it ends */
	if (latch != NULL)
		SetLatch(latch);
	LWLockRelease(sx_shared->lock);
}

SxWorkerSlot *
sx_shared_slot(Oid stream, int number)
{
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *slot = &sx_shared->slots[i];

		if (slot->in_use && slot->database == MyDatabaseId && slot->stream == stream &&
			slot->number == number)
			return slot;
	}
	return NULL;
}

bool
sx_shared_are_siblings(const SxWorkerSlot *left, const SxWorkerSlot *right)
{
	return left->in_use && right->in_use && left->database == right->database &&
		   left->stream == right->stream;
}

int
sx_shared_rank(const SxWorkerSlot *slot, int *count)
{
	int rank = 0;

	*count = 0;
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		const SxWorkerSlot *other = &sx_shared->slots[i];

		if (other->pid == 0 || !sx_shared_are_siblings(slot, other))
			continue;
		(*count)++;
		if (other->number < slot->number)
			rank++;
	}
	return rank;
}

void
sx_shared_wake_siblings(SxWorkerSlot *slot, bool has_news)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *other = &sx_shared->slots[i];

		if (other == slot || !sx_shared_are_siblings(slot, other))
			continue;
		other->generation += has_news;
		if (other->latch != NULL)
			SetLatch(other->latch);
	}
	LWLockRelease(sx_shared->lock);
}

void
sx_shared_wake_first(const SxWorkerSlot *slot)
{
	const SxWorkerSlot *first = NULL;

	LWLockAcquire(sx_shared->lock, LW_SHARED);
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		const SxWorkerSlot *other = &sx_shared->slots[i];

		if (other->latch != NULL && sx_shared_are_siblings(slot, other) &&
			(first == NULL || other->number < first->number))
			first = other;
	}
	if (first != NULL)
		SetLatch(first->latch);
	LWLockRelease(sx_shared->lock);
}

void
sx_shared_still_siblings(SxWorkerSlot *slot, int64 until_us)
{
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *other = &sx_shared->slots[i];

		if (other != slot && sx_shared_are_siblings(slot, other))
			other->still_until_us = until_us;
	}
	LWLockRelease(sx_shared->lock);
}

bool
sx_shared_is_held(Oid database)
{
	for (int i = 0; i < SX_MAX_HOLDS; i++)
		if (sx_shared->holds[i].holder != 0 && sx_shared->holds[i].database == database)
			return true;
	return false;
}

bool
sx_shared_may_run(const SxWorkerSlot *slot)
{
	return slot->is_wanted && !slot->must_yield && sx_enabled && !sx_shared_is_held(slot->database);
}

void
sx_shared_end_worker(SxWorkerSlot *slot)
{
	int64 now = sx_now_us();

	if (slot->pid == 0)
		return;
	if (slot->asked_us == 0)
		slot->asked_us = now;
	if (now - slot->asked_us >= SX_END_TIMEOUT_US)
		kill(slot->pid, SIGTERM);
	else if (slot->latch != NULL)
		SetLatch(slot->latch);
}

void
sx_shared_set_state(SxWorkerSlot *slot, SxWorkerState state)
{
	if (slot->state == state)
		return;
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	slot->state = state;
	LWLockRelease(sx_shared->lock);
}

const char *
sx_worker_state_name(SxWorkerState state)
{
	static const char *const names[] = {
		[SX_WORKER_WAITING] = "waiting for a worker slot",
		[SX_WORKER_STARTING] = "starting",
		[SX_WORKER_CATCHING_UP] = "catching up",
		[SX_WORKER_CAUGHT_UP] = "caught up",
		[SX_WORKER_PAUSED] = "paused",
		[SX_WORKER_DISCONNECTED] = "disconnected",
		[SX_WORKER_FAILING] = "failing",
		[SX_WORKER_BACKING_OFF] = "backing off",
		[SX_WORKER_OUTDATED] = "extension has another version",
	};

	return names[state];
}
