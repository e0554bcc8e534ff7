/*
 * kafka_property.c
 *	  The librdkafka properties that may be set: an allow-list.
 *
 * librdkafka has properties that run shell commands, load libraries and read
 * files, some of them already while they are being set.  So a property that
 * is not in the table below does not exist for us, and no name from outside
 * ever reaches rd_kafka_conf_set.  Kerberos (GSSAPI) is left out as a whole:
 * librdkafka's default is to run kinit by system(), with the principal put
 * into the command unquoted.
 *
 * An option is named like the property, with '_' for '.'.
 */
#include "compat.h"

#include <librdkafka/rdkafka.h>

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "catalog/kafka_property.h"

typedef enum PropertyKind
{
	KIND_TEXT,
	KIND_BROKERS,
	KIND_MECHANISM,
	KIND_INTEGER,
	KIND_BOOL
} PropertyKind;

struct SxKafkaProperty
{
	const char *name;
	PropertyKind kind;
	SxPropertyClass class;
	int scopes; /* bits 1 << SxOptionScope */
};

#define ON_SERVER (1 << SX_OPTION_SERVER)
#define ON_MAPPING (1 << SX_OPTION_USER_MAPPING)
#define ON_BOTH (ON_SERVER | ON_MAPPING)

static const SxKafkaProperty properties[] = {
	{"bootstrap_servers", KIND_BROKERS, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"security_protocol", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"sasl_mechanism", KIND_MECHANISM, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"sasl_username", KIND_TEXT, SX_PROPERTY_SECRET, ON_MAPPING},
	{"sasl_password", KIND_TEXT, SX_PROPERTY_SECRET, ON_MAPPING},
	{"ssl_ca_pem", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"ssl_certificate_pem", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_BOTH},
	{"ssl_key_pem", KIND_TEXT, SX_PROPERTY_SECRET, ON_MAPPING},
	{"ssl_key_password", KIND_TEXT, SX_PROPERTY_SECRET, ON_MAPPING},
	{"ssl_keystore_password", KIND_TEXT, SX_PROPERTY_SECRET, ON_MAPPING},
	{"ssl_ca_location", KIND_TEXT, SX_PROPERTY_FILE, ON_SERVER},
	{"ssl_crl_location", KIND_TEXT, SX_PROPERTY_FILE, ON_SERVER},
	{"ssl_certificate_location", KIND_TEXT, SX_PROPERTY_FILE, ON_BOTH},
	{"ssl_key_location", KIND_TEXT, SX_PROPERTY_FILE, ON_BOTH},
	{"ssl_keystore_location", KIND_TEXT, SX_PROPERTY_FILE, ON_BOTH},
	{"ssl_endpoint_identification_algorithm", KIND_TEXT, SX_PROPERTY_SUPERUSER, ON_SERVER},
	{"ssl_cipher_suites", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"ssl_curves_list", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"ssl_sigalgs_list", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"broker_address_family", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"broker_address_ttl", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"client_rack", KIND_TEXT, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"connections_max_idle_ms", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"reconnect_backoff_ms", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"reconnect_backoff_max_ms", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"socket_timeout_ms", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"socket_connection_setup_timeout_ms", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"socket_keepalive_enable", KIND_BOOL, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"socket_nagle_disable", KIND_BOOL, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"socket_receive_buffer_bytes", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"socket_send_buffer_bytes", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"fetch_wait_max_ms", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"fetch_min_bytes", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"fetch_max_bytes", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"max_partition_fetch_bytes", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"fetch_error_backoff_ms", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
	{"receive_message_max_bytes", KIND_INTEGER, SX_PROPERTY_ORDINARY, ON_SERVER},
};

static const char *const mechanisms[] = {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};

/* librdkafka's defaults, and how much larger a response may be than what was asked for */
#define DEFAULT_FETCH_MAX_BYTES INT64CONST(52428800)
#define RESPONSE_OVERHEAD 512
/* a fetch must hold the largest message of message.max.bytes, which we leave at its default */
#define MESSAGE_MAX_BYTES INT64CONST(1000000)

static void check_privilege(const SxKafkaProperty *property);
static void check_brokers(const SxKafkaProperty *property, const char *value);
static void check_mechanism(const SxKafkaProperty *property, const char *value);
static void check_integer(const SxKafkaProperty *property, const char *value);
static void check_by_librdkafka(const SxKafkaProperty *property, const char *value);
static void check_sasl(List *options);
static char *dotted(const char *name);
static char *canonical(const SxKafkaProperty *property, const char *value);
static void
bad_value(const SxKafkaProperty *property, const char *value, const char *detail, const char *hint);

const SxKafkaProperty *
sx_kafka_property_at(int i)
{
	return i < lengthof(properties) ? &properties[i] : NULL;
}

const SxKafkaProperty *
sx_kafka_property_find(const char *name)
{
	int i;

	for (i = 0; i < lengthof(properties); i++)
		if (strcmp(properties[i].name, name) == 0)
			return &properties[i];
	return NULL;
}

const char *
sx_kafka_property_name(const SxKafkaProperty *property)
{
	return property->name;
}

bool
sx_kafka_property_is_in(const SxKafkaProperty *property, SxOptionScope scope)
{
	return (property->scopes & (1 << scope)) != 0;
}

bool
sx_kafka_property_is_secret(const SxKafkaProperty *property)
{
	return property->class == SX_PROPERTY_SECRET;
}

void
sx_kafka_property_check(const SxKafkaProperty *property, const char *value)
{
	check_privilege(property);
	if (value[0] == '\0')
		bad_value(property, value, "The value is empty.", NULL);
	switch (property->kind)
	{
		case KIND_BROKERS:
			check_brokers(property, value);
			break;
		case KIND_MECHANISM:
			check_mechanism(property, value);
			break;
		case KIND_INTEGER:
			check_integer(property, value);
			break;
		case KIND_BOOL:
			if (canonical(property, value) == NULL)
				bad_value(property, value, NULL, "Valid values are: on, off.");
			break;
		case KIND_TEXT:
			break;
	}
	check_by_librdkafka(property, value);
}

/*
 * Contradictions that librdkafka would find only when a consumer is made, or
 * would not find at all.
 */
void
sx_kafka_properties_check_server(List *options)
{
	int64 fetch =
		sx_option_int(options, "fetch_max_bytes", DEFAULT_FETCH_MAX_BYTES, 0, PG_INT32_MAX);
	int64 receive =
		sx_option_int(options, "receive_message_max_bytes", PG_INT32_MAX, 0, PG_INT32_MAX);

	if (options != NIL && sx_option_get(options, "bootstrap_servers") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("option \"bootstrap_servers\" is missing"),
				 errhint("A server has either no options, for streams that are fed by INSERT, or "
						 "bootstrap_servers, for example 'localhost:9092'.")));
	check_sasl(options);
	if (fetch < MESSAGE_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"fetch_max_bytes\" is less than the largest message, " INT64_FORMAT
						" bytes",
						MESSAGE_MAX_BYTES)));
	if (sx_option_get(options, "receive_message_max_bytes") != NULL &&
		receive < fetch + RESPONSE_OVERHEAD)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"receive_message_max_bytes\" must be at least fetch_max_bytes "
						"+ %d, that is " INT64_FORMAT,
						RESPONSE_OVERHEAD, fetch + RESPONSE_OVERHEAD)));
}

int
sx_option_kafka_properties(List *server_options, List *mapping_options, const char ***names,
						   const char ***values)
{
	int count = 0;
	int i;

	check_sasl(server_options);
	*names = palloc(sizeof(char *) * lengthof(properties));
	*values = palloc(sizeof(char *) * lengthof(properties));
	for (i = 0; i < lengthof(properties); i++)
	{
		const SxKafkaProperty *property = &properties[i];
		const char *value = NULL;

		if (property->scopes & ON_MAPPING)
			value = sx_option_get(mapping_options, property->name);
		if (value == NULL && (property->scopes & ON_SERVER))
			value = sx_option_get(server_options, property->name);
		if (value == NULL)
			continue;
		(*names)[count] = dotted(property->name);
		(*values)[count] = canonical(property, value);
		if ((*values)[count] != NULL)
			count++;
	}
	return count;
}

static void
check_privilege(const SxKafkaProperty *property)
{
	if (property->class == SX_PROPERTY_FILE &&
		!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", property->name),
				 errdetail("Only superusers and roles with privileges of pg_read_server_files may "
						   "name files of the server."),
				 errhint("Give the certificate or key itself: ssl_ca_pem on the server; "
						 "ssl_certificate_pem and ssl_key_pem in the user mapping.")));
	if (property->class == SX_PROPERTY_SUPERUSER && !superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied to set option \"%s\"", property->name),
						errdetail("Only superusers may set it, because it weakens the connection's "
								  "security.")));
}

/*
 * A comma-separated list of [protocol://]host[:port], without user or password, which
 * every role could read; hosts are looked up only when connecting.
 */
static void
check_brokers(const SxKafkaProperty *property, const char *value)
{
	static const char *const hint = "Give host:port, or several separated by commas, for example "
									"'kafka1:9092,kafka2:9092'.";
	char *copy = pstrdup(value);
	char *broker = copy;

	while (broker != NULL)
	{
		char *next = strchr(broker, ',');
		char *host;
		char *port;

		if (next != NULL)
			*next++ = '\0';
		host = strstr(broker, "://") ? strstr(broker, "://") + 3 : broker;
		port = strrchr(host, ':');
		if (port != NULL && strchr(port, ']') == NULL)
		{
			char *end;
			long number = strtol(port + 1, &end, 10);

			if (end == port + 1 || *end != '\0' || number < 1 || number > 65535)
				bad_value(property, value, "A port is a number between 1 and 65535.", hint);
			*port = '\0';
		}
		if (host[0] == '\0' || strpbrk(host, " \t\r\n/@") != NULL)
			bad_value(property, value, NULL, hint);
		broker = next;
	}
	pfree(copy);
}

static void
check_mechanism(const SxKafkaProperty *property, const char *value)
{
	int i;

	for (i = 0; i < lengthof(mechanisms); i++)
		if (strcmp(mechanisms[i], value) == 0)
			return;
	if (pg_strcasecmp(value, "GSSAPI") == 0 || pg_strcasecmp(value, "OAUTHBEARER") == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("SASL mechanism \"%s\" is not supported", value),
						errhint("Valid values are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512.")));
	bad_value(property, value, NULL, "Valid values are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512.");
}

/* librdkafka takes "10 s" for 10: be strict before it is asked about the range. */
static void
check_integer(const SxKafkaProperty *property, const char *value)
{
	const char *digits = value[0] == '-' ? value + 1 : value;

	if (digits[0] == '\0' || strlen(digits) > 10 || strspn(digits, "0123456789") != strlen(digits))
		bad_value(property, value, NULL,
				  strstr(property->name, "_ms") ? "Give a whole number of milliseconds."
												: "Give a whole number.");
}

/* Set the property on a scratch configuration: bounds and enums, as this librdkafka has them. */
static void
check_by_librdkafka(const SxKafkaProperty *property, const char *value)
{
	char reason[512] = "";
	char *name = dotted(property->name);
	char *canonical_value = canonical(property, value);
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_conf_res_t result;

	result = rd_kafka_conf_set(conf, name, canonical_value, reason, sizeof(reason));
	rd_kafka_conf_destroy(conf);
	if (result != RD_KAFKA_CONF_OK)
		bad_value(property, value, psprintf("librdkafka says: %s.", reason), NULL);
}

/*
 * A SASL connection needs a mechanism: without one librdkafka would take
 * GSSAPI, and run kinit.
 */
static void
check_sasl(List *options)
{
	const char *protocol = sx_option_get(options, "security_protocol");
	bool is_sasl = protocol != NULL && pg_strncasecmp(protocol, "sasl", 4) == 0;
	const char *mechanism = sx_option_get(options, "sasl_mechanism");

	if (is_sasl && mechanism == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
				 errmsg("security_protocol \"%s\" needs option \"sasl_mechanism\"", protocol),
				 errhint("Valid values are: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512.")));
	if (!is_sasl && mechanism != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"sasl_mechanism\" needs a security_protocol with SASL"),
						errhint("Set security_protocol to 'sasl_ssl' or 'sasl_plaintext'.")));
}

static char *
dotted(const char *name)
{
	char *result = pstrdup(name);
	char *at;

	for (at = result; *at; at++)
		if (*at == '_')
			*at = '.';
	return result;
}

/* The value as librdkafka spells it; NULL when it is no boolean but should be. */
static char *
canonical(const SxKafkaProperty *property, const char *value)
{
	bool is_on;

	if (property->kind != KIND_BOOL)
		return pstrdup(value);
	if (!parse_bool(value, &is_on))
		return NULL;
	return pstrdup(is_on ? "true" : "false");
}

/* Secrets are not shown. */
static void
bad_value(const SxKafkaProperty *property, const char *value, const char *detail, const char *hint)
{
	if (property->class == SX_PROPERTY_SECRET)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\"", property->name)));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for option \"%s\": \"%s\"", property->name, value),
					detail ? errdetail("%s", detail) : 0, hint ? errhint("%s", hint) : 0));
}
