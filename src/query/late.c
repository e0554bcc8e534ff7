/*
 * late.c
 *	  Rows too late for a view: told from the others, and recorded.
 *
 *      sealed           |  closed, late rows ok |  open
 *  ---------------------+-----------------------+------------> window end
 *        watermark - allowed_lateness      watermark
 *
 * A tumbling window judges by the event time alone, so the rows are sorted
 * before the delta plan sees them, and only the late ones run through a second
 * plan that asks whether FROM and WHERE would have taken them.
 */
#include "compat.h"

#include "executor/tuptable.h"
#include "utils/lsyscache.h"

#include "catalog/refused.h"
#include "query/late.h"
#include "query/run.h"
#include "query/sql.h"

/* Receives the ctids of the rows view. */
typedef struct RowsReceiver
{
	DestReceiver pub;
	bool *is_taken; /* by row number */
} RowsReceiver;

static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo);
static void receiver_noop(DestReceiver *self);
static void record(const SxView *view, const SxReader *reader, const SxBatch *batch, int row);

void
sx_late_select(const SxView *view, const SxReader *reader, const SxBatch *batch,
			   SxSelection *selection)
{
	int64 bound = sx_window_late_bound(&view->window, view->allowed_lateness_us, reader->watermark);
	bool is_timed = batch->stream->event_time != 0;

	selection->rows = palloc(sizeof(int) * Max(batch->nrows, 1));
	selection->nrows = 0;
	selection->late = NULL;
	selection->nlate = 0;
	for (int row = 0; row < batch->nrows; row++)
	{
		if (batch->is_rejected[row] ||
			(batch->nerrors > 0 && !sx_batch_row_is_good(batch, row, view->columns, NULL)))
			continue;
		if (is_timed && batch->event_time[row] <= bound &&
			sx_window_is_late(&view->window, batch->event_time[row], view->allowed_lateness_us,
							  reader->watermark))
		{
			if (selection->late == NULL)
				selection->late = palloc(sizeof(int) * batch->nrows);
			selection->late[selection->nlate++] = row;
		}
		else
			selection->rows[selection->nrows++] = row;
	}
}

int
sx_late_record(const SxView *view, const SxReader *reader, const SxBatch *batch,
			   const SxSelection *selection)
{
	RowsReceiver receiver = {.pub = {.receiveSlot = receive_row,
									 .rStartup = receiver_startup,
									 .rShutdown = receiver_noop,
									 .rDestroy = receiver_noop,
									 .mydest = DestNone},
							 .is_taken = palloc0(sizeof(bool) * batch->nrows)};
	SxScanInput input = {
		.stream = view->stream, .batch = batch, .rows = selection->late, .nrows = selection->nlate};
	int count = 0;

	if (selection->nlate == 0)
		return 0;
	sx_run(view, sx_sql_select_all(view->rows), &input, &receiver.pub);
	for (int i = 0; i < selection->nlate; i++)
	{
		if (!receiver.is_taken[selection->late[i]])
			continue;
		count++;
		if (view->stores_late_rows)
			record(view, reader, batch, selection->late[i]);
	}
	return count;
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	bool is_null;
	Datum ctid = slot_getattr(slot, 1, &is_null);

	((RowsReceiver *) self)->is_taken[sx_scan_row_of_ctid((ItemPointer) DatumGetPointer(ctid))] =
		true;
	return true;
}

static void
receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo)
{
}

static void
receiver_noop(DestReceiver *self)
{
}

static void
record(const SxView *view, const SxReader *reader, const SxBatch *batch, int row)
{
	SxLateRow late = {.view = view->relid,
					  .stream = view->stream,
					  .topic = batch->stream->is_kafka ? reader->topic : NULL,
					  .partition = batch->origin[row].partition,
					  .offset = batch->origin[row].offset,
					  .event_time = batch->event_time[row],
					  .watermark = reader->watermark,
					  .counted = false,
					  .row = sx_batch_row_jsonb(batch, row),
					  .reader = reader->id};

	late.refused_through =
		sx_window_end(&view->window, sx_window_start(&view->window, batch->event_time[row]));
	sx_refused_late_row(&late);
}
