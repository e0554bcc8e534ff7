/*
 * derive.c
 *	  The queries of a continuous view's relations, from its definition.
 *
 *      user's query    SELECT key, tumble(t, …), sum(x) + 1 FROM … WHERE … GROUP BY … HAVING …
 *      delta           SELECT key, slice, partial(sum(x))   FROM … WHERE … GROUP BY key, slice
 *      rows            SELECT ctid                          FROM … WHERE …
 *      visible         SELECT key, range(slice), finalize(state) + 1 FROM state WHERE <having>
 *
 * Trees in, trees out: nothing here touches the catalog but to look functions up.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "aggregate/transition.h"
#include "query/derive.h"

/* A call of one of our functions, found by its declared argument types. */
static FuncExpr *
call_function(const char *name, int ntypes, const Oid *types, Oid result_type, List *args,
			  Oid collation)
{
	List *qualified = list_make2(makeString("streamx"), makeString(pstrdup(name)));

	return makeFuncExpr(LookupFuncName(qualified, ntypes, types, false), result_type, args,
						collation, collation, COERCE_EXPLICIT_CALL);
}

/* GROUP BY an expression of another type: the clause with that type's operators. */
static SortGroupClause *
group_clause(Expr *expr, Index ref)
{
	SortGroupClause *clause = makeNode(SortGroupClause);

	clause->tleSortGroupRef = ref;
	get_sort_group_operators(exprType((Node *) expr), true, true, false, &clause->sortop,
							 &clause->eqop, NULL, &clause->hashable);
	return clause;
}

static Oid
slice_type(const SxDefinition *definition)
{
	return definition->window_time->vartype == TIMESTAMPTZOID ? TIMESTAMPTZOID : TIMESTAMPOID;
}

/* keys, slice_start, partial states: FROM and WHERE are the user's. */
Query *
sx_derive_delta(const SxDefinition *definition)
{
	Query *query = copyObject(definition->query);
	List *targets = NIL;
	List *groups = NIL;
	ListCell *lc;
	int index = 0;

	foreach (lc, definition->keys)
	{
		SxGroupKey *key = lfirst(lc);
		TargetEntry *entry = makeTargetEntry(copyObject(key->expr), list_length(targets) + 1,
											 psprintf("k%d", ++index), false);

		entry->ressortgroupref = key->sortgroupref;
		targets = lappend(targets, entry);
		groups = lappend(
			groups, copyObject(get_sortgroupref_clause(key->sortgroupref, query->groupClause)));
	}
	if (definition->window_key)
	{
		List *args =
			list_make3(copyObject(definition->window_time), copyObject(definition->window_size),
					   copyObject(definition->window_origin));
		Const *origin = lthird(args);
		Oid types[] = {InvalidOid, INTERVALOID, InvalidOid};

		Expr *slice;
		TargetEntry *entry;

		origin->constvalue = TimestampTzGetDatum(definition->window.origin_us);
		types[0] = definition->window_time->vartype;
		types[2] = slice_type(definition);
		slice = (Expr *) call_function("tumble_slice", 3, types, slice_type(definition), args,
									   InvalidOid);
		entry = makeTargetEntry(slice, list_length(targets) + 1, pstrdup("slice_start"), false);

		entry->ressortgroupref = definition->window_key->sortgroupref;
		targets = lappend(targets, entry);
		groups = lappend(groups, group_clause(slice, entry->ressortgroupref));
	}
	if (targets == NIL) /* one row for all: a constant key */
		targets = list_make1(makeTargetEntry(
			(Expr *) makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(0), false, true), 1,
			pstrdup("k1"), false));
	index = 0;
	foreach (lc, definition->aggregates)
	{
		Aggref *aggref = copyObject(lfirst_node(Aggref, lc));
		const char *why;
		Oid type = sx_aggregate_state_type(aggref, &why);
		List *args = list_make2(aggref, makeNullConst(type, -1, get_typcollation(type)));

		Oid types[] = {ANYOID, ANYELEMENTOID};
		Oid collation = OidIsValid(get_typcollation(type)) ? aggref->aggcollid : InvalidOid;
		Expr *marker = (Expr *) call_function("partial", 2, types, type, args, collation);

		targets = lappend(targets, makeTargetEntry(marker, list_length(targets) + 1,
												   psprintf("a%d", ++index), false));
	}
	query->targetList = targets;
	query->groupClause = groups;
	query->havingQual = NULL;
	query->sortClause = NIL;
	return query;
}

/* SELECT ctid: which rows of a micro-batch pass FROM and WHERE. */
Query *
sx_derive_rows(const SxDefinition *definition)
{
	Query *query = copyObject(definition->query);
	Var *ctid =
		makeVar(definition->stream_rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);

	query->targetList = list_make1(makeTargetEntry((Expr *) ctid, 1, pstrdup("stream_row"), false));
	query->groupClause = NIL;
	query->havingQual = NULL;
	query->sortClause = NIL;
	query->hasAggs = false;
	return query;
}

typedef struct VisibleContext
{
	const SxDefinition *definition;
	Relation state;
} VisibleContext;

/* A column of the state table (the visible query's only relation). */
static Var *
state_column(VisibleContext *context, int index)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(context->state), index);

	return makeVar(1, index + 1, attribute->atttypid, attribute->atttypmod, attribute->attcollation,
				   0);
}

static Node *
finalized(VisibleContext *context, Aggref *aggref, int index)
{
	Var *state = state_column(context, index);
	HeapTuple tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	bool is_final = !OidIsValid(((Form_pg_aggregate) GETSTRUCT(tuple))->aggfinalfn) &&
					state->vartype == aggref->aggtype;
	Oid types[] = {ANYOID, REGPROCEDUREOID, ANYELEMENTOID, ANYOID};
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
	call = call_function("finalize", aggref->aggargtypes == NIL ? 3 : 4, types, aggref->aggtype,
						 args, aggref->aggcollid);
	call->inputcollid = aggref->inputcollid;
	return (Node *) call;
}

/* Replace group expressions and aggregates by what the state table has of them. */
static Node *
visible_mutator(Node *node, VisibleContext *context)
{
	const SxDefinition *definition = context->definition;
	int column = 0;
	ListCell *lc;

	if (node == NULL)
		return NULL;
	foreach (lc, definition->keys)
	{
		if (equal(node, ((SxGroupKey *) lfirst(lc))->expr))
			return (Node *) state_column(context, column);
		column++;
	}
	if (definition->window_key)
	{
		if (equal(node, definition->window_key->expr))
		{
			Var *slice = state_column(context, column);
			Oid types[] = {slice->vartype, INTERVALOID};

			return (Node *) call_function("tumble_range", 2, types, exprType(node),
										  list_make2(slice, copyObject(definition->window_size)),
										  InvalidOid);
		}
		column++;
	}
	else if (definition->keys == NIL)
		column++; /* the constant key */
	if (IsA(node, Aggref))
	{
		foreach (lc, definition->aggregates)
		{
			if (sx_aggregate_shares_state(lfirst(lc), (Aggref *) node))
				return finalized(context, (Aggref *) node, column);
			column++;
		}
		elog(ERROR, "aggregate is not among the view's states");
	}
	if (IsA(node, Var))
		elog(ERROR, "column %d is not among the view's keys", ((Var *) node)->varattno);
	return expression_tree_mutator(node, visible_mutator, (void *) context);
}

/* The query of the user's view: the same columns from the state table. */
Query *
sx_derive_visible(const SxDefinition *definition, Oid state_table, const Query *original)
{
	Query *query = makeNode(Query);
	ParseState *pstate = make_parsestate(NULL);
	Relation state = relation_open(state_table, AccessShareLock);
	VisibleContext context = {definition, state};
	ParseNamespaceItem *item =
		addRangeTableEntryForRelation(pstate, state, AccessShareLock, NULL, true, true);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell *lc;

	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = pstate->p_rtable;
	sx_compat_take_permissions(query, pstate);
	ref->rtindex = item->p_rtindex;
	query->jointree =
		makeFromExpr(list_make1(ref), visible_mutator(definition->query->havingQual, &context));
	foreach (lc, definition->query->targetList)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(lc));

		if (entry->resjunk &&
			get_sortgroupref_clause_noerr(entry->ressortgroupref, original->sortClause) == NULL)
			continue;
		entry->expr = (Expr *) visible_mutator((Node *) entry->expr, &context);
		entry->resno = list_length(query->targetList) + 1;
		if (get_sortgroupref_clause_noerr(entry->ressortgroupref, original->sortClause) == NULL)
			entry->ressortgroupref = 0;
		entry->resorigtbl = InvalidOid;
		entry->resorigcol = 0;
		query->targetList = lappend(query->targetList, entry);
	}
	query->sortClause = copyObject(original->sortClause);
	relation_close(state, NoLock);
	return query;
}
