/*
 * batch.c
 *	  The micro-batch: a run of a stream's rows with their event times and
 *	  origins.
 *
 * The arrays and the decoder live as long as the batch and are used again for
 * the next rows; Datums and errors go when it is reset.
 */
#include "compat.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch/batch.h"
#include "batch/batch_check.h"
#include "batch/metadata.h"
#include "catalog/process_memory.h"
#include "catalog/spi.h"

#define SMALLEST_SIZE 64 /* rows */

/* Messages decoded at a time: their payloads' descriptions should stay in the cache. */
#define DECODE_AT_ONCE 1024

static void reserve(SxBatch *batch, int nrows);
static void *grow(SxBatch *batch, void *array, size_t bytes);
static void set_columns(SxBatch *batch, Bitmapset *columns);
static void set_origins(SxBatch *batch, const SxMessage *messages, int count);
static void open_decoder(SxBatch *batch);
static void decode_payloads(SxBatch *batch);
static void sort_errors(SxBatch *batch);
static int compare_errors(const void *a, const void *b, void *batch);
static Datum copy_datum(Datum value, Form_pg_attribute attribute);

SxBatch *
sx_batch_create(const SxStream *stream, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "streamx batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SxBatch *batch = palloc0(sizeof(SxBatch));

	batch->context = context;
	batch->rows = AllocSetContextCreate(context, "streamx batch rows", ALLOCSET_DEFAULT_SIZES);
	batch->stream = stream;
	batch->check = sx_batch_check_open(stream);
	batch->min_event_time = DT_NOEND;
	MemoryContextSwitchTo(old);
	return batch;
}

void
sx_batch_reset(SxBatch *batch)
{
	MemoryContextReset(batch->rows);
	batch->nrows = 0;
	batch->nfiltered = 0;
	batch->columns = NULL;
	batch->messages = NULL;
	batch->nerrors = 0;
	batch->errors_size = 0;
	batch->errors = NULL;
	batch->min_event_time = DT_NOEND;
	batch->bytes = 0;
}

void
sx_batch_decode(SxBatch *batch, const SxMessage *messages, int count, const Bitmapset *columns,
				TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(batch->rows);
	SxSpi saved;

	Assert(batch->nrows == 0);
	reserve(batch, count);
	set_columns(batch, bms_union(columns, batch->check->columns));
	set_origins(batch, messages, count);
	/* input functions, domains and CHECK constraints are the stream owner's code, not the worker's */
	sx_become(batch->stream->owner, &saved);
	decode_payloads(batch);
	sx_metadata_fill(batch, batch->columns);
	sx_batch_check(batch, now);
	sx_unbecome(&saved);
	sort_errors(batch);
	batch->bytes = MemoryContextMemAllocated(batch->context, true);
	MemoryContextSwitchTo(old);
}

void
sx_batch_add_slot(SxBatch *batch, TupleTableSlot *slot, int64 offset, TimestampTz now)
{
	MemoryContext old = MemoryContextSwitchTo(batch->rows);
	const SxStream *stream = batch->stream;
	int row = batch->nrows;
	size_t first;
	int sqlstate;
	const char *message;
	int i;

	reserve(batch, row + 1);
	if (row == 0 && stream->ncolumns > 0)
		set_columns(batch, bms_add_range(NULL, 1, stream->ncolumns));
	slot_getallattrs(slot);
	first = (size_t) row * stream->ncolumns;
	for (i = 0; i < stream->ncolumns; i++)
	{
		batch->isnull[first + i] = slot->tts_isnull[i] || stream->columns[i].is_dropped;
		if (!batch->isnull[first + i])
			batch->values[first + i] =
				copy_datum(slot->tts_values[i], TupleDescAttr(stream->tupdesc, i));
	}
	batch->origin[row] = (SxRowOrigin){.offset = offset, .timestamp_ms = -1};
	batch->is_rejected[row] = false;
	batch->is_filtered[row] = false;
	if (!sx_batch_event_time(batch, row, now, &batch->event_time[row], &sqlstate, &message))
		ereport(ERROR, (errcode(sqlstate), errmsg("%s", message),
						errcontext("column \"%s\" of stream \"%s\"",
								   stream->columns[stream->event_time - 1].name, stream->name)));
	if (stream->event_time > 0)
		batch->min_event_time = Min(batch->min_event_time, batch->event_time[row]);
	batch->nrows++;
	batch->bytes = MemoryContextMemAllocated(batch->context, true);
	MemoryContextSwitchTo(old);
}

bool
sx_batch_row_is_good(const SxBatch *batch, int row, const Bitmapset *columns,
					 const SxRowError **error)
{
	int low = 0;
	int high = batch->nerrors;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (batch->errors[middle].row < row)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < batch->nerrors && batch->errors[low].row == row; low++)
	{
		const SxRowError *found = &batch->errors[low];

		if (!sx_batch_error_rejects(batch, found) && !bms_is_member(found->attnum, columns))
			continue;
		if (error)
			*error = found;
		return false;
	}
	return true;
}

Datum
sx_batch_row_jsonb(const SxBatch *batch, int row)
{
	const SxStream *stream = batch->stream;
	size_t first = (size_t) row * stream->ncolumns;
	TupleDesc tupdesc = CreateTemplateTupleDesc(bms_num_members(batch->columns));
	Datum *values = palloc(sizeof(Datum) * Max(tupdesc->natts, 1));
	bool *isnull = palloc(sizeof(bool) * Max(tupdesc->natts, 1));
	Datum record;
	Datum result;
	FmgrInfo to_jsonb;
	SxSpi saved;
	int attnum = -1;
	int i = 0;

	while ((attnum = bms_next_member(batch->columns, attnum)) >= 0)
	{
		const SxColumn *column = &stream->columns[attnum - 1];

		TupleDescInitEntry(tupdesc, i + 1, column->name, column->type, column->typmod, 0);
		values[i] = batch->values[first + attnum - 1];
		isnull[i] = batch->isnull[first + attnum - 1];
		i++;
	}
	tupdesc = BlessTupleDesc(tupdesc);
	record = HeapTupleGetDatum(heap_form_tuple(tupdesc, values, isnull));

	fmgr_info(F_TO_JSONB, &to_jsonb);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID,
											 list_make1(makeNullConst(RECORDOID, -1, InvalidOid)),
											 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL),
					   &to_jsonb);
	/* types may have casts to json, which are anybody's functions */
	sx_become(stream->owner, &saved);
	result = FunctionCall1(&to_jsonb, record);
	sx_unbecome(&saved);
	return result;
}

/* Make room for so many rows; new ones are all NULL. */
static void
reserve(SxBatch *batch, int nrows)
{
	size_t ncolumns = Max(batch->stream->ncolumns, 1);
	size_t size = Max(batch->size, SMALLEST_SIZE);

	if (nrows <= batch->size)
		return;
	while (size < nrows)
		size *= 2;
	batch->values = grow(batch, batch->values, size * ncolumns * sizeof(Datum));
	batch->isnull = grow(batch, batch->isnull, size * ncolumns * sizeof(bool));
	memset(batch->isnull + batch->size * ncolumns, true, (size - batch->size) * ncolumns);
	batch->event_time = grow(batch, batch->event_time, size * sizeof(int64));
	batch->is_rejected = grow(batch, batch->is_rejected, size * sizeof(bool));
	batch->is_filtered = grow(batch, batch->is_filtered, size * sizeof(bool));
	batch->origin = grow(batch, batch->origin, size * sizeof(SxRowOrigin));
	batch->size = size;
}

static void *
grow(SxBatch *batch, void *array, size_t bytes)
{
	return array ? repalloc_huge(array, bytes) : MemoryContextAllocHuge(batch->context, bytes);
}

/* The columns to fill are those of columns that there are. */
static void
set_columns(SxBatch *batch, Bitmapset *columns)
{
	int i;

	for (i = 0; i < batch->stream->ncolumns; i++)
		if (batch->stream->columns[i].is_dropped)
			columns = bms_del_member(columns, i + 1);
	batch->columns = columns;
}

static void
set_origins(SxBatch *batch, const SxMessage *messages, int count)
{
	int i;

	batch->messages = messages;
	batch->nrows = count;
	for (i = 0; i < count; i++)
		batch->origin[i] = (SxRowOrigin){.partition = messages[i].partition,
										 .offset = messages[i].offset,
										 .timestamp_ms = messages[i].timestamp_ms};
}

/* The decoder of the columns to fill; the last one if they are the same. */
static void
open_decoder(SxBatch *batch)
{
	MemoryContext old;

	if (batch->decoder && bms_equal(batch->decoder_columns, batch->columns))
		return;
	if (batch->decoder)
		sx_decoder_close(batch->decoder);
	batch->decoder = NULL;
	old = MemoryContextSwitchTo(batch->context);
	bms_free(batch->decoder_columns);
	batch->decoder_columns = bms_copy(batch->columns);
	batch->decoder = sx_decoder_open(batch->stream, batch->columns);
	MemoryContextSwitchTo(old);
}

static void
decode_payloads(SxBatch *batch)
{
	size_t ncolumns = batch->stream->ncolumns;
	SxPayload payloads[DECODE_AT_ONCE];
	int start;

	open_decoder(batch);
	for (start = 0; start < batch->nrows; start += DECODE_AT_ONCE)
	{
		int count = Min(batch->nrows - start, DECODE_AT_ONCE);
		SxDecodeErrors errors;
		int i;

		sx_process_memory_check();
		for (i = 0; i < count; i++)
		{
			payloads[i].data = batch->messages[start + i].payload;
			payloads[i].length = batch->messages[start + i].payload_length;
		}
		sx_decoder_decode(batch->decoder, payloads, count, batch->values + start * ncolumns,
						  batch->isnull + start * ncolumns, batch->is_filtered + start, &errors);
		memcpy(batch->is_rejected + start, batch->is_filtered + start, sizeof(bool) * count);
		for (i = 0; batch->stream->filter && i < count; i++)
			batch->nfiltered += batch->is_filtered[start + i];
		for (i = 0; i < errors.count; i++)
			sx_batch_add_error(batch, start + errors.items[i].row, errors.items[i].attnum,
							   errors.items[i].sqlstate, errors.items[i].message);
	}
}

/* By row; of a row's errors those that reject it come first. */
static void
sort_errors(SxBatch *batch)
{
	int i;

	for (i = 1; i < batch->nerrors; i++)
		if (compare_errors(&batch->errors[i - 1], &batch->errors[i], batch) > 0)
		{
			qsort_arg(batch->errors, batch->nerrors, sizeof(SxRowError), compare_errors, batch);
			return;
		}
}

static int
compare_errors(const void *a, const void *b, void *batch)
{
	const SxRowError *left = a;
	const SxRowError *right = b;
	bool left_rejects = sx_batch_error_rejects(batch, left);

	if (left->row != right->row)
		return left->row < right->row ? -1 : 1;
	if (left_rejects != sx_batch_error_rejects(batch, right))
		return left_rejects ? -1 : 1;
	return left->attnum - right->attnum;
}

/* A copy that depends on nothing else: not on a TOAST table, not on an expanded object. */
static Datum
copy_datum(Datum value, Form_pg_attribute attribute)
{
	if (attribute->attlen == -1 && VARATT_IS_EXTERNAL(DatumGetPointer(value)) &&
		!VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value)))
		return PointerGetDatum(detoast_external_attr((struct varlena *) DatumGetPointer(value)));
	return datumCopy(value, attribute->attbyval, attribute->attlen);
}
