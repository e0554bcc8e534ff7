/*
 * board.h
 *	  What the workers that share a stream tell each other of their partitions,
 *	  in shared memory.
 *
 * A posting is withdrawn when nobody hears the partition any more: what is not
 * posted may have unread messages.  So may what does not fit any more.
 */
#ifndef SX_BOARD_H
#define SX_BOARD_H

#include "compat.h"

#include "catalog/reader.h"

typedef struct SxPosting
{
	/* as of the last commit */
	int64 next_offset; /* -1: nothing is posted */
	int64 event_time;
	int64 watermark; /* of the reader */

	/* as of the last look */
	int64 read_offset; /* the next to be read; messages before it may wait to be committed */
	int64 end_offset;  /* of the log; -1: unknown */
	bool at_end;	   /* the end of the log was seen at read_offset */
	bool is_silent;	   /* no row came for idle_timeout, while there was somebody to hear it */

	int owner; /* who posted it; set by sx_board_read */
} SxPosting;

/* Ask for shared memory; from _PG_init. */
extern void sx_board_init(void);

/* The postings for a reader's partitions, in their order, into an array of count. */
extern void
sx_board_read(int32 reader, const SxPartition *partitions, int count, SxPosting *postings);

/*
 * Post what is known of a partition, as owner, an index of a worker's slot.  Returns whether
 * the posting says something else than the one before, or there was none.
 */
extern bool sx_board_post(int owner, int32 reader, int32 partition, const SxPosting *posting);

/* Withdraw an owner's postings; returns whether there were any. */
extern bool sx_board_withdraw(int owner);

#endif
