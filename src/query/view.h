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

/* A table of inputs, for aggregates that have no states (see input_set.h). */
typedef struct SxViewInputs
{
	Oid table;
	Oid delta; /* the inputs of one micro-batch: keys, slice_start, inputs, multiplicities */
	int ninputs;
	int nmultiplicities;
	bool *is_distinct; /* of each multiplicity: only whether it is 0 matters */
	int *counter;	   /* of each: the state (from 0) that counts the distinct inputs, or -1 */
} SxViewInputs;

typedef struct SxView
{
	Oid relid;		  /* the visible view */
	const char *name; /* of a shadow: those of the view that it stands for */
	Oid owner;
	Oid shadow_of; /* the view whose place it is to take, or InvalidOid (shadow.h) */
	bool reuses;   /* a shadow that goes by what that view refused as late (reuse.h) */
	Oid stream;
	Oid state;		/* the state table */
	Oid delta;		/* the delta view */
	Oid rows;		/* the rows view */
	Oid definition; /* the definition view */
	Oid trial;		/* the view of aggregates that a row may make fail, or InvalidOid */
	Oid finals; /* the view of final values, when inputs of sealed windows are folded, or InvalidOid */
	Oid windows; /* hop and cumulate: the foreign table that composes windows from slices */
	SxWindow window;
	int64 allowed_lateness_us;
	TimestampTz sealed_through; /* windows that end by then take no rows, whatever the watermark */
	int64 retention_us;			/* -1: none */
	int64 refused_retention_us; /* -1: none */
	bool removes_windows;		/* by retention, or did so when it had another definition */
	bool stores_late_rows;		/* late_rows 'store' */
	List *settings;				/* of creation: name, value, name, value, ... (char *) */
	Bitmapset *columns;			/* attnums of the stream that the delta needs */

	/*
	 * Columns of the state table, in this order:
	 *
	 *		global              k1 … kn                             a1 … am
	 *		tumble              k1 … kn  slice_start                a1 … am
	 *		hop, cumulate       k1 … kn  slice_start  from_window   a1 … am
	 *		session             k1 … kn  slice_start  slice_end     a1 … am
	 *
	 * When finals is valid there follow: folded  f1 … fl, of which only fold.c knows.
	 *
	 * The unique index is on the columns before the states, but for slice_end.
	 * A session's slice_start is its first event time, slice_end its last + gap.
	 * The delta's columns are the same, without from_window (which belongs to
	 * all of its rows), and with the last event time itself as slice_end.  A session's rows view has the
	 * delta's columns, too, of each stream row by itself, then stream_row.
	 */
	int ndelta;		   /* columns of the delta */
	bool reads_tables; /* joined ones, or by functions of users */
	uint64 family;	   /* views of one reader with the same number can run together (family.h) */
	int nkeys;
	int nslice;		/* columns between keys and states: 0, 1 or 2 */
	bool is_single; /* no GROUP BY: one row, under a constant key */
	int naggregates;
	List *aggregates;		  /* Aggrefs of the delta, in order */
	int server_major;		  /* of the PostgreSQL that began the states */
	bool must_recreate;		  /* ... which are columns of another type */
	const Aggref *unreadable; /* an aggregate that cannot read its states any more, or NULL */
	List *inputs;			  /* SxViewInputs * */
	int input_groups;		  /* the state (from 0) that lists a row's input groups, or -1 */
	int nfinals;			  /* final values that folding computes */
	Oid group_sequence;
} SxView;

/*
 * A view, from the backend's cache: valid until the next call that accepts
 * invalidations, so take it again in each transaction.  An error when it is not
 * a continuous view of ours.
 */
extern const SxView *sx_view_load(Oid relid);

/* The watermark by which a view judges rows: that of its reader, or a later one, by sealed_through. */
extern int64 sx_view_watermark(const SxView *view, int64 watermark);
/* An ERROR if an upgrade of the server has left the view with states that it cannot read. */
extern void sx_view_check_states(const SxView *view);

/* Whether a relation is a continuous view. */
extern bool sx_view_is(Oid relid);

/* OIDs of the tables of inputs, in the order of the view's list. */
extern List *sx_view_input_tables(const SxView *view);

#endif
