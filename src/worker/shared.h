/*
 * shared.h
 *	  What launcher, workers and backends share: a table of workers in shared
 *	  memory, as many slots for each Kafka stream as it wants workers.
 *
 *	  wanted, no process           process                       process
 *	  WAITING --launcher starts--> STARTING --worker connects--> RUNNING ...
 *	     ^                            |                             |
 *	     +--------- ended: back-off --+-----------------------------+
 *
 * A slot is taken by a probe that finds the stream, and given back by the
 * launcher once the stream is gone and its worker has ended.
 */
#ifndef SX_SHARED_H
#define SX_SHARED_H

#include "compat.h"

#include "access/xlogdefs.h"
#include "catalog/activity.h"
#include "catalog/monotonic.h"
#include "catalog/option.h"
#include "storage/condition_variable.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define SX_MAX_SLOTS 256
#define SX_MAX_PROBES 64
#define SX_MAX_HOLDS 16

/* What a worker has to finish its batch when it is to end. */
#define SX_END_TIMEOUT_US (5 * USECS_PER_SEC)

typedef enum SxWorkerState
{
	SX_WORKER_WAITING, /* for a place to run in */
	SX_WORKER_STARTING,
	SX_WORKER_CATCHING_UP,
	SX_WORKER_CAUGHT_UP,
	SX_WORKER_PAUSED,		/* all its readers are */
	SX_WORKER_DISCONNECTED, /* no broker can be reached */
	SX_WORKER_FAILING,		/* at least one reader waits to try again */
	SX_WORKER_BACKING_OFF,	/* ended with an error, will be started again */
	SX_WORKER_OUTDATED		/* no worker: the extension has another version than the library */
} SxWorkerState;

typedef struct SxWorkerSlot
{
	bool in_use;
	bool is_wanted;	 /* false: to be ended */
	bool must_yield; /* to be ended for another stream's first worker */
	Oid database;
	Oid stream;				/* InvalidOid: see SX_WORKER_OUTDATED */
	int number;				/* of the stream's workers, from 0 */
	char name[NAMEDATALEN]; /* of the stream, for people */
	SxWorkerState state;
	pid_t pid;	  /* 0: no process */
	Latch *latch; /* of the process */
	/* as sx_now_us */
	int64 started_us;	  /* last start asked for */
	int64 start_after_us; /* back-off: not before */
	int64 asked_us;		  /* when its process was asked to end; 0: it was not */
	int64 restarts;
	int failures; /* ends with an error in a row */
	int64 rows;
	int64 batches;
	TimestampTz last_batch_at;
	uint32 generation;			   /* moves when the catalog has news for the worker */
	volatile int64 still_until_us; /* it commits nothing before (as sx_now_us) */
	volatile bool is_in_batch;	   /* between a batch's begin and the update of what follows */
	volatile int64
		batch_began_us;	   /* as sx_now_us: since then, while in a batch, it hears nothing */
	XLogRecPtr commit_lsn; /* end of the last batch's commit record */
	SxActivityError error;
	volatile bool is_stuck;	 /* the process ended because its work did not: see time_limit.c */
	volatile Oid stuck_view; /* whose work that was, or InvalidOid */
	bool is_renewed;		 /* the process ended to be begun anew at once */
	int row_limit;			 /* of batches that the next one begins with; 0: none */
} SxWorkerSlot;

/* A database whose workers must not run for now, because holder is busy with it. */
typedef struct SxHold
{
	Oid database;
	pid_t holder;
} SxHold;

typedef struct SxShared
{
	LWLock *lock; /* of all that follows */
	pid_t launcher_pid;
	Latch *launcher_latch;
	bool must_probe_all;
	bool databases_changed; /* look for slots of databases that are gone */
	int nprobes;
	Oid probes[SX_MAX_PROBES]; /* databases to be probed */
	Oid probing;			   /* the one that there is a probe in */
	bool is_probed;			   /* that has done its work */
	SxHold holds[SX_MAX_HOLDS];
	SxWorkerSlot slots[SX_MAX_SLOTS];
	ConditionVariable batch_done; /* broadcast after each commit of a worker */
} SxShared;

/* NULL unless the library was preloaded. */
extern SxShared *sx_shared;

/* Ask for the memory; from _PG_init. */
extern void sx_shared_init(void);

/* Wake the launcher, if it runs. */
extern void sx_shared_wake_launcher(void);

/* A slot of a stream of the current database, or NULL.  Under the lock. */
extern SxWorkerSlot *sx_shared_slot(Oid stream, int number);

/* Whether the two are of one stream.  Under the lock. */
extern bool sx_shared_are_siblings(const SxWorkerSlot *left, const SxWorkerSlot *right);

/*
 * Of a stream's workers that run, which one this is, from 0; *count: how many there are.
 * Under the lock.
 */
extern int sx_shared_rank(const SxWorkerSlot *slot, int *count);

/* Wake the stream's other workers; with news, they look at the catalog again. */
extern void sx_shared_wake_siblings(SxWorkerSlot *slot, bool has_news);

/* Wake the first of the stream's workers that run. */
extern void sx_shared_wake_first(const SxWorkerSlot *slot);

/* Ask the stream's other workers to commit nothing before a time (as sx_now_us). */
extern void sx_shared_still_siblings(SxWorkerSlot *slot, int64 until_us);

/* Whether somebody holds a database back.  Under the lock. */
extern bool sx_shared_is_held(Oid database);

/* Whether the slot's worker is wanted, here, and nobody holds its database back.  Under the lock. */
extern bool sx_shared_may_run(const SxWorkerSlot *slot);

/*
 * Ask the slot's process to end after its batch, or, when it does not, end the
 * batch with it.  Under the lock.
 */
extern void sx_shared_end_worker(SxWorkerSlot *slot);

/* Move the slot to another state. */
extern void sx_shared_set_state(SxWorkerSlot *slot, SxWorkerState state);

/* The state as people read it. */
extern const char *sx_worker_state_name(SxWorkerState state);

#endif
