/*
 * conf/class_fold.c - makes replies comparable. Servers write the same words in
 * any case, over several lines, with accents or without, with quotes from
 * a word processor; rules are written once, in plain letters.
 */
#include "conf/classify_i.h"

/* U+00C0 to U+017F without accents; 0 stays as it is (signs, and letters that
 * have no plain form of one byte). */
static const char plain[] =
    "AAAAAA\0CEEEEIIII\0NOOOOO\0OUUUUY\0\0"
    "aaaaaa\0ceeeeiiii\0nooooo\0ouuuuy\0y"
    "AaAaAaCcCcCcCcDdDdEeEeEeEeEeGgGgGgGgHhHhIiIiIiIiIi\0\0JjKk\0LlLlLlLlLl"
    "NnNnNn\0\0\0OoOoOo\0\0RrRrRrSsSsSsSsTtTtTtUuUuUuUuUuUuWwYyYZzZzZzs";
#define PLAIN_FIRST 0xc0u
_Static_assert(sizeof(plain) - 1 == 0x180 - PLAIN_FIRST, "U+00C0 to U+017F");

/* What a character of several bytes is in plain ASCII, or 0. */
static char
plain_of(uint32_t code)
{
	if (code >= PLAIN_FIRST && code < PLAIN_FIRST + sizeof(plain) - 1)
		return plain[code - PLAIN_FIRST];
	switch (code) {
	case 0xa0:   /* no-break space */
	case 0x202f: /* narrow no-break space */
	case 0x3000: /* ideographic space */
		return ' ';
	case 0x2018:
	case 0x2019:
	case 0x2bc:
		return '\'';
	case 0x201c:
	case 0x201d:
	case 0xab:
	case 0xbb:
		return '"';
	case 0x2010:
	case 0x2011:
	case 0x2013:
	case 0x2014:
		return '-';
	default:
		return 0;
	}
}

/* The plain form of the character at the front of a text and its length;
 * 0 when it has none, and then *n bytes stay as they are. */
static char
take_plain(struct slice text, size_t *n)
{
	uint32_t code;

	*n = slice_utf8(text, &code);
	if (*n > 1)
		return plain_of(code);
	*n = 1;
	return 0;
}

size_t
class_fold(struct slice text, char *dst, size_t cap)
{
	size_t at = 0, n;
	bool was_blank = true;

	for (size_t i = 0; i < text.n && at < cap; i += n) {
		unsigned char c = (unsigned char)text.p[i];

		n = 1;
		if (c >= 0x80) {
			char p = take_plain(slice_skip(text, i), &n);

			if (p == 0) {
				if (n > cap - at)
					break;
				memmove(dst + at, text.p + i, n);
				at += n;
				was_blank = false;
				continue;
			}
			c = (unsigned char)p;
		}
		if (c <= ' ' || c == 0x7f) {
			if (!was_blank)
				dst[at++] = ' ';
			was_blank = true;
			continue;
		}
		was_blank = false;
		dst[at++] = ascii_lower((char)c);
	}
	return at > 0 && dst[at - 1] == ' ' ? at - 1 : at;
}

size_t
class_fold_pattern(struct slice pattern, char *dst, size_t cap)
{
	size_t at = 0, n;

	for (size_t i = 0; i < pattern.n; i += n) {
		char p = take_plain(slice_skip(pattern, i), &n);

		if (p != 0) {
			if (at == cap)
				break;
			dst[at++] = p;
			continue;
		}
		if (n > cap - at)
			break;
		memmove(dst + at, pattern.p + i, n);
		at += n;
	}
	return at;
}
