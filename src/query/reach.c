/*
 * reach.c
 *	  How far back a Kafka topic reaches, for a view that is to be computed anew.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "batch/connect.h"
#include "catalog/skip.h"
#include "catalog/spi.h"
#include "query/reach.h"
#include "source/source.h"

#define QUEUE_BYTES (1024 * 1024)
#define TIMEOUT_MS 10000

/* Where the log of a partition begins. */
typedef struct LogStart
{
	int32 partition;
	int64 low;
} LogStart;

struct SxReach
{
	List *starts; /* LogStart * */
};

SxReach *
sx_reach_ask(Oid view, const SxStream *stream)
{
	SxReach *reach = palloc0(sizeof(SxReach));
	const SxReader *reader = sx_reader_of_view(view);
	SxSource *source = sx_connect(stream, stream->owner, QUEUE_BYTES,
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
		reach->starts = lappend(reach->starts, start);
	}
	sx_source_close(source);
	return reach;
}

static int64
start_of(const SxReach *reach, int32 partition)
{
	ListCell *lc;

	foreach (lc, reach->starts)
	{
		const LogStart *start = lfirst(lc);

		if (start->partition == partition)
			return start->low;
	}
	return 0; /* found since: it is new */
}

char *
sx_reach_missing(const SxReach *reach, const SxReader *reader)
{
	StringInfoData missing;

	initStringInfo(&missing);
	for (int i = 0; i < reader->npartitions; i++)
	{
		const SxPartition *partition = &reader->partitions[i];
		int64 low = start_of(reach, partition->partition);

		if (low > partition->next_offset)
			appendStringInfo(
				&missing,
				"%sOffsets " INT64_FORMAT " to " INT64_FORMAT " of partition %d are gone.",
				missing.len > 0 ? " " : "", partition->next_offset, low - 1, partition->partition);
	}
	return missing.len > 0 ? missing.data : NULL;
}

void
sx_reach_give_up(const SxReach *reach, const SxReader *reader)
{
	static const char *const statement =
		"UPDATE streamx.progress SET start_offset = $3, next_offset = $3"
		" WHERE reader = $1 AND \"partition\" = $2";
	static const Oid types[] = {INT4OID, INT4OID, INT8OID};

	for (int i = 0; i < reader->npartitions; i++)
	{
		const SxPartition *partition = &reader->partitions[i];
		int64 low = start_of(reach, partition->partition);
		Datum values[] = {Int32GetDatum(reader->id), Int32GetDatum(partition->partition),
						  Int64GetDatum(low)};
		SxSpi spi;

		if (low <= partition->next_offset)
			continue;
		sx_skip_record(reader, partition->partition, partition->next_offset, low, false);
		sx_spi_begin(&spi);
		sx_spi_execute(statement, lengthof(types), types, values, NULL, false);
		sx_spi_end(&spi);
	}
}
