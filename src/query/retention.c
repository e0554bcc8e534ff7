/*
 * retention.c
 *	  What a view lets go of: windows by streamx.retention, refused rows by
 *	  streamx.refused_retention (SEMANTICS 26).
 *
 *      deleted  |  hidden  |  shown
 *  -------------+----------+-------------------------------> window end
 *         deleting_from    removed_through = watermark - retention
 *
 * A window is removed by one number a view, which moves with the watermark in
 * the batch's transaction and with which the view compares what it shows.  The
 * rows, and their inputs, are deleted behind it, so many in a step, in passes over
 * the state (pass.c).
 *
 * Refused rows go by the clock; nobody minds if they go a little later.
 */
#include "compat.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "catalog/debug_point.h"
#include "catalog/option.h"
#include "catalog/spi.h"
#include "query/apply.h"
#include "query/fold.h"
#include "query/pass.h"
#include "query/retention.h"
#include "query/view.h"

/* Rows that a step goes through, of each view: about a millisecond. */
#define STEP_ROWS 1000
/* A pass over sessions is worth it when the bound has moved by this part of the retention. */
#define SESSION_PASS_PART 32

/* A shadow that reuses what a view v refused: until it takes the view's place, refusals stay. */
#define REUSED_BY "SELECT FROM streamx.views AS h WHERE h.shadow_of = v.view AND NOT h.rejudge"

/* A view's row of streamx_internal.removal. */
typedef struct Removal
{
	TimestampTz removed_through;
	SxPass pass;				  /* that deletes what had been removed when it began */
	TimestampTz refusals_through; /* late rows of windows that end by then may be missing */
} Removal;

/* What there is to delete for the views of a reader. */
typedef struct Outlook
{
	bool has_options;
	bool is_deleting;
	int64 refusals_us; /* until the first refusal is due; SX_RETENTION_NEVER: there is none */
} Outlook;

static bool has_option(const SxView *view);
static void
let_go(const SxView *view, int64 watermark, TimestampTz now, bool are_refusals_due, int64 limit);
static TimestampTz remove_some(const SxView *view, int64 watermark, TimestampTz now,
							   bool are_refusals_due, int64 limit);
static void begin_pass(const SxView *view, Removal *removal);
static bool delete_row(SxPassStep *step, TupleTableSlot *row, void *context);
static bool load_removal(Oid view, Removal *removal, bool read_only);
static void save_removal(Oid view, const Removal *removal);
static void remove_refusals(const SxView *view, TimestampTz now, Removal *removal);
static void remove_stream_letters(int32 reader, TimestampTz now);
static Outlook look_ahead(int32 reader, TimestampTz now);
static int64 wait_of(const Outlook *outlook);

static const SxPassKind removing = {.take = delete_row};

/* ---- CREATE VIEW ---- */

static void
check_retention(List *options, const SxWindow *window)
{
	int64 lateness_us = sx_option_interval_us(options, "allowed_lateness", 0);
	bool is_session = window->kind == SX_WINDOW_SESSION;
	const char *lateness = sx_option_get(options, "allowed_lateness");
	const char *retention = sx_option_get(options, "retention");

	if (sx_option_interval_us(options, "retention", 0) >=
		lateness_us + (is_session ? window->size_us : 0))
		return;
	lateness = lateness ? lateness : "0";
	if (is_session)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("streamx.retention is shorter than the gap of sessions and "
							   "streamx.allowed_lateness together"),
						errdetail("Retention is \"%s\", the gap \"%s\", allowed lateness \"%s\": "
								  "sessions would be removed that can still grow.",
								  retention,
								  DatumGetCString(DirectFunctionCall1(
									  interval_out, IntervalPGetDatum(&window->size))),
								  lateness)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("streamx.retention is shorter than streamx.allowed_lateness"),
			 errdetail("Retention is \"%s\", allowed lateness \"%s\": windows would be removed "
					   "that still take rows.",
					   retention, lateness)));
}

void
sx_retention_check(List *options, const SxWindow *window, bool has_lateness)
{
	const char *refused_retention = sx_option_get(options, "refused_retention");

	if (sx_option_get(options, "retention"))
	{
		if (!has_lateness)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("streamx.retention needs a window and a stream with event_time"),
							errhint("Without them nothing gets old.")));
		check_retention(options, window);
	}
	if (refused_retention && sx_option_interval_us(options, "refused_retention", 0) == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"streamx.refused_retention\": \"%s\"",
							   refused_retention),
						errhint("Give a positive interval, for example '30 days'.")));
}

void
sx_retention_enter(Oid view)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute("INSERT INTO streamx_internal.removal (view, state) "
				   "SELECT v.view, v.state FROM streamx.views AS v WHERE v.view = $1 "
				   "AND (v.retention IS NOT NULL OR v.refused_retention IS NOT NULL)",
				   1, types, values, NULL, false);
	sx_spi_end(&spi);
}

/* ---- CREATE OR REPLACE VIEW ---- */

void
sx_retention_finish(const SxView *view)
{
	Removal removal;

	if (view->retention_us < 0 || !load_removal(view->relid, &removal, false))
		return;
	for (begin_pass(view, &removal); removal.pass.is_going; begin_pass(view, &removal))
		sx_pass_step(view, &removal.pass, PG_INT32_MAX, &removing, NULL);
	save_removal(view->relid, &removal);
}

void
sx_retention_replace(Oid view, bool are_refusals_lost)
{
	static const Oid types[] = {REGCLASSOID, BOOLOID};
	static const char *const statements[] = {
		/* what was let go stays so, whatever the options are now */
		"INSERT INTO streamx_internal.removal (view, state) SELECT v.view, v.state "
		"FROM streamx.views AS v WHERE v.view = $1 "
		"AND (v.retention IS NOT NULL OR v.refused_retention IS NOT NULL OR $2) "
		"ON CONFLICT (view) DO NOTHING",
		"UPDATE streamx_internal.removal SET refusals_through = 'infinity' WHERE view = $1 AND $2",
		"DELETE FROM streamx_internal.removal AS r USING streamx.views AS v WHERE r.view = $1 "
		"AND v.view = $1 AND v.retention IS NULL AND v.refused_retention IS NULL AND NOT $2 "
		"AND r.removed_through = '-infinity' AND r.refusals_through = '-infinity'"};
	Datum values[] = {ObjectIdGetDatum(view), BoolGetDatum(are_refusals_lost)};
	SxSpi spi;

	sx_spi_begin(&spi);
	for (int i = 0; i < lengthof(statements); i++)
		sx_spi_execute(statements[i], lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

/* ---- steps ---- */

void
sx_retention_apply(const SxReader *reader, int64 written)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	bool may_be_refusals = false;
	bool are_refusals_due;
	bool has_any = false;
	ListCell *lc;

	foreach (lc, reader->views)
	{
		const SxView *view = sx_view_load(lfirst_oid(lc));

		has_any |= has_option(view) || OidIsValid(view->finals);
		may_be_refusals |= view->refused_retention_us >= 0;
	}
	if (!has_any)
		return;

	are_refusals_due = may_be_refusals && look_ahead(reader->id, now).refusals_us == 0;
	foreach (lc, reader->views)
	{
		const SxView *view = sx_view_load(lfirst_oid(lc));

		let_go(view, reader->watermark, now, are_refusals_due, STEP_ROWS + 2 * written);
	}
	if (are_refusals_due)
		remove_stream_letters(reader->id, now);
}

int64
sx_retention_work(int32 id)
{
	TimestampTz now = GetCurrentTransactionStartTimestamp();
	Outlook outlook;
	SxReader *reader;

	PushActiveSnapshot(GetTransactionSnapshot());
	outlook = look_ahead(id, now);
	reader = wait_of(&outlook) == 0 ? sx_reader_load(id) : NULL;
	PopActiveSnapshot();
	if (reader == NULL)
		return wait_of(&outlook);

	sx_lock_stream(reader->stream); /* lock first, then snapshot */
	PushActiveSnapshot(GetTransactionSnapshot());
	reader = sx_reader_load(id);
	PopActiveSnapshot();
	if (reader == NULL)
		return SX_RETENTION_NONE;
	sx_apply_lock(reader);
	PushActiveSnapshot(GetTransactionSnapshot());
	sx_retention_apply(reader, 0);
	outlook = look_ahead(id, now);
	PopActiveSnapshot();
	return wait_of(&outlook);
}

static bool
has_option(const SxView *view)
{
	return view->retention_us >= 0 || view->refused_retention_us >= 0;
}

/*
 * One step of one view.  A shadow lets nothing go that its view may have: rows that the view
 * accepted may come at any time.
 */
static void
let_go(const SxView *view, int64 watermark, TimestampTz now, bool are_refusals_due, int64 limit)
{
	TimestampTz removed_through = DT_NOBEGIN;

	if (view->reuses)
		return;
	if (has_option(view))
		removed_through = remove_some(view, watermark, now, are_refusals_due, limit);
	if (OidIsValid(view->finals))
		sx_fold_apply(view, watermark, removed_through, limit);
}

static bool
is_reused(const SxView *view)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view->relid)};
	bool found;
	SxSpi spi;

	sx_spi_begin(&spi);
	found = sx_spi_execute("SELECT FROM streamx.views AS v WHERE v.view = $1"
						   " AND EXISTS (" REUSED_BY ")",
						   1, types, values, NULL, false) > 0;
	sx_spi_end(&spi);
	return found;
}

/* Windows and refused rows; returns what has been removed. */
static TimestampTz
remove_some(const SxView *view, int64 watermark, TimestampTz now, bool are_refusals_due,
			int64 limit)
{
	Removal before;
	Removal removal;

	if (!load_removal(view->relid, &before, false))
		return DT_NOBEGIN; /* a dump without data brought the view */
	removal = before;
	if (view->retention_us >= 0)
	{
		removal.removed_through =
			Max(removal.removed_through, sx_pass_bound(view, watermark, view->retention_us));
		begin_pass(view, &removal);
		if (removal.pass.is_going)
		{
			sx_pass_step(view, &removal.pass, limit, &removing, NULL);
			begin_pass(view, &removal); /* the bound may have moved on meanwhile */
		}
	}
	if (view->refused_retention_us >= 0 && are_refusals_due && !is_reused(view))
		remove_refusals(view, now, &removal);
	if (removal.removed_through != before.removed_through ||
		removal.refusals_through != before.refusals_through ||
		!sx_pass_equal(&removal.pass, &before.pass))
		save_removal(view->relid, &removal);
	return removal.removed_through;
}

/* ---- windows ---- */

static void
begin_pass(const SxView *view, Removal *removal)
{
	int64 worth_us = 1;

	if (view->window.kind == SX_WINDOW_SESSION)
		worth_us = Max(view->window.size_us, view->retention_us / SESSION_PASS_PART);
	sx_pass_begin(view, &removal->pass, removal->removed_through, worth_us);
}

static bool
delete_row(SxPassStep *step, TupleTableSlot *row, void *context)
{
	sx_pass_delete(step, row);
	SX_DEBUG_POINT("in-retention");
	return true;
}

void
sx_retention_begins(const SxView *view, TimestampTz start)
{
	static const Oid types[] = {REGCLASSOID, TIMESTAMPTZOID};
	static const char *const statements[] = {
		"UPDATE streamx_internal.removal SET deleting_next = $2 "
		"WHERE view = $1 AND deleting_next > $2",
		"UPDATE streamx_internal.folding SET folding_next = $2 "
		"WHERE view = $1 AND folding_next > $2"};
	Datum values[] = {ObjectIdGetDatum(view->relid), TimestampTzGetDatum(start)};
	SxSpi spi;

	if (view->retention_us < 0 && !OidIsValid(view->finals))
		return;
	sx_spi_begin(&spi);
	for (int i = 0; i < lengthof(statements); i++)
		sx_spi_execute(statements[i], lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

/* ---- the table of removals ---- */

static bool
load_removal(Oid view, Removal *removal, bool read_only)
{
	static const Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(view)};
	MemoryContext context = CurrentMemoryContext;
	bool found;
	SxSpi spi;

	sx_spi_begin(&spi);
	found = sx_spi_execute("SELECT r.removed_through, r.refusals_through, r.deleting_through, "
						   "r.deleting_from, r.deleting_next, r.is_deleting, r.deleting_groups "
						   "FROM streamx_internal.removal AS r WHERE r.view = $1",
						   1, types, values, NULL, read_only) > 0;
	if (found)
	{
		HeapTuple tuple = SPI_tuptable->vals[0];
		TupleDesc tupdesc = SPI_tuptable->tupdesc;
		bool isnull;

		removal->removed_through = DatumGetTimestampTz(SPI_getbinval(tuple, tupdesc, 1, &isnull));
		removal->refusals_through = DatumGetTimestampTz(SPI_getbinval(tuple, tupdesc, 2, &isnull));
		removal->pass = sx_pass_load(tuple, tupdesc, 3, context);
	}
	sx_spi_end(&spi);
	return found;
}

static void
save_removal(Oid view, const Removal *removal)
{
	static const Oid types[] = {REGCLASSOID,	TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
								TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID,		INT8ARRAYOID};
	Datum values[3 + SX_PASS_COLUMNS] = {ObjectIdGetDatum(view),
										 TimestampTzGetDatum(removal->removed_through),
										 TimestampTzGetDatum(removal->refusals_through)};
	SxSpi spi;

	StaticAssertStmt(lengthof(types) == lengthof(values), "one value for each type");
	sx_pass_store(&removal->pass, &values[3]);
	sx_spi_begin(&spi);
	sx_spi_execute("UPDATE streamx_internal.removal SET removed_through = $2, "
				   "refusals_through = $3, deleting_through = $4, deleting_from = $5, "
				   "deleting_next = $6, is_deleting = $7, deleting_groups = $8 WHERE view = $1",
				   lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

TimestampTz
sx_retention_removed_through(Oid view)
{
	Removal removal;

	return load_removal(view, &removal, true) ? removal.removed_through : DT_NOBEGIN;
}

bool
sx_retention_has_removed_refusals(Oid view)
{
	Removal removal;

	return load_removal(view, &removal, true) && removal.refusals_through > removal.removed_through;
}

/* ---- refused rows ---- */

/* A message that the stream refused belongs to all views of its reader. */
static Outlook
look_ahead(int32 reader, TimestampTz now)
{
	static const char *const statement =
		"SELECT count(r.view) + count(f.view) > 0, "
		"COALESCE(bool_or(r.is_deleting), false) OR COALESCE(bool_or(f.is_folding), false), LEAST("
		"min(LEAST((SELECT l.recorded_at FROM streamx_internal.late_row AS l "
		"WHERE l.view = v.view ORDER BY l.recorded_at LIMIT 1), "
		"(SELECT d.recorded_at FROM streamx_internal.dead_letter AS d "
		"WHERE d.view = v.view ORDER BY d.recorded_at LIMIT 1)) + v.refused_retention)"
		" FILTER (WHERE NOT EXISTS (" REUSED_BY ")), "
		"CASE WHEN count(*) = count(v.refused_retention) THEN "
		"(SELECT d.recorded_at FROM streamx_internal.dead_letter AS d "
		"WHERE d.view IS NULL AND d.reader = $1 ORDER BY d.recorded_at LIMIT 1) "
		"+ max(v.refused_retention) END) "
		"FROM streamx.view_streams AS s JOIN streamx.views AS v ON v.view = s.view "
		"LEFT JOIN streamx_internal.removal AS r ON r.view = v.view "
		"LEFT JOIN streamx_internal.folding AS f ON f.view = v.view WHERE s.reader = $1 "
		"AND (v.shadow_of IS NULL OR v.rejudge)";
	static const Oid types[] = {INT4OID};
	Datum values[] = {Int32GetDatum(reader)};
	Outlook outlook;
	HeapTuple tuple;
	TupleDesc tupdesc;
	bool isnull;
	Datum due;
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(statement, 1, types, values, NULL, false);
	tuple = SPI_tuptable->vals[0];
	tupdesc = SPI_tuptable->tupdesc;
	outlook.has_options = DatumGetBool(SPI_getbinval(tuple, tupdesc, 1, &isnull));
	outlook.is_deleting = DatumGetBool(SPI_getbinval(tuple, tupdesc, 2, &isnull));
	due = SPI_getbinval(tuple, tupdesc, 3, &isnull);
	outlook.refusals_us = isnull ? SX_RETENTION_NEVER : Max(DatumGetTimestampTz(due) - now, 0);
	sx_spi_end(&spi);
	return outlook;
}

/* As sx_retention_work returns it. */
static int64
wait_of(const Outlook *outlook)
{
	if (!outlook->has_options)
		return SX_RETENTION_NONE;
	return outlook->is_deleting ? 0 : outlook->refusals_us;
}

/* Late rows and dead letters of one view. */
static void
remove_refusals(const SxView *view, TimestampTz now, Removal *removal)
{
	static const char *const late_rows =
		"WITH gone AS (DELETE FROM streamx_internal.late_row WHERE id = ANY (ARRAY("
		"SELECT l.id FROM streamx_internal.late_row AS l WHERE l.view = $1 "
		"AND l.recorded_at <= $2 ORDER BY l.recorded_at LIMIT $3)) RETURNING refused_through) "
		"SELECT max(refused_through) FROM gone";
	static const char *const dead_letters =
		"DELETE FROM streamx_internal.dead_letter WHERE id = ANY (ARRAY("
		"SELECT d.id FROM streamx_internal.dead_letter AS d WHERE d.view = $1 "
		"AND d.recorded_at <= $2 ORDER BY d.recorded_at LIMIT $3))";
	static const Oid types[] = {REGCLASSOID, TIMESTAMPTZOID, INT8OID};
	Datum values[] = {ObjectIdGetDatum(view->relid),
					  TimestampTzGetDatum(now - view->refused_retention_us),
					  Int64GetDatum(STEP_ROWS)};
	TimestampTz through;
	bool isnull;
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(late_rows, 3, types, values, NULL, false);
	through = DatumGetTimestampTz(
		SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (!isnull)
		removal->refusals_through =
			/* a session may begin long before a window that refused a row of it */
			view->window.kind == SX_WINDOW_SESSION ? DT_NOEND
												   : Max(removal->refusals_through, through);
	if (sx_spi_execute(dead_letters, 3, types, values, NULL, false) > 0)
		removal->refusals_through = DT_NOEND; /* nobody knows its windows */
	sx_spi_end(&spi);
}

/* Messages that the stream refused: they go when the last of the reader's views can do without. */
static void
remove_stream_letters(int32 reader, TimestampTz now)
{
	static const char *const letters =
		"DELETE FROM streamx_internal.dead_letter WHERE id = ANY (ARRAY("
		"SELECT d.id FROM streamx_internal.dead_letter AS d "
		"WHERE d.view IS NULL AND d.reader = $1 AND d.recorded_at <= $2 - "
		"(SELECT CASE WHEN count(*) = count(v.refused_retention) THEN max(v.refused_retention) END "
		"FROM streamx.view_streams AS s JOIN streamx.views AS v ON v.view = s.view "
		"WHERE s.reader = $1) ORDER BY d.recorded_at LIMIT $3))";
	static const char *const note =
		"UPDATE streamx_internal.removal SET refusals_through = 'infinity' "
		"WHERE refusals_through < 'infinity' AND view IN ("
		"SELECT s.view FROM streamx.view_streams AS s WHERE s.reader = $1)";
	static const Oid types[] = {INT4OID, TIMESTAMPTZOID, INT8OID};
	Datum values[] = {Int32GetDatum(reader), TimestampTzGetDatum(now), Int64GetDatum(STEP_ROWS)};
	SxSpi spi;

	sx_spi_begin(&spi);
	if (sx_spi_execute(letters, 3, types, values, NULL, false) > 0)
		sx_spi_execute(note, 1, types, values, NULL, false);
	sx_spi_end(&spi);
}
