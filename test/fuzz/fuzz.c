/*
 * fuzz.c
 *	  Run libFuzzer inside a backend, where PostgreSQL's own functions are at hand.
 *
 *	  SELECT streamx_fuzz('values', '-runs=1000 -seed=1 corpus');
 *
 * For single-user mode: libFuzzer ends the process.
 */
#include "compat.h"

#include <sys/mman.h>
#include <unistd.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "fuzz.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(streamx_fuzz);

/* The longest input; -max_len is less. */
#define GUARDED (1024 * 1024)

#define MOST_OPTIONS 64

extern int
LLVMFuzzerRunDriver(int *argc, char ***argv, int (*run)(const uint8_t *data, size_t size));

static const FuzzTarget *const targets[] = {&fuzz_messages, &fuzz_values, &fuzz_filters,
											&fuzz_states, &fuzz_metadata};

static const FuzzTarget *target;
static MemoryContext run_context;

static int run_one(const uint8_t *data, size_t size);

Datum
streamx_fuzz(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *options = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *argv[MOST_OPTIONS + 1] = {"streamx_fuzz"};
	char **arguments = argv;
	int argc = 1;

	for (int i = 0; i < lengthof(targets); i++)
		if (strcmp(targets[i]->name, name) == 0)
			target = targets[i];
	if (target == NULL)
		elog(ERROR, "no target \"%s\"", name);
	for (char *word = strtok(options, " "); word && argc < MOST_OPTIONS; word = strtok(NULL, " "))
		argv[argc++] = word;
	if (target->open)
		target->open();
	run_context = AllocSetContextCreate(TopMemoryContext, "fuzz", ALLOCSET_DEFAULT_SIZES);
	LLVMFuzzerRunDriver(&argc, &arguments, run_one);
	PG_RETURN_VOID();
}

static int
run_one(const uint8_t *data, size_t size)
{
	MemoryContext caller = MemoryContextSwitchTo(run_context);

	PG_TRY();
	{
		target->run((const char *) data, size);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(run_context);
		error = CopyErrorData();
		fuzz_fail("an error that nobody expects: %s (%s)", error->message,
				  unpack_sql_state(error->sqlerrcode));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	MemoryContextReset(run_context);
	return 0;
}

void
fuzz_fail(const char *format, ...)
{
	va_list args;

	fputs("== FOUND: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

/* An internal error is nobody's data: a finding. */
void
fuzz_try(void (*call)(void *state), void *state, FuzzOutcome *outcome)
{
	MemoryContext context = CurrentMemoryContext;

	outcome->sqlstate = 0;
	outcome->message = NULL;
	PG_TRY();
	{
		call(state);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		/* that one is jsonb_recv's own, of bytes */
		if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR &&
			strncmp(error->message, "unsupported jsonb version", 25) != 0)
			fuzz_fail("internal error: %s", error->message);
		outcome->sqlstate = error->sqlerrcode;
		outcome->message = error->message;
	}
	PG_END_TRY();
}

char *
fuzz_guard(const char *data, size_t size)
{
	static char *end;

	if (end == NULL)
	{
		long page = sysconf(_SC_PAGESIZE);
		char *start =
			mmap(NULL, GUARDED + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (start == MAP_FAILED || mprotect(start + GUARDED, page, PROT_NONE) != 0)
			elog(ERROR, "mmap: %m");
		end = start + GUARDED;
	}
	return memcpy(end - size, data, size);
}

bool
fuzz_is_text(const char *data, size_t size)
{
	return pg_verify_mbstr(PG_UTF8, data, size, true);
}

Datum
fuzz_call(PGFunction function, bool *is_null, int n, ...)
{
	LOCAL_FCINFO(fcinfo, 4);
	FmgrInfo info = {.fn_addr = function, .fn_mcxt = CurrentMemoryContext, .fn_nargs = n};
	Datum result;
	va_list args;

	InitFunctionCallInfoData(*fcinfo, &info, n, InvalidOid, NULL, NULL);
	va_start(args, n);
	for (int i = 0; i < n; i++)
	{
		fcinfo->args[i].value = va_arg(args, Datum);
		fcinfo->args[i].isnull = false;
	}
	va_end(args);
	result = function(fcinfo);
	*is_null = fcinfo->isnull;
	return result;
}
