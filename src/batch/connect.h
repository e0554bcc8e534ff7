/*
 * connect.h
 *	  From a Kafka stream and a role to a source: server options, user mapping.
 */
#ifndef SX_CONNECT_H
#define SX_CONNECT_H

#include "compat.h"

#include "catalog/stream.h"
#include "source/source.h"

/*
 * Open the source of a Kafka stream with the properties of its server and of
 * the role's user mapping (PUBLIC's, or none), if the stream's owner has USAGE on
 * the server.  See sx_source_open for context and errors.
 */
extern SxSource *sx_connect(const SxStream *stream, Oid userid, size_t queue_bytes,
							const char *client_id, MemoryContext context);

/* The same for reading up to some offset: does not linger at the end of the log. */
extern SxSource *sx_connect_bounded(const SxStream *stream, Oid userid, size_t queue_bytes,
									const char *client_id, MemoryContext context);

/* The stream's bootstrap servers, for messages; palloc'd. */
extern char *sx_connect_servers(const SxStream *stream);

#endif
