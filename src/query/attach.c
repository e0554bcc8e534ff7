/*
 * attach.c
 *	  Hang views on readers.
 *
 * Views of one reader share positions, watermark, consumption and decoding, so
 * a view may hang on a reader only where that reader stands: when it has not
 * begun and starts at the same place, or when both are at the end of a stream
 * that is fed by INSERT.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "batch/batch.h"
#include "batch/log.h"
#include "catalog/debug_point.h"
#include "catalog/option.h"
#include "catalog/reader.h"
#include "catalog/setting.h"
#include "catalog/spi.h"
#include "query/apply.h"
#include "query/attach.h"
#include "query/sql.h"
#include "query/retention.h"
#include "query/view.h"

static int32 make_insert_reader(Oid stream);
static void attach_insert(Oid view, const SxStream *stream, const char *start);
static void attach_kafka(Oid view, const SxStream *stream, const char *start);
static void link_view(Oid view, Oid stream, int32 reader, int64 start_offset);
static int64 log_position(const SxStream *stream, Oid log, const char *start, int64 end);
static int64 add_log_rows(SxBatch *batch, TupleTableSlot *slot, int64 next);

void
sx_attach_view(Oid view, Oid stream, const char *start)
{
	const SxStream *opened = sx_stream_open(stream);

	if (opened->is_kafka)
		attach_kafka(view, opened, start ? start : "earliest");
	else
		attach_insert(view, opened, start);
	CommandCounterIncrement();

	sx_apply_first_rows(view);
}

/* Run a statement with one int8 result column: that of its first row; *found if there was one. */
static int64
query_int8(const char *statement, int nargs, const Oid *types, const Datum *values, bool *found)
{
	int64 result = 0;
	bool is_null = true;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute(statement, nargs, types, values, NULL, false) > 0 && SPI_tuptable)
		result =
			DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	sx_spi_end(&spi);
	*found = !is_null;
	return result;
}

void
sx_attach_enter(Oid relid)
{
	const SxStream *stream = sx_stream_open(relid);
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(relid);
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute("INSERT INTO streamx.streams (stream) VALUES ($1::pg_catalog.regclass)"
				   " ON CONFLICT (stream) DO NOTHING",
				   1, &type, &value, NULL, false);
	sx_spi_end(&spi);
	CommandCounterIncrement();
	if (stream->is_kafka)
		return;
	if (sx_reader_list(relid) == NIL)
		(void) make_insert_reader(relid);
	if (stream->retain)
		(void) sx_log_create(relid);
}

int32
sx_attach_insert_reader(Oid stream)
{
	List *readers = sx_reader_list(stream);

	if (readers == NIL)
	{
		/* a dump without data brought the stream, but not its catalog rows */
		sx_attach_enter(stream);
		readers = sx_reader_list(stream);
	}
	return linitial_int(readers);
}

static int32
make_insert_reader(Oid stream)
{
	SxReader *reader;

	reader = sx_reader_load(sx_reader_create(stream, ""));
	sx_reader_add_partition(reader, 0, 0);
	sx_progress_save(reader);
	CommandCounterIncrement();
	return reader->id;
}

/* ---- streams fed by INSERT ---- */

void
sx_attach_mark_change(int32 reader)
{
	Oid type = INT4OID;
	Datum value = Int32GetDatum(reader);
	SxSpi spi;

	sx_spi_begin(&spi);
	/* one that has not begun has no positions */
	sx_spi_execute("UPDATE streamx.readers SET paused = paused WHERE reader = $1", 1, &type, &value,
				   NULL, false);
	sx_spi_execute("UPDATE streamx.progress SET next_offset = next_offset WHERE reader = $1", 1,
				   &type, &value, NULL, false);
	sx_spi_end(&spi);
}

static void
attach_insert(Oid view, const SxStream *stream, const char *start)
{
	int32 reader_id = sx_attach_insert_reader(stream->relid);
	Oid log = stream->retain ? sx_log_find(stream->relid) : InvalidOid;
	SxReader *reader;
	int64 end;
	int64 first;

	sx_attach_mark_change(reader_id);
	reader = sx_reader_load(reader_id);
	first = end = reader->partitions[0].next_offset;

	if (!stream->retain && start && strcmp(start, "latest") != 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("stream \"%s\" does not keep its rows, so a view of it can only start now",
					stream->name),
			 errhint("Leave streamx.start away, or create the stream with option retain 'on'.")));
	if (OidIsValid(log))
		first = log_position(stream, log, start ? start : "earliest", end);
	link_view(view, stream->relid, reader->id, first);
	CommandCounterIncrement();
	if (first >= end)
		return;
	sx_attach_catch_up(view, stream, log, reader->id, first, end);
	/* from now on the stream's own watermark counts, which may be greater */
	reader->views = list_make1_oid(view);
	sx_retention_apply(reader, 0);
}

/* The offset of the log at which a view starts. */
static int64
log_position(const SxStream *stream, Oid log, const char *start, int64 end)
{
	char *statement;
	int64 offset = 0;
	SxSpi spi;
	bool is_null;

	if (strcmp(start, "earliest") == 0)
		return 0;
	if (strcmp(start, "latest") == 0)
		return end;
	statement = psprintf(
		"SELECT coalesce(min(\"offset\"), " INT64_FORMAT ") FROM %s WHERE recorded_at >= %s", end,
		sx_sql_name(log), quote_literal_cstr(timestamptz_to_str(sx_option_start_time(start))));
	sx_spi_begin(&spi);
	sx_spi_run(statement);
	offset =
		DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	sx_spi_end(&spi);
	return offset;
}

void
sx_attach_catch_up(Oid view, const SxStream *stream, Oid log, int32 reader_id, int64 first,
				   int64 end)
{
	SxReader *reader = sx_reader_load(reader_id);
	SxBatch *batch = sx_batch_create(stream, CurrentMemoryContext);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(stream->tupdesc, &TTSOpsVirtual);
	SxApplyCounts counts = {0};
	Portal portal;
	SxSpi spi;
	char *statement =
		psprintf("SELECT \"offset\", \"row\" FROM %s WHERE \"offset\" >= " INT64_FORMAT
				 " AND \"offset\" < " INT64_FORMAT " ORDER BY \"offset\"",
				 sx_sql_name(log), first, end);

	reader->views = list_make1_oid(view);
	reader->watermark = DT_NOBEGIN;
	reader->partitions[0].event_time = DT_NOBEGIN;
	reader->partitions[0].at_end = true;

	sx_spi_begin(&spi);
	/* not "read only": rows that this very statement has logged are to be seen */
	portal = SPI_cursor_open_with_args(NULL, statement, 0, NULL, NULL, NULL, false,
									   CURSOR_OPT_NO_SCROLL);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, Min(sx_batch_rows, 10000));
		if (SPI_processed > 0)
			(void) add_log_rows(batch, slot, 0);
		if (batch->nrows > 0 && (SPI_processed == 0 || batch->nrows >= sx_batch_rows ||
								 batch->bytes >= (size_t) sx_batch_memory_kb * 1024))
		{
			sx_apply(reader, batch, sx_apply_care(stream), NULL, &counts);
			SX_DEBUG_POINT("in-first-fill");
			sx_batch_reset(batch);
		}
		if (SPI_processed == 0)
			break;
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	sx_spi_end(&spi);
	ExecDropSingleTupleTableSlot(slot);
}

int64
sx_attach_start_offset(Oid view)
{
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(view);
	bool found;

	return query_int8("SELECT start_offset FROM streamx.view_streams WHERE view = $1", 1, &type,
					  &value, &found);
}

/* Rows of SPI's table (offset, composite row) into the batch. */
static int64
add_log_rows(SxBatch *batch, TupleTableSlot *slot, int64 next)
{
	TimestampTz now = DT_NOEND; /* what was accepted once stays accepted */

	for (uint64 i = 0; i < SPI_tuptable->numvals; i++)
	{
		bool is_null;
		HeapTuple tuple = SPI_tuptable->vals[i];
		int64 offset = DatumGetInt64(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 1, &is_null));
		Datum stored = SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &is_null);
		HeapTupleHeader row =
			DatumGetHeapTupleHeader(stored); /* most are packed, and unpacked into a copy */
		HeapTupleData data = {.t_len = HeapTupleHeaderGetDatumLength(row), .t_data = row};

		ExecClearTuple(slot);
		heap_deform_tuple(&data, slot->tts_tupleDescriptor, slot->tts_values, slot->tts_isnull);
		ExecStoreVirtualTuple(slot);
		sx_batch_add_slot(batch, slot, offset, now);
		if ((Pointer) row != DatumGetPointer(stored))
			pfree(row);
		next = offset + 1;
	}
	return next;
}

/* ---- Kafka ---- */

/*
 * A reader that has not begun and starts where the view does serves both: views
 * created in one transaction, or on a paused stream, share one.
 */
static void
attach_kafka(Oid view, const SxStream *stream, const char *start)
{
	Oid types[] = {OIDOID, TEXTOID, TEXTOID};
	Datum values[] = {ObjectIdGetDatum(stream->relid), CStringGetTextDatum(start),
					  CStringGetTextDatum(stream->topic)};
	bool found = false;
	int64 reader = 0;

	/*
	 * Whether one has begun since, a snapshot from before does not tell; the view joins it later.
	 * Nor does it join one whose last view is being dropped; who drops that later waits for us.
	 */
	if (!IsolationUsesXactSnapshot())
		reader = query_int8(
			"UPDATE streamx.readers SET paused = paused WHERE reader = ("
			"SELECT r.reader FROM streamx.readers r"
			" WHERE r.stream = $1 AND r.topic = $3 AND NOT r.paused"
			" AND EXISTS (SELECT FROM streamx.view_streams s JOIN streamx.views v USING (view)"
			"             WHERE s.reader = r.reader AND v.start = $2)"
			" AND NOT EXISTS (SELECT FROM streamx.view_streams s JOIN streamx.views v USING (view)"
			"                 WHERE s.reader = r.reader"
			"                 AND (v.start <> $2 OR v.shadow_of IS NOT NULL))"
			" AND NOT EXISTS (SELECT FROM streamx.progress p"
			"                 WHERE p.reader = r.reader AND p.next_offset <> p.start_offset)"
			/* what the others have been told to skip, the view has not */
			" AND NOT EXISTS (SELECT FROM streamx.view_streams s"
			"                 JOIN streamx_internal.skip k USING (view) WHERE s.reader = r.reader)"
			" ORDER BY r.reader LIMIT 1 FOR NO KEY UPDATE OF r SKIP LOCKED)"
			" RETURNING reader::bigint",
			3, types, values, &found);
	if (!found)
		reader = sx_reader_create(stream->relid, stream->topic);
	link_view(view, stream->relid, reader, 0);
}

static void
link_view(Oid view, Oid stream, int32 reader, int64 start_offset)
{
	Oid types[] = {OIDOID, OIDOID, INT4OID, INT8OID};
	Datum values[] = {ObjectIdGetDatum(view), ObjectIdGetDatum(stream), Int32GetDatum(reader),
					  Int64GetDatum(start_offset)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute("INSERT INTO streamx.view_streams (view, stream, reader, start_offset)"
				   " VALUES ($1::pg_catalog.regclass, $2::pg_catalog.regclass, $3, $4)",
				   4, types, values, NULL, false);
	sx_spi_end(&spi);
	/* a worker learns of it when it gets the stream's lock, after COMMIT PREPARED too */
	CacheInvalidateRelcacheByRelid(stream);
}

/*
 * What the stream refused belongs to the view's new reader as well; but no messages of the
 * batch that is under way, which it will read itself.
 */
static void
copy_refusals(Oid view, int64 reader)
{
	static const char *const statement =
		"INSERT INTO streamx_internal.dead_letter (stream, view, reader, topic,"
		" \"partition\", \"offset\", message_timestamp, key, payload, \"row\", sqlstate,"
		" message, recorded_at)"
		" SELECT d.stream, d.view, $2, d.topic, d.\"partition\", d.\"offset\","
		" d.message_timestamp, d.key, d.payload, d.\"row\", d.sqlstate, d.message,"
		" d.recorded_at FROM streamx_internal.dead_letter d"
		" JOIN streamx.view_streams s ON s.reader = d.reader"
		" JOIN streamx.progress p ON p.reader = d.reader AND p.topic = d.topic"
		"  AND p.\"partition\" = d.\"partition\" AND p.next_offset > d.\"offset\""
		" WHERE s.view = $1 AND d.view IS NULL";
	Oid types[] = {OIDOID, INT4OID};
	Datum values[] = {ObjectIdGetDatum(view), Int32GetDatum((int32) reader)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(statement, lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

void
sx_attach_lock_views(Oid stream)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(stream)};
	List *views;
	ListCell *lc;

	PushActiveSnapshot(GetTransactionSnapshot());
	/* as whoever drops a view locks it before its shadow, and as batches go by OID */
	views = sx_spi_list_oids("SELECT v.view FROM streamx.view_streams s JOIN streamx.views v"
							 " USING (view) WHERE s.stream = $1"
							 " ORDER BY v.shadow_of IS NOT NULL, v.view::oid",
							 lengthof(types), types, values);
	PopActiveSnapshot();
	foreach (lc, views)
	{
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
		if (IsolationUsesXactSnapshot() &&
			!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(lc))))
			ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
							errmsg("could not serialize access due to concurrent drop of a "
								   "continuous view")));
	}
}

void
sx_attach_check_positions(Oid stream)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(stream)};
	SxSpi spi;

	if (!IsolationUsesXactSnapshot())
		return;
	sx_spi_begin(&spi);
	/* first the readers: whether they have got partitions, which the snapshot does not have */
	sx_spi_execute("SELECT FROM streamx.readers WHERE stream = $1 FOR NO KEY UPDATE",
				   lengthof(types), types, values, NULL, false);
	sx_spi_execute("SELECT FROM streamx.progress p JOIN streamx.readers r USING (reader)"
				   " WHERE r.stream = $1 FOR NO KEY UPDATE OF p",
				   lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

int32
sx_attach_leave(Oid view, bool is_paused)
{
	Oid types[] = {OIDOID, BOOLOID};
	Datum values[] = {ObjectIdGetDatum(view), BoolGetDatum(is_paused)};
	bool found;
	int64 reader;
	int64 stream;

	/* who drops the last other view waits for us, or we for him: one must see what the other did */
	sx_attach_mark_change(sx_reader_of_view(view)->id);
	reader = query_int8("UPDATE streamx.readers r SET paused = r.paused OR $2"
						" FROM streamx.view_streams s WHERE s.view = $1 AND s.reader = r.reader"
						" AND NOT EXISTS (SELECT FROM streamx.view_streams o"
						"                 WHERE o.reader = r.reader AND o.view <> $1)"
						" RETURNING r.reader::bigint",
						2, types, values, &found);
	if (found)
		return reader;
	reader = query_int8("INSERT INTO streamx.readers (stream, topic, paused, cluster)"
						" SELECT r.stream, r.topic, $2, r.cluster FROM streamx.readers r"
						" JOIN streamx.view_streams s USING (reader) WHERE s.view = $1"
						" RETURNING reader::bigint",
						2, types, values, &found);
	copy_refusals(view, reader);
	SX_DEBUG_POINT("in-leaving");
	types[1] = INT4OID;
	values[1] = Int32GetDatum(reader);
	stream = query_int8(
		"WITH moved AS (INSERT INTO streamx.progress"
		" (reader, topic, \"partition\", start_offset, next_offset, event_time, watermark,"
		" last_offset, fingerprint, filtered)"
		" SELECT $2, p.topic, p.\"partition\", p.start_offset, p.next_offset, p.event_time,"
		" p.watermark, p.last_offset, p.fingerprint, p.filtered FROM streamx.progress p JOIN "
		"streamx.view_streams s USING (reader)"
		" WHERE s.view = $1)"
		" UPDATE streamx.view_streams SET reader = $2 WHERE view = $1"
		" RETURNING stream::oid::bigint",
		2, types, values, &found);
	CommandCounterIncrement();
	CacheInvalidateRelcacheByRelid(view);
	CacheInvalidateRelcacheByRelid((Oid) stream);
	return reader;
}
