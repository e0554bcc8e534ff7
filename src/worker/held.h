/*
 * held.h
 *	  Messages that a consumer has taken too early: beyond the limits that
 *	  another reader's positions are (see sx_consumer_limit).
 */
#ifndef SX_HELD_H
#define SX_HELD_H

#include "compat.h"

#include "worker/consumer.h"

/* Take those that are within the limits now, up to max_rows messages in all; there is room for them. */
extern void sx_held_take(SxConsumer *consumer, int max_rows);

/* Of the consumer's messages from from on, those beyond the limits are to wait. */
extern void sx_held_back(SxConsumer *consumer, int from, int max_rows);

/* All but the first count of the consumer's messages are to wait, before those that do already. */
extern void sx_held_cut(SxConsumer *consumer, int count);

/* Whether nothing more is to be asked for: all limits are reached, or too many wait. */
extern bool sx_held_is_enough(const SxConsumer *consumer);

/* The source has gone past messages that wait: the reader's positions have not. */
extern void sx_held_stop(SxConsumer *consumer);

#endif
