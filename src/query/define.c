/*
 * define.c
 *	  CREATE VIEW … WITH (streamx.continuous): make a view's relations.
 *
 *      definition view   the user's query, as written
 *      delta view        its keys, slice and partial states, of one micro-batch
 *      rows view         which rows of a micro-batch pass FROM and WHERE
 *      state table       keys, slice, states
 *      visible view      finalises the state table; the user's own relation
 *
 * All are made from query trees, bound by OID, never from text: a later rename
 * cannot re-bind them.  The first four belong to the extension's owner and hang
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
	int64 id;
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
static void check_options(ParseState *pstate, List *options, const SxDefinition *definition);
static void check_target(ViewStmt *stmt, const SxDefinition *definition);
static RawStmt *dummy_select(List *targetlist);
static Oid view_owner(Oid relid);
static void create_state(Relations *relations, Query *delta);
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
	check_options(pstate, options, relations.definition);
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
		create_view(&relations, "definition", query, "the definition, to be run as a batch");
	StoreViewQuery(relations.visible,
				   sx_derive_visible(relations.definition, relations.state, query), true);
	record_ownership(&relations);

	record_catalog(&relations, statement_text(source, location, length), options);
	CommandCounterIncrement();
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
refuse_option(ParseState *pstate, const char *message, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
					hint ? errhint("%s", hint) : 0));
}

/* Options against each other and against the query. */
static void
check_options(ParseState *pstate, List *options, const SxDefinition *definition)
{
	const char *late_rows = sx_option_get(options, "late_rows");
	bool has_lateness =
		definition->window.kind != SX_WINDOW_GLOBAL && definition->stream->event_time != 0;

	sx_options_check(SX_OPTION_VIEW, options);
	if (!sx_option_bool(options, "continuous", false))
		refuse_option(pstate, "options of streamx need streamx.continuous",
					  "Write WITH (streamx.continuous, ...), or leave the options away.");
	if (sx_option_get(options, "allowed_lateness") && !has_lateness)
		refuse_option(pstate,
					  "streamx.allowed_lateness needs a window and a stream with event_time",
					  "Without them no row is late.");
	if (late_rows && !has_lateness)
		refuse_option(pstate, "streamx.late_rows needs a window and a stream with event_time",
					  "Without them no row is late.");
	if (sx_option_get(options, "retention") || sx_option_get(options, "refused_retention"))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("streamx.retention and streamx.refused_retention are not supported yet")));
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

/* Always qualified: it is parsed under our search_path. */
static char *
collation_name(Oid collation)
{
	HeapTuple tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	char *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	name = quote_qualified_identifier(get_namespace_name(form->collnamespace),
									  NameStr(form->collname));
	ReleaseSysCache(tuple);
	return name;
}

/* type(typmod) and collation of an expression, as SQL. */
static void
append_type(StringInfo sql, Oid type, int32 typmod, Oid collation)
{
	appendStringInfoString(
		sql,
		format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(collation) && OidIsValid(get_typcollation(type)))
		appendStringInfo(sql, " COLLATE %s", collation_name(collation));
}

/* SELECT NULL::type AS name, … with the columns of a target list. */
static void
append_dummy_select(StringInfo sql, List *targetlist)
{
	const char *separator = "SELECT ";
	ListCell *lc;

	foreach (lc, targetlist)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resjunk)
			continue;
		appendStringInfo(sql, "%sNULL::", separator);
		append_type(sql, exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr),
					exprCollation((Node *) entry->expr));
		appendStringInfo(sql, " AS %s", quote_identifier(entry->resname));
		separator = ", ";
	}
}

static RawStmt *
dummy_select(List *targetlist)
{
	StringInfoData sql;

	initStringInfo(&sql);
	append_dummy_select(&sql, targetlist);
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
	append_dummy_select(&sql, query->targetList);
	sx_spi_begin(&spi);
	sx_spi_run(sql.data);
	relid = get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
	StoreViewQuery(relid, query, true);
	CommandCounterIncrement();
	sx_spi_run(psprintf("COMMENT ON VIEW " INTERNAL_SCHEMA ".%s IS %s", name,
						quote_literal_cstr(psprintf("%s of continuous view %s", comment,
													get_rel_name(relations->visible)))));
	sx_spi_run(
		psprintf("GRANT SELECT ON " INTERNAL_SCHEMA ".%s TO %s", name,
				 quote_identifier(GetUserNameFromId(view_owner(relations->visible), false))));
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

/* The state table: the delta's columns, and the two indexes. */
static void
create_state(Relations *relations, Query *delta)
{
	const SxDefinition *definition = relations->definition;
	StringInfoData sql;
	StringInfoData keys;
	const char *separator = "";
	char *name;
	ListCell *lc;
	SxSpi spi;

	sx_spi_begin(&spi);
	do /* a dump without data brings relations, but not the sequence's value */
	{
		sx_spi_run("SELECT pg_catalog.nextval('streamx_internal.view_id')");
		relations->id = DatumGetInt64(
			SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &(bool){false}));
		name = psprintf("v" INT64_FORMAT "_state", relations->id);
	} while (OidIsValid(get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false))));
	initStringInfo(&sql);
	initStringInfo(&keys);
	appendStringInfo(&sql, "CREATE TABLE " INTERNAL_SCHEMA ".%s (", name);
	foreach (lc, delta->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		appendStringInfo(&sql, "%s%s ", separator, entry->resname);
		append_type(&sql, exprType((Node *) entry->expr), exprTypmod((Node *) entry->expr),
					exprCollation((Node *) entry->expr));
		if (entry->resname[0] != 'a')
			appendStringInfo(&keys, "%s%s", separator, entry->resname);
		separator = ", ";
	}
	appendStringInfoString(&sql, ") WITH (fillfactor = 50)");
	sx_spi_run(sql.data);
	foreach (lc, delta->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (!is_safe_to_analyze(exprType((Node *) entry->expr)))
			sx_spi_run(psprintf("ALTER TABLE " INTERNAL_SCHEMA
								".%s ALTER COLUMN %s SET STATISTICS 0",
								name, entry->resname));
	}
	sx_spi_run(psprintf("CREATE UNIQUE INDEX ON " INTERNAL_SCHEMA ".%s (%s) NULLS NOT DISTINCT",
						name, keys.data));
	if (definition->window_key)
		sx_spi_run(psprintf("CREATE INDEX ON " INTERNAL_SCHEMA ".%s (slice_start)", name));
	sx_spi_run(psprintf("COMMENT ON TABLE " INTERNAL_SCHEMA ".%s IS %s", name,
						quote_literal_cstr(psprintf("state of continuous view %s",
													get_rel_name(relations->visible)))));
	sx_spi_run(
		psprintf("GRANT SELECT ON " INTERNAL_SCHEMA ".%s TO %s", name,
				 quote_identifier(GetUserNameFromId(view_owner(relations->visible), false))));
	relations->state = get_relname_relid(name, get_namespace_oid(INTERNAL_SCHEMA, false));
	sx_spi_end(&spi);
}

/* Internal relations live and die with the visible view. */
static void
record_ownership(Relations *relations)
{
	Oid owned[] = {relations->state, relations->delta, relations->rows, relations->definition_view};
	ObjectAddress view;

	ObjectAddressSet(view, RelationRelationId, relations->visible);
	for (int i = 0; i < lengthof(owned); i++)
	{
		ObjectAddress relation;

		ObjectAddressSet(relation, RelationRelationId, owned[i]);
		recordDependencyOn(&relation, &view, DEPENDENCY_INTERNAL);
	}
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

static void
record_catalog(Relations *relations, const char *text, List *options)
{
	const SxDefinition *definition = relations->definition;
	bool has_window = definition->window_key != NULL;
	const char *late_rows = sx_option_get(options, "late_rows");
	const char *start = sx_option_get(options, "start");
	Oid types[] = {OIDOID,	TEXTOID,		OIDOID,	 OIDOID,  OIDOID,  OIDOID,		TEXTOID,
				   INT8OID, TIMESTAMPTZOID, INT8OID, TEXTOID, TEXTOID, TEXTARRAYOID};
	Datum values[] = {ObjectIdGetDatum(relations->visible),
					  CStringGetTextDatum(text),
					  ObjectIdGetDatum(relations->state),
					  ObjectIdGetDatum(relations->definition_view),
					  ObjectIdGetDatum(relations->delta),
					  ObjectIdGetDatum(relations->rows),
					  CStringGetTextDatum(has_window ? "tumble" : "global"),
					  Int64GetDatum(definition->window.size_us),
					  TimestampTzGetDatum(definition->window.origin_us),
					  Int64GetDatum(sx_option_interval_us(options, "allowed_lateness", 0)),
					  CStringGetTextDatum(late_rows ? late_rows : "store"),
					  CStringGetTextDatum(start ? start : "earliest"),
					  current_settings()};
	bool nulls[lengthof(types)] = {false};
	SxSpi spi;

	nulls[7] = nulls[8] = !has_window;
	sx_spi_begin(&spi);
	sx_spi_execute(
		"INSERT INTO streamx.views (view, definition, state, definition_view, delta_view,"
		" rows_view, window_kind, window_size, window_origin, allowed_lateness, late_rows,"
		" start, settings)"
		" VALUES ($1::pg_catalog.regclass, $2, $3::pg_catalog.regclass,"
		" $4::pg_catalog.regclass, $5::pg_catalog.regclass, $6::pg_catalog.regclass, $7,"
		" $8 * interval '1 microsecond', $9, $10 * interval '1 microsecond', $11, $12, $13)",
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
		"                                  v.definition_view]) u(relation)"
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
