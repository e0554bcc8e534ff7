/*
 * watermark.h
 *	  How far event time is complete.  Pure: integers in, integers out; all
 *	  times are microseconds since 2000-01-01 UTC (a TimestampTz).
 */
#ifndef SX_WATERMARK_H
#define SX_WATERMARK_H

#include "compat.h"

#include "datatype/timestamp.h"

/* A partition as the watermark sees it. */
typedef struct SxPartitionTime
{
	int64 max_event_time; /* DT_NOBEGIN: no accepted row yet */
	bool at_end;		  /* end of log seen at the position */
	bool is_silent;		  /* no row came for idle_timeout */
} SxPartitionTime;

/*
 * The reader's watermark after a batch: never less than current (SEMANTICS 9
 * and 10).  It stays as long as a partition with unread messages had no row
 * (DT_NOBEGIN if it never had a value).  When all partitions fell silent, the greatest of them counts:
 * what it would be had the slower ones fallen silent first.
 */
extern int64
sx_watermark_advance(int64 current, const SxPartitionTime *partitions, int count, int64 delay_us);

/*
 * The watermark with idle_advance: clock less the delay when every partition is
 * at its end and silent, also those that never had a row; else current.  Never
 * less than current.
 */
extern int64 sx_watermark_follow_clock(int64 current, const SxPartitionTime *partitions, int count,
									   int64 delay_us, int64 clock);

#endif
