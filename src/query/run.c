/*
 * run.c
 *	  Run a query whose scan of a stream is marked, as a view's owner and under
 *	  the settings of the view's creation.
 *
 * Plans are kept by backend and text in the server's plan cache, which replans
 * them when anything they depend on changes.  The mark is set when the plan is
 * made: the caller announces it, and the first planner call that follows with
 * the stream in its query is ours (see sx_run_take_mark).
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "jit/jit.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "query/run.h"

#define QUERY_NAME "a query of streamx" /* of one without text */

/* By the hash of the text, which may be long: two texts of one hash would be an error. */
typedef struct Entry
{
	uint64 hash; /* hash key */
	CachedPlanSource *source;
} Entry;

static HTAB *plans = NULL;
static Oid marked_stream = InvalidOid;

static void run(Oid stream, const char *sql, const SxScanInput *input, ParamListInfo params,
				DestReceiver *dest);
static void execute(PlannedStmt *stmt, const char *sql, const SxScanInput *input,
					ParamListInfo params, DestReceiver *dest);
static Query *select_all(Query *query);
static PlannedStmt *plan_query(const SxView *view, Query *query);
static CachedPlanSource *prepare(const char *sql, ParamListInfo params);
static CachedPlanSource *create_source(const char *sql, ParamListInfo params);
static CachedPlan *plan(Oid stream, CachedPlanSource *source, ParamListInfo params);

static bool
scans_stream(Node *node, void *stream)
{
	ListCell *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, scans_stream, stream);
	foreach (lc, ((Query *) node)->rtable)
	{
		const RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_RELATION && rte->relid == *(Oid *) stream)
			return true;
	}
	return query_tree_walker((Query *) node, scans_stream, stream, 0);
}

/*
 * For the planner hook: the stream to mark in the plan that is being made, once;
 * InvalidOid for any other plan, such as those of queries by which another
 * planner hook finds out what it is to do with ours.
 */
Oid
sx_run_take_mark(Query *parse)
{
	Oid stream = marked_stream;

	if (!OidIsValid(stream) || !scans_stream((Node *) parse, &stream))
		return InvalidOid;
	marked_stream = InvalidOid;
	return stream;
}

void
sx_run_begin(const SxView *view, SxRunAs *saved)
{
	const ListCell *lc;

	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);
	SetUserIdAndSecContext(view->owner, saved->sec_context | SECURITY_RESTRICTED_OPERATION |
											SECURITY_LOCAL_USERID_CHANGE);
	saved->nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	/* off: an error where a policy leaves rows out, which is the owner's affair */
	if (!row_security)
		(void) set_config_option("row_security", "on", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
								 true, 0, false);
	for (lc = list_head(view->settings); lc; lc = lnext(view->settings, lnext(view->settings, lc)))
	{
		const char *name = lfirst(lc);
		const char *value = lfirst(lnext(view->settings, lc));
		const char *current = GetConfigOption(name, true, false);

		if (current == NULL || strcmp(current, value) != 0)
			(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SAVE, true,
									 0, false);
	}
}

void
sx_run_end(const SxRunAs *saved)
{
	AtEOXact_GUC(false, saved->nestlevel);
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
}

void
sx_run(const SxView *view, const char *sql, const SxScanInput *input, DestReceiver *dest)
{
	run(view->stream, sql, input, NULL, dest);
}

void
sx_run_params(const char *sql, ParamListInfo params, DestReceiver *dest)
{
	run(InvalidOid, sql, NULL, params, dest);
}

void
sx_run_query(const SxView *view, Query *query, const SxScanInput *input, DestReceiver *dest)
{
	Query *rewritten;

	AcquireRewriteLocks(query, true, false);
	rewritten = linitial_node(Query, QueryRewrite(query));
	execute(plan_query(view, select_all(rewritten)), QUERY_NAME, input, NULL, dest);
}

static void
run(Oid stream, const char *sql, const SxScanInput *input, ParamListInfo params, DestReceiver *dest)
{
	CachedPlanSource *source = prepare(sql, params);
	CachedPlan *cplan = plan(stream, source, params);
	PlannedStmt *stmt = linitial_node(PlannedStmt, cplan->stmt_list);

	if (params)
		stmt->jitFlags = PGJIT_NONE; /* run for one row, again and again */
	execute(stmt, sql, input, params, dest);
	ReleaseCachedPlan(cplan, CurrentResourceOwner);
}

static void
execute(PlannedStmt *stmt, const char *sql, const SxScanInput *input, ParamListInfo params,
		DestReceiver *dest)
{
	QueryDesc *desc =
		CreateQueryDesc(stmt, sql, GetActiveSnapshot(), InvalidSnapshot, dest, params, NULL, 0);
	SxScanRun scan_run;

	sx_scan_run_begin(&scan_run, input);
	PG_TRY();
	{
		ExecutorStart(desc, 0);
		sx_compat_executor_run(desc, ForwardScanDirection, 0);
		ExecutorFinish(desc);
		ExecutorEnd(desc);
	}
	PG_FINALLY();
	{
		sx_scan_run_end(&scan_run);
	}
	PG_END_TRY();
	FreeQueryDesc(desc);
}

/* SELECT * FROM (query): what the planner hook expects, as it comes of a view. */
static Query *
select_all(Query *query)
{
	Query *outer = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell *lc;

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->eref = makeAlias("query", NIL);
	rte->inFromCl = true;
	ref->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->canSetTag = true;
	outer->rtable = list_make1(rte);
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(entry->resname)));
		outer->targetList =
			lappend(outer->targetList, makeTargetEntry((Expr *) makeVarFromTargetEntry(1, entry),
													   entry->resno, entry->resname, false));
	}
	return outer;
}

static PlannedStmt *
plan_query(const SxView *view, Query *query)
{
	PlannedStmt *stmt = NULL;

	marked_stream = view->stream;
	PG_TRY();
	{
		stmt = pg_plan_query(query, QUERY_NAME, 0, NULL);
	}
	PG_FINALLY();
	{
		marked_stream = InvalidOid;
	}
	PG_END_TRY();
	return stmt;
}

static CachedPlanSource *
prepare(const char *sql, ParamListInfo params)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) sql, strlen(sql), 0);
	Entry *entry;

	if (plans == NULL)
	{
		HASHCTL control = {.keysize = sizeof(uint64), .entrysize = sizeof(Entry)};

		plans = hash_create("streamx plans", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	entry = hash_search(plans, &hash, HASH_FIND, NULL);
	if (entry == NULL)
	{
		CachedPlanSource *source = create_source(sql, params);

		entry = hash_search(plans, &hash, HASH_ENTER, NULL);
		entry->source = source;
	}
	if (strcmp(entry->source->query_string, sql) != 0)
		elog(ERROR, "two queries have one hash: %s", sql);
	return entry->source;
}

static CachedPlanSource *
create_source(const char *sql, ParamListInfo params)
{
	RawStmt *raw = linitial(pg_parse_query(sql));
	CachedPlanSource *source = CreateCachedPlan(raw, sql, CMDTAG_SELECT);
	int ntypes = params ? params->numParams : 0;
	Oid *types = palloc(Max(ntypes, 1) * sizeof(Oid));

	for (int i = 0; i < ntypes; i++)
		types[i] = params->params[i].ptype;
	CompleteCachedPlan(source, pg_analyze_and_rewrite_fixedparams(raw, sql, types, ntypes, NULL),
					   NULL, types, ntypes, NULL, NULL, CURSOR_OPT_GENERIC_PLAN, false);
	SaveCachedPlan(source);
	return source;
}

static CachedPlan *
plan(Oid stream, CachedPlanSource *source, ParamListInfo params)
{
	CachedPlan *cplan = NULL;

	marked_stream = stream;
	PG_TRY();
	{
		cplan = GetCachedPlan(source, params, CurrentResourceOwner, NULL);
	}
	PG_FINALLY();
	{
		marked_stream = InvalidOid;
	}
	PG_END_TRY();
	return cplan;
}
