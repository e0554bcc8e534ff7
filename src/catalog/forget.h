/*
 * forget.h
 *	  What the catalog does when a stream or a view is dropped.
 */
#ifndef SX_FORGET_H
#define SX_FORGET_H

#include "compat.h"

/*
 * Remove a view from the catalog: its rows in views, view_streams and removal, folding,
 * its refused rows, and the readers of topics on which no other view hangs (the one
 * reader of a stream without Kafka stays).
 */
extern void sx_catalog_forget_view(Oid view);

/*
 * Remove a stream from the catalog: its readers and positions, its refused
 * rows and its row in streams.  Its views must be gone, or go in the same command.
 */
extern void sx_catalog_forget_stream(Oid stream);

#endif
