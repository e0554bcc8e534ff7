/*
 * top_state.c
 *	  A top as bytes, to be stored or sent to another process.
 *
 *		format | flags | shape (hash of the types' and the collation's names) | n | count |
 *		items, worst first: key | value, if it is not the key
 *
 * Sorted, so that equal tops have equal bytes; worst first, because so sorted
 * they are a heap already, and pushing them again costs a comparison each.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_collation.h"
#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "aggregate/stored_name.h"
#include "aggregate/top.h"

#define FORMAT 1

#define HAS_VALUE 1
#define IS_DESCENDING 2
#define WITH_TIES 4

static void rethrow(void) pg_attribute_noreturn();
static void send_items(SxTop *top, StringInfo bytes);
static void receive_items(SxTop *top, StringInfo bytes);
static SxTop *receive_header(SxTopShape *shape, StringInfo bytes, MemoryContext context);
static int shape_flags(const SxTopShape *shape);
static uint64 shape_hash(SxTopShape *shape);
static void append_type(StringInfo text, const SxDatumType *type);

bytea *
sx_top_serialise(SxTop *top)
{
	SxTopShape *shape = sx_top_shape(top);
	int encoding = sx_datum_wire_begin();
	StringInfoData bytes;

	pq_begintypsend(&bytes);
	PG_TRY();
	{
		pq_sendbyte(&bytes, FORMAT);
		pq_sendbyte(&bytes, shape_flags(shape) | (sx_top_with_ties(top) ? WITH_TIES : 0));
		pq_sendint64(&bytes, shape_hash(shape));
		pq_sendint32(&bytes, sx_top_n(top));
		send_items(top, &bytes);
	}
	PG_FINALLY();
	{
		sx_datum_wire_end(encoding);
	}
	PG_END_TRY();
	return pq_endtypsend(&bytes);
}

SxTop *
sx_top_deserialise(SxTopShape *shape, bytea *state, MemoryContext context)
{
	MemoryContext old = CurrentMemoryContext;
	int encoding = sx_datum_wire_begin();
	StringInfoData bytes = {VARDATA_ANY(state), VARSIZE_ANY_EXHDR(state)};
	SxTop *volatile top = NULL;

	PG_TRY();
	{
		top = receive_header(shape, &bytes, context);
		receive_items(top, &bytes);
		pq_getmsgend(&bytes);
	}
	PG_CATCH();
	{
		sx_datum_wire_end(encoding);
		MemoryContextSwitchTo(old);
		rethrow();
	}
	PG_END_TRY();
	sx_datum_wire_end(encoding);
	return top;
}

/*
 * What receive functions say of bytes that they do not understand would be blamed
 * on the row that is merged: it is the state's fault.
 */
static void
rethrow(void)
{
	static const int of_bytes[] = {ERRCODE_DATA_EXCEPTION, ERRCODE_CONNECTION_EXCEPTION,
								   ERRCODE_PROGRAM_LIMIT_EXCEEDED, ERRCODE_SYNTAX_ERROR,
								   ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION};
	ErrorData *error = CopyErrorData();

	for (int i = 0; i < lengthof(of_bytes); i++)
	{
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_TO_CATEGORY(of_bytes[i]))
			continue;
		FlushErrorState();
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("could not read the state of an aggregate: %s", error->message),
						errhint("Recompute the continuous view with streamx.rebuild.")));
	}
	PG_RE_THROW();
}

static void
send_items(SxTop *top, StringInfo bytes)
{
	SxTopShape *shape = sx_top_shape(top);
	int count;
	SxTopItem *items = sx_top_sorted(top, &count);

	pq_sendint32(bytes, count);
	for (int i = count - 1; i >= 0; i--)
	{
		CHECK_FOR_INTERRUPTS();
		sx_datum_send(&shape->key, items[i].key, false, bytes);
		if (shape->has_value)
			sx_datum_send(&shape->value, items[i].value, items[i].value_is_null, bytes);
	}
	pfree(items);
}

static void
receive_items(SxTop *top, StringInfo bytes)
{
	SxTopShape *shape = sx_top_shape(top);
	int32 count = pq_getmsgint(bytes, 4);

	for (int32 i = 0; i < count; i++)
	{
		SxTopItem item = {0};
		bool is_null;

		CHECK_FOR_INTERRUPTS();
		item.key = sx_datum_receive(&shape->key, bytes, &is_null);
		if (is_null)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("state of an aggregate is malformed")));
		if (shape->has_value)
			item.value = sx_datum_receive(&shape->value, bytes, &item.value_is_null);
		sx_top_push(top, &item);
	}
}

static SxTop *
receive_header(SxTopShape *shape, StringInfo bytes, MemoryContext context)
{
	int format = pq_getmsgbyte(bytes);
	int flags;
	uint64 hash;
	int32 n;

	if (format != FORMAT)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("state of an aggregate has unknown format %d", format)));
	flags = pq_getmsgbyte(bytes);
	hash = pq_getmsgint64(bytes);
	n = pq_getmsgint(bytes, 4);
	if ((flags & ~WITH_TIES) != shape_flags(shape) || hash != shape_hash(shape))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("state is one of another aggregate, type or collation"),
						errhint("Recompute the continuous view with streamx.rebuild.")));
	if (n < 1 || n > SX_TOP_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("state of an aggregate is malformed")));
	return sx_top_create(shape, n, (flags & WITH_TIES) != 0, context);
}

static int
shape_flags(const SxTopShape *shape)
{
	return (shape->has_value ? HAS_VALUE : 0) | (shape->is_descending ? IS_DESCENDING : 0);
}

/* By names, which are the same in a database that was restored. */
static uint64
shape_hash(SxTopShape *shape)
{
	StringInfoData text;

	if (shape->hash != 0)
		return shape->hash;
	initStringInfo(&text);
	append_type(&text, &shape->key);
	if (shape->has_value)
		append_type(&text, &shape->value);
	shape->hash = hash_bytes_extended((const unsigned char *) text.data, text.len, 0);
	return shape->hash;
}

static void
append_type(StringInfo text, const SxDatumType *type)
{
	HeapTuple tuple;
	Form_pg_collation collation;

	sx_append_stored_type(text, type->oid);
	appendStringInfoChar(text, ',');
	if (!OidIsValid(type->collation))
		return;
	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(type->collation));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", type->collation);
	collation = (Form_pg_collation) GETSTRUCT(tuple);
	sx_append_stored_name(text, collation->collnamespace, NameStr(collation->collname));
	appendStringInfoChar(text, ',');
	ReleaseSysCache(tuple);
}
