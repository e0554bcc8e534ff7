/*
 * canary.c
 *	  What the sanitizers must report, on purpose, and what must go wrong without caches.
 */
#include "postgres.h"

#include <stdlib.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "utils/inval.h"
#include "utils/syscache.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(overrun);
PG_FUNCTION_INFO_V1(overshift);
PG_FUNCTION_INFO_V1(outlives);

/* Read what follows memory of so many bytes. */
Datum
overrun(PG_FUNCTION_ARGS)
{
	int32 size = PG_GETARG_INT32(0);
	volatile char *memory = calloc(size, 1);
	char value = memory[size];

	free((void *) memory);
	PG_RETURN_INT32(value);
}

/* Shift by so many bits, of which there are 32. */
Datum
overshift(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) (1U << PG_GETARG_INT32(0)));
}

/* Is the cache entry of a relation, released, still there when PostgreSQL has heard of changes? */
Datum
outlives(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Form_pg_class entry = (Form_pg_class) GETSTRUCT(tuple);

	ReleaseSysCache(tuple);
	AcceptInvalidationMessages();
	PG_RETURN_BOOL(entry->oid == relid);
}
