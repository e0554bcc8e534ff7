/*
 * probe.c
 *	  The probe: a process that lives for some milliseconds in one database and
 *	  tells the launcher which of its streams need a worker: none of those of a
 *	  copy, until somebody says so.
 */
#include "compat.h"

#include "worker/launcher.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "catalog/debug_point.h"
#include "catalog/spi.h"
#include "query/home.h"
#include "worker/shared.h"

/* Streams that are read from Kafka by a view, neither of which is paused. */
static const char *const wanted_streams =
	"SELECT s.stream::pg_catalog.oid, c.relname::pg_catalog.text,"
	"       COALESCE((SELECT o.option_value::pg_catalog.int4"
	"                   FROM pg_catalog.pg_options_to_table(f.ftoptions) o"
	"                  WHERE o.option_name = 'workers'), 1)"
	"  FROM streamx.streams s JOIN pg_catalog.pg_class c ON c.oid = s.stream"
	"  JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = s.stream"
	" WHERE NOT s.paused"
	"   AND EXISTS (SELECT FROM streamx.readers r JOIN streamx.view_streams v USING (reader)"
	"                WHERE r.stream = s.stream AND r.topic <> '' AND NOT r.paused)";

typedef struct WantedStream
{
	Oid stream;
	const char *name;
	int workers;
} WantedStream;

/* Ask the catalog; the list lives in the current memory context. */
static List *
list_streams(void)
{
	MemoryContext context = CurrentMemoryContext;
	List *streams = NIL;
	SxSpi spi;

	if (!sx_extension_is_current())
		return NIL;
	sx_spi_begin(&spi);
	sx_spi_execute(wanted_streams, 0, NULL, NULL, NULL, true);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple tuple = SPI_tuptable->vals[i];
		TupleDesc desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);
		WantedStream *stream = palloc(sizeof(WantedStream));
		bool isnull;

		stream->stream = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		stream->name = TextDatumGetCString(SPI_getbinval(tuple, desc, 2, &isnull));
		stream->workers = DatumGetInt32(SPI_getbinval(tuple, desc, 3, &isnull));
		streams = lappend(streams, stream);
		MemoryContextSwitchTo(old);
	}
	sx_spi_end(&spi);
	return streams;
}

/* Counters that there were at some moment. */
typedef struct Counters
{
	SxActivityKind kind;
	SxActivity *list;
	int count;
} Counters;

/*
 * Forget counters of readers and views that are gone.  The snapshot must be younger
 * than the list: a view may begin to count as soon as its creation has committed.
 */
static void
forget_gone(const Counters *counters)
{
	Oid types[] = {OIDOID};
	SxSpi spi;

	if (counters->count == 0 || !sx_extension_is_current())
		return;
	sx_spi_begin(&spi);
	for (int i = 0; i < counters->count; i++)
	{
		uint32 id = counters->list[i].key.id;
		Datum values[] = {ObjectIdGetDatum(id)};
		uint64 found;

		if (counters->kind == SX_ACTIVITY_VIEW)
			found = sx_spi_execute("SELECT FROM streamx.views WHERE view = $1", 1, types, values,
								   NULL, true);
		else
			found = sx_spi_execute("SELECT FROM streamx.readers"
								   " WHERE reader = $1::pg_catalog.int8::pg_catalog.int4",
								   1, types, values, NULL, true);
		if (found == 0)
			sx_activity_forget(counters->kind, id);
	}
	sx_spi_end(&spi);
}

/* A slot for a worker that has none; under the lock. */
static SxWorkerSlot *
take_slot(const WantedStream *stream, int number)
{
	for (int i = 0; i < SX_MAX_SLOTS; i++)
	{
		SxWorkerSlot *slot = &sx_shared->slots[i];

		if (slot->in_use)
			continue;
		memset(slot, 0, sizeof(*slot));
		slot->in_use = true;
		slot->database = MyDatabaseId;
		slot->stream = stream->stream;
		slot->number = number;
		return slot;
	}
	return NULL;
}

/* Whether there is a slot for one of a stream's workers; under the lock. */
static bool
want_worker(const WantedStream *stream, int number)
{
	SxWorkerSlot *slot = sx_shared_slot(stream->stream, number);

	if (slot == NULL)
		slot = take_slot(stream, number);
	if (slot == NULL)
		return false;
	slot->is_wanted = true;
	strlcpy(slot->name, stream->name, NAMEDATALEN);
	return true;
}

/*
 * The catalog is not the one that this library was made for, so which streams
 * there are is not asked: a slot without a stream says why none has a worker.
 */
static void
set_outdated(void)
{
	static const WantedStream nothing = {InvalidOid, "", 0};
	ErrorData error = {.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE};
	const char *hint;
	char *complaint = sx_extension_complaint(&hint);
	SxWorkerSlot *slot;

	error.message = psprintf("%s: %s", complaint, hint);
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	slot = sx_shared_slot(InvalidOid, 0);
	if (slot == NULL)
		slot = take_slot(&nothing, 0);
	if (slot != NULL)
	{
		slot->is_wanted = true;
		slot->state = SX_WORKER_OUTDATED;
		sx_activity_error_set(&slot->error, &error);
	}
	LWLockRelease(sx_shared->lock);
	ereport(WARNING, (errcode(error.sqlerrcode), errmsg_internal("%s", complaint),
					  errdetail("No stream of database \"%s\" has a worker.",
								get_database_name(MyDatabaseId)),
					  errhint("%s", hint)));
}

/* Write what is wanted into the table of workers. */
static void
set_wanted(List *streams)
{
	ListCell *lc;
	bool is_full = false;

	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	for (int i = 0; i < SX_MAX_SLOTS; i++)
		if (sx_shared->slots[i].in_use && sx_shared->slots[i].database == MyDatabaseId)
			sx_shared->slots[i].is_wanted = false;
	/* a stream's first worker comes before others' second ones */
	for (int number = 0; number < SX_MAX_STREAM_WORKERS; number++)
	{
		foreach (lc, streams)
		{
			const WantedStream *stream = lfirst(lc);

			if (number < stream->workers && !want_worker(stream, number))
				is_full = true;
		}
	}
	sx_shared->is_probed = true;
	LWLockRelease(sx_shared->lock);
	if (is_full)
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("streamx cannot have more than %d workers", SX_MAX_SLOTS)));
}

/* Compare the catalog with what is in shared memory, once. */
static void
probe(void)
{
	Counters counters[] = {{SX_ACTIVITY_READER}, {SX_ACTIVITY_VIEW}};
	List *streams;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	for (int i = 0; i < lengthof(counters); i++)
		counters[i].count = sx_activity_list(counters[i].kind, &counters[i].list);
	if (!sx_extension_hold())
		proc_exit(0); /* DROP EXTENSION goes first */
	PushActiveSnapshot(GetTransactionSnapshot());
	if (sx_extension_is_current())
		sx_home_settle();
	/* a snapshot that shows what this has paused: or a copy gets workers for a moment */
	PopActiveSnapshot();
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	streams = list_streams();
	for (int i = 0; i < lengthof(counters); i++)
		forget_gone(&counters[i]);
	set_wanted(streams);
	if (sx_extension_exists() && !sx_extension_is_current())
		set_outdated();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

void
sx_probe_main(Datum arg)
{
	Oid database = DatumGetObjectId(arg);
	bool is_held;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	LWLockAcquire(sx_shared->lock, LW_EXCLUSIVE);
	is_held = sx_shared_is_held(database);
	LWLockRelease(sx_shared->lock);
	if (is_held)
		proc_exit(0); /* the launcher sees that it has not done its work */
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);

	SetConfigOption("lock_timeout", "500ms", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
	PG_TRY();
	{
		probe();
		SX_DEBUG_POINT("after-probe");
	}
	PG_CATCH();
	{
		/* whoever holds the catalog (DROP EXTENSION) goes first; the launcher tries again */
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		proc_exit(0);
	}
	PG_END_TRY();
	sx_shared_wake_launcher();
}
