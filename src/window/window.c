/*
 * window.c
 *	  Which windows hold an instant, and which of them refuse it as late.
 *
 * Fixed windows are floor division, so that instants before the origin, and
 * before 1970, fall into windows like all others; windows that follow a calendar
 * are in calendar.c.  No sum is formed that could wrap: timestamps reach to
 * within days of what an int64 holds, and sizes may be as long.
 */
#include "compat.h"

#include "common/int.h"
#include "utils/timestamp.h"

#include "window/calendar.h"
#include "window/floor.h"
#include "window/window.h"

/* Windows that hold an instant. */
typedef enum Holders
{
	HOLDERS_NONE,
	HOLDERS_SOME,
	HOLDERS_OUT_OF_RANGE /* one of them starts or ends beyond what a timestamp can hold */
} Holders;

static bool slow_slice(const SxWindow *window, int64 ts, int64 *start, int64 *end);
static Holders
find_holders(const SxWindow *window, int64 ts, SxWindowBounds *first, int64 *last_end);
static bool find_fixed(const SxWindow *window, int64 ts, SxWindowBounds *first, int64 *last_end);
static int64 sealed_through(int64 allowed_lateness_us, int64 watermark);
static void out_of_range(int64 ts) pg_attribute_noreturn();

/* How long before ts the last of the instants phase + n * period was; 0 <= phase < period. */
static inline int64
time_since(int64 ts, int64 phase, int64 period)
{
	int64 since = sx_floor_mod(ts, period) - phase;

	return since < 0 ? since + period : since;
}

/* ---------------------------------------------------------------------------
 * Windows that hold an instant
 * ---------------------------------------------------------------------------
 */

/*
 * Steps of fixed windows are cut at cut_us, where windows of hop end:
 *
 *      |----------- size -----------|
 *      |------- step -------|------- step -------|
 *      |  cut  |            |  cut  |
 */
bool
sx_window_slice(const SxWindow *window, int64 ts, int64 *start, int64 *end)
{
	int64 since;

	if (unlikely(!window->is_fixed || ts < window->safe_first || ts > window->safe_last))
		return slow_slice(window, ts, start, end);

	since = time_since(ts, window->phase_us, window->step_us);
	if (since >= window->size_us)
		return false;
	*start = ts - since;
	if (window->cut_us == 0)
		*end = *start + window->step_us;
	else if (since < window->cut_us)
		*end = *start + window->cut_us;
	else
	{
		*end = *start + window->step_us;
		*start += window->cut_us;
	}
	return true;
}

/* As above, for calendars, and near the ends of the timestamp range. */
static bool
slow_slice(const SxWindow *window, int64 ts, int64 *start, int64 *end)
{
	SxWindow fixed = *window;
	SxWindowBounds first;
	int64 last_end;

	if (window->kind == SX_WINDOW_SESSION)
	{
		int64 since = time_since(ts, window->phase_us, window->step_us);

		/* the bucket, less what no timestamp is in */
		(void) sx_session_end(window, ts);
		if (pg_sub_s64_overflow(ts, since, start) || *start < MIN_TIMESTAMP)
			*start = MIN_TIMESTAMP;
		*end = ts + (window->step_us - since);
		return true;
	}
	switch (find_holders(window, ts, &first, &last_end))
	{
		case HOLDERS_NONE:
			return false;
		case HOLDERS_OUT_OF_RANGE:
			out_of_range(ts);
		case HOLDERS_SOME:
			break;
	}
	if (!window->is_fixed)
	{
		sx_calendar_slice(window, ts, start, end);
		return true;
	}
	fixed.safe_first = MIN_TIMESTAMP;
	fixed.safe_last = END_TIMESTAMP - 1;
	return sx_window_slice(&fixed, ts, start, end);
}

bool
sx_window_first(const SxWindow *window, int64 ts, int64 after, SxWindowBounds *bounds)
{
	int64 last_end;

	switch (find_holders(window, ts, bounds, &last_end))
	{
		case HOLDERS_NONE:
			return false;
		case HOLDERS_OUT_OF_RANGE:
			out_of_range(ts);
		case HOLDERS_SOME:
			break;
	}
	if (last_end <= after)
		return false;
	if (bounds->end > after)
		return true;

	/* windows that end between two that hold ts hold it, too */
	if (!window->is_fixed)
		sx_calendar_ends_after(window, after, bounds);
	else
	{
		int64 skipped = ((after - bounds->end) / window->step_us + 1) * window->step_us;

		bounds->end += skipped;
		if (window->kind != SX_WINDOW_CUMULATE)
			bounds->start += skipped;
	}
	return true;
}

void
sx_window_next(const SxWindow *window, SxWindowBounds *bounds)
{
	SxWindowBounds last;

	if (!window->is_fixed)
	{
		sx_calendar_next(window, bounds);
		return;
	}
	last = *bounds;
	if (pg_add_s64_overflow(last.end, window->step_us, &bounds->end) ||
		!IS_VALID_TIMESTAMP(bounds->end))
		bounds->start = bounds->end = DT_NOEND;
	else if (window->kind != SX_WINDOW_CUMULATE)
		bounds->start += window->step_us;
	else if (last.end - last.start == window->size_us)
		bounds->start = last.end;
}

int64
sx_window_end(const SxWindow *window, int64 start)
{
	SxWindowBounds bounds;
	int64 end;

	if (unlikely(!IS_VALID_TIMESTAMP(start)))
		out_of_range(start);
	if (window->is_fixed)
	{
		if (pg_add_s64_overflow(start, window->size_us, &end))
			out_of_range(start);
	}
	else
	{
		sx_calendar_ends_after(window, start, &bounds);
		end = bounds.end;
	}
	if (unlikely(!IS_VALID_TIMESTAMP(end)))
		out_of_range(start);
	return end;
}

/* The windows that hold ts: the first one, and the end of the last one. */
static Holders
find_holders(const SxWindow *window, int64 ts, SxWindowBounds *first, int64 *last_end)
{
	bool is_held;

	if (!IS_VALID_TIMESTAMP(ts))
		return HOLDERS_OUT_OF_RANGE;
	if (!window->is_fixed)
		is_held = sx_calendar_holders(window, ts, first, last_end);
	else
		is_held = find_fixed(window, ts, first, last_end);
	if (!is_held)
		return HOLDERS_NONE;
	return IS_VALID_TIMESTAMP(first->start) && IS_VALID_TIMESTAMP(*last_end) ? HOLDERS_SOME
																			 : HOLDERS_OUT_OF_RANGE;
}

static bool
find_fixed(const SxWindow *window, int64 ts, SxWindowBounds *first, int64 *last_end)
{
	bool is_cumulate = window->kind == SX_WINDOW_CUMULATE;
	int64 since =
		time_since(ts, window->origin_us, is_cumulate ? window->size_us : window->step_us);
	int64 start;
	int64 earlier;

	if (since >= window->size_us)
		return false;
	if (pg_sub_s64_overflow(ts, since, &start) ||
		pg_add_s64_overflow(start, window->size_us, last_end))
	{
		*last_end = DT_NOEND;
		return true;
	}

	/* the first one ends that many steps earlier than the last one; hops start as much earlier */
	earlier = (window->size_us - 1 - since) / window->step_us * window->step_us;
	first->end = *last_end - earlier;
	first->start = start;
	if (!is_cumulate && pg_sub_s64_overflow(start, earlier, &first->start))
		first->start = DT_NOBEGIN;
	return true;
}

static void
out_of_range(int64 ts)
{
	if (TIMESTAMP_NOT_FINITE(ts))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
						errmsg("an infinite timestamp is in no window")));
	ereport(ERROR, (errcode(ERRCODE_DATETIME_FIELD_OVERFLOW), errmsg("window out of range"),
					errdetail("It would start or end beyond what a timestamp can hold.")));
}

/* ---------------------------------------------------------------------------
 * Lateness
 * ---------------------------------------------------------------------------
 */

/*
 * Windows that end by sealed refuse ts, the others accept it:
 *
 *      |---------- refuses ---------|
 *          |---------- refuses ---------|       <- refused_through
 *              |---------- accepts ---------|   <- from_window
 *                     ts                |
 *                                     sealed
 */
SxTimeliness
sx_window_judge(const SxWindow *window, int64 ts, int64 allowed_lateness_us, int64 watermark,
				int64 *from_window, int64 *refused_through)
{
	int64 sealed = sealed_through(allowed_lateness_us, watermark);
	SxWindowBounds first;
	int64 last_end;

	*from_window = DT_NOBEGIN;
	*refused_through = DT_NOBEGIN;
	if (window->kind == SX_WINDOW_GLOBAL)
		return SX_ON_TIME;
	if (window->kind == SX_WINDOW_SESSION)
	{
		if (!IS_VALID_TIMESTAMP(ts) || ts > window->safe_last || ts + window->size_us > sealed)
			return SX_ON_TIME;
		*refused_through = ts + window->size_us;
		return SX_LATE;
	}

	switch (find_holders(window, ts, &first, &last_end))
	{
		case HOLDERS_NONE:
			return SX_NO_WINDOW;
		case HOLDERS_OUT_OF_RANGE:
			return SX_ON_TIME;
		case HOLDERS_SOME:
			break;
	}
	if (first.end > sealed)
		return SX_ON_TIME;
	if (last_end <= sealed)
	{
		*refused_through = last_end;
		return SX_LATE;
	}
	(void) sx_window_first(window, ts, sealed, &first);
	*from_window = first.end;
	*refused_through = sx_window_last_end(window, sealed);
	return SX_PARTLY_LATE;
}

int64
sx_window_late_bound(const SxWindow *window, int64 allowed_lateness_us, int64 watermark)
{
	int64 sealed = sealed_through(allowed_lateness_us, watermark);
	int64 end;

	if (window->kind == SX_WINDOW_GLOBAL || sealed < MIN_TIMESTAMP)
		return DT_NOBEGIN;
	if (window->kind == SX_WINDOW_SESSION)
		return sealed < window->safe_first ? DT_NOBEGIN : sealed - window->size_us;

	/* the last instant of the last window that refuses rows: those of all later ones come after it */
	end = sx_window_last_end(window, sealed);
	return end == DT_NOBEGIN ? DT_NOBEGIN : end - 1;
}

int64
sx_window_last_end(const SxWindow *window, int64 ts)
{
	int64 since;
	int64 end;

	if (window->kind == SX_WINDOW_SESSION)
		return ts;
	ts = Min(ts, END_TIMESTAMP - 1);
	if (window->kind == SX_WINDOW_GLOBAL || ts < MIN_TIMESTAMP)
		return DT_NOBEGIN;
	if (!window->is_fixed)
		end = sx_calendar_last_end(window, ts);
	else
	{
		since = time_since(ts, window->phase_us, window->step_us) - window->cut_us;
		if (pg_sub_s64_overflow(ts, since < 0 ? since + window->step_us : since, &end))
			return DT_NOBEGIN;
	}
	return end < MIN_TIMESTAMP ? DT_NOBEGIN : end;
}

/* Windows that end by then refuse rows: watermark - lateness, -infinity when out of range. */
static int64
sealed_through(int64 allowed_lateness_us, int64 watermark)
{
	int64 sealed;

	if (watermark == DT_NOBEGIN || pg_sub_s64_overflow(watermark, allowed_lateness_us, &sealed))
		return DT_NOBEGIN;
	return Min(sealed, END_TIMESTAMP - 1);
}

/* ---------------------------------------------------------------------------
 * Sessions
 * ---------------------------------------------------------------------------
 */

bool
sx_session_touches(const SxWindow *window, int64 a, int64 b)
{
	int64 apart;

	return !pg_sub_s64_overflow(b, a, &apart) && apart <= window->size_us;
}

int64
sx_session_end(const SxWindow *window, int64 last)
{
	if (unlikely(!IS_VALID_TIMESTAMP(last) || last > window->safe_last))
		out_of_range(last);
	return last + window->size_us;
}

bool
sx_session_is_sealed(const SxWindow *window, int64 end, int64 allowed_lateness_us, int64 watermark)
{
	int64 sealed = sealed_through(allowed_lateness_us, watermark);
	int64 last;

	return !pg_sub_s64_overflow(sealed, window->size_us, &last) && end <= last;
}

bool
sx_session_refuses(int64 end, int64 allowed_lateness_us, int64 watermark)
{
	return end <= sealed_through(allowed_lateness_us, watermark);
}
