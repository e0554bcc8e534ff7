/*
 * top.c
 *	  The n best of many values.
 *
 * One total order of all items, in which only items that cannot be told apart
 * are equal, decides who is best: so what is kept does not depend on the order
 * in which items come, nor on how tops are merged.
 *
 *		key, ascending or descending | value, ascending, NULL last | image of the value
 *
 * Items are in a heap with the worst at the root, which one comparison shows to
 * be better than most that come.  With ties, all items with the n-th best key
 * are kept, and they are kept apart:
 *
 *		heap: fewer than n items, better than the n-th | ties: the n-th and its equals
 *
 * When better items have filled the heap, the ties are dropped, and the worst of
 * the heap become the ties.
 */
#include "compat.h"

#include "miscadmin.h"

#include "aggregate/top.h"

typedef struct Items
{
	int count;
	int capacity;
	SxTopItem *items;
} Items;

struct SxTop
{
	SxTopShape *shape;
	MemoryContext context;
	int n;
	bool with_ties;
	Items heap;
	Items ties; /* with_ties, and there are at least n items */
};

static void replace_worst(SxTop *top, const SxTopItem *item);
static void push_beside_ties(SxTop *top, const SxTopItem *item);
static void split_ties(SxTop *top);
static void push_heap(SxTop *top, const SxTopItem *item);
static SxTopItem pop_heap(SxTop *top);
static void sift_down(SxTop *top, SxTopItem item);
static void append(SxTop *top, Items *items, SxTopItem item);
static SxTopItem copy_item(SxTop *top, const SxTopItem *item);
static void free_item(SxTop *top, const SxTopItem *item);
static int compare(SxTopShape *shape, const SxTopItem *left, const SxTopItem *right);
static int compare_keys(SxTopShape *shape, const SxTopItem *left, const SxTopItem *right);
static int compare_tied(SxTopShape *shape, const SxTopItem *left, const SxTopItem *right);
static int compare_for_sort(const void *left, const void *right, void *shape);

SxTop *
sx_top_create(SxTopShape *shape, int n, bool with_ties, MemoryContext context)
{
	SxTop *top = MemoryContextAllocZero(context, sizeof(SxTop));

	top->shape = shape;
	top->context = context;
	top->n = n;
	top->with_ties = with_ties;
	return top;
}

int
sx_top_n(const SxTop *top)
{
	return top->n;
}

bool
sx_top_with_ties(const SxTop *top)
{
	return top->with_ties;
}

SxTopShape *
sx_top_shape(const SxTop *top)
{
	return top->shape;
}

void
sx_top_push(SxTop *top, const SxTopItem *item)
{
	if (top->ties.count > 0)
		push_beside_ties(top, item);
	else if (top->heap.count == top->n)
	{
		if (compare(top->shape, item, &top->heap.items[0]) < 0)
			replace_worst(top, item);
	}
	else
	{
		push_heap(top, item);
		if (top->with_ties && top->heap.count == top->n)
			split_ties(top);
	}
}

SxTopItem *
sx_top_sorted(SxTop *top, int *nitems)
{
	int count = top->heap.count + top->ties.count;
	SxTopItem *sorted = palloc_extended(Max(count, 1) * sizeof(SxTopItem), MCXT_ALLOC_HUGE);

	if (top->heap.count > 0)
		memcpy(sorted, top->heap.items, top->heap.count * sizeof(SxTopItem));
	if (top->ties.count > 0)
		memcpy(sorted + top->heap.count, top->ties.items, top->ties.count * sizeof(SxTopItem));
	qsort_arg(sorted, count, sizeof(SxTopItem), compare_for_sort, top->shape);
	*nitems = count;
	return sorted;
}

void
sx_top_merge(SxTop *into, const SxTop *from)
{
	const Items *parts[] = {&from->heap, &from->ties};

	for (int part = 0; part < lengthof(parts); part++)
		for (int i = 0; i < parts[part]->count; i++)
		{
			CHECK_FOR_INTERRUPTS();
			sx_top_push(into, &parts[part]->items[i]);
		}
}

/* Ties */

static void
push_beside_ties(SxTop *top, const SxTopItem *item)
{
	int comparison = compare_keys(top->shape, item, &top->ties.items[0]);

	if (comparison > 0)
		return;
	if (comparison == 0)
	{
		append(top, &top->ties, copy_item(top, item));
		return;
	}
	push_heap(top, item);
	if (top->heap.count == top->n)
		split_ties(top);
}

/* The heap has n items: the worst of them become the ties. */
static void
split_ties(SxTop *top)
{
	Items *ties = &top->ties;

	for (int i = 0; i < ties->count; i++)
		free_item(top, &ties->items[i]);
	ties->count = 0;
	do
	{
		append(top, ties, pop_heap(top));
	} while (top->heap.count > 0 &&
			 compare_keys(top->shape, &top->heap.items[0], &ties->items[0]) == 0);
}

/* The heap: no parent is better than its children */

static void
replace_worst(SxTop *top, const SxTopItem *item)
{
	SxTopItem copy = copy_item(top, item);

	free_item(top, &top->heap.items[0]);
	sift_down(top, copy);
}

static void
push_heap(SxTop *top, const SxTopItem *item)
{
	Items *heap = &top->heap;
	int i = heap->count;
	SxTopItem copy = copy_item(top, item);

	append(top, heap, copy);
	while (i > 0)
	{
		int parent = (i - 1) / 2;

		if (compare(top->shape, &copy, &heap->items[parent]) <= 0)
			break;
		heap->items[i] = heap->items[parent];
		i = parent;
	}
	heap->items[i] = copy;
}

static SxTopItem
pop_heap(SxTop *top)
{
	Items *heap = &top->heap;
	SxTopItem worst = heap->items[0];

	heap->count--;
	if (heap->count > 0)
		sift_down(top, heap->items[heap->count]);
	return worst;
}

/* Put an item into the heap's free root, and from there to where it belongs. */
static void
sift_down(SxTop *top, SxTopItem item)
{
	Items *heap = &top->heap;
	int i = 0;

	for (;;)
	{
		int child = 2 * i + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count &&
			compare(top->shape, &heap->items[child + 1], &heap->items[child]) > 0)
			child++;
		if (compare(top->shape, &item, &heap->items[child]) >= 0)
			break;
		heap->items[i] = heap->items[child];
		i = child;
	}
	heap->items[i] = item;
}

/* Items */

static void
append(SxTop *top, Items *items, SxTopItem item)
{
	if (items->count == items->capacity)
	{
		int capacity = items->capacity == 0 ? Min(top->n, 4) : items->capacity * 2;
		Size size = capacity * sizeof(SxTopItem);

		if (items->items)
			items->items = repalloc_huge(items->items, size);
		else
			items->items = MemoryContextAllocHuge(top->context, size);
		items->capacity = capacity;
	}
	items->items[items->count++] = item;
}

static SxTopItem
copy_item(SxTop *top, const SxTopItem *item)
{
	SxTopShape *shape = top->shape;
	MemoryContext old = MemoryContextSwitchTo(top->context);
	SxTopItem copy = {.value_is_null = item->value_is_null};

	copy.key = sx_datum_copy(&shape->key, item->key);
	if (shape->has_value && !item->value_is_null)
		copy.value = sx_datum_copy(&shape->value, item->value);
	MemoryContextSwitchTo(old);
	return copy;
}

static void
free_item(SxTop *top, const SxTopItem *item)
{
	SxTopShape *shape = top->shape;

	sx_datum_free(&shape->key, item->key);
	if (shape->has_value && !item->value_is_null)
		sx_datum_free(&shape->value, item->value);
}

/* Negative: left is better than right. */
static int
compare(SxTopShape *shape, const SxTopItem *left, const SxTopItem *right)
{
	int comparison = compare_keys(shape, left, right);

	return comparison != 0 ? comparison : compare_tied(shape, left, right);
}

static int
compare_keys(SxTopShape *shape, const SxTopItem *left, const SxTopItem *right)
{
	int comparison = sx_datum_compare(&shape->key, left->key, right->key);

	return shape->is_descending ? -(comparison > 0) + (comparison < 0) : comparison;
}

static int
compare_tied(SxTopShape *shape, const SxTopItem *left, const SxTopItem *right)
{
	SxDatumType *value = &shape->value;
	int comparison = 0;

	if (!shape->has_value)
		return shape->key.equal_is_same
				   ? 0
				   : sx_datum_compare_image(&shape->key, left->key, right->key);
	if (left->value_is_null || right->value_is_null)
		return left->value_is_null - right->value_is_null;
	if (value->is_ordered)
		comparison = sx_datum_compare(value, left->value, right->value);
	if (comparison == 0 && !value->equal_is_same)
		comparison = sx_datum_compare_image(value, left->value, right->value);
	return comparison;
}

static int
compare_for_sort(const void *left, const void *right, void *shape)
{
	return compare(shape, left, right);
}
