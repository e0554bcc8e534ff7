/*
 * state.c
 *	  The state store: one heap tuple per group, found by a unique B-tree.
 *
 * One index scan serves all groups of a batch: each is a rescan with other key
 * values.  Rows are written through the table access method alone; the caller
 * holds the view's lock, so nobody else writes them, and the indexes cover keys
 * only, so that updates are HOT.
 */
#include "compat.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/tuplesort.h"

#include "query/state.h"

/* Keys below this many bytes fit into an index entry, whatever the index. */
#define SAFE_KEY_SIZE 1024

struct SxState
{
	const char *view_name;
	int nkeys; /* keys and slice: the columns before the states */
	int ncolumns;
	MemoryContext context;
	Relation table;
	Snapshot snapshot;
	TupleTableSlot *found;
	TupleTableSlot *written;

	/* the probe */
	Relation index;
	IndexScanDesc scan;
	ScanKey keys;
	bool *key_is_varlena;

	/* for index entries; opened by the first row that needs some */
	EState *estate;
	ResultRelInfo *indexes;

	int64 inserted;
	int64 updated;
};

static Relation open_probe_index(SxState *state);
static void prepare_keys(SxState *state);
static void insert_index_entries(SxState *state, bool is_update, SxUpdateIndexes update_indexes);
static void open_indexes(SxState *state);
static bool has_large_key(const SxState *state);
static void insert_large_key(SxState *state, bool is_update, SxUpdateIndexes update_indexes);

SxState *
sx_state_open(const SxView *view)
{
	SxState *state = palloc0(sizeof(SxState));

	/* what this transaction wrote before is to be seen, too */
	CommandCounterIncrement();

	state->view_name = view->name;
	state->nkeys = view->nkeys + (view->has_slice ? 1 : 0);
	state->ncolumns = state->nkeys + view->naggregates;
	state->context = CurrentMemoryContext;
	state->table = table_open(view->state, RowExclusiveLock);
	if (RelationGetNumberOfAttributes(state->table) != state->ncolumns)
		elog(ERROR, "state table of continuous view \"%s\" has %d columns instead of %d",
			 view->name, RelationGetNumberOfAttributes(state->table), state->ncolumns);
	state->snapshot = RegisterSnapshot(GetLatestSnapshot());
	state->found = table_slot_create(state->table, NULL);
	state->written = MakeSingleTupleTableSlot(RelationGetDescr(state->table), &TTSOpsVirtual);
	state->index = open_probe_index(state);
	prepare_keys(state);
	state->scan = sx_index_beginscan(state->table, state->index, state->snapshot, state->nkeys);
	return state;
}

TupleDesc
sx_state_descriptor(const SxState *state)
{
	return RelationGetDescr(state->table);
}

TupleTableSlot *
sx_state_find(SxState *state, const Datum *values, const bool *isnull)
{
	/* the scan allocates as it goes, and keeps that */
	MemoryContext old = MemoryContextSwitchTo(state->context);
	bool is_found;

	for (int i = 0; i < state->nkeys; i++)
	{
		ScanKey key = &state->keys[i];

		key->sk_flags = isnull[i] ? SK_ISNULL | SK_SEARCHNULL : 0;
		key->sk_argument = isnull[i] ? (Datum) 0 : values[i];
	}
	index_rescan(state->scan, state->keys, state->nkeys, NULL, 0);
	is_found = index_getnext_slot(state->scan, ForwardScanDirection, state->found);
	if (is_found)
		slot_getallattrs(state->found);
	MemoryContextSwitchTo(old);
	return is_found ? state->found : NULL;
}

void
sx_state_update(SxState *state, const Datum *states, const bool *isnull)
{
	TupleTableSlot *found = state->found;
	TupleTableSlot *written = state->written;
	int nkeys = state->nkeys;
	int nstates = state->ncolumns - nkeys;
	SxUpdateIndexes update_indexes;

	ExecClearTuple(written);
	memcpy(written->tts_values, found->tts_values, nkeys * sizeof(Datum));
	memcpy(written->tts_isnull, found->tts_isnull, nkeys * sizeof(bool));
	memcpy(written->tts_values + nkeys, states, nstates * sizeof(Datum));
	memcpy(written->tts_isnull + nkeys, isnull, nstates * sizeof(bool));
	ExecStoreVirtualTuple(written);
	simple_table_tuple_update(state->table, &found->tts_tid, written, state->snapshot,
							  &update_indexes);
	if (sx_update_needs_indexes(update_indexes))
		insert_index_entries(state, true, update_indexes);
	state->updated++;
}

void
sx_state_insert(SxState *state, const Datum *values, const bool *isnull)
{
	TupleTableSlot *written = state->written;

	ExecClearTuple(written);
	memcpy(written->tts_values, values, state->ncolumns * sizeof(Datum));
	memcpy(written->tts_isnull, isnull, state->ncolumns * sizeof(bool));
	ExecStoreVirtualTuple(written);
	simple_table_tuple_insert(state->table, written);
	insert_index_entries(state, false, SX_UPDATE_ALL_INDEXES);
	state->inserted++;
}

void
sx_state_close(SxState *state)
{
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

/* Finding */

/*
 * The unique index on exactly the key columns, in order.  Its OID is not kept
 * anywhere: REINDEX CONCURRENTLY replaces it.
 */
static Relation
open_probe_index(SxState *state)
{
	List *indexes = RelationGetIndexList(state->table);
	ListCell *lc;

	foreach (lc, indexes)
	{
		Relation index = index_open(lfirst_oid(lc), RowExclusiveLock);
		Form_pg_index form = index->rd_index;
		bool is_probe = form->indisunique && form->indisvalid && form->indisready &&
						form->indnkeyatts == state->nkeys && index->rd_rel->relam == BTREE_AM_OID &&
						heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL);

		for (int i = 0; is_probe && i < state->nkeys; i++)
			is_probe = form->indkey.values[i] == i + 1;
		if (is_probe)
			return index;
		index_close(index, NoLock);
	}
	ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
					errmsg("state table of continuous view \"%s\" has no unique index on its keys",
						   state->view_name),
					errhint("Drop the view and create it again.")));
}

/* Scan keys for equality; each probe fills in its values. */
static void
prepare_keys(SxState *state)
{
	Relation index = state->index;

	state->keys = palloc0(state->nkeys * sizeof(ScanKeyData));
	state->key_is_varlena = palloc0(state->nkeys * sizeof(bool));
	for (int i = 0; i < state->nkeys; i++)
	{
		Oid type = index->rd_opcintype[i];
		Oid equals = get_opfamily_member(index->rd_opfamily[i], type, type, BTEqualStrategyNumber);

		if (!OidIsValid(equals))
			elog(ERROR, "missing operator %d(%u,%u) in opfamily %u", BTEqualStrategyNumber, type,
				 type, index->rd_opfamily[i]);
		ScanKeyEntryInitialize(&state->keys[i], 0, i + 1, BTEqualStrategyNumber, InvalidOid,
							   index->rd_indcollation[i], get_opcode(equals), (Datum) 0);
		state->key_is_varlena[i] = TupleDescAttr(RelationGetDescr(state->table), i)->attlen == -1;
	}
}

struct Tuplesortstate *
sx_state_begin_sort(const SxState *state, TupleDesc desc)
{
	Relation index = state->index;
	AttrNumber *columns = palloc(state->nkeys * sizeof(AttrNumber));
	Oid *operators = palloc(state->nkeys * sizeof(Oid));
	bool *nulls_first = palloc0(state->nkeys * sizeof(bool));

	for (int i = 0; i < state->nkeys; i++)
	{
		Oid type = index->rd_opcintype[i];

		columns[i] = i + 1;
		operators[i] = get_opfamily_member(index->rd_opfamily[i], type, type, BTLessStrategyNumber);
	}
	return tuplesort_begin_heap(desc, state->nkeys, columns, operators, index->rd_indcollation,
								nulls_first, Max(work_mem / 4, 64), NULL, TUPLESORT_NONE);
}

/* Index entries */

/* Entries for the row just written.  They need memory only for the moment. */
static void
insert_index_entries(SxState *state, bool is_update, SxUpdateIndexes update_indexes)
{
	if (!state->estate)
		open_indexes(state);
	if (unlikely(has_large_key(state)))
		insert_large_key(state, is_update, update_indexes);
	else
		sx_insert_index_tuples(state->indexes, state->written, state->estate, is_update,
							   update_indexes);
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
has_large_key(const SxState *state)
{
	Size size = 0;

	for (int i = 0; i < state->nkeys; i++)
		if (state->key_is_varlena[i] && !state->written->tts_isnull[i])
			size += toast_raw_datum_size(state->written->tts_values[i]);
	return size > SAFE_KEY_SIZE;
}

/* The index says best what it takes, but not in the user's words. */
static void
insert_large_key(SxState *state, bool is_update, SxUpdateIndexes update_indexes)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		sx_insert_index_tuples(state->indexes, state->written, state->estate, is_update,
							   update_indexes);
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
