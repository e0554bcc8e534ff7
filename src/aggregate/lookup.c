/*
 * lookup.c
 *	  What the catalogs say of an aggregate, kept per backend.
 *
 * A micro-batch opens every aggregate of every view anew, so what was found is
 * kept until some function, aggregate, type, schema or role changes: then all of
 * it is forgotten.  Callers get copies.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "parser/parse_agg.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

#include "aggregate/lookup.h"
#include "aggregate/stored_name.h"
#include "aggregate/transition.h"

/* Aggregates of more arguments are looked up each time. */
#define CACHED_NARGS 4

typedef struct LookupKey
{
	Oid aggfnoid;
	int nargs;
	Oid argtypes[CACHED_NARGS];
} LookupKey;

typedef struct LookupEntry
{
	LookupKey key;
	SxAggregateLookup lookup;
} LookupEntry;

typedef struct ExecuteKey
{
	Oid function;
	Oid role;
} ExecuteKey;

static HTAB *lookups = NULL;  /* of LookupEntry */
static HTAB *executes = NULL; /* of ExecuteKey: roles that may execute functions */
static uint64 generation = 0; /* counts the changes we were told of */
static uint64 cached_generation = 0;

static void prepare_caches(void);
static void look_up(Oid aggfnoid, const Oid *argtypes, int nargs, SxAggregateLookup *lookup);
static void require_argtypes(Oid aggfnoid, const Oid *argtypes, int nargs, const Oid *declared,
							 int declared_nargs);
static const char *why_not(const SxAggregateLookup *lookup, char kind);
static bool depends_on_order(Oid aggfnoid);
static char *describe(const SxAggregateLookup *lookup, const Oid *argtypes, int nargs);
static void require_execute(Oid function, Oid role, ObjectType kind);

void
sx_aggregate_lookup(Oid aggfnoid, const Oid *argtypes, int nargs, SxAggregateLookup *lookup)
{
	LookupKey key;
	LookupEntry *entry;

	if (nargs > CACHED_NARGS)
	{
		look_up(aggfnoid, argtypes, nargs, lookup);
		return;
	}
	memset(&key, 0, sizeof(key));
	key.aggfnoid = aggfnoid;
	key.nargs = nargs;
	memcpy(key.argtypes, argtypes, nargs * sizeof(Oid));

	prepare_caches();
	entry = hash_search(lookups, &key, HASH_FIND, NULL);
	if (entry)
	{
		*lookup = entry->lookup;
		return;
	}
	look_up(aggfnoid, argtypes, nargs, lookup);

	/* if something changed while we looked, the answer will do for now, but is not kept */
	if (generation == cached_generation)
	{
		entry = hash_search(lookups, &key, HASH_ENTER, NULL);
		entry->lookup = *lookup;
	}
}

void
sx_aggregate_check_execute(const SxAggregateLookup *lookup, Oid role, bool with_final)
{
	prepare_caches();
	require_execute(lookup->aggfnoid, role, OBJECT_AGGREGATE);
	require_execute(lookup->combine_function, lookup->owner, OBJECT_FUNCTION);
	if (OidIsValid(lookup->serialise_function))
		require_execute(lookup->serialise_function, lookup->owner, OBJECT_FUNCTION);
	if (OidIsValid(lookup->deserialise_function))
		require_execute(lookup->deserialise_function, lookup->owner, OBJECT_FUNCTION);
	if (with_final && OidIsValid(lookup->final_function))
		require_execute(lookup->final_function, lookup->owner, OBJECT_FUNCTION);
}

static void
require_execute(Oid function, Oid role, ObjectType kind)
{
	ExecuteKey key = {function, role};

	if (!hash_search(executes, &key, HASH_FIND, NULL))
	{
		AclResult result = sx_function_aclcheck(function, role);

		if (result != ACLCHECK_OK)
			aclcheck_error(result, kind, get_func_name(function));
		if (generation == cached_generation)
			hash_search(executes, &key, HASH_ENTER, NULL);
	}
	InvokeFunctionExecuteHook(function);
}

/* The caches */

static void
note_change(Datum arg, int cacheid, uint32 hashvalue)
{
	generation++;
}

static HTAB *
make_cache(const char *name, Size keysize, Size entrysize)
{
	HASHCTL ctl = {0};

	ctl.keysize = keysize;
	ctl.entrysize = entrysize;
	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS);
}

/* Have the caches, with nothing in them that may be out of date. */
static void
prepare_caches(void)
{
	static bool has_callbacks = false;

	if (!has_callbacks)
	{
		static const int caches[] = {AGGFNOID,	   PROCOID, TYPEOID,
									 NAMESPACEOID, AUTHOID, AUTHMEMROLEMEM};

		for (int i = 0; i < lengthof(caches); i++)
			CacheRegisterSyscacheCallback(caches[i], note_change, (Datum) 0);
		has_callbacks = true;
	}
	if (lookups && cached_generation == generation)
		return;

	if (lookups)
		hash_destroy(lookups);
	if (executes)
		hash_destroy(executes);
	lookups = executes = NULL;
	lookups = make_cache("streamx aggregates", sizeof(LookupKey), sizeof(LookupEntry));
	executes = make_cache("streamx aggregates' privileges", sizeof(ExecuteKey), sizeof(ExecuteKey));
	cached_generation = generation;
}

/* The catalogs */

static SxStateMaker
maker_of(Oid serialise_function)
{
	if (serialise_function < FirstGenbkiObjectId)
		return SX_STATE_BUILTIN;
	return get_func_namespace(serialise_function) == get_namespace_oid("streamx", true)
			   ? SX_STATE_OURS
			   : SX_STATE_OTHERS;
}

static void
look_up(Oid aggfnoid, const Oid *argtypes, int nargs, SxAggregateLookup *lookup)
{
	HeapTuple aggregate_tuple;
	HeapTuple function_tuple;
	Form_pg_aggregate aggregate;
	Oid *declared;
	int declared_nargs;

	aggregate_tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggfnoid));
	if (!HeapTupleIsValid(aggregate_tuple))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("function %s is not an aggregate", format_procedure(aggfnoid))));
	aggregate = (Form_pg_aggregate) GETSTRUCT(aggregate_tuple);
	function_tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(aggfnoid));
	if (!HeapTupleIsValid(function_tuple))
		elog(ERROR, "cache lookup failed for function %u", aggfnoid);

	memset(lookup, 0, sizeof(*lookup));
	lookup->aggfnoid = aggfnoid;
	lookup->owner = ((Form_pg_proc) GETSTRUCT(function_tuple))->proowner;
	lookup->is_builtin = aggfnoid < FirstGenbkiObjectId;
	lookup->combine_function = aggregate->aggcombinefn;
	lookup->final_function = aggregate->aggfinalfn;
	lookup->final_nargs = aggregate->aggfinalextra ? nargs + 1 : 1;
	lookup->has_initial_value =
		!heap_attisnull(aggregate_tuple, Anum_pg_aggregate_agginitval, NULL);

	lookup->result_type = get_func_signature(aggfnoid, &declared, &declared_nargs);
	require_argtypes(aggfnoid, argtypes, nargs, declared, declared_nargs);
	lookup->transition_type =
		resolve_aggregate_transtype(aggfnoid, aggregate->aggtranstype, (Oid *) argtypes, nargs);
	if (IsPolymorphicType(lookup->result_type))
		lookup->result_type = enforce_generic_type_consistency(argtypes, declared, declared_nargs,
															   lookup->result_type, false);
	get_typlenbyval(lookup->transition_type, &lookup->transition_length,
					&lookup->transition_by_value);
	get_typlenbyval(lookup->result_type, &lookup->result_length, &lookup->result_by_value);
	if (lookup->transition_type == INTERNALOID)
	{
		lookup->serialise_function = aggregate->aggserialfn;
		lookup->deserialise_function = aggregate->aggdeserialfn;
	}

	lookup->why = why_not(lookup, aggregate->aggkind);
	if (lookup->why)
		lookup->stored_type = InvalidOid;
	else if (lookup->transition_type != INTERNALOID)
		lookup->stored_type = lookup->transition_type;
	else
	{
		lookup->stored_type = sx_state_type_oid();
		lookup->maker = maker_of(lookup->serialise_function);
		lookup->header = sx_state_header(describe(lookup, argtypes, nargs), lookup->maker);
	}
	ReleaseSysCache(function_tuple);
	ReleaseSysCache(aggregate_tuple);
}

/*
 * The parser has coerced a call's arguments, so types that are not declared as
 * polymorphic or "any" are the declared ones; only rows are coerced to record by
 * leaving them alone.  VARIADIC "any" takes any number.
 */
static void
require_argtypes(Oid aggfnoid, const Oid *argtypes, int nargs, const Oid *declared,
				 int declared_nargs)
{
	bool is_match = nargs == declared_nargs ||
					(nargs > declared_nargs && get_func_variadictype(aggfnoid) == ANYOID);

	for (int i = 0; is_match && i < declared_nargs; i++)
		if (declared[i] != argtypes[i] && declared[i] != ANYOID &&
			!IsPolymorphicType(declared[i]) &&
			!(declared[i] == RECORDOID && type_is_rowtype(argtypes[i])))
			is_match = false;
	for (int i = 0; is_match && i < nargs; i++)
		is_match = OidIsValid(argtypes[i]) && argtypes[i] != INTERNALOID;
	if (is_match && check_generic_type_consistency(argtypes, declared, declared_nargs))
		return;
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("aggregate %s does not take arguments of these types",
						   format_procedure(aggfnoid))));
}

static const char *
why_not(const SxAggregateLookup *lookup, char kind)
{
	if (kind != AGGKIND_NORMAL)
		return "It is an ordered-set aggregate.";
	if (depends_on_order(lookup->aggfnoid))
		return "Its result depends on the order of its inputs.";
	if (!OidIsValid(lookup->combine_function))
		return "It has no combine function.";
	if (lookup->transition_type != INTERNALOID)
		return get_typtype(lookup->transition_type) == TYPTYPE_PSEUDO
				   ? "Its state is of a type that no table can store."
				   : NULL;
	if (!OidIsValid(lookup->serialise_function) || !OidIsValid(lookup->deserialise_function))
		return "Its state is internal, and it has no serialise and deserialise functions.";
	if (func_strict(lookup->combine_function))
		return "Its state is internal, and its combine function is strict.";
	return NULL;
}

/* Built-in aggregates that can be combined (some since 16), but in no particular order. */
static bool
depends_on_order(Oid aggfnoid)
{
	static const char *const names[] = {"array_agg",	 "string_agg",		"json_agg",
										"jsonb_agg",	 "json_object_agg", "jsonb_object_agg",
										"json_arrayagg", "json_objectagg",	"xmlagg"};
	const char *name;

	if (aggfnoid >= FirstGenbkiObjectId)
		return false;
	name = get_func_name(aggfnoid);
	for (int i = 0; i < lengthof(names); i++)
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

/*
 * Text that tells states like this aggregate's from all others, in any database
 * they may be restored to: what writes and reads them.  Aggregates that share
 * their transition, such as sum and avg of numeric, have the same.
 */
static char *
describe(const SxAggregateLookup *lookup, const Oid *argtypes, int nargs)
{
	const Oid functions[] = {lookup->serialise_function, lookup->deserialise_function};
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < lengthof(functions); i++)
	{
		sx_append_stored_name(&text, get_func_namespace(functions[i]), get_func_name(functions[i]));
		appendStringInfoChar(&text, ' ');
	}
	for (int i = 0; i < nargs; i++)
	{
		appendStringInfoChar(&text, i == 0 ? '(' : ',');
		sx_append_stored_type(&text, argtypes[i]);
	}
	return text.data;
}

/* Whether the columns of pg_aggregate that make a transition state are the same. */
static bool
has_same_transition(HeapTuple left, HeapTuple right)
{
	Form_pg_aggregate a = (Form_pg_aggregate) GETSTRUCT(left);
	Form_pg_aggregate b = (Form_pg_aggregate) GETSTRUCT(right);
	Datum initial[2];
	bool is_null[2];

	if (a->aggtransfn != b->aggtransfn || a->aggcombinefn != b->aggcombinefn ||
		a->aggserialfn != b->aggserialfn || a->aggdeserialfn != b->aggdeserialfn ||
		a->aggtranstype != b->aggtranstype)
		return false;
	initial[0] = SysCacheGetAttr(AGGFNOID, left, Anum_pg_aggregate_agginitval, &is_null[0]);
	initial[1] = SysCacheGetAttr(AGGFNOID, right, Anum_pg_aggregate_agginitval, &is_null[1]);
	if (is_null[0] || is_null[1])
		return is_null[0] == is_null[1];
	return strcmp(TextDatumGetCString(initial[0]), TextDatumGetCString(initial[1])) == 0;
}

bool
sx_aggregate_shares_state(const Aggref *left, const Aggref *right)
{
	HeapTuple tuples[2];
	bool is_same;

	if (equal(left, right))
		return true;
	if (!equal(left->args, right->args) || !equal(left->aggfilter, right->aggfilter) ||
		!equal(left->aggargtypes, right->aggargtypes) || left->inputcollid != right->inputcollid ||
		left->aggvariadic != right->aggvariadic || left->aggstar != right->aggstar)
		return false;
	tuples[0] = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(left->aggfnoid));
	tuples[1] = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(right->aggfnoid));
	if (!HeapTupleIsValid(tuples[0]) || !HeapTupleIsValid(tuples[1]))
		elog(ERROR, "cache lookup failed for an aggregate");
	is_same = has_same_transition(tuples[0], tuples[1]);
	ReleaseSysCache(tuples[0]);
	ReleaseSysCache(tuples[1]);
	return is_same;
}
