/*
 * producer.h
 *	  What the generators share: a Kafka producer, and random numbers by their
 *	  place.
 */
#ifndef BENCH_PRODUCER_H
#define BENCH_PRODUCER_H

#include <stddef.h>
#include <stdint.h>

typedef struct Producer Producer;

/* Write to a topic; messages wait up to linger_ms for others.  Whatever fails ends the program. */
extern Producer *producer_open(const char *address, const char *topic, int linger_ms);

/* A copy of the message goes to the partition; timestamp_ms 0: now. */
extern void producer_send(Producer *producer, int32_t partition, int64_t timestamp_ms,
						  const char *message, size_t length);

/* Wait until all is delivered. */
extern void producer_close(Producer *producer);

/* The n-th of a sequence of random numbers (splitmix64). */
extern uint64_t random_number(uint64_t seed, uint64_t n);

extern void die(const char *what, const char *detail) __attribute__((noreturn));

#endif
