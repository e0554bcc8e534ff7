/*
 * reader.c
 *	  A reader: positions and watermark in a stream, stored in streamx.readers
 *	  and streamx.progress.
 *
 * Whoever moves a reader holds its stream's lock, but correctness does not
 * rest on that: positions are moved by compare-and-set, so of two movers one
 * fails, and its whole batch with it.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "catalog/reader.h"
#include "catalog/spi.h"

#define INITIAL_PARTITIONS 8

/* Up to so many partitions are saved by their own statement each; beyond, arrays are cheaper. */
#define FEW_PARTITIONS 4

static SxReader *read_reader(int32 id, uint64 nrows, MemoryContext context);
static void read_partition(SxReader *reader, HeapTuple tuple, TupleDesc tupdesc);
static List *oid_array_to_list(Datum array);
static int64 time_or_none(HeapTuple tuple, TupleDesc tupdesc, int column);
static int64 int8_or(HeapTuple tuple, TupleDesc tupdesc, int column, int64 otherwise);
static int find_slot(const SxReader *reader, int32 partition);
static bool must_save(const SxReader *reader, const SxPartition *partition);
static uint64 move_one(const SxReader *reader, const SxPartition *partition);
static uint64 save_many(const SxReader *reader, SxPartition *const *partitions, int count,
						const char *statement, bool is_new);
static void fail_moved(const SxReader *reader);

void
sx_lock_stream(Oid stream)
{
	LockDatabaseObject(RelationRelationId, stream, 0, ExclusiveLock);
}

void
sx_unlock_stream(Oid stream)
{
	UnlockDatabaseObject(RelationRelationId, stream, 0, ExclusiveLock);
}

List *
sx_reader_list(Oid stream)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(stream)};

	return sx_spi_list_ints("SELECT reader FROM streamx.readers WHERE stream = $1 ORDER BY reader",
							lengthof(types), types, values);
}

SxReader *
sx_reader_load(int32 id)
{
	/* one statement, one snapshot: the positions belong together */
	static const char *const statement =
		"SELECT r.stream, r.topic, r.paused, "
		"ARRAY(SELECT v.view::pg_catalog.oid FROM streamx.view_streams AS v WHERE v.reader = $1), "
		"p.\"partition\", p.start_offset, p.next_offset, p.event_time, p.watermark, "
		"p.last_offset, p.fingerprint, r.cluster, p.filtered "
		"FROM streamx.readers AS r "
		"LEFT JOIN streamx.progress AS p ON p.reader = r.reader AND p.topic = r.topic "
		"WHERE r.reader = $1";
	static const Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(id)};
	MemoryContext caller = CurrentMemoryContext;
	SxReader *reader = NULL;
	SxSpi spi;
	uint64 nrows;

	sx_spi_begin(&spi);
	nrows = sx_spi_execute(statement, 1, types, values, NULL, false);
	if (nrows > 0)
		reader = read_reader(id, nrows, caller);
	sx_spi_end(&spi);
	return reader;
}

SxReader *
sx_reader_of_view(Oid view)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view)};
	SxReader *reader = NULL;
	bool isnull;
	int32 id = 0;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute("SELECT reader FROM streamx.view_streams WHERE view = $1", 1, types, values,
					   NULL, false) > 0)
		id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	sx_spi_end(&spi);
	if (id != 0)
		reader = sx_reader_load(id);
	if (reader == NULL)
		elog(ERROR, "continuous view %u has no reader", view);
	return reader;
}

bool
sx_reader_is_beside(const SxReader *left, const SxReader *right)
{
	if (left->npartitions != right->npartitions)
		return false;
	for (int i = 0; i < left->npartitions; i++)
		if (left->partitions[i].partition != right->partitions[i].partition ||
			left->partitions[i].next_offset != right->partitions[i].next_offset)
			return false;
	return true;
}

int32
sx_reader_create(Oid stream, const char *topic)
{
	static const Oid types[] = {REGCLASSOID, TEXTOID};
	Datum values[] = {ObjectIdGetDatum(stream), CStringGetTextDatum(topic)};
	SxSpi spi;
	bool isnull;
	int32 id;

	sx_spi_begin(&spi);
	sx_spi_execute("INSERT INTO streamx.readers (stream, topic) VALUES ($1, $2) RETURNING reader",
				   2, types, values, NULL, false);
	id = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	sx_spi_end(&spi);
	return id;
}

void
sx_reader_save_cluster(int32 reader, const char *cluster)
{
	static const Oid types[] = {INT4OID, TEXTOID};
	Datum values[] = {Int32GetDatum(reader), CStringGetTextDatum(cluster)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute("UPDATE streamx.readers SET cluster = $2 WHERE reader = $1", 2, types, values,
				   NULL, false);
	sx_spi_end(&spi);
}

SxPartition *
sx_reader_partition(SxReader *reader, int32 partition)
{
	int slot = find_slot(reader, partition);

	if (slot < reader->npartitions && reader->partitions[slot].partition == partition)
		return &reader->partitions[slot];
	return NULL;
}

SxPartition *
sx_reader_add_partition(SxReader *reader, int32 partition, int64 start_offset)
{
	int slot = find_slot(reader, partition);
	SxPartition *added;

	if (slot < reader->npartitions && reader->partitions[slot].partition == partition)
		elog(ERROR, "reader %d already has partition %d", reader->id, partition);
	if (reader->npartitions == reader->partitions_size)
	{
		int size = Max(reader->partitions_size * 2, INITIAL_PARTITIONS);

		reader->partitions = reader->partitions == NULL
								 ? MemoryContextAlloc(reader->context, size * sizeof(SxPartition))
								 : repalloc(reader->partitions, size * sizeof(SxPartition));
		reader->partitions_size = size;
	}
	added = &reader->partitions[slot];
	memmove(added + 1, added, (reader->npartitions - slot) * sizeof(SxPartition));
	reader->npartitions++;
	*added = (SxPartition){.partition = partition,
						   .start_offset = start_offset,
						   .stored_offset = start_offset,
						   .next_offset = start_offset,
						   .event_time = DT_NOBEGIN,
						   .last_offset = -1,
						   .is_new = true};
	return added;
}

void
sx_progress_save(SxReader *reader)
{
	static const char *const update =
		"UPDATE streamx.progress AS p SET next_offset = n.next_offset, "
		"event_time = GREATEST(p.event_time, n.event_time), watermark = GREATEST(p.watermark, $7), "
		"last_offset = NULLIF(n.last_offset, -1), "
		"fingerprint = CASE WHEN n.last_offset >= 0 THEN n.fingerprint END, "
		"filtered = n.filtered "
		"FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), "
		"pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($8), "
		"pg_catalog.unnest($9), pg_catalog.unnest($10)) "
		"AS n (\"partition\", stored_offset, next_offset, event_time, last_offset, fingerprint, "
		"filtered) "
		"WHERE p.reader = $1 AND p.topic = $2 AND p.\"partition\" = n.\"partition\" "
		"AND p.next_offset = n.stored_offset";
	static const char *const insert =
		/* the reader stays, or nothing is added; who has an older snapshot of it meets 40001 */
		"WITH own AS (UPDATE streamx.readers AS r SET paused = r.paused "
		"WHERE r.reader = $1 RETURNING r.reader) "
		"INSERT INTO streamx.progress (reader, topic, \"partition\", start_offset, next_offset, "
		"event_time, watermark, last_offset, fingerprint, filtered) "
		"SELECT own.reader, $2, n.\"partition\", n.start_offset, n.next_offset, n.event_time, $7, "
		"NULLIF(n.last_offset, -1), CASE WHEN n.last_offset >= 0 THEN n.fingerprint END, "
		"n.filtered "
		"FROM own, ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), "
		"pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($8), "
		"pg_catalog.unnest($9), pg_catalog.unnest($10)) "
		"AS n (\"partition\", start_offset, next_offset, event_time, last_offset, fingerprint, "
		"filtered) "
		"ON CONFLICT (reader, topic, \"partition\") DO NOTHING";
	SxPartition **moved = palloc(reader->npartitions * sizeof(SxPartition *));
	SxPartition **added = palloc(reader->npartitions * sizeof(SxPartition *));
	int nmoved = 0;
	int nadded = 0;
	uint64 saved = 0;
	SxSpi spi;
	int i;

	for (i = 0; i < reader->npartitions; i++)
	{
		SxPartition *partition = &reader->partitions[i];

		if (partition->is_new)
			added[nadded++] = partition;
		else if (must_save(reader, partition))
			moved[nmoved++] = partition;
	}
	/* the watermark moved alone: any row can hold it */
	if (nmoved + nadded == 0 && reader->npartitions > 0 &&
		reader->watermark > reader->stored_watermark)
		moved[nmoved++] = &reader->partitions[0];
	if (nmoved + nadded == 0)
		return;

	sx_spi_begin(&spi);
	if (nmoved <= FEW_PARTITIONS)
		for (i = 0; i < nmoved; i++)
			saved += move_one(reader, moved[i]);
	else
		saved += save_many(reader, moved, nmoved, update, false);
	if (nadded > 0)
		saved += save_many(reader, added, nadded, insert, true);
	sx_spi_end(&spi);
	if (saved != nmoved + nadded)
		fail_moved(reader);

	for (i = 0; i < reader->npartitions; i++)
	{
		reader->partitions[i].stored_offset = reader->partitions[i].next_offset;
		reader->partitions[i].is_new = false;
		reader->partitions[i].is_changed = false;
	}
	reader->stored_watermark = reader->watermark;
	pfree(moved);
	pfree(added);
}

void
sx_progress_leap(SxReader *reader, int32 partition, int64 offset)
{
	SxPartition *leaping = sx_reader_partition(reader, partition);

	leaping->next_offset = offset;
	leaping->last_offset = -1;
	sx_progress_save(reader);
}

/* From the rows in SPI_tuptable; allocated in context. */
static SxReader *
read_reader(int32 id, uint64 nrows, MemoryContext context)
{
	TupleDesc tupdesc = SPI_tuptable->tupdesc;
	HeapTuple first = SPI_tuptable->vals[0];
	MemoryContext old = MemoryContextSwitchTo(context);
	SxReader *reader = palloc0(sizeof(SxReader));
	bool isnull;
	uint64 i;

	reader->id = id;
	reader->context = context;
	reader->stream = DatumGetObjectId(SPI_getbinval(first, tupdesc, 1, &isnull));
	reader->topic = TextDatumGetCString(SPI_getbinval(first, tupdesc, 2, &isnull));
	reader->paused = DatumGetBool(SPI_getbinval(first, tupdesc, 3, &isnull));
	reader->cluster = SPI_getvalue(first, tupdesc, 12);
	reader->views = oid_array_to_list(SPI_getbinval(first, tupdesc, 4, &isnull));
	reader->watermark = DT_NOBEGIN;
	for (i = 0; i < nrows; i++)
		read_partition(reader, SPI_tuptable->vals[i], tupdesc);
	reader->stored_watermark = reader->watermark;
	MemoryContextSwitchTo(old);
	return reader;
}

static void
read_partition(SxReader *reader, HeapTuple tuple, TupleDesc tupdesc)
{
	SxPartition *partition;
	bool isnull;
	Datum number = SPI_getbinval(tuple, tupdesc, 5, &isnull);

	if (isnull)
		return;
	partition = sx_reader_add_partition(reader, DatumGetInt32(number),
										DatumGetInt64(SPI_getbinval(tuple, tupdesc, 6, &isnull)));
	partition->next_offset = DatumGetInt64(SPI_getbinval(tuple, tupdesc, 7, &isnull));
	partition->stored_offset = partition->next_offset;
	partition->event_time = time_or_none(tuple, tupdesc, 8);
	partition->last_offset = int8_or(tuple, tupdesc, 10, -1);
	partition->fingerprint = int8_or(tuple, tupdesc, 11, 0);
	partition->filtered = int8_or(tuple, tupdesc, 13, 0);
	partition->is_new = false;
	reader->watermark = Max(reader->watermark, time_or_none(tuple, tupdesc, 9));
}

static List *
oid_array_to_list(Datum array)
{
	List *list = NIL;
	Datum *elements;
	int count;
	int i;

	deconstruct_array(DatumGetArrayTypeP(array), OIDOID, sizeof(Oid), true, TYPALIGN_INT, &elements,
					  NULL, &count);
	for (i = 0; i < count; i++)
		list = lappend_oid(list, DatumGetObjectId(elements[i]));
	list_sort(list, list_oid_cmp);
	return list;
}

static int64
time_or_none(HeapTuple tuple, TupleDesc tupdesc, int column)
{
	bool isnull;
	Datum value = SPI_getbinval(tuple, tupdesc, column, &isnull);

	return isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
}

static int64
int8_or(HeapTuple tuple, TupleDesc tupdesc, int column, int64 otherwise)
{
	bool isnull;
	Datum value = SPI_getbinval(tuple, tupdesc, column, &isnull);

	return isnull ? otherwise : DatumGetInt64(value);
}

/* Where a partition is, or where it should be inserted. */
static int
find_slot(const SxReader *reader, int32 partition)
{
	int low = 0;
	int high = reader->npartitions;

	/* partitions are numbered from 0, and mostly all there */
	if (partition >= 0 && partition < high && reader->partitions[partition].partition == partition)
		return partition;
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (reader->partitions[middle].partition < partition)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
must_save(const SxReader *reader, const SxPartition *partition)
{
	return partition->is_changed || partition->next_offset != partition->stored_offset;
}

/* Compare-and-set one partition; returns the number of rows that were found as expected. */
static uint64
move_one(const SxReader *reader, const SxPartition *partition)
{
	static const Oid types[] = {INT4OID,		TEXTOID,		INT4OID, INT8OID, INT8OID,
								TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID, INT8OID};
	Datum values[] = {Int32GetDatum(reader->id),
					  CStringGetTextDatum(reader->topic),
					  Int32GetDatum(partition->partition),
					  Int64GetDatum(partition->stored_offset),
					  Int64GetDatum(partition->next_offset),
					  TimestampTzGetDatum(partition->event_time),
					  TimestampTzGetDatum(reader->watermark),
					  Int64GetDatum(partition->last_offset),
					  Int64GetDatum(partition->fingerprint),
					  Int64GetDatum(partition->filtered)};
	bool nulls[lengthof(types)] = {false};

	nulls[5] = partition->event_time == DT_NOBEGIN;
	nulls[6] = reader->watermark == DT_NOBEGIN;
	nulls[7] = nulls[8] = partition->last_offset < 0;
	return sx_spi_execute("UPDATE streamx.progress AS p SET next_offset = $5, "
						  "event_time = GREATEST(p.event_time, $6), "
						  "watermark = GREATEST(p.watermark, $7), "
						  "last_offset = $8, fingerprint = $9, filtered = $10 "
						  "WHERE p.reader = $1 AND p.topic = $2 AND p.\"partition\" = $3 "
						  "AND p.next_offset = $4",
						  lengthof(types), types, values, nulls, false);
}

static Datum
int8_array(Datum *elements, int count)
{
	return PointerGetDatum(
		construct_array(elements, count, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/*
 * Update or insert many partitions by one statement, whose parameters are
 * arrays; $4 is the stored offset, or where a new partition starts.
 */
static uint64
save_many(const SxReader *reader, SxPartition *const *partitions, int count, const char *statement,
		  bool is_new)
{
	static const Oid types[] = {
		INT4OID,		TEXTOID,	  INT4ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID,
		TIMESTAMPTZOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID};
	int lower_bound = 1;
	Datum *number = palloc(count * sizeof(Datum));
	Datum *from = palloc(count * sizeof(Datum));
	Datum *to = palloc(count * sizeof(Datum));
	Datum *last = palloc(count * sizeof(Datum));
	Datum *fingerprint = palloc(count * sizeof(Datum));
	Datum *event_time = palloc(count * sizeof(Datum));
	bool *no_event_time = palloc(count * sizeof(bool));
	Datum *filtered = palloc(count * sizeof(Datum));
	Datum values[lengthof(types)];
	bool nulls[lengthof(types)] = {false};
	int i;

	for (i = 0; i < count; i++)
	{
		number[i] = Int32GetDatum(partitions[i]->partition);
		from[i] =
			Int64GetDatum(is_new ? partitions[i]->start_offset : partitions[i]->stored_offset);
		to[i] = Int64GetDatum(partitions[i]->next_offset);
		last[i] = Int64GetDatum(partitions[i]->last_offset);
		fingerprint[i] = Int64GetDatum(partitions[i]->fingerprint);
		event_time[i] = TimestampTzGetDatum(partitions[i]->event_time);
		no_event_time[i] = partitions[i]->event_time == DT_NOBEGIN;
		filtered[i] = Int64GetDatum(partitions[i]->filtered);
	}
	values[0] = Int32GetDatum(reader->id);
	values[1] = CStringGetTextDatum(reader->topic);
	values[2] = PointerGetDatum(construct_array(number, count, INT4OID, 4, true, TYPALIGN_INT));
	values[3] = int8_array(from, count);
	values[4] = int8_array(to, count);
	values[5] =
		PointerGetDatum(construct_md_array(event_time, no_event_time, 1, &count, &lower_bound,
										   TIMESTAMPTZOID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	values[6] = TimestampTzGetDatum(reader->watermark);
	nulls[6] = reader->watermark == DT_NOBEGIN;
	values[7] = int8_array(last, count);
	values[8] = int8_array(fingerprint, count);
	values[9] = int8_array(filtered, count);
	return sx_spi_execute(statement, lengthof(types), types, values, nulls, false);
}

static void
fail_moved(const SxReader *reader)
{
	char *name = get_rel_name(reader->stream);

	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("stream \"%s\" was moved by somebody else", name ? name : "?"),
			 errdetail("The positions of reader %d are not those that were read.", reader->id)));
}
