/*
 * fast.h
 *	  The built-in types that convert.c knows, and quick ways to their Datums.
 */
#ifndef SX_FAST_H
#define SX_FAST_H

#include "compat.h"

#include "decode/convert.h"

/* What is known of a built-in base type; its input function is pure. */
typedef struct SxKnownType
{
	Oid type;
	SxConvertFast fast; /* NULL: none */
	bool uses_settings; /* its input depends on DateStyle, TimeZone, IntervalStyle */
	bool is_time;		/* a number is no value of it */
} SxKnownType;

/* NULL: the type is not among them. */
extern const SxKnownType *sx_fast_find(Oid type);

/* Prepare the members of a converter that the quick ways need. */
extern void sx_fast_init(SxConverter *converter, const SxStream *stream);

#endif
