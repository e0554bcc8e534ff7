/*
 * look.c
 *	  Look at the last messages of silent partitions again, before something comes.
 *
 * What ends a silence is taken only if the log is known to be the same one.  Asked for then,
 * the last message comes behind the fetch that waits at the end of the log, after up to
 * fetch.wait.max.ms.  Asked for before, it is in nobody's way: what comes meanwhile ends that
 * fetch, and the next one, from the last message on, brings both.  Only what librdkafka has
 * put into the queue in the very moment of the look comes as late as without one.
 *
 * A fetch brings the last message's whole batch, so partitions are looked at for a while
 * only, and few at a time: of very many that are silent, some not in time.
 */
#include "compat.h"

#include "source/kafka.h"

#define LOOK_MS 600			/* how old the last look may become: see SILENCE_MS */
#define LOOK_FOR_MS 60000	/* after so much silence nobody minds fetch.wait.max.ms */
#define LOOK_PAUSE_MS 100	/* partitions that are due meanwhile share a fetch */
#define LOOK_OVERDUE_MS 200 /* the caller has no wish to read: do not wake it */
#define LOOK_PARTITIONS 16	/* at a time */
#define LOOK_MESSAGES 1000	/* from the last message on; with aborted ones there may be very many */

static void
plan_look(SxSource *source, int64 due)
{
	source->look_ms = source->look_ms == 0 ? due : Min(source->look_ms, due);
}

void
sx_kafka_begin_silence(SxSource *source, int at)
{
	Position *position = &source->positions[at];

	position->known_ms = sx_kafka_now_ms();
	position->look_until_ms = position->known_ms + LOOK_FOR_MS;
	plan_look(source, position->known_ms + LOOK_MS);
}

/* When to look at a partition; 0: never, as things are. */
static int64
look_due(const SxSource *source, int at)
{
	const SxSourcePartition *partition = &source->partitions[at];
	const Position *position = &source->positions[at];
	int64 due = Max(position->known_ms, position->asked_ms) + LOOK_MS;

	if (!partition->at_end || sx_kafka_rests(partition) || position->known_ms == 0)
		return 0;
	return due < position->look_until_ms ? due : 0;
}

static bool
can_look(const SxSource *source, int at)
{
	const Position *position = &source->positions[at];

	return !position->is_lost && position->last.offset >= 0 &&
		   source->partitions[at].next_offset - position->last.offset <= LOOK_MESSAGES;
}

void
sx_kafka_look(SxSource *source)
{
	int64 now = sx_kafka_now_ms();
	int looks = 0;

	if (source->look_ms == 0 || source->look_ms > now)
		return;
	/* what waits there would have to be fetched once more, and again the next time */
	if (rd_kafka_queue_length(source->handle.queue) > 0)
		return;
	source->look_ms = 0;
	for (int i = 0; i < source->npartitions; i++)
	{
		int64 due = look_due(source, i);

		if (due == 0)
			continue;
		if (due <= now && looks < LOOK_PARTITIONS && can_look(source, i))
		{
			sx_kafka_restart(source, i);
			looks++;
			due = now + LOOK_MS;
		}
		plan_look(source, Max(due, now + LOOK_PAUSE_MS));
	}
}

bool
sx_kafka_end_look(SxSource *source, int at)
{
	Position *position = &source->positions[at];

	if (!position->is_checking || position->is_lost || !source->partitions[at].at_end ||
		position->known_ms == 0)
		return false;
	position->is_vain = true;
	position->look_until_ms = 0;
	return true;
}

int64
sx_kafka_next_look_ms(const SxSource *source)
{
	if (source->look_ms == 0 || sx_kafka_now_ms() > source->look_ms + LOOK_OVERDUE_MS)
		return PG_INT64_MAX;
	return source->look_ms;
}
