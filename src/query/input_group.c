/*
 * input_group.c
 *	  Let go of input groups.
 *
 * A group's inputs are neighbours on the index of each table of inputs, which
 * begins with the group's number.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type_d.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "query/index.h"
#include "query/input_group.h"

/* The column of the group's number. */
#define GROUP_ATTNUM 1

typedef struct InputTable
{
	Relation table;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *slot;
} InputTable;

struct SxInputGroups
{
	Snapshot snapshot;
	int ntables;
	InputTable *tables;
};

static void open_table(SxInputGroups *groups, InputTable *inputs, Oid relid);
static int64 delete_from(SxInputGroups *groups, InputTable *inputs, int64 group, int64 limit);

SxInputGroups *
sx_input_groups_open(const SxView *view)
{
	SxInputGroups *groups = palloc0(sizeof(SxInputGroups));
	ListCell *lc;

	CommandCounterIncrement(); /* what the batch merged may be what is to go */
	groups->snapshot = RegisterSnapshot(GetLatestSnapshot());
	groups->tables = palloc0(Max(list_length(view->inputs), 1) * sizeof(InputTable));
	foreach (lc, view->inputs)
		open_table(groups, &groups->tables[groups->ntables++],
				   ((const SxViewInputs *) lfirst(lc))->table);
	return groups;
}

static void
open_table(SxInputGroups *groups, InputTable *inputs, Oid relid)
{
	inputs->table = table_open(relid, RowExclusiveLock);
	inputs->index = sx_index_open(inputs->table, GROUP_ATTNUM, false);
	if (inputs->index == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("table \"%s\" has no index on its input groups",
							   RelationGetRelationName(inputs->table)),
						errhint("Drop the view and create it again.")));
	inputs->slot = table_slot_create(inputs->table, NULL);
	inputs->scan = sx_index_beginscan(inputs->table, inputs->index, groups->snapshot, 1);
}

int64
sx_input_groups_delete(SxInputGroups *groups, int64 group, int64 limit)
{
	int64 count = 0;

	for (int i = 0; i < groups->ntables && count < limit; i++)
		count += delete_from(groups, &groups->tables[i], group, limit - count);
	return count;
}

static int64
delete_from(SxInputGroups *groups, InputTable *inputs, int64 group, int64 limit)
{
	ScanKeyData key;
	int64 count = 0;

	ScanKeyInit(&key, GROUP_ATTNUM, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(group));
	index_rescan(inputs->scan, &key, 1, NULL, 0);
	while (count < limit && index_getnext_slot(inputs->scan, ForwardScanDirection, inputs->slot))
	{
		CHECK_FOR_INTERRUPTS();
		simple_table_tuple_delete(inputs->table, &inputs->slot->tts_tid, groups->snapshot);
		count++;
	}
	ExecClearTuple(inputs->slot);
	return count;
}

void
sx_input_groups_close(SxInputGroups *groups)
{
	for (int i = 0; i < groups->ntables; i++)
	{
		InputTable *inputs = &groups->tables[i];

		index_endscan(inputs->scan);
		ExecDropSingleTupleTableSlot(inputs->slot);
		index_close(inputs->index, NoLock);
		table_close(inputs->table, NoLock);
	}
	UnregisterSnapshot(groups->snapshot);
}
