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

/* Rows refused by some of their windows, if WHERE and joins take them. */
typedef struct SxPartlyLate
{
	int64 from_window; /* the end of the first window that accepts them */
	bool is_recorded;  /* as late, already */
	SxRows rows;
} SxPartlyLate;

/* A view's share of a batch. */
typedef struct SxSelection
{
	SxRows on_time;
	List *partly_late; /* SxPartlyLate *: at most one, unless the view is a shadow */
	SxRows late;	   /* refused by all of their windows; of sessions: too old by themselves */
	int no_window;	   /* rows that are in no window */
} SxSelection;

/*
 * Sort the batch's rows for a view: rejected rows and rows with a bad column
 * that the view uses are left out.  Judged against the reader's watermark
 * before the batch; of a shadow, by what its view decided (reuse.h), which may
 * move the watermark.  Arrays live in the current memory context.
 */
extern void
sx_late_select(const SxView *view, SxReader *reader, const SxBatch *batch, SxSelection *selection);

/* For reuse.c: add a row as rows on time are added, or as judged by watermark and lateness. */
extern void sx_late_take(SxRows *rows, const SxBatch *batch, int row);
extern void sx_late_judge(const SxView *view, const SxBatch *batch, int row, int64 lateness_us,
						  int64 watermark, bool is_recorded, SxSelection *selection);

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
