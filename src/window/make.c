/*
 * make.c
 *	  Windows from the constants that users write: what is wrong with them, and
 *	  what follows from them.
 */
#include "compat.h"

#include "common/int.h"
#include "pgtime.h"
#include "utils/timestamp.h"

#include "window/calendar.h"
#include "window/floor.h"
#include "window/window.h"

/* 1970-01-01 00:00, where windows are aligned unless an origin is given. */
#define DEFAULT_ORIGIN ((int64) (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

/* Nominal days of a month, as in comparisons of intervals. */
#define MONTH_US (DAYS_PER_MONTH * USECS_PER_DAY)

/* What the clocks of a zone may yet be changed by, when its country so decides. */
#define FUTURE_OFFSET (3 * USECS_PER_HOUR)

/* How the user knows a kind and its sizes. */
typedef struct KindNames
{
	const char *kind;
	const char *size;
	const char *step; /* NULL: it has none of its own */
} KindNames;

static const KindNames names[] = {
	[SX_WINDOW_GLOBAL] = {"global"},
	[SX_WINDOW_TUMBLE] = {"tumble", "a window size"},
	[SX_WINDOW_HOP] = {"hop", "a window size", "the slide of windows"},
	[SX_WINDOW_CUMULATE] = {"cumulate", "a window size", "the step of windows"},
	[SX_WINDOW_SESSION] = {"session", "the gap of sessions"},
};

static pg_tz *find_zone(const char *timezone);
static int64 check_size(const char *what, const Interval *size);
static void check_days(const SxWindow *window, const char *what, const Interval *size);
static void check_cumulate(const SxWindow *window);
static void set_origin(SxWindow *window, const TimestampTz *origin);
static bool is_calendar(const SxWindow *window);
static int64 least_us(const SxWindow *window, const Interval *size);
static int64 most_us(const SxWindow *window, const Interval *size);

void
sx_window_make(SxWindowKind kind, const Interval *size, const Interval *step,
			   const TimestampTz *origin, const char *timezone, SxWindow *out)
{
	memset(out, 0, sizeof(*out));
	out->kind = kind;
	if (kind == SX_WINDOW_GLOBAL)
		return;

	if (names[kind].step && step == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is missing", names[kind].step),
						errhint("Give a positive interval, for example '1 minute'.")));
	out->size = *size;
	out->step = names[kind].step ? *step : *size;
	out->size_us = check_size(names[kind].size, &out->size);
	out->step_us = names[kind].step ? check_size(names[kind].step, &out->step) : out->size_us;
	if (kind == SX_WINDOW_SESSION)
	{
		if (size->month != 0)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("the gap of sessions cannot be in months"),
							errhint("Give a gap of days or time, for example '30 minutes'.")));
		origin = NULL;
		timezone = NULL;
	}
	out->zone = find_zone(timezone);
	out->is_fixed = !is_calendar(out);
	check_days(out, names[kind].size, &out->size);
	if (names[kind].step)
		check_days(out, names[kind].step, &out->step);
	if (kind == SX_WINDOW_CUMULATE)
		check_cumulate(out);
	set_origin(out, origin);

	out->phase_us = sx_floor_mod(out->origin_us, out->step_us);
	out->cut_us = kind == SX_WINDOW_HOP ? out->size_us % out->step_us : 0;
	out->safe_first = MIN_TIMESTAMP + out->size_us;
	out->safe_last = END_TIMESTAMP - 1 - out->size_us;
}

/* NULL: UTC, by whatever name. */
static pg_tz *
find_zone(const char *timezone)
{
	pg_tz *zone;
	long offset;

	if (timezone == NULL || strcmp(timezone, "UTC") == 0)
		return NULL;
	zone = strlen(timezone) <= TZ_STRLEN_MAX ? pg_tzset(timezone) : NULL;
	if (zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("time zone \"%s\" not recognized", timezone),
						errhint("View pg_timezone_names lists the names of time zones.")));
	if (!pg_tz_acceptable(zone))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("time zone \"%s\" appears to use leap seconds", timezone),
						errdetail("PostgreSQL does not support leap seconds."),
						errhint("View pg_timezone_names lists the names of time zones.")));
	return pg_get_timezone_offset(zone, &offset) && offset == 0 ? NULL : zone;
}

/* Microseconds of a size, if a month had 30 days of 24 hours; what is no size is refused. */
static int64
check_size(const char *what, const Interval *size)
{
	int64 days_us;
	int64 size_us;

	/* what 17 calls infinity */
	if ((size->month == PG_INT32_MAX && size->day == PG_INT32_MAX && size->time == PG_INT64_MAX) ||
		(size->month == PG_INT32_MIN && size->day == PG_INT32_MIN && size->time == PG_INT64_MIN))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must be finite", what),
						errhint("Give a positive interval, for example '5 minutes'.")));
	if (size->month != 0 && (size->day != 0 || size->time != 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s cannot mix months with days or time", what),
						errhint("Give months only, or days and time only.")));
	if (pg_mul_s64_overflow(size->day, USECS_PER_DAY, &days_us) ||
		pg_add_s64_overflow(days_us, size->time, &size_us) ||
		(size->month != 0 && pg_mul_s64_overflow(size->month, MONTH_US, &size_us)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s is out of range", what),
				 errhint("Give a shorter interval, for example '5 minutes'.")));
	if (size_us <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must be positive", what),
				 errhint("Give a positive interval, for example '5 minutes'.")));
	return size_us;
}

/* Days of a zone and hours do not add up. */
static void
check_days(const SxWindow *window, const char *what, const Interval *size)
{
	if (!window->is_fixed && window->zone && size->day != 0 && size->time != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s cannot mix days with time in a time zone", what),
						errdetail("The length of a day is not fixed in time zone \"%s\".",
								  pg_get_timezone_name(window->zone)),
						errhint("Give days only, or hours only, for example '36 hours'.")));
}

/* Whether a window follows the clocks of a zone, or months, so that its length is not fixed. */
static bool
is_calendar(const SxWindow *window)
{
	long offset;

	if (window->size.month != 0 || window->step.month != 0)
		return true;
	if (window->zone && pg_get_timezone_offset(window->zone, &offset))
		return false;
	return sx_calendar_is_local(&window->size, window->zone) ||
		   sx_calendar_is_local(&window->step, window->zone);
}

static void
check_cumulate(const SxWindow *window)
{
	bool sizes_compare = (window->size.month == 0) == (window->step.month == 0);

	if (window->step_us > window->size_us)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the step of windows cannot be longer than their size"),
						errhint("Give a step that the size is a multiple of.")));
	if (sizes_compare && window->size_us % window->step_us != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the size of cumulating windows must be a multiple of their step"),
						errhint("Give for example the size '1 day' with the step '1 hour'.")));
}

/*
 * Windows of days and months start at 1970-01-01 00:00 on the clocks of their zone.
 * The origin is kept within one window after PostgreSQL's epoch: the cheapest to compute with.
 */
static void
set_origin(SxWindow *window, const TimestampTz *origin)
{
	const Interval *apart = window->kind == SX_WINDOW_HOP ? &window->step : &window->size;
	bool is_local = sx_calendar_is_local(&window->size, window->zone) ||
					sx_calendar_is_local(&window->step, window->zone);
	int64 origin_us;

	if (origin && unlikely(!IS_VALID_TIMESTAMP(*origin)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the origin of windows must be finite"),
						errhint("Leave it away for 1970-01-01 00:00.")));
	origin_us = origin ? *origin : DEFAULT_ORIGIN;
	if (origin == NULL && is_local)
		origin_us = sx_calendar_instant(window->zone, DEFAULT_ORIGIN);
	window->origin_local = origin ? sx_calendar_local(window->zone, origin_us) : DEFAULT_ORIGIN;
	window->origin_us =
		sx_floor_mod(origin_us, apart == &window->step ? window->step_us : window->size_us);
	if (apart->month != 0 && sx_calendar_day_of_month(window->origin_local) > DAYS_IN_ALL_MONTHS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the origin of windows of months must be on one of the days 1 to %d of a"
						" month",
						DAYS_IN_ALL_MONTHS),
				 errdetail("Not every month has the day %d.",
						   sx_calendar_day_of_month(window->origin_local)),
				 errhint("Give an origin that is on a day of all months, for example"
						 " '2000-01-01'.")));
}

void
sx_window_require_utc(const SxWindow *window)
{
	if (window->zone)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("windows in time zone \"%s\" need a timestamp with time zone",
						pg_get_timezone_name(window->zone)),
				 errdetail("A timestamp without time zone, or a date, is in windows of the clock as"
						   " it reads."),
				 errhint("Leave timezone away.")));
}

const char *
sx_window_kind_name(SxWindowKind kind)
{
	return names[kind].kind;
}

SxWindowKind
sx_window_kind_of(const char *name)
{
	for (int kind = 0; kind < lengthof(names); kind++)
	{
		if (strcmp(names[kind].kind, name) == 0)
			return kind;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("unknown kind of window \"%s\"", name),
					errhint("The kinds are global, tumble, hop, cumulate and session.")));
}

/* ---------------------------------------------------------------------------
 * Lengths
 * ---------------------------------------------------------------------------
 */

bool
sx_window_has_gaps(const SxWindow *window)
{
	const Interval *size = &window->size;
	const Interval *slide = &window->step;

	if (window->kind != SX_WINDOW_HOP)
		return false;
	if (window->is_fixed || (size->month != 0 && slide->month != 0) ||
		(sx_calendar_is_local(size, window->zone) && sx_calendar_is_local(slide, window->zone) &&
		 size->month == slide->month))
		return window->step_us > window->size_us;
	return most_us(window, slide) > least_us(window, size);
}

int64
sx_window_least_us(const SxWindow *window)
{
	int64 least = least_us(window, &window->size);

	if (window->kind == SX_WINDOW_CUMULATE)
		least = Min(least, least_us(window, &window->step));
	return least;
}

int64
sx_window_most_us(const SxWindow *window)
{
	return window->kind == SX_WINDOW_SESSION ? PG_INT64_MAX : most_us(window, &window->size);
}

/* By how much a span of days may be longer or shorter than that many times 24 hours. */
static int64
changes_of_clocks(const SxWindow *window)
{
	return window->zone ? sx_calendar_offset_range(window->zone) + FUTURE_OFFSET : 0;
}

static int64
least_us(const SxWindow *window, const Interval *size)
{
	int64 days;

	if (window->is_fixed || !sx_calendar_is_local(size, window->zone))
		return size == &window->size ? window->size_us : window->step_us;

	/* of the months two are shorter than 30 days, one of them each year but leap years */
	days = size->day;
	if (size->month != 0)
		days = size->month / MONTHS_PER_YEAR * 365 + size->month % MONTHS_PER_YEAR * 30 - 2;
	return Max(days * USECS_PER_DAY - changes_of_clocks(window), 1);
}

static int64
most_us(const SxWindow *window, const Interval *size)
{
	int64 days;
	int64 most;

	if (window->is_fixed || !sx_calendar_is_local(size, window->zone))
		return size == &window->size ? window->size_us : window->step_us;
	days = size->day;
	if (size->month != 0)
		days = size->month / MONTHS_PER_YEAR * 366 + size->month % MONTHS_PER_YEAR * 31;
	if (pg_mul_s64_overflow(days, USECS_PER_DAY, &most) ||
		pg_add_s64_overflow(most, changes_of_clocks(window), &most))
		return PG_INT64_MAX;
	return most;
}
