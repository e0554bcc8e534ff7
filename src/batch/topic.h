/*
 * topic.h
 *	  Read a bounded part of a stream's Kafka topic.
 */
#ifndef SX_TOPIC_H
#define SX_TOPIC_H

#include "compat.h"

#include "batch/condition.h"
#include "batch/scan.h"
#include "catalog/stream.h"

typedef struct SxTopic SxTopic;

/* Connect as a role; closed with the context.  Waits for nothing. */
extern SxTopic *sx_topic_open(const SxStream *stream, Oid userid, MemoryContext context);

/*
 * Start, or start again, to read what the bounds leave of the topic up to its
 * end, or exactly the input's ranges, in which what was skipped need not be readable.
 * The end is the last stable offset when it was first asked for.  An error when the
 * brokers cannot be reached, or when the topic does not hold the ranges any more.
 */
extern void sx_topic_start_bounds(SxTopic *topic, const SxScanBounds *bounds);
extern void sx_topic_start_ranges(SxTopic *topic, const SxScanInput *input);

/*
 * Wait for the next messages, at most max of them (and at most SX_TOPIC_MAX);
 * those before are given back.  Returns how many are in *messages; 0 at the end.
 */
extern int sx_topic_take(SxTopic *topic, int max, SxMessage **messages);

#define SX_TOPIC_MAX 16384

/* Texts for EXPLAIN ANALYZE: "0: 5..17, 1: 0..3", end exclusive; NULL before the start. */
extern char *sx_topic_describe(const SxTopic *topic);

#endif
