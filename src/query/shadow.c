/*
 * shadow.c
 *	  Shadows: continuous views that are made to take the place of another one.
 *
 * The swap exchanges: the two rows of the catalog, but for what says which is which; the
 * owners of internal relations; and the view gets the shadow's query.  Then the shadow
 * has all that is old, and is dropped with it.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

#include "batch/log.h"
#include "catalog/debug_point.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "query/apply.h"
#include "query/attach.h"
#include "query/copy.h"
#include "query/define.h"
#include "query/expression.h"
#include "query/fold.h"
#include "query/own.h"
#include "query/relations.h"
#include "query/retention.h"
#include "query/shadow.h"
#include "query/view.h"

#define INTERNAL_SCHEMA "streamx_internal"

/* Of a swap: two views, and their readers, which may be one. */
typedef struct Swap
{
	Oid view;
	Oid shadow;
	int32 old_reader;
	int32 new_reader;
} Swap;

/* ---- making one ---- */

Oid
sx_shadow_find(Oid view)
{
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(view);
	Oid shadow = InvalidOid;
	bool is_null;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_look_up("SELECT view FROM streamx.views WHERE shadow_of = $1", 1, &type, &value) > 0)
		shadow = DatumGetObjectId(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	sx_spi_end(&spi);
	return shadow;
}

/* A name that no relation has. */
static char *
visible_name(void)
{
	Oid schema = get_namespace_oid(INTERNAL_SCHEMA, false);
	char *name;

	do
	{
		sx_spi_run("SELECT pg_catalog.nextval('streamx_internal.view_id')");
		name =
			psprintf("v%s_shadow", SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
	} while (OidIsValid(get_relname_relid(name, schema)));
	return name;
}

Oid
sx_shadow_create_visible(Oid view, List *targetlist)
{
	StringInfoData sql;
	char *name;
	Oid relid;
	SxSpi spi;

	sx_spi_begin(&spi);
	name = visible_name();
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE VIEW " INTERNAL_SCHEMA ".%s AS ", name);
	sx_append_dummy_select(&sql, targetlist);
	sx_spi_run(sql.data);
	sx_spi_run(psprintf("COMMENT ON VIEW " INTERNAL_SCHEMA ".%s IS"
						" 'takes the place of a continuous view when it has caught up with it'",
						name));
	relid = get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
	sx_spi_end(&spi);
	sx_own(relid, view);
	CommandCounterIncrement();
	return relid;
}

/* The catalog's row: the view's own, with other relations. */
static void
enter(const SxRelations *relations, bool rejudge)
{
	static const char *const statement =
		"INSERT INTO streamx.views (view, definition, state, definition_view, delta_view,"
		" rows_view, windows, inputs, input_views, trial_view, finals_view, window_kind,"
		" window_size, window_step, window_origin, window_timezone, allowed_lateness, late_rows,"
		" start, retention, refused_retention, settings, sealed_through, shadow_of, rejudge)"
		" SELECT $2, v.definition, $3, $4, $5, $6, $7, $8, $9, $10, $11, v.window_kind,"
		" v.window_size, v.window_step, v.window_origin, v.window_timezone, v.allowed_lateness,"
		" v.late_rows, v.start, v.retention, v.refused_retention, v.settings,"
		" CASE WHEN $12 THEN '-infinity' ELSE v.sealed_through END, v.view, $12"
		" FROM streamx.views AS v WHERE v.view = $1";
	static const Oid types[] = {REGCLASSOID,	  REGCLASSOID, REGCLASSOID, REGCLASSOID,
								REGCLASSOID,	  REGCLASSOID, REGCLASSOID, REGCLASSARRAYOID,
								REGCLASSARRAYOID, REGCLASSOID, REGCLASSOID, BOOLOID};
	Datum values[] = {
		ObjectIdGetDatum(relations->shadow_of),		ObjectIdGetDatum(relations->visible),
		ObjectIdGetDatum(relations->state),			ObjectIdGetDatum(relations->definition_view),
		ObjectIdGetDatum(relations->delta),			ObjectIdGetDatum(relations->rows),
		ObjectIdGetDatum(relations->windows),		sx_relations_array(relations->inputs),
		sx_relations_array(relations->input_views), ObjectIdGetDatum(relations->trial),
		ObjectIdGetDatum(relations->finals),		BoolGetDatum(rejudge)};
	bool nulls[lengthof(types)] = {false};
	SxSpi spi;

	nulls[6] = !OidIsValid(relations->windows);
	nulls[9] = !OidIsValid(relations->trial);
	nulls[10] = !OidIsValid(relations->finals);
	sx_spi_begin(&spi);
	sx_spi_execute(statement, lengthof(types), types, values, nulls, false);
	sx_spi_end(&spi);
	CommandCounterIncrement();
}

static void
execute_about(const char *statement, Oid first, Oid second, int32 number)
{
	static const Oid types[] = {REGCLASSOID, REGCLASSOID, INT4OID};
	Datum values[] = {ObjectIdGetDatum(first), ObjectIdGetDatum(second), Int32GetDatum(number)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(statement, 3, types, values, NULL, false);
	sx_spi_end(&spi);
}

/*
 * What the view's options of before have left: windows that were removed, though it removes none
 * any more, and inputs that are kept, though it would not have to.
 */
static void
keep_bookkeeping(Oid view, Oid shadow)
{
	execute_about("INSERT INTO streamx_internal.removal (view, state)"
				  " SELECT v.view, v.state FROM streamx.views AS v WHERE v.view = $2 AND EXISTS"
				  " (SELECT FROM streamx_internal.removal AS r WHERE r.view = $1)"
				  " ON CONFLICT (view) DO NOTHING",
				  view, shadow, 0);
	execute_about("DELETE FROM streamx_internal.folding AS f WHERE f.view = $2 AND NOT EXISTS"
				  " (SELECT FROM streamx_internal.folding AS o WHERE o.view = $1)",
				  view, shadow, 0);
}

Oid
sx_shadow_create(Oid relid, bool rejudge)
{
	SxRelations relations = {.shadow_of = relid};
	Query *visible = sx_copy_stored_query(relid, &(SxSubstitution){NIL, NIL});

	/* copies of the view's relations would be what they are */
	if (sx_view_load(relid)->must_recreate)
		sx_view_check_states(sx_view_load(relid));
	relations.visible = sx_shadow_create_visible(relid, visible->targetList);
	sx_relations_copy(&relations, sx_view_load(relid));
	enter(&relations, rejudge);
	sx_retention_enter(relations.visible);
	sx_fold_enter(relations.visible);
	CommandCounterIncrement();
	keep_bookkeeping(relid, relations.visible);
	CacheInvalidateRelcacheByRelid(relations.visible);
	CommandCounterIncrement();
	return relations.visible;
}

/* ---- where it begins ---- */

void
sx_shadow_attach(Oid view, Oid shadow)
{
	const SxReader *reader = sx_reader_of_view(view);
	bool is_kafka = reader->topic[0] != '\0';
	int32 id = is_kafka ? sx_reader_create(reader->stream, reader->topic) : reader->id;

	execute_about("INSERT INTO streamx.view_streams (view, stream, reader, start_offset)"
				  " SELECT $2, s.stream, $3, s.start_offset"
				  " FROM streamx.view_streams AS s WHERE s.view = $1",
				  view, shadow, id);
	if (is_kafka)
		execute_about(
			"INSERT INTO streamx.progress"
			" (reader, topic, \"partition\", start_offset, next_offset)"
			" SELECT $3, p.topic, p.\"partition\", b.start_offset, b.start_offset"
			" FROM streamx.view_streams AS s"
			" JOIN streamx.readers AS r ON r.reader = s.reader"
			" JOIN streamx.progress AS p ON p.reader = r.reader AND p.topic = r.topic"
			" LEFT JOIN streamx_internal.view_start AS o"
			"  ON o.view = s.view AND o.\"partition\" = p.\"partition\","
			" LATERAL (SELECT coalesce(o.start_offset, p.start_offset)) AS b (start_offset)"
			" WHERE s.view = $1",
			view, shadow, id);
	if (is_kafka)
		execute_about("INSERT INTO streamx_internal.skip (view, topic, \"partition\","
					  " from_offset, to_offset, is_asked, recorded_at)"
					  " SELECT $2, k.topic, k.\"partition\", k.from_offset, k.to_offset,"
					  " k.is_asked, k.recorded_at FROM streamx_internal.skip AS k"
					  " LEFT JOIN streamx.progress AS p"
					  "  ON p.reader = $3 AND p.\"partition\" = k.\"partition\""
					  " WHERE k.view = $1 AND (k.is_asked"
					  "  OR k.from_offset < k.to_offset AND k.to_offset <= p.start_offset)",
					  view, shadow, id);
	CommandCounterIncrement();
	CacheInvalidateRelcacheByRelid(reader->stream);
	sx_apply_first_rows(shadow);
	if (sx_views_changed)
		sx_views_changed();
}

/* ---- the swap ---- */

static void
execute(const Swap *swap, const char *statement)
{
	static const Oid types[] = {REGCLASSOID, REGCLASSOID, INT4OID, INT4OID};
	Datum values[] = {ObjectIdGetDatum(swap->view), ObjectIdGetDatum(swap->shadow),
					  Int32GetDatum(swap->old_reader), Int32GetDatum(swap->new_reader)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(statement, lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

/* All internal relations of a view, as the catalog names them. */
static List *
parts_of(Oid view)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view)};

	return sx_spi_list_oids(
		"SELECT p.part FROM streamx.views AS v, LATERAL pg_catalog.unnest("
		"ARRAY[v.state, v.definition_view, v.delta_view, v.rows_view, v.windows,"
		" v.trial_view, v.finals_view] || v.inputs || v.input_views) AS p (part)"
		" WHERE v.view = $1 AND p.part IS NOT NULL",
		1, types, values);
}

/* Each view's parts become the other's. */
static void
exchange_parts(const Swap *swap)
{
	List *old = parts_of(swap->view);
	List *new = parts_of(swap->shadow);
	ListCell *lc;

	foreach (lc, old)
		(void) changeDependencyFor(RelationRelationId, lfirst_oid(lc), RelationRelationId,
								   swap->view, swap->shadow);
	foreach (lc, new)
		(void) changeDependencyFor(RelationRelationId, lfirst_oid(lc), RelationRelationId,
								   swap->shadow, swap->view);
	execute(swap,
			"UPDATE streamx.views AS v SET definition = o.definition, state = o.state,"
			" definition_view = o.definition_view, delta_view = o.delta_view,"
			" rows_view = o.rows_view, windows = o.windows, inputs = o.inputs,"
			" input_views = o.input_views, trial_view = o.trial_view,"
			" finals_view = o.finals_view, window_kind = o.window_kind,"
			" window_size = o.window_size, window_step = o.window_step,"
			" window_origin = o.window_origin, window_timezone = o.window_timezone,"
			" allowed_lateness = o.allowed_lateness, late_rows = o.late_rows, start = o.start,"
			" retention = o.retention, refused_retention = o.refused_retention,"
			" settings = o.settings, server_major = o.server_major,"
			/* judged anew, only what is removed is sealed still */
			" sealed_through = GREATEST(o.sealed_through, LEAST(v.sealed_through,"
			"  coalesce((SELECT r.removed_through FROM streamx_internal.removal AS r"
			"   WHERE r.view = $1), '-infinity'))) FROM streamx.views AS o"
			" WHERE v.view IN ($1, $2) AND o.view IN ($1, $2) AND o.view <> v.view");
	CommandCounterIncrement();
}

/*
 * What was let go: windows stay removed, and what may be missing of the refusals that
 * were reused stays missing.  Passes begin anew: the state has rows that they never saw.
 */
static void
take_removals(const Swap *swap)
{
	execute(swap, "UPDATE streamx_internal.removal AS r SET"
				  " removed_through = GREATEST(r.removed_through, o.removed_through),"
				  " refusals_through = CASE WHEN v.rejudge THEN r.refusals_through"
				  "                    ELSE GREATEST(r.refusals_through, o.refusals_through) END"
				  " FROM streamx_internal.removal AS o, streamx.views AS v"
				  " WHERE r.view = $2 AND o.view = $1 AND v.view = $2");
	execute(swap, "DELETE FROM streamx_internal.removal WHERE view = $1");
	execute(swap, "DELETE FROM streamx_internal.folding WHERE view = $1");
	execute(swap, "UPDATE streamx_internal.removal SET view = $1,"
				  " deleting_through = '-infinity', deleting_from = '-infinity',"
				  " deleting_next = '-infinity',"
				  " is_deleting = false, deleting_groups = '{}' WHERE view = $2");
	execute(swap, "UPDATE streamx_internal.folding SET view = $1,"
				  " folding_through = '-infinity', folding_from = '-infinity',"
				  " folding_next = '-infinity',"
				  " is_folding = false, folding_groups = '{}' WHERE view = $2");
}

/* Of what the shadow has read, its refusals are the view's; of what was gone before, the old ones stay. */
static void
take_refusals(const Swap *swap)
{
	execute(swap, "DELETE FROM streamx_internal.late_row AS l WHERE l.view = $1"
				  " AND NOT EXISTS (SELECT FROM streamx.progress AS p"
				  "  WHERE p.reader = $4 AND p.\"partition\" = l.\"partition\""
				  "  AND l.\"offset\" < p.start_offset)");
	execute(swap, "DELETE FROM streamx_internal.dead_letter AS l WHERE l.view = $1"
				  " AND NOT EXISTS (SELECT FROM streamx.progress AS p"
				  "  WHERE p.reader = $4 AND p.\"partition\" = l.\"partition\""
				  "  AND l.\"offset\" < p.start_offset)");
	execute(swap, "UPDATE streamx_internal.late_row SET view = $1"
				  " WHERE view = $2");
	execute(swap, "UPDATE streamx_internal.dead_letter SET view = $1"
				  " WHERE view = $2");
}

/* The shadow has what the view was told to skip, and what was gone before either began. */
static void
take_skips(const Swap *swap)
{
	execute(swap, "DELETE FROM streamx_internal.skip WHERE view = $1");
	execute(swap, "UPDATE streamx_internal.skip SET view = $1 WHERE view = $2");
}

/* The view goes on with the shadow's reader.  A watermark never moves back. */
static void
take_reader(const Swap *swap)
{
	execute(swap, "DELETE FROM streamx.view_streams WHERE view = $2");
	if (swap->old_reader == swap->new_reader)
		return;
	/* of two who take the last views off a reader, one must see what the other did */
	execute(swap, "UPDATE streamx.readers SET paused = paused WHERE reader = $3");
	execute(swap, "UPDATE streamx.progress AS n SET"
				  " event_time = GREATEST(n.event_time, o.event_time),"
				  " watermark = GREATEST(n.watermark, o.watermark) FROM streamx.progress AS o"
				  " WHERE n.reader = $4 AND o.reader = $3 AND o.topic = n.topic"
				  " AND o.\"partition\" = n.\"partition\"");
	execute(swap, "UPDATE streamx.readers AS n SET paused = o.paused FROM streamx.readers AS o"
				  " WHERE n.reader = $4 AND o.reader = $3");
	execute(swap, "UPDATE streamx.view_streams SET reader = $4 WHERE view = $1");
	execute(swap, "DELETE FROM streamx_internal.view_start WHERE view = $1");
	execute(swap,
			"WITH gone AS (DELETE FROM streamx.readers AS r WHERE r.reader = $3 AND NOT EXISTS"
			"  (SELECT FROM streamx.view_streams AS s WHERE s.reader = $3) RETURNING r.reader)"
			" DELETE FROM streamx_internal.dead_letter AS d USING gone AS g, streamx.progress AS p"
			" WHERE d.reader = g.reader AND d.view IS NULL AND p.reader = $4"
			" AND p.\"partition\" = d.\"partition\" AND d.\"offset\" >= p.start_offset");
}

/* The view's query becomes the shadow's. */
static void
take_query(const Swap *swap)
{
	SxSubstitution substitution = {list_make1_oid(swap->shadow), list_make1_oid(swap->view)};
	Query *query = sx_copy_stored_query(swap->shadow, &substitution);
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_copy_store_query(swap->view, query);
	sx_spi_end(&spi);
}

/* A shadow, with what it owns. */
static void
drop(Oid view, Oid shadow)
{
	ObjectAddress address;
	SxSpi spi;

	ObjectAddressSet(address, RelationRelationId, shadow);
	sx_spi_begin(&spi);
	(void) deleteDependencyRecordsForSpecific(RelationRelationId, shadow, DEPENDENCY_INTERNAL,
											  RelationRelationId, view);
	CommandCounterIncrement();
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	sx_spi_end(&spi);
}

bool
sx_shadow_swap(Oid relid)
{
	const SxView *shadow = sx_view_load(relid);
	SxReader *old = sx_reader_of_view(shadow->shadow_of);
	SxReader *new = sx_reader_of_view(relid);
	Oid stream = shadow->stream;
	Swap swap = {.view = shadow->shadow_of, .shadow = relid};

	if (!sx_reader_is_beside(old, new))
		return false;
	swap.old_reader = old->id;
	swap.new_reader = new->id;
	take_removals(&swap);
	take_refusals(&swap);
	take_skips(&swap);
	exchange_parts(&swap);
	take_query(&swap);
	take_reader(&swap);
	SX_DEBUG_POINT("in-swap");
	CommandCounterIncrement();
	drop(swap.view, swap.shadow);
	CommandCounterIncrement();
	CacheInvalidateRelcacheByRelid(swap.view);
	CacheInvalidateRelcacheByRelid(stream);
	if (sx_views_changed)
		sx_views_changed();
	return true;
}

/* Every offset was given to a row: a view that lost some would be another one. */
static void
check_log(Oid view, const SxStream *stream, Oid log, int64 first, int64 end)
{
	int64 kept = sx_log_count(log, first, end);

	if (kept != end - first)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" cannot be computed anew", get_rel_name(view)),
				 errdetail("Stream \"%s\" kept " INT64_FORMAT " of the " INT64_FORMAT
						   " rows since the view began.",
						   stream->name, kept, end - first),
				 errhint("Option retain keeps rows that come while it is 'on'. Create another view "
						 "beside it, which begins with what is there.")));
}

void
sx_shadow_catch_up(Oid view, Oid shadow)
{
	SxReader *reader = sx_reader_of_view(view);
	const SxStream *stream = sx_stream_open(reader->stream);
	Oid log = sx_log_find(stream->relid);
	int64 first = sx_attach_start_offset(view);
	int64 end = reader->partitions[0].next_offset;

	check_log(view, stream, log, first, end);
	sx_attach_catch_up(shadow, stream, log, reader->id, first, end);
	CommandCounterIncrement();
	LockRelationOid(view, AccessExclusiveLock);
	(void) sx_shadow_swap(shadow);
	reader = sx_reader_load(reader->id);
	reader->views = list_make1_oid(view);
	sx_retention_apply(reader, 0);
}

bool
sx_shadow_drop(Oid view)
{
	Oid shadow = sx_shadow_find(view);

	if (!OidIsValid(shadow))
		return false;
	drop(view, shadow);
	return true;
}
