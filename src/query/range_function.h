/*
 * range_function.h
 *	  The functions by which visible views show windows, and those that conditions
 *	  on windows become conditions on their starts with.
 */
#ifndef SX_RANGE_FUNCTION_H
#define SX_RANGE_FUNCTION_H

#include "compat.h"

/* Our functions for one type of slice_start. */
typedef struct SxRangeFunctions
{
	Oid slice_type;
	Oid range_type;
	Oid tumble_range;
	Oid calendar_range; /* tumble_range with origin and timezone */
	Oid window_range;
	Oid slice_before;
	Oid range_first;
	Oid range_last;
} SxRangeFunctions;

/* timestamptz and timestamp */
#define SX_RANGE_TYPES 2

/* An array of SX_RANGE_TYPES; NULL when the extension is not there. */
extern const SxRangeFunctions *sx_range_functions(void);

/* Schema streamx_internal; InvalidOid while it does not exist. */
extern Oid sx_internal_namespace(void);

#endif
