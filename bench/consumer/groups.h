/*
 * groups.h
 *	  Count and sum of orders by category and slice of event time: a hash table.
 */
#ifndef BENCH_GROUPS_H
#define BENCH_GROUPS_H

#include "order.h"

typedef struct Group
{
	char category[MAX_CATEGORY];
	uint32_t category_length;
	uint32_t hash; /* 0: a free slot */
	int64_t start_ms;
	int64_t orders;
	int64_t cents;
} Group;

/* Slots are a power of two; used of them are filled. */
typedef struct Groups
{
	Group *slots;
	uint64_t nslots;
	uint64_t used;
	int64_t slice_ms;
} Groups;

extern void groups_open(Groups *groups, int64_t slice_ms);
extern void groups_add(Groups *groups, const Order *order);
extern void groups_clear(Groups *groups);

/* Move the groups to the front, in the order of category and time; clear them before adding again. */
extern Group *groups_sort(Groups *groups);

#endif
