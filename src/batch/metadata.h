/*
 * metadata.h
 *	  Columns that show what Kafka says of a message, not what is in it.
 */
#ifndef SX_METADATA_H
#define SX_METADATA_H

#include "compat.h"

#include "batch/batch.h"

/*
 * Fill those of columns that are metadata columns, for all rows from messages.
 * Datums are in the current memory context.
 */
extern void sx_metadata_fill(SxBatch *batch, const Bitmapset *columns);

#endif
