/*
 * grouping.c
 *	  GROUPING SETS, ROLLUP and CUBE as a plain GROUP BY.
 *
 *      SELECT a, b, sum(x), GROUPING(b) FROM s GROUP BY ROLLUP (a, b)
 *
 * is the same as
 *
 *      SELECT CASE WHEN grouping_set = ANY ('{1,2}') THEN a END,
 *             CASE WHEN grouping_set = ANY ('{2}') THEN b END,
 *             sum(x),
 *             CASE WHEN grouping_set = ANY ('{0,1}') THEN 1 ELSE 0 END
 *      FROM s, (VALUES (0), (1), (2)) AS streamx_sets (grouping_set)
 *      GROUP BY 1, 2, grouping_set
 *
 * so that nothing behind the analysis knows of grouping sets: each row of the
 * stream is a row of every set, and a set's number is one more group key.  It
 * also keeps apart sets that are written twice, and NULLs of the rows from those
 * of the sets.  The arguments of aggregates see the row as it is.
 *
 * Sets have the numbers 1, 2, ...; empty ones 0, -1, ...: such a set has one
 * group, even of no rows, which is made when the view is (sx_grouping_first_rows).
 */
#include "compat.h"

#include "catalog/pg_operator_d.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_agg.h"
#include "parser/parse_clause.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "query/expression.h"
#include "query/grouping.h"
#include "query/window_call.h"

/* As many as the parser lets through. */
#define MAX_SETS 4096

/* A user's group key: in the query, and in the expanded query. */
typedef struct Key
{
	Index sortgroupref;
	Expr *expr;
	Expr *expanded; /* NULL in the sets that lack it */
} Key;

typedef struct Expansion
{
	List *sets; /* integer lists of sortgrouprefs, the smallest first */
	int nempty; /* the first so many are empty */
	Var *set;	/* the number of the set; NULL: there is one only */
	List *keys; /* Key * */
	Query *query;
	ParseState *pstate;
} Expansion;

static List *grouping_sets(const Query *query);
static int count_empty(List *sets);
static Var *add_sets(Expansion *expansion);
static List *find_keys(Expansion *expansion);
static Expr *expanded_key(const Expansion *expansion, Index ref, Expr *expr);
static void expand_targets(Expansion *expansion);
static Node *expand(Node *node, Expansion *expansion);
static Node *expanded_call(const Expansion *expansion, const GroupingFunc *call);
static void group_by_set(Expansion *expansion);

void
sx_grouping_expand(ParseState *pstate, Query *query)
{
	Expansion expansion = {.pstate = pstate, .query = query};

	expansion.sets = grouping_sets(query);
	expansion.nempty = count_empty(expansion.sets);
	if (list_length(expansion.sets) > 1)
		expansion.set = add_sets(&expansion);
	expansion.keys = find_keys(&expansion);
	expand_targets(&expansion);
	query->havingQual = expand(query->havingQual, &expansion);
	if (expansion.set)
		group_by_set(&expansion);
	query->groupingSets = NIL;
	query->groupDistinct = false;
}

/* ---- sets ---- */

/* A plain GROUP BY is one set, of all keys. */
static List *
grouping_sets(const Query *query)
{
	List *all = NIL;
	ListCell *lc;

	if (query->groupingSets)
		return expand_grouping_sets(query->groupingSets, query->groupDistinct, MAX_SETS);
	foreach (lc, query->groupClause)
		all = lappend_int(all, lfirst_node(SortGroupClause, lc)->tleSortGroupRef);
	return list_make1(all);
}

static int
count_empty(List *sets)
{
	int count = 0;

	while (count < list_length(sets) && list_nth(sets, count) == NIL)
		count++;
	return count;
}

static int
number_of(const Expansion *expansion, int index)
{
	return index + 1 - expansion->nempty;
}

/* The relation of the sets' numbers, at the end of FROM; returns its column. */
static Var *
add_sets(Expansion *expansion)
{
	Query *query = expansion->query;
	RangeTblRef *ref = makeNode(RangeTblRef);
	StringInfoData sql;
	Query *parsed;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT FROM (VALUES ");
	for (int i = 0; i < list_length(expansion->sets); i++)
		appendStringInfo(&sql, "%s(%d)", i > 0 ? ", " : "", number_of(expansion, i));
	appendStringInfoString(&sql, ") AS streamx_sets (grouping_set)");
	parsed = parse_analyze_fixedparams(
		linitial_node(RawStmt, raw_parser(sql.data, RAW_PARSE_DEFAULT)), sql.data, NULL, 0, NULL);

	query->rtable = lappend(query->rtable, linitial(parsed->rtable));
	ref->rtindex = list_length(query->rtable);
	query->jointree->fromlist = lappend(query->jointree->fromlist, ref);
	return makeVar(ref->rtindex, 1, INT4OID, -1, InvalidOid, 0);
}

/* grouping_set = ANY (numbers) */
static Expr *
is_one_of(const Expansion *expansion, List *numbers)
{
	ScalarArrayOpExpr *test = makeNode(ScalarArrayOpExpr);
	Datum *values = palloc(sizeof(Datum) * list_length(numbers));
	ArrayType *array;
	ListCell *lc;

	foreach (lc, numbers)
		values[foreach_current_index(lc)] = Int32GetDatum(lfirst_int(lc));
	array =
		construct_array(values, list_length(numbers), INT4OID, sizeof(int32), true, TYPALIGN_INT);
	test->opno = Int4EqualOperator;
	test->opfuncid = F_INT4EQ;
	test->useOr = true;
	test->args =
		list_make2(copyObject(expansion->set), makeConst(INT4ARRAYOID, -1, InvalidOid, -1,
														 PointerGetDatum(array), false, false));
	test->location = -1;
	return (Expr *) test;
}

static CaseWhen *
when(Expr *condition, Expr *result)
{
	CaseWhen *when = makeNode(CaseWhen);

	when->expr = condition;
	when->result = result;
	when->location = -1;
	return when;
}

static Expr *
make_case(List *whens, Expr *otherwise, int location)
{
	CaseExpr *result = makeNode(CaseExpr);

	result->casetype = exprType((Node *) otherwise);
	result->casecollid = exprCollation((Node *) otherwise);
	result->args = whens;
	result->defresult = otherwise;
	result->location = location;
	return (Expr *) result;
}

/* ---- keys ---- */

static List *
find_keys(Expansion *expansion)
{
	const Query *query = expansion->query;
	List *keys = NIL;
	ListCell *lc;

	foreach (lc, query->groupClause)
	{
		Index ref = lfirst_node(SortGroupClause, lc)->tleSortGroupRef;
		Key *key = palloc(sizeof(Key));

		key->sortgroupref = ref;
		key->expr = get_sortgroupref_tle(ref, query->targetList)->expr;
		key->expanded = expanded_key(expansion, ref, key->expr);
		keys = lappend(keys, key);
	}
	return keys;
}

/* Keys that some set lacks are NULL there. */
static void
check_nullable(const Expansion *expansion, Node *expr)
{
	if (sx_window_call_find(expr))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a window must be in every grouping set of a continuous view"),
						errhint("Name the window beside ROLLUP, CUBE or GROUPING SETS: GROUP BY"
								" tumble(...), ROLLUP (...)."),
						parser_errposition(expansion->pstate, exprLocation(expr))));
	if (DomainHasConstraints(exprType(expr)))
		ereport(
			ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("a key of domain %s must be in every grouping set of a continuous view",
					format_type_be(exprType(expr))),
			 errdetail("It would be stored as NULL elsewhere, which constraints of the"
					   " domain may forbid."),
			 errhint("Group by a cast to type %s.", format_type_be(getBaseType(exprType(expr)))),
			 parser_errposition(expansion->pstate, exprLocation(expr))));
}

static Expr *
expanded_key(const Expansion *expansion, Index ref, Expr *expr)
{
	Node *node = (Node *) expr;
	List *numbers = NIL;
	ListCell *lc;

	foreach (lc, expansion->sets)
	{
		if (list_member_int(lfirst(lc), ref))
			numbers = lappend_int(numbers, number_of(expansion, foreach_current_index(lc)));
	}
	if (list_length(numbers) == list_length(expansion->sets))
		return expr;
	check_nullable(expansion, node);
	return make_case(list_make1(when(is_one_of(expansion, numbers), expr)),
					 (Expr *) makeNullConst(exprType(node), exprTypmod(node), exprCollation(node)),
					 exprLocation(node));
}

static void
expand_targets(Expansion *expansion)
{
	ListCell *target;
	ListCell *lc;

	foreach (target, expansion->query->targetList)
	{
		TargetEntry *entry = lfirst(target);
		Expr *own = NULL;

		/* equal expressions can be keys of their own, in other sets */
		foreach (lc, expansion->keys)
		{
			const Key *key = lfirst(lc);

			if (entry->ressortgroupref == key->sortgroupref)
				own = copyObject(key->expanded);
		}
		entry->expr = own ? own : (Expr *) expand((Node *) entry->expr, expansion);
	}
}

/* What an expression over groups becomes. */
static Node *
expand(Node *node, Expansion *expansion)
{
	ListCell *lc;

	if (node == NULL)
		return NULL;
	foreach (lc, expansion->keys)
	{
		const Key *key = lfirst(lc);

		/* a constant is a key only where the user says so */
		if (!IsA(node, Const) && equal(node, key->expr))
			return (Node *) copyObject(key->expanded);
	}
	if (IsA(node, GroupingFunc))
		return expanded_call(expansion, (GroupingFunc *) node);
	if (IsA(node, Aggref))
	{
		Aggref *aggref = copyObject((Aggref *) node);

		/* the only arguments that are of the group, not of its rows */
		aggref->aggdirectargs = (List *) expand((Node *) aggref->aggdirectargs, expansion);
		return (Node *) aggref;
	}
	return expression_tree_mutator(node, expand, (void *) expansion);
}

/* ---- GROUPING ---- */

/* GROUPING's value in a set: a bit for each argument that is not in it, the last one lowest. */
static int32
missing(const GroupingFunc *call, List *set)
{
	int32 bits = 0;
	ListCell *lc;

	foreach (lc, call->refs)
		bits = bits << 1 | !list_member_int(set, lfirst_int(lc));
	return bits;
}

static Expr *
int4_const(int32 value)
{
	return (Expr *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(value), false,
							  true);
}

/* Numbers of the sets where GROUPING has this value. */
static List *
sets_missing(const Expansion *expansion, const GroupingFunc *call, int32 bits)
{
	List *numbers = NIL;
	ListCell *lc;

	foreach (lc, expansion->sets)
	{
		if (missing(call, lfirst(lc)) == bits)
			numbers = lappend_int(numbers, number_of(expansion, foreach_current_index(lc)));
	}
	return numbers;
}

/* The value in the last set is what remains. */
static Node *
expanded_call(const Expansion *expansion, const GroupingFunc *call)
{
	int32 last = missing(call, llast(expansion->sets));
	List *values = list_make1_int(last);
	List *whens = NIL;
	ListCell *lc;

	foreach (lc, expansion->sets)
	{
		int32 bits = missing(call, lfirst(lc));

		CHECK_FOR_INTERRUPTS(); /* thousands of sets take seconds */
		if (list_member_int(values, bits))
			continue;
		values = lappend_int(values, bits);
		whens = lappend(whens, when(is_one_of(expansion, sets_missing(expansion, call, bits)),
									int4_const(bits)));
	}
	return (Node *) (whens ? make_case(whens, int4_const(last), call->location) : int4_const(last));
}

/* ---- the set as a key ---- */

static void
group_by_set(Expansion *expansion)
{
	Query *query = expansion->query;
	TargetEntry *entry =
		makeTargetEntry((Expr *) copyObject(expansion->set), list_length(query->targetList) + 1,
						pstrdup(SX_GROUPING_KEY), true);
	Index ref = assignSortGroupRef(entry, query->targetList);

	query->targetList = lappend(query->targetList, entry);
	query->groupClause = lappend(query->groupClause, sx_group_clause(entry->expr, ref));
}

bool
sx_grouping_is_set(const Query *query, Index sortgroupref)
{
	const TargetEntry *entry = get_sortgroupref_tle(sortgroupref, query->targetList);

	/* other columns of no name in the result have none at all */
	return entry->resjunk && entry->resname && strcmp(entry->resname, SX_GROUPING_KEY) == 0;
}

bool
sx_grouping_has_sets(const Query *query)
{
	return query->groupClause &&
		   sx_grouping_is_set(query,
							  llast_node(SortGroupClause, query->groupClause)->tleSortGroupRef);
}

/* ---- groups of no rows ---- */

/* The rows of add_sets's relation, found by the key that is its column. */
static List *
set_values(const Query *delta)
{
	ListCell *lc;

	foreach (lc, delta->targetList)
	{
		const TargetEntry *entry = lfirst(lc);
		const RangeTblEntry *sets;

		if (strcmp(entry->resname, SX_GROUPING_KEY) != 0)
			continue;
		sets = rt_fetch(castNode(Var, entry->expr)->varno, delta->rtable);
		return linitial_node(RangeTblEntry, sets->subquery->rtable)->values_lists;
	}
	return NIL;
}

/* The delta over no rows: the states that aggregates begin with, under the keys of an empty set. */
static Query *
first_row(const Query *delta, const Const *set)
{
	Query *query = copyObject(unconstify(Query *, delta));
	ListCell *lc;

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node *expr = (Node *) entry->expr;

		if (entry->ressortgroupref == 0)
			continue;
		entry->expr =
			strcmp(entry->resname, SX_GROUPING_KEY) == 0
				? (Expr *) copyObject(unconstify(Const *, set))
				: (Expr *) makeNullConst(exprType(expr), exprTypmod(expr), exprCollation(expr));
		entry->ressortgroupref = 0;
	}
	query->groupClause = NIL;
	if (!query->hasAggs) /* nothing makes a row of none */
		query->jointree = makeFromExpr(NIL, NULL);
	return query;
}

List *
sx_grouping_first_rows(const Query *delta)
{
	Query *query = copyObject(unconstify(Query *, delta));
	List *rows = NIL;
	ListCell *lc;

	sx_compat_flatten_groups(query);
	foreach (lc, set_values(query))
	{
		const Const *set = linitial_node(Const, lfirst(lc));

		if (DatumGetInt32(set->constvalue) <= 0)
			rows = lappend(rows, first_row(query, set));
	}
	return rows;
}
