/*
 * batch_check.h
 *	  What a stream demands of each row: a good event time, NOT NULL, CHECK.
 */
#ifndef SX_BATCH_CHECK_H
#define SX_BATCH_CHECK_H

#include "compat.h"

#include "batch/batch.h"
#include "datatype/timestamp.h"

/* From Unix's epoch to PostgreSQL's. */
#define UNIX_TO_POSTGRES_US ((POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

typedef struct SxBatchCheck
{
	Bitmapset *columns; /* attnums that are looked at */
	int nnot_null;
	AttrNumber *not_null;
	int nchecks;
	const char **names; /* of CHECK constraints */
	Node **expressions;
	bool is_pure; /* only built-in immutable functions: no subtransaction */
} SxBatchCheck;

/* Find out what a stream demands; in the current memory context. */
extern SxBatchCheck *sx_batch_check_open(const SxStream *stream);

/*
 * Find the event times of all rows that are not rejected, and reject those that
 * are not as the stream demands.
 */
extern void sx_batch_check(SxBatch *batch, TimestampTz now);

/*
 * The event time of row; false: it is a bad one, *sqlstate and *message
 * (palloc'd) say why.
 */
extern bool sx_batch_event_time(const SxBatch *batch, int row, TimestampTz now, int64 *event_time,
								int *sqlstate, const char **message);

/* A message's timestamp as TimestampTz; false: it is none. */
extern bool sx_batch_instant(int64 timestamp_ms, TimestampTz *instant);

/* Whether an error concerns the stream, not only views that need the column. */
static inline bool
sx_batch_error_rejects(const SxBatch *batch, const SxRowError *error)
{
	return error->attnum == 0 || bms_is_member(error->attnum, batch->check->columns);
}

/* Record what is wrong with a row. */
extern void
sx_batch_add_error(SxBatch *batch, int row, AttrNumber attnum, int sqlstate, const char *message);

#endif
