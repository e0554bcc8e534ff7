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

#include <ctype.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
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

/* Longer values are not even tried: input functions need several times as much. */
#define MAX_LENGTH (256 * 1024 * 1024)

static Datum convert_slowly(SxConverter *converter, const SxField *field, SxConversion *conversion);
static bool has_clock_word(const char *data, size_t length);
static Datum convert_array(SxConverter *converter, const SxField *field, SxConversion *conversion);
static bool
convert_element(SxConverter *element, const SxField *field, SxConversion *conversion, Datum *value);
static bool is_epoch(const SxConverter *converter, const SxField *field);
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
	converter->takes_clock_words =
		known ? known->is_time
			  : type_is_range(converter->type) || type_is_multirange(converter->type);
	converter->uses_settings = !known || known->uses_settings;
	converter->is_safe =
		(known || get_typtype(converter->type) == TYPTYPE_ENUM) && !OidIsValid(converter->domain);
	sx_fast_init(converter, stream);

	element = get_element_type(converter->type);
	if (OidIsValid(element) && converter->type != INT2VECTOROID && converter->type != OIDVECTOROID)
	{
		converter->element = palloc(sizeof(SxConverter));
		sx_converter_init(converter->element, element, converter->typmod, stream);
		converter->uses_settings = true; /* array_nulls */
		converter->takes_clock_words = converter->element->takes_clock_words;
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

/* What the quick ways left, or an error; in the current memory context. */
static Datum
convert_slowly(SxConverter *converter, const SxField *field, SxConversion *conversion)
{
	if (field->raw_length > MAX_LENGTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("value is too large to convert")));
	if (field->kind == SX_FIELD_ARRAY && converter->element)
		return convert_array(converter, field, conversion);
	if (converter->is_json)
		return convert_text(converter, field->raw, field->raw_length);
	if (field->kind == SX_FIELD_BAD_STRING)
		ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER),
						errmsg("%.*s", (int) field->length, field->data)));
	if (is_epoch(converter, field))
		return convert_epoch(converter, field);
	if (converter->is_time && field->kind == SX_FIELD_NUMBER)
		ereport(ERROR, (errcode(ERRCODE_INVALID_DATETIME_FORMAT),
						errmsg("number %.*s is not a %s", (int) Min(field->length, 40), field->data,
							   format_type_be(converter->type)),
						errdetail("A number is one only with the stream's option "
								  "timestamp_format 'epoch_s' or 'epoch_ms'.")));
	if (converter->takes_clock_words && has_clock_word(field->data, field->length))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_DATETIME_FORMAT),
				 errmsg("invalid input for type %s: \"%.*s\"", format_type_be(converter->type),
						(int) Min(field->length, 40), field->data),
				 errdetail("It depends on the time at which it is read.")));
	return convert_text(converter, field->data, field->length);
}

/* Whether a text has one of the words for the current time or day. */
static bool
has_clock_word(const char *data, size_t length)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	size_t start;
	size_t end;
	int i;

	for (start = 0; start < length; start = end + 1)
	{
		for (end = start; end < length && isalpha((unsigned char) data[end]); end++)
			;
		for (i = 0; i < lengthof(words); i++)
			if (end - start == strlen(words[i]) &&
				pg_strncasecmp(data + start, words[i], end - start) == 0)
				return true;
	}
	return false;
}

/* The type's input function, in the database's encoding. */
static Datum
convert_text(SxConverter *converter, const char *data, size_t length)
{
	char *text = palloc(length + 1);

	memcpy(text, data, length);
	text[length] = '\0';
	if (GetDatabaseEncoding() != PG_UTF8)
		text = pg_any_to_server(text, length, PG_UTF8);
	return InputFunctionCall(&converter->input, text, converter->input_param, converter->typmod);
}

/*
 * Every element by its own type's rules; json elements are not taken for
 * dimensions.
 */
static Datum
convert_array(SxConverter *converter, const SxField *field, SxConversion *conversion)
{
	SxConverter *element = converter->element;
	int dimensions[ARRAY_DIMENSIONS];
	int lower_bounds[ARRAY_DIMENSIONS] = {1, 1, 1, 1, 1, 1};
	int ndimensions;
	int64 count;
	int64 i;
	SxField *fields;
	Datum *values;
	bool *isnull;

	count = conversion->elements(conversion->format, field->position, element->is_json,
								 ARRAY_DIMENSIONS, &ndimensions, dimensions, NULL);
	if (count == -1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR), errmsg("malformed JSON array"),
						errdetail("Multidimensional arrays must have sub-arrays with matching "
								  "dimensions.")));
	if (count < 0 || count > MaxArraySize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("JSON array is too large for type %s", format_type_be(converter->type))));
	if (count == 0)
		return PointerGetDatum(
			construct_empty_array(OidIsValid(element->domain) ? element->domain : element->type));

	fields = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SxField) * count);
	values = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Datum) * count);
	isnull = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(bool) * count);
	conversion->elements(conversion->format, field->position, element->is_json, ARRAY_DIMENSIONS,
						 &ndimensions, dimensions, fields);
	for (i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		isnull[i] = convert_element(element, &fields[i], conversion, &values[i]);
	}
	return PointerGetDatum(
		construct_md_array(values, isnull, ndimensions, dimensions, lower_bounds,
						   OidIsValid(element->domain) ? element->domain : element->type,
						   element->length, element->by_value, element->align));
}

/* Like sx_convert, but everything stays in the current memory context. */
static bool
convert_element(SxConverter *element, const SxField *field, SxConversion *conversion, Datum *value)
{
	SxConversion temporary = {.results = CurrentMemoryContext, .chunk_size = 0};
	bool is_null = field->kind <= SX_FIELD_NULL;

	if (is_null)
		*value = (Datum) 0;
	else if (element->fast == NULL || !element->fast(element, field, &temporary, value))
		*value = convert_slowly(element, field, conversion);
	if (OidIsValid(element->domain))
		domain_check(*value, is_null, element->domain, &element->domain_cache, element->context);
	return is_null;
}

/* Whether a field is a number that stands for a timestamp. */
static bool
is_epoch(const SxConverter *converter, const SxField *field)
{
	uint32 i = 0;

	if (converter->timestamp_format == SX_TIMESTAMP_TEXT ||
		(converter->type != TIMESTAMPTZOID && converter->type != TIMESTAMPOID &&
		 converter->type != DATEOID))
		return false;
	if (field->kind != SX_FIELD_STRING)
		return field->kind == SX_FIELD_NUMBER;
	if (field->length > 0 && field->data[0] == '-')
		i++;
	for (; i < field->length; i++)
		if ((field->data[i] < '0' || field->data[i] > '9') && field->data[i] != '.')
			return false;
	return field->length > 0;
}

/* Microseconds since 2000-01-01 UTC, rounded. */
static TimestampTz
epoch_to_instant(const SxConverter *converter, const SxField *field)
{
	int64 unit = converter->timestamp_format == SX_TIMESTAMP_EPOCH_S ? USECS_PER_SEC : 1000;
	char *text = pnstrdup(field->data, field->length);
	Datum number;
	int64 result;

	number = DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
	number = DirectFunctionCall2(numeric_mul, number, NumericGetDatum(int64_to_numeric(unit)));
	number = DirectFunctionCall2(numeric_round, number, Int32GetDatum(0));
	if (!DatumGetBool(DirectFunctionCall2(numeric_lt, DirectFunctionCall1(numeric_abs, number),
										  NumericGetDatum(int64_to_numeric(END_TIMESTAMP)))) ||
		pg_sub_s64_overflow(DatumGetInt64(DirectFunctionCall1(numeric_int8, number)),
							(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY, &result) ||
		!IS_VALID_TIMESTAMP(result))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range: \"%.*s\"", (int) Min(field->length, 40),
							   field->data)));
	return result;
}

/* A number as timestamp; types without time zone show the stream's local time. */
static Datum
convert_epoch(SxConverter *converter, const SxField *field)
{
	TimestampTz instant = epoch_to_instant(converter, field);
	Timestamp local;
	struct pg_tm tm;
	fsec_t fsec;
	int zone;
	const char *abbreviation;

	if (converter->type == TIMESTAMPTZOID)
		return DirectFunctionCall2(timestamptz_scale, TimestampTzGetDatum(instant),
								   Int32GetDatum(converter->typmod));
	if (timestamp2tm(instant, &zone, &tm, &fsec, &abbreviation, converter->timezone) != 0 ||
		tm2timestamp(&tm, fsec, NULL, &local) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	if (converter->type == DATEOID)
		return DateADTGetDatum(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - POSTGRES_EPOCH_JDATE);
	return DirectFunctionCall2(timestamp_scale, TimestampGetDatum(local),
							   Int32GetDatum(converter->typmod));
}
