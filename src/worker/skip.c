/*
 * skip.c
 *	  streamx.skip(stream, partition, through_offset): go on behind messages that
 *	  nobody can read.
 *
 * The foremost of the readers that stand at or before the offset goes on behind it.  Others
 * read on until where that stood, then skip the same (load_skips in consumer.c); so does a
 * shadow, of what its view has yet to read.  What is skipped is recorded, for verify, and for
 * rebuilds, which skip it again.
 */
#include "compat.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"

#include "batch/connect.h"
#include "catalog/reader.h"
#include "catalog/skip.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
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
go_on(int32 id, int32 partition_number, int64 from, int64 through)
{
	SxReader *reader = sx_reader_load(id);
	SxPartition *partition = sx_reader_partition(reader, partition_number);

	sx_skip_record(reader, partition_number, from, through + 1, true);
	if (partition->next_offset != from)
		return;
	partition->next_offset = through + 1;
	partition->last_offset = -1; /* the last message read is no longer the one before the next */
	sx_progress_save(reader);
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

Datum
streamx_skip(PG_FUNCTION_ARGS)
{
	int32 partition = PG_GETARG_INT32(1);
	int64 through = PG_GETARG_INT64(2);
	const SxStream *stream;
	SxTarget target;
	int64 end;

	sx_admin_resolve(PG_GETARG_OID(0), &target);
	sx_admin_check_owner(&target);
	stream = sx_stream_open(target.stream);
	if (target.is_view || !stream->is_kafka)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a stream of Kafka", target.name)));
	end = ask_end(stream, partition);
	if (through >= end)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("partition %d of Kafka topic \"%s\" has no offset " INT64_FORMAT " yet",
						partition, stream->topic, through),
				 errdetail("It ends before offset " INT64_FORMAT ".", end)));
	sx_lock_stream(target.relid);
	if (skip(target.relid, partition, through) == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("no view of stream \"%s\" has yet to read offset " INT64_FORMAT
							   " of partition %d",
							   target.name, through, partition),
						errhint("Skipping goes forward only. streamx.rebuild(view) computes a view "
								"anew.")));
	CacheInvalidateRelcacheByRelid(target.relid);
	sx_launcher_wakeup();
	PG_RETURN_VOID();
}
