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
 * Aggregates that are kept by their inputs (input_set.c) have a query for those:
 *
 *      inputs          SELECT key, slice, x, count(*) FROM … WHERE … GROUP BY key, slice, x
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
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"

#include "aggregate/transition.h"
#include "query/derive.h"
#include "query/expression.h"
#include "query/input_set.h"
#include "query/grouping.h"

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
		char *name = sx_grouping_is_set(query, key->sortgroupref)
						 ? pstrdup(SX_GROUPING_KEY)
						 : psprintf("k%d", foreach_current_index(lc) + 1);
		TargetEntry *entry = add_column(grouping, copyObject(key->expr), name);

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

static void add_input_states(Grouping *grouping);

static void
add_states(Grouping *grouping)
{
	ListCell *lc;

	foreach (lc, grouping->definition->aggregates)
		add_column(grouping, marked(copyObject(lfirst_node(Aggref, lc))),
				   psprintf("a%d", foreach_current_index(lc) + 1));
	add_input_states(grouping);
}

/* What the state holds of aggregates kept by their inputs; no row of the stream changes it here. */
static void
add_input_states(Grouping *grouping)
{
	List *sets = grouping->definition->input_sets;
	Expr *no_row = (Expr *) makeBoolConst(false, false);
	ListCell *ls;
	ListCell *lm;

	foreach (ls, sets)
	{
		int set = foreach_current_index(ls);

		foreach (lm, ((SxInputSet *) lfirst(ls))->multiplicities)
		{
			if (((SxMultiplicity *) lfirst(lm))->is_counted)
				add_column(grouping, marked(sx_count_rows(no_row)),
						   sx_counter_name(set, foreach_current_index(lm)));
		}
	}
	if (sets != NIL)
		add_column(grouping, marked(sx_call_input_groups()), pstrdup(SX_INPUT_GROUPS));
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

static void
add_bucket_group(Grouping *grouping)
{
	TargetEntry *bucket = add_column(grouping, slice(grouping->definition), pstrdup("bucket"));

	bucket->resjunk = true;
	group_by(grouping, bucket);
}

/* The slice of other windows; without keys and window, one row for all: a constant key. */
static void
add_slice(Grouping *grouping)
{
	const SxDefinition *definition = grouping->definition;

	if (definition->window_key)
		group_by(grouping, add_column(grouping, slice(definition), pstrdup("slice_start")));
	if (grouping->targets == NIL)
		add_column(grouping,
				   (Expr *) makeConst(INT4OID, -1, InvalidOid, 4, Int32GetDatum(0), false, true),
				   pstrdup("k1"));
}

static void
ungroup(Grouping *grouping)
{
	ListCell *lc;

	foreach (lc, grouping->targets)
		lfirst_node(TargetEntry, lc)->ressortgroupref = 0;
	grouping->groups = NIL;
}

static bool
has_aggregates(const Grouping *grouping)
{
	return contain_aggs_of_level((Node *) grouping->targets, 0);
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
	else
		add_slice(&grouping);
	add_states(&grouping);
	if (is_session)
		add_bucket_group(&grouping);
	query = regrouped(&grouping);
	query->hasAggs = has_aggregates(&grouping);
	skip_timeless_rows(query, definition);
	return query;
}

/* ---- inputs ---- */

static Expr *
bigint(int64 number)
{
	return (Expr *) makeConst(INT8OID, -1, InvalidOid, 8, Int64GetDatum(number), false,
							  FLOAT8PASSBYVAL);
}

/* How many rows that pass the filter: a count, or of a single row 1 or 0. */
static Expr *
multiplicity(const SxMultiplicity *multiplicity, bool is_grouped)
{
	CaseWhen *when;
	CaseExpr *one_or_none;

	if (is_grouped)
		return (Expr *) sx_count_rows(multiplicity->filter);
	if (multiplicity->filter == NULL)
		return bigint(1);
	when = makeNode(CaseWhen);
	when->expr = copyObject(multiplicity->filter);
	when->result = bigint(1);
	when->location = -1;
	one_or_none = makeNode(CaseExpr);
	one_or_none->casetype = INT8OID;
	one_or_none->args = list_make1(when);
	one_or_none->defresult = bigint(0);
	one_or_none->location = -1;
	return (Expr *) one_or_none;
}

static void
add_inputs(Grouping *grouping, const SxInputSet *set, bool is_grouped)
{
	ListCell *lc;

	foreach (lc, set->inputs)
	{
		TargetEntry *entry =
			add_column(grouping, copyObject(lfirst(lc)), sx_input_name(foreach_current_index(lc)));

		if (is_grouped)
			group_by(grouping, entry);
	}
	foreach (lc, set->multiplicities)
		add_column(grouping, multiplicity(lfirst(lc), is_grouped),
				   sx_multiplicity_name(set, foreach_current_index(lc)));
}

Query *
sx_derive_inputs(const SxDefinition *definition, const SxInputSet *set)
{
	Grouping grouping = {.definition = definition};
	bool is_session = definition->window.kind == SX_WINDOW_SESSION;
	bool is_grouped = sx_input_set_is_grouped(set);
	Query *query;

	add_keys(&grouping);
	if (!is_session)
		add_slice(&grouping);
	else if (is_grouped)
		add_column(&grouping, (Expr *) sx_call_aggregate("min", sx_derive_time(definition)),
				   pstrdup("slice_start"));
	else
		add_column(&grouping, sx_derive_time(definition), pstrdup("slice_start"));
	add_inputs(&grouping, set, is_grouped);
	if (is_session && is_grouped)
		add_bucket_group(&grouping);
	if (!is_grouped)
		ungroup(&grouping);
	query = regrouped(&grouping);
	query->hasAggs = has_aggregates(&grouping);
	skip_timeless_rows(query, definition);
	return query;
}

/* ---- rows ---- */

static Expr *
stream_row(const SxDefinition *definition)
{
	return (Expr *) makeVar(definition->stream_rti, SelfItemPointerAttributeNumber, TIDOID, -1,
							InvalidOid, 0);
}

/* An aggregate that takes what comes, in whatever order. */
static Aggref *
plain_aggregate(const Aggref *aggref)
{
	Aggref *plain = copyObject(unconstify(Aggref *, aggref));
	ListCell *lc;

	plain->aggorder = NIL;
	plain->aggdistinct = NIL;
	foreach (lc, plain->args)
	{
		TargetEntry *entry = lfirst(lc);

		entry->ressortgroupref = 0;
		if (entry->resjunk)
			plain->args = foreach_delete_current (plain->args, lc);
	}
	return plain;
}

Query *
sx_derive_trial(const SxDefinition *definition)
{
	Grouping grouping = {.definition = definition};
	Query *query;
	ListCell *lc;

	group_by(&grouping, add_column(&grouping, stream_row(definition), pstrdup("stream_row")));
	foreach (lc, definition->tried_aggregates)
		add_column(&grouping, (Expr *) plain_aggregate(lfirst(lc)),
				   psprintf("a%d", foreach_current_index(lc) + 1));
	query = regrouped(&grouping);
	query->hasAggs = true;
	return query;
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
