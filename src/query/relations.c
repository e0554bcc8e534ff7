/*
 * relations.c
 *	  The relations that a continuous view is made of.
 *
 *      definition view   the user's query, as a batch
 *      delta view        its keys, slice and partial states, of one micro-batch
 *      rows view         which rows of a micro-batch pass FROM and WHERE
 *      state table       keys, slice, states
 *      windows           hop, cumulate: foreign table that composes them from slices
 *      inputs            of aggregates that have no states, a table for each list of them,
 *                        and a view: those of one micro-batch
 *      trial             of those that a row may make fail: each row of a micro-batch by itself
 *      finals            the values that are left of them when their window is sealed
 *      visible view      finalises states; the user's own relation
 *
 * All are made from query trees, bound by OID, never from text: a later rename
 * cannot re-bind them.  All but the last belong to the extension's owner and hang
 * on the visible view by INTERNAL dependencies.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/view.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "catalog/spi.h"
#include "query/derive.h"
#include "query/expression.h"
#include "query/index.h"
#include "query/input_set.h"
#include "query/own.h"
#include "query/relations.h"

#define INTERNAL_SCHEMA "streamx_internal"

static Oid
create_view(SxRelations *relations, const char *suffix, Query *query, const char *comment);
static void create_state(SxRelations *relations, Query *delta);
static void finish_relation(const SxRelations *relations, const char *kind, const char *name,
							const char *comment);
static bool is_composed(const SxDefinition *definition);
static void create_windows(SxRelations *relations, Query *delta);
static void create_inputs(SxRelations *relations);
static void create_finals(SxRelations *relations);
static void notice_inputs(const SxRelations *relations);
static void store_visible(SxRelations *relations, const Query *query);

void
sx_relations_create(SxRelations *relations, const Query *original)
{
	const SxDefinition *definition = relations->definition;
	Query *delta = sx_derive_delta(definition);

	create_state(relations, delta);
	relations->delta = create_view(relations, "delta", delta, "partial states of one micro-batch");
	relations->rows = create_view(relations, "rows", sx_derive_rows(definition),
								  "rows of one micro-batch that pass FROM and WHERE");
	relations->definition_view = create_view(
		relations, "definition", sx_derive_batch(definition, original, relations->has_retention),
		"the definition, to be run as a batch");
	if (is_composed(definition))
		create_windows(relations, delta);
	create_inputs(relations);
	create_finals(relations);
	store_visible(relations, original);
	sx_relations_own(relations);
}

/* The definition view may have columns of other names now, and more: it is made anew. */
static void
replace_definition_view(SxRelations *relations, Query *batch)
{
	ObjectAddress address;
	SxSpi spi;

	ObjectAddressSet(address, RelationRelationId, relations->definition_view);
	sx_spi_begin(&spi);
	(void) deleteDependencyRecordsForSpecific(RelationRelationId, address.objectId,
											  DEPENDENCY_INTERNAL, RelationRelationId,
											  relations->visible);
	CommandCounterIncrement();
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	sx_spi_end(&spi);
	relations->definition_view =
		create_view(relations, "definition", batch, "the definition, to be run as a batch");
	sx_own(relations->definition_view, relations->visible);
	CommandCounterIncrement();
}

void
sx_relations_redefine(SxRelations *relations, const Query *original)
{
	Query *batch = sx_derive_batch(relations->definition, original, relations->has_retention);

	if (sscanf(get_rel_name(relations->state), "v" INT64_FORMAT "_", &relations->id) != 1)
		elog(ERROR, "state table \"%s\" has no number", get_rel_name(relations->state));
	replace_definition_view(relations, batch);
	store_visible(relations, original);
	CommandCounterIncrement();
}

/* The user's view. */
static Oid
users_view(const SxRelations *relations)
{
	return OidIsValid(relations->shadow_of) ? relations->shadow_of : relations->visible;
}

Oid
sx_relations_reader(const SxRelations *relations)
{
	Oid relid = users_view(relations);
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* An internal view: a dummy with the right columns, then the query tree itself. */
static Oid
create_view(SxRelations *relations, const char *suffix, Query *query, const char *comment)
{
	StringInfoData sql;
	char *name = psprintf("v" INT64_FORMAT "_%s", relations->id, suffix);
	SxSpi spi;
	Oid relid;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE VIEW " INTERNAL_SCHEMA ".%s WITH (security_invoker) AS ", name);
	sx_append_dummy_select(&sql, query->targetList);
	sx_spi_begin(&spi);
	sx_spi_run(sql.data);
	relid = get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
	StoreViewQuery(relid, query, true);
	CommandCounterIncrement();
	finish_relation(relations, "VIEW", name, comment);
	sx_spi_end(&spi);
	return relid;
}

/*
 * ANALYZE runs a type's own functions as the table's owner, who is a superuser: the
 * subtype_diff of a range, and the operators that somebody made a type's default with.
 * A column of a type that may have functions of a user is not analyzed.
 */
static bool
is_safe_to_analyze(Oid type)
{
	Oid base = getBaseType(type);
	Oid element = get_element_type(base);

	if (OidIsValid(element))
		return is_safe_to_analyze(element);
	return base < FirstNormalObjectId || get_typtype(base) == TYPTYPE_ENUM ||
		   OidIsValid(getExtensionOfObject(TypeRelationId, base));
}

/* Of a table with columns of the query's names. */
static void
skip_statistics(const char *table, const Query *query)
{
	Oid relid = get_relname_relid(table, get_namespace_oid(INTERNAL_SCHEMA, false));
	ListCell *lc;

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (get_attnum(relid, entry->resname) != InvalidAttrNumber &&
			!is_safe_to_analyze(exprType((Node *) entry->expr)))
			sx_spi_run(psprintf("ALTER TABLE " INTERNAL_SCHEMA
								".%s ALTER COLUMN %s SET STATISTICS 0",
								table, entry->resname));
	}
}

char *
sx_relations_state_name(SxRelations *relations)
{
	Oid schema = get_namespace_oid(INTERNAL_SCHEMA, false);
	char *name;

	do /* a dump without data brings relations, but not the sequence's value */
	{
		sx_spi_run("SELECT pg_catalog.nextval('streamx_internal.view_id')");
		relations->id = DatumGetInt64(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &(bool){false}));
		name = psprintf("v" INT64_FORMAT "_state", relations->id);
	} while (OidIsValid(get_relname_relid(name, schema)));
	return name;
}

/* A comment, and SELECT for the view's owner. */
static void
finish_relation(const SxRelations *relations, const char *kind, const char *name,
				const char *comment)
{
	sx_spi_run(psprintf("COMMENT ON %s " INTERNAL_SCHEMA ".%s IS %s", kind, name,
						quote_literal_cstr(psprintf("%s of continuous view %s", comment,
													get_rel_name(users_view(relations))))));
	sx_spi_run(
		psprintf("GRANT SELECT ON " INTERNAL_SCHEMA ".%s TO %s", name,
				 quote_identifier(GetUserNameFromId(sx_relations_reader(relations), false))));
}

static bool
is_composed(const SxDefinition *definition)
{
	return definition->window.kind == SX_WINDOW_HOP ||
		   definition->window.kind == SX_WINDOW_CUMULATE;
}

/* Columns of the delta, as SQL; what is called slice_start may get another name. */
static void
append_columns(StringInfo sql, Query *delta, const char *start_name, const char *end_name)
{
	const char *separator = "";
	ListCell *lc;

	foreach (lc, delta->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node *expr = (Node *) entry->expr;
		bool is_slice = strcmp(entry->resname, "slice_start") == 0;

		if (entry->resjunk)
			continue;
		appendStringInfo(sql, "%s%s ", separator, is_slice ? start_name : entry->resname);
		sx_append_type(sql, exprType(expr), exprTypmod(expr), exprCollation(expr));
		if (is_slice && end_name)
			appendStringInfo(sql, ", %s %s", end_name, format_type_be(exprType(expr)));
		separator = ", ";
	}
}

/* What folding adds to the state, as SQL. */
static void
append_finals(StringInfo sql, const SxDefinition *definition)
{
	ListCell *lc;

	if (!definition->folds)
		return;
	appendStringInfoString(sql, ", " SX_FOLDED " boolean");
	foreach (lc, definition->finals)
	{
		Node *final = lfirst(lc);

		appendStringInfo(sql, ", %s ", sx_final_name(foreach_current_index(lc)));
		sx_append_type(sql, exprType(final), -1, exprCollation(final));
	}
}

/* The columns that make a row of the state table one of its kind. */
static char *
unique_columns(const SxDefinition *definition, Query *delta)
{
	StringInfoData columns;
	ListCell *lc;

	initStringInfo(&columns);
	foreach (lc, delta->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (!entry->resjunk && entry->resname[0] == 'k')
			appendStringInfo(&columns, "%s%s, ", entry->resname,
							 sx_index_class(exprType((Node *) entry->expr),
											exprCollation((Node *) entry->expr)));
	}
	if (definition->window_key)
		appendStringInfoString(&columns, "slice_start, ");
	if (is_composed(definition))
		appendStringInfoString(&columns, "from_window, ");
	columns.data[columns.len - strlen(", ")] = '\0';
	return columns.data;
}

const char *
sx_relations_storage(int fillfactor)
{
	return psprintf(" WITH (fillfactor = %d, vacuum_truncate = off, toast.vacuum_truncate = off)",
					fillfactor);
}

/* The state table: the delta's columns, and the two indexes. */
static void
create_state(SxRelations *relations, Query *delta)
{
	const SxDefinition *definition = relations->definition;
	StringInfoData sql;
	char *name;
	SxSpi spi;

	sx_spi_begin(&spi);
	name = sx_relations_state_name(relations);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE " INTERNAL_SCHEMA ".%s (", name);
	append_columns(&sql, delta, "slice_start", is_composed(definition) ? "from_window" : NULL);
	append_finals(&sql, definition);
	appendStringInfo(&sql, ")%s", sx_relations_storage(50));
	sx_spi_run(sql.data);
	skip_statistics(name, delta);
	sx_spi_run(psprintf("CREATE UNIQUE INDEX ON " INTERNAL_SCHEMA ".%s (%s) NULLS NOT DISTINCT",
						name, unique_columns(definition, delta)));
	if (definition->window_key && definition->keys != NIL)
		sx_spi_run(psprintf("CREATE INDEX ON " INTERNAL_SCHEMA ".%s (slice_start)", name));
	if (definition->folds)
		sx_spi_run(psprintf("CREATE INDEX ON " INTERNAL_SCHEMA ".%s (slice_start)"
							" WHERE " SX_FOLDED " IS NULL",
							name));
	finish_relation(relations, "TABLE", name, "state");
	relations->state = get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
	sx_spi_end(&spi);
}

/* The foreign table that composes windows from slices (windows.c). */
static void
create_windows(SxRelations *relations, Query *delta)
{
	char *name = psprintf("v" INT64_FORMAT "_windows", relations->id);
	StringInfoData sql;
	SxSpi spi;

	sx_spi_begin(&spi);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE " INTERNAL_SCHEMA ".%s (", name);
	append_columns(&sql, delta, "window_start", "window_end");
	appendStringInfoString(&sql, ") SERVER streamx_windows");
	sx_spi_run(sql.data);
	finish_relation(relations, "FOREIGN TABLE", name, "windows");
	relations->windows = get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
	sx_spi_end(&spi);
}

void
sx_relations_add_groups(const SxRelations *relations)
{
	sx_spi_run(psprintf("CREATE SEQUENCE " INTERNAL_SCHEMA ".v" INT64_FORMAT "_input_group"
						" OWNED BY " INTERNAL_SCHEMA ".v" INT64_FORMAT "_state." SX_INPUT_GROUPS,
						relations->id, relations->id));
	sx_spi_run(psprintf("COMMENT ON SEQUENCE " INTERNAL_SCHEMA ".v" INT64_FORMAT "_input_group IS"
						" 'numbers of input groups'",
						relations->id));
}

/* A table of inputs: found by group and hash, whatever the types and sizes of the inputs. */
static Oid
create_input_table(SxRelations *relations, const char *name, const Query *query)
{
	StringInfoData sql;
	ListCell *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "CREATE TABLE " INTERNAL_SCHEMA ".%s (input_group bigint NOT NULL,"
					 " hash bigint NOT NULL",
					 name);
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node *expr = (Node *) entry->expr;

		if (entry->resjunk || entry->resname[0] == 'k' ||
			strcmp(entry->resname, "slice_start") == 0)
			continue;
		appendStringInfo(&sql, ", %s ", entry->resname);
		sx_append_type(&sql, exprType(expr), exprTypmod(expr), exprCollation(expr));
	}
	appendStringInfo(&sql, ")%s", sx_relations_storage(80));
	sx_spi_run(sql.data);
	skip_statistics(name, query);
	sx_spi_run(psprintf("CREATE INDEX ON " INTERNAL_SCHEMA ".%s (input_group, hash)", name));
	finish_relation(relations, "TABLE", name, "inputs of aggregates");
	return get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
}

/* What aggregates without states are computed from. */
static void
create_inputs(SxRelations *relations)
{
	const SxDefinition *definition = relations->definition;
	ListCell *lc;
	SxSpi spi;

	if (definition->input_sets == NIL)
		return;
	sx_spi_begin(&spi);
	sx_relations_add_groups(relations);
	sx_spi_end(&spi);
	foreach (lc, definition->input_sets)
	{
		int number = foreach_current_index(lc) + 1;
		Query *query = sx_derive_inputs(definition, lfirst(lc));
		Oid table;

		sx_spi_begin(&spi);
		table = create_input_table(
			relations, psprintf("v" INT64_FORMAT "_inputs%d", relations->id, number), query);
		sx_spi_end(&spi);
		relations->inputs = lappend_oid(relations->inputs, table);
		relations->input_views = lappend_oid(
			relations->input_views, create_view(relations, psprintf("inputs%d_delta", number),
												query, "inputs of aggregates in one micro-batch"));
	}
	if (definition->tried_aggregates != NIL)
		relations->trial = create_view(relations, "trial", sx_derive_trial(definition),
									   "aggregates of each row of a micro-batch by itself");
	notice_inputs(relations);
}

/* The values that folding computes. */
static void
create_finals(SxRelations *relations)
{
	const SxDefinition *definition = relations->definition;
	Query *query;
	SxSpi spi;

	if (!definition->folds)
		return;
	query = sx_derive_finals(definition, relations->state, relations->inputs);
	sx_spi_begin(&spi);
	skip_statistics(get_rel_name(relations->state), query);
	sx_spi_end(&spi);
	relations->finals =
		create_view(relations, "finals", query, "final values of aggregates kept by their inputs");
}

/* The user should know what it costs. */
static void
notice_inputs(const SxRelations *relations)
{
	int ntables = list_length(relations->inputs);

	ereport(NOTICE,
			(errmsg("continuous view \"%s\" stores the inputs of its aggregates",
					get_rel_name(users_view(relations))),
			 errdetail_plural(
				 "Aggregates with DISTINCT or ORDER BY, and those that cannot be combined, are "
				 "computed from each distinct input of each group, kept in %d table.",
				 "Aggregates with DISTINCT or ORDER BY, and those that cannot be combined, are "
				 "computed from each distinct input of each group, kept in %d tables.",
				 ntables, ntables),
			 errhint("See inputs_size in streamx.stat_views; approx_count_distinct and "
					 "approx_percentile need no inputs.")));
}

/* The user's own view: the dummy gets its query. */
static void
store_visible(SxRelations *relations, const Query *query)
{
	bool is_windows = OidIsValid(relations->windows);
	SxSpi spi;

	sx_spi_begin(&spi); /* a shadow is not the user's own */
	StoreViewQuery(
		relations->visible,
		sx_derive_visible(relations->definition, is_windows ? relations->windows : relations->state,
						  query,
						  relations->has_retention && !is_windows ? relations->state : InvalidOid,
						  relations->inputs),
		true);
	sx_spi_end(&spi);
}

void
sx_relations_own(const SxRelations *relations)
{
	List *owned = list_make4_oid(relations->state, relations->delta, relations->rows,
								 relations->definition_view);
	ListCell *lc;

	if (OidIsValid(relations->windows))
		owned = lappend_oid(owned, relations->windows);
	if (OidIsValid(relations->trial))
		owned = lappend_oid(owned, relations->trial);
	if (OidIsValid(relations->finals))
		owned = lappend_oid(owned, relations->finals);
	owned = list_concat(owned, relations->inputs);
	owned = list_concat(owned, relations->input_views);
	foreach (lc, owned)
		sx_own(lfirst_oid(lc), relations->visible);
}

Datum
sx_relations_array(List *relations)
{
	Datum *values = palloc(Max(list_length(relations), 1) * sizeof(Datum));
	ListCell *lc;

	foreach (lc, relations)
		values[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(values, list_length(relations), REGCLASSOID, sizeof(Oid),
										   true, TYPALIGN_INT));
}
