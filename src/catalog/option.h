/*
 * option.h
 *	  The options of servers, user mappings, streams, columns and views: one
 *	  table of names, kinds and checks.
 */
#ifndef SX_OPTION_H
#define SX_OPTION_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"
#include "pgtime.h"

typedef enum SxOptionScope
{
	SX_OPTION_SERVER,
	SX_OPTION_USER_MAPPING,
	SX_OPTION_STREAM,
	SX_OPTION_COLUMN,
	SX_OPTION_VIEW
} SxOptionScope;

typedef enum SxOnError
{
	SX_ON_ERROR_DEAD_LETTER,
	SX_ON_ERROR_SKIP,
	SX_ON_ERROR_STOP
} SxOnError;

/* As many workers may share a stream's partitions. */
#define SX_MAX_STREAM_WORKERS 32

typedef enum SxTimestampFormat
{
	SX_TIMESTAMP_TEXT, /* ISO 8601, or whatever the type's input takes */
	SX_TIMESTAMP_EPOCH_S,
	SX_TIMESTAMP_EPOCH_MS
} SxTimestampFormat;

typedef enum SxMetadata
{
	SX_METADATA_NONE,
	SX_METADATA_TOPIC,
	SX_METADATA_PARTITION,
	SX_METADATA_OFFSET,
	SX_METADATA_TIMESTAMP,
	SX_METADATA_KEY,
	SX_METADATA_HEADERS
} SxMetadata;

/*
 * Check a list of DefElems against the table; errors name the valid options.
 * For SX_OPTION_VIEW the names come without their "streamx." namespace.
 */
extern void sx_options_check(SxOptionScope scope, List *options);

/* The text of an option in a list of DefElems, or NULL when it is not there. */
extern const char *sx_option_get(List *options, const char *name);

/* The view option "start" as it means the same to every session, a time in UTC; NULL when it is not there. */
extern const char *sx_option_start(List *options);

/* A start that is neither 'earliest' nor 'latest': a time, which without a zone is one of the session's. */
extern TimestampTz sx_option_start_time(const char *start);

/*
 * Values of options, with their defaults; a bad value is an error with a hint.
 * Intervals are returned in microseconds and must be pure time (no months;
 * a day counts 24 hours) and not negative.
 */
extern int64 sx_option_interval_us(List *options, const char *name, int64 default_us);
extern bool sx_option_bool(List *options, const char *name, bool default_value);
extern int sx_option_int(List *options, const char *name, int default_value, int min, int max);
extern SxOnError sx_option_on_error(List *options, SxOnError default_value);
extern SxTimestampFormat sx_option_timestamp_format(List *options);
extern SxMetadata sx_option_metadata(List *options);

/* A time zone by its name; an error when there is none. */
extern pg_tz *sx_option_timezone(const char *name);

/*
 * The librdkafka properties of a server and a user mapping's options, as
 * parallel arrays of names (with dots) and values, palloc'd.  Only names of
 * the allow-list come out.  Values may be secrets: never log them.
 */
extern int sx_option_kafka_properties(List *server_options, List *mapping_options,
									  const char ***names, const char ***values);

#endif
