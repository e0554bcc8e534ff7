/*
 * compat.h
 *	  What every file of streamx includes first.
 *
 * The only file that tests PG_VERSION_NUM or RD_KAFKA_VERSION: differences
 * between the servers (15, 17, 18) and librdkafkas we support become one name
 * here.
 */
#ifndef SX_COMPAT_H
#define SX_COMPAT_H

#include "postgres.h"

#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "streamx needs PostgreSQL 15 or later"
#endif

/* Symbols are hidden by default (-fvisibility=hidden); PG 15's headers do not
 * mark functions declared by PG_FUNCTION_INFO_V1 for export. */
#if PG_VERSION_NUM < 160000
#define SX_EXPORT PGDLLEXPORT
#else
#define SX_EXPORT PGDLLEXPORT
#endif

#endif
