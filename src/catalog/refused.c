/*
 * refused.c
 *	  Rows that did not get into a view: dead letters and late rows.
 *
 * They are stored in the transaction of their batch, so they are there
 * exactly when the batch is.  What they carry came from outside: bytes are
 * kept as bytea, and texts are made valid in the database's encoding first.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "catalog/refused.h"
#include "catalog/spi.h"

/* bytea cannot hold more than 1 GB, nor a row much more than that in all */
#define MAX_KEPT_BYTES ((size_t) 256 * 1024 * 1024)
#define MAX_MESSAGE_LENGTH 10000
#define MSECS_PER_SEC INT64CONST(1000)

static Datum bytes(const char *data, size_t length);
static Datum clean_text(const char *text);
static bool kafka_timestamp(int64 timestamp_ms, TimestampTz *result);

void
sx_refused_dead_letter(const SxDeadLetter *letter)
{
	static const Oid types[] = {REGCLASSOID,	REGCLASSOID, INT4OID,  TEXTOID,	 INT4OID, INT8OID,
								TIMESTAMPTZOID, BYTEAOID,	 BYTEAOID, JSONBOID, TEXTOID, TEXTOID};
	Datum values[lengthof(types)] = {0};
	bool nulls[lengthof(types)] = {false};
	TimestampTz timestamp = 0;
	SxSpi spi;

	sx_spi_begin(&spi);
	nulls[1] = !OidIsValid(letter->view);
	nulls[2] = letter->reader == 0;
	nulls[3] = nulls[4] = letter->topic == NULL;
	nulls[5] = letter->offset < 0;
	nulls[6] = !kafka_timestamp(letter->timestamp_ms, &timestamp);
	nulls[7] = letter->key == NULL;
	nulls[8] = letter->payload == NULL;
	nulls[9] = !letter->has_row;
	values[0] = ObjectIdGetDatum(letter->stream);
	values[1] = ObjectIdGetDatum(letter->view);
	values[2] = Int32GetDatum(letter->reader);
	values[3] = nulls[3] ? (Datum) 0 : clean_text(letter->topic);
	values[4] = Int32GetDatum(letter->partition);
	values[5] = Int64GetDatum(letter->offset);
	values[6] = TimestampTzGetDatum(timestamp);
	values[7] = nulls[7] ? (Datum) 0 : bytes(letter->key, letter->key_length);
	values[8] = nulls[8] ? (Datum) 0 : bytes(letter->payload, letter->payload_length);
	values[9] = nulls[9] ? (Datum) 0 : letter->row;
	values[10] = CStringGetTextDatum(unpack_sql_state(letter->sqlstate));
	values[11] = clean_text(letter->message ? letter->message : "");
	sx_spi_execute("INSERT INTO streamx_internal.dead_letter (stream, view, reader, topic, "
				   "\"partition\", \"offset\", message_timestamp, key, payload, \"row\", sqlstate, "
				   "message) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
				   lengthof(types), types, values, nulls, false);
	sx_spi_end(&spi);
}

void
sx_refused_late_row(const SxLateRow *late)
{
	static const Oid types[] = {REGCLASSOID,	REGCLASSOID, INT4OID,		 TEXTOID,
								INT4OID,		INT8OID,	 TIMESTAMPTZOID, TIMESTAMPTZOID,
								TIMESTAMPTZOID, BOOLOID,	 JSONBOID};
	Datum values[lengthof(types)] = {0};
	bool nulls[lengthof(types)] = {false};
	SxSpi spi;

	sx_spi_begin(&spi);
	nulls[2] = late->reader == 0;
	nulls[3] = nulls[4] = late->topic == NULL;
	nulls[5] = late->offset < 0;
	nulls[10] = late->row == (Datum) 0;
	values[0] = ObjectIdGetDatum(late->view);
	values[1] = ObjectIdGetDatum(late->stream);
	values[2] = Int32GetDatum(late->reader);
	values[3] = nulls[3] ? (Datum) 0 : clean_text(late->topic);
	values[4] = Int32GetDatum(late->partition);
	values[5] = Int64GetDatum(late->offset);
	values[6] = TimestampTzGetDatum(late->event_time);
	values[7] = TimestampTzGetDatum(late->watermark);
	values[8] = TimestampTzGetDatum(late->refused_through);
	values[9] = BoolGetDatum(late->counted);
	values[10] = late->row;
	sx_spi_execute("INSERT INTO streamx_internal.late_row (view, stream, reader, topic, "
				   "\"partition\", \"offset\", event_time, watermark, refused_through, counted, "
				   "\"row\") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
				   lengthof(types), types, values, nulls, false);
	sx_spi_end(&spi);
}

static Datum
bytes(const char *data, size_t length)
{
	size_t kept = Min(length, MAX_KEPT_BYTES);
	bytea *result = palloc(kept + VARHDRSZ);

	SET_VARSIZE(result, kept + VARHDRSZ);
	memcpy(VARDATA(result), data, kept);
	return PointerGetDatum(result);
}

/* A text whose bytes may be anybody's: cut to a sane length, foreign bytes become '?'. */
static Datum
clean_text(const char *text)
{
	int length = strnlen(text, MAX_MESSAGE_LENGTH + 1);
	char *copy;
	int i;

	if (length > MAX_MESSAGE_LENGTH)
		length = pg_mbcliplen(text, length, MAX_MESSAGE_LENGTH);
	copy = pnstrdup(text, length);
	if (!pg_verifymbstr(copy, length, true))
		for (i = 0; i < length; i++)
			if (IS_HIGHBIT_SET(copy[i]))
				copy[i] = '?';
	return CStringGetTextDatum(copy);
}

/* A message's timestamp is the producer's word: false if it is none or out of range. */
static bool
kafka_timestamp(int64 timestamp_ms, TimestampTz *result)
{
	static const int64 epoch_ms =
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * MSECS_PER_SEC;
	int64 shifted_ms = timestamp_ms - epoch_ms;

	if (timestamp_ms < 0 || shifted_ms >= END_TIMESTAMP / MSECS_PER_SEC)
		return false;
	*result = shifted_ms * MSECS_PER_SEC;
	return true;
}
