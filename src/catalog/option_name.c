/*
 * option_name.c
 *	  What to say about the name of an option that does not exist.
 *
 * People bring names from Flink, ClickHouse, RisingWave, kafka_fdw and
 * librdkafka.  A name is brought to our spelling, then looked up among the
 * foreign ones, then among ours in other places, then by likeness.
 */
#include "compat.h"

#include "lib/stringinfo.h"
#include "utils/varlena.h"

#include "catalog/kafka_property.h"
#include "catalog/option_name.h"

/* A foreign name, as normalise() leaves it, and either our option or an explanation. */
typedef struct ForeignName
{
	const char *name;
	const char *ours;
	const char *explanation;
} ForeignName;

#define NO_GROUP                                                                                   \
	"streamx keeps its offsets in PostgreSQL and joins no consumer group: leave the option out."
#define START                                                                                      \
	"Where a view starts to read is its own option: streamx.start in CREATE VIEW ... WITH."
#define RESERVED "streamx sets this property itself: leave the option out."
#define KERBEROS "Kerberos is not supported, because librdkafka runs a shell command for it."
#define BATCHES "The size of batches is a setting: streamx.batch_rows."

static const ForeignName foreign_names[] = {
	{"broker", "bootstrap_servers"},
	{"brokers", "bootstrap_servers"},
	{"broker_list", "bootstrap_servers"},
	{"metadata_broker_list", "bootstrap_servers"},
	{"bootstrap_server", "bootstrap_servers"},
	{"servers", "bootstrap_servers"},
	{"host", "bootstrap_servers"},
	{"hosts", "bootstrap_servers"},
	{"sasl_mechanisms", "sasl_mechanism"},
	{"user", "sasl_username"},
	{"username", "sasl_username"},
	{"password", "sasl_password"},
	{"sasl_jaas_config", NULL, "Give sasl_username and sasl_password in the user mapping."},
	{"ssl_truststore_location", "ssl_ca_location"},
	{"ssl_truststore_certificates", "ssl_ca_pem"},
	{"ssl_keystore_key", "ssl_key_pem"},
	{"ssl_keystore_certificate_chain", "ssl_certificate_pem"},
	{"fetch_message_max_bytes", "max_partition_fetch_bytes"},
	{"group_id", NULL, NO_GROUP},
	{"group", NULL, NO_GROUP},
	{"group_name", NULL, NO_GROUP},
	{"consumer_group", NULL, NO_GROUP},
	{"enable_auto_commit", NULL, NO_GROUP},
	{"auto_commit_interval_ms", NULL, NO_GROUP},
	{"enable_auto_offset_store", NULL, RESERVED},
	{"isolation_level", NULL, "streamx reads committed messages only: leave the option out."},
	{"check_crcs", NULL, RESERVED},
	{"client_id", NULL, RESERVED},
	{"enable_partition_eof", NULL, RESERVED},
	{"queued_min_messages", NULL, "Memory is a setting: streamx.batch_memory."},
	{"queued_max_messages_kbytes", NULL, "Memory is a setting: streamx.batch_memory."},
	{"startup_mode", NULL, START},
	{"startup_timestamp_millis", NULL, START},
	{"startup_specific_offsets", NULL, START},
	{"auto_offset_reset", NULL, START},
	{"starting_offsets", NULL, START},
	{"start_offset", NULL, START},
	{"sasl_kerberos_service_name", NULL, KERBEROS},
	{"sasl_kerberos_principal", NULL, KERBEROS},
	{"sasl_kerberos_keytab", NULL, KERBEROS},
	{"sasl_kerberos_kinit_cmd", NULL, KERBEROS},
	{"sasl_kerberos_min_time_before_relogin", NULL, KERBEROS},
	{"topics", "topic"},
	{"topic_list", "topic"},
	{"topic_name", "topic"},
	{"topic_pattern", "topic"},
	{"value_format", "format"},
	{"data_format", "format"},
	{"num_consumers", "workers"},
	{"parallelism", "workers"},
	{"batch_size", NULL, BATCHES},
	{"max_block_size", NULL, BATCHES},
	{"watermark", "watermark_delay"},
	{"watermark_interval", "watermark_delay"},
	{"time_column", "event_time"},
	{"rowtime", "event_time"},
	{"time_zone", "timezone"},
	{"ignore_parse_errors", "on_error"},
	{"skip_broken_messages", "on_error"},
	{"handle_error_mode", "on_error"},
	{"strict", "on_error"},
	{"ignore_junk", "on_error"},
	{"source_idle_timeout", "idle_timeout"},
	{"path", "field"},
	{"json", "field"},
	{"json_path", "field"},
	{"partition", NULL, "Say metadata 'partition'."},
	{"offset", NULL, "Say metadata 'offset'."},
	{"timestamp", NULL, "Say metadata 'timestamp' of a column, or event_time of a stream."},
	{"key", NULL, "Say metadata 'key'."},
	{"headers", NULL, "Say metadata 'headers'."},
	{"lateness", "allowed_lateness"},
};

/* Prefixes under which others keep the names above */
static const char *const prefixes[] = {"streamx_",	 "properties_", "kafka_",
									   "connector_", "scan_",		"json_"};

static char *normalise(const char *name);
static const ForeignName *find_foreign(const char *name);
static bool find_scope(const char *name, SxOptionScope preferred, SxOptionScope *scope);
static const char *nearest(SxOptionScope scope, const char *name);
static void append_suggestion(StringInfo hint, SxOptionScope scope, const char *name);
static void append_place(StringInfo hint, SxOptionScope scope, const char *name);
static void append_valid(StringInfo hint, SxOptionScope scope);

void
sx_option_unknown(SxOptionScope scope, const char *name)
{
	const char *dot = scope == SX_OPTION_VIEW ? "streamx." : "";
	StringInfoData hint;
	char *normalised = normalise(name);

	initStringInfo(&hint);
	append_suggestion(&hint, scope, normalised);
	append_valid(&hint, scope);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s%s\" for %s", dot, name, sx_option_scope_noun(scope)),
			 errhint("%s", hint.data)));
}

const char *
sx_option_scope_noun(SxOptionScope scope)
{
	switch (scope)
	{
		case SX_OPTION_SERVER:
			return "a server";
		case SX_OPTION_USER_MAPPING:
			return "a user mapping";
		case SX_OPTION_STREAM:
			return "a stream";
		case SX_OPTION_COLUMN:
			return "a column of a stream";
		case SX_OPTION_VIEW:
			return "a continuous view";
	}
	return NULL;
}

/* Lower case, '_' for '.' and '-', without prefixes; cut to what could be a name of ours. */
static char *
normalise(const char *name)
{
	char *result = pnstrdup(name, NAMEDATALEN - 1);
	char *at;
	int i;

	for (at = result; *at; at++)
		*at = (*at == '.' || *at == '-') ? '_' : pg_ascii_tolower((unsigned char) *at);
	for (i = 0; i < lengthof(prefixes); i++)
		if (strncmp(result, prefixes[i], strlen(prefixes[i])) == 0)
			result += strlen(prefixes[i]);
	return result;
}

/* "Perhaps you meant ...", or where the option belongs, or why there is none. */
static void
append_suggestion(StringInfo hint, SxOptionScope scope, const char *name)
{
	const ForeignName *foreign = find_foreign(name);
	const char *ours = foreign ? foreign->ours : name;
	SxOptionScope place;

	if (foreign != NULL && ours == NULL)
		appendStringInfo(hint, "%s ", foreign->explanation);
	else if (find_scope(ours, scope, &place))
	{
		if (place == scope)
			appendStringInfo(hint, "Perhaps you meant \"%s\". ", ours);
		else
			append_place(hint, place, ours);
	}
	else if ((ours = nearest(scope, name)) != NULL)
		appendStringInfo(hint, "Perhaps you meant \"%s\". ", ours);
}

static const ForeignName *
find_foreign(const char *name)
{
	int i;

	for (i = 0; i < lengthof(foreign_names); i++)
		if (strcmp(foreign_names[i].name, name) == 0)
			return &foreign_names[i];
	return NULL;
}

static bool
find_scope(const char *name, SxOptionScope preferred, SxOptionScope *scope)
{
	int try;

	for (try = -1; try <= SX_OPTION_VIEW; try++)
	{
		const char *valid;
		int i;

		*scope = try < 0 ? preferred : (SxOptionScope) try;
		for (i = 0; (valid = sx_option_name_at(*scope, i)) != NULL; i++)
			if (strcmp(valid, name) == 0)
				return true;
	}
	return false;
}

/* The valid name that needs the fewest letters changed, if few enough. */
static const char *
nearest(SxOptionScope scope, const char *name)
{
	const char *best = NULL;
	const char *valid;
	int length = strlen(name);
	int limit = Min(length / 2, 4);
	int i;

	for (i = 0; (valid = sx_option_name_at(scope, i)) != NULL; i++)
	{
		int distance =
			varstr_levenshtein_less_equal(name, length, valid, strlen(valid), 1, 1, 1, limit, true);

		if (distance <= limit)
		{
			limit = distance - 1;
			best = valid;
		}
	}
	return best;
}

static void
append_place(StringInfo hint, SxOptionScope scope, const char *name)
{
	static const char *const statements[] = {
		[SX_OPTION_SERVER] = "CREATE SERVER",
		[SX_OPTION_USER_MAPPING] = "CREATE USER MAPPING",
		[SX_OPTION_STREAM] = "CREATE FOREIGN TABLE",
		[SX_OPTION_COLUMN] = "OPTIONS after the column's type",
		[SX_OPTION_VIEW] = "CREATE VIEW ... WITH",
	};

	appendStringInfo(hint, "\"%s%s\" is an option of %s (%s). ",
					 scope == SX_OPTION_VIEW ? "streamx." : "", name, sx_option_scope_noun(scope),
					 statements[scope]);
}

static void
append_valid(StringInfo hint, SxOptionScope scope)
{
	const char *name;
	int i;

	appendStringInfo(hint, "Valid options of %s are: ", sx_option_scope_noun(scope));
	for (i = 0; (name = sx_option_name_at(scope, i)) != NULL; i++)
		appendStringInfo(hint, "%s%s%s", i > 0 ? ", " : "",
						 scope == SX_OPTION_VIEW ? "streamx." : "", name);
	appendStringInfoChar(hint, '.');
}

bool
sx_option_may_be_secret(const char *name)
{
	static const char *const words[] = {"pass", "pwd",	"secret", "key",   "pem",
										"jaas", "user", "token",  "config"};
	char *normalised = normalise(name);
	int i;

	for (i = 0; i < lengthof(words); i++)
		if (strstr(normalised, words[i]) != NULL)
			return true;
	return false;
}
