/*
 * match.h
 *	  Whether a message passes the filter of its stream.
 */
#ifndef SX_MATCH_H
#define SX_MATCH_H

#include "compat.h"

#include "catalog/filter.h"
#include "decode/field.h"

/*
 * Whether a filter is true, not false or unknown.  The value of its i-th field is
 * fields[numbers[i]].
 */
extern bool sx_match(const SxFilter *filter, const SxField *fields, const uint32 *numbers);

#endif
