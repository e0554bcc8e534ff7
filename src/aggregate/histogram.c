/*
 * histogram.c
 *	  Aggregate histogram(value, min, max, buckets): how many values are in
 *	  each of some buckets of equal width?
 *
 * The state is the result: an array whose first element counts the values below
 * all buckets and whose last those above, so that element 1 + width_bucket(value,
 * min, max, buckets) counts a value.  Unlike width_bucket it takes NaN, too,
 * which is above everything else, as in ORDER BY.
 *
 *		{ below | [min, ...) | ... | [..., max) | max and above }
 */
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "aggregate/sketch.h"

#define MOST_BUCKETS 100000

PG_FUNCTION_INFO_V1(streamx_histogram_add);
PG_FUNCTION_INFO_V1(streamx_histogram_combine);

static ArrayType *
make_histogram(int nbuckets)
{
	Size size = ARR_OVERHEAD_NONULLS(1) + (nbuckets + 2) * sizeof(int64);
	ArrayType *histogram = palloc0(size);

	SET_VARSIZE(histogram, size);
	histogram->ndim = 1;
	histogram->dataoffset = 0;
	histogram->elemtype = INT8OID;
	ARR_DIMS(histogram)[0] = nbuckets + 2;
	ARR_LBOUND(histogram)[0] = 1;
	return histogram;
}

/* The counts of an array, which a user may have made. */
static int64 *
counts_of(ArrayType *histogram, int *ncounts)
{
	if (ARR_NDIM(histogram) != 1 || ARR_HASNULL(histogram) || ARR_ELEMTYPE(histogram) != INT8OID)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("histogram must be a one-dimensional array without nulls")));
	*ncounts = ARR_DIMS(histogram)[0];
	return (int64 *) ARR_DATA_PTR(histogram);
}

static void
add_to(int64 *count, int64 more)
{
	if (unlikely(pg_add_s64_overflow(*count, more, count)))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("bigint out of range")));
}

static void
check_bounds(float8 min, float8 max, int nbuckets)
{
	if (!isfinite(min) || !isfinite(max) || min >= max)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("bounds of a histogram must be finite, the first less than the "
							   "second")));
	if (nbuckets < 1 || nbuckets > MOST_BUCKETS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a histogram must have between 1 and %d buckets", MOST_BUCKETS)));
}

/* As width_bucket says; it does not take NaN. */
static int
bucket_of(FunctionCallInfo fcinfo, float8 value, int nbuckets)
{
	if (isnan(value))
		return nbuckets + 1;
	return DatumGetInt32(DirectFunctionCall4(width_bucket_float8, Float8GetDatum(value),
											 PG_GETARG_DATUM(2), PG_GETARG_DATUM(3),
											 PG_GETARG_DATUM(4)));
}

/*
 * (bigint[], float8, float8, float8, integer).  The state is changed in place:
 * what an earlier call returned is ours.
 */
Datum
streamx_histogram_add(PG_FUNCTION_ARGS)
{
	ArrayType *histogram;
	int nbuckets;
	int ncounts;
	int64 *counts;

	sx_sketch_aggregate_context(fcinfo);
	for (int i = 1; i <= 4; i++)
		if (PG_ARGISNULL(i))
		{
			if (PG_ARGISNULL(0))
				PG_RETURN_NULL();
			PG_RETURN_DATUM(PG_GETARG_DATUM(0));
		}
	nbuckets = PG_GETARG_INT32(4);
	check_bounds(PG_GETARG_FLOAT8(2), PG_GETARG_FLOAT8(3), nbuckets);
	histogram = PG_ARGISNULL(0) ? make_histogram(nbuckets) : PG_GETARG_ARRAYTYPE_P(0);
	counts = counts_of(histogram, &ncounts);
	if (ncounts != nbuckets + 2)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("histogram needs the same number of buckets in all rows of a "
							   "group")));
	add_to(&counts[bucket_of(fcinfo, PG_GETARG_FLOAT8(1), nbuckets)], 1);
	PG_RETURN_ARRAYTYPE_P(histogram);
}

/* (bigint[], bigint[]), not only in aggregates */
Datum
streamx_histogram_combine(PG_FUNCTION_ARGS)
{
	ArrayType *histogram = AggCheckCallContext(fcinfo, NULL) ? PG_GETARG_ARRAYTYPE_P(0)
															 : PG_GETARG_ARRAYTYPE_P_COPY(0);
	ArrayType *more = PG_GETARG_ARRAYTYPE_P(1);
	int ncounts;
	int nmore;
	int64 *counts = counts_of(histogram, &ncounts);
	const int64 *more_counts = counts_of(more, &nmore);

	if (ncounts != nmore)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot merge histograms of %d and %d buckets", ncounts - 2, nmore - 2)));
	for (int i = 0; i < ncounts; i++)
		add_to(&counts[i], more_counts[i]);
	PG_RETURN_ARRAYTYPE_P(histogram);
}
