/*
 * fdw.c
 *	  The foreign-data wrapper: planning of scans, INSERT and COPY.
 *
 * A scan's plan keeps the columns it needs, a mark (see scan.h) and the
 * conditions that narrow down a topic.  Every condition also stays a filter,
 * so what is pushed down may be approximate but never too narrow.
 */
#include "compat.h"

#include "access/sysattr.h"
#include "batch/condition.h"
#include "batch/fdw.h"
#include "batch/insert.h"
#include "batch/scan_kind.h"
#include "catalog/stream.h"
#include "executor/executor.h"
#include "foreign/fdwapi.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/*
 * What the planner thinks a scan returns, before conditions.  A constant, so
 * that the plans of continuous views keep their shape whatever a batch holds.
 */
#define ROWS_ASSUMED 100000

/* ---- planning of scans ---- */

static void
get_rel_size(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	baserel->tuples = ROWS_ASSUMED;
	set_baserel_size_estimates(root, baserel);
}

static void
get_paths(PlannerInfo *root, RelOptInfo *baserel, Oid relid)
{
	Cost total = baserel->tuples * cpu_tuple_cost + baserel->baserestrictcost.startup +
				 baserel->tuples * baserel->baserestrictcost.per_tuple;

	add_path(baserel, (Path *) sx_create_foreignscan_path(root, baserel, baserel->rows, 0.0, total,
														  baserel->lateral_relids));
}

/*
 * The attnums that a scan must hand out: those in its target and conditions.
 * The plan's own target list may name every column, when nothing is to be
 * projected.
 */
static List *
needed_columns(RelOptInfo *baserel, List *clauses, Oid relid)
{
	Bitmapset *attributes = NULL;
	List *columns = NIL;
	Relation rel = RelationIdGetRelation(relid);
	bool is_whole_row;
	int i;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &attributes);
	pull_varattnos((Node *) clauses, baserel->relid, &attributes);
	is_whole_row =
		bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, attributes);

	for (i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);
		int member = attribute->attnum - FirstLowInvalidHeapAttributeNumber;

		if (!attribute->attisdropped && (is_whole_row || bms_is_member(member, attributes)))
			columns = lappend_int(columns, attribute->attnum);
	}
	RelationClose(rel);
	return columns;
}

static ForeignScan *
get_plan(PlannerInfo *root, RelOptInfo *baserel, Oid relid, ForeignPath *best_path, List *tlist,
		 List *scan_clauses, Plan *outer_plan)
{
	List *clauses = extract_actual_clauses(scan_clauses, false);
	List *columns = needed_columns(baserel, clauses, relid);
	List *values = NIL;
	List *conditions = sx_condition_find(relid, baserel->relid, clauses, &values);

	return make_foreignscan(tlist, clauses, baserel->relid, values,
							list_make3(columns, makeInteger(0), conditions), NIL, NIL, outer_plan);
}

/* ---- INSERT and COPY ---- */

/*
 * UPDATE and DELETE end here, in the planner.
 */
static void
add_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte,
				   Relation target_relation)
{
	bool is_update = root->parse->commandType == CMD_UPDATE;

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg(is_update ? "cannot update stream \"%s\"" : "cannot delete from stream \"%s\"",
					RelationGetRelationName(target_relation)),
			 errdetail("The rows of a stream never change.")));
}

static void
check_insert(Oid relid)
{
	SxStream *stream = sx_stream_open(relid);

	if (!stream->is_kafka)
		return;
	ereport(
		ERROR,
		(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
		 errmsg("cannot insert into Kafka stream \"%s\"", stream->name),
		 errhint("Send messages to topic \"%s\", or insert into a stream of server \"streamx\".",
				 stream->topic)));
}

static List *
plan_modify(PlannerInfo *root, ModifyTable *plan, Index result_relation, int subplan_index)
{
	Oid relid = planner_rt_fetch(result_relation, root)->relid;

	if (plan->operation == CMD_INSERT)
		check_insert(relid);
	if (plan->onConflictAction != ONCONFLICT_NONE)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("INSERT with ON CONFLICT is not supported for stream \"%s\"",
							   get_rel_name(relid)),
						errdetail("A stream has no unique constraints.")));
	return NIL;
}

/* COPY, and rows routed to a partition. */
static void
begin_insert(ModifyTableState *state, ResultRelInfo *rel)
{
	check_insert(RelationGetRelid(rel->ri_RelationDesc));
}

/* The core leaves the constraints of foreign tables to us. */
static TupleTableSlot *
exec_insert(EState *estate, ResultRelInfo *rel, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	if (RelationGetDescr(rel->ri_RelationDesc)->constr)
		ExecConstraints(rel, slot, estate);
	sx_insert_row(RelationGetRelid(rel->ri_RelationDesc), slot);
	return slot;
}

/* For Kafka streams too: our own error is clearer than the core's. */
static int
is_updatable(Relation rel)
{
	return 1 << CMD_INSERT;
}

/* ---- handler ---- */

SX_EXPORT Datum streamx_fdw_handler(PG_FUNCTION_ARGS);
PG_FUNCTION_INFO_V1(streamx_fdw_handler);

Datum
streamx_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = get_rel_size;
	routine->GetForeignPaths = get_paths;
	routine->GetForeignPlan = get_plan;
	routine->BeginForeignScan = sx_fdw_begin_scan;
	routine->IterateForeignScan = sx_fdw_iterate_scan;
	routine->ReScanForeignScan = sx_fdw_rescan;
	routine->EndForeignScan = sx_fdw_end_scan;
	routine->ExplainForeignScan = sx_fdw_explain_scan;

	routine->AddForeignUpdateTargets = add_update_targets;
	routine->PlanForeignModify = plan_modify;
	routine->ExecForeignInsert = exec_insert;
	routine->BeginForeignInsert = begin_insert;
	routine->IsForeignRelUpdatable = is_updatable;
	PG_RETURN_POINTER(routine);
}
