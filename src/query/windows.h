/*
 * windows.h
 *	  Scans of the foreign tables that compose the windows of hop and cumulate
 *	  views: what their planning and their execution share.
 */
#ifndef SX_WINDOWS_H
#define SX_WINDOWS_H

#include "compat.h"

#include "nodes/execnodes.h"
#include "query/view.h"

struct ExplainState;

/*
 * What a plan keeps.  fdw_exprs: the conditions on starts, then those on keys
 * (see slices.h); fdw_private, in this order:
 */
enum SxWindowsPrivate
{
	SX_WINDOWS_NSTARTS,	   /* how many conditions are on starts (Integer) */
	SX_WINDOWS_AGGREGATES, /* numbers of the aggregates in use (integers) */
	SX_WINDOWS_IS_FAST	   /* few of the rows are wanted (Integer) */
};

/* The view that a foreign table composes windows for; an ERROR when there is none. */
extern const SxView *sx_windows_view(Oid relid);

/* Execution (windows_scan.c) */
extern void sx_windows_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *sx_windows_iterate(ForeignScanState *node);
extern void sx_windows_rescan(ForeignScanState *node);
extern void sx_windows_end(ForeignScanState *node);
extern void sx_windows_explain(ForeignScanState *node, struct ExplainState *es);

#endif
