/*
 * window.c
 *	  Arithmetic of windows, and the check of their constants.
 *
 * A window's start is found by floor division, so that instants before the
 * origin, and before 1970, fall into windows like all others.  No sum is formed
 * that could wrap: timestamps reach to within 700 ms of what an int64 holds.
 */
#include "compat.h"

#include "common/int.h"
#include "pgtime.h"
#include "utils/timestamp.h"

#include "window/window.h"

/* The remainder that is never negative. */
static inline int64
floor_mod(int64 value, int64 divisor)
{
	int64 remainder;

	if (value >= 0 && value < divisor)
		return value;
	remainder = value % divisor;
	return remainder < 0 ? remainder + divisor : remainder;
}

/* How long before ts its window starts, less than the window's size. */
static inline int64
time_into_window(const SxWindow *window, int64 ts)
{
	int64 into = floor_mod(ts, window->size_us) - floor_mod(window->origin_us, window->size_us);

	return into < 0 ? into + window->size_us : into;
}

/* The window that holds ts; false if there is none within the timestamp range. */
static inline bool
find_window(const SxWindow *window, int64 ts, int64 *start, int64 *end)
{
	return IS_VALID_TIMESTAMP(ts) &&
		   !pg_sub_s64_overflow(ts, time_into_window(window, ts), start) &&
		   !pg_add_s64_overflow(*start, window->size_us, end) && IS_VALID_TIMESTAMP(*start) &&
		   IS_VALID_TIMESTAMP(*end);
}

pg_noinline static void
out_of_range(int64 ts)
{
	if (TIMESTAMP_NOT_FINITE(ts))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
						errmsg("an infinite timestamp is in no window")));
	ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW), errmsg("window out of range"),
					errdetail("It would start or end beyond what a timestamp can hold.")));
}

int64
sx_window_start(const SxWindow *window, int64 ts)
{
	int64 start;
	int64 end;

	if (unlikely(!find_window(window, ts, &start, &end)))
		out_of_range(ts);
	return start;
}

int64
sx_window_end(const SxWindow *window, int64 start)
{
	int64 end;

	if (unlikely(!IS_VALID_TIMESTAMP(start) || pg_add_s64_overflow(start, window->size_us, &end) ||
				 !IS_VALID_TIMESTAMP(end)))
		out_of_range(start);
	return end;
}

bool
sx_window_is_late(const SxWindow *window, int64 ts, int64 allowed_lateness_us, int64 watermark)
{
	int64 start;
	int64 end;
	int64 sealed_at;

	if (window->kind == SX_WINDOW_GLOBAL || watermark == DT_NOBEGIN)
		return false;
	return find_window(window, ts, &start, &end) &&
		   !pg_add_s64_overflow(end, allowed_lateness_us, &sealed_at) && sealed_at <= watermark;
}

int64
sx_window_late_bound(const SxWindow *window, int64 allowed_lateness_us, int64 watermark)
{
	int64 sealed_through;
	int64 boundary;

	if (window->kind == SX_WINDOW_GLOBAL || watermark == DT_NOBEGIN)
		return DT_NOBEGIN;

	/* the last window boundary that is sealed: every row before it is late */
	if (pg_sub_s64_overflow(watermark, allowed_lateness_us, &sealed_through) ||
		pg_sub_s64_overflow(sealed_through, time_into_window(window, sealed_through), &boundary) ||
		boundary == DT_NOBEGIN)
		return DT_NOBEGIN;
	return boundary - 1;
}

/* Microseconds of a size in pure time; whatever else it is, is refused. */
static int64
size_in_us(const Interval *size)
{
	int64 days_us;
	int64 size_us;

	if (size->month != 0 && (size->day != 0 || size->time != 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a window size cannot mix months with days or time"),
						errhint("Give a size of months only, or of days and time only.")));
	if (size->month > 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("calendar window sizes are not supported yet"),
						errdetail("The length of a month is not fixed."),
						errhint("Give a size of days or time, for example '30 days'.")));
	if (pg_mul_s64_overflow(size->day, USECS_PER_DAY, &days_us) ||
		pg_add_s64_overflow(days_us, size->time, &size_us))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("window size out of range")));
	if (size->month < 0 || size_us <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("a window size must be positive"),
				 errhint("Give a positive interval, for example '5 minutes'.")));
	return size_us;
}

void
sx_window_make(SxWindowKind kind, const Interval *size, int64 origin_us, bool has_origin,
			   SxWindow *out)
{
	out->kind = kind;
	out->size_us = 0;
	out->origin_us = 0;
	if (kind == SX_WINDOW_GLOBAL)
		return;

	if (has_origin && unlikely(TIMESTAMP_NOT_FINITE(origin_us)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the origin of windows must be finite")));
	out->size_us = size_in_us(size);
	out->origin_us = floor_mod(has_origin ? origin_us : SX_WINDOW_DEFAULT_ORIGIN, out->size_us);
}

void
sx_window_check_timezone(const Interval *size, const char *timezone)
{
	pg_tz *zone;
	long offset;

	if (strcmp(timezone, "UTC") == 0)
		return;
	zone = strlen(timezone) <= TZ_STRLEN_MAX ? pg_tzset(timezone) : NULL;
	if (zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("time zone \"%s\" not recognized", timezone)));

	/* sizes in pure time are the same everywhere; so are days without summer time at UTC */
	if (size->month == 0 && size->day == 0)
		return;
	if (pg_get_timezone_offset(zone, &offset) && offset == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("calendar window sizes are not supported yet"),
			 errdetail("The length of a day is not fixed in time zone \"%s\".", timezone),
			 errhint("Use time zone \"UTC\", or give a size in hours, for example '24 hours'.")));
}
