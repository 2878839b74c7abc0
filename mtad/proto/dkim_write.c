/*
 * proto/dkim_write.c - the field of a new signature (RFC 6376 3.5), folded, and
 * the place in it that the signature itself is put into.
 *
 * b= stands last, and what it holds is hashed as nothing; so the place can be as
 * long as the key says, and whoever signs need not know anything of the field.
 */
#include "proto/dkim_i.h"

#define LINE_MAX_BYTES 76u
#define ROW 72u /* digits of b= on one line */
#define FOLD SL("\r\n\t")

static const char *const names[][2] = {
	[DKIM_RSA_SHA256] = { "rsa-sha256", "rsa" },
	[DKIM_ED25519_SHA256] = { "ed25519-sha256", "ed25519" },
};

const char *
dkim_algorithm_name(enum dkim_algorithm a)
{
	return names[a][0];
}

const char *
dkim_algorithm_key(enum dkim_algorithm a)
{
	return names[a][1];
}

const char *
dkim_canon_name(enum dkim_canon c)
{
	return c == DKIM_SIMPLE ? "simple" : "relaxed";
}

/* ---- folding ------------------------------------------------------------------ */

struct writer {
	struct buf *out;
	size_t column; /* a tab counts as one */
};

/* A piece that is not broken; before it a blank, or a fold when the line would be
 * too long. */
static void
put_piece(struct writer *w, struct slice before, struct slice a, struct slice b)
{
	size_t n = a.n + b.n;

	if (w->column + before.n + n > LINE_MAX_BYTES) {
		buf_adds(w->out, FOLD);
		w->column = 1;
	} else {
		buf_adds(w->out, before);
		w->column += before.n;
	}
	buf_adds(w->out, a);
	buf_adds(w->out, b);
	w->column += n;
}

static void
put_tag(struct writer *w, const char *tag, struct slice value)
{
	put_piece(w, SL(" "), slice_str(tag), value);
	buf_addc(w->out, ';');
	w->column++;
}

static void
put_number(struct writer *w, const char *tag, int64_t n)
{
	char text[24];

	put_tag(w, tag, slice_of(text, fmt_u64(text, (uint64_t)n)));
}

/* ---- the list of fields ----------------------------------------------------------- */

struct covered {
	const struct dkim_terms *t;
	struct dkim_fields f;
	uint32_t nnames;
	struct slice names[DKIM_NAMES_MAX]; /* signed ones, then others */
	bool is_over[DKIM_NAMES_MAX];
};

static uint32_t
index_of(const struct slice *v, uint32_t n, struct slice name)
{
	uint32_t i = 0;

	while (i < n && !slice_ieq(v[i], name))
		i++;
	return i;
}

/* RFC 6376 5.4: From must be among them. */
static bool
find_covered(struct covered *c, const struct dkim_terms *t, struct slice header)
{
	uint32_t from;

	c->t = t;
	c->nnames = MIN(t->nnames, DKIM_NAMES_MAX);
	memset(c->is_over, 0, sizeof(c->is_over));
	for (uint32_t i = 0; i < c->nnames; i++)
		c->names[i] = t->names[i];
	for (uint32_t i = 0; i < t->noversigned; i++) {
		uint32_t at = index_of(c->names, c->nnames, t->oversigned[i]);

		if (at == DKIM_NAMES_MAX)
			continue;
		if (at == c->nnames)
			c->names[c->nnames++] = t->oversigned[i];
		c->is_over[at] = true;
	}
	dkim_fields_find(&c->f, c->names, c->nnames, header);
	from = index_of(c->names, c->nnames, SL("From"));
	for (uint32_t k = 0; k < c->f.n; k++)
		if (c->f.name[k] == from)
			return true;
	return false;
}

/* The list h=, and the fields in its order. */
static void
put_covered(struct writer *w, const struct covered *c, dkim_emit_fn *emit,
    void *ctx)
{
	struct slice before = SL(" "), head = SL("h=");

	for (uint32_t i = 0; i < c->nnames; i++) {
		for (uint32_t k = c->f.n; k > 0; k--) {
			if (c->f.name[k - 1] != i)
				continue;
			put_piece(w, before, head, c->names[i]);
			head = SL(":");
			before = SL("");
			dkim_field_hash(c->f.whole[k - 1], c->t->header, emit,
			    ctx);
		}
		if (!c->is_over[i] || c->f.is_cut)
			continue;
		put_piece(w, before, head, c->names[i]);
		head = SL(":");
		before = SL("");
	}
	buf_addc(w->out, ';');
	w->column++;
}

/* ---- the field ---------------------------------------------------------------------- */

static void
put_terms(struct writer *w, const struct dkim_terms *t)
{
	char canon[24];
	size_t n;

	n = slice_copy(slice_str(dkim_canon_name(t->header)), canon, 8);
	canon[n++] = '/';
	n += slice_copy(slice_str(dkim_canon_name(t->body)), canon + n, 8);
	put_tag(w, "v=", SL("1"));
	put_tag(w, "a=", slice_str(dkim_algorithm_name(t->algorithm)));
	put_tag(w, "c=", slice_of(canon, n));
	put_tag(w, "d=", t->domain);
	put_tag(w, "s=", t->selector);
	if (t->identity.n > 0)
		put_tag(w, "i=", t->identity);
	if (t->signed_s > 0)
		put_number(w, "t=", t->signed_s);
	if (t->expires_s > 0)
		put_number(w, "x=", t->expires_s);
}

/* Room for so many digits; nothing is in them yet that could be read. */
static void
put_hole(struct buf *out, size_t digits)
{
	for (size_t i = 0; i < digits; i++) {
		if (i > 0 && i % ROW == 0)
			buf_adds(out, FOLD);
		buf_addc(out, 'A');
	}
	buf_adds(out, SL("\r\n"));
}

int
dkim_sign_field(struct buf *out, const struct dkim_terms *t,
    struct slice header, dkim_emit_fn *emit, void *ctx, struct dkim_hole *hole)
{
	struct writer w = { .out = out, .column = strlen("DKIM-Signature:") };
	char hash[BASE64_BYTES(DKIM_HASH_BYTES)];
	struct dkim_field own;
	struct covered c;
	size_t begin = out->n;

	if (!find_covered(&c, t, header))
		return E_NOTFOUND;
	buf_adds(out, SL("DKIM-Signature:"));
	put_terms(&w, t);
	put_covered(&w, &c, emit, ctx);
	base64_encode(hash, t->body_hash, DKIM_HASH_BYTES);
	put_tag(&w, "bh=", slice_of(hash, sizeof(hash)));
	buf_adds(out, SL("\r\n\tb="));
	if (out->failed)
		return E_FULL;
	dkim_field_init(&own, t->header, emit, ctx);
	dkim_field_add(&own, slice_skip(buf_slice(out), begin));
	dkim_field_end(&own, true);
	hole->at = out->n - begin;
	hole->digits = BASE64_BYTES(t->signature_bytes);
	put_hole(out, hole->digits);
	hole->field_bytes = out->n - begin;
	return out->failed ? E_FULL : 0;
}

void
dkim_fill(char *field, const struct dkim_hole *hole, const uint8_t *sig,
    size_t n)
{
	char digits[BASE64_BYTES(DKIM_SIGNATURE_MAX)];
	char *to = field + hole->at;

	ASSERT(n <= DKIM_SIGNATURE_MAX && BASE64_BYTES(n) == hole->digits);
	base64_encode(digits, sig, n);
	for (size_t i = 0; i < hole->digits; i += ROW) {
		size_t row = MIN(ROW, hole->digits - i);

		memcpy(to, digits + i, row);
		to += row + FOLD.n;
	}
}

int
dkim_record_write(struct buf *out, enum dkim_algorithm a, const void *key,
    size_t n)
{
	char *digits;

	buf_addf(out, "v=DKIM1; k=%s; p=", dkim_algorithm_key(a));
	digits = buf_room(out, BASE64_BYTES(n));
	if (digits != NULL)
		buf_grew(out, base64_encode(digits, key, n));
	return out->failed ? E_FULL : 0;
}
