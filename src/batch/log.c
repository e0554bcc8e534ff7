/*
 * log.c
 *	  The log of a stream with retain 'on': an internal table of its rows, by
 *	  offset.
 *
 * A row is stored as one value of the stream's row type, so that adding and
 * dropping columns needs no change of the log.  The caller holds the stream's
 * lock and has given out the offsets.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "batch/log.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type_d.h"
#include "catalog/spi.h"
#include "commands/defrem.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#define INTERNAL_SCHEMA "streamx_internal"

/* Columns of streamx.streams. */
#define STREAMS_STREAM 1
#define STREAMS_LOG 2

/* Rows that go into the table together. */
#define ROWS_AT_ONCE 500

static void create_table(Oid stream, const char *name);
static void enter_log(Oid stream, Oid log);
static void fill_slot(TupleTableSlot *slot, const SxBatch *batch, TupleDesc tupdesc, int row);

Oid
sx_log_find(Oid stream)
{
	Relation streams = table_open(get_relname_relid("streams", sx_schema_oid()), AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	Oid log = InvalidOid;

	ScanKeyInit(&key, STREAMS_STREAM, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(stream));
	scan = systable_beginscan(streams, InvalidOid, false, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool isnull;
		Datum value = heap_getattr(tuple, STREAMS_LOG, RelationGetDescr(streams), &isnull);

		if (!isnull)
			log = DatumGetObjectId(value);
	}
	systable_endscan(scan);
	table_close(streams, AccessShareLock);
	return log;
}

Oid
sx_log_index(Relation log)
{
	(void) RelationGetIndexList(log);
	if (!OidIsValid(log->rd_pkindex))
		elog(ERROR, "log \"%s\" has no primary key", RelationGetRelationName(log));
	return log->rd_pkindex;
}

int64
sx_log_count(Oid log, int64 first, int64 end)
{
	char *table =
		quote_qualified_identifier(get_namespace_name(get_rel_namespace(log)), get_rel_name(log));
	int64 count;
	bool is_null;
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_run(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE \"offset\" >= " INT64_FORMAT
						" AND \"offset\" < " INT64_FORMAT,
						table, first, end));
	count = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &is_null));
	sx_spi_end(&spi);
	return count;
}

/* ---- making one ---- */

Oid
sx_log_create(Oid stream)
{
	Oid schema = get_namespace_oid(INTERNAL_SCHEMA, false);
	Oid log = sx_log_find(stream);
	char *name;
	ObjectAddress log_address;
	ObjectAddress stream_address;
	SxSpi spi;

	if (OidIsValid(log))
		return log;
	name = ChooseRelationName(get_rel_name(stream), NULL, "log", schema, false);
	sx_spi_begin(&spi);
	create_table(stream, name);
	log = get_relname_relid(name, schema);
	enter_log(stream, log);
	sx_spi_end(&spi);

	ObjectAddressSet(log_address, RelationRelationId, log);
	ObjectAddressSet(stream_address, RelationRelationId, stream);
	recordDependencyOn(&log_address, &stream_address, DEPENDENCY_INTERNAL);
	CommandCounterIncrement();
	return log;
}

static void
create_table(Oid stream, const char *name)
{
	const char *table = quote_qualified_identifier(INTERNAL_SCHEMA, name);
	char *comment = psprintf("rows of stream %s", get_rel_name(stream));

	(void) sx_spi_run(psprintf("CREATE TABLE %s (\"offset\" bigint PRIMARY KEY, "
							   "recorded_at timestamptz NOT NULL, \"row\" %s NOT NULL)",
							   table, format_type_be_qualified(get_rel_type_id(stream))));
	/* ANALYZE would run functions of the columns' types, as the table's owner */
	(void) sx_spi_run(psprintf("ALTER TABLE %s ALTER COLUMN \"row\" SET STATISTICS 0", table));
	(void) sx_spi_run(psprintf("COMMENT ON TABLE %s IS %s", table, quote_literal_cstr(comment)));
}

static void
enter_log(Oid stream, Oid log)
{
	static const Oid types[] = {REGCLASSOID, REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(stream), ObjectIdGetDatum(log)};

	if (sx_spi_execute("UPDATE streamx.streams SET log = $2 WHERE stream = $1", 2, types, values,
					   NULL, false) != 1)
		elog(ERROR, "stream %u is not in streamx.streams", stream);
}

/* ---- appending ---- */

void
sx_log_append(const SxStream *stream, const SxBatch *batch)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx log", ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MemoryContext row_context =
		AllocSetContextCreate(context, "streamx log rows", ALLOCSET_DEFAULT_SIZES);
	Relation log = table_open(sx_log_find(stream->relid), RowExclusiveLock);
	EState *estate = CreateExecutorState();
	ResultRelInfo *result = makeNode(ResultRelInfo);
	BulkInsertState bulk = GetBulkInsertState();
	TupleTableSlot *slots[ROWS_AT_ONCE];
	int nslots = Min(batch->nrows, ROWS_AT_ONCE);
	int row;
	int i;

	InitResultRelInfo(result, log, 0, NULL, 0);
	ExecOpenIndices(result, false);
	for (i = 0; i < nslots; i++)
		slots[i] = table_slot_create(log, NULL);

	for (row = 0; row < batch->nrows; row += nslots)
	{
		int count = Min(batch->nrows - row, nslots);

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		MemoryContextSwitchTo(row_context);
		for (i = 0; i < count; i++)
			fill_slot(slots[i], batch, stream->tupdesc, row + i);
		table_multi_insert(log, slots, count, GetCurrentCommandId(true), 0, bulk);
		for (i = 0; i < count; i++)
		{
			ResetPerTupleExprContext(estate);
			(void) sx_insert_index_tuples(result, slots[i], estate, false, SX_UPDATE_ALL_INDEXES);
			ExecClearTuple(slots[i]);
		}
		MemoryContextSwitchTo(context);
	}

	table_finish_bulk_insert(log, 0);
	FreeBulkInsertState(bulk);
	for (i = 0; i < nslots; i++)
		ExecDropSingleTupleTableSlot(slots[i]);
	ExecCloseIndices(result);
	FreeExecutorState(estate);
	table_close(log, NoLock);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* One row of the batch as a row of the log, in the current memory context. */
static void
fill_slot(TupleTableSlot *slot, const SxBatch *batch, TupleDesc tupdesc, int row)
{
	size_t first = (size_t) row * tupdesc->natts;
	HeapTuple tuple = heap_form_tuple(tupdesc, batch->values + first, batch->isnull + first);

	ExecClearTuple(slot);
	slot->tts_values[SX_LOG_OFFSET - 1] = Int64GetDatum(batch->origin[row].offset);
	slot->tts_values[SX_LOG_RECORDED_AT - 1] =
		TimestampTzGetDatum(GetCurrentTransactionStartTimestamp());
	slot->tts_values[SX_LOG_ROW - 1] = heap_copy_tuple_as_datum(tuple, tupdesc);
	memset(slot->tts_isnull, false, sizeof(bool) * SX_LOG_NCOLUMNS);
	ExecStoreVirtualTuple(slot);
	heap_freetuple(tuple);
}
