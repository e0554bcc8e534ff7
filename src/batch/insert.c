/*
 * insert.c
 *	  Rows on their way from INSERT and COPY into views.
 *
 * Rows wait in segments, one per stream and (sub)transaction.  Merging them at
 * commit, once, keeps a transaction of many small INSERTs linear.  They are
 * merged earlier when the transaction reads, or when they take much memory; a
 * segment of an outer level that was merged inside a subtransaction must stay
 * until that one commits, because its rollback undoes the merge but not the
 * outer INSERT:
 *
 *      level     1          2
 *      INSERT a  [a]
 *      SAVEPOINT [a]
 *      INSERT b  [a]        [b]
 *      SELECT    [a:2]      gone       a merged at level 2, b with its own level
 *      ROLLBACK  [a]                   a is to be merged again
 *
 * Segments are a stack: deeper levels come later, so only its end changes with
 * a subtransaction.
 */
#include "compat.h"

#include "access/xact.h"
#include "executor/tuptable.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "batch/insert.h"
#include "catalog/debug_point.h"
#include "catalog/setting.h"

void (*sx_batch_ready)(SxBatch *batch) = NULL;

typedef struct Segment
{
	struct Segment *below;
	int level;		  /* nesting level of the INSERTs */
	int merged_level; /* of a merge deeper than level; 0: none */
	bool is_waiting;  /* has rows that are not merged */
	SxBatch *batch;
} Segment;

static Segment *top = NULL;
static int nwaiting = 0;	  /* segments that wait */
static int deepest_merge = 0; /* some outer segment has a merged_level up to this one */
static bool is_flushing = false;

static Segment *push(Oid stream, int level);
static void set_waiting(Segment *segment, bool is_waiting);
static void pop(void);
static void take_away(Segment *segment);
static void append(SxBatch *target, const SxBatch *source);
static void flush_stream(Oid stream);
static void transaction_callback(XactEvent event, void *arg);
static void subtransaction_callback(SubXactEvent event, SubTransactionId id,
									SubTransactionId parent, void *arg);

void
sx_insert_init(void)
{
	RegisterXactCallback(transaction_callback, NULL);
	RegisterSubXactCallback(subtransaction_callback, NULL);
}

bool
sx_insert_is_pending(void)
{
	return nwaiting > 0 && !is_flushing;
}

void
sx_insert_row(Oid stream, TupleTableSlot *slot)
{
	int level = GetCurrentTransactionNestLevel();
	Segment *segment = top;

	/* at commit nobody would merge it any more */
	if (is_flushing)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot insert into stream \"%s\" while rows get into views",
							   get_rel_name(stream)),
						errdetail("A function that a view calls did it.")));
	while (segment && segment->level == level &&
		   (segment->merged_level != 0 || segment->batch->stream->relid != stream))
		segment = segment->below;
	if (segment == NULL || segment->level != level)
		segment = push(stream, level);
	sx_batch_add_slot(segment->batch, slot, segment->batch->nrows, GetCurrentTimestamp());
	set_waiting(segment, true);
	if (segment->batch->bytes >= (size_t) sx_batch_memory_kb * 1024)
		sx_insert_flush();
}

static Segment *
push(Oid stream, int level)
{
	MemoryContext context =
		AllocSetContextCreate(TopTransactionContext, "streamx insert", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Segment *segment = palloc0(sizeof(Segment));

	segment->level = level;
	segment->batch = sx_batch_create(sx_stream_open(stream), context);
	MemoryContextSwitchTo(old);
	segment->below = top;
	top = segment;
	return segment;
}

static void
set_waiting(Segment *segment, bool is_waiting)
{
	nwaiting += (int) is_waiting - (int) segment->is_waiting;
	segment->is_waiting = is_waiting;
}

/* Take the topmost segment away, with its memory. */
static void
pop(void)
{
	Segment *segment = top;

	top = segment->below;
	set_waiting(segment, false);
	MemoryContextDelete(GetMemoryChunkContext(segment));
}

/*
 * Take a segment away whose rows have their final place.  It is not used again:
 * the stream may have other columns when the next row comes.
 */
static void
take_away(Segment *segment)
{
	Segment **link = &top;

	while (*link != segment)
		link = &(*link)->below;
	*link = segment->below;
	set_waiting(segment, false);
	MemoryContextDelete(GetMemoryChunkContext(segment));
}

/* Rows of source behind those of target; Datums are copied. */
static void
append(SxBatch *target, const SxBatch *source)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(source->stream->tupdesc, &TTSOpsVirtual);
	int ncolumns = source->stream->ncolumns;

	for (int row = 0; row < source->nrows; row++)
	{
		ExecClearTuple(slot);
		memcpy(slot->tts_values, source->values + (size_t) row * ncolumns,
			   sizeof(Datum) * ncolumns);
		memcpy(slot->tts_isnull, source->isnull + (size_t) row * ncolumns, sizeof(bool) * ncolumns);
		ExecStoreVirtualTuple(slot);
		sx_batch_add_slot(target, slot, target->nrows, DT_NOEND); /* judged when it was inserted */
	}
	ExecDropSingleTupleTableSlot(slot);
}

static int
compare_oids(const ListCell *a, const ListCell *b)
{
	return (lfirst_oid(a) > lfirst_oid(b)) - (lfirst_oid(a) < lfirst_oid(b));
}

/* Streams with waiting rows, in one order for all transactions: no deadlocks. */
static List *
waiting_streams(void)
{
	List *streams = NIL;

	for (Segment *segment = top; segment; segment = segment->below)
	{
		if (segment->is_waiting)
			streams = list_append_unique_oid(streams, segment->batch->stream->relid);
	}
	list_sort(streams, compare_oids);
	return streams;
}

void
sx_insert_flush(void)
{
	bool is_read_only = XactReadOnly;

	if (!sx_insert_is_pending())
		return;
	is_flushing = true;
	/* the rows came before the transaction was made read only */
	XactReadOnly = false;
	PG_TRY();
	{
		ListCell *lc;

		foreach (lc, waiting_streams())
			flush_stream(lfirst_oid(lc));
	}
	PG_FINALLY();
	{
		is_flushing = false;
		XactReadOnly = is_read_only;
	}
	PG_END_TRY();
}

/* All rows of a stream that are not merged yet, as one micro-batch. */
static void
flush_stream(Oid stream)
{
	int level = GetCurrentTransactionNestLevel();
	SxBatch *whole = NULL;
	Segment *single = NULL;
	Segment *segment;
	List *waiting = NIL; /* oldest first */
	ListCell *lc;

	for (segment = top; segment; segment = segment->below)
	{
		if (segment->is_waiting && segment->batch->stream->relid == stream)
			waiting = lcons(segment, waiting);
	}
	single = list_length(waiting) == 1 ? linitial(waiting) : NULL;
	if (single)
		whole = single->batch;
	else
	{
		whole =
			sx_batch_create(((Segment *) linitial(waiting))->batch->stream, CurrentMemoryContext);
		foreach (lc, waiting)
			append(whole, ((Segment *) lfirst(lc))->batch);
	}
	sx_batch_ready(whole);

	foreach (lc, waiting)
	{
		segment = lfirst(lc);
		if (segment->level == level)
		{
			take_away(segment); /* INSERT and merge share their fate */
			continue;
		}
		set_waiting(segment, false);
		segment->merged_level = level;
		deepest_merge = Max(deepest_merge, level);
	}
	if (!single)
		MemoryContextDelete(whole->context);
	list_free(waiting);
}

static void
transaction_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			SX_DEBUG_POINT("insert-before-merge");
			sx_insert_flush();
			SX_DEBUG_POINT("insert-after-merge");
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
		case XACT_EVENT_ABORT:
			SX_DEBUG_POINT("insert-at-end");
			top = NULL; /* memory goes with TopTransactionContext */
			nwaiting = 0;
			deepest_merge = 0;
			is_flushing = false;
			break;
		default:
			break;
	}
}

/* The parent's segment that can take this one's rows, so that many savepoints stay few segments. */
static Segment *
find_parent(const Segment *segment)
{
	Segment *below = segment->below;

	while (
		below && below->level == segment->level &&
		(below->merged_level != 0 || below->batch->stream->relid != segment->batch->stream->relid))
		below = below->below;
	return below && below->level == segment->level ? below : NULL;
}

/* A subtransaction's segments become its parent's. */
static void
commit_level(int level)
{
	Segment *segment = top;

	while (segment && (segment->level == level || deepest_merge >= level))
	{
		Segment *below = segment->below;

		if (segment->merged_level == level)
			segment->merged_level = level - 1;
		if (segment->level == level)
			segment->level = level - 1;
		if (segment->merged_level == segment->level)
			take_away(segment);
		segment = below;
	}
	deepest_merge = Min(deepest_merge, level - 1);

	for (segment = top; segment && segment->level == level - 1;)
	{
		Segment *below = segment->below;
		Segment *parent = segment->merged_level == 0 ? find_parent(segment) : NULL;

		if (parent)
		{
			append(parent->batch, segment->batch);
			set_waiting(parent, true);
			take_away(segment);
		}
		segment = below;
	}
}

static void
abort_level(int level)
{
	Segment *segment;

	while (top && top->level >= level)
		pop();
	if (deepest_merge < level)
		return;
	for (segment = top; segment; segment = segment->below)
	{
		if (segment->merged_level >= level)
		{
			segment->merged_level = 0;
			set_waiting(segment, true);
		}
	}
	deepest_merge = level - 1;
}

static void
subtransaction_callback(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	/* subtransactions of a merge are none of the INSERTs' */
	if (is_flushing)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		commit_level(GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		abort_level(GetCurrentTransactionNestLevel());
}
