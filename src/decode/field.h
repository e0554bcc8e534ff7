/*
 * field.h
 *	  One field of a message, as a format finds it and convert.c takes it.
 *
 * Free of PostgreSQL's headers, because the C++ side includes it too.
 */
#ifndef SX_FIELD_H
#define SX_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum SxFieldKind
{
	SX_FIELD_MISSING,
	SX_FIELD_NULL,
	SX_FIELD_STRING,
	SX_FIELD_NUMBER,
	SX_FIELD_FALSE,
	SX_FIELD_TRUE,
	SX_FIELD_ARRAY,
	SX_FIELD_OBJECT,
	SX_FIELD_BAD_STRING /* cannot be text, for example \u0000: data says why */
} SxFieldKind;

typedef struct SxField
{
	SxFieldKind kind;
	uint32_t position; /* where the format finds it again, for elements of an array */
	const char *data;  /* the value as text: a string without quotes and escapes */
	uint32_t length;   /* of data, which has no NUL at its end */
	uint32_t raw_length;
	const char *raw; /* the value as the message spells it */
} SxField;

#endif
