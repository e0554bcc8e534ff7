/*
 * window.h
 *	  Windows of event time, and the slices they are kept in.
 *
 * Pure: integers in, integers out.  Times are microseconds since 2000-01-01
 * (PostgreSQL's epoch), of a timestamptz or of a timestamp read as if in UTC.
 * Windows are half-open, [start, end), and aligned to 1970-01-01 00:00 unless
 * an origin is given (SEMANTICS 2 and 3).
 *
 *      tumble     |---------|---------|---------|
 *      hop        |-------------------|                 every slide one of size
 *                      |-------------------|
 *        slices   |----|----|----|----|----|            cut where windows start or end
 *      cumulate   |----|                                each step longer, up to size
 *                 |---------|
 *        slices   |----|----|----|----|
 *      session    x--x-x--gap--|      x--gap--|         per group key, from its rows
 *
 * A slice is the longest span that lies whole in, or outside of, every window:
 * state is kept once per slice, however many windows share it.
 */
#ifndef SX_WINDOW_H
#define SX_WINDOW_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "pgtime.h"

typedef enum SxWindowKind
{
	SX_WINDOW_GLOBAL,
	SX_WINDOW_TUMBLE,
	SX_WINDOW_HOP,
	SX_WINDOW_CUMULATE,
	SX_WINDOW_SESSION
} SxWindowKind;

typedef struct SxWindow
{
	SxWindowKind kind;
	Interval size; /* tumble, hop: of a window; cumulate: of the longest; session: the gap */
	Interval step; /* hop: the slide; cumulate: the step; tumble: the size */
	pg_tz *zone;   /* NULL: UTC */
	bool is_fixed; /* sizes are the same everywhere: the rest counts microseconds */
	int64 size_us; /* > 0, unless global; if not fixed, about as long */
	int64 step_us; /* likewise */

	/* how window.c finds its way */
	int64 origin_us;	/* a start of windows after PostgreSQL's epoch, as near to it as there is */
	int64 origin_local; /* not fixed: the origin as the zone's clocks show it */
	int64 phase_us;		/* fixed: a start of steps, as near to the epoch as there is */
	int64 cut_us;		/* fixed hop: how far into a slide windows end */
	int64 safe_first;	/* fixed: all windows of times from here */
	int64 safe_last;	/* to here are timestamps */
} SxWindow;

/* One window of tumble, hop or cumulate. */
typedef struct SxWindowBounds
{
	int64 start;
	int64 end;
	int64 index; /* where sx_window_next goes on */
} SxWindowBounds;

/*
 * Make windows of constants as users write them, or say what is wrong with
 * them.  size and step as in SxWindow (step NULL unless hop or cumulate; both
 * NULL for global), origin NULL: the default; timezone NULL: UTC.  Months do
 * not mix with days and time; cumulate's size holds whole steps when fixed.
 * Sizes of days and months are calendar sizes, of the zone's days; with one of
 * them the default origin is 1970-01-01 00:00 on the zone's clocks.  Where
 * windows are months apart, the origin is on one of the days from 1 to 28.
 * Sessions take no origin and no zone, and their day counts 24 hours.
 */
extern void sx_window_make(SxWindowKind kind, const Interval *size, const Interval *step,
						   const TimestampTz *origin, const char *timezone, SxWindow *out);

/* An ERROR unless the zone is UTC: for times without time zone, as if in UTC. */
extern void sx_window_require_utc(const SxWindow *window);

/* Whether there are times in no window: of hops longer than their size.  Never false if there are. */
extern bool sx_window_has_gaps(const SxWindow *window);

/* The kind's name in SQL and in the catalog; and back: an ERROR for an unknown one. */
extern const char *sx_window_kind_name(SxWindowKind kind);
extern SxWindowKind sx_window_kind_of(const char *name);

/*
 * The slice that holds ts (of tumble: the window; of session: the gap-wide
 * bucket).  False: ts is in no window, which only hops longer than their size
 * have.  Errors with DATETIME_FIELD_OVERFLOW when ts is infinite or a window
 * that holds it leaves the timestamp range.  Not for global.
 */
extern bool sx_window_slice(const SxWindow *window, int64 ts, int64 *start, int64 *end);

/*
 * The first window, in the order of their ends, that holds ts and ends after
 * after (DT_NOBEGIN: any).  False if there is none.  Not for global and
 * session.  Errors as above.
 */
extern bool sx_window_first(const SxWindow *window, int64 ts, int64 after, SxWindowBounds *bounds);

/*
 * The window that ends next after bounds; for ends that fall together, in the
 * order of starts: starts never decrease, either.  No window comes twice, and none is empty.
 * After the last one that timestamps can hold both bounds are DT_NOEND.
 */
extern void sx_window_next(const SxWindow *window, SxWindowBounds *bounds);

/* End of the tumbling window that starts at start; an error as above. */
extern int64 sx_window_end(const SxWindow *window, int64 start);

/* A window is never shorter, never longer than this many microseconds (pure time, any season). */
extern int64 sx_window_least_us(const SxWindow *window); /* > 0; session: the gap */
extern int64 sx_window_most_us(const SxWindow *window);	 /* session: PG_INT64_MAX */

/* What lateness says of a row (SEMANTICS 12 and 14). */
typedef enum SxTimeliness
{
	SX_ON_TIME,		/* in all of its windows */
	SX_PARTLY_LATE, /* refused by some windows, counted in later ones */
	SX_LATE,		/* refused by all of its windows; a session's row: too old by itself */
	SX_NO_WINDOW	/* in no window at all */
} SxTimeliness;

/*
 * Judge a row.  A window refuses it iff window end + lateness <= watermark.
 * *from_window: the end of the first window that accepts it, -infinity when all
 * do (the same for all partly late rows of one watermark); *refused_through: the end of the last
 * window that refused it (for SX_PARTLY_LATE and SX_LATE; a session's row: ts + gap).
 * Never an error: a row whose windows leave the timestamp range is on time, and bad
 * (sx_window_slice says so).  Global: always on time.
 */
extern SxTimeliness sx_window_judge(const SxWindow *window, int64 ts, int64 allowed_lateness_us,
									int64 watermark, int64 *from_window, int64 *refused_through);

/*
 * A cheap test for a whole batch: a row with ts > bound is on time, or in no
 * window.  DT_NOBEGIN: no row is late.
 */
extern int64
sx_window_late_bound(const SxWindow *window, int64 allowed_lateness_us, int64 watermark);

/*
 * The end of the last window (tumble, hop, cumulate) that ends at or before
 * ts; a session's: ts itself.  DT_NOBEGIN when out of range.
 */
extern int64 sx_window_last_end(const SxWindow *window, int64 ts);

/* Whether rows at a and b, a <= b, of one key are in one session: no further apart than the gap. */
extern bool sx_session_touches(const SxWindow *window, int64 a, int64 b);

/* last + gap; an error as in sx_window_slice. */
extern int64 sx_session_end(const SxWindow *window, int64 last);

/*
 * Whether a session that ends at end takes no row any more: end + gap +
 * allowed lateness <= watermark; and whether it would refuse a row that is too
 * old by itself: end + allowed lateness <= watermark.
 */
extern bool
sx_session_is_sealed(const SxWindow *window, int64 end, int64 allowed_lateness_us, int64 watermark);
extern bool sx_session_refuses(int64 end, int64 allowed_lateness_us, int64 watermark);

#endif
