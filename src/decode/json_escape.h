/*
 * json_escape.h
 *	  Escapes in JSON strings.
 */
#ifndef SX_JSON_ESCAPE_H
#define SX_JSON_ESCAPE_H

#include "compat.h"

/* Whether all escapes of a string (without its quotes) are those of JSON. */
extern bool sx_json_has_good_escapes(const char *data, const char *end);

/*
 * Write a checked string without its escapes, which never makes it longer.
 * Returns NULL, or why it cannot be a text.
 */
extern const char *sx_json_unescape(const char *data, const char *end, char *to, uint32_t *length);

#endif
