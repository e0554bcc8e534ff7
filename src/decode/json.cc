/*
 * json.cc
 *	  Where the tokens of JSON messages begin: the project's one C++ file.
 *
 * simdjson's first stage validates UTF-8, finds the ends of strings and lists
 * the tokens; get_active_implementation picks it for the machine's CPU.  We
 * walk the list ourselves (json_walk.c): simdjson's On-Demand interface does
 * not check what it passes by, and its DOM builds what nobody asked for.
 *
 * No exceptions, no PostgreSQL, no memory but malloc's.
 */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "decode/json.h"

namespace
{

constexpr size_t SMALLEST_CAPACITY = 4096;
constexpr size_t TRIM_CAPACITY = 4 * 1024 * 1024;
constexpr size_t LARGEST_MESSAGE = 256 * 1024 * 1024; /* PostgreSQL's values have less than 1 GB */
constexpr size_t PADDING = 64;
static_assert(PADDING >= simdjson::SIMDJSON_PADDING, "messages need simdjson's padding");

} // namespace

struct SxJson
{
	std::unique_ptr<simdjson::internal::dom_parser_implementation> implementation;
	char *message;
	size_t capacity;
	char *scratch;
};

namespace
{

/* Make room for a message. */
bool
reserve(SxJson *json, size_t length)
{
	size_t capacity = SMALLEST_CAPACITY;
	char *message;
	char *scratch;

	if (length <= json->capacity && json->implementation != nullptr)
		return true;
	while (capacity < length)
		capacity *= 2;
	message = static_cast<char *>(realloc(json->message, capacity + PADDING));
	if (message == nullptr)
		return false;
	json->message = message;
	scratch = static_cast<char *>(realloc(json->scratch, capacity + PADDING));
	if (scratch == nullptr)
		return false;
	json->scratch = scratch;
	memset(scratch, 0, capacity + PADDING);
	json->implementation.reset();
	if (simdjson::get_active_implementation()->create_dom_parser_implementation(
			capacity, 1, json->implementation) != simdjson::SUCCESS)
		return false;
	json->capacity = capacity;
	return true;
}

bool
report(SxJsonProblem *problem, decltype(SxJsonProblem::kind) kind, const char *text,
	   uint32_t offset)
{
	problem->kind = kind;
	problem->text = text;
	problem->offset = offset;
	return false;
}

/* Say what the first stage found wrong. */
bool
report_stage1(SxJsonProblem *problem, simdjson::error_code error)
{
	switch (error)
	{
		case simdjson::UTF8_ERROR:
			return report(problem, SxJsonProblem::SX_JSON_BAD_ENCODING, "it is not valid UTF-8", 0);
		case simdjson::UNCLOSED_STRING:
			return report(problem, SxJsonProblem::SX_JSON_MALFORMED, "a string has no end", 0);
		case simdjson::UNESCAPED_CHARS:
			return report(problem, SxJsonProblem::SX_JSON_MALFORMED,
						  "a string contains a control character that is not escaped", 0);
		case simdjson::EMPTY:
			return report(problem, SxJsonProblem::SX_JSON_MALFORMED, "it is empty", 0);
		case simdjson::MEMALLOC:
			return report(problem, SxJsonProblem::SX_JSON_NO_MEMORY, "out of memory", 0);
		case simdjson::CAPACITY:
			return report(problem, SxJsonProblem::SX_JSON_TOO_LARGE, "it is too large", 0);
		default:
			return report(problem, SxJsonProblem::SX_JSON_MALFORMED, simdjson::error_message(error),
						  0);
	}
}

} // namespace

SxJson *
sx_json_create(void)
{
	SxJson *json = new (std::nothrow) SxJson();

	return json;
}

void
sx_json_free(SxJson *json)
{
	if (json == nullptr)
		return;
	free(json->message);
	free(json->scratch);
	delete json;
}

bool
sx_json_scan(SxJson *json, const char *data, size_t length, SxJsonScan *scan,
			 SxJsonProblem *problem)
{
	simdjson::error_code error;

	if (length > LARGEST_MESSAGE)
		return report(problem, SxJsonProblem::SX_JSON_TOO_LARGE, "it is too large", 0);
	if (!reserve(json, length))
		return report(problem, SxJsonProblem::SX_JSON_NO_MEMORY, "out of memory", 0);
	memcpy(json->message, data, length);
	memset(json->message + length, 0, PADDING);
	error = json->implementation->stage1(reinterpret_cast<const uint8_t *>(json->message), length,
										 simdjson::stage1_mode::regular);
	if (error != simdjson::SUCCESS)
		return report_stage1(problem, error);

	scan->message = json->message;
	scan->length = static_cast<uint32_t>(length);
	scan->has_escapes = memchr(json->message, '\\', length) != nullptr;
	scan->tokens = json->implementation->structural_indexes.get();
	scan->ntokens = json->implementation->n_structural_indexes;
	scan->scratch = json->scratch;
	/* the NUL at length is a token that nothing accepts */
	json->implementation->structural_indexes[scan->ntokens] = scan->length;
	return true;
}

void
sx_json_trim(SxJson *json)
{
	if (json->capacity <= TRIM_CAPACITY)
		return;
	json->implementation.reset();
	free(json->message);
	free(json->scratch);
	json->message = nullptr;
	json->scratch = nullptr;
	json->capacity = 0;
}
