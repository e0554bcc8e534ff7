/*
 * index.c
 *	  Indexes of internal tables, found by their shape.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

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

Relation
sx_index_open_leading(Relation table, int ncolumns, bool is_unique, LOCKMODE lock)
{
	ListCell *lc;

	foreach (lc, RelationGetIndexList(table))
	{
		Relation index = index_open(lfirst_oid(lc), lock);
		Form_pg_index form = index->rd_index;
		bool is_it = form->indisunique == is_unique && form->indisvalid && form->indisready &&
					 form->indnkeyatts == ncolumns && index->rd_rel->relam == BTREE_AM_OID &&
					 heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);

		for (int i = 0; is_it && i < ncolumns; i++)
			is_it = form->indkey.values[i] == i + 1;
		if (is_it)
			return index;
		index_close(index, NoLock);
	}
	return NULL;
}

/* The provider of a collation, or of the database's, and libc's name for the order. */
static char
provider_of(Oid collation, char **order)
{
	bool is_default = collation == DEFAULT_COLLATION_OID;
	HeapTuple tuple = is_default ? SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId))
								 : SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	char provider;
	bool is_null;
	Datum name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	provider = is_default ? ((Form_pg_database) GETSTRUCT(tuple))->datlocprovider
						  : ((Form_pg_collation) GETSTRUCT(tuple))->collprovider;
	name = is_default ? SysCacheGetAttr(DATABASEOID, tuple, Anum_pg_database_datcollate, &is_null)
					  : SysCacheGetAttr(COLLOID, tuple, Anum_pg_collation_collcollate, &is_null);
	*order = is_null ? pstrdup("") : TextDatumGetCString(name);
	ReleaseSysCache(tuple);
	return provider;
}

/* The provider "builtin", of 17 and later, has no other order. */
static bool
is_order_of_bytes(Oid collation)
{
	char *order;
	char provider = provider_of(collation, &order);

	return provider == 'b' || (provider == COLLPROVIDER_LIBC &&
							   (strcmp(order, "C") == 0 || strcmp(order, "POSIX") == 0));
}

const char *
sx_index_class(Oid type, Oid collation)
{
	Oid base = getBaseType(type);

	if (!OidIsValid(collation) || !get_collation_isdeterministic(collation) ||
		is_order_of_bytes(collation))
		return "";
	if (base == TEXTOID || base == VARCHAROID)
		return " pg_catalog.text_pattern_ops";
	return base == BPCHAROID ? " pg_catalog.bpchar_pattern_ops" : "";
}
