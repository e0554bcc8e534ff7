/*
 * state_type.h
 *	  streamx.state: an opaque value around a serialised transition state.
 *
 *		varlena length | format | server major version | signature | serialised bytes
 *
 * The signature stands for the aggregate whose serialise function wrote the
 * bytes.  Deserialise functions trust their input, so a header that does not
 * match keeps them from being called.  What the bytes depend on:
 *
 *		ours        on nothing: 0
 *		built in    on the major version; of those whose formats test/upgrade has found
 *		            to be the same, the header names the first
 *		others'     for all we know on the major version
 */
#ifndef SX_STATE_TYPE_H
#define SX_STATE_TYPE_H

#include "compat.h"

typedef struct SxStateHeader
{
	uint8 format;
	uint8 server_major; /* see sx_state_major */
	uint8 signature[8];
} SxStateHeader;

/* Whose serialise function it is. */
typedef enum SxStateMaker
{
	SX_STATE_OURS,
	SX_STATE_BUILTIN,
	SX_STATE_OTHERS
} SxStateMaker;

/* What headers of states that PostgreSQL major writes have for server_major. */
extern uint8 sx_state_major(SxStateMaker maker, int major);

/* The header for states of the aggregate that description stands for, written by this server. */
extern SxStateHeader sx_state_header(const char *description, SxStateMaker maker);

/* A streamx.state around serialised bytes, palloc'd. */
extern Datum sx_state_wrap(const SxStateHeader *header, Datum serialised);

/*
 * The serialised bytes of a streamx.state as a palloc'd bytea.  An ERROR
 * when its header is not the expected one; aggfnoid is named in it.
 */
extern Datum sx_state_unwrap(const SxStateHeader *expected, Datum state, Oid aggfnoid);

#endif
