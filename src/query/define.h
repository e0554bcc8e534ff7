/*
 * define.h
 *	  CREATE VIEW … WITH (streamx.continuous): make a view's relations.
 */
#ifndef SX_DEFINE_H
#define SX_DEFINE_H

#include "compat.h"

#include "nodes/parsenodes.h"

#include "query/relations.h"

/* Run a utility statement the ordinary way (the next ProcessUtility hook). */
typedef void (*SxRunUtility)(Node *statement, void *context);

/* Whether CREATE VIEW carries options of ours. */
extern bool sx_define_is_wanted(List *options);

/* The statement, read and checked, but for what there is of its name. */
typedef struct SxStatement
{
	RangeVar *name;
	char *text;	   /* as the user wrote it */
	List *options; /* ours, without their namespace */
	Query *query;  /* as analysed, with the names of columns applied */
	SxDefinition *definition;
	ViewStmt *dummy; /* of a plain view that has the right columns, and the other options */
} SxStatement;

/* What has the name where CREATE VIEW would make a view, or InvalidOid. */
extern Oid sx_define_existing(const RangeVar *name);

/* location and length delimit the statement in source, which errors point into. */
extern SxStatement *sx_define_read(ViewStmt *stmt, const char *source, int location, int length);

/*
 * Create a continuous view.  location and length delimit the statement in
 * source, which errors point into; run is called once, with the CREATE VIEW of
 * a plain view that has the right columns.
 */
extern void sx_define_view(ViewStmt *stmt, const char *source, int location, int length,
						   SxRunUtility run, void *context);

/* Enter a view into the catalog: text is the statement, options are ours. */
extern void sx_define_record(const SxRelations *relations, const char *text, List *options);

/* A view option's interval, or none. */
extern Datum sx_define_interval(List *options, const char *name, bool *is_null);

/* Error if an ordinary view has options that a continuous one cannot have. */
extern void sx_define_check_plain_options(List *options);

/* Give the owners of continuous views what they may have changed hands with. */
extern void sx_define_sync_owners(void);

/* Called when streams, views or readers changed: the worker layer wakes its launcher. */
extern void (*sx_views_changed)(void);

#endif
