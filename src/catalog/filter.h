/*
 * filter.h
 *	  The stream option "filter": which messages of a topic are rows of the
 *	  stream.
 *
 * It is SQL, parsed by PostgreSQL's own parser, but of the few forms that can be
 * told from a message's fields alone.
 */
#ifndef SX_FILTER_H
#define SX_FILTER_H

#include "compat.h"

#include "nodes/pg_list.h"

typedef enum SxFilterKind
{
	SX_FILTER_AND,
	SX_FILTER_OR,
	SX_FILTER_NOT,
	SX_FILTER_IS_NULL, /* missing, or a JSON null */
	SX_FILTER_COMPARE
} SxFilterKind;

typedef enum SxFilterComparison
{
	SX_FILTER_EQUAL,
	SX_FILTER_NOT_EQUAL,
	SX_FILTER_LESS,
	SX_FILTER_LESS_EQUAL,
	SX_FILTER_GREATER,
	SX_FILTER_GREATER_EQUAL
} SxFilterComparison;

/* A constant is compared with values of its own kind only. */
typedef enum SxFilterType
{
	SX_FILTER_NUMBER,
	SX_FILTER_STRING,
	SX_FILTER_BOOLEAN
} SxFilterType;

typedef struct SxFilterNode
{
	SxFilterKind kind;
	List *args; /* of AND, OR, NOT: SxFilterNode */
	int field;	/* of the others: place among the filter's fields */

	/* of comparisons: */
	SxFilterComparison comparison;
	SxFilterType type;
	const char *constant; /* a number in plain decimals; a string in UTF-8 */
	int length;
	bool is_true; /* a boolean constant */
} SxFilterNode;

typedef struct SxFilter
{
	SxFilterNode *root;
	List *fields; /* of each, a List of names (char *) from the message's top */
} SxFilter;

/*
 * Parse an option's value, in the current memory context; whatever is not of the
 * supported forms is an error with its position.
 */
extern SxFilter *sx_filter_parse(const char *text);

#endif
