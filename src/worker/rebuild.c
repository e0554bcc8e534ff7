/*
 * rebuild.c
 *	  streamx.rebuild(view): compute a view anew from what its stream retains.
 *
 * Of a stream of Kafka this only makes a shadow of the view (query/shadow.c), which
 * a worker catches up and lets take the view's place (meeting.c).  Of a stream fed by
 * INSERT that has a log, all of it happens at once, under the stream's lock.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "batch/connect.h"
#include "batch/insert.h"
#include "batch/log.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/attach.h"
#include "query/retention.h"
#include "query/shadow.h"
#include "query/view.h"
#include "source/source.h"
#include "worker/admin.h"
#include "worker/consumer.h"
#include "worker/launcher.h"

#define QUEUE_BYTES (1024 * 1024)
#define TIMEOUT_MS 10000

PG_FUNCTION_INFO_V1(streamx_rebuild);
PG_FUNCTION_INFO_V1(streamx_cancel_rebuild);

/* Where the log of a partition begins. */
typedef struct LogStart
{
	int32 partition;
	int64 low;
} LogStart;

typedef struct Rebuild
{
	SxTarget target;
	bool rejudge;
	bool from_retained;
	List *log_starts; /* LogStart * */
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

/* ---- how far back the topic reaches ---- */

/* Ask the broker, without any lock: it may be slow. */
static void
ask_log_starts(Rebuild *rebuild, const SxStream *stream)
{
	const SxReader *reader = sx_reader_of_view(rebuild->target.relid);
	SxSource *source = sx_connect(stream, sx_stream_owner(stream->relid), QUEUE_BYTES,
								  psprintf("streamx-rebuild-%d", MyProcPid), CurrentMemoryContext);
	char *error = NULL;

	for (int i = 0; i < reader->npartitions; i++)
	{
		LogStart *start = palloc(sizeof(LogStart));
		int64 high;

		start->partition = reader->partitions[i].partition;
		if (!sx_source_range(source, start->partition, TIMEOUT_MS, &start->low, &high, &error))
			ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
							errmsg("could not ask where Kafka topic \"%s\" begins: %s",
								   stream->topic, error ? error : "no answer")));
		rebuild->log_starts = lappend(rebuild->log_starts, start);
	}
	sx_source_close(source);
}

static int64
log_start_of(const Rebuild *rebuild, int32 partition)
{
	ListCell *lc;

	foreach (lc, rebuild->log_starts)
	{
		const LogStart *start = lfirst(lc);

		if (start->partition == partition)
			return start->low;
	}
	return 0; /* found since: it is new */
}

/* What is gone of the partitions of a reader that has yet to begin, as a sentence for each; NULL: nothing. */
static char *
describe_missing(const Rebuild *rebuild, const SxReader *reader)
{
	StringInfoData missing;

	initStringInfo(&missing);
	for (int i = 0; i < reader->npartitions; i++)
	{
		const SxPartition *partition = &reader->partitions[i];
		int64 low = log_start_of(rebuild, partition->partition);

		if (low > partition->next_offset)
			appendStringInfo(
				&missing,
				"%sOffsets " INT64_FORMAT " to " INT64_FORMAT " of partition %d are gone.",
				missing.len > 0 ? " " : "", partition->next_offset, low - 1, partition->partition);
	}
	return missing.len > 0 ? missing.data : NULL;
}

/* Begin where the log does, and record what is missing. */
static void
give_up_missing(const Rebuild *rebuild, const SxReader *reader)
{
	static const char *const statement =
		"WITH moved AS (UPDATE streamx.progress SET start_offset = $3, next_offset = $3"
		"  WHERE reader = $1 AND \"partition\" = $2 AND next_offset < $3"
		"  RETURNING reader, topic, \"partition\")"
		" INSERT INTO streamx_internal.skip (reader, topic, \"partition\", from_offset, to_offset)"
		" SELECT m.reader, m.topic, m.\"partition\", $4, $3 FROM moved AS m";
	static const Oid types[] = {INT4OID, INT4OID, INT8OID, INT8OID};

	for (int i = 0; i < reader->npartitions; i++)
	{
		const SxPartition *partition = &reader->partitions[i];
		Datum values[] = {Int32GetDatum(reader->id), Int32GetDatum(partition->partition),
						  Int64GetDatum(log_start_of(rebuild, partition->partition)),
						  Int64GetDatum(partition->next_offset)};
		SxSpi spi;

		sx_spi_begin(&spi);
		sx_spi_execute(statement, 4, types, values, NULL, false);
		sx_spi_end(&spi);
	}
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
	missing = describe_missing(rebuild, reader);
	if (missing && !rebuild->from_retained)
		refuse(rebuild,
			   psprintf("Topic \"%s\" does not reach back to where the view began: %s",
						stream->topic, missing),
			   "Call streamx.rebuild with from_retained => true to go on with what is there.");
	if (missing)
		give_up_missing(rebuild, reader);
	sx_launcher_wakeup();
}

/* ---- streams fed by INSERT ---- */

/* At once: nobody else moves anything meanwhile. */
static void
rebuild_from_log(const Rebuild *rebuild, const SxStream *stream)
{
	Oid view = rebuild->target.relid;
	Oid log = sx_log_find(stream->relid);
	SxReader *reader = sx_reader_of_view(view);
	int64 first;
	Oid shadow;

	if (!OidIsValid(log))
		refuse(rebuild, psprintf("Stream \"%s\" does not keep its rows.", stream->name),
			   "Create the stream with OPTIONS (retain 'on').");
	sx_attach_mark_change(reader->id);
	first = sx_attach_start_offset(view);
	shadow = sx_shadow_create(view, rebuild->rejudge);
	sx_shadow_attach(view, shadow);
	sx_attach_catch_up(shadow, stream, log, reader->id, first, reader->partitions[0].next_offset);
	CommandCounterIncrement();
	LockRelationOid(view, AccessExclusiveLock);
	(void) sx_shadow_swap(shadow);
	reader = sx_reader_load(reader->id);
	reader->views = list_make1_oid(view);
	sx_retention_apply(reader, 0);
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
		ask_log_starts(&rebuild, stream);
	LockRelationOid(relid, AccessShareLock);
	sx_insert_flush();
	sx_lock_stream(stream->relid); /* lock first, then snapshot */
	CommandCounterIncrement();
	sx_admin_resolve(relid, &rebuild.target);
	check_target(&rebuild.target);
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
	sx_lock_stream(target.stream);
	if (!sx_shadow_drop(target.relid))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("continuous view \"%s\" is not being rebuilt", target.name)));
	sx_launcher_wakeup();
	PG_RETURN_VOID();
}
