/*
 * table.c
 *	  Contestants with a table in PostgreSQL, exactly once: the next offsets of
 *	  the partitions are in the transaction with the rows.
 *
 * N1 upserts order by order, 1000 in a transaction.  N2 groups a batch by itself,
 * and upserts the groups by one statement over binary arrays, in the order of
 * the index.  Both keep slices, and the result is a view that adds them up
 * to windows: of windows that overlap nothing is written twice.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <postgresql/libpq-fe.h>

#include "groups.h"
#include "options.h"

#define POSTGRES_EPOCH_MS INT64_C(946684800000)
#define LONGEST 1024

/* OIDs of types that have not changed for ever */
enum
{
	INT8 = 20,
	TEXT = 25,
	TIMESTAMPTZ = 1184,
	NUMERIC = 1700
};

/* A one-dimensional array in PostgreSQL's binary form, as it grows. */
typedef struct Array
{
	char *data;
	size_t length;
	size_t size;
} Array;

enum
{
	CATEGORIES,
	STARTS,
	ORDERS,
	TOTALS,
	COLUMNS
};

static const uint32_t types[COLUMNS] = {TEXT, TIMESTAMPTZ, INT8, NUMERIC};

static Options options;
static PGconn *connection;
static Groups groups;
static Array arrays[COLUMNS];
static bool is_open; /* a transaction of N1 */

/* ---- statements ---- */

static PGresult *
check(PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		die("PostgreSQL", PQerrorMessage(connection));
	return result;
}

/* Run a text with the result's name in the place of each %1$s. */
static PGresult *
ask(const char *format)
{
	char text[LONGEST * 2];

	snprintf(text, sizeof(text), format, options.result, options.size_ms, options.slice_ms);
	return check(PQexec(connection, text));
}

static void
prepare(const char *name, const char *format)
{
	char text[LONGEST];

	snprintf(text, sizeof(text), format, options.result);
	PQclear(check(PQprepare(connection, name, text, 0, NULL)));
}

/* Run a prepared statement with binary parameters. */
static void
execute(const char *name, int n, const char *const *values, const int *lengths)
{
	static const int formats[COLUMNS] = {1, 1, 1, 1};

	PQclear(check(PQexecPrepared(connection, name, n, values, lengths, formats, 1)));
}

/* ---- tables ---- */

static void
create_tables(void)
{
	PQclear(ask("SET client_min_messages = warning"));
	PQclear(ask("CREATE TABLE IF NOT EXISTS %1$s_state (category text, slice_start timestamptz, "
				"orders bigint, "
				"total numeric, PRIMARY KEY (category, slice_start)) WITH (fillfactor = 50)"));
	PQclear(ask("CREATE TABLE IF NOT EXISTS %1$s_offsets (partition bigint PRIMARY KEY, "
				"next_offset bigint)"));
	PQclear(
		ask("CREATE OR REPLACE VIEW %1$s AS "
			"SELECT window_start, category, sum(orders)::bigint AS orders, sum(total) AS total, "
			"sum(total) / sum(orders) AS mean FROM %1$s_state, "
			"generate_series(slice_start - %2$" PRId64 " * interval '1 ms' + %3$" PRId64
			" * interval '1 ms', slice_start, %3$" PRId64 " * interval '1 ms') AS window_start "
			"GROUP BY 1, 2"));
}

/* Partitions begin where the last transaction that was committed ended. */
static void
load_offsets(int64_t *next_offsets)
{
	PGresult *result = ask("SELECT partition, next_offset FROM %1$s_offsets");

	for (int i = 0; i < PQntuples(result); i++)
		next_offsets[atoi(PQgetvalue(result, i, 0))] = atoll(PQgetvalue(result, i, 1));
	PQclear(result);
}

static void
open_table(const Options *from, int64_t *next_offsets)
{
	options = *from;
	connection = PQconnectdb("dbname=postgres");
	if (PQstatus(connection) != CONNECTION_OK)
		die("could not connect", PQerrorMessage(connection));
	create_tables();
	load_offsets(next_offsets);
	groups_open(&groups, options.slice_ms);
	prepare("save", "INSERT INTO %1$s_offsets SELECT * FROM unnest($1::bigint[], $2::bigint[]) "
					"ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset");
	prepare(
		"row",
		"INSERT INTO %1$s_state AS t VALUES ($1::text, $2::timestamptz, $3::bigint, $4::numeric) "
		"ON CONFLICT (category, slice_start) DO UPDATE "
		"SET orders = t.orders + excluded.orders, total = t.total + excluded.total");
	prepare("batch",
			"INSERT INTO %1$s_state AS t "
			"SELECT * FROM unnest($1::text[], $2::timestamptz[], $3::bigint[], $4::numeric[]) "
			"ON CONFLICT (category, slice_start) DO UPDATE "
			"SET orders = t.orders + excluded.orders, total = t.total + excluded.total");
}

/* Windows can be read, and old ones deleted, without going through all of them. */
static void
open_table_by_window(const Options *from, int64_t *next_offsets)
{
	open_table(from, next_offsets);
	PQclear(ask("CREATE INDEX IF NOT EXISTS %1$s_windows ON %1$s_state (slice_start)"));
}

static void
close_table(void)
{
	PQfinish(connection);
}

/* ---- binary values ---- */

static void
append(Array *array, const void *data, size_t length)
{
	if (array->length + length > array->size)
	{
		array->size = (array->length + length) * 2;
		array->data = realloc(array->data, array->size);
		if (array->data == NULL)
			die("arrays", "out of memory");
	}
	memcpy(array->data + array->length, data, length);
	array->length += length;
}

static void
append_int32(Array *array, int64_t number)
{
	uint32_t word = htonl((uint32_t) number);

	append(array, &word, sizeof(word));
}

/* Header of an array without NULLs: dimensions, NULLs, type, length, lower bound. */
static void
begin_array(Array *array, uint32_t type, uint64_t length)
{
	const int64_t header[] = {1, 0, type, (int64_t) length, 1};

	array->length = 0;
	for (int i = 0; i < 5; i++)
		append_int32(array, header[i]);
}

static void
append_int64(Array *array, int64_t number)
{
	uint64_t word = htobe64((uint64_t) number);

	append(array, &word, sizeof(word));
}

static void
append_int16(Array *array, int number)
{
	uint16_t word = htons((uint16_t) number);

	append(array, &word, sizeof(word));
}

/* A numeric: digits to the base of 10000, the last of them what is behind the point. */
static void
append_cents(Array *array, int64_t cents)
{
	int digits[8];
	int n = 0;

	digits[n++] = (int) (cents % 100) * 100;
	for (int64_t rest = cents / 100; rest > 0; rest /= 10000)
		digits[n++] = (int) (rest % 10000);
	append_int16(array, n);		/* digits */
	append_int16(array, n - 2); /* weight of the first */
	append_int16(array, 0);		/* sign */
	append_int16(array, 2);		/* scale */
	while (n > 0)
		append_int16(array, digits[--n]);
}

static void
append_group(const Group *group, bool is_element)
{
	size_t before;
	uint32_t length;

	if (is_element)
		append_int32(&arrays[CATEGORIES], group->category_length);
	append(&arrays[CATEGORIES], group->category, group->category_length);
	if (is_element)
		append_int32(&arrays[STARTS], 8);
	append_int64(&arrays[STARTS], (group->start_ms - POSTGRES_EPOCH_MS) * 1000);
	if (is_element)
		append_int32(&arrays[ORDERS], 8);
	append_int64(&arrays[ORDERS], group->orders);
	if (is_element)
		append_int32(&arrays[TOTALS], 0);
	before = arrays[TOTALS].length;
	append_cents(&arrays[TOTALS], group->cents);
	length = htonl((uint32_t) (arrays[TOTALS].length - before));
	if (is_element)
		memcpy(arrays[TOTALS].data + before - sizeof(length), &length, sizeof(length));
}

static void
execute_arrays(const char *name, int n)
{
	const char *values[COLUMNS];
	int lengths[COLUMNS];

	for (int i = 0; i < n; i++)
	{
		values[i] = arrays[i].data;
		lengths[i] = (int) arrays[i].length;
	}
	execute(name, n, values, lengths);
}

static void
save_offsets(const int64_t *next_offsets)
{
	begin_array(&arrays[0], INT8, (uint64_t) options.partitions);
	begin_array(&arrays[1], INT8, (uint64_t) options.partitions);
	for (int i = 0; i < options.partitions; i++)
	{
		append_int32(&arrays[0], 8);
		append_int64(&arrays[0], i);
		append_int32(&arrays[1], 8);
		append_int64(&arrays[1], next_offsets[i]);
	}
	execute_arrays("save", 2);
}

/* ---- N1 ---- */

static void
upsert_order(const Order *order, const rd_kafka_message_t *message)
{
	Group group = {.orders = order->has_id, .cents = order->cents};

	(void) message;
	if (!is_open)
		PQclear(ask("BEGIN"));
	is_open = true;
	memcpy(group.category, order->category, MAX_CATEGORY);
	group.category_length = order->category_length;
	group.start_ms = order->event_ms - order->event_ms % options.slice_ms;
	for (int i = 0; i < COLUMNS; i++)
		arrays[i].length = 0;
	append_group(&group, false);
	execute_arrays("row", COLUMNS);
}

static void
commit_rows(const int64_t *next_offsets)
{
	save_offsets(next_offsets);
	PQclear(ask("COMMIT"));
	is_open = false;
}

/* ---- N2 ---- */

static void
group_order(const Order *order, const rd_kafka_message_t *message)
{
	(void) message;
	groups_add(&groups, order);
}

static void
commit_groups(const int64_t *next_offsets)
{
	uint64_t used = groups.used;
	const Group *sorted = groups_sort(&groups);

	for (int i = 0; i < COLUMNS; i++)
		begin_array(&arrays[i], types[i], used);
	for (uint64_t i = 0; i < used; i++)
		append_group(&sorted[i], true);
	groups_clear(&groups);
	PQclear(ask("BEGIN"));
	execute_arrays("batch", COLUMNS);
	save_offsets(next_offsets);
	PQclear(ask("COMMIT"));
}

const Contestant n1 = {
	.name = "n1",
	.is_decoding = true,
	.batch_rows = 1000,
	.open = open_table,
	.take = upsert_order,
	.commit = commit_rows,
	.finish = close_table,
};
const Contestant n2 = {
	.name = "n2",
	.is_decoding = true,
	.batch_rows = 50000,
	.open = open_table,
	.take = group_order,
	.commit = commit_groups,
	.finish = close_table,
};
const Contestant n2_windows = {
	.name = "n2-windows",
	.is_decoding = true,
	.batch_rows = 50000,
	.open = open_table_by_window,
	.take = group_order,
	.commit = commit_groups,
	.finish = close_table,
};
