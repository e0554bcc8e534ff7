/*
 * fold.c
 *	  Fold the inputs of sealed windows into the final values of their aggregates.
 *
 *      open, or not folded yet     folded = NULL     computed from inputs by who reads the view
 *      sealed                      folded = true     f1 … fn; input_groups = {}, inputs are deleted
 *      sealed, but it failed       folded = false    as if open
 *
 * A tumbling window or session that is sealed takes no row any more, so its
 * results are final.  A pass over the state (pass.c) computes them once, as the
 * view's owner, and lets go of the inputs.  It goes by an index of the rows that
 * are not folded: of one window there may be more than a step can do, and of
 * sessions those that stay open are few.
 *
 * What an aggregate makes of a group may fail, and is then an error for whoever
 * reads it, not for the stream: a step runs in a subtransaction.  When that
 * fails, the row at hand is marked, to be left alone from then on, and the step
 * begins anew.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "nodes/params.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/debug_point.h"
#include "catalog/option.h"
#include "catalog/spi.h"
#include "query/fold.h"
#include "query/pass.h"
#include "query/run.h"
#include "query/sql.h"
#include "query/state.h"
#include "query/subtransaction.h"
#include "query/time_limit.h"

/* So many rows may fail in a step. */
#define MAX_FAILURES 16

/* A step, tried. */
typedef struct Attempt
{
	const SxView *view;
	SxPass *pass;
	int64 limit;
	TimestampTz removed_through;
	SxState *state;
	bool has_row;
	SxStateRow row; /* the one at hand */
	MemoryContext row_context;
} Attempt;

/* Takes the values of one row. */
typedef struct ValuesReceiver
{
	DestReceiver dest; /* must be first */
	MemoryContext context;
	int count;
	TupleTableSlot *values;
} ValuesReceiver;

static bool can_be_stored(const SxDefinition *definition);
static void begin_pass(const SxView *view, SxPass *pass, TimestampTz bound);
static void fold_some(Attempt *attempt);
static bool try_step(void *argument);
static bool take_row(SxPassStep *step, TupleTableSlot *row, void *context);
static void fold_row(Attempt *attempt);
static TupleTableSlot *compute(const SxView *view, const SxStateRow *row);
static bool is_ours(const Attempt *attempt, int sqlstate);
static void give_up_view(const SxView *view);
static void give_up_row(const Attempt *attempt, const ErrorData *error);
static bool load_pass(Oid view, SxPass *pass);
static void save_pass(Oid view, const SxPass *pass);

static const SxPassKind folding = {.is_partial = true, .take = take_row};

/* ---- CREATE VIEW ---- */

bool
sx_fold_is_wanted(List *options, const SxDefinition *definition)
{
	SxWindowKind kind = definition->window.kind;

	return definition->input_sets != NIL && definition->stream->event_time != 0 &&
		   (kind == SX_WINDOW_TUMBLE || kind == SX_WINDOW_SESSION) && can_be_stored(definition) &&
		   !sx_option_bool(options, "retain_inputs", false);
}

/* No column holds a record. */
static bool
can_be_stored(const SxDefinition *definition)
{
	ListCell *lc;

	foreach (lc, definition->finals)
	{
		if (get_typtype(lfirst_node(Aggref, lc)->aggtype) == TYPTYPE_PSEUDO)
			return false;
	}
	return true;
}

void
sx_fold_enter(Oid view)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute("INSERT INTO streamx_internal.folding (view) SELECT v.view "
				   "FROM streamx.views AS v WHERE v.view = $1 AND v.finals_view IS NOT NULL",
				   1, types, values, NULL, false);
	sx_spi_end(&spi);
}

void
sx_fold_replace(Oid view, bool folds)
{
	static const Oid types[] = {REGCLASSOID, BOOLOID};
	static const char *const statements[] = {
		"DELETE FROM streamx_internal.folding WHERE view = $1 AND NOT $2",
		"INSERT INTO streamx_internal.folding (view) SELECT v.view "
		"FROM streamx.views AS v WHERE v.view = $1 AND v.finals_view IS NOT NULL AND $2 "
		"ON CONFLICT (view) DO NOTHING"};
	Datum values[] = {ObjectIdGetDatum(view), BoolGetDatum(folds)};
	SxSpi spi;

	sx_spi_begin(&spi);
	for (int i = 0; i < lengthof(statements); i++)
		sx_spi_execute(statements[i], lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

/* ---- steps ---- */

void
sx_fold_apply(const SxView *view, int64 watermark, TimestampTz removed_through, int64 limit)
{
	TimestampTz bound = sx_pass_bound(view, watermark, 0);
	SxPass before;
	SxPass pass;
	Attempt attempt = {
		.view = view, .pass = &pass, .limit = limit, .removed_through = removed_through};

	if (!load_pass(view->relid, &before))
		return; /* a dump without data brought the view */
	pass = before;
	begin_pass(view, &pass, bound);
	if (pass.is_going)
	{
		fold_some(&attempt);
		begin_pass(view, &pass, bound); /* it may have moved on meanwhile */
	}
	if (!sx_pass_equal(&pass, &before))
		save_pass(view->relid, &pass);
}

static void
begin_pass(const SxView *view, SxPass *pass, TimestampTz bound)
{
	bool is_session = view->window.kind == SX_WINDOW_SESSION;

	sx_pass_begin(view, pass, bound, is_session ? view->window.size_us : 1);
}

/* The step, again and again without the row that made it fail. */
static void
fold_some(Attempt *attempt)
{
	SxPass before = *attempt->pass;

	attempt->row_context =
		AllocSetContextCreate(CurrentMemoryContext, "streamx fold row", ALLOCSET_DEFAULT_SIZES);
	for (int failures = 0; failures < MAX_FAILURES; failures++)
	{
		ErrorData *error = sx_in_subtransaction(try_step, attempt);

		if (error == NULL)
			break;
		if (sx_time_limit_is_over())
		{
			give_up_view(attempt->view);
			break;
		}
		if (!is_ours(attempt, error->sqlerrcode))
			ReThrowError(error);
		*attempt->pass = before;
		give_up_row(attempt, error);
		FreeErrorData(error);
	}
	MemoryContextDelete(attempt->row_context);
}

static bool
try_step(void *argument)
{
	Attempt *attempt = argument;
	SxRunAs saved;

	attempt->has_row = false;
	sx_run_begin(attempt->view, &saved);
	attempt->state = sx_state_open(attempt->view);
	PushActiveSnapshot(GetLatestSnapshot());
	sx_pass_step(attempt->view, attempt->pass, attempt->limit, &folding, attempt);
	PopActiveSnapshot();
	sx_state_close(attempt->state);
	sx_run_end(&saved);
	return true;
}

/* ---- rows ---- */

static bool
take_row(SxPassStep *step, TupleTableSlot *row, void *context)
{
	Attempt *attempt = context;
	MemoryContext old;

	if (attempt->removed_through != DT_NOBEGIN &&
		sx_pass_has_ended(attempt->view, row, attempt->removed_through))
		return false;
	attempt->row.tid = row->tts_tid;
	attempt->has_row = true;
	old = MemoryContextSwitchTo(attempt->row_context);
	fold_row(attempt);
	MemoryContextSwitchTo(old);
	MemoryContextReset(attempt->row_context);
	attempt->has_row = false;
	return true;
}

static void
fold_row(Attempt *attempt)
{
	const SxView *view = attempt->view;
	TupleTableSlot *row = view->nfinals > 0 ? compute(view, &attempt->row) : NULL;
	Datum nothing = 0;
	bool is_nothing_null = true;

	(void) sx_state_find_again(attempt->state, &attempt->row);
	if (row == NULL)
		sx_state_fold(attempt->state, &nothing, &is_nothing_null);
	else
		/* the first column is the row's place */
		sx_state_fold(attempt->state, row->tts_values + 1, row->tts_isnull + 1);
	SX_DEBUG_POINT("in-fold");
}

static bool
receive_values(TupleTableSlot *row, DestReceiver *dest)
{
	ValuesReceiver *receiver = (ValuesReceiver *) dest;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	receiver->values = MakeSingleTupleTableSlot(CreateTupleDescCopy(row->tts_tupleDescriptor),
												&TTSOpsMinimalTuple);
	ExecCopySlot(receiver->values, row);
	slot_getallattrs(receiver->values);
	receiver->count++;
	MemoryContextSwitchTo(old);
	return true;
}

static void
receive_start(DestReceiver *dest, int operation, TupleDesc desc)
{
}

static void
receive_nothing(DestReceiver *dest)
{
}

/* The row's final values, in the current memory context. */
static TupleTableSlot *
compute(const SxView *view, const SxStateRow *row)
{
	ValuesReceiver receiver = {.dest = {.receiveSlot = receive_values,
										.rStartup = receive_start,
										.rShutdown = receive_nothing,
										.rDestroy = receive_nothing,
										.mydest = DestNone},
							   .context = CurrentMemoryContext};
	ItemPointerData tid = row->tid;
	ParamListInfo params = makeParamList(1);

	params->params[0] = (ParamExternData){
		.value = PointerGetDatum(&tid), .pflags = PARAM_FLAG_CONST, .ptype = TIDOID};
	sx_run_params(sx_sql_select_where(view->finals, "state_row"), params, &receiver.dest);
	if (receiver.count != 1)
		elog(ERROR, "a row of continuous view \"%s\" has %d rows of final values", view->name,
			 receiver.count);
	return receiver.values;
}

/* ---- failures ---- */

/* Whether an error is about the row at hand, and not about the transaction. */
static bool
is_ours(const Attempt *attempt, int sqlstate)
{
	return attempt->has_row && sqlstate != ERRCODE_QUERY_CANCELED &&
		   sqlstate != ERRCODE_ADMIN_SHUTDOWN && sqlstate != ERRCODE_T_R_SERIALIZATION_FAILURE;
}

/* The row keeps its inputs; who reads it gets the error. */
static void
give_up_row(const Attempt *attempt, const ErrorData *error)
{
	const SxView *view = attempt->view;
	SxState *state;
	SxRunAs saved;

	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("could not fold the inputs of a sealed window of continuous view \"%s\": %s",
					view->name, error->message),
			 errdetail("The window keeps its inputs.")));
	sx_run_begin(view, &saved);
	state = sx_state_open(view);
	(void) sx_state_find_again(state, &attempt->row);
	sx_state_fold(state, NULL, NULL);
	sx_state_close(state);
	sx_run_end(&saved);
}

/* Other views wait while this one takes so long: it keeps its inputs from now on. */
static void
give_up_view(const SxView *view)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view->relid)};
	SxSpi spi;

	sx_time_limit_restart(InvalidOid);
	sx_spi_begin(&spi);
	sx_spi_execute("DELETE FROM streamx_internal.folding WHERE view = $1", 1, types, values, NULL,
				   false);
	sx_spi_end(&spi);
	ereport(WARNING,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("inputs of continuous view \"%s\" are no longer folded", view->name),
			 errdetail("To compute its aggregates took longer than streamx.max_batch_time.")));
}

/* ---- the table of foldings ---- */

static bool
load_pass(Oid view, SxPass *pass)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view)};
	MemoryContext context = CurrentMemoryContext;
	bool found;
	SxSpi spi;

	sx_spi_begin(&spi);
	found =
		sx_spi_execute(
			"SELECT f.folding_through, f.folding_from, f.folding_next, "
			"f.is_folding, f.folding_groups FROM streamx_internal.folding AS f WHERE f.view = $1",
			1, types, values, NULL, false) > 0;
	if (found)
		*pass = sx_pass_load(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, context);
	sx_spi_end(&spi);
	return found;
}

static void
save_pass(Oid view, const SxPass *pass)
{
	static const Oid types[] = {REGCLASSOID,	TIMESTAMPTZOID, TIMESTAMPTZOID,
								TIMESTAMPTZOID, BOOLOID,		INT8ARRAYOID};
	Datum values[1 + SX_PASS_COLUMNS] = {ObjectIdGetDatum(view)};
	SxSpi spi;

	StaticAssertStmt(lengthof(types) == lengthof(values), "one value for each type");
	sx_pass_store(pass, &values[1]);
	sx_spi_begin(&spi);
	sx_spi_execute("UPDATE streamx_internal.folding SET folding_through = $2, folding_from = $3, "
				   "folding_next = $4, is_folding = $5, folding_groups = $6 WHERE view = $1",
				   lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}
