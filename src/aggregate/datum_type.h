/*
 * datum_type.h
 *	  Values of any type: compare, copy, and turn them into bytes and back.
 *
 * Internal to src/aggregate.
 */
#ifndef SX_DATUM_TYPE_H
#define SX_DATUM_TYPE_H

#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/sortsupport.h"

typedef struct SxDatumWire SxDatumWire;

typedef struct SxDatumType
{
	Oid oid;
	Oid collation;
	int16 length;
	bool by_value;
	bool is_ordered;	/* has a default btree order */
	bool equal_is_same; /* values that compare equal cannot be told apart */
	MemoryContext context;
	SortSupportData sort;
	SxDatumWire *wire; /* once a value was sent or received */
} SxDatumType;

/* Fill in *type; what it needs is kept in context.  A collation is needed if the type can have one. */
extern void sx_datum_type_open(SxDatumType *type, Oid oid, Oid collation, MemoryContext context);

/* By the type's default btree order, which must exist. */
static inline int
sx_datum_compare(SxDatumType *type, Datum left, Datum right)
{
	return type->sort.comparator(left, right, &type->sort);
}

/*
 * Some total order of the type's values, stable over sending and receiving: 0
 * means that they cannot be told apart.
 */
extern int sx_datum_compare_image(SxDatumType *type, Datum left, Datum right);

/* A plain copy in the current memory context: not toasted, not expanded. */
extern Datum sx_datum_copy(const SxDatumType *type, Datum value);

/* Free what sx_datum_copy returned. */
extern void sx_datum_free(const SxDatumType *type, Datum value);

/*
 * Append a value, or NULL, to bytes that sx_datum_receive reads back, also in
 * another session.  Receiving checks everything: bytes may be forged, and then
 * the worst is an ERROR or another value.  It is allocated in the current
 * memory context.
 */
extern void sx_datum_send(SxDatumType *type, Datum value, bool is_null, StringInfo bytes);
extern Datum sx_datum_receive(SxDatumType *type, StringInfo bytes, bool *is_null);

/* Only between these two; ending is to be done in PG_FINALLY(). */
extern int sx_datum_wire_begin(void);
extern void sx_datum_wire_end(int encoding);

#endif
