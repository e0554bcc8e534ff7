/*
 * define.c
 *	  CREATE VIEW … WITH (streamx.continuous): make a view's relations.
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
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/view.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/ruleutils.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "aggregate/transition.h"
#include "catalog/option.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "query/analyze.h"
#include "query/attach.h"
#include "query/define.h"
#include "query/derive.h"
#include "query/expression.h"
#include "query/fold.h"
#include "query/input_set.h"
#include "query/retention.h"

#define INTERNAL_SCHEMA "streamx_internal"

void (*sx_views_changed)(void) = NULL;

/* The relations of a view under construction. */
typedef struct Relations
{
	SxDefinition *definition;
	Oid visible;
	Oid state;
	Oid delta;
	Oid rows;
	Oid definition_view;
	Oid windows;	   /* hop, cumulate */
	List *inputs;	   /* tables of inputs */
	List *input_views; /* inputs of one micro-batch */
	Oid trial;		   /* aggregates that a row may make fail, or InvalidOid */
	Oid finals;		   /* final values of aggregates kept by their inputs, or InvalidOid */
	int64 id;
	bool has_retention;
} Relations;

/* Settings that decide what a text or a timestamp means: kept with the view. */
static const char *const kept_settings[] = {"TimeZone",
											"DateStyle",
											"IntervalStyle",
											"extra_float_digits",
											"bytea_output",
											"lc_monetary",
											"lc_numeric",
											"lc_time",
											"xmlbinary",
											"xmloption",
											"default_text_search_config"};

static char *statement_text(const char *source, int location, int length);
static Query *analyze_query(ViewStmt *stmt, const char *source, int location, int length);
static List *split_options(List *options, List **others);
static void check_options(List *options, const SxDefinition *definition);
static void check_target(ViewStmt *stmt, const SxDefinition *definition);
static RawStmt *dummy_select(List *targetlist);
static Oid view_owner(Oid relid);
static void create_state(Relations *relations, Query *delta);
static void finish_relation(const Relations *relations, const char *kind, const char *name,
							const char *comment);
static bool is_composed(const SxDefinition *definition);
static void create_windows(Relations *relations, Query *delta);
static void create_inputs(Relations *relations);
static void create_finals(Relations *relations);
static void notice_inputs(const Relations *relations);
static void store_visible(Relations *relations, const Query *query);
static Oid create_view(Relations *relations, const char *suffix, Query *query, const char *comment);
static void record_ownership(Relations *relations);
static void record_catalog(Relations *relations, const char *text, List *options);

bool
sx_define_is_wanted(List *options)
{
	ListCell *lc;

	foreach (lc, options)
	{
		DefElem *option = lfirst(lc);

		if (option->defnamespace && strcmp(option->defnamespace, "streamx") == 0)
			return true;
	}
	return false;
}

void
sx_define_view(ViewStmt *stmt, const char *source, int location, int length, SxRunUtility run,
			   void *context)
{
	ParseState *pstate = make_parsestate(NULL);
	Relations relations = {0};
	ViewStmt *dummy = copyObject(stmt);
	List *others;
	List *options = split_options(stmt->options, &others);
	Query *query;
	Query *delta;

	pstate->p_sourcetext = source;
	query = analyze_query(stmt, source, location, length);
	relations.definition = sx_analyze(pstate, query, stmt->query);
	check_options(options, relations.definition);
	relations.definition->folds = sx_fold_is_wanted(options, relations.definition);
	relations.has_retention = sx_option_get(options, "retention") != NULL;
	check_target(stmt, relations.definition);
	sx_lock_stream(relations.definition->stream->relid);

	dummy->options = others;
	dummy->aliases = NIL;
	dummy->query = (Node *) dummy_select(query->targetList)->stmt;
	run((Node *) dummy, context);
	CommandCounterIncrement();
	relations.visible = RangeVarGetRelid(stmt->view, NoLock, false);

	delta = sx_derive_delta(relations.definition);
	create_state(&relations, delta);
	relations.delta = create_view(&relations, "delta", delta, "partial states of one micro-batch");
	relations.rows = create_view(&relations, "rows", sx_derive_rows(relations.definition),
								 "rows of one micro-batch that pass FROM and WHERE");
	relations.definition_view =
		create_view(&relations, "definition",
					sx_derive_batch(relations.definition, query, relations.has_retention),
					"the definition, to be run as a batch");
	if (is_composed(relations.definition))
		create_windows(&relations, delta);
	create_inputs(&relations);
	create_finals(&relations);
	store_visible(&relations, query);
	record_ownership(&relations);

	record_catalog(&relations, statement_text(source, location, length), options);
	CommandCounterIncrement();
	sx_retention_enter(relations.visible);
	sx_fold_enter(relations.visible);
	sx_attach_view(relations.visible, relations.definition->stream->relid,
				   sx_option_get(options, "start"));
	CacheInvalidateRelcacheByRelid(relations.visible);
	if (sx_views_changed)
		sx_views_changed();
}

/* One statement out of the source text, without the blanks around it. */
static char *
statement_text(const char *source, int location, int length)
{
	const char *start = source + Max(location, 0);
	const char *end = start + (length > 0 ? length : strlen(start));

	while (start < end && isspace((unsigned char) *start))
		start++;
	while (end > start && (isspace((unsigned char) end[-1]) || end[-1] == ';'))
		end--;
	return pnstrdup(start, end - start);
}

/* Parse analysis as DefineView does it: column names of CREATE VIEW v (a, b) applied. */
static Query *
analyze_query(ViewStmt *stmt, const char *source, int location, int length)
{
	RawStmt *raw = makeNode(RawStmt);
	ListCell *alias = list_head(stmt->aliases);
	ListCell *lc;
	Query *query;

	raw->stmt = copyObject(stmt->query);
	raw->stmt_location = location;
	raw->stmt_len = length;
	query = parse_analyze_fixedparams(raw, source, NULL, 0, NULL);
	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("views must not contain SELECT INTO")));

	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (alias == NULL)
			break;
		if (entry->resjunk)
			continue;
		entry->resname = pstrdup(strVal(lfirst(alias)));
		alias = lnext(stmt->aliases, alias);
	}
	if (alias != NULL)
		ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
						errmsg("CREATE VIEW specifies more column names than columns")));
	sx_unwrap_json(query);
	return query;
}

/* Our options, without their namespace; *others: the rest. */
static List *
split_options(List *options, List **others)
{
	List *ours = NIL;
	ListCell *lc;

	*others = NIL;
	foreach (lc, options)
	{
		DefElem *option = lfirst(lc);

		if (option->defnamespace && strcmp(option->defnamespace, "streamx") == 0)
			ours = lappend(ours, makeDefElem(option->defname, option->arg, option->location));
		else
			*others = lappend(*others, option);
	}
	return ours;
}

static void
refuse_option(const char *message, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
					hint ? errhint("%s", hint) : 0));
}

/* Options against each other and against the query. */
static void
check_options(List *options, const SxDefinition *definition)
{
	bool has_lateness =
		definition->window.kind != SX_WINDOW_GLOBAL && definition->stream->event_time != 0;
	static const char *const lateness_only[] = {"allowed_lateness", "late_rows"};

	sx_options_check(SX_OPTION_VIEW, options);
	if (!sx_option_bool(options, "continuous", false))
		refuse_option("options of streamx need streamx.continuous",
					  "Write WITH (streamx.continuous, ...), or leave the options away.");
	for (int i = 0; i < lengthof(lateness_only); i++)
	{
		if (sx_option_get(options, lateness_only[i]) && !has_lateness)
			refuse_option(psprintf("streamx.%s needs a window and a stream with event_time",
								   lateness_only[i]),
						  "Without them no row is late.");
	}
	sx_retention_check(options, &definition->window, has_lateness);
}

void
sx_define_check_plain_options(List *options)
{
	ListCell *lc;

	foreach (lc, options)
	{
		DefElem *option = lfirst(lc);

		if (option->defnamespace == NULL && strcmp(option->defname, "security_invoker") == 0 &&
			defGetBoolean(option))
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("a continuous view cannot have security_invoker"),
							errdetail("Its rows are computed once, as the view's owner."),
							errhint("Use an ordinary view with security_invoker over it.")));
		if (option->defnamespace == NULL && strcmp(option->defname, "check_option") == 0)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("a continuous view cannot have WITH CHECK OPTION")));
	}
}

/* The statement's own conditions: permanence, plain options, privileges. */
static void
check_target(ViewStmt *stmt, const SxDefinition *definition)
{
	Oid existing = RangeVarGetRelid(stmt->view, NoLock, true);
	AclResult aclresult;

	if (stmt->view->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view cannot be temporary")));
	if (stmt->withCheckOption != NO_CHECK_OPTION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view cannot have WITH CHECK OPTION"),
						errhint("Nothing can be inserted into it; leave the clause away.")));
	sx_define_check_plain_options(stmt->options);
	if (OidIsValid(existing) && stmt->replace)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" cannot be replaced by a continuous view yet", stmt->view->relname),
				 errhint("Drop it first, then create the continuous view.")));

	aclresult = pg_class_aclcheck(definition->stream->relid, GetUserId(), ACL_SELECT);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_TABLE, definition->stream->name);
}

static RawStmt *
dummy_select(List *targetlist)
{
	StringInfoData sql;

	initStringInfo(&sql);
	sx_append_dummy_select(&sql, targetlist);
	return linitial(raw_parser(sql.data, RAW_PARSE_DEFAULT));
}

static Oid
view_owner(Oid relid)
{
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
create_view(Relations *relations, const char *suffix, Query *query, const char *comment)
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
 * A range type may bring a function of its owner that ANALYZE calls, as the state
 * table's owner, who is a superuser: such a column is not analyzed.
 */
static bool
is_safe_to_analyze(Oid type)
{
	Oid base = getBaseType(type);

	return base < FirstNormalObjectId ||
		   (get_typtype(base) != TYPTYPE_RANGE && get_typtype(base) != TYPTYPE_MULTIRANGE);
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

/* A name for the state table that no relation has, and with it the view's number. */
static char *
next_state_name(Relations *relations)
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
finish_relation(const Relations *relations, const char *kind, const char *name, const char *comment)
{
	sx_spi_run(psprintf("COMMENT ON %s " INTERNAL_SCHEMA ".%s IS %s", kind, name,
						quote_literal_cstr(psprintf("%s of continuous view %s", comment,
													get_rel_name(relations->visible)))));
	sx_spi_run(
		psprintf("GRANT SELECT ON " INTERNAL_SCHEMA ".%s TO %s", name,
				 quote_identifier(GetUserNameFromId(view_owner(relations->visible), false))));
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
			appendStringInfo(&columns, "%s, ", entry->resname);
	}
	if (definition->window_key)
		appendStringInfoString(&columns, "slice_start, ");
	if (is_composed(definition))
		appendStringInfoString(&columns, "from_window, ");
	columns.data[columns.len - strlen(", ")] = '\0';
	return columns.data;
}

/* The state table: the delta's columns, and the two indexes. */
static void
create_state(Relations *relations, Query *delta)
{
	const SxDefinition *definition = relations->definition;
	StringInfoData sql;
	char *name;
	SxSpi spi;

	sx_spi_begin(&spi);
	name = next_state_name(relations);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE " INTERNAL_SCHEMA ".%s (", name);
	append_columns(&sql, delta, "slice_start", is_composed(definition) ? "from_window" : NULL);
	append_finals(&sql, definition);
	appendStringInfoString(&sql, ") WITH (fillfactor = 50)");
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
create_windows(Relations *relations, Query *delta)
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

/* The numbers of input groups; the state table's own, so that a dump has the next one. */
static void
create_group_sequence(const Relations *relations)
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
create_input_table(Relations *relations, const char *name, const Query *query)
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
	appendStringInfoString(&sql, ") WITH (fillfactor = 80)");
	sx_spi_run(sql.data);
	skip_statistics(name, query);
	sx_spi_run(psprintf("CREATE INDEX ON " INTERNAL_SCHEMA ".%s (input_group, hash)", name));
	finish_relation(relations, "TABLE", name, "inputs of aggregates");
	return get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
}

/* What aggregates without states are computed from. */
static void
create_inputs(Relations *relations)
{
	const SxDefinition *definition = relations->definition;
	ListCell *lc;
	SxSpi spi;

	if (definition->input_sets == NIL)
		return;
	sx_spi_begin(&spi);
	create_group_sequence(relations);
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
create_finals(Relations *relations)
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
notice_inputs(const Relations *relations)
{
	int ntables = list_length(relations->inputs);

	ereport(NOTICE,
			(errmsg("continuous view \"%s\" stores the inputs of its aggregates",
					get_rel_name(relations->visible)),
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
store_visible(Relations *relations, const Query *query)
{
	bool is_windows = OidIsValid(relations->windows);

	StoreViewQuery(
		relations->visible,
		sx_derive_visible(relations->definition, is_windows ? relations->windows : relations->state,
						  query,
						  relations->has_retention && !is_windows ? relations->state : InvalidOid,
						  relations->inputs),
		true);
}

/* Internal relations live and die with the visible view. */
static void
record_ownership(Relations *relations)
{
	List *owned = list_make4_oid(relations->state, relations->delta, relations->rows,
								 relations->definition_view);
	ObjectAddress view;
	ListCell *lc;

	if (OidIsValid(relations->windows))
		owned = lappend_oid(owned, relations->windows);
	if (OidIsValid(relations->trial))
		owned = lappend_oid(owned, relations->trial);
	if (OidIsValid(relations->finals))
		owned = lappend_oid(owned, relations->finals);
	owned = list_concat(owned, relations->inputs);
	owned = list_concat(owned, relations->input_views);
	ObjectAddressSet(view, RelationRelationId, relations->visible);
	foreach (lc, owned)
	{
		ObjectAddress relation;

		ObjectAddressSet(relation, RelationRelationId, lfirst_oid(lc));
		recordDependencyOn(&relation, &view, DEPENDENCY_INTERNAL);
	}
}

/* As regclass[]. */
static Datum
relation_array(List *relations)
{
	Datum *values = palloc(Max(list_length(relations), 1) * sizeof(Datum));
	ListCell *lc;

	foreach (lc, relations)
		values[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(values, list_length(relations), REGCLASSOID, sizeof(Oid),
										   true, TYPALIGN_INT));
}

static Datum
current_settings(void)
{
	Datum values[2 * lengthof(kept_settings)];
	int count = 0;

	for (int i = 0; i < lengthof(kept_settings); i++)
	{
		values[count++] = CStringGetTextDatum(kept_settings[i]);
		values[count++] = CStringGetTextDatum(GetConfigOption(kept_settings[i], false, false));
	}
	return PointerGetDatum(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* A column's value from a constant of the window's call. */
static Datum
constant_value(const Const *constant, bool *is_null)
{
	*is_null = constant == NULL;
	return constant ? constant->constvalue : (Datum) 0;
}

/* A view option's interval in microseconds, as SQL interval. */
static Datum
option_interval(List *options, const char *name, bool *is_null)
{
	int64 us = sx_option_interval_us(options, name, -1);

	*is_null = us < 0;
	return sx_interval_const(Max(us, 0))->constvalue;
}

static void
record_catalog(Relations *relations, const char *text, List *options)
{
	const SxDefinition *definition = relations->definition;
	const char *late_rows = sx_option_get(options, "late_rows");
	const char *start = sx_option_get(options, "start");
	Oid types[] = {OIDOID,		   TEXTOID,		OIDOID,		  OIDOID,			OIDOID,
				   OIDOID,		   OIDOID,		TEXTOID,	  INTERVALOID,		INTERVALOID,
				   TIMESTAMPTZOID, TEXTOID,		INTERVALOID,  TEXTOID,			TEXTOID,
				   INTERVALOID,	   INTERVALOID, TEXTARRAYOID, REGCLASSARRAYOID, REGCLASSARRAYOID,
				   OIDOID,		   OIDOID};
	Datum values[lengthof(types)] = {
		ObjectIdGetDatum(relations->visible),
		CStringGetTextDatum(text),
		ObjectIdGetDatum(relations->state),
		ObjectIdGetDatum(relations->definition_view),
		ObjectIdGetDatum(relations->delta),
		ObjectIdGetDatum(relations->rows),
		ObjectIdGetDatum(relations->windows),
		CStringGetTextDatum(sx_window_kind_name(definition->window.kind))};
	bool nulls[lengthof(types)] = {false};
	SxSpi spi;

	nulls[6] = !OidIsValid(relations->windows);
	values[8] = constant_value(definition->window_size, &nulls[8]);
	values[9] = constant_value(definition->window_step, &nulls[9]);
	values[10] = constant_value(definition->window_origin, &nulls[10]);
	values[11] = constant_value(definition->window_timezone, &nulls[11]);
	values[12] = option_interval(options, "allowed_lateness", &nulls[12]);
	nulls[12] = false;
	values[13] = CStringGetTextDatum(late_rows ? late_rows : "store");
	values[14] = CStringGetTextDatum(start ? start : "earliest");
	values[15] = option_interval(options, "retention", &nulls[15]);
	values[16] = option_interval(options, "refused_retention", &nulls[16]);
	values[17] = current_settings();
	values[18] = relation_array(relations->inputs);
	values[19] = relation_array(relations->input_views);
	values[20] = ObjectIdGetDatum(relations->trial);
	nulls[20] = !OidIsValid(relations->trial);
	values[21] = ObjectIdGetDatum(relations->finals);
	nulls[21] = !OidIsValid(relations->finals);
	sx_spi_begin(&spi);
	sx_spi_execute(
		"INSERT INTO streamx.views (view, definition, state, definition_view, delta_view,"
		" rows_view, windows, window_kind, window_size, window_step, window_origin,"
		" window_timezone, allowed_lateness, late_rows, start, retention, refused_retention,"
		" settings, inputs, input_views, trial_view, finals_view)"
		" VALUES ($1::pg_catalog.regclass, $2, $3::pg_catalog.regclass,"
		" $4::pg_catalog.regclass, $5::pg_catalog.regclass, $6::pg_catalog.regclass,"
		" $7::pg_catalog.regclass, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
		" $19, $20, $21::pg_catalog.regclass, $22::pg_catalog.regclass)",
		lengthof(types), types, values, nulls, false);
	sx_spi_end(&spi);
}

/*
 * After ALTER … OWNER and REASSIGN OWNED: a view's new owner gets SELECT on the
 * internal relations, the old one loses it.
 */
void
sx_define_sync_owners(void)
{
	SxSpi spi;

	if (!sx_extension_exists())
		return;
	sx_spi_begin(&spi);
	sx_spi_run(
		"DO LANGUAGE plpgsql $$"
		"DECLARE r record; g record; BEGIN "
		"FOR r IN SELECT u.relation, c.relowner, i.relacl, i.relowner AS internal_owner"
		"  FROM streamx.views v JOIN pg_catalog.pg_class c ON c.oid = v.view,"
		"  LATERAL pg_catalog.unnest(ARRAY[v.state, v.delta_view, v.rows_view,"
		"                                  v.definition_view, v.windows, v.trial_view,"
		"                                  v.finals_view]"
		"                            OPERATOR(pg_catalog.||)"
		"                            v.inputs OPERATOR(pg_catalog.||) v.input_views) u(relation)"
		"  JOIN pg_catalog.pg_class i ON i.oid = u.relation"
		/* no row of pg_class is touched in vain: others may be at it, and plans depend on it */
		"  WHERE (c.relowner <> i.relowner AND NOT EXISTS (SELECT FROM "
		"pg_catalog.aclexplode(i.relacl) a"
		"                                                  WHERE a.grantee = c.relowner))"
		"     OR EXISTS (SELECT FROM pg_catalog.aclexplode(i.relacl) a"
		"                WHERE a.grantee <> c.relowner AND a.grantee <> i.relowner) "
		"LOOP "
		"  FOR g IN SELECT a.grantee FROM pg_catalog.aclexplode(r.relacl) a"
		"    WHERE a.grantee <> r.relowner AND a.grantee <> r.internal_owner "
		"  LOOP EXECUTE pg_catalog.format('REVOKE ALL ON %s FROM %I', r.relation,"
		"       pg_catalog.pg_get_userbyid(g.grantee)); END LOOP;"
		"  EXECUTE pg_catalog.format('GRANT SELECT ON %s TO %I', r.relation,"
		"       pg_catalog.pg_get_userbyid(r.relowner)); "
		"END LOOP; END $$");
	sx_spi_end(&spi);
}
