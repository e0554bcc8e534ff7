/*
 * functions.c
 *	  Windows in SQL: tumble(), hop(), cumulate() and session() for users,
 *	  slices and ranges for the views that streamx generates, bounds for the
 *	  conditions it derives from theirs.
 *
 * Everything here is a thin, IMMUTABLE face of window.c.  A timestamp without
 * time zone and a date are windowed as they read, as if in UTC.  A call keeps
 * the window that it made of its constants, and uses it for all rows.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/rangetypes.h"
#include "utils/timestamp.h"

#include "window/window.h"

PG_FUNCTION_INFO_V1(streamx_tumble_timestamptz);
PG_FUNCTION_INFO_V1(streamx_tumble_timestamp);
PG_FUNCTION_INFO_V1(streamx_tumble_date);
PG_FUNCTION_INFO_V1(streamx_hop_timestamptz);
PG_FUNCTION_INFO_V1(streamx_hop_timestamp);
PG_FUNCTION_INFO_V1(streamx_hop_date);
PG_FUNCTION_INFO_V1(streamx_cumulate_timestamptz);
PG_FUNCTION_INFO_V1(streamx_cumulate_timestamp);
PG_FUNCTION_INFO_V1(streamx_cumulate_date);
PG_FUNCTION_INFO_V1(streamx_session);
PG_FUNCTION_INFO_V1(streamx_window_slice_timestamptz);
PG_FUNCTION_INFO_V1(streamx_window_slice_timestamp);
PG_FUNCTION_INFO_V1(streamx_tumble_range_timestamptz);
PG_FUNCTION_INFO_V1(streamx_tumble_range_timestamp);
PG_FUNCTION_INFO_V1(streamx_window_range_timestamptz);
PG_FUNCTION_INFO_V1(streamx_window_range_timestamp);
PG_FUNCTION_INFO_V1(streamx_slice_before);
PG_FUNCTION_INFO_V1(streamx_range_first);
PG_FUNCTION_INFO_V1(streamx_range_last);

/* Where a function has its arguments; 0: it has none such. */
typedef struct Signature
{
	SxWindowKind kind; /* or, where kind_argument says so, of that name */
	int kind_argument;
	int size;
	int step;
	int origin;
	int timezone;
} Signature;

static const Signature tumble_signature = {SX_WINDOW_TUMBLE, 0, 1, 0, 2, 3};
static const Signature hop_signature = {SX_WINDOW_HOP, 0, 1, 2, 3, 4};
static const Signature cumulate_signature = {SX_WINDOW_CUMULATE, 0, 1, 2, 3, 4};
static const Signature slice_signature = {SX_WINDOW_GLOBAL, 1, 2, 3, 4, 5};
static const Signature range_signature = {SX_WINDOW_TUMBLE, 0, 1, 0, 0, 0};

/* What a window is made of. */
typedef struct Constants
{
	SxWindowKind kind;
	bool has_step;
	bool has_origin;
	bool has_timezone;
	Interval size;
	Interval step;
	TimestampTz origin;
	char timezone[TZ_STRLEN_MAX +
				  2]; /* one more than names have, so that longer ones stay unknown */
} Constants;

/* What a call keeps in fn_extra. */
typedef struct Call
{
	bool is_constant; /* the window's arguments are the same for all rows */
	bool is_made;
	Constants constants;
	SxWindow window;
	TypeCacheEntry *range_type; /* NULL: not looked up yet */

	/* the slice last asked for */
	int64 slice_start;
	int64 slice_end;

	/* hop, cumulate: between the windows of a row */
	bool is_between;
	int64 ts;
	SxWindowBounds bounds;
} Call;

static Datum tumble(FunctionCallInfo fcinfo, int64 ts, bool has_zone);
static Datum
next_window(FunctionCallInfo fcinfo, const Signature *signature, int64 ts, bool has_zone);
static void stop_between(Datum arg);
static Datum window_slice(FunctionCallInfo fcinfo, int64 ts, bool has_zone);
static Datum tumble_range(FunctionCallInfo fcinfo, bool has_zone);
static Datum window_range(FunctionCallInfo fcinfo, bool has_zone);
static Call *get_call(FunctionCallInfo fcinfo);
static Call *get_window(FunctionCallInfo fcinfo, const Signature *signature, bool has_zone);
static bool any_argument_null(FunctionCallInfo fcinfo, const Signature *signature);
static void
read_constants(FunctionCallInfo fcinfo, const Signature *signature, Constants *constants);
static bool are_constant(FunctionCallInfo fcinfo);
static Datum range_datum(FunctionCallInfo fcinfo, bool has_zone, int64 start, int64 end);
static int64 date_argument(FunctionCallInfo fcinfo);

/* ---------------------------------------------------------------------------
 * For users
 * ---------------------------------------------------------------------------
 */

/* tumble(ts, size, origin, timezone): the window that holds ts */
Datum
streamx_tumble_timestamptz(PG_FUNCTION_ARGS)
{
	return tumble(fcinfo, PG_GETARG_TIMESTAMPTZ(0), true);
}

Datum
streamx_tumble_timestamp(PG_FUNCTION_ARGS)
{
	return tumble(fcinfo, PG_GETARG_TIMESTAMP(0), false);
}

Datum
streamx_tumble_date(PG_FUNCTION_ARGS)
{
	return tumble(fcinfo, date_argument(fcinfo), false);
}

static Datum
tumble(FunctionCallInfo fcinfo, int64 ts, bool has_zone)
{
	int64 start;
	int64 end;

	if (any_argument_null(fcinfo, &tumble_signature))
		PG_RETURN_NULL();
	(void) sx_window_slice(&get_window(fcinfo, &tumble_signature, has_zone)->window, ts, &start,
						   &end);
	return range_datum(fcinfo, has_zone, start, end);
}

/* hop(ts, size, slide, origin, timezone): the windows that hold ts, in the order of their ends */
Datum
streamx_hop_timestamptz(PG_FUNCTION_ARGS)
{
	return next_window(fcinfo, &hop_signature, PG_GETARG_TIMESTAMPTZ(0), true);
}

Datum
streamx_hop_timestamp(PG_FUNCTION_ARGS)
{
	return next_window(fcinfo, &hop_signature, PG_GETARG_TIMESTAMP(0), false);
}

Datum
streamx_hop_date(PG_FUNCTION_ARGS)
{
	return next_window(fcinfo, &hop_signature, date_argument(fcinfo), false);
}

/* cumulate(ts, max_size, step, origin, timezone): likewise */
Datum
streamx_cumulate_timestamptz(PG_FUNCTION_ARGS)
{
	return next_window(fcinfo, &cumulate_signature, PG_GETARG_TIMESTAMPTZ(0), true);
}

Datum
streamx_cumulate_timestamp(PG_FUNCTION_ARGS)
{
	return next_window(fcinfo, &cumulate_signature, PG_GETARG_TIMESTAMP(0), false);
}

Datum
streamx_cumulate_date(PG_FUNCTION_ARGS)
{
	return next_window(fcinfo, &cumulate_signature, date_argument(fcinfo), false);
}

/* One window a call; between the calls for a row the call remembers where it is. */
static Datum
next_window(FunctionCallInfo fcinfo, const Signature *signature, int64 ts, bool has_zone)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Call *call = get_call(fcinfo);
	bool is_found;

	if (result == NULL || !IsA(result, ReturnSetInfo) ||
		!(result->allowedModes & SFRM_ValuePerCall))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("set-valued function called in context that cannot accept a set")));
	if (call->is_between)
	{
		sx_window_next(&call->window, &call->bounds);
		is_found = call->bounds.start <= ts;
	}
	else
		is_found = !any_argument_null(fcinfo, signature) &&
				   sx_window_first(&get_window(fcinfo, signature, has_zone)->window, ts, DT_NOBEGIN,
								   &call->bounds);

	if (is_found != call->is_between)
	{
		if (is_found)
			RegisterExprContextCallback(result->econtext, stop_between, PointerGetDatum(call));
		else
			UnregisterExprContextCallback(result->econtext, stop_between, PointerGetDatum(call));
		call->is_between = is_found;
	}
	result->isDone = is_found ? ExprMultipleResult : ExprEndResult;
	if (!is_found)
		PG_RETURN_NULL();
	return range_datum(fcinfo, has_zone, call->bounds.start, call->bounds.end);
}

/* The query wants no more windows of this row. */
static void
stop_between(Datum arg)
{
	((Call *) DatumGetPointer(arg))->is_between = false;
}

/* session(ts, gap): what analysis of a continuous view looks for */
Datum
streamx_session(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("session windows exist only in GROUP BY of a continuous view"),
			 errdetail("A session depends on all rows of its group."),
			 errhint("In another query find the rows that begin a session with lag(ts) OVER"
					 " (PARTITION BY key ORDER BY ts), and number sessions with sum() OVER.")));
}

/* ---------------------------------------------------------------------------
 * For generated views
 * ---------------------------------------------------------------------------
 */

/* window_slice(ts, kind, size, step, origin, timezone): start of the slice that holds ts */
Datum
streamx_window_slice_timestamptz(PG_FUNCTION_ARGS)
{
	return window_slice(fcinfo, PG_GETARG_TIMESTAMPTZ(0), true);
}

Datum
streamx_window_slice_timestamp(PG_FUNCTION_ARGS)
{
	return window_slice(fcinfo, PG_GETARG_TIMESTAMP(0), false);
}

static Datum
window_slice(FunctionCallInfo fcinfo, int64 ts, bool has_zone)
{
	Call *call;
	int64 start;
	int64 end;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(slice_signature.kind_argument) ||
		PG_ARGISNULL(slice_signature.size))
		PG_RETURN_NULL();
	call = get_window(fcinfo, &slice_signature, has_zone);
	if (ts < call->slice_start || ts >= call->slice_end)
	{
		if (!sx_window_slice(&call->window, ts, &start, &end))
			PG_RETURN_NULL();
		call->slice_start = start;
		call->slice_end = end;
	}
	PG_RETURN_TIMESTAMP(call->slice_start);
}

/* tumble_range(slice_start, size [, origin, timezone]): the window that starts there */
Datum
streamx_tumble_range_timestamptz(PG_FUNCTION_ARGS)
{
	return tumble_range(fcinfo, true);
}

Datum
streamx_tumble_range_timestamp(PG_FUNCTION_ARGS)
{
	return tumble_range(fcinfo, false);
}

static Datum
tumble_range(FunctionCallInfo fcinfo, bool has_zone)
{
	const Signature *signature = PG_NARGS() == 2 ? &range_signature : &tumble_signature;
	int64 start = PG_GETARG_TIMESTAMP(0);
	Call *call;

	if (any_argument_null(fcinfo, signature))
		PG_RETURN_NULL();
	call = get_window(fcinfo, signature, has_zone);
	return range_datum(fcinfo, has_zone, start, sx_window_end(&call->window, start));
}

/* window_range(window_start, window_end, shortest, longest): the last two are for the planner */
Datum
streamx_window_range_timestamptz(PG_FUNCTION_ARGS)
{
	return window_range(fcinfo, true);
}

Datum
streamx_window_range_timestamp(PG_FUNCTION_ARGS)
{
	return window_range(fcinfo, false);
}

static Datum
window_range(FunctionCallInfo fcinfo, bool has_zone)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	return range_datum(fcinfo, has_zone, PG_GETARG_TIMESTAMP(0), PG_GETARG_TIMESTAMP(1));
}

/*
 * slice_before(window_end, size): window_end - size, for comparison with the
 * starts of windows.  Out of range it is -infinity, which compares with every
 * start as the true difference would.
 */
Datum
streamx_slice_before(PG_FUNCTION_ARGS)
{
	const SxWindow *window = &get_window(fcinfo, &range_signature, true)->window;
	Timestamp window_end = PG_GETARG_TIMESTAMP(0);
	int64 start;

	if (!window->is_fixed)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("slice_before needs a size in days or time"),
						errhint("Give the least or the greatest length of a window.")));
	if (TIMESTAMP_NOT_FINITE(window_end))
		PG_RETURN_TIMESTAMP(window_end);
	if (pg_sub_s64_overflow(window_end, window->size_us, &start) || start < MIN_TIMESTAMP)
		PG_RETURN_TIMESTAMP(DT_NOBEGIN);
	PG_RETURN_TIMESTAMP(start);
}

/*
 * range_first(range), range_last(range): the bounds, never NULL: infinite where the range is
 * unbounded, -infinity both for the empty range.
 */
Datum
streamx_range_first(PG_FUNCTION_ARGS)
{
	RangeType *range = PG_GETARG_RANGE_P(0);
	TypeCacheEntry *typcache = range_get_typcache(fcinfo, RangeTypeGetOid(range));
	RangeBound lower;
	RangeBound upper;
	bool is_empty;

	range_deserialize(typcache, range, &lower, &upper, &is_empty);
	if (is_empty || lower.infinite)
		PG_RETURN_TIMESTAMP(DT_NOBEGIN);
	PG_RETURN_DATUM(lower.val);
}

Datum
streamx_range_last(PG_FUNCTION_ARGS)
{
	RangeType *range = PG_GETARG_RANGE_P(0);
	TypeCacheEntry *typcache = range_get_typcache(fcinfo, RangeTypeGetOid(range));
	RangeBound lower;
	RangeBound upper;
	bool is_empty;

	range_deserialize(typcache, range, &lower, &upper, &is_empty);
	if (is_empty)
		PG_RETURN_TIMESTAMP(DT_NOBEGIN);
	if (upper.infinite)
		PG_RETURN_TIMESTAMP(DT_NOEND);
	PG_RETURN_DATUM(upper.val);
}

/* ---------------------------------------------------------------------------
 * Arguments and results
 * ---------------------------------------------------------------------------
 */

static Call *
get_call(FunctionCallInfo fcinfo)
{
	FmgrInfo *flinfo = fcinfo->flinfo;

	if (flinfo->fn_extra == NULL)
		flinfo->fn_extra = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Call));
	return flinfo->fn_extra;
}

/* The call with the window that its arguments describe. */
static Call *
get_window(FunctionCallInfo fcinfo, const Signature *signature, bool has_zone)
{
	Call *call = get_call(fcinfo);
	Constants constants;
	SxWindow window;

	if (likely(call->is_constant))
		return call;
	read_constants(fcinfo, signature, &constants);
	if (call->is_made && memcmp(&constants, &call->constants, sizeof(Constants)) == 0)
		return call;

	sx_window_make(constants.kind, &constants.size, constants.has_step ? &constants.step : NULL,
				   constants.has_origin ? &constants.origin : NULL,
				   constants.has_timezone ? constants.timezone : NULL, &window);
	if (!has_zone)
		sx_window_require_utc(&window);
	call->window = window;
	call->constants = constants;
	call->is_made = true;
	call->is_constant = are_constant(fcinfo);
	call->slice_start = call->slice_end = 0;
	return call;
}

/* NULL in, NULL out, but for the origin. */
static bool
any_argument_null(FunctionCallInfo fcinfo, const Signature *signature)
{
	return PG_ARGISNULL(0) || PG_ARGISNULL(signature->size) ||
		   (signature->step && PG_ARGISNULL(signature->step)) ||
		   (signature->timezone && PG_ARGISNULL(signature->timezone));
}

static void
read_constants(FunctionCallInfo fcinfo, const Signature *signature, Constants *constants)
{
	memset(constants, 0, sizeof(*constants));
	constants->kind = signature->kind;
	if (signature->kind_argument)
		constants->kind =
			sx_window_kind_of(text_to_cstring(PG_GETARG_TEXT_PP(signature->kind_argument)));
	if (constants->kind == SX_WINDOW_GLOBAL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a view without windows has no slices")));
	constants->size = *PG_GETARG_INTERVAL_P(signature->size);
	constants->has_step = signature->step && !PG_ARGISNULL(signature->step);
	if (constants->has_step)
		constants->step = *PG_GETARG_INTERVAL_P(signature->step);
	constants->has_origin = signature->origin && !PG_ARGISNULL(signature->origin);
	if (constants->has_origin)
		constants->origin = PG_GETARG_TIMESTAMPTZ(signature->origin);
	constants->has_timezone = signature->timezone && !PG_ARGISNULL(signature->timezone);
	if (constants->has_timezone)
		text_to_cstring_buffer(PG_GETARG_TEXT_PP(signature->timezone), constants->timezone,
							   sizeof(constants->timezone));
}

/*
 * Whether the window's arguments are constants.  Parameters are not: PL/pgSQL
 * evaluates an expression again with other values for them.
 */
static bool
are_constant(FunctionCallInfo fcinfo)
{
	Node *expr = fcinfo->flinfo->fn_expr;
	ListCell *lc;

	if (expr == NULL || !IsA(expr, FuncExpr))
		return false;
	for_each_from(lc, ((FuncExpr *) expr)->args, 1)
	{
		if (!IsA(lfirst(lc), Const))
			return false;
	}
	return true;
}

static Datum
range_datum(FunctionCallInfo fcinfo, bool has_zone, int64 start, int64 end)
{
	Call *call = get_call(fcinfo);
	RangeBound lower = {.val = TimestampGetDatum(start), .inclusive = true, .lower = true};
	RangeBound upper = {.val = TimestampGetDatum(end)};

	if (call->range_type == NULL)
		call->range_type =
			lookup_type_cache(has_zone ? TSTZRANGEOID : TSRANGEOID, TYPECACHE_RANGE_INFO);
	return RangeTypePGetDatum(sx_range_serialize(call->range_type, &lower, &upper, false));
}

/* Midnight; dates reach much further than timestamps. */
static int64
date_argument(FunctionCallInfo fcinfo)
{
	DateADT date = PG_GETARG_DATEADT(0);

	if (PG_ARGISNULL(0))
		return 0;
	if (DATE_NOT_FINITE(date))
		return DATE_IS_NOBEGIN(date) ? DT_NOBEGIN : DT_NOEND;
	if (date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
						errmsg("date out of range for timestamp")));
	return (int64) date * USECS_PER_DAY;
}
