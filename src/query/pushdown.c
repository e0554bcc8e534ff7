/*
 * pushdown.c
 *	  Conditions on a view's window column as conditions on where windows start.
 *
 * A visible view shows one of
 *
 *		tumble              w = streamx.tumble_range(slice_start, size)
 *		   calendar sizes   w = streamx.tumble_range(slice_start, size, origin, timezone)
 *		session             w = streamx.window_range(slice_start, slice_end, gap, NULL)
 *		hop, cumulate       w = streamx.window_range(window_start, window_end, least, most)
 *
 * of which the state table has no index.  But each condition on w implies conditions on
 * the start, with the least and the greatest size that a window has:
 *
 *		w @> x           ->   start <= x,  start > x - most
 *		lower(w) >= x    ->   start >= x
 *		upper(w) <= x    ->   start <= x - least
 *		w && r           ->   start <= last of r,  start > first of r - most
 *
 * Sessions have no greatest size, and no conditions that need one.
 *
 * The foreign tables of hop and cumulate ask for these conditions when they
 * plan a scan (windows.c).  For state tables they are to use the index on slice_start: when the planner has made a state table's paths, we show it the implied
 * conditions, let it make index paths once more, and take them away again: so
 * they serve as index conditions only, and what the user wrote is still
 * checked.  A derived condition may therefore accept too much, never too little.
 */
#include "compat.h"

#include "access/stratnum.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "query/pushdown.h"
#include "query/range_function.h"
#include "window/window.h"

/* What a condition compares the start with: x itself, or a bound of range x. */
typedef enum Bound
{
	BOUND_X,
	BOUND_FIRST,
	BOUND_LAST
} Bound;

typedef struct Implied
{
	StrategyNumber strategy; /* start < <= = >= > the bound; 0: no condition */
	Bound bound;
	bool
		less_size; /* the bound less the window's size: the least for < <=, the greatest for >= > */
} Implied;

/*
 * What "w operator x" implies.  The first bound of an empty or unbounded range
 * is -infinity; the last one is infinity, of an empty range -infinity.  So
 * where an empty x makes the operator false a bound may be anything, else it
 * must accept every start.
 */
typedef struct Rule
{
	Oid opno;
	bool not_if_empty; /* x must be known not to be empty */
	Implied implied[2];
} Rule;

static const Rule rules[] = {
	{OID_RANGE_CONTAINS_ELEM_OP,
	 false,
	 {{BTLessEqualStrategyNumber, BOUND_X, false}, {BTGreaterStrategyNumber, BOUND_X, true}}},
	{RANGE_EQ_OP, false, {{BTEqualStrategyNumber, BOUND_FIRST, false}}},
	{OID_RANGE_LESS_OP, false, {{BTLessEqualStrategyNumber, BOUND_FIRST, false}}},
	{OID_RANGE_LESS_EQUAL_OP, false, {{BTLessEqualStrategyNumber, BOUND_FIRST, false}}},
	{OID_RANGE_GREATER_EQUAL_OP, false, {{BTGreaterEqualStrategyNumber, BOUND_FIRST, false}}},
	{OID_RANGE_GREATER_OP, false, {{BTGreaterEqualStrategyNumber, BOUND_FIRST, false}}},
	{OID_RANGE_OVERLAP_OP,
	 false,
	 {{BTLessEqualStrategyNumber, BOUND_LAST, false},
	  {BTGreaterStrategyNumber, BOUND_FIRST, true}}},
	{OID_RANGE_CONTAINED_OP,
	 false,
	 {{BTGreaterEqualStrategyNumber, BOUND_FIRST, false},
	  {BTLessEqualStrategyNumber, BOUND_LAST, true}}},
	{OID_RANGE_CONTAINS_OP,
	 true,
	 {{BTLessEqualStrategyNumber, BOUND_FIRST, false},
	  {BTGreaterEqualStrategyNumber, BOUND_LAST, true}}},
	{OID_RANGE_LEFT_OP, false, {{BTLessEqualStrategyNumber, BOUND_FIRST, true}}},
	{OID_RANGE_RIGHT_OP, false, {{BTGreaterEqualStrategyNumber, BOUND_LAST, false}}},
	{OID_RANGE_OVERLAPS_LEFT_OP, false, {{BTLessEqualStrategyNumber, BOUND_LAST, true}}},
	{OID_RANGE_OVERLAPS_RIGHT_OP, false, {{BTGreaterEqualStrategyNumber, BOUND_FIRST, false}}},
};

static set_rel_pathlist_hook_type previous_set_rel_pathlist = NULL;

/* A window in a condition, of the relation at hand. */
typedef struct WindowColumn
{
	const SxRangeFunctions *functions;
	Var *start;
	Const *least; /* sizes, in pure time; NULL: no bound */
	Const *most;
} WindowColumn;

static void set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte);
static bool is_state_table(RelOptInfo *rel, RangeTblEntry *rte);
static List *derive_restrictions(PlannerInfo *root, RelOptInfo *rel, List **underived);
static void replace_paths(PlannerInfo *root, RelOptInfo *rel, List *derived, List *underived);
static void add_plain_paths(PlannerInfo *root, RelOptInfo *rel);
static void add_index_paths(PlannerInfo *root, RelOptInfo *rel, List *derived);
static List *derive(PlannerInfo *root, Index relid, Node *clause);
static List *derive_or(PlannerInfo *root, Index relid, List *branches);
static List *derive_operator(PlannerInfo *root, Index relid, OpExpr *clause);
static List *derive_from_window(const WindowColumn *window, Oid opno, Expr *x);
static List *derive_from_end(const WindowColumn *window, Oid opno, Expr *x);
static bool is_one_size(const WindowColumn *window);
static List *derive_any(PlannerInfo *root, Index relid, ScalarArrayOpExpr *clause);
static bool match_window(Node *node, Index relid, WindowColumn *window);
static bool match_sizes(const FuncExpr *call, WindowColumn *window);
static bool match_calendar(const FuncExpr *call, WindowColumn *window);
static bool match_bound(Node *node, Index relid, Oid *bound_function, WindowColumn *window);
static bool is_usable(PlannerInfo *root, Index relid, Node *x);
static bool
add_condition(const WindowColumn *window, const Implied *implied, Expr *x, List **conditions);
static Expr *make_bound(const WindowColumn *window, const Implied *implied, Expr *x);
static Const *size_const(int64 size_us);

void
sx_pushdown_init(void)
{
	previous_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_rel_pathlist;
}

List *
sx_pushdown_derive(PlannerInfo *root, Index relid, Node *clause)
{
	List *conditions = NIL;
	ListCell *lc;

	foreach (lc, derive(root, relid, clause))
		conditions = lappend(conditions, eval_const_expressions(root, lfirst(lc)));
	return conditions;
}

static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	List *derived;
	List *underived;

	if (is_state_table(rel, rte) && sx_range_functions())
	{
		derived = derive_restrictions(root, rel, &underived);
		if (derived != NIL)
			replace_paths(root, rel, derived, underived);
	}
	if (previous_set_rel_pathlist)
		previous_set_rel_pathlist(root, rel, rti, rte);
}

/* Whether there may be something to do.  This is all that other queries pay. */
static bool
is_state_table(RelOptInfo *rel, RangeTblEntry *rte)
{
	Oid namespace;

	if (rel->baserestrictinfo == NIL || rel->indexlist == NIL || rte->rtekind != RTE_RELATION ||
		rte->relkind != RELKIND_RELATION || rte->inh || rte->tablesample != NULL ||
		IS_DUMMY_REL(rel))
		return false;
	namespace = sx_internal_namespace();
	return OidIsValid(namespace) && get_rel_namespace(rte->relid) == namespace;
}

/*
 * The conditions on slice_start that the relation's restrictions imply, as
 * RestrictInfos.  The derived ones' selectivity becomes that of the
 * restrictions they came from, about which the planner knows nothing.
 */
static List *
derive_restrictions(PlannerInfo *root, RelOptInfo *rel, List **underived)
{
	List *derived = NIL;
	List *origins = NIL;
	ListCell *lc;
	Selectivity selectivity;

	*underived = NIL;
	foreach (lc, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		List *conditions = NIL;
		ListCell *lc2;

		if (!rinfo->pseudoconstant)
			conditions = derive(root, rel->relid, (Node *) rinfo->clause);
		foreach (lc2, conditions)
		{
			Expr *condition = (Expr *) eval_const_expressions(root, (Node *) lfirst(lc2));
			RestrictInfo *implied = make_simple_restrictinfo(root, condition);

			implied->security_level = rinfo->security_level;
			derived = lappend(derived, implied);
		}
		if (conditions != NIL)
			origins = lappend(origins, rinfo);
		else
			*underived = lappend(*underived, rinfo);
	}

	selectivity = clauselist_selectivity(root, derived, 0, JOIN_INNER, NULL);
	foreach (lc, origins)
	{
		lfirst_node(RestrictInfo, lc)->norm_selec = selectivity;
		selectivity = 1.0;
	}
	return derived;
}

/* Make the relation's paths anew, with the better estimate and the derived conditions. */
static void
replace_paths(PlannerInfo *root, RelOptInfo *rel, List *derived, List *underived)
{
	List *known = list_concat_copy(underived, derived);

	rel->rows =
		clamp_row_est(rel->tuples * clauselist_selectivity(root, known, 0, JOIN_INNER, NULL));
	rel->pathlist = NIL;
	rel->partial_pathlist = NIL;
	rel->ppilist = NIL;
	add_plain_paths(root, rel);
	add_index_paths(root, rel, derived);
}

/* As set_plain_rel_pathlist, which is static in the server, does it. */
static void
add_plain_paths(PlannerInfo *root, RelOptInfo *rel)
{
	Relids required_outer = rel->lateral_relids;
	int workers;

	add_path(rel, create_seqscan_path(root, rel, required_outer, 0));
	if (rel->consider_parallel && required_outer == NULL)
	{
		workers = compute_parallel_worker(rel, rel->pages, -1, max_parallel_workers_per_gather);
		if (workers > 0)
			add_partial_path(rel, create_seqscan_path(root, rel, NULL, workers));
	}
	create_index_paths(root, rel);
	create_tidscan_paths(root, rel);
}

/* Make index paths as if the derived conditions were restrictions of the query. */
static void
add_index_paths(PlannerInfo *root, RelOptInfo *rel, List *derived)
{
	List *restrictions = rel->baserestrictinfo;
	List *of_indexes = NIL;
	ListCell *lc;
	ListCell *saved;

	foreach (lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);

		of_indexes = lappend(of_indexes, index->indrestrictinfo);
		index->indrestrictinfo = list_concat_copy(index->indrestrictinfo, derived);
	}
	rel->baserestrictinfo = list_concat_copy(restrictions, derived);

	create_index_paths(root, rel);

	rel->baserestrictinfo = restrictions;
	forboth (lc, rel->indexlist, saved, of_indexes)
		lfirst_node(IndexOptInfo, lc)->indrestrictinfo = lfirst(saved);
}

/* Conditions on the start, all implied by the clause; NIL if it says nothing of a window. */
static List *
derive(PlannerInfo *root, Index relid, Node *clause)
{
	List *conditions = NIL;
	ListCell *lc;

	if (IsA(clause, OpExpr))
		return derive_operator(root, relid, (OpExpr *) clause);
	if (IsA(clause, ScalarArrayOpExpr))
		return derive_any(root, relid, (ScalarArrayOpExpr *) clause);
	if (is_orclause(clause))
		return derive_or(root, relid, ((BoolExpr *) clause)->args);
	if (is_andclause(clause))
		foreach (lc, ((BoolExpr *) clause)->args)
			conditions = list_concat(conditions, derive(root, relid, lfirst(lc)));
	return conditions;
}

/* An OR implies something only if each of its branches does. */
static List *
derive_or(PlannerInfo *root, Index relid, List *branches)
{
	List *conditions = NIL;
	ListCell *lc;

	foreach (lc, branches)
	{
		List *of_branch = derive(root, relid, lfirst(lc));

		if (of_branch == NIL)
			return NIL;
		conditions = lappend(conditions, make_ands_explicit(of_branch));
	}
	return list_make1(make_orclause(conditions));
}

/* window operator x, lower(window) operator x, upper(window) operator x, or commuted */
static List *
derive_operator(PlannerInfo *root, Index relid, OpExpr *clause)
{
	WindowColumn window;
	Oid opno = clause->opno;
	Oid bound_function;
	Node *left;
	Node *x;

	if (list_length(clause->args) != 2)
		return NIL;
	left = linitial(clause->args);
	x = lsecond(clause->args);
	if (!match_bound(left, relid, &bound_function, &window))
	{
		left = lsecond(clause->args);
		x = linitial(clause->args);
		opno = get_commutator(opno);
		if (!OidIsValid(opno) || !match_bound(left, relid, &bound_function, &window))
			return NIL;
	}
	if (!is_usable(root, relid, x))
		return NIL;

	if (bound_function == InvalidOid)
		return derive_from_window(&window, opno, (Expr *) x);
	if (bound_function == F_UPPER_ANYRANGE)
		return derive_from_end(&window, opno, (Expr *) x);
	return list_make1(make_opclause(opno, BOOLOID, false, (Expr *) copyObject(window.start),
									(Expr *) copyObject(x), InvalidOid, clause->inputcollid));
}

/* What "window operator x" implies, by the rules. */
static List *
derive_from_window(const WindowColumn *window, Oid opno, Expr *x)
{
	List *conditions = NIL;
	int i;
	int j;

	for (i = 0; i < lengthof(rules); i++)
	{
		if (rules[i].opno != opno)
			continue;
		if (rules[i].not_if_empty && (!IsA(x, Const) || ((Const *) x)->constisnull ||
									  RangeIsEmpty(DatumGetRangeTypeP(((Const *) x)->constvalue))))
			return NIL;
		for (j = 0; j < lengthof(rules[i].implied); j++)
			if (rules[i].implied[j].strategy != InvalidStrategy &&
				!add_condition(window, &rules[i].implied[j], x, &conditions))
				return NIL;
	}
	return conditions;
}

/* What "upper(window) operator x" implies. */
static List *
derive_from_end(const WindowColumn *window, Oid opno, Expr *x)
{
	TypeCacheEntry *type =
		lookup_type_cache(window->functions->slice_type, TYPECACHE_BTREE_OPFAMILY);
	int strategy = get_op_opfamily_strategy(opno, type->btree_opf);
	Implied implied = {strategy, BOUND_X, true};
	List *conditions = NIL;

	/* comparison with another type would need a cast, which may fail */
	if (strategy == 0 || exprType((Node *) x) != window->functions->slice_type)
		return NIL;
	if (strategy == BTEqualStrategyNumber && !is_one_size(window))
	{
		implied.strategy = BTLessEqualStrategyNumber;
		(void) add_condition(window, &implied, x, &conditions);
		implied.strategy = BTGreaterEqualStrategyNumber;
	}
	(void) add_condition(window, &implied, x, &conditions);
	return conditions;
}

static bool
is_one_size(const WindowColumn *window)
{
	return window->least != NULL && window->most != NULL &&
		   DatumGetBool(DirectFunctionCall2(interval_eq, window->least->constvalue,
											window->most->constvalue));
}

/* lower(window) = ANY (array) */
static List *
derive_any(PlannerInfo *root, Index relid, ScalarArrayOpExpr *clause)
{
	WindowColumn window;
	Oid bound_function;
	ScalarArrayOpExpr *condition;

	if (!match_bound(linitial(clause->args), relid, &bound_function, &window) ||
		bound_function != F_LOWER_ANYRANGE || !is_usable(root, relid, lsecond(clause->args)))
		return NIL;
	condition = copyObject(clause);
	linitial(condition->args) = copyObject(window.start);
	return list_make1(condition);
}

/* Whether a node is a window of the relation, as visible views show them. */
static bool
match_window(Node *node, Index relid, WindowColumn *window)
{
	FuncExpr *call = (FuncExpr *) node;
	const SxRangeFunctions *functions = sx_range_functions();
	int i;

	if (functions == NULL || !IsA(node, FuncExpr) || list_length(call->args) < 2 ||
		!IsA(linitial(call->args), Var))
		return false;
	window->start = linitial(call->args);
	if (window->start->varno != relid || window->start->varlevelsup != 0)
		return false;
	for (i = 0; i < SX_RANGE_TYPES; i++)
	{
		window->functions = &functions[i];
		if (match_sizes(call, window))
			return true;
	}
	return false;
}

/* The sizes of windows that a call of one of our functions makes; false: it is none. */
static bool
match_sizes(const FuncExpr *call, WindowColumn *window)
{
	const SxRangeFunctions *fns = window->functions;

	if (call->funcid == fns->calendar_range)
		return match_calendar(call, window);
	if (call->funcid == fns->tumble_range)
		window->least = window->most = lsecond(call->args);
	else if (call->funcid == fns->window_range)
	{
		window->least = lthird(call->args);
		window->most = lfourth(call->args);
	}
	else
		return false;
	if (!IsA(window->least, Const) || !IsA(window->most, Const))
		return false;
	if (window->least->constisnull)
		window->least = NULL;
	if (window->most->constisnull)
		window->most = NULL;
	return true;
}

/* tumble_range(slice_start, size, origin, timezone) */
static bool
match_calendar(const FuncExpr *call, WindowColumn *window)
{
	Const *size = lsecond(call->args);
	Const *timezone = lfourth(call->args);
	SxWindow calendar;

	if (!IsA(size, Const) || size->constisnull || !IsA(timezone, Const))
		return false;
	sx_window_make(SX_WINDOW_TUMBLE, DatumGetIntervalP(size->constvalue), NULL, NULL,
				   timezone->constisnull ? NULL : TextDatumGetCString(timezone->constvalue),
				   &calendar);
	window->least = size_const(sx_window_least_us(&calendar));
	window->most = size_const(sx_window_most_us(&calendar));
	return true;
}

/* Whether a node is a window (bound_function InvalidOid), or lower() or upper() of one. */
static bool
match_bound(Node *node, Index relid, Oid *bound_function, WindowColumn *window)
{
	FuncExpr *call = (FuncExpr *) node;

	*bound_function = InvalidOid;
	if (!IsA(node, FuncExpr))
		return false;
	if (call->funcid == F_LOWER_ANYRANGE || call->funcid == F_UPPER_ANYRANGE)
	{
		*bound_function = call->funcid;
		node = linitial(call->args);
	}
	return match_window(node, relid, window);
}

/* Whether x may be computed once for the scan, and be compared with by an index. */
static bool
is_usable(PlannerInfo *root, Index relid, Node *x)
{
	return !bms_is_member(relid, pull_varnos(root, x)) && !contain_volatile_functions(x) &&
		   !contain_subplans(x);
}

/*
 * Append "start operator bound", unless windows have no size to subtract from the
 * bound.  False if x is not of the type it should be.
 */
static bool
add_condition(const WindowColumn *window, const Implied *implied, Expr *x, List **conditions)
{
	const SxRangeFunctions *fns = window->functions;
	TypeCacheEntry *type = lookup_type_cache(fns->slice_type, TYPECACHE_BTREE_OPFAMILY);
	Oid opno =
		get_opfamily_member(type->btree_opf, fns->slice_type, fns->slice_type, implied->strategy);
	Expr *bound;

	if (!OidIsValid(opno) ||
		exprType((Node *) x) != (implied->bound == BOUND_X ? fns->slice_type : fns->range_type))
		return false;
	bound = make_bound(window, implied, x);
	if (bound)
		*conditions = lappend(*conditions, make_opclause(opno, BOOLOID, false,
														 (Expr *) copyObject(window->start), bound,
														 InvalidOid, InvalidOid));
	return true;
}

/* What the start is compared with; NULL: nothing that is known. */
static Expr *
make_bound(const WindowColumn *window, const Implied *implied, Expr *x)
{
	const SxRangeFunctions *fns = window->functions;
	Expr *bound = copyObject(x);
	bool is_lower = implied->strategy >= BTEqualStrategyNumber;
	Const *size = is_lower ? window->most : window->least;

	if (implied->less_size && is_lower && size == NULL)
		return NULL;
	if (implied->bound != BOUND_X)
		bound = (Expr *) makeFuncExpr(
			implied->bound == BOUND_FIRST ? fns->range_first : fns->range_last, fns->slice_type,
			list_make1(bound), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	if (implied->less_size && size != NULL)
		bound = (Expr *) makeFuncExpr(fns->slice_before, fns->slice_type,
									  list_make2(bound, copyObject(size)), InvalidOid, InvalidOid,
									  COERCE_EXPLICIT_CALL);
	return bound;
}

/* A size in pure time; NULL: nothing that could be subtracted. */
static Const *
size_const(int64 size_us)
{
	Interval *size;

	if (size_us <= 0 || size_us == PG_INT64_MAX)
		return NULL;
	size = palloc0(sizeof(Interval));
	size->time = size_us;
	return makeConst(INTERVALOID, -1, InvalidOid, sizeof(Interval), IntervalPGetDatum(size), false,
					 false);
}
