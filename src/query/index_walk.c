/*
 * index_walk.c
 *	  Find rows by an index with keys that rise.
 *
 *		index    a . b . . c d . . . e . .        (. are rows that nobody looks for)
 *		keys     a   b     c d       e
 *		walk     --> --> ---> > -----> ...
 *
 * An index-only scan, from the first key on: entries are compared as they come,
 * and the table is read for those that are equal.  A descent costs about as much as passing 16 entries.
 * What is written meanwhile, with keys that were looked for already, is behind the walk.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/itup.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/tableam.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "query/index_walk.h"

#define KEYS_PER_PAGE 16 /* from how many on a walk pays */
#define STEPS_PER_KEY 32 /* more are too many, */
#define FREE_STEPS 10000 /* but for so many of them */

struct SxIndexWalk
{
	MemoryContext context;
	IndexScanDesc scan;
	int ncolumns;
	FmgrInfo **compare; /* of each column */
	bool has_entry;		/* the scan is at one that was not passed yet */
	int64 keys;
	int64 steps;
};

static void begin_scan(SxIndexWalk *walk, Relation index, Datum first);
static void step(SxIndexWalk *walk);
static int compare_entry(const SxIndexWalk *walk, const Datum *keys, const bool *isnull);

bool
sx_index_walk_pays(Relation index, int64 nkeys)
{
	return nkeys >= (int64) RelationGetNumberOfBlocks(index) * KEYS_PER_PAGE;
}

SxIndexWalk *
sx_index_walk_begin(Relation table, Relation index, Snapshot snapshot, int ncolumns, Datum first)
{
	SxIndexWalk *walk = palloc0(sizeof(SxIndexWalk));
	Form_pg_attribute column = TupleDescAttr(RelationGetDescr(table), 0);

	walk->context = CurrentMemoryContext;
	walk->ncolumns = ncolumns;
	walk->compare = palloc(ncolumns * sizeof(FmgrInfo *));
	for (int i = 0; i < ncolumns; i++)
		walk->compare[i] = index_getprocinfo(index, i + 1, BTORDER_PROC);
	walk->scan = sx_index_beginscan(table, index, snapshot, 1);
	walk->scan->xs_want_itup = true;
	/* the scan looks at it again and again */
	begin_scan(walk, index, datumCopy(first, column->attbyval, column->attlen));
	step(walk);
	return walk;
}

static void
begin_scan(SxIndexWalk *walk, Relation index, Datum first)
{
	Oid type = index->rd_opcintype[0];
	Oid operator=
		get_opfamily_member(index->rd_opfamily[0], type, type, BTGreaterEqualStrategyNumber);
	ScanKeyData key;

	if (!OidIsValid(operator))
		elog(ERROR, "missing operator %d(%u,%u) in opfamily %u", BTGreaterEqualStrategyNumber, type,
			 type, index->rd_opfamily[0]);
	ScanKeyEntryInitialize(&key, 0, 1, BTGreaterEqualStrategyNumber, InvalidOid,
						   index->rd_indcollation[0], get_opcode(operator), first);
	index_rescan(walk->scan, &key, 1, NULL, 0);
}

bool
sx_index_walk_to(SxIndexWalk *walk, const Datum *keys, const bool *isnull, TupleTableSlot *slot)
{
	int order = -1;

	walk->keys++;
	while (walk->has_entry && (order = compare_entry(walk, keys, isnull)) <= 0)
	{
		/* of equal ones all but one are of rows that are dead */
		if (order == 0 && index_fetch_heap(walk->scan, slot))
			return true;
		step(walk);
	}
	return false;
}

bool
sx_index_walk_is_lost(const SxIndexWalk *walk)
{
	return walk->steps > walk->keys * STEPS_PER_KEY + FREE_STEPS;
}

void
sx_index_walk_end(SxIndexWalk *walk)
{
	index_endscan(walk->scan);
}

/* The scan allocates as it goes, and keeps that. */
static void
step(SxIndexWalk *walk)
{
	MemoryContext old = MemoryContextSwitchTo(walk->context);

	walk->has_entry = index_getnext_tid(walk->scan, ForwardScanDirection) != NULL;
	walk->steps++;
	MemoryContextSwitchTo(old);
}

/* The entry with the keys: NULLs are equal, and last. */
static int
compare_entry(const SxIndexWalk *walk, const Datum *keys, const bool *isnull)
{
	IndexScanDesc scan = walk->scan;

	for (int i = 0; i < walk->ncolumns; i++)
	{
		bool entry_is_null;
		Datum entry = index_getattr(scan->xs_itup, i + 1, scan->xs_itupdesc, &entry_is_null);
		int order;

		if (entry_is_null || isnull[i])
			order = (int) entry_is_null - (int) isnull[i];
		else
			order = DatumGetInt32(FunctionCall2Coll(
				walk->compare[i], scan->indexRelation->rd_indcollation[i], entry, keys[i]));
		if (order != 0)
			return order;
	}
	return 0;
}
