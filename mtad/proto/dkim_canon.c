/*
 * proto/dkim_canon.c - the canonical forms of bodies and header fields
 * (RFC 6376 3.4), as machines that take pieces of any size.
 *
 * Of what ends a line nothing is emitted before it is known whether more
 * follows: empty lines at the end of a body do not count, nor blanks at the end
 * of a line. So a machine remembers how many line ends it holds back, not the
 * bytes. A CR or LF alone is a byte like any other.
 */
#include "proto/dkim.h"

/* ---- emitting: small pieces gather, for a call of a digest is not cheap ---- */

#define FLUSH(m)                                                               \
	do {                                                                   \
		if ((m)->n > 0)                                                \
			(m)->emit((m)->ctx, (m)->out, (m)->n);                 \
		(m)->n = 0;                                                    \
	} while (0)
#define PUT(m, from, len)                                                      \
	do {                                                                   \
		if ((len) > sizeof((m)->out) - (m)->n)                         \
			FLUSH(m);                                              \
		if ((len) > sizeof((m)->out)) {                                \
			(m)->emit((m)->ctx, (from), (len));                    \
		} else {                                                       \
			memcpy((m)->out + (m)->n, (from), (len));              \
			(m)->n += (len);                                       \
		}                                                              \
	} while (0)

static void
body_put(struct dkim_body *b, const char *p, size_t n)
{
	PUT(b, p, n);
}

static void
field_put(struct dkim_field *f, const char *p, size_t n)
{
	PUT(f, p, n);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ---- bodies ------------------------------------------------------------------ */

void
dkim_body_init(struct dkim_body *b, enum dkim_canon canon, dkim_emit_fn *emit,
    void *ctx)
{
	b->emit = emit;
	b->ctx = ctx;
	b->canon = canon;
	b->lines = 0;
	b->has_cr = b->has_blank = false;
	b->is_empty = true;
	b->n = 0;
}

/* Something that counts: so does what was held back before it. */
static void
body_text(struct dkim_body *b, const char *p, size_t n)
{
	for (; b->lines > 0; b->lines--)
		body_put(b, "\r\n", 2);
	if (b->has_blank)
		body_put(b, " ", 1);
	b->has_blank = false;
	b->is_empty = false;
	body_put(b, p, n);
}

/* Length of the run at the front that is copied as it is. */
static size_t
plain_run(const struct dkim_body *b, struct slice s)
{
	size_t n = 0;

	if (b->canon == DKIM_SIMPLE)
		return slice_index(s, '\r');
	while (n < s.n && s.p[n] != '\r' && !is_blank(s.p[n]))
		n++;
	return n;
}

void
dkim_body_add(struct dkim_body *b, struct slice s)
{
	while (s.n > 0) {
		size_t run;

		if (b->has_cr && s.p[0] == '\n') {
			b->has_cr = b->has_blank = false;
			b->lines++;
			s = slice_skip(s, 1);
			continue;
		}
		if (b->has_cr)
			body_text(b, "\r", 1);
		b->has_cr = s.p[0] == '\r';
		run = plain_run(b, s);
		if (run > 0)
			body_text(b, s.p, run);
		else if (!b->has_cr)
			b->has_blank = true;
		s = slice_skip(s, MAX(run, 1));
	}
}

void
dkim_body_end(struct dkim_body *b)
{
	if (b->has_cr)
		body_text(b, "\r", 1);
	/* RFC 6376 3.4.3: an empty body is one line end; 3.4.4: nothing. What
	 * does not end in one gets one. */
	if (b->canon == DKIM_SIMPLE || !b->is_empty)
		body_put(b, "\r\n", 2);
	FLUSH(b);
}

/* ---- header fields ------------------------------------------------------------- */

void
dkim_field_init(struct dkim_field *f, enum dkim_canon canon, dkim_emit_fn *emit,
    void *ctx)
{
	f->emit = emit;
	f->ctx = ctx;
	f->canon = canon;
	f->in_value = f->has_blank = f->has_text = false;
	f->has_cr = f->has_end = false;
	f->n = 0;
}

/* Of a value in relaxed form: blanks before it do not count, and those within
 * are one. Of a name: letters are small, blanks do not count. */
static void
relaxed_byte(struct dkim_field *f, char c)
{
	if (is_blank(c)) {
		f->has_blank = true;
		return;
	}
	if (!f->in_value) {
		c = ascii_lower(c);
		f->in_value = c == ':';
	} else {
		if (f->has_blank && f->has_text)
			field_put(f, " ", 1);
		f->has_text = true;
	}
	f->has_blank = false;
	field_put(f, &c, 1);
}

static void
field_byte(struct dkim_field *f, char c)
{
	if (f->canon == DKIM_SIMPLE)
		field_put(f, &c, 1);
	else
		relaxed_byte(f, c);
}

/* A line end was no final one: it is kept, or unfolded. */
static void
field_go_on(struct dkim_field *f)
{
	if (f->has_end && f->canon == DKIM_SIMPLE)
		field_put(f, "\r\n", 2);
	f->has_end = false;
	if (f->has_cr)
		field_byte(f, '\r');
	f->has_cr = false;
}

void
dkim_field_add(struct dkim_field *f, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\n' && f->has_cr) {
			f->has_cr = false;
			f->has_end = true;
			continue;
		}
		field_go_on(f);
		if (c == '\r')
			f->has_cr = true;
		else
			field_byte(f, c);
	}
}

void
dkim_field_end(struct dkim_field *f, bool is_last)
{
	f->has_end = false; /* the final one is ours to write, or not */
	field_go_on(f);
	if (!is_last)
		field_put(f, "\r\n", 2);
	FLUSH(f);
}
