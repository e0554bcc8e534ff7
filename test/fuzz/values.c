/*
 * values.c
 *	  Target "values": one text to a column of each type, beside its input function.
 *
 *		type and kind | text
 */
#include "compat.h"

#include "common/jsonapi.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "decode/convert.h"
#include "fuzz.h"

/* A type, and how its stream reads numbers. */
typedef struct Case
{
	const char *type;
	SxTimestampFormat format;
	SxConverter converter;
	FuzzType oracle;
	SxStream stream;
} Case;

static Case cases[] = {
	{"timestamptz"},
	{"timestamptz(3)"},
	{"timestamp"},
	{"date"},
	{"int8"},
	{"int4"},
	{"int2"},
	{"float8"},
	{"numeric"},
	{"numeric(14,2)"},
	{"numeric(3,3)"},
	{"uuid"},
	{"varchar(3)"},
	{"bool"},
	{"timestamptz", SX_TIMESTAMP_EPOCH_S},
	{"timestamptz", SX_TIMESTAMP_EPOCH_MS},
	{"timestamptz(2)", SX_TIMESTAMP_EPOCH_S},
	{"timestamp", SX_TIMESTAMP_EPOCH_MS},
	{"date", SX_TIMESTAMP_EPOCH_S},
	{"time"},
	{"interval"},
	{"text"},
	{"numeric(20,0)"},
	{"float4"},
};

static const char *const zones[] = {"America/New_York", "UTC"};

typedef struct Attempt
{
	Case *one;
	SxField field;
	SxConversion conversion;
	FuzzOutcome outcome;
} Attempt;

static void
open_values(void)
{
	for (int i = 0; i < lengthof(cases); i++)
	{
		Case *one = &cases[i];

		fuzz_type_open(&one->oracle, one->type);
		one->stream.timestamp_format = one->format;
		one->stream.timezone = session_timezone = pg_tzset(zones[0]);
		sx_converter_init(&one->converter, one->oracle.oid, one->oracle.typmod, &one->stream);
	}
}

static void
convert(void *state)
{
	Attempt *attempt = state;

	attempt->outcome.is_null = sx_convert(&attempt->one->converter, &attempt->field,
										  &attempt->conversion, &attempt->outcome.value);
}

static void
expect(void *state)
{
	Attempt *attempt = state;
	char *plain = pnstrdup(attempt->field.data, attempt->field.length);
	StringInfoData json;

	initStringInfo(&json);
	if (attempt->field.kind == SX_FIELD_STRING)
		escape_json(&json, plain);
	else
		appendStringInfoString(&json, plain);
	attempt->outcome.value =
		fuzz_expect(&attempt->one->oracle, &attempt->one->stream, cstring_to_text(json.data), plain,
					&attempt->outcome.is_null);
}

static SxFieldKind
kind_of(const char *text, size_t size, bool is_plain)
{
	if (!is_plain)
		return SX_FIELD_STRING;
	if (IsValidJsonNumber(text, size))
		return SX_FIELD_NUMBER;
	if (size == 4 && memcmp(text, "true", 4) == 0)
		return SX_FIELD_TRUE;
	if (size == 5 && memcmp(text, "false", 5) == 0)
		return SX_FIELD_FALSE;
	return SX_FIELD_STRING;
}

/*
 * Whether a text may spell a time zone as POSIX does, ABC-1:23: PostgreSQL keeps each such zone for as long as the
 * backend lives, and has no end of them.
 */
static bool
may_spell_zone(const char *text, size_t size)
{
	size_t name = 0;

	for (size_t i = 0; i < size; i++)
	{
		bool is_offset = memchr("+-0123456789", text[i], 12) != NULL;

		if (text[i] == '<' || (name >= 3 && is_offset))
			return true;
		name = is_offset || text[i] == ' ' || text[i] == ',' ? 0 : name + 1;
	}
	return false;
}

static void
run_values(const char *data, size_t size)
{
	Attempt converted = {0};
	Attempt expected;

	if (size < 2 || !fuzz_is_text(data + 1, size - 1) || may_spell_zone(data + 1, size - 1))
		return;
	converted.one = &cases[(data[0] & 0x7f) % lengthof(cases)];
	converted.field.kind = kind_of(data + 1, size - 1, data[0] & 0x80);
	converted.field.data = fuzz_guard(data + 1, size - 1);
	converted.field.length = size - 1;
	converted.field.raw = converted.field.data;
	converted.field.raw_length = size - 1;
	expected = converted;
	converted.conversion.results = CurrentMemoryContext;
	converted.conversion.chunk_size = 1024;
	converted.conversion.temp =
		AllocSetContextCreate(CurrentMemoryContext, "temp", ALLOCSET_SMALL_SIZES);

	fuzz_try(convert, &converted, &converted.outcome);
	fuzz_try(expect, &expected, &expected.outcome);
	if (converted.outcome.sqlstate != expected.outcome.sqlstate ||
		(converted.outcome.sqlstate == 0 &&
		 !fuzz_has_same_value(&converted.one->oracle, &converted.outcome, &expected.outcome)))
		fuzz_fail("%s of %s \"%.*s\": %s, expected: %s", converted.one->type,
				  converted.field.kind == SX_FIELD_STRING ? "string" : "scalar",
				  (int) converted.field.length, converted.field.data,
				  converted.outcome.sqlstate ? converted.outcome.message : "a value",
				  expected.outcome.sqlstate	   ? expected.outcome.message
				  : converted.outcome.sqlstate ? "a value"
											   : "another value");
}

const FuzzTarget fuzz_values = {"values", open_values, run_values};
