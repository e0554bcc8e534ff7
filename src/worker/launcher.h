/*
 * launcher.h
 *	  The launcher: sees to it that each Kafka stream with views has its workers.
 */
#ifndef SX_LAUNCHER_H
#define SX_LAUNCHER_H

#include "compat.h"

/*
 * Register the launcher, its shared memory and hooks; from _PG_init, only while
 * shared_preload_libraries is processed, after the settings.
 */
extern void sx_launcher_init(void);

/*
 * The current transaction changes streams, readers, views or the options of a
 * server: when it commits, workers of this database look at the catalog again
 * and the launcher looks for streams that need a worker, or need one no more.
 */
extern void sx_launcher_wakeup(void);

/* The current transaction makes or changes databases: the launcher looks at all of them. */
extern void sx_launcher_wakeup_all(void);

/* The same at once, for one database. */
extern void sx_launcher_wakeup_database(Oid database);

/*
 * Before DROP, RENAME, SET TABLESPACE and CREATE ... TEMPLATE of a database:
 * end its workers, wait until they are gone (at most a few seconds) and let none
 * start before the transaction ends.
 */
extern void sx_launcher_hold_database(Oid database);

/* Entry points of background workers. */
extern SX_EXPORT void sx_launcher_main(Datum arg);
extern SX_EXPORT void sx_probe_main(Datum arg);

#endif
