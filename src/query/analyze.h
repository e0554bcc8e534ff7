/*
 * analyze.h
 *	  What a continuous view's query asks for, or why it cannot be had.
 */
#ifndef SX_ANALYZE_H
#define SX_ANALYZE_H

#include "compat.h"

#include "catalog/stream.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
#include "window/window.h"

typedef struct SxGroupKey
{
	Expr *expr; /* over the query's range table */
	Index sortgroupref;
} SxGroupKey;

/* How often an input came, of the rows that pass a FILTER. */
typedef struct SxMultiplicity
{
	Expr *filter;	  /* NULL: all rows */
	bool is_distinct; /* only whether it came at all matters */
	bool is_counted;  /* the state counts the inputs that came: count(DISTINCT x) */
} SxMultiplicity;

/* What aggregates that cannot be kept as states are computed from: rows of a table. */
typedef struct SxInputSet
{
	List *inputs;		  /* Expr *: arguments and order columns, but for constants */
	List *multiplicities; /* SxMultiplicity * */
} SxInputSet;

typedef struct SxDefinition
{
	Query *query; /* the user's, analysed, not rewritten */
	int stream_rti;
	const SxStream *stream;
	List *keys;				/* SxGroupKey *, without the window */
	SxGroupKey *window_key; /* NULL: no window */
	SxWindow window;
	Var *window_time;		/* the window's time argument */
	Const *window_size;		/* interval */
	Const *window_step;		/* interval; NULL: the kind has none */
	Const *window_origin;	/* timestamp(tz); NULL: the default */
	Const *window_timezone; /* text; NULL: the kind has none */
	List *
		aggregates; /* Aggrefs of target list and HAVING that are kept as states, one of those that share one */
	List *input_sets;		/* SxInputSet *: of the others */
	List *tried_aggregates; /* Aggrefs, those of the others that a single row may make fail */
	List *finals;			/* Aggrefs, those of the others that are not counted, each once */
	bool folds;				/* inputs of sealed windows become values of finals */
	bool has_joins;			/* other relations than the stream */
} SxDefinition;

/*
 * Take the query of CREATE VIEW apart.  What cannot be maintained is an ERROR
 * with reason, position and a way out; pstate carries the source text for it,
 * and raw, the query before analysis, the places of relations.
 */
extern SxDefinition *sx_analyze(ParseState *pstate, Query *query, Node *raw);

#endif
