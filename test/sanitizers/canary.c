/*
 * canary.c
 *	  What the sanitizers must report, on purpose.
 */
#include "postgres.h"

#include <stdlib.h>

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(overrun);
PG_FUNCTION_INFO_V1(overshift);

/* Read what follows memory of so many bytes. */
Datum
overrun(PG_FUNCTION_ARGS)
{
	int32 size = PG_GETARG_INT32(0);
	volatile char *memory = calloc(size, 1);
	char value = memory[size];

	free((void *) memory);
	PG_RETURN_INT32(value);
}

/* Shift by so many bits, of which there are 32. */
Datum
overshift(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32((int32) (1U << PG_GETARG_INT32(0)));
}
