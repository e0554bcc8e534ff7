/*
 * image.h
 *	  The image of a value of any type: bytes that tell it from every value that
 *	  can be told apart, however the two are kept in memory.
 *
 * Images are for telling values apart and for an order that is always the same,
 * which has no meaning.
 */
#ifndef SX_IMAGE_H
#define SX_IMAGE_H

#include "compat.h"

/* Internal to image.c: what the bytes of a type's values are. */
typedef enum SxImageKind
{
	SX_IMAGE_BY_VALUE,
	SX_IMAGE_FIXED,
	SX_IMAGE_CSTRING,
	SX_IMAGE_FLAT, /* a varlena whose bytes are the image */
	SX_IMAGE_ARRAY,
	SX_IMAGE_ROW,
	SX_IMAGE_RANGE,
	SX_IMAGE_MULTIRANGE
} SxImageKind;

typedef struct SxImageType
{
	Oid oid;
	SxImageKind kind;
	int16 length;
	MemoryContext context;
	int nparts; /* opened types of elements, columns or bounds */
	struct SxImageType *parts;
} SxImageType;

/* Fill in *type; what it needs is kept in context. */
extern void sx_image_open(SxImageType *type, Oid oid, MemoryContext context);

/* A value's image, in the current memory context, where the others may leave copies, too. */
extern bytea *sx_image(SxImageType *type, Datum value);

/* hash_bytes_extended of the image; and whether two images are the same. */
extern uint64 sx_image_hash(SxImageType *type, Datum value, uint64 seed);
extern bool sx_image_equal(SxImageType *type, Datum left, Datum right);

/*
 * Whether values that are equal by the default B-tree order of their type have
 * the same image; false, if they have no such order (or lack a collation for it).
 */
extern bool sx_image_follows_equality(Oid type, Oid collation);

#endif
