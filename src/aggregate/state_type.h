/*
 * state_type.h
 *	  streamx.state: an opaque value around a serialised transition state.
 *
 *		varlena length | format | server major version | signature | serialised bytes
 *
 * The signature stands for the aggregate whose serialise function wrote the
 * bytes.  Deserialise functions trust their input, so a header that does not
 * match keeps them from being called.
 */
#ifndef SX_STATE_TYPE_H
#define SX_STATE_TYPE_H

#include "compat.h"

typedef struct SxStateHeader
{
	uint8 format;
	uint8 server_major; /* 0: any can read them */
	uint8 signature[8];
} SxStateHeader;

/*
 * The header for states of the aggregate that description stands for.  is_ours:
 * its serialise function is streamx's, whose bytes do not depend on the server.
 */
extern SxStateHeader sx_state_header(const char *description, bool is_ours);

/* A streamx.state around serialised bytes, palloc'd. */
extern Datum sx_state_wrap(const SxStateHeader *header, Datum serialised);

/*
 * The serialised bytes of a streamx.state as a palloc'd bytea.  An ERROR
 * when its header is not the expected one; aggfnoid is named in it.
 */
extern Datum sx_state_unwrap(const SxStateHeader *expected, Datum state, Oid aggfnoid);

#endif
