/*
 * view.c
 *	  A continuous view as the engine sees it: its catalog row, resolved.
 *
 * Views are cached by backend.  An entry is dropped when a relation it was
 * read from is invalidated; whoever changes streamx.views sends an invalidation of the
 * visible view.
 */
#include "compat.h"

#include "common/int.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "aggregate/transition.h"
#include "catalog/spi.h"
#include "query/family.h"
#include "query/input_set.h"
#include "query/view.h"

PG_FUNCTION_INFO_V1(streamx_needs_rebuild);

typedef struct Entry
{
	Oid relid; /* hash key */
	bool is_valid;
	MemoryContext context;
	SxView *view;
} Entry;

static HTAB *cache = NULL;

static void create_cache(void);
static void forget(Datum arg, Oid relid);
static SxView *load(Oid relid);
static bool read_catalog(SxView *view);
static bool is_of_inputs(const SxView *view, Oid relid);
static bool read_all_inputs(SxView *view);
static bool read_delta(SxView *view);

/* As sx_view_load; NULL when there is no such relation any more. */
static const SxView *
find(Oid relid)
{
	Entry *entry;
	bool found;

	if (cache == NULL)
		create_cache();
	entry = hash_search(cache, &relid, HASH_ENTER, &found);
	if (!found)
	{
		entry->is_valid = false;
		entry->context = NULL;
		entry->view = NULL;
	}
	if (!entry->is_valid)
	{
		MemoryContext context =
			AllocSetContextCreate(CacheMemoryContext, "streamx view", ALLOCSET_SMALL_SIZES);
		MemoryContext old;

		/* whoever is running the view may have called a function that made us load it again */
		if (entry->context)
			MemoryContextSetParent(entry->context, TopTransactionContext);
		entry->context = context;
		entry->view = NULL;
		entry->is_valid = true; /* an invalidation while loading makes it false again */
		old = MemoryContextSwitchTo(context);
		PG_TRY();
		{
			entry->view = load(relid);
		}
		PG_CATCH();
		{
			entry->is_valid = false;
			PG_RE_THROW();
		}
		PG_END_TRY();
		MemoryContextSwitchTo(old);
		if (entry->view == NULL)
		{
			entry->is_valid = false;
			return NULL;
		}
	}
	if (entry->view == NULL)
		elog(ERROR, "continuous view %u is needed to load itself", relid);
	return entry->view;
}

const SxView *
sx_view_load(Oid relid)
{
	const SxView *view = find(relid);

	if (view == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
						errmsg("relation with OID %u does not exist", relid)));
	return view;
}

static void
create_cache(void)
{
	HASHCTL control = {.keysize = sizeof(Oid), .entrysize = sizeof(Entry)};

	if (!CacheMemoryContext)
		CreateCacheMemoryContext();
	cache = hash_create("streamx views", 16, &control, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(forget, (Datum) 0);
}

static bool
is_of_inputs(const SxView *view, Oid relid)
{
	ListCell *lc;

	foreach (lc, view->inputs)
	{
		const SxViewInputs *inputs = lfirst(lc);

		if (relid == inputs->table || relid == inputs->delta)
			return true;
	}
	return false;
}

/* Only marks: what a caller holds stays readable to the next sx_view_load. */
static void
forget(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	Entry *entry;

	hash_seq_init(&status, cache);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		const SxView *view = entry->view;

		if (!OidIsValid(relid) || view == NULL || relid == view->relid ||
			relid == view->shadow_of || relid == view->stream || relid == view->delta ||
			relid == view->state || relid == view->windows || relid == view->trial ||
			relid == view->finals || is_of_inputs(view, relid))
			entry->is_valid = false;
	}
}

int64
sx_view_watermark(const SxView *view, int64 watermark)
{
	int64 sealed;

	if (view->sealed_through == DT_NOBEGIN ||
		pg_add_s64_overflow(view->sealed_through, view->allowed_lateness_us, &sealed))
		return watermark;
	return Max(watermark, sealed);
}

void
sx_view_check_states(const SxView *view)
{
	if (view->unreadable)
		ereport(
			ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("continuous view \"%s\" needs to be rebuilt", view->name),
			 errdetail("Its states of aggregate %s were begun by PostgreSQL %d, and PostgreSQL %d "
					   "may keep them in another form.",
					   format_procedure(view->unreadable->aggfnoid), view->server_major,
					   SX_SERVER_MAJOR),
			 view->must_recreate
				 ? errhint("Drop it and create it anew: its query is streamx.views.definition.")
				 : errhint("Recompute it with streamx.rebuild.")));
}

/* streamx.needs_rebuild(view): NULL of one that is dropped meanwhile */
Datum
streamx_needs_rebuild(PG_FUNCTION_ARGS)
{
	const SxView *view;

	/* monitoring goes on where nothing else does */
	if (!sx_extension_is_current())
		PG_RETURN_BOOL(false);
	view = find(PG_GETARG_OID(0));
	if (view == NULL)
		PG_RETURN_NULL();
	PG_RETURN_BOOL(view->unreadable != NULL);
}

bool
sx_view_is(Oid relid)
{
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(relid);
	bool found;
	SxSpi spi;

	if (get_rel_relkind(relid) != RELKIND_VIEW || !sx_extension_exists())
		return false;
	sx_spi_begin_any_version(&spi); /* plain views are nobody's business */
	found = sx_spi_look_up("SELECT 1 FROM streamx.views WHERE view = $1", 1, &type, &value) > 0;
	sx_spi_end(&spi);
	return found;
}

/* Name and owner, as those of a relation; false when there is none. */
static bool
read_relation(SxView *view, Oid relid)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		return false;
	view->name = pstrdup(NameStr(((Form_pg_class) GETSTRUCT(tuple))->relname));
	view->owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return true;
}

/*
 * NULL when the relation is gone.  Nothing keeps its parts here: whoever rebuilds, replaces or
 * drops the view meanwhile takes them away, and with them what the catalog said of them.
 */
static SxView *
load(Oid relid)
{
	Oid gone = InvalidOid;

	for (;;)
	{
		SxView *view = palloc0(sizeof(SxView));

		view->relid = relid;
		if (!read_relation(view, relid))
			return NULL;
		if (read_catalog(view))
		{
			if (OidIsValid(view->shadow_of))
				(void) read_relation(view, view->shadow_of);
			if (read_all_inputs(view) && read_delta(view))
				return view;
			if (view->delta == gone)
				elog(ERROR, "continuous view \"%s\" has lost its relations", view->name);
			gone = view->delta;
		}
		else
		{
			/* who drops it is seen to have done so before it is told: its lock goes last */
			LockRelationOid(relid, AccessShareLock);
			UnlockRelationOid(relid, AccessShareLock);
			if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
				ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
								errmsg("\"%s\" is not a continuous view", view->name)));
		}
	}
}

/* A column of SPI's first row. */
static Datum
column(int number, bool *is_null)
{
	return SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, number, is_null);
}

static List *
text_list(Datum array)
{
	Datum *values;
	int count;
	List *list = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &values, NULL,
					  &count);
	for (int i = 0; i < count; i++)
		list = lappend(list, TextDatumGetCString(values[i]));
	return list;
}

static Datum *
relations_of(Datum array, int *count)
{
	Datum *values;

	deconstruct_array(DatumGetArrayTypeP(array), REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT,
					  &values, NULL, count);
	return values;
}

/* Tables of inputs, with the views that make them. */
static List *
inputs_list(Datum tables, Datum views)
{
	List *list = NIL;
	int ntables;
	int nviews;
	Datum *table = relations_of(tables, &ntables);
	Datum *view = relations_of(views, &nviews);

	for (int i = 0; i < Min(ntables, nviews); i++)
	{
		SxViewInputs *inputs = palloc0(sizeof(SxViewInputs));

		inputs->table = DatumGetObjectId(table[i]);
		inputs->delta = DatumGetObjectId(view[i]);
		list = lappend(list, inputs);
	}
	return list;
}

/* A column in microseconds; -1: NULL. */
static int64
optional_us(int number)
{
	bool is_null;
	Datum value = column(number, &is_null);

	return is_null ? -1 : DatumGetInt64(value);
}

/* The window, from columns 12 and on. */
static void
read_window(SxWindow *window)
{
	bool no_size;
	bool no_step;
	bool no_origin;
	bool no_timezone;
	bool is_null;
	SxWindowKind kind = sx_window_kind_of(TextDatumGetCString(column(12, &is_null)));
	Datum size = column(13, &no_size);
	Datum step = column(14, &no_step);
	TimestampTz origin = DatumGetTimestampTz(column(15, &no_origin));
	Datum timezone = column(16, &no_timezone);

	sx_window_make(kind, no_size ? NULL : DatumGetIntervalP(size),
				   no_step ? NULL : DatumGetIntervalP(step), no_origin ? NULL : &origin,
				   no_timezone ? NULL : TextDatumGetCString(timezone), window);
}

/* False when it has no row. */
static bool
read_catalog(SxView *view)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext spi_context;
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(view->relid);
	bool is_null = false;
	SxSpi spi;

	/* Every session reads this, anew after each change: where types fit, an operator is found at once. */
	sx_spi_begin(&spi);
	if (sx_spi_look_up("SELECT state, delta_view, rows_view, definition_view, windows,"
					   " (extract(epoch FROM allowed_lateness) * 1000000.0)::bigint,"
					   " (extract(epoch FROM retention) * 1000000.0)::bigint,"
					   " (extract(epoch FROM refused_retention) * 1000000.0)::bigint,"
					   " late_rows = 'store', settings,"
					   " (SELECT s.stream FROM streamx.view_streams s"
					   "  WHERE s.view::oid = v.view::oid),"
					   " window_kind, window_size, window_step, window_origin, window_timezone,"
					   " inputs, input_views, trial_view, finals_view, shadow_of, rejudge,"
					   " sealed_through, retention IS NOT NULL OR EXISTS (SELECT"
					   "  FROM streamx_internal.removal r"
					   "  WHERE r.view::oid = v.view::oid AND r.removed_through > '-infinity'),"
					   " server_major"
					   " FROM streamx.views v WHERE v.view::oid = $1",
					   1, &type, &value) == 0)
	{
		sx_spi_end(&spi);
		return false;
	}
	view->state = DatumGetObjectId(column(1, &is_null));
	view->delta = DatumGetObjectId(column(2, &is_null));
	view->rows = DatumGetObjectId(column(3, &is_null));
	view->definition = DatumGetObjectId(column(4, &is_null));
	view->windows = DatumGetObjectId(column(5, &is_null));
	view->allowed_lateness_us = DatumGetInt64(column(6, &is_null));
	view->retention_us = optional_us(7);
	view->refused_retention_us = optional_us(8);
	view->stores_late_rows = DatumGetBool(column(9, &is_null));
	spi_context = MemoryContextSwitchTo(context);
	view->settings = text_list(column(10, &is_null));
	MemoryContextSwitchTo(spi_context);
	view->stream = DatumGetObjectId(column(11, &is_null));
	read_window(&view->window);
	spi_context = MemoryContextSwitchTo(context);
	view->removes_windows = DatumGetBool(column(24, &is_null));
	view->sealed_through = DatumGetTimestampTz(column(23, &is_null));
	view->trial = DatumGetObjectId(column(19, &is_null));
	view->finals = DatumGetObjectId(column(20, &is_null));
	view->shadow_of = DatumGetObjectId(column(21, &is_null));
	view->reuses = OidIsValid(view->shadow_of) && !DatumGetBool(column(22, &is_null));
	view->inputs = inputs_list(column(17, &is_null), column(18, &is_null));
	view->server_major = DatumGetInt32(column(25, &is_null));
	MemoryContextSwitchTo(spi_context);
	sx_spi_end(&spi);
	return true;
}

typedef struct ColumnsContext
{
	SxView *view;
	List *rtable;
	int rti;
	int depth;
} ColumnsContext;

static bool collect_columns(Node *node, ColumnsContext *context);

/* A column of a join stands for those that it is made of; a join names all, needed or not. */
static void
collect_var(Var *var, ColumnsContext *context)
{
	RangeTblEntry *rte = rt_fetch(var->varno, context->rtable);
	int depth = context->depth;

	if (var->varno == context->rti && var->varattno > 0)
		context->view->columns = bms_add_member(context->view->columns, var->varattno);
	if (rte->rtekind != RTE_JOIN)
		return;
	context->depth = 0;
	(void) collect_columns(var->varattno > 0 ? list_nth(rte->joinaliasvars, var->varattno - 1)
											 : (Node *) rte->joinaliasvars,
						   context);
	context->depth = depth;
}

static bool
collect_columns(Node *node, ColumnsContext *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		context->depth++;
		(void) query_tree_walker((Query *) node, collect_columns, context, QTW_IGNORE_JOINALIASES);
		context->depth--;
		return false;
	}
	if (IsA(node, Var))
	{
		Var *var = (Var *) node;

		if (var->varlevelsup == context->depth)
			collect_var(var, context);
		return false;
	}
	return expression_tree_walker(node, collect_columns, context);
}

/* How many columns of a state table tell the slice. */
static int
slice_columns(SxWindowKind kind)
{
	switch (kind)
	{
		case SX_WINDOW_GLOBAL:
			return 0;
		case SX_WINDOW_TUMBLE:
			return 1;
		default:
			return 2;
	}
}

/* Note what a query that reads the stream needs of it. */
static void
collect_query(SxView *view, Query *query)
{
	ColumnsContext context = {.view = view, .rtable = query->rtable};
	ListCell *lc;

	foreach (lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION && rte->relid == view->stream)
			context.rti = foreach_current_index(lc) + 1;
	}
	(void) query_tree_walker(query, collect_columns, &context, QTW_IGNORE_JOINALIASES);
}

/* A state that is no aggregate of the user's: a counter of inputs, or the input groups. */
static void
read_input_state(SxView *view, const char *name, int number)
{
	int set;
	int multiplicity;

	if (strcmp(name, SX_INPUT_GROUPS) == 0)
		view->input_groups = number;
	else if (sx_counter_of_name(name, &set, &multiplicity) && set < list_length(view->inputs))
	{
		SxViewInputs *inputs = list_nth(view->inputs, set);

		if (multiplicity < inputs->nmultiplicities)
			inputs->counter[multiplicity] = number;
	}
}

/* In SQL, or a procedural language, and not immutable. */
static bool
may_read_tables(Oid function, void *context)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;
	bool may_read;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	may_read = form->prolang != INTERNALlanguageId && form->prolang != ClanguageId &&
			   form->provolatile != PROVOLATILE_IMMUTABLE;
	ReleaseSysCache(tuple);
	return may_read;
}

/* Whether a query reads other relations than the stream, or calls functions that may. */
static bool
reads_tables(Node *node, void *context)
{
	const Oid *stream = context;
	ListCell *lc;

	if (node == NULL)
		return false;
	if (check_functions_in_node(node, may_read_tables, NULL))
		return true;
	if (!IsA(node, Query))
		return expression_tree_walker(node, reads_tables, context);
	foreach (lc, ((Query *) node)->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);

		/* before PostgreSQL 16 a view's own relation is among those of its query */
		if (rte->rtekind == RTE_RELATION && rte->relid != *stream &&
			(rte->relkind != RELKIND_VIEW || rte->inFromCl))
			return true;
	}
	return query_tree_walker((Query *) node, reads_tables, context, 0);
}

/* streamx.partial(aggregate, NULL::the type of its states) */
static void
add_aggregate(SxView *view, const FuncExpr *partial)
{
	Aggref *aggref = copyObject(linitial_node(Aggref, partial->args));

	view->aggregates = lappend(view->aggregates, aggref);
	if (sx_aggregate_can_read(aggref, exprType(lsecond(partial->args)), view->server_major))
		return;
	view->unreadable = aggref;
	view->must_recreate |=
		sx_aggregate_state_type(aggref, NULL) != exprType(lsecond(partial->args));
}

/*
 * What the delta's query tells: its columns, its aggregates, and what it needs of the stream.
 * This one and those below return false when a relation is gone.
 */
static bool
read_delta(SxView *view)
{
	Relation rel = try_relation_open(view->delta, AccessShareLock);
	Query *query;
	ListCell *lc;

	if (rel == NULL)
		return false;
	query = get_view_query(rel);
	view->input_groups = -1;
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resjunk)
			continue;
		view->ndelta++;
		if (strncmp(entry->resname, "slice_", strlen("slice_")) == 0)
			continue;
		if (entry->resname[0] == 'k')
		{
			view->nkeys++;
			continue;
		}
		read_input_state(view, entry->resname, list_length(view->aggregates));
		add_aggregate(view, castNode(FuncExpr, entry->expr));
	}
	view->naggregates = list_length(view->aggregates);
	view->nslice = slice_columns(view->window.kind);
	view->is_single = query->groupClause == NIL;
	view->family = sx_family_of(view, query);
	view->reads_tables = reads_tables((Node *) query, &view->stream);
	collect_query(view, query);
	relation_close(rel, AccessShareLock);
	return true;
}

/* The same of the view of a table of inputs. */
static bool
read_inputs(SxView *view, SxViewInputs *inputs)
{
	Relation rel = try_relation_open(inputs->delta, AccessShareLock);
	Query *query;
	int columns;
	ListCell *lc;

	if (rel == NULL)
		return false;
	query = get_view_query(rel);
	columns = list_length(query->targetList);
	inputs->is_distinct = palloc0(columns * sizeof(bool));
	inputs->counter = palloc(columns * sizeof(int));
	foreach (lc, query->targetList)
	{
		const TargetEntry *entry = lfirst(lc);

		if (entry->resjunk)
			continue;
		if (entry->resname[0] == 'i')
			inputs->ninputs++;
		else if (entry->resname[0] == 'd' || entry->resname[0] == 'm')
		{
			inputs->counter[inputs->nmultiplicities] = -1;
			inputs->is_distinct[inputs->nmultiplicities++] = entry->resname[0] == 'd';
		}
	}
	collect_query(view, query);
	relation_close(rel, AccessShareLock);
	return true;
}

/* The view of final values has the row's place, then they. */
static bool
read_finals(SxView *view)
{
	Relation rel;

	if (!OidIsValid(view->finals))
		return true;
	rel = try_relation_open(view->finals, AccessShareLock);
	if (rel == NULL)
		return false;
	view->nfinals = RelationGetNumberOfAttributes(rel) - 1;
	relation_close(rel, AccessShareLock);
	return true;
}

static bool
read_all_inputs(SxView *view)
{
	List *sequences = view->inputs ? getOwnedSequences(view->state) : NIL;
	ListCell *lc;

	foreach (lc, view->inputs)
		if (!read_inputs(view, lfirst(lc)))
			return false;
	/* what the trial needs, the inputs need, too */
	if (sequences)
		view->group_sequence = linitial_oid(sequences);
	return read_finals(view);
}

List *
sx_view_input_tables(const SxView *view)
{
	List *tables = NIL;
	ListCell *lc;

	foreach (lc, view->inputs)
		tables = lappend_oid(tables, ((SxViewInputs *) lfirst(lc))->table);
	return tables;
}
