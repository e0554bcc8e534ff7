/*
 * scan_place.c
 *	  What the ctid of a row says that a marked scan handed out, and where in its
 *	  stream the row came from.
 *
 *		input            ctid
 *		rows             place in rows
 *		ranges           place in exclusions, if the row is one of them; or else
 *		                 its number, when all offsets of the ranges are counted
 *
 *		                 block     line pointer
 *		place            higher    lower digit + 1, up to 1024
 *		number           higher    lower 15 bits, and the highest one set
 *
 * A ctid goes through joins and sorts, so it must say all by itself: when the
 * functions below are evaluated, the scan may be elsewhere.  What it means, the
 * run knows; in the run of another plan that a view's function starts, its own.
 */
#include "compat.h"

#include "batch/scan_kind.h"

/* Line pointers that places have in a block; any number that leaves out the bit of numbers. */
#define PLACES_PER_BLOCK 1024

#define NUMBER_FLAG 0x8000
#define NUMBER_BITS 15
#define NUMBER_LIMIT (INT64CONST(1) << (32 + NUMBER_BITS))

static int find_range(const SxScanRun *run, int32 partition, int64 offset);
static bool find_origin(ItemPointer ctid, int32 *partition, int64 *offset);
static bool origin_of_number(const SxScanRun *run, int64 number, int32 *partition, int64 *offset);
static bool origin_of_place(const SxScanInput *input, int place, int32 *partition, int64 *offset);

PG_FUNCTION_INFO_V1(streamx_arrival_partition);
PG_FUNCTION_INFO_V1(streamx_arrival_offset);

/* arrival_partition(stream_row tid), arrival_offset(stream_row tid): NULL outside of marked runs */
Datum
streamx_arrival_partition(PG_FUNCTION_ARGS)
{
	int32 partition;
	int64 offset;

	if (!find_origin((ItemPointer) PG_GETARG_POINTER(0), &partition, &offset))
		PG_RETURN_NULL();
	PG_RETURN_INT32(partition);
}

Datum
streamx_arrival_offset(PG_FUNCTION_ARGS)
{
	int32 partition;
	int64 offset;

	if (!find_origin((ItemPointer) PG_GETARG_POINTER(0), &partition, &offset))
		PG_RETURN_NULL();
	PG_RETURN_INT64(offset);
}

/* ---- exclusions ---- */

static int
compare_exclusions(const void *a, const void *b)
{
	const SxScanExclusion *left = a;
	const SxScanExclusion *right = b;

	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	return (left->offset > right->offset) - (left->offset < right->offset);
}

int
sx_scan_find_exclusion(const SxScanInput *input, int32 partition, int64 offset)
{
	SxScanExclusion key = {.partition = partition, .offset = offset};
	const SxScanExclusion *found;

	if (input->nexclusions == 0)
		return -1;
	found = bsearch(&key, input->exclusions, input->nexclusions, sizeof(SxScanExclusion),
					compare_exclusions);
	return found ? (int) (found - input->exclusions) : -1;
}

/* ---- into a ctid ---- */

void
sx_scan_set_place(TupleTableSlot *slot, int place)
{
	ItemPointerSet(&slot->tts_tid, place / PLACES_PER_BLOCK, place % PLACES_PER_BLOCK + 1);
}

void
sx_scan_set_origin(SxScan *scan, int exclusion, int32 partition, int64 offset)
{
	int range;
	int64 number;

	if (exclusion >= 0)
	{
		sx_scan_set_place(scan->slot, exclusion);
		return;
	}
	range = find_range(scan->run, partition, offset);
	number = scan->run->starts[range] + (offset - scan->input->ranges[range].first);
	ItemPointerSet(&scan->slot->tts_tid, (BlockNumber) (number >> NUMBER_BITS),
				   NUMBER_FLAG | (number & (NUMBER_FLAG - 1)));
}

/* The last range that begins at or before an offset of its partition. */
static int
find_range(const SxScanRun *run, int32 partition, int64 offset)
{
	const SxScanRange *ranges = run->input->ranges;
	int low = 0;
	int high = run->input->nranges;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (ranges[middle].partition < partition ||
			(ranges[middle].partition == partition && ranges[middle].first <= offset))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || ranges[low - 1].partition != partition || ranges[low - 1].end <= offset)
		elog(ERROR, "offset " INT64_FORMAT " of partition %d was not asked for", offset, partition);
	return low - 1;
}

void
sx_scan_find_starts(SxScanRun *run)
{
	const SxScanInput *input = run->input;
	int64 count = 0;

	run->starts = palloc(Max(input->nranges, 1) * sizeof(int64));
	for (int i = 0; i < input->nranges; i++)
	{
		int64 length = Max(input->ranges[i].end - input->ranges[i].first, 0);

		run->starts[i] = count;
		if (length > NUMBER_LIMIT - count)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("cannot read more than " INT64_FORMAT " offsets of a stream again",
							NUMBER_LIMIT)));
		count += length;
	}
}

/* ---- out of a ctid ---- */

int
sx_scan_place_of_ctid(ItemPointer ctid)
{
	if (!ItemPointerIsValid(ctid) || ItemPointerGetOffsetNumber(ctid) > PLACES_PER_BLOCK)
		return -1;
	return (int) (ItemPointerGetBlockNumber(ctid) * PLACES_PER_BLOCK +
				  ItemPointerGetOffsetNumber(ctid) - 1);
}

/* Any ctid may come, that of another table's row too. */
static bool
find_origin(ItemPointer ctid, int32 *partition, int64 *offset)
{
	const SxScanRun *run = sx_scan_running();
	OffsetNumber low = ItemPointerGetOffsetNumberNoCheck(ctid);

	if (run == NULL || run->input == NULL || low == InvalidOffsetNumber)
		return false;
	if (low & NUMBER_FLAG)
		return origin_of_number(run,
								((int64) ItemPointerGetBlockNumber(ctid) << NUMBER_BITS) |
									(low & (NUMBER_FLAG - 1)),
								partition, offset);
	return origin_of_place(run->input, sx_scan_place_of_ctid(ctid), partition, offset);
}

static bool
origin_of_number(const SxScanRun *run, int64 number, int32 *partition, int64 *offset)
{
	const SxScanRange *range;
	int low = 0;
	int high = run->input->nranges;

	if (run->starts == NULL)
		return false;
	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (run->starts[middle] <= number)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return false;
	range = &run->input->ranges[low - 1];
	*partition = range->partition;
	*offset = range->first + (number - run->starts[low - 1]);
	return *offset < range->end;
}

static bool
origin_of_place(const SxScanInput *input, int place, int32 *partition, int64 *offset)
{
	const SxBatch *batch = input->batch;

	if (place < 0 || place >= (batch ? input->nrows : input->nexclusions))
		return false;
	if (batch)
	{
		const SxRowOrigin *origin = &batch->origin[input->rows ? input->rows[place] : place];

		*partition = origin->partition;
		*offset = origin->offset;
		return true;
	}
	*partition = input->exclusions[place].partition;
	*offset = input->exclusions[place].offset;
	return true;
}

const SxScanRange *
sx_scan_find_range(const SxScanRange *ranges, int nranges, int32 partition, int64 offset)
{
	for (int i = 0; i < nranges; i++)
		if (ranges[i].partition == partition && ranges[i].first <= offset && offset < ranges[i].end)
			return &ranges[i];
	return NULL;
}
