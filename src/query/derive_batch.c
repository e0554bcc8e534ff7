/*
 * derive_batch.c
 *	  A view's definition as a query that runs as a batch over its stream.
 *
 * For global and tumbling views that is the user's query.  The others say the
 * same in another way:
 *
 *      hop, cumulate   SELECT key, w, … FROM …, LATERAL hop(t, …) AS w
 *                      WHERE … AND counts(stream.ctid, upper(w)) GROUP BY key, w
 *      session         SELECT key, range(min(t), max(t) + gap), …
 *                      FROM (rows, numbered by the gaps between them) GROUP BY key, number
 *
 * streamx.counts() is true but in verify, where it leaves out the windows that
 * refused a row as late (see verify.c), and windows removed by retention.
 */
#include "compat.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "parser/parsetree.h"
#include "access/sysattr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "query/derive.h"
#include "query/expression.h"
#include "query/input_set.h"
#include "query/order.h"

/* Sort references of the user's ORDER BY are moved above those of our own groups. */
#define SORT_REF_OFFSET 10000

/* counts(stream_row, upper(window)); stream_row NULL: only retention matters */
static Expr *
counts(const SxDefinition *definition, Expr *stream_row, Expr *window)
{
	Oid types[] = {TIDOID, sx_derive_slice_type(definition)};
	List *args = list_make2(stream_row, sx_call_builtin("upper", window));

	return (Expr *) sx_call("counts", 2, types, BOOLOID, args, InvalidOid);
}

static Expr *
no_row(void)
{
	return (Expr *) makeNullConst(TIDOID, -1, InvalidOid);
}

/* ---- global, tumble ---- */

/* Aggregates that are kept by their inputs take them in the same order as in the view. */
static bool
order_aggregates(Node *node, void *context)
{
	const SxDefinition *definition = context;

	if (node == NULL)
		return false;
	if (IsA(node, Aggref))
	{
		Aggref *aggref = (Aggref *) node;
		const char *why;

		if (aggref->aggkind == AGGKIND_NORMAL && aggref->aggdistinct == NIL &&
			sx_input_set_takes(aggref, &why))
			sx_order_inputs(definition->stream, definition->stream_rti, aggref);
		return false;
	}
	return expression_tree_walker(node, order_aggregates, context);
}

static Query *
plain_batch(const SxDefinition *definition, const Query *original)
{
	Query *query = copyObject(unconstify(Query *, original));

	sx_drop_join_aliases(query);
	(void) order_aggregates((Node *) query->targetList, unconstify(SxDefinition *, definition));
	(void) order_aggregates(query->havingQual, unconstify(SxDefinition *, definition));
	return query;
}

static Query *
tumble_batch(const SxDefinition *definition, const Query *original)
{
	Query *query = plain_batch(definition, original);

	sx_add_condition(query, counts(definition, no_row(), copyObject(definition->window_key->expr)));
	return query;
}

/* ---- hop, cumulate ---- */

typedef struct Replacement
{
	Expr *from;
	Var *to;
} Replacement;

static Node *
replace(Node *node, Replacement *replacement)
{
	if (node == NULL)
		return NULL;
	if (equal(node, replacement->from))
		return (Node *) copyObject(replacement->to);
	return expression_tree_mutator(node, replace, (void *) replacement);
}

/* LATERAL call AS streamx_window, at the end of FROM; returns its column. */
static Var *
add_lateral(Query *query, FuncExpr *call)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblFunction *function = makeNode(RangeTblFunction);
	RangeTblRef *ref = makeNode(RangeTblRef);

	function->funcexpr = (Node *) copyObject(call);
	function->funccolcount = 1;
	rte->rtekind = RTE_FUNCTION;
	rte->functions = list_make1(function);
	rte->lateral = true;
	rte->inFromCl = true;
	rte->alias = makeAlias("streamx_window", NIL);
	rte->eref = makeAlias("streamx_window", list_make1(makeString(pstrdup("w"))));
	query->rtable = lappend(query->rtable, rte);
	ref->rtindex = list_length(query->rtable);
	query->jointree->fromlist = lappend(query->jointree->fromlist, ref);
	return makeVar(ref->rtindex, 1, call->funcresulttype, -1, InvalidOid, 0);
}

static Query *
composed_batch(const SxDefinition *definition)
{
	Query *query = copyObject(definition->query);
	Replacement replacement = {.from = definition->window_key->expr};
	Var *stream_row =
		makeVar(definition->stream_rti, SelfItemPointerAttributeNumber, TIDOID, -1, InvalidOid, 0);

	replacement.to = add_lateral(query, castNode(FuncExpr, replacement.from));
	query->targetList = (List *) replace((Node *) query->targetList, &replacement);
	query->havingQual = replace(query->havingQual, &replacement);
	query->hasTargetSRFs = false;
	sx_add_condition(query,
					 counts(definition, (Expr *) stream_row, (Expr *) copyObject(replacement.to)));
	return query;
}

/* ---- session ---- */

/* The innermost query: keys k1…, the time t, and the columns c1… that the rest needs. */
typedef struct Base
{
	const SxDefinition *definition;
	Query *query;
	List *targets;
	Expr *window; /* of the outermost query: what the call of session() becomes */
} Base;

static TargetEntry *
add_column(Base *base, Expr *expr, char *name)
{
	TargetEntry *entry = makeTargetEntry(expr, list_length(base->targets) + 1, name, false);

	base->targets = lappend(base->targets, entry);
	return entry;
}

/* The base's column with this expression, added if it is not there. */
static TargetEntry *
find_column(Base *base, Expr *expr)
{
	ListCell *lc;

	foreach (lc, base->targets)
	{
		if (equal(((TargetEntry *) lfirst(lc))->expr, expr))
			return lfirst(lc);
	}
	return add_column(base, copyObject(expr), psprintf("c%d", list_length(base->targets) + 1));
}

static bool
collect(Node *node, Base *base)
{
	if (node == NULL)
		return false;
	/* a subquery as a whole: what it refers to is on the base's level */
	if (IsA(node, Var) || IsA(node, SubLink))
	{
		(void) find_column(base, (Expr *) node);
		return false;
	}
	return expression_tree_walker(node, collect, (void *) base);
}

static Base
make_base(const SxDefinition *definition)
{
	Base base = {.definition = definition, .query = copyObject(definition->query)};
	ListCell *lc;

	foreach (lc, definition->keys)
		(void) add_column(&base, copyObject(((SxGroupKey *) lfirst(lc))->expr),
						  psprintf("k%d", foreach_current_index(lc) + 1));
	(void) add_column(&base, sx_derive_time(definition), pstrdup("t"));
	(void) collect((Node *) definition->query->targetList, &base);
	(void) collect(definition->query->havingQual, &base);

	sx_add_condition(base.query, sx_not_null(sx_derive_time(definition)));
	base.query->targetList = base.targets;
	base.query->groupClause = NIL;
	base.query->havingQual = NULL;
	base.query->sortClause = NIL;
	base.query->hasAggs = false;
	return base;
}

/*
 * The frame around the base, as text: whatever it names is ours or PostgreSQL's.
 * Rows exactly a gap apart are one session; row by row, is_first says where one begins.
 */
static Query *
islands(Base *base)
{
	const SxDefinition *definition = base->definition;
	StringInfoData keys;
	StringInfoData sql;
	char *gap = psprintf("'" INT64_FORMAT " microseconds'::pg_catalog.interval",
						 definition->window.size_us);

	initStringInfo(&keys);
	for (int i = 0; i < list_length(definition->keys); i++)
		appendStringInfo(&keys, "r.k%d, ", i + 1);
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.%s(pg_catalog.min(r.t), pg_catalog.max(r.t)"
					 " OPERATOR(pg_catalog.+) %s) FROM (SELECT r.*, pg_catalog.sum(r.is_first)"
					 " OVER (PARTITION BY %s0 ORDER BY r.t) AS session_number FROM (SELECT r.*,"
					 " CASE WHEN (r.t OPERATOR(pg_catalog.-) pg_catalog.lag(r.t)"
					 " OVER (PARTITION BY %s0 ORDER BY r.t)) OPERATOR(pg_catalog.<=) %s"
					 " THEN 0 ELSE 1 END AS is_first FROM (",
					 sx_derive_slice_type(definition) == TIMESTAMPTZOID ? "tstzrange" : "tsrange",
					 gap, keys.data, keys.data, gap);
	sx_append_dummy_select(&sql, base->targets);
	appendStringInfo(&sql, ") AS r) AS r) AS r GROUP BY %sr.session_number", keys.data);
	return parse_analyze_fixedparams(
		linitial_node(RawStmt, raw_parser(sql.data, RAW_PARSE_DEFAULT)), sql.data, NULL, 0, NULL);
}

/* Columns of the base, in the outermost query; keys and window by what they have become. */
static Node *
outer_mutator(Node *node, void *arg)
{
	Base *base = arg;
	ListCell *lc;

	if (node == NULL)
		return NULL;
	if (equal(node, base->definition->window_key->expr))
		return (Node *) copyObject(base->window);
	foreach (lc, base->targets)
	{
		TargetEntry *entry = lfirst(lc);

		if (equal(node, entry->expr))
			return (Node *) makeVar(1, entry->resno, exprType((Node *) entry->expr),
									exprTypmod((Node *) entry->expr),
									exprCollation((Node *) entry->expr), 0);
	}
	return expression_tree_mutator(node, outer_mutator, arg);
}

/* The user's columns, what he sorts by, then the groups of the frame. */
static List *
outer_targets(Base *base, const Query *original, List *frame)
{
	List *targets = sx_derive_targets(base->definition, original, outer_mutator, base);
	ListCell *lc;

	foreach (lc, targets)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->ressortgroupref != 0)
			entry->ressortgroupref += SORT_REF_OFFSET;
	}
	for_each_from(lc, frame, 1)
	{
		TargetEntry *entry = lfirst(lc);

		Assert(entry->resjunk);
		entry->resno = list_length(targets) + 1;
		targets = lappend(targets, entry);
	}
	return targets;
}

static List *
moved_sort_clause(const Query *original)
{
	List *clauses = copyObject(original->sortClause);
	ListCell *lc;

	foreach (lc, clauses)
		lfirst_node(SortGroupClause, lc)->tleSortGroupRef += SORT_REF_OFFSET;
	return clauses;
}

static Query *
subquery_of(Query *query)
{
	return rt_fetch(1, query->rtable)->subquery;
}

static Query *
session_batch(const SxDefinition *definition, const Query *original, bool has_retention)
{
	Base base = make_base(definition);
	Query *query = islands(&base);

	sx_compat_flatten_groups(query);
	base.window = linitial_node(TargetEntry, query->targetList)->expr;
	rt_fetch(1, subquery_of(subquery_of(query))->rtable)->subquery = base.query;
	query->havingQual = outer_mutator(definition->query->havingQual, &base);
	query->targetList = outer_targets(&base, original, query->targetList);
	query->sortClause = moved_sort_clause(original);
	if (has_retention)
	{
		Expr *kept = counts(definition, no_row(), copyObject(base.window));

		query->havingQual =
			query->havingQual
				? (Node *) makeBoolExpr(AND_EXPR, list_make2(query->havingQual, kept), -1)
				: (Node *) kept;
	}
	return query;
}

Query *
sx_derive_batch(const SxDefinition *definition, const Query *original, bool has_retention)
{
	switch (definition->window.kind)
	{
		case SX_WINDOW_HOP:
		case SX_WINDOW_CUMULATE:
			return composed_batch(definition);
		case SX_WINDOW_SESSION:
			return session_batch(definition, original, has_retention);
		case SX_WINDOW_TUMBLE:
			return has_retention ? tumble_batch(definition, original)
								 : plain_batch(definition, original);
		default:
			return plain_batch(definition, original);
	}
}
