/*
 * state.h
 *	  The state store: find, insert and replace one group's row in a view's
 *	  state table.  Callers see groups, never TIDs; another store may follow.
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

/* The state table's columns. */
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
 * Sessions: begin to go through the stored rows with the keys in the first
 * columns of values whose slice_start is after after, and at or before last,
 * latest first; sx_state_next returns them (valid until the next call), then
 * NULL.  Shows the state as of sx_state_open, whatever was written since; but what
 * was is passed over one by one, so after should keep it out.
 */
extern void sx_state_scan(SxState *state, const Datum *values, const bool *isnull,
						  TimestampTz after, TimestampTz last);
extern TupleTableSlot *sx_state_next(SxState *state);

/* The row last returned by sx_state_next: to be removed, or replaced, once, now or later. */
typedef struct SxStateRow
{
	ItemPointerData tid;
} SxStateRow;
extern SxStateRow sx_state_row(const SxState *state);
extern void sx_state_delete(SxState *state, const SxStateRow *row);
extern void
sx_state_replace(SxState *state, const SxStateRow *row, const Datum *values, const bool *isnull);

/* Sessions: whether two rows, of the delta or stored, have equal keys.  Their columns are deformed. */
extern bool
sx_state_same_keys(const SxState *state, const TupleTableSlot *left, const TupleTableSlot *right);

/* Replace the row last found: the state columns take new values, keys stay as stored. */
extern void sx_state_update(SxState *state, const Datum *states, const bool *isnull);

/* Add a group: values for all columns. */
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
