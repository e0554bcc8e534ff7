/*
 * relations.h
 *	  The relations that a continuous view is made of.
 */
#ifndef SX_RELATIONS_H
#define SX_RELATIONS_H

#include "compat.h"

#include "query/analyze.h"

/* The first three are the caller's to fill in: the definition, the user's view (a dummy yet), has_retention. */
typedef struct SxRelations
{
	SxDefinition *definition;
	Oid visible;
	bool has_retention;
	Oid state;
	Oid delta;
	Oid rows;
	Oid definition_view;
	Oid windows;	   /* hop, cumulate */
	List *inputs;	   /* tables of inputs */
	List *input_views; /* inputs of one micro-batch */
	Oid trial;		   /* aggregates that a row may make fail, or InvalidOid */
	Oid finals;		   /* final values of aggregates kept by their inputs, or InvalidOid */
	int64 id;		   /* in their names */
} SxRelations;

/*
 * Make them all, from query trees of the definition, and let the user's view show them.
 * original: his query as analysed.
 */
extern void sx_relations_create(SxRelations *relations, const Query *original);

#endif
