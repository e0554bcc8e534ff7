/*
 * slices.c
 *	  The query by which a scan of windows reads its slices.
 *
 *		SELECT k1, …, slice_start, from_window, a1, …
 *		FROM state
 *		WHERE slice_start >= $1 AND slice_start < $2 AND k1 = $3 AND …
 *		ORDER BY k1, …, slice_start, from_window
 *
 * Made as a tree, so that no name is looked up.  The order is that of the unique
 * index of the state table, which may have text by its bytes.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "jit/jit.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/parse_node.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "query/index.h"
#include "query/slices.h"

/* Parameters of the query: the bounds of slice_start, then operands of keys. */
#define FIRST_PARAM 1
#define LAST_PARAM 2
#define NBOUNDS 2

/* Operands, taken in the order of the conditions. */
typedef struct Operands
{
	const SxOperand *next;
} Operands;

static List *operands_of(List *conditions);
static void collect_operands(Node *condition, List **operands);
static void limit(Node *condition, Operands *operands, SxComposeLimits *limits);
static void limit_and(List *conditions, Operands *operands, SxComposeLimits *limits);
static void limit_or(List *conditions, Operands *operands, SxComposeLimits *limits);
static void limit_operator(OpExpr *condition, const SxOperand *operand, SxComposeLimits *limits);
static void
limit_any(ScalarArrayOpExpr *condition, const SxOperand *operand, SxComposeLimits *limits);
static int strategy_of(Oid opno, Node *start);
static bool as_time(Datum value, Oid type, Oid start_type, int64 *time);
static void limit_to(SxComposeLimits *limits, int64 first, int64 last);
static void set_param(ParamListInfo params, int id, Datum value, bool is_null, Oid type);
static Query *make_query(const SxSlices *slices, Relation state);
static TargetEntry *add_column(Query *query, ParseState *pstate, Relation state, int index);
static void sort_by(Query *query, TargetEntry *entry, Relation index, int column);
static Var *state_column(Relation state, int index);
static List *make_conditions(const SxSlices *slices, Relation state);
static void put_param(List *args, int id);
static Param *make_param(int id, Oid type, int32 typmod, Oid collation);
static Expr *slice_condition(const SxSlices *slices, Relation state, int strategy, int param);

List *
sx_slices_operands(const SxSlices *slices)
{
	return list_concat(operands_of(slices->start_conditions), operands_of(slices->key_conditions));
}

static List *
operands_of(List *conditions)
{
	List *operands = NIL;
	ListCell *lc;

	foreach (lc, conditions)
		collect_operands(lfirst(lc), &operands);
	return operands;
}

static void
collect_operands(Node *condition, List **operands)
{
	ListCell *lc;

	if (IsA(condition, OpExpr))
		*operands = lappend(*operands, lsecond(((OpExpr *) condition)->args));
	else if (IsA(condition, ScalarArrayOpExpr))
		*operands = lappend(*operands, lsecond(((ScalarArrayOpExpr *) condition)->args));
	else if (IsA(condition, BoolExpr))
		foreach (lc, ((BoolExpr *) condition)->args)
			collect_operands(lfirst(lc), operands);
}

/* Where windows start */

void
sx_slices_limit(const SxSlices *slices, const SxOperand *operands, SxComposeLimits *limits)
{
	Operands taken = {operands};

	limit_and(slices->start_conditions, &taken, limits);
}

/* Every condition takes its operands, whatever the others say. */
static void
limit(Node *condition, Operands *operands, SxComposeLimits *limits)
{
	if (IsA(condition, OpExpr))
		limit_operator((OpExpr *) condition, operands->next++, limits);
	else if (IsA(condition, ScalarArrayOpExpr))
		limit_any((ScalarArrayOpExpr *) condition, operands->next++, limits);
	else if (is_andclause(condition))
		limit_and(((BoolExpr *) condition)->args, operands, limits);
	else if (is_orclause(condition))
		limit_or(((BoolExpr *) condition)->args, operands, limits);
	else if (IsA(condition, Const))
	{
		if (((Const *) condition)->constisnull || !DatumGetBool(((Const *) condition)->constvalue))
			limit_to(limits, DT_NOEND, DT_NOBEGIN);
	}
	else
		elog(ERROR, "unexpected condition on windows: %d", (int) nodeTag(condition));
}

static void
limit_and(List *conditions, Operands *operands, SxComposeLimits *limits)
{
	ListCell *lc;

	foreach (lc, conditions)
		limit(lfirst(lc), operands, limits);
}

/* One span around those of all branches. */
static void
limit_or(List *conditions, Operands *operands, SxComposeLimits *limits)
{
	int64 first = DT_NOEND;
	int64 last = DT_NOBEGIN;
	ListCell *lc;

	foreach (lc, conditions)
	{
		SxComposeLimits branch = {DT_NOBEGIN, DT_NOEND, DT_NOBEGIN};

		limit(lfirst(lc), operands, &branch);
		if (branch.first_start > branch.last_start)
			continue;
		first = Min(first, branch.first_start);
		last = Max(last, branch.last_start);
	}
	limit_to(limits, first, last);
}

static void
limit_operator(OpExpr *condition, const SxOperand *operand, SxComposeLimits *limits)
{
	Node *start = linitial(condition->args);
	int strategy = strategy_of(condition->opno, start);
	int64 x;

	if (strategy == 0 || !operand->is_known)
		return;
	if (operand->is_null)
		limit_to(limits, DT_NOEND, DT_NOBEGIN);
	else if (!as_time(operand->value, exprType(lsecond(condition->args)), exprType(start), &x))
		return;
	else if (strategy == BTEqualStrategyNumber)
		limit_to(limits, x, x);
	else if (strategy <= BTLessEqualStrategyNumber)
		limit_to(limits, DT_NOBEGIN, x);
	else
		limit_to(limits, x, DT_NOEND);
}

static void
limit_any(ScalarArrayOpExpr *condition, const SxOperand *operand, SxComposeLimits *limits)
{
	Node *start = linitial(condition->args);
	Oid type = get_element_type(exprType(lsecond(condition->args)));
	TypeCacheEntry *cache = lookup_type_cache(type, 0);
	int64 first = DT_NOEND;
	int64 last = DT_NOBEGIN;
	Datum *values;
	bool *nulls;
	int count;

	if (!condition->useOr || !operand->is_known ||
		strategy_of(condition->opno, start) != BTEqualStrategyNumber)
		return;
	if (operand->is_null)
	{
		limit_to(limits, DT_NOEND, DT_NOBEGIN);
		return;
	}
	deconstruct_array(DatumGetArrayTypeP(operand->value), type, cache->typlen, cache->typbyval,
					  cache->typalign, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		int64 x;

		if (nulls[i])
			continue;
		if (!as_time(values[i], type, exprType(start), &x))
			return;
		first = Min(first, x);
		last = Max(last, x);
	}
	limit_to(limits, first, last);
}

static int
strategy_of(Oid opno, Node *start)
{
	TypeCacheEntry *cache = lookup_type_cache(exprType(start), TYPECACHE_BTREE_OPFAMILY);

	return get_op_opfamily_strategy(opno, cache->btree_opf);
}

/* What the operators across types compare a start with; false: nothing that is known. */
static bool
as_time(Datum value, Oid type, Oid start_type, int64 *time)
{
	int overflow = 0;

	if (type == start_type)
		*time = DatumGetTimestampTz(value);
	else if (type == DATEOID && start_type == TIMESTAMPTZOID)
		*time = date2timestamptz_opt_overflow(DatumGetDateADT(value), &overflow);
	else if (type == DATEOID && start_type == TIMESTAMPOID)
		*time = date2timestamp_opt_overflow(DatumGetDateADT(value), &overflow);
	else if (type == TIMESTAMPOID && start_type == TIMESTAMPTZOID)
		*time = timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value), &overflow);
	else
		return false;
	return overflow == 0;
}

static void
limit_to(SxComposeLimits *limits, int64 first, int64 last)
{
	limits->first_start = Max(limits->first_start, first);
	limits->last_start = Min(limits->last_start, last);
}

/* The query */

ParamListInfo
sx_slices_params(const SxSlices *slices, const SxOperand *operands, const SxComposeLimits *limits,
				 int64 most_us)
{
	List *of_keys = operands_of(slices->key_conditions);
	ParamListInfo params = makeParamList(NBOUNDS + list_length(of_keys));
	bool is_known = true;
	int64 end;
	ListCell *lc;

	/* a slice of a window begins where that does, or later, but within its length */
	if (pg_add_s64_overflow(limits->last_start, most_us, &end) || !IS_VALID_TIMESTAMP(end))
		end = DT_NOEND;
	foreach (lc, operands_of(slices->start_conditions))
		is_known &= (operands++)->is_known;
	set_param(params, FIRST_PARAM, TimestampTzGetDatum(limits->first_start), false,
			  is_known ? slices->start_type : InvalidOid);
	set_param(params, LAST_PARAM, TimestampTzGetDatum(end), false,
			  is_known ? slices->start_type : InvalidOid);
	foreach (lc, of_keys)
	{
		set_param(params, NBOUNDS + 1 + foreach_current_index(lc), operands->value,
				  operands->is_null, operands->is_known ? exprType(lfirst(lc)) : InvalidOid);
		operands++;
	}
	return params;
}

static void
set_param(ParamListInfo params, int id, Datum value, bool is_null, Oid type)
{
	params->params[id - 1] = (ParamExternData){.value = value, .isnull = is_null, .ptype = type};
}

PlannedStmt *
sx_slices_plan(const SxSlices *slices, ParamListInfo params, bool is_fast)
{
	Relation state = table_open(slices->state, AccessShareLock);
	Query *query = make_query(slices, state);
	PlannedStmt *plan;

	table_close(state, NoLock);
	plan = standard_planner(query, "", is_fast ? CURSOR_OPT_FAST_PLAN : 0, params);
	plan->jitFlags = PGJIT_NONE; /* only comparisons */
	return plan;
}

static Query *
make_query(const SxSlices *slices, Relation state)
{
	Query *query = makeNode(Query);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(pstate, state, AccessShareLock, NULL, false, true);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Relation index = sx_index_open_leading(state, slices->nkeys + 2, true, AccessShareLock);
	ListCell *lc;

	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	for (int i = 0; i < slices->nkeys + 2; i++)
		sort_by(query, add_column(query, pstate, state, i), index, i);
	foreach (lc, slices->aggregates)
		add_column(query, pstate, state, slices->nkeys + 2 + lfirst_int(lc));
	if (index)
		index_close(index, NoLock);
	query->rtable = pstate->p_rtable;
	sx_compat_take_permissions(query, pstate);
	ref->rtindex = item->p_rtindex;
	query->jointree =
		makeFromExpr(list_make1(ref), (Node *) make_ands_explicit(make_conditions(slices, state)));
	free_parsestate(pstate);
	return query;
}

static TargetEntry *
add_column(Query *query, ParseState *pstate, Relation state, int index)
{
	Var *column = state_column(state, index);
	TargetEntry *entry =
		makeTargetEntry((Expr *) column, list_length(query->targetList) + 1, NULL, false);

	markVarForSelectPriv(pstate, column);
	query->targetList = lappend(query->targetList, entry);
	return entry;
}

/* In the order that the index has for its column; any will do. */
static void
sort_by(Query *query, TargetEntry *entry, Relation index, int column)
{
	SortGroupClause *clause = makeNode(SortGroupClause);

	clause->tleSortGroupRef = entry->ressortgroupref = entry->resno;
	get_sort_group_operators(exprType((Node *) entry->expr), true, true, false, &clause->sortop,
							 &clause->eqop, NULL, &clause->hashable);
	if (index)
	{
		Oid family = index->rd_opfamily[column];
		Oid type = index->rd_opcintype[column];

		clause->sortop = get_opfamily_member(family, type, type, BTLessStrategyNumber);
		clause->eqop = get_opfamily_member(family, type, type, BTEqualStrategyNumber);
	}
	query->sortClause = lappend(query->sortClause, clause);
}

static Var *
state_column(Relation state, int index)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(state), index);

	return makeVar(1, index + 1, attribute->atttypid, attribute->atttypmod, attribute->attcollation,
				   0);
}

static List *
make_conditions(const SxSlices *slices, Relation state)
{
	List *conditions = NIL;
	int param = NBOUNDS;
	ListCell *lc;

	if (slices->is_bounded)
		conditions =
			list_make2(slice_condition(slices, state, BTGreaterEqualStrategyNumber, FIRST_PARAM),
					   slice_condition(slices, state, BTLessStrategyNumber, LAST_PARAM));
	foreach (lc, slices->key_conditions)
	{
		Node *condition = copyObject(lfirst(lc));

		if (IsA(condition, OpExpr))
			put_param(((OpExpr *) condition)->args, ++param);
		else if (IsA(condition, ScalarArrayOpExpr))
			put_param(((ScalarArrayOpExpr *) condition)->args, ++param);
		ChangeVarNodes(condition, slices->relid, 1, 0);
		conditions = lappend(conditions, condition);
	}
	return conditions;
}

/* A parameter in place of the operand. */
static void
put_param(List *args, int id)
{
	Node *operand = lsecond(args);

	lsecond(args) = make_param(id, exprType(operand), exprTypmod(operand), exprCollation(operand));
}

static Param *
make_param(int id, Oid type, int32 typmod, Oid collation)
{
	Param *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = id;
	param->paramtype = type;
	param->paramtypmod = typmod;
	param->paramcollid = collation;
	param->location = -1;
	return param;
}

/* slice_start operator parameter */
static Expr *
slice_condition(const SxSlices *slices, Relation state, int strategy, int param)
{
	Oid type = slices->start_type;
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	return make_opclause(get_opfamily_member(cache->btree_opf, type, type, strategy), BOOLOID,
						 false, (Expr *) state_column(state, slices->nkeys),
						 (Expr *) make_param(param, type, -1, InvalidOid), InvalidOid, InvalidOid);
}
