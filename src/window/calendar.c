/*
 * calendar.c
 *	  Windows of days and months, whose length the clocks of a zone decide.
 *
 * Windows are numbered: k, from the one at the origin on.  A boundary that is
 * counted in days or months is nominal first, a time as the clocks show it, and
 * then the instant at which they show it first, or jump over it.  So windows
 * neither overlap nor part where clocks are changed:
 *
 *      Berlin   |---- 24 h ----|--- 23 h ---|---- 24 h ----|
 *      Apia     |---- 24 h ----||---- 24 h ----|                  its 2011-12-30 is empty
 *
 * Starts and ends never decrease with k, but may coincide, so a window is found
 * by search among boundaries, from a guess that is seldom wrong by more than
 * one.  A boundary that a timestamp cannot hold is infinite.
 */
#include "compat.h"

#include "common/int.h"
#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "window/calendar.h"
#include "window/floor.h"

/* POSIX zones may be 167 hours off UTC, to either side. */
#define OFFSET_MOST (168 * USECS_PER_HOUR)

/* The first year that is out of range for all clocks, and the last one. */
#define YEAR_TOO_EARLY (JULIAN_MINYEAR - 2)
#define YEAR_TOO_LATE 294279

#define UNIX_EPOCH_SECONDS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* Offsets are looked up between these years: real zones have been known to change within them. */
#define FIRST_YEAR 1700
#define LAST_YEAR 2100

/* A boundary that never decreases with k. */
typedef int64 (*Boundary)(const void *context, int64 k);

/* cumulate: the longest of the windows that start together, in which the others are steps. */
typedef struct Longest
{
	const SxWindow *window;
	int64 k;
	int64 start;
	int64 end;
	int64 nominal; /* start, as the clocks show it */
} Longest;

/* value + count * step, infinite instead of out of range */
static int64
add_times(int64 value, int64 count, int64 step)
{
	int64 product;
	int64 sum;

	if (pg_mul_s64_overflow(count, step, &product))
		return (count < 0) == (step < 0) ? DT_NOEND : DT_NOBEGIN;
	if (pg_add_s64_overflow(value, product, &sum))
		return product < 0 ? DT_NOBEGIN : DT_NOEND;
	return sum;
}

/* The number, from that at origin on, of the last one at or before ts; 0 <= origin < step */
static int64
number_of(int64 ts, int64 origin, int64 step)
{
	return sx_floor_div(ts, step) - (sx_floor_mod(ts, step) < origin);
}

/* A time as clocks show it, infinite where no timestamp in any zone is shown so. */
static int64
clip_local(int64 local)
{
	if (local < MIN_TIMESTAMP - OFFSET_MOST)
		return DT_NOBEGIN;
	return local < END_TIMESTAMP + OFFSET_MOST ? local : DT_NOEND;
}

/* ---------------------------------------------------------------------------
 * Clocks
 * ---------------------------------------------------------------------------
 */

/* Seconds since 1970, as zones count, and back. */
static inline pg_time_t
to_seconds(int64 ts)
{
	return sx_floor_div(ts, USECS_PER_SEC) + UNIX_EPOCH_SECONDS;
}

static inline int64
to_ts(pg_time_t seconds)
{
	return add_times(0, seconds - UNIX_EPOCH_SECONDS, USECS_PER_SEC);
}

static int64
offset_at(pg_tz *zone, pg_time_t seconds)
{
	struct pg_tm *tm = zone ? pg_localtime(&seconds, zone) : NULL;

	return tm ? tm->tm_gmtoff * USECS_PER_SEC : 0;
}

/* The next time after *seconds at which the zone's offset may change; false: none. */
static bool
next_change(pg_tz *zone, pg_time_t *seconds)
{
	pg_time_t from = *seconds;
	long offset_before;
	long offset_after;
	int is_dst_before;
	int is_dst_after;

	return zone && pg_next_dst_boundary(&from, &offset_before, &is_dst_before, seconds,
										&offset_after, &is_dst_after, zone) == 1;
}

int64
sx_calendar_local(pg_tz *zone, int64 instant)
{
	if (zone == NULL || TIMESTAMP_NOT_FINITE(instant))
		return instant;
	return add_times(instant, 1, offset_at(zone, to_seconds(instant)));
}

int64
sx_calendar_instant(pg_tz *zone, int64 local)
{
	pg_time_t from;
	pg_time_t change;

	local = clip_local(local);
	if (zone == NULL || TIMESTAMP_NOT_FINITE(local))
		return local;

	/* clocks run on from one change to the next: the first stretch that reaches local */
	from = to_seconds(local - OFFSET_MOST);
	for (;;)
	{
		int64 offset = offset_at(zone, from);
		int64 instant = add_times(local, -1, offset);

		/* they jumped over it */
		if (instant < to_ts(from))
			return to_ts(from);
		change = from;
		if (!next_change(zone, &change) || to_seconds(instant) < change)
			return instant;
		from = change;
	}
}

int
sx_calendar_day_of_month(int64 local)
{
	int year;
	int month;
	int day;

	j2date(sx_floor_div(local, USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	return day;
}

int64
sx_calendar_offset_range(pg_tz *zone)
{
	pg_time_t at = (int64) (date2j(FIRST_YEAR, 1, 1) - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	pg_time_t last = (int64) (date2j(LAST_YEAR, 1, 1) - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
	int64 least;
	int64 most;

	if (zone == NULL)
		return 0;
	least = most = offset_at(zone, at);
	while (next_change(zone, &at) && at < last)
	{
		int64 offset = offset_at(zone, at);

		least = Min(least, offset);
		most = Max(most, offset);
	}
	return most - least;
}

/* ---------------------------------------------------------------------------
 * Days and months
 * ---------------------------------------------------------------------------
 */

bool
sx_calendar_is_local(const Interval *size, pg_tz *zone)
{
	return size->month != 0 || (size->day != 0 && zone != NULL);
}

/* local + count * size; the last day of the month where it lacks the day */
static int64
add_local(int64 local, const Interval *size, int64 count)
{
	int64 day;
	int64 time;
	int year;
	int month;
	int day_of_month;
	int64 months;

	local = clip_local(local);
	if (TIMESTAMP_NOT_FINITE(local))
		return local;
	day = sx_floor_div(local, USECS_PER_DAY);
	time = local - day * USECS_PER_DAY;
	if (size->month == 0)
		return add_times(time, add_times(day, count, size->day), USECS_PER_DAY);

	j2date(day + POSTGRES_EPOCH_JDATE, &year, &month, &day_of_month);
	months = add_times((int64) year * MONTHS_PER_YEAR + month - 1, count, size->month);
	if (months < (YEAR_TOO_EARLY + 1) * MONTHS_PER_YEAR)
		return DT_NOBEGIN;
	if (months >= YEAR_TOO_LATE * MONTHS_PER_YEAR)
		return DT_NOEND;
	year = sx_floor_div(months, MONTHS_PER_YEAR);
	month = months - (int64) year * MONTHS_PER_YEAR;
	day_of_month = Min(day_of_month, day_tab[isleap(year)][month]);
	return add_times(time, date2j(year, month + 1, day_of_month) - POSTGRES_EPOCH_JDATE,
					 USECS_PER_DAY);
}

/* About the greatest count for which origin + count * size is at or before local. */
static int64
count_local(int64 origin, const Interval *size, int64 local)
{
	int64 day = sx_floor_div(local, USECS_PER_DAY) - sx_floor_div(origin, USECS_PER_DAY);
	int year;
	int month;
	int day_of_month;
	int origin_year;
	int origin_month;

	if (size->month == 0)
		return sx_floor_div(day, size->day);
	j2date(sx_floor_div(local, USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &year, &month, &day_of_month);
	j2date(sx_floor_div(origin, USECS_PER_DAY) + POSTGRES_EPOCH_JDATE, &origin_year, &origin_month,
		   &day_of_month);
	return sx_floor_div((int64) (year - origin_year) * MONTHS_PER_YEAR + month - origin_month,
						size->month);
}

/* ---------------------------------------------------------------------------
 * Boundaries
 * ---------------------------------------------------------------------------
 */

/* What starts are apart; of cumulate those of the longest windows. */
static const Interval *
grid(const SxWindow *window)
{
	return window->kind == SX_WINDOW_CUMULATE ? &window->size : &window->step;
}

static int64
grid_us(const SxWindow *window)
{
	return window->kind == SX_WINDOW_CUMULATE ? window->size_us : window->step_us;
}

static int64
nominal_start(const SxWindow *window, int64 k)
{
	return add_local(window->origin_local, grid(window), k);
}

static int64
start_of(const void *context, int64 k)
{
	const SxWindow *window = context;

	if (sx_calendar_is_local(grid(window), window->zone))
		return sx_calendar_instant(window->zone, nominal_start(window, k));
	return add_times(window->origin_us, k, grid_us(window));
}

/* Nominal end of the last window that starts before an instant; starts are fixed, sizes are not. */
static int64
end_before(const SxWindow *window, int64 instant)
{
	int64 k = number_of(instant - 1, window->origin_us, window->step_us);
	int64 start = add_times(window->origin_us, k, window->step_us);

	return add_local(sx_calendar_local(window->zone, start), &window->size, 1);
}

/*
 * The nominal end of a window whose start is fixed, but not its size.  Where
 * clocks are set back, and after the 28th when months of different length
 * follow, it would come before the ends of some windows that started earlier:
 * then it is the latest of those.
 */
static int64
latest_end(const SxWindow *window, int64 start)
{
	pg_time_t change;
	int64 local;
	int64 latest;
	int64 day;

	if (!IS_VALID_TIMESTAMP(start))
		return start < MIN_TIMESTAMP ? DT_NOBEGIN : DT_NOEND;
	local = sx_calendar_local(window->zone, start);
	latest = add_local(local, &window->size, 1);
	day = sx_floor_div(local, USECS_PER_DAY) - sx_calendar_day_of_month(local) + DAYS_IN_ALL_MONTHS;
	change = to_seconds(start - 2 * OFFSET_MOST);
	for (;;)
	{
		int64 offset = offset_at(window->zone, change);

		for (int after = 1; window->size.month != 0 && after <= 31 - DAYS_IN_ALL_MONTHS; after++)
		{
			int64 midnight = add_times(-offset, day + after, USECS_PER_DAY);

			if (midnight <= start)
				latest = Max(latest, end_before(window, midnight));
		}
		if (!next_change(window->zone, &change) || change > to_seconds(start))
			return latest;
		latest = Max(latest, end_before(window, to_ts(change)));
	}
}

static int64
end_of(const void *context, int64 k)
{
	const SxWindow *window = context;
	int64 nominal;

	if (window->kind != SX_WINDOW_HOP)
		return start_of(window, k == PG_INT64_MAX ? k : k + 1);
	if (!sx_calendar_is_local(&window->size, window->zone))
	{
		int64 start = start_of(window, k);

		return TIMESTAMP_NOT_FINITE(start) ? start : add_times(start, 1, window->size_us);
	}
	if (sx_calendar_is_local(&window->step, window->zone))
		nominal = add_local(nominal_start(window, k), &window->size, 1);
	else
		nominal = latest_end(window, start_of(window, k));
	return sx_calendar_instant(window->zone, nominal);
}

/* End of a step, counted from 0, as if the longest window had no end. */
static int64
step_end(const void *context, int64 step)
{
	const Longest *longest = context;
	const SxWindow *window = longest->window;
	int64 count = step == PG_INT64_MAX ? step : step + 1;

	if (sx_calendar_is_local(&window->step, window->zone))
		return sx_calendar_instant(window->zone, add_local(longest->nominal, &window->step, count));
	return add_times(longest->start, count, window->step_us);
}

/* The least k whose boundary is after ts. */
static int64
first_after(Boundary boundary, const void *context, int64 ts, int64 guess)
{
	int64 low = guess;	/* at or before ts, in the end */
	int64 high = guess; /* after ts */
	int64 stride = 1;

	if (boundary(context, guess) > ts)
	{
		while (low = add_times(high, -1, stride), boundary(context, low) > ts)
		{
			high = low;
			stride *= 2;
		}
	}
	else
	{
		while (high = add_times(low, 1, stride), boundary(context, high) <= ts)
		{
			low = high;
			stride *= 2;
		}
	}
	while ((uint64) high - (uint64) low > 1)
	{
		int64 middle = low + (int64) (((uint64) high - (uint64) low) / 2);

		if (boundary(context, middle) > ts)
			high = middle;
		else
			low = middle;
	}
	return high;
}

/* The last window that starts at or before ts. */
static int64
last_started(const SxWindow *window, int64 ts)
{
	int64 guess;

	if (!sx_calendar_is_local(grid(window), window->zone))
		return number_of(ts, window->origin_us, grid_us(window));
	guess = count_local(window->origin_local, grid(window), sx_calendar_local(window->zone, ts));
	return first_after(start_of, window, ts, guess + 1) - 1;
}

/* The first window that ends after ts. */
static int64
first_ending(const SxWindow *window, int64 ts)
{
	int64 start = add_times(ts, -1, window->size_us);

	if (window->kind != SX_WINDOW_HOP)
		return last_started(window, ts);
	if (sx_calendar_is_local(&window->size, window->zone))
	{
		int64 local = sx_calendar_local(window->zone, ts);

		start = sx_calendar_instant(window->zone, add_local(local, &window->size, -1));
	}
	if (!IS_VALID_TIMESTAMP(start))
		start = MIN_TIMESTAMP;
	return first_after(end_of, window, ts, last_started(window, start) + 1);
}

static Longest
find_longest(const SxWindow *window, int64 k)
{
	Longest longest = {.window = window, .k = k};

	longest.start = start_of(window, k);
	longest.end = end_of(window, k);
	if (sx_calendar_is_local(&window->size, window->zone))
		longest.nominal = nominal_start(window, k);
	else
		longest.nominal = sx_calendar_local(window->zone, longest.start);
	return longest;
}

/* The first step that ends after ts, which is in the longest window. */
static int64
first_step(const Longest *longest, int64 ts)
{
	const SxWindow *window = longest->window;
	int64 guess;

	if (!IS_VALID_TIMESTAMP(longest->start))
		return 0;
	if (!sx_calendar_is_local(&window->step, window->zone))
		return (ts - longest->start) / window->step_us;
	guess = count_local(longest->nominal, &window->step, sx_calendar_local(window->zone, ts));
	return first_after(step_end, longest, ts, guess);
}

static void
set_bounds(SxWindowBounds *bounds, const SxWindow *window, int64 k)
{
	bounds->index = k;
	bounds->start = start_of(window, k);
	bounds->end = end_of(window, k);
}

static void
set_step(SxWindowBounds *bounds, const Longest *longest, int64 step)
{
	bounds->index = longest->k;
	bounds->start = longest->start;
	bounds->end = Min(longest->end, step_end(longest, step));
}

/* ---------------------------------------------------------------------------
 * Windows and slices
 * ---------------------------------------------------------------------------
 */

bool
sx_calendar_holders(const SxWindow *window, int64 ts, SxWindowBounds *first, int64 *last_end)
{
	sx_calendar_ends_after(window, ts, first);
	*last_end =
		end_of(window, window->kind == SX_WINDOW_HOP ? last_started(window, ts) : first->index);
	return first->start <= ts;
}

void
sx_calendar_ends_after(const SxWindow *window, int64 ts, SxWindowBounds *bounds)
{
	int64 k = first_ending(window, ts);

	if (window->kind == SX_WINDOW_CUMULATE)
	{
		Longest longest = find_longest(window, k);

		set_step(bounds, &longest, first_step(&longest, ts));
	}
	else
		set_bounds(bounds, window, k);
}

void
sx_calendar_next(const SxWindow *window, SxWindowBounds *bounds)
{
	SxWindowBounds last = *bounds;

	if (!IS_VALID_TIMESTAMP(last.end))
		bounds->start = bounds->end = DT_NOEND;
	else if (window->kind != SX_WINDOW_HOP)
		sx_calendar_ends_after(window, last.end, bounds);
	else
	{
		/* windows may be empty, or the same, where the clocks skip their starts */
		do
			set_bounds(bounds, window, bounds->index + 1);
		while (IS_VALID_TIMESTAMP(bounds->end) &&
			   (bounds->end <= bounds->start ||
				(bounds->start == last.start && bounds->end == last.end)));
	}
	if (!IS_VALID_TIMESTAMP(bounds->start) || !IS_VALID_TIMESTAMP(bounds->end))
		bounds->start = bounds->end = DT_NOEND;
}

void
sx_calendar_slice(const SxWindow *window, int64 ts, int64 *start, int64 *end)
{
	int64 k = last_started(window, ts);

	*start = start_of(window, k);
	if (window->kind == SX_WINDOW_CUMULATE)
	{
		Longest longest = find_longest(window, k);
		int64 step = first_step(&longest, ts);

		*start = Max(*start, step_end(&longest, step - 1));
		*end = Min(longest.end, step_end(&longest, step));
		return;
	}
	*end = start_of(window, k + 1);
	if (window->kind == SX_WINDOW_HOP)
	{
		k = first_ending(window, ts);
		*start = Max(*start, end_of(window, k - 1));
		*end = Min(*end, end_of(window, k));
	}
}

int64
sx_calendar_last_end(const SxWindow *window, int64 ts)
{
	SxWindowBounds bounds;
	int64 start;
	int64 end;

	if (window->kind != SX_WINDOW_HOP)
	{
		sx_calendar_slice(window, ts, &start, &end);
		return start;
	}
	bounds.index = first_ending(window, ts);
	do
		set_bounds(&bounds, window, bounds.index - 1);
	while (bounds.end <= bounds.start && IS_VALID_TIMESTAMP(bounds.end));
	return bounds.end;
}
