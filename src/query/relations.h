/*
 * relations.h
 *	  The relations that a continuous view is made of.
 */
#ifndef SX_RELATIONS_H
#define SX_RELATIONS_H

#include "compat.h"

#include "query/analyze.h"
#include "query/view.h"

/*
 * The first four are the caller's to fill in: the definition, the user's view (a dummy
 * yet), of a shadow the view it stands for, has_retention.
 */
typedef struct SxRelations
{
	SxDefinition *definition;
	Oid visible;
	Oid shadow_of;
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

/*
 * Make them as copies of an existing view's, with nothing in them (copy.c): relations->visible
 * is a shadow of it, relations->definition is not needed.
 */
extern void sx_relations_copy(SxRelations *relations, const SxView *view);

/*
 * Let a user's view show another definition of what is stored already (fit.h): relations has
 * what there is.  definition_view becomes another one.
 */
extern void sx_relations_redefine(SxRelations *relations, const Query *original);

/* For who makes relations one by one.  Between sx_spi_begin and sx_spi_end: */

/*
 * " WITH (...)" of a table of states or inputs.  Vacuum gives no room at its end back to the
 * system: for that it locks out the batches, and the windows to come need the room again.
 */
extern const char *sx_relations_storage(int fillfactor);

/* A name for the state table that no relation has; sets id. */
extern char *sx_relations_state_name(SxRelations *relations);

/* The numbers of input groups; the state table's own, so that a dump has the next one. */
extern void sx_relations_add_groups(const SxRelations *relations);

/* Internal relations live and die with the visible view. */
extern void sx_relations_own(const SxRelations *relations);

/* Who may read them: the owner of the view, or of the one that it is a shadow of. */
extern Oid sx_relations_reader(const SxRelations *relations);

/* OIDs as regclass[], palloc'd. */
extern Datum sx_relations_array(List *relations);

#endif
