/*
 * Fuzz target: canonical forms. However the bytes are cut into pieces, what comes
 * out is the same, ends as RFC 6376 3.4 says, and is its own canonical form; and
 * a field that is made about any header is read again and hashed alike.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void
emit(void *ctx, const char *p, size_t n)
{
	ASSERT(n > 0);
	buf_add(ctx, p, n);
}

static void
body_of(struct buf *out, enum dkim_canon canon, struct slice s, size_t step)
{
	struct dkim_body b;

	buf_reset(out);
	dkim_body_init(&b, canon, emit, out);
	for (; s.n > 0; s = slice_skip(s, step))
		dkim_body_add(&b, slice_of(s.p, MIN(step, s.n)));
	dkim_body_end(&b);
}

static void
field_of(struct buf *out, enum dkim_canon canon, struct slice s, size_t step)
{
	struct dkim_field f;

	buf_reset(out);
	dkim_field_init(&f, canon, emit, out);
	for (; s.n > 0; s = slice_skip(s, step))
		dkim_field_add(&f, slice_of(s.p, MIN(step, s.n)));
	dkim_field_end(&f, false);
}

static void
check_body(enum dkim_canon canon, struct slice s, size_t step, struct buf *a,
    struct buf *b)
{
	struct slice all;

	body_of(a, canon, s, s.n + 1);
	body_of(b, canon, s, step);
	all = buf_slice(a);
	ASSERT(slice_eq(all, buf_slice(b)));
	ASSERT(all.n <= s.n + 2);
	ASSERT(all.n == 0 ? canon == DKIM_RELAXED :
			    slice_has_isuffix(all, SL("\r\n")));
	ASSERT(all.n < 4 || !slice_has_isuffix(all, SL("\r\n\r\n")));
	body_of(b, canon, all, step);
	ASSERT(slice_eq(all, buf_slice(b)));
}

static void
check_field(enum dkim_canon canon, struct slice s, size_t step, struct buf *a,
    struct buf *b)
{
	field_of(a, canon, s, s.n + 1);
	field_of(b, canon, s, step);
	ASSERT(slice_eq(buf_slice(a), buf_slice(b)));
	ASSERT(slice_has_isuffix(buf_slice(a), SL("\r\n")));
}

static void
check_signing(enum dkim_canon canon, struct slice header, struct buf *a,
    struct buf *b)
{
	static const struct slice names[] = { { "From", 4 }, { "To", 2 },
		{ "Subject", 7 } };
	struct dkim_terms t = { .header = canon,
		.domain = SL("a.example"),
		.selector = SL("s"),
		.nnames = 3,
		.names = names,
		.noversigned = 2,
		.oversigned = names,
		.signature_bytes = 64 };
	struct dkim_signature s;
	struct dkim_hole hole;
	struct slice rest;
	const char *why;
	struct buf out;
	struct hdr h;
	int err;

	buf_reset(a);
	buf_reset(b);
	buf_init(&out, 1u << 20);
	if (dkim_sign_field(&out, &t, header, emit, a, &hole) == 0) {
		rest = buf_slice(&out);
		ASSERT(hdr_next(&rest, &h) && rest.n == 0);
		ASSERT(h.whole.n == hole.field_bytes);
		err = dkim_signature_read(h.value, &s, &why);
		ASSERT(err == 0);
		ASSERT(dkim_signature_hash(&s, h.whole, header, emit, b));
		ASSERT(slice_eq(buf_slice(a), buf_slice(b)));
	}
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t step = n > 0 ? data[0] % 17 + 1u : 1;
	struct slice s = slice_of((const char *)data, n), d;
	struct buf a, b;

	buf_init(&a, 4u << 20);
	buf_init(&b, 4u << 20);
	for (int c = 0; c < 2; c++) {
		check_body(c, s, step, &a, &b);
		check_field(c, s, step, &a, &b);
		check_signing(c, s, &a, &b);
	}
	d = dkim_author_domain(s);
	ASSERT(d.n == 0 || (d.p >= s.p && d.p + d.n <= s.p + s.n));
	buf_free(&a);
	buf_free(&b);
	return 0;
}
