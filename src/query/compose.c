/*
 * compose.c
 *	  Compose the windows of one group key from its slices, in one ordered pass.
 *
 * Windows come in the order of their ends, and their starts do not go back
 * either: slices enter on the right and leave on the left.  States cannot be
 * taken away from a combination, so slices are kept in two stacks:
 *
 *		       front                 back            waiting
 *		|----|----|----|----|  |----|----|----|   |----|----|
 *		   each with the         and the combi-     begin at or after
 *		   combination of it     nation of all      the window's end
 *		   and those right       of them
 *		   of it, in front
 *
 * A window is front's leftmost combination with back's.  When front has run
 * empty, and a slice of back is to leave, what is in back becomes front.  So a
 * slice is combined a few times, however many windows it is in.
 *
 * A row joins its slice with the first window that takes it.  That of a partly
 * late row may come when the slice is in front already: such rows go into a
 * Fenwick tree over front, in which both adding a row and asking for all from
 * the leftmost slice on takes the logarithm of front's length.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "lib/pairingheap.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "query/compose.h"

#define SLICES_AT_FIRST 64

/* One aggregate's stored state; a slice's are an array of them, NULL: no row has joined. */
typedef struct State
{
	Datum value;
	bool is_null;
} State;

typedef struct Slice
{
	int64 start;
	int nrows;	   /* that joined */
	State *states; /* front: of it and all right of it in front; back: its own */
	State *late;   /* front: this slice's node of the Fenwick tree */
	List *lists;   /* of the rows that joined (ArrayType *) */
	MinimalTuple key;
} Slice;

/* A row that has not joined its slice yet. */
typedef struct Row
{
	pairingheap_node node; /* must be first */
	int64 joins_at;		   /* the least end of a window that takes it */
	int64 slice;		   /* number of its slice */
	State *states;
	ArrayType *list; /* NULL: none */
} Row;

struct SxCompose
{
	SxWindow window;
	SxAggregate *const *aggregates;
	int naggregates;
	int list; /* the aggregate that is a list, or -1: its State is NULL */
	int16 *lengths;
	bool *by_value;
	MemoryContext context;		   /* of all this */
	MemoryContext key_context;	   /* slices and rows; each is freed when it leaves */
	MemoryContext result_context;  /* the window handed out */
	MemoryContext combine_context; /* one combination */
	int64 ncombined;

	/* the key */
	SxComposeLimits limits;
	bool is_complete;	   /* no more rows */
	bool is_past;		   /* no more windows */
	bool has_bounds;	   /* bounds are those of a window */
	bool is_examined;	   /* which was examined: the next one's turn */
	SxWindowBounds bounds; /* it has a slice in it */
	int64 examined;		   /* end of the window examined last */
	pairingheap *rows;

	/*
	 * Slices by number: [first, front_end) are in front, [front_end, entered)
	 * in back, [entered, count) wait.
	 */
	Slice *slices;
	int capacity;
	int64 base; /* number of slices[0] */
	int64 first;
	int64 front_end;
	int64 entered;
	int64 count;
	int64 nrows;		/* that joined, in front and back */
	State *back;		/* combination of back */
	bool back_is_stale; /* a slice has left it */
	bool has_late;		/* front's tree has nodes */

	/* the window handed out */
	Datum *values;
	bool *isnull;
};

static bool find_window(SxCompose *compose);
static void jump(SxCompose *compose);
static bool compose_window(SxCompose *compose, const SxWindowBounds *bounds);
static void collect(SxCompose *compose);
static Datum concatenate(const SxCompose *compose);
static const State *combine_parts(SxCompose *compose, const State *left, const State *right);
static MinimalTuple first_key(const SxCompose *compose);
static MinimalTuple copy_key(const SxCompose *compose, MinimalTuple key);
static void leave(SxCompose *compose, int64 start);
static void leave_first(SxCompose *compose);
static void turn(SxCompose *compose);
static void join_rows(SxCompose *compose, int64 end);
static void join_row(SxCompose *compose, Row *row);
static void join_front(SxCompose *compose, int64 number, const State *states);
static void append_slice(SxCompose *compose, int64 start, MinimalTuple key);
static Slice *slice_of(const SxCompose *compose, int64 number);
static Datum call_combine(SxCompose *compose, int aggregate, const State *left, const State *right,
						  bool *is_null);
static void combine_into(SxCompose *compose, State **into, const State *states);
static State *copy_states(const SxCompose *compose, const State *states);
static Datum copy_state(const SxCompose *compose, int aggregate, Datum value, bool is_null);
static void free_states(const SxCompose *compose, State *states);
static void free_state(const SxCompose *compose, int aggregate, State *state);
static int compare_rows(const pairingheap_node *a, const pairingheap_node *b, void *arg);

SxCompose *
sx_compose_open(const SxWindow *window, SxAggregate *const *aggregates, int naggregates, int list,
				MemoryContext context)
{
	MemoryContext own = AllocSetContextCreate(context, "streamx compose", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(own);
	SxCompose *compose = palloc0(sizeof(SxCompose));

	compose->context = own;
	compose->window = *window;
	compose->aggregates = aggregates;
	compose->naggregates = naggregates;
	compose->list = list;
	compose->lengths = palloc(naggregates * sizeof(int16));
	compose->by_value = palloc(naggregates * sizeof(bool));
	for (int i = 0; i < naggregates; i++)
		get_typlenbyval(sx_aggregate_stored_type(aggregates[i]), &compose->lengths[i],
						&compose->by_value[i]);
	compose->values = palloc(naggregates * sizeof(Datum));
	compose->isnull = palloc(naggregates * sizeof(bool));
	compose->capacity = SLICES_AT_FIRST;
	compose->slices = palloc(compose->capacity * sizeof(Slice));
	compose->key_context = AllocSetContextCreate(own, "streamx slices", ALLOCSET_DEFAULT_SIZES);
	compose->result_context = AllocSetContextCreate(own, "streamx window", ALLOCSET_SMALL_SIZES);
	compose->combine_context = AllocSetContextCreate(own, "streamx combine", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(old);
	return compose;
}

void
sx_compose_close(SxCompose *compose)
{
	MemoryContextDelete(compose->context);
}

int64
sx_compose_combined(const SxCompose *compose)
{
	return compose->ncombined;
}

bool
sx_compose_at(const SxCompose *compose, int64 *start, int64 *end)
{
	*start = compose->bounds.start;
	*end = compose->bounds.end;
	return compose->has_bounds;
}

void
sx_compose_begin(SxCompose *compose, const SxComposeLimits *limits)
{
	MemoryContext old;

	MemoryContextReset(compose->result_context);
	MemoryContextReset(compose->key_context);
	old = MemoryContextSwitchTo(compose->key_context);
	compose->rows = pairingheap_allocate(compare_rows, NULL);
	MemoryContextSwitchTo(old);
	compose->limits = *limits;
	compose->is_complete = compose->is_past = false;
	compose->has_bounds = compose->is_examined = false;
	compose->examined = DT_NOBEGIN;
	compose->base = compose->first = compose->front_end = compose->entered = compose->count = 0;
	compose->nrows = 0;
	compose->back = NULL;
	compose->back_is_stale = compose->has_late = false;
}

void
sx_compose_add(SxCompose *compose, int64 slice_start, int64 from_window, const Datum *states,
			   const bool *isnull, MinimalTuple key)
{
	MemoryContext old;
	Row *row;

	if (compose->is_past)
		return;
	if (compose->first == compose->count ||
		slice_of(compose, compose->count - 1)->start != slice_start)
		append_slice(compose, slice_start, key);

	old = MemoryContextSwitchTo(compose->key_context);
	row = palloc(sizeof(Row));
	row->joins_at = Max(from_window, slice_start + 1);
	row->slice = compose->count - 1;
	row->states = palloc(Max(compose->naggregates, 1) * sizeof(State));
	row->list = NULL;
	for (int i = 0; i < compose->naggregates; i++)
	{
		bool is_list = i == compose->list;

		row->states[i].is_null = isnull[i] || is_list;
		row->states[i].value = copy_state(compose, i, states[i], isnull[i] || is_list);
		if (is_list && !isnull[i])
			row->list = DatumGetArrayTypePCopy(states[i]);
	}
	pairingheap_add(compose->rows, &row->node);
	MemoryContextSwitchTo(old);
}

void
sx_compose_end(SxCompose *compose)
{
	compose->is_complete = true;
}

bool
sx_compose_next(SxCompose *compose, SxComposed *composed)
{
	MemoryContext old = MemoryContextSwitchTo(compose->key_context);
	bool found = false;

	while (!found && find_window(compose))
	{
		const SxWindowBounds *bounds = &compose->bounds;

		CHECK_FOR_INTERRUPTS();
		found = bounds->start >= compose->limits.first_start &&
				bounds->end > compose->limits.end_after && compose_window(compose, bounds);
		compose->examined = bounds->end;
		compose->is_examined = true;
	}
	MemoryContextSwitchTo(old);
	if (!found)
		return false;
	composed->start = compose->bounds.start;
	composed->end = compose->bounds.end;
	composed->key = first_key(compose);
	composed->states = compose->values;
	composed->isnull = compose->isnull;
	return true;
}

/* The key as the earliest row of the window at hand has it. */
static MinimalTuple
first_key(const SxCompose *compose)
{
	int64 number = compose->first;

	while (slice_of(compose, number)->nrows == 0)
		number++;
	return slice_of(compose, number)->key;
}

/* Windows */

/*
 * Let bounds be the window to examine next; false when the rows so far do not
 * decide it, or there is none.
 */
static bool
find_window(SxCompose *compose)
{
	SxWindowBounds *bounds = &compose->bounds;

	if (compose->is_past)
		return false;
	if (compose->is_examined && compose->first < compose->count)
	{
		sx_window_next(&compose->window, bounds);
		leave(compose, bounds->start);
		compose->is_examined = false;
	}
	while (compose->first < compose->count &&
		   (!compose->has_bounds || slice_of(compose, compose->first)->start >= bounds->end))
		jump(compose);
	if (compose->first == compose->count)
	{
		compose->has_bounds = compose->is_examined = false;
		return false;
	}
	compose->is_past = bounds->start > compose->limits.last_start;
	return !compose->is_past &&
		   (compose->is_complete || slice_of(compose, compose->count - 1)->start >= bounds->end);
}

/* To the first window that holds the first slice and may be wanted; if there is none the slice leaves. */
static void
jump(SxCompose *compose)
{
	int64 start = slice_of(compose, compose->first)->start;
	int64 after = Max(compose->examined, compose->limits.end_after);
	int64 first_end;

	if (compose->limits.first_start != DT_NOBEGIN)
	{
		if (pg_add_s64_overflow(compose->limits.first_start,
								sx_window_least_us(&compose->window) - 1, &first_end))
			first_end = DT_NOEND;
		after = Max(after, first_end);
	}
	compose->has_bounds = sx_window_first(&compose->window, start, after, &compose->bounds);
	compose->is_examined = false;
	leave(compose, compose->has_bounds ? compose->bounds.start : start + 1);
}

/* Combine what is in a window; false: no row is. */
static bool
compose_window(SxCompose *compose, const SxWindowBounds *bounds)
{
	if (compose->back_is_stale)
		turn(compose);
	while (compose->entered < compose->count &&
		   slice_of(compose, compose->entered)->start < bounds->end)
		compose->entered++;
	join_rows(compose, bounds->end);
	if (compose->nrows == 0)
		return false;
	collect(compose);
	return true;
}

/* The parts of the window into values and isnull. */
static void
collect(SxCompose *compose)
{
	int64 end = compose->front_end;
	const State *total = NULL;
	MemoryContext old;

	MemoryContextReset(compose->result_context);
	old = MemoryContextSwitchTo(compose->result_context);
	if (compose->first < end)
		total = slice_of(compose, compose->first)->states;
	if (compose->has_late)
		for (int64 i = end - compose->first; i > 0; i -= i & -i)
			total = combine_parts(compose, total, slice_of(compose, end - i)->late);
	total = combine_parts(compose, total, compose->back);
	for (int i = 0; i < compose->naggregates; i++)
	{
		compose->values[i] = total[i].value;
		compose->isnull[i] = total[i].is_null;
	}
	if (compose->list >= 0)
	{
		compose->values[compose->list] = concatenate(compose);
		compose->isnull[compose->list] = false;
	}
	MemoryContextSwitchTo(old);
}

static int
length_of(const ArrayType *list)
{
	if (ARR_HASNULL(list))
		elog(ERROR, "a list of input groups has nulls");
	return ArrayGetNItems(ARR_NDIM(list), ARR_DIMS(list));
}

/* The lists of all rows that joined, as one. */
static Datum
concatenate(const SxCompose *compose)
{
	int nitems = 0;
	Datum *items;
	ListCell *lc;

	for (int64 number = compose->first; number < compose->entered; number++)
	{
		foreach (lc, slice_of(compose, number)->lists)
			nitems += length_of(lfirst(lc));
	}
	items = palloc(Max(nitems, 1) * sizeof(Datum));
	nitems = 0;
	for (int64 number = compose->first; number < compose->entered; number++)
	{
		foreach (lc, slice_of(compose, number)->lists)
		{
			ArrayType *list = lfirst(lc);
			const int64 *numbers = (const int64 *) ARR_DATA_PTR(list);

			for (int i = 0; i < length_of(list); i++)
				items[nitems++] = Int64GetDatum(numbers[i]);
		}
	}
	return PointerGetDatum(
		construct_array(items, nitems, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* In the current memory context, or one of the two. */
static const State *
combine_parts(SxCompose *compose, const State *left, const State *right)
{
	State *result;

	if (left == NULL || right == NULL)
		return left ? left : right;
	result = palloc(Max(compose->naggregates, 1) * sizeof(State));
	for (int i = 0; i < compose->naggregates; i++)
		result[i].value = call_combine(compose, i, &left[i], &right[i], &result[i].is_null);
	return result;
}

/* Slices */

/* Those that begin before start are in no window to come. */
static void
leave(SxCompose *compose, int64 start)
{
	while (compose->first < compose->count && slice_of(compose, compose->first)->start < start)
		leave_first(compose);
}

static void
leave_first(SxCompose *compose)
{
	Slice *slice = slice_of(compose, compose->first);

	free_states(compose, slice->states);
	free_states(compose, slice->late);
	list_free_deep(slice->lists);
	if (slice->key)
		pfree(slice->key);
	compose->nrows -= slice->nrows;
	compose->first++;
	if (compose->first > compose->front_end)
	{
		compose->front_end = compose->first;
		compose->back_is_stale = true;
	}
	compose->entered = Max(compose->entered, compose->first);
}

/* Front has run empty and back has lost a slice: the rest of back becomes front. */
static void
turn(SxCompose *compose)
{
	const State *right = NULL;

	for (int64 number = compose->entered - 1; number >= compose->first; number--)
	{
		Slice *slice = slice_of(compose, number);

		CHECK_FOR_INTERRUPTS();
		if (right != NULL)
			combine_into(compose, &slice->states, right);
		right = slice->states;
	}
	free_states(compose, compose->back);
	compose->back = NULL;
	compose->back_is_stale = false;
	compose->front_end = compose->entered;
	compose->has_late = false;
}

static MinimalTuple
copy_key(const SxCompose *compose, MinimalTuple key)
{
	MinimalTuple copy = MemoryContextAlloc(compose->key_context, key->t_len);

	memcpy(copy, key, key->t_len);
	return copy;
}

static void
append_slice(SxCompose *compose, int64 start, MinimalTuple key)
{
	int64 kept = compose->count - compose->first;

	if (compose->count - compose->base == compose->capacity)
	{
		memmove(compose->slices, compose->slices + (compose->first - compose->base),
				kept * sizeof(Slice));
		compose->base = compose->first;
		/* half of it stays free, so that a slice is moved about once */
		if (kept > compose->capacity / 2)
		{
			compose->capacity *= 2;
			compose->slices = repalloc_huge(compose->slices, compose->capacity * sizeof(Slice));
		}
	}
	compose->slices[compose->count - compose->base] =
		(Slice){.start = start, .key = key ? copy_key(compose, key) : NULL};
	compose->count++;
}

static Slice *
slice_of(const SxCompose *compose, int64 number)
{
	Assert(number >= compose->first && number < compose->count);
	return &compose->slices[number - compose->base];
}

/* Rows */

/* All that windows take from the one that ends at end on. */
static void
join_rows(SxCompose *compose, int64 end)
{
	while (!pairingheap_is_empty(compose->rows) &&
		   ((Row *) pairingheap_first(compose->rows))->joins_at <= end)
	{
		Row *row = (Row *) pairingheap_remove_first(compose->rows);

		CHECK_FOR_INTERRUPTS();
		if (row->slice >= compose->first)
			join_row(compose, row);
		free_states(compose, row->states);
		if (row->list)
			pfree(row->list);
		pfree(row);
	}
}

static void
join_row(SxCompose *compose, Row *row)
{
	Slice *slice = slice_of(compose, row->slice);

	slice->nrows++;
	compose->nrows++;
	if (row->list)
		slice->lists = lappend(slice->lists, row->list);
	row->list = NULL;
	if (row->slice < compose->front_end)
	{
		join_front(compose, row->slice, row->states);
		return;
	}
	combine_into(compose, &compose->back, row->states);
	if (slice->states != NULL)
	{
		combine_into(compose, &slice->states, row->states);
		return;
	}
	slice->states = row->states;
	row->states = NULL;
}

/* The tree's indexes count front's slices from its right end. */
static void
join_front(SxCompose *compose, int64 number, const State *states)
{
	int64 end = compose->front_end;

	for (int64 i = end - number; i <= end - compose->first; i += i & -i)
		combine_into(compose, &slice_of(compose, end - i)->late, states);
	compose->has_late = true;
}

/* Rows that join first come first: a pairing heap's first node is its greatest. */
static int
compare_rows(const pairingheap_node *a, const pairingheap_node *b, void *arg)
{
	int64 left = ((const Row *) a)->joins_at;
	int64 right = ((const Row *) b)->joins_at;

	return left < right ? 1 : left > right ? -1 : 0;
}

/* States */

static Datum
call_combine(SxCompose *compose, int aggregate, const State *left, const State *right,
			 bool *is_null)
{
	if (aggregate == compose->list)
	{
		*is_null = true;
		return (Datum) 0;
	}
	compose->ncombined++;
	return sx_aggregate_combine_stored(compose->aggregates[aggregate], left->value, left->is_null,
									   right->value, right->is_null, is_null);
}

/* *into = *into combined with states, in the current memory context. */
static void
combine_into(SxCompose *compose, State **into, const State *states)
{
	if (*into == NULL)
	{
		*into = copy_states(compose, states);
		return;
	}
	for (int i = 0; i < compose->naggregates; i++)
	{
		State *state = &(*into)[i];
		MemoryContext old = MemoryContextSwitchTo(compose->combine_context);
		bool is_null;
		Datum value = call_combine(compose, i, state, &states[i], &is_null);

		MemoryContextSwitchTo(old);
		if (compose->by_value[i] || is_null || state->is_null || value != state->value)
		{
			value = copy_state(compose, i, value, is_null);
			free_state(compose, i, state);
			state->value = value;
			state->is_null = is_null;
		}
	}
	MemoryContextReset(compose->combine_context);
}

static State *
copy_states(const SxCompose *compose, const State *states)
{
	State *copy = palloc(Max(compose->naggregates, 1) * sizeof(State));

	for (int i = 0; i < compose->naggregates; i++)
	{
		copy[i].is_null = states[i].is_null;
		copy[i].value = copy_state(compose, i, states[i].value, states[i].is_null);
	}
	return copy;
}

/* Detoasted: it is combined more than once. */
static Datum
copy_state(const SxCompose *compose, int aggregate, Datum value, bool is_null)
{
	if (is_null || compose->by_value[aggregate])
		return is_null ? (Datum) 0 : value;
	if (compose->lengths[aggregate] == -1)
		return PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	return datumCopy(value, false, compose->lengths[aggregate]);
}

static void
free_states(const SxCompose *compose, State *states)
{
	if (states == NULL)
		return;
	for (int i = 0; i < compose->naggregates; i++)
		free_state(compose, i, &states[i]);
	pfree(states);
}

static void
free_state(const SxCompose *compose, int aggregate, State *state)
{
	if (!state->is_null && !compose->by_value[aggregate])
		pfree(DatumGetPointer(state->value));
}
