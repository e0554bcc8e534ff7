/*
 * refused.h
 *	  Rows that did not get into a view: dead letters and late rows.
 */
#ifndef SX_REFUSED_H
#define SX_REFUSED_H

#include "compat.h"

#include "datatype/timestamp.h"

typedef struct SxDeadLetter
{
	Oid stream;
	Oid view;		   /* InvalidOid: refused by the stream, for all views */
	const char *topic; /* NULL: not from Kafka */
	int32 partition;
	int64 offset;
	int64 timestamp_ms; /* -1: none */
	const char *key;	/* NULL: none */
	size_t key_length;
	const char *payload; /* NULL: none */
	size_t payload_length;
	Datum row; /* jsonb; only if has_row */
	bool has_row;
	int sqlstate;
	const char *message;
	int32 reader;
} SxDeadLetter;

typedef struct SxLateRow
{
	Oid view;
	Oid stream;
	const char *topic;
	int32 partition;
	int64 offset;
	int64 event_time;
	int64 watermark;
	int64 refused_through;
	bool counted;
	Datum row; /* jsonb */
	int32 reader;
} SxLateRow;

/* Store one, in the caller's transaction. */
extern void sx_refused_dead_letter(const SxDeadLetter *letter);
extern void sx_refused_late_row(const SxLateRow *late);

#endif
