/*
 * replace.h
 *	  CREATE OR REPLACE VIEW … WITH (streamx.continuous) over a continuous view.
 */
#ifndef SX_REPLACE_H
#define SX_REPLACE_H

#include "compat.h"

#include "query/define.h"

/* Give a continuous view another definition; the arguments are those of sx_define_view. */
extern void sx_replace_view(Oid view, ViewStmt *stmt, const char *source, int location, int length,
							SxRunUtility run, void *context);

#endif
