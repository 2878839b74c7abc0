/*
 * proto/mime.c - the parts of a message, see mime.h.
 *
 * One pass over the lines, with a stack of the boundaries that are open. A line
 * that is one of them ends whatever is deeper, so a closing boundary that was
 * lost costs nothing. A multipart whose boundary never comes is left with its
 * preamble as a body, which is what people see of it.
 */
#include "proto/header.h"
#include "proto/mime.h"

#define FIELD_MAX                                                              \
	8192u /* bytes of a field in which parameters are looked for */
#define GUESS_LINES 12

struct walk {
	struct slice rest;
	struct mime *m;
	struct mime_part *now; /* the part whose body is read; NULL: none is */
	uint32_t depth;        /* boundaries open */
	char boundary[MIME_DEPTH_MAX][MIME_BOUNDARY_MAX + 1];
	struct slice open[MIME_DEPTH_MAX];
};

/* ---- fields -------------------------------------------------------------------- */

static bool
is_white(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct slice
trim(struct slice s)
{
	while (s.n > 0 && is_white(s.p[0]))
		s = slice_skip(s, 1);
	while (s.n > 0 && is_white(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct slice
mime_field(struct slice head, struct slice name)
{
	struct hdr h;

	while (hdr_next(&head, &h))
		if (slice_ieq(h.name, name))
			return trim(h.value);
	return slice_of("", 0);
}

/* A value at the front of s, in quotes or not; s is moved behind it. SIZE_MAX: it
 * does not fit. */
static size_t
take_value(struct slice *s, char *dst, size_t cap)
{
	bool is_quoted = s->n > 0 && s->p[0] == '"';
	size_t i = is_quoted, n = 0;

	for (; i < s->n; i++) {
		char c = s->p[i];

		if (is_quoted ? c == '"' : c == ';' || is_white(c))
			break;
		if (is_quoted && c == '\\' && i + 1 < s->n)
			c = s->p[++i];
		if (c == '\r' || c == '\n')
			continue;
		if (n + 1 < cap)
			dst[n] = c;
		n++;
	}
	*s = slice_skip(*s, i < s->n ? i + is_quoted : i);
	if (n + 1 > cap)
		return SIZE_MAX;
	dst[n] = '\0';
	return n;
}

size_t
mime_param(struct slice value, struct slice name, char *dst, size_t cap)
{
	char other[MIME_BOUNDARY_MAX];

	value.n = MIN(value.n, FIELD_MAX);
	value = slice_skip(value, slice_index(value, ';'));
	while (value.n > 0) {
		struct slice key;
		size_t n;

		while (value.n > 0 && (is_white(*value.p) || *value.p == ';'))
			value = slice_skip(value, 1);
		n = MIN(slice_index(value, '='), slice_index(value, ';'));
		key = trim(slice_of(value.p, n));
		value = slice_skip(value, n);
		if (value.n == 0 || value.p[0] != '=')
			continue;
		value = trim(slice_skip(value, 1));
		if (!slice_ieq(key, name)) {
			(void)take_value(&value, other, sizeof(other));
			continue;
		}
		n = take_value(&value, dst, cap);
		return n == SIZE_MAX ? 0 : n;
	}
	return 0;
}

bool
mime_is(const struct mime_part *p, struct slice type)
{
	if (type.n > 0 && type.p[type.n - 1] == '/')
		return slice_has_iprefix(p->type, type);
	return slice_ieq(p->type, type);
}

/* ---- the walk ------------------------------------------------------------------ */

static struct slice
take_line(struct slice *s)
{
	size_t n = MIN(slice_index(*s, '\n') + 1, s->n);
	struct slice line = slice_of(s->p, n);

	*s = slice_skip(*s, n);
	return line;
}

/* Which of the open boundaries is this line? The number of those that stay open
 * (its own included), or 0; *is_last: no part follows. */
static uint32_t
boundary_at(const struct walk *w, struct slice line, bool *is_last)
{
	if (!slice_has_prefix(line, SL("--")))
		return 0;
	line = slice_skip(trim(line), 2);
	for (uint32_t i = w->depth; i > 0; i--) {
		struct slice b = w->open[i - 1], tail;

		if (!slice_has_prefix(line, b))
			continue;
		tail = slice_skip(line, b.n);
		*is_last = slice_eq(tail, SL("--"));
		if (tail.n == 0 || *is_last)
			return i;
	}
	return 0;
}

static enum mime_coding
coding_of(struct slice head)
{
	struct slice s = mime_field(head, SL("Content-Transfer-Encoding"));

	if (slice_has_iprefix(s, SL("base64")))
		return MIME_BASE64;
	if (slice_has_iprefix(s, SL("quoted-printable")))
		return MIME_QUOTED;
	return MIME_PLAIN;
}

/* The header section at the front: up to a blank line, which is taken, a line
 * that is no field, or a boundary. */
static struct slice
take_head(struct walk *w)
{
	struct slice head = slice_of(w->rest.p, 0);
	struct hdr h;
	bool is_last;

	while (w->rest.n > 0) {
		struct slice ahead = w->rest, line = take_line(&ahead);

		if (trim(line).n == 0) {
			w->rest = ahead;
			break;
		}
		if (boundary_at(w, line, &is_last) > 0 ||
		    !hdr_next(&w->rest, &h))
			break;
		head.n += h.whole.n;
	}
	return head;
}

/* Opens the boundary that a multipart says; false: it says none, or there are
 * enough. */
static bool
open_boundary(struct walk *w, struct slice value)
{
	char *b;
	size_t n;

	if (w->depth == MIME_DEPTH_MAX)
		return false;
	b = w->boundary[w->depth];
	n = mime_param(value, SL("boundary"), b, MIME_BOUNDARY_MAX + 1);
	if (n == 0)
		return false;
	w->open[w->depth++] = slice_of(b, n);
	return true;
}

/* The boundary of a multipart that says none, or says it where no field is: that
 * of the first line which looks like one. */
static bool
guess_boundary(struct walk *w)
{
	struct slice rest = w->rest;
	bool is_last;

	if (w->depth == MIME_DEPTH_MAX)
		return false;
	for (int i = 0; i < GUESS_LINES && rest.n > 0; i++) {
		struct slice line = trim(take_line(&rest));
		char *b = w->boundary[w->depth];

		if (boundary_at(w, line, &is_last) > 0)
			return false;
		if (line.n < 6 || line.n > MIME_BOUNDARY_MAX ||
		    !slice_has_prefix(line, SL("--")) ||
		    slice_index(line, ' ') < line.n)
			continue;
		line = slice_skip(line, 2);
		memcpy(b, line.p, line.n);
		w->open[w->depth++] = slice_of(b, line.n);
		return true;
	}
	return false;
}

static void
begin_part(struct walk *w)
{
	struct mime_part *p;
	struct slice value;
	size_t n = 0;

	if (w->m->nparts == MIME_PARTS_MAX)
		return; /* its lines belong to the last one */
	p = &w->m->part[w->m->nparts++];
	*p = (struct mime_part){ .depth = (uint8_t)w->depth };
	p->head = take_head(w);
	p->coding = (uint8_t)coding_of(p->head);
	value = mime_field(p->head, SL("Content-Type"));
	while (n < value.n && value.p[n] != ';' && !is_white(value.p[n]))
		n++;
	p->type = n > 0 ? slice_of(value.p, n) : SL("text/plain");
	p->body = slice_of(w->rest.p, 0);
	if (mime_is(p, SL("multipart/")))
		p->is_multipart = open_boundary(w, value) || guess_boundary(w);
	w->now = p;
}

/* The line end in front of a boundary is the boundary's. */
static void
end_part(struct walk *w)
{
	struct slice *b;

	if (w->now == NULL)
		return;
	b = &w->now->body;
	if (b->n > 0 && b->p[b->n - 1] == '\n')
		b->n--;
	if (b->n > 0 && b->p[b->n - 1] == '\r')
		b->n--;
	w->now = NULL;
}

void
mime_read(struct slice message, struct mime *m)
{
	struct walk w = { .rest = message, .m = m };

	m->nparts = 0;
	begin_part(&w);
	while (w.rest.n > 0) {
		bool is_last = false;
		struct slice line = take_line(&w.rest);
		uint32_t left = boundary_at(&w, line, &is_last);

		if (left == 0 || (m->nparts == MIME_PARTS_MAX && !is_last)) {
			if (w.now != NULL)
				w.now->body.n += line.n;
			continue;
		}
		end_part(&w);
		w.depth = left - is_last;
		if (!is_last)
			begin_part(&w);
	}
}
