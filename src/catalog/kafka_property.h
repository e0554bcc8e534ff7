/*
 * kafka_property.h
 *	  The librdkafka properties that may be set, and nothing else.
 */
#ifndef SX_KAFKA_PROPERTY_H
#define SX_KAFKA_PROPERTY_H

#include "compat.h"

#include "catalog/option.h"
#include "nodes/pg_list.h"

typedef enum SxPropertyClass
{
	SX_PROPERTY_ORDINARY,
	SX_PROPERTY_FILE,	   /* names a file of the server: pg_read_server_files */
	SX_PROPERTY_SUPERUSER, /* weakens security */
	SX_PROPERTY_SECRET	   /* user mapping only; never shown */
} SxPropertyClass;

typedef struct SxKafkaProperty SxKafkaProperty;

/* A property by its option name (with underscores), or NULL. */
extern const SxKafkaProperty *sx_kafka_property_find(const char *name);

/* The i-th property, or NULL at the end. */
extern const SxKafkaProperty *sx_kafka_property_at(int i);

extern const char *sx_kafka_property_name(const SxKafkaProperty *property);
extern bool sx_kafka_property_is_in(const SxKafkaProperty *property, SxOptionScope scope);
extern bool sx_kafka_property_is_secret(const SxKafkaProperty *property);

/* Check one value, with librdkafka's own bounds; privileges too.  An error says why. */
extern void sx_kafka_property_check(const SxKafkaProperty *property, const char *value);

/* Check what options of a server say together. */
extern void sx_kafka_properties_check_server(List *options);

#endif
