/*
 * functions.c
 *	  Windows in SQL: tumble() for users, slices and ranges for the views that
 *	  streamx generates, bounds for the conditions it derives from theirs.
 *
 * Everything here is a thin, IMMUTABLE face of window.c.  A timestamp without
 * time zone and a date are windowed as they read, as if in UTC.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/rangetypes.h"
#include "utils/timestamp.h"

#include "window/window.h"

PG_FUNCTION_INFO_V1(streamx_tumble_timestamptz);
PG_FUNCTION_INFO_V1(streamx_tumble_timestamp);
PG_FUNCTION_INFO_V1(streamx_tumble_date);
PG_FUNCTION_INFO_V1(streamx_tumble_slice);
PG_FUNCTION_INFO_V1(streamx_tumble_slice_date);
PG_FUNCTION_INFO_V1(streamx_tumble_range_timestamptz);
PG_FUNCTION_INFO_V1(streamx_tumble_range_timestamp);
PG_FUNCTION_INFO_V1(streamx_slice_before);
PG_FUNCTION_INFO_V1(streamx_range_first);
PG_FUNCTION_INFO_V1(streamx_range_last);

static Datum tumble(FunctionCallInfo fcinfo, Oid range_type, int64 ts);
static Datum tumble_range(FunctionCallInfo fcinfo, Oid range_type);
static Datum
make_window_range(FunctionCallInfo fcinfo, Oid range_type, const SxWindow *window, int64 start);
static int64 date_to_timestamp(DateADT date);

/* tumble(ts, size, origin, timezone): the window that holds ts */
Datum
streamx_tumble_timestamptz(PG_FUNCTION_ARGS)
{
	return tumble(fcinfo, TSTZRANGEOID, PG_GETARG_TIMESTAMPTZ(0));
}

Datum
streamx_tumble_timestamp(PG_FUNCTION_ARGS)
{
	return tumble(fcinfo, TSRANGEOID, PG_GETARG_TIMESTAMP(0));
}

Datum
streamx_tumble_date(PG_FUNCTION_ARGS)
{
	return tumble(fcinfo, TSRANGEOID, date_to_timestamp(PG_GETARG_DATEADT(0)));
}

/* tumble_slice(ts, size, origin): where that window starts; for both kinds of timestamp */
Datum
streamx_tumble_slice(PG_FUNCTION_ARGS)
{
	SxWindow window;

	sx_window_make(SX_WINDOW_TUMBLE, PG_GETARG_INTERVAL_P(1), PG_GETARG_TIMESTAMP(2), true,
				   &window);
	PG_RETURN_TIMESTAMP(sx_window_start(&window, PG_GETARG_TIMESTAMP(0)));
}

Datum
streamx_tumble_slice_date(PG_FUNCTION_ARGS)
{
	SxWindow window;

	sx_window_make(SX_WINDOW_TUMBLE, PG_GETARG_INTERVAL_P(1), PG_GETARG_TIMESTAMP(2), true,
				   &window);
	PG_RETURN_TIMESTAMP(sx_window_start(&window, date_to_timestamp(PG_GETARG_DATEADT(0))));
}

/* tumble_range(slice_start, size): the window that starts there */
Datum
streamx_tumble_range_timestamptz(PG_FUNCTION_ARGS)
{
	return tumble_range(fcinfo, TSTZRANGEOID);
}

Datum
streamx_tumble_range_timestamp(PG_FUNCTION_ARGS)
{
	return tumble_range(fcinfo, TSRANGEOID);
}

/*
 * slice_before(window_end, size): window_end - size, for comparison with the
 * starts of windows.  Out of range it is -infinity, which compares with every
 * start as the true difference would.
 */
Datum
streamx_slice_before(PG_FUNCTION_ARGS)
{
	Timestamp window_end = PG_GETARG_TIMESTAMP(0);
	SxWindow window;
	int64 start;

	sx_window_make(SX_WINDOW_TUMBLE, PG_GETARG_INTERVAL_P(1), 0, false, &window);
	if (TIMESTAMP_NOT_FINITE(window_end))
		PG_RETURN_TIMESTAMP(window_end);
	if (pg_sub_s64_overflow(window_end, window.size_us, &start) || start < MIN_TIMESTAMP)
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

static Datum
tumble(FunctionCallInfo fcinfo, Oid range_type, int64 ts)
{
	const Interval *size = PG_GETARG_INTERVAL_P(1);
	text *timezone = PG_GETARG_TEXT_PP(3);
	SxWindow window;

	if (VARSIZE_ANY_EXHDR(timezone) != 3 || memcmp(VARDATA_ANY(timezone), "UTC", 3) != 0)
		sx_window_check_timezone(size, text_to_cstring(timezone));
	sx_window_make(SX_WINDOW_TUMBLE, size, PG_GETARG_TIMESTAMP(2), true, &window);
	return make_window_range(fcinfo, range_type, &window, sx_window_start(&window, ts));
}

static Datum
tumble_range(FunctionCallInfo fcinfo, Oid range_type)
{
	SxWindow window;

	sx_window_make(SX_WINDOW_TUMBLE, PG_GETARG_INTERVAL_P(1), 0, false, &window);
	return make_window_range(fcinfo, range_type, &window, PG_GETARG_TIMESTAMP(0));
}

static Datum
make_window_range(FunctionCallInfo fcinfo, Oid range_type, const SxWindow *window, int64 start)
{
	TypeCacheEntry *typcache = range_get_typcache(fcinfo, range_type);
	RangeBound lower = {.val = TimestampGetDatum(start), .inclusive = true, .lower = true};
	RangeBound upper = {.val = TimestampGetDatum(sx_window_end(window, start))};

	return RangeTypePGetDatum(sx_range_serialize(typcache, &lower, &upper, false));
}

/* Midnight; dates reach much further than timestamps. */
static int64
date_to_timestamp(DateADT date)
{
	if (DATE_NOT_FINITE(date))
		return DATE_IS_NOBEGIN(date) ? DT_NOBEGIN : DT_NOEND;
	if (date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
						errmsg("date out of range for timestamp")));
	return (int64) date * USECS_PER_DAY;
}
