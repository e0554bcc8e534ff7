/*
 * state_type.c
 *	  Type streamx.state: header, wrapping, and the type's I/O functions.
 *
 * Values are made by streamx from what an aggregate's serialise function
 * returned, and by nobody else: a forged state could crash the server inside
 * the aggregate's deserialise function.  Hence input is for superusers (who
 * restore dumps), and there are no casts.
 */
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "aggregate/state_type.h"
#include "aggregate/transition.h"

PGDLLEXPORT Datum streamx_state_in(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_state_recv(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_bytes_out(PG_FUNCTION_ARGS);
PGDLLEXPORT Datum streamx_bytes_send(PG_FUNCTION_ARGS);

#define STATE_FORMAT 1

/* Major versions that serialise states of built-in aggregates in the same way: see test/run/check-upgrade. */
static const uint8 same_formats[] = {15, 17, 18};

static void header_mismatch(const SxStateHeader *found, const SxStateHeader *expected, Oid aggfnoid)
	pg_attribute_noreturn();

uint8
sx_state_major(SxStateMaker maker, int major)
{
	if (maker == SX_STATE_OURS)
		return 0;
	for (int i = 0; maker == SX_STATE_BUILTIN && i < lengthof(same_formats); i++)
		if (same_formats[i] == major)
			return same_formats[0];
	return (uint8) major;
}

/*
 * The signature is a cryptographic hash, because users choose the names of
 * their types and thereby part of a description: they must not be able to find
 * two aggregates of the same signature.
 */
SxStateHeader
sx_state_header(const char *description, SxStateMaker maker)
{
	SxStateHeader header = {STATE_FORMAT, sx_state_major(maker, SX_SERVER_MAJOR)};
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);

	if (pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (const uint8 *) description, strlen(description)) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute the signature of an aggregate: %s",
			 pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);

	memcpy(header.signature, digest, sizeof(header.signature));
	return header;
}

Datum
sx_state_wrap(const SxStateHeader *header, Datum serialised)
{
	bytea *bytes = DatumGetByteaPP(serialised);
	Size length = VARSIZE_ANY_EXHDR(bytes);
	bytea *state = palloc(VARHDRSZ + sizeof(SxStateHeader) + length);

	SET_VARSIZE(state, VARHDRSZ + sizeof(SxStateHeader) + length);
	memcpy(VARDATA(state), header, sizeof(SxStateHeader));
	memcpy(VARDATA(state) + sizeof(SxStateHeader), VARDATA_ANY(bytes), length);
	return PointerGetDatum(state);
}

Datum
sx_state_unwrap(const SxStateHeader *expected, Datum state, Oid aggfnoid)
{
	bytea *packed = DatumGetByteaPP(state);
	Size length = VARSIZE_ANY_EXHDR(packed);
	bytea *serialised;

	if (unlikely(length < sizeof(SxStateHeader)))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("stored state of aggregate %s is truncated", format_procedure(aggfnoid))));
	if (unlikely(memcmp(VARDATA_ANY(packed), expected, sizeof(SxStateHeader)) != 0))
	{
		SxStateHeader found;

		memcpy(&found, VARDATA_ANY(packed), sizeof(found));
		header_mismatch(&found, expected, aggfnoid);
	}

	/* a copy of its own, aligned as any bytea is: deserialise functions may count on that */
	length -= sizeof(SxStateHeader);
	serialised = palloc(VARHDRSZ + length);
	SET_VARSIZE(serialised, VARHDRSZ + length);
	memcpy(VARDATA(serialised), VARDATA_ANY(packed) + sizeof(SxStateHeader), length);
	return PointerGetDatum(serialised);
}

/* Not a data error (class 22): the row that was to be merged is not to blame. */
static void
header_mismatch(const SxStateHeader *found, const SxStateHeader *expected, Oid aggfnoid)
{
	if (found->format != STATE_FORMAT)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("stored state of aggregate %s has unknown format %d",
							   format_procedure(aggfnoid), found->format),
						errhint("Recompute the continuous view with streamx.rebuild.")));
	if (found->server_major != expected->server_major)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("stored state of aggregate %s was made by PostgreSQL %d",
							   format_procedure(aggfnoid), found->server_major),
						errdetail("Its states may differ between major versions; this is "
								  "PostgreSQL %d.",
								  SX_SERVER_MAJOR),
						errhint("Recompute the continuous view with streamx.rebuild.")));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("stored state is not one of aggregate %s", format_procedure(aggfnoid)),
			 errdetail("It was made by another aggregate, or the aggregate or its argument types "
					   "have since been renamed or replaced."),
			 errhint("Recompute the continuous view with streamx.rebuild.")));
}

/* The type's OID, forgotten whenever a type or schema changes */

static Oid state_type = InvalidOid;

static void
forget_state_type(Datum arg, int cacheid, uint32 hashvalue)
{
	state_type = InvalidOid;
}

Oid
sx_state_type_oid(void)
{
	static bool has_callbacks = false;
	Oid found;

	if (OidIsValid(state_type))
		return state_type;
	if (!has_callbacks)
	{
		CacheRegisterSyscacheCallback(TYPEOID, forget_state_type, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_state_type, (Datum) 0);
		has_callbacks = true;
	}
	found = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum("state"),
							ObjectIdGetDatum(get_namespace_oid("streamx", false)));
	if (!OidIsValid(found))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("type streamx.state does not exist"),
				 errhint("Extension streamx is not installed in this database.")));
	state_type = found;
	return found;
}

/* Input and output */

static void
require_superuser(void)
{
	if (!superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to make a value of type streamx.state"),
						errdetail("Only superusers can, to restore a dump.")));
}

static Datum
require_header(bytea *state)
{
	if (VARSIZE_ANY_EXHDR(state) < sizeof(SxStateHeader))
		ereport(ERROR, (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("invalid value for type streamx.state: too short")));
	return PointerGetDatum(state);
}

PG_FUNCTION_INFO_V1(streamx_state_in);
Datum
streamx_state_in(PG_FUNCTION_ARGS)
{
	require_superuser();
	return require_header(DatumGetByteaP(DirectFunctionCall1(byteain, PG_GETARG_DATUM(0))));
}

PG_FUNCTION_INFO_V1(streamx_state_recv);
Datum
streamx_state_recv(PG_FUNCTION_ARGS)
{
	require_superuser();
	return require_header(DatumGetByteaP(DirectFunctionCall1(bytearecv, PG_GETARG_DATUM(0))));
}

/* Of sketches, too: always in hexadecimal, whatever bytea_output says. */
PG_FUNCTION_INFO_V1(streamx_bytes_out);
Datum
streamx_bytes_out(PG_FUNCTION_ARGS)
{
	bytea *state = PG_GETARG_BYTEA_PP(0);
	Size length = VARSIZE_ANY_EXHDR(state);
	char *result = palloc(2 + 2 * length + 1);

	strcpy(result, "\\x");
	result[2 + hex_encode(VARDATA_ANY(state), length, result + 2)] = '\0';
	PG_RETURN_CSTRING(result);
}

PG_FUNCTION_INFO_V1(streamx_bytes_send);
Datum
streamx_bytes_send(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(byteasend, PG_GETARG_DATUM(0));
}
