/*
 * floor.h
 *	  Division that rounds down, also below zero.
 */
#ifndef SX_FLOOR_H
#define SX_FLOOR_H

#include "compat.h"

/* The divisor is positive. */
static inline int64
sx_floor_div(int64 value, int64 divisor)
{
	return value / divisor - (value % divisor < 0);
}

/* The remainder, which is never negative. */
static inline int64
sx_floor_mod(int64 value, int64 divisor)
{
	int64 remainder;

	if (value >= 0 && value < divisor)
		return value;
	remainder = value % divisor;
	return remainder < 0 ? remainder + divisor : remainder;
}

#endif
