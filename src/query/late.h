/*
 * late.h
 *	  Rows too late for a view: told from the others, and recorded.
 */
#ifndef SX_LATE_H
#define SX_LATE_H

#include "compat.h"

#include "batch/batch.h"
#include "catalog/reader.h"
#include "query/view.h"

/* Row numbers of a batch. */
typedef struct SxRows
{
	int *rows;
	int count;
} SxRows;

/* A view's share of a batch. */
typedef struct SxSelection
{
	SxRows on_time;
	SxRows partly_late; /* refused by some windows, if WHERE and joins take them */
	SxRows late;		/* refused by all of their windows; of sessions: too old by themselves */
	int64 from_window;	/* of the partly late ones: the end of the first window that accepts them */
	int no_window;		/* rows that are in no window */
} SxSelection;

/*
 * Sort the batch's rows for a view: rejected rows and rows with a bad column
 * that the view uses are left out.  Judged against the reader's watermark
 * before the batch.  Arrays live in the current memory context.
 */
extern void sx_late_select(const SxView *view, const SxReader *reader, const SxBatch *batch,
						   SxSelection *selection);

/*
 * Record those of some late rows that pass the view's FROM and WHERE; rows that
 * they reject are never late.  counted: other windows take them.  Call between
 * sx_run_begin and sx_run_end.  Returns how many were late.
 */
extern int sx_late_record(const SxView *view, const SxReader *reader, const SxBatch *batch,
						  const SxRows *rows, bool counted);

/*
 * Judge a session view's rows that are too old by themselves: merge those that
 * belong to a session which still takes rows, record the others.  *late: how many those were; *groups: sessions written.
 */
extern void sx_late_sessions(const SxView *view, const SxReader *reader, const SxBatch *batch,
							 const SxRows *rows, int *late, int64 *groups);

#endif
