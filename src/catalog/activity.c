/*
 * activity.c
 *	  What readers, partitions and views are doing right now.
 *
 * One hash table of fixed size in shared memory, under one lock.  Counts are
 * gathered in the transaction and added at its commit, so that an aborted
 * batch counts nothing; errors are written at once, because they come with an
 * abort.
 */
#include "compat.h"

#include "catalog/activity.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define TRANCHE "streamx activity"
#define MAX_ENTRIES 4096

typedef struct PendingCount
{
	SxActivityKind kind;
	uint32 id;
	Oid relation;
	SxActivityCounts counts;
} PendingCount;

static HTAB *entries = NULL;
static LWLock *lock = NULL;
static List *pending = NIL; /* of PendingCount, in TopTransactionContext */

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(hash_estimate_size(MAX_ENTRIES, sizeof(SxActivity)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
start_memory(void)
{
	HASHCTL info = {0};

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	info.keysize = sizeof(SxActivityKey);
	info.entrysize = sizeof(SxActivity);
	entries =
		ShmemInitHash("streamx activity", MAX_ENTRIES, MAX_ENTRIES, &info, HASH_ELEM | HASH_BLOBS);
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

/* The entry, made if it is not there; NULL when the table is full.  Under the exclusive lock. */
static SxActivity *
entry_of(SxActivityKind kind, uint32 id, int32 partition, Oid relation)
{
	SxActivityKey key = {MyDatabaseId, kind, id, partition};
	SxActivity *entry;
	bool found;

	entry = hash_search(entries, &key, HASH_FIND, NULL);
	if (entry != NULL || hash_get_num_entries(entries) >= MAX_ENTRIES)
		return entry;
	entry = hash_search(entries, &key, HASH_ENTER_NULL, &found);
	if (entry != NULL && !found)
	{
		memset((char *) entry + sizeof(SxActivityKey), 0,
			   sizeof(SxActivity) - sizeof(SxActivityKey));
		entry->relation = relation;
		entry->end_offset = -1;
	}
	return entry;
}

void
sx_activity_add(SxActivityCounts *sum, const SxActivityCounts *counts)
{
	sum->rows += counts->rows;
	sum->late_rows += counts->late_rows;
	sum->partly_late_rows += counts->partly_late_rows;
	sum->no_window_rows += counts->no_window_rows;
	sum->dead_letters += counts->dead_letters;
	sum->bytes += counts->bytes;
}

/* Count a batch in its minute. */
static void
add_to_minute(SxActivity *entry, TimestampTz now, const SxActivityCounts *counts)
{
	SxActivityMinute *minutes = entry->minutes;
	int64 number = now / USECS_PER_MINUTE;

	if (minutes[0].number != number)
	{
		minutes[1] = minutes[0];
		minutes[0] = (SxActivityMinute){.number = number};
	}
	minutes[0].rows += counts->rows;
	minutes[0].dead_letters += counts->dead_letters;
}

void
sx_activity_recent(const SxActivity *entry, TimestampTz now, double *rows, double *dead_letters)
{
	int64 number = now / USECS_PER_MINUTE;
	double left = 1 - (double) (now % USECS_PER_MINUTE) / USECS_PER_MINUTE;

	*rows = *dead_letters = 0;
	for (int i = 0; i < lengthof(entry->minutes); i++)
	{
		const SxActivityMinute *minute = &entry->minutes[i];
		double share = minute->number == number ? 1 : minute->number == number - 1 ? left : 0;

		*rows += minute->rows * share;
		*dead_letters += minute->dead_letters * share;
	}
}

static void
add_pending(void)
{
	TimestampTz now = GetCurrentTimestamp();
	ListCell *lc;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	foreach (lc, pending)
	{
		PendingCount *count = lfirst(lc);
		SxActivity *entry = entry_of(count->kind, count->id, 0, count->relation);

		if (entry == NULL)
			continue;
		sx_activity_add(&entry->counts, &count->counts);
		entry->batches++;
		entry->failures = 0;
		entry->last_batch_at = now;
		add_to_minute(entry, now, &count->counts);
	}
	LWLockRelease(lock);
}

static void
at_transaction_end(XactEvent event, void *arg)
{
	if (pending == NIL)
		return;
	if (event == XACT_EVENT_COMMIT)
		add_pending();
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		pending = NIL;
}

void
sx_activity_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
	RegisterXactCallback(at_transaction_end, NULL);
}

void
sx_activity_count(SxActivityKind kind, uint32 id, Oid relation, const SxActivityCounts *counts)
{
	MemoryContext old;
	PendingCount *count;

	if (entries == NULL)
		return;
	old = MemoryContextSwitchTo(TopTransactionContext);
	count = palloc(sizeof(PendingCount));
	*count = (PendingCount){kind, id, relation, *counts};
	pending = lappend(pending, count);
	MemoryContextSwitchTo(old);
}

void
sx_activity_error_set(SxActivityError *target, const ErrorData *error)
{
	const char *message = error->message ? error->message : "missing error text";
	char text[SX_ERROR_LENGTH * 2];

	if (error->context)
		snprintf(text, sizeof(text), "%s (%s)", message, error->context);
	else
		strlcpy(text, message, sizeof(text));
	text[pg_mbcliplen(text, strlen(text), SX_ERROR_LENGTH - 1)] = '\0';
	strlcpy(target->message, text, SX_ERROR_LENGTH);
	target->sqlstate = error->sqlerrcode;
	target->at = GetCurrentTimestamp();
}

void
sx_activity_failed(SxActivityKind kind, uint32 id, Oid relation, const ErrorData *error)
{
	SxActivity *entry;
	SxActivityError made;

	if (entries == NULL)
		return;
	sx_activity_error_set(&made, error);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	entry = entry_of(kind, id, 0, relation);
	if (entry != NULL)
	{
		entry->error = made;
		entry->failures++;
	}
	LWLockRelease(lock);
}

void
sx_activity_catching_up(int32 reader, Oid stream, TimestampTz since, int64 offsets)
{
	SxActivity *entry;

	if (entries == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	entry = entry_of(SX_ACTIVITY_READER, reader, 0, stream);
	if (entry != NULL)
	{
		entry->catching_up_since = since;
		entry->caught_up_from = offsets;
	}
	LWLockRelease(lock);
}

void
sx_activity_partition(int32 reader, int32 partition, Oid stream, int64 end_offset, bool at_end,
					  bool is_idle)
{
	SxActivity *entry;

	if (entries == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	entry = entry_of(SX_ACTIVITY_PARTITION, reader, partition, stream);
	if (entry != NULL)
	{
		entry->end_offset = end_offset;
		entry->at_end = at_end;
		entry->is_idle = is_idle;
	}
	LWLockRelease(lock);
}

/* Remove a database's entries: all, or those of one reader or view. */
static void
forget(Oid database, bool all, SxActivityKind kind, uint32 id)
{
	HASH_SEQ_STATUS scan;
	SxActivity *entry;

	if (entries == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		bool is_kind = entry->key.kind == kind ||
					   (kind == SX_ACTIVITY_READER && entry->key.kind == SX_ACTIVITY_PARTITION);

		if (entry->key.database == database && (all || (entry->key.id == id && is_kind)))
			hash_search(entries, &entry->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(lock);
}

void
sx_activity_forget(SxActivityKind kind, uint32 id)
{
	forget(MyDatabaseId, false, kind, id);
}

void
sx_activity_forget_database(Oid database)
{
	forget(database, true, SX_ACTIVITY_READER, 0);
}

int
sx_activity_list(SxActivityKind kind, SxActivity **list)
{
	HASH_SEQ_STATUS scan;
	SxActivity *entry;
	int count = 0;

	*list = palloc_extended(sizeof(SxActivity) * MAX_ENTRIES, MCXT_ALLOC_HUGE);
	if (entries == NULL)
		return 0;
	LWLockAcquire(lock, LW_SHARED);
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
		if (entry->key.database == MyDatabaseId && entry->key.kind == kind && count < MAX_ENTRIES)
			(*list)[count++] = *entry;
	LWLockRelease(lock);
	return count;
}
