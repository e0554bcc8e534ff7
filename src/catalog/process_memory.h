/*
 * process_memory.h
 *	  Memory that PostgreSQL keeps for as long as the process lives, and that grows with what
 *	  messages say: who may write to a topic could make a worker grow without end.
 */
#ifndef SX_PROCESS_MEMORY_H
#define SX_PROCESS_MEMORY_H

#include "compat.h"

/*
 * Bytes of time zones, which grow by some 25 kB with each spelling ("ABC3:21:07"), and of the caches
 * of the catalog, where what was looked for in vain stays, too (labels of an enum).  Not of what
 * was read for plans: that is as much as the relations of the views are, whatever messages say.
 */
extern Size sx_process_memory_zones(void);
extern Size sx_process_memory_caches(void);

/* After a plan was made; before: what sx_process_memory_caches said before that. */
extern void sx_process_memory_planned(Size before);

/* From now on time zones may take so many bytes; 0: any. */
extern void sx_process_memory_limit_zones(Size bytes);

/* Raises 53200 when they take more. */
extern void sx_process_memory_check(void);

#endif
