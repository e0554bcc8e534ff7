/*
 * topic.h
 *	  Read all partitions of a Kafka topic, from offsets of ours.
 */
#ifndef BENCH_TOPIC_H
#define BENCH_TOPIC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <librdkafka/rdkafka.h>

extern void
topic_open(const char *broker, const char *topic, int partitions, const int64_t *next_offsets);

/* Wait for messages, at most so many; release each by rd_kafka_message_destroy. */
extern size_t topic_poll(rd_kafka_message_t **messages, size_t size, int timeout_ms);
extern void topic_close(void);

#endif
