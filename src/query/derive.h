/*
 * derive.h
 *	  The queries of a continuous view's relations, from its definition.
 */
#ifndef SX_DERIVE_H
#define SX_DERIVE_H

#include "compat.h"

#include "query/analyze.h"

/* Keys k1…, slice_start and marked aggregates a1… of one micro-batch: the state table's columns. */
extern Query *sx_derive_delta(const SxDefinition *definition);

/* The ctids of a micro-batch's rows that pass FROM and WHERE. */
extern Query *sx_derive_rows(const SxDefinition *definition);

/*
 * The user's own view: the columns and the order of his original query, from the
 * state table, which has the delta's columns.
 */
extern Query *
sx_derive_visible(const SxDefinition *definition, Oid state_table, const Query *original);

#endif
