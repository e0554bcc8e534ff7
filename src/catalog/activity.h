/*
 * activity.h
 *	  What readers, partitions and views are doing right now: counters and last
 *	  errors in shared memory, for the monitoring views.
 *
 * Only for people to look at: nothing depends on it, it starts empty with the
 * server, and what does not fit into its tables is left out.
 */
#ifndef SX_ACTIVITY_H
#define SX_ACTIVITY_H

#include "compat.h"

#include "datatype/timestamp.h"

#define SX_ERROR_LENGTH 512

typedef struct SxActivityError
{
	TimestampTz at; /* 0: there was none */
	int sqlstate;
	char message[SX_ERROR_LENGTH];
} SxActivityError;

typedef enum SxActivityKind
{
	SX_ACTIVITY_READER,	   /* id: the reader's */
	SX_ACTIVITY_PARTITION, /* id: the reader's */
	SX_ACTIVITY_VIEW	   /* id: the view's OID */
} SxActivityKind;

typedef struct SxActivityKey
{
	Oid database;
	uint32 kind;
	uint32 id;
	int32 partition; /* 0 unless the kind is PARTITION */
} SxActivityKey;

/* What became of rows, since the server started or in one batch. */
typedef struct SxActivityCounts
{
	int64 rows;		 /* of a reader: read; of a view: in time for some window, before WHERE */
	int64 late_rows; /* refused by all of their windows */
	int64 partly_late_rows; /* refused by some windows, counted in later ones: in rows, too */
	int64 no_window_rows;	/* in no window at all: neither late nor counted */
	int64 dead_letters;
	int64 bytes; /* of a reader: of keys and payloads */
} SxActivityCounts;

/* Of one minute of the clock. */
typedef struct SxActivityMinute
{
	int64 number;
	int64 rows;
	int64 dead_letters;
} SxActivityMinute;

typedef struct SxActivity
{
	SxActivityKey key;
	Oid relation; /* stream or view: its owner may see the entry */
	SxActivityCounts counts;
	int64 batches;
	int64 failures; /* in a row: 0 when the last try went well */
	TimestampTz last_batch_at;
	SxActivityMinute minutes[2]; /* that of last_batch_at, and the one before */

	/* of readers only, while they catch up */
	TimestampTz catching_up_since; /* 0: they do not */
	int64 caught_up_from;		   /* the sum of their offsets then */

	/* of partitions only */
	int64 end_offset; /* -1: unknown */
	bool at_end;
	bool is_idle;

	SxActivityError error;
} SxActivity;

/* Ask for shared memory; from _PG_init. */
extern void sx_activity_init(void);

/*
 * Count a batch of a view, or of a reader of stream relation, when the current
 * transaction commits.  It then has no failures; the last error stays to be read.
 */
extern void
sx_activity_count(SxActivityKind kind, uint32 id, Oid relation, const SxActivityCounts *counts);

/* *sum += *counts, for whoever gathers what sx_activity_count is then given. */
extern void sx_activity_add(SxActivityCounts *sum, const SxActivityCounts *counts);

/* A view's, or reader's, work failed; seen at once, whatever becomes of the transaction. */
extern void
sx_activity_failed(SxActivityKind kind, uint32 id, Oid relation, const ErrorData *error);

/*
 * A reader begins to catch up, where its offsets have this sum; or, with since 0, has
 * caught up.
 */
extern void sx_activity_catching_up(int32 reader, Oid stream, TimestampTz since, int64 offsets);

/* What a worker knows of a partition's end. */
extern void sx_activity_partition(int32 reader, int32 partition, Oid stream, int64 end_offset,
								  bool at_end, bool is_idle);

/* Forget a reader (with its partitions), or a view. */
extern void sx_activity_forget(SxActivityKind kind, uint32 id);

/* Forget all entries of a database. */
extern void sx_activity_forget_database(Oid database);

/* A palloc'd copy of the current database's entries of one kind; returns how many. */
extern int sx_activity_list(SxActivityKind kind, SxActivity **list);

/*
 * Rows and dead letters of the last 60 seconds, as if those of the last full minute had come
 * evenly.
 */
extern void
sx_activity_recent(const SxActivity *entry, TimestampTz now, double *rows, double *dead_letters);

/* Put an error's message and context into a bounded text. */
extern void sx_activity_error_set(SxActivityError *target, const ErrorData *error);

#endif
