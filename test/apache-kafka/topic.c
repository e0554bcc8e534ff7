/*
 * topic.c
 *	  Create, grow and delete topics of a broker, for tests.
 *
 *	topic ADDRESS create NAME PARTITIONS [CONFIG VALUE]...
 *	topic ADDRESS grow NAME PARTITIONS
 *	topic ADDRESS delete NAME
 *
 * Each waits until the broker has done it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"

const char program[] = "topic";

static void
create(rd_kafka_t *kafka, const char *name, int partitions, char **configs, int nconfigs,
	   rd_kafka_queue_t *answers)
{
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, errstr, sizeof(errstr));

	if (topic == NULL)
		fail(errstr);
	for (int i = 0; i + 1 < nconfigs; i += 2)
		if (rd_kafka_NewTopic_set_config(topic, configs[i], configs[i + 1]))
			fail(configs[i]);
	rd_kafka_CreateTopics(kafka, &topic, 1, NULL, answers);
	rd_kafka_NewTopic_destroy(topic);
}

static void
grow(rd_kafka_t *kafka, const char *name, int partitions, rd_kafka_queue_t *answers)
{
	rd_kafka_NewPartitions_t *total =
		rd_kafka_NewPartitions_new(name, partitions, errstr, sizeof(errstr));

	if (total == NULL)
		fail(errstr);
	rd_kafka_CreatePartitions(kafka, &total, 1, NULL, answers);
	rd_kafka_NewPartitions_destroy(total);
}

static void
delete_topic(rd_kafka_t *kafka, const char *name, rd_kafka_queue_t *answers)
{
	rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);

	rd_kafka_DeleteTopics(kafka, &topic, 1, NULL, answers);
	rd_kafka_DeleteTopic_destroy(topic);
}

/* The topics of the answer, whichever of the three requests it answers. */
static const rd_kafka_topic_result_t **
results(rd_kafka_event_t *answer, size_t *count)
{
	const rd_kafka_CreateTopics_result_t *created = rd_kafka_event_CreateTopics_result(answer);
	const rd_kafka_CreatePartitions_result_t *grown =
		rd_kafka_event_CreatePartitions_result(answer);

	if (created != NULL)
		return rd_kafka_CreateTopics_result_topics(created, count);
	if (grown != NULL)
		return rd_kafka_CreatePartitions_result_topics(grown, count);
	return rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(answer), count);
}

static void
wait_for(rd_kafka_queue_t *answers)
{
	rd_kafka_event_t *answer = next_answer(answers);
	const rd_kafka_topic_result_t **topics;
	size_t count;

	topics = results(answer, &count);
	if (count != 1 || rd_kafka_topic_result_error(topics[0]))
		fail(count == 1 ? rd_kafka_topic_result_error_string(topics[0]) : "no result");
	rd_kafka_event_destroy(answer);
}

int
main(int argc, char **argv)
{
	rd_kafka_t *kafka;
	rd_kafka_queue_t *answers;

	if (argc < 4)
		fail("usage: topic ADDRESS create|grow|delete NAME [PARTITIONS [CONFIG VALUE]...]");
	kafka = connect_to(argv[1]);
	answers = rd_kafka_queue_new(kafka);

	if (strcmp(argv[2], "create") == 0 && argc >= 5)
		create(kafka, argv[3], atoi(argv[4]), argv + 5, argc - 5, answers);
	else if (strcmp(argv[2], "grow") == 0 && argc == 5)
		grow(kafka, argv[3], atoi(argv[4]), answers);
	else if (strcmp(argv[2], "delete") == 0)
		delete_topic(kafka, argv[3], answers);
	else
		fail("create, grow and delete are what it does");
	wait_for(answers);

	rd_kafka_queue_destroy(answers);
	rd_kafka_destroy(kafka);
	return 0;
}
