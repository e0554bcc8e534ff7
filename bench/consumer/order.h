/*
 * order.h
 *	  The fields of an order that the query needs, out of its JSON message.
 */
#ifndef BENCH_ORDER_H
#define BENCH_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C"
{
#endif

#define MAX_CATEGORY 24

	typedef struct Order
	{
		char category[MAX_CATEGORY]; /* NULs behind it */
		uint32_t category_length;
		bool has_id;
		int64_t cents;
		int64_t event_ms; /* since 1970 */
	} Order;

	/* False if the message is not an order. */
	extern bool order_decode(const char *message, size_t length, Order *order);

#ifdef __cplusplus
}
#endif

#endif
