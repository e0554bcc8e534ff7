/*
 * pass.c
 *	  A pass over a view's state in the order of slice_start, in bounded steps.
 *
 *      taken            |  to go through   |
 *  ---------------------+------------------+-----------> slice_start
 *                     from              through
 *
 * A row is taken at once, whatever it has for inputs.  Those that the step has
 * no time for are remembered by their groups, and are what the next step begins with.
 *
 * A pass goes through what had ended when it began.  Slices end in the order of
 * their starts, so that each pass goes on where the last one ended.  Sessions do
 * not, for one that began early may end late: their passes begin at the first that
 * stayed.  Before it is nothing but dead rows, which a held snapshot would have
 * each pass go through.  A new session begins after the bound: a row that does not
 * is too old by itself, whatever the options are by then (sealed_through).  If a
 * session takes it all the same, that may begin before; who merges it says so.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "query/index.h"
#include "query/input_group.h"
#include "query/pass.h"

struct SxPassStep
{
	const SxView *view;
	SxPass *pass;
	Relation table;
	Relation index;
	IndexScanDesc scan;
	Snapshot snapshot;
	TupleTableSlot *slot;
	AttrNumber slice_start;
	SxInputGroups *inputs; /* NULL: not open */
	int64 limit;
	int64 used;
	bool has_taken;
};

static void delete_remaining(SxPassStep *step);
static void delete_inputs(SxPassStep *step, const int64 *groups, int ngroups);
static void remember(SxPass *pass, const int64 *groups, int ngroups);
static bool go_through_table(SxPassStep *step, const SxPassKind *kind, void *context);
static void begin_scan(SxPassStep *step);
static bool go_through(SxPassStep *step, const SxPassKind *kind, void *context);
static void take_row(SxPassStep *step, const SxPassKind *kind, void *context);
static int64 *groups_of(Datum array, int *ngroups);

/* ---- where it stands ---- */

SxPass
sx_pass_new(void)
{
	return (SxPass){.through = DT_NOBEGIN, .from = DT_NOBEGIN, .next = DT_NOBEGIN};
}

SxPass
sx_pass_load(HeapTuple tuple, TupleDesc desc, int number, MemoryContext context)
{
	SxPass pass = {0};
	bool is_null;
	MemoryContext old;

	pass.through = DatumGetTimestampTz(SPI_getbinval(tuple, desc, number, &is_null));
	pass.from = DatumGetTimestampTz(SPI_getbinval(tuple, desc, number + 1, &is_null));
	pass.next = DatumGetTimestampTz(SPI_getbinval(tuple, desc, number + 2, &is_null));
	pass.is_going = DatumGetBool(SPI_getbinval(tuple, desc, number + 3, &is_null));
	old = MemoryContextSwitchTo(context);
	pass.groups = groups_of(SPI_getbinval(tuple, desc, number + 4, &is_null), &pass.ngroups);
	MemoryContextSwitchTo(old);
	return pass;
}

void
sx_pass_store(const SxPass *pass, Datum *values)
{
	Datum *groups = palloc(Max(pass->ngroups, 1) * sizeof(Datum));

	for (int i = 0; i < pass->ngroups; i++)
		groups[i] = Int64GetDatum(pass->groups[i]);
	values[0] = TimestampTzGetDatum(pass->through);
	values[1] = TimestampTzGetDatum(pass->from);
	values[2] = TimestampTzGetDatum(pass->next);
	values[3] = BoolGetDatum(pass->is_going);
	values[4] = PointerGetDatum(construct_array(groups, pass->ngroups, INT8OID, sizeof(int64),
												FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

bool
sx_pass_equal(const SxPass *left, const SxPass *right)
{
	return left->through == right->through && left->from == right->from &&
		   left->next == right->next && left->is_going == right->is_going &&
		   left->ngroups == right->ngroups &&
		   (left->ngroups == 0 ||
			memcmp(left->groups, right->groups, left->ngroups * sizeof(int64)) == 0);
}

TimestampTz
sx_pass_bound(const SxView *view, int64 watermark, int64 kept_us)
{
	int64 gap_us = view->window.kind == SX_WINDOW_SESSION ? view->window.size_us : 0;
	int64 through;

	/* never one that still takes rows, whatever the options say */
	kept_us = Max(kept_us, view->allowed_lateness_us + gap_us);
	if (watermark == DT_NOBEGIN || pg_sub_s64_overflow(watermark, kept_us, &through) ||
		through < MIN_TIMESTAMP)
		return DT_NOBEGIN;
	return sx_window_last_end(&view->window, through);
}

static TimestampTz
time_of(TupleTableSlot *row, AttrNumber attnum)
{
	bool is_null;

	return DatumGetTimestampTz(slot_getattr(row, attnum, &is_null));
}

bool
sx_pass_has_ended(const SxView *view, TupleTableSlot *row, TimestampTz through)
{
	AttrNumber slice_start = view->nkeys + 1;
	SxWindowBounds bounds;

	if (view->window.kind == SX_WINDOW_SESSION)
		return time_of(row, slice_start + 1) <= through;
	return !sx_window_first(&view->window, time_of(row, slice_start), through, &bounds);
}

void
sx_pass_begin(const SxView *view, SxPass *pass, TimestampTz bound, int64 worth_us)
{
	int64 moved_us;

	if (pass->is_going || bound <= pass->through)
		return;
	if (!pg_sub_s64_overflow(bound, pass->through, &moved_us) && moved_us < worth_us)
		return;
	pass->is_going = true;
	pass->through = bound;
	if (view->window.kind == SX_WINDOW_SESSION)
	{
		pass->from = pass->next;
		pass->next = bound;
	}
}

/* ---- a step ---- */

void
sx_pass_step(const SxView *view, SxPass *pass, int64 limit, const SxPassKind *kind, void *context)
{
	SxPassStep step = {.view = view, .pass = pass, .slice_start = view->nkeys + 1, .limit = limit};

	delete_remaining(&step);
	if (pass->ngroups == 0)
		pass->is_going = !go_through_table(&step, kind, context) || pass->ngroups > 0;
	if (step.inputs)
		sx_input_groups_close(step.inputs);
}

/* ---- inputs ---- */

static void
delete_remaining(SxPassStep *step)
{
	SxPass *pass = step->pass;
	int64 *groups = pass->groups;
	int ngroups = pass->ngroups;

	pass->groups = NULL;
	pass->ngroups = 0;
	delete_inputs(step, groups, ngroups);
}

/* What is too much for this step is remembered. */
static void
delete_inputs(SxPassStep *step, const int64 *groups, int ngroups)
{
	int i = 0;

	if (step->inputs == NULL && ngroups > 0)
		step->inputs = sx_input_groups_open(step->view);
	for (; i < ngroups && step->used < step->limit; i++)
	{
		step->used += sx_input_groups_delete(step->inputs, groups[i], step->limit - step->used);
		if (step->used >= step->limit)
			break;
	}
	remember(step->pass, groups + i, ngroups - i);
}

static void
remember(SxPass *pass, const int64 *groups, int ngroups)
{
	int64 *all;

	if (ngroups == 0)
		return;
	all = palloc((pass->ngroups + ngroups) * sizeof(int64));
	if (pass->ngroups > 0)
		memcpy(all, pass->groups, pass->ngroups * sizeof(int64));
	memcpy(all + pass->ngroups, groups, ngroups * sizeof(int64));
	pass->groups = all;
	pass->ngroups += ngroups;
}

/* A bigint[] without NULLs. */
static int64 *
groups_of(Datum array, int *ngroups)
{
	Datum *values;
	int64 *groups;

	deconstruct_array(DatumGetArrayTypeP(array), INT8OID, sizeof(int64), FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE, &values, NULL, ngroups);
	groups = palloc(Max(*ngroups, 1) * sizeof(int64));
	for (int i = 0; i < *ngroups; i++)
		groups[i] = DatumGetInt64(values[i]);
	return groups;
}

/* ---- rows ---- */

/* Returns true when there is nothing left to go through. */
static bool
go_through_table(SxPassStep *step, const SxPassKind *kind, void *context)
{
	bool is_done = true;

	CommandCounterIncrement(); /* what the batch merged may be what is to go */
	step->table = table_open(step->view->state, RowExclusiveLock);
	step->index = sx_index_open(step->table, step->slice_start, kind->is_partial);
	if (step->index)
	{
		step->snapshot = RegisterSnapshot(GetLatestSnapshot());
		step->slot = table_slot_create(step->table, NULL);
		begin_scan(step);
		is_done = go_through(step, kind, context);
		index_endscan(step->scan);
		ExecDropSingleTupleTableSlot(step->slot);
		UnregisterSnapshot(step->snapshot);
		index_close(step->index, NoLock);
	}
	table_close(step->table, NoLock);
	return is_done;
}

static void
init_key(const SxPassStep *step, ScanKey key, StrategyNumber strategy, TimestampTz value)
{
	Relation index = step->index;
	Oid type = index->rd_opcintype[0];
	Oid operator= get_opfamily_member(index->rd_opfamily[0], type, type, strategy);

	ScanKeyEntryInitialize(key, 0, 1, strategy, InvalidOid, InvalidOid, get_opcode(operator),
						   TimestampTzGetDatum(value));
}

/* Slices that start from where the pass stands on, and before its end: no later one ends by then. */
static void
begin_scan(SxPassStep *step)
{
	ScanKeyData keys[2];

	init_key(step, &keys[0], BTGreaterEqualStrategyNumber, step->pass->from);
	init_key(step, &keys[1], BTLessStrategyNumber, step->pass->through);
	step->scan = sx_index_beginscan(step->table, step->index, step->snapshot, 2);
	index_rescan(step->scan, keys, 2, NULL, 0);
}

/* Returns true when the pass is done; else from says where it goes on. */
static bool
go_through(SxPassStep *step, const SxPassKind *kind, void *context)
{
	bool is_session = step->view->window.kind == SX_WINDOW_SESSION;
	SxPass *pass = step->pass;
	TimestampTz last = DT_NOBEGIN;

	while (index_getnext_slot(step->scan, ForwardScanDirection, step->slot))
	{
		TimestampTz start = time_of(step->slot, step->slice_start);

		CHECK_FOR_INTERRUPTS();
		/* rows that start together may all stay: a step that only saw such rows would begin with them again */
		if (step->used >= step->limit && (start != last || step->has_taken))
		{
			pass->from = start;
			return false;
		}
		step->used++;
		if ((!is_session && start == last) ||
			sx_pass_has_ended(step->view, step->slot, pass->through))
			take_row(step, kind, context);
		else if (!is_session)
			break;
		else
			pass->next = Min(pass->next, start);
		last = start;
	}
	/* later slices may still come before the one that stays, but none before the last that went */
	if (!is_session && last != DT_NOBEGIN)
		pass->from = last;
	return true;
}

static void
take_row(SxPassStep *step, const SxPassKind *kind, void *context)
{
	const SxView *view = step->view;
	AttrNumber attnum = view->nkeys + view->nslice + view->input_groups + 1;
	int64 *groups = NULL;
	int ngroups = 0;
	bool is_null;

	if (view->input_groups >= 0)
		groups = groups_of(slot_getattr(step->slot, attnum, &is_null), &ngroups);
	if (kind->take(step, step->slot, context))
	{
		step->has_taken = true;
		delete_inputs(step, groups, ngroups);
	}
	if (groups)
		pfree(groups);
}

void
sx_pass_delete(SxPassStep *step, TupleTableSlot *row)
{
	simple_table_tuple_delete(step->table, &row->tts_tid, step->snapshot);
}
