/*
 * run.h
 *	  Run a query whose scan of a stream is marked (see batch/scan.h), as a
 *	  view's owner and under the settings of the view's creation.
 */
#ifndef SX_RUN_H
#define SX_RUN_H

#include "compat.h"

#include "batch/scan.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "query/view.h"
#include "tcop/dest.h"

/* Saved state of sx_run_begin. */
typedef struct SxRunAs
{
	Oid userid;
	int sec_context;
	int nestlevel;
} SxRunAs;

/*
 * Become the view's owner in a restricted security context, with search_path =
 * pg_catalog, pg_temp and the view's stored settings.  sx_run_end undoes it;
 * on an error the transaction's (or subtransaction's) abort does.
 */
extern void sx_run_begin(const SxView *view, SxRunAs *saved);
extern void sx_run_end(const SxRunAs *saved);

/*
 * Plan "SELECT … FROM relation" (definition, delta view, ...; sql is a constant
 * per relation, cached per backend and replanned when anything changed) with its scan of
 * view->stream marked, give it the input and send the rows to dest.  Call
 * between sx_run_begin and sx_run_end, with an active snapshot.
 */
extern void
sx_run(const SxView *view, const char *sql, const SxScanInput *input, DestReceiver *dest);

/* The same of an analysed query, which it scribbles on, run once: its plan is not kept. */
extern void
sx_run_query(const SxView *view, Query *query, const SxScanInput *input, DestReceiver *dest);

/*
 * The same of a query that scans no stream, with parameters, for a row or so.  Their
 * types, too, are constant per text.
 */
extern void sx_run_params(const char *sql, ParamListInfo params, DestReceiver *dest);

/*
 * For the planner hook: the stream to mark in the plan that is being made, once;
 * InvalidOid for any other plan.
 */
extern Oid sx_run_take_mark(Query *parse);

#endif
