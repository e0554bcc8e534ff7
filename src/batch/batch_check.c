/*
 * batch_check.c
 *	  What a stream demands of each row: a good event time, NOT NULL, CHECK.
 *
 * Event times are microseconds since 2000-01-01; those of type timestamp and
 * date are taken as if UTC, but for the question whether one lies too far
 * ahead they are local times of the stream's time zone.
 */
#include "compat.h"

#include "access/transam.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch/batch_check.h"
#include "decode/capture.h"

/* Local time differs from UTC by less. */
#define LARGEST_OFFSET_US (16 * USECS_PER_HOUR)

/* CHECK constraints over the rows of a batch, and where they are. */
typedef struct CheckRun
{
	SxBatch *batch;
	EState *estate;
	ExprState **states;
	TupleTableSlot *slot;
	int row;
} CheckRun;

static void open_not_null(SxBatchCheck *check, const SxStream *stream);
static void open_checks(SxBatchCheck *check, const SxStream *stream);
static bool is_impure(Node *node, void *context);
static bool is_impure_function(Oid function, void *context);
static void check_row(SxBatch *batch, int row, TimestampTz now);
static bool is_ahead(const SxStream *stream, int64 event_time, int64 limit);
static bool event_time_of(Datum value, Oid type, int64 *event_time);
static void run_checks(SxBatch *batch);
static void check_rows(void *state);
static void check_failed(void *state, int sqlstate, const char *message);
static const char *show_event_time(int64 event_time);
static const char *show_interval(int64 us);

SxBatchCheck *
sx_batch_check_open(const SxStream *stream)
{
	SxBatchCheck *check = palloc0(sizeof(SxBatchCheck));

	if (stream->event_time > 0)
		check->columns = bms_add_member(check->columns, stream->event_time);
	open_not_null(check, stream);
	open_checks(check, stream);
	return check;
}

void
sx_batch_check(SxBatch *batch, TimestampTz now)
{
	int row;

	batch->min_event_time = DT_NOEND;
	for (row = 0; row < batch->nrows; row++)
	{
		batch->event_time[row] = DT_NOBEGIN;
		if (!batch->is_rejected[row])
			check_row(batch, row, now);
	}
	if (batch->check->nchecks > 0)
		run_checks(batch);
	if (batch->stream->event_time == 0)
		return;
	for (row = 0; row < batch->nrows; row++)
		if (!batch->is_rejected[row] && batch->event_time[row] < batch->min_event_time)
			batch->min_event_time = batch->event_time[row];
}

bool
sx_batch_event_time(const SxBatch *batch, int row, TimestampTz now, int64 *event_time,
					int *sqlstate, const char **message)
{
	const SxStream *stream = batch->stream;
	size_t place = (size_t) row * stream->ncolumns + stream->event_time - 1;
	const SxRowOrigin *origin = &batch->origin[row];
	int64 limit;

	*event_time = DT_NOBEGIN;
	if (stream->event_time == 0)
		return true;
	*sqlstate = ERRCODE_DATETIME_VALUE_OUT_OF_RANGE;
	if (batch->isnull[place])
	{
		*sqlstate = ERRCODE_NULL_VALUE_NOT_ALLOWED;
		*message = "event time is null";
		return false;
	}
	if (!event_time_of(batch->values[place], stream->columns[stream->event_time - 1].type,
					   event_time))
	{
		*message = "event time is infinite or out of range";
		return false;
	}
	if (!pg_add_s64_overflow(now, stream->max_future_us, &limit) &&
		is_ahead(stream, *event_time, limit))
	{
		*message = psprintf("event time %s is more than %s ahead of the clock",
							show_event_time(*event_time), show_interval(stream->max_future_us));
		return false;
	}
	if (sx_batch_instant(origin->timestamp_ms, &limit) &&
		!pg_add_s64_overflow(limit, stream->max_future_us, &limit) &&
		is_ahead(stream, *event_time, limit))
	{
		*message = psprintf("event time %s is more than %s ahead of the message's timestamp",
							show_event_time(*event_time), show_interval(stream->max_future_us));
		return false;
	}
	return true;
}

bool
sx_batch_instant(int64 timestamp_ms, TimestampTz *instant)
{
	if (timestamp_ms < 0 || pg_mul_s64_overflow(timestamp_ms, 1000, instant))
		return false;
	*instant -= UNIX_TO_POSTGRES_US;
	return IS_VALID_TIMESTAMP(*instant);
}

void
sx_batch_add_error(SxBatch *batch, int row, AttrNumber attnum, int sqlstate, const char *message)
{
	SxRowError *error;

	if (batch->nerrors == batch->errors_size)
	{
		int size = Max(batch->errors_size * 2, 16);
		Size bytes = sizeof(SxRowError) * size;

		batch->errors = batch->errors ? repalloc_huge(batch->errors, bytes)
									  : MemoryContextAlloc(batch->rows, bytes);
		batch->errors_size = size;
	}
	error = &batch->errors[batch->nerrors++];
	error->row = row;
	error->attnum = attnum;
	error->sqlstate = sqlstate;
	error->message = message;
	if (sx_batch_error_rejects(batch, error))
		batch->is_rejected[row] = true;
}

static void
open_not_null(SxBatchCheck *check, const SxStream *stream)
{
	int i;

	check->not_null = palloc(sizeof(AttrNumber) * Max(stream->ncolumns, 1));
	for (i = 0; i < stream->ncolumns; i++)
	{
		const SxColumn *column = &stream->columns[i];

		if (column->is_dropped || !column->not_null)
			continue;
		check->not_null[check->nnot_null++] = column->attnum;
		check->columns = bms_add_member(check->columns, column->attnum);
	}
}

static void
open_checks(SxBatchCheck *check, const SxStream *stream)
{
	const TupleConstr *constr = stream->tupdesc->constr;
	int count = constr ? constr->num_check : 0;
	int i;

	check->is_pure = true;
	check->names = palloc(sizeof(char *) * Max(count, 1));
	check->expressions = palloc(sizeof(Node *) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		Node *expression;
		Bitmapset *attributes = NULL;
		int member = -1;

		if (!sx_check_is_enforced(&constr->check[i]))
			continue;
		expression = stringToNode(constr->check[i].ccbin);
		check->names[check->nchecks] = constr->check[i].ccname;
		check->expressions[check->nchecks++] = expression;
		check->is_pure &= !is_impure(expression, NULL);
		pull_varattnos(expression, 1, &attributes);
		while ((member = bms_next_member(attributes, member)) >= 0)
		{
			int attnum = member + FirstLowInvalidHeapAttributeNumber;
			int j;

			if (attnum > 0)
				check->columns = bms_add_member(check->columns, attnum);
			/* a whole row */
			for (j = 0; attnum == 0 && j < stream->ncolumns; j++)
				if (!stream->columns[j].is_dropped)
					check->columns = bms_add_member(check->columns, j + 1);
		}
	}
}

/* Whether an expression may hold resources when it fails. */
static bool
is_impure(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (check_functions_in_node(node, is_impure_function, NULL) || IsA(node, CoerceToDomain))
		return true;
	return expression_tree_walker(node, is_impure, context);
}

static bool
is_impure_function(Oid function, void *context)
{
	return function >= FirstGenbkiObjectId || func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

/* Event time and NOT NULL of one row. */
static void
check_row(SxBatch *batch, int row, TimestampTz now)
{
	const SxBatchCheck *check = batch->check;
	const bool *isnull = batch->isnull + (size_t) row * batch->stream->ncolumns;
	int sqlstate;
	const char *message;
	int i;

	for (i = 0; i < check->nnot_null; i++)
		if (unlikely(isnull[check->not_null[i] - 1]))
			sx_batch_add_error(
				batch, row, check->not_null[i], ERRCODE_NOT_NULL_VIOLATION,
				psprintf(
					"null value in column \"%s\" of stream \"%s\" violates not-null constraint",
					batch->stream->columns[check->not_null[i] - 1].name, batch->stream->name));
	if (!batch->is_rejected[row] &&
		!sx_batch_event_time(batch, row, now, &batch->event_time[row], &sqlstate, &message))
		sx_batch_add_error(batch, row, batch->stream->event_time, sqlstate, message);
}

/* Whether an event time, as an instant, is later than limit. */
static bool
is_ahead(const SxStream *stream, int64 event_time, int64 limit)
{
	struct pg_tm tm;
	fsec_t fsec;

	if (likely(event_time <= limit - LARGEST_OFFSET_US))
		return false;
	if (stream->columns[stream->event_time - 1].type == TIMESTAMPTZOID ||
		timestamp2tm(event_time, NULL, &tm, &fsec, NULL, NULL) != 0)
		return event_time > limit;
	event_time += (int64) DetermineTimeZoneOffset(&tm, stream->timezone) * USECS_PER_SEC;
	return event_time > limit;
}

/* false: infinite, or a date that is no timestamp */
static bool
event_time_of(Datum value, Oid type, int64 *event_time)
{
	if (type == DATEOID)
	{
		DateADT date = DatumGetDateADT(value);

		if (DATE_NOT_FINITE(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
			return false;
		*event_time = date * USECS_PER_DAY;
		return true;
	}
	*event_time = DatumGetTimestamp(value);
	return !TIMESTAMP_NOT_FINITE(*event_time);
}

static void
run_checks(SxBatch *batch)
{
	const SxBatchCheck *check = batch->check;
	CheckRun run = {.batch = batch, .estate = CreateExecutorState()};
	SxCapture capture = {.run = check_rows,
						 .failed = check_failed,
						 .state = &run,
						 .context = batch->rows,
						 .in_subtransaction = !check->is_pure};
	MemoryContext old = MemoryContextSwitchTo(run.estate->es_query_cxt);
	int i;

	run.slot = MakeSingleTupleTableSlot(batch->stream->tupdesc, &TTSOpsVirtual);
	run.states = palloc(sizeof(ExprState *) * check->nchecks);
	for (i = 0; i < check->nchecks; i++)
		run.states[i] = ExecPrepareExpr((Expr *) copyObject(check->expressions[i]), run.estate);
	(void) GetPerTupleExprContext(run.estate);
	sx_capture_run(&capture);
	ExecDropSingleTupleTableSlot(run.slot);
	MemoryContextSwitchTo(old);
	FreeExecutorState(run.estate);
}

/* Check from where the run is to its end. */
static void
check_rows(void *state)
{
	CheckRun *run = state;
	SxBatch *batch = run->batch;
	int ncolumns = batch->stream->ncolumns;
	ExprContext *econtext = GetPerTupleExprContext(run->estate);

	while (run->row < batch->nrows)
	{
		int row = run->row++;
		int i;

		CHECK_FOR_INTERRUPTS();
		if (batch->is_rejected[row])
			continue;
		ExecClearTuple(run->slot);
		memcpy(run->slot->tts_values, batch->values + (size_t) row * ncolumns,
			   sizeof(Datum) * ncolumns);
		memcpy(run->slot->tts_isnull, batch->isnull + (size_t) row * ncolumns,
			   sizeof(bool) * ncolumns);
		ExecStoreVirtualTuple(run->slot);
		ResetPerTupleExprContext(run->estate);
		econtext->ecxt_scantuple = run->slot;
		for (i = 0; i < batch->check->nchecks; i++)
			if (!ExecCheck(run->states[i], econtext))
				ereport(ERROR, (errcode(ERRCODE_CHECK_VIOLATION),
								errmsg("new row for stream \"%s\" violates check constraint \"%s\"",
									   batch->stream->name, batch->check->names[i])));
	}
}

/* The row before the next one failed. */
static void
check_failed(void *state, int sqlstate, const char *message)
{
	CheckRun *run = state;

	sx_batch_add_error(run->batch, run->row - 1, 0, sqlstate, message);
}

/* In UTC, whatever the session's settings. */
static const char *
show_event_time(int64 event_time)
{
	char *text = palloc(MAXDATELEN + 1);
	struct pg_tm tm;
	fsec_t fsec;

	if (timestamp2tm(event_time, NULL, &tm, &fsec, NULL, NULL) != 0)
		return "out of range";
	tm.tm_isdst = 0; /* or the zone would not be shown */
	EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, text);
	return text;
}

static const char *
show_interval(int64 us)
{
	char *text = palloc(MAXDATELEN + 1);
	struct pg_itm itm = {0};

	itm.tm_usec = us % USECS_PER_SEC;
	itm.tm_sec = us / USECS_PER_SEC % SECS_PER_MINUTE;
	itm.tm_min = us / USECS_PER_MINUTE % MINS_PER_HOUR;
	itm.tm_hour = us / USECS_PER_HOUR;
	EncodeInterval(&itm, INTSTYLE_POSTGRES, text);
	return text;
}
