/*
 * pushdown.c
 *	  Conditions on a view's window column use the index on slice_start.
 *
 * A visible view shows w = streamx.tumble_range(slice_start, size), of which
 * the state table has no index.  But each condition on w implies conditions on
 * slice_start:
 *
 *		w @> x           ->   slice_start <= x,  slice_start > x - size
 *		lower(w) >= x    ->   slice_start >= x
 *		upper(w) <= x    ->   slice_start <= x - size
 *		w && r           ->   slice_start <= last of r,  slice_start > first of r - size
 *
 * When the planner has made a state table's paths, we show it the implied
 * conditions, let it make index paths once more, and take them away again: so
 * they serve as index conditions only, and what the user wrote is still
 * checked.  A derived condition may therefore accept too much, never too little.
 */
#include "compat.h"

#include "access/stratnum.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
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
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rangetypes.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "query/pushdown.h"

/* What a condition compares slice_start with: x itself, or a bound of range x. */
typedef enum Bound
{
	BOUND_X,
	BOUND_FIRST,
	BOUND_LAST
} Bound;

typedef struct Implied
{
	StrategyNumber strategy; /* slice_start < <= = >= > the bound; 0: no condition */
	Bound bound;
	bool less_size; /* the bound less the window's size */
} Implied;

/*
 * What "w operator x" implies.  The first bound of an empty or unbounded range
 * is -infinity; the last one is infinity, of an empty range -infinity.  So
 * where an empty x makes the operator false a bound may be anything, else it
 * must accept every slice_start.
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

/* Our functions for one type of slice_start. */
typedef struct SliceFunctions
{
	Oid slice_type;
	Oid range_type;
	Oid tumble_range;
	Oid slice_before;
	Oid range_first;
	Oid range_last;
} SliceFunctions;

/* Looked up when needed, forgotten by invalidation. */
static bool namespace_is_known = false;
static Oid internal_namespace;
static bool functions_are_known = false;
static SliceFunctions functions[2];

static set_rel_pathlist_hook_type previous_set_rel_pathlist = NULL;

/* A window in a condition: tumble_range(slice_start, size) of the relation at hand. */
typedef struct WindowColumn
{
	const SliceFunctions *functions;
	Var *slice_start;
	Const *size;
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
static List *derive_any(PlannerInfo *root, Index relid, ScalarArrayOpExpr *clause);
static bool match_window(Node *node, Index relid, WindowColumn *window);
static bool match_bound(Node *node, Index relid, Oid *bound_function, WindowColumn *window);
static bool is_usable(PlannerInfo *root, Index relid, Node *x);
static Expr *make_condition(const WindowColumn *window, const Implied *implied, Expr *x);
static Expr *less_size(const WindowColumn *window, Expr *x);
static Oid find_internal_namespace(void);
static bool find_functions(void);
static bool find_slice_functions(Oid extension, Oid namespace, SliceFunctions *found);
static Oid find_function(Oid extension, Oid namespace, const char *name, Oid arg1, Oid arg2);
static void forget(Datum arg, int cache, uint32 hash);

void
sx_pushdown_init(void)
{
	previous_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = set_rel_pathlist;
}

static void
set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	List *derived;
	List *underived;

	if (is_state_table(rel, rte) && find_functions())
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
	namespace = find_internal_namespace();
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

/* Conditions on slice_start, all implied by the clause; NIL if it says nothing of a window. */
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
	{
		TypeCacheEntry *type =
			lookup_type_cache(window.functions->slice_type, TYPECACHE_BTREE_OPFAMILY);

		/* comparison with another type would need a cast, which may fail */
		if (exprType(x) != window.functions->slice_type ||
			get_op_opfamily_strategy(opno, type->btree_opf) == 0)
			return NIL;
		x = (Node *) less_size(&window, (Expr *) x);
	}
	return list_make1(make_opclause(opno, BOOLOID, false, (Expr *) copyObject(window.slice_start),
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
			if (rules[i].implied[j].strategy != InvalidStrategy)
			{
				Expr *condition = make_condition(window, &rules[i].implied[j], x);

				if (condition == NULL)
					return NIL;
				conditions = lappend(conditions, condition);
			}
	}
	return conditions;
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
	linitial(condition->args) = copyObject(window.slice_start);
	return list_make1(condition);
}

/* Whether a node is a window of the relation: streamx.tumble_range(slice_start, constant). */
static bool
match_window(Node *node, Index relid, WindowColumn *window)
{
	FuncExpr *call = (FuncExpr *) node;
	int i;

	if (!IsA(node, FuncExpr) || list_length(call->args) != 2 || !IsA(linitial(call->args), Var) ||
		!IsA(lsecond(call->args), Const))
		return false;
	for (i = 0; i < lengthof(functions); i++)
		if (functions[i].tumble_range == call->funcid)
		{
			window->functions = &functions[i];
			window->slice_start = linitial(call->args);
			window->size = lsecond(call->args);
			return window->slice_start->varno == relid && window->slice_start->varlevelsup == 0 &&
				   !window->size->constisnull;
		}
	return false;
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

/* slice_start operator bound; NULL if x is not of the type it should be. */
static Expr *
make_condition(const WindowColumn *window, const Implied *implied, Expr *x)
{
	const SliceFunctions *fns = window->functions;
	TypeCacheEntry *type = lookup_type_cache(fns->slice_type, TYPECACHE_BTREE_OPFAMILY);
	Oid opno =
		get_opfamily_member(type->btree_opf, fns->slice_type, fns->slice_type, implied->strategy);
	Expr *bound = copyObject(x);

	if (!OidIsValid(opno) ||
		exprType((Node *) x) != (implied->bound == BOUND_X ? fns->slice_type : fns->range_type))
		return NULL;
	if (implied->bound != BOUND_X)
		bound = (Expr *) makeFuncExpr(
			implied->bound == BOUND_FIRST ? fns->range_first : fns->range_last, fns->slice_type,
			list_make1(bound), InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	if (implied->less_size)
		bound = less_size(window, bound);
	return make_opclause(opno, BOOLOID, false, (Expr *) copyObject(window->slice_start), bound,
						 InvalidOid, InvalidOid);
}

static Expr *
less_size(const WindowColumn *window, Expr *x)
{
	return (Expr *) makeFuncExpr(window->functions->slice_before, window->functions->slice_type,
								 list_make2(copyObject(x), copyObject(window->size)), InvalidOid,
								 InvalidOid, COERCE_EXPLICIT_CALL);
}

/* Schema streamx_internal; InvalidOid while it does not exist. */
static Oid
find_internal_namespace(void)
{
	static bool is_registered = false;

	if (!is_registered)
	{
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget, (Datum) 0);
		CacheRegisterSyscacheCallback(PROCOID, forget, (Datum) 0);
		is_registered = true;
	}
	if (!namespace_is_known)
	{
		namespace_is_known = true; /* first: the lookup may be told to forget it */
		internal_namespace = get_namespace_oid("streamx_internal", true);
	}
	return internal_namespace;
}

/*
 * Look our functions up; false when they are not there.  They must belong to
 * the extension: anybody may create a schema and functions of these names where it is not
 * installed.
 */
static bool
find_functions(void)
{
	Oid extension;
	Oid namespace;

	if (functions_are_known)
		return true;
	extension = get_extension_oid("streamx", true);
	namespace = get_namespace_oid("streamx", true);
	if (!OidIsValid(extension) || !OidIsValid(namespace))
		return false;

	functions[0].slice_type = TIMESTAMPTZOID;
	functions[0].range_type = TSTZRANGEOID;
	functions[1].slice_type = TIMESTAMPOID;
	functions[1].range_type = TSRANGEOID;
	functions_are_known = true; /* first: the lookup may be told to forget them */
	if (!find_slice_functions(extension, namespace, &functions[0]) ||
		!find_slice_functions(extension, namespace, &functions[1]))
		functions_are_known = false;
	return functions_are_known;
}

static bool
find_slice_functions(Oid extension, Oid namespace, SliceFunctions *found)
{
	Oid slice = found->slice_type;
	Oid range = found->range_type;

	found->tumble_range = find_function(extension, namespace, "tumble_range", slice, INTERVALOID);
	found->slice_before = find_function(extension, namespace, "slice_before", slice, INTERVALOID);
	found->range_first = find_function(extension, namespace, "range_first", range, InvalidOid);
	found->range_last = find_function(extension, namespace, "range_last", range, InvalidOid);
	return OidIsValid(found->tumble_range) && OidIsValid(found->slice_before) &&
		   OidIsValid(found->range_first) && OidIsValid(found->range_last);
}

static Oid
find_function(Oid extension, Oid namespace, const char *name, Oid arg1, Oid arg2)
{
	Oid args[2] = {arg1, arg2};
	oidvector *arguments = buildoidvector(args, OidIsValid(arg2) ? 2 : 1);
	Oid function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
								   PointerGetDatum(arguments), ObjectIdGetDatum(namespace));

	if (OidIsValid(function) && getExtensionOfObject(ProcedureRelationId, function) != extension)
		return InvalidOid;
	return function;
}

static void
forget(Datum arg, int cache, uint32 hash)
{
	functions_are_known = false;
	if (cache == NAMESPACEOID)
		namespace_is_known = false;
}
