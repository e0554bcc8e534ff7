/*
 * pushdown.h
 *	  Conditions on a view's window column as conditions on where windows start.
 */
#ifndef SX_PUSHDOWN_H
#define SX_PUSHDOWN_H

#include "compat.h"

#include "nodes/pathnodes.h"

/* Install the planner's hook; called once, from _PG_init. */
extern void sx_pushdown_init(void);

/*
 * The conditions on the start of windows of relation relid that a clause
 * implies: "start operator x", "start = ANY (array)", and ORs and ANDs of
 * these, with x free of the relation's columns.  NIL: none.  The start is the first argument of the
 * function that shows the window, a Var.
 */
extern List *sx_pushdown_derive(PlannerInfo *root, Index relid, Node *clause);

#endif
