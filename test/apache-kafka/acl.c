/*
 * acl.c
 *	  Grant and revoke what users may do with a topic, for tests.
 *
 *	acl ADDRESS grant|revoke USER read|describe TOPIC
 *
 * It waits until the broker has done it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"

const char program[] = "acl";

static rd_kafka_AclOperation_t
operation(const char *name)
{
	if (strcmp(name, "read") == 0)
		return RD_KAFKA_ACL_OPERATION_READ;
	if (strcmp(name, "describe") == 0)
		return RD_KAFKA_ACL_OPERATION_DESCRIBE;
	fail("read and describe are what may be granted");
	return RD_KAFKA_ACL_OPERATION_UNKNOWN;
}

static void
grant(rd_kafka_t *kafka, const char *principal, rd_kafka_AclOperation_t operation,
	  const char *topic, rd_kafka_queue_t *answers)
{
	rd_kafka_AclBinding_t *acl = rd_kafka_AclBinding_new(
		RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, principal, "*",
		operation, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, errstr, sizeof(errstr));

	if (acl == NULL)
		fail(errstr);
	rd_kafka_CreateAcls(kafka, &acl, 1, NULL, answers);
	rd_kafka_AclBinding_destroy(acl);
}

static void
revoke(rd_kafka_t *kafka, const char *principal, rd_kafka_AclOperation_t operation,
	   const char *topic, rd_kafka_queue_t *answers)
{
	rd_kafka_AclBindingFilter_t *filter = rd_kafka_AclBindingFilter_new(
		RD_KAFKA_RESOURCE_TOPIC, topic, RD_KAFKA_RESOURCE_PATTERN_LITERAL, principal, "*",
		operation, RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, errstr, sizeof(errstr));

	if (filter == NULL)
		fail(errstr);
	rd_kafka_DeleteAcls(kafka, &filter, 1, NULL, answers);
	rd_kafka_AclBinding_destroy(filter);
}

/* What went wrong with the one binding, or the one filter, which must have matched. */
static const rd_kafka_error_t *
error_of(rd_kafka_event_t *answer)
{
	const rd_kafka_CreateAcls_result_t *created = rd_kafka_event_CreateAcls_result(answer);
	const rd_kafka_DeleteAcls_result_response_t **responses;
	size_t count;
	size_t matched;

	if (created != NULL)
		return rd_kafka_acl_result_error(rd_kafka_CreateAcls_result_acls(created, &count)[0]);
	responses =
		rd_kafka_DeleteAcls_result_responses(rd_kafka_event_DeleteAcls_result(answer), &count);
	(void) rd_kafka_DeleteAcls_result_response_matching_acls(responses[0], &matched);
	if (matched != 1)
		fail("there is no such right");
	return rd_kafka_DeleteAcls_result_response_error(responses[0]);
}

static void
wait_for(rd_kafka_queue_t *answers)
{
	rd_kafka_event_t *answer = next_answer(answers);
	const rd_kafka_error_t *error;

	error = error_of(answer);
	if (error != NULL)
		fail(rd_kafka_error_string(error));
	rd_kafka_event_destroy(answer);
}

int
main(int argc, char **argv)
{
	rd_kafka_t *kafka;
	rd_kafka_queue_t *answers;
	char principal[256];

	if (argc != 6)
		fail("usage: acl ADDRESS grant|revoke USER read|describe TOPIC");
	snprintf(principal, sizeof(principal), "User:%s", argv[3]);
	kafka = connect_to(argv[1]);
	answers = rd_kafka_queue_new(kafka);

	if (strcmp(argv[2], "grant") == 0)
		grant(kafka, principal, operation(argv[4]), argv[5], answers);
	else if (strcmp(argv[2], "revoke") == 0)
		revoke(kafka, principal, operation(argv[4]), argv[5], answers);
	else
		fail("grant and revoke are what it does");
	wait_for(answers);

	rd_kafka_queue_destroy(answers);
	rd_kafka_destroy(kafka);
	return 0;
}
