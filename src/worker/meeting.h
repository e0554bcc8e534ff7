/*
 * meeting.h
 *	  Readers of a stream that meet become one (SEMANTICS 24).
 *
 * A view made later reads the topic by a reader of its own until it stands where
 * an older one does; then its views hang on that one, and messages are read and
 * decoded once for all.
 */
#ifndef SX_MEETING_H
#define SX_MEETING_H

#include "compat.h"

#include "nodes/pg_list.h"
#include "worker/task.h"

/* Before a task's turn: let it not read beyond an older reader, so that the two meet. */
extern void sx_meeting_aim(List *tasks, SxTask *task);

/*
 * After its turn: if it stands where an older reader stands, its views join that one, in a
 * transaction of their own.  True: the reader is no more, and the catalog is to be looked at.
 * Never throws.
 */
extern bool sx_meeting_join(List *tasks, SxTask *task);

#endif
