/*
 * decoder.c
 *	  Decode messages: a format finds the fields, converters make Datums of them.
 *
 * A run of messages shares one sigsetjmp (capture.h).  While it goes on, input
 * functions see fixed settings, so that no session's DateStyle or TimeZone
 * changes what a text means.
 */
#include "compat.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "decode/capture.h"
#include "decode/convert.h"
#include "decode/decoder.h"
#include "decode/format.h"

/* Small results of a run are cut from chunks of so many bytes for each message, within limits. */
#define CHUNK_PER_MESSAGE 64
#define SMALLEST_CHUNK 1024
#define LARGEST_CHUNK (64 * 1024)

/* What texts mean, whatever the session says; but for TimeZone, which is the stream's. */
static const char *const fixed_settings[][2] = {
	{"DateStyle", "ISO, MDY"}, {"IntervalStyle", "postgres"}, {"timezone_abbreviations", "Default"},
	{"array_nulls", "on"},	   {"xmloption", "content"},
};

struct SxDecoder
{
	const SxStream *stream;
	const SxFormat *format;
	void *state; /* the format's */
	int ncolumns;
	AttrNumber *columns;
	SxConverter *converters;
	SxField *fields;
	MemoryContext context;
	MemoryContext temp;
	bool is_safe; /* no column needs a subtransaction */
	bool uses_settings;
};

/* A run of messages, and where it is. */
typedef struct DecodeRun
{
	SxDecoder *decoder;
	const SxPayload *payloads;
	int count;
	Datum *values;
	bool *isnull;
	bool *is_filtered;
	SxDecodeErrors *errors;
	SxConversion conversion;
	int row;
	int column;		/* the next one of the row */
	bool is_parsed; /* fields are those of the row */
} DecodeRun;

static const SxFormat formats[] = {
	{"json", sx_json_open, sx_json_decode, sx_json_array, sx_json_rest},
};

static const char *format_names(void);
static const SxFormat *find_format(const char *name);
static void init_run(DecodeRun *run);
static int fix_settings(const SxStream *stream);
static void fix_setting(const char *name, const char *value);
static void decode_rows(void *state);
static void decode_columns(DecodeRun *run);
static bool parse_row(DecodeRun *run);
static void column_failed(void *state, int sqlstate, const char *message);
static void
add_error(SxDecodeErrors *errors, int row, AttrNumber attnum, int sqlstate, const char *message);

SxDecoder *
sx_decoder_open(const SxStream *stream, const Bitmapset *columns)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx decoder", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	SxDecoder *decoder = palloc0(sizeof(SxDecoder));
	int attnum = -1;

	decoder->stream = stream;
	decoder->format = find_format(stream->format);
	if (decoder->format == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("unknown message format \"%s\"", stream->format),
						errhint("Formats are: %s.", format_names())));
	decoder->context = context;
	decoder->temp = AllocSetContextCreate(context, "streamx decoder temp", ALLOCSET_SMALL_SIZES);
	decoder->columns = palloc(sizeof(AttrNumber) * Max(stream->ncolumns, 1));
	decoder->converters = palloc0(sizeof(SxConverter) * Max(bms_num_members(columns), 1));
	decoder->is_safe = true;
	while ((attnum = bms_next_member(columns, attnum)) >= 0)
	{
		const SxColumn *column = &stream->columns[attnum - 1];
		SxConverter *converter = &decoder->converters[decoder->ncolumns];

		if (column->is_dropped || column->metadata != SX_METADATA_NONE)
			continue;
		sx_converter_init(converter, column->type, column->typmod, stream);
		decoder->is_safe &= converter->is_safe;
		decoder->uses_settings |= converter->uses_settings;
		decoder->columns[decoder->ncolumns++] = attnum;
	}
	decoder->fields = palloc0(sizeof(SxField) * Max(decoder->ncolumns, 1));
	decoder->state = decoder->format->open(stream, decoder->columns, decoder->ncolumns);
	MemoryContextSwitchTo(caller);
	return decoder;
}

void
sx_decoder_decode(SxDecoder *decoder, const SxPayload *payloads, int count, Datum *values,
				  bool *isnull, bool *is_filtered, SxDecodeErrors *errors)
{
	DecodeRun run = {.decoder = decoder,
					 .payloads = payloads,
					 .count = count,
					 .values = values,
					 .isnull = isnull,
					 .is_filtered = is_filtered,
					 .errors = errors};
	SxCapture capture = {.run = decode_rows,
						 .failed = column_failed,
						 .state = &run,
						 .context = CurrentMemoryContext,
						 .in_subtransaction = !decoder->is_safe};
	int nestlevel = 0;

	init_run(&run);
	MemoryContextReset(decoder->temp);
	if (decoder->uses_settings)
		nestlevel = fix_settings(decoder->stream);
	sx_capture_run(&capture);
	if (nestlevel > 0)
		AtEOXact_GUC(false, nestlevel);
	decoder->format->rest(decoder->state);
}

void
sx_decoder_close(SxDecoder *decoder)
{
	MemoryContextDelete(decoder->context);
}

/* The names of all formats, comma separated. */
static const char *
format_names(void)
{
	StringInfoData names;
	int i;

	initStringInfo(&names);
	for (i = 0; i < lengthof(formats); i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", formats[i].name);
	return names.data;
}

static const SxFormat *
find_format(const char *name)
{
	int i;

	for (i = 0; i < lengthof(formats); i++)
		if (strcmp(formats[i].name, name) == 0)
			return &formats[i];
	return NULL;
}

static void
init_run(DecodeRun *run)
{
	SxConversion *conversion = &run->conversion;
	Size chunk = Min((Size) run->count * CHUNK_PER_MESSAGE, LARGEST_CHUNK);

	run->errors->count = 0;
	run->errors->size = 0;
	run->errors->items = NULL;
	conversion->results = CurrentMemoryContext;
	conversion->chunk_size = Max(chunk, SMALLEST_CHUNK);
	conversion->temp = run->decoder->temp;
	conversion->elements = run->decoder->format->elements;
	conversion->format = run->decoder->state;
}

static bool
is_set(const char *name, const char *value)
{
	return strcmp(GetConfigOption(name, false, false), value) == 0;
}

/* Returns the level to end, or 0 when everything was right already. */
static int
fix_settings(const SxStream *stream)
{
	const char *timezone = pg_get_timezone_name(stream->timezone);
	bool is_right = strcmp(pg_get_timezone_name(session_timezone), timezone) == 0;
	int nestlevel;

	for (int i = 0; is_right && i < lengthof(fixed_settings); i++)
		is_right = is_set(fixed_settings[i][0], fixed_settings[i][1]);
	if (is_right)
		return 0;
	nestlevel = NewGUCNestLevel();
	for (int i = 0; i < lengthof(fixed_settings); i++)
		if (!is_set(fixed_settings[i][0], fixed_settings[i][1]))
			fix_setting(fixed_settings[i][0], fixed_settings[i][1]);
	fix_setting("TimeZone", timezone);
	return nestlevel;
}

static void
fix_setting(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

/* Decode from where the run is to its end. */
static void
decode_rows(void *state)
{
	DecodeRun *run = state;

	for (; run->row < run->count; run->row++, run->is_parsed = false)
	{
		CHECK_FOR_INTERRUPTS();
		if (!run->is_parsed && !parse_row(run))
			continue;
		decode_columns(run);
	}
}

static void
decode_columns(DecodeRun *run)
{
	SxDecoder *decoder = run->decoder;
	Size base = (Size) run->row * decoder->stream->ncolumns;

	while (run->column < decoder->ncolumns)
	{
		int i = run->column++;
		Size place = base + decoder->columns[i] - 1;

		run->isnull[place] = sx_convert(&decoder->converters[i], &decoder->fields[i],
										&run->conversion, &run->values[place]);
	}
}

/* Find the fields of the next row; if it is none, or bad, all its columns are NULL. */
static bool
parse_row(DecodeRun *run)
{
	SxDecoder *decoder = run->decoder;
	const SxPayload *payload = &run->payloads[run->row];
	Size base = (Size) run->row * decoder->stream->ncolumns;
	int sqlstate = ERRCODE_INVALID_TEXT_REPRESENTATION;
	const char *message = NULL;
	SxVerdict verdict = SX_VERDICT_BAD;
	int i;

	run->column = 0;
	run->is_parsed = true;
	if (payload->data == NULL)
	{
		sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED;
		message = "message has no payload";
	}
	else if (payload->length == 0)
		message = "message is empty";
	else
		verdict =
			decoder->format->decode(decoder->state, payload, decoder->fields, &sqlstate, &message);
	run->is_filtered[run->row] = verdict == SX_VERDICT_FILTERED;
	if (verdict == SX_VERDICT_ROW)
		return true;

	for (i = 0; i < decoder->ncolumns; i++)
	{
		run->values[base + decoder->columns[i] - 1] = (Datum) 0;
		run->isnull[base + decoder->columns[i] - 1] = true;
	}
	if (verdict == SX_VERDICT_BAD)
		add_error(run->errors, run->row, 0, sqlstate, message);
	return false;
}

/* The column before the next one could not be converted. */
static void
column_failed(void *state, int sqlstate, const char *message)
{
	DecodeRun *run = state;
	SxDecoder *decoder = run->decoder;
	AttrNumber attnum;
	Size place;

	Assert(run->column > 0);
	attnum = decoder->columns[run->column - 1];
	place = (Size) run->row * decoder->stream->ncolumns + attnum - 1;
	run->values[place] = (Datum) 0;
	run->isnull[place] = true;
	MemoryContextReset(decoder->temp);
	add_error(run->errors, run->row, attnum, sqlstate, message);
}

static void
add_error(SxDecodeErrors *errors, int row, AttrNumber attnum, int sqlstate, const char *message)
{
	SxDecodeError *error;

	if (errors->count == errors->size)
	{
		int size = Max(errors->size * 2, 16);
		Size bytes = sizeof(SxDecodeError) * size;

		errors->items = errors->items ? repalloc_huge(errors->items, bytes) : palloc(bytes);
		errors->size = size;
	}
	error = &errors->items[errors->count++];
	error->row = row;
	error->attnum = attnum;
	error->sqlstate = sqlstate;
	error->message = message;
}
