/*
 * order.cc
 *	  Decode an order as fast as we know how: simdjson's On-Demand interface,
 *	  fields in the order in which they come, amount and time straight from their
 *	  digits.  Nothing is checked that is not needed.
 */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cstring>
#include <string_view>

#include "order.h"

using namespace simdjson;

static ondemand::parser parser;
static char padded[4096 + SIMDJSON_PADDING];

/* A number with at most two decimals, in cents. */
static bool
read_cents(std::string_view digits, int64_t *cents)
{
	int decimals = -1;
	int64_t number = 0;

	for (char c : digits)
	{
		if (c >= '0' && c <= '9')
		{
			number = number * 10 + (c - '0');
			decimals += decimals >= 0;
		}
		else if (c == '.' && decimals < 0)
			decimals = 0;
		else if (c != ' ')
			return false;
	}
	for (decimals = decimals < 0 ? 0 : decimals; decimals < 2; decimals++)
		number *= 10;
	*cents = number;
	return decimals == 2;
}

static int
two_digits(const char *text)
{
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/* Days since 1970 of a Gregorian date (the year begins in March). */
static int64_t
days_of(int year, int month, int day)
{
	int y = month <= 2 ? year - 1 : year;
	int era = y / 400;
	int year_of_era = y - era * 400;
	int day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
		   719468;
}

/* YYYY-MM-DDTHH:MM:SS.mmmZ; the days of the last date are remembered. */
static bool
read_time(std::string_view text, int64_t *ms)
{
	static char date[10];
	static int64_t days;
	const char *at = text.data();

	if (text.size() != 24 || at[10] != 'T' || at[23] != 'Z')
		return false;
	if (memcmp(date, at, 10) != 0)
	{
		memcpy(date, at, 10);
		days = days_of(two_digits(at) * 100 + two_digits(at + 2), two_digits(at + 5),
					   two_digits(at + 8));
	}
	*ms = ((days * 24 + two_digits(at + 11)) * 60 + two_digits(at + 14)) * 60000 +
		  two_digits(at + 17) * 1000 + (at[20] - '0') * 100 + two_digits(at + 21);
	return true;
}

bool
order_decode(const char *message, size_t length, Order *order)
{
	ondemand::document document;
	ondemand::object object;
	ondemand::value id;
	std::string_view category, amount, event_time;

	if (length > 4096)
		return false;
	memcpy(padded, message, length);
	if (parser.iterate(padded, length, sizeof(padded)).get(document) != SUCCESS ||
		document.get_object().get(object) != SUCCESS ||
		object.find_field_unordered("order_id").get(id) != SUCCESS ||
		object.find_field_unordered("category").get_string().get(category) != SUCCESS)
		return false;
	ondemand::value value;
	if (object.find_field_unordered("amount").get(value) != SUCCESS)
		return false;
	amount = value.raw_json_token();
	if (object.find_field_unordered("event_time").get_string().get(event_time) != SUCCESS ||
		category.size() > MAX_CATEGORY)
		return false;
	memset(order->category, 0, MAX_CATEGORY);
	memcpy(order->category, category.data(), category.size());
	order->category_length = (uint32_t) category.size();
	order->has_id = true;
	return read_cents(amount, &order->cents) && read_time(event_time, &order->event_ms);
}
