/*
 * sketch.h
 *	  The bytes of sketches: values of distinct_sketch, quantile_sketch and
 *	  top_k_sketch, and serialised states of the aggregates that make them.
 *
 *		varlena length | letter of the kind | version | contents
 *
 * A sketch can come from anywhere: from a dump, from a client, from another
 * user's table.  So whatever is read goes through a reader, which never passes
 * the end; contents that their writer would not have written are refused.
 * Numbers are LEB128 in their shortest form, floats big-endian: equal sketches
 * have equal bytes.
 */
#ifndef SX_SKETCH_H
#define SX_SKETCH_H

#include "compat.h"

#include "lib/stringinfo.h"

typedef struct SxSketchReader SxSketchReader;

typedef struct SxSketchKind
{
	const char *type; /* as errors call it */
	char letter;
	void (*check)(SxSketchReader *reader); /* reads and closes; an ERROR if anything is wrong */
} SxSketchKind;

struct SxSketchReader
{
	const SxSketchKind *kind;
	const char *next;
	const char *end;
	int sqlstate; /* of errors */
};

/* Read what the server itself kept: malformed is corrupted, and no row is to blame. */
extern void sx_sketch_open(SxSketchReader *reader, const SxSketchKind *kind, Datum sketch);

extern uint8 sx_sketch_read_byte(SxSketchReader *reader);
extern uint64 sx_sketch_read_number(SxSketchReader *reader, uint64 most);
extern float8 sx_sketch_read_float8(SxSketchReader *reader);

/* Not copied, not aligned. */
extern const char *sx_sketch_read_bytes(SxSketchReader *reader, Size length);

extern Size sx_sketch_remaining(const SxSketchReader *reader);

/* An ERROR if something is left. */
extern void sx_sketch_close(const SxSketchReader *reader);

extern void sx_sketch_refuse(const SxSketchReader *reader, const char *why) pg_attribute_noreturn();

extern void sx_sketch_begin(StringInfo sketch, const SxSketchKind *kind);
extern void sx_sketch_write_number(StringInfo sketch, uint64 number);
extern void sx_sketch_write_float8(StringInfo sketch, float8 number);
extern Datum sx_sketch_end(StringInfo sketch);

/* Bodies of the types' input functions, and of their casts from bytea. */
extern Datum sx_sketch_in(const SxSketchKind *kind, FunctionCallInfo fcinfo);
extern Datum sx_sketch_recv(const SxSketchKind *kind, FunctionCallInfo fcinfo);
extern Datum sx_sketch_cast(const SxSketchKind *kind, FunctionCallInfo fcinfo);

/* Where the state of the aggregate lives that is being computed; an ERROR outside of one. */
extern MemoryContext sx_sketch_aggregate_context(FunctionCallInfo fcinfo);

#endif
