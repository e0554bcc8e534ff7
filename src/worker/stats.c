/*
 * stats.c
 *	  What workers, readers, partitions and views are doing, as rows: the C half
 *	  of the monitoring views, which join them with the catalog.
 *
 * Anybody may call these functions; a role sees the objects it owns, and a
 * member of pg_monitor all of them.
 */
#include "compat.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "catalog/activity.h"
#include "catalog/spi.h"
#include "worker/shared.h"

PG_FUNCTION_INFO_V1(streamx_activity);
PG_FUNCTION_INFO_V1(streamx_workers);

static bool
is_monitor(void)
{
	return has_privs_of_role(GetUserId(), ROLE_PG_MONITOR);
}

/* Whether the current role owns a relation, which may be gone. */
static bool
owns(Oid relation)
{
	return SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)) &&
		   sx_owns_relation(relation, GetUserId());
}

static void
put_error(const SxActivityError *error, Datum *values, bool *nulls)
{
	nulls[0] = nulls[1] = nulls[2] = error->at == 0;
	if (error->at == 0)
		return;
	values[0] = CStringGetTextDatum(error->message);
	values[1] = CStringGetTextDatum(unpack_sql_state(error->sqlstate));
	values[2] = TimestampTzGetDatum(error->at);
}

static void
put_time(TimestampTz at, Datum *value, bool *isnull)
{
	*isnull = at == 0;
	*value = TimestampTzGetDatum(at);
}

/* Whether the current role owns a view that hangs on a reader. */
static bool
owns_view_of(uint32 reader)
{
	static const char *const statement =
		"SELECT FROM streamx.view_streams s JOIN streamx.views v USING (view)"
		" JOIN pg_catalog.pg_class c ON c.oid = COALESCE(v.shadow_of, v.view)"
		" WHERE s.reader = $1 AND pg_catalog.pg_has_role($2, c.relowner, 'USAGE') LIMIT 1";
	Oid types[] = {INT4OID, OIDOID};
	Datum values[] = {Int32GetDatum((int32) reader), ObjectIdGetDatum(GetUserId())};
	bool found;
	SxSpi spi;

	sx_spi_begin(&spi);
	found = sx_spi_execute(statement, 2, types, values, NULL, true) > 0;
	sx_spi_end(&spi);
	return found;
}

/* What concerns a stream concerns those, too, who own a view of the reader. */
static bool
may_see(const SxActivity *entry)
{
	return owns(entry->relation) ||
		   (entry->key.kind != SX_ACTIVITY_VIEW && owns_view_of(entry->key.id));
}

/*
 * streamx.activity(kind text): (id, partition, rows, batches, late_rows,
 * partly_late_rows, rows_in_no_window, dead_letters, failures, last_batch_at,
 * end_offset, at_end, is_idle, last_error, last_error_sqlstate, last_error_at,
 * recent_rows, recent_dead_letters, bytes, catching_up_since,
 * caught_up_from) of this database's readers, partitions or views.
 */
Datum
streamx_activity(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	char *kind_name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	SxActivityKind kind = strcmp(kind_name, "view") == 0		? SX_ACTIVITY_VIEW
						  : strcmp(kind_name, "partition") == 0 ? SX_ACTIVITY_PARTITION
																: SX_ACTIVITY_READER;
	bool sees_all = is_monitor();
	SxActivity *list;
	int count;

	InitMaterializedSRF(fcinfo, 0);
	count = sx_activity_list(kind, &list);
	for (int i = 0; i < count; i++)
	{
		const SxActivity *entry = &list[i];
		Datum values[21] = {0};
		bool nulls[21] = {false};
		double recent_rows;
		double recent_letters;

		if (!sees_all && !may_see(entry))
			continue;
		values[0] = Int64GetDatum(entry->key.id);
		values[1] = Int32GetDatum(entry->key.partition);
		values[2] = Int64GetDatum(entry->counts.rows);
		values[3] = Int64GetDatum(entry->batches);
		values[4] = Int64GetDatum(entry->counts.late_rows);
		values[5] = Int64GetDatum(entry->counts.partly_late_rows);
		values[6] = Int64GetDatum(entry->counts.no_window_rows);
		values[7] = Int64GetDatum(entry->counts.dead_letters);
		values[8] = Int64GetDatum(entry->failures);
		put_time(entry->last_batch_at, &values[9], &nulls[9]);
		nulls[10] = entry->end_offset < 0;
		values[10] = Int64GetDatum(entry->end_offset);
		values[11] = BoolGetDatum(entry->at_end);
		values[12] = BoolGetDatum(entry->is_idle);
		put_error(&entry->error, &values[13], &nulls[13]);
		sx_activity_recent(entry, GetCurrentTimestamp(), &recent_rows, &recent_letters);
		values[16] = Float8GetDatum(recent_rows);
		values[17] = Float8GetDatum(recent_letters);
		values[18] = Int64GetDatum(entry->counts.bytes);
		put_time(entry->catching_up_since, &values[19], &nulls[19]);
		values[20] = Int64GetDatum(entry->caught_up_from);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}

/*
 * streamx.workers(): (database oid, stream oid, stream_name, number, pid, state,
 * rows, batches, last_batch_at, restarts, last_error, last_error_sqlstate,
 * last_error_at).
 */
Datum
streamx_workers(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool sees_all = is_monitor();
	SxWorkerSlot *slots = palloc(sizeof(sx_shared->slots));

	InitMaterializedSRF(fcinfo, 0);
	if (sx_shared == NULL)
		PG_RETURN_NULL();
	LWLockAcquire(sx_shared->lock, LW_SHARED);
	memcpy(slots, sx_shared->slots, sizeof(sx_shared->slots));
	LWLockRelease(sx_shared->lock);
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		const SxWorkerSlot *slot = &slots[i];
		Datum values[13] = {0};
		bool nulls[13] = {false};

		if (!slot->in_use)
			continue;
		if (!sees_all && (slot->database != MyDatabaseId || !owns(slot->stream)))
			continue;
		values[0] = ObjectIdGetDatum(slot->database);
		nulls[1] = nulls[2] = !OidIsValid(slot->stream); /* about the whole database */
		values[1] = ObjectIdGetDatum(slot->stream);
		values[2] = CStringGetTextDatum(slot->name);
		values[3] = Int32GetDatum(slot->number + 1);
		nulls[4] = slot->pid == 0;
		values[4] = Int32GetDatum(slot->pid);
		values[5] = CStringGetTextDatum(sx_worker_state_name(slot->state));
		values[6] = Int64GetDatum(slot->rows);
		values[7] = Int64GetDatum(slot->batches);
		put_time(slot->last_batch_at, &values[8], &nulls[8]);
		values[9] = Int64GetDatum(slot->restarts);
		put_error(&slot->error, &values[10], &nulls[10]);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
