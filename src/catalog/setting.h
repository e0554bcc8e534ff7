/*
 * setting.h
 *	  The server's settings, streamx.*: at most a dozen.
 *
 * What belongs to one stream or one view is an option of it, not a setting.
 */
#ifndef SX_SETTING_H
#define SX_SETTING_H

#include "compat.h"

extern bool sx_enabled;				  /* workers run at all */
extern int sx_max_workers;			  /* of all databases together */
extern int sx_batch_rows;			  /* at most, a micro-batch */
extern int sx_batch_interval_ms;	  /* behind: commit at least so often */
extern int sx_batch_linger_ms;		  /* caught up: commit at most so often */
extern int sx_batch_memory_kb;		  /* of one worker: queue, messages and rows */
extern int sx_max_restart_backoff_ms; /* longest pause after repeated failures */
extern int sx_max_batch_time_ms;	  /* of one view's share of a micro-batch; 0: no limit */
extern int sx_discovery_interval_ms;  /* between two looks for new partitions */
extern int sx_catch_up_rate;		  /* rows a second of a reader that catches up; 0: any */

/* Make them known to the server; from _PG_init. */
extern void sx_settings_define(void);

#endif
