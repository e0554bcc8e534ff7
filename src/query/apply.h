/*
 * apply.h
 *	  One micro-batch into all views of a reader.
 */
#ifndef SX_APPLY_H
#define SX_APPLY_H

#include "compat.h"

#include "batch/batch.h"
#include "catalog/activity.h"
#include "catalog/reader.h"
#include "query/prepare.h"

/* What becomes of errors. */
typedef enum SxCare
{
	SX_CARE_NONE, /* thrown: abort and repeat with more care */
	SX_CARE_ROWS, /* each view by itself; a data error is its row's */
	SX_CARE_VIEWS /* the same; and one that may pass (a lock, memory, a cancellation) is its view's */
} SxCare;

typedef struct SxApplyCounts
{
	SxActivityCounts seen; /* rows: of the batch; the others: of all views together */
	int64 groups;		   /* merged into states, all views together */
	int64 inputs;		   /* written to tables of inputs, likewise */
	Oid paused_view;	   /* after an error of a careful run: it is to be paused */
	bool is_under_way;	   /* all was locked: an error is of the batch or its views */
	int before_stop;	   /* after an error by on_error 'stop': rows before the bad one */
} SxApplyCounts;

/* The columns of the stream that the reader's views need (union), palloc'd. */
extern Bitmapset *sx_apply_columns(const SxReader *reader);

/*
 * Lock the reader's views against DDL (AccessShareLock, to the end of the
 * transaction) and forget those that are gone.  After sx_reader_load, before
 * the snapshot.
 */
extern void sx_apply_lock(SxReader *reader);

/*
 * Merge the delta of no rows: a view without GROUP BY has one row before any
 * input, and one with empty grouping sets a row for each of them.
 */
extern void sx_apply_first_rows(Oid view);

/*
 * Fold a batch into every view of the reader, store dead letters and late
 * rows, and move the reader's event times and watermark in memory (the caller
 * sets next_offset and at_end beforehand, and calls sx_progress_save after).
 *
 * The caller is in a transaction, holds the stream's lock and has an active
 * snapshot taken under it.  With care, each view runs in a subtransaction and
 * data errors are bisected to their row, which on_error treats; a view that
 * fails otherwise leaves with a reader of its own.  prepared: what was prepared of the
 * batch without the lock, or NULL; with care it is not looked at.
 */
extern void sx_apply(SxReader *reader, SxBatch *batch, SxCare care, const SxPrepared *prepared,
					 SxApplyCounts *counts);

/* How rows of a stream fed by INSERT are applied: with on_error 'stop' a row that fails is an error. */
extern SxCare sx_apply_care(const SxStream *stream);

/* Whether an error says that somebody else was first, so that trying again will do. */
extern bool sx_apply_is_passing(int sqlstate);

/* Whether an error says nothing about a view or the data: such a one, a cancel, or a lack of resources. */
extern bool sx_apply_is_nobodys(int sqlstate);

#endif
