/*
 * fdw.h
 *	  The foreign-data wrapper's callbacks that live outside fdw.c.
 */
#ifndef SX_FDW_H
#define SX_FDW_H

#include "compat.h"

#include "nodes/execnodes.h"

struct ExplainState;

/* scan.c */
extern void sx_fdw_begin_scan(ForeignScanState *node, int eflags);
extern TupleTableSlot *sx_fdw_iterate_scan(ForeignScanState *node);
extern void sx_fdw_rescan(ForeignScanState *node);
extern void sx_fdw_end_scan(ForeignScanState *node);
extern void sx_fdw_explain_scan(ForeignScanState *node, struct ExplainState *es);

#endif
