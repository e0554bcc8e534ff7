/*
 * rebuild.c
 *	  streamx.rebuild(view): compute a view anew from what its stream retains.
 *
 * Of a stream of Kafka this only makes a shadow of the view (query/shadow.c), which
 * a worker catches up and lets take the view's place (meeting.c).  Of a stream fed by
 * INSERT that has a log, all of it happens at once, under the stream's lock.
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "batch/insert.h"
#include "batch/log.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/attach.h"
#include "query/reach.h"
#include "query/retention.h"
#include "query/shadow.h"
#include "query/view.h"
#include "worker/admin.h"
#include "worker/launcher.h"

PG_FUNCTION_INFO_V1(streamx_rebuild);
PG_FUNCTION_INFO_V1(streamx_cancel_rebuild);

typedef struct Rebuild
{
	SxTarget target;
	bool rejudge;
	bool from_retained;
	SxReach *reach;
} Rebuild;

/* ---- may it, can it ---- */

static void
refuse(const Rebuild *rebuild, const char *reason, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("cannot rebuild continuous view \"%s\"", rebuild->target.name),
					errdetail_internal("%s", reason), errhint("%s", hint)));
}

static void
check_target(const SxTarget *target)
{
	if (!target->is_view || OidIsValid(sx_view_load(target->relid)->shadow_of))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a continuous view of yours", target->name)));
	sx_admin_check_owner(target);
}

/* Under the stream's lock. */
static void
check_state(const Rebuild *rebuild, const SxStream *stream)
{
	const SxView *view = sx_view_load(rebuild->target.relid);
	bool judges = view->window.kind != SX_WINDOW_GLOBAL && stream->event_time > 0;

	if (OidIsValid(sx_shadow_find(view->relid)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("continuous view \"%s\" is being rebuilt already", view->name),
						errhint("See streamx.stat_progress; streamx.cancel_rebuild ends it.")));
	if (rebuild->rejudge || !judges)
		return;
	if (!view->stores_late_rows)
		refuse(rebuild, "Its late rows are discarded, so it is not known which rows it refused.",
			   "Call streamx.rebuild with rejudge => true to judge all rows anew.");
	if (sx_retention_has_removed_refusals(view->relid))
		refuse(rebuild,
			   "Rows that it refused were removed by streamx.refused_retention, so it is not known"
			   " which ones.",
			   "Call streamx.rebuild with rejudge => true to judge all rows anew.");
}

/* ---- Kafka ---- */

static void
begin_shadow(const Rebuild *rebuild, const SxStream *stream)
{
	Oid view = rebuild->target.relid;
	Oid shadow;
	const SxReader *reader;
	char *missing;

	if (strcmp(sx_reader_of_view(view)->topic, stream->topic) != 0)
		refuse(rebuild,
			   psprintf("It read topic \"%s\", and stream \"%s\" now has topic \"%s\".",
						sx_reader_of_view(view)->topic, stream->name, stream->topic),
			   "Create the view anew.");
	shadow = sx_shadow_create(view, rebuild->rejudge);
	sx_shadow_attach(view, shadow);
	reader = sx_reader_of_view(shadow);
	missing = sx_reach_missing(rebuild->reach, reader);
	if (missing && !rebuild->from_retained)
		refuse(rebuild,
			   psprintf("Topic \"%s\" does not reach back to where the view began: %s",
						stream->topic, missing),
			   "Call streamx.rebuild with from_retained => true to go on with what is there.");
	if (missing)
		sx_reach_give_up(rebuild->reach, reader);
	sx_launcher_wakeup();
}

/* ---- streams fed by INSERT ---- */

/* At once: nobody else moves anything meanwhile. */
static void
rebuild_from_log(const Rebuild *rebuild, const SxStream *stream)
{
	Oid view = rebuild->target.relid;
	Oid shadow;

	if (!OidIsValid(sx_log_find(stream->relid)))
		refuse(rebuild, psprintf("Stream \"%s\" does not keep its rows.", stream->name),
			   "Create the stream with OPTIONS (retain 'on').");
	sx_attach_mark_change(sx_reader_of_view(view)->id);
	shadow = sx_shadow_create(view, rebuild->rejudge);
	sx_shadow_attach(view, shadow);
	sx_shadow_catch_up(view, shadow);
}

/* ---- SQL ---- */

Datum
streamx_rebuild(PG_FUNCTION_ARGS)
{
	Rebuild rebuild = {.rejudge = PG_GETARG_BOOL(1), .from_retained = PG_GETARG_BOOL(2)};
	Oid relid = PG_GETARG_OID(0);
	const SxStream *stream;

	sx_admin_resolve(relid, &rebuild.target);
	check_target(&rebuild.target);
	stream = sx_stream_open(rebuild.target.stream);
	if (stream->is_kafka)
		rebuild.reach = sx_reach_ask(relid, stream);
	sx_insert_flush();
	sx_admin_lock(&rebuild.target);
	sx_attach_check_positions(rebuild.target.stream);
	PushActiveSnapshot(GetLatestSnapshot());
	stream = sx_stream_open(rebuild.target.stream);
	check_state(&rebuild, stream);
	if (stream->is_kafka)
		begin_shadow(&rebuild, stream);
	else
		rebuild_from_log(&rebuild, stream);
	PopActiveSnapshot();
	PG_RETURN_VOID();
}

Datum
streamx_cancel_rebuild(PG_FUNCTION_ARGS)
{
	SxTarget target;

	sx_admin_resolve(PG_GETARG_OID(0), &target);
	check_target(&target);
	sx_admin_lock(&target);
	if (!sx_shadow_drop(target.relid))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("continuous view \"%s\" is not being rebuilt", target.name)));
	sx_launcher_wakeup();
	PG_RETURN_VOID();
}
