/*
 * consumer.c
 *	  A reader at work: its source, where it stands, and the messages that will
 *	  be its next micro-batch.
 *
 *	     committed             reader->next_offset          source
 *	  -------|------------------------|-----------------------|------> offset
 *	          messages of the batch     (moved by advance)      fetched ahead
 *
 * The source is ahead of the reader, the reader moves when a batch runs, and
 * committed follows when the transaction did.
 */
#include "compat.h"

#include "worker/consumer.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "batch/connect.h"
#include "batch/scan.h"
#include "catalog/skip.h"
#include "catalog/spi.h"
#include "worker/held.h"
#include "worker/part.h"
#include "worker/silence.h"

#define MIN_MESSAGES 1024

/* What a message taken from librdkafka costs beside its bytes, and a row's own arrays. */
#define MESSAGE_OVERHEAD 512

/* ---- opening ---- */

/* Moves whenever a server, a user mapping or a foreign table's options change. */
static uint64 connection_changes = 0;

static void
note_connection_change(Datum arg, int cacheid, uint32 hashvalue)
{
	connection_changes++;
}

static void
watch_connections(void)
{
	static bool is_registered = false;

	if (is_registered)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, note_connection_change, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, note_connection_change, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNTABLEREL, note_connection_change, (Datum) 0);
	is_registered = true;
}

/* Where a reader's views want it to begin. */
static char *
load_start(int32 reader)
{
	static const char *const statement =
		"SELECT v.start FROM streamx.views v JOIN streamx.view_streams s USING (view)"
		" WHERE s.reader = $1 ORDER BY v.view LIMIT 1";
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(reader)};
	MemoryContext caller = CurrentMemoryContext;
	char *start = NULL;
	bool isnull;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute(statement, 1, types, values, NULL, true) > 0)
	{
		Datum value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
		MemoryContext old = MemoryContextSwitchTo(caller);

		start = TextDatumGetCString(value);
		MemoryContextSwitchTo(old);
	}
	sx_spi_end(&spi);
	return start ? start : pstrdup("earliest");
}

/* Whether the watermark of a reader says anything about its views. */
static bool
load_has_windows(int32 reader)
{
	static const char *const statement =
		"SELECT FROM streamx.views v JOIN streamx.view_streams s USING (view)"
		" WHERE s.reader = $1 AND v.window_kind OPERATOR(pg_catalog.<>) 'global' LIMIT 1";
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(reader)};
	bool has_windows;
	SxSpi spi;

	sx_spi_begin(&spi);
	has_windows = sx_spi_execute(statement, 1, types, values, NULL, true) > 0;
	sx_spi_end(&spi);
	return has_windows;
}

Oid
sx_stream_owner(Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("stream with OID %u does not exist", relid)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Open the source with what the stream's owner may use. */
static void
connect_source(SxConsumer *consumer)
{
	const SxStream *stream = consumer->stream;
	char *client_id =
		psprintf("streamx-%u-%u-%d", MyDatabaseId, stream->relid, consumer->reader->id);

	watch_connections();
	consumer->connection_changes = connection_changes;
	consumer->owner = sx_stream_owner(stream->relid);
	consumer->source =
		sx_connect(stream, consumer->owner, consumer->queue_bytes, client_id, consumer->context);
}

bool
sx_consumer_reads(const SxConsumer *consumer, int32 partition)
{
	return partition % consumer->part.count == consumer->part.number;
}

void
sx_consumer_remember(SxConsumer *consumer)
{
	SxReader *reader = consumer->reader;
	Size size = sizeof(SxPartition) * Max(reader->npartitions, 1);

	if (consumer->ncommitted < reader->npartitions || consumer->committed == NULL)
	{
		if (consumer->committed)
			pfree(consumer->committed);
		consumer->committed = MemoryContextAlloc(consumer->context, size);
	}
	/* a topic that is not known yet has none, and nothing to copy them from */
	if (reader->npartitions > 0)
		memcpy(consumer->committed, reader->partitions, sizeof(SxPartition) * reader->npartitions);
	consumer->ncommitted = reader->npartitions;
	consumer->committed_watermark = reader->watermark;
	consumer->views = reader->views;
	sx_silence_align(consumer);
}

/* Whether a reader just loaded stands where the consumer left it, in its part. */
static bool
is_where(SxReader *reader, const SxConsumer *consumer)
{
	if (reader->paused || strcmp(reader->topic, consumer->reader->topic) != 0)
		return false;
	for (int i = 0; i < consumer->ncommitted; i++)
	{
		const SxPartition *left = &consumer->committed[i];
		const SxPartition *now = sx_reader_partition(reader, left->partition);

		if (now == NULL ||
			(sx_consumer_reads(consumer, left->partition) && now->next_offset != left->next_offset))
			return false;
	}
	return true;
}

void
sx_consumer_start(SxConsumer *consumer)
{
	const SxReader *reader = consumer->reader;
	Bitmapset *is_read = NULL;
	int count;
	const SxSourcePartition *sources = sx_source_partitions(consumer->source, &count);

	for (int i = 0; i < count; i++)
		is_read = bms_add_member(is_read, sources[i].partition);
	for (int i = 0; i < reader->npartitions; i++)
	{
		const SxPartition *partition = &reader->partitions[i];

		if (sx_consumer_reads(consumer, partition->partition) &&
			!bms_is_member(partition->partition, is_read))
			sx_source_resume(consumer->source, partition->partition, partition->next_offset,
							 &(SxSourceMark){.offset = partition->last_offset,
											 .fingerprint = partition->fingerprint});
	}
	bms_free(is_read);
}

/* A shadow is alone on its reader. */
static void
load_shadow(SxConsumer *consumer)
{
	static const char *const statement =
		"SELECT v.view, v.shadow_of, o.reader FROM streamx.view_streams s"
		" JOIN streamx.views v USING (view) JOIN streamx.view_streams o ON o.view = v.shadow_of"
		" WHERE s.reader = $1";
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(consumer->reader->id)};
	int32 followed = 0;
	bool isnull;
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute(statement, 1, types, values, NULL, true) > 0)
	{
		HeapTuple row = SPI_tuptable->vals[0];
		TupleDesc desc = SPI_tuptable->tupdesc;

		consumer->shadow = DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull));
		consumer->shadow_of = DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull));
		followed = DatumGetInt32(SPI_getbinval(row, desc, 3, &isnull));
	}
	else
		consumer->shadow = consumer->shadow_of = InvalidOid;
	sx_spi_end(&spi);
	consumer->followed = followed != 0 ? sx_reader_load(followed) : NULL;
}

/* What is to be skipped that has yet to come: a rebuild begins before it. */
static void
load_skips(SxConsumer *consumer)
{
	static const char *const statement =
		"SELECT DISTINCT k.\"partition\", k.from_offset, k.to_offset FROM streamx.view_streams s"
		" JOIN streamx_internal.skip k USING (view)"
		" JOIN streamx.progress p USING (reader, topic, \"partition\")"
		" WHERE s.reader = $1 AND k.is_asked AND k.to_offset > p.next_offset";
	Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(consumer->reader->id)};
	MemoryContext caller = CurrentMemoryContext;
	SxSpi spi;

	sx_spi_begin(&spi);
	consumer->nskips = (int) sx_spi_execute(statement, 1, types, values, NULL, true);
	consumer->skips = MemoryContextAlloc(caller, sizeof(SxScanRange) * Max(consumer->nskips, 1));
	for (int i = 0; i < consumer->nskips; i++)
	{
		HeapTuple row = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		bool isnull;

		consumer->skips[i] =
			(SxScanRange){.partition = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull)),
						  .first = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull)),
						  .end = DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull))};
	}
	sx_spi_end(&spi);
}

/* Stream, reader and batch, as the catalog has them now, in a context of their own; or false. */
static bool
load(SxConsumer *consumer, int32 id)
{
	MemoryContext context =
		AllocSetContextCreate(consumer->context, "streamx reader", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	SxReader *reader = sx_reader_load(id);

	if (reader == NULL || (consumer->reader && !is_where(reader, consumer)))
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		return false;
	}
	consumer->reader = reader;
	consumer->stream = sx_stream_open(reader->stream);
	consumer->batch = sx_batch_create(consumer->stream, context);
	consumer->start = load_start(id);
	consumer->has_windows = consumer->stream->idle_advance && load_has_windows(id);
	load_shadow(consumer);
	load_skips(consumer);
	MemoryContextSwitchTo(old);
	if (consumer->reader_context)
		MemoryContextDelete(consumer->reader_context);
	consumer->reader_context = context;
	sx_consumer_remember(consumer);
	return true;
}

SxConsumer *
sx_consumer_open(int32 id, SxPart part, int64 queue_bytes, MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "streamx consumer", ALLOCSET_DEFAULT_SIZES);
	SxConsumer *consumer = MemoryContextAllocZero(context, sizeof(SxConsumer));

	consumer->context = context;
	consumer->part = part;
	consumer->queue_bytes = queue_bytes;
	if (!load(consumer, id))
	{
		MemoryContextDelete(context);
		return NULL;
	}
	consumer->messages_size = MIN_MESSAGES;
	consumer->messages = MemoryContextAlloc(context, sizeof(SxMessage) * MIN_MESSAGES);
	/* messages may come before anybody else says where it is to stop */
	sx_consumer_limit(consumer, consumer->followed);
	connect_source(consumer);
	sx_consumer_start(consumer);
	return consumer;
}

void
sx_consumer_close(SxConsumer *consumer)
{
	sx_consumer_drop(consumer);
	sx_source_close(consumer->source);
	MemoryContextDelete(consumer->context);
}

/* Whether what was taken already may be what is to be skipped, or lie beyond where a shadow may go now. */
static bool
has_taken_too_much(const SxConsumer *consumer)
{
	return (consumer->nskips > 0 || OidIsValid(consumer->shadow)) &&
		   consumer->nmessages + consumer->nheld > 0;
}

/* Whether it reads some partition no further, which may no longer be right. */
static bool
has_stopped(const SxConsumer *consumer)
{
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(consumer->source, &count);

	for (int i = 0; i < count; i++)
		if (partitions[i].is_stopped)
			return true;
	return false;
}

bool
sx_consumer_refresh(SxConsumer *consumer)
{
	if (!load(consumer, consumer->reader->id) || has_taken_too_much(consumer) ||
		has_stopped(consumer) || consumer->connection_changes != connection_changes ||
		consumer->owner != sx_stream_owner(consumer->stream->relid))
		return false;
	sx_consumer_start(consumer);
	return true;
}

void
sx_consumer_reload(SxConsumer *consumer)
{
	SxReader *reader = consumer->reader;
	SxReader *now;

	if (consumer->part.count == 1)
		return;
	now = sx_reader_load(reader->id);
	if (now == NULL || !is_where(now, consumer) || now->npartitions != reader->npartitions)
		ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						errmsg("another worker has moved reader %d", reader->id)));
	for (int i = 0; i < reader->npartitions; i++)
	{
		if (!sx_consumer_reads(consumer, reader->partitions[i].partition))
			reader->partitions[i] = now->partitions[i];
	}
	reader->watermark = reader->stored_watermark = now->watermark;
}

/* ---- messages ---- */

static void
make_room(SxConsumer *consumer, int count)
{
	int size = consumer->messages_size;

	while (size < count)
		size = size > INT_MAX / 2 ? count : size * 2;
	if (size == consumer->messages_size)
		return;
	consumer->messages = repalloc_huge(consumer->messages, sizeof(SxMessage) * size);
	consumer->messages_size = size;
}

/* Note when rows came, by partition. */
static void
note_arrival(SxConsumer *consumer, int from)
{
	const SxPartition *partition = NULL;

	for (int i = from; i < consumer->nmessages; i++)
	{
		const SxMessage *message = &consumer->messages[i];

		if (partition == NULL || partition->partition != message->partition)
		{
			partition = sx_reader_partition(consumer->reader, message->partition);
			if (partition == NULL)
				continue;
			/* of those that are filtered it is not known yet which are rows */
			if (consumer->stream->filter == NULL)
				sx_silence_break(consumer, partition - consumer->reader->partitions);
		}
		consumer->bytes += message->payload_length + message->key_length;
	}
	consumer->bytes += (size_t) (consumer->nmessages - from) *
					   (MESSAGE_OVERHEAD + sizeof(SxMessage) +
						consumer->stream->ncolumns * (sizeof(Datum) + sizeof(bool)));
}

/* Give back messages that are to be skipped, of those taken last. */
static void
drop_skipped(SxConsumer *consumer, int from)
{
	int kept = from;

	for (int i = from; consumer->nskips > 0 && i < consumer->nmessages; i++)
	{
		SxMessage *message = &consumer->messages[i];

		if (sx_scan_find_range(consumer->skips, consumer->nskips, message->partition,
							   message->offset))
			sx_source_release(consumer->source, message, 1);
		else
			consumer->messages[kept++] = *message;
	}
	if (consumer->nskips > 0)
		consumer->nmessages = kept;
}

static void
collect(SxConsumer *consumer, int max_rows, size_t max_bytes, int timeout_ms)
{
	int before = consumer->nmessages;

	if (consumer->nheld > 0)
	{
		make_room(consumer, consumer->nmessages + consumer->nheld);
		sx_held_take(consumer, max_rows);
		note_arrival(consumer, before);
	}
	if (sx_held_is_enough(consumer))
		return;

	while (consumer->nmessages < max_rows && consumer->bytes < max_bytes)
	{
		int from = consumer->nmessages;
		int wanted = Min(max_rows - from, Max(MIN_MESSAGES, consumer->messages_size / 2));
		int came;

		make_room(consumer, from + wanted);
		came = sx_source_poll(consumer->source, &consumer->messages[from], wanted,
							  max_bytes - consumer->bytes, timeout_ms);
		consumer->nmessages += came;
		drop_skipped(consumer, from);
		if (consumer->limits || consumer->nheld > 0)
			sx_held_back(consumer, from, max_rows);
		note_arrival(consumer, from);
		if (came < wanted || consumer->nmessages < from + came)
			break;
		timeout_ms = 0;
	}
}

int
sx_consumer_collect(SxConsumer *consumer, int max_rows, size_t max_bytes, int timeout_ms)
{
	int before = consumer->nmessages;

	collect(consumer, max_rows, max_bytes, timeout_ms);
	consumer->heard_us = sx_now_us(); /* not before the rows that came */
	return consumer->nmessages - before;
}

int64
sx_consumer_lag(const SxConsumer *consumer)
{
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(consumer->source, &count);
	int64 lag = consumer->nheld;

	for (int i = 0; i < count; i++)
		if (partitions[i].end_offset > partitions[i].next_offset)
			lag += partitions[i].end_offset - partitions[i].next_offset;
	return lag;
}

bool
sx_consumer_is_at_end(const SxConsumer *consumer)
{
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(consumer->source, &count);

	for (int i = 0; i < count; i++)
		if (!partitions[i].at_end)
			return false;
	/* there may be more workers than partitions */
	return (count > 0 || (consumer->part.count > 1 && consumer->reader->npartitions > 0)) &&
		   consumer->nheld == 0;
}

/* ---- news ---- */

/* The last message of each partition, by which its log will be known again. */
static void
note_last(SxConsumer *consumer)
{
	const SxMessage *messages = consumer->messages;

	for (int i = 0; i < consumer->nmessages; i++)
	{
		SxPartition *partition;

		if (i + 1 < consumer->nmessages && messages[i + 1].partition == messages[i].partition)
			continue;
		partition = sx_reader_partition(consumer->reader, messages[i].partition);
		if (partition == NULL)
			continue;
		partition->last_offset = messages[i].offset;
		partition->fingerprint = sx_source_fingerprint(&messages[i]);
	}
}

/* Copy what the source knows into the reader. */
void
sx_consumer_advance(SxConsumer *consumer)
{
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(consumer->source, &count);

	note_last(consumer);
	for (int i = 0; i < count; i++)
	{
		SxPartition *partition = sx_reader_partition(consumer->reader, partitions[i].partition);

		if (partition == NULL)
			continue;
		/*
		 * A position that librdkafka has yet to resolve is none.  One in front of a gap is: what was
		 * taken before the gap is in this batch.
		 */
		if (partitions[i].next_offset >= 0)
			partition->next_offset = partitions[i].next_offset;
		partition->at_end = partitions[i].at_end;
		/* not as of now: we may have waited long for the stream's lock, and heard nothing */
		partition->is_silent = sx_silence_is_silent(
			consumer, partition - consumer->reader->partitions, consumer->heard_us);
	}
	sx_held_stop(consumer);
	sx_part_judge(consumer);
}

/* Look ahead to what a batch without rows would do.  Of several workers one moves the watermark. */
bool
sx_consumer_has_news(SxConsumer *consumer)
{
	SxReader *reader = consumer->reader;
	bool has_news = false;

	sx_consumer_advance(consumer);
	for (int i = 0; i < reader->npartitions; i++)
		has_news =
			has_news || reader->partitions[i].next_offset != consumer->committed[i].next_offset;
	has_news = has_news || (consumer->part.number == 0 && sx_silence_moves_watermark(consumer));
	sx_consumer_rollback(consumer);
	return has_news;
}

int64
sx_consumer_clock_due(SxConsumer *consumer)
{
	int64 due;

	if (!consumer->stream->idle_advance || consumer->part.number > 0)
		return PG_INT64_MAX;
	sx_consumer_advance(consumer);
	due = sx_silence_clock_due(consumer);
	sx_consumer_rollback(consumer);
	return due;
}

/* ---- the end of a batch ---- */

/* Forget the rows of the batch, not its messages. */
static void
reset_batch(SxConsumer *consumer)
{
	sx_prepared_free(consumer->prepared);
	consumer->prepared = NULL;
	sx_batch_reset(consumer->batch);
}

static void
release(SxConsumer *consumer)
{
	reset_batch(consumer);
	sx_source_release(consumer->source, consumer->messages, consumer->nmessages);
	consumer->nmessages = 0;
	consumer->bytes = 0;
}

void
sx_consumer_commit(SxConsumer *consumer)
{
	/* the batch's own list lies in its memory; if a view left, refresh will tell */
	consumer->reader->views = consumer->views;
	sx_consumer_remember(consumer);
	release(consumer);
}

void
sx_consumer_rollback(SxConsumer *consumer)
{
	SxReader *reader = consumer->reader;

	reset_batch(consumer);
	/* partitions are only ever added, in a transaction of their own */
	if (consumer->ncommitted > 0)
		memcpy(reader->partitions, consumer->committed, sizeof(SxPartition) * consumer->ncommitted);
	reader->npartitions = consumer->ncommitted;
	reader->watermark = reader->stored_watermark = consumer->committed_watermark;
	reader->views = consumer->views;
}

void
sx_consumer_drop(SxConsumer *consumer)
{
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(consumer->source, &count);

	release(consumer);
	sx_source_release(consumer->source, consumer->held, consumer->nheld);
	consumer->nheld = 0;
	consumer->held_bytes = 0;
	for (int i = 0; i < count; i++)
	{
		SxPartition *partition = sx_reader_partition(consumer->reader, partitions[i].partition);

		if (partition != NULL && partition->next_offset != partitions[i].next_offset)
			sx_source_seek(consumer->source, partition->partition, partition->next_offset);
	}
}

/* ---- gaps ---- */

bool
sx_consumer_gap(const SxConsumer *consumer, SxGap *gap)
{
	int count;
	const SxSourcePartition *partitions = sx_source_partitions(consumer->source, &count);

	for (int i = 0; i < count; i++)
	{
		if (!partitions[i].has_gap)
			continue;
		gap->partition = partitions[i].partition;
		gap->from = partitions[i].next_offset;
		gap->to = partitions[i].gap_low;
		gap->is_other_log = partitions[i].is_other_log;
		gap->is_recorded = false;
		return true;
	}
	return false;
}

char *
sx_consumer_gap_message(const SxConsumer *consumer, const SxGap *gap)
{
	const char *topic = consumer->reader->topic;
	const char *stream = consumer->stream->name;

	if (gap->is_other_log)
		return psprintf("partition %d of Kafka topic \"%s\" has another record before offset"
						" " INT64_FORMAT " than was read there: the topic was made anew, or cut"
						" and written again (stream \"%s\")",
						gap->partition, topic, gap->from, stream);
	if (gap->to < gap->from)
		return psprintf("offset " INT64_FORMAT " of partition %d of Kafka topic \"%s\" lies beyond"
						" the log, which begins at " INT64_FORMAT
						": it was truncated or made anew (stream \"%s\")",
						gap->from, gap->partition, topic, gap->to, stream);
	return psprintf("offsets " INT64_FORMAT " to " INT64_FORMAT
					" of partition %d of Kafka topic \"%s\" are gone (stream \"%s\")",
					gap->from, gap->to - 1, gap->partition, topic, stream);
}

void
sx_consumer_skip(SxConsumer *consumer, const SxGap *gap)
{
	SxReader *reader = consumer->reader;

	if (gap->is_other_log || gap->to < gap->from)
		sx_skip_leave_log(reader, gap->partition);
	if (!gap->is_recorded)
		sx_skip_record(reader, gap->partition, gap->from, gap->to, false);
	sx_progress_leap(reader, gap->partition, gap->to);
}

bool
sx_consumer_skips(const SxConsumer *consumer, int32 partition, int64 offset, SxGap *gap)
{
	const SxScanRange *skip =
		sx_scan_find_range(consumer->skips, consumer->nskips, partition, offset);

	if (skip == NULL)
		return false;
	*gap = (SxGap){.partition = partition, .from = offset, .to = skip->end, .is_recorded = true};
	return true;
}

void
sx_consumer_leap(SxConsumer *consumer, const SxGap *gap)
{
	sx_consumer_remember(consumer);
	sx_source_seek(consumer->source, gap->partition, gap->to);
}
