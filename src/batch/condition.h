/*
 * condition.h
 *	  Conditions on metadata columns that narrow down what is read of a topic.
 */
#ifndef SX_CONDITION_H
#define SX_CONDITION_H

#include "compat.h"

#include "batch/scan_kind.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* Microseconds from 1970 to PostgreSQL's epoch. */
#define SX_UNIX_EPOCH_US                                                                           \
	(((int64) POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * USECS_PER_SEC)

/* What conditions leave of a topic; all bounds are inclusive. */
typedef struct SxScanBounds
{
	bool is_empty; /* no row can pass */
	bool has_partitions;
	int npartitions;
	int64 *partitions; /* ascending; with has_partitions */
	int64 partition_first;
	int64 partition_last;
	int64 offset_first; /* 0: none */
	int64 offset_last;	/* PG_INT64_MAX: none */
	bool has_timestamp;
	int64 timestamp_ms; /* messages before it (since 1970) are not wanted */
	bool has_unknown;	/* some depend on parameters not known yet (EXPLAIN) */
} SxScanBounds;

/*
 * Find, at plan time, the clauses that can be used.  Returns a description for
 * fdw_private (a list of integer lists), and the expressions to compare with,
 * one for each, in *values: they go to fdw_exprs.
 */
extern List *sx_condition_find(Oid relid, Index varno, List *clauses, List **values);

/*
 * Compute the bounds with the parameters there are now, in the current memory
 * context.  For EXPLAIN, without those that only execution knows.
 */
extern void sx_condition_bounds(const SxScan *scan, bool is_explain, SxScanBounds *bounds);

/* Whether a partition can have rows that pass. */
extern bool sx_condition_has_partition(const SxScanBounds *bounds, int32 partition);

#endif
