/*
 * sum.c
 *	  States of sum and avg of numeric and bigint: added as they are, and made.
 *
 * The commonest of all states: to deserialise two of them, combine them and
 * serialise the result costs several times what adding their digits does.
 *
 * streamx.sum_partial makes those of numeric, in a micro-batch: it keeps ordinary values' digits in
 * one piece of memory, and leaves other values to PostgreSQL's transition function.
 *
 *		numeric   N | sum | largest scale | inputs of that scale | NaN | infinity | -infinity
 *		bigint    N | sum
 *
 *		sum       digits (0 to 9999) | weight of the first | sign | scale | digit...
 *
 * test/sql/sum.sql compares the bytes with those that PostgreSQL's functions give.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "parser/parse_func.h"
#include "port/pg_bswap.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "aggregate/sum.h"

PGDLLEXPORT Datum streamx_sum_transition(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_sum_serialise(PG_FUNCTION_ARGS);

#define DIGIT_BASE 10000
#define NEGATIVE 0x4000

/* So many digits, that is 128 decimal ones; larger sums are left to PostgreSQL. */
#define MAX_DIGITS 32

/* Larger counts might overflow. */
#define MAX_COUNT (PG_INT64_MAX / 2)

/* Bytes of a state, but for the digits. */
#define BIGINT_SIZE (sizeof(int64) + 4 * sizeof(int32))
#define NUMERIC_SIZE (BIGINT_SIZE + sizeof(int32) + 4 * sizeof(int64))

/* numeric.c's on-disk form of a short numeric: this header, digits. */
#define NUMERIC_FORM_MASK 0xC000
#define NUMERIC_SHORT 0x8000
#define NUMERIC_SHORT_NEGATIVE 0x2000
#define NUMERIC_SHORT_DSCALE_SHIFT 7
#define NUMERIC_SHORT_DSCALE_MASK 0x3F
#define NUMERIC_SHORT_WEIGHT_MASK 0x3F
#define NUMERIC_SHORT_WEIGHT_SIGN 0x40

/* Values below 10^16 with up to 8 digits behind the point are ordinary. */
#define FIRST_WEIGHT 3
#define ORDINARY_DIGITS 6

/* What the sum of so many as can be counted has more in front. */
#define CARRIED_DIGITS 5

/* The transition value of streamx.sum_partial. */
typedef struct Accumulator
{
	int64 count;				   /* of ordinary values */
	int64 scale_count;			   /* of those that have the largest scale */
	int64 digits[ORDINARY_DIGITS]; /* their sum, digit by digit; the first is of FIRST_WEIGHT */
	int32 scale;
	bool has_others;
	Datum others; /* PostgreSQL's transition value */
} Accumulator;

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
		/* digits that are none: somebody has made this state up */
		if (sum->is_negative)
			return -1;
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

/* Write a state, whose digits may begin and end with zeros; as numeric.c leaves these out. */
static bytea *
write_stripped(SxSumFormat format, Sum *sum, const int32 *digits)
{
	for (; sum->ndigits > 0 && *digits == 0; digits++, sum->ndigits--, sum->weight--)
		;
	/* a bigint's sum ends with the digit of weight 0 */
	while (format == SX_SUM_NUMERIC && sum->ndigits > 0 && digits[sum->ndigits - 1] == 0)
		sum->ndigits--;
	if (sum->ndigits == 0)
		sum->weight = 0;
	return write_sum(format, sum, digits);
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
	int32 digits[MAX_DIGITS];
	Sum left;
	Sum right;
	Sum sum = {0};

	if (!read_sum(format, left_state, &left) || !read_sum(format, right_state, &right))
		return NULL;
	sum.ndigits = add_sums(&left, &right, &sum, digits);
	if (sum.ndigits < 0)
		return NULL;
	sum.count = left.count + right.count;
	sum.scale = Max(left.scale, right.scale);
	if (format == SX_SUM_NUMERIC)
		combine_scales(&left, &right, &sum);
	return write_stripped(format, &sum, digits);
}

/* ---- streamx.sum_partial ---- */

void
sx_sum_quicken(Aggref *aggref)
{
	List *name = list_make2(makeString("streamx"), makeString("sum_partial"));
	Oid types[] = {NUMERICOID};

	if (aggref->aggfnoid == F_SUM_NUMERIC || aggref->aggfnoid == F_AVG_NUMERIC)
		aggref->aggfnoid = LookupFuncName(name, 1, types, false);
}

static Accumulator *
make_accumulator(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return MemoryContextAllocZero(context, sizeof(Accumulator));
}

/* False: the value is not ordinary. */
static bool
add_ordinary(Accumulator *sum, const struct varlena *value)
{
	const char *data = VARDATA_ANY(value);
	int ndigits = (int) (VARSIZE_ANY_EXHDR(value) / sizeof(int16)) - 1;
	uint16 header;
	int32 scale;
	int first;

	memcpy(&header, data, sizeof(header));
	data += sizeof(header);
	first = FIRST_WEIGHT - (header & NUMERIC_SHORT_WEIGHT_MASK) +
			(header & NUMERIC_SHORT_WEIGHT_SIGN ? NUMERIC_SHORT_WEIGHT_SIGN : 0);
	if ((header & NUMERIC_FORM_MASK) != NUMERIC_SHORT || first < 0 ||
		first + ndigits > ORDINARY_DIGITS)
		return false;
	for (int i = 0; i < ndigits; i++)
	{
		int16 digit;

		memcpy(&digit, data + i * sizeof(digit), sizeof(digit));
		sum->digits[first + i] += header & NUMERIC_SHORT_NEGATIVE ? -digit : digit;
	}
	sum->count++;
	scale = header >> NUMERIC_SHORT_DSCALE_SHIFT & NUMERIC_SHORT_DSCALE_MASK;
	if (scale > sum->scale)
		sum->scale_count = 0;
	sum->scale = Max(sum->scale, scale);
	sum->scale_count += scale == sum->scale;
	return true;
}

/* Call a function of PostgreSQL's aggregate, as the aggregate's own call. */
static Datum
call_builtin(FunctionCallInfo fcinfo, PGFunction function, Datum first, bool first_is_null,
			 Datum second)
{
	LOCAL_FCINFO(call, 2);

	InitFunctionCallInfoData(*call, NULL, 2, InvalidOid, fcinfo->context, NULL);
	call->args[0] = (NullableDatum){first, first_is_null};
	call->args[1] = (NullableDatum){second, false};
	return function(call);
}

/* The sum of the ordinary values, as numeric_avg_serialize has it. */
static bytea *
serialise_ordinary(const Accumulator *accumulator)
{
	Sum sum = {.count = accumulator->count,
			   .ndigits = CARRIED_DIGITS + ORDINARY_DIGITS,
			   .weight = FIRST_WEIGHT + CARRIED_DIGITS,
			   .scale = accumulator->scale,
			   .max_scale = accumulator->scale,
			   .max_scale_count = accumulator->scale_count};
	int32 digits[CARRIED_DIGITS + ORDINARY_DIGITS];

	for (;;)
	{
		int64 carried = 0;

		for (int i = sum.ndigits - 1; i >= 0; i--)
		{
			int64 digit = i < CARRIED_DIGITS ? 0 : accumulator->digits[i - CARRIED_DIGITS];

			carried += sum.is_negative ? -digit : digit;
			digits[i] = carried % DIGIT_BASE;
			carried /= DIGIT_BASE;
			if (digits[i] < 0)
			{
				digits[i] += DIGIT_BASE;
				carried--;
			}
		}
		if (carried == 0)
			return write_stripped(SX_SUM_NUMERIC, &sum, digits);
		sum.is_negative = true;
	}
}

PG_FUNCTION_INFO_V1(streamx_sum_transition);
Datum
streamx_sum_transition(PG_FUNCTION_ARGS)
{
	Accumulator *sum =
		PG_ARGISNULL(0) ? make_accumulator(fcinfo) : (Accumulator *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1) && !add_ordinary(sum, PG_GETARG_VARLENA_PP(1)))
	{
		sum->others = call_builtin(fcinfo, numeric_avg_accum, sum->others, !sum->has_others,
								   PG_GETARG_DATUM(1));
		sum->has_others = true;
	}
	PG_RETURN_POINTER(sum);
}

PG_FUNCTION_INFO_V1(streamx_sum_serialise);
Datum
streamx_sum_serialise(PG_FUNCTION_ARGS)
{
	const Accumulator *sum = (const Accumulator *) PG_GETARG_POINTER(0);
	Datum state;

	if (!AggCheckCallContext(fcinfo, NULL))
		elog(ERROR, "aggregate function called in non-aggregate context");
	state = PointerGetDatum(serialise_ordinary(sum));
	if (sum->has_others)
	{
		state = call_builtin(fcinfo, numeric_avg_deserialize, state, false, (Datum) 0);
		state = call_builtin(fcinfo, numeric_avg_combine, state, false, sum->others);
		state = call_builtin(fcinfo, numeric_avg_serialize, state, false, (Datum) 0);
	}
	return state;
}
