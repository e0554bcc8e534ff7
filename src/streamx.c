/*
 * streamx.c
 *	  Where the library begins: settings, shared memory, hooks, launcher.
 */
#include "compat.h"

#include "miscadmin.h"

#include "batch/insert.h"
#include "catalog/activity.h"
#include "catalog/setting.h"
#include "query/hook.h"
#include "query/pushdown.h"
#include "query/ready.h"
#include "worker/launcher.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("streamx must be loaded via shared_preload_libraries"),
						errhint("Add this line to postgresql.conf and restart the server: "
								"shared_preload_libraries = 'streamx'")));

	sx_settings_define();
	/* pg_upgrade makes the catalog piece by piece; nothing of ours may look at it, or run */
	if (IsBinaryUpgrade)
		return;
	sx_activity_init();
	sx_launcher_init();
	sx_hook_init();
	sx_insert_init();
	sx_ready_init();
	sx_pushdown_init();
}
