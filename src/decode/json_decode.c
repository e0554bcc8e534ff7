/*
 * json_decode.c
 *	  Format "json": which names lead to which columns.
 *
 * The paths of root and of the columns' fields form a tree; json_walk.c
 * walks the messages along it.  Several columns may want the same node.
 */
#include "compat.h"

#include "mb/pg_wchar.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "decode/format.h"
#include "decode/json.h"
#include "decode/json_walk.h"
#include "decode/match.h"

/* A path of more names is refused: the walk recurses along it. */
#define MAX_PATH_NAMES 64

/* Names are compared by words: so many bytes behind each may be read. */
#define NAME_PADDING 8

/* A tree of names while it grows. */
typedef struct NameTree
{
	const char *name; /* UTF-8 */
	int length;
	List *children;
	SxJsonNode *node; /* made of it at last */
} NameTree;

typedef struct JsonState
{
	SxJson *json;
	SxJsonMessage message; /* the last one */
	SxJsonNode *root;	   /* the whole message */
	SxJsonNode *object;	   /* where the columns' fields are */
	const char *root_path;
	const SxFilter *filter; /* NULL: none */
	uint32 *filter_numbers; /* of nodes, by field of the filter */
	SxJsonGate *gate;		/* the filter's */
	int ncolumns;
	SxJsonNode **columns; /* by column */
	SxField *fields;	  /* by node */
} JsonState;

static NameTree **add_filter(JsonState *state, NameTree *tree, const char *text);
static void make_gate(JsonState *state, NameTree *tree, NameTree **filter_trees);
static bool passes_filter(const void *state, const SxField *fields);
static NameTree *add_path(NameTree *tree, const char *path);
static NameTree *add_name(NameTree *tree, const char *name, int length);
static SxJsonNode *make_node(NameTree *tree, uint32_t *number);
static void make_keys(SxJsonNode *node, NameTree *tree, uint32_t *number);
static void report(const SxJsonProblem *problem, int *sqlstate, const char **message);
static void free_json(void *json);

void *
sx_json_open(const SxStream *stream, const AttrNumber *columns, int ncolumns)
{
	JsonState *state = palloc0(sizeof(JsonState));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	NameTree *tree = palloc0(sizeof(NameTree));
	NameTree *object = stream->root ? add_path(tree, stream->root) : tree;
	NameTree **trees = palloc(sizeof(NameTree *) * Max(ncolumns, 1));
	NameTree **filter_trees = stream->filter ? add_filter(state, tree, stream->filter) : NULL;
	uint32_t number = 0;
	int i;

	for (i = 0; i < ncolumns; i++)
	{
		const SxColumn *column = &stream->columns[columns[i] - 1];

		/* dots separate names in a path, but a column's own name is one name */
		if (strcmp(column->field, column->name) == 0)
			trees[i] = add_name(object, column->name, strlen(column->name));
		else
			trees[i] = add_path(object, column->field);
	}
	state->root = make_node(tree, &number);
	if (state->filter)
		make_gate(state, tree, filter_trees);
	state->object = object->node;
	state->root_path = stream->root;
	state->ncolumns = ncolumns;
	state->columns = palloc(sizeof(SxJsonNode *) * Max(ncolumns, 1));
	for (i = 0; i < ncolumns; i++)
		state->columns[i] = trees[i]->node;
	state->fields = palloc0(sizeof(SxField) * number);

	state->json = sx_json_create();
	if (state->json == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	callback->func = free_json;
	callback->arg = state->json;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return state;
}

SxVerdict
sx_json_decode(void *opaque, const SxPayload *payload, SxField *fields, int *sqlstate,
			   const char **message)
{
	JsonState *state = opaque;
	SxJsonProblem problem;
	int i;

	if (!sx_json_scan(state->json, payload->data, payload->length, &state->message.scan,
					  &problem) ||
		!sx_json_find(&state->message, state->root, state->gate, state->fields, &problem))
	{
		report(&problem, sqlstate, message);
		return SX_VERDICT_BAD;
	}
	*sqlstate = ERRCODE_INVALID_TEXT_REPRESENTATION;
	if (unlikely(state->fields[state->root->number].kind != SX_FIELD_OBJECT))
	{
		*message = "message is not a JSON object";
		return SX_VERDICT_BAD;
	}
	if (state->filter &&
		!(state->message.is_asked ? state->message.is_open : passes_filter(state, state->fields)))
		return SX_VERDICT_FILTERED;
	/* passes now, but a field of the filter that came before had another value */
	if (unlikely(state->message.has_skipped) &&
		!sx_json_find(&state->message, state->root, NULL, state->fields, &problem))
	{
		report(&problem, sqlstate, message);
		return SX_VERDICT_BAD;
	}
	if (unlikely(state->fields[state->object->number].kind != SX_FIELD_OBJECT))
	{
		*message = psprintf("message has no JSON object \"%s\"", state->root_path);
		return SX_VERDICT_BAD;
	}
	for (i = 0; i < state->ncolumns; i++)
		fields[i] = state->fields[state->columns[i]->number];
	return SX_VERDICT_ROW;
}

int64
sx_json_array(void *opaque, uint32 position, bool is_flat, int max_dimensions, int *ndimensions,
			  int *dimensions, SxField *fields)
{
	JsonState *state = opaque;

	return sx_json_elements(&state->message, position, is_flat, max_dimensions, ndimensions,
							dimensions, fields);
}

void
sx_json_rest(void *opaque)
{
	JsonState *state = opaque;

	sx_json_trim(state->json);
}

/* Add the fields of a filter, whose paths begin at the message's top, not at root. */
static NameTree **
add_filter(JsonState *state, NameTree *tree, const char *text)
{
	SxFilter *filter = sx_filter_parse(text);
	NameTree **trees = palloc(sizeof(NameTree *) * list_length(filter->fields));
	ListCell *lc;

	foreach (lc, filter->fields)
	{
		NameTree *field = tree;
		ListCell *name;

		foreach (name, lfirst(lc))
			field = add_name(field, lfirst(name), strlen(lfirst(name)));
		trees[foreach_current_index(lc)] = field;
	}
	state->filter = filter;
	state->filter_numbers = palloc(sizeof(uint32) * list_length(filter->fields));
	return trees;
}

/*
 * Once all fields of the message that lead to fields of the filter are found, it
 * is known whether the rest matters.
 */
static void
make_gate(JsonState *state, NameTree *tree, NameTree **filter_trees)
{
	int nfields = list_length(state->filter->fields);
	uint32 *watched = palloc(sizeof(uint32) * nfields);
	SxJsonGate *gate = palloc0(sizeof(SxJsonGate));
	ListCell *lc;
	int i;

	for (i = 0; i < nfields; i++)
	{
		state->filter_numbers[i] = filter_trees[i]->node->number;
		foreach (lc, tree->children)
		{
			SxJsonNode *node = ((NameTree *) lfirst(lc))->node;

			if (state->filter_numbers[i] < node->number || state->filter_numbers[i] >= node->last ||
				node->is_watched)
				continue;
			node->is_watched = true;
			watched[gate->nwatched++] = node->number;
		}
	}
	gate->watched = watched;
	gate->is_open = passes_filter;
	gate->state = state;
	state->gate = gate;
}

static bool
passes_filter(const void *opaque, const SxField *fields)
{
	const JsonState *state = opaque;

	return sx_match(state->filter, fields, state->filter_numbers);
}

/* Add the names of a path: "a.b"; a backslash makes the next character part of a name. */
static NameTree *
add_path(NameTree *tree, const char *path)
{
	char *name = palloc(strlen(path) + 1);
	int length = 0;
	int names = 0;

	for (;; path++)
	{
		if (*path == '.' || *path == '\0')
		{
			if (++names > MAX_PATH_NAMES)
				ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
								errmsg("path has more than %d names", MAX_PATH_NAMES)));
			tree = add_name(tree, name, length);
			length = 0;
			if (*path == '\0')
				return tree;
			continue;
		}
		if (*path == '\\' && path[1] != '\0')
			path++;
		name[length++] = *path;
	}
}

static NameTree *
add_name(NameTree *tree, const char *name, int length)
{
	NameTree *child;
	char *utf8 = pg_server_to_any(pnstrdup(name, length), length, PG_UTF8);
	ListCell *lc;

	length = strlen(utf8);
	foreach (lc, tree->children)
	{
		child = lfirst(lc);
		if (child->length == length && memcmp(child->name, utf8, length) == 0)
			return child;
	}
	child = palloc0(sizeof(NameTree));
	child->name = memcpy(palloc0(length + NAME_PADDING), utf8, length);
	child->length = length;
	tree->children = lappend(tree->children, child);
	return child;
}

/* Number the nodes in preorder. */
static SxJsonNode *
make_node(NameTree *tree, uint32_t *number)
{
	SxJsonNode *node = palloc0(sizeof(SxJsonNode));

	tree->node = node;
	node->number = (*number)++;
	node->nchildren = list_length(tree->children);
	if (node->nchildren > 0)
		make_keys(node, tree, number);
	node->last = *number;
	return node;
}

static void
make_keys(SxJsonNode *node, NameTree *tree, uint32_t *number)
{
	uint32 size = node->nchildren + SX_JSON_MAX_UNWANTED;
	ListCell *lc;

	node->keys = palloc0(sizeof(SxJsonKey) * size);
	for (node->nslots = 1; node->nslots <= size * 2; node->nslots *= 2)
		;
	node->slots = palloc0(sizeof(SxJsonKey *) * node->nslots);
	foreach (lc, tree->children)
	{
		NameTree *child = lfirst(lc);
		SxJsonKey *key = &node->keys[node->nkeys++];
		uint32 slot;

		key->name = child->name;
		key->length = child->length;
		key->hash = sx_json_hash(key->name, key->length);
		key->node = make_node(child, number);
		slot = key->hash & (node->nslots - 1);
		while (node->slots[slot] != NULL)
			slot = (slot + 1) & (node->nslots - 1);
		node->slots[slot] = key;
	}
}

/* Say what is wrong with a message. */
static void
report(const SxJsonProblem *problem, int *sqlstate, const char **message)
{
	static const struct
	{
		int sqlstate;
		const char *text;
	} kinds[] = {
		[SX_JSON_MALFORMED] = {ERRCODE_INVALID_TEXT_REPRESENTATION, "message is not valid JSON"},
		[SX_JSON_BAD_ENCODING] = {ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, "message is not valid JSON"},
		[SX_JSON_TOO_LARGE] = {ERRCODE_PROGRAM_LIMIT_EXCEEDED, "message exceeds a limit"},
	};

	if (problem->kind == SX_JSON_NO_MEMORY)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("Failed while decoding a message.")));
	*sqlstate = kinds[problem->kind].sqlstate;
	if (problem->offset > 0)
		*message = psprintf("%s: %s at byte %u", kinds[problem->kind].text, problem->text,
							problem->offset + 1);
	else
		*message = psprintf("%s: %s", kinds[problem->kind].text, problem->text);
}

static void
free_json(void *json)
{
	sx_json_free(json);
}
