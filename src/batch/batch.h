/*
 * batch.h
 *	  The micro-batch: a run of a stream's rows with their event times and
 *	  origins, ready to be folded into views.
 *
 * Rows are kept as one array of Datums, row by row, in the batch's own memory
 * context.  Rows from Kafka come through a decoder, rows from INSERT and COPY
 * are copied in; from there on nobody knows the difference.
 */
#ifndef SX_BATCH_H
#define SX_BATCH_H

#include "compat.h"

#include "catalog/stream.h"
#include "decode/decoder.h"
#include "executor/tuptable.h"
#include "nodes/bitmapset.h"
#include "source/source.h"

typedef struct SxRowOrigin
{
	int32 partition;
	int64 offset;
	int64 timestamp_ms; /* -1: none */
} SxRowOrigin;

/* Why a row, or one of its columns, is bad. */
typedef SxDecodeError SxRowError;

typedef struct SxBatch
{
	MemoryContext context; /* all of the batch; deleted by the owner */
	MemoryContext rows;	   /* Datums, errors and what else belongs to these rows; reset with them */
	const SxStream *stream;
	Bitmapset *columns; /* attnums that are filled */
	int nrows;
	int size;	   /* rows allocated */
	Datum *values; /* nrows * stream->ncolumns */
	bool *isnull;
	int64 *event_time; /* per row; DT_NOBEGIN when the stream has none */
	bool *is_rejected; /* per row: refused by the stream, no view sees it */
	bool *is_filtered; /* per row: no row of the stream at all; is_rejected, too */
	int nfiltered;
	SxRowOrigin *origin;	   /* per row */
	const SxMessage *messages; /* per row, or NULL for INSERT; payloads for dead letters */
	int nerrors;
	int errors_size;
	SxRowError *errors;	  /* ascending by row; of each row those that reject it first */
	int64 min_event_time; /* over rows not rejected; DT_NOEND when none */
	size_t bytes;		  /* memory taken by rows, roughly */

	/* kept from one run of rows to the next */
	SxDecoder *decoder;
	Bitmapset *decoder_columns;
	struct SxBatchCheck *check; /* what the stream demands of each row */
} SxBatch;

/* An empty batch in a new child context of parent. */
extern SxBatch *sx_batch_create(const SxStream *stream, MemoryContext parent);

/* Forget all rows and reset their memory context; arrays and decoder are kept. */
extern void sx_batch_reset(SxBatch *batch);

/*
 * Fill an empty batch from messages: decode the columns asked for (and those
 * that event_time, NOT NULL and CHECK need), fill metadata columns, find event times, check
 * max_future, NOT NULL and CHECK.  Bad rows get is_rejected and an error entry with
 * attnum of the column (0: whole message).  A column's error that concerns
 * only some views is an error entry without is_rejected; a message that the stream's
 * filter rejects is is_filtered and is_rejected without an error entry.  messages stay the
 * source's and must live as long as the batch.  now: the worker's clock.
 */
extern void sx_batch_decode(SxBatch *batch, const SxMessage *messages, int count,
							const Bitmapset *columns, TimestampTz now);

/*
 * Add a row from INSERT or COPY: values are copied.  NOT NULL and CHECK were
 * checked by the caller; event time is checked here: a bad one is an ereport.
 */
extern void sx_batch_add_slot(SxBatch *batch, TupleTableSlot *slot, int64 offset, TimestampTz now);

/* Whether a row is usable for a view that needs the given columns; *error (if not NULL) says why not. */
extern bool sx_batch_row_is_good(const SxBatch *batch, int row, const Bitmapset *columns,
								 const SxRowError **error);

/* A row's filled columns as jsonb {column: value}, allocated in the current context. */
extern Datum sx_batch_row_jsonb(const SxBatch *batch, int row);

/* Greatest event time of the rows not rejected, per partition, is found by the caller from event_time/origin. */

#endif
