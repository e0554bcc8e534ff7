/*
 * kafka.c
 *	  Read the partitions of a Kafka topic through librdkafka.
 *
 * Partitions are started one by one on one queue, each at an offset of ours:
 * like assign(), without a group, so that no coordinator, no rebalance and no
 * group's offset can ever move us, and starting one leaves the others alone.
 *
 *	  brokers --> librdkafka's queue --> poll --> caller's array --> release
 *	             (bounded by budget)         (kept in segments)
 *
 * The position of a partition is what we say it is: one after the last message
 * handed out, or the offset that an end-of-partition event carries.  Whatever
 * librdkafka skips on its own (a message set it cannot read) is not accepted:
 * reading restarts at our position, and goes no further until it works.
 *
 * A topic that was deleted and made anew, or cut and written again, has other
 * records at the same offsets.  So reading restarts one message early, at the
 * last one that was read: if it is still there, it must be the same.  The same is
 * done during a silence, in which a topic could be exchanged (look.c), and when
 * something comes after one in which that was not done.
 */
#include "compat.h"

#include <unistd.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "source/kafka.h"

#define MAX_PARTITION_NUMBER 1000000
#define MAX_CHUNK 1024		/* messages taken from the queue at once */
#define RETRY_MS 1000		/* between attempts to go on at a lost position */
#define PATIENCE 3			/* tries to read a record, before it is told */
#define SILENCE_MS 1000		/* of which the last message was not seen: it is looked at again */
#define GAP_TIMEOUT_MS 1500 /* many times fetch.wait.max.ms, unless the server says otherwise */

/*
 * Messages handed out, by pointer, so that they can be given back even when the
 * caller does not come back.  A segment lies at a multiple of its size: the
 * place of a message leads to it.
 */
#define SEGMENT_BYTES 32768
#define SEGMENT_SLOTS ((SEGMENT_BYTES - 64) / sizeof(rd_kafka_message_t *))

struct Segment
{
	Segment *next;
	int used; /* slots filled since it was last empty */
	int live; /* of them, not yet given back */
	rd_kafka_message_t *slots[SEGMENT_SLOTS];
};

StaticAssertDecl(sizeof(Segment) <= SEGMENT_BYTES, "a segment must fit its size");

static dlist_head open_sources = DLIST_STATIC_INIT(open_sources);

/* ---- opening and closing ---- */

static void
close_callback(void *arg)
{
	sx_source_close(arg);
}

/* librdkafka's threads must not outlive main(): what exit() tears down is theirs too. */
static void
close_at_exit(int code, Datum arg)
{
	while (!dlist_is_empty(&open_sources))
		sx_source_close(dlist_head_element(SxSource, node, &open_sources));
	sx_handle_wait_at_exit();
}

SxSource *
sx_source_open(const SxSourceOptions *options, MemoryContext context)
{
	static bool is_registered = false;
	MemoryContext own =
		AllocSetContextCreate(context, "streamx Kafka source", ALLOCSET_SMALL_SIZES);
	SxSource *source = MemoryContextAllocZero(own, sizeof(SxSource));

	if (!is_registered)
		on_proc_exit(close_at_exit, (Datum) 0);
	is_registered = true;

	source->context = own;
	source->topic = MemoryContextStrdup(own, options->topic);
	source->callback.func = close_callback;
	source->callback.arg = source;
	dlist_push_tail(&open_sources, &source->node);
	MemoryContextRegisterResetCallback(own, &source->callback);
	sx_handle_open(&source->handle, options);
	return source;
}

/* Destroy what was handed out and not given back; librdkafka would wait for it. */
static void
free_segments(SxSource *source)
{
	while (source->segments != NULL)
	{
		Segment *segment = source->segments;

		source->segments = segment->next;
		for (int i = 0; segment->live > 0 && i < segment->used; i++)
		{
			if (segment->slots[i] != NULL)
				rd_kafka_message_destroy(segment->slots[i]);
		}
		free(segment);
	}
	source->current = NULL;
}

void
sx_source_close(SxSource *source)
{
	if (source->is_closed)
		return;
	source->is_closed = true;
	dlist_delete(&source->node);
	free_segments(source);
	sx_handle_close(&source->handle);
}

/* ---- positions ---- */

static void
grow_index(SxSource *source, int32 partition)
{
	int size = Max(partition + 1, source->nindex * 2);

	if (source->index == NULL)
		source->index = MemoryContextAlloc(source->context, sizeof(int32) * size);
	else
		source->index = repalloc(source->index, sizeof(int32) * size);
	while (source->nindex < size)
		source->index[source->nindex++] = -1;
}

static void
grow_partitions(SxSource *source)
{
	int size = Max(16, source->maxpartitions * 2);

	if (source->maxpartitions == 0)
	{
		source->partitions = MemoryContextAlloc(source->context, sizeof(SxSourcePartition) * size);
		source->positions = MemoryContextAlloc(source->context, sizeof(Position) * size);
	}
	else
	{
		source->partitions = repalloc(source->partitions, sizeof(SxSourcePartition) * size);
		source->positions = repalloc(source->positions, sizeof(Position) * size);
	}
	source->maxpartitions = size;
}

/*
 * Start reading at next_offset, or at the last message, to look at it again.
 * Returns false, with the error noted, when that fails.
 */
static bool
start(SxSource *source, int at)
{
	SxHandle *handle = &source->handle;
	SxSourcePartition *partition = &source->partitions[at];
	Position *position = &source->positions[at];
	int64 offset = partition->next_offset;

	position->is_checking = position->last.offset >= 0 && !position->is_vain;
	position->is_vain = false;
	position->asked_ms = sx_kafka_now_ms();
	if (position->is_checking)
		offset = position->last.offset;
	if (rd_kafka_consume_start_queue(handle->topic, partition->partition, offset, handle->queue) ==
		0)
		return true;
	sx_handle_note(handle, rd_kafka_last_error(), NULL);
	return false;
}

/* Mark a position as lost, to be looked at now, or a while after the last time. */
static void
lose(SxSource *source, int at)
{
	Position *position = &source->positions[at];
	int64 due = Max(position->retry_ms, 1);

	position->is_lost = true;
	source->repair_ms = source->repair_ms == 0 ? due : Min(source->repair_ms, due);
}

/*
 * Go on at next_offset.  Stop and start rather than seek: librdkafka's seek does
 * nothing, silently, on a partition that it gave up.  What it has fetched for
 * the partition becomes invisible at once.
 */
void
sx_kafka_restart(SxSource *source, int at)
{
	Position *position = &source->positions[at];

	(void) rd_kafka_consume_stop(source->handle.topic, source->partitions[at].partition);
	position->is_lost = !start(source, at);
	position->is_out_of_range = false;
	if (position->is_lost)
		lose(source, at);
}

void
sx_source_add(SxSource *source, int32 partition, int64 offset)
{
	sx_source_resume(source, partition, offset, &(SxSourceMark){.offset = -1});
}

void
sx_source_resume(SxSource *source, int32 partition, int64 offset, const SxSourceMark *last)
{
	SxSourcePartition *added;
	Position *position;

	if (partition < 0 || partition > MAX_PARTITION_NUMBER)
		elog(ERROR, "invalid partition number: %d", partition);
	if (sx_kafka_place(source, partition) >= 0)
		elog(ERROR, "partition %d is being read already", partition);
	if (partition >= source->nindex)
		grow_index(source, partition);
	if (source->npartitions == source->maxpartitions)
		grow_partitions(source);

	added = &source->partitions[source->npartitions];
	memset(added, 0, sizeof(*added));
	position = &source->positions[source->npartitions];
	memset(position, 0, sizeof(Position));
	position->last.offset = -1;
	if (last->offset < offset)
		position->last = *last;
	position->handed = position->last.offset;
	added->partition = partition;
	added->next_offset = offset;
	added->end_offset = -1;
	added->gap_low = -1;
	source->index[partition] = source->npartitions++;
	if (!start(source, source->npartitions - 1))
	{
		position->is_lost = true;
		source->repair_ms = 1;
	}
}

void
sx_source_seek(SxSource *source, int32 partition, int64 offset)
{
	int at = sx_kafka_place(source, partition);
	SxSourcePartition *moved;
	Position *position;

	if (at < 0)
		elog(ERROR, "partition %d is not being read", partition);
	moved = &source->partitions[at];
	position = &source->positions[at];
	/* behind a gap there may be another log, and what is leapt over may be unreadable */
	if (moved->has_gap || offset > moved->next_offset || position->last.offset >= offset)
		position->last.offset = -1;
	position->handed = position->last.offset;
	position->is_other = false;
	position->is_refused = false;
	position->retry_ms = 0;
	moved->next_offset = offset;
	moved->at_end = false;
	moved->has_gap = false;
	moved->is_other_log = false;
	moved->gap_low = -1;
	moved->is_stopped = false;
	sx_kafka_restart(source, at);
}

void
sx_source_stop(SxSource *source, int32 partition, int64 offset)
{
	int at = sx_kafka_place(source, partition);
	SxSourcePartition *stopped;

	if (at < 0)
		elog(ERROR, "partition %d is not being read", partition);
	(void) rd_kafka_consume_stop(source->handle.topic, partition);
	stopped = &source->partitions[at];
	stopped->next_offset = offset;
	stopped->at_end = false;
	stopped->is_stopped = true;
	source->positions[at].is_lost = false;
}

const SxSourcePartition *
sx_source_partitions(SxSource *source, int *count)
{
	*count = source->npartitions;
	return source->partitions;
}

/* ---- what else comes through the queue ---- */

static void
take_end(SxSource *source, int at, int64 offset)
{
	SxSourcePartition *partition = &source->partitions[at];

	sx_handle_hear(&source->handle);
	if (sx_kafka_rests(partition) || source->positions[at].is_lost ||
		offset < partition->next_offset)
		return;
	source->positions[at].is_refused = false;
	source->has_news |= offset > partition->next_offset || !partition->at_end;
	partition->next_offset = offset;
	partition->end_offset = offset;
	if (!partition->at_end || source->positions[at].known_ms == 0)
		sx_kafka_begin_silence(source, at);
	partition->at_end = true;
}

/*
 * Errors after which librdkafka goes on by itself, exactly where it was.  A topic that was
 * not there for a while is not among them: what comes back may be another one.  Nor is one
 * that may not be read: a new start tells the end again, which is how we learn that it may.
 */
static bool
keeps_position(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__RESOLVE:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
			return true;
		default:
			return false;
	}
}

/* Errors of what is in the log: it can be fetched, and not be read. */
static bool
is_of_record(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__BAD_MSG || err == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
		   err == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED || err == RD_KAFKA_RESP_ERR_INVALID_MSG;
}

/* Count how often in a row; of one try the first of such errors. */
static void
note_spoilt(SxSource *source, int at, const char *reason)
{
	Position *position = &source->positions[at];
	int64 offset = source->partitions[at].next_offset;

	if (position->is_lost)
		return;
	position->spoilt = position->spoilt_at == offset ? position->spoilt + 1 : 1;
	position->spoilt_at = offset;
	strlcpy(source->spoilt_reason, reason, sizeof(source->spoilt_reason));
}

/* What a partition that is refused has beyond its last known end nobody knows: it is not at it. */
static void
refuse(SxSource *source, int at)
{
	source->positions[at].is_refused = true;
	source->has_news |= source->partitions[at].at_end;
	source->partitions[at].at_end = false;
}

void
sx_kafka_refuse_all(SxSource *source)
{
	for (int i = 0; i < source->npartitions; i++)
	{
		if (sx_kafka_rests(&source->partitions[i]))
			continue;
		refuse(source, i);
		lose(source, i);
	}
}

bool
sx_source_is_refused(const SxSource *source)
{
	for (int i = 0; i < source->npartitions; i++)
		if (source->positions[i].is_refused && !sx_kafka_rests(&source->partitions[i]))
			return true;
	return false;
}

char *
sx_source_unreadable(SxSource *source, int32 *partition, int64 *offset)
{
	for (int i = 0; i < source->npartitions; i++)
	{
		Position *position = &source->positions[i];

		if (position->spoilt < PATIENCE || position->spoilt_at != source->partitions[i].next_offset)
			continue;
		position->spoilt = PATIENCE - 1;
		*partition = source->partitions[i].partition;
		*offset = position->spoilt_at;
		return pstrdup(source->spoilt_reason);
	}
	return NULL;
}

/* An entry of the queue that is no message. */
static void
take_event(SxSource *source, const rd_kafka_message_t *event)
{
	int at = event->rkt != NULL ? sx_kafka_place(source, event->partition) : -1;

	if (event->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		if (at >= 0)
			take_end(source, at, event->offset);
		return;
	}
	if (event->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET)
	{
		/* this event has no version: one from before a seek can still come */
		if (at >= 0 && !sx_kafka_rests(&source->partitions[at]))
		{
			(void) sx_kafka_end_look(source, at);
			source->positions[at].is_out_of_range = true;
			lose(source, at);
		}
		return;
	}
	sx_handle_note(&source->handle, event->err, rd_kafka_message_errstr(event));
	if (at < 0 || sx_kafka_rests(&source->partitions[at]) || keeps_position(event->err))
		return;
	if (sx_kafka_error_lasts(event->err))
		refuse(source, at);
	if (is_of_record(event->err) && !sx_kafka_end_look(source, at))
		note_spoilt(source, at, source->handle.reason);
	lose(source, at);
}

/*
 * Is the position out of range for good?  It need not be: the event may be an old one, we are
 * to start at an end of the log that moved meanwhile, or only the last message is gone.
 */
static void
check_gap(SxSource *source, int at)
{
	SxSourcePartition *partition = &source->partitions[at];
	Position *position = &source->positions[at];
	int64 low;
	int64 high;

	if (partition->next_offset >= 0)
	{
		if (sx_kafka_ask_range(source, partition->partition, GAP_TIMEOUT_MS, &low, &high) !=
			RD_KAFKA_RESP_ERR_NO_ERROR)
			return;
		partition->end_offset = high;
		if (position->is_other || partition->next_offset < low || partition->next_offset > high)
		{
			partition->has_gap = true;
			partition->is_other_log = position->is_other;
			partition->gap_low = low;
			partition->at_end = false;
			position->is_lost = false;
			source->has_news = true;
			return;
		}
		/* where it ought to be it is looked for once more: a moment ago the log may have been too short */
		if (low > position->last.offset)
			position->last.offset = -1;
	}
	sx_kafka_restart(source, at);
}

/* Go on where a position was lost, when its time has come. */
static void
repair(SxSource *source)
{
	int64 now = sx_kafka_now_ms();

	if (source->repair_ms == 0 || source->repair_ms > now)
		return;
	source->repair_ms = 0;
	for (int i = 0; i < source->npartitions; i++)
	{
		Position *position = &source->positions[i];

		if (!position->is_lost)
			continue;
		if (position->retry_ms <= now)
		{
			position->retry_ms = now + RETRY_MS;
			if (position->is_other || (position->is_out_of_range && !position->is_vain))
				check_gap(source, i);
			else
				sx_kafka_restart(source, i);
		}
		if (position->is_lost)
			lose(source, i);
	}
}

/*
 * When all brokers are away, restart the partitions.  At their end, the end is then told
 * again, which is how we learn that a broker is back; and what comes back may be another log.
 */
static void
expect_sign_of_life(SxSource *source)
{
	if (!source->handle.went_down)
		return;
	source->handle.went_down = false;
	for (int i = 0; i < source->npartitions; i++)
	{
		if (!sx_kafka_rests(&source->partitions[i]) && !source->positions[i].is_lost)
			sx_kafka_restart(source, i);
	}
}

/* ---- messages ---- */

/* A segment with room; NULL without memory, which the caller takes for "nothing there". */
static Segment *
segment_with_room(SxSource *source)
{
	Segment *segment = source->current;

	if (segment != NULL && segment->live == 0)
		segment->used = 0;
	if (segment != NULL && segment->used < SEGMENT_SLOTS)
		return segment;
	for (segment = source->segments; segment != NULL; segment = segment->next)
	{
		if (segment->live == 0)
			break;
	}
	if (segment == NULL)
	{
		if (posix_memalign((void **) &segment, SEGMENT_BYTES, SEGMENT_BYTES) != 0)
			return NULL;
		segment->live = 0;
		segment->next = source->segments;
		source->segments = segment;
	}
	segment->used = 0;
	source->current = segment;
	return segment;
}

int64
sx_source_fingerprint(const SxMessage *message)
{
	uint64 hash = hash_bytes_extended((const unsigned char *) &message->timestamp_ms,
									  sizeof(message->timestamp_ms), 0);

	/* an empty key is not the same as none */
	if (message->key)
		hash = hash_bytes_extended((const unsigned char *) message->key, message->key_length,
								   hash + 1);
	if (message->payload)
		hash = hash_bytes_extended((const unsigned char *) message->payload,
								   message->payload_length, hash + 2);
	return (int64) hash;
}

static void
describe(SxMessage *message, rd_kafka_message_t **slot)
{
	rd_kafka_message_t *taken = *slot;
	rd_kafka_timestamp_type_t type;

	message->payload = taken->payload;
	message->payload_length = taken->len;
	message->key = taken->key;
	message->key_length = taken->key_len;
	message->partition = taken->partition;
	message->offset = taken->offset;
	message->timestamp_ms = rd_kafka_message_timestamp(taken, &type);
	message->handle = slot;
}

/*
 * A message that was read before: of the last one we know what it was.  Between that and
 * next_offset there were none, if it was the last to be handed out.
 */
static void
look_again(SxSource *source, int at, rd_kafka_message_t **slot)
{
	Position *position = &source->positions[at];
	int64 offset = (*slot)->offset;
	bool is_other = offset > position->last.offset && position->last.offset == position->handed;

	if (offset == position->last.offset)
	{
		SxMessage message;

		describe(&message, slot);
		is_other = sx_source_fingerprint(&message) != position->last.fingerprint;
		position->is_checking = is_other;
		/* as of when it was asked for: how long it waited in the queue we do not know */
		if (position->known_ms > 0 && !is_other)
			position->known_ms = Max(position->known_ms, position->asked_ms);
	}
	if (!is_other)
		return;
	position->is_other = true;
	lose(source, at);
}

/* Read the last message again before anything else; what was fetched behind it comes again, too. */
static void
distrust(SxSource *source, int at)
{
	Position *position = &source->positions[at];

	position->known_ms = 0;
	position->is_vain = false;
	position->retry_ms = 0;
	lose(source, at);
}

/* Whether a message has come after such a silence that it may be another log's. */
static bool
was_silent(const SxSource *source, int at)
{
	const Position *position = &source->positions[at];

	return position->known_ms > 0 && position->last.offset >= 0 &&
		   sx_kafka_now_ms() > position->known_ms + SILENCE_MS;
}

void
sx_source_distrust(SxSource *source)
{
	for (int i = 0; i < source->npartitions; i++)
		if (!sx_kafka_rests(&source->partitions[i]))
			distrust(source, i);
}

/* Hand out a message unless it is out of turn; returns whether it was. */
static inline bool
hand_out(SxSource *source, int at, rd_kafka_message_t **slot, SxMessage *message)
{
	int64 offset = (*slot)->offset;
	SxSourcePartition *partition = &source->partitions[at];
	Position *position = &source->positions[at];
	bool is_off = position->is_lost || sx_kafka_rests(partition);

	if (unlikely(is_off || offset < partition->next_offset))
	{
		if (position->is_checking && !is_off)
			look_again(source, at, slot);
		return false;
	}
	if (unlikely(partition->at_end))
	{
		/* whether we take it now or read it again: there is something */
		partition->at_end = false;
		if (was_silent(source, at))
		{
			distrust(source, at);
			return false;
		}
		position->known_ms = 0; /* silence begins at the next end that is told */
	}
	partition->next_offset = offset + 1;
	position->handed = offset;
	position->is_refused = false;
	describe(message, slot);
	return true;
}

/* Go through what came from the queue; returns how many messages are for the caller. */
static int
sort_out(SxSource *source, Segment *segment, int count, SxMessage *messages, size_t *bytes)
{
	int at = -1;
	int handed = 0;
	int end = segment->used + count;

	for (int i = segment->used; i < end; i++)
	{
		rd_kafka_message_t *taken = segment->slots[i];

		if (likely(taken->err == RD_KAFKA_RESP_ERR_NO_ERROR))
		{
			if (at < 0 || source->partitions[at].partition != taken->partition)
				at = sx_kafka_place(source, taken->partition);
			if (at >= 0 && hand_out(source, at, &segment->slots[i], &messages[handed]))
			{
				*bytes += messages[handed].payload_length + messages[handed].key_length;
				handed++;
				continue;
			}
		}
		else
			take_event(source, taken);
		rd_kafka_message_destroy(taken);
		segment->slots[i] = NULL;
	}
	segment->used = end;
	segment->live += handed;
	return handed;
}

/* Take what is there, without waiting, up to the limits. */
static int
drain(SxSource *source, SxMessage *messages, int max, size_t max_bytes)
{
	int handed = 0;
	size_t bytes = 0;

	while (handed < max && bytes < max_bytes)
	{
		Segment *segment = segment_with_room(source);
		size_t fitting = (max_bytes - bytes) / (source->message_length + 1) + 1;
		ssize_t count;

		if (segment == NULL)
			break;
		fitting = Min(fitting, Min(max - handed, MAX_CHUNK));
		fitting = Min(fitting, SEGMENT_SLOTS - segment->used);
		count = rd_kafka_consume_batch_queue(source->handle.queue, 0,
											 &segment->slots[segment->used], fitting);
		if (count <= 0)
			break;
		handed += sort_out(source, segment, count, &messages[handed], &bytes);
		if (handed > 0)
			source->message_length = bytes / handed;
		if (count < fitting)
			break;
	}
	if (handed > 0)
		sx_handle_hear(&source->handle);
	return handed;
}

/* Sleep until something comes; false when it is the latch or an interrupt. */
static bool
wait_for_wakeup(SxSource *source, int64 timeout_ms)
{
	int events;
	uint64 ignored;

	if (InterruptPending)
		return false;
	events = WaitLatchOrSocket(MyLatch,
							   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							   source->handle.wake_fd, (long) timeout_ms, PG_WAIT_EXTENSION);
	if (events & WL_SOCKET_READABLE)
		(void) !read(source->handle.wake_fd, &ignored, sizeof(ignored));
	if (events & WL_LATCH_SET)
		ResetLatch(MyLatch);
	return (events & WL_LATCH_SET) == 0 && !InterruptPending;
}

/* What is to be done between taking messages and returning them, or waiting for some. */
static void
tend(SxSource *source, int handed)
{
	sx_kafka_hear(source);
	expect_sign_of_life(source);
	repair(source);
	sx_kafka_look(source);
	sx_kafka_watch_ends(source, handed);
}

int
sx_source_poll(SxSource *source, SxMessage *messages, int max, size_t max_bytes, int timeout_ms)
{
	int64 until = timeout_ms > 0 ? sx_kafka_now_ms() + timeout_ms : 0;

	for (;;)
	{
		int handed = drain(source, messages, max, max_bytes);
		int64 now;

		tend(source, handed);
		if (handed > 0 || source->has_news || timeout_ms <= 0)
		{
			source->has_news = false;
			return handed;
		}
		now = sx_kafka_now_ms();
		if (now >= until ||
			!wait_for_wakeup(source, Max(sx_kafka_next_duty_ms(source, until) - now, 1)))
			return 0;
	}
}

/* Keep a mark of a message that is given back, if it was the last to be handed out. */
static inline void
leave_mark(SxSource *source, int at, const SxMessage *message)
{
	Position *position = &source->positions[at];

	if (message->offset == position->handed)
		position->last = (SxSourceMark){.offset = message->offset,
										.fingerprint = sx_source_fingerprint(message)};
}

void
sx_source_release(SxSource *source, SxMessage *messages, int count)
{
	int at = -1;

	if (source->is_closed)
		return;
	for (int i = 0; i < count; i++)
	{
		rd_kafka_message_t **slot = messages[i].handle;
		Segment *segment;

		if (slot == NULL)
			continue;
		if (at < 0 || source->partitions[at].partition != messages[i].partition)
			at = sx_kafka_place(source, messages[i].partition);
		if (at >= 0)
			leave_mark(source, at, &messages[i]);
		segment = (Segment *) ((uintptr_t) slot & ~((uintptr_t) SEGMENT_BYTES - 1));
		rd_kafka_message_destroy(*slot);
		*slot = NULL;
		segment->live--;
		messages[i].handle = NULL;
	}
}
