/*
 * inputs.c
 *	  Fold the inputs of a micro-batch into a table of inputs.
 *
 * Aggregates see them only when the view is read.  Those that a row may make
 * fail are tried first, with each row, so that it becomes a dead letter.
 *
 * A DestReceiver: each row of the plan is a list of inputs, with the keys and
 * the slice that it belongs to and how many rows it stands for.
 *
 *		row --> its row of the state: input group --> hash --> sort by both
 *
 *		run of one group and hash --> fold same inputs --> probe --> insert, update
 *		                                             \--> count distinct ones in the state
 *
 * Inputs are the same when their images are: 1.0 and 1.00 are kept apart, since
 * an aggregate may show them.  They are found by a hash, which types
 * that have such an equality compute so that equal values have the same; so the
 * values that count(DISTINCT) takes for one are in one run.
 *
 * A row of the state may have several input groups (of sessions merged); new
 * inputs go to the first.  The caller owns the transaction, and is the view's
 * owner while the plan runs, as whom functions of types are called.
 */
#include "compat.h"

#include "access/tupdesc.h"
#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "aggregate/image.h"
#include "catalog/debug_point.h"
#include "query/inputs.h"
#include "query/run.h"
#include "query/sql.h"
#include "query/state.h"

/* Columns of the sorted rows, before inputs and multiplicities. */
#define GROUP_COLUMN 0
#define HASH_COLUMN 1
#define STATE_ROW_COLUMN 2
#define NLEADING 3
/* Columns of the table before the inputs: group and hash. */
#define NTABLE_LEADING 2

/* An input's type. */
typedef struct InputType
{
	SxImageType image;
	TypeCacheEntry *type;
	Oid collation;
	bool is_image_equal; /* equal values have equal images */
} InputType;

/* One list of inputs of a run. */
typedef struct Input
{
	Datum *values;
	bool *isnull;
	int64 *added;  /* by multiplicity: how often the batch has it */
	int64 *stored; /* by multiplicity: before */
	bool is_stored;
	SxStateRow row; /* if so */
} Input;

typedef struct InputsReceiver
{
	DestReceiver dest; /* must be first */
	const SxView *view;
	const SxViewInputs *inputs;
	SxState *state;
	SxState *table;
	int nkeys;
	bool is_session;
	int nslice;		  /* columns of the slice in the plan's rows: 0 or 1 */
	int group_column; /* of the state table, from 0 */
	int64 from_window;
	bool has_counters;
	InputType *types;

	/* the group of the row before */
	TupleTableSlot *last;
	bool has_last;
	int64 last_end; /* of a session */
	int64 group;
	SxStateRow state_row;

	Tuplesortstate *sort;
	TupleTableSlot *unsorted;

	/* the run at hand, of group and hash */
	int64 hash;
	MemoryContext run_context; /* a row's while the plan runs */
	MemoryContext scratch;	   /* a comparison's: values may be large, and compressed */
	List *run;				   /* Input *: distinct ones */
	int64 *counted;			   /* by multiplicity: distinct inputs that the group got */

	Datum *values; /* of a row to be written or found */
	bool *isnull;
} InputsReceiver;

static DestReceiver *
create_receiver(const SxView *view, const SxViewInputs *inputs, int64 from_window);
static void inputs_startup(DestReceiver *dest, int operation, TupleDesc desc);
static void open_types(InputsReceiver *receiver, TupleDesc desc);
static bool inputs_row(TupleTableSlot *row, DestReceiver *dest);
static void find_group(InputsReceiver *receiver, TupleTableSlot *row);
static void note_group(InputsReceiver *receiver, TupleTableSlot *found);
static uint64 hash_inputs(InputsReceiver *receiver, const Datum *values, const bool *isnull);
static void inputs_shutdown(DestReceiver *dest);
static void merge_rows(InputsReceiver *receiver);
static void end_group(InputsReceiver *receiver);
static void fold_row(InputsReceiver *receiver, const Datum *values, const bool *isnull);
static void end_run(InputsReceiver *receiver);
static void inputs_destroy(DestReceiver *dest);

int64
sx_inputs_run(const SxView *view, const SxBatch *batch, const SxRows *rows, int64 from_window)
{
	SxScanInput input = {
		.stream = view->stream, .batch = batch, .rows = rows->rows, .nrows = rows->count};
	int64 written = 0;
	ListCell *lc;

	if (OidIsValid(view->trial))
		sx_run(view, sx_sql_select_all(view->trial), &input, None_Receiver);
	foreach (lc, view->inputs)
	{
		const SxViewInputs *inputs = lfirst(lc);
		DestReceiver *dest = create_receiver(view, inputs, from_window);
		int64 inserted;
		int64 updated;

		sx_run(view, sx_sql_select_all(inputs->delta), &input, dest);
		sx_state_counts(((InputsReceiver *) dest)->table, &inserted, &updated);
		written += inserted + updated;
		dest->rDestroy(dest);
	}
	return written;
}

static DestReceiver *
create_receiver(const SxView *view, const SxViewInputs *inputs, int64 from_window)
{
	InputsReceiver *receiver = palloc0(sizeof(InputsReceiver));
	int ncolumns = Max(view->nkeys + view->nslice + view->naggregates,
					   NLEADING + inputs->ninputs + inputs->nmultiplicities);

	receiver->dest.receiveSlot = inputs_row;
	receiver->dest.rStartup = inputs_startup;
	receiver->dest.rShutdown = inputs_shutdown;
	receiver->dest.rDestroy = inputs_destroy;
	receiver->dest.mydest = DestNone;

	receiver->view = view;
	receiver->inputs = inputs;
	receiver->nkeys = view->nkeys;
	receiver->is_session = view->window.kind == SX_WINDOW_SESSION;
	receiver->nslice = view->nslice > 0 ? 1 : 0;
	receiver->group_column = view->nkeys + view->nslice + view->input_groups;
	receiver->from_window = from_window;
	receiver->values = palloc(ncolumns * sizeof(Datum));
	receiver->isnull = palloc0(ncolumns * sizeof(bool));
	receiver->counted = palloc0(inputs->nmultiplicities * sizeof(int64));
	for (int i = 0; i < inputs->nmultiplicities; i++)
		receiver->has_counters |= inputs->counter[i] >= 0;
	receiver->run_context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx inputs", ALLOCSET_DEFAULT_SIZES);
	receiver->scratch = AllocSetContextCreate(CurrentMemoryContext, "streamx comparison of inputs",
											  ALLOCSET_DEFAULT_SIZES);
	receiver->state = sx_state_open(view);
	receiver->table = sx_state_open_inputs(view, inputs);
	return &receiver->dest;
}

/* ---- rows of the plan ---- */

static void
require_column(const InputsReceiver *receiver, TupleDesc desc, int column, Oid expected)
{
	Oid found = TupleDescAttr(desc, column)->atttypid;

	if (found != expected)
		elog(ERROR, "column %d of the inputs of continuous view \"%s\" has type %u, not %u",
			 column + 1, receiver->view->name, found, expected);
}

/* Keys and slice as the state has them, then inputs and multiplicities as their table has them. */
static void
check_columns(const InputsReceiver *receiver, TupleDesc desc)
{
	TupleDesc state = sx_state_descriptor(receiver->state);
	TupleDesc table = sx_state_descriptor(receiver->table);
	int nleading = receiver->nkeys + receiver->nslice;
	int ntable = receiver->inputs->ninputs + receiver->inputs->nmultiplicities;

	if (desc->natts != nleading + ntable)
		elog(ERROR, "inputs of continuous view \"%s\" have %d columns instead of %d",
			 receiver->view->name, desc->natts, nleading + ntable);
	for (int i = 0; i < nleading; i++)
		require_column(receiver, desc, i, TupleDescAttr(state, i)->atttypid);
	for (int i = 0; i < ntable; i++)
		require_column(receiver, desc, nleading + i,
					   TupleDescAttr(table, NTABLE_LEADING + i)->atttypid);
}

/* The rows as they are sorted: group, hash, row of the state, inputs, multiplicities. */
static TupleDesc
sorted_descriptor(const InputsReceiver *receiver)
{
	TupleDesc table = sx_state_descriptor(receiver->table);
	TupleDesc desc = CreateTemplateTupleDesc(table->natts + 1);

	TupleDescCopyEntry(desc, GROUP_COLUMN + 1, table, 1);
	TupleDescCopyEntry(desc, HASH_COLUMN + 1, table, 2);
	TupleDescInitEntry(desc, STATE_ROW_COLUMN + 1, "state_row", TIDOID, -1, 0);
	for (int i = NLEADING; i < desc->natts; i++)
		TupleDescCopyEntry(desc, i + 1, table, i);
	return desc;
}

static void
inputs_startup(DestReceiver *dest, int operation, TupleDesc desc)
{
	InputsReceiver *receiver = (InputsReceiver *) dest;
	TupleDesc sorted = sorted_descriptor(receiver);
	AttrNumber columns[] = {GROUP_COLUMN + 1, HASH_COLUMN + 1};
	Oid operators[] = {Int8LessOperator, Int8LessOperator};
	Oid collations[] = {InvalidOid, InvalidOid};
	bool nulls_first[] = {false, false};

	check_columns(receiver, desc);
	open_types(receiver, sorted);
	receiver->last = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	receiver->unsorted = MakeSingleTupleTableSlot(sorted, &TTSOpsVirtual);
	receiver->sort = tuplesort_begin_heap(sorted, lengthof(columns), columns, operators, collations,
										  nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

static void
open_types(InputsReceiver *receiver, TupleDesc sorted)
{
	int ninputs = receiver->inputs->ninputs;

	receiver->types = palloc0(Max(ninputs, 1) * sizeof(InputType));
	for (int i = 0; i < ninputs; i++)
	{
		InputType *type = &receiver->types[i];
		Form_pg_attribute column = TupleDescAttr(sorted, NLEADING + i);

		sx_image_open(&type->image, column->atttypid, CurrentMemoryContext);
		type->collation = column->attcollation;
		type->is_image_equal = sx_image_follows_equality(column->atttypid, column->attcollation);
		type->type = lookup_type_cache(column->atttypid,
									   TYPECACHE_HASH_EXTENDED_PROC_FINFO | TYPECACHE_EQ_OPR_FINFO);
	}
}

static bool
inputs_row(TupleTableSlot *row, DestReceiver *dest)
{
	InputsReceiver *receiver = (InputsReceiver *) dest;
	TupleTableSlot *unsorted = receiver->unsorted;
	int nleading = receiver->nkeys + receiver->nslice;
	int nothers = receiver->inputs->ninputs + receiver->inputs->nmultiplicities;
	MemoryContext old;

	slot_getallattrs(row);
	find_group(receiver, row);
	ExecClearTuple(unsorted);
	unsorted->tts_values[GROUP_COLUMN] = Int64GetDatum(receiver->group);
	old = MemoryContextSwitchTo(receiver->run_context);
	unsorted->tts_values[HASH_COLUMN] = Int64GetDatum(
		(int64) hash_inputs(receiver, row->tts_values + nleading, row->tts_isnull + nleading));
	MemoryContextSwitchTo(old);
	unsorted->tts_values[STATE_ROW_COLUMN] = PointerGetDatum(&receiver->state_row.tid);
	memset(unsorted->tts_isnull, false, NLEADING * sizeof(bool));
	memcpy(unsorted->tts_values + NLEADING, row->tts_values + nleading, nothers * sizeof(Datum));
	memcpy(unsorted->tts_isnull + NLEADING, row->tts_isnull + nleading, nothers * sizeof(bool));
	tuplesort_puttupleslot(receiver->sort, ExecStoreVirtualTuple(unsorted));
	MemoryContextReset(receiver->run_context);
	return true;
}

/* ---- groups ---- */

static int64
row_time(const InputsReceiver *receiver, const TupleTableSlot *row)
{
	return DatumGetTimestampTz(row->tts_values[receiver->nkeys]);
}

/* Whether a row is of the same row of the state as the one before. */
static bool
is_last_group(const InputsReceiver *receiver, const TupleTableSlot *row)
{
	if (!receiver->has_last)
		return false;
	if (!receiver->is_session)
		return sx_state_same_columns(receiver->state, receiver->last, row,
									 receiver->nkeys + receiver->nslice);
	return row_time(receiver, row) >= row_time(receiver, receiver->last) &&
		   row_time(receiver, row) <= receiver->last_end &&
		   sx_state_same_columns(receiver->state, receiver->last, row, receiver->nkeys);
}

/* The row's input group, and its row of the state. */
static void
find_group(InputsReceiver *receiver, TupleTableSlot *row)
{
	int nleading = receiver->nkeys + receiver->nslice;
	TupleTableSlot *found;

	if (is_last_group(receiver, row))
		return;
	if (receiver->is_session)
	{
		sx_state_scan(receiver->state, row->tts_values, row->tts_isnull, DT_NOBEGIN,
					  row_time(receiver, row));
		found = sx_state_next(receiver->state);
	}
	else
	{
		memcpy(receiver->values, row->tts_values, nleading * sizeof(Datum));
		memcpy(receiver->isnull, row->tts_isnull, nleading * sizeof(bool));
		receiver->values[nleading] = TimestampTzGetDatum(receiver->from_window);
		receiver->isnull[nleading] = false;
		found = sx_state_find(receiver->state, receiver->values, receiver->isnull);
	}
	if (found == NULL)
		elog(ERROR, "inputs of continuous view \"%s\" are of no row of its state",
			 receiver->view->name);
	ExecCopySlot(receiver->last, row);
	slot_getallattrs(receiver->last);
	receiver->has_last = true;
	note_group(receiver, found);
}

static void
note_group(InputsReceiver *receiver, TupleTableSlot *found)
{
	Datum groups = found->tts_values[receiver->group_column];
	ArrayType *array =
		found->tts_isnull[receiver->group_column] ? NULL : DatumGetArrayTypeP(groups);

	if (array == NULL || ARR_HASNULL(array) || ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array)) < 1)
		elog(ERROR, "a row of the state of continuous view \"%s\" has no input group",
			 receiver->view->name);
	receiver->group = *(int64 *) ARR_DATA_PTR(array);
	if ((Pointer) array != DatumGetPointer(groups))
		pfree(array);
	receiver->state_row = sx_state_row(receiver->state);
	if (receiver->is_session)
		receiver->last_end = DatumGetTimestampTz(found->tts_values[receiver->nkeys + 1]) -
							 receiver->view->window.size_us;
}

/* ---- inputs ---- */

/* Equal values have the same hash, and so have values with the same image. */
static uint64
hash_input(InputType *type, Datum value)
{
	if (!type->is_image_equal && OidIsValid(type->type->hash_extended_proc))
		return DatumGetUInt64(FunctionCall2Coll(&type->type->hash_extended_proc_finfo,
												type->collation, value, Int64GetDatum(0)));
	return sx_image_hash(&type->image, value, 0);
}

static uint64
hash_inputs(InputsReceiver *receiver, const Datum *values, const bool *isnull)
{
	uint64 hash = 0;

	for (int i = 0; i < receiver->inputs->ninputs; i++)
		hash = hash_combine64(hash, isnull[i] ? 0 : hash_input(&receiver->types[i], values[i]));
	return hash;
}

static bool
are_same(InputsReceiver *receiver, const Datum *left, const bool *left_isnull, const Datum *right,
		 const bool *right_isnull)
{
	MemoryContext old = MemoryContextSwitchTo(receiver->scratch);
	bool is_same = true;

	for (int i = 0; is_same && i < receiver->inputs->ninputs; i++)
		is_same = left_isnull[i] == right_isnull[i] &&
				  (left_isnull[i] || sx_image_equal(&receiver->types[i].image, left[i], right[i]));
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->scratch);
	return is_same;
}

/* Whether the only inputs of two lists, not NULL, are equal, which they are also if they look different. */
static bool
are_equal(InputsReceiver *receiver, const Input *left, const Input *right)
{
	const InputType *type = &receiver->types[0];
	MemoryContext old = MemoryContextSwitchTo(receiver->scratch);
	bool is_equal = DatumGetBool(FunctionCall2Coll(&type->type->eq_opr_finfo, type->collation,
												   left->values[0], right->values[0]));

	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->scratch);
	return is_equal;
}

/* ---- runs: rows of one group and hash ---- */

static void
inputs_shutdown(DestReceiver *dest)
{
	InputsReceiver *receiver = (InputsReceiver *) dest;

	tuplesort_performsort(receiver->sort);
	merge_rows(receiver);
	tuplesort_end(receiver->sort);
	ExecDropSingleTupleTableSlot(receiver->last);
	ExecDropSingleTupleTableSlot(receiver->unsorted);
}

static void
merge_rows(InputsReceiver *receiver)
{
	TupleTableSlot *row =
		MakeSingleTupleTableSlot(receiver->unsorted->tts_tupleDescriptor, &TTSOpsMinimalTuple);
	bool has_group = false;

	while (tuplesort_gettupleslot(receiver->sort, true, false, row, NULL))
	{
		int64 group;
		int64 hash;

		CHECK_FOR_INTERRUPTS();
		slot_getallattrs(row);
		group = DatumGetInt64(row->tts_values[GROUP_COLUMN]);
		hash = DatumGetInt64(row->tts_values[HASH_COLUMN]);
		if (has_group && (group != receiver->group || hash != receiver->hash))
			end_run(receiver);
		if (has_group && group != receiver->group)
			end_group(receiver);
		has_group = true;
		receiver->group = group;
		receiver->hash = hash;
		receiver->state_row.tid = *(ItemPointer) DatumGetPointer(row->tts_values[STATE_ROW_COLUMN]);
		fold_row(receiver, row->tts_values + NLEADING, row->tts_isnull + NLEADING);
	}
	if (has_group)
	{
		end_run(receiver);
		end_group(receiver);
	}
	ExecDropSingleTupleTableSlot(row);
}

/* The distinct inputs that a group got are counted in its row of the state. */
static void
end_group(InputsReceiver *receiver)
{
	const SxView *view = receiver->view;
	int nleading = view->nkeys + view->nslice;
	TupleTableSlot *row;
	bool has_more = false;

	for (int i = 0; i < receiver->inputs->nmultiplicities; i++)
		has_more |= receiver->counted[i] != 0;
	if (!has_more)
		return;
	row = sx_state_find_again(receiver->state, &receiver->state_row);
	memcpy(receiver->values, row->tts_values + nleading, view->naggregates * sizeof(Datum));
	memcpy(receiver->isnull, row->tts_isnull + nleading, view->naggregates * sizeof(bool));
	for (int i = 0; i < receiver->inputs->nmultiplicities; i++)
	{
		int counter = receiver->inputs->counter[i];

		if (counter >= 0)
			receiver->values[counter] =
				Int64GetDatum(DatumGetInt64(receiver->values[counter]) + receiver->counted[i]);
		receiver->counted[i] = 0;
	}
	sx_state_update(receiver->state, receiver->values, receiver->isnull);
}

/* ---- one run ---- */

static Input *
find_input(InputsReceiver *receiver, const Datum *values, const bool *isnull)
{
	ListCell *lc;

	foreach (lc, receiver->run)
	{
		Input *input = lfirst(lc);

		if (are_same(receiver, input->values, input->isnull, values, isnull))
			return input;
	}
	return NULL;
}

/* One of the run's, with nothing stored, and nothing to add. */
static Input *
add_input(InputsReceiver *receiver, const Datum *values, const bool *isnull)
{
	int ninputs = receiver->inputs->ninputs;
	TupleDesc desc = sx_state_descriptor(receiver->table);
	Input *input = palloc0(sizeof(Input));

	input->values = palloc(Max(ninputs, 1) * sizeof(Datum));
	input->isnull = palloc(Max(ninputs, 1) * sizeof(bool));
	input->added = palloc0(receiver->inputs->nmultiplicities * sizeof(int64));
	input->stored = palloc0(receiver->inputs->nmultiplicities * sizeof(int64));
	for (int i = 0; i < ninputs; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, NTABLE_LEADING + i);

		input->isnull[i] = isnull[i];
		input->values[i] =
			isnull[i] ? (Datum) 0 : datumCopy(values[i], column->attbyval, column->attlen);
	}
	receiver->run = lappend(receiver->run, input);
	return input;
}

/* Into the run; rows that no FILTER takes are no inputs. */
static void
fold_row(InputsReceiver *receiver, const Datum *values, const bool *isnull)
{
	const Datum *added = values + receiver->inputs->ninputs;
	MemoryContext old = MemoryContextSwitchTo(receiver->run_context);
	Input *input = find_input(receiver, values, isnull);
	bool is_taken = false;

	for (int i = 0; i < receiver->inputs->nmultiplicities; i++)
		is_taken |= DatumGetInt64(added[i]) > 0;
	if (is_taken && input == NULL)
		input = add_input(receiver, values, isnull);
	for (int i = 0; is_taken && i < receiver->inputs->nmultiplicities; i++)
		input->added[i] += DatumGetInt64(added[i]);
	MemoryContextSwitchTo(old);
}

/*
 * Find what is stored of the run.  Other inputs of its hash matter where distinct
 * values are counted, which may be equal without being the same.
 */
static void
probe(InputsReceiver *receiver)
{
	Datum key[] = {Int64GetDatum(receiver->group), Int64GetDatum(receiver->hash)};
	bool no_nulls[] = {false, false};
	bool takes_others = receiver->has_counters && !receiver->types[0].is_image_equal;
	TupleTableSlot *found = sx_state_find(receiver->table, key, no_nulls);

	for (; found; found = sx_state_find_next(receiver->table))
	{
		const Datum *values = found->tts_values + NTABLE_LEADING;
		const bool *isnull = found->tts_isnull + NTABLE_LEADING;
		Input *input = find_input(receiver, values, isnull);

		CHECK_FOR_INTERRUPTS();
		if (input == NULL && takes_others)
			input = add_input(receiver, values, isnull);
		if (input == NULL)
			continue;
		input->is_stored = true;
		input->row = sx_state_row(receiver->table);
		for (int i = 0; i < receiver->inputs->nmultiplicities; i++)
			input->stored[i] = DatumGetInt64(values[receiver->inputs->ninputs + i]);
	}
}

/* How many different values have come, before the batch or with it. */
static int64
count_distinct(InputsReceiver *receiver, int multiplicity, bool with_added)
{
	const InputType *type = &receiver->types[0];
	int64 count = 0;
	List *counted = NIL;
	ListCell *lc;
	ListCell *lo;

	foreach (lc, receiver->run)
	{
		const Input *input = lfirst(lc);
		bool is_new = !input->isnull[0] && (input->stored[multiplicity] > 0 ||
											(with_added && input->added[multiplicity] > 0));

		if (is_new && !type->is_image_equal)
		{
			foreach (lo, counted)
				is_new = is_new && !are_equal(receiver, lfirst(lo), input);
			if (is_new)
				counted = lappend(counted, lfirst(lc));
		}
		count += is_new;
	}
	return count;
}

static void
write_input(InputsReceiver *receiver, const Input *input)
{
	const SxViewInputs *inputs = receiver->inputs;
	Datum *values = receiver->values;
	bool is_changed = !input->is_stored;

	values[0] = Int64GetDatum(receiver->group);
	values[1] = Int64GetDatum(receiver->hash);
	memset(receiver->isnull, false,
		   (NTABLE_LEADING + inputs->ninputs + inputs->nmultiplicities) * sizeof(bool));
	memcpy(values + NTABLE_LEADING, input->values, inputs->ninputs * sizeof(Datum));
	memcpy(receiver->isnull + NTABLE_LEADING, input->isnull, inputs->ninputs * sizeof(bool));
	for (int i = 0; i < inputs->nmultiplicities; i++)
	{
		int64 count = input->stored[i] + input->added[i];

		if (inputs->is_distinct[i])
			count = Min(count, 1);
		is_changed |= count != input->stored[i];
		values[NTABLE_LEADING + inputs->ninputs + i] = Int64GetDatum(count);
	}
	if (is_changed && input->is_stored)
		sx_state_replace(receiver->table, &input->row, values, receiver->isnull);
	else if (is_changed)
		sx_state_insert(receiver->table, values, receiver->isnull);
}

/* Store the run. */
static void
end_run(InputsReceiver *receiver)
{
	const SxViewInputs *inputs = receiver->inputs;
	MemoryContext old = MemoryContextSwitchTo(receiver->run_context);
	ListCell *lc;

	if (receiver->run != NIL)
		probe(receiver);
	for (int i = 0; receiver->run != NIL && i < inputs->nmultiplicities; i++)
	{
		if (inputs->counter[i] >= 0)
			receiver->counted[i] +=
				count_distinct(receiver, i, true) - count_distinct(receiver, i, false);
	}
	foreach (lc, receiver->run)
		write_input(receiver, lfirst(lc));
	SX_DEBUG_POINT("in-inputs");
	receiver->run = NIL;
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->run_context);
}

static void
inputs_destroy(DestReceiver *dest)
{
	InputsReceiver *receiver = (InputsReceiver *) dest;

	sx_state_close(receiver->table);
	sx_state_close(receiver->state);
	MemoryContextDelete(receiver->run_context);
	MemoryContextDelete(receiver->scratch);
}
