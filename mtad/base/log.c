/*
 * base/log.c - lines of the operator's log.
 *
 * A line is put together on the caller's stack and handed to the sink in one
 * call, so threads need no lock here. The sink and the level are set at boot,
 * before there are threads, and only read after. A line that outgrows the
 * stack is cut at a character of its last value and its quote is closed: it
 * stays one well-formed line.
 */
#include <stdarg.h>

#include "base/base.h"

#define LINE_MAX_BYTES 2048

struct line {
	char p[LINE_MAX_BYTES];
	size_t n;
};

static void (*log_sink)(enum log_level level, const char *line, size_t n);
static enum log_level log_max;

void
log_setup(void (*sink)(enum log_level level, const char *line, size_t n),
    enum log_level max)
{
	log_sink = sink;
	log_max = max;
}

bool
log_is_on(enum log_level level)
{
	return log_sink != NULL && level <= log_max;
}

static const char *
level_name(enum log_level level)
{
	switch (level) {
	case LOG_ERROR:
		return "error";
	case LOG_WARN:
		return "warn";
	case LOG_INFO:
		return "info";
	default:
		return "debug";
	}
}

/* Can a value stand without quotes? */
static bool
value_is_bare(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' ||
		    s.p[i] == '\\' || s.p[i] == '=')
			return false;
	return s.n > 0;
}

static void
line_add(struct line *l, struct slice s)
{
	l->n += slice_copy(s, l->p + l->n, sizeof(l->p) - l->n);
}

static void
line_value(struct line *l, struct slice s)
{
	if (value_is_bare(s)) {
		line_add(l, s);
		return;
	}
	/* Two quotes and a NUL. */
	if (sizeof(l->p) - l->n < 3)
		return;
	l->p[l->n++] = '"';
	l->n += text_escape(s, l->p + l->n, sizeof(l->p) - l->n - 1);
	l->p[l->n++] = '"';
	l->p[l->n] = '\0';
}

static void
line_pair(struct line *l, struct slice key, struct slice value)
{
	/* A pair starts only where a blank, the key and '="x"' have room. */
	if (sizeof(l->p) - l->n < key.n + 6)
		return;
	line_add(l, SL(" "));
	line_add(l, key);
	line_add(l, SL("="));
	line_value(l, value);
}

static void
line_begin(struct line *l, enum log_level level, const char *room)
{
	l->n = 0;
	line_add(l, slice_str(level_name(level)));
	line_add(l, SL(" "));
	line_add(l, slice_str(room));
}

void
log_event(enum log_level level, const char *room, ...)
{
	struct line l;
	const char *key, *value;
	va_list ap;

	if (!log_is_on(level))
		return;
	line_begin(&l, level, room);
	va_start(ap, room);
	while ((key = va_arg(ap, const char *)) != NULL) {
		value = va_arg(ap, const char *);
		if (value == NULL)
			break;
		line_pair(&l, slice_str(key), slice_str(value));
	}
	va_end(ap);
	log_sink(level, l.p, l.n);
}

void
log_msg(enum log_level level, const char *room, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	struct line l;
	va_list ap;

	if (!log_is_on(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line_begin(&l, level, room);
	line_pair(&l, SL("msg"), slice_str(text));
	log_sink(level, l.p, l.n);
}

/*
 * Characters that can change what a reader of the screen sees elsewhere: the
 * control characters of both ASCII and Latin-1 (some terminals obey U+009B),
 * line and paragraph separators, and what turns the direction of writing.
 */
static bool
char_is_safe(uint32_t code)
{
	if (code < 0x20 || (code >= 0x7f && code < 0xa0))
		return false;
	if (code == 0x061c || code == 0x200e || code == 0x200f)
		return false;
	return !(code >= 0x2028 && code <= 0x202e) &&
	    !(code >= 0x2066 && code <= 0x2069);
}

static size_t
escape(struct slice s, char *dst, size_t cap, const char *also)
{
	static const char hex[] = "0123456789abcdef";
	size_t at = 0, len;
	uint32_t code;

	if (cap == 0)
		return 0;
	for (; s.n > 0; s = slice_skip(s, len)) {
		unsigned char c = (unsigned char)s.p[0];

		len = slice_utf8(s, &code);
		if (len > 0 && char_is_safe(code) && strchr(also, c) == NULL) {
			if (len >= cap - at)
				break;
			memcpy(dst + at, s.p, len);
			at += len;
			continue;
		}
		len = 1; /* the rest of the character is escaped in turn */
		if (cap - at <= 4)
			break;
		dst[at++] = '\\';
		dst[at++] = 'x';
		dst[at++] = hex[c >> 4];
		dst[at++] = hex[c & 15];
	}
	dst[at] = '\0';
	return at;
}

size_t
text_escape(struct slice s, char *dst, size_t cap)
{
	return escape(s, dst, cap, "\"\\");
}

size_t
text_one_line(struct slice s, char *dst, size_t cap)
{
	return escape(s, dst, cap, "");
}
