/*
 * index.h
 *	  Indexes of internal tables, found by their shape: their OIDs are kept
 *	  nowhere, since REINDEX CONCURRENTLY replaces them.
 */
#ifndef SX_INDEX_H
#define SX_INDEX_H

#include "compat.h"

#include "utils/rel.h"

/*
 * Open (RowExclusiveLock) a valid B-tree whose first column is this one, with a
 * predicate or without; NULL: somebody must have dropped it.
 */
extern Relation sx_index_open(Relation table, AttrNumber first, bool is_partial);

#endif
