/*
 * scan_kind.h
 *	  What the kinds of scans of a stream share: rows of a micro-batch,
 *	  messages of a topic, rows of a log.
 *
 * fdw.c plans, scan.c chooses the kind at BeginForeignScan, and each kind is
 * one row {name, size of its state, begin, next, rescan, end, explain}.
 */
#ifndef SX_SCAN_KIND_H
#define SX_SCAN_KIND_H

#include "compat.h"

#include "batch/scan.h"
#include "catalog/stream.h"
#include "nodes/execnodes.h"

struct ExplainState;

/* Places in a ForeignScan's fdw_private. */
typedef enum SxScanPrivate
{
	SX_PRIVATE_COLUMNS,	  /* integer list: attnums needed */
	SX_PRIVATE_MARK,	  /* Integer: 1 when marked */
	SX_PRIVATE_CONDITIONS /* see condition.h */
} SxScanPrivate;

typedef struct SxScan SxScan;

typedef struct SxScanKind
{
	const char *name;
	size_t state_size; /* of the struct that begins with SxScan */
	void (*begin)(SxScan *scan);
	TupleTableSlot *(*next)(SxScan *scan);
	void (*rescan)(SxScan *scan);
	void (*end)(SxScan *scan);
	void (*explain)(SxScan *scan, struct ExplainState *es);
} SxScanKind;

/* The head of every kind's state; it is the node's fdw_state. */
struct SxScan
{
	const SxScanKind *kind;
	TupleTableSlot *(*next)(SxScan *scan); /* = kind->next, one hop nearer */
	ForeignScanState *node;
	TupleTableSlot *slot;
	const SxScanInput *input; /* NULL: not marked */
	const SxScanRun *run;	  /* that of the input */
	const SxStream *stream;	  /* NULL for an empty micro-batch */
	int ncolumns;
	AttrNumber *columns;   /* attnums that are handed out */
	MemoryContext context; /* lives as long as the scan */
	bool is_begun;		   /* false in a plain EXPLAIN */
};

extern const SxScanKind sx_batch_scan;
extern const SxScanKind sx_topic_scan;
extern const SxScanKind sx_log_scan;

/* The needed columns as a set of attnums, in the current memory context. */
extern Bitmapset *sx_scan_columns(const SxScan *scan);

/* What a marked scan is to do with a message: its place in exclusions; -1: it is not there. */
extern int sx_scan_find_exclusion(const SxScanInput *input, int32 partition, int64 offset);

/* Whether an exclusion's whole row is not to be handed out. */
static inline bool
sx_scan_leaves_out(const SxScanInput *input, int exclusion)
{
	return exclusion >= 0 && input->exclusions[exclusion].refused_through == DT_NOEND;
}

/* Put a place in the rows of a batch into the ctid of the row that is handed out. */
extern void sx_scan_set_place(TupleTableSlot *slot, int place);

/* Of a row read again: its place in exclusions, or if that is -1, where it is in the ranges. */
extern void sx_scan_set_origin(SxScan *scan, int exclusion, int32 partition, int64 offset);

/* The innermost run, or NULL; and what a run over ranges needs to number their offsets. */
extern const SxScanRun *sx_scan_running(void);
extern void sx_scan_find_starts(SxScanRun *run);

/*
 * Hand out a row: copy the needed columns into the slot.  The others stay NULL,
 * as BeginForeignScan left them.
 */
static inline TupleTableSlot *
sx_scan_store(SxScan *scan, const Datum *values, const bool *isnull)
{
	TupleTableSlot *slot = scan->slot;
	int i;

	/* somebody above may have made a tuple of the last row */
	if (unlikely(TTS_SHOULDFREE(slot)))
		ExecClearTuple(slot);

	for (i = 0; i < scan->ncolumns; i++)
	{
		int column = scan->columns[i] - 1;

		slot->tts_values[column] = values[column];
		slot->tts_isnull[column] = isnull[column];
	}
	slot->tts_nvalid = slot->tts_tupleDescriptor->natts;
	slot->tts_flags &= ~TTS_FLAG_EMPTY;
	return slot;
}

#endif
