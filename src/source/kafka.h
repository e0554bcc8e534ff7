/*
 * kafka.h
 *	  What the parts of the Kafka source share: reading (kafka.c), looking again
 *	  (look.c), asking (query.c), ends (ends.c) and sleeping (wait.c).  Private to
 *	  src/source.
 */
#ifndef SX_SOURCE_KAFKA_H
#define SX_SOURCE_KAFKA_H

#include "compat.h"

#include "lib/ilist.h"

#include "catalog/monotonic.h"
#include "source/handle.h"

typedef struct Segment Segment;

/* What we remember of a partition beyond what callers see. */
typedef struct Position
{
	bool is_lost;		  /* librdkafka may be elsewhere: restart at next_offset */
	bool is_out_of_range; /* it says so, but we have not seen the range */
	bool is_other;		  /* a record is not the one of last: the log is another one */
	bool is_checking;	  /* reading began at last, to see whether it is still there */
	bool is_vain;		  /* last cannot be read just now: go on without it */
	bool is_refused;	  /* it may not be read, or is not there; nothing has come since */
	SxSourceMark last;	  /* a message that was read, before next_offset */
	int64 handed;		  /* offset of the last message handed out; -1: none */
	int64 known_ms;		  /* then it was the same log (monotonic); 0: not to be asked about */
	int64 asked_ms;		  /* when last was asked for (monotonic) */
	int64 look_until_ms;  /* look at last in silence until then (monotonic); 0: do not */
	int64 retry_ms;		  /* not before then (monotonic) */
	int spoilt;			  /* times in a row that what comes next could not be read ... */
	int64 spoilt_at;	  /* ... at this offset */
} Position;

struct SxSource
{
	SxHandle handle;
	MemoryContext context;
	MemoryContextCallback callback;
	dlist_node node; /* in the list of sources this process has open */
	bool is_closed;
	char *topic;

	int npartitions;
	int maxpartitions;
	SxSourcePartition *partitions; /* in the order they were added */
	Position *positions;		   /* beside them */
	int32 *index;				   /* partition number -> place in those, or -1 */
	int nindex;

	char spoilt_reason[SX_REASON_SIZE]; /* what was said the last time */

	bool has_news;		   /* an end or a gap was seen since poll last returned */
	int64 repair_ms;	   /* next look at lost positions; 0: none is lost */
	int64 look_ms;		   /* next look at silent partitions; 0: none is to be looked at */
	bool is_behind;		   /* some partition has a backlog */
	int64 ends_ms;		   /* next time to ask for end offsets, messages flowing */
	int64 dry_ms;		   /* ... and without messages, when there ought to be some */
	int64 blocked_ms;	   /* not before then, because of an error */
	size_t message_length; /* running mean */

	Segment *segments; /* all of them */
	Segment *current;
};

/* A partition's place in the arrays, or -1. */
static inline int
sx_kafka_place(const SxSource *source, int32 partition)
{
	return partition >= 0 && partition < source->nindex ? source->index[partition] : -1;
}

/* Whether nothing more is taken from a partition until sx_source_seek. */
static inline bool
sx_kafka_rests(const SxSourcePartition *partition)
{
	return partition->has_gap || partition->is_stopped;
}

/* Start a partition again at its last message, or where it stands.  What was fetched of it is gone. */
extern void sx_kafka_restart(SxSource *source, int at);

/* A partition's silence begins now: its end has been told. */
extern void sx_kafka_begin_silence(SxSource *source, int at);

/* Look at the last messages of silent partitions again, as far as it is time. */
extern void sx_kafka_look(SxSource *source);

/*
 * The last message cannot be read: if that was a look in silence, the next start goes on
 * without it, and there are no more of them in this silence.  Returns whether it was.
 */
extern bool sx_kafka_end_look(SxSource *source, int at);

/* When to look next; PG_INT64_MAX when there is no need to wake for it. */
extern int64 sx_kafka_next_look_ms(const SxSource *source);

/*
 * The topic may not be asked for, or is not there.  Its partitions are told that, too, but
 * whoever starts one anew before it has heard of it is not told again.
 */
extern void sx_kafka_refuse_all(SxSource *source);

/* Look after end offsets, when so many messages were just taken. */
extern void sx_kafka_watch_ends(SxSource *source, int handed);

/* When, at the latest, a source without messages has to be polled again. */
extern int64 sx_kafka_next_duty_ms(const SxSource *source, int64 until);

/* Monotonic milliseconds. */
static inline int64
sx_kafka_now_ms(void)
{
	return sx_now_us() / 1000;
}

/* Take over what the client as a whole has to say: errors. */
extern void sx_kafka_hear(SxSource *source);

/*
 * The offsets of a partition's ends; one try.  The high one is the last stable
 * offset, because we read committed.
 */
extern rd_kafka_resp_err_t
sx_kafka_ask_range(SxSource *source, int32 partition, int timeout_ms, int64 *low, int64 *high);

#endif
