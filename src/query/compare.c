/*
 * compare.c
 *	  Two results as multisets of rows: which rows are only in one of them?
 *
 * Both sides are sorted and merged, so memory is bounded by work_mem.  Columns
 * with a tolerance come last in the sort key: rows that agree in the others
 * form a run, and within it a row may have to look for its partner among the
 * few that found none, since rounding can change the order.
 */
#include "compat.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_collation_d.h"
#include "catalog/pg_type_d.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/sortsupport.h"
#include "utils/tuplesort.h"
#include "utils/typcache.h"

#include "query/compare.h"

/* Rows without partner that a run remembers; beyond, they are reported. */
#define MAX_UNMATCHED 1000

typedef struct Column
{
	bool is_text;	  /* compared by its text ... */
	FmgrInfo output;  /* ... made by this */
	bool is_tolerant; /* float or numeric, with a tolerance */
	Oid type;		  /* base type */
} Column;

typedef struct Side
{
	DestReceiver pub;
	SxCompare *compare;
	Tuplesortstate *sort;
	TupleTableSlot *input; /* a row as it is sorted */
	TupleTableSlot *slot;  /* the row that is at the front of the merge */
	bool is_left;
	List *unmatched; /* of the run: MinimalTuples */
} Side;

struct SxCompare
{
	double tolerance;
	Datum tolerance_numeric;
	SxCompareDiffers differs;
	void *context;
	MemoryContext memory;
	MemoryContext row_memory; /* reset for each row */
	MemoryContext run_memory; /* of unmatched rows */
	TupleDesc tupdesc; /* of the rows as they are sorted; NULL before the first side starts */
	int ncolumns;
	Column *columns;
	int nexact;			   /* keys before the tolerant ones */
	AttrNumber *keys;	   /* attnums in the order of comparison */
	SortSupportData *sort; /* beside them */
	Side left;
	Side right;
	TupleTableSlot *left_spare; /* to look at unmatched rows */
	TupleTableSlot *right_spare;
};

static void startup(DestReceiver *self, int operation, TupleDesc typeinfo);
static bool receive(TupleTableSlot *slot, DestReceiver *self);
static void ignore(DestReceiver *self);
static void describe(SxCompare *compare, TupleDesc typeinfo);
static void check_same(const SxCompare *compare, TupleDesc typeinfo);
static void choose_keys(SxCompare *compare);
static Tuplesortstate *begin_sort(SxCompare *compare);
static bool advance(Side *side);
static int
compare_keys(SxCompare *compare, TupleTableSlot *left, TupleTableSlot *right, int first, int end);
static bool is_close_row(SxCompare *compare, TupleTableSlot *left, TupleTableSlot *right);
static bool is_close(SxCompare *compare, Oid type, Datum left, Datum right);
static bool is_close_float(double tolerance, double left, double right);
static bool is_close_numeric(SxCompare *compare, Datum left, Datum right);
static void put_aside(Side *side);
static void end_run(SxCompare *compare);
static bool take_partner(SxCompare *compare, TupleTableSlot *left);
static void report(Side *side, TupleTableSlot *slot);

SxCompare *
sx_compare_begin(double tolerance, SxCompareDiffers differs, void *context)
{
	SxCompare *compare = palloc0(sizeof(SxCompare));

	compare->tolerance = tolerance;
	compare->tolerance_numeric = DirectFunctionCall1(float8_numeric, Float8GetDatum(tolerance));
	compare->differs = differs;
	compare->context = context;
	compare->memory = CurrentMemoryContext;
	compare->row_memory =
		AllocSetContextCreate(CurrentMemoryContext, "streamx compare row", ALLOCSET_DEFAULT_SIZES);
	compare->run_memory =
		AllocSetContextCreate(CurrentMemoryContext, "streamx compare run", ALLOCSET_DEFAULT_SIZES);
	compare->left.is_left = true;
	return compare;
}

DestReceiver *
sx_compare_receiver(SxCompare *compare, bool is_left)
{
	Side *side = is_left ? &compare->left : &compare->right;

	side->compare = compare;
	side->pub.receiveSlot = receive;
	side->pub.rStartup = startup;
	side->pub.rShutdown = ignore;
	side->pub.rDestroy = ignore;
	side->pub.mydest = DestNone;
	return &side->pub;
}

/* ---- sorting ---- */

static void
startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
	Side *side = (Side *) self;
	SxCompare *compare = side->compare;
	MemoryContext old = MemoryContextSwitchTo(compare->memory);

	if (compare->tupdesc == NULL)
	{
		describe(compare, typeinfo);
		choose_keys(compare);
		compare->left_spare = MakeSingleTupleTableSlot(compare->tupdesc, &TTSOpsMinimalTuple);
		compare->right_spare = MakeSingleTupleTableSlot(compare->tupdesc, &TTSOpsMinimalTuple);
	}
	else
		check_same(compare, typeinfo);
	side->sort = begin_sort(compare);
	side->input = MakeSingleTupleTableSlot(compare->tupdesc, &TTSOpsVirtual);
	side->slot = MakeSingleTupleTableSlot(compare->tupdesc, &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(old);
}

/* What columns there are, and how each is compared. */
static void
describe(SxCompare *compare, TupleDesc typeinfo)
{
	int i;

	compare->ncolumns = typeinfo->natts;
	compare->columns = palloc0(sizeof(Column) * typeinfo->natts);
	compare->tupdesc = CreateTemplateTupleDesc(typeinfo->natts);
	for (i = 0; i < typeinfo->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(typeinfo, i);
		Column *column = &compare->columns[i];
		TypeCacheEntry *type =
			lookup_type_cache(attribute->atttypid, TYPECACHE_LT_OPR | TYPECACHE_CMP_PROC);

		column->type = getBaseType(attribute->atttypid);
		column->is_tolerant =
			compare->tolerance > 0 &&
			(column->type == FLOAT4OID || column->type == FLOAT8OID || column->type == NUMERICOID);
		column->is_text = !OidIsValid(type->lt_opr) || !OidIsValid(type->cmp_proc);
		if (column->is_text)
		{
			Oid function;
			bool is_varlena;

			getTypeOutputInfo(attribute->atttypid, &function, &is_varlena);
			fmgr_info(function, &column->output);
		}
		TupleDescInitEntry(compare->tupdesc, i + 1, NameStr(attribute->attname),
						   column->is_text ? TEXTOID : attribute->atttypid,
						   column->is_text ? -1 : attribute->atttypmod, 0);
		TupleDescInitEntryCollation(compare->tupdesc, i + 1,
									column->is_text ? C_COLLATION_OID : attribute->attcollation);
	}
	compare->tupdesc = BlessTupleDesc(compare->tupdesc);
}

static void
check_same(const SxCompare *compare, TupleDesc typeinfo)
{
	int i;

	if (typeinfo->natts != compare->ncolumns)
		elog(ERROR, "results have %d and %d columns", compare->ncolumns, typeinfo->natts);
	for (i = 0; i < typeinfo->natts; i++)
	{
		Oid type = TupleDescAttr(typeinfo, i)->atttypid;

		if (!compare->columns[i].is_text && TupleDescAttr(compare->tupdesc, i)->atttypid != type)
			elog(ERROR, "column %d has types %s and %s", i + 1,
				 format_type_be(TupleDescAttr(compare->tupdesc, i)->atttypid),
				 format_type_be(type));
	}
}

/* Exact columns first. */
static void
choose_keys(SxCompare *compare)
{
	int nkeys = 0;
	int i;

	compare->keys = palloc(sizeof(AttrNumber) * compare->ncolumns);
	compare->sort = palloc0(sizeof(SortSupportData) * compare->ncolumns);
	for (i = 0; i < compare->ncolumns; i++)
	{
		if (!compare->columns[i].is_tolerant)
			compare->keys[nkeys++] = i + 1;
	}
	compare->nexact = nkeys;
	for (i = 0; i < compare->ncolumns; i++)
	{
		if (compare->columns[i].is_tolerant)
			compare->keys[nkeys++] = i + 1;
	}
	for (i = 0; i < nkeys; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(compare->tupdesc, compare->keys[i] - 1);
		SortSupport sort = &compare->sort[i];

		sort->ssup_cxt = compare->memory;
		sort->ssup_collation = attribute->attcollation;
		sort->ssup_attno = attribute->attnum;
		PrepareSortSupportFromOrderingOp(
			lookup_type_cache(attribute->atttypid, TYPECACHE_LT_OPR)->lt_opr, sort);
	}
}

static Tuplesortstate *
begin_sort(SxCompare *compare)
{
	Oid *operators = palloc(sizeof(Oid) * compare->ncolumns);
	Oid *collations = palloc(sizeof(Oid) * compare->ncolumns);
	bool *nulls_first = palloc0(sizeof(bool) * compare->ncolumns);
	int i;

	for (i = 0; i < compare->ncolumns; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(compare->tupdesc, compare->keys[i] - 1);

		operators[i] = lookup_type_cache(attribute->atttypid, TYPECACHE_LT_OPR)->lt_opr;
		collations[i] = attribute->attcollation;
	}
	return tuplesort_begin_heap(compare->tupdesc, compare->ncolumns, compare->keys, operators,
								collations, nulls_first, work_mem, NULL, TUPLESORT_NONE);
}

/* A row of one side: values without B-tree order become text. */
static bool
receive(TupleTableSlot *slot, DestReceiver *self)
{
	Side *side = (Side *) self;
	SxCompare *compare = side->compare;
	MemoryContext old = MemoryContextSwitchTo(compare->row_memory);
	int i;

	slot_getallattrs(slot);
	ExecClearTuple(side->input);
	for (i = 0; i < compare->ncolumns; i++)
	{
		Datum value = slot->tts_values[i];

		if (compare->columns[i].is_text && !slot->tts_isnull[i])
			value = CStringGetTextDatum(OutputFunctionCall(&compare->columns[i].output, value));
		side->input->tts_values[i] = value;
		side->input->tts_isnull[i] = slot->tts_isnull[i];
	}
	ExecStoreVirtualTuple(side->input);
	MemoryContextSwitchTo(compare->memory);
	tuplesort_puttupleslot(side->sort, side->input);
	MemoryContextSwitchTo(old);
	MemoryContextReset(compare->row_memory);
	return true;
}

static void
ignore(DestReceiver *self)
{
}

/* ---- merging ---- */

void
sx_compare_end(SxCompare *compare)
{
	Side *left = &compare->left;
	Side *right = &compare->right;
	bool has_left;
	bool has_right;

	if (left->sort == NULL || right->sort == NULL)
		elog(ERROR, "a side of the comparison is missing");
	tuplesort_performsort(left->sort);
	tuplesort_performsort(right->sort);
	has_left = advance(left);
	has_right = advance(right);
	while (has_left || has_right)
	{
		int order = 0; /* of the exact columns */

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(compare->row_memory);
		if (has_left && has_right)
			order = compare_keys(compare, left->slot, right->slot, 0, compare->nexact);
		else
			order = has_left ? -1 : 1;

		if (order == 0 && is_close_row(compare, left->slot, right->slot))
		{
			has_left = advance(left);
			has_right = advance(right);
			continue;
		}
		if (order == 0)
			order =
				compare_keys(compare, left->slot, right->slot, compare->nexact, compare->ncolumns);
		if (order <= 0)
		{
			put_aside(left);
			has_left = advance(left);
		}
		else
		{
			put_aside(right);
			has_right = advance(right);
		}
	}
	end_run(compare);
	tuplesort_end(left->sort);
	tuplesort_end(right->sort);
	ExecDropSingleTupleTableSlot(left->input);
	ExecDropSingleTupleTableSlot(right->input);
	ExecDropSingleTupleTableSlot(left->slot);
	ExecDropSingleTupleTableSlot(right->slot);
	ExecDropSingleTupleTableSlot(compare->left_spare);
	ExecDropSingleTupleTableSlot(compare->right_spare);
}

static bool
advance(Side *side)
{
	return tuplesort_gettupleslot(side->sort, true, false, side->slot, NULL);
}

static int
compare_keys(SxCompare *compare, TupleTableSlot *left, TupleTableSlot *right, int first, int end)
{
	MemoryContext old = MemoryContextSwitchTo(compare->row_memory);
	int order = 0;
	int i;

	for (i = first; i < end && order == 0; i++)
	{
		bool left_null;
		bool right_null;
		Datum left_value = slot_getattr(left, compare->keys[i], &left_null);
		Datum right_value = slot_getattr(right, compare->keys[i], &right_null);

		order =
			ApplySortComparator(left_value, left_null, right_value, right_null, &compare->sort[i]);
	}
	MemoryContextSwitchTo(old);
	return order;
}

/* ---- tolerance ---- */

/* Whether the tolerant columns of two rows are close enough. */
static bool
is_close_row(SxCompare *compare, TupleTableSlot *left, TupleTableSlot *right)
{
	MemoryContext old = MemoryContextSwitchTo(compare->row_memory);
	bool is_equal = true;
	int i;

	for (i = compare->nexact; i < compare->ncolumns && is_equal; i++)
	{
		AttrNumber attnum = compare->keys[i];
		bool left_null;
		bool right_null;
		Datum left_value = slot_getattr(left, attnum, &left_null);
		Datum right_value = slot_getattr(right, attnum, &right_null);

		if (left_null || right_null)
			is_equal = left_null && right_null;
		else
			is_equal =
				ApplySortComparator(left_value, false, right_value, false, &compare->sort[i]) ==
					0 ||
				is_close(compare, compare->columns[attnum - 1].type, left_value, right_value);
	}
	MemoryContextSwitchTo(old);
	return is_equal;
}

static bool
is_close(SxCompare *compare, Oid type, Datum left, Datum right)
{
	switch (type)
	{
		case FLOAT4OID:
			return is_close_float(compare->tolerance, DatumGetFloat4(left), DatumGetFloat4(right));
		case FLOAT8OID:
			return is_close_float(compare->tolerance, DatumGetFloat8(left), DatumGetFloat8(right));
		default:
			return is_close_numeric(compare, left, right);
	}
}

static bool
is_close_float(double tolerance, double left, double right)
{
	if (!isfinite(left) || !isfinite(right))
		return false;
	return fabs(left - right) <= tolerance * fmax(1.0, fmax(fabs(left), fabs(right)));
}

static bool
is_close_numeric(SxCompare *compare, Datum left, Datum right)
{
	Datum scale = DirectFunctionCall1(int4_numeric, Int32GetDatum(1));
	Datum difference;

	if (numeric_is_nan(DatumGetNumeric(left)) || numeric_is_inf(DatumGetNumeric(left)) ||
		numeric_is_nan(DatumGetNumeric(right)) || numeric_is_inf(DatumGetNumeric(right)))
		return false;
	difference = DirectFunctionCall1(numeric_abs, DirectFunctionCall2(numeric_sub, left, right));
	scale = DirectFunctionCall2(numeric_larger, scale, DirectFunctionCall1(numeric_abs, left));
	scale = DirectFunctionCall2(numeric_larger, scale, DirectFunctionCall1(numeric_abs, right));
	return DatumGetBool(
		DirectFunctionCall2(numeric_le, difference,
							DirectFunctionCall2(numeric_mul, compare->tolerance_numeric, scale)));
}

/* ---- rows without partner ---- */

/* The row at the front of a side has no partner there; others of its run may be one. */
static void
put_aside(Side *side)
{
	SxCompare *compare = side->compare;
	Side *other = side->is_left ? &compare->right : &compare->left;
	List *newest = side->unmatched ? side->unmatched : other->unmatched;
	TupleTableSlot *spare = side->is_left ? compare->left_spare : compare->right_spare;
	MemoryContext old;

	if (compare->nexact == compare->ncolumns)
	{
		report(side, side->slot);
		return;
	}
	if (newest != NIL)
	{
		ExecStoreMinimalTuple(llast(newest), spare, false);
		if (compare_keys(compare, spare, side->slot, 0, compare->nexact) != 0 ||
			list_length(side->unmatched) >= MAX_UNMATCHED)
			end_run(compare);
		ExecClearTuple(spare);
	}
	old = MemoryContextSwitchTo(compare->run_memory);
	side->unmatched = lappend(side->unmatched, ExecCopySlotMinimalTuple(side->slot));
	MemoryContextSwitchTo(old);
}

/* Pair what was put aside, and report what is left. */
static void
end_run(SxCompare *compare)
{
	ListCell *lc;

	foreach (lc, compare->left.unmatched)
	{
		ExecStoreMinimalTuple(lfirst(lc), compare->left_spare, false);
		if (!take_partner(compare, compare->left_spare))
			report(&compare->left, compare->left_spare);
		MemoryContextReset(compare->row_memory);
	}
	foreach (lc, compare->right.unmatched)
	{
		ExecStoreMinimalTuple(lfirst(lc), compare->right_spare, false);
		report(&compare->right, compare->right_spare);
		MemoryContextReset(compare->row_memory);
	}
	ExecClearTuple(compare->left_spare);
	ExecClearTuple(compare->right_spare);
	compare->left.unmatched = NIL;
	compare->right.unmatched = NIL;
	MemoryContextReset(compare->run_memory);
}

/* Find a row of the right side's unmatched ones that is close, and remove it. */
static bool
take_partner(SxCompare *compare, TupleTableSlot *left)
{
	ListCell *lc;

	foreach (lc, compare->right.unmatched)
	{
		ExecStoreMinimalTuple(lfirst(lc), compare->right_spare, false);
		if (!is_close_row(compare, left, compare->right_spare))
			continue;
		compare->right.unmatched = foreach_delete_current (compare->right.unmatched, lc);
		return true;
	}
	return false;
}

static void
report(Side *side, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(side->compare->row_memory);

	side->compare->differs(side->compare->context, side->is_left,
						   ExecFetchSlotHeapTupleDatum(slot));
	MemoryContextSwitchTo(old);
}
