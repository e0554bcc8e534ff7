/*
 * fit.h
 *	  Whether what is stored for a view holds all that another definition needs.
 */
#ifndef SX_FIT_H
#define SX_FIT_H

#include "compat.h"

#include "query/analyze.h"
#include "query/view.h"

/*
 * Whether a view's states, inputs and final values are those of a definition: the same
 * rows, keys and windows, and no aggregate that is not kept.  If so, the definition's
 * lists become those that are stored, in their order, so that a visible view derived from
 * it reads them; a final value that it does not need is NULL in finals.
 */
extern bool sx_fit(SxDefinition *definition, const SxView *view);

/*
 * Whether a definition has the rows, keys and windows of a view, whatever its aggregates: then
 * what the view refused as late is what it would refuse, too.
 */
extern bool sx_fit_rows(const SxDefinition *definition, const SxView *view);

#endif
