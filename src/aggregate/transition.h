/*
 * transition.h
 *	  Call an aggregate's support functions outside of an Agg node: combine,
 *	  (de)serialise and finalise transition states.
 *
 * States here are "stored states": the native transition type where there is
 * one, otherwise streamx.state, an opaque varlena with a header (format,
 * server major version, aggregate signature) around the serialised bytes.
 * Pure: knows nothing of streams.
 */
#ifndef SX_TRANSITION_H
#define SX_TRANSITION_H

#include "compat.h"

#include "nodes/primnodes.h"

typedef struct SxAggregate SxAggregate;

/*
 * The type a state of this aggregate is stored as: the resolved transition
 * type, or streamx.state for internal.  InvalidOid, with *why set to a palloc'd
 * sentence, when states of the aggregate cannot be stored or combined (no
 * combine function, no serialise function, pseudo-type).
 */
extern Oid sx_aggregate_state_type(const Aggref *aggref, const char **why);

/*
 * Whether the aggregate, as it is in this server, can go on with states that are
 * stored as stored_type and were begun by PostgreSQL major.
 */
extern bool sx_aggregate_can_read(const Aggref *aggref, Oid stored_type, int major);

/*
 * Whether two aggregates of one query have the same transition state, like sum
 * and avg of one numeric column: it is then kept once.
 */
extern bool sx_aggregate_shares_state(const Aggref *left, const Aggref *right);

/* OID of type streamx.state (cached, looked up by name in schema streamx). */
extern Oid sx_state_type_oid(void);

/*
 * Look the aggregate up, as role check_as would be allowed to call it (EXECUTE
 * is checked the way nodeAgg.c does).  Allocated in context; combine calls may
 * be repeated any number of times.  argtypes are the aggregated arguments'
 * actual types, direct arguments are not supported.
 */
extern SxAggregate *sx_aggregate_open(Oid aggfnoid, const Oid *argtypes, int nargs, Oid result_type,
									  Oid input_collation, Oid check_as, MemoryContext context);
extern SxAggregate *
sx_aggregate_open_aggref(const Aggref *aggref, Oid check_as, MemoryContext context);

/* Those of a list of Aggrefs, in order, as above. */
extern SxAggregate **sx_aggregate_open_list(List *aggrefs, Oid check_as, MemoryContext context);

extern Oid sx_aggregate_stored_type(const SxAggregate *aggregate);
extern Oid sx_aggregate_result_type(const SxAggregate *aggregate);

/* The final function, or InvalidOid: the state is the result. */
extern Oid sx_aggregate_final_function(const SxAggregate *aggregate);

/*
 * state = combine(state, delta).  state is a stored state; delta is what an Agg
 * node with AGGSPLIT_INITIAL_SERIAL returns (native, or serialised bytea for
 * internal).  The result is allocated in the current memory context, which the
 * caller resets; strictness is handled as in nodeAgg.c.
 */
extern Datum sx_aggregate_combine(SxAggregate *aggregate, Datum state, bool state_is_null,
								  Datum delta, bool delta_is_null, bool *is_null);

/* The combination of two stored states, as above. */
extern Datum sx_aggregate_combine_stored(SxAggregate *aggregate, Datum left, bool left_is_null,
										 Datum right, bool right_is_null, bool *is_null);

/* A delta as a stored state: native as it is, bytea with the header in front. */
extern Datum sx_aggregate_store(SxAggregate *aggregate, Datum delta, bool delta_is_null);

/* The aggregate's final value of a stored state. */
extern Datum
sx_aggregate_finalize(SxAggregate *aggregate, Datum state, bool state_is_null, bool *is_null);

extern void sx_aggregate_close(SxAggregate *aggregate);

#endif
