/*
 * compat.h
 *	  What every file of streamx includes first.
 *
 * The only file that tests PG_VERSION_NUM or RD_KAFKA_VERSION: differences
 * between the servers (15, 17, 18) and librdkafkas we support become one name
 * here.
 */
#ifndef SX_COMPAT_H
#define SX_COMPAT_H

#include "postgres.h"

#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "streamx needs PostgreSQL 15 or later"
#endif

/* Symbols are hidden by default (-fvisibility=hidden); before 16 PG_MODULE_MAGIC
 * and PG_FUNCTION_INFO_V1 do not mark theirs for export. */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(function)                                                              \
	extern PGDLLEXPORT Datum function(PG_FUNCTION_ARGS);                                           \
	extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, function)(void);                \
	const Pg_finfo_record *CppConcat(pg_finfo_, function)(void)                                    \
	{                                                                                              \
		static const Pg_finfo_record my_finfo = {1};                                               \
		return &my_finfo;                                                                          \
	}                                                                                              \
	extern int no_such_variable
#endif
#define SX_EXPORT PGDLLEXPORT

#if PG_VERSION_NUM >= 160000
#define sx_owns_relation(relation, role) object_ownercheck(RelationRelationId, relation, role)
#else
#define sx_owns_relation(relation, role) pg_class_ownercheck(relation, role)
#endif

/* A set of events to wait for, freed by the caller; 17 wants a resource owner instead of a context. */
#if PG_VERSION_NUM >= 170000
#define sx_create_wait_event_set(nevents) CreateWaitEventSet(NULL, nevents)
#else
#define sx_create_wait_event_set(nevents) CreateWaitEventSet(CurrentMemoryContext, nevents)
#endif

/* EXPLAIN's property functions and ExplainState; include as #include SX_EXPLAIN_FORMAT_H */
#if PG_VERSION_NUM >= 180000
#define SX_EXPLAIN_FORMAT_H "commands/explain_format.h"
#define SX_EXPLAIN_STATE_H "commands/explain_state.h"
#else
#define SX_EXPLAIN_FORMAT_H "commands/explain.h"
#define SX_EXPLAIN_STATE_H "commands/explain.h"
#endif

/* A plain path of a foreign scan: no pathkeys, no outer path, nothing private. */
#if PG_VERSION_NUM >= 180000
#define sx_create_foreignscan_path(root, rel, rows, startup, total, outer)                         \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, NIL, outer, NULL, NIL, NIL)
#elif PG_VERSION_NUM >= 170000
#define sx_create_foreignscan_path(root, rel, rows, startup, total, outer)                         \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, outer, NULL, NIL, NIL)
#else
#define sx_create_foreignscan_path(root, rel, rows, startup, total, outer)                         \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, outer, NULL, NIL)
#endif

/* The role a ForeignScan checks as; InvalidOid: the current one. */
#if PG_VERSION_NUM >= 160000
#define sx_foreignscan_check_as(plan, estate) ((plan)->checkAsUser)
#else
#define sx_foreignscan_check_as(plan, estate)                                                      \
	(exec_rt_fetch((plan)->scan.scanrelid, estate)->checkAsUser)
#endif

/* range_serialize learned soft errors in 16. */
#if PG_VERSION_NUM >= 160000
#define sx_range_serialize(typcache, lower, upper, is_empty)                                       \
	range_serialize(typcache, lower, upper, is_empty, NULL)
#else
#define sx_range_serialize(typcache, lower, upper, is_empty)                                       \
	range_serialize(typcache, lower, upper, is_empty)
#endif

/*
 * 18 shows grouped expressions as Vars of an RTE_GROUP, the last of the range
 * table.  Those of the target list have no location: they get their expressions'.
 */
#if PG_VERSION_NUM >= 180000
#define sx_compat_flatten_groups(query)                                                            \
	do                                                                                             \
	{                                                                                              \
		if ((query)->hasGroupRTE)                                                                  \
		{                                                                                          \
			const RangeTblEntry *group_ = llast_node(RangeTblEntry, (query)->rtable);              \
			ListCell *lc_;                                                                         \
                                                                                                   \
			foreach (lc_, (query)->targetList)                                                     \
			{                                                                                      \
				Var *var_ = (Var *) ((TargetEntry *) lfirst(lc_))->expr;                           \
                                                                                                   \
				if (IsA(var_, Var) && var_->varno == list_length((query)->rtable) &&               \
					var_->location < 0)                                                            \
					var_->location =                                                               \
						exprLocation(list_nth(group_->groupexprs, var_->varattno - 1));            \
			}                                                                                      \
			(query)->targetList =                                                                  \
				(List *) flatten_group_exprs(NULL, (query), (Node *) (query)->targetList);         \
			(query)->havingQual = flatten_group_exprs(NULL, (query), (query)->havingQual);         \
			(query)->rtable = list_truncate((query)->rtable, list_length((query)->rtable) - 1);    \
			(query)->hasGroupRTE = false;                                                          \
		}                                                                                          \
	} while (0)
#else
#define sx_compat_flatten_groups(query) ((void) 0)
#endif

/*
 * Since 16 JSON_ARRAYAGG and JSON_OBJECTAGG are nodes around an aggregate, with a
 * coercion of its result, or NULL; their arguments may be, too, with FORMAT JSON.
 */
#if PG_VERSION_NUM >= 160000
#define sx_compat_json_aggregate(node)                                                             \
	(IsA((node), JsonConstructorExpr) ? ((JsonConstructorExpr *) (node))->func : NULL)
#define sx_compat_json_coercion(node) (((JsonConstructorExpr *) (node))->coercion)
#define sx_compat_json_value(expr)                                                                 \
	(IsA((expr), JsonValueExpr) ? ((JsonValueExpr *) (expr))->formatted_expr : (expr))
#else
#define sx_compat_json_aggregate(node) ((Expr *) NULL)
#define sx_compat_json_coercion(node) ((Expr *) NULL)
#define sx_compat_json_value(expr) (expr)
#endif

/* 18 can leave room in front of the tuple. */
#if PG_VERSION_NUM >= 180000
#define sx_form_minimal_tuple(desc, values, isnull) heap_form_minimal_tuple(desc, values, isnull, 0)
#else
#define sx_form_minimal_tuple(desc, values, isnull) heap_form_minimal_tuple(desc, values, isnull)
#endif

#if PG_VERSION_NUM >= 160000
#define sx_compat_flatten_join_aliases(query, node) flatten_join_alias_vars(NULL, (query), (node))
#define sx_compat_take_permissions(query, pstate) ((query)->rteperminfos = (pstate)->p_rteperminfos)
#else
#define sx_compat_flatten_join_aliases(query, node) flatten_join_alias_vars((query), (node))
#define sx_compat_take_permissions(query, pstate) ((void) 0)
#endif

/* Let a query check another relation's privileges, in place of those of from. */
#if PG_VERSION_NUM >= 160000
#define sx_compat_move_permissions(query, from, to)                                                \
	do                                                                                             \
	{                                                                                              \
		ListCell *lc_;                                                                             \
                                                                                                   \
		foreach (lc_, (query)->rteperminfos)                                                       \
		{                                                                                          \
			RTEPermissionInfo *info_ = lfirst(lc_);                                                \
                                                                                                   \
			if (info_->relid == (from))                                                            \
				info_->relid = (to);                                                               \
		}                                                                                          \
	} while (0)
#else
#define sx_compat_move_permissions(query, from, to) ((void) 0)
#endif

/* Columns of a relation that a query must be allowed to read (Bitmapset **), or NULL: they are checked nowhere. */
#if PG_VERSION_NUM >= 160000
#define sx_compat_selected_columns(query, rte)                                                     \
	((rte)->perminfoindex == 0                                                                     \
		 ? NULL                                                                                    \
		 : &getRTEPermissionInfo((query)->rteperminfos, (rte))->selectedCols)
#define sx_compat_forget_columns(rte) ((void) 0)
#define sx_compat_forget_permissions(rte) ((rte)->perminfoindex = 0)
#define sx_compat_forget_all_permissions(query) ((query)->rteperminfos = NIL)
#else
#define sx_compat_selected_columns(query, rte)                                                     \
	((rte)->rtekind != RTE_RELATION ? NULL : &(rte)->selectedCols)
#define sx_compat_forget_columns(rte) ((rte)->selectedCols = NULL)
#define sx_compat_forget_permissions(rte)                                                          \
	((rte)->requiredPerms = 0, (rte)->checkAsUser = InvalidOid,                                    \
	 (rte)->selectedCols = (rte)->insertedCols = (rte)->updatedCols = NULL)
#define sx_compat_forget_all_permissions(query) ((void) 0)
#endif

#if PG_VERSION_NUM >= 180000
#define sx_compat_executor_run(desc, direction, count) ExecutorRun((desc), (direction), (count))
#else
#define sx_compat_executor_run(desc, direction, count)                                             \
	ExecutorRun((desc), (direction), (count), true)
#endif

/* varlena macros moved out of postgres.h in 16; privileges of functions got a general check. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#define sx_function_aclcheck(function, role)                                                       \
	object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE)
#define sx_server_aclcheck(server, role)                                                           \
	object_aclcheck(ForeignServerRelationId, server, role, ACL_USAGE)
#else
#define sx_function_aclcheck(function, role) pg_proc_aclcheck(function, role, ACL_EXECUTE)
#define sx_server_aclcheck(server, role) pg_foreign_server_aclcheck(server, role, ACL_USAGE)
#endif

/* Since 16 an update says which indexes it needs entries in: none, all or summarising ones. */
#if PG_VERSION_NUM >= 160000
#define SxUpdateIndexes TU_UpdateIndexes
#define SX_UPDATE_ALL_INDEXES TU_All
#define sx_update_needs_indexes(update_indexes) ((update_indexes) != TU_None)
#define sx_insert_index_tuples(relinfo, slot, estate, is_update, update_indexes)                   \
	ExecInsertIndexTuples(relinfo, slot, estate, is_update, false, NULL, NIL,                      \
						  (update_indexes) == TU_Summarizing)
#else
#define SxUpdateIndexes bool
#define SX_UPDATE_ALL_INDEXES true
#define sx_update_needs_indexes(update_indexes) (update_indexes)
#define sx_insert_index_tuples(relinfo, slot, estate, is_update, update_indexes)                   \
	ExecInsertIndexTuples(relinfo, slot, estate, is_update, false, NULL, NIL)
#endif

#if PG_VERSION_NUM >= 180000
#define sx_index_beginscan(heap, index, snapshot, nkeys)                                           \
	index_beginscan(heap, index, snapshot, NULL, nkeys, 0)
#else
#define sx_index_beginscan(heap, index, snapshot, nkeys)                                           \
	index_beginscan(heap, index, snapshot, nkeys, 0)
#endif

/* 18 has pg_noreturn, to be written before the declaration, instead. */
#if PG_VERSION_NUM >= 180000
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/* Of the server we are built for; stored with what only it can read back. */
#define SX_SERVER_MAJOR (PG_VERSION_NUM / 10000)

/* CHECK constraints can be NOT ENFORCED since 18. */
#if PG_VERSION_NUM >= 180000
#define sx_check_is_enforced(check) ((check)->ccenforced)
#else
#define sx_check_is_enforced(check) true
#endif

/* range = range: the first minor releases of 15 have no name for it. */
#include "catalog/pg_operator.h"
#ifndef RANGE_EQ_OP
#define RANGE_EQ_OP 3882
#endif

#endif
