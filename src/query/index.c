/*
 * index.c
 *	  Indexes of internal tables, found by their shape.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"

#include "query/index.h"

Relation
sx_index_open(Relation table, AttrNumber first, bool is_partial)
{
	ListCell *lc;

	foreach (lc, RelationGetIndexList(table))
	{
		Relation index = index_open(lfirst_oid(lc), RowExclusiveLock);
		Form_pg_index form = index->rd_index;

		if (form->indisvalid && form->indkey.values[0] == first &&
			index->rd_rel->relam == BTREE_AM_OID &&
			heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL) != is_partial)
			return index;
		index_close(index, NoLock);
	}
	return NULL;
}
