/*
 * expect.c
 *	  What PostgreSQL's own json and input functions make of a message's values.
 */
#include "compat.h"

#include <ctype.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datum.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "fuzz.h"

static bool is_time(const FuzzType *type);
static bool depends_on_clock(const FuzzType *type, const char *plain);
static bool is_number_text(const char *text);
static Datum expect_epoch(const FuzzType *type, const SxStream *stream, char *plain);
static Datum expect_array(const FuzzType *type, const SxStream *stream, text *json);
static void refuse(int sqlstate) pg_attribute_noreturn();

void
fuzz_type_open(FuzzType *type, const char *spelling)
{
	type->spelling = spelling;
	parseTypeString(spelling, &type->oid, &type->typmod, false);
	type->base = getBaseTypeAndTypmod(type->oid, &type->typmod);
	type->element = get_element_type(type->base);
	get_typlenbyval(type->base, &type->length, &type->by_value);
	getTypeInputInfo(type->base, &type->input, &type->input_param);
}

SxStream *
fuzz_stream(const FuzzColumn *columns, int ncolumns)
{
	SxStream *stream = palloc0(sizeof(SxStream));

	stream->format = "json";
	stream->ncolumns = ncolumns;
	stream->columns = palloc0(sizeof(SxColumn) * ncolumns);
	for (int i = 0; i < ncolumns; i++)
	{
		SxColumn *column = &stream->columns[i];

		column->attnum = i + 1;
		column->name = columns[i].name;
		column->field = columns[i].field ? columns[i].field : columns[i].name;
		parseTypeString(columns[i].type, &column->type, &column->typmod, false);
	}
	return stream;
}

bool
fuzz_has_same_value(const FuzzType *type, const FuzzOutcome *left, const FuzzOutcome *right)
{
	if (left->is_null || right->is_null)
		return left->is_null && right->is_null;
	return datum_image_eq(left->value, right->value, type->by_value, type->length);
}

text *
fuzz_member(text *object, const char *name)
{
	bool is_null;
	Datum result = fuzz_call(json_object_field, &is_null, 2, PointerGetDatum(object),
							 CStringGetTextDatum(name));

	return is_null ? NULL : DatumGetTextPP(result);
}

Datum
fuzz_expect(const FuzzType *type, const SxStream *stream, text *json, char *plain, bool *is_null)
{
	char first = json ? *VARDATA_ANY(json) : 'n';
	bool is_number = isdigit((unsigned char) first) || first == '-';
	Datum value = (Datum) 0;

	*is_null = first == 'n';
	if (*is_null)
		;
	else if (first == '[' && OidIsValid(type->element))
		value = expect_array(type, stream, json);
	else if (type->base == JSONOID || type->base == JSONBOID)
		value = OidInputFunctionCall(type->input, text_to_cstring(json), type->input_param,
									 type->typmod);
	else if (stream->timestamp_format != SX_TIMESTAMP_TEXT &&
			 (type->base == TIMESTAMPTZOID || type->base == TIMESTAMPOID ||
			  type->base == DATEOID) &&
			 (is_number || (first == '"' && is_number_text(plain))))
		value = expect_epoch(type, stream, plain);
	else if (is_time(type) && is_number)
		refuse(ERRCODE_INVALID_DATETIME_FORMAT);
	else if (depends_on_clock(type, plain))
		refuse(ERRCODE_INVALID_DATETIME_FORMAT);
	else
		value = OidInputFunctionCall(type->input, plain, type->input_param, type->typmod);
	if (type->oid != type->base && (*is_null || type->by_value || value != (Datum) 0))
		domain_check(value, *is_null, type->oid, NULL, NULL);
	return value;
}

static bool
is_time(const FuzzType *type)
{
	return type->base == DATEOID || type->base == TIMEOID || type->base == TIMETZOID ||
		   type->base == TIMESTAMPOID || type->base == TIMESTAMPTZOID;
}

/* Words for the current time are no values of times, and of ranges of whatever. */
static bool
depends_on_clock(const FuzzType *type, const char *plain)
{
	static const char *const words[] = {"now", "today", "tomorrow", "yesterday"};
	char *text = pstrdup(plain);
	Oid leaf = OidIsValid(type->element) ? type->element : type->base;
	FuzzType leaf_type = {.base = leaf};

	if (!is_time(&leaf_type) && !type_is_range(leaf) && !type_is_multirange(leaf))
		return false;
	for (char *c = text; *c; c++)
		*c = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ? *c | 0x20 : ' ';
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		for (int i = 0; i < lengthof(words); i++)
			if (strcmp(word, words[i]) == 0)
				return true;
	return false;
}

static bool
is_number_text(const char *text)
{
	bool is_negative = *text == '-';

	return *text != '\0' && strspn(text + is_negative, "0123456789.") == strlen(text + is_negative);
}

/* epoch + number * unit, in numerics; then as casts do it, in the session's time zone. */
static Datum
expect_epoch(const FuzzType *type, const SxStream *stream, char *plain)
{
	bool is_seconds = stream->timestamp_format == SX_TIMESTAMP_EPOCH_S;
	Datum number = DirectFunctionCall3(numeric_in, CStringGetDatum(plain),
									   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
	Datum unit = DirectFunctionCall1(int8_numeric, Int64GetDatum(is_seconds ? 1000000 : 1000));
	Datum whole = DirectFunctionCall2(numeric_round, DirectFunctionCall2(numeric_mul, number, unit),
									  Int32GetDatum(0));
	Datum zero = DirectFunctionCall1(
		int8_numeric, Int64GetDatum((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY));
	Datum least = DirectFunctionCall1(int8_numeric, Int64GetDatum(MIN_TIMESTAMP));
	Datum end = DirectFunctionCall1(int8_numeric, Int64GetDatum(END_TIMESTAMP));
	Datum instant = DirectFunctionCall2(numeric_sub, whole, zero);
	Datum value;

	/* the last 30 years that a timestamp has are not for numbers */
	if (!DatumGetBool(DirectFunctionCall2(numeric_lt, whole, end)) ||
		!DatumGetBool(DirectFunctionCall2(numeric_ge, instant, least)))
		refuse(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE);
	value = DirectFunctionCall1(numeric_int8, instant);
	if (type->base == TIMESTAMPTZOID)
		return DirectFunctionCall2(timestamptz_scale, value, Int32GetDatum(type->typmod));
	value = DirectFunctionCall1(timestamptz_timestamp, value);
	if (type->base == DATEOID)
		return DirectFunctionCall1(timestamp_date, value);
	return DirectFunctionCall2(timestamp_scale, value, Int32GetDatum(type->typmod));
}

/* A JSON array as an array literal. */
typedef struct Literal
{
	FuzzType element;
	const SxStream *stream;
	StringInfoData text;
	bool has_elements;
	bool has_empty; /* an array without any */
	int depth;		/* of the array that is being appended */
	int leaves;		/* at this depth; 0: none yet */
} Literal;

static void
append_elements(Literal *literal, text *json)
{
	int length = DatumGetInt32(DirectFunctionCall1(json_array_length, PointerGetDatum(json)));
	bool is_flat = literal->element.base == JSONOID || literal->element.base == JSONBOID;

	appendStringInfoChar(&literal->text, '{');
	literal->depth++;
	literal->has_empty |= length == 0;
	for (int i = 0; i < length; i++)
	{
		bool is_null;
		Datum index = Int32GetDatum(i);
		text *item = DatumGetTextPP(
			fuzz_call(json_array_element, &is_null, 2, PointerGetDatum(json), index));
		char *plain;

		if (i > 0)
			appendStringInfoChar(&literal->text, ',');
		if (*VARDATA_ANY(item) == '[' && !is_flat)
		{
			append_elements(literal, item);
			continue;
		}
		literal->has_elements = true;
		/* array_in of PostgreSQL 15 takes some of these */
		if (literal->leaves != 0 && literal->leaves != literal->depth)
			refuse(ERRCODE_ARRAY_SUBSCRIPT_ERROR);
		literal->leaves = literal->depth;
		if (*VARDATA_ANY(item) == 'n')
		{
			appendStringInfoString(&literal->text, "NULL");
			continue;
		}
		plain = is_flat ? text_to_cstring(item)
						: text_to_cstring(DatumGetTextPP(fuzz_call(
							  json_array_element_text, &is_null, 2, PointerGetDatum(json), index)));
		/* refused for itself, if it is */
		(void) fuzz_expect(&literal->element, literal->stream, item, plain, &is_null);
		if (literal->stream->timestamp_format != SX_TIMESTAMP_TEXT &&
			literal->element.base == TIMESTAMPTZOID &&
			(*VARDATA_ANY(item) != '"' || is_number_text(plain)))
			plain = DatumGetCString(
				DirectFunctionCall1(timestamptz_out, fuzz_expect(&literal->element, literal->stream,
																 item, plain, &is_null)));
		appendStringInfoChar(&literal->text, '"');
		for (; *plain; plain++)
		{
			if (*plain == '"' || *plain == '\\')
				appendStringInfoChar(&literal->text, '\\');
			appendStringInfoChar(&literal->text, *plain);
		}
		appendStringInfoChar(&literal->text, '"');
	}
	appendStringInfoChar(&literal->text, '}');
	literal->depth--;
}

static Datum
expect_array(const FuzzType *type, const SxStream *stream, text *json)
{
	Literal literal = {.stream = stream};

	/* an array's typmod is its elements' */
	literal.element.oid = type->element;
	literal.element.typmod = type->typmod;
	literal.element.base = getBaseTypeAndTypmod(type->element, &literal.element.typmod);
	getTypeInputInfo(literal.element.base, &literal.element.input, &literal.element.input_param);
	initStringInfo(&literal.text);
	append_elements(&literal, json);
	if (!literal.has_elements && strpbrk(literal.text.data + 1, "{,"))
		return (Datum) 0; /* the caller cannot tell */
	if (literal.has_elements && literal.has_empty)
		refuse(ERRCODE_ARRAY_SUBSCRIPT_ERROR);
	return OidInputFunctionCall(type->input, literal.text.data, type->input_param, type->typmod);
}

static void
refuse(int sqlstate)
{
	ereport(ERROR, (errcode(sqlstate), errmsg("not a value by the rules of streamx")));
}
