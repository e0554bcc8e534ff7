/*
 * debug_point.h
 *	  Places in the code where a test may stop, fail or kill the process:
 *	  make DEBUG_POINTS=1.  Otherwise there is nothing of them.
 */
#ifndef SX_DEBUG_POINT_H
#define SX_DEBUG_POINT_H

#ifdef SX_DEBUG_POINTS
#define SX_DEBUG_POINT(name) sx_debug_point(name)

/* Do what the file streamx_debug/NAME of the data directory says, if there is one. */
extern void sx_debug_point(const char *name);
#else
#define SX_DEBUG_POINT(name) ((void) 0)
#endif

#endif
