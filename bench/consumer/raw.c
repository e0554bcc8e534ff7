/*
 * raw.c
 *	  Contestants without a database: R0 reads, R1 decodes too, R2 also groups.
 *	  R2 is the physical limit of what the query costs on this machine.  And
 *	  "dump", which writes messages out for the batch oracle.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "groups.h"
#include "options.h"

static Options options;
static Groups groups;
static FILE *file;
static int64_t checksum;

static void
open_raw(const Options *from, int64_t *next_offsets)
{
	(void) next_offsets;
	options = *from;
	groups_open(&groups, options.slice_ms);
}

/* Look at the message, or the compiler and the cache get away with less than reading. */
static void
take_message(const Order *order, const rd_kafka_message_t *message)
{
	(void) order;
	checksum += ((const char *) message->payload)[message->len - 1];
}

static void
take_fields(const Order *order, const rd_kafka_message_t *message)
{
	(void) message;
	checksum += order->cents + order->event_ms + order->category[order->category_length - 1];
}

static void
take_group(const Order *order, const rd_kafka_message_t *message)
{
	(void) message;
	groups_add(&groups, order);
}

static void
commit_nothing(const int64_t *next_offsets)
{
	(void) next_offsets;
}

static void
finish_raw(void)
{
	fprintf(stderr, "checksum %" PRId64 "\n", checksum);
}

static void
write_window(FILE *file, const Group *group, int64_t start_ms)
{
	time_t seconds = start_ms / 1000;
	struct tm tm;
	char start[32];

	gmtime_r(&seconds, &tm);
	strftime(start, sizeof(start), "%Y-%m-%d %H:%M:%S", &tm);
	fprintf(file, "%s.%03dZ,%.*s,%" PRId64 ",%" PRId64 ".%02d,%.10Lf\n", start,
			(int) (start_ms % 1000), (int) group->category_length, group->category, group->orders,
			group->cents / 100, (int) (group->cents % 100),
			(long double) group->cents / group->orders / 100);
}

static void
add(Group *sum, const Group *slice, int sign)
{
	sum->orders += sign * slice->orders;
	sum->cents += sign * slice->cents;
}

/* The windows of one category, out of its slices from begin to before end. */
static void
write_windows(FILE *file, const Group *begin, const Group *end)
{
	const Group *entering = begin;
	const Group *leaving = begin;
	int64_t start = begin->start_ms - options.size_ms + options.slice_ms;
	Group sum = *begin;

	sum.orders = sum.cents = 0;
	for (; start <= end[-1].start_ms; start += options.slice_ms)
	{
		for (; entering < end && entering->start_ms < start + options.size_ms; entering++)
			add(&sum, entering, 1);
		for (; leaving->start_ms < start; leaving++)
			add(&sum, leaving, -1);
		if (sum.orders > 0)
			write_window(file, &sum, start);
	}
}

static void
finish_groups(void)
{
	const Group *group = groups_sort(&groups);
	const Group *end = group + groups.used;
	FILE *file = fopen(options.csv, "w");

	if (file == NULL)
		die("could not open", options.csv);
	while (group < end)
	{
		const Group *next = group;

		while (next < end && memcmp(next->category, group->category, MAX_CATEGORY) == 0)
			next++;
		write_windows(file, group, next);
		group = next;
	}
	if (fclose(file) != 0)
		die("could not write", options.csv);
}

/* Partition, offset, timestamp and payload, which has nothing that COPY's text format would have to escape. */
static void
write_message(const Order *order, const rd_kafka_message_t *message)
{
	(void) order;
	fprintf(file, "%" PRId32 "\t%" PRId64 "\t%" PRId64 "\t", message->partition, message->offset,
			rd_kafka_message_timestamp(message, NULL));
	fwrite(message->payload, 1, message->len, file);
	putc('\n', file);
}

static void
open_file(const Options *from, int64_t *next_offsets)
{
	open_raw(from, next_offsets);
	file = fopen(options.csv, "w");
	if (file == NULL)
		die("could not open", options.csv);
}

static void
close_file(void)
{
	if (fclose(file) != 0)
		die("could not write", options.csv);
}

#define COMMIT_ROWS 20000

const Contestant r0 = {
	.name = "r0",
	.batch_rows = COMMIT_ROWS,
	.open = open_raw,
	.take = take_message,
	.commit = commit_nothing,
	.finish = finish_raw,
};
const Contestant r1 = {
	.name = "r1",
	.is_decoding = true,
	.batch_rows = COMMIT_ROWS,
	.open = open_raw,
	.take = take_fields,
	.commit = commit_nothing,
	.finish = finish_raw,
};
const Contestant r2 = {
	.name = "r2",
	.is_decoding = true,
	.batch_rows = COMMIT_ROWS,
	.open = open_raw,
	.take = take_group,
	.commit = commit_nothing,
	.finish = finish_groups,
};
const Contestant dump = {
	.name = "dump",
	.is_quiet = true,
	.batch_rows = COMMIT_ROWS,
	.open = open_file,
	.take = write_message,
	.commit = commit_nothing,
	.finish = close_file,
};
