/*
 * own.c
 *	  Parts hang on what they belong to by INTERNAL dependencies.
 *
 * Their columns depend on types and collations, and dropping one of these with CASCADE finds such a
 * column first.  What needs the column is the view, which takes its parts along: the table is
 * dropped, then a column of it, which is an error.  So a part depends as a whole, too, on what its
 * columns depend on: that comes first, and leads to the view.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "utils/fmgroids.h"

#include "query/own.h"

/* What a relation and its columns depend on. */
static SysScanDesc
begin_scan(Relation depend, Oid relid)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	return systable_beginscan(depend, DependDependerIndexId, true, NULL, lengthof(keys), keys);
}

/* The types and collations that columns of a relation depend on. */
static ObjectAddresses *
needs_of_columns(Oid relid)
{
	ObjectAddresses *needs = new_object_addresses();
	Relation depend = table_open(DependRelationId, AccessShareLock);
	SysScanDesc scan = begin_scan(depend, relid);
	HeapTuple tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress need;

		if (form->objsubid == 0 || form->deptype != DEPENDENCY_NORMAL ||
			(form->refclassid != TypeRelationId && form->refclassid != CollationRelationId))
			continue;
		ObjectAddressSet(need, form->refclassid, form->refobjid);
		add_exact_object_address(&need, needs);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return needs;
}

void
sx_own(Oid part, Oid whole)
{
	ObjectAddresses *needs = needs_of_columns(part);
	ObjectAddress part_address;
	ObjectAddress whole_address;

	ObjectAddressSet(part_address, RelationRelationId, part);
	ObjectAddressSet(whole_address, RelationRelationId, whole);
	recordDependencyOn(&part_address, &whole_address, DEPENDENCY_INTERNAL);
	record_object_address_dependencies(&part_address, needs, DEPENDENCY_NORMAL);
	free_object_addresses(needs);
}

bool
sx_is_owned(Oid relid)
{
	Relation depend = table_open(DependRelationId, AccessShareLock);
	SysScanDesc scan = begin_scan(depend, relid);
	bool found = false;
	HeapTuple tuple;

	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = ((Form_pg_depend) GETSTRUCT(tuple))->deptype == DEPENDENCY_INTERNAL;
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return found;
}
