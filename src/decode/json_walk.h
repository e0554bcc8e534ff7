/*
 * json_walk.h
 *	  Finding the wanted fields of a JSON message on the way over its tokens.
 *
 * What is wanted is a tree of nodes, made once for a stream.
 */
#ifndef SX_JSON_WALK_H
#define SX_JSON_WALK_H

#include "compat.h"

#include "decode/field.h"
#include "decode/json.h"

/* Objects and arrays may be nested so deep, the message itself counted. */
#define SX_JSON_MAX_DEPTH 1024

/* Names of one object that are remembered although nobody wants them. */
#define SX_JSON_MAX_UNWANTED 64

/* Longer names are never remembered, only looked up. */
#define SX_JSON_LEARN_LENGTH 32

typedef struct SxJsonNode SxJsonNode;

/* A name seen in an object: of a wanted child, or remembered to pass it by. */
typedef struct SxJsonKey
{
	const char *name; /* padded with at least 8 bytes */
	uint32_t length;
	uint32_t hash;
	SxJsonNode *node;		/* NULL: not wanted */
	struct SxJsonKey *next; /* the key that followed it last time, or NULL */
	char learned[SX_JSON_LEARN_LENGTH + 8];
} SxJsonKey;

/*
 * An object, or a value, that somebody wants.  Nodes are numbered in preorder,
 * so those below a node are the numbers from its own to before last.
 */
struct SxJsonNode
{
	uint32_t number;
	uint32_t last;
	uint32_t nchildren; /* 0: a value only */
	bool is_watched; /* a gate asks for it, or for what is below it: only of the root's children */
	uint32_t nkeys;	 /* children first, then unwanted ones as they come */
	SxJsonKey *keys; /* nchildren + SX_JSON_MAX_UNWANTED */
	uint32_t nslots; /* a power of two, more than twice the keys */
	SxJsonKey **slots; /* hash table of keys */
	SxJsonKey first;   /* its next is the first key of the last object */
};

/* A message that was scanned, and how much of its scratch memory is taken. */
typedef struct SxJsonMessage
{
	SxJsonScan scan;
	size_t scratch_used;
	/* what a gate said at last, and whether values were passed by when it said no before */
	bool is_asked;
	bool is_open;
	bool has_skipped;
} SxJsonMessage;

/*
 * Who knows, as soon as all watched nodes were found, that the rest of a message is
 * of no use: of that only names, scalars and the nesting of the message's own fields
 * are checked.
 */
typedef struct SxJsonGate
{
	const uint32 *watched; /* numbers of nodes */
	int nwatched;
	bool (*is_open)(const void *state, const SxField *fields);
	const void *state;
} SxJsonGate;

/* The hash that slots are made with; name is padded. */
extern uint32_t sx_json_hash(const char *name, uint32_t length);

/*
 * Check the message that was scanned and find the fields of root and below in
 * it: fields[number] for each node; what is not there is SX_FIELD_MISSING.  The
 * fields point into the parser's buffers.  gate may be NULL.  If it opened after
 * values were passed by, because a watched field came twice, find them again without it.
 */
extern bool sx_json_find(SxJsonMessage *message, SxJsonNode *root, const SxJsonGate *gate,
						 SxField *fields, SxJsonProblem *problem);

/*
 * The elements of an array found by sx_json_find.  Nested arrays are
 * dimensions, unless is_flat: then only the outer one counts.  Returns how many
 * elements there are, -1 if the array is not rectangular, -2 if it has more than
 * max_dimensions.  fields may be NULL, to count only; fields live until the next
 * call with fields.
 */
extern int64
sx_json_elements(SxJsonMessage *message, uint32 position, bool is_flat, int max_dimensions,
				 int *ndimensions, int *dimensions, SxField *fields);

#endif
