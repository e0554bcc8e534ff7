/*
 * hook.c
 *	  Where the engine hangs in the server: planner, executor, utility
 *	  statements, drops.
 *
 *      planner        partial(aggregate) becomes the partial aggregate itself
 *      ExecutorStart  rows that this transaction inserted are merged before it reads
 *      utility        CREATE VIEW with our options; streams checked when made or altered
 *      drop           the catalog forgets what is dropped
 *
 * Every hook returns at once for what is not ours.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "foreign/foreign.h"
#include "jit/jit.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "batch/insert.h"
#include "catalog/forget.h"
#include "catalog/process_memory.h"
#include "catalog/spi.h"
#include "catalog/stream.h"
#include "query/adopt.h"
#include "query/attach.h"
#include "query/define.h"
#include "query/family.h"
#include "query/hook.h"
#include "query/partial.h"
#include "query/replace.h"
#include "query/run.h"
#include "query/sql.h"
#include "query/view.h"

static planner_hook_type next_planner = NULL;
static ExecutorStart_hook_type next_executor_start = NULL;
static ProcessUtility_hook_type next_utility = NULL;
static object_access_hook_type next_object_access = NULL;

/* ---- planner ---- */

static PlannedStmt *
plan_query(Query *parse, const char *source, int cursor_options, ParamListInfo params)
{
	Oid stream = sx_run_take_mark(parse);
	Size caches = sx_process_memory_caches();
	PlannedStmt *plan;

	if (OidIsValid(stream))
		sx_family_merge(parse);
	plan = next_planner ? next_planner(parse, source, cursor_options, params)
						: standard_planner(parse, source, cursor_options, params);
	sx_process_memory_planned(caches);
	if (OidIsValid(stream))
	{
		sx_partial_rewrite(plan);
		plan->jitFlags = PGJIT_NONE; /* estimates are made up, and batches small */
		/* no scan at all: conditions that the planner knows no row can meet */
		if (sx_scan_mark(plan, stream) > 1)
			elog(ERROR, "a plan for a micro-batch scans its stream more than once");
	}
	return plan;
}

/* ---- executor ---- */

/*
 * A visible view is simple enough to be updatable, and a superuser who owns it
 * would change the state through it.
 */
static void
refuse_changes(const PlannedStmt *plan)
{
	Oid internal = get_namespace_oid("streamx_internal", true);
	bool is_state = false;
	ListCell *lc;

	foreach (lc, plan->resultRelations)
		is_state |= get_rel_namespace(rt_fetch(lfirst_int(lc), plan->rtable)->relid) == internal;
	if (!is_state)
		return;
	foreach (lc, plan->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);

		if (rte->relkind == RELKIND_VIEW && sx_view_is(rte->relid))
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("the rows of continuous view \"%s\" cannot be changed",
								   get_rel_name(rte->relid)),
							errdetail("They are computed from the rows of its stream.")));
	}
}

/* Whether a plan reads what rows of this transaction may still have to get into. */
static bool
reads_streamx(const PlannedStmt *plan)
{
	Oid internal = get_namespace_oid("streamx_internal", true);
	ListCell *lc;

	foreach (lc, plan->rtable)
	{
		const RangeTblEntry *rte = lfirst(lc);
		Oid schema;

		if (rte->rtekind != RTE_RELATION ||
			list_member_int(plan->resultRelations, foreach_current_index(lc) + 1))
			continue;
		schema = get_rel_namespace(rte->relid);
		if (schema == internal || schema == sx_schema_oid())
			return true;
		if (rte->relkind == RELKIND_FOREIGN_TABLE && sx_stream_is(rte->relid))
			return true;
	}
	return false;
}

static void
start_executor(QueryDesc *desc, int eflags)
{
	if (desc->plannedstmt->resultRelations != NIL)
		refuse_changes(desc->plannedstmt);
	if (sx_insert_is_pending() && !sx_spi_is_looking_up() && !(eflags & EXEC_FLAG_EXPLAIN_ONLY) &&
		desc->snapshot &&
		(reads_streamx(desc->plannedstmt) || desc->plannedstmt->parallelModeNeeded))
	{
		Snapshot old = desc->snapshot;

		sx_insert_flush();
		CommandCounterIncrement();
		/* a copy: at REPEATABLE READ later commands would move the transaction's own */
		PushCopiedSnapshot(GetTransactionSnapshot());
		UpdateActiveSnapshotCommandId();
		desc->snapshot = RegisterSnapshot(GetActiveSnapshot());
		PopActiveSnapshot();
		UnregisterSnapshot(old);
	}
	if (next_executor_start)
		next_executor_start(desc, eflags);
	else
		standard_ExecutorStart(desc, eflags);
}

/* ---- utility statements ---- */

typedef struct UtilityCall
{
	PlannedStmt *pstmt;
	const char *source;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} UtilityCall;

static void
run_next(UtilityCall *call, PlannedStmt *pstmt, bool read_only_tree)
{
	ProcessUtility_hook_type run = next_utility ? next_utility : standard_ProcessUtility;

	run(pstmt, call->source, read_only_tree, call->context, call->params, call->environment,
		call->dest, call->completion);
}

/* For sx_define_view: the CREATE VIEW of the dummy, the ordinary way. */
static void
run_statement(Node *statement, void *context)
{
	UtilityCall *call = context;
	PlannedStmt *pstmt = copyObject(call->pstmt);

	pstmt->utilityStmt = statement;
	run_next(call, pstmt, false);
}

/* A stream was made or altered: check it, and enter it into the catalog. */
static void
check_stream(const RangeVar *name)
{
	Oid relid = RangeVarGetRelid(name, NoLock, true);

	if (!OidIsValid(relid) || get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE ||
		!sx_stream_is(relid))
		return;
	CommandCounterIncrement();
	sx_stream_check(relid);
	/* a dump brings the catalog's rows itself */
	if (!sx_adopt_is_restoring())
		sx_attach_enter(relid);
	CacheInvalidateRelcacheByRelid(relid);
	if (sx_views_changed)
		sx_views_changed();
}

static void
refuse_materialized(const CreateTableAsStmt *stmt)
{
	if (stmt->objtype == OBJECT_MATVIEW && stmt->into && sx_define_is_wanted(stmt->into->options))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view is not a materialized view"),
						errhint("Write CREATE VIEW %s WITH (streamx.continuous) AS ….",
								stmt->into->rel->relname)));
}

/* The column that a stream's option event_time names; 0: no option, -1: no such column any more. */
static int
event_time_of(Oid relid)
{
	const char *name = sx_option_get(GetForeignTable(relid)->options, "event_time");
	AttrNumber attnum = name ? get_attnum(relid, name) : 0;

	return name && attnum == InvalidAttrNumber ? -1 : attnum;
}

/* The stream that a statement alters, or InvalidOid. */
static Oid
altered_stream(const AlterTableStmt *stmt)
{
	Oid relid = RangeVarGetRelid(stmt->relation, NoLock, true);

	return OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE &&
				   sx_stream_is(relid)
			   ? relid
			   : InvalidOid;
}

/* Whether views, or views with windows, read a stream. */
static bool
has_views(Oid relid, bool with_windows)
{
	Oid types[] = {OIDOID, BOOLOID};
	Datum values[] = {ObjectIdGetDatum(relid), BoolGetDatum(with_windows)};
	bool found;
	SxSpi spi;

	sx_spi_begin(&spi);
	found = sx_spi_look_up("SELECT FROM streamx.views v JOIN streamx.view_streams s USING (view)"
						   " WHERE s.stream = $1 AND (v.window_kind <> 'global' OR NOT $2)",
						   2, types, values) > 0;
	sx_spi_end(&spi);
	return found;
}

/* The windows of a view are those of the event time that the stream had. */
static void
check_event_time(Oid relid, int before)
{
	if (before == -1 || event_time_of(relid) == before)
		return;
	if (has_views(relid, true))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot change event_time of stream \"%s\"", get_rel_name(relid)),
						errdetail("Continuous views with windows read it."),
						errhint("Drop these views first, or make another stream.")));
}

/* Offsets that views have read to say nothing of another topic. */
static void
check_topic(Oid relid)
{
	const char *topic = sx_option_get(GetForeignTable(relid)->options, "topic");
	Oid types[] = {OIDOID, TEXTOID};
	Datum values[] = {ObjectIdGetDatum(relid), CStringGetTextDatum(topic ? topic : "")};
	bool is_other;
	SxSpi spi;

	sx_spi_begin(&spi);
	is_other = sx_spi_look_up("SELECT FROM streamx.readers WHERE stream = $1 AND topic <> $2", 2,
							  types, values) > 0;
	sx_spi_end(&spi);
	if (is_other)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot change topic of stream \"%s\"", get_rel_name(relid)),
						errdetail("Continuous views have read the one that it has."),
						errhint("Drop these views first, or make another stream.")));
}

/* A server has brokers or has none, as the streams on it need. */
static void
check_server(const AlterForeignServerStmt *stmt)
{
	ForeignServer *server = GetForeignServerByName(stmt->servername, false);
	Oid type = OIDOID;
	Datum value = ObjectIdGetDatum(server->serverid);
	List *streams;
	ListCell *lc;

	CommandCounterIncrement();
	streams = sx_spi_list_oids("SELECT f.ftrelid FROM pg_catalog.pg_foreign_table f"
							   " JOIN streamx.streams s ON s.stream = f.ftrelid"
							   " WHERE f.ftserver = $1",
							   1, &type, &value);
	foreach (lc, streams)
		sx_stream_check(lfirst_oid(lc));
}

/* What the views of a stream hold was read by these options: no message is read again by others. */
static void
check_fixed_options(Oid relid, List *before)
{
	static const char *const names[] = {"root", "filter"};
	List *options = GetForeignTable(relid)->options;

	for (int i = 0; i < lengthof(names); i++)
	{
		const char *old = sx_option_get(before, names[i]);
		const char *new = sx_option_get(options, names[i]);

		if ((old == NULL) == (new == NULL) && (old == NULL || strcmp(old, new) == 0))
			continue;
		if (has_views(relid, false))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot change %s of stream \"%s\"", names[i], get_rel_name(relid)),
					 errdetail("Continuous views hold what they read by it."),
					 errhint("Drop these views first, or make another stream.")));
	}
}

/* A name as option field has it, where a backslash makes the next character an ordinary one. */
static char *
field_of_name(const char *name)
{
	StringInfoData field;

	initStringInfo(&field);
	for (; *name; name++)
	{
		if (*name == '\\')
			appendStringInfoChar(&field, '\\');
		appendStringInfoChar(&field, *name);
	}
	return field.data;
}

/*
 * ALTER ... RENAME COLUMN: options name columns, which PostgreSQL does not know
 * of.  event_time gets the new name; a column of a Kafka stream keeps its field,
 * which is the old name unless an option says otherwise.
 */
static void
follow_rename(Oid relid, const char *old_name, const char *new_name)
{
	const char *stream = sx_sql_name(relid);
	ForeignTable *table = GetForeignTable(relid);
	const char *event_time = sx_option_get(table->options, "event_time");
	SxSpi spi;

	sx_spi_begin(&spi);
	if (event_time && strcmp(event_time, old_name) == 0)
		sx_spi_run(psprintf("ALTER FOREIGN TABLE %s OPTIONS (SET event_time %s)", stream,
							quote_literal_cstr(new_name)));
	CommandCounterIncrement();
	if (sx_stream_open(relid)->is_kafka && strchr(old_name, '.') == NULL &&
		GetForeignColumnOptions(relid, get_attnum(relid, new_name)) == NIL)
		sx_spi_run(psprintf("ALTER FOREIGN TABLE %s ALTER COLUMN %s OPTIONS (ADD field %s)", stream,
							quote_identifier(new_name),
							quote_literal_cstr(field_of_name(old_name))));
	sx_spi_end(&spi);
}

/* The stream that a statement renames a column of, or InvalidOid. */
static Oid
renamed_stream(const RenameStmt *stmt)
{
	Oid relid;

	if (stmt->renameType != OBJECT_COLUMN || stmt->relation == NULL)
		return InvalidOid;
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	return OidIsValid(relid) && sx_stream_is(relid) ? relid : InvalidOid;
}

/* CREATE [OR REPLACE] VIEW: false, when it is an ordinary one. */
static bool
define_view(ViewStmt *stmt, UtilityCall *call)
{
	Oid old = stmt->replace ? sx_define_existing(stmt->view) : InvalidOid;
	bool is_ours = OidIsValid(old) && sx_view_is(old);
	int location = call->pstmt->stmt_location;
	int length = call->pstmt->stmt_len;

	if (sx_define_is_wanted(stmt->options) && is_ours)
		sx_replace_view(old, copyObject(stmt), call->source, location, length, run_statement, call);
	else if (sx_define_is_wanted(stmt->options))
		sx_define_view(copyObject(stmt), call->source, location, length, run_statement, call);
	else if (is_ours && !sx_adopt_is_restoring()) /* a dump makes views in two steps */
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("continuous view \"%s\" cannot become an ordinary view",
							   stmt->view->relname),
						errdetail("Its state would be left without its view."),
						errhint("Write WITH (streamx.continuous) to change its definition, or drop "
								"it first.")));
	else
		return false;
	return true;
}

/* A view's query is its rule of SELECT. */
static void
refuse_rule(const RuleStmt *stmt)
{
	Oid relid =
		stmt->event == CMD_SELECT ? RangeVarGetRelid(stmt->relation, NoLock, true) : InvalidOid;

	if (OidIsValid(relid) && sx_view_is(relid) && !sx_adopt_is_restoring())
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("the query of continuous view \"%s\" cannot be replaced by a rule",
							   get_rel_name(relid)),
						errhint("Use CREATE OR REPLACE VIEW … WITH (streamx.continuous).")));
}

/* Options that CREATE refuses cannot come by ALTER. */
static void
refuse_view_options(const AlterTableStmt *stmt)
{
	Oid relid =
		stmt->objtype == OBJECT_VIEW ? RangeVarGetRelid(stmt->relation, NoLock, true) : InvalidOid;
	ListCell *lc;

	if (!OidIsValid(relid) || !sx_view_is(relid))
		return;
	foreach (lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst(lc);

		if (cmd->subtype == AT_SetRelOptions || cmd->subtype == AT_ReplaceRelOptions)
			sx_define_check_plain_options((List *) cmd->def);
	}
}

static bool
changes_owner(const AlterTableStmt *stmt)
{
	ListCell *lc;

	foreach (lc, stmt->cmds)
	{
		if (((AlterTableCmd *) lfirst(lc))->subtype == AT_ChangeOwner)
			return true;
	}
	return false;
}

static void
process_utility(PlannedStmt *pstmt, const char *source, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params, QueryEnvironment *environment,
				DestReceiver *dest, QueryCompletion *completion)
{
	Node *stmt = pstmt->utilityStmt;
	NodeTag tag = nodeTag(stmt); /* the statement may be gone after it ran */
	UtilityCall call = {pstmt, source, context, params, environment, dest, completion};
	Oid altered = InvalidOid; /* the stream that the statement is about */
	int event_time = 0;
	List *options = NIL;

	/* rows that wait fit the definitions as they are now, and precede what is made now */
	if (sx_insert_is_pending() && GetCommandLogLevel(stmt) == LOGSTMT_DDL)
		sx_insert_flush();
	switch (tag)
	{
		case T_ViewStmt:
			if (define_view((ViewStmt *) stmt, &call))
				return;
			break;
		case T_RuleStmt:
			refuse_rule((RuleStmt *) stmt);
			break;
		case T_CreateTableAsStmt:
			refuse_materialized((CreateTableAsStmt *) stmt);
			break;
		case T_AlterTableStmt:
			refuse_view_options((AlterTableStmt *) stmt);
			altered = altered_stream((AlterTableStmt *) stmt);
			if (OidIsValid(altered))
			{
				event_time = event_time_of(altered);
				options = GetForeignTable(altered)->options;
			}
			break;
		case T_RenameStmt:
			altered = renamed_stream((RenameStmt *) stmt);
			break;
		case T_DropStmt:
			if (sx_adopt_is_restoring())
				sx_adopt_release((DropStmt *) stmt);
			else if (context != PROCESS_UTILITY_SUBCOMMAND)
				sx_adopt_orphans();
			break;
		case T_DropOwnedStmt:
			sx_adopt_orphans();
			break;
		default:
			break;
	}
	run_next(&call, pstmt, read_only_tree);
	if (creating_extension)
		return;

	switch (tag)
	{
		case T_CreateForeignTableStmt:
			check_stream(((CreateForeignTableStmt *) stmt)->base.relation);
			break;
		case T_AlterTableStmt:
			check_stream(((AlterTableStmt *) stmt)->relation);
			if (OidIsValid(altered))
			{
				check_event_time(altered, event_time);
				check_topic(altered);
				check_fixed_options(altered, options);
			}
			if (changes_owner((AlterTableStmt *) stmt))
				sx_define_sync_owners();
			break;
		case T_AlterForeignServerStmt:
			if (sx_extension_exists())
				check_server((AlterForeignServerStmt *) stmt);
			break;
		case T_RenameStmt:
			if (OidIsValid(altered))
				follow_rename(altered, ((RenameStmt *) stmt)->subname,
							  ((RenameStmt *) stmt)->newname);
			break;
		case T_AlterExtensionStmt:
			sx_extension_changed();
			break;
		case T_AlterOwnerStmt:
		case T_ReassignOwnedStmt:
			sx_define_sync_owners();
			break;
		default:
			break;
	}
}

/* ---- drops ---- */

static void
object_access(ObjectAccessType access, Oid classid, Oid objid, int subid, void *arg)
{
	if (next_object_access)
		next_object_access(access, classid, objid, subid, arg);
	if (access != OAT_DROP || classid != RelationRelationId || subid != 0 || !sx_extension_exists())
		return;
	switch (get_rel_relkind(objid))
	{
		case RELKIND_VIEW:
			sx_catalog_forget_view(objid);
			break;
		case RELKIND_FOREIGN_TABLE:
			sx_catalog_forget_stream(objid);
			break;
		default:
			return;
	}
	if (sx_views_changed)
		sx_views_changed();
}

void
sx_hook_init(void)
{
	next_planner = planner_hook;
	planner_hook = plan_query;
	next_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = start_executor;
	next_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	next_object_access = object_access_hook;
	object_access_hook = object_access;
}
