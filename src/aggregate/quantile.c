/*
 * quantile.c
 *	  Which value is at a fraction of all? Type quantile_sketch, and the
 *	  aggregates approx_percentile, quantile_sketch_agg and merge.
 *
 * DDSketch (C. Masson, J. E. Rim, H. K. Lee, "DDSketch: A Fast and Fully-
 * Mergeable Quantile Sketch with Relative-Error Guarantees", PVLDB 12(12),
 * 2019): values are counted in buckets whose bounds are powers of
 * gamma = (1 + ACCURACY) / (1 - ACCURACY), so that no value is further than
 * ACCURACY of itself from its bucket's middle.  Buckets are never collapsed:
 * with float8 there are not more than 146,000.  So a sketch depends on the
 * multiset of its values only, not on their order, nor on what was merged when.
 *
 *		-Infinity | negative, the largest first | 0 | positive | Infinity | NaN
 *		    7     |        8 ...                | Z | ...      |          |
 *
 * All of them are in the order of ORDER BY, NaN last.  Least and greatest value
 * are kept, too: they are exact at fractions 0 and 1, and no answer is beyond
 * them.
 *
 *		contents  least | greatest | for each bucket, in order, that has any values:
 *				  its distance from the one before (from -1 at first), its count
 *
 * In memory the counts are in pages of 16 neighbours, found by a hash table.
 */
#include "compat.h"

#include <float.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/memutils.h"

#include "aggregate/sketch.h"

#define ACCURACY 0.01
#define LOG_GAMMA 0.020000666706669525	   /* ln((1 + ACCURACY) / (1 - ACCURACY)) */
#define LOG_MIDDLE (-0.010050335853501441) /* ln(1 - ACCURACY), of a bucket's upper bound */

/*
 * Powers of gamma: the least float8 that is not zero is in bucket -37,220, DBL_MAX
 * in 35,488.  There are some to spare at each end.
 */
#define LEAST_POWER (-37223)
#define MOST_POWER 35490
#define ZERO_BUCKET 72720
#define INFINITY_DISTANCE (MOST_POWER - LEAST_POWER + 2)
#define NAN_BUCKET (ZERO_BUCKET + INFINITY_DISTANCE + 1)
#define MOST_BUCKET NAN_BUCKET

#define PAGE_BITS 4
#define PAGE_BUCKETS (1 << PAGE_BITS)
#define LEAST_ENTRIES 4

typedef struct Page
{
	int32 page; /* its number: bucket >> PAGE_BITS */
	int32 slot; /* where its counts are, from 1; 0: an empty entry */
} Page;

typedef struct Quantiles
{
	int64 count;
	float8 least;
	float8 greatest;
	int npages;
	int nentries;  /* a power of two */
	Page *pages;   /* hash table */
	int capacity;  /* a power of two */
	int64 *counts; /* PAGE_BUCKETS for each slot */
} Quantiles;

/* The state of approx_percentile: what is asked for goes with it. */
typedef struct Percentile
{
	Quantiles *quantiles;
	int nfractions;
	float8 *fractions; /* NaN: NULL is asked for */
} Percentile;

static void check_quantiles(SxSketchReader *reader);
static void check_percentile(SxSketchReader *reader);

static const SxSketchKind kind = {"quantile_sketch", 'Q', check_quantiles};
static const SxSketchKind percentile_kind = {"quantile_sketch", 'P', check_percentile};

PG_FUNCTION_INFO_V1(streamx_quantile_in);
PG_FUNCTION_INFO_V1(streamx_quantile_recv);
PG_FUNCTION_INFO_V1(streamx_quantile_cast);
PG_FUNCTION_INFO_V1(streamx_quantile_add);
PG_FUNCTION_INFO_V1(streamx_quantile_merge);
PG_FUNCTION_INFO_V1(streamx_quantile_combine);
PG_FUNCTION_INFO_V1(streamx_quantile_serialise);
PG_FUNCTION_INFO_V1(streamx_quantile_deserialise);
PG_FUNCTION_INFO_V1(streamx_quantile_union);
PG_FUNCTION_INFO_V1(streamx_quantile_at);
PG_FUNCTION_INFO_V1(streamx_quantile_at_array);
PG_FUNCTION_INFO_V1(streamx_percentile_add);
PG_FUNCTION_INFO_V1(streamx_percentile_add_array);
PG_FUNCTION_INFO_V1(streamx_percentile_combine);
PG_FUNCTION_INFO_V1(streamx_percentile_serialise);
PG_FUNCTION_INFO_V1(streamx_percentile_deserialise);
PG_FUNCTION_INFO_V1(streamx_percentile_final);
PG_FUNCTION_INFO_V1(streamx_percentile_final_array);

/* Buckets */

/* The bucket of a value, which is not -0. */
static inline int32
bucket_of(float8 value)
{
	int32 distance;

	if (unlikely(isnan(value)))
		return NAN_BUCKET;
	if (unlikely(isinf(value)))
		distance = INFINITY_DISTANCE;
	else if (value == 0)
		return ZERO_BUCKET;
	else
		distance = (int32) ceil(log(fabs(value)) / LOG_GAMMA) - LEAST_POWER + 1;
	return value < 0 ? ZERO_BUCKET - distance : ZERO_BUCKET + distance;
}

/* The middle of a bucket: its values are within ACCURACY of themselves from it. */
static float8
middle_of(int32 bucket)
{
	int32 distance = abs(bucket - ZERO_BUCKET);
	float8 middle;

	if (bucket == NAN_BUCKET)
		return get_float8_nan();
	if (distance == 0)
		return 0;
	if (distance == INFINITY_DISTANCE)
		middle = get_float8_infinity();
	else
		middle = Min(exp((distance - 1 + LEAST_POWER) * LOG_GAMMA + LOG_MIDDLE), DBL_MAX);
	return bucket < ZERO_BUCKET ? -middle : middle;
}

/* Sketches in memory */

static Quantiles *
make_quantiles(MemoryContext context)
{
	Quantiles *quantiles = MemoryContextAllocZero(context, sizeof(Quantiles));

	quantiles->nentries = LEAST_ENTRIES;
	quantiles->pages = MemoryContextAllocZero(context, LEAST_ENTRIES * sizeof(Page));
	quantiles->capacity = 1;
	quantiles->counts = MemoryContextAlloc(context, sizeof(int64) * PAGE_BUCKETS);
	return quantiles;
}

/* Where a page is, or would be. */
static inline Page *
find_entry(const Quantiles *quantiles, int32 page)
{
	uint32 hash = (uint32) page * 0x9E3779B1U >> 16;

	for (;; hash++)
	{
		Page *entry = &quantiles->pages[hash & (quantiles->nentries - 1)];

		if (entry->slot == 0 || entry->page == page)
			return entry;
	}
}

static void
double_entries(Quantiles *quantiles)
{
	Page *pages = quantiles->pages;
	int nentries = quantiles->nentries;

	quantiles->nentries = 2 * nentries;
	quantiles->pages = MemoryContextAllocZero(GetMemoryChunkContext(quantiles),
											  quantiles->nentries * sizeof(Page));
	for (int i = 0; i < nentries; i++)
		if (pages[i].slot != 0)
			*find_entry(quantiles, pages[i].page) = pages[i];
	pfree(pages);
}

static int64 *
counts_of(const Quantiles *quantiles, const Page *entry)
{
	return &quantiles->counts[(entry->slot - 1) * PAGE_BUCKETS];
}

/* A page of zeros. */
static Page *
insert_page(Quantiles *quantiles, int32 page)
{
	Page *entry;

	if (quantiles->npages == quantiles->capacity)
	{
		quantiles->capacity *= 2;
		quantiles->counts =
			repalloc(quantiles->counts, quantiles->capacity * sizeof(int64) * PAGE_BUCKETS);
	}
	if (quantiles->npages == quantiles->nentries / 4 * 3)
		double_entries(quantiles);
	entry = find_entry(quantiles, page);
	entry->page = page;
	entry->slot = ++quantiles->npages;
	memset(counts_of(quantiles, entry), 0, sizeof(int64) * PAGE_BUCKETS);
	return entry;
}

/* The counts of a page. */
static inline int64 *
find_page(Quantiles *quantiles, int32 page)
{
	const Page *entry = find_entry(quantiles, page);

	if (unlikely(entry->slot == 0))
		entry = insert_page(quantiles, page);
	return counts_of(quantiles, entry);
}

#define ST_SORT sort_page_entries
#define ST_ELEMENT_TYPE Page
#define ST_COMPARE(a, b) ((a)->page < (b)->page ? -1 : (a)->page > (b)->page)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* The pages in order, palloc'd. */
static const Page *
sorted_pages(const Quantiles *quantiles)
{
	Page *pages = palloc(quantiles->npages * sizeof(Page));
	int npages = 0;

	for (int i = 0; i < quantiles->nentries; i++)
		if (quantiles->pages[i].slot != 0)
			pages[npages++] = quantiles->pages[i];
	sort_page_entries(pages, npages);
	return pages;
}

static void
add_count(Quantiles *quantiles, int64 count)
{
	if (unlikely(pg_add_s64_overflow(quantiles->count, count, &quantiles->count)))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("quantile_sketch counts too many values")));
}

/* As far as least and greatest value and the number of values go. */
static inline void
note_values(Quantiles *quantiles, float8 least, float8 greatest, int64 count)
{
	if (quantiles->count == 0 || float8_lt(least, quantiles->least))
		quantiles->least = least;
	if (quantiles->count == 0 || float8_gt(greatest, quantiles->greatest))
		quantiles->greatest = greatest;
	add_count(quantiles, count);
}

static void
add_value(Quantiles *quantiles, float8 value)
{
	int32 bucket;

	/* one zero, one NaN */
	if (value == 0)
		value = 0;
	else if (unlikely(isnan(value)))
		value = get_float8_nan();
	bucket = bucket_of(value);
	note_values(quantiles, value, value, 1);
	find_page(quantiles, bucket >> PAGE_BITS)[bucket % PAGE_BUCKETS]++;
}

static void
merge_quantiles(Quantiles *quantiles, const Quantiles *more)
{
	note_values(quantiles, more->least, more->greatest, more->count);
	for (int i = 0; i < more->nentries; i++)
	{
		const Page *entry = &more->pages[i];
		const int64 *theirs;
		int64 *ours;

		if (entry->slot == 0)
			continue;
		theirs = counts_of(more, entry);
		ours = find_page(quantiles, entry->page);
		for (int j = 0; j < PAGE_BUCKETS; j++)
			ours[j] += theirs[j];
	}
}

/*
 * The value at a fraction, 0 to 1: percentile_disc's, within ACCURACY of itself.
 */
static float8
value_at(const Quantiles *quantiles, float8 fraction)
{
	float8 rank = ceil(fraction * (float8) quantiles->count);
	int64 passed = 0;
	const Page *pages;

	if (rank <= 1)
		return quantiles->least;
	if (rank >= (float8) quantiles->count)
		return quantiles->greatest;
	pages = sorted_pages(quantiles);
	for (int i = 0; i < quantiles->npages; i++)
	{
		const int64 *counts = counts_of(quantiles, &pages[i]);

		for (int j = 0; j < PAGE_BUCKETS; j++)
		{
			passed += counts[j];
			if (passed >= (int64) rank)
			{
				float8 value = middle_of((pages[i].page << PAGE_BITS) + j);

				value = float8_min(value, quantiles->greatest);
				return float8_max(value, quantiles->least);
			}
		}
	}
	return quantiles->greatest;
}

/* Reading and writing */

static float8
read_bound(SxSketchReader *reader)
{
	float8 bound = sx_sketch_read_float8(reader);
	float8 nan = get_float8_nan();

	if ((bound == 0 && signbit(bound)) || (isnan(bound) && memcmp(&bound, &nan, sizeof(nan)) != 0))
		sx_sketch_refuse(reader, "It has a zero or NaN of another kind.");
	return bound;
}

/* Whether a bound is in this bucket, by the logarithms of any machine. */
static bool
is_bound_of(float8 bound, int32 bucket)
{
	return abs(bucket_of(bound) - bucket) <= 1;
}

static Quantiles *
read_contents(SxSketchReader *reader, MemoryContext context)
{
	Quantiles *quantiles = make_quantiles(context);
	float8 least = read_bound(reader);
	float8 greatest = read_bound(reader);
	int32 bucket = -1;

	if (float8_gt(least, greatest))
		sx_sketch_refuse(reader, "Its least value is greater than its greatest.");
	do
	{
		bool is_first = bucket == -1;
		int64 count;

		bucket += 1 + sx_sketch_read_number(reader, MOST_BUCKET - 1 - bucket);
		count = sx_sketch_read_number(reader, PG_INT64_MAX);
		if (count == 0 || count > PG_INT64_MAX - quantiles->count)
			sx_sketch_refuse(reader, "A count is out of range.");
		if (is_first && !is_bound_of(least, bucket))
			sx_sketch_refuse(reader, "Its least value is not in its first bucket.");
		note_values(quantiles, least, greatest, count);
		find_page(quantiles, bucket >> PAGE_BITS)[bucket % PAGE_BUCKETS] = count;
	} while (bucket < MOST_BUCKET && sx_sketch_remaining(reader) > 0);
	sx_sketch_close(reader);
	if (!is_bound_of(greatest, bucket))
		sx_sketch_refuse(reader, "Its greatest value is not in its last bucket.");
	return quantiles;
}

static void
check_quantiles(SxSketchReader *reader)
{
	read_contents(reader, CurrentMemoryContext);
}

static Quantiles *
read_quantiles(Datum sketch, MemoryContext context)
{
	SxSketchReader reader;

	sx_sketch_open(&reader, &kind, sketch);
	return read_contents(&reader, context);
}

static void
write_contents(StringInfo sketch, const Quantiles *quantiles)
{
	const Page *pages = sorted_pages(quantiles);
	int32 last = -1;

	sx_sketch_write_float8(sketch, quantiles->least);
	sx_sketch_write_float8(sketch, quantiles->greatest);
	for (int i = 0; i < quantiles->npages; i++)
	{
		const int64 *counts = counts_of(quantiles, &pages[i]);

		for (int j = 0; j < PAGE_BUCKETS; j++)
		{
			int32 bucket = (pages[i].page << PAGE_BITS) + j;

			if (counts[j] == 0)
				continue;
			sx_sketch_write_number(sketch, bucket - last - 1);
			sx_sketch_write_number(sketch, counts[j]);
			last = bucket;
		}
	}
}

static Datum
write_quantiles(const Quantiles *quantiles)
{
	StringInfoData sketch;

	sx_sketch_begin(&sketch, &kind);
	write_contents(&sketch, quantiles);
	return sx_sketch_end(&sketch);
}

/* Fractions */

/* Without the sign of -0. */
static float8
checked_fraction(float8 fraction)
{
	if (!(fraction >= 0 && fraction <= 1))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("percentile value %g is not between 0 and 1", fraction)));
	return fraction + 0.0;
}

/* The elements of an array of fractions; NaN for NULL. */
static float8 *
fractions_of(ArrayType *array, int *nfractions)
{
	Datum *elements;
	bool *nulls;
	float8 *fractions;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("fractions must be a one-dimensional array")));
	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &elements,
					  &nulls, nfractions);
	fractions = palloc(*nfractions * sizeof(float8));
	for (int i = 0; i < *nfractions; i++)
		fractions[i] = nulls[i] ? get_float8_nan() : checked_fraction(DatumGetFloat8(elements[i]));
	return fractions;
}

/* The values at these fractions, as an array. */
static Datum
values_at(const Quantiles *quantiles, const float8 *fractions, int nfractions)
{
	Datum *values = palloc(nfractions * sizeof(Datum));
	bool *nulls = palloc(nfractions * sizeof(bool));
	int first = 1;

	for (int i = 0; i < nfractions; i++)
	{
		nulls[i] = isnan(fractions[i]);
		values[i] = nulls[i] ? (Datum) 0 : Float8GetDatum(value_at(quantiles, fractions[i]));
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &nfractions, &first, FLOAT8OID,
											  sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* Percentiles */

static Percentile *
make_percentile(MemoryContext context, const float8 *fractions, int nfractions)
{
	Percentile *percentile = MemoryContextAlloc(context, sizeof(Percentile));

	percentile->quantiles = make_quantiles(context);
	percentile->nfractions = nfractions;
	percentile->fractions = MemoryContextAlloc(context, nfractions * sizeof(float8));
	memcpy(percentile->fractions, fractions, nfractions * sizeof(float8));
	return percentile;
}

static void
require_fractions(const Percentile *percentile, const float8 *fractions, int nfractions)
{
	/* bit by bit: there is one zero here, and one NaN */
	if (unlikely(nfractions != percentile->nfractions ||
				 memcmp(fractions, percentile->fractions, nfractions * sizeof(float8)) != 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("approx_percentile needs the same fraction in all rows of a group"),
						errhint("Use quantile_sketch_agg, and function quantile on its result.")));
}

static Percentile *
read_percentile(SxSketchReader *reader, MemoryContext context)
{
	Percentile *percentile = MemoryContextAlloc(context, sizeof(Percentile));
	uint64 most = sx_sketch_remaining(reader) / sizeof(float8);

	percentile->nfractions = sx_sketch_read_number(reader, most);
	percentile->fractions = MemoryContextAlloc(context, percentile->nfractions * sizeof(float8));
	for (int i = 0; i < percentile->nfractions; i++)
	{
		percentile->fractions[i] = read_bound(reader);
		if (percentile->fractions[i] < 0 || percentile->fractions[i] > 1)
			sx_sketch_refuse(reader, "A fraction is out of range.");
	}
	percentile->quantiles = read_contents(reader, context);
	return percentile;
}

static void
check_percentile(SxSketchReader *reader)
{
	read_percentile(reader, CurrentMemoryContext);
}

/* Functions of the type */

Datum
streamx_quantile_in(PG_FUNCTION_ARGS)
{
	return sx_sketch_in(&kind, fcinfo);
}

Datum
streamx_quantile_recv(PG_FUNCTION_ARGS)
{
	return sx_sketch_recv(&kind, fcinfo);
}

Datum
streamx_quantile_cast(PG_FUNCTION_ARGS)
{
	return sx_sketch_cast(&kind, fcinfo);
}

Datum
streamx_quantile_union(PG_FUNCTION_ARGS)
{
	Quantiles *quantiles = read_quantiles(PG_GETARG_DATUM(0), CurrentMemoryContext);

	merge_quantiles(quantiles, read_quantiles(PG_GETARG_DATUM(1), CurrentMemoryContext));
	return write_quantiles(quantiles);
}

Datum
streamx_quantile_at(PG_FUNCTION_ARGS)
{
	float8 fraction = checked_fraction(PG_GETARG_FLOAT8(1));

	PG_RETURN_FLOAT8(value_at(read_quantiles(PG_GETARG_DATUM(0), CurrentMemoryContext), fraction));
}

Datum
streamx_quantile_at_array(PG_FUNCTION_ARGS)
{
	int nfractions;
	float8 *fractions = fractions_of(PG_GETARG_ARRAYTYPE_P(1), &nfractions);

	return values_at(read_quantiles(PG_GETARG_DATUM(0), CurrentMemoryContext), fractions,
					 nfractions);
}

/* Functions of quantile_sketch_agg and merge */

static Datum
return_state(void *state, FunctionCallInfo fcinfo)
{
	if (state == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(state);
}

static Quantiles *
quantiles_state(FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(0))
		return (Quantiles *) PG_GETARG_POINTER(0);
	return PG_ARGISNULL(1) ? NULL : make_quantiles(sx_sketch_aggregate_context(fcinfo));
}

/* (internal, float8) */
Datum
streamx_quantile_add(PG_FUNCTION_ARGS)
{
	Quantiles *quantiles = quantiles_state(fcinfo);

	if (!PG_ARGISNULL(1))
		add_value(quantiles, PG_GETARG_FLOAT8(1));
	return return_state(quantiles, fcinfo);
}

/* (internal, quantile_sketch) */
Datum
streamx_quantile_merge(PG_FUNCTION_ARGS)
{
	Quantiles *quantiles = quantiles_state(fcinfo);

	if (!PG_ARGISNULL(1))
		merge_quantiles(quantiles, read_quantiles(PG_GETARG_DATUM(1), CurrentMemoryContext));
	return return_state(quantiles, fcinfo);
}

Datum
streamx_quantile_combine(PG_FUNCTION_ARGS)
{
	Quantiles *quantiles = quantiles_state(fcinfo);

	if (!PG_ARGISNULL(1))
		merge_quantiles(quantiles, (Quantiles *) PG_GETARG_POINTER(1));
	return return_state(quantiles, fcinfo);
}

/* Also the final function. */
Datum
streamx_quantile_serialise(PG_FUNCTION_ARGS)
{
	return write_quantiles((Quantiles *) PG_GETARG_POINTER(0));
}

Datum
streamx_quantile_deserialise(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(read_quantiles(PG_GETARG_DATUM(0), CurrentMemoryContext));
}

/* Functions of approx_percentile */

/* (internal, float8, float8) */
Datum
streamx_percentile_add(PG_FUNCTION_ARGS)
{
	Percentile *percentile = PG_ARGISNULL(0) ? NULL : (Percentile *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		float8 fraction = checked_fraction(PG_GETARG_FLOAT8(2));

		if (percentile == NULL)
			percentile = make_percentile(sx_sketch_aggregate_context(fcinfo), &fraction, 1);
		require_fractions(percentile, &fraction, 1);
		add_value(percentile->quantiles, PG_GETARG_FLOAT8(1));
	}
	return return_state(percentile, fcinfo);
}

/* (internal, float8, float8[]) */
Datum
streamx_percentile_add_array(PG_FUNCTION_ARGS)
{
	Percentile *percentile = PG_ARGISNULL(0) ? NULL : (Percentile *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1) && !PG_ARGISNULL(2))
	{
		int nfractions;
		float8 *fractions = fractions_of(PG_GETARG_ARRAYTYPE_P(2), &nfractions);

		if (percentile == NULL)
			percentile =
				make_percentile(sx_sketch_aggregate_context(fcinfo), fractions, nfractions);
		require_fractions(percentile, fractions, nfractions);
		add_value(percentile->quantiles, PG_GETARG_FLOAT8(1));
	}
	return return_state(percentile, fcinfo);
}

Datum
streamx_percentile_combine(PG_FUNCTION_ARGS)
{
	Percentile *percentile = PG_ARGISNULL(0) ? NULL : (Percentile *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1))
	{
		Percentile *more = (Percentile *) PG_GETARG_POINTER(1);

		if (percentile == NULL)
			percentile = make_percentile(sx_sketch_aggregate_context(fcinfo), more->fractions,
										 more->nfractions);
		require_fractions(percentile, more->fractions, more->nfractions);
		merge_quantiles(percentile->quantiles, more->quantiles);
	}
	return return_state(percentile, fcinfo);
}

Datum
streamx_percentile_serialise(PG_FUNCTION_ARGS)
{
	Percentile *percentile = (Percentile *) PG_GETARG_POINTER(0);
	StringInfoData sketch;

	sx_sketch_begin(&sketch, &percentile_kind);
	sx_sketch_write_number(&sketch, percentile->nfractions);
	for (int i = 0; i < percentile->nfractions; i++)
		sx_sketch_write_float8(&sketch, percentile->fractions[i]);
	write_contents(&sketch, percentile->quantiles);
	return sx_sketch_end(&sketch);
}

Datum
streamx_percentile_deserialise(PG_FUNCTION_ARGS)
{
	SxSketchReader reader;

	sx_sketch_open(&reader, &percentile_kind, PG_GETARG_DATUM(0));
	PG_RETURN_POINTER(read_percentile(&reader, CurrentMemoryContext));
}

Datum
streamx_percentile_final(PG_FUNCTION_ARGS)
{
	Percentile *percentile = (Percentile *) PG_GETARG_POINTER(0);

	/* what was read from elsewhere might hold another number of them */
	if (percentile->nfractions != 1 || isnan(percentile->fractions[0]))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(value_at(percentile->quantiles, percentile->fractions[0]));
}

Datum
streamx_percentile_final_array(PG_FUNCTION_ARGS)
{
	Percentile *percentile = (Percentile *) PG_GETARG_POINTER(0);

	return values_at(percentile->quantiles, percentile->fractions, percentile->nfractions);
}
