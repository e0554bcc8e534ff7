/*
 * json_escape.c
 *	  Escapes in JSON strings.
 *
 * Checking them is part of checking a message; what cannot be a text of
 * PostgreSQL's matters only where a text is wanted.
 */
#include "compat.h"

#include <ctype.h>

#include "decode/json_escape.h"

static bool is_hex(const char *data);
static uint32_t from_hex(const char *data);
static const char *
unescape_unicode(const char *data, const char *end, char **to, const char **problem);
static char *put_utf8(char *to, uint32_t c);

bool
sx_json_has_good_escapes(const char *data, const char *end)
{
	while ((data = memchr(data, '\\', end - data)) != NULL)
	{
		if (end - data < 2)
			return false;
		if (data[1] == 'u')
		{
			if (end - data < 6 || !is_hex(data + 2))
				return false;
			data += 6;
		}
		else if (data[1] != '\0' && strchr("\"\\/bfnrt", data[1]) != NULL)
			data += 2;
		else
			return false;
	}
	return true;
}

const char *
sx_json_unescape(const char *data, const char *end, char *to, uint32_t *length)
{
	char *start = to;
	const char *problem = NULL;

	while (data < end)
	{
		const char *escape = memchr(data, '\\', end - data);
		size_t plain = (escape ? escape : end) - data;

		memcpy(to, data, plain);
		to += plain;
		data += plain;
		if (escape == NULL)
			break;
		if (data[1] == 'u')
		{
			data = unescape_unicode(data, end, &to, &problem);
			if (data == NULL)
				return problem;
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
	*length = (uint32_t) (to - start);
	return NULL;
}

static bool
is_hex(const char *data)
{
	for (int i = 0; i < 4; i++)
		if (!isdigit((unsigned char) data[i]) &&
			!((data[i] | 0x20) >= 'a' && (data[i] | 0x20) <= 'f'))
			return false;
	return true;
}

static uint32_t
from_hex(const char *data)
{
	uint32_t value = 0;

	for (int i = 0; i < 4; i++)
		value = value * 16 +
				(isdigit((unsigned char) data[i]) ? data[i] - '0' : (data[i] | 0x20) - 'a' + 10);
	return value;
}

/* One checked \uXXXX, or a pair of them.  Returns what follows; NULL: not a character of a text. */
static const char *
unescape_unicode(const char *data, const char *end, char **to, const char **problem)
{
	uint32_t c = from_hex(data + 2);

	data += 6;
	if (c == 0)
	{
		*problem = "\\u0000 cannot be converted to text";
		return NULL;
	}
	if (c >= 0xd800 && c <= 0xdfff)
	{
		uint32_t low = c < 0xdc00 && end - data >= 6 && data[0] == '\\' && data[1] == 'u'
						   ? from_hex(data + 2)
						   : 0;

		if (low < 0xdc00 || low > 0xdfff)
		{
			*problem = "Unicode surrogate without its other half in a string";
			return NULL;
		}
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		data += 6;
	}
	*to = put_utf8(*to, c);
	return data;
}

static char *
put_utf8(char *to, uint32_t c)
{
	if (c < 0x80)
		*to++ = (char) (c);
	else if (c < 0x800)
	{
		*to++ = (char) (0xc0 | (c >> 6));
		*to++ = (char) (0x80 | (c & 0x3f));
	}
	else if (c < 0x10000)
	{
		*to++ = (char) (0xe0 | (c >> 12));
		*to++ = (char) (0x80 | ((c >> 6) & 0x3f));
		*to++ = (char) (0x80 | (c & 0x3f));
	}
	else
	{
		*to++ = (char) (0xf0 | (c >> 18));
		*to++ = (char) (0x80 | ((c >> 12) & 0x3f));
		*to++ = (char) (0x80 | ((c >> 6) & 0x3f));
		*to++ = (char) (0x80 | (c & 0x3f));
	}
	return to;
}
