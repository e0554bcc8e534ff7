/*
 * topic.c
 *	  Read all partitions of a Kafka topic, with the promises that streamx asks
 *	  librdkafka for: checksums are checked, aborted transactions left out.
 */
#include <stdlib.h>

#include "options.h"
#include "topic.h"

static const char *const properties[][2] = {
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	{"check.crcs", "true"},
	{"isolation.level", "read_committed"},
	{"auto.offset.reset", "error"},
	{"queued.max.messages.kbytes", "131072"},
	{"queued.min.messages", "1000000"},
	{"fetch.message.max.bytes", "4194304"},
	{"fetch.queue.backoff.ms", "20"},
	{"group.id", "unused"},
};

static rd_kafka_t *kafka;
static rd_kafka_topic_t *topic;
static rd_kafka_queue_t *queue;
static int npartitions;

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[512];

	/* some are unknown to older versions */
	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_INVALID)
		die(name, reason);
}

void
topic_open(const char *broker, const char *name, int partitions, const int64_t *next_offsets)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char reason[512];

	set(conf, "bootstrap.servers", broker);
	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
		set(conf, properties[i][0], properties[i][1]);
	kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	if (kafka == NULL)
		die("could not create a consumer", reason);
	topic = rd_kafka_topic_new(kafka, name, NULL);
	queue = rd_kafka_queue_new(kafka);
	npartitions = partitions;
	for (int i = 0; i < partitions; i++)
		if (rd_kafka_consume_start_queue(topic, i, next_offsets[i], queue) != 0)
			die("could not read", name);
}

/* rd_kafka_consume_batch_queue would wait until its array is full. */
size_t
topic_poll(rd_kafka_message_t **messages, size_t size, int timeout_ms)
{
	ssize_t n = rd_kafka_consume_batch_queue(queue, 0, messages, size);
	size_t good = 0;

	if (n <= 0 && timeout_ms > 0 &&
		(messages[0] = rd_kafka_consume_queue(queue, timeout_ms)) != NULL)
		n = 1;
	for (ssize_t i = 0; i < n; i++)
	{
		if (messages[i]->err != RD_KAFKA_RESP_ERR_NO_ERROR)
			die("could not read", rd_kafka_message_errstr(messages[i]));
		messages[good++] = messages[i];
	}
	return good;
}

void
topic_close(void)
{
	for (int i = 0; i < npartitions; i++)
		rd_kafka_consume_stop(topic, i);
	rd_kafka_queue_destroy(queue);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(kafka);
}
