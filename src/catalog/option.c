/*
 * option.c
 *	  The options of servers, user mappings, streams, columns and views: one
 *	  table of names, kinds and checks.
 *
 * Everything that can be said about a value by itself is checked here, when
 * the object is made; what options say together, and about columns, is
 * checked by sx_stream_check.  The options that go to librdkafka are rows of
 * another table, in kafka_property.c.
 */
#include "compat.h"

#include "access/reloptions.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/int.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "catalog/filter.h"
#include "catalog/kafka_property.h"
#include "catalog/option.h"
#include "catalog/option_name.h"

typedef enum OptionKind
{
	KIND_TOPIC,
	KIND_PATH, /* names separated by dots */
	KIND_TEXT, /* anything but nothing */
	KIND_TIMEZONE,
	KIND_INTERVAL,
	KIND_INTERVAL_OR_OFF,
	KIND_BOOL,
	KIND_WORKERS,
	KIND_CHOICE,
	KIND_START,
	KIND_FILTER
} OptionKind;

typedef struct Option
{
	const char *name;
	SxOptionScope scope;
	OptionKind kind;
	const char *const *choices;
	const char *const *later; /* choices that are known, but not supported yet */
} Option;

/* The order of each is that of its enum, where it has one. */
static const char *const formats[] = {"json", NULL};
static const char *const later_formats[] = {"csv",		"text", "raw",		"avro",
											"protobuf", "xml",	"debezium", NULL};
static const char *const timestamp_formats[] = {"iso", "epoch_s", "epoch_ms", NULL};
static const char *const error_policies[] = {"dead_letter", "skip", "stop", NULL};
static const char *const gap_policies[] = {"stop", "skip", NULL};
static const char *const late_policies[] = {"store", "discard", NULL};
static const char *const metadata_names[] = {"topic", "partition", "offset", "timestamp",
											 "key",	  "headers",   NULL};

static const Option options_table[] = {
	{"topic", SX_OPTION_STREAM, KIND_TOPIC},
	{"format", SX_OPTION_STREAM, KIND_CHOICE, formats, later_formats},
	{"root", SX_OPTION_STREAM, KIND_PATH},
	{"filter", SX_OPTION_STREAM, KIND_FILTER},
	{"event_time", SX_OPTION_STREAM, KIND_TEXT},
	{"timezone", SX_OPTION_STREAM, KIND_TIMEZONE},
	{"timestamp_format", SX_OPTION_STREAM, KIND_CHOICE, timestamp_formats},
	{"watermark_delay", SX_OPTION_STREAM, KIND_INTERVAL},
	{"idle_timeout", SX_OPTION_STREAM, KIND_INTERVAL_OR_OFF},
	{"idle_advance", SX_OPTION_STREAM, KIND_BOOL},
	{"max_future", SX_OPTION_STREAM, KIND_INTERVAL},
	{"on_error", SX_OPTION_STREAM, KIND_CHOICE, error_policies},
	{"on_gap", SX_OPTION_STREAM, KIND_CHOICE, gap_policies},
	{"retain", SX_OPTION_STREAM, KIND_BOOL},
	{"workers", SX_OPTION_STREAM, KIND_WORKERS},
	{"field", SX_OPTION_COLUMN, KIND_PATH},
	{"metadata", SX_OPTION_COLUMN, KIND_CHOICE, metadata_names},
	{"continuous", SX_OPTION_VIEW, KIND_BOOL},
	{"allowed_lateness", SX_OPTION_VIEW, KIND_INTERVAL},
	{"late_rows", SX_OPTION_VIEW, KIND_CHOICE, late_policies},
	{"start", SX_OPTION_VIEW, KIND_START},
	{"retention", SX_OPTION_VIEW, KIND_INTERVAL},
	{"refused_retention", SX_OPTION_VIEW, KIND_INTERVAL},
	{"retain_inputs", SX_OPTION_VIEW, KIND_BOOL},
};

#define MAX_TOPIC_LENGTH 249
/* so that sums of event times, delays and sizes never overflow */
#define MAX_INTERVAL_US (INT64CONST(3650000) * USECS_PER_DAY)

static void hide_statement(void *arg);
static bool has_secret(SxOptionScope scope, List *options);
static void check_all(SxOptionScope scope, List *options);
static void check_option(SxOptionScope scope, DefElem *def);
static void
check_kafka_option(SxOptionScope scope, const SxKafkaProperty *property, const char *value);
static void check_value(const Option *option, const char *value);
static void check_topic(const Option *option, const char *value);
static void check_path(const Option *option, const char *value);
static bool is_end(const char *start);
static void check_start(const Option *option, const char *value);
static int check_choice(const Option *option, const char *value);
static const Option *find_option(SxOptionScope scope, const char *name);
static const Option *find_any(const char *name);
static int choice(List *options, const char *name, int default_value);
static int parse_int(const char *name, const char *value, int min, int max);
static int64 parse_interval(const Option *option, const char *value);
static void bad_interval(const Option *option, const char *value, const char *detail);
static const char *full_name(const Option *option);
static char *def_text(DefElem *def);

PG_FUNCTION_INFO_V1(streamx_fdw_validator);

/* Checks the options of an object of the foreign-data wrapper; all of them, after ALTER too. */
Datum
streamx_fdw_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);

	if (catalog == ForeignServerRelationId)
		sx_options_check(SX_OPTION_SERVER, options);
	else if (catalog == UserMappingRelationId)
		sx_options_check(SX_OPTION_USER_MAPPING, options);
	else if (catalog == ForeignTableRelationId)
		sx_options_check(SX_OPTION_STREAM, options);
	else if (catalog == AttributeRelationId)
		sx_options_check(SX_OPTION_COLUMN, options);
	else if (options != NIL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("invalid option \"%s\" for the foreign-data wrapper",
							   linitial_node(DefElem, options)->defname),
						errhint("The foreign-data wrapper has no options: give them to a server."),
						errhidestmt(true)));
	PG_RETURN_VOID();
}

void
sx_options_check(SxOptionScope scope, List *options)
{
	ErrorContextCallback hide = {error_context_stack, hide_statement, NULL};

	if (has_secret(scope, options))
		error_context_stack = &hide;
	check_all(scope, options);
	error_context_stack = hide.previous;
	if (scope == SX_OPTION_SERVER)
		sx_kafka_properties_check_server(options);
	if (scope == SX_OPTION_COLUMN && sx_option_get(options, "field") != NULL &&
		sx_option_get(options, "metadata") != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options \"field\" and \"metadata\" exclude each other"),
						errdetail("A column comes either from the message or from what Kafka says "
								  "about it.")));
}

const char *
sx_option_get(List *options, const char *name)
{
	ListCell *lc;

	foreach (lc, options)
	{
		DefElem *def = lfirst_node(DefElem, lc);

		if (strcmp(def->defname, name) == 0)
			return def_text(def);
	}
	return NULL;
}

int64
sx_option_interval_us(List *options, const char *name, int64 default_us)
{
	const char *value = sx_option_get(options, name);
	const Option *option = find_any(name);

	if (value == NULL)
		return default_us;
	if (option->kind == KIND_INTERVAL_OR_OFF && pg_strcasecmp(value, "off") == 0)
		return -1;
	return parse_interval(option, value);
}

const char *
sx_option_start(List *options)
{
	const char *value = sx_option_get(options, "start");
	char text[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t fsec;

	if (value == NULL || is_end(value))
		return value;
	if (timestamp2tm(sx_option_start_time(value), NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("timestamp out of range: \"%s\"", value)));
	tm.tm_isdst = 0; /* or no zone is written */
	EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, text);
	return pstrdup(text);
}

bool
sx_option_bool(List *options, const char *name, bool default_value)
{
	const char *value = sx_option_get(options, name);
	bool result;

	if (value == NULL)
		return default_value;
	if (!parse_bool(value, &result))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\": \"%s\"",
							   find_any(name) ? full_name(find_any(name)) : name, value),
						errhint("Valid values are: on, off.")));
	return result;
}

int
sx_option_int(List *options, const char *name, int default_value, int min, int max)
{
	const char *value = sx_option_get(options, name);

	return value == NULL ? default_value : parse_int(name, value, min, max);
}

SxOnError
sx_option_on_error(List *options, SxOnError default_value)
{
	return (SxOnError) choice(options, "on_error", default_value);
}

SxTimestampFormat
sx_option_timestamp_format(List *options)
{
	return (SxTimestampFormat) choice(options, "timestamp_format", SX_TIMESTAMP_TEXT);
}

SxMetadata
sx_option_metadata(List *options)
{
	return (SxMetadata) (choice(options, "metadata", -1) + 1);
}

const char *
sx_option_name_at(SxOptionScope scope, int i)
{
	const SxKafkaProperty *property;
	int seen = 0;
	int j;

	for (j = 0; j < lengthof(options_table); j++)
		if (options_table[j].scope == scope && seen++ == i)
			return options_table[j].name;
	for (j = 0; (property = sx_kafka_property_at(j)) != NULL; j++)
		if (sx_kafka_property_is_in(property, scope) && seen++ == i)
			return sx_kafka_property_name(property);
	return NULL;
}

/* Whatever is wrong with the options, the log must not get a statement with a secret in it. */
static void
hide_statement(void *arg)
{
	errhidestmt(true);
}

static bool
has_secret(SxOptionScope scope, List *options)
{
	ListCell *lc;

	if (scope == SX_OPTION_USER_MAPPING)
		return true;
	foreach (lc, options)
		if (sx_option_may_be_secret(lfirst_node(DefElem, lc)->defname))
			return true;
	return false;
}

static void
check_all(SxOptionScope scope, List *options)
{
	ListCell *lc;
	ListCell *other;

	foreach (lc, options)
	{
		DefElem *def = lfirst_node(DefElem, lc);

		check_option(scope, def);
		for_each_cell(
			other, options,
			lnext(options, lc)) if (strcmp(def->defname, lfirst_node(DefElem, other)->defname) == 0)
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
							errmsg("option \"%s%s\" is given twice",
								   scope == SX_OPTION_VIEW ? "streamx." : "", def->defname)));
	}
}

static void
check_option(SxOptionScope scope, DefElem *def)
{
	const Option *option = find_option(scope, def->defname);
	const SxKafkaProperty *property;

	if (option != NULL)
		check_value(option, def_text(def));
	else if (scope <= SX_OPTION_STREAM && (property = sx_kafka_property_find(def->defname)) != NULL)
		check_kafka_option(scope, property, def_text(def));
	else
		sx_option_unknown(scope, def->defname);
}

/* A secret belongs to a user: everybody may read the options of servers and tables. */
static void
check_kafka_option(SxOptionScope scope, const SxKafkaProperty *property, const char *value)
{
	const char *name = sx_kafka_property_name(property);

	if (sx_kafka_property_is_secret(property) && scope != SX_OPTION_USER_MAPPING)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" is not allowed for %s", name, sx_option_scope_noun(scope)),
				 errdetail("Every role can read the options of %s.", sx_option_scope_noun(scope)),
				 errhint("Give it in CREATE USER MAPPING.")));
	if (!sx_kafka_property_is_in(property, scope))
		sx_option_unknown(scope, name);
	sx_kafka_property_check(property, value);
}

static void
check_value(const Option *option, const char *value)
{
	bool ignored;

	switch (option->kind)
	{
		case KIND_TOPIC:
			check_topic(option, value);
			break;
		case KIND_PATH:
			check_path(option, value);
			break;
		case KIND_TEXT:
			if (value[0] == '\0')
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("option \"%s\" is empty", full_name(option))));
			break;
		case KIND_TIMEZONE:
			sx_option_timezone(value);
			break;
		case KIND_INTERVAL_OR_OFF:
			if (pg_strcasecmp(value, "off") == 0)
				break;
			/* FALLTHROUGH */
		case KIND_INTERVAL:
			(void) parse_interval(option, value);
			break;
		case KIND_BOOL:
			if (!parse_bool(value, &ignored))
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("invalid value for option \"%s\": \"%s\"", full_name(option),
									   value),
								errhint("Valid values are: on, off.")));
			break;
		case KIND_CHOICE:
			check_choice(option, value);
			break;
		case KIND_START:
			check_start(option, value);
			break;
		case KIND_WORKERS:
			(void) parse_int(option->name, value, 1, SX_MAX_STREAM_WORKERS);
			break;
		case KIND_FILTER:
			(void) sx_filter_parse(value);
			break;
	}
}

/* As Kafka names topics; librdkafka would take a leading ^ for a regular expression. */
static void
check_topic(const Option *option, const char *value)
{
	size_t length = strlen(value);

	if (length == 0 || length > MAX_TOPIC_LENGTH || strcmp(value, ".") == 0 ||
		strcmp(value, "..") == 0 ||
		strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
			length)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", full_name(option), value),
				 errhint("Give the name of one topic: 1 to %d of the characters a-z, A-Z, 0-9, "
						 "\".\", \"_\" and \"-\".",
						 MAX_TOPIC_LENGTH)));
}

static void
check_path(const Option *option, const char *value)
{
	size_t length = strlen(value);

	if (length == 0 || value[0] == '.' || value[length - 1] == '.' || strstr(value, "..") != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\": \"%s\"", full_name(option), value),
						errhint("Give the names of fields separated by dots, for example 'a.b'.")));
}

/* Whether a view is to start at one of the ends of what there is. */
static bool
is_end(const char *start)
{
	return strcmp(start, "earliest") == 0 || strcmp(start, "latest") == 0;
}

TimestampTz
sx_option_start_time(const char *start)
{
	return DatumGetTimestampTz(DirectFunctionCall3(
		timestamptz_in, CStringGetDatum(start), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
check_start(const Option *option, const char *value)
{
	if (is_end(value))
		return;
	if (TIMESTAMP_NOT_FINITE(sx_option_start_time(value)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\": \"%s\"", full_name(option), value),
						errhint("Give 'earliest', 'latest' or a timestamp.")));
}

static int
check_choice(const Option *option, const char *value)
{
	StringInfoData valid;
	int i;

	for (i = 0; option->choices[i] != NULL; i++)
		if (strcmp(option->choices[i], value) == 0)
			return i;
	for (i = 0; option->later != NULL && option->later[i] != NULL; i++)
		if (strcmp(option->later[i], value) == 0)
			ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
							errmsg("%s \"%s\" is not supported yet", option->name, value)));
	initStringInfo(&valid);
	for (i = 0; option->choices[i] != NULL; i++)
		appendStringInfo(&valid, "%s%s", i > 0 ? ", " : "", option->choices[i]);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for option \"%s\": \"%s\"", full_name(option), value),
					errhint("Valid values are: %s.", valid.data)));
	return -1;
}

pg_tz *
sx_option_timezone(const char *value)
{
	pg_tz *timezone = pg_tzset(value);

	if (timezone == NULL || !pg_tz_acceptable(timezone))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"timezone\": \"%s\"", value),
						errhint("Give a name of pg_timezone_names, for example 'Europe/Berlin'.")));
	return timezone;
}

static const Option *
find_option(SxOptionScope scope, const char *name)
{
	int i;

	for (i = 0; i < lengthof(options_table); i++)
		if (options_table[i].scope == scope && strcmp(options_table[i].name, name) == 0)
			return &options_table[i];
	return NULL;
}

/* No name of ours is an option of two kinds of objects. */
static const Option *
find_any(const char *name)
{
	int i;

	for (i = 0; i < lengthof(options_table); i++)
		if (strcmp(options_table[i].name, name) == 0)
			return &options_table[i];
	return NULL;
}

/* The index of an option's value among its choices. */
static int
choice(List *options, const char *name, int default_value)
{
	const char *value = sx_option_get(options, name);

	return value == NULL ? default_value : check_choice(find_any(name), value);
}

static int
parse_int(const char *name, const char *value, int min, int max)
{
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 || number < min || number > max)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"%s\": \"%s\"", name, value),
						errhint("Give a whole number between %d and %d.", min, max)));
	return (int) number;
}

/*
 * What interval_in takes, as pure time in microseconds; an error if it is no
 * interval, negative, has months, or is longer than we can add up.
 */
static int64
parse_interval(const Option *option, const char *value)
{
	struct pg_itm_in parts = {0};
	char *field[MAXDATEFIELDS];
	int ftype[MAXDATEFIELDS];
	char workbuf[256];
	int nfields;
	int dtype = DTK_DELTA;
	int error;
	int64 days;
	int64 us;

	error = ParseDateTime(value, workbuf, sizeof(workbuf), field, ftype, MAXDATEFIELDS, &nfields);
	if (error == 0)
		error = DecodeInterval(field, ftype, nfields, INTERVAL_FULL_RANGE, &dtype, &parts);
	if (error == DTERR_BAD_FORMAT)
		error = DecodeISO8601Interval(pstrdup(value), &dtype, &parts);
	if (error != 0 || dtype != DTK_DELTA)
		bad_interval(option, value, NULL);
	if (parts.tm_mon != 0 || parts.tm_year != 0)
		bad_interval(option, value, "Months and years have no fixed length.");
	if (pg_mul_s64_overflow(parts.tm_mday, USECS_PER_DAY, &days) ||
		pg_add_s64_overflow(parts.tm_usec, days, &us) || us > MAX_INTERVAL_US)
		bad_interval(
			option, value,
			psprintf("It is longer than %d days.", (int) (MAX_INTERVAL_US / USECS_PER_DAY)));
	if (us < 0)
		bad_interval(option, value, NULL);
	return us;
}

static void
bad_interval(const Option *option, const char *value, const char *detail)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("invalid value for option \"%s\": \"%s\"", full_name(option), value),
					detail ? errdetail("%s", detail) : 0,
					errhint("Give a non-negative interval, for example '5 s'.")));
}

/* The name as the user writes it. */
static const char *
full_name(const Option *option)
{
	return option->scope == SX_OPTION_VIEW ? psprintf("streamx.%s", option->name) : option->name;
}

/* An option without a value says yes. */
static char *
def_text(DefElem *def)
{
	return def->arg == NULL ? pstrdup("true") : defGetString(def);
}
