/*
 * consumer.h
 *	  A reader at work: its source, where it stands, and the messages that will
 *	  be its next micro-batch.
 *
 * What it knows of positions and watermark is as of the last commit; a batch
 * moves them, and either all of it is kept (sx_consumer_commit) or nothing
 * (sx_consumer_rollback).
 */
#ifndef SX_CONSUMER_H
#define SX_CONSUMER_H

#include "compat.h"

#include "batch/batch.h"
#include "catalog/monotonic.h"
#include "catalog/reader.h"
#include "catalog/stream.h"
#include "query/prepare.h"
#include "source/source.h"

/* Offsets that can no longer be read. */
typedef struct SxGap
{
	int32 partition;
	int64 from;
	int64 to;		   /* reading goes on here; less than from when the log was cut or made anew */
	bool is_other_log; /* a record is not the one that was read there */
	bool is_recorded;  /* it is on record that they are to be skipped */
} SxGap;

/* What the brokers say of the topic's partitions. */
typedef struct SxDiscovery
{
	SxPartition *partitions; /* that the reader does not have yet */
	int count;
	const char *cluster; /* Kafka's own name for the cluster; NULL: not known */
	const char *error;	 /* the brokers did not answer */
	const char *refusal; /* this is not the topic that was read: go no further */
} SxDiscovery;

/* Which partitions are read: those whose number leaves number when divided by count. */
typedef struct SxPart
{
	int number;
	int count;
} SxPart;

#define SX_PART_ALL ((SxPart){0, 1})

typedef struct SxConsumer
{
	MemoryContext context; /* all of it; deleting it closes the source */
	SxPart part;
	const SxStream *stream;
	SxReader *reader;
	SxSource *source;
	SxBatch *batch;
	int64 queue_bytes; /* budget of the source */
	const char *start; /* where the first partitions begin: earliest, latest, a time */
	bool has_windows;  /* with idle_advance: whether some view of the reader has any */
	Oid shadow;		   /* the view of the reader, if it is a shadow: of that view */
	Oid shadow_of;
	int nskips;
	struct SxScanRange *skips; /* offsets that were skipped by the view, and are to be again */
	SxReader *followed;		   /* the reader of that view, as of the last refresh */

	SxPrepared *prepared; /* of the batch, which is decoded then; or NULL */
	int unprepared;		  /* so many batches are only to be decoded before */
	SxMessage *messages;  /* taken from the source, not yet committed */
	int nmessages;
	int messages_size;
	size_t bytes; /* memory they take, roughly */

	/* taken as well, but beyond the limits: they wait */
	SxMessage *held;
	int nheld;
	int held_size;
	size_t held_bytes; /* of keys and payloads */
	int64 *limits;	   /* by partition as in reader: no messages from here on; NULL: no limits */
	int nlimits;	   /* partitions found since have none */

	/* private to consumer.c */
	MemoryContext reader_context; /* of stream, reader, batch */
	Oid owner;
	uint64 connection_changes;
	List *views; /* of the reader, as loaded */
	SxPartition *committed;
	int ncommitted;
	int64 committed_watermark;

	/* private to silence.c */
	int64 heard_us;	  /* when the source was last listened to: silence is as of then */
	int64 *row_at_us; /* by partition as in reader: when the last row came */
	int row_at_size;
} SxConsumer;

/* The role a stream is read as. */
extern Oid sx_stream_owner(Oid relid);

/*
 * Start reading for a reader, a part of its partitions, at its stored positions; NULL when it is gone.
 * In a transaction with an active snapshot; what is made outlives it.
 */
extern SxConsumer *
sx_consumer_open(int32 reader, SxPart part, int64 queue_bytes, MemoryContext parent);
extern void sx_consumer_close(SxConsumer *consumer);

/* Whether a partition is of the consumer's part. */
extern bool sx_consumer_reads(const SxConsumer *consumer, int32 partition);

/*
 * Look at stream, reader and views again, in a transaction with an active
 * snapshot.  false: what changed needs a consumer opened anew (other brokers,
 * positions moved by somebody else, reader gone).
 */
extern bool sx_consumer_refresh(SxConsumer *consumer);

/*
 * Ask for partitions the reader does not have yet, and where they begin.  No
 * transaction needed.  True when there is something to be stored.
 */
extern bool sx_consumer_discover(SxConsumer *consumer, int timeout_ms, SxDiscovery *discovery);

/* Store what was found, in a transaction; then, once it is committed, read new partitions. */
extern void sx_consumer_add(SxConsumer *consumer, const SxDiscovery *discovery);
extern void sx_consumer_read(SxConsumer *consumer, const SxDiscovery *discovery);

/* Begin to read the partitions of its part that are not read yet. */
extern void sx_consumer_start(SxConsumer *consumer);

/*
 * At the start of a batch, under the stream's lock and a snapshot: where the other workers have moved the
 * reader.  An ERROR (serialization_failure) when somebody moved the consumer's own partitions.
 */
extern void sx_consumer_reload(SxConsumer *consumer);

/*
 * Take messages that have come, until there are max_rows or max_bytes of them;
 * waits up to timeout_ms for the first.  Returns how many came.
 */
extern int
sx_consumer_collect(SxConsumer *consumer, int max_rows, size_t max_bytes, int timeout_ms);

/*
 * Take no messages that another reader has not committed yet, so that both come
 * to stand at the same offsets; other NULL: as many as there are.  A partition
 * that the other one does not have is not limited.
 */
extern void sx_consumer_limit(SxConsumer *consumer, const SxReader *other);

/* Whether it must never pass its limits: it is that of a shadow whose view is paused. */
extern bool sx_consumer_is_bounded(const SxConsumer *consumer);

/* Keep positions as those of the last commit. */
extern void sx_consumer_remember(SxConsumer *consumer);

/* Messages known to be there, in its part, and not yet taken; 0 as well when nothing is known. */
extern int64 sx_consumer_lag(const SxConsumer *consumer);

/* Whether the end of each partition of its part was seen. */
extern bool sx_consumer_is_at_end(const SxConsumer *consumer);

/*
 * Whether a batch without rows would move anything: past a transaction marker,
 * or the watermark, because a partition fell silent.
 */
extern bool sx_consumer_has_news(SxConsumer *consumer);

/*
 * When a batch without rows would move the watermark with the clock (as
 * sx_now_us), if nothing comes until then; PG_INT64_MAX: it would not.
 */
extern int64 sx_consumer_clock_due(SxConsumer *consumer);

/* Move the reader's positions past the messages taken. */
extern void sx_consumer_advance(SxConsumer *consumer);

extern void sx_consumer_commit(SxConsumer *consumer);
extern void sx_consumer_rollback(SxConsumer *consumer);

/* Forget the messages taken: they will be read again from the positions. */
extern void sx_consumer_drop(SxConsumer *consumer);

/* A gap in front of the reader, if there is one. */
extern bool sx_consumer_gap(const SxConsumer *consumer, SxGap *gap);

/* What is missing, for people; palloc'd. */
extern char *sx_consumer_gap_message(const SxConsumer *consumer, const SxGap *gap);

/* Whether an offset is to be skipped, as it was before: what it is to step over. */
extern bool
sx_consumer_skips(const SxConsumer *consumer, int32 partition, int64 offset, SxGap *gap);

/* Record a gap and step over it, in a transaction; then, once it is committed, go on behind it. */
extern void sx_consumer_skip(SxConsumer *consumer, const SxGap *gap);
extern void sx_consumer_leap(SxConsumer *consumer, const SxGap *gap);

#endif
