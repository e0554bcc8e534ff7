/*
 * pass.h
 *	  A pass over a view's state in the order of slice_start, in bounded steps: it
 *	  takes the rows whose windows have all ended, and deletes their inputs.
 */
#ifndef SX_PASS_H
#define SX_PASS_H

#include "compat.h"

#include "access/htup.h"
#include "executor/tuptable.h"
#include "query/view.h"

/* Where a pass stands: columns of a table, in this order (SX_PASS_COLUMNS). */
typedef struct SxPass
{
	TimestampTz through; /* windows that end by then are what the present, or last, pass is for */
	TimestampTz from;	 /* the slice_start at which its next step begins */
	TimestampTz next; /* sessions: at which the next pass begins; none that stays begins before */
	bool is_going;	  /* it is not done */
	int ngroups;	  /* input groups of rows that were taken, of which inputs remain */
	int64 *groups;
} SxPass;

#define SX_PASS_COLUMNS 5

/* A pass over the state before anything is in it. */
extern SxPass sx_pass_new(void);

/* From columns of a row of SPI's, the first of which is number (from 1); groups in context. */
extern SxPass sx_pass_load(HeapTuple tuple, TupleDesc desc, int number, MemoryContext context);

/* To such columns' values: three timestamptz, boolean, bigint[]. */
extern void sx_pass_store(const SxPass *pass, Datum *values);

extern bool sx_pass_equal(const SxPass *left, const SxPass *right);

/*
 * Windows that end by then ended kept_us before the watermark, and take no rows any more;
 * DT_NOBEGIN: there are none.
 */
extern TimestampTz sx_pass_bound(const SxView *view, int64 watermark, int64 kept_us);

/* Whether each window that uses a row of the state ends by through. */
extern bool sx_pass_has_ended(const SxView *view, TupleTableSlot *row, TimestampTz through);

/*
 * Begin a pass through windows that end by bound, unless one is going, when bound has moved by
 * worth_us.  Sessions do not end in the order of their starts: their passes begin at the first
 * that stayed, and must be worth it.  One that begins before next from now on is the caller's to tell.
 */
extern void sx_pass_begin(const SxView *view, SxPass *pass, TimestampTz bound, int64 worth_us);

/* A step at work. */
typedef struct SxPassStep SxPassStep;

/*
 * Take a row of the state (row->tts_tid): delete it, or change it.  Returns false when it
 * stays as it is, and so do its inputs; otherwise the step goes on to delete those.
 */
typedef bool (*SxPassTake)(SxPassStep *step, TupleTableSlot *row, void *context);

/* What a pass goes through, and what it does with it. */
typedef struct SxPassKind
{
	bool is_partial; /* only rows of the index on slice_start that has a condition */
	SxPassTake take;
} SxPassKind;

/*
 * A step: delete inputs that remain, go through rows, up to about limit of both.  The caller
 * holds the stream's lock.  Without an index to go by, which somebody must have
 * dropped, a pass finds nothing.
 */
extern void
sx_pass_step(const SxView *view, SxPass *pass, int64 limit, const SxPassKind *kind, void *context);

/* For takers: delete the row. */
extern void sx_pass_delete(SxPassStep *step, TupleTableSlot *row);

#endif
