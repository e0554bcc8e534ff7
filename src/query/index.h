/*
 * index.h
 *	  Indexes of internal tables, found by their shape: their OIDs are kept
 *	  nowhere, since REINDEX CONCURRENTLY replaces them.
 */
#ifndef SX_INDEX_H
#define SX_INDEX_H

#include "compat.h"

#include "storage/lockdefs.h"
#include "utils/rel.h"

/*
 * Open (RowExclusiveLock) a valid B-tree whose first column is this one, with a
 * predicate or without; NULL: somebody must have dropped it.
 */
extern Relation sx_index_open(Relation table, AttrNumber first, bool is_partial);

/*
 * Open likewise, with this lock, a whole one over just the first ncolumns, in
 * order, that is unique or not; NULL: somebody must have dropped it.
 */
extern Relation sx_index_open_leading(Relation table, int ncolumns, bool is_unique, LOCKMODE lock);

/*
 * The operator class, as SQL, of a column that is to be found, whatever the
 * order of the index; "" for the type's own.  Text is compared by bytes where equal text has
 * equal bytes: that costs less, and no other version of the system's collations can break the index.
 */
extern const char *sx_index_class(Oid type, Oid collation);

#endif
