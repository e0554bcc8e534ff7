/*
 * define.c
 *	  CREATE VIEW … WITH (streamx.continuous): what the statement may be, and what
 *	  the catalog keeps of it.  Its relations are made in relations.c.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

#include "catalog/option.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "query/analyze.h"
#include "query/attach.h"
#include "query/define.h"
#include "query/expression.h"
#include "query/fold.h"
#include "query/relations.h"
#include "query/retention.h"

void (*sx_views_changed)(void) = NULL;

/* Settings that decide what a text or a timestamp means: kept with the view. */
static const char *const kept_settings[] = {"TimeZone",
											"timezone_abbreviations",
											"DateStyle",
											"IntervalStyle",
											"extra_float_digits",
											"bytea_output",
											"lc_monetary",
											"lc_numeric",
											"lc_time",
											"xmlbinary",
											"xmloption",
											"array_nulls",
											"quote_all_identifiers",
											"default_text_search_config"};

static char *statement_text(const char *source, int location, int length);
static Query *analyze_query(ViewStmt *stmt, const char *source, int location, int length);
static List *split_options(List *options, List **others);
static void check_options(List *options, const SxDefinition *definition);
static void check_new(const ViewStmt *stmt);
static void check_target(ViewStmt *stmt, const SxDefinition *definition);
static RawStmt *dummy_select(List *targetlist);

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

Oid
sx_define_existing(const RangeVar *name)
{
	/* not RangeVarGetRelid: a temporary table, or another schema's view, may come first */
	return get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));
}

SxStatement *
sx_define_read(ViewStmt *stmt, const char *source, int location, int length)
{
	ParseState *pstate = make_parsestate(NULL);
	SxStatement *statement = palloc0(sizeof(SxStatement));
	List *others;

	pstate->p_sourcetext = source;
	statement->name = stmt->view;
	statement->text = statement_text(source, location, length);
	statement->options = split_options(stmt->options, &others);
	statement->query = analyze_query(stmt, source, location, length);
	statement->definition = sx_analyze(pstate, statement->query, stmt->query);
	check_options(statement->options, statement->definition);
	statement->definition->folds = sx_fold_is_wanted(statement->options, statement->definition);
	check_target(stmt, statement->definition);

	statement->dummy = copyObject(stmt);
	statement->dummy->options = others;
	statement->dummy->aliases = NIL;
	statement->dummy->query = (Node *) dummy_select(statement->query->targetList)->stmt;
	return statement;
}

void
sx_define_view(ViewStmt *stmt, const char *source, int location, int length, SxRunUtility run,
			   void *context)
{
	SxStatement *statement = sx_define_read(stmt, source, location, length);
	List *options = statement->options;
	SxRelations relations = {.definition = statement->definition,
							 .has_retention = sx_option_get(options, "retention") != NULL};

	check_new(stmt);
	sx_lock_stream(relations.definition->stream->relid);
	run((Node *) statement->dummy, context);
	CommandCounterIncrement();
	relations.visible = sx_define_existing(stmt->view);

	sx_relations_create(&relations, statement->query);
	sx_define_record(&relations, statement->text, options);
	CommandCounterIncrement();
	sx_retention_enter(relations.visible);
	sx_fold_enter(relations.visible);
	sx_attach_view(relations.visible, relations.definition->stream->relid,
				   sx_option_start(options));
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
	AclResult aclresult;

	if (stmt->view->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view cannot be temporary")));
	if (stmt->withCheckOption != NO_CHECK_OPTION)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view cannot have WITH CHECK OPTION"),
						errhint("Nothing can be inserted into it; leave the clause away.")));
	sx_define_check_plain_options(stmt->options);
	aclresult = pg_class_aclcheck(definition->stream->relid, GetUserId(), ACL_SELECT);
	if (aclresult != ACLCHECK_OK)
		aclcheck_error(aclresult, OBJECT_FOREIGN_TABLE, definition->stream->name);
}

/* An ordinary view has no state that could be kept. */
static void
check_new(const ViewStmt *stmt)
{
	if (stmt->replace && OidIsValid(sx_define_existing(stmt->view)))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is not a continuous view, so it cannot become one",
							   stmt->view->relname),
						errhint("Drop it first, then create the continuous view.")));
}

static RawStmt *
dummy_select(List *targetlist)
{
	StringInfoData sql;

	initStringInfo(&sql);
	sx_append_dummy_select(&sql, targetlist);
	return linitial(raw_parser(sql.data, RAW_PARSE_DEFAULT));
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

Datum
sx_define_interval(List *options, const char *name, bool *is_null)
{
	int64 us = sx_option_interval_us(options, name, -1);

	*is_null = us < 0;
	return sx_interval_const(Max(us, 0))->constvalue;
}

void
sx_define_record(const SxRelations *relations, const char *text, List *options)
{
	const SxDefinition *definition = relations->definition;
	const char *late_rows = sx_option_get(options, "late_rows");
	const char *start = sx_option_start(options);
	const char *start_option = sx_option_get(options, "start");
	Oid types[] = {OIDOID,		   TEXTOID,		OIDOID,		  OIDOID,			OIDOID,
				   OIDOID,		   OIDOID,		TEXTOID,	  INTERVALOID,		INTERVALOID,
				   TIMESTAMPTZOID, TEXTOID,		INTERVALOID,  TEXTOID,			TEXTOID,
				   INTERVALOID,	   INTERVALOID, TEXTARRAYOID, REGCLASSARRAYOID, REGCLASSARRAYOID,
				   OIDOID,		   OIDOID,		TEXTOID};
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
	values[12] = sx_define_interval(options, "allowed_lateness", &nulls[12]);
	nulls[12] = false;
	values[13] = CStringGetTextDatum(late_rows ? late_rows : "store");
	values[14] = CStringGetTextDatum(start ? start : "earliest");
	values[15] = sx_define_interval(options, "retention", &nulls[15]);
	values[16] = sx_define_interval(options, "refused_retention", &nulls[16]);
	values[17] = current_settings();
	values[18] = sx_relations_array(relations->inputs);
	values[19] = sx_relations_array(relations->input_views);
	values[20] = ObjectIdGetDatum(relations->trial);
	nulls[20] = !OidIsValid(relations->trial);
	values[21] = ObjectIdGetDatum(relations->finals);
	nulls[21] = !OidIsValid(relations->finals);
	values[22] = CStringGetTextDatum(start_option ? start_option : "");
	nulls[22] = start_option == NULL;
	sx_spi_begin(&spi);
	sx_spi_execute(
		"INSERT INTO streamx.views (view, definition, state, definition_view, delta_view,"
		" rows_view, windows, window_kind, window_size, window_step, window_origin,"
		" window_timezone, allowed_lateness, late_rows, start, retention, refused_retention,"
		" settings, inputs, input_views, trial_view, finals_view, start_option)"
		" VALUES ($1::pg_catalog.regclass, $2, $3::pg_catalog.regclass,"
		" $4::pg_catalog.regclass, $5::pg_catalog.regclass, $6::pg_catalog.regclass,"
		" $7::pg_catalog.regclass, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
		" $19, $20, $21::pg_catalog.regclass, $22::pg_catalog.regclass, $23)",
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

	/* where it is to be updated, the next change of an owner makes up for it */
	if (!sx_extension_is_current())
		return;
	sx_spi_begin(&spi);
	sx_spi_run(
		"DO LANGUAGE plpgsql $$"
		"DECLARE r record; g record; BEGIN "
		"FOR r IN SELECT u.relation, c.relowner, i.relacl, i.relowner AS internal_owner"
		"  FROM streamx.views v"
		"  JOIN pg_catalog.pg_class c ON c.oid = COALESCE(v.shadow_of, v.view),"
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
