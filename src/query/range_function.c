/*
 * range_function.c
 *	  The functions by which visible views show windows, and those that conditions
 *	  on windows become conditions on their starts with.
 *
 * The planner's hook asks for them in every query, so they are looked up once
 * and forgotten by invalidation.
 */
#include "compat.h"

#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "query/range_function.h"

static bool namespace_is_known = false;
static Oid internal_namespace;
static bool functions_are_known = false;
static SxRangeFunctions functions[SX_RANGE_TYPES];

static void register_forgetting(void);
static bool find_range_functions(Oid extension, Oid namespace, SxRangeFunctions *found);
static Oid
find_function(Oid extension, Oid namespace, const char *name, int nargs, const Oid *args);
static void forget(Datum arg, int cache, uint32 hash);

Oid
sx_internal_namespace(void)
{
	register_forgetting();
	if (!namespace_is_known)
	{
		namespace_is_known = true; /* first: the lookup may be told to forget it */
		internal_namespace = get_namespace_oid("streamx_internal", true);
	}
	return internal_namespace;
}

/*
 * They must belong to the extension: anybody may create a schema and functions
 * of these names where it is not installed.
 */
const SxRangeFunctions *
sx_range_functions(void)
{
	Oid extension;
	Oid namespace;

	register_forgetting();
	if (functions_are_known)
		return functions;
	extension = get_extension_oid("streamx", true);
	namespace = get_namespace_oid("streamx", true);
	if (!OidIsValid(extension) || !OidIsValid(namespace))
		return NULL;

	functions[0].slice_type = TIMESTAMPTZOID;
	functions[0].range_type = TSTZRANGEOID;
	functions[1].slice_type = TIMESTAMPOID;
	functions[1].range_type = TSRANGEOID;
	functions_are_known = true; /* first: the lookup may be told to forget them */
	if (!find_range_functions(extension, namespace, &functions[0]) ||
		!find_range_functions(extension, namespace, &functions[1]))
		functions_are_known = false;
	return functions_are_known ? functions : NULL;
}

static void
register_forgetting(void)
{
	static bool is_registered = false;

	if (is_registered)
		return;
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget, (Datum) 0);
	CacheRegisterSyscacheCallback(PROCOID, forget, (Datum) 0);
	is_registered = true;
}

static bool
find_range_functions(Oid extension, Oid namespace, SxRangeFunctions *found)
{
	Oid slice = found->slice_type;
	Oid range = found->range_type;

	const Oid before[] = {slice, INTERVALOID};
	const Oid calendar[] = {slice, INTERVALOID, slice, TEXTOID};
	const Oid window[] = {slice, slice, INTERVALOID, INTERVALOID};

	found->tumble_range = find_function(extension, namespace, "tumble_range", 2, before);
	found->calendar_range = find_function(extension, namespace, "tumble_range", 4, calendar);
	found->window_range = find_function(extension, namespace, "window_range", 4, window);
	found->slice_before = find_function(extension, namespace, "slice_before", 2, before);
	found->range_first = find_function(extension, namespace, "range_first", 1, &range);
	found->range_last = find_function(extension, namespace, "range_last", 1, &range);
	return OidIsValid(found->tumble_range) && OidIsValid(found->calendar_range) &&
		   OidIsValid(found->window_range) && OidIsValid(found->slice_before) &&
		   OidIsValid(found->range_first) && OidIsValid(found->range_last);
}

static Oid
find_function(Oid extension, Oid namespace, const char *name, int nargs, const Oid *args)
{
	oidvector *arguments = buildoidvector(args, nargs);
	Oid function = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
								   PointerGetDatum(arguments), ObjectIdGetDatum(namespace));

	if (OidIsValid(function) && getExtensionOfObject(ProcedureRelationId, function) != extension)
		return InvalidOid;
	return function;
}

static void
forget(Datum arg, int cache, uint32 hash)
{
	functions_are_known = false;
	if (cache == NAMESPACEOID)
		namespace_is_known = false;
}
