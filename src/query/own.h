/*
 * own.h
 *	  Which relations are parts of which.
 */
#ifndef SX_OWN_H
#define SX_OWN_H

#include "compat.h"

/* Make an internal relation a part of a view or stream, which takes it along when it is dropped. */
extern void sx_own(Oid part, Oid whole);

/* Whether a relation is a part of something. */
extern bool sx_is_owned(Oid relid);

#endif
