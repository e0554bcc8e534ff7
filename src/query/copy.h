/*
 * copy.h
 *	  Stored queries of views, with other relations in place of their own.
 */
#ifndef SX_COPY_H
#define SX_COPY_H

#include "compat.h"

#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

/* Relations, and those that take their places: OIDs. */
typedef struct SxSubstitution
{
	List *from;
	List *to;
} SxSubstitution;

/* A copy of a view's query as it is stored, with substitutions.  The view is locked. */
extern Query *sx_copy_stored_query(Oid view, const SxSubstitution *substitution);

/*
 * Make a stored query, of the same columns, a view's own.  Takes AccessExclusiveLock.
 * Columns get the names that the view has for them.  As the extension's owner.
 */
extern void sx_copy_store_query(Oid view, Query *query);

#endif
