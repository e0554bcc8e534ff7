/*
 * source.h
 *	  Where a stream's messages come from: positions in partitions, and a
 *	  non-transactional way to read on from them.
 *
 * A source knows nothing of transactions, views or decoding, and never holds
 * a snapshot.  Its handles outlive transactions: they hang on a memory context
 * whose reset or deletion closes them.
 */
#ifndef SX_SOURCE_H
#define SX_SOURCE_H

#include "compat.h"

#include "nodes/pg_list.h"

typedef struct SxSource SxSource;

typedef struct SxMessage
{
	const char *payload; /* NULL: no payload (a tombstone) */
	size_t payload_length;
	const char *key; /* NULL: no key */
	size_t key_length;
	int32 partition;
	int64 offset;
	int64 timestamp_ms; /* since 1970 UTC; -1: none */
	void *handle;		/* the source's own message */
} SxMessage;

/* What a source knows of one partition. */
typedef struct SxSourcePartition
{
	int32 partition;
	int64 next_offset; /* the next to read: after the last message handed
								 * out, or the end-of-partition event's own offset */
	bool at_end;	   /* the end of the log was seen at next_offset */
	int64 end_offset;  /* last stable offset as last seen; -1: unknown */
	bool has_gap;	   /* next_offset is out of range, or the log is another one:
								 * nothing more comes until sx_source_seek */
	bool is_other_log; /* with has_gap: a record is not the one that was read there */
	int64 gap_low;	   /* with has_gap: the earliest offset there is now */
	bool is_stopped;   /* by sx_source_stop */
} SxSourcePartition;

/* The last message that was read from a partition, by which its log is known again. */
typedef struct SxSourceMark
{
	int64 offset;	   /* -1: none */
	int64 fingerprint; /* sx_source_fingerprint */
} SxSourceMark;

typedef struct SxSourceOptions
{
	const char *topic;
	int nproperties; /* librdkafka properties from server and mapping */
	const char *const *names;
	const char *const *values;
	size_t queue_bytes; /* budget for messages fetched but not handed out */
	const char *client_id;
} SxSourceOptions;

#define SX_OFFSET_BEGINNING (-2)
#define SX_OFFSET_END (-1)

/*
 * Open a source.  Registers its close with the memory context.  Errors:
 * FDW_UNABLE_TO_ESTABLISH_CONNECTION for properties librdkafka refuses; an
 * unreachable broker is not an error here.
 */
extern SxSource *sx_source_open(const SxSourceOptions *options, MemoryContext context);

/* Close early; idempotent.  Bounded: never waits for the network for long. */
extern void sx_source_close(SxSource *source);

/*
 * Ask the brokers for the topic's partitions: a palloc'd array, ascending.
 * Returns -1 when the topic or a broker cannot be reached within timeout_ms;
 * *error is then a palloc'd message.  Checks for interrupts while waiting.
 */
extern int
sx_source_list_partitions(SxSource *source, int timeout_ms, int32 **partitions, char **error);

/* Offsets of the first retained message and of the end (last stable offset).  false: see *error. */
extern bool sx_source_range(SxSource *source, int32 partition, int timeout_ms, int64 *low,
							int64 *high, char **error);

/* First offset whose message timestamp is >= timestamp_ms (the end when there is none). */
extern bool sx_source_offset_at(SxSource *source, int32 partition, int64 timestamp_ms,
								int timeout_ms, int64 *offset, char **error);

/* Start reading a partition (not yet assigned) at an offset. */
extern void sx_source_add(SxSource *source, int32 partition, int64 offset);

/*
 * Start reading where somebody left off.  The message of the mark, if it is still there,
 * must be the same: else the partition has_gap, and is_other_log.  This is looked at now
 * and whenever the brokers were away.
 */
extern void
sx_source_resume(SxSource *source, int32 partition, int64 offset, const SxSourceMark *last);

/* The topic was not there for a while: look at the last messages again before going on. */
extern void sx_source_distrust(SxSource *source);

/* What tells a message from others that may come to have its offset: of timestamp, key and payload. */
extern int64 sx_source_fingerprint(const SxMessage *message);

/* The cluster's own name, palloc'd, once a broker has answered; NULL: not known. */
extern char *sx_source_cluster(SxSource *source);

/* Go on reading an assigned partition at another offset; clears has_gap, is_stopped and at_end. */
extern void sx_source_seek(SxSource *source, int32 partition, int64 offset);

/*
 * Read a partition no further, and take back what was handed out from offset on: the position
 * is there, and nothing more comes until sx_source_seek.
 */
extern void sx_source_stop(SxSource *source, int32 partition, int64 offset);

/*
 * Take up to max messages that have arrived; waits up to timeout_ms for the
 * first one, then drains without waiting, until max messages or max_bytes of
 * payload.  Returns the number put into messages (pointers live until
 * sx_source_release).  Wakes for the process latch (which it then resets) and for
 * interrupts, but does not process them: the caller does, after every call.  Also
 * returns, perhaps with 0, when a partition came to its end or to a gap.
 */
extern int
sx_source_poll(SxSource *source, SxMessage *messages, int max, size_t max_bytes, int timeout_ms);

/*
 * Sleep until one of the sources may have something to poll, the process latch
 * is set (it is reset then), or timeout_ms are over.  Wakes too often rather than too late.
 */
extern void sx_source_wait(SxSource *const *sources, int count, int timeout_ms);

/* Give back messages; their pointers become invalid. */
extern void sx_source_release(SxSource *source, SxMessage *messages, int count);

/*
 * A message's headers as pairs: name, value.  Returns how many; -1: they cannot be read.  Palloc'd;
 * names and values live until the current memory context is reset.
 */
extern int sx_source_headers(const SxMessage *message, const char ***names, const char ***values,
							 size_t **lengths);

/* Partitions being read, in the order they were added; valid until the next call. */
extern const SxSourcePartition *sx_source_partitions(SxSource *source, int *count);

/* The last connection error since the last call, or NULL (palloc'd); *is_fatal: will not heal by itself. */
extern char *sx_source_error(SxSource *source, bool *is_fatal);

/* What to do about that error, or about the last question that failed; NULL: nothing that we know of. */
extern const char *sx_source_hint(const SxSource *source);

/*
 * Whether librdkafka is without a thread that it needs, since it could not be made: some broker
 * is not talked to until the source is closed and opened anew.
 */
extern bool sx_source_is_broken(const SxSource *source);

/*
 * Whether some partition may not be read, or is not there, as a broker said.  It has no end
 * that is known until something comes from it again.
 */
extern bool sx_source_is_refused(const SxSource *source);

/*
 * Whether a record at a position cannot be read, as has been tried several times: palloc'd, why
 * not.  Told once for each further try.  NULL: there is none.
 */
extern char *sx_source_unreadable(SxSource *source, int32 *partition, int64 *offset);

/* Whether at least one broker connection is up, as far as is known. */
extern bool sx_source_is_connected(SxSource *source);

#endif
