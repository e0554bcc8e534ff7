/*
 * analyze.c
 *	  What a continuous view's query asks for, or why it cannot be had.
 *
 * A view can be maintained when its query is linear in the stream: every row
 * of the stream contributes on its own, through joins with tables, WHERE and
 * GROUP BY, to states that combine.  Everything else is refused here, at
 * CREATE, so that no batch ever has to guess.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_agg.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/regproc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "aggregate/transition.h"
#include "query/analyze.h"

typedef struct Walk
{
	ParseState *pstate;
	SxDefinition *definition;
	int			depth;			/* query levels below the view's own */
	int			nstreams;		/* streams met */
} Walk;

static Query *flattened(Query *original);
static void check_clauses(ParseState *pstate, Query *query);
static void find_stream(Walk *walk);
static void check_stream(Walk *walk);
static bool jointree_has(Node *node, int rti);
static void check_nullable(Walk *walk, Node *node);
static bool check_expressions(Node *node, Walk *walk);
static void collect_groups(Walk *walk);
static void collect_aggregates(Walk *walk);

static void
refuse(ParseState *pstate, const Node *at, const char *message, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message),
					hint ? errhint("%s", hint) : 0,
					at ? parser_errposition(pstate, exprLocation(at)) : 0));
}

SxDefinition *
sx_analyze(ParseState *pstate, Query *query)
{
	Walk walk = {.pstate = pstate};

	walk.definition = palloc0(sizeof(SxDefinition));
	walk.definition->query = flattened(query);

	check_clauses(pstate, query);
	find_stream(&walk);
	check_stream(&walk);
	check_nullable(&walk, (Node *) query->jointree);
	(void) check_expressions((Node *) walk.definition->query, &walk);
	collect_groups(&walk);
	collect_aggregates(&walk);

	if (walk.definition->aggregates == NIL && query->groupClause == NIL)
		refuse(pstate, NULL, "a continuous view needs aggregates or GROUP BY",
			   "Add GROUP BY, or use an ordinary view over the stream.");
	return walk.definition;
}

/* A copy in which equal expressions are equal() trees: no join aliases, no RTE_GROUP. */
static Query *
flattened(Query *original)
{
	Query *query = copyObject(original);

	sx_compat_flatten_groups(query);
	query->targetList = (List *) sx_compat_flatten_join_aliases(query, (Node *) query->targetList);
	query->havingQual = sx_compat_flatten_join_aliases(query, query->havingQual);
	return query;
}

/* Clauses that make a query more than a sum over its rows. */
static void
check_clauses(ParseState *pstate, Query *query)
{
	const char *when_reading = "Define the continuous view without it, and apply it when reading the view.";

	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		refuse(pstate, NULL, "a continuous view cannot modify data", NULL);
	if (query->setOperations)
		refuse(pstate, NULL, "UNION, INTERSECT and EXCEPT cannot be maintained continuously",
			   "Define one continuous view for each part, and combine them in an ordinary view.");
	if (query->groupingSets)
		refuse(pstate, linitial(query->groupingSets),
			   "GROUPING SETS, ROLLUP and CUBE cannot be maintained continuously yet",
			   "Define one continuous view for each grouping.");
	if (query->hasWindowFuncs)
		refuse(pstate, NULL, "window functions with OVER cannot be maintained continuously",
			   when_reading);
	if (query->hasTargetSRFs)
		refuse(pstate, NULL, "set-returning functions in the select list cannot be maintained continuously",
			   "Put the function into FROM with LATERAL.");
	if (query->hasDistinctOn || query->distinctClause)
		refuse(pstate, NULL, "SELECT DISTINCT cannot be maintained continuously yet",
			   "Use GROUP BY with the same columns.");
	if (query->limitCount || query->limitOffset)
		refuse(pstate, query->limitCount ? query->limitCount : query->limitOffset,
			   "LIMIT and OFFSET cannot be maintained continuously", when_reading);
	if (query->rowMarks)
		refuse(pstate, NULL, "FOR UPDATE and FOR SHARE make no sense in a continuous view", NULL);
	if (query->hasRecursive)
		refuse(pstate, NULL, "WITH RECURSIVE cannot be maintained continuously", NULL);
}

/* Whether a plain view reads a stream somewhere below. */
static bool
view_reads_stream(Oid relid)
{
	Relation rel = table_open(relid, AccessShareLock);
	List *stack = list_make1(get_view_query(rel));
	bool found = false;

	table_close(rel, NoLock);
	while (stack != NIL && !found)
	{
		Query *query = linitial(stack);
		ListCell *lc;

		stack = list_delete_first(stack);
		foreach (lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			if (rte->rtekind == RTE_SUBQUERY && rte->subquery)
				stack = lappend(stack, rte->subquery);
			else if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_FOREIGN_TABLE &&
					 sx_stream_is(rte->relid))
				found = true;
			else if (rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW &&
					 rte->relid != relid && view_reads_stream(rte->relid))
				found = true;
		}
	}
	return found;
}

static void
check_relation(Walk *walk, RangeTblEntry *rte, int rti)
{
	if (get_rel_persistence(rte->relid) == RELPERSISTENCE_TEMP)
		refuse(walk->pstate, NULL,
			   psprintf("continuous views cannot use temporary relation \"%s\"",
						get_rel_name(rte->relid)),
			   "Workers cannot see a session's temporary relations; use a permanent one.");
	if (rte->relkind == RELKIND_VIEW && view_reads_stream(rte->relid))
		refuse(walk->pstate, NULL,
			   psprintf("view \"%s\" reads a stream and cannot be used in a continuous view",
						get_rel_name(rte->relid)),
			   "Name the stream itself in FROM.");
	if (rte->relkind != RELKIND_FOREIGN_TABLE || !sx_stream_is(rte->relid))
	{
		if (walk->depth == 0)
			walk->definition->has_joins = true;
		return;
	}
	if (walk->depth > 0)
		refuse(walk->pstate, NULL,
			   psprintf("stream \"%s\" cannot be used in a subquery of a continuous view",
						get_rel_name(rte->relid)),
			   "Name the stream in the outermost FROM, with its conditions in WHERE.");
	if (walk->nstreams++ > 0)
		refuse(walk->pstate, NULL,
			   rte->relid == walk->definition->stream->relid
				   ? "a continuous view can read a stream only once"
				   : "a continuous view can read only one stream",
			   "Define one continuous view for each stream, and join them when reading.");
	walk->definition->stream_rti = rti;
	walk->definition->stream = sx_stream_open(rte->relid);
}

/* Look at every range table entry, of subqueries too. */
static bool
find_in_query(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query *query = (Query *) node;
		ListCell *lc;

		foreach (lc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(lc);

			if (rte->rtekind == RTE_RELATION)
				check_relation(walk, rte, foreach_current_index(lc) + 1);
		}
		walk->depth++;
		(void) query_tree_walker(query, find_in_query, walk, 0);
		walk->depth--;
		return false;
	}
	return expression_tree_walker(node, find_in_query, walk);
}

static void
find_stream(Walk *walk)
{
	(void) find_in_query((Node *) walk->definition->query, walk);
	if (walk->nstreams == 0)
		refuse(walk->pstate, NULL, "a continuous view must read a stream",
			   "Name a foreign table of streamx in FROM.");
}

static void
check_stream(Walk *walk)
{
	const SxStream *stream = walk->definition->stream;
	RangeTblEntry *rte = rt_fetch(walk->definition->stream_rti, walk->definition->query->rtable);

	if (get_rel_relispartition(stream->relid) || has_superclass(stream->relid) ||
		has_subclass(stream->relid))
		refuse(walk->pstate, NULL,
			   psprintf("stream \"%s\" is a partition or takes part in inheritance", stream->name),
			   "Continuous views read streams that stand alone.");
	if (rte->tablesample)
		refuse(walk->pstate, NULL, "TABLESAMPLE cannot be maintained continuously", NULL);
}

static bool
jointree_has(Node *node, int rti)
{
	ListCell *lc;

	if (IsA(node, RangeTblRef))
		return ((RangeTblRef *) node)->rtindex == rti;
	if (IsA(node, JoinExpr))
		return jointree_has(((JoinExpr *) node)->larg, rti) ||
			   jointree_has(((JoinExpr *) node)->rarg, rti);
	foreach (lc, castNode(FromExpr, node)->fromlist)
	{
		if (jointree_has(lfirst(lc), rti))
			return true;
	}
	return false;
}

/* A stream on the nullable side: a row of the table would need all of the stream to be known. */
static void
check_nullable(Walk *walk, Node *node)
{
	int rti = walk->definition->stream_rti;
	ListCell *lc;

	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		if (!jointree_has(node, rti))
			return;
		if (join->jointype == JOIN_FULL ||
			(join->jointype == JOIN_LEFT && jointree_has(join->rarg, rti)) ||
			(join->jointype == JOIN_RIGHT && jointree_has(join->larg, rti)))
			refuse(walk->pstate, NULL,
				   psprintf("stream \"%s\" is on the nullable side of an outer join",
							walk->definition->stream->name),
				   "Put the stream on the other side: stream LEFT JOIN table.");
		check_nullable(walk, join->larg);
		check_nullable(walk, join->rarg);
	}
	else if (IsA(node, FromExpr))
	{
		foreach (lc, ((FromExpr *) node)->fromlist)
			check_nullable(walk, lfirst(lc));
	}
}

static bool
is_unstable_function(Oid funcid, void *context)
{
	switch (funcid)
	{
		case F_NOW:
		case F_TRANSACTION_TIMESTAMP:
		case F_STATEMENT_TIMESTAMP:
		case F_CURRENT_USER:
		case F_SESSION_USER:
			return true;
		default:
			return func_volatile(funcid) == PROVOLATILE_VOLATILE;
	}
}

static void
check_var(Walk *walk, Var *var)
{
	if (var->varlevelsup != walk->depth - 1 || var->varno != walk->definition->stream_rti)
		return;
	if (var->varattno == InvalidAttrNumber)
		refuse(walk->pstate, (Node *) var, "a whole row of a stream cannot be used in a continuous view",
			   "Name the columns.");
	if (var->varattno < 0)
		refuse(walk->pstate, (Node *) var, "system columns of a stream cannot be used in a continuous view",
			   "Declare a column with option metadata for partition, offset or timestamp.");
}

/* Conditions on expressions anywhere in the query. */
static bool
check_expressions(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		walk->depth++;
		(void) query_tree_walker((Query *) node, check_expressions, walk, 0);
		walk->depth--;
		return false;
	}
	if (IsA(node, Var))
		check_var(walk, (Var *) node);
	if (IsA(node, SQLValueFunction))
		refuse(walk->pstate, node,
			   "current_user, current_timestamp and the like cannot be used in a continuous view",
			   "A result may only depend on the rows; apply it when reading the view.");
	if (IsA(node, NextValueExpr) || check_functions_in_node(node, is_unstable_function, NULL))
		refuse(walk->pstate, node,
			   "volatile functions, now() and current_user cannot be used in a continuous view",
			   "A result may only depend on the rows; apply it when reading the view.");
	if (IsA(node, GroupingFunc))
		refuse(walk->pstate, node, "GROUPING cannot be maintained continuously", NULL);
	return expression_tree_walker(node, check_expressions, walk);
}

/* Is this function one of ours, with this name, wherever the extension lives? */
static bool
is_our_function(Oid funcid, const char *name)
{
	char *funcname = get_func_name(funcid);

	return funcname && strcmp(funcname, name) == 0 &&
		   getExtensionOfObject(ProcedureRelationId, funcid) == get_extension_oid("streamx", true);
}

static bool
find_window_call(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && is_our_function(((FuncExpr *) node)->funcid, "tumble"))
	{
		*(Node **) context = node;
		return true;
	}
	return expression_tree_walker(node, find_window_call, context);
}

static Const *
constant_argument(Walk *walk, FuncExpr *call, int index)
{
	Node *arg = list_nth(call->args, index);

	if (!IsA(arg, Const) || ((Const *) arg)->constisnull)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("size and alignment of a window must be constants"),
						parser_errposition(walk->pstate, exprLocation(arg))));
	return (Const *) arg;
}

/* Take tumble(ts, size, origin, timezone) apart. */
static void
analyze_window(Walk *walk, SxGroupKey *key)
{
	SxDefinition *definition = walk->definition;
	const SxStream *stream = definition->stream;
	FuncExpr *call = (FuncExpr *) eval_const_expressions(NULL, copyObject((Node *) key->expr));
	Var *time;
	const char *timezone;

	if (!IsA(call, FuncExpr))
		refuse(walk->pstate, (Node *) key->expr, "the time of a window must be a column of the stream",
			   NULL);
	time = linitial(call->args);
	if (!IsA(time, Var) || time->varno != definition->stream_rti || time->varlevelsup != 0)
		refuse(walk->pstate, (Node *) key->expr, "the time of a window must be a column of the stream",
			   "Declare the column with the type and path that you need.");
	if (stream->event_time != 0 && time->varattno != stream->event_time)
		refuse(walk->pstate, (Node *) time,
			   psprintf("the time of a window must be the stream's event_time column \"%s\"",
						stream->columns[stream->event_time - 1].name),
			   NULL);

	definition->window_key = key;
	definition->window_time = time;
	definition->window_size = constant_argument(walk, call, 1);
	definition->window_origin = constant_argument(walk, call, 2);
	timezone = TextDatumGetCString(constant_argument(walk, call, 3)->constvalue);
	sx_window_check_timezone(DatumGetIntervalP(definition->window_size->constvalue), timezone);
	sx_window_make(SX_WINDOW_TUMBLE, DatumGetIntervalP(definition->window_size->constvalue),
				   DatumGetTimestampTz(definition->window_origin->constvalue), true,
				   &definition->window);
}

static void
check_key_type(Walk *walk, Node *expr)
{
	Oid type = exprType(expr);
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	if (get_typtype(type) == TYPTYPE_PSEUDO)
		refuse(walk->pstate, expr,
			   psprintf("type %s cannot be a group key of a continuous view", format_type_be(type)),
			   "Name the columns one by one.");
	if (!OidIsValid(entry->btree_opf))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("type %s cannot be a group key of a continuous view", format_type_be(type)),
						errdetail("It has no B-tree order, which the state's index needs."),
						errhint("Group by an expression of another type, for example a cast to text."),
						parser_errposition(walk->pstate, exprLocation(expr))));
}

static void
collect_groups(Walk *walk)
{
	SxDefinition *definition = walk->definition;
	Query *query = definition->query;
	Node *stray = NULL;
	ListCell *lc;

	definition->window.kind = SX_WINDOW_GLOBAL;
	foreach (lc, query->groupClause)
	{
		SortGroupClause *clause = lfirst(lc);
		TargetEntry *tle = get_sortgroupref_tle(clause->tleSortGroupRef, query->targetList);
		SxGroupKey *key = palloc0(sizeof(SxGroupKey));

		key->expr = tle->expr;
		key->sortgroupref = clause->tleSortGroupRef;
		if (IsA(tle->expr, FuncExpr) && is_our_function(((FuncExpr *) tle->expr)->funcid, "tumble"))
		{
			if (definition->window_key)
				refuse(walk->pstate, (Node *) tle->expr, "a continuous view can have only one window",
					   "Define one continuous view for each window.");
			analyze_window(walk, key);
			continue;
		}
		if (find_window_call((Node *) tle->expr, &stray))
			refuse(walk->pstate, stray, "a window must be a GROUP BY expression of its own",
				   "Write GROUP BY tumble(...), and use expressions over it in the select list.");
		check_key_type(walk, (Node *) tle->expr);
		definition->keys = lappend(definition->keys, key);
	}
	if (list_length(definition->keys) > INDEX_MAX_KEYS - 2)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
						errmsg("a continuous view cannot have more than %d group keys",
							   INDEX_MAX_KEYS - 2)));
	if (find_window_call((Node *) query->jointree, &stray))
		refuse(walk->pstate, stray, "windows cannot be used in FROM and WHERE of a continuous view",
			   "Use conditions on the event time.");
}

static bool
is_order_sensitive(Oid aggfnoid)
{
	char *name = get_func_name(aggfnoid);
	static const char *const names[] = {"array_agg",		"string_agg",	   "json_agg",
										"jsonb_agg",		"json_object_agg", "jsonb_object_agg",
										"xmlagg",			"json_agg_strict", "jsonb_agg_strict",
										"json_object_agg_strict", "jsonb_object_agg_strict",
										"json_object_agg_unique", "jsonb_object_agg_unique",
										"json_object_agg_unique_strict",
										"jsonb_object_agg_unique_strict"};

	if (get_func_namespace(aggfnoid) != PG_CATALOG_NAMESPACE)
		return false;
	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

static void
check_aggregate(Walk *walk, Aggref *aggref)
{
	const char *why = NULL;
	const char *hint = "Use a continuous view for the rows it needs, and aggregate when reading.";
	char *name = format_procedure(aggref->aggfnoid);

	if (aggref->aggdistinct)
		why = "It has DISTINCT: the distinct inputs would have to be kept, which is not supported yet.";
	else if (aggref->aggkind != AGGKIND_NORMAL)
		why = "It is an ordered-set aggregate: its inputs would have to be kept, which is not supported yet.";
	else if (aggref->aggorder)
		why = "It has ORDER BY: the ordered inputs would have to be kept, which is not supported yet.";
	else if (is_order_sensitive(aggref->aggfnoid))
		why = "Its result depends on the order of its inputs.";
	else if (!OidIsValid(sx_aggregate_state_type(aggref, &why)))
	{
		if (why == NULL)
			why = "It has no combine function.";
	}
	if (why)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("aggregate %s cannot be maintained continuously", name),
						errdetail("%s", why), errhint("%s", hint),
						parser_errposition(walk->pstate, aggref->location)));
}

static bool
collect_aggregates_walker(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		refuse(walk->pstate, node, "subqueries in the select list and HAVING cannot be maintained continuously",
			   "Join the table in FROM, or use the subquery when reading the view.");
	if (IsA(node, Aggref))
	{
		check_aggregate(walk, (Aggref *) node);
		walk->definition->aggregates = list_append_unique(walk->definition->aggregates, node);
		return false;
	}
	return expression_tree_walker(node, collect_aggregates_walker, walk);
}

static void
collect_aggregates(Walk *walk)
{
	Query *query = walk->definition->query;

	(void) collect_aggregates_walker((Node *) query->targetList, walk);
	(void) collect_aggregates_walker(query->havingQual, walk);
}
