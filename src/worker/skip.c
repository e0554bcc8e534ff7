/*
 * skip.c
 *	  streamx.skip(object, partition, through_offset): go on behind messages that
 *	  nobody can read.
 *
 * Of a stream, the foremost of the readers that stand at or before the offset goes on behind
 * it.  Others read on until where that stood, then skip the same (load_skips in consumer.c);
 * so does a shadow, of what its view has yet to read.  What a view has read, its shadow skips
 * only when the view is named: the view may have taken it well.  What is skipped is recorded,
 * for verify, and for rebuilds, which skip it again.
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "batch/connect.h"
#include "catalog/reader.h"
#include "catalog/skip.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/attach.h"
#include "query/shadow.h"
#include "source/source.h"
#include "worker/admin.h"
#include "worker/consumer.h"
#include "worker/launcher.h"

#define QUEUE_BYTES (1024 * 1024)
#define TIMEOUT_MS 10000

PG_FUNCTION_INFO_V1(streamx_skip);

/* The end of the partition's log.  Without any lock: the broker may be slow. */
static int64
ask_end(const SxStream *stream, int32 partition)
{
	SxSource *source = sx_connect(stream, sx_stream_owner(stream->relid), QUEUE_BYTES,
								  psprintf("streamx-skip-%d", MyProcPid), CurrentMemoryContext);
	char *error = NULL;
	int64 low;
	int64 end;

	if (!sx_source_range(source, partition, TIMEOUT_MS, &low, &end, &error))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not ask for the end of partition %d of Kafka topic \"%s\": %s",
						partition, stream->topic, error ? error : "no answer")));
	sx_source_close(source);
	return end;
}

/* The reader goes on behind the offset, where it stands or when it comes to "from". */
static void
go_on(int32 id, int32 partition, int64 from, int64 through)
{
	SxReader *reader = sx_reader_load(id);

	sx_skip_record(reader, partition, from, through + 1, true);
	if (sx_reader_partition(reader, partition)->next_offset == from)
		sx_progress_leap(reader, partition, through + 1);
}

/* Returns how many readers did. */
static uint64
skip(Oid stream, int32 partition, int64 through)
{
	static const char *const statement =
		"WITH near AS (SELECT p.reader, p.next_offset,"
		/* of a shadow: where its view stands, which has read what is before that */
		"   (SELECT pg_catalog.max(f.next_offset) FROM streamx.view_streams l"
		"    JOIN streamx.views v ON v.view = l.view"
		"    JOIN streamx.view_streams o ON o.view = v.shadow_of"
		"    JOIN streamx.progress f ON f.reader = o.reader AND f.topic = p.topic"
		"     AND f.\"partition\" = p.\"partition\""
		"    WHERE l.reader = p.reader) AS view_offset"
		"  FROM streamx.progress p JOIN streamx.readers r USING (reader, topic)"
		"  WHERE r.stream = $1 AND p.\"partition\" = $2)"
		/* who is further back reads on until where the foremost of those that skip stands */
		" SELECT n.reader, GREATEST(n.next_offset, n.view_offset,"
		"   (SELECT pg_catalog.max(o.next_offset) FROM near o"
		"    WHERE o.view_offset IS NULL AND o.next_offset <= $3))"
		"  FROM near n WHERE GREATEST(n.next_offset, n.view_offset) <= $3";
	Oid types[] = {REGCLASSOID, INT4OID, INT8OID};
	Datum values[] = {ObjectIdGetDatum(stream), Int32GetDatum(partition), Int64GetDatum(through)};
	uint64 count;
	SxSpi spi;

	sx_spi_begin(&spi);
	count = sx_spi_execute(statement, lengthof(types), types, values, NULL, false);
	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool isnull;
		int32 reader = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));
		int64 from = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));

		go_on(reader, partition, from, through);
	}
	sx_spi_end(&spi);
	return count;
}

/* How a call would read that skips the same of another object. */
static char *
call_for(Oid relid, int32 partition, int64 through)
{
	char *name = DatumGetCString(DirectFunctionCall1(regclassout, ObjectIdGetDatum(relid)));

	return psprintf("streamx.skip(%s, %d, " INT64_FORMAT ")", quote_literal_cstr(name), partition,
					through);
}

/* ---- of a stream ---- */

/* A view whose shadow has yet to read the offset, or none. */
static Oid
find_computed_anew(Oid stream, int32 partition, int64 through)
{
	static const char *const statement =
		"SELECT v.shadow_of FROM streamx.views v JOIN streamx.view_streams s USING (view)"
		" JOIN streamx.progress p USING (reader) WHERE v.shadow_of IS NOT NULL AND s.stream = $1"
		" AND p.\"partition\" = $2 AND p.next_offset <= $3 ORDER BY v.view LIMIT 1";
	Oid types[] = {REGCLASSOID, INT4OID, INT8OID};
	Datum values[] = {ObjectIdGetDatum(stream), Int32GetDatum(partition), Int64GetDatum(through)};
	Oid view = InvalidOid;
	bool isnull;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute(statement, lengthof(types), types, values, NULL, false) > 0)
		view = DatumGetObjectId(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	sx_spi_end(&spi);
	return view;
}

static void
skip_in_stream(SxTarget *target, int32 partition, int64 through)
{
	const SxStream *stream = sx_stream_open(target->stream);
	int64 end = ask_end(stream, partition);
	Oid view;

	if (through >= end)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition %d of Kafka topic \"%s\" has no offset " INT64_FORMAT " yet",
						partition, stream->topic, through),
				 errdetail("It ends before offset " INT64_FORMAT ".", end)));
	sx_admin_lock(target);
	sx_attach_lock_views(target->relid);
	sx_attach_check_positions(target->stream);
	if (skip(target->relid, partition, through) > 0)
		return;
	view = find_computed_anew(target->relid, partition, through);
	ereport(
		ERROR,
		(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
		 errmsg("no view of stream \"%s\" has yet to read offset " INT64_FORMAT " of partition %d",
				target->name, through, partition),
		 OidIsValid(view)
			 ? errhint("View \"%s\", which is being computed anew, has: SELECT %s.",
					   get_rel_name(view), call_for(view, partition, through))
			 : errhint("Skipping goes forward only. streamx.rebuild(view) computes a view "
					   "anew.")));
}

/* ---- of a view that is computed anew ---- */

static void
check_shadow(const SxTarget *target, Oid shadow, int32 partition, int64 through)
{
	const SxPartition *view = sx_reader_partition(sx_reader_of_view(target->relid), partition);
	const SxPartition *position =
		OidIsValid(shadow) ? sx_reader_partition(sx_reader_of_view(shadow), partition) : NULL;

	if (!OidIsValid(shadow))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("continuous view \"%s\" is not being computed anew", target->name),
						errhint("All views of a stream skip together: SELECT %s.",
								call_for(target->stream, partition, through))));
	if (view == NULL || position == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("continuous view \"%s\" reads no partition %d", target->name, partition)));
	if (view->next_offset <= through)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("continuous view \"%s\" itself has yet to read offset " INT64_FORMAT
							   " of partition %d",
							   target->name, through, partition),
						errhint("All views of a stream skip together: SELECT %s.",
								call_for(target->stream, partition, through))));
	if (position->next_offset > through)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("continuous view \"%s\" has been computed anew beyond offset " INT64_FORMAT
						" of partition %d",
						target->name, through, partition),
				 errhint("Skipping goes forward only. streamx.cancel_rebuild(view) ends what is "
						 "under way.")));
}

/* From where the shadow stands: its view has read all of it. */
static void
skip_in_rebuild(SxTarget *target, int32 partition, int64 through)
{
	SxReader *reader;
	Oid shadow;

	sx_admin_lock(target);
	sx_attach_check_positions(target->stream);
	PushActiveSnapshot(GetLatestSnapshot());
	shadow = sx_shadow_find(target->relid);
	check_shadow(target, shadow, partition, through);
	reader = sx_reader_of_view(shadow);
	go_on(reader->id, partition, sx_reader_partition(reader, partition)->next_offset, through);
	PopActiveSnapshot();
}

Datum
streamx_skip(PG_FUNCTION_ARGS)
{
	int32 partition = PG_GETARG_INT32(1);
	int64 through = PG_GETARG_INT64(2);
	SxTarget target;

	sx_admin_resolve(PG_GETARG_OID(0), &target);
	sx_admin_check_owner(&target);
	if (!sx_stream_open(target.stream)->is_kafka)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("stream \"%s\" is not of Kafka", get_rel_name(target.stream)),
				 errdetail("It is fed by INSERT, which fails with a row that nobody can take.")));
	if (target.is_view)
		skip_in_rebuild(&target, partition, through);
	else
		skip_in_stream(&target, partition, through);
	CacheInvalidateRelcacheByRelid(target.stream);
	sx_launcher_wakeup();
	PG_RETURN_VOID();
}
