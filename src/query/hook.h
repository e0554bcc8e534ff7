/*
 * hook.h
 *	  Where the engine hangs in the server: planner, executor, utility
 *	  statements, drops.
 */
#ifndef SX_HOOK_H
#define SX_HOOK_H

#include "compat.h"

/* Install the hooks, each in front of what was there; from _PG_init. */
extern void sx_hook_init(void);

#endif
