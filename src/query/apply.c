/*
 * apply.c
 *	  One micro-batch into all views of a reader.
 *
 *      bad rows -> dead letters
 *      for each view:  late rows -> late_rows,  the others -> delta -> merge
 *      event times, watermark
 *
 * In the ordinary run a failing view fails the batch; the caller aborts and
 * repeats it carefully: then each view has subtransactions of its own, and a
 * data error is bisected to its row.
 */
#include "compat.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "catalog/activity.h"
#include "catalog/refused.h"
#include "query/apply.h"
#include "query/attach.h"
#include "query/late.h"
#include "query/merge.h"
#include "query/run.h"
#include "query/sql.h"
#include "query/view.h"
#include "window/watermark.h"

/* One view's careful run. */
typedef struct Careful
{
	const SxView *view;
	SxReader *reader;
	SxBatch *batch;
	SxApplyCounts *counts;
	int *good; /* rows that have passed a probe; NULL: rows are merged at once */
	int ngood;
} Careful;

static void refuse_rows(SxReader *reader, SxBatch *batch, SxApplyCounts *counts);
static void
refuse_columns(const SxView *view, SxReader *reader, SxBatch *batch, SxApplyCounts *counts);
static void apply_view(const SxView *view, SxReader *reader, SxBatch *batch, SxApplyCounts *counts);
static bool apply_carefully(Oid view, SxReader *reader, SxBatch *batch, bool is_alone,
							SxApplyCounts *counts, Oid *paused_view);
static void run_delta(const SxView *view, const SxBatch *batch, const int *rows, int nrows,
					  SxApplyCounts *counts);
static void advance(SxReader *reader, const SxBatch *batch);

Bitmapset *
sx_apply_columns(const SxReader *reader)
{
	Bitmapset *columns = NULL;
	ListCell *lc;

	foreach (lc, reader->views)
		columns = bms_add_members(columns, sx_view_load(lfirst_oid(lc))->columns);
	return columns;
}

void
sx_apply_lock(SxReader *reader)
{
	List *views = NIL;
	ListCell *lc;

	foreach (lc, reader->views)
	{
		Oid view = lfirst_oid(lc);

		LockRelationOid(view, AccessShareLock);
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(view)))
			views = lappend_oid(views, view);
		else
			UnlockRelationOid(view, AccessShareLock);
	}
	reader->views = views;
}

void
sx_apply(SxReader *reader, SxBatch *batch, bool is_careful, SxApplyCounts *counts)
{
	List *staying = NIL;
	ListCell *lc;

	counts->rows += batch->nrows;
	refuse_rows(reader, batch, counts);
	foreach (lc, reader->views)
	{
		Oid view = lfirst_oid(lc);
		SxApplyCounts own = {0};

		CHECK_FOR_INTERRUPTS();
		if (!is_careful)
			apply_view(sx_view_load(view), reader, batch, &own);
		else if (!apply_carefully(view, reader, batch,
								  staying == NIL && lnext(reader->views, lc) == NULL, &own,
								  &counts->paused_view))
			continue;
		staying = lappend_oid(staying, view);
		counts->late_rows += own.late_rows;
		counts->dead_letters += own.dead_letters;
		counts->groups += own.groups;
		sx_activity_count(SX_ACTIVITY_VIEW, view, view, own.rows, own.late_rows, own.dead_letters);
	}
	reader->views = staying;
	advance(reader, batch);
}

void
sx_apply_first_row(Oid relid)
{
	const SxView *view = sx_view_load(relid);
	SxScanInput input = {.stream = view->stream};
	DestReceiver *dest;
	SxRunAs saved;
	SxBatch empty = {0};

	input.batch = &empty;
	sx_run_begin(view, &saved);
	dest = sx_merge_receiver(view);
	sx_run(view, sx_sql_select_all(view->delta), &input, dest);
	dest->rDestroy(dest);
	sx_run_end(&saved);
}

/* ---- rows that cannot be taken ---- */

static void
dead_letter(const SxReader *reader, const SxBatch *batch, int row, Oid view, int sqlstate,
			const char *message, SxApplyCounts *counts)
{
	const SxMessage *source = batch->messages ? &batch->messages[row] : NULL;
	SxDeadLetter letter = {.stream = reader->stream,
						   .view = view,
						   .topic = batch->stream->is_kafka ? reader->topic : NULL,
						   .partition = batch->origin[row].partition,
						   .offset = batch->origin[row].offset,
						   .timestamp_ms = batch->origin[row].timestamp_ms,
						   .sqlstate = sqlstate,
						   .message = message,
						   .reader = reader->id};

	counts->dead_letters++;
	if (batch->stream->on_error == SX_ON_ERROR_SKIP)
		return;
	if (source)
	{
		letter.key = source->key;
		letter.key_length = source->key_length;
		letter.payload = source->payload;
		letter.payload_length = source->payload_length;
	}
	if (OidIsValid(view))
	{
		letter.row = sx_batch_row_jsonb(batch, row);
		letter.has_row = true;
	}
	sx_refused_dead_letter(&letter);
}

static char *
with_column(const SxBatch *batch, const SxRowError *error)
{
	if (error->attnum == 0)
		return pstrdup(error->message);
	return psprintf("column \"%s\": %s", batch->stream->columns[error->attnum - 1].name,
					error->message);
}

static void
stop_stream(const SxReader *reader, const SxBatch *batch, const SxRowError *error)
{
	const SxRowOrigin *origin = &batch->origin[error->row];

	ereport(ERROR, (errcode(error->sqlstate), errmsg("%s", with_column(batch, error)),
					errdetail("Stream \"%s\" has on_error 'stop'.", batch->stream->name),
					errcontext("stream \"%s\", partition %d, offset " INT64_FORMAT,
							   batch->stream->name, origin->partition, origin->offset)));
}

/* Rows that the stream refuses, for all views. */
static void
refuse_rows(SxReader *reader, SxBatch *batch, SxApplyCounts *counts)
{
	int last = -1;

	for (int i = 0; i < batch->nerrors; i++)
	{
		const SxRowError *error = &batch->errors[i];

		if (!batch->is_rejected[error->row] || error->row == last)
			continue;
		if (batch->stream->on_error == SX_ON_ERROR_STOP)
			stop_stream(reader, batch, error);
		dead_letter(reader, batch, error->row, InvalidOid, error->sqlstate,
					with_column(batch, error), counts);
		last = error->row;
	}
}

/* Rows with an error in a column that this view uses. */
static void
refuse_columns(const SxView *view, SxReader *reader, SxBatch *batch, SxApplyCounts *counts)
{
	int last = -1;

	for (int i = 0; i < batch->nerrors; i++)
	{
		const SxRowError *error = &batch->errors[i];

		if (batch->is_rejected[error->row] || error->row == last ||
			!bms_is_member(error->attnum, view->columns))
			continue;
		if (batch->stream->on_error == SX_ON_ERROR_STOP)
			stop_stream(reader, batch, error);
		dead_letter(reader, batch, error->row, view->relid, error->sqlstate,
					with_column(batch, error), counts);
		last = error->row;
	}
}

/* ---- one view ---- */

/* Whose error it is. */
static void
name_view(void *arg)
{
	errcontext("continuous view \"%s\"", ((const SxView *) arg)->name);
}

static void
push_view_context(const SxView *view, ErrorContextCallback *context)
{
	context->callback = name_view;
	context->arg = unconstify(SxView *, view);
	context->previous = error_context_stack;
	error_context_stack = context;
}

static void
apply_view(const SxView *view, SxReader *reader, SxBatch *batch, SxApplyCounts *counts)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx view batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SxSelection selection;
	SxRunAs saved;
	ErrorContextCallback error_context;

	push_view_context(view, &error_context);
	refuse_columns(view, reader, batch, counts);
	sx_late_select(view, reader, batch, &selection);
	counts->rows += selection.nrows;
	sx_run_begin(view, &saved);
	if (selection.nrows > 0)
		run_delta(view, batch, selection.rows, selection.nrows, counts);
	if (selection.nlate > 0)
		counts->late_rows += sx_late_record(view, reader, batch, &selection);
	sx_run_end(&saved);
	error_context_stack = error_context.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* The delta of some rows, merged as it comes. */
static void
run_delta(const SxView *view, const SxBatch *batch, const int *rows, int nrows,
		  SxApplyCounts *counts)
{
	int64 inserted;
	int64 updated;
	SxScanInput input = {.stream = view->stream, .batch = batch, .rows = rows, .nrows = nrows};
	DestReceiver *dest = sx_merge_receiver(view);

	sx_run(view, sx_sql_select_all(view->delta), &input, dest);
	sx_merge_counts(dest, &inserted, &updated);
	counts->groups += inserted + updated;
	dest->rDestroy(dest);
}

/* ---- carefully ---- */

static bool
is_data_error(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'):
			return true;
		default:
			return sqlstate == ERRCODE_RAISE_EXCEPTION;
	}
}

/*
 * Run work in a subtransaction, which stays if work returns true.  The error that
 * it threw, in the current memory context, or NULL.
 */
static ErrorData *
in_subtransaction(bool (*work)(void *argument), void *argument)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		if (work(argument))
			ReleaseCurrentSubTransaction();
		else
			RollbackAndReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

/* Rows to merge, or only to probe; and late ones to record. */
typedef struct Attempt
{
	Careful *careful;
	const int *rows;
	int nrows;
	const SxSelection *late;
} Attempt;

static bool
run_attempt(void *argument)
{
	Attempt *attempt = argument;
	Careful *careful = attempt->careful;
	SxRunAs saved;

	sx_run_begin(careful->view, &saved);
	if (attempt->nrows > 0)
		run_delta(careful->view, careful->batch, attempt->rows, attempt->nrows, careful->counts);
	if (attempt->late)
		careful->counts->late_rows +=
			sx_late_record(careful->view, careful->reader, careful->batch, attempt->late);
	sx_run_end(&saved);
	return careful->good == NULL;
}

static ErrorData *
try_rows(Careful *careful, const int *rows, int nrows, const SxSelection *late)
{
	Attempt attempt = {careful, rows, nrows, late};
	ErrorContextCallback error_context;
	ErrorData *error;

	push_view_context(careful->view, &error_context);
	error = in_subtransaction(run_attempt, &attempt);
	error_context_stack = error_context.previous;
	return error;
}

/* Errors that say nothing about the view or the data: the whole batch is to be repeated. */
static bool
is_passing_error(int sqlstate)
{
	return sqlstate == ERRCODE_QUERY_CANCELED || sqlstate == ERRCODE_ADMIN_SHUTDOWN ||
		   sqlstate == ERRCODE_OUT_OF_MEMORY || sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ||
		   sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE ||
		   sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
		   ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_INSUFFICIENT_RESOURCES;
}

/* Merge, or probe, rows; data errors are narrowed down to their rows.  The error if there is another one. */
static ErrorData *
bisect(Careful *careful, const int *rows, int nrows)
{
	ErrorData *error;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	error = try_rows(careful, rows, nrows, NULL);
	if (error == NULL)
	{
		if (careful->good)
			memcpy(careful->good + careful->ngood, rows, sizeof(int) * nrows);
		careful->ngood += nrows;
		return NULL;
	}
	if (is_passing_error(error->sqlerrcode))
		ReThrowError(error);
	if (!is_data_error(error->sqlerrcode))
		return error;
	if (nrows == 1)
	{
		if (careful->batch->stream->on_error == SX_ON_ERROR_STOP)
		{
			const SxRowOrigin *origin = &careful->batch->origin[rows[0]];

			error->context = psprintf("continuous view \"%s\", stream \"%s\", partition %d,"
									  " offset " INT64_FORMAT,
									  careful->view->name, careful->batch->stream->name,
									  origin->partition, origin->offset);
			return error;
		}
		dead_letter(careful->reader, careful->batch, rows[0], careful->view->relid,
					error->sqlerrcode, error->message, careful->counts);
		return NULL;
	}
	error = bisect(careful, rows, nrows / 2);
	return error ? error : bisect(careful, rows + nrows / 2, nrows - nrows / 2);
}

/*
 * Merge rows but for the bad ones.  The bad ones are found first, and the others
 * merged at once: merging each part as it is found to be good would leave a
 * version of each group per part, all of which the next part has to pass.
 */
static ErrorData *
merge_good(Careful *careful, const int *rows, int nrows)
{
	ErrorData *error = try_rows(careful, rows, nrows, NULL);
	int *good;

	if (error == NULL || !is_data_error(error->sqlerrcode))
		return error;
	good = careful->good = palloc(sizeof(int) * nrows);
	error = bisect(careful, rows, nrows);
	careful->good = NULL;
	if (error || careful->ngood == 0)
		return error;
	/* some may be bad only together: an overflow of the state */
	return bisect(careful, good, careful->ngood);
}

/* A view's share of the batch, bad rows to the dead letters; the error if there is another one. */
static ErrorData *
apply_share(Careful *careful)
{
	SxSelection selection;
	ErrorData *error;

	refuse_columns(careful->view, careful->reader, careful->batch, careful->counts);
	sx_late_select(careful->view, careful->reader, careful->batch, &selection);
	careful->counts->rows += selection.nrows;
	error = selection.nrows > 0 ? merge_good(careful, selection.rows, selection.nrows) : NULL;
	if (error == NULL && selection.nlate > 0)
		error = try_rows(careful, NULL, 0, &selection);
	return error;
}

typedef struct Share
{
	Careful *careful;
	ErrorData *error;
} Share;

static bool
run_share(void *argument)
{
	Share *share = argument;

	share->error = apply_share(share->careful);
	return share->error == NULL;
}

/*
 * All of it or nothing: what was merged, and written to the dead letters, before
 * the error is undone, for the view that leaves will read the batch again.
 */
static ErrorData *
try_share(Careful *careful)
{
	Share share = {careful, NULL};
	ErrorData *error = in_subtransaction(run_share, &share);

	return error ? error : share.error;
}

/*
 * True if the view stays with the reader.  is_alone: no other view does, so there
 * is nobody to leave, and the whole batch is to be repeated; or, after a data
 * error, *paused_view is set for the caller to pause it when all is undone.
 */
static bool
apply_carefully(Oid relid, SxReader *reader, SxBatch *batch, bool is_alone, SxApplyCounts *counts,
				Oid *paused_view)
{
	Careful careful = {
		.view = sx_view_load(relid), .reader = reader, .batch = batch, .counts = counts};
	ErrorData *error = try_share(&careful);

	if (error == NULL)
		return true;
	/* INSERT has no reader that could retry */
	if (is_passing_error(error->sqlerrcode) || !batch->stream->is_kafka)
		ReThrowError(error);
	if (is_alone)
	{
		if (is_data_error(error->sqlerrcode))
			*paused_view = relid;
		ReThrowError(error);
	}

	sx_activity_failed(SX_ACTIVITY_VIEW, relid, relid, error);
	sx_attach_leave(relid, is_data_error(error->sqlerrcode));
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("continuous view \"%s\" goes on alone: %s", careful.view->name, error->message),
			 is_data_error(error->sqlerrcode) ? errhint("It is paused; see streamx.resume.")
											  : errhint("It retries by itself.")));
	return false;
}

/* ---- event times and watermark ---- */

static void
advance(SxReader *reader, const SxBatch *batch)
{
	SxPartition *partition = NULL;
	SxPartitionTime *times;

	if (batch->stream->event_time == 0)
		return;
	for (int row = 0; row < batch->nrows; row++)
	{
		if (batch->is_rejected[row])
			continue;
		if (partition == NULL || partition->partition != batch->origin[row].partition)
			partition = sx_reader_partition(reader, batch->origin[row].partition);
		if (partition && batch->event_time[row] > partition->event_time)
			partition->event_time = batch->event_time[row];
	}

	times = palloc(sizeof(SxPartitionTime) * Max(reader->npartitions, 1));
	for (int i = 0; i < reader->npartitions; i++)
	{
		times[i].max_event_time = reader->partitions[i].event_time;
		times[i].at_end = reader->partitions[i].at_end;
		times[i].is_silent = reader->partitions[i].is_silent;
	}
	reader->watermark = sx_watermark_advance(reader->watermark, times, reader->npartitions,
											 batch->stream->watermark_delay_us);
	pfree(times);
}
