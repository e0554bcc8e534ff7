/*
 * admin.h
 *	  What the functions of administration have in common.
 */
#ifndef SX_ADMIN_H
#define SX_ADMIN_H

#include "compat.h"

/* A stream, or a continuous view, that a user named. */
typedef struct SxTarget
{
	Oid relid;
	const char *name;
	bool is_view;
	Oid stream;
} SxTarget;

/* Find out what a relation is; an error when it is neither. */
extern void sx_admin_resolve(Oid relid, SxTarget *target);

/*
 * Lock the stream, then the view, to the end of the transaction: nothing moves, and the view stays.
 * What was found out before without a lock is found out anew; an error unless it is still the
 * current role's.  The snapshot comes after it.
 */
extern void sx_admin_lock(SxTarget *target);

/* An error unless the current role owns it. */
extern void sx_admin_check_owner(const SxTarget *target);

/* Whether a query about one relation ($1) finds a row.  The text is a constant. */
extern bool sx_admin_exists(const char *statement, Oid relid);

#endif
