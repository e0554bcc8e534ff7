/*
 * home.h
 *	  Which database this is: a copy does not go on by itself.
 */
#ifndef SX_HOME_H
#define SX_HOME_H

#include "compat.h"

/*
 * Find out whether this database has become another one since the extension
 * was made: CREATE DATABASE … TEMPLATE copied it, or pg_upgrade.  If so, pause
 * its Kafka streams, with a note in the log, until streamx.resume.  Needs a snapshot.
 */
extern void sx_home_settle(void);

#endif
