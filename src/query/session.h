/*
 * session.h
 *	  Fold a micro-batch into the sessions of a view's state table.
 *
 * Rows on time extend, bridge and merge sessions in any order; rows too old by
 * themselves are judged by the sessions stored (SEMANTICS 14).
 */
#ifndef SX_SESSION_H
#define SX_SESSION_H

#include "compat.h"

#include "query/view.h"
#include "tcop/dest.h"

/*
 * A DestReceiver for the delta plan of a session view: each row it gets is a
 * group's rows in one gap-wide bucket, with first and last event time.  They
 * are sorted, folded in memory, and merged with stored neighbours at
 * rShutdown.  Otherwise as sx_merge_receiver.
 */
extern DestReceiver *sx_session_receiver(const SxView *view);

/* A row too old by itself was refused; place: in the rows given to the scan. */
typedef void (*SxSessionRefused)(void *context, int place);

/*
 * A DestReceiver for the rows view of a session view, run over rows too old by
 * themselves when those on time are merged.  The order in which the scan was given them does
 * not matter; stream_row tells a row's place in it.  At rShutdown each row that FROM and
 * WHERE take is merged, or refused() is called for it, once.  A row that joins
 * make into several groups' rows is refused when one of the groups refuses it.
 * With retention a row that may touch a removed session is refused, too.
 */
extern DestReceiver *sx_session_old_receiver(const SxView *view, int64 watermark,
											 SxSessionRefused refused, void *context);

/* Sessions inserted and updated (or merged away) by a receiver so far. */
extern void sx_session_counts(DestReceiver *receiver, int64 *inserted, int64 *updated);

#endif
