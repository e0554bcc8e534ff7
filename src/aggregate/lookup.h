/*
 * lookup.h
 *	  What the catalogs say of an aggregate called with certain argument types:
 *	  its support functions, its types, and how its states are stored.
 *
 * Internal to src/aggregate; others use transition.h.
 */
#ifndef SX_LOOKUP_H
#define SX_LOOKUP_H

#include "compat.h"

#include "aggregate/state_type.h"

typedef struct SxAggregateLookup
{
	Oid aggfnoid;
	Oid owner;
	Oid transition_type; /* resolved */
	Oid stored_type;	 /* InvalidOid: see why */
	Oid result_type;	 /* resolved */
	Oid combine_function;
	Oid serialise_function;	  /* only if the transition type is internal */
	Oid deserialise_function; /* likewise */
	Oid final_function;		  /* or InvalidOid */
	int final_nargs;		  /* the state included */
	bool has_initial_value;
	bool is_builtin; /* in the server's own catalog data */
	bool transition_by_value;
	int16 transition_length;
	bool result_by_value;
	int16 result_length;
	SxStateMaker maker;
	SxStateHeader header; /* of the aggregate's states, if stored as streamx.state */
	const char *why;	  /* constant sentence: why states cannot be stored or combined */
} SxAggregateLookup;

/*
 * Fill in *lookup.  An ERROR if aggfnoid is no aggregate or does not take
 * arguments of these very types; *lookup is the caller's to keep.
 */
extern void
sx_aggregate_lookup(Oid aggfnoid, const Oid *argtypes, int nargs, SxAggregateLookup *lookup);

/*
 * Check EXECUTE as nodeAgg.c does: role on the aggregate, the aggregate's owner
 * on its support functions.  with_final adds the final function.
 */
extern void sx_aggregate_check_execute(const SxAggregateLookup *lookup, Oid role, bool with_final);

#endif
