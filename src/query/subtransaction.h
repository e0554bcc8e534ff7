/*
 * subtransaction.h
 *	  Work that is undone by itself when it fails.
 */
#ifndef SX_SUBTRANSACTION_H
#define SX_SUBTRANSACTION_H

#include "compat.h"

/*
 * Run work in a subtransaction, which stays if work returns true.  The error that
 * it threw, in the current memory context, or NULL.
 */
extern ErrorData *sx_in_subtransaction(bool (*work)(void *argument), void *argument);

#endif
