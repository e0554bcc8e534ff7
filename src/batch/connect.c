/*
 * connect.c
 *	  From a Kafka stream and a role to a source: server options, user mapping.
 *
 * Property values may be secrets: they are handed to librdkafka and nowhere
 * else.
 */
#include "compat.h"

#include "access/reloptions.h"
#include "batch/connect.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

static List *mapping_options(Oid userid, Oid server);

SxSource *
sx_connect(const SxStream *stream, Oid userid, size_t queue_bytes, const char *client_id,
		   MemoryContext context)
{
	ForeignServer *server = GetForeignServer(stream->server_oid);
	SxSourceOptions options = {
		.topic = stream->topic, .queue_bytes = queue_bytes, .client_id = client_id};
	const char **names;
	const char **values;

	options.nproperties = sx_option_kafka_properties(
		server->options, mapping_options(userid, stream->server_oid), &names, &values);
	options.names = names;
	options.values = values;
	return sx_source_open(&options, context);
}

char *
sx_connect_servers(const SxStream *stream)
{
	return pstrdup(
		sx_option_get(GetForeignServer(stream->server_oid)->options, "bootstrap_servers"));
}

/* A role's own mapping, or PUBLIC's; unlike for other wrappers, none is fine. */
static List *
mapping_options(Oid userid, Oid server)
{
	HeapTuple tuple;
	List *options = NIL;
	Datum datum;
	bool isnull;

	tuple =
		SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid), ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		tuple = SearchSysCache2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
								ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return NIL;
	datum = SysCacheGetAttr(USERMAPPINGUSERSERVER, tuple, Anum_pg_user_mapping_umoptions, &isnull);
	if (!isnull)
		options = untransformRelOptions(datum);
	ReleaseSysCache(tuple);
	return options;
}
