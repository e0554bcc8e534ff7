/*
 * option_name.h
 *	  What to say about the name of an option that does not exist.
 */
#ifndef SX_OPTION_NAME_H
#define SX_OPTION_NAME_H

#include "compat.h"

#include "catalog/option.h"

/* The error for an unknown option, with the name that was probably meant and the valid ones. */
extern void sx_option_unknown(SxOptionScope scope, const char *name);

/* Whether an option of this name, valid or not, may have a secret as its value. */
extern bool sx_option_may_be_secret(const char *name);

/* "a server", "a stream", ... */
extern const char *sx_option_scope_noun(SxOptionScope scope);

/* From option.c: the i-th name of a scope, or NULL after the last. */
extern const char *sx_option_name_at(SxOptionScope scope, int i);

#endif
