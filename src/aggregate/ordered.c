/*
 * ordered.c
 *	  The aggregates that choose by order: first, last, min_by, max_by, first_n,
 *	  last_n, min_n, max_n and top_n_by.
 *
 * All are one: the n best items by a key (top.c).  They differ in what the key
 * is, which end is best, and what the final function shows.
 *
 *		                         key    best      n         shows
 *		first, min_by            order  least     1         its value
 *		last, max_by             order  greatest  1         its value
 *		first_n                  order  least     argument  values, best first
 *		last_n                   order  greatest  argument  values, best last
 *		top_n_by                 order  greatest  argument  values, best first
 *		min_n                    value  least     argument  values, best first
 *		max_n                    value  greatest  argument  values, best first
 *
 * Rows whose key is NULL are ignored, n and all.  A deserialise function is not
 * told types, so it only wraps the bytes: the combine function, which is the next
 * to see them, reads them.
 */
#include "compat.h"

#include "nodes/primnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "aggregate/top.h"

PGDLLEXPORT Datum streamx_first_transition(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_last_transition(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_min_n_transition(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_max_n_transition(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_first_combine(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_last_combine(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_min_n_combine(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_max_n_combine(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_ordered_serialise(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_ordered_deserialise(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_ordered_value(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_ordered_array(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_ordered_array_reversed(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(streamx_first_transition);
PG_FUNCTION_INFO_V1(streamx_last_transition);
PG_FUNCTION_INFO_V1(streamx_min_n_transition);
PG_FUNCTION_INFO_V1(streamx_max_n_transition);
PG_FUNCTION_INFO_V1(streamx_first_combine);
PG_FUNCTION_INFO_V1(streamx_last_combine);
PG_FUNCTION_INFO_V1(streamx_min_n_combine);
PG_FUNCTION_INFO_V1(streamx_max_n_combine);
PG_FUNCTION_INFO_V1(streamx_ordered_serialise);
PG_FUNCTION_INFO_V1(streamx_ordered_deserialise);
PG_FUNCTION_INFO_V1(streamx_ordered_value);
PG_FUNCTION_INFO_V1(streamx_ordered_array);
PG_FUNCTION_INFO_V1(streamx_ordered_array_reversed);

typedef struct Kind
{
	bool has_value; /* aggregated arguments: value, order, n, with_ties; otherwise value, n */
	bool is_descending;
} Kind;

static const Kind first = {true, false};
static const Kind last = {true, true};
static const Kind min_n = {false, false};
static const Kind max_n = {false, true};

/* The transition value: a top, or what deserialise returned. */
typedef struct State
{
	uint32 magic; /* no aggregate but ours may come here */
	SxTop *top;
	bytea *bytes; /* instead */
} State;

#define STATE_MAGIC 0x53787470

static Datum transition(FunctionCallInfo fcinfo, const Kind *kind);
static Datum combine(FunctionCallInfo fcinfo, const Kind *kind);
static Datum array(FunctionCallInfo fcinfo, bool is_reversed);
static void read_limits(FunctionCallInfo fcinfo, const Kind *kind, int *n, bool *with_ties);
static void check_same_limits(const SxTop *top, int n, bool with_ties);
static SxTopShape *transition_shape(FunctionCallInfo fcinfo, const Kind *kind);
static SxTopShape *combine_shape(FunctionCallInfo fcinfo, const Kind *kind);
static SxTopShape *open_shape(FunctionCallInfo fcinfo, const Kind *kind, Oid value, Oid key);
static State *make_state(SxTop *top, bytea *bytes, MemoryContext context);
static State *get_state(FunctionCallInfo fcinfo, int argument);
static SxTop *get_top(FunctionCallInfo fcinfo, int argument);
static MemoryContext aggregate_context(FunctionCallInfo fcinfo);

Datum
streamx_first_transition(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, &first);
}

Datum
streamx_last_transition(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, &last);
}

Datum
streamx_min_n_transition(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, &min_n);
}

Datum
streamx_max_n_transition(PG_FUNCTION_ARGS)
{
	return transition(fcinfo, &max_n);
}

Datum
streamx_first_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, &first);
}

Datum
streamx_last_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, &last);
}

Datum
streamx_min_n_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, &min_n);
}

Datum
streamx_max_n_combine(PG_FUNCTION_ARGS)
{
	return combine(fcinfo, &max_n);
}

Datum
streamx_ordered_serialise(PG_FUNCTION_ARGS)
{
	aggregate_context(fcinfo);
	PG_RETURN_BYTEA_P(sx_top_serialise(get_top(fcinfo, 0)));
}

/* The bytes are read by the combine function, in whose call they still are there. */
Datum
streamx_ordered_deserialise(PG_FUNCTION_ARGS)
{
	aggregate_context(fcinfo);
	PG_RETURN_POINTER(make_state(NULL, PG_GETARG_BYTEA_PP(0), CurrentMemoryContext));
}

Datum
streamx_ordered_value(PG_FUNCTION_ARGS)
{
	const SxTopItem *item;
	SxTop *top;
	int count;

	aggregate_context(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	top = get_top(fcinfo, 0);
	item = sx_top_sorted(top, &count);
	if (count == 0 || item->value_is_null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(sx_datum_copy(&sx_top_shape(top)->value, item->value));
}

Datum
streamx_ordered_array(PG_FUNCTION_ARGS)
{
	return array(fcinfo, false);
}

Datum
streamx_ordered_array_reversed(PG_FUNCTION_ARGS)
{
	return array(fcinfo, true);
}

static Datum
transition(FunctionCallInfo fcinfo, const Kind *kind)
{
	MemoryContext context = aggregate_context(fcinfo);
	State *state = PG_ARGISNULL(0) ? NULL : get_state(fcinfo, 0);
	int key = kind->has_value ? 2 : 1;
	SxTopItem item;
	int n;
	bool with_ties;

	if (PG_ARGISNULL(key))
	{
		if (!state)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(state);
	}
	read_limits(fcinfo, kind, &n, &with_ties);
	if (unlikely(!state))
		state = make_state(sx_top_create(transition_shape(fcinfo, kind), n, with_ties, context),
						   NULL, context);
	else
		check_same_limits(state->top, n, with_ties);

	item.key = PG_GETARG_DATUM(key);
	item.value = PG_GETARG_DATUM(1);
	item.value_is_null = PG_ARGISNULL(1);
	sx_top_push(state->top, &item);
	PG_RETURN_POINTER(state);
}

/* In a plan right is always new from deserialise, but copying is as easy as stealing. */
static Datum
combine(FunctionCallInfo fcinfo, const Kind *kind)
{
	MemoryContext context = aggregate_context(fcinfo);
	SxTop *left, *right;
	const State *state;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	state = get_state(fcinfo, 1);
	if (PG_ARGISNULL(0) && state->bytes)
		PG_RETURN_POINTER(make_state(
			sx_top_deserialise(combine_shape(fcinfo, kind), state->bytes, context), NULL, context));

	right = state->bytes ? sx_top_deserialise(combine_shape(fcinfo, kind), state->bytes,
											  CurrentMemoryContext)
						 : state->top;
	if (!PG_ARGISNULL(0))
		left = get_top(fcinfo, 0);
	else
		left = sx_top_create(combine_shape(fcinfo, kind), sx_top_n(right), sx_top_with_ties(right),
							 context);
	check_same_limits(left, sx_top_n(right), sx_top_with_ties(right));
	sx_top_merge(left, right);
	if (!PG_ARGISNULL(0))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_POINTER(make_state(left, NULL, context));
}

static Datum
array(FunctionCallInfo fcinfo, bool is_reversed)
{
	const SxTopShape *shape;
	ArrayBuildStateAny *result;
	SxTopItem *items;
	SxTop *top;
	Oid type;
	int count;

	aggregate_context(fcinfo);
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	top = get_top(fcinfo, 0);
	shape = sx_top_shape(top);
	items = sx_top_sorted(top, &count);
	type = shape->has_value ? shape->value.oid : shape->key.oid;
	result = initArrayResultAny(type, CurrentMemoryContext, false);
	for (int i = 0; i < count; i++)
	{
		const SxTopItem *item = &items[is_reversed ? count - 1 - i : i];

		result = accumArrayResultAny(result, shape->has_value ? item->value : item->key,
									 item->value_is_null, type, CurrentMemoryContext);
	}
	PG_RETURN_DATUM(makeArrayResultAny(result, CurrentMemoryContext, false));
}

/* n and with_ties */

static void
read_limits(FunctionCallInfo fcinfo, const Kind *kind, int *n, bool *with_ties)
{
	int n_argument = kind->has_value ? 3 : 2;
	int ties_argument = n_argument + 1;

	*n = 1;
	*with_ties = false;
	if (PG_NARGS() <= n_argument)
		return;
	if (PG_ARGISNULL(n_argument))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("n cannot be null")));
	*n = PG_GETARG_INT32(n_argument);
	if (*n < 1 || *n > SX_TOP_LIMIT)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("n must be between 1 and %d, not %d", SX_TOP_LIMIT, *n)));
	if (PG_NARGS() <= ties_argument)
		return;
	if (PG_ARGISNULL(ties_argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("with_ties cannot be null")));
	*with_ties = PG_GETARG_BOOL(ties_argument);
}

static void
check_same_limits(const SxTop *top, int n, bool with_ties)
{
	if (unlikely(n != sx_top_n(top) || with_ties != sx_top_with_ties(top)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("n and with_ties must be the same for all rows of a group")));
}

/* Shapes, in fn_extra */

static SxTopShape *
transition_shape(FunctionCallInfo fcinfo, const Kind *kind)
{
	return open_shape(fcinfo, kind, get_fn_expr_argtype(fcinfo->flinfo, 1),
					  get_fn_expr_argtype(fcinfo->flinfo, kind->has_value ? 2 : 1));
}

static SxTopShape *
combine_shape(FunctionCallInfo fcinfo, const Kind *kind)
{
	const Aggref *aggref = AggGetAggref(fcinfo);

	if (!aggref || list_length(aggref->aggargtypes) < 2)
		elog(ERROR, "streamx's combine function called in another's aggregate");
	return open_shape(fcinfo, kind, linitial_oid(aggref->aggargtypes),
					  kind->has_value ? lsecond_oid(aggref->aggargtypes)
									  : linitial_oid(aggref->aggargtypes));
}

static SxTopShape *
open_shape(FunctionCallInfo fcinfo, const Kind *kind, Oid value, Oid key)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	SxTopShape *shape = fcinfo->flinfo->fn_extra;

	if (shape)
		return shape;
	if (!OidIsValid(value) || !OidIsValid(key))
		elog(ERROR, "types of an aggregate's arguments are not known");
	shape = MemoryContextAllocZero(context, sizeof(SxTopShape));
	shape->has_value = kind->has_value;
	shape->is_descending = kind->is_descending;
	if (kind->has_value)
		sx_datum_type_open(&shape->value, value, PG_GET_COLLATION(), context);
	sx_datum_type_open(&shape->key, key, PG_GET_COLLATION(), context);
	if (!shape->key.is_ordered)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("values of type %s have no order", format_type_be(key)),
						errdetail("The type has no default btree operator class.")));
	fcinfo->flinfo->fn_extra = shape;
	return shape;
}

/* Transition values */

static State *
make_state(SxTop *top, bytea *bytes, MemoryContext context)
{
	State *state = MemoryContextAlloc(context, sizeof(State));

	state->magic = STATE_MAGIC;
	state->top = top;
	state->bytes = bytes;
	return state;
}

static State *
get_state(FunctionCallInfo fcinfo, int argument)
{
	State *state = (State *) PG_GETARG_POINTER(argument);

	if (unlikely(state->magic != STATE_MAGIC))
		elog(ERROR, "transition value is not one of streamx");
	return state;
}

static SxTop *
get_top(FunctionCallInfo fcinfo, int argument)
{
	State *state = get_state(fcinfo, argument);

	if (unlikely(!state->top))
		elog(ERROR, "transition value has not been through a combine function");
	return state->top;
}

/* Anybody can call these functions with NULL; that is refused. */
static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s can only be called by an aggregate",
						fcinfo->flinfo ? get_func_name(fcinfo->flinfo->fn_oid) : "function")));
	return context;
}
