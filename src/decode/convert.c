/*
 * convert.c
 *	  From a field of a message to a Datum of a column.
 *
 * The quick ways of fast.c come first; what they leave goes to the type's
 * input function, which decides.  On top of it are the rules for what text
 * alone does not say:
 *
 *	  json, jsonb            take any value as the message spells it
 *	  text                   takes any value, objects and arrays as their JSON text
 *	  arrays                 take arrays, nested ones as dimensions
 *	  timestamps, dates      take numbers only with option timestamp_format
 *	  domains                are checked after their base type, NULL too
 */
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "decode/convert.h"
#include "decode/fast.h"

#define ARRAY_DIMENSIONS 6 /* = MAXDIM */

static Datum convert_slowly(SxConverter *converter, const SxField *field, SxConversion *conversion);
static Datum convert_array(SxConverter *converter, const SxField *field, SxConversion *conversion);
static bool convert_element(SxConverter *element, const SxField *field, SxConversion *conversion,
							Datum *value);
static Datum convert_epoch(SxConverter *converter, const SxField *field);
static Datum convert_text(SxConverter *converter, const char *data, size_t length);

void
sx_converter_init(SxConverter *converter, Oid type, int32 typmod, const SxStream *stream)
{
	const SxKnownType *known;
	Oid function;
	Oid element;

	memset(converter, 0, sizeof(SxConverter));
	converter->context = CurrentMemoryContext;
	converter->typmod = typmod;
	converter->type = getBaseTypeAndTypmod(type, &converter->typmod);
	if (converter->type != type)
		converter->domain = type;
	getTypeInputInfo(converter->type, &function, &converter->input_param);
	fmgr_info(function, &converter->input);
	get_typlenbyvalalign(converter->type, &converter->length, &converter->by_value,
						 &converter->align);
	converter->is_json = converter->type == JSONOID || converter->type == JSONBOID;

	known = sx_fast_find(converter->type);
	converter->fast = known ? known->fast : NULL;
	converter->is_time = known && known->is_time;
	converter->uses_settings = !known || known->uses_settings;
	converter->is_safe = (known || get_typtype(converter->type) == TYPTYPE_ENUM) &&
						 !OidIsValid(converter->domain);
	sx_fast_init(converter, stream);

	element = get_element_type(converter->type);
	if (OidIsValid(element) && converter->type != INT2VECTOROID && converter->type != OIDVECTOROID)
	{
		converter->element = palloc(sizeof(SxConverter));
		sx_converter_init(converter->element, element, converter->typmod, stream);
		converter->uses_settings = converter->element->uses_settings;
		converter->is_safe = converter->element->is_safe && !OidIsValid(converter->domain);
	}
}

bool
sx_convert(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	bool is_null = field->kind <= SX_FIELD_NULL;
	MemoryContext context;

	if (is_null)
		*value = (Datum) 0;
	else if (converter->fast == NULL || !converter->fast(converter, field, conversion, value))
	{
		context = MemoryContextSwitchTo(conversion->temp);
		*value = convert_slowly(converter, field, conversion);
		MemoryContextSwitchTo(conversion->results);
		*value = datumCopy(*value, converter->by_value, converter->length);
		MemoryContextSwitchTo(context);
		MemoryContextReset(conversion->temp);
	}
	if (unlikely(OidIsValid(converter->domain)))
		domain_check(*value, is_null, converter->domain, &converter->domain_cache,
					 converter->context);
	return is_null;
}

/* Everything that is in the text, or an error; in the current memory context. */
static Datum
convert_slowly(SxConverter *converter, const SxField *field, SxConversion *conversion)
{
	if (field->length > MaxAllocSize / 4)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("value is too large to convert")));
	if (field->kind == SX_FIELD_ARRAY && converter->element)
		return convert_array(converter, field, conversion);
	if (converter->is_json)
		return convert_text(converter, field->raw, field->raw_length);
	if (field->kind == SX_FIELD_BAD_STRING)
		ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
						errmsg("%.*s", (int) field->length, field->data)));
	if (converter->is_time && converter->timestamp_format != SX_TIMESTAMP_TEXT &&
		(converter->type == TIMESTAMPTZOID || converter->type == TIMESTAMPOID ||
		 converter->type == DATEOID) &&
		(field->kind == SX_FIELD_NUMBER ||
		 (field->kind == SX_FIELD_STRING && field->length > 0 &&
		  strspn(field->data, "0123456789.-+eE") >= field->length &&
		  memchr(field->data + 1, '-', field->length - 1) == NULL)))
		return convert_epoch(converter, field);
	if (converter->is_time && field->kind == SX_FIELD_NUMBER)
		ereport(ERROR, (errcode(ERRCODE_INVALID_DATETIME_FORMAT),
						errmsg("number %.*s is not a %s", (int) Min(field->length, 40), field->data,
							   format_type_be(converter->type)),
						errdetail("Numbers need option timestamp_format 'epoch_s' or 'epoch_ms' on "
								  "the stream.")));
	return convert_text(converter, field->data, field->length);
}
