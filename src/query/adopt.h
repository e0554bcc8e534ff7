/*
 * adopt.h
 *	  Restored dumps: catalog rows that come from outside.
 */
#ifndef SX_ADOPT_H
#define SX_ADOPT_H

#include "compat.h"

/* Whether this session is reading a dump of pg_dump. */
extern bool sx_adopt_is_restoring(void);

#endif
