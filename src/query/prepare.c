/*
 * prepare.c
 *	  What can be computed of a micro-batch before the stream's lock is held.
 *
 *	  transaction without the lock        transaction with it
 *	  decode --> delta --> kept groups    watermark --> on time as before? --> merge
 *	                                                        | no
 *	                                                        +--> delta --> merge
 *
 * Two transactions: nobody waits for the lock with a snapshot, or with the lock of
 * a view that whoever has the stream's may want.
 */
#include "compat.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "query/family.h"
#include "query/late.h"
#include "query/prepare.h"
#include "query/run.h"
#include "query/view.h"

/* Views that run together. */
typedef struct Family
{
	List *views; /* OIDs */
	int on_time; /* rows */
	SxKept *kept;
} Family;

struct SxPrepared
{
	MemoryContext context;
	List *families;
	size_t bytes;
};

SxPrepared *
sx_prepared_create(MemoryContext parent)
{
	MemoryContext context =
		AllocSetContextCreate(parent, "streamx prepared batch", ALLOCSET_DEFAULT_SIZES);
	SxPrepared *prepared = MemoryContextAllocZero(context, sizeof(SxPrepared));

	prepared->context = context;
	return prepared;
}

void
sx_prepared_free(SxPrepared *prepared)
{
	if (prepared)
		MemoryContextDelete(prepared->context);
}

static bool
needs_lock(List *views)
{
	ListCell *lc;

	foreach (lc, views)
	{
		const SxView *view = lfirst(lc);

		if (view->inputs != NIL || view->reads_tables || view->reuses)
			return true;
	}
	return false;
}

/* Returns false when there is no room for its groups. */
static bool
prepare_family(SxPrepared *prepared, List *oids, SxReader *reader, const SxBatch *batch,
			   size_t max_bytes)
{
	SxSelection selection;
	SxScanInput input = {.batch = batch};
	Family *family;
	List *views = NIL;
	ListCell *lc;
	SxRunAs saved;

	foreach (lc, oids)
		views = lappend(views, unconstify(SxView *, sx_view_load(lfirst_oid(lc))));
	if (needs_lock(views))
		return true;
	sx_late_select(linitial(views), reader, batch, &selection);
	if (selection.on_time.count == 0)
		return true;
	family = palloc0(sizeof(Family));
	family->views = oids;
	family->on_time = selection.on_time.count;
	family->kept = sx_kept_create(max_bytes - Min(prepared->bytes, max_bytes));
	input.stream = ((SxView *) linitial(views))->stream;
	input.rows = selection.on_time.rows;
	input.nrows = selection.on_time.count;
	sx_run_begin(linitial(views), &saved);
	sx_family_keep(views, &input, family->kept);
	sx_run_end(&saved);
	prepared->bytes += sx_kept_bytes(family->kept);
	if (!sx_kept_is_complete(family->kept))
		return false;
	prepared->families = lappend(prepared->families, family);
	return true;
}

bool
sx_prepare(SxPrepared *prepared, SxReader *reader, const SxBatch *batch, size_t max_bytes)
{
	MemoryContext old = MemoryContextSwitchTo(prepared->context);
	List *views = list_copy(reader->views);
	bool has_room = true;

	while (views != NIL && has_room)
	{
		CHECK_FOR_INTERRUPTS();
		has_room =
			prepare_family(prepared, sx_family_take(&views, batch), reader, batch, max_bytes);
	}
	MemoryContextSwitchTo(old);
	return has_room;
}

const SxKept *
sx_prepared_find(const SxPrepared *prepared, const List *views, int on_time)
{
	ListCell *lc;

	if (prepared == NULL)
		return NULL;
	foreach (lc, prepared->families)
	{
		const Family *family = lfirst(lc);

		if (family->on_time == on_time && equal(family->views, views))
			return family->kept;
	}
	return NULL;
}
