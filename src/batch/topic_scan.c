/*
 * topic_scan.c
 *	  The scan of a stream's Kafka topic: SELECT on a stream, and marked scans
 *	  of ranges of offsets.
 *
 * Messages are taken and decoded in chunks that grow, so that LIMIT fetches
 * little and a long scan's memory stays bounded.  What the stream's filter
 * rejects is left out, and so is what the worker would refuse, but with one
 * WARNING at the end.  Nothing happens before the first
 * row is asked for: parameters are not known earlier.
 */
#include "compat.h"

#include "batch/scan_kind.h"
#include "batch/topic.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include SX_EXPLAIN_STATE_H
#include SX_EXPLAIN_FORMAT_H

#define FIRST_CHUNK 64
#define CHUNK_GROWTH 4

typedef struct TopicScan
{
	SxScan scan;
	Bitmapset *columns;
	SxTopic *topic;	 /* NULL before the first fetch */
	bool is_started; /* in this pass */
	int chunk;		 /* messages to ask for */
	SxBatch *batch;	 /* rows of the current chunk ... */
	int position;	 /* ... and the next of them */
	MemoryContext chunk_context;
	int64 nread;
	int64 nfiltered;
	int64 nrefused;
	char *first_refused;
} TopicScan;

static bool next_chunk(TopicScan *state);
static void start(TopicScan *state);
static Oid connect_as(const SxScan *scan);
static int drop_excluded(const SxScanInput *input, SxMessage *messages, int count);
static void note_refused(TopicScan *state, int row, const SxRowError *error);
static void warn_refused(const TopicScan *state);
static char *describe_partitions(const SxScanBounds *bounds);
static char *describe_offsets(const SxScanBounds *bounds);
static char *describe_columns(const SxScan *scan);

static void
topic_scan_begin(SxScan *scan)
{
	TopicScan *state = (TopicScan *) scan;
	MemoryContext old = MemoryContextSwitchTo(scan->context);

	state->columns = sx_scan_columns(scan);
	state->chunk = FIRST_CHUNK;
	state->batch = sx_batch_create(scan->stream, scan->context);
	state->chunk_context =
		AllocSetContextCreate(scan->context, "streamx scan chunk", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(old);
}

/* For verify: which windows refused the row, and where it came from. */
static void
set_origin(SxScan *scan, const SxRowOrigin *origin)
{
	sx_scan_set_origin(scan, sx_scan_find_exclusion(scan->input, origin->partition, origin->offset),
					   origin->partition, origin->offset);
}

static TupleTableSlot *
topic_scan_next(SxScan *scan)
{
	TopicScan *state = (TopicScan *) scan;

	for (;;)
	{
		SxBatch *batch = state->batch;

		while (state->position < batch->nrows)
		{
			int row = state->position++;
			size_t first = (size_t) row * scan->stream->ncolumns;
			const SxRowError *error = NULL;

			if (batch->is_filtered[row])
				continue;
			if (batch->nerrors > 0 && !sx_batch_row_is_good(batch, row, state->columns, &error))
			{
				note_refused(state, row, error);
				continue;
			}
			sx_scan_store(scan, batch->values + first, batch->isnull + first);
			if (scan->input)
				set_origin(scan, &batch->origin[row]);
			return scan->slot;
		}
		if (!next_chunk(state))
			return ExecClearTuple(scan->slot);
	}
}

/* Replace the chunk by the next one that has rows; false at the end. */
static bool
next_chunk(TopicScan *state)
{
	MemoryContext old;
	SxMessage *messages;
	int count;

	state->position = 0;
	sx_batch_reset(state->batch);
	MemoryContextReset(state->chunk_context);
	old = MemoryContextSwitchTo(state->chunk_context);

	if (!state->is_started)
		start(state);
	do
	{
		count = sx_topic_take(state->topic, state->chunk, &messages);
		state->nread += count;
		if (count == 0)
			break;
		count = drop_excluded(state->scan.input, messages, count);
	} while (count == 0);
	if (count > 0)
		sx_batch_decode(state->batch, messages, count, state->columns, GetCurrentTimestamp());
	state->nfiltered += state->batch->nfiltered;
	state->chunk = Min(state->chunk * CHUNK_GROWTH, SX_TOPIC_MAX);

	MemoryContextSwitchTo(old);
	return count > 0;
}

static void
start(TopicScan *state)
{
	SxScan *scan = &state->scan;
	SxScanBounds bounds;

	if (state->topic == NULL)
		state->topic = sx_topic_open(scan->stream, connect_as(scan), scan->context);
	if (scan->input)
		sx_topic_start_ranges(state->topic, scan->input);
	else
	{
		sx_condition_bounds(scan, false, &bounds);
		sx_topic_start_bounds(state->topic, &bounds);
	}
	state->is_started = true;
}

/* SELECT connects as the role that is checked; what a worker read is read again as it did. */
static Oid
connect_as(const SxScan *scan)
{
	ForeignScan *plan = (ForeignScan *) scan->node->ss.ps.plan;
	Oid userid;

	if (scan->input)
		return scan->node->ss.ss_currentRelation->rd_rel->relowner;
	userid = sx_foreignscan_check_as(plan, scan->node->ss.ps.state);
	return OidIsValid(userid) ? userid : GetUserId();
}

static int
drop_excluded(const SxScanInput *input, SxMessage *messages, int count)
{
	int kept = 0;
	int i;

	if (input == NULL || (input->nexclusions == 0 && input->nskips == 0))
		return count;
	for (i = 0; i < count; i++)
	{
		int exclusion = sx_scan_find_exclusion(input, messages[i].partition, messages[i].offset);

		if (!sx_scan_leaves_out(input, exclusion) &&
			sx_scan_find_range(input->skips, input->nskips, messages[i].partition,
							   messages[i].offset) == NULL)
			messages[kept++] = messages[i];
	}
	return kept;
}

static void
topic_scan_rescan(SxScan *scan)
{
	TopicScan *state = (TopicScan *) scan;

	sx_batch_reset(state->batch);
	state->position = 0;
	state->is_started = false;
	state->nread = 0;
	state->nfiltered = 0;
	state->nrefused = 0;
}

static void
topic_scan_end(SxScan *scan)
{
	warn_refused((TopicScan *) scan);
}

/* ---- rows left out ---- */

static void
note_refused(TopicScan *state, int row, const SxRowError *error)
{
	const SxRowOrigin *origin = &state->batch->origin[row];
	const SxStream *stream = state->scan.stream;
	MemoryContext old;

	state->nrefused++;
	if (state->first_refused)
		return;
	old = MemoryContextSwitchTo(state->scan.context);
	state->first_refused =
		psprintf("partition %d, offset " INT64_FORMAT "%s%s%s: %s", origin->partition,
				 origin->offset, error && error->attnum > 0 ? ", column \"" : "",
				 error && error->attnum > 0 ? stream->columns[error->attnum - 1].name : "",
				 error && error->attnum > 0 ? "\"" : "", error ? error->message : "refused");
	MemoryContextSwitchTo(old);
}

static void
warn_refused(const TopicScan *state)
{
	if (state->nrefused == 0)
		return;
	ereport(WARNING, (errcode(ERRCODE_WARNING),
					  errmsg_plural(INT64_FORMAT " message of stream \"%s\" was left out",
									INT64_FORMAT " messages of stream \"%s\" were left out",
									(unsigned long) state->nrefused, state->nrefused,
									state->scan.stream->name),
					  errdetail("The first: %s", state->first_refused)));
}

/* ---- EXPLAIN ---- */

static void
topic_scan_explain(SxScan *scan, struct ExplainState *es)
{
	TopicScan *state = (TopicScan *) scan;
	SxScanBounds bounds;

	ExplainPropertyText("Topic", scan->stream->topic, es);
	sx_condition_bounds(scan, true, &bounds);
	ExplainPropertyText("Partitions", describe_partitions(&bounds), es);
	ExplainPropertyText("Offset Range", describe_offsets(&bounds), es);
	if (bounds.has_timestamp)
	{
		TimestampTz from = bounds.timestamp_ms * 1000 - SX_UNIX_EPOCH_US;

		ExplainPropertyText("Timestamps From", timestamptz_to_str(from), es);
	}
	if (scan->stream->filter)
		ExplainPropertyText("Message Filter", scan->stream->filter, es);
	ExplainPropertyText("Decoded Columns", describe_columns(scan), es);
	if (es->analyze && state->topic)
	{
		char *ranges = sx_topic_describe(state->topic);

		if (ranges && es->verbose)
			ExplainPropertyText("Offsets Read", ranges, es);
		ExplainPropertyInteger("Messages Read", NULL, state->nread, es);
		if (state->nfiltered > 0)
			ExplainPropertyInteger("Messages Filtered", NULL, state->nfiltered, es);
		if (state->nrefused > 0)
			ExplainPropertyInteger("Messages Left Out", NULL, state->nrefused, es);
	}
}

static char *
describe_partitions(const SxScanBounds *bounds)
{
	StringInfoData text;
	int i;

	initStringInfo(&text);
	if (bounds->is_empty)
		appendStringInfoString(&text, "none");
	else if (bounds->has_partitions)
	{
		for (i = 0; i < bounds->npartitions; i++)
		{
			if (bounds->partitions[i] >= bounds->partition_first &&
				bounds->partitions[i] <= bounds->partition_last)
				appendStringInfo(&text, "%s" INT64_FORMAT, text.len > 0 ? ", " : "",
								 bounds->partitions[i]);
		}
		if (text.len == 0)
			appendStringInfoString(&text, "none");
	}
	else if (bounds->partition_first > bounds->partition_last)
		appendStringInfoString(&text, "none");
	else if (bounds->partition_first == bounds->partition_last)
		appendStringInfo(&text, INT64_FORMAT, bounds->partition_first);
	else if (bounds->partition_last < PG_INT32_MAX)
		appendStringInfo(&text, INT64_FORMAT " to " INT64_FORMAT, bounds->partition_first,
						 bounds->partition_last);
	else if (bounds->partition_first > 0)
		appendStringInfo(&text, "from " INT64_FORMAT, bounds->partition_first);
	else
		appendStringInfoString(&text, "all");
	if (bounds->has_unknown)
		appendStringInfoString(&text, " (less by parameters)");
	return text.data;
}

static char *
describe_offsets(const SxScanBounds *bounds)
{
	bool has_first = bounds->offset_first > 0;
	bool has_last = bounds->offset_last < PG_INT64_MAX;

	if (bounds->is_empty || bounds->offset_first > bounds->offset_last)
		return pstrdup("none");
	if (has_first && has_last)
		return psprintf(INT64_FORMAT " to " INT64_FORMAT, bounds->offset_first,
						bounds->offset_last);
	if (has_first)
		return psprintf(INT64_FORMAT " to end", bounds->offset_first);
	if (has_last)
		return psprintf("earliest to " INT64_FORMAT, bounds->offset_last);
	return pstrdup("earliest to end");
}

static char *
describe_columns(const SxScan *scan)
{
	StringInfoData text;
	int i;

	initStringInfo(&text);
	for (i = 0; i < scan->ncolumns; i++)
	{
		const SxColumn *column = &scan->stream->columns[scan->columns[i] - 1];

		if (column->metadata == SX_METADATA_NONE)
			appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "",
							 quote_identifier(column->name));
	}
	return text.len > 0 ? text.data : pstrdup("none");
}

const SxScanKind sx_topic_scan = {
	"topic",		   sizeof(TopicScan), topic_scan_begin,	  topic_scan_next,
	topic_scan_rescan, topic_scan_end,	  topic_scan_explain,
};
