/*
 * state.h
 *	  The state store: find, insert and replace one group's row in a view's
 *	  state table, or a row in one of its tables of inputs.  Callers see groups,
 *	  never TIDs; another store may follow.
 */
#ifndef SX_STATE_H
#define SX_STATE_H

#include "compat.h"

#include "aggregate/transition.h"
#include "executor/tuptable.h"
#include "query/view.h"

typedef struct SxState SxState;

/*
 * Open a view's state table for merging (RowExclusiveLock, kept to the end of
 * the transaction), at a snapshot that sees all committed state.  The caller holds the view's lock.
 */
extern SxState *sx_state_open(const SxView *view);

/*
 * Open a table of inputs likewise.  Its columns: input_group, hash, the inputs, the
 * multiplicities, of which the last are what sx_state_update replaces.  Rows are found by
 * input_group and hash, of which there may be several (sx_state_find_next).
 */
extern SxState *sx_state_open_inputs(const SxView *view, const SxViewInputs *inputs);

/* The table's columns. */
extern TupleDesc sx_state_descriptor(const SxState *state);

/*
 * An ERROR unless a delta has the state table's columns, then nextra others: it
 * would be merged into garbage.  States may be serialised as bytea.
 */
extern void sx_state_check_delta(const SxState *state, TupleDesc delta,
								 SxAggregate *const *aggregates, int nextra);

/*
 * Find the group with the keys (and slice) in the first columns of values.
 * Returns the stored row (valid until the next call), or NULL.
 */
extern TupleTableSlot *sx_state_find(SxState *state, const Datum *values, const bool *isnull);

/*
 * From now on groups are looked for in the order of sx_state_begin_sort: so many,
 * of which this is the first.
 */
extern void sx_state_expect_sorted(SxState *state, int64 nrows, const TupleTableSlot *first);

/* Another row like the one last found, or NULL. */
extern TupleTableSlot *sx_state_find_next(SxState *state);

/*
 * Sessions: begin to go through the stored rows with the keys in the first
 * columns of values whose slice_start is after after, and at or before last,
 * latest first; sx_state_next returns them (valid until the next call), then
 * NULL.  Shows the state as of sx_state_open, whatever was written since; but what
 * was is passed over one by one, so after should keep it out.
 */
extern void sx_state_scan(SxState *state, const Datum *values, const bool *isnull,
						  TimestampTz after, TimestampTz last);
extern TupleTableSlot *sx_state_next(SxState *state);

/*
 * The row last found, or returned by sx_state_next: to be removed, or replaced, once, now or
 * later, or to be found again.
 */
typedef struct SxStateRow
{
	ItemPointerData tid;
} SxStateRow;
extern SxStateRow sx_state_row(const SxState *state);
extern TupleTableSlot *sx_state_find_again(SxState *state, const SxStateRow *row);
extern void sx_state_delete(SxState *state, const SxStateRow *row);
extern void
sx_state_replace(SxState *state, const SxStateRow *row, const Datum *values, const bool *isnull);

/*
 * Whether two rows, of a delta or stored, are equal in their first ncolumns, which
 * the index must have.  Their columns are deformed.
 */
extern bool sx_state_same_columns(const SxState *state, const TupleTableSlot *left,
								  const TupleTableSlot *right, int ncolumns);

/*
 * The row last found is sealed: finals are the values of its aggregates, and
 * it has no inputs any more; or NULL, when they could not be computed: it keeps what it
 * has.  Such a row is not to be changed again: sx_state_row and sx_state_update refuse it.
 */
extern void sx_state_fold(SxState *state, const Datum *finals, const bool *isnull);

/* Replace the row last found: the state columns take new values, keys stay as stored. */
extern void sx_state_update(SxState *state, const Datum *states, const bool *isnull);

/*
 * Add a group: values for all columns; it gets an input group, if the view has inputs.  Written
 * by sx_state_close at the latest; this state store does not find it.
 */
extern void sx_state_insert(SxState *state, const Datum *values, const bool *isnull);

/*
 * A sort of rows that begin with a group's keys (and slice) into the order in
 * which groups are found fastest, that of the unique index.
 */
extern struct Tuplesortstate *sx_state_begin_sort(const SxState *state, TupleDesc desc);

extern void sx_state_close(SxState *state);

/* Rows inserted, and updated or deleted, since open. */
extern void sx_state_counts(const SxState *state, int64 *inserted, int64 *updated);

#endif
