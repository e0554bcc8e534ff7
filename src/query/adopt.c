/*
 * adopt.c
 *	  Restored dumps: catalog rows that come from outside.
 *
 * pg_dump carries streams, views and internal relations as what they are to
 * PostgreSQL, and our catalog as configuration tables; but not the INTERNAL
 * dependencies, by which internal relations live and die with their owners.
 * Triggers on the catalog record them again.  pg_upgrade fires no triggers, nor
 * does pg_restore --disable-triggers: what they leave is adopted before the
 * first DROP.
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
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/adopt.h"
#include "query/own.h"
#include "query/sql.h"

PG_FUNCTION_INFO_V1(streamx_adopt_stream);
PG_FUNCTION_INFO_V1(streamx_adopt_view);

/* Internal relations that do not hang on their owners: of one view, or of all views and streams. */
static const char *const orphans =
	"SELECT o.relation::pg_catalog.oid, o.owner::pg_catalog.oid"
	"  FROM (SELECT u.relation, v.view AS owner FROM streamx.views v,"
	"        LATERAL pg_catalog.unnest(ARRAY[v.state, v.definition_view, v.delta_view, v.rows_view,"
	"                                        v.windows, v.trial_view, v.finals_view]"
	"                                  || v.inputs || v.input_views) u(relation)"
	"         WHERE $1 = 0::pg_catalog.oid OR v.view = $1"
	"        UNION ALL"
	"        SELECT v.view, v.shadow_of FROM streamx.views v"
	"         WHERE $1 = 0::pg_catalog.oid OR v.view = $1"
	"        UNION ALL"
	"        SELECT s.log, s.stream FROM streamx.streams s WHERE $1 = 0::pg_catalog.oid) o"
	"  JOIN pg_catalog.pg_class c ON c.oid = o.owner"
	"  JOIN pg_catalog.pg_class i ON i.oid = o.relation"
	" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
	"                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
	"                      AND d.objid = o.relation AND d.refobjid = o.owner"
	"                      AND d.refclassid = d.classid AND d.deptype = 'i')";

static HeapTuple new_row(FunctionCallInfo fcinfo);
static Datum column(FunctionCallInfo fcinfo, HeapTuple row, const char *name, bool *is_null);
static Oid relation_column(FunctionCallInfo fcinfo, HeapTuple row, const char *name);
static void adopt_orphans_of(Oid view);

/* The header of every dump switches all of these off. */
bool
sx_adopt_is_restoring(void)
{
	return !check_function_bodies && !row_security && namespace_search_path[0] == '\0';
}

void
sx_adopt_orphans(void)
{
	if (sx_extension_is_current())
		adopt_orphans_of(InvalidOid);
}

/*
 * pg_dump --clean drops every relation by itself, in an order in which parts may
 * come before what they are parts of.
 */
void
sx_adopt_release(const DropStmt *stmt)
{
	Oid internal = get_namespace_oid("streamx_internal", true);
	ListCell *lc;

	if (stmt->removeType != OBJECT_TABLE && stmt->removeType != OBJECT_VIEW &&
		stmt->removeType != OBJECT_FOREIGN_TABLE)
		return;
	foreach (lc, stmt->objects)
	{
		Oid relid = RangeVarGetRelid(makeRangeVarFromNameList(lfirst_node(List, lc)), NoLock, true);

		if (OidIsValid(relid) && get_rel_namespace(relid) == internal &&
			sx_owns_relation(relid, GetUserId()))
			deleteDependencyRecordsForClass(RelationRelationId, relid, RelationRelationId,
											DEPENDENCY_INTERNAL);
	}
	CommandCounterIncrement();
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
	int columns[] = {SPI_fnumber(RelationGetDescr(rel), "paused"),
					 SPI_fnumber(RelationGetDescr(rel), "is_copy")};
	Datum values[] = {BoolGetDatum(true), BoolGetDatum(true)};
	bool nulls[] = {false, false};

	if (OidIsValid(log))
		sx_own(log, stream);
	if (sx_adopt_is_restoring() && sx_stream_is(stream) && sx_stream_open(stream)->is_kafka)
	{
		row = heap_modify_tuple_by_cols(row, RelationGetDescr(rel), lengthof(columns), columns,
										values, nulls);
		/* a dump silences what is less than a WARNING */
		ereport(WARNING, (errmsg("restored stream \"%s\" is paused", get_rel_name(stream)),
						  errdetail("The database it was dumped from may go on reading its topic."),
						  errhint("SELECT streamx.resume(%s) lets it go on here.",
								  quote_literal_cstr(sx_sql_name(stream)))));
	}
	PG_RETURN_POINTER(row);
}

/* AFTER INSERT ON streamx.views.  A view that is made here, not restored, has got its parts before. */
Datum
streamx_adopt_view(PG_FUNCTION_ARGS)
{
	HeapTuple row = new_row(fcinfo);
	Oid view = relation_column(fcinfo, row, "view");

	if (!sx_is_owned(relation_column(fcinfo, row, "state")))
		adopt_orphans_of(view);
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

/* Of one view, or of everything. */
static void
adopt_orphans_of(Oid view)
{
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(view);
	bool is_null;
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(orphans, 1, &type, &value, NULL, false);
	for (uint64 i = 0; i < SPI_tuptable->numvals; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;

		sx_own(DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &is_null)),
			   DatumGetObjectId(SPI_getbinval(tuple, desc, 2, &is_null)));
	}
	sx_spi_end(&spi);
	CommandCounterIncrement();
}
