/*
 * sum.c
 *	  Add serialised states of sum and avg of numeric and bigint as they are.
 *
 * The commonest of all states: to deserialise two of them, combine them and
 * serialise the result costs several times what adding their digits does.
 *
 *		numeric   N | sum | largest scale | inputs of that scale | NaN | infinity | -infinity
 *		bigint    N | sum
 *
 *		sum       digits (0 to 9999) | weight of the first | sign | scale | digit...
 *
 * test/sql/sum.sql compares the bytes with those that PostgreSQL's functions give.
 */
#include "compat.h"

#include "port/pg_bswap.h"
#include "utils/fmgroids.h"

#include "aggregate/sum.h"

#define DIGIT_BASE 10000
#define NEGATIVE 0x4000

/* So many digits, that is 128 decimal ones; larger sums are left to PostgreSQL. */
#define MAX_DIGITS 32

/* Larger counts might overflow. */
#define MAX_COUNT (PG_INT64_MAX / 2)

/* Bytes of a state, but for the digits. */
#define BIGINT_SIZE (sizeof(int64) + 4 * sizeof(int32))
#define NUMERIC_SIZE (BIGINT_SIZE + sizeof(int32) + 4 * sizeof(int64))

typedef struct Sum
{
	int64 count;
	int ndigits;
	int weight; /* of the first: DIGIT_BASE ^ weight */
	bool is_negative;
	int32 scale;
	const char *digits; /* int16 each, in network order */

	/* of numeric */
	int32 max_scale;
	int64 max_scale_count;
} Sum;

static inline int16
get16(const char *data)
{
	uint16 value;

	memcpy(&value, data, sizeof(value));
	return (int16) pg_ntoh16(value);
}

static inline int32
get32(const char *data)
{
	uint32 value;

	memcpy(&value, data, sizeof(value));
	return (int32) pg_ntoh32(value);
}

static inline int64
get64(const char *data)
{
	uint64 value;

	memcpy(&value, data, sizeof(value));
	return (int64) pg_ntoh64(value);
}

static inline char *
put16(char *to, int16 value)
{
	uint16 word = pg_hton16((uint16) value);

	memcpy(to, &word, sizeof(word));
	return to + sizeof(word);
}

static inline char *
put32(char *to, int32 value)
{
	uint32 word = pg_hton32((uint32) value);

	memcpy(to, &word, sizeof(word));
	return to + sizeof(word);
}

static inline char *
put64(char *to, int64 value)
{
	uint64 word = pg_hton64((uint64) value);

	memcpy(to, &word, sizeof(word));
	return to + sizeof(word);
}

SxSumFormat
sx_sum_format(const SxAggregateLookup *lookup)
{
	if (!lookup->is_builtin)
		return SX_SUM_NONE;
	if (lookup->serialise_function == F_NUMERIC_AVG_SERIALIZE &&
		lookup->combine_function == F_NUMERIC_AVG_COMBINE)
		return SX_SUM_NUMERIC;
	if (lookup->serialise_function == F_INT8_AVG_SERIALIZE &&
		lookup->combine_function == F_INT8_AVG_COMBINE)
		return SX_SUM_BIGINT;
	return SX_SUM_NONE;
}

/* What is behind the digits of a numeric's state; false if it has had NaN or infinity. */
static bool
read_scales(const char *data, Sum *sum)
{
	static const char none[3 * sizeof(int64)] = {0};

	sum->max_scale = get32(data);
	sum->max_scale_count = get64(data + 4);
	return memcmp(data + 12, none, sizeof(none)) == 0;
}

/* False: not for us. */
static bool
read_sum(SxSumFormat format, const bytea *state, Sum *sum)
{
	const char *data = VARDATA_ANY(state);
	Size size = format == SX_SUM_NUMERIC ? NUMERIC_SIZE : BIGINT_SIZE;
	Size length = VARSIZE_ANY_EXHDR(state);

	if (length < size)
		return false;
	sum->count = get64(data);
	sum->ndigits = get32(data + 8);
	sum->weight = get32(data + 12);
	sum->is_negative = get32(data + 16) == NEGATIVE;
	sum->scale = get32(data + 20);
	sum->digits = data + BIGINT_SIZE;
	if (sum->count <= 0 || sum->count > MAX_COUNT || sum->ndigits < 0 ||
		sum->ndigits > MAX_DIGITS || sum->weight < -MAX_DIGITS || sum->weight > MAX_DIGITS ||
		length != size + sum->ndigits * sizeof(int16))
		return false;
	return format == SX_SUM_BIGINT || read_scales(sum->digits + sum->ndigits * sizeof(int16), sum);
}

/* Add to digits, the first of which has that weight; or subtract. */
static void
add_digits(int32 *digits, int weight, const Sum *sum, bool is_negative)
{
	int32 *place = digits + weight - sum->weight;

	for (int i = 0; i < sum->ndigits; i++)
	{
		int32 digit = get16(sum->digits + i * sizeof(int16));

		place[i] += is_negative ? -digit : digit;
	}
}

/* Digits from -2 * 9999 to 2 * 9999 become such from 0 to 9999; but the first, -1 if the whole is negative. */
static void
carry(int32 *digits, int ndigits)
{
	for (int i = ndigits - 1; i > 0; i--)
	{
		while (digits[i] < 0)
		{
			digits[i] += DIGIT_BASE;
			digits[i - 1]--;
		}
		if (digits[i] >= DIGIT_BASE)
		{
			digits[i] -= DIGIT_BASE;
			digits[i - 1]++;
		}
	}
}

/* Add the two, with a digit to spare in front; the number of digits, or -1 if they are too many. */
static int
add_sums(const Sum *left, const Sum *right, Sum *sum, int32 *digits)
{
	int bottom = Min(left->weight - left->ndigits, right->weight - right->ndigits) + 1;
	int ndigits;

	sum->weight = Max(left->weight, right->weight) + 1;
	ndigits = sum->weight - bottom + 1;
	if (ndigits > MAX_DIGITS)
		return -1;
	/* the sign of the sum is known when it is there */
	sum->is_negative = false;
	for (;;)
	{
		memset(digits, 0, ndigits * sizeof(int32));
		add_digits(digits, sum->weight, left, left->is_negative != sum->is_negative);
		add_digits(digits, sum->weight, right, right->is_negative != sum->is_negative);
		carry(digits, ndigits);
		if (digits[0] >= 0)
			return ndigits;
		sum->is_negative = true;
	}
}

/* Write a state: its digits are given. */
static bytea *
write_sum(SxSumFormat format, const Sum *sum, const int32 *digits)
{
	Size size = VARHDRSZ + sum->ndigits * sizeof(int16) +
				(format == SX_SUM_NUMERIC ? NUMERIC_SIZE : BIGINT_SIZE);
	bytea *result = palloc(size);
	char *to = VARDATA(result);

	SET_VARSIZE(result, size);
	to = put64(to, sum->count);
	to = put32(to, sum->ndigits);
	to = put32(to, sum->weight);
	to = put32(to, sum->is_negative ? NEGATIVE : 0);
	to = put32(to, sum->scale);
	for (int i = 0; i < sum->ndigits; i++)
		to = put16(to, (int16) digits[i]);
	if (format == SX_SUM_BIGINT)
		return result;
	to = put32(to, sum->max_scale);
	to = put64(to, sum->max_scale_count);
	memset(to, 0, 3 * sizeof(int64));
	return result;
}

/* As numeric.c does for the inverse of sum. */
static void
combine_scales(const Sum *left, const Sum *right, Sum *sum)
{
	sum->max_scale = Max(left->max_scale, right->max_scale);
	sum->max_scale_count = (left->max_scale == sum->max_scale ? left->max_scale_count : 0) +
						   (right->max_scale == sum->max_scale ? right->max_scale_count : 0);
}

bytea *
sx_sum_combine(SxSumFormat format, const bytea *left_state, const bytea *right_state)
{
	int32 buffer[MAX_DIGITS];
	int32 *digits = buffer;
	Sum left;
	Sum right;
	Sum sum = {0};

	if (!read_sum(format, left_state, &left) || !read_sum(format, right_state, &right))
		return NULL;
	sum.ndigits = add_sums(&left, &right, &sum, digits);
	if (sum.ndigits < 0)
		return NULL;
	for (; sum.ndigits > 0 && *digits == 0; digits++, sum.ndigits--, sum.weight--)
		;
	/* a bigint's sum ends with the digit of weight 0 */
	while (format == SX_SUM_NUMERIC && sum.ndigits > 0 && digits[sum.ndigits - 1] == 0)
		sum.ndigits--;
	if (sum.ndigits == 0)
		sum.weight = 0;
	sum.count = left.count + right.count;
	sum.scale = Max(left.scale, right.scale);
	if (format == SX_SUM_NUMERIC)
		combine_scales(&left, &right, &sum);
	return write_sum(format, &sum, digits);
}
