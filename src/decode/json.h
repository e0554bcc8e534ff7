/*
 * json.h
 *	  The thin interface between PostgreSQL's C and the project's one C++ file:
 *	  where the tokens of a JSON message begin.
 *
 * The C++ side never calls PostgreSQL, never throws, and says with an error text
 * what is wrong with a message.
 */
#ifndef SX_JSON_H
#define SX_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define SX_C_LINKAGE extern "C"
#else
#define SX_C_LINKAGE extern
#endif

typedef struct SxJson SxJson;

/*
 * A message in the parser's buffers, good until the next one.  Its UTF-8 and
 * the ends of its strings are right; the rest is for a walk over the tokens to
 * check.  A token ends where the next begins, less white space.
 */
typedef struct SxJsonScan
{
	const char *message; /* a copy, with 64 NULs behind it */
	uint32_t length;
	bool has_escapes;		/* a backslash somewhere */
	const uint32_t *tokens; /* where they begin, ascending; then length */
	uint32_t ntokens;
	char *scratch; /* as long as the message and its NULs, for strings without escapes */
} SxJsonScan;

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

/* A parser; NULL when there is no memory. */
SX_C_LINKAGE SxJson *sx_json_create(void);
SX_C_LINKAGE void sx_json_free(SxJson *json);

/* Copy a message and find its tokens. */
SX_C_LINKAGE bool sx_json_scan(SxJson *json, const char *data, size_t length, SxJsonScan *scan,
							   SxJsonProblem *problem);

/* Give back the memory that large messages needed. */
SX_C_LINKAGE void sx_json_trim(SxJson *json);

#endif
