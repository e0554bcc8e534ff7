/*
 * run.c
 *	  Run a query whose scan of a stream is marked, as a view's owner and under
 *	  the settings of the view's creation.
 *
 * Plans are kept by backend and text in the server's plan cache, which replans
 * them when anything they depend on changes.  The mark is set when the plan is
 * made: the caller announces it, and the first planner call that follows is
 * ours (see sx_run_take_mark).
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/snapmgr.h"

#include "query/run.h"

/* By the hash of the text, which may be long: two texts of one hash would be an error. */
typedef struct Entry
{
	uint64 hash; /* hash key */
	CachedPlanSource *source;
} Entry;

static HTAB *plans = NULL;
static Oid marked_stream = InvalidOid;

static CachedPlanSource *prepare(const char *sql);
static CachedPlan *plan(const SxView *view, CachedPlanSource *source);

/*
 * For the planner hook: the stream to mark in the plan that is being made, once;
 * InvalidOid for any other plan, nested ones included.
 */
Oid
sx_run_take_mark(void)
{
	Oid stream = marked_stream;

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
	CachedPlanSource *source = prepare(sql);
	CachedPlan *cplan = plan(view, source);
	QueryDesc *desc;
	SxScanRun scan_run;

	desc = CreateQueryDesc(linitial_node(PlannedStmt, cplan->stmt_list), sql, GetActiveSnapshot(),
						   InvalidSnapshot, dest, NULL, NULL, 0);
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
	ReleaseCachedPlan(cplan, CurrentResourceOwner);
}

static CachedPlanSource *
prepare(const char *sql)
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
		RawStmt *raw = linitial(pg_parse_query(sql));
		CachedPlanSource *source = CreateCachedPlan(raw, sql, CMDTAG_SELECT);

		CompleteCachedPlan(source, pg_analyze_and_rewrite_fixedparams(raw, sql, NULL, 0, NULL),
						   NULL, NULL, 0, NULL, NULL, CURSOR_OPT_GENERIC_PLAN, false);
		SaveCachedPlan(source);
		entry = hash_search(plans, &hash, HASH_ENTER, NULL);
		entry->source = source;
	}
	if (strcmp(entry->source->query_string, sql) != 0)
		elog(ERROR, "two queries have one hash: %s", sql);
	return entry->source;
}

static CachedPlan *
plan(const SxView *view, CachedPlanSource *source)
{
	CachedPlan *cplan = NULL;

	marked_stream = view->stream;
	PG_TRY();
	{
		cplan = GetCachedPlan(source, NULL, CurrentResourceOwner, NULL);
	}
	PG_FINALLY();
	{
		marked_stream = InvalidOid;
	}
	PG_END_TRY();
	return cplan;
}
