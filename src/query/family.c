/*
 * family.c
 *	  Views of one reader whose deltas differ in their aggregates alone.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/tupdesc.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"

#include "query/family.h"
#include "query/run.h"
#include "query/sql.h"

/* A row's columns, handed to the receivers in turn. */
typedef struct FamilyReceiver
{
	DestReceiver pub; /* must be first */
	List *views;
	List *receivers;
	TupleTableSlot **slots; /* one for each receiver */
} FamilyReceiver;

static void family_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool family_row(TupleTableSlot *row, DestReceiver *self);
static void family_shutdown(DestReceiver *self);
static void family_destroy(DestReceiver *self);

/* ---- who belongs together ---- */

/* Before PostgreSQL 16 a view's own relation is among those of its query. */
static bool
is_placeholder(const RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rte->relkind == RELKIND_VIEW && !rte->inFromCl;
}

static void
append_relations(StringInfo text, const Query *delta)
{
	ListCell *lc;

	foreach (lc, delta->rtable)
	{
		RangeTblEntry *rte = copyObject(lfirst_node(RangeTblEntry, lc));

		if (is_placeholder(rte))
			continue;
		sx_compat_forget_columns(rte);
		appendStringInfo(text, " %d %s", foreach_current_index(lc), nodeToString(rte));
	}
}

uint64
sx_family_of(const SxView *view, const Query *delta)
{
	StringInfoData text;
	ListCell *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "%u %u " INT64_FORMAT " " INT64_FORMAT, view->stream, view->owner,
					 view->allowed_lateness_us, view->sealed_through);
	foreach (lc, view->settings)
		appendStringInfo(&text, " %s", (char *) lfirst(lc));
	append_relations(&text, delta);
	appendStringInfo(&text, " %s %s", nodeToString(delta->jointree),
					 nodeToString(delta->groupClause));
	foreach (lc, delta->targetList)
	{
		const TargetEntry *entry = lfirst(lc);

		if (entry->ressortgroupref != 0 || entry->resname[0] == 's')
			appendStringInfo(&text, " %s", nodeToString(entry->expr));
	}
	return hash_bytes_extended((unsigned char *) text.data, text.len, 0);
}

List *
sx_family_take(List **views, const SxBatch *batch)
{
	const SxView *first = sx_view_load(linitial_oid(*views));
	uint64 family = first->family;
	Oid owner = first->owner;
	List *taken = NIL;
	int ncolumns = 0;
	ListCell *lc;

	foreach (lc, *views)
	{
		const SxView *view = sx_view_load(lfirst_oid(lc));

		/* a column's error makes rows differ by view; a hash can be forged, an owner cannot */
		if (taken != NIL && (batch->nerrors > 0 || list_length(taken) == SX_FAMILY_MAX ||
							 ncolumns + view->ndelta > MaxTupleAttributeNumber ||
							 view->family != family || view->owner != owner))
			continue;
		ncolumns += view->ndelta;
		taken = lappend_oid(taken, lfirst_oid(lc));
		*views = foreach_delete_current (*views, lc);
	}
	return taken;
}

/* ---- one plan ---- */

static void
must_be_alike(const Query *first, const Query *other)
{
	if (!equal(first->jointree, other->jointree) ||
		!equal(first->groupClause, other->groupClause) ||
		list_length(first->rtable) != list_length(other->rtable))
		elog(ERROR, "deltas of different families cannot be computed together");
}

/* Columns that only the other reads are checked as well. */
static void
add_permissions(Query *first, Query *other)
{
	ListCell *left;
	ListCell *right;

	forboth (left, first->rtable, right, other->rtable)
	{
		Bitmapset **columns = sx_compat_selected_columns(first, (RangeTblEntry *) lfirst(left));
		Bitmapset **added = sx_compat_selected_columns(other, (RangeTblEntry *) lfirst(right));

		if (columns && added)
			*columns = bms_add_members(*columns, *added);
	}
}

/* The column with this expression, or a new one after the others; those that are not shown come last. */
static AttrNumber
find_column(RangeTblEntry *rte, const TargetEntry *wanted)
{
	List *targets = rte->subquery->targetList;
	TargetEntry *added;
	int nshown = 0;
	ListCell *lc;

	foreach (lc, targets)
	{
		const TargetEntry *entry = lfirst(lc);

		if (entry->resjunk)
			continue;
		nshown++;
		if (equal(entry->expr, wanted->expr))
			return entry->resno;
	}
	added = copyObject(unconstify(TargetEntry *, wanted));
	targets = list_insert_nth(targets, nshown, added);
	foreach (lc, targets)
		lfirst_node(TargetEntry, lc)->resno = foreach_current_index(lc) + 1;
	rte->subquery->targetList = targets;
	rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(wanted->resname)));
	return added->resno;
}

/* context: where columns are now, by relation and column. */
static Node *
move_columns(Node *node, void *context)
{
	AttrNumber **columns = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var *var = copyObject((Var *) node);

		var->varattno = columns[var->varno][var->varattno];
		var->varno = 1;
		var->varattnosyn = var->varattno;
		var->varnosyn = 1;
		return (Node *) var;
	}
	return expression_tree_mutator(node, move_columns, context);
}

void
sx_family_merge(Query *query)
{
	int nrelations = list_length(query->rtable);
	RangeTblEntry *first = linitial(query->rtable);
	AttrNumber **moved = palloc((nrelations + 1) * sizeof(AttrNumber *));
	ListCell *lc;

	if (list_length(query->jointree->fromlist) < 2)
		return;
	for (int i = 1; i <= nrelations; i++)
	{
		RangeTblEntry *rte = rt_fetch(i, query->rtable);
		AttrNumber *columns =
			palloc((list_length(rte->subquery->targetList) + 1) * sizeof(AttrNumber));

		must_be_alike(first->subquery, rte->subquery);
		add_permissions(first->subquery, rte->subquery);
		first->subquery->hasAggs |= rte->subquery->hasAggs;
		first->subquery->hasSubLinks |= rte->subquery->hasSubLinks;
		foreach (lc, rte->subquery->targetList)
		{
			const TargetEntry *entry = lfirst(lc);

			if (!entry->resjunk)
				columns[entry->resno] = find_column(first, entry);
		}
		moved[i] = columns;
	}
	query->targetList = (List *) move_columns((Node *) query->targetList, moved);
	query->jointree->fromlist = list_make1(linitial(query->jointree->fromlist));
	query->rtable = list_make1(first);
}

static char *
select_deltas(List *views)
{
	StringInfoData columns;
	StringInfoData relations;
	ListCell *lc;

	initStringInfo(&columns);
	initStringInfo(&relations);
	foreach (lc, views)
	{
		Oid delta = ((const SxView *) lfirst(lc))->delta;
		const char *comma = foreach_current_index(lc) > 0 ? ", " : "";

		appendStringInfo(&columns, "%sd%d.*", comma, foreach_current_index(lc));
		appendStringInfo(&relations, "%s%s AS d%d", comma, sx_sql_name(delta),
						 foreach_current_index(lc));
	}
	return psprintf("SELECT %s FROM %s", columns.data, relations.data);
}

static void
run(List *views, const SxScanInput *input, DestReceiver *dest)
{
	const SxView *first = linitial(views);

	if (list_length(views) == 1)
		sx_run(first, sx_sql_select_all(first->delta), input, dest);
	else
		sx_run(first, select_deltas(views), input, dest);
}

/* What gives each receiver its columns; family is its memory. */
static DestReceiver *
open_receiver(FamilyReceiver *family, List *views, List *receivers)
{
	if (list_length(views) == 1)
		return linitial(receivers);
	*family = (FamilyReceiver){.pub = {.receiveSlot = family_row,
									   .rStartup = family_startup,
									   .rShutdown = family_shutdown,
									   .rDestroy = family_destroy,
									   .mydest = DestNone},
							   .views = views,
							   .receivers = receivers};
	return &family->pub;
}

void
sx_family_run(List *views, const SxScanInput *input, List *receivers)
{
	FamilyReceiver family;

	run(views, input, open_receiver(&family, views, receivers));
}

void
sx_family_keep(List *views, const SxScanInput *input, SxKept *kept)
{
	run(views, input, sx_kept_receiver(kept));
}

void
sx_family_replay(List *views, const SxKept *kept, List *receivers)
{
	FamilyReceiver family;

	sx_kept_replay(kept, open_receiver(&family, views, receivers));
}

/* ---- rows ---- */

static void
family_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	FamilyReceiver *family = (FamilyReceiver *) self;
	int column = 0;
	ListCell *lc;

	family->slots = palloc(list_length(family->views) * sizeof(TupleTableSlot *));
	foreach (lc, family->views)
	{
		int ncolumns = ((const SxView *) lfirst(lc))->ndelta;
		int i = foreach_current_index(lc);
		DestReceiver *receiver = list_nth(family->receivers, i);
		TupleDesc own = CreateTemplateTupleDesc(ncolumns);

		if (column + ncolumns > desc->natts)
			elog(ERROR, "a family of views has %d columns, which is too few", desc->natts);
		for (int j = 1; j <= ncolumns; j++)
			TupleDescCopyEntry(own, j, desc, column + j);
		column += ncolumns;
		family->slots[i] = MakeSingleTupleTableSlot(own, &TTSOpsVirtual);
		receiver->rStartup(receiver, operation, own);
	}
}

static bool
family_row(TupleTableSlot *row, DestReceiver *self)
{
	FamilyReceiver *family = (FamilyReceiver *) self;
	int column = 0;
	ListCell *lc;

	slot_getallattrs(row);
	foreach (lc, family->receivers)
	{
		DestReceiver *receiver = lfirst(lc);
		TupleTableSlot *slot = family->slots[foreach_current_index(lc)];
		int ncolumns = slot->tts_tupleDescriptor->natts;

		ExecClearTuple(slot);
		memcpy(slot->tts_values, row->tts_values + column, ncolumns * sizeof(Datum));
		memcpy(slot->tts_isnull, row->tts_isnull + column, ncolumns * sizeof(bool));
		column += ncolumns;
		(void) receiver->receiveSlot(ExecStoreVirtualTuple(slot), receiver);
	}
	return true;
}

static void
family_shutdown(DestReceiver *self)
{
	FamilyReceiver *family = (FamilyReceiver *) self;
	ListCell *lc;

	foreach (lc, family->receivers)
	{
		DestReceiver *receiver = lfirst(lc);

		receiver->rShutdown(receiver);
		ExecDropSingleTupleTableSlot(family->slots[foreach_current_index(lc)]);
	}
}

static void
family_destroy(DestReceiver *self)
{
}
