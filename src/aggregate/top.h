/*
 * top.h
 *	  The n best of many values, by an order: the state of first, last, top_n_by
 *	  and their like.
 *
 * Internal to src/aggregate.
 */
#ifndef SX_TOP_H
#define SX_TOP_H

#include "compat.h"

#include "aggregate/datum_type.h"

#define SX_TOP_LIMIT 10000 /* of n */

/* What the tops of all groups have in common; lives as long as the query. */
typedef struct SxTopShape
{
	bool has_value;		/* of its own; otherwise it is the key */
	bool is_descending; /* the greatest keys are the best */
	uint64 hash;		/* of the names of types and collation; 0: not yet known */
	SxDatumType key;
	SxDatumType value;
} SxTopShape;

typedef struct SxTopItem
{
	Datum key;
	Datum value;
	bool value_is_null;
} SxTopItem;

typedef struct SxTop SxTop;

/* An empty top in context, where it keeps copies of its items, too. */
extern SxTop *sx_top_create(SxTopShape *shape, int n, bool with_ties, MemoryContext context);

extern int sx_top_n(const SxTop *top);
extern bool sx_top_with_ties(const SxTop *top);
extern SxTopShape *sx_top_shape(const SxTop *top);

/* An item that is not among the best is left aside, at the price of one comparison. */
extern void sx_top_push(SxTop *top, const SxTopItem *item);

/* The items, best first, in a palloc'd array; their data is the top's. */
extern SxTopItem *sx_top_sorted(SxTop *top, int *nitems);

/* Push all items of a top into another. */
extern void sx_top_merge(SxTop *into, const SxTop *from);

/*
 * A top as bytes, the same whatever the order its items came in; and back.  Bytes
 * of another shape are refused, forged ones do no harm.
 */
extern bytea *sx_top_serialise(SxTop *top);
extern SxTop *sx_top_deserialise(SxTopShape *shape, bytea *bytes, MemoryContext context);

#endif
