/*
 * admin.c
 *	  What programs that ask a broker to do something have in common.
 */
#include <stdio.h>
#include <stdlib.h>

#include "admin.h"

#define TIMEOUT_MS 30000

char errstr[512];

void
fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", program, what);
	exit(1);
}

rd_kafka_t *
connect_to(const char *address)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *kafka;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", address, errstr, sizeof(errstr)) !=
		RD_KAFKA_CONF_OK)
		fail(errstr);
	kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
	if (kafka == NULL)
		fail(errstr);
	return kafka;
}

rd_kafka_event_t *
next_answer(rd_kafka_queue_t *answers)
{
	rd_kafka_event_t *answer = rd_kafka_queue_poll(answers, TIMEOUT_MS);

	if (answer == NULL)
		fail("the broker does not answer");
	if (rd_kafka_event_error(answer))
		fail(rd_kafka_event_error_string(answer));
	return answer;
}
