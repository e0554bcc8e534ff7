/*
 * stash.c
 *	  Copies of messages' bytes, in chunks that are given back as a whole.
 *
 * Memory is malloc's: it must be possible to give everything back while an
 * error is handled, and none of it may cause one.
 */
#include "compat.h"

#include "source/stash.h"

#define CHUNK_BYTES (256 * 1024)
#define CHUNK_ROOM (CHUNK_BYTES - offsetof(SxStashChunk, data))

/* What is larger would leave too much of a chunk empty. */
#define LARGEST_COPY (CHUNK_ROOM / 16)

void
sx_stash_init(SxStash *stash)
{
	dlist_init(&stash->busy);
	dlist_init(&stash->spare);
	stash->current = NULL;
}

static SxStashChunk *
next_chunk(SxStash *stash)
{
	SxStashChunk *chunk;

	if (!dlist_is_empty(&stash->spare))
		chunk = dlist_container(SxStashChunk, node, dlist_pop_head_node(&stash->spare));
	else
		chunk = malloc(CHUNK_BYTES);
	if (chunk == NULL)
		return NULL;
	chunk->used = 0;
	chunk->live = 0;
	dlist_push_tail(&stash->busy, &chunk->node);
	stash->current = chunk;
	return chunk;
}

char *
sx_stash_take(SxStash *stash, size_t size, SxStashChunk **chunk)
{
	SxStashChunk *current = stash->current;
	char *place;

	if (unlikely(size > LARGEST_COPY))
		return NULL;
	if (current == NULL || CHUNK_ROOM - current->used < size)
	{
		if (current != NULL && current->live == 0)
			current->used = 0;
		else
			current = next_chunk(stash);
	}
	if (current == NULL)
		return NULL;
	place = current->data + current->used;
	current->used += size;
	current->live++;
	*chunk = current;
	return place;
}

void
sx_stash_give(SxStash *stash, SxStashChunk *chunk)
{
	if (--chunk->live > 0 || chunk == stash->current)
		return;
	dlist_delete(&chunk->node);
	dlist_push_head(&stash->spare, &chunk->node);
}

static void
free_all(dlist_head *chunks)
{
	while (!dlist_is_empty(chunks))
		free(dlist_container(SxStashChunk, node, dlist_pop_head_node(chunks)));
}

void
sx_stash_trim(SxStash *stash)
{
	free_all(&stash->spare);
}

void
sx_stash_free(SxStash *stash)
{
	free_all(&stash->spare);
	free_all(&stash->busy);
	stash->current = NULL;
}
