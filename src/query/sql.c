/*
 * sql.c
 *	  The few texts of SQL that the engine runs over internal relations.
 */
#include "compat.h"

#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "query/sql.h"

char *
sx_sql_name(Oid relid)
{
	char *name = get_rel_name(relid);

	if (name == NULL)
		elog(ERROR, "cache lookup failed for relation %u", relid);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)), name);
}

char *
sx_sql_select_all(Oid relid)
{
	return psprintf("SELECT * FROM %s", sx_sql_name(relid));
}

char *
sx_sql_select_where(Oid relid, const char *column)
{
	return psprintf("%s WHERE %s OPERATOR(pg_catalog.=) $1", sx_sql_select_all(relid), column);
}
