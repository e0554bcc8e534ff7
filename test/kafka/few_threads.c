/*
 * few_threads.c
 *	  A limit on threads, for a server that this library is preloaded into.
 *
 * As long as there is a file of the name in STREAMX_FEW_THREADS, a process can make
 * no more C11 threads than the number in it says; what it made before does not count.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>

/* How many there may be; -1: any number. */
static int
read_limit(void)
{
	const char *name = getenv("STREAMX_FEW_THREADS");
	FILE *file = name ? fopen(name, "r") : NULL;
	int limit;

	if (file == NULL)
		return -1;
	if (fscanf(file, "%d", &limit) != 1)
		limit = 0;
	fclose(file);
	return limit;
}

int
thrd_create(thrd_t *thread, thrd_start_t start, void *argument)
{
	static atomic_int made = 0;
	int limit = read_limit();

	if (limit < 0)
		made = 0;
	else if (made++ >= limit)
		return thrd_nomem;
	return ((__typeof__(&thrd_create)) dlsym(RTLD_NEXT, "thrd_create"))(thread, start, argument);
}
