/*
 * partial.h
 *	  Partial aggregation: streamx.partial(aggregate) in a finished plan.
 */
#ifndef SX_PARTIAL_H
#define SX_PARTIAL_H

#include "compat.h"

#include "nodes/plannodes.h"

/*
 * Replace every streamx.partial(Aggref, …) in the plan by the Aggref itself,
 * computed partially, and make its Agg node a partial one.  Leaves plans
 * without the marker alone.  An error if the plan has not the one shape in which that is right: the
 * markers' Agg is at the top, all its aggregates are marked, and there is no other
 * aggregation above it.
 */
extern void sx_partial_rewrite(PlannedStmt *plan);

#endif
