/*
 * input_set.h
 *	  Aggregates that are kept by their inputs: DISTINCT, ORDER BY, ordered-set
 *	  and hypothetical-set aggregates, and those whose states do not combine.
 *
 * Of these the multiset of inputs is kept, by group and slice, in a table: one
 * row for each distinct list of inputs, with a multiplicity for each FILTER.
 * Aggregates with the same inputs share it.
 */
#ifndef SX_INPUT_SET_H
#define SX_INPUT_SET_H

#include "compat.h"

#include "query/analyze.h"

/*
 * Whether an aggregate is kept by its inputs.  *why: if not, a constant or palloc'd
 * sentence when its state cannot be kept either; NULL: it can.
 */
extern bool sx_input_set_takes(const Aggref *aggref, const char **why);

/* What must be stored to compute it: expressions, each once; no constants. */
extern List *sx_input_set_inputs(const Aggref *aggref);

/* Note an aggregate in the definition's input sets; its window kind must be known. */
extern void sx_input_set_add(SxDefinition *definition, const Aggref *aggref);

/* Where an aggregate is kept: the numbers of its set and multiplicity, from 0; false: as a state. */
extern bool sx_input_set_find(const SxDefinition *definition, const Aggref *aggref, int *set,
							  int *multiplicity);

/* Whether it is a count(DISTINCT x) that the state counts. */
extern bool sx_input_set_counts(const SxDefinition *definition, const Aggref *aggref);

/*
 * Whether rows with the same inputs can be grouped by the executor: equal values
 * of all their types have equal images.
 */
extern bool sx_input_set_is_grouped(const SxInputSet *set);

/*
 * Whether a single row may make an aggregate fail (a NULL key, for example): each
 * batch is tried, or the view could never be read again.
 */
extern bool sx_input_set_may_fail(const Aggref *aggref);

/* Names of columns; numbers from 0. */
extern char *sx_input_name(int input);
extern char *sx_multiplicity_name(const SxInputSet *set, int multiplicity);
extern char *sx_counter_name(int set, int multiplicity);
extern bool sx_counter_of_name(const char *name, int *set, int *multiplicity);
extern char *sx_final_name(int final);

/* The column of the state table that holds the numbers of a row's input groups. */
#define SX_INPUT_GROUPS "input_groups"

/*
 * The column that tells whether a row's aggregates show their final values, in the columns
 * after it.  NULL: not yet; false: never, for one of them could not be computed.
 */
#define SX_FOLDED "folded"

#endif
