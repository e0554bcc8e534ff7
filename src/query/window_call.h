/*
 * window_call.h
 *	  tumble(), hop(), cumulate() and session() in a continuous view's query.
 */
#ifndef SX_WINDOW_CALL_H
#define SX_WINDOW_CALL_H

#include "compat.h"

#include "query/analyze.h"

/* Whether an expression is a call of a window function of ours. */
extern bool sx_window_call_is(Node *node);

/* The first such call in an expression; NULL: none. */
extern Node *sx_window_call_find(Node *node);

/*
 * Take the call that is a group key apart, into definition->window and its
 * neighbours.  An ERROR, with its place in pstate's text, for windows that cannot be maintained.
 */
extern void sx_window_call_analyze(ParseState *pstate, SxDefinition *definition, SxGroupKey *key);

#endif
