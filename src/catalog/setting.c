/*
 * setting.c
 *	  The server's settings, streamx.*: one table, registered at load.
 *
 * All of them are read by background workers, so all are set in
 * postgresql.conf (or by ALTER SYSTEM) and take effect at reload.
 */
#include "compat.h"

#include "catalog/setting.h"

#include <limits.h>

#include "utils/guc.h"

bool sx_enabled = true;
int sx_max_workers = 8;
int sx_batch_rows = 500000;
int sx_batch_interval_ms = 1000;
int sx_batch_linger_ms = 10;
int sx_batch_memory_kb = 256 * 1024;
int sx_max_restart_backoff_ms = 60 * 1000;
int sx_discovery_interval_ms = 10 * 1000;
int sx_max_batch_time_ms = 60 * 1000;
int sx_catch_up_rate = 0;

static const struct
{
	const char *name;
	const char *description;
	int *variable;
	int default_value;
	int min;
	int max;
	int flags;
} integers[] = {
	{"streamx.max_workers", "Number of workers that may run at once, of all Kafka streams.",
	 &sx_max_workers, 8, 0, 128, 0},
	{"streamx.batch_rows", "Number of rows a micro-batch has at most.", &sx_batch_rows, 500000, 1,
	 10000000, 0},
	{"streamx.batch_interval", "Longest time over which a micro-batch grows while it is behind.",
	 &sx_batch_interval_ms, 1000, 1, 60 * 1000, GUC_UNIT_MS},
	{"streamx.batch_linger", "Shortest time between two micro-batches when caught up.",
	 &sx_batch_linger_ms, 10, 0, 60 * 1000, GUC_UNIT_MS},
	{"streamx.batch_memory", "Memory for a worker's messages and rows.", &sx_batch_memory_kb,
	 256 * 1024, 16 * 1024, MAX_KILOBYTES, GUC_UNIT_KB},
	{"streamx.max_restart_backoff", "Longest pause before a failed micro-batch is tried again.",
	 &sx_max_restart_backoff_ms, 60 * 1000, 10, 3600 * 1000, GUC_UNIT_MS},
	{"streamx.max_batch_time",
	 "Longest time that a worker spends on one view's share of a micro-batch.",
	 &sx_max_batch_time_ms, 60 * 1000, 0, INT_MAX, GUC_UNIT_MS},
	{"streamx.discovery_interval", "Time between two looks for new partitions of a topic.",
	 &sx_discovery_interval_ms, 10 * 1000, 10, 30 * 1000, GUC_UNIT_MS},
	{"streamx.catch_up_rate",
	 "Rows a second that a reader takes at most while it catches up; 0: as many as it can.",
	 &sx_catch_up_rate, 0, 0, INT_MAX, 0},
};

void
sx_settings_define(void)
{
	DefineCustomBoolVariable("streamx.enabled", "Whether streams of Kafka topics are read.",
							 "Without it all workers end; views keep what they have.", &sx_enabled,
							 true, PGC_SIGHUP, 0, NULL, NULL, NULL);
	for (int i = 0; i < lengthof(integers); i++)
		DefineCustomIntVariable(integers[i].name, integers[i].description, NULL,
								integers[i].variable, integers[i].default_value, integers[i].min,
								integers[i].max, PGC_SIGHUP, integers[i].flags, NULL, NULL, NULL);
	MarkGUCPrefixReserved("streamx");
}
