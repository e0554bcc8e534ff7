/*
 * image.c
 *	  The image of a value: the same bytes for values that cannot be told apart.
 *
 *		by value         the value's bytes, most significant first
 *		fixed length     its bytes
 *		varlena          its bytes, without header, however they were toasted or expanded
 *		array            likewise, without a bitmap that marks nothing; or element by element
 *		row              column by column
 *		range            flags, then the bounds; multirange: range by range
 *
 * Most values have one representation, once toasting and expansion are undone.
 * Not so rows, whose headers remember where they have been stored and by which
 * transaction, and so also arrays and ranges of rows: these are taken apart
 * into parts, each (length, image), length -1 for NULL.
 */
#include "compat.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/multirangetypes.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

#include "aggregate/image.h"

/* An image that need not be built: it is there, or fits into small. */
typedef struct Bytes
{
	const char *data;
	size_t length;
	char small[sizeof(Datum)];
} Bytes;

static SxImageKind kind_of(SxImageType *type, Oid base, bool by_value);
static bool is_plain(const SxImageType *part);
static void find_bytes(SxImageType *type, Datum value, Bytes *bytes);
static void by_value_bytes(const SxImageType *type, Datum value, Bytes *bytes);
static bool plain_array_bytes(SxImageType *type, ArrayType *array, Bytes *bytes);
static void append_array(SxImageType *type, ArrayType *array, StringInfo image);
static void append_row(SxImageType *type, Datum value, StringInfo image);
static void append_description(TupleDesc desc, StringInfo image);
static void append_range(SxImageType *type, Datum value, StringInfo image);
static void
append_bounds(SxImageType *type, TypeCacheEntry *entry, RangeType *range, StringInfo image);
static void append_multirange(SxImageType *type, Datum value, StringInfo image);
static void append_part(SxImageType *type, Datum value, bool is_null, StringInfo image);
static SxImageType *part_of(SxImageType *type, int n, Oid oid);
static void forget_parts(SxImageType *type);

PG_FUNCTION_INFO_V1(streamx_image);

/* image(value anyelement) */
Datum
streamx_image(PG_FUNCTION_ARGS)
{
	SxImageType *type = fcinfo->flinfo->fn_extra;

	if (type == NULL)
	{
		Oid oid = get_fn_expr_argtype(fcinfo->flinfo, 0);

		if (!OidIsValid(oid))
			elog(ERROR, "could not determine the type of a value");
		type = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(SxImageType));
		sx_image_open(type, oid, fcinfo->flinfo->fn_mcxt);
		fcinfo->flinfo->fn_extra = type;
	}
	PG_RETURN_BYTEA_P(sx_image(type, PG_GETARG_DATUM(0)));
}

/* ---- types ---- */

void
sx_image_open(SxImageType *type, Oid oid, MemoryContext context)
{
	bool by_value;

	memset(type, 0, sizeof(*type));
	type->oid = oid;
	type->context = context;
	get_typlenbyval(oid, &type->length, &by_value);
	type->kind = kind_of(type, getBaseType(oid), by_value);
}

static SxImageKind
kind_of(SxImageType *type, Oid base, bool by_value)
{
	Oid range;

	if (by_value)
		return SX_IMAGE_BY_VALUE;
	if (type->length == -2)
		return SX_IMAGE_CSTRING;
	if (type->length > 0)
		return SX_IMAGE_FIXED;
	if (base == ANYARRAYOID || OidIsValid(get_element_type(base)))
		return SX_IMAGE_ARRAY;
	if (type_is_rowtype(base))
		return SX_IMAGE_ROW;
	range = type_is_multirange(base) ? get_multirange_range(base) : base;
	if (!type_is_range(range) || is_plain(part_of(type, 0, get_range_subtype(range))))
		return SX_IMAGE_FLAT;
	return range == base ? SX_IMAGE_RANGE : SX_IMAGE_MULTIRANGE;
}

/* Whether bytes that hold such values need not be taken apart. */
static bool
is_plain(const SxImageType *part)
{
	return part->kind <= SX_IMAGE_FLAT;
}

/* The n'th part's type, opened when it is first met, and when it has become another. */
static SxImageType *
part_of(SxImageType *type, int n, Oid oid)
{
	if (n >= type->nparts)
	{
		int size = Max(n + 1, type->nparts * 2);

		type->parts = type->parts ? repalloc(type->parts, size * sizeof(SxImageType))
								  : MemoryContextAlloc(type->context, size * sizeof(SxImageType));
		memset(type->parts + type->nparts, 0, (size - type->nparts) * sizeof(SxImageType));
		type->nparts = size;
	}
	if (type->parts[n].oid != oid)
	{
		forget_parts(&type->parts[n]);
		sx_image_open(&type->parts[n], oid, type->context);
	}
	return &type->parts[n];
}

static void
forget_parts(SxImageType *type)
{
	for (int i = 0; i < type->nparts; i++)
		forget_parts(&type->parts[i]);
	if (type->parts)
		pfree(type->parts);
}

bool
sx_image_follows_equality(Oid type, Oid collation)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_LT_OPR | TYPECACHE_BTREE_OPFAMILY);
	Oid function;

	/* btree need not care for the padding of bpchar, whose columns have a length */
	if (!OidIsValid(entry->lt_opr) || entry->btree_opintype == BPCHAROID)
		return false;
	if (OidIsValid(get_typcollation(type)) && !OidIsValid(collation))
		return false;
	/* what btree asks before it deduplicates */
	function = get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype,
								 BTEQUALIMAGE_PROC);
	return OidIsValid(function) &&
		   DatumGetBool(
			   OidFunctionCall1Coll(function, collation, ObjectIdGetDatum(entry->btree_opintype)));
}

/* ---- images ---- */

bytea *
sx_image(SxImageType *type, Datum value)
{
	Bytes bytes;
	bytea *image;

	find_bytes(type, value, &bytes);
	image = palloc(VARHDRSZ + bytes.length);
	SET_VARSIZE(image, VARHDRSZ + bytes.length);
	memcpy(VARDATA(image), bytes.data, bytes.length);
	return image;
}

uint64
sx_image_hash(SxImageType *type, Datum value, uint64 seed)
{
	Bytes bytes;

	find_bytes(type, value, &bytes);
	return hash_bytes_extended((const unsigned char *) bytes.data, bytes.length, seed);
}

bool
sx_image_equal(SxImageType *type, Datum left, Datum right)
{
	Bytes a, b;

	if (type->kind == SX_IMAGE_FLAT && toast_raw_datum_size(left) != toast_raw_datum_size(right))
		return false;
	find_bytes(type, left, &a);
	find_bytes(type, right, &b);
	return a.length == b.length && memcmp(a.data, b.data, a.length) == 0;
}

/* The image as bytes that are valid as long as value, and the current memory context. */
static void
find_bytes(SxImageType *type, Datum value, Bytes *bytes)
{
	StringInfoData image;
	struct varlena *varlena;

	switch (type->kind)
	{
		case SX_IMAGE_BY_VALUE:
			by_value_bytes(type, value, bytes);
			return;
		case SX_IMAGE_FIXED:
			*bytes = (Bytes){.data = DatumGetPointer(value), .length = type->length};
			return;
		case SX_IMAGE_CSTRING:
			*bytes =
				(Bytes){.data = DatumGetPointer(value), .length = strlen(DatumGetCString(value))};
			return;
		case SX_IMAGE_FLAT:
			varlena = PG_DETOAST_DATUM_PACKED(value);
			bytes->data = VARDATA_ANY(varlena);
			bytes->length = VARSIZE_ANY_EXHDR(varlena);
			return;
		case SX_IMAGE_ARRAY:
			varlena = PG_DETOAST_DATUM(value);
			if (plain_array_bytes(type, (ArrayType *) varlena, bytes))
				return;
			value = PointerGetDatum(varlena);
			break;
		default:
			break;
	}

	check_stack_depth();
	initStringInfo(&image);
	switch (type->kind)
	{
		case SX_IMAGE_ARRAY:
			append_array(type, DatumGetArrayTypeP(value), &image);
			break;
		case SX_IMAGE_ROW:
			append_row(type, value, &image);
			break;
		case SX_IMAGE_RANGE:
			append_range(type, value, &image);
			break;
		default:
			append_multirange(type, value, &image);
			break;
	}
	bytes->data = image.data;
	bytes->length = image.len;
}

/* Of the size of the type's, in an order of bytes that machines share. */
static void
by_value_bytes(const SxImageType *type, Datum value, Bytes *bytes)
{
	uint64 number = pg_hton64((uint64) value);

	memcpy(bytes->small, (char *) &number + sizeof(number) - type->length, type->length);
	bytes->data = bytes->small;
	bytes->length = type->length;
}

/* ---- arrays ---- */

/* False: its elements must be looked at. */
static bool
plain_array_bytes(SxImageType *type, ArrayType *array, Bytes *bytes)
{
	size_t header = ARR_OVERHEAD_NONULLS(ARR_NDIM(array));
	size_t length = ARR_SIZE(array) - ARR_DATA_OFFSET(array);
	ArrayType *copy;

	if (!is_plain(part_of(type, 0, ARR_ELEMTYPE(array))))
		return false;
	bytes->data = VARDATA(array);
	bytes->length = VARSIZE(array) - VARHDRSZ;
	if (!ARR_HASNULL(array) || array_contains_nulls(array))
		return true;

	copy = palloc0(header + length);
	memcpy(copy, array, offsetof(ArrayType, elemtype) + sizeof(Oid));
	copy->dataoffset = 0;
	memcpy(ARR_DIMS(copy), ARR_DIMS(array), 2 * ARR_NDIM(array) * sizeof(int));
	memcpy((char *) copy + header, ARR_DATA_PTR(array), length);
	bytes->data = VARDATA(copy);
	bytes->length = header + length - VARHDRSZ;
	return true;
}

static void
append_array(SxImageType *type, ArrayType *array, StringInfo image)
{
	SxImageType *element = part_of(type, 0, ARR_ELEMTYPE(array));
	ArrayIterator iterator = array_create_iterator(array, 0, NULL);
	Datum value;
	bool is_null;

	pq_sendint32(image, ARR_ELEMTYPE(array));
	pq_sendint32(image, ARR_NDIM(array));
	for (int i = 0; i < ARR_NDIM(array); i++)
	{
		pq_sendint32(image, ARR_DIMS(array)[i]);
		pq_sendint32(image, ARR_LBOUND(array)[i]);
	}
	while (array_iterate(iterator, &value, &is_null))
	{
		CHECK_FOR_INTERRUPTS();
		append_part(element, value, is_null, image);
	}
	array_free_iterator(iterator);
}

/* ---- rows ---- */

static void
append_row(SxImageType *type, Datum value, StringInfo image)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	TupleDesc desc =
		lookup_rowtype_tupdesc(HeapTupleHeaderGetTypeId(header), HeapTupleHeaderGetTypMod(header));
	Datum *values = palloc(desc->natts * sizeof(Datum));
	bool *isnull = palloc(desc->natts * sizeof(bool));
	HeapTupleData tuple = {.t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header};

	ItemPointerSetInvalid(&tuple.t_self);
	heap_deform_tuple(&tuple, desc, values, isnull);
	if (type->oid == RECORDOID)
		append_description(desc, image);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (!column->attisdropped)
			append_part(part_of(type, i, column->atttypid), values[i], isnull[i], image);
	}
	ReleaseTupleDesc(desc);
}

/* Any row can be a record: what it is like belongs to it. */
static void
append_description(TupleDesc desc, StringInfo image)
{
	int start = image->len;
	int32 count = 0;

	pq_sendint32(image, 0);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i);

		if (column->attisdropped)
			continue;
		count++;
		pq_sendint32(image, column->atttypid);
		pq_sendint32(image, column->atttypmod);
		pq_sendbytes(image, NameStr(column->attname), strlen(NameStr(column->attname)) + 1);
	}
	count = pg_hton32(count);
	memcpy(image->data + start, &count, sizeof(count));
}

/* ---- ranges ---- */

static void
append_range(SxImageType *type, Datum value, StringInfo image)
{
	RangeType *range = DatumGetRangeTypeP(value);

	append_bounds(type, lookup_type_cache(RangeTypeGetOid(range), TYPECACHE_RANGE_INFO), range,
				  image);
}

static void
append_multirange(SxImageType *type, Datum value, StringInfo image)
{
	MultirangeType *multirange = DatumGetMultirangeTypeP(value);
	TypeCacheEntry *entry =
		lookup_type_cache(MultirangeTypeGetOid(multirange), TYPECACHE_MULTIRANGE_INFO)->rngtype;
	RangeType **ranges;
	int32 count;

	multirange_deserialize(entry, multirange, &count, &ranges);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		append_bounds(type, entry, ranges[i], image);
	}
}

/* Bounds that are infinite have no value. */
static void
append_bounds(SxImageType *type, TypeCacheEntry *entry, RangeType *range, StringInfo image)
{
	SxImageType *subtype = part_of(type, 0, entry->rngelemtype->type_id);
	char flags = range_get_flags(range);
	RangeBound lower;
	RangeBound upper;
	bool is_empty;

	range_deserialize(entry, range, &lower, &upper, &is_empty);
	pq_sendint8(image, flags);
	append_part(subtype, lower.val, !RANGE_HAS_LBOUND(flags), image);
	append_part(subtype, upper.val, !RANGE_HAS_UBOUND(flags), image);
}

/* ---- parts ---- */

static void
append_part(SxImageType *type, Datum value, bool is_null, StringInfo image)
{
	Bytes bytes;

	if (is_null)
	{
		pq_sendint32(image, (uint32) -1);
		return;
	}
	find_bytes(type, value, &bytes);
	pq_sendint32(image, bytes.length);
	appendBinaryStringInfo(image, bytes.data, bytes.length);
}
