/*
 * proto/reply.c - reads the replies of a server.
 *
 * A line that is whole in the input is parsed where it lies; only a line split
 * over two feeds is copied. Lines end in LF, with or without CR before it:
 * nothing that a server says can be smuggled past a client, so the client may
 * be lenient.
 */
#include "proto/reply.h"

static void
reply_reset(struct reply *r)
{
	r->code = 0;
	r->enh = (struct enh){ 0 };
	r->lines = 0;
	r->text_n = 0;
}

void
reply_parser_init(struct reply_parser *p)
{
	*p = (struct reply_parser){ 0 };
}

static void
line_forget(struct reply_parser *p)
{
	mem_free(p->line);
	p->line = NULL;
	p->line_n = 0;
}

void
reply_parser_free(struct reply_parser *p)
{
	line_forget(p);
	mem_free(p->now.text);
	p->now = (struct reply){ 0 };
}

/* ---- enhanced codes ------------------------------------------------------ */

/* One to three digits at the front of s. */
static int
digits_take(struct slice *s, uint16_t *out)
{
	uint16_t v = 0;
	size_t i = 0;

	while (i < s->n && i < 3 && ascii_is_digit(s->p[i]))
		v = (uint16_t)(v * 10 + (s->p[i++] - '0'));
	if (i == 0)
		return E_SYNTAX;
	*s = slice_skip(*s, i);
	*out = v;
	return 0;
}

static int
dot_take(struct slice *s)
{
	if (s->n == 0 || s->p[0] != '.')
		return E_SYNTAX;
	*s = slice_skip(*s, 1);
	return 0;
}

/* RFC 3463 2: class "." subject "." detail, class one of 2, 4, 5. */
int
enh_parse(struct slice *s, struct enh *out)
{
	struct slice rest = *s;
	struct enh e;

	if (rest.n < 5 ||
	    (rest.p[0] != '2' && rest.p[0] != '4' && rest.p[0] != '5'))
		return E_SYNTAX;
	e.klass = (uint8_t)(rest.p[0] - '0');
	rest = slice_skip(rest, 1);
	if (dot_take(&rest) != 0 || digits_take(&rest, &e.subject) != 0 ||
	    dot_take(&rest) != 0 || digits_take(&rest, &e.detail) != 0)
		return E_SYNTAX;
	if (rest.n > 0) {
		if (rest.p[0] != ' ' && rest.p[0] != '\t')
			return E_SYNTAX;
		rest = slice_skip(rest, 1);
	}
	*out = e;
	*s = rest;
	return 0;
}

size_t
enh_format(char *dst, struct enh e)
{
	size_t n = 0;

	if (e.klass != 0) {
		n = fmt_u64(dst, e.klass % 10);
		dst[n++] = '.';
		n += fmt_u64(dst + n, e.subject % 1000);
		dst[n++] = '.';
		n += fmt_u64(dst + n, e.detail % 1000);
	}
	dst[n] = '\0';
	return n;
}

/* ---- replies ------------------------------------------------------------- */

/* How many of n bytes more there is room for; fewer at the ceiling or without
 * memory. */
static size_t
text_room(struct reply *r, size_t n)
{
	size_t want = MIN(r->text_n + n, (size_t)REPLY_TEXT_MAX);
	size_t cap = r->text_cap ? r->text_cap : 64;
	char *p;

	while (cap < want)
		cap *= 2;
	cap = MIN(cap, (size_t)REPLY_TEXT_MAX);
	if (cap > r->text_cap && (p = mem_grow(r->text, cap)) != NULL) {
		r->text = p;
		r->text_cap = (uint16_t)cap;
	}
	return MIN(n, (size_t)(r->text_cap - r->text_n));
}

void
reply_say(struct reply *r, struct slice text)
{
	r->text_n = 0;
	r->text_n = (uint16_t)text_room(r, text.n);
	if (r->text_n > 0)
		memmove(r->text, text.p, r->text_n);
}

static void
text_add(struct reply *r, struct slice text)
{
	size_t room = text_room(r, text.n + 1);

	if (r->lines > 1 && room > 0) {
		r->text[r->text_n++] = '\n';
		room--;
	}
	text.n = MIN(text.n, room);
	if (text.n > 0)
		memcpy(r->text + r->text_n, text.p, text.n);
	r->text_n = (uint16_t)(r->text_n + text.n);
}

static struct slice
without_line_end(struct slice line)
{
	line.n--;
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

/* One line, LF included. 1: it was the last of its reply; 0; E_PROTO. */
static int
line_parse(struct reply *r, struct slice line,
    void (*on_line)(void *ctx, struct slice text), void *ctx)
{
	struct enh enh;
	uint16_t code;
	bool is_last;

	line = without_line_end(line);
	if (line.n < 3 || !ascii_is_digit(line.p[0]) ||
	    !ascii_is_digit(line.p[1]) || !ascii_is_digit(line.p[2]))
		return E_PROTO;
	code = (uint16_t)((line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 +
	    (line.p[2] - '0'));
	/* RFC 5321 4.2: a code alone is a last line, too. */
	is_last = line.n == 3 || line.p[3] == ' ';
	if (!is_last && line.p[3] != '-')
		return E_PROTO;
	if (r->lines == REPLY_LINES_MAX || (r->lines > 0 && code != r->code))
		return E_PROTO;
	r->code = code;
	r->lines++;
	line = slice_skip(line, 4);
	if (enh_parse(&line, &enh) == 0 && r->enh.klass == 0)
		r->enh = enh;
	text_add(r, line);
	if (on_line != NULL)
		on_line(ctx, line);
	return is_last;
}

/* Appends to the line that began in an earlier feed. */
static int
line_keep(struct reply_parser *p, struct slice piece)
{
	if (piece.n > (size_t)(REPLY_LINE_MAX - p->line_n))
		return E_PROTO;
	if (p->line == NULL && (p->line = mem_try(REPLY_LINE_MAX)) == NULL)
		return E_NOMEM;
	memcpy(p->line + p->line_n, piece.p, piece.n);
	p->line_n = (uint16_t)(p->line_n + piece.n);
	return 0;
}

/* Takes a whole line off the front of *in. 1: *line, LF included; 0: the rest
 * of *in was kept; E_PROTO: longer than REPLY_LINE_MAX. */
static int
line_take(struct reply_parser *p, struct slice *in, struct slice *line)
{
	const char *lf = memchr(in->p, '\n', in->n);
	struct slice piece = *in;
	int rc;

	if (lf != NULL)
		piece.n = (size_t)(lf - in->p) + 1;
	*in = slice_skip(*in, piece.n);
	if (lf != NULL && p->line_n == 0) {
		*line = piece;
		return piece.n > REPLY_LINE_MAX ? E_PROTO : 1;
	}
	rc = line_keep(p, piece);
	if (rc != 0 || lf == NULL)
		return rc;
	*line = slice_of(p->line, p->line_n);
	p->line_n = 0;
	return 1;
}

int
reply_parse(struct reply_parser *p, struct slice *in,
    void (*on_line)(void *ctx, struct slice text), void *ctx)
{
	struct slice line;
	int rc;

	if (in->n > 0 && p->is_done) {
		reply_reset(&p->now);
		p->is_done = false;
	}
	while (in->n > 0) {
		rc = line_take(p, in, &line);
		if (rc == 1)
			rc = line_parse(&p->now, line, on_line, ctx);
		if (p->line != NULL && (rc != 0 || p->line_n == 0))
			line_forget(p); /* read, or of no use any more */
		if (rc == 0)
			continue;
		p->is_done = true;
		return rc;
	}
	return 0;
}
