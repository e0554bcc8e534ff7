/*
 * json_walk.c
 *	  Find the wanted fields of a JSON message on the way over its tokens, and
 *	  check all of it.
 *
 * A bad message must be refused whatever columns are asked for, so nothing is
 * passed by unseen, unless a gate says that it is no row at all:
 *
 *      {"id":"x1", "amount":12.5}
 *      ^^   ^^   ^ ^       ^^   ^        tokens
 *
 * Producers write the same names in the same order, so every name remembers
 * its follower: usually one comparison of the expected bytes finds a field, or
 * passes one by.
 */
#include "compat.h"

#include "decode/json_escape.h"
#include "decode/json_walk.h"

/* A walk over the tokens of a message. */
typedef struct Walk
{
	const char *message;
	uint32_t length;
	bool has_escapes;
	const uint32_t *tokens; /* where they begin; one more at the message's end */
	const uint32_t *token;	/* the next one */
	char *scratch;
	size_t scratch_used;
	SxField *fields;
	const SxJsonGate *gate;
	bool is_asked;
	bool is_open;
	bool has_skipped;
	const char *problem;
	bool is_too_deep;
} Walk;

static Walk start_walk(const SxJsonMessage *message, uint32 position);

static inline char
peek(const Walk *walk)
{
	return walk->message[*walk->token];
}

static bool
fail(Walk *walk, const char *text)
{
	if (walk->problem == NULL)
		walk->problem = text;
	return false;
}

static inline uint64_t
load(const char *data)
{
	uint64_t word;

	memcpy(&word, data, sizeof word);
	return word;
}

/* The first n (< 8) bytes of a word, as memory has them. */
static inline uint64_t
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
static pg_attribute_always_inline bool
is_same(const char *a, const char *b, uint32_t length)
{
	for (; length >= 8; a += 8, b += 8, length -= 8)
		if (load(a) != load(b))
			return false;
	return head(load(a) ^ load(b), length) == 0;
}

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where the scalar that begins at the next token ends. */
static pg_attribute_always_inline uint32_t
token_end(const Walk *walk)
{
	uint32_t end = walk->token[1];

	while (end > walk->token[0] + 1 && is_space(walk->message[end - 1]))
		end--;
	return end;
}

/* Check the string at the next token; *end is its closing quote. */
static pg_attribute_always_inline bool
check_string(Walk *walk, uint32_t *end)
{
	uint32_t start = *walk->token;
	uint32_t stop = token_end(walk) - 1;

	if (stop <= start || walk->message[stop] != '"')
		return fail(walk, "a string has no end");
	if (walk->has_escapes &&
		!sx_json_has_good_escapes(walk->message + start + 1, walk->message + stop))
		return fail(walk, "a string has an invalid escape");
	*end = stop;
	return true;
}

static bool
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
static pg_attribute_always_inline SxFieldKind
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
		fail(walk, "invalid number");
	}
	else if (length == 4 && memcmp(data, "true", 4) == 0)
		return SX_FIELD_TRUE;
	else if (length == 5 && memcmp(data, "false", 5) == 0)
		return SX_FIELD_FALSE;
	else if (length == 4 && memcmp(data, "null", 4) == 0)
		return SX_FIELD_NULL;
	else if (*walk->token >= walk->length)
		fail(walk, "it ends too early");
	else
		fail(walk, "a value is expected");
	return SX_FIELD_MISSING;
}

/* What is left open while passing by a value: one bit for each object or array. */
typedef struct Open
{
	uint64 is_object[SX_JSON_MAX_DEPTH / 64];
	uint32 depth;
} Open;

static inline bool
open_push(Open *open, bool is_object)
{
	uint64 bit = UINT64CONST(1) << (open->depth % 64);

	if (open->depth >= SX_JSON_MAX_DEPTH)
		return false;
	if (is_object)
		open->is_object[open->depth / 64] |= bit;
	else
		open->is_object[open->depth / 64] &= ~bit;
	open->depth++;
	return true;
}

static inline bool
open_top(const Open *open)
{
	return open->is_object[(open->depth - 1) / 64] >> ((open->depth - 1) % 64) & 1;
}

static bool
pass_colon(Walk *walk)
{
	if (peek(walk) != ':')
		return fail(walk, "a colon is expected");
	walk->token++;
	return true;
}

/* Name and colon of a member that nobody wants. */
static bool
pass_name(Walk *walk)
{
	uint32_t end;

	if (peek(walk) != '"')
		return fail(walk, "the name of a field is expected");
	if (!check_string(walk, &end))
		return false;
	walk->token++;
	return pass_colon(walk);
}

/* Check and pass by an object or array; depth says how many are open around it. */
static bool
pass_container(Walk *walk, uint32_t depth)
{
	Open open;
	uint32_t end;
	char c;

	open.depth = depth;
	for (;;)
	{
		/* a value is next */
		c = peek(walk);
		if (c == '{' || c == '[')
		{
			if (!open_push(&open, c == '{'))
			{
				walk->is_too_deep = true;
				return fail(walk, "it is nested too deeply");
			}
			walk->token++;
			if (peek(walk) != (c == '{' ? '}' : ']'))
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
			bool is_object = open_top(&open);

			c = peek(walk);
			if (c == ',')
			{
				walk->token++;
				if (is_object && !pass_name(walk))
					return false;
				break;
			}
			if (c != (is_object ? '}' : ']'))
				return fail(walk, is_object ? "a comma or a closing brace is expected"
											: "a comma or a closing bracket is expected");
		}
		if (open.depth == depth)
			return true;
	}
}

static pg_attribute_always_inline bool
pass_value(Walk *walk, uint32_t depth)
{
	char c = peek(walk);
	uint32_t end;

	if (c == '{' || c == '[')
		return pass_container(walk, depth);
	if (check_scalar(walk, &end) == SX_FIELD_MISSING)
		return false;
	walk->token++;
	return true;
}

static bool take_object(Walk *walk, SxJsonNode *node, uint32_t depth);
static bool take_gated(Walk *walk, SxJsonNode *node);

static pg_attribute_always_inline void
take_string(Walk *walk, SxField *field)
{
	char *to = walk->scratch + walk->scratch_used;
	const char *problem;

	field->data = field->raw + 1;
	field->length = field->raw_length - 2;
	if (!walk->has_escapes || memchr(field->data, '\\', field->length) == NULL)
		return;
	problem = sx_json_unescape(field->data, field->data + field->length, to, &field->length);
	field->data = to;
	if (problem != NULL)
	{
		field->kind = SX_FIELD_BAD_STRING;
		field->data = problem;
		field->length = strlen(problem);
		return;
	}
	walk->scratch_used += field->length;
}

/* Fill a field from the value that comes next; node (or NULL) says what is wanted below it. */
static pg_attribute_always_inline bool
take_value(Walk *walk, SxField *field, SxJsonNode *node, uint32_t depth, bool is_gated)
{
	uint32_t start = *walk->token;
	uint32_t end;
	char c = walk->message[start];

	field->position = (uint32_t) (walk->token - walk->tokens);
	field->raw = walk->message + start;
	if (c == '{' || c == '[')
	{
		field->kind = c == '{' ? SX_FIELD_OBJECT : SX_FIELD_ARRAY;
		if (c == '{' && node != NULL && node->nchildren > 0)
		{
			if (!(is_gated ? take_gated(walk, node) : take_object(walk, node, depth)))
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

static SxJsonKey *
find_key(const SxJsonNode *node, const char *name, uint32_t length, uint32_t hash)
{
	uint32_t slot = hash & (node->nslots - 1);

	for (; node->slots[slot] != NULL; slot = (slot + 1) & (node->nslots - 1))
	{
		SxJsonKey *key = node->slots[slot];

		if (key->hash == hash && key->length == length && is_same(key->name, name, length))
			return key;
	}
	return NULL;
}

/* Remember a name that nobody wants, if there is room. */
static SxJsonKey *
learn_key(SxJsonNode *node, const char *name, uint32_t length, uint32_t hash)
{
	uint32_t slot = hash & (node->nslots - 1);
	SxJsonKey *key;

	if (node->nkeys >= node->nchildren + SX_JSON_MAX_UNWANTED || length > SX_JSON_LEARN_LENGTH)
		return NULL;
	key = &node->keys[node->nkeys++];
	memcpy(key->learned, name, length);
	key->name = key->learned;
	key->length = length;
	key->hash = hash;
	key->node = NULL;
	key->next = NULL;
	while (node->slots[slot] != NULL)
		slot = (slot + 1) & (node->nslots - 1);
	node->slots[slot] = key;
	return key;
}

/* A name that is not the expected one. *is_plain: it has no escapes. */
static bool
look_up_name(Walk *walk, SxJsonNode *node, SxJsonKey **key, bool *is_plain)
{
	const char *name = walk->message + *walk->token + 1;
	uint32_t end;
	uint32_t length;
	uint32_t hash;

	*key = NULL;
	*is_plain = true;
	if (peek(walk) != '"')
		return fail(walk, "the name of a field is expected");
	if (!check_string(walk, &end))
		return false;
	length = end - *walk->token - 1;
	if (walk->has_escapes && memchr(name, '\\', length) != NULL)
	{
		char *to = walk->scratch + walk->scratch_used;

		*is_plain = false;
		if (sx_json_unescape(name, name + length, to, &length) != NULL)
			return true; /* no column can have this name */
		name = to;
	}
	hash = sx_json_hash(name, length);
	*key = find_key(node, name, length, hash);
	if (*key == NULL && *is_plain)
		*key = learn_key(node, name, length, hash);
	return true;
}

static pg_attribute_always_inline bool
is_expected(const Walk *walk, const SxJsonKey *key)
{
	uint32_t start = *walk->token;

	return key != NULL && key->length < walk->length - start &&
		   is_same(walk->message + start + 1, key->name, key->length) &&
		   walk->message[start + 1 + key->length] == '"' && walk->message[start] == '"';
}

/* Pass by an object or array, looking for nothing but its end. */
static bool
skip_container(Walk *walk)
{
	uint32_t depth = 0;

	do
	{
		char c = peek(walk);

		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		else if (*walk->token >= walk->length)
			return fail(walk, "it ends too early");
		walk->token++;
	} while (depth > 0);
	return true;
}

/* A member's value: of a wanted field the last one counts, with all below it. */
static pg_attribute_always_inline bool
take_member(Walk *walk, SxJsonNode *node, uint32_t depth)
{
	if (node == NULL)
		return pass_value(walk, depth);
	for (uint32_t below = node->number + 1; below < node->last; below++)
		walk->fields[below].kind = SX_FIELD_MISSING;
	return take_value(walk, &walk->fields[node->number], node, depth, false);
}

/* Take the next name of an object, and its colon; *previous is the key before it. */
static pg_attribute_always_inline bool
take_name(Walk *walk, SxJsonNode *node, SxJsonKey **previous, SxJsonKey **key)
{
	*key = (*previous)->next;
	if (!is_expected(walk, *key))
	{
		bool is_plain;

		if (!look_up_name(walk, node, key, &is_plain))
			return false;
		/* what is expected is compared with escapes in place */
		if (*key != NULL && is_plain)
			(*previous)->next = *key;
	}
	if (*key != NULL)
		*previous = *key;
	walk->token++;
	return pass_colon(walk);
}

/* A watched field was found: once all of them are, the gate is asked. */
static bool
is_closed(Walk *walk)
{
	const SxJsonGate *gate = walk->gate;

	for (int i = 0; i < gate->nwatched; i++)
		if (walk->fields[gate->watched[i]].kind == SX_FIELD_MISSING)
			return false;
	walk->is_asked = true;
	walk->is_open = gate->is_open(gate->state, walk->fields);
	return !walk->is_open;
}

/* The gate is closed: only watched fields are taken from the rest of the message's object. */
static bool
skip_rest(Walk *walk, SxJsonNode *node, SxJsonKey *previous)
{
	walk->has_skipped = true;
	while (peek(walk) == ',')
	{
		SxJsonKey *key;

		walk->token++;
		if (!take_name(walk, node, &previous, &key))
			return false;
		if (key != NULL && key->node != NULL && key->node->is_watched)
		{
			if (!take_member(walk, key->node, 1))
				return false;
			(void) is_closed(walk);
		}
		else if (peek(walk) == '{' || peek(walk) == '[' ? !skip_container(walk)
														: !pass_value(walk, 1))
			return false;
	}
	if (peek(walk) != '}')
		return fail(walk, "a comma or a closing brace is expected");
	walk->token++;
	return true;
}

/*
 * Check an object and fill the fields of node's children; depth says how many
 * objects are open around it.  Recursion is bounded by the depth of nodes.
 */
static pg_attribute_always_inline bool
take_members(Walk *walk, SxJsonNode *node, uint32_t depth, bool is_gated)
{
	SxJsonKey *previous = &node->first;

	walk->token++;
	if (peek(walk) == '}')
	{
		walk->token++;
		return true;
	}
	for (;;)
	{
		SxJsonKey *key;

		if (!take_name(walk, node, &previous, &key) ||
			!take_member(walk, key != NULL ? key->node : NULL, depth + 1))
			return false;
		if (is_gated && key != NULL && key->node != NULL && key->node->is_watched &&
			is_closed(walk))
			return skip_rest(walk, node, previous);
		if (peek(walk) == '}')
			break;
		if (peek(walk) != ',')
			return fail(walk, "a comma or a closing brace is expected");
		walk->token++;
	}
	walk->token++;
	return true;
}

static bool
take_object(Walk *walk, SxJsonNode *node, uint32_t depth)
{
	return take_members(walk, node, depth, false);
}

/* The message itself. */
static bool
take_gated(Walk *walk, SxJsonNode *node)
{
	return take_members(walk, node, 0, true);
}

/* A walk over the elements of an array, that of sx_json_elements. */
typedef struct Elements
{
	Walk walk;
	bool is_flat;
	int max_dimensions;
	int ndimensions; /* -1: not known yet */
	int *dimensions; /* -1 each: not known yet */
	int64_t count;
	SxField *fields;
} Elements;

enum
{
	NOT_RECTANGULAR = -1,
	TOO_MANY_DIMENSIONS = -2
};

/* Walk one (sub-)array; the message was checked before.  0, or what is wrong. */
static int
take_elements(Elements *elements, int level)
{
	Walk *walk = &elements->walk;
	int length = 0;

	if (level >= elements->max_dimensions)
		return TOO_MANY_DIMENSIONS;
	for (walk->token++; peek(walk) != ']'; length++)
	{
		SxField field;

		if (peek(walk) == ',')
			walk->token++;
		if (peek(walk) == '[' && !elements->is_flat)
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
		if (elements->fields == NULL)
			pass_value(walk, 0);
		else if (take_value(walk, &field, NULL, 0, false))
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

uint32_t
sx_json_hash(const char *name, uint32_t length)
{
	uint64_t hash = length * UINT64CONST(0x9e3779b97f4a7c15);

	for (; length >= 8; name += 8, length -= 8)
		hash = (hash ^ load(name)) * UINT64CONST(0x9ddfea08eb382d69) ^ hash >> 29;
	hash = (hash ^ head(load(name), length)) * UINT64CONST(0x9ddfea08eb382d69);
	return (uint32_t) (hash >> 32);
}

bool
sx_json_find(SxJsonMessage *message, SxJsonNode *root, const SxJsonGate *gate, SxField *fields,
			 SxJsonProblem *problem)
{
	Walk walk = start_walk(message, 0);
	uint32_t i;

	for (i = 0; i < root->last; i++)
		fields[i].kind = SX_FIELD_MISSING;
	walk.fields = fields;
	walk.gate = gate;
	if ((gate ? take_value(&walk, &fields[root->number], root, 0, true)
			  : take_value(&walk, &fields[root->number], root, 0, false)) &&
		walk.token != walk.tokens + message->scan.ntokens)
		fail(&walk, "something follows its end");
	message->scratch_used = walk.scratch_used;
	message->is_asked = walk.is_asked;
	message->is_open = walk.is_open;
	message->has_skipped = walk.has_skipped;
	if (walk.problem == NULL)
		return true;
	problem->kind = walk.is_too_deep ? SX_JSON_TOO_LARGE : SX_JSON_MALFORMED;
	problem->text = walk.problem;
	problem->offset = *walk.token;
	return false;
}

int64
sx_json_elements(SxJsonMessage *message, uint32 position, bool is_flat, int max_dimensions,
				 int *ndimensions, int *dimensions, SxField *fields)
{
	Elements elements = {.walk = start_walk(message, position),
						 .is_flat = is_flat,
						 .max_dimensions = max_dimensions,
						 .ndimensions = -1,
						 .dimensions = dimensions,
						 .fields = fields};
	int result;
	int i;

	elements.walk.scratch_used = message->scratch_used;
	for (i = 0; i < max_dimensions; i++)
		dimensions[i] = -1;
	result = take_elements(&elements, 0);
	*ndimensions = elements.ndimensions;
	return result != 0 ? result : elements.count;
}

static Walk
start_walk(const SxJsonMessage *message, uint32 position)
{
	const SxJsonScan *scan = &message->scan;

	return (Walk){.message = scan->message,
				  .length = scan->length,
				  .has_escapes = scan->has_escapes,
				  .tokens = scan->tokens,
				  .token = scan->tokens + position,
				  .scratch = scan->scratch};
}
