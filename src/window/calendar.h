/*
 * calendar.h
 *	  Windows of days and months, whose length the clocks of a zone decide.
 *
 * Only window.c calls these, for windows that are not fixed.
 */
#ifndef SX_CALENDAR_H
#define SX_CALENDAR_H

#include "compat.h"

#include "window/window.h"

/* Days of the month that every month has. */
#define DAYS_IN_ALL_MONTHS 28

/* What the clocks of a zone (NULL: UTC) show at an instant. */
extern int64 sx_calendar_local(pg_tz *zone, int64 instant);

/*
 * The instant at which the zone's clocks first show local: an ambiguous time's
 * first occurrence; when they skip it, that of the jump.  Never decreases with local, and
 * passes infinity on.
 */
extern int64 sx_calendar_instant(pg_tz *zone, int64 local);

/* From 1, of a time as clocks show it. */
extern int sx_calendar_day_of_month(int64 local);

/* How far apart the zone's offsets from UTC have been, and will be as far as is known. */
extern int64 sx_calendar_offset_range(pg_tz *zone);

/* Whether a size is one of days or months as the zone's clocks show them. */
extern bool sx_calendar_is_local(const Interval *size, pg_tz *zone);

/*
 * The first of the windows that hold ts, and the end of the last one; false if
 * there is none.  What leaves the timestamp range is infinite, or no valid timestamp.
 */
extern bool
sx_calendar_holders(const SxWindow *window, int64 ts, SxWindowBounds *first, int64 *last_end);

/* The first window that ends after ts. */
extern void sx_calendar_ends_after(const SxWindow *window, int64 ts, SxWindowBounds *bounds);

/* The window after bounds; infinite past the timestamp range. */
extern void sx_calendar_next(const SxWindow *window, SxWindowBounds *bounds);

/* The slice around ts, which need not be in a window. */
extern void sx_calendar_slice(const SxWindow *window, int64 ts, int64 *start, int64 *end);

/* End of the last window that ends at or before ts. */
extern int64 sx_calendar_last_end(const SxWindow *window, int64 ts);

#endif
