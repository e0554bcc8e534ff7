/*
 * prepare.h
 *	  What can be computed of a micro-batch before the stream's lock is held:
 *	  the deltas of the rows that are on time.
 *
 * So several workers of a stream work at once, and take turns only to merge.
 */
#ifndef SX_PREPARE_H
#define SX_PREPARE_H

#include "compat.h"

#include "batch/batch.h"
#include "catalog/reader.h"
#include "query/kept.h"

typedef struct SxPrepared SxPrepared;

/* Nothing yet; in a child context of parent. */
extern SxPrepared *sx_prepared_create(MemoryContext parent);
extern void sx_prepared_free(SxPrepared *prepared);

/*
 * Run the deltas of the reader's views over a decoded batch, in a transaction with an active snapshot, and
 * keep up to max_bytes of groups.  The reader's watermark must be one that it had.  Left out, and to be
 * run under the lock, are views with inputs, and those that read tables, whose snapshot is the batch's.
 * Returns false when there were more groups.
 */
extern bool
sx_prepare(SxPrepared *prepared, SxReader *reader, const SxBatch *batch, size_t max_bytes);

/*
 * The groups of a family (OIDs of views) of the same batch; NULL: there are none, or they were made of more
 * rows than are on time now: the watermark has moved on, and never back, so as many are the same ones.
 */
extern const SxKept *sx_prepared_find(const SxPrepared *prepared, const List *views, int on_time);

#endif
