/*
 * proto/bounce_words.c - tools of bounce_*.c: lines, phrases, addresses and codes
 * in texts that people and servers write.
 */
#include "proto/bounce_i.h"
#include "proto/header.h"
#include "proto/syntax.h"

#define LOCAL_MAX 128u /* of a local part; RFC 5321 says 64 */

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice
bounce_line(struct slice *rest)
{
	struct slice line = slice_cut(rest, '\n');

	while (line.n > 0 && is_white(line.p[line.n - 1]))
		line.n--;
	while (line.n > 0 && is_white(line.p[0]))
		line = slice_skip(line, 1);
	return line;
}

struct slice
bounce_field(struct slice head, struct slice name)
{
	uint32_t n = 0;
	struct hdr h;

	while (head.n > 0) {
		if (hdr_next(&head, &h)) {
			n++;
			if (slice_ieq(h.name, name))
				return mime_field(h.whole, name);
		} else if (bounce_line(&head).n == 0 && n >= 3)
			break;
	}
	return slice_of("", 0);
}

/* ---- phrases --------------------------------------------------------------------- */

bool
bounce_has(struct slice text, const char *phrase)
{
	size_t n = strlen(phrase);
	char first = phrase[0] | 0x20;

	for (size_t i = 0; i + n <= text.n; i++) {
		size_t k = 0;

		/* Long texts are asked for many phrases: most bytes end here. */
		if ((text.p[i] | 0x20) != first)
			continue;
		while (k < n && ascii_lower(text.p[i + k]) == phrase[k])
			k++;
		if (k == n)
			return true;
	}
	return false;
}

bool
bounce_says(struct slice text, const char *const *phrases)
{
	for (; **phrases != '\0'; phrases++)
		if (bounce_has(text, *phrases))
			return true;
	return false;
}

/* ---- addresses ------------------------------------------------------------------- */

static bool
is_local(char c, bool utf8)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) ||
	    (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.", c) != NULL) ||
	    (utf8 && (uint8_t)c >= 0x80);
}

static bool
is_domain(char c, bool utf8)
{
	return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '.' ||
	    c == '_' || (utf8 && (uint8_t)c >= 0x80);
}

/* How many bytes before the '@' at `at` are a local part. */
static size_t
local_before(struct slice s, size_t at, bool utf8)
{
	size_t n = 0;

	if (at > 1 && s.p[at - 1] == '"') { /* "a b"@c */
		for (n = 1; n < at && n < LOCAL_MAX; n++)
			if (s.p[at - 1 - n] == '"')
				return n + 1;
			else if (s.p[at - 1 - n] == '\n')
				break;
		return 0;
	}
	while (n < at && n < LOCAL_MAX && is_local(s.p[at - 1 - n], utf8))
		n++;
	while (n > 0 && strchr("'`.", s.p[at - n]) != NULL)
		n--; /* quotes around, the end of a sentence before */
	return n;
}

static size_t
domain_behind(struct slice s, size_t at, bool utf8)
{
	size_t n = 0, i = at + 1;

	if (i < s.n && s.p[i] == '[') { /* an address literal */
		n = slice_index(slice_of(s.p + i, MIN(s.n - i, 64u)), ']');
		return n < 64 && i + n < s.n ? n + 1 : 0;
	}
	while (i + n < s.n && n < DOMAIN_MAX && is_domain(s.p[i + n], utf8))
		n++;
	while (n > 0 && strchr(".-_", s.p[i + n - 1]) != NULL)
		n--;
	return n;
}

static bool
is_address(struct slice s, size_t at, bool utf8, struct slice *out)
{
	size_t local = local_before(s, at, utf8);
	size_t domain = domain_behind(s, at, utf8);

	if (local > 5 &&
	    slice_has_iprefix(slice_of(s.p + at - local, local), SL("smtp=")))
		local -= 5; /* an address within one of X.400 */
	if (local == 0 || domain == 0)
		return false;
	*out = slice_of(s.p + at - local, local + 1 + domain);
	return mailbox_is_valid(*out, utf8);
}

bool
bounce_address(struct slice *text, struct slice *address)
{
	struct slice s = *text;

	for (size_t at = 0; at < s.n; at++) {
		bool is_found;
		size_t end;

		if (s.p[at] != '@')
			continue;
		is_found = is_address(s, at, false, address);
		/* Within brackets other scripts are a part of it. */
		end =
		    is_found ? (size_t)(address->p + address->n - s.p) : at + 1;
		if (!is_found || (end < s.n && (uint8_t)s.p[end] >= 0x80) ||
		    (address->p > s.p && (uint8_t)address->p[-1] >= 0x80)) {
			struct slice wide;

			if (is_address(s, at, true, &wide) && wide.p > s.p &&
			    wide.p[-1] == '<') {
				*address = wide;
				is_found = true;
			}
		}
		if (!is_found)
			continue;
		*text = slice_skip(s, (size_t)(address->p + address->n - s.p));
		return true;
	}
	return false;
}

bool
bounce_names(struct slice text, struct slice address)
{
	struct slice found;

	while (text.n > 0 && bounce_address(&text, &found))
		if (slice_ieq(found, address))
			return true;
	return false;
}

/* ---- marks ------------------------------------------------------------------------ */

static bool
is_mark(char c)
{
	return c != '\0' && strchr(" \t\r\n<>*-\"'([=|#.,`", c) != NULL;
}

struct slice
bounce_strip(struct slice s)
{
	if (s.n >= 7 && slice_has_isuffix(s, SL("mailto:")))
		s.n -= 7;
	while (s.n > 0 && is_mark(s.p[s.n - 1]))
		s.n--;
	while (s.n > 0 && is_mark(s.p[0]))
		s = slice_skip(s, 1);
	return s;
}

/* ---- codes ------------------------------------------------------------------------- */

static bool
may_precede(char c)
{
	return is_white(c) || strchr("(#:;<[\"'=,>_", c) != NULL;
}

/* Digits at i; 0 when there are none or more than three. */
static size_t
number_at(struct slice s, size_t i, uint16_t *v)
{
	size_t n = 0;

	*v = 0;
	for (; i + n < s.n && n < 4 && ascii_is_digit(s.p[i + n]); n++)
		*v = (uint16_t)(*v * 10 + (s.p[i + n] - '0'));
	return n > 3 ? 0 : n;
}

/* "5.1.1" at i, not a part of a number with more dots. */
static bool
enh_at(struct slice s, size_t i, struct enh *e)
{
	size_t at = i + 2, n;

	if (i + 5 > s.n || s.p[i + 1] != '.' ||
	    (s.p[i] != '2' && s.p[i] != '4' && s.p[i] != '5'))
		return false;
	e->klass = (uint8_t)(s.p[i] - '0');
	n = number_at(s, at, &e->subject);
	if (n == 0 || at + n >= s.n || s.p[at + n] != '.')
		return false;
	at += n + 1;
	n = number_at(s, at, &e->detail);
	at += n;
	if (n == 0)
		return false;
	return at + 1 >= s.n || (s.p[at] != '.' && s.p[at] != '-') ||
	    !ascii_is_digit(s.p[at + 1]);
}

/* "550" at i; 0: none. */
static uint16_t
code_at(struct slice s, size_t i)
{
	const char *p = s.p + i;

	if (i + 3 > s.n || (p[0] != '4' && p[0] != '5') || p[1] < '0' ||
	    p[1] > '7' || !ascii_is_digit(p[2]))
		return 0;
	if (i + 3 < s.n && !is_white(p[3]) &&
	    strchr("-;:),.\"'#_<]", p[3]) == NULL)
		return 0;
	if (i + 4 < s.n && p[3] == '.' && ascii_is_digit(p[4]))
		return 0;
	return (uint16_t)((p[0] - '0') * 100 + (p[1] - '0') * 10 + p[2] - '0');
}

/* Behind the code at i: an enhanced code, with little in between? */
static bool
enh_follows(struct slice s, size_t i, struct enh *e)
{
	for (size_t k = i + 3; k < s.n && k < i + 7; k++) {
		if (ascii_is_digit(s.p[k]))
			return enh_at(s, k, e);
		if (!is_white(s.p[k]) && strchr("-#(:;_<[", s.p[k]) == NULL)
			return false;
	}
	return false;
}

/* Is a bare code here said as a reply: at the front, after "said:", before words?
 * Numbers of other things (sizes, seconds) are not. */
static bool
is_said(struct slice s, size_t i)
{
	static const struct slice units[] = { SL("mb"), SL("kb"), SL("byte"),
		SL("second"), SL("minute"), SL("hour"), SL("day"),
		SL("recipients"), SL("messages"), SL("of") };
	struct slice next = slice_trim(slice_skip(s, i + 3));

	if (i > 1 && is_white(s.p[i - 1]) &&
	    (ascii_is_digit(s.p[i - 2]) || s.p[i - 2] == '+'))
		return false;
	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		size_t n = units[u].n;

		if (!slice_has_iprefix(next, units[u]))
			continue;
		n += n < next.n && ascii_lower(next.p[n]) == 's';
		if (n == next.n || !ascii_is_alpha(next.p[n]))
			return false;
	}
	return true;
}

void
bounce_codes(struct slice s, uint16_t *code, struct enh *enh)
{
	struct enh e, alone = { 0 };
	uint16_t first = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint16_t c;

		if (!ascii_is_digit(s.p[i]) ||
		    (i > 0 && !may_precede(s.p[i - 1])))
			continue;
		c = code_at(s, i);
		if (c != 0 && enh_follows(s, i, &e) && e.klass == c / 100) {
			*code = c;
			*enh = e;
			return;
		}
		/* Sendmail puts its own in front: "554 <a@b>... 550 No". */
		if (c != 0 && is_said(s, i) &&
		    (first == 0 ||
			(i >= 4 && memcmp(s.p + i - 4, "... ", 4) == 0)))
			first = c;
		if (alone.klass == 0 && enh_at(s, i, &e) && e.klass != 2)
			alone = e;
	}
	if (first != 0)
		*code = first;
	if (alone.klass != 0 && (first == 0 || alone.klass == first / 100))
		*enh = alone;
}

/* ---- memory ------------------------------------------------------------------------ */

struct slice
bounce_keep(struct reading *r, struct slice text, size_t max)
{
	char *dst;
	size_t n = 0;

	max = MIN(max, text.n);
	dst = arena_get(&r->out->memory, max + 1);
	if (dst == NULL)
		return slice_of("", 0);
	for (size_t i = 0; i < text.n && n < max; i++) {
		bool white = is_white(text.p[i]) || text.p[i] == '\0';

		if (white && (n == 0 || dst[n - 1] == ' '))
			continue;
		dst[n++] = white ? ' ' : text.p[i];
	}
	while (n > 0 && dst[n - 1] == ' ')
		n--;
	return slice_of(dst, n);
}
