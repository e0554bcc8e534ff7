/*
 * condition.c
 *	  Conditions on metadata columns that narrow down what is read of a topic.
 *
 * Used are: partition, offset and timestamp columns compared by a B-tree
 * operator with anything that does not change during a scan (constants,
 * parameters, stable functions), and partition or offset = ANY (array).
 * Timestamps give a lower bound only: a topic is not ordered by them.
 */
#include "compat.h"

#include "access/stratnum.h"
#include "batch/condition.h"
#include "catalog/pg_type_d.h"
#include "common/int.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

/* One condition that is used; in plans it is an integer list of the first three. */
typedef struct Condition
{
	SxMetadata column;
	StrategyNumber strategy;
	bool is_array;
	Expr *value;
} Condition;

static bool find_condition(const SxStream *stream, Index varno, Node *clause, Condition *condition);
static bool find_comparison(const SxStream *stream, Index varno, Oid operator, Expr * left,
							Expr *right, Condition *condition);
static bool is_pushable_type(SxMetadata column, Oid column_type, Oid value_type);
static bool is_unknown(Node *node, void *context);
static void apply_condition(SxScanBounds *bounds, const Condition *condition, Datum value);
static void apply_array(SxScanBounds *bounds, const Condition *condition, Datum value);
static void apply_integer(SxScanBounds *bounds, const Condition *condition, int64 value);
static void apply_timestamp(SxScanBounds *bounds, const Condition *condition, Datum value);
static void keep_partitions(SxScanBounds *bounds, int64 *partitions, int count);
static int64 datum_as_int64(Datum value, Oid type);
static int compare_int64(const void *a, const void *b);

/* ---- planning ---- */

List *
sx_condition_find(Oid relid, Index varno, List *clauses, List **values)
{
	List *found = NIL;
	SxStream *stream;
	ListCell *lc;

	if (clauses == NIL)
		return NIL;
	stream = sx_stream_open(relid);
	if (!stream->is_kafka)
		return NIL;

	foreach (lc, clauses)
	{
		Condition condition;

		if (!find_condition(stream, varno, lfirst(lc), &condition))
			continue;
		found = lappend(found,
						list_make3_int(condition.column, condition.strategy, condition.is_array));
		*values = lappend(*values, condition.value);
	}
	return found;
}

static bool
find_condition(const SxStream *stream, Index varno, Node *clause, Condition *condition)
{
	memset(condition, 0, sizeof(Condition));

	if (IsA(clause, OpExpr))
	{
		OpExpr *op = (OpExpr *) clause;
		Oid commutator;

		if (list_length(op->args) != 2)
			return false;
		if (find_comparison(stream, varno, op->opno, linitial(op->args), lsecond(op->args),
							condition))
			return true;
		commutator = get_commutator(op->opno);
		return OidIsValid(commutator) &&
			   find_comparison(stream, varno, commutator, lsecond(op->args), linitial(op->args),
							   condition);
	}
	if (IsA(clause, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) clause;

		condition->is_array = true;
		return op->useOr && find_comparison(stream, varno, op->opno, linitial(op->args),
											lsecond(op->args), condition);
	}
	return false;
}

/* Whether left is a metadata column that the right side, which does not change, limits. */
static bool
find_comparison(const SxStream *stream, Index varno, Oid operator, Expr * left, Expr *right,
				Condition *condition)
{
	Var *var = (Var *) left;
	const SxColumn *column;
	Oid value_type = exprType((Node *) right);
	TypeCacheEntry *family;

	if (!IsA(left, Var) || var->varno != varno || var->varlevelsup != 0 || var->varattno <= 0)
		return false;
	if (contain_var_clause((Node *) right) || contain_volatile_functions((Node *) right) ||
		contain_subplans((Node *) right))
		return false;

	column = &stream->columns[var->varattno - 1];
	if (condition->is_array)
		value_type = get_element_type(value_type);
	if (!is_pushable_type(column->metadata, column->type, value_type))
		return false;

	family = lookup_type_cache(column->type, TYPECACHE_BTREE_OPFAMILY);
	condition->column = column->metadata;
	condition->value = right;
	condition->strategy = get_op_opfamily_strategy(operator, family->btree_opf);
	if (condition->strategy == InvalidStrategy)
		return false;
	return !condition->is_array || (condition->strategy == BTEqualStrategyNumber &&
									column->metadata != SX_METADATA_TIMESTAMP);
}

static bool
is_pushable_type(SxMetadata column, Oid column_type, Oid value_type)
{
	switch (column)
	{
		case SX_METADATA_PARTITION:
		case SX_METADATA_OFFSET:
			return value_type == INT2OID || value_type == INT4OID || value_type == INT8OID;
		case SX_METADATA_TIMESTAMP:
			return column_type == TIMESTAMPTZOID &&
				   (value_type == TIMESTAMPTZOID || value_type == TIMESTAMPOID ||
					value_type == DATEOID);
		default:
			return false;
	}
}

/* ---- execution ---- */

void
sx_condition_bounds(const SxScan *scan, bool is_explain, SxScanBounds *bounds)
{
	ForeignScan *plan = (ForeignScan *) scan->node->ss.ps.plan;
	List *descriptions = list_nth(plan->fdw_private, SX_PRIVATE_CONDITIONS);
	ExprContext *econtext = scan->node->ss.ps.ps_ExprContext;
	ParamListInfo params = scan->node->ss.ps.state->es_param_list_info;
	ListCell *description;
	ListCell *value;

	memset(bounds, 0, sizeof(SxScanBounds));
	bounds->partition_last = PG_INT64_MAX;
	bounds->offset_last = PG_INT64_MAX;

	forboth (description, descriptions, value, plan->fdw_exprs)
	{
		List *numbers = lfirst(description);
		Condition condition;
		ExprState *expression;
		Datum datum;
		bool isnull;

		condition.column = linitial_int(numbers);
		condition.strategy = lsecond_int(numbers);
		condition.is_array = lthird_int(numbers);
		condition.value = lfirst(value);
		if (is_explain && is_unknown((Node *) condition.value, params))
		{
			bounds->has_unknown = true;
			continue;
		}
		expression = ExecInitExpr(condition.value, &scan->node->ss.ps);
		datum = ExecEvalExprSwitchContext(expression, econtext, &isnull);
		if (isnull)
			bounds->is_empty = true;
		else
			apply_condition(bounds, &condition, datum);
	}
}

/* Parameters that EXPLAIN does not know; context is the statement's own parameters. */
static bool
is_unknown(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind != PARAM_EXTERN || context == NULL;
	return expression_tree_walker(node, is_unknown, context);
}

static void
apply_condition(SxScanBounds *bounds, const Condition *condition, Datum value)
{
	if (condition->is_array)
		apply_array(bounds, condition, value);
	else if (condition->column == SX_METADATA_TIMESTAMP)
		apply_timestamp(bounds, condition, value);
	else
		apply_integer(bounds, condition,
					  datum_as_int64(value, exprType((Node *) condition->value)));
}

/* column = ANY (array): for offsets, the range that holds them all. */
static void
apply_array(SxScanBounds *bounds, const Condition *condition, Datum value)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	Oid type = ARR_ELEMTYPE(array);
	int16 length;
	bool by_value;
	char align;
	Datum *elements;
	bool *isnull;
	int nelements;
	int64 *numbers;
	int count = 0;
	int i;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, &elements, &isnull, &nelements);
	numbers = palloc(sizeof(int64) * Max(nelements, 1));
	for (i = 0; i < nelements; i++)
	{
		if (!isnull[i])
			numbers[count++] = datum_as_int64(elements[i], type);
	}
	if (count == 0)
	{
		bounds->is_empty = true;
		return;
	}
	qsort(numbers, count, sizeof(int64), compare_int64);
	if (condition->column == SX_METADATA_PARTITION)
		keep_partitions(bounds, numbers, count);
	else
	{
		bounds->offset_first = Max(bounds->offset_first, numbers[0]);
		bounds->offset_last = Min(bounds->offset_last, numbers[count - 1]);
	}
}

static void
apply_integer(SxScanBounds *bounds, const Condition *condition, int64 value)
{
	bool is_partition = condition->column == SX_METADATA_PARTITION;
	int64 *first = is_partition ? &bounds->partition_first : &bounds->offset_first;
	int64 *last = is_partition ? &bounds->partition_last : &bounds->offset_last;
	int64 next;
	int64 previous;

	if (pg_add_s64_overflow(value, 1, &next))
		next = PG_INT64_MAX;
	if (pg_sub_s64_overflow(value, 1, &previous))
		previous = PG_INT64_MIN;

	switch (condition->strategy)
	{
		case BTLessStrategyNumber:
			*last = Min(*last, previous);
			break;
		case BTLessEqualStrategyNumber:
			*last = Min(*last, value);
			break;
		case BTEqualStrategyNumber:
			*first = Max(*first, value);
			*last = Min(*last, value);
			break;
		case BTGreaterEqualStrategyNumber:
			*first = Max(*first, value);
			break;
		case BTGreaterStrategyNumber:
			*first = Max(*first, next);
			break;
	}
}

static void
apply_timestamp(SxScanBounds *bounds, const Condition *condition, Datum value)
{
	Oid type = exprType((Node *) condition->value);
	TimestampTz timestamp;
	int64 us;
	int64 ms;

	if (condition->strategy == BTLessStrategyNumber ||
		condition->strategy == BTLessEqualStrategyNumber)
		return;

	/* the same conversions, by the session's time zone, that the operators make */
	if (type == TIMESTAMPOID)
		value = DirectFunctionCall1(timestamp_timestamptz, value);
	else if (type == DATEOID)
		value = DirectFunctionCall1(date_timestamptz, value);
	timestamp = DatumGetTimestampTz(value);

	if (TIMESTAMP_IS_NOBEGIN(timestamp))
		return;
	if (TIMESTAMP_IS_NOEND(timestamp))
	{
		bounds->is_empty = true;
		return;
	}
	if (pg_add_s64_overflow(timestamp, SX_UNIX_EPOCH_US, &us) || us < 0)
		return;
	ms = us / 1000;
	if (!bounds->has_timestamp || ms > bounds->timestamp_ms)
		bounds->timestamp_ms = ms;
	bounds->has_timestamp = true;
}

/* Keep the partitions that are in both lists; the given one is sorted, and taken over. */
static void
keep_partitions(SxScanBounds *bounds, int64 *partitions, int count)
{
	int kept = 0;
	int i;

	for (i = 0; i < count; i++)
	{
		if (kept > 0 && partitions[kept - 1] == partitions[i])
			continue;
		if (!bounds->has_partitions || bsearch(&partitions[i], bounds->partitions,
											   bounds->npartitions, sizeof(int64), compare_int64))
			partitions[kept++] = partitions[i];
	}
	bounds->has_partitions = true;
	bounds->partitions = partitions;
	bounds->npartitions = kept;
}

bool
sx_condition_has_partition(const SxScanBounds *bounds, int32 partition)
{
	int64 key = partition;

	if (bounds->is_empty || key < bounds->partition_first || key > bounds->partition_last)
		return false;
	return !bounds->has_partitions || bsearch(&key, bounds->partitions, bounds->npartitions,
											  sizeof(int64), compare_int64) != NULL;
}

static int64
datum_as_int64(Datum value, Oid type)
{
	switch (type)
	{
		case INT2OID:
			return DatumGetInt16(value);
		case INT4OID:
			return DatumGetInt32(value);
		default:
			return DatumGetInt64(value);
	}
}

static int
compare_int64(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}
