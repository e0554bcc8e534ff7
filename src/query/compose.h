/*
 * compose.h
 *	  Compose the windows of one group key from its slices, in one ordered pass.
 *
 * Slice rows go in, in the order of (slice_start, from_window); windows come
 * out in the order of their ends, each the combination of the rows in it that
 * it takes: those with from_window <= its end.  Windows without such a row are
 * left out.  Knows nothing of where rows come from.
 */
#ifndef SX_COMPOSE_H
#define SX_COMPOSE_H

#include "compat.h"

#include "access/htup.h"
#include "aggregate/transition.h"
#include "window/window.h"

typedef struct SxCompose SxCompose;

/* Which windows are wanted. */
typedef struct SxComposeLimits
{
	int64 first_start; /* DT_NOBEGIN: any */
	int64 last_start;  /* DT_NOEND: any */
	int64 end_after;   /* DT_NOBEGIN: any */
} SxComposeLimits;

/* A window of hop or cumulate; all of it is valid until the next call. */
typedef struct SxComposed
{
	int64 start;
	int64 end;
	MinimalTuple key; /* as its first slice has it; NULL: not kept */
	Datum *states;
	bool *isnull;
} SxComposed;

/*
 * Everything lives in a child of context.  The aggregates are the caller's.  list: the one
 * whose states are input groups (-1: none), lists of bigint that are concatenated when a window is
 * handed out, since combinations of them would only grow.
 */
extern SxCompose *sx_compose_open(const SxWindow *window, SxAggregate *const *aggregates,
								  int naggregates, int list, MemoryContext context);

/* Begin a group key, with nothing known of it. */
extern void sx_compose_begin(SxCompose *compose, const SxComposeLimits *limits);

/*
 * The group key's next row: called when sx_compose_next wants more.  States are
 * copied.  key: its bytes in this row, copied, if equal keys may differ in them; or NULL.
 */
extern void sx_compose_add(SxCompose *compose, int64 slice_start, int64 from_window,
						   const Datum *states, const bool *isnull, MinimalTuple key);

/* There are no more rows of the key. */
extern void sx_compose_end(SxCompose *compose);

/*
 * The next window that the rows so far decide; false: more rows are wanted, or after
 * sx_compose_end there are no more windows.
 */
extern bool sx_compose_next(SxCompose *compose, SxComposed *composed);

/* For error messages: the window that sx_compose_next is at; false: none. */
extern bool sx_compose_at(const SxCompose *compose, int64 *start, int64 *end);

/* How often states were combined since sx_compose_open. */
extern int64 sx_compose_combined(const SxCompose *compose);

extern void sx_compose_close(SxCompose *compose);

#endif
