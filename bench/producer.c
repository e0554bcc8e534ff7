/*
 * producer.c
 *	  What the generators share: a Kafka producer, and random numbers by their
 *	  place.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <librdkafka/rdkafka.h>

#include "producer.h"

#define FLUSH_TIMEOUT_MS 60000

struct Producer
{
	rd_kafka_t *kafka;
	rd_kafka_topic_t *topic;
	int64_t failures;
};

void
die(const char *what, const char *detail)
{
	fprintf(stderr, "generate: %s: %s\n", what, detail);
	exit(1);
}

static void
delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
	Producer *producer = opaque;

	(void) kafka;
	if (message->err && producer->failures++ == 0)
		fprintf(stderr, "generate: %s\n", rd_kafka_err2str(message->err));
}

Producer *
producer_open(const char *address, const char *topic, int linger_ms)
{
	char linger[16];
	const char *const properties[][2] = {
		{"bootstrap.servers", address},
		{"enable.idempotence", "true"},
		{"linger.ms", linger},
		{"batch.size", "1000000"},
		{"queue.buffering.max.messages", "500000"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	Producer *producer = calloc(1, sizeof(Producer));
	char reason[512];

	if (producer == NULL)
		die("no memory", topic);
	snprintf(linger, sizeof(linger), "%d", linger_ms);
	for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++)
		if (rd_kafka_conf_set(conf, properties[i][0], properties[i][1], reason, sizeof(reason)) !=
			RD_KAFKA_CONF_OK)
			die(properties[i][0], reason);
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	rd_kafka_conf_set_opaque(conf, producer);
	producer->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (producer->kafka == NULL)
		die("could not create a producer", reason);
	producer->topic = rd_kafka_topic_new(producer->kafka, topic, NULL);
	return producer;
}

void
producer_send(Producer *producer, int32_t partition, int64_t timestamp_ms, const char *message,
			  size_t length)
{
	rd_kafka_resp_err_t error;

	while ((error = rd_kafka_producev(
				producer->kafka, RD_KAFKA_V_RKT(producer->topic), RD_KAFKA_V_PARTITION(partition),
				RD_KAFKA_V_TIMESTAMP(timestamp_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
				RD_KAFKA_V_VALUE((void *) message, length), RD_KAFKA_V_END)) != 0)
	{
		if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			die("could not produce", rd_kafka_err2str(error));
		rd_kafka_poll(producer->kafka, 100);
	}
	rd_kafka_poll(producer->kafka, 0);
}

void
producer_close(Producer *producer)
{
	if (rd_kafka_flush(producer->kafka, FLUSH_TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		producer->failures > 0)
		die("not all messages were delivered", rd_kafka_topic_name(producer->topic));
	rd_kafka_topic_destroy(producer->topic);
	rd_kafka_destroy(producer->kafka);
	free(producer);
}

uint64_t
random_number(uint64_t seed, uint64_t n)
{
	uint64_t z = seed * UINT64_C(0xda942042e4dd58b5) + (n + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}
