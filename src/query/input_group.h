/*
 * input_group.h
 *	  Let go of input groups: delete what a view's tables of inputs hold of them.
 */
#ifndef SX_INPUT_GROUP_H
#define SX_INPUT_GROUP_H

#include "compat.h"

#include "query/view.h"

typedef struct SxInputGroups SxInputGroups;

/*
 * Open a view's tables of inputs for deleting (RowExclusiveLock, kept to the end of the
 * transaction), at a snapshot that sees all committed inputs, and those of the
 * transaction.  The caller holds the stream's lock.
 */
extern SxInputGroups *sx_input_groups_open(const SxView *view);
extern void sx_input_groups_close(SxInputGroups *groups);

/*
 * Delete up to limit inputs of a group, of all tables together.  Returns how many:
 * when that is limit, there may be more.
 */
extern int64 sx_input_groups_delete(SxInputGroups *groups, int64 group, int64 limit);

#endif
