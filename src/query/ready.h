/*
 * ready.h
 *	  A finished batch of INSERT and COPY: log it, apply it, move the stream on.
 */
#ifndef SX_READY_H
#define SX_READY_H

#include "compat.h"

/* Give the batch layer its way up (sx_batch_ready); from _PG_init. */
extern void sx_ready_init(void);

#endif
