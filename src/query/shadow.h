/*
 * shadow.h
 *	  Shadows: continuous views that are made to take the place of another one.
 *
 *		view     o=========================o =================>   readable all the time
 *		shadow   o - - - - - - - - - - - - |
 *		         the same beginning        where both stand at the same offsets, swapped in one transaction
 *
 * A shadow is a view as any other: it has its row in streamx.views, with shadow_of,
 * a reader, late rows and dead letters.  Its own visible view nobody reads; it hangs on
 * the user's view, whose name and owner the engine knows it by (view.h).
 */
#ifndef SX_SHADOW_H
#define SX_SHADOW_H

#include "compat.h"

#include "nodes/pg_list.h"

/* The shadow of a view, or InvalidOid.  In the catalog as it is now. */
extern Oid sx_shadow_find(Oid view);

/*
 * A dummy to be a shadow's visible view, with the columns of a target list, that lives and
 * dies with view.
 */
extern Oid sx_shadow_create_visible(Oid view, List *targetlist);

/*
 * Make a shadow of a view's own definition, with copies of its relations and nothing in
 * them.  rejudge: it judges anew which rows are late.  The caller holds the stream's lock.
 */
extern Oid sx_shadow_create(Oid view, bool rejudge);

/*
 * Hang a new shadow on a reader of its own, which begins where its view began; of a stream
 * fed by INSERT on the one reader that there is.  It then has its first rows.
 */
extern void sx_shadow_attach(Oid view, Oid shadow);

/*
 * If a shadow stands where its view stands: let it take the view's place, and drop what
 * was in it.  The caller holds the stream's lock and AccessExclusiveLock on the view.
 * false: they do not stand at the same offsets.
 */
extern bool sx_shadow_swap(Oid shadow);

/*
 * Of a stream fed by INSERT that keeps its rows: make a new shadow, attached already, catch up
 * at once, and swap.  The caller holds the stream's lock, and has flushed what was inserted.
 */
extern void sx_shadow_catch_up(Oid view, Oid shadow);

/* Drop a view's shadow and all that it has; false: there is none.  The caller holds the stream's lock. */
extern bool sx_shadow_drop(Oid view);

#endif
