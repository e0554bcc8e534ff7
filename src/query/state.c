/*
 * state.c
 *	  The state store: one heap tuple per group, found by a unique B-tree.
 *
 * One index scan serves all groups of a batch: each is a rescan with other key
 * values.  Rows are written through the table access method alone; the caller
 * holds the view's lock, so nobody else writes them, and the indexes cover keys
 * and slices only, so that updates are HOT, but for those of sessions that
 * now begin earlier.
 */
#include "compat.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relation.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplesort.h"

#include "query/index.h"
#include "query/index_walk.h"
#include "query/state.h"

/* Keys below this many bytes fit into an index entry, whatever the index. */
#define SAFE_KEY_SIZE 1024

/* New rows are written together: so many, and of so many bytes. */
#define MOST_NEW_ROWS 128
#define MOST_NEW_BYTES 65536

struct SxState
{
	const char *view_name;
	int nindexed;		/* columns of the unique index: what tells groups apart */
	int nleading;		/* columns before the states */
	int ncolumns;		/* states included, but not what folding adds: */
	int nfolded;		/* whether it is folded, and final values; 0: the view does not fold */
	bool is_unique;		/* the index: one row for each group */
	int input_groups;	/* column that lists a row's input groups, from 0, or -1 */
	Oid group_sequence; /* numbers new ones */
	int64 last_group;	/* that it gave us, or 0 */
	MemoryContext context;
	Relation table;
	Snapshot snapshot;
	TupleTableSlot *found;
	TupleTableSlot *written;
	TupleTableSlot **new_rows; /* still to be written; slots are made when they are needed */
	int nslots;
	int nnew;
	Size new_bytes;

	/* the probe */
	Relation index;
	IndexScanDesc scan;
	ScanKey keys; /* one for each indexed column; of sessions two for the last */
	int nkeys;
	bool *key_is_varlena;
	SxIndexWalk *walk; /* instead of it, while keys rise */

	/* for index entries; opened by the first row that needs some */
	EState *estate;
	ResultRelInfo *indexes;

	int64 inserted;
	int64 updated;
};

static void open_table(SxState *state, Oid relid, bool is_session);
static void require_open(const SxState *state);
static void add_input_group(SxState *state);
static void keep_numbers(const SxState *state);
static void store_written(SxState *state, const Datum *values, const bool *isnull);
static void fill_key(ScanKey key, Datum value, bool is_null);
static void rescan(SxState *state);
static TupleTableSlot *next_row(SxState *state, ScanDirection direction);
static void write_update(SxState *state, ItemPointer tid);
static Relation open_probe_index(SxState *state);
static void prepare_keys(SxState *state, bool is_session);
static void prepare_key(const SxState *state, ScanKey key, int column, StrategyNumber strategy);
static TupleTableSlot *walk_to(SxState *state, const Datum *values, const bool *isnull);
static void keep_new_row(SxState *state);
static void write_new_rows(SxState *state);
static void insert_index_entries(SxState *state, TupleTableSlot *row, bool is_update,
								 SxUpdateIndexes update_indexes);
static void open_indexes(SxState *state);
static bool has_large_key(const SxState *state, TupleTableSlot *row);
static void insert_large_key(SxState *state, TupleTableSlot *row, bool is_update,
							 SxUpdateIndexes update_indexes);

SxState *
sx_state_open(const SxView *view)
{
	SxState *state = palloc0(sizeof(SxState));
	bool is_session = view->window.kind == SX_WINDOW_SESSION;

	state->view_name = view->name;
	state->nleading = view->nkeys + view->nslice;
	state->nindexed = is_session ? view->nkeys + 1 : state->nleading;
	state->ncolumns = state->nleading + view->naggregates;
	state->nfolded = OidIsValid(view->finals) ? 1 + view->nfinals : 0;
	state->is_unique = true;
	state->input_groups = view->input_groups < 0 ? -1 : state->nleading + view->input_groups;
	state->group_sequence = view->group_sequence;
	open_table(state, view->state, is_session);
	return state;
}

SxState *
sx_state_open_inputs(const SxView *view, const SxViewInputs *inputs)
{
	SxState *state = palloc0(sizeof(SxState));

	state->view_name = view->name;
	state->nindexed = 2; /* input_group, hash */
	state->nleading = state->nindexed + inputs->ninputs;
	state->ncolumns = state->nleading + inputs->nmultiplicities;
	state->input_groups = -1;
	open_table(state, inputs->table, false);
	return state;
}

static void
open_table(SxState *state, Oid relid, bool is_session)
{
	/* what this transaction wrote before is to be seen, too */
	CommandCounterIncrement();

	state->context = CurrentMemoryContext;
	state->table = table_open(relid, RowExclusiveLock);
	if (RelationGetNumberOfAttributes(state->table) != state->ncolumns + state->nfolded)
		elog(ERROR, "table \"%s\" of continuous view \"%s\" has %d columns instead of %d",
			 RelationGetRelationName(state->table), state->view_name,
			 RelationGetNumberOfAttributes(state->table), state->ncolumns + state->nfolded);
	state->snapshot = RegisterSnapshot(GetLatestSnapshot());
	state->found = table_slot_create(state->table, NULL);
	state->written = MakeSingleTupleTableSlot(RelationGetDescr(state->table), &TTSOpsVirtual);
	state->new_rows = palloc0(MOST_NEW_ROWS * sizeof(TupleTableSlot *));
	state->index = open_probe_index(state);
	prepare_keys(state, is_session);
	state->scan = sx_index_beginscan(state->table, state->index, state->snapshot, state->nkeys);
}

TupleDesc
sx_state_descriptor(const SxState *state)
{
	return RelationGetDescr(state->table);
}

void
sx_state_check_delta(const SxState *state, TupleDesc delta, SxAggregate *const *aggregates,
					 int nextra)
{
	TupleDesc stored = RelationGetDescr(state->table);

	if (delta->natts != state->ncolumns + nextra)
		elog(ERROR, "delta of continuous view \"%s\" has %d columns instead of %d",
			 state->view_name, delta->natts, state->ncolumns + nextra);
	for (int i = 0; i < state->ncolumns; i++)
	{
		Oid expected = TupleDescAttr(stored, i)->atttypid;
		Oid found = TupleDescAttr(delta, i)->atttypid;
		bool is_serialised = expected == sx_state_type_oid();

		if (i >= state->nleading &&
			expected != sx_aggregate_stored_type(aggregates[i - state->nleading]))
			elog(ERROR, "state column %d of continuous view \"%s\" has type %u", i + 1,
				 state->view_name, expected);
		if (found != expected && !(is_serialised && found == BYTEAOID))
			elog(ERROR, "column %d of the delta of continuous view \"%s\" has type %u, not %u",
				 i + 1, state->view_name, found, expected);
	}
}

void
sx_state_expect_sorted(SxState *state, int64 nrows, const TupleTableSlot *first)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);

	if (!first->tts_isnull[0] && sx_index_walk_pays(state->index, nrows))
		state->walk = sx_index_walk_begin(state->table, state->index, state->snapshot,
										  state->nindexed, first->tts_values[0]);
	MemoryContextSwitchTo(old);
}

TupleTableSlot *
sx_state_find(SxState *state, const Datum *values, const bool *isnull)
{
	/* NULLs come last, and the walk ends before them */
	if (state->walk && !isnull[0])
		return walk_to(state, values, isnull);
	for (int i = 0; i < state->nindexed; i++)
		fill_key(&state->keys[i], values[i], isnull[i]);
	rescan(state);
	return next_row(state, ForwardScanDirection);
}

TupleTableSlot *
sx_state_find_next(SxState *state)
{
	return next_row(state, ForwardScanDirection);
}

TupleTableSlot *
sx_state_find_again(SxState *state, const SxStateRow *row)
{
	ItemPointerData tid = row->tid;

	ExecClearTuple(state->found);
	if (!table_tuple_fetch_row_version(state->table, &tid, state->snapshot, state->found))
		elog(ERROR, "a row of continuous view \"%s\" is gone while its lock is held",
			 state->view_name);
	slot_getallattrs(state->found);
	return state->found;
}

void
sx_state_scan(SxState *state, const Datum *values, const bool *isnull, TimestampTz after,
			  TimestampTz last)
{
	int nkeys = state->nindexed - 1;

	for (int i = 0; i < nkeys; i++)
		fill_key(&state->keys[i], values[i], isnull[i]);
	fill_key(&state->keys[nkeys], TimestampTzGetDatum(last), false);
	fill_key(&state->keys[nkeys + 1], TimestampTzGetDatum(after), false);
	rescan(state);
}

TupleTableSlot *
sx_state_next(SxState *state)
{
	return next_row(state, BackwardScanDirection);
}

SxStateRow
sx_state_row(const SxState *state)
{
	SxStateRow row = {.tid = state->found->tts_tid};

	require_open(state);
	return row;
}

bool
sx_state_same_columns(const SxState *state, const TupleTableSlot *left, const TupleTableSlot *right,
					  int ncolumns)
{
	for (int i = 0; i < ncolumns; i++)
	{
		ScanKey key = &state->keys[i];

		if (left->tts_isnull[i] != right->tts_isnull[i])
			return false;
		if (!left->tts_isnull[i] &&
			!DatumGetBool(FunctionCall2Coll(&key->sk_func, key->sk_collation, left->tts_values[i],
											right->tts_values[i])))
			return false;
	}
	return true;
}

void
sx_state_update(SxState *state, const Datum *states, const bool *isnull)
{
	TupleTableSlot *found = state->found;
	TupleTableSlot *written = state->written;
	int nleading = state->nleading;
	int nstates = state->ncolumns - nleading;

	require_open(state);
	ExecClearTuple(written);
	memcpy(written->tts_values, found->tts_values, nleading * sizeof(Datum));
	memcpy(written->tts_isnull, found->tts_isnull, nleading * sizeof(bool));
	memcpy(written->tts_values + nleading, states, nstates * sizeof(Datum));
	memcpy(written->tts_isnull + nleading, isnull, nstates * sizeof(bool));
	memset(written->tts_isnull + state->ncolumns, true, state->nfolded * sizeof(bool));
	ExecStoreVirtualTuple(written);
	write_update(state, &found->tts_tid);
}

void
sx_state_fold(SxState *state, const Datum *finals, const bool *isnull)
{
	TupleTableSlot *found = state->found;
	TupleTableSlot *written = state->written;
	int nfinals = state->nfolded - 1;
	bool is_folded = finals != NULL;

	store_written(state, found->tts_values, found->tts_isnull);
	written->tts_values[state->ncolumns] = BoolGetDatum(is_folded);
	written->tts_isnull[state->ncolumns] = false;
	if (is_folded)
	{
		written->tts_values[state->input_groups] = PointerGetDatum(construct_empty_array(INT8OID));
		memcpy(written->tts_values + state->ncolumns + 1, finals, nfinals * sizeof(Datum));
		memcpy(written->tts_isnull + state->ncolumns + 1, isnull, nfinals * sizeof(bool));
	}
	write_update(state, &found->tts_tid);
}

void
sx_state_replace(SxState *state, const SxStateRow *row, const Datum *values, const bool *isnull)
{
	ItemPointerData tid = row->tid;

	store_written(state, values, isnull);
	write_update(state, &tid);
}

void
sx_state_delete(SxState *state, const SxStateRow *row)
{
	ItemPointerData tid = row->tid;

	simple_table_tuple_delete(state->table, &tid, state->snapshot);
	state->updated++;
}

void
sx_state_insert(SxState *state, const Datum *values, const bool *isnull)
{
	store_written(state, values, isnull);
	if (state->input_groups >= 0 && isnull[state->input_groups])
		add_input_group(state);
	keep_new_row(state);
	if (state->nnew == MOST_NEW_ROWS || state->new_bytes >= MOST_NEW_BYTES)
		write_new_rows(state);
	state->inserted++;
}

void
sx_state_close(SxState *state)
{
	write_new_rows(state);
	keep_numbers(state);
	for (int i = 0; i < state->nslots; i++)
		ExecDropSingleTupleTableSlot(state->new_rows[i]);
	if (state->walk)
		sx_index_walk_end(state->walk);
	if (state->estate)
	{
		ExecCloseIndices(state->indexes);
		FreeExecutorState(state->estate);
	}
	index_endscan(state->scan);
	index_close(state->index, NoLock);
	ExecDropSingleTupleTableSlot(state->found);
	ExecDropSingleTupleTableSlot(state->written);
	UnregisterSnapshot(state->snapshot);
	table_close(state->table, NoLock);
}

void
sx_state_counts(const SxState *state, int64 *inserted, int64 *updated)
{
	*inserted = state->inserted;
	*updated = state->updated;
}

/* Writing */

static void
store_written(SxState *state, const Datum *values, const bool *isnull)
{
	TupleTableSlot *written = state->written;

	ExecClearTuple(written);
	memcpy(written->tts_values, values, state->ncolumns * sizeof(Datum));
	memcpy(written->tts_isnull, isnull, state->ncolumns * sizeof(bool));
	memset(written->tts_isnull + state->ncolumns, true, state->nfolded * sizeof(bool));
	ExecStoreVirtualTuple(written);
}

/* Nothing comes for a window that is sealed. */
static void
require_open(const SxState *state)
{
	if (state->nfolded > 0 && !state->found->tts_isnull[state->ncolumns])
		elog(ERROR,
			 "a row of the state of continuous view \"%s\" is to change, though it is folded",
			 state->view_name);
}

/* A group of its own for the inputs of a new row. */
static void
add_input_group(SxState *state)
{
	Datum group;

	state->last_group = nextval_internal(state->group_sequence, false);
	group = Int64GetDatum(state->last_group);
	state->written->tts_values[state->input_groups] = PointerGetDatum(
		construct_array(&group, 1, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	state->written->tts_isnull[state->input_groups] = false;
}

/*
 * With wal_level = minimal nothing is logged of a sequence in the transaction that made it, but
 * nextval notes all the same that the next 32 numbers were: a crash would have them
 * given again.  setval takes that note away.  It asks for privileges of the sequence, which
 * belongs to the extension's owner.
 */
static void
keep_numbers(const SxState *state)
{
	Relation sequence;
	bool is_logged;
	Oid user;
	int context;

	if (state->last_group == 0)
		return;
	sequence = relation_open(state->group_sequence, AccessShareLock);
	is_logged = RelationNeedsWAL(sequence);
	relation_close(sequence, NoLock);
	if (is_logged)
		return;
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, context | SECURITY_LOCAL_USERID_CHANGE);
	DirectFunctionCall2(setval_oid, ObjectIdGetDatum(state->group_sequence),
						Int64GetDatum(state->last_group));
	SetUserIdAndSecContext(user, context);
}

/* The row as it is now written, later. */
static void
keep_new_row(SxState *state)
{
	TupleTableSlot *written = state->written;
	int natts = written->tts_tupleDescriptor->natts;
	TupleTableSlot *row;

	if (state->nnew == state->nslots)
	{
		MemoryContext old = MemoryContextSwitchTo(state->context);

		state->new_rows[state->nslots++] = table_slot_create(state->table, NULL);
		MemoryContextSwitchTo(old);
	}
	row = state->new_rows[state->nnew++];
	ExecClearTuple(row);
	memcpy(row->tts_values, written->tts_values, natts * sizeof(Datum));
	memcpy(row->tts_isnull, written->tts_isnull, natts * sizeof(bool));
	ExecStoreVirtualTuple(row);
	ExecMaterializeSlot(row);
	state->new_bytes += ExecFetchSlotHeapTuple(row, false, NULL)->t_len;
}

/* One WAL record a page.  The probe does not see them, and need not: each group comes once. */
static void
write_new_rows(SxState *state)
{
	if (state->nnew == 0)
		return;
	table_multi_insert(state->table, state->new_rows, state->nnew, GetCurrentCommandId(true), 0,
					   NULL);
	for (int i = 0; i < state->nnew; i++)
	{
		insert_index_entries(state, state->new_rows[i], false, SX_UPDATE_ALL_INDEXES);
		ExecClearTuple(state->new_rows[i]);
	}
	state->nnew = 0;
	state->new_bytes = 0;
}

/* The row as it is now written, instead of the one at tid. */
static void
write_update(SxState *state, ItemPointer tid)
{
	SxUpdateIndexes update_indexes;

	simple_table_tuple_update(state->table, tid, state->written, state->snapshot, &update_indexes);
	if (sx_update_needs_indexes(update_indexes))
		insert_index_entries(state, state->written, true, update_indexes);
	state->updated++;
}

/* Finding */

static void
fill_key(ScanKey key, Datum value, bool is_null)
{
	key->sk_flags = is_null ? SK_ISNULL | SK_SEARCHNULL : 0;
	key->sk_argument = is_null ? (Datum) 0 : value;
}

/* The scan allocates as it goes, and keeps that. */
static void
rescan(SxState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);

	index_rescan(state->scan, state->keys, state->nkeys, NULL, 0);
	MemoryContextSwitchTo(old);
}

static TupleTableSlot *
next_row(SxState *state, ScanDirection direction)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);
	bool is_found = index_getnext_slot(state->scan, direction, state->found);

	if (is_found)
		slot_getallattrs(state->found);
	MemoryContextSwitchTo(old);
	return is_found ? state->found : NULL;
}

/* Its OID is not kept anywhere: REINDEX CONCURRENTLY replaces it. */
static Relation
open_probe_index(SxState *state)
{
	Relation index =
		sx_index_open_leading(state->table, state->nindexed, state->is_unique, RowExclusiveLock);

	if (index == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("table \"%s\" of continuous view \"%s\" has no index on its keys",
							   RelationGetRelationName(state->table), state->view_name),
						errhint("Drop the view and create it again.")));
	return index;
}

static TupleTableSlot *
walk_to(SxState *state, const Datum *values, const bool *isnull)
{
	bool is_found = sx_index_walk_to(state->walk, values, isnull, state->found);

	if (is_found)
		slot_getallattrs(state->found);
	if (sx_index_walk_is_lost(state->walk))
	{
		sx_index_walk_end(state->walk);
		state->walk = NULL;
	}
	return is_found ? state->found : NULL;
}

/*
 * Scan keys for equality, but for the start of a session, which is between
 * bounds; each probe fills in its values.
 */
static void
prepare_keys(SxState *state, bool is_session)
{
	TupleDesc desc = RelationGetDescr(state->table);
	int last = state->nindexed - 1;

	state->nkeys = state->nindexed + (is_session ? 1 : 0);
	state->keys = palloc0(state->nkeys * sizeof(ScanKeyData));
	state->key_is_varlena = palloc0(state->nindexed * sizeof(bool));
	for (int i = 0; i < state->nindexed; i++)
	{
		bool is_bound = is_session && i == last;

		prepare_key(state, &state->keys[i], i,
					is_bound ? BTLessEqualStrategyNumber : BTEqualStrategyNumber);
		state->key_is_varlena[i] = TupleDescAttr(desc, i)->attlen == -1;
	}
	if (is_session)
		prepare_key(state, &state->keys[last + 1], last, BTGreaterStrategyNumber);
}

static void
prepare_key(const SxState *state, ScanKey key, int column, StrategyNumber strategy)
{
	Relation index = state->index;
	Oid type = index->rd_opcintype[column];
	Oid operator= get_opfamily_member(index->rd_opfamily[column], type, type, strategy);

	if (!OidIsValid(operator))
		elog(ERROR, "missing operator %d(%u,%u) in opfamily %u", strategy, type, type,
			 index->rd_opfamily[column]);
	ScanKeyEntryInitialize(key, 0, column + 1, strategy, InvalidOid, index->rd_indcollation[column],
						   get_opcode(operator), (Datum) 0);
}

struct Tuplesortstate *
sx_state_begin_sort(const SxState *state, TupleDesc desc)
{
	Relation index = state->index;
	AttrNumber *columns = palloc(state->nindexed * sizeof(AttrNumber));
	Oid *operators = palloc(state->nindexed * sizeof(Oid));
	bool *nulls_first = palloc0(state->nindexed * sizeof(bool));

	for (int i = 0; i < state->nindexed; i++)
	{
		Oid type = index->rd_opcintype[i];

		columns[i] = i + 1;
		operators[i] = get_opfamily_member(index->rd_opfamily[i], type, type, BTLessStrategyNumber);
	}
	return tuplesort_begin_heap(desc, state->nindexed, columns, operators, index->rd_indcollation,
								nulls_first, Max(work_mem / 4, 64), NULL, TUPLESORT_NONE);
}

/* Index entries */

/* Entries for the row just written.  They need memory only for the moment. */
static void
insert_index_entries(SxState *state, TupleTableSlot *row, bool is_update,
					 SxUpdateIndexes update_indexes)
{
	if (!state->estate)
		open_indexes(state);
	if (unlikely(has_large_key(state, row)))
		insert_large_key(state, row, is_update, update_indexes);
	else
		sx_insert_index_tuples(state->indexes, row, state->estate, is_update, update_indexes);
	ResetPerTupleExprContext(state->estate);
}

static void
open_indexes(SxState *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);

	state->estate = CreateExecutorState();
	MemoryContextSwitchTo(state->estate->es_query_cxt);
	state->indexes = makeNode(ResultRelInfo);
	InitResultRelInfo(state->indexes, state->table, 0, NULL, 0);
	ExecOpenIndices(state->indexes, false);
	MemoryContextSwitchTo(old);
}

static bool
has_large_key(const SxState *state, TupleTableSlot *row)
{
	Size size = 0;

	slot_getsomeattrs(row, state->nindexed);
	for (int i = 0; i < state->nindexed; i++)
		if (state->key_is_varlena[i] && !row->tts_isnull[i])
			size += toast_raw_datum_size(row->tts_values[i]);
	return size > SAFE_KEY_SIZE;
}

/* The index says best what it takes, but not in the user's words. */
static void
insert_large_key(SxState *state, TupleTableSlot *row, bool is_update,
				 SxUpdateIndexes update_indexes)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		sx_insert_index_tuples(state->indexes, row, state->estate, is_update, update_indexes);
	}
	PG_CATCH();
	{
		ErrorData *error;

		if (geterrcode() != ERRCODE_PROGRAM_LIMIT_EXCEEDED)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("group key is too large for continuous view \"%s\"", state->view_name),
				 errdetail_internal("%s", error->message),
				 errhint("Group by a hash of the value, or by a part of it.")));
	}
	PG_END_TRY();
}
