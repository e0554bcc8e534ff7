/*
 * fit.c
 *	  Whether what is stored for a view holds all that another definition needs.
 *
 *      new definition --> its aggregates, among those stored?  no: it does not fit
 *                    --> with the stored lists: delta, inputs, finals
 *                         equal to the stored ones?          no: FROM, WHERE, keys or window differ
 *
 * Queries are compared as trees, bound by OID: names may have changed.
 */
#include "compat.h"

#include "access/table.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"

#include "aggregate/transition.h"
#include "query/derive.h"
#include "query/fit.h"
#include "query/input_set.h"

/* ---- stored queries ---- */

/* Privileges and places in a text are not meaning; nor are the names of a relation that is named as it is. */
static bool
forget_names(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		sx_compat_forget_permissions(rte);
		if (rte->rtekind == RTE_RELATION && (rte->alias == NULL || rte->alias->colnames == NIL))
			rte->alias = rte->eref = NULL;
		return false;
	}
	if (IsA(node, Query))
	{
		((Query *) node)->stmt_location = ((Query *) node)->stmt_len = 0;
		sx_compat_forget_all_permissions((Query *) node);
		return query_tree_walker((Query *) node, forget_names, context, QTW_EXAMINE_RTES_BEFORE);
	}
	return expression_tree_walker(node, forget_names, context);
}

/* In some versions the first relations of a view's query are the view itself. */
static bool
is_placeholder(const RangeTblEntry *rte, Oid view)
{
	return rte->rtekind == RTE_RELATION && rte->relid == view && !rte->inFromCl;
}

/* A copy of an internal view's query, to be compared with one that is derived. */
static Query *
stored_query(Oid view)
{
	Relation rel = table_open(view, AccessShareLock);
	Query *query = copyObject(get_view_query(rel));
	int placeholders = 0;

	table_close(rel, AccessShareLock);
	while (placeholders < list_length(query->rtable) &&
		   is_placeholder(list_nth(query->rtable, placeholders), view))
		placeholders++;
	query->rtable = list_copy_tail(query->rtable, placeholders);
	OffsetVarNodes((Node *) query, -placeholders, 0);
	(void) forget_names((Node *) query, NULL);
	return query;
}

static Query *
to_compare(Query *derived)
{
	(void) forget_names((Node *) derived, NULL);
	return derived;
}

/* The expression of a column, or NULL. */
static Expr *
column(const Query *query, const char *name)
{
	ListCell *lc;

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (!entry->resjunk && strcmp(entry->resname, name) == 0)
			return entry->expr;
	}
	return NULL;
}

/* ---- aggregates with states ---- */

/* The aggregates a1, a2, … of a delta. */
static List *
states_of(const Query *delta)
{
	List *states = NIL;
	Expr *expr;

	while ((expr = column(delta, psprintf("a%d", list_length(states) + 1))) != NULL)
		states = lappend(states, linitial_node(Aggref, castNode(FuncExpr, expr)->args));
	return states;
}

static bool
take_states(SxDefinition *definition, const Query *delta)
{
	List *states = states_of(delta);
	ListCell *needed;
	ListCell *stored;

	foreach (needed, definition->aggregates)
	{
		bool found = false;

		foreach (stored, states)
			found = found || sx_aggregate_shares_state(lfirst(stored), lfirst(needed));
		if (!found)
			return false;
	}
	definition->aggregates = states;
	return true;
}

/* ---- aggregates kept by their inputs ---- */

/* What a multiplicity counts: see derive.c. */
static Expr *
filter_of(Expr *multiplicity)
{
	if (IsA(multiplicity, Aggref))
		return ((Aggref *) multiplicity)->aggfilter;
	if (IsA(multiplicity, CaseExpr))
		return linitial_node(CaseWhen, ((CaseExpr *) multiplicity)->args)->expr;
	return NULL;
}

/* The set that a table of inputs holds; number: the table's, from 0. */
static SxInputSet *
stored_set(const Query *inputs, const Query *delta, int number)
{
	SxInputSet *set = palloc0(sizeof(SxInputSet));
	ListCell *lc;

	foreach (lc, inputs->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		SxMultiplicity *multiplicity;

		if (!entry->resjunk && entry->resname[0] == 'i')
			set->inputs = lappend(set->inputs, entry->expr);
		if (entry->resjunk || (entry->resname[0] != 'd' && entry->resname[0] != 'm'))
			continue;
		multiplicity = palloc0(sizeof(SxMultiplicity));
		multiplicity->filter = filter_of(entry->expr);
		multiplicity->is_distinct = entry->resname[0] == 'd';
		multiplicity->is_counted =
			column(delta, sx_counter_name(number, list_length(set->multiplicities))) != NULL;
		set->multiplicities = lappend(set->multiplicities, multiplicity);
	}
	return set;
}

static bool
has_multiplicity(const SxInputSet *stored, const SxMultiplicity *needed)
{
	ListCell *lc;

	foreach (lc, stored->multiplicities)
	{
		const SxMultiplicity *multiplicity = lfirst(lc);

		if (equal(multiplicity->filter, needed->filter))
			return (needed->is_distinct || !multiplicity->is_distinct) &&
				   (multiplicity->is_counted || !needed->is_counted);
	}
	return false;
}

static bool
has_set(List *stored, const SxInputSet *needed)
{
	ListCell *ls;
	ListCell *lm;

	foreach (ls, stored)
	{
		const SxInputSet *set = lfirst(ls);

		if (list_length(set->inputs) != list_length(needed->inputs) ||
			list_difference(set->inputs, needed->inputs) != NIL)
			continue;
		foreach (lm, needed->multiplicities)
		{
			if (!has_multiplicity(set, lfirst(lm)))
				return false;
		}
		return true;
	}
	return false;
}

static bool
take_sets(SxDefinition *definition, const SxView *view, const Query *delta)
{
	List *sets = NIL;
	ListCell *lc;

	foreach (lc, view->inputs)
		sets = lappend(sets, stored_set(stored_query(((SxViewInputs *) lfirst(lc))->delta), delta,
										foreach_current_index(lc)));
	foreach (lc, definition->input_sets)
	{
		if (!has_set(sets, lfirst(lc)))
			return false;
	}
	definition->input_sets = sets;
	return true;
}

/* An aggregate that a row may make fail must have been tried with the rows that there are. */
static bool
were_tried(const SxDefinition *definition, const SxView *view)
{
	Query *stored;
	ListCell *needed;
	ListCell *tried;

	if (definition->tried_aggregates == NIL)
		return true;
	if (!OidIsValid(view->trial))
		return false;
	stored = stored_query(view->trial);
	foreach (needed, to_compare(sx_derive_trial(definition))->targetList)
	{
		bool found = false;

		foreach (tried, stored->targetList)
			found = found || equal(lfirst_node(TargetEntry, tried)->expr,
								   lfirst_node(TargetEntry, needed)->expr);
		if (!found)
			return false;
	}
	return true;
}

/* Windows that are sealed may have no inputs any more, but final values. */
static bool
take_finals(SxDefinition *definition, const SxView *view)
{
	List *finals = NIL;
	int found = 0;
	Query *stored;
	Query *needed;

	if (!OidIsValid(view->finals))
		return !definition->folds;
	stored = stored_query(view->finals);
	needed = to_compare(sx_derive_finals(definition, view->state, sx_view_input_tables(view)));
	for (int i = 0; i < view->nfinals; i++)
	{
		Expr *expr = column(stored, sx_final_name(i));
		Aggref *aggref = NULL;

		for (int j = 0; j < list_length(definition->finals) && aggref == NULL; j++)
			if (equal(column(needed, sx_final_name(j)), expr))
				aggref = list_nth(definition->finals, j);
		finals = lappend(finals, aggref);
		found += aggref != NULL;
	}
	if (found < list_length(definition->finals))
		return false;
	definition->finals = finals;
	definition->folds = true;
	return true;
}

/* ---- the whole ---- */

static bool
has_same_inputs(const SxDefinition *definition, const SxView *view)
{
	ListCell *lc;

	foreach (lc, view->inputs)
	{
		const SxInputSet *set = list_nth(definition->input_sets, foreach_current_index(lc));

		if (!equal(stored_query(((SxViewInputs *) lfirst(lc))->delta),
				   to_compare(sx_derive_inputs(definition, set))))
			return false;
	}
	return true;
}

bool
sx_fit(SxDefinition *definition, const SxView *view)
{
	SxDefinition found = *definition;
	Query *delta;

	if (definition->stream->relid != view->stream)
		return false;
	delta = stored_query(view->delta);
	found.query = to_compare(copyObject(definition->query));
	/* an aggregate means the same only among the same relations */
	if (!equal(delta->rtable, found.query->rtable) || !take_states(&found, delta) ||
		!were_tried(&found, view) || !take_sets(&found, view, delta) ||
		!take_finals(&found, view) || !equal(delta, to_compare(sx_derive_delta(&found))) ||
		!has_same_inputs(&found, view))
		return false;
	definition->aggregates = found.aggregates;
	definition->input_sets = found.input_sets;
	definition->finals = found.finals;
	definition->folds = found.folds;
	return true;
}

/* A delta without its states: keys and slice. */
static Query *
without_states(Query *delta)
{
	List *targets = NIL;
	ListCell *lc;

	foreach (lc, delta->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resjunk || entry->resname[0] == 'k' || entry->resname[0] == 's')
			targets = lappend(targets, entry);
		entry->resno = list_length(targets);
	}
	delta->targetList = targets;
	delta->hasAggs = false;
	return delta;
}

bool
sx_fit_rows(const SxDefinition *definition, const SxView *view)
{
	return definition->stream->relid == view->stream &&
		   equal(without_states(stored_query(view->delta)),
				 without_states(to_compare(sx_derive_delta(definition))));
}
