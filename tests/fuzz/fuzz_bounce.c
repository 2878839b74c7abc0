/*
 * Fuzz target: what a message says of deliveries. Whatever the bytes, a recipient
 * that is named is in them, or in what they decode to; and a message is read the
 * same twice.
 */
#include <stdint.h>

#include "proto/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool
has(struct slice all, struct slice s)
{
	for (size_t i = 0; i + s.n <= all.n; i++)
		if (slice_ieq(slice_of(all.p + i, s.n), s))
			return true;
	return false;
}

/* All that the parts say, those of messages within too. */
static void
add_decoded(struct slice message, struct buf *out, int depth)
{
	struct mime *m = mem_get(sizeof(*m));

	mime_read(message, m);
	(void)!mime_words(m->part[0].head, out);
	for (uint32_t i = 0; i < m->nparts; i++) {
		struct buf text;

		buf_init(&text, message.n * 3 + 16);
		ASSERT(mime_text(&m->part[i], &text) == 0);
		buf_addc(out, '\n');
		buf_adds(out, buf_slice(&text));
		buf_addc(out, '\n');
		(void)!mime_html(buf_slice(&text), out);
		if (depth > 0 && mime_is(&m->part[i], SL("message/rfc822")))
			add_decoded(buf_slice(&text), out, depth - 1);
		buf_free(&text);
	}
	mem_free(m);
}

/* A copy as it is read: without the first lines of a mailbox file, and with CR
 * alone as a line end where there is no other. */
static struct slice
even_out(struct slice all, char *copy)
{
	struct slice s = slice_of(copy, all.n);
	bool is_cr = slice_index(all, '\n') == all.n;

	for (size_t i = 0; i < all.n; i++)
		copy[i] = is_cr && all.p[i] == '\r' ? '\n' : all.p[i];
	while (s.n > 0 && (s.p[0] == '\r' || s.p[0] == '\n'))
		s = slice_skip(s, 1);
	while (slice_has_prefix(s, SL("From ")) ||
	    slice_has_prefix(s, SL(">From ")))
		s = slice_skip(s, slice_index(s, '\n') + 1);
	return s;
}

static void
check_bounce(const struct bounce *b, struct slice all)
{
	char *copy = mem_get(all.n + 1);
	struct buf decoded;

	buf_init(&decoded, 64 << 20);
	add_decoded(even_out(all, copy), &decoded, 1);
	ASSERT(!decoded.failed);
	ASSERT(b->nrcpts > 0 && b->nrcpts <= BOUNCE_RCPTS_MAX);
	for (uint32_t i = 0; i < b->nrcpts; i++) {
		const struct bounce_rcpt *x = &b->rcpt[i];

		ASSERT(x->address.n > 0 && x->address.n <= MAILBOX_MAX);
		ASSERT(slice_index(x->address, '@') < x->address.n);
		/* "\x{e4}" of RFC 6533 and "\@" of JSON decode once more. */
		ASSERT(has(all, x->address) ||
		    has(buf_slice(&decoded), x->address) ||
		    slice_index(all, '\\') < all.n ||
		    slice_index(buf_slice(&decoded), '\\') < decoded.n);
		ASSERT(x->action < BOUNCE_ACTION_N);
		ASSERT(x->diagnostic.n <= BOUNCE_DIAG_MAX);
		ASSERT(x->code == 0 || (x->code >= 400 && x->code < 600));
		ASSERT(x->enh.klass == 0 || x->enh.klass == 2 ||
		    x->enh.klass == 4 || x->enh.klass == 5);
	}
	buf_free(&decoded);
	mem_free(copy);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice all = slice_of((const char *)data, n);
	struct bounce *a = mem_get(sizeof(*a)), *b = mem_get(sizeof(*b));

	ASSERT(bounce_read(all, a) == 0 && bounce_read(all, b) == 0);
	ASSERT(a->type == b->type && a->reason == b->reason);
	ASSERT(a->nrcpts == b->nrcpts);
	for (uint32_t i = 0; i < a->nrcpts; i++)
		ASSERT(slice_eq(a->rcpt[i].address, b->rcpt[i].address));
	ASSERT(a->reason < BOUNCE_REASON_N);
	if (a->type == BOUNCE_DELIVERY)
		check_bounce(a, all);
	ASSERT(a->type == BOUNCE_DELIVERY || a->nrcpts == 0);
	ASSERT(a->arf.nrcpts <= ARF_RCPTS_MAX);
	bounce_free(a);
	bounce_free(b);
	mem_free(a);
	mem_free(b);
	return 0;
}
