/*
 * json.h
 *	  Finding fields in JSON messages: the thin interface between PostgreSQL's C
 *	  and the project's one C++ file.
 *
 * The C side describes what is wanted as a tree of nodes and allocates it; the
 * C++ side walks messages.  It never calls PostgreSQL, never throws, and says
 * with an error text what is wrong with a message.
 */
#ifndef SX_JSON_H
#define SX_JSON_H

#include "decode/field.h"

#ifdef __cplusplus
#define SX_C_LINKAGE extern "C"
#else
#define SX_C_LINKAGE extern
#endif

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
	uint32_t nkeys;		/* children first, then unwanted ones as they come */
	SxJsonKey *keys;	/* nchildren + SX_JSON_MAX_UNWANTED */
	uint32_t nslots;	/* a power of two, more than twice the keys */
	SxJsonKey **slots;	/* hash table of keys */
	SxJsonKey first;	/* its next is the first key of the last object */
};

typedef struct SxJsonProblem
{
	const char *text; /* NULL: the message is good */
	uint32_t offset;  /* the byte it was seen at */
	enum
	{
		SX_JSON_MALFORMED,
		SX_JSON_BAD_ENCODING,
		SX_JSON_TOO_LARGE,
		SX_JSON_NO_MEMORY
	} kind;
} SxJsonProblem;

typedef struct SxJson SxJson;

/* A parser; NULL when there is no memory. */
SX_C_LINKAGE SxJson *sx_json_create(void);
SX_C_LINKAGE void sx_json_free(SxJson *json);

/* The hash that slots are made with; name is padded. */
SX_C_LINKAGE uint32_t sx_json_hash(const char *name, uint32_t length);

/*
 * Check a message and find the fields of root and below in it: fields[number]
 * for each node; what is not there is SX_FIELD_MISSING.  The fields point into
 * the parser's buffers and live until the next call.
 */
SX_C_LINKAGE bool sx_json_find(SxJson *json, const char *data, size_t length, SxJsonNode *root,
							   SxField *fields, SxJsonProblem *problem);

/*
 * The elements of an array found by the last sx_json_find.  Nested arrays are
 * dimensions, unless is_flat: then only the outer one counts.  Returns how many
 * elements there are, -1 if the array is not rectangular, -2 if it has more than
 * max_dimensions.  fields may be NULL, to count only; fields live until the next
 * call with fields.
 */
SX_C_LINKAGE int64_t sx_json_elements(SxJson *json, uint32_t position, bool is_flat,
									  int max_dimensions, int *ndimensions, int *dimensions,
									  SxField *fields);

/* Give back the memory that large messages needed. */
SX_C_LINKAGE void sx_json_trim(SxJson *json);

#endif
