/*
 * filter.c
 *	  The stream option "filter", from SQL to a tree of comparisons.
 *
 *      event_type = 2 AND bid.channel IN ('apple', 'google')
 *      ^ field      ^ constant
 *
 * Nothing is looked up: fields are names in a message, not columns, and
 * comparisons are those of JSON's numbers, strings and booleans.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

#include "catalog/filter.h"

/* Deeper expressions are refused: evaluation recurses. */
#define MAX_DEPTH 64

/* So are longer paths: the walk through a message recurses, too. */
#define MAX_NAMES 64

#define FORMS_HINT                                                                                 \
	"Compare fields of the message with constants by =, <>, <, <=, >, >=, [NOT] IN, [NOT] "        \
	"BETWEEN or IS [NOT] NULL, and combine that by AND, OR, NOT."

typedef struct Parse
{
	const char *text;
	SxFilter *filter;
	int depth;
} Parse;

static Node *parse_expression(const char *text);
static SxFilterNode *transform(Parse *parse, Node *node);
static SxFilterNode *transform_operator(Parse *parse, A_Expr *expr);
static SxFilterNode *transform_in(Parse *parse, A_Expr *expr);
static SxFilterNode *transform_between(Parse *parse, A_Expr *expr);
static SxFilterNode *
compare(Parse *parse, Node *field, SxFilterComparison comparison, Node *constant);
static SxFilterNode *combine(SxFilterKind kind, List *args);
static int add_field(Parse *parse, Node *node);
static void check_spelling(const Parse *parse, const ColumnRef *ref);
static void take_constant(Parse *parse, Node *node, SxFilterNode *result);
static bool find_comparison(A_Expr *expr, SxFilterComparison *comparison);
static void refuse(const Parse *parse, Node *node, const char *message) pg_attribute_noreturn();
static int show_position(const char *text, int location);
static void move_position(void *text);

SxFilter *
sx_filter_parse(const char *text)
{
	Parse parse = {.text = text, .filter = palloc0(sizeof(SxFilter))};

	parse.filter->root = transform(&parse, parse_expression(text));
	return parse.filter;
}

/* The one expression that a text is. */
static Node *
parse_expression(const char *text)
{
	ErrorContextCallback context = {error_context_stack, move_position, unconstify(char *, text)};
	int nestlevel = 0;
	List *statements;
	SelectStmt *select;
	ResTarget *target;

	/* a text means the same in every session */
	if (!standard_conforming_strings)
	{
		nestlevel = NewGUCNestLevel();
		(void) set_config_option("standard_conforming_strings", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	error_context_stack = &context;
	statements = raw_parser(text, RAW_PARSE_PLPGSQL_EXPR);
	error_context_stack = context.previous;
	if (nestlevel > 0)
		AtEOXact_GUC(false, nestlevel);

	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	target = list_length(select->targetList) == 1 ? linitial(select->targetList) : NULL;
	if (target == NULL || target->name != NULL || target->indirection != NIL ||
		select->distinctClause != NIL || select->fromClause != NIL || select->whereClause ||
		select->groupClause != NIL || select->havingClause || select->windowClause != NIL ||
		select->sortClause != NIL || select->limitOffset || select->limitCount ||
		select->lockingClause != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR), errmsg("option \"filter\" must be one expression"),
				 errhint(FORMS_HINT), show_position(text, 0)));
	return target->val;
}

static SxFilterNode *
transform(Parse *parse, Node *node)
{
	SxFilterNode *result = NULL;

	if (++parse->depth > MAX_DEPTH)
		refuse(parse, node, "option \"filter\" is nested too deeply");
	if (IsA(node, BoolExpr))
	{
		BoolExpr *expr = (BoolExpr *) node;
		List *args = NIL;
		ListCell *lc;

		foreach (lc, expr->args)
			args = lappend(args, transform(parse, lfirst(lc)));
		result = combine(expr->boolop == AND_EXPR  ? SX_FILTER_AND
						 : expr->boolop == OR_EXPR ? SX_FILTER_OR
												   : SX_FILTER_NOT,
						 args);
	}
	else if (IsA(node, NullTest))
	{
		NullTest *test = (NullTest *) node;

		result = palloc0(sizeof(SxFilterNode));
		result->kind = SX_FILTER_IS_NULL;
		result->field = add_field(parse, (Node *) test->arg);
		if (test->nulltesttype == IS_NOT_NULL)
			result = combine(SX_FILTER_NOT, list_make1(result));
	}
	else if (IsA(node, A_Expr))
		result = transform_operator(parse, (A_Expr *) node);
	else
		refuse(parse, node, "option \"filter\" has something that is no comparison");
	parse->depth--;
	return result;
}

static SxFilterNode *
transform_operator(Parse *parse, A_Expr *expr)
{
	static const SxFilterComparison mirror[] = {
		[SX_FILTER_EQUAL] = SX_FILTER_EQUAL,  [SX_FILTER_NOT_EQUAL] = SX_FILTER_NOT_EQUAL,
		[SX_FILTER_LESS] = SX_FILTER_GREATER, [SX_FILTER_LESS_EQUAL] = SX_FILTER_GREATER_EQUAL,
		[SX_FILTER_GREATER] = SX_FILTER_LESS, [SX_FILTER_GREATER_EQUAL] = SX_FILTER_LESS_EQUAL,
	};
	SxFilterComparison comparison;

	switch (expr->kind)
	{
		case AEXPR_IN:
			return transform_in(parse, expr);
		case AEXPR_BETWEEN:
		case AEXPR_NOT_BETWEEN:
			return transform_between(parse, expr);
		case AEXPR_OP:
			if (find_comparison(expr, &comparison))
				break;
			/* FALLTHROUGH */
		default:
			refuse(parse, (Node *) expr, "option \"filter\" has an operator that is not supported");
	}
	if (IsA(expr->lexpr, ColumnRef) || !IsA(expr->rexpr, ColumnRef))
		return compare(parse, expr->lexpr, comparison, expr->rexpr);
	return compare(parse, expr->rexpr, mirror[comparison], expr->lexpr);
}

/* x IN (a, b): x = a OR x = b. */
static SxFilterNode *
transform_in(Parse *parse, A_Expr *expr)
{
	List *args = NIL;
	SxFilterComparison comparison;
	ListCell *lc;

	(void) find_comparison(expr, &comparison);
	foreach (lc, castNode(List, expr->rexpr))
		args = lappend(args, compare(parse, expr->lexpr, comparison, lfirst(lc)));
	return combine(comparison == SX_FILTER_EQUAL ? SX_FILTER_OR : SX_FILTER_AND, args);
}

static SxFilterNode *
transform_between(Parse *parse, A_Expr *expr)
{
	List *ends = castNode(List, expr->rexpr);
	SxFilterNode *result =
		combine(SX_FILTER_AND,
				list_make2(compare(parse, expr->lexpr, SX_FILTER_GREATER_EQUAL, linitial(ends)),
						   compare(parse, expr->lexpr, SX_FILTER_LESS_EQUAL, lsecond(ends))));

	return expr->kind == AEXPR_BETWEEN ? result : combine(SX_FILTER_NOT, list_make1(result));
}

static SxFilterNode *
compare(Parse *parse, Node *field, SxFilterComparison comparison, Node *constant)
{
	SxFilterNode *result = palloc0(sizeof(SxFilterNode));

	result->kind = SX_FILTER_COMPARE;
	result->field = add_field(parse, field);
	result->comparison = comparison;
	take_constant(parse, constant, result);
	return result;
}

static SxFilterNode *
combine(SxFilterKind kind, List *args)
{
	SxFilterNode *result = palloc0(sizeof(SxFilterNode));

	result->kind = kind;
	result->args = args;
	return result;
}

/* A field's place among those of the filter. */
static int
add_field(Parse *parse, Node *node)
{
	List *names = NIL;
	ListCell *lc;

	if (!IsA(node, ColumnRef))
		refuse(parse, node, "option \"filter\" can only look at fields of the message");
	foreach (lc, ((ColumnRef *) node)->fields)
	{
		if (!IsA(lfirst(lc), String))
			refuse(parse, node, "option \"filter\" can only look at fields of the message");
		names = lappend(names, strVal(lfirst(lc)));
	}
	if (list_length(names) > MAX_NAMES)
		refuse(parse, node, "option \"filter\" has a path that is too long");
	check_spelling(parse, (ColumnRef *) node);
	parse->filter->fields = lappend(parse->filter->fields, names);
	return list_length(parse->filter->fields) - 1;
}

static bool
continues_name(char c)
{
	return IS_HIGHBIT_SET(c) || isalnum((unsigned char) c) || c == '_' || c == '$';
}

/* Where a name that is spelled as it is read ends in the text; NULL: it is spelled otherwise. */
static const char *
pass_name(const char *at, const char *name)
{
	size_t length = strlen(name);

	if (*at != '"')
		return strncmp(at, name, length) == 0 && !continues_name(at[length]) ? at + length : NULL;
	for (at++; *at == *name && *name != '\0'; at++, name++)
		if (*at == '"')
			at++; /* written twice */
	return *at == '"' && *name == '\0' ? at + 1 : NULL;
}

/*
 * JSON's names have upper case, and may be long: what SQL would make another name of
 * is refused.
 */
static void
check_spelling(const Parse *parse, const ColumnRef *ref)
{
	const char *at = parse->text + ref->location;
	ListCell *lc;

	foreach (lc, ref->fields)
	{
		const char *name = strVal(lfirst(lc));

		at = pass_name(at, name);
		if (at == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"filter\" has a field that SQL reads as \"%s\"", name),
							errhint("Write its name in double quotes, as it is in the message: at "
									"most %d bytes.",
									NAMEDATALEN - 1),
							show_position(parse->text, ref->location)));
		while (scanner_isspace(*at) || *at == '.')
			at++;
	}
}

static void
take_constant(Parse *parse, Node *node, SxFilterNode *result)
{
	A_Const *constant;
	char *text = NULL;

	/* true and false come as casts of the parser's own */
	if (IsA(node, TypeCast) && ((TypeCast *) node)->location < 0 &&
		IsA(((TypeCast *) node)->arg, A_Const) &&
		IsA(&((A_Const *) ((TypeCast *) node)->arg)->val, Boolean))
		node = ((TypeCast *) node)->arg;
	if (!IsA(node, A_Const))
		refuse(parse, node, "option \"filter\" can only compare fields with constants");
	constant = (A_Const *) node;
	if (constant->isnull)
		refuse(parse, node, "option \"filter\" compares with NULL, which is never true");
	switch (nodeTag(&constant->val))
	{
		case T_Boolean:
			result->type = SX_FILTER_BOOLEAN;
			result->is_true = boolVal(&constant->val);
			return;
		case T_Integer:
			result->type = SX_FILTER_NUMBER;
			text = psprintf("%d", intVal(&constant->val));
			break;
		case T_Float:
			result->type = SX_FILTER_NUMBER;
			text = DatumGetCString(DirectFunctionCall1(
				numeric_out, DirectFunctionCall3(
								 numeric_in, CStringGetDatum(castNode(Float, &constant->val)->fval),
								 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1))));
			break;
		case T_String:
			result->type = SX_FILTER_STRING;
			text = strVal(&constant->val);
			text = pg_server_to_any(text, strlen(text), PG_UTF8);
			break;
		default:
			refuse(parse, node,
				   "option \"filter\" can only compare fields with numbers, strings and booleans");
	}
	result->constant = text;
	result->length = strlen(text);
}

static bool
find_comparison(A_Expr *expr, SxFilterComparison *comparison)
{
	static const char *const names[] = {"=", "<>", "<", "<=", ">", ">="};
	int i;

	/* prefix operators have one side only; a schema is nobody's here */
	if (list_length(expr->name) != 1 || expr->lexpr == NULL)
		return false;
	for (i = 0; i < lengthof(names); i++)
	{
		*comparison = (SxFilterComparison) i;
		if (strcmp(strVal(linitial(expr->name)), names[i]) == 0)
			return true;
	}
	return false;
}

static void
refuse(const Parse *parse, Node *node, const char *message)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", message),
					errhint(FORMS_HINT), show_position(parse->text, exprLocation(node))));
}

/* A cursor in the option's text. */
static int
show_position(const char *text, int location)
{
	internalerrquery(text);
	return internalerrposition(location < 0 ? 0 : pg_mbstrlen_with_len(text, location) + 1);
}

/* The parser's errors have a position in what it was given, which is no part of the statement. */
static void
move_position(void *text)
{
	int position = geterrposition();

	if (position <= 0)
		return;
	errposition(0);
	internalerrposition(position);
	internalerrquery(text);
}
