/*
 * filters.c
 *	  Target "filters": a filter and a message, beside json, numeric and text.
 *
 *		filter | NUL | message
 *
 * The filter's tree is taken from its parser (test/sql/filter.sql compares it with SQL) and evaluated
 * once more, over what PostgreSQL's json functions find in the message.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "catalog/filter.h"
#include "decode/decoder.h"
#include "fuzz.h"

typedef enum Truth
{
	SQL_FALSE,
	SQL_TRUE,
	SQL_NULL
} Truth;

/* The last filter, with its decoder, which learns from message to message. */
static MemoryContext context;
static char *last_text;
static SxFilter *filter;
static SxDecoder *decoder;

typedef struct Attempt
{
	char *text;
	char *message;
	text *json;
	Truth truth;
	FuzzOutcome outcome;
} Attempt;

static void
open_filters(void)
{
	context = AllocSetContextCreate(TopMemoryContext, "filter", ALLOCSET_DEFAULT_SIZES);
}

static void
open_filter(void *state)
{
	static const FuzzColumn columns[] = {{"a", "text"}, {"b", "text", "a.b"}, {"z", "json"}};
	Attempt *attempt = state;
	MemoryContext caller;
	SxStream *stream;

	if (last_text && strcmp(last_text, attempt->text) == 0)
		return;
	last_text = NULL;
	MemoryContextReset(context);
	caller = MemoryContextSwitchTo(context);
	filter = sx_filter_parse(attempt->text);
	stream = fuzz_stream(columns, lengthof(columns));
	stream->filter = pstrdup(attempt->text);
	stream->timezone = session_timezone;
	decoder = sx_decoder_open(stream, bms_add_range(NULL, 1, lengthof(columns)));
	last_text = pstrdup(attempt->text);
	MemoryContextSwitchTo(caller);
}

static Truth
truth_of(const SxFilterNode *node, int order)
{
	bool is_true = false;

	switch (node->comparison)
	{
		case SX_FILTER_EQUAL:
			is_true = order == 0;
			break;
		case SX_FILTER_NOT_EQUAL:
			is_true = order != 0;
			break;
		case SX_FILTER_LESS:
			is_true = order < 0;
			break;
		case SX_FILTER_LESS_EQUAL:
			is_true = order <= 0;
			break;
		case SX_FILTER_GREATER:
			is_true = order > 0;
			break;
		case SX_FILTER_GREATER_EQUAL:
			is_true = order >= 0;
			break;
	}
	return is_true ? SQL_TRUE : SQL_FALSE;
}

static Datum
number(const char *text)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

static Truth
compare(const SxFilterNode *node, text *json)
{
	char first = json ? *VARDATA_ANY(json) : 'n';
	char *constant =
		node->type == SX_FILTER_BOOLEAN ? NULL : pnstrdup(node->constant, node->length);
	bool is_null;

	if (node->type == SX_FILTER_BOOLEAN)
		return first == 't' || first == 'f' ? truth_of(node, (first == 't') - node->is_true)
											: SQL_NULL;
	if (node->type == SX_FILTER_NUMBER)
		return first == '-' || (first >= '0' && first <= '9')
				   ? truth_of(node,
							  DatumGetInt32(DirectFunctionCall2(
								  numeric_cmp, number(text_to_cstring(json)), number(constant))))
				   : SQL_NULL;
	if (first != '"')
		return SQL_NULL;
	json = cstring_to_text(psprintf("[%s]", text_to_cstring(json)));
	return truth_of(node,
					strcmp(TextDatumGetCString(fuzz_call(json_array_element_text, &is_null, 2,
														 PointerGetDatum(json), Int32GetDatum(0))),
						   constant));
}

static Truth
evaluate(const SxFilterNode *node, text *json)
{
	ListCell *lc;
	int nulls = 0;

	if (node->kind == SX_FILTER_IS_NULL || node->kind == SX_FILTER_COMPARE)
	{
		foreach (lc, list_nth(filter->fields, node->field))
			json = json ? fuzz_member(json, lfirst(lc)) : NULL;
		if (node->kind == SX_FILTER_IS_NULL)
			return json == NULL || *VARDATA_ANY(json) == 'n' ? SQL_TRUE : SQL_FALSE;
		return compare(node, json);
	}
	foreach (lc, node->args)
	{
		Truth truth = evaluate(lfirst(lc), json);

		if (node->kind == SX_FILTER_NOT)
			return truth == SQL_NULL ? SQL_NULL : truth == SQL_TRUE ? SQL_FALSE : SQL_TRUE;
		if (truth == (node->kind == SX_FILTER_AND ? SQL_FALSE : SQL_TRUE))
			return truth;
		nulls += truth == SQL_NULL;
	}
	return nulls > 0 ? SQL_NULL : node->kind == SX_FILTER_AND ? SQL_TRUE : SQL_FALSE;
}

static void
parse(void *state)
{
	(void) DirectFunctionCall1(json_in, CStringGetDatum(((Attempt *) state)->message));
}

static void
expect(void *state)
{
	Attempt *attempt = state;

	(void) fuzz_member(attempt->json, "x");
	attempt->truth = evaluate(filter->root, attempt->json);
}

static void
run_filters(const char *data, size_t size)
{
	const char *end = memchr(data, '\0', size);
	Attempt attempt = {0};
	SxPayload payload;
	SxDecodeErrors errors = {0};
	Datum values[3];
	bool isnull[3];
	bool is_filtered;

	if (end == NULL || !fuzz_is_text(data, end - data))
		return;
	attempt.text = pnstrdup(data, end - data);
	fuzz_try(open_filter, &attempt, &attempt.outcome);
	payload.length = data + size - end - 1;
	if (attempt.outcome.sqlstate != 0 || payload.length == 0)
		return;
	payload.data = fuzz_guard(end + 1, payload.length);
	sx_decoder_decode(decoder, &payload, 1, values, isnull, &is_filtered, &errors);

	/* of what is rejected not everything is looked at, but its encoding is */
	if (!fuzz_is_text(payload.data, payload.length))
	{
		if (errors.count != 1 && !(is_filtered && memchr(payload.data, '\0', payload.length)))
			fuzz_fail("not a text, but taken");
		return;
	}
	attempt.message = pnstrdup(payload.data, payload.length);
	fuzz_try(parse, &attempt, &attempt.outcome);
	if (attempt.outcome.sqlstate != 0)
	{
		if (!is_filtered && errors.count == 0)
			fuzz_fail("not JSON, but taken: %s", attempt.message);
		return;
	}
	attempt.json = cstring_to_text(attempt.message + strspn(attempt.message, " \t\r\n"));
	if (*VARDATA_ANY(attempt.json) != '{')
	{
		if (errors.count != 1)
			fuzz_fail("not an object, but taken: %s", attempt.message);
		return;
	}
	fuzz_try(expect, &attempt, &attempt.outcome);
	if (attempt.outcome.sqlstate == 0 && is_filtered != (attempt.truth != SQL_TRUE))
		fuzz_fail("%s by \"%s\": %s", is_filtered ? "rejected" : "taken", attempt.text,
				  attempt.message);
}

const FuzzTarget fuzz_filters = {"filters", open_filters, run_filters};
