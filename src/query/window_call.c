/*
 * window_call.c
 *	  tumble(), hop(), cumulate() and session() in a continuous view's query.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "query/window_call.h"

/* Where a window function has its constants; -1: it has none such. */
typedef struct WindowFunction
{
	const char *name;
	SxWindowKind kind;
	int step;
	int origin;
	int timezone;
} WindowFunction;

static const WindowFunction functions[] = {
	{"tumble", SX_WINDOW_TUMBLE, -1, 2, 3},
	{"hop", SX_WINDOW_HOP, 2, 3, 4},
	{"cumulate", SX_WINDOW_CUMULATE, 2, 3, 4},
	{"session", SX_WINDOW_SESSION, -1, -1, -1},
};

#define TIME_ARGUMENT 0
#define SIZE_ARGUMENT 1

/* The function, wherever the extension lives; NULL: none of ours. */
static const WindowFunction *
find_function(Node *node)
{
	char *name;

	if (node == NULL || !IsA(node, FuncExpr))
		return NULL;
	name = get_func_name(((FuncExpr *) node)->funcid);
	for (int i = 0; name && i < lengthof(functions); i++)
	{
		if (strcmp(name, functions[i].name) == 0)
			return getExtensionOfObject(ProcedureRelationId, ((FuncExpr *) node)->funcid) ==
						   get_extension_oid("streamx", true)
					   ? &functions[i]
					   : NULL;
	}
	return NULL;
}

bool
sx_window_call_is(Node *node)
{
	return find_function(node) != NULL;
}

static bool
find_call(Node *node, Node **found)
{
	if (node == NULL)
		return false;
	if (sx_window_call_is(node))
	{
		*found = node;
		return true;
	}
	return expression_tree_walker(node, find_call, (void *) found);
}

Node *
sx_window_call_find(Node *node)
{
	Node *found = NULL;

	(void) find_call(node, &found);
	return found;
}

static void
refuse(ParseState *pstate, const Node *at, const char *message, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("%s", message),
					errhint("%s", hint), parser_errposition(pstate, exprLocation(at))));
}

/* The arguments of a call: named ones in place, defaults filled in, constants computed. */
static List *
simple_arguments(FuncExpr *call)
{
	HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	List *args;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	args = expand_function_arguments(copyObject(call->args), false, call->funcresulttype, tuple);
	ReleaseSysCache(tuple);
	return (List *) eval_const_expressions(NULL, (Node *) args);
}

/* A constant argument; NULL: the function has none such. */
static Const *
constant_argument(ParseState *pstate, List *args, int index, bool may_be_null)
{
	Node *arg = index < 0 ? NULL : list_nth(args, index);

	if (arg && (!IsA(arg, Const) || (((Const *) arg)->constisnull && !may_be_null)))
		refuse(pstate, arg, "size and alignment of a window must be constants",
			   "Give a literal, for example tumble(ts, '5 minutes').");
	return (Const *) arg;
}

static Var *
time_argument(ParseState *pstate, const SxDefinition *definition, const SxGroupKey *key, List *args)
{
	const SxStream *stream = definition->stream;
	Var *time = list_nth(args, TIME_ARGUMENT);

	if (!IsA(time, Var) || time->varno != definition->stream_rti || time->varlevelsup != 0)
		refuse(pstate, (Node *) key->expr, "the time of a window must be a column of the stream",
			   "Declare the column with the type and path that you need.");
	if (stream->event_time != 0 && time->varattno != stream->event_time)
		refuse(pstate, (Node *) time,
			   psprintf("the time of a window must be the stream's event_time column \"%s\"",
						stream->columns[stream->event_time - 1].name),
			   "Use that column, or a stream without option event_time.");
	return time;
}

static const Interval *
interval_value(const Const *constant)
{
	return constant ? DatumGetIntervalP(constant->constvalue) : NULL;
}

static void
warn_of_gaps(const SxWindow *window)
{
	if (sx_window_has_gaps(window))
		ereport(WARNING,
				(errmsg("windows of hop leave gaps: their slide can be longer than their size"),
				 errdetail("Rows between two windows are in none, and only counted in"
						   " streamx.stat_views.")));
}

void
sx_window_call_analyze(ParseState *pstate, SxDefinition *definition, SxGroupKey *key)
{
	const WindowFunction *function = find_function((Node *) key->expr);
	List *args = simple_arguments((FuncExpr *) key->expr);
	ParseCallbackState errors;
	TimestampTz origin = 0;

	definition->window_key = key;
	definition->window_time = time_argument(pstate, definition, key, args);
	definition->window_size = constant_argument(pstate, args, SIZE_ARGUMENT, false);
	definition->window_step = constant_argument(pstate, args, function->step, false);
	definition->window_origin = constant_argument(pstate, args, function->origin, true);
	definition->window_timezone = constant_argument(pstate, args, function->timezone, false);
	if (definition->window_origin && definition->window_origin->constisnull)
		definition->window_origin = NULL;
	if (definition->window_origin)
		origin = DatumGetTimestampTz(definition->window_origin->constvalue);

	setup_parser_errposition_callback(&errors, pstate, exprLocation((Node *) key->expr));
	sx_window_make(
		function->kind, interval_value(definition->window_size),
		interval_value(definition->window_step), definition->window_origin ? &origin : NULL,
		definition->window_timezone ? TextDatumGetCString(definition->window_timezone->constvalue)
									: NULL,
		&definition->window);
	cancel_parser_errposition_callback(&errors);
	if (definition->window.zone && definition->window_time->vartype != TIMESTAMPTZOID)
		refuse(pstate, (Node *) key->expr,
			   psprintf("a window in a time zone needs a time of type %s, not %s",
						format_type_be(TIMESTAMPTZOID),
						format_type_be(definition->window_time->vartype)),
			   "Leave timezone away: the windows are those of the clock as the column reads.");
	warn_of_gaps(&definition->window);
}
