/*
 * reuse.c
 *	  What a view refused as late, for the shadow that is to take its place.
 *
 *		read by the view           |  not read by it yet
 *		---------------------------+---------------------------> offset
 *		refused through t, again   |  judged by the greater watermark,
 *		or accepted                |  and recorded
 *
 * A shadow seldom gets beyond its view, but may.  Windows that the view has removed
 * stay removed: rows of no other are not even stored.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/timestamp.h"

#include "catalog/spi.h"
#include "query/retention.h"
#include "query/reuse.h"

/* A row that was refused by windows that end by refused_through. */
typedef struct Refusal
{
	int32 partition;
	int64 offset;
	int64 refused_through; /* infinity: by all of its windows */
} Refusal;

/* Offsets of the batch in one partition. */
typedef struct Range
{
	int32 partition;
	int64 first;
	int64 end;
} Range;

struct SxReuse
{
	const SxView *shadow;
	const SxReader *reader;
	const SxBatch *batch;
	SxReader *decided; /* the view's: what it has read */
	int64 removed_through;
	int nrefusals;
	int size;
	Refusal *refusals; /* by partition and offset */
};

static List *ranges_of(const SxBatch *batch);
static void limit_range(SxReuse *reuse, SxReader *reader, Range *range);
static void load_refusals(SxReuse *reuse, const Range *range);
static void record_refusals(const SxReuse *reuse, const Range *range);

static int
compare_ranges(const ListCell *a, const ListCell *b)
{
	return ((const Range *) lfirst(a))->partition - ((const Range *) lfirst(b))->partition;
}

SxReuse *
sx_reuse_begin(const SxView *shadow, SxReader *reader, const SxBatch *batch)
{
	SxReuse *reuse = palloc0(sizeof(SxReuse));
	List *ranges = ranges_of(batch);
	ListCell *lc;

	reuse->shadow = shadow;
	reuse->reader = reader;
	reuse->batch = batch;
	reuse->decided = sx_reader_of_view(shadow->shadow_of);
	reuse->removed_through = shadow->window.kind == SX_WINDOW_SESSION
								 ? DT_NOBEGIN
								 : sx_retention_removed_through(shadow->shadow_of);
	list_sort(ranges, compare_ranges);
	foreach (lc, ranges)
	{
		Range *range = lfirst(lc);

		limit_range(reuse, reader, range);
		load_refusals(reuse, range);
		if (shadow->stores_late_rows)
			record_refusals(reuse, range);
	}
	return reuse;
}

static List *
ranges_of(const SxBatch *batch)
{
	List *ranges = NIL;
	Range *range = NULL;
	ListCell *lc;

	for (int row = 0; row < batch->nrows; row++)
	{
		const SxRowOrigin *origin = &batch->origin[row];

		if (range == NULL || range->partition != origin->partition)
		{
			range = NULL;
			foreach (lc, ranges)
				if (((Range *) lfirst(lc))->partition == origin->partition)
					range = lfirst(lc);
		}
		if (range == NULL)
		{
			range = palloc(sizeof(Range));
			*range = (Range){origin->partition, origin->offset, origin->offset};
			ranges = lappend(ranges, range);
		}
		range->first = Min(range->first, origin->offset);
		range->end = Max(range->end, origin->offset + 1);
	}
	return ranges;
}

/* Of what the view has not read there are no decisions: from there on the shadow judges. */
static void
limit_range(SxReuse *reuse, SxReader *reader, Range *range)
{
	const SxPartition *decided = sx_reader_partition(reuse->decided, range->partition);
	int64 end = decided ? decided->next_offset : range->first;

	if (range->end <= end)
		return;
	range->end = Max(end, range->first);
	reader->watermark = Max(reader->watermark, reuse->decided->watermark);
}

static void
range_values(const SxReuse *reuse, const Range *range, Datum *values)
{
	values[0] = ObjectIdGetDatum(reuse->shadow->shadow_of);
	values[1] = Int32GetDatum(range->partition);
	values[2] = Int64GetDatum(range->first);
	values[3] = Int64GetDatum(range->end);
}

/* A stream fed by INSERT has no partitions: NULL. */
#define IN_RANGE                                                                                   \
	"l.view = $1 AND (l.\"partition\" = $2 OR l.\"partition\" IS NULL)"                            \
	" AND l.\"offset\" >= $3 AND l.\"offset\" < $4"

static void
load_refusals(SxReuse *reuse, const Range *range)
{
	static const char *const statement =
		"SELECT l.\"offset\","
		" max(CASE WHEN l.counted THEN l.refused_through ELSE 'infinity' END)"
		" FROM streamx_internal.late_row AS l WHERE " IN_RANGE " GROUP BY 1 ORDER BY 1";
	static const Oid types[] = {REGCLASSOID, INT4OID, INT8OID, INT8OID};
	MemoryContext caller = CurrentMemoryContext;
	Datum values[4];
	uint64 count;
	SxSpi spi;

	range_values(reuse, range, values);
	sx_spi_begin(&spi);
	count = sx_spi_execute(statement, 4, types, values, NULL, false);
	if (count > 0 && reuse->nrefusals + count > reuse->size)
	{
		Size size = (reuse->nrefusals + count) * sizeof(Refusal);

		reuse->size = reuse->nrefusals + count;
		reuse->refusals = reuse->refusals ? repalloc_huge(reuse->refusals, size)
										  : MemoryContextAllocHuge(caller, size);
	}
	for (uint64 i = 0; i < count; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc tupdesc = SPI_tuptable->tupdesc;
		bool isnull;

		reuse->refusals[reuse->nrefusals++] = (Refusal){
			.partition = range->partition,
			.offset = DatumGetInt64(SPI_getbinval(tuple, tupdesc, 1, &isnull)),
			.refused_through = DatumGetTimestampTz(SPI_getbinval(tuple, tupdesc, 2, &isnull))};
	}
	sx_spi_end(&spi);
}

static void
record_refusals(const SxReuse *reuse, const Range *range)
{
	static const char *const statement =
		"INSERT INTO streamx_internal.late_row (view, stream, reader, topic, \"partition\","
		" \"offset\", event_time, watermark, refused_through, counted, \"row\", recorded_at)"
		" SELECT $5, l.stream, $6, l.topic, l.\"partition\", l.\"offset\", l.event_time,"
		" l.watermark, l.refused_through, l.counted, l.\"row\", l.recorded_at"
		" FROM streamx_internal.late_row AS l WHERE " IN_RANGE;
	static const Oid types[] = {REGCLASSOID, INT4OID, INT8OID, INT8OID, REGCLASSOID, INT4OID};
	Datum values[6];
	SxSpi spi;

	range_values(reuse, range, values);
	values[4] = ObjectIdGetDatum(reuse->shadow->relid);
	values[5] = Int32GetDatum(reuse->reader->id);
	sx_spi_begin(&spi);
	sx_spi_execute(statement, 6, types, values, NULL, false);
	sx_spi_end(&spi);
}

/* Whether each window of a row is removed from the view. */
static bool
is_removed(const SxReuse *reuse, int row)
{
	int64 from_window;
	int64 refused_through;

	return sx_window_judge(&reuse->shadow->window, reuse->batch->event_time[row], 0,
						   reuse->removed_through, &from_window, &refused_through) == SX_LATE;
}

static int
compare_refusals(const void *a, const void *b)
{
	const Refusal *left = a;
	const Refusal *right = b;

	if (left->partition != right->partition)
		return left->partition < right->partition ? -1 : 1;
	return (left->offset > right->offset) - (left->offset < right->offset);
}

void
sx_reuse_select(const SxReuse *reuse, int row, SxSelection *selection)
{
	const SxView *shadow = reuse->shadow;
	const SxRowOrigin *origin = &reuse->batch->origin[row];
	const SxPartition *decided = sx_reader_partition(reuse->decided, origin->partition);
	Refusal key = {.partition = origin->partition, .offset = origin->offset};
	const Refusal *refusal;
	int64 through;

	if (decided == NULL || origin->offset >= decided->next_offset)
	{
		sx_late_judge(shadow, reuse->batch, row, shadow->allowed_lateness_us,
					  sx_view_watermark(shadow, reuse->reader->watermark), false, selection);
		return;
	}
	refusal = reuse->nrefusals == 0 ? NULL
									: bsearch(&key, reuse->refusals, reuse->nrefusals,
											  sizeof(Refusal), compare_refusals);
	through = refusal ? refusal->refused_through : DT_NOBEGIN;
	if (through == DT_NOEND)
		return;
	if (reuse->removed_through != DT_NOBEGIN && is_removed(reuse, row))
		return;
	/* of windows that end by then, all refused it, and no other did */
	sx_late_judge(shadow, reuse->batch, row, 0, through, true, selection);
}
