/*
 * messages.c
 *	  Target "messages": a message to a row of a stream, beside json and the input functions.
 *
 *		stream | message
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "decode/decoder.h"
#include "fuzz.h"

#define MOST_COLUMNS 12

typedef struct Case
{
	FuzzColumn columns[MOST_COLUMNS];
	const char *root;
	const char *timezone;
	SxTimestampFormat format;
	int ncolumns;
	SxStream *stream;
	SxDecoder *decoder;
	FuzzType types[MOST_COLUMNS];
} Case;

static Case cases[] = {
	{{{"id", "text"},
	  {"n", "numeric"},
	  {"n2", "numeric(10,2)"},
	  {"i", "int"},
	  {"b", "bool"},
	  {"at", "timestamptz"},
	  {"name", "text", "o.name"},
	  {"f", "float8", "o.p.f"},
	  {"o", "json"}},
	 NULL,
	 "America/New_York"},
	{{{"ts", "timestamp"},
	  {"d", "date"},
	  {"tz", "timestamptz(3)"},
	  {"u", "uuid"},
	  {"v", "varchar(3)"},
	  {"c", "char(3)"},
	  {"tm", "time"},
	  {"iv", "interval"},
	  {"jb", "jsonb"},
	  {"l", "int8"}},
	 "r",
	 "America/New_York"},
	{{{"ia", "int[]"},
	  {"ta", "text[]"},
	  {"ja", "jsonb[]"},
	  {"za", "timestamptz[]"},
	  {"na", "numeric(6,2)[]"},
	  {"va", "varchar(3)[]"},
	  {"ba", "bool[]"}},
	 NULL,
	 "America/New_York"},
	{{{"tz", "timestamptz"},
	  {"ts", "timestamp"},
	  {"d", "date"},
	  {"za", "timestamptz[]"},
	  {"tm", "time"}},
	 NULL,
	 "Europe/Berlin",
	 SX_TIMESTAMP_EPOCH_S},
	{{{"pos", "positive"}, {"known", "known"}, {"tg", "tags"}, {"pa", "positive[]"}},
	 NULL,
	 "America/New_York"},
	{{{"f4", "float4"},
	  {"by", "bytea"},
	  {"ip", "inet"},
	  {"r", "tstzrange"},
	  {"m", "mood"},
	  {"s", "int2"},
	  {"bit", "bit(3)"},
	  {"mac", "macaddr"},
	  {"x\"y", "int"},
	  {"é", "text"}},
	 NULL,
	 "Asia/Kolkata",
	 SX_TIMESTAMP_EPOCH_MS},
};

typedef struct Attempt
{
	Case *one;
	int column;
	text *row; /* the object with the columns' fields */
	bool is_marked;
	bool is_doubtful; /* what is expected */
	FuzzOutcome outcome;
} Attempt;

static void
open_messages(void)
{
	for (int i = 0; i < lengthof(cases); i++)
	{
		Case *one = &cases[i];
		Bitmapset *columns = NULL;

		while (one->ncolumns < MOST_COLUMNS && one->columns[one->ncolumns].name)
		{
			fuzz_type_open(&one->types[one->ncolumns], one->columns[one->ncolumns].type);
			columns = bms_add_member(columns, ++one->ncolumns);
		}
		one->stream = fuzz_stream(one->columns, one->ncolumns);
		one->stream->root = one->root;
		one->stream->timestamp_format = one->format;
		one->stream->timezone = pg_tzset(one->timezone);
		one->decoder = sx_decoder_open(one->stream, columns);
	}
}

/* An object's member by a path of names without escapes; NULL: there is none. */
static text *
find(text *json, const char *path)
{
	char *names = pstrdup(path);

	for (char *name = strtok(names, "."); name && json; name = strtok(NULL, "."))
		json = fuzz_member(json, name);
	return json;
}

/* Stands for an escape that is no character; in no column's name. */
#define MARK "\\ue000"

/*
 * PostgreSQL's functions look into no message with a string that cannot be a text, wherever it is:
 * write a mark for \u0000 and for half a surrogate.
 */
static void
mark(char *message)
{
	while ((message = strchr(message, '\\')) != NULL)
	{
		unsigned int c = 'x';
		unsigned int low = 0;

		if (message[1] == 'u')
		{
			sscanf(message + 2, "%4x", &c);
			if (message[6] == '\\' && message[7] == 'u')
				sscanf(message + 8, "%4x", &low);
		}
		if (c == 0 || (c >= 0xd800 && c < 0xe000))
		{
			if (c != 0 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000)
				message += 6;
			else
				memcpy(message, MARK, 6);
		}
		message += message[1] == 'u' ? 6 : 2;
	}
}

static void
parse(void *state)
{
	(void) DirectFunctionCall1(json_in, CStringGetDatum(((Attempt *) state)->row));
}

/* All of its strings can be texts, so json's functions take it. */
static void
unescape(void *state)
{
	(void) fuzz_member(((Attempt *) state)->row, "x");
}

static void
expect(void *state)
{
	Attempt *attempt = state;
	Case *one = attempt->one;
	const FuzzType *type = &one->types[attempt->column];
	text *json = find(attempt->row, one->stream->columns[attempt->column].field);
	char *plain = NULL;
	bool is_null;

	attempt->is_doubtful = false;
	if (json != NULL && attempt->is_marked && strstr(text_to_cstring(json), MARK))
	{
		/* as JSON it may be good, and is not what was written */
		attempt->is_doubtful =
			*VARDATA_ANY(json) != '"' || type->base == JSONOID || type->base == JSONBOID;
		if (!attempt->is_doubtful)
			ereport(ERROR, (errcode(ERRCODE_UNTRANSLATABLE_CHARACTER), errmsg("no text")));
		return;
	}
	if (json != NULL)
	{
		/* as an element of an array a scalar can be unescaped, too */
		char *wrapped = psprintf("[%s]", text_to_cstring(json));
		Datum element = fuzz_call(json_array_element_text, &is_null, 2,
								  CStringGetTextDatum(wrapped), Int32GetDatum(0));

		plain = is_null ? NULL : TextDatumGetCString(element);
	}
	attempt->outcome.value = fuzz_expect(type, one->stream, json, plain, &attempt->outcome.is_null);
	/* of nested arrays without any element, nobody knows */
	attempt->is_doubtful = OidIsValid(type->element) && !attempt->outcome.is_null &&
						   attempt->outcome.value == (Datum) 0;
}

static void
check_columns(Case *one, text *row, bool is_marked, const Datum *values, const bool *isnull,
			  const SxDecodeErrors *errors, const char *message)
{
	pg_tz *session = session_timezone;

	session_timezone = one->stream->timezone;
	for (int i = 0; i < one->ncolumns; i++)
	{
		Attempt expected = {one, i, row, is_marked};
		FuzzOutcome found = {.value = values[i], .is_null = isnull[i]};
		const FuzzType *type = &one->types[i];

		for (int j = 0; j < errors->count; j++)
			if (errors->items[j].attnum == i + 1)
			{
				found.sqlstate = errors->items[j].sqlstate;
				found.message = errors->items[j].message;
			}
		fuzz_try(expect, &expected, &expected.outcome);
		if (expected.is_doubtful)
			continue;
		if (found.sqlstate != expected.outcome.sqlstate &&
			!(OidIsValid(type->element) && found.sqlstate && expected.outcome.sqlstate))
			fuzz_fail("column %s: %s (%s), expected: %s: %s", one->columns[i].name,
					  found.sqlstate ? found.message : "a value", unpack_sql_state(found.sqlstate),
					  expected.outcome.sqlstate ? expected.outcome.message : "a value", message);
		if (found.sqlstate == 0 && !fuzz_has_same_value(type, &found, &expected.outcome))
			fuzz_fail("column %s: another value than expected: %s", one->columns[i].name, message);
	}
	session_timezone = session;
}

static void
run_messages(const char *data, size_t size)
{
	Attempt attempt = {0};
	Case *one;
	SxPayload payload;
	SxDecodeErrors errors = {0};
	Datum values[MOST_COLUMNS];
	bool isnull[MOST_COLUMNS];
	bool is_filtered;
	bool is_bad;
	char *message;
	text *top;
	text *row;

	if (size < 2)
		return;
	one = &cases[(uint8) data[0] % lengthof(cases)];
	payload.length = size - 1;
	payload.data = fuzz_guard(data + 1, payload.length);
	sx_decoder_decode(one->decoder, &payload, 1, values, isnull, &is_filtered, &errors);
	is_bad = errors.count > 0 && errors.items[0].attnum == 0;
	if (is_filtered || (is_bad && errors.count > 1))
		fuzz_fail("no row, or more than one error of it");

	if (!fuzz_is_text(payload.data, payload.length))
	{
		if (!is_bad)
			fuzz_fail("not a text, but taken");
		return;
	}
	message = pnstrdup(payload.data, payload.length);
	attempt.row = (text *) message;
	fuzz_try(parse, &attempt, &attempt.outcome);
	if (attempt.outcome.sqlstate != 0)
	{
		if (!is_bad)
			fuzz_fail("not JSON, but taken (%s): %s", attempt.outcome.message, message);
		return;
	}
	top = cstring_to_text(message + strspn(message, " \t\r\n"));
	attempt.row = top;
	fuzz_try(unescape, &attempt, &attempt.outcome);
	if (*VARDATA_ANY(top) != '{')
	{
		if (!is_bad)
			fuzz_fail("not an object, but taken: %s", message);
		return;
	}
	if (attempt.outcome.sqlstate != 0)
	{
		char *marked = text_to_cstring(top);

		if (strcasestr(marked, MARK))
			return;
		mark(marked);
		attempt.is_marked = true;
		attempt.row = top = cstring_to_text(marked);
		fuzz_try(unescape, &attempt, &attempt.outcome);
		if (attempt.outcome.sqlstate != 0)
			fuzz_fail("a mark is missing: %s", marked);
	}
	row = one->root ? find(top, one->root) : top;
	if (is_bad != (row == NULL || *VARDATA_ANY(row) != '{'))
		fuzz_fail("%s: %s", is_bad ? errors.items[0].message : "taken, but has no root", message);
	if (!is_bad)
		check_columns(one, row, attempt.is_marked, values, isnull, &errors, message);
}

const FuzzTarget fuzz_messages = {"messages", open_messages, run_messages};
