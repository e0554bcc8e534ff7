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

/* A view's share of a batch, as row numbers. */
typedef struct SxSelection
{
	int *rows; /* to be counted */
	int nrows;
	int *late; /* too late for every window, if WHERE and joins take them */
	int nlate;
} SxSelection;

/*
 * Sort the batch's rows for a view: rejected rows and rows with a bad column
 * that the view uses are left out.  Judged against the reader's watermark
 * before the batch.  Arrays live in the current memory context.
 */
extern void sx_late_select(const SxView *view, const SxReader *reader, const SxBatch *batch,
						   SxSelection *selection);

/*
 * Record those of the late rows that pass the view's FROM and WHERE; rows that
 * they reject are never late.  Call between sx_run_begin and sx_run_end.
 * Returns how many were late.
 */
extern int sx_late_record(const SxView *view, const SxReader *reader, const SxBatch *batch,
						  const SxSelection *selection);

#endif
