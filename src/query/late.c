/*
 * late.c
 *	  Rows too late for a view: told from the others, and recorded.
 *
 *      sealed           |  closed, late rows ok |  open
 *  ---------------------+-----------------------+------------> window end
 *        watermark - allowed_lateness      watermark
 *
 * Windows judge by the event time alone, so the rows are sorted before the
 * delta plan sees them, and only the late ones run through a second plan that
 * asks whether FROM and WHERE would have taken them.  A row of a session that
 * is too old by itself is judged by the sessions that it touches (session.c).
 */
#include "compat.h"

#include "executor/tuptable.h"
#include "utils/lsyscache.h"

#include "catalog/refused.h"
#include "query/inputs.h"
#include "query/late.h"
#include "query/retention.h"
#include "query/reuse.h"
#include "query/run.h"
#include "query/session.h"
#include "query/sql.h"

/* Receives the ctids of the rows view. */
typedef struct RowsReceiver
{
	DestReceiver pub;
	bool *is_taken; /* by place in the rows given */
} RowsReceiver;

/* Where a session's refused rows are recorded. */
typedef struct Recording
{
	const SxView *view;
	const SxReader *reader;
	const SxBatch *batch;
	const SxRows *rows;
	int count;
	bool *is_refused; /* by place in rows */
} Recording;

static bool receive_row(TupleTableSlot *slot, DestReceiver *self);
static void receiver_startup(DestReceiver *self, int operation, TupleDesc typeinfo);
static void receiver_noop(DestReceiver *self);
static void
record(const SxView *view, const SxReader *reader, const SxBatch *batch, int row, bool counted);

/* The partly late rows of one first window. */
static SxRows *
rows_from(SxSelection *selection, int64 from_window, bool is_recorded)
{
	SxPartlyLate *partly;
	ListCell *lc;

	foreach (lc, selection->partly_late)
	{
		partly = lfirst(lc);
		if (partly->from_window == from_window && partly->is_recorded == is_recorded)
			return &partly->rows;
	}
	partly = palloc0(sizeof(SxPartlyLate));
	partly->from_window = from_window;
	partly->is_recorded = is_recorded;
	selection->partly_late = lappend(selection->partly_late, partly);
	return &partly->rows;
}

void
sx_late_judge(const SxView *view, const SxBatch *batch, int row, int64 lateness_us, int64 watermark,
			  bool is_recorded, SxSelection *selection)
{
	int64 from_window;
	int64 refused_through;

	switch (sx_window_judge(&view->window, batch->event_time[row], lateness_us, watermark,
							&from_window, &refused_through))
	{
		case SX_ON_TIME:
			sx_late_take(&selection->on_time, batch, row);
			break;
		case SX_PARTLY_LATE:
			sx_late_take(rows_from(selection, from_window, is_recorded), batch, row);
			break;
		case SX_LATE:
			if (!is_recorded)
				sx_late_take(&selection->late, batch, row);
			break;
		case SX_NO_WINDOW:
			selection->no_window++;
			break;
	}
}

void
sx_late_select(const SxView *view, SxReader *reader, const SxBatch *batch, SxSelection *selection)
{
	int64 watermark = sx_view_watermark(view, reader->watermark);
	int64 bound = sx_window_late_bound(&view->window, view->allowed_lateness_us, watermark);
	bool is_timed = batch->stream->event_time != 0;
	SxReuse *reuse = view->reuses && is_timed ? sx_reuse_begin(view, reader, batch) : NULL;

	if (is_timed && sx_window_has_gaps(&view->window))
		bound = DT_NOEND;
	memset(selection, 0, sizeof(SxSelection));
	for (int row = 0; row < batch->nrows; row++)
	{
		if (batch->is_rejected[row] ||
			(batch->nerrors > 0 && !sx_batch_row_is_good(batch, row, view->columns, NULL)))
			continue;
		if (reuse)
			sx_reuse_select(reuse, row, selection);
		else if (is_timed && batch->event_time[row] <= bound)
			sx_late_judge(view, batch, row, view->allowed_lateness_us, watermark, false, selection);
		else
			sx_late_take(&selection->on_time, batch, row);
	}
}

void
sx_late_take(SxRows *rows, const SxBatch *batch, int row)
{
	if (rows->rows == NULL)
		rows->rows = palloc(sizeof(int) * batch->nrows);
	rows->rows[rows->count++] = row;
}

int
sx_late_record(const SxView *view, const SxReader *reader, const SxBatch *batch, const SxRows *rows,
			   bool counted)
{
	RowsReceiver receiver = {.pub = {.receiveSlot = receive_row,
									 .rStartup = receiver_startup,
									 .rShutdown = receiver_noop,
									 .rDestroy = receiver_noop,
									 .mydest = DestNone},
							 .is_taken = palloc0(sizeof(bool) * Max(rows->count, 1))};
	SxScanInput input = {
		.stream = view->stream, .batch = batch, .rows = rows->rows, .nrows = rows->count};
	int count = 0;

	if (rows->count == 0)
		return 0;
	sx_run(view, sx_sql_select_all(view->rows), &input, &receiver.pub);
	for (int i = 0; i < rows->count; i++)
	{
		if (!receiver.is_taken[i])
			continue;
		count++;
		record(view, reader, batch, rows->rows[i], counted);
	}
	return count;
}

static void
record_refused(void *context, int place)
{
	Recording *recording = context;

	recording->count++;
	recording->is_refused[place] = true;
	record(recording->view, recording->reader, recording->batch, recording->rows->rows[place],
		   false);
}

void
sx_late_sessions(const SxView *view, const SxReader *reader, const SxBatch *batch,
				 const SxRows *rows, int *late, int64 *groups)
{
	Recording recording = {view, reader, batch, rows, 0, palloc0(sizeof(bool) * rows->count)};
	SxRows accepted = {0};
	TimestampTz earliest = DT_NOEND;
	SxScanInput input = {
		.stream = view->stream, .batch = batch, .rows = rows->rows, .nrows = rows->count};
	DestReceiver *dest =
		sx_session_old_receiver(view, reader->watermark, record_refused, &recording);
	int64 inserted;
	int64 updated;

	sx_run(view, sx_sql_select_all(view->rows), &input, dest);
	sx_session_counts(dest, &inserted, &updated);
	dest->rDestroy(dest);
	for (int i = 0; i < rows->count; i++)
	{
		if (recording.is_refused[i])
			continue;
		earliest = Min(earliest, batch->event_time[rows->rows[i]]);
		if (view->inputs)
			sx_late_take(&accepted, batch, rows->rows[i]);
	}
	if (earliest < DT_NOEND)
		sx_retention_begins(view, earliest);
	if (accepted.count > 0)
		(void) sx_inputs_run(view, batch, &accepted, DT_NOBEGIN);
	*late = recording.count;
	*groups = inserted + updated;
}

static bool
receive_row(TupleTableSlot *slot, DestReceiver *self)
{
	bool is_null;
	Datum ctid = slot_getattr(slot, 1, &is_null);

	((RowsReceiver *) self)->is_taken[sx_scan_place_of_ctid((ItemPointer) DatumGetPointer(ctid))] =
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
record(const SxView *view, const SxReader *reader, const SxBatch *batch, int row, bool counted)
{
	SxLateRow late = {.view = view->relid,
					  .stream = view->stream,
					  .topic = batch->stream->is_kafka ? reader->topic : NULL,
					  .partition = batch->origin[row].partition,
					  .offset = batch->origin[row].offset,
					  .event_time = batch->event_time[row],
					  .watermark = reader->watermark,
					  .counted = counted,
					  .reader = reader->id};
	int64 from_window;

	if (!view->stores_late_rows)
		return;
	(void) sx_window_judge(&view->window, late.event_time, view->allowed_lateness_us,
						   sx_view_watermark(view, reader->watermark), &from_window,
						   &late.refused_through);
	late.row = sx_batch_row_jsonb(batch, row);
	sx_refused_late_row(&late);
}
