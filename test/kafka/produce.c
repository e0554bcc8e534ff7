/*
 * produce.c
 *	  Write lines of standard input to a Kafka topic, in their order.
 *
 * A line is
 *	  partition TAB timestamp_ms TAB key TAB payload
 * where an empty partition lets the key decide, an empty timestamp means now,
 * and a key or payload of \N is none at all.  \xHH is a byte; every other
 * backslash stands for itself, so that JSON can be written as it is.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#define MAX_HEADERS 32
#define TIMEOUT_MS 30000

static const char usage[] =
	"usage: produce --bootstrap ADDRESS|@FILE --topic NAME [option]... < lines\n"
	"  --transactional ID     write one transaction\n"
	"  --abort                ... and abort it\n"
	"  --compression CODEC    none, gzip, snappy, lz4, zstd\n"
	"  --rate N               messages per second (no limit)\n"
	"  --headers              after the payload come columns name=value, value \\N for none\n"
	"  --property NAME=VALUE  any property of librdkafka; may be repeated\n";

typedef struct Settings
{
	const char *bootstrap;
	const char *topic;
	const char *transactional_id;
	bool is_aborted;
	bool has_headers;
	double rate;
} Settings;

static long failures = 0;

static void
die(const char *what, const char *detail)
{
	fprintf(stderr, "produce: %s: %s\n", what, detail);
	exit(1);
}

static void
die_of(const char *what, rd_kafka_error_t *error)
{
	if (error != NULL)
		die(what, rd_kafka_error_string(error));
}

static void
set_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[512];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) != RD_KAFKA_CONF_OK)
		die(name, reason);
}

static void
delivered(rd_kafka_t *kafka, const rd_kafka_message_t *message, void *opaque)
{
	(void) kafka;
	(void) opaque;
	/* what is purged by an abort was not to be delivered */
	if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR ||
		message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
		message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
		return;
	if (failures++ == 0)
		fprintf(stderr, "produce: %s\n", rd_kafka_err2str(message->err));
}

/* Cut off the next column, up to separator; NULL when there is none. */
static char *
next_column(char **rest)
{
	char *column = *rest;
	char *tab = column != NULL ? strchr(column, '\t') : NULL;

	if (tab != NULL)
		*tab = '\0';
	*rest = tab != NULL ? tab + 1 : NULL;
	return column;
}

/* Resolve \xHH in place; NULL for \N. */
static char *
to_bytes(char *text, size_t *length)
{
	char *to = text;

	*length = 0;
	if (strcmp(text, "\\N") == 0)
		return NULL;
	for (char *from = text; *from != '\0';)
	{
		if (from[0] == '\\' && from[1] == 'x' && isxdigit((unsigned char) from[2]) &&
			isxdigit((unsigned char) from[3]))
		{
			char digits[3] = {from[2], from[3], '\0'};

			*to++ = (char) strtol(digits, NULL, 16);
			from += 4;
		}
		else
			*to++ = *from++;
	}
	*length = (size_t) (to - text);
	return text;
}

static rd_kafka_headers_t *
to_headers(char *rest)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(MAX_HEADERS);
	char *column;

	while ((column = next_column(&rest)) != NULL)
	{
		char *equals = strchr(column, '=');
		size_t length;
		char *value;

		if (equals == NULL)
			die("header without =", column);
		*equals = '\0';
		value = to_bytes(equals + 1, &length);
		rd_kafka_header_add(headers, column, -1, value, (ssize_t) length);
	}
	return headers;
}

static int64_t
to_number(const char *text, int64_t otherwise, long line)
{
	char *end;
	long long number;
	char where[64];

	if (*text == '\0')
		return otherwise;
	errno = 0;
	number = strtoll(text, &end, 10);
	snprintf(where, sizeof(where), "bad number in line %ld", line);
	if (errno != 0 || *end != '\0')
		die(where, text);
	return number;
}

/* Hand a message to librdkafka, waiting for room in its queue. */
static void
send_line(rd_kafka_t *kafka, const Settings *settings, char *text, long line)
{
	char *rest = text;
	char *partition = next_column(&rest);
	char *timestamp = next_column(&rest);
	char *key = next_column(&rest);
	char *payload = settings->has_headers ? next_column(&rest) : rest;
	rd_kafka_headers_t *headers;
	size_t key_length;
	size_t payload_length;
	rd_kafka_resp_err_t err;

	if (payload == NULL)
		die("too few columns in line", text);
	headers = settings->has_headers ? to_headers(rest) : NULL;
	key = to_bytes(key, &key_length);
	payload = to_bytes(payload, &payload_length);
	for (;;)
	{
		err = rd_kafka_producev(
			kafka, RD_KAFKA_V_TOPIC(settings->topic),
			RD_KAFKA_V_PARTITION((int32_t) to_number(partition, RD_KAFKA_PARTITION_UA, line)),
			RD_KAFKA_V_TIMESTAMP(to_number(timestamp, 0, line)), RD_KAFKA_V_KEY(key, key_length),
			RD_KAFKA_V_VALUE(payload, payload_length), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
			RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		rd_kafka_poll(kafka, 100);
	}
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		die("could not produce", rd_kafka_err2str(err));
}

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Let delivery reports in; with a rate, until the next message is due. */
static void
keep_pace(rd_kafka_t *kafka, const Settings *settings, double began, long line)
{
	double due = settings->rate > 0 ? began + (double) line / settings->rate : 0;
	double left = settings->rate > 0 ? due - seconds() : 0;

	rd_kafka_poll(kafka, 0);
	while (left > 0)
	{
		rd_kafka_poll(kafka, left > 0.1 ? 100 : (int) (left * 1000) + 1);
		left = due - seconds();
	}
}

static void
send_all(rd_kafka_t *kafka, const Settings *settings)
{
	double began = seconds();
	char *text = NULL;
	size_t size = 0;
	ssize_t length;
	long line = 0;

	while ((length = getline(&text, &size, stdin)) > 0)
	{
		if (text[length - 1] == '\n')
			text[--length] = '\0';
		if (length == 0)
			continue;
		line++;
		send_line(kafka, settings, text, line);
		keep_pace(kafka, settings, began, line);
	}
	free(text);
}

/* All that can be said of where to: "address", or "@file" with it in its first line. */
static const char *
resolve_bootstrap(const char *text)
{
	static char address[4096];
	FILE *file;

	if (text[0] != '@')
		return text;
	if ((file = fopen(text + 1, "r")) == NULL)
		die(text + 1, strerror(errno));
	if (fgets(address, sizeof(address), file) == NULL)
		die(text + 1, "is empty");
	fclose(file);
	address[strcspn(address, "\r\n")] = '\0';
	return address;
}

static rd_kafka_t *
open_producer(rd_kafka_conf_t *conf, const Settings *settings)
{
	char reason[512];
	rd_kafka_t *kafka;

	set_property(conf, "bootstrap.servers", resolve_bootstrap(settings->bootstrap));
	set_property(conf, "enable.idempotence", "true"); /* implies acks=all, and order */
	set_property(conf, "message.timeout.ms", "30000");
	set_property(conf, "log_level", "3");
	if (settings->transactional_id != NULL)
		set_property(conf, "transactional.id", settings->transactional_id);
	rd_kafka_conf_set_dr_msg_cb(conf, delivered);
	if ((kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason))) == NULL)
		die("could not create a producer", reason);
	return kafka;
}

static void
parse_options(int argc, char **argv, Settings *settings, rd_kafka_conf_t *conf)
{
	static const struct option options[] = {
		{"bootstrap", required_argument, NULL, 'b'},
		{"topic", required_argument, NULL, 't'},
		{"transactional", required_argument, NULL, 'x'},
		{"abort", no_argument, NULL, 'a'},
		{"compression", required_argument, NULL, 'c'},
		{"rate", required_argument, NULL, 'r'},
		{"headers", no_argument, NULL, 'h'},
		{"property", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0},
	};
	int option;
	char *equals;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		if (option == 'b')
			settings->bootstrap = optarg;
		else if (option == 't')
			settings->topic = optarg;
		else if (option == 'x')
			settings->transactional_id = optarg;
		else if (option == 'a')
			settings->is_aborted = true;
		else if (option == 'c')
			set_property(conf, "compression.codec", optarg);
		else if (option == 'r')
			settings->rate = atof(optarg);
		else if (option == 'h')
			settings->has_headers = true;
		else if (option == 'p' && (equals = strchr(optarg, '=')) != NULL)
		{
			*equals = '\0';
			set_property(conf, optarg, equals + 1);
		}
		else
			settings->topic = NULL;
		if (option == '?')
			break;
	}
	if (settings->bootstrap == NULL || settings->topic == NULL || optind != argc ||
		(settings->is_aborted && settings->transactional_id == NULL))
	{
		fputs(usage, stderr);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	Settings settings = {0};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	bool is_transactional;
	rd_kafka_t *kafka;

	parse_options(argc, argv, &settings, conf);
	is_transactional = settings.transactional_id != NULL;
	kafka = open_producer(conf, &settings);
	if (is_transactional)
	{
		die_of("could not begin", rd_kafka_init_transactions(kafka, TIMEOUT_MS));
		die_of("could not begin", rd_kafka_begin_transaction(kafka));
	}
	send_all(kafka, &settings);
	if (rd_kafka_flush(kafka, TIMEOUT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
		die("could not deliver", "timed out");
	if (is_transactional && settings.is_aborted)
		die_of("could not abort", rd_kafka_abort_transaction(kafka, TIMEOUT_MS));
	else if (is_transactional)
		die_of("could not commit", rd_kafka_commit_transaction(kafka, TIMEOUT_MS));
	rd_kafka_destroy(kafka);
	return failures == 0 ? 0 : 1;
}
