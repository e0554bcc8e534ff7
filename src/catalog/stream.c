/*
 * stream.c
 *	  A stream: a foreign table of ours, with its options resolved and checked.
 *
 * The validator has seen every value by itself.  Here options meet: those of
 * the server, the table and the columns, and the columns' types.
 */
#include "compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "catalog/stream.h"

#define WRAPPER_NAME "streamx"
#define DEFAULT_FORMAT "json"
#define DEFAULT_TIMEZONE "UTC"
#define DEFAULT_MAX_FUTURE_US USECS_PER_HOUR

/* The types a metadata column may have, by SxMetadata. */
static const struct
{
	const char *name;
	Oid types[2];
	const char *type_names;
} metadata_types[] = {
	[SX_METADATA_TOPIC] = {"topic", {TEXTOID}, "text"},
	[SX_METADATA_PARTITION] = {"partition", {INT4OID}, "integer"},
	[SX_METADATA_OFFSET] = {"offset", {INT8OID}, "bigint"},
	[SX_METADATA_TIMESTAMP] = {"timestamp", {TIMESTAMPTZOID}, "timestamp with time zone"},
	[SX_METADATA_KEY] = {"key", {TEXTOID, BYTEAOID}, "text or bytea"},
	[SX_METADATA_HEADERS] = {"headers", {JSONBOID}, "jsonb"},
};

/* Options that say something about a topic or its messages. */
static const char *const kafka_only[] = {"topic",  "format", "root", "filter", "timestamp_format",
										 "on_gap", "workers"};

/* Options that say something about event time. */
static const char *const event_time_only[] = {"watermark_delay", "idle_timeout", "idle_advance",
											  "max_future"};

static void resolve_options(SxStream *stream, List *options);
static void resolve_columns(SxStream *stream);
static void resolve_column(SxStream *stream, SxColumn *column, Form_pg_attribute attribute);
static void resolve_event_time(SxStream *stream, const char *name);
static void check_server(const SxStream *stream, List *options);
static void check_event_time(const SxStream *stream, List *options);
static void check_idle_advance(const SxStream *stream);
static void check_column(const SxStream *stream, const SxColumn *column);
static void check_metadata(const SxStream *stream, const SxColumn *column);

bool
sx_stream_is(Oid relid)
{
	HeapTuple tuple;
	Oid server;
	Oid wrapper;
	bool is_ours;

	if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
		return false;
	tuple = SearchSysCache1(FOREIGNTABLEREL, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return false;
	server = ((Form_pg_foreign_table) GETSTRUCT(tuple))->ftserver;
	ReleaseSysCache(tuple);

	tuple = SearchSysCache1(FOREIGNSERVEROID, ObjectIdGetDatum(server));
	if (!HeapTupleIsValid(tuple))
		return false;
	wrapper = ((Form_pg_foreign_server) GETSTRUCT(tuple))->srvfdw;
	ReleaseSysCache(tuple);

	tuple = SearchSysCache1(FOREIGNDATAWRAPPEROID, ObjectIdGetDatum(wrapper));
	if (!HeapTupleIsValid(tuple))
		return false;
	/* names of wrappers are unique in a database, and only superusers make them */
	is_ours =
		namestrcmp(&((Form_pg_foreign_data_wrapper) GETSTRUCT(tuple))->fdwname, WRAPPER_NAME) == 0;
	ReleaseSysCache(tuple);
	return is_ours;
}

SxStream *
sx_stream_open(Oid relid)
{
	SxStream *stream = palloc0(sizeof(SxStream));
	Relation relation = table_open(relid, AccessShareLock);
	ForeignTable *table = GetForeignTable(relid);
	ForeignServer *server = GetForeignServer(table->serverid);

	stream->relid = relid;
	stream->name = pstrdup(RelationGetRelationName(relation));
	stream->owner = relation->rd_rel->relowner;
	stream->server_oid = table->serverid;
	stream->is_kafka = sx_option_get(server->options, "bootstrap_servers") != NULL;
	stream->tupdesc = CreateTupleDescCopyConstr(RelationGetDescr(relation));
	resolve_options(stream, table->options);
	resolve_columns(stream);
	resolve_event_time(stream, sx_option_get(table->options, "event_time"));
	table_close(relation, AccessShareLock);
	return stream;
}

void
sx_stream_check(Oid relid)
{
	SxStream *stream = sx_stream_open(relid);
	List *options = GetForeignTable(relid)->options;
	int i;

	check_server(stream, options);
	check_event_time(stream, options);
	check_idle_advance(stream);
	for (i = 0; i < stream->ncolumns; i++)
		if (!stream->columns[i].is_dropped)
			check_column(stream, &stream->columns[i]);
}

void
sx_stream_check_usage(const SxStream *stream)
{
	if (sx_server_aclcheck(stream->server_oid, stream->owner) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for foreign server %s",
							   GetForeignServer(stream->server_oid)->servername),
						errdetail("The owner of stream \"%s\" needs USAGE on it.", stream->name)));
}

static void
resolve_options(SxStream *stream, List *options)
{
	const char *format = sx_option_get(options, "format");
	const char *timezone = sx_option_get(options, "timezone");
	const char *on_gap = sx_option_get(options, "on_gap");

	stream->topic = sx_option_get(options, "topic");
	stream->format = format ? format : DEFAULT_FORMAT;
	stream->root = sx_option_get(options, "root");
	stream->filter = sx_option_get(options, "filter");
	stream->timezone_name = timezone ? timezone : DEFAULT_TIMEZONE;
	stream->timezone = sx_option_timezone(stream->timezone_name);
	stream->timestamp_format = sx_option_timestamp_format(options);
	stream->watermark_delay_us = sx_option_interval_us(options, "watermark_delay", 0);
	stream->idle_timeout_us = sx_option_interval_us(options, "idle_timeout", -1);
	stream->idle_advance = sx_option_bool(options, "idle_advance", false);
	stream->max_future_us = sx_option_interval_us(options, "max_future", DEFAULT_MAX_FUTURE_US);
	stream->on_error =
		sx_option_on_error(options, stream->is_kafka ? SX_ON_ERROR_DEAD_LETTER : SX_ON_ERROR_STOP);
	stream->skips_gaps = on_gap != NULL && strcmp(on_gap, "skip") == 0;
	stream->retain = sx_option_bool(options, "retain", false);
}

static void
resolve_columns(SxStream *stream)
{
	int i;

	stream->ncolumns = stream->tupdesc->natts;
	stream->columns = palloc0(sizeof(SxColumn) * Max(stream->ncolumns, 1));
	for (i = 0; i < stream->ncolumns; i++)
		resolve_column(stream, &stream->columns[i], TupleDescAttr(stream->tupdesc, i));
}

static void
resolve_column(SxStream *stream, SxColumn *column, Form_pg_attribute attribute)
{
	List *options;

	column->attnum = attribute->attnum;
	column->name = NameStr(attribute->attname);
	column->type = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->collation = attribute->attcollation;
	column->is_dropped = attribute->attisdropped;
	column->not_null = attribute->attnotnull;
	if (column->is_dropped)
		return;
	options = GetForeignColumnOptions(stream->relid, column->attnum);
	column->metadata = sx_option_metadata(options);
	column->field = sx_option_get(options, "field");
	if (column->field == NULL)
		column->field = column->name;
}

/*
 * Find the event time column.  It may have been renamed since the option was
 * set: then stop, rather than go on without watermark.
 */
static void
resolve_event_time(SxStream *stream, const char *name)
{
	int i;

	if (name == NULL)
		return;
	for (i = 0; i < stream->ncolumns && stream->event_time == 0; i++)
		if (!stream->columns[i].is_dropped && strcmp(stream->columns[i].name, name) == 0)
			stream->event_time = stream->columns[i].attnum;
	if (stream->event_time == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						errmsg("event time column \"%s\" of stream \"%s\" does not exist", name,
							   stream->name),
						errhint("Name a column: OPTIONS (event_time '...'), or OPTIONS (SET "
								"event_time '...') with ALTER FOREIGN TABLE.")));
}

static void
check_server(const SxStream *stream, List *options)
{
	const char *server = GetForeignServer(stream->server_oid)->servername;
	int i;

	if (stream->is_kafka && stream->topic == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
						errmsg("stream \"%s\" needs option \"topic\"", stream->name),
						errdetail("Server \"%s\" is a Kafka cluster.", server)));
	if (stream->is_kafka && sx_option_get(options, "retain") != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"retain\" is only for streams that are fed by INSERT"),
						errdetail("Stream \"%s\" is a Kafka topic, and Kafka keeps its messages.",
								  stream->name)));
	for (i = 0; !stream->is_kafka && i < lengthof(kafka_only); i++)
		if (sx_option_get(options, kafka_only[i]) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("option \"%s\" is only for streams of a Kafka topic", kafka_only[i]),
					 errdetail("Server \"%s\" has no option bootstrap_servers, so stream \"%s\" is "
							   "fed by INSERT.",
							   server, stream->name)));
}

static void
check_event_time(const SxStream *stream, List *options)
{
	const char *name = sx_option_get(options, "event_time");
	Oid type;
	int i;

	for (i = 0; name == NULL && i < lengthof(event_time_only); i++)
		if (sx_option_get(options, event_time_only[i]) != NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"%s\" needs option \"event_time\"", event_time_only[i]),
							errhint("Name the column that says when each row happened.")));
	if (name == NULL)
		return;
	type = stream->columns[stream->event_time - 1].type;
	if (type != TIMESTAMPTZOID && type != TIMESTAMPOID && type != DATEOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("event time column \"%s\" of stream \"%s\" has type %s", name, stream->name,
						format_type_be(type)),
				 errhint("It must be timestamp with time zone, timestamp without time zone or "
						 "date.")));
}

/*
 * Somebody must look at the clock, and a partition that ever had a row must be
 * able to fall silent.
 */
static void
check_idle_advance(const SxStream *stream)
{
	if (!stream->idle_advance)
		return;
	if (!stream->is_kafka)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"idle_advance\" is only for streams of a Kafka topic"),
				 errdetail("Stream \"%s\" is fed by INSERT, and nothing moves its watermark while "
						   "nothing is inserted.",
						   stream->name),
				 errhint("INSERT a row with a later event time to move the watermark.")));
	if (stream->idle_timeout_us < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"idle_advance\" needs option \"idle_timeout\""),
				 errdetail("The watermark follows the clock when no row has come for "
						   "idle_timeout."),
				 errhint("Say how long that is, for example OPTIONS (idle_timeout '1 minute').")));
}

static void
check_column(const SxStream *stream, const SxColumn *column)
{
	Form_pg_attribute attribute = TupleDescAttr(stream->tupdesc, column->attnum - 1);

	if (attribute->attgenerated != '\0')
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column \"%s\" of stream \"%s\" is a generated column", column->name,
							   stream->name),
						errhint("Compute it in the views that need it.")));
	if (get_typtype(column->type) == TYPTYPE_PSEUDO)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("column \"%s\" of stream \"%s\" has pseudo-type %s", column->name,
							   stream->name, format_type_be(column->type))));
	if (!stream->is_kafka && GetForeignColumnOptions(stream->relid, column->attnum) != NIL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("column \"%s\" of stream \"%s\" cannot have options", column->name,
							   stream->name),
						errdetail("They are only for streams of a Kafka topic.")));
	if (column->metadata != SX_METADATA_NONE)
		check_metadata(stream, column);
}

static void
check_metadata(const SxStream *stream, const SxColumn *column)
{
	int i;

	for (i = 0; i < lengthof(metadata_types[0].types); i++)
		if (column->type == metadata_types[column->metadata].types[i])
			return;
	ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
					errmsg("metadata column \"%s\" of stream \"%s\" has type %s", column->name,
						   stream->name, format_type_be(column->type)),
					errhint("A column with metadata '%s' must be %s.",
							metadata_types[column->metadata].name,
							metadata_types[column->metadata].type_names)));
}
