/*
 * cardinality.c
 *	  How many distinct values? Type distinct_sketch, and the aggregates
 *	  approx_count_distinct, distinct_sketch_agg and merge.
 *
 * UltraLogLog (O. Ertl, "UltraLogLog: A Practical and More Space-Efficient
 * Alternative to HyperLogLog", VLDB 2024) with 4096 registers of a byte and the
 * maximum-likelihood estimate: the standard error is 0.761 / sqrt(4096) = 1.2 %.
 * (HyperLogLog takes 5.5 kB for that.)  A sketch depends on the set of its
 * values only, not on their order, nor on what was merged when.
 *
 *		hash      |  register: 12  |  14 bits  |  38 bits
 *		token     |  the same 26 bits          |  1 + leading zeros of the 38: 6 bits
 *		register  <- u = 1 + leading zeros of the 52 bits
 *
 * Up to MOST_TOKENS different values are kept as tokens, so that their number
 * is all but exact: about one in 2^26 pairs has equal ones.  A token tells the
 * register and its u.  A register is 4 u plus two bits, which tell whether u - 1
 * and u - 2 have been there, too, where u is the greatest seen.
 *
 *		contents  0 | tokens, ascending, four bytes each, the least significant first
 *		          1 | registers
 */
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "port/pg_bitutils.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "aggregate/sketch.h"

#define PRECISION 12
#define NREGISTERS (1 << PRECISION)
#define MOST_U (65 - PRECISION)
#define MOST_REGISTER (4 * MOST_U + 3)

/* Beyond, registers are shorter, and there are as many of them as slots for tokens. */
#define MOST_TOKENS 768
#define LEAST_SLOTS 4
#define TOKEN_ZEROS_BITS 6
#define MOST_TOKEN_ZEROS 39

typedef enum SketchForm
{
	FORM_TOKENS,
	FORM_REGISTERS
} SketchForm;

typedef struct Distinct
{
	uint8 *registers; /* or NULL: there are tokens */
	uint32 *tokens;	  /* hash table; 0 is an empty slot */
	int ntokens;
	int nslots; /* a power of two */
} Distinct;

/* How an argument is hashed. */
typedef struct ValueHash
{
	FmgrInfo function;
	bool is_enum;
} ValueHash;

static void check_distinct(SxSketchReader *reader);

static const SxSketchKind kind = {"distinct_sketch", 'D', check_distinct};

PG_FUNCTION_INFO_V1(streamx_distinct_in);
PG_FUNCTION_INFO_V1(streamx_distinct_recv);
PG_FUNCTION_INFO_V1(streamx_distinct_cast);
PG_FUNCTION_INFO_V1(streamx_distinct_add);
PG_FUNCTION_INFO_V1(streamx_distinct_merge);
PG_FUNCTION_INFO_V1(streamx_distinct_combine);
PG_FUNCTION_INFO_V1(streamx_distinct_serialise);
PG_FUNCTION_INFO_V1(streamx_distinct_deserialise);
PG_FUNCTION_INFO_V1(streamx_distinct_count);
PG_FUNCTION_INFO_V1(streamx_distinct_union);
PG_FUNCTION_INFO_V1(streamx_distinct_cardinality);

/* The hash of a value */

/* The finaliser of MurmurHash3: every bit of the result depends on every bit. */
static inline uint64
mix(uint64 hash)
{
	hash ^= hash >> 33;
	hash *= UINT64CONST(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	hash *= UINT64CONST(0xc4ceb9fe1a85ec53);
	hash ^= hash >> 33;
	return hash;
}

/* How values of the argument's type are hashed, kept for the aggregate call. */
static ValueHash *
prepare_hash(FunctionCallInfo fcinfo)
{
	Oid oid = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1));
	const TypeCacheEntry *type = lookup_type_cache(oid, TYPECACHE_HASH_EXTENDED_PROC);
	/* of anonymous rows the type cache cannot tell; their columns decide when they come */
	Oid function = oid == RECORDOID ? F_HASH_RECORD_EXTENDED : type->hash_extended_proc;
	ValueHash *hash = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(ValueHash));

	if (!OidIsValid(function))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("could not identify an extended hash function for type %s",
							   format_type_be(oid)),
						errhint("Cast the value to a type that has one, such as text.")));
	hash->is_enum = type->typtype == TYPTYPE_ENUM;
	fmgr_info_cxt(function, &hash->function, fcinfo->flinfo->fn_mcxt);
	return hash;
}

/* Enums are hashed by their labels, since a restored dump has other OIDs. */
static uint64
hash_label(Datum value)
{
	const char *label = DatumGetCString(DirectFunctionCall1(enum_out, value));

	return hash_bytes_extended((const unsigned char *) label, strlen(label), 0);
}

/* Equal values have equal hashes, whatever their bytes: the type sees to that. */
static uint64
hash_argument(FunctionCallInfo fcinfo)
{
	ValueHash *hash = fcinfo->flinfo->fn_extra;
	Datum value = PG_GETARG_DATUM(1);

	if (unlikely(hash == NULL))
		fcinfo->flinfo->fn_extra = hash = prepare_hash(fcinfo);
	if (hash->is_enum)
		return mix(hash_label(value));
	return mix(DatumGetUInt64(
		FunctionCall2Coll(&hash->function, PG_GET_COLLATION(), value, Int64GetDatum(0))));
}

/* Registers */

/* The values of u that a register has seen, as bits; none that is less than 1. */
static inline uint64
seen_of(uint8 reg)
{
	return reg == 0 ? 0 : ((uint64) (4 | (reg & 3)) << (reg >> 2)) >> 2;
}

static inline uint8
register_of(uint64 seen)
{
	int u = pg_leftmost_one_pos64(seen | 1); /* there is no bit 0; nothing seen makes 0 */

	return 4 * u + (((seen << 2) >> u) & 3);
}

static inline void
note_u(uint8 *registers, uint32 i, int u)
{
	registers[i] = register_of(seen_of(registers[i]) | (UINT64CONST(1) << u));
}

static inline void
note_hash(uint8 *registers, uint64 hash)
{
	uint64 rest = hash << PRECISION;
	int u = rest == 0 ? MOST_U : 64 - pg_leftmost_one_pos64(rest);

	note_u(registers, hash >> (64 - PRECISION), u);
}

static inline void
note_token(uint8 *registers, uint32 token)
{
	const int middle_bits = 32 - TOKEN_ZEROS_BITS - PRECISION;
	uint32 middle = (token >> TOKEN_ZEROS_BITS) & ((1 << middle_bits) - 1);
	int zeros = token & ((1 << TOKEN_ZEROS_BITS) - 1);
	int u = middle == 0 ? middle_bits + zeros : middle_bits - pg_leftmost_one_pos32(middle);

	note_u(registers, token >> (32 - PRECISION), u);
}

/* Whether the two bits tell of values of u that there are. */
static inline bool
is_register(uint8 reg)
{
	return (reg >= 12 && reg <= MOST_REGISTER) || reg == 0 || reg == 4 || reg == 8 || reg == 10;
}

static void
merge_registers(uint8 *registers, const uint8 *more)
{
	for (int i = 0; i < NREGISTERS; i++)
		registers[i] = register_of(seen_of(registers[i]) | seen_of(more[i]));
}

/* Tokens */

static inline uint32
token_of(uint64 hash)
{
	const int rest_bits = 32 + TOKEN_ZEROS_BITS;
	uint64 rest = hash << (64 - rest_bits);
	int zeros = rest == 0 ? MOST_TOKEN_ZEROS : 64 - pg_leftmost_one_pos64(rest);

	return (uint32) (hash >> rest_bits) << TOKEN_ZEROS_BITS | zeros;
}

static bool
is_token(uint32 token)
{
	int zeros = token & ((1 << TOKEN_ZEROS_BITS) - 1);

	return zeros >= 1 && zeros <= MOST_TOKEN_ZEROS;
}

/* Where a token is, or would be. */
static uint32 *
find_slot(const Distinct *distinct, uint32 token)
{
	uint32 slot = token * 0x9E3779B1U >> 22;

	for (;; slot++)
	{
		uint32 *found = &distinct->tokens[slot & (distinct->nslots - 1)];

		if (*found == token || *found == 0)
			return found;
	}
}

static void
double_slots(Distinct *distinct)
{
	uint32 *tokens = distinct->tokens;
	int nslots = distinct->nslots;

	distinct->nslots = 2 * nslots;
	distinct->tokens =
		MemoryContextAllocZero(GetMemoryChunkContext(distinct), distinct->nslots * sizeof(uint32));
	for (int i = 0; i < nslots; i++)
		if (tokens[i] != 0)
			*find_slot(distinct, tokens[i]) = tokens[i];
	pfree(tokens);
}

static void
turn_to_registers(Distinct *distinct)
{
	distinct->registers = MemoryContextAllocZero(GetMemoryChunkContext(distinct), NREGISTERS);
	for (int i = 0; i < distinct->nslots; i++)
		if (distinct->tokens[i] != 0)
			note_token(distinct->registers, distinct->tokens[i]);
	pfree(distinct->tokens);
	distinct->tokens = NULL;
	distinct->ntokens = distinct->nslots = 0;
}

static void
add_token(Distinct *distinct, uint32 token)
{
	uint32 *slot;

	if (distinct->registers)
	{
		note_token(distinct->registers, token);
		return;
	}
	slot = find_slot(distinct, token);
	if (*slot == token)
		return;
	*slot = token;
	distinct->ntokens++;
	if (distinct->ntokens > MOST_TOKENS)
		turn_to_registers(distinct);
	else if (distinct->ntokens > distinct->nslots / 4 * 3)
		double_slots(distinct);
}

/* Sketches in memory */

static Distinct *
make_distinct(MemoryContext context)
{
	Distinct *distinct = MemoryContextAllocZero(context, sizeof(Distinct));

	distinct->nslots = LEAST_SLOTS;
	distinct->tokens = MemoryContextAllocZero(context, LEAST_SLOTS * sizeof(uint32));
	return distinct;
}

static void
merge_distinct(Distinct *distinct, const Distinct *more)
{
	if (more->registers)
	{
		if (distinct->registers == NULL)
			turn_to_registers(distinct);
		merge_registers(distinct->registers, more->registers);
		return;
	}
	for (int i = 0; i < more->nslots; i++)
		if (more->tokens[i] != 0)
			add_token(distinct, more->tokens[i]);
}

/* Reading and writing */

static uint32
read_token(SxSketchReader *reader)
{
	const uint8 *bytes = (const uint8 *) sx_sketch_read_bytes(reader, sizeof(uint32));

	return bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (uint32) bytes[3] << 24;
}

static void
read_tokens(SxSketchReader *reader, Distinct *distinct)
{
	Size ntokens = sx_sketch_remaining(reader) / sizeof(uint32);
	uint32 last = 0;

	if (ntokens < 1 || ntokens > MOST_TOKENS)
		sx_sketch_refuse(reader, "It has no tokens, or too many.");
	for (Size i = 0; i < ntokens; i++)
	{
		uint32 token = read_token(reader);

		if (!is_token(token) || token <= last)
			sx_sketch_refuse(reader, "Its tokens are wrong or not in order.");
		add_token(distinct, token);
		last = token;
	}
}

static void
read_registers(SxSketchReader *reader, Distinct *distinct)
{
	const uint8 *registers = (const uint8 *) sx_sketch_read_bytes(reader, NREGISTERS);
	bool are_registers = true;

	for (int i = 0; i < NREGISTERS; i++)
		are_registers &= is_register(registers[i]);
	if (!are_registers)
		sx_sketch_refuse(reader, "A register is wrong.");
	turn_to_registers(distinct);
	memcpy(distinct->registers, registers, NREGISTERS);
}

static Distinct *
read_contents(SxSketchReader *reader, MemoryContext context)
{
	Distinct *distinct = make_distinct(context);

	switch (sx_sketch_read_byte(reader))
	{
		case FORM_TOKENS:
			read_tokens(reader, distinct);
			break;
		case FORM_REGISTERS:
			read_registers(reader, distinct);
			break;
		default:
			sx_sketch_refuse(reader, "Its form is unknown.");
	}
	sx_sketch_close(reader);
	return distinct;
}

static void
check_distinct(SxSketchReader *reader)
{
	read_contents(reader, CurrentMemoryContext);
}

static Distinct *
read_distinct(Datum sketch, MemoryContext context)
{
	SxSketchReader reader;

	sx_sketch_open(&reader, &kind, sketch);
	return read_contents(&reader, context);
}

#define ST_SORT sort_tokens
#define ST_ELEMENT_TYPE uint32
#define ST_COMPARE(a, b) (*(a) < *(b) ? -1 : *(a) > *(b))
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
write_tokens(StringInfo sketch, const Distinct *distinct)
{
	uint32 tokens[MOST_TOKENS];
	int ntokens = 0;

	for (int i = 0; i < distinct->nslots; i++)
		if (distinct->tokens[i] != 0)
			tokens[ntokens++] = distinct->tokens[i];
	sort_tokens(tokens, ntokens);
	for (int i = 0; i < ntokens; i++)
	{
		const uint8 bytes[] = {tokens[i], tokens[i] >> 8, tokens[i] >> 16, tokens[i] >> 24};

		appendBinaryStringInfo(sketch, (const char *) bytes, sizeof(bytes));
	}
}

static Datum
write_distinct(const Distinct *distinct)
{
	StringInfoData sketch;

	sx_sketch_begin(&sketch, &kind);
	appendStringInfoChar(&sketch, distinct->registers ? FORM_REGISTERS : FORM_TOKENS);
	if (distinct->registers)
		appendBinaryStringInfo(&sketch, (const char *) distinct->registers, NREGISTERS);
	else
		write_tokens(&sketch, distinct);
	return sx_sketch_end(&sketch);
}

/* Estimation */

/* What the registers say of n, the number of values: see estimate(). */
typedef struct Likelihood
{
	double unseen;			 /* sum of 2^-u over registers and the u that did not come */
	double seen[MOST_U + 1]; /* at u: how many registers it came to */
} Likelihood;

static void
count_registers(const uint8 *registers, Likelihood *likelihood)
{
	int counts[MOST_REGISTER + 1] = {0};

	memset(likelihood, 0, sizeof(*likelihood));
	for (int i = 0; i < NREGISTERS; i++)
		counts[registers[i]]++;
	for (int reg = 0; reg <= MOST_REGISTER; reg++)
	{
		int most = reg >> 2;
		uint64 seen = seen_of(reg);

		if (counts[reg] == 0)
			continue;
		/* those greater than u, together; u - 1 and u - 2 speak for themselves */
		if (most < MOST_U)
			likelihood->unseen += ldexp(counts[reg], -most);
		for (int u = Max(most - 2, 1); u <= most; u++)
		{
			if (seen & (UINT64CONST(1) << u))
				likelihood->seen[u] += counts[reg];
			else
				likelihood->unseen += ldexp(counts[reg], -u);
		}
	}
}

/*
 * The n for which the registers are most likely what they are.
 *
 * With x = n / NREGISTERS values a register, it has seen u with probability
 * 1 - exp(-x 2^-u), so the logarithm of their likelihood is
 *
 *		-x unseen + sum over u of seen[u] ln(1 - exp(-x 2^-u))
 *
 * x times its derivative, sum of seen[u] f(x 2^-u) - x unseen where
 * f(t) = t / (exp(t) - 1), is convex and falls: Newton's method from the left
 * comes to its root without passing it.
 */
static double
estimate(const uint8 *registers)
{
	Likelihood likelihood;
	double x = 0;

	count_registers(registers, &likelihood);
	for (int round = 0; round < 100; round++)
	{
		double value = -likelihood.unseen * x;
		double slope = -likelihood.unseen;
		double step;

		for (int u = 1; u <= MOST_U; u++)
		{
			double t = ldexp(x, -u);
			double f = t < 1e-9 ? 1 : t > 700 ? 0 : t / expm1(t);

			value += likelihood.seen[u] * f;
			slope -= likelihood.seen[u] * ldexp(t < 1e-6 ? 0.5 : f * (t + f - 1) / t, -u);
		}
		if (value <= 0 || slope >= 0)
			break;
		step = -value / slope;
		x += step;
		if (step < 1e-9 * x)
			break;
	}
	return x * NREGISTERS;
}

static int64
count_distinct(const Distinct *distinct)
{
	double count;

	if (distinct->registers == NULL)
		return distinct->ntokens;
	count = rint(estimate(distinct->registers));
	return count < (double) PG_INT64_MAX ? (int64) count : PG_INT64_MAX;
}

/* Functions */

Datum
streamx_distinct_in(PG_FUNCTION_ARGS)
{
	return sx_sketch_in(&kind, fcinfo);
}

Datum
streamx_distinct_recv(PG_FUNCTION_ARGS)
{
	return sx_sketch_recv(&kind, fcinfo);
}

Datum
streamx_distinct_cast(PG_FUNCTION_ARGS)
{
	return sx_sketch_cast(&kind, fcinfo);
}

/* (internal, "any") */
Datum
streamx_distinct_add(PG_FUNCTION_ARGS)
{
	Distinct *distinct = PG_ARGISNULL(0) ? NULL : (Distinct *) PG_GETARG_POINTER(0);
	uint64 hash;

	if (PG_ARGISNULL(1))
	{
		if (distinct == NULL)
			PG_RETURN_NULL();
		PG_RETURN_POINTER(distinct);
	}
	if (distinct == NULL)
		distinct = make_distinct(sx_sketch_aggregate_context(fcinfo));
	hash = hash_argument(fcinfo);
	if (distinct->registers)
		note_hash(distinct->registers, hash);
	else
		add_token(distinct, token_of(hash));
	PG_RETURN_POINTER(distinct);
}

/* (internal, distinct_sketch) */
Datum
streamx_distinct_merge(PG_FUNCTION_ARGS)
{
	Distinct *distinct = PG_ARGISNULL(0) ? NULL : (Distinct *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1))
	{
		if (distinct == NULL)
			distinct = make_distinct(sx_sketch_aggregate_context(fcinfo));
		merge_distinct(distinct, read_distinct(PG_GETARG_DATUM(1), CurrentMemoryContext));
	}
	if (distinct == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(distinct);
}

Datum
streamx_distinct_combine(PG_FUNCTION_ARGS)
{
	Distinct *distinct = PG_ARGISNULL(0) ? NULL : (Distinct *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1))
	{
		if (distinct == NULL)
			distinct = make_distinct(sx_sketch_aggregate_context(fcinfo));
		merge_distinct(distinct, (Distinct *) PG_GETARG_POINTER(1));
	}
	if (distinct == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(distinct);
}

/* Also the final function of the aggregates that return a sketch. */
Datum
streamx_distinct_serialise(PG_FUNCTION_ARGS)
{
	return write_distinct((Distinct *) PG_GETARG_POINTER(0));
}

Datum
streamx_distinct_deserialise(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(read_distinct(PG_GETARG_DATUM(0), CurrentMemoryContext));
}

/* No state: no value has been there, and that makes 0. */
Datum
streamx_distinct_count(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(PG_ARGISNULL(0) ? 0 : count_distinct((Distinct *) PG_GETARG_POINTER(0)));
}

Datum
streamx_distinct_union(PG_FUNCTION_ARGS)
{
	Distinct *distinct = read_distinct(PG_GETARG_DATUM(0), CurrentMemoryContext);

	merge_distinct(distinct, read_distinct(PG_GETARG_DATUM(1), CurrentMemoryContext));
	return write_distinct(distinct);
}

Datum
streamx_distinct_cardinality(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(count_distinct(read_distinct(PG_GETARG_DATUM(0), CurrentMemoryContext)));
}
