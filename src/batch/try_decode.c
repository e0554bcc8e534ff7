/*
 * try_decode.c
 *	  streamx.decode: what a message would become as a row of a stream.
 *
 * For users who look for the reason of a dead letter, and for tests.  The
 * message runs through the micro-batch like any other; NULL: the stream's filter
 * rejects it.
 */
#include "compat.h"

#include "access/table.h"
#include "catalog/objectaddress.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "batch/batch.h"
#include "batch/batch_check.h"
#include "catalog/stream.h"

PG_FUNCTION_INFO_V1(streamx_decode);

static void check_stream(Oid relid);
static void throw_error(const SxStream *stream, const SxRowError *error);

Datum
streamx_decode(PG_FUNCTION_ARGS)
{
	SxMessage message = {.offset = 0};
	Bitmapset *columns = NULL;
	const SxRowError *error;
	bytea *bytes;
	SxStream *stream;
	SxBatch *batch;
	TimestampTz now = GetCurrentTimestamp();
	int i;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	check_stream(PG_GETARG_OID(0));
	if (!PG_ARGISNULL(1))
	{
		bytes = PG_GETARG_BYTEA_PP(1);
		message.payload = VARDATA_ANY(bytes);
		message.payload_length = VARSIZE_ANY_EXHDR(bytes);
	}
	message.timestamp_ms = (now + UNIX_TO_POSTGRES_US) / 1000;

	stream = sx_stream_open(PG_GETARG_OID(0));
	for (i = 0; i < stream->ncolumns; i++)
		if (!stream->columns[i].is_dropped && stream->columns[i].metadata == SX_METADATA_NONE)
			columns = bms_add_member(columns, i + 1);
	batch = sx_batch_create(stream, CurrentMemoryContext);
	sx_batch_decode(batch, &message, 1, columns, now);
	if (!sx_batch_row_is_good(batch, 0, columns, &error))
		throw_error(stream, error);
	if (batch->is_filtered[0])
		PG_RETURN_NULL();
	/* made up metadata is not shown */
	batch->columns = columns;
	PG_RETURN_DATUM(sx_batch_row_jsonb(batch, 0));
}

static void
check_stream(Oid relid)
{
	AclResult result;

	if (!sx_stream_is(relid))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						get_rel_name(relid) ? errmsg("\"%s\" is not a stream", get_rel_name(relid))
											: errmsg("relation %u does not exist", relid)));
	result = pg_class_aclcheck(relid, GetUserId(), ACL_SELECT);
	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_TABLE, get_rel_name(relid));
}

static void
throw_error(const SxStream *stream, const SxRowError *error)
{
	if (error->attnum == 0)
		ereport(ERROR, (errcode(error->sqlstate), errmsg("%s", error->message),
						errcontext("message of stream \"%s\"", stream->name)));
	ereport(ERROR, (errcode(error->sqlstate), errmsg("%s", error->message),
					errcontext("column \"%s\" of stream \"%s\"",
							   stream->columns[error->attnum - 1].name, stream->name)));
}
