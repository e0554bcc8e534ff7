/*
 * log_scan.c
 *	  The scan of a stream's log: SELECT on a stream with retain 'on', and
 *	  marked scans of ranges of offsets.
 *
 * The log is read by its primary key, under the statement's snapshot.  Whoever
 * may SELECT from the stream may see its rows, so the log's own privileges are
 * not asked.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "batch/log.h"
#include "batch/scan_kind.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include SX_EXPLAIN_STATE_H
#include SX_EXPLAIN_FORMAT_H

/* A log has one partition, of this number. */
#define LOG_PARTITION 0

typedef struct LogScan
{
	SxScan scan;
	Relation log;
	Relation index;
	IndexScanDesc index_scan;
	MemoryContext context; /* of the index scan, which allocates as it goes, and keeps that */
	TupleTableSlot *log_slot;
	int range; /* of the input's ranges, the next one; of a SELECT, 1 when it has begun */
	bool is_in_range;
	int64 expected; /* in a range: the next offset, when none is missing */
	int exclusion;	/* the row's place among them, or -1 */
	Datum *values;	/* one row, deformed */
	bool *isnull;
} LogScan;

static bool next_row(LogScan *state);
static bool begin_range(LogScan *state);
static void check_retained(const SxStream *stream, Oid log);
static void end_range(LogScan *state);
static void check_complete(const LogScan *state, int64 offset);
static bool is_wanted(LogScan *state);
static void deform_row(LogScan *state);

static void
log_scan_begin(SxScan *scan)
{
	LogScan *state = (LogScan *) scan;
	Oid log = sx_log_find(scan->stream->relid);
	Snapshot snapshot = scan->node->ss.ps.state->es_snapshot;

	check_retained(scan->stream, log);
	state->log = table_open(log, AccessShareLock);
	state->index = index_open(sx_log_index(state->log), AccessShareLock);
	state->exclusion = -1;
	state->context = CurrentMemoryContext;
	state->index_scan = sx_index_beginscan(state->log, state->index, snapshot, 2);
	state->log_slot = table_slot_create(state->log, NULL);
	state->values = palloc(sizeof(Datum) * Max(scan->stream->ncolumns, 1));
	state->isnull = palloc(sizeof(bool) * Max(scan->stream->ncolumns, 1));
}

static void
check_retained(const SxStream *stream, Oid log)
{
	if (OidIsValid(log))
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("stream \"%s\" does not keep its rows", stream->name),
					errdetail("What is inserted goes into its continuous views and is forgotten."),
					errhint("Create the stream with OPTIONS (retain 'on') to keep them.")));
}

static TupleTableSlot *
log_scan_next(SxScan *scan)
{
	LogScan *state = (LogScan *) scan;

	for (;;)
	{
		if (!state->is_in_range && !begin_range(state))
			return ExecClearTuple(scan->slot);
		if (!next_row(state))
		{
			end_range(state);
			continue;
		}
		if (scan->input && !is_wanted(state))
			continue;
		deform_row(state);
		sx_scan_store(scan, state->values, state->isnull);
		if (scan->input)
			sx_scan_set_origin(scan, state->exclusion, LOG_PARTITION, state->expected - 1);
		return scan->slot;
	}
}

static bool
next_row(LogScan *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);
	bool is_found = index_getnext_slot(state->index_scan, ForwardScanDirection, state->log_slot);

	MemoryContextSwitchTo(old);
	return is_found;
}

/* Position the index scan on the next range; false when there is none. */
static bool
begin_range(LogScan *state)
{
	const SxScanInput *input = state->scan.input;
	int nranges = input ? input->nranges : 1;
	int64 first = 0;
	int64 end = PG_INT64_MAX;
	ScanKeyData keys[2];
	MemoryContext old;

	if (state->range >= nranges)
		return false;
	if (input)
	{
		if (input->ranges[state->range].partition != LOG_PARTITION)
			elog(ERROR, "a log has no partition %d", input->ranges[state->range].partition);
		first = input->ranges[state->range].first;
		end = input->ranges[state->range].end;
	}
	state->range++;
	state->expected = first;
	ScanKeyInit(&keys[0], SX_LOG_OFFSET, BTGreaterEqualStrategyNumber, F_INT8GE,
				Int64GetDatum(first));
	ScanKeyInit(&keys[1], SX_LOG_OFFSET, BTLessStrategyNumber, F_INT8LT, Int64GetDatum(end));
	old = MemoryContextSwitchTo(state->context);
	index_rescan(state->index_scan, keys, 2, NULL, 0);
	MemoryContextSwitchTo(old);
	state->is_in_range = true;
	return true;
}

static void
end_range(LogScan *state)
{
	const SxScanInput *input = state->scan.input;

	state->is_in_range = false;
	if (input)
		check_complete(state, input->ranges[state->range - 1].end);
}

/* Every offset was given to a row, so a hole is a row that was not kept. */
static void
check_complete(const LogScan *state, int64 offset)
{
	if (offset <= state->expected)
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("stream \"%s\" did not keep all of its rows", state->scan.stream->name),
					errdetail("The rows at offsets " INT64_FORMAT " to " INT64_FORMAT
							  " are missing from its log.",
							  state->expected, offset - 1)));
}

static bool
is_wanted(LogScan *state)
{
	bool isnull;
	int64 offset = DatumGetInt64(slot_getattr(state->log_slot, SX_LOG_OFFSET, &isnull));

	check_complete(state, offset);
	state->expected = offset + 1;
	state->exclusion = sx_scan_find_exclusion(state->scan.input, LOG_PARTITION, offset);
	return !sx_scan_leaves_out(state->scan.input, state->exclusion);
}

/*
 * Take the stored row apart.  It may be older than the stream's newest columns:
 * those are NULL.  Runs in the node's per-row context.
 */
static void
deform_row(LogScan *state)
{
	HeapTupleData tuple;
	HeapTupleHeader header;
	bool isnull;
	Datum row = slot_getattr(state->log_slot, SX_LOG_ROW, &isnull);

	if (isnull)
		elog(ERROR, "a row of the log of stream \"%s\" is NULL", state->scan.stream->name);
	header = DatumGetHeapTupleHeader(row);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, state->scan.stream->tupdesc, state->values, state->isnull);
}

static void
log_scan_rescan(SxScan *scan)
{
	LogScan *state = (LogScan *) scan;

	state->range = 0;
	state->is_in_range = false;
}

static void
log_scan_end(SxScan *scan)
{
	LogScan *state = (LogScan *) scan;

	ExecDropSingleTupleTableSlot(state->log_slot);
	index_endscan(state->index_scan);
	index_close(state->index, AccessShareLock);
	table_close(state->log, AccessShareLock);
}

static void
log_scan_explain(SxScan *scan, struct ExplainState *es)
{
	Oid log = sx_log_find(scan->stream->relid);

	if (OidIsValid(log))
		ExplainPropertyText("Log",
							quote_qualified_identifier(get_namespace_name(get_rel_namespace(log)),
													   get_rel_name(log)),
							es);
}

const SxScanKind sx_log_scan = {
	"log",			 sizeof(LogScan), log_scan_begin,	log_scan_next,
	log_scan_rescan, log_scan_end,	  log_scan_explain,
};
