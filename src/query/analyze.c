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

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "miscadmin.h"
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
#include "utils/typcache.h"

#include "aggregate/transition.h"
#include "query/analyze.h"
#include "query/expression.h"
#include "query/input_set.h"
#include "query/order.h"
#include "query/grouping.h"
#include "query/window_call.h"

typedef struct Walk
{
	ParseState *pstate;
	Node *raw; /* the query before analysis: it knows where relations are named */
	SxDefinition *definition;
	int depth;	  /* query levels below the view's own */
	int nstreams; /* streams met */
} Walk;

static Query *flattened(ParseState *pstate, Query *original);
static void check_clauses(Walk *walk, Query *query);
static void find_stream(Walk *walk);
static void check_stream(Walk *walk);
static bool jointree_has(Node *node, int rti);
static void check_nullable(Walk *walk, Node *node);
static bool check_expressions(Node *node, Walk *walk);
static void collect_groups(Walk *walk);
static void keep_state(SxDefinition *definition, Aggref *aggref);
static void collect_aggregates(Walk *walk);
static bool check_grouped(Node *node, Walk *walk);

/* location: a byte of the source text, -1 if the place is not known. */
static void
refuse_at(Walk *walk, int location, const char *message, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message),
					hint ? errhint("%s", hint) : 0, parser_errposition(walk->pstate, location)));
}

static void
refuse(Walk *walk, const Node *at, const char *message, const char *hint)
{
	refuse_at(walk, exprLocation(at), message, hint);
}

SxDefinition *
sx_analyze(ParseState *pstate, Query *query, Node *raw)
{
	Walk walk = {.pstate = pstate, .raw = raw};

	walk.definition = palloc0(sizeof(SxDefinition));
	walk.definition->query = flattened(pstate, query);

	check_clauses(&walk, walk.definition->query);
	find_stream(&walk);
	check_stream(&walk);
	check_nullable(&walk, (Node *) query->jointree);
	(void) check_expressions((Node *) walk.definition->query, &walk);
	collect_groups(&walk);
	collect_aggregates(&walk);

	if (!walk.definition->query->hasAggs && walk.definition->query->groupClause == NIL)
		refuse(&walk, (Node *) query->targetList, "a continuous view needs aggregates or GROUP BY",
			   "Add GROUP BY, or use an ordinary view over the stream.");
	if (ExecCleanTargetListLength(walk.definition->query->targetList) == 0)
		refuse(&walk, NULL, "a continuous view needs a column", "Select what it groups by.");
	(void) check_grouped((Node *) walk.definition->query->targetList, &walk);
	(void) check_grouped(walk.definition->query->havingQual, &walk);
	return walk.definition;
}

/*
 * A copy in which equal expressions are equal() trees: no join aliases, no
 * RTE_GROUP; SELECT DISTINCT of plain columns is what it means, GROUP BY; and
 * grouping sets are groups by one more key.
 */
static Query *
flattened(ParseState *pstate, Query *original)
{
	Query *query = copyObject(original);

	sx_compat_flatten_groups(query);
	if (query->distinctClause && !query->hasDistinctOn && !query->hasAggs &&
		query->groupClause == NIL && query->groupingSets == NIL && query->havingQual == NULL)
	{
		query->groupClause = query->distinctClause;
		query->distinctClause = NIL;
	}
	query->targetList = (List *) sx_compat_flatten_join_aliases(query, (Node *) query->targetList);
	query->havingQual = sx_compat_flatten_join_aliases(query, query->havingQual);
	sx_drop_join_aliases(query);
	sx_grouping_expand(pstate, query);
	return query;
}

/* ---- places ---- */

/* The count'th mention of a relation in the raw query. */
typedef struct Mention
{
	Oid relid;
	int count;
	int location;
} Mention;

static bool
find_mention(Node *node, Mention *mention)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		RangeVar *name = (RangeVar *) node;

		if (RangeVarGetRelid(name, NoLock, true) != mention->relid || --mention->count > 0)
			return false;
		mention->location = name->location;
		return true;
	}
	return raw_expression_tree_walker(node, find_mention, (void *) mention);
}

static int
mention_of(Walk *walk, Oid relid, int count)
{
	Mention mention = {.relid = relid, .count = count, .location = -1};

	(void) find_mention(walk->raw, &mention);
	return mention.location;
}

/* The first expression that is a window function with OVER; or returns a set, and is no window of ours. */
static bool
find_over_function(Node *node, Node **found)
{
	if (node == NULL)
		return false;
	if (IsA(node, WindowFunc))
	{
		*found = node;
		return true;
	}
	return expression_tree_walker(node, find_over_function, (void *) found);
}

static bool
find_set_returning(Node *node, Node **found)
{
	if (node == NULL)
		return false;
	if (sx_window_call_is(node))
		return false;
	if ((IsA(node, FuncExpr) && ((FuncExpr *) node)->funcretset) ||
		(IsA(node, OpExpr) && ((OpExpr *) node)->opretset))
	{
		*found = node;
		return true;
	}
	return expression_tree_walker(node, find_set_returning, (void *) found);
}

/* Where the second part of a set operation begins. */
static int
second_part(Node *raw)
{
	SelectStmt *part = IsA(raw, SelectStmt) ? ((SelectStmt *) raw)->rarg : NULL;

	while (part && part->op != SETOP_NONE)
		part = part->larg;
	return part ? exprLocation((Node *) part->targetList) : -1;
}

static int
with_clause(Node *raw)
{
	SelectStmt *select = (SelectStmt *) raw;

	return IsA(raw, SelectStmt) && select->withClause ? select->withClause->location : -1;
}

/* ---- clauses ---- */

/* Clauses that make a query more than a sum over its rows. */
static void
check_clauses(Walk *walk, Query *query)
{
	const char *when_reading =
		"Define the continuous view without it, and apply it when reading the view.";
	Node *found = (Node *) query->targetList;

	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		refuse_at(walk, with_clause(walk->raw), "a continuous view cannot modify data",
				  "Write a SELECT over a stream.");
	if (query->setOperations)
		refuse_at(
			walk, second_part(walk->raw),
			"UNION, INTERSECT and EXCEPT cannot be maintained continuously",
			"Define one continuous view for each part, and combine them in an ordinary view.");
	if (query->hasWindowFuncs)
	{
		(void) find_over_function((Node *) query->targetList, &found);
		refuse(walk, found, "window functions with OVER cannot be maintained continuously",
			   when_reading);
	}
	if (query->hasTargetSRFs && find_set_returning((Node *) query->targetList, &found))
		refuse(walk, found,
			   "set-returning functions in the select list cannot be maintained continuously",
			   "Put the function into FROM with LATERAL.");
	if (query->hasDistinctOn || query->distinctClause)
		refuse(walk, (Node *) query->targetList,
			   query->hasDistinctOn
				   ? "SELECT DISTINCT ON cannot be maintained continuously"
				   : "SELECT DISTINCT over groups cannot be maintained continuously",
			   query->hasDistinctOn ? "Use first() or last() with GROUP BY." : when_reading);
	if (query->limitCount || query->limitOffset)
		refuse(walk, query->limitCount ? query->limitCount : query->limitOffset,
			   "LIMIT and OFFSET cannot be maintained continuously", when_reading);
	if (query->rowMarks)
		refuse(walk, (Node *) query->targetList,
			   "FOR UPDATE and FOR SHARE make no sense in a continuous view",
			   "Leave the clause away.");
	if (query->hasRecursive)
		refuse_at(walk, with_clause(walk->raw), "WITH RECURSIVE cannot be maintained continuously",
				  "Prepare the table it makes beforehand, and join that.");
}

/* ---- relations ---- */

static bool view_reads_stream(Oid relid);

/* context: the view at hand, which before PostgreSQL 16 is among its own relations. */
static bool
reads_stream(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind != RTE_RELATION || rte->relid == *(Oid *) context)
			return false;
		return (rte->relkind == RELKIND_FOREIGN_TABLE && sx_stream_is(rte->relid)) ||
			   (rte->relkind == RELKIND_VIEW && view_reads_stream(rte->relid));
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_stream, context, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_stream, context);
}

/* Whether a plain view reads a stream somewhere below. */
static bool
view_reads_stream(Oid relid)
{
	Relation rel = table_open(relid, AccessShareLock);
	bool found;

	check_stack_depth();
	found = reads_stream((Node *) get_view_query(rel), &relid);
	table_close(rel, NoLock);
	return found;
}

static void
check_relation(Walk *walk, RangeTblEntry *rte, int rti)
{
	if (get_rel_persistence(rte->relid) == RELPERSISTENCE_TEMP)
		refuse_at(walk, mention_of(walk, rte->relid, 1),
				  psprintf("continuous views cannot use temporary relation \"%s\"",
						   get_rel_name(rte->relid)),
				  "Workers cannot see a session's temporary relations; use a permanent one.");
	if (rte->relkind == RELKIND_VIEW && view_reads_stream(rte->relid))
		refuse_at(walk, mention_of(walk, rte->relid, 1),
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
		refuse_at(walk, mention_of(walk, rte->relid, 1),
				  psprintf("stream \"%s\" cannot be used in a subquery of a continuous view",
						   get_rel_name(rte->relid)),
				  "Name the stream in the outermost FROM, with its conditions in WHERE.");
	if (walk->nstreams++ > 0)
	{
		bool is_same = rte->relid == walk->definition->stream->relid;

		refuse_at(walk, mention_of(walk, rte->relid, is_same ? 2 : 1),
				  is_same ? "a continuous view can read a stream only once"
						  : "a continuous view can read only one stream",
				  "Define one continuous view for each stream, and join them when reading.");
	}
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
		refuse(walk, (Node *) walk->definition->query->targetList,
			   "a continuous view must read a stream", "Name a foreign table of streamx in FROM.");
}

static void
check_stream(Walk *walk)
{
	const SxStream *stream = walk->definition->stream;
	RangeTblEntry *rte = rt_fetch(walk->definition->stream_rti, walk->definition->query->rtable);

	if (get_rel_relispartition(stream->relid) || has_superclass(stream->relid) ||
		has_subclass(stream->relid))
		refuse_at(
			walk, mention_of(walk, stream->relid, 1),
			psprintf("stream \"%s\" is a partition or takes part in inheritance", stream->name),
			"Continuous views read streams that stand alone.");
	if (rte->tablesample)
		refuse_at(walk, mention_of(walk, stream->relid, 1),
				  "TABLESAMPLE cannot be maintained continuously",
				  "Select rows by a condition on a column, for example on a hash.");
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
			refuse_at(walk, mention_of(walk, walk->definition->stream->relid, 1),
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

/* VOLATILE ones, and what is STABLE because it is the session's, the transaction's or the server's. */
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
		case F_AGE_TIMESTAMP: /* since today */
		case F_AGE_TIMESTAMPTZ:
		case F_CURRENT_SETTING_TEXT:
		case F_CURRENT_SETTING_TEXT_BOOL:
		case F_GETPGUSERNAME:
		case F_CURRENT_SCHEMA:
		case F_CURRENT_SCHEMAS:
		case F_PG_MY_TEMP_SCHEMA:
		case F_PG_IS_OTHER_TEMP_SCHEMA:
		case F_PG_BACKEND_PID:
		case F_PG_TRIGGER_DEPTH:
		case F_INET_CLIENT_ADDR:
		case F_INET_CLIENT_PORT:
		case F_INET_SERVER_ADDR:
		case F_INET_SERVER_PORT:
		case F_PG_POSTMASTER_START_TIME:
		case F_PG_CONF_LOAD_TIME:
		case F_TXID_CURRENT:
		case F_TXID_CURRENT_IF_ASSIGNED:
		case F_TXID_CURRENT_SNAPSHOT:
		case F_PG_CURRENT_XACT_ID:
		case F_PG_CURRENT_XACT_ID_IF_ASSIGNED:
		case F_PG_CURRENT_SNAPSHOT:
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
		refuse(walk, (Node *) var, "a whole row of a stream cannot be used in a continuous view",
			   "Name the columns.");
	if (var->varattno < 0)
		refuse(walk, (Node *) var, "system columns of a stream cannot be used in a continuous view",
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
		refuse(walk, node,
			   "current_user, current_timestamp and the like cannot be used in a continuous view",
			   "A result may only depend on the rows; apply it when reading the view.");
	if (IsA(node, NextValueExpr) || check_functions_in_node(node, is_unstable_function, NULL))
		refuse(walk, node,
			   "volatile functions, now() and current_user cannot be used in a continuous view",
			   "A result may only depend on the rows; apply it when reading the view.");
	return expression_tree_walker(node, check_expressions, walk);
}

static void
check_key_type(Walk *walk, Node *expr)
{
	Oid type = exprType(expr);
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	if (get_typtype(type) == TYPTYPE_PSEUDO)
		refuse(walk, expr,
			   psprintf("type %s cannot be a group key of a continuous view", format_type_be(type)),
			   "Name the columns one by one.");
	if (!OidIsValid(entry->btree_opf))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
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
		if (sx_window_call_is((Node *) tle->expr))
		{
			if (definition->window_key)
				refuse(walk, (Node *) tle->expr, "a continuous view can have only one window",
					   "Define one continuous view for each window.");
			sx_window_call_analyze(walk->pstate, definition, key);
			continue;
		}
		stray = sx_window_call_find((Node *) tle->expr);
		if (stray)
			refuse(walk, stray, "a window must be a GROUP BY expression of its own",
				   "Write GROUP BY tumble(...), and use expressions over it in the select list.");
		check_key_type(walk, (Node *) tle->expr);
		definition->keys = lappend(definition->keys, key);
	}
	if (list_length(definition->keys) > INDEX_MAX_KEYS - 2)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_COLUMNS),
						errmsg("a continuous view cannot have more than %d group keys",
							   INDEX_MAX_KEYS - 2),
						sx_grouping_has_sets(query)
							? errdetail("The number of the grouping set is one of them.")
							: 0));
	foreach (lc, query->rtable)
	{
		stray = sx_window_call_find((Node *) ((RangeTblEntry *) lfirst(lc))->functions);
		if (stray)
			refuse(walk, stray, "a window cannot be a relation in FROM of a continuous view",
				   "Write SELECT hop(...) ... GROUP BY 1.");
	}
	stray = sx_window_call_find((Node *) query->jointree);
	if (stray)
		refuse(walk, stray, "windows cannot be used in WHERE and ON of a continuous view",
			   "Use conditions on the event time.");
}

/* A type that no column can have cannot be stored; nor can a text without a collation. */
static void
check_input_types(Walk *walk, const Aggref *aggref)
{
	ListCell *lc;

	foreach (lc, sx_input_set_inputs(aggref))
	{
		Node *input = lfirst(lc);

		if (get_typtype(exprType(input)) == TYPTYPE_PSEUDO)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("aggregate %s cannot be maintained continuously",
								   format_procedure(aggref->aggfnoid)),
							errdetail("Its inputs would have to be stored, and type %s cannot be.",
									  format_type_be(exprType(input))),
							errhint("Name the columns one by one, or cast to a type with a name."),
							parser_errposition(walk->pstate, exprLocation(input))));
		if (OidIsValid(get_typcollation(exprType(input))) && !OidIsValid(exprCollation(input)))
			ereport(
				ERROR,
				(errcode(ERRCODE_INDETERMINATE_COLLATION),
				 errmsg("could not determine which collation to use for the inputs of aggregate %s",
						format_procedure(aggref->aggfnoid)),
				 errhint("Use the COLLATE clause to set the collation explicitly."),
				 parser_errposition(walk->pstate, exprLocation(input))));
	}
}

/* The window of a session is computed from aggregates, which cannot be nested. */
static bool
check_sessionless(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (equal(node, walk->definition->window_key->expr))
		refuse(walk, node, "a direct argument of an aggregate cannot depend on a session's window",
			   "Aggregate over the window when reading the view.");
	return expression_tree_walker(node, check_sessionless, walk);
}

static void
take_aggregate(Walk *walk, Aggref *aggref)
{
	SxDefinition *definition = walk->definition;
	const char *why;

	(void) check_grouped((Node *) aggref->aggdirectargs, walk);
	if (definition->window.kind == SX_WINDOW_SESSION)
		(void) check_sessionless((Node *) aggref->aggdirectargs, walk);
	if (!sx_input_set_takes(aggref, &why))
	{
		keep_state(definition, aggref);
		return;
	}
	if (aggref->aggkind == AGGKIND_NORMAL && aggref->aggdistinct == NIL)
		sx_order_inputs(definition->stream, definition->stream_rti, aggref);
	check_input_types(walk, aggref);
	sx_input_set_add(definition, aggref);
	if (sx_input_set_may_fail(aggref))
		definition->tried_aggregates = lappend(definition->tried_aggregates, aggref);
}

static void
keep_state(SxDefinition *definition, Aggref *aggref)
{
	ListCell *lc;

	foreach (lc, definition->aggregates)
	{
		if (sx_aggregate_shares_state(lfirst(lc), aggref))
			return;
	}
	definition->aggregates = lappend(definition->aggregates, aggref);
}

static bool
collect_aggregates_walker(Node *node, Walk *walk)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		refuse(walk, node,
			   "subqueries in the select list and HAVING cannot be maintained continuously",
			   "Join the table in FROM, or use the subquery when reading the view.");
	if (IsA(node, Aggref))
	{
		take_aggregate(walk, (Aggref *) node);
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

/*
 * Columns that are neither grouped nor aggregated: PostgreSQL allows them when
 * they depend on a grouped primary key, but the state keeps group keys only.
 */
static bool
check_grouped(Node *node, Walk *walk)
{
	ListCell *lc;

	if (node == NULL || IsA(node, Aggref))
		return false;
	if (walk->definition->window_key && equal(node, walk->definition->window_key->expr))
		return false;
	foreach (lc, walk->definition->keys)
	{
		if (equal(node, ((SxGroupKey *) lfirst(lc))->expr))
			return false;
	}
	if (sx_window_call_is(node))
		refuse(walk, node, "a window must be a GROUP BY expression of its own",
			   "Write GROUP BY tumble(...), and use expressions over it in the select list.");
	if (IsA(node, Var))
		ereport(ERROR,
				(errcode(ERRCODE_GROUPING_ERROR),
				 errmsg("a column of a continuous view is grouped only by functional dependency"),
				 errhint("Add the column to GROUP BY."),
				 parser_errposition(walk->pstate, ((Var *) node)->location)));
	return expression_tree_walker(node, check_grouped, walk);
}
