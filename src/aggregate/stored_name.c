/*
 * stored_name.c
 *	  Qualified, and quoted where that is needed, whatever quote_all_identifiers says.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "aggregate/stored_name.h"

void
sx_append_stored_type(StringInfo text, Oid type)
{
	bool quotes_all = quote_all_identifiers;

	quote_all_identifiers = false;
	PG_TRY();
	{
		appendStringInfoString(text, format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	}
	PG_FINALLY();
	{
		quote_all_identifiers = quotes_all;
	}
	PG_END_TRY();
}

void
sx_append_stored_name(StringInfo text, Oid schema, const char *name)
{
	bool quotes_all = quote_all_identifiers;

	quote_all_identifiers = false;
	PG_TRY();
	{
		appendStringInfoString(text, quote_qualified_identifier(get_namespace_name(schema), name));
	}
	PG_FINALLY();
	{
		quote_all_identifiers = quotes_all;
	}
	PG_END_TRY();
}
