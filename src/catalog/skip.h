/*
 * skip.h
 *	  Offsets that views did not read.
 */
#ifndef STREAMX_CATALOG_SKIP_H
#define STREAMX_CATALOG_SKIP_H

#include "catalog/reader.h"

/*
 * Records that the reader's views do not read offsets [from, to) of a partition.  What of it is
 * recorded already stays as it is.  Under the stream's lock, and those of the views; the reader
 * itself does not move.
 */
extern void
sx_skip_record(const SxReader *reader, int32 partition, int64 from, int64 to, bool is_asked);

/*
 * Of another log, which has other records at the same offsets, the reader's views are to skip
 * nothing: what they were told to is as gone as the rest of the old one.
 */
extern void sx_skip_leave_log(const SxReader *reader, int32 partition);

#endif
