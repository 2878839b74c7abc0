/*
 * base/json.c - the JSON writer of the hot paths.
 *
 * Most strings are clean ASCII; they are found so eight bytes at a time and
 * copied whole. What else may stand in a string as it is (valid UTF-8) joins
 * the run; only quotes, backslashes, control bytes and broken UTF-8 are
 * written one by one. A failed add latches in the buffer, so nothing here
 * looks at results.
 */
#include "base/base.h"

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

void
jw_init(struct jsonw *w, struct buf *out)
{
	*w = (struct jsonw){ .out = out };
}

/* Room for n bytes of a value, behind its comma; NULL when there is none. */
static char *
value_room(struct jsonw *w, size_t n)
{
	char *p = buf_room(w->out, n + w->need_comma);

	if (p == NULL)
		return NULL;
	buf_grew(w->out, n + w->need_comma);
	if (w->need_comma)
		*p++ = ',';
	w->need_comma = true;
	return p;
}

static void
value_add(struct jsonw *w, const char *text, size_t n)
{
	char *p = value_room(w, n);

	if (p != NULL)
		memcpy(p, text, n);
}

void
jw_open(struct jsonw *w, char bracket)
{
	ASSERT(w->depth < UINT8_MAX);
	w->depth++;
	value_add(w, &bracket, 1);
	w->need_comma = false;
}

void
jw_close(struct jsonw *w, char bracket)
{
	ASSERT(w->depth > 0);
	w->depth--;
	w->need_comma = false;
	value_add(w, &bracket, 1);
}

void
jw_key(struct jsonw *w, const char *literal)
{
	size_t n = strlen(literal);
	char *p = value_room(w, n + 3);

	w->need_comma = false;
	if (p == NULL)
		return;
	p[0] = '"';
	memcpy(p + 1, literal, n);
	memcpy(p + 1 + n, "\":", 2);
}

/* Is one of eight bytes other than 0x20-0x7f, or a quote or backslash? */
static bool
word_is_special(uint64_t x)
{
	uint64_t quote = x ^ EACH_BYTE('"');
	uint64_t slash = x ^ EACH_BYTE('\\');
	uint64_t hit = x | ((x - EACH_BYTE(0x20)) & ~x) |
	    ((quote - EACH_BYTE(1)) & ~quote) |
	    ((slash - EACH_BYTE(1)) & ~slash);

	return (hit & EACH_BYTE(0x80)) != 0;
}

static bool
byte_is_special(char c)
{
	return (unsigned char)c >= 0x80 || (unsigned char)c < 0x20 ||
	    c == '"' || c == '\\';
}

/* Bytes at the front of s that are clean ASCII. */
static size_t
ascii_run(struct slice s)
{
	size_t at = 0;
	uint64_t word;

	for (; s.n - at >= sizeof(word); at += sizeof(word)) {
		memcpy(&word, s.p + at, sizeof(word));
		if (word_is_special(word))
			break;
	}
	while (at < s.n && !byte_is_special(s.p[at]))
		at++;
	return at;
}

/* Bytes at the front of s that need no escape. */
static size_t
plain_run(struct slice s)
{
	size_t at = ascii_run(s), len;
	uint32_t code;

	while (at < s.n && (unsigned char)s.p[at] >= 0x80) {
		len = slice_utf8(slice_skip(s, at), &code);
		if (len == 0)
			break;
		at += len;
		at += ascii_run(slice_skip(s, at));
	}
	return at;
}

static void
add_special(struct buf *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

	if (c >= 0x80) {
		buf_addz(out, "\xef\xbf\xbd");
		return;
	}
	if (c >= 0x20)
		text[1] = (char)c;
	buf_add(out, text, c >= 0x20 ? 2 : sizeof(text));
}

void
jw_str(struct jsonw *w, struct slice s)
{
	size_t run = plain_run(s);
	char *p = value_room(w, run + 1 + (run == s.n));

	if (p == NULL)
		return;
	p[0] = '"';
	if (run > 0)
		memcpy(p + 1, s.p, run);
	if (run == s.n) {
		p[1 + run] = '"';
		return;
	}
	while (run < s.n) {
		add_special(w->out, (unsigned char)s.p[run]);
		s = slice_skip(s, run + 1);
		run = plain_run(s);
		buf_add(w->out, s.p, run);
	}
	buf_addc(w->out, '"');
}

void
jw_u64(struct jsonw *w, uint64_t v)
{
	char digits[20];

	value_add(w, digits, fmt_u64(digits, v));
}

static uint64_t
magnitude(int64_t v)
{
	return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

void
jw_i64(struct jsonw *w, int64_t v)
{
	char text[21] = "-";
	size_t sign = v < 0;

	value_add(w, text, sign + fmt_u64(text + sign, magnitude(v)));
}

void
jw_bool(struct jsonw *w, bool v)
{
	value_add(w, v ? "true" : "false", v ? 4 : 5);
}

void
jw_null(struct jsonw *w)
{
	value_add(w, "null", 4);
}

void
jw_milli(struct jsonw *w, int64_t thousandths)
{
	char text[25] = "-";
	uint64_t v = magnitude(thousandths);
	unsigned rest = v % 1000;
	size_t n = thousandths < 0;

	n += fmt_u64(text + n, v / 1000);
	if (rest != 0)
		text[n++] = '.';
	for (unsigned unit = 100; rest != 0; unit /= 10) {
		text[n++] = (char)('0' + rest / unit);
		rest %= unit;
	}
	value_add(w, text, n);
}

void
jw_kstr(struct jsonw *w, const char *key, struct slice s)
{
	jw_key(w, key);
	jw_str(w, s);
}

void
jw_ku64(struct jsonw *w, const char *key, uint64_t v)
{
	jw_key(w, key);
	jw_u64(w, v);
}

void
jw_ki64(struct jsonw *w, const char *key, int64_t v)
{
	jw_key(w, key);
	jw_i64(w, v);
}

void
jw_kbool(struct jsonw *w, const char *key, bool v)
{
	jw_key(w, key);
	jw_bool(w, v);
}
