/*
 * capture.h
 *	  Run something over many values, and take what their data is to blame for.
 *
 * One sigsetjmp covers a run; after a data error the run is called again and
 * goes on behind the value that failed.
 */
#ifndef SX_CAPTURE_H
#define SX_CAPTURE_H

#include "compat.h"

/* The longest error text that is kept of one value. */
#define SX_CAPTURE_MESSAGE_LENGTH 1000

typedef struct SxCapture
{
	void (*run)(void *state); /* works until all is done; keeps its place in state */
	void (*failed)(void *state, int sqlstate, const char *message); /* about the current place */
	void *state;
	MemoryContext context;	/* of messages */
	bool in_subtransaction; /* run may call code that holds resources at an error */
} SxCapture;

/*
 * Run to the end.  Errors that are not of the data are thrown.  Needs a
 * transaction; the current memory context is the same in every call of run.
 */
extern void sx_capture_run(const SxCapture *capture);

/* Whether an error in a type's input function, a CHECK or the like is the data's fault. */
extern bool sx_capture_is_data_error(int sqlstate);

#endif
