/*
 * merge.c
 *	  Fold a micro-batch's partial aggregates into a view's state table.
 *
 * A DestReceiver: each row of the delta plan is a group with its partial
 * states.  A group that has a row gets state = combine(state, delta), a new one
 * is stored as it is.  The delta plan returns each group once, so a row is
 * written at most once per command.
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
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "aggregate/transition.h"
#include "query/merge.h"
#include "query/state.h"

/* So many groups are merged as they come: sorting them would cost more than it saves. */
#define UNSORTED_GROUPS 500

typedef struct MergeReceiver
{
	DestReceiver dest; /* must be first */
	const SxView *view;
	SxState *state;
	int nkeys; /* slice included */
	int naggregates;
	SxAggregate **aggregates;
	MemoryContext row_context;
	int ngroups;		  /* merged as they came */
	Tuplesortstate *sort; /* the others */
	TupleDesc desc;		  /* of the delta */

	/* one row's columns */
	Datum *values;
	bool *isnull;
} MergeReceiver;

static void merge_startup(DestReceiver *dest, int operation, TupleDesc desc);
static bool merge_row(TupleTableSlot *delta, DestReceiver *dest);
static void merge_group(MergeReceiver *merge, TupleTableSlot *delta);
static void update_group(MergeReceiver *merge, TupleTableSlot *stored, TupleTableSlot *delta);
static void insert_group(MergeReceiver *merge, TupleTableSlot *delta);
static void merge_shutdown(DestReceiver *dest);
static void merge_destroy(DestReceiver *dest);

DestReceiver *
sx_merge_receiver(const SxView *view)
{
	MergeReceiver *merge = palloc0(sizeof(MergeReceiver));
	ListCell *lc;
	int i = 0;

	merge->dest.receiveSlot = merge_row;
	merge->dest.rStartup = merge_startup;
	merge->dest.rShutdown = merge_shutdown;
	merge->dest.rDestroy = merge_destroy;
	merge->dest.mydest = DestNone;

	merge->view = view;
	merge->nkeys = view->nkeys + (view->has_slice ? 1 : 0);
	merge->naggregates = view->naggregates;
	merge->values = palloc((merge->nkeys + merge->naggregates) * sizeof(Datum));
	merge->isnull = palloc((merge->nkeys + merge->naggregates) * sizeof(bool));
	merge->aggregates = palloc(merge->naggregates * sizeof(SxAggregate *));
	foreach (lc, view->aggregates)
		merge->aggregates[i++] =
			sx_aggregate_open_aggref(lfirst(lc), view->owner, CurrentMemoryContext);
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

/* A plan whose columns are not the state table's would be merged into garbage. */
static void
merge_startup(DestReceiver *dest, int operation, TupleDesc desc)
{
	MergeReceiver *merge = (MergeReceiver *) dest;
	TupleDesc stored = sx_state_descriptor(merge->state);

	merge->desc = desc;
	if (desc->natts != stored->natts)
		elog(ERROR, "delta of continuous view \"%s\" has %d columns instead of %d",
			 merge->view->name, desc->natts, stored->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Oid expected = TupleDescAttr(stored, i)->atttypid;
		Oid found = TupleDescAttr(desc, i)->atttypid;
		bool is_serialised = expected == sx_state_type_oid();

		if (i >= merge->nkeys &&
			expected != sx_aggregate_stored_type(merge->aggregates[i - merge->nkeys]))
			elog(ERROR, "state column %d of continuous view \"%s\" has type %u", i + 1,
				 merge->view->name, expected);
		if (found != expected && !(is_serialised && found == BYTEAOID))
			elog(ERROR, "column %d of the delta of continuous view \"%s\" has type %u, not %u",
				 i + 1, merge->view->name, found, expected);
	}
}

static bool
merge_row(TupleTableSlot *delta, DestReceiver *dest)
{
	MergeReceiver *merge = (MergeReceiver *) dest;

	if (merge->ngroups < UNSORTED_GROUPS)
	{
		merge->ngroups++;
		merge_group(merge, delta);
		return true;
	}
	if (merge->sort == NULL)
		merge->sort = sx_state_begin_sort(merge->state, delta->tts_tupleDescriptor);
	tuplesort_puttupleslot(merge->sort, delta);
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
	TupleTableSlot *delta;

	if (merge->sort == NULL)
		return;
	delta = MakeSingleTupleTableSlot(merge->desc, &TTSOpsMinimalTuple);
	tuplesort_performsort(merge->sort);
	while (tuplesort_gettupleslot(merge->sort, true, false, delta, NULL))
	{
		CHECK_FOR_INTERRUPTS();
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

	sx_state_close(merge->state);
	for (int i = 0; i < merge->naggregates; i++)
		sx_aggregate_close(merge->aggregates[i]);
	MemoryContextDelete(merge->row_context);
}
