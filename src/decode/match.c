/*
 * match.c
 *	  Whether a message passes the filter of its stream.
 *
 * SQL's logic of three values: a field that is missing, a JSON null, or of
 * another kind than the constant makes a comparison unknown.  Nothing is
 * allocated, and nothing can fail: numbers are compared as they are written,
 * strings by code points, which is the order of UTF-8's bytes.
 */
#include "compat.h"

#include "decode/match.h"

/* Exponents beyond are as good as this one: constants have none. */
#define LARGEST_EXPONENT INT64CONST(1000000000000)

typedef enum Truth
{
	TRUTH_FALSE,
	TRUTH_UNKNOWN,
	TRUTH_TRUE
} Truth;

/* A number that is not 0: 0.digits * 10^exponent; digits may have a point in them. */
typedef struct Decimal
{
	bool is_negative;
	int64 exponent;
	const char *digits; /* from the first that is not 0; NULL: the number is 0 */
	const char *end;
} Decimal;

/* What messages are filtered by. */
typedef struct Values
{
	const SxField *fields;
	const uint32 *numbers;
} Values;

static Truth evaluate(const SxFilterNode *node, const Values *values);
static Truth evaluate_all(const SxFilterNode *node, const Values *values, Truth decisive);
static Truth compare(const SxFilterNode *node, const SxField *field);
static int compare_strings(const char *a, size_t a_length, const char *b, size_t b_length);
static int
compare_numbers(const char *left, size_t left_length, const char *right, size_t right_length);
static bool is_short_integer(const char *text, size_t length);
static int64 read_short_integer(const char *text, size_t length);
static Decimal read_decimal(const char *text, size_t length);
static int64 read_exponent(const char *text, const char *end);
static int compare_digits(const Decimal *left, const Decimal *right);
static char next_digit(const char **digits, const char *end);

static inline const SxField *
field_of(const SxFilterNode *node, const Values *values)
{
	return &values->fields[values->numbers[node->field]];
}

bool
sx_match(const SxFilter *filter, const SxField *fields, const uint32 *numbers)
{
	Values values = {fields, numbers};

	return evaluate(filter->root, &values) == TRUTH_TRUE;
}

static Truth
evaluate(const SxFilterNode *node, const Values *values)
{
	const SxField *field;

	switch (node->kind)
	{
		case SX_FILTER_AND:
			return evaluate_all(node, values, TRUTH_FALSE);
		case SX_FILTER_OR:
			return evaluate_all(node, values, TRUTH_TRUE);
		case SX_FILTER_NOT:
			return TRUTH_TRUE - evaluate(linitial(node->args), values);
		case SX_FILTER_IS_NULL:
			field = field_of(node, values);
			if (field->kind == SX_FIELD_MISSING || field->kind == SX_FIELD_NULL)
				return TRUTH_TRUE;
			return TRUTH_FALSE;
		case SX_FILTER_COMPARE:
			return compare(node, field_of(node, values));
	}
	return TRUTH_UNKNOWN;
}

/* AND and OR: the decisive value if some argument has it, else unknown if some is. */
static Truth
evaluate_all(const SxFilterNode *node, const Values *values, Truth decisive)
{
	Truth result = TRUTH_TRUE - decisive;
	ListCell *lc;

	foreach (lc, node->args)
	{
		Truth truth = evaluate(lfirst(lc), values);

		if (truth == decisive)
			return truth;
		if (truth == TRUTH_UNKNOWN)
			result = TRUTH_UNKNOWN;
	}
	return result;
}

static Truth
compare(const SxFilterNode *node, const SxField *field)
{
	int order = 0;

	switch (node->type)
	{
		case SX_FILTER_NUMBER:
			if (field->kind != SX_FIELD_NUMBER)
				return TRUTH_UNKNOWN;
			order = compare_numbers(field->data, field->length, node->constant, node->length);
			break;
		case SX_FILTER_STRING:
			if (field->kind != SX_FIELD_STRING)
				return TRUTH_UNKNOWN;
			order = compare_strings(field->data, field->length, node->constant, node->length);
			break;
		case SX_FILTER_BOOLEAN:
			if (field->kind != SX_FIELD_TRUE && field->kind != SX_FIELD_FALSE)
				return TRUTH_UNKNOWN;
			order = (int) (field->kind == SX_FIELD_TRUE) - (int) node->is_true;
			break;
	}
	switch (node->comparison)
	{
		case SX_FILTER_EQUAL:
			return order == 0 ? TRUTH_TRUE : TRUTH_FALSE;
		case SX_FILTER_NOT_EQUAL:
			return order != 0 ? TRUTH_TRUE : TRUTH_FALSE;
		case SX_FILTER_LESS:
			return order < 0 ? TRUTH_TRUE : TRUTH_FALSE;
		case SX_FILTER_LESS_EQUAL:
			return order <= 0 ? TRUTH_TRUE : TRUTH_FALSE;
		case SX_FILTER_GREATER:
			return order > 0 ? TRUTH_TRUE : TRUTH_FALSE;
		case SX_FILTER_GREATER_EQUAL:
			return order >= 0 ? TRUTH_TRUE : TRUTH_FALSE;
	}
	return TRUTH_UNKNOWN;
}

static int
compare_strings(const char *a, size_t a_length, const char *b, size_t b_length)
{
	int order = memcmp(a, b, Min(a_length, b_length));

	return order != 0 ? order : (a_length > b_length) - (a_length < b_length);
}

/* Two numbers as JSON spells them. */
static int
compare_numbers(const char *left, size_t left_length, const char *right, size_t right_length)
{
	Decimal a;
	Decimal b;
	int order;

	if (left_length == right_length && memcmp(left, right, left_length) == 0)
		return 0;
	if (is_short_integer(left, left_length) && is_short_integer(right, right_length))
	{
		int64 x = read_short_integer(left, left_length);
		int64 y = read_short_integer(right, right_length);

		return (x > y) - (x < y);
	}
	a = read_decimal(left, left_length);
	b = read_decimal(right, right_length);
	if (a.is_negative != b.is_negative)
		return a.is_negative ? -1 : 1;
	if (a.digits == NULL || b.digits == NULL)
		order = (a.digits != NULL) - (b.digits != NULL);
	else if (a.exponent != b.exponent)
		order = a.exponent < b.exponent ? -1 : 1;
	else
		order = compare_digits(&a, &b);
	return a.is_negative ? -order : order;
}

/* Nothing but digits and a sign, and few enough for an int64. */
static bool
is_short_integer(const char *text, size_t length)
{
	size_t i;

	if (length > 18)
		return false;
	for (i = text[0] == '-'; i < length; i++)
		if (text[i] < '0' || text[i] > '9')
			return false;
	return true;
}

static int64
read_short_integer(const char *text, size_t length)
{
	int64 value = 0;
	size_t i;

	for (i = text[0] == '-'; i < length; i++)
		value = value * 10 + (text[i] - '0');
	return text[0] == '-' ? -value : value;
}

static Decimal
read_decimal(const char *text, size_t length)
{
	Decimal decimal = {.end = text + length};
	bool is_behind_point = false;
	int64 leading = 0; /* digits before the point, or less zeros behind it */

	decimal.is_negative = *text == '-';
	for (text += decimal.is_negative; text < decimal.end; text++)
	{
		if (*text == '.')
			is_behind_point = true;
		else if ((*text | 0x20) == 'e')
		{
			decimal.exponent = read_exponent(text + 1, decimal.end);
			decimal.end = text;
		}
		else if (*text != '0' && decimal.digits == NULL)
		{
			decimal.digits = text;
			leading += !is_behind_point;
		}
		else if (decimal.digits == NULL)
			leading -= is_behind_point;
		else
			leading += !is_behind_point;
	}
	decimal.exponent += leading;
	if (decimal.digits == NULL)
		decimal.is_negative = false; /* -0 */
	return decimal;
}

static int64
read_exponent(const char *text, const char *end)
{
	bool is_negative = *text == '-';
	int64 value = 0;

	for (text += is_negative || *text == '+'; text < end; text++)
		value = Min(value * 10 + (*text - '0'), LARGEST_EXPONENT);
	return is_negative ? -value : value;
}

/* Digits of the same exponent. */
static int
compare_digits(const Decimal *left, const Decimal *right)
{
	const char *a = left->digits;
	const char *b = right->digits;

	while (a < left->end || b < right->end)
	{
		int order = next_digit(&a, left->end) - next_digit(&b, right->end);

		if (order != 0)
			return order;
	}
	return 0;
}

/* Zeros follow the last digit. */
static char
next_digit(const char **digits, const char *end)
{
	if (*digits < end && **digits == '.')
		(*digits)++;
	return *digits < end ? *(*digits)++ : '0';
}
