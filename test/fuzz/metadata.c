/*
 * metadata.c
 *	  Target "metadata": messages' envelopes to a stream's metadata columns, beside convert_from and jsonb_in.
 *
 *		|kKEY |nNAME |vVALUE |l |r |x |tTIMESTAMP |oOFFSET |f |m |e
 *
 * Tags and what belongs to them, up to the next one: a key; a header (without |v its value is NULL), its value a
 * hundred times over, many more like it; headers that cannot be read; numbers; a message that the filter rejects;
 * the next message; |e: the database is in LATIN1.
 * librdkafka's part, sx_source_headers, is played by this file.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"

#include "batch/batch_check.h"
#include "batch/metadata.h"
#include "fuzz.h"

#define MOST_MESSAGES 8
#define MOST_HEADERS 1000
#define REPEATED 50
#define LONGER 100
#define LONGEST 20000

typedef struct Bytes
{
	const char *data; /* NULL: none */
	size_t length;
} Bytes;

typedef struct Header
{
	Bytes name;
	Bytes value;
} Header;

typedef struct Envelope
{
	Header *headers;
	int nheaders;
	bool is_malformed;
} Envelope;

typedef struct Input
{
	const char *at;
	const char *end;
	bool is_latin1;
	int nmessages;
	SxMessage messages[MOST_MESSAGES];
	Envelope envelopes[MOST_MESSAGES];
	bool is_filtered[MOST_MESSAGES];
} Input;

typedef struct Attempt
{
	const SxColumn *column;
	const SxMessage *message;
	FuzzOutcome outcome;
} Attempt;

/* The last two are not asked for: a column of the payload, and one that nobody reads. */
static const struct
{
	SxMetadata metadata;
	Oid type;
	int16 length;
	bool by_value;
} kinds[] = {
	{SX_METADATA_TOPIC, TEXTOID, -1, false},	{SX_METADATA_PARTITION, INT4OID, 4, true},
	{SX_METADATA_OFFSET, INT8OID, 8, true},		{SX_METADATA_TIMESTAMP, TIMESTAMPTZOID, 8, true},
	{SX_METADATA_KEY, TEXTOID, -1, false},		{SX_METADATA_KEY, BYTEAOID, -1, false},
	{SX_METADATA_HEADERS, JSONBOID, -1, false}, {SX_METADATA_NONE, TEXTOID, -1, false},
	{SX_METADATA_KEY, TEXTOID, -1, false},
};

#define ASKED (lengthof(kinds) - 1)
#define UNTOUCHED ((Datum) 0x5eed)

static SxStream stream;
static SxColumn columns[lengthof(kinds)];
static Bitmapset *asked;
static SxBatchCheck demands;

static void
open_metadata(void)
{
	for (int i = 0; i < lengthof(kinds); i++)
		columns[i] = (SxColumn){.attnum = i + 1,
								.name = "c",
								.type = kinds[i].type,
								.typmod = -1,
								.metadata = kinds[i].metadata};
	stream.topic = "orders";
	stream.ncolumns = lengthof(columns);
	stream.columns = columns;
	asked = bms_add_range(NULL, 1, ASKED);
	/* the stream demands a good timestamp */
	demands.columns = bms_make_singleton(4);
}

int
sx_source_headers(const SxMessage *message, const char ***names, const char ***values,
				  size_t **lengths)
{
	const Envelope *envelope = message->handle;

	if (envelope->is_malformed)
		return -1;
	*names = palloc(sizeof(char *) * Max(envelope->nheaders, 1));
	*values = palloc(sizeof(char *) * Max(envelope->nheaders, 1));
	*lengths = palloc(sizeof(size_t) * Max(envelope->nheaders, 1));
	for (int i = 0; i < envelope->nheaders; i++)
	{
		/* with a NUL behind it, as librdkafka has it; so a name ends where it has one */
		(*names)[i] = envelope->headers[i].name.data;
		(*values)[i] = envelope->headers[i].value.data;
		(*lengths)[i] = envelope->headers[i].value.length;
	}
	return envelope->nheaders;
}

static bool
is_tag(const Input *input)
{
	return input->end - input->at >= 2 && input->at[0] == '|' &&
		   memchr("knvlrxtofme", input->at[1], 11) != NULL;
}

/* What belongs to a tag, as it lies in the input. */
static Bytes
read_bytes(Input *input)
{
	Bytes bytes = {input->at};

	while (input->at < input->end && !is_tag(input))
		input->at++;
	bytes.length = input->at - bytes.data;
	return bytes;
}

static int64
read_number(Input *input)
{
	Bytes bytes = read_bytes(input);

	return strtoll(pnstrdup(bytes.data, bytes.length), NULL, 10);
}

static void
add_header(Envelope *envelope, Header header)
{
	if (envelope->headers == NULL)
		envelope->headers = palloc(sizeof(Header) * MOST_HEADERS);
	if (envelope->nheaders < MOST_HEADERS)
		envelope->headers[envelope->nheaders++] = header;
}

/* Pairs of one name. */
static void
repeat_header(Envelope *envelope, Header header)
{
	const char *name = header.name.data;

	for (int i = 0; i < REPEATED; i++)
	{
		header.name.data = psprintf("%s%d", name, i / 2);
		header.name.length = strlen(header.name.data);
		add_header(envelope, header);
	}
}

static void
lengthen(Bytes *bytes)
{
	char *longer;

	if (bytes->data == NULL || bytes->length * LONGER > LONGEST)
		return;
	longer = palloc(bytes->length * LONGER + 1);
	for (int i = 0; i < LONGER; i++)
		memcpy(longer + i * bytes->length, bytes->data, bytes->length);
	*bytes = (Bytes){longer, bytes->length * LONGER};
}

static Bytes
ended_by_nul(Bytes bytes)
{
	char *copy = pnstrdup(bytes.data, bytes.length);

	return (Bytes){copy, strlen(copy)};
}

static void
read_item(Input *input)
{
	SxMessage *message = &input->messages[input->nmessages - 1];
	Envelope *envelope = &input->envelopes[input->nmessages - 1];
	Header *last = envelope->headers ? &envelope->headers[envelope->nheaders - 1] : NULL;
	char tag = input->at[1];
	Bytes bytes;

	input->at += 2;
	switch (tag)
	{
		case 'k':
			bytes = read_bytes(input);
			message->key = bytes.data;
			message->key_length = bytes.length;
			break;
		case 'n':
			add_header(envelope, (Header){ended_by_nul(read_bytes(input))});
			break;
		case 'v':
			bytes = read_bytes(input);
			if (last)
				last->value = bytes;
			break;
		case 't':
			message->timestamp_ms = read_number(input);
			break;
		case 'o':
			message->offset = read_number(input);
			message->partition = (int32) message->offset;
			break;
		case 'r':
			if (last)
				repeat_header(envelope, *last);
			break;
		case 'l':
			if (last)
				lengthen(&last->value);
			break;
		case 'x':
			envelope->is_malformed = true;
			break;
		case 'f':
			input->is_filtered[input->nmessages - 1] = true;
			break;
		case 'm':
			if (input->nmessages < MOST_MESSAGES)
				input->nmessages++;
			break;
		case 'e':
			input->is_latin1 = true;
			break;
	}
}

/* Bytes of messages lie in guarded memory, up to its end. */
static void
read_input(Input *input, const char *data, size_t size)
{
	input->at = fuzz_guard(data, size);
	input->end = input->at + size;
	input->nmessages = 1;
	for (int i = 0; i < MOST_MESSAGES; i++)
	{
		input->messages[i].timestamp_ms = -1;
		input->messages[i].handle = &input->envelopes[i];
	}
	while (input->at < input->end)
		if (is_tag(input))
			read_item(input);
		else
			input->at++;
}

static Datum
to_bytea(Bytes bytes)
{
	return PointerGetDatum(cstring_to_text_with_len(bytes.data, bytes.length));
}

/* convert_from(bytes, 'UTF8') */
static Datum
to_text(Bytes bytes)
{
	return DirectFunctionCall2(pg_convert_from, to_bytea(bytes),
							   DirectFunctionCall1(namein, CStringGetDatum("UTF8")));
}

static void
append_text(StringInfo json, Bytes bytes)
{
	if (fuzz_is_text(bytes.data, bytes.length))
		escape_json(json, TextDatumGetCString(to_text(bytes)));
	else
		escape_json(json, DatumGetCString(DirectFunctionCall1(byteaout, to_bytea(bytes))));
}

static Datum
expect_headers(const Envelope *envelope)
{
	StringInfoData json;

	if (envelope->is_malformed)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION), errmsg("malformed")));
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	for (int i = 0; i < envelope->nheaders; i++)
	{
		if (i > 0)
			appendStringInfoChar(&json, ',');
		append_text(&json, envelope->headers[i].name);
		appendStringInfoChar(&json, ':');
		if (envelope->headers[i].value.data)
			append_text(&json, envelope->headers[i].value);
		else
			appendStringInfoString(&json, "null");
	}
	appendStringInfoChar(&json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

/* 'epoch' + timestamp_ms * 1000, in numeric, and whether it is one says timestamptz_recv. */
static Datum
expect_timestamp(int64 timestamp_ms)
{
	Datum us = DirectFunctionCall2(numeric_mul,
								   DirectFunctionCall1(int8_numeric, Int64GetDatum(timestamp_ms)),
								   DirectFunctionCall1(int8_numeric, Int64GetDatum(1000)));
	Datum most = DirectFunctionCall1(int8_numeric, Int64GetDatum(PG_INT64_MAX));
	StringInfoData binary;

	/* later than any */
	if (DatumGetBool(DirectFunctionCall2(numeric_gt, us, most)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	initStringInfo(&binary);
	pq_sendint64(&binary,
				 DatumGetInt64(DirectFunctionCall1(numeric_int8, us)) - UNIX_TO_POSTGRES_US);
	return DirectFunctionCall3(timestamptz_recv, PointerGetDatum(&binary),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

static void
expect(void *state)
{
	Attempt *attempt = state;
	const SxMessage *message = attempt->message;
	FuzzOutcome *outcome = &attempt->outcome;
	Bytes key = {message->key, message->key_length};

	switch (attempt->column->metadata)
	{
		case SX_METADATA_TOPIC:
			outcome->value = CStringGetTextDatum(stream.topic);
			break;
		case SX_METADATA_PARTITION:
			outcome->value = Int32GetDatum(message->partition);
			break;
		case SX_METADATA_OFFSET:
			outcome->value = Int64GetDatum(message->offset);
			break;
		case SX_METADATA_TIMESTAMP:
			outcome->is_null = message->timestamp_ms < 0;
			if (!outcome->is_null)
				outcome->value = expect_timestamp(message->timestamp_ms);
			break;
		case SX_METADATA_KEY:
			outcome->is_null = key.data == NULL;
			if (!outcome->is_null)
				outcome->value = attempt->column->type == BYTEAOID ? to_bytea(key) : to_text(key);
			break;
		case SX_METADATA_HEADERS:
			outcome->value = expect_headers(message->handle);
			break;
		case SX_METADATA_NONE:
			break;
	}
}

static void
check_value(const SxBatch *batch, int row, int column)
{
	Attempt expected = {&columns[column], &batch->messages[row]};
	int place = row * lengthof(columns) + column;
	FuzzOutcome found = {.value = batch->values[place], .is_null = batch->isnull[place]};
	FuzzType type = {.length = kinds[column].length, .by_value = kinds[column].by_value};
	int errors = 0;

	for (int i = 0; i < batch->nerrors; i++)
		if (batch->errors[i].row == row && batch->errors[i].attnum == column + 1)
		{
			errors++;
			found.sqlstate = batch->errors[i].sqlstate;
			found.message = batch->errors[i].message;
		}
	if (column >= ASKED || columns[column].metadata == SX_METADATA_NONE)
	{
		if (found.value != UNTOUCHED || found.is_null || errors > 0)
			fuzz_fail("row %d, column %d: filled, though nobody asked", row, column);
		return;
	}
	if (batch->is_filtered[row])
		expected.outcome.is_null = true;
	else
		fuzz_try(expect, &expected, &expected.outcome);
	/* what is no UTF-8 may have had a character before that LATIN1 has not */
	if (found.sqlstate == ERRCODE_UNTRANSLATABLE_CHARACTER &&
		expected.outcome.sqlstate == ERRCODE_CHARACTER_NOT_IN_REPERTOIRE)
		found.sqlstate = expected.outcome.sqlstate;
	if (errors > 1 || found.sqlstate != expected.outcome.sqlstate)
		fuzz_fail("row %d, column %d: %s, expected: %s", row, column,
				  errors ? found.message : "a value",
				  expected.outcome.sqlstate ? expected.outcome.message : "a value");
	if (found.sqlstate != 0 ? !found.is_null
							: !fuzz_has_same_value(&type, &found, &expected.outcome))
		fuzz_fail("row %d, column %d: another value than expected", row, column);
	if (bms_is_member(column + 1, demands.columns) && batch->is_rejected[row] != (errors > 0))
		fuzz_fail("row %d: rejected or not", row);
}

/* The client's encoding is the database's, as it is in a worker. */
static void
use_encoding(int encoding)
{
	SetDatabaseEncoding(encoding);
	SetClientEncoding(encoding);
}

static void
run_metadata(const char *data, size_t size)
{
	Input input = {0};
	SxBatch batch = {.context = CurrentMemoryContext, .rows = CurrentMemoryContext};
	int places;

	read_input(&input, data, size);
	batch.stream = &stream;
	batch.check = &demands;
	batch.nrows = input.nmessages;
	batch.messages = input.messages;
	batch.is_filtered = input.is_filtered;
	batch.is_rejected = palloc0(sizeof(bool) * input.nmessages);
	places = input.nmessages * lengthof(columns);
	batch.values = palloc(sizeof(Datum) * places);
	batch.isnull = palloc0(sizeof(bool) * places);
	for (int i = 0; i < places; i++)
		batch.values[i] = UNTOUCHED;

	use_encoding(input.is_latin1 ? PG_LATIN1 : PG_UTF8);
	sx_metadata_fill(&batch, asked);
	for (int row = 0; row < batch.nrows; row++)
		for (int column = 0; column < lengthof(columns); column++)
			check_value(&batch, row, column);
	use_encoding(PG_UTF8);
}

const FuzzTarget fuzz_metadata = {"metadata", open_metadata, run_metadata};
