/*
 * insert.h
 *	  Rows on their way from INSERT and COPY into views: buffered by
 *	  (sub)transaction, handed on at commit or when the transaction reads.
 */
#ifndef SX_INSERT_H
#define SX_INSERT_H

#include "compat.h"

#include "batch/batch.h"
#include "executor/tuptable.h"

/* Buffer one row of a stream; called by the foreign-data wrapper after ExecConstraints. */
extern void sx_insert_row(Oid stream, TupleTableSlot *slot);

/* Merge what is buffered now (a statement is about to read); no-op when nothing is. */
extern void sx_insert_flush(void);
extern bool sx_insert_is_pending(void);

/* Register transaction callbacks; from _PG_init. */
extern void sx_insert_init(void);

/*
 * What the query layer does with a finished batch of an INSERT stream, set by
 * it at load: lock, log, apply, save progress.
 */
extern void (*sx_batch_ready)(SxBatch *batch);

#endif
