/*
 * reuse.h
 *	  What a view refused as late, for the shadow that is to take its place: the
 *	  same rows are refused again, by the same windows, and all others accepted,
 *	  however far the shadow's own watermark is (SEMANTICS 11).
 */
#ifndef SX_REUSE_H
#define SX_REUSE_H

#include "compat.h"

#include "batch/batch.h"
#include "catalog/reader.h"
#include "query/late.h"
#include "query/view.h"

/* The decisions about one batch. */
typedef struct SxReuse SxReuse;

/*
 * Look up what the shadow's view decided about a batch, and record its refusals as the
 * shadow's.  Rows that the view has not read are judged: the reader's watermark is
 * then no less than the view's, so that no window that the view has sealed takes them.
 * The caller holds the stream's lock.
 */
extern SxReuse *sx_reuse_begin(const SxView *shadow, SxReader *reader, const SxBatch *batch);

/* Sort one row of the batch, in ascending order or not. */
extern void sx_reuse_select(const SxReuse *reuse, int row, SxSelection *selection);

#endif
