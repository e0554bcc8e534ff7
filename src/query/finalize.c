/*
 * finalize.c
 *	  The functions in the text of a continuous view's relations that stand for
 *	  half an aggregate: streamx.finalize() and streamx.partial().
 *
 * A view checks its functions as the role that reads it, so anybody can call
 * streamx.finalize() with anything.  It insists on the aggregate's very types; a
 * serialised state is of a type that nobody can forge; and a state that can be
 * made up goes to a final function only for those who may call that function.
 */
#include "compat.h"

#include "miscadmin.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"

#include "aggregate/transition.h"

PGDLLEXPORT Datum streamx_finalize(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_partial(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(streamx_finalize);
PG_FUNCTION_INFO_V1(streamx_partial);

/* finalize(state, aggregate, result, arguments...) */
#define STATE_ARG 0
#define AGGREGATE_ARG 1
#define RESULT_ARG 2
#define FIRST_ARGUMENT_ARG 3

/* One call site's aggregate, in fn_extra. */
typedef struct Finalizer
{
	Oid aggfnoid;
	SxAggregate *aggregate;
} Finalizer;

static Finalizer *open_finalizer(FunctionCallInfo fcinfo, Oid aggfnoid);
static void require_state_type(Oid aggfnoid, Oid expected, Oid found);
static void require_type(Oid aggfnoid, const char *what, Oid expected, Oid found);
static void require_final_function(Oid function);

/*
 * The final value of an aggregate's state.  The arguments after the aggregate
 * only carry types, of its result and of its arguments.
 */
Datum
streamx_finalize(PG_FUNCTION_ARGS)
{
	Finalizer *finalizer = fcinfo->flinfo->fn_extra;
	Oid aggfnoid;
	Datum result;
	bool is_null;

	if (PG_ARGISNULL(AGGREGATE_ARG))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("aggregate cannot be null")));
	aggfnoid = PG_GETARG_OID(AGGREGATE_ARG);
	if (unlikely(!finalizer || finalizer->aggfnoid != aggfnoid))
		finalizer = open_finalizer(fcinfo, aggfnoid);

	result = sx_aggregate_finalize(finalizer->aggregate, PG_GETARG_DATUM(STATE_ARG),
								   PG_ARGISNULL(STATE_ARG), &is_null);
	if (is_null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

static Finalizer *
open_finalizer(FunctionCallInfo fcinfo, Oid aggfnoid)
{
	MemoryContext context = fcinfo->flinfo->fn_mcxt;
	Finalizer *finalizer = fcinfo->flinfo->fn_extra;
	Oid state_type = get_fn_expr_argtype(fcinfo->flinfo, STATE_ARG);
	Oid argtypes[FUNC_MAX_ARGS];
	int nargs = 0;
	SxAggregate *aggregate;

	/* VARIADIC with an array would have a type, but not the arguments' */
	if (!OidIsValid(state_type) || get_fn_expr_variadic(fcinfo->flinfo))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("streamx.finalize cannot be called this way")));
	for (int i = FIRST_ARGUMENT_ARG; i < PG_NARGS(); i++)
		argtypes[nargs++] = get_fn_expr_argtype(fcinfo->flinfo, i);

	aggregate = sx_aggregate_open(aggfnoid, argtypes, nargs, InvalidOid, PG_GET_COLLATION(),
								  GetUserId(), context);
	require_state_type(aggfnoid, sx_aggregate_stored_type(aggregate), state_type);
	require_type(aggfnoid, "result", sx_aggregate_result_type(aggregate),
				 get_fn_expr_argtype(fcinfo->flinfo, RESULT_ARG));
	if (state_type != sx_state_type_oid() && OidIsValid(sx_aggregate_final_function(aggregate)))
		require_final_function(sx_aggregate_final_function(aggregate));

	if (finalizer)
		sx_aggregate_close(finalizer->aggregate);
	else
		finalizer = MemoryContextAlloc(context, sizeof(Finalizer));
	finalizer->aggfnoid = aggfnoid;
	finalizer->aggregate = aggregate;
	fcinfo->flinfo->fn_extra = finalizer;
	return finalizer;
}

/* Some aggregates have other states in other major versions of PostgreSQL. */
static void
require_state_type(Oid aggfnoid, Oid expected, Oid found)
{
	if (expected != found)
		ereport(
			ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("state of aggregate %s must be of type %s, not %s", format_procedure(aggfnoid),
					format_type_be(expected),
					OidIsValid(found) ? format_type_be(found) : "unknown"),
			 errhint("A continuous view of another PostgreSQL version may need streamx.rebuild: "
					 "see streamx.stat_views.")));
}

static void
require_type(Oid aggfnoid, const char *what, Oid expected, Oid found)
{
	if (expected != found)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("%s of aggregate %s must be of type %s, not %s", what,
							   format_procedure(aggfnoid), format_type_be(expected),
							   OidIsValid(found) ? format_type_be(found) : "unknown")));
}

/*
 * In a plan, EXECUTE on a final function is the aggregate owner's matter, who
 * chose it.  Here the caller may have made up the state, too.
 */
static void
require_final_function(Oid function)
{
	AclResult result = sx_function_aclcheck(function, GetUserId());

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FUNCTION, get_func_name(function));
}

/* Marks an aggregate in a delta view; the planner hook leaves none to be executed. */
Datum
streamx_partial(PG_FUNCTION_ARGS)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("streamx.partial can only be used by streamx")));
	PG_RETURN_NULL();
}
