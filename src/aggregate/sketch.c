/*
 * sketch.c
 *	  Reading and writing the bytes of sketches, and their types' I/O.
 */
#include "compat.h"

#include "libpq/pqformat.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "aggregate/sketch.h"

#define SKETCH_VERSION 1

/* Reading */

static void
open_reader(SxSketchReader *reader, const SxSketchKind *kind, Datum sketch, int sqlstate)
{
	const struct varlena *bytes = PG_DETOAST_DATUM_PACKED(sketch);

	reader->kind = kind;
	reader->next = VARDATA_ANY(bytes);
	reader->end = reader->next + VARSIZE_ANY_EXHDR(bytes);
	reader->sqlstate = sqlstate;
	if (sx_sketch_read_byte(reader) != (uint8) kind->letter)
		sx_sketch_refuse(reader, "It is not a sketch of this type.");
	if (sx_sketch_read_byte(reader) != SKETCH_VERSION)
		sx_sketch_refuse(reader, "It was made by another version of streamx.");
}

void
sx_sketch_open(SxSketchReader *reader, const SxSketchKind *kind, Datum sketch)
{
	open_reader(reader, kind, sketch, ERRCODE_DATA_CORRUPTED);
}

uint8
sx_sketch_read_byte(SxSketchReader *reader)
{
	return (uint8) *sx_sketch_read_bytes(reader, 1);
}

uint64
sx_sketch_read_number(SxSketchReader *reader, uint64 most)
{
	uint64 number = 0;
	uint8 byte;

	for (int shift = 0;; shift += 7)
	{
		byte = sx_sketch_read_byte(reader);
		/* the tenth byte holds the 64th bit; no number ends in zeros that need not be there */
		if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0))
			sx_sketch_refuse(reader, "A number is too long.");
		number |= (uint64) (byte & 0x7F) << shift;
		if (!(byte & 0x80))
			break;
	}
	if (number > most)
		sx_sketch_refuse(reader, "A number is out of range.");
	return number;
}

float8
sx_sketch_read_float8(SxSketchReader *reader)
{
	uint64 bits;
	float8 number;

	memcpy(&bits, sx_sketch_read_bytes(reader, sizeof(bits)), sizeof(bits));
	bits = pg_ntoh64(bits);
	memcpy(&number, &bits, sizeof(number));
	return number;
}

const char *
sx_sketch_read_bytes(SxSketchReader *reader, Size length)
{
	const char *bytes = reader->next;

	if (length > sx_sketch_remaining(reader))
		sx_sketch_refuse(reader, "It is too short.");
	reader->next += length;
	return bytes;
}

Size
sx_sketch_remaining(const SxSketchReader *reader)
{
	return reader->end - reader->next;
}

void
sx_sketch_close(const SxSketchReader *reader)
{
	if (sx_sketch_remaining(reader) > 0)
		sx_sketch_refuse(reader, "It is too long.");
}

void
sx_sketch_refuse(const SxSketchReader *reader, const char *why)
{
	ereport(ERROR,
			(errcode(reader->sqlstate), errmsg("invalid value for type %s", reader->kind->type),
			 errdetail_internal("%s", why)));
}

/* Writing */

void
sx_sketch_begin(StringInfo sketch, const SxSketchKind *kind)
{
	initStringInfo(sketch);
	sketch->len = VARHDRSZ;
	pq_sendbyte(sketch, kind->letter);
	pq_sendbyte(sketch, SKETCH_VERSION);
}

void
sx_sketch_write_number(StringInfo sketch, uint64 number)
{
	for (; number >= 0x80; number >>= 7)
		pq_sendbyte(sketch, (number & 0x7F) | 0x80);
	pq_sendbyte(sketch, number);
}

void
sx_sketch_write_float8(StringInfo sketch, float8 number)
{
	pq_sendfloat8(sketch, number);
}

Datum
sx_sketch_end(StringInfo sketch)
{
	SET_VARSIZE(sketch->data, sketch->len);
	return PointerGetDatum(sketch->data);
}

/* Types */

static Datum
check(const SxSketchKind *kind, Datum sketch, int sqlstate)
{
	SxSketchReader reader;

	open_reader(&reader, kind, sketch, sqlstate);
	kind->check(&reader);
	return sketch;
}

Datum
sx_sketch_in(const SxSketchKind *kind, FunctionCallInfo fcinfo)
{
	Datum bytes = DirectFunctionCall1(byteain, PG_GETARG_DATUM(0));

	return check(kind, bytes, ERRCODE_INVALID_TEXT_REPRESENTATION);
}

Datum
sx_sketch_recv(const SxSketchKind *kind, FunctionCallInfo fcinfo)
{
	Datum bytes = DirectFunctionCall1(bytearecv, PG_GETARG_DATUM(0));

	return check(kind, bytes, ERRCODE_INVALID_BINARY_REPRESENTATION);
}

Datum
sx_sketch_cast(const SxSketchKind *kind, FunctionCallInfo fcinfo)
{
	Datum bytes = PointerGetDatum(PG_GETARG_BYTEA_P(0));

	return check(kind, bytes, ERRCODE_INVALID_BINARY_REPRESENTATION);
}

MemoryContext
sx_sketch_aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate support function called outside of an aggregate");
	return context;
}
