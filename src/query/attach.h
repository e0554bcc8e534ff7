/*
 * attach.h
 *	  Hang views on readers.
 */
#ifndef SX_ATTACH_H
#define SX_ATTACH_H

#include "compat.h"

#include "catalog/stream.h"

/*
 * Hang a new view on a reader of its stream that stands where the view starts,
 * or make one.  start is the option's text or NULL.  A stream with retain 'on'
 * is caught up with at once, over its log.  The caller holds the stream's lock.
 */
extern void sx_attach_view(Oid view, Oid stream, const char *start);

/* Enter a new stream into the catalog, with reader and log if it is fed by INSERT. */
extern void sx_attach_enter(Oid stream);

/* The one reader of a stream that is fed by INSERT; made when the stream is. */
extern int32 sx_attach_insert_reader(Oid stream);

/*
 * A row version of its own makes transactions with older snapshots fail with
 * 40001: a writer that does not see a new view, a CREATE VIEW that does not
 * see the newest rows, and a batch that does not see that a view has left.
 */
extern void sx_attach_mark_change(int32 reader);

/* Where a view of a stream fed by INSERT began. */
extern int64 sx_attach_start_offset(Oid view);

/*
 * Fold offsets [first, end) of a stream's log into one view, judged by a watermark of its
 * own; the stream's reader, which saw all of these rows, is not moved.
 */
extern void
sx_attach_catch_up(Oid view, const SxStream *stream, Oid log, int32 reader, int64 first, int64 end);

/*
 * Lock the stream's views against being dropped, to the end of the transaction (AccessShareLock):
 * what is written of a view then goes when it does.  Under the stream's lock, before the snapshot.
 */
extern void sx_attach_lock_views(Oid stream);

/*
 * At REPEATABLE READ and SERIALIZABLE an error (40001) if readers of the stream have moved since the
 * transaction's snapshot: what goes by their positions would not go by those of now.  Under the
 * stream's lock.
 */
extern void sx_attach_check_positions(Oid stream);

/*
 * Let a view leave its reader with one of its own: same positions, same
 * watermark, as stored.  Returns the new reader's id (the old one's when the view
 * was alone on it; it is then paused if is_paused).  The caller has the view locked.
 */
extern int32 sx_attach_leave(Oid view, bool is_paused);

#endif
