/*
 * input_set.c
 *	  Aggregates that are kept by their inputs, and the sets of inputs.
 */
#include "compat.h"

#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "aggregate/image.h"
#include "aggregate/transition.h"
#include "query/input_set.h"
#include "query/order.h"

bool
sx_input_set_takes(const Aggref *aggref, const char **why)
{
	*why = NULL;
	return aggref->aggdistinct != NIL || aggref->aggorder != NIL ||
		   aggref->aggkind != AGGKIND_NORMAL || sx_order_matters(aggref) ||
		   !OidIsValid(sx_aggregate_state_type(aggref, why));
}

/* In whatever order. */
static bool
are_same(const List *left, const List *right)
{
	return list_length(left) == list_length(right) && list_difference(left, right) == NIL;
}

/* Its number, or -1. */
static int
find_set(const SxDefinition *definition, const List *inputs)
{
	ListCell *lc;

	foreach (lc, definition->input_sets)
	{
		if (are_same(((const SxInputSet *) lfirst(lc))->inputs, inputs))
			return foreach_current_index(lc);
	}
	return -1;
}

static int
find_multiplicity(const SxInputSet *set, const Expr *filter)
{
	ListCell *lc;

	foreach (lc, set->multiplicities)
	{
		if (equal(((const SxMultiplicity *) lfirst(lc))->filter, filter))
			return foreach_current_index(lc);
	}
	return -1;
}

static SxInputSet *
get_set(SxDefinition *definition, List *inputs)
{
	int number = find_set(definition, inputs);
	SxInputSet *set;

	if (number >= 0)
		return list_nth(definition->input_sets, number);
	set = palloc0(sizeof(SxInputSet));
	set->inputs = inputs;
	definition->input_sets = lappend(definition->input_sets, set);
	return set;
}

static SxMultiplicity *
get_multiplicity(SxInputSet *set, Expr *filter)
{
	int number = find_multiplicity(set, filter);
	SxMultiplicity *multiplicity;

	if (number >= 0)
		return list_nth(set->multiplicities, number);
	multiplicity = palloc0(sizeof(SxMultiplicity));
	multiplicity->filter = filter;
	multiplicity->is_distinct = true;
	set->multiplicities = lappend(set->multiplicities, multiplicity);
	return multiplicity;
}

void
sx_input_set_add(SxDefinition *definition, const Aggref *aggref)
{
	SxInputSet *set = get_set(definition, sx_input_set_inputs(aggref));
	SxMultiplicity *multiplicity = get_multiplicity(set, aggref->aggfilter);

	multiplicity->is_distinct &= aggref->aggdistinct != NIL;
	if (sx_input_set_counts(definition, aggref))
		multiplicity->is_counted = true;
	else
		definition->finals = list_append_unique(definition->finals, unconstify(Aggref *, aggref));
}

bool
sx_input_set_find(const SxDefinition *definition, const Aggref *aggref, int *set, int *multiplicity)
{
	const char *why;

	if (!sx_input_set_takes(aggref, &why))
		return false;
	*set = find_set(definition, sx_input_set_inputs(aggref));
	*multiplicity =
		*set < 0 ? -1
				 : find_multiplicity(list_nth(definition->input_sets, *set), aggref->aggfilter);
	if (*multiplicity < 0)
		elog(ERROR, "aggregate is not among the view's input sets");
	return true;
}

bool
sx_input_set_is_grouped(const SxInputSet *set)
{
	ListCell *lc;

	foreach (lc, set->inputs)
	{
		Node *input = lfirst(lc);

		if (!sx_image_follows_equality(exprType(input), exprCollation(input)))
			return false;
	}
	return true;
}

bool
sx_input_set_may_fail(const Aggref *aggref)
{
	char *name = get_func_name(aggref->aggfnoid);

	return aggref->aggkind == AGGKIND_NORMAL &&
		   (aggref->aggfnoid >= FirstNormalObjectId || strstr(name, "object_agg") != NULL ||
			aggref->aggfnoid == F_ARRAY_AGG_ANYARRAY);
}

char *
sx_input_name(int input)
{
	return psprintf("i%d", input + 1);
}

/* d: whether it came, m: how often */
char *
sx_multiplicity_name(const SxInputSet *set, int multiplicity)
{
	const SxMultiplicity *found = list_nth(set->multiplicities, multiplicity);

	return psprintf("%c%d", found->is_distinct ? 'd' : 'm', multiplicity + 1);
}

char *
sx_counter_name(int set, int multiplicity)
{
	return psprintf("c%d_%d", set + 1, multiplicity + 1);
}

bool
sx_counter_of_name(const char *name, int *set, int *multiplicity)
{
	if (sscanf(name, "c%d_%d", set, multiplicity) != 2)
		return false;
	(*set)--;
	(*multiplicity)--;
	return *set >= 0 && *multiplicity >= 0;
}

char *
sx_final_name(int final)
{
	return psprintf("f%d", final + 1);
}

/* What must be stored to compute an expression: of a row without a type, or of an image, what it is made of. */
static List *
add_inputs(List *inputs, Expr *expr, Oid image)
{
	List *parts;
	ListCell *lc;

	if (IsA(expr, Const))
		return inputs;
	if (IsA(expr, FuncExpr) && ((FuncExpr *) expr)->funcid == image)
		parts = ((FuncExpr *) expr)->args;
	else if (IsA(expr, RowExpr) && ((RowExpr *) expr)->row_typeid == RECORDOID)
		parts = ((RowExpr *) expr)->args;
	else
		return list_append_unique(inputs, expr);
	foreach (lc, parts)
		inputs = add_inputs(inputs, lfirst(lc), image);
	return inputs;
}

List *
sx_input_set_inputs(const Aggref *aggref)
{
	List *name = list_make2(makeString("streamx"), makeString("image"));
	Oid image = LookupFuncName(name, 1, (Oid[]){ANYELEMENTOID}, false);
	List *inputs = NIL;
	ListCell *lc;

	foreach (lc, aggref->args)
		inputs = add_inputs(inputs, lfirst_node(TargetEntry, lc)->expr, image);
	return inputs;
}

/*
 * Whether equal values have the same hash for ever.  Those of OIDs, as enums and regclass have
 * them, change with a dump, those of rows with ALTER TYPE, those of collations with a library's version.
 */
static bool
has_lasting_hash(Oid type, Oid collation)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	if (OidIsValid(element))
		return has_lasting_hash(element, collation);
	if (type_is_range(base))
		return has_lasting_hash(get_range_subtype(base), get_range_collation(base));
	if (type_is_multirange(base))
		return has_lasting_hash(get_multirange_range(base), InvalidOid);
	return !type_is_enum(base) && !type_is_rowtype(base) &&
		   lookup_type_cache(base, TYPECACHE_BTREE_OPFAMILY)->btree_opintype != OIDOID &&
		   (!OidIsValid(collation) || get_collation_isdeterministic(collation));
}

/*
 * count(DISTINCT x) where each row of the state is a result: hop, cumulate and
 * session combine several, in which the same value may have come.  The counter
 * must find every equal value again, by its hash.
 */
bool
sx_input_set_counts(const SxDefinition *definition, const Aggref *aggref)
{
	Node *argument;
	TypeCacheEntry *type;

	if (aggref->aggfnoid != F_COUNT_ANY || aggref->aggdistinct == NIL)
		return false;
	argument = (Node *) linitial_node(TargetEntry, aggref->args)->expr;
	if (IsA(argument, Const) || IsA(argument, RowExpr) ||
		(definition->window.kind != SX_WINDOW_GLOBAL &&
		 definition->window.kind != SX_WINDOW_TUMBLE))
		return false;
	if (!has_lasting_hash(exprType(argument), exprCollation(argument)))
		return false;
	type = lookup_type_cache(exprType(argument), TYPECACHE_HASH_EXTENDED_PROC);
	return OidIsValid(type->hash_extended_proc) ||
		   sx_image_follows_equality(exprType(argument), exprCollation(argument));
}
