/*
 * handle.h
 *	  One librdkafka consumer: made with our settings, watched for errors, and
 *	  got rid of in bounded time.  Private to src/source.
 */
#ifndef SX_SOURCE_HANDLE_H
#define SX_SOURCE_HANDLE_H

#include "compat.h"

#include <librdkafka/rdkafka.h>

#include "source/source.h"

#define SX_REASON_SIZE 512

typedef struct SxWitness SxWitness;

/*
 * Owned by a source and never moved: librdkafka holds its address.  What the
 * callbacks write is plain data, and they run only inside the owner's own calls
 * of rd_kafka_poll; but for the witness's, see handle.c.
 */
typedef struct SxHandle
{
	rd_kafka_t *kafka;
	rd_kafka_topic_t *topic;
	rd_kafka_queue_t *queue;	  /* messages and partition events of all partitions */
	rd_kafka_queue_t *main_queue; /* what concerns the whole client: errors */
	int wake_fd;				  /* readable when a queue stops being empty; -1: none */
	bool is_connected;
	bool went_down;				 /* all brokers were lost; cleared by who has seen it */
	bool has_error;				 /* reason is news */
	bool is_fatal;				 /* with has_error: waiting does not help */
	bool is_broken;				 /* a thread of the client's is missing, for ever */
	char reason[SX_REASON_SIZE]; /* the last error's; "": nothing was wrong since something came */
	const char *hint;			 /* beside it: a constant, or NULL */
	SxWitness *witness;
} SxHandle;

/* Fill in a zeroed handle.  ereports, leaving whatever is there to sx_handle_close. */
extern void sx_handle_open(SxHandle *handle, const SxSourceOptions *options);

/*
 * Idempotent, never ereports, and takes a second at the most: a client that
 * needs longer is left to end by itself, see sx_handle_wait_at_exit.  All
 * messages must have been destroyed before, or it never does.
 */
extern void sx_handle_close(SxHandle *handle);

/* Give clients that are still ending a last while; exit() tears down what they use. */
extern void sx_handle_wait_at_exit(void);

/* Remember an error, told by a callback, an event or an answer. */
extern void sx_handle_note(SxHandle *handle, rd_kafka_resp_err_t err, const char *reason);

/* What to do about an error: a constant, or NULL. */
extern const char *sx_kafka_hint(rd_kafka_resp_err_t err);

/* Something came from a partition: what was wrong before is over, once it has been told. */
extern void sx_handle_hear(SxHandle *handle);

/* Whether an error lasts until somebody changes something outside. */
extern bool sx_kafka_error_lasts(rd_kafka_resp_err_t err);

#endif
