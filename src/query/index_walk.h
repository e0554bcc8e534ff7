/*
 * index_walk.h
 *	  Find rows by an index with keys that rise: instead of a descent for each, go
 *	  along the leaves.  Pays where much of the index is looked for.
 */
#ifndef SX_INDEX_WALK_H
#define SX_INDEX_WALK_H

#include "compat.h"

#include "executor/tuptable.h"
#include "utils/rel.h"
#include "utils/snapshot.h"

typedef struct SxIndexWalk SxIndexWalk;

/*
 * Whether nkeys lookups in a B-tree are likely to cost less as a walk.
 */
extern bool sx_index_walk_pays(Relation index, int64 nkeys);

/*
 * Walk along a unique B-tree on ncolumns columns, all ascending, from the first row whose first
 * column is at least this value, which is not NULL.  Lives in the current memory context.
 */
extern SxIndexWalk *
sx_index_walk_begin(Relation table, Relation index, Snapshot snapshot, int ncolumns, Datum first);

/*
 * The row with these keys, which are not below those of the call before and of which the first
 * is not NULL, into a slot of the table; false: there is none that the snapshot sees.
 */
extern bool
sx_index_walk_to(SxIndexWalk *walk, const Datum *keys, const bool *isnull, TupleTableSlot *slot);

/* Whether the way has been so long that descents would have been shorter. */
extern bool sx_index_walk_is_lost(const SxIndexWalk *walk);

extern void sx_index_walk_end(SxIndexWalk *walk);

#endif
