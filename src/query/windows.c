/*
 * windows.c
 *	  The foreign-data wrapper streamx_windows: planning of scans.
 *
 * A foreign table of it has a row for each group key and window of a hop or
 * cumulate view:
 *
 *		k1 … kn  window_start  window_end  a1 … am (combined states)
 *
 * A scan reads the slices that conditions on keys and window leave, in the
 * order of keys and slices, through an ordinary plan of its own (slices.c), and
 * composes windows from them (windows_scan.c, compose.c).  Every condition also
 * stays a filter.
 *
 * Conditions on keys are pushed down when they are the key type's own
 * comparisons: those treat all slices of a key alike.  Conditions on the window
 * column say where windows start (pushdown.c), and so where slices do.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "catalog/spi.h"
#include "query/pushdown.h"
#include "query/run.h"
#include "query/slices.h"
#include "query/windows.h"

/* A combination of two states, in calls of a function as cheap as an operator. */
#define COMBINE_CALLS 20

/* What planning knows of a foreign table. */
typedef struct Windows
{
	Oid view;
	SxWindow window;
	SxSlices slices; /* without conditions */
	double slices_per_key;
	double rows; /* of a scan without outer relations */
	Cost startup;
	Cost total;
} Windows;

/* Conditions, sorted by what becomes of them. */
typedef struct Conditions
{
	List *starts;
	List *keys;
	List *others; /* RestrictInfos that are filters only */
} Conditions;

static Windows *load_windows(RelOptInfo *baserel, Oid relid);
static List *needed_aggregates(RelOptInfo *baserel, const SxView *view);
static void
sort_conditions(PlannerInfo *root, RelOptInfo *baserel, List *restrictions, Conditions *conditions);
static bool is_about_start(const Windows *windows, Node *column);
static List *derive_starts(PlannerInfo *root, RelOptInfo *baserel, Node *clause);
static Node *column_condition(PlannerInfo *root, RelOptInfo *baserel, Node *clause);
static bool is_column(const Windows *windows, Index relid, Node *node, Var **column);
static bool is_operand(PlannerInfo *root, Index relid, Node *node);
static bool is_comparison(const Var *column, Oid opno, Oid collation);
static void estimate(PlannerInfo *root, RelOptInfo *baserel, const Windows *windows,
					 List *restrictions, double *rows, Cost *startup, Cost *total);
static PlannedStmt *plan_slices(PlannerInfo *root, const Windows *windows, const SxSlices *slices,
								SxComposeLimits *limits);
static double windows_of(const Windows *windows, double slices, const SxSlices *conditions,
						 const SxComposeLimits *limits);
static double slices_per_key(Relation state, AttrNumber slice_start);
static List *outer_parameters(PlannerInfo *root, RelOptInfo *baserel);
static bool is_useful(PlannerInfo *root, RelOptInfo *baserel, RestrictInfo *restriction);
static bool is_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
						  EquivalenceMember *em, void *arg);

const SxView *
sx_windows_view(Oid relid)
{
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(relid);
	bool is_null = true;
	Oid view = InvalidOid;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_look_up("SELECT view FROM streamx.views WHERE windows = $1", 1, &type, &value) == 1)
		view = DatumGetObjectId(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	sx_spi_end(&spi);
	if (is_null)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("foreign table \"%s\" belongs to no continuous view", get_rel_name(relid)),
				 errdetail("It composes the windows of a view that is not there any more."),
				 errhint("Drop the foreign table.")));
	return sx_view_load(view);
}

/* ---- paths ---- */

static void
get_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	Windows *windows = load_windows(baserel, relid);

	baserel->fdw_private = windows;
	estimate(root, baserel, windows, baserel->baserestrictinfo, &windows->rows, &windows->startup,
			 &windows->total);
	baserel->rows = windows->rows;
}

static Windows *
load_windows(RelOptInfo *baserel, Oid relid)
{
	const SxView *view = sx_windows_view(relid);
	Windows *windows = palloc0(sizeof(Windows));
	Relation state = table_open(view->state, AccessShareLock);

	windows->view = view->relid;
	windows->window = view->window;
	windows->slices.state = view->state;
	windows->slices.nkeys = view->nkeys;
	windows->slices.relid = baserel->relid;
	windows->slices.is_bounded = view->removes_windows;
	windows->slices.start_type = TupleDescAttr(RelationGetDescr(state), view->nkeys)->atttypid;
	windows->slices.aggregates = needed_aggregates(baserel, view);
	windows->slices_per_key = slices_per_key(state, view->nkeys + 1);
	table_close(state, NoLock);
	return windows;
}

/* The aggregates whose states a scan must hand out: those in its target and conditions. */
static List *
needed_aggregates(RelOptInfo *baserel, const SxView *view)
{
	Bitmapset *attributes = NULL;
	List *aggregates = NIL;
	bool is_whole_row;
	ListCell *lc;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &attributes);
	foreach (lc, baserel->baserestrictinfo)
		pull_varattnos((Node *) lfirst_node(RestrictInfo, lc)->clause, baserel->relid, &attributes);
	is_whole_row =
		bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, attributes);
	for (int i = 0; i < view->naggregates; i++)
	{
		AttrNumber attnum = view->nkeys + view->nslice + i + 1;

		if (is_whole_row || bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, attributes))
			aggregates = lappend_int(aggregates, i);
	}
	return aggregates;
}

static void
get_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	const Windows *windows = baserel->fdw_private;
	ListCell *lc;

	add_path(baserel,
			 (Path *) sx_create_foreignscan_path(root, baserel, windows->rows, windows->startup,
												 windows->total, baserel->lateral_relids));
	foreach (lc, outer_parameters(root, baserel))
	{
		ParamPathInfo *outer = lfirst(lc);
		Cost startup;
		Cost total;

		estimate(root, baserel, windows,
				 list_concat_copy(baserel->baserestrictinfo, outer->ppi_clauses), &outer->ppi_rows,
				 &startup, &total);
		add_path(baserel,
				 (Path *) sx_create_foreignscan_path(root, baserel, outer->ppi_rows, startup, total,
													 outer->ppi_req_outer));
	}
}

/*
 * Sets of other relations whose values join clauses would let us read few
 * slices with, as parameters of a nested loop.
 */
static List *
outer_parameters(PlannerInfo *root, RelOptInfo *baserel)
{
	const Windows *windows = baserel->fdw_private;
	List *clauses = NIL;
	List *parameters = NIL;
	ListCell *lc;

	foreach (lc, baserel->joininfo)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, lc);

		if (join_clause_is_movable_to(restriction, baserel) &&
			is_useful(root, baserel, restriction))
			clauses = lappend(clauses, restriction);
	}
	for (AttrNumber key = 1; baserel->has_eclass_joins && key <= windows->slices.nkeys; key++)
		clauses = list_concat(
			clauses, generate_implied_equalities_for_column(root, baserel, is_key_member, &key,
															baserel->lateral_referencers));
	foreach (lc, clauses)
	{
		Relids outer =
			bms_union(lfirst_node(RestrictInfo, lc)->clause_relids, baserel->lateral_relids);

		outer = bms_del_member(outer, baserel->relid);
		if (!bms_is_empty(outer))
			parameters =
				list_append_unique_ptr(parameters, get_baserel_parampathinfo(root, baserel, outer));
	}
	return parameters;
}

static bool
is_useful(PlannerInfo *root, RelOptInfo *baserel, RestrictInfo *restriction)
{
	Conditions conditions;

	sort_conditions(root, baserel, list_make1(restriction), &conditions);
	return conditions.others == NIL;
}

/* Whether a member of an equivalence class is a certain key (*arg). */
static bool
is_key_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec, EquivalenceMember *em,
			  void *arg)
{
	Var *column;

	return is_column(rel->fdw_private, rel->relid, (Node *) em->em_expr, &column) &&
		   column->varattno == *(AttrNumber *) arg;
}

/* ---- conditions ---- */

static void
sort_conditions(PlannerInfo *root, RelOptInfo *baserel, List *restrictions, Conditions *conditions)
{
	const Windows *windows = baserel->fdw_private;
	ListCell *lc;

	memset(conditions, 0, sizeof(Conditions));
	foreach (lc, restrictions)
	{
		RestrictInfo *restriction = lfirst_node(RestrictInfo, lc);
		Node *condition = NULL;
		List *starts = NIL;

		if (restriction->pseudoconstant)
			continue;
		/* what a security barrier keeps back must not see rows first */
		if (restriction_is_securely_promotable(restriction, baserel))
		{
			starts = derive_starts(root, baserel, (Node *) restriction->clause);
			condition = column_condition(root, baserel, (Node *) restriction->clause);
		}
		if (starts != NIL)
			conditions->starts = list_concat(conditions->starts, starts);
		else if (condition == NULL)
			conditions->others = lappend(conditions->others, restriction);
		else if (is_about_start(windows, condition))
			conditions->starts = lappend(conditions->starts, condition);
		else
			conditions->keys = lappend(conditions->keys, condition);
	}
}

/*
 * What a condition on the window says of where it starts.  A range made of a key
 * looks like a window to pushdown.c.
 */
static List *
derive_starts(PlannerInfo *root, RelOptInfo *baserel, Node *clause)
{
	const Windows *windows = baserel->fdw_private;
	List *starts = sx_pushdown_derive(root, baserel->relid, clause);
	int start = windows->slices.nkeys + 1 - FirstLowInvalidHeapAttributeNumber;
	Bitmapset *columns = NULL;

	pull_varattnos((Node *) starts, baserel->relid, &columns);
	return bms_is_subset(columns, bms_make_singleton(start)) ? starts : NIL;
}

/* A comparison of a key, or of where windows start, with its column on the left; NULL: it is none. */
static Node *
column_condition(PlannerInfo *root, RelOptInfo *baserel, Node *clause)
{
	const Windows *windows = baserel->fdw_private;
	Index relid = baserel->relid;
	Var *column;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr *comparison = (OpExpr *) clause;

		if (!is_column(windows, relid, linitial(comparison->args), &column))
		{
			if (!is_column(windows, relid, lsecond(comparison->args), &column) ||
				!OidIsValid(get_commutator(comparison->opno)))
				return NULL;
			comparison = copyObject(comparison);
			CommuteOpExpr(comparison);
		}
		return is_comparison(column, comparison->opno, comparison->inputcollid) &&
					   is_operand(root, relid, lsecond(comparison->args))
				   ? (Node *) comparison
				   : NULL;
	}
	if (IsA(clause, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) clause;

		return any->useOr && is_column(windows, relid, linitial(any->args), &column) &&
					   is_comparison(column, any->opno, any->inputcollid) &&
					   is_operand(root, relid, lsecond(any->args))
				   ? clause
				   : NULL;
	}
	return IsA(clause, NullTest) && !((NullTest *) clause)->argisrow &&
				   is_column(windows, relid, (Node *) ((NullTest *) clause)->arg, &column) &&
				   column->varattno <= windows->slices.nkeys
			   ? clause
			   : NULL;
}

static bool
is_column(const Windows *windows, Index relid, Node *node, Var **column)
{
	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	*column = (Var *) node;
	return node && IsA(node, Var) && (*column)->varno == relid && (*column)->varlevelsup == 0 &&
		   (*column)->varattno >= 1 && (*column)->varattno <= windows->slices.nkeys + 1;
}

/* Whether slices of equal keys all meet a comparison, or none: as the key's own order has it. */
static bool
is_comparison(const Var *column, Oid opno, Oid collation)
{
	TypeCacheEntry *type = lookup_type_cache(column->vartype, TYPECACHE_BTREE_OPFAMILY);

	return OidIsValid(type->btree_opf) && get_op_opfamily_strategy(opno, type->btree_opf) != 0 &&
		   (collation == column->varcollid || !OidIsValid(collation));
}

/* Whether a value is the same for all rows of a scan. */
static bool
is_operand(PlannerInfo *root, Index relid, Node *node)
{
	return !bms_is_member(relid, pull_varnos(root, node)) && !contain_volatile_functions(node) &&
		   !contain_subplans(node);
}

static bool
is_about_start(const Windows *windows, Node *condition)
{
	Var *column;
	Node *left;

	if (IsA(condition, NullTest))
		return false;
	left = IsA(condition, OpExpr) ? linitial(((OpExpr *) condition)->args)
								  : linitial(((ScalarArrayOpExpr *) condition)->args);
	return is_column(windows, windows->slices.relid, left, &column) &&
		   column->varattno > windows->slices.nkeys;
}

/* ---- estimates ---- */

static void
estimate(PlannerInfo *root, RelOptInfo *baserel, const Windows *windows, List *restrictions,
		 double *rows, Cost *startup, Cost *total)
{
	SxComposeLimits limits = {DT_NOBEGIN, DT_NOEND, DT_NOBEGIN};
	SxSlices slices = windows->slices;
	Conditions conditions;
	PlannedStmt *plan;
	double composed;

	sort_conditions(root, baserel, restrictions, &conditions);
	slices.start_conditions = conditions.starts;
	slices.key_conditions = conditions.keys;
	slices.is_bounded |= conditions.starts != NIL;
	plan = plan_slices(root, windows, &slices, &limits);

	composed = windows_of(windows, plan->planTree->plan_rows, &slices, &limits);
	*rows = clamp_row_est(composed *
						  clauselist_selectivity(root, conditions.others, 0, JOIN_INNER, NULL));
	*startup = plan->planTree->startup_cost + baserel->baserestrictcost.startup;
	*total = plan->planTree->total_cost + baserel->baserestrictcost.startup +
			 composed * (cpu_tuple_cost + baserel->baserestrictcost.per_tuple) +
			 (composed + plan->planTree->plan_rows) * COMBINE_CALLS * cpu_operator_cost *
				 list_length(slices.aggregates);
}

/* The plan for the slices, with the operands' values as far as they are known. */
static PlannedStmt *
plan_slices(PlannerInfo *root, const Windows *windows, const SxSlices *slices,
			SxComposeLimits *limits)
{
	List *nodes = sx_slices_operands(slices);
	SxOperand *operands = palloc0(Max(list_length(nodes), 1) * sizeof(SxOperand));
	PlannedStmt *plan;
	ListCell *lc;
	SxRunAs saved;

	foreach (lc, nodes)
	{
		Const *value = (Const *) estimate_expression_value(root, lfirst(lc));
		SxOperand *operand = &operands[foreach_current_index(lc)];

		operand->is_known = IsA(value, Const);
		operand->is_null = !operand->is_known || value->constisnull;
		operand->value = operand->is_null ? (Datum) 0 : value->constvalue;
	}
	sx_slices_limit(slices, operands, limits);

	sx_run_begin(sx_view_load(windows->view), &saved);
	plan = sx_slices_plan(
		slices, sx_slices_params(slices, operands, limits, sx_window_most_us(&windows->window)),
		false);
	sx_run_end(&saved);
	return plan;
}

/*
 * How many windows so many slices make.  Of one key, as many as it has
 * slices, and the overlap of a span's windows more; within limits the slices
 * were read for windows that are partly outside of them.
 */
static double
windows_of(const Windows *windows, double slices, const SxSlices *conditions,
		   const SxComposeLimits *limits)
{
	const SxWindow *window = &windows->window;
	double overlap = Max(1.0, (double) window->size_us / window->step_us);
	double keys = Max(1.0, slices / Max(1.0, windows->slices_per_key));
	double span;

	if (window->kind == SX_WINDOW_CUMULATE)
		return slices + keys * overlap / 2;
	if (conditions->start_conditions == NIL)
		return slices + keys * overlap;
	if (limits->first_start == DT_NOBEGIN || limits->last_start == DT_NOEND)
		return slices;
	span = Max(0.0, (double) limits->last_start - (double) limits->first_start);
	return slices * (span + window->step_us) / (span + window->size_us);
}

/* A guess: as many as there are distinct ones, if statistics tell. */
static double
slices_per_key(Relation state, AttrNumber slice_start)
{
	HeapTuple tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(RelationGetRelid(state)),
									  Int16GetDatum(slice_start), BoolGetDatum(false));
	double rows = Max(state->rd_rel->reltuples, 1.0);
	double distinct = 0;

	if (HeapTupleIsValid(tuple))
	{
		distinct = ((Form_pg_statistic) GETSTRUCT(tuple))->stadistinct;
		ReleaseSysCache(tuple);
	}
	return distinct > 0 ? distinct : distinct < 0 ? -distinct * rows : rows;
}

/* ---- plan ---- */

static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid, ForeignPath *best_path, List *tlist,
		 List *scan_clauses, Plan *outer_plan)
{
	const Windows *windows = baserel->fdw_private;
	Conditions conditions;
	bool is_fast = root->tuple_fraction > 0 || root->limit_tuples > 0;
	List *kept;

	sort_conditions(root, baserel, scan_clauses, &conditions);
	kept = list_make3(makeInteger(list_length(conditions.starts)), windows->slices.aggregates,
					  makeInteger(is_fast));
	return make_foreignscan(tlist, extract_actual_clauses(scan_clauses, false), baserel->relid,
							list_concat(conditions.starts, conditions.keys), kept, NIL, NIL,
							outer_plan);
}

/* ---- handler ---- */

SX_EXPORT Datum streamx_windows_handler(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(streamx_windows_handler);

Datum
streamx_windows_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = get_rel_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->BeginForeignScan = sx_windows_begin;
	routine->IterateForeignScan = sx_windows_iterate;
	routine->ReScanForeignScan = sx_windows_rescan;
	routine->EndForeignScan = sx_windows_end;
	routine->ExplainForeignScan = sx_windows_explain;
	PG_RETURN_POINTER(routine);
}
