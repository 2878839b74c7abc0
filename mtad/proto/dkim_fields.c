/*
 * proto/dkim_fields.c - which header fields a signature covers (RFC 6376 5.4),
 * and who the author is.
 *
 * Fields of one name are taken from the bottom up, since what is added to a
 * message later is added on top of it.
 */
#include "proto/dkim_i.h"
#include "proto/syntax.h"

void
dkim_fields_find(struct dkim_fields *f, const struct slice *names, uint32_t n,
    struct slice header)
{
	struct hdr h;

	ASSERT(n <= DKIM_NAMES_MAX);
	f->n = 0;
	f->is_cut = false;
	while (hdr_next(&header, &h)) {
		uint32_t i = 0;

		while (i < n && !slice_ieq(names[i], h.name))
			i++;
		if (i == n)
			continue;
		if (f->n == DKIM_FIELDS_MAX) {
			f->is_cut = true;
			f->n--;
			memmove(f->whole, f->whole + 1,
			    f->n * sizeof(*f->whole));
			memmove(f->name, f->name + 1, f->n);
		}
		f->whole[f->n] = h.whole;
		f->name[f->n++] = (uint8_t)i;
	}
}

void
dkim_field_hash(struct slice whole, enum dkim_canon canon, dkim_emit_fn *emit,
    void *ctx)
{
	struct dkim_field f;

	dkim_field_init(&f, canon, emit, ctx);
	dkim_field_add(&f, whole);
	dkim_field_end(&f, false);
}

/* Of the fields of that name the one that has `below` others below it. */
static struct slice
field_from_below(struct slice header, struct slice name, uint32_t below)
{
	struct slice rest = header;
	uint32_t n = 0;
	struct hdr h;

	while (hdr_next(&rest, &h))
		n += slice_ieq(h.name, name);
	if (n <= below)
		return slice_of("", 0);
	while (hdr_next(&header, &h))
		if (slice_ieq(h.name, name) && n-- == below + 1)
			return h.whole;
	return slice_of("", 0);
}

bool
dkim_fields_hash(struct slice list, struct slice header, enum dkim_canon canon,
    dkim_emit_fn *emit, void *ctx)
{
	struct slice names[2 * DKIM_FIELDS_MAX], whole;
	uint32_t n = 0;

	while (list.p != NULL) {
		struct slice name = dkim_trim(slice_cut(&list, ':'));
		uint32_t below = 0;

		if (n == ARRAY_LEN(names))
			return false;
		for (uint32_t i = 0; i < n; i++)
			below += slice_ieq(names[i], name);
		names[n++] = name;
		whole = field_from_below(header, name, below);
		if (whole.n > 0)
			dkim_field_hash(whole, canon, emit, ctx);
	}
	return true;
}

/* ---- the author ------------------------------------------------------------------- */

/* Bytes of a comment at the front, those within it included (RFC 5322 3.2.2). */
static size_t
comment_length(struct slice s)
{
	uint32_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return s.n;
}

static size_t
quoted_length(struct slice s)
{
	for (size_t i = 1; i < s.n; i++)
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	return s.n;
}

/* What stands behind an @, without blanks and folds before it. */
static struct slice
domain_at(struct slice s)
{
	size_t n = 0;

	while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL && s.p[0] != '\0')
		s = slice_skip(s, 1);
	while (n < s.n &&
	    (ascii_is_alpha(s.p[n]) || ascii_is_digit(s.p[n]) ||
		s.p[n] == '.' || s.p[n] == '-' || s.p[n] == '_'))
		n++;
	return slice_of(s.p, n);
}

/* The domain of the first address: within angle brackets when it has some. Words
 * in quotes and comments may hold anything; what comes before a bracket, or the
 * colon of a group or of a route, was none. */
static struct slice
first_domain(struct slice s)
{
	struct slice domain = slice_of("", 0);
	bool is_inside = false;
	size_t n;

	for (; s.n > 0; s = slice_skip(s, n)) {
		char c = s.p[0];

		n = 1;
		if (c == '(')
			n = comment_length(s);
		else if (c == '"')
			n = quoted_length(s);
		else if (c == '@')
			domain = domain_at(slice_skip(s, 1));
		else if (c == '<' || c == ':')
			domain.n = 0;
		else if (c == '>' || (!is_inside && domain.n > 0 && c == ',') ||
		    (c == ';' && domain.n > 0))
			break;
		is_inside |= c == '<';
	}
	return domain;
}

struct slice
dkim_author_domain(struct slice header)
{
	struct slice domain;
	struct hdr h;

	while (hdr_next(&header, &h)) {
		if (!slice_ieq(h.name, SL("From")))
			continue;
		domain = first_domain(h.value);
		if (domain.n > 0 && domain.p[domain.n - 1] == '.')
			domain.n--;
		return domain_is_valid(domain, false) ? domain :
							slice_of("", 0);
	}
	return slice_of("", 0);
}
