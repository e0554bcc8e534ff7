/*
 * datum_type.c
 *	  Compare and copy values of any type, as the server's catalogs say.
 *
 * Equal is not the same: 1.0 and 1.00, or strings under a nondeterministic
 * collation, compare equal and look different.  Whoever must choose between
 * them independently of the order in which they come compares their images.
 */
#include "compat.h"

#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "aggregate/datum_type.h"
#include "aggregate/image.h"

static bool has_same_bytes(Datum left, Datum right);
static int compare_sent(SxDatumType *type, Datum left, Datum right);

void
sx_datum_type_open(SxDatumType *type, Oid oid, Oid collation, MemoryContext context)
{
	const TypeCacheEntry *entry = lookup_type_cache(oid, TYPECACHE_LT_OPR);

	memset(type, 0, sizeof(*type));
	type->oid = oid;
	type->collation = OidIsValid(get_typcollation(oid)) ? collation : InvalidOid;
	type->length = entry->typlen;
	type->by_value = entry->typbyval;
	type->context = context;
	type->is_ordered = OidIsValid(entry->lt_opr);
	if (OidIsValid(get_typcollation(oid)) && !OidIsValid(collation))
		ereport(ERROR, (errcode(ERRCODE_INDETERMINATE_COLLATION),
						errmsg("could not determine which collation to use for comparisons"),
						errhint("Use the COLLATE clause to set the collation explicitly.")));
	if (!type->is_ordered)
		return;

	type->sort.ssup_cxt = context;
	type->sort.ssup_collation = type->collation;
	PrepareSortSupportFromOrderingOp(entry->lt_opr, &type->sort);
	type->equal_is_same = sx_image_follows_equality(oid, type->collation);
}

int
sx_datum_compare_image(SxDatumType *type, Datum left, Datum right)
{
	if (type->by_value)
		return left < right ? -1 : left > right;
	if (type->length > 0)
		return memcmp(DatumGetPointer(left), DatumGetPointer(right), type->length);
	if (type->length == -1 && has_same_bytes(left, right))
		return 0;
	return compare_sent(type, left, right);
}

/* The quick answer for most values that are the same. */
static bool
has_same_bytes(Datum left, Datum right)
{
	struct varlena *a = PG_DETOAST_DATUM_PACKED(left);
	struct varlena *b = PG_DETOAST_DATUM_PACKED(right);

	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* One value can have several representations in memory (arrays, rows), but is sent in one way. */
static int
compare_sent(SxDatumType *type, Datum left, Datum right)
{
	StringInfoData a, b;
	int result;
	int encoding = sx_datum_wire_begin();

	initStringInfo(&a);
	initStringInfo(&b);
	PG_TRY();
	{
		sx_datum_send(type, left, false, &a);
		sx_datum_send(type, right, false, &b);
	}
	PG_FINALLY();
	{
		sx_datum_wire_end(encoding);
	}
	PG_END_TRY();
	result = memcmp(a.data, b.data, Min(a.len, b.len));
	return result != 0 ? result : a.len - b.len;
}

Datum
sx_datum_copy(const SxDatumType *type, Datum value)
{
	if (type->by_value)
		return value;
	if (type->length == -1)
		return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	return datumCopy(value, false, type->length);
}

void
sx_datum_free(const SxDatumType *type, Datum value)
{
	if (!type->by_value)
		pfree(DatumGetPointer(value));
}
