/*
 * states.c
 *	  Target "states": bytes of sketches and of aggregates' states, forged.
 *
 *		kind | bytes
 *
 * What a sketch's checks let pass must be what its writer would have written, byte for byte, and good
 * for everything that can be done with it.  A state is the server's own: it must not crash.
 */
#include "compat.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "nodes/execnodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "aggregate/state_type.h"
#include "aggregate/top.h"
#include "fuzz.h"

#define DECLARE(function) extern PGDLLEXPORT Datum function(PG_FUNCTION_ARGS)

DECLARE(streamx_distinct_cast);
DECLARE(streamx_distinct_merge);
DECLARE(streamx_distinct_combine);
DECLARE(streamx_distinct_serialise);
DECLARE(streamx_distinct_deserialise);
DECLARE(streamx_distinct_union);
DECLARE(streamx_distinct_cardinality);
DECLARE(streamx_quantile_cast);
DECLARE(streamx_quantile_merge);
DECLARE(streamx_quantile_combine);
DECLARE(streamx_quantile_serialise);
DECLARE(streamx_quantile_deserialise);
DECLARE(streamx_quantile_union);
DECLARE(streamx_quantile_at);
DECLARE(streamx_top_k_cast);
DECLARE(streamx_top_k_merge);
DECLARE(streamx_top_k_combine);
DECLARE(streamx_top_k_serialise);
DECLARE(streamx_top_k_deserialise);
DECLARE(streamx_top_k_union);
DECLARE(streamx_top_k_json);
DECLARE(streamx_percentile_combine);
DECLARE(streamx_percentile_serialise);
DECLARE(streamx_percentile_deserialise);
DECLARE(streamx_percentile_final);
DECLARE(streamx_percentile_final_array);

typedef struct Sketch
{
	PGFunction cast;
	PGFunction merge;
	PGFunction combine;
	PGFunction serialise;
	PGFunction deserialise;
	PGFunction join;
	PGFunction look;
	int arguments; /* of look */
} Sketch;

static const Sketch sketches[] = {
	{streamx_distinct_cast, streamx_distinct_merge, streamx_distinct_combine,
	 streamx_distinct_serialise, streamx_distinct_deserialise, streamx_distinct_union,
	 streamx_distinct_cardinality, 1},
	{streamx_quantile_cast, streamx_quantile_merge, streamx_quantile_combine,
	 streamx_quantile_serialise, streamx_quantile_deserialise, streamx_quantile_union,
	 streamx_quantile_at, 2},
	{streamx_top_k_cast, streamx_top_k_merge, streamx_top_k_combine, streamx_top_k_serialise,
	 streamx_top_k_deserialise, streamx_top_k_union, streamx_top_k_json, 1},
};

/* Keys and values of tops. */
static const struct
{
	Oid key;
	Oid value; /* InvalidOid: the key */
} tops[] = {{INT4OID, InvalidOid},
			{TEXTOID, NUMERICOID},
			{TIMESTAMPTZOID, INT4ARRAYOID},
			{NUMERICOID, JSONBOID}};

/* The header of a top's state: format, flags, shape. */
#define SHAPE_OFFSET 2
#define SHAPE_LENGTH 8

static SxTopShape shapes[lengthof(tops)];
static char shape_hashes[lengthof(tops)][SHAPE_LENGTH];
static WindowAggState aggregate;

typedef struct Attempt
{
	const Sketch *sketch;
	SxTopShape *shape;
	Datum bytes;
	FuzzOutcome outcome;
} Attempt;

static void
open_states(void)
{
	aggregate.ss.ps.type = T_WindowAggState;
	for (int i = 0; i < lengthof(tops); i++)
	{
		SxTopShape *shape = &shapes[i];
		bytea *empty;

		shape->has_value = OidIsValid(tops[i].value);
		shape->is_descending = i % 2;
		sx_datum_type_open(&shape->key, tops[i].key, get_typcollation(tops[i].key),
						   TopMemoryContext);
		if (shape->has_value)
			sx_datum_type_open(&shape->value, tops[i].value, get_typcollation(tops[i].value),
							   TopMemoryContext);
		empty = sx_top_serialise(sx_top_create(shape, 1, false, TopMemoryContext));
		memcpy(shape_hashes[i], VARDATA_ANY(empty) + SHAPE_OFFSET, SHAPE_LENGTH);
	}
}

/* Call a support function of an aggregate; left may be NULL. */
static Datum
support(PGFunction function, int n, Datum left, Datum right)
{
	LOCAL_FCINFO(fcinfo, 2);
	FmgrInfo info = {.fn_addr = function, .fn_mcxt = CurrentMemoryContext, .fn_nargs = n};

	aggregate.curaggcontext = CurrentMemoryContext;
	InitFunctionCallInfoData(*fcinfo, &info, n, C_COLLATION_OID, (Node *) &aggregate, NULL);
	fcinfo->args[0].value = left;
	fcinfo->args[0].isnull = left == (Datum) 0;
	fcinfo->args[1].value = right;
	fcinfo->args[1].isnull = false;
	return function(fcinfo);
}

static bool
is_same(Datum left, Datum right)
{
	return datumIsEqual(left, right, false, -1);
}

static void
check(void *state)
{
	Attempt *attempt = state;

	attempt->bytes = support(attempt->sketch->cast, 1, attempt->bytes, (Datum) 0);
}

/* What can be done with a good sketch; too many rows are an error of their own. */
static void
use(void *state)
{
	Attempt *attempt = state;
	const Sketch *sketch = attempt->sketch;
	Datum merged = support(sketch->merge, 2, (Datum) 0, attempt->bytes);
	Datum written = support(sketch->serialise, 1, merged, (Datum) 0);
	Datum half = Float8GetDatum(0.5);
	Datum read;
	bool is_null;

	/* values of top_k_sketch may be spelled otherwise, but only once */
	if (sketch->cast == streamx_top_k_cast)
		attempt->bytes = written;
	merged = support(sketch->merge, 2, (Datum) 0, attempt->bytes);
	written = support(sketch->serialise, 1, merged, (Datum) 0);
	if (!is_same(written, attempt->bytes))
		fuzz_fail("a sketch was taken that is written otherwise");
	read = support(sketch->deserialise, 2, attempt->bytes, Int32GetDatum(1));
	if (!is_same(support(sketch->serialise, 1, read, (Datum) 0), attempt->bytes))
		fuzz_fail("a state is not what was read");
	(void) fuzz_call(sketch->look, &is_null, sketch->arguments, attempt->bytes, half);
	attempt->bytes = fuzz_call(sketch->join, &is_null, 2, attempt->bytes, attempt->bytes);
	check(attempt);
	merged = support(sketch->combine, 2, merged, read);
	attempt->bytes = support(sketch->serialise, 1, merged, (Datum) 0);
	check(attempt);
}

static void
use_percentile(void *state)
{
	Attempt *attempt = state;
	Datum read = support(streamx_percentile_deserialise, 2, attempt->bytes, Int32GetDatum(1));
	Datum other = support(streamx_percentile_deserialise, 2, attempt->bytes, Int32GetDatum(1));

	if (!is_same(support(streamx_percentile_serialise, 1, read, (Datum) 0), attempt->bytes))
		fuzz_fail("a percentile's state is not what was read");
	(void) support(streamx_percentile_final, 1, read, (Datum) 0);
	(void) support(streamx_percentile_final_array, 1, read, (Datum) 0);
	(void) support(streamx_percentile_combine, 2, read, other);
}

static void
use_top(void *state)
{
	Attempt *attempt = state;
	bytea *bytes = DatumGetByteaPP(attempt->bytes);
	SxTop *top = sx_top_deserialise(attempt->shape, bytes, CurrentMemoryContext);
	SxTop *other = sx_top_deserialise(attempt->shape, bytes, CurrentMemoryContext);

	sx_top_merge(top, other);
	bytes = sx_top_serialise(top);
	(void) sx_top_deserialise(attempt->shape, bytes, CurrentMemoryContext);
}

static void
use_state(void *state)
{
	Attempt *attempt = state;
	SxStateHeader header = sx_state_header("fuzz", SX_STATE_OURS);
	Datum wrapped = sx_state_wrap(&header, attempt->bytes);

	if (!is_same(sx_state_unwrap(&header, wrapped, F_INT4PL), attempt->bytes))
		fuzz_fail("a state is not what was wrapped");
	(void) sx_state_unwrap(&header, attempt->bytes, F_INT4PL);
}

static void
run_states(const char *data, size_t size)
{
	Attempt attempt = {0};
	uint8 kind;
	char *bytes;

	if (size < 1)
		return;
	kind = (uint8) data[0] % (lengthof(sketches) + 2 + lengthof(tops));
	/* aligned as the server's own are, with the end where memory ends, as far as that goes */
	bytes = memcpy(palloc(VARHDRSZ + size), "\0\0\0", VARHDRSZ);
	memcpy(bytes + VARHDRSZ, data + 1, size - 1);
	bytes = fuzz_guard(bytes, VARHDRSZ + size - 1);
	SET_VARSIZE(bytes, VARHDRSZ + size - 1);
	attempt.bytes = PointerGetDatum(bytes);

	if (kind < lengthof(sketches))
	{
		attempt.sketch = &sketches[kind];
		fuzz_try(check, &attempt, &attempt.outcome);
		if (attempt.outcome.sqlstate == ERRCODE_DATA_CORRUPTED)
			fuzz_fail("a foreign sketch is called a corrupted one: %s", attempt.outcome.message);
		if (attempt.outcome.sqlstate != 0)
			return;
		fuzz_try(use, &attempt, &attempt.outcome);
		if (attempt.outcome.sqlstate != 0 &&
			ERRCODE_TO_CATEGORY(attempt.outcome.sqlstate) != ERRCODE_DATA_EXCEPTION)
			fuzz_fail("a good sketch cannot be used: %s", attempt.outcome.message);
	}
	else if (kind == lengthof(sketches))
		fuzz_try(use_percentile, &attempt, &attempt.outcome);
	else if (kind == lengthof(sketches) + 1)
		fuzz_try(use_state, &attempt, &attempt.outcome);
	else
	{
		kind -= lengthof(sketches) + 2;
		attempt.shape = &shapes[kind];
		/* nobody guesses it */
		if (size > SHAPE_OFFSET + SHAPE_LENGTH)
			memcpy(bytes + VARHDRSZ + SHAPE_OFFSET, shape_hashes[kind], SHAPE_LENGTH);
		fuzz_try(use_top, &attempt, &attempt.outcome);
	}
}

const FuzzTarget fuzz_states = {"states", open_states, run_states};
