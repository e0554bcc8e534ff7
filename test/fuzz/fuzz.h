/*
 * fuzz.h
 *	  What the targets of the fuzzer share.
 */
#ifndef SX_FUZZ_H
#define SX_FUZZ_H

#include "compat.h"

#include "lib/stringinfo.h"

#include "catalog/stream.h"

typedef struct FuzzTarget
{
	const char *name;
	void (*open)(void);							/* once; NULL: nothing to do */
	void (*run)(const char *data, size_t size); /* errors that it lets pass are findings */
} FuzzTarget;

extern const FuzzTarget fuzz_messages;
extern const FuzzTarget fuzz_values;
extern const FuzzTarget fuzz_filters;
extern const FuzzTarget fuzz_states;
extern const FuzzTarget fuzz_metadata;

/* A type as SQL writes it, and what the expectations need to know of it. */
typedef struct FuzzType
{
	const char *spelling;
	Oid oid;
	int32 typmod;
	Oid base;
	Oid element; /* InvalidOid: no array */
	int16 length;
	bool by_value;
	Oid input;
	Oid input_param;
} FuzzType;

typedef struct FuzzColumn
{
	const char *name;
	const char *type;
	const char *field; /* NULL: the name */
} FuzzColumn;

/* What an attempt came to: sqlstate 0 if it came to its end. */
typedef struct FuzzOutcome
{
	int sqlstate;
	const char *message;
	Datum value;
	bool is_null;
} FuzzOutcome;

/* Say what is wrong and abort, which libFuzzer takes for a crash. */
extern void fuzz_fail(const char *format, ...) pg_attribute_printf(1, 2) pg_attribute_noreturn();

/* Call; an error becomes an outcome. */
extern void fuzz_try(void (*call)(void *state), void *state, FuzzOutcome *outcome);

/* Bytes that end where memory does: reading on is a crash.  Good until the next call. */
extern char *fuzz_guard(const char *data, size_t size);

/* Whether bytes can be a text of the database. */
extern bool fuzz_is_text(const char *data, size_t size);

/* Call a function of PostgreSQL's SQL interface with n arguments; NULL in, NULL out. */
extern Datum fuzz_call(PGFunction function, bool *is_null, int n, ...);

/* expect.c: what PostgreSQL makes of a value */
extern void fuzz_type_open(FuzzType *type, const char *spelling);
extern SxStream *fuzz_stream(const FuzzColumn *columns, int ncolumns);
extern bool
fuzz_has_same_value(const FuzzType *type, const FuzzOutcome *left, const FuzzOutcome *right);

/* The value of a member of a JSON object, as json; NULL: there is none. */
extern text *fuzz_member(text *object, const char *name);

/*
 * What a scalar, object or array must become: json is how the message spells it,
 * plain its text without quotes and escapes.  By PostgreSQL's own functions, and the
 * rules of convert.c's head.
 */
extern Datum
fuzz_expect(const FuzzType *type, const SxStream *stream, text *json, char *plain, bool *is_null);

#endif
