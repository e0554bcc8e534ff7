/*
 * format.h
 *	  What decoder.c asks of a message format: one row in its table.
 */
#ifndef SX_FORMAT_H
#define SX_FORMAT_H

#include "compat.h"

#include "catalog/stream.h"
#include "decode/decoder.h"
#include "decode/field.h"

/* What a message is. */
typedef enum SxVerdict
{
	SX_VERDICT_ROW,
	SX_VERDICT_FILTERED, /* no row of the stream, by its filter */
	SX_VERDICT_BAD
} SxVerdict;

typedef struct SxFormat
{
	const char *name;

	/*
	 * Prepare to find columns (ncolumns of the stream's attnums).  Lives in the current
	 * memory context; what is not palloc'd is freed by a callback of it.
	 */
	void *(*open)(const SxStream *stream, const AttrNumber *columns, int ncolumns);

	/*
	 * Check a message, which is not empty, and find the fields: fields[i] is for
	 * columns[i].  They live until the next call.  A bad message comes with
	 * *sqlstate and *message (palloc'd).
	 */
	SxVerdict (*decode)(void *state, const SxPayload *payload, SxField *fields, int *sqlstate,
						const char **message);

	/* The elements of an array among the last fields: see SxConversion. */
	int64 (*elements)(void *state, uint32 position, bool is_flat, int max_dimensions,
					  int *ndimensions, int *dimensions, SxField *fields);

	/* A run of messages is over: give back what only large ones needed. */
	void (*rest)(void *state);
} SxFormat;

/* json_decode.c */
extern void *sx_json_open(const SxStream *stream, const AttrNumber *columns, int ncolumns);
extern SxVerdict sx_json_decode(void *state, const SxPayload *payload, SxField *fields,
								int *sqlstate, const char **message);
extern int64 sx_json_array(void *state, uint32 position, bool is_flat, int max_dimensions,
						   int *ndimensions, int *dimensions, SxField *fields);
extern void sx_json_rest(void *state);

#endif
