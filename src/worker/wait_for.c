/*
 * wait_for.c
 *	  CALL streamx.wait_for(stream): until every view has passed the topic's end
 *	  as of the call.
 *
 * A procedure, because it must not hold a snapshot while it waits: any held
 * snapshot stops the pruning of the state tables that the workers update.
 */
#include "compat.h"

#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "batch/connect.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "worker/admin.h"
#include "worker/consumer.h"
#include "worker/launcher.h"
#include "worker/shared.h"

#define QUEUE_BYTES (1024 * 1024)
#define CHECK_MS 100

PG_FUNCTION_INFO_V1(streamx_wait_for);

typedef struct PartitionEnd
{
	int32 partition;
	int64 end;
	bool is_empty; /* a reader need not know it */
} PartitionEnd;

typedef struct Wait
{
	SxTarget target;
	int64 until_us; /* as sx_now_us */
	Interval *timeout;
	SxSource *source;
	int nends;
	PartitionEnd *ends;
	bool has_unknown; /* a reader has yet to find a partition */
	char *missing;	  /* what was not reached at the last look */
} Wait;

/* Who may ask, of what, and by which source.  With a snapshot. */
static void
begin_wait(Wait *wait)
{
	const SxStream *stream;
	AclResult aclresult;

	if (wait->target.is_view)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is a continuous view, not a stream", wait->target.name),
						errhint("Wait for its stream.")));
	aclresult = pg_class_aclcheck(wait->target.relid, GetUserId(), ACL_SELECT);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_TABLE, wait->target.name);
	stream = sx_stream_open(wait->target.relid);
	if (stream->is_kafka)
		wait->source = sx_connect(stream, sx_stream_owner(stream->relid), QUEUE_BYTES,
								  psprintf("streamx-wait-%d", MyProcPid), CurrentMemoryContext);
}

static int
milliseconds_left(const Wait *wait)
{
	return (int) Min(sx_ms_until(wait->until_us), PG_INT32_MAX);
}

/* The topic's ends now.  Without a snapshot: the broker may be slow. */
static void
ask_ends(Wait *wait)
{
	char *error = NULL;
	int32 *numbers;
	int count = sx_source_list_partitions(wait->source, milliseconds_left(wait), &numbers, &error);

	wait->ends = palloc0(sizeof(PartitionEnd) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		PartitionEnd *end = &wait->ends[wait->nends++];
		int64 low;

		end->partition = numbers[i];
		if (!sx_source_range(wait->source, numbers[i], milliseconds_left(wait), &low, &end->end,
							 &error))
			count = -1;
		else
			end->is_empty = low == end->end;
	}
	if (count < 0)
		ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
						errmsg("could not ask for the end of stream \"%s\": %s", wait->target.name,
							   error ? error : "no answer")));
	sx_source_close(wait->source);
}

static void
refuse_paused(const Wait *wait, bool is_stream)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 is_stream ? errmsg("stream \"%s\" is paused", wait->target.name)
					   : errmsg("a continuous view of stream \"%s\" is paused", wait->target.name),
			 errhint("Run streamx.resume first.")));
}

/* A reader's position in a partition that it has yet to pass, if so. */
static bool
has_passed(Wait *wait, int32 reader, const PartitionEnd *end)
{
	static const char *const statement =
		"SELECT p.next_offset FROM streamx.progress p JOIN streamx.readers r USING (reader, topic)"
		" WHERE p.reader = $1 AND p.\"partition\" = $2";
	Oid types[] = {INT4OID, INT4OID};
	Datum values[] = {Int32GetDatum(reader), Int32GetDatum(end->partition)};
	bool isnull;
	int64 next_offset;

	if (sx_spi_execute(statement, 2, types, values, NULL, true) == 0)
	{
		wait->has_unknown = wait->has_unknown || !end->is_empty;
		return end->is_empty;
	}
	next_offset =
		DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	snprintf(wait->missing, NAMEDATALEN * 2,
			 "Partition %d was read up to offset " INT64_FORMAT " of " INT64_FORMAT ".",
			 end->partition, next_offset, end->end);
	return next_offset >= end->end;
}

/* Whether every view has passed the ends.  With a snapshot. */
static bool
is_reached(Wait *wait)
{
	static const char *const statement =
		"SELECT r.reader, r.paused, s.paused FROM streamx.streams s JOIN streamx.readers r"
		" USING (stream) WHERE s.stream = $1"
		"   AND EXISTS (SELECT FROM streamx.view_streams v WHERE v.reader = r.reader)";
	Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(wait->target.relid)};
	bool is_done = true;
	SPITupleTable *readers;
	uint64 count;
	SxSpi spi;

	sx_spi_begin(&spi);
	count = sx_spi_execute(statement, 1, types, values, NULL, true);
	readers = SPI_tuptable;
	for (uint64 i = 0; i < count && is_done; i++)
	{
		HeapTuple tuple = readers->vals[i];
		bool isnull;
		int32 reader = DatumGetInt32(SPI_getbinval(tuple, readers->tupdesc, 1, &isnull));

		for (int32 j = 0; j < wait->nends && is_done; j++)
			is_done = has_passed(wait, reader, &wait->ends[j]);
		if (!is_done && DatumGetBool(SPI_getbinval(tuple, readers->tupdesc, 3, &isnull)))
			refuse_paused(wait, true);
		if (!is_done && DatumGetBool(SPI_getbinval(tuple, readers->tupdesc, 2, &isnull)))
			refuse_paused(wait, false);
	}
	sx_spi_end(&spi);
	return is_done;
}

/* The end of the last batch of one of the stream's workers, when the one it is in is over. */
static XLogRecPtr
end_of_batch(Oid stream, int number)
{
	XLogRecPtr lsn;
	bool is_in_batch;
	int64 batches = -1;

	do
	{
		SxWorkerSlot *slot;

		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(sx_shared->lock, LW_SHARED);
		slot = sx_shared_slot(stream, number);
		is_in_batch = slot && slot->is_in_batch && (batches < 0 || slot->batches == batches);
		batches = slot ? slot->batches : 0;
		lsn = slot ? slot->commit_lsn : InvalidXLogRecPtr;
		LWLockRelease(sx_shared->lock);
		if (is_in_batch)
			pg_usleep(1000);
	} while (is_in_batch);
	return lsn;
}

/* What was reached must stay: workers commit without waiting for the disk. */
static void
flush_batches(Oid stream)
{
	XLogRecPtr lsn = InvalidXLogRecPtr;

	for (int number = 0; number < SX_MAX_STREAM_WORKERS; number++)
		lsn = Max(lsn, end_of_batch(stream, number));
	if (!XLogRecPtrIsInvalid(lsn))
		XLogFlush(lsn);
}

/* Look, and wait for the next batch's commit, until it is reached. */
static void
wait_for_ends(Wait *wait)
{
	bool has_asked = false;

	for (;;)
	{
		bool is_done;

		ConditionVariablePrepareToSleep(&sx_shared->batch_done);
		wait->has_unknown = false;
		PushActiveSnapshot(GetTransactionSnapshot());
		is_done = is_reached(wait);
		PopActiveSnapshot();
		SPI_commit(); /* no snapshot, no lock while waiting */
		if (is_done)
			break;
		if (sx_now_us() >= wait->until_us)
			ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
							errmsg("stream \"%s\" did not reach the end of its topic in time",
								   wait->target.name),
							wait->missing[0] ? errdetail_internal("%s", wait->missing) : 0,
							errhint("See streamx.stat_workers for errors, or wait longer.")));
		if (wait->has_unknown && !has_asked)
			sx_launcher_wakeup_database(MyDatabaseId);
		has_asked = has_asked || wait->has_unknown;
		(void) ConditionVariableTimedSleep(&sx_shared->batch_done,
										   Min(CHECK_MS, Max(milliseconds_left(wait), 1)),
										   PG_WAIT_EXTENSION);
	}
	ConditionVariableCancelSleep();
}

Datum
streamx_wait_for(PG_FUNCTION_ARGS)
{
	Wait wait = {{0}};
	Interval *timeout;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("stream and timeout must not be null")));
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("streamx.wait_for cannot run inside a transaction block"),
						errdetail("It would hold back the clean-up of the views' tables.")));
	timeout = PG_GETARG_INTERVAL_P(1);
	wait.until_us = sx_now_us() + timeout->time + timeout->day * USECS_PER_DAY +
					timeout->month * (DAYS_PER_MONTH * USECS_PER_DAY);

	if (SPI_connect_ext(SPI_OPT_NONATOMIC) != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	wait.missing = palloc0(NAMEDATALEN * 2);
	PushActiveSnapshot(GetTransactionSnapshot());
	sx_admin_resolve(PG_GETARG_OID(0), &wait.target);
	begin_wait(&wait);
	PopActiveSnapshot();
	SPI_commit();
	if (wait.source != NULL)
	{
		ask_ends(&wait);
		wait_for_ends(&wait);
		flush_batches(wait.target.relid);
	}
	SPI_finish();
	PG_RETURN_VOID();
}
