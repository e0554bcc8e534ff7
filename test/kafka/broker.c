/*
 * broker.c
 *	  A Kafka-protocol broker for tests and the demo: librdkafka's mock cluster
 *	  in a process of its own, with a way to make it misbehave.
 *
 * It keeps 5 MiB or 100,000 message sets a partition; older offsets vanish,
 * which is also how an offset out of range is made.  It knows no TLS, SASL,
 * aborted transactions or growing topics: those need a real Kafka.
 *
 *	  broker --brokers 2 --topic orders:3 --address-file a --control c &
 *	  broker --tell c down 1
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#define LINE_SIZE 4096
#define MAX_WORDS 8
#define MAX_TOPICS 64
#define MAX_ERRORS 10000

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

static const char usage[] =
	"usage: broker [option]...\n"
	"  --brokers N             number of brokers, 1 to N (1)\n"
	"  --topic NAME:PARTITIONS create a topic; may be repeated\n"
	"  --address-file FILE     write the bootstrap address there (standard output)\n"
	"  --control PATH          also take commands on a socket there\n"
	"  --stay                  outlive the parent and the end of standard input\n"
	"  --tell PATH COMMAND...  send a command to a running broker, print its answer\n"
	"  --library               print the version of librdkafka\n"
	"Commands, also by lines on standard input:\n"
	"  topic NAME PARTITIONS      create a topic\n"
	"  down N | up N              a broker refuses connections, or not (N or all)\n"
	"  rtt N MS                   a broker answers later\n"
	"  error API CODE [COUNT]     the next requests fail, e.g. error Fetch\n"
	"                             NOT_LEADER_FOR_PARTITION 3; _TRANSPORT disconnects\n"
	"  clear API                  forget such errors\n"
	"  topic-error NAME CODE      a topic's metadata is an error; NO_ERROR ends it\n"
	"  leader NAME PARTITION N    move a partition's leader; -1: none\n"
	"  quit\n";

typedef struct Api
{
	const char *name;
	int16_t key;
} Api;

static const Api apis[] = {
	{"Produce", 0},
	{"Fetch", 1},
	{"ListOffsets", 2},
	{"Metadata", 3},
	{"OffsetCommit", 8},
	{"OffsetFetch", 9},
	{"FindCoordinator", 10},
	{"JoinGroup", 11},
	{"ApiVersion", 18},
	{"InitProducerId", 22},
	{"AddPartitionsToTxn", 24},
	{"AddOffsetsToTxn", 25},
	{"EndTxn", 26},
	{"TxnOffsetCommit", 28},
};

static volatile sig_atomic_t is_told_to_stop = 0;
static bool must_quit = false;
static rd_kafka_mock_cluster_t *cluster;

static void
stop(int signal_number)
{
	(void) signal_number;
	is_told_to_stop = 1;
}

static void
die(const char *what, const char *detail)
{
	fprintf(stderr, "broker: %s: %s\n", what, detail);
	exit(1);
}

static bool
to_number(const char *text, long low, long high, long *number)
{
	char *end;

	errno = 0;
	*number = strtol(text, &end, 10);
	return errno == 0 && end != text && *end == '\0' && *number >= low && *number <= high;
}

static bool
to_broker(const char *text, long *number)
{
	if (strcmp(text, "all") == 0)
	{
		*number = -1;
		return true;
	}
	return to_number(text, -1, 1000, number);
}

static bool
to_error(const char *text, rd_kafka_resp_err_t *err)
{
	const struct rd_kafka_err_desc *descs;
	size_t count;

	rd_kafka_get_err_descs(&descs, &count);
	for (size_t i = 0; i < count; i++)
	{
		if (descs[i].name != NULL && strcmp(descs[i].name, text) == 0)
		{
			*err = descs[i].code;
			return true;
		}
	}
	return false;
}

static bool
to_api(const char *text, int16_t *key)
{
	for (int i = 0; i < LENGTH(apis); i++)
	{
		if (strcasecmp(apis[i].name, text) == 0)
		{
			*key = apis[i].key;
			return true;
		}
	}
	return false;
}

/* ---- commands: each returns NULL, or what is wrong ---- */

static const char *
said(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(err);
}

static const char *
do_topic(char **words, int count)
{
	long partitions;

	(void) count;
	if (!to_number(words[2], 1, 10000, &partitions))
		return "bad number of partitions";
	return said(rd_kafka_mock_topic_create(cluster, words[1], (int) partitions, 1));
}

static const char *
do_down(char **words, int count)
{
	long broker;

	(void) count;
	if (!to_broker(words[1], &broker))
		return "bad broker";
	return said(rd_kafka_mock_broker_set_down(cluster, (int32_t) broker));
}

static const char *
do_up(char **words, int count)
{
	long broker;

	(void) count;
	if (!to_broker(words[1], &broker))
		return "bad broker";
	return said(rd_kafka_mock_broker_set_up(cluster, (int32_t) broker));
}

static const char *
do_rtt(char **words, int count)
{
	long broker;
	long delay_ms;

	(void) count;
	if (!to_broker(words[1], &broker))
		return "bad broker";
	if (!to_number(words[2], 0, 600000, &delay_ms))
		return "bad delay";
	return said(rd_kafka_mock_broker_set_rtt(cluster, (int32_t) broker, (int) delay_ms));
}

static const char *
do_error(char **words, int count)
{
	static rd_kafka_resp_err_t errors[MAX_ERRORS];
	rd_kafka_resp_err_t err;
	int16_t key;
	long repeat = 1;

	if (!to_api(words[1], &key))
		return "unknown API";
	if (!to_error(words[2], &err))
		return "unknown error code";
	if (count > 3 && !to_number(words[3], 1, MAX_ERRORS, &repeat))
		return "bad count";
	for (long i = 0; i < repeat; i++)
		errors[i] = err;
	rd_kafka_mock_push_request_errors_array(cluster, key, (size_t) repeat, errors);
	return NULL;
}

static const char *
do_clear(char **words, int count)
{
	int16_t key;

	(void) count;
	if (!to_api(words[1], &key))
		return "unknown API";
	rd_kafka_mock_clear_request_errors(cluster, key);
	return NULL;
}

static const char *
do_topic_error(char **words, int count)
{
	rd_kafka_resp_err_t err;

	(void) count;
	if (!to_error(words[2], &err))
		return "unknown error code";
	rd_kafka_mock_topic_set_error(cluster, words[1], err);
	return NULL;
}

static const char *
do_leader(char **words, int count)
{
	long partition;
	long broker;

	(void) count;
	if (!to_number(words[2], 0, 10000, &partition))
		return "bad partition";
	if (!to_number(words[3], -1, 1000, &broker))
		return "bad broker";
	return said(rd_kafka_mock_partition_set_leader(cluster, words[1], (int32_t) partition,
												   (int32_t) broker));
}

static const char *
do_quit(char **words, int count)
{
	(void) words;
	(void) count;
	must_quit = true;
	return NULL;
}

typedef struct Command
{
	const char *name;
	int least; /* words, its own included */
	int most;
	const char *(*run)(char **words, int count);
} Command;

static const Command commands[] = {
	{"topic", 3, 3, do_topic},	 {"down", 2, 2, do_down},
	{"up", 2, 2, do_up},		 {"rtt", 3, 3, do_rtt},
	{"error", 3, 4, do_error},	 {"clear", 2, 2, do_clear},
	{"leader", 4, 4, do_leader}, {"topic-error", 3, 3, do_topic_error},
	{"quit", 1, 1, do_quit},
};

static const char *
run_line(char *line)
{
	char *words[MAX_WORDS];
	int count = 0;
	char *rest = NULL;

	for (char *word = strtok_r(line, " \t\r\n", &rest); word != NULL && count < MAX_WORDS;
		 word = strtok_r(NULL, " \t\r\n", &rest))
		words[count++] = word;
	if (count == 0)
		return NULL;
	for (int i = 0; i < LENGTH(commands); i++)
	{
		if (strcmp(commands[i].name, words[0]) != 0)
			continue;
		if (count < commands[i].least || count > commands[i].most)
			return "wrong number of arguments";
		return commands[i].run(words, count);
	}
	return "unknown command";
}

/* ---- where commands come from ---- */

typedef struct Reader
{
	int fd;
	size_t length;
	char line[LINE_SIZE];
} Reader;

/* Run the lines that have arrived, answering each; false at the end of input. */
static bool
serve(Reader *reader, int answer_fd)
{
	ssize_t got =
		read(reader->fd, reader->line + reader->length, sizeof(reader->line) - 1 - reader->length);
	char *end;

	if (got <= 0)
		return got < 0 && (errno == EINTR || errno == EAGAIN);
	reader->length += (size_t) got;
	reader->line[reader->length] = '\0';
	while ((end = strchr(reader->line, '\n')) != NULL)
	{
		const char *wrong;

		*end = '\0';
		wrong = run_line(reader->line);
		if (wrong == NULL)
			dprintf(answer_fd, "ok\n");
		else
			dprintf(answer_fd, "error: %s\n", wrong);
		reader->length -= (size_t) (end + 1 - reader->line);
		memmove(reader->line, end + 1, reader->length + 1);
	}
	return reader->length < sizeof(reader->line) - 1;
}

static void
set_address(struct sockaddr_un *address, const char *path)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(address->sun_path))
		die(path, "path is too long");
	strcpy(address->sun_path, path);
}

static int
listen_at(const char *path)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	set_address(&address, path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
		listen(fd, 8) != 0)
		die(path, strerror(errno));
	return fd;
}

static void
serve_visitor(int listening)
{
	Reader reader = {.fd = accept(listening, NULL, NULL)};

	if (reader.fd < 0)
		return;
	while (!must_quit && serve(&reader, reader.fd))
		;
	close(reader.fd);
}

/* Standard input ends the broker when it is something that another process holds open. */
static bool
follows_input(void)
{
	struct stat info;

	return fstat(0, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode) || isatty(0));
}

static void
serve_all(int listening, bool follows)
{
	Reader input = {.fd = 0};
	struct pollfd fds[2] = {{.fd = follows ? 0 : -1, .events = POLLIN},
							{.fd = listening, .events = POLLIN}};

	while (!is_told_to_stop && !must_quit)
	{
		if (poll(fds, 2, 1000) <= 0)
			continue;
		if (fds[1].revents != 0)
			serve_visitor(listening);
		if (fds[0].revents != 0 && !serve(&input, 1))
			break;
	}
}

/* Send one command and print the answer. */
static int
tell(const char *path, char **words, int count)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char answer[LINE_SIZE];
	size_t length = 0;
	ssize_t got;

	set_address(&address, path);
	if (fd < 0 || connect(fd, (struct sockaddr *) &address, sizeof(address)) != 0)
		die(path, strerror(errno));
	for (int i = 0; i < count; i++)
		dprintf(fd, "%s%s", words[i], i + 1 < count ? " " : "\n");
	shutdown(fd, SHUT_WR);
	while (length < sizeof(answer) - 1 &&
		   (got = read(fd, answer + length, sizeof(answer) - 1 - length)) > 0)
		length += (size_t) got;
	answer[length] = '\0';
	fputs(answer, stdout);
	return strncmp(answer, "ok\n", 3) == 0 ? 0 : 1;
}

/* ---- the broker itself ---- */

static void
create_topic(char *text)
{
	char *colon = strrchr(text, ':');
	char *words[3] = {"topic", text, "1"};
	const char *wrong;

	if (colon != NULL)
	{
		*colon = '\0';
		words[2] = colon + 1;
	}
	if ((wrong = do_topic(words, 3)) != NULL)
		die(text, wrong);
}

/* Whole or not at all: readers wait for the file to be there. */
static void
write_address(const char *path)
{
	char other[LINE_SIZE];
	FILE *file;

	if (path == NULL)
	{
		printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
		fflush(stdout);
		return;
	}
	snprintf(other, sizeof(other), "%s.new", path);
	if ((file = fopen(other, "w")) == NULL)
		die(other, strerror(errno));
	fprintf(file, "%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
	if (fclose(file) != 0 || rename(other, path) != 0)
		die(path, strerror(errno));
}

static rd_kafka_t *
start_cluster(int brokers)
{
	char reason[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));

	if (kafka == NULL)
		die("could not create a client", reason);
	cluster = rd_kafka_mock_cluster_new(kafka, brokers);
	if (cluster == NULL)
		die("could not create a mock cluster", "no free port?");
	return kafka;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"brokers", required_argument, NULL, 'b'},
		{"topic", required_argument, NULL, 't'},
		{"address-file", required_argument, NULL, 'a'},
		{"control", required_argument, NULL, 'c'},
		{"stay", no_argument, NULL, 's'},
		{NULL, 0, NULL, 0},
	};
	char *topics[MAX_TOPICS];
	int ntopics = 0;
	const char *address_file = NULL;
	const char *control = NULL;
	bool stays = false;
	long brokers = 1;
	int listening = -1;
	int option;
	rd_kafka_t *kafka;

	if (argc >= 4 && strcmp(argv[1], "--tell") == 0)
		return tell(argv[2], argv + 3, argc - 3);
	if (argc == 2 && strcmp(argv[1], "--library") == 0)
		return puts(rd_kafka_version_str()) < 0;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		if (option == 'b' && to_number(optarg, 1, 100, &brokers))
			continue;
		else if (option == 't' && ntopics < MAX_TOPICS)
			topics[ntopics++] = optarg;
		else if (option == 'a')
			address_file = optarg;
		else if (option == 'c')
			control = optarg;
		else if (option == 's')
			stays = true;
		else
		{
			fputs(usage, stderr);
			return 2;
		}
	}

	if (!stays)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGTERM, stop);
	signal(SIGINT, stop);
	signal(SIGPIPE, SIG_IGN);
	if (stays)
		signal(SIGHUP, SIG_IGN);

	kafka = start_cluster((int) brokers);
	for (int i = 0; i < ntopics; i++)
		create_topic(topics[i]);
	if (control != NULL)
		listening = listen_at(control);
	write_address(address_file);
	serve_all(listening, !stays && follows_input());

	if (control != NULL)
		unlink(control);
	if (address_file != NULL)
		unlink(address_file);
	rd_kafka_mock_cluster_destroy(cluster);
	rd_kafka_destroy(kafka);
	return 0;
}
