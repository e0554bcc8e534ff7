/*
 * copy.c
 *	  Relations of a continuous view, made once more, as copies of those that are there.
 *
 *		state, inputs, windows      tables of the same columns and indexes, empty
 *		delta, rows, definition,
 *		inputs, trial               views with the same query
 *		finals, visible             likewise, with the new tables in place of the old ones
 *
 * Nothing is derived again, and no text is parsed: names may have changed.
 */
#include "compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteDefine.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteSupport.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "catalog/spi.h"
#include "query/copy.h"
#include "query/expression.h"
#include "query/input_set.h"
#include "query/relations.h"
#include "query/sql.h"

#define INTERNAL_SCHEMA "streamx_internal"

/* ---- stored queries ---- */

static Oid
substitute(const SxSubstitution *substitution, Oid relid)
{
	ListCell *from;
	ListCell *to;

	forboth (from, substitution->from, to, substitution->to)
	{
		if (lfirst_oid(from) == relid)
			return lfirst_oid(to);
	}
	return relid;
}

static void
substitute_relations(Query *query, const SxSubstitution *substitution)
{
	ListCell *lc;

	foreach (lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		Oid relid = substitute(substitution, rte->relid);

		if (relid == rte->relid)
			continue;
		sx_compat_move_permissions(query, rte->relid, relid);
		rte->relid = relid;
	}
}

/* In place; OIDs of relations that are constants, too: a view asks what is removed of its state. */
static bool
substitute_all(Node *node, void *substitution)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		substitute_relations((Query *) node, substitution);
		return query_tree_walker((Query *) node, substitute_all, substitution, 0);
	}
	if (IsA(node, Const) && ((Const *) node)->consttype == REGCLASSOID &&
		!((Const *) node)->constisnull)
		((Const *) node)->constvalue = ObjectIdGetDatum(
			substitute(substitution, DatumGetObjectId(((Const *) node)->constvalue)));
	return expression_tree_walker(node, substitute_all, substitution);
}

Query *
sx_copy_stored_query(Oid view, const SxSubstitution *substitution)
{
	Relation rel = table_open(view, AccessShareLock);
	Query *query = copyObject(get_view_query(rel));

	table_close(rel, NoLock);
	(void) substitute_all((Node *) query, unconstify(SxSubstitution *, substitution));
	return query;
}

void
sx_copy_store_query(Oid view, Query *query)
{
	int column = 0;
	ListCell *lc;

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (!entry->resjunk)
			entry->resname = get_attname(view, ++column, false);
	}
	DefineQueryRewrite(pstrdup(ViewSelectRuleName), view, NULL, CMD_SELECT, true, true,
					   list_make1(query));
	CommandCounterIncrement();
}

/* ---- relations ---- */

static Oid
relation_of(const char *name)
{
	return get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
}

/* The comment of the one it is a copy of, and SELECT for who may read it. */
static Oid
finish(const SxRelations *relations, const char *kind, const char *name, Oid source)
{
	static const Oid types[] = {OIDOID};
	Datum values[] = {ObjectIdGetDatum(source)};
	char *comment;

	sx_spi_execute("SELECT pg_catalog.obj_description($1, 'pg_class')", 1, types, values, NULL,
				   false);
	comment = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	if (comment)
		sx_spi_run(psprintf("COMMENT ON %s " INTERNAL_SCHEMA ".%s IS %s", kind, name,
							quote_literal_cstr(comment)));
	sx_spi_run(
		psprintf("GRANT SELECT ON " INTERNAL_SCHEMA ".%s TO %s", name,
				 quote_identifier(GetUserNameFromId(sx_relations_reader(relations), false))));
	return relation_of(name);
}

/* An empty table with the columns and indexes of another one. */
static Oid
copy_table(const SxRelations *relations, const char *name, Oid source, int fillfactor)
{
	static const Oid types[] = {OIDOID};
	Datum values[] = {ObjectIdGetDatum(source)};
	List *columns = NIL;
	ListCell *lc;

	sx_spi_run(psprintf("CREATE TABLE " INTERNAL_SCHEMA ".%s (LIKE %s INCLUDING INDEXES)%s", name,
						sx_sql_name(source), sx_relations_storage(fillfactor)));
	sx_spi_execute("SELECT attname FROM pg_catalog.pg_attribute WHERE attrelid = $1"
				   " AND attnum > 0 AND NOT attisdropped AND attstattarget = 0",
				   1, types, values, NULL, false);
	for (uint64 i = 0; i < SPI_processed; i++)
		columns = lappend(columns, SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1));
	foreach (lc, columns)
		sx_spi_run(psprintf("ALTER TABLE " INTERNAL_SCHEMA ".%s ALTER COLUMN %s SET STATISTICS 0",
							name, quote_identifier(lfirst(lc))));
	return finish(relations, "TABLE", name, source);
}

/* The foreign table that composes windows. */
static Oid
copy_windows(const SxRelations *relations, Oid source)
{
	char *name = psprintf("v" INT64_FORMAT "_windows", relations->id);
	Relation rel = table_open(source, AccessShareLock);
	TupleDesc desc = RelationGetDescr(rel);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE " INTERNAL_SCHEMA ".%s (", name);
	for (int i = 0; i < desc->natts; i++)
	{
		const FormData_pg_attribute *column = TupleDescAttr(desc, i);

		appendStringInfo(&sql, "%s%s ", i > 0 ? ", " : "",
						 quote_identifier(NameStr(column->attname)));
		sx_append_type(&sql, column->atttypid, column->atttypmod, column->attcollation);
	}
	appendStringInfoString(&sql, ") SERVER streamx_windows");
	table_close(rel, NoLock);
	sx_spi_run(sql.data);
	return finish(relations, "FOREIGN TABLE", name, source);
}

static Oid
copy_view(const SxRelations *relations, const char *suffix, Oid source,
		  const SxSubstitution *substitution)
{
	char *name = psprintf("v" INT64_FORMAT "_%s", relations->id, suffix);
	SxSubstitution with_itself = {list_copy(substitution->from), list_copy(substitution->to)};
	Query *query;
	StringInfoData sql;
	Oid relid;

	query = sx_copy_stored_query(source, substitution);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE VIEW " INTERNAL_SCHEMA ".%s WITH (security_invoker) AS ", name);
	sx_append_dummy_select(&sql, query->targetList);
	sx_spi_run(sql.data);
	relid = relation_of(name);
	/* before 16 a stored query names its view */
	with_itself.from = lappend_oid(with_itself.from, source);
	with_itself.to = lappend_oid(with_itself.to, relid);
	sx_copy_store_query(relid, sx_copy_stored_query(source, &with_itself));
	return finish(relations, "VIEW", name, source);
}

static void
substitute_with(SxSubstitution *substitution, Oid from, Oid to)
{
	substitution->from = lappend_oid(substitution->from, from);
	substitution->to = lappend_oid(substitution->to, to);
}

/* What holds rows. */
static void
copy_tables(SxRelations *relations, const SxView *view, SxSubstitution *substitution)
{
	ListCell *lc;

	relations->state = copy_table(relations, sx_relations_state_name(relations), view->state, 50);
	substitute_with(substitution, view->state, relations->state);
	if (OidIsValid(view->windows))
	{
		relations->windows = copy_windows(relations, view->windows);
		substitute_with(substitution, view->windows, relations->windows);
	}
	if (view->inputs != NIL)
		sx_relations_add_groups(relations);
	foreach (lc, view->inputs)
	{
		const SxViewInputs *inputs = lfirst(lc);
		char *name =
			psprintf("v" INT64_FORMAT "_inputs%d", relations->id, foreach_current_index(lc) + 1);

		relations->inputs =
			lappend_oid(relations->inputs, copy_table(relations, name, inputs->table, 80));
		substitute_with(substitution, inputs->table, llast_oid(relations->inputs));
	}
}

static void
copy_views(SxRelations *relations, const SxView *view, const SxSubstitution *substitution)
{
	ListCell *lc;

	relations->delta = copy_view(relations, "delta", view->delta, substitution);
	relations->rows = copy_view(relations, "rows", view->rows, substitution);
	relations->definition_view = copy_view(relations, "definition", view->definition, substitution);
	foreach (lc, view->inputs)
	{
		const SxViewInputs *inputs = lfirst(lc);
		char *suffix = psprintf("inputs%d_delta", foreach_current_index(lc) + 1);

		relations->input_views = lappend_oid(
			relations->input_views, copy_view(relations, suffix, inputs->delta, substitution));
	}
	if (OidIsValid(view->trial))
		relations->trial = copy_view(relations, "trial", view->trial, substitution);
	if (OidIsValid(view->finals))
		relations->finals = copy_view(relations, "finals", view->finals, substitution);
}

void
sx_relations_copy(SxRelations *relations, const SxView *view)
{
	SxSubstitution substitution = {NIL, NIL};
	MemoryContext caller = CurrentMemoryContext;
	SxSpi spi;

	sx_spi_begin(&spi);
	copy_tables(relations, view, &substitution);
	copy_views(relations, view, &substitution);
	substitute_with(&substitution, view->relid, relations->visible);
	sx_copy_store_query(relations->visible, sx_copy_stored_query(view->relid, &substitution));
	sx_relations_own(relations);
	MemoryContextSwitchTo(caller);
	relations->inputs = list_copy(relations->inputs);
	relations->input_views = list_copy(relations->input_views);
	sx_spi_end(&spi);
}
