/*
 * windows_scan.c
 *	  The foreign-data wrapper streamx_windows: execution of scans.
 *
 *      slices' plan --row by row--> compose --portions of windows--> the query
 *
 * Slices are read and composed as the view's owner, whoever reads, because
 * types' and aggregates' functions are the owner's matter; by portions, because
 * to change roles costs about as much as a window.  The first portions are small, for a
 * LIMIT.  What is held is a portion, and the slices of one key that overlap.
 *
 * The slices' plan is run by the executor itself, with the snapshot and the
 * resources of the query: it is a part of it, and no statement of its own.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "commands/explain.h"
#include "common/int.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "nodes/value.h"
#include "tcop/dest.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include SX_EXPLAIN_FORMAT_H
#include SX_EXPLAIN_STATE_H

#include "aggregate/image.h"
#include "query/compose.h"
#include "query/retention.h"
#include "query/run.h"
#include "query/slices.h"
#include "query/windows.h"

#define FIRST_PORTION 8
#define LARGEST_PORTION 256

typedef struct WindowsScan
{
	Oid view;
	const char *view_name;
	SxWindow window;
	bool has_retention;
	int64 removed_through;
	SxSlices slices;
	bool is_fast;
	List *operands; /* ExprStates */
	int naggregates;
	SxAggregate **aggregates; /* those in use */
	int list;				  /* that of them which is input groups, or -1 */
	SxCompose *compose;

	/* reading slices */
	bool is_begun;
	MemoryContext start_context; /* from start to stop */
	SxComposeLimits limits;
	PlannedStmt *plan; /* for all starts */
	QueryDesc *query;
	bool is_read;		 /* to its end */
	TupleTableSlot *row; /* the next one; NULL: to be read */
	TupleTableSlot *key; /* the first row of the key at hand */
	bool has_key;
	bool is_complete;	   /* compose knows all rows of the key */
	TupleTableSlot *shown; /* keys alone; NULL: equal keys have the same bytes */
	ExprState *is_same_key;
	ExprContext *comparison;
	int64 nread;

	/* windows to be handed out */
	MemoryContext portion_context;
	int portion_size;
	int nwindows;
	int next;
	Datum *values; /* of all columns, window by window */
	bool *isnull;
	bool is_at_end;
} WindowsScan;

static void open_aggregates(WindowsScan *scan, const SxView *view);
static void explain_query(ForeignScanState *node, WindowsScan *scan, struct ExplainState *es);
static void plan_for_constants(WindowsScan *scan);
static void start(ForeignScanState *node, WindowsScan *scan);
static void evaluate_operands(ForeignScanState *node, WindowsScan *scan, SxOperand *operands);
static int64 removed_through(ForeignScanState *node, const WindowsScan *scan);
static void limit_to_retained(WindowsScan *scan);
static void begin_query(ForeignScanState *node, WindowsScan *scan, const SxOperand *operands);
static void open_key(WindowsScan *scan, TupleDesc desc);
static void stop(WindowsScan *scan);
static void fill_portion(ForeignScanState *node, WindowsScan *scan);
static void compose_portion(WindowsScan *scan, int ncolumns);
static bool take_row(WindowsScan *scan);
static bool read_row(WindowsScan *scan);
static bool is_same_key(WindowsScan *scan);
static bool has_varying_keys(TupleDesc desc, int nkeys);
static TupleTableSlot *make_key_slot(TupleDesc desc, int nkeys);
static MinimalTuple key_of_row(const WindowsScan *scan);
static void keep_window(WindowsScan *scan, const SxComposed *window, int ncolumns);
static void
keep_value(Form_pg_attribute column, Datum value, bool value_is_null, Datum *kept, bool *is_null);

/* ---- callbacks ---- */

void
sx_windows_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *kept = plan->fdw_private;
	int nstarts = intVal(list_nth(kept, SX_WINDOWS_NSTARTS));
	const SxView *view = sx_windows_view(RelationGetRelid(node->ss.ss_currentRelation));
	WindowsScan *scan = palloc0(sizeof(WindowsScan));
	Form_pg_attribute start =
		TupleDescAttr(RelationGetDescr(node->ss.ss_currentRelation), view->nkeys);

	node->fdw_state = scan;
	scan->view = view->relid;
	scan->view_name = pstrdup(view->name);
	scan->window = view->window;
	scan->has_retention = view->removes_windows;
	scan->slices.state = view->state;
	scan->slices.nkeys = view->nkeys;
	scan->slices.start_type = start->atttypid;
	scan->slices.aggregates = list_nth(kept, SX_WINDOWS_AGGREGATES);
	scan->slices.relid = plan->scan.scanrelid;
	scan->slices.start_conditions = list_copy_head(plan->fdw_exprs, nstarts);
	scan->slices.key_conditions = list_copy_tail(plan->fdw_exprs, nstarts);
	scan->slices.is_bounded = nstarts > 0 || scan->has_retention;
	scan->is_fast = intVal(list_nth(kept, SX_WINDOWS_IS_FAST)) != 0;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	scan->operands = ExecInitExprList(sx_slices_operands(&scan->slices), &node->ss.ps);
	open_aggregates(scan, view);
	if (scan->has_retention)
		scan->removed_through = removed_through(node, scan);
	scan->compose = sx_compose_open(&scan->window, scan->aggregates, scan->naggregates, scan->list,
									CurrentMemoryContext);
	scan->start_context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx slices query", ALLOCSET_SMALL_SIZES);
	scan->portion_context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx windows", ALLOCSET_DEFAULT_SIZES);
	scan->portion_size = FIRST_PORTION;
}

/*
 * As the query's snapshot has it, and before anything is read: a cursor's first
 * FETCH would merge rows that were inserted since, and see what they remove.
 */
static int64
removed_through(ForeignScanState *node, const WindowsScan *scan)
{
	int64 removed;

	PushActiveSnapshot(node->ss.ps.state->es_snapshot);
	removed = sx_retention_removed_through(scan->view);
	PopActiveSnapshot();
	return removed;
}

/* Copies of what the view's cache entry has, which may go away. */
static void
open_aggregates(WindowsScan *scan, const SxView *view)
{
	ListCell *lc;

	sx_view_check_states(view);
	scan->aggregates = palloc(list_length(scan->slices.aggregates) * sizeof(SxAggregate *));
	scan->list = -1;
	foreach (lc, scan->slices.aggregates)
	{
		const Aggref *aggref = copyObject(list_nth(view->aggregates, lfirst_int(lc)));

		if (lfirst_int(lc) == view->input_groups)
			scan->list = scan->naggregates;
		scan->aggregates[scan->naggregates++] =
			sx_aggregate_open_aggref(aggref, view->owner, CurrentMemoryContext);
	}
}

TupleTableSlot *
sx_windows_iterate(ForeignScanState *node)
{
	WindowsScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	int ncolumns = slot->tts_tupleDescriptor->natts;

	ExecClearTuple(slot);
	if (scan->next == scan->nwindows && !scan->is_at_end)
		fill_portion(node, scan);
	if (scan->next == scan->nwindows)
		return slot;
	memcpy(slot->tts_values, scan->values + scan->next * ncolumns, ncolumns * sizeof(Datum));
	memcpy(slot->tts_isnull, scan->isnull + scan->next * ncolumns, ncolumns * sizeof(bool));
	scan->next++;
	return ExecStoreVirtualTuple(slot);
}

void
sx_windows_rescan(ForeignScanState *node)
{
	WindowsScan *scan = node->fdw_state;

	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	stop(scan);
}

void
sx_windows_end(ForeignScanState *node)
{
	WindowsScan *scan = node->fdw_state;

	if (scan == NULL || scan->compose == NULL)
		return;
	stop(scan);
	sx_compose_close(scan->compose);
	for (int i = 0; i < scan->naggregates; i++)
		sx_aggregate_close(scan->aggregates[i]);
}

void
sx_windows_explain(ForeignScanState *node, struct ExplainState *es)
{
	WindowsScan *scan = node->fdw_state;
	List *conditions = ((ForeignScan *) node->ss.ps.plan)->fdw_exprs;

	if (conditions != NIL)
	{
		List *context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, NIL);

		ExplainPropertyText("Slices",
							deparse_expression((Node *) make_ands_explicit(conditions), context,
											   es->verbose, false),
							es);
	}
	if (es->analyze)
	{
		ExplainPropertyInteger("Slices Read", NULL, scan->nread, es);
		ExplainPropertyInteger("States Combined", NULL, sx_compose_combined(scan->compose), es);
	}
	explain_query(node, scan, es);
}

/* The slices' plan, as if it were a part of the scan's.  It may not have been made yet. */
static void
explain_query(ForeignScanState *node, WindowsScan *scan, struct ExplainState *es)
{
	ExplainState saved = *es;
	QueryDesc *query;
	SxRunAs as;

	PushActiveSnapshot(node->ss.ps.state->es_snapshot);
	sx_run_begin(sx_view_load(scan->view), &as);
	if (scan->plan == NULL)
		plan_for_constants(scan);
	query = CreateQueryDesc(scan->plan, "", node->ss.ps.state->es_snapshot, InvalidSnapshot,
							None_Receiver, NULL, NULL, 0);
	standard_ExecutorStart(query, EXEC_FLAG_EXPLAIN_ONLY);
	es->analyze = es->buffers = es->wal = false; /* they are in the scan's own */
	ExplainPrintPlan(es, query);
	*es = saved;
	standard_ExecutorEnd(query);
	FreeQueryDesc(query);
	sx_run_end(&as);
	PopActiveSnapshot();
}

static void
plan_for_constants(WindowsScan *scan)
{
	SxComposeLimits limits = {DT_NOBEGIN, DT_NOEND, DT_NOBEGIN};
	List *nodes = sx_slices_operands(&scan->slices);
	SxOperand *operands = palloc0(Max(list_length(nodes), 1) * sizeof(SxOperand));
	ListCell *lc;

	foreach (lc, nodes)
	{
		const Const *value = lfirst(lc);

		if (IsA(value, Const))
			operands[foreach_current_index(lc)] =
				(SxOperand){value->constvalue, value->constisnull, true};
	}
	sx_slices_limit(&scan->slices, operands, &limits);
	scan->plan = sx_slices_plan(
		&scan->slices,
		sx_slices_params(&scan->slices, operands, &limits, sx_window_most_us(&scan->window)),
		scan->is_fast);
}

/* ---- the slices' query ---- */

/* Begin to read slices; at the end at once when no window can be wanted. */
static void
start(ForeignScanState *node, WindowsScan *scan)
{
	SxOperand *operands = palloc(Max(list_length(scan->operands), 1) * sizeof(SxOperand));

	evaluate_operands(node, scan, operands);
	scan->limits = (SxComposeLimits){DT_NOBEGIN, DT_NOEND, DT_NOBEGIN};
	sx_slices_limit(&scan->slices, operands, &scan->limits);
	if (scan->has_retention)
		limit_to_retained(scan);
	scan->is_begun = true;
	scan->is_at_end = scan->limits.first_start > scan->limits.last_start;
	if (!scan->is_at_end)
		begin_query(node, scan, operands);
}

/* As the reader: what is compared with is the reader's expression. */
static void
evaluate_operands(ForeignScanState *node, WindowsScan *scan, SxOperand *operands)
{
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(scan->start_context);
	ListCell *lc;

	foreach (lc, scan->operands)
	{
		SxOperand *operand = &operands[foreach_current_index(lc)];
		ExprState *expression = lfirst(lc);
		Oid type = exprType((Node *) expression->expr);
		int16 length;
		bool by_value;

		get_typlenbyval(type, &length, &by_value);
		operand->is_known = true;
		operand->value = ExecEvalExpr(expression, econtext, &operand->is_null);
		operand->value = operand->is_null ? (Datum) 0 : datumCopy(operand->value, by_value, length);
	}
	MemoryContextSwitchTo(old);
}

/* Windows that were removed are not there, though some of their slices may be. */
static void
limit_to_retained(WindowsScan *scan)
{
	int64 first_start;

	if (scan->removed_through == DT_NOBEGIN)
		return;
	scan->limits.end_after = scan->removed_through;
	if (!pg_sub_s64_overflow(scan->removed_through, sx_window_most_us(&scan->window), &first_start))
		scan->limits.first_start = Max(scan->limits.first_start, first_start);
}

static void
begin_query(ForeignScanState *node, WindowsScan *scan, const SxOperand *operands)
{
	EState *estate = node->ss.ps.state;
	ParamListInfo params =
		sx_slices_params(&scan->slices, operands, &scan->limits, sx_window_most_us(&scan->window));
	SxRunAs saved;

	sx_run_begin(sx_view_load(scan->view), &saved);
	if (scan->plan == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);

		scan->plan = sx_slices_plan(&scan->slices, params, scan->is_fast);
		MemoryContextSwitchTo(old);
	}
	scan->query = CreateQueryDesc(scan->plan, "", estate->es_snapshot, InvalidSnapshot,
								  None_Receiver, params, NULL, 0);
	/* past the hooks: the query we belong to has started, and seen to what they do */
	standard_ExecutorStart(scan->query, 0);
	scan->row = NULL;
	scan->is_read = false;
	open_key(scan, scan->query->tupDesc);
	sx_run_end(&saved);
}

/* What tells keys apart. */
static void
open_key(WindowsScan *scan, TupleDesc desc)
{
	int nkeys = scan->slices.nkeys;
	AttrNumber *columns = palloc(nkeys * sizeof(AttrNumber));
	Oid *operators = palloc(nkeys * sizeof(Oid));
	Oid *collations = palloc(nkeys * sizeof(Oid));

	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		columns[i] = i + 1;
		operators[i] = lookup_type_cache(column->atttypid, TYPECACHE_EQ_OPR)->eq_opr;
		collations[i] = column->attcollation;
	}
	scan->key = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	scan->comparison = CreateStandaloneExprContext();
	scan->is_same_key = execTuplesMatchPrepare(desc, nkeys, columns, operators, collations, NULL);
	scan->has_key = false;
	scan->shown = has_varying_keys(desc, nkeys) ? make_key_slot(desc, nkeys) : NULL;
}

/*
 * Whether equal keys may have different bytes, as 1.0 and 1.00: then a window
 * shows those of its own first row.
 */
static bool
has_varying_keys(TupleDesc desc, int nkeys)
{
	for (int i = 0; i < nkeys; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!sx_image_follows_equality(column->atttypid, column->attcollation))
			return true;
	}
	return false;
}

static TupleTableSlot *
make_key_slot(TupleDesc desc, int nkeys)
{
	TupleDesc keys = CreateTemplateTupleDesc(nkeys);

	for (int i = 1; i <= nkeys; i++)
		TupleDescCopyEntry(keys, i, desc, i);
	return MakeSingleTupleTableSlot(keys, &TTSOpsMinimalTuple);
}

static void
stop(WindowsScan *scan)
{
	if (scan->query)
	{
		ExecDropSingleTupleTableSlot(scan->key);
		if (scan->shown)
			ExecDropSingleTupleTableSlot(scan->shown);
		FreeExprContext(scan->comparison, true);
		standard_ExecutorFinish(scan->query);
		standard_ExecutorEnd(scan->query);
		FreeQueryDesc(scan->query);
		scan->query = NULL;
	}
	MemoryContextReset(scan->start_context);
	MemoryContextReset(scan->portion_context);
	scan->nwindows = scan->next = 0;
	scan->portion_size = FIRST_PORTION;
	scan->is_begun = scan->is_at_end = false;
}

/* ---- portions of windows ---- */

static void
fill_portion(ForeignScanState *node, WindowsScan *scan)
{
	MemoryContext old = MemoryContextSwitchTo(scan->start_context);
	SxRunAs saved;

	PushActiveSnapshot(node->ss.ps.state->es_snapshot);
	if (!scan->is_begun)
		start(node, scan);
	scan->nwindows = scan->next = 0;
	if (!scan->is_at_end)
	{
		sx_run_begin(sx_view_load(scan->view), &saved);
		compose_portion(scan, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor->natts);
		sx_run_end(&saved);
		scan->portion_size = Min(2 * scan->portion_size, LARGEST_PORTION);
	}
	PopActiveSnapshot();
	MemoryContextSwitchTo(old);
}

/* Which window an aggregate could not be computed for. */
static void
name_window(void *arg)
{
	WindowsScan *scan = arg;
	int64 start;
	int64 end;

	if (scan->compose && sx_compose_at(scan->compose, &start, &end))
	{
		char *from = pstrdup(timestamptz_to_str(start));

		errcontext("window [%s, %s) of continuous view \"%s\"", from, timestamptz_to_str(end),
				   scan->view_name);
	}
}

static void
compose_portion(WindowsScan *scan, int ncolumns)
{
	ErrorContextCallback context = {error_context_stack, name_window, scan};
	SxComposed window;

	error_context_stack = &context;

	MemoryContextReset(scan->portion_context);
	MemoryContextSwitchTo(scan->portion_context);
	scan->values = palloc(scan->portion_size * ncolumns * sizeof(Datum));
	scan->isnull = palloc(scan->portion_size * ncolumns * sizeof(bool));
	while (scan->nwindows < scan->portion_size && !scan->is_at_end)
	{
		CHECK_FOR_INTERRUPTS();
		if (scan->has_key && sx_compose_next(scan->compose, &window))
			keep_window(scan, &window, ncolumns);
		else
			scan->is_at_end = !take_row(scan);
	}
	error_context_stack = context.previous;
}

/*
 * Give the next row to compose; or when it is of another key, or there is none, tell it
 * that its key is complete, once.  False: all is done.
 */
static bool
take_row(WindowsScan *scan)
{
	bool has_row = read_row(scan);
	int nkeys = scan->slices.nkeys;
	Datum *values;
	bool *isnull;
	MinimalTuple key;

	if (scan->has_key && !(has_row && is_same_key(scan)))
	{
		if (!scan->is_complete)
		{
			sx_compose_end(scan->compose);
			scan->is_complete = true;
			return true;
		}
		scan->has_key = false;
	}
	if (!has_row)
		return false;
	if (!scan->has_key)
	{
		ExecCopySlot(scan->key, scan->row);
		slot_getallattrs(scan->key);
		sx_compose_begin(scan->compose, &scan->limits);
		scan->has_key = true;
		scan->is_complete = false;
	}
	values = scan->row->tts_values + nkeys;
	isnull = scan->row->tts_isnull + nkeys;
	key = key_of_row(scan);
	sx_compose_add(scan->compose, DatumGetTimestampTz(values[0]), DatumGetTimestampTz(values[1]),
				   values + 2, isnull + 2, key);
	if (key)
		pfree(key);
	scan->row = NULL;
	return true;
}

/* The row's key alone, or NULL if it need not be kept. */
static MinimalTuple
key_of_row(const WindowsScan *scan)
{
	return scan->shown ? sx_form_minimal_tuple(scan->shown->tts_tupleDescriptor,
											   scan->row->tts_values, scan->row->tts_isnull)
					   : NULL;
}

/* The next row in scan->row, when that was taken; false: there is none. */
static bool
read_row(WindowsScan *scan)
{
	EState *estate = scan->query->estate;
	MemoryContext old;
	TupleTableSlot *row;

	if (scan->row)
		return true;
	if (scan->is_read)
		return false;
	old = MemoryContextSwitchTo(estate->es_query_cxt);
	ResetPerTupleExprContext(estate);
	row = ExecProcNode(scan->query->planstate);
	MemoryContextSwitchTo(old);
	if (TupIsNull(row))
	{
		scan->is_read = true;
		return false;
	}
	slot_getallattrs(row);
	scan->row = row;
	scan->nread++;
	return true;
}

static bool
is_same_key(WindowsScan *scan)
{
	scan->comparison->ecxt_innertuple = scan->key;
	scan->comparison->ecxt_outertuple = scan->row;
	return ExecQualAndReset(scan->is_same_key, scan->comparison);
}

/* A row of the foreign table: the key, the window, and states where they are in use. */
static void
keep_window(WindowsScan *scan, const SxComposed *window, int ncolumns)
{
	Datum *values = scan->values + scan->nwindows * ncolumns;
	bool *isnull = scan->isnull + scan->nwindows * ncolumns;
	TupleDesc desc = scan->query->tupDesc;
	int nkeys = scan->slices.nkeys;
	TupleTableSlot *key = scan->key;
	ListCell *lc;

	memset(isnull, true, ncolumns * sizeof(bool));
	if (window->key)
	{
		key = ExecStoreMinimalTuple(window->key, scan->shown, false);
		slot_getallattrs(key);
	}
	for (int i = 0; i < nkeys; i++)
		keep_value(TupleDescAttr(desc, i), key->tts_values[i], key->tts_isnull[i], &values[i],
				   &isnull[i]);
	values[nkeys] = TimestampTzGetDatum(window->start);
	values[nkeys + 1] = TimestampTzGetDatum(window->end);
	isnull[nkeys] = isnull[nkeys + 1] = false;
	foreach (lc, scan->slices.aggregates)
	{
		int i = foreach_current_index(lc);
		int column = nkeys + 2 + lfirst_int(lc);

		keep_value(TupleDescAttr(desc, nkeys + 2 + i), window->states[i], window->isnull[i],
				   &values[column], &isnull[column]);
	}
	scan->nwindows++;
}

static void
keep_value(Form_pg_attribute column, Datum value, bool value_is_null, Datum *kept, bool *is_null)
{
	*is_null = value_is_null;
	*kept = value_is_null ? (Datum) 0 : datumCopy(value, column->attbyval, column->attlen);
}
