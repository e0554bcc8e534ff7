/*
 * order.c
 *	  The order in which an aggregate takes its inputs.
 *
 * The results of array_agg, string_agg and the like depend on the order in which
 * inputs come, which a plan may choose as it likes.  It is fixed by ORDER BY:
 *
 *		array_agg(x)             ORDER BY event time, partition, offset | x, image(x)
 *		array_agg(x ORDER BY y)  ORDER BY y                             | x, image(x)
 *
 * Values come last, because a join can make several rows of a message, and equal
 * values come before their images, because some can be told apart: 1.0 and 1.00.
 * Inputs that have the same place then are the same, and it does not matter which
 * comes first.  So only arguments need be determined: what else is ordered by
 * is not seen by the aggregate.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "aggregate/image.h"
#include "query/expression.h"
#include "query/order.h"

static bool is_builtin(Oid aggfnoid, const char *const *names, int nnames);
static void order_by_arrival(const SxStream *stream, int stream_rti, Aggref *aggref);
static void order_by_arguments(Aggref *aggref);
static bool is_determined(const Aggref *aggref, Expr *argument);
static bool has_order(Expr *expr);
static void add_order(Aggref *aggref, Expr *expr);
static TargetEntry *find_target(const Aggref *aggref, const Expr *expr);
static SortGroupClause *find_clause(const Aggref *aggref, const Expr *expr);

/*
 * Aggregates that combine do not depend on order, with few exceptions; those that do not
 * combine mostly do: json_agg, jsonb_object_agg, xmlagg ..., and who knows what users write.
 */
bool
sx_order_matters(const Aggref *aggref)
{
	static const char *const dependent[] = {"array_agg", "string_agg", "any_value"};
	static const char *const independent[] = {"range_agg"};
	HeapTuple tuple;
	bool combines;

	if (aggref->aggkind != AGGKIND_NORMAL || aggref->aggstar)
		return false;
	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	combines = OidIsValid(((Form_pg_aggregate) GETSTRUCT(tuple))->aggcombinefn);
	ReleaseSysCache(tuple);
	return combines ? is_builtin(aggref->aggfnoid, dependent, lengthof(dependent))
					: !is_builtin(aggref->aggfnoid, independent, lengthof(independent));
}

static bool
is_builtin(Oid aggfnoid, const char *const *names, int nnames)
{
	const char *name;

	if (get_func_namespace(aggfnoid) != PG_CATALOG_NAMESPACE)
		return false;
	name = get_func_name(aggfnoid);
	for (int i = 0; i < nnames; i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

void
sx_order_inputs(const SxStream *stream, int stream_rti, Aggref *aggref)
{
	Assert(aggref->aggkind == AGGKIND_NORMAL && aggref->aggdistinct == NIL);
	if (aggref->args == NIL)
		return;
	if (aggref->aggorder == NIL && sx_order_matters(aggref))
		order_by_arrival(stream, stream_rti, aggref);
	order_by_arguments(aggref);
}

/* ---- arrival ---- */

static void
order_by_arrival(const SxStream *stream, int stream_rti, Aggref *aggref)
{
	Oid types[] = {TIDOID};
	Var *row = makeVar(stream_rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);

	if (stream->event_time > 0)
	{
		const SxColumn *time = &stream->columns[stream->event_time - 1];

		add_order(aggref, (Expr *) makeVar(stream_rti, time->attnum, time->type, time->typmod,
										   time->collation, 0));
	}
	add_order(aggref, (Expr *) sx_call("arrival_partition", 1, types, INT4OID, list_make1(row),
									   InvalidOid));
	add_order(aggref, (Expr *) sx_call("arrival_offset", 1, types, INT8OID,
									   list_make1(copyObject(row)), InvalidOid));
}

/* ---- values ---- */

static void
order_by_arguments(Aggref *aggref)
{
	int nargs = list_length(aggref->aggargtypes);

	for (int i = 0; i < nargs; i++)
	{
		Expr *argument = list_nth_node(TargetEntry, aggref->args, i)->expr;
		Oid types[] = {ANYELEMENTOID};
		FuncExpr *image;

		if (IsA(argument, Const))
			continue;
		if (has_order(argument))
			add_order(aggref, argument);
		if (is_determined(aggref, argument))
			continue;
		image = sx_call("image", 1, types, BYTEAOID, list_make1(copyObject(argument)), InvalidOid);
		image->inputcollid = exprCollation((Node *) argument);
		add_order(aggref, (Expr *) image);
	}
}

/* Whether arguments that the ORDER BY has as equal are the same. */
static bool
is_determined(const Aggref *aggref, Expr *argument)
{
	Oid type = exprType((Node *) argument);
	const SortGroupClause *clause = find_clause(aggref, argument);

	return clause && has_order(argument) &&
		   clause->eqop == lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr &&
		   sx_image_follows_equality(type, exprCollation((Node *) argument));
}

/*
 * Whether all values of an expression can be compared.  Of a record it is only
 * known when they are; and texts cannot when they have no collation.
 */
static bool
has_order(Expr *expr)
{
	Oid type = exprType((Node *) expr);

	return type != RECORDOID && type != RECORDARRAYOID &&
		   OidIsValid(lookup_type_cache(type, TYPECACHE_LT_OPR)->lt_opr) &&
		   (OidIsValid(exprCollation((Node *) expr)) || !OidIsValid(get_typcollation(type)));
}

/* ---- the ORDER BY ---- */

/* Nothing is added when it is ordered by already, in whatever way. */
static void
add_order(Aggref *aggref, Expr *expr)
{
	TargetEntry *target = find_target(aggref, expr);

	if (find_clause(aggref, expr))
		return;
	if (target == NULL)
	{
		target = makeTargetEntry(copyObject(expr), list_length(aggref->args) + 1, NULL, true);
		aggref->args = lappend(aggref->args, target);
	}
	aggref->aggorder =
		lappend(aggref->aggorder, sx_group_clause(expr, assignSortGroupRef(target, aggref->args)));
}

static TargetEntry *
find_target(const Aggref *aggref, const Expr *expr)
{
	ListCell *lc;

	foreach (lc, aggref->args)
	{
		TargetEntry *target = lfirst(lc);

		if (equal(target->expr, expr))
			return target;
	}
	return NULL;
}

/* The clause that orders by an expression.  Of equal arguments any one may be meant. */
static SortGroupClause *
find_clause(const Aggref *aggref, const Expr *expr)
{
	ListCell *lc;

	foreach (lc, aggref->aggorder)
	{
		SortGroupClause *clause = lfirst(lc);

		if (equal(get_sortgroupclause_expr(clause, aggref->args), expr))
			return clause;
	}
	return NULL;
}
