/*
 * query.c
 *	  Questions to the brokers: partitions, ranges, offsets by time.
 *
 * librdkafka answers such questions synchronously and knows nothing of our
 * interrupts, so each is asked again and again with growing patience, and
 * interrupts are looked at in between.  On a connection that is fetching at the
 * end of a log, an answer waits for the fetch: up to fetch.wait.max.ms (100).
 */
#include "compat.h"

#include "miscadmin.h"

#include "source/kafka.h"

#define FIRST_PATIENCE_MS 400
#define MAX_PATIENCE_MS 1200

/* One question: what is asked of whom, and the place for the answer. */
typedef struct Question
{
	SxSource *source;
	int32 partition;
	int64 timestamp_ms;
	int64 low;
	int64 high;
	int64 offset;
	int32 *partitions;
	int npartitions;
	rd_kafka_resp_err_t err; /* why there is no answer */
} Question;

typedef rd_kafka_resp_err_t (*Ask)(Question *question, int timeout_ms);

void
sx_kafka_hear(SxSource *source)
{
	rd_kafka_poll(source->handle.kafka, 0);
}

/* What to tell the user: the answer, and the connection's last words when they explain it. */
static char *
explain(SxSource *source, rd_kafka_resp_err_t err)
{
	SxHandle *handle = &source->handle;

	if (handle->reason[0] == '\0' || handle->is_connected || err > 0)
		return pstrdup(rd_kafka_err2str(err));
	return psprintf("%s: %s", rd_kafka_err2str(err), handle->reason);
}

/* Errors that waiting for this answer's time will not change. */
static bool
is_final(rd_kafka_resp_err_t err)
{
	return sx_kafka_error_lasts(err) || err == RD_KAFKA_RESP_ERR__INVALID_ARG;
}

/* Ask until there is an answer or the time is over; true with an answer. */
static bool
insist(Ask ask, Question *question, int timeout_ms, char **error)
{
	SxSource *source = question->source;
	int64 until = sx_kafka_now_ms() + timeout_ms;
	int patience = FIRST_PATIENCE_MS;

	for (;;)
	{
		int64 left = Max(until - sx_kafka_now_ms(), 1);
		rd_kafka_resp_err_t err;

		CHECK_FOR_INTERRUPTS();
		err = ask(question, (int) Min(left, patience));
		sx_kafka_hear(source);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			source->handle.is_connected = true;
			return true;
		}
		left = until - sx_kafka_now_ms();
		if (is_final(err) || source->handle.is_broken || left <= 0)
		{
			if (is_final(err) || source->handle.is_connected)
				source->handle.hint = sx_kafka_hint(err);
			question->err = err;
			*error = explain(source, err);
			return false;
		}
		/* an answer can be a refusal that comes at once: leave it some time */
		pg_usleep(Min(left, 20) * 1000);
		patience = Min(patience * 2, MAX_PATIENCE_MS);
	}
}

static rd_kafka_resp_err_t
ask_partitions(Question *question, int timeout_ms)
{
	SxHandle *handle = &question->source->handle;
	const struct rd_kafka_metadata *metadata;
	const struct rd_kafka_metadata_topic *topic;
	rd_kafka_resp_err_t err;

	err = rd_kafka_metadata(handle->kafka, 0, handle->topic, &metadata, timeout_ms);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	if (metadata->topic_cnt != 1)
		err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
	else
	{
		topic = &metadata->topics[0];
		err = topic->err;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR && topic->partition_cnt == 0)
			err = RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
		/* no palloc that could jump over the release of the answer */
		question->partitions = err ? NULL
								   : palloc_extended(sizeof(int32) * topic->partition_cnt,
													 MCXT_ALLOC_NO_OOM | MCXT_ALLOC_HUGE);
		for (int i = 0; question->partitions != NULL && i < topic->partition_cnt; i++)
			question->partitions[question->npartitions++] = topic->partitions[i].id;
	}
	rd_kafka_metadata_destroy(metadata);
	return err;
}

static int
compare_partitions(const void *left, const void *right)
{
	int32 a = *(const int32 *) left;
	int32 b = *(const int32 *) right;

	return (a > b) - (a < b);
}

int
sx_source_list_partitions(SxSource *source, int timeout_ms, int32 **partitions, char **error)
{
	Question question = {.source = source};

	if (!insist(ask_partitions, &question, timeout_ms, error))
	{
		if (sx_kafka_error_lasts(question.err))
			sx_kafka_refuse_all(source);
		return -1;
	}
	if (question.partitions == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	qsort(question.partitions, question.npartitions, sizeof(int32), compare_partitions);
	*partitions = question.partitions;
	return question.npartitions;
}

/* The offset for a timestamp, or for one of the marks of the two ends. */
static rd_kafka_resp_err_t
ask_time(SxSource *source, int32 partition, int64 time, int timeout_ms, int64 *offset)
{
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_t *wanted =
		rd_kafka_topic_partition_list_add(list, source->topic, partition);
	rd_kafka_resp_err_t err;

	wanted->offset = time;
	err = rd_kafka_offsets_for_times(source->handle.kafka, list, timeout_ms);
	if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		err = wanted->err;
	*offset = wanted->offset;
	rd_kafka_topic_partition_list_destroy(list);
	return err;
}

/* Not by rd_kafka_query_watermark_offsets: that waits for ever for a broker that is away. */
rd_kafka_resp_err_t
sx_kafka_ask_range(SxSource *source, int32 partition, int timeout_ms, int64 *low, int64 *high)
{
	int64 until = sx_kafka_now_ms() + timeout_ms;
	rd_kafka_resp_err_t err =
		ask_time(source, partition, RD_KAFKA_OFFSET_BEGINNING, timeout_ms, low);
	int64 left = Max(until - sx_kafka_now_ms(), 1);

	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		return err;
	return ask_time(source, partition, RD_KAFKA_OFFSET_END, (int) left, high);
}

static rd_kafka_resp_err_t
ask_range(Question *question, int timeout_ms)
{
	return sx_kafka_ask_range(question->source, question->partition, timeout_ms, &question->low,
							  &question->high);
}

bool
sx_source_range(SxSource *source, int32 partition, int timeout_ms, int64 *low, int64 *high,
				char **error)
{
	Question question = {.source = source, .partition = partition};

	if (!insist(ask_range, &question, timeout_ms, error))
		return false;
	*low = question.low;
	*high = question.high;
	return true;
}

static rd_kafka_resp_err_t
ask_offset(Question *question, int timeout_ms)
{
	return ask_time(question->source, question->partition, question->timestamp_ms, timeout_ms,
					&question->offset);
}

bool
sx_source_offset_at(SxSource *source, int32 partition, int64 timestamp_ms, int timeout_ms,
					int64 *offset, char **error)
{
	/* the protocol reads negative times as the two ends */
	Question question = {
		.source = source, .partition = partition, .timestamp_ms = Max(timestamp_ms, 0)};
	int64 until = sx_kafka_now_ms() + timeout_ms;

	if (!insist(ask_offset, &question, timeout_ms, error))
		return false;
	if (question.offset < 0)
	{
		int64 left = Max(until - sx_kafka_now_ms(), 1);

		if (!insist(ask_range, &question, (int) left, error))
			return false;
		question.offset = question.high;
	}
	*offset = question.offset;
	return true;
}

char *
sx_source_cluster(SxSource *source)
{
	char *name = source->is_closed ? NULL : rd_kafka_clusterid(source->handle.kafka, 0);
	char *copy;

	if (name == NULL)
		return NULL;
	/* no palloc that could jump over the release of the name */
	copy = palloc_extended(strlen(name) + 1, MCXT_ALLOC_NO_OOM);
	if (copy)
		strcpy(copy, name);
	rd_kafka_mem_free(source->handle.kafka, name);
	return copy;
}

/* The library's words for a topic's state are errors too, see source.h. */
char *
sx_source_error(SxSource *source, bool *is_fatal)
{
	SxHandle *handle = &source->handle;

	if (!source->is_closed)
		sx_kafka_hear(source);
	if (!handle->has_error)
		return NULL;
	handle->has_error = false;
	*is_fatal = handle->is_fatal;
	return pstrdup(handle->reason);
}

const char *
sx_source_hint(const SxSource *source)
{
	return source->handle.is_broken ? sx_kafka_hint(RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE)
									: source->handle.hint;
}

bool
sx_source_is_broken(const SxSource *source)
{
	return source->handle.is_broken;
}

bool
sx_source_is_connected(SxSource *source)
{
	return source->handle.is_connected;
}

static void
destroy_headers(void *headers)
{
	rd_kafka_headers_destroy(headers);
}

/* A message keeps what was parsed of it, many times its bytes: take it away. */
int
sx_source_headers(const SxMessage *message, const char ***names, const char ***values,
				  size_t **lengths)
{
	rd_kafka_message_t *kafka_message = *(rd_kafka_message_t *const *) message->handle;
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	rd_kafka_headers_t *headers;
	rd_kafka_resp_err_t error = rd_kafka_message_detach_headers(kafka_message, &headers);
	int count;

	if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
		return error == RD_KAFKA_RESP_ERR__NOENT ? 0 : -1;
	callback->func = destroy_headers;
	callback->arg = headers;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	count = (int) rd_kafka_header_cnt(headers);
	*names = palloc(sizeof(char *) * Max(count, 1));
	*values = palloc(sizeof(char *) * Max(count, 1));
	*lengths = palloc(sizeof(size_t) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		const void *value = NULL;

		if (rd_kafka_header_get_all(headers, i, &(*names)[i], &value, &(*lengths)[i]) !=
			RD_KAFKA_RESP_ERR_NO_ERROR)
			return -1;
		(*values)[i] = value;
	}
	return count;
}
