/*
 * admin.c
 *	  Administration from psql: pause, resume, step, watermark.
 *
 * pause and resume change the catalog under the stream's lock, so a running
 * batch ends first and the next one sees them.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/setting.h"
#include "catalog/spi.h"
#include "query/attach.h"
#include "query/home.h"
#include "query/view.h"
#include "worker/admin.h"
#include "worker/held.h"
#include "worker/launcher.h"
#include "worker/worker.h"

#define STEP_TIMEOUT_MS 10000

PG_FUNCTION_INFO_V1(streamx_pause);
PG_FUNCTION_INFO_V1(streamx_resume);
PG_FUNCTION_INFO_V1(streamx_step);
PG_FUNCTION_INFO_V1(streamx_watermark);

/* ---- what a name stands for ---- */

static char *
name_of(Oid relid)
{
	char *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relid)));
	return name;
}

void
sx_admin_resolve(Oid relid, SxTarget *target)
{
	target->relid = relid;
	target->name = name_of(relid);
	target->is_view = sx_view_is(relid);
	if (!target->is_view && !sx_stream_is(relid))
	{
		LockRelationOid(relid, AccessShareLock); /* perhaps it has just been dropped */
		UnlockRelationOid(relid, AccessShareLock);
		target->name = name_of(relid);
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is neither a stream nor a continuous view", target->name)));
	}
	target->stream = target->is_view ? sx_view_load(relid)->stream : relid;
}

void
sx_admin_lock(SxTarget *target)
{
	sx_lock_stream(target->stream);
	/* the view after the stream: of two who rebuild it, the first wants it for itself at the end */
	if (target->is_view)
		LockRelationOid(target->relid, AccessShareLock);
	CommandCounterIncrement();
	sx_admin_resolve(target->relid, target);
	sx_admin_check_owner(target);
}

void
sx_admin_check_owner(const SxTarget *target)
{
	if (!sx_owns_relation(target->relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, target->is_view ? OBJECT_VIEW : OBJECT_FOREIGN_TABLE,
					   target->name);
}

/* Run a statement about one relation; returns how many rows it touched. */
static uint64
execute_about(const char *statement, Oid relid)
{
	Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(relid)};
	uint64 count;
	SxSpi spi;

	sx_spi_begin(&spi);
	count = sx_spi_execute(statement, 1, types, values, NULL, false);
	sx_spi_end(&spi);
	return count;
}

/* Whether a query about one relation finds a row. */
bool
sx_admin_exists(const char *statement, Oid relid)
{
	return execute_about(statement, relid) > 0;
}

/* ---- pause and resume ---- */

static void
pause_view(const SxTarget *target)
{
	if (!sx_stream_open(target->stream)->is_kafka)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("continuous view \"%s\" cannot be paused by itself", target->name),
						errdetail("Its stream is fed by INSERT."),
						errhint("Pause the stream: INSERT is an error then.")));
	sx_attach_check_positions(target->stream);
	(void) sx_attach_leave(target->relid, true);
}

/* An INSERT whose snapshot is older must not go on as if nothing were: it meets 40001. */
static void
pause_stream(const SxTarget *target)
{
	execute_about("UPDATE streamx.streams SET paused = true WHERE stream = $1 AND NOT paused",
				  target->relid);
	execute_about("UPDATE streamx.progress p SET next_offset = p.next_offset FROM streamx.readers r"
				  " WHERE r.stream = $1 AND r.reader = p.reader AND r.topic = ''",
				  target->relid);
}

Datum
streamx_pause(PG_FUNCTION_ARGS)
{
	SxTarget target;

	sx_admin_resolve(PG_GETARG_OID(0), &target);
	sx_admin_check_owner(&target);
	sx_admin_lock(&target);
	if (target.is_view)
		pause_view(&target);
	else
		pause_stream(&target);
	sx_launcher_wakeup();
	PG_RETURN_VOID();
}

Datum
streamx_resume(PG_FUNCTION_ARGS)
{
	SxTarget target;

	sx_admin_resolve(PG_GETARG_OID(0), &target);
	sx_admin_check_owner(&target);
	sx_admin_lock(&target);
	if (target.is_view)
		execute_about("UPDATE streamx.readers r SET paused = false FROM streamx.view_streams v"
					  " WHERE v.view IN (SELECT h.view FROM streamx.views h"
					  "  WHERE h.view = $1 OR h.shadow_of = $1)"
					  " AND v.reader = r.reader AND r.paused",
					  target.relid);
	else
	{
		/* first: what is resumed in a copy before any probe came is not to be paused by one */
		sx_home_settle();
		execute_about("UPDATE streamx.streams SET paused = false, is_copy = false"
					  " WHERE stream = $1 AND paused",
					  target.relid);
	}
	sx_launcher_wakeup();
	PG_RETURN_VOID();
}

/* ---- step ---- */

static void
check_step(const SxTarget *target)
{
	if (target->is_view)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is a continuous view, not a stream", target->name),
						errhint("Step its stream, \"%s\".", get_rel_name(target->stream))));
	if (!sx_stream_open(target->relid)->is_kafka)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("stream \"%s\" cannot be stepped", target->name),
						errdetail("It is fed by INSERT, which merges its rows itself.")));
}

/* Wait for what a step needs of a topic: its partitions. */
static void
find_partitions(SxConsumer *consumer)
{
	SxDiscovery found;
	bool is_news = sx_consumer_discover(consumer, STEP_TIMEOUT_MS, &found);

	if (found.error)
		ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
						errmsg("could not read Kafka topic \"%s\": %s", consumer->reader->topic,
							   found.error)));
	if (found.refusal)
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION), errmsg_internal("%s", found.refusal)));
	if (!is_news)
		return;
	sx_consumer_add(consumer, &found);
	sx_consumer_read(consumer, &found);
}

static void
check_gap(const SxConsumer *consumer)
{
	SxGap gap;

	if (!sx_consumer_gap(consumer, &gap))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg_internal("%s", sx_consumer_gap_message(consumer, &gap)),
			 errhint("Resume the stream with option on_gap 'skip' to go on at " INT64_FORMAT ".",
					 gap.to)));
}

/* One micro-batch for one reader, in the caller's transaction; returns its rows. */
static int64
step_reader(int32 reader, int max_rows)
{
	int64 queue_bytes = (int64) sx_batch_memory_kb * 1024 / 4;
	SxConsumer *consumer = sx_consumer_open(reader, SX_PART_ALL, queue_bytes, CurrentMemoryContext);
	SxApplyCounts counts = {0};
	int64 until = sx_now_us() + (int64) STEP_TIMEOUT_MS * 1000;

	if (consumer == NULL)
		return 0;
	/* a shadow has its partitions from its view, which may have its turn later */
	if (consumer->reader->paused ||
		(OidIsValid(consumer->shadow) && consumer->reader->npartitions == 0))
	{
		sx_consumer_close(consumer);
		return 0;
	}
	if (!sx_consumer_is_bounded(consumer))
		sx_consumer_limit(consumer, NULL);
	find_partitions(consumer);
	while (consumer->nmessages < max_rows && !sx_consumer_is_at_end(consumer) &&
		   !sx_held_is_enough(consumer))
	{
		CHECK_FOR_INTERRUPTS();
		check_gap(consumer);
		(void) sx_consumer_collect(consumer, max_rows, (size_t) queue_bytes * 2, 100);
		if (consumer->bytes >= (size_t) queue_bytes * 2)
			break;
		if (consumer->nmessages == 0 && sx_now_us() > until)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					 errmsg("could not read Kafka topic \"%s\" in time", consumer->reader->topic)));
	}
	(void) sx_worker_run_batch(consumer, SX_CARE_ROWS, NULL, &counts);
	sx_consumer_commit(consumer);
	sx_consumer_close(consumer);
	return counts.seen.rows;
}

Datum
streamx_step(PG_FUNCTION_ARGS)
{
	int max_rows = PG_GETARG_INT32(1);
	int64 rows = 0;
	SxTarget target;
	ListCell *lc;

	sx_admin_resolve(PG_GETARG_OID(0), &target);
	sx_admin_check_owner(&target);
	check_step(&target);
	if (max_rows < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_rows must be at least 1")));
	sx_admin_lock(&target);
	if (!sx_admin_exists("SELECT FROM streamx.streams WHERE stream = $1 AND paused", target.relid))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("stream \"%s\" is not paused", target.name),
						errhint("Run SELECT streamx.pause(%s) first.",
								quote_literal_cstr(quote_identifier(target.name)))));
	sx_attach_check_positions(target.stream);
	foreach (lc, sx_reader_list(target.relid))
	{
		PushActiveSnapshot(GetLatestSnapshot());
		rows += step_reader(lfirst_int(lc), max_rows);
		PopActiveSnapshot();
		CommandCounterIncrement();
	}
	PG_RETURN_INT64(rows);
}

/* ---- watermark ---- */

/*
 * Least watermark of the readers, each the greatest of its rows; NULL while one
 * has none.  Read in the snapshot of the query that asks, so that it fits the
 * view's rows.
 */
Datum
streamx_watermark(PG_FUNCTION_ARGS)
{
	static const char *const statement =
		"SELECT CASE WHEN pg_catalog.count(*) = pg_catalog.count(w.watermark)"
		"            THEN pg_catalog.min(w.watermark) END"
		"  FROM (SELECT pg_catalog.max(p.watermark) AS watermark"
		"          FROM streamx.readers r LEFT JOIN streamx.progress p USING (reader)"
		"         WHERE r.stream = $1 AND ($2 = 0::pg_catalog.oid OR EXISTS (SELECT"
		"               FROM streamx.view_streams v"
		"               WHERE v.reader = r.reader AND v.view = $2))"
		"         GROUP BY r.reader) w";
	Oid types[] = {OIDOID, OIDOID};
	Datum values[2];
	TimestampTz watermark = 0;
	bool isnull;
	SxTarget target;
	AclResult aclresult;
	SxSpi spi;

	sx_admin_resolve(PG_GETARG_OID(0), &target);
	aclresult = pg_class_aclcheck(target.relid, GetUserId(), ACL_SELECT);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, target.is_view ? OBJECT_VIEW : OBJECT_FOREIGN_TABLE, target.name);
	values[0] = ObjectIdGetDatum(target.stream);
	values[1] = ObjectIdGetDatum(target.is_view ? target.relid : InvalidOid);
	sx_spi_begin(&spi);
	sx_spi_execute(statement, 2, types, values, NULL, true);
	watermark = DatumGetTimestampTz(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	sx_spi_end(&spi);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(watermark);
}
