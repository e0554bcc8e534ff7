/*
 * verify.c
 *	  streamx.verify: a view against its own definition, run as a batch over
 *	  exactly the rows the view accepted.
 *
 *      accepted = messages from the view's start to its committed offsets
 *                 - dead letters of the stream and of the view - late rows
 *                 - windows that refused a row which others took
 *                 - windows removed by retention
 *
 * The last two are left out by streamx.counts(), which the definition asks.
 *
 * Under the stream's lock nothing moves, and one snapshot taken under it shows
 * view, positions and refusals as one state.  Everything the definition can
 * reach runs as the view's owner, the comparison included.
 */
#include "compat.h"

#include "access/table.h"
#include "access/xlog.h"
#include <math.h>

#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "access/xact.h"
#include "batch/insert.h"
#include "batch/log.h"
#include "batch/scan.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/compare.h"
#include "query/copy.h"
#include "query/retention.h"
#include "query/run.h"
#include "query/sql.h"
#include "query/view.h"

/* What streamx.counts() goes by while a definition runs; NULL: no verify is running. */
typedef struct Accepted
{
	const SxScanInput *input;
	int64 removed_through;
} Accepted;

static const Accepted *accepted = NULL;

static void check_permission(const SxView *view);
static void check_provable(const SxView *view, const SxStream *stream);
static void
refuse(const SxView *view, const char *reason, const char *hint) pg_attribute_noreturn();
static void notice_tables(const SxView *view);
static void load_ranges(const SxView *view, const SxStream *stream, SxScanInput *input);
static void load_exclusions(const SxView *view, SxScanInput *input);
static void load_skips(const SxView *view, SxScanInput *input);
static void notice_removed(const SxView *view, int64 removed_through);
static void
compare_results(const SxView *view, const Accepted *all, double tolerance, ReturnSetInfo *result);
static void run_definition(const SxView *view, const Accepted *all, DestReceiver *dest);
static void add_difference(void *context, bool is_left, Datum row);

PG_FUNCTION_INFO_V1(streamx_verify);
PG_FUNCTION_INFO_V1(streamx_counts);

Datum
streamx_verify(PG_FUNCTION_ARGS)
{
	Oid relid = PG_GETARG_OID(0);
	double tolerance = PG_GETARG_FLOAT8(1);
	SxScanInput input = {0};
	Accepted all = {.input = &input};
	bool must_lock = !RecoveryInProgress();
	const SxView *view;
	const SxStream *stream;

	if (isnan(tolerance) || isinf(tolerance) || tolerance < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("tolerance must be a finite number, not less than zero")));
	view = sx_view_load(relid);
	check_permission(view);
	sx_insert_flush();
	/* lock first, then snapshot; of a standby each snapshot is that of some commit, and nobody writes */
	if (must_lock)
		sx_lock_stream(view->stream);
	/* the view after the stream: who rebuilds or replaces it has that, and wants the view for itself */
	LockRelationOid(relid, AccessShareLock);
	CommandCounterIncrement();
	view = sx_view_load(relid);
	check_permission(view);
	InitMaterializedSRF(fcinfo, 0);

	PushActiveSnapshot(GetLatestSnapshot());
	stream = sx_stream_open(view->stream);
	check_provable(view, stream);
	notice_tables(view);
	input.stream = view->stream;
	load_ranges(view, stream, &input);
	load_exclusions(view, &input);
	load_skips(view, &input);
	all.removed_through = sx_retention_removed_through(view->relid);
	notice_removed(view, all.removed_through);
	compare_results(view, &all, tolerance, (ReturnSetInfo *) fcinfo->resultinfo);
	PopActiveSnapshot();
	if (must_lock)
		sx_unlock_stream(stream->relid); /* whoever only looks keeps nobody waiting */
	return (Datum) 0;
}

/* ---- may it, can it ---- */

/* Who owns the view, or may read all that goes into it and comes out. */
static void
check_permission(const SxView *view)
{
	Oid user = GetUserId();

	if (has_privs_of_role(user, view->owner))
		return;
	if (pg_class_aclcheck(view->relid, user, ACL_SELECT) == ACLCHECK_OK &&
		pg_class_aclcheck(view->stream, user, ACL_SELECT) == ACLCHECK_OK)
		return;
	ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					errmsg("permission denied to verify view \"%s\"", view->name),
					errdetail("Its owner may, and who has SELECT on it and on stream \"%s\".",
							  get_rel_name(view->stream))));
}

static void
check_provable(const SxView *view, const SxStream *stream)
{
	if (!stream->is_kafka && !OidIsValid(sx_log_find(stream->relid)))
		refuse(view, psprintf("Stream \"%s\" does not keep its rows.", stream->name),
			   "Create the stream with OPTIONS (retain 'on').");
	if (!view->stores_late_rows && view->window.kind != SX_WINDOW_GLOBAL && stream->event_time > 0)
		refuse(view, "Its late rows are discarded, so it is not known what it accepted.",
			   "Use streamx.late_rows = 'store', the default.");
	if (sx_retention_has_removed_refusals(view->relid))
		refuse(view,
			   "Rows that it refused were removed by streamx.refused_retention, so it is not known"
			   " what it accepted.",
			   "Keep refused rows for as long as the view is to be verified.");
	if (stream->on_error == SX_ON_ERROR_SKIP)
		refuse(view,
			   psprintf("Stream \"%s\" has on_error 'skip': its bad rows are not recorded.",
						stream->name),
			   "Use on_error 'dead_letter'.");
}

static void
refuse(const SxView *view, const char *reason, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("cannot verify continuous view \"%s\"", view->name),
					errdetail_internal("%s", reason), errhint("%s", hint)));
}

/* Joined tables are read as they are now, not as they were at each batch. */
static void
notice_tables(const SxView *view)
{
	static const Oid types[] = {OIDOID, OIDOID};
	Datum values[] = {ObjectIdGetDatum(view->definition), ObjectIdGetDatum(view->stream)};
	bool isnull = true;
	Datum names = (Datum) 0;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute("SELECT string_agg(DISTINCT d.refobjid::regclass::text, ', ') "
					   "FROM pg_depend AS d JOIN pg_rewrite AS r ON d.objid = r.oid "
					   "JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind <> 'c' "
					   "WHERE d.classid = 'pg_rewrite'::regclass AND r.ev_class = $1 "
					   "AND d.refclassid = 'pg_class'::regclass AND d.refobjid NOT IN ($1, $2)",
					   2, types, values, NULL, true) > 0)
		names = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (!isnull)
		ereport(NOTICE, (errmsg("view \"%s\" is verified with other tables as they are now: %s",
								view->name, TextDatumGetCString(names)),
						 errdetail("Rows that changed since they were joined show up as "
								   "differences.")));
	sx_spi_end(&spi);
}

/* ---- what it accepted ---- */

static void
load_ranges(const SxView *view, const SxStream *stream, SxScanInput *input)
{
	static const char *const statement =
		"SELECT p.\"partition\", "
		"CASE WHEN r.topic = '' THEN s.start_offset "
		"ELSE coalesce(o.start_offset, p.start_offset) END, p.next_offset, r.topic "
		"FROM streamx.view_streams AS s "
		"JOIN streamx.readers AS r ON r.reader = s.reader "
		"JOIN streamx.progress AS p ON p.reader = r.reader AND p.topic = r.topic "
		"LEFT JOIN streamx_internal.view_start AS o "
		"ON o.view = s.view AND o.\"partition\" = p.\"partition\" "
		"WHERE s.view = $1 AND s.stream = $2 ORDER BY 1";
	static const Oid types[] = {REGCLASSOID, REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view->relid), ObjectIdGetDatum(view->stream)};
	MemoryContext caller = CurrentMemoryContext;
	SxScanRange *ranges;
	SxSpi spi;
	uint64 count;
	uint64 i;

	sx_spi_begin(&spi);
	count = sx_spi_execute(statement, 2, types, values, NULL, true);
	ranges = MemoryContextAlloc(caller, sizeof(SxScanRange) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc tupdesc = SPI_tuptable->tupdesc;
		char *topic = SPI_getvalue(tuple, tupdesc, 4);
		bool isnull;

		ranges[i].partition = DatumGetInt32(SPI_getbinval(tuple, tupdesc, 1, &isnull));
		ranges[i].first = DatumGetInt64(SPI_getbinval(tuple, tupdesc, 2, &isnull));
		ranges[i].end = DatumGetInt64(SPI_getbinval(tuple, tupdesc, 3, &isnull));
		if (stream->is_kafka && strcmp(topic, stream->topic) != 0)
			refuse(view,
				   psprintf("It read topic \"%s\", and stream \"%s\" now has topic \"%s\".", topic,
							stream->name, stream->topic),
				   "Create the view anew.");
	}
	sx_spi_end(&spi);
	input->ranges = ranges;
	input->nranges = (int) count;
}

/* Offsets that it was told to skip. */
static void
load_skips(const SxView *view, SxScanInput *input)
{
	static const char *const statement =
		"SELECT k.\"partition\", k.from_offset, k.to_offset FROM streamx_internal.skip AS k "
		"WHERE k.view = $1 AND k.is_asked";
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view->relid)};
	MemoryContext caller = CurrentMemoryContext;
	SxScanRange *skips;
	SxSpi spi;

	sx_spi_begin(&spi);
	input->nskips = (int) sx_spi_execute(statement, 1, types, values, NULL, true);
	skips = MemoryContextAlloc(caller, sizeof(SxScanRange) * Max(input->nskips, 1));
	for (int i = 0; i < input->nskips; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc tupdesc = SPI_tuptable->tupdesc;
		bool isnull;

		skips[i].partition = DatumGetInt32(SPI_getbinval(tuple, tupdesc, 1, &isnull));
		skips[i].first = DatumGetInt64(SPI_getbinval(tuple, tupdesc, 2, &isnull));
		skips[i].end = DatumGetInt64(SPI_getbinval(tuple, tupdesc, 3, &isnull));
	}
	sx_spi_end(&spi);
	input->skips = skips;
}

static void
load_exclusions(const SxView *view, SxScanInput *input)
{
	static const char *const statement =
		"SELECT r.\"partition\", r.\"offset\", max(r.refused_through) FROM ("
		"SELECT coalesce(l.\"partition\", 0), l.\"offset\","
		" CASE WHEN l.counted THEN l.refused_through ELSE 'infinity' END"
		" FROM streamx_internal.late_row AS l "
		"WHERE l.view = $1 AND l.\"offset\" IS NOT NULL "
		"UNION ALL "
		"SELECT coalesce(d.\"partition\", 0), d.\"offset\", 'infinity'"
		" FROM streamx_internal.dead_letter AS d "
		"JOIN streamx.view_streams AS s ON s.stream = d.stream AND s.view = $1 "
		"WHERE d.stream = $2 AND d.\"offset\" IS NOT NULL "
		"AND (d.view = $1 OR (d.view IS NULL AND d.reader = s.reader))"
		") AS r (\"partition\", \"offset\", refused_through) GROUP BY 1, 2 ORDER BY 1, 2";
	static const Oid types[] = {REGCLASSOID, REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view->relid), ObjectIdGetDatum(view->stream)};
	MemoryContext caller = CurrentMemoryContext;
	SxScanExclusion *exclusions;
	SxSpi spi;
	uint64 count;
	uint64 i;

	sx_spi_begin(&spi);
	count = sx_spi_execute(statement, 2, types, values, NULL, true);
	exclusions = MemoryContextAllocHuge(caller, sizeof(SxScanExclusion) * Max(count, 1));
	for (i = 0; i < count; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		bool isnull;

		exclusions[i].partition =
			DatumGetInt32(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &isnull));
		exclusions[i].offset =
			DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));
		exclusions[i].refused_through =
			DatumGetTimestampTz(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 3, &isnull));
	}
	sx_spi_end(&spi);
	input->exclusions = exclusions;
	input->nexclusions = (int) count;
}

static void
notice_removed(const SxView *view, int64 removed_through)
{
	if (removed_through == DT_NOBEGIN)
		return;
	ereport(
		NOTICE,
		(errmsg("view \"%s\" is verified without the windows that its retention removed",
				view->name),
		 errdetail("Windows that end by %s are removed.", timestamptz_to_str(removed_through))));
}

/*
 * counts(stream_row, window_end): whether a row counts in a window.  False only
 * in verify's run of a definition: for windows that refused the row as late,
 * and for windows that are removed.
 */
Datum
streamx_counts(PG_FUNCTION_ARGS)
{
	int64 window_end;
	int place;

	if (accepted == NULL || PG_ARGISNULL(1))
		PG_RETURN_BOOL(true);
	window_end = PG_GETARG_TIMESTAMPTZ(1);
	if (window_end <= accepted->removed_through)
		PG_RETURN_BOOL(false);
	place = PG_ARGISNULL(0) ? -1 : sx_scan_place_of_ctid((ItemPointer) PG_GETARG_POINTER(0));
	if (place < 0 || place >= accepted->input->nexclusions)
		PG_RETURN_BOOL(true);
	PG_RETURN_BOOL(window_end > accepted->input->exclusions[place].refused_through);
}

/* ---- comparison ---- */

/*
 * The query of the visible view, but for columns that its next definition brings (replace.c), and in no order.
 * As a tree: the view's owner need not have USAGE on its schema, as naming it would want.
 */
static Query *
query_of_view(const SxView *view)
{
	Query *query = sx_copy_stored_query(view->relid, &(SxSubstitution){NIL, NIL});
	Relation definition = table_open(view->definition, AccessShareLock);

	query->sortClause = NIL;
	query->targetList = list_truncate(query->targetList, RelationGetNumberOfAttributes(definition));
	table_close(definition, NoLock);
	return query;
}

static void
compare_results(const SxView *view, const Accepted *all, double tolerance, ReturnSetInfo *result)
{
	SxCompare *compare = sx_compare_begin(tolerance, add_difference, result);
	SxView unmarked = *view;
	SxRunAs saved;

	unmarked.stream = InvalidOid; /* the visible view has no scan to mark */
	sx_run_begin(view, &saved);
	run_definition(view, all, sx_compare_receiver(compare, true));
	sx_run_query(&unmarked, query_of_view(view), NULL, sx_compare_receiver(compare, false));
	sx_compare_end(compare);
	sx_run_end(&saved);
}

static void
run_definition(const SxView *view, const Accepted *all, DestReceiver *dest)
{
	const Accepted *outer = accepted; /* a view's own functions may verify */

	accepted = all;
	PG_TRY();
	{
		sx_run(view, sx_sql_select_all(view->definition), all->input, dest);
	}
	PG_FINALLY();
	{
		accepted = outer;
	}
	PG_END_TRY();
}

static void
add_difference(void *context, bool is_left, Datum row)
{
	ReturnSetInfo *result = context;
	char *json = text_to_cstring(DatumGetTextPP(DirectFunctionCall1(row_to_json, row)));
	Datum values[] = {CStringGetTextDatum(is_left ? "missing" : "extra"),
					  DirectFunctionCall1(jsonb_in, CStringGetDatum(json))};
	bool nulls[] = {false, false};

	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
