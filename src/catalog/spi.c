/*
 * spi.c
 *	  The single wrapper around SPI: statements of our own, run as the
 *	  extension's owner with search_path = pg_catalog, pg_temp.
 *
 * Plans are prepared once per backend and kept.  They are generic, so that a
 * batch never plans anything; they revalidate by themselves when a relation
 * changes, or when the extension is dropped and created again.
 */
#include "compat.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "catalog/namespace.h"

#include "catalog/spi.h"

#define EXTENSION_NAME "streamx"
#define SCHEMA_NAME "streamx"
#define SAFE_SEARCH_PATH "pg_catalog, pg_temp"

/* A kept plan, found by the address of its statement's text. */
typedef struct SavedPlan
{
	const char *key;
	char *statement; /* a copy: shows when the address got another text */
	SPIPlanPtr plan;
} SavedPlan;

/* What is known of the extension; thrown away when any schema changes. */
static struct
{
	bool is_valid;
	bool exists;
	Oid oid;
	Oid owner;
	Oid schema;
	char version[32];
} extension;
static uint64 changes = 0; /* of schemas, that we were told of */

static HTAB *plans = NULL;

static SPIPlanPtr find_plan(const char *statement, int nargs, const Oid *types);
static bool is_looking_up = false;

static SPIPlanPtr prepare_plan(const char *statement, int nargs, const Oid *types);
static void become(Oid userid, int sec_context, SxSpi *saved);
static void load_extension(void);
static bool find_extension(void);
static void check_version(void);
static void forget_extension(Datum arg, int cacheid, uint32 hashvalue);

void
sx_spi_begin(SxSpi *spi)
{
	check_version();
	sx_spi_begin_any_version(spi);
}

void
sx_spi_begin_any_version(SxSpi *spi)
{
	Oid owner = sx_extension_owner();

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "could not connect to SPI");
	become(owner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS, spi);
}

void
sx_spi_end(SxSpi *spi)
{
	sx_unbecome(spi);
	if (SPI_finish() != SPI_OK_FINISH)
		elog(ERROR, "could not finish SPI");
}

uint64
sx_spi_execute(const char *statement, int nargs, const Oid *types, const Datum *values,
			   const bool *nulls, bool read_only)
{
	char null_flags[SX_SPI_MAX_ARGS];
	SPIPlanPtr plan = find_plan(statement, nargs, types);
	int result;
	int i;

	for (i = 0; i < nargs; i++)
		null_flags[i] = nulls != NULL && nulls[i] ? 'n' : ' ';
	result = SPI_execute_plan(plan, unconstify(Datum *, values), null_flags, read_only, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
	return SPI_processed;
}

uint64
sx_spi_execute_latest(const char *statement, int nargs, const Oid *types, const Datum *values)
{
	SPIPlanPtr plan = find_plan(statement, nargs, types);
	int result = SPI_execute_snapshot(plan, unconstify(Datum *, values), NULL, GetLatestSnapshot(),
									  InvalidSnapshot, false, true, 0);

	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
	return SPI_processed;
}

uint64
sx_spi_look_up(const char *statement, int nargs, const Oid *types, const Datum *values)
{
	volatile uint64 count = 0;

	PushActiveSnapshot(GetCatalogSnapshot(InvalidOid));
	is_looking_up = true;
	PG_TRY();
	{
		count = sx_spi_execute(statement, nargs, types, values, NULL, true);
	}
	PG_FINALLY();
	{
		is_looking_up = false;
	}
	PG_END_TRY();
	PopActiveSnapshot();
	return count;
}

/* The first column of a query's rows, by what makes a list of such. */
static List *
list_column(const char *statement, int nargs, const Oid *types, const Datum *values,
			List *(*append)(List *list, Datum value))
{
	MemoryContext caller = CurrentMemoryContext;
	List *list = NIL;
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(statement, nargs, types, values, NULL, false);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool is_null;
		Datum value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null);
		MemoryContext old = MemoryContextSwitchTo(caller);

		list = append(list, value);
		MemoryContextSwitchTo(old);
	}
	sx_spi_end(&spi);
	return list;
}

static List *
append_oid(List *list, Datum value)
{
	return lappend_oid(list, DatumGetObjectId(value));
}

static List *
append_int(List *list, Datum value)
{
	return lappend_int(list, DatumGetInt32(value));
}

List *
sx_spi_list_oids(const char *statement, int nargs, const Oid *types, const Datum *values)
{
	return list_column(statement, nargs, types, values, append_oid);
}

List *
sx_spi_list_ints(const char *statement, int nargs, const Oid *types, const Datum *values)
{
	return list_column(statement, nargs, types, values, append_int);
}

bool
sx_spi_is_looking_up(void)
{
	return is_looking_up;
}

/*
 * A definition is run as a part of the user's statement: event triggers fire for
 * that one alone, and never under our search_path.
 */
static void
run_definition(RawStmt *raw, const char *statement)
{
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->utilityStmt = raw->stmt;
	wrapper->stmt_location = raw->stmt_location;
	wrapper->stmt_len = raw->stmt_len;
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	ProcessUtility(wrapper, statement, false, PROCESS_UTILITY_SUBCOMMAND, NULL, NULL, None_Receiver,
				   NULL);
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommandCounterIncrement();
}

static bool
is_definition(const Node *stmt)
{
	return !IsA(stmt, SelectStmt) && !IsA(stmt, InsertStmt) && !IsA(stmt, UpdateStmt) &&
		   !IsA(stmt, DeleteStmt);
}

uint64
sx_spi_run(const char *statement)
{
	List *raw = raw_parser(statement, RAW_PARSE_DEFAULT);
	int result;

	if (list_length(raw) == 1 && is_definition(linitial_node(RawStmt, raw)->stmt))
	{
		run_definition(linitial(raw), statement);
		return 0;
	}
	result = SPI_execute(statement, false, 0);
	if (result < 0)
		elog(ERROR, "could not execute \"%s\": %s", statement, SPI_result_code_string(result));
	return SPI_processed;
}

Oid
sx_extension_owner(void)
{
	load_extension();
	if (!extension.exists)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("extension \"%s\" does not exist in this database", EXTENSION_NAME),
						errhint("Run CREATE EXTENSION streamx.")));
	return extension.owner;
}

bool
sx_extension_exists(void)
{
	load_extension();
	return extension.exists;
}

bool
sx_extension_hold(void)
{
	Oid oid;

	load_extension();
	oid = extension.oid;
	if (!extension.exists)
		return true;
	if (!ConditionalLockDatabaseObject(ExtensionRelationId, oid, 0, AccessShareLock))
		return false;
	/* what was dropped meanwhile is known by now */
	AcceptInvalidationMessages();
	load_extension();
	return extension.exists && extension.oid == oid;
}

bool
sx_extension_is_current(void)
{
	load_extension();
	return extension.exists && strcmp(extension.version, SX_VERSION) == 0;
}

/* Versions are numbers with dots between them. */
static bool
is_older(const char *version, const char *other)
{
	while (*version && *other)
	{
		char *end;
		char *other_end;
		long number = strtol(version, &end, 10);
		long other_number = strtol(other, &other_end, 10);

		if (number != other_number)
			return number < other_number;
		version = *end ? end + 1 : end;
		other = *other_end ? other_end + 1 : other_end;
	}
	return *other != '\0';
}

char *
sx_extension_complaint(const char **hint)
{
	load_extension();
	*hint = is_older(extension.version, SX_VERSION)
				? "Run ALTER EXTENSION streamx UPDATE."
				: "Restart the server with the library of that version.";
	return psprintf(
		"extension \"%s\" has version %s, but the server runs its library of version %s",
		EXTENSION_NAME, extension.version, SX_VERSION);
}

/* Scripts of the extension may call what they have just made. */
static void
check_version(void)
{
	const char *hint;

	if (creating_extension || !sx_extension_exists() || sx_extension_is_current())
		return;
	ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					errmsg_internal("%s", sx_extension_complaint(&hint)), errhint("%s", hint)));
}

Oid
sx_schema_oid(void)
{
	load_extension();
	return extension.schema;
}

void
sx_become(Oid userid, SxSpi *saved)
{
	become(userid, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION, saved);
}

void
sx_unbecome(SxSpi *saved)
{
	AtEOXact_GUC(false, saved->save_nestlevel); /* what others' functions set goes with them */
	SetUserIdAndSecContext(saved->save_userid, saved->save_sec_context);
}

static void
become(Oid userid, int sec_context, SxSpi *saved)
{
	GetUserIdAndSecContext(&saved->save_userid, &saved->save_sec_context);
	SetUserIdAndSecContext(userid, saved->save_sec_context | sec_context);
	saved->save_nestlevel = NewGUCNestLevel();
	(void) set_config_option("search_path", SAFE_SEARCH_PATH, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

static SPIPlanPtr
find_plan(const char *statement, int nargs, const Oid *types)
{
	SavedPlan *saved;
	bool found;

	if (nargs > SX_SPI_MAX_ARGS)
		elog(ERROR, "too many parameters: %d", nargs);
	if (plans == NULL)
	{
		HASHCTL control = {.keysize = sizeof(char *), .entrysize = sizeof(SavedPlan)};

		plans = hash_create("streamx plans", 64, &control, HASH_ELEM | HASH_BLOBS);
	}

	saved = hash_search(plans, &statement, HASH_FIND, NULL);
	if (saved != NULL && strcmp(saved->statement, statement) == 0)
		return saved->plan;
	if (saved != NULL)
	{
		SPI_freeplan(saved->plan);
		pfree(saved->statement);
		hash_search(plans, &statement, HASH_REMOVE, NULL);
	}

	{
		SPIPlanPtr plan = prepare_plan(statement, nargs, types);
		char *copy = MemoryContextStrdup(TopMemoryContext, statement);

		saved = hash_search(plans, &statement, HASH_ENTER, &found);
		saved->statement = copy;
		saved->plan = plan;
	}
	return saved->plan;
}

static SPIPlanPtr
prepare_plan(const char *statement, int nargs, const Oid *types)
{
	SPIPlanPtr plan =
		SPI_prepare_cursor(statement, nargs, unconstify(Oid *, types), CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "could not prepare \"%s\": %s", statement, SPI_result_code_string(SPI_result));
	if (SPI_keepplan(plan) != 0)
		elog(ERROR, "could not keep the plan of \"%s\"", statement);
	return plan;
}

/*
 * pg_extension has no cache of its own, but CREATE and DROP EXTENSION make
 * and drop our schemas, REASSIGN OWNED changes their owner, and ALTER EXTENSION
 * is seen by our hook (sx_extension_changed): whatever happens to a schema makes
 * us look again.
 */
static void
load_extension(void)
{
	static bool is_registered = false;
	uint64 before;

	if (!is_registered)
	{
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_extension, (Datum) 0);
		is_registered = true;
	}
	if (extension.is_valid)
		return;
	before = changes;
	extension.owner = InvalidOid;
	extension.schema = get_namespace_oid(SCHEMA_NAME, true);
	extension.exists = OidIsValid(extension.schema) && find_extension();
	if (!extension.exists)
		extension.schema = InvalidOid;
	/* looking may itself have told us of a change: then it will do for now, but is not kept */
	extension.is_valid = changes == before;
}

static bool
find_extension(void)
{
	Relation relation = table_open(ExtensionRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;
	bool found;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(EXTENSION_NAME));
	scan = systable_beginscan(relation, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		bool is_null;
		Datum version =
			heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(relation), &is_null);

		extension.oid = ((Form_pg_extension) GETSTRUCT(tuple))->oid;
		extension.owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
		strlcpy(extension.version, TextDatumGetCString(version), sizeof(extension.version));
	}
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

void
sx_extension_changed(void)
{
	CacheInvalidateCatalog(NamespaceRelationId);
}

static void
forget_extension(Datum arg, int cacheid, uint32 hashvalue)
{
	extension.is_valid = false;
	changes++;
}
