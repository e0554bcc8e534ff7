/*
 * inputs.h
 *	  Fold the inputs of a micro-batch into one of a view's tables of inputs.
 */
#ifndef SX_INPUTS_H
#define SX_INPUTS_H

#include "compat.h"

#include "query/late.h"
#include "query/view.h"

/*
 * Fold the inputs of some rows of a batch into all of the view's tables of inputs,
 * when the rows' groups are in the state table already.  from_window: as that of
 * sx_merge_receiver.  Call between sx_run_begin and sx_run_end.  Returns how many rows of
 * the tables were written.
 */
extern int64
sx_inputs_run(const SxView *view, const SxBatch *batch, const SxRows *rows, int64 from_window);

#endif
