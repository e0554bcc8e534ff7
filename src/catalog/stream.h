/*
 * stream.h
 *	  A stream: a foreign table of ours, with its options resolved.
 */
#ifndef SX_STREAM_H
#define SX_STREAM_H

#include "compat.h"

#include "access/tupdesc.h"
#include "catalog/option.h"
#include "pgtime.h"

typedef struct SxColumn
{
	AttrNumber attnum;
	const char *name;
	Oid type;
	int32 typmod;
	Oid collation;
	bool is_dropped;
	bool not_null;
	SxMetadata metadata; /* SX_METADATA_NONE: comes from the payload */
	const char *field;	 /* path in the message; the column's name unless
								 * option "field" says otherwise */
} SxColumn;

typedef struct SxStream
{
	Oid relid;
	const char *name; /* for messages, unqualified */
	Oid owner;		  /* as whom its types, domains and CHECK constraints are run */
	Oid server_oid;
	bool is_kafka; /* false: fed by INSERT and COPY */
	const char *topic;
	const char *format;
	const char *root;	   /* path of the object that holds the fields, or NULL */
	const char *filter;	   /* which messages are rows, or NULL: all; see catalog/filter.h */
	AttrNumber event_time; /* 0: no event time, no watermark */
	const char *timezone_name;
	pg_tz *timezone;
	SxTimestampFormat timestamp_format;
	int64 watermark_delay_us;
	int64 idle_timeout_us; /* -1: off */
	bool idle_advance;	   /* the watermark follows the clock while all is idle */
	int64 max_future_us;
	SxOnError on_error;
	bool skips_gaps; /* on_gap 'skip' */
	bool retain;	 /* INSERT streams: rows are logged */
	int ncolumns;	 /* = tupdesc->natts, dropped ones included */
	SxColumn *columns;
	TupleDesc tupdesc; /* a copy, with constraints */
} SxStream;

/* True if the relation is a foreign table of streamx. */
extern bool sx_stream_is(Oid relid);

/*
 * Resolve a stream.  Everything is allocated in the current memory context.
 * The caller holds a lock on the relation, or accepts an error when it is
 * dropped meanwhile.
 */
extern SxStream *sx_stream_open(Oid relid);

/*
 * Check a stream just created or altered: options against columns (event_time
 * exists and is a timestamp, metadata columns have fitting types, a Kafka
 * server has a topic, ...).  Errors leave nothing behind.
 */
extern void sx_stream_check(Oid relid);

/*
 * An error unless the stream's owner has USAGE on its server, now.  PostgreSQL asks
 * only when a foreign table is made; we ask whenever rows are to be taken.
 */
extern void sx_stream_check_usage(const SxStream *stream);

#endif
