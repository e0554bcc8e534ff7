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
	int64		size_us;
	int64		origin_us;		/* offset of the alignment, in PostgreSQL time */
} SxWindow;

/*
 * Start of the tumbling window that holds ts: floor, also before the origin.
 * Errors with DATETIME_FIELD_OVERFLOW when the window leaves the timestamp range.
 */
extern int64 sx_window_start(const SxWindow *window, int64 ts);

/* End of the window that starts at start. */
extern int64 sx_window_end(const SxWindow *window, int64 start);

/* Whether a row at ts is late: window end + lateness <= watermark (SEMANTICS 12). Global: never. */
extern bool sx_window_is_late(const SxWindow *window, int64 ts, int64 allowed_lateness_us,
							  int64 watermark);

/*
 * The greatest event time that is late for certain, for a cheap test of a whole
 * batch: a row with ts > bound is never late.  DT_NOBEGIN: no row is late.
 */
extern int64 sx_window_late_bound(const SxWindow *window, int64 allowed_lateness_us,
								  int64 watermark);

#endif
