/*
 * compare.h
 *	  Two results as multisets of rows: which rows are only in one of them?
 */
#ifndef SX_COMPARE_H
#define SX_COMPARE_H

#include "compat.h"

#include "access/tupdesc.h"
#include "tcop/dest.h"

typedef struct SxCompare SxCompare;

/* Called for a row (a composite Datum) that only one side has. */
typedef void (*SxCompareDiffers)(void *context, bool is_left, Datum row);

/*
 * Begin a comparison.  Values are compared by their types' B-tree equality,
 * NULLs are equal; values of a type without one, by their text.  float and
 * numeric columns are equal too when |a - b| <= tolerance * greatest(1, |a|, |b|).
 * Lives in the current memory context.
 */
extern SxCompare *sx_compare_begin(double tolerance, SxCompareDiffers differs, void *context);

/* A receiver for the rows of one side; both results must have the same column types. */
extern DestReceiver *sx_compare_receiver(SxCompare *compare, bool is_left);

/* Compare, after both receivers got all rows, and end. */
extern void sx_compare_end(SxCompare *compare);

#endif
