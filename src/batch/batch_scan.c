/*
 * batch_scan.c
 *	  The marked scan of a micro-batch: hands out chosen rows.
 *
 * This runs once per event and view, so it only copies Datums that the batch
 * keeps alive.  A row's place travels in its ctid.
 */
#include "compat.h"

#include "batch/scan_kind.h"
#include "catalog/process_memory.h"

#define ROWS_BETWEEN_CHECKS 1024 /* of the process's memory */

typedef struct BatchScan
{
	SxScan scan;
	const int *rows; /* NULL: all rows, in order */
	int nrows;
	int position;
	const Datum *values;
	const bool *isnull;
	int width; /* Datums per row of the batch */
} BatchScan;

static void
batch_scan_begin(SxScan *scan)
{
	BatchScan *state = (BatchScan *) scan;
	const SxBatch *batch = scan->input->batch;
	int i;

	if (scan->input->nrows == 0)
		return;
	for (i = 0; i < scan->ncolumns; i++)
	{
		if (!bms_is_member(scan->columns[i], batch->columns))
			elog(ERROR, "column %d of the stream was not decoded for its micro-batch",
				 scan->columns[i]);
	}
	if (batch->stream->ncolumns != scan->slot->tts_tupleDescriptor->natts)
		elog(ERROR, "micro-batch and stream have different columns");

	state->rows = scan->input->rows;
	state->nrows = scan->input->nrows;
	state->position = 0;
	state->values = batch->values;
	state->isnull = batch->isnull;
	state->width = batch->stream->ncolumns;
}

static TupleTableSlot *
batch_scan_next(SxScan *scan)
{
	BatchScan *state = (BatchScan *) scan;
	size_t start;
	int row;

	if (state->position >= state->nrows)
		return ExecClearTuple(scan->slot);

	/* what views make of the rows may need much of it */
	if (unlikely(state->position % ROWS_BETWEEN_CHECKS == 0))
		sx_process_memory_check();
	row = state->rows ? state->rows[state->position] : state->position;
	Assert(row >= 0 && row < scan->input->batch->nrows);

	start = (size_t) row * state->width;
	sx_scan_store(scan, state->values + start, state->isnull + start);
	sx_scan_set_place(scan->slot, state->position++);
	return scan->slot;
}

static void
batch_scan_rescan(SxScan *scan)
{
	((BatchScan *) scan)->position = 0;
}

static void
batch_scan_end(SxScan *scan)
{
}

static void
batch_scan_explain(SxScan *scan, struct ExplainState *es)
{
}

const SxScanKind sx_batch_scan = {
	"micro-batch",	   sizeof(BatchScan), batch_scan_begin,	  batch_scan_next,
	batch_scan_rescan, batch_scan_end,	  batch_scan_explain,
};
