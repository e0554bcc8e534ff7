/*
 * datum_wire.c
 *	  Values of any type as bytes, by the types' own send and receive functions.
 *
 *		length (-1: NULL) | [row description] | what the type's send function returned
 *
 * Receive functions check their input, as clients may send them anything, and
 * what they read survives a dump.  (Arrays and rows name the types they are made
 * of by OID: those of users are others in another database, and are refused.)
 *
 * Types without send and receive functions go as text.  A value of type record
 * is only understood with the description of its row, which other sessions do
 * not have: it goes in front.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "aggregate/datum_type.h"

struct SxDatumWire
{
	bool is_text;
	FmgrInfo send;
	FmgrInfo receive;
	Oid receive_param;
	StringInfoData scratch; /* one value's bytes, terminated: receive functions may need that */
};

static SxDatumWire *open_wire(SxDatumType *type);
static void send_row_description(Datum value, StringInfo bytes);
static int32 receive_row_description(StringInfo bytes);
static Oid checked_type(Oid type);
static int32 receive_length(StringInfo bytes);
static void malformed(void) pg_attribute_noreturn();

/* Text goes to clients in their encoding: bytes that are kept are in the server's. */
int
sx_datum_wire_begin(void)
{
	int encoding = pg_get_client_encoding();

	if (unlikely(encoding != GetDatabaseEncoding()))
		SetClientEncoding(GetDatabaseEncoding());
	return encoding;
}

void
sx_datum_wire_end(int encoding)
{
	if (unlikely(encoding != GetDatabaseEncoding()))
		SetClientEncoding(encoding);
}

void
sx_datum_send(SxDatumType *type, Datum value, bool is_null, StringInfo bytes)
{
	SxDatumWire *wire = type->wire ? type->wire : open_wire(type);
	bytea *sent;

	if (is_null)
	{
		pq_sendint32(bytes, (uint32) -1);
		return;
	}
	if (wire->is_text)
		sent = DatumGetByteaPP(CStringGetTextDatum(OutputFunctionCall(&wire->send, value)));
	else
		sent = SendFunctionCall(&wire->send, value);
	pq_sendint32(bytes, VARSIZE_ANY_EXHDR(sent));
	if (type->oid == RECORDOID)
		send_row_description(value, bytes);
	pq_sendbytes(bytes, VARDATA_ANY(sent), VARSIZE_ANY_EXHDR(sent));
}

Datum
sx_datum_receive(SxDatumType *type, StringInfo bytes, bool *is_null)
{
	SxDatumWire *wire = type->wire ? type->wire : open_wire(type);
	StringInfo scratch = &wire->scratch;
	int32 length = receive_length(bytes);
	int32 typmod = -1;
	Datum value;

	*is_null = length < 0;
	if (*is_null)
		return (Datum) 0;
	if (type->oid == RECORDOID)
		typmod = receive_row_description(bytes);

	resetStringInfo(scratch);
	appendBinaryStringInfo(scratch, pq_getmsgbytes(bytes, length), length);
	if (wire->is_text)
	{
		pg_verify_mbstr(GetDatabaseEncoding(), scratch->data, length, false);
		return InputFunctionCall(&wire->receive, scratch->data, wire->receive_param, typmod);
	}
	value = ReceiveFunctionCall(&wire->receive, scratch, wire->receive_param, typmod);
	if (scratch->cursor != scratch->len)
		malformed();
	return value;
}

/* Values are in a domain already: its constraints may have changed since. */
static SxDatumWire *
open_wire(SxDatumType *type)
{
	MemoryContext old = MemoryContextSwitchTo(type->context);
	SxDatumWire *wire = palloc0(sizeof(SxDatumWire));
	Oid base = getBaseType(type->oid);
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(base));
	Form_pg_type form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", base);
	form = (Form_pg_type) GETSTRUCT(tuple);
	wire->is_text = !OidIsValid(form->typsend) || !OidIsValid(form->typreceive);
	wire->receive_param = getTypeIOParam(tuple);
	fmgr_info(wire->is_text ? form->typoutput : form->typsend, &wire->send);
	fmgr_info(wire->is_text ? form->typinput : form->typreceive, &wire->receive);
	ReleaseSysCache(tuple);
	initStringInfo(&wire->scratch);
	MemoryContextSwitchTo(old);
	type->wire = wire;
	return wire;
}

/* Rows */

/* number of columns, then type, typmod, collation and name of each */
static void
send_row_description(Datum value, StringInfo bytes)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(row), HeapTupleHeaderGetTypMod(row));
	int ncolumns = 0;

	for (int i = 0; i < desc->natts; i++)
		ncolumns += !TupleDescAttr(desc, i)->attisdropped;
	pq_sendint16(bytes, ncolumns);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped)
			continue;
		if (column->atttypid == RECORDOID || column->atttypid == RECORDARRAYOID)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a row within a row cannot be kept in the state of an aggregate"),
					 errhint("Cast it to a composite type.")));
		pq_sendint32(bytes, column->atttypid);
		pq_sendint32(bytes, column->atttypmod);
		pq_sendint32(bytes, column->attcollation);
		pq_sendbytes(bytes, NameStr(column->attname), NAMEDATALEN);
	}
	ReleaseTupleDesc(desc);
}

/* As a typmod of record in this session. */
static int32
receive_row_description(StringInfo bytes)
{
	int ncolumns = (int16) pq_getmsgint(bytes, 2);
	TupleDesc desc;

	if (ncolumns < 0 || ncolumns > MaxTupleAttributeNumber)
		malformed();
	desc = CreateTemplateTupleDesc(ncolumns);
	for (int i = 0; i < ncolumns; i++)
	{
		Oid type = checked_type(pq_getmsgint(bytes, 4));
		int32 typmod = pq_getmsgint(bytes, 4);
		Oid collation = pq_getmsgint(bytes, 4);
		char name[NAMEDATALEN];

		memcpy(name, pq_getmsgbytes(bytes, NAMEDATALEN), NAMEDATALEN);
		name[NAMEDATALEN - 1] = '\0';
		pg_verify_mbstr(GetDatabaseEncoding(), name, strlen(name), false);
		TupleDescInitEntry(desc, i + 1, name, type, typmod, 0);
		TupleDescInitEntryCollation(desc, i + 1, collation);
	}
	BlessTupleDesc(desc);
	return desc->tdtypmod;
}

static Oid
checked_type(Oid type)
{
	char kind = get_typtype(type);

	if (kind == '\0' || kind == TYPTYPE_PSEUDO || !get_typisdefined(type))
		malformed();
	return type;
}

/* Of a value that follows, all of it; -1: of NULL. */
static int32
receive_length(StringInfo bytes)
{
	int32 length = pq_getmsgint(bytes, 4);

	if (length < -1 || length > bytes->len - bytes->cursor)
		malformed();
	return length;
}

static void
malformed(void)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("state of an aggregate is malformed")));
}
