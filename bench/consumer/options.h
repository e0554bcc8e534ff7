/*
 * options.h
 *	  What the harness asks of a contestant, and the steps of one.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <librdkafka/rdkafka.h>

#include "order.h"

typedef struct Options
{
	const char *broker;
	const char *topic;
	int partitions;
	int64_t events;
	int64_t groups;	  /* about so many, to size tables */
	int64_t slice_ms; /* rows are grouped by slices of this length */
	int64_t size_ms;  /* windows have this length, a multiple of slice_ms */
	const char *result;
	const char *csv;
	int64_t batch_rows; /* at most so many in a transaction */
	bool is_follower;	/* go on past the events that are there */
} Options;

/*
 * One contestant.  take gets each order (NULL: it does not decode) with the
 * message; commit is called after each batch, with the next offset of each
 * partition; finish when all is read.  open may set where partitions begin.
 */
typedef struct Contestant
{
	const char *name;
	bool is_decoding;
	bool is_quiet; /* stdout is for something else */
	int64_t batch_rows;
	void (*open)(const Options *options, int64_t *next_offsets);
	void (*take)(const Order *order, const rd_kafka_message_t *message);
	void (*commit)(const int64_t *next_offsets);
	void (*finish)(void);
} Contestant;

extern void die(const char *what, const char *detail) __attribute__((noreturn));

extern const Contestant r0;
extern const Contestant r1;
extern const Contestant r2;
extern const Contestant n1;
extern const Contestant n2;
extern const Contestant n2_windows;
extern const Contestant dump;

#endif
