/*
 * adopt.h
 *	  Restored dumps: catalog rows that come from outside.
 */
#ifndef SX_ADOPT_H
#define SX_ADOPT_H

#include "compat.h"

#include "nodes/parsenodes.h"

/* Whether this session is reading a dump of pg_dump. */
extern bool sx_adopt_is_restoring(void);

/* Make internal relations parts of the views and streams they belong to, where they are not. */
extern void sx_adopt_orphans(void);

/* The opposite, in a dump: let a statement drop an internal relation by itself. */
extern void sx_adopt_release(const DropStmt *stmt);

#endif
