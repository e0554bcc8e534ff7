/*
 * debug_point.c
 *	  What happens at a debug point, as a test wants it.
 *
 * A test arms a point by a file in the data directory, streamx_debug/NAME:
 *
 *	  TIMES WHO ACTION [SQLSTATE]       e.g. "1 worker kill", "3 any error 40P01"
 *
 * TIMES counts down to the visit that is meant, WHO is client, worker or any.
 * That visit writes its process ID into the file and renames it to NAME.hit, so
 * that it is the only one, whatever the action does to the server:
 *
 *	  wait       until the test removes NAME.hit
 *	  error      with the SQLSTATE
 *	  kill       kill -9 of this process
 *	  crash      kill -9 of the postmaster and of this process
 *	  immediate  an immediate shutdown of the server
 */
#include "compat.h"

#include "catalog/debug_point.h"

#ifdef SX_DEBUG_POINTS

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/pmsignal.h"

#define DIRECTORY "streamx_debug"
#define WAIT_US 5000

typedef struct Order
{
	int times;
	char who[16];
	char action[16];
	char sqlstate[6];
} Order;

static bool take_order(const char *path, const char *hit, Order *order);
static bool is_meant(const Order *order);
static void overwrite(int fd, const char *text);
static void act(const char *name, const char *hit, const Order *order);
static void wait_until_gone(const char *path);

void
sx_debug_point(const char *name)
{
	char path[MAXPGPATH];
	char hit[MAXPGPATH];
	Order order = {0};

	snprintf(path, sizeof(path), DIRECTORY "/%s", name);
	snprintf(hit, sizeof(hit), "%s.hit", path);
	if (take_order(path, hit, &order))
		act(name, hit, &order);
}

/* Whether this is the visit that the test means; several processes may ask. */
static bool
take_order(const char *path, const char *hit, Order *order)
{
	char text[64] = {0};
	bool is_ours = false;
	int fd = open(path, O_RDWR);

	if (fd < 0)
		return false;
	(void) flock(fd, LOCK_EX);
	if (read(fd, text, sizeof(text) - 1) > 0 &&
		sscanf(text, "%d %15s %15s %5s", &order->times, order->who, order->action,
			   order->sqlstate) >= 3 &&
		is_meant(order))
	{
		if (order->times > 1)
			snprintf(text, sizeof(text), "%d %s %s %s", order->times - 1, order->who, order->action,
					 order->sqlstate);
		else
			snprintf(text, sizeof(text), "%d", MyProcPid);
		overwrite(fd, text);
		is_ours = order->times <= 1 && rename(path, hit) == 0;
	}
	close(fd);
	return is_ours;
}

static bool
is_meant(const Order *order)
{
	if (strcmp(order->who, "client") == 0)
		return MyBackendType == B_BACKEND;
	if (strcmp(order->who, "worker") == 0)
		return MyBackendType == B_BG_WORKER;
	return true;
}

static void
overwrite(int fd, const char *text)
{
	ssize_t length = strlen(text);

	if (pwrite(fd, text, length, 0) != length || ftruncate(fd, length) != 0)
		elog(PANIC, "could not write the file of a debug point: %m");
}

static void
act(const char *name, const char *hit, const Order *order)
{
	const char *state = order->sqlstate;

	ereport(LOG, (errmsg("debug point \"%s\": %s", name, order->action)));
	if (strcmp(order->action, "crash") == 0)
		kill(PostmasterPid, SIGKILL);
	if (strcmp(order->action, "crash") == 0 || strcmp(order->action, "kill") == 0)
		kill(MyProcPid, SIGKILL);
	else if (strcmp(order->action, "immediate") == 0)
		kill(PostmasterPid, SIGQUIT);
	else if (strcmp(order->action, "error") == 0)
		ereport(ERROR, (errcode(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])),
						errmsg("debug point \"%s\"", name)));
	wait_until_gone(hit);
}

static void
wait_until_gone(const char *path)
{
	while (access(path, F_OK) == 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (!PostmasterIsAlive())
			proc_exit(1);
		pg_usleep(WAIT_US);
	}
}

#endif
