/*
 * ready.c
 *	  A finished batch of INSERT and COPY: log it, apply it, move the stream on.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/snapmgr.h"

#include "batch/insert.h"
#include "batch/log.h"
#include "catalog/activity.h"
#include "catalog/debug_point.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/apply.h"
#include "query/attach.h"
#include "query/ready.h"

static void check_position(const SxReader *reader);
static void check_running(const SxStream *stream);

/*
 * Lock first, then snapshot: what another writer committed while we waited is
 * seen.  At REPEATABLE READ it cannot be, and the row lock says so with 40001
 * before anything is merged.
 */
static void
apply_batch(SxBatch *batch)
{
	const SxStream *stream = batch->stream;
	SxApplyCounts counts = {0};
	SxReader *reader;
	SxPartition *partition;

	sx_lock_stream(stream->relid);
	PushActiveSnapshot(GetTransactionSnapshot());
	check_running(stream);
	sx_stream_check_usage(stream);
	reader = sx_reader_load(sx_attach_insert_reader(stream->relid));
	check_position(reader);
	PopActiveSnapshot();
	sx_apply_lock(reader);
	PushActiveSnapshot(GetTransactionSnapshot());

	partition = &reader->partitions[0];
	for (int row = 0; row < batch->nrows; row++)
	{
		batch->origin[row].partition = 0;
		batch->origin[row].offset = partition->next_offset++;
	}
	partition->at_end = true;
	if (stream->retain)
		sx_log_append(stream, batch);
	SX_DEBUG_POINT("insert-after-log");
	/* with on_error 'stop', the default, a row that a view cannot take is the inserter's error */
	sx_apply(reader, batch, sx_apply_care(stream), NULL, &counts);
	SX_DEBUG_POINT("insert-before-progress");
	sx_progress_save(reader);
	sx_activity_count(SX_ACTIVITY_READER, reader->id, stream->relid, &counts.seen);
	SX_DEBUG_POINT("insert-after-progress");

	PopActiveSnapshot();
	CommandCounterIncrement();
}

static void
check_running(const SxStream *stream)
{
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(stream->relid);
	bool is_paused;
	SxSpi spi;

	sx_spi_begin(&spi);
	is_paused = sx_spi_execute("SELECT FROM streamx.streams WHERE stream = $1 AND paused", 1, &type,
							   &value, NULL, false) > 0;
	sx_spi_end(&spi);
	if (is_paused)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("stream \"%s\" is paused", stream->name),
						errhint("Resume it with streamx.resume, then insert again.")));
}

/* The position as this transaction sees it must be the newest one. */
static void
check_position(const SxReader *reader)
{
	Oid type = INT4OID;
	Datum value = Int32GetDatum(reader->id);
	SxSpi spi;

	if (!IsolationUsesXactSnapshot())
		return;
	sx_spi_begin(&spi);
	sx_spi_execute("SELECT FROM streamx.progress WHERE reader = $1 FOR NO KEY UPDATE", 1, &type,
				   &value, NULL, false);
	sx_spi_end(&spi);
}

void
sx_ready_init(void)
{
	sx_batch_ready = apply_batch;
}
