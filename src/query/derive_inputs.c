/*
 * derive_inputs.c
 *	  An aggregate computed from its stored inputs, in the visible view:
 *
 *      (SELECT aggregate FROM inputs AS i, times(1, i.m1)
 *       WHERE i.input_group = ANY (state.input_groups) AND i.m1 > 0)
 *
 * It is the user's own aggregate, over columns of the table of inputs instead
 * of his expressions: what PostgreSQL makes of the inputs is the result.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "query/derive.h"
#include "query/input_set.h"
#include "query/sql.h"

/* The relation of inputs in the subquery's range table. */
#define INPUTS_RTI 1

typedef struct FromInputs
{
	const SxInputSet *set;
	Oid table;
	Var *groups; /* of the outer query */
} FromInputs;

/* Inputs as columns of their table. */
static Node *
input_mutator(Node *node, void *arg)
{
	FromInputs *context = arg;
	ListCell *lc;

	if (node == NULL)
		return NULL;
	foreach (lc, context->set->inputs)
	{
		Node *input = lfirst(lc);
		AttrNumber column;

		if (!equal(node, input))
			continue;
		column = get_attnum(context->table, sx_input_name(foreach_current_index(lc)));
		return (Node *) makeVar(INPUTS_RTI, column, exprType(input), exprTypmod(input),
								exprCollation(input), 0);
	}
	if (IsA(node, Var))
		elog(ERROR, "column %d is not among an aggregate's inputs", ((Var *) node)->varattno);
	return expression_tree_mutator(node, input_mutator, arg);
}

/* The parameter is the groups. */
static Node *
param_mutator(Node *node, void *arg)
{
	FromInputs *context = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param))
	{
		Var *groups = copyObject(context->groups);

		groups->varlevelsup = 1;
		return (Node *) groups;
	}
	return expression_tree_mutator(node, param_mutator, arg);
}

/* FROM and WHERE of the subquery. */
static Query *
select_inputs(const FromInputs *context, int multiplicity)
{
	const SxInputSet *set = context->set;
	const SxMultiplicity *chosen = list_nth(set->multiplicities, multiplicity);
	char *column = sx_multiplicity_name(set, multiplicity);
	Oid types[] = {INT8ARRAYOID};
	StringInfoData sql;
	Query *query;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 1 FROM %s AS i", sx_sql_name(context->table));
	if (!chosen->is_distinct)
		appendStringInfo(&sql, ", streamx.times(1, i.%s)", column);
	appendStringInfoString(&sql, " WHERE i.input_group OPERATOR(pg_catalog.=) ANY ($1)");
	if (list_length(set->multiplicities) > 1)
		appendStringInfo(&sql, " AND i.%s OPERATOR(pg_catalog.>) 0", column);
	query =
		parse_analyze_fixedparams(linitial_node(RawStmt, raw_parser(sql.data, RAW_PARSE_DEFAULT)),
								  sql.data, types, lengthof(types), NULL);
	query->jointree->quals =
		param_mutator(query->jointree->quals, unconstify(FromInputs *, context));
	return query;
}

SubLink *
sx_derive_from_inputs(const SxInputSet *set, int multiplicity, Oid table, Var *groups,
					  const Aggref *aggref, List *direct_arguments)
{
	FromInputs context = {set, table, groups};
	Aggref *computed = copyObject(unconstify(Aggref *, aggref));
	Query *query = select_inputs(&context, multiplicity);
	SubLink *link = makeNode(SubLink);

	computed->args = (List *) input_mutator((Node *) computed->args, &context);
	computed->aggdirectargs = copyObject(direct_arguments);
	IncrementVarSublevelsUp((Node *) computed->aggdirectargs, 1, 0);
	computed->aggfilter = NULL;
	query->targetList = list_make1(makeTargetEntry((Expr *) computed, 1, pstrdup("result"), false));
	query->hasAggs = true;
	link->subLinkType = EXPR_SUBLINK;
	link->subselect = (Node *) query;
	link->location = -1;
	return link;
}
