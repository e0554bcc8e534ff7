/*
 * partial.c
 *	  Partial aggregation: streamx.partial(aggregate) in a finished plan.
 *
 * SQL has no way to ask for an aggregate's transition state, but the executor
 * has, for parallel plans: an Agg node with AGGSPLIT_INITIAL_SERIAL.  The
 * planner is run as usual, and its Agg is turned into such a one.
 */
#include "compat.h"

#include "nodes/nodeFuncs.h"
#include "nodes/nodes.h"
#include "nodes/plannodes.h"
#include "optimizer/planmain.h"
#include "optimizer/planner.h"
#include "optimizer/prep.h"
#include "parser/parse_func.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "aggregate/sum.h"
#include "catalog/spi.h"
#include "query/partial.h"

#define INITIAL_GROUPS 64

typedef struct Rewrite
{
	Oid marker; /* streamx.partial */
	int nmarked;
} Rewrite;

static Oid find_marker(void);
static Agg *find_agg(Plan *plan);
static void pass_types_on(Plan *plan, Agg *agg);
static Node *unmark(Node *node, Rewrite *rewrite);
static bool has_plain_aggregate(Node *node, void *context);

void
sx_partial_rewrite(PlannedStmt *stmt)
{
	Rewrite rewrite = {.marker = find_marker()};
	Agg *agg = find_agg(stmt->planTree);
	Plan *plan;

	if (agg == NULL)
		return;
	plan = &agg->plan;
	plan->targetlist = (List *) unmark((Node *) plan->targetlist, &rewrite);
	if (rewrite.nmarked == 0)
		return;
	if (plan->qual != NIL || agg->groupingSets != NIL || agg->chain != NIL ||
		agg->aggsplit != AGGSPLIT_SIMPLE)
		elog(ERROR, "unexpected aggregation in a plan for a micro-batch");
	if (has_plain_aggregate((Node *) plan->targetlist, NULL))
		elog(ERROR, "unmarked aggregate in a plan for a micro-batch");
	agg->aggsplit = AGGSPLIT_INITIAL_SERIAL;
	pass_types_on(stmt->planTree, agg);
	/* a made-up estimate: an empty hash table of its size costs each small batch, growing a large one little */
	agg->numGroups = Min(agg->numGroups, INITIAL_GROUPS);
}

static Oid
find_marker(void)
{
	List *name = list_make2(makeString("streamx"), makeString("partial"));
	Oid types[] = {ANYOID, ANYELEMENTOID};

	return LookupFuncName(name, 2, types, false);
}

/*
 * The topmost Agg, through what hands rows on unchanged.  Anything else above it
 * (Limit, Unique, another Agg, …) does not occur in a delta view's plan, and would
 * be met by the marker's own error when it runs.
 */
static Agg *
find_agg(Plan *plan)
{
	while (plan)
	{
		if (IsA(plan, Agg))
			return (Agg *) plan;
		if (IsA(plan, SubqueryScan) && plan->qual == NIL)
			plan = ((SubqueryScan *) plan)->subplan;
		else if (IsA(plan, Sort) || IsA(plan, Material))
			plan = plan->lefttree;
		else
			return NULL;
	}
	return NULL;
}

/*
 * What is above the Agg passes its columns on by Vars, some of which now have
 * another type: a serialised state is a bytea.
 */
static void
pass_types_on(Plan *plan, Agg *agg)
{
	Plan *below;
	ListCell *lc;

	if (plan == (Plan *) agg)
		return;
	below = IsA(plan, SubqueryScan) ? ((SubqueryScan *) plan)->subplan : plan->lefttree;
	pass_types_on(below, agg);
	foreach (lc, plan->targetlist)
	{
		Var *var = (Var *) lfirst_node(TargetEntry, lc)->expr;
		TargetEntry *source;

		if (!IsA(var, Var))
			continue;
		source = list_nth(below->targetlist, var->varattno - 1);
		var->vartype = exprType((Node *) source->expr);
	}
}

static Node *
unmark(Node *node, Rewrite *rewrite)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == rewrite->marker)
	{
		Node *argument = linitial(((FuncExpr *) node)->args);

		if (!IsA(argument, Aggref))
			elog(ERROR, "streamx.partial must be given an aggregate");
		argument = copyObject(argument);
		mark_partial_aggref((Aggref *) argument, AGGSPLIT_INITIAL_SERIAL);
		sx_sum_quicken((Aggref *) argument);
		rewrite->nmarked++;
		return argument;
	}
	return expression_tree_mutator(node, unmark, (void *) rewrite);
}

static bool
has_plain_aggregate(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
		return ((Aggref *) node)->aggsplit != AGGSPLIT_INITIAL_SERIAL;
	return expression_tree_walker(node, has_plain_aggregate, context);
}
