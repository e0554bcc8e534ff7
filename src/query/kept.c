/*
 * kept.c
 *	  The groups of a delta, kept in memory until they can be merged: in another
 *	  transaction, with another snapshot.
 */
#include "compat.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "query/kept.h"

#define ROWS_AT_FIRST 64

struct SxKept
{
	DestReceiver dest; /* must be first */
	MemoryContext context;
	size_t max_bytes;
	size_t bytes;
	bool is_complete;
	TupleDesc desc;
	TupleTableSlot *fetched;
	MinimalTuple *rows;
	int nrows;
	int size;
};

static void kept_startup(DestReceiver *dest, int operation, TupleDesc desc);
static bool kept_row(TupleTableSlot *row, DestReceiver *dest);
static void kept_noop(DestReceiver *dest);

SxKept *
sx_kept_create(size_t max_bytes)
{
	SxKept *kept = palloc0(sizeof(SxKept));

	kept->dest.receiveSlot = kept_row;
	kept->dest.rStartup = kept_startup;
	kept->dest.rShutdown = kept_noop;
	kept->dest.rDestroy = kept_noop;
	kept->dest.mydest = DestNone;
	kept->context = CurrentMemoryContext;
	kept->max_bytes = max_bytes;
	return kept;
}

DestReceiver *
sx_kept_receiver(SxKept *kept)
{
	return &kept->dest;
}

bool
sx_kept_is_complete(const SxKept *kept)
{
	return kept->is_complete;
}

size_t
sx_kept_bytes(const SxKept *kept)
{
	return kept->bytes;
}

static void
kept_startup(DestReceiver *dest, int operation, TupleDesc desc)
{
	SxKept *kept = (SxKept *) dest;
	MemoryContext old = MemoryContextSwitchTo(kept->context);

	kept->is_complete = true;
	kept->desc = CreateTupleDescCopy(desc);
	kept->fetched = MakeSingleTupleTableSlot(kept->desc, &TTSOpsVirtual);
	kept->size = ROWS_AT_FIRST;
	kept->rows = palloc(kept->size * sizeof(MinimalTuple));
	MemoryContextSwitchTo(old);
}

static bool
is_external(const SxKept *kept, const TupleTableSlot *row, int column)
{
	return !row->tts_isnull[column] && TupleDescAttr(kept->desc, column)->attlen == -1 &&
		   VARATT_IS_EXTERNAL(DatumGetPointer(row->tts_values[column]));
}

/* The same row without what lies in some table's TOAST, and may be gone when it is merged. */
static TupleTableSlot *
fetch_external(SxKept *kept, TupleTableSlot *row)
{
	int ncolumns = kept->desc->natts;
	TupleTableSlot *fetched = kept->fetched;
	int column = 0;

	slot_getallattrs(row);
	while (column < ncolumns && !is_external(kept, row, column))
		column++;
	if (column == ncolumns)
		return row;
	ExecClearTuple(fetched);
	memcpy(fetched->tts_values, row->tts_values, ncolumns * sizeof(Datum));
	memcpy(fetched->tts_isnull, row->tts_isnull, ncolumns * sizeof(bool));
	for (; column < ncolumns; column++)
	{
		struct varlena *value = (struct varlena *) DatumGetPointer(fetched->tts_values[column]);

		if (is_external(kept, fetched, column))
			fetched->tts_values[column] = PointerGetDatum(detoast_external_attr(value));
	}
	return ExecStoreVirtualTuple(fetched);
}

static bool
kept_row(TupleTableSlot *row, DestReceiver *dest)
{
	SxKept *kept = (SxKept *) dest;
	MemoryContext old = MemoryContextSwitchTo(kept->context);

	if (kept->nrows == kept->size)
	{
		kept->size *= 2;
		kept->rows = repalloc_huge(kept->rows, kept->size * sizeof(MinimalTuple));
	}
	kept->rows[kept->nrows] = ExecCopySlotMinimalTuple(fetch_external(kept, row));
	kept->bytes += kept->rows[kept->nrows++]->t_len + sizeof(MinimalTuple);
	MemoryContextSwitchTo(old);
	kept->is_complete = kept->bytes <= kept->max_bytes;
	return kept->is_complete;
}

static void
kept_noop(DestReceiver *dest)
{
}

void
sx_kept_replay(const SxKept *kept, DestReceiver *dest)
{
	TupleTableSlot *row = MakeSingleTupleTableSlot(kept->desc, &TTSOpsMinimalTuple);

	dest->rStartup(dest, CMD_SELECT, kept->desc);
	for (int i = 0; i < kept->nrows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		ExecStoreMinimalTuple(kept->rows[i], row, false);
		(void) dest->receiveSlot(row, dest);
	}
	dest->rShutdown(dest);
	ExecDropSingleTupleTableSlot(row);
}
