/*
 * transaction.c
 *	  A transactional producer that does as it is told, for tests.
 *
 *	transaction ADDRESS TOPIC <COMMANDS
 *
 * Commands, one a line: "send PARTITION PAYLOAD", "commit", "abort".  A
 * transaction begins with the first "send" after the end of the one before.
 * At the end of its input it leaves an open transaction open: the broker aborts
 * that when its timeout, two seconds, has passed.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS 30000

static void
fail(const char *what)
{
	fprintf(stderr, "transaction: %s\n", what);
	exit(1);
}

static void
check(rd_kafka_error_t *error)
{
	if (error != NULL)
		fail(rd_kafka_error_string(error));
}

static rd_kafka_t *
connect_to(const char *address)
{
	char id[64];
	char errstr[512];
	const char *settings[][2] = {
		{"bootstrap.servers", address},
		{"transactional.id", id},
		{"transaction.timeout.ms", "2000"},
		{"message.timeout.ms", "2000"},
	};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *kafka;

	snprintf(id, sizeof(id), "streamx-test-%d", (int) getpid());
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
	{
		if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], errstr, sizeof(errstr)) !=
			RD_KAFKA_CONF_OK)
			fail(errstr);
	}
	kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, errstr, sizeof(errstr));
	if (kafka == NULL)
		fail(errstr);
	check(rd_kafka_init_transactions(kafka, TIMEOUT_MS));
	return kafka;
}

/* "PARTITION PAYLOAD" */
static void
send_message(rd_kafka_t *kafka, const char *topic, char *message)
{
	char *payload;
	int32_t partition = (int32_t) strtol(message, &payload, 10);
	rd_kafka_resp_err_t err;

	if (*payload++ != ' ')
		fail("\"send\" wants a partition and a payload");
	err = rd_kafka_producev(kafka, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
							RD_KAFKA_V_VALUE(payload, strlen(payload)),
							RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
	if (err)
		fail(rd_kafka_err2str(err));
}

int
main(int argc, char **argv)
{
	rd_kafka_t *kafka;
	char line[65536];
	int is_open = 0;

	if (argc != 3)
		fail("usage: transaction ADDRESS TOPIC <COMMANDS");
	kafka = connect_to(argv[1]);

	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "send ", 5) == 0)
		{
			if (!is_open)
				check(rd_kafka_begin_transaction(kafka));
			is_open = 1;
			send_message(kafka, argv[2], line + 5);
			continue;
		}

		/* an abort purges what was not sent yet: let the broker see it first */
		if (rd_kafka_flush(kafka, TIMEOUT_MS))
			fail("the broker does not take the messages");
		if (strcmp(line, "commit") == 0)
			check(rd_kafka_commit_transaction(kafka, TIMEOUT_MS));
		else if (strcmp(line, "abort") == 0)
			check(rd_kafka_abort_transaction(kafka, TIMEOUT_MS));
		else
			fail("send, commit and abort are what it does");
		is_open = 0;
	}

	if (rd_kafka_flush(kafka, TIMEOUT_MS))
		fail("the broker does not take the messages");
	if (is_open)
		_exit(0);
	rd_kafka_destroy(kafka);
	return 0;
}
