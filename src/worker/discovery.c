/*
 * discovery.c
 *	  Which partitions a topic has, where a reader begins in each, and whether
 *	  this is still the topic that was read.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/timestamp.h"

#include "catalog/option.h"
#include "catalog/spi.h"
#include "worker/consumer.h"

/* Where a partition begins for this reader; false: see *error. */
static bool
find_start(SxConsumer *consumer, int32 partition, bool is_first, int timeout_ms, int64 *offset,
		   char **error)
{
	int64 low;
	int64 high;
	const char *start = is_first ? consumer->start : "earliest";

	if (strcmp(start, "earliest") == 0 || strcmp(start, "latest") == 0)
	{
		if (!sx_source_range(consumer->source, partition, timeout_ms, &low, &high, error))
			return false;
		*offset = strcmp(start, "latest") == 0 ? high : low;
		return true;
	}
	else
	{
		TimestampTz at = sx_option_start_time(start);
		int64 epoch_ms = (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY * 1000;

		return sx_source_offset_at(consumer->source, partition, at / 1000 + epoch_ms, timeout_ms,
								   offset, error);
	}
}

static int
compare_numbers(const void *a, const void *b)
{
	int32 left = *(const int32 *) a;
	int32 right = *(const int32 *) b;

	return (left > right) - (left < right);
}

/* Whether the cluster's name is not yet stored. */
static bool
is_news(const SxConsumer *consumer, const char *cluster)
{
	return cluster &&
		   (consumer->reader->cluster == NULL || strcmp(cluster, consumer->reader->cluster) != 0);
}

/* Whether this is not the topic that was read before: says how. */
static const char *
refuse(const SxConsumer *consumer, const int32 *numbers, int count, const char *cluster)
{
	const SxReader *reader = consumer->reader;

	for (int i = 0; i < reader->npartitions; i++)
	{
		int32 known = reader->partitions[i].partition;

		if (bsearch(&known, numbers, count, sizeof(int32), compare_numbers) == NULL)
			return psprintf("partition %d of Kafka topic \"%s\", which was read up to offset"
							" " INT64_FORMAT ", is gone: the topic was made anew (stream \"%s\")",
							known, reader->topic, reader->partitions[i].next_offset,
							consumer->stream->name);
	}
	if (cluster && reader->cluster && strcmp(cluster, reader->cluster) != 0 &&
		!consumer->stream->skips_gaps)
		return psprintf("Kafka topic \"%s\" was read from cluster \"%s\", and the brokers belong to"
						" cluster \"%s\" (stream \"%s\")",
						reader->topic, reader->cluster, cluster, consumer->stream->name);
	return NULL;
}

bool
sx_consumer_discover(SxConsumer *consumer, int timeout_ms, SxDiscovery *discovery)
{
	bool is_first = consumer->reader->npartitions == 0;
	char *error = NULL;
	int32 *numbers;
	int nnumbers = sx_source_list_partitions(consumer->source, timeout_ms, &numbers, &error);

	memset(discovery, 0, sizeof(*discovery));
	if (nnumbers < 0)
	{
		discovery->error = error ? error : "no answer";
		sx_source_distrust(consumer->source);
		return false;
	}
	discovery->cluster = sx_source_cluster(consumer->source);
	discovery->refusal = refuse(consumer, numbers, nnumbers, discovery->cluster);
	if (discovery->refusal)
		return false;
	discovery->partitions = palloc0(sizeof(SxPartition) * (nnumbers + 1));
	for (int i = 0; i < nnumbers; i++)
	{
		SxPartition *partition = &discovery->partitions[discovery->count];

		/* a shadow gets them from its view, to begin where that began */
		if (OidIsValid(consumer->shadow) ||
			sx_reader_partition(consumer->reader, numbers[i]) != NULL)
			continue;
		partition->partition = numbers[i];
		if (!find_start(consumer, numbers[i], is_first, timeout_ms, &partition->start_offset,
						&error))
		{
			discovery->error = error;
			return false;
		}
		discovery->count++;
	}
	return discovery->count > 0 || is_news(consumer, discovery->cluster);
}

/* Rebuilds that are under way, of views of this reader, begin where these begin. */
static void
add_for_shadows(const SxConsumer *consumer)
{
	static const Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(consumer->reader->id)};
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute("INSERT INTO streamx.progress"
					   " (reader, topic, \"partition\", start_offset, next_offset)"
					   " SELECT s.reader, p.topic, p.\"partition\", p.start_offset, p.start_offset"
					   " FROM streamx.progress p JOIN streamx.view_streams o USING (reader)"
					   " JOIN streamx.views v ON v.shadow_of = o.view"
					   " JOIN streamx.view_streams s ON s.view = v.view"
					   " JOIN streamx.readers r ON r.reader = s.reader"
					   " WHERE p.reader = $1 AND NOT EXISTS (SELECT FROM streamx.progress q"
					   "  WHERE q.reader = s.reader AND q.\"partition\" = p.\"partition\")"
					   " FOR KEY SHARE OF r",
					   lengthof(types), types, values, NULL, false) > 0)
		CacheInvalidateRelcacheByRelid(consumer->stream->relid);
	sx_spi_end(&spi);
}

void
sx_consumer_add(SxConsumer *consumer, const SxDiscovery *discovery)
{
	for (int i = 0; i < discovery->count; i++)
		(void) sx_reader_add_partition(consumer->reader, discovery->partitions[i].partition,
									   discovery->partitions[i].start_offset);
	if (is_news(consumer, discovery->cluster))
		sx_reader_save_cluster(consumer->reader->id, discovery->cluster);
	sx_progress_save(consumer->reader);
	if (discovery->count > 0)
		add_for_shadows(consumer);
}

void
sx_consumer_read(SxConsumer *consumer, const SxDiscovery *discovery)
{
	sx_consumer_remember(consumer);
	if (is_news(consumer, discovery->cluster))
		consumer->reader->cluster =
			MemoryContextStrdup(consumer->reader->context, discovery->cluster);
	sx_consumer_start(consumer);
}
