/*
 * process_memory.c
 *	  Memory that lasts as long as the process.
 *
 * PostgreSQL does not tell of its cache of time zones, and nothing is ever removed from it.  But
 * it is a hash table, and such a one has a memory context of its own that bears its name.
 */
#include "compat.h"

#include "catalog/process_memory.h"

#include "nodes/memnodes.h"
#include "utils/memutils.h"

#define ZONES "Timezones" /* in pgtz.c */

static Size zones_limit = 0;
static Size caches_seen = 0;
static Size caches_grown = 0; /* but for plans */

/* NULL: this PostgreSQL calls it otherwise. */
static MemoryContext
find_zones(void)
{
	static MemoryContext zones = NULL;

	if (zones != NULL)
		return zones;
	for (MemoryContext child = TopMemoryContext->firstchild; child != NULL;
		 child = child->nextchild)
		if (child->ident != NULL && strcmp(child->ident, ZONES) == 0)
			zones = child;
	return zones;
}

Size
sx_process_memory_zones(void)
{
	MemoryContext zones = find_zones();

	return zones ? MemoryContextMemAllocated(zones, false) : 0;
}

/* What is freed was not a message's: large entries are, statistics for example. */
Size
sx_process_memory_caches(void)
{
	Size now = CacheMemoryContext ? MemoryContextMemAllocated(CacheMemoryContext, false) : 0;

	if (now > caches_seen)
		caches_grown += now - caches_seen;
	caches_seen = now;
	return caches_grown;
}

void
sx_process_memory_planned(Size before)
{
	(void) sx_process_memory_caches();
	caches_grown = before; /* of a plan within a plan, too: the outer one's before is older */
}

void
sx_process_memory_limit_zones(Size bytes)
{
	zones_limit = bytes;
}

void
sx_process_memory_check(void)
{
	Size bytes;

	if (zones_limit == 0 || (bytes = sx_process_memory_zones()) <= zones_limit)
		return;
	ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY),
					errmsg("the messages of a batch name too many time zones"),
					errdetail("PostgreSQL keeps each of them: %d MB.", (int) (bytes >> 20))));
}
