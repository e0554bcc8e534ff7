/*
 * kept.h
 *	  The groups of a delta, kept in memory until they can be merged.
 */
#ifndef SX_KEPT_H
#define SX_KEPT_H

#include "compat.h"

#include "tcop/dest.h"

typedef struct SxKept SxKept;

/* For rows of up to max_bytes together; lives in the current memory context. */
extern SxKept *sx_kept_create(size_t max_bytes);

/* A receiver that keeps rows; one too many ends the plan. */
extern DestReceiver *sx_kept_receiver(SxKept *kept);

/* Whether all rows of the plan were kept. */
extern bool sx_kept_is_complete(const SxKept *kept);
extern size_t sx_kept_bytes(const SxKept *kept);

/* Give the rows to another receiver, as the plan would have. */
extern void sx_kept_replay(const SxKept *kept, DestReceiver *dest);

#endif
