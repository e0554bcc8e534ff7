/*
 * scan.h
 *	  What a marked scan of a stream hands out.
 *
 * A plan made by sx_plan_run (query/run.h) has its one scan of the stream
 * marked: instead of reading the topic it hands out what the caller gives it
 * here, either chosen rows of a micro-batch or exactly the messages that a view accepted.
 * The mark belongs to the plan; the input to the run, in which BeginForeignScan of
 * the marked scan takes it.
 */
#ifndef SX_SCAN_H
#define SX_SCAN_H

#include "compat.h"

#include "batch/batch.h"

/* Offsets [first, end) of one partition. */
typedef struct SxScanRange
{
	int32 partition;
	int64 first;
	int64 end;
} SxScanRange;

typedef struct SxScanExclusion
{
	int32 partition;
	int64 offset;
	int64
		refused_through; /* the windows that end by then refused it; DT_NOEND: all of it is left out */
} SxScanExclusion;

typedef struct SxScanInput
{
	Oid stream; /* the scan's relation must be this one */

	/* rows of a batch, by index, in this order; a row's ctid encodes its place in rows */
	const SxBatch *batch; /* NULL: the ranges below */
	const int *rows;
	int nrows;

	/*
	 * or: messages of the topic (or of the log), read again; the ctid of a row that only some
	 * windows refused encodes its place in exclusions, that of others where it is in the ranges
	 */
	const SxScanRange *ranges; /* sorted by partition, first; they do not overlap */
	int nranges;
	const SxScanExclusion *exclusions; /* sorted by partition, offset */
	int nexclusions;
	const SxScanRange *skips; /* offsets that were not read */
	int nskips;
} SxScanInput;

/* One run of a plan, from before ExecutorStart to after ExecutorEnd. */
typedef struct SxScanRun
{
	const SxScanInput *input;
	bool is_taken;
	int64 *starts; /* of each range, how many offsets the ones before it have */
	struct SxScanRun *outer;
} SxScanRun;

/*
 * Begin a run whose marked scan is to be given the input (NULL: it has none);
 * runs nest.  Ending is to be done in PG_FINALLY().
 */
extern void sx_scan_run_begin(SxScanRun *run, const SxScanInput *input);
extern void sx_scan_run_end(SxScanRun *run);

/* The one of a few ranges that an offset is in, or NULL. */
extern const SxScanRange *
sx_scan_find_range(const SxScanRange *ranges, int nranges, int32 partition, int64 offset);

/* Mark the scan of stream in a finished plan; returns how many scans were marked. */
struct PlannedStmt;
extern int sx_scan_mark(struct PlannedStmt *plan, Oid stream);

/*
 * The place that a marked scan put into a ctid: in the rows of a batch, or in
 * exclusions; -1: none.
 */
extern int sx_scan_place_of_ctid(ItemPointer ctid);

#endif
