/*
 * session.c
 *	  Fold a micro-batch into the sessions of a view's state table.
 *
 * The delta's rows, here called buckets, are sorted by key and time.  Buckets
 * of a key that touch fold into one session, which then absorbs the stored ones
 * that it touches, which may make it touch the next bucket:
 *
 *		buckets           b1 b2         b3             b4
 *		stored          |--s1--|   |---s2---|                  |--s3--|
 *
 *		b1, b2          .. b1 b2 ..                            fold
 *		absorb s1, s2   |----------------------|               now touches b3
 *		fold b3         |----------------------|               within, no further
 *		write           s1 := all of it, delete s2             then b4: insert
 *
 * Stored sessions of a key never touch each other, so those that a session
 * touches are neighbours: one scan, from the latest that begins early enough
 * backwards, ends at the first that does not touch.  The earliest of them is
 * updated, the others are deleted.
 *
 * The scan shows the table as it was when the command began.  That is right,
 * and touches each stored row at most once, because keys are done in ascending
 * order and a session U is written only when neither the next bucket nor any
 * stored row that U has not absorbed touches it.  Let the key's next session V
 * begin, more than a gap after U's end:
 *
 *		- U itself, which the scan does not show, V need not see;
 *		- what U absorbed lies within U, so V does not touch it;
 *		- a stored row that V touches and that reached back to U would have
 *		  been U's: nothing that V absorbs makes it touch U.
 *
 * So V's scan may end where U does, and must: it would walk through all that
 * this command wrote for the key before.
 *
 * Rows too old by themselves (the watermark is at or past their own session's
 * end + lateness) are first judged, then those accepted are merged as buckets of
 * one row each.  They are judged one by one in the order of time (SEMANTICS 14),
 * which comes to the same as judging each by what is stored, whatever became of the
 * others.  For what makes an older row a acceptable is a stored session T that
 * ends late enough, later than any row that is too old; and for the row r:
 *
 *		   |-X-|         a    r
 *		                    |-------T-------|
 *
 *		- T touches r, too: it begins within a gap of a, hence of r, and ends
 *		  after r, so a adds nothing that r needs;
 *		- no sealed X touches r: it is more than a gap before T, so it ends
 *		  before a and would touch a, which would have been refused.
 *
 * The caller owns the transaction, and is the view's owner while the plan runs,
 * as whom combine functions are called.
 */
#include "compat.h"

#include "access/tupdesc.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/primnodes.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"

#include "aggregate/transition.h"
#include "batch/scan.h"
#include "catalog/debug_point.h"
#include "query/session.h"
#include "query/state.h"

/* A session in memory, or a stored one: its first and last event time. */
typedef struct Span
{
	int64 first;
	int64 last;
} Span;

/* sx_aggregate_combine or sx_aggregate_combine_stored */
typedef Datum (*CombineFunction)(SxAggregate *aggregate, Datum state, bool state_is_null,
								 Datum other, bool other_is_null, bool *is_null);

typedef struct SessionReceiver
{
	DestReceiver dest; /* must be first */
	const SxView *view;
	SxState *state;
	int nkeys;
	int nleading; /* keys, slice_start, slice_end */
	int naggregates;
	int ncolumns;
	SxAggregate **aggregates;

	/* while the plan runs, and at its end */
	Tuplesortstate *sort;
	TupleTableSlot *bucket; /* the next one */
	bool has_bucket;
	TupleTableSlot *pending; /* the first of the session in memory: its keys */

	/* the session in memory; its states live in one of two contexts by turns */
	Span session;
	int64 explored; /* no stored row up to here is still to be absorbed */
	Datum *values;	/* a row of the state table */
	bool *isnull;
	MemoryContext memory[2];
	int turn;

	/* the stored session to be updated: the earliest absorbed */
	bool has_survivor;
	int64 survivor_first;
	SxStateRow survivor;
	TupleTableSlot *survivor_slot; /* a copy: its keys */

	/* rows too old by themselves */
	bool is_old;
	int64 watermark;
	Bitmapset *refused_rows; /* by one of their groups at least */
	SxSessionRefused refused;
	void *refused_context;
} SessionReceiver;

static SessionReceiver *create_receiver(const SxView *view);
static void session_startup(DestReceiver *dest, int operation, TupleDesc desc);
static void check_columns(const SessionReceiver *receiver, TupleDesc desc);
static bool session_row(TupleTableSlot *slot, DestReceiver *dest);
static void session_shutdown(DestReceiver *dest);
static void session_destroy(DestReceiver *dest);
static int row_place(TupleTableSlot *slot);
static bool is_acceptable(SessionReceiver *receiver, TupleTableSlot *row);
static bool may_touch_removed(const SessionReceiver *receiver, int64 ts);
static void report_refused(const SessionReceiver *receiver);
static void merge_buckets(SessionReceiver *receiver);
static void begin_session(SessionReceiver *receiver);
static bool fold_buckets(SessionReceiver *receiver);
static bool absorb_stored(SessionReceiver *receiver);
static void choose_survivor(SessionReceiver *receiver, TupleTableSlot *stored, int64 first);
static void write_session(SessionReceiver *receiver);
static void combine(SessionReceiver *receiver, TupleTableSlot *row, CombineFunction function);
static void next_bucket(SessionReceiver *receiver);
static void take_bucket(SessionReceiver *receiver);
static int64 row_time(const TupleTableSlot *row, int column);
static bool has_same_keys(const SessionReceiver *receiver);
static bool continues(const SessionReceiver *receiver);
static void
scan_stored(SessionReceiver *receiver, const TupleTableSlot *keys, int64 after, int64 last);
static TupleTableSlot *next_stored(SessionReceiver *receiver, const Span *session, Span *stored);
static void extend(Span *session, const Span *stored);

DestReceiver *
sx_session_receiver(const SxView *view)
{
	return &create_receiver(view)->dest;
}

DestReceiver *
sx_session_old_receiver(const SxView *view, int64 watermark, SxSessionRefused refused,
						void *context)
{
	SessionReceiver *receiver = create_receiver(view);

	receiver->is_old = true;
	receiver->watermark = watermark;
	receiver->refused = refused;
	receiver->refused_context = context;
	return &receiver->dest;
}

void
sx_session_counts(DestReceiver *receiver, int64 *inserted, int64 *updated)
{
	sx_state_counts(((SessionReceiver *) receiver)->state, inserted, updated);
}

static SessionReceiver *
create_receiver(const SxView *view)
{
	SessionReceiver *receiver = palloc0(sizeof(SessionReceiver));

	Assert(view->window.kind == SX_WINDOW_SESSION);
	receiver->dest.receiveSlot = session_row;
	receiver->dest.rStartup = session_startup;
	receiver->dest.rShutdown = session_shutdown;
	receiver->dest.rDestroy = session_destroy;
	receiver->dest.mydest = DestNone;

	receiver->view = view;
	receiver->nkeys = view->nkeys;
	receiver->nleading = view->nkeys + view->nslice;
	receiver->naggregates = view->naggregates;
	receiver->ncolumns = receiver->nleading + view->naggregates;
	receiver->values = palloc0(receiver->ncolumns * sizeof(Datum));
	receiver->isnull = palloc0(receiver->ncolumns * sizeof(bool));
	sx_view_check_states(view);
	receiver->aggregates =
		sx_aggregate_open_list(view->aggregates, view->owner, CurrentMemoryContext);
	for (int i = 0; i < lengthof(receiver->memory); i++)
		receiver->memory[i] =
			AllocSetContextCreate(CurrentMemoryContext, "streamx session", ALLOCSET_DEFAULT_SIZES);
	receiver->state = sx_state_open(view);
	return receiver;
}

static void
session_startup(DestReceiver *dest, int operation, TupleDesc desc)
{
	SessionReceiver *receiver = (SessionReceiver *) dest;

	check_columns(receiver, desc);
	receiver->sort = sx_state_begin_sort(receiver->state, desc);
	receiver->bucket = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	receiver->pending = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	receiver->survivor_slot =
		MakeSingleTupleTableSlot(sx_state_descriptor(receiver->state), &TTSOpsMinimalTuple);
}

/* Rows too old by themselves bring their place as well. */
static void
check_columns(const SessionReceiver *receiver, TupleDesc desc)
{
	sx_state_check_delta(receiver->state, desc, receiver->aggregates, receiver->is_old ? 1 : 0);
	if (receiver->is_old && TupleDescAttr(desc, desc->natts - 1)->atttypid != TIDOID)
		elog(ERROR, "rows of continuous view \"%s\" do not end with their place",
			 receiver->view->name);
}

static bool
session_row(TupleTableSlot *slot, DestReceiver *dest)
{
	SessionReceiver *receiver = (SessionReceiver *) dest;

	if (!receiver->is_old || is_acceptable(receiver, slot))
		tuplesort_puttupleslot(receiver->sort, slot);
	else
		receiver->refused_rows = bms_add_member(receiver->refused_rows, row_place(slot));
	return true;
}

static void
session_shutdown(DestReceiver *dest)
{
	SessionReceiver *receiver = (SessionReceiver *) dest;

	tuplesort_performsort(receiver->sort);
	report_refused(receiver);
	merge_buckets(receiver);
	tuplesort_end(receiver->sort);
	ExecDropSingleTupleTableSlot(receiver->bucket);
	ExecDropSingleTupleTableSlot(receiver->pending);
	ExecDropSingleTupleTableSlot(receiver->survivor_slot);
}

static void
session_destroy(DestReceiver *dest)
{
	SessionReceiver *receiver = (SessionReceiver *) dest;

	sx_state_close(receiver->state);
	for (int i = 0; i < receiver->naggregates; i++)
		sx_aggregate_close(receiver->aggregates[i]);
	for (int i = 0; i < lengthof(receiver->memory); i++)
		MemoryContextDelete(receiver->memory[i]);
}

/* ---- rows too old by themselves ---- */

/* The row's place among those given to the scan. */
static int
row_place(TupleTableSlot *slot)
{
	bool is_null;
	Datum ctid = slot_getattr(slot, slot->tts_tupleDescriptor->natts, &is_null);

	return sx_scan_place_of_ctid((ItemPointer) DatumGetPointer(ctid));
}

/* Whether what is stored lets a row too old by itself in. */
static bool
is_acceptable(SessionReceiver *receiver, TupleTableSlot *row)
{
	const SxWindow *window = &receiver->view->window;
	int64 lateness = receiver->view->allowed_lateness_us;
	int64 watermark = sx_view_watermark(receiver->view, receiver->watermark);
	Span session;
	Span stored = {DT_NOEND, DT_NOEND};

	slot_getallattrs(row);
	session.first = session.last = row_time(row, receiver->nkeys);
	if (may_touch_removed(receiver, session.first))
		return false;
	scan_stored(receiver, row, DT_NOBEGIN, session.last);
	while (next_stored(receiver, &session, &stored))
	{
		if (sx_session_is_sealed(window, sx_session_end(window, stored.last), lateness, watermark))
			return false;
		extend(&session, &stored);
	}
	return !sx_session_refuses(sx_session_end(window, session.last), lateness, watermark);
}

/*
 * Whether a session that the row touches may have been removed by retention.  It
 * was sealed, so the row would have been refused: whether it is still there must not matter.
 */
static bool
may_touch_removed(const SessionReceiver *receiver, int64 ts)
{
	int64 removed_through;

	return receiver->view->retention_us >= 0 &&
		   !pg_sub_s64_overflow(receiver->watermark, receiver->view->retention_us,
								&removed_through) &&
		   ts <= removed_through;
}

static void
report_refused(const SessionReceiver *receiver)
{
	int place = -1;

	while ((place = bms_next_member(receiver->refused_rows, place)) >= 0)
		receiver->refused(receiver->refused_context, place);
}

/* ---- merging ---- */

static void
merge_buckets(SessionReceiver *receiver)
{
	next_bucket(receiver);
	while (receiver->has_bucket)
	{
		CHECK_FOR_INTERRUPTS();
		begin_session(receiver);
		fold_buckets(receiver);
		while (absorb_stored(receiver) && fold_buckets(receiver))
			;
		write_session(receiver);
	}
}

/* The next bucket becomes the session in memory. */
static void
begin_session(SessionReceiver *receiver)
{
	MemoryContext old = MemoryContextSwitchTo(receiver->memory[receiver->turn]);
	TupleTableSlot *bucket = receiver->bucket;

	receiver->explored = has_same_keys(receiver) ? receiver->session.last : DT_NOBEGIN;
	receiver->session.first = row_time(bucket, receiver->nkeys);
	receiver->session.last = row_time(bucket, receiver->nkeys + 1);
	receiver->has_survivor = false;
	memcpy(receiver->isnull, bucket->tts_isnull, receiver->ncolumns * sizeof(bool));
	for (int i = 0; i < receiver->naggregates; i++)
	{
		int column = receiver->nleading + i;

		receiver->values[column] = sx_aggregate_store(
			receiver->aggregates[i], bucket->tts_values[column], bucket->tts_isnull[column]);
	}
	MemoryContextSwitchTo(old);
	take_bucket(receiver);
	next_bucket(receiver);
}

/* Take in the buckets that touch the session; true if it then ends later. */
static bool
fold_buckets(SessionReceiver *receiver)
{
	Span *session = &receiver->session;
	int64 last = session->last;

	while (receiver->has_bucket && continues(receiver))
	{
		CHECK_FOR_INTERRUPTS();
		session->last = Max(session->last, row_time(receiver->bucket, receiver->nkeys + 1));
		combine(receiver, receiver->bucket, sx_aggregate_combine);
		next_bucket(receiver);
	}
	return session->last > last;
}

/* Take in the stored sessions that touch the one in memory; true if it then ends later. */
static bool
absorb_stored(SessionReceiver *receiver)
{
	Span *session = &receiver->session;
	int64 last = session->last;
	Span span = {DT_NOEND, DT_NOEND};
	TupleTableSlot *stored;

	scan_stored(receiver, receiver->pending, receiver->explored, last);
	while ((stored = next_stored(receiver, session, &span)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		extend(session, &span);
		combine(receiver, stored, sx_aggregate_combine_stored);
		choose_survivor(receiver, stored, span.first);
	}
	receiver->explored = session->last;
	return session->last > last;
}

/* Of the stored sessions in this one, the earliest will be updated, the others go. */
static void
choose_survivor(SessionReceiver *receiver, TupleTableSlot *stored, int64 first)
{
	SxStateRow row = sx_state_row(receiver->state);

	if (receiver->has_survivor && first > receiver->survivor_first)
	{
		sx_state_delete(receiver->state, &row);
		return;
	}
	if (receiver->has_survivor)
		sx_state_delete(receiver->state, &receiver->survivor);
	receiver->has_survivor = true;
	receiver->survivor = row;
	receiver->survivor_first = first;
	ExecCopySlot(receiver->survivor_slot, stored);
}

/* Keys remain as they were first seen: equal ones may have other bytes. */
static void
write_session(SessionReceiver *receiver)
{
	const SxWindow *window = &receiver->view->window;
	const Span *span = &receiver->session;
	TupleTableSlot *keys = receiver->has_survivor ? receiver->survivor_slot : receiver->pending;
	MemoryContext memory = receiver->memory[receiver->turn];
	MemoryContext old = MemoryContextSwitchTo(memory);
	int nkeys = receiver->nkeys;

	slot_getsomeattrs(keys, nkeys);
	memcpy(receiver->values, keys->tts_values, nkeys * sizeof(Datum));
	memcpy(receiver->isnull, keys->tts_isnull, nkeys * sizeof(bool));
	receiver->values[nkeys] = TimestampTzGetDatum(span->first);
	receiver->values[nkeys + 1] = TimestampTzGetDatum(sx_session_end(window, span->last));
	if (receiver->has_survivor)
		sx_state_replace(receiver->state, &receiver->survivor, receiver->values, receiver->isnull);
	else
		sx_state_insert(receiver->state, receiver->values, receiver->isnull);
	SX_DEBUG_POINT("in-sessions");
	MemoryContextSwitchTo(old);
	MemoryContextReset(memory);
}

/*
 * The states in memory together with a row's.  Whatever the new ones refer to is
 * copied, so that neither the row nor the old states are needed any more.
 */
static void
combine(SessionReceiver *receiver, TupleTableSlot *row, CombineFunction function)
{
	TupleDesc desc = sx_state_descriptor(receiver->state);
	MemoryContext used = receiver->memory[receiver->turn];
	MemoryContext old;

	receiver->turn = 1 - receiver->turn;
	old = MemoryContextSwitchTo(receiver->memory[receiver->turn]);
	for (int i = 0; i < receiver->naggregates; i++)
	{
		int column = receiver->nleading + i;
		Form_pg_attribute attribute = TupleDescAttr(desc, column);
		Datum before = receiver->values[column];
		Datum added = row->tts_values[column];
		Datum after = function(receiver->aggregates[i], before, receiver->isnull[column], added,
							   row->tts_isnull[column], &receiver->isnull[column]);

		if (!attribute->attbyval && !receiver->isnull[column] &&
			(after == before || after == added))
			after = datumCopy(after, false, attribute->attlen);
		receiver->values[column] = after;
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(used);
}

/* ---- buckets ---- */

/* Read the next bucket; rows that another one of their groups refused are passed over. */
static void
next_bucket(SessionReceiver *receiver)
{
	TupleTableSlot *bucket = receiver->bucket;

	do
		receiver->has_bucket = tuplesort_gettupleslot(receiver->sort, true, true, bucket, NULL);
	while (receiver->has_bucket && receiver->refused_rows &&
		   bms_is_member(row_place(bucket), receiver->refused_rows));
	if (receiver->has_bucket)
		slot_getallattrs(bucket);
}

/* Its keys are from now on the keys of the session in memory. */
static void
take_bucket(SessionReceiver *receiver)
{
	TupleTableSlot *taken = receiver->bucket;

	receiver->bucket = receiver->pending;
	receiver->pending = taken;
}

static int64
row_time(const TupleTableSlot *row, int column)
{
	return DatumGetTimestampTz(row->tts_values[column]);
}

/* Whether the next bucket has the keys of the session in memory. */
static bool
has_same_keys(const SessionReceiver *receiver)
{
	return !TupIsNull(receiver->pending) &&
		   sx_state_same_columns(receiver->state, receiver->pending, receiver->bucket,
								 receiver->nkeys);
}

/* Whether the next bucket belongs to the session in memory, which begins at or before it. */
static bool
continues(const SessionReceiver *receiver)
{
	int64 first = row_time(receiver->bucket, receiver->nkeys);
	int64 last = receiver->session.last;

	return (first <= last || sx_session_touches(&receiver->view->window, last, first)) &&
		   has_same_keys(receiver);
}

/* ---- stored sessions ---- */

/* Stored sessions that begin after after, and early enough to touch one that ends with last. */
static void
scan_stored(SessionReceiver *receiver, const TupleTableSlot *keys, int64 after, int64 last)
{
	sx_state_scan(receiver->state, keys->tts_values, keys->tts_isnull, after,
				  sx_session_end(&receiver->view->window, last));
}

/*
 * The next row of the scan if it touches the session.  stored: the row before,
 * which is in the session now, or DT_NOEND; becomes this one.
 */
static TupleTableSlot *
next_stored(SessionReceiver *receiver, const Span *session, Span *stored)
{
	const SxWindow *window = &receiver->view->window;
	TupleTableSlot *row;

	/* the session begins with that one, and earlier ones are more than a gap away */
	if (stored->first == session->first)
		return NULL;
	row = sx_state_next(receiver->state);
	if (row == NULL)
		return NULL;
	stored->first = row_time(row, receiver->nkeys);
	stored->last = row_time(row, receiver->nkeys + 1) - window->size_us;
	return stored->last >= session->first ||
				   sx_session_touches(window, stored->last, session->first)
			   ? row
			   : NULL;
}

static void
extend(Span *session, const Span *stored)
{
	session->first = Min(session->first, stored->first);
	session->last = Max(session->last, stored->last);
}
