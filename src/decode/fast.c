/*
 * fast.c
 *	  Quick ways from a field's text to a Datum, for the commonest spellings of
 *	  the commonest types.
 *
 * Each either gives exactly what the type's input function would, typmod
 * included, or says false and leaves the field to it: all that is rare, odd or
 * wrong goes there.  test/sql/decode.sql compares the two over many values.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "decode/fast.h"

/* So many decimal digits fit an int64. */
#define MAX_DIGITS 18

/* numeric.c's on-disk form of a short numeric: varlena header, this header, digits. */
#define NUMERIC_BASE 10000
#define NUMERIC_BASE_DIGITS 4
#define MAX_FRACTION 16 /* padded to whole base digits still an int64 */
#define NUMERIC_SHORT 0x8000
#define NUMERIC_SHORT_NEGATIVE 0x2000
#define NUMERIC_SHORT_DSCALE_SHIFT 7
#define NUMERIC_SHORT_DSCALE_MAX 0x3F
#define NUMERIC_SHORT_WEIGHT_MASK 0x7F /* two's complement in seven bits */

#define DATE_LENGTH 10 /* 2024-05-01 */

/* So many digits of microseconds are surely a timestamp, after the year 4000. */
#define EPOCH_MAX_DIGITS 17

static const uint64 powers_of_ten[MAX_DIGITS + 1] = {UINT64CONST(1),
													 UINT64CONST(10),
													 UINT64CONST(100),
													 UINT64CONST(1000),
													 UINT64CONST(10000),
													 UINT64CONST(100000),
													 UINT64CONST(1000000),
													 UINT64CONST(10000000),
													 UINT64CONST(100000000),
													 UINT64CONST(1000000000),
													 UINT64CONST(10000000000),
													 UINT64CONST(100000000000),
													 UINT64CONST(1000000000000),
													 UINT64CONST(10000000000000),
													 UINT64CONST(100000000000000),
													 UINT64CONST(1000000000000000),
													 UINT64CONST(10000000000000000),
													 UINT64CONST(100000000000000000),
													 UINT64CONST(1000000000000000000)};

/* A decimal without exponent: (-1)^is_negative * (integer + fraction / 10^scale). */
typedef struct Decimal
{
	bool is_negative;
	int scale;
	int digits;
	uint64 integer;
	uint64 fraction;
} Decimal;

static inline bool
is_digit(char c)
{
	return (unsigned char) (c - '0') < 10;
}

/* Whether a field's text is for the type's input function; else it is an array or bad. */
static inline bool
is_scalar(const SxField *field)
{
	return field->kind == SX_FIELD_STRING || field->kind == SX_FIELD_NUMBER;
}

/* -12.50 and the like: digits, and digits behind a point if there is one. */
static inline bool
parse_decimal(const SxField *field, Decimal *decimal)
{
	const char *data = field->data;
	const char *end = data + field->length;
	const char *start;
	uint64 value = 0;

	if (!is_scalar(field) || field->length == 0 || field->length > MAX_DIGITS + 2)
		return false;
	decimal->is_negative = *data == '-';
	data += decimal->is_negative;
	for (start = data; data < end && is_digit(*data); data++)
		value = value * 10 + (*data - '0');
	decimal->digits = data - start;
	decimal->integer = value;
	decimal->fraction = 0;
	decimal->scale = 0;
	if (decimal->digits == 0)
		return false;
	if (data < end && *data == '.')
	{
		value = 0;
		for (start = ++data; data < end && is_digit(*data); data++)
			value = value * 10 + (*data - '0');
		decimal->fraction = value;
		decimal->scale = data - start;
		decimal->digits += decimal->scale;
		if (decimal->scale == 0)
			return false;
	}
	return data == end && decimal->digits <= MAX_DIGITS;
}

static inline bool
parse_integer(const SxField *field, int64 *value)
{
	const char *data = field->data;
	const char *end = data + field->length;
	bool is_negative;
	int64 result = 0;

	if (!is_scalar(field) || field->length == 0 || field->length > MAX_DIGITS)
		return false;
	is_negative = *data == '-';
	data += is_negative;
	if (data == end)
		return false;
	for (; data < end; data++)
	{
		if (!is_digit(*data))
			return false;
		result = result * 10 + (*data - '0');
	}
	*value = is_negative ? -result : result;
	return true;
}

static bool
fast_int2(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	int64 result;

	if (!parse_integer(field, &result) || result < PG_INT16_MIN || result > PG_INT16_MAX)
		return false;
	*value = Int16GetDatum((int16) result);
	return true;
}

static bool
fast_int4(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	int64 result;

	if (!parse_integer(field, &result) || result < PG_INT32_MIN || result > PG_INT32_MAX)
		return false;
	*value = Int32GetDatum((int32) result);
	return true;
}

static bool
fast_int8(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	int64 result;

	if (!parse_integer(field, &result))
		return false;
	*value = Int64GetDatum(result);
	return true;
}

/* Both numbers are exact as doubles, so their quotient is the nearest double. */
static bool
fast_float8(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	Decimal decimal;
	double result;

	if (!parse_decimal(field, &decimal) || decimal.digits > 15)
		return false;
	result = (double) (decimal.integer * powers_of_ten[decimal.scale] + decimal.fraction) /
			 (double) powers_of_ten[decimal.scale];
	*value = Float8GetDatum(decimal.is_negative ? -result : result);
	return true;
}

static bool
fast_bool(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	if (field->kind != SX_FIELD_TRUE && field->kind != SX_FIELD_FALSE)
		return false;
	*value = BoolGetDatum(field->kind == SX_FIELD_TRUE);
	return true;
}

/* Text as the message has it, which is UTF-8. */
static bool
fast_text(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	text *result;

	if (field->kind == SX_FIELD_BAD_STRING || GetDatabaseEncoding() != PG_UTF8)
		return false;
	result = sx_conversion_alloc(conversion, field->length + VARHDRSZ);
	SET_VARSIZE(result, field->length + VARHDRSZ);
	memcpy(VARDATA(result), field->data, field->length);
	*value = PointerGetDatum(result);
	return true;
}

static bool
fast_varchar(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	/* no more bytes than characters allowed: fits in any case */
	if (converter->typmod >= (int32) VARHDRSZ && field->length > converter->typmod - VARHDRSZ)
		return false;
	return fast_text(converter, field, conversion, value);
}

/* Base-10000 digits of a decimal, first one first; *weight is that of the first.  scale <= 16. */
static inline int
base_digits(const Decimal *decimal, int16 *digits, int *weight)
{
	int groups = (decimal->scale + NUMERIC_BASE_DIGITS - 1) / NUMERIC_BASE_DIGITS;
	uint64 fraction = decimal->fraction;
	uint64 integer = decimal->integer;
	int16 reversed[MAX_DIGITS];
	int count = 0;
	int n = 0;
	int i;

	fraction *= powers_of_ten[groups * NUMERIC_BASE_DIGITS - decimal->scale];
	for (i = 0; i < groups; i++, fraction /= NUMERIC_BASE)
		reversed[n++] = fraction % NUMERIC_BASE;
	*weight = -1;
	for (; integer > 0; integer /= NUMERIC_BASE, (*weight)++)
		reversed[n++] = integer % NUMERIC_BASE;
	while (n > 0 && reversed[n - 1] == 0)
	{
		n--;
		(*weight)--;
	}
	for (i = 0; i < n && reversed[i] == 0; i++)
		;
	while (n > i)
		digits[count++] = reversed[--n];
	return count;
}

static bool
fast_numeric(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	Decimal decimal;
	int16 digits[MAX_DIGITS];
	int count;
	int weight;
	int dscale;
	uint16 header;
	char *result;
	Size size;

	if (!parse_decimal(field, &decimal) || decimal.scale > MAX_FRACTION)
		return false;
	dscale = decimal.scale;
	if (converter->scale >= 0)
	{
		/* neither to be rounded nor too large */
		if (decimal.scale > converter->scale || decimal.integer >= converter->integer_limit)
			return false;
		dscale = converter->scale;
	}
	count = base_digits(&decimal, digits, &weight);
	if (count == 0)
	{
		weight = 0;
		decimal.is_negative = false;
	}
	header = NUMERIC_SHORT | (decimal.is_negative ? NUMERIC_SHORT_NEGATIVE : 0) |
			 (dscale << NUMERIC_SHORT_DSCALE_SHIFT) | (weight & NUMERIC_SHORT_WEIGHT_MASK);
	size = VARHDRSZ + sizeof(uint16) + count * sizeof(int16);
	result = sx_conversion_alloc(conversion, size);
	SET_VARSIZE(result, size);
	memcpy(result + VARHDRSZ, &header, sizeof(uint16));
	memcpy(result + VARHDRSZ + sizeof(uint16), digits, count * sizeof(int16));
	*value = PointerGetDatum(result);
	return true;
}

/* 0 to 99, or negative */
static inline int
two_digits(const char *data)
{
	if (!is_digit(data[0]) || !is_digit(data[1]))
		return -1;
	return (data[0] - '0') * 10 + (data[1] - '0');
}

/* YYYY-MM-DD to days since 2000-01-01 */
static inline bool
parse_date(SxConverter *converter, const char *data, int32 *days)
{
	int century;
	int year;
	int month;
	int day;

	if (memcmp(data, converter->last_date, DATE_LENGTH) == 0)
	{
		*days = converter->last_days;
		return true;
	}
	century = two_digits(data);
	year = two_digits(data + 2);
	month = two_digits(data + 5);
	day = two_digits(data + 8);
	if (century < 0 || year < 0 || data[4] != '-' || data[7] != '-')
		return false;
	year += century * 100;
	if (year < 1 || month < 1 || month > 12 || day < 1 || day > day_tab[isleap(year)][month - 1])
		return false;
	*days = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	memcpy(converter->last_date, data, DATE_LENGTH);
	converter->last_days = *days;
	return true;
}

/* Z, +02, +0200, +02:00 at the end of the text; *offset_us is east of UTC. */
static inline bool
parse_zone(const char *data, const char *end, int64 *offset_us)
{
	int length = end - data;
	int hours;
	int minutes = 0;

	*offset_us = 0;
	if (length == 1)
		return *data == 'Z';
	if ((*data != '+' && *data != '-') || (length != 3 && length != 5 && length != 6))
		return false;
	hours = two_digits(data + 1);
	if (length > 3)
		minutes = two_digits(end - 2);
	if (hours < 0 || hours > MAX_TZDISP_HOUR || minutes < 0 || minutes >= MINS_PER_HOUR ||
		(length == 6 && data[3] != ':'))
		return false;
	*offset_us = (hours * SECS_PER_HOUR + minutes * SECS_PER_MINUTE) * USECS_PER_SEC;
	if (*data == '-')
		*offset_us = -*offset_us;
	return true;
}

/* HH:MM[:SS[.ffffff]], with max_scale digits behind the point; *rest is what follows. */
static inline bool
parse_time(const char *data, const char *end, int max_scale, int64 *time_us, const char **rest)
{
	int hours;
	int minutes;
	int seconds = 0;
	int scale = 0;
	int64 fraction = 0;

	if (end - data < 5 || data[2] != ':')
		return false;
	hours = two_digits(data);
	minutes = two_digits(data + 3);
	data += 5;
	if (end - data >= 3 && data[0] == ':')
	{
		seconds = two_digits(data + 1);
		data += 3;
		if (data < end && *data == '.')
		{
			for (data++; data < end && is_digit(*data) && scale < 7; data++, scale++)
				fraction = fraction * 10 + (*data - '0');
			if (scale == 0 || scale > max_scale)
				return false;
			fraction *= powers_of_ten[6 - scale];
		}
	}
	if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59)
		return false;
	*time_us = ((hours * 60 + minutes) * 60 + seconds) * USECS_PER_SEC + fraction;
	*rest = data;
	return true;
}

/*
 * An ISO 8601 date and time as if it were UTC, and its zone's offset.  A date
 * alone is its midnight.
 */
static inline bool
parse_timestamp(SxConverter *converter, const SxField *field, Timestamp *result, bool *has_zone,
				int64 *offset_us)
{
	const char *data = field->data;
	const char *end = data + field->length;
	int32 days;
	int64 time_us = 0;

	*has_zone = false;
	if (field->kind != SX_FIELD_STRING || field->length < DATE_LENGTH ||
		!parse_date(converter, data, &days))
		return false;
	data += DATE_LENGTH;
	if (data < end)
	{
		if ((*data != 'T' && *data != ' ') ||
			!parse_time(data + 1, end, converter->max_scale, &time_us, &data))
			return false;
		if (data < end)
		{
			if (!parse_zone(data, end, offset_us))
				return false;
			*has_zone = true;
		}
	}
	*result = days * USECS_PER_DAY + time_us;
	return true;
}

/* Local time in the stream's time zone to an instant. */
static TimestampTz
local_to_instant(const SxConverter *converter, Timestamp local)
{
	struct pg_tm tm;
	fsec_t fsec;

	if (converter->is_fixed_offset)
		return local - converter->offset_us;
	if (timestamp2tm(local, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "timestamp out of range");
	return local + (int64) DetermineTimeZoneOffset(&tm, converter->timezone) * USECS_PER_SEC;
}

/* A number of seconds or milliseconds since 1970. */
static bool
fast_epoch(SxConverter *converter, const SxField *field, Datum *value)
{
	int unit_scale = converter->timestamp_format == SX_TIMESTAMP_EPOCH_S ? 6 : 3;
	int digits_left;
	Decimal decimal;
	int64 result;

	if (converter->typmod >= 0 || !parse_decimal(field, &decimal))
		return false;
	digits_left = unit_scale - decimal.scale;
	if (digits_left < 0 || decimal.digits + digits_left > EPOCH_MAX_DIGITS)
		return false;
	result = (decimal.integer * powers_of_ten[decimal.scale] + decimal.fraction) *
			 powers_of_ten[digits_left];
	if (decimal.is_negative)
		result = -result;
	result -= (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	*value = TimestampTzGetDatum(result);
	return true;
}

static bool
fast_timestamptz(SxConverter *converter, const SxField *field, SxConversion *conversion,
				 Datum *value)
{
	Timestamp result;
	bool has_zone;
	int64 offset_us;

	if (converter->timestamp_format != SX_TIMESTAMP_TEXT)
		return fast_epoch(converter, field, value);
	if (!parse_timestamp(converter, field, &result, &has_zone, &offset_us))
		return false;
	if (has_zone)
		result -= offset_us;
	else
		result = local_to_instant(converter, result);
	*value = TimestampTzGetDatum(result);
	return true;
}

/* timestamp_in ignores the zone */
static bool
fast_timestamp(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	Timestamp result;
	bool has_zone;
	int64 offset_us;

	if (converter->timestamp_format != SX_TIMESTAMP_TEXT ||
		!parse_timestamp(converter, field, &result, &has_zone, &offset_us))
		return false;
	*value = TimestampGetDatum(result);
	return true;
}

static bool
fast_date(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	int32 days;

	if (field->kind != SX_FIELD_STRING || field->length != DATE_LENGTH ||
		!parse_date(converter, field->data, &days))
		return false;
	*value = DateADTGetDatum(days);
	return true;
}

static inline int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The usual form, 8-4-4-4-12 hexadecimal digits. */
static bool
fast_uuid(SxConverter *converter, const SxField *field, SxConversion *conversion, Datum *value)
{
	pg_uuid_t result;
	const char *data = field->data;
	int i;

	if (field->kind != SX_FIELD_STRING || field->length != 36)
		return false;
	for (i = 0; i < UUID_LEN; i++, data += 2)
	{
		int high;
		int low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *data++ != '-')
			return false;
		high = hex_digit(data[0]);
		low = hex_digit(data[1]);
		if (high < 0 || low < 0)
			return false;
		result.data[i] = (unsigned char) (high << 4 | low);
	}
	*value =
		PointerGetDatum(memcpy(sx_conversion_alloc(conversion, UUID_LEN), result.data, UUID_LEN));
	return true;
}

static const SxKnownType known_types[] = {
	{TEXTOID, fast_text, false, false},
	{VARCHAROID, fast_varchar, false, false},
	{INT4OID, fast_int4, false, false},
	{INT8OID, fast_int8, false, false},
	{INT2OID, fast_int2, false, false},
	{NUMERICOID, fast_numeric, false, false},
	{FLOAT8OID, fast_float8, false, false},
	{BOOLOID, fast_bool, false, false},
	{TIMESTAMPTZOID, fast_timestamptz, true, true},
	{TIMESTAMPOID, fast_timestamp, true, true},
	{DATEOID, fast_date, true, true},
	{UUIDOID, fast_uuid, false, false},
	{FLOAT4OID, NULL, false, false},
	{BPCHAROID, NULL, false, false},
	{CHAROID, NULL, false, false},
	{NAMEOID, NULL, false, false},
	{JSONBOID, NULL, false, false},
	{JSONOID, NULL, false, false},
	{BYTEAOID, NULL, false, false},
	{TIMEOID, NULL, true, true},
	{TIMETZOID, NULL, true, true},
	{INTERVALOID, NULL, true, false},
	{INETOID, NULL, false, false},
	{CIDROID, NULL, false, false},
	{MACADDROID, NULL, false, false},
	{MACADDR8OID, NULL, false, false},
	{BITOID, NULL, false, false},
	{VARBITOID, NULL, false, false},
	{OIDOID, NULL, false, false},
	{POINTOID, NULL, false, false},
	{LSEGOID, NULL, false, false},
	{BOXOID, NULL, false, false},
	{PATHOID, NULL, false, false},
	{POLYGONOID, NULL, false, false},
	{LINEOID, NULL, false, false},
	{CIRCLEOID, NULL, false, false},
};

const SxKnownType *
sx_fast_find(Oid type)
{
	int i;

	for (i = 0; i < lengthof(known_types); i++)
		if (known_types[i].type == type)
			return &known_types[i];
	return NULL;
}

void
sx_fast_init(SxConverter *converter, const SxStream *stream)
{
	long offset_s = 0;

	converter->timestamp_format = stream->timestamp_format;
	converter->timezone = stream->timezone;
	converter->is_fixed_offset = pg_get_timezone_offset(stream->timezone, &offset_s);
	converter->offset_us = (int64) offset_s * USECS_PER_SEC;
	converter->max_scale = converter->typmod >= 0 ? Min(converter->typmod, 6) : 6;
	memcpy(converter->last_date, "2000-01-01", DATE_LENGTH);
	converter->last_days = 0;
	converter->scale = -1;
	if (converter->type == NUMERICOID && converter->typmod >= (int32) VARHDRSZ)
	{
		int32 typmod = converter->typmod - VARHDRSZ;
		int precision = (typmod >> 16) & 0xffff;
		int scale = ((typmod & 0x7ff) ^ 1024) - 1024;

		if (scale < 0 || scale > precision || scale > NUMERIC_SHORT_DSCALE_MAX)
			converter->fast = NULL;
		converter->scale = scale;
		converter->integer_limit = precision - scale <= MAX_DIGITS
									   ? powers_of_ten[Max(precision - scale, 0)]
									   : PG_UINT64_MAX;
	}
}
