/*
 * main.c
 *	  The contestants in C: read a topic to its end, batch by batch, and say
 *	  what is committed.
 *
 *	consumer NAME --broker A --topic T --partitions N --events N --window KIND,MS[,MS] --result TABLE
 *			 --csv FILE [--batch-rows N] [--follow] [--groups N] [--postgres A]
 *
 * NAME is r0, r1, r2 (raw.c), n1, n2, n2-windows (table.c) or dump.  --result and --csv say where the
 * results go, of those who have a database and of those who have not; PGHOST and PGPORT
 * lead to it.  Exit status 3: it has no such windows.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "topic.h"

#define MAX_CHUNK 1024
#define MAX_PARTITIONS 64
#define SILENCE_MS 30000 /* a topic that is silent for so long is too short */
#define PAUSE_MS 100

enum
{
	NO_SUCH_WINDOWS = 3
};

static const Contestant *const contestants[] = {&r0, &r1, &r2, &n1, &n2, &n2_windows, &dump};

static volatile sig_atomic_t is_ended = 0;

void
die(const char *what, const char *detail)
{
	fprintf(stderr, "consumer: %s: %s\n", what, detail);
	exit(1);
}

static void
end(int signal)
{
	(void) signal;
	is_ended = 1;
}

/* Hand a message to the contestant, and give it back to librdkafka. */
static void
take(const Contestant *contestant, rd_kafka_message_t *message, int64_t *next_offsets)
{
	Order order;

	if (contestant->is_decoding && !order_decode(message->payload, message->len, &order))
		die("this is no order", message->payload);
	contestant->take(&order, message);
	next_offsets[message->partition] = message->offset + 1;
	rd_kafka_message_destroy(message);
}

/* Read that many messages; one who follows takes what is there. */
static int64_t
read_batch(const Contestant *contestant, int64_t rows, bool is_following, int64_t *next_offsets)
{
	rd_kafka_message_t *messages[MAX_CHUNK];
	int64_t taken = 0;

	while (taken < rows && !is_ended)
	{
		size_t size = rows - taken < MAX_CHUNK ? (size_t) (rows - taken) : MAX_CHUNK;
		size_t n = topic_poll(messages, size,
							  !is_following ? SILENCE_MS
							  : taken == 0	? PAUSE_MS
											: 0);

		if (n == 0)
			break;
		for (size_t i = 0; i < n; i++)
			take(contestant, messages[i], next_offsets);
		taken += (int64_t) n;
	}
	return taken;
}

static void
run(const Contestant *contestant, const Options *options)
{
	int64_t next_offsets[MAX_PARTITIONS] = {0};
	int64_t done = 0;

	contestant->open(options, next_offsets);
	for (int i = 0; i < options->partitions; i++)
		done += next_offsets[i];
	topic_open(options->broker, options->topic, options->partitions, next_offsets);
	while (!is_ended && (done < options->events || options->is_follower))
	{
		bool is_following = done >= options->events;
		int64_t left = is_following ? options->batch_rows : options->events - done;
		int64_t taken =
			read_batch(contestant, left < options->batch_rows ? left : options->batch_rows,
					   is_following, next_offsets);

		if (taken == 0 && !is_following)
			die("the topic ended early", options->topic);
		if (taken == 0)
			continue;
		contestant->commit(next_offsets);
		done += taken;
		if (!contestant->is_quiet)
			printf("committed %" PRId64 "\n", done);
	}
	contestant->finish();
	topic_close();
}

/* False if the contestants in C have no such windows. */
static bool
read_window(const char *text, Options *options)
{
	if (sscanf(text, "tumble,%" SCNd64, &options->size_ms) == 1)
		options->slice_ms = options->size_ms;
	else if (sscanf(text, "hop,%" SCNd64 ",%" SCNd64, &options->size_ms, &options->slice_ms) != 2)
		return false;
	return options->slice_ms > 0 && options->size_ms % options->slice_ms == 0;
}

static const Contestant *
find_contestant(const char *name)
{
	for (size_t i = 0; i < sizeof(contestants) / sizeof(contestants[0]); i++)
		if (strcmp(contestants[i]->name, name) == 0)
			return contestants[i];
	die("no such contestant", name);
}

static void
read_option(Options *options, int option, const char *value)
{
	switch (option)
	{
		case 'b':
			options->broker = value;
			break;
		case 't':
			options->topic = value;
			break;
		case 'p':
			options->partitions = atoi(value);
			break;
		case 'e':
			options->events = atoll(value);
			break;
		case 'w':
			if (!read_window(value, options))
				exit(NO_SUCH_WINDOWS);
			break;
		case 'r':
			options->result = value;
			break;
		case 'c':
			options->csv = value;
			break;
		case 'n':
			options->batch_rows = atoll(value);
			break;
		case 'f':
			options->is_follower = true;
			break;
		case 'x':
			break;
		default:
			exit(2);
	}
}

int
main(int argc, char **argv)
{
	static const struct option known[] = {
		{"broker", required_argument, NULL, 'b'},	  {"topic", required_argument, NULL, 't'},
		{"partitions", required_argument, NULL, 'p'}, {"events", required_argument, NULL, 'e'},
		{"window", required_argument, NULL, 'w'},	  {"result", required_argument, NULL, 'r'},
		{"csv", required_argument, NULL, 'c'},		  {"batch-rows", required_argument, NULL, 'n'},
		{"follow", no_argument, NULL, 'f'},			  {"groups", required_argument, NULL, 'x'},
		{"postgres", required_argument, NULL, 'x'},	  {NULL, 0, NULL, 0},
	};
	Options options = {.slice_ms = 1, .size_ms = 1};
	const Contestant *contestant;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
		read_option(&options, option, optarg);
	if (optind != argc - 1 || options.broker == NULL || options.topic == NULL ||
		options.partitions < 1 || options.partitions > MAX_PARTITIONS)
		die("usage", "consumer NAME --broker A --topic T --partitions N ...: see main.c");
	contestant = find_contestant(argv[optind]);
	if (options.batch_rows <= 0)
		options.batch_rows = contestant->batch_rows;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGTERM, end);
	run(contestant, &options);
	return 0;
}
