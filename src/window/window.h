/*
 * window.h
 *	  Windows of event time, and the slices they are kept in.
 *
 * Pure: integers in, integers out.  Times are microseconds since 2000-01-01
 * (PostgreSQL's epoch); the alignment of windows is to 1970-01-01 00:00 UTC
 * plus origin (SEMANTICS 2).
 *
 *      slice_start                 slice_start + size
 *  ---------|--------------------------|------------> event time
 *           [          window          )
 */
#ifndef SX_WINDOW_H
#define SX_WINDOW_H

#include "compat.h"

#include "datatype/timestamp.h"

typedef enum SxWindowKind
{
	SX_WINDOW_GLOBAL,
	SX_WINDOW_TUMBLE
	/* hop, cumulate and session come with "All windows" */
} SxWindowKind;

typedef struct SxWindow
{
	SxWindowKind kind;
	int64 size_us;	 /* > 0, unless global */
	int64 origin_us; /* some instant at which a window starts, in PostgreSQL time */
} SxWindow;

/* 1970-01-01 00:00 UTC, where windows are aligned unless an origin is given. */
#define SX_WINDOW_DEFAULT_ORIGIN ((int64) (UNIX_EPOCH_JDATE - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY)

/*
 * Make a window of constants as users write them, or say what is wrong with
 * them: sizes are positive and pure time (a day counts 24 hours), origins are
 * finite.  The origin is kept within one window after PostgreSQL's epoch: the cheapest to
 * compute with, and what generated views should be written with.  A global
 * window takes no size (NULL).
 */
extern void sx_window_make(SxWindowKind kind, const Interval *size, int64 origin_us,
						   bool has_origin, SxWindow *out);

/*
 * Check a window function's timezone: it must exist, and be UTC where the size
 * counts days, whose length would depend on it.
 */
extern void sx_window_check_timezone(const Interval *size, const char *timezone);

/*
 * Start of the tumbling window that holds ts: floor, also before the origin.
 * Errors with DATETIME_FIELD_OVERFLOW when the window leaves the timestamp range.
 */
extern int64 sx_window_start(const SxWindow *window, int64 ts);

/* End of the window that starts at start. */
extern int64 sx_window_end(const SxWindow *window, int64 start);

/*
 * Whether a row at ts is late: window end + lateness <= watermark (SEMANTICS
 * 12).  Global: never.  Never an error: a row whose window leaves the timestamp
 * range is not late, it is bad (sx_window_start says so).
 */
extern bool
sx_window_is_late(const SxWindow *window, int64 ts, int64 allowed_lateness_us, int64 watermark);

/*
 * The greatest event time that is late for certain, for a cheap test of a whole
 * batch: a row with ts > bound is never late.  DT_NOBEGIN: no row is late.
 */
extern int64
sx_window_late_bound(const SxWindow *window, int64 allowed_lateness_us, int64 watermark);

#endif
