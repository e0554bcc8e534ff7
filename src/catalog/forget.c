/*
 * forget.c
 *	  What the catalog does when a stream or a view is dropped.
 *
 * Drops come from a hook, in whatever order dependencies give, so each
 * function leaves nothing behind by itself, and does nothing when the catalog is
 * being dropped too.
 *
 * What hangs on a row of the catalog goes with it by triggers.  They stand for
 * foreign keys, of which the order of pg_restore --jobs knows nothing.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/forget.h"
#include "catalog/spi.h"

PG_FUNCTION_INFO_V1(streamx_forget_stream);
PG_FUNCTION_INFO_V1(streamx_forget_reader);
PG_FUNCTION_INFO_V1(streamx_forget_view);

static Datum forget_parts(FunctionCallInfo fcinfo, const char *const *statements);
static bool catalog_is_whole(void);
static bool is_there(const char *schema, const char *relation);
static void forget(const char *known, const char *const *statements, Oid relid);

void
sx_catalog_forget_view(Oid view)
{
	static const char *const statements[] = {
		"DELETE FROM streamx_internal.dead_letter WHERE view = $1",
		"DELETE FROM streamx_internal.late_row WHERE view = $1",
		"DELETE FROM streamx_internal.removal WHERE view = $1",
		"DELETE FROM streamx_internal.folding WHERE view = $1",
		/* a shadow that is given up: its reader refused for itself what the view's has refused, too */
		"DELETE FROM streamx_internal.dead_letter AS d USING streamx.views AS v,"
		" streamx.view_streams AS s, streamx.readers AS r WHERE v.view = $1"
		" AND v.shadow_of IS NOT NULL AND s.view = v.view AND r.reader = s.reader AND r.topic <> ''"
		" AND d.reader = s.reader AND d.view IS NULL",
		/* of two who drop the last views of a reader, one must see what the other did */
		"SELECT FROM streamx.readers r JOIN streamx.view_streams s USING (reader)"
		" WHERE s.view = $1 AND r.topic <> '' FOR NO KEY UPDATE OF r",
		"WITH gone AS (DELETE FROM streamx.view_streams WHERE view = $1 RETURNING reader) "
		"DELETE FROM streamx.readers AS r USING gone AS g WHERE r.reader = g.reader AND r.topic <> "
		"'' "
		"AND NOT EXISTS (SELECT FROM streamx.view_streams AS v "
		"WHERE v.reader = r.reader AND v.view <> $1)",
		"DELETE FROM streamx.thresholds WHERE object = $1",
		"DELETE FROM streamx.views WHERE view = $1", NULL};

	forget("SELECT FROM streamx.views WHERE view = $1", statements, view);
}

void
sx_catalog_forget_stream(Oid stream)
{
	static const char *const statements[] = {
		"DELETE FROM streamx_internal.dead_letter WHERE stream = $1",
		"DELETE FROM streamx_internal.late_row WHERE stream = $1",
		"DELETE FROM streamx.view_streams WHERE stream = $1",
		"DELETE FROM streamx.readers WHERE stream = $1",
		"DELETE FROM streamx.thresholds WHERE object = $1",
		"DELETE FROM streamx.streams WHERE stream = $1",
		NULL};

	forget("SELECT FROM streamx.streams WHERE stream = $1", statements, stream);
}

/* AFTER DELETE ON streamx.streams, streamx.readers, streamx.views: the first column is the key. */

Datum
streamx_forget_stream(PG_FUNCTION_ARGS)
{
	static const char *const statements[] = {"DELETE FROM streamx.readers WHERE stream = $1", NULL};

	return forget_parts(fcinfo, statements);
}

Datum
streamx_forget_reader(PG_FUNCTION_ARGS)
{
	static const char *const statements[] = {"DELETE FROM streamx.progress WHERE reader = $1",
											 NULL};

	return forget_parts(fcinfo, statements);
}

Datum
streamx_forget_view(PG_FUNCTION_ARGS)
{
	static const char *const statements[] = {
		"DELETE FROM streamx.view_streams WHERE view = $1",
		"DELETE FROM streamx_internal.view_start WHERE view = $1",
		"DELETE FROM streamx_internal.skip WHERE view = $1", NULL};

	return forget_parts(fcinfo, statements);
}

static Datum
forget_parts(FunctionCallInfo fcinfo, const char *const *statements)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc desc;
	Oid type;
	Datum value;
	bool is_null;
	SxSpi spi;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("this function is for the catalog of streamx only")));
	desc = RelationGetDescr(trigger->tg_relation);
	type = TupleDescAttr(desc, 0)->atttypid;
	value = heap_getattr(trigger->tg_trigtuple, 1, desc, &is_null);
	sx_spi_begin_any_version(&spi);
	for (; *statements != NULL; statements++)
		sx_spi_execute_latest(*statements, 1, &type, &value);
	sx_spi_end(&spi);
	return PointerGetDatum(NULL);
}

/* Run the statements, if the relation is known at all: most that are dropped are not ours. */
static void
forget(const char *known, const char *const *statements, Oid relid)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(relid)};
	SxSpi spi;

	if (!catalog_is_whole())
		return;
	sx_spi_begin_any_version(&spi);
	if (sx_spi_execute_latest(known, 1, types, values) > 0)
		for (; *statements != NULL; statements++)
			sx_spi_execute_latest(*statements, 1, types, values);
	sx_spi_end(&spi);
}

/*
 * False while DROP EXTENSION takes the catalog away, or before ALTER EXTENSION has made all of it:
 * then there is nothing to keep in order.
 */
static bool
catalog_is_whole(void)
{
	return sx_extension_exists() && is_there("streamx", "streams") &&
		   is_there("streamx", "readers") && is_there("streamx", "progress") &&
		   is_there("streamx", "views") && is_there("streamx", "view_streams") &&
		   is_there("streamx", "thresholds") && is_there("streamx_internal", "dead_letter") &&
		   is_there("streamx_internal", "late_row") && is_there("streamx_internal", "removal") &&
		   is_there("streamx_internal", "folding") && is_there("streamx_internal", "skip") &&
		   is_there("streamx_internal", "view_start");
}

static bool
is_there(const char *schema, const char *relation)
{
	Oid schema_oid = get_namespace_oid(schema, true);

	return OidIsValid(schema_oid) && OidIsValid(get_relname_relid(relation, schema_oid));
}
