/*
 * convert.h
 *	  From a field of a message to a Datum of a column.
 */
#ifndef SX_CONVERT_H
#define SX_CONVERT_H

#include "compat.h"

#include "catalog/stream.h"
#include "decode/field.h"

typedef struct SxConverter SxConverter;

/* What conversions of one run share. */
typedef struct SxConversion
{
	MemoryContext results; /* of Datums */
	char *next;			   /* what is left of a chunk taken from there */
	size_t left;
	size_t chunk_size;
	MemoryContext temp; /* reset after each slow conversion */

	/* elements of an array, as sx_json_elements: -1 not rectangular, -2 too many dimensions */
	int64 (*elements)(void *format, uint32 position, bool is_flat, int max_dimensions,
					  int *ndimensions, int *dimensions, SxField *fields);
	void *format;
} SxConversion;

/* The quick way of a type: true if *value is surely what its input function would give. */
typedef bool (*SxConvertFast)(SxConverter *converter, const SxField *field,
							  SxConversion *conversion, Datum *value);

struct SxConverter
{
	SxConvertFast fast; /* NULL: none */
	Oid type;			/* base type */
	int32 typmod;
	int16 length;
	bool by_value;
	char align;
	bool is_json;			/* json, jsonb: takes the value as the message spells it */
	bool is_time;			/* date, time, ...: numbers need timestamp_format */
	bool takes_clock_words; /* "now" and the like, which no message may say */
	bool is_safe;			/* its input function is pure: no subtransaction is needed */
	bool uses_settings;		/* its input function depends on settings */
	FmgrInfo input;
	Oid input_param;
	Oid domain; /* InvalidOid: none */
	void *domain_cache;
	SxConverter *element;  /* NULL: not an array */
	MemoryContext context; /* of this struct */

	/* numeric(p,s): scale -1: none */
	int scale;
	uint64 integer_limit; /* values must be less */

	/* timestamps */
	SxTimestampFormat timestamp_format;
	pg_tz *timezone;
	bool is_fixed_offset;
	int64 offset_us;	/* east of UTC, if fixed */
	int max_scale;		/* digits of seconds that need no rounding */
	char last_date[10]; /* the last date seen, and its days since 2000-01-01 */
	int32 last_days;
};

/* Make a converter, which lives in the current memory context. */
extern void
sx_converter_init(SxConverter *converter, Oid type, int32 typmod, const SxStream *stream);

/*
 * Convert a field; returns whether the value is NULL.  What is wrong with the
 * field is an ereport.
 */
extern bool
sx_convert(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value);

/* Memory for a small result. */
static inline void *
sx_conversion_alloc(SxConversion *conversion, size_t size)
{
	void *result;

	size = MAXALIGN(size);
	if (unlikely(size > conversion->left))
	{
		if (size > conversion->chunk_size / 8)
			return MemoryContextAlloc(conversion->results, size);
		conversion->next = MemoryContextAlloc(conversion->results, conversion->chunk_size);
		conversion->left = conversion->chunk_size;
	}
	result = conversion->next;
	conversion->next += size;
	conversion->left -= size;
	return result;
}

#endif
