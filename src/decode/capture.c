/*
 * capture.c
 *	  Run something over many values, and take what their data is to blame for.
 *
 * Input functions of built-in types are pure: they hold nothing when they
 * fail, so catching their error is enough.  All else runs in an internal
 * subtransaction, one for the whole run and a new one after each error, which
 * releases whatever the failed code held.
 */
#include "compat.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "decode/capture.h"

static bool run_once(const SxCapture *capture);
static void take_error(const SxCapture *capture);
static ErrorData *copy_error(void);
static char *error_text(const ErrorData *error);

void
sx_capture_run(const SxCapture *capture)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool is_done = false;

	while (!is_done)
	{
		if (capture->in_subtransaction)
		{
			BeginInternalSubTransaction(NULL);
			MemoryContextSwitchTo(context);
		}
		is_done = run_once(capture);
		if (capture->in_subtransaction)
		{
			if (is_done)
				ReleaseCurrentSubTransaction();
			else
				RollbackAndReleaseCurrentSubTransaction();
			CurrentResourceOwner = owner;
		}
		MemoryContextSwitchTo(context);
	}
}

bool
sx_capture_is_data_error(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
			return true;
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
			/* a name or a type that a value calls for is not there */
			return sqlstate != ERRCODE_INSUFFICIENT_PRIVILEGE;
		default:
			return sqlstate == ERRCODE_RAISE_EXCEPTION;
	}
}

/* Returns whether the run came to its end; false: an error was taken. */
static bool
run_once(const SxCapture *capture)
{
	volatile bool is_done = false;
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		capture->run(capture->state);
		is_done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		take_error(capture);
	}
	PG_END_TRY();
	return is_done;
}

static void
take_error(const SxCapture *capture)
{
	MemoryContext context = MemoryContextSwitchTo(capture->context);
	ErrorData *error = copy_error();
	char *message;

	if (!sx_capture_is_data_error(error->sqlerrcode))
		PG_RE_THROW();
	FlushErrorState();
	message = error_text(error);
	capture->failed(capture->state, error->sqlerrcode, message);
	FreeErrorData(error);
	MemoryContextSwitchTo(context);
}

/*
 * A value too large for a palloc, as a jsonb of millions of elements, is an internal error to
 * PostgreSQL.  Here it comes of the data, and would come again and again.
 */
static ErrorData *
copy_error(void)
{
	ErrorData *error = CopyErrorData();

	if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR && error->message_id &&
		strcmp(error->message_id, "invalid memory alloc request size %zu") == 0)
		error->sqlerrcode = ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	return error;
}

/* "message: detail", cut to a bearable length. */
static char *
error_text(const ErrorData *error)
{
	const char *message = error->message ? error->message : "unknown error";
	int message_length = pg_mbcliplen(message, strlen(message), SX_CAPTURE_MESSAGE_LENGTH);
	int detail_length = 0;

	if (error->detail)
		detail_length =
			pg_mbcliplen(error->detail, strlen(error->detail), SX_CAPTURE_MESSAGE_LENGTH);
	while (detail_length > 0 && error->detail[detail_length - 1] == '.')
		detail_length--;
	return psprintf("%.*s%s%.*s", message_length, message, detail_length > 0 ? ": " : "",
					detail_length, detail_length > 0 ? error->detail : "");
}
