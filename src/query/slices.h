/*
 * slices.h
 *	  The query by which a scan of windows reads its slices.
 *
 * Conditions on keys and on where windows start decide which slices are read.
 * They are trees over the columns of the foreign table, of these shapes:
 *
 *		start		start operator x, start = ANY (x), AND, OR
 *		keys		key operator x, key operator ANY (x), key IS [NOT] NULL
 *
 * Operators are those of the column type's B-tree family; an operand x
 * has no columns of the foreign table.
 */
#ifndef SX_SLICES_H
#define SX_SLICES_H

#include "compat.h"

#include "nodes/params.h"
#include "nodes/plannodes.h"
#include "query/compose.h"
#include "query/view.h"

typedef struct SxSlices
{
	Oid state;		  /* the state table */
	int nkeys;		  /* k1 … kn of it, and of the foreign table */
	Oid start_type;	  /* of slice_start */
	List *aggregates; /* numbers of those to be read, from 0 (integers) */
	Index relid;	  /* the foreign table's, in the conditions */
	List *start_conditions;
	List *key_conditions;
	bool is_bounded; /* slice_start is between the two bounds */
} SxSlices;

/* An operand's value, as far as it is known. */
typedef struct SxOperand
{
	Datum value;
	bool is_null;
	bool is_known;
} SxOperand;

/* The operands of all conditions, in order: those of start, then those of keys. */
extern List *sx_slices_operands(const SxSlices *slices);

/* Narrow limits to where windows start that the conditions accept, at the least. */
extern void
sx_slices_limit(const SxSlices *slices, const SxOperand *operands, SxComposeLimits *limits);

/*
 * The parameters of the query.  Slices of windows that are limits are read:
 * most_us is the greatest length of one.
 */
extern ParamListInfo sx_slices_params(const SxSlices *slices, const SxOperand *operands,
									  const SxComposeLimits *limits, int64 most_us);

/*
 * Plan the query: keys, slice_start, from_window and the aggregates' states,
 * in the order of keys, slice_start and from_window.  Good for other parameters, too; values that are
 * not known are left out of estimates.  is_fast: for few of the rows.
 */
extern PlannedStmt *sx_slices_plan(const SxSlices *slices, ParamListInfo params, bool is_fast);

#endif
