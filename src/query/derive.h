/*
 * derive.h
 *	  The queries of a continuous view's relations, from its definition.
 */
#ifndef SX_DERIVE_H
#define SX_DERIVE_H

#include "compat.h"

#include "query/analyze.h"

/* The delta's columns: see SxView (query/view.h). */
extern Query *sx_derive_delta(const SxDefinition *definition);

/*
 * The inputs of one of the definition's input sets: keys, slice_start (of sessions the
 * first event time), inputs, and how many rows of each multiplicity they stand for.
 * The same inputs may come in several rows.
 */
extern Query *sx_derive_inputs(const SxDefinition *definition, const SxInputSet *set);

/* The aggregates that a single row may make fail, of each row of a micro-batch by itself. */
extern Query *sx_derive_trial(const SxDefinition *definition);

/*
 * The ctids of a micro-batch's rows that pass FROM and WHERE; of a session view
 * with what the delta would have of each row by itself.
 */
extern Query *sx_derive_rows(const SxDefinition *definition);

/*
 * The definition as it runs as a batch, with exactly the (row, window) pairs
 * that the view accepted when verify runs it: original is the user's query
 * before anything was flattened.  (derive_batch.c)
 */
extern Query *
sx_derive_batch(const SxDefinition *definition, const Query *original, bool has_retention);

/*
 * The user's own view: the columns and the order of his original query, from
 * the state table, or from the foreign table that composes its windows.
 * removed_through: of a view with retention, the relation that says which
 * windows are removed, or NULL.  input_tables: their OIDs.  (derive_visible.c)
 */
extern Query *sx_derive_visible(const SxDefinition *definition, Oid source, const Query *original,
								Oid retained_state, List *input_tables);

/*
 * Final values of the definition's finals, for each row of the state table:
 * its ctid, then they.  (derive_visible.c)
 */
extern Query *sx_derive_finals(const SxDefinition *definition, Oid state, List *input_tables);

/* What derive.c and its siblings share. */

/*
 * An aggregate computed from a table of inputs: of the input groups that groups
 * lists, a column of the query that it will be in, as the direct arguments are.  (derive_inputs.c)
 */
extern SubLink *sx_derive_from_inputs(const SxInputSet *set, int multiplicity, Oid table,
									  Var *groups, const Aggref *aggref, List *direct_arguments);

/* The window's time: the column, of a date as a timestamp. */
extern Expr *sx_derive_time(const SxDefinition *definition);

/* What an expression of the user's becomes in another query. */
typedef Node *(*SxDeriveMutator)(Node *node, void *context);

/* The user's columns, and what he sorts by, numbered, in another query; only those keep a sort reference. */
extern List *sx_derive_targets(const SxDefinition *definition, const Query *original,
							   SxDeriveMutator mutator, void *context);

/* Type of slice_start: timestamptz or timestamp. */
extern Oid sx_derive_slice_type(const SxDefinition *definition);

#endif
