/*
 * frequency.c
 *	  Which values are the most frequent? Type top_k_sketch, and the aggregates
 *	  approx_top_k, top_k_sketch_agg and merge.
 *
 * Space-Saving (A. Metwally, D. Agrawal, A. El Abbadi, "Efficient Computation of
 * Frequent and Top-k Elements in Data Streams", ICDT 2005), merged as Misra-Gries
 * summaries are, to which it is isomorphic (P. K. Agarwal et al., "Mergeable
 * Summaries", PODS 2012).  m counters are kept, 20 for each of the k values that
 * are wanted and at least 200.  A value that has none may have been there up to "offset" times:
 *
 *		a new value starts at count = offset + 1, error = offset
 *		too many counters: the m with the highest counts stay, and offset becomes
 *		the count of the next
 *
 * Then for every value, in whatever order and by whatever merges it came here,
 *
 *		count - error <= how often it was there <= count, and error <= offset,
 *		(m + 1) * offset <= rows - sum over the counters of (count - offset)
 *
 * so that no error exceeds rows / (m + 1), and each value that was there more
 * often than that has a counter.  With no more than m distinct values all counts
 * are exact and the sketch does not depend on the order; else it does, within
 * those bounds.  The counters are twice m before they are cut, so that each row
 * costs the same on average (D. Anderson et al., "A High-Performance Algorithm for
 * Identifying Frequent Items in Data Streams", IMC 2017).
 *
 *		contents  schema and name of the values' type, each preceded by its length |
 *				  k | rows | offset | for each counter, by count (the highest first), error and value:
 *				  length of the value, value as its send function has it, count, error
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "port/pg_bswap.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "aggregate/datum_type.h"
#include "aggregate/image.h"
#include "aggregate/sketch.h"

#define MOST_K 1000
#define COUNTERS_PER_K 20
#define LEAST_COUNTED_K 10
#define LEAST_SLOTS 4

typedef struct Counter
{
	Datum value;
	int64 count; /* 0: an empty slot */
	int64 error;
	uint32 hash;
} Counter;

typedef struct Frequencies
{
	TypeCacheEntry *type; /* lives as long as the backend */
	bool has_images;	  /* equal values may be told apart: by their images */
	SxImageType image;
	int k;
	int64 rows;
	int64 offset;
	int ncounters;
	int nslots; /* a power of two */
	Counter *slots;
} Frequencies;

/* A counter as it is written. */
typedef struct Entry
{
	const Counter *counter;
	const char *bytes;
	int length;
	uint64 prefix; /* of bytes, to be compared first */
} Entry;

static void check_frequencies(SxSketchReader *reader);

static const SxSketchKind kind = {"top_k_sketch", 'T', check_frequencies};

PG_FUNCTION_INFO_V1(streamx_top_k_in);
PG_FUNCTION_INFO_V1(streamx_top_k_recv);
PG_FUNCTION_INFO_V1(streamx_top_k_cast);
PG_FUNCTION_INFO_V1(streamx_top_k_add);
PG_FUNCTION_INFO_V1(streamx_top_k_merge);
PG_FUNCTION_INFO_V1(streamx_top_k_combine);
PG_FUNCTION_INFO_V1(streamx_top_k_serialise);
PG_FUNCTION_INFO_V1(streamx_top_k_deserialise);
PG_FUNCTION_INFO_V1(streamx_top_k_final);
PG_FUNCTION_INFO_V1(streamx_top_k_union);
PG_FUNCTION_INFO_V1(streamx_top_k_json);
PG_FUNCTION_INFO_V1(streamx_top_k_rows);

/* Types of values */

/*
 * A sketch names its type, and reading it runs functions of that type, as
 * whoever reads.  So they are types that only a superuser can make, whose
 * functions are in C, and enums: no domain, whose CHECK might call a function of
 * anybody's, and no composite type, which might contain such a domain.  What is
 * made of other types is built in: arrays of a user's types are sent with OIDs,
 * which are others when a dump is restored.
 */
static bool
is_plain_type(Oid type)
{
	switch (get_typtype(type))
	{
		case TYPTYPE_BASE:
			return !OidIsValid(get_base_element_type(type)) || type < FirstNormalObjectId;
		case TYPTYPE_ENUM:
			return true;
		case TYPTYPE_RANGE:
		case TYPTYPE_MULTIRANGE:
			return type < FirstNormalObjectId;
		default:
			return false;
	}
}

static TypeCacheEntry *
look_up_type(Oid oid)
{
	TypeCacheEntry *type =
		lookup_type_cache(oid, TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_EXTENDED_PROC_FINFO);

	if (!is_plain_type(oid))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("approx_top_k does not take values of type %s", format_type_be(oid)),
						errhint("Cast them to text or jsonb.")));
	if (!OidIsValid(type->eq_opr_finfo.fn_oid) ||
		!OidIsValid(type->hash_extended_proc_finfo.fn_oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an equality operator and an extended hash function "
						"for type %s",
						format_type_be(oid)),
				 errhint("Cast the value to a type that has them, such as text.")));
	return type;
}

/* Values are compared as their bytes say: "C" for all collations that do so, too. */
static void
require_deterministic(Oid collation)
{
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("approx_top_k does not support nondeterministic collations"),
						errhint("Use COLLATE \"C\", perhaps with lower().")));
}

static uint32
hash_of(const Frequencies *frequencies, Datum value)
{
	uint64 hash = DatumGetUInt64(FunctionCall2Coll(&frequencies->type->hash_extended_proc_finfo,
												   C_COLLATION_OID, value, Int64GetDatum(0)));

	return murmurhash32((uint32) hash ^ (uint32) (hash >> 32));
}

static bool
is_equal(const Frequencies *frequencies, Datum left, Datum right)
{
	if (left == right && frequencies->type->typbyval)
		return true;
	return DatumGetBool(
		FunctionCall2Coll(&frequencies->type->eq_opr_finfo, C_COLLATION_OID, left, right));
}

/* Counters */

static int
most_counters(const Frequencies *frequencies)
{
	return COUNTERS_PER_K * Max(frequencies->k, LEAST_COUNTED_K);
}

static Frequencies *
make_frequencies(MemoryContext context, TypeCacheEntry *type, int k)
{
	Frequencies *frequencies = MemoryContextAllocZero(context, sizeof(Frequencies));

	frequencies->type = type;
	frequencies->has_images = !sx_image_follows_equality(type->type_id, C_COLLATION_OID);
	if (frequencies->has_images)
		sx_image_open(&frequencies->image, type->type_id, context);
	frequencies->k = k;
	frequencies->nslots = LEAST_SLOTS;
	frequencies->slots = MemoryContextAllocZero(context, LEAST_SLOTS * sizeof(Counter));
	return frequencies;
}

/* Where the counter of a value is, or would be. */
static Counter *
find_counter(const Frequencies *frequencies, Datum value, uint32 hash)
{
	for (uint32 slot = hash;; slot++)
	{
		Counter *counter = &frequencies->slots[slot & (frequencies->nslots - 1)];

		if (counter->count == 0 ||
			(counter->hash == hash && is_equal(frequencies, counter->value, value)))
			return counter;
	}
}

/* Put counters into a new table. */
static void
rebuild(Frequencies *frequencies, const Counter *counters, int ncounters, int nslots)
{
	MemoryContext context = GetMemoryChunkContext(frequencies);

	frequencies->slots = MemoryContextAllocZero(context, nslots * sizeof(Counter));
	frequencies->nslots = nslots;
	frequencies->ncounters = 0;
	for (int i = 0; i < ncounters; i++)
	{
		uint32 slot = counters[i].hash;

		if (counters[i].count == 0)
			continue;
		while (frequencies->slots[slot & (nslots - 1)].count > 0)
			slot++;
		frequencies->slots[slot & (nslots - 1)] = counters[i];
		frequencies->ncounters++;
	}
}

static void
double_slots(Frequencies *frequencies)
{
	Counter *slots = frequencies->slots;

	rebuild(frequencies, slots, frequencies->nslots, 2 * frequencies->nslots);
	pfree(slots);
}

/* The most frequent first, and of those the most certain. */
static inline int
compare_counters(const Counter *left, const Counter *right)
{
	if (left->count != right->count)
		return left->count > right->count ? -1 : 1;
	if (left->error != right->error)
		return left->error < right->error ? -1 : 1;
	return left->hash < right->hash ? -1 : left->hash > right->hash;
}

#define ST_SORT sort_counters
#define ST_ELEMENT_TYPE Counter
#define ST_COMPARE(a, b) compare_counters(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/*
 * All counters, sorted and palloc'd; *nkept is how many of them are to be kept,
 * and *offset what it is then.  If the last that is kept ties with the first that
 * is not, it is no better, but no worse either.
 */
static Counter *
sort_and_cut(const Frequencies *frequencies, int *nkept, int64 *offset)
{
	Counter *sorted = palloc(Max(frequencies->ncounters, 1) * sizeof(Counter));
	int most = most_counters(frequencies);
	int ncounters = 0;

	for (int i = 0; i < frequencies->nslots; i++)
		if (frequencies->slots[i].count > 0)
			sorted[ncounters++] = frequencies->slots[i];
	sort_counters(sorted, ncounters);
	*nkept = Min(ncounters, most);
	*offset = frequencies->offset;
	if (ncounters > most)
		*offset = Max(*offset, sorted[most].count);
	return sorted;
}

static void
cut(Frequencies *frequencies)
{
	int ncounters = frequencies->ncounters;
	Counter *sorted;
	int nkept;

	if (ncounters <= most_counters(frequencies))
		return;
	sorted = sort_and_cut(frequencies, &nkept, &frequencies->offset);
	for (int i = nkept; i < ncounters && !frequencies->type->typbyval; i++)
		pfree(DatumGetPointer(sorted[i].value));
	pfree(frequencies->slots);
	rebuild(frequencies, sorted, nkept, frequencies->nslots);
	pfree(sorted);
}

static Datum
copy_value(Frequencies *frequencies, Datum value)
{
	MemoryContext old = MemoryContextSwitchTo(GetMemoryChunkContext(frequencies));
	Datum copy = frequencies->type->typlen == -1
					 ? PointerGetDatum(PG_DETOAST_DATUM_COPY(value))
					 : datumCopy(value, frequencies->type->typbyval, frequencies->type->typlen);

	MemoryContextSwitchTo(old);
	return copy;
}

static int
compare_images(Frequencies *frequencies, Datum left, Datum right)
{
	bytea *left_image = sx_image(&frequencies->image, left);
	bytea *right_image = sx_image(&frequencies->image, right);
	Size left_length = VARSIZE_ANY_EXHDR(left_image);
	Size right_length = VARSIZE_ANY_EXHDR(right_image);
	int order =
		memcmp(VARDATA_ANY(left_image), VARDATA_ANY(right_image), Min(left_length, right_length));

	if (order == 0)
		order = left_length < right_length ? -1 : left_length > right_length;
	pfree(left_image);
	pfree(right_image);
	return order;
}

/* Of equal values that look different the one with the least image is shown, in whatever order they come. */
static void
keep_least(Frequencies *frequencies, Counter *counter, Datum value)
{
	if (!frequencies->has_images || sx_image_equal(&frequencies->image, counter->value, value) ||
		compare_images(frequencies, counter->value, value) <= 0)
		return;
	if (!frequencies->type->typbyval)
		pfree(DatumGetPointer(counter->value));
	counter->value = copy_value(frequencies, value);
}

/* A counter for a value that has none; counter is where find_counter was. */
static void
insert_counter(Frequencies *frequencies, Counter *counter, Datum value, uint32 hash, int64 count,
			   int64 error)
{
	counter->value = copy_value(frequencies, value);
	counter->hash = hash;
	counter->count = count;
	counter->error = error;
	frequencies->ncounters++;

	if (frequencies->ncounters > 2 * most_counters(frequencies))
		cut(frequencies);
	else if (frequencies->ncounters >= frequencies->nslots - frequencies->nslots / 8)
		double_slots(frequencies);
}

static void
add_rows(Frequencies *frequencies, int64 rows)
{
	if (unlikely(pg_add_s64_overflow(frequencies->rows, rows, &frequencies->rows)))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("top_k_sketch counts too many values")));
}

static void
add_value(Frequencies *frequencies, Datum value)
{
	uint32 hash = hash_of(frequencies, value);
	Counter *counter = find_counter(frequencies, value, hash);

	add_rows(frequencies, 1);
	if (counter->count > 0)
	{
		counter->count++;
		keep_least(frequencies, counter, value);
	}
	else
		insert_counter(frequencies, counter, value, hash, frequencies->offset + 1,
					   frequencies->offset);
}

/* Where one of the two has no counter, its offset counts: the value may have been there so often. */
static void
merge_frequencies(Frequencies *frequencies, const Frequencies *more)
{
	if (frequencies->type != more->type)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("cannot merge sketches of values of type %s and %s",
							   format_type_be(frequencies->type->type_id),
							   format_type_be(more->type->type_id))));
	add_rows(frequencies, more->rows);
	frequencies->k = Min(frequencies->k, more->k);
	for (int i = 0; i < frequencies->nslots; i++)
		if (frequencies->slots[i].count > 0)
		{
			frequencies->slots[i].count += more->offset;
			frequencies->slots[i].error += more->offset;
		}
	frequencies->offset += more->offset;
	for (int i = 0; i < more->nslots; i++)
	{
		const Counter *theirs = &more->slots[i];
		Counter *ours;

		if (theirs->count == 0)
			continue;
		ours = find_counter(frequencies, theirs->value, theirs->hash);
		if (ours->count > 0)
		{
			ours->count += theirs->count - more->offset;
			ours->error += theirs->error - more->offset;
			keep_least(frequencies, ours, theirs->value);
		}
		else
			insert_counter(frequencies, ours, theirs->value, theirs->hash,
						   theirs->count + frequencies->offset - more->offset,
						   theirs->error + frequencies->offset - more->offset);
	}
	cut(frequencies);
}

/* Reading and writing */

static void
write_string(StringInfo sketch, const char *string)
{
	sx_sketch_write_number(sketch, strlen(string));
	appendStringInfoString(sketch, string);
}

static const char *
read_name(SxSketchReader *reader)
{
	int length = sx_sketch_read_number(reader, NAMEDATALEN - 1);
	char *name = pnstrdup(sx_sketch_read_bytes(reader, length), length);

	if (strlen(name) != length || !pg_verifymbstr(name, length, true))
		sx_sketch_refuse(reader, "The name of its values' type is wrong.");
	return name;
}

/* A type's schema and name, looked up in no search_path. */
static void
write_type(StringInfo sketch, const TypeCacheEntry *type)
{
	HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type->type_id));
	Form_pg_type form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type->type_id);
	form = (Form_pg_type) GETSTRUCT(tuple);
	write_string(sketch, get_namespace_name(form->typnamespace));
	write_string(sketch, NameStr(form->typname));
	ReleaseSysCache(tuple);
}

static TypeCacheEntry *
read_type(SxSketchReader *reader)
{
	const char *schema = read_name(reader);
	const char *name = read_name(reader);
	Oid namespace = get_namespace_oid(schema, true);
	Oid oid = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
							  ObjectIdGetDatum(namespace));

	if (!OidIsValid(oid) || !get_typisdefined(oid))
		ereport(ERROR,
				(errcode(reader->sqlstate), errmsg("invalid value for type %s", reader->kind->type),
				 errdetail("It is of values of type %s, which does not exist.",
						   quote_qualified_identifier(schema, name))));
	return look_up_type(oid);
}

/* Counts that no sketch has might overflow, or promise what nobody can keep. */
static void
check_counts(SxSketchReader *reader, const Frequencies *frequencies)
{
	int64 rest = frequencies->rows;

	if (frequencies->offset > rest / (most_counters(frequencies) + 1))
		sx_sketch_refuse(reader, "Its offset is too large.");
	rest -= frequencies->offset * (most_counters(frequencies) + 1);
	for (int i = 0; i < frequencies->nslots; i++)
	{
		const Counter *counter = &frequencies->slots[i];

		if (counter->count == 0)
			continue;
		if (counter->count < frequencies->offset || counter->error > frequencies->offset ||
			counter->error >= counter->count || counter->count - frequencies->offset > rest)
			sx_sketch_refuse(reader, "Its counts do not belong together.");
		rest -= counter->count - frequencies->offset;
	}
}

/* The first bytes as memcmp compares them; zeros where there are none, which memcmp then decides. */
static uint64
prefix_of(const char *bytes, int length)
{
	uint64 prefix = 0;

	memcpy(&prefix, bytes, Min(length, (int) sizeof(prefix)));
	return pg_ntoh64(prefix);
}

static inline int
compare_entries(const Entry *a, const Entry *b)
{
	int difference;

	if (a->counter->count != b->counter->count)
		return a->counter->count > b->counter->count ? -1 : 1;
	if (a->counter->error != b->counter->error)
		return a->counter->error < b->counter->error ? -1 : 1;
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	difference = memcmp(a->bytes, b->bytes, Min(a->length, b->length));
	return difference != 0 ? difference : a->length - b->length;
}

static void
read_counters(SxSketchReader *reader, Frequencies *frequencies)
{
	FmgrInfo receive;
	Oid function;
	Oid parameter;
	StringInfoData bytes;
	Entry previous = {0};
	Counter last;

	getTypeBinaryInputInfo(frequencies->type->type_id, &function, &parameter);
	fmgr_info(function, &receive);
	initStringInfo(&bytes);
	while (sx_sketch_remaining(reader) > 0)
	{
		int length = sx_sketch_read_number(reader, sx_sketch_remaining(reader));
		Entry entry = {.length = length};
		Counter *counter;
		Counter read = {0};

		if (frequencies->ncounters == most_counters(frequencies))
			sx_sketch_refuse(reader, "It has too many counters.");
		resetStringInfo(&bytes);
		entry.bytes = sx_sketch_read_bytes(reader, length);
		entry.prefix = prefix_of(entry.bytes, length);
		appendBinaryStringInfo(&bytes, entry.bytes, length);
		read.value = ReceiveFunctionCall(&receive, &bytes, parameter, -1);
		if (bytes.cursor != bytes.len)
			sx_sketch_refuse(reader, "A value is too long.");
		read.count = sx_sketch_read_number(reader, PG_INT64_MAX);
		read.error = sx_sketch_read_number(reader, PG_INT64_MAX);
		read.hash = hash_of(frequencies, read.value);
		counter = find_counter(frequencies, read.value, read.hash);
		if (read.count == 0 || counter->count > 0)
			sx_sketch_refuse(reader, "A value is there twice, or not at all.");
		insert_counter(frequencies, counter, read.value, read.hash, read.count, read.error);

		entry.counter = &read;
		if (previous.counter && compare_entries(&previous, &entry) >= 0)
			sx_sketch_refuse(reader, "Its values are in another order.");
		last = read;
		previous = entry;
		previous.counter = &last;
	}
}

static Frequencies *
read_contents(SxSketchReader *reader, MemoryContext context)
{
	TypeCacheEntry *type = read_type(reader);
	Frequencies *frequencies;
	int client;

	frequencies = make_frequencies(context, type, sx_sketch_read_number(reader, MOST_K));
	if (frequencies->k == 0)
		sx_sketch_refuse(reader, "Its k is 0.");
	frequencies->rows = sx_sketch_read_number(reader, PG_INT64_MAX);
	frequencies->offset = sx_sketch_read_number(reader, PG_INT64_MAX);
	client = sx_datum_wire_begin();
	PG_TRY();
	{
		read_counters(reader, frequencies);
	}
	PG_FINALLY();
	{
		sx_datum_wire_end(client);
	}
	PG_END_TRY();
	check_counts(reader, frequencies);
	return frequencies;
}

static void
check_frequencies(SxSketchReader *reader)
{
	read_contents(reader, CurrentMemoryContext);
}

static Frequencies *
read_frequencies(Datum sketch, MemoryContext context)
{
	SxSketchReader reader;

	sx_sketch_open(&reader, &kind, sketch);
	return read_contents(&reader, context);
}

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE Entry
#define ST_COMPARE(a, b) compare_entries(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
send_values(const Frequencies *frequencies, Entry *entries, int nentries)
{
	FmgrInfo send;
	Oid function;
	bool is_varlena;

	getTypeBinaryOutputInfo(frequencies->type->type_id, &function, &is_varlena);
	fmgr_info(function, &send);
	for (int i = 0; i < nentries; i++)
	{
		bytea *bytes = SendFunctionCall(&send, entries[i].counter->value);

		entries[i].bytes = VARDATA(bytes);
		entries[i].length = VARSIZE(bytes) - VARHDRSZ;
		entries[i].prefix = prefix_of(entries[i].bytes, entries[i].length);
	}
}

/* The counters to be kept, as they are written and shown. */
static Entry *
list_entries(const Frequencies *frequencies, int *nentries, int64 *offset)
{
	const Counter *counters = sort_and_cut(frequencies, nentries, offset);
	Entry *entries = palloc(Max(*nentries, 1) * sizeof(Entry));
	int client = sx_datum_wire_begin();

	for (int i = 0; i < *nentries; i++)
		entries[i].counter = &counters[i];
	PG_TRY();
	{
		send_values(frequencies, entries, *nentries);
	}
	PG_FINALLY();
	{
		sx_datum_wire_end(client);
	}
	PG_END_TRY();
	sort_entries(entries, *nentries);
	return entries;
}

static Datum
write_frequencies(const Frequencies *frequencies)
{
	StringInfoData sketch;
	int nentries;
	int64 offset;
	const Entry *entries = list_entries(frequencies, &nentries, &offset);

	sx_sketch_begin(&sketch, &kind);
	write_type(&sketch, frequencies->type);
	sx_sketch_write_number(&sketch, frequencies->k);
	sx_sketch_write_number(&sketch, frequencies->rows);
	sx_sketch_write_number(&sketch, offset);
	for (int i = 0; i < nentries; i++)
	{
		sx_sketch_write_number(&sketch, entries[i].length);
		appendBinaryStringInfo(&sketch, entries[i].bytes, entries[i].length);
		sx_sketch_write_number(&sketch, entries[i].counter->count);
		sx_sketch_write_number(&sketch, entries[i].counter->error);
	}
	return sx_sketch_end(&sketch);
}

/* Results */

static void
push_key(JsonbParseState **state, const char *key)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = (char *) key;
	value.val.string.len = strlen(key);
	pushJsonbValue(state, WJB_KEY, &value);
}

static void
push_count(JsonbParseState **state, const char *key, int64 count)
{
	JsonbValue value = {.type = jbvNumeric};

	push_key(state, key);
	value.val.numeric = int64_to_numeric(count);
	pushJsonbValue(state, WJB_VALUE, &value);
}

static void
push_value(JsonbParseState **state, Jsonb *json)
{
	JsonbValue value;

	push_key(state, "value");
	if (!JB_ROOT_IS_SCALAR(json) || !JsonbExtractScalar(&json->root, &value))
	{
		value.type = jbvBinary;
		value.val.binary.data = &json->root;
		value.val.binary.len = VARSIZE(json) - VARHDRSZ;
	}
	pushJsonbValue(state, WJB_VALUE, &value);
}

/* [{"value": ..., "count": ..., "max_error": ...}, ...] */
static Datum
top_as_json(const Frequencies *frequencies)
{
	int nentries;
	int64 offset;
	const Entry *entries = list_entries(frequencies, &nentries, &offset);
	JsonbParseState *state = NULL;
	FmgrInfo to_jsonb;
	Node *argument = (Node *) makeNullConst(frequencies->type->type_id, -1, InvalidOid);

	fmgr_info(F_TO_JSONB, &to_jsonb);
	fmgr_info_set_expr((Node *) makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid,
											 InvalidOid, COERCE_EXPLICIT_CALL),
					   &to_jsonb);
	pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	for (int i = 0; i < Min(nentries, frequencies->k); i++)
	{
		const Counter *counter = entries[i].counter;

		pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
		push_value(&state, DatumGetJsonbP(FunctionCall1(&to_jsonb, counter->value)));
		push_count(&state, "count", counter->count);
		push_count(&state, "max_error", counter->error);
		pushJsonbValue(&state, WJB_END_OBJECT, NULL);
	}
	return JsonbPGetDatum(JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_ARRAY, NULL)));
}

/* Functions */

Datum
streamx_top_k_in(PG_FUNCTION_ARGS)
{
	return sx_sketch_in(&kind, fcinfo);
}

Datum
streamx_top_k_recv(PG_FUNCTION_ARGS)
{
	return sx_sketch_recv(&kind, fcinfo);
}

Datum
streamx_top_k_cast(PG_FUNCTION_ARGS)
{
	return sx_sketch_cast(&kind, fcinfo);
}

static Datum
return_state(Frequencies *frequencies, FunctionCallInfo fcinfo)
{
	if (frequencies == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(frequencies);
}

/* A state for the type of the argument; refuses it here, before any row has been counted. */
static Frequencies *
start_state(FunctionCallInfo fcinfo)
{
	Oid oid = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1));
	int k = PG_GETARG_INT32(2);
	Oid function;
	Oid parameter;
	bool is_varlena;

	if (k < 1 || k > MOST_K)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("k must be between 1 and %d", MOST_K)));
	require_deterministic(PG_GET_COLLATION());
	getTypeBinaryInputInfo(oid, &function, &parameter);
	getTypeBinaryOutputInfo(oid, &function, &is_varlena);
	return make_frequencies(sx_sketch_aggregate_context(fcinfo), look_up_type(oid), k);
}

/* (internal, anyelement, integer) */
Datum
streamx_top_k_add(PG_FUNCTION_ARGS)
{
	Frequencies *frequencies = PG_ARGISNULL(0) ? NULL : (Frequencies *) PG_GETARG_POINTER(0);

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return return_state(frequencies, fcinfo);
	if (frequencies == NULL)
		frequencies = start_state(fcinfo);
	if (frequencies->k != PG_GETARG_INT32(2))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("approx_top_k needs the same k in all rows of a group")));
	add_value(frequencies, PG_GETARG_DATUM(1));
	PG_RETURN_POINTER(frequencies);
}

static Datum
merge_into_state(FunctionCallInfo fcinfo, const Frequencies *more)
{
	Frequencies *frequencies = PG_ARGISNULL(0) ? NULL : (Frequencies *) PG_GETARG_POINTER(0);

	if (more != NULL)
	{
		if (frequencies == NULL)
			frequencies =
				make_frequencies(sx_sketch_aggregate_context(fcinfo), more->type, more->k);
		merge_frequencies(frequencies, more);
	}
	return return_state(frequencies, fcinfo);
}

/* (internal, top_k_sketch) */
Datum
streamx_top_k_merge(PG_FUNCTION_ARGS)
{
	return merge_into_state(
		fcinfo,
		PG_ARGISNULL(1) ? NULL : read_frequencies(PG_GETARG_DATUM(1), CurrentMemoryContext));
}

Datum
streamx_top_k_combine(PG_FUNCTION_ARGS)
{
	return merge_into_state(fcinfo, PG_ARGISNULL(1) ? NULL : (Frequencies *) PG_GETARG_POINTER(1));
}

/* Also the final function of the aggregates that return a sketch. */
Datum
streamx_top_k_serialise(PG_FUNCTION_ARGS)
{
	return write_frequencies((Frequencies *) PG_GETARG_POINTER(0));
}

Datum
streamx_top_k_deserialise(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(read_frequencies(PG_GETARG_DATUM(0), CurrentMemoryContext));
}

Datum
streamx_top_k_final(PG_FUNCTION_ARGS)
{
	return top_as_json((Frequencies *) PG_GETARG_POINTER(0));
}

Datum
streamx_top_k_union(PG_FUNCTION_ARGS)
{
	Frequencies *frequencies = read_frequencies(PG_GETARG_DATUM(0), CurrentMemoryContext);

	merge_frequencies(frequencies, read_frequencies(PG_GETARG_DATUM(1), CurrentMemoryContext));
	return write_frequencies(frequencies);
}

/* (top_k_sketch) */
Datum
streamx_top_k_json(PG_FUNCTION_ARGS)
{
	return top_as_json(read_frequencies(PG_GETARG_DATUM(0), CurrentMemoryContext));
}

/* (top_k_sketch, anyelement); the second only tells the type. */
Datum
streamx_top_k_rows(PG_FUNCTION_ARGS)
{
	Oid oid = get_fn_expr_argtype(fcinfo->flinfo, 1);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const Frequencies *frequencies;
	const Entry *entries;
	int nentries;
	int64 offset;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	frequencies = read_frequencies(PG_GETARG_DATUM(0), CurrentMemoryContext);
	if (frequencies->type->type_id != oid)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("sketch is of values of type %s, not %s",
							   format_type_be(frequencies->type->type_id), format_type_be(oid)),
						errhint("Call top_k(sketch, NULL::%s).",
								format_type_be(frequencies->type->type_id))));
	entries = list_entries(frequencies, &nentries, &offset);
	for (int i = 0; i < Min(nentries, frequencies->k); i++)
	{
		const Counter *counter = entries[i].counter;
		Datum values[] = {counter->value, Int64GetDatum(counter->count),
						  Int64GetDatum(counter->error)};
		bool nulls[lengthof(values)] = {false};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
