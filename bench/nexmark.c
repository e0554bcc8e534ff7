/*
 * nexmark.c
 *	  Write Nexmark's events to a Kafka topic: always the same ones for the same
 *	  options.
 *
 *	nexmark ADDRESS|- TOPIC [--count N] [--partitions N] [--seed N] [--disorder]
 *
 * The model is that of nexmark-flink: of 50 events one is a new person, three are
 * auctions, 46 are bids; half of the bids go to a hot auction, three quarters of
 * bidders and sellers are hot.  Events are JSON, with a kind and one object of
 * three, and 100,000 of them fall into a second of event time, from noon.  A
 * message's timestamp is its place in that time.
 *
 * With --disorder, event times are shuffled within each thousand, one in 100 is 2 s
 * behind and one in 10,000 30 s.  ADDRESS "-" prints the events instead.
 */
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "producer.h"

#define BASE_TIME_MS INT64_C(1735732800000) /* 2025-01-01 12:00:00 UTC */
#define EVENTS_PER_MS 100
#define MESSAGE_SIZE 4096

/* The cycle of events */
#define PERSONS 1
#define AUCTIONS 3
#define CYCLE 50

#define FIRST_PERSON 1000
#define FIRST_AUCTION 1000
#define FIRST_CATEGORY 10
#define CATEGORIES 5
#define ACTIVE_PERSONS 1000
#define AUCTIONS_IN_FLIGHT 100
#define LEAD 10 /* ids that are not there yet */
#define HOT 100 /* the first of so many is hot */
#define CHANNELS 10000
#define GROUP 1000 /* of disorder */

typedef struct Settings
{
	const char *address;
	const char *topic;
	int64_t count;
	int64_t partitions;
	int64_t seed;
	bool is_disordered;
} Settings;

/* An event as it is made: its dice, and its text. */
typedef struct Event
{
	uint64_t seed;
	uint64_t dice; /* thrown so far */
	int64_t number;
	int64_t time_ms;
	char text[MESSAGE_SIZE];
	int length;
} Event;

enum
{
	PERSON,
	AUCTION,
	BID
};

/* ---- dice ---- */

static int64_t throw(Event * event, int64_t sides)
{
	uint64_t number = random_number(event->seed, event->dice++);

	return (int64_t) (number % (uint64_t) sides);
}

static const char *
pick(Event *event, const char *const *choices, int count)
{
	return choices[throw(event, count)];
}

#define PICK(event, choices) pick(event, choices, sizeof(choices) / sizeof(choices[0]))

/* From 100 to 100,000,000, the small ones as likely as the large ones. */
static int64_t
throw_price(Event *event)
{
	double u = (double) throw(event, INT64_C(1) << 53) / (double) (INT64_C(1) << 53);

	return (int64_t) llround(pow(10.0, u * 6.0) * 100.0);
}

/* ---- which ids there are ---- */

static int
kind_of(int64_t number)
{
	int64_t place = number % CYCLE;

	return place < PERSONS ? PERSON : place < PERSONS + AUCTIONS ? AUCTION : BID;
}

/* The newest person and auction, counted from 0. */
static int64_t
last_person(int64_t number)
{
	return number / CYCLE;
}

static int64_t
last_auction(int64_t number)
{
	int64_t place = number % CYCLE - PERSONS;

	if (place < 0)
		return number / CYCLE * AUCTIONS - 1;
	return number / CYCLE * AUCTIONS + (place < AUCTIONS ? place : AUCTIONS - 1);
}

/* One of the last persons, or one to come soon. */
static int64_t
throw_person(Event *event)
{
	int64_t persons = last_person(event->number) + 1;
	int64_t active = persons < ACTIVE_PERSONS ? persons : ACTIVE_PERSONS;

	return persons - active + throw(event, active + LEAD);
}

static int64_t
throw_auction(Event *event)
{
	int64_t last = last_auction(event->number);
	int64_t first = last > AUCTIONS_IN_FLIGHT ? last - AUCTIONS_IN_FLIGHT : 0;

	return first + throw(event, last - first + 1 + LEAD);
}

/* ---- texts ---- */

static void __attribute__((format(printf, 2, 3))) add(Event *event, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	event->length += vsnprintf(event->text + event->length, (size_t) (MESSAGE_SIZE - event->length),
							   format, arguments);
	va_end(arguments);
	if (event->length >= MESSAGE_SIZE)
		die("event is too long", event->text);
}

/* Letters, with a space of some kind now and then; 3 to max. */
static int
add_words(Event *event, int max, char space)
{
	int length = 3 + (int) throw(event, max - 3);

	for (int i = 0; i < length; i++)
		add(event, "%c", throw(event, 13) == 0 ? space : (char) ('a' + throw(event, 26)));
	return length;
}

/* Letters that fill an event of so many bytes up to about what it should have. */
static void
add_extra(Event *event, int size, int wanted)
{
	int left = wanted - size;
	int spread = (int) lround(left * 0.2);
	int length = left <= 0 ? 0 : left - spread + (spread > 0 ? (int) throw(event, 2 * spread) : 0);

	for (int i = 0; i < length; i += 10)
	{
		int64_t letters = throw(event, INT64_C(141167095653376)); /* 26^10 */

		for (int j = i; j < length && j < i + 10; j++, letters /= 26)
			add(event, "%c", (char) ('a' + letters % 26));
	}
}

static void
add_time(Event *event, const char *name, int64_t time_ms)
{
	time_t seconds = time_ms / 1000;
	struct tm tm;
	char text[32];

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	add(event, "\"%s\":\"%s.%03d\",", name, text, (int) (time_ms % 1000));
}

/* ---- events ---- */

static void
add_person(Event *event)
{
	static const char *const first_names[] = {"Peter", "Paul",	"Luke",	 "John",   "Saul",	"Vicky",
											  "Kate",  "Julie", "Sarah", "Deiter", "Walter"};
	static const char *const last_names[] = {"Shultz", "Abrams", "Spencer", "White", "Bartels",
											 "Walton", "Smith",	 "Jones",	"Noris"};
	static const char *const cities[] = {"Phoenix",	 "Los Angeles", "San Francisco", "Boise",
										 "Portland", "Bend",		"Redmond",		 "Seattle",
										 "Kent",	 "Cheyenne"};
	static const char *const states[] = {"AZ", "CA", "ID", "OR", "WA", "WY"};
	int begin = event->length;

	add(event, "{\"id\":%" PRId64 ",\"name\":\"%s ", last_person(event->number) + FIRST_PERSON,
		PICK(event, first_names));
	add(event, "%s\",\"emailAddress\":\"", PICK(event, last_names));
	add_words(event, 7, '_');
	add(event, "@");
	add_words(event, 5, '_');
	add(event, ".com\",\"creditCard\":\"");
	for (int i = 0; i < 4; i++)
		add(event, "%s%04d", i > 0 ? " " : "", (int) throw(event, 10000));
	add(event, "\",\"city\":\"%s\",", PICK(event, cities));
	add(event, "\"state\":\"%s\",", PICK(event, states));
	/* names and quotes take 75 bytes of what there is */
	begin = event->length - begin - 75;
	add_time(event, "dateTime", event->time_ms);
	add(event, "\"extra\":\"");
	add_extra(event, begin, 200);
	add(event, "\"}");
}

/* How long an auction is open: twice the time of so many others, on average once. */
static int64_t
throw_length_ms(Event *event)
{
	return 1 + throw(event, 2 * (AUCTIONS_IN_FLIGHT * CYCLE / AUCTIONS) / EVENTS_PER_MS);
}

static void
add_auction(Event *event)
{
	int64_t price = throw_price(event);
	int64_t seller =
		throw(event, 4) > 0 ? last_person(event->number) / HOT * HOT : throw_person(event);
	int size = 8 * 6;

	add(event, "{\"id\":%" PRId64 ",\"itemName\":\"", last_auction(event->number) + FIRST_AUCTION);
	size += add_words(event, 20, ' ');
	add(event, "\",\"description\":\"");
	size += add_words(event, 100, ' ');
	add(event, "\",\"initialBid\":%" PRId64 ",\"reserve\":%" PRId64 ",", price,
		price + throw_price(event));
	add_time(event, "dateTime", event->time_ms);
	add_time(event, "expires", event->time_ms + throw_length_ms(event));
	add(event, "\"seller\":%" PRId64 ",\"category\":%d,\"extra\":\"", seller + FIRST_PERSON,
		(int) (FIRST_CATEGORY + throw(event, CATEGORIES)));
	add_extra(event, size, 500);
	add(event, "\"}");
}

/* The URL of a channel: always the same one. */
static void
add_channel(Event *event)
{
	static const char *const hot[] = {"Google", "Facebook", "Baidu", "Apple"};
	bool is_hot = throw(event, 2) > 0;
	int64_t channel = is_hot ? throw(event, 4) : throw(event, CHANNELS);
	Event of_channel = {.seed = 0xc4a77e1 + (uint64_t) is_hot, .dice = (uint64_t) channel * 64};

	if (is_hot)
		add(event, "\"channel\":\"%s\",", hot[channel]);
	else
		add(event, "\"channel\":\"channel-%" PRId64 "\",", channel);
	add(&of_channel, "https://www.nexmark.com");
	for (int i = 0; i < 3; i++)
	{
		add(&of_channel, "/");
		add_words(&of_channel, 5, '_');
	}
	add(&of_channel, "/item.htm?query=1");
	if (!is_hot && throw(&of_channel, 10) > 0)
		add(&of_channel, "&channel_id=%" PRId64, throw(&of_channel, INT64_C(1) << 31));
	add(event, "\"url\":\"%s\",", of_channel.text);
}

/* nexmark-flink adds the first person's number to bidders twice, so they are other ids than persons'. */
static void
add_bid(Event *event)
{
	int64_t auction =
		throw(event, 2) > 0 ? last_auction(event->number) / HOT * HOT : throw_auction(event);
	int64_t bidder =
		throw(event, 4) > 0 ? last_person(event->number) / HOT * HOT + 1 : throw_person(event);

	add(event, "{\"auction\":%" PRId64 ",\"bidder\":%" PRId64 ",\"price\":%" PRId64 ",",
		auction + FIRST_AUCTION, bidder + 2 * FIRST_PERSON, throw_price(event));
	add_channel(event);
	add_time(event, "dateTime", event->time_ms);
	add(event, "\"extra\":\"");
	add_extra(event, 8 * 4, 100);
	add(event, "\"}");
}

/* ---- the topic ---- */

/* When an event happened, which may be long before it comes. */
static int64_t
event_time_ms(const Settings *settings, Event *event)
{
	int64_t place = event->number;
	int64_t dice = throw(event, 10000);

	if (!settings->is_disordered)
		return BASE_TIME_MS + place / EVENTS_PER_MS;
	place = place / GROUP * GROUP + place * 953 % GROUP;
	return BASE_TIME_MS + place / EVENTS_PER_MS - (dice == 0 ? 30000 : dice <= 100 ? 2000 : 0);
}

static void
make_event(const Settings *settings, int64_t n, Event *event)
{
	static const char *const names[] = {"person", "auction", "bid"};
	static void (*const makers[])(Event *) = {add_person, add_auction, add_bid};
	int kind = kind_of(n);

	*event = (Event){.seed = (uint64_t) settings->seed, .dice = (uint64_t) n << 12, .number = n};
	event->time_ms = event_time_ms(settings, event);
	add(event, "{\"event_type\":%d", kind);
	for (int i = 0; i < 3; i++)
	{
		add(event, ",\"%s\":", names[i]);
		if (i == kind)
			makers[i](event);
		else
			add(event, "null");
	}
	add(event, "}");
}

static void
send_events(const Settings *settings)
{
	bool is_printing = strcmp(settings->address, "-") == 0;
	Producer *producer = is_printing ? NULL : producer_open(settings->address, settings->topic, 50);
	Event event;

	for (int64_t n = 0; n < settings->count; n++)
	{
		make_event(settings, n, &event);
		if (is_printing)
			puts(event.text);
		else
			producer_send(producer, (int32_t) (n % settings->partitions),
						  BASE_TIME_MS + n / EVENTS_PER_MS, event.text, (size_t) event.length);
	}
	if (!is_printing)
		producer_close(producer);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = {
		{"count", required_argument, NULL, 'c'},
		{"partitions", required_argument, NULL, 'p'},
		{"seed", required_argument, NULL, 's'},
		{"disorder", no_argument, NULL, 'd'},
		{NULL, 0, NULL, 0},
	};
	Settings settings = {.count = 1, .partitions = 1, .seed = 1};
	bool is_wrong = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		int64_t number = optarg ? atoll(optarg) : 0;

		switch (option)
		{
			case 'c':
				settings.count = number;
				break;
			case 'p':
				settings.partitions = number;
				break;
			case 's':
				settings.seed = number;
				break;
			case 'd':
				settings.is_disordered = true;
				break;
			default:
				is_wrong = true;
		}
	}
	if (is_wrong || optind != argc - 2 || settings.partitions < 1)
	{
		fputs(
			"usage: nexmark ADDRESS|- TOPIC [--count N] [--partitions N] [--seed N] [--disorder]\n",
			stderr);
		return 2;
	}
	settings.address = argv[optind];
	settings.topic = argv[optind + 1];
	send_events(&settings);
	return 0;
}
