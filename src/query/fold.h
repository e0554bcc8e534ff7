/*
 * fold.h
 *	  Fold the inputs of sealed windows into the final values of their aggregates.
 */
#ifndef SX_FOLD_H
#define SX_FOLD_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "query/analyze.h"
#include "query/view.h"

/* Whether a new view folds, by its options (names without "streamx.") and by what it is. */
extern bool sx_fold_is_wanted(List *options, const SxDefinition *definition);

/* Note a new view that folds: after its row in streamx.views, before its first batch. */
extern void sx_fold_enter(Oid view);

/* A view has another definition: whether it goes on folding.  What was folded stays. */
extern void sx_fold_replace(Oid view, bool folds);

/*
 * One step for a view that folds, in the transaction of a micro-batch and under its locks,
 * after the watermark moved.  Windows that end by removed_through need no values.
 * Whatever fails in computing them, the transaction goes on.
 */
extern void
sx_fold_apply(const SxView *view, int64 watermark, TimestampTz removed_through, int64 limit);

#endif
