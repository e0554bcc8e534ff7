/*
 * define.h
 *	  CREATE VIEW … WITH (streamx.continuous): make a view's relations.
 */
#ifndef SX_DEFINE_H
#define SX_DEFINE_H

#include "compat.h"

#include "nodes/parsenodes.h"

/* Run a utility statement the ordinary way (the next ProcessUtility hook). */
typedef void (*SxRunUtility)(Node *statement, void *context);

/* Whether CREATE VIEW carries options of ours. */
extern bool sx_define_is_wanted(List *options);

/*
 * Create a continuous view.  location and length delimit the statement in
 * source, which errors point into; run is called once, with the CREATE VIEW of
 * a plain view that has the right columns.
 */
extern void sx_define_view(ViewStmt *stmt, const char *source, int location, int length,
						   SxRunUtility run, void *context);

/* Error if an ordinary view has options that a continuous one cannot have. */
extern void sx_define_check_plain_options(List *options);

/* Give the owners of continuous views what they may have changed hands with. */
extern void sx_define_sync_owners(void);

/* Called when streams, views or readers changed: the worker layer wakes its launcher. */
extern void (*sx_views_changed)(void);

#endif
