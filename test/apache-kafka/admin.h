/*
 * admin.h
 *	  What programs that ask a broker to do something have in common.
 */
#ifndef ADMIN_H
#define ADMIN_H

#include <librdkafka/rdkafka.h>

extern const char program[]; /* whose name errors begin with: each program's own */
extern char errstr[512];

/* Say so and exit. */
extern void fail(const char *what);

extern rd_kafka_t *connect_to(const char *address);

/* Waits for it; one that is an error ends the program. */
extern rd_kafka_event_t *next_answer(rd_kafka_queue_t *answers);

#endif
