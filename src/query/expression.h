/*
 * expression.h
 *	  Pieces of the trees that a view's relations are derived from.
 */
#ifndef SX_EXPRESSION_H
#define SX_EXPRESSION_H

#include "compat.h"

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

/* A call of streamx.name, found by its declared argument types. */
extern FuncExpr *
sx_call(const char *name, int ntypes, const Oid *types, Oid result_type, List *args, Oid collation);

/* A function of one argument in pg_catalog. */
extern Expr *sx_call_builtin(const char *name, Expr *arg);

/* An aggregate of pg_catalog with one argument: min, max. */
extern Aggref *sx_call_aggregate(const char *name, Expr *arg);

/* count(*), of the rows that pass filter; NULL: of all. */
extern Aggref *sx_count_rows(Expr *filter);

/* The aggregate streamx.input_groups(*), of no rows: where the state keeps input groups. */
extern Aggref *sx_call_input_groups(void);

extern Const *sx_text_const(const char *text);

/* An interval in pure time. */
extern Const *sx_interval_const(int64 us);

/* GROUP BY an expression: the clause with its type's operators. */
extern SortGroupClause *sx_group_clause(Expr *expr, Index ref);

/* arg IS NOT NULL */
extern Expr *sx_not_null(Expr *arg);

/* AND a condition to a query's WHERE. */
extern void sx_add_condition(Query *query, Expr *condition);

/*
 * Take the aliases of joins off a query.  They hide the joined relations from its text,
 * which names them where we do: stream.ctid.
 */
extern void sx_drop_join_aliases(Query *query);

/*
 * Write JSON_OBJECTAGG(k: v) as json_object_agg(k, v), and JSON_ARRAYAGG likewise: they
 * have no text when something else stands for the aggregate, or it has an ORDER BY.
 */
extern void sx_unwrap_json(Query *query);

/* type(typmod) and collation of an expression, as SQL. */
extern void sx_append_type(StringInfo sql, Oid type, int32 typmod, Oid collation);

/* SELECT NULL::type AS name, … with the columns of a target list. */
extern void sx_append_dummy_select(StringInfo sql, List *targetlist);

#endif
