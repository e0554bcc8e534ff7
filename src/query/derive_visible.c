/*
 * derive_visible.c
 *	  The query of the user's own view, over its states.
 *
 *      global, tumble     SELECT key, range(slice_start), finalize(state) + 1
 *      session                   … window_range(slice_start, slice_end) …
 *                         FROM state table WHERE <having>
 *      hop, cumulate      SELECT key, window_range(window_start, window_end), finalize(state) + 1
 *                         FROM windows     WHERE <having>
 *
 * Aggregates that are kept by their inputs are subqueries (derive_inputs.c), or
 * the values that were left of them when their window was sealed (fold.c).
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "aggregate/transition.h"
#include "query/derive.h"
#include "query/expression.h"
#include "query/input_set.h"
#include "query/sql.h"

typedef struct VisibleContext
{
	const SxDefinition *definition;
	Relation source;
	List *input_tables;
} VisibleContext;

static Node *visible_mutator(Node *node, void *arg);

/* A column of the visible query's only relation. */
static Var *
source_column(VisibleContext *context, int index)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(context->source), index);

	return makeVar(1, index + 1, attribute->atttypid, attribute->atttypmod, attribute->attcollation,
				   0);
}

static Node *
finalized(VisibleContext *context, Aggref *aggref, int index)
{
	Var *state = source_column(context, index);
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	bool is_final = !OidIsValid(((Form_pg_aggregate) GETSTRUCT(tuple))->aggfinalfn) &&
					state->vartype == aggref->aggtype;
	Oid types[] = {ANYOID, REGPROCEDUREOID, ANYELEMENTOID, ANYOID};
	bool is_parallel_safe = func_parallel(aggref->aggfnoid) == PROPARALLEL_SAFE;
	FuncExpr *call;
	List *args;
	ListCell *lc;

	ReleaseSysCache(tuple);
	if (is_final)
		return state->varcollid == aggref->aggcollid
				   ? (Node *) state
				   : (Node *) makeRelabelType((Expr *) state, state->vartype, -1, aggref->aggcollid,
											  COERCE_IMPLICIT_CAST);
	args = list_make3(state,
					  makeConst(REGPROCEDUREOID, -1, InvalidOid, sizeof(Oid),
								ObjectIdGetDatum(aggref->aggfnoid), false, true),
					  makeNullConst(aggref->aggtype, -1, aggref->aggcollid));
	foreach (lc, aggref->aggargtypes) /* with the collation, so that a dump keeps it */
		args = lappend(args, makeNullConst(lfirst_oid(lc), -1,
										   OidIsValid(get_typcollation(lfirst_oid(lc)))
											   ? aggref->inputcollid
											   : InvalidOid));
	call = sx_call(is_parallel_safe ? "finalize" : "finalize_alone",
				   aggref->aggargtypes == NIL ? 3 : 4, types, aggref->aggtype, args,
				   aggref->aggcollid);
	call->inputcollid = aggref->inputcollid;
	return (Node *) call;
}

/* tumble_range(slice_start, size), of calendar sizes with (…, origin, timezone) */
static Expr *
tumble_range(const SxDefinition *definition, Var *start, Oid range_type)
{
	Oid types[] = {start->vartype, INTERVALOID, start->vartype, TEXTOID};
	List *args = list_make2(start, copyObject(definition->window_size));

	if (definition->window.is_fixed)
		return (Expr *) sx_call("tumble_range", 2, types, range_type, args, InvalidOid);
	args = lappend(args, definition->window_origin ? copyObject(definition->window_origin)
												   : makeNullConst(start->vartype, -1, InvalidOid));
	args = lappend(args, copyObject(definition->window_timezone));
	return (Expr *) sx_call("tumble_range", 4, types, range_type, args, InvalidOid);
}

/* window_range(start, end, least, most): the last two are for the planner (pushdown.c) */
static Expr *
window_range(const SxDefinition *definition, Var *start, Var *end, Oid range_type)
{
	Oid types[] = {start->vartype, end->vartype, INTERVALOID, INTERVALOID};
	const SxWindow *window = &definition->window;
	Const *most = window->kind == SX_WINDOW_SESSION ? makeNullConst(INTERVALOID, -1, InvalidOid)
													: sx_interval_const(sx_window_most_us(window));
	List *args = list_make4(start, end, sx_interval_const(sx_window_least_us(window)), most);

	return (Expr *) sx_call("window_range", 4, types, range_type, args, InvalidOid);
}

static Expr *
window_column(VisibleContext *context, int column)
{
	const SxDefinition *definition = context->definition;
	Oid range_type = exprType((Node *) definition->window_key->expr);

	if (definition->window.kind == SX_WINDOW_TUMBLE)
		return tumble_range(definition, source_column(context, column), range_type);
	return window_range(definition, source_column(context, column),
						source_column(context, column + 1), range_type);
}

/* Columns between keys and states, the constant key of a view without GROUP BY included. */
static int
columns_between(const SxDefinition *definition)
{
	switch (definition->window.kind)
	{
		case SX_WINDOW_GLOBAL:
			return definition->keys == NIL ? 1 : 0;
		case SX_WINDOW_TUMBLE:
			return 1;
		default:
			return 2;
	}
}

static Var *
named_column(VisibleContext *context, const char *name)
{
	return source_column(context, get_attnum(RelationGetRelid(context->source), name) - 1);
}

/* An aggregate computed from its inputs. */
static Expr *
from_inputs(VisibleContext *context, const Aggref *aggref)
{
	const SxDefinition *definition = context->definition;
	int set;
	int multiplicity;

	(void) sx_input_set_find(definition, aggref, &set, &multiplicity);
	return (Expr *) sx_derive_from_inputs(
		list_nth(definition->input_sets, set), multiplicity,
		list_nth_oid(context->input_tables, set), named_column(context, SX_INPUT_GROUPS), aggref,
		(List *) visible_mutator((Node *) aggref->aggdirectargs, context));
}

/* CASE WHEN folded THEN final value ELSE … END */
static Expr *
folded_or(VisibleContext *context, const Aggref *aggref, Expr *otherwise)
{
	CaseExpr *expr = makeNode(CaseExpr);
	CaseWhen *when = makeNode(CaseWhen);
	ListCell *lc;

	foreach (lc, context->definition->finals)
	{
		if (equal(lfirst(lc), aggref))
			when->result = (Expr *) named_column(context, sx_final_name(foreach_current_index(lc)));
	}
	if (when->result == NULL)
		elog(ERROR, "aggregate is not among the view's final values");
	when->expr = (Expr *) named_column(context, SX_FOLDED);
	when->location = -1;
	expr->casetype = aggref->aggtype;
	expr->casecollid = aggref->aggcollid;
	expr->args = list_make1(when);
	expr->defresult = otherwise;
	expr->location = -1;
	return (Expr *) expr;
}

/* An aggregate that is kept by its inputs: counted, or computed from them, now or when they were folded. */
static Node *
input_result(VisibleContext *context, const Aggref *aggref, int set, int multiplicity)
{
	Expr *computed;

	if (sx_input_set_counts(context->definition, aggref))
		return (Node *) named_column(context, sx_counter_name(set, multiplicity));
	computed = from_inputs(context, aggref);
	return (Node *) (context->definition->folds ? folded_or(context, aggref, computed) : computed);
}

static Node *
state_of(VisibleContext *context, Aggref *aggref)
{
	const SxDefinition *definition = context->definition;
	int column = list_length(definition->keys) + columns_between(definition);
	int set;
	int multiplicity;
	ListCell *lc;

	if (sx_input_set_find(definition, aggref, &set, &multiplicity))
		return input_result(context, aggref, set, multiplicity);

	foreach (lc, definition->aggregates)
	{
		if (sx_aggregate_shares_state(lfirst(lc), aggref))
			return finalized(context, aggref, column + foreach_current_index(lc));
	}
	elog(ERROR, "aggregate is not among the view's states");
}

/* Replace group expressions and aggregates by what is stored of them. */
static Node *
visible_mutator(Node *node, void *arg)
{
	VisibleContext *context = arg;
	const SxDefinition *definition = context->definition;
	ListCell *lc;

	if (node == NULL)
		return NULL;
	foreach (lc, definition->keys)
	{
		if (equal(node, ((SxGroupKey *) lfirst(lc))->expr))
			return (Node *) source_column(context, foreach_current_index(lc));
	}
	if (definition->window_key && equal(node, definition->window_key->expr))
		return (Node *) window_column(context, list_length(definition->keys));
	if (IsA(node, Aggref))
		return state_of(context, (Aggref *) node);
	if (IsA(node, Var))
		elog(ERROR, "column %d is not among the view's keys", ((Var *) node)->varattno);
	return expression_tree_mutator(node, visible_mutator, arg);
}

/* (SELECT removed_through FROM streamx_internal.removal WHERE state = …) */
static SubLink *
removed_through(Oid state, Oid type)
{
	char *sql = psprintf("SELECT removed_through%s FROM streamx_internal.removal"
						 " WHERE state OPERATOR(pg_catalog.=) '%s'::pg_catalog.regclass",
						 type == TIMESTAMPOID ? " AT TIME ZONE 'UTC'" : "", sx_sql_name(state));
	SubLink *link = makeNode(SubLink);

	link->subLinkType = EXPR_SUBLINK;
	link->subselect = (Node *) parse_analyze_fixedparams(
		linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT)), sql, NULL, 0, NULL);
	link->location = -1;
	return link;
}

/* Windows that are removed, but not yet deleted, are not shown: their rows are of earlier ends. */
static void
hide_removed(Query *query, VisibleContext *context, Oid state)
{
	const SxDefinition *definition = context->definition;
	bool is_session = definition->window.kind == SX_WINDOW_SESSION;
	int column = list_length(definition->keys) + (is_session ? 1 : 0);
	Var *time = source_column(context, column);
	const char *operator= is_session ? ">" : ">=";
	ParseState *pstate = make_parsestate(NULL);

	sx_add_condition(
		query, (Expr *) make_op(
				   pstate, list_make2(makeString("pg_catalog"), makeString(pstrdup(operator))),
				   (Node *) time, (Node *) removed_through(state, time->vartype), NULL, -1));
	query->hasSubLinks = true;
	free_parsestate(pstate);
}

/* SELECT … FROM source */
static Query *
select_from(Relation source)
{
	Query *query = makeNode(Query);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(pstate, source, AccessShareLock, NULL, true, true);
	RangeTblRef *ref = makeNode(RangeTblRef);

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = pstate->p_rtable;
	sx_compat_take_permissions(query, pstate);
	ref->rtindex = item->p_rtindex;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	free_parsestate(pstate);
	return query;
}

Query *
sx_derive_finals(const SxDefinition *definition, Oid state, List *input_tables)
{
	Relation source = relation_open(state, AccessShareLock);
	VisibleContext context = {definition, source, input_tables};
	Query *query = select_from(source);
	Var *place = makeVar(1, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);
	ListCell *lc;

	query->targetList = list_make1(makeTargetEntry((Expr *) place, 1, pstrdup("state_row"), false));
	foreach (lc, definition->finals)
	{
		int number = foreach_current_index(lc);

		query->targetList =
			lappend(query->targetList, makeTargetEntry(from_inputs(&context, lfirst(lc)),
													   number + 2, sx_final_name(number), false));
	}
	query->hasSubLinks = definition->finals != NIL;
	relation_close(source, NoLock);
	return query;
}

Query *
sx_derive_visible(const SxDefinition *definition, Oid source_relid, const Query *original,
				  Oid retained_state, List *input_tables)
{
	Relation source = relation_open(source_relid, AccessShareLock);
	VisibleContext context = {definition, source, input_tables};
	Query *query = select_from(source);

	query->jointree->quals = visible_mutator(definition->query->havingQual, &context);
	query->targetList = sx_derive_targets(definition, original, visible_mutator, &context);
	query->sortClause = copyObject(original->sortClause);
	query->hasSubLinks = checkExprHasSubLink((Node *) query->targetList) ||
						 checkExprHasSubLink(query->jointree->quals);
	if (OidIsValid(retained_state))
		hide_removed(query, &context, retained_state);
	relation_close(source, NoLock);
	return query;
}
