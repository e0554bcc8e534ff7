/*
 * replace.c
 *	  CREATE OR REPLACE VIEW … WITH (streamx.continuous) over a continuous view.
 *
 *      what is stored is what it needs (fit.c)    options change, and what is shown of the states
 *      otherwise                                  a shadow (shadow.c) with the new definition, which takes the
 *                                                 view's place when it has caught up; meanwhile the view
 *                                                 shows what it showed, and NULL in new columns
 *
 * PostgreSQL's own CREATE OR REPLACE, of a dummy with the right columns, checks the owner and
 * the old columns, adds new ones, and leaves OID, privileges, comments and
 * dependents alone.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "batch/log.h"
#include "catalog/option.h"
#include "catalog/reader.h"
#include "catalog/spi.h"
#include "query/attach.h"
#include "query/copy.h"
#include "query/fit.h"
#include "query/fold.h"
#include "query/reach.h"
#include "query/relations.h"
#include "query/replace.h"
#include "query/retention.h"
#include "query/shadow.h"
#include "query/view.h"

/* A view, and what it is to be. */
typedef struct Replacement
{
	const SxView *view;
	SxStatement *statement;
	bool folds;		/* as the new options want it */
	SxReach *reach; /* of a Kafka topic, when all is to be computed anew */
	SxRunUtility run;
	void *context;
} Replacement;

static void check_owner(Oid view);
static void check_stream(const Replacement *replacement);
static void ask_topic(Replacement *replacement);
static void report_change(const char *view) pg_attribute_noreturn();
static void check_alone(const Replacement *replacement);
static void check_start(const Replacement *replacement);
static void keep(Replacement *replacement);
static void recompute(Replacement *replacement);
static void execute_about(const char *statement, Oid view, Oid other);

static void
report_change(const char *view)
{
	ereport(ERROR, (errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					errmsg("continuous view \"%s\" was changed by somebody else", view),
					errhint("Try again.")));
}

void
sx_replace_view(Oid relid, ViewStmt *stmt, const char *source, int location, int length,
				SxRunUtility run, void *context)
{
	SxStatement *statement = sx_define_read(stmt, source, location, length);
	Replacement replacement = {.statement = statement,
							   .folds = statement->definition->folds,
							   .run = run,
							   .context = context};

	check_owner(relid);
	replacement.view = sx_view_load(relid);
	check_stream(&replacement);
	ask_topic(&replacement);
	sx_lock_stream(statement->definition->stream->relid); /* lock first, then snapshot */
	LockRelationOid(relid, AccessExclusiveLock);
	/* PostgreSQL's own CREATE OR REPLACE goes by the name, which may be another view's by now */
	if (sx_define_existing(statement->name) != relid)
		report_change(statement->name->relname);
	PushActiveSnapshot(GetTransactionSnapshot());
	replacement.view = sx_view_load(relid);
	check_alone(&replacement);
	check_start(&replacement);
	if (sx_fit(statement->definition, replacement.view))
		keep(&replacement);
	else
		recompute(&replacement);
	CacheInvalidateRelcacheByRelid(relid);
	/* a worker learns of it when it gets the stream's lock, after COMMIT PREPARED too */
	CacheInvalidateRelcacheByRelid(statement->definition->stream->relid);
	PopActiveSnapshot();
	if (sx_views_changed)
		sx_views_changed();
}

/* ---- what may be ---- */

static void
check_owner(Oid view)
{
	if (!sx_owns_relation(view, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_VIEW, get_rel_name(view));
}

/*
 * A view that has begun does not begin elsewhere.  The same words are the same start, whatever
 * they would mean by now: a script may run again.
 */
static void
check_start(const Replacement *replacement)
{
	static const char *const statement = "SELECT FROM streamx.views WHERE view = $1 AND start <> $2"
										 " AND start_option IS DISTINCT FROM $3";
	static const Oid types[] = {OIDOID, TEXTOID, TEXTOID};
	const char *start_option = sx_option_get(replacement->statement->options, "start");
	Datum values[lengthof(types)] = {ObjectIdGetDatum(replacement->view->relid)};
	bool is_other;
	SxSpi spi;

	if (start_option == NULL)
		return;
	values[1] = CStringGetTextDatum(sx_option_start(replacement->statement->options));
	values[2] = CStringGetTextDatum(start_option);
	sx_spi_begin(&spi);
	is_other = sx_spi_execute(statement, lengthof(types), types, values, NULL, false) > 0;
	sx_spi_end(&spi);
	if (is_other)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("streamx.start of continuous view \"%s\" cannot change",
						replacement->view->name),
				 errdetail("It has begun to read."),
				 errhint("Leave the option away, or create another view that starts there.")));
}

/* Its positions are in that stream. */
static void
check_stream(const Replacement *replacement)
{
	const SxView *view = replacement->view;

	if (replacement->statement->definition->stream->relid != view->stream)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("continuous view \"%s\" cannot read another stream", view->name),
						errdetail("It reads \"%s\".", get_rel_name(view->stream)),
						errhint("Create another view, then drop this one and rename the other.")));
}

/* Before the lock, for asking the broker takes its time: whether what is stored will do. */
static void
ask_topic(Replacement *replacement)
{
	SxDefinition definition = *replacement->statement->definition;

	if (definition.stream->is_kafka && !sx_fit(&definition, replacement->view))
		replacement->reach = sx_reach_ask(replacement->view->relid, definition.stream);
}

static void
check_alone(const Replacement *replacement)
{
	const SxView *view = replacement->view;

	if (OidIsValid(sx_shadow_find(view->relid)))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("continuous view \"%s\" is being computed anew already", view->name),
						errhint("See streamx.stat_progress; streamx.cancel_rebuild ends it.")));
}

/* ---- what is stored stays ---- */

static bool
has_new(const Replacement *replacement, const char *option)
{
	return sx_option_get(replacement->statement->options, option) != NULL;
}

/* Late rows that were discarded are known to nobody. */
static bool
are_refusals_lost(const Replacement *replacement)
{
	const char *late_rows = sx_option_get(replacement->statement->options, "late_rows");
	const SxDefinition *definition = replacement->statement->definition;

	return !replacement->view->stores_late_rows &&
		   (late_rows == NULL || strcmp(late_rows, "store") == 0) &&
		   definition->window.kind != SX_WINDOW_GLOBAL && definition->stream->event_time != 0;
}

/*
 * Windows that are sealed stay so when allowed_lateness grows: the bound is kept.
 * The positions are locked, so that at REPEATABLE READ an old watermark is an error.
 */
static void
change_catalog(const Replacement *replacement)
{
	static const char *const statement =
		"WITH p AS MATERIALIZED (SELECT p.watermark FROM streamx.progress AS p"
		"  JOIN streamx.view_streams AS s ON s.reader = p.reader WHERE s.view = $1"
		"  FOR NO KEY UPDATE OF p) "
		"UPDATE streamx.views AS v SET definition = $2, allowed_lateness = $3,"
		" late_rows = $4, retention = $5, refused_retention = $6,"
		" sealed_through = CASE WHEN v.allowed_lateness = $3 THEN v.sealed_through"
		"  ELSE GREATEST(v.sealed_through, (SELECT max(p.watermark) FROM p) - v.allowed_lateness)"
		" END WHERE v.view = $1";
	static const Oid types[] = {REGCLASSOID, TEXTOID,	  INTERVALOID,
								TEXTOID,	 INTERVALOID, INTERVALOID};
	const SxStatement *new = replacement->statement;
	Oid relid = replacement->view->relid;
	const char *late_rows = sx_option_get(new->options, "late_rows");
	bool nulls[lengthof(types)] = {false};
	Datum values[lengthof(types)] = {ObjectIdGetDatum(relid), CStringGetTextDatum(new->text)};
	SxSpi spi;

	values[2] = sx_define_interval(new->options, "allowed_lateness", &nulls[2]);
	nulls[2] = false;
	values[3] = CStringGetTextDatum(late_rows ? late_rows : "store");
	values[4] = sx_define_interval(new->options, "retention", &nulls[4]);
	values[5] = sx_define_interval(new->options, "refused_retention", &nulls[5]);
	sx_spi_begin(&spi);
	sx_spi_execute(statement, lengthof(types), types, values, nulls, false);
	sx_spi_end(&spi);
	CommandCounterIncrement();
	sx_retention_replace(relid, are_refusals_lost(replacement));
	sx_fold_replace(relid, replacement->folds);
}

/* What is stored is shown in another way, and the definition is another one. */
static void
keep(Replacement *replacement)
{
	const SxView *view = replacement->view;
	SxStatement *statement = replacement->statement;
	SxRelations relations = {.definition = statement->definition,
							 .visible = view->relid,
							 .state = view->state,
							 .definition_view = view->definition,
							 .windows = view->windows,
							 .inputs = sx_view_input_tables(view)};

	if (!has_new(replacement, "retention"))
		sx_retention_finish(view);
	/* windows that were removed stay so */
	relations.has_retention = has_new(replacement, "retention") ||
							  sx_retention_removed_through(view->relid) != DT_NOBEGIN;
	replacement->run((Node *) statement->dummy, replacement->context);
	CommandCounterIncrement();
	change_catalog(replacement);
	sx_relations_redefine(&relations, statement->query);
	execute_about("UPDATE streamx.views SET definition_view = $2 WHERE view = $1", view->relid,
				  relations.definition_view);
}

/* ---- all is computed anew ---- */

static void
check_source(const Replacement *replacement)
{
	const SxStream *stream = replacement->statement->definition->stream;

	if (!stream->is_kafka && !OidIsValid(sx_log_find(stream->relid)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace continuous view \"%s\" by this definition",
						replacement->view->name),
				 errdetail("Its rows, keys, windows or aggregates are others, so all would be "
						   "computed anew, but stream \"%s\" does not keep its rows.",
						   stream->name),
				 errhint("Create another view beside it, or create the stream with OPTIONS (retain "
						 "'on').")));
}

/* A view that lost its beginning would be another one. */
static void
check_reach(const Replacement *replacement, Oid shadow)
{
	const SxReader *reader = sx_reader_of_view(shadow);
	const char *missing;

	if (replacement->reach == NULL)
		report_change(replacement->view->name);
	missing = sx_reach_missing(replacement->reach, reader);
	if (missing)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace continuous view \"%s\" by this definition",
						replacement->view->name),
				 errdetail("All would be computed anew, but Kafka topic \"%s\" does not reach back "
						   "to where the view began: %s",
						   reader->topic, missing),
				 errhint("Create another view beside it, which begins with what is there.")));
}

/* Let PostgreSQL replace the view by the dummy, then show what it showed, and NULL in new columns. */
static void
widen(const Replacement *replacement)
{
	Oid relid = replacement->view->relid;
	Query *query = sx_copy_stored_query(relid, &(SxSubstitution){NIL, NIL});
	List *columns = NIL;
	List *junk = NIL;
	ListCell *lc;
	SxSpi spi;

	replacement->run((Node *) replacement->statement->dummy, replacement->context);
	CommandCounterIncrement();
	foreach (lc, query->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resjunk)
			junk = lappend(junk, entry);
		else
			columns = lappend(columns, entry);
	}
	for (int number = list_length(columns) + 1; get_attname(relid, number, true) != NULL; number++)
	{
		Oid type;
		int32 typmod;
		Oid collation;

		get_atttypetypmodcoll(relid, number, &type, &typmod, &collation);
		columns = lappend(columns, makeTargetEntry((Expr *) makeNullConst(type, typmod, collation),
												   number, NULL, false));
	}
	query->targetList = list_concat(columns, junk);
	foreach (lc, query->targetList)
		lfirst_node(TargetEntry, lc)->resno = foreach_current_index(lc) + 1;
	sx_spi_begin(&spi);
	sx_copy_store_query(relid, query);
	sx_spi_end(&spi);
}

/* What the view refused as late holds for the new definition. */
static bool
can_reuse(const Replacement *replacement)
{
	const SxView *view = replacement->view;

	return sx_option_interval_us(replacement->statement->options, "allowed_lateness", 0) ==
			   view->allowed_lateness_us &&
		   view->stores_late_rows && !sx_retention_has_removed_refusals(view->relid) &&
		   sx_fit_rows(replacement->statement->definition, view);
}

/* A shadow with the new definition, empty. */
static Oid
make_shadow(const Replacement *replacement)
{
	const SxStatement *statement = replacement->statement;
	Oid view = replacement->view->relid;
	bool reuses = can_reuse(replacement);
	/* windows that were removed stay so, but when all rows are judged anew */
	SxRelations relations = {.definition = statement->definition,
							 .shadow_of = view,
							 .visible =
								 sx_shadow_create_visible(view, statement->query->targetList),
							 .has_retention = has_new(replacement, "retention") ||
											  (reuses && replacement->view->removes_windows)};

	sx_relations_create(&relations, statement->query);
	sx_define_record(&relations, statement->text, statement->options);
	CommandCounterIncrement();
	execute_about("UPDATE streamx.views AS s SET shadow_of = $1, start = v.start,"
				  " sealed_through = v.sealed_through FROM streamx.views AS v"
				  " WHERE s.view = $2 AND v.view = $1",
				  view, relations.visible);
	if (!reuses)
		execute_about("UPDATE streamx.views SET rejudge = true, sealed_through = '-infinity'"
					  " WHERE view = $2 AND shadow_of = $1",
					  view, relations.visible);
	sx_retention_enter(relations.visible);
	if (relations.has_retention)
		execute_about("INSERT INTO streamx_internal.removal (view, state)"
					  " SELECT v.view, v.state FROM streamx.views AS v"
					  " WHERE v.view = $2 AND v.shadow_of = $1 ON CONFLICT (view) DO NOTHING",
					  view, relations.visible);
	sx_fold_enter(relations.visible);
	CacheInvalidateRelcacheByRelid(relations.visible);
	CommandCounterIncrement();
	return relations.visible;
}

static void
recompute(Replacement *replacement)
{
	Oid view = replacement->view->relid;
	bool is_kafka = replacement->statement->definition->stream->is_kafka;
	Oid shadow;

	sx_attach_check_positions(replacement->view->stream);
	check_source(replacement);
	widen(replacement);
	shadow = make_shadow(replacement);
	if (!is_kafka)
		sx_attach_mark_change(sx_reader_of_view(view)->id);
	sx_shadow_attach(view, shadow);
	if (is_kafka)
		check_reach(replacement, shadow);
	if (!is_kafka)
		sx_shadow_catch_up(view, shadow);
	else
		ereport(NOTICE,
				(errmsg("continuous view \"%s\" is being computed anew", get_rel_name(view)),
				 errdetail("Until its new definition has caught up it shows what it showed, and "
						   "NULL in new columns."),
				 errhint("See streamx.stat_progress; streamx.cancel_rebuild gives it up.")));
}

static void
execute_about(const char *statement, Oid view, Oid other)
{
	static const Oid types[] = {REGCLASSOID, REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view), ObjectIdGetDatum(other)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(statement, lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
	CommandCounterIncrement();
}
