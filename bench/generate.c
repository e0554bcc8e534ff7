/*
 * generate.c
 *	  Write orders to a Kafka topic: always the same ones for the same options.
 *
 *	generate ADDRESS TOPIC [--count N] [--first N] [--groups N] [--partitions N] [--seed N] [--rate N] [--probe N]
 *
 * An order is a JSON message of 177 bytes with eight fields.  Event times go up
 * by a millisecond from order to order, less up to DISORDER_MS of disorder.
 * --rate sends so many a second.  With --probe every N-th is of category
 * "probe", and a line with the clock's microseconds since 1970 is written just
 * before it is sent.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "producer.h"

#define MESSAGE_LENGTH 177
#define DISORDER_MS 50
#define BASE_TIME 1735689600 /* 2025-01-01 00:00:00 UTC */
#define LOAD 1000			 /* a rate of more is sent in batches */
#define NAP_US 500			 /* shorter waits are none */

typedef struct Settings
{
	const char *address;
	const char *topic;
	int64_t count;
	int64_t first;
	int64_t groups;
	int64_t partitions;
	int64_t seed;
	int64_t rate;  /* per second; 0: as fast as it goes */
	int64_t probe; /* 0: none */
} Settings;

/* A text of "YYYY-MM-DDTHH:MM:SS.mmmZ". */
static void
print_time(char *text, size_t size, int64_t ms)
{
	time_t seconds = BASE_TIME + ms / 1000;
	struct tm tm;
	char date[32];

	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text, size, "%s.%03dZ", date, (int) (ms % 1000));
}

static bool
is_probe(const Settings *settings, int64_t n)
{
	return settings->probe > 0 && n % settings->probe == 0;
}

static void
print_order(const Settings *settings, int64_t n, char *message, size_t size)
{
	uint64_t dice = random_number((uint64_t) settings->seed, (uint64_t) n);
	int64_t group = (int64_t) (dice % (uint64_t) settings->groups);
	char category[32];
	int cents = 100 + (int) ((dice >> 32) % 50000);
	char event_time[64];
	int length;

	snprintf(category, sizeof(category), is_probe(settings, n) ? "probe" : "cat-%05" PRId64, group);
	print_time(event_time, sizeof(event_time),
			   n + DISORDER_MS - (int64_t) ((dice >> 20) % DISORDER_MS));
	length = snprintf(message, size,
					  "{\"order_id\":\"o%011" PRId64
					  "\",\"customer_id\":\"c%07d\",\"category\":\"%s\",\"amount\":%d.%02d,"
					  "\"currency\":\"EUR\",\"quantity\":%d,\"event_time\":\"%s\","
					  "\"note\":\"",
					  n, (int) ((dice >> 40) % 1000000), category, cents / 100, cents % 100,
					  1 + (int) ((dice >> 56) % 9), event_time);
	if (length > MESSAGE_LENGTH - 2)
		die("order is too long", message);
	memset(message + length, 'x', (size_t) (MESSAGE_LENGTH - 2 - length));
	memcpy(message + MESSAGE_LENGTH - 2, "\"}", 3);
}

static int64_t
now_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void
wait_until(int64_t due_us)
{
	int64_t left = due_us - now_us(CLOCK_MONOTONIC);
	struct timespec pause = {.tv_sec = left / 1000000, .tv_nsec = left % 1000000 * 1000};

	if (left > NAP_US)
		nanosleep(&pause, NULL);
}

static void
send_order(Producer *producer, const Settings *settings, int64_t n)
{
	char message[MESSAGE_LENGTH * 4];
	int32_t partition = (int32_t) (n % settings->partitions);

	print_order(settings, n, message, sizeof(message));
	if (is_probe(settings, n))
		printf("%" PRId64 "\n", now_us(CLOCK_REALTIME));
	producer_send(producer, partition, 0, message, MESSAGE_LENGTH);
}

static void
send_orders(const Settings *settings)
{
	int linger_ms = settings->rate == 0 ? 50 : settings->rate > LOAD ? 5 : 0;
	Producer *producer = producer_open(settings->address, settings->topic, linger_ms);
	int64_t began = now_us(CLOCK_MONOTONIC);

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int64_t i = 0; i < settings->count; i++)
	{
		if (settings->rate > 0)
			wait_until(began + i * 1000000 / settings->rate);
		send_order(producer, settings, settings->first + i);
	}
	producer_close(producer);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'c'},  {"first", required_argument, NULL, 'f'},
		{"groups", required_argument, NULL, 'g'}, {"partitions", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 's'},	  {"rate", required_argument, NULL, 'r'},
		{"probe", required_argument, NULL, 'b'},  {NULL, 0, NULL, 0},
	};
	Settings settings = {.count = 1, .groups = 10, .partitions = 1, .seed = 1};
	bool is_wrong = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		int64_t number = optarg ? atoll(optarg) : 0;

		switch (option)
		{
			case 'c':
				settings.count = number;
				break;
			case 'f':
				settings.first = number;
				break;
			case 'g':
				settings.groups = number;
				break;
			case 'p':
				settings.partitions = number;
				break;
			case 's':
				settings.seed = number;
				break;
			case 'r':
				settings.rate = number;
				break;
			case 'b':
				settings.probe = number;
				break;
			default:
				is_wrong = true;
		}
	}
	if (is_wrong || optind != argc - 2 || settings.groups < 1 || settings.partitions < 1)
	{
		fputs("usage: generate ADDRESS TOPIC [--count N] [--first N] [--groups N] [--partitions N] "
			  "[--seed N] [--rate N] [--probe N]\n",
			  stderr);
		return 2;
	}
	settings.address = argv[optind];
	settings.topic = argv[optind + 1];
	send_orders(&settings);
	return 0;
}
