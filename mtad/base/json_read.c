/*
 * base/json_read.c - one pass that checks, without recursion, and walks over
 * what has been checked.
 */
#include "base/assert.h"
#include "base/base.h"
#include "base/json_read.h"

/* ---- checking --------------------------------------------------------------- */

struct reader {
	const char *p, *end;
	uint32_t depth;
	uint32_t objects; /* bit n: the bracket at depth n is of an object */
};

static void
blanks(struct reader *r)
{
	while (r->p < r->end &&
	    (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
		r->p++;
}

static bool
hex4(const char *p, const char *end, uint32_t *code)
{
	*code = 0;
	if (end - p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = ascii_lower(p[i]);

		if (ascii_is_digit(c))
			*code = *code << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			*code = *code << 4 | (uint32_t)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* What stands behind a backslash, and its bytes; 0: nothing that may. */
static size_t
escape(const char *p, const char *end, uint32_t *code)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *hit;
	uint32_t low;

	if (p == end)
		return 0;
	hit = *p != '\0' ? strchr(from, *p) : NULL;
	if (hit != NULL) {
		*code = (unsigned char)to[hit - from];
		return 1;
	}
	if (*p != 'u' || !hex4(p + 1, end, code))
		return 0;
	if (*code < 0xd800 || *code > 0xdfff)
		return 5;
	if (*code > 0xdbff || end - p < 11 || p[5] != '\\' || p[6] != 'u' ||
	    !hex4(p + 7, end, &low) || low < 0xdc00 || low > 0xdfff)
		return 0;
	*code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
	return 11;
}

/* A string behind its quote, up to and with the next. */
static bool
check_string(struct reader *r)
{
	uint32_t code;
	size_t n;

	while (r->p < r->end) {
		unsigned char c = (unsigned char)*r->p;

		if (c == '"') {
			r->p++;
			return true;
		}
		if (c < ' ')
			return false;
		if (c < 0x80 && c != '\\') {
			r->p++;
			continue;
		}
		n = c == '\\' ?
		    escape(r->p + 1, r->end, &code) :
		    slice_utf8(slice_of(r->p, (size_t)(r->end - r->p)), &code);
		if (n == 0)
			return false;
		r->p += n + (c == '\\');
	}
	return false;
}

static bool
check_digits(struct reader *r)
{
	const char *from = r->p;

	while (r->p < r->end && ascii_is_digit(*r->p))
		r->p++;
	return r->p > from;
}

static bool
check_number(struct reader *r)
{
	if (r->p < r->end && *r->p == '-')
		r->p++;
	if (r->p < r->end && *r->p == '0')
		r->p++;
	else if (!check_digits(r))
		return false;
	if (r->p < r->end && *r->p == '.') {
		r->p++;
		if (!check_digits(r))
			return false;
	}
	if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
		r->p++;
		if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
			r->p++;
		return check_digits(r);
	}
	return true;
}

static bool
check_word(struct reader *r)
{
	static const struct slice words[] = { { "null", 4 }, { "true", 4 },
		{ "false", 5 } };
	struct slice left = slice_of(r->p, (size_t)(r->end - r->p));

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_has_prefix(left, words[i])) {
			r->p += words[i].n;
			return true;
		}
	return false;
}

static bool
is_object(const struct reader *r)
{
	return (r->objects >> r->depth & 1) != 0;
}

/* A key and its colon. */
static bool
check_key(struct reader *r)
{
	blanks(r);
	if (r->p == r->end || *r->p++ != '"' || !check_string(r))
		return false;
	blanks(r);
	return r->p < r->end && *r->p++ == ':';
}

/* A bracket opens; *is_whole: it closes at once. */
static bool
check_open(struct reader *r, bool *is_whole)
{
	char close = *r->p == '{' ? '}' : ']';

	if (++r->depth > JSON_DEPTH_MAX)
		return false;
	r->objects &= ~(1u << r->depth);
	r->objects |= (uint32_t)(*r->p == '{') << r->depth;
	r->p++;
	blanks(r);
	*is_whole = r->p < r->end && *r->p == close;
	if (!*is_whole)
		return !is_object(r) || check_key(r);
	r->p++;
	r->depth--;
	return true;
}

/* The front of a value: all of it, unless it is a bracket that has something
 * inside. */
static bool
check_value(struct reader *r, bool *is_whole)
{
	blanks(r);
	*is_whole = true;
	if (r->p == r->end)
		return false;
	switch (*r->p) {
	case '{':
	case '[':
		return check_open(r, is_whole);
	case '"':
		r->p++;
		return check_string(r);
	case 't':
	case 'f':
	case 'n':
		return check_word(r);
	default:
		return check_number(r);
	}
}

/* What follows a value: the ends of brackets, then a comma. *is_over: the text. */
static bool
check_behind(struct reader *r, bool *is_over)
{
	for (;;) {
		blanks(r);
		*is_over = r->depth == 0;
		if (*is_over)
			return r->p == r->end;
		if (r->p == r->end)
			return false;
		if (*r->p == ',') {
			r->p++;
			return !is_object(r) || check_key(r);
		}
		if (*r->p != (is_object(r) ? '}' : ']'))
			return false;
		r->p++;
		r->depth--;
	}
}

int
json_check(struct slice text, size_t *at)
{
	struct reader r = { .p = text.p, .end = text.p + text.n };
	bool is_over = false, is_whole, ok = true;

	while (ok && !is_over) {
		ok = check_value(&r, &is_whole);
		if (ok && is_whole)
			ok = check_behind(&r, &is_over);
	}
	*at = (size_t)(r.p - text.p);
	return ok ? 0 : E_SYNTAX;
}

/* ---- walking ------------------------------------------------------------------ */

static struct slice
skip_blanks(struct slice s)
{
	while (s.n > 0 &&
	    (*s.p == ' ' || *s.p == '\t' || *s.p == '\n' || *s.p == '\r'))
		s = slice_skip(s, 1);
	return s;
}

/* Bytes of a string with both quotes. */
static size_t
string_bytes(struct slice s)
{
	size_t i = 1;

	while (s.p[i] != '"') {
		const char *quote = memchr(s.p + i, '"', s.n - i);
		const char *back =
		    memchr(s.p + i, '\\', (size_t)(quote - (s.p + i)));

		/* No quote that is not escaped stands before a backslash. */
		i = back ? (size_t)(back - s.p) + 2 : (size_t)(quote - s.p);
	}
	return i + 1;
}

/* Bytes of the value that s begins with. */
static size_t
value_bytes(struct slice s)
{
	uint32_t depth = 0;
	size_t i = 0;

	if (*s.p == '"')
		return string_bytes(s);
	if (*s.p != '{' && *s.p != '[') {
		while (i < s.n && memchr(",]} \t\r\n", s.p[i], 7) == NULL)
			i++;
		return i;
	}
	do {
		if (s.p[i] == '"') {
			i += string_bytes(slice_skip(s, i));
			continue;
		}
		if (s.p[i] == '{' || s.p[i] == '[')
			depth++;
		if (s.p[i] == '}' || s.p[i] == ']')
			depth--;
		i++;
	} while (depth > 0);
	return i;
}

enum json_kind
json_kind_of(struct slice value)
{
	switch (*value.p) {
	case '{':
		return JSON_KIND_OBJECT;
	case '[':
		return JSON_KIND_ARRAY;
	case '"':
		return JSON_KIND_STRING;
	case 'n':
		return JSON_KIND_NULL;
	case 't':
		return JSON_KIND_TRUE;
	case 'f':
		return JSON_KIND_FALSE;
	default:
		return JSON_KIND_NUMBER;
	}
}

struct slice
json_value(struct slice text)
{
	text = skip_blanks(text);
	return slice_of(text.p, value_bytes(text));
}

struct slice
json_inside(struct slice value)
{
	ASSERT(value.n >= 2);
	return skip_blanks(slice_of(value.p + 1, value.n - 2));
}

bool
json_item(struct slice *rest, struct slice *value)
{
	size_t n;

	if (rest->n == 0)
		return false;
	n = value_bytes(*rest);
	*value = slice_of(rest->p, n);
	*rest = skip_blanks(slice_skip(*rest, n));
	if (rest->n > 0) /* a comma */
		*rest = skip_blanks(slice_skip(*rest, 1));
	return true;
}

bool
json_member(struct slice *rest, struct slice *key, struct slice *value)
{
	size_t n;

	if (rest->n == 0)
		return false;
	n = string_bytes(*rest);
	*key = slice_of(rest->p, n);
	*rest = skip_blanks(slice_skip(*rest, n));
	*rest = skip_blanks(slice_skip(*rest, 1)); /* the colon */
	return json_item(rest, value);
}

struct slice
json_get(struct slice object, struct slice name)
{
	struct slice rest = json_inside(object), key, value;

	while (json_member(&rest, &key, &value))
		if (json_is(key, name))
			return value;
	return slice_of(NULL, 0);
}

/* ---- strings -------------------------------------------------------------------- */

struct json_text
json_text_of(struct slice string)
{
	ASSERT(string.n >= 2);
	return (struct json_text){ slice_of(string.p + 1, string.n - 2) };
}

static size_t
put_utf8(char *dst, uint32_t code)
{
	if (code < 0x80) {
		dst[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		dst[0] = (char)(0xc0 | code >> 6);
		dst[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		dst[0] = (char)(0xe0 | code >> 12);
		dst[1] = (char)(0x80 | (code >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | code >> 18);
	dst[1] = (char)(0x80 | (code >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (code >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* A run without escapes, cut between two characters. */
static size_t
run_length(struct slice left, size_t cap)
{
	const char *back;
	size_t n = MIN(left.n, cap);

	back = memchr(left.p, '\\', n);
	if (back != NULL)
		return (size_t)(back - left.p);
	while (n < left.n && n > 0 && ((unsigned char)left.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

size_t
json_text_next(struct json_text *t, char *dst, size_t cap)
{
	size_t n = 0, k;
	uint32_t code;

	ASSERT(cap >= 4);
	while (t->left.n > 0 && n + 4 <= cap) {
		if (*t->left.p == '\\') {
			k = escape(t->left.p + 1, t->left.p + t->left.n, &code);
			t->left = slice_skip(t->left, k + 1);
			n += put_utf8(dst + n, code);
			continue;
		}
		k = run_length(t->left, cap - n);
		memcpy(dst + n, t->left.p, k);
		t->left = slice_skip(t->left, k);
		n += k;
	}
	return n;
}

bool
json_is(struct slice string, struct slice s)
{
	struct json_text t = json_text_of(string);
	char piece[64];
	size_t n;

	while ((n = json_text_next(&t, piece, sizeof(piece))) > 0) {
		if (!slice_has_prefix(s, slice_of(piece, n)))
			return false;
		s = slice_skip(s, n);
	}
	return s.n == 0;
}

int
json_text_add(struct slice string, struct buf *out)
{
	struct json_text t = json_text_of(string);
	char piece[1024];
	size_t n;
	int err = 0;

	while (!err && (n = json_text_next(&t, piece, sizeof(piece))) > 0)
		err = buf_add(out, piece, n);
	return err;
}
