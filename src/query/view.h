/*
 * view.h
 *	  A continuous view as the engine sees it: its catalog row, resolved.
 */
#ifndef SX_VIEW_H
#define SX_VIEW_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "nodes/bitmapset.h"
#include "nodes/pg_list.h"
#include "window/window.h"

typedef struct SxView
{
	Oid relid; /* the visible view */
	const char *name;
	Oid owner;
	Oid stream;
	Oid state;		/* the state table */
	Oid delta;		/* the delta view */
	Oid rows;		/* the rows view */
	Oid definition; /* the definition view */
	SxWindow window;
	int64 allowed_lateness_us;
	bool stores_late_rows; /* late_rows 'store' */
	List *settings;		   /* of creation: name, value, name, value, ... (char *) */
	Bitmapset *columns;	   /* attnums of the stream that the delta needs */

	/*
	 * Columns of the delta's rows and of the state table alike, in this order:
	 * nkeys group keys, then slice_start if the window has slices, then one
	 * state per aggregate.
	 */
	int nkeys;
	bool has_slice;
	bool is_single; /* no GROUP BY: one row, under a constant key */
	int naggregates;
	List *aggregates; /* Aggrefs of the delta, in order */
} SxView;

/*
 * A view, from the backend's cache: valid until the next call that accepts
 * invalidations, so take it again in each transaction.  An error when it is not
 * a continuous view of ours.
 */
extern const SxView *sx_view_load(Oid relid);

/* Whether a relation is a continuous view. */
extern bool sx_view_is(Oid relid);

#endif
