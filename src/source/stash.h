/*
 * stash.h
 *	  Copies of messages' bytes, in chunks that are given back as a whole.
 *	  Private to src/source.
 *
 * A message of librdkafka's costs several times its bytes.  Plain ones are
 * copied here and given back to it at once; what is kept is used again and again.
 */
#ifndef SX_STASH_H
#define SX_STASH_H

#include "compat.h"

#include "lib/ilist.h"

typedef struct SxStashChunk
{
	dlist_node node;
	size_t used; /* bytes */
	int live;	 /* copies not yet given back */
	char data[FLEXIBLE_ARRAY_MEMBER];
} SxStashChunk;

typedef struct SxStash
{
	dlist_head busy;
	dlist_head spare;	   /* chunks without copies */
	SxStashChunk *current; /* a busy one, or NULL */
} SxStash;

extern void sx_stash_init(SxStash *stash);

/*
 * Room for a copy, which counts as one in *chunk; NULL when it is too large, or
 * there is no memory.
 */
extern char *sx_stash_take(SxStash *stash, size_t size, SxStashChunk **chunk);

/* A copy is not needed any more. */
extern void sx_stash_give(SxStash *stash, SxStashChunk *chunk);

/* Free what is not used now. */
extern void sx_stash_trim(SxStash *stash);

/* Free everything, copies too. */
extern void sx_stash_free(SxStash *stash);

#endif
