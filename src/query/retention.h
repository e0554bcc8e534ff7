/*
 * retention.h
 *	  What a view lets go of: windows by streamx.retention, refused rows by
 *	  streamx.refused_retention (SEMANTICS 26).
 */
#ifndef SX_RETENTION_H
#define SX_RETENTION_H

#include "compat.h"

#include "catalog/reader.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "query/view.h"
#include "window/window.h"

/*
 * Check the two options (names without "streamx.") against the view's window
 * and streamx.allowed_lateness.  has_lateness: there is a window, and the stream has event_time.
 */
extern void sx_retention_check(List *options, const SxWindow *window, bool has_lateness);

/*
 * Note a new view's removals, when it has one of the options: after its row in
 * streamx.views, before its first batch.
 */
extern void sx_retention_enter(Oid view);

/*
 * A view is to have other options, under the stream's lock: before, delete all that it let go
 * by a retention that it has no more; after, note what it can still let go, and whether late
 * rows were discarded that it is to store from now on.
 */
extern void sx_retention_finish(const SxView *view);
extern void sx_retention_replace(Oid view, bool are_refusals_lost);

/*
 * At the end of each micro-batch, after the watermark moved, in its transaction
 * and under its locks: remove windows, all at once for whoever reads the view,
 * and delete some of the rows of what was removed.  written: groups and inputs
 * that the batch merged, so that no view gains rows faster than it loses them.
 */
extern void sx_retention_apply(const SxReader *reader, int64 written);

/*
 * A row too old by itself was merged into a session, which may now begin at start: passes over
 * the view's state begin there at the latest.  In the transaction that merged it.
 */
extern void sx_retention_begins(const SxView *view, TimestampTz start);

/* What sx_retention_work returns when there is nothing to wait for. */
#define SX_RETENTION_NEVER PG_INT64_MAX		 /* before the next batch */
#define SX_RETENTION_NONE (PG_INT64_MAX - 1) /* no view of the reader has such an option */

/*
 * Go on deleting while no batch comes: one step, in a transaction of the
 * caller's that holds neither locks nor snapshot.  Returns after how many
 * microseconds there will be more to do (0: at once).  When there is nothing
 * to delete, nothing is locked, and no transaction id taken.
 */
extern int64 sx_retention_work(int32 reader);

/* Windows of the view that end by then are removed; DT_NOBEGIN: none.  As of the active snapshot. */
extern TimestampTz sx_retention_removed_through(Oid view);

/*
 * Whether refusals were removed without which it is not known what the view
 * accepted.  As of the active snapshot.
 */
extern bool sx_retention_has_removed_refusals(Oid view);

#endif
