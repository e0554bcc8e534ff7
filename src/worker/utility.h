/*
 * utility.h
 *	  Utility statements that launcher and workers must know of.
 */
#ifndef SX_UTILITY_H
#define SX_UTILITY_H

#include "compat.h"

/* Hang in; from sx_launcher_init. */
extern void sx_utility_init(void);

#endif
