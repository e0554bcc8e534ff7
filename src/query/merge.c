/*
 * merge.c
 *	  Fold a micro-batch's partial aggregates into a view's state table.
 *
 * A DestReceiver: each row of the delta plan is a group with its partial
 * states.  A group that has a row gets state = combine(state, delta), a new one
 * is stored as it is.  The delta plan returns each group once, so a row is
 * written at most once per command.  Sessions have a receiver of their own (session.c).
 *
 * Many groups are merged in the order of the state's index: neighbours share
 * its pages, and those of the table, which the first batches filled in that order.
 *
 *		groups --> the first ones at once ----> merge_group
 *		       \-> the others --> sort at end --^
 *
 *  The caller owns the transaction, and is
 * the view's owner while the plan runs, as whom combine functions are called.
 */
#include "compat.h"

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"

#include "aggregate/transition.h"
#include "catalog/debug_point.h"
#include "query/merge.h"
#include "query/state.h"

/* So many groups are merged as they come: sorting them would cost more than it saves. */
#define UNSORTED_GROUPS 500

typedef struct MergeReceiver
{
	DestReceiver dest; /* must be first */
	const SxView *view;
	SxState *state;
	int nkeys;			  /* of the state table, slice included */
	bool has_from_window; /* which is not a column of the delta */
	int64 from_window;
	int naggregates;
	SxAggregate **aggregates;
	MemoryContext row_context;
	int ngroups;		  /* merged as they came */
	Tuplesortstate *sort; /* the others, */
	int64 nsorted;		  /* so many */
	TupleDesc desc;		  /* of the delta, with from_window */
	TupleTableSlot *widened;

	/* one row's columns */
	Datum *values;
	bool *isnull;
} MergeReceiver;

static void merge_startup(DestReceiver *dest, int operation, TupleDesc desc);
static TupleDesc add_from_window(MergeReceiver *merge, TupleDesc delta);
static TupleTableSlot *widen(MergeReceiver *merge, TupleTableSlot *delta);
static bool merge_row(TupleTableSlot *delta, DestReceiver *dest);
static void merge_group(MergeReceiver *merge, TupleTableSlot *delta);
static void update_group(MergeReceiver *merge, TupleTableSlot *stored, TupleTableSlot *delta);
static void insert_group(MergeReceiver *merge, TupleTableSlot *delta);
static void merge_shutdown(DestReceiver *dest);
static void merge_destroy(DestReceiver *dest);

DestReceiver *
sx_merge_receiver(const SxView *view, int64 from_window)
{
	MergeReceiver *merge = palloc0(sizeof(MergeReceiver));

	merge->dest.receiveSlot = merge_row;
	merge->dest.rStartup = merge_startup;
	merge->dest.rShutdown = merge_shutdown;
	merge->dest.rDestroy = merge_destroy;
	merge->dest.mydest = DestNone;

	merge->view = view;
	merge->nkeys = view->nkeys + view->nslice;
	merge->has_from_window = view->nslice > 1;
	merge->from_window = from_window;
	merge->naggregates = view->naggregates;
	merge->values = palloc((merge->nkeys + merge->naggregates) * sizeof(Datum));
	merge->isnull = palloc((merge->nkeys + merge->naggregates) * sizeof(bool));
	sx_view_check_states(view);
	merge->aggregates = sx_aggregate_open_list(view->aggregates, view->owner, CurrentMemoryContext);
	merge->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx merge row", ALLOCSET_DEFAULT_SIZES);
	merge->state = sx_state_open(view);
	return &merge->dest;
}

void
sx_merge_counts(DestReceiver *receiver, int64 *inserted, int64 *updated)
{
	sx_state_counts(((MergeReceiver *) receiver)->state, inserted, updated);
}

/* All rows of the delta have the same from_window: its columns, with that in its place. */
static TupleDesc
add_from_window(MergeReceiver *merge, TupleDesc delta)
{
	TupleDesc stored = sx_state_descriptor(merge->state);
	int column = merge->nkeys; /* from 1 */
	TupleDesc desc = CreateTemplateTupleDesc(delta->natts + 1);

	if (delta->natts + 1 != stored->natts)
		elog(ERROR, "delta of continuous view \"%s\" has %d columns instead of %d",
			 merge->view->name, delta->natts, stored->natts - 1);
	for (int i = 1; i <= desc->natts; i++)
		if (i == column)
			TupleDescCopyEntry(desc, i, stored, i);
		else
			TupleDescCopyEntry(desc, i, delta, i < column ? i : i - 1);
	merge->widened = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	return desc;
}

static TupleTableSlot *
widen(MergeReceiver *merge, TupleTableSlot *delta)
{
	TupleTableSlot *widened = merge->widened;
	int before = merge->nkeys - 1;
	int after = merge->naggregates;

	slot_getallattrs(delta);
	ExecClearTuple(widened);
	memcpy(widened->tts_values, delta->tts_values, before * sizeof(Datum));
	memcpy(widened->tts_isnull, delta->tts_isnull, before * sizeof(bool));
	widened->tts_values[before] = TimestampTzGetDatum(merge->from_window);
	widened->tts_isnull[before] = false;
	memcpy(widened->tts_values + merge->nkeys, delta->tts_values + before, after * sizeof(Datum));
	memcpy(widened->tts_isnull + merge->nkeys, delta->tts_isnull + before, after * sizeof(bool));
	return ExecStoreVirtualTuple(widened);
}

static void
merge_startup(DestReceiver *dest, int operation, TupleDesc desc)
{
	MergeReceiver *merge = (MergeReceiver *) dest;

	if (merge->has_from_window)
		desc = add_from_window(merge, desc);
	sx_state_check_delta(merge->state, desc, merge->aggregates, 0);
	merge->desc = desc;
}

static bool
merge_row(TupleTableSlot *delta, DestReceiver *dest)
{
	MergeReceiver *merge = (MergeReceiver *) dest;

	if (merge->has_from_window)
		delta = widen(merge, delta);
	if (merge->ngroups < UNSORTED_GROUPS)
	{
		merge->ngroups++;
		merge_group(merge, delta);
		return true;
	}
	if (merge->sort == NULL)
		merge->sort = sx_state_begin_sort(merge->state, delta->tts_tupleDescriptor);
	tuplesort_puttupleslot(merge->sort, delta);
	merge->nsorted++;
	return true;
}

static void
merge_group(MergeReceiver *merge, TupleTableSlot *delta)
{
	MemoryContext old = MemoryContextSwitchTo(merge->row_context);
	TupleTableSlot *stored;

	slot_getallattrs(delta);
	stored = sx_state_find(merge->state, delta->tts_values, delta->tts_isnull);
	if (stored)
		update_group(merge, stored, delta);
	else
		insert_group(merge, delta);
	SX_DEBUG_POINT("in-merge");
	MemoryContextSwitchTo(old);
	MemoryContextReset(merge->row_context);
}

static void
update_group(MergeReceiver *merge, TupleTableSlot *stored, TupleTableSlot *delta)
{
	for (int i = 0; i < merge->naggregates; i++)
	{
		int column = merge->nkeys + i;

		merge->values[i] = sx_aggregate_combine(
			merge->aggregates[i], stored->tts_values[column], stored->tts_isnull[column],
			delta->tts_values[column], delta->tts_isnull[column], &merge->isnull[i]);
	}
	sx_state_update(merge->state, merge->values, merge->isnull);
}

static void
insert_group(MergeReceiver *merge, TupleTableSlot *delta)
{
	int ncolumns = merge->nkeys + merge->naggregates;

	memcpy(merge->values, delta->tts_values, ncolumns * sizeof(Datum));
	memcpy(merge->isnull, delta->tts_isnull, ncolumns * sizeof(bool));
	for (int i = 0; i < merge->naggregates; i++)
	{
		int column = merge->nkeys + i;

		merge->values[column] =
			sx_aggregate_store(merge->aggregates[i], merge->values[column], merge->isnull[column]);
	}
	sx_state_insert(merge->state, merge->values, merge->isnull);
}

static void
merge_shutdown(DestReceiver *dest)
{
	MergeReceiver *merge = (MergeReceiver *) dest;
	bool is_first = true;
	TupleTableSlot *delta;

	if (merge->sort == NULL)
		return;
	delta = MakeSingleTupleTableSlot(merge->desc, &TTSOpsMinimalTuple);
	tuplesort_performsort(merge->sort);
	while (tuplesort_gettupleslot(merge->sort, true, false, delta, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		if (is_first)
		{
			slot_getsomeattrs(delta, merge->nkeys);
			sx_state_expect_sorted(merge->state, merge->nsorted, delta);
		}
		is_first = false;
		merge_group(merge, delta);
	}
	ExecDropSingleTupleTableSlot(delta);
	tuplesort_end(merge->sort);
	merge->sort = NULL;
}

static void
merge_destroy(DestReceiver *dest)
{
	MergeReceiver *merge = (MergeReceiver *) dest;

	/* what merge_startup made was the executor's memory, and is gone */
	sx_state_close(merge->state);
	for (int i = 0; i < merge->naggregates; i++)
		sx_aggregate_close(merge->aggregates[i]);
	MemoryContextDelete(merge->row_context);
}
