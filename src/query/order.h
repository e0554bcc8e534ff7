/*
 * order.h
 *	  The order in which an aggregate takes its inputs.
 */
#ifndef SX_ORDER_H
#define SX_ORDER_H

#include "compat.h"

#include "catalog/stream.h"
#include "nodes/primnodes.h"

/*
 * Whether a plain aggregate without ORDER BY and DISTINCT has another result
 * when its inputs come in another order.
 */
extern bool sx_order_matters(const Aggref *aggref);

/*
 * Extend in place the ORDER BY of a plain aggregate without DISTINCT, so that its
 * result depends on its inputs alone.  Without ORDER BY, if the order matters,
 * it becomes (event time, partition, offset) of the stream's row; ties are
 * broken by the arguments' values.  Applied twice, it adds nothing.
 *
 * stream_rti: the stream in the range table of the aggregate's query.
 */
extern void sx_order_inputs(const SxStream *stream, int stream_rti, Aggref *aggref);

#endif
