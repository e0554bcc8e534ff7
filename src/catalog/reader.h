/*
 * reader.h
 *	  A reader: positions and watermark in a stream; one or more views hang on
 *	  it and move together.  Stored in streamx.readers and streamx.progress.
 */
#ifndef SX_READER_H
#define SX_READER_H

#include "compat.h"

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct SxPartition
{
	int32 partition;
	int64 start_offset;	 /* where the reader began */
	int64 stored_offset; /* next_offset as loaded: what compare-and-set compares with */
	int64 next_offset;
	int64 event_time;  /* greatest event time accepted; DT_NOBEGIN: none */
	int64 filtered;	   /* messages since start_offset that the stream's filter rejected */
	int64 last_offset; /* of the last message read; -1: none, or not to be asked for again */
	int64 fingerprint; /* of that message, by which the log is known again */
	bool is_new;	   /* no row in streamx.progress yet */
	bool is_changed;   /* must be saved, even with the same offset */

	/* not stored: */
	bool at_end;	/* end of the log seen at next_offset */
	bool is_silent; /* no row came for idle_timeout */
} SxPartition;

typedef struct SxReader
{
	int32 id;
	Oid stream;			 /* relid */
	const char *topic;	 /* '' for streams fed by INSERT */
	const char *cluster; /* Kafka's own name for the cluster that was read; NULL: not known */
	bool paused;
	int64 watermark;		/* TimestampTz; DT_NOBEGIN: none */
	int64 stored_watermark; /* as loaded or last saved */
	int npartitions;
	int partitions_size;
	SxPartition *partitions; /* ascending */
	List *views;			 /* OIDs, ascending, of views that hang on it */
	MemoryContext context;
} SxReader;

/* Lock a stream to the end of the transaction.  Take it before the snapshot. */
extern void sx_lock_stream(Oid stream);

/* Give one sx_lock_stream back before the end of the transaction: when nothing was changed under it. */
extern void sx_unlock_stream(Oid stream);

/* IDs of the readers of a stream, ascending. */
extern List *sx_reader_list(Oid stream);

/* Load a reader with its positions, in the current memory context; NULL when it is gone. */
extern SxReader *sx_reader_load(int32 id);

/* The reader that a view hangs on. */
extern SxReader *sx_reader_of_view(Oid view);

/* Whether two readers know the same partitions and stand at the same offsets. */
extern bool sx_reader_is_beside(const SxReader *left, const SxReader *right);

/* Make a reader row; returns its id. */
extern int32 sx_reader_create(Oid stream, const char *topic);

/* Store the cluster that is read. */
extern void sx_reader_save_cluster(int32 reader, const char *cluster);

/*
 * Find a partition (NULL: not there), or add it with is_new set at
 * start_offset.  Adding moves the others: pointers to them become invalid.
 */
extern SxPartition *sx_reader_partition(SxReader *reader, int32 partition);
extern SxPartition *sx_reader_add_partition(SxReader *reader, int32 partition, int64 start_offset);

/*
 * Save the positions that changed and the watermark, by compare-and-set, in one
 * statement (new partitions are another).  An error (serialization_failure) when
 * somebody else moved them.  Sets stored_offset = next_offset; when the transaction
 * is rolled back, load the reader again.
 */
extern void sx_progress_save(SxReader *reader);

/* Save that a partition goes on at an offset, before which nothing is known: it may be another log. */
extern void sx_progress_leap(SxReader *reader, int32 partition, int64 offset);

#endif
