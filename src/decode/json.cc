/*
 * json.cc
 *	  Find the wanted fields of JSON messages, and check all of each message.
 *
 * simdjson's first stage validates UTF-8 and strings and lists where every
 * token begins; get_active_implementation picks it for the machine's CPU.  Its
 * On-Demand interface does not check what it passes by, and a bad message must
 * be refused whatever columns are asked for, so we walk the list ourselves:
 *
 *      {"id":"x1", "amount":12.5}
 *      ^^   ^^   ^ ^       ^^   ^        tokens; each ends where the next begins,
 *                                        less white space
 *
 * Producers write the same names in the same order, so every name remembers
 * its follower: usually one comparison of the expected bytes finds a field, or
 * passes one by.
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
constexpr size_t PADDING = 64;
static_assert(PADDING >= simdjson::SIMDJSON_PADDING, "messages need simdjson's padding");

using Implementation = simdjson::internal::dom_parser_implementation;

} // namespace

struct SxJson
{
	std::unique_ptr<Implementation> implementation;
	char *message; /* a padded copy */
	size_t capacity;
	char *scratch; /* strings without their escapes; never more than the message */
	size_t scratch_used;
	size_t scratch_of_message; /* taken by sx_json_find; what follows is for elements */
	uint32_t length;
	bool has_escapes;
};

namespace
{

/* A walk over the tokens of a message. */
struct Walk
{
	SxJson *json;
	const char *message;
	const uint32_t *tokens; /* where they begin; one more at the message's end */
	const uint32_t *token;	/* the next one */
	SxField *fields;
	const char *problem;
	bool is_too_deep;

	char peek() const
	{
		return message[*token];
	}

	bool fail(const char *text)
	{
		if (problem == nullptr)
			problem = text;
		return false;
	}
};

inline uint64_t
load(const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof word);
	return word;
}

/* The first n (< 8) bytes of a word, as memory has them. */
inline uint64_t
head(uint64_t word, uint32_t n)
{
	static const uint64_t masks[8] = {0,		  0xff,			0xffff,			0xffffff,
									  0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff};

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	word = __builtin_bswap64(word);
#endif
	return word & masks[n];
}

/* Both may be read 8 bytes past length. */
inline bool
is_same(const char *a, const char *b, uint32_t length)
{
	for (; length >= 8; a += 8, b += 8, length -= 8)
		if (load(a) != load(b))
			return false;
	return head(load(a) ^ load(b), length) == 0;
}

inline bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where the scalar that begins at the next token ends. */
inline uint32_t
token_end(const Walk *walk)
{
	uint32_t end = walk->token[1];

	while (end > walk->token[0] + 1 && is_space(walk->message[end - 1]))
		end--;
	return end;
}

bool
is_hex(const char *data)
{
	for (int i = 0; i < 4; i++)
		if (!is_digit(data[i]) && !((data[i] | 0x20) >= 'a' && (data[i] | 0x20) <= 'f'))
			return false;
	return true;
}

uint32_t
from_hex(const char *data)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value * 16 + (is_digit(data[i]) ? data[i] - '0' : (data[i] | 0x20) - 'a' + 10);
	return value;
}

bool
has_good_escapes(const char *data, const char *end)
{
	while ((data = static_cast<const char *>(memchr(data, '\\', end - data))) != nullptr)
	{
		if (end - data < 2)
			return false;
		if (data[1] == 'u')
		{
			if (end - data < 6 || !is_hex(data + 2))
				return false;
			data += 6;
		}
		else if (data[1] != '\0' && strchr("\"\\/bfnrt", data[1]) != nullptr)
			data += 2;
		else
			return false;
	}
	return true;
}

char *
put_utf8(char *to, uint32_t c)
{
	if (c < 0x80)
		*to++ = static_cast<char>(c);
	else if (c < 0x800)
	{
		*to++ = static_cast<char>(0xc0 | (c >> 6));
		*to++ = static_cast<char>(0x80 | (c & 0x3f));
	}
	else if (c < 0x10000)
	{
		*to++ = static_cast<char>(0xe0 | (c >> 12));
		*to++ = static_cast<char>(0x80 | ((c >> 6) & 0x3f));
		*to++ = static_cast<char>(0x80 | (c & 0x3f));
	}
	else
	{
		*to++ = static_cast<char>(0xf0 | (c >> 18));
		*to++ = static_cast<char>(0x80 | ((c >> 12) & 0x3f));
		*to++ = static_cast<char>(0x80 | ((c >> 6) & 0x3f));
		*to++ = static_cast<char>(0x80 | (c & 0x3f));
	}
	return to;
}

/* One checked \uXXXX, or a pair of them.  Returns what follows; nullptr: not a character of a text. */
const char *
unescape_unicode(const char *data, const char *end, char **to, const char **problem)
{
	uint32_t c = from_hex(data + 2);

	data += 6;
	if (c == 0)
	{
		*problem = "\\u0000 cannot be converted to text";
		return nullptr;
	}
	if (c >= 0xd800 && c <= 0xdfff)
	{
		uint32_t low = c < 0xdc00 && end - data >= 6 && data[0] == '\\' && data[1] == 'u'
						   ? from_hex(data + 2)
						   : 0;

		if (low < 0xdc00 || low > 0xdfff)
		{
			*problem = "Unicode surrogate without its other half in a string";
			return nullptr;
		}
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		data += 6;
	}
	*to = put_utf8(*to, c);
	return data;
}

/*
 * Write a checked string without its escapes to the scratch memory.  nullptr: it
 * cannot be a text, *problem says why.
 */
const char *
unescape(SxJson *json, const char *data, const char *end, uint32_t *length, const char **problem)
{
	char *start = json->scratch + json->scratch_used;
	char *to = start;

	while (data < end)
	{
		const char *escape = static_cast<const char *>(memchr(data, '\\', end - data));
		size_t plain = (escape ? escape : end) - data;

		memcpy(to, data, plain);
		to += plain;
		data += plain;
		if (escape == nullptr)
			break;
		if (data[1] == 'u')
		{
			data = unescape_unicode(data, end, &to, problem);
			if (data == nullptr)
				return nullptr;
			continue;
		}
		switch (data[1])
		{
			case 'b':
				*to++ = '\b';
				break;
			case 'f':
				*to++ = '\f';
				break;
			case 'n':
				*to++ = '\n';
				break;
			case 'r':
				*to++ = '\r';
				break;
			case 't':
				*to++ = '\t';
				break;
			default:
				*to++ = data[1];
				break;
		}
		data += 2;
	}
	*length = static_cast<uint32_t>(to - start);
	json->scratch_used += *length;
	return start;
}

/* Check the string at the next token; *end is its closing quote. */
inline bool
check_string(Walk *walk, uint32_t *end)
{
	uint32_t start = *walk->token;
	uint32_t stop = token_end(walk) - 1;

	if (stop <= start || walk->message[stop] != '"')
		return walk->fail("a string has no end");
	if (walk->json->has_escapes &&
		!has_good_escapes(walk->message + start + 1, walk->message + stop))
		return walk->fail("a string has an invalid escape");
	*end = stop;
	return true;
}

bool
is_number(const char *data, const char *end)
{
	if (data < end && *data == '-')
		data++;
	if (data < end && *data == '0')
		data++;
	else if (data < end && is_digit(*data))
		while (data < end && is_digit(*data))
			data++;
	else
		return false;
	if (data < end && *data == '.')
	{
		if (++data == end || !is_digit(*data))
			return false;
		while (data < end && is_digit(*data))
			data++;
	}
	if (data < end && (*data | 0x20) == 'e')
	{
		data++;
		if (data < end && (*data == '+' || *data == '-'))
			data++;
		if (data == end || !is_digit(*data))
			return false;
		while (data < end && is_digit(*data))
			data++;
	}
	return data == end;
}

/* The kind of the scalar at the next token, or SX_FIELD_MISSING after a failure. */
inline SxFieldKind
check_scalar(Walk *walk, uint32_t *end)
{
	const char *data = walk->message + *walk->token;
	uint32_t length;

	if (*data == '"')
		return check_string(walk, end) ? (++*end, SX_FIELD_STRING) : SX_FIELD_MISSING;
	*end = token_end(walk);
	length = *end - *walk->token;
	if (is_digit(*data) || *data == '-')
	{
		if (is_number(data, data + length))
			return SX_FIELD_NUMBER;
		walk->fail("invalid number");
	}
	else if (length == 4 && memcmp(data, "true", 4) == 0)
		return SX_FIELD_TRUE;
	else if (length == 5 && memcmp(data, "false", 5) == 0)
		return SX_FIELD_FALSE;
	else if (length == 4 && memcmp(data, "null", 4) == 0)
		return SX_FIELD_NULL;
	else if (*walk->token >= walk->json->length)
		walk->fail("it ends too early");
	else
		walk->fail("a value is expected");
	return SX_FIELD_MISSING;
}

/* What is left open while passing by a value: one bit for each object or array. */
struct Open
{
	uint64_t is_object[SX_JSON_MAX_DEPTH / 64];
	uint32_t depth;

	bool push(bool object)
	{
		uint64_t bit = UINT64_C(1) << (depth % 64);

		if (depth >= SX_JSON_MAX_DEPTH)
			return false;
		if (object)
			is_object[depth / 64] |= bit;
		else
			is_object[depth / 64] &= ~bit;
		depth++;
		return true;
	}

	bool top() const
	{
		return is_object[(depth - 1) / 64] >> ((depth - 1) % 64) & 1;
	}
};

/* Name and colon of a member that nobody wants. */
bool
pass_name(Walk *walk)
{
	uint32_t end;

	if (walk->peek() != '"')
		return walk->fail("the name of a field is expected");
	if (!check_string(walk, &end))
		return false;
	walk->token++;
	if (walk->peek() != ':')
		return walk->fail("a colon is expected");
	walk->token++;
	return true;
}

/* Check and pass by an object or array; depth says how many are open around it. */
bool
pass_container(Walk *walk, uint32_t depth)
{
	Open open;
	uint32_t end;
	char c;

	open.depth = depth;
	for (;;)
	{
		/* a value is next */
		c = walk->peek();
		if (c == '{' || c == '[')
		{
			if (!open.push(c == '{'))
			{
				walk->is_too_deep = true;
				return walk->fail("it is nested too deeply");
			}
			walk->token++;
			if (walk->peek() != (c == '{' ? '}' : ']'))
			{
				if (c == '{' && !pass_name(walk))
					return false;
				continue;
			}
			open.depth--;
			walk->token++;
		}
		else if (check_scalar(walk, &end) == SX_FIELD_MISSING)
			return false;
		else
			walk->token++;

		/* a value has ended, and with it perhaps what it is in */
		for (; open.depth > depth; open.depth--, walk->token++)
		{
			bool is_object = open.top();

			c = walk->peek();
			if (c == ',')
			{
				walk->token++;
				if (is_object && !pass_name(walk))
					return false;
				break;
			}
			if (c != (is_object ? '}' : ']'))
				return walk->fail(is_object ? "a comma or a closing brace is expected"
											: "a comma or a closing bracket is expected");
		}
		if (open.depth == depth)
			return true;
	}
}

inline bool
pass_value(Walk *walk, uint32_t depth)
{
	char c = walk->peek();
	uint32_t end;

	if (c == '{' || c == '[')
		return pass_container(walk, depth);
	if (check_scalar(walk, &end) == SX_FIELD_MISSING)
		return false;
	walk->token++;
	return true;
}

bool take_object(Walk *walk, SxJsonNode *node, uint32_t depth);

void
take_string(Walk *walk, SxField *field)
{
	field->data = field->raw + 1;
	field->length = field->raw_length - 2;
	if (walk->json->has_escapes && memchr(field->data, '\\', field->length) != nullptr)
	{
		const char *problem;

		field->data = unescape(walk->json, field->data, field->data + field->length, &field->length,
							   &problem);
		if (field->data == nullptr)
		{
			field->kind = SX_FIELD_BAD_STRING;
			field->data = problem;
			field->length = static_cast<uint32_t>(strlen(problem));
		}
	}
}

/* Fill a field from the value that comes next; node (or nullptr) says what is wanted below it. */
inline bool
take_value(Walk *walk, SxField *field, SxJsonNode *node, uint32_t depth)
{
	uint32_t start = *walk->token;
	uint32_t end;
	char c = walk->message[start];

	field->position = static_cast<uint32_t>(walk->token - walk->tokens);
	field->raw = walk->message + start;
	if (c == '{' || c == '[')
	{
		field->kind = c == '{' ? SX_FIELD_OBJECT : SX_FIELD_ARRAY;
		if (c == '{' && node != nullptr && node->nchildren > 0)
		{
			if (!take_object(walk, node, depth))
				return false;
		}
		else if (!pass_container(walk, depth))
			return false;
		end = walk->token[-1] + 1;
	}
	else
	{
		field->kind = check_scalar(walk, &end);
		if (field->kind == SX_FIELD_MISSING)
			return false;
		walk->token++;
	}
	field->raw_length = end - start;
	field->data = field->raw;
	field->length = field->raw_length;
	if (field->kind == SX_FIELD_STRING)
		take_string(walk, field);
	return true;
}

SxJsonKey *
find_key(const SxJsonNode *node, const char *name, uint32_t length, uint32_t hash)
{
	uint32_t slot = hash & (node->nslots - 1);

	for (; node->slots[slot] != nullptr; slot = (slot + 1) & (node->nslots - 1))
	{
		SxJsonKey *key = node->slots[slot];

		if (key->hash == hash && key->length == length && is_same(key->name, name, length))
			return key;
	}
	return nullptr;
}

/* Remember a name that nobody wants, if there is room. */
SxJsonKey *
learn_key(SxJsonNode *node, const char *name, uint32_t length, uint32_t hash)
{
	uint32_t slot = hash & (node->nslots - 1);
	SxJsonKey *key;

	if (node->nkeys >= node->nchildren + SX_JSON_MAX_UNWANTED || length > SX_JSON_LEARN_LENGTH)
		return nullptr;
	key = &node->keys[node->nkeys++];
	memcpy(key->learned, name, length);
	key->name = key->learned;
	key->length = length;
	key->hash = hash;
	key->node = nullptr;
	key->next = nullptr;
	while (node->slots[slot] != nullptr)
		slot = (slot + 1) & (node->nslots - 1);
	node->slots[slot] = key;
	return key;
}

/* A name that is not the expected one. *is_plain: it has no escapes. */
bool
look_up_name(Walk *walk, SxJsonNode *node, SxJsonKey **key, bool *is_plain)
{
	const char *name = walk->message + *walk->token + 1;
	const char *problem;
	uint32_t end;
	uint32_t length;
	uint32_t hash;
	size_t scratch_used = walk->json->scratch_used;

	*key = nullptr;
	*is_plain = true;
	if (walk->peek() != '"')
		return walk->fail("the name of a field is expected");
	if (!check_string(walk, &end))
		return false;
	length = end - *walk->token - 1;
	if (walk->json->has_escapes && memchr(name, '\\', length) != nullptr)
	{
		*is_plain = false;
		name = unescape(walk->json, name, name + length, &length, &problem);
		walk->json->scratch_used = scratch_used;
		if (name == nullptr)
			return true; /* no column can have this name */
	}
	hash = sx_json_hash(name, length);
	*key = find_key(node, name, length, hash);
	if (*key == nullptr && *is_plain)
		*key = learn_key(node, name, length, hash);
	return true;
}

inline bool
is_expected(const Walk *walk, const SxJsonKey *key)
{
	uint32_t start = *walk->token;

	return key != nullptr && key->length < walk->json->length - start &&
		   is_same(walk->message + start + 1, key->name, key->length) &&
		   walk->message[start + 1 + key->length] == '"' && walk->message[start] == '"';
}

/* A member's value: of a wanted field the last one counts, with all below it. */
inline bool
take_member(Walk *walk, SxJsonNode *node, uint32_t depth)
{
	if (node == nullptr)
		return pass_value(walk, depth);
	for (uint32_t below = node->number + 1; below < node->last; below++)
		walk->fields[below].kind = SX_FIELD_MISSING;
	return take_value(walk, &walk->fields[node->number], node, depth);
}

/*
 * Check an object and fill the fields of node's children; depth says how many
 * objects are open around it.  Recursion is bounded by the depth of nodes.
 */
bool
take_object(Walk *walk, SxJsonNode *node, uint32_t depth)
{
	SxJsonKey *previous = &node->first;

	walk->token++;
	if (walk->peek() == '}')
	{
		walk->token++;
		return true;
	}
	for (;;)
	{
		SxJsonKey *key = previous->next;

		if (!is_expected(walk, key))
		{
			bool is_plain;

			if (!look_up_name(walk, node, &key, &is_plain))
				return false;
			/* what is expected is compared with escapes in place */
			if (key != nullptr && is_plain)
				previous->next = key;
		}
		if (key != nullptr)
			previous = key;
		walk->token++;
		if (walk->peek() != ':')
			return walk->fail("a colon is expected");
		walk->token++;
		if (!take_member(walk, key != nullptr ? key->node : nullptr, depth + 1))
			return false;
		if (walk->peek() == '}')
			break;
		if (walk->peek() != ',')
			return walk->fail("a comma or a closing brace is expected");
		walk->token++;
	}
	walk->token++;
	return true;
}

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

/* Copy the message and list its tokens. */
bool
scan(SxJson *json, const char *data, size_t length, SxJsonProblem *problem)
{
	simdjson::error_code error;

	if (length > UINT32_C(0x7fffffff))
		return report(problem, SxJsonProblem::SX_JSON_TOO_LARGE, "it is too large", 0);
	if (!reserve(json, length))
		return report(problem, SxJsonProblem::SX_JSON_NO_MEMORY, "out of memory", 0);
	memcpy(json->message, data, length);
	memset(json->message + length, 0, PADDING);
	json->length = static_cast<uint32_t>(length);
	json->scratch_used = 0;
	error = json->implementation->stage1(reinterpret_cast<const uint8_t *>(json->message), length,
										 simdjson::stage1_mode::regular);
	if (error != simdjson::SUCCESS)
		return report_stage1(problem, error);
	/* the NUL at length is a token that nothing accepts */
	json->implementation->structural_indexes[json->implementation->n_structural_indexes] =
		json->length;
	json->has_escapes = memchr(json->message, '\\', length) != nullptr;
	return true;
}

/* A walk over the elements of an array, that of sx_json_elements. */
struct Elements
{
	Walk walk;
	bool is_flat;
	int max_dimensions;
	int ndimensions; /* -1: not known yet */
	int *dimensions; /* -1 each: not known yet */
	int64_t count;
	SxField *fields;
};

enum
{
	NOT_RECTANGULAR = -1,
	TOO_MANY_DIMENSIONS = -2
};

/* Walk one (sub-)array; the message was checked before.  0, or what is wrong. */
int
take_elements(Elements *elements, int level)
{
	Walk *walk = &elements->walk;
	int length = 0;

	if (level >= elements->max_dimensions)
		return TOO_MANY_DIMENSIONS;
	for (walk->token++; walk->peek() != ']'; length++)
	{
		SxField field;

		if (walk->peek() == ',')
			walk->token++;
		if (walk->peek() == '[' && !elements->is_flat)
		{
			int result = take_elements(elements, level + 1);

			if (result != 0)
				return result;
			continue;
		}
		if (elements->ndimensions < 0)
			elements->ndimensions = level + 1;
		if (elements->ndimensions != level + 1)
			return NOT_RECTANGULAR;
		if (elements->fields == nullptr)
			pass_value(walk, 0);
		else if (take_value(walk, &field, nullptr, 0))
			elements->fields[elements->count] = field;
		elements->count++;
	}
	walk->token++;
	if (length == 0 && elements->ndimensions < 0)
		elements->ndimensions = level + 1;
	if (elements->dimensions[level] < 0)
		elements->dimensions[level] = length;
	if (elements->dimensions[level] != length || level >= elements->ndimensions)
		return NOT_RECTANGULAR;
	return 0;
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

uint32_t
sx_json_hash(const char *name, uint32_t length)
{
	uint64_t hash = length * UINT64_C(0x9e3779b97f4a7c15);

	for (; length >= 8; name += 8, length -= 8)
		hash = (hash ^ load(name)) * UINT64_C(0x9ddfea08eb382d69) ^ hash >> 29;
	hash = (hash ^ head(load(name), length)) * UINT64_C(0x9ddfea08eb382d69);
	return static_cast<uint32_t>(hash >> 32);
}

bool
sx_json_find(SxJson *json, const char *data, size_t length, SxJsonNode *root, SxField *fields,
			 SxJsonProblem *problem)
{
	Walk walk{};
	const uint32_t *end;

	if (!scan(json, data, length, problem))
		return false;
	for (uint32_t i = 0; i < root->last; i++)
		fields[i].kind = SX_FIELD_MISSING;
	walk.json = json;
	walk.message = json->message;
	walk.tokens = walk.token = json->implementation->structural_indexes.get();
	walk.fields = fields;
	end = walk.tokens + json->implementation->n_structural_indexes;
	if (take_value(&walk, &fields[root->number], root, 0) && walk.token != end)
		walk.fail("something follows its end");
	json->scratch_of_message = json->scratch_used;
	if (walk.problem != nullptr)
		return report(problem,
					  walk.is_too_deep ? SxJsonProblem::SX_JSON_TOO_LARGE
									   : SxJsonProblem::SX_JSON_MALFORMED,
					  walk.problem, *walk.token);
	return true;
}

int64_t
sx_json_elements(SxJson *json, uint32_t position, bool is_flat, int max_dimensions,
				 int *ndimensions, int *dimensions, SxField *fields)
{
	Elements elements{};
	int result;

	elements.walk.json = json;
	elements.walk.message = json->message;
	elements.walk.tokens = json->implementation->structural_indexes.get();
	elements.walk.token = elements.walk.tokens + position;
	elements.is_flat = is_flat;
	elements.max_dimensions = max_dimensions;
	elements.ndimensions = -1;
	elements.dimensions = dimensions;
	elements.fields = fields;
	for (int i = 0; i < max_dimensions; i++)
		dimensions[i] = -1;
	json->scratch_used = json->scratch_of_message;
	result = take_elements(&elements, 0);
	*ndimensions = elements.ndimensions;
	return result != 0 ? result : elements.count;
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
