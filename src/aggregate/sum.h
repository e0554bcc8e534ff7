/*
 * sum.h
 *	  States of sum and avg of numeric and bigint: added as they are, and made.
 */
#ifndef SX_SUM_H
#define SX_SUM_H

#include "compat.h"

#include "aggregate/lookup.h"
#include "nodes/primnodes.h"

/* Which serialise function wrote the states. */
typedef enum SxSumFormat
{
	SX_SUM_NONE, /* none of these */
	SX_SUM_NUMERIC,
	SX_SUM_BIGINT
} SxSumFormat;

extern SxSumFormat sx_sum_format(const SxAggregateLookup *lookup);

/*
 * Two serialised states combined, palloc'd: the very bytes that the aggregate's own functions
 * would give.  NULL: these are for them; NaN, infinity, and sums of very many digits are.
 */
extern bytea *sx_sum_combine(SxSumFormat format, const bytea *left, const bytea *right);

/*
 * Of a partial aggregate that is sum or avg of numeric: have it computed by streamx.sum_partial, which
 * serialises to the same bytes.
 */
extern void sx_sum_quicken(Aggref *aggref);

#endif
