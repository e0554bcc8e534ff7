/*
 * stored_name.h
 *	  Names that what is stored is known by: the same in every session, and in
 *	  every database that it is restored to.
 */
#ifndef SX_STORED_NAME_H
#define SX_STORED_NAME_H

#include "compat.h"

#include "lib/stringinfo.h"

extern void sx_append_stored_type(StringInfo text, Oid type);
extern void sx_append_stored_name(StringInfo text, Oid schema, const char *name);

#endif
