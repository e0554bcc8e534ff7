/*
 * topic.c
 *	  Read a bounded part of a stream's Kafka topic.
 *
 *		one partition, as retained when first asked
 *		low |------------------------------------------| high: last stable offset
 *		              start |===================| end
 *		       offset, timestamp conditions    offset conditions
 *
 * A partition is done when the source's position has passed its end, by a
 * message or by the end of the log: the last offsets may be transaction markers.
 */
#include "compat.h"

#include "batch/connect.h"
#include "batch/topic.h"
#include "catalog/monotonic.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#define CLIENT_ID "streamx SELECT"
#define QUEUE_BYTES (64 * 1024 * 1024)
#define CHUNK_BYTES (4 * 1024 * 1024)
#define CONNECT_TIMEOUT_US (8 * USECS_PER_SEC)	/* for all questions together */
#define SILENCE_TIMEOUT_US (10 * USECS_PER_SEC) /* without connection, while messages are due */
#define POLL_TIMEOUT_MS 250

typedef struct Partition
{
	int32 partition;
	bool is_known; /* low and high were asked for */
	int64 low;
	int64 high;
	int64 start; /* of this pass; nothing to read when start >= end */
	int64 end;
	bool is_added;	/* the source reads it */
	bool is_wanted; /* more is to come from it in this pass */
} Partition;

struct SxTopic
{
	const SxStream *stream;
	MemoryContext context;
	SxSource *source;
	bool is_listed;
	const SxScanInput *input; /* NULL, or exact ranges: a gap is an error whatever on_gap says */
	int npartitions;
	Partition *partitions; /* ascending */
	int nwanted;
	int ntaken;
	SxMessage *taken; /* as the source gave them */
	SxMessage *chosen;
	int64 heard_us;	   /* when the source last gave something or was connected (sx_now_us) */
	int64 deadline_us; /* for the questions of a start */
};

static void begin_start(SxTopic *topic);
static void list_partitions(SxTopic *topic);
static void set_partitions(SxTopic *topic, const int32 *numbers, int count);
static void ask_range(SxTopic *topic, Partition *partition);
static int64 ask_offset_at(SxTopic *topic, Partition *partition, int64 timestamp_ms);
static void check_retained(SxTopic *topic, Partition *partition);
static void start_partitions(SxTopic *topic);
static Partition *find_partition(SxTopic *topic, int32 number);
static int choose(SxTopic *topic);
static void check_positions(SxTopic *topic);
static void handle_gap(SxTopic *topic, Partition *partition, const SxSourcePartition *position);
static void check_readable(SxTopic *topic);
static void check_connection(SxTopic *topic);
static void fail_unreachable(SxTopic *topic, const char *reason) pg_attribute_noreturn();
static int time_left(const SxTopic *topic);

SxTopic *
sx_topic_open(const SxStream *stream, Oid userid, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	SxTopic *topic = palloc0(sizeof(SxTopic));

	topic->stream = stream;
	topic->context = context;
	topic->taken = palloc(sizeof(SxMessage) * SX_TOPIC_MAX);
	topic->chosen = palloc(sizeof(SxMessage) * SX_TOPIC_MAX);
	topic->source = sx_connect_bounded(stream, userid, QUEUE_BYTES, CLIENT_ID, context);
	MemoryContextSwitchTo(old);
	return topic;
}

/* ---- starting ---- */

void
sx_topic_start_bounds(SxTopic *topic, const SxScanBounds *bounds)
{
	int i;

	begin_start(topic);
	if (bounds->is_empty)
		return;
	list_partitions(topic);
	for (i = 0; i < topic->npartitions; i++)
	{
		Partition *partition = &topic->partitions[i];

		if (!sx_condition_has_partition(bounds, partition->partition))
			continue;
		ask_range(topic, partition);
		partition->start = Max(partition->low, bounds->offset_first);
		partition->end = Min(partition->high - 1, bounds->offset_last) + 1;
		if (partition->start < partition->end && bounds->has_timestamp)
			partition->start =
				Max(partition->start, ask_offset_at(topic, partition, bounds->timestamp_ms));
	}
	start_partitions(topic);
}

void
sx_topic_start_ranges(SxTopic *topic, const SxScanInput *input)
{
	const SxScanRange *ranges = input->ranges;
	int nranges = input->nranges;
	int i;

	begin_start(topic);
	topic->input = input;
	if (!topic->is_listed)
	{
		int32 *numbers = palloc(sizeof(int32) * Max(nranges, 1));

		for (i = 0; i < nranges; i++)
			numbers[i] = ranges[i].partition;
		set_partitions(topic, numbers, nranges);
	}
	for (i = 0; i < nranges; i++)
	{
		Partition *partition = &topic->partitions[i];

		if (ranges[i].first >= ranges[i].end)
			continue;
		ask_range(topic, partition);
		partition->start = ranges[i].first;
		partition->end = ranges[i].end;
		check_retained(topic, partition);
	}
	start_partitions(topic);
}

static void
begin_start(SxTopic *topic)
{
	int i;

	topic->nwanted = 0;
	for (i = 0; i < topic->npartitions; i++)
	{
		topic->partitions[i].is_wanted = false;
		topic->partitions[i].start = topic->partitions[i].end = 0;
	}
	topic->heard_us = sx_now_us();
	topic->deadline_us = topic->heard_us + CONNECT_TIMEOUT_US;
}

static void
list_partitions(SxTopic *topic)
{
	int32 *numbers;
	char *error = NULL;
	int count;

	if (topic->is_listed)
		return;
	count = sx_source_list_partitions(topic->source, time_left(topic), &numbers, &error);
	if (count < 0)
		fail_unreachable(topic, error);
	set_partitions(topic, numbers, count);
}

static void
set_partitions(SxTopic *topic, const int32 *numbers, int count)
{
	int i;

	topic->partitions = MemoryContextAllocZero(topic->context, sizeof(Partition) * Max(count, 1));
	topic->npartitions = count;
	for (i = 0; i < count; i++)
	{
		if (i > 0 && numbers[i - 1] >= numbers[i])
			elog(ERROR, "partitions are not in ascending order");
		topic->partitions[i].partition = numbers[i];
	}
	topic->is_listed = true;
}

static void
ask_range(SxTopic *topic, Partition *partition)
{
	char *error = NULL;

	if (partition->is_known)
		return;
	if (!sx_source_range(topic->source, partition->partition, time_left(topic), &partition->low,
						 &partition->high, &error))
		fail_unreachable(topic, error);
	partition->is_known = true;
}

/*
 * The first offset that can have a timestamp from timestamp_ms on.  A broker that
 * knows none may be one that cannot answer such questions: then it does not
 * know one from 1970 on either.
 */
static int64
ask_offset_at(SxTopic *topic, Partition *partition, int64 timestamp_ms)
{
	int64 times[] = {timestamp_ms, 0};
	int i;

	for (i = 0; i < lengthof(times); i++)
	{
		int64 offset;
		char *error = NULL;

		if (!sx_source_offset_at(topic->source, partition->partition, times[i], time_left(topic),
								 &offset, &error))
			fail_unreachable(topic, error);
		if (offset < partition->high)
			return i == 0 ? offset : partition->high;
	}
	return partition->low;
}

/* Exact ranges must be there as a whole. */
static void
check_retained(SxTopic *topic, Partition *partition)
{
	if (partition->start >= partition->low && partition->end <= partition->high)
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg("topic \"%s\" does not hold all messages of the range any more",
						   topic->stream->topic),
					errdetail("Partition %d is needed from offset " INT64_FORMAT " to " INT64_FORMAT
							  ", but the topic has it from " INT64_FORMAT " to " INT64_FORMAT ".",
							  partition->partition, partition->start, partition->end - 1,
							  partition->low, partition->high - 1)));
}

/*
 * Go, when all questions are answered: answers would have to wait for fetches
 * on the same connection.
 */
static void
start_partitions(SxTopic *topic)
{
	int i;

	for (i = 0; i < topic->npartitions; i++)
	{
		Partition *partition = &topic->partitions[i];

		if (partition->start >= partition->end)
			continue;
		if (partition->is_added)
			sx_source_seek(topic->source, partition->partition, partition->start);
		else
			sx_source_add(topic->source, partition->partition, partition->start);
		partition->is_added = true;
		partition->is_wanted = true;
		topic->nwanted++;
	}
}

/* ---- reading ---- */

int
sx_topic_take(SxTopic *topic, int max, SxMessage **messages)
{
	*messages = topic->chosen;
	for (;;)
	{
		int count;

		if (topic->ntaken > 0)
			sx_source_release(topic->source, topic->taken, topic->ntaken);
		topic->ntaken = 0;
		if (topic->nwanted == 0)
			return 0;

		topic->ntaken = sx_source_poll(topic->source, topic->taken, Min(max, SX_TOPIC_MAX),
									   CHUNK_BYTES, POLL_TIMEOUT_MS);
		CHECK_FOR_INTERRUPTS();
		check_connection(topic);
		check_readable(topic);
		count = choose(topic);
		check_positions(topic);
		if (count > 0)
			return count;
	}
}

/* Copy the messages that lie within the partitions' ends; returns how many. */
static int
choose(SxTopic *topic)
{
	Partition *partition = NULL;
	int count = 0;
	int i;

	for (i = 0; i < topic->ntaken; i++)
	{
		const SxMessage *message = &topic->taken[i];

		if (partition == NULL || partition->partition != message->partition)
			partition = find_partition(topic, message->partition);
		if (partition && partition->is_wanted && message->offset >= partition->start &&
			message->offset < partition->end)
			topic->chosen[count++] = *message;
	}
	return count;
}

static int
compare_partitions(const void *a, const void *b)
{
	int32 left = ((const Partition *) a)->partition;
	int32 right = ((const Partition *) b)->partition;

	return (left > right) - (left < right);
}

static Partition *
find_partition(SxTopic *topic, int32 number)
{
	Partition key = {.partition = number};

	return bsearch(&key, topic->partitions, topic->npartitions, sizeof(Partition),
				   compare_partitions);
}

/* Which partitions are read to their end? */
static void
check_positions(SxTopic *topic)
{
	const SxSourcePartition *positions;
	int count;
	int i;

	positions = sx_source_partitions(topic->source, &count);
	for (i = 0; i < count; i++)
	{
		Partition *partition = find_partition(topic, positions[i].partition);

		if (partition == NULL || !partition->is_wanted)
			continue;
		if (positions[i].next_offset >= partition->end)
		{
			partition->is_wanted = false;
			topic->nwanted--;
		}
		else if (positions[i].has_gap)
		{
			handle_gap(topic, partition, &positions[i]);
			/* a seek may have moved the array */
			positions = sx_source_partitions(topic->source, &count);
		}
	}
}

/* Retention has overtaken us. */
static void
handle_gap(SxTopic *topic, Partition *partition, const SxSourcePartition *position)
{
	int64 from = position->next_offset;
	int64 low = position->gap_low;
	bool is_skipped = topic->stream->skips_gaps && topic->input == NULL && low > from;

	ereport(is_skipped ? WARNING : ERROR,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("offsets " INT64_FORMAT " to " INT64_FORMAT
					" of partition %d are not in topic \"%s\" any more",
					from, Min(low > from ? low : PG_INT64_MAX, partition->end) - 1,
					partition->partition, topic->stream->topic),
			 errdetail("The partition now begins at offset " INT64_FORMAT ".", low)));
	if (low < partition->end)
	{
		sx_source_seek(topic->source, partition->partition, low);
		return;
	}
	partition->is_wanted = false;
	topic->nwanted--;
}

/* A record that cannot be read is an error, unless the stream went on behind it. */
static void
check_readable(SxTopic *topic)
{
	const SxScanInput *input = topic->input;
	const SxScanRange *skip = NULL;
	int32 partition;
	int64 offset;
	char *reason = sx_source_unreadable(topic->source, &partition, &offset);

	if (reason == NULL)
		return;
	if (input)
		skip = sx_scan_find_range(input->skips, input->nskips, partition, offset);
	if (skip == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("could not read partition %d of Kafka topic \"%s\" from offset"
							   " " INT64_FORMAT " on: %s",
							   partition, topic->stream->topic, offset, reason)));
	sx_source_seek(topic->source, partition, skip->end);
}

/* ---- connection ---- */

static void
check_connection(SxTopic *topic)
{
	int64 now = sx_now_us();
	bool is_fatal = false;
	char *error = sx_source_error(topic->source, &is_fatal);

	if (error && is_fatal)
		fail_unreachable(topic, error);
	if (topic->ntaken > 0 || sx_source_is_connected(topic->source))
		topic->heard_us = now;
	else if (now - topic->heard_us >= SILENCE_TIMEOUT_US)
		fail_unreachable(topic, error ? error : "no broker answers");
}

static void
fail_unreachable(SxTopic *topic, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
			 errmsg("could not read Kafka topic \"%s\": %s", topic->stream->topic, reason),
			 errdetail("The bootstrap servers are \"%s\".", sx_connect_servers(topic->stream)),
			 sx_source_hint(topic->source) ? errhint("%s", sx_source_hint(topic->source)) : 0));
}

/* Milliseconds left for questions. */
static int
time_left(const SxTopic *topic)
{
	return (int) Max(sx_ms_until(topic->deadline_us), 1);
}

char *
sx_topic_describe(const SxTopic *topic)
{
	StringInfoData text;
	int i;

	initStringInfo(&text);
	for (i = 0; i < topic->npartitions; i++)
	{
		const Partition *partition = &topic->partitions[i];

		if (partition->start < partition->end)
			appendStringInfo(&text, "%s%d: " INT64_FORMAT "..." INT64_FORMAT,
							 text.len > 0 ? ", " : "", partition->partition, partition->start,
							 partition->end - 1);
	}
	return text.len > 0 ? text.data : NULL;
}
