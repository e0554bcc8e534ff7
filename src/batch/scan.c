/*
 * scan.c
 *	  Running a foreign scan: which kind it is, and what a marked one is given.
 *
 *		plan marked?   given            server     kind
 *		yes            rows of a batch  any        micro-batch
 *		yes            ranges           Kafka      topic
 *		yes            ranges           streamx    log
 *		no                              Kafka      topic
 *		no                              streamx    log
 */
#include "compat.h"

#include "batch/fdw.h"
#include "batch/scan_kind.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "nodes/value.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* The innermost one. */
static SxScanRun *running = NULL;

static int mark_plan(Plan *plan, List *rtable, Oid stream);
static int mark_plans(List *plans, List *rtable, Oid stream);
static int mark_foreign_scan(ForeignScan *scan, List *rtable, Oid stream);

/* ---- runs ---- */

void
sx_scan_run_begin(SxScanRun *run, const SxScanInput *input)
{
	*run = (SxScanRun){.input = input, .outer = running};
	if (input && input->batch == NULL)
		sx_scan_find_starts(run);
	running = run;
}

void
sx_scan_run_end(SxScanRun *run)
{
	running = run->outer;
}

const SxScanRun *
sx_scan_running(void)
{
	return running;
}

/* ---- marks ---- */

int
sx_scan_mark(PlannedStmt *plan, Oid stream)
{
	return mark_plan(plan->planTree, plan->rtable, stream) +
		   mark_plans(plan->subplans, plan->rtable, stream);
}

static int
mark_plan(Plan *plan, List *rtable, Oid stream)
{
	int count = 0;

	if (plan == NULL)
		return 0;
	check_stack_depth();

	switch (nodeTag(plan))
	{
		case T_ForeignScan:
			count += mark_foreign_scan((ForeignScan *) plan, rtable, stream);
			break;
		case T_Append:
			count += mark_plans(((Append *) plan)->appendplans, rtable, stream);
			break;
		case T_MergeAppend:
			count += mark_plans(((MergeAppend *) plan)->mergeplans, rtable, stream);
			break;
		case T_SubqueryScan:
			count += mark_plan(((SubqueryScan *) plan)->subplan, rtable, stream);
			break;
		case T_CustomScan:
			count += mark_plans(((CustomScan *) plan)->custom_plans, rtable, stream);
			break;
		default:
			break;
	}
	count += mark_plan(outerPlan(plan), rtable, stream);
	count += mark_plan(innerPlan(plan), rtable, stream);
	return count;
}

static int
mark_plans(List *plans, List *rtable, Oid stream)
{
	ListCell *lc;
	int count = 0;

	foreach (lc, plans)
		count += mark_plan(lfirst(lc), rtable, stream);
	return count;
}

static int
mark_foreign_scan(ForeignScan *scan, List *rtable, Oid stream)
{
	if (scan->scan.scanrelid == 0 || rt_fetch(scan->scan.scanrelid, rtable)->relid != stream)
		return 0;
	lsecond(scan->fdw_private) = makeInteger(1);
	return 1;
}

/* ---- callbacks ---- */

/* The input of the run for this scan, if its plan is marked. */
static const SxScanInput *
take_input(ForeignScan *plan, Oid relid)
{
	if (intVal(list_nth(plan->fdw_private, SX_PRIVATE_MARK)) == 0)
		return NULL;
	if (running == NULL || running->input == NULL || running->is_taken ||
		running->input->stream != relid)
		elog(ERROR, "marked scan of stream %u was given nothing", relid);
	running->is_taken = true;
	return running->input;
}

static SxScan *
make_scan(const SxScanKind *kind, ForeignScanState *node, const SxScanInput *input,
		  const SxStream *stream)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *columns = list_nth(plan->fdw_private, SX_PRIVATE_COLUMNS);
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	SxScan *scan = palloc0(kind->state_size);
	ListCell *lc;

	scan->kind = kind;
	scan->next = kind->next;
	scan->node = node;
	scan->slot = slot;
	scan->input = input;
	scan->run = input ? running : NULL;
	scan->stream = stream;
	scan->columns = palloc(sizeof(AttrNumber) * Max(list_length(columns), 1));
	foreach (lc, columns)
		scan->columns[scan->ncolumns++] = (AttrNumber) lfirst_int(lc);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	slot->tts_tableOid = RelationGetRelid(node->ss.ss_currentRelation);
	return scan;
}

void
sx_fdw_begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Oid relid = RelationGetRelid(node->ss.ss_currentRelation);
	bool is_explain = (eflags & EXEC_FLAG_EXPLAIN_ONLY) != 0;
	const SxScanInput *input = is_explain ? NULL : take_input(plan, relid);
	SxScan *scan;

	if (input && input->batch)
		scan = make_scan(&sx_batch_scan, node, input, input->batch->stream);
	else
	{
		const SxStream *stream = sx_stream_open(relid);

		scan = make_scan(stream->is_kafka ? &sx_topic_scan : &sx_log_scan, node, input, stream);
		scan->context =
			AllocSetContextCreate(CurrentMemoryContext, "streamx scan", ALLOCSET_DEFAULT_SIZES);
	}
	node->fdw_state = scan;
	if (is_explain)
		return;
	scan->is_begun = true;
	scan->kind->begin(scan);
}

TupleTableSlot *
sx_fdw_iterate_scan(ForeignScanState *node)
{
	SxScan *scan = (SxScan *) node->fdw_state;

	return scan->next(scan);
}

void
sx_fdw_rescan(ForeignScanState *node)
{
	SxScan *scan = (SxScan *) node->fdw_state;

	scan->kind->rescan(scan);
}

void
sx_fdw_end_scan(ForeignScanState *node)
{
	SxScan *scan = (SxScan *) node->fdw_state;

	if (scan == NULL || !scan->is_begun)
		return;
	scan->kind->end(scan);
	if (scan->context)
		MemoryContextDelete(scan->context);
}

void
sx_fdw_explain_scan(ForeignScanState *node, struct ExplainState *es)
{
	SxScan *scan = (SxScan *) node->fdw_state;

	scan->kind->explain(scan, es);
}

Bitmapset *
sx_scan_columns(const SxScan *scan)
{
	Bitmapset *columns = NULL;
	int i;

	for (i = 0; i < scan->ncolumns; i++)
		columns = bms_add_member(columns, scan->columns[i]);
	return columns;
}
