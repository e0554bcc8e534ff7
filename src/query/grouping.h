/*
 * grouping.h
 *	  GROUPING SETS, ROLLUP and CUBE as a plain GROUP BY.
 */
#ifndef SX_GROUPING_H
#define SX_GROUPING_H

#include "compat.h"

#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

/* The delta's column, a key of the state, that says which grouping set a row is of. */
#define SX_GROUPING_KEY "k_set"

/*
 * Rewrite a flattened query with grouping sets into one without, which groups
 * by the number of the set as well; and calls of GROUPING into what they mean.
 * A window that some set lacks is an ERROR.
 */
extern void sx_grouping_expand(ParseState *pstate, Query *query);

/* Whether an expanded query has such a key. */
extern bool sx_grouping_has_sets(const Query *query);

/* Whether a group key is the number of the set: which the user did not write. */
extern bool sx_grouping_is_set(const Query *query, Index sortgroupref);

/*
 * From the delta's query: queries without GROUP BY, of one row each, that make
 * the groups of empty grouping sets, which are there before any input.
 */
extern List *sx_grouping_first_rows(const Query *delta);

#endif
