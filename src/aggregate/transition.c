/*
 * transition.c
 *	  Call an aggregate's support functions outside of an Agg node.
 *
 * The functions are called as nodeAgg.c calls them in a plan that finalises
 * partial aggregates, because they may look: with an AggState for context,
 * whose aggregate context is the memory that results go to, with an expression
 * that tells polymorphic functions their types, and strict ones never with a
 * NULL.  What is stored, though, is not theirs to scribble on, as a transition
 * value is: they get a copy.
 *
 *		stored --copy or deserialise--> transition value --+
 *		                                                   combine --serialise--> stored
 *		delta  --deserialise----------> transition value --+
 */
#include "compat.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/nodeAgg.h"
#include "nodes/makefuncs.h"
#include "parser/parse_agg.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/expandeddatum.h"
#include "utils/memutils.h"
#include "utils/regproc.h"

#include "aggregate/lookup.h"
#include "aggregate/sum.h"
#include "aggregate/transition.h"

struct SxAggregate
{
	SxAggregateLookup lookup;
	bool is_internal;
	SxSumFormat sum_format; /* of states that need not be deserialised to be combined */

	/* what the support functions see */
	AggState *agg_state;
	ExprContext aggregate_context; /* its memory: the current context of each call */
	ExprContext temporary_context;
	AggStatePerTransData trans; /* transfn is the combine function */
	AggStatePerAggData agg;
	FunctionCallInfo final_fcinfo;
};

static void prepare_agg_state(SxAggregate *aggregate, Aggref *aggref, MemoryContext context);
static void prepare_functions(SxAggregate *aggregate, const Aggref *aggref, Oid *argtypes);
static FunctionCallInfo prepare_call(SxAggregate *aggregate, Oid function, Expr *call, int nargs,
									 Oid collation, FmgrInfo *flinfo);
static bool combine_strictly(const SxAggregate *aggregate, Datum left, bool left_is_null,
							 Datum right, bool right_is_null, Datum *result, bool *is_null);
static bool combine_sums(const SxAggregate *aggregate, Datum state, bool state_is_null, Datum right,
						 bool right_is_null, Datum *result);
static Datum combine_loaded(SxAggregate *aggregate, Datum state, bool state_is_null, Datum right,
							bool right_is_null, bool *is_null);
static Datum load_state(SxAggregate *aggregate, Datum state, bool *is_null);
static Datum call_combine(SxAggregate *aggregate, Datum left, bool left_is_null, Datum right,
						  bool right_is_null, bool *is_null);
static Datum call_serialise(SxAggregate *aggregate, Datum value, bool *is_null);
static Datum call_deserialise(SxAggregate *aggregate, Datum bytes, bool *is_null);
static Datum call_final(SxAggregate *aggregate, Datum value, bool *is_null);
static Datum flatten(const SxAggregate *aggregate, Datum value);
static Datum
run_callbacks(SxAggregate *aggregate, Datum result, bool is_null, bool by_value, int16 length);

Oid
sx_aggregate_state_type(const Aggref *aggref, const char **why)
{
	SxAggregateLookup lookup;
	Oid argtypes[FUNC_MAX_ARGS];
	int nargs = get_aggregate_argtypes((Aggref *) aggref, argtypes);

	sx_aggregate_lookup(aggref->aggfnoid, argtypes, nargs, &lookup);
	if (why)
		*why = lookup.why;
	return lookup.stored_type;
}

bool
sx_aggregate_can_read(const Aggref *aggref, Oid stored_type, int major)
{
	SxAggregateLookup lookup;
	Oid argtypes[FUNC_MAX_ARGS];
	int nargs = get_aggregate_argtypes((Aggref *) aggref, argtypes);

	sx_aggregate_lookup(aggref->aggfnoid, argtypes, nargs, &lookup);
	if (lookup.stored_type != stored_type)
		return false;
	return lookup.transition_type != INTERNALOID ||
		   sx_state_major(lookup.maker, major) == lookup.header.server_major;
}

SxAggregate *
sx_aggregate_open(Oid aggfnoid, const Oid *argtypes, int nargs, Oid result_type,
				  Oid input_collation, Oid check_as, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Aggref *aggref = makeNode(Aggref);
	SxAggregate *aggregate;

	aggref->aggfnoid = aggfnoid;
	aggref->aggtype = result_type;
	aggref->inputcollid = input_collation;
	aggref->aggkind = AGGKIND_NORMAL;
	aggref->aggstar = nargs == 0;
	for (int i = 0; i < nargs; i++)
	{
		Expr *argument = (Expr *) makeNullConst(argtypes[i], -1, InvalidOid);

		aggref->aggargtypes = lappend_oid(aggref->aggargtypes, argtypes[i]);
		aggref->args = lappend(aggref->args, makeTargetEntry(argument, i + 1, NULL, false));
	}
	aggregate = sx_aggregate_open_aggref(aggref, check_as, context);
	MemoryContextSwitchTo(old);
	return aggregate;
}

SxAggregate *
sx_aggregate_open_aggref(const Aggref *aggref, Oid check_as, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	SxAggregate *aggregate = palloc0(sizeof(SxAggregate));
	SxAggregateLookup *lookup = &aggregate->lookup;
	Oid argtypes[FUNC_MAX_ARGS];
	int nargs = get_aggregate_argtypes((Aggref *) aggref, argtypes);

	sx_aggregate_lookup(aggref->aggfnoid, argtypes, nargs, lookup);
	if (lookup->why)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("states of aggregate %s cannot be kept",
							   format_procedure(aggref->aggfnoid)),
						errdetail_internal("%s", lookup->why)));
	sx_aggregate_check_execute(lookup, check_as, true);

	aggregate->is_internal = lookup->transition_type == INTERNALOID;
	aggregate->sum_format = sx_sum_format(lookup);
	prepare_agg_state(aggregate, (Aggref *) aggref, context);
	prepare_functions(aggregate, aggref, argtypes);
	MemoryContextSwitchTo(old);
	return aggregate;
}

SxAggregate **
sx_aggregate_open_list(List *aggrefs, Oid check_as, MemoryContext context)
{
	SxAggregate **aggregates =
		MemoryContextAlloc(context, Max(list_length(aggrefs), 1) * sizeof(SxAggregate *));
	ListCell *lc;

	foreach (lc, aggrefs)
		aggregates[foreach_current_index(lc)] =
			sx_aggregate_open_aggref(lfirst_node(Aggref, lc), check_as, context);
	return aggregates;
}

Oid
sx_aggregate_stored_type(const SxAggregate *aggregate)
{
	return aggregate->lookup.stored_type;
}

Oid
sx_aggregate_result_type(const SxAggregate *aggregate)
{
	return aggregate->lookup.result_type;
}

Oid
sx_aggregate_final_function(const SxAggregate *aggregate)
{
	return aggregate->lookup.final_function;
}

Datum
sx_aggregate_combine(SxAggregate *aggregate, Datum state, bool state_is_null, Datum delta,
					 bool delta_is_null, bool *is_null)
{
	Datum result;

	aggregate->aggregate_context.ecxt_per_tuple_memory = CurrentMemoryContext;
	if (combine_strictly(aggregate, state, state_is_null, delta, delta_is_null, &result, is_null))
		return result;
	*is_null = false;
	if (combine_sums(aggregate, state, state_is_null, delta, delta_is_null, &result))
		return result;
	if (aggregate->is_internal)
		delta = call_deserialise(aggregate, delta, &delta_is_null);
	return combine_loaded(aggregate, state, state_is_null, delta, delta_is_null, is_null);
}

Datum
sx_aggregate_combine_stored(SxAggregate *aggregate, Datum left, bool left_is_null, Datum right,
							bool right_is_null, bool *is_null)
{
	const SxAggregateLookup *lookup = &aggregate->lookup;
	Datum result;

	aggregate->aggregate_context.ecxt_per_tuple_memory = CurrentMemoryContext;
	if (combine_strictly(aggregate, left, left_is_null, right, right_is_null, &result, is_null))
		return result;
	if (aggregate->is_internal)
	{
		if (!right_is_null)
			right = sx_state_unwrap(&lookup->header, right, lookup->aggfnoid);
		*is_null = false;
		if (combine_sums(aggregate, left, left_is_null, right, right_is_null, &result))
			return result;
		right = call_deserialise(aggregate, right, &right_is_null);
	}
	return combine_loaded(aggregate, left, left_is_null, right, right_is_null, is_null);
}

Datum
sx_aggregate_store(SxAggregate *aggregate, Datum delta, bool delta_is_null)
{
	if (delta_is_null || !aggregate->is_internal)
		return delta;
	return sx_state_wrap(&aggregate->lookup.header, delta);
}

Datum
sx_aggregate_finalize(SxAggregate *aggregate, Datum state, bool state_is_null, bool *is_null)
{
	Datum result;

	aggregate->aggregate_context.ecxt_per_tuple_memory = CurrentMemoryContext;
	*is_null = state_is_null;
	state = load_state(aggregate, state, is_null);
	if (!OidIsValid(aggregate->lookup.final_function))
		return state;
	result = call_final(aggregate, state, is_null);
	return run_callbacks(aggregate, result, *is_null, aggregate->lookup.result_by_value,
						 aggregate->lookup.result_length);
}

void
sx_aggregate_close(SxAggregate *aggregate)
{
	MemoryContextDelete(aggregate->temporary_context.ecxt_per_tuple_memory);
	pfree(aggregate);
}

/* Opening */

static void
prepare_agg_state(SxAggregate *aggregate, Aggref *aggref, MemoryContext context)
{
	AggState *agg_state = makeNode(AggState);

	aggregate->agg_state = agg_state;
	aggregate->aggregate_context.type = T_ExprContext;
	aggregate->aggregate_context.ecxt_per_query_memory = context;
	aggregate->temporary_context.type = T_ExprContext;
	aggregate->temporary_context.ecxt_per_query_memory = context;
	aggregate->temporary_context.ecxt_per_tuple_memory =
		AllocSetContextCreate(context, "streamx aggregate", ALLOCSET_SMALL_SIZES);

	aggregate->trans.aggref = aggref;
	aggregate->agg.aggref = aggref;
	agg_state->aggs = list_make1(aggref);
	agg_state->numaggs = agg_state->numtrans = 1;
	agg_state->peragg = &aggregate->agg;
	agg_state->pertrans = &aggregate->trans;
	agg_state->curaggcontext = &aggregate->aggregate_context;
	agg_state->tmpcontext = &aggregate->temporary_context;
}

/* Look the support functions up, with the expressions that nodeAgg.c gives them. */
static void
prepare_functions(SxAggregate *aggregate, const Aggref *aggref, Oid *argtypes)
{
	const SxAggregateLookup *lookup = &aggregate->lookup;
	AggStatePerTrans trans = &aggregate->trans;
	Oid type = lookup->transition_type;
	Oid collation = aggref->inputcollid;
	Oid combine_types[] = {type, type};
	Expr *call;

	build_aggregate_transfn_expr(combine_types, 2, 0, aggref->aggvariadic, type, collation,
								 lookup->combine_function, InvalidOid, &call, NULL);
	trans->transfn_fcinfo =
		prepare_call(aggregate, lookup->combine_function, call, 2, collation, &trans->transfn);
	if (aggregate->is_internal)
	{
		build_aggregate_serialfn_expr(lookup->serialise_function, &call);
		trans->serialfn_fcinfo = prepare_call(aggregate, lookup->serialise_function, call, 1,
											  InvalidOid, &trans->serialfn);
		build_aggregate_deserialfn_expr(lookup->deserialise_function, &call);
		trans->deserialfn_fcinfo = prepare_call(aggregate, lookup->deserialise_function, call, 2,
												InvalidOid, &trans->deserialfn);
	}
	if (OidIsValid(lookup->final_function))
	{
		build_aggregate_finalfn_expr(argtypes, lookup->final_nargs, type, lookup->result_type,
									 collation, lookup->final_function, &call);
		aggregate->final_fcinfo =
			prepare_call(aggregate, lookup->final_function, call, lookup->final_nargs, collation,
						 &aggregate->agg.finalfn);
	}
}

static FunctionCallInfo
prepare_call(SxAggregate *aggregate, Oid function, Expr *call, int nargs, Oid collation,
			 FmgrInfo *flinfo)
{
	FunctionCallInfo fcinfo = palloc0(SizeForFunctionCallInfo(nargs));

	fmgr_info(function, flinfo);
	fmgr_info_set_expr((Node *) call, flinfo);
	InitFunctionCallInfoData(*fcinfo, flinfo, nargs, collation, (void *) aggregate->agg_state,
							 NULL);
	for (int i = 1; i < nargs; i++)
		fcinfo->args[i].isnull = true;
	return fcinfo;
}

/* Calling */

/* With a strict combine function a NULL on either side decides, without a call: then true. */
static bool
combine_strictly(const SxAggregate *aggregate, Datum left, bool left_is_null, Datum right,
				 bool right_is_null, Datum *result, bool *is_null)
{
	bool takes_right;

	if (!aggregate->trans.transfn.fn_strict || !(left_is_null || right_is_null))
		return false;
	/* a state that never had a value takes the first; one that became NULL remains so */
	takes_right = left_is_null && !right_is_null && !aggregate->lookup.has_initial_value;
	*result = takes_right ? right : left;
	*is_null = takes_right ? false : left_is_null;
	return true;
}

/* A stored state combined with a serialised one, by their bytes; false: the functions are to do it. */
static bool
combine_sums(const SxAggregate *aggregate, Datum state, bool state_is_null, Datum right,
			 bool right_is_null, Datum *result)
{
	const SxAggregateLookup *lookup = &aggregate->lookup;
	bytea *sum;

	if (aggregate->sum_format == SX_SUM_NONE || state_is_null || right_is_null)
		return false;
	state = sx_state_unwrap(&lookup->header, state, lookup->aggfnoid);
	sum = sx_sum_combine(aggregate->sum_format, DatumGetByteaPP(state), DatumGetByteaPP(right));
	if (sum == NULL)
		return false;
	*result = sx_state_wrap(&lookup->header, PointerGetDatum(sum));
	return true;
}

/* A stored state combined with a transition value, as a stored state. */
static Datum
combine_loaded(SxAggregate *aggregate, Datum state, bool state_is_null, Datum right,
			   bool right_is_null, bool *is_null)
{
	Datum result;

	state = load_state(aggregate, state, &state_is_null);
	result = call_combine(aggregate, state, state_is_null, right, right_is_null, is_null);
	if (aggregate->is_internal)
	{
		result = call_serialise(aggregate, result, is_null);
		if (!*is_null)
			result = sx_state_wrap(&aggregate->lookup.header, result);
	}
	else if (!*is_null)
		result = flatten(aggregate, result);
	return run_callbacks(aggregate, result, *is_null, aggregate->lookup.transition_by_value,
						 aggregate->is_internal ? -1 : aggregate->lookup.transition_length);
}

/*
 * A stored state as a transition value in the current memory context.
 *
 * In a plan a transition value is always what combine returned, and functions of
 * extensions may count on it: theirs goes through combine with a NULL first.
 */
static Datum
load_state(SxAggregate *aggregate, Datum state, bool *is_null)
{
	const SxAggregateLookup *lookup = &aggregate->lookup;

	if (*is_null)
		return (Datum) 0;
	if (!aggregate->is_internal)
		return datumCopy(state, lookup->transition_by_value, lookup->transition_length);

	state = sx_state_unwrap(&lookup->header, state, lookup->aggfnoid);
	state = call_deserialise(aggregate, state, is_null);
	if (lookup->is_builtin)
		return state;
	return call_combine(aggregate, (Datum) 0, true, state, *is_null, is_null);
}

static Datum
call_combine(SxAggregate *aggregate, Datum left, bool left_is_null, Datum right, bool right_is_null,
			 bool *is_null)
{
	FunctionCallInfo fcinfo = aggregate->trans.transfn_fcinfo;
	Datum result;

	fcinfo->args[0].value = left;
	fcinfo->args[0].isnull = left_is_null;
	fcinfo->args[1].value =
		MakeExpandedObjectReadOnly(right, right_is_null, aggregate->lookup.transition_length);
	fcinfo->args[1].isnull = right_is_null;
	fcinfo->isnull = false;
	aggregate->agg_state->curpertrans = &aggregate->trans;
	result = FunctionCallInvoke(fcinfo);
	aggregate->agg_state->curpertrans = NULL;
	*is_null = fcinfo->isnull;
	return result;
}

static Datum
call_serialise(SxAggregate *aggregate, Datum value, bool *is_null)
{
	FunctionCallInfo fcinfo = aggregate->trans.serialfn_fcinfo;
	Datum result;

	if (*is_null && fcinfo->flinfo->fn_strict)
		return (Datum) 0;
	fcinfo->args[0].value = value;
	fcinfo->args[0].isnull = *is_null;
	fcinfo->isnull = false;
	result = FunctionCallInvoke(fcinfo);
	*is_null = fcinfo->isnull;
	return result;
}

static Datum
call_deserialise(SxAggregate *aggregate, Datum bytes, bool *is_null)
{
	FunctionCallInfo fcinfo = aggregate->trans.deserialfn_fcinfo;
	Datum result;

	if (*is_null && fcinfo->flinfo->fn_strict)
		return (Datum) 0;
	fcinfo->args[0].value = bytes;
	fcinfo->args[0].isnull = *is_null;
	/* the second argument, of type internal, is only there for type safety */
	fcinfo->args[1].value = PointerGetDatum(NULL);
	fcinfo->args[1].isnull = false;
	fcinfo->isnull = false;
	result = FunctionCallInvoke(fcinfo);
	*is_null = fcinfo->isnull;
	return result;
}

static Datum
call_final(SxAggregate *aggregate, Datum value, bool *is_null)
{
	FunctionCallInfo fcinfo = aggregate->final_fcinfo;
	Datum result;

	/* arguments after the state are NULL */
	if (fcinfo->flinfo->fn_strict && (*is_null || fcinfo->nargs > 1))
	{
		*is_null = true;
		return (Datum) 0;
	}
	fcinfo->args[0].value = value;
	fcinfo->args[0].isnull = *is_null;
	for (int i = 1; i < fcinfo->nargs; i++)
	{
		fcinfo->args[i].value = (Datum) 0;
		fcinfo->args[i].isnull = true;
	}
	fcinfo->isnull = false;
	aggregate->agg_state->curperagg = &aggregate->agg;
	result = FunctionCallInvoke(fcinfo);
	aggregate->agg_state->curperagg = NULL;
	*is_null = fcinfo->isnull;
	return result;
}

/* An expanded object as a plain value; others as they are. */
static Datum
flatten(const SxAggregate *aggregate, Datum value)
{
	if (aggregate->lookup.transition_length == -1 &&
		VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value)))
		return datumCopy(value, false, -1);
	return value;
}

/*
 * Run what support functions registered by AggRegisterCallback for the end of
 * the aggregate context.  They may free what the result points to.
 */
static Datum
run_callbacks(SxAggregate *aggregate, Datum result, bool is_null, bool by_value, int16 length)
{
	ExprContext *econtext = &aggregate->aggregate_context;

	if (likely(econtext->ecxt_callbacks == NULL))
		return result;
	if (!is_null)
		result = datumCopy(result, by_value, length);
	while (econtext->ecxt_callbacks)
	{
		ExprContext_CB *callback = econtext->ecxt_callbacks;

		econtext->ecxt_callbacks = callback->next;
		callback->function(callback->arg);
	}
	return result;
}
