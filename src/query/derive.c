/*
 * derive.c
 *	  The queries that a micro-batch runs, from a view's definition.
 *
 *      user's query    SELECT key, tumble(t, …), sum(x) + 1 FROM … WHERE … GROUP BY … HAVING …
 *      delta           SELECT key, slice, partial(sum(x))   FROM … WHERE … GROUP BY key, slice
 *      rows            SELECT ctid                          FROM … WHERE …
 *
 * A session's slice is a bucket as wide as the gap, of which the delta shows the
 * first and the last event time; its rows query is the delta of each row by itself.
 *
 *      delta           SELECT key, min(t), max(t), partial(sum(x))   … GROUP BY key, bucket
 *      rows            SELECT key, t, t, partial(sum(x)), ctid       … GROUP BY key, t, ctid
 *
 * Trees in, trees out: nothing here touches the catalog but to look functions up.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"

#include "aggregate/transition.h"
#include "query/derive.h"
#include "query/expression.h"

/* A query under construction: its columns, and what it groups by. */
typedef struct Grouping
{
	const SxDefinition *definition;
	List *targets;
	List *groups;
	Index last_ref; /* ressortgrouprefs so far */
} Grouping;

Oid
sx_derive_slice_type(const SxDefinition *definition)
{
	return definition->window_time->vartype == TIMESTAMPTZOID ? TIMESTAMPTZOID : TIMESTAMPOID;
}

Expr *
sx_derive_time(const SxDefinition *definition)
{
	Var *time = copyObject(definition->window_time);

	return (Expr *) coerce_to_target_type(NULL, (Node *) time, time->vartype,
										  sx_derive_slice_type(definition), -1, COERCION_IMPLICIT,
										  COERCE_IMPLICIT_CAST, -1);
}

List *
sx_derive_targets(const SxDefinition *definition, const Query *original, SxDeriveMutator mutator,
				  void *context)
{
	List *targets = NIL;
	ListCell *lc;

	foreach (lc, definition->query->targetList)
	{
		TargetEntry *entry = flatCopyTargetEntry(lfirst(lc));
		bool is_sorted =
			get_sortgroupref_clause_noerr(entry->ressortgroupref, original->sortClause) != NULL;

		if (entry->resjunk && !is_sorted)
			continue;
		entry->expr = (Expr *) mutator((Node *) entry->expr, context);
		entry->resno = list_length(targets) + 1;
		if (!is_sorted)
			entry->ressortgroupref = 0;
		entry->resorigtbl = InvalidOid;
		entry->resorigcol = 0;
		targets = lappend(targets, entry);
	}
	return targets;
}

/* A constant of the window's call, or NULL of its type. */
static Expr *
constant(const Const *given, Oid type)
{
	return given ? (Expr *) copyObject(unconstify(Const *, given))
				 : (Expr *) makeNullConst(type, -1, get_typcollation(type));
}

/* window_slice(time, kind, size, step, origin, timezone) */
static Expr *
slice(const SxDefinition *definition)
{
	Oid type = sx_derive_slice_type(definition);
	Oid types[] = {type, TEXTOID, INTERVALOID, INTERVALOID, type, TEXTOID};
	List *args = list_make3(sx_derive_time(definition),
							sx_text_const(sx_window_kind_name(definition->window.kind)),
							constant(definition->window_size, INTERVALOID));

	args = lappend(args, constant(definition->window_step, INTERVALOID));
	args = lappend(args, constant(definition->window_origin, type));
	args = lappend(args, constant(definition->window_timezone, TEXTOID));
	return (Expr *) sx_call("window_slice", lengthof(types), types, type, args, InvalidOid);
}

/* ---- columns ---- */

static TargetEntry *
add_column(Grouping *grouping, Expr *expr, char *name)
{
	TargetEntry *entry = makeTargetEntry(expr, list_length(grouping->targets) + 1, name, false);

	grouping->targets = lappend(grouping->targets, entry);
	return entry;
}

static void
group_by(Grouping *grouping, TargetEntry *entry)
{
	entry->ressortgroupref = ++grouping->last_ref;
	grouping->groups =
		lappend(grouping->groups, sx_group_clause(entry->expr, entry->ressortgroupref));
}

static void
add_keys(Grouping *grouping)
{
	Query *query = grouping->definition->query;
	ListCell *lc;

	foreach (lc, grouping->definition->keys)
	{
		SxGroupKey *key = lfirst(lc);
		SortGroupClause *clause =
			copyObject(get_sortgroupref_clause(key->sortgroupref, query->groupClause));
		TargetEntry *entry = add_column(grouping, copyObject(key->expr),
										psprintf("k%d", foreach_current_index(lc) + 1));

		entry->ressortgroupref = clause->tleSortGroupRef = ++grouping->last_ref;
		grouping->groups = lappend(grouping->groups, clause);
	}
}

/* partial(aggregate, NULL::state): see partial.c */
static Expr *
marked(Aggref *aggref)
{
	const char *why;
	Oid type = sx_aggregate_state_type(aggref, &why);
	Oid types[] = {ANYOID, ANYELEMENTOID};
	Oid collation = OidIsValid(get_typcollation(type)) ? aggref->aggcollid : InvalidOid;
	List *args = list_make2(aggref, makeNullConst(type, -1, get_typcollation(type)));

	return (Expr *) sx_call("partial", 2, types, type, args, collation);
}

static void
add_states(Grouping *grouping)
{
	ListCell *lc;

	foreach (lc, grouping->definition->aggregates)
		add_column(grouping, marked(copyObject(lfirst_node(Aggref, lc))),
				   psprintf("a%d", foreach_current_index(lc) + 1));
}

/* First and last event time of a gap-wide bucket. */
static void
add_bucket(Grouping *grouping)
{
	const SxDefinition *definition = grouping->definition;

	add_column(grouping, marked(sx_call_aggregate("min", sx_derive_time(definition))),
			   pstrdup("slice_start"));
	add_column(grouping, marked(sx_call_aggregate("max", sx_derive_time(definition))),
			   pstrdup("slice_end"));
}

/* What the user's query becomes with other columns and groups. */
static Query *
regrouped(Grouping *grouping)
{
	Query *query = copyObject(grouping->definition->query);

	query->targetList = grouping->targets;
	query->groupClause = grouping->groups;
	query->havingQual = NULL;
	query->sortClause = NIL;
	query->hasTargetSRFs = false;
	return query;
}

/*
 * Without an event time a row's time may be NULL: hop, cumulate and session
 * have no window for it.
 */
static void
skip_timeless_rows(Query *query, const SxDefinition *definition)
{
	if (definition->stream->event_time != 0 || definition->window.kind == SX_WINDOW_GLOBAL ||
		definition->window.kind == SX_WINDOW_TUMBLE)
		return;
	sx_add_condition(query, sx_not_null(slice(definition)));
}

Query *
sx_derive_delta(const SxDefinition *definition)
{
	Grouping grouping = {.definition = definition};
	bool is_session = definition->window.kind == SX_WINDOW_SESSION;
	Query *query;

	add_keys(&grouping);
	if (is_session)
		add_bucket(&grouping);
	else if (definition->window_key)
		group_by(&grouping, add_column(&grouping, slice(definition), pstrdup("slice_start")));
	if (grouping.targets == NIL) /* one row for all: a constant key */
		add_column(&grouping,
				   (Expr *) makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(0), false, true),
				   pstrdup("k1"));
	add_states(&grouping);
	if (is_session)
	{
		TargetEntry *bucket = add_column(&grouping, slice(definition), pstrdup("bucket"));

		bucket->resjunk = true;
		group_by(&grouping, bucket);
	}
	query = regrouped(&grouping);
	query->hasAggs = query->hasAggs || is_session;
	skip_timeless_rows(query, definition);
	return query;
}

static Expr *
stream_row(const SxDefinition *definition)
{
	return (Expr *) makeVar(definition->stream_rti, SelfItemPointerAttributeNumber, TIDOID, -1,
							InvalidOid, 0);
}

/* SELECT ctid: which rows of a micro-batch pass FROM and WHERE. */
static Query *
derive_plain_rows(const SxDefinition *definition)
{
	Grouping grouping = {.definition = definition};
	Query *query;

	add_column(&grouping, stream_row(definition), pstrdup("stream_row"));
	query = regrouped(&grouping);
	query->hasAggs = false;
	return query;
}

Query *
sx_derive_rows(const SxDefinition *definition)
{
	Grouping grouping = {.definition = definition};
	Query *query;

	if (definition->window.kind != SX_WINDOW_SESSION)
		return derive_plain_rows(definition);
	add_keys(&grouping);
	group_by(&grouping, add_column(&grouping, sx_derive_time(definition), pstrdup("slice_start")));
	add_column(&grouping, sx_derive_time(definition), pstrdup("slice_end"));
	add_states(&grouping);
	group_by(&grouping, add_column(&grouping, stream_row(definition), pstrdup("stream_row")));
	query = regrouped(&grouping);
	skip_timeless_rows(query, definition);
	return query;
}
