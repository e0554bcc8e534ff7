/*
 * spi.h
 *	  The single wrapper around SPI: statements of our own, run as the
 *	  extension's owner with search_path = pg_catalog, pg_temp.
 */
#ifndef SX_SPI_H
#define SX_SPI_H

#include "compat.h"

#include "executor/spi.h"

/*
 * Connect, become the extension's owner, fix the search_path.  Every sx_spi_begin needs
 * its sx_spi_end; on an error transaction abort cleans up.
 */
typedef struct SxSpi
{
	Oid save_userid;
	int save_sec_context;
	int save_nestlevel;
} SxSpi;

extern void sx_spi_begin(SxSpi *spi);

/*
 * The same, whatever version the extension has: sx_spi_begin is an ERROR where the
 * catalog is not the one that this library was made for.
 */
extern void sx_spi_begin_any_version(SxSpi *spi);
extern void sx_spi_end(SxSpi *spi);

/* The most parameters a statement may have. */
#define SX_SPI_MAX_ARGS 32

/*
 * Run a statement with parameters given as (type, value, is null) triples' arrays.
 * Rows are in SPI_tuptable.  Plans are prepared once per backend and statement text
 * (text must be a constant string).  Returns SPI_processed; an error unless SPI said it is fine.
 */
extern uint64 sx_spi_execute(const char *statement, int nargs, const Oid *types,
							 const Datum *values, const bool *nulls, bool read_only);

/*
 * The same for a SELECT on the catalog, which sees what name resolution sees: all
 * that has committed, however old the transaction's snapshot is.
 */
extern uint64
sx_spi_look_up(const char *statement, int nargs, const Oid *types, const Datum *values);

/* Whether such a look-up is going on: rows that wait for their merge are nothing to it. */
extern bool sx_spi_is_looking_up(void);

/*
 * As sx_spi_execute, of what is there now, at REPEATABLE READ and SERIALIZABLE, too: as foreign keys do.
 * For what follows from the catalog of PostgreSQL, which DDL sees as it is now.
 */
extern uint64
sx_spi_execute_latest(const char *statement, int nargs, const Oid *types, const Datum *values);

/*
 * The first column of a query's rows, none of them NULL, as OIDs, or as int4, in the current
 * memory context; not between the pair.
 */
extern List *
sx_spi_list_oids(const char *statement, int nargs, const Oid *types, const Datum *values);
extern List *
sx_spi_list_ints(const char *statement, int nargs, const Oid *types, const Datum *values);

/* A one-off statement text (quoted by the caller with quote_identifier/quote_literal). */
extern uint64 sx_spi_run(const char *statement);

/* The OID of the role that owns the extension, and of schema streamx_internal / streamx. */
extern Oid sx_extension_owner(void);
extern bool sx_extension_exists(void);

/*
 * Keep the extension from being dropped until the end of the transaction, if it
 * exists; false if somebody is about to do so, or to make it.  Does not wait.
 */
extern bool sx_extension_hold(void);

/*
 * Whether it exists in the version of this library.  If not, for messages: what
 * is the matter, and what to do (constant or palloc'd).
 */
extern bool sx_extension_is_current(void);
extern char *sx_extension_complaint(const char **hint);

/* ALTER EXTENSION: have every session look at it again. */
extern void sx_extension_changed(void);
extern Oid sx_schema_oid(void); /* streamx */

/*
 * Run something as role userid, in a restricted security context and with a
 * fixed search_path: the pair brackets it.
 */
extern void sx_become(Oid userid, SxSpi *saved);
extern void sx_unbecome(SxSpi *saved);

#endif
