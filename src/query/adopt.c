/*
 * adopt.c
 *	  Restored dumps: catalog rows that come from outside.
 *
 * pg_dump carries streams, views and internal relations as what they are to
 * PostgreSQL, and our catalog as configuration tables; but not the INTERNAL
 * dependencies, by which internal relations live and die with their owners.
 * Triggers on the catalog record them again.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/adopt.h"

PG_FUNCTION_INFO_V1(streamx_adopt_stream);
PG_FUNCTION_INFO_V1(streamx_adopt_view);

static HeapTuple new_row(FunctionCallInfo fcinfo);
static Datum column(FunctionCallInfo fcinfo, HeapTuple row, const char *name, bool *is_null);
static Oid relation_column(FunctionCallInfo fcinfo, HeapTuple row, const char *name);
static void adopt_all(Datum relations, Oid owner);
static void adopt(Oid relation, Oid owner);

/* The header of every dump switches all of these off. */
bool
sx_adopt_is_restoring(void)
{
	return !check_function_bodies && !row_security && namespace_search_path[0] == '\0';
}

/*
 * BEFORE INSERT ON streamx.streams.  A restored stream of Kafka comes up paused:
 * somebody must say that this database, and not the other one, is to consume.
 */
Datum
streamx_adopt_stream(PG_FUNCTION_ARGS)
{
	HeapTuple row = new_row(fcinfo);
	Relation rel = ((TriggerData *) fcinfo->context)->tg_relation;
	Oid stream = relation_column(fcinfo, row, "stream");
	Oid log = relation_column(fcinfo, row, "log");
	int attnum = SPI_fnumber(RelationGetDescr(rel), "paused");
	Datum paused = BoolGetDatum(true);
	bool is_null = false;

	if (OidIsValid(log))
		adopt(log, stream);
	if (sx_adopt_is_restoring() && sx_stream_is(stream) && sx_stream_open(stream)->is_kafka)
		row = heap_modify_tuple_by_cols(row, RelationGetDescr(rel), 1, &attnum, &paused, &is_null);
	PG_RETURN_POINTER(row);
}

/* AFTER INSERT ON streamx.views */
Datum
streamx_adopt_view(PG_FUNCTION_ARGS)
{
	static const char *const columns[] = {"state",	 "definition_view", "delta_view", "rows_view",
										  "windows", "trial_view",		"finals_view"};
	static const char *const lists[] = {"inputs", "input_views"};
	HeapTuple row = new_row(fcinfo);
	Oid view = relation_column(fcinfo, row, "view");
	Oid shadow_of = relation_column(fcinfo, row, "shadow_of");

	if (OidIsValid(shadow_of))
		adopt(view, shadow_of);
	for (int i = 0; i < lengthof(columns); i++)
	{
		Oid relation = relation_column(fcinfo, row, columns[i]);

		if (OidIsValid(relation))
			adopt(relation, view);
	}
	for (int i = 0; i < lengthof(lists); i++)
		adopt_all(column(fcinfo, row, lists[i], &(bool){false}), view);
	CacheInvalidateRelcacheByRelid(view);
	PG_RETURN_POINTER(row);
}

static HeapTuple
new_row(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo) ||
		!TRIGGER_FIRED_BY_INSERT(((TriggerData *) fcinfo->context)->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(((TriggerData *) fcinfo->context)->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("this function is for the catalog of streamx only")));
	return ((TriggerData *) fcinfo->context)->tg_trigtuple;
}

static Datum
column(FunctionCallInfo fcinfo, HeapTuple row, const char *name, bool *is_null)
{
	TupleDesc tupdesc = RelationGetDescr(((TriggerData *) fcinfo->context)->tg_relation);

	return SPI_getbinval(row, tupdesc, SPI_fnumber(tupdesc, name), is_null);
}

static Oid
relation_column(FunctionCallInfo fcinfo, HeapTuple row, const char *name)
{
	bool is_null;
	Datum value = column(fcinfo, row, name, &is_null);

	return is_null ? InvalidOid : DatumGetObjectId(value);
}

/* relations: a regclass[] */
static void
adopt_all(Datum relations, Oid owner)
{
	Datum *values;
	int count;

	deconstruct_array(DatumGetArrayTypeP(relations), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT,
					  &values, NULL, &count);
	for (int i = 0; i < count; i++)
		adopt(DatumGetObjectId(values[i]), owner);
}

/* Make relation an internal part of owner, unless it is one. */
static void
adopt(Oid relation, Oid owner)
{
	Oid types[] = {OIDOID, OIDOID};
	Datum values[] = {ObjectIdGetDatum(relation), ObjectIdGetDatum(owner)};
	ObjectAddress part;
	ObjectAddress whole;
	bool is_adopted;
	SxSpi spi;

	sx_spi_begin(&spi);
	is_adopted = sx_spi_execute("SELECT FROM pg_catalog.pg_depend"
								" WHERE classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
								" AND objid = $1 AND refobjid = $2 AND refclassid = classid"
								" AND deptype = 'i'",
								2, types, values, NULL, false) > 0;
	sx_spi_end(&spi);
	if (is_adopted)
		return;
	ObjectAddressSet(part, RelationRelationId, relation);
	ObjectAddressSet(whole, RelationRelationId, owner);
	recordDependencyOn(&part, &whole, DEPENDENCY_INTERNAL);
	CommandCounterIncrement();
}
