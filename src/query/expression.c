/*
 * expression.c
 *	  Pieces of the trees that a view's relations are derived from.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "parser/parse_oper.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "query/expression.h"

FuncExpr *
sx_call(const char *name, int ntypes, const Oid *types, Oid result_type, List *args, Oid collation)
{
	List *qualified = list_make2(makeString("streamx"), makeString(pstrdup(name)));

	return makeFuncExpr(LookupFuncName(qualified, ntypes, types, false), result_type, args,
						collation, collation, COERCE_EXPLICIT_CALL);
}

/*
 * Parsed from its name and arguments (none: a star), as a user's call would be: overloads and
 * polymorphic types are the parser's matter.
 */
static Node *
parse_call(const char *schema, const char *name, List *args)
{
	ParseState *pstate = make_parsestate(NULL);
	FuncCall *call =
		makeFuncCall(list_make2(makeString(pstrdup(schema)), makeString(pstrdup(name))), NIL,
					 COERCE_EXPLICIT_CALL, -1);
	Node *result;

	pstate->p_expr_kind = EXPR_KIND_SELECT_TARGET;
	call->agg_star = args == NIL;
	result = ParseFuncOrColumn(pstate, call->funcname, args, NULL, call, false, -1);
	free_parsestate(pstate);
	return result;
}

Expr *
sx_call_builtin(const char *name, Expr *arg)
{
	return (Expr *) parse_call("pg_catalog", name, list_make1(arg));
}

Aggref *
sx_call_aggregate(const char *name, Expr *arg)
{
	return castNode(Aggref, parse_call("pg_catalog", name, list_make1(arg)));
}

Aggref *
sx_count_rows(Expr *filter)
{
	Aggref *count = castNode(Aggref, parse_call("pg_catalog", "count", NIL));

	count->aggfilter = copyObject(filter);
	return count;
}

Aggref *
sx_call_input_groups(void)
{
	Aggref *groups = castNode(Aggref, parse_call("streamx", "input_groups", NIL));

	groups->aggfilter = (Expr *) makeBoolConst(false, false);
	return groups;
}

Const *
sx_text_const(const char *text)
{
	return makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1, CStringGetTextDatum(text), false,
					 false);
}

Const *
sx_interval_const(int64 us)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = us;
	return makeConst(INTERVALOID, -1, InvalidOid, sizeof(Interval), IntervalPGetDatum(interval),
					 false, false);
}

SortGroupClause *
sx_group_clause(Expr *expr, Index ref)
{
	SortGroupClause *clause = makeNode(SortGroupClause);

	clause->tleSortGroupRef = ref;
	get_sort_group_operators(exprType((Node *) expr), true, true, false, &clause->sortop,
							 &clause->eqop, NULL, &clause->hashable);
	return clause;
}

Expr *
sx_not_null(Expr *arg)
{
	NullTest *test = makeNode(NullTest);

	test->arg = arg;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Expr *) test;
}

void
sx_add_condition(Query *query, Expr *condition)
{
	FromExpr *from = query->jointree;

	from->quals = from->quals
					  ? (Node *) makeBoolExpr(AND_EXPR, list_make2(from->quals, condition), -1)
					  : (Node *) condition;
}

static void
drop_aliases(Node *node, List *rtable)
{
	ListCell *lc;

	if (IsA(node, JoinExpr))
	{
		JoinExpr *join = (JoinExpr *) node;

		join->alias = NULL;
		rt_fetch(join->rtindex, rtable)->alias = NULL;
		drop_aliases(join->larg, rtable);
		drop_aliases(join->rarg, rtable);
	}
	else if (IsA(node, FromExpr))
	{
		foreach (lc, ((FromExpr *) node)->fromlist)
			drop_aliases(lfirst(lc), rtable);
	}
}

void
sx_drop_join_aliases(Query *query)
{
	drop_aliases((Node *) query->jointree, query->rtable);
}

static Node *
fill_placeholder(Node *node, void *value)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return copyObject(value);
	return expression_tree_mutator(node, fill_placeholder, value);
}

static Node *
unwrap_json(Node *node, void *context)
{
	Expr *aggregate;
	ListCell *lc;

	if (node == NULL || IsA(node, Query))
		return node;
	aggregate = sx_compat_json_aggregate(node);
	if (aggregate == NULL || !IsA(aggregate, Aggref))
		return expression_tree_mutator(node, unwrap_json, context);

	foreach (lc, ((Aggref *) aggregate)->args)
	{
		TargetEntry *argument = lfirst(lc);

		argument->expr = sx_compat_json_value(argument->expr);
	}
	return sx_compat_json_coercion(node)
			   ? fill_placeholder((Node *) sx_compat_json_coercion(node), aggregate)
			   : (Node *) aggregate;
}

void
sx_unwrap_json(Query *query)
{
	query->targetList = (List *) unwrap_json((Node *) query->targetList, NULL);
	query->havingQual = unwrap_json(query->havingQual, NULL);
}

/* Always qualified: it is parsed under our search_path. */
static char *
collation_name(Oid collation)
{
	HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	name = quote_qualified_identifier(get_namespace_name(form->collnamespace),
									  NameStr(form->collname));
	ReleaseSysCache(tuple);
	return name;
}

void
sx_append_type(StringInfo sql, Oid type, int32 typmod, Oid collation)
{
	appendStringInfoString(
		sql,
		format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation) && OidIsValid(get_typcollation(type)))
		appendStringInfo(sql, " COLLATE %s", collation_name(collation));
}

void
sx_append_dummy_select(StringInfo sql, List *targetlist)
{
	const char *separator = "SELECT ";
	ListCell *lc;

	foreach (lc, targetlist)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resjunk)
			continue;
		appendStringInfo(sql, "%sNULL::", separator);
		sx_append_type(sql, exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr),
					   exprCollation((Node *) entry->expr));
		appendStringInfo(sql, " AS %s", quote_identifier(entry->resname));
		separator = ", ";
	}
}
