/*
 * skip.c
 *	  Offsets that views did not read: streamx_internal.skip.
 *
 * They belong to a view, not to its reader: what one view skipped, others that it joins
 * may have read.
 */
#include "compat.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "catalog/skip.h"
#include "catalog/spi.h"

#define INTO_SKIP                                                                                  \
	"INSERT INTO streamx_internal.skip (view, topic, \"partition\", from_offset, to_offset,"       \
	" is_asked) "

void
sx_skip_record(const SxReader *reader, int32 partition, int64 from, int64 to, bool is_asked)
{
	/* each offset once */
	static const char *const range =
		INTO_SKIP "SELECT l.view, $2, $3, lower(s.rest), upper(s.rest), $6"
				  " FROM streamx.view_streams l, LATERAL (SELECT unnest(int8multirange("
				  "   int8range($4, $5)) - coalesce(range_agg(int8range(k.from_offset,"
				  "   k.to_offset)), '{}')) AS rest"
				  "  FROM streamx_internal.skip k WHERE k.view = l.view AND k.topic = $2"
				  "   AND k.\"partition\" = $3 AND k.from_offset < k.to_offset"
				  "   AND (k.is_asked OR NOT $6)) s"
				  " WHERE l.reader = $1";
	/* another log, which begins before the place where the old one ended */
	static const char *const leap_back =
		INTO_SKIP "SELECT l.view, $2, $3, $4, $5, $6 FROM streamx.view_streams l"
				  " WHERE l.reader = $1";
	static const Oid types[] = {INT4OID, TEXTOID, INT4OID, INT8OID, INT8OID, BOOLOID};
	Datum values[] = {Int32GetDatum(reader->id), CStringGetTextDatum(reader->topic),
					  Int32GetDatum(partition),	 Int64GetDatum(from),
					  Int64GetDatum(to),		 BoolGetDatum(is_asked)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(from < to ? range : leap_back, lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}

void
sx_skip_leave_log(const SxReader *reader, int32 partition)
{
	static const char *const statement =
		"UPDATE streamx_internal.skip k SET is_asked = false FROM streamx.view_streams l"
		" WHERE l.reader = $1 AND k.view = l.view AND k.topic = $2 AND k.\"partition\" = $3"
		" AND k.is_asked";
	static const Oid types[] = {INT4OID, TEXTOID, INT4OID};
	Datum values[] = {Int32GetDatum(reader->id), CStringGetTextDatum(reader->topic),
					  Int32GetDatum(partition)};
	SxSpi spi;

	sx_spi_begin(&spi);
	sx_spi_execute(statement, lengthof(types), types, values, NULL, false);
	sx_spi_end(&spi);
}
