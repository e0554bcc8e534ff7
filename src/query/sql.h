/*
 * sql.h
 *	  The few texts of SQL that the engine runs over internal relations.
 */
#ifndef SX_SQL_H
#define SX_SQL_H

#include "compat.h"

/* schema.relation, quoted; palloc'd.  An ERROR if it is gone. */
extern char *sx_sql_name(Oid relid);

/* "SELECT * FROM schema.relation"; palloc'd. */
extern char *sx_sql_select_all(Oid relid);

/* The same, but only where a column equals parameter $1. */
extern char *sx_sql_select_where(Oid relid, const char *column);

#endif
