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

/*
 * At the end of one partition's log a broker holds back its answer, and with it
 * those for other partitions that are asked for on the same connection.
 */
#define BOUNDED_NAME "fetch.wait.max.ms"
#define BOUNDED_VALUE "20"

static SxSource *
open_source(const SxStream *stream, Oid userid, SxSourceOptions *options, bool is_bounded,
			MemoryContext context)
{
	ForeignServer *server = GetForeignServer(stream->server_oid);
	const char **names;
	const char **values;
	int count;

	sx_stream_check_usage(stream);
	count = sx_option_kafka_properties(server->options, mapping_options(userid, stream->server_oid),
									   &names, &values);
	if (is_bounded)
	{
		names = repalloc(names, sizeof(char *) * (count + 1));
		values = repalloc(values, sizeof(char *) * (count + 1));
		names[count] = BOUNDED_NAME;
		values[count++] = BOUNDED_VALUE;
	}
	options->topic = stream->topic;
	options->nproperties = count;
	options->names = names;
	options->values = values;
	return sx_source_open(options, context);
}

SxSource *
sx_connect(const SxStream *stream, Oid userid, size_t queue_bytes, const char *client_id,
		   MemoryContext context)
{
	SxSourceOptions options = {.queue_bytes = queue_bytes, .client_id = client_id};

	return open_source(stream, userid, &options, false, context);
}

SxSource *
sx_connect_bounded(const SxStream *stream, Oid userid, size_t queue_bytes, const char *client_id,
				   MemoryContext context)
{
	SxSourceOptions options = {.queue_bytes = queue_bytes, .client_id = client_id};

	return open_source(stream, userid, &options, true, context);
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
