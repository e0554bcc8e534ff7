/*
 * renew.h
 *	  A worker that has grown ends, to be begun anew.
 */
#ifndef SX_RENEW_H
#define SX_RENEW_H

#include "compat.h"

#include "nodes/pg_list.h"

/* Of time zones, while a batch runs; see process_memory.h. */
#define SX_MOST_ZONES ((Size) 128 * 1024 * 1024)

/*
 * Between two turns of the tasks: ends the process, if messages have made it keep too much.  It
 * is started anew at once, and begins with batches as small as this one's were.
 */
extern void sx_renew_if_grown(const List *tasks);

#endif
