/*
 * board.c
 *	  What the workers that share a stream tell each other of their partitions.
 *
 * One hash table of fixed size in shared memory, under one lock.
 */
#include "compat.h"

#include "worker/board.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"

#define TRANCHE "streamx board"
#define MAX_ENTRIES 4096

typedef struct EntryKey
{
	Oid database;
	int32 reader;
	int32 partition;
} EntryKey;

typedef struct Entry
{
	EntryKey key;
	int owner;
	SxPosting posting;
} Entry;

static HTAB *entries = NULL;
static LWLock *lock = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void
request_memory(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(hash_estimate_size(MAX_ENTRIES, sizeof(Entry)));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
start_memory(void)
{
	HASHCTL info = {.keysize = sizeof(EntryKey), .entrysize = sizeof(Entry)};

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	entries =
		ShmemInitHash("streamx board", MAX_ENTRIES, MAX_ENTRIES, &info, HASH_ELEM | HASH_BLOBS);
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	LWLockRelease(AddinShmemInitLock);
}

void
sx_board_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_memory;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_memory;
}

static Entry *
find(int32 reader, int32 partition)
{
	EntryKey key = {MyDatabaseId, reader, partition};

	return hash_search(entries, &key, HASH_FIND, NULL);
}

void
sx_board_read(int32 reader, const SxPartition *partitions, int count, SxPosting *postings)
{
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < count; i++)
	{
		const Entry *entry = find(reader, partitions[i].partition);

		postings[i] = entry ? entry->posting : (SxPosting){.next_offset = -1};
		if (entry)
			postings[i].owner = entry->owner;
	}
	LWLockRelease(lock);
}

static bool
are_equal(const SxPosting *left, const SxPosting *right)
{
	return left->next_offset == right->next_offset && left->event_time == right->event_time &&
		   left->watermark == right->watermark && left->read_offset == right->read_offset &&
		   left->end_offset == right->end_offset && left->at_end == right->at_end &&
		   left->is_silent == right->is_silent;
}

/* The entry, made if it is not there; NULL when the table is full.  Under the exclusive lock. */
static Entry *
make_entry(int32 reader, int32 partition)
{
	EntryKey key = {MyDatabaseId, reader, partition};
	Entry *entry = find(reader, partition);

	if (entry != NULL || hash_get_num_entries(entries) >= MAX_ENTRIES)
		return entry;
	return hash_search(entries, &key, HASH_ENTER_NULL, NULL);
}

bool
sx_board_post(int owner, int32 reader, int32 partition, const SxPosting *posting)
{
	Entry *entry;
	bool is_known;

	LWLockAcquire(lock, LW_SHARED);
	entry = find(reader, partition);
	is_known = entry && entry->owner == owner && are_equal(&entry->posting, posting);
	LWLockRelease(lock);
	if (is_known)
		return false;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	entry = make_entry(reader, partition);
	if (entry != NULL)
	{
		entry->owner = owner;
		entry->posting = *posting;
	}
	LWLockRelease(lock);
	return true;
}

bool
sx_board_withdraw(int owner)
{
	HASH_SEQ_STATUS scan;
	Entry *entry;
	bool any = false;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	hash_seq_init(&scan, entries);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->owner != owner)
			continue;
		any = true;
		hash_search(entries, &entry->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(lock);
	return any;
}
