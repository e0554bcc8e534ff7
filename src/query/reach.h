/*
 * reach.h
 *	  How far back a Kafka topic reaches, for a view that is to be computed anew.
 */
#ifndef SX_REACH_H
#define SX_REACH_H

#include "compat.h"

#include "catalog/reader.h"
#include "catalog/stream.h"

typedef struct SxReach SxReach;

/* Ask the broker where the partitions that a view has read begin.  Without any lock: it may be slow. */
extern SxReach *sx_reach_ask(Oid view, const SxStream *stream);

/* What is gone for a reader that has yet to begin, as a sentence for each partition; NULL: nothing. */
extern char *sx_reach_missing(const SxReach *reach, const SxReader *reader);

/* Let such a reader begin where the log does, and record what is missing. */
extern void sx_reach_give_up(const SxReach *reach, const SxReader *reader);

#endif
