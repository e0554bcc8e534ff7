/*
 * log.h
 *	  The log of a stream with retain 'on': its rows, by offset.
 */
#ifndef SX_LOG_H
#define SX_LOG_H

#include "compat.h"

#include "batch/batch.h"
#include "utils/relcache.h"

/* Columns of a log table. */
#define SX_LOG_OFFSET 1
#define SX_LOG_RECORDED_AT 2
#define SX_LOG_ROW 3
#define SX_LOG_NCOLUMNS 3

/*
 * Make the log table of a stream and enter it in streamx.streams, whose row
 * exists.  It goes with the stream.  Returns the log's OID; what is there
 * already is kept.
 */
extern Oid sx_log_create(Oid stream);

/* The log of a stream, InvalidOid when it has none. */
extern Oid sx_log_find(Oid stream);

/* The index on the offsets of an open log. */
extern Oid sx_log_index(Relation log);

/* How many of the rows at offsets from first to before end a log has; with the snapshot of a new statement. */
extern int64 sx_log_count(Oid log, int64 first, int64 end);

/* Store all rows of a batch at their origin's offsets, in the caller's transaction. */
extern void sx_log_append(const SxStream *stream, const SxBatch *batch);

#endif
