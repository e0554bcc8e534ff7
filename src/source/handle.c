/*
 * handle.c
 *	  Make, watch and get rid of a librdkafka consumer.
 *
 * librdkafka has threads of its own, and PostgreSQL's functions belong to the
 * main thread alone.  Hence: no signal may ever be delivered to one of those
 * threads, the log callback (called by any of them) does nothing, and the error
 * callback (called in ours, but inside a librdkafka frame that an ereport must
 * not jump over) copies into plain memory.
 */
#include "compat.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "source/handle.h"

/*
 * What librdkafka's own threads write: it lives as long as the client, which may be longer
 * than the handle.  malloc'd.
 */
struct SxWitness
{
	SxHandle *handle;		  /* for callbacks in our thread */
	volatile int certificate; /* what OpenSSL has against the last certificate; 0: nothing yet */
};

/* How long to wait for a client to end: as a rule, when there are too many, and at exit. */
#define CLOSE_MS 50
#define CROWDED_MS 1000
#define EXIT_MS 1500
#define CROWD 4

/* A queued message costs about this much beside its payload. */
#define QUEUE_ENTRY_BYTES 512
#define MIN_QUEUE_BYTES (1024 * 1024)
#define MIN_FETCH_BYTES (1024 * 1024)
#define MAX_FETCH_BYTES (16 * 1024 * 1024)

/* Clients on their way out, each in a thread of its own. */
static pthread_mutex_t leaving_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t leaving_changed;
static int leaving = 0;

/* What may be changed by the user's properties. */
static const char *const defaults[][2] = {
	{"reconnect.backoff.max.ms", "2000"},
	{"topic.metadata.refresh.interval.ms", "30000"},
	/* questions wait so long behind a fetch, and so does the last message when it is read again */
	{"fetch.wait.max.ms", "100"},
	{"socket.keepalive.enable", "true"},
};

/* What may not: the promises rest on it. */
static const char *const rules[][2] = {
	{"auto.offset.reset", "error"}, /* its own default loses data in silence */
	{"enable.auto.commit", "false"},
	{"enable.auto.offset.store", "false"},
	{"enable.partition.eof", "true"},
	{"isolation.level", "read_committed"},
	{"check.crcs", "true"},
	{"allow.auto.create.topics", "false"},
	{"log.connection.close", "false"},
};

bool
sx_kafka_error_lasts(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__FATAL:
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR__SSL:
		case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
		case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
		case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
		case RD_KAFKA_RESP_ERR_SECURITY_DISABLED:
			return true;
		default:
			return false;
	}
}

const char *
sx_kafka_hint(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
			return "Grant Kafka's rights DESCRIBE and READ on the topic to the user of the stream "
				   "owner's user mapping.";
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
			return "Check the server's sasl_mechanism, and sasl_username and sasl_password in the "
				   "stream owner's user mapping.";
		case RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE:
			return "A limit on the memory or the threads of a process may have been reached.";
		default:
			return NULL;
	}
}

/* What OpenSSL has against a certificate, of what librdkafka tells no difference between. */
static const char *
certificate_fault(const SxHandle *handle)
{
	switch (handle->witness->certificate)
	{
		case 9: /* X509_V_ERR_CERT_NOT_YET_VALID */
			return "the broker's certificate is not valid yet: ";
		case 10: /* X509_V_ERR_CERT_HAS_EXPIRED */
			return "the broker's certificate has expired: ";
		case 62: /* X509_V_ERR_HOSTNAME_MISMATCH */
		case 64: /* X509_V_ERR_IP_ADDRESS_MISMATCH */
			return "the broker's certificate is for another host: ";
		default:
			return "";
	}
}

void
sx_handle_note(SxHandle *handle, rd_kafka_resp_err_t err, const char *reason)
{
	/* "all brokers are down" says less than the reason one of them gave since something came */
	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
	{
		handle->is_connected = false;
		handle->went_down = true;
		if (handle->reason[0] != '\0')
		{
			handle->has_error = true;
			return;
		}
	}
	snprintf(handle->reason, sizeof(handle->reason), "%s%s",
			 err == RD_KAFKA_RESP_ERR__SSL ? certificate_fault(handle) : "",
			 reason != NULL && *reason != '\0' ? reason : rd_kafka_err2str(err));
	handle->hint = sx_kafka_hint(err);
	handle->has_error = true;
	handle->is_fatal = sx_kafka_error_lasts(err);
}

void
sx_handle_hear(SxHandle *handle)
{
	handle->is_connected = true;
	if (handle->has_error)
		return;
	handle->reason[0] = '\0';
	handle->hint = NULL;
}

static void
error_callback(rd_kafka_t *kafka, int err, const char *reason, void *opaque)
{
	SxHandle *handle = ((SxWitness *) opaque)->handle;

	sx_handle_note(handle, err, reason);
	/* it could not make a thread for a broker, and it does not try again */
	if (err != RD_KAFKA_RESP_ERR__CRIT_SYS_RESOURCE)
		return;
	handle->is_broken = true;
	handle->is_fatal = true;
}

/* Called by librdkafka's threads: only note why a certificate is refused. */
static int
verify_callback(rd_kafka_t *kafka, const char *broker, int32_t id, int *x509_error, int depth,
				const char *certificate, size_t size, char *reason, size_t reason_size,
				void *opaque)
{
	SxWitness *witness = opaque;

	/* they come from the authority's to the broker's own */
	if (*x509_error != 0 || depth == 0)
		witness->certificate = *x509_error;
	if (*x509_error != 0)
		strlcpy(reason, "not trusted", reason_size);
	return *x509_error == 0;
}

static void
log_callback(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
}

/* Conf functions that report in the words of librdkafka; they free what is made so far. */
static void
set_property(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char reason[SX_REASON_SIZE];

	if (rd_kafka_conf_set(conf, name, value, reason, sizeof(reason)) == RD_KAFKA_CONF_OK)
		return;
	rd_kafka_conf_destroy(conf);
	ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					errmsg("could not set Kafka property \"%s\": %s", name, reason)));
}

static void
set_number(rd_kafka_conf_t *conf, const char *name, int64 value)
{
	char text[32];

	snprintf(text, sizeof(text), INT64_FORMAT, value);
	set_property(conf, name, text);
}

/*
 * Bound what is fetched but not handed out.
 *
 * The limits hold for our one queue, whatever the number of partitions; they
 * are checked before a fetch, so one answer of each broker comes on top.  When
 * one is passed, 2.0.2 stops fetching for up to a second: the source wakes it
 * (see refresh_ends in kafka.c), later versions have a property.
 */
static void
set_budget(rd_kafka_conf_t *conf, size_t queue_bytes)
{
	int64 budget = Max((int64) queue_bytes, MIN_QUEUE_BYTES);
	int64 fetch = Min(Max(budget / 16, MIN_FETCH_BYTES), MAX_FETCH_BYTES);
	int64 kilobytes = Min((budget - budget / 8) / 1024, 2097151);
	char ignored[SX_REASON_SIZE];

	set_number(conf, "queued.max.messages.kbytes", kilobytes);
	set_number(conf, "queued.min.messages", Min(Max(budget / QUEUE_ENTRY_BYTES, 1000), 10000000));
	set_number(conf, "fetch.max.bytes", fetch);
	(void) rd_kafka_conf_set(conf, "fetch.queue.backoff.ms", "20", ignored, sizeof(ignored));
}

static rd_kafka_conf_t *
make_conf(SxHandle *handle, const SxSourceOptions *options)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();

	for (int i = 0; i < lengthof(defaults); i++)
		set_property(conf, defaults[i][0], defaults[i][1]);
	set_budget(conf, options->queue_bytes);
	for (int i = 0; i < options->nproperties; i++)
		set_property(conf, options->names[i], options->values[i]);
	if (options->client_id != NULL)
		set_property(conf, "client.id", options->client_id);
	for (int i = 0; i < lengthof(rules); i++)
		set_property(conf, rules[i][0], rules[i][1]);

	rd_kafka_conf_set_opaque(conf, handle->witness);
	(void) rd_kafka_conf_set_ssl_cert_verify_cb(conf, verify_callback);
	rd_kafka_conf_set_error_cb(conf, error_callback);
	rd_kafka_conf_set_log_cb(conf, log_callback);
	return conf;
}

/* Threads inherit the mask of the thread that starts them: none shall take our signals. */
static void
block_signals(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, saved);
}

static void
restore_signals(const sigset_t *saved)
{
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* Let librdkafka write to wake_fd whenever there is something new to take. */
static void
enable_wakeup(SxHandle *handle)
{
	static const uint64 one = 1;

	handle->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (handle->wake_fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not create an event descriptor: %m")));
	rd_kafka_queue_io_event_enable(handle->queue, handle->wake_fd, &one, sizeof(one));
	rd_kafka_queue_io_event_enable(handle->main_queue, handle->wake_fd, &one, sizeof(one));
}

void
sx_handle_open(SxHandle *handle, const SxSourceOptions *options)
{
	char reason[SX_REASON_SIZE];
	sigset_t saved;
	rd_kafka_conf_t *conf;

	handle->wake_fd = -1;
	handle->witness = calloc(1, sizeof(SxWitness));
	if (handle->witness == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	handle->witness->handle = handle;
	conf = make_conf(handle, options);

	block_signals(&saved);
	handle->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof(reason));
	restore_signals(&saved);
	if (handle->kafka == NULL)
	{
		rd_kafka_conf_destroy(conf);
		ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
						errmsg("could not create a Kafka consumer: %s", reason)));
	}

	handle->topic = rd_kafka_topic_new(handle->kafka, options->topic, NULL);
	if (handle->topic == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
						errmsg("could not open Kafka topic \"%s\": %s", options->topic,
							   rd_kafka_err2str(rd_kafka_last_error()))));
	handle->queue = rd_kafka_queue_new(handle->kafka);
	handle->main_queue = rd_kafka_queue_get_main(handle->kafka);
	enable_wakeup(handle);
}

static void *
leave(void *kafka)
{
	SxWitness *witness = rd_kafka_opaque(kafka);

	rd_kafka_destroy_flags(kafka, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	free(witness);
	pthread_mutex_lock(&leaving_lock);
	leaving--;
	pthread_cond_signal(&leaving_changed);
	pthread_mutex_unlock(&leaving_lock);
	return NULL;
}

/* Wait for so long until at most so many clients are still leaving. */
static void
wait_for_leaving(int few, int timeout_ms)
{
	struct timespec until;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (timeout_ms % 1000) * 1000000L;
	until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;

	pthread_mutex_lock(&leaving_lock);
	while (leaving > few && rc == 0)
		rc = pthread_cond_timedwait(&leaving_changed, &leaving_lock, &until);
	pthread_mutex_unlock(&leaving_lock);
}

/*
 * Destroy a client in yet another thread, because rd_kafka_destroy joins all of
 * librdkafka's: one of them may hang in a name server, and in 2.8.0 one often
 * sleeps out its second.
 */
static void
destroy_client(rd_kafka_t *kafka)
{
	static bool is_ready = false;
	pthread_attr_t detached;
	pthread_t thread;
	sigset_t saved;
	int rc;

	if (!is_ready)
	{
		pthread_condattr_t clock;

		pthread_condattr_init(&clock);
		pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
		pthread_cond_init(&leaving_changed, &clock);
		pthread_condattr_destroy(&clock);
		is_ready = true;
	}
	pthread_mutex_lock(&leaving_lock);
	leaving++;
	pthread_mutex_unlock(&leaving_lock);

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	block_signals(&saved);
	rc = pthread_create(&thread, &detached, leave, kafka);
	restore_signals(&saved);
	pthread_attr_destroy(&detached);
	if (rc != 0)
		leave(kafka);
	wait_for_leaving(0, CLOSE_MS);
	wait_for_leaving(CROWD, CROWDED_MS);
}

void
sx_handle_wait_at_exit(void)
{
	wait_for_leaving(0, EXIT_MS);
}

void
sx_handle_close(SxHandle *handle)
{
	/* in this order: the client waits for whoever still refers to it */
	if (handle->main_queue != NULL)
	{
		rd_kafka_queue_io_event_enable(handle->main_queue, -1, NULL, 0);
		rd_kafka_queue_destroy(handle->main_queue);
	}
	if (handle->queue != NULL)
	{
		rd_kafka_queue_io_event_enable(handle->queue, -1, NULL, 0);
		rd_kafka_queue_destroy(handle->queue);
	}
	if (handle->topic != NULL)
		rd_kafka_topic_destroy(handle->topic);
	if (handle->kafka != NULL)
	{
		if (handle->wake_fd >= 0)
			close(handle->wake_fd);
		destroy_client(handle->kafka);
	}
	else
		free(handle->witness);
	handle->witness = NULL;
	handle->main_queue = handle->queue = NULL;
	handle->topic = NULL;
	handle->kafka = NULL;
	handle->wake_fd = -1;
	handle->is_connected = false;
}
