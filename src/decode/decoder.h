/*
 * decoder.h
 *	  From a message's bytes to the Datums of a stream's columns.
 *
 * A format is a row in a table of {name, open, decode, close}.  A decoder only
 * fills the columns it was asked for; a column that cannot be converted is an
 * error entry, never an ereport, so that one view's column does not reject
 * another view's row.
 */
#ifndef SX_DECODER_H
#define SX_DECODER_H

#include "compat.h"

#include "catalog/stream.h"
#include "nodes/bitmapset.h"

typedef struct SxDecoder SxDecoder;

typedef struct SxPayload
{
	const char *data; /* NULL: no payload */
	size_t length;
} SxPayload;

/* One value, or one whole message, that could not be decoded. */
typedef struct SxDecodeError
{
	int row;
	AttrNumber attnum; /* 0: the whole message */
	int sqlstate;
	const char *message;
} SxDecodeError;

typedef struct SxDecodeErrors
{
	int count;
	int size;
	SxDecodeError *items; /* ordered by row; in the context of the call */
} SxDecodeErrors;

/*
 * Open a decoder for the given columns (attnums; metadata columns are left
 * out) of a stream.  Lives in the current memory context.
 */
extern SxDecoder *sx_decoder_open(const SxStream *stream, const Bitmapset *columns);

/*
 * Decode count messages.  Row r's columns go to values[r * stream->ncolumns +
 * attnum - 1], with isnull beside it (only the asked-for columns are written;
 * missing fields are NULL; after a whole-message error all of them are NULL).  is_filtered[r]: the stream's
 * filter rejects message r, which is no row then: all NULL, and without errors.
 * Datums are allocated in the current memory context and may not point into
 * the payload.  May run type input functions: call it inside a transaction,
 * with an active snapshot.  Errors of the server itself (out of memory, query
 * cancel, admin shutdown) are thrown, data errors never.
 */
extern void
sx_decoder_decode(SxDecoder *decoder, const SxPayload *payloads, int count, Datum *values,
				  bool *isnull, bool *is_filtered, SxDecodeErrors *errors);

extern void sx_decoder_close(SxDecoder *decoder);

#endif
