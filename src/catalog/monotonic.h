/*
 * monotonic.h
 *	  The clock that our own code waits by.  That of GetCurrentTimestamp may be set
 *	  back, and what waits for a time of day waits that much longer.
 */
#ifndef SX_MONOTONIC_H
#define SX_MONOTONIC_H

#include "compat.h"

#include "portability/instr_time.h"

/* Microseconds since some moment before the server's start; the same in all of its processes. */
static inline int64
sx_now_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* Milliseconds until then, rounded up; 0 when it is over. */
static inline int64
sx_ms_until(int64 until_us)
{
	int64 now = sx_now_us();

	return until_us <= now ? 0 : (until_us - now - 1) / 1000 + 1;
}

#endif
