/*
 * home.c
 *	  Which database this is: a copy does not go on by itself.
 *
 * Where the extension was made is kept in streamx_internal.home, by the system
 * identifier of the cluster and the database's OID, which a dump does not
 * carry, but copied files do:
 *
 *      CREATE DATABASE ... TEMPLATE     another OID
 *      pg_upgrade                       another system identifier
 *      standby, base backup, rename     the same: streams go on
 */
#include "compat.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"

#include "catalog/spi.h"
#include "query/adopt.h"
#include "query/home.h"

/* Streams of topics that are not paused. */
static const char *const pause_streams =
	"UPDATE streamx.streams SET paused = true, is_copy = true"
	" WHERE NOT paused AND EXISTS (SELECT FROM pg_catalog.pg_foreign_table t"
	"   JOIN pg_catalog.pg_foreign_server s ON s.oid = t.ftserver,"
	"   LATERAL pg_catalog.pg_options_to_table(s.srvoptions) o"
	"   WHERE t.ftrelid = stream AND o.option_name = 'bootstrap_servers')";

static uint64 run(const char *statement, bool read_only);

void
sx_home_settle(void)
{
	uint64 paused;

	if (run("SELECT FROM streamx_internal.home"
			" WHERE (system_identifier, database) IS DISTINCT FROM ($1, $2)",
			true) == 0)
		return;
	/* of two sessions that come here, one moves in */
	if (run("UPDATE streamx_internal.home SET system_identifier = $1, database = $2"
			" WHERE (system_identifier, database) IS DISTINCT FROM ($1, $2)",
			false) == 0)
		return;
	sx_adopt_orphans();
	paused = run(pause_streams, false);
	if (paused > 0)
		ereport(LOG, (errmsg("the Kafka streams of database \"%s\" are paused",
							 get_database_name(MyDatabaseId)),
					  errdetail("The database is a copy, and the one that it was copied from "
								"may go on reading their topics."),
					  errhint("SELECT streamx.resume(stream) lets a stream go on here.")));
}

/* Of $1 and $2, the system identifier and the database; returns how many rows it found or changed. */
static uint64
run(const char *statement, bool read_only)
{
	Oid types[] = {INT8OID, OIDOID};
	Datum values[] = {Int64GetDatum((int64) GetSystemIdentifier()), ObjectIdGetDatum(MyDatabaseId)};
	uint64 count;
	SxSpi spi;

	sx_spi_begin(&spi);
	count = sx_spi_execute(statement, lengthof(types), types, values, NULL, read_only);
	sx_spi_end(&spi);
	return count;
}
