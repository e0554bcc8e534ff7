/*
 * groups.c
 *	  Count and sum of orders by category and slice of event time: open
 *	  addressing, everything in one cache line.
 */
#include <stdlib.h>
#include <string.h>

#include "groups.h"
#include "options.h"

#define FIRST_SLOTS 1024

_Static_assert(sizeof(Group) <= 64, "a group fits a cache line");

static Group *
allocate(uint64_t nslots)
{
	Group *slots = NULL;

	if (posix_memalign((void **) &slots, 64, nslots * sizeof(Group)) != 0)
		die("groups", "out of memory");
	memset(slots, 0, nslots * sizeof(Group));
	return slots;
}

static uint32_t
hash_of(const char *category, int64_t start_ms)
{
	uint64_t word[MAX_CATEGORY / 8];
	uint64_t hash = (uint64_t) start_ms * UINT64_C(0x9e3779b97f4a7c15);

	memcpy(word, category, sizeof(word));
	for (int i = 0; i < MAX_CATEGORY / 8; i++)
		hash = ((hash ^ word[i]) * UINT64_C(0x9ddfea08eb382d69)) ^ (hash >> 29);
	return (uint32_t) (hash >> 32) | 1;
}

/* The group of that key, or the free slot for it. */
static Group *
find(const Groups *groups, const char *category, int64_t start_ms, uint32_t hash)
{
	uint64_t slot = hash & (groups->nslots - 1);

	for (;; slot = (slot + 1) & (groups->nslots - 1))
	{
		Group *group = &groups->slots[slot];

		if (group->hash == 0 || (group->hash == hash && group->start_ms == start_ms &&
								 memcmp(group->category, category, MAX_CATEGORY) == 0))
			return group;
	}
}

static void
grow(Groups *groups)
{
	Groups larger = *groups;

	larger.nslots *= 2;
	larger.slots = allocate(larger.nslots);
	for (uint64_t i = 0; i < groups->nslots; i++)
	{
		Group *group = &groups->slots[i];

		if (group->hash != 0)
			*find(&larger, group->category, group->start_ms, group->hash) = *group;
	}
	free(groups->slots);
	*groups = larger;
}

static int
compare(const void *a, const void *b)
{
	const Group *left = a;
	const Group *right = b;
	int order = memcmp(left->category, right->category, MAX_CATEGORY);

	if (order != 0)
		return order;
	return (left->start_ms > right->start_ms) - (left->start_ms < right->start_ms);
}

void
groups_open(Groups *groups, int64_t slice_ms)
{
	*groups = (Groups){.nslots = FIRST_SLOTS, .slice_ms = slice_ms};
	groups->slots = allocate(FIRST_SLOTS);
}

void
groups_add(Groups *groups, const Order *order)
{
	int64_t start_ms = order->event_ms - order->event_ms % groups->slice_ms;
	uint32_t hash = hash_of(order->category, start_ms);
	Group *group = find(groups, order->category, start_ms, hash);

	if (group->hash == 0)
	{
		memcpy(group->category, order->category, MAX_CATEGORY);
		group->category_length = order->category_length;
		group->hash = hash;
		group->start_ms = start_ms;
		groups->used++;
	}
	group->orders += order->has_id;
	group->cents += order->cents;
	if (groups->used * 2 > groups->nslots)
		grow(groups);
}

void
groups_clear(Groups *groups)
{
	memset(groups->slots, 0, groups->nslots * sizeof(Group));
	groups->used = 0;
}

Group *
groups_sort(Groups *groups)
{
	uint64_t used = 0;

	for (uint64_t i = 0; i < groups->nslots; i++)
		if (groups->slots[i].hash != 0)
			groups->slots[used++] = groups->slots[i];
	qsort(groups->slots, used, sizeof(Group), compare);
	return groups->slots;
}
