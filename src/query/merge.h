/*
 * merge.h
 *	  Fold a micro-batch's partial aggregates into a view's state table.
 */
#ifndef SX_MERGE_H
#define SX_MERGE_H

#include "compat.h"

#include "query/view.h"
#include "tcop/dest.h"

/*
 * A DestReceiver for a delta plan: every row it gets is one group, merged into
 * the view's state by the time of its rDestroy.  Each group may come once.  Lives in the current
 * memory context; its rDestroy closes the state.  from_window: of hop and
 * cumulate, the end of the first window that accepts the rows (DT_NOBEGIN: all do).
 *
 * A group key too large for the state's index is an ERROR with
 * SQLSTATE 54000 (program_limit_exceeded), which the caller's careful mode turns into a dead letter.
 */
extern DestReceiver *sx_merge_receiver(const SxView *view, int64 from_window);

/* Groups inserted and updated by a receiver so far. */
extern void sx_merge_counts(DestReceiver *receiver, int64 *inserted, int64 *updated);

#endif
