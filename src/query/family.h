/*
 * family.h
 *	  Views of one reader whose deltas differ in their aggregates alone: one
 *	  plan computes them together.
 *
 *      SELECT d1.*, d2.* FROM delta1 AS d1, delta2 AS d2
 *
 * is what the plan cache is given; before it is planned the second subquery's
 * aggregates move into the first (sx_family_merge).  So rows are scanned, joined, filtered
 * and grouped once, however many views there are; each has its own state.
 */
#ifndef SX_FAMILY_H
#define SX_FAMILY_H

#include "compat.h"

#include "batch/scan.h"
#include "query/kept.h"
#include "query/view.h"
#include "tcop/dest.h"

/* More views than this make several families. */
#define SX_FAMILY_MAX 32

/* What views of a family have in common, as a number: owner, settings, lateness, and the delta but for its aggregates. */
extern uint64 sx_family_of(const SxView *view, const Query *delta);

/*
 * Those views (OIDs) at the head of the list, and later ones, that can run with the first over a
 * batch; removed from the list.
 */
extern List *sx_family_take(List **views, const SxBatch *batch);

/*
 * Run the delta of views (SxView *) of one family and give each receiver the
 * columns of its own.  Call between sx_run_begin and sx_run_end of the first.
 */
extern void sx_family_run(List *views, const SxScanInput *input, List *receivers);

/* The same, but keep the rows; and later: give each receiver its columns of them. */
extern void sx_family_keep(List *views, const SxScanInput *input, SxKept *kept);
extern void sx_family_replay(List *views, const SxKept *kept, List *receivers);

/* For the planner hook: of a query with a mark, the subqueries of a family become one. */
extern void sx_family_merge(Query *query);

#endif
