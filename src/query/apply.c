/*
 * apply.c
 *	  One micro-batch into all views of a reader.
 *
 *      bad rows -> dead letters
 *      for each view:  rows on time      -> delta -> merge
 *                      partly late rows  -> delta -> merge (from_window),  late_rows
 *                      late rows         -> late_rows (a session's: or merge)
 *      event times, watermark
 *
 * In the ordinary run a failing view fails the batch; the caller aborts and
 * repeats it carefully: then each view has subtransactions of its own, and a
 * data error is bisected to its row.
 */
#include "compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "catalog/activity.h"
#include "catalog/debug_point.h"
#include "catalog/refused.h"
#include "query/apply.h"
#include "query/attach.h"
#include "query/family.h"
#include "query/inputs.h"
#include "query/grouping.h"
#include "query/late.h"
#include "query/merge.h"
#include "query/retention.h"
#include "query/run.h"
#include "query/session.h"
#include "query/sql.h"
#include "query/subtransaction.h"
#include "query/time_limit.h"
#include "query/view.h"
#include "window/watermark.h"

/* So many rows of a batch become dead letters of a view; of one more it is the view that is at fault. */
#define MAX_REFUSALS 10000

/* One view's share of a batch. */
typedef struct Share
{
	const SxView *view;
	SxReader *reader;
	SxBatch *batch;
	SxSelection selection;
	const SxPartlyLate *partly_late; /* those at hand */
	SxApplyCounts *counts;
	const SxKept *kept; /* of a family's first: the groups of the rows on time, or NULL */

	/* of a careful run: */
	SxCare care;
	SxTimeliness timeliness; /* of the rows at hand */
	bool is_probe;			 /* rows are only tried; the good ones are: */
	SxRows good;
	int nrefused; /* rows that became dead letters of the view */
} Share;

static List *first_rows(const SxView *view);
static void refuse_rows(SxReader *reader, SxBatch *batch, SxApplyCounts *counts);
static void
refuse_columns(const SxView *view, SxReader *reader, SxBatch *batch, SxApplyCounts *counts);
static void
apply_families(SxReader *reader, SxBatch *batch, const SxPrepared *prepared, SxApplyCounts *counts);
static void apply_one_by_one(SxReader *reader, SxBatch *batch, SxCare care, SxApplyCounts *counts);
static void count_view(Oid view, SxApplyCounts *own, SxApplyCounts *counts);
static void apply_family(List *views, SxReader *reader, SxBatch *batch, const SxPrepared *prepared,
						 SxApplyCounts *counts);
static void select_rows(List *family);
static bool apply_carefully(Share *share, bool is_alone, Oid *paused_view);
static void run_rows(List *family, SxTimeliness timeliness, const SxRows *rows);
static void run_partly_late(List *family, const SxPartlyLate *partly_late);
static void note_rows(Share *share, SxTimeliness timeliness, const SxRows *rows);
static void run_deltas(List *family, const SxRows *rows, int64 from_window, const SxKept *kept);
static void add_counts(SxApplyCounts *sum, const SxApplyCounts *counts);
static void count_filtered(SxReader *reader, const SxBatch *batch);
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
sx_apply(SxReader *reader, SxBatch *batch, SxCare care, const SxPrepared *prepared,
		 SxApplyCounts *counts)
{
	counts->seen.rows += batch->nrows;
	refuse_rows(reader, batch, counts);
	if (care != SX_CARE_NONE)
		apply_one_by_one(reader, batch, care, counts);
	else
		apply_families(reader, batch, prepared, counts);
	SX_DEBUG_POINT("after-merge");
	count_filtered(reader, batch);
	advance(reader, batch);
	sx_retention_apply(reader, counts->groups + counts->inputs);
}

static void
apply_families(SxReader *reader, SxBatch *batch, const SxPrepared *prepared, SxApplyCounts *counts)
{
	List *views = list_copy(reader->views);

	while (views != NIL)
	{
		List *family = sx_family_take(&views, batch);
		SxApplyCounts *own = palloc0(list_length(family) * sizeof(SxApplyCounts));
		ListCell *lc;

		CHECK_FOR_INTERRUPTS();
		apply_family(family, reader, batch, prepared, own);
		foreach (lc, family)
			count_view(lfirst_oid(lc), &own[foreach_current_index(lc)], counts);
	}
}

static void
apply_one_by_one(SxReader *reader, SxBatch *batch, SxCare care, SxApplyCounts *counts)
{
	List *staying = NIL;
	ListCell *lc;

	foreach (lc, reader->views)
	{
		Oid view = lfirst_oid(lc);
		bool is_alone = staying == NIL && lnext(reader->views, lc) == NULL;
		SxApplyCounts own = {0};
		Share share = {.view = sx_view_load(view),
					   .reader = reader,
					   .batch = batch,
					   .counts = &own,
					   .care = care};

		CHECK_FOR_INTERRUPTS();
		sx_time_limit_restart(view);
		if (!apply_carefully(&share, is_alone, &counts->paused_view))
			continue;
		staying = lappend_oid(staying, view);
		count_view(view, &own, counts);
	}
	sx_time_limit_restart(InvalidOid);
	reader->views = staying;
}

static void
count_view(Oid view, SxApplyCounts *own, SxApplyCounts *counts)
{
	sx_activity_count(SX_ACTIVITY_VIEW, view, view, &own->seen);
	own->seen.rows = 0;
	add_counts(counts, own);
}

void
sx_apply_first_rows(Oid relid)
{
	const SxView *view = sx_view_load(relid);
	List *queries = first_rows(view);
	SxBatch empty = {0};
	SxScanInput input = {.stream = view->stream, .batch = &empty};
	SxRunAs saved;
	ListCell *lc;

	sx_run_begin(view, &saved);
	foreach (lc, queries)
	{
		DestReceiver *dest = sx_merge_receiver(view, DT_NOBEGIN);

		sx_run_query(view, lfirst(lc), &input, dest);
		dest->rDestroy(dest);
	}
	sx_run_end(&saved);
}

static List *
first_rows(const SxView *view)
{
	Relation delta = table_open(view->delta, AccessShareLock);
	Query *query = get_view_query(delta);
	List *queries = view->is_single ? list_make1(copyObject(query)) : sx_grouping_first_rows(query);

	table_close(delta, NoLock);
	return queries;
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

	counts->seen.dead_letters++;
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
		{
			counts->before_stop = error->row; /* errors are by row */
			stop_stream(reader, batch, error);
		}
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

/* Whose error it is; of views that run together it is not known which one's. */
static void
name_views(void *arg)
{
	const List *family = arg;
	StringInfoData names;
	ListCell *lc;

	initStringInfo(&names);
	foreach (lc, family)
		appendStringInfo(&names, "%s\"%s\"", foreach_current_index(lc) > 0 ? ", " : "",
						 ((const Share *) lfirst(lc))->view->name);
	if (list_length(family) == 1)
		errcontext("continuous view %s", names.data);
	else
		errcontext("one of continuous views %s", names.data);
}

static void
push_view_context(const List *family, ErrorContextCallback *context)
{
	context->callback = name_views;
	context->arg = unconstify(List *, family);
	context->previous = error_context_stack;
	error_context_stack = context;
}

/* Views of one family: the rows of one are the rows of all. */
static void
apply_family(List *views, SxReader *reader, SxBatch *batch, const SxPrepared *prepared,
			 SxApplyCounts *counts)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx view batch", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Share *shares = palloc0(list_length(views) * sizeof(Share));
	const SxSelection *selection = &shares[0].selection;
	List *family = NIL;
	ListCell *lc;
	SxRunAs saved;
	ErrorContextCallback error_context;

	foreach (lc, views)
	{
		int i = foreach_current_index(lc);

		shares[i] = (Share){.view = sx_view_load(lfirst_oid(lc)),
							.reader = reader,
							.batch = batch,
							.counts = &counts[i]};
		family = lappend(family, &shares[i]);
	}
	push_view_context(family, &error_context);
	select_rows(family);
	shares[0].kept = sx_prepared_find(prepared, views, selection->on_time.count);
	sx_run_begin(shares[0].view, &saved);
	run_rows(family, SX_ON_TIME, &selection->on_time);
	foreach (lc, selection->partly_late)
		run_partly_late(family, lfirst(lc));
	run_rows(family, SX_LATE, &selection->late);
	sx_run_end(&saved);
	error_context_stack = error_context.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* A family's rows, sorted by their timeliness; bad ones to the dead letters. */
static void
select_rows(List *family)
{
	Share *first = linitial(family);
	ListCell *lc;

	refuse_columns(first->view, first->reader, first->batch, first->counts);
	sx_late_select(first->view, first->reader, first->batch, &first->selection);
	foreach (lc, family)
	{
		Share *share = lfirst(lc);

		share->selection = first->selection;
		share->counts->seen.no_window_rows += first->selection.no_window;
	}
}

/* Rows of one timeliness, into the states or to the late rows. */
static void
run_rows(List *family, SxTimeliness timeliness, const SxRows *rows)
{
	const Share *first = linitial(family);
	ListCell *lc;

	if (rows->count == 0)
		return;
	if (timeliness != SX_LATE)
		run_deltas(family, rows,
				   timeliness == SX_ON_TIME ? DT_NOBEGIN : first->partly_late->from_window,
				   timeliness == SX_ON_TIME ? first->kept : NULL);
	foreach (lc, family)
		note_rows(lfirst(lc), timeliness, rows);
}

static void
run_partly_late(List *family, const SxPartlyLate *partly_late)
{
	ListCell *lc;

	foreach (lc, family)
		((Share *) lfirst(lc))->partly_late = partly_late;
	run_rows(family, SX_PARTLY_LATE, &partly_late->rows);
}

/* Rows too late for windows, and the counts. */
static void
note_rows(Share *share, SxTimeliness timeliness, const SxRows *rows)
{
	const SxView *view = share->view;
	SxApplyCounts *counts = share->counts;
	bool is_late = timeliness == SX_LATE;
	int late = 0;
	int64 groups = 0;

	if (timeliness == SX_PARTLY_LATE)
		counts->seen.partly_late_rows +=
			share->partly_late->is_recorded
				? rows->count
				: sx_late_record(view, share->reader, share->batch, rows, true);
	else if (is_late && view->window.kind == SX_WINDOW_SESSION)
		sx_late_sessions(view, share->reader, share->batch, rows, &late, &groups);
	else if (is_late)
		late = sx_late_record(view, share->reader, share->batch, rows, false);
	if (!is_late || view->window.kind == SX_WINDOW_SESSION)
		counts->seen.rows += rows->count - late;
	counts->seen.late_rows += late;
	counts->groups += groups;
}

/* The deltas of some rows, merged as they come, or as they were kept; then their inputs. */
static void
run_deltas(List *family, const SxRows *rows, int64 from_window, const SxKept *kept)
{
	const Share *first = linitial(family);
	bool is_session = first->view->window.kind == SX_WINDOW_SESSION;
	SxScanInput input = {.stream = first->view->stream,
						 .batch = first->batch,
						 .rows = rows->rows,
						 .nrows = rows->count};
	List *views = NIL;
	List *receivers = NIL;
	ListCell *lc;

	foreach (lc, family)
	{
		const SxView *view = ((Share *) lfirst(lc))->view;

		views = lappend(views, unconstify(SxView *, view));
		receivers = lappend(receivers, is_session ? sx_session_receiver(view)
												  : sx_merge_receiver(view, from_window));
	}
	if (kept)
		sx_family_replay(views, kept, receivers);
	else
		sx_family_run(views, &input, receivers);
	foreach (lc, family)
	{
		Share *share = lfirst(lc);
		DestReceiver *receiver = list_nth(receivers, foreach_current_index(lc));
		int64 inserted;
		int64 updated;

		(is_session ? sx_session_counts : sx_merge_counts)(receiver, &inserted, &updated);
		share->counts->groups += inserted + updated;
		receiver->rDestroy(receiver);
		share->counts->inputs += sx_inputs_run(share->view, share->batch, rows, from_window);
	}
}

static void
add_counts(SxApplyCounts *sum, const SxApplyCounts *counts)
{
	sx_activity_add(&sum->seen, &counts->seen);
	sum->groups += counts->groups;
	sum->inputs += counts->inputs;
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

/* Rows to apply, or only to probe. */
typedef struct Attempt
{
	Share *share;
	const SxRows *rows;
	SxApplyCounts counts;
} Attempt;

static bool
run_attempt(void *argument)
{
	Attempt *attempt = argument;
	Share share = *attempt->share;
	SxRunAs saved;

	share.counts = &attempt->counts;
	sx_run_begin(share.view, &saved);
	run_rows(list_make1(&share), share.timeliness, attempt->rows);
	sx_run_end(&saved);
	return !share.is_probe;
}

static ErrorData *
try_rows(Share *share, const SxRows *rows)
{
	Attempt attempt = {share, rows};
	ErrorContextCallback error_context;
	ErrorData *error;

	push_view_context(list_make1(share), &error_context);
	error = sx_in_subtransaction(run_attempt, &attempt);
	error_context_stack = error_context.previous;
	if (error == NULL && !share->is_probe)
		add_counts(share->counts, &attempt.counts);
	return error;
}

bool
sx_apply_is_passing(int sqlstate)
{
	return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE || sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED ||
		   sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

bool
sx_apply_is_nobodys(int sqlstate)
{
	return sqlstate == ERRCODE_QUERY_CANCELED || sqlstate == ERRCODE_ADMIN_SHUTDOWN ||
		   sx_apply_is_passing(sqlstate) ||
		   ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_INSUFFICIENT_RESOURCES;
}

/* The whole batch is to be repeated; unless that was done, and done: any function can raise such errors. */
static bool
repeats_batch(const Share *share, int sqlstate)
{
	return share->care != SX_CARE_VIEWS && sx_apply_is_nobodys(sqlstate);
}

SxCare
sx_apply_care(const SxStream *stream)
{
	return stream->on_error != SX_ON_ERROR_STOP ? SX_CARE_ROWS : SX_CARE_NONE;
}

/* A row too many: the error with which the view pauses. */
static ErrorData *
give_up(ErrorData *error)
{
	error->message = psprintf("more than %d rows of a micro-batch failed, the last with: %s",
							  MAX_REFUSALS, error->message);
	error->detail = psprintf(
		"With streamx.batch_rows set to %d every such row becomes a dead letter.", MAX_REFUSALS);
	return error;
}

/* What becomes of a row that a view cannot take; the error if the view is to stop at it. */
static ErrorData *
refuse_row(Share *share, int row, ErrorData *error)
{
	const SxStream *stream = share->batch->stream;
	const SxRowOrigin *origin = &share->batch->origin[row];

	if (++share->nrefused > MAX_REFUSALS && stream->is_kafka)
		return give_up(error);
	if (stream->on_error == SX_ON_ERROR_STOP)
	{
		error->context =
			psprintf("continuous view \"%s\", stream \"%s\", partition %d,"
					 " offset " INT64_FORMAT,
					 share->view->name, stream->name, origin->partition, origin->offset);
		return error;
	}
	dead_letter(share->reader, share->batch, row, share->view->relid, error->sqlerrcode,
				error->message, share->counts);
	return NULL;
}

/* Apply, or probe, rows; data errors are narrowed down to their rows.  The error if there is another one. */
static ErrorData *
bisect(Share *share, const SxRows *rows)
{
	SxRows first = {rows->rows, rows->count / 2};
	SxRows second = {rows->rows + first.count, rows->count - first.count};
	ErrorData *error;

	CHECK_FOR_INTERRUPTS();
	check_stack_depth();
	error = try_rows(share, rows);
	SX_DEBUG_POINT("in-bisection");
	if (error == NULL)
	{
		if (share->is_probe)
			memcpy(share->good.rows + share->good.count, rows->rows, sizeof(int) * rows->count);
		share->good.count += rows->count;
		return NULL;
	}
	if (repeats_batch(share, error->sqlerrcode))
		ReThrowError(error);
	if (!is_data_error(error->sqlerrcode))
		return error;
	if (rows->count == 1)
		return refuse_row(share, rows->rows[0], error);
	error = bisect(share, &first);
	return error ? error : bisect(share, &second);
}

/*
 * Apply rows but for the bad ones.  The bad ones are found first, and the others
 * merged at once: merging each part as it is found to be good would leave a
 * version of each group per part, all of which the next part has to pass.
 */
static ErrorData *
apply_good(Share *share, SxTimeliness timeliness, const SxRows *rows)
{
	ErrorData *error;

	if (rows->count == 0)
		return NULL;
	share->timeliness = timeliness;
	error = try_rows(share, rows);
	if (error == NULL || !is_data_error(error->sqlerrcode))
		return error;
	share->good = (SxRows){palloc(sizeof(int) * rows->count), 0};
	share->is_probe = true;
	error = bisect(share, rows);
	share->is_probe = false;
	if (error || share->good.count == 0)
		return error;
	/* some may be bad only together: an overflow of the state */
	return bisect(share, &(SxRows){share->good.rows, share->good.count});
}

/* A view's share of the batch, bad rows to the dead letters; the error if there is another one. */
static ErrorData *
apply_share(Share *share)
{
	const SxSelection *selection = &share->selection;
	ErrorData *error;
	ListCell *lc;

	select_rows(list_make1(share));
	error = apply_good(share, SX_ON_TIME, &selection->on_time);
	foreach (lc, selection->partly_late)
	{
		share->partly_late = lfirst(lc);
		if (error == NULL)
			error = apply_good(share, SX_PARTLY_LATE, &share->partly_late->rows);
	}
	return error ? error : apply_good(share, SX_LATE, &selection->late);
}

/* A careful run, and how it ended. */
typedef struct CarefulRun
{
	Share *share;
	ErrorData *error;
} CarefulRun;

static bool
run_share(void *argument)
{
	CarefulRun *run = argument;

	run->error = apply_share(run->share);
	return run->error == NULL;
}

/*
 * All of it or nothing: what was merged, and written to the dead letters, before
 * the error is undone, for the view that leaves will read the batch again.
 */
static ErrorData *
try_share(Share *share)
{
	CarefulRun run = {share, NULL};
	ErrorData *error = sx_in_subtransaction(run_share, &run);

	return error ? error : run.error;
}

/*
 * True if the view stays with the reader.  is_alone: no other view does, so there
 * is nobody to leave, and the whole batch is to be repeated; or, after a data
 * error, *paused_view is set for the caller to pause it when all is undone.
 */
static bool
apply_carefully(Share *share, bool is_alone, Oid *paused_view)
{
	Oid relid = share->view->relid;
	ErrorData *error = try_share(share);

	if (error == NULL)
		return true;
	/* INSERT has no reader that could retry */
	if (repeats_batch(share, error->sqlerrcode) || !share->batch->stream->is_kafka)
		ReThrowError(error);
	if (is_alone)
	{
		if (is_data_error(error->sqlerrcode))
			*paused_view = relid;
		ReThrowError(error);
	}

	sx_time_limit_name(error);
	sx_time_limit_restart(InvalidOid);
	sx_activity_failed(SX_ACTIVITY_VIEW, relid, relid, error);
	sx_attach_leave(relid, is_data_error(error->sqlerrcode));
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("continuous view \"%s\" goes on alone: %s", share->view->name, error->message),
			 error->detail ? errdetail_internal("%s", error->detail) : 0,
			 is_data_error(error->sqlerrcode) ? errhint("It is paused; see streamx.resume.")
											  : errhint("It retries by itself.")));
	return false;
}

/* ---- event times and watermark ---- */

/* Messages that are no rows of the stream are counted with the positions, for no other trace of them is left. */
static void
count_filtered(SxReader *reader, const SxBatch *batch)
{
	for (int row = 0; batch->nfiltered > 0 && row < batch->nrows; row++)
	{
		SxPartition *partition = NULL;

		if (batch->is_filtered[row])
			partition = sx_reader_partition(reader, batch->origin[row].partition);
		if (partition)
			partition->filtered++;
	}
}

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
