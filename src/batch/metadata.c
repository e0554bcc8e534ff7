/*
 * metadata.c
 *	  Columns that show what Kafka says of a message, not what is in it.
 *
 * Keys and headers are bytes of anybody: a key that is no text is an error of
 * its column; a header that is no text is shown as bytea is.  A message may have
 * 100,000 headers in as many bytes, whose jsonb is made in a context of its own.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch/batch_check.h"
#include "batch/metadata.h"
#include "decode/capture.h"

/* One metadata column over all rows, and where it is. */
typedef struct MetadataRun
{
	SxBatch *batch;
	const SxColumn *column;
	Datum topic;
	MemoryContext headers; /* what the jsonb of one message is made of */
	int row;
} MetadataRun;

static void fill_rows(void *state);
static void row_failed(void *state, int sqlstate, const char *message);
static bool metadata_value(const MetadataRun *run, const SxMessage *message, Datum *value);
static Datum key_datum(const SxMessage *message, Oid type);
static Datum text_datum(const char *data, size_t length);
static Datum headers_datum(const MetadataRun *run, const SxMessage *message);
static Datum headers_jsonb(const SxMessage *message);
static void header_text(const char *data, size_t length, JsonbValue *text);

void
sx_metadata_fill(SxBatch *batch, const Bitmapset *columns)
{
	MetadataRun run = {.batch = batch,
					   .headers = AllocSetContextCreate(CurrentMemoryContext, "streamx headers",
														ALLOCSET_DEFAULT_SIZES)};
	SxCapture capture = {
		.run = fill_rows, .failed = row_failed, .state = &run, .context = CurrentMemoryContext};
	int attnum = -1;

	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		run.column = &batch->stream->columns[attnum - 1];
		run.row = 0;
		if (run.column->metadata == SX_METADATA_TOPIC)
			run.topic = CStringGetTextDatum(batch->stream->topic);
		if (run.column->metadata != SX_METADATA_NONE)
			sx_capture_run(&capture);
	}
	MemoryContextDelete(run.headers);
}

static void
fill_rows(void *state)
{
	MetadataRun *run = state;
	SxBatch *batch = run->batch;

	while (run->row < batch->nrows)
	{
		int row = run->row++;
		size_t place = (size_t) row * batch->stream->ncolumns + run->column->attnum - 1;

		CHECK_FOR_INTERRUPTS();
		batch->values[place] = (Datum) 0;
		batch->isnull[place] = true;
		if (batch->is_filtered[row])
			continue;
		batch->isnull[place] = !metadata_value(run, &batch->messages[row], &batch->values[place]);
	}
}

static void
row_failed(void *state, int sqlstate, const char *message)
{
	MetadataRun *run = state;

	sx_batch_add_error(run->batch, run->row - 1, run->column->attnum, sqlstate, message);
}

/* false: there is none. */
static bool
metadata_value(const MetadataRun *run, const SxMessage *message, Datum *value)
{
	TimestampTz instant;

	switch (run->column->metadata)
	{
		case SX_METADATA_TOPIC:
			*value = run->topic;
			return true;
		case SX_METADATA_PARTITION:
			*value = run->column->type == INT8OID ? Int64GetDatum(message->partition)
												  : Int32GetDatum(message->partition);
			return true;
		case SX_METADATA_OFFSET:
			*value = Int64GetDatum(message->offset);
			return true;
		case SX_METADATA_TIMESTAMP:
			if (message->timestamp_ms < 0)
				return false;
			if (!sx_batch_instant(message->timestamp_ms, &instant))
				ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
								errmsg("message timestamp is out of range")));
			*value = TimestampTzGetDatum(instant);
			return true;
		case SX_METADATA_KEY:
			if (message->key == NULL)
				return false;
			*value = key_datum(message, run->column->type);
			return true;
		case SX_METADATA_HEADERS:
			*value = headers_datum(run, message);
			return true;
		case SX_METADATA_NONE:
			break;
	}
	return false;
}

static Datum
key_datum(const SxMessage *message, Oid type)
{
	bytea *bytes;

	if (type != BYTEAOID)
		return text_datum(message->key, message->key_length);
	bytes = palloc(VARHDRSZ + message->key_length);
	SET_VARSIZE(bytes, VARHDRSZ + message->key_length);
	memcpy(VARDATA(bytes), message->key, message->key_length);
	return PointerGetDatum(bytes);
}

/* Bytes that should be UTF-8; an error if they are not, or cannot be in the database's encoding. */
static Datum
text_datum(const char *data, size_t length)
{
	char *converted = pg_any_to_server(data, length, PG_UTF8);

	if (converted != data)
		length = strlen(converted);
	return PointerGetDatum(cstring_to_text_with_len(converted, length));
}

/* In as many bytes as it takes: a batch keeps it. */
static Datum
headers_datum(const MetadataRun *run, const SxMessage *message)
{
	MemoryContext caller;
	Datum headers;

	/* an error may have left something */
	MemoryContextReset(run->headers);
	caller = MemoryContextSwitchTo(run->headers);
	headers = headers_jsonb(message);
	MemoryContextSwitchTo(caller);
	headers = datumCopy(headers, false, -1);
	MemoryContextReset(run->headers);
	return headers;
}

/* {name: value}; of equal names the last one counts. */
static Datum
headers_jsonb(const SxMessage *message)
{
	JsonbParseState *state = NULL;
	JsonbValue *result;
	const char **names;
	const char **values;
	size_t *lengths;
	int count = message->handle ? sx_source_headers(message, &names, &values, &lengths) : 0;
	int i;

	if (count < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("message headers cannot be read"),
						errdetail("They are malformed, or more than 100000.")));
	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < count; i++)
	{
		JsonbValue text;

		header_text(names[i], strlen(names[i]), &text);
		pushJsonbValue(&state, WJB_KEY, &text);
		if (values[i])
			header_text(values[i], lengths[i], &text);
		else
			text.type = jbvNull;
		pushJsonbValue(&state, WJB_VALUE, &text);
	}
	result = pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	return JsonbPGetDatum(JsonbValueToJsonb(result));
}

/* As text, or as hexadecimal digits if it is none. */
static void
header_text(const char *data, size_t length, JsonbValue *text)
{
	char *value;

	if (pg_verify_mbstr(PG_UTF8, data, length, true))
		value = pnstrdup(data, length);
	else
	{
		value = palloc(length * 2 + 3);
		memcpy(value, "\\x", 2);
		value[2 + hex_encode(data, length, value + 2)] = '\0';
	}
	value = pg_any_to_server(value, strlen(value), PG_UTF8);
	text->type = jbvString;
	text->val.string.val = value;
	text->val.string.len = strlen(value);
}
