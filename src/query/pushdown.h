/*
 * pushdown.h
 *	  Conditions on a view's window column use the index on slice_start.
 */
#ifndef SX_PUSHDOWN_H
#define SX_PUSHDOWN_H

#include "compat.h"

/* Install the planner's hook; called once, from _PG_init. */
extern void sx_pushdown_init(void);

#endif
